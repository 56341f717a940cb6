/* SPDX-License-Identifier: BSD-3-Clause */
/* Bytes and datagrams in and out, blocking and not. The way of a send or recv that need not wait is: table, line, copy. A wait
 * with no timeout is a futex wait without one, which the kernel restarts after a handler with SA_RESTART and ends with EINTR otherwise;
 * with SO_RCVTIMEO or SO_SNDTIMEO it always ends with EINTR: both as Linux's sockets do. */
#include "posix/calls.h"

#include <limits.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/syscall.h>

#include "posix/msgmap.h"

#define PARTS 16                /* of an iovec array at a time */
#define DATAGRAM_MOST 65507u    /* UDP over IPv4 */

nsec deadline(nsec timeout)
{
	return timeout == 0 ? NSEC_NEVER : client_now() + timeout;
}

int wait_ready(struct socket *s, uint32_t mask, bool nonblocking, nsec until)
{
	int error;

	if (nonblocking)
		return -EAGAIN;
	error = client_wait_line(light_session, s->line, mask | EP_ERROR | EP_HANGUP, until);
	return error == -ETIMEDOUT ? -EAGAIN : error;
}

static bool nonblocking_now(const struct socket *s, int flags)
{
	return (flags & MSG_DONTWAIT) || atomic_load_explicit(&s->nonblocking, memory_order_relaxed);
}

/* ---- arrays of buffers ---- */

/* Where in the caller's array we are. */
struct cursor {
	const struct iovec *iov;
	int left;
	size_t offset;
};

static int cursor_fill(const struct cursor *c, struct iovec parts[PARTS])
{
	int n = c->left < PARTS ? c->left : PARTS;

	for (int i = 0; i < n; i++)
		parts[i] = c->iov[i];
	if (n > 0) {
		parts[0].iov_base = (char *)parts[0].iov_base + c->offset;
		parts[0].iov_len -= c->offset;
	}
	return n;
}

static void cursor_move(struct cursor *c, size_t n)
{
	while (c->left > 0 && n >= c->iov->iov_len - c->offset) {
		n -= c->iov->iov_len - c->offset;
		c->offset = 0;
		c->iov++;
		c->left--;
	}
	c->offset += n;
}

/* The sum of the lengths; -EINVAL when it cannot be returned, -EFAULT for what is surely none of the program's memory. */
static ssize_t total_length(const struct iovec *iov, int count)
{
	size_t total = 0;

	if (count < 0 || count > IOV_MAX)
		return -EINVAL;
	if (count > 0 && !iov)
		return -EFAULT;
	for (int i = 0; i < count; i++) {
		if (iov[i].iov_len > SSIZE_MAX - total)
			return -EINVAL;
		if (!iov[i].iov_base && iov[i].iov_len > 0)
			return -EFAULT;
		total += iov[i].iov_len;
	}
	return (ssize_t)total;
}

/* ---- streams out ---- */

static long broken_pipe(int flags)
{
	if (!(flags & MSG_NOSIGNAL))
		system_call(SYS_tgkill, system_call(SYS_getpid, 0, 0, 0, 0, 0, 0), system_call(SYS_gettid, 0, 0, 0, 0, 0, 0),
			    SIGPIPE, 0, 0, 0);
	return -EPIPE;
}

/* MSG_MORE is a cork for the time until a send without it. */
static void cork(struct socket *s, bool more)
{
	if (s->more == more)
		return;
	s->more = more;
	client_set_posted(light_session, s->line, EP_CORK, more);
}

/* After a part has gone an error is left for the next call to report. */
static bool may_go_on(struct socket *s, long sent)
{
	return sent == 0 || !(client_ready(light_session, s->line) & (EP_ERROR | EP_HANGUP));
}

