/* SPDX-License-Identifier: BSD-3-Clause */
/* The timers of a connection. Callers report what happened; timers.c alone decides what is armed and what an
 * expiry means. */
#ifndef LIGHT_TCP_TIMERS_H
#define LIGHT_TCP_TIMERS_H

#include "conn.h"

void timers_start(struct tcp_conn *);
/* Disarms everything for good. */
void timers_stop(struct tcp_conn *);

/* Something that must be acknowledged was sent (again): RFC 6298 5.1. */
void timers_data_sent(struct tcp_conn *);
/* New data was acknowledged and some is left: 5.3. */
void timers_restart(struct tcp_conn *);
/* ... and it expires within `longest`, if something is outstanding. */
void timers_expire_within(struct tcp_conn *, nsec longest);
/* Nothing is outstanding: 5.2. */
void timers_all_acked(struct tcp_conn *);
/* Nothing is outstanding and the peer's window lets nothing go: probe it (RFC 9293 3.8.6.1). */
void timers_window_closed(struct tcp_conn *);
/* A small segment waits for more or for window: not longer than this. */
void timers_held(struct tcp_conn *, nsec longest);
/* Nothing waits any more for probe or override. */
void timers_not_held(struct tcp_conn *);
/* An ACK is owed, and may wait that long for company. */
void timers_ack_owed(struct tcp_conn *, nsec longest);
void timers_ack_sent(struct tcp_conn *);
/* SO_KEEPALIVE or its times changed, or the connection was established. */
void timers_keepalive_changed(struct tcp_conn *);
/* The owner has gone, or FIN-WAIT-2 began: the connection lives this much longer at most. */
void timers_limit_life(struct tcp_conn *, nsec);

/* How long an unanswered connection is kept, as a time; 0: by number of retransmissions. */
nsec timers_user_timeout(const struct tcp_conn *);
/* Whether R2 or the user timeout is reached (RFC 9293 3.8.3). */
bool timers_exhausted(const struct tcp_conn *, unsigned tries, unsigned limit, nsec since);

/* A timeout was needless: the next is due as if it had not been. */
void timers_backoff_undone(struct tcp_conn *);
/* When the rate lets something go again (pace.c); NSEC_NEVER: no more. */
void timers_pace(struct tcp_conn *, nsec due);
/* The one deadline of RFC 8985: for reordering or a probe. LOSS_TIMER_NONE: no more. */
void timers_loss(struct tcp_conn *, enum loss_timer, nsec due);

#endif
