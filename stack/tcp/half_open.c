/* SPDX-License-Identifier: BSD-3-Clause */
/* The passive side of SYN-RECEIVED (RFC 9293 3.10.7.4). A SYN costs one small object from a bounded pool; when it is
 * full, or the listener's share of it is, SYNs are answered by cookies and cost nothing (RFC 4987 3.6); without cookies the
 * oldest gives way, so that whoever answers within the time that the pool turns over in still gets in (3.2). The connection and its endpoint come to be with the last ACK. */
#include "half_open.h"

#include <errno.h>

#include "child.h"
#include "cookie.h"
#include "cookie_listen.h"
#include "fastopen.h"
#include "ecn.h"
#include "input.h"
#include "output.h"
#include "recv.h"
#include "user_timeout.h"

#define ANSWER_INTERVAL (500 * NSEC_PER_MSEC)
#define RESET_LIFE (60 * NSEC_PER_SEC) /* a child that was reset before its handshake still counts for so long, as in Linux */

static struct half_open *half_open_of(struct flow *f)
{
	return container_of(f, struct half_open, flow);
}

/* Its listener is done with it. */
static void leave_listener(struct half_open *h)
{
	if (!h->listener)
		return;
	list_remove(&h->listener_node);
	h->listener->half_open_count--;
	h->listener->fastopen_pending -= h->fast;
	h->listener = NULL;
}

static void forget(struct half_open *h)
{
	struct stack *s = h->stack;

	wheel_cancel(&s->wheel, &h->timer);
	if (h->fast)
		s->tcp->fastopen_requests--;
	else
		flow_remove(s, &h->flow);
	if (h->child)
		h->child->request = NULL;
	list_remove(&h->age_node);
	leave_listener(h);
	pool_put(&s->tcp->half_opens, h);
}

/* Whose settings hold: the child's, if it came with its SYN and perhaps has no listener any more. */
static const struct endpoint *endpoint_of(const struct half_open *h)
{
	return h->child ? h->child->ep : h->listener->ep;
}

static struct output_route route_of(const struct half_open *h)
{
	const struct endpoint *ep = endpoint_of(h);

	return (struct output_route){
		.path = &h->path,
		.ttl = ep->ttl,
		.tos = ep->tos & 0xfc,
		.dont_fragment = ep->mtu_discover != 0,
	};
}

static void refresh_path(struct half_open *h)
{
	struct path fresh;

	if (h->path.generation != h->stack->route_generation &&
	    route_find(h->stack, &h->flow.key.local, &h->flow.key.remote, &fresh) == 0)
		h->path = fresh;
}

/* The timestamp of a SYN-ACK; that of a cookie says what the SYN offered. */
static uint32_t stamp_of(const struct half_open *h)
{
	uint32_t now = conn_ts_now(h->stack, h->ts_offset);
	struct cookie_options options = { .scale_on = h->scale_on, .sack_on = h->sack_on, .ecn_on = h->ecn == ECN_CLASSIC, .scale = h->snd_scale };

	return h->cookie ? cookie_stamp(now, &options) : now;
}

void half_open_answer(struct half_open *h)
{
	const struct tcp_socket *socket = endpoint_of(h)->tcp;
	struct output_route route = route_of(h);
	struct tcp_segment seg = {
		.source = h->flow.key.local_port,
		.destination = h->flow.key.remote_port,
		.seq = h->iss,
		.ack = h->irs + 1,
		.flags = SEG_SYN | SEG_ACK,
		.window = h->window_field,
		.has = SEG_HAS_MSS,
		.mss = conn_mss_option(h->stack, &h->path, socket->options.max_segment),
		.scale = h->rcv_scale,
		.tsval = stamp_of(h),
		.tsecr = h->ts_recent,
	};

	if (h->ts_on)
		seg.has |= SEG_HAS_TS;
	if (h->sack_on)
		seg.has |= SEG_HAS_SACK_OK;
	if (h->scale_on)
		seg.has |= SEG_HAS_SCALE;
	if (h->fastopen_answer && h->retries == 0) { /* RFC 7413 4.2.2: not with a repetition */
		seg.has |= SEG_HAS_FASTOPEN;
		seg.fastopen = h->fastopen;
	}
	if (h->child) {
		uint32_t window = recv_window_open(h->child);

		seg.ack = h->child->rcv_nxt;
		seg.window = (uint16_t)(window < 65535 ? window : 65535);
	}
	ecn_fill_syn_ack(h, &seg);
	user_timeout_fill_syn(&h->stack->config.tcp, &socket->options, h->retries, &seg);
	h->sent_at = h->stack->now;
	output_bare(h->stack, &route, &seg);
}

