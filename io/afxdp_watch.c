/* SPDX-License-Identifier: BSD-3-Clause */
/* Netlink says that something changed, the timer that it is time to look at what tells nobody: a program that was removed. An
 * interface that was deleted and made again has another number: everything of the old one is given up, and tried anew
 * with a growing pause until it holds. */
#include "afxdp_watch.h"

#include <errno.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/timerfd.h>
#include <time.h>

#include "netif.h"

#define CHECK_MS 1000u
#define RETRY_MS 500u
#define RETRY_MAX_MS 16000u

uint64_t afxdp_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

void afxdp_log(struct afxdp *d, const char *format, ...)
{
	char line[DEVICE_WHY + 100];
	va_list arguments;

	if (!d->config.log)
		return;
	va_start(arguments, format);
	vsnprintf(line, sizeof(line), format, arguments);
	va_end(arguments);
	d->config.log(d->config.log_context, line);
}

unsigned afxdp_channels(const struct afxdp *d, int fd)
{
	struct ethtool_channels c = { .cmd = ETHTOOL_GCHANNELS };
	struct ifreq r = { .ifr_data = (char *)&c };

	memcpy(r.ifr_name, d->interface, sizeof(r.ifr_name));
	return ioctl(fd, SIOCETHTOOL, &r) == 0 ? c.rx_count + c.combined_count : 0;
}

/* 0: there is none of that name. */
static unsigned number_of(const struct afxdp_queue *q)
{
	struct ifreq r = { 0 };

	memcpy(r.ifr_name, q->device->interface, sizeof(r.ifr_name));
	return ioctl(q->watch, SIOCGIFINDEX, &r) == 0 && r.ifr_ifindex > 0 ? (unsigned)r.ifr_ifindex : 0;
}

static uint64_t longer(uint64_t pause)
{
	return pause == 0 ? RETRY_MS : pause < RETRY_MAX_MS ? pause * 2 : pause;
}

/* Packets are as long as the first MTU asked for; more than that cannot come in. */
static bool fits(const struct afxdp_queue *q, unsigned mtu)
{
	uint32_t room = q->big ? q->span * q->chunk - PKT_HEADROOM : q->chunk - 256;

	return mtu + AFXDP_FRAME_EXTRA <= room;
}

static int take_properties(struct afxdp_queue *q, char why[DEVICE_WHY])
{
	struct afxdp *d = q->device;
	uint16_t asked = d->config.mtu;
	unsigned mtu;
	int error = netif_mac(q->watch, d->interface, q->link.mac);

	if (!error)
		error = netif_mtu(q->watch, d->interface, &mtu);
	if (error) {
		snprintf(why, DEVICE_WHY, "%s: %s", d->interface, strerror(-error));
		return error;
	}
	if (!fits(q, mtu)) {
		snprintf(why, DEVICE_WHY, "%s has an MTU of %u now, the packets were made for %u", d->interface, mtu,
			d->wanted.mtu);
		return -EMSGSIZE;
	}
	q->link.mtu = (uint16_t)(asked && asked < mtu ? asked : mtu);
	q->frame_limit = mtu + AFXDP_FRAME_EXTRA;
	return 0;
}

static void take_carrier(struct afxdp_queue *q)
{
	struct afxdp *d = q->device;
	unsigned flags = 0;
	bool up = q->sockets && netif_flags(q->watch, d->interface, &flags) == 0
		&& flags & IFF_UP && flags & IFF_RUNNING;

	q->link.up = up;
	if (q->number == 0 && d->ifindex && up != d->carrier) {
		d->carrier = up;
		afxdp_log(d, up ? "%s: the carrier is there" : "%s: no carrier", d->interface);
	}
}

static int attach(struct afxdp *d, unsigned ifindex, char why[DEVICE_WHY])
{
	bool generic;
	int error = afxdp_program_attach(d->program, d->interface, ifindex, d->skb, &generic, why);

	if (error)
		return error;
	if (generic && (!d->generic || d->program_attached == 0))
		afxdp_log(d, "%s: XDP runs in front of the kernel's stack, not in the driver: %s", d->interface, why);
	d->generic = generic;
	d->program_attached++;
	if (d->ifindex != ifindex) {
		d->ifindex = ifindex;
		afxdp_groups_again(d);
	}
	return 0;
}

static void set_timer(struct afxdp_queue *q)
{
	/* The first queue looks after the program, the others only while they have no socket. */
	time_t second = q->number == 0 || !q->sockets;
	struct itimerspec t = { { second, 0 }, { second, 0 } };

	timerfd_settime(q->timer, 0, &t, NULL);
}

void afxdp_stop(struct afxdp_queue *q)
{
	for (unsigned i = 0; i < q->sockets; i++)
		epoll_ctl(q->epoll, EPOLL_CTL_DEL, q->socket[i].fd, NULL);
	afxdp_queue_shut(q);
	q->link.up = 0;
	set_timer(q);
}

/* A socket that was opened begins to receive. */
static int serve(struct afxdp_queue *q, unsigned i, char why[DEVICE_WHY])
{
	struct epoll_event e = { .events = EPOLLIN, .data.u32 = 0 };
	struct afxdp_socket *s = &q->socket[i];
	int error = afxdp_program_socket(q->device->program, s->number, s->fd);

	if (!error && epoll_ctl(q->epoll, EPOLL_CTL_ADD, s->fd, &e) != 0)
		error = -errno;
	if (error)
		snprintf(why, DEVICE_WHY, "queue %u of %s cannot be used: %s", s->number, q->device->interface, strerror(-error));
	return error;
}

