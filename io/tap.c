/* SPDX-License-Identifier: BSD-3-Clause */
/* The queues of a TAP interface as links. A frame is read and written by one system call, its virtio-net header lying in
 * the headroom before it. The kernel's end being down, or gone, is a state of the link that ends nothing. */
#include "tap.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "netif.h"
#include "pktpool.h"
#include "stack/base/check.h"
#include "tap_attach.h"
#include "tap_vnet.h"

#define DEFAULT_PACKETS 1024u
#define PACKETS_MAX 1048576u
#define HEADER ((uint32_t)sizeof(struct virtio_net_hdr))
/* An IP packet of 65535 bytes, Ethernet, two VLAN tags, and a byte that tells a frame which was cut. */
#define FRAME_MAX (65535u + 14u + 8u)
#define MTU_MIN 576u
#define MTU_MAX 65521u
/* A busy poller looks for changes of the interface this often: a system call beside as many. */
#define IDLE_LOOKS 1024u

enum tap_count {
	RX_SUPER, RX_PARTIAL, RX_COMPLETED, RX_BAD_CSUM, RX_BAD_GSO, RX_TOO_LONG, RX_POOL_DRY, RX_ERROR,
	TX_SUPER, TX_PARTIAL, TX_MALFORMED, TX_BUSY, TX_DOWN, TX_ERROR, STATE_CHANGES, GONE, BACK, TAP_COUNTS,
};

static const char *const count_names[TAP_COUNTS] = {
	"rx_super_frames", "rx_partial_checksums", "rx_checksums_completed", "rx_bad_checksum_place", "rx_bad_gso",
	"rx_too_long", "rx_pool_dry", "rx_errors", "tx_super_frames", "tx_partial_checksums", "tx_malformed", "tx_busy",
	"tx_down", "tx_errors", "state_changes", "interface_gone", "interface_back",
};

struct tap_device;

struct tap_queue {
	struct link link;   /* first: a struct link * of ours is one of these */
	struct tap_device *device;
	struct pktpool pool;
	int fd, watch, sleeper;  /* the frames; changes of the interface; an epoll descriptor of both */
	unsigned idle;
	bool gone, closed;
	uint64_t counts[TAP_COUNTS];
};

struct tap_device {
	struct device device;  /* first: a struct device * of ours is one of these */
	struct tap_attached attached;
	bool offloads;
	void (*log)(void *context, const char *line);
	void *log_context;
	struct tap_queue queues[DEVICE_QUEUES];
};

static struct tap_queue *queue_of(struct link *l)
{
	return (struct tap_queue *)(void *)l;
}

static struct tap_device *device_of(struct device *d)
{
	return (struct tap_device *)(void *)d;
}

/* One line for the device, not one a queue: the first speaks. */
static void say(struct tap_queue *q, const char *what)
{
	struct tap_device *d = q->device;
	char line[DEVICE_WHY];

	if (!d->log || q != &d->queues[0])
		return;
	snprintf(line, sizeof(line), "tap %s: %s", d->device.name, what);
	d->log(d->log_context, line);
}

static int watch_for(int epoll, int fd)
{
	struct epoll_event e = { .events = EPOLLIN, .data.fd = fd };

	return epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &e) != 0 ? -errno : 0;
}

static void interface_gone(struct tap_queue *q)
{
	if (q->gone)
		return;
	q->gone = true;
	q->link.up = 0;
	q->counts[GONE]++;
	/* Its descriptor is readable from now on, with nothing but an error to read. */
	epoll_ctl(q->sleeper, EPOLL_CTL_DEL, q->fd, NULL);
	say(q, "the interface was deleted; nothing is received or sent until one of that name is there (ip tuntap add)");
}

/* Another interface of that name may have been made. */
static void look_for_interface(struct tap_queue *q)
{
	struct tap_device *d = q->device;

	if (tap_reattach(&d->attached, (unsigned)(q - d->queues), d->offloads) != 0)
		return;
	q->fd = d->attached.fds[q - d->queues];
	if (watch_for(q->sleeper, q->fd) != 0)
		return;
	q->gone = false;
	q->counts[BACK]++;
	say(q, "an interface of that name is there again and is used");
}

static void look_at_interface(struct tap_queue *q)
{
	bool up = q->link.up;
	unsigned mtu = q->link.mtu;

	if (!netif_changed(q->watch))
		return;
	if (q->gone)
		look_for_interface(q);
	if (q->gone)
		return;
	if (!tap_state(q->fd, q->watch, &up, &mtu)) {
		interface_gone(q);
		return;
	}
	if (mtu != q->link.mtu && mtu >= MTU_MIN && mtu <= MTU_MAX) {
		q->link.mtu = (uint16_t)mtu;
		say(q, "the kernel's end has another MTU; it is used from now on");
	}
	if (up == (q->link.up != 0))
		return;
	q->link.up = up;
	q->counts[STATE_CHANGES]++;
	say(q, up ? "the kernel's end is up" : "the kernel's end is down");
}

