/* SPDX-License-Identifier: BSD-3-Clause */
/* Receiving through a spread: what other cores handed over, then the device, whose frames are dealt out; sleeping; and its life. */
#include "spread.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "spread_lanes.h"
#include "stack/base/check.h"

#define OVER_SLOTS 1024u        /* packets handed over to a core that has not looked yet */
#define BACK_SLOTS 1024u
#define SEND_SLOTS 512u
#define SPARES 128u             /* of 64 KB, touched when used */
#define PACKETS 1024u
#define SUPER_FRAME (65536u + 64)
#define HEADERS 64u             /* of a frame, beyond the MTU */

static const char *const count_names[SPREAD_COUNTS] = {
	[SPREAD_OUT] = "handed to other cores",
	[SPREAD_IN] = "from other cores",
	[SPREAD_COPIES] = "copied to other cores",
	[SPREAD_REDIRECTED] = "whole datagrams to other cores",
	[SPREAD_SENT_FOR_OTHERS] = "sent for other cores",
	[SPREAD_LOST_FULL] = "lost: core behind",
	[SPREAD_LOST_COPY] = "lost: no packet for a copy",
	[SPREAD_LOST_SEND] = "lost: too long to send for another core",
	[SPREAD_WAKES] = "cores woken",
};

static struct spread_core *core_of(struct link *l)
{
	return (struct spread_core *)(void *)l;
}

/* ---- receiving ---- */

static void stage(struct spread_core *c, unsigned core, struct pkt *p)
{
	struct spread_queue *q = &c->staged[core];

	q->packets[q->count++] = p;
}

/* Hands over what was staged: at most a burst from the device for each core, so that it always fits. */
static void hand_over(struct spread_core *c)
{
	uint32_t rung = 0;

	for (unsigned o = 0; o < c->spread->config.cores; o++) {
		struct spread_queue *q = &c->staged[o];
		unsigned put;

		if (q->count == 0)
			continue;
		put = lane_put(c->spread->over[c->number][o], q->packets, q->count);
		c->counts[SPREAD_OUT] += put;
		if (put < q->count) {
			c->counts[SPREAD_LOST_FULL] += q->count - put;
			spread_give(c, q->packets + put, q->count - put);
		}
		q->count = 0;
		rung |= (uint32_t)(put > 0) << o;
	}
	if (rung)
		spread_wake(c, rung);
}

static void copy_to_all(struct spread_core *c, const struct pkt *p)
{
	for (unsigned o = 0; o < c->spread->config.cores; o++) {
		struct pkt *copy;

		if (o == c->number)
			continue;
		if (pktpool_take(&c->spare, &c->link, &copy, 1) != 1) {
			c->counts[SPREAD_LOST_COPY]++;
			continue;
		}
		copy->core = (uint16_t)c->number;
		if (spread_copy(copy, p)) {
			c->counts[SPREAD_COPIES]++;
			stage(c, o, copy);
		} else {
			c->counts[SPREAD_LOST_COPY]++;
			pktpool_give(&c->spare, &copy, 1);
		}
	}
}

/* From the device: what is for this core to out, the rest to the others. At most n packets. */
static unsigned receive_device(struct spread_core *c, struct pkt **out, unsigned n)
{
	const struct spread_config *config = &c->spread->config;
	struct pkt *burst[SPREAD_BURST];
	unsigned got, kept = 0;

	got = c->queue->ops->receive(c->queue, burst, n < SPREAD_BURST ? n : SPREAD_BURST);
	for (unsigned i = 0; i < got; i++) {
		struct pkt *p = burst[i];
		unsigned core;

		if (i + 1 < got)
			__builtin_prefetch(burst[i + 1]->data);
		p->core = (uint16_t)c->number;
		p->link = &c->link;
		core = config->spread_by_device ? steer_frame_spread(config->steer, p->data, p->len)
						: steer_frame(config->steer, p->data, p->len);
		if (core == STEER_ALL)
			copy_to_all(c, p);
		if (core == STEER_ALL || core == STEER_HERE || core == c->number)
			out[kept++] = p;
		else
			stage(c, core, p);
	}
	if (got > 0)
		hand_over(c);
	return kept;
}

/* From the other cores, each in its turn first. */
static unsigned receive_over(struct spread_core *c, struct pkt **out, unsigned n)
{
	unsigned cores = c->spread->config.cores, got = 0;

	for (unsigned i = 0; i < cores && got < n; i++) {
		unsigned from = (c->first + i) % cores;

		if (from != c->number)
			got += lane_take(c->spread->over[from][c->number], out + got, n - got);
	}
	c->first = c->first + 1 < cores ? c->first + 1 : 0;
	for (unsigned i = 0; i < got; i++)
		out[i]->link = &c->link;
	c->counts[SPREAD_IN] += got;
	return got;
}

