/* SPDX-License-Identifier: BSD-3-Clause */
/* The byte ring over lent extents. Every access is cut into runs that are contiguous in memory: at the switch from
 * the current extent to the next, and at the end of an extent. */
#include "bytering.h"

#include <string.h>

#include "base/check.h"
#include "base/checksum.h"
#include "base/seq.h"

/* The memory at an index, and in *n how many of n bytes are contiguous there. */
static inline uint8_t *run_at(const struct bytering *r, uint32_t index, uint32_t *n)
{
	bool in_next = r->next.size && seq_geq(index, r->switch_at);
	const struct ring_extent *e = in_next ? &r->next : &r->current;
	uint32_t offset;

	CHECK(e->size);
	offset = index & (e->size - 1);
	if (*n > e->size - offset)
		*n = e->size - offset;
	if (r->next.size && !in_next && *n > r->switch_at - index)
		*n = r->switch_at - index;
	return e->base + offset;
}

void bytering_extend(struct bytering *r, struct ring_extent extent, uint32_t from)
{
	CHECK(r->next.size == 0);
	CHECK(extent.base && extent.size && (extent.size & (extent.size - 1)) == 0);
	CHECK(seq_geq(from, r->head));
	if (r->current.size == 0) {
		CHECK(r->head == r->tail);
		r->current = extent;
		return;
	}
	CHECK(from - r->tail <= r->current.size);
	r->next = extent;
	r->switch_at = from;
}

bool bytering_settle(struct bytering *r, struct ring_extent *old)
{
	if (r->next.size == 0 || seq_lt(r->tail, r->switch_at))
		return false;
	*old = r->current;
	r->current = r->next;
	r->next = (struct ring_extent){ 0 };
	return true;
}

bool bytering_retract(struct bytering *r, struct ring_extent *out)
{
	if (r->next.size == 0 || seq_gt(r->head, r->switch_at))
		return false;
	*out = r->next;
	r->next = (struct ring_extent){ 0 };
	return true;
}

unsigned bytering_strip(struct bytering *r, struct ring_extent out[2])
{
	unsigned n = 0;

	if (r->current.size)
		out[n++] = r->current;
	if (r->next.size)
		out[n++] = r->next;
	r->current = r->next = (struct ring_extent){ 0 };
	return n;
}

void bytering_share(struct bytering *r, _Atomic uint32_t *head, _Atomic uint32_t *tail)
{
	r->shared_head = head;
	r->shared_tail = tail;
	if (head)
		atomic_store_explicit(head, r->head, memory_order_release);
	if (tail)
		atomic_store_explicit(tail, r->tail, memory_order_release);
}

static bool is_one_run(const struct bytering *r, uint32_t index, uint32_t n)
{
	return r->next.size == 0 && n <= r->current.size - (index & (r->current.size - 1));
}

RARELY_CALLED void write_runs(struct bytering *r, uint32_t index, const uint8_t *from, uint32_t n)
{
	while (n) {
		uint32_t run = n;
		uint8_t *to = run_at(r, index, &run);

		memcpy(to, from, run);
		from += run;
		index += run;
		n -= run;
	}
}

/* Nearly always it is one run: that is looked for first, here and in the two below. */
void bytering_write_at(struct bytering *r, uint32_t index, const void *bytes, uint32_t n)
{
	CHECK(index - r->tail + n <= bytering_capacity(r) || n == 0);
	if (n && is_one_run(r, index, n))
		memcpy(r->current.base + (index & (r->current.size - 1)), bytes, n);
	else
		write_runs(r, index, bytes, n);
}

RARELY_CALLED void read_runs(const struct bytering *r, uint32_t index, uint8_t *to, uint32_t n)
{
	while (n) {
		uint32_t run = n;
		const uint8_t *from = run_at(r, index, &run);

		memcpy(to, from, run);
		to += run;
		index += run;
		n -= run;
	}
}

void bytering_read_at(const struct bytering *r, uint32_t index, void *to, uint32_t n)
{
	CHECK(index - r->tail <= bytering_used(r) && n <= r->head - index);
	if (n && is_one_run(r, index, n))
		memcpy(to, r->current.base + (index & (r->current.size - 1)), n);
	else
		read_runs(r, index, to, n);
}

RARELY_CALLED uint64_t read_sum_runs(const struct bytering *r, uint32_t index, uint8_t *to, uint32_t n)
{
	uint64_t sum = 0;
	bool odd = false;  /* the next run begins at an odd offset of the whole */

	while (n) {
		uint32_t run = n;
		const uint8_t *from = run_at(r, index, &run);
		uint64_t piece = csum_copy(0, to, from, run);

		sum = csum_join(sum, odd ? csum_swap(piece) : piece);
		odd ^= run & 1;
		to += run;
		index += run;
		n -= run;
	}
	return sum;
}

uint64_t bytering_read_sum_at(const struct bytering *r, uint32_t index, void *to, uint32_t n)
{
	CHECK(index - r->tail <= bytering_used(r) && n <= r->head - index);
	if (n && is_one_run(r, index, n))
		return csum_copy(0, to, r->current.base + (index & (r->current.size - 1)), n);
	return read_sum_runs(r, index, to, n);
}
