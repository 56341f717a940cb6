/* SPDX-License-Identifier: BSD-3-Clause */
/* epoll_create and epoll_ctl, and what fork means for epoll sets. Kernel descriptors go to the kernel's epoll as they are; Light
 * sockets become registrations of the set beside it. Errors are those of Linux's fs/eventpoll.c, in its order. */
#include "posix/epoll_set.h"

#include <errno.h>

#include "posix/bell.h"
#include "posix/waiter.h"

static int fail(int error)
{
	errno = error;
	return -1;
}

/* ---- descriptors that are not Light's ---- */

static void remember_inner(struct epoll_set *outer, struct epoll_set *inner)
{
	epoll_lock(outer);
	for (int i = 0; i < EPOLL_INNER; i++) {
		struct epoll_set *there = outer->inner[i].set;

		if (there && there != inner && atomic_load(&there->generation) == outer->inner[i].generation)
			continue;
		outer->inner[i].set = inner;
		outer->inner[i].generation = atomic_load(&inner->generation);
		break;
	}
	epoll_unlock(outer);
}

/* Whoever looks at an epoll descriptor from outside sees the kernel's readability of it: from now on it must be true
 * at any time. */
static void nest(struct epoll_set *outer, int fd)
{
	struct epoll_set *inner = fdtable_epoll(fd);

	if (!inner)
		return;
	atomic_store(&inner->nested, true);
	if (outer)
		remember_inner(outer, inner);
	epoll_publish(inner);
	epoll_set_put(inner);
}

static int kernel_ctl(struct epoll_set *s, int epfd, int op, int fd, struct epoll_event *event)
{
	int result = libc.epoll_ctl(epfd, op, fd, event);

	if (result < 0)
		return result;
	if (op == EPOLL_CTL_ADD && fdtable_kind(fd) == DESCRIPTOR_EPOLL)
		nest(s, fd);
	if (s && op == EPOLL_CTL_ADD)
		atomic_fetch_add(&s->kernel_watches, 1);
	else if (s && op == EPOLL_CTL_DEL && atomic_load(&s->kernel_watches) > 0)
		atomic_fetch_sub(&s->kernel_watches, 1);
	return 0;
}

void epoll_look_from_outside(int fd)
{
	nest(NULL, fd);
}

/* ---- Light sockets ---- */

/* An epoll descriptor that we did not see being made (inherited by exec, received over a UNIX socket): who else looks at
 * it, and what is in it, is unknown, so the worst is assumed. The kernel says whether it is one at all: the session's socket is
 * in no set that we do not know. */
static struct epoll_set *adopt_unknown(int epfd)
{
	struct client *c = light_client();
	struct epoll_set *s;

	if (!c)
		return NULL;
	libc.epoll_ctl(epfd, EPOLL_CTL_DEL, client_session_fd(c), NULL);
	if (errno != ENOENT)
		return NULL;
	if (!(s = epoll_set_new())) {
		errno = ENOMEM;
		return NULL;
	}
	atomic_store(&s->kernel_watches, 1);
	atomic_store(&s->nested, true);
	fdtable_set_epoll(epfd, s);
	return fdtable_epoll(epfd);
}

/* The level now, whatever may arrive later: ADD and MOD look once, as Linux does. */
static void look_once(struct epoll_watch *w)
{
	w->fresh = true;
	if (epoll_level(w))
		epoll_make_ready(w);
}

static int add(struct epoll_set *s, int epfd, int fd, struct socket *socket, const struct epoll_event *event)
{
	struct epoll_watch *w;
	int result;

	if (epoll_find(s, fd, socket))
		return -EEXIST;
	if (atomic_load(&socket->descriptors) == 0)     /* closed meanwhile: epoll_socket_gone has been */
		return -EBADF;
	if (!(w = epoll_watch_new()))
		return -ENOMEM;
	w->set = s;
	w->socket = socket;
	w->fd = fd;
	w->events = event->events;
	w->data = event->data;
	epoll_link_socket(w);
	epoll_insert(s, w);
	result = epoll_register(w, epfd);
	if (result < 0)
		epoll_remove(w);
	else
		look_once(w);
	return result;
}

static int modify(struct epoll_set *s, int epfd, int fd, const struct socket *socket, const struct epoll_event *event)
{
	struct epoll_watch *w = epoll_find(s, fd, socket);
	int result;

	if (!w)
		return -ENOENT;
	if (w->events & EPOLLEXCLUSIVE)
		return -EINVAL;
	w->events = event->events;
	w->data = event->data;
	w->fired = false;
	result = epoll_register(w, epfd);
	look_once(w);
	return result;
}

static int delete(struct epoll_set *s, int fd, const struct socket *socket)
{
	struct epoll_watch *w = epoll_find(s, fd, socket);

	if (!w)
		return -ENOENT;
	epoll_remove(w);
	return 0;
}

