/* SPDX-License-Identifier: BSD-3-Clause */
/* What BBR believes of the path (draft-ietf-ccwg-bbr-06 5.5): the bandwidth of the last two cycles, the round trip of the last ten seconds, how much
 * acknowledgments are delayed together, and what loss says in the short term (5.5.10.3). */
#include "cc_bbr.h"

#include "../base/seq.h"

#define MIN_RTT_FILTER (10 * NSEC_PER_SEC)
#define PROBE_RTT_INTERVAL (5 * NSEC_PER_SEC)
#define EXTRA_ACKED_ROUNDS 5     /* of each of two windows: ExtraAckedFilterLen is 10 */
#define HEADROOM_PERCENT 15u
#define MIN_PIPE_SEGMENTS 4u

__extension__ typedef unsigned __int128 uint128;

static uint32_t clamp(uint128 n)
{
	return n < BBR_INFINITE / 2 ? (uint32_t)n : BBR_INFINITE / 2;
}

uint32_t bbr_min_pipe(const struct cc *cc)
{
	return MIN_PIPE_SEGMENTS * cc->mss;
}

uint32_t bbr_bdp(const struct bbr *b, uint64_t bw, unsigned gain)
{
	if (b->min_rtt == NSEC_NEVER)
		return b->initial_cwnd;
	return clamp((uint128)bw * b->min_rtt * gain / 100 / NSEC_PER_SEC);
}

uint32_t bbr_quantized(const struct cc *cc, uint64_t inflight)
{
	const struct bbr *b = bbr_of(cc);

	inflight = inflight > 3ull * b->send_quantum ? inflight : 3ull * b->send_quantum;
	inflight = inflight > bbr_min_pipe(cc) ? inflight : bbr_min_pipe(cc);
	if (b->state == BBR_UP)
		inflight += 2 * cc->mss;
	return clamp(inflight);
}

uint32_t bbr_inflight(const struct cc *cc, uint64_t bw, unsigned gain)
{
	return bbr_quantized(cc, bbr_bdp(bbr_of(cc), bw, gain));
}

uint32_t bbr_target_inflight(const struct cc *cc)
{
	uint32_t bdp = bbr_bdp(bbr_of(cc), bbr_of(cc)->bw, 100);

	return bdp < cc->cwnd ? bdp : cc->cwnd;
}

uint32_t bbr_headroom(const struct cc *cc)
{
	const struct bbr *b = bbr_of(cc);
	uint32_t headroom, least = bbr_min_pipe(cc);

	if (b->inflight_longterm == BBR_INFINITE)
		return BBR_INFINITE;
	headroom = (uint32_t)((uint64_t)b->inflight_longterm * HEADROOM_PERCENT / 100);
	headroom = headroom > cc->mss ? headroom : cc->mss;
	return b->inflight_longterm > headroom + least ? b->inflight_longterm - headroom : least;
}

void bbr_reset_shortterm(struct bbr *b)
{
	b->bw_shortterm = BBR_INFINITE_BW;
	b->inflight_shortterm = BBR_INFINITE;
}

void bbr_reset_signals(struct bbr *b)
{
	b->loss_in_round = false;
	b->bw_latest = 0;
	b->inflight_latest = 0;
}

void bbr_note_loss(struct cc *cc, uint32_t delivered)
{
	struct bbr *b = bbr_of(cc);

	if (!b->loss_in_round)
		b->loss_round_delivered = delivered;
	b->loss_in_round = true;
}

bool bbr_inflight_too_high(const struct rate_sample *s)
{
	return s->lost > s->in_flight / RATE_LOSS_DIVISOR;
}

/* UpdateLatestDeliverySignals. */
static void latest_signals(struct bbr *b, const struct rate_sample *s)
{
	b->loss_round_start = false;
	if (!s->any)
		return;
	if (s->rate > b->bw_latest)
		b->bw_latest = s->rate;
	if (s->delivered > b->inflight_latest)
		b->inflight_latest = s->delivered;
	if (seq_geq(s->prior_delivered, b->loss_round_delivered)) {
		b->loss_round_delivered = s->total;
		b->loss_round_start = true;
	}
}

