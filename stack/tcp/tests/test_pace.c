/* SPDX-License-Identifier: BSD-3-Clause */
/* Pacing as the wire sees it: when segments leave, in virtual time. */
#include "tests/harness.h"

#include <errno.h>

#include "tcp/pace.h"

#define MSS 1000u
#define MS NSEC_PER_MSEC

static uint8_t bytes[1 << 20];

/* Acknowledges at once all that was sent, and says how much that was. */
static uint32_t take_all(struct harness_host *h, struct harness_peer *p)
{
	struct tcp_segment s;
	uint32_t n = 0;

	while (harness_sent(h, &s)) {
		n += s.len;
		if (s.len > 0)
			p->ack = s.seq + s.len;
	}
	return n;
}

struct spacing {
	uint32_t most, total;  /* in one go, and in all */
	nsec first, last;
};

/* `duration` of sending to a peer that acknowledges within 5 ms. */
static struct spacing pace_for(struct harness_host *h, struct harness_peer *p, nsec duration)
{
	struct spacing s = { .first = h->now, .last = h->now };
	nsec end = h->now + duration;

	while (h->now < end) {
		uint32_t n;

		harness_pass(h, MS / 10);
		n = take_all(h, p);
		s.total += n;
		s.most = n > s.most ? n : s.most;
		if (n > 0) {
			s.last = h->now;
			harness_send(h, p, (struct tcp_segment){ .flags = SEG_ACK, .window = 65535 });
		}
	}
	return s;
}

static struct harness_host *paced(struct harness_peer *p, ep_id *id, int64_t rate)
{
	struct harness_host *h = harness_host_new(1, NULL, 0);

	*id = harness_accepted(h, p, MSS);
	assert_int_equal(ep_set(h->stack, *id, EP_MAX_PACING_RATE, rate), 0);
	return h;
}

static void a_limit_spaces_what_leaves(void **state)
{
	struct harness_peer p = { 0 };
	ep_id id;
	struct harness_host *h = paced(&p, &id, 1000000);
	struct spacing s;
	int64_t value;

	(void)state;
	assert_int_equal(ep_get(h->stack, id, EP_MAX_PACING_RATE, &value), 0);
	assert_int_equal(value, 1000000);
	assert_true(ep_send(h->stack, id, bytes, 200000) > 100000);
	/* The initial window goes at once, the rest by the rate: two segments each two milliseconds. */
	harness_turn(h);
	assert_int_equal(take_all(h, &p), 10 * MSS);
	harness_send(h, &p, (struct tcp_segment){ .flags = SEG_ACK, .window = 65535 });
	take_all(h, &p);
	s = pace_for(h, &p, 60 * MS);
	assert_in_range(s.total, 56000, 62000);
	assert_true(s.most <= 2 * MSS);
	harness_host_free(h);
}

/* A daemon that shares its core wakes milliseconds late; a rate that lost them would look like a slower path. */
static void a_late_core_makes_up_for_it_within_bounds(void **state)
{
	struct harness_peer p = { 0 };
	ep_id id;
	struct harness_host *h = paced(&p, &id, 1000000);
	uint32_t total = 0, most = 0, n, i;

	(void)state;
	assert_true(ep_send(h->stack, id, bytes, 400000) > 200000);
	harness_turn(h);
	take_all(h, &p);
	for (i = 0; i < 20; i++) {
		harness_send(h, &p, (struct tcp_segment){ .flags = SEG_ACK, .window = 65535 });
		harness_pass(h, 5 * MS);
		n = take_all(h, &p);
		total += n;
		most = n > most ? n : most;
	}
	assert_in_range(total, 94000, 102000);
	/* After half a second the credit is a few milliseconds. */
	h->now += 500 * MS;
	harness_send(h, &p, (struct tcp_segment){ .flags = SEG_ACK, .window = 65535 });
	assert_in_range(take_all(h, &p), 1 * MSS, 9 * MSS);
	assert_true(most <= 8 * MSS);
	harness_host_free(h);
}

