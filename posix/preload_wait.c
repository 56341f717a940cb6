/* SPDX-License-Identifier: BSD-3-Clause */
/* The exported symbols of readiness: times become absolute here, the rest is poll.c, select.c and epoll.c. */
#include <limits.h>

#include "posix/preload.h"

static nsec after(nsec span)
{
	nsec now = client_now();

	return span >= NSEC_NEVER - now ? NSEC_NEVER : now + span;
}

static nsec until_milliseconds(int timeout)
{
	return timeout < 0 ? NSEC_NEVER : timeout == 0 ? 0 : after((nsec)timeout * NSEC_PER_MSEC);
}

/* Of seconds and a fraction; *bad when Linux would say EINVAL. */
static nsec until_span(int64_t seconds, int64_t fraction, nsec unit, bool *bad)
{
	*bad = seconds < 0 || fraction < 0 || (nsec)fraction >= NSEC_PER_SEC / unit;
	if (seconds == 0 && fraction == 0)
		return 0;
	if (*bad || (nsec)seconds > NSEC_NEVER / NSEC_PER_SEC / 2)
		return NSEC_NEVER;
	return after((nsec)seconds * NSEC_PER_SEC + (nsec)fraction * unit);
}

static nsec until_timespec(const struct timespec *t, bool *bad)
{
	*bad = false;
	return t ? until_span(t->tv_sec, t->tv_nsec, 1, bad) : NSEC_NEVER;
}

/* ---- poll ---- */

EXPORT int poll(struct pollfd *fds, nfds_t n, int timeout)
{
	return light_poll(fds, n, until_milliseconds(timeout), NULL);
}

EXPORT int ppoll(struct pollfd *fds, nfds_t n, const struct timespec *timeout, const sigset_t *mask)
{
	bool bad;
	nsec until = until_timespec(timeout, &bad);

	return bad ? (int)fail_with(-EINVAL) : light_poll(fds, n, until, mask);
}

int __poll_chk(struct pollfd *fds, nfds_t n, int timeout, size_t size);
int __ppoll_chk(struct pollfd *fds, nfds_t n, const struct timespec *timeout, const sigset_t *mask, size_t size);
extern void __chk_fail(void) __attribute__((noreturn));

EXPORT int __poll_chk(struct pollfd *fds, nfds_t n, int timeout, size_t size)
{
	return size / sizeof(*fds) < n ? (__chk_fail(), -1) : poll(fds, n, timeout);
}

EXPORT int __ppoll_chk(struct pollfd *fds, nfds_t n, const struct timespec *timeout, const sigset_t *mask, size_t size)
{
	return size / sizeof(*fds) < n ? (__chk_fail(), -1) : ppoll(fds, n, timeout, mask);
}

/* ---- select ---- */

/* Linux leaves in the timeval what was left of it; microseconds beyond a second it takes as they are. */
EXPORT int select(int n, fd_set *restrict r, fd_set *restrict w, fd_set *restrict e, struct timeval *restrict timeout)
{
	bool bad = false;
	nsec until = NSEC_NEVER, left = 0;
	int result;

	if (timeout && (timeout->tv_sec < 0 || timeout->tv_usec < 0))
		return (int)fail_with(-EINVAL);
	if (timeout)
		until = until_span(timeout->tv_sec + timeout->tv_usec / 1000000, timeout->tv_usec % 1000000, NSEC_PER_USEC, &bad);
	result = light_select(n, r, w, e, until, NULL, &left);
	if (timeout)
		*timeout = (struct timeval){ (time_t)(left / NSEC_PER_SEC), (suseconds_t)(left % NSEC_PER_SEC / NSEC_PER_USEC) };
	return result;
}

EXPORT int pselect(int n, fd_set *restrict r, fd_set *restrict w, fd_set *restrict e, const struct timespec *restrict timeout,
		   const sigset_t *restrict mask)
{
	bool bad;
	nsec until = until_timespec(timeout, &bad), left;

	return bad ? (int)fail_with(-EINVAL) : light_select(n, r, w, e, until, mask, &left);
}

/* ---- epoll ---- */

EXPORT int epoll_create(int size)
{
	return size <= 0 ? (int)fail_with(-EINVAL) : light_epoll_create(0);
}

EXPORT int epoll_create1(int flags)
{
	return light_epoll_create(flags);
}

EXPORT int epoll_ctl(int epfd, int op, int fd, struct epoll_event *event)
{
	return light_epoll_ctl(epfd, op, fd, event);
}

EXPORT int epoll_wait(int epfd, struct epoll_event *events, int most, int timeout)
{
	return light_epoll_wait(epfd, events, most, until_milliseconds(timeout), NULL);
}

EXPORT int epoll_pwait(int epfd, struct epoll_event *events, int most, int timeout, const sigset_t *mask)
{
	return light_epoll_wait(epfd, events, most, until_milliseconds(timeout), mask);
}

EXPORT int epoll_pwait2(int epfd, struct epoll_event *events, int most, const struct timespec *timeout, const sigset_t *mask)
{
	bool bad;
	nsec until = until_timespec(timeout, &bad);

	return bad ? (int)fail_with(-EINVAL) : light_epoll_wait(epfd, events, most, until, mask);
}
