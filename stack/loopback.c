/* SPDX-License-Identifier: BSD-3-Clause */
/* The link on which a host talks to itself (RFC 1122 3.2.1.3 (g)): a queue of 64 KB packets in memory. Nothing can
 * damage them, so checksums need not be filled in nor verified, and super-frames cross whole. */
#include "layers.h"

#include <stdlib.h>

#define LOOPBACK_PACKETS 512    /* stack_config.loopback_packets is 0 */
#define LOOPBACK_PACKETS_MIN 16
#define BUFFER_SIZE (PKT_HEADROOM + 65536 + 64)

struct loopback {
	struct link link;
	uint8_t *memory;            /* touched as packets are used, the last used first */
	struct pkt *free;
	struct pkt *first, **last;
	uint32_t queued, queue_max; /* the rest is for building packets while the queue is full */
	struct pkt packets[];
};

static struct loopback *loopback_of(struct link *link)
{
	return container_of(link, struct loopback, link);
}

static unsigned loopback_receive(struct link *link, struct pkt **out, unsigned n)
{
	struct loopback *l = loopback_of(link);
	unsigned i;

	for (i = 0; i < n && l->first; i++) {
		out[i] = l->first;
		l->first = out[i]->next;
		out[i]->next = NULL;
		l->queued--;
		link->stats.rx_packets++;
		link->stats.rx_bytes += out[i]->len;
	}
	if (!l->first)
		l->last = &l->first;
	return i;
}

static unsigned loopback_borrow_some(struct link *link, struct pkt **out, unsigned n)
{
	struct loopback *l = loopback_of(link);
	unsigned i;

	for (i = 0; i < n && l->free; i++) {
		out[i] = l->free;
		l->free = out[i]->next;
		pkt_reset(out[i]);
	}
	return i;
}

static void loopback_release(struct link *link, struct pkt **p, unsigned n)
{
	struct loopback *l = loopback_of(link);

	for (unsigned i = 0; i < n; i++) {
		CHECK(p[i]->link == link);
		p[i]->next = l->free;
		l->free = p[i];
	}
}

static unsigned loopback_transmit(struct link *link, struct pkt **p, unsigned n)
{
	struct loopback *l = loopback_of(link);
	unsigned i;

	for (i = 0; i < n && l->queued < l->queue_max; i++) {
		p[i]->flags = PKT_CSUM_GOOD;
		p[i]->next = NULL;
		*l->last = p[i];
		l->last = &p[i]->next;
		l->queued++;
		link->stats.tx_packets++;
		link->stats.tx_bytes += p[i]->len;
	}
	return i;
}

static void loopback_close(struct link *link)
{
	(void)link;  /* its stack frees it */
}

static const struct link_ops loopback_ops = {
	.name = "loopback",
	.receive = loopback_receive,
	.borrow = loopback_borrow_some,
	.transmit = loopback_transmit,
	.release = loopback_release,
	.close = loopback_close,
};

struct link *loopback_new(struct stack *s)
{
	uint32_t packets = s->config.loopback_packets ? s->config.loopback_packets : LOOPBACK_PACKETS;
	struct loopback *l;

	if (packets < LOOPBACK_PACKETS_MIN)
		packets = LOOPBACK_PACKETS_MIN;
	l = calloc(1, sizeof(*l) + packets * sizeof(l->packets[0]));
	if (!l)
		return NULL;
	l->memory = calloc(packets, BUFFER_SIZE);
	if (!l->memory) {
		free(l);
		return NULL;
	}
	l->queue_max = packets / 4 * 3;
	for (uint32_t i = packets; i-- > 0;) {
		struct pkt *p = &l->packets[i];

		p->buffer = l->memory + (size_t)i * BUFFER_SIZE;
		p->buffer_size = BUFFER_SIZE;
		p->link = &l->link;
		p->next = l->free;
		l->free = p;
	}
	l->last = &l->first;
	l->link.ops = &loopback_ops;
	l->link.mtu = 65535;
	l->link.flags = LINK_TSO | LINK_TX_CSUM | LINK_RX_CSUM | LINK_LOOPBACK;
	l->link.up = 1;
	s->loopback = l;
	return &l->link;
}

void loopback_free(struct stack *s)
{
	if (s->loopback)
		free(s->loopback->memory);
	free(s->loopback);
	s->loopback = NULL;
}

bool loopback_pending(const struct stack *s)
{
	return s->loopback->first != NULL;
}

struct pkt *loopback_borrow(struct stack *s)
{
	struct pkt *p;

	return loopback_borrow_some(&s->loopback->link, &p, 1) ? p : NULL;
}
