/* SPDX-License-Identifier: BSD-3-Clause */
/* Four rings (Documentation/networking/af_xdp.rst): fill and rx carry frames in, tx and completion carry them out. The kernel
 * never gets more packets than rx_target to fill and `ring` to send, so that no ring but tx can be full, and half of the packets
 * stay for borrowing. In copy mode the kernel sends inside sendto(): one call a burst, repeated if it stopped early. */
#include "afxdp_queue.h"

#include <errno.h>
#include <linux/if_xdp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "stack/base/check.h"

/* Since Linux 6.6 and 6.17; Debian 12's headers are older. */
#define USE_SG (1u << 4)
#define PKT_CONTD 1u
#define MAX_TX_SKB_BUDGET 9

#define ETH_HEADER 14u
#define XDP_HEADROOM 256u    /* what the kernel leaves before a received frame */
#define RING_MAX 2048u
#define RING_MIN 64u
#define KICKS 8u             /* at most a burst: the rest waits for the next look */
#define REFILL 32u
#define DEFAULT_PACKETS 8192u
#define SEND_BUFFER (16 << 20)
#define BUSY_POLL_USEC 20
#define BUSY_POLL_FRAMES 64

enum { FREE, FILLING, SENDING, HELD };

static struct afxdp_queue *queue_of(struct link *l)
{
	return (struct afxdp_queue *)(void *)l;
}

static uint32_t index_of(const struct afxdp_queue *q, const struct pkt *p)
{
	return (uint32_t)(p - q->packets);
}

static uint64_t address_of(const struct afxdp_queue *q, uint32_t index)
{
	return index < q->small ? (uint64_t)index * q->chunk
		: (q->small + (uint64_t)(index - q->small) * q->span) * q->chunk;
}

static uint32_t index_at(const struct afxdp_queue *q, uint64_t address)
{
	uint64_t chunk = address / q->chunk;

	return (uint32_t)(chunk < q->small ? chunk : q->small + (chunk - q->small) / q->span);
}

static void put_free(struct afxdp_queue *q, uint32_t index)
{
	struct pkt *p = &q->packets[index], **list = index < q->small ? &q->free_small : &q->free_big;

	q->owner[index] = FREE;
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

static void refill(struct afxdp_queue *q)
{
	uint32_t n = q->rx_target - q->rx_held, at;

	if (n > q->free_small_count)
		n = q->free_small_count;
	if (n < REFILL && q->rx_held >= q->rx_target / 2)
		return;
	if (n == 0)
		return;
	CHECK(xsk_ring_prod__reserve(&q->fill, n, &at) == n);
	for (uint32_t i = 0; i < n; i++) {
		struct pkt *p = take_free(q, false, FILLING);

		*xsk_ring_prod__fill_addr(&q->fill, at + i) = address_of(q, index_of(q, p));
	}
	xsk_ring_prod__submit(&q->fill, n);
	q->rx_held += n;
}

void afxdp_queue_reap(struct afxdp_queue *q)
{
	uint32_t at, n;

	if (!q->socket || q->tx_pieces == 0)
		return;
	n = xsk_ring_cons__peek(&q->completion, q->ring, &at);
	for (uint32_t i = 0; i < n; i++) {
		uint32_t index = index_at(q, *xsk_ring_cons__comp_addr(&q->completion, at + i));

		CHECK(index < q->small + q->big && q->owner[index] == SENDING && q->pieces[index] > 0);
		if (--q->pieces[index] == 0) {
			q->tx_packets--;
			put_free(q, index);
		}
	}
	if (n)
		xsk_ring_cons__release(&q->completion, n);
	q->tx_pieces -= n;
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
		if (sendto(q->fd, NULL, 0, MSG_DONTWAIT, NULL, 0) >= 0)
			break;
		if (before == __atomic_load_n(q->tx.consumer, __ATOMIC_RELAXED))
			break;
	}
	q->owed = xsk_ring_prod__needs_wakeup(&q->tx) && unsent(q);
}

/* A frame in several pieces is gathered into one packet: the only copy here. NULL: more is to come, or it was lost. */
static struct pkt *gather(struct afxdp_queue *q, const struct pkt *piece, bool more)
{
	struct pkt *whole = q->gathered;

