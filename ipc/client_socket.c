/* SPDX-License-Identifier: BSD-3-Clause */
/* Sockets as a program controls them: each call checks what the line says, then posts or calls. Errnos are Linux's. */
#include "ipc/client_private.h"

#include <string.h>

#include "ipc/raw.h"

static __thread __attribute__((tls_model("initial-exec"))) uint32_t turn;

struct sock_line *client_line(struct client *c, uint32_t id)
{
	return region_line(&c->region, id);
}

/* ---- open ---- */

static uint32_t take_from_stock(struct client *c, uint32_t core)
{
	struct session_page *page = client_page_on(c, core);
	uint32_t hint = atomic_load_explicit(&c->stock_hint[core], memory_order_relaxed), i;

	for (i = 0; i < REGION_STOCK; i++) {
		uint32_t at = (hint + i) % REGION_STOCK, line;

		if (atomic_load_explicit(&page->stock[at], memory_order_relaxed) == 0)
			continue;
		line = atomic_exchange_explicit(&page->stock[at], 0, memory_order_acquire);
		if (line == 0)
			continue;
		atomic_store_explicit(&c->stock_hint[core], at + 1, memory_order_relaxed);
		return line;
	}
	return 0;
}

unsigned client_cores(const struct client *c)
{
	return c->cores;
}

unsigned client_core(uint32_t id)
{
	return line_core(id);
}

int client_open_at(struct client *c, enum ep_type type, unsigned core, uint32_t *id)
{
	struct request q = { .op = REQ_PING, .line = core << LINE_CORE_SHIFT };
	uint32_t line;
	int rc;

	if (core >= c->cores)
		return -EINVAL;
	if (!client_alive(c))
		return -ECONNRESET;
	line = take_from_stock(c, core);
	if (!line) {
		/* All are taken and the daemon has not given more yet; after its answer it has, or will not. */
		rc = client_call(c, &q, NULL);
		if (rc < 0)
			return rc;
		line = take_from_stock(c, core);
	}
	if (!line)
		return -ENFILE;
	*id = line - 1;
	q = (struct request){ .op = REQ_OPEN, .line = *id, .a = type, .b = client_line(c, *id)->generation };
	atomic_store_explicit(&client_line(c, *id)->opened, type, memory_order_release);
	return client_post(c, &q);
}

/* A thread's sockets go round the cores; processes and threads begin at different ones. */
int client_open(struct client *c, enum ep_type type, uint32_t *id)
{
	if (c->cores == 1)
		return client_open_at(c, type, 0, id);
	if (turn == 0)
		turn = c->session + (uint32_t)raw_call2(SYS_gettid, 0, 0);
	return client_open_at(c, type, turn++ % c->cores, id);
}

/* ---- calls ---- */

static int call_name(struct client *c, uint8_t op, uint32_t id, const struct ep_name *name)
{
	struct request q = { .op = op, .line = id };

	if (name) {
		q.addr = name->addr;
		q.port = name->port;
	} else {
		q.flags = REQ_DISSOLVE;
	}
	return client_call(c, &q, NULL);
}

static int call_number(struct client *c, uint8_t op, uint32_t id, uint32_t a)
{
	struct request q = { .op = op, .line = id, .a = a };

	return client_call(c, &q, NULL);
}

/* A port's rules are applied where it is at home (stack/steer.h). */
int client_bind(struct client *c, uint32_t id, const struct ep_name *name)
{
	if (name->port && name->port % c->cores != line_core(id))
		return atomic_load(&client_line(c, id)->state) & LINE_BOUND ? -EINVAL : -EXDEV;
	return call_name(c, REQ_BIND, id, name);
}

int client_listen(struct client *c, uint32_t id, uint32_t backlog)
{
	return call_number(c, REQ_LISTEN, id, backlog);
}

static bool is_stream(struct sock_line *line)
{
	return atomic_load_explicit(&line->opened, memory_order_relaxed) != EP_DATAGRAM &&
	       !(atomic_load_explicit(&line->state, memory_order_relaxed) & LINE_DATAGRAM);
}