static void a_rate_that_the_peer_s_window_limits_is_not_the_path_s(void **state)
{
	static const struct {
		uint32_t window, writes;
		bool limited;
	} cases[] = { { 4 * MSS, 60, true }, { 60 * MSS, 60, false }, { 60 * MSS, 4, true } };
	unsigned i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct harness_host *h = harness_host_new(1, NULL, 0);
		struct harness_peer p = { .window = (uint16_t)cases[i].window };
		ep_id id = harness_accepted(h, &p, MSS);

		assert_int_equal(ep_set(h->stack, id, EP_CONGESTION, EP_CC_BBR), 0);
		assert_int_equal(ep_send(h->stack, id, bytes, cases[i].writes * MSS), cases[i].writes * MSS);
		harness_turn(h);
		assert_int_equal(harness_conn(h, id)->delivery->rate.app_limited, cases[i].limited);
		harness_host_free(h);
	}
}

static void no_limit_is_no_pacing(void **state)
{
	struct harness_peer p = { 0 };
	ep_id id;
	struct harness_host *h = paced(&p, &id, 0);

	(void)state;
	assert_null(harness_conn(h, id)->delivery);
	assert_int_equal(ep_set(h->stack, id, EP_MAX_PACING_RATE, 5000), 0);
	assert_non_null(harness_conn(h, id)->delivery);
	assert_int_equal(ep_set(h->stack, id, EP_MAX_PACING_RATE, 0), 0);
	assert_null(harness_conn(h, id)->delivery);
	assert_int_equal(ep_set(h->stack, id, EP_MAX_PACING_RATE, -1), -EINVAL);
	harness_host_free(h);
}

static void a_limit_caps_bbr_too(void **state)
{
	struct harness_peer p = { 0 };
	ep_id id;
	struct harness_host *h = paced(&p, &id, 500000);
	struct ep_info info;

	(void)state;
	assert_int_equal(ep_set(h->stack, id, EP_CONGESTION, EP_CC_BBR), 0);
	assert_int_equal(ep_info(h->stack, id, &info), 0);
	assert_string_equal(info.cc, "bbr");
	assert_int_equal(info.pacing_rate, 500000);
	assert_true(ep_send(h->stack, id, bytes, 200000) > 100000);
	harness_turn(h);
	take_all(h, &p);
	harness_send(h, &p, (struct tcp_segment){ .flags = SEG_ACK, .window = 65535 });
	take_all(h, &p);
	assert_in_range(pace_for(h, &p, 100 * MS).total, 46000, 52000);
	harness_host_free(h);
}

static void a_burst_is_a_millisecond_of_the_rate(void **state)
{
	struct harness_peer p = { 0 };
	ep_id id;
	struct harness_host *h = paced(&p, &id, 8 * 1024 * 1000);
	struct spacing s;

	(void)state;
	assert_true(ep_send(h->stack, id, bytes, 200000) > 100000);
	harness_turn(h);
	take_all(h, &p);
	harness_send(h, &p, (struct tcp_segment){ .flags = SEG_ACK, .window = 65535 });
	take_all(h, &p);
	s = pace_for(h, &p, 10 * MS);
	assert_int_equal(s.most, 8 * MSS);
	assert_in_range(s.total, 70000, 90000);
	harness_host_free(h);
}

static void another_algorithm_may_take_over_at_any_time(void **state)
{
	struct harness_peer p = { 0 };
	ep_id id;
	struct harness_host *h = paced(&p, &id, 0);

	(void)state;
	assert_true(ep_send(h->stack, id, bytes, 100000) > 50000);
	for (int i = 0; i < 12; i++) {
		static const int which[] = { EP_CC_BBR, EP_CC_CUBIC, EP_CC_NEWRENO };

		harness_turn(h);
		take_all(h, &p);
		assert_int_equal(ep_set(h->stack, id, EP_CONGESTION, which[i % 3]), 0);
		assert_int_equal(harness_conn(h, id)->delivery != NULL, i % 3 == 0);
		assert_int_equal(harness_conn(h, id)->cc.large != NULL, i % 3 == 0);
		harness_send(h, &p, (struct tcp_segment){ .flags = SEG_ACK, .window = 65535 });
		take_all(h, &p);
		harness_pass(h, 5 * MS);
	}
	harness_host_free(h);
}

