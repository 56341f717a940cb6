/* SPDX-License-Identifier: BSD-3-Clause */
/* AF_XDP sockets (libxdp, libbpf): any Linux interface, no driver binding. A small XDP program redirects what belongs to Light
 * and leaves everything else to the kernel; it is held by a bpf_link, so that it goes with the process, however that ends. */
#ifndef LIGHT_IO_AFXDP_H
#define LIGHT_IO_AFXDP_H

#include "device.h"

enum afxdp_mode { AFXDP_AUTO, AFXDP_COPY, AFXDP_ZERO_COPY };

struct afxdp_config {
	struct device_config device;
	const char *interface;
	enum afxdp_mode mode;   /* AUTO: zero-copy where the driver has it, else copy */
	bool skb;               /* generic XDP even where the driver has its own */
	bool busy_poll;         /* SO_PREFER_BUSY_POLL */
	uint32_t packets;       /* frames of the UMEM of each queue; 0: 8192 */
};

/* 0, or -errno and a sentence in why. */
int afxdp_open(const struct afxdp_config *, struct device **, char why[DEVICE_WHY]);
/* The addresses that are ours (network order): IPv4 frames to them and ARP for them come to Light, multicast and
 * broadcast ones are left to the kernel, except those that `all` asks for (DHCP). Called again when they change, at any time and from any
 * one thread. */
struct afxdp_wanted {
	uint32_t ip4[64];
	unsigned addresses;
	uint16_t vlans[64];     /* tagged frames of these are looked at; untagged always */
	unsigned vlan_count;
	bool dhcp;              /* UDP to port 68 too */
};
int afxdp_want(struct device *, const struct afxdp_wanted *);

#endif
