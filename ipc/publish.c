/* SPDX-License-Identifier: BSD-3-Clause */
/* The end of a turn: what the stacks say happened is published in the lines, told to the waitsets, and then, behind one fence for
 * all of it, those who sleep are woken. */
#include "ipc/server_private.h"

#define EVENTS 128u
#define SEND_FIRST (16u << 10)  /* lent as soon as a connection talks, so that the first answer needs no round trip */

#define WAKES_READERS (EP_READABLE | EP_READ_CLOSED | EP_HANGUP | EP_ERROR | EP_URGENT | EP_CONNECTED)
#define WAKES_WRITERS (EP_WRITABLE | EP_HANGUP | EP_ERROR | EP_CONNECTED)

static struct line_record *find(struct server *s, uint64_t owner, struct family **f, uint32_t *line)
{
	*f = family_of(s, owner);
	*line = (uint32_t)owner;
	return *f && line_is_here(*f, *line) ? line_record(*f, *line) : NULL;
}

static unsigned collect(struct server *s, struct stack *stack)
{
	struct ep_event events[EVENTS];
	unsigned n, i, all = 0;

	do {
		n = stack_events(stack, events, EVENTS);
		for (i = 0; i < n; i++) {
			struct family *f;
			uint32_t line;
			struct line_record *l = find(s, events[i].owner, &f, &line);

			if (!l || l->ep != events[i].ep)
				continue;
			if (events[i].mask & EP_RELEASED)
				line_released(f, line);
			else
				line_changed(f, line, events[i].mask);
		}
		all += n;
	} while (n == EVENTS);
	return all;
}

void line_announce(struct family *f, uint32_t listener, uint32_t child)
{
	struct line_record *l = line_record(f, listener);
	uint32_t *ring = (uint32_t *)(void *)l->backlog;

	ring[l->backlog_head % BACKLOG_MAX] = child;
	l->backlog_head++;
	atomic_store_explicit(&region_line(&f->region, listener)->receive_head, l->backlog_head, memory_order_release);
	line_changed(f, listener, EP_READABLE);
}

/* An adopted child: its names, then its number in the listener's ring, here or at the listener's home. */
static void announce(struct family *f, uint32_t line)
{
	struct line_record *l = line_record(f, line);
	int64_t oob_inline;

	l->newborn = false;
	line_names(f, line);
	line_limit(f, line);
	line_low(f, line);
	line_notsent_low(f, line);
	if (ep_get(f->host->stack, l->ep, EP_OOB_INLINE, &oob_inline) < 0)
		oob_inline = 0;
	line_set_state(f, line, LINE_OPEN | LINE_STREAM | LINE_BOUND | LINE_CONNECTED | (oob_inline ? LINE_OOB_INLINE : 0), 0);
	if (line_record(f, l->parent)->use == LINE_SHADOW)
		shadows_child(f, line);
	else
		line_announce(f, l->parent, line);
}

static void lend_first(struct family *f, uint32_t line)
{
	const struct line_record *l = line_record(f, line);

	if (l->type == EP_STREAM && !(l->state & LINE_LISTENING) &&
		atomic_load_explicit(&region_line(&f->region, line)->send.epoch, memory_order_relaxed) == 0)
		ep_grow_send(f->host->stack, l->ep, SEND_FIRST);
}

/* What lies before the mark is read without what lies behind it (RFC 9293 MUST-33). */
static void publish_urgent(struct family *f, uint32_t line, uint32_t *set)
{
	struct stack *stack = f->host->stack;
	struct sock_line *shared = region_line(&f->region, line);
	uint32_t index;

	if (!ep_urgent_index(stack, line_record(f, line)->ep, &index))
		return;
	atomic_store_explicit(&shared->urgent_index, index, memory_order_relaxed);
	*set |= LINE_MARK;
	/* POLLPRI is told when the byte itself is there, not when it is announced (as Linux). */
	if (ep_ready(stack, line_record(f, line)->ep) & EP_URGENT &&
		(int32_t)(atomic_load_explicit(&shared->receive_head, memory_order_relaxed) - index) > 0)
		*set |= LINE_URGENT;
}

/* Bytes came, but fewer than SO_RCVLOWAT: no news for those who wait for many. Whoever sleeps on the line itself is woken all the same
 * (wake_line): a blocked recv may want fewer. */
static bool is_too_little(struct family *f, uint32_t line)
{
	line_readable_from(f, line);
	return !(ep_ready(f->host->stack, line_record(f, line)->ep) & EP_READABLE);
}

