/* SPDX-License-Identifier: BSD-3-Clause */
/* What two or four flows make of a bottleneck where the RFCs give figures. It is the cable from host 0, which sends, to the switch; half of the
 * delay is on either side. More of this, without figures to hold to, is in sim/LAB.md. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sim/flow.h"
#include "sim/world.h"

#define MBIT 1000000ull
#define FRAME 1538u          /* of 1448 bytes of payload, as the wire has it */
#define FLOWS_MOST 4

static struct world *make(struct wire_impairment forth, nsec rtt)
{
	struct world *w = world_new(&(struct world_config){ .hosts = 2, .seed = 7, .max_endpoints = 64 });
	struct wire_impairment back = { .delay = rtt / 2 };

	assert_non_null(w);
	forth.delay = rtt / 2;
	wire_impair(world_wire(w), 0, WIRE_UP, &forth);
	wire_impair(world_wire(w), 1, WIRE_UP, &back);
	return w;
}

/* A sender of its own port that goes on until `until`, measured from `from` on. */
static void begin(struct world *w, struct flow *f, unsigned n, enum ep_congestion cc, nsec start, nsec from, nsec until)
{
	struct flow_plan plan = { .name = "flow", .from = 0, .to = 1, .port = (uint16_t)(9000 + n), .kind = TALK_SOURCE, .stop = until,
				  .congestion = (uint8_t)cc, .may_fail = true, .start = start };

	assert_true(flow_start(f, w, &plan));
	flow_measure(f, from, until);
}

/* Goodput of each, of which the next begins later, as a part of what the rate can carry of payload. */
static double run_some(struct world *w, uint64_t rate, const enum ep_congestion *cc, unsigned n, nsec apart, nsec from, nsec until, double *goodput)
{
	static struct flow flows[FLOWS_MOST];
	double sum = 0;

	for (unsigned i = 0; i < n; i++)
		begin(w, &flows[i], i, cc[i], i * apart, from, until);
	if (!world_run_until(w, until))
		fail_msg("%s", world_failure(w));
	for (unsigned i = 0; i < n; i++)
		sum += goodput[i] = flow_goodput(&flows[i]);
	return sum / ((double)rate * 1448 / FRAME);
}

static double run(struct world *w, uint64_t rate, const enum ep_congestion cc[2], nsec apart, nsec from, nsec until, double goodput[2])
{
	return run_some(w, rate, cc, 2, apart, from, until, goodput);
}

/* Frames of a bandwidth-delay product. */
static uint32_t bdp(uint64_t rate, nsec rtt)
{
	return (uint32_t)(rate / 8 * rtt / NSEC_PER_SEC / FRAME);
}

/* Which of them meets a full queue is a matter of when it began, and stays so for minutes: the share is that of several pairs. */
/* covers: 9438-5-fair */
static void cubic_and_reno_share_a_small_path(void **state)
{
	static const enum ep_congestion pairs[2][2] = { { EP_CC_CUBIC, EP_CC_NEWRENO }, { EP_CC_NEWRENO, EP_CC_CUBIC } };
	const uint64_t rate = 10 * MBIT;
	const nsec rtt = 20 * NSEC_PER_MSEC;
	double cubic = 0, reno = 0;

	(void)state;
	for (unsigned i = 0; i < 12; i++) {
		struct world *w = make((struct wire_impairment){ .rate = rate, .queue_packets = bdp(rate, rtt) }, rtt);
		double goodput[2], used = run(w, rate, pairs[i % 2], (137 + 53 * i) * NSEC_PER_MSEC, 0, 120 * NSEC_PER_SEC, goodput);

		cubic += goodput[i % 2];
		reno += goodput[1 - i % 2];
		if (used < 0.9 || goodput[0] < goodput[1] / 4 || goodput[1] < goodput[0] / 4)
			fail_msg("%.2f and %.2f Mbit/s, %.3f of the rate", goodput[0] / 1e6, goodput[1] / 1e6, used);
		world_free(w);
	}
	if (cubic < reno / 2 || reno < cubic / 2)
		fail_msg("CUBIC had %.2f Mbit/s, Reno %.2f", cubic / 12e6, reno / 12e6);
}

