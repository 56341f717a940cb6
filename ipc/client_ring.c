/* SPDX-License-Identifier: BSD-3-Clause */
/* Where the bytes of a line's rings lie (line.h: at most two extents), copying in pieces, and when to tell the daemon that an index
 * moved. */
#include "ipc/client_private.h"

#include <string.h>

#define GROW_LEAST (16u << 10)

/* The daemon changes an extent's entry, then the epoch. Same epoch before and after: the copy is whole. */
void ring_look(const struct line_ring *ring, struct ring_view *view)
{
	struct line_extent extents[2];
	uint32_t epoch;

	do {
		epoch = atomic_load_explicit(&ring->epoch, memory_order_acquire);
		extents[0] = ring->extents[0];
		extents[1] = ring->extents[1];
		atomic_thread_fence(memory_order_acquire);
	} while (atomic_load_explicit(&ring->epoch, memory_order_relaxed) != epoch);
	view->newest = epoch ? extents[epoch & 1] : (struct line_extent){ 0 };
	view->older = epoch > 1 ? extents[(epoch + 1) & 1] : (struct line_extent){ 0 };
}

uint8_t *ring_at(const struct client *c, const struct ring_view *view, uint32_t index, uint32_t *n)
{
	const struct line_extent *e = &view->newest;
	uint32_t offset;

	if (view->older.size && (int32_t)(index - view->newest.from) < 0) {
		e = &view->older;
		if (*n > view->newest.from - index)
			*n = view->newest.from - index;
	}
	offset = index & (e->size - 1);
	if (*n > e->size - offset)
		*n = e->size - offset;
	return c->region.data + (uint64_t)e->page * REGION_PAGE + offset;
}

void ring_write(const struct client *c, const struct ring_view *view, uint32_t index, const void *bytes, uint32_t n)
{
	const uint8_t *from = bytes;

	while (n) {
		uint32_t run = n;
		uint8_t *to = ring_at(c, view, index, &run);

		memcpy(to, from, run);
		from += run;
		index += run;
		n -= run;
	}
}

void ring_read(const struct client *c, const struct ring_view *view, uint32_t index, void *bytes, uint32_t n)
{
	uint8_t *to = bytes;

	while (n) {
		uint32_t run = n;
		const uint8_t *from = ring_at(c, view, index, &run);

		memcpy(to, from, run);
		to += run;
		index += run;
		n -= run;
	}
}

size_t iov_bytes(const struct iovec *v, int count)
{
	size_t n = 0;
	int i;

	for (i = 0; i < count; i++)
		n += v[i].iov_len;
	return n;
}

uint32_t ring_write_pieces(const struct client *c, const struct ring_view *view, uint32_t index, const struct iovec *v, int count,
	uint32_t n)
{
	uint32_t left = n;
	int i;

	for (i = 0; i < count && left; i++) {
		uint32_t piece = v[i].iov_len < left ? (uint32_t)v[i].iov_len : left;

		ring_write(c, view, index, v[i].iov_base, piece);
		index += piece;
		left -= piece;
	}
	return n - left;
}

uint32_t ring_read_pieces(const struct client *c, const struct ring_view *view, uint32_t index, const struct iovec *v, int count,
	uint32_t n)
{
	uint32_t left = n;
	int i;

	for (i = 0; i < count && left; i++) {
		uint32_t piece = v[i].iov_len < left ? (uint32_t)v[i].iov_len : left;

		ring_read(c, view, index, v[i].iov_base, piece);
		index += piece;
		left -= piece;
	}
	return n - left;
}

/* ---- sending ---- */

uint32_t send_room_from(const struct sock_line *line, uint32_t tail, uint32_t capacity)
{
	uint32_t limit = atomic_load_explicit(&line->send_limit, memory_order_relaxed);
	uint32_t used = atomic_load_explicit(&line->send_head, memory_order_relaxed) - tail;

	if (limit > capacity)
		limit = capacity;
	return used < limit ? limit - used : 0;
}

