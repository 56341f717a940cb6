/* SPDX-License-Identifier: BSD-3-Clause */
/* The plainest link: a pair of queues in memory. What one end transmits the other receives, whole and at once;
 * for tests. The simulated network with rates and losses is sim/wire.h. */
#ifndef LIGHT_IO_MEM_H
#define LIGHT_IO_MEM_H

#include "stack/link.h"

struct mem_pair;

struct mem_config {
	uint32_t packets;  /* of the shared pool; 0: 1024 */
	uint16_t mtu;      /* 0: 1500 */
	uint32_t flags;    /* LINK_* of both ends */
};

/* NULL: memory is short. */
struct mem_pair *mem_pair_new(const struct mem_config *);
/* Both ends are gone with it; end is 0 or 1. */
struct link *mem_pair_link(struct mem_pair *, unsigned end);
void mem_pair_free(struct mem_pair *);

/* Packets that users of the two ends hold. */
uint32_t mem_pair_outstanding(const struct mem_pair *);

#endif
