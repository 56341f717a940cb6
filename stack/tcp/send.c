/* SPDX-License-Identifier: BSD-3-Clause */
/* Decides what is sent: RFC 9293 3.8.6.2.1 (sender's silly-window avoidance), 3.7.4 (Nagle, in Minshall's variant of
 * appendix A.3: a small segment waits only for an earlier small one), 3.8.6.1 (zero-window probes), RFC 5681 3
 * (cwnd). PSH marks the last byte queued (MUST-61). */
#include "send.h"

#include <errno.h>

#include "ecn.h"
#include "loss.h"
#include "meter.h"
#include "mtu_probe.h"
#include "output.h"
#include "pace.h"
#include "rack.h"
#include "recovery.h"
#include "sent.h"
#include "timers.h"
#include "validate.h"

#define BURST_BYTES (256 * 1024) /* a connection may send in one turn, so that others get theirs */
#define SUPER_FRAME 65160        /* of payload: 64 KB less all headers */
#define CORK_LONGEST (200 * NSEC_PER_MSEC)
#define OVERRIDE_LEAST (100 * NSEC_PER_MSEC)

enum decision { SEND_NOTHING, SEND_HELD, SEND_IT };

struct plan {
	uint32_t len;
	uint8_t flags;
};

static bool may_send_data(const struct tcp_conn *c)
{
	switch (c->socket.state) {
	case TCP_ESTABLISHED:
	case TCP_CLOSE_WAIT:
	case TCP_FIN_WAIT_1:
	case TCP_CLOSING:
	case TCP_LAST_ACK:
		return true;
	default:
		return false;
	}
}

/* Bytes from snd_nxt on that the peer's window and cwnd admit. */
ALWAYS_INLINE uint32_t usable(const struct tcp_conn *c)
{
	uint32_t window = c->ecn && c->stack->now < c->ecn->held_until ? 0 : loss_window(c);
	uint32_t outstanding = conn_in_flight(c), pipe = c->flight ? flight_pipe(c) : outstanding;
	uint32_t by_cwnd = window > pipe ? window - pipe : 0;
	uint32_t by_peer = c->snd_wnd > outstanding ? c->snd_wnd - outstanding : 0;

	by_cwnd = by_cwnd < by_peer ? by_cwnd : by_peer;
	if (c->delivery) {
		uint32_t by_rate = pace_room(c);

		return by_cwnd < by_rate ? by_cwnd : by_rate;
	}
	return by_cwnd;
}

/* A segment smaller than the MSS: does it go now? `all`: nothing is queued behind it; `more`: full segments went
 * before it, so that it only fills up the peer's window. */
ALWAYS_INLINE enum decision decide_small(const struct tcp_conn *c, uint32_t len, bool all, bool more)
{
	const struct tcp_options *o = &c->socket.options;

	if (seq_lt(c->snd_nxt, c->snd_max) || c->push_small || seq_gt(c->snd_up, c->snd_nxt))
		return SEND_IT; /* retransmission, override, urgent */
	if (!all && c->snd_wnd <= loss_window(c) && more)
		return o->nodelay || !seq_gt(c->snd_small, c->snd_una) ? SEND_IT : SEND_HELD;
	if (!all)
		return c->snd_wnd > 0 && len >= c->max_snd_wnd / 2 ? SEND_IT : SEND_HELD;
	if (c->fin_wanted)
		return SEND_IT;
	if (o->cork)
		return SEND_HELD;
	if (o->nodelay || !seq_gt(c->snd_small, c->snd_una))
		return SEND_IT;
	return SEND_HELD;
}

static void end_flags(const struct tcp_conn *c, struct plan *p)
{
	uint32_t end = conn_send_end(c);

	if (c->snd_nxt + p->len != end)
		return;
	p->flags |= SEG_PSH;
	if (c->fin_wanted && seq_lt(end, c->snd_una + c->snd_wnd))
		p->flags |= SEG_FIN;
}

