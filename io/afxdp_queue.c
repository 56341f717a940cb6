/* SPDX-License-Identifier: BSD-3-Clause */
/* The rings (Documentation/networking/af_xdp.rst): fill and rx carry frames in, a pair for each socket; tx and completion of the first
 * socket carry them out. The kernel never gets more packets than rx_target to fill and `ring` to send, so that no ring but tx can
 * be full, and never so many to send that none are left to receive into: half of the packets stay for borrowing. In copy mode the
 * kernel sends inside sendto(): one call a burst, repeated if it stopped early. */
#include "afxdp_queue.h"

#include <linux/if_xdp.h>
#include <string.h>
#include <sys/socket.h>

#include "stack/base/check.h"

/* Since Linux 6.6; Debian 12's headers are older. */
#define PKT_CONTD 1u

#define ETH_HEADER 14u
#define KICKS 8u             /* at most a burst: the rest waits for the next look */
#define REFILL 32u

static struct afxdp_queue *queue_of(struct link *l)
{
	return (struct afxdp_queue *)(void *)l;
}

static uint32_t index_of(const struct afxdp_queue *q, const struct pkt *p)
{
	return (uint32_t)(p - q->packets);
}

uint64_t afxdp_queue_address(const struct afxdp_queue *q, uint32_t index)
{
	return index < q->small ? (uint64_t)index * q->chunk
		: (q->small + (uint64_t)(index - q->small) * q->span) * q->chunk;
}

static uint32_t index_at(const struct afxdp_queue *q, uint64_t address)
{
	uint64_t chunk = address / q->chunk;

	return (uint32_t)(chunk < q->small ? chunk : q->small + (chunk - q->small) / q->span);
}

void afxdp_queue_free(struct afxdp_queue *q, uint32_t index)
{
	struct pkt *p = &q->packets[index], **list = index < q->small ? &q->free_small : &q->free_big;

	q->owner[index] = AFXDP_FREE;
	p->next = *list;
	*list = p;
	q->free_small_count += index < q->small;
}

static struct pkt *take_free(struct afxdp_queue *q, bool big, uint8_t owner)
{
	struct pkt **list = big ? &q->free_big : &q->free_small, *p = *list;

	if (!p)
		return NULL;
	*list = p->next;
	q->free_small_count -= !big;
	q->owner[index_of(q, p)] = owner;
	return p;
}

void afxdp_queue_reap(struct afxdp_queue *q)
{
	uint32_t at, n;

	if (q->sockets == 0 || q->tx_pieces == 0)
		return;
	n = xsk_ring_cons__peek(&q->socket->completion, q->ring, &at);
	for (uint32_t i = 0; i < n; i++) {
		uint32_t index = index_at(q, *xsk_ring_cons__comp_addr(&q->socket->completion, at + i));

		CHECK(index < q->small + q->big && q->owner[index] == AFXDP_SENDING && q->pieces[index] > 0);
		if (--q->pieces[index] == 0) {
			q->tx_packets--;
			q->tx_small -= index < q->small;
			afxdp_queue_free(q, index);
		}
	}
	if (n)
		xsk_ring_cons__release(&q->socket->completion, n);
	q->tx_pieces -= n;
}

/* The kernel shows received frames first and only then that it took their chunks off the fill ring: for that moment the ring is
 * fuller than what is held there says, and takes the rest at the next call. */
static void refill(struct afxdp_queue *q, struct afxdp_socket *s)
{
	uint32_t n = s->rx_held < q->rx_target ? q->rx_target - s->rx_held : 0, room, at;

	if (n > q->free_small_count)
		n = q->free_small_count;
	if (n == 0 || (n < REFILL && s->rx_held >= q->rx_target / 2 && s->rx_held > 0))
		return;
	room = xsk_prod_nb_free(&s->fill, n);
	n = n < room ? n : room;
	if (n == 0)
		return;
	CHECK(xsk_ring_prod__reserve(&s->fill, n, &at) == n);
	for (uint32_t i = 0; i < n; i++) {
		struct pkt *p = take_free(q, false, AFXDP_FILLING);

		*xsk_ring_prod__fill_addr(&s->fill, at + i) = afxdp_queue_address(q, index_of(q, p));
	}
	xsk_ring_prod__submit(&s->fill, n);
	s->rx_held += n;
}

void afxdp_queue_feed(struct afxdp_queue *q)
{
	afxdp_queue_reap(q);
	q->starved = false;
	for (unsigned i = 0; i < q->sockets; i++) {
		refill(q, &q->socket[i]);
		q->starved |= q->socket[i].rx_held == 0;
	}
}