uint32_t send_room(const struct sock_line *line, uint32_t capacity)
{
	return send_room_from(line, atomic_load_explicit(&line->send_tail, memory_order_acquire), capacity);
}

uint32_t send_unsent_room(const struct sock_line *line)
{
	uint32_t low = atomic_load_explicit(&line->notsent_low, memory_order_acquire), unsent;

	if (low == 0)
		return UINT32_MAX;
	unsent = atomic_load_explicit(&line->send_head, memory_order_relaxed) - atomic_load_explicit(&line->send_next, memory_order_acquire);
	return unsent < low ? low - unsent : 0;
}

static bool roomy(const struct sock_line *line)
{
	struct ring_view view;
	uint32_t size;

	ring_look(&line->send, &view);
	size = view.newest.size;
	/* Without memory the first send asks for some. As the stack, and Linux, see it: a third of the buffer must be free. */
	return send_unsent_room(line) > 0 && (size == 0 || send_room(line, size) >= size / 3);
}

void send_tell(struct client *c, uint32_t id)
{
	struct request q = { .op = REQ_SENT, .line = id };

	if (atomic_exchange(&client_line(c, id)->send_posted, 1) == 0)
		client_post(c, &q);
}

/* A larger ring, for the next time: while the daemon thinks it over what fits is used. */
void send_ask_for_more(struct client *c, uint32_t id, uint32_t least)
{
	struct sock_line *line = client_line(c, id);
	uint32_t limit = atomic_load_explicit(&line->send_limit, memory_order_relaxed), want;
	struct ring_view view;

	ring_look(&line->send, &view);
	if (view.newest.size >= limit || atomic_load_explicit(&line->state, memory_order_relaxed) & LINE_GROW_REFUSED)
		return;
	want = view.newest.size < REGION_EXTENT_MOST / 2 ? 2 * view.newest.size : REGION_EXTENT_MOST;
	if (want < least)
		want = least < REGION_EXTENT_MOST ? least : REGION_EXTENT_MOST;
	send_grow(c, id, want, false);
}

/* Says that a sender found no room, then looks again: either we see what the daemon freed, or it sees that we wait. How far it has
 * come with sending it says when it is asked. */
bool send_writable_now(struct client *c, uint32_t id)
{
	struct sock_line *line = client_line(c, id);

	if (roomy(line))
		return true;
	atomic_store_explicit(&line->send_blocked, 1, memory_order_relaxed);
	doorbell_fence();
	if (roomy(line))
		return true;
	if (send_unsent_room(line) == 0)
		send_tell(c, id);
	return false;
}

int send_grow(struct client *c, uint32_t id, uint32_t want, bool wait)
{
	struct sock_line *line = client_line(c, id);
	struct request q = { .op = REQ_GROW_SEND, .line = id, .a = want < GROW_LEAST ? GROW_LEAST : want };

	if (wait)
		return client_call(c, &q, NULL);
	if (atomic_exchange(&line->grow_posted, 1))
		return 0;
	return client_post(c, &q);
}

/* ---- receiving ---- */

/* The daemon need not hear of every read: when a quarter of the ring was read since it last heard, or the window was nearly shut. */
void receive_tell(struct client *c, uint32_t id, uint32_t capacity, uint32_t used_before, uint32_t tail)
{
	struct sock_line *line = client_line(c, id);
	struct request q = { .op = REQ_RECEIVED, .line = id };
	uint32_t unheard = tail - atomic_load_explicit(&line->receive_reported, memory_order_relaxed);

	if (unheard < capacity / 4 && used_before < capacity - capacity / 4)
		return;
	atomic_store_explicit(&line->receive_reported, tail, memory_order_relaxed);
	if (atomic_exchange(&line->receive_posted, 1) == 0)
		client_post(c, &q);
}