/* The device's queues that this one serves: every so many-th. One that does not say how many it has is asked for all. */
static unsigned share(const struct afxdp_queue *q, unsigned numbers[AFXDP_SOCKETS + 1])
{
	const struct afxdp *d = q->device;
	unsigned n = 0;

	for (unsigned k = q->number; n <= AFXDP_SOCKETS && (n == 0 || d->channels == 0 || k < d->channels); k += d->device.queues)
		numbers[n++] = k;
	return n;
}

int afxdp_start(struct afxdp_queue *q, char why[DEVICE_WHY])
{
	struct afxdp *d = q->device;
	unsigned ifindex = number_of(q), numbers[AFXDP_SOCKETS + 1], n;
	int error;

	if (ifindex == 0) {
		snprintf(why, DEVICE_WHY, "there is no interface %s", d->interface);
		return -ENODEV;
	}
	error = take_properties(q, why);
	if (!error && (d->ifindex != ifindex || !afxdp_program_attached(d->program)))
		error = attach(d, ifindex, why);
	if (error)
		return error;
	d->channels = afxdp_channels(d, q->watch);
	n = share(q, numbers);
	error = afxdp_queue_open(q, d->interface, numbers, n, d->channels != 0, &d->wanted, why);
	for (unsigned i = 0; !error && i < q->sockets; i++)
		error = serve(q, i, why);
	if (error) {
		afxdp_stop(q);
		return error;
	}
	set_timer(q);
	take_carrier(q);
	return 0;
}

static void interface_lost(struct afxdp_queue *q)
{
	struct afxdp *d = q->device;

	afxdp_stop(q);
	q->retry = q->backoff = 0;
	if (!d->ifindex)
		return;
	d->ifindex = 0;
	d->carrier = false;
	d->interface_lost++;
	afxdp_program_detach(d->program);
	afxdp_log(d, "%s is gone; waiting for an interface of that name", d->interface);
}

static void start_again(struct afxdp_queue *q, uint64_t now)
{
	struct afxdp *d = q->device;
	char why[DEVICE_WHY];
	int error;

	if (now < q->retry || number_of(q) == 0)
		return;
	error = afxdp_start(q, why);
	if (!error) {
		afxdp_log(d, "%s is back: queue %u serves it", d->interface, q->number);
		q->retry = q->backoff = 0;
		return;
	}
	if (q->backoff == 0)
		afxdp_log(d, "%s is back, but queue %u cannot serve it yet: %s", d->interface, q->number, why);
	q->backoff = longer(q->backoff);
	q->retry = now + q->backoff;
}

static void check_program(struct afxdp *d, uint64_t now)
{
	char why[DEVICE_WHY];
	int error;

	d->checked = now;
	if (now < d->retry || d->ifindex == 0 || afxdp_program_attached(d->program))
		return;
	if (d->backoff == 0) {
		d->program_lost++;
		afxdp_log(d, "%s: somebody removed the XDP program; attaching it again", d->interface);
	}
	error = attach(d, d->ifindex, why);
	if (!error) {
		afxdp_log(d, "%s: the XDP program is attached again", d->interface);
		d->retry = d->backoff = 0;
		return;
	}
	if (d->backoff == 0)
		afxdp_log(d, "%s: no frames until the XDP program is attached: %s", d->interface, why);
	d->backoff = longer(d->backoff);
	d->retry = now + d->backoff;
}

/* ethtool -L under way: whoever looks after the program serves what has come. Fewer the kernel does not allow. */
static void check_channels(struct afxdp_queue *q)
{
	struct afxdp *d = q->device;
	unsigned have = afxdp_channels(d, q->watch);
	char why[DEVICE_WHY];
	int error = 0;

	if (have <= d->channels || d->channels == 0)
		return;
	for (unsigned k = d->channels; k < have && !error; k++) {
		error = afxdp_queue_add(q, d->interface, k, &d->wanted, why);
		if (!error)
			error = serve(q, q->sockets - 1, why);
	}
	/* Not every driver (veth, Linux 6.18) gives new queues the program that the others have. */
	if (!error)
		error = attach(d, d->ifindex, why);
	afxdp_log(d, error ? "%s has %u receive queues now, not all of them are served: %s" : "%s has %u receive queues now",
		d->interface, have, why);
	d->channels = have;
}

static void interface_changed(struct afxdp_queue *q)
{
	struct afxdp *d = q->device;
	unsigned ifindex = number_of(q);
	char why[DEVICE_WHY];

	if (ifindex == 0 || ifindex != d->ifindex) {
		interface_lost(q);
		return;
	}
	if (take_properties(q, why) != 0)
		afxdp_log(d, "%s", why);
	take_carrier(q);
}

static void say_too_long(struct afxdp_queue *q)
{
	struct afxdp *d = q->device;

	if (q->rx_lost == 0 || d->too_long)
		return;
	d->too_long = true;
	afxdp_log(d, "%s: frames longer than its MTU arrive and are lost; the sender's segmentation offload has to be off "
		"(ethtool -K ... tso off gso off)", d->interface);
}

void afxdp_look(struct afxdp_queue *q)
{
	struct afxdp *d = q->device;
	uint64_t now = afxdp_now();
	bool changed = netif_changed(q->watch);

	q->looked = now;
	afxdp_queue_statistics(q);
	if (!changed && q->sockets && (q->number != 0 || now - d->checked < CHECK_MS))
		return;
	pthread_mutex_lock(&d->lock);
	if (changed && q->sockets)
		interface_changed(q);
	if (q->number == 0)
		say_too_long(q);
	if (!q->sockets)
		start_again(q, now);
	if (q->number == 0 && q->sockets && now - d->checked >= CHECK_MS) {
		check_program(d, now);
		check_channels(q);
	}
	pthread_mutex_unlock(&d->lock);
}
