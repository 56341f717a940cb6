/* SPDX-License-Identifier: BSD-3-Clause */
/* The switch: learns where a station is by the source addresses it sees (IEEE 802.1D 7.8), sends the rest to
 * every port, and hands packets over. pipe.c has the cables, wire_pool.c the packets. */
#include "wire.h"

#include <stdlib.h>
#include <string.h>

#include "stack/base/check.h"
#include "wire_state.h"

#define DEFAULT_PACKETS 16384u
#define DEFAULT_MTU 1500u
#define MTU_MIN 576u
#define MTU_MAX 9216u
#define PREFETCH_BYTES 64

static struct wire_port *port_of(struct link *l)
{
	return (struct wire_port *)(void *)l;
}

/* ---- where a station is ---- */

static struct wire_mac *mac_slot(struct wire *w, const uint8_t *mac)
{
	unsigned h = (unsigned)(mac[5] ^ mac[4] * 31u ^ mac[3] * 7u) % WIRE_MACS, i;

	for (i = 0; i < 8; i++) {
		struct wire_mac *m = &w->macs[(h + i) % WIRE_MACS];

		if (!m->used || memcmp(m->mac, mac, 6) == 0)
			return m;
	}
	return &w->macs[h];     /* crowded: the oldest guess makes room */
}

static void learn(struct wire *w, const uint8_t *mac, uint8_t port)
{
	struct wire_mac *m;

	if (mac[0] & 1)
		return;
	m = mac_slot(w, mac);
	if (m->used && m->port == port && memcmp(m->mac, mac, 6) == 0)
		return;
	memcpy(m->mac, mac, 6);
	m->port = port;
	m->used = 1;
}

static struct wire_port *station(struct wire *w, const uint8_t *mac)
{
	struct wire_mac *m;

	if (mac[0] & 1)
		return NULL;
	m = mac_slot(w, mac);
	return m->used && memcmp(m->mac, mac, 6) == 0 ? &w->ports[m->port] : NULL;
}

/* ---- into the receive queue ---- */

static void drop(struct wire *w, struct pkt *p, enum wire_count why)
{
	w->counts[why]++;
	wire_give(w, p);
}

static void queue(struct wire *w, struct wire_port *port, struct pkt *p)
{
	if (port->received_count >= w->receive_limit) {
		port->link.stats.rx_dropped++;
		drop(w, p, WIRE_HOST_SLOW);
		return;
	}
	p->stamp = w->now;
	p->link = &port->link;
	p->next = NULL;
	if (w->seen)
		w->seen(w->seen_context, port->number, w->now, p);
	if (port->received_last)
		port->received_last->next = p;
	else
		port->received = p;
	port->received_last = p;
	port->received_count++;
	w->counts[WIRE_DELIVERED]++;
}

/* The card of the receiving host: memory cannot err, so a checksum that the sender left to the link is good
 * without having been computed, unless this host wants to see it. */
static void arrive(struct wire *w, struct wire_port *port, struct pkt *p)
{
	if (!port->link.up) {
		drop(w, p, WIRE_NO_CARRIER);
		return;
	}
	if (p->flags & PKT_CSUM_PARTIAL) {
		if (port->link.flags & LINK_RX_CSUM)
			p->flags = (p->flags & ~(uint32_t)PKT_CSUM_PARTIAL) | PKT_CSUM_GOOD;
		else if (!frame_complete_checksum(p)) {
			drop(w, p, WIRE_OVERSIZE);
			return;
		}
	}
	queue(w, port, p);
}

/* Calls go(segment) for each segment of a super-frame, which is gone then. */
static void cut(struct wire *w, struct wire_port *port, struct pkt *p,
	void (*go)(struct wire *, struct wire_port *, struct pkt *))
{
	uint32_t at = 0, n;
	struct pkt *s;

	while (at < p->len - p->header_len && (s = wire_take(w))) {
		n = frame_segment(p, at, s);
		CHECK(n > 0);   /* transmit looked at its fields */
		at += n;
		go(w, port, s);
	}
	wire_give(w, p);
}

static void down_one(struct wire *w, struct wire_port *port, struct pkt *p)
{
	if (port->pipes[WIRE_DOWN].perfect)
		arrive(w, port, p);
	else
		pipe_enter(w, port, WIRE_DOWN, p);
}

static void down(struct wire *w, struct wire_port *port, struct pkt *p)
{
	if (p->gso_size && (!port->pipes[WIRE_DOWN].perfect || !(port->link.flags & LINK_TSO)))
		cut(w, port, p, down_one);
	else
		down_one(w, port, p);
}

