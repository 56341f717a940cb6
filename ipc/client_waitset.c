/* SPDX-License-Identifier: BSD-3-Clause */
/* Waitsets as a program uses them: a ring of events from the daemon, and two ways to sleep on it: on a futex, or in the
 * kernel's epoll_wait on a pipe that the daemon writes into. Several threads may sleep on one set. */
#include "ipc/client_private.h"

#include "ipc/raw.h"

#define OPEN_PATIENCE (5 * NSEC_PER_SEC)

static __thread __attribute__((tls_model("initial-exec"))) struct waitset *arming;

/* ---- life ---- */

static bool is_open(const struct client *c, uint32_t core, uint32_t index)
{
	return atomic_load_explicit(&client_page_on(c, core)->waitsets_open[index / 64], memory_order_acquire) >> (index % 64) & 1;
}

static bool is_open_anywhere(const struct client *c, uint32_t index)
{
	uint32_t core;

	for (core = 0; core < c->cores; core++)
		if (is_open(c, core, index))
			return true;
	return false;
}

static int wait_open(struct client *c, uint32_t core, uint32_t index)
{
	struct session_page *page = client_page_on(c, core);
	nsec until = client_now() + OPEN_PATIENCE;

	while (!is_open(c, core, index)) {
		uint32_t value;

		if (!client_alive(c))
			return -ECONNRESET;
		if (client_now() > until)
			return -EMFILE;
		value = doorbell_say_asleep(&page->opened_sleeps, 1);
		if (!is_open(c, core, index))
			client_sleep(&page->opened_sleeps, value, until);
	}
	return 0;
}

/* A number that the daemon has not closed yet since it was given back is not taken: its watches would still be there. */
static uint32_t claim(struct client *c)
{
	uint32_t most = region_constants(&c->region)->waitsets, index;

	for (index = 0; index < most; index++) {
		uint64_t bit = UINT64_C(1) << (index % 64);

		if (is_open_anywhere(c, index) || atomic_load_explicit(&c->waitsets_claimed[index / 64], memory_order_relaxed) & bit)
			continue;
		if (!(atomic_fetch_or(&c->waitsets_claimed[index / 64], bit) & bit))
			return index;
	}
	return REGION_WAITSETS;
}

static void give_back(struct client *c, uint32_t index)
{
	uint64_t bit = UINT64_C(1) << (index % 64);
	uint32_t core;

	for (core = 0; core < c->cores; core++) {
		atomic_fetch_and(&client_page_on(c, core)->waitsets_wanted[index / 64], ~bit);
		if (client_alive(c))
			doorbell_ring_control(&c->region, client_seat(c, core), c->bells[core]);
	}
	atomic_fetch_and(&c->waitsets_claimed[index / 64], ~bit);
}

/* On all cores, all asked at once. */
static int open_all(struct client *c, uint32_t index, struct waitset *w)
{
	uint32_t core;
	int rc = 0;

	for (core = 0; core < c->cores; core++) {
		atomic_fetch_or(&client_page_on(c, core)->waitsets_wanted[index / 64], UINT64_C(1) << (index % 64));
		doorbell_ring_control(&c->region, client_seat(c, core), c->bells[core]);
	}
	for (core = 0; core < c->cores && rc == 0; core++) {
		rc = wait_open(c, core, index);
		if (rc == 0)
			rc = region_map_waitset(&c->region, client_seat(c, core), index);
		w->events[core] = waitset_events(&c->region, client_seat(c, core), index);
	}
	return rc;
}

int waitset_new(struct client *c, struct waitset **out)
{
	uint32_t index = claim(c);
	struct waitset *w;
	int rc;

	if (index == REGION_WAITSETS)
		return -EMFILE;
	w = &c->waitsets[index];
	*w = (struct waitset){ .index = index, .words = waitset_words(&c->region, c->session, index), .pipe = -1 };
	rc = open_all(c, index, w);
	if (rc < 0) {
		give_back(c, index);
		return rc;
	}
	w->client = c;
	*out = w;
	return 0;
}

void waitset_free(struct waitset *w)
{
	struct client *c = w->client;

	if (!c)
		return;   /* a forked child's view of its parent's */
	raw_close(w->pipe);
	w->pipe = -1;
	w->client = NULL;
	give_back(c, w->index);
}

/* ---- watching ---- */

int waitset_watch(struct waitset *w, uint32_t id, uint32_t mask, bool exclusive, uint64_t cookie)
{
	struct request q = {
		.op = REQ_WATCH, .flags = exclusive ? REQ_EXCLUSIVE : 0, .line = id, .a = w->index, .b = mask, .value = (int64_t)cookie,
		.more = atomic_fetch_add(&w->asked, 1),
	};

	return client_post(w->client, &q);
}

