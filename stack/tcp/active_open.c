/* SPDX-License-Identifier: BSD-3-Clause */
/* RFC 9293 3.10.1 (OPEN), 3.10.7.3 (SYN-SENT), figure 8 (simultaneous open); RFC 7323 and RFC 2018 negotiation; Fast Open
 * as a client (RFC 7413 4.2.1). */
#include "active_open.h"

#include <errno.h>

#include "close.h"
#include "fastopen_cookie.h"
#include "ecn.h"
#include "output.h"
#include "recv.h"
#include "timers.h"
#include "user_timeout.h"

/* What the peer's SYN offers and we offered too. */
static void negotiate(struct tcp_conn *c, const struct tcp_segment *s)
{
	c->peer_mss = s->has & SEG_HAS_MSS && s->mss ? s->mss : TCP_MSS_DEFAULT;
	c->ts_on = c->ts_on && s->has & SEG_HAS_TS;
	c->sack_on = c->sack_on && s->has & SEG_HAS_SACK_OK;
	c->scale_on = c->scale_on && s->has & SEG_HAS_SCALE;
	if (c->scale_on)
		c->snd_scale = s->scale;
	else
		c->rcv_scale = 0;
	if (c->ts_on) {
		c->ts_recent = s->tsval;
		c->ts_recent_at = seconds_now(c);
	}
}

/* The peer's SYN is in: its numbers become ours to follow. */
static void take_syn(struct tcp_conn *c, const struct tcp_segment *s)
{
	uint32_t offered = c->rcv_adv - c->rcv_nxt;

	c->irs = s->seq;
	c->rcv_nxt = s->seq + 1;
	c->rcv_adv = c->rcv_nxt + offered;
	c->last_ack_sent = c->rcv_nxt;
	if (s->has & SEG_HAS_UTO)
		user_timeout_received(c, s);
	negotiate(c, s);
}

/* RFC 9293: SND.WND, SND.WL1 and SND.WL2 of the segment that establishes. */
static void take_first_window(struct tcp_conn *c, const struct tcp_segment *s, bool scaled)
{
	c->snd_wnd = (uint32_t)s->window << (scaled && c->scale_on ? c->snd_scale : 0);
	c->max_snd_wnd = c->snd_wnd > c->max_snd_wnd ? c->snd_wnd : c->max_snd_wnd;
	c->snd_wl1 = s->seq;
	c->snd_wl2 = s->ack;
}

static void take_handshake_rtt(struct tcp_conn *c, const struct tcp_segment *s)
{
	nsec rtt = 0;

	if (!c->syn_retransmitted)
		rtt = c->stack->now - c->timed_at;
	else if (c->ts_on && s->has & SEG_HAS_TS)
		rtt = (conn_ts_now(c->stack, c->ts_offset) - s->tsecr) * NSEC_PER_MSEC;
	if (rtt && rtt <= settings_of(c)->rto_max)
		rtt_sample(&c->rtt, settings_of(c), rtt);
}

/* What the answer to our SYN says of Fast Open. */
static void take_fastopen(struct tcp_conn *c, const struct tcp_segment *s)
{
	bool cookie = s->has & SEG_HAS_FASTOPEN && s->fastopen.len > 0;

	if (!c->fastopen_on)
		return;
	if (cookie)
		fastopen_learn(c->stack, &c->flow.key, &s->fastopen, c->peer_mss);
	if (!c->syn_data)
		return;
	if (c->syn_data_acked)
		fastopen_worked(c->stack, &c->flow.key);
	else
		count(c->stack, COUNT_TCP_FASTOPEN_SENT_FAILED);
	/* RFC 7413 4.1.3.1: with a fresh cookie it was only the old one that was wrong. */
	if (!c->syn_data_acked && !cookie && !c->syn_retransmitted)
		fastopen_failed(c->stack, &c->flow.key);
}

