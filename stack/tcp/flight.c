/* SPDX-License-Identifier: BSD-3-Clause */
/* What leaves in one turn is one record, since it has one time, and so is what is tiny beside the window; a record is cut where an
 * acknowledgment or a retransmission ends inside it. */
#include "records.h"

#include "pace.h"

#define RECORDS_FINE 256u   /* of one window: what is smaller is taken together with what follows at once, where nobody needs exact times */

static struct flight *flight_of(struct tcp_conn *c)
{
	if (!c->flight) {
		c->flight = pool_take_or_null(&c->stack->tcp->flights);
		CHECK(c->flight);   /* as many as connections */
		list_init(&c->flight->by_sequence);
		list_init(&c->flight->by_time);
		list_init(&c->flight->lost_first);
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

	if (record_in_flight(r) && r->sent_at == c->stack->now && f->by_time.prev == &r->by_time) {
		/* As nearly always: it is the newest there is, and stays it. */
		r->end = end;
		f->in_flight += n;
		mark(c, r, n);
		return;
	}
	record_leave(f, r);
	r->end = end;
	record_enter(f, r, r->again ? RECORD_RESENT : RECORD_SENT);
	to_newest(f, r, c->stack->now);
	mark(c, r, n);
}

/* In flight, as it was: in its place in the order of time only by its age, which is what counts there. Looks from `at` on, since what was
 * sent once comes in that order; returns where it is. */
static struct list *back_in_flight(struct flight *f, struct record *r, struct list *at)
{
	record_leave(f, r);
	record_enter(f, r, r->again ? RECORD_RESENT : RECORD_SENT);
	if (at != &f->by_time) {
		const struct record *before = container_of(at, struct record, by_time);

		if (sent_before(r->sent_at, r->end, before->sent_at, before->end))
			at = &f->by_time;
	}
	for (at = at->next; at != &f->by_time; at = at->next) {
		const struct record *other = container_of(at, struct record, by_time);

		if (sent_before(r->sent_at, r->end, other->sent_at, other->end))
			break;
	}
	list_append(at, &r->by_time);
	return &r->by_time;
}

/* [start, ...) belongs to the last record as well: tiny beside what is out, and sent within a time that is tiny beside the round trip. After
 * a pause it does not: when its first part arrives, what left in the pause would be taken for lost. */
static bool joins(const struct tcp_conn *c, struct record *last, uint32_t start)
{
	nsec took = (nsec)last->took * RECORD_TICK + c->stack->now - last->sent_at;

	if (c->delivery || record_length(last) >= (start - c->snd_una) / RECORDS_FINE || took > c->rtt.srtt / RECORDS_FINE ||
	    took > (nsec)UINT16_MAX * RECORD_TICK)
		return false;
	last->took = (uint16_t)((took + RECORD_TICK - 1) / RECORD_TICK);
	return true;
}

static void append(struct tcp_conn *c, uint32_t start, uint32_t end, nsec sent_at, bool again)
{
	struct flight *f = flight_of(c);
	struct record *last = newest_or_null(f), *r;

	if (last && last->state == (again ? RECORD_RESENT : RECORD_SENT) &&
	    (last->sent_at == sent_at || joins(c, last, start))) {
		extend(c, last, end);
		return;
	}
	r = record_take_or_null(c);
	if (!r) {
		CHECK(last);
		last->spread |= last->sent_at != sent_at;
		extend(c, last, end);
		return;
	}
	r->start = start;
	r->end = end;
	r->again = again;
	r->spread = false;
	r->took = 0;
	list_append(&f->by_sequence, &r->by_sequence);
	record_enter(f, r, again ? RECORD_RESENT : RECORD_SENT);
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

	record_leave(f, r);
	r->again = true;
	r->spread = false;
	r->took = 0;
	record_enter(f, r, RECORD_RESENT);
	to_newest(f, r, c->stack->now);
	f->resent += record_length(r);
	mark(c, r, record_length(r));
}

/* The last two records become one, in flight if one of them is: a SACK that is forgotten so costs a retransmission at worst (RFC 2018 8). */
static void join_last(struct tcp_conn *c, struct record *before, struct record *last)
{
	struct flight *f = c->flight;
	bool flies = record_in_flight(before) || record_in_flight(last);
	uint32_t end = last->end;
	struct list *at;

	before->again |= last->again || last->state != before->state;
	if (last->sent_at > before->sent_at)
		before->sent_at = last->sent_at;
	record_leave(f, last);
	record_put(c, last);
	record_leave(f, before);
	before->end = end;
	record_enter(f, before, !flies ? RECORD_LOST : before->again ? RECORD_RESENT : RECORD_SENT);
	if (!flies)
		return;
	for (at = f->by_time.prev; at != &f->by_time; at = at->prev) {
		const struct record *other = container_of(at, struct record, by_time);

		if (!sent_before(before->sent_at, before->end, other->sent_at, other->end))
			break;
	}
	list_prepend(at, &before->by_time);
}

/* There are as many records as there may be, and what is lost must be cut to go again, or nothing ever would: another one is given up. */
static bool spare_record(struct tcp_conn *c, struct record *r)
{
	struct record *last = newest_or_null(c->flight), *before;

	if (r == last)
		return false;
	if (record_of_sequence(r->by_sequence.next)->state == RECORD_LOST) {
		record_join(c, r);
		return true;
	}
	before = record_of_sequence(last->by_sequence.prev);
	if (before == r)
		return false;
	join_last(c, before, last);
	return true;
}

struct record *flight_lost_or_null(struct tcp_conn *c, uint32_t most)
{
	struct record *r;