int waitset_unwatch(struct waitset *w, uint32_t id)
{
	struct request q = { .op = REQ_UNWATCH, .line = id, .a = w->index, .more = atomic_fetch_add(&w->asked, 1) };

	return client_post(w->client, &q);
}

/* The core that slept on a full ring is rung when there is room again. */
static void tell_room(struct waitset *w, uint32_t core)
{
	struct client *c = w->client;
	struct waitset_words *words = core ? waitset_words(&c->region, client_seat(c, core), w->index) : w->words;

	if (atomic_load_explicit(&words->wants_room, memory_order_relaxed) && atomic_exchange(&words->wants_room, 0))
		doorbell_ring_control(&c->region, client_seat(c, core), c->bells[core]);
}

/* After the fence the lines are looked at: so the daemon, which publishes a line, fences, and then sees an event of it still in the
 * ring, need not put another. The cores take turns in being the first, so that a busy one does not hide the others' events. */
unsigned waitset_take(struct waitset *w, struct wait_event *events, unsigned n)
{
	uint32_t cores = w->client->cores, first = w->turn, i, from = 0;
	unsigned taken = 0;

	for (i = 0; i < cores && taken < n; i++) {
		uint32_t core = (first + i) % cores;
		unsigned got = rte_ring_sc_dequeue_burst_elem(w->events[core], events + taken, sizeof(*events), n - taken, NULL);

		from |= (uint32_t)(got > 0) << core;
		taken += got;
	}
	if (taken == 0)
		return 0;
	w->turn = (first + 1) % cores;
	doorbell_fence();
	for (; from; from &= from - 1)
		tell_room(w, (uint32_t)__builtin_ctz(from));
	return taken;
}

/* ---- sleeping ---- */

static bool has_events(void *context)
{
	const struct waitset *w = context;
	uint32_t core;

	for (core = 0; core < w->client->cores; core++)
		if (!rte_ring_empty(w->events[core]))
			return true;
	return false;
}

int waitset_eventfd(struct waitset *w)
{
	struct client *c = w->client;
	struct welcome answer;
	unsigned n = 1;
	int fd = -1, rc;

	if (w->pipe >= 0)
		return w->pipe;
	rc = client_ask(c, HELLO_PIPE, w->index, &answer, &fd, &n);
	if (rc < 0)
		return rc;
	w->pipe = client_move_fd(c, fd);
	return w->pipe;
}

/* The lock is held for some instructions; a signal handler that interrupts its own thread there must not wait for it. */
static bool enter(struct waitset *w)
{
	if (arming == w)
		return false;
	arming = w;
	atomic_signal_fence(memory_order_seq_cst);
	spin_lock(&w->lock);
	return true;
}

static void leave(struct waitset *w)
{
	spin_unlock(&w->lock);
	atomic_signal_fence(memory_order_seq_cst);
	arming = NULL;
}

/* The daemon rings a set once and then thinks it awake: the pipe must be there before it can. */
bool waitset_arm(struct waitset *w)
{
	waitset_eventfd(w);
	if (!enter(w))
		return false;
	w->armed++;
	atomic_fetch_or(&w->words->sleeps, WAITSET_PIPE);
	leave(w);
	doorbell_fence();
	return !has_events(w) && client_alive(w->client);
}

/* The last one out takes the bytes: until then the pipe stays readable, so that every thread that slept wakes. One that is counted but
 * not written yet is for another time. */
void waitset_disarm(struct waitset *w)
{
	char bytes[16];

	if (!enter(w))
		return;
	if (w->armed)
		w->armed--;
	if (w->armed == 0) {
		atomic_fetch_and(&w->words->sleeps, ~(uint32_t)WAITSET_PIPE);
		if (atomic_load(&w->words->rings) != w->rings) {
			long n = raw_call3(SYS_read, w->pipe, (long)bytes, sizeof(bytes));

			w->rings += n > 0 ? (uint32_t)n : 0;
		}
	}
	leave(w);
}

int waitset_sleep(struct waitset *w, nsec until)
{
	if (has_events(w))
		return 0;
	for (;;) {
		uint32_t value = doorbell_say_asleep(&w->words->sleeps, WAITSET_FUTEX);
		int rc;

		if (has_events(w) || !client_alive(w->client))
			return 0;
		rc = client_sleep(&w->words->sleeps, value, until);
		if (has_events(w))
			return 0;
		if (rc < 0)
			return rc;
	}
}

bool waitset_spin(struct waitset *w)
{
	return client_spin(w->client, has_events, w);
}
