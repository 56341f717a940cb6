/* SPDX-License-Identifier: BSD-3-Clause */
/* Reno's window (RFC 5681 3.1) counted in bytes (RFC 3465): slow start by what was acknowledged, at most two
 * segments an ACK (one after a timeout), then one segment a window. */
#include "cc.h"

struct newreno {
	uint32_t bytes_acked; /* since the last growth in congestion avoidance */
	uint32_t restart;     /* the restart window: the initial one (RFC 5681 4.1) */
};

_Static_assert(sizeof(struct newreno) <= CC_RENO_BYTES, "must fit into struct cc");

static struct newreno *mine(struct cc *cc)
{
	return (struct newreno *)(void *)cc->state;
}

static uint32_t half_flight(const struct cc *cc, uint32_t in_flight)
{
	uint32_t least = 2 * cc->mss;

	return in_flight / 2 > least ? in_flight / 2 : least;
}

static void newreno_start(struct cc *cc, nsec now)
{
	(void)now;
	mine(cc)->bytes_acked = 0;
	mine(cc)->restart = cc->cwnd;
}

static void newreno_on_ack(struct cc *cc, const struct cc_ack *a)
{
	struct newreno *n = mine(cc);

	/* A window that was not used says nothing about the path (RFC 7661's reason). */
	if (!a->grow || !a->limited || cc->cwnd > CC_SSTHRESH_MAX - 4 * cc->mss)
		return;
	if (cc->cwnd < cc->ssthresh) {
		uint32_t most = a->after_timeout ? cc->mss : 2 * cc->mss;

		cc->cwnd += a->acked < most ? a->acked : most;
		return;
	}
	n->bytes_acked += a->acked;
	if (n->bytes_acked >= cc->cwnd) {
		n->bytes_acked -= cc->cwnd;
		cc->cwnd += cc->mss;
		/* A stretch ACK grows the window by one segment all the same (RFC 5681 3.1). */
		if (n->bytes_acked > cc->cwnd)
			n->bytes_acked = cc->cwnd;
	}
}

static void newreno_on_congestion(struct cc *cc, nsec now, uint32_t in_flight, bool ecn)
{
	(void)now;
	(void)ecn;
	cc->ssthresh = half_flight(cc, in_flight);
	cc->cwnd = cc->ssthresh;
	mine(cc)->bytes_acked = 0;
}

static void newreno_on_recovered(struct cc *cc, nsec now)
{
	(void)now;
	mine(cc)->bytes_acked = 0;
	if (cc->cwnd < cc->mss)
		cc->cwnd = cc->mss;
}

static void newreno_on_timeout(struct cc *cc, nsec now, uint32_t in_flight)
{
	(void)now;
	cc->ssthresh = half_flight(cc, in_flight);
	cc->cwnd = cc->mss; /* the loss window (RFC 5681 3.1) */
	mine(cc)->bytes_acked = 0;
}

static void newreno_on_restart(struct cc *cc, nsec now, nsec idle)
{
	(void)now;
	(void)idle;
	if (cc->cwnd > mine(cc)->restart)
		cc->cwnd = mine(cc)->restart;
}

const struct cc_ops cc_newreno = {
	.name = "newreno",
	.start = newreno_start,
	.on_ack = newreno_on_ack,
	.on_congestion = newreno_on_congestion,
	.on_recovered = newreno_on_recovered,
	.on_timeout = newreno_on_timeout,
	.on_restart = newreno_on_restart,
};
