/* SPDX-License-Identifier: BSD-3-Clause */
/* Recovery by the scoreboard, for connections with SACK (the others: loss.c). RFC 8985 says what is lost, RFC 9937 (PRR) how fast it is sent
 * again, RFC 3522, 4015, 5682 and D-SACKs when it was all needless. */
#ifndef LIGHT_TCP_RECOVERY_H
#define LIGHT_TCP_RECOVERY_H

#include "flight.h"

/* An acknowledgment that is not older than snd_una, before snd_una moves: the scoreboard learns what it says. */
void recovery_take(struct tcp_conn *, const struct tcp_segment *, struct flight_news *);
/* ... after it has moved by `moved`: what that means. rtt as sent_acked gave it. */
void recovery_ack(struct tcp_conn *, const struct tcp_segment *, const struct flight_news *, uint32_t moved, nsec rtt);
/* The timer expired: what has to be kept for undoing it, before the window is changed; and after, what it means
 * for the scoreboard. */
void recovery_before_timeout(struct tcp_conn *);
void recovery_timeout(struct tcp_conn *);
/* The reordering timer came. */
void recovery_reorder_expired(struct tcp_conn *);
/* `n` numbers left in recovery. */
void recovery_sent(struct tcp_conn *, uint32_t n);

#endif
