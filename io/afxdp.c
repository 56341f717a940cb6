/* SPDX-License-Identifier: BSD-3-Clause */
/* The device: opens an interface with a socket a queue and the program in front, and is the links' table of operations. The parts:
 * afxdp_program.c and afxdp_want.c (what is ours), afxdp_queue.c (rings and packets), afxdp_watch.c (what may change). */
#include "afxdp.h"

#include <errno.h>
#include <net/if.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>
#include <xdp/libxdp.h>

#include "afxdp_rss.h"
#include "afxdp_watch.h"
#include "netif.h"

#define LOOK_CALLS 256u      /* calls of receive between two looks at the clock */
#define LOOK_MS 100u
#define EVENTS 8
#define COPIES 16u           /* at most in one call */
#define PACKETS_MIN 64u
#define PACKETS_MAX (1u << 20)
#define DRAIN_MS 100
#define BUSY_TRIES 40        /* of 5 ms: the socket of a process that has just died leaves its queue a little later */

enum { EVENT_SOCKET, EVENT_WATCH, EVENT_TIMER, EVENT_COPIES };

static struct afxdp_queue *queue_of(struct link *l)
{
	return (struct afxdp_queue *)(void *)l;
}

static struct afxdp *afxdp_of(struct device *d)
{
	return (struct afxdp *)(void *)d;
}

struct copies {
	struct afxdp_queue *queue;
	struct pkt **out;
	unsigned count;
};

static void take_copy(void *context, const uint8_t *frame, uint32_t bytes)
{
	struct copies *c = context;
	struct pkt *p = afxdp_queue_copy(&c->queue->link, frame, bytes);

	if (p)
		c->out[c->count++] = p;
	else
		c->queue->copies_lost++;
}

static unsigned receive_copies(struct afxdp_queue *q, struct pkt **out, unsigned n)
{
	struct copies c = { q, out, 0 };

	q->copies = afxdp_program_take(q->device->program, take_copy, &c, n < COPIES ? n : COPIES);
	return c.count;
}

static unsigned link_receive(struct link *l, struct pkt **out, unsigned n)
{
	struct afxdp_queue *q = queue_of(l);
	unsigned copies = 0;

	if (++q->looks % LOOK_CALLS == 0) {
		q->copies = q->number == 0;
		if (afxdp_now() - q->looked >= LOOK_MS)
			afxdp_look(q);
	}
	/* Without an interface, too: they would wake again and again. */
	if (q->copies && n > 0)
		copies = receive_copies(q, out, n);
	return copies + (q->sockets ? afxdp_queue_receive(l, out + copies, n - copies) : 0);
}

static void take_event(struct afxdp_queue *q, const struct epoll_event *e, bool *look)
{
	uint64_t ticks;

	switch (e->data.u32) {
	case EVENT_COPIES:
		q->copies = true;
		break;
	case EVENT_TIMER:
		*look = true;
		(void)!read(q->timer, &ticks, sizeof(ticks));
		break;
	case EVENT_WATCH:
		*look = true;
		break;
	default:
		*look |= (e->events & (EPOLLERR | EPOLLHUP)) != 0;
	}
}

/* What has to be polled for while frames wait to be sent, or no packet is left to receive into: nothing wakes when the kernel would
 * take them, or has sent some. */
static int link_arm(struct link *l)
{
	struct afxdp_queue *q = queue_of(l);
	struct epoll_event e[EVENTS];
	bool look = false;
	int n;

	n = epoll_wait(q->epoll, e, EVENTS, 0);
	for (int i = 0; i < n; i++)
		take_event(q, &e[i], &look);
	if (look)
		afxdp_look(q);
	if (q->sockets && q->owed)
		afxdp_queue_kick(q);
	if (q->sockets && q->starved)
		afxdp_queue_feed(q);
	return (q->owed || q->starved) && l->up ? -1 : q->epoll;
}

