/* SPDX-License-Identifier: BSD-3-Clause */
/* The receiving half of a connection. Payload is copied once, to its place in the program's ring; what lies beyond
 * a gap is written at its place too and remembered as an interval. RFC 9293 3.8.6 (window; the right edge never
 * moves left, SHLD-14), 3.8.6.2.2 (silly window), 3.8.6.3 and RFC 5681 4.2 (when to acknowledge). */
#include "recv.h"

#include "gaps.h"
#include "output.h"
#include "timers.h"

#define AUTOTUNE_LEAST (5 * NSEC_PER_MSEC)
#define ECHO_MOST 60000u /* milliseconds; a timestamp from another life says nothing */
#define QUICK_GRACE (500 * NSEC_PER_USEC)

static uint32_t power_of_two(uint32_t n)
{
	return n <= 1 ? 1 : UINT32_C(1) << (32 - __builtin_clz(n - 1));
}

/* The most that may lie unread: by setting, clamp, and memory that was refused. */
static uint32_t limit_of(const struct tcp_conn *c)
{
	uint32_t limit = c->rcv_limit;
	uint32_t lent = bytering_capacity(&c->ep->receive);

	if (c->socket.options.window_clamp && c->socket.options.window_clamp < limit)
		limit = c->socket.options.window_clamp;
	if (c->receive_short && lent < limit)
		limit = lent;
	return limit;
}

/* Where the right edge could be now, with `limit` as the most that may lie unread. */
static uint32_t edge_possible(const struct tcp_conn *c, uint32_t limit)
{
	uint32_t window = limit, used = bytering_used(&c->ep->receive);
	uint32_t most = c->scale_on ? UINT32_C(65535) << c->rcv_scale : 65535;

	window = window > used ? window - used : 0;
	return c->rcv_nxt + (window < most ? window : most);
}

/* What a program waits for (SO_RCVLOWAT) must fit into half of the buffer, as tcp_set_rcvlowat has it; what is advertised must be lendable,
 * so not while the ring is on its way to other memory. */
static void hold_low(struct tcp_conn *c)
{
	uint32_t want = 2 * c->ep->receive_low;

	if (want > c->rcv_limit && !c->ep->receive_fixed && c->ep->receive.next.size == 0)
		c->rcv_limit = want < c->ep->receive_max ? want : c->ep->receive_max;
}

/* A round trip as the receiver sees it: by timestamps what the peer echoes, else no more than a whole window takes to come. */
static nsec round_trip(struct tcp_conn *c, const struct tcp_segment *s, nsec window_took)
{
	nsec sample = window_took, known;
	uint32_t usec;

	if (c->ts_on && s->has & SEG_HAS_TS) {
		uint32_t echoed = conn_ts_now(c->stack, c->ts_offset) - s->tsecr;

		if (echoed <= ECHO_MOST)
			sample = (echoed + 1) * NSEC_PER_MSEC;
	}
	usec = sample < UINT32_MAX * NSEC_PER_USEC ? (uint32_t)((sample + NSEC_PER_USEC - 1) / NSEC_PER_USEC) : UINT32_MAX;
	if (c->rcv_rtt == 0 || usec < c->rcv_rtt)
		c->rcv_rtt = usec;
	else if (c->ts_on)
		c->rcv_rtt += (usec - c->rcv_rtt) / 8;
	known = c->rcv_rtt * NSEC_PER_USEC;
	return known > c->rtt.srtt ? known : c->rtt.srtt;
}

/* A program that keeps up, and a peer that fills half of the window within two round trips: let it be twice as large; within one, four times:
 * in slow start the next round brings twice as much, and the two that a lost segment needs to come again bring all of that behind a gap.
 * But not before the ring has switched to its newest memory, because what is advertised must be lendable. */
static void autotune(struct tcp_conn *c, const struct tcp_segment *s)
{
	uint32_t most = c->ep->receive_max, came = c->rcv_nxt - c->autotune_from;
	nsec took = c->stack->now - c->autotune_since, rtt;
	uint32_t times;

	if (came < c->rcv_limit / 2)
		return;
	rtt = round_trip(c, s, 2 * took);
	times = took <= rtt ? 4 : 2;
	if (took <= (2 * rtt > AUTOTUNE_LEAST ? 2 * rtt : AUTOTUNE_LEAST) && !c->ep->receive_fixed && !c->stack->memory_pressed &&
	    c->rcv_limit < most && c->ep->receive.next.size == 0 && bytering_used(&c->ep->receive) <= c->rcv_limit / 2)
		c->rcv_limit = c->rcv_limit < most / times ? times * c->rcv_limit : most;
	if (c->ep->receive_low > c->rcv_limit / 2)
		hold_low(c);
	c->autotune_from = c->rcv_nxt;
	c->autotune_since = c->stack->now;
}

/* Memory for [rcv_nxt, rcv_nxt + n): true if there is, or could be lent. The first is small, the next holds the
 * whole window: a peer may fill it before the program has read what would let us switch again. */
