/* SPDX-License-Identifier: BSD-3-Clause */
/* What an acknowledgment says, taken into the scoreboard: SACK blocks (RFC 2018 5, RFC 2883 4), the acknowledged number, and what RACK learns
 * of both (RFC 8985 6.2). SACK is advice: what a hostile peer says is not believed beyond what it may cost, and that costs it retransmissions. */
#include "records.h"

#include "pace.h"

#define STEPS_MOST 512u      /* over records that an acknowledgment changes nothing of */
#define STEPS_NEAR 8u
#define RECORDS_SPARE 64u

/* RFC 8985 6.2 step 2: the newest transmission that has arrived; one that was sent again tells only if it cannot be the
 * first transmission that was acknowledged. */
static void arrived(struct tcp_conn *c, const struct record *r, const struct tcp_segment *s, struct flight_news *news)
{
	struct flight *f = c->flight;
	nsec rtt = c->stack->now - r->sent_at;

	if (c->delivery)
		rate_arrived(&c->delivery->rate, &r->mark, c->stack->now, r->sent_at, r->start, r->end);
	if (!r->again)
		news->original |= seq_lt(r->start, c->recover);
	if (r->spread)
		return;
	if (!r->again) {
		news->rtt = rtt ? rtt : 1;
	} else if (rtt < c->rtt.min || (s->has & SEG_HAS_TS && f->resent_any && seq_lt(s->tsecr, f->resent_tsval))) {
		return;
	}
	if (f->rack_sent_at == 0 || sent_before(f->rack_sent_at, f->rack_end, r->sent_at, r->end)) {
		f->rack_sent_at = r->sent_at;
		f->rack_rtt = rtt ? rtt : 1;
		f->rack_end = r->end;
	}
}

/* RFC 2883 4: the first block lies below the acknowledgment, or within the second. */
static bool is_dsack(const struct tcp_segment *s)
{
	const struct sack_block *b = s->sack;

	if (seq_lt(b[0].start, s->ack))
		return true;
	return s->sack_count > 1 && seq_geq(b[0].start, b[1].start) && seq_leq(b[0].end, b[1].end);
}

static struct record *next_or_null(const struct flight *f, const struct record *r)
{
	return r->by_sequence.next == &f->by_sequence ? NULL : record_of_sequence(r->by_sequence.next);
}

static uint32_t distance(const struct record *r, uint32_t seq)
{
	return seq_lt(seq, r->start) ? r->start - seq : seq_lt(seq, r->end) ? 0 : seq - r->end + 1;
}

/* It becomes the latest place, in place of the i-th. */
static void note_place(struct flight *f, unsigned i, struct record *r)
{
	for (; i > 0; i--)
		f->cursors[i] = f->cursors[i - 1];
	f->cursors[0] = r;
}

/* The record that holds `seq`, which is outstanding: from the front, the end, or where the last searches ended, whichever is nearest. There are
 * several such places at a time: where what was sent again arrives, and where new data does, with thousands of records between them. What
 * a peer says here and there may not cost more than STEPS_MOST an acknowledgment. NULL: it would; the next search goes on from there. */
static struct record *find_or_null(struct flight *f, uint32_t seq)
{
	struct record *first = record_of_sequence(f->by_sequence.next), *last = record_of_sequence(f->by_sequence.prev), *r = first;
	uint32_t nearest = distance(first, seq), before = f->steps;
	unsigned from = FLIGHT_CURSORS - 1;

	if (distance(last, seq) < nearest) {
		r = last;
		nearest = distance(last, seq);
	}
	for (unsigned i = 0; i < FLIGHT_CURSORS; i++) {
		if (f->cursors[i] && distance(f->cursors[i], seq) < nearest) {
			r = f->cursors[i];
			nearest = distance(r, seq);
			from = i;
		}
	}
	while (distance(r, seq) > 0 && f->steps < STEPS_MOST) {
		r = record_of_sequence(seq_lt(seq, r->start) ? r->by_sequence.prev : r->by_sequence.next);
		f->steps++;
	}
	/* A long way off it is another place. */
	note_place(f, f->steps - before > STEPS_NEAR ? FLIGHT_CURSORS - 1 : from, r);
	return distance(r, seq) == 0 ? r : NULL;
}

/* A peer that SACKs every other byte gets few more records than segments are out. */
static bool cut_for_sack(struct tcp_conn *c, struct record *r, uint32_t at)
{
	if (c->flight->records > RECORDS_SPARE + 2 * ((c->snd_nxt - c->snd_una) / c->snd_mss))
		return false;
	return record_cut(c, r, at);
}

/* One record with neighbours that are SACKed, too: returns it. */
static struct record *join_neighbours(struct tcp_conn *c, struct record *r)
{
	struct flight *f = c->flight;
	struct record *next = next_or_null(f, r), *before;

	if (next && next->state == RECORD_SACKED)
		record_join(c, r);
	if (r->by_sequence.prev == &f->by_sequence)
		return r;
	before = record_of_sequence(r->by_sequence.prev);
	if (before->state != RECORD_SACKED)
		return r;
	record_join(c, before);
	return before;
}

