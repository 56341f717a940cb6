/* SPDX-License-Identifier: BSD-3-Clause */
/* What the cores of a daemon say to each other: single-producer single-consumer rings in the daemon's own memory, one each way between
 * each two, and an eventfd by which a sleeping core is woken (doorbell.h has the rule). What a ring has no room for waits in a queue of
 * its sender's: nothing is lost, nobody waits. Core 0 decides who lives: it tells births, forks and ends, in that order to each core, and
 * gives a number away again when every core has buried its last owner. */
#include "ipc/server_private.h"

#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define SLOTS 256u
#define BATCH 64u           /* messages of one core in a turn */
#define STATS_EVERY 64u     /* turns */
#define NO_MEMORY_WAIT 1000000  /* ns */
#define STATS_WORDS (sizeof(struct server_stats) / sizeof(uint64_t))

_Static_assert(sizeof(struct server_stats) % sizeof(uint64_t) == 0, "counters are read by words");

/* One core's, written by it alone but for sleeps. */
struct core {
	_Alignas(64) _Atomic uint32_t sleeps;
	int bell;
	struct server *server;
	/* Its counters as others may read them: odd while they are written. */
	_Alignas(64) _Atomic uint32_t generation;
	_Atomic uint64_t stats[STATS_WORDS];
};

struct cores {
	struct core core[REGION_CORES];
	struct rte_ring *ring[REGION_CORES][REGION_CORES];   /* from, to */
};

struct core_message core_message(const struct family *f, enum core_word word)
{
	return (struct core_message){
		.word = (uint8_t)word, .from = (uint8_t)f->server->core, .family = f->number, .serial = f->common->serial,
	};
}

/* ---- sending ---- */

/* In the order in which they were sent. false: the ring is full. */
static bool hand_over(struct server *s, unsigned to, const struct core_message *m)
{
	return rte_ring_sp_enqueue_bulk_elem(s->cores->ring[s->core][to], m, sizeof(*m), 1, NULL) == 1;
}

/* False: there is no memory. */
static bool grow(struct core_queue *q)
{
	uint32_t room = q->room ? 2 * q->room : 64, i;
	struct core_message *items = malloc(room * sizeof(*items));

	if (!items)
		return false;
	for (i = 0; i < q->n; i++)
		items[i] = q->items[(q->first + i) % q->room];
	free(q->items);
	q->items = items;
	q->first = 0;
	q->room = room;
	return true;
}

/* A message that is lost is a program that waits for ever, or memory that never comes back. Without memory this core waits for the
 * other one to hear, or for memory. */
static void keep(struct server *s, unsigned to, const struct core_message *m)
{
	struct core_queue *q = &s->unsent[to];
	bool said = false;

	while (q->n == q->room && !grow(q)) {
		if (!said)
			server_log(s, "no memory for what one core has to tell another: it waits");
		said = true;
		cores_flush(s);
		s->spoken |= 1u << to;
		if (q->n == 0 && hand_over(s, to, m))
			return;
		if (q->n == q->room)
			nanosleep(&(struct timespec){ 0, NO_MEMORY_WAIT }, NULL);
	}
	q->items[(q->first + q->n++) % q->room] = *m;
}

void cores_send(struct server *s, unsigned to, const struct core_message *m)
{
	struct core_queue *q = &s->unsent[to];

	if (s->stopped || !s->cores)
		return;
	s->spoken |= 1u << to;
	if (q->n == 0 && hand_over(s, to, m))
		return;
	keep(s, to, m);
	s->behind = true;
}

void cores_tell(struct server *s, const struct core_message *m)
{
	unsigned to;

	for (to = 0; to < s->cores_n; to++)
		if (to != s->core)
			cores_send(s, to, m);
}

void cores_ask(struct server *s, const struct round *what, struct core_message *m)
{
	struct round now = *what, *r;

	if (s->cores_n == 1) {
		now.done(s, &now);
		return;
	}
	r = malloc(sizeof(*r));
	if (!r) {
		cores_tell(s, m);
		now.rc = -ENOMEM;
		now.done(s, &now);
		return;
	}
	*r = now;
	m->token = r->token = ++s->serial;
	r->left = s->cores_n - 1;
	if (r->connection)
		r->connection->round = r;
	TAILQ_INSERT_TAIL(&s->rounds, r, node);
	cores_tell(s, m);
}

