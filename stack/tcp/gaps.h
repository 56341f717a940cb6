/* SPDX-License-Identifier: BSD-3-Clause */
/* What arrived beyond a gap: intervals of sequence numbers whose bytes lie in the ring already. A connection has this
 * only while it has a gap; the intervals come from a pool. */
#ifndef LIGHT_TCP_GAPS_H
#define LIGHT_TCP_GAPS_H

#include "conn.h"

#define TCP_GAPS 32

struct gaps {
	uint32_t count;                   /* at least 1 */
	struct gap_interval at[TCP_GAPS]; /* the most recently changed first, as SACK reports them */
};

static inline uint32_t gaps_count(const struct tcp_conn *c)
{
	return c->gaps ? c->gaps->count : 0;
}

/* Adds [start, end), beyond rcv_nxt, merged with what it touches. False: no place for it, nothing has changed. */
bool gaps_insert(struct tcp_conn *, uint32_t start, uint32_t end);
/* What of [start, end) is here already is reported as a duplicate. */
void gaps_overlap(struct tcp_conn *, uint32_t start, uint32_t end);
/* rcv_nxt has moved: what it has reached becomes part of the stream, and moves it further (MUST-59). */
void gaps_join(struct tcp_conn *);
void gaps_forget(struct tcp_conn *);
/* NULL: all invariants hold. */
const char *gaps_check(const struct tcp_conn *);

#endif
