/* SPDX-License-Identifier: BSD-3-Clause */
/* A world as a file describes it: hosts and cables, flows, what happens when, what is written down, what is expected. */
#ifndef LIGHT_TOOLS_SIM_SCENE_H
#define LIGHT_TOOLS_SIM_SCENE_H

#include "sim/flow.h"
#include "sim/world.h"

#define SCENE_FLOWS 256u
#define SCENE_EVENTS 1024u
#define SCENE_EXPECTATIONS 64u

struct scene_host {
	const char *name;
	uint8_t cores;
	struct wire_impairment cables[2];   /* by enum wire_direction */
};

enum scene_change { CHANGE_LINK, CHANGE_CABLES, CHANGE_MTU };

struct scene_event {
	nsec at;
	unsigned host;
	enum scene_change change;
	bool up;
	bool has[2];
	struct wire_impairment cables[2];
	uint16_t mtu;
	struct scene *scene;
};

/* What a number of the result must be. */
struct scene_expectation {
	unsigned what;              /* enum result */
	const char *flow, *host;    /* NULL: all together; the queue with the most delay */
	unsigned direction;
	double least, most;
	int line;
};

struct scene {
	const char *name;           /* the file's */
	uint64_t seed;
	uint16_t mtu;
	unsigned offload;
	uint32_t packets, check;
	nsec duration, measure, sample, limit;
	const char *cc;
	struct tcp_settings tcp;
	struct scene_host hosts[WIRE_MAX_PORTS];
	unsigned host_count;
	struct flow_plan plans[SCENE_FLOWS];
	struct flow flows[SCENE_FLOWS];
	unsigned flow_count;
	struct scene_event events[SCENE_EVENTS];
	unsigned event_count;
	struct scene_expectation expectations[SCENE_EXPECTATIONS];
	unsigned expectation_count;
	struct world *world;
};

/* What a scene ends with; names in scene_result_names. */
enum result {
	RESULT_GOODPUT, RESULT_FAIRNESS, RESULT_RETRANSMITTED, RESULT_COMPLETED, RESULT_FAILED,
	RESULT_COMPLETION_P50, RESULT_COMPLETION_P99, RESULT_RTT_P50, RESULT_RTT_P95,
	RESULT_QUEUE_MEAN, RESULT_QUEUE_P95, RESULT_QUEUE_MARKED, RESULT_QUEUE_DROPPED,
	RESULT_BUFFERS,      /* bytes: the most that one stack lent to streams */
	RESULTS,
};
extern const char *const scene_result_names[RESULTS + 1];

/* Ends the program with one line, FILE:LINE: what, if something is wrong. */
void scene_read(struct scene *, const char *path, char **sets, unsigned set_count);
/* For enum ep_congestion; 0: there is no such one. */
uint8_t scene_congestion(const char *name);

/* report.c: a number of the result; what a queue's direction or a flow is called decides. */
double scene_result(const struct scene *, enum result, const char *flow, const char *host, unsigned direction);
void scene_print(const struct scene *, double seconds);
void scene_print_json(const struct scene *, double seconds);
/* Prints those that do not hold; how many. */
unsigned scene_check(const struct scene *);

#endif
