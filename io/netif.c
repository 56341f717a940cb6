/* SPDX-License-Identifier: BSD-3-Clause */
/* One netlink socket in the group of link changes, and the ioctls of netdevice(7) on it. */
#include "netif.h"

#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

/* Enough for a message; a longer one is cut, and nobody reads its end. */
#define MESSAGE 4096
/* A flood of changes elsewhere does not hold a queue up: what is left is read the next time. */
#define MESSAGES_AT_ONCE 64

int netif_watch(void)
{
	struct sockaddr_nl group = { .nl_family = AF_NETLINK, .nl_groups = RTMGRP_LINK };
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
	int error;

	if (fd < 0)
		return -errno;
	if (bind(fd, (struct sockaddr *)&group, sizeof(group)) != 0) {
		error = errno;
		close(fd);
		return -error;
	}
	return fd;
}

bool netif_changed(int watch)
{
	uint8_t message[MESSAGE];
	bool changed = false;

	for (unsigned i = 0; i < MESSAGES_AT_ONCE; i++) {
		/* ENOBUFS: messages were lost, so something changed. */
		if (recv(watch, message, sizeof(message), 0) < 0 && errno != ENOBUFS)
			break;
		changed = true;
	}
	return changed;
}

static int ask(int watch, const char *name, unsigned long question, struct ifreq *r)
{
	if (strlen(name) >= sizeof(r->ifr_name))
		return -ENODEV;
	strcpy(r->ifr_name, name);
	return ioctl(watch, question, r) < 0 ? -errno : 0;
}

int netif_flags(int watch, const char *name, unsigned *flags)
{
	struct ifreq r = { 0 };
	int error = ask(watch, name, SIOCGIFFLAGS, &r);

	*flags = (unsigned short)r.ifr_flags;
	return error;
}

int netif_mtu(int watch, const char *name, unsigned *mtu)
{
	struct ifreq r = { 0 };
	int error = ask(watch, name, SIOCGIFMTU, &r);

	*mtu = r.ifr_mtu > 0 ? (unsigned)r.ifr_mtu : 0;
	return error;
}

int netif_set_mtu(int watch, const char *name, unsigned mtu)
{
	struct ifreq r = { .ifr_mtu = (int)mtu };

	return ask(watch, name, SIOCSIFMTU, &r);
}

int netif_mac(int watch, const char *name, uint8_t mac[6])
{
	struct ifreq r = { 0 };
	int error = ask(watch, name, SIOCGIFHWADDR, &r);

	if (error)
		return error;
	if (r.ifr_hwaddr.sa_family != ARPHRD_ETHER)
		return -EPROTOTYPE;
	memcpy(mac, r.ifr_hwaddr.sa_data, 6);
	return 0;
}
