/* SPDX-License-Identifier: BSD-3-Clause */
/* The life of a line: granted, opened or adopted, held by sessions, let go, released by the stack. And what the stack asks of its host
 * (struct ep_host): memory for rings, a line for a new child. */
#include "ipc/server_private.h"

#include <string.h>

static struct line_record *record(struct family *f, uint32_t line)
{
	return line_record(f, line);
}

static struct stack *stack_of(const struct family *f)
{
	return f->host->stack;
}

/* ---- what programs see ---- */

void line_changed(struct family *f, uint32_t line, uint32_t mask)
{
	struct line_record *l = record(f, line);

	l->changed |= mask;
	if (l->queued)
		return;
	l->queued = vector_add(&f->server->changes, owner_word(f, line));
}

void line_set_state(struct family *f, uint32_t line, uint32_t set, uint32_t clear)
{
	struct line_record *l = record(f, line);

	l->state = (l->state & ~clear) | set;
	atomic_store_explicit(&region_line(&f->region, line)->state, l->state, memory_order_release);
}

void line_set_error(struct family *f, uint32_t line, int error)
{
	struct sock_line *shared = region_line(&f->region, line);

	atomic_store_explicit(&shared->error, error, memory_order_release);
	atomic_fetch_add_explicit(&shared->error_seq, 1, memory_order_release);
}

void line_names(struct family *f, uint32_t line)
{
	struct sock_line *shared = region_line(&f->region, line);
	struct ep_name name;
	int64_t mss;
	ep_id ep = record(f, line)->ep;

	if (ep_local(stack_of(f), ep, &name) == 0) {
		shared->local = name.addr;
		shared->local_port = name.port;
	}
	if (ep_peer(stack_of(f), ep, &name) == 0) {
		shared->peer = name.addr;
		shared->peer_port = name.port;
	}
	if (record(f, line)->type == EP_STREAM && ep_get(stack_of(f), ep, EP_MAXSEG, &mss) == 0)
		shared->mss = (uint16_t)mss;
}

void line_limit(struct family *f, uint32_t line)
{
	struct sock_line *shared = region_line(&f->region, line);
	int64_t most;

	if (ep_get(stack_of(f), record(f, line)->ep, EP_SEND_BUFFER, &most) == 0 && most > 0)
		atomic_store_explicit(&shared->send_limit, most > INT32_MAX ? INT32_MAX : (uint32_t)most, memory_order_relaxed);
}

void line_send_next(struct family *f, uint32_t line)
{
	atomic_store_explicit(&region_line(&f->region, line)->send_next, ep_send_next(stack_of(f), record(f, line)->ep), memory_order_release);
}

void line_notsent_low(struct family *f, uint32_t line)
{
	struct line_record *l = record(f, line);
	int64_t low;

	if (l->type != EP_STREAM || ep_get(stack_of(f), l->ep, EP_NOTSENT_LOWAT, &low) < 0)
		return;
	line_send_next(f, line);
	l->notsent_low = (uint32_t)low;
	atomic_store_explicit(&region_line(&f->region, line)->notsent_low, l->notsent_low, memory_order_release);
}

void line_errors(struct family *f, uint32_t line)
{
	bool some = ep_ready(stack_of(f), record(f, line)->ep) & EP_QUEUED;

	line_set_state(f, line, some ? LINE_ERRORS : 0, some ? 0 : LINE_ERRORS);
}

void line_readable_from(struct family *f, uint32_t line)
{
	uint32_t from = ep_readable_from(stack_of(f), record(f, line)->ep);

	atomic_store_explicit(&region_line(&f->region, line)->readable_from, from, memory_order_relaxed);
}

void line_low(struct family *f, uint32_t line)
{
	struct line_record *l = record(f, line);
	int64_t low;

	if (l->type != EP_STREAM || ep_get(stack_of(f), l->ep, EP_RECEIVE_LOW, &low) < 0)
		return;
	l->receive_low = (uint32_t)low;
	atomic_store_explicit(&region_line(&f->region, line)->receive_low, l->receive_low, memory_order_relaxed);
	line_readable_from(f, line);
}

static void line_clean(struct family *f, uint32_t line)
{
	struct sock_line *shared = region_line(&f->region, line);

	memset(shared, 0, sizeof(*shared));
	shared->generation = record(f, line)->generation;
	shared->send_limit = INT32_MAX;
}

static struct ep_sharing sharing_of(struct family *f, uint32_t line)
{
	struct sock_line *shared = region_line(&f->region, line);

	return (struct ep_sharing){ &shared->receive_head, &shared->receive_tail, &shared->send_head, &shared->send_tail };
}

/* ---- allocation ---- */