/* <SEQ=SND.NXT><ACK=RCV.NXT><ACK>, for what is not acceptable; twice a second at most. */
static void send_ack(struct half_open *h)
{
	struct output_route route = route_of(h);
	struct tcp_segment seg = {
		.source = h->flow.key.local_port,
		.destination = h->flow.key.remote_port,
		.seq = h->iss + 1,
		.ack = h->irs + 1,
		.flags = SEG_ACK,
		.window = (uint16_t)(h->window >> h->rcv_scale),
		.has = h->ts_on ? SEG_HAS_TS : 0,
		.tsval = conn_ts_now(h->stack, h->ts_offset),
		.tsecr = h->ts_recent,
	};

	if (h->answered && h->stack->now - h->answered < ANSWER_INTERVAL)
		return;
	h->answered = h->stack->now ? h->stack->now : 1;
	output_bare(h->stack, &route, &seg);
}

static void send_reset(struct half_open *h)
{
	struct output_route route = route_of(h);
	struct tcp_segment seg = {
		.source = h->flow.key.local_port,
		.destination = h->flow.key.remote_port,
		.seq = h->iss + 1,
		.ack = h->irs + 1,
		.flags = SEG_RST | SEG_ACK,
	};

	count(h->stack, COUNT_TCP_RESETS_SENT);
	output_bare(h->stack, &route, &seg);
}

static void arm(struct half_open *h)
{
	const struct tcp_settings *settings = &h->stack->config.tcp;
	nsec wait = settings->rto_initial;

	for (unsigned i = 0; i < h->retries && wait < settings->rto_max; i++)
		wait *= 2;
	wheel_arm(&h->stack->wheel, &h->timer, h->stack->now + (wait < settings->rto_max ? wait : settings->rto_max));
}

/* The SYN-ACK again. One whose ACK came while the listener waited for data needs no other until that wait is over. */
static void expired(void *context, struct timer *t)
{
	struct half_open *h = container_of(t, struct half_open, timer);
	nsec deferred = h->acked ? h->listener->socket.options.defer_accept * NSEC_PER_SEC : 0;

	(void)context;
	if (h->fast && !h->child) {
		forget(h);
		return;
	}
	if (h->retries >= h->stack->config.tcp.syn_ack_retries) {
		if (h->child) {
			count(h->stack, COUNT_TCP_ABORTED);
			conn_end(h->child, ETIMEDOUT); /* which forgets this */
		} else {
			forget(h);
		}
		return;
	}
	h->retries++;
	refresh_path(h);
	if (!h->acked || h->stack->now - h->created >= deferred) {
		count(h->stack, COUNT_TCP_RETRANSMITTED);
		half_open_answer(h);
	}
	arm(h);
}

static struct half_open *take_place(struct stack *s)
{
	struct half_open *h = pool_take_or_null(&s->tcp->half_opens);
	struct list *oldest = list_first_or_null(&s->tcp->half_open_age);

	if (h || !oldest)
		return h;
	count(s, COUNT_TCP_HALF_OPEN_EVICTED);
	forget(container_of(oldest, struct half_open, age_node));
	return pool_take_or_null(&s->tcp->half_opens);
}

void half_open_negotiate(struct half_open *h, const struct tcp_segment *s)
{
	const struct tcp_settings *settings = &h->stack->config.tcp;
	const struct endpoint *ep = h->listener->ep;

	h->mss = s->has & SEG_HAS_MSS && s->mss ? s->mss : TCP_MSS_DEFAULT;
	h->ts_on = settings->timestamps && s->has & SEG_HAS_TS;
	h->sack_on = settings->sack && s->has & SEG_HAS_SACK_OK;
	h->scale_on = settings->window_scaling && s->has & SEG_HAS_SCALE;
	if (h->scale_on) {
		h->snd_scale = s->scale;
		h->rcv_scale = conn_scale_for(ep->receive_max);
	}
	if (h->ts_on) {
		h->ts_recent = s->tsval;
		h->ts_offset = conn_ts_offset(h->stack, &h->flow.key);
	}
	ecn_asked(h, s);
	h->remote_uto = s->has & SEG_HAS_UTO ? s->uto : 0;
	h->window = settings->receive_buffer_initial;
	if (ep->receive_fixed || h->window > ep->receive_max)
		h->window = ep->receive_max;
	if (h->window > 65535)
		h->window = 65535;
	h->window_field = (uint16_t)h->window;
}

/* SYN-RECEIVED: what comes before the ACK field matters. True: go on. */
static bool half_open_acceptable(struct half_open *h, struct tcp_segment *seg)
{
	struct stack *s = h->stack;
	uint32_t rcv_nxt = h->irs + 1;

	if (seg->flags & SEG_RST) {
		drop_count(s, DROP_TCP_RESET);
		if (seg->seq == rcv_nxt)
			forget(h); /* MUST-11: back to LISTEN, and nobody was told */
		else if (seq_within(seg->seq, rcv_nxt, h->window))
			send_ack(h);
		return false;
	}
	if (seg->flags & SEG_SYN) {
		drop_count(s, DROP_TCP_SYN);
		if (seg->seq == h->irs && !(seg->flags & SEG_ACK) && !ecn_asked_again(h, seg)) {
			send_reset(h);
			forget(h);
		} else if (seg->seq == h->irs && !(seg->flags & SEG_ACK)) {
			refresh_path(h);
			half_open_answer(h); /* our SYN-ACK was lost, or is slow */
		} else {
			send_ack(h);
		}
		return false;
	}
	if (h->ts_on && seg->has & SEG_HAS_TS && (int32_t)(seg->tsval - h->ts_recent) < 0) {
		drop_count(s, DROP_TCP_PAWS);
		send_ack(h);
		return false;
	}
	if (!recv_acceptable(rcv_nxt, h->window, seg->seq, segment_space(seg))) {
		drop_count(s, DROP_TCP_SEQUENCE);
		send_ack(h);
		return false;
	}
	return true;
}