/* What of the SYN's data was acknowledged leaves the ring; the rest was never sent. */
static void take_syn_ack(struct tcp_conn *c, uint32_t ack)
{
	struct endpoint *ep = c->ep;
	uint32_t acked = ack - (c->iss + 1);

	c->snd_una = c->snd_nxt = c->snd_max = ack;
	if (acked == 0)
		return;
	c->syn_data_acked = true;
	c->bytes_acked += acked;
	bytering_release(&ep->send, ep->send.tail + acked);
	ep_settle(c->stack, ep, EP_SEND);
}

static void complete(struct tcp_conn *c, const struct tcp_segment *s, bool scaled)
{
	take_handshake_rtt(c, s);
	take_syn_ack(c, s->ack);
	take_fastopen(c, s);
	c->snd_up = c->snd_una;
	c->timed = false;
	take_first_window(c, s, scaled);
	conn_established(c);
	ep_event_raise(c->stack, c->ep, EP_CONNECTED | EP_WRITABLE);
	/* RFC 9293 3.10.4: a shutdown in SYN-RECEIVED was queued until now. */
	if (c->ep->shut & EP_SHUT_WRITE || c->ep->closed)
		close_send_side(c);
	if (c->syn_data)
		conn_ready(c);
}

static int choose_names(struct tcp_conn *c, const struct ep_name *peer)
{
	struct stack *s = c->stack;
	struct endpoint *ep = c->ep;
	struct ipaddr remote = peer->addr;
	int error;

	/* As Linux: nowhere in particular is this host. */
	if (ipaddr_is_any(&remote))
		remote = ipaddr_is_any(&ep->local.addr) ? ipaddr_from_ip4(__builtin_bswap32(0x7f000001)) : ep->local.addr;
	if (route_to_many(s, &remote))
		return -ENETUNREACH;
	error = route_find(s, &ep->local.addr, &remote, &c->path);
	if (error < 0)
		return error;
	c->flow.key.local = c->path.source;
	c->flow.key.remote = c->path.destination;
	c->flow.key.remote_port = peer->port;
	c->flow.key.local_port = ep->local.port;
	if (ep->local.port == 0) {
		struct ep_name to = { c->path.destination, peer->port };

		c->flow.key.local_port = port_choose(s, EP_STREAM, &c->path.source, &to);
		if (c->flow.key.local_port == 0)
			return -EADDRNOTAVAIL;
	} else if ((error = port_pin(s, ep, &c->flow)) < 0) {
		return error;
	}
	if (flow_find(s, &c->flow.key) && !close_time_wait_reusable(s, &c->flow.key, &c->iss))
		return -EADDRNOTAVAIL;
	return 0;
}

/* RFC 7413 4.2.1: with a cookie the SYN waits for data. */
static bool defer_syn(struct tcp_conn *c)
{
	struct fastopen_cookie cookie;
	uint16_t mss;

	if (!c->socket.options.fastopen_connect || !(settings_of(c)->fastopen & TCP_FASTOPEN_CLIENT))
		return false;
	switch (fastopen_recall(c->stack, &c->flow.key, &cookie, &mss)) {
	case FASTOPEN_AVOID:
		return false;
	case FASTOPEN_ASK:
		c->fastopen_on = true;
		return false;
	case FASTOPEN_DATA:
		break;
	}
	c->fastopen_on = c->syn_deferred = true;
	c->send_base = c->iss + 1 - c->ep->send.tail;
	return true;
}

