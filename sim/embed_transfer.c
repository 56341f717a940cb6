/* SPDX-License-Identifier: BSD-3-Clause */
/* Bytes and datagrams of the embedded process, in and out, waiting where Linux waits. */
#include "embed_state.h"

#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "posix/msgmap.h"
#include "stack/dgram.h"

#define DATAGRAM_MOST 65507u
#define PEEK_MOST 65536u        /* bytes that one peek shows */
#define ALL_ERRORS (EP_ERROR | EP_HANGUP)

/* The sum of the lengths; -EINVAL when it cannot be returned, -EFAULT for what is surely none of the program's memory. */
static ssize_t total_length(const struct msghdr *m, bool memory_needed)
{
	size_t total = 0;

	if (m->msg_iovlen > IOV_MAX)
		return -EMSGSIZE;
	if (m->msg_iovlen > 0 && !m->msg_iov)
		return -EFAULT;
	for (size_t i = 0; i < m->msg_iovlen; i++) {
		if (m->msg_iov[i].iov_len > SSIZE_MAX - total)
			return -EINVAL;
		if (memory_needed && !m->msg_iov[i].iov_base && m->msg_iov[i].iov_len > 0)
			return -EFAULT;
		total += m->msg_iov[i].iov_len;
	}
	return (ssize_t)total;
}

static void gather(const struct msghdr *m, uint8_t *to)
{
	for (size_t i = 0; i < m->msg_iovlen; i++) {
		if (m->msg_iov[i].iov_len)
			memcpy(to, m->msg_iov[i].iov_base, m->msg_iov[i].iov_len);
		to += m->msg_iov[i].iov_len;
	}
}

static void scatter(const struct msghdr *m, const uint8_t *from, size_t n)
{
	for (size_t i = 0; i < m->msg_iovlen && n > 0; i++) {
		size_t part = m->msg_iov[i].iov_len < n ? m->msg_iov[i].iov_len : n;

		memcpy(m->msg_iov[i].iov_base, from, part);
		from += part;
		n -= part;
	}
}

static bool nonblocking_now(const struct embed_socket *s, int flags)
{
	return (flags & MSG_DONTWAIT) || s->nonblocking;
}

/* ---- out ---- */

static ssize_t send_bytes(struct embed *e, struct embed_socket *s, const uint8_t *bytes, size_t n, bool nonblocking, nsec until)
{
	size_t sent = 0;

	while (sent < n) {
		size_t left = n - sent;
		int64_t moved = ep_send(e->stack, s->ep, bytes + sent, left < UINT32_C(1) << 30 ? (uint32_t)left : UINT32_C(1) << 30);
		int error;

		if (moved > 0) {
			sent += (size_t)moved;
			continue;
		}
		error = (int)moved;
		if (error == -EAGAIN && !nonblocking)
			error = embed_wait(e, until);
		if (error != 0)
			return sent > 0 ? (ssize_t)sent : error == -ENOTCONN ? -EPIPE : error;
		if (sent > 0 && (ep_ready(e->stack, s->ep) & ALL_ERRORS))
			return (ssize_t)sent;   /* the next call reports it */
	}
	return (ssize_t)sent;
}

static ssize_t send_parts(struct embed *e, struct embed_socket *s, const struct msghdr *m, size_t total, int flags)
{
	nsec until = embed_until(e, s->send_timeout);
	bool nonblocking = nonblocking_now(s, flags);
	size_t sent = 0;

	/* Linux fails an empty write to a dead connection too. */
	if (total == 0 && (ep_ready(e->stack, s->ep) & EP_HANGUP))
		return -EPIPE;
	for (size_t i = 0; i < m->msg_iovlen && sent < total; i++) {
		ssize_t n = send_bytes(e, s, m->msg_iov[i].iov_base, m->msg_iov[i].iov_len, nonblocking, until);

		if (n < 0)
			return sent > 0 ? (ssize_t)sent : n;
		sent += (size_t)n;
		if ((size_t)n < m->msg_iov[i].iov_len)
			break;
	}
	return (ssize_t)sent;
}

/* MSG_MORE is a cork for the time until a send without it. */
static ssize_t send_stream(struct embed *e, struct embed_socket *s, const struct msghdr *m, size_t total, int flags)
{
	ssize_t result;

	if (flags & MSG_FASTOPEN) {
		int connected = embed_connect_to_send(e, s, m->msg_name, m->msg_namelen, nonblocking_now(s, flags));

		if (connected != 0)
			return connected;
	}
	if ((flags & MSG_MORE) && !s->more)
		s->more = ep_set(e->stack, s->ep, EP_CORK, 1) == 0;
	result = send_parts(e, s, m, total, flags);
	if (s->more && !(flags & MSG_MORE)) {
		s->more = false;
		ep_set(e->stack, s->ep, EP_CORK, 0);
	}
	return result;
}

