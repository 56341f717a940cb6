/* SPDX-License-Identifier: BSD-3-Clause */
/* Sending through a spread: on the core's own queue, or through the queue of another core, into whose memory the bytes are copied. */
#include "spread_lanes.h"

#include <string.h>

#define SERVE_BURSTS 4u         /* for others, in one turn of a core with a queue */

static struct spread_core *core_of(struct link *l)
{
	return (struct spread_core *)(void *)l;
}

unsigned spread_borrow(struct link *l, struct pkt **out, unsigned n)
{
	struct spread_core *c = core_of(l);
	unsigned got;

	if (c->queue) {
		got = c->queue->ops->borrow(c->queue, out, n);
		for (unsigned i = 0; i < got; i++)
			out[i]->link = l;
	} else {
		if (c->own.outstanding + n > c->own.count)
			spread_collect(c);
		got = pktpool_take(&c->own, l, out, n);
	}
	for (unsigned i = 0; i < got; i++)
		out[i]->core = (uint16_t)c->number;
	return got;
}

/* Makes the first packets the queue's own, by copies where they are not, and hands them to it. What it takes is gone from packets, the
 * rest moves to the front: how many are left. */
static unsigned push(struct spread_core *c, struct pkt **packets, unsigned n)
{
	unsigned ready = 0, taken;

	while (ready < n) {
		struct pkt *p = packets[ready], *copy = NULL;
		bool fits;

		if (!spread_is_queues(c, p)) {
			if (c->queue->ops->borrow(c->queue, &copy, 1) != 1)
				break;
			copy->core = (uint16_t)c->number;
			fits = spread_copy(copy, p);
			spread_give(c, fits ? &p : &copy, 1);
			if (!fits) {
				spread_give(c, &p, 1);
				c->counts[SPREAD_LOST_SEND]++;
				memmove(&packets[ready], &packets[ready + 1], (--n - ready) * sizeof(*packets));
				continue;
			}
			packets[ready] = p = copy;
		}
		p->link = c->queue;
		ready++;
	}
	taken = ready ? c->queue->ops->transmit(c->queue, packets, ready) : 0;
	memmove(packets, packets + taken, (n - taken) * sizeof(*packets));
	return n - taken;
}

/* What is the queue's own goes at once; then what is not (an answer in the packet that another core handed over, which is rare) one by
 * one. A copy that the queue does not take is the caller's from then on. */
static unsigned transmit_here(struct spread_core *c, struct pkt **packets, unsigned n)
{
	unsigned plain = 0, taken;

	while (plain < n && spread_is_queues(c, packets[plain]))
		packets[plain++]->link = c->queue;
	taken = plain ? c->queue->ops->transmit(c->queue, packets, plain) : 0;
	for (unsigned i = taken; i < plain; i++)
		packets[i]->link = &c->link;
	while (taken >= plain && taken < n && !spread_is_queues(c, packets[taken])) {
		struct pkt *p = packets[taken];

		if (push(c, &p, 1)) {
			p->link = &c->link;
			packets[taken] = p;
			break;
		}
		taken++;
	}
	return taken;
}

unsigned spread_transmit(struct link *l, struct pkt **packets, unsigned n)
{
	struct spread_core *c = core_of(l);
	uint32_t bytes[SPREAD_BURST];
	unsigned done = 0, taken, most;

	do {
		most = n - done < SPREAD_BURST ? n - done : SPREAD_BURST;
		for (unsigned i = 0; i < most; i++)
			bytes[i] = packets[done + i]->len;
		if (c->queue)
			taken = transmit_here(c, packets + done, most);
		else
			taken = lane_put(c->spread->send[c->number], packets + done, most);
		for (unsigned i = 0; i < taken; i++)
			l->stats.tx_bytes += bytes[i];
		l->stats.tx_packets += taken;
		done += taken;
	} while (taken > 0 && done < n);
	if (!c->queue && done > 0)
		spread_wake(c, 1u << c->through);
	return done;
}

void spread_serve(struct spread_core *c)
{
	const struct spread *s = c->spread;

	if (c->sending.count)
		c->sending.count = push(c, c->sending.packets, c->sending.count);
	for (unsigned o = s->config.queues; o < s->config.cores; o++) {
		if (s->cores[o].through != c->number)
			continue;
		for (unsigned bursts = 0; c->sending.count == 0 && bursts < SERVE_BURSTS; bursts++) {
			unsigned n = lane_take(s->send[o], c->sending.packets, SPREAD_BURST);

			if (n == 0)
				break;
			c->counts[SPREAD_SENT_FOR_OTHERS] += n;
			c->sending.count = push(c, c->sending.packets, n);
		}
	}
}
