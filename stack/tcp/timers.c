/* SPDX-License-Identifier: BSD-3-Clause */
/* One wheel timer a connection carries all its deadlines. It may be armed earlier than the earliest of them (a
 * deadline that moved away does not touch the wheel): an expiry that finds nothing due arms it again.
 * RFC 6298 5, RFC 9293 3.8.3 (R1, R2), 3.8.4 (keep-alive), 3.8.6.1 (probes). */
#include "timers.h"

#include <errno.h>

#include "active_open.h"
#include "loss.h"
#include "output.h"
#include "rack.h"
#include "send.h"
#include "user_timeout.h"

#define QUICKACKS_ONE_WAY 2

static void arm(struct tcp_conn *c)
{
	nsec first = NSEC_NEVER;

	for (unsigned i = 0; i < CONN_DEADLINES; i++)
		if (c->due[i] < first)
			first = c->due[i];
	if (first != NSEC_NEVER && (!timer_armed(&c->timer) || first < c->timer.due))
		wheel_arm(&c->stack->wheel, &c->timer, first);
}

static void set(struct tcp_conn *c, enum conn_deadline which, nsec due)
{
	c->due[which] = due;
	if (due != NSEC_NEVER && (!timer_armed(&c->timer) || due < c->timer.due))
		wheel_arm(&c->stack->wheel, &c->timer, due);
}

/* Now + the backed-off RTO, but not beyond the user timeout. */
static nsec retransmit_due(const struct tcp_conn *c, unsigned backoff)
{
	nsec due = c->stack->now + rtt_backed_off(&c->rtt, settings_of(c), backoff);
	nsec limit = timers_user_timeout(c);

	if (limit && c->retransmit_mode == RETRANSMIT_DATA && c->stalled_since + limit < due &&
	    c->stalled_since + limit > c->stack->now)
		due = c->stalled_since + limit;
	return due;
}

static nsec keep_idle(const struct tcp_conn *c)
{
	uint32_t own = c->socket.options.keep_idle;

	return own ? own * NSEC_PER_SEC : settings_of(c)->keep_idle;
}

static nsec keep_interval(const struct tcp_conn *c)
{
	uint32_t own = c->socket.options.keep_interval;

	return own ? own * NSEC_PER_SEC : settings_of(c)->keep_interval;
}

/* Enough probes are unanswered; but with the User Timeout Option a connection lives longer than the user timeout (RFC 5482 4.2). */
static bool keepalive_exhausted(const struct tcp_conn *c, nsec silent)
{
	uint8_t own = c->socket.options.keep_count;

	return c->keep_probes >= (own ? own : settings_of(c)->keep_count) && !(user_timeout_on(c) && silent <= user_timeout_in_force(c));
}

/* MUST-26, MUST-29: only when nothing is outstanding and nothing came for the whole interval; one unanswered
 * probe says nothing. False: the connection has ended. */
static bool keepalive_due(struct tcp_conn *c)
{
	nsec now = c->stack->now;
	nsec heard = c->last_received;
	/* Only one that the program set (tcp(7)): R2 as a time is about data (RFC 9293 3.8.3), and shorter than the
	 * interval of the probes. */
	nsec own_limit = c->socket.options.user_timeout * NSEC_PER_MSEC;

	if (!c->ep->keepalive || !conn_synchronised(c))
		return true;
	/* Our FIN takes a number too: after a half-close the end is one further. */
	if (c->snd_una != c->snd_max || seq_lt(c->snd_nxt, conn_send_end(c) + c->fin_wanted)) {
		set(c, DUE_KEEPALIVE, now + keep_idle(c));
		return true;
	}
	if (now < heard + keep_idle(c)) {
		c->keep_probes = 0;
		set(c, DUE_KEEPALIVE, heard + keep_idle(c));
		return true;
	}
	if (keepalive_exhausted(c, now - heard) ||
	    (own_limit && c->keep_probes > 0 && now - heard >= own_limit)) {
		count(c->stack, COUNT_TCP_ABORTED);
		conn_abort(c, c->soft_error ? c->soft_error : ETIMEDOUT);
		return false;
	}
	if (c->keep_probes < UINT8_MAX)
		c->keep_probes++;
	output_keepalive(c);
	set(c, DUE_KEEPALIVE, now + keep_interval(c));
	return true;
}

static bool retransmit_expired(struct tcp_conn *c)
{
	switch ((enum retransmit_mode)c->retransmit_mode) {
	case RETRANSMIT_DATA:
		if (c->socket.state == TCP_SYN_SENT || c->socket.state == TCP_SYN_RECEIVED)
			return active_open_timeout(c);
		if (c->request) {
			/* RFC 7413 4.2.2: until the SYN-ACK is acknowledged it alone is sent again, by a timer of its own. */
			timers_restart(c);
			return true;
		}
		return loss_timeout(c);
	case RETRANSMIT_PROBE:
		return send_probe(c);
	case RETRANSMIT_OVERRIDE:
		c->retransmit_mode = RETRANSMIT_NONE;
		c->push_small = true;
		conn_ready(c);
		return true;
	case RETRANSMIT_NONE:
		break;
	}
	return true;
}

static bool deadline_expired(struct tcp_conn *c, enum conn_deadline which)
{
	switch (which) {
	case DUE_RETRANSMIT:
		return retransmit_expired(c);
	case DUE_ACK:
		/* No answer carried it, so for now data goes one way, and a sender of small writes may be waiting for each
		 * ACK (Nagle): as Linux leaves its ping-pong mode, the next ones are quick again. */
		if (c->quickacks < QUICKACKS_ONE_WAY)
			c->quickacks = QUICKACKS_ONE_WAY;
		output_ack(c);
		return true;
	case DUE_KEEPALIVE:
		return keepalive_due(c);
	case DUE_LIFE:
		/* Linux's tcp_fin_timeout: an orphan in FIN-WAIT-2 is forgotten without a word. */
		conn_end(c, 0);
		return false;
	case DUE_LOSS:
		rack_expired(c);
		return true;
	case DUE_PACE:
		conn_ready(c);
		return true;
	case CONN_DEADLINES:
		break;
	}
	return true;
}

