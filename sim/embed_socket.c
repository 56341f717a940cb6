/* SPDX-License-Identifier: BSD-3-Clause */
/* The life of a socket of the embedded process: socket, bind, listen, accept, connect, shutdown, close and its names, with Linux's
 * errors. */
#include "embed_state.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#define BACKLOG_MOST 4096       /* net.core.somaxconn */
#define FLAGS (SOCK_NONBLOCK | SOCK_CLOEXEC)

/* ---- names ---- */

static int read_ip4(const struct sockaddr *from, socklen_t length, struct ep_name *to)
{
	struct sockaddr_in in;

	if (length < sizeof(in))
		return -EINVAL;
	memcpy(&in, from, sizeof(in));
	if (in.sin_family != AF_INET)
		return -EAFNOSUPPORT;
	to->addr = ipaddr_from_ip4(in.sin_addr.s_addr);
	to->port = ntohs(in.sin_port);
	return 0;
}

static int read_ip6(const struct sockaddr *from, socklen_t length, struct ep_name *to)
{
	struct sockaddr_in6 in = { 0 };

	if (length < offsetof(struct sockaddr_in6, sin6_scope_id))      /* RFC 2133's had no scope */
		return -EINVAL;
	memcpy(&in, from, length < sizeof(in) ? length : sizeof(in));
	if (in.sin6_family != AF_INET6)
		return -EAFNOSUPPORT;
	memcpy(to->addr.bytes, in.sin6_addr.s6_addr, sizeof(to->addr.bytes));
	to->port = ntohs(in.sin6_port);
	if (ipaddr_is_any(&to->addr))
		to->addr = ipaddr_from_ip4(INADDR_ANY);
	return ipaddr_is_ip4(&to->addr) ? 0 : -EADDRNOTAVAIL;
}

int embed_name_read(const struct embed_socket *s, const struct sockaddr *from, socklen_t length, struct ep_name *to)
{
	if (!from)
		return -EFAULT;
	return s->domain == AF_INET6 ? read_ip6(from, length, to) : read_ip4(from, length, to);
}

void embed_name_write(const struct embed_socket *s, const struct ep_name *name, struct sockaddr *to, socklen_t *length)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(name->port) };
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_port = htons(name->port) };
	const void *from = s->domain == AF_INET6 ? (const void *)&in6 : &in;
	socklen_t n = s->domain == AF_INET6 ? sizeof(in6) : sizeof(in);

	in.sin_addr.s_addr = ipaddr_ip4(&name->addr);
	if (!ipaddr_is_any(&name->addr))
		memcpy(in6.sin6_addr.s6_addr, name->addr.bytes, sizeof(name->addr.bytes));
	memcpy(to, from, *length < n ? *length : n);
	*length = n;
}

static bool unspecified(const struct sockaddr *a, socklen_t length)
{
	return a && length >= sizeof(a->sa_family) && a->sa_family == AF_UNSPEC;
}

/* ---- help ---- */

int embed_no_socket(const struct embed *e, int fd)
{
	return embed_has(e, fd) ? -ENOTSOCK : -EBADF;
}

enum tcp_state embed_state(struct embed *e, const struct embed_socket *s)
{
	struct ep_info info;

	return ep_info(e->stack, s->ep, &info) == 0 ? info.state : TCP_CLOSED;
}

/* The common end of a call. */
static int done(struct embed *e, struct embed_socket *s, int result)
{
	embed_settle(e);
	embed_socket_put(s);
	return result;
}

static struct embed_socket *socket_new(int domain, enum ep_type type, int protocol, bool nonblocking)
{
	struct embed_socket *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->file.kind = EMBED_SOCKET;
	s->domain = domain;
	s->type = type;
	s->protocol = protocol;
	s->nonblocking = nonblocking;
	return s;
}

/* ---- socket, bind, listen ---- */

int embed_socket(struct embed *e, int domain, int type, int protocol)
{
	bool stream = (type & 0xf) == SOCK_STREAM, datagram = (type & 0xf) == SOCK_DGRAM;
	int meant = stream ? IPPROTO_TCP : IPPROTO_UDP, fd, error;
	struct embed_socket *s;

	if (domain != AF_INET && domain != AF_INET6)
		return -EAFNOSUPPORT;
	if (type & ~(0xf | FLAGS))
		return -EINVAL;
	if (!stream && !datagram)
		return -ESOCKTNOSUPPORT;
	if (protocol != 0 && protocol != meant)
		return -EPROTONOSUPPORT;
	s = socket_new(domain, stream ? EP_STREAM : EP_DATAGRAM, meant, type & SOCK_NONBLOCK);
	if (!s)
		return -ENOBUFS;
	s->idle = stream;
	error = ep_open(e->stack, s->type, (uintptr_t)s, NULL, &s->ep);
	if (error != 0) {
		free(s);
		return error;
	}
	fd = embed_file_add(e, &s->file);
	if (fd < 0) {
		ep_set_owner(e->stack, s->ep, 0, NULL);
		ep_close(e->stack, s->ep);
		free(s);
	}
	return fd;
}

