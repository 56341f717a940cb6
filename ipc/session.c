/* SPDX-License-Identifier: BSD-3-Clause */
/* Sessions: one process of a family each. Birth (attach, fork, exec), the lanes and waitsets it asks for, its stock of lines, and its
 * end, which is taken in steps so that a program with a hundred thousand sockets does not stall the loop. */
#include "ipc/server_private.h"

#include <stdlib.h>

#define ENDING_LINES 1024u  /* let go of in a turn */
#define ENDING_LOOKS 65536u /* looked at in a turn */
#define DRAINS 4u           /* batches of a lane: more than it holds, but no end is not possible */

static struct session_page *page_of(const struct session *s)
{
	return region_session(&s->family->region, s->seat);
}

/* The numbers go round, so that a number is not used again at once. */
static uint32_t free_number(const struct family *f)
{
	uint32_t i;

	for (i = 0; i < REGION_SESSIONS; i++) {
		uint32_t number = (f->session_next + i) % REGION_SESSIONS;

		if (!f->sessions[number])
			return number;
	}
	return NOBODY;
}

static void clear_page(struct session_page *page)
{
	unsigned i;

	for (i = 0; i < SESSION_WORDS; i++) {
		atomic_store(&page->doorbell[i], 0);
		atomic_store(&page->lanes_wanted[i], 0);
		atomic_store(&page->waitsets_wanted[i], 0);
		atomic_store(&page->lanes_open[i], 0);
		atomic_store(&page->waitsets_open[i], 0);
	}
	for (i = 0; i < REGION_STOCK; i++)
		atomic_store(&page->stock[i], 0);
	atomic_store(&page->control, 0);
	atomic_store(&page->opened_sleeps, 0);
	atomic_store(&page->ended, 0);
}

int session_new(struct family *f, struct connection *c, uint32_t number, struct session **out)
{
	struct session *s;
	uint32_t i;

	if (number == NOBODY)
		number = free_number(f);
	if (number == NOBODY || f->sessions[number] || f->sessions_n >= f->server->config.quota.sessions)
		return -EAGAIN;   /* as fork(2) at RLIMIT_NPROC */
	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	s->family = f;
	s->number = number;
	s->seat = region_seat(f->server->core, number);
	s->serial = ++f->server->serial;
	s->connection = c;
	s->pid = c ? c->pid : 0;
	for (i = 0; i < REGION_LANES; i++)
		s->lanes[i] = (struct lane){ .session = s, .index = i };
	f->session_next = number + 1;
	f->sessions[number] = s;
	f->sessions_n++;
	f->server->stats.sessions++;
	TAILQ_INSERT_TAIL(&f->server->sessions, s, node);
	clear_page(page_of(s));
	if (c) {
		c->session = s;
		f->server->strangers -= c->kind == CONNECTION_NEW;
		c->kind = CONNECTION_PROGRAM;
	}
	session_fill_stock(s);
	*out = s;
	return 0;
}

void session_fill_stock(struct session *s)
{
	struct session_page *page = page_of(s);
	uint32_t i, line;

	for (i = 0; i < REGION_STOCK; i++) {
		if (s->stock[i])
			continue;
		line = line_allocate(s->family);
		if (line == LINE_NIL)
			return;
		line_record(s->family, line)->use = LINE_GRANTED;
		line_record(s->family, line)->session = s->number;
		s->lines++;
		s->stock[i] = line + 1;
		atomic_store_explicit(&page->stock[i], line + 1, memory_order_release);
	}
}

/* A word on the socket overtakes what was posted before it: what a program accepted, opened or closed just now must count. */
static void drain(struct session *s)
{
	uint32_t i, times;

	for (i = 0; i < REGION_LANES && s->state == SESSION_LIVE; i++)
		for (times = 0; s->lanes[i].open && times < DRAINS; times++)
			if (!lane_drain(&s->lanes[i]) || !(s->again[i / 64] >> (i % 64) & 1))
				break;
}

int session_fork(struct session *parent, struct connection *c, uint32_t number, struct session **child)
{
	struct family *f = parent->family;
	uint32_t i, left;
	int rc;

	drain(parent);
	if (parent->state != SESSION_LIVE)
		return -ECONNRESET;
	left = parent->lines;
	rc = session_new(f, c, number, child);
	if (rc)
		return rc;
	for (i = 0; i < f->lines_top && left; i++) {
		struct line_record *l = &f->lines[i];

		if (l->use == LINE_GRANTED && l->session == parent->number)
			left--;
		if (l->use != LINE_USED || !holds(l, parent->number))
			continue;
		line_hold(*child, line_number(f, i));
		left--;
	}
	f->server->stats.forked++;
	return 0;
}

/* ---- lanes and waitsets ---- */

