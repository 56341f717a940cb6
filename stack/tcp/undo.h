/* SPDX-License-Identifier: BSD-3-Clause */
/* Episodes that were needless: how it is found out (RFC 3522 by timestamps, RFC 5682 after a timeout, RFC 2883 and 3708 by D-SACK), and
 * what follows (RFC 4015). */
#ifndef LIGHT_TCP_UNDO_H
#define LIGHT_TCP_UNDO_H

#include "flight.h"

/* An episode begins: congestion control has not been told yet. */
void undo_remember(struct tcp_conn *, bool timeout);
/* An acknowledgment that has moved snd_una by `moved` and is in the scoreboard: was the episode needless? Then it is undone. */
bool undo_check(struct tcp_conn *, const struct tcp_segment *, const struct flight_news *, uint32_t moved);
/* A duplicate after a timeout (RFC 5682 2.1 steps 2a and 3a). */
void undo_duplicate(struct tcp_conn *);

#endif