/* The last byte is the urgent one. */
static ssize_t send_urgent(struct embed *e, struct embed_socket *s, const struct msghdr *m, size_t total, int flags)
{
	bool nonblocking = nonblocking_now(s, flags);
	nsec until = embed_until(e, s->send_timeout);
	uint8_t *bytes;
	ssize_t sent;
	int error;

	if (total == 0)
		return -EINVAL;
	bytes = malloc(total);
	if (!bytes)
		return -ENOBUFS;
	gather(m, bytes);
	sent = send_bytes(e, s, bytes, total - 1, nonblocking, until);
	error = 0;
	if (sent == (ssize_t)total - 1)
		while ((error = ep_urgent_send(e->stack, s->ep, bytes[total - 1])) == -EAGAIN && !nonblocking)
			if ((error = embed_wait(e, until)) != 0)
				break;
	free(bytes);
	if (sent < 0 || sent < (ssize_t)total - 1)
		return sent;
	return error == 0 ? sent + 1 : sent > 0 ? sent : error == -ENOTCONN ? -EPIPE : error;
}

static ssize_t send_datagram(struct embed *e, struct embed_socket *s, const struct msghdr *m, size_t total, int flags)
{
	struct dgram_header header = { 0 };
	struct ep_name to;
	uint8_t *bytes;
	int64_t sent;
	int error = msgmap_read(m, &header);

	if (error == 0 && m->msg_name && m->msg_namelen > 0)
		error = embed_name_read(s, m->msg_name, m->msg_namelen, &to);
	/* A source for one datagram, gathering and bypassing the routes are not there. */
	if (error == 0 && (!ipaddr_is_any(&header.local) || (flags & (MSG_OOB | MSG_MORE | MSG_DONTROUTE))))
		error = -EOPNOTSUPP;
	if (error != 0)
		return error;
	if (total > DATAGRAM_MOST)
		return -EMSGSIZE;
	bytes = malloc(total + 1);
	if (!bytes)
		return -ENOBUFS;
	gather(m, bytes);
	sent = ep_send_to(e->stack, s->ep, bytes, (uint32_t)total, m->msg_name && m->msg_namelen > 0 ? &to : NULL);
	free(bytes);
	return (ssize_t)sent;
}

ssize_t embed_sendmsg(struct embed *e, int fd, const struct msghdr *m, int flags)
{
	struct embed_socket *s = embed_socket_get(e, fd);
	ssize_t result;

	if (!s)
		return embed_no_socket(e, fd);
	result = m ? total_length(m, true) : -EFAULT;
	if (result >= 0 && s->type == EP_DATAGRAM)
		result = send_datagram(e, s, m, (size_t)result, flags);
	else if (result >= 0 && (flags & MSG_OOB))
		result = send_urgent(e, s, m, (size_t)result, flags);
	else if (result >= 0)
		result = send_stream(e, s, m, (size_t)result, flags);
	embed_settle(e);
	embed_socket_put(s);
	return result;
}

/* ---- in ---- */

static ssize_t receive_urgent(struct embed *e, struct embed_socket *s, const struct msghdr *m, size_t total)
{
	uint8_t byte;
	int error;

	if (total == 0)
		return -EINVAL;
	error = ep_urgent_take(e->stack, s->ep, &byte);
	if (error != 0)
		return error;
	scatter(m, &byte, 1);
	return 1;
}

/* What is there now, into the message from `from` on, or, with MSG_TRUNC, to nowhere. */
static int64_t receive_some(struct embed *e, struct embed_socket *s, const struct msghdr *m, size_t from, size_t want, int flags)
{
	uint8_t *scratch = malloc(want < PEEK_MOST ? want : PEEK_MOST);
	uint32_t most = (uint32_t)(want < PEEK_MOST ? want : PEEK_MOST);
	int64_t n;

	if (!scratch)
		return -ENOBUFS;
	n = flags & MSG_PEEK ? ep_peek(e->stack, s->ep, scratch, most) : ep_recv(e->stack, s->ep, scratch, most);
	if (n > 0 && !(flags & MSG_TRUNC)) {
		size_t skip = from, at = 0;

		for (size_t i = 0; i < m->msg_iovlen && at < (size_t)n; i++) {
			size_t part = m->msg_iov[i].iov_len;

			if (skip >= part) {
				skip -= part;
				continue;
			}
			part -= skip;
			part = part < (size_t)n - at ? part : (size_t)n - at;
			memcpy((uint8_t *)m->msg_iov[i].iov_base + skip, scratch + at, part);
			at += part;
			skip = 0;
		}
	}
	free(scratch);
	return n;
}

