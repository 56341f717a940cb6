/* SPDX-License-Identifier: BSD-3-Clause */
/* TCP as the rest of the stack sees it: where a segment enters and finds its connection (RFC 9293 3.10.7), errors of
 * ICMP (RFC 5927), the ready list, the pools, the settings. */
#include "conn.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "close.h"
#include "fastopen_cookie.h"
#include "ecn.h"
#include "flight.h"
#include "gaps.h"
#include "half_open.h"
#include "input.h"
#include "listen.h"
#include "mtu_probe.h"
#include "output.h"
#include "pace.h"
#include "resets.h"
#include "send.h"
#include "user_timeout.h"

#define PROTOCOL_TCP 6
#define READY_BURST 256 /* connections served in one turn */
#define RECORDS_SHARED 1048576 /* of what is in flight, beyond two for each connection */
#define RECORDS_EACH 4096     /* ... and less where there are few connections */
#define RARE_MOST 65536 /* listeners; connections with a gap, or in search of their path MTU, at the same time */
#define MANY_GAPS_MOST 1024   /* connections that may have many gaps at a time: 32 MB */
#define MOST_GAPS_MOST 32     /* ... and very many: 64 MB */

static bool checksum_good(const struct pkt *p, const struct ip_received *ip)
{
	uint64_t sum;

	if (p->flags & PKT_CSUM_GOOD)
		return true;
	sum = csum_pseudo(&ip->source, &ip->destination, PROTOCOL_TCP, p->len);
	return csum_finish(csum_add(sum, p->data, p->len)) == 0;
}

/* No connection: a listener, or a reset (RFC 9293 3.10.7.1). */
RARELY_CALLED void receive_unknown(struct stack *s, struct tcp_segment *seg, const struct ip_received *ip, uint32_t isn)
{
	const struct flow_key key = {
		.local = ip->destination,
		.remote = ip->source,
		.local_port = seg->destination,
		.remote_port = seg->source,
	};
	struct endpoint *listener = port_lookup(s, EP_STREAM, &key);

	if (listener) {
		listen_input(s, listener, seg, ip, isn);
		return;
	}
	drop_count(s, DROP_TCP_NO_SOCKET);
	output_reset_for(s, ip, seg);
}

static void receive(struct stack *s, struct tcp_segment *seg, const struct ip_received *ip)
{
	struct flow *f = flow_find_received(s, ip, seg->destination, seg->source);
	uint32_t isn = 0;

	if (!f) {
		receive_unknown(s, seg, ip, 0);
		return;
	}
	switch ((enum flow_kind)f->kind) {
	case FLOW_CONNECTION:
		input_segment(container_of(f, struct tcp_conn, flow), seg, ip);
		break;
	case FLOW_HALF_OPEN:
		half_open_input(s, f, seg, ip);
		break;
	case FLOW_TIME_WAIT:
		if (close_time_wait_input(s, f, seg, ip, &isn))
			receive_unknown(s, seg, ip, isn);
		break;
	}
}

void tcp_receive(struct stack *s, struct pkt *p, const struct ip_received *ip)
{
	struct tcp_segment seg;
	enum drop reason;

	count(s, COUNT_TCP_RECEIVED);
	if (ip->to_broadcast) {
		pkt_drop(s, p, DROP_TCP_BROADCAST);
		return;
	}
	if (!segment_parse(&seg, p->data, p->len, &reason)) {
		pkt_drop(s, p, checksum_good(p, ip) ? reason : DROP_TCP_CHECKSUM);
		return;
	}
	if (!checksum_good(p, ip)) {
		pkt_drop(s, p, DROP_TCP_CHECKSUM);
		return;
	}
	if (seg.source == 0 || seg.destination == 0) {
		pkt_drop(s, p, DROP_TCP_BROADCAST);
		return;
	}
	if (p->gso_size != 0 && seg.len > p->gso_size)
		seg.segments = (uint16_t)((seg.len + p->gso_size - 1) / p->gso_size);
	seg.ecn = ip->tos & 3;
	receive(s, &seg, ip);
	pkt_done(s, p);
}

/* RFC 5927 7: only a real decrease, and what did not fit goes again at once in smaller pieces. */
static void path_mtu_lowered(struct tcp_conn *c, uint32_t mtu)
{
	uint16_t before = c->snd_mss;

	if (mtu >= c->path.mtu || mtu < 68)
		return;
	pmtu_lower(c->stack, &c->flow.key.remote, (uint16_t)mtu);
	c->mtu_changed = true;
	if (!conn_refresh_path(c) || !conn_synchronised(c) || c->snd_mss >= before)
		return;
	c->timed = false;
	if (c->mtu)
		mtu_probe_inconclusive(c);
	flight_forget(c);
	c->snd_nxt = c->snd_una;
	conn_ready(c);
}

