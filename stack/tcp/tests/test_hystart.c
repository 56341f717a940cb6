/* SPDX-License-Identifier: BSD-3-Clause */
/* RFC 9406 on the struct alone, against conformance/vectors (gen_hystart.py). */
#include "tests/harness.h"

#include <stdio.h>

#include "tcp/hystart.h"

#define MSS 1000u

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

struct run {
	struct hystart h;
	struct cc cc;
	uint32_t una, nxt;
};

static struct run begin(uint32_t segments)
{
	struct run r = { .cc = { .mss = MSS, .cwnd = segments * MSS, .ssthresh = CC_SSTHRESH_MAX }, .una = 4294960000u };

	hystart_start(&r.h);
	r.nxt = r.una + r.cc.cwnd;
	return r;
}

/* One acknowledgment, and what it lets go. */
static void ack(struct run *r, uint32_t bytes, double ms)
{
	struct cc_ack a = { .now = 1, .rtt = (nsec)(ms * 1e6), .acked = bytes, .in_flight = r->nxt - r->una, .grow = true, .limited = true };

	r->una += bytes;
	a.snd_una = r->una;
	a.snd_nxt = r->nxt;
	hystart_on_ack(&r->h, &r->cc, &a);
	r->nxt = r->una + r->cc.cwnd;
}

/* All that was outstanding, or until slow start ends, segment by segment; `samples` of them have this round trip, the others a long one. */
static void pass_round(struct run *r, double ms, unsigned samples)
{
	uint32_t end = r->nxt;

	for (unsigned n = 0; seq_lt(r->una, end) && r->cc.ssthresh == CC_SSTHRESH_MAX; n++)
		ack(r, end - r->una < MSS ? end - r->una : MSS, n < samples ? ms : 0);
}

/* covers: 9406-4.2-thresh 9406-4.2-exit */
static void slow_start_ends_by_the_thresholds_of_the_vectors(void **state)
{
	FILE *f = vectors("hystart_thresholds.tsv");
	double last, threshold, entry;
	unsigned rows = 0;

	(void)state;
	while (fscanf(f, "%lf %lf %lf", &last, &threshold, &entry) == 3) {
		/* Enough; a hundredth of a millisecond less; and enough, but seven samples only. */
		for (int variant = 0; variant < 3; variant++) {
			struct run r = begin(20);

			pass_round(&r, last, 20);
			assert_int_equal(r.h.css_round, 0);
			pass_round(&r, entry - (variant == 1 ? 0.01 : 0), variant == 2 ? 7 : 20);
			assert_int_equal(r.h.css_round > 0, variant == 0);
			assert_int_equal(r.cc.ssthresh, CC_SSTHRESH_MAX);
		}
		rows++;
	}
	fclose(f);
	assert_int_equal(rows, 20);
}

/* covers: 9406-4.2-init */
static void a_round_is_what_was_sent_when_it_began(void **state)
{
	struct run r = begin(20);
	uint32_t end = r.nxt;

	(void)state;
	for (unsigned n = 0; n < 19; n++)
		ack(&r, MSS, 50);
	assert_int_equal(r.h.window_end, end);
	assert_int_equal(r.h.current_rtt, 50000);
	assert_int_equal(r.h.last_rtt, UINT32_MAX);
	end = r.nxt;
	ack(&r, MSS, 45);
	/* The next one ends with what had been sent when this one did; its minimum is not known yet. */
	assert_int_equal(r.h.window_end, end);
	assert_int_equal(r.h.last_rtt, 45000);
	assert_int_equal(r.h.current_rtt, UINT32_MAX);
	assert_int_equal(r.h.samples, 0);
}

/* covers: 9406-4.2-cwnd */
static void an_acknowledgment_adds_at_most_eight_segments(void **state)
{
	static const struct {
		uint32_t acked, growth;
	} cases[] = { { 1, 1 }, { 500, 500 }, { MSS, MSS }, { 8 * MSS, 8 * MSS }, { 9 * MSS, 8 * MSS }, { 20 * MSS, 8 * MSS } };

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct run r = begin(40);

		ack(&r, cases[i].acked, 0);
		assert_int_equal(r.cc.cwnd - 40 * MSS, cases[i].growth);
		r.h.css_round = 1;
		r.cc.cwnd = 40 * MSS;
		ack(&r, cases[i].acked, 0);
		assert_int_equal(r.cc.cwnd - 40 * MSS, cases[i].growth / 4);
	}
}

