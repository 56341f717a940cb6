/* SPDX-License-Identifier: BSD-3-Clause */
/* Intervals beyond a gap, sorted: a place is found by halving, and what arrives in order behind a gap is found at the end at once. For a new
 * one, or one less, the shorter side moves: what is sent again fills the lowest gaps first. */
#include "gaps.h"

#include <string.h>

#include "recv.h"

static const struct gap_interval *lowest(const struct gaps *g)
{
	return &g->at[g->first];
}

/* The first interval that ends at `start` or beyond; count: none. */
static uint32_t first_touching(const struct gaps *g, uint32_t start)
{
	const struct gap_interval *at = lowest(g);
	uint32_t low = 0, high = g->count;

	if (g->count > 0 && seq_lt(at[g->count - 1].end, start))
		return g->count;
	while (low < high) {
		uint32_t middle = (low + high) / 2;

		if (seq_lt(at[middle].end, start))
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

static struct pool *pool_of(const struct tcp_conn *c, uint32_t room)
{
	struct tcp_stack *t = c->stack->tcp;

	return room == TCP_GAPS ? &t->gaps : room == TCP_GAPS_MANY ? &t->many_gaps : &t->most_gaps;
}

static struct gaps *take_or_null(const struct tcp_conn *c, uint32_t room)
{
	struct gaps *g = pool_take_or_null(pool_of(c, room));

	if (g)
		g->room = room;
	return g;
}

/* Room for one more. False: there is none. Nobody who sends full segments needs more than half as many as they fill the window. */
static bool make_room(struct tcp_conn *c)
{
	struct gaps *few = c->gaps, *more = NULL;

	if (few->count < few->room)
		return true;
	if (few->room == TCP_GAPS)
		more = take_or_null(c, TCP_GAPS_MANY);
	if (!more && few->room < TCP_GAPS_MOST && few->count < recv_window_open(c) / c->rcv_mss)
		more = take_or_null(c, TCP_GAPS_MOST);
	if (!more)
		return false;
	more->count = few->count;
	memcpy(more->recent, few->recent, sizeof(more->recent));
	more->recent_count = few->recent_count;
	memcpy(more->at, lowest(few), few->count * sizeof(few->at[0]));
	pool_put(pool_of(c, few->room), few);
	c->gaps = more;
	return true;
}

/* A place for a new interval, the i-th from now on. */
static void open_place(struct gaps *g, uint32_t i)
{
	uint32_t free = gaps_length(g->room) - g->count, last = g->first + g->count;
	bool front = i < g->count / 2;

	if (front ? g->first == 0 : g->first == free) {
		memmove(&g->at[free / 2], lowest(g), g->count * sizeof(g->at[0]));
		g->first = free / 2;
		last = g->first + g->count;
	}
	if (g->first > 0 && (front || g->first == free)) {
		memmove(&g->at[g->first - 1], lowest(g), i * sizeof(g->at[0]));
		g->first--;
	} else {
		memmove(&g->at[g->first + i + 1], &g->at[g->first + i], (last - g->first - i) * sizeof(g->at[0]));
	}
	g->count++;
}

/* [i, j) become one, the i-th. */
static void close_places(struct gaps *g, uint32_t i, uint32_t j)
{
	uint32_t n = j - i - 1;

	if (n == 0)
		return;
	if (i < g->count - j) {
		memmove(&g->at[g->first + n], lowest(g), i * sizeof(g->at[0]));
		g->first += n;
	} else {
		memmove(&g->at[g->first + i + 1], &g->at[g->first + j], (g->count - j) * sizeof(g->at[0]));
	}
	g->count -= n;
}

bool gaps_insert(struct tcp_conn *c, uint32_t start, uint32_t end)
{
	const struct gap_interval *at;
	struct gaps *g;
	uint32_t i, j;

	if (!c->gaps)
		c->gaps = take_or_null(c, TCP_GAPS);
	if (!c->gaps)
		return false;
	at = lowest(c->gaps);
	i = first_touching(c->gaps, start);
	for (j = i; j < c->gaps->count && seq_leq(at[j].start, end); j++)
		;
	if (i == j && !make_room(c))
		return false;
	g = c->gaps;
	if (i < j) {
		start = seq_min(start, at[i].start);
		end = seq_max(end, at[j - 1].end);
		close_places(g, i, j);
	} else {
		open_place(g, i);
	}
	g->at[g->first + i] = (struct gap_interval){ start, end };
	note_recent(g, start, end);
	return true;
}

unsigned gaps_recent(const struct tcp_conn *c, struct gap_interval *out, unsigned n)
{
	const struct gaps *g = c->gaps;
	unsigned found = 0;

	for (uint32_t i = 0; g && i < g->recent_count && found < n; i++) {
		uint32_t at = first_touching(g, g->recent[i]);

		if (at < g->count && lowest(g)[at].start == g->recent[i])
			out[found++] = lowest(g)[at];
	}
	return found;
}

/* One block is all there is room for: the first (RFC 2883 4.2). */
void gaps_overlap(struct tcp_conn *c, uint32_t start, uint32_t end)
{
	const struct gaps *g = c->gaps;
	uint32_t i = g ? first_touching(g, start + 1) : 0;

	if (i < gaps_count(c) && seq_lt(lowest(g)[i].start, end))
		recv_duplicate(c, seq_max(start, lowest(g)[i].start), seq_min(end, lowest(g)[i].end));
}

void gaps_join(struct tcp_conn *c)
{
	struct gaps *g = c->gaps;
	uint32_t joined = 0, kept = 0;

	if (!g)
		return;
	while (joined < g->count && seq_leq(lowest(g)[joined].start, c->rcv_nxt)) {
		c->rcv_nxt = seq_max(c->rcv_nxt, lowest(g)[joined].end);
		joined++;
	}
	if (joined == g->count) {
		gaps_forget(c);
		return;
	}
	if (joined == 0)
		return;
	g->count -= joined;
	g->first += joined;
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
	while (g->count > 0 && seq_geq(lowest(g)[g->count - 1].start, end))
		g->count--;
	if (g->count == 0) {
		gaps_forget(c);
		return;
	}
	g->at[g->first + g->count - 1].end = seq_min(gaps_end(c), end);
	for (uint32_t i = 0; i < g->recent_count; i++)
		if (seq_lt(g->recent[i], end))
			g->recent[kept++] = g->recent[i];
	g->recent_count = kept;
}

void gaps_forget(struct tcp_conn *c)
{
	if (c->gaps)
		pool_put(pool_of(c, c->gaps->room), c->gaps);
	c->gaps = NULL;
}

const char *gaps_check(const struct tcp_conn *c)
{
	const struct gaps *g = c->gaps;
	const struct gap_interval *at = g ? lowest(g) : NULL;

	if (g && (g->count == 0 || g->count > g->room || g->first + g->count > gaps_length(g->room) || g->recent_count > GAPS_RECENT))
		return "tcp: a connection has no gaps, or too many";
	for (uint32_t i = 0; i < gaps_count(c); i++) {
		if (!seq_lt(at[i].start, at[i].end) || !seq_gt(at[i].start, c->rcv_nxt))
			return "tcp: an interval beyond a gap is empty or not beyond it";
		if (i > 0 && !seq_lt(at[i - 1].end, at[i].start))
			return "tcp: intervals beyond a gap touch, or are not in order";
		if (at[i].end - c->receive_base - c->ep->receive.tail > bytering_capacity(&c->ep->receive))
			return "tcp: bytes beyond a gap lie outside the memory lent";
	}
	return NULL;
}
