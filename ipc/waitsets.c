/* SPDX-License-Identifier: BSD-3-Clause */
/* Waitsets: who wants to hear of which line. An event goes into the set's ring unless one that says the same lies there
 * unread; while the ring is full it stays pending here. Exclusive watchers of one line (EPOLLEXCLUSIVE): a sleeping one is told and no other;
 * if none sleeps all are told, as Linux does. */
#include "ipc/server_private.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#define ALWAYS (EP_HANGUP | EP_ERROR)

static struct rte_ring *ring_of(const struct waitset_record *w)
{
	return waitset_events(&w->session->family->region, w->session->seat, w->index);
}

/* How it sleeps: said once for all cores. */
static struct waitset_words *words_of(const struct waitset_record *w)
{
	return waitset_words(&w->session->family->region, w->session->number, w->index);
}

/* Whether its ring on this core is full. */
static _Atomic uint32_t *wants_room(const struct waitset_record *w)
{
	return &waitset_words(&w->session->family->region, w->session->seat, w->index)->wants_room;
}

/* ---- life ---- */

static void pipe_let_go(struct set_pipe *pipe)
{
	if (atomic_fetch_sub(&pipe->users, 1) != 1)
		return;
	close(pipe->writer);
	close(pipe->reader);
	free(pipe);
}

int waitset_open(struct session *s, uint32_t index)
{
	struct waitset_record *w = s->waitsets[index];
	int rc;

	if (s->waitsets_open[index / 64] >> (index % 64) & 1)
		return 0;
	if (!w) {
		rc = region_map_waitset(&s->family->region, s->seat, index);
		w = rc ? NULL : calloc(1, sizeof(*w));
		if (!w)
			return rc ? rc : -ENOMEM;
		s->waitsets[index] = w;
	}
	*w = (struct waitset_record){ .session = s, .index = index };
	LIST_INIT(&w->watches);
	TAILQ_INIT(&w->pending);
	lane_reset(ring_of(w));
	atomic_store(wants_room(w), 0);
	/* The program uses it when all cores have opened it. */
	if (s->family->server->core == 0) {
		atomic_store(&words_of(w)->sleeps, WAITSET_AWAKE);
		atomic_store(&words_of(w)->rings, 0);
	}
	s->waitsets_open[index / 64] |= UINT64_C(1) << (index % 64);
	s->family->server->stats.waitsets++;
	return 0;
}

int waitset_pipe(struct session *s, uint32_t index, struct set_pipe **out)
{
	struct set_pipe *pipe;
	int ends[2];

	if (index >= REGION_WAITSETS || !(s->waitsets_open[index / 64] >> (index % 64) & 1))
		return -EBADF;
	if (s->waitsets[index]->pipe)
		return -EBUSY;
	pipe = calloc(1, sizeof(*pipe));
	if (!pipe)
		return -ENOMEM;
	/* Not an eventfd: there the program could make our write block, since both would share one open file description. */
	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0) {
		free(pipe);
		return -errno;
	}
	pipe->reader = ends[0];
	pipe->writer = ends[1];
	atomic_store(&pipe->users, s->family->server->cores_n);
	s->waitsets[index]->pipe = pipe;
	*out = pipe;
	return 0;
}

int waitset_take_pipe(struct session *s, uint32_t index, struct set_pipe *pipe)
{
	if (!s || !(s->waitsets_open[index / 64] >> (index % 64) & 1) || s->waitsets[index]->pipe) {
		pipe_let_go(pipe);
		return -EBADF;
	}
	s->waitsets[index]->pipe = pipe;
	return 0;
}

static void watch_free(struct family *f, struct watch *watch)
{
	struct watch **at = &line_record(f, watch->line)->watches;

	while (*at != watch)
		at = &(*at)->next;
	*at = watch->next;
	if (watch->pending)
		TAILQ_REMOVE(&watch->set->pending, watch, of_pending);
	LIST_REMOVE(watch, of_set);
	f->server->stats.watches--;
	free(watch);
}

/* An exclusive watcher goes: what it was told alone, others must hear. */
static void pass_on(struct family *f, uint32_t line)
{
	struct line_record *l = line_record(f, line);

	if (l->watches && l->use == LINE_USED)
		line_changed(f, line, ep_ready(f->host->stack, l->ep));
}

