/* SPDX-License-Identifier: BSD-3-Clause */
/* What two applications say to each other over a connection. Both ends follow the same script, so each knows
 * what to send, what to expect, and when the other is done. */
#ifndef LIGHT_SIM_TALK_H
#define LIGHT_SIM_TALK_H

#include <stdbool.h>
#include <stdint.h>

#include "stack/base/nsec.h"
#include "stack/endpoint.h"

enum talk_kind {
	TALK_SINK,    /* the client sends `bytes` and closes */
	TALK_SOURCE,  /* the server sends `bytes` and closes */
	TALK_ECHO,    /* the client sends `bytes`, the server returns them */
	TALK_ASK,     /* `rounds` times: the client sends `ask` bytes, the server answers with `answer` */
	TALK_BOTH,    /* both send `bytes` at the same time */
	TALK_KINDS,
};

/* How one end behaves. All zero: eager. */
struct talk;

struct talk_habits {
	uint32_t chunk;                /* bytes of one call; 0: 64 KB */
	nsec read_pause, write_pause;  /* between two calls that moved bytes */
	uint32_t receive_buffer, send_buffer; /* options; 0: not set */
	bool nodelay;
	uint8_t congestion;            /* enum ep_congestion; 0: the host's */
	uint64_t abort_after;          /* resets the connection once so many bytes went in and out; 0: never */
};

struct talk_script {
	enum talk_kind kind;
	uint16_t port;                 /* the server's */
	uint64_t bytes;
	uint32_t ask, answer, rounds;
	nsec hold;                     /* the client waits so long before it closes */
	bool half_close;               /* who is done sending says so at once, and reads on */
	bool endless;                  /* who sends goes on until `stop` and closes then; `bytes` says nothing (sink, source) */
	nsec stop;
	bool reader_waits;             /* with half_close: who has nothing to send closes its side after the other, so that what the
	                                * sender's connection says of itself at its end is all there is to say */
	bool may_fail;                 /* refusals and time-outs are no failure of the world: links go down, listeners restart */
	struct talk_habits client, server;
	/* Told of each talk by this script: when it is open, and before it is closed or reset (error: 0 or positive errno). */
	void (*opened)(struct talk *), (*closing)(struct talk *, int error);
	void *context;
};

struct host;

enum talk_state { TALK_FREE, TALK_CONNECTING, TALK_OPEN, TALK_CLOSING };

/* One end of one connection. Its slot is used again after the endpoint is gone and no timer refers to it. */
struct talk {
	uint8_t app_kind;              /* first: enum app_kind, see host.h */
	uint8_t state;                 /* enum talk_state */
	bool client, shut, read_over;
	uint32_t timers;               /* events of the world that refer to this slot */
	nsec wake_at;                  /* the soonest of them */
	ep_id ep;
	struct host *host;
	struct stack *stack;           /* of the host's core whose endpoint it is */
	const struct talk_script *script;
	void (*finished)(struct talk *, int error);  /* once: the talk is over; error: 0 or positive errno */
	void *context;
	uint64_t send_key, receive_key;
	uint64_t sent, received;
	nsec began;                    /* asked to connect, or accepted */
	nsec next_read, next_write, close_at;
	uint32_t seen_segments;        /* check.c: sent and acknowledged when last looked at, and since when */
	uint64_t seen_acked;
	nsec seen_at;
	struct talk *next, *all_next;  /* free list; all of the host */
};

/* A new talk over an endpoint that is about to connect (client) or accepted. Owner and callbacks are set before. */
void talk_begin(struct talk *, struct host *, struct stack *, ep_id, const struct talk_script *, bool client);
/* The stack has something to say. */
void talk_event(struct talk *, uint32_t mask);
/* Does all that it can do now; it is open. */
void talk_run(struct talk *);
/* Resets it, as a killed application. */
void talk_abort(struct talk *);

/* Bytes that this end has sent, or received, when all went well. */
uint64_t talk_total(const struct talk_script *, bool client, enum ep_side);

#endif