	if (!c->flight || c->flight->lost == 0)
		return NULL;
	r = container_of(c->flight->lost_first.next, struct record, by_time);
	/* Many small segments are sent again as few large ones. */
	while (record_length(r) < most && r->by_sequence.next != &c->flight->by_sequence &&
	       record_of_sequence(r->by_sequence.next)->state == RECORD_LOST)
		record_join(c, r);
	if (record_length(r) <= most || record_cut(c, r, r->start + most))
		return r;
	return spare_record(c, r) && record_cut(c, r, r->start + most) ? r : NULL;
}

struct record *flight_last_or_null(struct tcp_conn *c, uint32_t most)
{
	struct record *last;

	flight_open(c);
	last = c->flight ? newest_or_null(c->flight) : NULL;
	if (!last || last->state == RECORD_SACKED)
		return NULL;
	if (record_length(last) <= most)
		return last;
	if (!record_cut(c, last, last->end - most))
		return NULL;
	return newest_or_null(c->flight);
}

void flight_mark_lost(struct tcp_conn *c, struct record *r)
{
	record_leave(c->flight, r);
	record_enter(c->flight, r, RECORD_LOST);
	if (c->delivery)
		rate_lost(&c->delivery->rate, &r->mark, r->start, r->end);
}

void flight_sort_lost(struct tcp_conn *c)
{
	list_for_each(node, &c->flight->by_sequence) {
		struct record *r = record_of_sequence(node);

		if (r->state != RECORD_LOST)
			continue;
		list_remove(&r->by_time);
		list_append(&c->flight->lost_first, &r->by_time);
	}
}

void flight_all_lost(struct tcp_conn *c, uint32_t end)
{
	c->flight->guessed = 0;
	list_for_each(node, &c->flight->by_sequence) {
		struct record *r = record_of_sequence(node);

		if (record_in_flight(r) && seq_lt(r->start, end))
			flight_mark_lost(c, r);
	}
	flight_sort_lost(c);
}

void flight_first_lost(struct tcp_conn *c, uint32_t most)
{
	struct record *r;

	if (list_empty(&c->flight->by_sequence))
		return;
	r = record_of_sequence(c->flight->by_sequence.next);
	if (record_length(r) > most)
		record_cut(c, r, r->start + most);    /* without a record to spare, all of it */
	if (record_in_flight(r))
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
	struct list *at = &c->flight->by_time;

	list_for_each(node, &c->flight->by_sequence) {
		struct record *r = record_of_sequence(node);

		if (r->state == RECORD_LOST)
			at = back_in_flight(c->flight, r, at);
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
		record_put(c, record_of_sequence(c->flight->by_sequence.next));
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
	bool sacked = false;

	if (!f)
		return c->sent_at > c->stack->now ? "tcp: something was sent later than now" : NULL;
	list_for_each(node, &f->by_sequence) {
		const struct record *r = record_of_sequence(node);

		if (r->start != next || !seq_lt(r->start, r->end) || r->state > RECORD_RESENT)
			return "tcp: records do not follow one another";
		if ((r->state == RECORD_SACKED) == list_linked(&r->by_time))
			return "tcp: a record is in flight or lost and in no list of those, or the reverse";
		if (sacked && r->state == RECORD_SACKED)
			return "tcp: neighbours are SACKed and not one record";
		sacked = r->state == RECORD_SACKED;
		next = r->end;
		sum[r->state] += record_length(r);
		n++;
	}
	if (seq_lt(f->highest_sacked, c->snd_una))
		return "tcp: what was SACKed last has fallen behind";
	if (next != c->snd_nxt || n != f->records)
		return "tcp: the records do not end at what was sent";
	if (sum[RECORD_SENT] + sum[RECORD_RESENT] != f->in_flight || sum[RECORD_SACKED] != f->sacked || sum[RECORD_LOST] != f->lost)
		return "tcp: the sums of the records are wrong";
	return NULL;
}