#define OF_QUEUE(field) { #field, offsetof(struct afxdp_queue, field) }
static const struct {
	const char *name;
	size_t offset;
} queue_counters[] = {
	OF_QUEUE(kicks), OF_QUEUE(kicks_again), OF_QUEUE(rx_gathered), OF_QUEUE(rx_lost), OF_QUEUE(rx_bad),
	OF_QUEUE(tx_refused), OF_QUEUE(copies_lost), { "sockets_opened", offsetof(struct afxdp_queue, opened) },
};
static const char *const socket_counters[] = {
	"xdp_rx_dropped", "xdp_rx_invalid", "xdp_tx_invalid", "xdp_rx_ring_full", "xdp_fill_ring_empty", "xdp_tx_ring_empty",
};
#define QUEUE_COUNTERS (sizeof(queue_counters) / sizeof(queue_counters[0]))
#define SOCKET_COUNTERS (sizeof(socket_counters) / sizeof(socket_counters[0]))
_Static_assert(sizeof(struct xdp_statistics) == SOCKET_COUNTERS * sizeof(__u64), "a name each");

static bool device_counter(struct afxdp *d, unsigned i, struct link_counter *out)
{
	static const char *const names[] = { "program_taken", "program_passed", "program_no_socket", "program_copied",
		"program_copy_lost", "program_lost", "program_attached", "interface_lost", "driver_xdp", "zero_copy",
		"device_queues" };
	struct afxdp_program_counts c = { 0 };

	if (i >= sizeof(names) / sizeof(names[0]))
		return false;
	snprintf(out->name, sizeof(out->name), "%s", names[i]);
	if (i < sizeof(c) / sizeof(uint64_t))
		afxdp_program_counts(d->program, &c);
	pthread_mutex_lock(&d->lock);
	out->value = (const uint64_t[]){ c.taken, c.passed, c.no_socket, c.copied, c.copy_lost, d->program_lost,
		d->program_attached, d->interface_lost, !d->generic, d->queue[0]->zero_copy, d->channels }[i];
	pthread_mutex_unlock(&d->lock);
	return true;
}

/* The socket's own, ours, and on the first queue the device's. */
static bool link_counter(struct link *l, unsigned i, struct link_counter *out)
{
	struct afxdp_queue *q = queue_of(l);

	if (i < SOCKET_COUNTERS) {
		if (i == 0)
			afxdp_queue_statistics(q);
		snprintf(out->name, sizeof(out->name), "%s", socket_counters[i]);
		out->value = ((const __u64 *)&q->statistics)[i] + ((const __u64 *)&q->before)[i];
		return true;
	}
	i -= SOCKET_COUNTERS;
	if (i < QUEUE_COUNTERS) {
		snprintf(out->name, sizeof(out->name), "%s", queue_counters[i].name);
		memcpy(&out->value, (const char *)q + queue_counters[i].offset, sizeof(out->value));
		return true;
	}
	return q->number == 0 && device_counter(q->device, (unsigned)(i - QUEUE_COUNTERS), out);
}

/* The device ends as a whole. */
static void link_close(struct link *l)
{
	l->up = 0;
}

static const struct link_ops afxdp_ops = {
	.name = "afxdp",
	.receive = link_receive,
	.borrow = afxdp_queue_borrow,
	.transmit = afxdp_queue_transmit,
	.release = afxdp_queue_release,
	.arm = link_arm,
	.counter = link_counter,
	.group = afxdp_group,
	.close = link_close,
};

static struct link *device_queue(struct device *d, unsigned i)
{
	return i < d->queues ? &afxdp_of(d)->queue[i]->link : NULL;
}

static uint32_t device_outstanding(struct device *device)
{
	struct afxdp *d = afxdp_of(device);
	uint32_t n = 0;

	for (unsigned i = 0; i < device->queues; i++) {
		struct afxdp_queue *q = d->queue[i];

		if (q->sockets && q->owed)
			afxdp_queue_kick(q);
		afxdp_queue_reap(q);
		n += q->held + q->tx_packets;
	}
	return n;
}