static bool unsent(const struct afxdp_queue *q)
{
	return __atomic_load_n(q->tx.consumer, __ATOMIC_ACQUIRE) != *q->tx.producer;
}

/* EAGAIN: the kernel stopped after its share, or its buffer is full; EBUSY and ENOBUFS: the driver is; ENETDOWN. It goes on
 * from where it stopped. */
void afxdp_queue_kick(struct afxdp_queue *q)
{
	uint32_t before;

	for (unsigned i = 0; i < KICKS && xsk_ring_prod__needs_wakeup(&q->tx) && unsent(q); i++) {
		before = __atomic_load_n(q->tx.consumer, __ATOMIC_RELAXED);
		q->kicks++;
		q->kicks_again += i > 0;
		if (sendto(q->socket->fd, NULL, 0, MSG_DONTWAIT, NULL, 0) >= 0)
			break;
		if (before == __atomic_load_n(q->tx.consumer, __ATOMIC_RELAXED))
			break;
	}
	q->owed = xsk_ring_prod__needs_wakeup(&q->tx) && unsent(q);
}

/* A frame in several pieces is gathered into one packet: the only copy here. NULL: more is to come, or it was lost. */
static struct pkt *gather(struct afxdp_queue *q, struct afxdp_socket *s, const struct pkt *piece, bool more)
{
	struct pkt *whole = s->gathered;

	if (!s->gathering) {
		s->gathering = true;
		whole = s->gathered = q->big ? take_free(q, true, AFXDP_FILLING) : NULL;
		if (whole)
			pkt_reset(whole);
	}
	if (whole && piece->len > pkt_tailroom(whole)) {
		afxdp_queue_free(q, index_of(q, whole));
		whole = s->gathered = NULL;
	}
	if (whole) {
		memcpy(whole->data + whole->len, piece->data, piece->len);
		whole->len += piece->len;
	}
	if (more)
		return NULL;
	s->gathering = false;
	s->gathered = NULL;
	if (whole)
		q->rx_gathered++;
	else
		q->rx_lost++;
	return whole;
}

/* One descriptor: the packet that is complete with it, or NULL. */
static struct pkt *received(struct afxdp_queue *q, struct afxdp_socket *s, const struct xdp_desc *d)
{
	uint32_t index = index_at(q, d->addr);
	struct pkt *p, *whole;

	CHECK(index < q->small && q->owner[index] == AFXDP_FILLING);
	s->rx_held--;
	p = &q->packets[index];
	pkt_reset(p);
	p->data = q->memory + d->addr;
	p->len = d->len;
	if (d->addr % q->chunk + d->len > q->chunk) {
		q->rx_bad++;
		p->len = 0;
	} else if (!s->gathering && !(d->options & PKT_CONTD)) {
		return p;
	}
	whole = gather(q, s, p, d->options & PKT_CONTD);
	afxdp_queue_free(q, index);
	return whole;
}

static void hold_received(struct afxdp_queue *q, struct pkt *p)
{
	q->owner[index_of(q, p)] = AFXDP_HELD;
	p->link = &q->link;
	q->held++;
	q->link.stats.rx_packets++;
	q->link.stats.rx_bytes += p->len;
}

static unsigned receive_one(struct afxdp_queue *q, struct afxdp_socket *s, struct pkt **out, unsigned n)
{
	uint32_t at, seen = n ? xsk_ring_cons__peek(&s->rx, n, &at) : 0, count = 0;

	for (uint32_t i = 0; i < seen; i++) {
		struct pkt *p = received(q, s, xsk_ring_cons__rx_desc(&s->rx, at + i));

		if (!p)
			continue;
		hold_received(q, p);
		out[count++] = p;
	}
	if (seen)
		xsk_ring_cons__release(&s->rx, seen);
	refill(q, s);
	q->starved |= s->rx_held == 0;
	if (seen == 0 && n && (q->busy_poll || xsk_ring_prod__needs_wakeup(&s->fill)))
		recvfrom(s->fd, NULL, 0, MSG_DONTWAIT, NULL, NULL);
	return count;
}

unsigned afxdp_queue_receive(struct link *l, struct pkt **out, unsigned n)
{
	struct afxdp_queue *q = queue_of(l);
	unsigned at = q->first < q->sockets ? q->first : 0, count = 0;

	if (q->starved)
		afxdp_queue_feed(q);
	q->first = at + 1;
	for (unsigned i = 0; i < q->sockets; i++) {
		count += receive_one(q, &q->socket[at], out + count, n - count);
		at = at + 1 < q->sockets ? at + 1 : 0;
	}
	if (count == 0 && q->owed)
		afxdp_queue_kick(q);
	return count;
}

