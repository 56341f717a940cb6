/* SPDX-License-Identifier: BSD-3-Clause */
/* What leaves in one turn is one record, since it has one time, and so is what is tiny beside the window; a record is cut where an acknowledgment or a retransmission ends
 * inside it. A peer that acknowledges every other byte gets no more than RECORDS_MOST of them: blocks that would need more are
 * not believed, which costs retransmissions and nothing else. */
#include "flight.h"

#include "pace.h"

#define RECORDS_MOST 4096u
#define RECORDS_FINE 256u   /* of one window: what is smaller is taken together with what follows */

static bool sent_before(nsec a_time, uint32_t a_end, nsec b_time, uint32_t b_end)
{
	return a_time < b_time || (a_time == b_time && seq_lt(a_end, b_end));
}

static struct record *record_of_sequence(struct list *node)
{
	return container_of(node, struct record, by_sequence);
}

static uint32_t length(const struct record *r)
{
	return r->end - r->start;
}

static bool in_flight(const struct record *r)
{
	return r->state == RECORD_SENT || r->state == RECORD_RESENT;
}

/* Every connection can have one: the last ones of the pool are kept for those that have none. */
static struct record *take(struct tcp_conn *c)
{
	struct pool *pool = &c->stack->tcp->records;
	uint32_t kept = c->flight->records ? c->stack->config.max_endpoints : 0;
	struct record *r = NULL;

	if (c->flight->records < RECORDS_MOST && pool->used + kept < pool->capacity)
		r = pool_take_or_null(pool);
	if (r)
		c->flight->records++;
	return r;
}

static void put(struct tcp_conn *c, struct record *r)
{
	list_remove(&r->by_sequence);
	list_remove(&r->by_time);
	c->flight->records--;
	pool_put(&c->stack->tcp->records, r);
}

/* The books of one state, or what leaves it. */
static void leave_state(struct flight *f, const struct record *r)
{
	if (r->state == RECORD_SACKED) {
		f->sacked -= length(r);
	} else if (r->state == RECORD_LOST) {
		f->lost -= length(r);
	} else {
		f->in_flight -= length(r);
	}
}

static void enter_state(struct flight *f, struct record *r, enum record_state state)
{
	r->state = (uint8_t)state;
	if (state == RECORD_SACKED) {
		f->sacked += length(r);
	} else if (state == RECORD_LOST) {
		f->lost += length(r);
	} else {
		f->in_flight += length(r);
	}
	if (!in_flight(r))
		list_remove(&r->by_time);
}

/* Cuts [start, end) into [start, at) and a new record [at, end) behind it. False: no record to be had. */
static bool cut(struct tcp_conn *c, struct record *r, uint32_t at)
{
	struct record *tail = take(c);
	struct list sequence, time;

	if (!tail)
		return false;
	sequence = tail->by_sequence;
	time = tail->by_time;
	*tail = *r;
	tail->by_sequence = sequence;
	tail->by_time = time;
	tail->start = at;
	r->end = at;
	list_prepend(&r->by_sequence, &tail->by_sequence);
	if (list_linked(&r->by_time))
		list_prepend(&r->by_time, &tail->by_time);
	return true;
}

static struct flight *flight_of(struct tcp_conn *c)
{
	if (!c->flight) {
		c->flight = pool_take_or_null(&c->stack->tcp->flights);
		CHECK(c->flight);   /* as many as connections */
		list_init(&c->flight->by_sequence);
		list_init(&c->flight->by_time);
		c->flight->highest_sacked = c->snd_una;
	}
	return c->flight;
}

static struct record *newest_or_null(const struct flight *f)
{
	return list_empty(&f->by_sequence) ? NULL : record_of_sequence(f->by_sequence.prev);
}

static void to_newest(struct flight *f, struct record *r, nsec now)
{
	r->sent_at = now;
	list_remove(&r->by_time);
	list_append(&f->by_time, &r->by_time);
}

/* `n` numbers of it have just gone to what is in flight. */
static void mark(struct tcp_conn *c, struct record *r, uint32_t n)
{
	if (c->delivery)
		rate_sent(&c->delivery->rate, &r->mark, r->sent_at, c->flight->in_flight - n, c->flight->in_flight);
}

/* Whatever the record was, it is in flight now. A SACK that is forgotten so costs a retransmission at worst (RFC 2018 8). */
static void extend(struct tcp_conn *c, struct record *r, uint32_t end)
{
	struct flight *f = c->flight;
	uint32_t n = end - r->end;

	leave_state(f, r);
	r->end = end;
	enter_state(f, r, r->again ? RECORD_RESENT : RECORD_SENT);
	to_newest(f, r, c->stack->now);
	mark(c, r, n);
}

