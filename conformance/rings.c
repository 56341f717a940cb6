/* SPDX-License-Identifier: BSD-3-Clause */
/* The other side of a socket's rings, as bytering.h describes it: a byte lies at extent base + (index & (size - 1)), in the
 * newest extent that begins at or before it. */
#include "rings.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static bool lend(void *context, ep_id id, uint64_t owner, enum ep_side side, uint32_t want, uint32_t from,
	struct ring_extent *extent)
{
	struct rings *r = context;
	struct ring_socket *socket = owner == RINGS_OWNER ? rings_find_or_null(r, id) : NULL;
	if (owner == RINGS_OWNER && !socket)
		socket = r->opening;
	struct ring_side *s = socket ? &socket->sides[side] : NULL;
	if (s && s->count == 2)
		return false;
	extent->base = malloc(want);
	extent->size = want;
	if (!extent->base)
		return false;
	if (s) {
		s->extents[s->count] = *extent;
		s->from[s->count++] = from;
	}
	return true;
}

static void give_back(void *context, ep_id id, uint64_t owner, enum ep_side side, struct ring_extent extent)
{
	struct rings *r = context;
	struct ring_socket *socket = owner == RINGS_OWNER ? rings_find_or_null(r, id) : NULL;
	if (socket) {
		struct ring_side *s = &socket->sides[side];
		if (s->count && s->extents[0].base == extent.base) {
			s->extents[0] = s->extents[1];
			s->from[0] = s->from[1];
		}
		s->count -= s->count > 0;
	}
	free(extent.base);
}

static uint8_t *place(const struct ring_side *s, uint32_t index)
{
	unsigned newest = s->count == 2 && (int32_t)(index - s->from[1]) >= 0;
	const struct ring_extent *e = &s->extents[newest];
	return e->base + (index & (e->size - 1));
}

static void copy_out(const struct ring_side *s, uint32_t index, void *to, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		((uint8_t *)to)[i] = *place(s, index + i);
}

static void copy_in(const struct ring_side *s, uint32_t index, const void *from, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		*place(s, index + i) = ((const uint8_t *)from)[i];
}

/* Bytes that fit behind head, as bytering_room counts them. */
static uint32_t room(const struct ring_socket *socket)
{
	const struct ring_side *s = &socket->sides[EP_SEND];
	return s->count ? s->extents[s->count - 1].size - (socket->send_head - socket->send_tail) : 0;
}

void rings_host(struct rings *r, struct ep_host *host)
{
	*host = (struct ep_host){ .context = r, .lend = lend, .give_back = give_back };
}

int rings_open(struct rings *r, struct stack *stack, enum ep_type type, ep_id *out)
{
	struct ring_socket *socket = rings_find_or_null(r, 0);
	if (!socket)
		return -EMFILE;
	*socket = (struct ring_socket){ 0 };
	struct ep_sharing sharing = {
		&socket->receive_head, &socket->receive_tail, &socket->send_head, &socket->send_tail,
	};
	r->opening = socket;
	int result = ep_open(stack, type, RINGS_OWNER, &sharing, out);
	r->opening = NULL;
	if (result == 0)
		socket->id = *out;
	return result;
}

struct ring_socket *rings_find_or_null(struct rings *r, ep_id id)
{
	for (unsigned i = 0; i < RINGS_MAX; i++)
		if (r->sockets[i].id == id)
			return &r->sockets[i];
	return NULL;
}

int64_t rings_receive(struct stack *stack, struct ring_socket *socket, struct dgram_header *header, uint8_t *bytes,
	uint32_t max)
{
	uint32_t head = socket->receive_head, tail = socket->receive_tail;
	if (head == tail)
		return -EAGAIN;
	if (head - tail < sizeof(*header))
		return -EPROTO;
	copy_out(&socket->sides[EP_RECEIVE], tail, header, sizeof(*header));
	if (header->length > head - tail || dgram_record_size(header->length) > head - tail)
		return -EPROTO;
	uint32_t n = header->length < max ? header->length : max;
	copy_out(&socket->sides[EP_RECEIVE], tail + (uint32_t)sizeof(*header), bytes, n);
	socket->receive_tail = tail + dgram_record_size(header->length);
	int result = ep_received(stack, socket->id);
	return result < 0 ? result : (int64_t)header->length;
}

int64_t rings_send(struct stack *stack, struct ring_socket *socket, const struct dgram_header *header,
	const uint8_t *bytes)
{
	static const uint8_t zeros[16];
	uint32_t size = dgram_record_size(header->length), head = socket->send_head;
	if (room(socket) < size) {
		int result = ep_grow_send(stack, socket->id, head - socket->send_tail + size);
		if (result < 0 || room(socket) < size)
			return result < 0 ? result : -EAGAIN;
	}
	struct ring_side *s = &socket->sides[EP_SEND];
	copy_in(s, head, header, sizeof(*header));
	copy_in(s, head + (uint32_t)sizeof(*header), bytes, header->length);
	copy_in(s, head + (uint32_t)sizeof(*header) + header->length, zeros,
		size - (uint32_t)sizeof(*header) - header->length);
	socket->send_head = head + size;
	int result = ep_sent(stack, socket->id);
	return result < 0 ? result : (int64_t)header->length;
}
