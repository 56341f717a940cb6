/* SPDX-License-Identifier: BSD-3-Clause */
/* The order matters: the first queue makes the interface, the header's size and the offloads hold for all queues, and
 * only then can the MTU be set. */
#include "tap_attach.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <unistd.h>

#include "netif.h"

#define TUN_DEVICE "/dev/net/tun"
#define MTU_MIN 576u
#define MTU_WANTED_MAX 9000u
#define MTU_MAX 65521u      /* of a TAP interface */

__attribute__((format(printf, 3, 4))) static int refuse(char *why, int error, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(why, DEVICE_WHY, format, args);
	va_end(args);
	return error;
}

static int refuse_attach(char *why, const char *name, int error)
{
	switch (error) {
	case EPERM:
		return refuse(why, -error, "tap %s: not allowed: needs CAP_NET_ADMIN, or a TAP interface that belongs to this user", name);
	case EBUSY:
		return refuse(why, -error, "tap %s: in use by another program", name);
	case EINVAL:
		return refuse(why, -error, "tap %s: that interface is there and no TAP interface, or its name is not allowed", name);
	default:
		return refuse(why, -error, "tap %s: %s", name, strerror(error));
	}
}

static int open_queue(const char *name, short flags, int *out)
{
	struct ifreq r = { .ifr_flags = flags };
	int fd = open(TUN_DEVICE, O_RDWR | O_NONBLOCK | O_CLOEXEC), error;

	if (fd < 0)
		return -errno;
	strcpy(r.ifr_name, name);
	if (ioctl(fd, TUNSETIFF, &r) != 0) {
		error = errno;
		close(fd);
		return -error;
	}
	*out = fd;
	return 0;
}

/* An interface is with or without IFF_MULTI_QUEUE from its making on, and refuses the other: what is wanted comes first. */
static int open_either(const char *name, bool *multi, int *fd)
{
	const short flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR;
	int error;

	error = open_queue(name, (short)(flags | (*multi ? IFF_MULTI_QUEUE : 0)), fd);
	if (error != -EINVAL || if_nametoindex(name) == 0)
		return error;
	*multi = !*multi;
	return open_queue(name, (short)(flags | (*multi ? IFF_MULTI_QUEUE : 0)), fd);
}

/* They are the interface's, but some kernels keep the byte order a queue: set on each. */
static int set_offloads(int fd, bool offloads)
{
	int size = sizeof(struct virtio_net_hdr), little = 1;

	if (ioctl(fd, TUNSETVNETHDRSZ, &size) != 0 || ioctl(fd, TUNSETVNETLE, &little) != 0
	    || ioctl(fd, TUNSETOFFLOAD, offloads ? (unsigned long)(TUN_F_CSUM | TUN_F_TSO4) : 0ul) != 0)
		return -errno;
	return 0;
}

static int open_queues(const struct tap_config *c, struct tap_attached *a, char *why)
{
	bool there = if_nametoindex(c->interface) != 0, multi = c->device.queues > 1;
	struct ifreq r = { 0 };
	int error = open_either(c->interface, &multi, &a->fds[0]);

	if (error == -ENOENT || error == -ENODEV || error == -ENXIO)
		return refuse(why, error, "tap %s: cannot open %s: %s (modprobe tun?)", c->interface, TUN_DEVICE, strerror(-error));
	if (error)
		return refuse_attach(why, c->interface, -error);
	a->queues = 1;
	if (ioctl(a->fds[0], TUNGETIFF, &r) != 0)
		return refuse_attach(why, c->interface, errno);
	r.ifr_name[IFNAMSIZ - 1] = '\0';
	strcpy(a->name, r.ifr_name);
	/* Neither ours nor persistent: another program holds it open with several queues, and we would take some of its frames. */
	if (there && !(r.ifr_flags & IFF_PERSIST))
		return refuse_attach(why, c->interface, EBUSY);
	while (multi && a->queues < c->device.queues) {
		error = open_queue(a->name, IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | IFF_MULTI_QUEUE, &a->fds[a->queues]);
		if (error)
			return refuse_attach(why, a->name, -error);
		a->queues++;
	}
	return 0;
}

static int set_all_offloads(const struct tap_config *c, struct tap_attached *a, char *why)
{
	for (unsigned i = 0; i < a->queues; i++) {
		int error = set_offloads(a->fds[i], !c->no_offload);

		if (error)
			return refuse(why, error, "tap %s: this kernel has no virtio-net header with checksum and TSO offload: %s",
				a->name, strerror(-error));
	}
	return 0;
}

