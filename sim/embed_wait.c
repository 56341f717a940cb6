/* SPDX-License-Identifier: BSD-3-Clause */
/* poll and epoll of the embedded process. A set looks at its watches when it is asked: a host of this kind has a few of them. An edge is an
 * event of the stack since the watch was last reported. */
#include "embed_state.h"

#include <errno.h>
#include <stdlib.h>

#include "posix/pollmap.h"

#define ALWAYS (POLLERR | POLLHUP)
#define INWARD (POLLIN | POLLRDNORM | POLLPRI | POLLRDHUP)
#define OUTWARD (POLLOUT | POLLWRNORM)

static const struct embed_epoll *epoll_of(const struct embed_file *f)
{
	return (const struct embed_epoll *)(const void *)f;
}

static const struct embed_socket *socket_of(const struct embed_file *f)
{
	return (const struct embed_socket *)(const void *)f;
}

static short socket_events(struct embed *e, const struct embed_socket *s)
{
	uint32_t ready = ep_ready(e->stack, s->ep);
	enum tcp_state state;

	if (s->type == EP_DATAGRAM)
		return pollmap_datagram(ready);
	state = embed_state(e, s);
	if (s->idle)            /* unconnected: no hang-up of a connection that was */
		ready &= ~(uint32_t)EP_HANGUP;
	return pollmap_stream(ready, s->idle, state == TCP_FIN_WAIT_1 || state == TCP_FIN_WAIT_2 || state == TCP_LAST_ACK ||
					      state == TCP_CLOSING);
}

static bool any_ready(struct embed *e, const struct embed_epoll *set, unsigned depth);

/* What holds of a file now, in poll's terms. */
static short file_events(struct embed *e, const struct embed_file *f, unsigned depth)
{
	if (f->kind == EMBED_SOCKET)
		return socket_events(e, socket_of(f));
	return depth > 0 && any_ready(e, epoll_of(f), depth - 1) ? POLLIN | POLLRDNORM : 0;
}

/* What a watch has to report; 0: nothing. */
static uint32_t watch_events(struct embed *e, const struct embed_watch *w, unsigned depth)
{
	const struct embed_file *f = embed_has(e, w->fd) ? e->files[w->fd] : NULL;
	uint32_t events, fresh = 0;

	if (!f || w->silent)
		return 0;
	events = (uint32_t)(uint16_t)file_events(e, f, depth) & (w->event.events | ALWAYS);
	if (!(w->event.events & EPOLLET) || w->fresh || f->kind != EMBED_SOCKET)
		return events;
	if (w->seen_in != socket_of(f)->edges_in)
		fresh |= INWARD | ALWAYS;
	if (w->seen_out != socket_of(f)->edges_out)
		fresh |= OUTWARD | ALWAYS;
	return events & fresh ? events : 0;
}

/* Sets within sets go four deep, as deep as Linux lets them. */
static bool any_ready(struct embed *e, const struct embed_epoll *set, unsigned depth)
{
	for (const struct embed_watch *w = set->watches; w; w = w->next)
		if (watch_events(e, w, depth))
			return true;
	return false;
}

static void reported(struct embed *e, struct embed_watch *w)
{
	const struct embed_file *f = e->files[w->fd];

	w->fresh = false;
	w->silent = w->event.events & EPOLLONESHOT;
	if (f->kind == EMBED_SOCKET) {
		w->seen_in = socket_of(f)->edges_in;
		w->seen_out = socket_of(f)->edges_out;
	}
}

/* Who is reported goes to the end, so that with little room all have their turn. */
static int collect(struct embed *e, struct embed_epoll *set, struct epoll_event *out, int max)
{
	struct embed_watch *told = NULL, **told_end = &told, **at = &set->watches;
	int n = 0;

	while (*at && n < max) {
		struct embed_watch *w = *at;
		uint32_t events = watch_events(e, w, 4);

		if (!events) {
			at = &w->next;
			continue;
		}
		out[n].events = events;
		out[n++].data = w->event.data;
		reported(e, w);
		*at = w->next;
		w->next = NULL;
		*told_end = w;
		told_end = &w->next;
	}
	while (*at)
		at = &(*at)->next;
	*at = told;
	return n;
}

static nsec timeout_until(const struct embed *e, int timeout)
{
	return timeout < 0 ? NSEC_NEVER : e->now + (nsec)timeout * NSEC_PER_MSEC;
}

/* ---- poll ---- */

static int look(struct embed *e, struct pollfd *fds, nfds_t n)
{
	int ready = 0;

	for (nfds_t i = 0; i < n; i++) {
		struct pollfd *p = &fds[i];

		p->revents = 0;
		if (p->fd < 0)
			continue;
		p->revents = embed_has(e, p->fd) ? (short)(file_events(e, e->files[p->fd], 4) & (p->events | ALWAYS)) : POLLNVAL;
		ready += p->revents != 0;
	}
	return ready;
}

