/* SPDX-License-Identifier: BSD-3-Clause */
/* Datagrams: records in the same rings (stack/dgram.h). What the daemon wrote is trusted as far as it is the daemon's; the
 * indices, which the family's other processes may have written, are checked where a wrong one would lead out of the ring. */
#include "ipc/client_private.h"

#define DGRAM_MOST 65507u
#define GROW_FIRST (64u << 10)

static int may_send(struct client *c, uint32_t id, const struct dgram_header *header)
{
	uint32_t state = atomic_load_explicit(&client_line(c, id)->state, memory_order_acquire);
	int error = client_take_error(c, id);

	if (error)
		return -error;
	if (!client_alive(c) || state & LINE_WRITE_CLOSED)
		return -EPIPE;
	if (ipaddr_is_any(&header->peer) && header->peer_port == 0 && !(state & LINE_CONNECTED))
		return -EDESTADDRREQ;
	return header->length > DGRAM_MOST ? -EMSGSIZE : 0;
}

/* The first datagram, and one larger than all before, waits for memory: one exchange with the daemon. */
static int have_memory(struct client *c, uint32_t id, uint32_t size, struct ring_view *view)
{
	struct sock_line *line = client_line(c, id);
	uint32_t limit;
	int rc;

	ring_look(&line->send, view);
	if (view->newest.size >= size)
		return 0;
	rc = send_grow(c, id, size < GROW_FIRST / 2 ? GROW_FIRST : 2 * size, true);
	ring_look(&line->send, view);
	limit = atomic_load_explicit(&line->send_limit, memory_order_relaxed);
	if (view->newest.size >= size)
		return 0;
	return rc == -EAGAIN ? -EAGAIN : size > limit ? -EMSGSIZE : -ENOBUFS;
}

static ssize_t send_locked(struct client *c, uint32_t id, const struct dgram_header *header, const struct iovec *v, int count)
{
	struct sock_line *line = client_line(c, id);
	uint32_t head = atomic_load_explicit(&line->send_head, memory_order_relaxed);
	uint32_t size = dgram_record_size(header->length);
	struct ring_view view;
	int rc = have_memory(c, id, size, &view);

	if (rc < 0)
		return rc;
	if (send_room(line, view.newest.size) < size) {
		atomic_store_explicit(&line->send_blocked, 1, memory_order_relaxed);
		doorbell_fence();
		if (send_room(line, view.newest.size) < size)
			return -EAGAIN;
	}
	ring_write(c, &view, head, header, sizeof(*header));
	ring_write_pieces(c, &view, head + (uint32_t)sizeof(*header), v, count, header->length);
	atomic_store_explicit(&line->send_head, head + size, memory_order_release);
	return header->length;
}

ssize_t client_send_dgram(struct client *c, uint32_t id, const struct dgram_header *given, const struct iovec *v, int count)
{
	struct sock_line *line = client_line(c, id);
	struct dgram_header header = *given;
	size_t n = iov_bytes(v, count);
	ssize_t rc;

	header.length = n <= DGRAM_MOST ? (uint32_t)n : DGRAM_MOST + 1;
	rc = may_send(c, id, &header);
	if (rc < 0)
		return rc;
	rc = line_lock(c, &line->send_lock);
	if (rc < 0)
		return rc;
	rc = send_locked(c, id, &header, v, count);
	line_unlock(&line->send_lock);
	if (rc >= 0)
		send_tell(c, id);
	return rc;
}

/* -EAGAIN: none. Otherwise the header of the oldest. */
static int look(struct client *c, uint32_t id, struct ring_view *view, uint32_t *tail, uint32_t *used, struct dgram_header *header)
{
	struct sock_line *line = client_line(c, id);

	*tail = atomic_load_explicit(&line->receive_tail, memory_order_relaxed);
	*used = atomic_load_explicit(&line->receive_head, memory_order_acquire) - *tail;
	ring_look(&line->receive, view);
	if (*used < sizeof(*header) || view->newest.size == 0)
		return -EAGAIN;
	ring_read(c, view, *tail, header, sizeof(*header));
	return header->length <= DGRAM_MOST && dgram_record_size(header->length) <= *used ? 0 : -EAGAIN;
}

ssize_t client_recv_dgram(struct client *c, uint32_t id, struct dgram_header *header, const struct iovec *v, int count, unsigned flags)
{
	struct sock_line *line = client_line(c, id);
	uint32_t state = atomic_load_explicit(&line->state, memory_order_acquire), tail, used, n;
	struct ring_view view;
	int rc, error;

	rc = line_lock(c, &line->receive_lock);
	if (rc < 0)
		return rc;
	rc = look(c, id, &view, &tail, &used, header);
	if (rc == 0) {
		n = header->length;
		if (iov_bytes(v, count) < n)
			n = (uint32_t)iov_bytes(v, count);
		if (!(flags & CLIENT_DISCARD))
			ring_read_pieces(c, &view, tail + (uint32_t)sizeof(*header), v, count, n);
		if (!(flags & CLIENT_PEEK)) {
			tail += dgram_record_size(header->length);
			atomic_store_explicit(&line->receive_tail, tail, memory_order_release);
		}
	}
	line_unlock(&line->receive_lock);
	if (rc == 0) {
		if (!(flags & CLIENT_PEEK))
			receive_tell(c, id, view.newest.size, used, tail);
		return header->length;
	}
	error = client_take_error(c, id);
	if (error)
		return -error;
	return state & LINE_READ_CLOSED || !client_alive(c) ? 0 : -EAGAIN;
}

uint32_t client_receive_queued(struct client *c, uint32_t id)
{
	const struct sock_line *line = client_line(c, id);
	struct dgram_header header;
	struct ring_view view;
	uint32_t tail, used;

	if (!(atomic_load(&line->state) & LINE_DATAGRAM))
		return atomic_load(&line->receive_head) - atomic_load(&line->receive_tail);
	/* The size of the next one, as FIONREAD has it. */
	return look(c, id, &view, &tail, &used, &header) == 0 ? header.length : 0;
}
