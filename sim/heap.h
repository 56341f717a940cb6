/* SPDX-License-Identifier: BSD-3-Clause */
/* What is due, in order of time: a binary heap. Entries of the same time leave in the order in which
 * they came (`order` is the caller's counter), so that a run is the same each time. */
#ifndef LIGHT_SIM_HEAP_H
#define LIGHT_SIM_HEAP_H

#include <stdint.h>

#include "stack/base/nsec.h"

struct heap_entry {
	nsec when;
	uint64_t order;
	void *item;
};

struct heap {
	struct heap_entry *entries;
	uint32_t count, room;
};

/* An all-zero heap is empty. Grows as needed; the process ends when memory does. */
void heap_push(struct heap *, nsec when, uint64_t order, void *item);
/* Precondition: not empty. */
struct heap_entry heap_pop(struct heap *);
void heap_free(struct heap *);

/* NSEC_NEVER: empty. */
static inline nsec heap_first(const struct heap *h)
{
	return h->count ? h->entries[0].when : NSEC_NEVER;
}

#endif