int embed_poll(struct embed *e, struct pollfd *fds, nfds_t n, int timeout)
{
	nsec until = timeout_until(e, timeout);
	int ready, error;

	if (!fds && n > 0)
		return -EFAULT;
	while ((ready = look(e, fds, n)) == 0 && timeout != 0) {
		error = embed_wait(e, until);
		if (error == -EAGAIN)
			return look(e, fds, n);
		if (error != 0)
			return error;
	}
	return ready;
}

/* ---- epoll ---- */

static struct embed_epoll *set_get(struct embed *e, int fd)
{
	return (struct embed_epoll *)(void *)embed_file_get(e, fd, EMBED_EPOLL);
}

static struct embed_watch **find(struct embed_epoll *set, int fd)
{
	struct embed_watch **at = &set->watches;

	while (*at && (*at)->fd != fd)
		at = &(*at)->next;
	return at;
}

/* Whether watching `to` from `set` would make a circle, or more than four sets in a row. */
static bool circular(const struct embed *e, const struct embed_epoll *set, const struct embed_file *to, unsigned depth)
{
	if (to->kind != EMBED_EPOLL)
		return false;
	if (epoll_of(to) == set || depth == 0)
		return true;
	for (const struct embed_watch *w = epoll_of(to)->watches; w; w = w->next)
		if (embed_has(e, w->fd) && circular(e, set, e->files[w->fd], depth - 1))
			return true;
	return false;
}

static int add(struct embed_watch **at, int fd, const struct epoll_event *event)
{
	struct embed_watch *w = *at;

	if (w)
		return -EEXIST;
	w = calloc(1, sizeof(*w));
	if (!w)
		return -ENOMEM;
	*w = (struct embed_watch){ .fd = fd, .event = *event, .fresh = true };
	*at = w;
	return 0;
}

static int control(struct embed *e, struct embed_epoll *set, int op, int fd, const struct epoll_event *event)
{
	struct embed_watch **at = find(set, fd), *w = *at;

	if (!embed_has(e, fd))
		return -EBADF;
	if (e->files[fd] == &set->file)
		return -EINVAL;
	if (op != EPOLL_CTL_DEL && !event)
		return -EFAULT;
	switch (op) {
	case EPOLL_CTL_ADD:
		return circular(e, set, e->files[fd], 4) ? -ELOOP : add(at, fd, event);
	case EPOLL_CTL_MOD:
		if (!w)
			return -ENOENT;
		w->event = *event;
		w->silent = false;
		w->fresh = true;
		return 0;
	case EPOLL_CTL_DEL:
		if (!w)
			return -ENOENT;
		*at = w->next;
		free(w);
		return 0;
	default:
		return -EINVAL;
	}
}

void embed_unwatch(struct embed *e, int fd)
{
	for (int i = 0; i < e->file_room; i++) {
		struct embed_file *f = e->files[i];

		if (f && f->kind == EMBED_EPOLL)
			control(e, (struct embed_epoll *)(void *)f, EPOLL_CTL_DEL, fd, NULL);
	}
}

void embed_watches_free(struct embed_epoll *set)
{
	struct embed_watch *w;

	while ((w = set->watches) != NULL) {
		set->watches = w->next;
		free(w);
	}
}

int embed_epoll_create(struct embed *e)
{
	struct embed_epoll *set = calloc(1, sizeof(*set));
	int fd;

	if (!set)
		return -ENOMEM;
	set->file.kind = EMBED_EPOLL;
	fd = embed_file_add(e, &set->file);
	if (fd < 0)
		free(set);
	return fd;
}

int embed_epoll_ctl(struct embed *e, int epfd, int op, int fd, const struct epoll_event *event)
{
	struct embed_epoll *set = set_get(e, epfd);
	int error;

	if (!set)
		return embed_has(e, epfd) ? -EINVAL : -EBADF;
	error = control(e, set, op, fd, event);
	embed_file_put(&set->file);
	return error;
}

int embed_epoll_wait(struct embed *e, int epfd, struct epoll_event *out, int max, int timeout)
{
	struct embed_epoll *set = set_get(e, epfd);
	nsec until = timeout_until(e, timeout);
	int n = 0, error = 0;

	if (!set)
		return embed_has(e, epfd) ? -EINVAL : -EBADF;
	if (max <= 0)
		error = -EINVAL;
	else if (!out)
		error = -EFAULT;
	while (error == 0 && (n = collect(e, set, out, max)) == 0 && timeout != 0)
		error = embed_wait(e, until);
	if (error == -EAGAIN) {         /* the time is up; what came with it counts */
		n = collect(e, set, out, max);
		error = 0;
	}
	embed_file_put(&set->file);
	return error != 0 ? error : n;
}