int active_open(struct tcp_conn *c, const struct ep_name *peer)
{
	const struct tcp_settings *settings = settings_of(c);
	struct endpoint *ep = c->ep;
	int error;

	if (peer->port == 0)
		return -ECONNREFUSED;
	error = choose_names(c, peer);
	if (error < 0)
		return error;
	ep->local = (struct ep_name){ c->flow.key.local, c->flow.key.local_port };
	ep->peer = (struct ep_name){ c->flow.key.remote, c->flow.key.remote_port };
	c->flow.kind = FLOW_CONNECTION;
	flow_insert(c->stack, &c->flow);
	c->in_flows = true;
	if (c->iss == 0)
		c->iss = conn_isn(c->stack, &c->flow.key);
	c->ts_offset = conn_ts_offset(c->stack, &c->flow.key);
	c->snd_una = c->iss;
	c->snd_nxt = c->snd_max = c->iss + 1;
	c->snd_up = c->snd_una;
	c->ts_on = settings->timestamps;
	c->sack_on = settings->sack;
	c->scale_on = settings->window_scaling;
	c->rcv_scale = conn_scale_for(ep->receive_max);
	c->rcv_limit = recv_limit_first(c);
	c->timed_at = c->stack->now;
	user_timeout_begin(c, 0);
	conn_set_state(c, TCP_SYN_SENT);
	count(c->stack, COUNT_TCP_ACTIVE_OPENS);
	if (defer_syn(c)) {
		ep_event_raise(c->stack, ep, EP_CONNECTED | EP_WRITABLE);
		return 0;
	}
	output_syn(c);
	timers_data_sent(c);
	return -EINPROGRESS;
}

void active_open_with_data(struct tcp_conn *c)
{
	uint32_t queued = conn_send_end(c) - (c->iss + 1);
	struct fastopen_cookie cookie = { 0 };
	uint16_t mss = TCP_MSS_DEFAULT;

	if (queued == 0)
		return;
	c->syn_deferred = false;
	c->timed_at = c->stack->now;
	/* The cookie may have been forgotten meanwhile, or the way have failed: an ordinary SYN then, and a request. */
	if (fastopen_recall(c->stack, &c->flow.key, &cookie, &mss) == FASTOPEN_DATA) {
		c->syn_data = true;
		c->snd_max = c->iss + 1 + output_syn_data(c, &cookie, mss, queued);
		count(c->stack, COUNT_TCP_FASTOPEN_SENT);
	} else {
		output_syn(c);
	}
	timers_data_sent(c);
}

/* RFC 9293 3.10.7.3, its five steps. */
enum verdict active_open_input(struct tcp_conn *c, struct tcp_segment *s, enum drop *why)
{
	bool ack = s->flags & SEG_ACK;

	*why = DROP_TCP_SYN_SENT;
	if (ack && (seq_leq(s->ack, c->iss) || seq_gt(s->ack, c->snd_max)))
		return s->flags & SEG_RST ? DROP : RESET;
	if (s->flags & SEG_RST) {
		if (!ack)
			return DROP;
		conn_end(c, ECONNREFUSED);
		return DONE;
	}
	if (!(s->flags & SEG_SYN))
		return DROP;
	take_syn(c, s);
	if (!ack) {
		conn_set_state(c, TCP_SYN_RECEIVED);
		c->snd_wnd = s->window;
		output_syn(c);
		return NEXT;
	}
	ecn_answered(c, s);
	complete(c, s, false);
	s->flags &= (uint8_t)~SEG_SYN;
	s->seq++;
	c->ack_now = true;
	conn_ready(c);
	return NEXT;
}

void active_open_complete(struct tcp_conn *c, const struct tcp_segment *s)
{
	complete(c, s, true);
}

bool active_open_timeout(struct tcp_conn *c)
{
	const struct tcp_settings *settings = settings_of(c);
	unsigned retries = c->socket.options.syn_count;

	if (retries == 0)
		retries = c->socket.state == TCP_SYN_RECEIVED ? settings->syn_ack_retries : settings->syn_retries;
	if (c->retransmits >= retries ||
	    (c->socket.options.user_timeout &&
	     c->stack->now - c->stalled_since >= timers_user_timeout(c))) {
		/* MUST-22: a soft ICMP error tells more than the timeout. */
		conn_end(c, c->soft_error ? c->soft_error : ETIMEDOUT);
		return false;
	}
	if (c->syn_data && !c->syn_retransmitted)
		fastopen_failed(c->stack, &c->flow.key); /* it may be what got lost (RFC 7413 4.1.3.1) */
	c->retransmits++;
	c->backoff++;
	c->syn_retransmitted = true;
	count(c->stack, COUNT_TCP_RETRANSMITTED);
	conn_refresh_path(c);
	output_syn(c);
	timers_restart(c);
	return true;
}