static void flood(struct wire *w, const struct wire_port *from, struct pkt *p)
{
	struct wire_port *last = NULL;
	struct pkt *copy;
	unsigned i;

	for (i = 0; i < w->config.ports; i++) {
		if (&w->ports[i] == from)
			continue;
		if (last && (copy = wire_copy(w, p)))
			down(w, last, copy);
		last = &w->ports[i];
	}
	if (last)
		down(w, last, p);
	else
		drop(w, p, WIRE_NO_PORT);
}

/* A frame reached the switch. */
static void forward(struct wire *w, const struct wire_port *from, struct pkt *p)
{
	struct wire_port *to = station(w, p->data);

	learn(w, p->data + 6, from->number);
	if (!to)
		flood(w, from, p);
	else if (to == from)
		drop(w, p, WIRE_NO_PORT);
	else
		down(w, to, p);
}

static void up_one(struct wire *w, struct wire_port *port, struct pkt *p)
{
	if (port->pipes[WIRE_UP].perfect)
		forward(w, port, p);
	else
		pipe_enter(w, port, WIRE_UP, p);
}

/* ---- struct link_ops ---- */

/* The reason to refuse a frame, or WIRE_COUNTS. */
static enum wire_count refusal(const struct wire_port *port, const struct pkt *p)
{
	uint32_t longest = (uint32_t)ETH_HEADER + VLAN_TAG + port->link.mtu;

	if (!port->link.up)
		return WIRE_NO_CARRIER;
	if (p->len < ETH_HEADER)
		return WIRE_RUNT;
	if (p->flags & PKT_CSUM_PARTIAL && (!(port->link.flags & LINK_TX_CSUM)
		    || (uint32_t)p->csum_start + p->csum_offset + 2 > p->len))
		return WIRE_OVERSIZE;
	if (p->gso_size == 0)
		return p->len > longest ? WIRE_OVERSIZE : WIRE_COUNTS;
	if (!(port->link.flags & LINK_TSO) || !frame_super_valid(p)
	    || (uint32_t)p->header_len + p->gso_size > longest)
		return WIRE_OVERSIZE;
	return WIRE_COUNTS;
}

static unsigned link_transmit(struct link *l, struct pkt **packets, unsigned n)
{
	struct wire_port *port = port_of(l);
	struct wire *w = port->wire;
	enum wire_count why;
	unsigned i;

	for (i = 0; i < n; i++) {
		struct pkt *p = packets[i];

		wire_hand(w, p, HELD_BY_HOST, HELD_BY_WIRE);
		why = refusal(port, p);
		if (why != WIRE_COUNTS) {
			l->stats.tx_dropped++;
			drop(w, p, why);
			continue;
		}
		l->stats.tx_packets++;
		l->stats.tx_bytes += p->len;
		if (w->sent)
			w->sent(w->sent_context, port->number, w->now, p);
		if (p->gso_size && !port->pipes[WIRE_UP].perfect)
			cut(w, port, p, up_one);
		else
			up_one(w, port, p);
	}
	return n;
}

static unsigned link_receive(struct link *l, struct pkt **out, unsigned n)
{
	struct wire_port *port = port_of(l);
	struct pkt *p = port->received;
	unsigned i;

	for (i = 0; i < n && p; i++) {
		out[i] = p;
		p = p->next;
		if (p)
			__builtin_prefetch(p->data + PREFETCH_BYTES);
		wire_hand(port->wire, out[i], HELD_BY_WIRE, HELD_BY_HOST);
		l->stats.rx_packets++;
		l->stats.rx_bytes += out[i]->len;
		out[i]->next = NULL;
	}
	port->received = p;
	if (!p)
		port->received_last = NULL;
	port->received_count -= i;
	return i;
}

static unsigned link_borrow(struct link *l, struct pkt **out, unsigned n)
{
	struct wire_port *port = port_of(l);
	unsigned got = wire_pool_borrow(port->wire, out, n), i;

	for (i = 0; i < got; i++)
		out[i]->link = l;
	return got;
}

static void link_release(struct link *l, struct pkt **packets, unsigned n)
{
	wire_pool_release(port_of(l)->wire, packets, n);
}

/* The wire is closed as a whole, by wire_free. */
static void link_close(struct link *l)
{
	l->up = 0;
}

static const struct link_ops wire_link_ops = {
	.name = "sim",
	.receive = link_receive,
	.borrow = link_borrow,
	.transmit = link_transmit,
	.release = link_release,
	.close = link_close,
};