static int lane_open(struct session *s, uint32_t index)
{
	const struct region *r = &s->family->region;
	struct lane *lane = &s->lanes[index];

	if (!lane->mapped) {
		int rc = region_map_lane(r, s->seat, index);

		if (rc)
			return rc;
		lane->mapped = true;
	}
	lane_reset(lane_requests(r, s->seat, index));
	lane_reset(lane_replies(r, s->seat, index));
	atomic_store(&lane_words(r, s->seat, index)->sleeps, 0);
	lane->taken = lane->put = 0;
	lane->open = true;
	s->lanes_open[index / 64] |= UINT64_C(1) << (index % 64);
	s->family->server->stats.lanes++;
	return 0;
}

static void lane_close(struct session *s, uint32_t index)
{
	if (!s->lanes[index].open)
		return;
	s->lanes[index].open = false;
	s->lanes_open[index / 64] &= ~(UINT64_C(1) << (index % 64));
	s->again[index / 64] &= ~(UINT64_C(1) << (index % 64));
	s->family->server->stats.lanes--;
}

static void follow_wishes(struct session *s, unsigned word, uint64_t lanes, uint64_t waitsets)
{
	uint64_t changed = lanes ^ s->lanes_open[word];

	for (; changed; changed &= changed - 1) {
		uint32_t index = 64 * word + (uint32_t)__builtin_ctzll(changed);

		if (!(lanes >> (index % 64) & 1)) {
			lane_drain(&s->lanes[index]);
			lane_close(s, index);
		} else if (index < s->family->server->config.quota.lanes) {
			lane_open(s, index);
		}
		if (s->state != SESSION_LIVE)
			return;
	}
	for (changed = waitsets ^ s->waitsets_open[word]; changed; changed &= changed - 1) {
		uint32_t index = 64 * word + (uint32_t)__builtin_ctzll(changed);

		if (!(waitsets >> (index % 64) & 1))
			waitset_close(s, index);
		else if (index < s->family->server->config.quota.waitsets)
			waitset_open(s, index);
	}
}

void session_control(struct session *s)
{
	struct session_page *page = page_of(s);
	unsigned i;

	if (atomic_load_explicit(&page->control, memory_order_relaxed) == 0 || atomic_exchange(&page->control, 0) == 0)
		return;
	for (i = 0; i < SESSION_WORDS; i++) {
		follow_wishes(s, i, atomic_load(&page->lanes_wanted[i]), atomic_load(&page->waitsets_wanted[i]));
		if (s->state != SESSION_LIVE)
			return;
		atomic_store_explicit(&page->lanes_open[i], s->lanes_open[i], memory_order_release);
		atomic_store_explicit(&page->waitsets_open[i], s->waitsets_open[i], memory_order_release);
	}
	atomic_fetch_add(&page->opened, 1);
	doorbell_wake_if_asleep(&page->opened_sleeps);
}

/* ---- the end ---- */

/* Wakes every thread of the program that may sleep on what this session had. */
static void tell_ended(struct session *s)
{
	const struct region *r = &s->family->region;
	struct session_page *page = page_of(s);
	uint32_t i;

	atomic_store(&page->ended, 1);
	atomic_store(&region_session(r, s->number)->ended, 1);   /* the one that programs look at */
	doorbell_fence();
	doorbell_wake_if_asleep(&page->opened_sleeps);
	for (i = 0; i < REGION_LANES; i++) {
		if (!s->lanes[i].open)
			continue;
		doorbell_wake_if_asleep(&lane_words(r, s->seat, i)->sleeps);
		lane_close(s, i);
	}
	for (i = 0; i < REGION_WAITSETS; i++) {
		if (!(s->waitsets_open[i / 64] >> (i % 64) & 1))
			continue;
		doorbell_wake_if_asleep(&waitset_words(r, s->number, i)->sleeps);
		waitset_close(s, i);   /* closes its pipe: a hang-up there */
	}
}

static void tell_cores(const struct session *s, enum core_word word, uint32_t a, uint32_t b)
{
	struct core_message m = core_message(s->family, word);

	m.session = (uint16_t)s->number;
	m.a = a;
	m.b = b;
	if (s->family->server->core == 0)
		cores_tell(s->family->server, &m);
	else
		cores_send(s->family->server, 0, &m);
}

static void begin_ending(struct session *s, bool orderly)
{
	struct server *server = s->family->server;

	s->state = SESSION_ENDING;
	s->orderly = orderly;
	s->cursor = 0;
	TAILQ_REMOVE(&server->sessions, s, node);
	TAILQ_INSERT_TAIL(&server->ending, s, node);
	server->look = true;
}

/* drained: what it posted before counts, on all cores. */
static void end(struct session *s, bool orderly, bool drained, const char *why)
{
	struct server *server = s->family->server;
	bool tell = server->core == 0 && s->state == SESSION_LIVE;   /* a ghost's end is known from its heir's */

	if (s->state == SESSION_ENDING || s->state == SESSION_DEAD)
		return;
	if (why)
		server_log(server, "process %d of family %u ends: %s", (int)s->pid, s->family->number, why);
	if (s->ghost)
		end(s->ghost, orderly, false, NULL);
	s->ghost = NULL;
	tell_ended(s);
	begin_ending(s, orderly);
	server->stats.died++;
	if (tell)
		tell_cores(s, CORE_END, orderly, drained);
	if (s->connection) {
		s->connection->session = NULL;
		connection_close(server, s->connection);
		s->connection = NULL;
	}
}