	if (!q->gathering) {
		q->gathering = true;
		whole = q->gathered = q->big ? take_free(q, true, FILLING) : NULL;
		if (whole)
			pkt_reset(whole);
	}
	if (whole && piece->len > pkt_tailroom(whole)) {
		put_free(q, index_of(q, whole));
		whole = q->gathered = NULL;
	}
	if (whole) {
		memcpy(whole->data + whole->len, piece->data, piece->len);
		whole->len += piece->len;
	}
	if (more)
		return NULL;
	q->gathering = false;
	q->gathered = NULL;
	if (whole)
		q->rx_gathered++;
	else
		q->rx_lost++;
	return whole;
}

/* One descriptor: the packet that is complete with it, or NULL. */
static struct pkt *received(struct afxdp_queue *q, const struct xdp_desc *d)
{
	uint32_t index = index_at(q, d->addr);
	struct pkt *p, *whole;

	CHECK(index < q->small && q->owner[index] == FILLING);
	q->rx_held--;
	p = &q->packets[index];
	pkt_reset(p);
	p->data = q->memory + d->addr;
	p->len = d->len;
	if (d->addr % q->chunk + d->len > q->chunk) {
		q->rx_bad++;
		p->len = 0;
	} else if (!q->gathering && !(d->options & PKT_CONTD)) {
		return p;
	}
	whole = gather(q, p, d->options & PKT_CONTD);
	put_free(q, index);
	return whole;
}

unsigned afxdp_queue_receive(struct link *l, struct pkt **out, unsigned n)
{
	struct afxdp_queue *q = queue_of(l);
	uint32_t at, seen, count = 0;

	seen = xsk_ring_cons__peek(&q->rx, n, &at);
	for (uint32_t i = 0; i < seen; i++) {
		struct pkt *p = received(q, xsk_ring_cons__rx_desc(&q->rx, at + i));

		if (!p)
			continue;
		q->owner[index_of(q, p)] = HELD;
		p->link = l;
		out[count++] = p;
		l->stats.rx_bytes += p->len;
	}
	if (seen)
		xsk_ring_cons__release(&q->rx, seen);
	l->stats.rx_packets += count;
	q->held += count;
	refill(q);
	if (seen == 0) {
		if (q->owed)
			afxdp_queue_kick(q);
		if (q->busy_poll || xsk_ring_prod__needs_wakeup(&q->fill))
			recvfrom(q->fd, NULL, 0, MSG_DONTWAIT, NULL, NULL);
	}
	return count;
}