/* covers: 8257-3-queue */
static void dctcp_keeps_the_queue_short(void **state)
{
	static const enum ep_congestion both[2] = { EP_CC_DCTCP, EP_CC_DCTCP };
	static const struct {
		uint64_t rate;
		nsec rtt;
	} paths[] = { { 100 * MBIT, NSEC_PER_MSEC }, { 1000 * MBIT, 200 * NSEC_PER_USEC } };
	enum { K = 20 };

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct world *w = make((struct wire_impairment){ .rate = paths[i].rate, .queue_packets = 1000, .discipline = WIRE_STEP,
								 .step_packets = K }, paths[i].rtt);
		double goodput[2], used = run(w, paths[i].rate, both, 137 * NSEC_PER_MSEC, NSEC_PER_SEC, 4 * NSEC_PER_SEC, goodput);
		const struct wire_queue_stats *q = wire_queue_stats(world_wire(w), 0, WIRE_UP);
		/* Each waits while those before it leave. */
		double mean = histogram_mean(&q->delay) * (double)paths[i].rate / 8 / FRAME / NSEC_PER_SEC;

		if (used < 0.95 || mean >= 2 * K || q->marked == 0 || q->full > 0)
			fail_msg("path %u: %.3f of the rate, %.1f packets wait, %llu marked", i, used, mean, (unsigned long long)q->marked);
		world_free(w);
	}
}

/* The last quarter of a minute: what the first ones had to themselves before the others came is not shared. */
/* covers: bbr-fair */
static void four_flows_of_bbr_come_to_share_a_path_within_a_minute(void **state)
{
	static const enum ep_congestion all[FLOWS_MOST] = { EP_CC_BBR, EP_CC_BBR, EP_CC_BBR, EP_CC_BBR };
	static const struct {
		uint64_t rate;
		nsec rtt;
		unsigned bdps;
	} paths[] = { { 20 * MBIT, 20 * NSEC_PER_MSEC, 1 }, { 20 * MBIT, 20 * NSEC_PER_MSEC, 4 }, { 50 * MBIT, 40 * NSEC_PER_MSEC, 2 } };

	(void)state;
	for (unsigned i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		uint32_t queue = paths[i].bdps * bdp(paths[i].rate, paths[i].rtt);
		struct world *w = make((struct wire_impairment){ .rate = paths[i].rate, .queue_packets = queue }, paths[i].rtt);
		double goodput[FLOWS_MOST];
		double used = run_some(w, paths[i].rate, all, FLOWS_MOST, 5 * NSEC_PER_SEC, 45 * NSEC_PER_SEC, 60 * NSEC_PER_SEC, goodput);

		if (used < 0.9 || flow_fairness(goodput, FLOWS_MOST) < 0.9)
			fail_msg("path %u: %.2f %.2f %.2f %.2f Mbit/s, %.3f of the rate", i, goodput[0] / 1e6, goodput[1] / 1e6, goodput[2] / 1e6,
				 goodput[3] / 1e6, used);
		world_free(w);
	}
}

/* covers: bbr-cubic */
static void bbr_and_cubic_leave_each_other_a_fifth(void **state)
{
	static const enum ep_congestion pairs[2][2] = { { EP_CC_CUBIC, EP_CC_BBR }, { EP_CC_BBR, EP_CC_CUBIC } };
	static const struct {
		uint64_t rate;
		nsec rtt;
	} paths[] = { { 10 * MBIT, 20 * NSEC_PER_MSEC }, { 20 * MBIT, 40 * NSEC_PER_MSEC } };

	(void)state;
	for (unsigned i = 0; i < 2 * sizeof(paths) / sizeof(paths[0]); i++) {
		uint64_t rate = paths[i / 2].rate;
		nsec rtt = paths[i / 2].rtt;
		struct world *w = make((struct wire_impairment){ .rate = rate, .queue_packets = bdp(rate, rtt) }, rtt);
		double goodput[2], used = run(w, rate, pairs[i % 2], 137 * NSEC_PER_MSEC, 0, 120 * NSEC_PER_SEC, goodput);
		double link = (double)rate * 1448 / FRAME;

		if (used < 0.9 || goodput[0] < 0.2 * link || goodput[1] < 0.2 * link)
			fail_msg("path %u: the first has %.2f, the other one %.2f Mbit/s, %.3f of the rate", i, goodput[0] / 1e6, goodput[1] / 1e6, used);
		world_free(w);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(cubic_and_reno_share_a_small_path),
		cmocka_unit_test(dctcp_keeps_the_queue_short),
		cmocka_unit_test(four_flows_of_bbr_come_to_share_a_path_within_a_minute),
		cmocka_unit_test(bbr_and_cubic_leave_each_other_a_fifth),
	};

	return cmocka_run_group_tests_name("congestion", tests, NULL, NULL);
}
