/* SPDX-License-Identifier: BSD-3-Clause */
/* From what a half-open connection knew to a connection with an endpoint of its own: what it inherits from its
 * listener, and whose it is. */
#include "child.h"

#include "ecn.h"
#include "listen.h"
#include "recv.h"
#include "user_timeout.h"

/* What a child inherits from its listener. */
static void inherit(struct endpoint *child, const struct endpoint *from)
{
	child->receive_max = from->receive_max;
	child->send_max = from->send_max;
	child->receive_low = from->receive_low;
	child->ttl = from->ttl;
	child->tos = from->tos;
	child->reuse_addr = from->reuse_addr;
	child->reuse_port = from->reuse_port;
	child->keepalive = from->keepalive;
	child->recv_err = from->recv_err;
	child->oob_inline = from->oob_inline;
	child->receive_fixed = from->receive_fixed;
	child->mtu_discover = from->mtu_discover;
	child->linger = from->linger;
}

/* All that the half-open connection knew. */
static void take_over(struct tcp_conn *c, const struct half_open *h, const struct tcp_segment *seg)
{
	const struct tcp_settings *settings = settings_of(c);

	c->passive = true;
	c->socket.options = h->listener->socket.options;
	c->flow.key = h->flow.key;
	c->flow.kind = FLOW_CONNECTION;
	c->path = h->path;
	c->iss = h->iss;
	c->irs = h->irs;
	c->snd_una = c->snd_nxt = c->snd_max = c->snd_up = h->iss + 1;
	c->rcv_nxt = h->irs + 1;
	c->rcv_limit = recv_limit_first(c);
	c->rcv_adv = c->rcv_nxt + h->window;
	c->last_ack_sent = c->rcv_nxt;
	c->peer_mss = h->mss;
	c->rcv_mss = conn_mss_option(h->stack, &h->path, c->socket.options.max_segment);
	c->ts_on = h->ts_on;
	c->ts_recent = h->ts_recent;
	c->ts_recent_at = seconds_now(c);
	c->ts_offset = h->ts_offset;
	c->sack_on = h->sack_on;
	c->scale_on = h->scale_on;
	c->snd_scale = h->snd_scale;
	c->rcv_scale = h->rcv_scale;
	c->snd_wnd = (uint32_t)seg->window << h->snd_scale;
	c->max_snd_wnd = c->snd_wnd;
	c->snd_wl1 = seg->seq;
	c->snd_wl2 = seg->ack;
	ecn_inherit(c, h);
	user_timeout_begin(c, h->remote_uto);
	c->retransmits = h->retries;
	c->syn_retransmitted = h->retries > 0;
	if (h->sent_at == 0)
		return; /* no SYN-ACK went out yet, or (a cookie) nobody knows when: its timestamp had other things to say */
	if (h->retries == 0 && !h->acked)
		rtt_sample(&c->rtt, settings, h->stack->now - h->sent_at);
	else if (h->ts_on && seg->has & SEG_HAS_TS && conn_ts_now(h->stack, h->ts_offset) - seg->tsecr < 60000)
		rtt_sample(&c->rtt, settings,
			(conn_ts_now(h->stack, h->ts_offset) - seg->tsecr) * NSEC_PER_MSEC);
}

/* The host decides whose the child is, and lends the words for its indices. */
static bool adopt(struct stack *s, struct endpoint *listener, struct endpoint *child)
{
	const struct ep_host *host = &s->config.host;
	struct ep_sharing sharing = { 0 };

	if (!host->adopt(host->context, listener->id, listener->owner, child->id, &child->owner, &sharing))
		return false;
	if (sharing.receive_head) {
		bytering_share(&child->receive, sharing.receive_head, sharing.receive_tail);
		bytering_share(&child->send, sharing.send_head, sharing.send_tail);
	}
	return true;
}

struct tcp_conn *child_new(const struct half_open *h, const struct tcp_segment *seg, bool *refused)
{
	struct stack *s = h->stack;
	struct tcp_listener *l = h->listener;
	struct endpoint *child = ep_new(s, EP_STREAM, l->ep->owner);
	struct tcp_conn *c;

	*refused = false;
	if (!child) {
		drop_count(s, DROP_TCP_NO_MEMORY);
		return NULL;
	}
	inherit(child, l->ep);
	child->local = (struct ep_name){ h->flow.key.local, h->flow.key.local_port };
	child->peer = (struct ep_name){ h->flow.key.remote, h->flow.key.remote_port };
	c = conn_new(s, child);
	if (!c || !adopt(s, l->ep, child)) {
		if (c)
			conn_free(c);
		ep_release(s, child);
		drop_count(s, DROP_TCP_NO_MEMORY);
		*refused = true;
		return NULL;
	}
	take_over(c, h, seg);
	return c;
}

void child_begin(struct tcp_listener *l, struct tcp_conn *c)
{
	flow_insert(c->stack, &c->flow);
	c->in_flows = true;
	conn_set_state(c, TCP_SYN_RECEIVED);
	conn_established(c);
	count(c->stack, COUNT_TCP_PASSIVE_OPENS);
	listen_enqueue(l, c);
}
