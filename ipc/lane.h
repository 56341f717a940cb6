/* SPDX-License-Identifier: BSD-3-Clause */
/* The rings of a region: stock rte_rings (DPDK's inline functions, no library) whose constants lie in a page that the program
 * cannot write, and whose indices begin the next page. All are single-producer single-consumer.
 *
 * The daemon uses lane_take and lane_put: they keep its own index privately and answer -EPROTO when the shared copy of it was
 * changed or the peer's lies outside the ring. Element copies stay inside the ring whatever a program writes, since the mask is ours. */
#ifndef LIGHT_IPC_LANE_H
#define LIGHT_IPC_LANE_H

#include <errno.h>

#define RTE_USE_C11_MEM_MODEL 1
#include <rte_ring.h>
#include <rte_ring_elem.h>

#include "ipc/region.h"

#define LANE_CONSTANTS_BYTES 128u

_Static_assert(offsetof(struct rte_ring, prod) == LANE_CONSTANTS_BYTES, "the indices begin a page");
_Static_assert(offsetof(struct rte_ring, size) < LANE_CONSTANTS_BYTES && offsetof(struct rte_ring, mask) < LANE_CONSTANTS_BYTES &&
		       offsetof(struct rte_ring, capacity) + sizeof(uint32_t) <= LANE_CONSTANTS_BYTES,
	"the constants end the page before");
_Static_assert(offsetof(struct rte_ring, cons) == 256 && sizeof(struct rte_ring) == 384, "the layout that region.h counts on");

#define LANE_INDEX_BYTES (sizeof(struct rte_ring) - LANE_CONSTANTS_BYTES)
#define LANE_WORDS_AT (LANE_INDEX_BYTES + REPLY_SLOTS * sizeof(struct reply))
#define WAITSET_WORDS_AT (LANE_INDEX_BYTES + EVENT_SLOTS * sizeof(struct wait_event))

_Static_assert(LANE_INDEX_BYTES + REQUEST_SLOTS * sizeof(struct request) <= LANE_REQUEST_PAGES * REGION_PAGE, "requests fit");
_Static_assert(LANE_WORDS_AT % 64 == 0 && LANE_WORDS_AT + sizeof(struct lane_words) <= LANE_REPLY_PAGES * REGION_PAGE, "replies fit");
_Static_assert(WAITSET_WORDS_AT % 64 == 0 && WAITSET_WORDS_AT + sizeof(struct waitset_words) <= (WAITSET_PAGES - 1) * REGION_PAGE,
	"events fit");

static inline struct rte_ring *lane_ring_before(const struct region *r, uint64_t index_page)
{
	return (struct rte_ring *)(void *)(r->shared + index_page - LANE_CONSTANTS_BYTES);
}

static inline struct rte_ring *lane_requests(const struct region *r, uint32_t seat, uint32_t lane)
{
	return lane_ring_before(r, region_lane_at(seat, lane) + REGION_PAGE);
}

static inline struct rte_ring *lane_replies(const struct region *r, uint32_t seat, uint32_t lane)
{
	return lane_ring_before(r, region_lane_at(seat, lane) + (uint64_t)(1 + LANE_REQUEST_PAGES + 1) * REGION_PAGE);
}

static inline struct lane_words *lane_words(const struct region *r, uint32_t seat, uint32_t lane)
{
	uint64_t page = region_lane_at(seat, lane) + (uint64_t)(1 + LANE_REQUEST_PAGES + 1) * REGION_PAGE;

	return (struct lane_words *)(void *)(r->shared + page + LANE_WORDS_AT);
}

static inline struct rte_ring *waitset_events(const struct region *r, uint32_t seat, uint32_t waitset)
{
	return lane_ring_before(r, region_waitset_at(seat, waitset) + REGION_PAGE);
}

static inline struct waitset_words *waitset_words(const struct region *r, uint32_t seat, uint32_t waitset)
{
	return (struct waitset_words *)(void *)(r->shared + region_waitset_at(seat, waitset) + REGION_PAGE + WAITSET_WORDS_AT);
}

/* Elements from `taken` on that the producer has put; -EPROTO: impossible indices. */
static inline int lane_waiting(const struct rte_ring *ring, uint32_t taken)
{
	uint32_t n = __atomic_load_n(&ring->prod.tail, __ATOMIC_ACQUIRE) - taken;

	if (ring->cons.head != taken || ring->cons.tail != taken || n > ring->capacity)
		return -EPROTO;
	return (int)n;
}

/* Takes at most n elements; *taken is the consumer's private index. */
static inline int lane_take(struct rte_ring *ring, uint32_t *taken, void *elements, unsigned element_size, unsigned n)
{
	int waiting = lane_waiting(ring, *taken);

	if (waiting <= 0)
		return waiting;
	if (n > (unsigned)waiting)
		n = (unsigned)waiting;
	n = rte_ring_sc_dequeue_bulk_elem(ring, elements, element_size, n, NULL);
	*taken += n;
	return (int)n;
}

/* Free places; *put is the producer's private index. */
static inline int lane_room(const struct rte_ring *ring, uint32_t put)
{
	uint32_t used = put - __atomic_load_n(&ring->cons.tail, __ATOMIC_ACQUIRE);

	if (ring->prod.head != put || ring->prod.tail != put || used > ring->capacity)
		return -EPROTO;
	return (int)(ring->capacity - used);
}

/* 1, 0 when full, or -EPROTO. */
static inline int lane_put(struct rte_ring *ring, uint32_t *put, const void *element, unsigned element_size)
{
	int room = lane_room(ring, *put);

	if (room <= 0)
		return room;
	room = (int)rte_ring_sp_enqueue_bulk_elem(ring, element, element_size, 1, NULL);
	*put += (uint32_t)room;
	return room;
}

/* Fills a constants page. slots: a power of two. */
void lane_write_constants(void *page, const char *name, uint32_t slots);
/* The daemon, before it opens a ring: both indices at zero. */
void lane_reset(struct rte_ring *);
/* The program, when it takes over the ring of a thread that is gone: an enqueue that was cut short never happened. */
void lane_repair_producer(struct rte_ring *);
void lane_repair_consumer(struct rte_ring *);

#endif