static bool quota_is_full(const struct family *f)
{
	const struct server_quota *quota = &f->server->config.quota;

	if (f->user->uid != 0 && atomic_load_explicit(&f->user->lines, memory_order_relaxed) >= quota->lines_per_uid)
		return true;
	return f->server->cores_n > 1 && atomic_load_explicit(&f->common->lines, memory_order_relaxed) >= quota->lines;
}

static void count_lines(struct family *f, int by)
{
	f->lines_n += (uint32_t)by;
	f->server->stats.lines += (uint32_t)by;
	count(f->server, &f->user->lines, by);
	if (f->server->cores_n > 1)
		count(f->server, &f->common->lines, by);
}

uint32_t line_allocate(struct family *f)
{
	uint32_t line = f->lines_free, generation;

	if (quota_is_full(f))
		return LINE_NIL;
	if (line != LINE_NIL) {
		f->lines_free = record(f, line)->next;
	} else {
		if (f->lines_top == f->region.lines)
			return LINE_NIL;
		line = line_number(f, f->lines_top++);
	}
	generation = record(f, line)->generation + 1;
	*record(f, line) = (struct line_record){
		.next = LINE_NIL, .previous = LINE_NIL, .parent = LINE_NIL, .children = LINE_NIL, .generation = generation,
	};
	line_clean(f, line);
	count_lines(f, 1);
	return line;
}

void line_free(struct family *f, uint32_t line)
{
	struct line_record *l = record(f, line);

	if (l->options)
		options_free(l);
	l->use = LINE_FREE;
	l->ep = 0;
	l->changed = 0;
	l->next = f->lines_free;
	f->lines_free = line;
	count_lines(f, -1);
}

/* ---- holders ---- */

static void add_holder(struct session *s, struct line_record *l)
{
	if (holds(l, s->number))
		return;
	l->holders[s->number / 64] |= UINT64_C(1) << (s->number % 64);
	s->lines++;
}

static bool has_holders(const struct line_record *l)
{
	unsigned i;

	for (i = 0; i < HOLDER_WORDS; i++)
		if (l->holders[i])
			return true;
	return false;
}

int line_open(struct session *s, uint32_t line, enum ep_type type)
{
	struct family *f = s->family;
	struct line_record *l = record(f, line);
	struct ep_sharing sharing = sharing_of(f, line);
	int rc;

	s->lines--;             /* granted before, held now */
	l->use = LINE_USED;
	l->type = (uint8_t)type;
	add_holder(s, l);
	rc = ep_open(stack_of(f), type, owner_word(f, line), &sharing, &l->ep);
	if (rc) {
		l->ep = 0;
		line_set_error(f, line, -rc);
		line_set_state(f, line, LINE_HANGUP | LINE_READ_CLOSED | LINE_WRITE_CLOSED, 0);
		line_changed(f, line, EP_ERROR | EP_HANGUP);
	} else {
		line_limit(f, line);
		line_set_state(f, line, LINE_OPEN | (type == EP_STREAM ? LINE_STREAM : LINE_DATAGRAM), 0);
	}
	return rc;
}

static void unlink_child(struct family *f, uint32_t line)
{
	struct line_record *l = record(f, line);

	if (l->previous != LINE_NIL)
		record(f, l->previous)->next = l->next;
	else
		record(f, l->parent)->children = l->next;
	if (l->next != LINE_NIL)
		record(f, l->next)->previous = l->previous;
	l->next = l->previous = l->parent = LINE_NIL;
}

void line_claim(struct session *s, uint32_t line)
{
	struct line_record *l = record(s->family, line);

	unlink_child(s->family, line);
	l->use = LINE_USED;
	add_holder(s, l);
	ep_accepted(stack_of(s->family), l->ep);
}

void line_hold(struct session *s, uint32_t line)
{
	add_holder(s, record(s->family, line));
}

/* ---- memory ---- */

static void count_data(struct family *f, int64_t by)
{
	count(f->server, &f->user->data, by);
	if (f->server->cores_n > 1)
		count(f->server, &f->common->lent, by);
}

/* What rings that have memory leave of a quota to those without: streams that are idle keep what they grew to, and a new one could not
 * even begin. */
static uint64_t less_reserve(uint64_t quota, bool grows)
{
	return grows ? quota - quota / 4 : quota;
}

/* How much this core may have lent at most, after what the others have. */
static uint64_t data_most(const struct family *f, bool grows)
{
	const struct server_quota *quota = &f->server->config.quota;
	uint64_t own = f->extents.lent, all = f->server->cores_n > 1 ? atomic_load(&f->common->lent) : own;
	uint64_t most = less_reserve(quota->data, grows), left = most > all ? most - all : 0, used, of_user;

	if (f->user->uid != 0) {
		used = atomic_load_explicit(&f->user->data, memory_order_relaxed);
		most = less_reserve(quota->data_per_uid, grows);
		of_user = most > used ? most - used : 0;
		left = left < of_user ? left : of_user;
	}
	return own + left;
}

