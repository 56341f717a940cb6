/* SPDX-License-Identifier: BSD-3-Clause */
/* A link in memory under a virtual clock: nothing is lost or late unless the test says so. */
#include "wire.h"

#include <stdlib.h>
#include <string.h>

#define ORDINARY_FRAME 2048u    /* where jumbo frames are none */
#define JUMBO_FRAME (WIRE_MTU_MOST + 512u)
#define SUPER_FRAME (65536u + 256u)

static void queue_init(struct wire_queue *q)
{
	q->first = NULL;
	q->last = &q->first;
}

static void queue_add(struct wire_queue *q, struct wire_frame *f)
{
	f->next = NULL;
	*q->last = f;
	q->last = &f->next;
}

static struct wire_frame *queue_take(struct wire_queue *q)
{
	struct wire_frame *f = q->first;
	if (f) {
		q->first = f->next;
		if (!q->first)
			q->last = &q->first;
	}
	return f;
}

static struct wire_frame *frame_new(nsec at, const uint8_t *bytes, uint32_t len)
{
	struct wire_frame *f = malloc(sizeof(*f) + len);
	if (!f)
		return NULL;
	f->at = at;
	f->len = len;
	f->gso_size = 0;
	memcpy(f->bytes, bytes, len);
	return f;
}

/* The packet and its memory are one allocation, exactly as large as the frame on receipt: a read beyond the end is
 * seen by AddressSanitizer. */
static struct pkt *packet_new(struct wire *w, uint32_t room)
{
	struct pkt *p = calloc(1, sizeof(*p) + PKT_HEADROOM + room);
	if (!p)
		return NULL;
	p->buffer = (uint8_t *)(p + 1);
	p->buffer_size = PKT_HEADROOM + room;
	p->link = &w->link;
	pkt_reset(p);
	w->held++;
	return p;
}

static unsigned wire_receive(struct link *link, struct pkt **out, unsigned n)
{
	struct wire *w = (struct wire *)link;
	unsigned got = 0;
	while (got < n && w->arriving.first) {
		struct pkt *p = packet_new(w, w->arriving.first->len);
		if (!p)
			break;
		struct wire_frame *f = queue_take(&w->arriving);
		memcpy(p->data, f->bytes, f->len);
		p->len = f->len;
		p->stamp = *w->clock;
		p->flags = w->checksums_good ? PKT_CSUM_GOOD : 0;
		w->arriving_count--;
		link->stats.rx_packets++;
		link->stats.rx_bytes += f->len;
		free(f);
		out[got++] = p;
	}
	return got;
}

static unsigned wire_borrow(struct link *link, struct pkt **out, unsigned n)
{
	struct wire *w = (struct wire *)link;
	unsigned got = 0;
	while (got < n && w->borrows_left != 0) {
		out[got] = packet_new(w, link->flags & LINK_TSO ? SUPER_FRAME : link->mtu > 1600 ? JUMBO_FRAME : ORDINARY_FRAME);
		if (!out[got])
			break;
		if (w->borrows_left > 0)
			w->borrows_left--;
		got++;
	}
	return got;
}

static void wire_release(struct link *link, struct pkt **packets, unsigned n)
{
	struct wire *w = (struct wire *)link;
	for (unsigned i = 0; i < n; i++) {
		w->held--;
		free(packets[i]);
	}
}

/* What hardware with LINK_TX_CSUM does (pkt.h: the field holds the pseudo-header's sum). */
static void complete_checksum(const struct pkt *p, uint8_t *frame)
{
	uint32_t sum = 0;
	for (uint32_t i = p->csum_start; i < p->len; i++)
		sum += (i - p->csum_start) % 2 ? frame[i] : (uint32_t)frame[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	uint32_t at = (uint32_t)p->csum_start + p->csum_offset;
	frame[at] = (uint8_t)(~sum >> 8);
	frame[at + 1] = (uint8_t)~sum;
}

static unsigned wire_transmit(struct link *link, struct pkt **packets, unsigned n)
{
	struct wire *w = (struct wire *)link;
	unsigned taken = 0;
	for (; taken < n && w->transmits_left != 0; taken++) {
		struct pkt *p = packets[taken];
		struct wire_frame *f = frame_new(*w->clock, p->data, p->len);
		if (!f)
			break;
		if (p->flags & PKT_CSUM_PARTIAL && !p->gso_size &&
		    (uint32_t)p->csum_start + p->csum_offset + 2 <= p->len)
			complete_checksum(p, f->bytes);
		f->gso_size = p->gso_size;
		queue_add(&w->sent, f);
		link->stats.tx_packets++;
		link->stats.tx_bytes += p->len;
		if (w->transmits_left > 0)
			w->transmits_left--;
	}
	wire_release(link, packets, taken);
	return taken;
}

static void wire_close(struct link *link)
{
	link->up = 0;
}

static const struct link_ops wire_ops = {
	.name = "wire",
	.receive = wire_receive,
	.borrow = wire_borrow,
	.transmit = wire_transmit,
	.release = wire_release,
	.close = wire_close,
};

struct wire *wire_new(const nsec *clock, const uint8_t mac[6], uint16_t mtu, uint32_t flags)
{
	struct wire *w = calloc(1, sizeof(*w));
	if (!w)
		return NULL;
	w->link = (struct link){ .ops = &wire_ops, .mtu = mtu, .flags = flags, .up = 1 };
	memcpy(w->link.mac, mac, 6);
	w->clock = clock;
	w->borrows_left = w->transmits_left = -1;
	queue_init(&w->arriving);
	queue_init(&w->sent);
	return w;
}

void wire_free(struct wire *w)
{
	struct wire_frame *f;
	while ((f = queue_take(&w->arriving)))
		free(f);
	while ((f = queue_take(&w->sent)))
		free(f);
	free(w);
}

bool wire_inject(struct wire *w, const uint8_t *bytes, uint32_t len)
{
	struct wire_frame *f = frame_new(*w->clock, bytes, len);
	if (!f)
		return false;
	queue_add(&w->arriving, f);
	w->arriving_count++;
	return true;
}

struct wire_frame *wire_take(struct wire *w)
{
	return queue_take(&w->sent);
}
