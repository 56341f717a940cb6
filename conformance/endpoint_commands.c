/* SPDX-License-Identifier: BSD-3-Clause */
/* Commands that are calls of stack/endpoint.h. The first word is the handle, the result what the call returned. After
 * each the stack turns until nothing is left to do, as the daemon's loop would. */
#include "server.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#define TRANSFER_MAX (16u << 20)

static void reply_name(struct server *s, const char *key, const struct ep_name *name)
{
	char text[INET6_ADDRSTRLEN];
	if (ipaddr_is_ip4(&name->addr))
		inet_ntop(AF_INET, &name->addr.words[3], text, sizeof(text));
	else
		inet_ntop(AF_INET6, name->addr.bytes, text, sizeof(text));
	reply_format(&s->reply, ",\"%s\":[\"%s\",%u]", key, text, name->port);
}

static bool handle(struct server *s, const struct request *r, ep_id *ep)
{
	if (word_u64(r->word[1], ep))
		return true;
	command_refuse(s, "not a handle: %.40s", r->word[1]);
	return false;
}

/* ADDR PORT at word i. */
static bool name_at(struct server *s, const struct request *r, unsigned i, struct ep_name *name)
{
	uint64_t port;
	if (word_addr(r->word[i], &name->addr) && word_u64(r->word[i + 1], &port) && port <= 65535) {
		name->port = (uint16_t)port;
		return true;
	}
	command_refuse(s, "not an address and a port");
	return false;
}

static bool number_at(struct server *s, const struct request *r, unsigned i, int64_t max, int64_t *out)
{
	if (word_i64(r->word[i], out) && *out <= max)
		return true;
	command_refuse(s, "not a number in range: %.40s", r->word[i]);
	return false;
}

static int64_t settled(struct server *s, int64_t result)
{
	server_settle(s);
	return result;
}

/* open stream|datagram */
static int64_t run_open(struct server *s, const struct request *r)
{
	enum ep_type type;
	ep_id ep = 0;
	if (strcmp(r->word[1], "stream") == 0)
		type = EP_STREAM;
	else if (strcmp(r->word[1], "datagram") == 0)
		type = EP_DATAGRAM;
	else
		return command_refuse(s, "open stream|datagram");
	int result = ep_open(s->stack, type, 1, NULL, &ep);
	reply_format(&s->reply, ",\"ep\":%llu", (unsigned long long)ep);
	return settled(s, result);
}

/* bind EP ADDR PORT */
static int64_t run_bind(struct server *s, const struct request *r)
{
	ep_id ep;
	struct ep_name name;
	if (!handle(s, r, &ep) || !name_at(s, r, 2, &name))
		return COMMAND_REFUSED;
	return settled(s, ep_bind(s->stack, ep, &name));
}

/* listen EP BACKLOG */
static int64_t run_listen(struct server *s, const struct request *r)
{
	ep_id ep;
	int64_t backlog;
	if (!handle(s, r, &ep) || !number_at(s, r, 2, UINT32_MAX, &backlog) || backlog < 0)
		return COMMAND_REFUSED;
	return settled(s, ep_listen(s->stack, ep, (uint32_t)backlog));
}

/* accept EP */
static int64_t run_accept(struct server *s, const struct request *r)
{
	ep_id ep, child = 0;
	struct ep_name peer = { 0 };
	if (!handle(s, r, &ep))
		return COMMAND_REFUSED;
	int result = ep_accept(s->stack, ep, &child, &peer);
	if (result == 0) {
		reply_format(&s->reply, ",\"ep\":%llu", (unsigned long long)child);
		reply_name(s, "peer", &peer);
	}
	return settled(s, result);
}

/* connect EP ADDR PORT, or connect EP: dissolve */
static int64_t run_connect(struct server *s, const struct request *r)
{
	ep_id ep;
	struct ep_name name;
	if (!handle(s, r, &ep))
		return COMMAND_REFUSED;
	if (r->words == 2)
		return settled(s, ep_connect(s->stack, ep, NULL));
	if (r->words != 4 || !name_at(s, r, 2, &name))
		return command_refuse(s, "connect EP [ADDR PORT]");
	return settled(s, ep_connect(s->stack, ep, &name));
}

