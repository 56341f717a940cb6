/* SPDX-License-Identifier: BSD-3-Clause */
/* Congestion window validation (RFC 7661), for algorithms whose window RFC 5681 describes: a window that is not used says nothing about
 * the path. pipeACK is the most that was acknowledged in one round trip lately; while it is less than half of the window, the window is
 * "non-validated" (conn->unvalidated). */
#ifndef LIGHT_TCP_VALIDATE_H
#define LIGHT_TCP_VALIDATE_H

#include "conn.h"

/* snd_una has reached round_end. */
void validate_round(struct tcp_conn *);
/* pipeACK is undefined: the start, another algorithm, a timeout (whose own response is all there is, 4.4). */
void validate_forget(struct tcp_conn *);
/* The connection is over. */
void validate_detach(struct tcp_conn *);

/* Loss is seen; flight: FlightSize. What the algorithm is to reduce (4.4.1). */
uint32_t validate_loss(struct tcp_conn *, uint32_t flight);
/* The recovery is over and cwnd set: less, if the loss was in the non-validated phase (4.4.1). */
void validate_recovered(struct tcp_conn *);

/* In the non-validated phase (4.4.2). Something has arrived: a burst may go, and besides what waits already to take the place of what was
 * acknowledged, which is none: a bound that cut it, too, would keep one whose whole flight one acknowledgment answers at pipeACK for ever. */
static inline void validate_acked(struct tcp_conn *c, uint32_t acked)
{
	c->validation->burst_end = c->snd_nxt + c->validation->burst + (conn_has_unsent(c) ? acked : 0);
}

/* What is left of it before something arrives. All of it where nothing is in flight. */
static inline uint32_t validate_room(const struct tcp_conn *c)
{
	uint32_t end = c->validation->burst_end;

	return seq_gt(end, c->snd_nxt) ? end - c->snd_nxt : 0;
}

#endif
