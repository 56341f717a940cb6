/* SPDX-License-Identifier: BSD-3-Clause */
/* Endpoints: their life, their memory, their events; and the calls of endpoint.h that control one. Each call finds the
 * endpoint by its handle and leaves what depends on the protocol to its ep_ops. */
#include "layers.h"

#include <errno.h>
#include <stdlib.h>

#define RING_FIRST 16384u       /* the first extent of a stream; it doubles on demand */
#define RING_MIN 4096u
#define RING_MOST (UINT32_C(1) << 30)
#define DATAGRAM_BUFFER 212992u /* as Linux's rmem_default */
#define DATAGRAM_MOST 131072u   /* room for one datagram of any size, whatever the limit, as on Linux */

static uint32_t power_of_two(uint32_t n)
{
	uint32_t size = RING_MIN;

	while (size < n && size < RING_MOST)
		size *= 2;
	return size;
}

static struct bytering *ring_of(struct endpoint *ep, enum ep_side side)
{
	return side == EP_SEND ? &ep->send : &ep->receive;
}

/* Bytes of streams came or went (tcp_settings.memory_high). */
static void memory_moved(struct stack *s)
{
	const struct tcp_settings *t = &s->config.tcp;

	if (t->memory_high == 0)
		return;
	if (s->stream_bytes_lent > t->memory_pressure && !s->memory_pressed) {
		s->memory_pressed = true;
		count(s, COUNT_TCP_MEMORY_PRESSURE);
	} else if (s->stream_bytes_lent <= t->memory_low) {
		s->memory_pressed = false;
	}
}

static void lent(struct stack *s, const struct endpoint *ep, struct ring_extent extent)
{
	s->extents_lent++;
	if (ep->type != EP_STREAM)
		return;
	s->stream_bytes_lent += extent.size;
	memory_moved(s);
}

/* What of `want` bytes may be lent; 0: nothing. A ring without memory always gets a little, so that nobody stands still. */
static uint32_t allowance(const struct stack *s, const struct endpoint *ep, const struct bytering *r, enum ep_side side, uint32_t want)
{
	uint64_t most = s->config.tcp.memory_high;

	if (most == 0 || ep->type != EP_STREAM)
		return want;
	if (r->current.size == 0)
		return s->memory_pressed || s->stream_bytes_lent + want > most ? RING_MIN : want;
	if (s->stream_bytes_lent + want > most || (side == EP_SEND && s->memory_pressed))
		return 0;
	return want;
}

static void give_back(struct stack *s, const struct endpoint *ep, enum ep_side side, struct ring_extent extent)
{
	CHECK(s->extents_lent > 0);
	s->extents_lent--;
	if (ep->type == EP_STREAM) {
		CHECK(s->stream_bytes_lent >= extent.size);
		s->stream_bytes_lent -= extent.size;
		memory_moved(s);
	}
	s->config.host.give_back(s->config.host.context, ep->id, ep->owner, side, extent);
}

static void strip(struct stack *s, struct endpoint *ep, enum ep_side side)
{
	struct ring_extent extents[2];
	unsigned n = bytering_strip(ring_of(ep, side), extents);

	for (unsigned i = 0; i < n; i++)
		give_back(s, ep, side, extents[i]);
}

/* ---- a host that lends nothing: rings from malloc, private indices ---- */

static bool malloc_lend(void *context, ep_id id, uint64_t owner, enum ep_side side, uint32_t want, uint32_t from,
			struct ring_extent *extent)
{
	(void)context, (void)id, (void)owner, (void)side, (void)from;
	extent->base = malloc(want);
	extent->size = want;
	return extent->base != NULL;
}

static void malloc_give_back(void *context, ep_id id, uint64_t owner, enum ep_side side, struct ring_extent extent)
{
	(void)context, (void)id, (void)owner, (void)side;
	free(extent.base);
}

