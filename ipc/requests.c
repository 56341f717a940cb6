/* SPDX-License-Identifier: BSD-3-Clause */
/* Requests of programs: each is a copy, its line is checked, then the stack is asked. Only what no correct program can say ends the
 * session. A line that the session does not hold is no such thing: two threads may close and use a socket at once, and
 * their lanes are read in any order. */
#include "ipc/server_private.h"

#include <string.h>

#define BATCH 32u
#define LANE_MOST 128u     /* requests of one lane in a turn */

static struct stack *stack_of(const struct session *s)
{
	return s->family->host->stack;
}

static struct sock_line *shared_of(const struct session *s, uint32_t line)
{
	return region_line(&s->family->region, line);
}

static struct line_record *record_of(const struct session *s, uint32_t line)
{
	return line_record(s->family, line);
}

static ep_id ep_of(const struct session *s, const struct request *q)
{
	return record_of(s, q->line)->ep;
}

static void refill_stock(struct session *s, uint32_t line)
{
	unsigned i;

	for (i = 0; i < REGION_STOCK; i++)
		if (s->stock[i] == line + 1)
			s->stock[i] = 0;
	session_fill_stock(s);
}

static int open_granted(struct session *s, uint32_t line, uint32_t type)
{
	int rc;

	if (type != EP_STREAM && type != EP_DATAGRAM) {
		session_violation(s, "a socket of no known type");
		return -EINVAL;
	}
	rc = line_open(s, line, (enum ep_type)type);
	refill_stock(s, line);
	return rc;
}

/* Whether the session may use the line. A line that another thread opened or claimed just now, and whose request to that effect
 * lies in a lane not read yet, becomes the session's here: the program's own words in the line say so. */
static bool may_use(struct session *s, uint32_t line)
{
	struct line_record *l = record_of(s, line);

	switch ((enum line_use)l->use) {
	case LINE_USED:
		return holds(l, s->number);
	case LINE_GRANTED:
		if (l->session != s->number || atomic_load(&shared_of(s, line)->opened) == 0)
			return false;
		open_granted(s, line, atomic_load(&shared_of(s, line)->opened));
		return s->state == SESSION_LIVE;
	case LINE_WAITING:
		if (atomic_load(&shared_of(s, line)->owner) != s->number + 1)
			return false;
		line_claim(s, line);
		return true;
	case LINE_FREE:
	case LINE_LEAVING:
	case LINE_SHADOW:
		break;
	}
	return false;
}

/* ---- one function a request ---- */

static int do_nothing(struct session *s, const struct request *q, struct reply *a)
{
	(void)s, (void)q, (void)a;
	return 0;
}

static int do_bind(struct session *s, const struct request *q, struct reply *a)
{
	struct ep_name name = { .addr = q->addr, .port = q->port };
	const struct server *server = s->family->server;
	int rc = q->port && q->port % server->cores_n != server->core ? -EXDEV : ep_bind(stack_of(s), ep_of(s, q), &name);

	(void)a;
	if (rc)
		return rc;
	line_names(s->family, q->line);
	line_set_state(s->family, q->line, LINE_BOUND, 0);
	return 0;
}

static int do_listen(struct session *s, const struct request *q, struct reply *a)
{
	uint32_t backlog = shadows_backlog(s->family->server, q->a);
	int rc;

	if (record_of(s, q->line)->type != EP_STREAM)
		return -EOPNOTSUPP;
	if (record_of(s, q->line)->state & (LINE_CONNECTED | LINE_CONNECTING))
		return -EINVAL;
	rc = line_listen(s->family, q->line);
	if (rc == 0)
		rc = ep_listen(stack_of(s), ep_of(s, q), backlog);
	if (rc)
		return rc;
	line_names(s->family, q->line);
	line_set_state(s->family, q->line, LINE_BOUND | LINE_LISTENING, LINE_HANGUP | LINE_READ_CLOSED | LINE_WRITE_CLOSED);
	if (s->family->server->cores_n > 1)
		shadows_stand(s, q->line, backlog, a);
	return 0;
}

