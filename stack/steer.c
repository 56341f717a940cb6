/* SPDX-License-Identifier: BSD-3-Clause */
/* Toeplitz hash of Microsoft RSS ("RSS Hashing Types", "Verifying the RSS hash calculation"), and the core of a frame. Looks at lengths
 * and ports only: whether a packet is sound is for the stack of its core to say. */
#include "steer.h"

#include "base/check.h"
#include "wire.h"

#define TAGS_MAX 2u            /* 802.1Q, or 802.1ad around it */
#define ETH_TYPE_VLAN 0x8100
#define ETH_TYPE_VLAN_OUTER 0x88a8
#define CORE_DEFAULT 0u
#define DHCP_CLIENT 68

/* The key of Microsoft's verification suite, as most drivers have it. */
static const uint8_t default_key[40] = {
	0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3, 0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb,
	0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3, 0x80, 0x30, 0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa,
};

/* ---- the hash ---- */

/* The 32 bits of the key that a set bit at this place of the input adds. */
static uint32_t window(const uint8_t *key, unsigned bit)
{
	uint64_t bits = 0;

	for (unsigned i = 0; i < 5; i++)
		bits = bits << 8 | key[bit / 8 + i];
	return (uint32_t)(bits >> (8 - bit % 8));
}

static void prepare(struct steer *s)
{
	for (unsigned place = 0; place < 12; place++)
		for (unsigned value = 0; value < 256; value++) {
			uint32_t sum = 0;

			for (unsigned bit = 0; bit < 8; bit++)
				if (value & 0x80u >> bit)
					sum ^= window(s->key, place * 8 + bit);
			s->adds[place][value] = sum;
		}
}

static uint32_t add4(const uint32_t (*adds)[256], uint32_t in_network_order)
{
	return adds[0][in_network_order & 255] ^ adds[1][in_network_order >> 8 & 255] ^ adds[2][in_network_order >> 16 & 255] ^
	       adds[3][in_network_order >> 24];
}

void steer_init(struct steer *s, unsigned cores)
{
	CHECK(cores >= 1 && cores <= STEER_CORES);
	memset(s, 0, sizeof(*s));
	s->cores = cores;
	memcpy(s->key, default_key, sizeof(default_key));
	s->table_size = 128;
	for (unsigned i = 0; i < s->table_size; i++)
		s->table[i] = (uint8_t)(i % cores);
	prepare(s);
}

void steer_use_rss(struct steer *s, const uint8_t *key, unsigned key_bytes, const uint8_t *table, unsigned table_size)
{
	CHECK(key_bytes >= 16 && key_bytes <= sizeof(s->key));
	CHECK(table_size >= 1 && table_size <= sizeof(s->table) && (table_size & (table_size - 1)) == 0);
	for (unsigned i = 0; i < table_size; i++)
		CHECK(table[i] < s->cores);
	memset(s->key, 0, sizeof(s->key));
	memcpy(s->key, key, key_bytes);
	memcpy(s->table, table, table_size);
	s->table_size = (uint16_t)table_size;
	prepare(s);
}

uint32_t steer_hash(const struct steer *s, uint32_t source, uint32_t destination, uint16_t source_port, uint16_t destination_port)
{
	uint32_t ports = be32((uint32_t)source_port << 16 | destination_port);

	return add4(&s->adds[0], source) ^ add4(&s->adds[4], destination) ^ add4(&s->adds[8], ports);
}

unsigned steer_by_hash(const struct steer *s, uint32_t source, uint32_t destination, uint16_t source_port, uint16_t destination_port)
{
	return s->table[steer_hash(s, source, destination, source_port, destination_port) & (s->table_size - 1u)];
}

unsigned steer_tcp(const struct steer *s, uint32_t source, uint32_t destination, uint16_t source_port, uint16_t destination_port)
{
	if (steer_tcp_pinned(s, destination_port))
		return steer_home(s, destination_port);
	return steer_by_hash(s, source, destination, source_port, destination_port);
}

/* ---- a frame ---- */

/* An IP packet as far as it is there: where layer 4 begins, or 0 if its header is not whole or it is a fragment. */
static uint32_t layer4(const struct ip4_header *ip, uint32_t len)
{
	uint32_t header_len;

	if (len < sizeof(*ip) || ip->version_ihl >> 4 != 4 || (ip->fragment & be16(IP4_MF | IP4_OFFSET)))
		return 0;
	header_len = (ip->version_ihl & 15u) * 4;
	return header_len >= sizeof(*ip) && header_len <= len ? header_len : 0;
}

/* Of an error: the core of the flow that it quotes, whose packet it was that we sent. A quoted fragment but the first has no ports. */
static unsigned steer_quoted(const struct steer *s, const uint8_t *quoted, uint32_t len)
{
	const struct ip4_header *ip = (const struct ip4_header *)quoted;
	const struct udp_header *ports;
	uint32_t header_len;

	if (len < sizeof(*ip) || ip->version_ihl >> 4 != 4 || (ip->fragment & be16(IP4_OFFSET)))
		return CORE_DEFAULT;
	header_len = (ip->version_ihl & 15u) * 4;
	if (header_len < sizeof(*ip) || len < header_len + 4)
		return CORE_DEFAULT;
	ports = (const struct udp_header *)(quoted + header_len);
	if (ip->protocol == PROTOCOL_TCP)
		return steer_tcp(s, ip->destination, ip->source, be16(ports->destination), be16(ports->source));
	if (ip->protocol == PROTOCOL_UDP && steer_udp_bound(s, be16(ports->source)))
		return steer_home(s, be16(ports->source));
	return CORE_DEFAULT;
}