/* send EP HEX */
static int64_t run_send(struct server *s, const struct request *r)
{
	ep_id ep;
	uint32_t len;
	if (!handle(s, r, &ep))
		return COMMAND_REFUSED;
	if (!word_hex(r->word[2], &len))
		return command_refuse(s, "not hex");
	return settled(s, ep_send(s->stack, ep, r->word[2], len));
}

/* sendto EP HEX [ADDR PORT] */
static int64_t run_sendto(struct server *s, const struct request *r)
{
	ep_id ep;
	uint32_t len;
	struct ep_name to;
	if (!handle(s, r, &ep))
		return COMMAND_REFUSED;
	if (!word_hex(r->word[2], &len) || r->words == 4)
		return command_refuse(s, "sendto EP HEX [ADDR PORT]");
	if (r->words == 5 && !name_at(s, r, 3, &to))
		return COMMAND_REFUSED;
	return settled(s, ep_send_to(s->stack, ep, r->word[2], len, r->words == 5 ? &to : NULL));
}

/* recv EP MAX; recvfrom EP MAX: "data", for datagrams cut to MAX, and "from" */
static int64_t receive(struct server *s, const struct request *r, bool datagram)
{
	ep_id ep;
	int64_t max;
	struct ep_name from = { 0 };
	if (!handle(s, r, &ep) || !number_at(s, r, 2, TRANSFER_MAX, &max))
		return COMMAND_REFUSED;
	if (max < 0)
		return command_refuse(s, "a negative size");
	uint8_t *bytes = malloc((size_t)max + 1);
	if (!bytes)
		return command_refuse(s, "no memory");
	int64_t result = datagram ? ep_recv_from(s->stack, ep, bytes, (uint32_t)max, &from)
				  : ep_recv(s->stack, ep, bytes, (uint32_t)max);
	if (result >= 0) {
		reply_format(&s->reply, ",\"data\":");
		reply_hex(&s->reply, bytes, (size_t)(result < max ? result : max));
		if (datagram)
			reply_name(s, "from", &from);
	}
	free(bytes);
	return settled(s, result);
}

static int64_t run_recv(struct server *s, const struct request *r)
{
	return receive(s, r, false);
}

static int64_t run_recvfrom(struct server *s, const struct request *r)
{
	return receive(s, r, true);
}

/* shutdown EP 1|2|3: read, write, both */
static int64_t run_shutdown(struct server *s, const struct request *r)
{
	ep_id ep;
	int64_t how;
	if (!handle(s, r, &ep) || !number_at(s, r, 2, EP_SHUT_BOTH, &how))
		return COMMAND_REFUSED;
	if (how < EP_SHUT_READ)
		return command_refuse(s, "shutdown EP 1|2|3");
	return settled(s, ep_shutdown(s->stack, ep, (enum ep_how)how));
}

static int64_t run_close(struct server *s, const struct request *r)
{
	ep_id ep;
	return handle(s, r, &ep) ? settled(s, ep_close(s->stack, ep)) : COMMAND_REFUSED;
}

static int64_t run_abort(struct server *s, const struct request *r)
{
	ep_id ep;
	return handle(s, r, &ep) ? settled(s, ep_abort(s->stack, ep)) : COMMAND_REFUSED;
}

/* set EP OPTION VALUE, get EP OPTION: options by their number in enum ep_option */
static int64_t run_set(struct server *s, const struct request *r)
{
	ep_id ep;
	int64_t option, value;
	if (!handle(s, r, &ep) || !number_at(s, r, 2, INT32_MAX, &option) ||
	    !number_at(s, r, 3, INT64_MAX, &value))
		return COMMAND_REFUSED;
	return settled(s, ep_set(s->stack, ep, (enum ep_option)option, value));
}

static int64_t run_get(struct server *s, const struct request *r)
{
	ep_id ep;
	int64_t option, value = 0;
	if (!handle(s, r, &ep) || !number_at(s, r, 2, INT32_MAX, &option))
		return COMMAND_REFUSED;
	int result = ep_get(s->stack, ep, (enum ep_option)option, &value);
	if (result == 0)
		reply_format(&s->reply, ",\"value\":%lld", (long long)value);
	return result;
}