static long send_parts(struct socket *s, struct cursor *c, int flags)
{
	struct iovec parts[PARTS];
	nsec until = 0;
	long sent = 0;

	while (c->left > 0) {
		int n = cursor_fill(c, parts);
		ssize_t moved = may_go_on(s, sent) ? client_send(light_session, s->line, parts, n) : 0;

		if (moved > 0) {
			sent += moved;
			cursor_move(c, (size_t)moved);
			continue;
		}
		if (moved == -EAGAIN) {
			if (until == 0)
				until = deadline(s->send_timeout);
			moved = wait_ready(s, EP_WRITABLE, nonblocking_now(s, flags), until);
			if (moved == 0)
				continue;
		}
		return sent > 0 ? sent : moved;
	}
	return sent;
}

static long send_stream(struct socket *s, const struct iovec *iov, int count, int flags)
{
	struct cursor c = { iov, count, 0 };
	long result;

	if (!is_light(s))
		return broken_pipe(flags);
	if (flags & MSG_FASTOPEN)
		return -EOPNOTSUPP;
	if (s->more || (flags & MSG_MORE))
		cork(s, true);
	result = send_parts(s, &c, flags);
	if (s->more && !(flags & MSG_MORE))
		cork(s, false);
	return result == -EPIPE || result == -ENOTCONN ? broken_pipe(flags) : result;
}

/* The last byte is the urgent one. */
static long send_urgent(struct socket *s, const struct iovec *iov, int count, size_t total, int flags)
{
	const struct iovec *last = &iov[count - 1];
	struct iovec parts[PARTS];
	long sent = 0;
	int error;

	if (total == 0 || count > PARTS || last->iov_len == 0)
		return -EINVAL;
	if (total > 1) {
		memcpy(parts, iov, (size_t)count * sizeof(*iov));
		parts[count - 1].iov_len--;
		sent = send_stream(s, parts, count, flags & ~MSG_OOB);
		if (sent < 0 || (size_t)sent < total - 1)
			return sent;
	} else if (!is_light(s)) {
		return broken_pipe(flags);
	}
	while ((error = client_urgent_send(light_session, s->line, ((const uint8_t *)last->iov_base)[last->iov_len - 1])) == -EAGAIN) {
		error = wait_ready(s, EP_WRITABLE, nonblocking_now(s, flags), deadline(s->send_timeout));
		if (error != 0)
			break;
	}
	if (error == 0)
		return sent + 1;
	return sent > 0 ? sent : error == -EPIPE || error == -ENOTCONN ? broken_pipe(flags) : error;
}

/* ---- datagrams out ---- */

static long send_datagram(struct socket *s, int fd, const struct dgram_header *header, const struct iovec *iov, int count, size_t total,
			  int flags)
{
	nsec until = 0;
	long result;

	/* Gathering datagrams (MSG_MORE, UDP_CORK) and bypassing the routes are not there. */
	if (flags & (MSG_OOB | MSG_MORE | MSG_DONTROUTE))
		return -EOPNOTSUPP;
	if (total > DATAGRAM_MOST)
		return -EMSGSIZE;
	if (ipaddr_is_any(&header->peer) && header->peer_port == 0) {
		if (!is_light(s) || !(state_of(s) & LINE_CONNECTED))
			return -EDESTADDRREQ;
	} else {
		int error = header->peer_port == 0 ? -EINVAL : place_for_peer(s, fd, &header->peer);

		if (error != 0)
			return error;
	}
	/* The first datagram gives the socket its port, which getsockname knows from then on. */
	if (!(state_of(s) & LINE_BOUND))
		client_bind(light_session, s->line, &(struct ep_name){ ipaddr_from_ip4(INADDR_ANY), 0 });
	while ((result = client_send_dgram(light_session, s->line, header, iov, count)) == -EAGAIN) {
		if (until == 0)
			until = deadline(s->send_timeout);
		result = wait_ready(s, EP_WRITABLE, nonblocking_now(s, flags), until);
		if (result != 0)
			return result;
	}
	return result < 0 ? result : (long)total;
}

/* ---- streams in ---- */