bool cores_flush(struct server *s)
{
	uint32_t spoken = s->spoken;
	bool all = true;
	unsigned to;

	if (!spoken)
		return true;
	s->spoken = 0;
	for (to = 0; to < s->cores_n; to++) {
		struct core_queue *q = &s->unsent[to];

		while (q->n && hand_over(s, to, &q->items[q->first])) {
			q->first = (q->first + 1) % q->room;
			q->n--;
		}
		if (q->n) {
			s->spoken |= 1u << to;
			all = false;
		}
	}
	s->behind = !all;
	doorbell_fence();
	for (; spoken; spoken &= spoken - 1) {
		struct core *c = &s->cores->core[__builtin_ctz(spoken)];

		if (atomic_load_explicit(&c->sleeps, memory_order_relaxed) && atomic_exchange(&c->sleeps, 0))
			eventfd_write(c->bell, 1);
	}
	return all;
}

/* ---- hearing ---- */

static void answer(struct server *s, const struct core_message *to, int rc)
{
	struct core_message m = { .word = CORE_ANSWER, .from = (uint8_t)s->core, .token = to->token, .a = (uint32_t)rc };

	if (to->token)
		cores_send(s, to->from, &m);
}

/* The other cores count a session from its birth on: one that came to nothing here is gone at once. */
static void refuse_birth(struct server *s, const struct core_message *m, int rc)
{
	struct core_message gone = *m;

	answer(s, m, rc);
	gone.word = CORE_GONE;
	gone.from = (uint8_t)s->core;
	cores_send(s, m->from, &gone);
}

static int birth(struct server *s, const struct core_message *m)
{
	struct family *f = family_numbered(s, m->family, m->serial);
	struct session *other = f && m->word != CORE_BORN ? f->sessions[m->other] : NULL, *fresh = NULL;
	int rc = 0;

	if (m->word == CORE_BORN) {
		rc = f ? 0 : family_join(s, m->pointer, &f);
		rc = rc ? rc : session_new(f, NULL, m->session, &fresh);
		if (rc == 0)
			fresh->pid = (pid_t)m->a;
		return rc;
	}
	if (!other || other->state != SESSION_LIVE)
		return -ECONNRESET;
	if (m->word == CORE_FORKED)
		return session_fork(other, NULL, m->session, &fresh);
	rc = session_resume(other, m->session, &fresh);
	if (rc)
		session_end(other, false, NULL);   /* core 0 has a new one for it */
	return rc;
}

static void hear_end(struct session *s, const struct core_message *m)
{
	if (m->a)
		session_goodbye(s);
	else if (m->b)
		session_died(s);
	else
		session_end(s, false, NULL);
}

/* Of a session that lives, or did. */
static void hear_of(struct server *s, const struct core_message *m)
{
	struct family *f = family_numbered(s, m->family, m->serial);
	struct session *session = f ? f->sessions[m->session] : NULL;
	int rc = 0;

	if (m->word == CORE_PIPE)
		rc = waitset_take_pipe(session, m->a, m->pointer);
	else if (!session)
		return;
	else if (m->word == CORE_PID)
		session->pid = (pid_t)m->a;
	else if (m->word == CORE_LET_GO)
		session_resumed(session);
	else if (m->word == CORE_END)
		hear_end(session, m);
	else if (m->word == CORE_GONE)
		session_gone_elsewhere(session);
	else if (m->word == CORE_VIOLATION)
		session_end(session, false, NULL);
	answer(s, m, rc);
}

static void hear_of_family(struct server *s, const struct core_message *m)
{
	struct family *f = family_numbered(s, m->family, m->serial);
	struct core_message gone = *m;

	if (m->word == CORE_FAMILY_GONE) {
		if (f) {
			f->elsewhere--;
			family_settle(f);
		}
		return;
	}
	if (f) {
		f->leaving = true;
		family_settle(f);
		return;
	}
	gone.word = CORE_FAMILY_GONE;
	gone.from = (uint8_t)s->core;
	cores_send(s, m->from, &gone);
}