static void what_paces_is_counted_as_memory(void **state)
{
	struct harness_peer p = { 0 };
	struct harness_host *h = harness_host_new(1, NULL, 0);
	ep_id id = harness_accepted(h, &p, MSS);
	struct stack_memory before, after;

	(void)state;
	stack_memory(h->stack, &before);
	assert_int_equal(ep_set(h->stack, id, EP_MAX_PACING_RATE, 1000000), 0);
	stack_memory(h->stack, &after);
	assert_in_range(after.pools - before.pools, sizeof(struct delivery), sizeof(struct delivery) + 16);
	harness_host_free(h);
}

/* What the rate has not paid for stays, and so does a probe of the path MTU (RFC 4821 7.4); and the rate pays for it. */
static void a_probe_of_the_path_mtu_leaves_no_earlier_than_the_rate_allows(void **state)
{
	struct tcp_settings settings;
	struct harness_host *h;
	struct harness_peer p;
	struct tcp_segment s;
	ep_id listener, id;
	nsec started, left;

	(void)state;
	tcp_settings_linux(&settings);
	settings.mtu_probing = 2;
	h = harness_host_new(1, &settings, 0);
	listener = harness_listen(h, OUR_PORT, 8);
	p = (struct harness_peer){ .seq = 1000, .port = PEER_PORT, .window = 65535 };
	harness_send(h, &p, (struct tcp_segment){ .flags = SEG_SYN, .has = SEG_HAS_MSS | SEG_HAS_SACK_OK, .mss = 1460 });
	s = harness_expect(h, SEG_SYN | SEG_ACK);
	p.seq = 1001;
	p.ack = s.seq + 1;
	harness_send(h, &p, (struct tcp_segment){ .flags = SEG_ACK });
	assert_int_equal(ep_accept(h->stack, listener, &id, NULL), 0);
	assert_int_equal(ep_close(h->stack, listener), 0);
	assert_int_equal(ep_set(h->stack, id, EP_NODELAY, 1), 0);
	for (unsigned i = 0; i < 12; i++) {
		/* The last two are more than two segments' worth at 10,000 bytes a second. */
		if (i == 10)
			assert_int_equal(ep_set(h->stack, id, EP_MAX_PACING_RATE, 10000), 0);
		assert_int_equal(ep_send(h->stack, id, bytes, MSS), MSS);
		harness_turn(h);
		assert_int_equal(take_all(h, &p), MSS);
		harness_send(h, &p, (struct tcp_segment){ .flags = SEG_ACK, .ack = p.ack });
	}
	started = h->now;
	assert_int_equal(ep_send(h->stack, id, bytes, 16384), 16384);
	for (harness_turn(h); !harness_sent(h, &s) && h->now < started + NSEC_PER_SEC;)
		harness_pass(h, MS);
	assert_true(s.len > 1024);
	assert_in_range(h->now - started, 80 * MS, 210 * MS);
	left = h->now;
	p.ack = s.seq + s.len;
	harness_send(h, &p, (struct tcp_segment){ .flags = SEG_ACK, .ack = p.ack });
	while (!harness_sent(h, &s) && h->now < left + NSEC_PER_SEC)
		harness_pass(h, MS);
	assert_in_range(h->now - left, 130 * MS, 160 * MS);
	harness_host_free(h);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_limit_spaces_what_leaves),
		cmocka_unit_test(a_late_core_makes_up_for_it_within_bounds),
		cmocka_unit_test(a_rate_that_the_peer_s_window_limits_is_not_the_path_s),
		cmocka_unit_test(no_limit_is_no_pacing),
		cmocka_unit_test(a_limit_caps_bbr_too),
		cmocka_unit_test(a_burst_is_a_millisecond_of_the_rate),
		cmocka_unit_test(another_algorithm_may_take_over_at_any_time),
		cmocka_unit_test(what_paces_is_counted_as_memory),
		cmocka_unit_test(a_probe_of_the_path_mtu_leaves_no_earlier_than_the_rate_allows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