static long receive_urgent(struct socket *s, const struct iovec *iov, int count)
{
	uint8_t byte;
	int error;

	if (s->type != EP_STREAM)
		return -EOPNOTSUPP;
	if (!is_light(s) || count < 1 || iov[0].iov_len == 0)
		return -EINVAL;
	error = client_urgent_take(light_session, s->line, &byte);
	if (error != 0)
		return error;
	*(uint8_t *)iov[0].iov_base = byte;
	return 1;
}

/* Sleeps until n bytes can be read, or no more will come: 0, -EAGAIN, -EINTR. */
static int wait_bytes(struct socket *s, uint32_t n, bool nonblocking, nsec until, bool force)
{
	int error = client_wait_bytes(light_session, s->line, n, force, nonblocking ? 0 : until);

	return error == -ETIMEDOUT ? -EAGAIN : error;
}

/* Linux waits for data even when none is wanted. */
static long receive_nothing(struct socket *s, int flags)
{
	if (state_of(s) & LINE_LISTENING)
		return -ENOTCONN;
	return wait_bytes(s, 1, nonblocking_now(s, flags), deadline(s->receive_timeout), true);
}

/* Bytes are taken as they come, but not one by one: as many as make the socket readable, or are missing. */
static uint32_t bytes_wanted(const struct socket *s, size_t missing)
{
	uint32_t from = client_receive_low(line_of(s));

	return missing < from ? (uint32_t)missing : from;
}

static bool is_at_mark(struct socket *s)
{
	return state_of(s) & LINE_MARK && client_at_mark(light_session, s->line);
}

/* As Linux: until SO_RCVLOWAT, or with MSG_WAITALL all, was read; a peek waits until so much lies there. What came before the time was
 * over, before an error, the end, or an urgent byte is returned. */

static long receive_all(struct socket *s, struct cursor *c, size_t target, int flags, unsigned how)
{
	struct iovec parts[PARTS];
	nsec until = 0;
	size_t received = 0;

	while (c->left > 0) {
		int n = cursor_fill(c, parts);
		ssize_t moved = client_recv(light_session, s->line, parts, n, how | (received ? CLIENT_AGAIN : 0));

		if (moved > 0) {
			received += (size_t)moved;
			cursor_move(c, (size_t)moved);
			if ((received >= target && n < PARTS) || is_at_mark(s))
				break;
			continue;
		}
		if (moved == -EAGAIN && received < target) {
			if (until == 0)
				until = deadline(s->receive_timeout);
			moved = wait_bytes(s, bytes_wanted(s, target - received), nonblocking_now(s, flags), until, true);
			if (moved == 0)
				continue;
		}
		return received > 0 ? (long)received : moved;
	}
	return (long)received;
}

/* With more parts than are looked at in one go a peek still sees the first ones only: they are at least 16. */
static long receive_peek(struct socket *s, const struct cursor *c, size_t target, int flags, unsigned how)
{
	uint32_t wanted = target < UINT32_MAX ? (uint32_t)target : UINT32_MAX;
	struct iovec parts[PARTS];
	int n = cursor_fill(c, parts), error;
	ssize_t moved = client_recv(light_session, s->line, parts, n, how);

	if (moved == 0 || (moved < 0 && moved != -EAGAIN) || (moved > 0 && (size_t)moved >= target))
		return moved;
	error = wait_bytes(s, wanted, nonblocking_now(s, flags), deadline(s->receive_timeout), !(flags & MSG_WAITALL));
	moved = client_recv(light_session, s->line, parts, n, how);
	return moved == -EAGAIN && error < 0 ? error : moved;
}

static long receive_stream(struct socket *s, const struct iovec *iov, int count, size_t total, int flags)
{
	struct cursor c = { iov, count, 0 };
	unsigned how = (flags & MSG_PEEK ? CLIENT_PEEK : 0) | (flags & MSG_TRUNC ? CLIENT_DISCARD : 0);
	size_t target;

	if (!is_light(s))
		return -ENOTCONN;
	if (total == 0)
		return receive_nothing(s, flags);
	target = flags & MSG_WAITALL ? total : client_receive_low(line_of(s));
	if (target > total)
		target = total;
	return flags & MSG_PEEK ? receive_peek(s, &c, target, flags, how) : receive_all(s, &c, target, flags, how);
}

