/* SPDX-License-Identifier: BSD-3-Clause */
/* light-sim: what its parts share. */
#ifndef LIGHT_TOOLS_SIM_H
#define LIGHT_TOOLS_SIM_H

#include "sim/host.h"
#include "sim/world.h"

#define SIM_CAPTURES 8u

struct sim_capture {
	unsigned host;
	const char *path;
	struct link *link;
};

/* What the command line asked for. */
struct sim_options {
	bool swarm, trace;
	uint64_t seed_first, seed_last;   /* swarm */
	struct world_config world;
	struct wire_impairment cable;     /* both directions of every host */
	struct tcp_settings tcp;
	struct talk_script script;
	uint64_t connections;             /* of each client */
	uint32_t together;
	bool bind_first;
	uint64_t pings;
	uint32_t ping_bytes;
	nsec limit;
	struct sim_capture captures[SIM_CAPTURES];
	unsigned capture_count;
};

/* Prints one line and exits with 2 when something is wrong. */
void sim_options(int argc, char **argv, struct sim_options *);

/* Each runs what was asked for and prints what came of it; the exit status. */
int sim_world(struct sim_options *);
int sim_swarm(const struct sim_options *);

#endif