RARELY_CALLED bool lend_room(struct tcp_conn *c, uint32_t n)
{
	struct bytering *r = &c->ep->receive;
	uint32_t window, want;

	if (r->next.size != 0)
		return false;
	window = power_of_two(c->rcv_limit);
	want = power_of_two(bytering_used(r) + n);
	if (r->current.size != 0 || want > TCP_RECEIVE_FIRST_EXTENT)
		want = want > window ? want : window;
	else
		want = TCP_RECEIVE_FIRST_EXTENT < window ? TCP_RECEIVE_FIRST_EXTENT : window;
	ep_lend(c->stack, c->ep, EP_RECEIVE, want);
	c->receive_short = bytering_capacity(r) < want;
	return bytering_room(r) >= n;
}

static bool make_room(struct tcp_conn *c, uint32_t n)
{
	return bytering_room(&c->ep->receive) >= n || lend_room(c, n);
}

/* Where memory is short, a ring that has grown only for what lies beyond a gap gives that back: the highest numbers, which the peer still has
 * to keep, and sends again (RFC 2018 8). What is in order never waits for it. */
RARELY_CALLED void prune(struct tcp_conn *c)
{
	struct bytering *r = &c->ep->receive;
	uint32_t end = c->receive_base + r->switch_at;

	if (c->stack->stream_bytes_lent <= settings_of(c)->memory_pressure || r->next.size == 0 || seq_leq(gaps_end(c), end) ||
	    !ep_withdraw(c->stack, c->ep, EP_RECEIVE))
		return;
	gaps_cut(c, end);
	c->receive_short = true;
	count(c->stack, COUNT_TCP_PRUNED);
}

/* The urgent byte, once it is in order, is kept apart for MSG_OOB (RFC 6093 3.1). */
RARELY_CALLED void take_urgent(struct tcp_conn *c, uint32_t from)
{
	if (c->urgent != URGENT_EXPECTED || !seq_within(c->rcv_up, from, c->rcv_nxt - from))
		return;
	bytering_read_at(&c->ep->receive, c->rcv_up - c->receive_base, &c->urgent_byte, 1);
	c->urgent = URGENT_HERE;
	ep_event_raise(c->stack, c->ep, EP_URGENT);
}

static void deliver(struct tcp_conn *c, uint32_t from)
{
	bytering_publish(&c->ep->receive, c->rcv_nxt - c->receive_base);
	c->bytes_received += c->rcv_nxt - from;
	if (c->urgent == URGENT_EXPECTED)
		take_urgent(c, from);
	ep_event_raise(c->stack, c->ep, EP_READABLE);
}

/* SHLD-19: every second full segment; RFC 5681 4.2: at once while a gap is filled; else it may wait. */
static void owe_ack(struct tcp_conn *c, const struct tcp_segment *s, bool at_once)
{
	uint32_t full = c->rcv_mss - (c->ts_on ? SEGMENT_TS_LEN : 0);

	if (s->len < full && c->quickacks > 0 && s->flags & SEG_PSH && c->unacked_segments == 0 && !at_once) {
		/* At the start ACKs are quick, so that a sender whose second small write waits for one (Nagle) does not
		 * wait long; but this may be a request, whose answer will carry it in a moment. */
		c->quickacks--;
		timers_ack_owed(c, QUICK_GRACE);
		return;
	}
	if (c->unacked_segments < 2)
		c->unacked_segments = (uint8_t)(s->segments > 1 ? 2 : c->unacked_segments + 1);
	if (at_once || c->unacked_segments >= 2 || c->quickacks > 0 ||
	    c->rcv_nxt - c->last_ack_sent >= 2 * full) {
		if (c->quickacks > 0)
			c->quickacks--;
		c->ack_now = true;
		conn_ready(c);
		return;
	}
	timers_ack_owed(c, settings_of(c)->delayed_ack);
}

static void in_order(struct tcp_conn *c, const struct tcp_segment *s)
{
	uint32_t from = c->rcv_nxt, n = s->len;
	bool filling = c->gaps;

	if (!make_room(c, n)) {
		uint32_t room = bytering_room(&c->ep->receive);

		drop_count(c->stack, DROP_TCP_RECEIVE_MEMORY);
		n = n < room ? n : room;
		c->ack_now = true;
		conn_ready(c);
		if (n == 0) {
			ep_event_raise(c->stack, c->ep, EP_READABLE);   /* whatever SO_RCVLOWAT says: recv_low */
			return;
		}
	}
	bytering_write_at(&c->ep->receive, from - c->receive_base, s->payload, n);
	c->rcv_nxt = from + n;
	if (filling)
		gaps_join(c);
	deliver(c, from);
	if (c->gaps && c->stack->memory_pressed)
		prune(c);
	autotune(c, s);
	owe_ack(c, s, filling);
}