static int connect_stream(struct session *s, const struct request *q, const struct ep_name *to)
{
	struct line_record *l = record_of(s, q->line);
	int rc;

	l->active = true;
	rc = ep_connect(stack_of(s), l->ep, to);
	if (rc == 0 || rc == -EINPROGRESS) {
		/* 0: Fast Open waits for bytes, which may be written at once. */
		line_names(s->family, q->line);
		line_set_state(s->family, q->line, LINE_BOUND | (rc == 0 ? LINE_CONNECTED : LINE_CONNECTING),
			LINE_HANGUP | LINE_READ_CLOSED | LINE_WRITE_CLOSED);
	} else if (rc != -EALREADY && rc != -EISCONN) {
		line_set_error(s->family, q->line, -rc);
		line_set_state(s->family, q->line, LINE_HANGUP, LINE_CONNECTING);
		line_changed(s->family, q->line, EP_ERROR | EP_HANGUP | EP_WRITABLE);
	}
	atomic_store_explicit(&shared_of(s, q->line)->connect_posted, 0, memory_order_release);
	return rc;
}

static int do_connect(struct session *s, const struct request *q, struct reply *a)
{
	struct ep_name to = { .addr = q->addr, .port = q->port };
	const struct ep_name *peer = q->flags & REQ_DISSOLVE ? NULL : &to;
	int rc;

	(void)a;
	if (peer && record_of(s, q->line)->type == EP_STREAM)
		return connect_stream(s, q, peer);
	rc = ep_connect(stack_of(s), ep_of(s, q), peer);
	if (rc)
		return rc;
	line_set_state(s->family, q->line, peer ? LINE_BOUND | LINE_CONNECTED : 0,
		peer ? 0 : LINE_CONNECTED | LINE_CONNECTING | LINE_HANGUP | LINE_READ_CLOSED | LINE_WRITE_CLOSED);
	line_names(s->family, q->line);
	return 0;
}

/* The program saw no room and perhaps sleeps; the stack may never have seen the ring full, since bytes left it before these
 * arrived. Cleared posted word, then read head: in this order nothing that is published stays unnoticed. */
static int do_sent(struct session *s, const struct request *q, struct reply *a)
{
	struct sock_line *shared = shared_of(s, q->line);
	int rc;

	(void)a;
	atomic_exchange(&shared->send_posted, 0);
	rc = ep_sent(stack_of(s), ep_of(s, q));
	if (rc == -EPROTO)
		session_violation(s, "send_head lies outside the ring");
	else if (rc < 0 && rc != -EBADF && rc != -EAGAIN && record_of(s, q->line)->type == EP_DATAGRAM) {
		line_set_error(s->family, q->line, -rc);
		line_changed(s->family, q->line, EP_ERROR);
	}
	if (record_of(s, q->line)->notsent_low)
		line_send_next(s->family, q->line);
	if (rc != -EPROTO && atomic_load(&shared->send_blocked) && ep_ready(stack_of(s), ep_of(s, q)) & EP_WRITABLE) {
		atomic_store_explicit(&shared->send_blocked, 0, memory_order_relaxed);
		line_changed(s->family, q->line, EP_WRITABLE);
	}
	return rc;
}

static int do_received(struct session *s, const struct request *q, struct reply *a)
{
	uint32_t index;
	int rc;

	(void)a;
	atomic_exchange(&shared_of(s, q->line)->receive_posted, 0);
	if (record_of(s, q->line)->state & LINE_LISTENING)
		return 0;
	rc = ep_received(stack_of(s), ep_of(s, q));
	if (rc == -EPROTO)
		session_violation(s, "receive_tail lies outside the ring");
	else if (record_of(s, q->line)->receive_low > 1)
		line_readable_from(s->family, q->line);
	if (record_of(s, q->line)->state & LINE_MARK && !ep_urgent_index(stack_of(s), ep_of(s, q), &index))
		line_set_state(s->family, q->line, 0, LINE_MARK);
	return rc;
}

