/* SPDX-License-Identifier: BSD-3-Clause */
/* RFC 1071 and RFC 1624 against vectors, and every split of every length against a plain loop. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/checksum.h"
#include "base/rng.h"

/* checksum: as a number, high byte first. */
static const struct {
	const char *name, *hex;
	uint16_t checksum;
} vectors[] = {
	{ "rfc1071-example",
	  "0001f203f4f5f6f7",
	  0x220d },
	{ "empty", "",
	  0xffff },
	{ "one-byte",
	  "01",
	  0xfeff },
	{ "zero-word",
	  "0000",
	  0xffff },
	{ "ones-word",
	  "ffff",
	  0x0000 },
	{ "odd-three",
	  "0102ff",
	  0xfffc },
	{ "carry-twice",
	  "ffffffffffff0001",
	  0xfffe },
	{ "ipv4-header",
	  "4500003c1c46400040060000ac100a63ac100a0c",
	  0xb1e6 },
	{ "tcp4-syn-no-options",
	  "c0000201c633640200060014d431005012345678000000005002721000000000",
	  0x146d },
	{ "udp4-ping",
	  "c0000201c63364020011000c0035d431000c000070696e67",
	  0x6067 },
	{ "udp6-ping",
	  "20010db800000000000000000000000120010db80000000000000000000000020000000c000000110035d431000c0000"
	  "70696e67",
	  0xf129 },
	{ "icmp-echo",
	  "0800000012340001000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f2021222324252627"
	  "28292a2b2c2d2e2f3031323334353637",
	  0xeeb7 },
	{ "random-7",
	  "39fce0131be239",
	  0x910d },
	{ "random-64",
	  "76b687827e0f07a1ba1ea9528e8e2f296c4068486a0f3115b8e5b8a3ebbb3da10e29611d1746ff0be0415e553050dd41"
	  "52fdbd4a3b8f9a9e7abde73fea74304c",
	  0x1b63 },
};

static const struct {
	uint16_t before, old_word, new_word, after;
} updates[] = {
	{ 0xdd2f, 0x5555, 0x3285, 0x0000 },
	{ 0x0000, 0x0000, 0x0001, 0xfffe },
	{ 0x1234, 0x4006, 0x3f06, 0x1334 },
	{ 0xb1e6, 0x4006, 0x3f06, 0xb2e6 },
	{ 0x8000, 0xffff, 0x0000, 0x8000 },
	{ 0x2f66, 0x5bc0, 0xcf2b, 0xbbfa },
	{ 0x613c, 0x1646, 0x1ea5, 0x58dd },
	{ 0x8a59, 0x2e81, 0x5fd0, 0x590a },
	{ 0xf87a, 0xef43, 0x4706, 0xa0b8 },
	{ 0xd4ad, 0x4b5b, 0x5ea6, 0xc162 },
	{ 0x62a0, 0x33c4, 0x3437, 0x622d },
	{ 0x8766, 0x1b35, 0xdf0d, 0xc38d },
	{ 0x5cc7, 0x6f98, 0x0892, 0xc3cd },
	{ 0x7c5d, 0x950f, 0x8bbb, 0x85b1 },
	{ 0xf1dc, 0x2812, 0xd141, 0x48ad },
};

static uint16_t number(uint16_t memory_order)
{
	uint8_t bytes[2];

	memcpy(bytes, &memory_order, 2);
	return (uint16_t)(bytes[0] << 8 | bytes[1]);
}

