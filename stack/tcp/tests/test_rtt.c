/* SPDX-License-Identifier: BSD-3-Clause */
/* The estimator against the vectors of RFC 6298, and the doubling. */
#include "tests/harness.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tcp/rtt.h"

#define MS(x) ((nsec)((x) * 1e6 + 0.5))

static FILE *vectors(const char *name)
{
	char line[256];
	FILE *f;

	snprintf(line, sizeof(line), "%s/%s", VECTORS, name);
	f = fopen(line, "r");
	if (!f)
		fail_msg("no %s", line);
	assert_non_null(fgets(line, sizeof(line), f));
	return f;
}

static void assert_near(nsec value, double ms)
{
	assert_in_range(value, MS(ms) > 50 ? MS(ms) - 50 : 0, MS(ms) + 50);
}

static void the_estimator_follows_the_vectors(void **state)
{
	struct tcp_settings low, standard;
	struct rtt a = { 0 }, b = { 0 };
	char name[64];
	double sample, srtt, var, rto, rto_1s;
	unsigned n, rows = 0;
	FILE *f = vectors("rto_rfc6298.tsv");

	(void)state;
	tcp_settings_standard(&standard);
	low = standard;
	low.rto_min = 1;
	while (fscanf(f, "%63s %u %lf %lf %lf %lf %lf", name, &n, &sample, &srtt, &var, &rto, &rto_1s) == 7) {
		if (n == 1) {
			rtt_start(&a, &low);
			rtt_start(&b, &standard);
			assert_int_equal(a.rto, NSEC_PER_SEC);
		}
		rtt_sample(&a, &low, MS(sample));
		rtt_sample(&b, &standard, MS(sample));
		assert_near(a.srtt, srtt);
		assert_near(a.rttvar, var);
		assert_near(a.rto, rto);
		assert_near(b.rto, rto_1s);
		rows++;
	}
	fclose(f);
	assert_int_equal(rows, 79);
}

static void the_timeout_doubles_to_its_cap(void **state)
{
	char name[64];
	double first, cap, at, sum = 0;
	unsigned expiry, rows = 0;
	FILE *f = vectors("rto_backoff.tsv");

	(void)state;
	while (fscanf(f, "%63s %lf %lf %u %lf", name, &first, &cap, &expiry, &at) == 5) {
		struct tcp_settings settings = { .rto_max = MS(cap * 1000) };
		struct rtt r = { .rto = MS(first * 1000) };

		sum = expiry == 1 ? 0 : sum;
		sum += (double)rtt_backed_off(&r, &settings, expiry - 1) / 1e9;
		assert_true(sum > at - 0.06 && sum < at + 0.06);
		rows++;
	}
	fclose(f);
	assert_int_equal(rows, 51);
}

static void linux_floors_the_variance(void **state)
{
	struct tcp_settings settings;
	struct rtt r;

	(void)state;
	tcp_settings_linux(&settings);
	rtt_start(&r, &settings);
	for (unsigned i = 0; i < 50; i++)
		rtt_sample(&r, &settings, 10 * NSEC_PER_MSEC);
	assert_in_range(r.rto, 209 * NSEC_PER_MSEC, 211 * NSEC_PER_MSEC);
}

/* RFC 4015 3.1 step 8: after a needless timeout SRTT = max(SRTT_prev, m), RTTVAR = max(RTTVAR_prev, m / 2). */
static void what_is_resumed_is_no_less_than_the_next_sample(void **state)
{
	static const struct {
		nsec srtt, rttvar, sample, srtt_after, rttvar_after;
	} rows[] = { { 10, 2, 40, 40, 20 }, { 50, 30, 40, 50, 30 }, { 50, 10, 40, 50, 20 }, { 40, 20, 40, 40, 20 } };
	struct tcp_settings settings;

	(void)state;
	tcp_settings_standard(&settings);
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct rtt r;

		rtt_start(&r, &settings);
		r.srtt = rows[i].srtt * NSEC_PER_SEC;
		r.rttvar = rows[i].rttvar * NSEC_PER_SEC;
		rtt_resume(&r, &settings, rows[i].sample * NSEC_PER_SEC);
		assert_int_equal(r.srtt, rows[i].srtt_after * NSEC_PER_SEC);
		assert_int_equal(r.rttvar, rows[i].rttvar_after * NSEC_PER_SEC);
		assert_int_equal(r.min, rows[i].sample * NSEC_PER_SEC);
	}
}

static void the_least_sample_is_kept(void **state)
{
	struct tcp_settings settings;
	struct rtt r;

	(void)state;
	tcp_settings_linux(&settings);
	rtt_start(&r, &settings);
	assert_int_equal(r.min, NSEC_NEVER);
	rtt_sample(&r, &settings, 50);
	rtt_sample(&r, &settings, 20);
	rtt_sample(&r, &settings, 90);
	assert_int_equal(r.min, 20);
	rtt_sample(&r, &settings, 0);
	assert_int_equal(r.min, 1);
}

static void the_minimum_is_of_the_last_minutes(void **state)
{
	struct tcp_settings settings;
	struct rtt r;
	nsec now = 1000 * NSEC_PER_SEC, begun;

	(void)state;
	tcp_settings_linux(&settings);
	rtt_start(&r, &settings);
	rtt_sample(&r, &settings, 20 * NSEC_PER_MSEC);
	for (begun = now; now < begun + RTT_MIN_HALF; now += NSEC_PER_SEC) {
		rtt_age(&r, now);
		rtt_sample(&r, &settings, (now == begun ? 30 : 80) * NSEC_PER_MSEC);
		assert_int_equal(r.min, 20 * NSEC_PER_MSEC);
	}
	rtt_age(&r, now);
	assert_int_equal(r.min, 30 * NSEC_PER_MSEC);
	for (begun = now; now < begun + RTT_MIN_HALF; now += NSEC_PER_SEC) {
		rtt_age(&r, now);
		rtt_sample(&r, &settings, 80 * NSEC_PER_MSEC);
	}
	rtt_age(&r, now);
	assert_int_equal(r.min, 80 * NSEC_PER_MSEC);
	/* A long silence: nothing is known, until the next sample. */
	rtt_age(&r, now + RTT_MIN_HALF);
	assert_int_equal(r.min, NSEC_NEVER);
	rtt_sample(&r, &settings, 90 * NSEC_PER_MSEC);
	assert_int_equal(r.min, 90 * NSEC_PER_MSEC);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_estimator_follows_the_vectors),
		cmocka_unit_test(the_timeout_doubles_to_its_cap),
		cmocka_unit_test(linux_floors_the_variance),
		cmocka_unit_test(what_is_resumed_is_no_less_than_the_next_sample),
		cmocka_unit_test(the_least_sample_is_kept),
		cmocka_unit_test(the_minimum_is_of_the_last_minutes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
