/* SPDX-License-Identifier: BSD-3-Clause */
/* RFC 5482: the value of the option, what is adopted, and where there is room for it. */
#include "tests/harness.h"

#include <errno.h>

#include "tcp/user_timeout.h"

static void seconds_are_rounded_up_and_beyond_fifteen_bits_minutes(void **state)
{
	static const struct {
		nsec timeout;
		uint16_t option;
		nsec again;
	} cases[] = {
		{ 1, 1, NSEC_PER_SEC },
		{ NSEC_PER_SEC, 1, NSEC_PER_SEC },
		{ NSEC_PER_SEC + 1, 2, 2 * NSEC_PER_SEC },
		{ 32767 * NSEC_PER_SEC, 0x7fff, 32767 * NSEC_PER_SEC },
		{ 32767 * NSEC_PER_SEC + 1, 0x8000 | 547, 547 * 60 * NSEC_PER_SEC },
		{ 32767 * 60 * NSEC_PER_SEC, 0xffff, 32767 * 60 * NSEC_PER_SEC },
		{ NSEC_NEVER, 0xffff, 32767 * 60 * NSEC_PER_SEC },
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(user_timeout_encode(cases[i].timeout), cases[i].option);
		assert_int_equal(user_timeout_decode(cases[i].option), cases[i].again);
	}
}

static void each_value_comes_back(void **state)
{
	(void)state;
	for (uint32_t option = 1; option <= 0xffff; option++) {
		uint16_t again = user_timeout_encode(user_timeout_decode((uint16_t)option));

		if (option & 0x7fff)
			assert_int_equal(user_timeout_decode(again), user_timeout_decode((uint16_t)option));
	}
}

/* covers: 5482-3.1-formula 5482-3.1-limits */
static void what_is_in_force_follows_the_formula(void **state)
{
	static const struct {
		uint32_t adv, remote, lower, upper, rto, in_force; /* seconds */
	} cases[] = {
		{ 200, 300, 100, 3600, 1, 300 }, { 300, 200, 100, 3600, 1, 300 }, { 20, 30, 100, 3600, 1, 100 },
		{ 20, 3601, 100, 3600, 1, 3600 }, { 3601, 20, 100, 3600, 1, 3600 }, { 200, 0, 100, 3600, 1, 200 },
		{ 20, 30, 100, 100, 1, 100 }, { 500, 30, 100, 100, 1, 100 },
		{ 20, 30, 25, 3600, 60, 61 }, { 20, 90, 25, 3600, 60, 90 }, { 20, 90, 25, 40, 60, 61 },
	};
	struct tcp_settings settings;

	(void)state;
	tcp_settings_linux(&settings);
	settings.adv_uto = NSEC_PER_SEC;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct harness_host *h = harness_host_new(1, &settings, 0);
		struct harness_peer p = { 0 };
		struct tcp_conn *c = harness_conn(h, harness_accepted(h, &p, 1460));

		settings.adv_uto = cases[i].adv * NSEC_PER_SEC;
		settings.uto_lower = cases[i].lower * NSEC_PER_SEC;
		settings.uto_upper = cases[i].upper * NSEC_PER_SEC;
		assert_int_equal(stack_set_tcp_settings(h->stack, &settings), 0);
		c->rtt.rto = cases[i].rto * NSEC_PER_SEC;
		if (cases[i].remote)
			harness_send(h, &p, (struct tcp_segment){ .flags = SEG_ACK, .has = SEG_HAS_UTO, .uto = (uint16_t)cases[i].remote });
		assert_int_equal(user_timeout_in_force(c), cases[i].in_force * NSEC_PER_SEC);
		harness_host_free(h);
	}
}

/* covers: 5482-3.1-limits */
static void limits_that_contradict_each_other_are_refused(void **state)
{
	struct harness_host *h = harness_host_new(1, NULL, 0);
	struct tcp_settings settings;

	(void)state;
	tcp_settings_linux(&settings);
	assert_true(settings.uto_lower >= 100 * NSEC_PER_SEC);
	assert_int_equal(settings.adv_uto, 0);
	settings.uto_upper = settings.uto_lower - 1;
	assert_int_equal(stack_set_tcp_settings(h->stack, &settings), -EINVAL);
	settings.uto_upper = settings.uto_lower;
	assert_int_equal(stack_set_tcp_settings(h->stack, &settings), 0);
	harness_host_free(h);
}

/* covers: 5482-3.1-app */
static void what_the_program_set_holds_until_it_takes_it_back(void **state)
{
	struct tcp_settings settings;
	struct harness_host *h;
	struct harness_peer p = { 0 };
	struct tcp_conn *c;
	ep_id id;

	(void)state;
	tcp_settings_linux(&settings);
	settings.adv_uto = 200 * NSEC_PER_SEC;
	h = harness_host_new(1, &settings, 0);
	id = harness_accepted(h, &p, 1460);
	c = harness_conn(h, id);
	assert_int_equal(ep_set(h->stack, id, EP_USER_TIMEOUT, 5000), 0);
	harness_send(h, &p, (struct tcp_segment){ .flags = SEG_ACK, .has = SEG_HAS_UTO, .uto = 900 });
	assert_int_equal(user_timeout_in_force(c), 5 * NSEC_PER_SEC);
	assert_int_equal(ep_set(h->stack, id, EP_USER_TIMEOUT, 0), 0);
	assert_int_equal(user_timeout_in_force(c), 900 * NSEC_PER_SEC);
	harness_host_free(h);
}