static int do_grow_send(struct session *s, const struct request *q, struct reply *a)
{
	struct family *f = s->family;
	int rc = ep_grow_send(stack_of(s), ep_of(s, q), q->a);

	(void)a;
	if (rc == -EPROTO) {
		session_violation(s, "send_head lies outside the ring");
		return rc;
	}
	line_set_state(f, q->line, rc == -ENOBUFS ? LINE_GROW_REFUSED : 0, rc == 0 ? LINE_GROW_REFUSED : 0);
	atomic_store_explicit(&shared_of(s, q->line)->grow_posted, 0, memory_order_release);
	if (ep_ready(stack_of(s), ep_of(s, q)) & EP_WRITABLE)
		line_changed(f, q->line, EP_WRITABLE);
	return rc;
}

static int do_shutdown(struct session *s, const struct request *q, struct reply *a)
{
	struct family *f = s->family;
	uint32_t set = 0, changed = 0;
	int rc;

	(void)a;
	if (q->a < EP_SHUT_READ || q->a > EP_SHUT_BOTH)
		return -EINVAL;
	if (record_of(s, q->line)->state & LINE_LISTENING && q->a & EP_SHUT_READ)
		line_unlisten(f, q->line);
	rc = ep_shutdown(stack_of(s), ep_of(s, q), (enum ep_how)q->a);
	if (rc)
		return rc;
	if (record_of(s, q->line)->state & LINE_LISTENING) {
		if (q->a & EP_SHUT_READ) {
			line_set_state(f, q->line, 0, LINE_LISTENING);
			line_changed(f, q->line, EP_READABLE | EP_HANGUP);
		}
		return 0;
	}
	if (q->a & EP_SHUT_READ) {
		set |= LINE_READ_CLOSED;
		changed |= EP_READABLE | EP_READ_CLOSED;
	}
	if (q->a & EP_SHUT_WRITE) {
		set |= LINE_WRITE_CLOSED;
		changed |= EP_WRITABLE;
	}
	line_set_state(f, q->line, set, 0);
	line_changed(f, q->line, changed | (ep_ready(stack_of(s), ep_of(s, q)) & EP_HANGUP));
	return 0;
}

static int do_close(struct session *s, const struct request *q, struct reply *a)
{
	(void)a;
	line_let_go(s, q->line, q->op == REQ_CLOSE);
	return 0;
}

static int do_set(struct session *s, const struct request *q, struct reply *a)
{
	int rc = q->a < EP_OPTIONS && q->a != EP_SHADOW ? ep_set(stack_of(s), ep_of(s, q), (enum ep_option)q->a, q->value) : -ENOPROTOOPT;

	if (rc == 0 && s->family->server->cores_n > 1)
		shadows_option(s, q->line, (enum ep_option)q->a, q->value, a);
	if (rc == 0 && q->a == EP_OOB_INLINE)
		line_set_state(s->family, q->line, q->value ? LINE_OOB_INLINE : 0, q->value ? 0 : LINE_OOB_INLINE);
	if (rc == 0 && q->a == EP_SEND_BUFFER) {
		line_limit(s->family, q->line);
		line_set_state(s->family, q->line, 0, LINE_GROW_REFUSED);
	}
	if (rc == 0 && q->a == EP_NOTSENT_LOWAT) {
		line_notsent_low(s->family, q->line);
		if (ep_ready(stack_of(s), ep_of(s, q)) & EP_WRITABLE)
			line_changed(s->family, q->line, EP_WRITABLE);
	}
	if (rc == 0 && q->a == EP_RECV_ERR)
		line_errors(s->family, q->line);
	if (rc == 0 && q->a == EP_RECEIVE_LOW)
		line_low(s->family, q->line);
	return rc;
}