/* MOD changes no membership: threads that re-arm ONESHOT registrations of different sets do not meet. */
static int light_ctl(struct epoll_set *s, int epfd, int op, int fd, struct socket *socket, struct epoll_event *event)
{
	int result = 0;

	if (op != EPOLL_CTL_MOD)
		epoll_membership_lock();
	epoll_lock(s);
	if (s->lapsed)
		result = epoll_renew(s, epfd);
	else if (s->sleepers > 0 || atomic_load(&s->nested))
		epoll_attach(s, epfd);          /* someone must be told even of an undecided socket */
	if (result == 0 && op == EPOLL_CTL_ADD)
		result = add(s, epfd, fd, socket, event);
	else if (result == 0 && op == EPOLL_CTL_MOD)
		result = modify(s, epfd, fd, socket, event);
	else if (result == 0)
		result = delete(s, fd, socket);
	epoll_settle(s);
	epoll_unlock(s);
	if (op != EPOLL_CTL_MOD)
		epoll_membership_unlock();
	return result;
}

static int check(int op, const struct epoll_event *event)
{
	const uint32_t exclusive_allows = EPOLLIN | EPOLLOUT | EPOLLERR | EPOLLHUP | EPOLLWAKEUP | EPOLLET | EPOLLEXCLUSIVE;

	if (op != EPOLL_CTL_DEL && !event)
		return EFAULT;
	if (op != EPOLL_CTL_ADD && op != EPOLL_CTL_MOD && op != EPOLL_CTL_DEL)
		return EINVAL;
	if (op == EPOLL_CTL_DEL || !(event->events & EPOLLEXCLUSIVE))
		return 0;
	return op == EPOLL_CTL_MOD || (event->events & ~exclusive_allows) ? EINVAL : 0;
}

static int socket_ctl(int epfd, int op, int fd, struct socket *socket, struct epoll_event *event)
{
	struct epoll_set *s = fdtable_epoll(epfd);
	int error, result;

	if (op != EPOLL_CTL_DEL && !event)
		error = EFAULT;
	else if (!s && fdtable_kind(epfd) == DESCRIPTOR_SOCKET)
		error = EINVAL;
	else if (!s && !(s = adopt_unknown(epfd)))
		error = errno;
	else
		error = check(op, event);
	result = error ? -error : light_ctl(s, epfd, op, fd, socket, event);
	if (s)
		epoll_set_put(s);
	return result < 0 ? fail(-result) : 0;
}

/* ---- public ---- */

int light_epoll_create(int flags)
{
	int fd = libc.epoll_create1(flags);
	struct epoll_set *s;

	/* Every one gets a set: only so we know later who is nested in whom. */
	if (fd >= 0 && (s = epoll_set_new())) {
		atomic_store(&s->number, fd);
		fdtable_set_epoll(fd, s);
		if (fdtable_kind(fd) != DESCRIPTOR_EPOLL)
			epoll_set_put(s);
	}
	return fd;
}

int light_epoll_ctl(int epfd, int op, int fd, struct epoll_event *event)
{
	struct socket *socket = fdtable_socket(fd);
	struct epoll_set *s;
	int result;

	if (socket) {
		result = socket_ctl(epfd, op, fd, socket, event);
		socket_put(socket);
		return result;
	}
	s = fdtable_epoll(epfd);
	result = kernel_ctl(s, epfd, op, fd, event);
	if (s)
		epoll_set_put(s);
	return result;
}

void epoll_set_free(struct epoll_set *s)
{
	struct waitset *waitset = s->waitset;
	struct epoll_watch *w;

	if (epoll_defer_free(s))
		return;
	epoll_membership_lock();
	s->waitset = NULL;      /* it goes as a whole, with all that it watches */
	for (uint32_t i = 0; i <= s->buckets_mask; i++)
		while ((w = LIST_FIRST(&s->buckets[i])))
			epoll_remove(w);
	if (waitset)
		waitset_free(waitset);
	bell_free(s->bell);
	epoll_set_recycle(s);
	epoll_membership_unlock();
}

void epoll_before_fork(void)
{
	epoll_membership_lock();
	epoll_each_set(epoll_lock);
}

void epoll_after_fork_parent(void)
{
	epoll_each_set(epoll_unlock);
	epoll_membership_unlock();
}

/* The kernel's epoll is the same in both processes, the waitset is not: it stays the parent's. What was registered is
 * registered again when the child uses the set, if it ever does. */
static void lapse(struct epoll_set *s)
{
	struct epoll_watch *w;

	s->inherited = true;
	s->foreign = s->foreign || s->waitset;
	s->lapsed = true;
	s->waitset = NULL;
	bell_free(s->bell);     /* our copy of the parent's */
	s->bell = -1;
	s->armed = s->rung = s->spinning = s->orphan = false;
	s->sleepers = 0;
	for (uint32_t i = 0; i <= s->buckets_mask; i++)
		LIST_FOREACH(w, &s->buckets[i], in_bucket) {
			w->leader = w->exclusive = false;
			w->watched = 0;
		}
}

void epoll_after_fork_child(void)
{
	epoll_each_set(lapse);
	epoll_after_fork_parent();
}
