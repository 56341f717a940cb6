/* SPDX-License-Identifier: BSD-3-Clause */
/* BBR's state machine (draft-ietf-ccwg-bbr-06 5.3): Startup until the pipe is full, Drain, then cycles of probing for more bandwidth (Down, Cruise,
 * Refill, Up), and every five seconds a look at the round trip without a queue. */
#include "cc_bbr.h"

#include "../base/seq.h"

#define FULL_BW_ROUNDS 3
#define STARTUP_FULL_LOSSES 6
#define DRAIN_ROUNDS 3
#define RENO_ROUNDS 63u
#define PROBE_WAIT_LEAST (2 * NSEC_PER_SEC)
#define PROBE_RTT_DURATION (200 * NSEC_PER_MSEC)
#define UP_ROUNDS_MOST 30

static const struct {
	uint16_t pacing, cwnd; /* percent (5.6.1) */
} gains[] = {
	[BBR_STARTUP] = { 277, BBR_CWND_GAIN },
	[BBR_DRAIN] = { 50, BBR_CWND_GAIN },
	[BBR_DOWN] = { 90, BBR_CWND_GAIN },
	[BBR_CRUISE] = { 100, BBR_CWND_GAIN },
	[BBR_REFILL] = { 100, BBR_CWND_GAIN },
	[BBR_UP] = { 125, 225 },
	[BBR_PROBE_RTT] = { 100, 50 },
};

unsigned bbr_pacing_gain(const struct bbr *b)
{
	return gains[b->state].pacing;
}

unsigned bbr_cwnd_gain(const struct bbr *b)
{
	return gains[b->state].cwnd;
}

uint32_t bbr_probe_rtt_cwnd(const struct cc *cc)
{
	uint32_t half = bbr_bdp(bbr_of(cc), bbr_of(cc)->bw, gains[BBR_PROBE_RTT].cwnd), least = bbr_min_pipe(cc);

	return half > least ? half : least;
}

static void start_round(struct bbr *b, uint32_t delivered)
{
	b->next_round_delivered = delivered;
}

/* xorshift64: seeded from the connection's first acknowledgment. */
static uint32_t chance(struct bbr *b)
{
	b->random ^= b->random << 13;
	b->random ^= b->random >> 7;
	b->random ^= b->random << 17;
	return (uint32_t)(b->random >> 32);
}

void bbr_reset_full_bw(struct bbr *b)
{
	b->full_bw = 0;
	b->full_bw_count = 0;
	b->full_bw_now = false;
}

void bbr_enter_startup(struct bbr *b)
{
	b->state = BBR_STARTUP;
}

/* ---- ProbeBW ---- */

void bbr_start_down(struct bbr *b, uint32_t delivered, nsec now)
{
	bbr_reset_signals(b);
	b->probe_up_acked_per_inc = BBR_INFINITE;
	/* PickProbeWait: 2 to 3 seconds, and the count of rounds off by one or not, so that flows do not probe together. */
	b->rounds_since_up = chance(b) & 1;
	b->probe_wait = PROBE_WAIT_LEAST + chance(b) % NSEC_PER_SEC;
	b->cycle_stamp = now;
	b->ack_phase = BBR_ACKS_STOPPING;
	start_round(b, delivered);
	b->state = BBR_DOWN;
}

void bbr_start_refill(struct bbr *b, uint32_t delivered)
{
	bbr_reset_shortterm(b);
	b->probe_up_rounds = 0;
	b->probe_up_acked = 0;
	b->prev_probe_precautionary = false;
	b->ack_phase = BBR_ACKS_REFILLING;
	start_round(b, delivered);
	b->state = BBR_REFILL;
}

/* The slope doubles each round. */
static void raise_slope(struct cc *cc)
{
	struct bbr *b = bbr_of(cc);
	uint32_t per = cc->cwnd >> b->probe_up_rounds;

	if (b->probe_up_rounds < UP_ROUNDS_MOST)
		b->probe_up_rounds++;
	b->probe_up_acked_per_inc = per > cc->mss ? per : cc->mss;
}

static void start_up(struct cc *cc, const struct rate_sample *s)
{
	struct bbr *b = bbr_of(cc);

	b->ack_phase = BBR_ACKS_STARTING;
	start_round(b, s->total);
	bbr_reset_full_bw(b);
	b->full_bw = s->rate;
	b->state = BBR_UP;
	raise_slope(cc);
}

static bool window_is_full(const struct cc *cc, const struct cc_ack *a)
{
	return (uint64_t)a->in_flight + cc->mss >= cc->cwnd;
}

