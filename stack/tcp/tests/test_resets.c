/* SPDX-License-Identifier: BSD-3-Clause */
/* A reset that the link has no room for waits; a link that is stuck does not get it for ever. */
#include "tests/harness.h"

static void a_reset_waits_for_room_on_the_link(void **state)
{
	struct harness_host *h = harness_host_new(1, NULL, 0);
	struct harness_peer p = { 0 };
	ep_id id = harness_accepted(h, &p, 1460);

	(void)state;
	h->link.dry = true;
	assert_int_equal(ep_abort(h->stack, id), 0);
	harness_turn(h);
	harness_expect_none(h);
	assert_true(stack_deadline(h->stack) < stack_now(h->stack) + NSEC_PER_MSEC);
	h->link.dry = false;
	harness_pass(h, NSEC_PER_MSEC);
	assert_int_equal(harness_expect(h, SEG_RST | SEG_ACK).seq, p.ack);
	harness_expect_none(h);
	harness_host_free(h);
}

static void a_reset_is_given_up_after_a_second(void **state)
{
	struct harness_host *h = harness_host_new(1, NULL, 0);
	struct harness_peer p = { 0 };
	ep_id id = harness_accepted(h, &p, 1460);

	(void)state;
	h->link.dry = true;
	assert_int_equal(ep_abort(h->stack, id), 0);
	harness_pass(h, 1001 * NSEC_PER_MSEC);
	h->link.dry = false;
	harness_pass(h, NSEC_PER_SEC);
	harness_expect_none(h);
	harness_host_free(h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_reset_waits_for_room_on_the_link),
		cmocka_unit_test(a_reset_is_given_up_after_a_second),
	};

	return cmocka_run_group_tests_name("resets", tests, NULL, NULL);
}
