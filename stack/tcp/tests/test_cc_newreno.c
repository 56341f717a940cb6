/* SPDX-License-Identifier: BSD-3-Clause */
/* RFC 5681 3.1 and RFC 3465 on the flat struct alone. */
#include "tests/harness.h"

#include <string.h>

#include "tcp/cc.h"

#define MSS 1000

static struct cc start(uint32_t window, uint32_t ssthresh)
{
	struct cc cc;

	cc_start(&cc, &cc_newreno, MSS, window, 0);
	cc.ssthresh = ssthresh;
	return cc;
}

static void ack(struct cc *cc, uint32_t acked, bool limited, bool after_timeout)
{
	struct cc_ack a = { .acked = acked, .in_flight = cc->cwnd, .grow = true, .limited = limited, .after_timeout = after_timeout };

	cc->ops->on_ack(cc, &a);
}

static void slow_start_counts_bytes(void **state)
{
	static const struct {
		uint32_t acked, growth;
		bool limited, after_timeout;
	} cases[] = {
		{ 1, 1, true, false },                  /* RFC 3465 3.1: a byte for a byte */
		{ MSS, MSS, true, false },
		{ 2 * MSS, 2 * MSS, true, false },      /* delayed ACKs still double the window */
		{ 10 * MSS, 2 * MSS, true, false },     /* a stretch ACK: L = 2 */
		{ 10 * MSS, MSS, true, true },          /* after a timeout: L = 1 */
		{ 10 * MSS, 0, false, false },          /* the window was not used */
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct cc cc = start(10 * MSS, CC_SSTHRESH_MAX);

		ack(&cc, cases[i].acked, cases[i].limited, cases[i].after_timeout);
		assert_int_equal(cc.cwnd, 10 * MSS + cases[i].growth);
	}
}

static void avoidance_grows_one_segment_a_window(void **state)
{
	(void)state;
	for (uint32_t piece = 250; piece <= 5000; piece *= 2) {
		struct cc cc = start(20 * MSS, 20 * MSS);
		uint32_t left = 20 * MSS;

		while (left >= piece) {
			ack(&cc, piece, true, false);
			left -= piece;
		}
		assert_in_range(cc.cwnd, 20 * MSS, 21 * MSS);
		ack(&cc, left + piece, true, false);
		assert_int_equal(cc.cwnd, 21 * MSS);
	}
}

static void congestion_halves_what_was_in_flight(void **state)
{
	struct cc cc = start(40 * MSS, CC_SSTHRESH_MAX);

	(void)state;
	cc.ops->on_congestion(&cc, 0, 30 * MSS, false);
	assert_int_equal(cc.ssthresh, 15 * MSS);
	assert_int_equal(cc.cwnd, 15 * MSS);
	cc.ops->on_congestion(&cc, 0, MSS, false);
	assert_int_equal(cc.ssthresh, 2 * MSS);
}

static void a_timeout_leaves_one_segment(void **state)
{
	struct cc cc = start(40 * MSS, CC_SSTHRESH_MAX);

	(void)state;
	cc.ops->on_timeout(&cc, 0, 30 * MSS);
	assert_int_equal(cc.cwnd, MSS);
	assert_int_equal(cc.ssthresh, 15 * MSS);
}

static void idleness_restarts_from_the_initial_window(void **state)
{
	struct cc cc = start(10 * MSS, CC_SSTHRESH_MAX);

	(void)state;
	cc.cwnd = 50 * MSS;
	cc.ops->on_restart(&cc, 0, 1);
	assert_int_equal(cc.cwnd, 10 * MSS);
	cc.cwnd = 3 * MSS;
	cc.ops->on_restart(&cc, 0, 1);
	assert_int_equal(cc.cwnd, 3 * MSS);
}

static void it_is_found_by_name(void **state)
{
	(void)state;
	assert_ptr_equal(cc_find("newreno"), &cc_newreno);
	assert_ptr_equal(cc_find(NULL), &cc_newreno);
	assert_null(cc_find("tahoe"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(slow_start_counts_bytes),
		cmocka_unit_test(avoidance_grows_one_segment_a_window),
		cmocka_unit_test(congestion_halves_what_was_in_flight),
		cmocka_unit_test(a_timeout_leaves_one_segment),
		cmocka_unit_test(idleness_restarts_from_the_initial_window),
		cmocka_unit_test(it_is_found_by_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