static bool adopt_private(void *context, ep_id listener, uint64_t listener_owner, ep_id child, uint64_t *owner,
			  struct ep_sharing *sharing)
{
	(void)context, (void)listener, (void)listener_owner, (void)child;
	*owner = 0;
	*sharing = (struct ep_sharing){ 0 };
	return true;
}

/* ---- for the layers ---- */

bool endpoints_init(struct stack *s)
{
	struct ep_host *host = &s->config.host;

	if (!host->lend) {
		host->lend = malloc_lend;
		host->give_back = malloc_give_back;
	}
	if (!host->adopt)
		host->adopt = adopt_private;
	list_init(&s->events);
	list_init(&s->udp_waiting);
	return errors_init(s) && pool_init(&s->endpoints, sizeof(struct endpoint), s->config.max_endpoints);
}

void endpoints_free(struct stack *s)
{
	for (uint32_t i = 0; i < pool_end(&s->endpoints); i++) {
		struct endpoint *ep = pool_at_or_null(&s->endpoints, i);

		if (!ep)
			continue;
		strip(s, ep, EP_RECEIVE);
		strip(s, ep, EP_SEND);
	}
	errors_free(s);
	pool_free(&s->endpoints);
}

struct endpoint *ep_find(struct stack *s, ep_id id)
{
	struct endpoint *ep = pool_find_or_null(&s->endpoints, id);

	return ep && !ep->released ? ep : NULL;
}

struct endpoint *ep_new(struct stack *s, enum ep_type type, uint64_t owner)
{
	struct endpoint *ep = pool_take_or_null(&s->endpoints);

	if (!ep)
		return NULL;
	ep->id = pool_id(&s->endpoints, ep);
	ep->ops = type == EP_STREAM ? &tcp_ep_ops : &udp_ep_ops;
	ep->type = (uint8_t)type;
	ep->owner = owner;
	list_init(&ep->event_node);
	list_init(&ep->waiting_node);
	ep->linger = -1;
	ep->multicast_ttl = 1;
	ep->multicast_loop = ep->multicast_all = true;
	ep->mtu_discover = 1;
	ep->receive_low = 1;
	ep->receive_max = type == EP_STREAM ? s->config.tcp.receive_buffer_max : DATAGRAM_BUFFER;
	ep->send_max = type == EP_STREAM ? s->config.tcp.send_buffer_max : DATAGRAM_BUFFER;
	return ep;
}

void ep_event_raise(struct stack *s, struct endpoint *ep, uint32_t mask)
{
	if (ep->closed)
		mask &= EP_RELEASED;
	if (!mask)
		return;
	ep->event_mask |= mask;
	if (!list_linked(&ep->event_node))
		list_append(&s->events, &ep->event_node);
}

void ep_fail(struct stack *s, struct endpoint *ep, int error, uint32_t mask)
{
	ep->error = error;
	ep_event_raise(s, ep, EP_ERROR | mask);
}

void ep_release(struct stack *s, struct endpoint *ep)
{
	CHECK(!ep->released);
	port_unbind(s, ep);
	if (ep->type == EP_DATAGRAM && ep->groups)
		groups_release(s, ep);
	strip(s, ep, EP_RECEIVE);
	strip(s, ep, EP_SEND);
	errors_purge(s, ep);
	list_remove(&ep->waiting_node);
	ep->waiting = false;
	ep->listening = false;
	ep->tcp = NULL;
	if (!ep->closed) {  /* nobody ever owned it: nobody waits for the event */
		list_remove(&ep->event_node);
		pool_put(&s->endpoints, ep);
		return;
	}
	ep->released = true;
	ep->event_mask = 0;
	ep_event_raise(s, ep, EP_RELEASED);
}