/* RFC 5681 3.2: a duplicate ACK at once for each segment beyond a gap. */
RARELY_CALLED void out_of_order(struct tcp_conn *c, const struct tcp_segment *s)
{
	uint32_t ahead = s->seq - c->rcv_nxt;

	gaps_overlap(c, s->seq, s->seq + s->len);
	c->reordered += s->segments;
	if (c->quickacks < 4)
		c->quickacks = 4;
	/* Where memory is short, what comes beyond a gap has to fit into what there is. */
	if (c->gaps && c->stack->memory_pressed)
		prune(c);
	if (c->stack->memory_pressed ? bytering_room(&c->ep->receive) < ahead + s->len : !make_room(c, ahead + s->len))
		drop_count(c->stack, DROP_TCP_RECEIVE_MEMORY);
	else if (!gaps_insert(c, s->seq, s->seq + s->len))
		drop_count(c->stack, DROP_TCP_REASSEMBLY);
	else
		bytering_write_at(&c->ep->receive, s->seq - c->receive_base, s->payload, s->len);
	output_ack(c);
}

bool recv_acceptable(uint32_t rcv_nxt, uint32_t rcv_wnd, uint32_t seq, uint32_t space)
{
	if (space == 0)
		return rcv_wnd == 0 ? seq == rcv_nxt : seq_within(seq, rcv_nxt, rcv_wnd);
	if (rcv_wnd == 0)
		return false;
	return seq_within(seq, rcv_nxt, rcv_wnd) || seq_within(seq + space - 1, rcv_nxt, rcv_wnd);
}

uint32_t recv_limit_first(const struct tcp_conn *c)
{
	uint32_t limit = settings_of(c)->receive_buffer_initial, most = c->ep->receive_max, low = c->ep->receive_low;

	if (c->ep->receive_fixed)
		return most;
	if (low > limit / 2)
		limit = low < most / 2 ? 2 * low : most;
	return limit < most ? limit : most;
}

/* The window is shut but for a segment, and an ACK will not open it (MUST-39). As Linux's tcp_epollin_ready. */
static bool window_is_used_up(const struct tcp_conn *c)
{
	uint32_t limit = limit_of(c), step = limit / 2 < c->rcv_mss ? limit / 2 : c->rcv_mss;
	uint32_t possible = edge_possible(c, limit);

	return recv_window_open(c) <= step && !(seq_gt(possible, c->rcv_adv) && possible - c->rcv_adv >= step);
}

uint32_t recv_low(const struct tcp_conn *c)
{
	bool no_memory = c->stack->memory_pressed || (c->receive_short && bytering_room(&c->ep->receive) < c->rcv_mss);

	return no_memory || window_is_used_up(c) ? 1 : c->ep->receive_low;
}

void recv_low_set(struct tcp_conn *c)
{
	if (!conn_synchronised(c))
		return;
	hold_low(c);
	recv_consumed(c);   /* a larger window is told at once */
}

uint32_t recv_window(struct tcp_conn *c)
{
	uint32_t limit = limit_of(c), possible, gain, step;

	if (!conn_synchronised(c)) {
		/* A SYN: nothing was advertised before. */
		uint32_t window = limit < 65535 ? limit : 65535;

		c->rcv_adv = c->rcv_nxt + window;
		return window;
	}
	possible = edge_possible(c, limit);
	gain = seq_gt(possible, c->rcv_adv) ? possible - c->rcv_adv : 0;
	step = limit / 2 < c->rcv_mss ? limit / 2 : c->rcv_mss;
	/* MUST-39: the edge moves only by min(buffer / 2, MSS) or more. */
	if (gain > 0 && gain >= step)
		c->rcv_adv = possible;
	return recv_window_open(c);
}

void recv_duplicate(struct tcp_conn *c, uint32_t start, uint32_t end)
{
	if (!c->sack_on || !seq_lt(start, end))
		return;
	c->duplicate = (struct sack_block){ start, end };
	c->ack_now = true;
	conn_ready(c);
}

void recv_data(struct tcp_conn *c, const struct tcp_segment *s)
{
	c->data_received += s->segments;
	c->data_arrived = c->stack->now;
	if (s->seq == c->rcv_nxt)
		in_order(c, s);
	else
		out_of_order(c, s);
}

/* Memory was refused and may be had by now: the peer keeps to the window and would never fill what there is. */
RARELY_CALLED void ask_again(struct tcp_conn *c)
{
	struct bytering *r = &c->ep->receive;
	uint32_t want = power_of_two(c->rcv_limit);

	if (r->next.size != 0 || c->stack->memory_pressed)
		return;
	ep_lend(c->stack, c->ep, EP_RECEIVE, want);
	c->receive_short = bytering_capacity(r) < want;
}

void recv_consumed(struct tcp_conn *c)
{
	uint32_t open = recv_window_open(c), limit, possible, gain, step;

	if (c->receive_short)
		ask_again(c);
	limit = limit_of(c);
	possible = edge_possible(c, limit);
	gain = seq_gt(possible, c->rcv_adv) ? possible - c->rcv_adv : 0;
	step = limit / 2 < c->rcv_mss ? limit / 2 : c->rcv_mss;
	if (c->socket.state != TCP_ESTABLISHED && c->socket.state != TCP_FIN_WAIT_1 &&
	    c->socket.state != TCP_FIN_WAIT_2)
		return;
	if (gain >= step && (open < limit / 4 || gain >= limit / 2)) {
		c->ack_now = true;
		conn_ready(c);
	}
}
