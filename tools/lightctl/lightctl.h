/* SPDX-License-Identifier: BSD-3-Clause */
/* The parts of lightctl: asking the daemon, and showing people what it said. */
#ifndef LIGHT_TOOLS_LIGHTCTL_H
#define LIGHT_TOOLS_LIGHTCTL_H

#include <json-c/json.h>
#include <stdbool.h>

#include "stack/base/nsec.h"

/* Asks the daemon on `socket_path`; fd: goes along (-1: none). The answer is the caller's to put; on failure one line is said
 * and the program ends with status 2 (no daemon, no right) or 1 (the daemon refused). */
struct json_object *ask(const char *socket_path, const char *question, int fd);

/* Prints the answer of a command as a table. */
void show_status(struct json_object *);
void show_cores(struct json_object *);
void show_sockets(struct json_object *);
void show_stats(struct json_object *);
void show_neighbours(struct json_object *);
void show_routes(struct json_object *);
void show_addresses(struct json_object *);
void show_links(struct json_object *);
void show_vlans(struct json_object *);
void show_leases(struct json_object *);
/* Whole, for programs. */
void show_json(struct json_object *);

struct capture_settings {
	const char *socket_path, *host, *file, *interface;   /* interface "-": the first */
	bool json;
	uint64_t snap;
	int core;               /* -1: all, one file each */
	nsec duration;          /* 0: until a signal */
};
/* Frames into files until the end; and the end of what somebody else began. The exit status. */
int capture_run(const struct capture_settings *);
int capture_end(const struct capture_settings *);

#endif
