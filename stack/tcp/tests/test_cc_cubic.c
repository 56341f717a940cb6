/* SPDX-License-Identifier: BSD-3-Clause */
/* RFC 9438 and RFC 9406 on the flat struct alone. The expected numbers are those of the formulas, worked out in segments and
 * seconds elsewhere (conformance/vectors/gen_cubic.py, gen_hystart.py). */
#include "tests/harness.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tcp/cc.h"
#include "tcp/cubic_curve.h"

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

/* covers: 9438-4.2-applimit */
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

static FILE *vectors(const char *name)
{
	char line[512];
	FILE *f;

	snprintf(line, sizeof(line), "%s/%s", VECTORS, name);
	f = fopen(line, "r");
	if (!f)
		fail_msg("no %s", line);
	assert_non_null(fgets(line, sizeof(line), f));
	return f;
}

/* covers: 9438-4.2-W 9438-4.2-K */
static void the_curve_follows_the_vectors(void **state)
{
	FILE *f = vectors("cubic_w.tsv");
	double w_max, from, k, t, w;
	unsigned rows = 0;

	(void)state;
	while (fscanf(f, "%lf %lf %lf %lf %lf", &w_max, &from, &k, &t, &w) == 5) {
		uint64_t own = cubic_k(MSS, (uint32_t)((w_max - from) * MSS));

		assert_in_range(own, k * 1e6 - 2, k * 1e6 + 2);
		near((uint32_t)cubic_w(MSS, (uint32_t)(w_max * MSS), own, (int64_t)(t * 1e6)), w, 0.002 + w * 1e-6);
		rows++;
	}
	fclose(f);
	assert_int_equal(rows, 126);
}

/* The window of each round trip in its region: W_est where Reno is faster, else between the curve now and a round trip later. */
/* covers: 9438-4.3-west 9438-4.3-region 9438-4.4-concave */
static void windows_follow_the_vectors(void **state)
{
	FILE *f = vectors("cubic_rtt.tsv");
	double w_max, rtt, t, now, later, est;
	struct cc cc = { 0 };
	char region[32];
	unsigned n, rows = 0;

	(void)state;
	while (fscanf(f, "%lf %lf %u %lf %lf %lf %lf %31s", &w_max, &rtt, &n, &t, &now, &later, &est, region) == 8) {
		nsec length = (nsec)(rtt * 1e9);

		rows++;
		if (n == 0) {
			cc = after_loss((uint32_t)w_max, (uint32_t)(w_max * 0.7));
			continue;
		}
		pass(&cc, 1 + (n - 1) * length, 1 + n * length, length);
		if (strcmp(region, "reno-friendly") == 0) {
			near(cc.cwnd, est, 0.15 + est * 0.02);
		} else {
			assert_true(cc.cwnd / (double)MSS <= later + 0.2);
			assert_true(cc.cwnd / (double)MSS >= now - 0.02 * w_max);
		}
	}
	fclose(f);
	assert_int_equal(rows, 205);
}

/* covers: 9438-4.6-beta 9438-4.7-fastconv */
static void decreases_follow_the_vectors(void **state)
{
	FILE *f = vectors("cubic_decrease.tsv");
	char event[8], k_text[16];
	int fast;
	double before, cwnd, flight, ssthresh, after, w_max;
	unsigned rows = 0;

	(void)state;
	while (fscanf(f, "%7s %d %lf %lf %lf %lf %lf %lf %15s", event, &fast, &before, &cwnd, &flight, &ssthresh, &after, &w_max, k_text) == 9) {
		struct cc cc;
		nsec rtt = 200 * NSEC_PER_MSEC, k = (nsec)(atof(k_text) * 1e9);

		if (!fast)
			continue;       /* there is no way to do without */
		rows++;
		cc_start(&cc, &cc_cubic, MSS, 10 * MSS, 0);
		if (before > 0) {
			cc.cwnd = (uint32_t)(before * MSS);
			cc.ops->on_congestion(&cc, 0, cc.cwnd, false);
		}
		cc.cwnd = (uint32_t)(cwnd * MSS);
		cc.ops->on_congestion(&cc, 0, (uint32_t)(flight * MSS), strcmp(event, "ece") == 0);
		near(cc.ssthresh, ssthresh, 0.001);
		near(cc.cwnd, after, 0.001);
		/* W_max shows where the window is level: at K, if Reno would not be faster. */
		if (k == 0 || w_max < 50)
			continue;
		pass(&cc, 1, k + rtt / 2, rtt);
		near(cc.cwnd, w_max, 0.01 * w_max);
	}
	fclose(f);
	assert_int_equal(rows, 8);
}

