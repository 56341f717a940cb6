/* SPDX-License-Identifier: BSD-3-Clause */
/* What of an epoll set is ready. Events of the waitset put a registration on the ready list; a wait looks at the level of
 * those on the list only, so it costs what is ready, not what is registered. As in Linux's fs/eventpoll.c, the list says "look here":
 * level-triggered ones stay until a look finds nothing, edge-triggered ones leave at each report. */
#include "posix/epoll_set.h"

#include "posix/bell.h"

static const uint32_t always = EP_HANGUP | EP_ERROR | EP_CONNECTED;

uint32_t epoll_level(const struct epoll_watch *w)
{
	uint32_t holds = (uint16_t)socket_poll(w->socket);

	if (holds & EPOLLIN)
		holds |= EPOLLRDNORM;
	if (holds & EPOLLOUT)
		holds |= w->socket->type == EP_DATAGRAM ? EPOLLWRNORM | EPOLLWRBAND : EPOLLWRNORM;
	return holds & (w->events | EPOLLERR | EPOLLHUP);
}

/* How often something happened to the socket: an edge is a change of this number. */
static uint32_t changes(const struct epoll_watch *w)
{
	struct client *c = light_client_if_attached();

	if (!c || atomic_load_explicit(&w->socket->place, memory_order_acquire) != SOCKET_LIGHT)
		return 0;
	return atomic_load_explicit(&client_line(c, w->socket->line)->changes, memory_order_acquire);
}

void epoll_make_ready(struct epoll_watch *w)
{
	if (w->ready)
		return;
	w->ready = true;
	TAILQ_INSERT_TAIL(&w->set->ready, w, in_ready);
}

void epoll_forget_ready(struct epoll_watch *w)
{
	if (!w->ready)
		return;
	w->ready = false;
	TAILQ_REMOVE(&w->set->ready, w, in_ready);
}

/* An event of a line concerns every registration of its socket in the set. One that nobody asks for (any more) is the
 * time to tell the daemon so: masks that change to and fro cost no message each. */
static void spread(struct epoll_watch *first, uint32_t mask)
{
	struct epoll_watch *w = first;
	bool asked = false;

	do {
		if (w->fired)
			asked = true;
		else if (mask & (socket_watch_mask((short)w->events) | always)) {
			asked = true;
			epoll_make_ready(w);
		}
		w = w->sibling;
	} while (w != first);
	if (!asked && first->leader)
		epoll_narrow(first);
}

void epoll_take(struct epoll_set *s)
{
	struct wait_event events[64];
	unsigned n;

	if (!s->waitset)
		return;
	while ((n = waitset_take(s->waitset, events, 64)) > 0)
		for (unsigned i = 0; i < n; i++) {
			struct epoll_watch *w = epoll_watch_of(events[i].cookie);

			if (w && w->set == s)
				spread(w, events[i].mask);
		}
}

/* What to report of one that is on the list, or 0. The count of changes is read before the level, so what
 * happens in between is reported twice at worst, never not at all. */
static uint32_t look_at(struct epoll_watch *w)
{
	uint32_t now = changes(w), holds;

	if (w->fired)
		return 0;
	holds = epoll_level(w);
	if (holds && (w->events & EPOLLET) && !w->fresh && now == w->seen)
		return 0;
	if (holds) {
		w->seen = now;
		w->fresh = false;
	}
	return holds;
}

int epoll_harvest(struct epoll_set *s, struct epoll_event *out, int max)
{
	struct epoll_watch *w, *last = TAILQ_LAST(&s->ready, epoll_ready);
	int n = 0;

	while (n < max && (w = TAILQ_FIRST(&s->ready))) {
		uint32_t holds = look_at(w);

		epoll_forget_ready(w);
		if (holds) {
			out[n].events = holds;
			out[n].data = w->data;
			n++;
			if (w->events & EPOLLONESHOT)
				w->fired = true;
			else if (!(w->events & EPOLLET))
				epoll_make_ready(w);    /* behind the others: all have their turn */
		}
		if (w == last)
			break;
	}
	return n;
}

/* Without memory or descriptors for a bell the others find out at their next wait. */
static void ring(struct epoll_set *s)
{
	if (s->rung)
		return;
	if (s->bell < 0) {
		s->bell = bell_new();
		if (s->bell >= 0 && !s->inherited)
			epoll_add_private(s, s->bell);
	}
	bell_ring(s->bell);
	s->rung = s->bell >= 0;
}

static void unring(struct epoll_set *s)
{
	if (s->rung)
		bell_clear(s->bell);
	s->rung = false;
}

static void disarm(struct epoll_set *s)
{
	if (s->armed)
		waitset_disarm(s->waitset);
	s->armed = false;
}

void epoll_quiet(struct epoll_set *s)
{
	if (!s->waitset)
		return;
	disarm(s);
	unring(s);
}

void epoll_settle(struct epoll_set *s)
{
	if (!s->waitset)
		return;
	if (s->sleepers == 0 && !atomic_load(&s->nested)) {
		epoll_quiet(s);
		return;
	}
	for (;;) {
		if (!TAILQ_EMPTY(&s->ready)) {
			disarm(s);
			ring(s);
			return;
		}
		unring(s);
		if (s->armed || s->orphan)
			return;
		s->armed = true;
		if (waitset_arm(s->waitset))
			return;
		disarm(s);
		epoll_take(s);
		if (TAILQ_EMPTY(&s->ready))
			epoll_check_daemon(s, epoll_number(s));
	}
}

void epoll_publish(struct epoll_set *s)
{
	struct epoll_watch *w;

	if (atomic_load(&s->watches) == 0)
		return;
	epoll_lock(s);
	if ((s->lapsed ? epoll_renew(s, epoll_number(s)) : epoll_attach(s, epoll_number(s))) == 0) {
		epoll_quiet(s);         /* what rang may be over by now */
		epoll_take(s);
		while ((w = TAILQ_FIRST(&s->ready)) && (w->fired || epoll_level(w) == 0))
			epoll_forget_ready(w);
		epoll_settle(s);
	}
	epoll_unlock(s);
}

/* A set is only ever found again while its count is above zero. */
static bool hold(struct epoll_set *s)
{
	uint32_t count = atomic_load(&s->head.references);

	while (count > 0)
		if (atomic_compare_exchange_weak(&s->head.references, &count, count + 1))
			return true;
	return false;
}

/* Linux allows chains of five epoll descriptors, without circles (EP_MAX_NESTS), so this ends. */
void epoll_publish_inner(struct epoll_set *outer)
{
	for (int i = 0; i < EPOLL_INNER && outer->inner[i].set; i++) {
		struct epoll_set *s = outer->inner[i].set;

		if (!hold(s))
			continue;
		if (atomic_load(&s->generation) == outer->inner[i].generation) {
			epoll_publish_inner(s);
			epoll_publish(s);
		}
		epoll_set_put(s);
	}
}