static int connect_stream(struct client *c, uint32_t id, const struct ep_name *name)
{
	struct sock_line *line = client_line(c, id);
	struct request q = { .op = REQ_CONNECT, .line = id, .addr = name->addr, .port = name->port };
	uint32_t state;
	int error, rc;

	error = client_take_error(c, id);
	if (error)
		return -error;
	if (atomic_exchange(&line->connect_posted, 1))
		return -EALREADY;
	state = atomic_load_explicit(&line->state, memory_order_acquire);
	if (state & (LINE_CONNECTING | LINE_CONNECTED | LINE_LISTENING)) {
		atomic_store(&line->connect_posted, 0);
		return state & LINE_CONNECTING ? -EALREADY : -EISCONN;
	}
	rc = client_post(c, &q);
	if (rc < 0)
		atomic_store(&line->connect_posted, 0);
	return rc < 0 ? rc : -EINPROGRESS;
}

int client_connect(struct client *c, uint32_t id, const struct ep_name *name)
{
	if (name && is_stream(client_line(c, id)))
		return connect_stream(c, id, name);
	return call_name(c, REQ_CONNECT, id, name);
}

int client_shutdown(struct client *c, uint32_t id, enum ep_how how)
{
	return call_number(c, REQ_SHUTDOWN, id, how);
}

int client_hold(struct client *c, uint32_t id)
{
	return region_has_line(&c->region, id) ? call_number(c, REQ_HOLD, id, 0) : -EBADF;
}

int client_close(struct client *c, uint32_t id)
{
	struct request q = { .op = REQ_CLOSE, .line = id };

	return client_post(c, &q);
}

int client_abort(struct client *c, uint32_t id)
{
	struct request q = { .op = REQ_ABORT, .line = id };

	return client_post(c, &q);
}

int client_set(struct client *c, uint32_t id, enum ep_option option, int64_t value)
{
	struct request q = { .op = REQ_SET, .line = id, .a = option, .value = value };

	return client_call(c, &q, NULL);
}

static int call_value(struct client *c, uint8_t op, uint32_t id, uint32_t a, uint64_t *value)
{
	struct request q = { .op = op, .line = id, .a = a };
	struct reply reply;
	int rc = client_call(c, &q, &reply);

	if (rc == 0)
		*value = reply.value;
	return rc;
}

int client_get(struct client *c, uint32_t id, enum ep_option option, int64_t *value)
{
	uint64_t v;
	int rc = call_value(c, REQ_GET, id, option, &v);

	if (rc == 0)
		*value = (int64_t)v;
	return rc;
}

int client_membership(struct client *c, uint32_t id, uint32_t n, int64_t *value)
{
	struct request q = { .op = REQ_GET, .line = id, .a = EP_JOIN, .value = n };
	struct reply reply;
	int rc = client_call(c, &q, &reply);

	if (rc == 0)
		*value = (int64_t)reply.value;
	return rc;
}

/* The name of a congestion control, as a string that stays. */
static const char *lasting_name(const char *name)
{
	static const char *const names[] = { "newreno", "reno", "cubic", "bbr" };
	unsigned i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strncmp(name, names[i], 16) == 0)
			return names[i];
	return "";
}

int client_info(struct client *c, uint32_t id, struct ep_info *info)
{
	struct client_lane *l = lane_enter(c, line_core(id));
	struct request q = { .op = REQ_INFO, .line = id };
	int rc = l ? lane_call(l, &q, NULL) : client_alive(c) ? -ENOBUFS : -ECONNRESET;

	if (rc == 0) {
		memcpy(info, l->words->scratch, sizeof(*info));
		info->cc = lasting_name((const char *)l->words->scratch + sizeof(*info));
	}
	lane_leave();
	return rc;
}

