/* SPDX-License-Identifier: BSD-3-Clause */
/* What is in flight: bookkeeping of what was sent and of what an acknowledgment says about it. */
#ifndef LIGHT_TCP_SENT_H
#define LIGHT_TCP_SENT_H

#include "conn.h"

/* [seq, end) left just now; below snd_max it is a retransmission. */
void sent_segment(struct tcp_conn *, uint32_t seq, uint32_t end);

/* The record was sent again as a whole (with SACK). */
struct record;
void sent_again(struct tcp_conn *, struct record *);

/* snd_una < ack <= snd_max: takes the RTT sample if there is one (returned; 0: none), frees the ring, moves snd_una. */
nsec sent_acked(struct tcp_conn *, const struct tcp_segment *);

#endif
