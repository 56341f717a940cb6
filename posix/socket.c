/* SPDX-License-Identifier: BSD-3-Clause */
/* The life of a socket: socket, bind, listen, accept, connect, shutdown and its names, with Linux's errors. */
#include "posix/calls.h"

#include <netinet/in.h>
#include <string.h>

#define BACKLOG_MOST 4096  /* net.core.somaxconn */

/* ---- addresses ---- */

int name_from_sockaddr(const struct sockaddr *from, socklen_t length, struct ep_name *to)
{
	struct sockaddr_in in;

	if (!from)
		return -EFAULT;
	if (length < sizeof(in))
		return -EINVAL;
	memcpy(&in, from, sizeof(in));
	if (in.sin_family != AF_INET)
		return -EAFNOSUPPORT;
	to->addr = ipaddr_from_ip4(in.sin_addr.s_addr);
	to->port = ntohs(in.sin_port);
	return 0;
}

void sockaddr_put(const struct ipaddr *addr, uint16_t port, struct sockaddr *to, socklen_t *length)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(port) };

	in.sin_addr.s_addr = ipaddr_ip4(addr);
	memcpy(to, &in, *length < sizeof(in) ? *length : sizeof(in));
	*length = sizeof(in);
}

static bool unspecified(const struct sockaddr *a, socklen_t length)
{
	return a && length >= sizeof(a->sa_family) && a->sa_family == AF_UNSPEC;
}

/* ---- socket ---- */

int light_socket(int type, int protocol)
{
	bool stream = (type & 0xf) == SOCK_STREAM && (protocol == 0 || protocol == IPPROTO_TCP);
	bool datagram = (type & 0xf) == SOCK_DGRAM && (protocol == 0 || protocol == IPPROTO_UDP);
	struct socket *s;
	int fd;

	if ((!stream && !datagram) || (type & ~(0xf | SOCK_CLOEXEC | SOCK_NONBLOCK)))
		return PASS;
	if (!light_client())
		return settings.require_daemon ? -ENETDOWN : PASS;
	s = socket_new_or_null(stream ? EP_STREAM : EP_DATAGRAM, stream ? IPPROTO_TCP : IPPROTO_UDP, type & SOCK_NONBLOCK);
	if (!s)
		return -ENOBUFS;
	fd = fdtable_add_socket(s, type);
	socket_put(s);
	return fd;
}

/* ---- bind, listen ---- */

/* bind(0.0.0.0, 0) cannot fail and says nothing about where to: it waits for the first peer. */
long light_bind(struct socket *s, int fd, const struct sockaddr *a, socklen_t length)
{
	struct ep_name name;
	int error = name_from_sockaddr(a, length, &name);

	/* Linux takes AF_UNSPEC with the wildcard address for AF_INET here. */
	if (error == -EAFNOSUPPORT && a->sa_family == AF_UNSPEC) {
		struct sockaddr_in in;

		memcpy(&in, a, sizeof(in));
		if (in.sin_addr.s_addr == INADDR_ANY) {
			name = (struct ep_name){ ipaddr_from_ip4(INADDR_ANY), ntohs(in.sin_port) };
			error = 0;
		}
	}
	if (error != 0)
		return error;
	if (s->bound_any)
		return -EINVAL;
	if (!is_light(s) && ipaddr_is_any(&name.addr) && name.port == 0) {
		s->bound_any = true;
		return 0;
	}
	error = place_for_address(s, fd, &name);
	return error != 0 ? error : client_bind(light_session, s->line, &name);
}

/* The deferred bind of above, when the port matters. */
static int bind_now(struct socket *s)
{
	struct ep_name any = { ipaddr_from_ip4(INADDR_ANY), 0 };
	int error = place_light(s);

	if (error != 0 || (state_of(s) & LINE_BOUND))
		return error;
	return client_bind(light_session, s->line, &any);
}

long light_listen(struct socket *s, int fd, int backlog)
{
	int error;

	(void)fd;
	if (s->type != EP_STREAM)
		return -EOPNOTSUPP;
	error = place_light(s);
	if (error == 0 && !(state_of(s) & (LINE_BOUND | LINE_LISTENING | LINE_CONNECTED)) && !s->connecting)
		error = bind_now(s);
	if (error != 0)
		return error;
	return client_listen(light_session, s->line, backlog < 0 || backlog > BACKLOG_MOST ? BACKLOG_MOST : (uint32_t)backlog);
}

