/* SPDX-License-Identifier: BSD-3-Clause */
/* That the swarm draws worlds that differ, that a seed is its whole world, and that a broken stack would be seen.
 * The seeds themselves are run by light-sim swarm. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sim/swarm.h"

static void a_seed_is_its_whole_world(void **state)
{
	struct swarm_result a, b;
	uint64_t seed;

	(void)state;
	for (seed = 1000; seed < 1010; seed++) {
		assert_true(swarm_run(seed, NULL, &a));
		assert_true(swarm_run(seed, NULL, &b));
		assert_memory_equal(&a, &b, sizeof(a));
	}
}

static void seeds_give_different_worlds_that_carry_data(void **state)
{
	uint64_t hashes[20], bytes = 0, pings = 0, aborted = 0, seed;
	unsigned i;

	(void)state;
	for (seed = 0; seed < 20; seed++) {
		struct swarm_result r;

		assert_true(swarm_run_twice(2000 + seed, &r));
		hashes[seed] = r.hash;
		bytes += r.bytes;
		pings += r.pings;
		aborted += r.aborted;
		for (i = 0; i < seed; i++)
			assert_true(hashes[i] != r.hash);
	}
	assert_true(bytes > 100000);
	assert_true(pings > 0);
	assert_true(aborted > 0);
}

static void a_trace_tells_the_world_and_its_frames(void **state)
{
	struct swarm_result silent, loud;
	char *text = NULL;
	size_t size = 0;
	FILE *f = open_memstream(&text, &size);

	(void)state;
	assert_true(swarm_run(7, f, &loud));
	fclose(f);
	assert_non_null(strstr(text, "# seed 7: "));
	assert_non_null(strstr(text, "arp request 10.0.0.1"));
	assert_true(swarm_run(7, NULL, &silent));
	assert_true(silent.hash == loud.hash);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_seed_is_its_whole_world),
		cmocka_unit_test(seeds_give_different_worlds_that_carry_data),
		cmocka_unit_test(a_trace_tells_the_world_and_its_frames),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