static void probe_longterm_upward(struct cc *cc, const struct cc_ack *a)
{
	struct bbr *b = bbr_of(cc);

	if (!window_is_full(cc, a) || cc->cwnd < b->inflight_longterm)
		return;
	b->probe_up_acked += a->delivered;
	if (b->probe_up_acked >= b->probe_up_acked_per_inc) {
		uint32_t steps = b->probe_up_acked / b->probe_up_acked_per_inc;

		b->probe_up_acked -= steps * b->probe_up_acked_per_inc;
		b->inflight_longterm += steps * cc->mss;
	}
	if (b->round_start)
		raise_slope(cc);
}

/* HandleInflightTooHigh. */
static void too_high(struct cc *cc, uint32_t in_flight, bool app_limited, const struct cc_ack *a)
{
	struct bbr *b = bbr_of(cc);

	b->prev_probe_too_high = true;
	b->bw_probe_sample = false;
	if (!app_limited) {
		uint32_t least = (uint32_t)((uint64_t)bbr_target_inflight(cc) * BBR_BETA_PERCENT / 100);

		b->inflight_longterm = in_flight > least ? in_flight : least;
	}
	if (b->state == BBR_UP) {
		b->undo_state = BBR_UP;
		bbr_start_down(b, a->rate->sample.total, a->now);
	}
}

/* The bandwidth of the cycle before is kept where this one has no sample. */
static void advance_max_bw(struct bbr *b)
{
	if (b->max_bw_filter[1] == 0)
		return;
	b->max_bw_filter[0] = b->max_bw_filter[1];
	b->max_bw_filter[1] = 0;
}

/* AdaptLongTermModel. True: it decided on the next state. */
static bool adapt_longterm(struct cc *cc, const struct cc_ack *a)
{
	struct bbr *b = bbr_of(cc);
	const struct rate_sample *s = &a->rate->sample;

	if (b->ack_phase == BBR_ACKS_STARTING && b->round_start)
		b->ack_phase = BBR_ACKS_FEEDBACK;
	if (b->ack_phase == BBR_ACKS_STOPPING && b->round_start) {
		b->bw_probe_sample = false;
		b->ack_phase = BBR_ACKS_INIT;
		if (bbr_in_probe_bw(b) && !s->app_limited)
			advance_max_bw(b);
		if (bbr_in_probe_bw(b) && b->prev_probe_precautionary && !b->prev_probe_too_high) {
			bbr_start_refill(b, s->total);
			return true;
		}
	}
	if (!s->any || bbr_inflight_too_high(s) || b->inflight_longterm == BBR_INFINITE)
		return false;
	if (s->in_flight > b->inflight_longterm)
		b->inflight_longterm = s->in_flight;
	if (b->state == BBR_UP)
		probe_longterm_upward(cc, a);
	return false;
}

static bool time_to_probe(const struct cc *cc, nsec now)
{
	const struct bbr *b = bbr_of(cc);
	uint32_t reno = bbr_target_inflight(cc) / cc->mss;

	return now > b->cycle_stamp + b->probe_wait || b->rounds_since_up >= (reno < RENO_ROUNDS ? reno : RENO_ROUNDS);
}

static bool time_to_cruise(const struct cc *cc, const struct cc_ack *a)
{
	return a->in_flight_after <= bbr_headroom(cc) && a->in_flight_after <= bbr_inflight(cc, bbr_max_bw(bbr_of(cc)), 100);
}

static bool time_to_go_down(const struct cc *cc, const struct cc_ack *a)
{
	struct bbr *b = bbr_of(cc);

	if (b->prev_probe_too_high && a->in_flight_after >= b->inflight_longterm) {
		b->prev_probe_precautionary = true;
		return true;
	}
	if (window_is_full(cc, a) && cc->cwnd >= b->inflight_longterm) {
		bbr_reset_full_bw(b);
		b->full_bw = a->rate->sample.rate;
		return false;
	}
	return b->full_bw_now;
}

static void update_cycle(struct cc *cc, const struct cc_ack *a)
{
	struct bbr *b = bbr_of(cc);
	uint32_t delivered = a->rate->sample.total;

	if (!b->full_bw_reached || adapt_longterm(cc, a))
		return;
	switch ((enum bbr_state)b->state) {
	case BBR_DOWN:
	case BBR_CRUISE:
		if (time_to_probe(cc, a->now))
			bbr_start_refill(b, delivered);
		else if (b->state == BBR_DOWN && time_to_cruise(cc, a))
			b->state = BBR_CRUISE;
		break;
	case BBR_REFILL:
		if (b->round_start) {
			b->bw_probe_sample = true;
			start_up(cc, &a->rate->sample);
		}
		break;
	case BBR_UP:
		if (time_to_go_down(cc, a)) {
			b->prev_probe_too_high = false;
			bbr_start_down(b, delivered, a->now);
		}
		break;
	default:
		break;
	}
}

