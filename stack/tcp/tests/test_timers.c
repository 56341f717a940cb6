/* SPDX-License-Identifier: BSD-3-Clause */
/* Keep-alive (RFC 9293 3.8.4), and that an idle connection is silent. */
#include "tests/harness.h"

#include <errno.h>

static void expect_probe(struct harness_host *h, const struct harness_peer *p)
{
	struct tcp_segment s = harness_expect(h, SEG_ACK);

	assert_true(s.seq == p->ack - 1 && s.len == 0 && s.ack == p->seq);
	harness_expect_none(h);
}

static void an_idle_connection_is_silent(void **state)
{
	struct harness_host *h = harness_host_new(1, NULL, 0);
	struct harness_peer p = { 0 };
	ep_id id = harness_accepted(h, &p, 1460);

	(void)state;
	harness_pass(h, 24 * 3600 * NSEC_PER_SEC);
	harness_expect_none(h);
	assert_int_equal(harness_state(h, id), TCP_ESTABLISHED);
	harness_host_free(h);
}

static void probes_begin_after_two_hours(void **state)
{
	struct harness_host *h = harness_host_new(1, NULL, 0);
	struct harness_peer p = { 0 };
	ep_id id = harness_accepted(h, &p, 1460);

	(void)state;
	assert_int_equal(ep_set(h->stack, id, EP_KEEPALIVE, 1), 0);
	harness_pass(h, 7199 * NSEC_PER_SEC);
	harness_expect_none(h);
	harness_pass(h, 2 * NSEC_PER_SEC);
	expect_probe(h, &p);
	for (unsigned i = 1; i < 9; i++) {
		harness_pass(h, 75 * NSEC_PER_SEC);
		expect_probe(h, &p);
	}
	assert_int_equal(harness_state(h, id), TCP_ESTABLISHED);
	harness_pass(h, 75 * NSEC_PER_SEC);
	assert_int_equal(ep_take_error(h->stack, id), ETIMEDOUT);
	harness_host_free(h);
}

static void an_answer_begins_the_idle_time_anew(void **state)
{
	struct harness_host *h = harness_host_new(1, NULL, 0);
	struct harness_peer p = { 0 };
	ep_id id = harness_accepted(h, &p, 1460);

	(void)state;
	assert_int_equal(ep_set(h->stack, id, EP_KEEP_IDLE, 10), 0);
	assert_int_equal(ep_set(h->stack, id, EP_KEEP_INTERVAL, 5), 0);
	assert_int_equal(ep_set(h->stack, id, EP_KEEPALIVE, 1), 0);
	for (unsigned i = 0; i < 20; i++) {
		harness_pass(h, 10001 * NSEC_PER_MSEC);
		expect_probe(h, &p);
		harness_send(h, &p, (struct tcp_segment){ .flags = SEG_ACK });
		harness_pass(h, 9999 * NSEC_PER_MSEC);
		harness_expect_none(h);
		harness_send(h, &p, (struct tcp_segment){ .flags = SEG_ACK });
	}
	assert_int_equal(ep_set(h->stack, id, EP_KEEPALIVE, 0), 0);
	harness_pass(h, 100 * NSEC_PER_SEC);
	harness_expect_none(h);
	harness_host_free(h);
}

static void no_probe_while_data_is_out(void **state)
{
	struct harness_host *h = harness_host_new(1, NULL, 0);
	struct harness_peer p = { 0 };
	ep_id id = harness_accepted(h, &p, 1460);
	struct tcp_segment s;

	(void)state;
	assert_int_equal(ep_set(h->stack, id, EP_KEEP_IDLE, 1), 0);
	assert_int_equal(ep_set(h->stack, id, EP_KEEPALIVE, 1), 0);
	assert_int_equal(ep_send(h->stack, id, "x", 1), 1);
	harness_pass(h, 60 * NSEC_PER_SEC);
	while (harness_sent(h, &s))
		assert_int_equal(s.len, 1);
	harness_host_free(h);
}

static void the_clock_of_timestamps_goes_forward(void **state)
{
	struct harness_host *h = harness_host_new(1, NULL, 0);
	struct flow_key k = { .local = harness_addr(1), .remote = harness_addr(9), .local_port = 1, .remote_port = 2 };
	uint32_t offset = conn_ts_offset(h->stack, &k), first = conn_ts_now(h->stack, offset);

	(void)state;
	k.remote_port = 3; /* the same towards all ports, so that TIME-WAIT may be judged by it */
	assert_int_equal(conn_ts_offset(h->stack, &k), offset);
	k.remote = harness_addr(8);
	assert_int_not_equal(conn_ts_offset(h->stack, &k), offset);
	harness_pass(h, 1234 * NSEC_PER_MSEC);
	assert_int_equal(conn_ts_now(h->stack, offset), first + 1234);
	harness_host_free(h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_idle_connection_is_silent),
		cmocka_unit_test(probes_begin_after_two_hours),
		cmocka_unit_test(an_answer_begins_the_idle_time_anew),
		cmocka_unit_test(no_probe_while_data_is_out),
		cmocka_unit_test(the_clock_of_timestamps_goes_forward),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
