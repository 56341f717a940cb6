/* SPDX-License-Identifier: BSD-3-Clause */
/* The header before each frame of a TAP descriptor (virtio specification 1.2, 5.1.6: struct virtio_net_hdr, fields in the
 * host's order) to and from what struct pkt says of checksums and super-frames. */
#ifndef LIGHT_IO_TAP_VNET_H
#define LIGHT_IO_TAP_VNET_H

#include <linux/virtio_net.h>
#include <stdbool.h>

#include "stack/pkt.h"

enum vnet_verdict {
	VNET_OK,
	VNET_COMPLETED,  /* a checksum that the kernel left open was computed here: nobody above would have */
	VNET_BAD_CSUM,   /* the checksum's place lies outside the frame */
	VNET_BAD_GSO,    /* a super-frame of a kind that was never offered, or not the TCP frame that it says it is */
};

/* Sets flags, csum_start, csum_offset, gso_size and header_len of a frame that was read. offloads: whether the link
 * promised LINK_TSO and LINK_RX_CSUM. With a verdict of VNET_BAD_* the frame is not for use. */
enum vnet_verdict vnet_read(const struct virtio_net_hdr *, struct pkt *, bool offloads);
/* The header for a frame to be written; false: the frame's own fields contradict each other. */
bool vnet_write(const struct pkt *, struct virtio_net_hdr *);

#endif
