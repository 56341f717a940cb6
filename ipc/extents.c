/* SPDX-License-Identifier: BSD-3-Clause */
/* The memory of socket buffers: powers of two from 16 KB to 4 MB out of a family's data area. One stack of free extents a
 * size, the last one given back first, so that pages which are in the cache and in the page tables are used again. Free extents keep their
 * pages up to a mark; beyond it a hole is punched and the machine has them back. Address space is never given back: each size
 * class needs at most what was ever lent at once in it, and the area is far larger than the quota. */
#include "ipc/server_private.h"

#include <fcntl.h>
#include <stdlib.h>

enum { COLD, WARM };

bool vector_add(struct vector *v, uint64_t item)
{
	if (v->n == v->room) {
		size_t room = v->room ? 2 * v->room : 64;
		uint64_t *items = realloc(v->items, room * sizeof(*items));

		if (!items)
			return false;
		v->items = items;
		v->room = room;
	}
	v->items[v->n++] = item;
	return true;
}

static unsigned class_of(uint32_t size)
{
	unsigned c = 0;

	while (c + 1 < EXTENT_CLASSES && (EXTENT_MIN << c) < size)
		c++;
	return c;
}

uint8_t *extents_lend_or_null(struct extents *x, uint32_t want, uint64_t quota, uint32_t *got)
{
	unsigned c = class_of(want);
	uint64_t at;

	while (c > 0 && x->lent + (EXTENT_MIN << c) > quota)
		c--;
	if (x->lent + (EXTENT_MIN << c) > quota)
		return NULL;
	*got = EXTENT_MIN << c;
	if (x->free[c][WARM].n) {
		at = x->free[c][WARM].items[--x->free[c][WARM].n];
		x->warm -= *got;
	} else if (x->free[c][COLD].n) {
		at = x->free[c][COLD].items[--x->free[c][COLD].n];
	} else {
		if (x->top + *got > x->size)
			return NULL;
		at = x->top;
		x->top += *got;
	}
	x->lent += *got;
	return x->base + at;
}

void extents_give_back(struct extents *x, int data_fd, uint8_t *base, uint32_t size, uint64_t warm_most)
{
	uint64_t at = (uint64_t)(base - x->base);
	unsigned c = class_of(size);
	bool warm = x->warm + size <= warm_most;

	x->lent -= size;
	if (!warm)
		fallocate(data_fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)(x->start + at), size);
	/* Without memory for the note the extent's addresses are lost, its pages are not. */
	if (!vector_add(&x->free[c][warm ? WARM : COLD], at))
		fallocate(data_fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)(x->start + at), size);
	else if (warm)
		x->warm += size;
}

void extents_free(struct extents *x)
{
	unsigned c;

	for (c = 0; c < EXTENT_CLASSES; c++) {
		free(x->free[c][COLD].items);
		free(x->free[c][WARM].items);
	}
}