/* RFC 1122 4.2.3.9 with RFC 5927 4.1 and 5.2: only what quotes a number in flight counts, and only before the
 * connection is synchronised can an error end it. */
void tcp_icmp_error(struct stack *s, const struct icmp_error *e)
{
	struct flow *f = flow_find(s, &e->key);
	struct tcp_conn *c;
	uint32_t seq;

	if (!f || f->kind != FLOW_CONNECTION) {
		drop_count(s, DROP_TCP_ICMP);
		return;
	}
	c = container_of(f, struct tcp_conn, flow);
	memcpy(&seq, e->quoted + 4, sizeof(seq));
	seq = __builtin_bswap32(seq);
	if (!seq_within(seq, c->snd_una, c->snd_max - c->snd_una)) {
		drop_count(s, DROP_TCP_ICMP);
		return;
	}
	if (e->mtu) {
		path_mtu_lowered(c, e->mtu);
		return;
	}
	if (!conn_synchronised(c))
		errors_icmp(s, c->ep, e, 0);   /* with the header (as Linux): traceroute by SYN */
	if (!conn_synchronised(c) && (e->hard || (e->error && s->config.tcp.soft_errors_end_attempts))) {
		conn_end(c, e->error);
		return;
	}
	c->soft_error = (uint8_t)e->error;
	/* ip(7): a stream that asked hears of it at once. */
	if (c->ep->recv_err && conn_synchronised(c))
		ep_fail(s, c->ep, e->error, EP_READABLE | EP_WRITABLE);
}

static uint32_t records_shared(uint32_t endpoints)
{
	return endpoints < RECORDS_SHARED / RECORDS_EACH ? endpoints * RECORDS_EACH : RECORDS_SHARED;
}

int tcp_init(struct stack *s)
{
	const struct stack_config *config = &s->config;
	struct tcp_stack *t = calloc(1, sizeof(*t));
	uint32_t rare = config->max_endpoints < RARE_MOST ? config->max_endpoints : RARE_MOST;

	s->tcp = t;
	if (!t)
		return -ENOMEM;
	t->cc = cc_find(config->tcp.cc);
	if (!t->cc || (unsigned)config->tcp.ecn >= TCP_ECN_END || !user_timeout_settings_good(&config->tcp))
		return -EINVAL;
	list_init(&t->ready);
	list_init(&t->half_open_age);
	list_init(&t->time_wait_age);
	t->isn_key = siphash_key_for(config->secret, 0x6e7369); /* "isn" */
	t->ts_key = siphash_key_for(config->secret, 0x7374);    /* "ts" */
	t->cookie_key = siphash_key_for(config->secret, 0x6b6f6f63); /* "cook" */
	t->fastopen_key = siphash_key_for(config->secret, 0x6f6674);  /* "tfo" */
	t->fastopen = fastopen_cache_new();
	t->resets = resets_new(config->max_endpoints);
	if (!t->fastopen || !t->resets || !pool_init(&t->conns, sizeof(struct tcp_conn), config->max_endpoints) ||
	    !pool_init(&t->listeners, sizeof(struct tcp_listener), rare) ||
	    !pool_init(&t->gaps, gaps_size(TCP_GAPS), rare) ||
	    !pool_init(&t->many_gaps, gaps_size(TCP_GAPS_MANY), rare < MANY_GAPS_MOST ? rare : MANY_GAPS_MOST) ||
	    !pool_init(&t->most_gaps, gaps_size(TCP_GAPS_MOST), rare < MOST_GAPS_MOST ? rare : MOST_GAPS_MOST) ||
	    !pool_init(&t->mtu_searches, sizeof(struct mtu_search), rare) ||
	    !pool_init(&t->flights, sizeof(struct flight), config->max_endpoints) ||
	    !pool_init(&t->records, sizeof(struct record), 2 * config->max_endpoints + records_shared(config->max_endpoints)) ||
	    !pool_init(&t->deliveries, sizeof(struct delivery), config->max_endpoints) ||
	    !pool_init(&t->ecns, sizeof(struct ecn), config->max_endpoints) ||
	    !pool_init(&t->meters, sizeof(struct meter), config->max_endpoints) ||
	    !pool_init(&t->validations, sizeof(struct validation), config->max_endpoints) ||
	    !pool_init(&t->half_opens, half_open_size(), config->tcp.max_half_open) ||
	    !pool_init(&t->time_waits, close_time_wait_size(), config->tcp.max_time_wait))
		return -ENOMEM;
	return 0;
}

