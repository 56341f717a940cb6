/* SPDX-License-Identifier: BSD-3-Clause */
/* A flow: connections of one kind between two hosts, and what came of them: goodput in a span of time, completion
 * times, what was sent again. Data goes from `from` to `to`, and `to` asks for it, so that a completion time is what a
 * user waits, from the call of connect to the last byte. */
#ifndef LIGHT_SIM_FLOW_H
#define LIGHT_SIM_FLOW_H

#include "histogram.h"
#include "host.h"

#define FLOW_TALKS 64u    /* open ones that are looked at */

struct flow_plan {
	const char *name;            /* outlives the world, as does cc */
	unsigned from, to;           /* hosts */
	uint16_t port;               /* of its own */
	enum talk_kind kind;         /* TALK_SOURCE, TALK_ASK, TALK_ECHO or TALK_BOTH */
	uint64_t bytes;              /* of a connection; 0: until `stop` (TALK_SOURCE) */
	uint32_t ask, answer, rounds;
	uint64_t connections;        /* 0: 1 */
	uint32_t together;
	nsec start, stop, pause, every, stagger;  /* as in struct client_plan and struct talk_script */
	uint8_t congestion;          /* enum ep_congestion; 0: the hosts' */
	uint32_t send_buffer, receive_buffer, chunk;
	nsec read_pause;
	bool may_fail;
};

struct flow {
	struct flow_plan plan;
	struct world *world;
	struct talk_script script;
	struct talk *senders[FLOW_TALKS], *receivers[FLOW_TALKS];  /* that are open */
	uint64_t completed, failed;
	struct histogram completion, rtt;  /* nanoseconds; rtt: smoothed, at each flow_look */
	uint64_t buffers_most;       /* bytes lent to streams by one of its stacks, at any flow_look */
	uint64_t bytes_sent, bytes_received;  /* by talks that are over */
	uint64_t data_segments, retransmitted;  /* the same, senders only */
	uint64_t received_at_from, received_at_until;  /* flow_measure */
	nsec measure_from, measure_until, last_ended;
};

/* From now on the flow is part of the world; it must stay where it is as long as the world. False: a host or a cc that does
 * not exist, a port that is taken. */
bool flow_start(struct flow *, struct world *, const struct flow_plan *);
/* Goodput is what was received between these times. */
void flow_measure(struct flow *, nsec from, nsec until);
/* Bits a second that programs received in the span measured, or until the flow ended in it. */
double flow_goodput(const struct flow *);
/* Received so far, talks that go on with it. */
uint64_t flow_received(const struct flow *);
/* Notes the round trips of what is open, and the memory of buffers. */
void flow_look(struct flow *);

/* Jain's index of fairness: (sum x)^2 / (n sum x^2); 1: all the same, 1/n: one has all. 0 of nothing. */
double flow_fairness(const double *values, unsigned n);

#endif
