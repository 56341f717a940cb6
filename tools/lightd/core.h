/* SPDX-License-Identifier: BSD-3-Clause */
/* The cores of the daemon: one thread each, with a server and a stack of every host. They share nothing in the path of data; core 0 asks
 * the others to do something by a mailbox that they look into once a turn. */
#ifndef LIGHT_TOOLS_LIGHTD_CORE_H
#define LIGHT_TOOLS_LIGHTD_CORE_H

#include <pthread.h>
#include <stdatomic.h>

#include "ipc/server.h"
#include "tools/lightd/network.h"

struct daemon;

/* Written by the core's own thread alone; others read it through core_call. */
struct core_stats {
	uint64_t turns, idle_turns, sleeps, work;
	nsec slept;
};

struct mail {
	void (*call)(void *context, unsigned core);
	void *context;
};

struct core {
	struct daemon *daemon;
	unsigned number;
	struct server *server;
	struct core_stats stats;
	nsec now;
	pthread_t thread;
	bool started;
	int error;                      /* of its entry; read once it has taken mail */
	int bell;                       /* an eventfd that ends the core's sleep */
	_Atomic bool asleep, stopping;
	_Atomic(const struct mail *) box;
};

struct daemon {
	const struct options *options;
	struct network *network;
	unsigned cores;
	struct server *server[STEER_CORES];
	struct core core[STEER_CORES];
	nsec started;
	void (*log)(void *context, const char *line);
};

nsec core_clock(void);
/* The core's loop, until core_stop. */
void core_serve(struct core *);
/* From any thread: the loop ends. */
void core_stop(struct core *);
/* By core 0's thread: `call` runs in the thread of that core, inside its loop; it has run when this returns. */
void core_call(struct daemon *, unsigned core, void (*call)(void *context, unsigned core), void *context);
/* On all cores, one after another. */
void core_call_all(struct daemon *, void (*call)(void *context, unsigned core), void *context);
/* Core 0 starts the others; 0 or -errno with none running. And waits for their end. */
int core_start_others(struct daemon *);
void core_join_others(struct daemon *);
/* Name, CPU and what backends want of a thread that uses links. 0 or -errno. */
int core_enter(struct core *);
void core_leave(struct core *);
/* Makes bells and numbers. 0 or -errno. */
int core_prepare(struct daemon *);
void core_free(struct daemon *);

#endif
