/* SPDX-License-Identifier: BSD-3-Clause */
/* The link of an embedded host: an Ethernet cable with one router at its other end, which has whatever address is asked for, so that every
 * packet leaves at once and nothing about links is seen outside. Frames are cut to bare IP packets. */
#include "embed_state.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "stack/base/check.h"

#define ETHERNET 14u
#define ARP_BYTES 28u
#define LONGEST 65535u
#define TCP_HEADERS 40u

static const uint8_t router_mac[6] = { 0x02, 0, 0, 0, 0, 0xfe };

/* Bytes are what lies on the wire: a frame inwards, an IP packet outwards. */
struct embed_frame {
	struct embed_frame *next;
	nsec at;
	uint32_t len;
	uint16_t gso_size;
	uint8_t bytes[];
};

static struct embed_link *link_of(struct link *link)
{
	return (struct embed_link *)(void *)link;
}

static void queue_init(struct embed_queue *q)
{
	*q = (struct embed_queue){ .last = &q->first };
}

static void queue_free(struct embed_queue *q)
{
	struct embed_frame *f;

	while ((f = q->first) != NULL) {
		q->first = f->next;
		free(f);
	}
	queue_init(q);
}

static struct embed_frame *queue_take(struct embed_queue *q)
{
	struct embed_frame *f = q->first;

	if (!f)
		return NULL;
	q->first = f->next;
	if (!q->first)
		q->last = &q->first;
	q->count--;
	return f;
}

static struct embed_frame *queue_add(struct embed_queue *q, nsec at, uint32_t len)
{
	struct embed_frame *f = malloc(sizeof(*f) + len);

	if (!f)
		return NULL;
	*f = (struct embed_frame){ .at = at, .len = len };
	*q->last = f;
	q->last = &f->next;
	q->count++;
	return f;
}

/* Packet and memory are one allocation, as large as it needs to be: what reads beyond it is seen by AddressSanitizer. */
static struct pkt *packet_new(struct link *link, uint32_t room)
{
	struct pkt *p = calloc(1, sizeof(*p) + PKT_HEADROOM + room);

	if (!p)
		return NULL;
	p->buffer = (uint8_t *)(p + 1);
	p->buffer_size = PKT_HEADROOM + room;
	p->link = link;
	pkt_reset(p);
	return p;
}

static unsigned embed_link_receive(struct link *link, struct pkt **out, unsigned n)
{
	struct embed_link *l = link_of(link);
	unsigned got = 0;

	while (got < n && l->in.first) {
		struct pkt *p = packet_new(link, l->in.first->len);
		struct embed_frame *f;

		if (!p)
			break;
		f = queue_take(&l->in);
		memcpy(p->data, f->bytes, f->len);
		p->len = f->len;
		p->stamp = *l->clock;
		p->gso_size = f->gso_size;
		link->stats.rx_packets++;
		link->stats.rx_bytes += f->len;
		free(f);
		out[got++] = p;
	}
	return got;
}

static unsigned embed_link_borrow(struct link *link, struct pkt **out, unsigned n)
{
	unsigned got = 0;

	while (got < n && (out[got] = packet_new(link, link->mtu + 64u)) != NULL)
		got++;
	return got;
}

static void embed_link_release(struct link *link, struct pkt **packets, unsigned n)
{
	(void)link;
	for (unsigned i = 0; i < n; i++)
		free(packets[i]);
}

