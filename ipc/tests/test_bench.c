/* SPDX-License-Identifier: BSD-3-Clause */
/* The benchmark runs and its numbers are numbers; how good they are is for tools/bench on a quiet machine. */
#include "world.h"

#include "ipc/bench.h"

static void lanes_are_timed(void **state)
{
	struct ipc_bench b;
	unsigned rounds = getenv("LIGHT_BENCH_ROUNDS") ? (unsigned)atoi(getenv("LIGHT_BENCH_ROUNDS")) : 1000;

	(void)state;
	client_pump = NULL;
	assert_int_equal(ipc_bench_run(rounds, &b), 0);
	print_message("# lane round trip %.0f ns (p99 %.0f), post %.0f ns, open + close %.0f ns\n", b.lane_ns, b.lane_p99_ns, b.post_ns,
		b.open_close_ns);
	assert_true(b.lane_ns > 0 && b.lane_p99_ns >= b.lane_ns && b.post_ns > 0 && b.open_close_ns > 0);
	assert_int_equal(ipc_bench_run(1, &b), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(lanes_are_timed) };

	return cmocka_run_group_tests_name("bench", tests, NULL, NULL);
}