void waitset_close(struct session *s, uint32_t index)
{
	struct waitset_record *w = s->waitsets[index];
	struct watch *watch;

	if (!(s->waitsets_open[index / 64] >> (index % 64) & 1))
		return;
	while ((watch = LIST_FIRST(&w->watches))) {
		uint32_t line = watch->line;
		bool exclusive = watch->exclusive;

		watch_free(s->family, watch);
		if (exclusive)
			pass_on(s->family, line);
	}
	if (w->pipe)
		pipe_let_go(w->pipe);
	w->pipe = NULL;
	s->waitsets_open[index / 64] &= ~(UINT64_C(1) << (index % 64));
	s->family->server->stats.waitsets--;
}

/* ---- watches ---- */

static struct watch *watch_find(struct family *f, uint32_t line, const struct waitset_record *w)
{
	struct watch *watch = line_record(f, line)->watches;

	while (watch && watch->set != w)
		watch = watch->next;
	return watch;
}

static void make_pending(struct watch *watch, uint32_t mask)
{
	struct waitset_record *w = watch->set;
	struct server *s = w->session->family->server;

	if (!mask)
		return;
	if (!watch->pending)
		TAILQ_INSERT_TAIL(&w->pending, watch, of_pending);
	watch->pending |= mask;
	if (!w->queued)
		w->queued = vector_add(&s->full, (uint64_t)(uintptr_t)w);
}

int waitset_add(struct session *s, const struct request *q)
{
	uint32_t line = q->line, index = q->a;
	struct family *f = s->family;
	struct line_record *l = line_record(f, line);
	struct waitset_record *w;
	struct watch *watch;

	if (index >= REGION_WAITSETS || !(s->waitsets_open[index / 64] >> (index % 64) & 1))
		return -EBADF;
	w = s->waitsets[index];
	watch = watch_find(f, line, w);
	if (!watch) {
		watch = calloc(1, sizeof(*watch));
		if (!watch)
			return -ENOMEM;
		watch->line = line;
		watch->set = w;
		watch->next = l->watches;
		l->watches = watch;
		LIST_INSERT_HEAD(&w->watches, watch, of_set);
		f->server->stats.watches++;
	} else if (q->more < watch->asked) {
		return 0;   /* another thread's, asked before the one that holds, read after it */
	}
	watch->asked = q->more;
	watch->mask = q->b | ALWAYS;
	watch->exclusive = q->flags & REQ_EXCLUSIVE;
	watch->cookie = (uint64_t)q->value;
	watch->put_mask = 0;
	/* What holds already is told too, as epoll_ctl does. */
	make_pending(watch, ep_ready(f->host->stack, l->ep) & watch->mask);
	return 0;
}

void waitset_remove(struct session *s, uint32_t line, uint32_t index, uint64_t asked)
{
	struct watch *watch;
	bool exclusive;

	if (index >= REGION_WAITSETS || !s->waitsets[index])
		return;
	watch = watch_find(s->family, line, s->waitsets[index]);
	/* One thread's EPOLL_CTL_DEL may be read after another's ADD that followed it. */
	if (!watch || asked < watch->asked)
		return;
	exclusive = watch->exclusive;
	watch_free(s->family, watch);
	if (exclusive)
		pass_on(s->family, line);
}

void waitsets_forget_session(struct session *s, uint32_t line)
{
	struct watch *watch = line_record(s->family, line)->watches, *next;

	for (; watch; watch = next) {
		next = watch->next;
		if (watch->set->session == s)
			watch_free(s->family, watch);
	}
}

void waitsets_forget_line(struct family *f, uint32_t line)
{
	while (line_record(f, line)->watches)
		watch_free(f, line_record(f, line)->watches);
}

/* ---- events ---- */

static bool is_asleep(const struct watch *watch)
{
	return atomic_load_explicit(&words_of(watch->set)->sleeps, memory_order_relaxed) & DOORBELL_SLEEPERS;
}

static struct watch *sleeping_exclusive(struct watch *first, uint32_t mask)
{
	struct watch *watch;

	for (watch = first; watch; watch = watch->next)
		if (watch->exclusive && (watch->mask & mask) && is_asleep(watch))
			return watch;
	return NULL;
}

/* The one that was told goes to the end: the sleepers take turns. */
static void rotate(struct line_record *l, struct watch *watch)
{
	struct watch **at = &l->watches;

	while (*at != watch)
		at = &(*at)->next;
	*at = watch->next;
	while (*at)
		at = &(*at)->next;
	*at = watch;
	watch->next = NULL;
}

