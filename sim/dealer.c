/* SPDX-License-Identifier: BSD-3-Clause */
/* A queue a core. What comes in is dealt out whenever any core looks; ARP is copied; what may stay where it came in goes to each core in
 * its turn, so that all are seen to do it. */
#include "dealer.h"

#include <stdlib.h>
#include <string.h>

#include "stack/base/check.h"

#define BURST 32u

struct dealt {
	struct link link;       /* first: a struct link * of ours is one of these */
	struct dealer *dealer;
	struct pkt *first, *last;
};

struct dealer {
	struct link *port;
	const struct steer *steer;
	uint32_t waiting, held;
	unsigned turn;
	struct dealt cores[STEER_CORES];
};

static struct dealt *dealt_of(struct link *l)
{
	return (struct dealt *)(void *)l;
}

static void put(struct dealer *d, unsigned core, struct pkt *p)
{
	struct dealt *to = &d->cores[core];

	CHECK(core < d->steer->cores);
	p->next = NULL;
	if (to->last)
		to->last->next = p;
	else
		to->first = p;
	to->last = p;
	d->waiting++;
}

/* One of the port's. */
static void deal_to(struct dealer *d, unsigned core, struct pkt *p)
{
	p->link = &d->cores[core].link;
	d->held++;
	put(d, core, p);
}

static struct pkt *take(struct dealer *d, unsigned core)
{
	struct dealt *from = &d->cores[core];
	struct pkt *p = from->first;

	if (!p)
		return NULL;
	from->first = p->next;
	if (!from->first)
		from->last = NULL;
	p->next = NULL;
	d->waiting--;
	if (p->link == &from->link)
		d->held--;
	return p;
}

static void copy_to_others(struct dealer *d, const struct pkt *p)
{
	struct pkt *copy;
	unsigned core;

	for (core = 1; core < d->steer->cores; core++) {
		/* No packet: this core hears it another time, as if the network had lost it. */
		if (d->port->ops->borrow(d->port, &copy, 1) != 1)
			return;
		if (pkt_tailroom(copy) < p->len) {
			d->port->ops->release(d->port, &copy, 1);
			return;
		}
		memcpy(copy->data, p->data, p->len);
		copy->len = p->len;
		copy->flags = p->flags;
		copy->stamp = p->stamp;
		deal_to(d, core, copy);
	}
}

static void deal(struct dealer *d)
{
	struct pkt *burst[BURST];
	unsigned n, i, core;

	while ((n = d->port->ops->receive(d->port, burst, BURST)) > 0) {
		for (i = 0; i < n; i++) {
			core = steer_frame(d->steer, burst[i]->data, burst[i]->len);
			if (core == STEER_ALL) {
				copy_to_others(d, burst[i]);
				core = 0;
			} else if (core == STEER_HERE) {
				core = d->turn++ % d->steer->cores;
			}
			deal_to(d, core, burst[i]);
		}
	}
}

static unsigned dealt_receive(struct link *l, struct pkt **out, unsigned n)
{
	struct dealt *c = dealt_of(l);
	unsigned core = (unsigned)(c - c->dealer->cores), i;

	deal(c->dealer);
	for (i = 0; i < n && (out[i] = take(c->dealer, core)); i++) {
		l->stats.rx_packets++;
		l->stats.rx_bytes += out[i]->len;
	}
	l->up = c->dealer->port->up;
	return i;
}

static unsigned dealt_borrow(struct link *l, struct pkt **out, unsigned n)
{
	struct link *port = dealt_of(l)->dealer->port;
	unsigned got = port->ops->borrow(port, out, n), i;

	for (i = 0; i < got; i++)
		out[i]->link = l;
	return got;
}

static unsigned dealt_transmit(struct link *l, struct pkt **packets, unsigned n)
{
	struct link *port = dealt_of(l)->dealer->port;
	unsigned taken = port->ops->transmit(port, packets, n);

	l->stats.tx_packets += taken;
	return taken;
}

static void dealt_release(struct link *l, struct pkt **packets, unsigned n)
{
	struct link *port = dealt_of(l)->dealer->port;

	port->ops->release(port, packets, n);
}

/* The wire is closed as a whole. */
static void dealt_close(struct link *l)
{
	l->up = 0;
}

static const struct link_ops dealt_ops = {
	.name = "sim",
	.receive = dealt_receive,
	.borrow = dealt_borrow,
	.transmit = dealt_transmit,
	.release = dealt_release,
	.close = dealt_close,
};

struct dealer *dealer_new(struct link *port, const struct steer *steer)
{
	struct dealer *d = calloc(1, sizeof(*d));
	unsigned i;

	if (!d)
		return NULL;
	d->port = port;
	d->steer = steer;
	for (i = 0; i < steer->cores; i++) {
		d->cores[i].dealer = d;
		d->cores[i].link = *port;
		d->cores[i].link.ops = &dealt_ops;
	}
	return d;
}

void dealer_drain(struct dealer *d)
{
	struct pkt *p;
	unsigned i;

	for (i = 0; i < d->steer->cores; i++)
		while ((p = take(d, i)))
			p->link->ops->release(p->link, &p, 1);
}

void dealer_free(struct dealer *d)
{
	free(d);
}

struct link *dealer_link(struct dealer *d, unsigned core)
{
	CHECK(core < d->steer->cores);
	return &d->cores[core].link;
}

/* The packet itself is handed over: its link is the giver's, who gets it back in the end. */
bool dealer_redirect(void *dealer, int interface, struct pkt *p, unsigned core)
{
	(void)interface;        /* a host of the simulator has one */
	put(dealer, core, p);
	return true;
}

uint32_t dealer_waiting(const struct dealer *d)
{
	return d->waiting;
}

uint32_t dealer_held(const struct dealer *d)
{
	return d->held;
}
