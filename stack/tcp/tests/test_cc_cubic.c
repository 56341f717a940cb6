/* SPDX-License-Identifier: BSD-3-Clause */
/* RFC 9438 and RFC 9406 on the flat struct alone. The expected numbers are those of the formulas, worked out in segments and
 * seconds elsewhere (conformance/vectors/gen_cubic.py, gen_hystart.py). */
#include "tests/harness.h"

#include "tcp/cc.h"
#include "tcp/hystart.h"

#define MSS 1000u

static struct cc after_loss(uint32_t w_max, uint32_t window)
{
	struct cc cc;

	cc_start(&cc, &cc_cubic, MSS, w_max * MSS, 0);
	cc.ops->on_congestion(&cc, 0, w_max * MSS, false);
	cc.cwnd = cc.ssthresh = window * MSS;
	return cc;
}

static void near(uint32_t got, double segments, double within)
{
	double off = got / (double)MSS - segments;

	if (off > within || off < -within)
		fail_msg("%u bytes, expected %.3f segments", got, segments);
}

/* A window acknowledged each round trip, segment by segment. */
static void pass(struct cc *cc, nsec from, nsec to, nsec rtt)
{
	for (nsec now = from; now < to; now += rtt) {
		uint32_t window = cc->cwnd;

		for (uint32_t done = 0; done < window; done += MSS) {
			struct cc_ack a = { .now = now + rtt * done / window, .rtt = rtt, .acked = MSS, .in_flight = window,
					    .grow = true, .limited = true };

			cc->ops->on_ack(cc, &a);
		}
	}
}

static void the_window_follows_the_polynomial(void **state)
{
	/* W_max, K in ms, and W at K/2, K, 3K/2 in segments. */
	static const struct {
		uint32_t w_max, k_ms;
		double half, at_k, beyond;
	} cases[] = {
		{ 500, 7211, 481.25, 500, 518.75 },
		{ 1000, 9086, 962.5, 1000, 1037.5 },
		{ 5000, 15536, 4812.5, 5000, 5187.5 },
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct cc cc = after_loss(cases[i].w_max, cases[i].w_max * 7 / 10);
		nsec k = cases[i].k_ms * NSEC_PER_MSEC, rtt = 100 * NSEC_PER_MSEC, half = k / 2 / rtt * rtt;
		double close = cases[i].w_max * 0.01;

		pass(&cc, 1, half, rtt);
		near(cc.cwnd, cases[i].half, close);
		pass(&cc, half + 1, k, rtt);
		near(cc.cwnd, cases[i].at_k, close);
		pass(&cc, k, k + half, rtt);
		near(cc.cwnd, cases[i].beyond, close);
	}
}

static void a_short_path_grows_no_slower_than_reno(void **state)
{
	struct cc cc = after_loss(10, 7);
	nsec rtt = 10 * NSEC_PER_MSEC;

	(void)state;
	/* W_est: 7 + 6 * 9/17 = 10.18 after six round trips, then a segment each. */
	pass(&cc, 1, 6 * rtt, rtt);
	near(cc.cwnd, 10.18, 0.4);
	pass(&cc, 6 * rtt, 16 * rtt, rtt);
	near(cc.cwnd, 20.0, 1.0);
}

static void losses_decrease_as_in_the_table(void **state)
{
	static const struct {
		uint32_t before, cwnd, flight;   /* W_max before, in segments */
		bool ecn;
		uint32_t ssthresh, after;
	} cases[] = {
		{ 0, 100, 100, false, 70000, 70000 },
		{ 100, 80, 80, false, 56000, 56000 },
		{ 100, 100, 60, false, 42000, 42000 },
		{ 10, 2, 2, false, 2000, 2000 },
		{ 100, 80, 80, true, 56000, 56000 },
		{ 10, 2, 2, true, 2000, 1400 },
		{ 10, 1, 1, true, 2000, 1000 },
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct cc cc;

		cc_start(&cc, &cc_cubic, MSS, 10 * MSS, 0);
		if (cases[i].before) {
			cc.cwnd = cases[i].before * MSS;
			cc.ops->on_congestion(&cc, 0, cc.cwnd, false);
		}
		cc.cwnd = cases[i].cwnd * MSS;
		cc.ops->on_congestion(&cc, 0, cases[i].flight * MSS, cases[i].ecn);
		assert_int_equal(cc.ssthresh, cases[i].ssthresh);
		assert_int_equal(cc.cwnd, cases[i].after);
	}
}

