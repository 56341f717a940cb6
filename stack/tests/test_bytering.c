/* SPDX-License-Identifier: BSD-3-Clause */
/* The byte ring against a plain array that holds every byte ever sent, over random operations, growth included. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/checksum.h"
#include "base/rng.h"
#include "bytering.h"

#define TOTAL (1u << 20)

static uint8_t stream[TOTAL];       /* the byte at each offset from the start */
static struct rng rng;

static struct ring_extent extent_of(uint32_t size)
{
	return (struct ring_extent){ malloc(size), size };
}

/* Nothing that was published is lost by it. */
static void maybe_shrink(struct bytering *r)
{
	bool reached = r->next.size == 0 || r->head - r->switch_at - 1 < INT32_MAX;
	struct ring_extent old;

	assert_int_equal(bytering_retract(r, &old), !reached);
	if (!reached)
		free(old.base);
}

static void give_back(struct bytering *r)
{
	struct ring_extent out[2];
	unsigned n = bytering_strip(r, out);

	for (unsigned i = 0; i < n; i++)
		free(out[i].base);
}

/* Grows as ep_lend does: the new extent begins where the old one could at most be filled to. */
static void maybe_grow(struct bytering *r)
{
	uint32_t size = bytering_capacity(r);

	if (r->next.size || size >= 65536)
		return;
	bytering_extend(r, extent_of(size * 2), r->tail + r->current.size);
}

static void expect_bytes(struct bytering *r, uint32_t start, uint32_t index, uint32_t n)
{
	static uint8_t copy[65536], copy2[65536];
	uint64_t sum;

	bytering_read_at(r, index, copy, n);
	assert_memory_equal(copy, stream + (index - start), n);
	sum = bytering_read_sum_at(r, index, copy2, n);
	assert_memory_equal(copy2, copy, n);
	assert_int_equal(csum_finish(sum), csum_finish(csum_add(0, copy, n)));
}

static void random_operations_agree_with_an_array(void **state)
{
	(void)state;
	for (unsigned round = 0; round < 40; round++) {
		uint32_t start = round % 2 ? rng_u32(&rng) : UINT32_MAX - 5000;  /* indices wrap */
		struct bytering r = { .head = start, .tail = start };
		struct ring_extent old;

		bytering_extend(&r, extent_of(16u << rng_below(&rng, 8)), start);
		for (unsigned step = 0; step < 3000; step++) {
			uint32_t n, at;

			switch (rng_below(&rng, 5)) {
			case 0:  /* in order */
				n = (uint32_t)rng_below(&rng, bytering_room(&r) + 1);
				if (r.head - start + n > TOTAL)
					break;
				bytering_write_at(&r, r.head, stream + (r.head - start), n);
				bytering_publish(&r, r.head + n);
				break;
			case 1:  /* beyond a gap, then the gap */
				n = bytering_room(&r);
				if (n < 2 || r.head - start + n > TOTAL)
					break;
				at = 1 + (uint32_t)rng_below(&rng, n - 1);
				bytering_write_at(&r, r.head + at, stream + (r.head + at - start), n - at);
				maybe_grow(&r);
				bytering_write_at(&r, r.head, stream + (r.head - start), at);
				bytering_publish(&r, r.head + n);
				break;
			case 2:  /* look */
				n = (uint32_t)rng_below(&rng, bytering_used(&r) + 1);
				at = (uint32_t)rng_below(&rng, bytering_used(&r) - n + 1);
				expect_bytes(&r, start, r.tail + at, n);
				break;
			case 3:  /* take */
				n = (uint32_t)rng_below(&rng, bytering_used(&r) + 1);
				expect_bytes(&r, start, r.tail, n);
				bytering_release(&r, r.tail + n);
				break;
			case 4:
				if (rng_below(&rng, 8) == 0)
					maybe_grow(&r);
				else if (rng_below(&rng, 16) == 0)
					maybe_shrink(&r);
				break;
			}
			if (bytering_settle(&r, &old))
				free(old.base);
			assert_true(bytering_used(&r) + bytering_room(&r) <= bytering_capacity(&r));
		}
		give_back(&r);
	}
}

static void a_ring_without_memory_has_no_room(void **state)
{
	struct bytering r = { 0 };
	struct ring_extent out[2];

	(void)state;
	assert_int_equal(bytering_room(&r), 0);
	assert_int_equal(bytering_capacity(&r), 0);
	assert_int_equal(bytering_strip(&r, out), 0);
}

static void hostile_index_words_change_nothing(void **state)
{
	_Atomic uint32_t head = 0, tail = 0;
	struct bytering r = { 0 };

	(void)state;
	bytering_extend(&r, extent_of(1024), 0);
	bytering_share(&r, &head, &tail);
	/* the stack produces; the other side owns the tail */
	bytering_write_at(&r, 0, stream, 100);
	bytering_publish(&r, 100);
	assert_int_equal(head, 100);
	for (unsigned i = 0; i < 100000; i++) {
		uint32_t before = r.tail, word = i % 2 ? rng_u32(&rng) : (uint32_t)rng_below(&rng, 300);
		bool fair = word - r.tail <= r.head - r.tail;

		tail = word;
		assert_int_equal(bytering_sync_tail(&r), fair);
		assert_int_equal(r.tail, fair ? word : before);
		head = rng_u32(&rng);  /* ours: never read back */
		assert_int_equal(r.head, 100);
	}
	/* the stack consumes; the other side owns the head */
	r.head = r.tail = 0;
	for (unsigned i = 0; i < 100000; i++) {
		uint32_t before = r.head, word = i % 2 ? rng_u32(&rng) : (uint32_t)rng_below(&rng, 2048);
		bool fair = word - r.tail <= 1024 && word - r.tail >= r.head - r.tail;

		head = word;
		assert_int_equal(bytering_sync_head(&r), fair);
		assert_int_equal(r.head, fair ? word : before);
	}
	give_back(&r);
}

static void private_rings_have_nothing_to_sync(void **state)
{
	struct bytering r = { 0 };

	(void)state;
	assert_true(bytering_sync_head(&r));
	assert_true(bytering_sync_tail(&r));
}

static int setup(void **state)
{
	(void)state;
	rng_seed_u64(&rng, 11);
	for (uint32_t i = 0; i < TOTAL; i++)
		stream[i] = (uint8_t)rng_u32(&rng);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_operations_agree_with_an_array),
		cmocka_unit_test(a_ring_without_memory_has_no_room),
		cmocka_unit_test(hostile_index_words_change_nothing),
		cmocka_unit_test(private_rings_have_nothing_to_sync),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