static unsigned steer_icmp(const struct steer *s, const uint8_t *icmp, uint32_t len)
{
	const struct icmp_header *h = (const struct icmp_header *)icmp;

	if (len < sizeof(*h))
		return CORE_DEFAULT;
	switch (h->type) {
	case ICMP_ECHO:
		return STEER_HERE;
	case ICMP_UNREACHABLE:
	case ICMP_TIME_EXCEEDED:
	case ICMP_PARAMETER:
		return steer_quoted(s, icmp + sizeof(*h), len - (uint32_t)sizeof(*h));
	default:
		return CORE_DEFAULT;
	}
}

static unsigned steer_ip4(const struct steer *s, const uint8_t *packet, uint32_t len, bool spread)
{
	const struct ip4_header *ip = (const struct ip4_header *)packet;
	uint32_t at = layer4(ip, len);
	const struct udp_header *ports = (const struct udp_header *)(packet + at);
	uint16_t port;

	if (at == 0)
		return CORE_DEFAULT;
	if (ip->protocol == PROTOCOL_IGMP)
		return STEER_ALL;
	if (ip->protocol == PROTOCOL_ICMP)
		return steer_icmp(s, packet + at, len - at);
	if ((ip->protocol != PROTOCOL_TCP && ip->protocol != PROTOCOL_UDP) || len < at + 4)
		return CORE_DEFAULT;
	port = be16(ports->destination);
	if (ip->protocol == PROTOCOL_TCP ? steer_tcp_pinned(s, port) : steer_udp_bound(s, port))
		return steer_home(s, port);
	if (ip->protocol == PROTOCOL_UDP && port == DHCP_CLIENT)
		return CORE_DEFAULT;
	return spread ? STEER_HERE : steer_by_hash(s, ip->source, ip->destination, be16(ports->source), port);
}

static unsigned steer(const struct steer *s, const uint8_t *frame, uint32_t len, bool spread)
{
	const struct eth_header *eth = (const struct eth_header *)frame;
	uint32_t at = sizeof(*eth);
	uint16_t type;

	if (len < at)
		return CORE_DEFAULT;
	type = be16(eth->type);
	for (unsigned tags = 0; tags < TAGS_MAX && (type == ETH_TYPE_VLAN || type == ETH_TYPE_VLAN_OUTER); tags++) {
		if (len < at + 4)
			return CORE_DEFAULT;
		type = (uint16_t)(frame[at + 2] << 8 | frame[at + 3]);
		at += 4;
	}
	if (type == ETH_TYPE_IP4)
		return steer_ip4(s, frame + at, len - at, spread);
	return type == ETH_TYPE_ARP ? STEER_ALL : CORE_DEFAULT;
}

unsigned steer_frame(const struct steer *s, const uint8_t *frame, uint32_t len)
{
	return steer(s, frame, len, false);
}

unsigned steer_frame_spread(const struct steer *s, const uint8_t *frame, uint32_t len)
{
	return steer(s, frame, len, true);
}

unsigned steer_packet(const struct steer *s, const uint8_t *packet, uint32_t len)
{
	return steer_ip4(s, packet, len, false);
}

/* ---- what the home core says of its ports ---- */

static void set(_Atomic uint8_t *bits, uint16_t port, bool on)
{
	uint8_t bit = (uint8_t)(1u << port % 8);

	if (on)
		atomic_fetch_or(&bits[port / 8], bit);
	else
		atomic_fetch_and(&bits[port / 8], (uint8_t)~bit);
}

void steer_pin_tcp(struct steer *s, uint16_t port, bool pinned)
{
	set(s->tcp_pinned, port, pinned);
}

void steer_bind_udp(struct steer *s, uint16_t port, bool bound)
{
	set(s->udp_bound, port, bound);
}

/* ---- groups ---- */

#define CORES_BITS 16u

static uint64_t group_name(uint32_t interface, uint32_t group)
{
	return ((uint64_t)interface << 32 | group) << CORES_BITS;
}

uint32_t steer_members(const struct steer *s, uint32_t interface, uint32_t group)
{
	uint64_t name = group_name(interface, group), place, mask = (UINT64_C(1) << CORES_BITS) - 1;
	uint32_t end = atomic_load_explicit(&s->groups_end, memory_order_acquire), cores = 0;

	for (uint32_t i = 0; i < end; i++) {
		place = atomic_load_explicit(&s->groups[i], memory_order_acquire);
		if (place && (place & ~mask) == name)
			cores |= (uint32_t)(place & mask);
	}
	return cores;
}

static bool add_member(struct steer *s, uint64_t name, uint64_t bit)
{
	for (uint32_t i = 0; i < STEER_GROUPS; i++) {
		uint64_t place = 0;

		if (!atomic_compare_exchange_strong(&s->groups[i], &place, name | bit))
			continue;
		for (uint32_t end = atomic_load(&s->groups_end); end < i + 1;)
			atomic_compare_exchange_weak(&s->groups_end, &end, i + 1);
		return true;
	}
	return false;
}

static void remove_member(struct steer *s, uint64_t name, uint64_t bit)
{
	for (uint32_t i = 0; i < STEER_GROUPS; i++)
		if (atomic_load(&s->groups[i]) == (name | bit)) {
			atomic_store(&s->groups[i], 0);
			return;
		}
}

bool steer_join(struct steer *s, unsigned core, uint32_t interface, uint32_t group, bool member, uint32_t *others)
{
	uint64_t name = group_name(interface, group), bit = UINT64_C(1) << core;

	if (member && !add_member(s, name, bit))
		return false;
	if (!member)
		remove_member(s, name, bit);
	*others = steer_members(s, interface, group) & ~(uint32_t)bit;
	return true;
}