static int64_t run_local(struct server *s, const struct request *r)
{
	ep_id ep;
	struct ep_name name = { 0 };
	if (!handle(s, r, &ep))
		return COMMAND_REFUSED;
	int result = ep_local(s->stack, ep, &name);
	if (result == 0)
		reply_name(s, "name", &name);
	return result;
}

static int64_t run_peer(struct server *s, const struct request *r)
{
	ep_id ep;
	struct ep_name name = { 0 };
	if (!handle(s, r, &ep))
		return COMMAND_REFUSED;
	int result = ep_peer(s->stack, ep, &name);
	if (result == 0)
		reply_name(s, "name", &name);
	return result;
}

static int64_t run_ready(struct server *s, const struct request *r)
{
	ep_id ep;
	return handle(s, r, &ep) ? ep_ready(s->stack, ep) : COMMAND_REFUSED;
}

static int64_t run_take_error(struct server *s, const struct request *r)
{
	ep_id ep;
	return handle(s, r, &ep) ? ep_take_error(s->stack, ep) : COMMAND_REFUSED;
}

static int64_t run_take_queued(struct server *s, const struct request *r)
{
	ep_id ep;
	uint8_t quote[EP_QUOTE_MOST];
	struct ep_queued_error e;
	if (!handle(s, r, &ep))
		return COMMAND_REFUSED;
	int result = ep_take_queued_error(s->stack, ep, &e, quote);
	if (result < 0)
		return result;
	reply_format(&s->reply, ",\"errno\":%d,\"origin\":%u,\"type\":%u,\"code\":%u,\"info\":%u,\"ttl\":%u,\"tos\":%u,\"interface\":%u",
		e.error, e.origin, e.type, e.code, e.info, e.ttl, e.tos, e.interface);
	reply_name(s, "offender", &(struct ep_name){ e.offender, 0 });
	reply_name(s, "to", &e.destination);
	reply_format(&s->reply, ",\"data\":");
	reply_hex(&s->reply, quote, e.quoted);
	return result;
}

/* urgent_send EP BYTE */
static int64_t run_urgent_send(struct server *s, const struct request *r)
{
	ep_id ep;
	int64_t byte;
	if (!handle(s, r, &ep) || !number_at(s, r, 2, 255, &byte))
		return COMMAND_REFUSED;
	return settled(s, ep_urgent_send(s->stack, ep, (uint8_t)byte));
}

static int64_t run_urgent_take(struct server *s, const struct request *r)
{
	ep_id ep;
	uint8_t byte = 0;
	if (!handle(s, r, &ep))
		return COMMAND_REFUSED;
	int result = ep_urgent_take(s->stack, ep, &byte);
	reply_format(&s->reply, ",\"byte\":%u", byte);
	return settled(s, result);
}

static int64_t run_at_mark(struct server *s, const struct request *r)
{
	ep_id ep;
	return handle(s, r, &ep) ? ep_at_mark(s->stack, ep) : COMMAND_REFUSED;
}

