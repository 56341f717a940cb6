/* SPDX-License-Identifier: BSD-3-Clause */
/* CUBIC (RFC 9438) with HyStart++ (RFC 9406) in the first slow start. Windows are bytes, times nanoseconds. The names of the RFC: W_max, K,
 * W_est, cwnd_epoch. */
#include "cc.h"
#include "cubic_curve.h"
#include "hystart.h"

#define BETA_TENTHS 7u
#define EST_SHIFT 8             /* W_est in 1/256 bytes */
#define ALPHA_NUMERATOR 9u      /* 3 (1 - beta) / (1 + beta) = 9 / 17 */
#define ALPHA_DENOMINATOR 17u

struct cubic {
	union {
		struct hystart hystart;         /* in the first slow start */
		struct {
			nsec epoch;             /* when congestion avoidance began; 0: not yet */
			nsec last;              /* the last acknowledgment of the epoch */
			uint64_t w_est;         /* << EST_SHIFT */
			uint64_t k;             /* microseconds */
		};
	};
	uint32_t w_max, cwnd_prior;
	uint32_t rest;          /* of the growth, in bytes * cwnd, not yet a whole byte */
	uint32_t restart;       /* the initial window (RFC 5681 4.1) */
	bool started;           /* the first slow start is over: no HyStart++ any more (RFC 9406 4.3) */
};

_Static_assert(sizeof(struct cubic) <= CC_STATE_BYTES, "must fit into struct cc");

static struct cubic *mine(struct cc *cc)
{
	return (struct cubic *)(void *)cc->state;
}

static void begin_epoch(struct cc *cc, nsec now)
{
	struct cubic *q = mine(cc);

	q->epoch = q->last = now;
	q->w_est = (uint64_t)cc->cwnd << EST_SHIFT;
	q->rest = 0;
	if (cc->cwnd < q->w_max) {
		q->k = cubic_k(cc->mss, q->w_max - cc->cwnd);
	} else {
		q->k = 0;
		q->w_max = cc->cwnd;
	}
}

/* 4.3: what Reno with the same decrease would have. */
static void estimate(struct cc *cc, struct cubic *q, uint32_t acked)
{
	uint64_t grown = ((uint64_t)acked * cc->mss << EST_SHIFT) / cc->cwnd;

	if (q->w_est < (uint64_t)q->cwnd_prior << EST_SHIFT)
		grown = grown * ALPHA_NUMERATOR / ALPHA_DENOMINATOR;
	q->w_est += grown;
}

static void avoid(struct cc *cc, const struct cc_ack *a)
{
	struct cubic *q = mine(cc);
	int64_t now, target, w, most = cc->cwnd + (int64_t)cc->cwnd / 2;
	uint64_t gain;

	if (q->epoch == 0)
		begin_epoch(cc, a->now);
	q->last = a->now;
	estimate(cc, q, a->acked);
	now = (int64_t)((a->now - q->epoch) / 1000);
	w = cubic_w(cc->mss, q->w_max, q->k, now);
	if (w < (int64_t)(q->w_est >> EST_SHIFT)) {
		if (q->w_est >> EST_SHIFT > cc->cwnd)
			cc->cwnd = (uint32_t)(q->w_est >> EST_SHIFT);
		return;
	}
	target = cubic_w(cc->mss, q->w_max, q->k, now + (int64_t)(a->rtt / 1000));
	target = target < cc->cwnd ? cc->cwnd : target > most ? most : target;
	/* (target - cwnd) / cwnd for each segment acknowledged. */
	gain = (uint64_t)(target - cc->cwnd) * a->acked + q->rest;
	q->rest = (uint32_t)(gain % cc->cwnd);
	cc->cwnd += (uint32_t)(gain / cc->cwnd);
}

static void cubic_start(struct cc *cc, nsec now)
{
	(void)now;
	*mine(cc) = (struct cubic){ .restart = cc->cwnd };
	hystart_start(&mine(cc)->hystart);
}