/* In flight, as it was: in its place in the order of time only by its age, which is what counts there. */
static void back_in_flight(struct tcp_conn *c, struct record *r)
{
	struct flight *f = c->flight;
	struct list *at = &f->by_time;

	leave_state(f, r);
	enter_state(f, r, r->again ? RECORD_RESENT : RECORD_SENT);
	for (struct list *node = f->by_time.next; node != &f->by_time; node = node->next) {
		const struct record *other = container_of(node, struct record, by_time);

		if (sent_before(r->sent_at, r->end, other->sent_at, other->end)) {
			at = node;
			break;
		}
	}
	list_append(at, &r->by_time);
}

static void append(struct tcp_conn *c, uint32_t start, uint32_t end, nsec sent_at, bool again)
{
	struct flight *f = flight_of(c);
	struct record *last = newest_or_null(f), *r;

	if (last && last->state == (again ? RECORD_RESENT : RECORD_SENT) &&
	    (last->sent_at == sent_at || length(last) < (start - c->snd_una) / RECORDS_FINE)) {
		extend(c, last, end);
		return;
	}
	r = take(c);
	if (!r) {
		CHECK(last);
		extend(c, last, end);
		return;
	}
	r->start = start;
	r->end = end;
	r->again = again;
	list_append(&f->by_sequence, &r->by_sequence);
	enter_state(f, r, again ? RECORD_RESENT : RECORD_SENT);
	to_newest(f, r, sent_at);
	mark(c, r, end - start);
}

void flight_open(struct tcp_conn *c)
{
	if (!c->flight && c->snd_una != c->snd_nxt)
		append(c, c->snd_una, c->snd_nxt, c->sent_at, false);
}

void flight_sent(struct tcp_conn *c, uint32_t start, uint32_t end, bool again)
{
	if (!c->flight && !again && !c->delivery && (start == c->snd_una || c->sent_at == c->stack->now)) {
		c->sent_at = c->stack->now;
		return;
	}
	flight_open(c);
	append(c, start, end, c->stack->now, again);
}

void flight_resent(struct tcp_conn *c, struct record *r)
{
	struct flight *f = c->flight;

	leave_state(f, r);
	r->again = true;
	enter_state(f, r, RECORD_RESENT);
	to_newest(f, r, c->stack->now);
	f->resent += length(r);
	mark(c, r, length(r));
}

/* Many small segments are sent again as few large ones. */
static void absorb(struct tcp_conn *c, struct record *r, uint32_t most)
{
	while (length(r) < most && r->by_sequence.next != &c->flight->by_sequence) {
		struct record *next = record_of_sequence(r->by_sequence.next);

		if (next->state != RECORD_LOST)
			return;
		r->end = next->end;
		r->again |= next->again;
		put(c, next);
	}
}

struct record *flight_lost_or_null(struct tcp_conn *c, uint32_t most)
{
	if (!c->flight || c->flight->lost == 0)
		return NULL;
	list_for_each(node, &c->flight->by_sequence) {
		struct record *r = record_of_sequence(node);

		if (r->state != RECORD_LOST)
			continue;
		absorb(c, r, most);
		return length(r) <= most || cut(c, r, r->start + most) ? r : NULL;
	}
	return NULL;
}

struct record *flight_last_or_null(struct tcp_conn *c, uint32_t most)
{
	struct record *last;

	flight_open(c);
	last = c->flight ? newest_or_null(c->flight) : NULL;
	if (!last || length(last) <= most)
		return last;
	if (!cut(c, last, last->end - most))
		return NULL;
	return newest_or_null(c->flight);
}

/* ---- what an acknowledgment says ---- */

/* RFC 8985 6.2 step 2: the newest transmission that has arrived; one that was sent again tells only if it cannot be the
 * first transmission that was acknowledged. */
static void arrived(struct tcp_conn *c, const struct record *r, const struct tcp_segment *s, struct flight_news *news)
{
	struct flight *f = c->flight;
	nsec rtt = c->stack->now - r->sent_at;

	if (c->delivery)
		rate_arrived(&c->delivery->rate, &r->mark, c->stack->now, r->sent_at, r->start, r->end);
	if (!r->again) {
		news->original |= seq_lt(r->start, c->recover);
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

static void sack_range(struct tcp_conn *c, const struct sack_block *b, const struct tcp_segment *s, struct flight_news *news)
{
	struct flight *f = c->flight;

	/* A record that is cut has its other part next. */
	for (struct list *node = f->by_sequence.next; node != &f->by_sequence; node = node->next) {
		struct record *r = record_of_sequence(node);

		if (seq_geq(r->start, b->end))
			return;
		if (r->state == RECORD_SACKED || seq_leq(r->end, b->start))
			continue;
		if (seq_lt(r->start, b->start)) {
			if (!cut(c, r, b->start))
				return;
			continue;
		}
		if (seq_gt(r->end, b->end) && !cut(c, r, b->end))
			return;
		if (seq_lt(r->end, news->highest_before) && r->state == RECORD_SENT && !r->again)
			c->reordering_seen = true;   /* RFC 8985 6.2 step 3: a hole that was never sent again was filled */
		arrived(c, r, s, news);
		leave_state(f, r);
		enter_state(f, r, RECORD_SACKED);
		news->sacked += length(r);
		f->highest_sacked = seq_max(f->highest_sacked, r->end);
	}
}

void flight_take_sack(struct tcp_conn *c, const struct tcp_segment *s, struct flight_news *news)
{
	unsigned i = 0;

	news->in_flight = flight_pipe(c);
	news->highest_before = c->flight ? c->flight->highest_sacked : c->snd_una;
	if (!c->sack_on)
		return;
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
	news->acked += length(r);
	if (seq_lt(r->end, news->highest_before) && !r->again)
		c->reordering_seen = true;
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
			leave_state(f, r);
			r->start = s->ack;
			enter_state(f, r, (enum record_state)r->state);
			break;
		}
		acked(c, r, s, news);
		again += r->again ? length(r) : 0;
		leave_state(f, r);
		put(c, r);
	}
	take_known(f, news, again);
}

