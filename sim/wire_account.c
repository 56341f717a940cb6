/* SPDX-License-Identifier: BSD-3-Clause */
/* What the wire says of itself: counters, and that no packet is lost, doubled or held by two. */
#include "wire.h"

#include "stack/base/check.h"
#include "wire_state.h"

static const char *const names[WIRE_COUNTS] = {
	[WIRE_DELIVERED] = "delivered",
	[WIRE_LOST] = "lost",
	[WIRE_QUEUE_FULL] = "queue-full",
	[WIRE_QUEUE_DROPPED] = "queue-dropped",
	[WIRE_MARKED] = "marked",
	[WIRE_DUPLICATED] = "duplicated",
	[WIRE_REORDERED] = "reordered",
	[WIRE_CORRUPTED] = "corrupted",
	[WIRE_BLACK_HOLE] = "black_hole",
	[WIRE_OVERSIZE] = "oversize",
	[WIRE_RUNT] = "runt",
	[WIRE_NO_CARRIER] = "no-carrier",
	[WIRE_NO_PORT] = "no-port",
	[WIRE_HOST_SLOW] = "host-slow",
	[WIRE_POOL_DRY] = "pool-dry",
};

uint32_t wire_outstanding(const struct wire *w)
{
	return w->host_count;
}

uint32_t wire_inside(const struct wire *w)
{
	return w->wire_count;
}

uint64_t wire_count(const struct wire *w, enum wire_count which)
{
	CHECK(which < WIRE_COUNTS);
	return w->counts[which];
}

const char *wire_count_name(enum wire_count which)
{
	CHECK(which < WIRE_COUNTS);
	return names[which];
}

/* Walks one list of packets that must have this holder; their number, or UINT32_MAX. */
static uint32_t walk(const struct wire *w, struct pkt *p, enum holder holder)
{
	uint32_t n;

	for (n = 0; p; p = p->next)
		if (wire_packet(p)->holder != holder || ++n > w->config.packets)
			return UINT32_MAX;
	return n;
}

/* One list of a cable: as many as it counts, all the wire's. */
static bool list_counts(const struct wire_packet *wp, uint32_t count)
{
	uint32_t n;

	for (n = 0; wp && n <= count; wp = wp->wait_next, n++)
		if (wp->holder != HELD_BY_WIRE)
			return false;
	return n == count;
}

static bool pipe_counts(const struct pipe *p)
{
	return list_counts(p->queue.first, p->queue.packets) && list_counts(p->flying, p->flying_count);
}

static uint32_t under_way(const struct pipe *p)
{
	return p->queue.packets + p->flying_count;
}

const char *wire_check(const struct wire *w)
{
	uint32_t inside = w->late, n, i;

	for (i = 0; i < w->config.ports; i++) {
		n = walk(w, w->ports[i].received, HELD_BY_WIRE);
		if (n != w->ports[i].received_count)
			return "a receive queue does not have the packets it counts";
		inside += n;
		if (!pipe_counts(&w->ports[i].pipes[WIRE_UP]) || !pipe_counts(&w->ports[i].pipes[WIRE_DOWN]))
			return "a cable does not have the packets it counts";
		inside += under_way(&w->ports[i].pipes[WIRE_UP]) + under_way(&w->ports[i].pipes[WIRE_DOWN]);
	}
	if (inside != w->wire_count)
		return "packets inside the wire are neither under way nor in a receive queue";
	n = walk(w, w->free_list, HELD_BY_POOL);
	if (n == UINT32_MAX || n + (w->config.packets - w->fresh) != w->free_count)
		return "the free list does not have the packets it counts";
	if (w->free_count + w->host_count + w->wire_count != w->config.packets)
		return "packets of the pool are missing";
	return NULL;
}

const struct wire_queue_stats *wire_queue_stats(const struct wire *w, unsigned port, enum wire_direction d)
{
	CHECK(port < w->config.ports);
	return &w->ports[port].pipes[d].queue.stats;
}

struct wire_queue_now wire_queue_now(const struct wire *w, unsigned port, enum wire_direction d)
{
	const struct queue *q;

	CHECK(port < w->config.ports);
	q = &w->ports[port].pipes[d].queue;
	return (struct wire_queue_now){ .packets = q->packets, .bytes = q->bytes,
		.delay = q->first ? w->now - q->first->entered : 0 };
}