unsigned afxdp_queue_borrow(struct link *l, struct pkt **out, unsigned n)
{
	struct afxdp_queue *q = queue_of(l);
	unsigned i;

	if (q->tx_packets && (q->big || q->free_small_count < n))
		afxdp_queue_reap(q);
	for (i = 0; i < n; i++) {
		out[i] = take_free(q, q->big, HELD);
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

	CHECK(index < q->small + q->big && q->owner[index] == HELD && q->held > 0);
	q->held--;
	put_free(q, index);
}

void afxdp_queue_release(struct link *l, struct pkt **packets, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		give_back(queue_of(l), packets[i]);
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

		CHECK(index < q->small + q->big && q->owner[index] == HELD);
		if (!l->up || !q->socket || p->len < ETH_HEADER || p->len > q->frame_limit) {
			refuse(q, p);
			continue;
		}
		pieces = pieces_of(q, p);
		if (q->tx_pieces + pieces > q->ring || xsk_ring_prod__reserve(&q->tx, pieces, &at) != pieces)
			break;
		describe(q, p, at, pieces);
		q->owner[index] = SENDING;
		q->pieces[index] = (uint8_t)pieces;
		q->tx_pieces += pieces;
		q->tx_packets++;
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

void afxdp_queue_statistics(struct afxdp_queue *q)
{
	socklen_t bytes = sizeof(q->statistics);

	if (q->socket)
		getsockopt(q->fd, SOL_XDP, XDP_STATISTICS, &q->statistics, &bytes);
	q->link.stats.rx_dropped = q->rx_lost + q->statistics.rx_dropped + q->before.rx_dropped
		+ q->statistics.rx_ring_full + q->before.rx_ring_full;
}

void afxdp_queue_shut(struct afxdp_queue *q)
{
	__u64 *sum = (__u64 *)&q->before, *last = (__u64 *)&q->statistics;

	if (!q->socket)
		return;
	afxdp_queue_statistics(q);
	for (unsigned i = 0; i < sizeof(q->before) / sizeof(*sum); i++) {
		sum[i] += last[i];
		last[i] = 0;
	}
	xsk_socket__delete(q->socket);
	xsk_umem__delete(q->umem);
	q->socket = NULL;
	q->fd = -1;
	q->gathered = NULL;
	q->gathering = q->owed = false;
	q->rx_held = q->tx_pieces = q->tx_packets = 0;
	for (uint32_t i = 0; i < q->small + q->big; i++) {
		q->pieces[i] = 0;
		if (q->owner[i] == FILLING || q->owner[i] == SENDING)
			put_free(q, i);
	}
}

static int set(int fd, int level, int option, int value)
{
	return setsockopt(fd, level, option, &value, sizeof(value)) == 0 ? 0 : -errno;
}

/* What may fail without harm: a larger share of a kick (Linux 6.17), room for more frames on their way. */
static int tune(struct afxdp_queue *q, const struct afxdp_queue_config *c, char why[DEVICE_WHY])
{
	struct xdp_options options = { 0 };
	socklen_t bytes = sizeof(options);
	int error;

	set(q->fd, SOL_XDP, MAX_TX_SKB_BUDGET, (int)q->ring);
	if (set(q->fd, SOL_SOCKET, SO_SNDBUFFORCE, SEND_BUFFER) != 0)
		set(q->fd, SOL_SOCKET, SO_SNDBUF, SEND_BUFFER);
	q->zero_copy = getsockopt(q->fd, SOL_XDP, XDP_OPTIONS, &options, &bytes) == 0
		&& options.flags & XDP_OPTIONS_ZEROCOPY;
	q->busy_poll = c->busy_poll;
	if (!c->busy_poll)
		return 0;
	error = set(q->fd, SOL_SOCKET, SO_PREFER_BUSY_POLL, 1);
	if (!error)
		error = set(q->fd, SOL_SOCKET, SO_BUSY_POLL, BUSY_POLL_USEC);
	if (!error)
		error = set(q->fd, SOL_SOCKET, SO_BUSY_POLL_BUDGET, BUSY_POLL_FRAMES);
	if (error)
		snprintf(why, DEVICE_WHY, "busy polling (SO_PREFER_BUSY_POLL): %s%s", strerror(-error),
			error == -EPERM ? "; CAP_NET_ADMIN is needed" : "");
	return error;
}

static void explain(int error, const struct afxdp_queue *q, const char *interface, const struct afxdp_queue_config *c,
	char why[DEVICE_WHY])
{
	switch (-error) {
	case EBUSY:
		snprintf(why, DEVICE_WHY, "queue %u of %s has an AF_XDP socket already", q->number, interface);
		break;
	case EOPNOTSUPP:
		snprintf(why, DEVICE_WHY, "queue %u of %s: the driver has no zero-copy%s", q->number, interface,
			c->pieces ? " for frames in several pieces" : "");
		break;
	case EINVAL:
		snprintf(why, DEVICE_WHY, c->pieces ? "queue %u of %s: there is no such queue, or the kernel (before 6.6) has no "
			"frames in several pieces, and an MTU of %u needs them (at most %u without)"
			: "queue %u of %s: there is no such queue", q->number, interface, c->mtu, AFXDP_MTU_ONE_PIECE);
		break;
	default:
		snprintf(why, DEVICE_WHY, "AF_XDP socket on queue %u of %s: %s", q->number, interface, strerror(-error));
	}
}

int afxdp_queue_open(struct afxdp_queue *q, const char *interface, const struct afxdp_queue_config *c, char why[DEVICE_WHY])
{
	struct xsk_umem_config umem = { .fill_size = q->ring, .comp_size = q->ring, .frame_size = q->chunk };
	struct xsk_socket_config socket = { .rx_size = q->ring, .tx_size = q->ring,
		.libxdp_flags = XSK_LIBXDP_FLAGS__INHIBIT_PROG_LOAD };
	unsigned flags = XDP_USE_NEED_WAKEUP | (c->pieces ? USE_SG : 0)
		| (c->mode == AFXDP_COPY ? XDP_COPY : c->mode == AFXDP_ZERO_COPY ? XDP_ZEROCOPY : 0);
	int error;

	socket.bind_flags = (__u16)flags;
	/* The library fills in what it maps, and takes the rest for zero. */
	memset(&q->fill, 0, sizeof(q->fill));
	memset(&q->completion, 0, sizeof(q->completion));
	memset(&q->rx, 0, sizeof(q->rx));
	memset(&q->tx, 0, sizeof(q->tx));
	error = xsk_umem__create(&q->umem, q->memory, q->bytes, &q->fill, &q->completion, &umem);
	if (error) {
		snprintf(why, DEVICE_WHY, error == -ENOBUFS ? "%zu MB for packets cannot be locked (%s): raise RLIMIT_MEMLOCK "
			"(LimitMEMLOCK of systemd) or give CAP_IPC_LOCK" : error == -EPERM
			? "%zu MB for packets: AF_XDP is not permitted (%s): CAP_NET_RAW is needed"
			: "%zu MB for packets: %s", q->bytes >> 20, strerror(-error));
		return error;
	}
	error = xsk_socket__create(&q->socket, interface, q->number, q->umem, &q->rx, &q->tx, &socket);
	if (error) {
		q->socket = NULL;
		xsk_umem__delete(q->umem);
		explain(error, q, interface, c, why);
		return error;
	}
	q->fd = xsk_socket__fd(q->socket);
	q->frame_limit = c->mtu + AFXDP_FRAME_EXTRA;
	error = tune(q, c, why);
	if (error) {
		afxdp_queue_shut(q);
		return error;
	}
	q->opened++;
	refill(q);
	return 0;
}

static uint32_t ring_size(uint32_t packets)
{
	uint32_t n = RING_MIN;

	while (n * 2 <= packets / 2 && n < RING_MAX)
		n *= 2;
	return n;
}

int afxdp_queue_prepare(struct afxdp_queue *q, const struct afxdp_queue_config *c)
{
	uint32_t wanted = c->packets ? c->packets : DEFAULT_PACKETS, frame = PKT_HEADROOM + c->mtu + AFXDP_FRAME_EXTRA, i;
	void *memory;

	q->fd = -1;
	q->chunk = c->mtu + AFXDP_FRAME_EXTRA + XDP_HEADROOM <= 2048 ? 2048 : 4096;
	q->span = c->pieces ? (frame + q->chunk - 1) / q->chunk : 1;
	q->small = c->pieces ? wanted / 2 : wanted;
	q->big = wanted - q->small;
	q->ring = ring_size(wanted);
	q->rx_target = q->small / 2 < q->ring ? q->small / 2 : q->ring;
	q->bytes = (size_t)q->chunk * (q->small + (size_t)q->big * q->span);
	q->packets = calloc(wanted, sizeof(*q->packets));
	q->owner = calloc(wanted, 1);
	q->pieces = calloc(wanted, 1);
	memory = mmap(NULL, q->bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory != MAP_FAILED)
		q->memory = memory;
	if (!q->packets || !q->owner || !q->pieces || !q->memory)
		return -ENOMEM;
	madvise(memory, q->bytes, MADV_HUGEPAGE);
	madvise(memory, q->bytes, MADV_DONTFORK);
	for (i = wanted; i-- > 0;) {
		q->packets[i].buffer = q->memory + address_of(q, i);
		q->packets[i].buffer_size = i < q->small ? q->chunk : q->chunk * q->span;
		put_free(q, i);
	}
	return 0;
}

void afxdp_queue_discard(struct afxdp_queue *q)
{
	afxdp_queue_shut(q);
	if (q->memory)
		munmap(q->memory, q->bytes);
	free(q->packets);
	free(q->owner);
	free(q->pieces);
}
