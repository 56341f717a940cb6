/* SPDX-License-Identifier: BSD-3-Clause */
/* A packet: one frame in one piece of memory that its link owns. There are no chains and no reference
 * counts: whoever holds the pointer holds the packet, until it hands it to the link again
 * (transmit or release). A super-frame (gso_size != 0) is one packet of up to 64 KB that stands for
 * a run of MTU-sized ones. */
#ifndef LIGHT_PKT_H
#define LIGHT_PKT_H

#include <stdint.h>

#include "base/nsec.h"

struct link;

enum {
	/* Received: the link vouches for the checksums of all layers (hardware, or memory that cannot err). */
	PKT_CSUM_GOOD = 1 << 0,
	/* To send: the field at csum_start + csum_offset holds the pseudo-header's sum (not inverted); the
	 * link completes it over csum_start..end. Only on links with LINK_TX_CSUM. */
	PKT_CSUM_PARTIAL = 1 << 1,
	/* Received: from another core of this host (stack_config.redirect), never set for what came from outside. Its source may be
	 * an address of our own. */
	PKT_REDIRECTED = 1 << 2,
};

/* Room that borrow() leaves before data: Ethernet + VLAN + IPv6 + TCP with all options, and to spare. */
#define PKT_HEADROOM 128

struct pkt {
	uint8_t *data;         /* first byte of the frame; moves as headers come and go */
	uint32_t len;          /* bytes from data on */
	uint32_t flags;        /* PKT_* */
	uint8_t *buffer;       /* start of the memory; the link's, never changed by a borrower */
	uint32_t buffer_size;  /* bytes from buffer on */
	uint16_t csum_start;   /* bytes from data; with PKT_CSUM_PARTIAL */
	uint16_t csum_offset;  /* bytes from csum_start */
	uint16_t gso_size;     /* TCP payload bytes of each segment of a super-frame; 0: an ordinary frame */
	uint16_t header_len;   /* with gso_size: bytes of all headers, from data */
	uint16_t core;         /* for a link that hands packets from thread to thread (io/spread.h): whose memory it is */
	nsec stamp;            /* received: when */
	struct link *link;     /* the owner */
	struct pkt *next;      /* for whoever holds the packet */
};

/* Free bytes before data and behind the last byte. */
static inline uint32_t pkt_headroom(const struct pkt *p)
{
	return (uint32_t)(p->data - p->buffer);
}

static inline uint32_t pkt_tailroom(const struct pkt *p)
{
	return p->buffer_size - pkt_headroom(p) - p->len;
}

/* An empty packet again: data at PKT_HEADROOM, no flags. */
static inline void pkt_reset(struct pkt *p)
{
	p->data = p->buffer + PKT_HEADROOM;
	p->len = 0;
	p->flags = 0;
	p->gso_size = 0;
	p->csum_start = p->csum_offset = p->header_len = 0;
	p->stamp = 0;
	p->next = 0;
}

#endif
