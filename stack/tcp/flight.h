/* SPDX-License-Identifier: BSD-3-Clause */
/* The scoreboard of a connection: what is outstanding, in records of sequence ranges that were sent together, each in
 * flight, received beyond a gap (SACKed), or taken for lost. Where all of it left together and once (a request, an answer), there is
 * no object: snd_una to snd_nxt and sent_at of the connection say it all. loss.c and rack.c decide, this only keeps the books.
 * RFC 2018 5, RFC 6675 3, RFC 8985 5.2. */
#ifndef LIGHT_TCP_FLIGHT_H
#define LIGHT_TCP_FLIGHT_H

#include "conn.h"
#include "rate.h"

/* RFC 5682 2.1, without SACK: after the timeout's retransmission, and after the two new segments that the first acknowledgment let go. */
enum frto { FRTO_OFF, FRTO_FIRST, FRTO_SECOND };

/* Records follow one another from snd_una to snd_nxt. What was sent beyond snd_nxt (a probe of a closed window, what is forgotten when
 * snd_nxt goes back) is in none. */
enum record_state {
	RECORD_SENT,     /* in flight for the first time */
	RECORD_SACKED,
	RECORD_LOST,     /* and not sent again yet */
	RECORD_RESENT,   /* in flight again */
};

#define RECORD_TICK 256   /* nanoseconds */
#define FLIGHT_CURSORS 4  /* as many blocks as an acknowledgment has */

struct record {
	struct list by_sequence;
	struct list by_time;    /* SENT and RESENT ones, the oldest transmission first; LOST ones, in the order they go again */
	nsec sent_at;           /* the last transmission */
	uint32_t start, end;    /* numbers [start, end); a FIN takes one */
	uint8_t state;          /* enum record_state */
	bool again : 1;         /* was ever sent again */
	bool spread : 1;        /* sent_at is of its end only: what it begins with left earlier, and tells no round trip */
	uint16_t took;          /* from its first segment to its last, in RECORD_TICKs: so little that it may be left out */
	struct rate_mark mark;  /* with delivery (pace.h) */
};

struct flight {
	struct list by_sequence, by_time;
	struct list lost_first;            /* of record.by_time */
	struct record *cursors[FLIGHT_CURSORS];   /* where the last SACKs were, the latest first; NULL: gone */
	uint32_t steps;                    /* over records that the last acknowledgment changed nothing of */
	uint32_t records;
	uint32_t in_flight, sacked, lost;  /* numbers in each state; their sum is snd_nxt - snd_una */
	uint32_t guessed;                  /* without SACK: that duplicates say have arrived, of unknown place */
	uint32_t highest_sacked;           /* end of the highest SACKed number; snd_una or below: none */

	/* rack.c: the newest transmission known to have arrived (RFC 8985 5.3) */
	nsec rack_sent_at, rack_rtt;
	uint32_t rack_end;

	/* loss.c: proportional rate reduction (RFC 9937), and undo */
	uint32_t prr_delivered, prr_out, prr_from;
	bool may_undo;
	uint8_t frto;                      /* enum frto */
	uint32_t flight_before;            /* numbers outstanding then */
	nsec srtt_before, rttvar_before;
	bool timeout_first;                /* the episode began with a timeout: RFC 5682 applies */
	struct cc before;                  /* as it was when the episode began */
	uint32_t episode;                  /* snd_una then */
	uint32_t resent;                   /* numbers sent again in it, less those a D-SACK says were needless */
	uint32_t resent_tsval;             /* of its first retransmission; valid while resent_any */
	bool resent_any;
};

/* What an acknowledgment told the scoreboard. */
struct flight_news {
	uint32_t acked, sacked;      /* numbers cumulatively acknowledged that were not SACKed, and newly SACKed; or as far as was guessed */
	uint32_t in_flight;          /* before it */
	uint32_t highest_before;     /* what was the highest SACKed number then: RACK.fack */
	nsec rtt;                    /* of the newest segment that was sent only once; 0: none */
	unsigned ranges;             /* blocks that were believed */
	bool original;               /* something that was sent once and not SACKed before has arrived */
	bool reordered;              /* a hole that was never sent again was filled; the lowest begins at reordered_from */
	uint32_t reordered_from;
	bool dsack;                  /* a block reports a duplicate (RFC 2883), [dsack_start, dsack_end) */
	uint32_t dsack_start, dsack_end;
};

/* [start, end) leaves: end of the books so far = start. `again`: it had been forgotten (snd_nxt went back). Never fails: where
 * records are short, the newest one takes it in. */
void flight_sent(struct tcp_conn *, uint32_t start, uint32_t end, bool again);
/* What is outstanding gets its object, if it has none yet. */
void flight_open(struct tcp_conn *);
/* The record (LOST, or in flight for a probe) is sent again as a whole. */
void flight_resent(struct tcp_conn *, struct record *);
/* The first LOST record, joined with LOST ones behind it and cut to at most `most` numbers; NULL: none, or it can't be cut for want of
 * a record. */
struct record *flight_lost_or_null(struct tcp_conn *, uint32_t most);
/* The last record, cut to at most `most` numbers at its end; NULL: none, as above, or it has arrived. */
struct record *flight_last_or_null(struct tcp_conn *, uint32_t most);

/* The SACK blocks of an acknowledgment `ack`; then what lies below it. In this order. */
void flight_take_sack(struct tcp_conn *, const struct tcp_segment *, struct flight_news *);
void flight_take_ack(struct tcp_conn *, const struct tcp_segment *, struct flight_news *);

void flight_mark_lost(struct tcp_conn *, struct record *);
/* What is lost goes again in the order of sequence, whenever it was detected. */
void flight_sort_lost(struct tcp_conn *);
/* All that is not SACKed and begins before `end`. */
void flight_all_lost(struct tcp_conn *, uint32_t end);
/* Without SACK: at most `most` numbers at the front. */
void flight_first_lost(struct tcp_conn *, uint32_t most);
/* Without SACK: a duplicate says that a segment of that size has arrived. Returns how much of that can be. */
uint32_t flight_guess(struct tcp_conn *, uint32_t size);
/* The timeout was needless: what is LOST is in flight, as it was. */
void flight_none_lost(struct tcp_conn *);
/* The peer has thrown away what it had SACKed (RFC 2018 8). */
void flight_renege(struct tcp_conn *);
void flight_forget(struct tcp_conn *);
/* After an acknowledgment: nothing is outstanding any more, so nothing is kept. */
void flight_settle(struct tcp_conn *);

/* Numbers in flight: the "pipe" of RFC 6675, by what was marked lost. */
static inline uint32_t flight_pipe(const struct tcp_conn *c)
{
	const struct flight *f = c->flight;

	if (!f)
		return conn_in_flight(c);
	return f->in_flight > f->guessed ? f->in_flight - f->guessed : 0;
}

/* SACKed although nothing before it is missing any more: the peer must have thrown it away, or it would have acknowledged it. */
bool flight_first_is_sacked(const struct tcp_conn *);
/* The front was sent again and is still out. */
bool flight_first_is_resent(const struct tcp_conn *);

const char *flight_check(const struct tcp_conn *);

#endif