/* covers: 9406-4.2-css 9406-4.2-rounds */
static void conservative_rounds_follow_the_vectors(void **state)
{
	FILE *f = vectors("hystart_css_growth.tsv");
	unsigned at, round, rows = 0;
	struct run r = begin(16);
	double window;

	(void)state;
	while (fscanf(f, "%u %u %lf", &at, &round, &window) == 3) {
		rows++;
		if (round == 0) {
			r = begin(at);
			ack(&r, 0, 0);          /* the round begins */
			r.h.css_round = 1;
			r.h.baseline = 0;
			continue;
		}
		/* Five rounds it lasts, and avoidance begins where the fifth ends. */
		assert_int_equal(r.cc.ssthresh, CC_SSTHRESH_MAX);
		pass_round(&r, 0, 0);
		assert_in_range(r.cc.cwnd, window * MSS * 0.97, window * MSS * 1.03);
		if (round == 5)
			assert_int_equal(r.cc.ssthresh, r.cc.cwnd);
	}
	fclose(f);
	assert_int_equal(rows, 18);
}

/* covers: 9406-4.2-resume */
static void slow_start_goes_on_where_the_delay_was_not_its_own(void **state)
{
	(void)state;
	for (int back = 0; back < 2; back++) {
		struct run r = begin(40);
		uint32_t window;

		pass_round(&r, 50, 40);
		pass_round(&r, 60, 20);
		assert_int_equal(r.h.css_round > 0, 1);
		assert_int_equal(r.h.baseline, 60000);
		pass_round(&r, back ? 59.9 : 60, 8);
		assert_int_equal(r.h.css_round == 0, back);
		/* And HyStart++ is still there: */
		window = r.cc.cwnd;
		pass_round(&r, 60, 8);
		if (back) {
			assert_true(r.cc.cwnd > 2 * window - 10 * MSS);
			pass_round(&r, 80, 8);
			assert_true(r.h.css_round > 0);
		} else {
			assert_true(r.cc.cwnd < window + window / 3);
		}
	}
}

/* covers: 9406-4.2-loss */
static void a_loss_or_a_mark_ends_it(void **state)
{
	(void)state;
	for (int variant = 0; variant < 4; variant++) {
		struct cc cc;
		uint32_t una = 0, after;

		cc_start(&cc, &cc_cubic, MSS, 40 * MSS, 0);
		for (unsigned round = 0; round < 3; round++) {
			for (unsigned n = 0; n < 40; n++) {
				struct cc_ack a = { .now = 1 + round, .acked = MSS, .in_flight = 40 * MSS, .rtt = (50 + (variant > 1 && round > 1 ? 20 : 0)) * NSEC_PER_MSEC,
						    .snd_una = una += MSS, .snd_nxt = una + 40 * MSS - n * MSS, .grow = true, .limited = true };

				cc.ops->on_ack(&cc, &a);
			}
		}
		cc.ops->on_congestion(&cc, 100, 100 * MSS, variant & 1);
		assert_int_equal(cc.ssthresh, 70 * MSS);
		assert_int_equal(cc.cwnd, cc.ssthresh);
		after = cc.cwnd;
		/* Avoidance: a window of acknowledgments adds no more than a few segments. */
		for (unsigned n = 0; n < 70; n++) {
			struct cc_ack a = { .now = 200, .acked = MSS, .in_flight = 70 * MSS, .rtt = 50 * NSEC_PER_MSEC, .snd_una = una += MSS,
					    .snd_nxt = una + 70 * MSS, .grow = true, .limited = true };

			cc.ops->on_ack(&cc, &a);
		}
		assert_in_range(cc.cwnd, after, after + 3 * MSS);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(slow_start_ends_by_the_thresholds_of_the_vectors),
		cmocka_unit_test(a_round_is_what_was_sent_when_it_began),
		cmocka_unit_test(an_acknowledgment_adds_at_most_eight_segments),
		cmocka_unit_test(conservative_rounds_follow_the_vectors),
		cmocka_unit_test(slow_start_goes_on_where_the_delay_was_not_its_own),
		cmocka_unit_test(a_loss_or_a_mark_ends_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
