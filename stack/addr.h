/* SPDX-License-Identifier: BSD-3-Clause */
/* Addresses as every layer above IP sees them: sixteen bytes in network order, IPv4 in the mapped form
 * ::ffff:a.b.c.d (RFC 4291 2.5.5.2). Only ip4, arp and icmp look inside. */
#ifndef LIGHT_ADDR_H
#define LIGHT_ADDR_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

struct ipaddr {
	union {
		uint8_t bytes[16];
		uint32_t words[4];
		uint64_t halves[2];
	};
};

#define IPADDR_MAPPED_WORD (__builtin_bswap32(0x0000ffffu))

/* be32: the address in network byte order, as in struct in_addr. */
static inline struct ipaddr ipaddr_from_ip4(uint32_t be32)
{
	return (struct ipaddr){ .words = { 0, 0, IPADDR_MAPPED_WORD, be32 } };
}

static inline bool ipaddr_is_ip4(const struct ipaddr *a)
{
	return a->halves[0] == 0 && a->words[2] == IPADDR_MAPPED_WORD;
}

/* Network byte order; meaningful only when ipaddr_is_ip4. */
static inline uint32_t ipaddr_ip4(const struct ipaddr *a)
{
	return a->words[3];
}

static inline bool ipaddr_equal(const struct ipaddr *a, const struct ipaddr *b)
{
	return a->halves[0] == b->halves[0] && a->halves[1] == b->halves[1];
}

/* The wildcard: all zero, or 0.0.0.0 in mapped form. */
static inline bool ipaddr_is_any(const struct ipaddr *a)
{
	return a->halves[0] == 0 && a->words[3] == 0 && (a->words[2] == 0 || a->words[2] == IPADDR_MAPPED_WORD);
}

#endif
