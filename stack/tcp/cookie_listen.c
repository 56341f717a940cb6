/* SPDX-License-Identifier: BSD-3-Clause */
/* SYN cookies at a listener: a half-open connection that exists only while its SYN is answered, and again when its ACK is
 * here. Used where the pool of half-open connections, or the listener's share of it, is full (RFC 4987 3.6). */
#include "cookie_listen.h"

#include "child.h"
#include "cookie.h"
#include "ecn.h"
#include "input.h"

#define COOKIE_LIFE (120 * NSEC_PER_SEC)
#define SHARE_LEAST 16u /* half-open connections of a listener before cookies, however small its backlog */

/* What the SYN must have said. */
static void restore(struct half_open *h, const struct tcp_segment *seg, uint16_t mss)
{
	struct cookie_options options = cookie_unstamp(seg->tsecr);
	struct tcp_segment syn = { .has = SEG_HAS_MSS, .mss = mss };

	h->cookie = true;
	h->irs = seg->seq - 1;
	h->iss = seg->ack - 1;
	if (seg->has & SEG_HAS_TS) {
		syn.has |= SEG_HAS_TS;
		syn.tsval = seg->tsval;
		syn.has |= options.sack_on ? SEG_HAS_SACK_OK : 0;
		syn.has |= options.scale_on ? SEG_HAS_SCALE : 0;
		syn.scale = options.scale;
	}
	ecn_restore(h, seg, options.ecn_on && seg->has & SEG_HAS_TS, &syn);
	half_open_negotiate(h, &syn);
}

bool cookie_wanted(const struct stack *s, const struct tcp_listener *l)
{
	uint32_t share = l->backlog > SHARE_LEAST ? l->backlog : SHARE_LEAST;

	switch ((enum tcp_cookies)s->config.tcp.syn_cookies) {
	case TCP_COOKIES_OFF:
		return false;
	case TCP_COOKIES_WHEN_FULL:
		return l->half_open_count >= share || s->tcp->half_opens.used >= s->config.tcp.max_half_open;
	case TCP_COOKIES_ALWAYS:
		break;
	}
	return true;
}

void cookie_answer(struct half_open *h, const struct tcp_segment *seg)
{
	h->cookie = true;
	half_open_negotiate(h, seg);
	if (!h->ts_on) { /* there is no place for them */
		h->scale_on = h->sack_on = false;
		h->ecn = h->ecn == ECN_CLASSIC ? ECN_NONE : h->ecn;
		h->snd_scale = h->rcv_scale = 0;
	}
	h->iss = cookie_make(h->stack, &h->flow.key, h->irs, h->mss);
	h->listener->cookie_sent = h->stack->now ? h->stack->now : 1;
	count(h->stack, COUNT_TCP_COOKIES_SENT);
	half_open_answer(h);
}

bool cookie_accept(struct stack *s, struct tcp_listener *l, struct tcp_segment *seg, const struct flow_key *key,
	const struct ip_received *ip)
{
	struct half_open h = { .stack = s, .listener = l, .flow.key = *key };
	bool refused;
	uint16_t mss;
	struct tcp_conn *c;

	/* Nobody has anything to bring back when none went out. */
	if (s->config.tcp.syn_cookies == TCP_COOKIES_OFF || l->cookie_sent == 0 || s->now - l->cookie_sent > COOKIE_LIFE)
		return false;
	mss = cookie_open(s, key, seg->seq - 1, seg->ack - 1);
	if (mss == 0 || route_find(s, &key->local, &key->remote, &h.path) < 0) {
		count(s, COUNT_TCP_COOKIES_FAILED);
		return false;
	}
	if (l->queued > l->backlog) {
		drop_count(s, DROP_TCP_BACKLOG);
		return true;
	}
	restore(&h, seg, mss);
	c = child_new(&h, seg, &refused);
	if (!c)
		return !refused; /* its next segment brings the cookie again */
	count(s, COUNT_TCP_COOKIES_ACCEPTED);
	child_begin(l, c);
	input_segment(c, seg, ip);
	return true;
}