/* RFC 826. A probe and an announcement (RFC 5227) are no questions: the router claims no address of the host's own. */
static void answer_arp(struct embed_link *l, const uint8_t *arp, uint32_t len)
{
	static const uint8_t request[] = { 0, 1, 8, 0, 6, 4, 0, 1 }, nobody[4];
	struct embed_frame *f;
	uint8_t *to;

	if (len < ARP_BYTES || memcmp(arp, request, sizeof(request)) != 0 || memcmp(arp + 14, nobody, 4) == 0 ||
	    memcmp(arp + 14, arp + 24, 4) == 0)
		return;
	f = queue_add(&l->in, *l->clock, ETHERNET + ARP_BYTES);
	if (!f)
		return;
	memcpy(f->bytes, arp + 8, 6);
	memcpy(f->bytes + 6, router_mac, 6);
	memcpy(f->bytes + 12, (const uint8_t[]){ 8, 6 }, 2);
	to = f->bytes + ETHERNET;
	memcpy(to, request, sizeof(request));
	to[7] = 2;
	memcpy(to + 8, router_mac, 6);
	memcpy(to + 14, arp + 24, 4);
	memcpy(to + 18, arp + 8, 10);
}

static void emit(struct embed_link *l, const struct pkt *p)
{
	const uint8_t *ip = p->data + ETHERNET;
	uint32_t len = p->len - ETHERNET, total = (uint32_t)ip[2] << 8 | ip[3];
	struct embed_frame *f;

	CHECK(total <= len);    /* what follows is padding */
	f = queue_add(&l->out, *l->clock, total);
	if (f)
		memcpy(f->bytes, ip, total);
	else
		l->link.stats.tx_dropped++;
}

static unsigned embed_link_transmit(struct link *link, struct pkt **packets, unsigned n)
{
	struct embed_link *l = link_of(link);

	for (unsigned i = 0; i < n; i++) {
		const struct pkt *p = packets[i];

		CHECK(p->len > ETHERNET && !p->gso_size && !(p->flags & PKT_CSUM_PARTIAL));
		link->stats.tx_packets++;
		link->stats.tx_bytes += p->len;
		if (p->data[12] == 8 && p->data[13] == 6)
			answer_arp(l, p->data + ETHERNET, p->len - ETHERNET);
		else
			emit(l, p);
		free(packets[i]);
	}
	return n;
}

static void link_close(struct link *link)
{
	(void)link;     /* its host frees it */
}

static const struct link_ops ops = {
	.name = "embed",
	.receive = embed_link_receive,
	.borrow = embed_link_borrow,
	.transmit = embed_link_transmit,
	.release = embed_link_release,
	.close = link_close,
};

void embed_link_open(struct embed_link *l, uint16_t mtu, const nsec *clock)
{
	*l = (struct embed_link){ .link = { .ops = &ops, .mac = { 0x02, 0, 0, 0, 0, 0x01 }, .mtu = mtu, .up = 1 }, .clock = clock };
	queue_init(&l->in);
	queue_init(&l->out);
}

void embed_link_close(struct embed_link *l)
{
	queue_free(&l->in);
	queue_free(&l->out);
}

int embed_packet_in(struct embed *e, const void *packet, size_t n)
{
	struct embed_link *l = &e->link;
	const uint8_t *ip = packet;
	struct embed_frame *f;

	if (n < 20 || n > LONGEST)
		return -EMSGSIZE;
	f = queue_add(&l->in, e->now, (uint32_t)n + ETHERNET);
	if (!f)
		return -ENOMEM;
	memcpy(f->bytes, l->link.mac, 6);
	memcpy(f->bytes + 6, router_mac, 6);
	f->bytes[12] = ip[0] >> 4 == 6 ? 0x86 : 0x08;
	f->bytes[13] = ip[0] >> 4 == 6 ? 0xdd : 0x00;
	memcpy(f->bytes + ETHERNET, packet, n);
	if (n > l->link.mtu)
		f->gso_size = (uint16_t)(l->link.mtu - TCP_HEADERS);
	embed_settle(e);
	return 0;
}

size_t embed_packet_out(struct embed *e, void *packet, size_t room, nsec *emitted)
{
	struct embed_frame *f = queue_take(&e->link.out);
	size_t n;

	if (!f)
		return 0;
	n = f->len;
	memcpy(packet, f->bytes, n < room ? n : room);
	*emitted = f->at;
	free(f);
	return n;
}

size_t embed_packets_waiting(const struct embed *e)
{
	return e->link.out.count;
}
