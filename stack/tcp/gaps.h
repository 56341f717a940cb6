/* SPDX-License-Identifier: BSD-3-Clause */
/* What arrived beyond a gap: intervals of sequence numbers whose bytes lie in the ring already. A connection has this
 * only while it has a gap; room for few intervals comes from a pool in which every connection finds some, room for many from one that only
 * some can have at a time, room for a whole window of a long fat path of which every other segment is missing from one for few. */
#ifndef LIGHT_TCP_GAPS_H
#define LIGHT_TCP_GAPS_H

#include "conn.h"

#define TCP_GAPS 32              /* that every connection may have */
#define TCP_GAPS_MANY 4096       /* that some may */
#define TCP_GAPS_MOST 131072     /* that few may, whose window has as many segments */
#define GAPS_RECENT 4          /* as many blocks as a segment has room for */

struct gaps {
	uint32_t count;                  /* at least 1 */
	uint32_t first;                  /* where in at[] they begin: what is filled at the front moves nothing */
	uint32_t room;                   /* TCP_GAPS, TCP_GAPS_MANY or TCP_GAPS_MOST */
	uint32_t recent[GAPS_RECENT];    /* where the most recently changed intervals begin, the last one first (RFC 2018 4) */
	uint32_t recent_count;
	struct gap_interval at[];        /* in the order of sequence; no two touch */
};

/* Of at[]. Where it is long, half of it is free, so that all of it is moved to make room at an end only once in many times. */
static inline uint32_t gaps_length(uint32_t room)
{
	return room == TCP_GAPS_MOST ? 2 * room : room;
}

static inline size_t gaps_size(uint32_t room)
{
	return sizeof(struct gaps) + gaps_length(room) * sizeof(struct gap_interval);
}

static inline uint32_t gaps_count(const struct tcp_conn *c)
{
	return c->gaps ? c->gaps->count : 0;
}

/* The highest number here. There is a gap. */
static inline uint32_t gaps_end(const struct tcp_conn *c)
{
	return c->gaps->at[c->gaps->first + c->gaps->count - 1].end;
}

/* Adds [start, end), beyond rcv_nxt, merged with what it touches. False: no place for it, nothing has changed. */
bool gaps_insert(struct tcp_conn *, uint32_t start, uint32_t end);
/* At most n intervals, the most recently changed first; how many. */
unsigned gaps_recent(const struct tcp_conn *, struct gap_interval *, unsigned n);
/* What of [start, end) is here already is reported as a duplicate. */
void gaps_overlap(struct tcp_conn *, uint32_t start, uint32_t end);
/* rcv_nxt has moved: what it has reached becomes part of the stream, and moves it further (MUST-59). */
void gaps_join(struct tcp_conn *);
/* What lies at `end` and beyond is gone, and not reported any more (RFC 2018 8). */
void gaps_cut(struct tcp_conn *, uint32_t end);
void gaps_forget(struct tcp_conn *);
/* NULL: all invariants hold. */
const char *gaps_check(const struct tcp_conn *);

#endif
