/* SPDX-License-Identifier: BSD-3-Clause */
/* DCTCP (RFC 8257): the window is cut by as much of it as came marked, as a running average over windows of data. All else, and
 * all of it where the peer does not speak ECN, is NewReno's (3.4, 3.5). The receiver's part is in ecn.c. */
#include "cc.h"

#include "../base/seq.h"

#define ALPHA_ONE CC_DCTCP_ONE
#define G_SHIFT 4 /* g = 1/16 (4.2) */

struct dctcp {
	uint32_t alpha;         /* of ALPHA_ONE */
	uint32_t window_end;    /* the observation window ends when this is acknowledged (3.3) */
	uint64_t acked, marked; /* bytes in it */
	bool begun;
};

_Static_assert(CC_RENO_BYTES + sizeof(struct dctcp) <= CC_STATE_BYTES, "must fit into struct cc");

/* Behind what NewReno keeps. */
static struct dctcp *mine(struct cc *cc)
{
	return (struct dctcp *)(void *)(cc->state + CC_RENO_BYTES);
}

/* 3.3 steps 5 to 8. What is left of alpha below one sixteenth of its scale's last bits goes at once, or it would stay for ever (4.2). */
static void end_window(struct dctcp *d, const struct cc_ack *a)
{
	uint32_t less = d->alpha >> G_SHIFT;

	d->alpha -= less ? less : d->alpha;
	if (d->acked > 0)
		d->alpha += (uint32_t)(d->marked * ALPHA_ONE / d->acked >> G_SHIFT);
	if (d->alpha > ALPHA_ONE)
		d->alpha = ALPHA_ONE;
	d->acked = d->marked = 0;
	d->window_end = a->snd_nxt;
	d->begun = true;
}

static void dctcp_start(struct cc *cc, nsec now)
{
	cc_newreno.start(cc, now);
	*mine(cc) = (struct dctcp){ .alpha = ALPHA_ONE };
}

static void dctcp_on_ack(struct cc *cc, const struct cc_ack *a)
{
	struct dctcp *d = mine(cc);

	/* Only what is acknowledged in order counts (3.3); of what arrived with it, that share was marked. */
	if (a->acked > 0) {
		d->acked += a->acked;
		if (a->marked > 0)
			d->marked += a->marked < a->delivered ? (uint64_t)a->acked * a->marked / a->delivered : a->acked;
		if (!d->begun || seq_geq(a->snd_una, d->window_end))
			end_window(d, a);
	}
	cc_newreno.on_ack(cc, a);
}

static void dctcp_on_congestion(struct cc *cc, nsec now, uint32_t in_flight, bool ecn)
{
	uint32_t cut = (uint32_t)((uint64_t)cc->cwnd * mine(cc)->alpha / (2 * ALPHA_ONE));

	if (!ecn) {
		cc_newreno.on_congestion(cc, now, in_flight, false);
		return;
	}
	cc->cwnd -= cut;
	if (cc->cwnd < 2 * cc->mss)
		cc->cwnd = 2 * cc->mss;
	cc->ssthresh = cc->cwnd;
}

static void dctcp_on_recovered(struct cc *cc, nsec now)
{
	cc_newreno.on_recovered(cc, now);
}

static void dctcp_on_timeout(struct cc *cc, nsec now, uint32_t in_flight)
{
	cc_newreno.on_timeout(cc, now, in_flight);
}

static void dctcp_on_restart(struct cc *cc, nsec now, nsec idle)
{
	cc_newreno.on_restart(cc, now, idle);
}

uint32_t cc_dctcp_alpha(const struct cc *cc)
{
	const struct dctcp *d = (const struct dctcp *)(const void *)(cc->state + CC_RENO_BYTES);

	return d->alpha;
}

const struct cc_ops cc_dctcp = {
	.name = "dctcp",
	.flags = CC_NEEDS_ECN,
	.start = dctcp_start,
	.on_ack = dctcp_on_ack,
	.on_congestion = dctcp_on_congestion,
	.on_recovered = dctcp_on_recovered,
	.on_timeout = dctcp_on_timeout,
	.on_restart = dctcp_on_restart,
};