/* ---- Startup and Drain ---- */

static void check_full_bw(struct bbr *b, const struct rate_sample *s)
{
	if (b->full_bw_now || !b->round_start || s->app_limited)
		return;
	if (s->rate >= b->full_bw + b->full_bw / 4) {
		bbr_reset_full_bw(b);
		b->full_bw = s->rate;
		return;
	}
	b->full_bw_now = ++b->full_bw_count >= FULL_BW_ROUNDS;
	b->full_bw_reached |= b->full_bw_now;
}

/* 5.3.1.3: a round of recovery with many and enough losses. */
static void check_startup_loss(struct cc *cc, const struct rate_sample *s)
{
	struct bbr *b = bbr_of(cc);

	if (b->full_bw_reached)
		return;
	b->lost_ranges += s->lost_ranges;
	if (!b->loss_round_start)
		return;
	if (b->in_recovery && b->lost_ranges >= STARTUP_FULL_LOSSES && bbr_inflight_too_high(s)) {
		uint32_t bdp = bbr_bdp(b, bbr_max_bw(b), 100);

		b->undo_state = BBR_STARTUP;
		b->full_bw_reached = true;
		b->inflight_longterm = bdp > b->inflight_latest ? bdp : b->inflight_latest;
	}
	b->lost_ranges = 0;
}

void bbr_update_state(struct cc *cc, const struct cc_ack *a)
{
	struct bbr *b = bbr_of(cc);
	const struct rate_sample *s = &a->rate->sample;

	if (s->too_many && b->bw_probe_sample)
		too_high(cc, s->loss_in_flight, s->loss_app_limited, a);
	check_full_bw(b, s);
	check_startup_loss(cc, s);
	if (b->state == BBR_STARTUP && b->full_bw_reached) {
		b->state = BBR_DRAIN;
		b->drain_start_round = b->round_count;
	}
	if (b->state == BBR_DRAIN && (a->in_flight_after <= bbr_inflight(cc, b->bw, 100) || b->round_count > b->drain_start_round + DRAIN_ROUNDS))
		bbr_start_down(b, s->total, a->now);
	update_cycle(cc, a);
}

/* ---- ProbeRTT ---- */

void bbr_check_probe_rtt_done(struct cc *cc, uint32_t delivered, nsec now)
{
	struct bbr *b = bbr_of(cc);

	if (b->probe_rtt_done_stamp == 0 || now <= b->probe_rtt_done_stamp)
		return;
	b->probe_rtt_min_stamp = now;
	cc->cwnd = cc->cwnd > b->prior_cwnd ? cc->cwnd : b->prior_cwnd;
	bbr_reset_shortterm(b);
	if (b->full_bw_reached) {
		bbr_start_down(b, delivered, now);
		b->state = BBR_CRUISE;
	} else {
		bbr_enter_startup(b);
	}
}

static void in_probe_rtt(struct cc *cc, const struct cc_ack *a)
{
	struct bbr *b = bbr_of(cc);

	/* Low rates are our own doing here. */
	rate_app_limited(a->rate, a->in_flight_after);
	if (b->probe_rtt_done_stamp == 0) {
		if (a->in_flight_after > bbr_probe_rtt_cwnd(cc))
			return;
		b->probe_rtt_done_stamp = a->now + PROBE_RTT_DURATION;
		b->probe_rtt_round_done = false;
		start_round(b, a->rate->sample.total);
		return;
	}
	b->probe_rtt_round_done |= b->round_start;
	if (b->probe_rtt_round_done)
		bbr_check_probe_rtt_done(cc, a->rate->sample.total, a->now);
}

void bbr_check_probe_rtt(struct cc *cc, const struct cc_ack *a)
{
	struct bbr *b = bbr_of(cc);

	if (b->state != BBR_PROBE_RTT && b->probe_rtt_expired && !b->idle_restart) {
		/* SaveCwnd looks at the state before. */
		b->prior_cwnd = b->in_recovery || b->in_timeout ? (b->prior_cwnd > cc->cwnd ? b->prior_cwnd : cc->cwnd) : cc->cwnd;
		b->state = BBR_PROBE_RTT;
		b->probe_rtt_done_stamp = 0;
		b->ack_phase = BBR_ACKS_STOPPING;
		start_round(b, a->rate->sample.total);
	}
	if (b->state == BBR_PROBE_RTT)
		in_probe_rtt(cc, a);
	if (a->delivered > 0)
		b->idle_restart = false;
}