/* covers: 9438-4.2-target */
static void the_target_is_at_most_half_a_window_more(void **state)
{
	struct cc cc = after_loss(1000, 700);
	struct cc_ack a = { .now = 1, .rtt = 100 * NSEC_PER_MSEC, .acked = MSS, .grow = true, .limited = true };
	uint32_t window = cc.cwnd;

	(void)state;
	cc.ops->on_ack(&cc, &a);
	/* An hour later the curve is beyond all bounds: (1.5 cwnd - cwnd) / cwnd of what was acknowledged. */
	a.now = 3600 * NSEC_PER_SEC;
	window = cc.cwnd;
	cc.ops->on_ack(&cc, &a);
	assert_in_range(cc.cwnd - window, MSS / 2 - 2, MSS / 2 + 1);
	/* And where it lies below, the window stays. */
	cc = after_loss(1000, 700);
	a.now = 1;
	cc.ops->on_ack(&cc, &a);
	cc.cwnd = 990 * MSS;
	a.now = NSEC_PER_SEC;
	cc.ops->on_ack(&cc, &a);
	assert_int_equal(cc.cwnd, 990 * MSS);
}

/* covers: 9438-4.5-convex */
static void gains_are_least_at_the_plateau(void **state)
{
	struct cc cc = after_loss(1000, 700);
	nsec rtt = 100 * NSEC_PER_MSEC;
	uint32_t last = cc.cwnd, gains[180], least = 0;

	(void)state;
	for (unsigned n = 0; n < 180; n++) {
		pass(&cc, 1 + n * rtt, 1 + (n + 1) * rtt, rtt);
		gains[n] = cc.cwnd - last;
		last = cc.cwnd;
		if (n > 0 && gains[n] < gains[least])
			least = n;
	}
	/* K is 9.09 s; up to there gains shrink, then they grow again. */
	assert_in_range(least, 75, 100);
	for (unsigned n = 20; n < 80; n += 20)
		assert_true(gains[n] > gains[n + 15]);
	for (unsigned n = 110; n < 160; n += 20)
		assert_true(gains[n] < gains[n + 15]);
	assert_true(cc.cwnd > 1200 * MSS);
}

/* covers: 9438-4.3-alpha1 */
static void beyond_the_former_window_reno_grows_by_one(void **state)
{
	struct cc cc = after_loss(10, 7);
	nsec rtt = 10 * NSEC_PER_MSEC;
	uint32_t window;

	(void)state;
	pass(&cc, 1, 4 * rtt, rtt);
	window = cc.cwnd;
	pass(&cc, 4 * rtt, 5 * rtt, rtt);
	near(cc.cwnd - window, 9.0 / 17, 0.1);
	pass(&cc, 5 * rtt, 10 * rtt, rtt);
	window = cc.cwnd;
	assert_true(window > 10 * MSS);
	pass(&cc, 10 * rtt, 15 * rtt, rtt);
	near(cc.cwnd - window, 5.0, 0.4);
}