void tcp_free(struct stack *s)
{
	if (!s->tcp)
		return;
	resets_free(s->tcp->resets);
	fastopen_cache_free(s->tcp->fastopen);
	pool_free(&s->tcp->conns);
	pool_free(&s->tcp->listeners);
	pool_free(&s->tcp->gaps);
	pool_free(&s->tcp->many_gaps);
	pool_free(&s->tcp->most_gaps);
	pool_free(&s->tcp->mtu_searches);
	pool_free(&s->tcp->flights);
	pool_free(&s->tcp->records);
	pool_free(&s->tcp->deliveries);
	pool_free(&s->tcp->ecns);
	pool_free(&s->tcp->validations);
	pool_free(&s->tcp->meters);
	pool_free(&s->tcp->half_opens);
	pool_free(&s->tcp->time_waits);
	free(s->tcp);
	s->tcp = NULL;
}

nsec tcp_output_due(const struct stack *s)
{
	if (list_empty(&s->tcp->ready) && !resets_wait(s))
		return NSEC_NEVER;
	return s->tcp->retry_at > s->now ? s->tcp->retry_at : s->now;
}

unsigned tcp_output_ready(struct stack *s)
{
	struct list batch, *node;
	unsigned n = 0;

	if (s->now < s->tcp->retry_at)
		return 0;
	if (resets_wait(s)) {
		n = resets_flush(s);
		if (resets_wait(s)) {
			s->tcp->retry_at = s->now + TCP_LINK_WAIT;
			return n;
		}
	}
	if (list_empty(&s->tcp->ready))
		return n;
	/* Who becomes ready meanwhile waits for the next turn. */
	list_init(&batch);
	list_splice(&batch, &s->tcp->ready);
	while (n < READY_BURST && (node = list_take_or_null(&batch)) != NULL) {
		send_turn(container_of(node, struct tcp_conn, ready_node));
		n++;
	}
	list_splice(&batch, &s->tcp->ready);
	list_splice(&s->tcp->ready, &batch);
	return n;
}

void tcp_memory(const struct stack *s, struct stack_memory *m)
{
	/* A socket that is not connected, or no longer, is no connection. */
	m->connections = s->flow_count - (s->tcp->half_opens.used - s->tcp->fastopen_requests) - s->tcp->time_waits.used;
	m->half_open = s->tcp->half_opens.used;
	m->time_wait = s->tcp->time_waits.used;
	m->orphans = s->tcp->orphans;
	m->stream_buffers = s->stream_bytes_lent;
	m->pressed = s->memory_pressed;
}

size_t tcp_pool_bytes(const struct stack *s)
{
	const struct tcp_stack *t = s->tcp;

	return pool_bytes(&t->conns) + pool_bytes(&t->listeners) + pool_bytes(&t->gaps) + pool_bytes(&t->many_gaps) + pool_bytes(&t->most_gaps) +
	       pool_bytes(&t->mtu_searches) + pool_bytes(&t->flights) + pool_bytes(&t->records) + pool_bytes(&t->deliveries) +
	       pool_bytes(&t->ecns) + pool_bytes(&t->validations) + pool_bytes(&t->meters) + pool_bytes(&t->half_opens) + pool_bytes(&t->time_waits);
}

/* Half-open connections first, then TIME-WAIT. */
bool tcp_walk_extra(struct stack *s, uint32_t *cursor, struct ep_info *info)
{
	uint32_t half_opens = pool_end(&s->tcp->half_opens);
	uint32_t end = half_opens + pool_end(&s->tcp->time_waits);

	while (*cursor < end) {
		uint32_t i = (*cursor)++;

		if (i < half_opens ? half_open_info(s, i, info)
				   : close_time_wait_info(s, i - half_opens, info))
			return true;
	}
	return false;
}