/* More than `have`, which is what the ring has. */
static uint8_t *lend(struct family *f, uint32_t want, uint32_t have, uint32_t *size)
{
	uint8_t *base = extents_lend_or_null(&f->extents, want, have, data_most(f, have > 0), size);

	if (base)
		count_data(f, *size);
	else
		f->server->stats.lend_refused++;
	return base;
}

static void give_back(struct family *f, uint8_t *base, uint32_t size)
{
	extents_give_back(&f->extents, f->fds.data, base, size, f->server->config.quota.data_warm / f->server->cores_n);
	f->server->dirty |= f->extents.dirty.n > 0;
	count_data(f, -(int64_t)size);
}

/* ---- the end ---- */

void line_end_endpoint(struct family *f, uint32_t line, bool orderly)
{
	struct line_record *l = record(f, line);
	int rc;

	waitsets_forget_line(f, line);
	if (l->ep == 0) {
		line_free(f, line);
		return;
	}
	l->use = LINE_LEAVING;
	if (orderly) {
		ep_sent(stack_of(f), l->ep);      /* what was written before close goes out first */
		rc = ep_close(stack_of(f), l->ep);
	} else {
		rc = ep_abort(stack_of(f), l->ep);
	}
	if (rc)
		line_released(f, line);
}

/* Nobody may claim it from now on; one that is claimed already belongs to its claimer, whose REQ_ACCEPTED is on its way. */
static void end_child(struct family *f, uint32_t line)
{
	uint32_t owner = 0, session;

	if (!atomic_compare_exchange_strong(&region_line(&f->region, line)->owner, &owner, OWNER_ABORTED)) {
		session = owner - 1;
		if (session < REGION_SESSIONS && f->sessions[session] && f->sessions[session]->state == SESSION_LIVE) {
			line_claim(f->sessions[session], line);
			return;
		}
	}
	unlink_child(f, line);
	line_end_endpoint(f, line, false);
}

void line_end_children(struct family *f, uint32_t line)
{
	struct line_record *l = record(f, line);

	while (l->children != LINE_NIL)
		end_child(f, l->children);
}

/* Numbers that lie in its ring are nobody's from now on, or a later use of their lines could be accepted here. */
void line_unlisten(struct family *f, uint32_t line)
{
	struct line_record *l = record(f, line);

	line_end_children(f, line);
	if (l->backlog)
		memset(l->backlog, 0xff, EXTENT_MIN);
	if (l->shadowed)
		shadows_end(f, line);
}

/* A lock whose holder is gone would stay shut for the others. What the holder was copying was not published yet: nothing
 * is half done. */
static void free_lock(_Atomic uint32_t *lock, uint32_t session)
{
	uint32_t seen = atomic_load(lock);

	if ((seen & 0x7fffffffu) != session + 1)
		return;
	if (atomic_compare_exchange_strong(lock, &seen, 0))
		doorbell_wake(lock);
}

void line_let_go(struct session *s, uint32_t line, bool orderly)
{
	struct family *f = s->family;
	struct line_record *l = record(f, line);
	struct sock_line *shared = region_line(&f->region, line);

	l->holders[s->number / 64] &= ~(UINT64_C(1) << (s->number % 64));
	s->lines--;
	if (has_holders(l)) {
		waitsets_forget_session(s, line);
		if (s->state != SESSION_LIVE) {
			free_lock(&shared->receive_lock, s->number);
			free_lock(&shared->send_lock, s->number);
			/* Killed between moving an index and saying so: the others wait for nothing else to be said. */
			atomic_store(&shared->grow_posted, 0);
			if (atomic_exchange(&shared->send_posted, 0))
				ep_sent(stack_of(f), l->ep);
			if (atomic_exchange(&shared->receive_posted, 0) && !(l->state & LINE_LISTENING))
				ep_received(stack_of(f), l->ep);
		}
		return;
	}
	line_unlisten(f, line);
	line_end_endpoint(f, line, orderly);
}

void line_released(struct family *f, uint32_t line)
{
	struct line_record *l = record(f, line);

	if (l->backlog) {
		give_back(f, l->backlog, EXTENT_MIN);
		l->backlog = NULL;
	}
	if (l->use == LINE_LEAVING)
		line_free(f, line);
	family_settle(f);
}

/* ---- what the stack asks for ---- */