static int do_get(struct session *s, const struct request *q, struct reply *a)
{
	int64_t value = (int64_t)q->value;  /* EP_JOIN: which one */
	int rc = q->a < EP_OPTIONS ? ep_get(stack_of(s), ep_of(s, q), (enum ep_option)q->a, &value) : -ENOPROTOOPT;

	a->value = (uint64_t)value;
	return rc;
}

static int do_urgent_send(struct session *s, const struct request *q, struct reply *a)
{
	int rc;

	(void)a;
	/* What the program has written so far goes before the byte, which it writes when it has our answer. */
	rc = ep_sent(stack_of(s), ep_of(s, q));
	if (rc == -EPROTO) {
		session_violation(s, "send_head lies outside the ring");
		return rc;
	}
	return rc ? rc : ep_urgent_send(stack_of(s), ep_of(s, q), 0);
}

static int do_urgent_take(struct session *s, const struct request *q, struct reply *a)
{
	uint8_t byte = 0;
	int rc = ep_urgent_take(stack_of(s), ep_of(s, q), &byte);

	a->value = byte;
	if (rc == 0)
		line_set_state(s->family, q->line, 0, LINE_URGENT);
	return rc;
}

static int do_at_mark(struct session *s, const struct request *q, struct reply *a)
{
	int rc = ep_at_mark(stack_of(s), ep_of(s, q));

	a->value = rc > 0;
	return rc < 0 ? rc : 0;
}

static int do_watch(struct session *s, const struct request *q, struct reply *a)
{
	(void)a;
	return waitset_add(s, q);
}

static int do_unwatch(struct session *s, const struct request *q, struct reply *a)
{
	(void)a;
	waitset_remove(s, q->line, q->a, q->more);
	return 0;
}

typedef int handler(struct session *, const struct request *, struct reply *);

static handler *const handlers[REQ_OPS] = {
	[REQ_OPEN] = do_nothing,      /* may_use did it */
	[REQ_ACCEPTED] = do_nothing,  /* may_use did it */
	[REQ_BIND] = do_bind,
	[REQ_LISTEN] = do_listen,
	[REQ_CONNECT] = do_connect,
	[REQ_SENT] = do_sent,
	[REQ_RECEIVED] = do_received,
	[REQ_GROW_SEND] = do_grow_send,
	[REQ_SHUTDOWN] = do_shutdown,
	[REQ_CLOSE] = do_close,
	[REQ_ABORT] = do_close,
	[REQ_SET] = do_set,
	[REQ_GET] = do_get,
	[REQ_URGENT_SEND] = do_urgent_send,
	[REQ_URGENT_TAKE] = do_urgent_take,
	[REQ_AT_MARK] = do_at_mark,
	[REQ_WATCH] = do_watch,
	[REQ_UNWATCH] = do_unwatch,
};

/* ---- the lane ---- */

static int info(struct lane *lane, const struct request *q)
{
	struct session *s = lane->session;
	struct lane_words *words = lane_words(&s->family->region, s->seat, lane->index);
	struct ep_info out;
	char cc[16] = "";
	int rc = ep_info(stack_of(s), ep_of(s, q), &out);

	_Static_assert(sizeof(out) + sizeof(cc) <= sizeof(words->scratch), "an answer fits the scratch area");
	if (rc)
		return rc;
	if (out.cc)
		memcpy(cc, out.cc, strnlen(out.cc, sizeof(cc) - 1));
	out.cc = NULL;
	memcpy(words->scratch, &out, sizeof(out));
	memcpy(words->scratch + sizeof(out), cc, sizeof(cc));
	return 0;
}

