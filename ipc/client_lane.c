/* SPDX-License-Identifier: BSD-3-Clause */
/* A thread's lanes. The first call of a thread claims a lane and asks for it in shared memory, without the session's socket: that works
 * in a signal handler and under a seccomp filter that allows futex, write and mremap. A lane of a thread that ended is taken over when no
 * other is free. */
#include "ipc/client_private.h"

#include <sched.h>

#include "ipc/raw.h"

#define OPEN_PATIENCE (5 * NSEC_PER_SEC)

static __thread __attribute__((tls_model("initial-exec"))) struct {
	struct client *client;
	uint32_t generation, depth;
	struct client_lane *lanes[CLIENT_DEPTH];
} self;

/* ---- claiming ---- */

static bool is_open(const struct client *c, uint32_t index)
{
	return atomic_load_explicit(&client_page(c)->lanes_open[index / 64], memory_order_acquire) >> (index % 64) & 1;
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
			return -ENOBUFS;
		if (client_pump) {
			client_pump(client_pump_context);
			continue;
		}
		value = doorbell_say_asleep(&page->opened_sleeps, 1);
		if (!is_open(c, index))
			client_sleep(&page->opened_sleeps, value, until);
	}
	return 0;
}

static struct client_lane *prepare(struct client *c, uint32_t index)
{
	struct client_lane *l = &c->lanes[index];

	if (!l->mapped) {
		atomic_fetch_or(&client_page(c)->lanes_wanted[index / 64], UINT64_C(1) << (index % 64));
		doorbell_ring_control(&c->region, c->session, c->bell);
		if (wait_open(c, index) < 0 || region_map_lane(&c->region, c->session, index) < 0)
			return NULL;
		l->client = c;
		l->index = index;
		l->requests = lane_requests(&c->region, c->session, index);
		l->replies = lane_replies(&c->region, c->session, index);
		l->words = lane_words(&c->region, c->session, index);
		l->mapped = true;
	} else {
		/* Its thread may have been cancelled in the middle. */
		lane_repair_producer(l->requests);
		lane_repair_consumer(l->replies);
	}
	return l;
}

/* A lane that is this thread's already (it was busy with another client meanwhile), or that of a thread that ended and had our
 * number. */
static struct client_lane *own_or_null(struct client *c, int tid, uint32_t depth)
{
	uint32_t most = region_constants(&c->region)->lanes, index;

	for (index = 0; index < most && atomic_load_explicit(&c->lanes[index].tid, memory_order_relaxed); index++)
		if (atomic_load(&c->lanes[index].tid) == tid && c->lanes[index].mapped && depth-- == 0)
			return prepare(c, index);
	return NULL;
}

static struct client_lane *claim_free_or_null(struct client *c, int tid)
{
	uint32_t most = region_constants(&c->region)->lanes, index;

	for (index = 0; index < most; index++) {
		uint64_t bit = UINT64_C(1) << (index % 64);

		if (atomic_load_explicit(&c->lanes_claimed[index / 64], memory_order_relaxed) & bit)
			continue;
		if (atomic_fetch_or(&c->lanes_claimed[index / 64], bit) & bit)
			continue;
		atomic_store(&c->lanes[index].tid, tid);
		return prepare(c, index);
	}
	return NULL;
}

static struct client_lane *take_over_or_null(struct client *c, int tid)
{
	long pid = raw_call2(SYS_getpid, 0, 0);
	uint32_t most = region_constants(&c->region)->lanes, index;

	for (index = 0; index < most; index++) {
		int owner = atomic_load(&c->lanes[index].tid);

		if (!owner || raw_call3(SYS_tgkill, pid, owner, 0) != -ESRCH)
			continue;
		if (atomic_compare_exchange_strong(&c->lanes[index].tid, &owner, tid))
			return prepare(c, index);
	}
	return NULL;
}

struct client_lane *lane_enter(struct client *c)
{
	uint32_t generation = atomic_load_explicit(&c->generation, memory_order_relaxed), depth, i;
	struct client_lane *l;

