/* SPDX-License-Identifier: BSD-3-Clause */
/* Waitsets as a program uses them: a ring of events from the daemon, and two ways to sleep on it: on a futex, or in the
 * kernel's epoll_wait on a pipe that the daemon writes into. Several threads may sleep on one set. */
#include "ipc/client_private.h"

#include "ipc/raw.h"

#define OPEN_PATIENCE (5 * NSEC_PER_SEC)

static __thread __attribute__((tls_model("initial-exec"))) struct waitset *arming;

/* ---- life ---- */

static bool is_open(const struct client *c, uint32_t index)
{
	return atomic_load_explicit(&client_page(c)->waitsets_open[index / 64], memory_order_acquire) >> (index % 64) & 1;
}

static int wait_open(struct client *c, uint32_t index)
{
	struct session_page *page = client_page(c);
	nsec until = client_now() + OPEN_PATIENCE;

	while (!is_open(c, index)) {
		uint32_t value;

		if (!client_alive(c))
			return -ECONNRESET;
		if (client_now() > until)
			return -EMFILE;
		value = doorbell_say_asleep(&page->opened_sleeps, 1);
		if (!is_open(c, index))
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

		if (is_open(c, index) || atomic_load_explicit(&c->waitsets_claimed[index / 64], memory_order_relaxed) & bit)
			continue;
		if (!(atomic_fetch_or(&c->waitsets_claimed[index / 64], bit) & bit))
			return index;
	}
	return REGION_WAITSETS;
}

static void give_back(struct client *c, uint32_t index)
{
	uint64_t bit = UINT64_C(1) << (index % 64);

	atomic_fetch_and(&client_page(c)->waitsets_wanted[index / 64], ~bit);
	if (client_alive(c))
		doorbell_ring_control(&c->region, c->session, c->bell);
	atomic_fetch_and(&c->waitsets_claimed[index / 64], ~bit);
}

int waitset_new(struct client *c, struct waitset **out)
{
	uint32_t index = claim(c);
	struct waitset *w;
	int rc;

	if (index == REGION_WAITSETS)
		return -EMFILE;
	atomic_fetch_or(&client_page(c)->waitsets_wanted[index / 64], UINT64_C(1) << (index % 64));
	doorbell_ring_control(&c->region, c->session, c->bell);
	rc = wait_open(c, index);
	if (rc == 0)
		rc = region_map_waitset(&c->region, c->session, index);
	if (rc < 0) {
		give_back(c, index);
		return rc;
	}
	w = &c->waitsets[index];
	*w = (struct waitset){
		.client = c,
		.events = waitset_events(&c->region, c->session, index),
		.words = waitset_words(&c->region, c->session, index),
		.index = index,
		.pipe = -1,
	};
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

/* After the fence the lines are looked at: so the daemon, which publishes a line, fences, and then sees an event of it still in the
 * ring, need not put another. */
unsigned waitset_take(struct waitset *w, struct wait_event *events, unsigned n)
{
	struct client *c = w->client;
	unsigned taken = rte_ring_sc_dequeue_burst_elem(w->events, events, sizeof(*events), n, NULL);

	if (taken == 0)
		return 0;
	doorbell_fence();
	if (atomic_load_explicit(&w->words->wants_room, memory_order_relaxed) && atomic_exchange(&w->words->wants_room, 0))
		doorbell_ring_control(&c->region, c->session, c->bell);
	return taken;
}

/* ---- sleeping ---- */

static bool has_events(void *context)
{
	const struct waitset *w = context;

	return rte_ring_empty(w->events) == 0;
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
