/* SPDX-License-Identifier: BSD-3-Clause */
/* Bytes of a stream: send and receive copy between the program and the rings of the line, in the order of checks that Linux has
 * (pending error, then what the state allows). Nothing is published before it is whole, so a process that dies inside leaves
 * nothing half done. */
#include "ipc/client_private.h"

#define UNSENT_STEP (64u << 10)

static uint32_t bounded(size_t n)
{
	return n < INT32_MAX ? (uint32_t)n : INT32_MAX;
}

/* 0, or why nothing can be sent now. */
static int may_send(struct client *c, uint32_t id)
{
	struct sock_line *line = client_line(c, id);
	bool posted = atomic_load_explicit(&line->connect_posted, memory_order_acquire);
	uint32_t state = atomic_load_explicit(&line->state, memory_order_acquire);
	int error = client_take_error(c, id);

	if (error)
		return -error;
	if (posted || state & LINE_CONNECTING)
		return -EAGAIN;
	if (state & (LINE_WRITE_CLOSED | LINE_HANGUP) || !(state & LINE_CONNECTED) || !client_alive(c))
		return -EPIPE;
	return 0;
}

/* The tail is read before the extents: one that is added later begins behind all that this room allows (endpoint.c: ep_lend), one that
 * was added before is seen. The other way round, bytes would go to an old extent that belong into the new one. */
static uint32_t look_for_room(struct sock_line *line, struct ring_view *view)
{
	uint32_t tail = atomic_load_explicit(&line->send_tail, memory_order_acquire), room, may;

	ring_look(&line->send, view);
	room = send_room_from(line, tail, view->newest.size);
	may = send_unsent_room(line);
	/* As in Linux, where a whole skb goes in as long as there is too little. */
	if (may < UINT32_MAX)
		may = may == 0 ? 0 : may + UNSENT_STEP;
	return room < may ? room : may;
}

/* The lock is held. How much fits now (not 0), or -errno. */
static ssize_t room_for(struct client *c, uint32_t id, uint32_t n, struct ring_view *view)
{
	struct sock_line *line = client_line(c, id);
	uint32_t room = look_for_room(line, view);
	int rc;

	if (view->newest.size == 0) {
		rc = send_grow(c, id, n < REGION_EXTENT_MOST ? n : REGION_EXTENT_MOST, true);
		room = look_for_room(line, view);
		if (view->newest.size == 0)
			return rc == -EBADF ? -EPIPE : rc < 0 ? rc : -ENOBUFS;
	}
	if (n > send_room(line, view->newest.size))
		send_ask_for_more(c, id, n);
	if (room == 0) {
		atomic_store_explicit(&line->send_blocked, 1, memory_order_relaxed);
		doorbell_fence();
		room = look_for_room(line, view);
		if (room == 0 && send_unsent_room(line) == 0)
			send_tell(c, id);
	}
	return room == 0 ? -EAGAIN : (ssize_t)room;
}

static void put(struct client *c, uint32_t id, const struct ring_view *view, const struct iovec *v, int count, uint32_t n)
{
	struct sock_line *line = client_line(c, id);
	uint32_t head = atomic_load_explicit(&line->send_head, memory_order_relaxed);

	ring_write_pieces(c, view, head, v, count, n);
	atomic_store_explicit(&line->send_head, head + n, memory_order_release);
}

ssize_t client_send(struct client *c, uint32_t id, const struct iovec *v, int count)
{
	struct sock_line *line = client_line(c, id);
	uint32_t n = bounded(iov_bytes(v, count));
	struct ring_view view;
	ssize_t rc = may_send(c, id);

	if (rc < 0 || n == 0)
		return rc;
	rc = line_lock(c, &line->send_lock);
	if (rc < 0)
		return rc;
	rc = room_for(c, id, n, &view);
	if (rc > 0) {
		rc = rc < (ssize_t)n ? rc : (ssize_t)n;
		put(c, id, &view, v, count, (uint32_t)rc);
	}
	line_unlock(&line->send_lock);
	if (rc > 0)
		send_tell(c, id);
	return rc;
}

