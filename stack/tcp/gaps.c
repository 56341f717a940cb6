/* SPDX-License-Identifier: BSD-3-Clause */
/* Intervals beyond a gap, few and unsorted: each is compared with each. */
#include "gaps.h"

#include "recv.h"

static bool touch(const struct gap_interval *g, uint32_t start, uint32_t end)
{
	return seq_leq(g->start, end) && seq_leq(start, g->end);
}

static bool has_place(const struct gaps *gaps, uint32_t start, uint32_t end)
{
	if (gaps->count < TCP_GAPS)
		return true;
	for (uint32_t i = 0; i < gaps->count; i++)
		if (touch(&gaps->at[i], start, end))
			return true;
	return false;
}

void gaps_overlap(struct tcp_conn *c, uint32_t start, uint32_t end)
{
	for (uint32_t i = 0; i < gaps_count(c); i++) {
		const struct gap_interval *g = &c->gaps->at[i];

		recv_duplicate(c, seq_max(start, g->start), seq_min(end, g->end));
	}
}

bool gaps_insert(struct tcp_conn *c, uint32_t start, uint32_t end)
{
	struct gap_interval rest[TCP_GAPS];
	uint32_t kept = 0;

	if (!c->gaps)
		c->gaps = pool_take_or_null(&c->stack->tcp->gaps);
	if (!c->gaps || !has_place(c->gaps, start, end))
		return false;
	for (uint32_t i = 0; i < c->gaps->count; i++) {
		const struct gap_interval *g = &c->gaps->at[i];

		if (touch(g, start, end)) {
			start = seq_min(start, g->start);
			end = seq_max(end, g->end);
		} else {
			rest[kept++] = *g;
		}
	}
	c->gaps->at[0] = (struct gap_interval){ start, end };
	for (uint32_t i = 0; i < kept; i++)
		c->gaps->at[i + 1] = rest[i];
	c->gaps->count = kept + 1;
	return true;
}

void gaps_join(struct tcp_conn *c)
{
	uint32_t kept = 0;
	bool again = c->gaps;

	while (again) {
		again = false;
		for (uint32_t i = 0; i < c->gaps->count; i++) {
			const struct gap_interval *g = &c->gaps->at[i];

			if (seq_leq(g->start, c->rcv_nxt) && seq_gt(g->end, c->rcv_nxt)) {
				c->rcv_nxt = g->end;
				again = true;
			}
		}
	}
	for (uint32_t i = 0; i < gaps_count(c); i++)
		if (seq_gt(c->gaps->at[i].start, c->rcv_nxt))
			c->gaps->at[kept++] = c->gaps->at[i];
	if (kept == 0)
		gaps_forget(c);
	else
		c->gaps->count = kept;
}

void gaps_forget(struct tcp_conn *c)
{
	if (c->gaps)
		pool_put(&c->stack->tcp->gaps, c->gaps);
	c->gaps = NULL;
}

const char *gaps_check(const struct tcp_conn *c)
{
	if (c->gaps && (c->gaps->count == 0 || c->gaps->count > TCP_GAPS))
		return "tcp: a connection has no gaps, or too many";
	for (uint32_t i = 0; i < gaps_count(c); i++) {
		const struct gap_interval *g = &c->gaps->at[i];

		if (!seq_lt(g->start, g->end) || !seq_gt(g->start, c->rcv_nxt))
			return "tcp: an interval beyond a gap is empty or not beyond it";
		for (uint32_t j = 0; j < i; j++)
			if (touch(&c->gaps->at[j], g->start, g->end))
				return "tcp: intervals beyond a gap touch";
		if (g->end - c->receive_base - c->ep->receive.tail > bytering_capacity(&c->ep->receive))
			return "tcp: bytes beyond a gap lie outside the memory lent";
	}
	return NULL;
}
