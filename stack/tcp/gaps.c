/* SPDX-License-Identifier: BSD-3-Clause */
/* Intervals beyond a gap, sorted: a place is found by halving, and what arrives in order behind a gap is found at the end at once. */
#include "gaps.h"

#include <string.h>

#include "recv.h"

/* The first interval that ends at `start` or beyond; count: none. */
static uint32_t first_touching(const struct gaps *g, uint32_t start)
{
	uint32_t low = 0, high = g->count;

	if (g->count > 0 && seq_lt(g->at[g->count - 1].end, start))
		return g->count;
	while (low < high) {
		uint32_t middle = (low + high) / 2;

		if (seq_lt(g->at[middle].end, start))
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static void note_recent(struct gaps *g, uint32_t start, uint32_t end)
{
	uint32_t kept[GAPS_RECENT] = { start }, n = 1;

	for (uint32_t i = 0; i < g->recent_count && n < GAPS_RECENT; i++)
		if (!seq_within(g->recent[i], start, end - start))
			kept[n++] = g->recent[i];
	memcpy(g->recent, kept, sizeof(kept));
	g->recent_count = n;
}

static struct pool *pool_of(const struct tcp_conn *c, const struct gaps *g)
{
	return g->room == TCP_GAPS ? &c->stack->tcp->gaps : &c->stack->tcp->many_gaps;
}

static struct gaps *take_or_null(struct pool *pool, uint32_t room)
{
	struct gaps *g = pool_take_or_null(pool);

	if (g)
		g->room = room;
	return g;
}

/* Room for one more. False: there is none. */
static bool make_room(struct tcp_conn *c)
{
	struct gaps *few = c->gaps, *many;

	if (few->count < few->room)
		return true;
	many = few->room == TCP_GAPS ? take_or_null(&c->stack->tcp->many_gaps, TCP_GAPS_MANY) : NULL;
	if (!many)
		return false;
	memcpy(many, few, GAPS_SIZE(few->count));
	many->room = TCP_GAPS_MANY;
	pool_put(&c->stack->tcp->gaps, few);
	c->gaps = many;
	return true;
}

bool gaps_insert(struct tcp_conn *c, uint32_t start, uint32_t end)
{
	struct gaps *g;
	uint32_t i, j;

	if (!c->gaps)
		c->gaps = take_or_null(&c->stack->tcp->gaps, TCP_GAPS);
	if (!c->gaps)
		return false;
	i = first_touching(c->gaps, start);
	for (j = i; j < c->gaps->count && seq_leq(c->gaps->at[j].start, end); j++)
		;
	if (i == j && !make_room(c))
		return false;
	g = c->gaps;
	if (i < j) {
		start = seq_min(start, g->at[i].start);
		end = seq_max(end, g->at[j - 1].end);
	}
	/* [i, j) become one. */
	if (j != i + 1)
		memmove(&g->at[i + 1], &g->at[j], (g->count - j) * sizeof(g->at[0]));
	g->count = g->count - (j - i) + 1;
	g->at[i] = (struct gap_interval){ start, end };
	note_recent(g, start, end);
	return true;
}

unsigned gaps_recent(const struct tcp_conn *c, struct gap_interval *out, unsigned n)
{
	const struct gaps *g = c->gaps;
	unsigned found = 0;

	for (uint32_t i = 0; g && i < g->recent_count && found < n; i++) {
		uint32_t at = first_touching(g, g->recent[i]);

		if (at < g->count && g->at[at].start == g->recent[i])
			out[found++] = g->at[at];
	}
	return found;
}

/* One block is all there is room for: the first (RFC 2883 4.2). */
void gaps_overlap(struct tcp_conn *c, uint32_t start, uint32_t end)
{
	const struct gaps *g = c->gaps;
	uint32_t i = g ? first_touching(g, start + 1) : 0;

	if (i < gaps_count(c) && seq_lt(g->at[i].start, end))
		recv_duplicate(c, seq_max(start, g->at[i].start), seq_min(end, g->at[i].end));
}

void gaps_join(struct tcp_conn *c)
{
	struct gaps *g = c->gaps;
	uint32_t joined = 0, kept = 0;

	if (!g)
		return;
	while (joined < g->count && seq_leq(g->at[joined].start, c->rcv_nxt)) {
		c->rcv_nxt = seq_max(c->rcv_nxt, g->at[joined].end);
		joined++;
	}
	if (joined == g->count) {
		gaps_forget(c);
		return;
	}
	if (joined == 0)
		return;
	g->count -= joined;
	memmove(&g->at[0], &g->at[joined], g->count * sizeof(g->at[0]));
	for (uint32_t i = 0; i < g->recent_count; i++)
		if (seq_gt(g->recent[i], c->rcv_nxt))
			g->recent[kept++] = g->recent[i];
	g->recent_count = kept;
}

void gaps_cut(struct tcp_conn *c, uint32_t end)
{
	struct gaps *g = c->gaps;
	uint32_t kept = 0;

	if (!g)
		return;
	while (g->count > 0 && seq_geq(g->at[g->count - 1].start, end))
		g->count--;
	if (g->count == 0) {
		gaps_forget(c);
		return;
	}
	g->at[g->count - 1].end = seq_min(g->at[g->count - 1].end, end);
	for (uint32_t i = 0; i < g->recent_count; i++)
		if (seq_lt(g->recent[i], end))
			g->recent[kept++] = g->recent[i];
	g->recent_count = kept;
}

void gaps_forget(struct tcp_conn *c)
{
	if (c->gaps)
		pool_put(pool_of(c, c->gaps), c->gaps);
	c->gaps = NULL;
}

const char *gaps_check(const struct tcp_conn *c)
{
	const struct gaps *g = c->gaps;

	if (g && (g->count == 0 || g->count > g->room || g->recent_count > GAPS_RECENT))
		return "tcp: a connection has no gaps, or too many";
	for (uint32_t i = 0; i < gaps_count(c); i++) {
		if (!seq_lt(g->at[i].start, g->at[i].end) || !seq_gt(g->at[i].start, c->rcv_nxt))
			return "tcp: an interval beyond a gap is empty or not beyond it";
		if (i > 0 && !seq_lt(g->at[i - 1].end, g->at[i].start))
			return "tcp: intervals beyond a gap touch, or are not in order";
		if (g->at[i].end - c->receive_base - c->ep->receive.tail > bytering_capacity(&c->ep->receive))
			return "tcp: bytes beyond a gap lie outside the memory lent";
	}
	return NULL;
}
