/* SPDX-License-Identifier: BSD-3-Clause */
/* A socket buffer: a ring of bytes over memory that somebody lent, used by exactly one producer and one
 * consumer, of which one is the stack and the other may be an untrusting, untrusted program in another
 * process. Indices count bytes ever put in (head) and taken out (tail), modulo 2^32.
 *
 * Memory comes in extents. The ring starts with none and grows by a switch: bytes from `switch_at` on lie in
 * the next extent, bytes before it in the current one; when the tail passes switch_at the old extent is
 * given back. There are never more than two. Both sides compute the place of a byte the same way:
 * extent base + (index & (extent size - 1)).
 *
 * The two index words may be shared with the other side. What the stack writes it also keeps privately and
 * never reads back; what it reads it checks (bytering_sync_*) before use. */
#ifndef LIGHT_BYTERING_H
#define LIGHT_BYTERING_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/check.h"

/* Both structures are packed: each socket has four of the first and two of the second. */
struct ring_extent {
	uint8_t *base;  /* NULL: no memory */
	uint32_t size;  /* a power of two; 0: no memory */
} __attribute__((packed, aligned(4)));

struct bytering {
	struct ring_extent current, next; /* next.size == 0: no switch under way */
	uint32_t switch_at;               /* first index that lies in `next` */
	uint32_t head, tail;              /* the stack's own, checked copies */
	_Atomic uint32_t *shared_head;    /* NULL: nobody shares it */
	_Atomic uint32_t *shared_tail;
} __attribute__((packed, aligned(4)));

/* Bytes between tail and head. */
static inline uint32_t bytering_used(const struct bytering *r)
{
	return r->head - r->tail;
}

/* The size of the newest extent; 0 without memory. */
static inline uint32_t bytering_capacity(const struct bytering *r)
{
	return r->next.size ? r->next.size : r->current.size;
}

/* Bytes that fit in behind the head at once: what the newest extent can hold of [tail, tail + size) beyond
 * what is used. 0 without memory. */
static inline uint32_t bytering_room(const struct bytering *r)
{
	uint32_t capacity = bytering_capacity(r), used = bytering_used(r);

	return used < capacity ? capacity - used : 0;
}

/* Appends an extent: bytes from `from` on (from >= head and beyond any byte written out of order) lie in it.
 * Precondition: no switch under way. */
void bytering_extend(struct bytering *r, struct ring_extent extent, uint32_t from);

/* When the tail has passed the switch: makes `next` current, returns true and the old extent in *old. */
bool bytering_settle(struct bytering *r, struct ring_extent *old);

/* While nothing that was published lies in `next`: takes it away again, returns true and the extent in *out. What was written there out of
 * order is lost. */
bool bytering_retract(struct bytering *r, struct ring_extent *out);

/* Takes all memory away; for a ring that is empty or being destroyed. Writes up to two extents into out. */
unsigned bytering_strip(struct bytering *r, struct ring_extent out[2]);

/* From now on the indices live in these words too (they are stored at once). */
void bytering_share(struct bytering *r, _Atomic uint32_t *head, _Atomic uint32_t *tail);

/* Stack = producer. Writes n bytes at an index within [head, tail + capacity) without moving the head. */
void bytering_write_at(struct bytering *r, uint32_t index, const void *bytes, uint32_t n);
/* Stack = producer. Moves the head to `head` and publishes it (release). */
static inline void bytering_publish(struct bytering *r, uint32_t head)
{
	CHECK(head - r->tail <= bytering_capacity(r));
	r->head = head;
	if (r->shared_head)
		atomic_store_explicit(r->shared_head, head, memory_order_release);
}
/* Stack = producer. Reads the consumer's tail; false (and no change) if it lies outside [tail, head]. */
static inline bool bytering_sync_tail(struct bytering *r)
{
	uint32_t tail;

	if (!r->shared_tail)
		return true;
	tail = atomic_load_explicit(r->shared_tail, memory_order_acquire);
	if (tail - r->tail > r->head - r->tail)
		return false;
	r->tail = tail;
	return true;
}

/* Stack = consumer. Reads the producer's head; false (and no change) if it is outside [head, tail+capacity]. */
static inline bool bytering_sync_head(struct bytering *r)
{
	uint32_t head;

	if (!r->shared_head)
		return true;
	head = atomic_load_explicit(r->shared_head, memory_order_acquire);
	if (head - r->tail > bytering_capacity(r) || head - r->tail < bytering_used(r))
		return false;
	r->head = head;
	return true;
}
/* Stack = consumer. Copies [index, index + n), within [tail, head), to `to`. */
void bytering_read_at(const struct bytering *r, uint32_t index, void *to, uint32_t n);
/* The same, and returns the ones'-complement sum (unfolded, as csum_add takes it) of the bytes copied: the
 * bytes may change under us, so what is summed is what was copied. */
uint64_t bytering_read_sum_at(const struct bytering *r, uint32_t index, void *to, uint32_t n);
/* Stack = consumer. Bytes before `tail` are done with: publishes (release). */
static inline void bytering_release(struct bytering *r, uint32_t tail)
{
	CHECK(tail - r->tail <= r->head - r->tail);
	r->tail = tail;
	if (r->shared_tail)
		atomic_store_explicit(r->shared_tail, tail, memory_order_release);
}

#endif
