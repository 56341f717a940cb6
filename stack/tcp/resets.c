/* SPDX-License-Identifier: BSD-3-Clause */
/* An aborted connection leaves nothing that could be retransmitted: if its one RST does not get as far as the link, the peer
 * learns nothing, and an orphan in FIN-WAIT-2 stays for a minute. A program that is killed with thousands of connections
 * sends more resets at once than any link has room for, so they wait here. What the network loses is lost. */
#include "resets.h"

#include <stdlib.h>

#include "ecn.h"
#include "output.h"

#define RESET_AGE NSEC_PER_SEC   /* a link that is stuck for longer gets none */

struct reset_record {
	struct flow_key key;
	nsec since;
	uint32_t seq, ack;
	uint8_t ttl, tos;
};

struct resets {
	struct reset_record *at;   /* `size` of them, touched as they are used; n of them wait, from `first` on */
	uint32_t size, first, n;
};

/* False: the link has no room now. Without a way there, the reset is given up. */
static bool sent(struct stack *s, const struct reset_record *r)
{
	struct path path;
	struct output_route route = { .path = &path, .ttl = r->ttl, .tos = r->tos, .dont_fragment = true };
	struct tcp_segment seg = {
		.source = r->key.local_port,
		.destination = r->key.remote_port,
		.seq = r->seq,
		.ack = r->ack,
		.flags = SEG_RST | SEG_ACK,     /* RFC 9293 3.10.5 wants no more than RST; Linux's says what was received, too */
	};
	uint64_t full = s->drops[DROP_LINK_FULL] + s->drops[DROP_LINK_NO_PACKET];

	if (s->now - r->since >= RESET_AGE || route_find(s, &r->key.local, &r->key.remote, &path) < 0)
		return true;
	return output_bare(s, &route, &seg) || s->drops[DROP_LINK_FULL] + s->drops[DROP_LINK_NO_PACKET] == full;
}

unsigned resets_flush(struct stack *s)
{
	struct resets *q = s->tcp->resets;
	unsigned n = 0;

	while (q->n > 0 && sent(s, &q->at[q->first])) {
		q->first = (q->first + 1) % q->size;
		q->n--;
		n++;
	}
	return n;
}

void resets_send(struct tcp_conn *c, uint32_t seq)
{
	struct resets *q = c->stack->tcp->resets;
	struct reset_record r = {
		.key = c->flow.key, .since = c->stack->now, .seq = seq, .ack = c->rcv_nxt, .ttl = c->ep->ttl, .tos = c->ep->tos & 0xfc,
	};

	if (c->ecn && conn_congestion(c)->flags & CC_NEEDS_ECN)
		r.tos |= ECN_ECT_0; /* RFC 8257 3.6 */
	count(c->stack, COUNT_TCP_RESETS_SENT);
	if ((q->n == 0 && sent(c->stack, &r)) || q->n == q->size)
		return;
	q->at[(q->first + q->n) % q->size] = r;
	q->n++;
}

struct resets *resets_new(uint32_t size)
{
	struct resets *q = calloc(1, sizeof(*q));

	if (!q)
		return NULL;
	q->at = calloc(size, sizeof(*q->at));
	q->size = size;
	if (q->at)
		return q;
	free(q);
	return NULL;
}

void resets_free(struct resets *q)
{
	if (q)
		free(q->at);
	free(q);
}

bool resets_wait(const struct stack *s)
{
	return s->tcp->resets->n > 0;
}