/* For those who never sleep. */
static void idle_look(struct tap_queue *q)
{
	if (++q->idle < IDLE_LOOKS)
		return;
	q->idle = 0;
	look_at_interface(q);
}

/* Whether the frame of n bytes, header included, is one for the stack. */
static bool accept_frame(struct tap_queue *q, struct pkt *p, size_t n)
{
	struct virtio_net_hdr h;

	if (n < HEADER || n > HEADER + FRAME_MAX) {
		q->counts[n < HEADER ? RX_ERROR : RX_TOO_LONG]++;
		return false;
	}
	memcpy(&h, p->data - HEADER, HEADER);
	p->len = (uint32_t)n - HEADER;
	switch (vnet_read(&h, p, q->device->offloads)) {
	case VNET_BAD_CSUM:
		q->counts[RX_BAD_CSUM]++;
		return false;
	case VNET_BAD_GSO:
		q->counts[RX_BAD_GSO]++;
		return false;
	case VNET_COMPLETED:
		q->counts[RX_COMPLETED]++;
		break;
	case VNET_OK:
		break;
	}
	q->counts[RX_PARTIAL] += h.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM ? 1 : 0;
	q->counts[RX_SUPER] += p->gso_size != 0;
	q->link.stats.rx_packets++;
	q->link.stats.rx_bytes += p->len;
	return true;
}

static void read_failed(struct tap_queue *q, int error)
{
	if (error == EBADFD || error == ENXIO || error == ENODEV)
		interface_gone(q);
	else if (error != EAGAIN && error != EINTR)
		q->counts[RX_ERROR]++;
}

static unsigned tap_receive(struct link *l, struct pkt **out, unsigned n)
{
	struct tap_queue *q = queue_of(l);
	unsigned got = 0;
	struct pkt *p;

	if (q->gone && !q->closed)
		idle_look(q);
	if (q->gone || q->closed)
		return 0;
	/* Frames that are refused count too, so that a stream of them does not hold a turn up. */
	for (unsigned looks = 0; got < n && looks < n; looks++) {
		ssize_t bytes;

		if (pktpool_take(&q->pool, l, &p, 1) == 0) {
			q->counts[RX_POOL_DRY]++;
			return got;
		}
		bytes = read(q->fd, p->data - HEADER, HEADER + FRAME_MAX + 1);
		if (bytes > 0 && accept_frame(q, p, (size_t)bytes)) {
			out[got++] = p;
			continue;
		}
		pktpool_give(&q->pool, &p, 1);
		if (bytes < 0) {
			read_failed(q, errno);
			break;
		}
		l->stats.rx_dropped++;
	}
	if (got == 0)
		idle_look(q);
	return got;
}

static unsigned tap_borrow(struct link *l, struct pkt **out, unsigned n)
{
	return pktpool_take(&queue_of(l)->pool, l, out, n);
}

static void tap_release(struct link *l, struct pkt **packets, unsigned n)
{
	pktpool_give(&queue_of(l)->pool, packets, n);
}

static void write_failed(struct tap_queue *q, int error)
{
	q->link.stats.tx_dropped++;
	switch (error) {
	case EIO:  /* the kernel's end is down; netlink says so too, a moment later */
		q->counts[TX_DOWN]++;
		break;
	case EBADFD:
	case ENXIO:
	case ENODEV:
		interface_gone(q);
		break;
	default:
		q->counts[TX_ERROR]++;
	}
}

/* false: the kernel takes no more for now. */
static bool send_frame(struct tap_queue *q, const struct pkt *p)
{
	bool super = p->gso_size != 0 && q->device->offloads;
	struct virtio_net_hdr h;
	ssize_t sent;

	if (q->gone || q->closed) {
		q->counts[TX_DOWN]++;
		q->link.stats.tx_dropped++;
		return true;
	}
	if (pkt_headroom(p) < HEADER || !vnet_write(p, &h) || (!q->device->offloads && (h.flags || h.gso_type))) {
		q->counts[TX_MALFORMED]++;
		q->link.stats.tx_dropped++;
		return true;
	}
	memcpy(p->data - HEADER, &h, HEADER);
	do
		sent = write(q->fd, p->data - HEADER, HEADER + p->len);
	while (sent < 0 && errno == EINTR);
	if (sent < 0 && errno == EAGAIN)
		return false;
	if (sent < 0) {
		write_failed(q, errno);
		return true;
	}
	q->counts[TX_SUPER] += super;
	q->counts[TX_PARTIAL] += (p->flags & PKT_CSUM_PARTIAL) != 0;
	q->link.stats.tx_packets++;
	q->link.stats.tx_bytes += p->len;
	return true;
}

static unsigned tap_transmit(struct link *l, struct pkt **packets, unsigned n)
{
	struct tap_queue *q = queue_of(l);
	unsigned i;

	for (i = 0; i < n && send_frame(q, packets[i]); i++)
		;
	q->counts[TX_BUSY] += i < n;
	pktpool_give(&q->pool, packets, i);
	return i;
}

