/* SPDX-License-Identifier: BSD-3-Clause */
/* The records of a scoreboard, for the files that keep it: flight.c (what is sent and lost) and sack.c (what arrives). */
#ifndef LIGHT_TCP_RECORDS_H
#define LIGHT_TCP_RECORDS_H

#include "flight.h"

static inline struct record *record_of_sequence(struct list *node)
{
	return container_of(node, struct record, by_sequence);
}

static inline uint32_t record_length(const struct record *r)
{
	return r->end - r->start;
}

static inline bool record_in_flight(const struct record *r)
{
	return r->state == RECORD_SENT || r->state == RECORD_RESENT;
}

/* Which transmission was the earlier one (RFC 8985 5.2). */
static inline bool sent_before(nsec a_time, uint32_t a_end, nsec b_time, uint32_t b_end)
{
	return a_time < b_time || (a_time == b_time && seq_lt(a_end, b_end));
}

/* A new one, in no list; NULL: they are short, or this connection has too many. */
struct record *record_take_or_null(struct tcp_conn *);
void record_put(struct tcp_conn *, struct record *);
/* Cuts [start, end) into [start, at) and a new record [at, end) behind it. False: no record to be had. */
bool record_cut(struct tcp_conn *, struct record *, uint32_t at);
/* Takes in the one behind it, which is in the same state. */
void record_join(struct tcp_conn *, struct record *);
/* The sums of its state without it; it is in none then. */
void record_leave(struct flight *, const struct record *);
/* ... and with it in another. In flight: its place in the order of time is the caller's to find. */
void record_enter(struct flight *, struct record *, enum record_state);
/* What lies before `at` has arrived. */
void record_trim(struct flight *, struct record *, uint32_t at);

#endif
