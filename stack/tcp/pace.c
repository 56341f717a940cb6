/* SPDX-License-Identifier: BSD-3-Clause */
/* Bursts of about a millisecond's worth (two segments at least, a super-frame at most) leave back to back, and the next one when the rate has
 * paid for it: the rules of Linux's internal pacing, which are also the draft's C.send_quantum. The first ten segments of a
 * connection go at once. */
#include "pace.h"

#include <string.h>

#include "flight.h"
#include "timers.h"

#define UNPACED_SEGMENTS 10     /* the initial window, as Linux and sch_fq's initial quantum */
#define QUANTUM_MOST 65160u
#define QUANTA_PER_SEC 1024u    /* Linux's sk_pacing_shift */
#define LATE_MOST (5 * NSEC_PER_MSEC)
#define SLOW_START_PERCENT 200u /* tcp_pacing_ss_ratio */
#define AVOIDANCE_PERCENT 120u  /* tcp_pacing_ca_ratio */

/* Linux's tcp_update_pacing_rate: faster than the window, so that acknowledgments still are what drives it. */
static uint64_t of_window(const struct tcp_conn *c)
{
	uint64_t percent = c->cc.cwnd < c->cc.ssthresh / 2 ? SLOW_START_PERCENT : AVOIDANCE_PERCENT;

	return c->rtt.srtt ? c->cc.cwnd * percent * (NSEC_PER_SEC / 100) / c->rtt.srtt : 0;
}

static uint32_t quantum(const struct tcp_conn *c, uint64_t rate)
{
	uint64_t n = rate / QUANTA_PER_SEC, least = 2u * c->snd_mss;

	n = n > QUANTUM_MOST ? QUANTUM_MOST : n;
	n = n < least ? least : n;
	return (uint32_t)(n - n % c->snd_mss);
}

static bool paced_now(const struct tcp_conn *c, uint64_t rate)
{
	return rate != 0 && c->data_sent >= UNPACED_SEGMENTS;
}

uint64_t pace_rate(const struct tcp_conn *c)
{
	uint64_t rate = c->cc.pacing_rate ? c->cc.pacing_rate : of_window(c), limit = c->socket.options.max_pacing_rate;

	return limit && (rate == 0 || limit < rate) ? limit : rate;
}

void pace_attach(struct tcp_conn *c, const struct cc_ops *ops)
{
	bool large = ops->flags & CC_LARGE;

	if (!large && !c->socket.options.max_pacing_rate) {
		pace_detach(c);
		return;
	}
	if (!c->delivery) {
		/* From now on what leaves is marked; what did, stays without. */
		flight_open(c);
		c->delivery = pool_take_or_null(&c->stack->tcp->deliveries);
		CHECK(c->delivery); /* as many as connections */
		rate_start(&c->delivery->rate, c->stack->now);
	} else if (ops != c->cc.ops) {
		memset(c->delivery->large, 0, sizeof(c->delivery->large));
	}
	c->cc.large = large ? c->delivery->large : NULL;
}

void pace_detach(struct tcp_conn *c)
{
	if (!c->delivery)
		return;
	pool_put(&c->stack->tcp->deliveries, c->delivery);
	c->delivery = NULL;
	c->cc.large = NULL;
	timers_pace(c, NSEC_NEVER);
}

uint32_t pace_room(const struct tcp_conn *c)
{
	struct delivery *d = c->delivery;
	uint64_t rate = pace_rate(c);

	if (!paced_now(c, rate))
		return UINT32_MAX;
	if (c->stack->now >= d->next)
		d->left = quantum(c, rate);
	return d->left - d->left % c->snd_mss;
}

void pace_sent(struct tcp_conn *c, uint32_t n)
{
	struct delivery *d = c->delivery;
	uint64_t rate = pace_rate(c);
	nsec now = c->stack->now, late, took;

	d->left = d->left > n ? d->left - n : 0;
	if (!paced_now(c, rate))
		return;
	took = n * NSEC_PER_SEC / rate;
	/* Who waited for the rate alone and was woken late (a busy core) has that time to his credit; of other silence half a burst's worth. */
	late = now > d->next ? now - d->next : 0;
	if (d->waited) {
		d->next = (late < LATE_MOST ? d->next : now - LATE_MOST) + took;
		return;
	}
	took -= late < took / 2 ? late : took / 2;
	d->next = (now > d->next ? now : d->next) + took;
}

/* A rate that the peer's window limits is not the path's either: a receiver whose window grows slowly, or stands still behind a gap, would end
 * BBR's Startup at a fraction of the bandwidth. */
void pace_held(struct tcp_conn *c, bool by_window)
{
	struct delivery *d = c->delivery;
	uint32_t lost = c->flight ? c->flight->lost : 0, in_flight = c->flight ? flight_pipe(c) : conn_in_flight(c);
	bool by_rate = d->next > c->stack->now && pace_room(c) == 0;

	d->waited = by_rate && in_flight < c->cc.cwnd && (lost > 0 || conn_has_unsent(c)) && !by_window;
	if (d->waited)
		timers_pace(c, d->next);
	if (!by_rate && in_flight < c->cc.cwnd && lost == 0 && (by_window || conn_send_end(c) - c->snd_nxt < c->snd_mss))
		rate_app_limited(&d->rate, in_flight);
}
