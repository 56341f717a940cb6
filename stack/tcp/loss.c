/* SPDX-License-Identifier: BSD-3-Clause */
/* Recovery without SACK (with it: recovery.c), and the timeout of both. In fast recovery cwnd is ssthresh and what RFC 6582 adds and takes away lives apart, in
 * `inflation`. After a timeout snd_nxt goes back to snd_una and everything is sent again in slow start. */
#include "loss.h"

#include <errno.h>

#include "flight.h"
#include "rack.h"
#include "recovery.h"
#include "send.h"
#include "timers.h"

#define DUPLICATES 3

static void enter_recovery(struct tcp_conn *c)
{
	uint32_t flight = c->limited_from - c->snd_una;

	count(c->stack, COUNT_TCP_FAST_RETRANSMITS);
	c->recover = c->snd_max;
	c->phase = LOSS_RECOVERY;
	c->cc.ops->on_congestion(&c->cc, c->stack->now, flight, false);
	c->inflation = (int32_t)(DUPLICATES * c->snd_mss);
	send_retransmit(c);
	timers_restart(c);
}

/* RFC 6582 3.2 step 3, full acknowledgment: no burst beyond one segment more than is out. */
static void leave_recovery(struct tcp_conn *c)
{
	uint32_t flight = c->snd_max - c->snd_una;
	uint32_t most = (flight > c->snd_mss ? flight : c->snd_mss) + c->snd_mss;

	if (c->cc.cwnd > c->cc.ssthresh)
		c->cc.cwnd = c->cc.ssthresh;
	if (c->cc.cwnd > most)
		c->cc.cwnd = most;
	c->phase = LOSS_OPEN;
	c->inflation = 0;
	c->cc.ops->on_recovered(&c->cc, c->stack->now);
}

/* RFC 6582 3.2 step 3, partial acknowledgment: the next hole at once, and deflation by what has left. */
static void partial_ack(struct tcp_conn *c, uint32_t acked)
{
	c->inflation -= (int32_t)acked;
	if (acked >= c->snd_mss)
		c->inflation += (int32_t)c->snd_mss;
	if (c->inflation < -(int32_t)c->cc.cwnd)
		c->inflation = -(int32_t)c->cc.cwnd;
	send_retransmit(c);
}

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
		.in_flight = told->in_flight,
		.in_flight_after = c->flight ? flight_pipe(c) : conn_in_flight(c),
		.snd_una = c->snd_una,
		.snd_nxt = c->snd_nxt,
		.grow = told->acked > 0 && !told->ends && c->phase != LOSS_RECOVERY,
		/* In slow start half a window in use doubles rightly; later it must be full. */
		.limited = slow_start ? 2 * (uint64_t)told->in_flight >= window : (uint64_t)told->in_flight + c->snd_mss >= window,
		.after_timeout = c->phase == LOSS_TIMEOUT,
	};

	c->cc.ops->on_ack(&c->cc, &ack);
}

/* Without SACK what is acknowledged is all that is known to have arrived. */
static void tell(struct tcp_conn *c, uint32_t acked, uint32_t in_flight, nsec rtt)
{
	const struct loss_told told = { .acked = acked, .delivered = acked, .in_flight = in_flight, .rtt = rtt };

	loss_tell(c, &told);
}

void loss_new_ack(struct tcp_conn *c, uint32_t acked, uint32_t in_flight, nsec rtt)
{
	c->dupacks = 0;
	switch ((enum loss_phase)c->phase) {
	case LOSS_OPEN:
		c->inflation = 0;
		tell(c, acked, in_flight, rtt);
		break;
	case LOSS_RECOVERY:
		tell(c, acked, in_flight, rtt);
		if (seq_geq(c->snd_una, c->recover))
			leave_recovery(c);
		else
			partial_ack(c, acked);
		break;
	case LOSS_TIMEOUT:
		tell(c, acked, in_flight, rtt);
		if (seq_geq(c->snd_una, c->recover))
			c->phase = LOSS_OPEN;
		break;
	}
}

void loss_duplicate_ack(struct tcp_conn *c)
{
	if (c->phase == LOSS_RECOVERY) {
		/* Each tells that a segment has left (RFC 5681 3.2 step 4), but no more than were out. */
		if (c->inflation < (int32_t)(c->snd_max - c->snd_una))
			c->inflation += (int32_t)c->snd_mss;
		conn_ready(c);
		return;
	}
	/* RFC 6582 3.2: duplicates that a timeout's own retransmissions provoke say nothing. */
	if (c->phase == LOSS_TIMEOUT || !seq_gt(c->snd_una - 1, c->recover))
		return;
	if (c->dupacks == 0)
		c->limited_from = c->snd_nxt;
	if (++c->dupacks == DUPLICATES) {
		enter_recovery(c);
	} else {
		/* RFC 3042: a new segment for each of the first two. */
		c->inflation += (int32_t)c->snd_mss;
		conn_ready(c);
	}
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
	c->inflation = 0;
	c->dupacks = 0;
	if (c->snd_wnd == 0) {
		flight_forget(c);
		/* MUST-35: a window that closed over what is in flight is probed like any other. */
		c->snd_nxt = c->snd_una;
		c->phase = LOSS_TIMEOUT;
		c->recover = c->snd_max;
		c->retransmit_mode = RETRANSMIT_PROBE;
		return send_probe(c);
	}
	if (c->sack_on)
		flight_open(c);
	if (c->flight)
		recovery_before_timeout(c);
	if (c->retransmits == 0)
		c->cc.ops->on_timeout(&c->cc, c->stack->now, c->snd_nxt - c->snd_una);
	else
		c->cc.cwnd = c->snd_mss; /* RFC 5681 3.1: ssthresh holds for the same segment */
	if (c->retransmits < 255)
		c->retransmits++;
	if (c->backoff < 64)
		c->backoff++;
	if (c->retransmits == settings_of(c)->retries_1) {
		/* R1 (RFC 9293 3.8.3): IP is told, and looks for the way anew. */
		neighbour_suspect(c->stack, &c->path);
		c->mtu_changed = true;
	}
	c->phase = LOSS_TIMEOUT;
	c->recover = c->snd_max;
	if (c->flight)
		recovery_timeout(c);
	else
		c->snd_nxt = c->snd_una;
	timers_restart(c);
	conn_ready(c);
	return true;
}
