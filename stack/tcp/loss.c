/* SPDX-License-Identifier: BSD-3-Clause */
/* The timeout (RFC 6298 5, RFC 9293 3.8.3) and the growth of the window. What a timeout takes for lost is recovery.c's. */
#include "loss.h"

#include <errno.h>

#include "ecn.h"
#include "flight.h"
#include "mtu_probe.h"
#include "rack.h"
#include "pace.h"
#include "recovery.h"
#include "send.h"
#include "timers.h"
#include "user_timeout.h"
#include "validate.h"

static uint32_t retries_allowed(const struct tcp_conn *c)
{
	const struct tcp_settings *settings = settings_of(c);

	return c->ep->closed ? settings->orphan_retries : settings->retries_2;
}

void loss_tell(struct tcp_conn *c, const struct loss_told *told)
{
	uint32_t window = c->cc.cwnd;
	bool slow_start = window < c->cc.ssthresh;
	struct cc_ack ack = {
		.now = c->stack->now,
		.rtt = told->rtt,
		.acked = told->acked,
		.delivered = told->delivered,
		.lost = told->lost,
		.marked = c->ecn && told->delivered > 0 ? c->ecn->marked : 0,
		.in_flight = told->in_flight,
		.in_flight_after = c->flight ? flight_pipe(c) : conn_in_flight(c),
		.snd_una = c->snd_una,
		.snd_nxt = c->snd_nxt,
		.grow = told->acked > 0 && !told->ends && c->phase != LOSS_RECOVERY && !(c->ecn && ecn_forbids_growth(c)),
		/* In slow start half a window in use doubles rightly; later it must be full. */
		.limited = slow_start ? 2 * (uint64_t)told->in_flight >= window : (uint64_t)told->in_flight + c->snd_mss >= window,
		.after_timeout = c->phase == LOSS_TIMEOUT,
	};

	if (c->delivery) {
		ack.rate = &c->delivery->rate;
		rate_take(ack.rate, c->rtt.min);
	}
	c->cc.ops->on_ack(&c->cc, &ack);
	if (c->unvalidated)
		validate_acked(c, told->acked);
	if (ack.rate)
		rate_clear(ack.rate);
}

bool loss_timeout(struct tcp_conn *c)
{
	if (timers_exhausted(c, c->retransmits, retries_allowed(c), c->stalled_since)) {
		/* R2 (RFC 9293 3.8.3, MUST-20c): the soft error says more than a timeout, if there was one. */
		count(c->stack, COUNT_TCP_ABORTED);
		conn_end(c, c->soft_error ? c->soft_error : ETIMEDOUT);
		return false;
	}
	if (rack_probe_instead(c))
		return true;
	count(c->stack, COUNT_TCP_TIMEOUTS);
	c->timed = false;
	c->dupacks = 0;
	if (c->mtu)
		mtu_probe_inconclusive(c);
	if (c->snd_wnd == 0) {
		flight_forget(c);
		/* MUST-35: a window that closed over what is in flight is probed like any other. */
		c->snd_nxt = c->snd_una;
		c->phase = LOSS_TIMEOUT;
		c->recover = c->snd_max;
		c->retransmit_mode = RETRANSMIT_PROBE;
		return send_probe(c);
	}
	flight_open(c);
	if (c->flight)
		recovery_before_timeout(c);
	validate_forget(c);
	if (c->retransmits == 0) {
		c->cc.ops->on_timeout(&c->cc, c->stack->now, c->snd_nxt - c->snd_una);
		c->uto_due |= user_timeout_on(c); /* RFC 5482 3.2: once more, but no oftener: it may be what was lost for the option */
	} else {
		c->cc.cwnd = c->snd_mss; /* RFC 5681 3.1: ssthresh holds for the same segment */
	}
	if (c->retransmits < 255)
		c->retransmits++;
	if (c->backoff < 64)
		c->backoff++;
	if (c->retransmits >= settings_of(c)->retries_1)
		mtu_probe_suspect_black_hole(c);
	if (c->retransmits == settings_of(c)->retries_1) {
		/* R1 (RFC 9293 3.8.3): IP is told, and looks for the way anew. */
		neighbour_suspect(c->stack, &c->path);
		c->mtu_changed = true;
	}
	c->phase = LOSS_TIMEOUT;
	c->recover = c->snd_max;
	if (c->ecn)
		ecn_reduced(c);
	if (c->flight)
		recovery_timeout(c);
	timers_restart(c);
	conn_ready(c);
	return true;
}
