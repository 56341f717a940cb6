/* SPDX-License-Identifier: BSD-3-Clause */
/* The sockets of a link and the UMEM below them: made, tuned, given up. The first socket owns the UMEM; each further one shares it
 * (XDP_SHARED_UMEM) with rings of its own, as the kernel wants it for another queue of the device. */
#include <errno.h>
#include <linux/if_xdp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "afxdp_queue.h"

/* Since Linux 6.6 and 6.17; Debian 12's headers are older. */
#define USE_SG (1u << 4)
#define MAX_TX_SKB_BUDGET 9

#define XDP_HEADROOM 256u    /* what the kernel leaves before a received frame */
#define RING_MAX 2048u
#define RING_MIN 64u
#define TARGET_MIN 4u        /* packets that wait for frames of a socket: a frame in pieces has up to three */
#define DEFAULT_PACKETS 8192u
#define SEND_BUFFER (16 << 20)
#define BUSY_POLL_USEC 20
#define BUSY_POLL_FRAMES 64

void afxdp_queue_statistics(struct afxdp_queue *q)
{
	struct xdp_statistics one;
	__u64 *sum = (__u64 *)&q->statistics, *part = (__u64 *)&one;

	memset(&q->statistics, 0, sizeof(q->statistics));
	for (unsigned i = 0; i < q->sockets; i++) {
		socklen_t bytes = sizeof(one);

		memset(&one, 0, sizeof(one));
		getsockopt(q->socket[i].fd, SOL_XDP, XDP_STATISTICS, &one, &bytes);
		for (unsigned k = 0; k < sizeof(one) / sizeof(*part); k++)
			sum[k] += part[k];
	}
	q->link.stats.rx_dropped = q->rx_lost + q->statistics.rx_dropped + q->before.rx_dropped
		+ q->statistics.rx_ring_full + q->before.rx_ring_full;
}

void afxdp_queue_shut(struct afxdp_queue *q)
{
	__u64 *sum = (__u64 *)&q->before, *last = (__u64 *)&q->statistics;

	if (q->sockets == 0)
		return;
	afxdp_queue_statistics(q);
	for (unsigned i = 0; i < sizeof(q->before) / sizeof(*sum); i++) {
		sum[i] += last[i];
		last[i] = 0;
	}
	while (q->sockets > 0)
		xsk_socket__delete(q->socket[--q->sockets].xsk);
	xsk_umem__delete(q->umem);
	q->owed = q->starved = false;
	q->tx_pieces = q->tx_packets = q->tx_small = 0;
	for (uint32_t i = 0; i < q->small + q->big; i++) {
		q->pieces[i] = 0;
		if (q->owner[i] == AFXDP_FILLING || q->owner[i] == AFXDP_SENDING)
			afxdp_queue_free(q, i);
	}
}

static int set(int fd, int level, int option, int value)
{
	return setsockopt(fd, level, option, &value, sizeof(value)) == 0 ? 0 : -errno;
}

/* What may fail without harm: a larger share of a kick (Linux 6.17), room for more frames on their way. */
static int tune(struct afxdp_queue *q, int fd, const struct afxdp_queue_config *c, char why[DEVICE_WHY])
{
	struct xdp_options options = { 0 };
	socklen_t bytes = sizeof(options);
	int error;

	set(fd, SOL_XDP, MAX_TX_SKB_BUDGET, (int)q->ring);
	if (set(fd, SOL_SOCKET, SO_SNDBUFFORCE, SEND_BUFFER) != 0)
		set(fd, SOL_SOCKET, SO_SNDBUF, SEND_BUFFER);
	q->zero_copy = getsockopt(fd, SOL_XDP, XDP_OPTIONS, &options, &bytes) == 0
		&& options.flags & XDP_OPTIONS_ZEROCOPY;
	q->busy_poll = c->busy_poll;
	if (!c->busy_poll)
		return 0;
	error = set(fd, SOL_SOCKET, SO_PREFER_BUSY_POLL, 1);
	if (!error)
		error = set(fd, SOL_SOCKET, SO_BUSY_POLL, BUSY_POLL_USEC);
	if (!error)
		error = set(fd, SOL_SOCKET, SO_BUSY_POLL_BUDGET, BUSY_POLL_FRAMES);
	if (error)
		snprintf(why, DEVICE_WHY, "busy polling (SO_PREFER_BUSY_POLL): %s%s", strerror(-error),
			error == -EPERM ? "; CAP_NET_ADMIN is needed" : "");
	return error;
}

static void explain(int error, unsigned number, const char *interface, const struct afxdp_queue_config *c, char why[DEVICE_WHY])
{
	switch (-error) {
	case EBUSY:
		snprintf(why, DEVICE_WHY, "queue %u of %s has an AF_XDP socket already", number, interface);
		break;
	case EOPNOTSUPP:
		snprintf(why, DEVICE_WHY, "queue %u of %s: the driver has no zero-copy%s", number, interface,
			c->pieces ? " for frames in several pieces" : "");
		break;
	case EINVAL:
		snprintf(why, DEVICE_WHY, c->pieces ? "queue %u of %s: there is no such queue, or the kernel (before 6.6) has no "
			"frames in several pieces, and an MTU of %u needs them (at most %u without)"
			: "queue %u of %s: there is no such queue", number, interface, c->mtu, AFXDP_MTU_ONE_PIECE);
		break;
	default:
		snprintf(why, DEVICE_WHY, "AF_XDP socket on queue %u of %s: %s", number, interface, strerror(-error));
	}
}

