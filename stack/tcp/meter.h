/* SPDX-License-Identifier: BSD-3-Clause */
/* What TCP_INFO shows of a sender that nothing else here needs: what it was about and for how long (as Linux's tcp_chrono), how fast what
 * it sent arrived, how far packets were reordered, and what arrived twice. Looked at once a burst or a round trip, not once a segment. */
#ifndef LIGHT_TCP_METER_H
#define LIGHT_TCP_METER_H

#include "conn.h"

struct flight_news;

void meter_change(struct tcp_conn *, enum meter_state);
/* How long it was in a state, the present included. */
nsec meter_time(const struct tcp_conn *, enum meter_state);

static inline void meter_is(struct tcp_conn *c, enum meter_state now)
{
	if ((c->meter ? c->meter->state : METER_IDLE) != now)
		meter_change(c, now);
}

/* A measurement begins with what is sent now. */
void meter_begin(struct tcp_conn *);

/* All below `ack` has arrived, and so has what was measured: a rate. */
void meter_arrived(struct tcp_conn *, uint32_t ack);
/* What a peer reports as received twice (RFC 2883), and what arrived behind what was sent later. */
void meter_news(struct tcp_conn *, const struct flight_news *);
/* It turned out that nothing was lost. */
void meter_reordered(struct tcp_conn *, uint32_t numbers);
/* The books to read: empty ones, of a connection that has none. */
const struct meter *meter_shown(const struct tcp_conn *);
/* The connection is over. */
void meter_detach(struct tcp_conn *);

#endif
