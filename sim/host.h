/* SPDX-License-Identifier: BSD-3-Clause */
/* A host: a stack, or one for each of its cores, its port on the wire, and scripted applications: services that accept, clients that connect,
 * UDP echo and ping. They use the stack by ep_* calls only, as the daemon does. */
#ifndef LIGHT_SIM_HOST_H
#define LIGHT_SIM_HOST_H

#include "dealer.h"
#include "stack/stack.h"
#include "stack/steer.h"
#include "talk.h"
#include "world.h"

enum app_kind { APP_TALK = 1, APP_SERVICE, APP_PING, APP_ECHO };

struct host_stats {
	uint64_t connected, accepted;   /* handshakes */
	uint64_t completed;             /* talks whose script ran to its end, both roles */
	uint64_t failed, aborted;       /* by an error; by their own script */
	uint64_t bytes_sent, bytes_received;
	uint64_t data_segments, retransmitted;  /* of talks that were closed */
	nsec rtt_min, rtt_max, rtt_sum;  /* their smoothed round-trip times at that moment */
	uint64_t rtt_count;
	uint64_t pings_sent, pings_answered;
	nsec ping_min, ping_max, ping_sum;
	int last_error;                 /* of the last failure */
};

struct service;
struct client;
struct ping;

struct host {
	struct world *world;
	struct stack *stack;            /* of the first core */
	struct stack *cores[STEER_CORES];
	unsigned core_count;
	struct steer *steer;            /* with the dealer: NULL on one core */
	struct dealer *dealer;
	struct link *link;              /* perhaps wrapped; as the stack sees it on one core */
	unsigned number;
	int interface;                  /* of each stack */
	struct ipaddr addr;
	bool touched;                   /* an application called: the stack wants a turn */
	bool closed;                    /* host_close was called: nothing starts any more */
	uint32_t idle_turns;            /* turns in a row that were due and did nothing */
	uint32_t talks;                 /* that are not over, both roles */
	uint32_t busy;                  /* clients and pings that are not done */
	struct talk *free_talks, *all_talks;
	struct service *services;
	struct client *clients;
	struct ping *pings;
	unsigned pings_opened;
	uint8_t *scratch;               /* HOST_SCRATCH bytes for any application */
	uint64_t turns;
	struct host_stats stats;
};

#define HOST_SCRATCH 65536u

/* Listens by the script on script->port, on every core, until host_service_stop. The script must outlive the world. */
struct service *host_serve(struct host *, const struct talk_script *, uint32_t backlog);
void host_service_stop(struct service *);
/* Again, after a stop. False: the port is taken. After host_close nothing happens. */
bool host_service_start(struct service *);
bool host_service_listens(const struct service *);

struct client_plan {
	struct ipaddr server;
	const struct talk_script *script;
	uint64_t connections;           /* in all */
	uint32_t together;              /* at one time; 0: 1 */
	nsec start, pause;              /* pause: after each that ended, before the next */
	nsec stagger;                   /* between the first ones */
	nsec every;                     /* connections come by themselves, so long apart on average (Poisson), whatever became of those
	                                 * before; 0: `together` at a time, each after another ended */
	bool bind_first;                /* sockets get their port by bind, so that its home is all that counts */
};
/* From each core in its turn. */
struct client *host_connect(struct host *, const struct client_plan *);

struct ping_plan {
	struct ipaddr server;
	uint16_t port;
	uint32_t bytes;                 /* of a datagram, 16..65,507 */
	uint64_t count;
	nsec start, interval;
	bool may_lie;                   /* corruption may pass the checksum unseen (several fragments) */
};
void host_ping(struct host *, const struct ping_plan *);
/* An UDP service that returns what it gets. False: the port is taken. */
bool host_echo(struct host *, uint16_t port);

/* Closes services and UDP endpoints: what is left ends by itself. */
void host_close(struct host *);

/* For world.c. */
struct host *host_new(struct world *, unsigned number, const struct world_config *, struct link *);
void host_free(struct host *);
bool host_due(const struct host *, nsec now);
nsec host_deadline(const struct host *);
void host_turn(struct host *, nsec now);

/* All cores together. */
bool host_counter(const struct host *, unsigned i, struct stack_counter *);
/* Sets the time of every core: applications are about to call. */
void host_touch(struct host *);

/* For the applications. */
struct talk *host_talk_take(struct host *);
void host_talk_put(struct talk *);
void host_timer(struct host *, nsec when, void (*what)(void *, uint64_t), void *context, uint64_t argument);
/* ping.c */
void ping_event(struct host *, void *app, uint32_t mask);
void pings_close(struct host *);
void pings_free(struct host *);

#endif
