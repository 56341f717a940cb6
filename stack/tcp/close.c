/* SPDX-License-Identifier: BSD-3-Clause */
/* RFC 9293 3.6 and 3.10.4 (closing), 3.10.7.4 eighth (FIN), 3.6.1, RFC 6191 and RFC 1337 (TIME-WAIT); RFC 2525 2.17 (reset when
 * received bytes are thrown away). */
#include "close.h"

#include <errno.h>

#include "gaps.h"
#include "output.h"
#include "recv.h"
#include "timers.h"

#define ANSWER_INTERVAL (500 * NSEC_PER_MSEC)
#define REUSE_AFTER NSEC_PER_SEC

/* What TIME-WAIT has to remember; found through its flow. */
struct time_wait {
	struct flow flow;
	struct timer timer;
	struct list age_node;
	struct stack *stack;
	nsec since, answered;
	uint32_t snd_nxt, rcv_nxt, window, ts_recent, ts_offset;
	uint16_t window_field;
	bool ts_on;
	uint8_t ttl, tos;
};

static struct time_wait *time_wait_of(struct flow *f)
{
	return container_of(f, struct time_wait, flow);
}

static void forget(struct stack *s, struct time_wait *t)
{
	wheel_cancel(&s->wheel, &t->timer);
	flow_remove(s, &t->flow);
	list_remove(&t->age_node);
	pool_put(&s->tcp->time_waits, t);
}

static void expired(void *context, struct timer *timer)
{
	struct time_wait *t = container_of(timer, struct time_wait, timer);

	(void)context;
	forget(t->stack, t);
}

static void wait_again(struct stack *s, struct time_wait *t)
{
	wheel_arm(&s->wheel, &t->timer, s->now + 2 * s->config.tcp.msl);
	list_remove(&t->age_node);
	list_append(&s->tcp->time_wait_age, &t->age_node);
}

/* A place in the pool; the oldest TIME-WAIT makes room. NULL: the pool has none at all. */
static struct time_wait *take_place(struct stack *s)
{
	struct time_wait *t = pool_take_or_null(&s->tcp->time_waits);
	struct list *oldest = list_first_or_null(&s->tcp->time_wait_age);

	if (t || !oldest)
		return t;
	count(s, COUNT_TCP_TIME_WAIT_EVICTED);
	forget(s, container_of(oldest, struct time_wait, age_node));
	return pool_take_or_null(&s->tcp->time_waits);
}

static void answer(struct stack *s, struct time_wait *t)
{
	struct path path;
	struct output_route route = { &path, t->ttl, t->tos, true };
	struct tcp_segment seg = {
		.source = t->flow.key.local_port,
		.destination = t->flow.key.remote_port,
		.seq = t->snd_nxt,
		.ack = t->rcv_nxt,
		.flags = SEG_ACK,
		.window = t->window_field,
		.has = t->ts_on ? SEG_HAS_TS : 0,
		.tsval = conn_ts_now(s, t->ts_offset),
		.tsecr = t->ts_recent,
	};

	if (t->answered && s->now - t->answered < ANSWER_INTERVAL)
		return;
	if (route_find(s, &t->flow.key.local, &t->flow.key.remote, &path) < 0)
		return;
	t->answered = s->now ? s->now : 1;
	output_bare(s, &route, &seg);
}

/* RFC 6191 2, all its cases; without timestamps RFC 1122 4.2.2.13. */
static bool syn_is_newer(const struct time_wait *t, const struct tcp_segment *s)
{
	bool beyond = seq_gt(s->seq, t->rcv_nxt - 1);

	if (t->ts_on && s->has & SEG_HAS_TS)
		return (int32_t)(s->tsval - t->ts_recent) > 0 || (s->tsval == t->ts_recent && beyond);
	if (!t->ts_on && s->has & SEG_HAS_TS)
		return true;
	return beyond;
}

static uint32_t isn_beyond(const struct stack *s, const struct time_wait *t)
{
	uint32_t isn = conn_isn(s, &t->flow.key), least = t->snd_nxt + 65537;

	isn = seq_gt(isn, least) ? isn : least;
	return isn ? isn : 1;
}

void close_send_side(struct tcp_conn *c)
{
	if (c->fin_wanted)
		return;
	switch (c->socket.state) {
	case TCP_ESTABLISHED:
		conn_set_state(c, TCP_FIN_WAIT_1);
		break;
	case TCP_CLOSE_WAIT:
		conn_set_state(c, TCP_LAST_ACK);
		break;
	default:
		return;
	}
	bytering_sync_head(&c->ep->send);
	c->fin_wanted = true;
	conn_ready(c);
}

void close_by_owner(struct tcp_conn *c)
{
	struct stack *s = c->stack;
	struct endpoint *ep = c->ep;

	bytering_sync_tail(&ep->receive);
	switch (c->socket.state) {
	case TCP_ESTABLISHED:
	case TCP_CLOSE_WAIT:
	case TCP_FIN_WAIT_1:
	case TCP_FIN_WAIT_2:
		if (ep->linger == 0 ||
		    (settings_of(c)->close_unread_resets && bytering_used(&ep->receive) > 0)) {
			conn_abort(c, 0);
			return;
		}
		break;
	case TCP_SYN_RECEIVED:
		conn_abort(c, 0);
		return;
	case TCP_SYN_SENT:
		if (c->syn_data && ep->linger != 0)
			return; /* what was written is on the way: the FIN follows the handshake, or its failure ends it */
		conn_end(c, 0);
		return;
	case TCP_CLOSED:
		conn_end(c, 0);
		return;
	case TCP_TIME_WAIT:
		conn_free(c);
		ep_release(s, ep);
		return;
	default:
		break;
	}
	/* As Linux's tcp_max_orphans: those who open and close without end must not fill all memory. */
	if (s->tcp->orphans >= settings_of(c)->max_orphans) {
		count(s, COUNT_TCP_ORPHANS_RESET);
		conn_abort(c, 0);
		return;
	}
	c->orphan = true;
	s->tcp->orphans++;
	close_send_side(c);
	if (c->socket.state == TCP_FIN_WAIT_2)
		close_fin_wait_2(c);
}

