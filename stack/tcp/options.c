/* SPDX-License-Identifier: BSD-3-Clause */
/* TCP_NODELAY and its kin (tcp(7)): ranges and defaults as Linux has them. They lie where connection and listener begin,
 * so they may be set before either exists and are inherited by children. */
#include "options.h"

#include <errno.h>

#include "flight.h"
#include "output.h"
#include "pace.h"
#include "recv.h"
#include "timers.h"
#include "user_timeout.h"
#include "validate.h"

#define KEEP_MOST 32767
#define KEEP_COUNT_MOST 127
#define SEGMENT_LEAST 88
#define SEGMENT_MOST 32767

static struct tcp_conn *conn_or_null(const struct endpoint *ep)
{
	const struct tcp_socket *socket = ep->tcp;

	return socket->state == TCP_LISTEN ? NULL : ep->tcp;
}

static bool within(int64_t value, int64_t least, int64_t most)
{
	return value >= least && value <= most;
}

static void look_again(const struct endpoint *ep)
{
	struct tcp_conn *c = conn_or_null(ep);

	if (c && conn_synchronised(c))
		conn_ready(c);
}

static void keepalive_changed(const struct endpoint *ep)
{
	struct tcp_conn *c = conn_or_null(ep);

	if (c)
		timers_keepalive_changed(c);
}

static int set_quickack(const struct endpoint *ep, bool on)
{
	struct tcp_conn *c = conn_or_null(ep);

	if (!c)
		return 0;
	c->quickacks = on ? 16 : 0;
	if (on && c->due[DUE_ACK] != NSEC_NEVER)
		output_ack(c);
	return 0;
}

static int set_max_segment(const struct endpoint *ep, struct tcp_options *o, int64_t value)
{
	struct tcp_conn *c = conn_or_null(ep);

	if (value != 0 && !within(value, SEGMENT_LEAST, SEGMENT_MOST))
		return -EINVAL;
	o->max_segment = (uint16_t)value;
	if (c && conn_synchronised(c))
		conn_update_mss(c);
	return 0;
}

static int set_keep(const struct endpoint *ep, struct tcp_options *o, enum ep_option option, int64_t value)
{
	if (!within(value, 1, option == EP_KEEP_COUNT ? KEEP_COUNT_MOST : KEEP_MOST))
		return -EINVAL;
	if (option == EP_KEEP_IDLE)
		o->keep_idle = (uint16_t)value;
	else if (option == EP_KEEP_INTERVAL)
		o->keep_interval = (uint16_t)value;
	else
		o->keep_count = (uint8_t)value;
	keepalive_changed(ep);
	return 0;
}

static int set_number(uint32_t *to, int64_t value)
{
	if (!within(value, 0, INT32_MAX))
		return -EINVAL;
	*to = (uint32_t)value;
	return 0;
}

static int set_user_timeout(const struct endpoint *ep, struct tcp_options *o, int64_t value)
{
	struct tcp_conn *c = conn_or_null(ep);
	int error = set_number(&o->user_timeout, value);

	if (c && !error)
		user_timeout_changed(c);
	return error;
}

/* As tcp_set_rcvlowat: no more than half of what the buffer may hold, and what lies there already may be enough now. */
static int set_receive_low(struct stack *s, struct endpoint *ep, int64_t value)
{
	struct tcp_conn *c = conn_or_null(ep);
	uint32_t most = ep->receive_max / 2;

	ep->receive_low = value < 1 ? 1 : value > most ? most : (uint32_t)value;
	if (c)
		recv_low_set(c);
	if (c && ep->ops->ready(s, ep) & EP_READABLE)
		ep_event_raise(s, ep, EP_READABLE);
	return 0;
}

static int set_congestion(const struct endpoint *ep, struct tcp_options *o, int64_t value)
{
	struct tcp_conn *c = conn_or_null(ep);

	if (value < 1 || value >= EP_CC_END)
		return -ENOENT;
	o->congestion = (uint8_t)value;
	if (c && conn_synchronised(c) && c->cc.ops != conn_congestion(c)) {
		/* An undo would bring the old one back. */
		if (c->flight)
			c->flight->may_undo = false;
		pace_attach(c, conn_congestion(c));
		cc_switch(&c->cc, conn_congestion(c), c->stack->now);
		validate_forget(c);
	}
	return 0;
}

static int set_max_pacing_rate(const struct endpoint *ep, struct tcp_options *o, int64_t value)
{
	struct tcp_conn *c = conn_or_null(ep);

	if (value < 0)
		return -EINVAL;
	o->max_pacing_rate = (uint64_t)value;
	if (c && conn_synchronised(c)) {
		pace_attach(c, c->cc.ops);
		look_again(ep);
	}
	return 0;
}

