/* SPDX-License-Identifier: BSD-3-Clause */
/* RFC 9293 3.10.7.4 in its order, PAWS (RFC 7323 5.3) before it, RFC 5961 within. A step reads or changes the
 * connection and says what follows; input_segment alone answers the peer and counts what was refused. */
#include "input.h"

#include <errno.h>

#include "active_open.h"
#include "close.h"
#include "ecn.h"
#include "fastopen.h"
#include "meter.h"
#include "output.h"
#include "rack.h"
#include "recovery.h"
#include "recv.h"
#include "send.h"
#include "sent.h"
#include "timers.h"
#include "user_timeout.h"

#define PAWS_IDLE (24u * 86400) /* seconds (RFC 7323 5.5) */
#define OUT_OF_WINDOW_INTERVAL 500u /* milliseconds */

/* The segment on its way through the steps. */
struct arrival {
	struct tcp_segment *s;
	uint32_t len;       /* of its payload, before it is trimmed */
	uint32_t urgent;    /* the urgent byte, if SEG_URG: relative to the whole segment, before it is trimmed */
	enum drop why;      /* counted when the verdict refuses it */
	bool keep_alive;    /* not in the window, but just before it: its ACK and window are still good */
	bool answer;        /* the peer wants an ACK whatever the segment brings */
};

/* RFC 7323 5.3 R1: an old duplicate. A RST is exempt (5.2). */
static enum verdict check_paws(struct tcp_conn *c, struct arrival *a)
{
	const struct tcp_segment *s = a->s;

	if (!c->ts_on || !(s->has & SEG_HAS_TS) || s->flags & SEG_RST)
		return NEXT;
	if ((int32_t)(s->tsval - c->ts_recent) >= 0 || seconds_now(c) - c->ts_recent_at > PAWS_IDLE)
		return NEXT;
	a->why = DROP_TCP_PAWS;
	return ACK;
}

/* Cuts what was received before and what lies beyond the window: each byte is taken once. */
RARELY_CALLED void trim(struct tcp_conn *c, struct tcp_segment *s)
{
	uint32_t edge = c->rcv_nxt + recv_window_open(c);

	if (seq_lt(s->seq, c->rcv_nxt)) {
		uint32_t before = c->rcv_nxt - s->seq;

		before = before < s->len ? before : s->len;
		recv_duplicate(c, s->seq, s->seq + before);
		s->payload += before;
		s->len -= before;
		s->seq = c->rcv_nxt;
	}
	if (seq_gt(s->seq + s->len, edge)) {
		uint32_t beyond = s->seq + s->len - edge;

		s->len -= beyond < s->len ? beyond : s->len;
		s->flags &= (uint8_t)~SEG_FIN;
	}
}

/* First, check the sequence number. */
static enum verdict check_sequence(struct tcp_conn *c, struct arrival *a)
{
	struct tcp_segment *s = a->s;
	uint32_t window = recv_window_open(c), space = segment_space(s);

	/* In order and within the window: nearly always. */
	if (s->seq == c->rcv_nxt && space <= window)
		goto acceptable;
	a->why = DROP_TCP_SEQUENCE;
	if (s->flags & SEG_RST) /* its payload does not count (SHLD-2) */
		return s->seq == c->rcv_nxt || seq_within(s->seq, c->rcv_nxt, window) ? NEXT : DROP;
	if (c->socket.state == TCP_SYN_RECEIVED && s->flags & SEG_SYN && s->seq == c->irs) {
		/* Simultaneous open: the peer's SYN again, now with its ACK. */
		s->flags &= (uint8_t)~SEG_SYN;
		s->seq++;
		a->answer = true;
		return NEXT;
	}
	if (s->flags & SEG_SYN)
		return NEXT; /* wherever it lies, it is asked about (RFC 5961 4.2) */
	if (!recv_acceptable(c->rcv_nxt, window, s->seq, space)) {
		/* A probe of a closed window (MUST-66) or a keep-alive (appendix A.2). */
		if ((s->seq == c->rcv_nxt && window == 0) || s->seq == c->rcv_nxt - 1) {
			a->keep_alive = s->seq != c->rcv_nxt;
			a->answer = true;
			s->seq = c->rcv_nxt;
			s->len = 0;
			s->flags &= (uint8_t)~SEG_FIN;
			return NEXT;
		}
		if (s->len > 1 && seq_leq(s->seq + s->len, c->rcv_nxt))
			recv_duplicate(c, s->seq, s->seq + s->len);
		return ACK;
	}
acceptable:
	/* RFC 7323 4.3: the timestamp of the segment that our last ACK expected is the one to echo. */
	if (s->has & SEG_HAS_TS && c->ts_on && !(s->flags & (SEG_RST | SEG_SYN)) && seq_leq(s->seq, c->last_ack_sent)) {
		c->ts_recent = s->tsval;
		c->ts_recent_at = seconds_now(c);
	}
	if (s->seq != c->rcv_nxt || space > window)
		trim(c, s);
	return NEXT;
}