/* ---- public ---- */

static void port_init(struct wire *w, unsigned number)
{
	struct wire_port *port = &w->ports[number];
	unsigned d;

	port->wire = w;
	port->number = (uint8_t)number;
	port->link = (struct link){
		.ops = &wire_link_ops,
		.mac = { 2, 0, 0, 0, 0, (uint8_t)(number + 1) },
		.mtu = w->config.mtu,
		.flags = w->config.flags,
		.up = 1,
	};
	for (d = 0; d < 2; d++)
		pipe_init(&port->pipes[d], w->config.seed + number * 2 + d, number, d);
}

static bool config_valid(struct wire_config *c)
{
	if (!c->packets)
		c->packets = DEFAULT_PACKETS;
	if (!c->mtu)
		c->mtu = DEFAULT_MTU;
	if (c->flags & ~(uint32_t)(LINK_TSO | LINK_TX_CSUM | LINK_RX_CSUM))
		return false;
	if (c->flags & LINK_TSO && !(c->flags & LINK_TX_CSUM))
		return false;
	return c->ports >= 1 && c->ports <= WIRE_MAX_PORTS && c->mtu >= MTU_MIN && c->mtu <= MTU_MAX
	       && c->packets >= 2 * c->ports;
}

struct wire *wire_new(const struct wire_config *config)
{
	struct wire_config c = *config;
	struct wire *w;
	unsigned i;

	if (!config_valid(&c) || !(w = calloc(1, sizeof(*w))))
		return NULL;
	w->config = c;
	w->receive_limit = c.packets / (2 * c.ports);
	if (wire_pool_init(w) != 0) {
		wire_free(w);
		return NULL;
	}
	for (i = 0; i < c.ports; i++)
		port_init(w, i);
	return w;
}

void wire_free(struct wire *w)
{
	if (!w)
		return;
	wire_pool_free(w);
	heap_free(&w->due);
	free(w);
}

struct link *wire_link(struct wire *w, unsigned port)
{
	CHECK(port < w->config.ports);
	return &w->ports[port].link;
}

void wire_impair(struct wire *w, unsigned port, enum wire_direction d, const struct wire_impairment *set)
{
	CHECK(port < w->config.ports);
	pipe_set(&w->ports[port].pipes[d], set);
}

void wire_set_mtu(struct wire *w, unsigned port, uint16_t mtu)
{
	CHECK(port < w->config.ports && mtu >= MTU_MIN && mtu <= w->config.mtu);
	w->ports[port].link.mtu = mtu;
}

void wire_set_up(struct wire *w, unsigned port, bool up)
{
	CHECK(port < w->config.ports);
	w->ports[port].link.up = up;
}

/* What the heap says is due at w->now. */
static void happen(struct wire *w, struct wire_due *due)
{
	struct wire_port *port = &w->ports[due->port];
	struct pipe *pipe = &port->pipes[due->direction];
	uint64_t marked = pipe->queue.stats.marked;
	struct pkt *p;

	if (due->kind == DUE_SENDS) {
		pipe_send(w, pipe);
		w->counts[WIRE_MARKED] += pipe->queue.stats.marked - marked;
		return;
	}
	if (due->kind == DUE_LATE) {
		p = &((struct wire_packet *)(void *)((uint8_t *)due - offsetof(struct wire_packet, late)))->pkt;
		w->late--;
	} else {
		p = pipe_landed(w, pipe);
	}
	if (due->direction == WIRE_UP)
		forward(w, port, p);
	else
		arrive(w, port, p);
}

void wire_advance(struct wire *w, nsec now)
{
	CHECK(now >= w->now);
	while (heap_first(&w->due) <= now) {
		struct heap_entry e = heap_pop(&w->due);

		w->now = e.when > w->now ? e.when : w->now;
		happen(w, e.item);
	}
	w->now = now;
}

nsec wire_deadline(const struct wire *w)
{
	return heap_first(&w->due);
}

uint32_t wire_queued(const struct wire *w, unsigned port)
{
	CHECK(port < w->config.ports);
	return w->ports[port].received_count;
}

void wire_observe(struct wire *w, void (*seen)(void *, unsigned, nsec, const struct pkt *), void *context)
{
	w->seen = seen;
	w->seen_context = context;
}

void wire_observe_sent(struct wire *w, void (*sent)(void *, unsigned, nsec, const struct pkt *), void *context)
{
	w->sent = sent;
	w->sent_context = context;
}