/* covers: 5482-3-unsupported */
static void without_the_setting_nothing_of_it_is_kept(void **state)
{
	struct harness_host *h = harness_host_new(1, NULL, 0);
	struct harness_peer p = { 0 };
	struct tcp_conn *c = harness_conn(h, harness_accepted(h, &p, 1460));

	(void)state;
	harness_send(h, &p, (struct tcp_segment){ .flags = SEG_ACK, .has = SEG_HAS_UTO, .uto = 900 });
	assert_true(c->remote_uto == 0 && !c->uto_due && !c->own_timeout);
	harness_host_free(h);
}

/* A SYN with a cookie of 16 bytes, or the three counters of accurate ECN, has its 40 bytes of options full. */
static void a_syn_without_room_goes_without_it(void **state)
{
	struct tcp_settings settings;
	struct tcp_options o = { 0 };

	(void)state;
	tcp_settings_linux(&settings);
	settings.adv_uto = 200 * NSEC_PER_SEC;
	for (unsigned cookie = 4; cookie <= FASTOPEN_COOKIE_MAX; cookie += 2) {
		struct tcp_segment s = {
			.flags = SEG_SYN, .mss = 1460,
			.has = SEG_HAS_MSS | SEG_HAS_TS | SEG_HAS_SACK_OK | SEG_HAS_SCALE | SEG_HAS_FASTOPEN,
			.fastopen = { .len = (uint8_t)cookie },
		};
		uint32_t before = segment_header_len(&s);

		user_timeout_fill_syn(&settings, &o, 0, &s);
		assert_int_equal((s.has & SEG_HAS_UTO) != 0, before <= SEGMENT_HEADER_MAX - SEGMENT_UTO_LEN);
		assert_true(segment_header_len(&s) <= SEGMENT_HEADER_MAX);
		if (cookie == 8 || cookie == FASTOPEN_COOKIE_MAX)
			assert_int_equal((s.has & SEG_HAS_UTO) != 0, cookie == 8);
	}
}

/* No packet to be had: it is still due. */
static void what_did_not_go_out_is_due_still(void **state)
{
	struct tcp_settings settings;
	struct harness_host *h;
	struct harness_peer p = { 0 };
	struct tcp_segment s;
	ep_id id;

	(void)state;
	tcp_settings_linux(&settings);
	settings.adv_uto = 200 * NSEC_PER_SEC;
	h = harness_host_new(1, &settings, 0);
	id = harness_accepted(h, &p, 1460);
	h->link.dry = true;
	assert_int_equal(ep_send(h->stack, id, "x", 1), 1);
	harness_turn(h);
	harness_expect_none(h);
	assert_true(harness_conn(h, id)->uto_due);
	h->link.dry = false;
	harness_pass(h, NSEC_PER_MSEC);
	s = harness_expect(h, SEG_ACK | SEG_PSH);
	assert_true(s.has & SEG_HAS_UTO && s.uto == 200 && s.len == 1);
	assert_false(harness_conn(h, id)->uto_due);
	harness_host_free(h);
}

/* One segment of super-frames, too, is alone and shorter. */
static void a_super_frame_never_carries_it(void **state)
{
	struct tcp_settings settings;
	struct harness_host *h;
	struct harness_peer p = { 0 };
	struct tcp_segment s;
	static uint8_t bytes[10000];
	uint32_t total = 0;
	ep_id id;

	(void)state;
	tcp_settings_linux(&settings);
	settings.adv_uto = 200 * NSEC_PER_SEC;
	h = harness_host_new(1, &settings, LINK_TSO | LINK_TX_CSUM);
	id = harness_accepted(h, &p, 1460);
	assert_int_equal(ep_send(h->stack, id, bytes, sizeof(bytes)), sizeof(bytes));
	harness_turn(h);
	for (unsigned i = 0; harness_sent(h, &s); i++) {
		total += s.len;
		assert_int_equal((s.has & SEG_HAS_UTO) != 0, i == 0);
		if (i == 0)
			assert_int_equal(s.len, 1460 - SEGMENT_UTO_LEN);
	}
	assert_int_equal(total, sizeof(bytes));
	harness_host_free(h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(seconds_are_rounded_up_and_beyond_fifteen_bits_minutes),
		cmocka_unit_test(each_value_comes_back),
		cmocka_unit_test(what_is_in_force_follows_the_formula),
		cmocka_unit_test(limits_that_contradict_each_other_are_refused),
		cmocka_unit_test(what_the_program_set_holds_until_it_takes_it_back),
		cmocka_unit_test(without_the_setting_nothing_of_it_is_kept),
		cmocka_unit_test(a_syn_without_room_goes_without_it),
		cmocka_unit_test(what_did_not_go_out_is_due_still),
		cmocka_unit_test(a_super_frame_never_carries_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
