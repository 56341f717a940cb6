/* SPDX-License-Identifier: BSD-3-Clause */
/* A pair of queues over one pool of packets. A checksum left to the link counts as good at the other end: memory
 * does not err. */
#include "mem.h"

#include <stdlib.h>

#include "stack/base/check.h"

#define DEFAULT_PACKETS 1024u
#define DEFAULT_MTU 1500u
#define FRAME_EXTRA 18u     /* Ethernet and a VLAN tag */
#define SUPER_BYTES 65536u
#define ALIGNMENT 64u

struct mem_end {
	struct link link;   /* first: a struct link * of ours is one of these */
	struct mem_pair *pair;
	struct pkt *first, *last;
};

struct mem_pair {
	struct mem_end ends[2];
	struct pkt *packets, *free_list;
	uint8_t *buffers;
	uint32_t outstanding;
};

static struct mem_end *end_of(struct link *l)
{
	return (struct mem_end *)(void *)l;
}

static unsigned mem_receive(struct link *l, struct pkt **out, unsigned n)
{
	struct mem_end *e = end_of(l);
	unsigned i;

	for (i = 0; i < n && e->first; i++) {
		out[i] = e->first;
		e->first = out[i]->next;
		out[i]->next = NULL;
		out[i]->link = l;
		l->stats.rx_packets++;
		l->stats.rx_bytes += out[i]->len;
	}
	if (!e->first)
		e->last = NULL;
	e->pair->outstanding += i;
	return i;
}

static unsigned mem_borrow(struct link *l, struct pkt **out, unsigned n)
{
	struct mem_pair *pair = end_of(l)->pair;
	unsigned i;

	for (i = 0; i < n && pair->free_list; i++) {
		out[i] = pair->free_list;
		pair->free_list = out[i]->next;
		pkt_reset(out[i]);
		out[i]->link = l;
	}
	pair->outstanding += i;
	return i;
}

static void mem_release(struct link *l, struct pkt **packets, unsigned n)
{
	struct mem_pair *pair = end_of(l)->pair;
	unsigned i;

	CHECK(pair->outstanding >= n);
	pair->outstanding -= n;
	for (i = 0; i < n; i++) {
		packets[i]->next = pair->free_list;
		pair->free_list = packets[i];
	}
}

static unsigned mem_transmit(struct link *l, struct pkt **packets, unsigned n)
{
	struct mem_end *e = end_of(l), *to = &e->pair->ends[e == e->pair->ends];
	unsigned i;

	for (i = 0; i < n; i++) {
		struct pkt *p = packets[i];

		if (!to->link.up) {
			l->stats.tx_dropped++;
			mem_release(l, &p, 1);
			continue;
		}
		if (p->flags & PKT_CSUM_PARTIAL)
			p->flags = (p->flags & ~(uint32_t)PKT_CSUM_PARTIAL) | PKT_CSUM_GOOD;
		p->next = NULL;
		if (to->last)
			to->last->next = p;
		else
			to->first = p;
		to->last = p;
		l->stats.tx_packets++;
		l->stats.tx_bytes += p->len;
		CHECK(e->pair->outstanding > 0);
		e->pair->outstanding--;
	}
	return n;
}

/* The pair ends as a whole, by mem_pair_free. */
static void mem_close(struct link *l)
{
	l->up = 0;
}

static const struct link_ops mem_ops = {
	.name = "mem",
	.receive = mem_receive,
	.borrow = mem_borrow,
	.transmit = mem_transmit,
	.release = mem_release,
	.close = mem_close,
};

struct mem_pair *mem_pair_new(const struct mem_config *c)
{
	struct mem_pair *pair = calloc(1, sizeof(*pair));
	uint32_t n = c->packets ? c->packets : DEFAULT_PACKETS, i;
	uint16_t mtu = c->mtu ? c->mtu : DEFAULT_MTU;
	uint32_t size = PKT_HEADROOM + FRAME_EXTRA + (c->flags & LINK_TSO ? SUPER_BYTES : mtu);

	if (!pair)
		return NULL;
	size = (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
	pair->packets = calloc(n, sizeof(*pair->packets));
	pair->buffers = aligned_alloc(ALIGNMENT, (size_t)size * n);
	if (!pair->packets || !pair->buffers) {
		mem_pair_free(pair);
		return NULL;
	}
	for (i = 0; i < n; i++) {
		pair->packets[i].buffer = pair->buffers + (size_t)size * i;
		pair->packets[i].buffer_size = size;
		pair->packets[i].next = i + 1 < n ? &pair->packets[i + 1] : NULL;
	}
	pair->free_list = pair->packets;
	for (i = 0; i < 2; i++) {
		pair->ends[i].pair = pair;
		pair->ends[i].link = (struct link){ .ops = &mem_ops, .mac = { 2, 0, 0, 0, 1, (uint8_t)i },
			.mtu = mtu, .flags = c->flags, .up = 1 };
	}
	return pair;
}

struct link *mem_pair_link(struct mem_pair *pair, unsigned end)
{
	CHECK(end < 2);
	return &pair->ends[end].link;
}

void mem_pair_free(struct mem_pair *pair)
{
	if (!pair)
		return;
	free(pair->packets);
	free(pair->buffers);
	free(pair);
}

uint32_t mem_pair_outstanding(const struct mem_pair *pair)
{
	return pair->outstanding;
}