int embed_bind(struct embed *e, int fd, const struct sockaddr *a, socklen_t length)
{
	struct embed_socket *s = embed_socket_get(e, fd);
	struct ep_name name;
	int error;

	if (!s)
		return embed_no_socket(e, fd);
	error = embed_name_read(s, a, length, &name);
	/* Linux takes AF_UNSPEC with the wildcard address for AF_INET here. */
	if (error == -EAFNOSUPPORT && s->domain == AF_INET && a->sa_family == AF_UNSPEC) {
		struct sockaddr_in in;

		memcpy(&in, a, sizeof(in));
		name = (struct ep_name){ ipaddr_from_ip4(INADDR_ANY), ntohs(in.sin_port) };
		error = in.sin_addr.s_addr == INADDR_ANY ? 0 : error;
	}
	return done(e, s, error != 0 ? error : ep_bind(e->stack, s->ep, &name));
}

int embed_listen(struct embed *e, int fd, int backlog)
{
	struct embed_socket *s = embed_socket_get(e, fd);
	int error;

	if (!s)
		return embed_no_socket(e, fd);
	error = ep_listen(e->stack, s->ep, backlog < 0 || backlog > BACKLOG_MOST ? BACKLOG_MOST : (uint32_t)backlog);
	if (error == 0) {
		s->listening = true;
		s->idle = false;
	}
	return done(e, s, error);
}

/* ---- accept ---- */

static int take_child(struct embed *e, struct embed_socket *s, struct sockaddr *a, socklen_t *length, int flags)
{
	struct embed_socket *child;
	struct ep_name peer;
	int fd, error;

	if (!(ep_ready(e->stack, s->ep) & EP_READABLE))
		return -EAGAIN;
	child = socket_new(s->domain, EP_STREAM, s->protocol, flags & SOCK_NONBLOCK);
	if (!child)
		return -ENOBUFS;
	fd = embed_file_add(e, &child->file);   /* first, as in Linux: without one the connection stays in the queue */
	if (fd < 0) {
		free(child);
		return fd;
	}
	child->file.calls++;
	error = ep_accept(e->stack, s->ep, &child->ep, &peer);
	if (error == 0) {
		ep_set_owner(e->stack, child->ep, (uintptr_t)child, NULL);
		if (a)
			embed_name_write(s, &peer, a, length);
	} else {
		embed_file_remove(e, &child->file);
	}
	embed_socket_put(child);
	return error != 0 ? error : fd;
}

int embed_accept(struct embed *e, int fd, struct sockaddr *a, socklen_t *length, int flags)
{
	struct embed_socket *s = embed_socket_get(e, fd);
	nsec until;
	int result;

	if (!s)
		return embed_no_socket(e, fd);
	until = embed_until(e, s->receive_timeout);
	if (flags & ~FLAGS || !s->listening)
		result = s->type == EP_STREAM ? -EINVAL : -EOPNOTSUPP;
	else if (a && (!length || (int)*length < 0))
		result = length ? -EINVAL : -EFAULT;
	else
		while ((result = take_child(e, s, a, length, flags)) == -EAGAIN) {
			if (s->nonblocking)
				break;
			result = embed_wait(e, until);
			if (result != 0)
				break;
			if (!s->listening) {
				result = -EINVAL;
				break;
			}
		}
	return done(e, s, result);
}

/* ---- connect ---- */

/* How an attempt that is under way stands: 0, -errno, or -EINPROGRESS. */
static int outcome(struct embed *e, struct embed_socket *s)
{
	int error = ep_take_error(e->stack, s->ep);
	enum tcp_state state = embed_state(e, s);

	if (error == 0 && (state == TCP_SYN_SENT || state == TCP_SYN_RECEIVED))
		return -EINPROGRESS;
	s->connecting = false;
	return error ? -error : state == TCP_CLOSED ? -ECONNABORTED : 0;
}

static int wait_connected(struct embed *e, struct embed_socket *s)
{
	nsec until = embed_until(e, s->send_timeout);
	int error;

	while ((error = outcome(e, s)) == -EINPROGRESS) {
		error = embed_wait(e, until);
		if (error != 0)
			return error == -EAGAIN ? -EINPROGRESS : error;
	}
	return error;
}

static int connect_stream(struct embed *e, struct embed_socket *s, const struct ep_name *to)
{
	int error;

	if (s->connecting) {
		error = outcome(e, s);
		if (error != -EINPROGRESS)
			return error;
		return s->nonblocking ? -EALREADY : wait_connected(e, s);
	}
	error = ep_connect(e->stack, s->ep, to);
	if (error == 0)         /* TCP_FASTOPEN_CONNECT and a cookie: the SYN waits for bytes */
		s->idle = false;
	if (error != -EINPROGRESS)
		return error;
	s->connecting = true;
	s->idle = false;
	embed_settle(e);
	return s->nonblocking ? -EINPROGRESS : wait_connected(e, s);
}

