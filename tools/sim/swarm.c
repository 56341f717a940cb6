/* SPDX-License-Identifier: BSD-3-Clause */
/* Random worlds by seed. Output is TAP, one line a seed, so that a test runner counts them. */
#include "sim.h"

#include <inttypes.h>

#include "sim/swarm.h"

static int follow(const struct sim_options *o)
{
	struct swarm_result r;

	if (swarm_run(o->seed_first, stdout, &r)) {
		printf("seed %" PRIu64 ": %" PRIu64 " frames, hash %016" PRIx64 "\n", o->seed_first, r.frames, r.hash);
		return 0;
	}
	printf("FAILED: seed %" PRIu64 ": %s\n", o->seed_first, r.failure);
	return 1;
}

int sim_swarm(const struct sim_options *o)
{
	uint64_t seed, number = 0, failed = 0;

	if (o->trace)
		return follow(o);
	printf("1..%" PRIu64 "\n", o->seed_last - o->seed_first + 1);
	for (seed = o->seed_first; seed <= o->seed_last; seed++) {
		struct swarm_result r;
		bool good = swarm_run_twice(seed, &r);

		printf("%s %" PRIu64 " - seed %" PRIu64 ": %" PRIu64 " frames, %" PRIu64 " talks, %" PRIu64
		       " failed, %" PRIu64 " aborted, %" PRIu64 " bytes, %.1f s\n", good ? "ok" : "not ok", ++number,
		       seed, r.frames, r.completed, r.failed, r.aborted, r.bytes, (double)r.time / 1e9);
		if (!good) {
			printf("# %s\n# to see it: light-sim swarm --seeds %" PRIu64 " --trace\n", r.failure, seed);
			failed++;
		}
		fflush(stdout);
	}
	return failed ? 1 : 0;
}