void waitsets_tell(struct family *f, uint32_t line, uint32_t mask)
{
	struct line_record *l = line_record(f, line);
	struct watch *watch, *chosen = sleeping_exclusive(l->watches, mask);

	for (watch = l->watches; watch; watch = watch->next)
		if (!watch->exclusive || watch == chosen || !chosen)
			make_pending(watch, watch->mask & mask);
	if (chosen)
		rotate(l, chosen);
}

/* An event that says at least this lies in the ring and is not taken yet. The reader takes an event, fences, then looks at the
 * line; we published the line, fenced, now look at its index: one of us sees the other (model/doorbell.pml). */
static bool already_told(const struct rte_ring *ring, const struct watch *watch, uint32_t put)
{
	uint32_t taken = __atomic_load_n(&ring->cons.tail, __ATOMIC_ACQUIRE);

	return watch->put_mask && !(watch->pending & ~watch->put_mask) && put - watch->put_end < EVENT_SLOTS &&
	       put - taken > put - watch->put_end;
}

/* Moves pending events into the ring: 1 all, 0 it is full, -EPROTO. */
static int flush(struct waitset_record *w)
{
	struct rte_ring *ring = ring_of(w);
	struct server *s = w->session->family->server;
	struct watch *watch;

	while ((watch = TAILQ_FIRST(&w->pending))) {
		if (!already_told(ring, watch, w->put)) {
			struct wait_event event = { .line = watch->line, .mask = watch->pending, .cookie = watch->cookie };
			int rc = lane_put(ring, &w->put, &event, sizeof(event));

			if (rc <= 0)
				return rc;
			watch->put_end = w->put;
			watch->put_mask = watch->pending;
			s->stats.events++;
			if (!w->touched)
				w->touched = vector_add(&s->rung, (uint64_t)(uintptr_t)w);
		}
		TAILQ_REMOVE(&w->pending, watch, of_pending);
		watch->pending = 0;
	}
	return 1;
}

unsigned waitsets_flush(struct server *s)
{
	size_t i, n = s->full.n, kept = 0;

	for (i = 0; i < n; i++) {
		struct waitset_record *w = (struct waitset_record *)(uintptr_t)s->full.items[i];
		int rc = TAILQ_EMPTY(&w->pending) ? 1 : flush(w);

		if (rc == 0) {
			s->stats.events_deferred++;
			s->full.items[kept++] = s->full.items[i];
			continue;
		}
		w->queued = false;
		if (rc < 0)
			session_violation(w->session, "the indices of a waitset are impossible");
	}
	/* session_violation may have added more behind. */
	for (; i < s->full.n; i++)
		s->full.items[kept++] = s->full.items[i];
	s->full.n = kept;
	return (unsigned)(n - kept);
}

/* Counted first, so that whoever finds the count ahead of what it read knows that a byte is there or on its way. A full pipe is
 * readable: that is all we want. */
static void ring_pipe(struct waitset_record *w)
{
	_Atomic uint32_t *rings = &words_of(w)->rings;

	if (!w->pipe)
		return;
	atomic_fetch_add(rings, 1);
	if (write(w->pipe->writer, "", 1) == 1)
		return;
	atomic_fetch_sub(rings, 1);
	if (errno != EAGAIN)
		session_violation(w->session, "the pipe of a waitset is broken");
}

void waitsets_wake(struct server *s)
{
	size_t i;

	for (i = 0; i < s->rung.n; i++) {
		struct waitset_record *w = (struct waitset_record *)(uintptr_t)s->rung.items[i];
		_Atomic uint32_t *sleeps = &words_of(w)->sleeps;
		uint32_t how;

		w->touched = false;
		how = doorbell_take_sleepers(sleeps);
		if (how == WAITSET_AWAKE)
			continue;
		s->stats.wakes++;
		if (how & WAITSET_FUTEX)
			doorbell_wake(sleeps);
		if (how & WAITSET_PIPE)
			ring_pipe(w);
	}
	s->rung.n = 0;
}

bool waitsets_want_room(struct server *s)
{
	bool none = true;
	size_t i;

	for (i = 0; i < s->full.n; i++) {
		struct waitset_record *w = (struct waitset_record *)(uintptr_t)s->full.items[i];

		atomic_store(wants_room(w), 1);
	}
	doorbell_fence();
	for (i = 0; i < s->full.n && none; i++) {
		struct waitset_record *w = (struct waitset_record *)(uintptr_t)s->full.items[i];

		none = lane_room(ring_of(w), w->put) == 0;
	}
	return none;
}
