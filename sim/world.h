/* SPDX-License-Identifier: BSD-3-Clause */
/* A world: hosts on a wire under a virtual clock. What happens next is what is due soonest: a frame, a stack's
 * timer, an application's. The same configuration and seed give the same frames at the same times, which the
 * world's hash proves. Time jumps: an hour in which nothing happens costs nothing. */
#ifndef LIGHT_SIM_WORLD_H
#define LIGHT_SIM_WORLD_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "stack/base/rng.h"
#include "stack/stack.h"
#include "wire.h"

struct host;
struct world;

struct world_config {
	unsigned hosts;              /* 1..WIRE_MAX_PORTS, on ports 0.. */
	unsigned extra_ports;        /* more ports without a host, for a test's own frames */
	uint64_t seed;
	uint32_t packets;            /* of the wire's pool; 0: its default */
	uint16_t mtu;                /* 0: 1500 */
	uint32_t link_flags;         /* LINK_TSO ... of every host */
	uint8_t cores[WIRE_MAX_PORTS];  /* of each host: as many stacks behind its port (stack/steer.h); 0: 1 */
	uint32_t max_endpoints;      /* of each stack; 0: 65,536 */
	uint32_t loopback_packets;   /* of each stack; 0: the stack's default */
	const struct tcp_settings *tcp;  /* NULL: tcp_settings_linux */
	uint32_t check_every;        /* turns of a stack between stack_check; 1: after each, 0: never */
	FILE *trace;                 /* one line a frame; NULL: none */
	/* Puts a link around a host's (a capture); NULL: none. Returned links are the caller's to free. */
	struct link *(*wrap)(void *context, unsigned host, struct link *);
	void *wrap_context;
};

/* NULL: memory is short or the configuration is out of bounds. Hosts have 10.0.0.N/24, N = number + 1. */
struct world *world_new(const struct world_config *);
void world_free(struct world *);

nsec world_now(const struct world *);
struct wire *world_wire(struct world *);
struct host *world_host(struct world *, unsigned number);
unsigned world_hosts(const struct world *);
struct rng *world_rng(struct world *);

/* Calls what(context, argument) at a time (not before now). */
void world_at(struct world *, nsec when, void (*what)(void *context, uint64_t argument), void *context,
	      uint64_t argument);

/* Runs all that is due up to and including `until`; the clock stands at `until` then. false: an invariant broke
 * (world_failure), and nothing runs any more. */
bool world_run_until(struct world *, nsec until);
/* Runs until nothing is due any more, or enough(context) says so, or `limit`. False: an invariant broke. */
bool world_run_while(struct world *, nsec limit, bool (*more)(void *context), void *context);

/* The next thing is due then; NSEC_NEVER: nothing ever. */
nsec world_deadline(const struct world *);

/* The first failure is kept; the text begins with the time. NULL: none. */
void world_fail(struct world *, const char *format, ...) __attribute__((format(printf, 2, 3)));
const char *world_failure(const struct world *);

/* Sees every frame that arrives at a host, before the host does. One at a time; NULL: nobody. */
void world_watch(struct world *, void (*came)(void *context, unsigned host, nsec now, const struct pkt *),
		 void *context);

/* Over the bytes, ports and times of every frame delivered so far. */
uint64_t world_hash(const struct world *);
/* When the last talk or ping ended. */
nsec world_done(const struct world *);
void world_note_done(struct world *);
uint32_t world_check_every(const struct world *);
const struct tcp_settings *world_tcp(const struct world *);
uint64_t world_turns(const struct world *);
uint64_t world_frames(const struct world *);

#endif