/* ---- datagrams in ---- */

static long receive_datagram(struct socket *s, struct dgram_header *header, const struct iovec *iov, int count, int flags)
{
	nsec until = 0;
	long result;
	int error = place_light(s);

	if (error != 0)
		return error;
	while ((result = client_recv_dgram(light_session, s->line, header, iov, count, flags & MSG_PEEK ? CLIENT_PEEK : 0)) == -EAGAIN) {
		if (until == 0)
			until = deadline(s->receive_timeout);
		result = wait_ready(s, EP_READABLE, nonblocking_now(s, flags), until);
		if (result != 0)
			return result;
		/* shutdown(SHUT_RD) ends a wait as the end of a stream does. */
		if ((state_of(s) & LINE_READ_CLOSED) && !(client_ready(light_session, s->line) & EP_ERROR) &&
		    client_receive_queued(light_session, s->line) == 0) {
			memset(header, 0, sizeof(*header));
			return 0;
		}
	}
	return result;
}

/* ---- the error queue ---- */

/* Never waits. */
static long receive_error(struct socket *s, struct msghdr *m)
{
	uint8_t quote[EP_QUOTE_MOST];
	struct ep_queued_error e;
	int error = is_light(s) ? client_take_queued_error(light_session, s->line, &e, quote) : -EAGAIN;

	return error != 0 ? error : msgmap_write_error(s->wants, m, &e, quote);
}

/* ---- public ---- */

long light_send(struct socket *s, int fd, const struct iovec *iov, int count, int flags)
{
	struct dgram_header header = { 0 };
	ssize_t total = total_length(iov, count);

	if (total < 0)
		return total;
	if (s->type == EP_DATAGRAM)
		return send_datagram(s, fd, &header, iov, count, (size_t)total, flags);
	if (flags & MSG_OOB)
		return count > 0 ? send_urgent(s, iov, count, (size_t)total, flags) : -EINVAL;
	return send_stream(s, iov, count, flags);
}

long light_recv(struct socket *s, const struct iovec *iov, int count, int flags)
{
	struct dgram_header header;
	ssize_t total = total_length(iov, count);
	long result;

	/* tcp(7): MSG_TRUNC throws bytes away, and needs no memory for them. */
	if (total == -EFAULT && s->type == EP_STREAM && (flags & (MSG_TRUNC | MSG_PEEK)) == MSG_TRUNC && count == 1)
		total = (ssize_t)iov->iov_len;
	if (total < 0)
		return total;
	if (flags & MSG_ERRQUEUE)
		return receive_error(s, &(struct msghdr){ .msg_iov = (struct iovec *)(uintptr_t)iov, .msg_iovlen = (size_t)count });
	if (flags & MSG_OOB)
		return receive_urgent(s, iov, count);
	if (s->type == EP_STREAM)
		return receive_stream(s, iov, count, (size_t)total, flags);
	result = receive_datagram(s, &header, iov, count, flags);
	return result > total && !(flags & MSG_TRUNC) ? total : result;
}