ALWAYS_INLINE enum decision decide(const struct tcp_conn *c, bool super, bool more, struct plan *p)
{
	uint32_t end = conn_send_end(c), mss = c->snd_mss;
	uint32_t queued, most, longest, n;

	p->flags = 0;
	p->len = 0;
	if (seq_gt(c->snd_nxt, end))
		return SEND_NOTHING; /* the FIN is out */
	queued = end - c->snd_nxt;
	if (queued == 0) {
		if (!c->fin_wanted)
			return SEND_NOTHING;
		if (!seq_lt(c->snd_nxt, c->snd_una + c->snd_wnd))
			return SEND_HELD;
		p->flags = SEG_FIN;
		return SEND_IT;
	}
	most = usable(c);
	n = queued < most ? queued : most;
	if (c->unvalidated && n > validate_room(c))
		n = validate_room(c) / mss * mss;
	if (n == 0)
		return SEND_HELD;
	/* On loopback a segment is larger than a super-frame: one cut to less would be held as a small one. */
	longest = super && mss < SUPER_FRAME ? SUPER_FRAME : mss;
	if (n > longest)
		n = longest;
	if (n != mss && n % mss != 0) {
		bool all = n == queued;

		if (n > mss && decide_small(c, n % mss, all, true) == SEND_HELD)
			n -= n % mss;
		else if (n < mss && decide_small(c, n, all, more) == SEND_HELD)
			return SEND_HELD;
	}
	p->len = n;
	end_flags(c, p);
	return SEND_IT;
}

/* RFC 5681 4.1: after an idle RTO the window says nothing about the path any more. */
static void restart_after_idle(struct tcp_conn *c)
{
	nsec idle = c->stack->now - c->last_sent;

	/* One that sets its own window does so at every such time. */
	if (c->snd_una == c->snd_max && (idle > c->rtt.rto || c->cc.ops->flags & CC_OWN_WINDOW))
		c->cc.ops->on_restart(&c->cc, c->stack->now, idle);
}

bool send_record(struct tcp_conn *c, struct record *r)
{
	uint32_t end = conn_send_end(c), n = seq_min(r->end, end) - r->start;
	uint8_t flags = (uint8_t)((seq_gt(r->end, end) ? SEG_FIN : 0) | (r->start + n == end ? SEG_PSH : 0));

	if (!output_data(c, r->start, n, flags))
		return false;
	recovery_sent(c, r->end - r->start);
	if (c->delivery)
		pace_sent(c, n);
	sent_again(c, r);
	timers_data_sent(c);
	return true;
}

static bool send_planned(struct tcp_conn *c, const struct plan *p)
{
	uint32_t seq = c->snd_nxt;
	uint32_t end = seq + p->len + (p->flags & SEG_FIN ? 1 : 0);

	if (!output_data(c, seq, p->len, p->flags))
		return false;
	if (p->len != c->snd_mss && p->len % c->snd_mss != 0)
		c->snd_small = seq + p->len;
	sent_segment(c, seq, end);
	c->snd_nxt = end;
	if (c->phase == LOSS_RECOVERY)
		recovery_sent(c, end - seq);
	if (c->delivery)
		pace_sent(c, p->len);
	timers_data_sent(c);
	return true;
}

/* How much of what is lost may go now as one packet: whole segments, or all of it. */
static uint32_t room_for_lost(const struct tcp_conn *c, bool super)
{
	uint32_t window = loss_window(c), pipe = flight_pipe(c), mss = c->snd_mss;
	uint32_t room = window > pipe ? window - pipe : 0, most = super && mss < SUPER_FRAME && !ecn_alone(c) ? SUPER_FRAME : mss;

	if (c->delivery && pace_room(c) < room)
		room = pace_room(c);
	if (room < mss)
		return c->flight->lost <= room ? c->flight->lost : 0;
	room = room < most ? room : most;
	return room - room % mss;
}

/* RFC 7323 2.4: what was in the window when it was sent is sent again once wherever the edge is now, and after that only what is
 * within. */
static struct record *admitted_or_null(struct tcp_conn *c, struct record *r)
{
	uint32_t edge = c->snd_una + c->snd_wnd;

	if (!r || !r->again || seq_leq(r->end, edge))
		return r;
	return seq_lt(r->start, edge) ? flight_lost_or_null(c, edge - r->start) : NULL;
}