/* Second, check the RST bit: exactly the next number, or a question back (RFC 5961 3.2). */
static enum verdict check_rst(struct tcp_conn *c, struct arrival *a)
{
	int error = ECONNRESET;

	if (!(a->s->flags & SEG_RST))
		return NEXT;
	if (a->s->seq != c->rcv_nxt) {
		a->why = DROP_TCP_RESET;
		return CHALLENGE;
	}
	if (c->request)
		half_open_reset(c->request);
	if (c->socket.state == TCP_SYN_RECEIVED)
		error = ECONNREFUSED; /* MUST-11: simultaneous open */
	else if (c->socket.state == TCP_CLOSE_WAIT)
		error = EPIPE; /* its side was over already: only our writing failed (as Linux) */
	else if (c->socket.state == TCP_CLOSING || c->socket.state == TCP_LAST_ACK)
		error = 0;
	/* All queues are flushed; what another process reads, it has to throw away itself. */
	if (!c->ep->receive.shared_tail) {
		bytering_release(&c->ep->receive, c->ep->receive.head);
		ep_settle(c->stack, c->ep, EP_RECEIVE);
	}
	conn_end(c, error);
	return DONE;
}

/* Fourth, check the SYN bit (RFC 5961 4.2). */
static enum verdict check_syn(struct tcp_conn *c, struct arrival *a)
{
	if (!(a->s->flags & SEG_SYN))
		return NEXT;
	a->why = DROP_TCP_SYN;
	if (c->ecn && ecn_contradicts(c, a->s)) {
		drop_count(c->stack, a->why);
		conn_abort(c, ECONNRESET);
		return DONE;
	}
	return c->request && fastopen_syn_again(c, a->s) ? DROP : CHALLENGE;
}

/* SND.WND only from segments newer than the last that set it (RFC 9293 3.10.7.4, SND.WL1 and WL2). */
static void take_window(struct tcp_conn *c, const struct arrival *a)
{
	const struct tcp_segment *s = a->s;
	uint32_t window = (uint32_t)s->window << (c->scale_on ? c->snd_scale : 0);

	if (!(seq_lt(c->snd_wl1, s->seq) || (c->snd_wl1 == s->seq && seq_leq(c->snd_wl2, s->ack))))
		return;
	c->snd_wl1 = s->seq;
	c->snd_wl2 = s->ack;
	if (window == c->snd_wnd)
		return;
	c->snd_wnd = window;
	if (window > c->max_snd_wnd)
		c->max_snd_wnd = window;
	if (window > 0 && c->retransmit_mode == RETRANSMIT_PROBE)
		timers_not_held(c);
	if (conn_has_unsent(c) || (c->flight && c->flight->lost > 0))
		conn_ready(c);
}

/* RFC 5681 2: no data, no news of the window, something outstanding. */
static bool is_duplicate_ack(const struct tcp_conn *c, const struct arrival *a)
{
	const struct tcp_segment *s = a->s;
	uint32_t window = (uint32_t)s->window << (c->scale_on ? c->snd_scale : 0);

	return s->ack == c->snd_una && s->len == 0 && !(s->flags & SEG_FIN) && !a->answer &&
	       window == c->snd_wnd && c->snd_nxt != c->snd_una;
}

/* What the acknowledgment of our FIN means. */
RARELY_CALLED enum verdict fin_acked(struct tcp_conn *c)
{
	switch (c->socket.state) {
	case TCP_FIN_WAIT_1:
		close_fin_wait_2(c);
		return NEXT;
	case TCP_CLOSING:
		close_time_wait(c);
		return DONE;
	case TCP_LAST_ACK:
		conn_end(c, 0);
		return DONE;
	default:
		return NEXT;
	}
}

static void all_acked(struct tcp_conn *c)
{
	timers_all_acked(c);
	if (!conn_has_unsent(c))
		meter_is(c, METER_IDLE);
}

static enum verdict new_ack(struct tcp_conn *c, struct arrival *a, const struct flight_news *news)
{
	uint32_t acked = a->s->ack - c->snd_una;
	nsec rtt;