static int set_mtu(const struct tap_config *c, struct tap_attached *a, char *why)
{
	unsigned mtu = c->device.mtu;
	int error = mtu ? netif_set_mtu(a->watch, a->name, mtu) : netif_mtu(a->watch, a->name, &mtu);

	if (error)
		return refuse(why, error, "tap %s: MTU %u: %s", a->name, mtu, strerror(-error));
	if (mtu < MTU_MIN || mtu > MTU_MAX)
		return refuse(why, -EINVAL, "tap %s: has an MTU of %u; %u to %u are possible", a->name, mtu, MTU_MIN, MTU_MAX);
	a->mtu = (uint16_t)mtu;
	return 0;
}

static int choose_mac(const struct tap_config *c, struct tap_attached *a, char *why)
{
	static const uint8_t none[6];
	uint8_t kernel[6];
	int error = netif_mac(a->watch, a->name, kernel);

	if (error)
		return refuse(why, error, "tap %s: cannot read its address: %s", a->name, strerror(-error));
	memcpy(a->mac, c->mac, 6);
	if (memcmp(a->mac, none, 6) != 0) {
		if (a->mac[0] & 1)
			return refuse(why, -EINVAL, "tap %s: our MAC address is a group's; its first byte has to be even", a->name);
		if (memcmp(a->mac, kernel, 6) == 0)
			return refuse(why, -EINVAL, "tap %s: our MAC address is that of the kernel's end; they have to differ", a->name);
		return 0;
	}
	do {
		if (getrandom(a->mac, 6, 0) != 6)
			return refuse(why, -EIO, "tap %s: no random bytes for a MAC address", a->name);
		a->mac[0] = (uint8_t)((a->mac[0] & 0xfc) | 2);
	} while (memcmp(a->mac, kernel, 6) == 0);
	return 0;
}

static int check_config(const struct tap_config *c, char *why)
{
	if (!c->interface || c->interface[0] == '\0' || strlen(c->interface) >= IFNAMSIZ)
		return refuse(why, -EINVAL, "tap: the interface's name has to have 1 to %d characters", IFNAMSIZ - 1);
	if (c->device.queues < 1 || c->device.queues > DEVICE_QUEUES)
		return refuse(why, -EINVAL, "tap %s: %u queues; 1 to %u are possible", c->interface, c->device.queues, DEVICE_QUEUES);
	if (c->device.mtu && (c->device.mtu < MTU_MIN || c->device.mtu > MTU_WANTED_MAX))
		return refuse(why, -EINVAL, "tap %s: MTU %u; %u to %u are possible", c->interface, c->device.mtu, MTU_MIN, MTU_WANTED_MAX);
	return 0;
}

void tap_detach(struct tap_attached *a)
{
	if (a->queues > 0)
		ioctl(a->fds[0], TUNSETOFFLOAD, 0ul);
	for (unsigned i = 0; i < a->queues; i++)
		close(a->fds[i]);
	a->queues = 0;
	if (a->watch >= 0)
		close(a->watch);
	a->watch = -1;
}

int tap_attach(const struct tap_config *c, struct tap_attached *a, char why[DEVICE_WHY])
{
	int error = check_config(c, why);

	*a = (struct tap_attached){ .watch = -1 };
	if (error)
		return error;
	a->watch = netif_watch();
	if (a->watch < 0)
		return refuse(why, a->watch, "tap %s: no netlink socket: %s", c->interface, strerror(-a->watch));
	error = open_queues(c, a, why);
	if (!error)
		error = set_all_offloads(c, a, why);
	if (!error)
		error = set_mtu(c, a, why);
	if (!error)
		error = choose_mac(c, a, why);
	if (error) {
		tap_detach(a);
		return error;
	}
	close(a->watch);
	a->watch = -1;
	return 0;
}

int tap_reattach(struct tap_attached *a, unsigned queue, bool offloads)
{
	bool multi = a->queues > 1;
	int fd, error;

	/* Otherwise it would be made. */
	if (if_nametoindex(a->name) == 0)
		return -ENODEV;
	error = open_either(a->name, &multi, &fd);
	if (error)
		return error;
	error = set_offloads(fd, offloads);
	if (error) {
		close(fd);
		return error;
	}
	close(a->fds[queue]);
	a->fds[queue] = fd;
	return 0;
}

bool tap_state(int fd, int watch, bool *up, unsigned *mtu)
{
	struct ifreq r = { 0 };
	unsigned flags;

	if (ioctl(fd, TUNGETIFF, &r) != 0)
		return false;
	r.ifr_name[IFNAMSIZ - 1] = '\0';
	/* Not found by its name: it was moved to another network namespace, where it works as before. */
	if (netif_flags(watch, r.ifr_name, &flags) != 0 || netif_mtu(watch, r.ifr_name, mtu) != 0)
		return true;
	*up = flags & IFF_UP;
	return true;
}
