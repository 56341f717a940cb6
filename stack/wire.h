/* SPDX-License-Identifier: BSD-3-Clause */
/* Headers below TCP as they lie on the wire. All fields in network order; read and write them through be16 and be32.
 * Packed: behind a 14-byte Ethernet header nothing is aligned. */
#ifndef LIGHT_WIRE_H
#define LIGHT_WIRE_H

#include <stdbool.h>
#include <stdint.h>

#define WIRE __attribute__((packed, may_alias))

static inline uint16_t be16(uint16_t x)
{
	return __builtin_bswap16(x);
}

static inline uint32_t be32(uint32_t x)
{
	return __builtin_bswap32(x);
}

/* RFC 894. */
struct WIRE eth_header {
	uint8_t destination[6], source[6];
	uint16_t type;
};
#define ETH_TYPE_IP4 0x0800
#define ETH_TYPE_ARP 0x0806
#define ETH_TYPE_VLAN 0x8100
#define ETH_TYPE_SERVICE_VLAN 0x88a8
#define ETH_FRAME_MIN 60        /* without the check sequence */

/* IEEE 802.1Q 9.6: what stands between the source address and the type; control is PCP, DEI and VID. */
struct WIRE vlan_tag {
	uint16_t type, control;
};
#define VLAN_VID 0x0fff
#define VLAN_VID_MAX 4094       /* 4095 is reserved */

/* RFC 826, for Ethernet and IPv4. */
struct WIRE arp_packet {
	uint16_t hardware, protocol;
	uint8_t hardware_len, protocol_len;
	uint16_t operation;
	uint8_t sender_mac[6];
	uint32_t sender_ip;
	uint8_t target_mac[6];
	uint32_t target_ip;
};
#define ARP_REQUEST 1
#define ARP_REPLY 2

/* RFC 791. */
struct WIRE ip4_header {
	uint8_t version_ihl, tos;
	uint16_t total_length, id, fragment;  /* fragment: flags and offset */
	uint8_t ttl, protocol;
	uint16_t checksum;
	uint32_t source, destination;
};
#define IP4_DF 0x4000
#define IP4_MF 0x2000
#define IP4_OFFSET 0x1fff

#define PROTOCOL_ICMP 1
#define PROTOCOL_IGMP 2
#define PROTOCOL_TCP 6
#define PROTOCOL_UDP 17

/* RFC 792. */
struct WIRE icmp_header {
	uint8_t type, code;
	uint16_t checksum;
	uint32_t rest;
};
#define ICMP_ECHO_REPLY 0
#define ICMP_UNREACHABLE 3
#define ICMP_SOURCE_QUENCH 4
#define ICMP_REDIRECT 5
#define ICMP_ECHO 8
#define ICMP_TIME_EXCEEDED 11
#define ICMP_PARAMETER 12

/* RFC 768. */
struct WIRE udp_header {
	uint16_t source, destination, length, checksum;
};

/* Classes of IPv4 addresses (RFC 1122 3.2.1.3, RFC 6890); arguments in network order. */
static inline bool ip4_is_multicast(uint32_t a)
{
	return (a & be32(0xf0000000)) == be32(0xe0000000);
}

static inline bool ip4_is_loopback(uint32_t a)
{
	return (a & be32(0xff000000)) == be32(0x7f000000);
}

static inline bool ip4_is_this_net(uint32_t a)
{
	return (a & be32(0xff000000)) == 0;
}

/* 240/4: class E and the limited broadcast. */
static inline bool ip4_is_reserved(uint32_t a)
{
	return (a & be32(0xf0000000)) == be32(0xf0000000);
}

#endif
