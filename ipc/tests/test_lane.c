/* SPDX-License-Identifier: BSD-3-Clause */
/* A ring between an honest daemon and a program that may write anything into it. */
#include "world.h"

static struct region daemon_side, program_side;
static struct region_fds fds;
static struct rte_ring *in, *out;   /* the daemon's and the program's view of the same ring */

static int set_up(void **state)
{
	(void)state;
	assert_int_equal(region_create(&daemon_side, &fds, &(struct region_sizes){ .lines = 64, .data = UINT64_C(1) << 30, .lanes = 256, .waitsets = 256, .cores = 1 }), 0);
	assert_int_equal(region_attach(&program_side, &fds), 0);
	assert_int_equal(region_map_lane(&daemon_side, 0, 0), 0);
	assert_int_equal(region_map_lane(&program_side, 0, 0), 0);
	in = lane_requests(&daemon_side, 0, 0);
	out = lane_requests(&program_side, 0, 0);
	lane_reset(in);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	region_unmap(&daemon_side);
	region_unmap(&program_side);
	close(fds.constants);
	close(fds.shared);
	close(fds.data);
	return 0;
}

static void elements_come_out_in_order_over_many_rounds(void **state)
{
	uint32_t taken = 0, sent = 0, got = 0;

	(void)state;
	while (got < 10000) {
		struct request q = { .op = REQ_PING }, batch[32];
		unsigned i, n = 1 + got % 57;
		int k;

		for (i = 0; i < n; i++) {
			q.line = sent;
			sent += rte_ring_sp_enqueue_bulk_elem(out, &q, sizeof(q), 1, NULL);
		}
		while ((k = lane_take(in, &taken, batch, sizeof(batch[0]), 32)) > 0)
			for (i = 0; i < (unsigned)k; i++)
				assert_int_equal(batch[i].line, got++);
		assert_int_equal(k, 0);
	}
	assert_int_equal(got, sent);
}

static void a_full_ring_takes_no_more(void **state)
{
	struct request q = { 0 };
	uint32_t n = 0;

	(void)state;
	while (rte_ring_sp_enqueue_bulk_elem(out, &q, sizeof(q), 1, NULL))
		n++;
	assert_int_equal(n, REQUEST_SLOTS - 1);
}

static void impossible_indices_are_found(void **state)
{
	struct request q = { 0 }, batch[32];
	uint32_t taken = 0;

	(void)state;
	out->prod.tail = 5000;
	assert_int_equal(lane_take(in, &taken, batch, sizeof(q), 32), -EPROTO);
	out->prod.tail = 0;
	out->cons.head = 1;
	assert_int_equal(lane_take(in, &taken, batch, sizeof(q), 32), -EPROTO);
	out->cons.head = 0;
	out->cons.tail = 0xffffffff;
	assert_int_equal(lane_take(in, &taken, batch, sizeof(q), 32), -EPROTO);
	out->cons.tail = 0;
	assert_int_equal(lane_take(in, &taken, batch, sizeof(q), 32), 0);
}

static void a_consumer_that_lies_is_found_by_the_producer(void **state)
{
	struct request q = { 0 };
	uint32_t put = 0;

	(void)state;
	assert_int_equal(lane_put(in, &put, &q, sizeof(q)), 1);
	out->cons.tail = 2;   /* took what was not there yet */
	assert_int_equal(lane_put(in, &put, &q, sizeof(q)), -EPROTO);
	out->cons.tail = 0;
	out->prod.head = 9;
	assert_int_equal(lane_put(in, &put, &q, sizeof(q)), -EPROTO);
	out->prod.head = 1;
	assert_int_equal(lane_put(in, &put, &q, sizeof(q)), 1);
}

static void a_half_done_enqueue_never_happened(void **state)
{
	struct request q = { .line = 1 }, batch[4];
	uint32_t taken = 0;

	(void)state;
	rte_ring_sp_enqueue_bulk_elem(out, &q, sizeof(q), 1, NULL);
	out->prod.head += 3;   /* as a thread that was cancelled between the two stores leaves it */
	lane_repair_producer(out);
	q.line = 2;
	rte_ring_sp_enqueue_bulk_elem(out, &q, sizeof(q), 1, NULL);
	assert_int_equal(lane_take(in, &taken, batch, sizeof(q), 4), 2);
	assert_int_equal(batch[1].line, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(elements_come_out_in_order_over_many_rounds, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_full_ring_takes_no_more, set_up, tear_down),
		cmocka_unit_test_setup_teardown(impossible_indices_are_found, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_consumer_that_lies_is_found_by_the_producer, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_half_done_enqueue_never_happened, set_up, tear_down),
	};

	return cmocka_run_group_tests_name("lane", tests, NULL, NULL);
}
