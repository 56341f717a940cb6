/* SPDX-License-Identifier: BSD-3-Clause */
/* What an application may do with a stream socket: the ep_ops of TCP (RFC 9293 3.9.1, 3.10.1 to 3.10.6), each call
 * translated into what the other files know. errno as Linux has it. */
#include "conn.h"

#include <errno.h>

#include "active_open.h"
#include "close.h"
#include "info.h"
#include "listen.h"
#include "options.h"
#include "recv.h"
#include "send.h"
#include "timers.h"

static enum tcp_state state_of(const struct endpoint *ep)
{
	const struct tcp_socket *socket = ep->tcp;

	return socket ? (enum tcp_state)socket->state : TCP_CLOSED;
}

static bool is_listener(const struct endpoint *ep)
{
	return state_of(ep) == TCP_LISTEN;
}

static int tcp_open(struct stack *s, struct endpoint *ep)
{
	return conn_new(s, ep) ? 0 : -ENOBUFS;
}

static int tcp_bound(struct stack *s, struct endpoint *ep)
{
	(void)s;
	(void)ep;
	return 0;
}

static int tcp_listen(struct stack *s, struct endpoint *ep, uint32_t backlog)
{
	return listen_begin(s, ep, backlog);
}

static int tcp_accept(struct stack *s, struct endpoint *ep, struct endpoint **child)
{
	(void)s;
	return is_listener(ep) ? listen_accept(ep->tcp, child) : -EINVAL;
}

static int tcp_accepted(struct stack *s, struct endpoint *child)
{
	(void)s;
	return is_listener(child) ? -EINVAL : listen_accepted(conn_of(child));
}

/* AF_UNSPEC: whatever it was, it becomes an unused socket again. */
static int dissolve(struct stack *s, struct endpoint *ep)
{
	struct tcp_conn *c = conn_of(ep);
	struct tcp_options options = c->socket.options;

	if (is_listener(ep))
		return -EOPNOTSUPP;
	if (c->socket.state != TCP_CLOSED && !c->detached)
		conn_abort(c, 0);
	conn_free(conn_of(ep));
	if (!conn_new(s, ep))
		return -ENOBUFS;
	conn_of(ep)->socket.options = options;
	ep->peer = (struct ep_name){ 0 };
	ep->shut = 0;
	ep->error = 0;
	if (!ep->bound)
		ep->local = (struct ep_name){ 0 };
	return 0;
}

static int tcp_connect(struct stack *s, struct endpoint *ep, const struct ep_name *peer)
{
	struct tcp_conn *c = conn_of(ep);
	int result;

	if (!peer)
		return dissolve(s, ep);
	switch (state_of(ep)) {
	case TCP_CLOSED:
		break;
	case TCP_SYN_SENT:
	case TCP_SYN_RECEIVED:
		return -EALREADY;
	default:
		return -EISCONN;
	}
	if (ep->peer.port) {
		/* A connection that has ended: Linux lets the same socket try again. */
		if (ep->error) {
			result = -ep->error;
			ep->error = 0;
			return result;
		}
		result = dissolve(s, ep);
		if (result < 0)
			return result;
		c = conn_of(ep);
	}
	return active_open(c, peer);
}

/* As Linux: those who wait to be accepted are reset, and the socket is an unused one that keeps its port. */
static int stop_listening(struct stack *s, struct endpoint *ep)
{
	struct tcp_listener *l = ep->tcp;

	if (!conn_new(s, ep))
		return -ENOBUFS;
	conn_of(ep)->socket.options = l->socket.options;
	listen_stop(s, l);
	ep->listening = false;
	ep_event_raise(s, ep, EP_READABLE | EP_WRITABLE | EP_HANGUP);
	return 0;
}

static int tcp_shutdown(struct stack *s, struct endpoint *ep, enum ep_how how)
{
	struct tcp_conn *c = conn_of(ep);

	switch (state_of(ep)) {
	case TCP_LISTEN:
		return how & EP_SHUT_READ ? stop_listening(s, ep) : 0;
	case TCP_CLOSED:
		return -ENOTCONN;
	case TCP_SYN_SENT:
		if (how & EP_SHUT_WRITE && c->syn_data) {
			ep->shut |= how; /* its data is on the way: the FIN follows the handshake */
			return 0;
		}
		if (how & EP_SHUT_WRITE) {
			ep->shut |= how;
			conn_end(c, 0);
		}
		return 0;
	default:
		break;
	}
	ep->shut |= how;
	if (how & EP_SHUT_READ)
		ep_event_raise(s, ep, EP_READABLE | EP_READ_CLOSED);
	if (how & EP_SHUT_WRITE) {
		close_send_side(c);
		ep_event_raise(s, ep, EP_WRITABLE | (c->fin_received ? EP_HANGUP : 0));
	}
	return 0;
}

static void tcp_close(struct stack *s, struct endpoint *ep)
{
	if (is_listener(ep))
		listen_end(s, ep->tcp);
	else
		close_by_owner(conn_of(ep));
}

static void tcp_abort(struct stack *s, struct endpoint *ep)
{
	struct tcp_conn *c = conn_of(ep);

	if (is_listener(ep)) {
		listen_end(s, ep->tcp);
	} else if (c->detached) {
		conn_free(c);
		ep_release(s, ep);
	} else {
		conn_abort(c, 0);
	}
}