int client_names(struct client *c, uint32_t id, struct ep_name *local, struct ep_name *peer)
{
	struct sock_line *line = client_line(c, id);
	struct request q = { .op = REQ_PING, .line = id };
	int rc = 0;

	if (!(atomic_load(&line->state) & LINE_OPEN) || atomic_load(&line->connect_posted))
		rc = client_call(c, &q, NULL);
	if (rc < 0)
		return rc;
	if (local)
		*local = (struct ep_name){ .addr = line->local, .port = line->local_port };
	if (!peer)
		return 0;
	if (!(atomic_load_explicit(&line->state, memory_order_acquire) & LINE_CONNECTED))
		return -ENOTCONN;
	*peer = (struct ep_name){ .addr = line->peer, .port = line->peer_port };
	return 0;
}

int client_take_error(struct client *c, uint32_t id)
{
	struct sock_line *line = client_line(c, id);

	/* The daemon's death is an error of every line, told once. */
	if (!client_alive(c) && !(atomic_fetch_or(&line->state, LINE_DAEMON_GONE) & LINE_DAEMON_GONE))
		atomic_store(&line->error, ECONNRESET);
	if (atomic_load_explicit(&line->error, memory_order_relaxed) == 0)
		return 0;
	return atomic_exchange(&line->error, 0);
}

int client_take_queued_error(struct client *c, uint32_t id, struct ep_queued_error *e, uint8_t *quote)
{
	struct request q = { .op = REQ_TAKE_QUEUED, .line = id };
	struct client_lane *l;
	int rc;

	if (!(atomic_load_explicit(&client_line(c, id)->state, memory_order_acquire) & LINE_ERRORS))
		return -EAGAIN;
	l = lane_enter(c, line_core(id));
	rc = l ? lane_call(l, &q, NULL) : client_alive(c) ? -ENOBUFS : -ECONNRESET;
	if (rc == 0) {
		memcpy(e, l->words->scratch, sizeof(*e));
		if (e->quoted > EP_QUOTE_MOST)
			e->quoted = 0;
		memcpy(quote, l->words->scratch + sizeof(*e), e->quoted);
	}
	lane_leave();
	return rc;
}

/* ---- readiness ---- */

/* Who waits for room before each write never finds too little when it writes: the wait itself says that the ring is too small. */
static uint32_t ready_stream(struct client *c, uint32_t id, uint32_t state, bool readable)
{
	uint32_t ready = 0;

	if (state & LINE_LISTENING)
		return readable ? EP_READABLE : 0;
	if (state & LINE_CONNECTING)
		return 0;
	if (!(state & (LINE_CONNECTED | LINE_HANGUP)))
		return EP_WRITABLE | EP_HANGUP;   /* never connected, as Linux */
	if (readable || state & (LINE_READ_CLOSED | LINE_HANGUP))
		ready |= EP_READABLE;
	if (state & (LINE_WRITE_CLOSED | LINE_HANGUP) || send_writable_now(c, id))
		ready |= EP_WRITABLE;
	else if (send_unsent_room(client_line(c, id)) > 0)
		send_ask_for_more(c, id, 0);
	return ready;
}

/* An urgent byte out of line is no reason to read. */
static bool at_skipped_byte(const struct sock_line *line, uint32_t state, uint32_t tail)
{
	return (state & (LINE_MARK | LINE_OOB_INLINE)) == LINE_MARK &&
	       atomic_load_explicit(&line->urgent_index, memory_order_relaxed) == tail;
}

uint32_t receive_readable(const struct sock_line *line, uint32_t state)
{
	uint32_t tail = atomic_load_explicit(&line->receive_tail, memory_order_relaxed);
	uint32_t used = atomic_load_explicit(&line->receive_head, memory_order_acquire) - tail;

	return used && at_skipped_byte(line, state, tail) ? used - 1 : used;
}

