/* SPDX-License-Identifier: BSD-3-Clause */
/* A link around a link that mistreats what is received and what is transmitted: drops, delays, duplicates,
 * reorders and flips bits, by a seed. It works on any link, a real network card too. */
#ifndef LIGHT_IO_FAULT_H
#define LIGHT_IO_FAULT_H

#include "stack/link.h"

struct fault_rules {
	double drop, duplicate, reorder, corrupt;  /* probabilities, 0..1 a packet */
	nsec delay, jitter;                        /* every packet waits delay + even in 0..jitter */
	uint32_t hold;                             /* packets that may wait; 0: 256. More than that are dropped */
};

struct fault_config {
	struct fault_rules receive, transmit;
	uint64_t seed;
	/* The time; NULL is allowed where nothing is delayed. */
	nsec (*clock)(void *context);
	void *clock_context;
};

struct fault_counts {
	uint64_t dropped, duplicated, reordered, corrupted, overflowed, no_packet;
};

/* NULL: memory is short, or a delay without a clock. The inner link is closed with this one. */
struct link *fault_new(struct link *inner, const struct fault_config *);
void fault_free(struct link *);

struct fault_counts fault_counts(const struct link *);
/* Packets waiting inside, and when the next is due (NSEC_NEVER: none). Whoever sleeps must wake by then. */
uint32_t fault_held(const struct link *);
nsec fault_deadline(const struct link *);
/* Sends on what is due: for a host that has nothing to transmit itself. receive does it too. */
void fault_advance(struct link *);

#endif
