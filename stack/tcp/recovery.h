/* SPDX-License-Identifier: BSD-3-Clause */
/* Recovery by the scoreboard. RFC 8985 says what is lost, for peers without SACK RFC 5681 3.2 and 6582; RFC 9937 (PRR) how fast it is sent
 * again. */
#ifndef LIGHT_TCP_RECOVERY_H
#define LIGHT_TCP_RECOVERY_H

#include "flight.h"

/* An acknowledgment that is not older than snd_una, before snd_una moves: the scoreboard learns what it says. */
void recovery_take(struct tcp_conn *, const struct tcp_segment *, struct flight_news *);
/* ... after it has moved by `moved`: what that means. rtt as sent_acked gave it. */
void recovery_ack(struct tcp_conn *, const struct tcp_segment *, const struct flight_news *, uint32_t moved, nsec rtt);
/* Without SACK: a duplicate acknowledgment as RFC 5681 2 defines it. */
void recovery_duplicate(struct tcp_conn *);
/* The timer expired: what has to be kept for undoing it, before the window is changed; and after, what it means
 * for the scoreboard. */
void recovery_before_timeout(struct tcp_conn *);
void recovery_timeout(struct tcp_conn *);
/* The reordering timer came. */
void recovery_reorder_expired(struct tcp_conn *);
/* `n` numbers left in recovery. */
void recovery_sent(struct tcp_conn *, uint32_t n);

#endif
