/* SPDX-License-Identifier: BSD-3-Clause */
/* The one wait: everything that blocks comes through client_sleep, everything that reads the time through client_now.
 * Before it sleeps a waiter spins, if spinning has paid lately: beside a daemon that polls on a core of its own it looks at memory; where
 * they share cores it yields, so that the daemon can run. */
#include "ipc/client_private.h"

#include <rte_pause.h>

#include "ipc/raw.h"

#define LOCK_CONTENDED 0x80000000u
#define SCORE_MAX 16
#define YIELDS_MAX 40
#define LOOKS_PER_TIME 16u
#define CPU_LASTS 32u

void (*client_pump)(void *);
void *client_pump_context;

static __thread __attribute__((tls_model("initial-exec"))) struct {
	_Atomic uint32_t *held[CLIENT_DEPTH];
	uint32_t depth;
} locks;

static __thread __attribute__((tls_model("initial-exec"))) struct {
	uint32_t asked, cpu;
} place;

nsec client_now(void)
{
	return doorbell_now();
}

bool client_alive(const struct client *c)
{
	return doorbell_daemon_alive(&c->region) &&
	       !atomic_load_explicit(&client_page(c)->ended, memory_order_relaxed);
}

int client_sleep(_Atomic uint32_t *word, uint32_t expected, nsec until)
{
	if (client_pump) {
		client_pump(client_pump_context);
		return client_now() >= until ? -ETIMEDOUT : 0;
	}
	return doorbell_sleep(word, expected, until);
}

/* ---- spinning ---- */

/* Which CPU this is costs a system call: asked now and then, since a thread seldom moves. */
static bool daemon_polls_elsewhere(const struct client *c)
{
	uint64_t cores = client_host(c)->daemon_cores;

	if (cores == 0)
		return false;
	if (place.asked++ % CPU_LASTS == 0)
		raw_call3(SYS_getcpu, (long)&place.cpu, 0, 0);
	return place.cpu < 64 && !(cores >> place.cpu & 1);
}

static bool spin_on_memory(const struct client *c, bool (*test)(void *), void *context)
{
	nsec end = client_now() + c->spin_usec * NSEC_PER_USEC;
	uint32_t i = 0;

	do {
		if (test(context))
			return true;
		rte_pause();
	} while (++i % LOOKS_PER_TIME || client_now() < end);
	return false;
}

static bool spin_by_yielding(bool (*test)(void *), void *context)
{
	int i;

	for (i = 0; i < YIELDS_MAX; i++) {
		raw_call2(SYS_sched_yield, 0, 0);
		if (test(context))
			return true;
	}
	return false;
}

void client_spin_limit(struct client *c, uint32_t usec)
{
	c->spin_usec = usec;
	if (usec == 0)
		atomic_store(&doorbell_confined, true);
}

/* The score rises when a spin was worth it and falls when it was not; below zero only every eighth wait tries again. */
bool client_spin(struct client *c, bool (*test)(void *), void *context)
{
	int score = atomic_load_explicit(&c->spin_score, memory_order_relaxed);
	bool found;

	if (test(context))
		return true;
	if (c->spin_usec == 0 || client_pump)
		return false;
	if (score < 0 && score % 8) {
		atomic_store_explicit(&c->spin_score, score + 1, memory_order_relaxed);
		return false;
	}
	found = daemon_polls_elsewhere(c) ? spin_on_memory(c, test, context) : spin_by_yielding(test, context);
	if (found)
		score = score < 0 ? 0 : score < SCORE_MAX ? score + 1 : score;
	else
		score = score > 0 ? score - 4 : -1 - 8;
	atomic_store_explicit(&c->spin_score, score, memory_order_relaxed);
	return found;
}

/* ---- locks ---- */

static bool held_below(const _Atomic uint32_t *word)
{
	uint32_t i, n = locks.depth < CLIENT_DEPTH ? locks.depth : CLIENT_DEPTH;

	for (i = 0; i < n; i++)
		if (locks.held[i] == word)
			return true;
	return false;
}