bool ep_lend(struct stack *s, struct endpoint *ep, enum ep_side side, uint32_t want)
{
	struct bytering *r = ring_of(ep, side);
	uint32_t most = power_of_two(side == EP_SEND ? ep->send_max : ep->receive_max);
	uint32_t from = r->head;
	struct ring_extent extent;

	if (r->next.size)
		return false;
	if (ep->type == EP_DATAGRAM && most < DATAGRAM_MOST && want > most)
		most = DATAGRAM_MOST;
	if (want < RING_FIRST)
		want = RING_FIRST;
	want = power_of_two(want);
	if (want > most)
		want = most;
	want = allowance(s, ep, r, side, want);
	if (want <= r->current.size)
		return false;
	/* The writer may fill the old extent to its end (the stack with data beyond a gap, a program that has not heard
	 * yet): the new one begins behind all that. */
	if (r->current.size)
		from = r->tail + r->current.size;
	extent = (struct ring_extent){ .size = r->current.size };
	if (!s->config.host.lend(s->config.host.context, ep->id, ep->owner, side, want, from, &extent))
		return false;
	lent(s, ep, extent);
	if (extent.size <= r->current.size) {
		give_back(s, ep, side, extent);
		return false;
	}
	bytering_extend(r, extent, from);
	ep_settle(s, ep, side);
	return true;
}

bool ep_withdraw(struct stack *s, struct endpoint *ep, enum ep_side side)
{
	const struct ep_host *host = &s->config.host;
	struct bytering *r = ring_of(ep, side);
	struct ring_extent unused;

	if (!bytering_retract(r, &unused))
		return false;
	if (host->withdraw)
		host->withdraw(host->context, ep->id, ep->owner, side, r->current, r->tail);
	give_back(s, ep, side, unused);
	return true;
}

void ep_settle(struct stack *s, struct endpoint *ep, enum ep_side side)
{
	struct ring_extent old;

	if (bytering_settle(ring_of(ep, side), &old))
		give_back(s, ep, side, old);
}

unsigned stack_events(struct stack *s, struct ep_event *out, unsigned n)
{
	unsigned i;

	for (i = 0; i < n && !list_empty(&s->events); i++) {
		struct endpoint *ep = container_of(s->events.next, struct endpoint, event_node);

		list_remove(&ep->event_node);
		out[i] = (struct ep_event){ .ep = ep->id, .owner = ep->owner, .mask = ep->event_mask };
		ep->event_mask = 0;
		if (ep->released)
			pool_put(&s->endpoints, ep);
	}
	return i;
}

/* ---- the calls ---- */

static void share(struct endpoint *ep, const struct ep_sharing *sharing)
{
	static const struct ep_sharing private;

	if (!sharing)
		sharing = &private;
	bytering_share(&ep->receive, sharing->receive_head, sharing->receive_tail);
	bytering_share(&ep->send, sharing->send_head, sharing->send_tail);
}

int ep_open(struct stack *s, enum ep_type type, uint64_t owner, const struct ep_sharing *sharing, ep_id *out)
{
	struct endpoint *ep;
	int error;

	if (type != EP_STREAM && type != EP_DATAGRAM)
		return -EINVAL;
	ep = ep_new(s, type, owner);
	if (!ep)
		return -ENFILE;
	share(ep, sharing);
	error = ep->ops->open(s, ep);
	if (error) {
		ep_release(s, ep);
		return error;
	}
	*out = ep->id;
	return 0;
}

int ep_bind(struct stack *s, ep_id id, const struct ep_name *name)
{
	struct endpoint *ep = ep_find(s, id);
	int error;

	if (!ep || ep->closed)
		return -EBADF;
	if (ep->local.port)
		return -EINVAL;
	if (!ipaddr_is_ip4(&name->addr) && !ipaddr_is_any(&name->addr))
		return -EAFNOSUPPORT;
	error = port_bind(s, ep, name);
	return error ? error : ep->ops->bound(s, ep);
}