	if (!c->fin_wanted)
		bytering_sync_head(&c->ep->send);
	send_note_room(c);
	rtt = sent_acked(c, a->s);
	c->soft_error = 0;
	/* The timer first: recovery may want it otherwise. */
	if (c->snd_una == c->snd_max)
		all_acked(c);
	else
		timers_restart(c);
	recovery_ack(c, a->s, news, acked, rtt);
	take_window(c, a);
	if (c->was_full)
		send_note_room(c);
	if (c->ecn)
		ecn_respond(c);
	if (conn_has_unsent(c))
		conn_ready(c);
	if (seconds_now(c) != c->confirmed) {
		c->confirmed = seconds_now(c);
		neighbour_confirm(c->stack, &c->path);
	}
	return conn_fin_acked(c) ? fin_acked(c) : NEXT;
}

/* An acknowledgment of numbers that were sent, the last one again perhaps, and what comes with it. */
static enum verdict take_ack(struct tcp_conn *c, struct arrival *a)
{
	const struct tcp_segment *s = a->s;
	struct flight_news news;

	recovery_take(c, s, &news);
	if (c->ecn)
		ecn_take_feedback(c, s, news.acked + news.sacked);
	if (seq_gt(s->ack, c->snd_una))
		return new_ack(c, a, &news);
	if (!c->sack_on && is_duplicate_ack(c, a))
		recovery_duplicate(c);
	else if (c->sack_on && (news.sacked > 0 || news.dsack))
		recovery_ack(c, s, &news, 0, 0);
	else if (c->sack_on)
		rack_nothing_new(c, s);
	if (c->ecn)
		ecn_respond(c);
	take_window(c, a);
	return NEXT;
}

RARELY_CALLED enum verdict enter_established(struct tcp_conn *c, struct arrival *a)
{
	if (!seq_lt(c->snd_una, a->s->ack) || seq_gt(a->s->ack, c->snd_max)) {
		a->why = DROP_TCP_ACK;
		return RESET;
	}
	active_open_complete(c, a->s);
	return NEXT;
}

/* Fifth, check the ACK field. */
static enum verdict check_ack(struct tcp_conn *c, struct arrival *a)
{
	const struct tcp_segment *s = a->s;

	if (!(s->flags & SEG_ACK)) {
		a->why = DROP_TCP_NO_ACK;
		return a->answer && c->socket.state == TCP_SYN_RECEIVED ? ACK : DROP;
	}
	if (c->socket.state == TCP_SYN_RECEIVED) {
		if (c->ecn && c->ecn->await_ack)
			ecn_take_feedback(c, s, 0);
		return enter_established(c, a);
	}
	a->why = DROP_TCP_ACK;
	if (c->request && !fastopen_acked(c, s))
		return RESET; /* it is a SYN-RECEIVED still */
	if (seq_gt(s->ack, c->snd_max))
		return ACK;
	if (seq_lt(s->ack, c->snd_una - c->max_snd_wnd)) /* RFC 5961 5.2 */
		return CHALLENGE;
	c->last_acked = c->stack->now;
	c->probes = 0;
	if (s->ack != c->snd_una || s->sack_count > 0 || c->probe_out || !c->sack_on || c->ecn)
		return take_ack(c, a);
	/* Nothing is acknowledged, as by all segments but the first of a turn in a stream that comes. */
	take_window(c, a);
	return NEXT;
}

/* Sixth, check the URG bit: the pointer names the number behind the urgent byte (RFC 6093 3.1, 6.1). */
static enum verdict check_urgent(struct tcp_conn *c, struct arrival *a)
{
	const struct tcp_segment *s = a->s;
	uint32_t byte = a->urgent;

	if (s->urgent == 0 || c->fin_received)
		return NEXT;
	if (seq_lt(byte, c->rcv_nxt) || (c->urgent != URGENT_NONE && !seq_gt(byte, c->rcv_up)))
		return NEXT; /* MUST-32: no news */
	c->rcv_up = byte;
	c->urgent = URGENT_EXPECTED;
	ep_event_raise(c->stack, c->ep, EP_URGENT);
	return NEXT;
}

/* What few segments have. */
static enum verdict check_rare(struct tcp_conn *c, struct arrival *a)
{
	if (a->s->has & SEG_HAS_UTO)
		user_timeout_received(c, a->s);
	return a->s->flags & SEG_URG ? check_urgent(c, a) : NEXT;
}