void session_end(struct session *s, bool orderly, const char *why)
{
	end(s, orderly, false, why);
}

void session_violation(struct session *s, const char *what)
{
	if (s->state != SESSION_LIVE)
		return;
	s->family->server->stats.violations++;
	if (s->family->server->core)
		tell_cores(s, CORE_VIOLATION, 0, 0);
	session_end(s, false, what);
}

/* What a process posted before it died counts: others may hold the same connections. */
void session_died(struct session *s)
{
	drain(s);
	end(s, false, true, NULL);
}

void session_goodbye(struct session *s)
{
	drain(s);
	end(s, true, true, NULL);
}

int session_resume(struct session *s, uint32_t number, struct session **fresh)
{
	struct connection *c = s->connection;
	int rc;

	drain(s);
	if (s->state != SESSION_LIVE)
		return -ECONNRESET;
	if (s->ghost)
		session_resumed(s);
	rc = session_new(s->family, c, number, fresh);
	if (rc)
		return rc;
	(*fresh)->pid = s->pid;
	tell_ended(s);
	s->state = SESSION_GHOST;
	s->connection = NULL;
	(*fresh)->ghost = s;
	s->family->server->stats.resumed++;
	return 0;
}

/* What the old image held and the new one did not name was close-on-exec: closed as close(2) does. */
void session_resumed(struct session *s)
{
	if (!s->ghost)
		return;
	begin_ending(s->ghost, true);
	s->ghost = NULL;
	if (s->family->server->core == 0)
		tell_cores(s, CORE_LET_GO, 0, 0);
}

/* A child that it claimed without having come to say so is its own, too: it goes with it. */
static bool claimed_by(const struct session *s, uint32_t line)
{
	const struct family *f = s->family;

	return line_record(f, line)->use == LINE_WAITING && atomic_load(&region_line(&f->region, line)->owner) == s->number + 1;
}

static unsigned ending_lines(struct session *s)
{
	struct family *f = s->family;
	unsigned gone = 0, looks;

	for (looks = 0; s->cursor < f->lines_top && looks < ENDING_LOOKS && gone < ENDING_LINES; looks++) {
		uint32_t line = line_number(f, s->cursor++);
		struct line_record *l = line_record(f, line);

		if (l->use == LINE_GRANTED && l->session == s->number) {
			s->lines--;
			line_free(f, line);
			gone++;
		} else if (claimed_by(s, line)) {
			line_claim(s, line);
			line_let_go(s, line, s->orderly);
			gone++;
		} else if (l->use == LINE_USED && holds(l, s->number)) {
			line_let_go(s, line, s->orderly);
			gone++;
		}
	}
	return looks;
}

unsigned session_ending_step(struct server *server)
{
	struct session *s = TAILQ_FIRST(&server->ending);
	unsigned work;

	if (!s)
		return 0;
	work = ending_lines(s);
	if (s->cursor < s->family->lines_top)
		return work;
	TAILQ_REMOVE(&server->ending, s, node);
	s->state = SESSION_DEAD;
	if (s->elsewhere)
		TAILQ_INSERT_TAIL(&server->leaving, s, node);
	else
		TAILQ_INSERT_TAIL(&server->dead, s, node);
	return work + 1;
}

/* Its number is free when no core knows it any more. */
void session_gone_elsewhere(struct session *s)
{
	struct server *server = s->family->server;

	if (s->elsewhere == 0 || --s->elsewhere || s->state != SESSION_DEAD)
		return;
	TAILQ_REMOVE(&server->leaving, s, node);
	TAILQ_INSERT_TAIL(&server->dead, s, node);
}

static void forget_in(struct vector *v, const void *from, const void *to)
{
	size_t i, kept = 0;

	for (i = 0; i < v->n; i++)
		if (v->items[i] < (uintptr_t)from || v->items[i] >= (uintptr_t)to)
			v->items[kept++] = v->items[i];
	v->n = kept;
}

void session_bury(struct server *server)
{
	struct session *s;
	uint32_t i;

	while ((s = TAILQ_FIRST(&server->dead))) {
		struct family *f = s->family;

		TAILQ_REMOVE(&server->dead, s, node);
		if (server->core)
			tell_cores(s, CORE_GONE, 0, 0);
		forget_in(&server->lanes, s->lanes, s->lanes + REGION_LANES);
		for (i = 0; i < REGION_WAITSETS; i++) {
			if (!s->waitsets[i])
				continue;
			forget_in(&server->full, s->waitsets[i], s->waitsets[i] + 1);
			forget_in(&server->rung, s->waitsets[i], s->waitsets[i] + 1);
			free(s->waitsets[i]);
		}
		f->sessions[s->number] = NULL;
		f->sessions_n--;
		server->stats.sessions--;
		free(s);
		family_settle(f);
	}
}
