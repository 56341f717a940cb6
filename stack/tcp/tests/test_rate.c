/* SPDX-License-Identifier: BSD-3-Clause */
/* Delivery-rate samples on the struct alone (draft-ietf-ccwg-bbr 4.1). */
#include "tests/harness.h"

#include "tcp/rate.h"

#define MS NSEC_PER_MSEC
#define PIECE 10000u
#define PIECES 200

/* Pieces that leave `send` apart, and are acknowledged `ack` apart from 50 ms on. The highest rate of all samples. */
static uint64_t rate_of(nsec send, nsec ack)
{
	struct rate r;
	struct rate_mark marks[PIECES];
	const struct rate_sample *s = NULL;
	uint32_t in_flight = 0;
	uint64_t rate = 0;
	unsigned sent = 0, arrived = 0;

	rate_start(&r, 0);
	for (nsec now = 0; arrived < PIECES; now += MS / 10) {
		while (sent < PIECES && now >= sent * send) {
			rate_sent(&r, &marks[sent++], now, in_flight, in_flight + PIECE);
			in_flight += PIECE;
		}
		if (arrived < sent && now >= 50 * MS + arrived * ack) {
			rate_arrived(&r, &marks[arrived], now, arrived * send, arrived * PIECE, (arrived + 1) * PIECE);
			in_flight -= PIECE;
			arrived++;
			s = rate_take(&r, NSEC_NEVER);
			assert_true(s->any);
			assert_int_equal(s->total, arrived * PIECE);
			rate = s->rate > rate ? s->rate : rate;
			rate_clear(&r);
		}
	}
	return rate;
}

/* covers: bbr-rate */
static void a_rate_is_the_slower_of_sending_and_acknowledging(void **state)
{
	(void)state;
	/* 10,000 bytes a millisecond. */
	assert_in_range(rate_of(MS, MS), 9000000, 10600000);
	/* Acknowledgments that come compressed do not make it faster ... */
	assert_in_range(rate_of(MS, MS / 10), 9000000, 11000000);
	/* ... and slow ones tell how fast the path is. */
	assert_in_range(rate_of(MS / 10, 2 * MS), 4400000, 5100000);
}

static void a_sample_after_a_lack_of_data_says_so_until_the_gap_has_left(void **state)
{
	struct rate r;
	struct rate_mark before, within, after;

	(void)state;
	rate_start(&r, 0);
	rate_sent(&r, &before, 0, 0, PIECE);
	rate_app_limited(&r, PIECE);
	rate_sent(&r, &within, 5 * MS, PIECE, 2 * PIECE);
	rate_arrived(&r, &before, 10 * MS, 0, 0, PIECE);
	assert_false(rate_take(&r, NSEC_NEVER)->app_limited);
	rate_clear(&r);
	rate_arrived(&r, &within, 15 * MS, 5 * MS, PIECE, 2 * PIECE);
	assert_true(rate_take(&r, NSEC_NEVER)->app_limited);
	rate_clear(&r);
	rate_sent(&r, &after, 15 * MS, 0, PIECE);
	rate_arrived(&r, &after, 25 * MS, 15 * MS, 2 * PIECE, 3 * PIECE);
	assert_false(rate_take(&r, NSEC_NEVER)->app_limited);
	assert_int_equal(r.sample.rate, PIECE * 100);
}

static void what_came_back_faster_than_any_round_trip_is_no_sample(void **state)
{
	struct rate r;
	struct rate_mark m;

	(void)state;
	rate_start(&r, 0);
	rate_sent(&r, &m, 100 * MS, 0, PIECE);
	rate_arrived(&r, &m, 101 * MS, 100 * MS, 0, PIECE);
	assert_int_equal(rate_take(&r, 10 * MS)->rate, 0);
	assert_true(r.sample.any);
}

static void losses_are_counted_from_when_the_lost_was_sent(void **state)
{
	struct rate r;
	struct rate_mark m[100];

	(void)state;
	rate_start(&r, 0);
	for (unsigned i = 0; i < 100; i++)
		rate_sent(&r, &m[i], i * MS, i * 1000, (i + 1) * 1000);
	/* Two of the hundred in flight are as much as may be lost. */
	rate_lost(&r, &m[98], 98000, 99000);
	rate_lost(&r, &m[99], 99000, 100000);
	assert_int_equal(r.sample.lost_ranges, 1);
	assert_false(r.sample.too_many);
	rate_lost(&r, &m[97], 97000, 98000);
	assert_int_equal(r.sample.lost_ranges, 2);
	assert_true(r.sample.too_many);
	/* 97,000 went before this piece, of which 1,940 may be lost and 2,000 were. */
	assert_int_equal(r.sample.loss_in_flight, 97000);
	rate_clear(&r);
	/* A large piece: as much of it as keeps the losses within a fiftieth. */
	rate_start(&r, 0);
	rate_sent(&r, &m[0], 0, 0, 49000);
	rate_sent(&r, &m[1], 0, 49000, 98000);
	rate_lost(&r, &m[1], 49000, 98000);
	assert_true(r.sample.too_many);
	assert_int_equal(r.sample.loss_in_flight, 49000 + 980 * 50 / 49);
}

static void counters_may_wrap(void **state)
{
	struct rate r;
	struct rate_mark m;

	(void)state;
	rate_start(&r, 0);
	r.delivered = r.lost = UINT32_MAX - 5;
	rate_sent(&r, &m, 0, 0, PIECE);
	rate_arrived(&r, &m, 10 * MS, 0, 0, PIECE);
	assert_int_equal(rate_take(&r, NSEC_NEVER)->delivered, PIECE);
	assert_int_equal(r.sample.rate, 100 * PIECE);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_rate_is_the_slower_of_sending_and_acknowledging),
		cmocka_unit_test(a_sample_after_a_lack_of_data_says_so_until_the_gap_has_left),
		cmocka_unit_test(what_came_back_faster_than_any_round_trip_is_no_sample),
		cmocka_unit_test(losses_are_counted_from_when_the_lost_was_sent),
		cmocka_unit_test(counters_may_wrap),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