static void publish_extent(struct family *f, struct line_ring *ring, const uint8_t *base, uint32_t size, uint32_t from)
{
	uint32_t epoch = atomic_load_explicit(&ring->epoch, memory_order_relaxed) + 1;

	ring->extents[epoch & 1] = (struct line_extent){
		.page = (uint32_t)((uint64_t)(base - f->region.data) / REGION_PAGE), .from = from, .size = size,
	};
	atomic_store_explicit(&ring->epoch, epoch, memory_order_release);
}

/* No index lies in it any more. A program must not take it for the place of an index that has gone round (2^31 bytes later). */
static void retire_extent(struct family *f, struct line_ring *ring, const uint8_t *base)
{
	uint32_t page = (uint32_t)((uint64_t)(base - f->region.data) / REGION_PAGE);
	uint32_t older = (atomic_load_explicit(&ring->epoch, memory_order_relaxed) + 1) & 1;

	if (ring->extents[older].page == page)
		atomic_store_explicit((_Atomic uint32_t *)&ring->extents[older].size, 0, memory_order_release);
}

int line_listen(struct family *f, uint32_t line)
{
	struct line_record *l = record(f, line);
	uint32_t size;

	if (l->backlog)
		return 0;
	l->backlog = lend(f, EXTENT_MIN, 0, &size);
	if (!l->backlog)
		return -ENOBUFS;
	l->backlog_head = 0;
	publish_extent(f, &region_line(&f->region, line)->receive, l->backlog, size, 0);
	return 0;
}

static bool find(struct server *s, uint64_t owner, struct family **f, uint32_t *line)
{
	*f = family_of(s, owner);
	*line = (uint32_t)owner;
	return *f && line_is_here(*f, *line);
}

bool lines_lend(void *context, ep_id ep, uint64_t owner, enum ep_side side, uint32_t want, uint32_t from, struct ring_extent *extent)
{
	struct server_host *host = context;
	struct sock_line *shared;
	struct family *f;
	uint32_t line, have = extent->size;

	(void)ep;
	if (!find(host->server, owner, &f, &line))
		return false;
	/* Less than was asked for (quota, or the largest there is) may be no more than there is: a program that saw it published would move
	 * to it, and the stack would not. */
	extent->base = lend(f, want, have, &extent->size);
	if (!extent->base)
		return false;
	shared = region_line(&f->region, line);
	publish_extent(f, side == EP_SEND ? &shared->send : &shared->receive, extent->base, extent->size, from);
	return true;
}

/* A reader between the two epochs finds the bytes in the same place by either. */
void lines_withdraw(void *context, ep_id ep, uint64_t owner, enum ep_side side, struct ring_extent kept, uint32_t from)
{
	struct server_host *host = context;
	struct sock_line *shared;
	struct family *f;
	uint32_t line;

	(void)ep;
	if (!find(host->server, owner, &f, &line))
		return;
	shared = region_line(&f->region, line);
	publish_extent(f, side == EP_SEND ? &shared->send : &shared->receive, kept.base, kept.size, from);
}

void lines_give_back(void *context, ep_id ep, uint64_t owner, enum ep_side side, struct ring_extent extent)
{
	struct server_host *host = context;
	struct family *f;
	uint32_t line;

	(void)ep;
	if (!find(host->server, owner, &f, &line))
		return;
	retire_extent(f, side == EP_SEND ? &region_line(&f->region, line)->send : &region_line(&f->region, line)->receive,
		extent.base);
	give_back(f, extent.base, extent.size);
}

static bool takes_children(struct family *f, uint32_t line, ep_id listener)
{
	const struct line_record *l = record(f, line);

	return l->ep == listener && ((l->use == LINE_USED && l->backlog) || l->use == LINE_SHADOW);
}

/* Called in the middle of a turn of the stack: what needs the stack (names) and what programs may see waits for publish. */
bool lines_adopt(void *context, ep_id listener, uint64_t listener_owner, ep_id child, uint64_t *owner, struct ep_sharing *sharing)
{
	struct server_host *host = context;
	struct line_record *l, *parent;
	struct family *f;
	uint32_t at, line = LINE_NIL;

	if (find(host->server, listener_owner, &f, &at) && takes_children(f, at, listener))
		line = line_allocate(f);
	if (line == LINE_NIL) {
		host->server->stats.adopt_refused++;
		return false;
	}
	l = record(f, line);
	parent = record(f, at);
	l->use = LINE_WAITING;
	l->type = EP_STREAM;
	l->ep = child;
	l->newborn = true;
	l->parent = at;
	l->next = parent->children;
	if (l->next != LINE_NIL)
		record(f, l->next)->previous = line;
	parent->children = line;
	*owner = owner_word(f, line);
	*sharing = sharing_of(f, line);
	line_changed(f, line, EP_CONNECTED);
	return true;
}