int tcp_option_set(struct stack *s, struct endpoint *ep, enum ep_option option, int64_t value)
{
	struct tcp_socket *socket = ep->tcp;
	struct tcp_options *o = &socket->options;

	(void)s;
	switch (option) {
	case EP_KEEPALIVE:
		ep->keepalive = value != 0;
		keepalive_changed(ep);
		return 0;
	case EP_RECEIVE_LOW:
		return set_receive_low(s, ep, value);
	case EP_NODELAY:
		o->nodelay = value != 0;
		look_again(ep);
		return 0;
	case EP_CORK:
		o->cork = value != 0;
		look_again(ep);
		return 0;
	case EP_QUICKACK:
		return set_quickack(ep, value != 0);
	case EP_MAXSEG:
		return set_max_segment(ep, o, value);
	case EP_KEEP_IDLE:
	case EP_KEEP_INTERVAL:
	case EP_KEEP_COUNT:
		return set_keep(ep, o, option, value);
	case EP_SYN_COUNT:
		if (!within(value, 1, KEEP_COUNT_MOST))
			return -EINVAL;
		o->syn_count = (uint8_t)value;
		return 0;
	case EP_USER_TIMEOUT:
		return set_user_timeout(ep, o, value);
	case EP_LINGER2:
		o->linger2 = value < 0 ? -1 : value > 120 ? 120 : (int16_t)value;
		return 0;
	case EP_DEFER_ACCEPT:
		o->defer_accept = (uint16_t)(value < 0 ? 0 : value > UINT16_MAX ? UINT16_MAX : value);
		return 0;
	case EP_NOTSENT_LOWAT:
		return set_number(&o->notsent_low, value);
	case EP_WINDOW_CLAMP:
		return set_number(&o->window_clamp, value);
	case EP_CONGESTION:
		return set_congestion(ep, o, value);
	case EP_FASTOPEN:
		if (value < 0 || (socket->state != TCP_CLOSED && socket->state != TCP_LISTEN))
			return -EINVAL;
		o->fastopen = (uint16_t)(value > UINT16_MAX ? UINT16_MAX : value);
		return 0;
	case EP_FASTOPEN_CONNECT:
		if (!within(value, 0, 1) || socket->state != TCP_CLOSED)
			return -EINVAL;
		if (!(s->config.tcp.fastopen & TCP_FASTOPEN_CLIENT))
			return -EOPNOTSUPP;
		o->fastopen_connect = value != 0;
		return 0;
	case EP_MAX_PACING_RATE:
		return set_max_pacing_rate(ep, o, value);
	default:
		return -ENOPROTOOPT;
	}
}

int tcp_option_get(struct stack *s, struct endpoint *ep, enum ep_option option, int64_t *value)
{
	const struct tcp_socket *socket = ep->tcp;
	const struct tcp_options *o = &socket->options;
	const struct tcp_settings *settings = &s->config.tcp;
	const struct tcp_conn *c = conn_or_null(ep);

	switch (option) {
	case EP_NODELAY:
		*value = o->nodelay;
		return 0;
	case EP_CORK:
		*value = o->cork;
		return 0;
	case EP_QUICKACK:
		*value = c && c->quickacks > 0;
		return 0;
	case EP_MAXSEG:
		*value = c && conn_synchronised(c) ? c->snd_mss : o->max_segment ? o->max_segment : TCP_MSS_DEFAULT;
		return 0;
	case EP_KEEP_IDLE:
		*value = o->keep_idle ? o->keep_idle : (int64_t)(settings->keep_idle / NSEC_PER_SEC);
		return 0;
	case EP_KEEP_INTERVAL:
		*value = o->keep_interval ? o->keep_interval : (int64_t)(settings->keep_interval / NSEC_PER_SEC);
		return 0;
	case EP_KEEP_COUNT:
		*value = o->keep_count ? o->keep_count : settings->keep_count;
		return 0;
	case EP_SYN_COUNT:
		*value = o->syn_count ? o->syn_count : settings->syn_retries;
		return 0;
	case EP_USER_TIMEOUT:
		*value = o->user_timeout;
		return 0;
	case EP_LINGER2:
		*value = o->linger2 ? o->linger2 : (int64_t)(settings->fin_wait_2 / NSEC_PER_SEC);
		return 0;
	case EP_DEFER_ACCEPT:
		*value = o->defer_accept;
		return 0;
	case EP_NOTSENT_LOWAT:
		*value = o->notsent_low;
		return 0;
	case EP_WINDOW_CLAMP:
		*value = o->window_clamp;
		return 0;
	case EP_FASTOPEN:
		*value = o->fastopen;
		return 0;
	case EP_FASTOPEN_CONNECT:
		*value = o->fastopen_connect;
		return 0;
	case EP_CONGESTION:
		for (*value = 1; (o->congestion ? *value != o->congestion : cc_number((unsigned)*value) != s->tcp->cc); ++*value)
			continue;
		return 0;
	case EP_MAX_PACING_RATE:
		*value = (int64_t)o->max_pacing_rate;
		return 0;
	default:
		return -ENOPROTOOPT;
	}
}