static void expired(void *context, struct timer *t)
{
	struct tcp_conn *c = container_of(t, struct tcp_conn, timer);

	(void)context;
	for (unsigned i = 0; i < CONN_DEADLINES; i++) {
		if (c->due[i] > c->stack->now)
			continue;
		c->due[i] = NSEC_NEVER;
		if (!deadline_expired(c, (enum conn_deadline)i))
			return;
	}
	if (c->socket.state != TCP_CLOSED)
		arm(c);
}

void timers_start(struct tcp_conn *c)
{
	c->timer.fire = expired;
	for (unsigned i = 0; i < CONN_DEADLINES; i++)
		c->due[i] = NSEC_NEVER;
}

void timers_stop(struct tcp_conn *c)
{
	timers_start(c);
	c->retransmit_mode = RETRANSMIT_NONE;
	c->loss_timer = LOSS_TIMER_NONE;
	wheel_cancel(&c->stack->wheel, &c->timer);
}

void timers_data_sent(struct tcp_conn *c)
{
	if (c->retransmit_mode == RETRANSMIT_DATA)
		return;
	c->retransmit_mode = RETRANSMIT_DATA;
	c->stalled_since = c->stack->now;
	set(c, DUE_RETRANSMIT, retransmit_due(c, c->backoff));
}

void timers_restart(struct tcp_conn *c)
{
	c->retransmit_mode = RETRANSMIT_DATA;
	set(c, DUE_RETRANSMIT, retransmit_due(c, c->backoff));
}

void timers_expire_within(struct tcp_conn *c, nsec longest)
{
	if (c->retransmit_mode == RETRANSMIT_DATA && c->stack->now + longest < c->due[DUE_RETRANSMIT])
		set(c, DUE_RETRANSMIT, c->stack->now + longest);
}

void timers_backoff_undone(struct tcp_conn *c)
{
	nsec due = c->last_sent + rtt_backed_off(&c->rtt, settings_of(c), 0);

	c->retransmits = c->backoff = 0;
	if (c->retransmit_mode == RETRANSMIT_DATA && due < c->due[DUE_RETRANSMIT])
		set(c, DUE_RETRANSMIT, due > c->stack->now ? due : c->stack->now);
}

void timers_all_acked(struct tcp_conn *c)
{
	c->retransmit_mode = RETRANSMIT_NONE;
	c->due[DUE_RETRANSMIT] = NSEC_NEVER;
}

void timers_window_closed(struct tcp_conn *c)
{
	if (c->retransmit_mode == RETRANSMIT_PROBE && c->due[DUE_RETRANSMIT] != NSEC_NEVER)
		return;
	if (c->retransmit_mode != RETRANSMIT_PROBE)
		c->probes = 0;
	c->retransmit_mode = RETRANSMIT_PROBE;
	/* SHLD-29, SHLD-30: the first after one RTO, then doubling. */
	set(c, DUE_RETRANSMIT, retransmit_due(c, c->backoff));
}

void timers_held(struct tcp_conn *c, nsec longest)
{
	if (c->retransmit_mode != RETRANSMIT_NONE)
		return;
	c->retransmit_mode = RETRANSMIT_OVERRIDE;
	set(c, DUE_RETRANSMIT, c->stack->now + longest);
}

void timers_not_held(struct tcp_conn *c)
{
	if (c->retransmit_mode == RETRANSMIT_PROBE) {
		c->backoff = 0;
		c->probes = 0;
	}
	if (c->retransmit_mode == RETRANSMIT_PROBE || c->retransmit_mode == RETRANSMIT_OVERRIDE)
		timers_all_acked(c);
}

void timers_ack_owed(struct tcp_conn *c, nsec longest)
{
	if (c->due[DUE_ACK] == NSEC_NEVER)
		set(c, DUE_ACK, c->stack->now + longest);
}

void timers_ack_sent(struct tcp_conn *c)
{
	c->due[DUE_ACK] = NSEC_NEVER;
}

void timers_pace(struct tcp_conn *c, nsec due)
{
	set(c, DUE_PACE, due);
}

void timers_loss(struct tcp_conn *c, enum loss_timer which, nsec due)
{
	c->loss_timer = (uint8_t)which;
	set(c, DUE_LOSS, which == LOSS_TIMER_NONE ? NSEC_NEVER : due);
}

void timers_keepalive_changed(struct tcp_conn *c)
{
	c->keep_probes = 0;
	if (!c->ep->keepalive || !conn_synchronised(c)) {
		c->due[DUE_KEEPALIVE] = NSEC_NEVER;
		return;
	}
	set(c, DUE_KEEPALIVE, c->last_received + keep_idle(c));
}

void timers_limit_life(struct tcp_conn *c, nsec longest)
{
	set(c, DUE_LIFE, c->stack->now + longest);
}

nsec timers_user_timeout(const struct tcp_conn *c)
{
	return c->own_timeout ? user_timeout_in_force(c) : settings_of(c)->user_timeout;
}

bool timers_exhausted(const struct tcp_conn *c, unsigned tries, unsigned limit, nsec since)
{
	nsec longest = timers_user_timeout(c);

	if (longest)
		return tries > 0 && c->stack->now - since >= longest;
	return tries >= limit;
}