int ep_listen(struct stack *s, ep_id id, uint32_t backlog)
{
	struct endpoint *ep = ep_find(s, id);
	int error;

	if (!ep || ep->closed)
		return -EBADF;
	if (ep->type != EP_STREAM)
		return -EOPNOTSUPP;
	if (ep->peer.port)
		return -EINVAL;
	if (!ep->bound) {
		error = port_bind(s, ep, &(struct ep_name){ .port = 0 });
		if (error)
			return error;
	}
	error = port_may_listen(s, ep);
	if (!error)
		error = ep->ops->listen(s, ep, backlog);
	if (!error)
		ep->listening = true;
	return error;
}

int ep_accept(struct stack *s, ep_id id, ep_id *child_id, struct ep_name *peer)
{
	struct endpoint *ep = ep_find(s, id), *child;
	int error;

	if (!ep || ep->closed)
		return -EBADF;
	if (ep->type != EP_STREAM)
		return -EOPNOTSUPP;
	error = ep->ops->accept(s, ep, &child);
	if (error)
		return error;
	*child_id = child->id;
	if (peer)
		*peer = child->peer;
	return 0;
}

int ep_accepted(struct stack *s, ep_id id)
{
	struct endpoint *ep = ep_find(s, id);

	if (!ep)
		return -EBADF;
	return ep->type == EP_STREAM ? ep->ops->accepted(s, ep) : -EOPNOTSUPP;
}

int ep_connect(struct stack *s, ep_id id, const struct ep_name *peer)
{
	struct endpoint *ep = ep_find(s, id);

	if (!ep || ep->closed)
		return -EBADF;
	if (peer && !ipaddr_is_ip4(&peer->addr) && !ipaddr_is_any(&peer->addr))
		return -EAFNOSUPPORT;
	return ep->ops->connect(s, ep, peer);
}

int ep_shutdown(struct stack *s, ep_id id, enum ep_how how)
{
	struct endpoint *ep = ep_find(s, id);

	if (!ep || ep->closed)
		return -EBADF;
	if (how < EP_SHUT_READ || how > EP_SHUT_BOTH)
		return -EINVAL;
	return ep->ops->shutdown(s, ep, how);
}

int ep_close(struct stack *s, ep_id id)
{
	struct endpoint *ep = ep_find(s, id);

	if (!ep || ep->closed)
		return -EBADF;
	ep->closed = true;
	list_remove(&ep->event_node);
	ep->event_mask = 0;
	ep->ops->close(s, ep);
	return 0;
}

int ep_abort(struct stack *s, ep_id id)
{
	struct endpoint *ep = ep_find(s, id);

	if (!ep)
		return -EBADF;
	ep->closed = true;
	list_remove(&ep->event_node);
	ep->event_mask = 0;
	ep->ops->abort(s, ep);
	return 0;
}

int ep_set_owner(struct stack *s, ep_id id, uint64_t owner, const struct ep_sharing *sharing)
{
	struct endpoint *ep = ep_find(s, id);

	if (!ep || ep->closed)
		return -EBADF;
	ep->owner = owner;
	share(ep, sharing);
	return 0;
}

int ep_local(struct stack *s, ep_id id, struct ep_name *name)
{
	struct endpoint *ep = ep_find(s, id);

	if (!ep)
		return -EBADF;
	*name = ep->local;
	if (ipaddr_is_any(&name->addr))
		name->addr = ipaddr_from_ip4(0);
	return 0;
}

int ep_peer(struct stack *s, ep_id id, struct ep_name *name)
{
	struct endpoint *ep = ep_find(s, id);

	if (!ep)
		return -EBADF;
	if (!ep->peer.port)
		return -ENOTCONN;
	*name = ep->peer;
	return 0;
}

uint32_t ep_ready(struct stack *s, ep_id id)
{
	struct endpoint *ep = ep_find(s, id);

	if (!ep || ep->closed)
		return EP_ERROR | EP_HANGUP;
	return ep->ops->ready(s, ep) | (ep->error ? EP_ERROR : 0) | (ep->errors ? EP_QUEUED : 0);
}