/* What the device's link says of itself, for the cores that have none too. */
static void follow_link(struct spread_core *c)
{
	if (!c->queue) {
		c->link.up = atomic_load_explicit(&c->spread->cores[c->through].up, memory_order_relaxed);
		return;
	}
	c->link.up = c->queue->up;
	c->link.stats.rx_dropped = c->queue->stats.rx_dropped + c->counts[SPREAD_LOST_FULL];
	c->link.stats.tx_dropped = c->queue->stats.tx_dropped + c->counts[SPREAD_LOST_SEND];
	if (atomic_load_explicit(&c->up, memory_order_relaxed) != c->link.up)
		atomic_store_explicit(&c->up, c->link.up, memory_order_relaxed);
}

/* Is there work that nobody will ring for? */
static bool stuck(const struct spread_core *c)
{
	bool late = c->sending.count > 0;

	for (unsigned o = 0; o < c->spread->config.cores; o++)
		late |= c->late[o] != NULL;
	return late;
}

static unsigned spread_receive(struct link *l, struct pkt **out, unsigned n)
{
	struct spread_core *c = core_of(l);
	const uint64_t one = 1;
	unsigned got;

	spread_collect(c);
	if (c->queue)
		spread_serve(c);
	/* A part of each burst is the device's, however much the others hand over. */
	got = receive_over(c, out, c->queue ? n - n / 4 : n);
	if (c->queue && got < n)
		got += receive_device(c, out + got, n - got);
	for (unsigned i = 0; i < got; i++)
		l->stats.rx_bytes += out[i]->len;
	l->stats.rx_packets += got;
	follow_link(c);
	/* The look before a sleep has found work that this core has to come back for. */
	if (c->armed && stuck(c))
		(void)!write(c->event_fd, &one, sizeof(one));
	return got;
}

static void spread_release(struct link *l, struct pkt **packets, unsigned n)
{
	spread_give(core_of(l), packets, n);
}

/* ---- sleeping ---- */

