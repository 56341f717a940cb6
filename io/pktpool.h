/* SPDX-License-Identifier: BSD-3-Clause */
/* Packets of one size in one piece of memory that nobody has touched yet: the one given back last is taken first, so that
 * a queue under little load lives in few of them. One thread uses a pool. */
#ifndef LIGHT_IO_PKTPOOL_H
#define LIGHT_IO_PKTPOOL_H

#include <stddef.h>

#include "stack/link.h"

struct pktpool {
	struct pkt *packets, *free_list;
	uint8_t *memory;
	size_t memory_bytes;
	uint32_t buffer_size, count, fresh, outstanding;
};

/* frame: the most bytes of a frame, behind PKT_HEADROOM. -ENOMEM. */
int pktpool_open(struct pktpool *, uint32_t count, uint32_t frame);
void pktpool_close(struct pktpool *);

/* At most n, empty, of this link; borrow of a link is this and nothing else. */
unsigned pktpool_take(struct pktpool *, struct link *, struct pkt **, unsigned n);
void pktpool_give(struct pktpool *, struct pkt **, unsigned n);

#endif