/* What SO_ERROR says goes with the error it came from (sock_dequeue_err_skb of Linux). */
static int take_queued(struct lane *lane, const struct request *q)
{
	struct session *s = lane->session;
	struct lane_words *words = lane_words(&s->family->region, s->seat, lane->index);
	uint8_t quote[EP_QUOTE_MOST];
	struct ep_queued_error e;
	int rc = ep_take_queued_error(stack_of(s), ep_of(s, q), &e, quote);

	_Static_assert(sizeof(e) + sizeof(quote) <= sizeof(words->scratch), "an answer fits the scratch area");
	if (rc)
		return rc;
	memcpy(words->scratch, &e, sizeof(e));
	memcpy(words->scratch + sizeof(e), quote, e.quoted);
	line_errors(s->family, q->line);
	if (e.clears)
		line_set_error(s->family, q->line, ep_take_error(stack_of(s), ep_of(s, q)));
	return 0;
}

static int hold(struct session *s, uint32_t line)
{
	if (record_of(s, line)->use != LINE_USED)
		return -EBADF;
	line_hold(s, line);
	return 0;
}

/* A stale REQ_OPEN (the line was closed, and granted again, before it was read) has an old generation. */
static bool is_stale_open(const struct session *s, const struct request *q)
{
	return q->op == REQ_OPEN && record_of(s, q->line)->use == LINE_GRANTED && q->b != record_of(s, q->line)->generation;
}

static int carry_out(struct lane *lane, const struct request *q, struct reply *a)
{
	struct session *s = lane->session;

	if (q->op == REQ_PING) {
		session_fill_stock(s);   /* who finds its stock empty asks so */
		return 0;
	}
	if (q->op == 0 || q->op >= REQ_OPS || !line_is_here(s->family, q->line)) {
		if (q->op == REQ_WAITSET_FREE)
			return 0;
		session_violation(s, "an impossible request");
		return -EINVAL;
	}
	if (q->op == REQ_HOLD)
		return hold(s, q->line);
	if (is_stale_open(s, q) || !may_use(s, q->line))
		return -EBADF;
	if (q->op == REQ_INFO)
		return info(lane, q);
	if (q->op == REQ_TAKE_QUEUED)
		return take_queued(lane, q);
	return handlers[q->op] ? handlers[q->op](s, q, a) : -EOPNOTSUPP;
}

void lane_answer(struct lane *lane, const struct reply *a)
{
	struct session *s = lane->session;
	struct server *server = s->family->server;

	if (lane_put(lane_replies(&s->family->region, s->seat, lane->index), &lane->put, a, sizeof(*a)) <= 0) {
		session_violation(s, "a lane without room for replies");
		return;
	}
	server->stats.replies++;
	if (!lane->touched)
		lane->touched = vector_add(&server->lanes, (uint64_t)(uintptr_t)lane);
}

unsigned lane_drain(struct lane *lane)
{
	struct session *s = lane->session;
	struct rte_ring *ring = lane_requests(&s->family->region, s->seat, lane->index);
	uint64_t bit = UINT64_C(1) << (lane->index % 64);
	struct request batch[BATCH];
	unsigned done = 0;
	int n, i;

	s->again[lane->index / 64] &= ~bit;
	s->reading = lane->index;
	do {
		n = lane_take(ring, &lane->taken, batch, sizeof(batch[0]), BATCH);
		for (i = 0; i < n && s->state == SESSION_LIVE; i++) {
			struct reply a = { .tag = batch[i].tag };

			a.result = carry_out(lane, &batch[i], &a);
			if (a.tag && s->state == SESSION_LIVE)
				lane_answer(lane, &a);
		}
		done += n > 0 ? (unsigned)n : 0;
	} while (n == (int)BATCH && done < LANE_MOST && s->state == SESSION_LIVE);
	if (n < 0)
		session_violation(s, "the indices of a lane are impossible");
	if (n == (int)BATCH && s->state == SESSION_LIVE)
		s->again[lane->index / 64] |= bit;
	s->requests += done;
	s->family->server->stats.requests += done;
	return done;
}