static void update_round(struct bbr *b, const struct rate_sample *s)
{
	b->round_start = s->any && seq_geq(s->prior_delivered, b->next_round_delivered);
	if (!b->round_start)
		return;
	b->next_round_delivered = s->total;
	b->round_count++;
	b->rounds_since_up++;
}

static void update_max_bw(struct bbr *b, const struct rate_sample *s)
{
	update_round(b, s);
	if (s->rate > 0 && (s->rate >= bbr_max_bw(b) || !s->app_limited) && s->rate > b->max_bw_filter[1])
		b->max_bw_filter[1] = s->rate;
}

/* AdaptLowerBoundsFromCongestion: once a round, towards what was delivered in it. */
static void adapt_lower_bounds(struct cc *cc)
{
	struct bbr *b = bbr_of(cc);
	uint64_t bw;
	uint32_t inflight;

	if (b->state == BBR_STARTUP || b->state == BBR_REFILL || b->state == BBR_UP || !b->loss_in_round)
		return;
	if (b->bw_shortterm == BBR_INFINITE_BW)
		b->bw_shortterm = bbr_max_bw(b);
	if (b->inflight_shortterm == BBR_INFINITE)
		b->inflight_shortterm = cc->cwnd;
	bw = b->bw_shortterm * BBR_BETA_PERCENT / 100;
	inflight = (uint32_t)((uint64_t)b->inflight_shortterm * BBR_BETA_PERCENT / 100);
	b->bw_shortterm = b->bw_latest > bw ? b->bw_latest : bw;
	b->inflight_shortterm = b->inflight_latest > inflight ? b->inflight_latest : inflight;
}

/* UpdateACKAggregation: what arrives beyond bw for as long as it does. */
static void aggregation(struct cc *cc, const struct cc_ack *a)
{
	struct bbr *b = bbr_of(cc);
	uint32_t expected = clamp((uint128)b->bw * (a->now - b->extra_acked_start) / NSEC_PER_SEC), extra;

	if (b->extra_acked_delivered <= expected) {
		b->extra_acked_delivered = 0;
		b->extra_acked_start = a->now;
		expected = 0;
	}
	b->extra_acked_delivered += a->delivered;
	extra = b->extra_acked_delivered - expected;
	extra = extra < cc->cwnd ? extra : cc->cwnd;
	if (b->round_start && ++b->extra_acked_rounds >= (b->full_bw_reached ? EXTRA_ACKED_ROUNDS : 1)) {
		b->extra_acked_rounds = 0;
		b->extra_acked_max[0] = b->full_bw_reached ? b->extra_acked_max[1] : 0;
		b->extra_acked_max[1] = 0;
	}
	if (extra > b->extra_acked_max[1])
		b->extra_acked_max[1] = extra;
}

void bbr_update_model(struct cc *cc, const struct cc_ack *a)
{
	struct bbr *b = bbr_of(cc);
	const struct rate_sample *s = &a->rate->sample;

	latest_signals(b, s);
	update_max_bw(b, s);
	if (b->loss_round_start) {
		adapt_lower_bounds(cc);
		b->loss_in_round = false;
	}
	aggregation(cc, a);
}

void bbr_update_min_rtt(struct bbr *b, const struct cc_ack *a)
{
	b->probe_rtt_expired = a->now > b->probe_rtt_min_stamp + PROBE_RTT_INTERVAL;
	if (a->rtt && (a->rtt < b->probe_rtt_min_delay || b->probe_rtt_expired)) {
		b->probe_rtt_min_delay = a->rtt;
		b->probe_rtt_min_stamp = a->now;
	}
	if (b->probe_rtt_min_delay < b->min_rtt || a->now > b->min_rtt_stamp + MIN_RTT_FILTER) {
		b->min_rtt = b->probe_rtt_min_delay;
		b->min_rtt_stamp = b->probe_rtt_min_stamp;
	}
}

void bbr_advance_model(struct bbr *b, const struct rate_sample *s)
{
	uint64_t max_bw = bbr_max_bw(b);

	if (b->loss_round_start) {
		b->bw_latest = s->rate;
		b->inflight_latest = s->delivered;
	}
	b->bw = max_bw < b->bw_shortterm ? max_bw : b->bw_shortterm;
}