static int tcp_sent(struct stack *s, struct endpoint *ep)
{
	struct tcp_conn *c = conn_of(ep);

	(void)s;
	if (is_listener(ep))
		return 0;
	if (conn_synchronised(c) && !c->fin_wanted) {
		conn_ready(c);
		if (c->socket.options.notsent_low)
			send_note_room(c);   /* who is told now that too much waits hears when it has gone */
	} else if (c->syn_deferred && c->socket.state == TCP_SYN_SENT)
		active_open_with_data(c);
	return 0;
}

static int tcp_received(struct stack *s, struct endpoint *ep)
{
	(void)s;
	if (!is_listener(ep))
		recv_consumed(conn_of(ep));
	return 0;
}

uint32_t tcp_send_next(const struct endpoint *ep)
{
	const struct tcp_conn *c = conn_of(ep);

	return !is_listener(ep) && conn_synchronised(c) ? seq_min(c->snd_nxt, conn_send_end(c)) - c->send_base : ep->send.head;
}

uint32_t tcp_readable_from(const struct endpoint *ep)
{
	const struct tcp_conn *c = conn_of(ep);

	return ep->receive_low > 1 && !is_listener(ep) && conn_synchronised(c) ? recv_low(c) : ep->receive_low;
}

static uint32_t tcp_ready(const struct stack *s, const struct endpoint *ep)
{
	const struct tcp_conn *c = conn_of(ep);
	const struct tcp_listener *l = ep->tcp;
	uint32_t ready = 0, low = tcp_readable_from(ep), urgent;

	(void)s;
	switch (state_of(ep)) {
	case TCP_LISTEN:
		return l->queued > 0 ? EP_READABLE : 0;
	case TCP_SYN_SENT:
	case TCP_SYN_RECEIVED:
		return (c->syn_deferred || c->syn_data) && send_writable(c) ? EP_WRITABLE : 0;
	case TCP_CLOSED:
		/* Linux: a socket that was never connected is writable and hung up. */
		return ep->peer.port ? EP_READABLE | EP_WRITABLE | EP_READ_CLOSED | EP_HANGUP
				     : EP_WRITABLE | EP_HANGUP;
	default:
		break;
	}
	if (c->fin_received || ep->shut & EP_SHUT_READ)
		ready |= EP_READABLE | EP_READ_CLOSED;
	/* A read skips an urgent byte that is out of band: that alone makes nobody readable (as Linux). */
	if (!ep->oob_inline && tcp_urgent_index(ep, &urgent) && urgent == ep->receive.tail)
		low++;
	if (bytering_used(&ep->receive) >= low)
		ready |= EP_READABLE;
	if (send_writable(c))
		ready |= EP_WRITABLE;
	if (c->fin_received && c->fin_wanted)
		ready |= EP_HANGUP;
	if (c->urgent == URGENT_EXPECTED || c->urgent == URGENT_HERE)
		ready |= EP_URGENT;
	return ready;
}

static void tcp_info(const struct stack *s, const struct endpoint *ep, struct ep_info *info)
{
	(void)s;
	if (is_listener(ep))
		info_listener(ep->tcp, info);
	else
		info_conn(conn_of(ep), info);
}

static const char *tcp_endpoint_check(const struct stack *s, const struct endpoint *ep)
{
	(void)s;
	if (!ep->tcp)
		return "tcp: an endpoint has neither connection nor listener";
	return is_listener(ep) ? NULL : tcp_conn_check(conn_of(ep));
}

int tcp_urgent_mark(struct stack *s, struct endpoint *ep, uint32_t ahead)
{
	struct tcp_conn *c = conn_of(ep);

	(void)s;
	if (is_listener(ep) || !conn_synchronised(c))
		return -ENOTCONN;
	if (c->fin_wanted)
		return -EPIPE;
	c->snd_up = conn_send_end(c) + ahead;
	conn_ready(c);
	return 0;
}

int tcp_urgent_take(struct stack *s, struct endpoint *ep, uint8_t *byte)
{
	struct tcp_conn *c = conn_of(ep);

	(void)s;
	if (is_listener(ep) || ep->oob_inline)
		return -EINVAL;
	switch ((enum urgent_state)c->urgent) {
	case URGENT_EXPECTED:
		return -EAGAIN;
	case URGENT_HERE:
		*byte = c->urgent_byte;
		c->urgent = URGENT_TAKEN;
		return 0;
	case URGENT_NONE:
	case URGENT_TAKEN:
		break;
	}
	return -EINVAL;
}

bool tcp_urgent_index(const struct endpoint *ep, uint32_t *index)
{
	const struct tcp_conn *c = conn_of(ep);

	if (is_listener(ep) || c->urgent == URGENT_NONE)
		return false;
	*index = c->rcv_up - c->receive_base;
	return seq_geq(*index, ep->receive.tail);
}

const struct ep_ops tcp_ep_ops = {
	.open = tcp_open,
	.bound = tcp_bound,
	.listen = tcp_listen,
	.accept = tcp_accept,
	.accepted = tcp_accepted,
	.connect = tcp_connect,
	.shutdown = tcp_shutdown,
	.close = tcp_close,
	.abort = tcp_abort,
	.sent = tcp_sent,
	.received = tcp_received,
	.option_set = tcp_option_set,
	.option_get = tcp_option_get,
	.ready = tcp_ready,
	.info = tcp_info,
	.check = tcp_endpoint_check,
};
