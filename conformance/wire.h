/* SPDX-License-Identifier: BSD-3-Clause */
/* The link of the conformance server: what is injected waits in a queue until the stack receives it, what the
 * stack transmits is kept with its time until the test collects it. Faults (a dry pool, a full queue) are set
 * by the test. Packets lent to the stack are counted, so that a leak shows. */
#ifndef LIGHT_CONFORMANCE_WIRE_H
#define LIGHT_CONFORMANCE_WIRE_H

#include <stdbool.h>
#include <stdint.h>

#include "stack/link.h"

#define WIRE_MTU_MOST 9000u

struct wire_frame {
	struct wire_frame *next;
	nsec at;
	uint32_t len;
	uint16_t gso_size;
	uint8_t bytes[];
};

struct wire_queue {
	struct wire_frame *first, **last;
};

struct wire {
	struct link link;           /* first: the stack sees only this */
	const nsec *clock;
	struct wire_queue arriving, sent;
	uint32_t arriving_count;
	uint32_t held;              /* packets that the stack holds now */
	int64_t borrows_left;       /* before the pool is dry; -1: never */
	int64_t transmits_left;     /* before the queue is full; -1: never */
	bool checksums_good;        /* received packets carry PKT_CSUM_GOOD */
};

/* NULL when memory is short. flags: LINK_*. */
struct wire *wire_new(const nsec *clock, const uint8_t mac[6], uint16_t mtu, uint32_t flags);
void wire_free(struct wire *);
/* False when memory is short. */
bool wire_inject(struct wire *, const uint8_t *bytes, uint32_t len);
/* The oldest transmitted frame, the caller's to free; NULL: none. */
struct wire_frame *wire_take(struct wire *);

#endif
