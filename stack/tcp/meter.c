/* SPDX-License-Identifier: BSD-3-Clause */
/* The books behind TCP_INFO's busy_time, rwnd_limited, sndbuf_limited, delivery_rate, dsack_dups, reordering and reord_seen. */
#include "meter.h"

#include "flight.h"
#include "loss.h"

#define REORDERING_MOST 300u    /* segments; Linux's tcp_max_reordering */

/* As coarse as Linux's jiffies; what is cut off now is added elsewhere. */
static uint32_t milliseconds(const struct tcp_conn *c)
{
	return (uint32_t)(c->stack->now / NSEC_PER_MSEC);
}

/* One that only waits, or only receives, has none. */
static struct meter *meter_of(struct tcp_conn *c)
{
	if (!c->meter) {
		c->meter = pool_take_or_null(&c->stack->tcp->meters);
		CHECK(c->meter);   /* as many as connections */
	}
	return c->meter;
}

const struct meter *meter_shown(const struct tcp_conn *c)
{
	static const struct meter empty;

	return c->meter ? c->meter : &empty;
}

void meter_detach(struct tcp_conn *c)
{
	if (!c->meter)
		return;
	pool_put(&c->stack->tcp->meters, c->meter);
	c->meter = NULL;
}

void meter_begin(struct tcp_conn *c)
{
	struct meter *m = meter_of(c);

	m->from = c->snd_una;
	m->since = (uint32_t)((c->snd_una == c->snd_max ? c->stack->now : c->last_acked) / NSEC_PER_USEC);
}

void meter_change(struct tcp_conn *c, enum meter_state now)
{
	struct meter *m = meter_of(c);

	if (m->state != METER_IDLE)
		m->time[m->state - 1] += milliseconds(c) - m->changed;
	m->state = (uint8_t)now;
	m->changed = milliseconds(c);
}

nsec meter_time(const struct tcp_conn *c, enum meter_state state)
{
	const struct meter *m = meter_shown(c);

	return (m->time[state - 1] + (m->state == state ? milliseconds(c) - m->changed : 0)) * NSEC_PER_MSEC;
}

/* As tcp_rate_gen: what took less than the shortest round trip says nothing; where the program had no more to send, only a
 * rate that is higher counts. */
void meter_arrived(struct tcp_conn *c, uint32_t ack)
{
	struct meter *m = meter_of(c);
	uint32_t bytes = ack - m->from, usec = (uint32_t)(c->stack->now / NSEC_PER_USEC) - m->since;
	bool starved = seq_geq(c->snd_nxt, conn_send_end(c)) && flight_pipe(c) < loss_window(c);

	if (bytes == 0 || usec == 0 || (c->rtt.min != NSEC_NEVER && usec < c->rtt.min / NSEC_PER_USEC))
		return;
	if (starved && (uint64_t)bytes * m->rate_usec < (uint64_t)m->rate_bytes * usec)
		return;
	m->rate_bytes = bytes;
	m->rate_usec = usec;
	m->rate_starved = starved;
}

void meter_reordered(struct tcp_conn *c, uint32_t numbers)
{
	uint32_t segments = (numbers + c->snd_mss - 1) / c->snd_mss;

	meter_of(c)->reorderings++;
	if (segments > REORDERING_MOST)
		segments = REORDERING_MOST;
	if (segments > meter_of(c)->reordering)
		meter_of(c)->reordering = (uint16_t)segments;
}

/* As tcp_dsack_seen: longer than a window was no duplicate of ours. */
static uint32_t duplicates(const struct tcp_conn *c, uint32_t numbers)
{
	return numbers > c->max_snd_wnd ? 0 : (numbers + c->snd_mss - 1) / c->snd_mss;
}

void meter_news(struct tcp_conn *c, const struct flight_news *news)
{
	if (news->dsack && seq_lt(news->dsack_start, news->dsack_end))
		meter_of(c)->duplicates += duplicates(c, news->dsack_end - news->dsack_start);
	if (news->reordered)
		meter_reordered(c, news->highest_before - news->reordered_from);
}
