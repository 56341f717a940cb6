/* SPDX-License-Identifier: BSD-3-Clause */
/* Calls on the number rather than on the bytes: close, dup, fcntl, ioctl, close_range. The kernel's table and ours change together:
 * the kernel's first when a number comes to be, ours first when it goes. The library's own descriptors look closed to
 * the program. */
#include "posix/calls.h"

#include <linux/close_range.h>
#include <linux/sockios.h>
#include <string.h>

/* ---- fcntl ---- */

static long status_flags(struct socket *s)
{
	return O_RDWR | (s->nonblocking ? O_NONBLOCK : 0) | (s->async ? O_ASYNC : 0);
}

/* Signal-driven input is not there; an undecided socket may still become the kernel's, which has it. */
static long set_status_flags(struct socket *s, long flags)
{
	if ((flags & O_ASYNC) && is_light(s))
		return -EOPNOTSUPP;
	s->async = flags & O_ASYNC;
	s->nonblocking = (flags & O_NONBLOCK) != 0;
	return 0;
}

long light_fcntl(struct socket *s, int fd, int command, long argument)
{
	switch (command) {
	case F_GETFL:
		return status_flags(s);
	case F_SETFL:
		return set_status_flags(s, argument);
	case F_GETOWN:
		return s->owner_pid;
	case F_SETOWN:
		s->owner_pid = (int)argument;
		return 0;
	case F_GETFD:
	case F_SETFD: {
		int result = libc.fcntl(fd, command, argument);

		return result < 0 ? -errno : result;
	}
	case F_SETOWN_EX:
	case F_GETOWN_EX:
	case F_SETSIG:
	case F_GETSIG:
		return is_light(s) ? -EOPNOTSUPP : -EINVAL;
	default: {      /* leases, locks, pipes, seals: what the kernel says of a socket, which the placeholder is */
		int result = libc.fcntl(fd, command, argument);

		return result < 0 ? -errno : result;
	}
	}
}

/* ---- ioctl ---- */

static long queued(struct socket *s, int *out, bool receive)
{
	uint32_t state = is_light(s) ? state_of(s) : 0;

	if (state & LINE_LISTENING)
		return -EINVAL;
	*out = 0;
	if (is_light(s))
		*out = (int)(receive ? client_receive_queued(light_session, s->line) : client_send_queued(light_session, s->line));
	return 0;
}

static long at_mark(struct socket *s, int *out)
{
	int mark;

	if (s->type != EP_STREAM)
		return -ENOTTY;
	mark = is_light(s) ? client_at_mark(light_session, s->line) : 0;
	if (mark < 0)
		return mark;
	*out = mark;
	return 0;
}

static long unsent(struct socket *s, int *out)
{
	struct ep_info info;
	int error;

	if (s->type != EP_STREAM || !is_light(s))
		return queued(s, out, false);
	error = client_info(light_session, s->line, &info);
	if (error == 0)
		*out = (int)info.send_unsent;
	return error;
}

long light_ioctl(struct socket *s, int fd, unsigned long request, void *argument)
{
	switch (request) {
	case FIONREAD:
	case SIOCOUTQ:
	case SIOCOUTQNSD:
	case SIOCATMARK:
	case FIONBIO:
	case FIOASYNC:
		if (!argument)
			return -EFAULT;
	}
	switch (request) {
	case FIONREAD: return queued(s, argument, true);
	case SIOCOUTQ: return queued(s, argument, false);
	case SIOCOUTQNSD: return unsent(s, argument);
	case SIOCATMARK: return at_mark(s, argument);
	case FIONBIO:
		s->nonblocking = *(int *)argument != 0;
		return 0;
	case FIOASYNC:
		return set_status_flags(s, (*(int *)argument ? O_ASYNC : 0) | (s->nonblocking ? O_NONBLOCK : 0));
	case FIOSETOWN:
	case SIOCSPGRP:
		return light_fcntl(s, fd, F_SETOWN, argument ? *(int *)argument : 0);
	case SIOCGSTAMP:
		return -ENOENT;
	default: {      /* interfaces, routes: the kernel's, as getifaddrs' are; anything else is ENOTTY of the placeholder */
		int result = libc.ioctl(fd, request, argument);

		return result < 0 ? -errno : result;
	}
	}
}

/* ---- close, dup ---- */