/* What is lost goes before what is new (RFC 6675 5). False: no packet to be had. */
RARELY_CALLED bool send_lost(struct tcp_conn *c, bool super)
{
	uint32_t most, sent = 0;
	struct record *r;

	while (sent < BURST_BYTES && (most = room_for_lost(c, super)) > 0 &&
	       (r = admitted_or_null(c, flight_lost_or_null(c, most))) != NULL) {
		sent += r->end - r->start;
		if (!send_record(c, r))
			return false;
	}
	if (sent >= BURST_BYTES)
		conn_ready(c);
	return true;
}

RARELY_CALLED void wait_for_packet(struct tcp_conn *c)
{
	/* Again in a moment, and by the timer if it comes to that. */
	c->stack->tcp->retry_at = c->stack->now + TCP_LINK_WAIT;
	conn_ready(c);
	timers_data_sent(c);
}

/* Nothing more can go: what will wake us? With something in flight its ACK or its timer; else a probe or override. */
static void wait_for_chance(struct tcp_conn *c, enum decision last)
{
	if (c->snd_nxt != c->snd_una)
		return;
	if (last == SEND_NOTHING) {
		timers_not_held(c);
		return;
	}
	if (c->snd_wnd == 0) {
		if (c->retransmit_mode == RETRANSMIT_OVERRIDE)
			timers_not_held(c);
		timers_window_closed(c);
	} else if (c->socket.options.cork) {
		timers_held(c, CORK_LONGEST);
	} else {
		nsec wait = c->rtt.rto < NSEC_PER_SEC ? c->rtt.rto : NSEC_PER_SEC;

		timers_held(c, wait > OVERRIDE_LEAST ? wait : OVERRIDE_LEAST);
	}
}

/* What holds the sender up after a burst: the peer's window although cwnd has room, a full buffer of which all is sent, or nothing else
 * than the network (as Linux's tcp_write_xmit and tcp_cwnd_validate). */
static enum meter_state held_up_by(const struct tcp_conn *c, enum decision last)
{
	uint32_t outstanding = conn_in_flight(c), window = loss_window(c), used = bytering_used(&c->ep->send);
	uint32_t pipe = c->flight ? flight_pipe(c) : outstanding, by_peer = c->snd_wnd > outstanding ? c->snd_wnd - outstanding : 0;
	uint32_t unsent = conn_send_end(c) - c->snd_nxt;

	if (last == SEND_NOTHING) {
		if (outstanding == 0)
			return METER_IDLE;
		if (pipe < window && !c->fin_wanted && (used >= c->ep->send_max || used >= bytering_capacity(&c->ep->send)))
			return METER_BUFFER;
	} else if (last == SEND_HELD && pipe < window && by_peer < (unsent < c->snd_mss ? unsent : c->snd_mss)) {
		return METER_WINDOW;
	}
	return METER_BUSY;
}

/* One segment that is longer than the others (RFC 4821 7). */
static bool send_mtu_probe(struct tcp_conn *c, uint32_t len)
{
	const struct plan p = { .len = len };
	uint16_t usual = c->snd_mss;
	bool sent;

	c->snd_mss = (uint16_t)len;
	sent = send_planned(c, &p);
	c->snd_mss = usual;
	if (sent)
		mtu_probe_sent(c, len);
	return sent;
}

/* RFC 5482 3: the first segment after the SYN, and the next after a change, carries the user timeout, if a full one must be shorter for
 * it. How much went; false: no packet to be had. */
RARELY_CALLED bool send_with_timeout(struct tcp_conn *c, uint32_t *sent)
{
	uint16_t usual = c->snd_mss;
	struct plan plan;
	bool good = true;

	if (usual > 2 * SEGMENT_UTO_LEN)
		c->snd_mss -= SEGMENT_UTO_LEN;
	if (decide(c, false, false, &plan) == SEND_IT) {
		restart_after_idle(c);
		good = send_planned(c, &plan);
		*sent = plan.len + 1;
	}
	c->snd_mss = usual;
	return good;
}

/* False: nothing new for now. */
RARELY_CALLED bool search_mtu(struct tcp_conn *c)
{
	uint32_t len;

	switch (mtu_probe_turn(c, &len)) {
	case MTU_PROBE:
		restart_after_idle(c);
		if (send_mtu_probe(c, len))
			return true;
		wait_for_packet(c);
		return false;
	case MTU_WAIT:
		return false;
	case MTU_NOTHING:
		break;
	}
	return true;
}

