/* SPDX-License-Identifier: BSD-3-Clause */
/* A binary heap of what is due. */
#include "heap.h"

#include <stdbool.h>
#include <stdlib.h>

#include "stack/base/check.h"

static bool before(const struct heap_entry *a, const struct heap_entry *b)
{
	return a->when != b->when ? a->when < b->when : a->order < b->order;
}

static void grow(struct heap *h)
{
	h->room = h->room ? h->room * 2 : 64;
	h->entries = realloc(h->entries, h->room * sizeof(*h->entries));
	CHECK(h->entries);
}

void heap_push(struct heap *h, nsec when, uint64_t order, void *item)
{
	struct heap_entry e = { when, order, item };
	uint32_t i = h->count;

	if (h->count == h->room)
		grow(h);
	h->count++;
	for (; i > 0 && before(&e, &h->entries[(i - 1) / 2]); i = (i - 1) / 2)
		h->entries[i] = h->entries[(i - 1) / 2];
	h->entries[i] = e;
}

struct heap_entry heap_pop(struct heap *h)
{
	struct heap_entry top, last;
	uint32_t i = 0, child;

	CHECK(h->count > 0);
	top = h->entries[0];
	last = h->entries[--h->count];
	while ((child = 2 * i + 1) < h->count) {
		if (child + 1 < h->count && before(&h->entries[child + 1], &h->entries[child]))
			child++;
		if (!before(&h->entries[child], &last))
			break;
		h->entries[i] = h->entries[child];
		i = child;
	}
	h->entries[i] = last;
	return top;
}

void heap_free(struct heap *h)
{
	free(h->entries);
	*h = (struct heap){ 0 };
}
