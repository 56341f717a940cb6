/* SPDX-License-Identifier: BSD-3-Clause */
/* Datagrams in a socket's byte ring: each is a struct dgram_header, `length` bytes of payload, and zero to
 * fifteen bytes of padding up to the next multiple of 16. The same form in both directions and on both
 * sides of the shared memory. The reader checks every field: the writer may be a hostile program. */
#ifndef LIGHT_DGRAM_H
#define LIGHT_DGRAM_H

#include <stdint.h>

#include "addr.h"

struct dgram_header {
	struct ipaddr peer;    /* received: from whom; to send: to whom (any: the connected peer) */
	struct ipaddr local;   /* received: the address it was sent to; to send: source wanted, or any */
	uint32_t length;       /* bytes of payload, at most 65,507 for UDP over IPv4 */
	uint16_t peer_port;    /* host order */
	uint16_t local_port;   /* host order; received only */
	uint32_t interface;    /* received on; 0 to send */
	uint8_t tos, ttl;      /* received only */
	uint8_t flags, unused;
};

_Static_assert(sizeof(struct dgram_header) == 48, "both sides count on it");

static inline uint32_t dgram_record_size(uint32_t length)
{
	return (uint32_t)sizeof(struct dgram_header) + ((length + 15u) & ~15u);
}

#endif