static void hear_answer(struct server *s, const struct core_message *m)
{
	struct round *r;

	TAILQ_FOREACH(r, &s->rounds, node)
		if (r->token == m->token)
			break;
	if (!r)
		return;
	if (r->rc == 0)
		r->rc = (int)m->a;
	if (--r->left)
		return;
	TAILQ_REMOVE(&s->rounds, r, node);
	r->done(s, r);
	free(r);
}

static void hear(struct server *s, const struct core_message *m)
{
	int rc;

	switch ((enum core_word)m->word) {
	case CORE_BORN:
	case CORE_FORKED:
	case CORE_RESUMED:
		rc = birth(s, m);
		if (rc)
			refuse_birth(s, m, rc);
		else
			answer(s, m, 0);
		return;
	case CORE_PIPE:
	case CORE_PID:
	case CORE_LET_GO:
	case CORE_END:
	case CORE_GONE:
	case CORE_VIOLATION:
		hear_of(s, m);
		return;
	case CORE_FAMILY_END:
	case CORE_FAMILY_GONE:
		hear_of_family(s, m);
		return;
	case CORE_ANSWER:
		hear_answer(s, m);
		return;
	case CORE_SHADOW:
	case CORE_SHADOW_END:
	case CORE_CHILD:
		shadow_hear(s, m);
		return;
	case CORE_SHADOW_SET:
	case CORE_SHADOW_LISTEN:
		answer(s, m, shadow_hear(s, m));
		return;
	}
}

static void publish_stats(struct server *s)
{
	struct core *c = &s->cores->core[s->core];
	uint32_t generation = atomic_load_explicit(&c->generation, memory_order_relaxed);
	struct server_stats now;
	uint64_t words[STATS_WORDS];
	unsigned i;

	server_stats(s, &now);
	memcpy(words, &now, sizeof(now));
	atomic_store_explicit(&c->generation, generation + 1, memory_order_relaxed);
	atomic_thread_fence(memory_order_seq_cst);
	for (i = 0; i < STATS_WORDS; i++)
		atomic_store_explicit(&c->stats[i], words[i], memory_order_relaxed);
	atomic_store_explicit(&c->generation, generation + 2, memory_order_release);
}

unsigned cores_turn(struct server *s)
{
	struct core_message batch[BATCH];
	unsigned from, n, i, work = 0;

	if (s->turn % STATS_EVERY == 0)
		publish_stats(s);
	for (from = 0; from < s->cores_n; from++) {
		if (from == s->core)
			continue;
		n = rte_ring_sc_dequeue_burst_elem(s->cores->ring[from][s->core], batch, sizeof(batch[0]), BATCH, NULL);
		for (i = 0; i < n; i++)
			hear(s, &batch[i]);
		work += n;
	}
	return work;
}

/* ---- sleep ---- */

void cores_sleep(struct server *s)
{
	publish_stats(s);
	atomic_store_explicit(&s->cores->core[s->core].sleeps, 1, memory_order_relaxed);
}

static bool says_something(const struct rte_ring *ring)
{
	return ring && __atomic_load_n(&ring->prod.tail, __ATOMIC_ACQUIRE) != ring->cons.tail;
}

bool cores_quiet(const struct server *s)
{
	unsigned from;

	if (s->spoken)
		return false;
	for (from = 0; from < s->cores_n; from++)
		if (says_something(s->cores->ring[from][s->core]))
			return false;
	return true;
}

void cores_awake(struct server *s)
{
	atomic_store_explicit(&s->cores->core[s->core].sleeps, 0, memory_order_relaxed);
}

/* ---- life ---- */

static struct rte_ring *ring_or_null(void)
{
	size_t head = (REGION_PAGE - LANE_CONSTANTS_BYTES) + sizeof(struct rte_ring), bytes = head + SLOTS * sizeof(struct core_message);
	uint8_t *memory = aligned_alloc(REGION_PAGE, (bytes + REGION_PAGE - 1) / REGION_PAGE * REGION_PAGE);
	struct rte_ring *ring;