int ep_take_error(struct stack *s, ep_id id)
{
	struct endpoint *ep = ep_find(s, id);
	int error;

	if (!ep)
		return EBADF;
	error = ep->error;
	ep->error = 0;
	return error;
}

static void fill_info(const struct stack *s, const struct endpoint *ep, struct ep_info *info)
{
	*info = (struct ep_info){
		.ep = ep->id, .owner = ep->owner, .type = (enum ep_type)ep->type, .state = TCP_CLOSED,
		.local = ep->local, .peer = ep->peer,
		.receive_queued = bytering_used(&ep->receive), .send_queued = bytering_used(&ep->send),
		.receive_buffer = bytering_capacity(&ep->receive), .send_buffer = bytering_capacity(&ep->send),
	};
	ep->ops->info(s, ep, info);
}

int ep_info(struct stack *s, ep_id id, struct ep_info *info)
{
	struct endpoint *ep = ep_find(s, id);

	if (!ep)
		return -EBADF;
	fill_info(s, ep, info);
	return 0;
}

#define WALK_EXTRA 0x80000000u  /* the cursor has passed all endpoints: tcp_walk_extra has the rest of it */

bool ep_walk(struct stack *s, uint32_t *cursor, struct ep_info *info)
{
	uint32_t extra;

	while (!(*cursor & WALK_EXTRA)) {
		const struct endpoint *ep = pool_at_or_null(&s->endpoints, *cursor);

		if (*cursor >= pool_end(&s->endpoints)) {
			*cursor = WALK_EXTRA;
			break;
		}
		(*cursor)++;
		if (!ep || ep->released)
			continue;
		fill_info(s, ep, info);
		return true;
	}
	extra = *cursor & ~WALK_EXTRA;
	if (!tcp_walk_extra(s, &extra, info))
		return false;
	*cursor = extra | WALK_EXTRA;
	return true;
}

static const char *check_ring(const struct bytering *r)
{
	if (r->head - r->tail > bytering_capacity(r) && !(r->head - r->tail <= r->current.size))
		return "endpoint: a ring holds more than its memory";
	if (r->next.size && r->switch_at - r->tail > r->current.size)
		return "endpoint: a ring's switch lies beyond its old memory";
	return NULL;
}

const char *endpoints_check(const struct stack *s)
{
	uint32_t events = 0, linked = 0, extents = 0, errors = 0;
	uint64_t bytes = 0;

	for (uint32_t i = 0; i < pool_end(&s->endpoints); i++) {
		const struct endpoint *ep = pool_at_or_null(&s->endpoints, i);
		const char *wrong;

		if (!ep)
			continue;
		if (list_linked(&ep->event_node) != (ep->event_mask != 0))
			return "endpoint: its events and the list of events disagree";
		linked += ep->event_mask != 0;
		extents += (ep->receive.current.size != 0) + (ep->receive.next.size != 0) + (ep->send.current.size != 0) +
			   (ep->send.next.size != 0);
		if (ep->type == EP_STREAM)
			bytes += (uint64_t)ep->receive.current.size + ep->receive.next.size + ep->send.current.size + ep->send.next.size;
		if (ep->released)
			continue; /* its rings were stripped with what lay in them */
		wrong = errors_check(ep, &errors);
		if (!wrong)
			wrong = check_ring(&ep->receive);
		if (!wrong)
			wrong = check_ring(&ep->send);
		if (!wrong)
			wrong = ep->ops->check(s, ep);
		if (wrong)
			return wrong;
	}
	list_for_each(node, &s->events)
		events++;
	if (events != linked)
		return "endpoint: an event is on the list twice, or not";
	if (errors != s->queued_errors.used)
		return "endpoint: a queued error is lost";
	if (bytes != s->stream_bytes_lent)
		return "endpoint: the bytes lent to streams do not add up";
	return extents == s->extents_lent ? NULL : "endpoint: an extent is lost";
}
