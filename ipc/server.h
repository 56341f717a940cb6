/* SPDX-License-Identifier: BSD-3-Clause */
/* The daemon's side of Light: programs on a UNIX socket, their lanes and sockets, on any number of hosts (stacks).
 *
 * One thread drives a server; nothing here blocks but server_sleep. The loop:
 *
 *	server_turn(s, now);                     requests of programs -> ep_* calls
 *	for each host: stack_turn(stack, now);   packets and timers
 *	server_publish(s);                       events -> shared memory, wake-ups
 *	when all three had nothing to do and the stacks' deadlines are far:
 *		if (server_sleep_begin(s)) link->ops->wait(link, server_wake_fd(s), until);   or server_sleep(s, until)
 *		server_sleep_end(s);
 *
 * Whatever a program writes into shared memory or says on its socket is copied, checked, used; an impossible thing
 * ends its session. Functions return 0 or -errno. */
#ifndef LIGHT_IPC_SERVER_H
#define LIGHT_IPC_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "stack/endpoint.h"
#include "stack/stack.h"

struct server;
struct server_host;

/* A family is a program with all that it forked; a session is one process of it. 0 means the default. */
struct server_quota {
	uint32_t families;           /* all together; 1024 */
	uint32_t families_per_uid;   /* 512; root is not counted */
	uint32_t sessions;           /* processes of one family; at most and by default 256 */
	uint32_t lines;              /* sockets of one family; at most 1 << 20, by default 1 << 18 */
	uint32_t lines_per_uid;      /* 1 << 20; root is not counted */
	uint64_t data;               /* bytes of socket buffers lent to one family; 4 GB */
	uint64_t data_per_uid;       /* 16 GB; root is not counted */
	uint64_t data_warm;          /* bytes of free buffers whose pages a family keeps; 16 MB */
	uint32_t lanes, waitsets;    /* of one session; at most and by default 256 each */
};

/* One request of lightctl: a line of text, and at most one descriptor that it brought (-1: none; the callee owns it). */
struct server_question {
	const char *text;
	size_t length;
	int fd;
	pid_t pid;
	uid_t uid;
};
struct server_answer;
/* Appends to the answer; it is sent in pieces, as fast as the asker reads. */
int server_answer_add(struct server_answer *, const void *bytes, size_t n);

struct server_config {
	const char *socket_path;  /* NULL: none; programs come by server_connect only */
	unsigned mode;            /* of the socket's file; 0: 0660 */
	gid_t group;              /* of the socket's file; (gid_t)-1: as it comes */
	struct server_quota quota;
	uint64_t daemon_cores;    /* bitmask of the CPUs that the daemon polls on; 0: not pinned, programs do not spin long */
	void (*log)(void *context, const char *line);   /* may be NULL; without newline; called by the threads of all cores */
	void *log_context;
	/* Answers a question: 0, or -errno which the asker gets with whatever was added. May be NULL. */
	int (*control)(void *context, const struct server_question *, struct server_answer *);
	void *control_context;
};
/* Everything zero but group. */
void server_config_init(struct server_config *);

/* -EADDRINUSE: another daemon answers on the path (a dead one's file is replaced); -EACCES, -ENOENT ... as bind(2). */
int server_new(const struct server_config *, struct server **);
/* A daemon on several cores is one server a core, each driven by a thread of its own with a stack of its own of every host; they share
 * nothing that is written in the path of data. servers[0] is as server_new makes it and has the sockets; it tells the others of births,
 * forks and deaths. server_add_host and server_host_start are called for each with the same names in the same order. A listener stands on
 * every core; what the others accept is announced in the listener's own line. Every server is stopped and freed by the thread of core 0
 * after all threads have ended, servers[0] last. 0, or -errno with nothing made. */
int server_new_cores(const struct server_config *, unsigned cores, struct server **servers);
/* Tells all programs that it is over (LINE_HANGUP, ECONNRESET), wakes every sleeper. The stacks may still be turned once to
 * send the last FINs and RSTs; then server_free, then stack_free (extents must come back while the regions exist: so
 * stack_free of all hosts BEFORE server_free). */
void server_stop(struct server *);
void server_free(struct server *);

/* In this order: server_add_host, fill stack_config.host with server_host_calls, stack_new, server_host_start. The
 * name is what programs ask for; the first host is the default. */
int server_add_host(struct server *, const char *name, struct server_host **);
struct ep_host server_host_calls(struct server_host *);
void server_host_start(struct server_host *, struct stack *);
/* Addresses or routes of the stack changed: tells the programs (struct host_info). server_host_start does it too. */
void server_host_changed(struct server_host *);
struct stack *server_host_stack(const struct server_host *);
const char *server_host_name(const struct server_host *);
/* The i-th host; NULL past the end. */
struct server_host *server_host_at(struct server *, unsigned i);

/* New programs, requests in lanes (bounded batches), deaths, control questions. Returns the amount of work. The sockets
 * are looked at every `n`-th turn only (a system call), lanes every turn. */
unsigned server_turn(struct server *, nsec now);
/* Events of all stacks to those who wait. Returns the amount of work. */
unsigned server_publish(struct server *);

/* Publishes that the daemon sleeps, fences, looks again. false: there is work, do not sleep. In either case server_sleep_end follows. */
bool server_sleep_begin(struct server *);
/* Readable when a program rang, came, died or asked: for link_ops.wait. */
int server_wake_fd(const struct server *);
/* Sleeps on that alone. until: absolute CLOCK_MONOTONIC ns. */
void server_sleep(struct server *, nsec until);
void server_sleep_end(struct server *);

/* A program without a path: *fd is the other end of a new session socket (tests, fuzzing: say there what ipc/hello.h says).
 * uid is taken for its user. */
int server_connect(struct server *, uid_t uid, int *fd);

/* ---- for lightctl and tests ---- */

struct server_stats {
	uint32_t families, sessions, lines, lanes, waitsets, watches;  /* now */
	uint64_t data_lent, data_warm;                                 /* bytes now */
	uint64_t turns, requests, replies, events, wakes, rings;       /* rings: doorbells heard while asleep */
	uint64_t sleeps, attached, refused, forked, resumed, died;
	uint64_t violations;            /* sessions ended for an impossible request */
	uint64_t lend_refused, adopt_refused, events_deferred;
};
void server_stats(const struct server *, struct server_stats *);
/* Any core's as it last published them (at least when it sleeps), asked on core 0. Families and sessions are counted on each core:
 * every core knows all of them. The rest adds up. */
void server_core_stats(const struct server *, unsigned core, struct server_stats *);
unsigned server_cores(const struct server *);

struct server_session_info {
	uint32_t family, session;
	pid_t pid;
	uid_t uid;
	const char *host;
	uint32_t lines, lanes, waitsets;
	uint64_t family_data;       /* bytes lent to the whole family, on all cores */
	uint64_t requests;          /* as lines, lanes and waitsets: on this server's core */
};
/* *cursor starts at 0; false at the end. */
bool server_walk_sessions(const struct server *, uint32_t *cursor, struct server_session_info *);
/* The process behind an endpoint's owner word (struct ep_info.owner): the first that holds it. 0: nobody. */
pid_t server_owner_pid(const struct server *, uint64_t owner);

/* All books balanced (slow; tests and fuzzing). NULL, or a sentence that says what is wrong. */
const char *server_check(const struct server *);

#endif
