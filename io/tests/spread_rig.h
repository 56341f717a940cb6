/* SPDX-License-Identifier: BSD-3-Clause */
/* For tests of io/spread: memory links as the queues of a device that can wake, and frames by which each core can be meant. */
#ifndef LIGHT_IO_TESTS_SPREAD_RIG_H
#define LIGHT_IO_TESTS_SPREAD_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cmocka.h>

#include "io/mem.h"
#include "io/spread.h"

#define RIG_QUEUES 2u

/* A queue: the near end of a memory link, with a doorbell. */
struct rig_queue {
	struct link link;       /* first */
	struct link *inner;
	int bell;
	unsigned armed;
	bool silent;            /* its arm says -1 */
	unsigned takes;         /* how many packets transmit takes yet */
};

struct rig {
	struct steer steer;
	struct spread *spread;
	struct mem_pair *pairs[RIG_QUEUES];
	struct link *far[RIG_QUEUES];   /* the wire's end of each queue */
	struct rig_queue queues[RIG_QUEUES];
	unsigned queue_count, cores;
};

static inline struct rig_queue *rig_queue_of(struct link *l)
{
	return (struct rig_queue *)(void *)l;
}

static inline unsigned rig_receive(struct link *l, struct pkt **out, unsigned n)
{
	struct link *inner = rig_queue_of(l)->inner;

	n = inner->ops->receive(inner, out, n);
	for (unsigned i = 0; i < n; i++)
		out[i]->link = l;
	return n;
}

static inline unsigned rig_borrow(struct link *l, struct pkt **out, unsigned n)
{
	struct link *inner = rig_queue_of(l)->inner;

	n = inner->ops->borrow(inner, out, n);
	for (unsigned i = 0; i < n; i++)
		out[i]->link = l;
	return n;
}

static inline unsigned rig_transmit(struct link *l, struct pkt **p, unsigned n)
{
	struct rig_queue *q = rig_queue_of(l);

	for (unsigned i = 0; i < n; i++)
		assert_ptr_equal(p[i]->link, l);        /* nobody else's memory comes to a queue */
	n = n < q->takes ? n : q->takes;
	q->takes -= n;
	return n ? q->inner->ops->transmit(q->inner, p, n) : 0;
}

static inline void rig_release(struct link *l, struct pkt **p, unsigned n)
{
	struct link *inner = rig_queue_of(l)->inner;

	for (unsigned i = 0; i < n; i++)
		assert_ptr_equal(p[i]->link, l);
	inner->ops->release(inner, p, n);
}

static inline int rig_arm(struct link *l)
{
	struct rig_queue *q = rig_queue_of(l);

	q->armed++;
	return q->silent ? -1 : q->bell;
}

static inline void rig_disarm(struct link *l)
{
	rig_queue_of(l)->armed--;
}

static inline bool rig_counter(struct link *l, unsigned i, struct link_counter *out)
{
	(void)l;
	*out = (struct link_counter){ .name = "the device's own", .value = 42 };
	return i == 0;
}

static inline void rig_close(struct link *l)
{
	l->up = 0;
}

static const struct link_ops rig_ops = {
	.name = "rig", .receive = rig_receive, .borrow = rig_borrow, .transmit = rig_transmit, .release = rig_release,
	.arm = rig_arm, .disarm = rig_disarm, .counter = rig_counter, .close = rig_close,
};

static inline void rig_open(struct rig *r, unsigned cores, unsigned queues, const struct mem_config *config, bool by_device)
{
	struct spread_config c = { .cores = cores, .queues = queues, .steer = &r->steer, .spread_by_device = by_device, .packets = 64 };

	memset(r, 0, sizeof(*r));
	steer_init(&r->steer, cores);
	r->cores = cores;
	r->queue_count = queues;
	for (unsigned i = 0; i < queues; i++) {
		struct rig_queue *q = &r->queues[i];

		r->pairs[i] = mem_pair_new(config);
		assert_non_null(r->pairs[i]);
		r->far[i] = mem_pair_link(r->pairs[i], 1);
		q->inner = mem_pair_link(r->pairs[i], 0);
		q->link = *q->inner;
		q->link.ops = &rig_ops;
		q->bell = eventfd(0, EFD_NONBLOCK);
		q->takes = UINT32_MAX;
		c.queue[i] = &q->link;
	}
	r->spread = spread_new(&c);
	assert_non_null(r->spread);
}

/* Everything has come back to where it is from. */
static inline void rig_close_all(struct rig *r)
{
	spread_free(r->spread);
	for (unsigned i = 0; i < r->queue_count; i++) {
		assert_int_equal(mem_pair_outstanding(r->pairs[i]), 0);
		mem_pair_free(r->pairs[i]);
		close(r->queues[i].bell);
	}
}

/* An Ethernet frame of IPv4 and UDP (or TCP) from 10.0.0.2:5000 to 10.0.0.1:port, `number` in its payload; len from 64. */
static inline uint32_t rig_frame(uint8_t *f, uint8_t protocol, uint16_t port, uint32_t number, uint32_t len)
{
	static const uint8_t start[38] = {
		2, 0, 0, 0, 1, 0, 2, 0, 0, 0, 1, 1, 0x08, 0x00,
		0x45, 0, 0, 0, 0, 0, 0, 0, 64, 0, 0, 0, 10, 0, 0, 2, 10, 0, 0, 1,
		0x13, 0x88, 0, 0,
	};

	memset(f, 0, len);
	memcpy(f, start, sizeof(start));
	f[16] = (uint8_t)((len - 14) >> 8);
	f[17] = (uint8_t)(len - 14);
	f[23] = protocol;
	f[36] = (uint8_t)(port >> 8);
	f[37] = (uint8_t)port;
	memcpy(f + 56, &number, 4);
	return len;
}

static inline uint32_t rig_number(const struct pkt *p)
{
	uint32_t number;

	assert_true(p->len >= 60);
	memcpy(&number, p->data + 56, 4);
	return number;
}

/* The wire gives a frame to a queue. False: the link's memory is out. */
static inline bool rig_give(struct rig *r, unsigned queue, const void *frame, uint32_t len)
{
	struct link *far = r->far[queue];
	struct pkt *p;

	if (far->ops->borrow(far, &p, 1) != 1)
		return false;
	memcpy(p->data, frame, len);
	p->len = len;
	assert_int_equal(far->ops->transmit(far, &p, 1), 1);
	return true;
}

static inline unsigned rig_take(struct rig *r, unsigned core, struct pkt **out, unsigned n)
{
	struct link *l = spread_link(r->spread, core);
	unsigned got = l->ops->receive(l, out, n);

	for (unsigned i = 0; i < got; i++)
		assert_ptr_equal(out[i]->link, l);
	return got;
}

static inline void rig_let_go(struct pkt *p)
{
	p->link->ops->release(p->link, &p, 1);
}

static inline uint64_t rig_count(struct rig *r, unsigned core, const char *name)
{
	struct link *l = spread_link(r->spread, core);
	struct link_counter c;

	for (unsigned i = 0; l->ops->counter(l, i, &c); i++)
		if (strcmp(c.name, name) == 0)
			return c.value;
	fail_msg("there is no counter '%s'", name);
	return 0;
}

#endif
