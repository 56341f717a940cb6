/* SPDX-License-Identifier: BSD-3-Clause */
/* Each record is in the list of its connection by sequence, and in another by its state: in flight by the time of transmission, lost in
 * that of going again; SACKed in none. The sums are kept with every change. */
#include "records.h"

#define RECORDS_MANY 4096u
#define RECORDS_MOST 262144u
#define WALK_MOST 64

/* As many as full segments are out, if they are many: each may be received or lost for itself, and what has no record can't be known to have
 * arrived. */
static bool may_have_more(const struct tcp_conn *c)
{
	uint32_t n = c->flight->records;

	return n < RECORDS_MANY || (n < RECORDS_MOST && n < (c->snd_nxt - c->snd_una) / c->snd_mss);
}

/* Every connection can have two, so that what is lost can be cut: the last ones of the pool are kept for those that have fewer. */
struct record *record_take_or_null(struct tcp_conn *c)
{
	struct pool *pool = &c->stack->tcp->records;
	uint32_t kept = c->flight->records > 1 ? 2 * c->stack->config.max_endpoints : 0;
	struct record *r = NULL;

	if (may_have_more(c) && pool->used + kept < pool->capacity)
		r = pool_take_or_null(pool);
	if (r)
		c->flight->records++;
	return r;
}

void record_put(struct tcp_conn *c, struct record *r)
{
	list_remove(&r->by_sequence);
	list_remove(&r->by_time);
	for (unsigned i = 0; i < FLIGHT_CURSORS; i++)
		if (c->flight->cursors[i] == r)
			c->flight->cursors[i] = NULL;
	c->flight->records--;
	pool_put(&c->stack->tcp->records, r);
}

static void add(struct flight *f, uint8_t state, uint32_t n)
{
	if (state == RECORD_SACKED)
		f->sacked += n;
	else if (state == RECORD_LOST)
		f->lost += n;
	else
		f->in_flight += n;
}

void record_leave(struct flight *f, const struct record *r)
{
	add(f, r->state, 0 - record_length(r));
}

/* By sequence: it is the last, or the first, or what was sent again before the rest and is lost again, near the front. Where the front is long,
 * order is not worth a longer walk. */
static struct list *place_of_lost(struct flight *f, const struct record *r)
{
	struct list *at = f->lost_first.next;

	if (at == &f->lost_first || seq_lt(container_of(f->lost_first.prev, struct record, by_time)->start, r->start))
		return &f->lost_first;
	for (unsigned i = 0; i < WALK_MOST && seq_lt(container_of(at, struct record, by_time)->start, r->start); i++)
		at = at->next;
	return at;
}

void record_enter(struct flight *f, struct record *r, enum record_state state)
{
	r->state = (uint8_t)state;
	add(f, r->state, record_length(r));
	list_remove(&r->by_time);
	if (state == RECORD_LOST)
		list_append(place_of_lost(f, r), &r->by_time);
}

void record_trim(struct flight *f, struct record *r, uint32_t at)
{
	add(f, r->state, r->start - at);
	r->start = at;
}

void record_join(struct tcp_conn *c, struct record *r)
{
	struct record *next = record_of_sequence(r->by_sequence.next);

	CHECK(next->state == r->state && next->start == r->end);
	r->end = next->end;
	r->again |= next->again;
	r->spread |= next->spread || next->sent_at != r->sent_at;
	if (next->sent_at > r->sent_at)
		r->sent_at = next->sent_at;
	record_put(c, next);
}

bool record_cut(struct tcp_conn *c, struct record *r, uint32_t at)
{
	struct record *tail = record_take_or_null(c);
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