void close_fin_wait_2(struct tcp_conn *c)
{
	int32_t own = c->socket.options.linger2;

	if (c->socket.state == TCP_FIN_WAIT_1)
		conn_set_state(c, TCP_FIN_WAIT_2);
	if (!c->ep->closed)
		return;
	/* RFC 9293 3.6: a peer that never closes must not hold us for ever. */
	timers_limit_life(c, own < 0 ? 0 : own > 0 ? (uint32_t)own * NSEC_PER_SEC : settings_of(c)->fin_wait_2);
}

enum verdict close_fin_received(struct tcp_conn *c)
{
	c->rcv_nxt++;
	c->fin_received = true;
	gaps_forget(c); /* nothing follows a FIN: what came from beyond it was never there */
	if (seq_lt(c->rcv_adv, c->rcv_nxt))
		c->rcv_adv = c->rcv_nxt;
	c->ack_now = true;
	conn_ready(c);
	ep_event_raise(c->stack, c->ep, EP_READABLE | EP_READ_CLOSED);
	switch (c->socket.state) {
	case TCP_ESTABLISHED:
		conn_set_state(c, TCP_CLOSE_WAIT);
		return NEXT;
	case TCP_FIN_WAIT_1:
		if (!conn_fin_acked(c)) {
			conn_set_state(c, TCP_CLOSING);
			return NEXT;
		}
		break;
	case TCP_FIN_WAIT_2:
		break;
	default:
		return NEXT;
	}
	output_ack(c);
	close_time_wait(c);
	return DONE;
}

void close_time_wait(struct tcp_conn *c)
{
	struct stack *s = c->stack;
	struct endpoint *ep = c->ep;
	struct time_wait *t = take_place(s);

	c->in_flows = false;
	if (!t) {
		flow_remove(s, &c->flow);
	} else {
		t->flow.kind = FLOW_TIME_WAIT;
		flow_replace(s, &c->flow, &t->flow);
		t->stack = s;
		t->timer.fire = expired;
		t->since = s->now;
		t->snd_nxt = c->snd_max;
		t->rcv_nxt = c->rcv_nxt;
		t->window = recv_window_open(c);
		t->window_field = (uint16_t)(t->window >> (c->scale_on ? c->rcv_scale : 0));
		t->ts_recent = c->ts_recent;
		t->ts_offset = c->ts_offset;
		t->ts_on = c->ts_on;
		t->ttl = ep->ttl;
		t->tos = ep->tos & 0xfc;
		wait_again(s, t);
	}
	conn_set_state(c, TCP_TIME_WAIT);
	timers_stop(c);
	list_remove(&c->ready_node);
	c->detached = true;
	if (ep->closed) {
		conn_free(c);
		ep_release(s, ep);
		return;
	}
	ep_event_raise(s, ep, EP_READABLE | EP_READ_CLOSED | EP_HANGUP);
}

bool close_time_wait_input(struct stack *s, struct flow *f, const struct tcp_segment *seg,
	const struct ip_received *ip, uint32_t *isn)
{
	struct time_wait *t = time_wait_of(f);

	(void)ip;
	if (seg->flags & SEG_RST) {
		/* RFC 1337 3, F1: none ends it, or an old duplicate could by way of the reset that our answer draws. */
		drop_count(s, DROP_TCP_TIME_WAIT);
		return false;
	}
	if (seg->flags & SEG_SYN && !(seg->flags & SEG_ACK) && syn_is_newer(t, seg)) {
		*isn = isn_beyond(s, t);
		forget(s, t);
		return true;
	}
	drop_count(s, DROP_TCP_TIME_WAIT);
	if (seg->flags & SEG_SYN) {
		answer(s, t);
		return false;
	}
	if (seg->flags & SEG_FIN && seg->seq + seg->len == t->rcv_nxt - 1) {
		/* The peer did not get our ACK (MUST-13): answer each, and wait 2 MSL again. */
		t->answered = 0;
		wait_again(s, t);
	}
	if (segment_space(seg) > 0 || seg->seq != t->rcv_nxt)
		answer(s, t);
	return false;
}

bool tcp_may_reuse(const struct stack *s, struct flow *f)
{
	const struct time_wait *t;

	if (f->kind != FLOW_TIME_WAIT)
		return false;
	t = time_wait_of(f);
	return t->ts_on && s->now - t->since >= REUSE_AFTER;
}

bool close_time_wait_reusable(struct stack *s, const struct flow_key *key, uint32_t *isn)
{
	struct flow *f = flow_find(s, key);
	struct time_wait *t;

	if (!f || !tcp_may_reuse(s, f))
		return false;
	t = time_wait_of(f);
	*isn = isn_beyond(s, t);
	forget(s, t);
	return true;
}

size_t close_time_wait_size(void)
{
	return sizeof(struct time_wait);
}

bool close_time_wait_info(const struct stack *s, uint32_t i, struct ep_info *info)
{
	const struct time_wait *t = pool_at_or_null(&s->tcp->time_waits, i);

	if (!t)
		return false;
	*info = (struct ep_info){
		.type = EP_STREAM,
		.state = TCP_TIME_WAIT,
		.local = { t->flow.key.local, t->flow.key.local_port },
		.peer = { t->flow.key.remote, t->flow.key.remote_port },
		.timestamps = t->ts_on,
		.cc = "",
	};
	return true;
}
