/* SPDX-License-Identifier: BSD-3-Clause */
/* RFC 5482 3: ADV_UTO is what the program set (TCP_USER_TIMEOUT), or else what the stack's settings say; ENABLED is whether these
 * said anything when the connection opened; CHANGEABLE is that the program set nothing. The option is advice and need not arrive (3.2): it is on the SYN, on
 * the first segment after it, on the next one after a change, and once more when what it may have been on is lost. */
#include "user_timeout.h"

#define MINUTES 0x8000u
#define VALUE_MOST 0x7fffu
#define NONE_YET MINUTES /* never received: its value is 0 */
/* SYNs that carry it: who drops what he does not know must not make connections impossible. */
#define SYNS 2

static nsec advertised(const struct tcp_settings *settings, const struct tcp_options *o)
{
	return o->user_timeout ? o->user_timeout * NSEC_PER_MSEC : settings->adv_uto;
}

static nsec larger(nsec a, nsec b)
{
	return a > b ? a : b;
}

uint16_t user_timeout_encode(nsec timeout)
{
	uint64_t seconds = timeout / NSEC_PER_SEC + (timeout % NSEC_PER_SEC != 0), minutes;

	if (seconds <= VALUE_MOST)
		return (uint16_t)(seconds ? seconds : 1);
	minutes = (seconds + 59) / 60;
	return (uint16_t)(MINUTES | (minutes < VALUE_MOST ? minutes : VALUE_MOST));
}

nsec user_timeout_decode(uint16_t option)
{
	return (option & VALUE_MOST) * (option & MINUTES ? 60 * NSEC_PER_SEC : NSEC_PER_SEC);
}

bool user_timeout_settings_good(const struct tcp_settings *settings)
{
	return settings->uto_lower <= settings->uto_upper;
}

void user_timeout_changed(struct tcp_conn *c)
{
	c->uto_due = user_timeout_on(c);
	c->own_timeout = c->uto_due || c->socket.options.user_timeout;
}

void user_timeout_begin(struct tcp_conn *c, uint16_t remote_uto)
{
	bool on = settings_of(c)->adv_uto != 0;

	c->remote_uto = !on ? 0 : remote_uto ? remote_uto : NONE_YET;
	user_timeout_changed(c);
}

void user_timeout_received(struct tcp_conn *c, const struct tcp_segment *s)
{
	if (user_timeout_on(c))
		c->remote_uto = s->uto;
}

nsec user_timeout_in_force(const struct tcp_conn *c)
{
	const struct tcp_settings *settings = settings_of(c);
	uint32_t own = c->socket.options.user_timeout;
	nsec rto, longest, wanted;

	if (own)
		return own * NSEC_PER_MSEC;
	/* Nobody here waits for one that its program has closed: the peer does not say how long we keep it (section 5). */
	if (c->ep->closed)
		return settings->user_timeout;
	/* 3.1, where the lower limit is larger than the present RTO, whatever the upper one. */
	rto = rtt_backed_off(&c->rtt, settings, c->backoff) + NSEC_PER_SEC;
	longest = larger(settings->uto_upper, rto);
	wanted = larger(larger(settings->uto_lower, rto), larger(settings->adv_uto, user_timeout_decode(c->remote_uto)));
	return wanted < longest ? wanted : longest;
}

void user_timeout_fill_syn(const struct tcp_settings *settings, const struct tcp_options *o, unsigned tries, struct tcp_segment *seg)
{
	if (settings->adv_uto == 0 || tries >= SYNS || segment_header_len(seg) + SEGMENT_UTO_LEN > SEGMENT_HEADER_MAX)
		return;
	seg->has |= SEG_HAS_UTO;
	seg->uto = user_timeout_encode(advertised(settings, o));
}

void user_timeout_fill(struct tcp_conn *c, struct tcp_segment *seg, uint32_t len)
{
	uint32_t header = segment_header_len(seg), usual = SEGMENT_HEADER_MIN + (c->ts_on ? SEGMENT_TS_LEN : 0);

	/* cc.mss is what a full segment holds, while snd_mss is less for the one that this is to fit into (send.c). */
	if (header + SEGMENT_UTO_LEN > SEGMENT_HEADER_MAX || (len > 0 && header - usual + SEGMENT_UTO_LEN + len > c->cc.mss))
		return;
	seg->has |= SEG_HAS_UTO;
	seg->uto = user_timeout_encode(advertised(settings_of(c), &c->socket.options));
	c->uto_due = false;
}

void user_timeout_not_sent(struct tcp_conn *c, const struct tcp_segment *seg)
{
	if (seg->has & SEG_HAS_UTO)
		c->uto_due = true;
}
