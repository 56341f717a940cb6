/* SPDX-License-Identifier: BSD-3-Clause */
/* Commands on sockets with shared rings (rings.h): what a program does through shared memory. */
#include "server.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

static struct ring_socket *socket_of(struct server *s, const struct request *r)
{
	ep_id id;
	struct ring_socket *socket = word_u64(r->word[1], &id) && id ? rings_find_or_null(&s->rings, id) : NULL;
	if (!socket)
		command_refuse(s, "no socket with shared rings: %.40s", r->word[1]);
	return socket;
}

static void reply_addr(struct server *s, const char *key, const struct ipaddr *addr, uint16_t port)
{
	char text[INET6_ADDRSTRLEN];
	if (ipaddr_is_ip4(addr))
		inet_ntop(AF_INET, &addr->words[3], text, sizeof(text));
	else
		inet_ntop(AF_INET6, addr->bytes, text, sizeof(text));
	reply_format(&s->reply, ",\"%s\":[\"%s\",%u]", key, text, port);
}

/* open_ring stream|datagram */
static int64_t run_open_ring(struct server *s, const struct request *r)
{
	bool stream = strcmp(r->word[1], "stream") == 0;
	ep_id ep = 0;
	if (!stream && strcmp(r->word[1], "datagram") != 0)
		return command_refuse(s, "open_ring stream|datagram");
	int result = rings_open(&s->rings, s->stack, stream ? EP_STREAM : EP_DATAGRAM, &ep);
	reply_format(&s->reply, ",\"ep\":%llu", (unsigned long long)ep);
	server_settle(s);
	return result;
}

/* recvmsg EP MAX: "data", "from", "to", "interface", "tos", "ttl" */
static int64_t run_recvmsg(struct server *s, const struct request *r)
{
	struct ring_socket *socket = socket_of(s, r);
	struct dgram_header header;
	uint64_t max;
	if (!socket)
		return COMMAND_REFUSED;
	if (!word_u64(r->word[2], &max) || max > 65536)
		return command_refuse(s, "recvmsg EP MAX");
	uint8_t *bytes = malloc(max + 1);
	if (!bytes)
		return command_refuse(s, "no memory");
	int64_t result = rings_receive(s->stack, socket, &header, bytes, (uint32_t)max);
	if (result >= 0) {
		reply_format(&s->reply, ",\"interface\":%u,\"tos\":%u,\"ttl\":%u,\"data\":", header.interface,
			header.tos, header.ttl);
		reply_hex(&s->reply, bytes, (size_t)(result < (int64_t)max ? result : (int64_t)max));
		reply_addr(s, "from", &header.peer, header.peer_port);
		reply_addr(s, "to", &header.local, header.local_port);
	}
	free(bytes);
	server_settle(s);
	return result;
}

/* sendmsg EP HEX ADDR PORT SOURCE|- */
static int64_t run_sendmsg(struct server *s, const struct request *r)
{
	struct ring_socket *socket = socket_of(s, r);
	struct dgram_header header = { 0 };
	uint64_t port;
	if (!socket)
		return COMMAND_REFUSED;
	if (!word_hex(r->word[2], &header.length) || !word_addr(r->word[3], &header.peer) ||
	    !word_u64(r->word[4], &port) || port > 65535 || !word_addr(r->word[5], &header.local))
		return command_refuse(s, "sendmsg EP HEX ADDR PORT SOURCE|-");
	header.peer_port = (uint16_t)port;
	int64_t result = rings_send(s->stack, socket, &header, (const uint8_t *)r->word[2]);
	server_settle(s);
	return result;
}

/* move EP send_head|receive_tail BY: an index as a broken program would move it, and the call that tells */
static int64_t run_move(struct server *s, const struct request *r)
{
	struct ring_socket *socket = socket_of(s, r);
	int64_t by;
	int result;
	if (!socket)
		return COMMAND_REFUSED;
	if (!word_i64(r->word[3], &by) || by < INT32_MIN || by > INT32_MAX)
		return command_refuse(s, "move EP WHICH BY");
	if (strcmp(r->word[2], "send_head") == 0) {
		socket->send_head += (uint32_t)by;
		result = ep_sent(s->stack, socket->id);
		socket->send_head -= (uint32_t)by;
	} else if (strcmp(r->word[2], "receive_tail") == 0) {
		socket->receive_tail += (uint32_t)by;
		result = ep_received(s->stack, socket->id);
		socket->receive_tail -= (uint32_t)by;
	} else {
		return command_refuse(s, "move EP send_head|receive_tail BY");
	}
	server_settle(s);
	return result;
}

const struct command ring_commands[] = {
	{ "open_ring", 1, 1, true, run_open_ring },
	{ "recvmsg", 2, 2, true, run_recvmsg },
	{ "sendmsg", 5, 5, true, run_sendmsg },
	{ "move", 3, 3, true, run_move },
	{ 0 },
};