/* Fast convergence (4.7): a second loss below the first plateau lowers it to 0.85 of the window. */
static void a_lower_peak_gives_way(void **state)
{
	struct cc cc = after_loss(1000, 700);
	nsec rtt = 100 * NSEC_PER_MSEC;

	(void)state;
	cc.cwnd = 800 * MSS;
	cc.ops->on_congestion(&cc, 0, 800 * MSS, false);
	/* W_max 680, window 560: K = (120 / 0.4)^(1/3) = 6.69 s. */
	pass(&cc, 1, 6700 * NSEC_PER_MSEC, rtt);
	near(cc.cwnd, 680, 7);
}

static void time_of_the_application_does_not_count(void **state)
{
	struct cc cc = after_loss(1000, 700);
	nsec rtt = 100 * NSEC_PER_MSEC;
	uint32_t before;
	struct cc_ack a = { .rtt = rtt, .acked = MSS, .in_flight = MSS, .grow = true, .limited = false };

	(void)state;
	pass(&cc, 1, NSEC_PER_SEC, rtt);
	before = cc.cwnd;
	for (a.now = NSEC_PER_SEC; a.now < 100 * NSEC_PER_SEC; a.now += rtt)
		cc.ops->on_ack(&cc, &a);
	assert_int_equal(cc.cwnd, before);
	pass(&cc, a.now, a.now + rtt, rtt);
	assert_in_range(cc.cwnd, before, before + 30 * MSS);
}

static void a_timeout_begins_anew(void **state)
{
	struct cc cc = after_loss(1000, 700);

	(void)state;
	cc.ops->on_timeout(&cc, 0, 700 * MSS);
	assert_int_equal(cc.cwnd, MSS);
	assert_int_equal(cc.ssthresh, 490 * MSS);
}

static void hystart_leaves_when_the_round_trip_grows(void **state)
{
	/* RFC 9406 4.2: the last round's minimum, and what the next round must show, in ms (gen_hystart.py). */
	static const struct {
		double last, entry;
	} cases[] = { { 1, 5 }, { 32, 36 }, { 40, 45 }, { 80, 90 }, { 200, 216 } };

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		for (int below = 0; below < 2; below++) {
			struct cc cc = { .mss = MSS, .cwnd = 10 * MSS, .ssthresh = CC_SSTHRESH_MAX };
			struct hystart h;
			struct cc_ack a = { .acked = MSS, .in_flight = 10 * MSS, .grow = true, .limited = true };

			hystart_start(&h);
			a.rtt = (nsec)(cases[i].last * 1e6);
			for (unsigned n = 0; n < 11; n++)
				hystart_on_ack(&h, &cc, &a);
			a.rtt = (nsec)((cases[i].entry - (below ? 0.01 : 0)) * 1e6);
			for (unsigned n = 0; n < 9; n++)
				hystart_on_ack(&h, &cc, &a);
			assert_int_equal(h.css_round > 0, !below);
		}
	}
}

static void conservative_slow_start_grows_by_a_quarter_and_ends(void **state)
{
	struct cc cc = { .mss = MSS, .cwnd = 16 * MSS, .ssthresh = CC_SSTHRESH_MAX };
	struct hystart h;

	(void)state;
	hystart_start(&h);
	h.css_round = 1;
	h.baseline = 0;
	h.round_end = 16 * MSS;
	for (unsigned round = 0; round < 5; round++) {
		uint32_t window = cc.cwnd;

		assert_int_equal(cc.ssthresh, CC_SSTHRESH_MAX);
		for (uint32_t done = 0; done < window; done += MSS) {
			struct cc_ack a = { .acked = MSS, .in_flight = window + window / 4, .grow = true, .limited = true };

			hystart_on_ack(&h, &cc, &a);
		}
	}
	near(cc.cwnd, 48.8, 3);
	assert_int_equal(cc.ssthresh, cc.cwnd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_window_follows_the_polynomial),
		cmocka_unit_test(a_short_path_grows_no_slower_than_reno),
		cmocka_unit_test(losses_decrease_as_in_the_table),
		cmocka_unit_test(a_lower_peak_gives_way),
		cmocka_unit_test(time_of_the_application_does_not_count),
		cmocka_unit_test(a_timeout_begins_anew),
		cmocka_unit_test(hystart_leaves_when_the_round_trip_grows),
		cmocka_unit_test(conservative_slow_start_grows_by_a_quarter_and_ends),
	};

	return cmocka_run_group_tests_name("cc_cubic", tests, NULL, NULL);
}
