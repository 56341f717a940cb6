/* SPDX-License-Identifier: BSD-3-Clause */
/* A random world from a seed: hosts, cables, applications, trouble. The seed is the whole world: running it again
 * gives the same bytes. */
#ifndef LIGHT_SIM_SWARM_H
#define LIGHT_SIM_SWARM_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "world.h"

struct swarm_result {
	uint64_t hash, frames, turns;
	nsec time;                 /* virtual time it took */
	uint64_t completed, failed, aborted, bytes, pings;
	char failure[512];         /* empty: all invariants held */
};

/* Runs the world of a seed. trace: what the world is and each frame; NULL: silent. False: result->failure says why. */
bool swarm_run(uint64_t seed, FILE *trace, struct swarm_result *);
/* Runs it twice; unequal hashes are a failure too. */
bool swarm_run_twice(uint64_t seed, struct swarm_result *);

#endif