struct pkt *afxdp_queue_copy(struct link *l, const uint8_t *bytes, uint32_t n)
{
	struct afxdp_queue *q = queue_of(l);
	struct pkt *p = take_free(q, false, AFXDP_HELD);

	if (!p)
		return NULL;
	pkt_reset(p);
	CHECK(n <= pkt_tailroom(p));
	memcpy(p->data, bytes, n);
	p->len = n;
	hold_received(q, p);
	return p;
}

unsigned afxdp_queue_borrow(struct link *l, struct pkt **out, unsigned n)
{
	struct afxdp_queue *q = queue_of(l);
	unsigned i;

	if (q->tx_packets && (q->big || q->free_small_count < n))
		afxdp_queue_reap(q);
	for (i = 0; i < n; i++) {
		out[i] = take_free(q, q->big, AFXDP_HELD);
		if (!out[i])
			break;
		pkt_reset(out[i]);
		out[i]->link = l;
	}
	q->held += i;
	return i;
}

static void give_back(struct afxdp_queue *q, struct pkt *p)
{
	uint32_t index = index_of(q, p);

	CHECK(index < q->small + q->big && q->owner[index] == AFXDP_HELD && q->held > 0);
	q->held--;
	afxdp_queue_free(q, index);
}

void afxdp_queue_release(struct link *l, struct pkt **packets, unsigned n)
{
	struct afxdp_queue *q = queue_of(l);

	for (unsigned i = 0; i < n; i++)
		give_back(q, packets[i]);
	/* Without a frame nobody would call receive. */
	if (q->starved)
		afxdp_queue_feed(q);
}

static void refuse(struct afxdp_queue *q, struct pkt *p)
{
	q->tx_refused++;
	q->link.stats.tx_dropped++;
	give_back(q, p);
}

/* Descriptors of a packet: no piece crosses the end of a chunk. */
static uint32_t pieces_of(const struct afxdp_queue *q, const struct pkt *p)
{
	uint64_t first = (uint64_t)(p->data - q->memory) / q->chunk;
	uint64_t last = (uint64_t)(p->data - q->memory + p->len - 1) / q->chunk;

	return (uint32_t)(last - first + 1);
}

static void describe(struct afxdp_queue *q, const struct pkt *p, uint32_t at, uint32_t pieces)
{
	uint64_t address = (uint64_t)(p->data - q->memory);
	uint32_t left = p->len;

	for (uint32_t i = 0; i < pieces; i++) {
		struct xdp_desc *d = xsk_ring_prod__tx_desc(&q->tx, at + i);
		uint32_t room = q->chunk - (uint32_t)(address % q->chunk), bytes = left < room ? left : room;

		*d = (struct xdp_desc){ .addr = address, .len = bytes, .options = i + 1 < pieces ? PKT_CONTD : 0 };
		address += bytes;
		left -= bytes;
	}
}

unsigned afxdp_queue_transmit(struct link *l, struct pkt **packets, unsigned n)
{
	struct afxdp_queue *q = queue_of(l);
	uint32_t at, added = 0;
	unsigned i;

	afxdp_queue_reap(q);
	for (i = 0; i < n; i++) {
		struct pkt *p = packets[i];
		uint32_t index = index_of(q, p), pieces;

		CHECK(index < q->small + q->big && q->owner[index] == AFXDP_HELD);
		if (!l->up || q->sockets == 0 || p->len < ETH_HEADER || p->len > q->frame_limit) {
			refuse(q, p);
			continue;
		}
		pieces = pieces_of(q, p);
		if ((index < q->small && q->tx_small >= q->tx_small_limit) || q->tx_pieces + pieces > q->ring
				|| xsk_ring_prod__reserve(&q->tx, pieces, &at) != pieces)
			break;
		describe(q, p, at, pieces);
		q->owner[index] = AFXDP_SENDING;
		q->pieces[index] = (uint8_t)pieces;
		q->tx_pieces += pieces;
		q->tx_packets++;
		q->tx_small += index < q->small;
		q->held--;
		added += pieces;
		l->stats.tx_packets++;
		l->stats.tx_bytes += p->len;
	}
	if (added)
		xsk_ring_prod__submit(&q->tx, added);
	if (added || q->owed)
		afxdp_queue_kick(q);
	return i;
}