	if (!memory)
		return NULL;
	memset(memory, 0, bytes);
	lane_write_constants(memory, "cores", SLOTS);
	ring = (struct rte_ring *)(void *)(memory + REGION_PAGE - LANE_CONSTANTS_BYTES);
	lane_reset(ring);
	return ring;
}

static void ring_free(struct rte_ring *ring)
{
	if (ring)
		free((uint8_t *)ring - (REGION_PAGE - LANE_CONSTANTS_BYTES));
}

/* Core 0's frees what all have in common. */
void cores_free(struct server *s)
{
	struct round *r;
	unsigned i, k;

	while ((r = TAILQ_FIRST(&s->rounds))) {
		TAILQ_REMOVE(&s->rounds, r, node);
		free(r);
	}
	for (i = 0; i < REGION_CORES; i++)
		free(s->unsent[i].items);
	if (!s->cores || s->core)
		return;
	for (i = 0; i < REGION_CORES; i++) {
		if (s->cores->core[i].bell >= 0)
			close(s->cores->core[i].bell);
		for (k = 0; k < REGION_CORES; k++)
			ring_free(s->cores->ring[i][k]);
	}
	free(s->cores);
}

static int cores_new(unsigned n, struct cores **out)
{
	struct cores *c = aligned_alloc(64, sizeof(*c));
	unsigned i, k;
	int rc = 0;

	*out = c;
	if (!c)
		return -ENOMEM;
	memset(c, 0, sizeof(*c));
	for (i = 0; i < REGION_CORES; i++)
		c->core[i].bell = -1;
	for (i = 0; i < n; i++) {
		c->core[i].bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		if (c->core[i].bell < 0)
			rc = -errno;
		for (k = 0; k < n; k++) {
			c->ring[i][k] = i == k ? NULL : ring_or_null();
			if (i != k && !c->ring[i][k])
				rc = -ENOMEM;
		}
	}
	return rc;
}

static int join(struct server *s, struct cores *cores, unsigned core, unsigned n)
{
	struct epoll_event e = { .events = EPOLLIN | EPOLLET, .data.ptr = (void *)TAG_BELL };

	s->core = core;
	s->cores_n = n;
	s->cores = cores;
	cores->core[core].server = s;
	return epoll_ctl(s->epoll, EPOLL_CTL_ADD, cores->core[core].bell, &e) < 0 ? -errno : 0;
}

int server_new_cores(const struct server_config *config, unsigned n, struct server **servers)
{
	struct server_config other = *config;
	struct cores *cores = NULL;
	unsigned i;
	int rc;

	if (n == 0 || n > REGION_CORES)
		return -EINVAL;
	other.socket_path = NULL;
	for (i = 0, rc = 0; i < n; i++) {
		rc = server_new(i ? &other : config, &servers[i]);
		if (rc)
			break;
	}
	if (n > 1 && rc == 0)
		rc = cores_new(n, &cores);
	if (cores) {
		servers[0]->cores = cores;   /* frees them from here on */
		for (n = 0; n < i && rc == 0; n++)
			rc = join(servers[n], cores, n, i);
	}
	if (rc == 0)
		return 0;
	while (i--)
		server_free(servers[i]);
	return rc;
}

void server_core_stats(const struct server *s, unsigned core, struct server_stats *out)
{
	uint64_t words[STATS_WORDS];
	const struct core *c;
	uint32_t before, i;

	if (!s->cores || core == s->core) {
		server_stats(s, out);
		return;
	}
	c = &s->cores->core[core];
	do {
		before = atomic_load_explicit(&c->generation, memory_order_acquire);
		for (i = 0; i < STATS_WORDS; i++)
			words[i] = atomic_load_explicit(&c->stats[i], memory_order_relaxed);
		atomic_thread_fence(memory_order_acquire);
	} while (before & 1 || atomic_load_explicit(&c->generation, memory_order_relaxed) != before);
	memcpy(out, words, sizeof(*out));
}

unsigned server_cores(const struct server *s)
{
	return s->cores_n;
}