uint32_t client_ready(struct client *c, uint32_t id)
{
	struct sock_line *line = client_line(c, id);
	bool posted = atomic_load_explicit(&line->connect_posted, memory_order_acquire);
	uint32_t state = atomic_load_explicit(&line->state, memory_order_acquire), ready = 0;
	uint32_t bytes = receive_readable(line, state), from = atomic_load_explicit(&line->readable_from, memory_order_relaxed);
	bool readable = bytes >= (from && !(state & LINE_LISTENING) ? from : 1);

	if (!client_alive(c))
		return EP_READABLE | EP_WRITABLE | EP_READ_CLOSED | EP_HANGUP | EP_ERROR;
	if (posted)
		state = (state & ~(uint32_t)(LINE_HANGUP | LINE_READ_CLOSED | LINE_WRITE_CLOSED)) | LINE_CONNECTING;
	if (is_stream(line))
		ready = ready_stream(c, id, state, readable);
	else
		ready = (readable || state & LINE_READ_CLOSED ? EP_READABLE : 0) | (send_writable_now(c, id) ? EP_WRITABLE : 0);
	if (state & LINE_READ_CLOSED)
		ready |= EP_READ_CLOSED;
	if (state & LINE_HANGUP)
		ready |= EP_HANGUP;
	if (state & LINE_URGENT)
		ready |= EP_URGENT;
	if (state & LINE_ERRORS)
		ready |= EP_QUEUED;
	if (atomic_load_explicit(&line->error, memory_order_relaxed))
		ready |= EP_ERROR;
	return ready;
}

/* ---- accept ---- */

static int accept_one(struct client *c, struct sock_line *listener, uint32_t *child)
{
	struct ring_view view;
	uint32_t tail = atomic_load_explicit(&listener->receive_tail, memory_order_relaxed);

	ring_look(&listener->receive, &view);
	while (atomic_load_explicit(&listener->receive_head, memory_order_acquire) != tail) {
		uint32_t id, free_for_all = 0;

		ring_read(c, &view, tail * (uint32_t)sizeof(id), &id, sizeof(id));
		tail++;
		atomic_store_explicit(&listener->receive_tail, tail, memory_order_release);
		/* Taken by somebody who died before he moved the tail, or given up by the daemon: the next one. */
		if (region_has_line(&c->region, id) && atomic_compare_exchange_strong(&client_line(c, id)->owner, &free_for_all, c->session + 1)) {
			*child = id;
			return 0;
		}
	}
	return -EAGAIN;
}

int client_accept(struct client *c, uint32_t id, uint32_t *child)
{
	struct sock_line *listener = client_line(c, id);
	uint32_t state = atomic_load_explicit(&listener->state, memory_order_acquire);
	struct request q = { .op = REQ_ACCEPTED };
	int rc;

	if (!client_alive(c))
		return -ECONNRESET;
	if (!(state & LINE_LISTENING) || state & LINE_READ_CLOSED)
		return -EINVAL;
	if (atomic_load_explicit(&listener->receive_head, memory_order_acquire) ==
		atomic_load_explicit(&listener->receive_tail, memory_order_relaxed))
		return -EAGAIN;
	rc = line_lock(c, &listener->receive_lock);
	if (rc < 0)
		return rc;
	rc = accept_one(c, listener, child);
	line_unlock(&listener->receive_lock);
	if (rc < 0)
		return rc;
	q.line = *child;
	client_post(c, &q);
	return 0;
}

/* ---- urgent data ---- */

int client_urgent_take(struct client *c, uint32_t id, uint8_t *byte)
{
	uint64_t v;
	int rc = call_value(c, REQ_URGENT_TAKE, id, 0, &v);

	if (rc == 0)
		*byte = (uint8_t)v;
	return rc;
}

int client_at_mark(struct client *c, uint32_t id)
{
	const struct sock_line *line = client_line(c, id);

	if (!(atomic_load_explicit(&line->state, memory_order_acquire) & LINE_MARK))
		return 0;
	return atomic_load(&line->urgent_index) == atomic_load(&line->receive_tail);
}