void half_open_new(struct stack *s, struct tcp_listener *l, const struct tcp_segment *seg,
	const struct flow_key *key, uint32_t isn)
{
	struct half_open *h;
	struct path path;

	if (l->queued > l->backlog) {
		drop_count(s, DROP_TCP_BACKLOG);
		return;
	}
	if (route_find(s, &key->local, &key->remote, &path) < 0) {
		drop_count(s, DROP_IP_NO_ROUTE);
		return;
	}
	if (!isn && cookie_wanted(s, l)) {
		struct half_open passing = {
			.stack = s, .listener = l, .path = path, .flow.key = *key, .irs = seg->seq,
		};

		cookie_answer(&passing, seg);
		return;
	}
	h = take_place(s);
	if (!h) {
		drop_count(s, DROP_TCP_NO_MEMORY);
		return;
	}
	h->stack = s;
	h->listener = l;
	h->timer.fire = expired;
	h->path = path;
	h->flow.key = *key;
	h->flow.kind = FLOW_HALF_OPEN;
	h->created = s->now;
	h->irs = seg->seq;
	h->iss = isn ? isn : conn_isn(s, key);
	half_open_negotiate(h, seg);
	list_append(&l->half_opens, &h->listener_node);
	l->half_open_count++;
	if (!fastopen_accept(h, seg)) {
		flow_insert(s, &h->flow);
		list_append(&s->tcp->half_open_age, &h->age_node);
	}
	half_open_answer(h);
	arm(h);
}

void half_open_forget_all(struct tcp_listener *l)
{
	list_for_each(node, &l->half_opens) {
		struct half_open *h = container_of(node, struct half_open, listener_node);

		if (h->child)
			leave_listener(h); /* it may have been accepted, and its handshake goes on */
		else
			forget(h);
	}
}

void half_open_acked(struct half_open *h)
{
	forget(h);
}

void half_open_reset(struct half_open *h)
{
	h->child->request = NULL;
	h->child = NULL;
	if (h->listener)
		wheel_arm(&h->stack->wheel, &h->timer, h->stack->now + RESET_LIFE);
	else
		forget(h);
}

void half_open_input(struct stack *s, struct flow *f, struct tcp_segment *seg, const struct ip_received *ip)
{
	struct half_open *h = half_open_of(f);
	struct tcp_listener *l = h->listener;
	struct tcp_conn *c;
	bool refused;

	if (!half_open_acceptable(h, seg))
		return;
	if (!(seg->flags & SEG_ACK)) {
		drop_count(s, DROP_TCP_NO_ACK);
		return;
	}
	if (seg->ack != h->iss + 1) {
		drop_count(s, DROP_TCP_ACK);
		output_reset_for(s, ip, seg);
		return;
	}
	if (l->queued > l->backlog) {
		/* As Linux: the ACK is forgotten, the SYN-ACK comes again. */
		drop_count(s, DROP_TCP_BACKLOG);
		return;
	}
	if (l->socket.options.defer_accept && seg->len == 0 && !(seg->flags & SEG_FIN) &&
	    s->now - h->created < l->socket.options.defer_accept * NSEC_PER_SEC) {
		h->acked = true;
		drop_count(s, DROP_TCP_DEFERRED);
		return;
	}
	c = child_new(h, seg, &refused);
	if (!c && !refused)
		return; /* the SYN-ACK comes again; there may be a place then */
	forget(h);
	if (c) {
		child_begin(l, c);
		input_segment(c, seg, ip);
	} else {
		output_reset_for(s, ip, seg);
	}
}

size_t half_open_size(void)
{
	return sizeof(struct half_open);
}

bool half_open_info(const struct stack *s, uint32_t i, struct ep_info *info)
{
	const struct half_open *h = pool_at_or_null(&s->tcp->half_opens, i);

	if (!h || h->fast)
		return false; /* its child is shown */
	*info = (struct ep_info){
		.owner = h->listener->ep->owner,
		.type = EP_STREAM,
		.state = TCP_SYN_RECEIVED,
		.local = { h->flow.key.local, h->flow.key.local_port },
		.peer = { h->flow.key.remote, h->flow.key.remote_port },
		.retransmits = h->retries,
		.timestamps = h->ts_on,
		.sack = h->sack_on,
		.window_scaling = h->scale_on,
		.cc = "",
	};
	return true;
}