const char *tcp_check(const struct stack *s)
{
	uint32_t ready = 0, gaps = 0, searches = 0, validations = 0, meters = 0, orphans = 0;

	for (uint32_t i = 0; i < pool_end(&s->tcp->conns); i++) {
		const struct tcp_conn *c = pool_at_or_null(&s->tcp->conns, i);

		if (!c)
			continue;
		ready += list_linked(&c->ready_node);
		gaps += c->gaps != NULL;
		searches += c->mtu != NULL;
		validations += c->validation != NULL;
		meters += c->meter != NULL;
		orphans += c->orphan;
		if (c->ep->released)
			return "tcp: a connection outlived its endpoint";
	}
	list_for_each(node, &s->tcp->ready)
		ready--;
	if (gaps != s->tcp->gaps.used + s->tcp->many_gaps.used + s->tcp->most_gaps.used)
		return "tcp: the intervals of a connection are lost";
	if (orphans != s->tcp->orphans)
		return "tcp: orphans are counted wrong";
	if (searches != s->tcp->mtu_searches.used)
		return "tcp: a search for the path MTU is lost";
	if (meters != s->tcp->meters.used)
		return "tcp: the books of a sender are lost";
	if (validations != s->tcp->validations.used)
		return "tcp: the account of a used window is lost";
	return ready == 0 ? NULL : "tcp: the ready list and its connections disagree";
}

const struct tcp_settings *stack_tcp_settings(const struct stack *s)
{
	return &s->config.tcp;
}

int stack_set_tcp_settings(struct stack *s, const struct tcp_settings *wanted)
{
	const struct cc_ops *cc = cc_find(wanted->cc);
	struct tcp_settings *now = &s->config.tcp;
	uint32_t half_open = now->max_half_open, time_wait = now->max_time_wait;

	if (!cc || (unsigned)wanted->ecn >= TCP_ECN_END || !user_timeout_settings_good(wanted))
		return -EINVAL;
	*now = *wanted;
	now->max_half_open = half_open;
	now->max_time_wait = time_wait;
	now->cc = cc->name;     /* the caller's string may go */
	s->tcp->cc = cc;
	return 0;
}

void tcp_settings_linux(struct tcp_settings *t)
{
	*t = (struct tcp_settings){
		.rto_initial = NSEC_PER_SEC,
		.rto_min = 200 * NSEC_PER_MSEC,
		.rto_max = 120 * NSEC_PER_SEC,
		/* Linux floors the variance term at rto_min: that is G of RFC 6298 2.3. */
		.clock_granularity = 200 * NSEC_PER_MSEC,
		.delayed_ack = 40 * NSEC_PER_MSEC,
		.msl = 30 * NSEC_PER_SEC,
		.fin_wait_2 = 60 * NSEC_PER_SEC,
		.keep_idle = 7200 * NSEC_PER_SEC,
		.keep_interval = 75 * NSEC_PER_SEC,
		.keep_count = 9,
		.syn_retries = 6,
		.syn_ack_retries = 5,
		.retries_1 = 3,
		.retries_2 = 15,
		.orphan_retries = 8,
		.uto_lower = 100 * NSEC_PER_SEC,    /* RFC 1122 4.2.3.5 by way of RFC 5482 3.1 */
		.uto_upper = 3600 * NSEC_PER_SEC,
		.initial_window = 10,
		.receive_buffer_initial = 64 * 1024,
		.receive_buffer_max = 4 * 1024 * 1024,
		.send_buffer_initial = TCP_SEND_FIRST_EXTENT,
		.send_buffer_max = 4 * 1024 * 1024,
		/* Linux has 0. Probing costs nothing until R1 timeouts in a row, and then a connection goes on that would have died. */
		.mtu_probing = 1,
		.mtu_probe_base = 1024,
		.mtu_probe_again = 600 * NSEC_PER_SEC,
		.max_orphans = 65536,
		.max_half_open = 16384,
		.max_time_wait = 65536,
		.syn_cookies = TCP_COOKIES_WHEN_FULL,
		.fastopen = TCP_FASTOPEN_CLIENT | TCP_FASTOPEN_SERVER,
		.window_scaling = true,
		.timestamps = true,
		.sack = true,
		.ecn = TCP_ECN_PASSIVE,
		.close_unread_resets = true,
		.soft_errors_end_attempts = true,
		.cc = "cubic",
	};
}

void tcp_settings_standard(struct tcp_settings *t)
{
	tcp_settings_linux(t);
	t->cc = "newreno";                          /* RFC 5681 */
	t->soft_errors_end_attempts = false;        /* RFC 9293 MUST-56 */
	t->rto_min = NSEC_PER_SEC;                  /* RFC 6298 2.4 */
	t->clock_granularity = NSEC_PER_MSEC;
	t->delayed_ack = 200 * NSEC_PER_MSEC;
	t->msl = 120 * NSEC_PER_SEC;                /* RFC 9293 3.4.2 */
	t->syn_retries = 7;                         /* 1 + 2 + ... + 64 + 120 s: over three minutes (MUST-23) */
	t->syn_ack_retries = 7;
	t->user_timeout = 300 * NSEC_PER_SEC;       /* RFC 9293 3.9.1: five minutes */
}
