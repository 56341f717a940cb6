/* SPDX-License-Identifier: BSD-3-Clause */
/* Headers and options in and out: what is written is read again, what lies is refused, nothing is read beyond the end. */
#include "tests/harness.h"

#include <stdlib.h>
#include <string.h>

/* A header with these option bytes, in memory that ends right behind it (a sanitizer sees one byte too far). */
static bool parse(struct tcp_segment *s, uint8_t flags, const void *options, uint32_t n, enum drop *reason)
{
	uint32_t padded = (n + 3) & ~3u;
	uint8_t *bytes = calloc(1, 20 + padded);
	bool good;

	bytes[12] = (uint8_t)((20 + padded) / 4 << 4);
	bytes[13] = flags;
	memcpy(bytes + 20, options, n);
	good = segment_parse(s, bytes, 20 + padded, reason);
	s->payload = NULL;
	free(bytes);
	return good;
}

static void what_is_written_is_read(void **state)
{
	static const struct tcp_segment cases[] = {
		{ .seq = 1, .ack = 2, .flags = SEG_ACK, .window = 3, .source = 4, .destination = 5 },
		{ .seq = ~0u, .flags = SEG_SYN, .has = SEG_HAS_MSS, .mss = 1460 },
		{ .flags = SEG_SYN, .has = SEG_HAS_MSS | SEG_HAS_SCALE | SEG_HAS_SACK_OK | SEG_HAS_TS, .mss = 9000,
		  .scale = 14, .tsval = 77, .tsecr = 78 },
		{ .flags = SEG_SYN | SEG_ACK, .has = SEG_HAS_TS, .tsval = 1, .tsecr = 2 },
		{ .flags = SEG_SYN, .has = SEG_HAS_SACK_OK | SEG_HAS_SCALE, .scale = 0 },
		{ .flags = SEG_ACK, .has = SEG_HAS_TS, .tsval = 0xdeadbeef, .tsecr = 5, .sack_count = 3,
		  .sack = { { 1, 2 }, { 3, 4 }, { 5, 6 } } },
		{ .flags = SEG_ACK, .sack_count = 4, .sack = { { 1, 2 }, { 3, 4 }, { 5, 6 }, { 7, 8 } } },
		{ .flags = SEG_ACK | SEG_URG, .urgent = 99 },
		{ .flags = SEG_SYN | SEG_ACK, .has = SEG_HAS_MSS | SEG_HAS_UTO, .mss = 536, .uto = 1 },
		{ .flags = SEG_ACK, .has = SEG_HAS_TS | SEG_HAS_UTO, .uto = 0xffff, .sack_count = 2, .sack = { { 1, 2 }, { 3, 4 } } },
		{ .flags = SEG_ACK, .has = SEG_HAS_ACCECN | SEG_HAS_UTO, .accecn_fields = 3, .uto = 300 },
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct tcp_segment *w = &cases[i];
		struct tcp_segment r;
		uint8_t bytes[SEGMENT_HEADER_MAX];
		enum drop reason;
		uint32_t n = segment_write(w, bytes);

		assert_int_equal(n, segment_header_len(w));
		assert_int_equal(n % 4, 0);
		assert_true(n <= SEGMENT_HEADER_MAX);
		assert_true(segment_parse(&r, bytes, n, &reason));
		assert_int_equal(r.seq, w->seq);
		assert_int_equal(r.flags, w->flags);
		assert_int_equal(r.window, w->window);
		assert_int_equal(r.source, w->source);
		assert_int_equal(r.destination, w->destination);
		assert_int_equal(r.urgent, w->urgent);
		assert_int_equal(r.has, w->has);
		if (w->has & SEG_HAS_MSS)
			assert_int_equal(r.mss, w->mss);
		if (w->has & SEG_HAS_SCALE)
			assert_int_equal(r.scale, w->scale);
		if (w->has & SEG_HAS_TS)
			assert_true(r.tsval == w->tsval && r.tsecr == w->tsecr);
		if (w->has & SEG_HAS_UTO)
			assert_int_equal(r.uto, w->uto);
		assert_int_equal(r.sack_count, w->sack_count);
		assert_memory_equal(r.sack, w->sack, w->sack_count * sizeof(w->sack[0]));
		assert_int_equal(r.len, 0);
	}
}

static void a_data_offset_that_lies_is_refused(void **state)
{
	uint8_t bytes[64] = { 0 };
	struct tcp_segment s;
	enum drop reason;

	(void)state;
	for (unsigned words = 0; words < 16; words++) {
		for (uint32_t len = 0; len <= 64; len++) {
			bool right = words >= 5 && words * 4 <= len && len >= 20;

			bytes[12] = (uint8_t)(words << 4);
			assert_int_equal(segment_parse(&s, bytes, len, &reason), right);
			if (!right)
				assert_int_equal(reason, DROP_TCP_SHORT);
			else
				assert_int_equal(s.len, len - words * 4);
		}
	}
}

