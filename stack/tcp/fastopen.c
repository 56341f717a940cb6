/* SPDX-License-Identifier: BSD-3-Clause */
/* A SYN with a valid cookie makes a connection at once: it receives and sends as an established one, within the window of
 * the SYN and the initial window, while a half-open object goes on with the handshake (its SYN-ACK, its retries, its place in
 * the listener's limit). RFC 7413 4.2.2, 5.1. */
#include "fastopen.h"

#include "child.h"
#include "ecn.h"
#include "fastopen_cookie.h"
#include "recv.h"
#include "timers.h"

#define TS_SAMPLE_MOST 60000u /* milliseconds; as for other handshakes */

/* Whether the SYN may bring data, and which cookie the SYN-ACK gives. */
static bool permitted(struct half_open *h, const struct tcp_segment *syn)
{
	struct stack *s = h->stack;
	const struct tcp_listener *l = h->listener;
	bool old = false, valid;

	if (!(s->config.tcp.fastopen & TCP_FASTOPEN_SERVER) || l->socket.options.fastopen == 0 ||
	    !(syn->has & SEG_HAS_FASTOPEN) || syn->flags & SEG_FIN)
		return false;
	if (l->fastopen_pending >= l->socket.options.fastopen) {
		count(s, COUNT_TCP_FASTOPEN_OVERFLOW);
		return false;
	}
	valid = syn->fastopen.len > 0 && fastopen_cookie_valid(s, &h->flow.key, &syn->fastopen, &old);
	if (!valid || old) {
		h->fastopen.experimental = syn->fastopen.experimental;
		fastopen_cookie_make(s, &h->flow.key, &h->fastopen);
		h->fastopen_answer = true;
		count(s, COUNT_TCP_FASTOPEN_COOKIES);
	}
	if (!valid && syn->fastopen.len > 0)
		count(s, COUNT_TCP_FASTOPEN_INVALID);
	return valid;
}

/* The text of the SYN, as far as the window goes; the SYN-ACK acknowledges it. */
static void take_data(struct tcp_conn *c, const struct tcp_segment *syn)
{
	struct tcp_segment data = *syn;
	uint32_t window = recv_window_open(c);

	data.flags &= (uint8_t)~SEG_SYN;
	data.seq++;
	data.len = data.len < window ? data.len : window;
	if (data.len == 0)
		return;
	recv_data(c, &data);
	c->syn_data_acked = c->rcv_nxt != data.seq;
	c->last_ack_sent = c->rcv_nxt;
	c->ack_now = false;
	c->unacked_segments = 0;
	timers_ack_sent(c);
}

bool fastopen_accept(struct half_open *h, const struct tcp_segment *syn)
{
	struct stack *s = h->stack;
	struct tcp_conn *c;
	bool refused;

	if (!permitted(h, syn))
		return false;
	c = child_new(h, syn, &refused);
	if (!c)
		return false;
	/* RFC 7323 2.2: the window of a SYN is not scaled. */
	c->snd_wnd = c->max_snd_wnd = syn->window;
	c->snd_wl2 = h->iss;
	c->request = h;
	h->child = c;
	h->fast = true;
	h->listener->fastopen_pending++;
	s->tcp->fastopen_requests++;
	count(s, COUNT_TCP_FASTOPEN_ACCEPTED);
	child_begin(h->listener, c);
	take_data(c, syn);
	return true;
}

bool fastopen_acked(struct tcp_conn *c, const struct tcp_segment *s)
{
	struct half_open *h = c->request;
	uint32_t elapsed = conn_ts_now(c->stack, c->ts_offset) - s->tsecr;

	if (seq_leq(s->ack, c->iss) || seq_gt(s->ack, c->snd_max))
		return false;
	if (h->retries == 0)
		rtt_sample(&c->rtt, settings_of(c), c->stack->now - h->sent_at);
	else if (c->ts_on && s->has & SEG_HAS_TS && elapsed < TS_SAMPLE_MOST)
		rtt_sample(&c->rtt, settings_of(c), elapsed * NSEC_PER_MSEC);
	if (c->ecn)
		ecn_settled(c, h);
	half_open_acked(h);
	return true;
}

bool fastopen_syn_again(struct tcp_conn *c, const struct tcp_segment *s)
{
	if (s->flags & SEG_ACK || s->seq != c->irs)
		return false;
	half_open_answer(c->request);
	return true;
}
