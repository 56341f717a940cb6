/* SPDX-License-Identifier: BSD-3-Clause */
/* light-sim: what its parts share. */
#ifndef LIGHT_TOOLS_SIM_H
#define LIGHT_TOOLS_SIM_H

#include "sim/host.h"
#include "sim/world.h"

#define SIM_CAPTURES 8u
#define SIM_SETS 64u

struct sim_capture {
	unsigned host;
	const char *path;
	struct link *link;
};

/* What the command line asked for. */
struct sim_options {
	bool swarm, run, trace;
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
	const char *scene;                /* run: the file of a world */
	char *sets[SIM_SETS];             /* PATH=VALUE */
	unsigned set_count;
	bool json;
	const char *csv, *picture;
};

/* Prints one line and exits with 2 when something is wrong. */
void sim_options(int argc, char **argv, struct sim_options *);

/* Each runs what was asked for and prints what came of it; the exit status. */
int sim_world(struct sim_options *);
int sim_swarm(const struct sim_options *);
int sim_scene(struct sim_options *);

/* world.c: a world whose hosts' links are captured as the options say; there is one at a time. */
struct link *sim_wrap(void *options, unsigned host, struct link *inner);
struct world *sim_world_made(const struct world_config *);
void sim_world_gone(void);
int sim_stop_captures(struct sim_options *);

#endif