static void reply_info(struct server *s, const struct ep_info *i)
{
	reply_format(&s->reply,
		"{\"ep\":%llu,\"type\":%d,\"state\":%d,\"receive_queued\":%u,\"send_queued\":%u,"
		"\"send_unsent\":%u,\"receive_buffer\":%u,\"send_buffer\":%u,\"mss\":%u,\"receive_mss\":%u,"
		"\"cwnd\":%u,\"ssthresh\":%u,\"send_window\":%u,\"receive_window\":%u,",
		(unsigned long long)i->ep, i->type, i->state, i->receive_queued, i->send_queued,
		i->send_unsent, i->receive_buffer, i->send_buffer, i->mss, i->receive_mss, i->cwnd,
		i->ssthresh, i->send_window, i->receive_window);
	reply_format(&s->reply,
		"\"send_scale\":%u,\"receive_scale\":%u,\"backoff\":%u,\"probes\":%u,\"retransmits\":%u,"
		"\"timestamps\":%d,\"sack\":%d,\"window_scaling\":%d,\"syn_data\":%d,\"srtt\":%llu,\"rttvar\":%llu,"
		"\"rto\":%llu,\"rtt_min\":%llu,",
		i->send_scale, i->receive_scale, i->backoff, i->probes, i->retransmits, i->timestamps,
		i->sack, i->window_scaling, i->syn_data, (unsigned long long)i->srtt, (unsigned long long)i->rttvar,
		(unsigned long long)i->rto, (unsigned long long)i->rtt_min);
	reply_format(&s->reply,
		"\"bytes_acked\":%llu,\"bytes_received\":%llu,\"bytes_sent\":%llu,"
		"\"bytes_retransmitted\":%llu,\"segments_sent\":%u,\"segments_received\":%u,"
		"\"retransmitted_total\":%u,\"in_flight_segments\":%u,\"sacked\":%u,\"lost\":%u,\"sent_again\":%u,\"recovery\":%d,"
		"\"path_mtu\":%u,\"cc\":",
		(unsigned long long)i->bytes_acked, (unsigned long long)i->bytes_received,
		(unsigned long long)i->bytes_sent, (unsigned long long)i->bytes_retransmitted,
		i->segments_sent, i->segments_received, i->retransmitted_total, i->in_flight_segments,
		i->sacked, i->lost, i->sent_again, i->recovery, i->path_mtu);
	reply_string(&s->reply, i->cc ? i->cc : "");
	reply_format(&s->reply,
		",\"ecn\":%d,\"ecn_seen\":%d,\"ecn_mute\":%d,\"delivered_ce\":%u,\"received_ce\":%u,"
		"\"delivered_bytes\":[%u,%u,%u],\"received_bytes\":[%u,%u,%u]",
		i->ecn, i->ecn_seen, i->ecn_mute, i->delivered_ce, i->received_ce,
		i->delivered_e0_bytes, i->delivered_ce_bytes, i->delivered_e1_bytes,
		i->received_e0_bytes, i->received_ce_bytes, i->received_e1_bytes);
	reply_name(s, "local", &i->local);
	reply_name(s, "peer", &i->peer);
	reply_format(&s->reply, "}");
}

static int64_t run_info(struct server *s, const struct request *r)
{
	ep_id ep;
	struct ep_info info = { 0 };
	if (!handle(s, r, &ep))
		return COMMAND_REFUSED;
	int result = ep_info(s->stack, ep, &info);
	if (result == 0) {
		reply_format(&s->reply, ",\"info\":");
		reply_info(s, &info);
	}
	return result;
}

static int64_t run_walk(struct server *s, const struct request *r)
{
	struct ep_info info = { 0 };
	uint32_t cursor = 0;
	int64_t count = 0;
	(void)r;
	reply_format(&s->reply, ",\"sockets\":[");
	for (; ep_walk(s->stack, &cursor, &info); count++) {
		reply_format(&s->reply, count ? "," : "");
		reply_info(s, &info);
		info = (struct ep_info){ 0 };
	}
	reply_format(&s->reply, "]");
	return count;
}

const struct command endpoint_commands[] = {
	{ "open", 1, 1, true, run_open },
	{ "bind", 3, 3, true, run_bind },
	{ "listen", 2, 2, true, run_listen },
	{ "accept", 1, 1, true, run_accept },
	{ "connect", 1, 3, true, run_connect },
	{ "send", 2, 2, true, run_send },
	{ "sendto", 2, 4, true, run_sendto },
	{ "recv", 2, 2, true, run_recv },
	{ "recvfrom", 2, 2, true, run_recvfrom },
	{ "shutdown", 2, 2, true, run_shutdown },
	{ "close", 1, 1, true, run_close },
	{ "abort", 1, 1, true, run_abort },
	{ "set", 3, 3, true, run_set },
	{ "get", 2, 2, true, run_get },
	{ "local", 1, 1, true, run_local },
	{ "peer", 1, 1, true, run_peer },
	{ "ready", 1, 1, true, run_ready },
	{ "take_error", 1, 1, true, run_take_error },
	{ "take_queued", 1, 1, true, run_take_queued },
	{ "urgent_send", 2, 2, true, run_urgent_send },
	{ "urgent_take", 1, 1, true, run_urgent_take },
	{ "at_mark", 1, 1, true, run_at_mark },
	{ "info", 1, 1, true, run_info },
	{ "walk", 0, 0, true, run_walk },
	{ 0 },
};