long light_sendmsg(struct socket *s, int fd, const struct msghdr *m, int flags)
{
	struct dgram_header header = { 0 };
	struct ep_name to;
	ssize_t total;
	int error;

	if (!m)
		return -EFAULT;
	if (m->msg_iovlen > IOV_MAX)
		return -EMSGSIZE;
	total = total_length(m->msg_iov, (int)m->msg_iovlen);
	if (total < 0)
		return total;
	error = msgmap_read(m, &header);
	if (error != 0)
		return error;
	if (s->type == EP_STREAM && flags & MSG_FASTOPEN) {
		long connected = light_connect_to_send(s, fd, m->msg_name, m->msg_namelen, nonblocking_now(s, flags));

		if (connected != 0)
			return connected;
		flags &= ~MSG_FASTOPEN;
	}
	if (s->type == EP_STREAM)
		return light_send(s, fd, m->msg_iov, (int)m->msg_iovlen, flags);
	if (m->msg_name && m->msg_namelen > 0) {
		error = name_from_sockaddr(m->msg_name, m->msg_namelen, &to);
		if (error != 0)
			return error;
		if (ipaddr_is_any(&to.addr))
			to.addr = ipaddr_from_ip4(htonl(INADDR_LOOPBACK));
		header.peer = to.addr;
		header.peer_port = to.port;
	}
	return send_datagram(s, fd, &header, m->msg_iov, (int)m->msg_iovlen, (size_t)total, flags);
}

long light_recvmsg(struct socket *s, struct msghdr *m, int flags)
{
	struct dgram_header header = { 0 };
	ssize_t total;
	long result;

	if (!m)
		return -EFAULT;
	if (m->msg_iovlen > IOV_MAX)
		return -EMSGSIZE;
	if (flags & MSG_ERRQUEUE) {
		total = total_length(m->msg_iov, (int)m->msg_iovlen);
		return total < 0 ? total : receive_error(s, m);
	}
	if (s->type == EP_STREAM || (flags & MSG_OOB)) {
		result = light_recv(s, m->msg_iov, (int)m->msg_iovlen, flags);
		if (result >= 0) {
			m->msg_namelen = 0;
			m->msg_controllen = 0;
			m->msg_flags = flags & MSG_OOB;
		}
		return result;
	}
	total = total_length(m->msg_iov, (int)m->msg_iovlen);
	if (total < 0)
		return total;
	result = receive_datagram(s, &header, m->msg_iov, (int)m->msg_iovlen, flags);
	if (result < 0)
		return result;
	if (m->msg_name)
		sockaddr_put(&header.peer, header.peer_port, m->msg_name, &m->msg_namelen);
	m->msg_flags = result > total ? MSG_TRUNC : 0;
	msgmap_write(s->wants, m, &header);
	return result > total && !(flags & MSG_TRUNC) ? total : result;
}

/* The first error after some messages is not reported: it would be lost in Linux too if nothing followed. */
long light_sendmmsg(struct socket *s, int fd, struct mmsghdr *messages, unsigned count, int flags)
{
	unsigned n = 0;
	long result = 0;

	for (; n < count && n < IOV_MAX; n++) {
		result = light_sendmsg(s, fd, &messages[n].msg_hdr, flags);
		if (result < 0)
			break;
		messages[n].msg_len = (unsigned)result;
	}
	return n > 0 ? (long)n : result;
}

long light_recvmmsg(struct socket *s, struct mmsghdr *messages, unsigned count, int flags, struct timespec *timeout)
{
	nsec until = NSEC_NEVER;
	unsigned n = 0;
	long result = 0;

	if (timeout) {
		if (timeout->tv_sec < 0 || (unsigned long)timeout->tv_nsec >= NSEC_PER_SEC)
			return -EINVAL;
		until = client_now() + (nsec)timeout->tv_sec * NSEC_PER_SEC + (nsec)timeout->tv_nsec;
	}
	/* As in Linux the time is looked at after each message only. */
	while (n < count && n < IOV_MAX) {
		result = light_recvmsg(s, &messages[n].msg_hdr, flags & ~MSG_WAITFORONE);
		if (result < 0)
			break;
		messages[n++].msg_len = (unsigned)result;
		if (flags & MSG_WAITFORONE)
			flags |= MSG_DONTWAIT;
		if (until != NSEC_NEVER && client_now() >= until)
			break;
	}
	if (timeout && n > 0) {
		nsec now = client_now(), left = until > now ? until - now : 0;

		*timeout = (struct timespec){ (time_t)(left / NSEC_PER_SEC), (long)(left % NSEC_PER_SEC) };
	}
	return n > 0 ? (long)n : result;
}
