/* SPDX-License-Identifier: BSD-3-Clause */
/* TUN/TAP with IFF_VNET_HDR and several queues: a host beside the local kernel without any NIC. Super-frames of 64 KB and
 * partial checksums cross both ways. Source: linux/if_tun.h, virtio specification 1.2, 5.1.6 (struct virtio_net_hdr). */
#ifndef LIGHT_IO_TAP_H
#define LIGHT_IO_TAP_H

#include "device.h"

struct tap_config {
	struct device_config device;
	/* Of the kernel's end; made if it is not there, and then removed at close. */
	const char *interface;
	uint8_t mac[6];         /* ours; all zero: drawn at random, locally administered */
	uint32_t packets;       /* of 64 KB, of each queue, lazily touched; 0: 1024 */
	bool no_offload;        /* MTU-sized frames with whole checksums only (tests, comparisons) */
};

/* 0, or -errno and a sentence in why. */
int tap_open(const struct tap_config *, struct device **, char why[DEVICE_WHY]);

#endif