static int tap_arm(struct link *l)
{
	struct tap_queue *q = queue_of(l);

	look_at_interface(q);
	return q->sleeper;
}

static bool tap_counter(struct link *l, unsigned i, struct link_counter *out)
{
	if (i >= TAP_COUNTS)
		return false;
	snprintf(out->name, sizeof(out->name), "%s", count_names[i]);
	out->value = queue_of(l)->counts[i];
	return true;
}

/* The device ends as a whole; until then this queue is silent. */
static void tap_link_close(struct link *l)
{
	queue_of(l)->closed = true;
	l->up = 0;
}

static const struct link_ops tap_ops = {
	.name = "tap",
	.receive = tap_receive,
	.borrow = tap_borrow,
	.transmit = tap_transmit,
	.release = tap_release,
	.arm = tap_arm,
	.counter = tap_counter,
	.close = tap_link_close,
};

static struct link *tap_queue(struct device *dev, unsigned i)
{
	CHECK(i < dev->queues);
	return &device_of(dev)->queues[i].link;
}

static uint32_t tap_outstanding(struct device *dev)
{
	struct tap_device *d = device_of(dev);
	uint32_t n = 0;

	for (unsigned i = 0; i < dev->queues; i++)
		n += d->queues[i].pool.outstanding;
	return n;
}

static void tap_close(struct device *dev)
{
	struct tap_device *d = device_of(dev);
	uint32_t lost = tap_outstanding(dev);
	char line[DEVICE_WHY];

	if (lost > 0 && d->log) {
		snprintf(line, sizeof(line), "tap %s: %u packets did not come back", dev->name, lost);
		d->log(d->log_context, line);
	}
	for (unsigned i = 0; i < dev->queues; i++) {
		struct tap_queue *q = &d->queues[i];

		if (q->sleeper >= 0)
			close(q->sleeper);
		if (q->watch >= 0)
			close(q->watch);
		pktpool_close(&q->pool);
	}
	tap_detach(&d->attached);
	free(d);
}

static int open_queue(struct tap_device *d, unsigned i, uint32_t packets)
{
	struct tap_queue *q = &d->queues[i];
	bool up = false;
	unsigned mtu = d->attached.mtu;

	q->device = d;
	q->fd = d->attached.fds[i];
	q->link = (struct link){ .ops = &tap_ops, .mtu = d->attached.mtu,
		.flags = d->offloads ? LINK_TSO | LINK_TX_CSUM | LINK_RX_CSUM : 0 };
	memcpy(q->link.mac, d->attached.mac, 6);
	q->watch = netif_watch();
	q->sleeper = epoll_create1(EPOLL_CLOEXEC);
	if (q->watch < 0)
		return q->watch;
	if (q->sleeper < 0)
		return -errno;
	if (watch_for(q->sleeper, q->fd) != 0 || watch_for(q->sleeper, q->watch) != 0)
		return -errno;
	tap_state(q->fd, q->watch, &up, &mtu);
	q->link.up = up;
	return pktpool_open(&q->pool, packets, FRAME_MAX + 1);
}

static const struct device_ops tap_device_ops = {
	.queue = tap_queue,
	.outstanding = tap_outstanding,
	.close = tap_close,
};

int tap_open(const struct tap_config *c, struct device **out, char why[DEVICE_WHY])
{
	uint32_t packets = c->packets ? c->packets : DEFAULT_PACKETS;
	struct tap_device *d;
	int error = 0;

	if (packets > PACKETS_MAX) {
		snprintf(why, DEVICE_WHY, "tap: %u packets; at most %u are possible", packets, PACKETS_MAX);
		return -EINVAL;
	}
	d = calloc(1, sizeof(*d));
	if (!d) {
		snprintf(why, DEVICE_WHY, "tap: memory is short");
		return -ENOMEM;
	}
	error = tap_attach(c, &d->attached, why);
	if (error) {
		free(d);
		return error;
	}
	d->log = c->device.log;
	d->log_context = c->device.log_context;
	d->offloads = !c->no_offload;
	d->device = (struct device){ .ops = &tap_device_ops, .backend = "tap", .queues = d->attached.queues };
	memcpy(d->device.name, d->attached.name, sizeof(d->device.name));
	for (unsigned i = 0; i < d->device.queues; i++)
		d->queues[i].watch = d->queues[i].sleeper = -1;
	for (unsigned i = 0; i < d->device.queues && !error; i++)
		error = open_queue(d, i, packets);
	if (error) {
		snprintf(why, DEVICE_WHY, "tap %s: queues of %u packets: %s", d->device.name, packets, strerror(-error));
		tap_close(&d->device);
		return error;
	}
	if (d->device.queues < c->device.queues)
		say(&d->queues[0], "the interface was made without multi_queue: one queue serves all");
	*out = &d->device;
	return 0;
}