static void options_that_lie_are_refused(void **state)
{
	static const struct {
		uint8_t bytes[12];
		uint32_t n;
		bool good;
	} cases[] = {
		{ { 2, 4, 5, 0xb4 }, 4, true },
		{ { 2, 0, 5, 0xb4 }, 4, false },   /* length 0 */
		{ { 2, 1, 5, 0xb4 }, 4, false },
		{ { 2, 3, 5, 0xb4 }, 4, false },   /* a wrong length of a known kind */
		{ { 2, 5, 5, 0xb4 }, 4, false },   /* beyond the end */
		{ { 1, 1, 1, 2 }, 4, false },      /* a kind without a length */
		{ { 0, 2, 0, 0 }, 4, true },       /* behind the end of the list nothing counts */
		{ { 254, 4, 9, 9, 2, 4, 1, 0 }, 8, true },
		{ { 254, 255, 9, 9 }, 4, false },
		{ { 8, 10, 0, 0, 0, 1, 0, 0, 0, 2, 0 }, 12, true },
		{ { 8, 9, 0, 0, 0, 1, 0, 0, 0, 2, 0 }, 12, false },
		{ { 5, 2, 0, 0 }, 4, false },      /* SACK without a block */
		{ { 5, 9, 0, 0, 0, 1, 0, 0, 0, 0, 0 }, 12, false },
		{ { 3, 4, 0, 0 }, 4, false },
		{ { 4, 3, 0, 0 }, 4, false },
	};
	struct tcp_segment s;
	enum drop reason;

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		if (parse(&s, SEG_SYN, cases[i].bytes, cases[i].n, &reason) != cases[i].good)
			fail_msg("case %u", i);
		if (!cases[i].good)
			assert_int_equal(reason, DROP_TCP_OPTION);
	}
}

static void options_at_odd_offsets_are_read(void **state)
{
	const uint8_t bytes[] = { 3, 3, 7, 2, 4, 5, 0xb4, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2, 4, 2 };
	struct tcp_segment s;
	enum drop reason;

	(void)state;
	assert_true(parse(&s, SEG_SYN, bytes, sizeof(bytes), &reason));
	assert_int_equal(s.has, SEG_HAS_MSS | SEG_HAS_SCALE | SEG_HAS_SACK_OK | SEG_HAS_TS);
	assert_true(s.mss == 1460 && s.scale == 7 && s.tsval == 1 && s.tsecr == 2);
}

static void options_of_a_syn_mean_nothing_elsewhere(void **state)
{
	const uint8_t bytes[] = { 2, 4, 5, 0xb4, 3, 3, 7, 4, 2, 0, 0, 0 };
	struct tcp_segment s;
	enum drop reason;

	(void)state;
	assert_true(parse(&s, SEG_ACK, bytes, sizeof(bytes), &reason));
	assert_int_equal(s.has, 0);
}

static void a_shift_beyond_14_is_14(void **state)
{
	struct tcp_segment s;
	enum drop reason;

	(void)state;
	assert_true(parse(&s, SEG_SYN, (const uint8_t[]){ 3, 3, 255, 0 }, 4, &reason));
	assert_int_equal(s.scale, 14);
}

/* 200,000 headers of noise: whatever they say, nothing is read outside of them. */
static void noise_is_survived(void **state)
{
	struct rng rng;
	struct tcp_segment s;
	enum drop reason;
	unsigned good = 0;

	(void)state;
	rng_seed_u64(&rng, 1);
	for (unsigned i = 0; i < 200000; i++) {
		uint32_t len = 20 + (uint32_t)rng_below(&rng, 41);
		uint8_t *bytes = malloc(len);

		for (uint32_t k = 0; k < len; k++)
			bytes[k] = rng_below(&rng, 3) ? (uint8_t)rng_below(&rng, 12) : (uint8_t)rng_u32(&rng);
		bytes[12] = (uint8_t)(rng_below(&rng, 16) << 4);
		if (segment_parse(&s, bytes, len, &reason)) {
			good++;
			assert_true(s.len <= len - 20 && s.sack_count <= SEGMENT_SACK_MAX && s.scale <= 14);
		}
		free(bytes);
	}
	assert_in_range(good, 1000, 199000);
}

/* What middleboxes and scripts know: with timestamps MSS, SACK-permitted, TS, NOP, scale; without MSS, NOP NOP SACK-permitted, NOP scale. */
static void the_options_of_a_syn_stand_in_linux_s_order(void **state)
{
	static const uint8_t with[] = { 2, 4, 5, 180, 4, 2, 8, 10, 0, 0, 0, 7, 0, 0, 0, 0, 1, 3, 3, 8 };
	static const uint8_t without[] = { 2, 4, 5, 180, 1, 1, 4, 2, 1, 3, 3, 8 };
	struct tcp_segment s = { .flags = SEG_SYN, .has = SEG_HAS_MSS | SEG_HAS_SCALE | SEG_HAS_SACK_OK | SEG_HAS_TS, .mss = 1460,
				 .scale = 8, .tsval = 7 };
	uint8_t bytes[60];

	(void)state;
	assert_int_equal(segment_write(&s, bytes), 20 + sizeof(with));
	assert_memory_equal(bytes + 20, with, sizeof(with));
	s.has &= (uint8_t)~SEG_HAS_TS;
	assert_int_equal(segment_write(&s, bytes), 20 + sizeof(without));
	assert_memory_equal(bytes + 20, without, sizeof(without));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_options_of_a_syn_stand_in_linux_s_order),
		cmocka_unit_test(what_is_written_is_read),
		cmocka_unit_test(a_data_offset_that_lies_is_refused),
		cmocka_unit_test(options_that_lie_are_refused),
		cmocka_unit_test(options_at_odd_offsets_are_read),
		cmocka_unit_test(options_of_a_syn_mean_nothing_elsewhere),
		cmocka_unit_test(a_shift_beyond_14_is_14),
		cmocka_unit_test(noise_is_survived),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