static void note_held(_Atomic uint32_t *word)
{
	if (locks.depth < CLIENT_DEPTH)
		locks.held[locks.depth] = word;
	locks.depth++;
}

int line_lock(struct client *c, _Atomic uint32_t *word)
{
	const uint32_t me = c->session + 1;
	uint32_t seen = 0, mine = me;

	if (held_below(word))
		return -EINTR;
	/* Noted first: a handler that comes between must not wait for us. */
	note_held(word);
	while (!atomic_compare_exchange_weak_explicit(word, &seen, mine, memory_order_acquire, memory_order_relaxed)) {
		if (seen == 0)
			continue;
		mine = me | LOCK_CONTENDED;
		if (!client_alive(c)) {
			locks.depth--;
			return -ECONNRESET;
		}
		if (seen & LOCK_CONTENDED || atomic_compare_exchange_strong(word, &seen, seen | LOCK_CONTENDED))
			client_sleep(word, seen | LOCK_CONTENDED, NSEC_NEVER);
		seen = 0;
	}
	return 0;
}

void line_unlock(_Atomic uint32_t *word)
{
	if (atomic_exchange_explicit(word, 0, memory_order_release) & LOCK_CONTENDED)
		doorbell_wake(word);
	locks.depth--;
}

/* Of this process alone; held for some instructions. */
void spin_lock(_Atomic uint32_t *lock)
{
	while (atomic_exchange_explicit(lock, 1, memory_order_acquire))
		raw_call2(SYS_sched_yield, 0, 0);
}

void spin_unlock(_Atomic uint32_t *lock)
{
	atomic_store_explicit(lock, 0, memory_order_release);
}

/* ---- a line ---- */

struct line_wait {
	struct client *client;
	uint32_t id, mask;
};

static bool line_holds(void *context)
{
	const struct line_wait *w = context;

	return client_ready(w->client, w->id) & w->mask;
}

struct bytes_wait {
	struct client *client;
	uint32_t id, n;
	bool force;
};

static bool bytes_lie_there(void *context)
{
	const struct bytes_wait *w = context;
	const struct sock_line *line = client_line(w->client, w->id);
	uint32_t ready = client_ready(w->client, w->id), state = atomic_load_explicit(&line->state, memory_order_acquire);
	uint32_t bytes = receive_readable(line, state);

	if (ready & (EP_READ_CLOSED | EP_HANGUP | EP_ERROR) || bytes >= w->n)
		return true;
	return bytes && (state & LINE_MARK || (w->force && ready & EP_READABLE));
}

static int sleep_until(struct client *c, _Atomic uint32_t *word, uint32_t bits, bool (*test)(void *), void *context, nsec until)
{
	if (test(context))
		return 0;
	if (client_now() >= until)
		return -ETIMEDOUT;
	if (client_spin(c, test, context))
		return 0;
	for (;;) {
		uint32_t value = doorbell_say_asleep(word, bits);
		int rc;

		if (test(context))
			return 0;   /* the word stays set: at worst one needless wake */
		rc = client_sleep(word, value, until);
		if (test(context))
			return 0;
		if (rc < 0)
			return rc;
	}
}

int client_wait_bytes(struct client *c, uint32_t id, uint32_t n, bool force, nsec until)
{
	struct bytes_wait w = { .client = c, .id = id, .n = n, .force = force };

	return sleep_until(c, &client_line(c, id)->receive_sleeps, 1, bytes_lie_there, &w, until);
}

int client_wait_line(struct client *c, uint32_t id, uint32_t mask, nsec until)
{
	struct sock_line *line = client_line(c, id);
	struct line_wait w = { .client = c, .id = id, .mask = mask };
	/* Senders have a word of their own; everybody else sleeps on the readers', and says when more than reading interests him. */
	bool sends = (mask & (EP_WRITABLE | EP_READABLE)) == EP_WRITABLE;
	_Atomic uint32_t *word = sends ? &line->send_sleeps : &line->receive_sleeps;
	uint32_t bits = sends || !(mask & EP_WRITABLE) ? 1 : 3;

	return sleep_until(c, word, bits, line_holds, &w, until);
}
