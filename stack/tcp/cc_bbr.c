/* SPDX-License-Identifier: BSD-3-Clause */
/* BBR as struct cc_ops: what it is told, and pacing rate, quantum and window from the model (draft-ietf-ccwg-bbr-06 5.2, 5.6). Losses of an episode that was
 * needless are taken back by the caller's assigning a saved struct cc; what lies in cc->large follows from the stamp that differs then. */
#include "cc_bbr.h"

#define PACING_MARGIN_PERCENT 1u
#define QUANTUM_MOST 65536u
#define RTT_UNKNOWN NSEC_PER_MSEC

static struct bbr_saved *saved(struct cc *cc)
{
	return (struct bbr_saved *)(void *)cc->state;
}

static void save(struct cc *cc)
{
	struct bbr *b = bbr_of(cc);

	*saved(cc) = (struct bbr_saved){
		.bw_shortterm = b->bw_shortterm,
		.inflight_shortterm = b->inflight_shortterm,
		.inflight_longterm = b->inflight_longterm,
		.stamp = ++b->stamp,
	};
}

static void save_cwnd(struct cc *cc)
{
	struct bbr *b = bbr_of(cc);
	bool known = !b->in_recovery && !b->in_timeout && b->state != BBR_PROBE_RTT;

	b->prior_cwnd = known || cc->cwnd > b->prior_cwnd ? cc->cwnd : b->prior_cwnd;
}

static void restore_cwnd(struct cc *cc)
{
	const struct bbr *b = bbr_of(cc);

	if (cc->cwnd < b->prior_cwnd)
		cc->cwnd = b->prior_cwnd;
}

/* HandleSpuriousLossDetection: cc->cwnd is what it was already. */
static void undone(struct cc *cc, uint32_t delivered)
{
	struct bbr *b = bbr_of(cc);
	const struct bbr_saved *before = saved(cc);

	b->in_recovery = b->in_timeout = false;
	b->loss_in_round = false;
	bbr_reset_full_bw(b);
	if (before->bw_shortterm > b->bw_shortterm)
		b->bw_shortterm = before->bw_shortterm;
	if (before->inflight_shortterm > b->inflight_shortterm)
		b->inflight_shortterm = before->inflight_shortterm;
	if (before->inflight_longterm > b->inflight_longterm)
		b->inflight_longterm = before->inflight_longterm;
	if (b->undo_state == BBR_STARTUP && b->state != BBR_STARTUP) {
		b->full_bw_reached = false;
		if (b->state != BBR_PROBE_RTT)
			bbr_enter_startup(b);
	} else if (b->undo_state == BBR_UP && b->state != BBR_UP && b->state != BBR_PROBE_RTT) {
		bbr_start_refill(b, delivered);
	}
	b->undo_state = BBR_NONE;
}

static void set_pacing(struct cc *cc, unsigned gain)
{
	struct bbr *b = bbr_of(cc);
	uint64_t share = gain * (100 - PACING_MARGIN_PERCENT), rate = b->bw / 10000 * share + b->bw % 10000 * share / 10000;
	uint64_t quantum, least = 2 * cc->mss;

	/* The least window a second: at a byte a second every sample would be one, too, and a quarter more of it none at all. */
	if (rate < bbr_min_pipe(cc))
		rate = bbr_min_pipe(cc);
	if (b->bw && (b->full_bw_reached || rate > cc->pacing_rate))
		cc->pacing_rate = rate;
	quantum = cc->pacing_rate / 1000;
	quantum = quantum < QUANTUM_MOST ? quantum : QUANTUM_MOST;
	b->send_quantum = (uint32_t)(quantum > least ? quantum : least);
}

static void first_pacing(struct cc *cc, nsec rtt)
{
	struct bbr *b = bbr_of(cc);

	cc->pacing_rate = b->initial_cwnd * NSEC_PER_SEC / rtt * bbr_pacing_gain(b) / 100;
	set_pacing(cc, 0);
}

static void bound_for_model(struct cc *cc)
{
	const struct bbr *b = bbr_of(cc);
	uint32_t cap = BBR_INFINITE;

	if (b->state == BBR_PROBE_RTT || b->state == BBR_CRUISE)
		cap = bbr_headroom(cc);
	else if (bbr_in_probe_bw(b))
		cap = b->inflight_longterm;
	cap = cap < b->inflight_shortterm ? cap : b->inflight_shortterm;
	cap = cap > bbr_min_pipe(cc) ? cap : bbr_min_pipe(cc);
	if (cc->cwnd > cap)
		cc->cwnd = cap;
}

