/* SPDX-License-Identifier: BSD-3-Clause */
/* The memory of socket buffers: powers of two from 16 KB to 256 MB out of a family's data area. One stack of free extents a
 * size, the last one given back first, so that pages which are in the cache and in the page tables are used again. Free extents keep their
 * pages up to a mark; beyond it a hole is punched and the machine has them back: in slices, one a turn, for the pages of a large one take a
 * third of a second. Address space is never given back: each size class needs at most what was ever lent at once in it, and the
 * area is far larger than the quota. Where it is used up, smaller extents are lent. */
#include "ipc/server_private.h"

#include <fcntl.h>
#include <stdlib.h>

enum { COLD, WARM };

#define SLICE (1u << 20)

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

/* Where an extent of this class lies from now on; false: nowhere. */
static bool place(struct extents *x, unsigned c, uint64_t *at)
{
	uint32_t size = EXTENT_MIN << c;

	if (x->free[c][WARM].n) {
		*at = x->free[c][WARM].items[--x->free[c][WARM].n];
		x->warm -= size;
	} else if (x->free[c][COLD].n) {
		*at = x->free[c][COLD].items[--x->free[c][COLD].n];
	} else {
		if (x->top + size > x->size)
			return false;
		*at = x->top;
		x->top += size;
	}
	return true;
}

uint8_t *extents_lend_or_null(struct extents *x, uint32_t want, uint32_t have, uint64_t quota, uint32_t *got)
{
	unsigned c = class_of(want);
	uint64_t at;

	while (x->lent + (EXTENT_MIN << c) > quota || EXTENT_MIN << c <= have || !place(x, c, &at))
		if (EXTENT_MIN << c <= have || c-- == 0)
			return NULL;
	*got = EXTENT_MIN << c;
	x->lent += *got;
	return x->base + at;
}

static void punch(const struct extents *x, int data_fd, uint64_t at, uint32_t size)
{
	fallocate(data_fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)(x->start + at), size);
}

/* Behind the one that is partly done. Offsets are whole pages: the class goes below. */
static bool add_dirty(struct extents *x, uint64_t at, unsigned c)
{
	struct vector *d = &x->dirty;

	if (!vector_add(d, at | c))
		return false;
	if (d->n > 1) {
		d->items[d->n - 1] = d->items[d->n - 2];
		d->items[d->n - 2] = at | c;
	}
	return true;
}

void extents_give_back(struct extents *x, int data_fd, uint8_t *base, uint32_t size, uint64_t warm_most)
{
	uint64_t at = (uint64_t)(base - x->base);
	unsigned c = class_of(size);
	bool warm = x->warm + size <= warm_most;

	x->lent -= size;
	if (!warm && size > SLICE && add_dirty(x, at, c))
		return;
	if (!warm)
		punch(x, data_fd, at, size);
	/* Without memory for the note the extent's addresses are lost, its pages are not. */
	if (!vector_add(&x->free[c][warm ? WARM : COLD], at))
		punch(x, data_fd, at, size);
	else if (warm)
		x->warm += size;
}

bool extents_cool(struct extents *x, int data_fd)
{
	unsigned c;
	uint64_t at;

	if (x->dirty.n == 0)
		return false;
	c = (unsigned)(x->dirty.items[x->dirty.n - 1] % EXTENT_MIN);
	at = x->dirty.items[x->dirty.n - 1] - c;
	punch(x, data_fd, at + x->cooled, SLICE);
	x->cooled += SLICE;
	if (x->cooled < EXTENT_MIN << c)
		return true;
	x->cooled = 0;
	x->dirty.n--;
	vector_add(&x->free[c][COLD], at);   /* without memory for the note its addresses are lost */
	return true;
}

void extents_free(struct extents *x)
{
	unsigned c;

	for (c = 0; c < EXTENT_CLASSES; c++) {
		free(x->free[c][COLD].items);
		free(x->free[c][WARM].items);
	}
	free(x->dirty.items);
}
