/* SPDX-License-Identifier: BSD-3-Clause */
/* Pools. Each object follows an 8-byte header with its generation, odd while the object is in use, and then its own index, so
 * that giving it back divides nothing. Large calloc'ed memory is untouched pages until it is written, which is what makes an unused
 * object free of charge. */
#include "base/pool.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"

struct header {
	uint32_t generation;
	uint32_t link;  /* of a free object: index + 1 of the next free one; in use: its own index */
};

static struct header *header_at(const struct pool *p, uint32_t index)
{
	return (struct header *)(void *)(p->memory + (size_t)index * p->stride);
}

static uint32_t index_of(const struct pool *p, const void *object)
{
	const struct header *h = (const struct header *)object - 1;

	CHECK(h->link < p->fresh && header_at(p, h->link) == h);
	return h->link;
}

bool pool_init(struct pool *p, size_t object_size, uint32_t capacity)
{
	uint32_t rounded = (uint32_t)(object_size + 7) & ~7u;

	*p = (struct pool){ .object_size = rounded, .stride = rounded + (uint32_t)sizeof(struct header),
			    .capacity = capacity };
	p->memory = calloc(capacity ? capacity : 1, p->stride);
	return p->memory != NULL;
}

void pool_free(struct pool *p)
{
	free(p->memory);
	*p = (struct pool){ 0 };
}

void *pool_take_or_null(struct pool *p)
{
	struct header *h;
	uint32_t index;

	if (p->free_first) {
		index = p->free_first - 1;
		h = header_at(p, index);
		p->free_first = h->link;
		memset(h + 1, 0, p->object_size);
	} else if (p->fresh < p->capacity) {
		index = p->fresh++;
		h = header_at(p, index);
	} else {
		return NULL;
	}
	CHECK(!(h->generation & 1));
	h->generation++;
	h->link = index;
	p->used++;
	return h + 1;
}

void pool_put(struct pool *p, void *object)
{
	struct header *h = (struct header *)object - 1;
	uint32_t index;

	CHECK(h->generation & 1);
	index = index_of(p, object);
	h->generation++;
	h->link = p->free_first;
	p->free_first = index + 1;
	p->used--;
}

uint64_t pool_id(const struct pool *p, const void *object)
{
	uint32_t index = index_of(p, object);

	return (uint64_t)header_at(p, index)->generation << 32 | index;
}

void *pool_find_or_null(const struct pool *p, uint64_t id)
{
	uint32_t index = (uint32_t)id, generation = (uint32_t)(id >> 32);
	struct header *h;

	if (index >= p->fresh || !(generation & 1))
		return NULL;
	h = header_at(p, index);
	return h->generation == generation ? h + 1 : NULL;
}

void *pool_at_or_null(const struct pool *p, uint32_t index)
{
	struct header *h;

	if (index >= p->fresh)
		return NULL;
	h = header_at(p, index);
	return h->generation & 1 ? h + 1 : NULL;
}
