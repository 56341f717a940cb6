/* SPDX-License-Identifier: BSD-3-Clause */
/* A pool of objects of one size: one piece of memory, reserved once and touched only as objects are used, so a
 * million costs nothing until they are needed. Objects have an index and a generation that changes with each use. */
#ifndef LIGHT_BASE_POOL_H
#define LIGHT_BASE_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pool {
	uint8_t *memory;
	uint32_t stride;       /* bytes from one object to the next, its header included */
	uint32_t object_size;
	uint32_t capacity;
	uint32_t fresh;        /* objects from here on were never used (nor touched) */
	uint32_t free_first;   /* index + 1 of the first free one; 0: none */
	uint32_t used;
};

/* Objects are 8-aligned. False: memory is short. */
bool pool_init(struct pool *, size_t object_size, uint32_t capacity);
void pool_free(struct pool *);
/* An object of zeros; NULL: all are in use. */
void *pool_take_or_null(struct pool *);
void pool_put(struct pool *, void *object);

/* Index in the low half, generation (never 0) in the high half. */
uint64_t pool_id(const struct pool *, const void *object);
/* NULL: no object in use has this id. */
void *pool_find_or_null(const struct pool *, uint64_t id);
/* The object at an index; NULL: not in use, or beyond the end of what was ever used. For walks up to pool_end. */
void *pool_at_or_null(const struct pool *, uint32_t index);

static inline uint32_t pool_end(const struct pool *p)
{
	return p->fresh;
}

/* Bytes that were ever touched. */
static inline size_t pool_bytes(const struct pool *p)
{
	return (size_t)p->fresh * p->stride;
}

#endif
