/* SPDX-License-Identifier: BSD-3-Clause */
/* A link: one queue pair of one interface, as a stack sees it. io/ and sim/ implement it; nothing above
 * knows which one it is. One thread uses a link. */
#ifndef LIGHT_LINK_H
#define LIGHT_LINK_H

#include <stdbool.h>
#include <stdint.h>

#include "pkt.h"

enum {
	LINK_TSO = 1 << 0,      /* transmit takes super-frames of up to 64 KB, receive may return them */
	LINK_TX_CSUM = 1 << 1,  /* transmit completes PKT_CSUM_PARTIAL */
	LINK_RX_CSUM = 1 << 2,  /* receive sets PKT_CSUM_GOOD where it holds */
	LINK_LOOPBACK = 1 << 3, /* no Ethernet header, no neighbours: frames begin with the IP header */
};

struct link_stats {
	uint64_t rx_packets, rx_bytes, rx_dropped;
	uint64_t tx_packets, tx_bytes, tx_dropped;
};

struct link_counter {
	char name[64];
	uint64_t value;
};

struct link_ops {
	const char *name;
	/* At most n received packets, each the caller's until release or transmit. */
	unsigned (*receive)(struct link *, struct pkt **, unsigned n);
	/* At most n empty packets (pkt_reset) for sending; fewer, even 0, when the pool is dry.
	 * On a LINK_TSO link each has room for a super-frame. */
	unsigned (*borrow)(struct link *, struct pkt **, unsigned n);
	/* Takes the first k packets and returns k; the rest stay the caller's. A packet that was taken and
	 * is lost inside counts in tx_dropped. */
	unsigned (*transmit)(struct link *, struct pkt **, unsigned n);
	/* Gives packets back that were received or borrowed. */
	void (*release)(struct link *, struct pkt **, unsigned n);
	/* Before a sleep: arms what wakes the reader and gives a descriptor that becomes readable (level) once something
	 * may be received; the caller looks with receive once more before it sleeps on it. -1: this link wakes nobody, it
	 * has to be polled. NULL: as -1 (simulated links). */
	int (*arm)(struct link *);
	/* After that sleep. NULL: there is nothing to take back. */
	void (*disarm)(struct link *);
	/* The i-th counter of the device itself (a NIC's own statistics ...); false past the end. NULL: none. */
	bool (*counter)(struct link *, unsigned i, struct link_counter *);
	/* Frames for this group (IPv4, network order) are wanted, or no longer: let go as often as it was wanted, by any queue of the
	 * device. 0 or -errno: they cannot be let in. NULL: the link lets every group in, or nobody can send it one. */
	int (*group)(struct link *, uint32_t group, bool wanted);
	void (*close)(struct link *);
};

struct link {
	const struct link_ops *ops;
	uint8_t mac[6];
	uint16_t mtu;          /* bytes of an IP packet; 1500 on Ethernet. Frames are 14 bytes longer, with a VLAN's tag 18 */
	uint32_t flags;        /* LINK_* */
	uint32_t up;           /* 0: no carrier */
	struct link_stats stats;
};

#endif