static void send_burst(struct tcp_conn *c)
{
	bool super = output_takes_super_frames(c);
	enum decision d = SEND_NOTHING;
	enum meter_state held;
	uint32_t sent = 0;
	struct plan plan;

	if (c->flight && c->flight->lost > 0 && !send_lost(c, super)) {
		wait_for_packet(c);
		return;
	}
	/* A probe is longer than the rest, but not earlier: the rate pays for it as for a burst. */
	if (c->mtu && !(c->delivery && pace_room(c) == 0) && !search_mtu(c))
		return;
	if (c->uto_due && conn_has_unsent(c) && !send_with_timeout(c, &sent)) {
		wait_for_packet(c);
		return;
	}
	while (sent < BURST_BYTES) {
		d = decide(c, super && !ecn_alone(c), sent > 0, &plan);
		if (d != SEND_IT)
			break;
		if (sent == 0)
			restart_after_idle(c);
		if (!send_planned(c, &plan)) {
			wait_for_packet(c);
			return;
		}
		sent += plan.len + 1;
	}
	c->push_small = false;
	held = held_up_by(c, d);
	if (c->delivery && d != SEND_IT)
		pace_held(c, held == METER_WINDOW);
	meter_is(c, held);
	if (sent > 0)
		rack_schedule_probe(c);
	if (d == SEND_IT)
		conn_ready(c);
	else
		wait_for_chance(c, d);
}

void send_turn(struct tcp_conn *c)
{
	if (may_send_data(c)) {
		if (!c->fin_wanted)
			bytering_sync_head(&c->ep->send);
		/* Where no way leads there any more, IP drops what is sent, and retransmission gives up in the end (or finds
		 * the way again). */
		conn_refresh_path(c);
		send_burst(c);
		if (c->socket.options.notsent_low)
			send_note_room(c);
	}
	if (c->ack_now)
		output_ack(c);
}

bool send_one_new(struct tcp_conn *c)
{
	uint32_t end = conn_send_end(c), window = c->snd_una + c->snd_wnd;
	struct plan p = { 0 };

	if (!may_send_data(c) || !seq_lt(c->snd_nxt, seq_min(end, window)))
		return false;
	p.len = seq_min(end, window) - c->snd_nxt;
	if (p.len > c->snd_mss)
		p.len = c->snd_mss;
	end_flags(c, &p);
	return send_planned(c, &p);
}

bool send_probe(struct tcp_conn *c)
{
	const struct tcp_settings *settings = settings_of(c);
	uint32_t end = conn_send_end(c), seq = c->snd_nxt;
	uint32_t n = seq_lt(seq, end) ? 1 : 0;
	bool fin = n == 0 && c->fin_wanted && seq == end;

	if (c->snd_wnd > 0 || (n == 0 && !fin)) {
		timers_not_held(c);
		conn_ready(c);
		return true;
	}
	/* MUST-37: answered probes go on for ever; unanswered ones do not. */
	if (timers_exhausted(c, c->probes, c->ep->closed ? settings->orphan_retries : settings->retries_2,
			     c->last_acked)) {
		count(c->stack, COUNT_TCP_ABORTED);
		conn_end(c, c->soft_error ? c->soft_error : ETIMEDOUT);
		return false;
	}
	conn_refresh_path(c);
	if (output_data(c, seq, n, fin ? SEG_FIN : 0))
		sent_segment(c, seq, seq + n + fin);
	c->timed = false; /* what answers a probe may have waited in the peer */
	if (c->probes < 255)
		c->probes++;
	if (c->backoff < 64)
		c->backoff++;
	timers_window_closed(c);
	return true;
}

bool send_writable(const struct tcp_conn *c)
{
	const struct bytering *r = &c->ep->send;
	uint32_t capacity = bytering_capacity(r);

	if (c->fin_wanted)
		return true; /* a write fails at once: the program may as well learn it */
	if (bytering_used(r) > capacity - capacity / 3)
		return false;
	return c->socket.options.notsent_low == 0 ||
	       conn_send_end(c) - c->snd_nxt < c->socket.options.notsent_low;
}

void send_note_room(struct tcp_conn *c)
{
	if (!send_writable(c)) {
		c->was_full = true;
	} else if (c->was_full) {
		c->was_full = false;
		ep_event_raise(c->stack, c->ep, EP_WRITABLE);
	}
}
