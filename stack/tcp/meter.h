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
	if (c->meter.state != now)
		meter_change(c, now);
}

/* A measurement begins with what is sent now. */
static inline void meter_begin(struct tcp_conn *c)
{
	c->meter.from = c->snd_una;
	c->meter.since = (uint32_t)((c->snd_una == c->snd_max ? c->stack->now : c->last_acked) / NSEC_PER_USEC);
}

/* All below `ack` has arrived, and so has what was measured: a rate. */
void meter_arrived(struct tcp_conn *, uint32_t ack);
/* What a peer reports as received twice (RFC 2883), and what arrived behind what was sent later. */
void meter_news(struct tcp_conn *, const struct flight_news *);
/* It turned out that nothing was lost. */
void meter_reordered(struct tcp_conn *, uint32_t numbers);

#endif
