/* SPDX-License-Identifier: BSD-3-Clause */
/* Which core of a host a packet is for. A host on N cores is N stacks that share nothing but this table: one writer a word,
 * read by all, changed rarely.
 *
 *   TCP         by the Toeplitz hash of its four-tuple as the receiver sees it (Microsoft RSS), so that a NIC can do it: connect chooses a source
 *               port whose replies come back to its own core; listeners stand on every core. A port that is pinned goes to its home
 *               instead (an active open from a port that the program chose).
 *   UDP         to the home of its destination port while a socket is bound there; else by hash
 *   bind        a port's binds all live on its home core, port modulo cores, where the rules of bind(2) are applied
 *   ARP         every core learns from a copy; core 0 answers
 *   IGMP        every core has a copy; of a group's cores the lowest answers
 *   ICMP        errors to the core of the flow they quote; echo requests stay where they came in
 *   fragments   to core 0, which reassembles them and hands the whole to its core (stack_config.redirect)
 *   the rest    core 0: answers to DHCP, too, while no socket is bound to its port
 *
 * Why a pinned port breaks nobody: unbound streams connect only from ports whose home is their own core, and nobody pins a port that is
 * listened on, so that none of the port's flows lives on another core than its home. */
#ifndef LIGHT_STEER_H
#define LIGHT_STEER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "addr.h"

#define STEER_CORES 16u
#define STEER_GROUPS 1024u     /* on all interfaces */
#define STEER_ALL 0xffu        /* a copy to every core */
#define STEER_HERE 0xfeu       /* the core that received it */

struct steer {
	unsigned cores;
	uint8_t key[52];           /* Toeplitz */
	uint16_t table_size;       /* a power of two, at most 512 */
	uint8_t table[512];        /* hash modulo table_size -> core */
	uint32_t adds[12][256];    /* what a byte's value at each place of the input adds to the hash; follows from key */
	/* A bit a port, set and cleared by its home core alone. Eight homes share a byte: always by atomic operations. */
	_Atomic uint8_t tcp_pinned[65536 / 8];  /* its flows go to the home core */
	_Atomic uint8_t udp_bound[65536 / 8];
	/* Groups that were joined: which, by which interface, and the bit of the core that has members; each core takes a place of its own,
	 * which it alone gives back. 0: a free place. */
	_Atomic uint64_t groups[STEER_GROUPS];
	_Atomic uint32_t groups_end;            /* no place from here on was ever used */
};

/* The default key (symmetric use is not needed), a table that deals the cores round. cores 1..STEER_CORES. */
void steer_init(struct steer *, unsigned cores);
/* The device's key (16 bytes at least) and table instead, where it has some; table entries must be below cores. */
void steer_use_rss(struct steer *, const uint8_t *key, unsigned key_bytes, const uint8_t *table, unsigned table_size);

/* Microsoft RSS: TCP or UDP over IPv4; addresses in network order, ports in host order; source and destination as in the packet. */
uint32_t steer_hash(const struct steer *, uint32_t source, uint32_t destination, uint16_t source_port, uint16_t destination_port);
/* The core by the hash alone, and by what is pinned now too. */
unsigned steer_by_hash(const struct steer *, uint32_t source, uint32_t destination, uint16_t source_port, uint16_t destination_port);
unsigned steer_tcp(const struct steer *, uint32_t source, uint32_t destination, uint16_t source_port, uint16_t destination_port);
static inline unsigned steer_home(const struct steer *s, uint16_t port)
{
	return port % s->cores;
}
/* A whole frame, beginning with its Ethernet header (VLAN tags are skipped): a core, STEER_ALL or STEER_HERE. Checks every length. */
unsigned steer_frame(const struct steer *, const uint8_t *frame, uint32_t len);
/* The same for an IP packet, from its header on. */
unsigned steer_packet(const struct steer *, const uint8_t *packet, uint32_t len);
/* The same where a device with this key and table has spread the frame: what only the hash of its own addresses and ports decides is
 * STEER_HERE. */
unsigned steer_frame_spread(const struct steer *, const uint8_t *frame, uint32_t len);

/* For the home core of a port. */
void steer_pin_tcp(struct steer *, uint16_t port, bool pinned);
/* A core's first member of a group (network order) on an interface, or its last one gone. *others: the cores that have some besides it.
 * False: there is no place for one more group. */
bool steer_join(struct steer *, unsigned core, uint32_t interface, uint32_t group, bool member, uint32_t *others);
/* The cores that have members, a bit each. */
uint32_t steer_members(const struct steer *, uint32_t interface, uint32_t group);
void steer_bind_udp(struct steer *, uint16_t port, bool bound);
static inline bool steer_tcp_pinned(const struct steer *s, uint16_t port)
{
	return atomic_load_explicit(&s->tcp_pinned[port / 8], memory_order_acquire) >> port % 8 & 1;
}
static inline bool steer_udp_bound(const struct steer *s, uint16_t port)
{
	return atomic_load_explicit(&s->udp_bound[port / 8], memory_order_acquire) >> port % 8 & 1;
}

#endif