/* The daemon hears that the next byte is urgent before the byte is there, or it might send it without saying so. */
int client_urgent_send(struct client *c, uint32_t id, uint8_t byte)
{
	const struct iovec v = { .iov_base = &byte, .iov_len = 1 };
	struct request q = { .op = REQ_URGENT_SEND, .line = id };
	struct sock_line *line = client_line(c, id);
	struct ring_view view;
	ssize_t rc = may_send(c, id);

	if (rc == 0)
		rc = line_lock(c, &line->send_lock);
	if (rc < 0)
		return (int)rc;
	rc = room_for(c, id, 1, &view);
	if (rc > 0) {
		rc = client_call(c, &q, NULL);
		if (rc == 0)
			put(c, id, &view, &v, 1, 1);
	}
	line_unlock(&line->send_lock);
	if (rc == 0)
		send_tell(c, id);
	return (int)rc;
}

/* Nothing to read: end of stream, error, or not yet. `state` was read before the ring was seen empty, so a FIN in it means that there
 * is no byte any more. */
static ssize_t nothing_read(struct client *c, uint32_t id, uint32_t state, bool posted, unsigned flags)
{
	int error;

	if (flags & CLIENT_AGAIN && client_ready(c, id) & EP_ERROR)
		return 0;
	error = client_take_error(c, id);
	if (error)
		return -error;
	if (posted || state & LINE_CONNECTING)
		return -EAGAIN;
	if (state & (LINE_READ_CLOSED | LINE_HANGUP) || !client_alive(c))
		return 0;
	return state & LINE_CONNECTED ? -EAGAIN : -ENOTCONN;
}

/* A read ends before an urgent byte; one that begins at it skips it, unless it is in line (as Linux). */
static void stop_at_mark(const struct sock_line *line, uint32_t *tail, uint32_t *used)
{
	uint32_t state = atomic_load_explicit(&line->state, memory_order_acquire), ahead;

	if (!(state & LINE_MARK))
		return;
	ahead = atomic_load_explicit(&line->urgent_index, memory_order_relaxed) - *tail;
	if (ahead >= *used)
		return;
	if (ahead > 0) {
		*used = ahead;
	} else if (!(state & LINE_OOB_INLINE)) {
		++*tail;
		--*used;
	}
}

static ssize_t recv_locked(struct client *c, uint32_t id, const struct iovec *v, int count, uint32_t n, unsigned flags,
	struct ring_view *view, uint32_t *used_before, uint32_t *tail)
{
	struct sock_line *line = client_line(c, id);
	uint32_t used;

	*tail = atomic_load_explicit(&line->receive_tail, memory_order_relaxed);
	*used_before = atomic_load_explicit(&line->receive_head, memory_order_acquire) - *tail;
	used = *used_before;
	stop_at_mark(line, tail, &used);
	if (n > used)
		n = used;
	if (n == 0)
		return 0;
	ring_look(&line->receive, view);
	if (!(flags & CLIENT_DISCARD))
		ring_read_pieces(c, view, *tail, v, count, n);
	if (!(flags & CLIENT_PEEK)) {
		*tail += n;
		atomic_store_explicit(&line->receive_tail, *tail, memory_order_release);
	}
	return n;
}

ssize_t client_recv(struct client *c, uint32_t id, const struct iovec *v, int count, unsigned flags)
{
	struct sock_line *line = client_line(c, id);
	bool posted = atomic_load_explicit(&line->connect_posted, memory_order_acquire);
	uint32_t state = atomic_load_explicit(&line->state, memory_order_acquire), n = bounded(iov_bytes(v, count));
	uint32_t used_before, tail;
	struct ring_view view;
	ssize_t rc;

	if (state & LINE_LISTENING)
		return -ENOTCONN;
	if (atomic_load_explicit(&line->receive_head, memory_order_acquire) ==
		atomic_load_explicit(&line->receive_tail, memory_order_relaxed))
		return nothing_read(c, id, state, posted, flags);
	if (n == 0)
		return 0;
	rc = line_lock(c, &line->receive_lock);
	if (rc < 0)
		return rc;
	rc = recv_locked(c, id, v, count, n, flags, &view, &used_before, &tail);
	line_unlock(&line->receive_lock);
	if (rc == 0)
		return nothing_read(c, id, state, posted, flags);   /* another reader was faster */
	if (!(flags & CLIENT_PEEK))
		receive_tell(c, id, view.newest.size, used_before, tail);
	return rc;
}

uint32_t client_send_queued(struct client *c, uint32_t id)
{
	const struct sock_line *line = client_line(c, id);

	return atomic_load(&line->send_head) - atomic_load(&line->send_tail);
}
