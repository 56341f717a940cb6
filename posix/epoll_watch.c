/* SPDX-License-Identifier: BSD-3-Clause */
/* Registrations of sockets in epoll sets: what the waitset is told of them, and what follows when a socket gets its place (Light or
 * the kernel) or goes. */
#include "posix/epoll_set.h"

#include <errno.h>

#include "posix/waiter.h"

static bool on_light(const struct socket *socket)
{
	return atomic_load_explicit(&socket->place, memory_order_acquire) == SOCKET_LIGHT && socket->line != LINE_NONE;
}

/* ---- the waitset ---- */

static int add_private(const struct epoll_set *s, int epfd, int fd)
{
	struct epoll_event event = { .events = EPOLLIN, .data.u64 = epoll_private(s) };
	int saved = errno, result = libc.epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;

	errno = saved;
	return result;
}

int epoll_add_private(struct epoll_set *s, int fd)
{
	return add_private(s, epoll_number(s), fd);
}

int epoll_attach(struct epoll_set *s, int epfd)
{
	struct client *c;
	struct waitset *waitset;
	int result, saved = errno;

	if (s->waitset)
		return 0;
	if (!(c = light_client())) {
		result = -errno;
		errno = saved;
		return result;
	}
	if ((result = waitset_new(c, &waitset)) < 0)
		return result;
	if (!s->inherited) {
		result = add_private(s, epfd, waitset_eventfd(waitset));
		if (result < 0) {
			waitset_free(waitset);
			return result;
		}
	}
	s->waitset = waitset;
	return 0;
}

static uint32_t mask_of(const struct epoll_watch *w)
{
	return socket_watch_mask((short)w->events) | EP_HANGUP | EP_ERROR;
}

static struct epoll_watch *leader_of(struct epoll_watch *w)
{
	struct epoll_watch *v = w;

	do {
		if (v->leader)
			return v;
		v = v->sibling;
	} while (v != w);
	w->leader = true;
	w->watched = 0;
	return w;
}

static void wanted(struct epoll_watch *w, uint32_t *mask, bool *exclusive)
{
	struct epoll_watch *v = w;

	*mask = 0;
	*exclusive = true;
	do {
		*mask |= mask_of(v);
		*exclusive = *exclusive && (v->events & EPOLLEXCLUSIVE);
		v = v->sibling;
	} while (v != w);
}

static int watch(struct epoll_watch *leader, uint32_t mask, bool exclusive)
{
	int result = waitset_watch(leader->set->waitset, leader->socket->line, mask, exclusive, epoll_cookie(leader));

	if (result < 0)
		return result;
	leader->watched = mask;
	leader->exclusive = exclusive;
	return 0;
}

int epoll_register(struct epoll_watch *w, int epfd)
{
	struct epoll_watch *leader;
	uint32_t mask;
	bool exclusive;
	int result;

	if (!on_light(w->socket))
		return 0;
	if ((result = epoll_attach(w->set, epfd)) < 0)
		return result;
	leader = leader_of(w);
	wanted(leader, &mask, &exclusive);
	if ((mask & ~leader->watched) == 0 && leader->exclusive == exclusive)
		return 0;
	return watch(leader, mask, exclusive);
}

void epoll_narrow(struct epoll_watch *leader)
{
	uint32_t mask;
	bool exclusive;

	wanted(leader, &mask, &exclusive);
	if (leader->watched & ~mask)
		watch(leader, mask, exclusive);
}

int epoll_renew(struct epoll_set *s, int epfd)
{
	struct epoll_watch *w;
	int result;

	if ((result = epoll_attach(s, epfd)) < 0)
		return result;
	s->lapsed = false;
	for (uint32_t i = 0; i <= s->buckets_mask; i++)
		LIST_FOREACH(w, &s->buckets[i], in_bucket)
			if ((result = epoll_register(w, epfd)) < 0)
				s->lapsed = true;
	return s->lapsed ? result : 0;
}

struct search {
	struct epoll_set *set;
	int found;
};

static void compare(int fd, enum descriptor_kind kind, void *object, void *context)
{
	struct search *search = context;

	if (kind == DESCRIPTOR_EPOLL && object == search->set)
		search->found = fd;
}

int epoll_number(struct epoll_set *s)
{
	struct search search = { s, -1 };
	int fd = atomic_load(&s->number);
	struct epoll_set *there = fd < 0 ? NULL : fdtable_epoll(fd);

	if (there)
		epoll_set_put(there);
	if (there == s)
		return fd;
	fdtable_each(compare, &search);
	atomic_store(&s->number, search.found);
	return search.found;
}

