/* SPDX-License-Identifier: BSD-3-Clause */
/* What is Light's, told to the program; and two settings of the machine that would make it go wrong in silence, told to the log: an
 * address that the kernel has as well, and VLAN tags that the interface takes off before XDP sees the frame. */
#include <ifaddrs.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#include "afxdp_watch.h"

static bool among(uint32_t address, const struct afxdp_wanted *w)
{
	for (unsigned i = 0; i < w->addresses; i++)
		if (w->ip4[i] == address)
			return true;
	return false;
}

/* The kernel answers no more for such an address on this interface: somebody who works on this machine over it would be cut off. */
static void warn_of_shared_addresses(struct afxdp *d, const struct afxdp_wanted *w)
{
	struct ifaddrs *all, *a;

	if (getifaddrs(&all) != 0)
		return;
	for (a = all; a; a = a->ifa_next) {
		struct sockaddr_in in;
		const uint8_t *b = (const uint8_t *)&in.sin_addr;

		if (!a->ifa_addr || a->ifa_addr->sa_family != AF_INET)
			continue;
		memcpy(&in, a->ifa_addr, sizeof(in));
		if (among(in.sin_addr.s_addr, w) && !among(in.sin_addr.s_addr, &d->told))
			afxdp_log(d, "%s: %u.%u.%u.%u is also an address of the kernel (on %s), which gets nothing for it here",
				d->interface, b[0], b[1], b[2], b[3], a->ifa_name);
	}
	freeifaddrs(all);
}

static void warn_of_stripped_tags(struct afxdp *d, const struct afxdp_wanted *w)
{
	struct ethtool_value v = { .cmd = ETHTOOL_GFLAGS };
	struct ifreq r = { .ifr_data = (char *)&v };

	if (w->vlan_count == 0 || d->told.vlan_count)
		return;
	memcpy(r.ifr_name, d->interface, sizeof(r.ifr_name));
	if (ioctl(d->queue[0]->watch, SIOCETHTOOL, &r) == 0 && v.data & ETH_FLAG_RXVLAN)
		afxdp_log(d, "%s: rx-vlan-offload is on: a tag that is taken off makes a frame look untagged (ethtool -K %s rxvlan "
			"off; of a veth pair: txvlan off at the other end)", d->interface, d->interface);
}

int afxdp_want(struct device *device, const struct afxdp_wanted *w)
{
	struct afxdp *d = (struct afxdp *)(void *)device;
	int error;

	pthread_mutex_lock(&d->lock);
	error = afxdp_program_want(d->program, w);
	if (!error) {
		warn_of_shared_addresses(d, w);
		warn_of_stripped_tags(d, w);
		d->told = *w;
	}
	pthread_mutex_unlock(&d->lock);
	return error;
}