int embed_connect_to_send(struct embed *e, struct embed_socket *s, const struct sockaddr *a, socklen_t length, bool nonblocking)
{
	struct ep_name to;
	int error;

	if (unspecified(a, length))
		return -EOPNOTSUPP;
	error = a ? embed_name_read(s, a, length, &to) : -EINVAL;
	if (error != 0)
		return error == -EADDRNOTAVAIL ? -ENETUNREACH : error;
	if (s->connecting)
		return -EALREADY;
	if (!s->idle)
		return -EISCONN;
	error = ep_set(e->stack, s->ep, EP_FASTOPEN_CONNECT, 1);
	if (error == 0)
		error = ep_connect(e->stack, s->ep, &to);
	if (error != 0 && error != -EINPROGRESS)
		return error;
	s->idle = false;
	s->connecting = true;
	if (error == 0)
		return 0;
	embed_settle(e);
	return nonblocking ? -EINPROGRESS : wait_connected(e, s);
}

static int dissolve(struct embed *e, struct embed_socket *s)
{
	int error = ep_connect(e->stack, s->ep, NULL);

	s->connecting = false;
	if (error == 0)
		s->idle = s->type == EP_STREAM;
	return error;
}

int embed_connect(struct embed *e, int fd, const struct sockaddr *a, socklen_t length)
{
	struct embed_socket *s = embed_socket_get(e, fd);
	struct ep_name to;
	int error;

	if (!s)
		return embed_no_socket(e, fd);
	if (unspecified(a, length))
		return done(e, s, dissolve(e, s));
	error = embed_name_read(s, a, length, &to);
	if (error == -EADDRNOTAVAIL)
		error = -ENETUNREACH;   /* IPv6: there is no way */
	if (error == 0)
		error = s->type == EP_STREAM ? connect_stream(e, s, &to) : ep_connect(e->stack, s->ep, &to);
	return done(e, s, error);
}

/* ---- the end, and names ---- */

int embed_shutdown(struct embed *e, int fd, int how)
{
	static const enum ep_how hows[] = { EP_SHUT_READ, EP_SHUT_WRITE, EP_SHUT_BOTH };
	struct embed_socket *s = embed_socket_get(e, fd);
	int error = -EINVAL;

	if (!s)
		return embed_no_socket(e, fd);
	if (how >= SHUT_RD && how <= SHUT_RDWR)
		error = ep_shutdown(e->stack, s->ep, hows[how]);
	if (error == 0 && s->listening && embed_state(e, s) != TCP_LISTEN) {
		s->listening = false;
		s->idle = true;
	}
	return done(e, s, error);
}

/* SO_LINGER with a time: until the peer has acknowledged all, the FIN too. */
static void linger(struct embed *e, const struct embed_socket *s, nsec until)
{
	struct ep_info info;

	embed_settle(e);
	while (ep_info(e->stack, s->ep, &info) == 0 &&
	       (info.state == TCP_FIN_WAIT_1 || info.state == TCP_CLOSING || info.state == TCP_LAST_ACK))
		if (embed_wait(e, until) != 0)
			break;
}

int embed_close(struct embed *e, int fd)
{
	struct embed_file *f = embed_has(e, fd) ? e->files[fd] : NULL;
	struct embed_socket *s;
	int64_t seconds = -1;

	if (!f)
		return -EBADF;
	f->calls++;
	embed_file_remove(e, f);
	if (f->kind == EMBED_SOCKET) {
		s = (struct embed_socket *)(void *)f;
		ep_get(e->stack, s->ep, EP_LINGER, &seconds);
		ep_set_owner(e->stack, s->ep, 0, NULL);
		ep_close(e->stack, s->ep);
		if (seconds > 0 && s->type == EP_STREAM)
			linger(e, s, e->now + (nsec)seconds * NSEC_PER_SEC);
	}
	embed_settle(e);
	embed_file_put(f);
	return 0;
}

static int put_name(struct embed *e, struct embed_socket *s, int error, const struct ep_name *name, struct sockaddr *a, socklen_t *length)
{
	if (error == 0 && (!a || !length))
		error = -EFAULT;
	if (error == 0 && (int)*length < 0)
		error = -EINVAL;
	if (error == 0)
		embed_name_write(s, name, a, length);
	return done(e, s, error);
}

int embed_getsockname(struct embed *e, int fd, struct sockaddr *a, socklen_t *length)
{
	struct embed_socket *s = embed_socket_get(e, fd);
	struct ep_name name;
	int error;

	if (!s)
		return embed_no_socket(e, fd);
	error = ep_local(e->stack, s->ep, &name);
	return put_name(e, s, error, &name, a, length);
}

/* A connection that is over, or not yet there, has no peer, as in Linux. */
int embed_getpeername(struct embed *e, int fd, struct sockaddr *a, socklen_t *length)
{
	struct embed_socket *s = embed_socket_get(e, fd);
	enum tcp_state state;
	struct ep_name name;
	int error;

	if (!s)
		return embed_no_socket(e, fd);
	error = ep_peer(e->stack, s->ep, &name);
	state = embed_state(e, s);
	if (s->type == EP_STREAM && (state == TCP_CLOSED || state == TCP_SYN_SENT))
		error = -ENOTCONN;
	return put_name(e, s, error, &name, a, length);
}