/* ---- accept ---- */

static long accepted(struct socket *s, int fd, uint32_t line, struct sockaddr *a, socklen_t *length, int flags)
{
	struct socket *child = socket_new_or_null(EP_STREAM, s->protocol, flags & SOCK_NONBLOCK);
	const struct sock_line *l = client_line(light_session, line);

	if (!child) {
		client_abort(light_session, line);
		client_close(light_session, line);
		libc.close(fd);
		return -ENOBUFS;
	}
	child->line = line;
	child->linger = s->linger;
	atomic_store_explicit(&child->place, SOCKET_LIGHT, memory_order_release);
	if (a && length)
		sockaddr_put(&l->peer, l->peer_port, a, length);
	fdtable_set_socket(fd, child);
	socket_put(child);
	return fd;
}

/* The number comes first, as in Linux: without one the connection stays in the queue. */
static long take_child(struct socket *s, struct sockaddr *a, socklen_t *length, int flags)
{
	uint32_t line;
	int fd, error;

	if (!(client_ready(light_session, s->line) & EP_READABLE))
		return -EAGAIN;
	fd = fdtable_reserve(EP_STREAM, flags);
	if (fd < 0)
		return fd;
	error = client_accept(light_session, s->line, &line);
	if (error == 0)
		return accepted(s, fd, line, a, length, flags);
	libc.close(fd);
	return error;
}

long light_accept(struct socket *s, struct sockaddr *a, socklen_t *length, int flags)
{
	nsec until = 0;
	long result;

	if (flags & ~(SOCK_CLOEXEC | SOCK_NONBLOCK))
		return -EINVAL;
	if (s->type != EP_STREAM)
		return -EOPNOTSUPP;
	if (a && !length)
		return -EFAULT;
	if (!is_light(s))
		return -EINVAL;
	for (;;) {
		uint32_t state = state_of(s);

		if (!(state & LINE_LISTENING))
			return state & LINE_DAEMON_GONE ? -ECONNABORTED : -EINVAL;
		result = take_child(s, a, length, flags);
		if (result != -EAGAIN)
			return result;
		if (state & LINE_DAEMON_GONE)
			return -ECONNABORTED;
		if (until == 0)
			until = deadline(s->receive_timeout);
		result = wait_ready(s, EP_READABLE, s->nonblocking, until);
		if (result != 0)
			return result;
	}
}

/* ---- connect ---- */

/* How an attempt that is under way stands: 0, -errno, or -EINPROGRESS. */
static int connect_outcome(struct socket *s)
{
	/* Until the daemon has seen this attempt, the line tells of the one before. */
	bool posted = atomic_load_explicit(&client_line(light_session, s->line)->connect_posted, memory_order_acquire);
	uint32_t state = state_of(s);
	int error = client_take_error(light_session, s->line);

	if (error == 0 && posted && client_alive(light_session))
		return -EINPROGRESS;
	if (error == 0 && (state & LINE_CONNECTED) && !(state & LINE_HANGUP)) {
		s->connecting = false;
		return 0;
	}
	if (error == 0 && !(state & (LINE_HANGUP | LINE_DAEMON_GONE)))
		return -EINPROGRESS;
	s->connecting = false;
	return error ? -error : -ECONNABORTED;
}

static long wait_connected(struct socket *s)
{
	nsec until = deadline(s->send_timeout);
	int error;

	while ((error = connect_outcome(s)) == -EINPROGRESS) {
		error = client_wait_line(light_session, s->line, EP_WRITABLE | EP_ERROR | EP_HANGUP, until);
		if (error == -ETIMEDOUT)
			return -EINPROGRESS;
		if (error != 0)
			return error;
	}
	return error;
}

/* With a cookie for the peer nothing is sent yet, and the program may write at once (RFC 7413): it is there with the daemon's
 * answer to whatever is asked next. */
static long connect_fast(struct socket *s, bool nonblocking)
{
	int64_t unused;
	int error = client_get(light_session, s->line, EP_FASTOPEN_CONNECT, &unused);

	if (error == 0)
		error = connect_outcome(s);
	return error != -EINPROGRESS || nonblocking ? error : wait_connected(s);
}

