/* SPDX-License-Identifier: BSD-3-Clause */
/* Moving bytes: what a program in another process tells of its rings, and for owners in the same process the same
 * rings used by call. */
#include "layers.h"

#include <errno.h>

#include "dgram.h"

int ep_sent(struct stack *s, ep_id id)
{
	struct endpoint *ep = ep_find(s, id);

	if (!ep || ep->closed)
		return -EBADF;
	return bytering_sync_head(&ep->send) ? ep->ops->sent(s, ep) : -EPROTO;
}

int ep_received(struct stack *s, ep_id id)
{
	struct endpoint *ep = ep_find(s, id);

	if (!ep || ep->closed)
		return -EBADF;
	if (!bytering_sync_tail(&ep->receive))
		return -EPROTO;
	ep_settle(s, ep, EP_RECEIVE);
	return ep->ops->received(s, ep);
}

int ep_grow_send(struct stack *s, ep_id id, uint32_t want)
{
	struct endpoint *ep = ep_find(s, id);

	if (!ep || ep->closed)
		return -EBADF;
	if (!bytering_sync_head(&ep->send))
		return -EPROTO;
	if (ep->send.next.size)
		return -EAGAIN;
	return ep_lend(s, ep, EP_SEND, want) ? 0 : -ENOBUFS;
}

/* A pending error is told once. */
static int take_error(struct endpoint *ep)
{
	int error = ep->error;

	ep->error = 0;
	return -error;
}

int64_t ep_send(struct stack *s, ep_id id, const void *bytes, uint32_t n)
{
	struct endpoint *ep = ep_find(s, id);
	uint32_t ready;
	int error;

	if (!ep || ep->closed)
		return -EBADF;
	if (ep->type == EP_DATAGRAM)
		return udp_send_to(s, ep, bytes, n, NULL);
	if (ep->error)
		return take_error(ep);
	ready = ep->ops->ready(s, ep);
	if ((ep->shut & EP_SHUT_WRITE) || (ready & EP_HANGUP))
		return -EPIPE;
	if (!ep->peer.port)
		return -ENOTCONN;
	/* Also where there would be room, but too little to be writable again: nothing else asks for more, and so much would be all that
	 * is ever in flight. */
	if ((bytering_room(&ep->send) < n || (!(ready & EP_WRITABLE) && bytering_used(&ep->send) > bytering_room(&ep->send)))
	    && ep_lend(s, ep, EP_SEND, bytering_capacity(&ep->send) + n))
		ready = ep->ops->ready(s, ep);
	if (!(ready & EP_WRITABLE))
		return -EAGAIN;
	if (n > bytering_room(&ep->send))
		n = bytering_room(&ep->send);
	if (n == 0)
		return -EAGAIN;
	bytering_write_at(&ep->send, ep->send.head, bytes, n);
	bytering_publish(&ep->send, ep->send.head + n);
	error = ep->ops->sent(s, ep);
	return error ? error : (int64_t)n;
}

/* Up to `n` bytes, stopping before an urgent byte (RFC 9293 MUST-33). A read that begins at it skips it, as Linux does,
 * unless it is in line. */
static uint32_t readable(struct endpoint *ep, uint32_t n)
{
	uint32_t used = bytering_used(&ep->receive), urgent;

	if (!tcp_urgent_index(ep, &urgent) || urgent - ep->receive.tail >= used)
		return n < used ? n : used;
	if (urgent == ep->receive.tail) {
		if (ep->oob_inline)
			return n < used ? n : used;
		bytering_release(&ep->receive, urgent + 1);
		return readable(ep, n);
	}
	used = urgent - ep->receive.tail;
	return n < used ? n : used;
}

int64_t ep_recv(struct stack *s, ep_id id, void *bytes, uint32_t n)
{
	struct endpoint *ep = ep_find(s, id);
	uint32_t ready, tail;

	if (!ep || ep->closed)
		return -EBADF;
	if (ep->type == EP_DATAGRAM)
		return ep_recv_from(s, id, bytes, n, NULL);
	tail = ep->receive.tail;
	n = readable(ep, n);
	if (n) {
		bytering_read_at(&ep->receive, ep->receive.tail, bytes, n);
		bytering_release(&ep->receive, ep->receive.tail + n);
	}
	if (ep->receive.tail != tail) {
		ep_settle(s, ep, EP_RECEIVE);
		ep->ops->received(s, ep);
	}
	if (n)
		return n;
	if (bytering_used(&ep->receive))
		return -EAGAIN;
	if (ep->error)
		return take_error(ep);
	ready = ep->ops->ready(s, ep);
	if (ready & EP_READ_CLOSED)
		return 0;
	if (!ep->peer.port)
		return -ENOTCONN;
	return ready & EP_HANGUP ? 0 : -EAGAIN;
}

