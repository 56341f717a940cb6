/* SPDX-License-Identifier: BSD-3-Clause */
/* Rings between cores, and the way of a packet's memory back to the core that owns it: pkt->core says which. */
#include "spread_lanes.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "stack/base/check.h"

/* As rte_ring_init would, which is in a library that only the DPDK backend links. */
struct rte_ring *lane_new(uint32_t slots)
{
	size_t bytes = sizeof(struct rte_ring) + slots * sizeof(struct pkt *);
	struct rte_ring *r = aligned_alloc(64, (bytes + 63) / 64 * 64);

	CHECK((slots & (slots - 1)) == 0);
	if (!r)
		return NULL;
	memset(r, 0, sizeof(*r));
	r->flags = RING_F_SP_ENQ | RING_F_SC_DEQ;
	r->size = slots;
	r->mask = slots - 1;
	r->capacity = slots - 1;
	r->prod.sync_type = RTE_RING_SYNC_ST;
	r->cons.sync_type = RTE_RING_SYNC_ST;
	return r;
}

unsigned lane_put(struct rte_ring *r, struct pkt **packets, unsigned n)
{
	return rte_ring_sp_enqueue_burst_elem(r, packets, sizeof(*packets), n, NULL);
}

unsigned lane_take(struct rte_ring *r, struct pkt **packets, unsigned n)
{
	return rte_ring_sc_dequeue_burst_elem(r, packets, sizeof(*packets), n, NULL);
}

static bool is_pools(const struct pktpool *pool, const struct pkt *p)
{
	return pool->packets && p >= pool->packets && p < pool->packets + pool->count;
}

bool spread_is_queues(const struct spread_core *c, const struct pkt *p)
{
	return c->queue && p->core == c->number && !is_pools(&c->spare, p);
}

static void give_own(struct spread_core *c, struct pkt **packets, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		if (is_pools(&c->spare, packets[i])) {
			pktpool_give(&c->spare, &packets[i], 1);
		} else if (c->queue) {
			packets[i]->link = c->queue;
			c->queue->ops->release(c->queue, &packets[i], 1);
		} else {
			pktpool_give(&c->own, &packets[i], 1);
		}
	}
}

/* A core that sleeps is not woken for every packet of its memory, but before a queue of its device runs dry. */
static void give_other(struct spread_core *c, unsigned owner, struct pkt **packets, unsigned n)
{
	struct rte_ring *ring = c->spread->back[c->number][owner];
	unsigned put = c->late[owner] ? 0 : lane_put(ring, packets, n), waiting;

	for (unsigned i = put; i < n; i++) {
		packets[i]->next = c->late[owner];
		c->late[owner] = packets[i];
	}
	waiting = __atomic_load_n(&ring->prod.tail, __ATOMIC_RELAXED) - __atomic_load_n(&ring->cons.tail, __ATOMIC_RELAXED);
	if (waiting >= SPREAD_WAKE_BACK && waiting - put < SPREAD_WAKE_BACK)
		spread_wake(c, 1u << owner);
}

void spread_give(struct spread_core *c, struct pkt **packets, unsigned n)
{
	unsigned run;

	for (unsigned i = 0; i < n; i += run) {
		unsigned owner = packets[i]->core;

		CHECK(owner < c->spread->config.cores);
		for (run = 1; i + run < n && packets[i + run]->core == owner; run++)
			;
		if (owner == c->number)
			give_own(c, packets + i, run);
		else
			give_other(c, owner, packets + i, run);
	}
}

void spread_collect(struct spread_core *c)
{
	struct pkt *packets[SPREAD_BURST];
	unsigned n;

	for (unsigned o = 0; o < c->spread->config.cores; o++) {
		if (o == c->number)
			continue;
		while ((n = lane_take(c->spread->back[o][c->number], packets, SPREAD_BURST)) > 0)
			give_own(c, packets, n);
		while (c->late[o]) {
			struct pkt *p = c->late[o];

			if (lane_put(c->spread->back[c->number][o], &p, 1) == 0)
				break;
			c->late[o] = p->next;
		}
	}
}

bool spread_copy(struct pkt *to, const struct pkt *from)
{
	if (from->len > pkt_tailroom(to))
		return false;
	memcpy(to->data, from->data, from->len);
	to->len = from->len;
	to->flags = from->flags;
	to->csum_start = from->csum_start;
	to->csum_offset = from->csum_offset;
	to->gso_size = from->gso_size;
	to->header_len = from->header_len;
	to->stamp = from->stamp;
	return true;
}

/* Dekker's way: what was put is seen by the sleeper that looks again, or its sleep is seen here. */
void spread_wake(struct spread_core *c, uint32_t cores)
{
	const uint64_t one = 1;

	atomic_thread_fence(memory_order_seq_cst);
	for (; cores; cores &= cores - 1) {
		struct spread_core *other = &c->spread->cores[__builtin_ctz(cores)];

		if (!atomic_load_explicit(&other->sleeps, memory_order_relaxed) || !atomic_exchange(&other->sleeps, 0))
			continue;
		c->counts[SPREAD_WAKES]++;
		(void)!write(other->event_fd, &one, sizeof(one));  /* EAGAIN: rung more often than an eventfd counts, so it will wake */
	}
}