/* covers: 9438-4.10-hystart */
static void the_first_avoidance_begins_on_a_plateau(void **state)
{
	struct cc cc;
	nsec rtt = 100 * NSEC_PER_MSEC, now = NSEC_PER_SEC;
	uint32_t sequence = 0, window;

	(void)state;
	cc_start(&cc, &cc_cubic, MSS, 40 * MSS, 0);
	/* The round trip grows from round to round until slow start is over. */
	for (unsigned round = 0; round < 20 && cc.ssthresh == CC_SSTHRESH_MAX; round++) {
		uint32_t end = sequence + 40 * MSS;

		for (; sequence != end; sequence += MSS) {
			struct cc_ack a = { .now = now, .rtt = rtt + (round > 2 ? 30 : 0) * NSEC_PER_MSEC, .acked = MSS, .in_flight = cc.cwnd,
					    .snd_una = sequence + MSS, .snd_nxt = end + 40 * MSS, .grow = true, .limited = true };

			cc.ops->on_ack(&cc, &a);
		}
		now += rtt;
	}
	assert_true(cc.ssthresh < CC_SSTHRESH_MAX);
	/* K = 0 and W_max = cwnd: convex from here on, W(2 s) = W_max + 0.4 * 8. */
	window = cc.cwnd;
	pass(&cc, now, now + 2 * NSEC_PER_SEC, 2 * NSEC_PER_SEC);
	pass(&cc, now + 2 * NSEC_PER_SEC, now + 4 * NSEC_PER_SEC, 2 * NSEC_PER_SEC);
	assert_in_range(cc.cwnd, window + 3 * MSS, window + 60 * MSS);
}

/* covers: 9438-4.8-rto */
static void avoidance_after_a_timeout_begins_on_a_plateau(void **state)
{
	struct cc cc = after_loss(1000, 700);
	nsec rtt = 100 * NSEC_PER_MSEC;

	(void)state;
	cc.ops->on_timeout(&cc, 0, 700 * MSS);
	assert_int_equal(cc.cwnd, MSS);
	assert_int_equal(cc.ssthresh, 490 * MSS);
	/* Slow start is over: W_max is 490, not 700, and K is 0. */
	cc.cwnd = 490 * MSS;
	pass(&cc, 1, 5 * NSEC_PER_SEC, rtt);
	/* 490 + 0.4 * 125 = 540; with W_max = 700 and its K of 8.07 s it would be 689. */
	near(cc.cwnd, 540, 8);
}

/* covers: 9406-4.3-initial 9438-4.10-ss */
static void hystart_is_for_the_first_slow_start(void **state)
{
	struct cc cc;
	uint32_t sequence = 0;

	(void)state;
	cc_start(&cc, &cc_cubic, MSS, 100 * MSS, 0);
	cc.ops->on_timeout(&cc, 0, 100 * MSS);
	/* Slow start to 70 segments, though the round trip doubles again and again. */
	for (unsigned round = 0; round < 7; round++) {
		uint32_t window = cc.cwnd, end = sequence + window;

		for (; sequence != end; sequence += MSS) {
			struct cc_ack a = { .now = round + 1, .rtt = 10 * NSEC_PER_MSEC << round, .acked = MSS, .in_flight = window,
					    .snd_una = sequence + MSS, .snd_nxt = end + window, .grow = true, .limited = true };

			if (cc.cwnd < cc.ssthresh)
				cc.ops->on_ack(&cc, &a);
		}
		if (round < 6)
			assert_int_equal(cc.cwnd, 2 * window);
	}
	assert_int_equal(cc.ssthresh, 70 * MSS);
	assert_int_equal(cc.cwnd, 70 * MSS);
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
		cmocka_unit_test(the_curve_follows_the_vectors),
		cmocka_unit_test(windows_follow_the_vectors),
		cmocka_unit_test(decreases_follow_the_vectors),
		cmocka_unit_test(the_target_is_at_most_half_a_window_more),
		cmocka_unit_test(gains_are_least_at_the_plateau),
		cmocka_unit_test(beyond_the_former_window_reno_grows_by_one),
		cmocka_unit_test(the_first_avoidance_begins_on_a_plateau),
		cmocka_unit_test(avoidance_after_a_timeout_begins_on_a_plateau),
		cmocka_unit_test(hystart_is_for_the_first_slow_start),
	};

	return cmocka_run_group_tests_name("cc_cubic", tests, NULL, NULL);
}