/* Linux waits until SO_RCVLOWAT, or with MSG_WAITALL all, has come, and returns what there is when the stream ends. */
static ssize_t receive_stream(struct embed *e, struct embed_socket *s, const struct msghdr *m, size_t total, int flags)
{
	nsec until = embed_until(e, s->receive_timeout);
	size_t target, received = 0;
	int64_t low = 1, n = 0;

	ep_get(e->stack, s->ep, EP_RECEIVE_LOW, &low);
	target = flags & MSG_WAITALL ? total : (size_t)(low > 0 ? low : 1) < total ? (size_t)(low > 0 ? low : 1) : total;
	while (received < total) {
		n = receive_some(e, s, m, received, total - received, flags);
		if (n > 0) {
			received += (size_t)n;
			if (flags & MSG_PEEK)
				break;
			continue;
		}
		if (n != -EAGAIN || received >= target)
			break;
		if (nonblocking_now(s, flags))
			break;
		n = embed_wait(e, until);
		if (n != 0)
			break;
	}
	return received > 0 ? (ssize_t)received : (ssize_t)n;
}

/* Header and payload of the next record; -EAGAIN and so on. *record is the caller's to free. */
static int64_t peek_record(struct embed *e, struct embed_socket *s, uint8_t **record)
{
	int64_t n;

	*record = malloc(sizeof(struct dgram_header) + DATAGRAM_MOST);
	if (!*record)
		return -ENOBUFS;
	n = ep_peek(e->stack, s->ep, *record, (uint32_t)sizeof(struct dgram_header) + DATAGRAM_MOST);
	if (n <= 0) {
		free(*record);
		*record = NULL;
	}
	if (n < 0 && n != -EAGAIN)
		ep_take_error(e->stack, s->ep);
	return n;
}

static ssize_t receive_datagram(struct embed *e, struct embed_socket *s, struct msghdr *m, size_t total, int flags)
{
	nsec until = embed_until(e, s->receive_timeout);
	struct dgram_header header;
	uint8_t *record;
	int64_t n;

	while ((n = peek_record(e, s, &record)) == -EAGAIN && !nonblocking_now(s, flags)) {
		n = embed_wait(e, until);
		if (n != 0)
			return (ssize_t)n;
	}
	if (n <= 0) {
		m->msg_namelen = 0;
		m->msg_controllen = 0;
		return (ssize_t)n;
	}
	memcpy(&header, record, sizeof(header));
	scatter(m, record + sizeof(header), header.length < total ? header.length : total);
	free(record);
	if (!(flags & MSG_PEEK))
		ep_recv_from(e->stack, s->ep, &(uint8_t){ 0 }, 0, NULL);
	if (m->msg_name)
		embed_name_write(s, &(struct ep_name){ header.peer, header.peer_port }, m->msg_name, &m->msg_namelen);
	m->msg_flags = header.length > total ? MSG_TRUNC : 0;
	msgmap_write(s->wants, m, &header);
	return header.length > total && !(flags & MSG_TRUNC) ? (ssize_t)total : (ssize_t)header.length;
}

/* Of an empty buffer too, Linux waits for what it then does not read. */
static ssize_t receive_nothing(struct embed *e, struct embed_socket *s, int flags)
{
	nsec until = embed_until(e, s->receive_timeout);
	int error = 0;

	while (error == 0 && !(ep_ready(e->stack, s->ep) & (EP_READABLE | EP_READ_CLOSED | ALL_ERRORS)))
		error = nonblocking_now(s, flags) ? -EAGAIN : embed_wait(e, until);
	return error;
}

/* Never waits. */
static ssize_t receive_error(struct embed *e, struct embed_socket *s, struct msghdr *m)
{
	uint8_t quote[EP_QUOTE_MOST];
	struct ep_queued_error told;
	int error = ep_take_queued_error(e->stack, s->ep, &told, quote);

	return error != 0 ? error : msgmap_write_error(s->wants, m, &told, quote);
}

static ssize_t receive(struct embed *e, struct embed_socket *s, struct msghdr *m, int flags)
{
	ssize_t total = total_length(m, s->type == EP_DATAGRAM || !(flags & MSG_TRUNC)), result;

	if (total < 0)
		return total;
	if (flags & MSG_ERRQUEUE)
		return receive_error(e, s, m);
	if (s->type == EP_DATAGRAM)
		return flags & MSG_OOB ? -EOPNOTSUPP : receive_datagram(e, s, m, (size_t)total, flags);
	if (s->idle || s->listening)
		return -ENOTCONN;
	if (flags & MSG_OOB)
		result = receive_urgent(e, s, m, (size_t)total);
	else if (total == 0)
		result = receive_nothing(e, s, flags);
	else
		result = receive_stream(e, s, m, (size_t)total, flags);
	if (result >= 0) {
		m->msg_namelen = 0;
		m->msg_controllen = 0;
		m->msg_flags = flags & MSG_OOB;
	}
	return result;
}

ssize_t embed_recvmsg(struct embed *e, int fd, struct msghdr *m, int flags)
{
	struct embed_socket *s = embed_socket_get(e, fd);
	ssize_t result;

	if (!s)
		return embed_no_socket(e, fd);
	result = m ? receive(e, s, m, flags) : -EFAULT;
	embed_settle(e);
	embed_socket_put(s);
	return result;
}