void flight_mark_lost(struct tcp_conn *c, struct record *r)
{
	leave_state(c->flight, r);
	enter_state(c->flight, r, RECORD_LOST);
	if (c->delivery)
		rate_lost(&c->delivery->rate, &r->mark, r->start, r->end);
}

void flight_all_lost(struct tcp_conn *c, uint32_t end)
{
	c->flight->guessed = 0;
	list_for_each(node, &c->flight->by_sequence) {
		struct record *r = record_of_sequence(node);

		if (in_flight(r) && seq_lt(r->start, end))
			flight_mark_lost(c, r);
	}
}

void flight_first_lost(struct tcp_conn *c, uint32_t most)
{
	struct record *r;

	if (list_empty(&c->flight->by_sequence))
		return;
	r = record_of_sequence(c->flight->by_sequence.next);
	if (length(r) > most)
		cut(c, r, r->start + most);    /* without a record to spare, all of it */
	if (in_flight(r))
		flight_mark_lost(c, r);
}

uint32_t flight_guess(struct tcp_conn *c, uint32_t size)
{
	struct flight *f;
	uint32_t pipe;

	flight_open(c);
	f = c->flight;
	pipe = flight_pipe(c);
	size = size < pipe ? size : pipe;
	if (f)
		f->guessed += size;
	return f ? size : 0;
}

void flight_none_lost(struct tcp_conn *c)
{
	list_for_each(node, &c->flight->by_sequence) {
		struct record *r = record_of_sequence(node);

		if (r->state == RECORD_LOST)
			back_in_flight(c, r);
	}
}

void flight_renege(struct tcp_conn *c)
{
	list_for_each(node, &c->flight->by_sequence) {
		struct record *r = record_of_sequence(node);

		if (r->state == RECORD_SACKED)
			flight_mark_lost(c, r);
	}
	c->flight->highest_sacked = c->snd_una;
}

static bool first_is(const struct tcp_conn *c, enum record_state state)
{
	struct list *first = list_first_or_null(&c->flight->by_sequence);

	return first && container_of(first, struct record, by_sequence)->state == state;
}

bool flight_first_is_sacked(const struct tcp_conn *c)
{
	return first_is(c, RECORD_SACKED);
}

bool flight_first_is_resent(const struct tcp_conn *c)
{
	return first_is(c, RECORD_RESENT);
}

void flight_forget(struct tcp_conn *c)
{
	if (!c->flight)
		return;
	while (!list_empty(&c->flight->by_sequence))
		put(c, record_of_sequence(c->flight->by_sequence.next));
	pool_put(&c->stack->tcp->flights, c->flight);
	c->flight = NULL;
}

void flight_settle(struct tcp_conn *c)
{
	if (c->flight && list_empty(&c->flight->by_sequence))
		flight_forget(c);
}

const char *flight_check(const struct tcp_conn *c)
{
	const struct flight *f = c->flight;
	uint32_t next = c->snd_una, sum[4] = { 0 }, n = 0;

	if (!f)
		return c->sent_at > c->stack->now ? "tcp: something was sent later than now" : NULL;
	list_for_each(node, &f->by_sequence) {
		const struct record *r = record_of_sequence(node);

		if (r->start != next || !seq_lt(r->start, r->end) || r->state > RECORD_RESENT)
			return "tcp: records do not follow one another";
		if (in_flight(r) != list_linked(&r->by_time))
			return "tcp: a record is in flight and not in the order of time, or the reverse";
		next = r->end;
		sum[r->state] += length(r);
		n++;
	}
	if (next != c->snd_nxt || n != f->records)
		return "tcp: the records do not end at what was sent";
	if (sum[RECORD_SENT] + sum[RECORD_RESENT] != f->in_flight || sum[RECORD_SACKED] != f->sacked || sum[RECORD_LOST] != f->lost)
		return "tcp: the sums of the records are wrong";
	return NULL;
}
