/* SPDX-License-Identifier: BSD-3-Clause */
/* Which frames are Light's: the instructions of the XDP program, over the maps of afxdp_program.c. */
#ifndef LIGHT_IO_AFXDP_FILTER_H
#define LIGHT_IO_AFXDP_FILTER_H

#include <stdint.h>

#include "afxdp_code.h"

/* Descriptors of the maps. */
struct afxdp_filter {
	int sockets;             /* of each queue */
	int addresses, vlans;    /* ours: the key is the answer; of addresses AFXDP_GROUP: a copy */
	int settings;            /* 0: whether there is a DHCP client */
	int counts;              /* AFXDP_COUNT_*, for each CPU */
	int copies;              /* a ring of struct afxdp_copy */
};

enum {
	AFXDP_COUNT_TAKEN, AFXDP_COUNT_PASSED, AFXDP_COUNT_NO_SOCKET, AFXDP_COUNT_COPIED, AFXDP_COUNT_COPY_LOST, AFXDP_COUNTS
};

#define AFXDP_GROUP 2        /* a value of addresses: a group, which the kernel may be in, too */

/* Longest frame that is copied: 1500 bytes, Ethernet and a VLAN tag. */
#define AFXDP_COPY_MAX 1518u

struct afxdp_copy {
	uint32_t bytes;          /* 14..AFXDP_COPY_MAX */
	uint32_t unused;
	uint8_t frame[AFXDP_COPY_MAX + 2];
};

void afxdp_filter_write(struct code *, const struct afxdp_filter *);

#endif