	if (self.client != c || self.generation != generation) {
		for (i = 0; i < CLIENT_DEPTH; i++)
			self.lanes[i] = NULL;
		self.client = c;
		self.generation = generation;
		self.depth = 0;
	}
	depth = self.depth++;
	atomic_signal_fence(memory_order_seq_cst);   /* a handler from here on takes the next lane */
	if (depth >= CLIENT_DEPTH)
		depth = CLIENT_DEPTH - 1;   /* handlers that left by longjmp */
	l = self.lanes[depth];
	if (!l) {
		int tid = (int)raw_call2(SYS_gettid, 0, 0);

		l = own_or_null(c, tid, depth);
		if (!l)
			l = claim_free_or_null(c, tid);
		if (!l && client_alive(c))
			l = take_over_or_null(c, tid);
		self.lanes[depth] = l;
	}
	return l;
}

void lane_leave(void)
{
	atomic_signal_fence(memory_order_seq_cst);
	if (self.depth)
		self.depth--;
}

void lanes_forget(struct client *c)
{
	uint32_t i;

	atomic_fetch_add(&c->generation, 1);
	for (i = 0; i < REGION_LANES; i++) {
		atomic_store(&c->lanes[i].tid, 0);
		c->lanes[i].mapped = false;
	}
	for (i = 0; i < SESSION_WORDS; i++)
		atomic_store(&c->lanes_claimed[i], 0);
}

/* ---- requests and replies ---- */

/* The ring is full: the daemon is behind by 255 requests of this thread. It does not tell when it has read some, so we look again
 * soon. */
static int wait_room(struct client_lane *l)
{
	_Atomic uint32_t never = 0;

	doorbell_ring_lane(&l->client->region, l->client->session, l->index, l->client->bell);
	if (!client_alive(l->client))
		return -ECONNRESET;
	if (client_pump)
		client_pump(client_pump_context);
	else if (raw_call2(SYS_sched_yield, 0, 0) == 0 && rte_ring_full(l->requests))
		client_sleep(&never, 0, client_now() + 50 * NSEC_PER_USEC);
	return 0;
}

int lane_post(struct client_lane *l, struct request *q)
{
	while (rte_ring_sp_enqueue_bulk_elem(l->requests, q, sizeof(*q), 1, NULL) == 0) {
		int rc = wait_room(l);

		if (rc < 0)
			return rc;
	}
	doorbell_ring_lane(&l->client->region, l->client->session, l->index, l->client->bell);
	return 0;
}

struct awaited {
	struct client_lane *lane;
	struct reply reply;
	uint16_t tag;
};

/* Replies to calls that never came to their end (a handler that left by longjmp) are passed over. */
static bool has_come(void *context)
{
	struct awaited *a = context;

	while (rte_ring_sc_dequeue_bulk_elem(a->lane->replies, &a->reply, sizeof(a->reply), 1, NULL))
		if (a->reply.tag == a->tag)
			return true;
	return false;
}

int lane_call(struct client_lane *l, struct request *q, struct reply *reply)
{
	struct awaited a = { .lane = l };
	int rc;

	/* Tag 0 asks for no reply: the count skips it when it comes round. */
	if (++l->tag == 0)
		l->tag = 1;
	a.tag = q->tag = l->tag;
	rc = lane_post(l, q);
	if (rc < 0)
		return rc;
	if (!client_spin(l->client, has_come, &a)) {
		for (;;) {
			uint32_t value = doorbell_say_asleep(&l->words->sleeps, 1);

			if (has_come(&a))
				break;
			if (!client_alive(l->client))
				return -ECONNRESET;
			client_sleep(&l->words->sleeps, value, NSEC_NEVER);
		}
	}
	if (reply)
		*reply = a.reply;
	return a.reply.result;
}

int client_post(struct client *c, struct request *q)
{
	struct client_lane *l = lane_enter(c);
	int rc = l ? lane_post(l, q) : client_alive(c) ? -ENOBUFS : -ECONNRESET;

	lane_leave();
	return rc;
}

int client_call(struct client *c, struct request *q, struct reply *reply)
{
	struct client_lane *l = lane_enter(c);
	int rc = l ? lane_call(l, q, reply) : client_alive(c) ? -ENOBUFS : -ECONNRESET;

	lane_leave();
	return rc;
}

int client_set_posted(struct client *c, uint32_t id, enum ep_option option, int64_t value)
{
	struct request q = { .op = REQ_SET, .line = id, .a = option, .value = value };

	return client_post(c, &q);
}