static void publish_line(struct family *f, uint32_t line)
{
	struct line_record *l = line_record(f, line);
	struct sock_line *shared = region_line(&f->region, line);
	uint32_t mask = l->changed, set = 0, clear = 0;
	int error;

	if (mask & EP_CONNECTED && l->use == LINE_USED) {
		line_names(f, line);
		set |= LINE_CONNECTED;
		clear |= LINE_CONNECTING;
		if (l->active)
			lend_first(f, line);
	}
	if (mask & EP_READABLE && l->state & LINE_CONNECTED)
		lend_first(f, line);
	if (mask & EP_ERROR) {
		error = ep_take_error(f->host->stack, l->ep);
		if (error)
			line_set_error(f, line, error);
		line_errors(f, line);
	}
	if (mask & EP_READ_CLOSED)
		set |= LINE_READ_CLOSED;
	if (mask & EP_HANGUP) {
		set |= LINE_HANGUP | LINE_READ_CLOSED | LINE_WRITE_CLOSED;
		clear |= LINE_CONNECTING;
	}
	if (mask & EP_URGENT)
		publish_urgent(f, line, &set);
	line_set_state(f, line, set, clear);
	if (l->notsent_low)
		line_send_next(f, line);
	if (mask & EP_READABLE && l->receive_low > 1 && !(l->state & LINE_LISTENING) && is_too_little(f, line))
		mask &= ~(uint32_t)EP_READABLE;
	if (!mask)
		return;
	atomic_fetch_add_explicit(&shared->changes, 1, memory_order_release);
	waitsets_tell(f, line, mask);
}

static void publish_lines(struct server *s)
{
	struct family *f;
	uint32_t line;
	size_t i;

	for (i = 0; i < s->changes.n; i++) {
		struct line_record *l = find(s, s->changes.items[i], &f, &line);

		if (l && l->newborn && l->use == LINE_WAITING)
			announce(f, line);
	}
	for (i = 0; i < s->changes.n; i++) {
		struct line_record *l = find(s, s->changes.items[i], &f, &line);

		if (l && l->queued && (l->use == LINE_USED || l->use == LINE_WAITING) && l->ep)
			publish_line(f, line);
	}
}

static void wake_line(struct server *s, struct sock_line *line, uint32_t mask)
{
	uint32_t reader = atomic_load_explicit(&line->receive_sleeps, memory_order_relaxed);

	/* Value 2 is set by one who waits for anything. */
	if (reader & DOORBELL_SLEEPERS && (mask & WAKES_READERS || (reader & 2 && mask & WAKES_WRITERS)))
		s->stats.wakes += doorbell_wake_if_asleep(&line->receive_sleeps);
	if (mask & WAKES_WRITERS)
		s->stats.wakes += doorbell_wake_if_asleep(&line->send_sleeps);
}

static void wake_lines(struct server *s)
{
	size_t i;

	for (i = 0; i < s->changes.n; i++) {
		struct family *f;
		uint32_t line, mask;
		struct line_record *l = find(s, s->changes.items[i], &f, &line);

		if (!l || !l->queued)
			continue;
		mask = l->changed;
		l->changed = 0;
		l->queued = false;
		wake_line(s, region_line(&f->region, line), mask);
	}
	s->changes.n = 0;
}

static void wake_lanes(struct server *s)
{
	size_t i;

	for (i = 0; i < s->lanes.n; i++) {
		struct lane *lane = (struct lane *)(uintptr_t)s->lanes.items[i];
		const struct session *session = lane->session;

		lane->touched = false;
		s->stats.wakes +=
			doorbell_wake_if_asleep(&lane_words(&session->family->region, session->seat, lane->index)->sleeps);
	}
	s->lanes.n = 0;
}

unsigned server_publish(struct server *s)
{
	struct server_host *host;
	unsigned work = 0;

	for (host = s->hosts; host; host = host->next)
		if (host->stack)
			work += collect(s, host->stack);
	if (s->changes.n || s->full.n) {
		work += (unsigned)s->changes.n;
		publish_lines(s);
		doorbell_fence();   /* before we look whether an event is unread (waitsets.c) */
		work += waitsets_flush(s);
	}
	if (s->changes.n || s->rung.n || s->lanes.n) {
		doorbell_fence();   /* everything published, before we look who sleeps */
		wake_lines(s);
		waitsets_wake(s);
		wake_lanes(s);
	}
	session_bury(s);
	connections_bury(s);
	cores_flush(s);
	return work;
}
