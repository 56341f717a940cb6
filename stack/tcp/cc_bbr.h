/* SPDX-License-Identifier: BSD-3-Clause */
/* BBR, version 3 (draft-ietf-ccwg-bbr-06), as its files share it: cc_bbr.c (what it is told, and the window and rate that follow), cc_bbr_model.c (the path: bandwidth,
 * round trip, aggregation, loss), cc_bbr_state.c (Startup, Drain, ProbeBW, ProbeRTT). Names are the draft's, without BBR.; bytes, nanoseconds, bytes a second. */
#ifndef LIGHT_TCP_CC_BBR_H
#define LIGHT_TCP_CC_BBR_H

#include "cc.h"
#include "rate.h"

#define BBR_INFINITE UINT32_MAX
#define BBR_INFINITE_BW UINT64_MAX
#define BBR_BETA_PERCENT 70u
#define BBR_CWND_GAIN 200u        /* DefaultCwndGain, in percent as all gains */

enum bbr_state { BBR_STARTUP, BBR_DRAIN, BBR_DOWN, BBR_CRUISE, BBR_REFILL, BBR_UP, BBR_PROBE_RTT, BBR_NONE };
enum bbr_acks { BBR_ACKS_INIT, BBR_ACKS_REFILLING, BBR_ACKS_STARTING, BBR_ACKS_FEEDBACK, BBR_ACKS_STOPPING };

/* In cc->large. */
struct bbr {
	uint64_t max_bw_filter[2];       /* of the last ProbeBW cycle, of this one */
	uint64_t bw, bw_shortterm, bw_latest, full_bw;
	nsec min_rtt, min_rtt_stamp, probe_rtt_min_delay, probe_rtt_min_stamp, probe_rtt_done_stamp;
	nsec extra_acked_start, cycle_stamp, probe_wait;
	uint64_t random;
	uint32_t inflight_longterm, inflight_shortterm, inflight_latest;
	uint32_t next_round_delivered, loss_round_delivered, round_count, drain_start_round, rounds_since_up;
	uint32_t extra_acked_delivered, extra_acked_max[2], extra_acked_rounds;
	uint32_t probe_up_acked_per_inc, probe_up_acked;
	uint32_t prior_cwnd, initial_cwnd, delivered, send_quantum, lost_ranges;
	uint32_t stamp;                  /* of bbr_saved: differs after an undo */
	uint8_t state, undo_state;       /* enum bbr_state */
	uint8_t ack_phase;               /* enum bbr_acks */
	uint8_t full_bw_count, probe_up_rounds;
	bool full_bw_reached, full_bw_now;
	bool round_start, loss_round_start, loss_in_round, bw_probe_sample;
	bool prev_probe_too_high, prev_probe_precautionary;
	bool probe_rtt_expired, probe_rtt_round_done, idle_restart;
	bool in_recovery, in_timeout, rtt_seen, congested;
};

/* In cc->state: what the undo of an episode brings back. */
struct bbr_saved {
	uint64_t bw_shortterm;
	uint32_t inflight_shortterm, inflight_longterm;
	uint32_t stamp;
};

_Static_assert(sizeof(struct bbr) <= CC_LARGE_BYTES, "must fit into cc->large");
_Static_assert(sizeof(struct bbr_saved) <= CC_STATE_BYTES, "must fit into struct cc");

static inline struct bbr *bbr_of(const struct cc *cc)
{
	return cc->large;
}

static inline bool bbr_in_probe_bw(const struct bbr *b)
{
	return b->state >= BBR_DOWN && b->state <= BBR_UP;
}

static inline uint64_t bbr_max_bw(const struct bbr *b)
{
	return b->max_bw_filter[0] > b->max_bw_filter[1] ? b->max_bw_filter[0] : b->max_bw_filter[1];
}

/* ---- cc_bbr_model.c ---- */

/* gain percent of bandwidth times min_rtt. */
uint32_t bbr_bdp(const struct bbr *, uint64_t bw, unsigned gain);
/* The same with room for what offloads and ACKs hold back (Inflight). */
uint32_t bbr_inflight(const struct cc *, uint64_t bw, unsigned gain);
uint32_t bbr_quantized(const struct cc *, uint64_t inflight);
uint32_t bbr_min_pipe(const struct cc *);
uint32_t bbr_target_inflight(const struct cc *);
uint32_t bbr_headroom(const struct cc *);
void bbr_reset_shortterm(struct bbr *);
void bbr_reset_signals(struct bbr *);
void bbr_note_loss(struct cc *, uint32_t delivered);
bool bbr_inflight_too_high(const struct rate_sample *);
/* Before the state machine: rounds, bandwidth, loss, aggregation. */
void bbr_update_model(struct cc *, const struct cc_ack *);
void bbr_update_min_rtt(struct bbr *, const struct cc_ack *);
/* After it. */
void bbr_advance_model(struct bbr *, const struct rate_sample *);

/* ---- cc_bbr_state.c ---- */

void bbr_enter_startup(struct bbr *);
void bbr_start_down(struct bbr *, uint32_t delivered, nsec now);
void bbr_start_refill(struct bbr *, uint32_t delivered);
void bbr_reset_full_bw(struct bbr *);
void bbr_update_state(struct cc *, const struct cc_ack *);
void bbr_check_probe_rtt(struct cc *, const struct cc_ack *);
void bbr_check_probe_rtt_done(struct cc *, uint32_t delivered, nsec now);
unsigned bbr_pacing_gain(const struct bbr *);
unsigned bbr_cwnd_gain(const struct bbr *);
uint32_t bbr_probe_rtt_cwnd(const struct cc *);

#endif
