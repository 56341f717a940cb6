/* SPDX-License-Identifier: BSD-3-Clause */
/* Birth and repair of the rings of a region (lane.h has the passages). */
#include "ipc/lane.h"

#include <string.h>

void lane_write_constants(void *page, const char *name, uint32_t slots)
{
	struct rte_ring *ring = (struct rte_ring *)(void *)((uint8_t *)page + REGION_PAGE - LANE_CONSTANTS_BYTES);
	size_t i;

	for (i = 0; name[i] && i < sizeof(ring->name) - 1; i++)
		ring->name[i] = name[i];
	ring->name[i] = 0;
	ring->flags = RING_F_SP_ENQ | RING_F_SC_DEQ;
	ring->memzone = NULL;
	ring->size = slots;
	ring->mask = slots - 1;
	ring->capacity = slots - 1;
}

void lane_reset(struct rte_ring *ring)
{
	ring->prod.sync_type = RTE_RING_SYNC_ST;
	ring->cons.sync_type = RTE_RING_SYNC_ST;
	ring->prod.head = ring->cons.head = 0;
	__atomic_store_n(&ring->cons.tail, 0, __ATOMIC_RELEASE);
	__atomic_store_n(&ring->prod.tail, 0, __ATOMIC_RELEASE);
}

void lane_repair_producer(struct rte_ring *ring)
{
	ring->prod.head = ring->prod.tail;
}

void lane_repair_consumer(struct rte_ring *ring)
{
	ring->cons.head = ring->cons.tail;
}
