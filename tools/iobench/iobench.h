/* SPDX-License-Identifier: BSD-3-Clause */
/* light-iobench: what a device's link costs, alone, below a stack, and as the far end that gives work to another process. */
#ifndef LIGHT_TOOLS_IOBENCH_H
#define LIGHT_TOOLS_IOBENCH_H

#include <stdbool.h>
#include <stdint.h>

#include "io/device.h"

#define ECHO_PORT 7u
#define LOAD_PORT 7000u
#define FRAME_MAX 1514u
#define WINDOW_MAX 1024u

enum mode { MODE_DROP, MODE_SEND, MODE_FORWARD, MODE_ECHO, MODE_LOAD, MODES };

/* One end of the conversation, in network order as it stands in frames. */
struct party {
	uint8_t mac[6];
	uint32_t ip4;
};

struct work {
	enum mode mode;
	double seconds;
	unsigned frame;     /* bytes, without the 4 of the check sequence */
	unsigned window;    /* load: frames on their way */
	bool mirror;        /* echo: the device gives back what is sent (net_ring): received frames are turned round first */
	struct party us, peer;
	struct link *link;
};

struct result {
	uint64_t packets, lost;
	double seconds, cycles;  /* cycles: a packet, in turns that had work */
	double p50, p99;         /* load with a window of 1: microseconds */
};

/* Runs until the time is over or stop is set. */
void work_run(struct work *, const volatile bool *stop, struct result *);

#endif