/* The waitset's descriptor hangs up when the daemon dies, and would be readable for ever. */
void epoll_check_daemon(struct epoll_set *s, int epfd)
{
	struct client *c = light_client_if_attached();
	struct epoll_watch *w;

	if (s->orphan || !s->waitset || !c || client_alive(c))
		return;
	s->orphan = true;
	if (!s->inherited) {
		int saved = errno;

		libc.epoll_ctl(epfd, EPOLL_CTL_DEL, waitset_eventfd(s->waitset), NULL);
		errno = saved;
	}
	for (uint32_t i = 0; i <= s->buckets_mask; i++)
		LIST_FOREACH(w, &s->buckets[i], in_bucket) {
			w->fresh = true;
			epoll_make_ready(w);
		}
}

/* ---- membership ---- */

void epoll_link_socket(struct epoll_watch *w)
{
	struct epoll_watch *first = atomic_load(&w->socket->watches);

	for (struct epoll_watch *v = first; v; v = v->socket_next)
		if (v->set == w->set) {
			w->sibling = v->sibling;
			v->sibling = w;
			break;
		}
	w->socket_before = NULL;
	w->socket_next = first;
	if (first)
		first->socket_before = w;
	atomic_store(&w->socket->watches, w);
}

static void unlink_socket(struct epoll_watch *w)
{
	if (w->socket_next)
		w->socket_next->socket_before = w->socket_before;
	if (w->socket_before)
		w->socket_before->socket_next = w->socket_next;
	else
		atomic_store(&w->socket->watches, w->socket_next);
}

static void leave_ring(struct epoll_watch *w)
{
	struct epoll_watch *before = w->sibling;

	while (before->sibling != w)
		before = before->sibling;
	before->sibling = w->sibling;
	if (!w->leader || !w->set->waitset || !on_light(w->socket))
		return;
	if (before == w)
		waitset_unwatch(w->set->waitset, w->socket->line);
	else
		epoll_register(before, -1);     /* under its own cookie */
}

void epoll_remove(struct epoll_watch *w)
{
	struct epoll_set *s = w->set;

	epoll_forget_ready(w);
	LIST_REMOVE(w, in_bucket);
	unlink_socket(w);
	leave_ring(w);
	atomic_fetch_sub(&s->watches, 1);
	epoll_watch_release(w);
}

/* ---- what socket.c reports ---- */

/* The registration gets its first event from the daemon when the socket's state changes, or at once when something
 * holds already; `fresh` lets that one pass for edge-triggered ones too. */
void epoll_socket_placed(struct socket *socket)
{
	waiter_socket_placed();
	if (!atomic_load(&socket->watches))
		return;
	epoll_membership_lock();
	for (struct epoll_watch *w = atomic_load(&socket->watches); w; w = w->socket_next) {
		struct epoll_set *s = w->set;
		int number = epoll_number(s);

		epoll_lock(s);
		w->fresh = true;
		if (w->leader)
			leader_of(w)->watched = 0;   /* the line may be another one than before (place.c) */
		epoll_register(w, number);
		if (!(w->events & EPOLLET) && !w->fired && epoll_level(w))
			epoll_make_ready(w);
		epoll_settle(s);
		epoll_unlock(s);
	}
	epoll_membership_unlock();
}

void epoll_socket_to_kernel(struct socket *socket, int fd)
{
	struct epoll_watch *w;

	waiter_socket_placed();
	if (!atomic_load(&socket->watches))
		return;
	epoll_membership_lock();
	while ((w = atomic_load(&socket->watches))) {
		struct epoll_event event = { .events = w->events, .data = w->data };
		struct epoll_set *s = w->set;
		int number = epoll_number(s), its = w->fd, saved = errno;

		epoll_lock(s);
		if (w->fired)
			event.events &= EPOLL_MODES;
		epoll_remove(w);
		epoll_unlock(s);
		if (fdtable_kind(its) != DESCRIPTOR_NONE && its != fd)
			its = fd;       /* that number is another object's by now; this one stays a duplicate */
		if (libc.epoll_ctl(number, EPOLL_CTL_ADD, its, &event) == 0)
			atomic_fetch_add(&s->kernel_watches, 1);
		errno = saved;
	}
	epoll_membership_unlock();
}

void epoll_socket_gone(struct socket *socket)
{
	struct epoll_watch *w;

	if (!atomic_load(&socket->watches) || epoll_defer_gone(socket))
		return;
	epoll_membership_lock();
	while ((w = atomic_load(&socket->watches))) {
		struct epoll_set *s = w->set;

		epoll_lock(s);
		epoll_remove(w);
		epoll_settle(s);
		epoll_unlock(s);
	}
	epoll_membership_unlock();
}