static long connect_stream(struct socket *s, const struct ep_name *to)
{
	uint32_t state = state_of(s);
	int error;

	if (s->connecting) {
		error = connect_outcome(s);
		if (error != -EINPROGRESS)
			return error;
		return s->nonblocking ? -EALREADY : wait_connected(s);
	}
	if ((state & LINE_LISTENING) || ((state & LINE_CONNECTED) && !(state & LINE_HANGUP)))
		return -EISCONN;
	error = client_connect(light_session, s->line, to);
	if (error != -EINPROGRESS)
		return error;
	s->connecting = true;
	if (s->fastopen_connect)
		return connect_fast(s, s->nonblocking);
	return s->nonblocking ? -EINPROGRESS : wait_connected(s);
}

long light_connect_to_send(struct socket *s, int fd, const struct sockaddr *a, socklen_t length, bool nonblocking)
{
	struct ep_name to;
	int error;

	if (unspecified(a, length))
		return -EOPNOTSUPP;
	error = a ? name_from_sockaddr(a, length, &to) : -EINVAL;
	if (error == 0)
		error = place_for_peer(s, fd, &to.addr);
	if (error != 0)
		return error;
	if (s->connecting)
		return -EALREADY;
	if (state_of(s) & (LINE_CONNECTED | LINE_LISTENING))
		return -EISCONN;
	if (ipaddr_is_any(&to.addr))
		to.addr = ipaddr_from_ip4(htonl(INADDR_LOOPBACK));
	error = client_set(light_session, s->line, EP_FASTOPEN_CONNECT, 1);
	if (error == 0)
		error = client_connect(light_session, s->line, &to);
	if (error != -EINPROGRESS)
		return error;
	s->connecting = true;
	return connect_fast(s, nonblocking);
}

long light_connect(struct socket *s, int fd, const struct sockaddr *a, socklen_t length)
{
	struct ep_name to;
	int error;

	if (unspecified(a, length)) {
		s->connecting = false;
		return is_light(s) ? client_connect(light_session, s->line, NULL) : 0;
	}
	error = name_from_sockaddr(a, length, &to);
	if (error == 0)
		error = place_for_peer(s, fd, &to.addr);
	if (error != 0)
		return error;
	if (ipaddr_is_any(&to.addr))
		to.addr = ipaddr_from_ip4(htonl(INADDR_LOOPBACK));
	return s->type == EP_STREAM ? connect_stream(s, &to) : client_connect(light_session, s->line, &to);
}

/* ---- the end, and names ---- */

long light_shutdown(struct socket *s, int how)
{
	static const enum ep_how hows[] = { EP_SHUT_READ, EP_SHUT_WRITE, EP_SHUT_BOTH };

	if (how < SHUT_RD || how > SHUT_RDWR)
		return -EINVAL;
	return is_light(s) ? client_shutdown(light_session, s->line, hows[how]) : -ENOTCONN;
}

static long put_name(const struct ep_name *name, struct sockaddr *a, socklen_t *length)
{
	if (!a || !length)
		return -EFAULT;
	if ((int)*length < 0)
		return -EINVAL;
	sockaddr_put(&name->addr, name->port, a, length);
	return 0;
}

long light_getsockname(struct socket *s, struct sockaddr *a, socklen_t *length)
{
	struct ep_name local = { ipaddr_from_ip4(INADDR_ANY), 0 }, peer;
	int error = 0;

	if (s->bound_any && (!is_light(s) || !(state_of(s) & LINE_BOUND)))
		error = bind_now(s);
	if (error == 0 && is_light(s))
		error = client_names(light_session, s->line, &local, &peer);
	if (error == -ENOTCONN)
		error = 0;
	return error != 0 ? error : put_name(&local, a, length);
}

/* A connection that is over has no peer any more, as in Linux (state CLOSE). */
long light_getpeername(struct socket *s, struct sockaddr *a, socklen_t *length)
{
	const struct sock_line *l;
	struct ep_name peer;
	uint32_t state;

	if (!is_light(s))
		return -ENOTCONN;
	state = state_of(s);
	if (!(state & LINE_CONNECTED) || (state & LINE_HANGUP))
		return -ENOTCONN;
	l = line_of(s);
	peer = (struct ep_name){ l->peer, l->peer_port };
	return put_name(&peer, a, length);
}