/* RFC 8985 6.2 step 3: a hole that was never sent again was filled. */
static void note_reordered(const struct record *r, struct flight_news *news)
{
	if (!news->reordered || seq_lt(r->start, news->reordered_from))
		news->reordered_from = r->start;
	news->reordered = true;
}

static struct record *take_sacked(struct tcp_conn *c, struct record *r, const struct tcp_segment *s, struct flight_news *news)
{
	struct flight *f = c->flight;

	if (seq_lt(r->end, news->highest_before) && r->state == RECORD_SENT && !r->again)
		note_reordered(r, news);
	arrived(c, r, s, news);
	record_leave(f, r);
	record_enter(f, r, RECORD_SACKED);
	news->sacked += record_length(r);
	f->highest_sacked = seq_max(f->highest_sacked, r->end);
	r = join_neighbours(c, r);
	f->cursors[0] = r;
	return r;
}

static void sack_range(struct tcp_conn *c, const struct sack_block *b, const struct tcp_segment *s, struct flight_news *news)
{
	struct flight *f = c->flight;
	struct record *r = find_or_null(f, b->start);

	/* Where something is news, its record was made for it: only what is none needs a limit. */
	for (; r && seq_lt(r->start, b->end); r = next_or_null(f, r)) {
		if (r->state == RECORD_SACKED) {
			if (++f->steps > STEPS_MOST)
				return;
			continue;
		}
		if (seq_lt(r->start, b->start)) {
			if (!cut_for_sack(c, r, b->start))
				return;
			continue;   /* its other part is next */
		}
		if (seq_gt(r->end, b->end) && !cut_for_sack(c, r, b->end))
			return;
		r = take_sacked(c, r, s, news);
	}
}

void flight_take_sack(struct tcp_conn *c, const struct tcp_segment *s, struct flight_news *news)
{
	unsigned i = 0;

	news->in_flight = flight_pipe(c);
	news->highest_before = c->flight ? c->flight->highest_sacked : c->snd_una;
	if (!c->sack_on)
		return;
	if (c->flight)
		c->flight->steps = 0;
	if (s->sack_count > 0 && is_dsack(s)) {
		i = 1;
		news->dsack = true;
		news->dsack_start = s->sack[0].start;
		news->dsack_end = s->sack[0].end;
	}
	for (; i < s->sack_count; i++) {
		const struct sack_block *b = &s->sack[i];

		/* Only what was sent and is not acknowledged. */
		if (seq_lt(b->start, b->end) && seq_geq(b->start, seq_max(c->snd_una, s->ack)) && seq_leq(b->end, c->snd_nxt)) {
			news->ranges++;
			flight_open(c);
			sack_range(c, b, s, news);
		}
	}
}

static void acked(struct tcp_conn *c, const struct record *r, const struct tcp_segment *s, struct flight_news *news)
{
	if (r->state == RECORD_SACKED)
		return;
	news->acked += record_length(r);
	if (seq_lt(r->end, news->highest_before) && !r->again)
		note_reordered(r, news);
	arrived(c, r, s, news);
}

/* Of what left together and once. */
static void take_simple_ack(const struct tcp_conn *c, const struct tcp_segment *s, struct flight_news *news)
{
	if (c->snd_una == c->snd_nxt)
		return;
	news->acked = seq_min(s->ack, c->snd_nxt) - c->snd_una;
	news->original = seq_lt(c->snd_una, c->recover);
	news->rtt = c->stack->now > c->sent_at ? c->stack->now - c->sent_at : 1;
}

/* Without SACK: what duplicates had told already is no news. What was sent again had not arrived then, the rest may have (RFC 9937 6.2). */
static void take_known(struct flight *f, struct flight_news *news, uint32_t again)
{
	uint32_t known = news->acked > again ? news->acked - again : 0;

	if (known > f->guessed)
		known = f->guessed;
	f->guessed -= known;
	news->acked -= known;
}

void flight_take_ack(struct tcp_conn *c, const struct tcp_segment *s, struct flight_news *news)
{
	struct flight *f = c->flight;
	uint32_t again = 0;

	if (!f) {
		take_simple_ack(c, s, news);
		return;
	}
	while (!list_empty(&f->by_sequence)) {
		struct record *r = record_of_sequence(f->by_sequence.next);

		if (seq_geq(r->start, s->ack))
			break;
		if (seq_gt(r->end, s->ack)) {
			/* A part of it has arrived: the rest stays as it is. */
			struct record part = *r;

			part.end = s->ack;
			acked(c, &part, s, news);
			record_trim(f, r, s->ack);
			break;
		}
		acked(c, r, s, news);
		again += r->again ? record_length(r) : 0;
		record_leave(f, r);
		record_put(c, r);
	}
	/* RACK.fack (RFC 8985 6.2 step 3): a scoreboard may live on while gigabytes go by, and numbers wrap. */
	f->highest_sacked = seq_max(f->highest_sacked, s->ack);
	take_known(f, news, again);
}
