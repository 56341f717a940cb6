/* SPDX-License-Identifier: BSD-3-Clause */
/* What lightd was asked to be. Read from the command line once; whatever is wrong ends the program with one line and status 2. */
#ifndef LIGHT_TOOLS_LIGHTD_OPTIONS_H
#define LIGHT_TOOLS_LIGHTD_OPTIONS_H

#include <grp.h>
#include <stdbool.h>
#include <stdint.h>

#include "sim/wire.h"
#include "stack/addr.h"
#include "stack/base/nsec.h"

#define HOSTS_MAX WIRE_MAX_PORTS

struct host_option {
	char name[32];
	struct ipaddr addr;
};

struct options {
	const char *socket_path;
	unsigned socket_mode;
	gid_t socket_group;
	bool busy;              /* --poll=busy */
	uint64_t cores;         /* bitmask; 0: not pinned */
	bool verbose;

	/* --io=sim */
	unsigned hosts;
	struct host_option host[HOSTS_MAX];
	bool super_frames;
	uint16_t mtu;
	uint64_t seed;
	struct wire_impairment impairment;  /* of every host's way out */

	/* the stacks */
	bool standard_profile;
	uint32_t sockets;       /* most endpoints of one host */
};

void options_parse(int argc, char **argv, struct options *);

#endif
