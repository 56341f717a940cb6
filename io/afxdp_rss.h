/* SPDX-License-Identifier: BSD-3-Clause */
/* How a NIC spreads what it receives over its queues, as ethtool tells: key, table and the fields that are hashed. */
#ifndef LIGHT_IO_AFXDP_RSS_H
#define LIGHT_IO_AFXDP_RSS_H

#include <linux/ethtool.h>

#include "device.h"

/* What the kernel said of TCP and UDP over IPv4: RXH_*. */
struct afxdp_rss_fields {
	uint64_t tcp, udp;
};

/* From ETHTOOL_GRSSH: indir_size entries of the table, then key_size bytes of the key. Queue k of the device is queue k modulo
 * `queues` here. What cannot be said with a struct device_rss leaves key_bytes 0. */
void afxdp_rss_from(const struct ethtool_rxfh *, const struct afxdp_rss_fields *, unsigned queues, struct device_rss *);
/* From the interface, by ioctl on any socket. */
void afxdp_rss_read(int fd, const char *interface, unsigned queues, struct device_rss *);

#endif