int64_t ep_send_to(struct stack *s, ep_id id, const void *bytes, uint32_t n, const struct ep_name *to)
{
	struct endpoint *ep = ep_find(s, id);

	if (!ep || ep->closed)
		return -EBADF;
	if (ep->type == EP_STREAM)
		return ep_send(s, id, bytes, n);
	return udp_send_to(s, ep, bytes, n, to);
}

int64_t ep_recv_from(struct stack *s, ep_id id, void *bytes, uint32_t n, struct ep_name *from)
{
	struct endpoint *ep = ep_find(s, id);
	struct dgram_header header;
	struct bytering *r;

	if (!ep || ep->closed)
		return -EBADF;
	if (ep->type == EP_STREAM)
		return ep_recv(s, id, bytes, n);
	if (ep->error)
		return take_error(ep);
	r = &ep->receive;
	if (bytering_used(r) == 0)
		return ep->shut & EP_SHUT_READ ? 0 : -EAGAIN;
	bytering_read_at(r, r->tail, &header, sizeof(header));
	bytering_read_at(r, r->tail + (uint32_t)sizeof(header), bytes, n < header.length ? n : header.length);
	bytering_release(r, r->tail + dgram_record_size(header.length));
	ep_settle(s, ep, EP_RECEIVE);
	if (from)
		*from = (struct ep_name){ header.peer, header.peer_port };
	ep->ops->received(s, ep);
	return header.length;
}

static int64_t peek_datagram(const struct endpoint *ep, void *bytes, uint32_t n)
{
	const struct bytering *r = &ep->receive;
	struct dgram_header header;
	uint32_t whole;

	if (bytering_used(r) == 0)
		return ep->shut & EP_SHUT_READ ? 0 : -EAGAIN;
	bytering_read_at(r, r->tail, &header, sizeof(header));
	whole = (uint32_t)sizeof(header) + header.length;
	bytering_read_at(r, r->tail, bytes, n < whole ? n : whole);
	return whole;
}

int64_t ep_peek(struct stack *s, ep_id id, void *bytes, uint32_t n)
{
	struct endpoint *ep = ep_find(s, id);
	uint32_t from, used, ready, urgent;

	if (!ep || ep->closed)
		return -EBADF;
	if (ep->type == EP_DATAGRAM)
		return ep->error ? -ep->error : peek_datagram(ep, bytes, n);
	from = ep->receive.tail;
	used = bytering_used(&ep->receive);
	if (tcp_urgent_index(ep, &urgent) && urgent - from < used) {
		if (urgent == from && !ep->oob_inline) {
			from++;
			used--;
		} else if (urgent != from) {
			used = urgent - from;
		}
	}
	n = n < used ? n : used;
	if (n) {
		bytering_read_at(&ep->receive, from, bytes, n);
		return n;
	}
	if (ep->error)
		return -ep->error;
	ready = ep->ops->ready(s, ep);
	if (ready & EP_READ_CLOSED)
		return 0;
	if (!ep->peer.port)
		return -ENOTCONN;
	return ready & EP_HANGUP ? 0 : -EAGAIN;
}

int ep_urgent_send(struct stack *s, ep_id id, uint8_t byte)
{
	struct endpoint *ep = ep_find(s, id);

	if (!ep || ep->closed)
		return -EBADF;
	if (ep->type != EP_STREAM)
		return -EOPNOTSUPP;
	if (!ep->send.shared_head) {
		int64_t sent = ep_send(s, id, &byte, 1);

		if (sent < 0)
			return (int)sent;
	} else if (!bytering_sync_head(&ep->send)) {
		return -EPROTO;
	}
	return tcp_urgent_mark(s, ep, ep->send.shared_head ? 1 : 0);
}

int ep_urgent_take(struct stack *s, ep_id id, uint8_t *byte)
{
	struct endpoint *ep = ep_find(s, id);

	if (!ep || ep->closed)
		return -EBADF;
	return ep->type == EP_STREAM ? tcp_urgent_take(s, ep, byte) : -EOPNOTSUPP;
}

bool ep_urgent_index(struct stack *s, ep_id id, uint32_t *index)
{
	struct endpoint *ep = ep_find(s, id);

	return ep && !ep->closed && ep->type == EP_STREAM && tcp_urgent_index(ep, index);
}

uint32_t ep_send_next(struct stack *s, ep_id id)
{
	struct endpoint *ep = ep_find(s, id);

	return ep && !ep->closed && ep->type == EP_STREAM ? tcp_send_next(ep) : 0;
}

uint32_t ep_readable_from(struct stack *s, ep_id id)
{
	struct endpoint *ep = ep_find(s, id);

	return ep && !ep->closed && ep->type == EP_STREAM ? tcp_readable_from(ep) : 1;
}

int ep_at_mark(struct stack *s, ep_id id)
{
	struct endpoint *ep = ep_find(s, id);
	uint32_t urgent;

	if (!ep || ep->closed)
		return -EBADF;
	if (ep->type != EP_STREAM)
		return -ENOTTY;
	return tcp_urgent_index(ep, &urgent) && urgent == ep->receive.tail;
}