static void set_cwnd(struct cc *cc, uint32_t delivered)
{
	struct bbr *b = bbr_of(cc);
	uint32_t extra = b->extra_acked_max[0] > b->extra_acked_max[1] ? b->extra_acked_max[0] : b->extra_acked_max[1];
	uint32_t most = bbr_quantized(cc, (uint64_t)bbr_bdp(b, b->bw, bbr_cwnd_gain(b)) + extra);

	if (b->full_bw_reached)
		cc->cwnd = cc->cwnd + delivered < most ? cc->cwnd + delivered : most;
	else if (cc->cwnd < most || b->delivered < b->initial_cwnd)
		cc->cwnd += delivered;
	if (cc->cwnd < bbr_min_pipe(cc))
		cc->cwnd = bbr_min_pipe(cc);
	if (b->state == BBR_PROBE_RTT && cc->cwnd > bbr_probe_rtt_cwnd(cc))
		cc->cwnd = bbr_probe_rtt_cwnd(cc);
	bound_for_model(cc);
}

static void bbr_start(struct cc *cc, nsec now)
{
	struct bbr *b = bbr_of(cc);

	*b = (struct bbr){
		.min_rtt = NSEC_NEVER,
		.min_rtt_stamp = now,
		.probe_rtt_min_delay = NSEC_NEVER,
		.probe_rtt_min_stamp = now,
		.extra_acked_start = now,
		.inflight_longterm = BBR_INFINITE,
		.probe_up_acked_per_inc = BBR_INFINITE,
		.initial_cwnd = cc->cwnd,
		.undo_state = BBR_NONE,
	};
	cc->ssthresh = CC_SSTHRESH_MAX;
	bbr_reset_shortterm(b);
	bbr_enter_startup(b);
	first_pacing(cc, RTT_UNKNOWN);
	save(cc);
}

static void bbr_on_ack(struct cc *cc, const struct cc_ack *a)
{
	struct bbr *b = bbr_of(cc);

	if (b->random == 0)
		b->random = ((uint64_t)a->snd_nxt << 32 | (uint32_t)a->now) | 1;
	if (saved(cc)->stamp != b->stamp)
		undone(cc, a->rate->sample.total);
	if (a->rtt && !b->rtt_seen) {
		b->rtt_seen = true;
		if (!b->full_bw_reached)
			first_pacing(cc, a->rtt);
	}
	if (b->in_timeout && !a->after_timeout) {
		b->in_timeout = false;
		restore_cwnd(cc);
	}
	if (a->lost > 0 || b->congested)
		bbr_note_loss(cc, a->rate->sample.total);
	b->congested = false;
	if (b->delivered < b->initial_cwnd)
		b->delivered += a->delivered;
	bbr_update_model(cc, a);
	bbr_update_state(cc, a);
	bbr_update_min_rtt(b, a);
	bbr_check_probe_rtt(cc, a);
	bbr_advance_model(b, &a->rate->sample);
	set_pacing(cc, bbr_pacing_gain(b));
	set_cwnd(cc, a->delivered);
	save(cc);
}

/* A mark is congestion as loss is (3.7); in_flight of the moment says nothing here. */
static void bbr_on_congestion(struct cc *cc, nsec now, uint32_t in_flight, bool ecn)
{
	struct bbr *b = bbr_of(cc);

	(void)now;
	(void)in_flight;
	save_cwnd(cc);
	b->undo_state = BBR_NONE;
	b->congested = true;
	b->in_recovery = !ecn;
}

static void bbr_on_recovered(struct cc *cc, nsec now)
{
	(void)now;
	bbr_of(cc)->in_recovery = false;
	restore_cwnd(cc);
}

static void bbr_on_timeout(struct cc *cc, nsec now, uint32_t in_flight)
{
	struct bbr *b = bbr_of(cc);

	(void)now;
	(void)in_flight;
	save_cwnd(cc);
	b->undo_state = BBR_NONE;
	b->congested = true;
	b->in_recovery = false;
	b->in_timeout = true;
	cc->cwnd = cc->mss;
}

/* HandleRestartFromIdle: nothing is in flight, and the program has something again. */
static void bbr_on_restart(struct cc *cc, nsec now, nsec idle)
{
	struct bbr *b = bbr_of(cc);

	(void)idle;
	b->idle_restart = true;
	b->extra_acked_start = now;
	b->extra_acked_delivered = 0;
	if (bbr_in_probe_bw(b))
		set_pacing(cc, 100);
	else if (b->state == BBR_PROBE_RTT)
		bbr_check_probe_rtt_done(cc, b->next_round_delivered, now);
}

const struct cc_ops cc_bbr = {
	.name = "bbr",
	.flags = CC_OWN_WINDOW | CC_LARGE,
	.start = bbr_start,
	.on_ack = bbr_on_ack,
	.on_congestion = bbr_on_congestion,
	.on_recovered = bbr_on_recovered,
	.on_timeout = bbr_on_timeout,
	.on_restart = bbr_on_restart,
};