/* Seventh, process the segment text. */
static enum verdict process_data(struct tcp_conn *c, struct arrival *a)
{
	const struct tcp_segment *s = a->s;

	if (s->len == 0)
		return NEXT;
	switch (c->socket.state) {
	case TCP_ESTABLISHED:
		break;
	case TCP_FIN_WAIT_1:
	case TCP_FIN_WAIT_2:
		/* SHLD-3: nobody will ever read it. */
		if (c->ep->closed || c->ep->shut & EP_SHUT_READ) {
			a->why = DROP_TCP_CLOSED;
			conn_end(c, ECONNRESET);
			return RESET;
		}
		break;
	default:
		/* Beyond the peer's FIN: its text is ignored, its sender told where we are. */
		a->why = DROP_TCP_SEQUENCE;
		return ACK;
	}
	if (c->fin_seen && seq_gt(s->seq + s->len, c->fin_seq)) {
		a->why = DROP_TCP_SEQUENCE;
		return ACK;
	}
	recv_data(c, s);
	return NEXT;
}

/* Eighth, check the FIN bit. A FIN beyond a gap is remembered until the gap is filled. */
static enum verdict process_fin(struct tcp_conn *c, struct arrival *a)
{
	const struct tcp_segment *s = a->s;

	if (s->flags & SEG_FIN && !c->fin_received && !c->fin_seen &&
	    !seq_lt(s->seq + s->len, c->rcv_nxt)) {
		c->fin_seen = true;
		c->fin_seq = s->seq + s->len;
		if (c->fin_seq != c->rcv_nxt && s->len == 0)
			output_ack(c);
	}
	if (!c->fin_seen || c->fin_received || c->fin_seq != c->rcv_nxt)
		return NEXT;
	return close_fin_received(c);
}

static enum verdict steps(struct tcp_conn *c, struct arrival *a)
{
	enum verdict v = check_paws(c, a);

	if (v == NEXT)
		v = check_sequence(c, a);
	if (v == NEXT)
		v = check_rst(c, a);
	if (v == NEXT)
		v = check_syn(c, a);
	if (v == NEXT && c->ecn && !a->keep_alive)
		ecn_arrived(c, a->s, a->len);
	if (v == NEXT)
		v = check_ack(c, a);
	if (v == NEXT && (a->s->flags & SEG_URG || a->s->has & SEG_HAS_UTO))
		v = check_rare(c, a);
	if (v == NEXT)
		v = process_data(c, a);
	if (v == NEXT)
		v = process_fin(c, a);
	if (v == NEXT && c->ecn)
		ecn_arrived_all(c);
	return v;
}

/* An ACK for a segment that was refused: one in half a second for those without data, so that two confused peers do
 * not answer each other for ever. */
RARELY_CALLED void answer_refused(struct tcp_conn *c, const struct tcp_segment *s)
{
	uint32_t now = milliseconds_now(c);

	if (s->len == 0 && c->oow_acked != 0 && now - c->oow_acked < OUT_OF_WINDOW_INTERVAL)
		return;
	if (s->len == 0)
		c->oow_acked = now ? now : 1;
	if (c->socket.state == TCP_SYN_RECEIVED)
		output_syn(c);
	else
		output_ack(c);
}

void input_segment(struct tcp_conn *c, struct tcp_segment *s, const struct ip_received *ip)
{
	struct stack *stack = c->stack;
	struct arrival a = { .s = s, .len = s->len, .urgent = s->seq + s->urgent - 1 };
	enum verdict v = NEXT;
	bool more = true;

	c->last_received = stack->now;
	c->segments_received += s->segments;
	if (c->keep_probes > 0)
		timers_keepalive_changed(c); /* the peer lives: the idle time begins anew (MUST-26) */
	if (c->socket.state == TCP_SYN_SENT) {
		v = active_open_input(c, s, &a.why);
		more = v == NEXT && c->socket.state == TCP_ESTABLISHED && (s->len > 0 || s->flags & SEG_FIN);
	}
	if (more)
		v = steps(c, &a);
	switch (v) {
	case NEXT:
		if (a.answer) {
			c->ack_now = true;
			conn_ready(c);
		}
		break;
	case DONE:
		break;
	case DROP:
		drop_count(stack, a.why);
		break;
	case ACK:
		drop_count(stack, a.why);
		answer_refused(c, s);
		break;
	case CHALLENGE:
		drop_count(stack, a.why);
		output_challenge(c);
		break;
	case RESET:
		drop_count(stack, a.why);
		output_reset_for(stack, ip, s);
		break;
	}
}
