/* SPDX-License-Identifier: BSD-3-Clause */
/* What a backend has to know of a frame's inside to say the truth about its checksum and its segments. Every byte is
 * looked for before it is read: frames come from a kernel or from a file. */
#ifndef LIGHT_IO_LAYER4_H
#define LIGHT_IO_LAYER4_H

#include <stdbool.h>

#include "stack/pkt.h"

enum { LAYER4_TCP = 6, LAYER4_UDP = 17 };

struct layer4 {
	uint32_t ip, at;       /* of the IPv4 header and of what follows it, from data; at 0: not IPv4, or a fragment */
	uint32_t end;          /* behind the IP packet, within the frame */
	uint32_t csum_offset;  /* of the checksum, from at; 0: none that we know */
	uint8_t protocol;
};
/* Of an Ethernet frame, with at most two VLAN tags. */
struct layer4 layer4_find(const struct pkt *);

/* Bytes of a TCP frame's headers, from data; 0: not whole. */
uint32_t layer4_tcp_header(const struct pkt *, const struct layer4 *);

/* A sender that left the checksum to its card, or receive offload that merged segments, leaves the pseudo-header's sum in
 * the field (what PKT_CSUM_PARTIAL says of a frame to send). Whether that is so here: the field holds that sum, and it is
 * not the checksum. */
bool layer4_open_checksum(const struct pkt *, const struct layer4 *);

/* For frames of a packet socket or of a file, of which nobody says it: an open checksum counts as good (the field is 16 bits
 * that had to be right), with its place noted; a TCP frame longer than mtu is a super-frame. True: it was open. */
bool layer4_mark(struct pkt *, uint16_t mtu);

#endif