/* RFC 1071 1, word by word. */
static uint16_t plain(const uint8_t *p, size_t n)
{
	uint32_t sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += i % 2 ? p[i] : (uint32_t)p[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

static void the_vectors_hold(void **state)
{
	(void)state;
	for (unsigned v = 0; v < sizeof(vectors) / sizeof(vectors[0]); v++) {
		uint8_t bytes[256];
		size_t n = strlen(vectors[v].hex) / 2;

		for (size_t i = 0; i < n; i++) {
			unsigned byte;

			assert_int_equal(sscanf(vectors[v].hex + 2 * i, "%2x", &byte), 1);
			bytes[i] = (uint8_t)byte;
		}
		if (number(csum_finish(csum_add(0, bytes, n))) != vectors[v].checksum)
			fail_msg("%s", vectors[v].name);
	}
}

/* covers: 1624-3-update */
static void an_update_is_a_new_sum(void **state)
{
	(void)state;
	for (unsigned u = 0; u < sizeof(updates) / sizeof(updates[0]); u++)
		assert_int_equal(csum_update(updates[u].before, updates[u].old_word, updates[u].new_word), updates[u].after);
}

static void any_length_place_and_split_gives_the_same(void **state)
{
	uint8_t bytes[1600], copy[1600];
	struct rng rng;

	(void)state;
	rng_seed_u64(&rng, 3);
	for (unsigned i = 0; i < sizeof(bytes); i++)
		bytes[i] = rng_below(&rng, 4) ? (uint8_t)rng_u32(&rng) : 0xff;
	for (unsigned step = 0; step < 20000; step++) {
		size_t at = rng_below(&rng, 32), n = rng_below(&rng, step % 2 ? 80 : 1500);
		size_t split = rng_below(&rng, n + 1) & ~(size_t)1;
		uint16_t expected = plain(bytes + at, n);
		uint64_t sum = csum_add(csum_add(0, bytes + at, split), bytes + at + split, n - split);

		assert_int_equal(number(csum_finish(sum)), expected);
		assert_int_equal(number(csum_finish(csum_add_anywhere(0, bytes + at, n))), expected);
		memset(copy, 0xa5, sizeof(copy));
		sum = (step % 3 ? csum_copy : csum_copy_anywhere)(0, copy + 3, bytes + at, n);
		assert_int_equal(number(csum_finish(sum)), expected);
		assert_memory_equal(copy + 3, bytes + at, n);
		assert_int_equal(copy[3 + n], 0xa5);
		/* a piece at an odd offset counts with its bytes swapped */
		split = rng_below(&rng, n + 1) | 1;
		if (split <= n) {
			sum = csum_join(csum_add(0, bytes + at, split), csum_swap(csum_add(0, bytes + at + split, n - split)));
			assert_int_equal(number(csum_finish(sum)), expected);
		}
	}
}

/* covers: 1624-2-zero */
static void both_zeros_verify_and_the_one_of_a_full_sum_is_stored(void **state)
{
	uint16_t words[3] = { 0x1234, 0xedcb, 0 };

	(void)state;
	words[2] = csum_finish(csum_add(0, words, sizeof(words)));
	assert_int_equal(words[2], 0);
	assert_int_equal(csum_finish(csum_add(0, words, sizeof(words))), 0);
	words[2] = 0xffff;
	assert_int_equal(csum_finish(csum_add(0, words, sizeof(words))), 0);
	words[2] = 1;
	assert_int_not_equal(csum_finish(csum_add(0, words, sizeof(words))), 0);
}

static void sums_near_overflow_lose_nothing(void **state)
{
	static uint8_t ones[1 << 16];

	(void)state;
	memset(ones, 0xff, sizeof(ones));
	assert_int_equal(csum_finish(csum_add(UINT64_MAX, ones, sizeof(ones))), 0);
	assert_int_equal(csum_finish(csum_add_anywhere(UINT64_MAX, ones, sizeof(ones))), 0);
	assert_int_equal(csum_fold(csum_join(UINT64_MAX, UINT64_MAX)), 0xffff);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_vectors_hold),
		cmocka_unit_test(an_update_is_a_new_sum),
		cmocka_unit_test(any_length_place_and_split_gives_the_same),
		cmocka_unit_test(both_zeros_verify_and_the_one_of_a_full_sum_is_stored),
		cmocka_unit_test(sums_near_overflow_lose_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