/* The first slow start has ended, whatever ended it: its memory is the epoch's now. */
static void start_over(struct cubic *q)
{
	q->started = true;
	q->epoch = 0;
}

/* A later one (after a timeout, after idle times): RFC 3465 2.2 and 2.3. */
static void slow_start(struct cc *cc, const struct cc_ack *a)
{
	uint32_t most = a->after_timeout ? cc->mss : 2 * cc->mss;

	if (a->limited)
		cc->cwnd += a->acked < most ? a->acked : most;
}

static void first_slow_start(struct cc *cc, const struct cc_ack *a)
{
	struct cubic *q = mine(cc);

	hystart_on_ack(&q->hystart, cc, a);
	if (cc->cwnd < cc->ssthresh)
		return;
	/* 4.10: avoidance begins here, on a plateau (begin_epoch finds cwnd above W_max). */
	start_over(q);
	q->cwnd_prior = cc->cwnd;
}

static void cubic_on_ack(struct cc *cc, const struct cc_ack *a)
{
	struct cubic *q = mine(cc);

	if (!a->grow || cc->cwnd > CC_SSTHRESH_MAX / 2)
		return;
	if (!q->started && cc->cwnd >= cc->ssthresh)
		start_over(q);  /* taken over from another algorithm */
	if (cc->cwnd < cc->ssthresh) {
		if (q->started)
			slow_start(cc, a);
		else
			first_slow_start(cc, a);
	} else if (a->limited) {
		avoid(cc, a);
	} else if (q->epoch) {
		/* 5.8: time in which the application set the pace does not count. */
		q->epoch += a->now - q->last;
		q->last = a->now;
	}
}

/* 4.6, 4.7: multiplicative decrease and fast convergence. */
static void decrease(struct cc *cc, uint32_t in_flight)
{
	struct cubic *q = mine(cc);
	uint32_t ssthresh = (uint32_t)((uint64_t)in_flight * BETA_TENTHS / 10);

	q->cwnd_prior = cc->cwnd;
	q->w_max = cc->cwnd < q->w_max ? (uint32_t)((uint64_t)cc->cwnd * (10 + BETA_TENTHS) / 20) : cc->cwnd;
	cc->ssthresh = ssthresh > 2 * cc->mss ? ssthresh : 2 * cc->mss;
	start_over(q);
}

static void cubic_on_congestion(struct cc *cc, nsec now, uint32_t in_flight, bool ecn)
{
	uint32_t window = (uint32_t)((uint64_t)in_flight * BETA_TENTHS / 10);

	(void)now;
	decrease(cc, in_flight);
	cc->cwnd = cc->ssthresh;
	/* A mark is heard even by a window of two (4.6). */
	if (ecn && window < cc->ssthresh)
		cc->cwnd = window > cc->mss ? window : cc->mss;
}

static void cubic_on_recovered(struct cc *cc, nsec now)
{
	(void)now;
	start_over(mine(cc));
}

/* 4.8: after a timeout the first congestion avoidance begins at its own plateau. */
static void cubic_on_timeout(struct cc *cc, nsec now, uint32_t in_flight)
{
	(void)now;
	decrease(cc, in_flight);
	mine(cc)->w_max = 0;
	cc->cwnd = cc->mss;
}

static void cubic_on_restart(struct cc *cc, nsec now, nsec idle)
{
	struct cubic *q = mine(cc);

	(void)idle;
	if (cc->cwnd > q->restart)
		cc->cwnd = q->restart;
	if (q->started && q->epoch) {
		q->epoch += now - q->last;
		q->last = now;
	}
}

const struct cc_ops cc_cubic = {
	.name = "cubic",
	.start = cubic_start,
	.on_ack = cubic_on_ack,
	.on_congestion = cubic_on_congestion,
	.on_recovered = cubic_on_recovered,
	.on_timeout = cubic_on_timeout,
	.on_restart = cubic_on_restart,
};