/* The device's descriptor is in the set from its first time on; another one takes its place. */
static int watch_device(struct spread_core *c, int fd)
{
	struct epoll_event event = { .events = EPOLLIN };

	if (c->device_fd >= 0 && c->device_fd != fd)
		epoll_ctl(c->epoll_fd, EPOLL_CTL_DEL, c->device_fd, NULL);  /* an error: it was closed, and is out of the set */
	c->device_fd = fd;
	return epoll_ctl(c->epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0 || errno == EEXIST ? 0 : -errno;
}

static int spread_arm(struct link *l)
{
	struct spread_core *c = core_of(l);
	int fd;

	if (stuck(c))
		return -1;
	if (c->queue) {
		fd = c->queue->ops->arm ? c->queue->ops->arm(c->queue) : -1;
		if (fd < 0)
			return -1;
		if (watch_device(c, fd) < 0) {
			if (c->queue->ops->disarm)
				c->queue->ops->disarm(c->queue);
			return -1;
		}
	}
	c->armed = true;
	atomic_store_explicit(&c->sleeps, 1, memory_order_relaxed);
	atomic_thread_fence(memory_order_seq_cst);  /* spread_wake has the other half */
	return c->queue ? c->epoll_fd : c->event_fd;
}

static void spread_disarm(struct link *l)
{
	struct spread_core *c = core_of(l);
	uint64_t rings;

	if (!c->armed)
		return;
	c->armed = false;
	atomic_store_explicit(&c->sleeps, 0, memory_order_relaxed);
	while (read(c->event_fd, &rings, sizeof(rings)) == sizeof(rings))
		;
	if (c->queue && c->queue->ops->disarm)
		c->queue->ops->disarm(c->queue);
}

/* ---- the rest of a link ---- */

static bool spread_counter(struct link *l, unsigned i, struct link_counter *out)
{
	struct spread_core *c = core_of(l);

	if (i >= SPREAD_COUNTS)
		return c->queue && c->queue->ops->counter && c->queue->ops->counter(c->queue, i - SPREAD_COUNTS, out);
	snprintf(out->name, sizeof(out->name), "%s", count_names[i]);
	out->value = c->counts[i];
	return true;
}

static int spread_group(struct link *l, uint32_t group, bool wanted)
{
	struct spread_core *c = core_of(l);
	struct link *queue = c->spread->config.queue[c->through];

	return queue->ops->group ? queue->ops->group(queue, group, wanted) : 0;
}

/* The device's queues are closed with the device. */
static void spread_close(struct link *l)
{
	l->up = 0;
}

static const struct link_ops spread_ops = {
	.name = "spread",
	.receive = spread_receive,
	.borrow = spread_borrow,
	.transmit = spread_transmit,
	.release = spread_release,
	.arm = spread_arm,
	.disarm = spread_disarm,
	.counter = spread_counter,
	.group = spread_group,
	.close = spread_close,
};

bool spread_redirect(struct link *l, struct pkt *p, unsigned core)
{
	struct spread_core *c = core_of(l);
	struct pkt *copy;

	if (core >= c->spread->config.cores || core == c->number || pktpool_take(&c->spare, l, &copy, 1) != 1) {
		c->counts[SPREAD_LOST_COPY]++;
		return false;
	}
	copy->core = (uint16_t)c->number;
	if (!spread_copy(copy, p) || lane_put(c->spread->over[c->number][core], &copy, 1) != 1) {
		c->counts[SPREAD_LOST_FULL]++;
		pktpool_give(&c->spare, &copy, 1);
		return false;
	}
	c->counts[SPREAD_REDIRECTED]++;
	p->link->ops->release(p->link, &p, 1);
	spread_wake(c, 1u << core);
	return true;
}

/* ---- life ---- */

static bool core_init(struct spread *s, unsigned number)
{
	struct spread_core *c = &s->cores[number];
	struct epoll_event event = { .events = EPOLLIN };
	uint32_t frame;

	c->spread = s;
	c->number = number;
	c->through = number % s->config.queues;
	c->queue = number < s->config.queues ? s->config.queue[number] : NULL;
	c->link = *s->config.queue[c->through];
	c->link.ops = &spread_ops;
	c->link.stats = (struct link_stats){ 0 };
	atomic_store(&c->up, c->link.up);
	c->device_fd = -1;
	c->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	c->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (c->event_fd < 0 || c->epoll_fd < 0 || epoll_ctl(c->epoll_fd, EPOLL_CTL_ADD, c->event_fd, &event) < 0)
		return false;
	frame = c->link.flags & LINK_TSO ? SUPER_FRAME : c->link.mtu + HEADERS;
	if (!c->queue && pktpool_open(&c->own, s->config.packets ? s->config.packets : PACKETS, frame) != 0)
		return false;
	if (!c->queue && !(s->send[number] = lane_new(SEND_SLOTS)))
		return false;
	for (unsigned o = 0; o < s->config.cores; o++)
		if (o != number && (!(s->over[number][o] = lane_new(OVER_SLOTS)) || !(s->back[number][o] = lane_new(BACK_SLOTS))))
			return false;
	return pktpool_open(&c->spare, SPARES, SUPER_FRAME) == 0;
}

struct spread *spread_new(const struct spread_config *config)
{
	struct spread *s = calloc(1, sizeof(*s));
	unsigned i;

	CHECK(config->cores >= 2 && config->cores <= STEER_CORES && config->queues >= 1 && config->queues <= config->cores);
	CHECK(config->steer && config->steer->cores == config->cores);
	if (!s)
		return NULL;
	s->config = *config;
	s->cores = aligned_alloc(64, config->cores * sizeof(*s->cores));
	if (!s->cores) {
		free(s);
		return NULL;
	}
	memset(s->cores, 0, config->cores * sizeof(*s->cores));
	for (i = 0; i < config->cores; i++)
		s->cores[i].event_fd = s->cores[i].epoll_fd = -1;
	for (i = 0; i < config->cores; i++)
		if (!core_init(s, i)) {
			spread_free(s);
			return NULL;
		}
	return s;
}

struct link *spread_link(struct spread *s, unsigned core)
{
	CHECK(core < s->config.cores);
	return &s->cores[core].link;
}

/* All that lies in a ring goes back, in the name of whoever would have read it. */
static void drain(struct spread *s, struct rte_ring *ring)
{
	struct pkt *p;

	while (ring && lane_take(ring, &p, 1) == 1)
		spread_give(&s->cores[p->core], &p, 1);
	free(ring);
}

void spread_free(struct spread *s)
{
	unsigned from, to;

	if (!s)
		return;
	for (from = 0; from < s->config.cores; from++) {
		struct spread_core *c = &s->cores[from];

		for (unsigned i = 0; i < c->sending.count; i++)
			spread_give(&s->cores[c->sending.packets[i]->core], &c->sending.packets[i], 1);
		for (to = 0; to < s->config.cores; to++) {
			while (c->late[to]) {
				struct pkt *p = c->late[to];

				c->late[to] = p->next;
				spread_give(&s->cores[to], &p, 1);
			}
			drain(s, s->over[from][to]);
			drain(s, s->back[from][to]);
		}
		drain(s, s->send[from]);
	}
	for (from = 0; from < s->config.cores; from++) {
		pktpool_close(&s->cores[from].own);
		pktpool_close(&s->cores[from].spare);
		if (s->cores[from].event_fd >= 0)
			close(s->cores[from].event_fd);
		if (s->cores[from].epoll_fd >= 0)
			close(s->cores[from].epoll_fd);
	}
	free(s->cores);
	free(s);
}