/* The library fills in what it maps, and takes the rest for zero. */
static int open_socket(struct afxdp_queue *q, const char *interface, unsigned number, const struct afxdp_queue_config *c,
	char why[DEVICE_WHY])
{
	struct xsk_socket_config config = { .rx_size = q->ring, .tx_size = q->ring,
		.libxdp_flags = XSK_LIBXDP_FLAGS__INHIBIT_PROG_LOAD };
	unsigned flags = XDP_USE_NEED_WAKEUP | (c->pieces ? USE_SG : 0)
		| (c->mode == AFXDP_COPY ? XDP_COPY : c->mode == AFXDP_ZERO_COPY ? XDP_ZEROCOPY : 0);
	struct afxdp_socket *s = &q->socket[q->sockets];
	int error;

	config.bind_flags = (__u16)flags;
	s->number = number;
	s->rx_held = 0;
	s->gathered = NULL;
	s->gathering = false;
	memset(&s->rx, 0, sizeof(s->rx));
	if (q->sockets == 0) {
		memset(&q->tx, 0, sizeof(q->tx));
		error = xsk_socket__create(&s->xsk, interface, number, q->umem, &s->rx, &q->tx, &config);
	} else {
		memset(&s->fill, 0, sizeof(s->fill));
		memset(&s->completion, 0, sizeof(s->completion));
		error = xsk_socket__create_shared(&s->xsk, interface, number, q->umem, &s->rx, NULL, &s->fill, &s->completion,
			&config);
	}
	if (error) {
		explain(error, number, interface, c, why);
		return error;
	}
	s->fd = xsk_socket__fd(s->xsk);
	error = tune(q, s->fd, c, why);
	if (error)
		xsk_socket__delete(s->xsk);
	else
		q->sockets++;
	return error;
}

static int open_umem(struct afxdp_queue *q, char why[DEVICE_WHY])
{
	struct xsk_umem_config umem = { .fill_size = q->ring, .comp_size = q->ring, .frame_size = q->chunk };
	int error;

	memset(&q->socket->fill, 0, sizeof(q->socket->fill));
	memset(&q->socket->completion, 0, sizeof(q->socket->completion));
	error = xsk_umem__create(&q->umem, q->memory, q->bytes, &q->socket->fill, &q->socket->completion, &umem);
	if (error)
		snprintf(why, DEVICE_WHY, error == -ENOBUFS ? "%zu MB for packets cannot be locked (%s): raise RLIMIT_MEMLOCK "
			"(LimitMEMLOCK of systemd) or give CAP_IPC_LOCK" : error == -EPERM
			? "%zu MB for packets: AF_XDP is not permitted (%s): CAP_NET_RAW is needed"
			: "%zu MB for packets: %s", q->bytes >> 20, strerror(-error));
	return error;
}

static uint32_t target(const struct afxdp_queue *q, unsigned sockets)
{
	return q->small / 2 / sockets < q->ring ? q->small / 2 / sockets : q->ring;
}

/* Packets are dealt out to the sockets; a socket that had more keeps them until frames come. */
static void share_out(struct afxdp_queue *q)
{
	q->rx_target = target(q, q->sockets);
	q->tx_small_limit = q->small - q->rx_target * q->sockets;
	afxdp_queue_feed(q);
}

static int check_share(const struct afxdp_queue *q, unsigned sockets, const char *interface, char why[DEVICE_WHY])
{
	if (sockets <= AFXDP_SOCKETS && target(q, sockets) >= TARGET_MIN)
		return 0;
	snprintf(why, DEVICE_WHY, "%u queues of %s are too many for one of %u packets: more queues here, more packets, or ethtool -L",
		sockets, interface, q->small + q->big);
	return -E2BIG;
}

int afxdp_queue_add(struct afxdp_queue *q, const char *interface, unsigned number, const struct afxdp_queue_config *c,
	char why[DEVICE_WHY])
{
	int error = check_share(q, q->sockets + 1, interface, why);

	if (!error)
		error = open_socket(q, interface, number, c, why);
	if (!error)
		share_out(q);
	return error;
}

int afxdp_queue_open(struct afxdp_queue *q, const char *interface, const unsigned *numbers, unsigned n, bool certain,
	const struct afxdp_queue_config *c, char why[DEVICE_WHY])
{
	int error = check_share(q, certain ? n : 1, interface, why);

	if (!error)
		error = open_umem(q, why);
	if (error)
		return error;
	for (unsigned i = 0; i < n && !error; i++) {
		error = certain ? 0 : check_share(q, i + 1, interface, why);
		if (!error)
			error = open_socket(q, interface, numbers[i], c, why);
	}
	if ((error == -EINVAL || error == -E2BIG) && !certain && q->sockets > 0)
		error = 0;
	if (error && q->sockets == 0)
		xsk_umem__delete(q->umem);
	if (error) {
		afxdp_queue_shut(q);
		return error;
	}
	q->frame_limit = c->mtu + AFXDP_FRAME_EXTRA;
	q->opened++;
	share_out(q);
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

		q->chunk = c->mtu + AFXDP_FRAME_EXTRA + XDP_HEADROOM <= 2048 ? 2048 : 4096;
	q->span = c->pieces ? (frame + q->chunk - 1) / q->chunk : 1;
	q->small = c->pieces ? wanted / 2 : wanted;
	q->big = wanted - q->small;
	q->ring = ring_size(wanted);
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
		q->packets[i].buffer = q->memory + afxdp_queue_address(q, i);
		q->packets[i].buffer_size = i < q->small ? q->chunk : q->chunk * q->span;
		afxdp_queue_free(q, i);
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