#define LINGER_LOOK (2 * NSEC_PER_MSEC)

/* SO_LINGER with a time: close waits until the peer has acknowledged every byte, or the time is up, or the connection ends; the FIN
 * follows then. Unread bytes make it a reset, for which nobody waits (RFC 2525 2.17). Nobody tells when the last byte is
 * acknowledged, so it is looked for. */
static void linger(int fd)
{
	struct socket *s = fdtable_socket(fd);
	nsec until;

	if (!s)
		return;
	if (s->linger > 0 && s->type == EP_STREAM && atomic_load(&s->descriptors) == 1 && atomic_load(&s->place) == SOCKET_LIGHT) {
		until = client_now() + (nsec)s->linger * NSEC_PER_SEC;
		while (client_send_queued(light_session, s->line) > 0 && client_receive_queued(light_session, s->line) == 0 &&
		       !(client_ready(light_session, s->line) & (EP_ERROR | EP_HANGUP)) && client_now() < until) {
			nsec look = client_now() + LINGER_LOOK;

			if (client_wait_line(light_session, s->line, EP_ERROR | EP_HANGUP, look < until ? look : until) == -EINTR)
				break;
		}
	}
	socket_put(s);
}

int light_close(int fd)
{
	if (fdtable_kind(fd) == DESCRIPTOR_NONE) {
		if (fd >= 0 && fdtable_is_own(fd)) {
			errno = EBADF;
			return -1;
		}
		return libc.close(fd);
	}
	linger(fd);
	fdtable_remove(fd);
	return libc.close(fd);
}

/* fcntl(F_DUPFD), also for dup (lowest 0). */
int light_dup(int fd, int lowest, int flags)
{
	int to;

	if (fdtable_is_own(fd)) {
		errno = EBADF;
		return -1;
	}
	to = libc.fcntl(fd, flags & O_CLOEXEC ? F_DUPFD_CLOEXEC : F_DUPFD, lowest);
	if (to < 0)
		return to;
	if (!fdtable_holds(to) && fdtable_kind(fd) != DESCRIPTOR_NONE) {
		libc.close(to);
		errno = EMFILE;
		return -1;
	}
	if (fdtable_kind(fd) != DESCRIPTOR_NONE || fdtable_kind(to) != DESCRIPTOR_NONE)
		fdtable_copy(fd, to);
	return to;
}

/* EBUSY is what dup2 says of a number that it cannot have. */
int light_dup3(int from, int to, int flags, bool same_is_error)
{
	int result;

	if (from >= 0 && fdtable_is_own(from)) {
		errno = EBADF;
		return -1;
	}
	if (from != to && to >= 0 && fdtable_is_own(to)) {
		errno = EBUSY;
		return -1;
	}
	result = same_is_error ? libc.dup3(from, to, flags) : libc.dup2(from, to);
	if (result >= 0 && from != to && (fdtable_kind(from) != DESCRIPTOR_NONE || fdtable_kind(to) != DESCRIPTOR_NONE))
		fdtable_copy(from, to);
	if (result >= 0 && result <= 2)
		light_follow_standard(result);
	return result;
}

/* ---- close_range ---- */

/* The kernel closes what lies between the library's own. */
static int close_between(unsigned first, unsigned last)
{
	unsigned from = first, lowest = (unsigned)fdtable_first_own(), end = (unsigned)fdtable_limit();

	for (unsigned fd = first > lowest ? first : lowest; fd <= last && fd < end; fd++) {
		if (!fdtable_is_own((int)fd))
			continue;
		if (fd > from && libc.close_range(from, fd - 1, 0) != 0)
			return -1;
		from = fd + 1;
	}
	return from <= last ? libc.close_range(from, last, 0) : 0;
}

int light_close_range(unsigned first, unsigned last, int flags)
{
	unsigned top = (unsigned)(fdtable_highest() + 1);

	/* Close-on-exec leaves every number as it is; the library's own have it already. UNSHARE gives a thread a table of its own, and
	 * there is one table here. */
	if (first > last || (flags & ~(CLOSE_RANGE_CLOEXEC | CLOSE_RANGE_UNSHARE)) || (flags & CLOSE_RANGE_CLOEXEC))
		return libc.close_range(first, last, flags);
	for (unsigned fd = first; fd <= last && fd < top; fd++)
		fdtable_remove((int)fd);
	return close_between(first, last);
}
