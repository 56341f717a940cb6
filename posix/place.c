/* SPDX-License-Identifier: BSD-3-Clause */
/* Where a socket lives: it begins undecided and is decided by the first address that it meets. By default loopback and what Light
 * has no route to belong to the kernel. Then a real kernel socket, with all that was set, takes the same number; else the socket gets
 * its line. */
#include "posix/calls.h"

#include <netinet/in.h>

#include "posix/lock.h"

static bool is_loopback(const struct ipaddr *a)
{
	return ipaddr_is_ip4(a) && a->bytes[12] == 127;
}

/* connect to 0.0.0.0 means this host, which is loopback. */
static bool is_group(const struct ipaddr *a)
{
	return ipaddr_is_ip4(a) && a->bytes[12] >> 4 == 14;
}

/* Groups are reached by any interface: those of Light, unless another one was named (place_for_interface). */
static bool light_reaches(const struct ipaddr *to)
{
	if (is_group(to))
		return true;
	if (is_loopback(to) || ipaddr_is_any(to))
		return settings.loopback_light;
	return client_is_own_address(light_session, to) || client_has_route(light_session, to);
}

static bool light_has(const struct ipaddr *local)
{
	if (ipaddr_is_any(local) || is_group(local))
		return true;
	return is_loopback(local) ? settings.loopback_light : client_is_own_address(light_session, local);
}

/* ---- to the kernel ---- */

static int open_in_kernel(struct socket *s)
{
	struct sockaddr_in any = { .sin_family = AF_INET };
	int type = (s->type == EP_DATAGRAM ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC | (s->nonblocking ? SOCK_NONBLOCK : 0);
	int fd = libc.socket(AF_INET, type, s->protocol);
	int error = fd < 0 ? -errno : 0;

	if (error == 0)
		error = options_to_kernel(s, fd);
	if (error == 0 && s->bound_any && libc.bind(fd, (struct sockaddr *)&any, sizeof(any)) != 0)
		error = -errno;
	if (error == 0 && s->owner_pid && libc.fcntl(fd, F_SETOWN, s->owner_pid) != 0)
		error = -errno;
	if (error == 0 && s->async && libc.fcntl(fd, F_SETFL, O_ASYNC | (s->nonblocking ? O_NONBLOCK : 0)) != 0)
		error = -errno;
	if (error == 0)
		return fd;
	if (fd >= 0)
		libc.close(fd);
	return error;
}

/* Close-on-exec belongs to the number and stays. */
static void replace_number(struct socket *s, int fd, int kernel_fd)
{
	int flags = libc.fcntl(fd, F_GETFD);

	if (libc.dup3(kernel_fd, fd, flags >= 0 && (flags & FD_CLOEXEC) ? O_CLOEXEC : 0) < 0)
		return;
	epoll_socket_to_kernel(s, fd);
	fdtable_remove(fd);
}

struct replacement {
	struct socket *socket;
	int kernel_fd;
};

static void replace_if_same(int fd, enum descriptor_kind kind, void *object, void *context)
{
	const struct replacement *r = context;

	if (kind == DESCRIPTOR_SOCKET && object == r->socket)
		replace_number(r->socket, fd, r->kernel_fd);
}

static int place_kernel(struct socket *s, int fd)
{
	struct replacement r = { s, -1 };

	r.kernel_fd = open_in_kernel(s);
	if (r.kernel_fd < 0)
		return r.kernel_fd;
	if (atomic_load(&s->descriptors) == 1)
		replace_number(s, fd, r.kernel_fd);
	else
		fdtable_each(replace_if_same, &r);
	libc.close(r.kernel_fd);
	return PASS;
}

/* ---- to Light ---- */

/* A port's sockets live on its home core; without a port any core will do. */
static int open_line(const struct socket *s, uint16_t port, uint32_t *line)
{
	if (port == 0)
		return client_open(light_session, s->type, line);
	return client_open_at(light_session, s->type, port % client_cores(light_session), line);
}

static int give_line(struct socket *s, uint16_t port)
{
	uint32_t line;
	int error = open_line(s, port, &line);

	if (error != 0)
		return error;
	s->line = line;
	error = options_to_light(s);
	if (error != 0) {
		s->line = LINE_NONE;
		client_close(light_session, line);
		return error;
	}
	atomic_store_explicit(&s->place, SOCKET_LIGHT, memory_order_release);
	epoll_socket_placed(s);
	return 0;
}

static int place_light_at(struct socket *s, uint16_t port)
{
	int error = 0;

	if (is_light(s))
		return 0;
	lock_take(&s->lock);
	if (!is_light(s))
		error = give_line(s, port);
	lock_give(&s->lock);
	return error;
}

int place_light(struct socket *s)
{
	return place_light_at(s, 0);
}

static void copy_options(uint32_t from, uint32_t to)
{
	int64_t old, new;

	for (enum ep_option i = 1; i < EP_OPTIONS; i++)
		if (i != EP_JOIN && client_get(light_session, from, i, &old) == 0 && client_get(light_session, to, i, &new) == 0 && old != new)
			client_set(light_session, to, i, old);
}

/* 0 or -errno. */
static int copy_memberships(uint32_t from, uint32_t to)
{
	int64_t value;
	int error = 0;

	for (uint32_t n = 0; error == 0 && client_membership(light_session, from, n, &value) == 0; n++)
		error = client_set(light_session, to, EP_JOIN, value);
	return error;
}

/* It got its line before its port was known (somebody asked for TCP_INFO, say): another line then, where the port is at home. */
static int move_home(struct socket *s, uint16_t port)
{
	uint32_t old = s->line, line;
	int error = open_line(s, port, &line);

	if (error != 0)
		return error;
	copy_options(old, line);
	error = s->type == EP_DATAGRAM ? copy_memberships(old, line) : 0;
	if (error != 0) {
		client_close(light_session, line);
		return error;
	}
	s->line = line;
	client_close(light_session, old);
	epoll_socket_placed(s);
	return 0;
}

static bool is_far_from_home(const struct socket *s, uint16_t port)
{
	return port && client_core(s->line) != port % client_cores(light_session) &&
	       !(atomic_load(&client_line(light_session, s->line)->state) & (LINE_BOUND | LINE_CONNECTING | LINE_CONNECTED));
}

static int place(struct socket *s, int fd, bool light, uint16_t port)
{
	int error = 0;

	if (is_light(s)) {
		lock_take(&s->lock);
		if (is_far_from_home(s, port))
			error = move_home(s, port);
		lock_give(&s->lock);
		return error;
	}
	if (light)
		return place_light_at(s, port);
	lock_take(&s->lock);
	if (is_light(s))
		error = 0;
	else if (fdtable_kind(fd) != DESCRIPTOR_SOCKET)
		error = PASS;   /* another thread just did it */
	else
		error = place_kernel(s, fd);
	lock_give(&s->lock);
	return error;
}

int place_for_peer(struct socket *s, int fd, const struct ipaddr *to)
{
	return is_light(s) ? 0 : place(s, fd, light_reaches(to), 0);
}

int place_for_address(struct socket *s, int fd, const struct ep_name *local)
{
	return place(s, fd, light_has(&local->addr), local->port);
}

int place_for_interface(struct socket *s, int fd, uint32_t interface)
{
	struct ipaddr address = ipaddr_from_ip4(htonl(interface));

	return is_light(s) ? 0 : place(s, fd, interface <= 0xffffff || light_has(&address), 0);
}
