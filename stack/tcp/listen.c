/* SPDX-License-Identifier: BSD-3-Clause */
/* RFC 9293 3.10.1 (passive OPEN), 3.10.4 (CLOSE of a listener), 3.10.7.2 (LISTEN), and the queue of unaccepted children. */
#include "listen.h"

#include <errno.h>

#include "cookie_listen.h"
#include "half_open.h"
#include "output.h"

int listen_begin(struct stack *s, struct endpoint *ep, uint32_t backlog)
{
	struct tcp_socket *socket = ep->tcp;
	struct tcp_listener *l = ep->tcp;

	if (socket->state != TCP_LISTEN) {
		if (socket->state != TCP_CLOSED || ep->peer.port)
			return -EINVAL;
		l = pool_take_or_null(&s->tcp->listeners);
		if (!l)
			return -ENOBUFS;
		l->socket = *socket;
		l->socket.state = TCP_LISTEN;
		l->ep = ep;
		list_init(&l->accept_queue);
		list_init(&l->half_opens);
		conn_free(conn_of(ep));
		ep->tcp = l;
	}
	l->backlog = backlog < 65535 ? backlog : 65535;
	return 0;
}

void listen_stop(struct stack *s, struct tcp_listener *l)
{
	struct endpoint *ep = l->ep;

	half_open_forget_all(l);
	list_for_each(node, &l->accept_queue) {
		struct tcp_conn *c = container_of(node, struct tcp_conn, accept_node);

		c->ep->closed = true;
		list_remove(&c->ep->event_node);
		c->ep->event_mask = 0;
		if (c->socket.state == TCP_TIME_WAIT || c->socket.state == TCP_CLOSED) {
			struct endpoint *child = c->ep;

			conn_free(c);
			ep_release(s, child);
		} else {
			conn_abort(c, 0);
		}
	}
	CHECK(l->queued == 0);
	if (ep->tcp == l)
		ep->tcp = NULL;
	pool_put(&s->tcp->listeners, l);
}

void listen_end(struct stack *s, struct tcp_listener *l)
{
	struct endpoint *ep = l->ep;

	listen_stop(s, l);
	ep_release(s, ep);
}

void listen_enqueue(struct tcp_listener *l, struct tcp_conn *c)
{
	c->listener = l;
	l->queued++;
	list_append(&l->accept_queue, &c->accept_node);
	ep_event_raise(c->stack, l->ep, EP_READABLE);
}

int listen_accepted(struct tcp_conn *c)
{
	if (!c->listener)
		return -EINVAL;
	list_remove(&c->accept_node);
	c->listener->queued--;
	c->listener = NULL;
	return 0;
}

int listen_accept(struct tcp_listener *l, struct endpoint **child)
{
	struct list *first = list_first_or_null(&l->accept_queue);
	struct tcp_conn *c;

	if (!first)
		return -EAGAIN;
	c = container_of(first, struct tcp_conn, accept_node);
	*child = c->ep;
	return listen_accepted(c);
}

void listen_input(struct stack *s, struct endpoint *ep, struct tcp_segment *seg, const struct ip_received *ip,
	uint32_t isn)
{
	struct flow_key key = {
		.local = ip->destination,
		.remote = ip->source,
		.local_port = seg->destination,
		.remote_port = seg->source,
	};

	if ((seg->flags & (SEG_RST | SEG_SYN | SEG_ACK)) == SEG_ACK && cookie_accept(s, ep->tcp, seg, &key, ip))
		return;
	if (!(seg->flags & SEG_RST) && seg->flags & SEG_ACK) {
		drop_count(s, DROP_TCP_LISTEN_ACK);
		output_reset_for(s, ip, seg);
		return;
	}
	if (seg->flags & SEG_RST || !(seg->flags & SEG_SYN)) {
		drop_count(s, DROP_TCP_LISTEN_OTHER);
		return;
	}
	half_open_new(s, ep->tcp, seg, &key, isn);
}