static void free_queue(struct afxdp_queue *q)
{
	int fds[] = { q->epoll, q->watch, q->timer };

	afxdp_queue_discard(q);
	for (unsigned i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
		if (fds[i] >= 0)
			close(fds[i]);
	free(q);
}

static void device_free(struct afxdp *d)
{
	afxdp_groups_close(d);
	if (d->program)
		afxdp_program_free(d->program);
	for (unsigned i = 0; i < DEVICE_QUEUES; i++)
		if (d->queue[i])
			free_queue(d->queue[i]);
	pthread_mutex_destroy(&d->lock);
	free(d);
}

/* What was handed over still goes out, if it can. */
static void device_close(struct device *device)
{
	struct afxdp *d = afxdp_of(device);
	uint32_t held = 0;

	for (unsigned i = 0; i < device->queues; i++)
		held += d->queue[i]->held;
	if (held)
		afxdp_log(d, "%s: %u packets did not come back", d->interface, held);
	for (unsigned ms = 0; ms < DRAIN_MS && device_outstanding(device) > held; ms++)
		nanosleep(&(struct timespec){ 0, 1000000 }, NULL);
	device_free(d);
}

static const struct device_ops device_ops = {
	.queue = device_queue,
	.outstanding = device_outstanding,
	.close = device_close,
};

/* Pages of a UMEM are locked: without CAP_IPC_LOCK that counts. If it cannot be raised, xsk_umem__create says so. */
static void raise_memlock(const struct afxdp *d)
{
	struct rlimit r;
	uint64_t need = 0;

	for (unsigned i = 0; i < d->device.queues; i++)
		need += d->queue[i]->bytes;
	if (getrlimit(RLIMIT_MEMLOCK, &r) != 0 || r.rlim_cur == RLIM_INFINITY || r.rlim_cur >= need)
		return;
	r.rlim_cur = need;
	if (r.rlim_max != RLIM_INFINITY && r.rlim_max < need)
		r.rlim_max = need;
	setrlimit(RLIMIT_MEMLOCK, &r);
}

static int make_queue(struct afxdp *d, unsigned number, char why[DEVICE_WHY])
{
	struct afxdp_queue *q = calloc(1, sizeof(*q));
	struct epoll_event watch = { .events = EPOLLIN, .data.u32 = EVENT_WATCH };
	struct epoll_event copies = { .events = EPOLLIN, .data.u32 = EVENT_COPIES };
	struct epoll_event timer = { .events = EPOLLIN, .data.u32 = EVENT_TIMER };
	int error;

	if (!q) {
		snprintf(why, DEVICE_WHY, "no memory");
		return -ENOMEM;
	}
	d->queue[number] = q;
	q->link = (struct link){ .ops = &afxdp_ops };
	q->device = d;
	q->number = number;
	q->watch = netif_watch();
	q->epoll = epoll_create1(EPOLL_CLOEXEC);
	q->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	error = q->watch < 0 ? q->watch : q->epoll < 0 || q->timer < 0 ? -errno : 0;
	if (!error && (epoll_ctl(q->epoll, EPOLL_CTL_ADD, q->watch, &watch) != 0
			|| epoll_ctl(q->epoll, EPOLL_CTL_ADD, q->timer, &timer) != 0))
		error = -errno;
	if (!error && number == 0 && epoll_ctl(q->epoll, EPOLL_CTL_ADD, afxdp_program_copies(d->program), &copies) != 0)
		error = -errno;
	if (!error)
		error = afxdp_queue_prepare(q, &d->wanted);
	if (error)
		snprintf(why, DEVICE_WHY, "queue %u of %s: %s", number, d->interface, strerror(-error));
	return error;
}

static int start_queue(struct afxdp_queue *q, char why[DEVICE_WHY])
{
	int error = afxdp_start(q, why);

	for (unsigned i = 0; i < BUSY_TRIES && error == -EBUSY; i++) {
		nanosleep(&(struct timespec){ 0, 5000000 }, NULL);
		error = afxdp_start(q, why);
	}
	return error;
}

/* How long frames may be: the interface's MTU, as others send what it takes. */
static int choose_mtu(struct afxdp *d, int fd, char why[DEVICE_WHY])
{
	unsigned mtu, most = AFXDP_MTU_MAX;
	uint8_t mac[6];
	int error = netif_mtu(fd, d->interface, &mtu);

	if (error == -ENODEV)
		snprintf(why, DEVICE_WHY, "there is no interface %s", d->interface);
	else if (error)
		snprintf(why, DEVICE_WHY, "the MTU of %s: %s", d->interface, strerror(-error));
	if (error)
		return error;
	error = netif_mac(fd, d->interface, mac);
	if (error) {
		snprintf(why, DEVICE_WHY, "%s is no Ethernet interface", d->interface);
		return error;
	}
	if (mtu > most || mtu < d->config.mtu) {
		snprintf(why, DEVICE_WHY, mtu > most ? "%s has an MTU of %u, more than frames here can have: at most %u"
			: "%s has an MTU of %u, %u is wanted: ip link set dev ... mtu", d->interface, mtu,
			mtu > most ? most : d->config.mtu);
		return -EMSGSIZE;
	}
	d->wanted.mtu = mtu;
	d->wanted.pieces = mtu > AFXDP_MTU_ONE_PIECE;
	return 0;
}

static int check_config(const struct afxdp_config *c, char why[DEVICE_WHY])
{
	if (!c->interface || !c->interface[0] || strlen(c->interface) >= IF_NAMESIZE) {
		snprintf(why, DEVICE_WHY, "an interface's name has 1 to %d characters", IF_NAMESIZE - 1);
		return -EINVAL;
	}
	if (c->device.queues < 1 || c->device.queues > DEVICE_QUEUES) {
		snprintf(why, DEVICE_WHY, "%u queues: 1 to %u are possible", c->device.queues, DEVICE_QUEUES);
		return -EINVAL;
	}
	if (c->packets && (c->packets < PACKETS_MIN || c->packets > PACKETS_MAX)) {
		snprintf(why, DEVICE_WHY, "%u packets: %u to %u are possible", c->packets, PACKETS_MIN, PACKETS_MAX);
		return -EINVAL;
	}
	return 0;
}

static int open_queues(struct afxdp *d, char why[DEVICE_WHY])
{
	unsigned i, have;
	int error = 0, fd = netif_watch();

	if (fd < 0) {
		snprintf(why, DEVICE_WHY, "netlink: %s", strerror(-fd));
		return fd;
	}
	error = choose_mtu(d, fd, why);
	have = d->channels = afxdp_channels(d, fd);
	if (!error)
		afxdp_rss_read(fd, d->interface, d->device.queues, &d->device.rss);
	close(fd);
	if (error)
		return error;
	if (have && have < d->device.queues) {
		afxdp_log(d, "%s has %u queue%s, %u were asked for", d->interface, have, have > 1 ? "s" : "", d->device.queues);
		d->device.queues = have;
	}
	error = afxdp_program_new(&d->program, d->wanted.pieces, why);
	for (i = 0; !error && i < d->device.queues; i++)
		error = make_queue(d, i, why);
	if (error)
		return error;
	raise_memlock(d);
	for (i = 0; !error && i < d->device.queues; i++)
		error = start_queue(d->queue[i], why);
	return error;
}

/* Libraries speak through us or not at all. */
static int mute(enum libxdp_print_level level, const char *format, va_list arguments)
{
	(void)level;
	(void)format;
	(void)arguments;
	return 0;
}

int afxdp_open(const struct afxdp_config *c, struct device **out, char why[DEVICE_WHY])
{
	struct afxdp *d;
	int error = check_config(c, why);

	if (error)
		return error;
	d = calloc(1, sizeof(*d));
	if (!d) {
		snprintf(why, DEVICE_WHY, "no memory");
		return -ENOMEM;
	}
	libxdp_set_print(mute);
	libbpf_set_print(NULL);
	pthread_mutex_init(&d->lock, NULL);
	d->config = c->device;
	d->skb = c->skb;
	d->wanted = (struct afxdp_queue_config){ .packets = c->packets, .mode = c->mode, .busy_poll = c->busy_poll };
	strcpy(d->interface, c->interface);
	d->device = (struct device){ .ops = &device_ops, .backend = "afxdp", .queues = c->device.queues };
	strcpy(d->device.name, c->interface);
	d->carrier = true;   /* said only if it is not there */
	d->members = -1;
	error = open_queues(d, why);
	if (!error) {
		error = afxdp_groups_open(d);
		if (error)
			snprintf(why, DEVICE_WHY, "a packet socket is not permitted (%s): CAP_NET_RAW is needed", strerror(-error));
	}
	if (error) {
		device_free(d);
		return error;
	}
	afxdp_log(d, "%s: XDP %s, %s mode, %u queue%s of %u packets of %u bytes", d->interface,
		d->generic ? "generic" : "in the driver", d->queue[0]->zero_copy ? "zero-copy" : "copy", d->device.queues,
		d->device.queues > 1 ? "s" : "", d->queue[0]->small + d->queue[0]->big, d->queue[0]->chunk);
	*out = &d->device;
	return 0;
}
