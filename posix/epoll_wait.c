/* SPDX-License-Identifier: BSD-3-Clause */
/* epoll_wait: looks at both worlds without waiting, spins a little for Light's, then sleeps in the kernel's epoll_pwait, in which the
 * waitset's eventfd lies beside the kernel's descriptors. A signal mask is in force only in that sleep, as the
 * kernel does it: atomically. */
#include "posix/epoll_set.h"

#include <errno.h>
#include <limits.h>
#include <time.h>

#include "posix/deadline.h"

/* The kernel's own wait on the descriptor. */
static int kernel_wait(int epfd, struct epoll_event *events, int max, nsec until, const sigset_t *mask)
{
	struct timespec left, *timeout = deadline_left(until, &left);
	int result;

	result = libc.epoll_pwait2(epfd, events, max, timeout, mask);
	if (result < 0 && errno == ENOSYS)      /* before Linux 5.11 */
		result = libc.epoll_pwait(epfd, events, max, deadline_milliseconds(timeout), mask);
	return result;
}

/* Takes our own descriptors' events out of what the kernel reported. */
static int without_private(const struct epoll_set *s, struct epoll_event *events, int n, bool *private)
{
	int kept = 0;

	for (int i = 0; i < n; i++)
		if (events[i].data.u64 == epoll_private(s))
			*private = true;
		else
			events[kept++] = events[i];
	return kept;
}

static int kernel_look(struct epoll_set *s, int epfd, struct epoll_event *events, int max, bool *private)
{
	int n = kernel_wait(epfd, events, max, 0, NULL);

	if (n > 0)
		n = without_private(s, events, n, private);
	s->kernel_idle = n > 0 ? 0 : s->kernel_idle + 1;
	return n;
}

/* A busy server's pipes and timers are silent nearly always: while Light has something to do and they had nothing for some looks,
 * every eighth look is enough. */
static bool kernel_is_due(struct epoll_set *s)
{
	enum { PATIENCE = 16, SELDOM = 8 };

	if (atomic_load(&s->kernel_watches) == 0)
		return false;
	return s->kernel_idle < PATIENCE || s->kernel_idle++ % SELDOM == 0;
}

static int light_look(struct epoll_set *s, int epfd, struct epoll_event *events, int max, bool *anything)
{
	int n = 0;

	epoll_lock(s);
	if (s->lapsed)
		epoll_renew(s, epfd);
	if (s->sleepers == 0)
		epoll_quiet(s);
	epoll_check_daemon(s, epfd);
	epoll_take(s);
	if (max > 0)
		n = epoll_harvest(s, events, max);
	*anything = !TAILQ_EMPTY(&s->ready);
	epoll_settle(s);
	epoll_unlock(s);
	return n;
}

/* Both worlds, without waiting. When more is ready than fits, the two take turns, so neither starves. */
static int look(struct epoll_set *s, int epfd, struct epoll_event *events, int max, bool kernel_too, bool before_sleep, bool *private)
{
	bool kernel_first = s->kernel_first && (kernel_too || before_sleep), waiting = false;
	int light, kernel = 0;

	light = light_look(s, epfd, events, kernel_first ? 0 : max, &waiting);
	if (kernel_too || (light == 0 ? before_sleep : kernel_is_due(s))) {
		if (light < max)
			kernel = kernel_look(s, epfd, events + light, max - light, private);
		if (kernel < 0 && light == 0)
			return -1;
		if (kernel < 0)
			kernel = 0;
	}
	if (kernel_first && waiting && kernel < max)
		light = light_look(s, epfd, events + kernel, max - kernel, &waiting);
	s->kernel_first = light == max;
	return light + kernel;
}

/* Does the set sleep outside the kernel's epoll? */
static bool apart(const struct epoll_set *s)
{
	return s->foreign || (s->inherited && s->waitset);
}

/* Only one thread of a set spins, and only when none sleeps: the sleeper would be woken for what the spinner takes. */
static bool spin(struct epoll_set *s)
{
	bool found, mine;

	if (atomic_load(&s->watches) == 0)
		return false;
	epoll_lock(s);
	mine = s->waitset && !s->spinning && s->sleepers == 0;
	if (mine)
		s->spinning = true;
	epoll_unlock(s);
	if (!mine)
		return false;
	found = waitset_spin(s->waitset);
	epoll_lock(s);
	s->spinning = false;
	epoll_unlock(s);
	return found;
}

/* Across fork the kernel's epoll belongs to both processes, so our eventfd stays outside and poll sleeps on both. The other process's
 * eventfd may be seen in there; it is that one's to read, and until it does, we look at the rest from time to time. */
static int sleep_inherited(struct epoll_set *s, int epfd, nsec until, const sigset_t *mask, bool theirs)
{
	struct pollfd fds[3] = {
		{ .fd = s->waitset && !s->orphan ? waitset_eventfd(s->waitset) : -1, .events = POLLIN },
		{ .fd = s->bell, .events = POLLIN },
		{ .fd = epfd, .events = POLLIN },
	};
	nsec soon = client_now() + NSEC_PER_MSEC;
	struct timespec left;

	if (theirs && soon < until)
		until = soon;
	return libc.ppoll(fds, theirs ? 2 : 3, deadline_left(until, &left), mask) < 0 ? -1 : 0;
}

/* What the sleep brought; 0: look again. */
static int sleep_in_kernel(struct epoll_set *s, int epfd, struct epoll_event *events, int max, nsec until,
			   const sigset_t *mask, bool theirs)
{
	bool private = false;
	int result, saved;

	epoll_lock(s);
	s->sleepers++;
	epoll_settle(s);
	epoll_unlock(s);
	result = apart(s) ? sleep_inherited(s, epfd, until, mask, theirs) : kernel_wait(epfd, events, max, until, mask);
	saved = errno;
	if (result > 0)
		result = without_private(s, events, result, &private);
	epoll_lock(s);
	s->sleepers--;
	if (private || s->sleepers == 0)
		epoll_quiet(s);
	epoll_check_daemon(s, epfd);
	epoll_take(s);
	if (result >= 0 && result < max)
		result += epoll_harvest(s, events + result, max - result);
	epoll_settle(s);
	epoll_unlock(s);
	errno = saved;
	return result;
}

/* A set with Light sockets looks at its kernel descriptors before it spins; one without goes straight to the kernel. */
static int wait_on(struct epoll_set *s, int epfd, struct epoll_event *events, int max, nsec until, const sigset_t *mask)
{
	bool spun = false;

	for (;;) {
		bool has_light = atomic_load(&s->watches) > 0, kernel_too = until == 0 || apart(s), private = false;
		int n = 0;

		epoll_publish_inner(s);
		if (has_light || kernel_too)
			n = look(s, epfd, events, max, kernel_too, !spun, &private);
		if (n != 0 || deadline_passed(until))
			return n;
		if (!spun && spin(s)) {
			spun = true;
			continue;
		}
		spun = true;
		n = sleep_in_kernel(s, epfd, events, max, until, mask, private);
		if (n != 0)
			return n;
	}
}

int light_epoll_wait(int epfd, struct epoll_event *events, int max, nsec until, const sigset_t *mask)
{
	struct epoll_set *s = fdtable_epoll(epfd);
	int result;

	if (!s)
		return kernel_wait(epfd, events, max, until, mask);
	if (max <= 0 || max > INT_MAX / (int)sizeof(*events)) {
		epoll_set_put(s);
		errno = EINVAL;
		return -1;
	}
	atomic_store_explicit(&s->number, epfd, memory_order_relaxed);
	result = wait_on(s, epfd, events, max, until, mask);
	epoll_set_put(s);
	return result;
}
