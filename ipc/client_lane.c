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
	uint32_t lanes[CLIENT_DEPTH];   /* index + 1; 0: none yet */
} self;

/* ---- claiming ---- */

static bool is_open(const struct session_page *page, uint32_t index)
{
	return atomic_load_explicit(&page->lanes_open[index / 64], memory_order_acquire) >> (index % 64) & 1;
}

static int wait_open(struct client *c, uint32_t core, uint32_t index)
{
	struct session_page *page = client_page_on(c, core);
	nsec until = client_now() + OPEN_PATIENCE;

	while (!is_open(page, index)) {
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
		if (!is_open(page, index))
			client_sleep(&page->opened_sleeps, value, until);
	}
	return 0;
}

/* The lane's way to one core: opened when it is needed first. */
static struct client_lane *open_or_null(struct client *c, uint32_t core, uint32_t index)
{
	struct client_lane *l = &c->lanes[core][index];
	uint32_t seat = client_seat(c, core);

	atomic_fetch_or(&client_page_on(c, core)->lanes_wanted[index / 64], UINT64_C(1) << (index % 64));
	doorbell_ring_control(&c->region, seat, c->bells[core]);
	if (wait_open(c, core, index) < 0 || region_map_lane(&c->region, seat, index) < 0)
		return NULL;
	l->client = c;
	l->index = index;
	l->core = core;
	l->requests = lane_requests(&c->region, seat, index);
	l->replies = lane_replies(&c->region, seat, index);
	l->words = lane_words(&c->region, seat, index);
	l->mapped = true;
	return l;
}

/* Its thread may have been cancelled in the middle. */
static void repair(struct client *c, uint32_t index)
{
	uint32_t core;

	for (core = 0; core < c->cores; core++) {
		struct client_lane *l = &c->lanes[core][index];

		if (!l->mapped)
			continue;
		lane_repair_producer(l->requests);
		lane_repair_consumer(l->replies);
	}
}

/* A lane that is this thread's already (it was busy with another client meanwhile), or that of a thread that ended and had our
 * number. All these answer REGION_LANES when there is none. */
static uint32_t own(struct client *c, int tid, uint32_t depth)
{
	uint32_t most = region_constants(&c->region)->lanes, index;
	int owner;

	for (index = 0; index < most && (owner = atomic_load_explicit(&c->lane_tid[index], memory_order_relaxed)); index++)
		if (owner == tid && depth-- == 0)
			return index;
	return REGION_LANES;
}

static uint32_t claim_free(struct client *c, int tid)
{
	uint32_t most = region_constants(&c->region)->lanes, index;

	for (index = 0; index < most; index++) {
		uint64_t bit = UINT64_C(1) << (index % 64);

		if (atomic_load_explicit(&c->lanes_claimed[index / 64], memory_order_relaxed) & bit)
			continue;
		if (atomic_fetch_or(&c->lanes_claimed[index / 64], bit) & bit)
			continue;
		atomic_store(&c->lane_tid[index], tid);
		return index;
	}
	return REGION_LANES;
}

static uint32_t take_over(struct client *c, int tid)
{
	long pid = raw_call2(SYS_getpid, 0, 0);
	uint32_t most = region_constants(&c->region)->lanes, index;

	for (index = 0; index < most; index++) {
		int owner = atomic_load(&c->lane_tid[index]);

		if (!owner || raw_call3(SYS_tgkill, pid, owner, 0) != -ESRCH)
			continue;
		if (atomic_compare_exchange_strong(&c->lane_tid[index], &owner, tid))
			return index;
	}
	return REGION_LANES;
}

static uint32_t claim(struct client *c, uint32_t depth)
{
	int tid = (int)raw_call2(SYS_gettid, 0, 0);
	uint32_t index = own(c, tid, depth);

	if (index == REGION_LANES)
		index = claim_free(c, tid);
	if (index == REGION_LANES && client_alive(c))
		index = take_over(c, tid);
	if (index < REGION_LANES)
		repair(c, index);
	return index;
}

struct client_lane *lane_enter(struct client *c, uint32_t core)
{
	uint32_t generation = atomic_load_explicit(&c->generation, memory_order_relaxed), depth, i;
	struct client_lane *l;

	if (self.client != c || self.generation != generation) {
		for (i = 0; i < CLIENT_DEPTH; i++)
			self.lanes[i] = 0;
		self.client = c;
		self.generation = generation;
		self.depth = 0;
	}
	depth = self.depth++;
	atomic_signal_fence(memory_order_seq_cst);   /* a handler from here on takes the next lane */
	if (depth >= CLIENT_DEPTH)
		depth = CLIENT_DEPTH - 1;   /* handlers that left by longjmp */
	if (!self.lanes[depth])
		self.lanes[depth] = (claim(c, depth) + 1) % (REGION_LANES + 1);
	if (!self.lanes[depth] || core >= c->cores)
		return NULL;
	l = &c->lanes[core][self.lanes[depth] - 1];
	return l->mapped ? l : open_or_null(c, core, self.lanes[depth] - 1);
}

void lane_leave(void)
{
	atomic_signal_fence(memory_order_seq_cst);
	if (self.depth)
		self.depth--;
}

void lanes_forget(struct client *c)
{
	uint32_t i, core;

	atomic_fetch_add(&c->generation, 1);
	for (i = 0; i < REGION_LANES; i++)
		atomic_store(&c->lane_tid[i], 0);
	for (core = 0; core < c->cores; core++)
		for (i = 0; i < REGION_LANES; i++)
			c->lanes[core][i].mapped = false;
	for (i = 0; i < SESSION_WORDS; i++)
		atomic_store(&c->lanes_claimed[i], 0);
}

/* ---- requests and replies ---- */

static void ring(const struct client_lane *l)
{
	const struct client *c = l->client;

	doorbell_ring_lane(&c->region, client_seat(c, l->core), l->index, c->bells[l->core]);
}

/* The ring is full: the daemon is behind by 255 requests of this thread. It does not tell when it has read some, so we look again
 * soon. */
static int wait_room(struct client_lane *l)
{
	_Atomic uint32_t never = 0;

	ring(l);
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
	ring(l);
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
	struct client_lane *l = lane_enter(c, line_core(q->line));
	int rc = l ? lane_post(l, q) : client_alive(c) ? -ENOBUFS : -ECONNRESET;

	lane_leave();
	return rc;
}

int client_call(struct client *c, struct request *q, struct reply *reply)
{
	struct client_lane *l = lane_enter(c, line_core(q->line));
	int rc = l ? lane_call(l, q, reply) : client_alive(c) ? -ENOBUFS : -ECONNRESET;

	lane_leave();
	return rc;
}

int client_set_posted(struct client *c, uint32_t id, enum ep_option option, int64_t value)
{
	struct request q = { .op = REQ_SET, .line = id, .a = option, .value = value };

	/* What a listener's children inherit must hold on all cores before the caller goes on. */
	if (c->cores > 1 && atomic_load_explicit(&client_line(c, id)->state, memory_order_relaxed) & LINE_LISTENING)
		return client_call(c, &q, NULL);
	return client_post(c, &q);
}
