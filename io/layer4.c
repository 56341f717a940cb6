/* SPDX-License-Identifier: BSD-3-Clause */
/* Ethernet, IPv4 and the fixed part of TCP and UDP, read only as far as offloads need them. */
#include "layer4.h"

#include <string.h>

#include "stack/base/checksum.h"

#define ETH_HEADER 14u
#define VLAN_TAG 4u
#define VLAN_TAGS 2
#define IP4_MIN 20u
#define TCP_MIN 20u
#define TCP_CSUM 16u
#define UDP_CSUM 6u

static uint16_t load16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

struct layer4 layer4_find(const struct pkt *p)
{
	uint32_t ip = ETH_HEADER, header, total;
	struct layer4 l = { 0 };

	for (int i = 0; i < VLAN_TAGS && ip + VLAN_TAG <= p->len; i++) {
		uint16_t type = load16(p->data + ip - 2);

		if (type != 0x8100 && type != 0x88a8)
			break;
		ip += VLAN_TAG;
	}
	if (p->len < ip + IP4_MIN || load16(p->data + ip - 2) != 0x0800 || p->data[ip] >> 4 != 4)
		return l;
	header = (p->data[ip] & 15u) * 4;
	total = load16(p->data + ip + 2);
	/* Neither "more fragments" nor an offset. */
	if (header < IP4_MIN || total < header || total > p->len - ip || (load16(p->data + ip + 6) & 0x3fff) != 0)
		return l;
	l.ip = ip;
	l.at = ip + header;
	l.end = ip + total;
	l.protocol = p->data[ip + 9];
	if (l.protocol == LAYER4_TCP && l.end - l.at >= TCP_MIN)
		l.csum_offset = TCP_CSUM;
	else if (l.protocol == LAYER4_UDP && l.end - l.at >= UDP_CSUM + 2)
		l.csum_offset = UDP_CSUM;
	return l;
}

uint32_t layer4_tcp_header(const struct pkt *p, const struct layer4 *l)
{
	uint32_t header;

	if (l->at == 0 || l->protocol != LAYER4_TCP || l->csum_offset == 0)
		return 0;
	header = (p->data[l->at + 12] >> 4) * 4u;
	return header >= TCP_MIN && header <= l->end - l->at ? l->at + header : 0;
}

/* RFC 9293 3.1, RFC 768: addresses, protocol, length. */
static uint64_t pseudo_sum(const struct pkt *p, const struct layer4 *l)
{
	uint32_t length = l->end - l->at;
	uint8_t tail[4] = { 0, l->protocol, (uint8_t)(length >> 8), (uint8_t)length };

	return csum_add(csum_add(0, p->data + l->ip + 12, 8), tail, sizeof(tail));
}

bool layer4_open_checksum(const struct pkt *p, const struct layer4 *l)
{
	uint16_t field;
	uint64_t sum;

	if (l->csum_offset == 0)
		return false;
	memcpy(&field, p->data + l->at + l->csum_offset, sizeof(field));
	sum = pseudo_sum(p, l);
	if (field != csum_fold(sum))
		return false;
	return csum_finish(csum_add(sum, p->data + l->at, l->end - l->at)) != 0;
}

bool layer4_mark(struct pkt *p, uint16_t mtu)
{
	struct layer4 l = layer4_find(p);
	uint32_t header;
	bool open;

	if (l.at == 0)
		return false;
	open = layer4_open_checksum(p, &l);
	if (open) {
		p->flags |= PKT_CSUM_GOOD;
		p->csum_start = (uint16_t)l.at;
		p->csum_offset = (uint16_t)l.csum_offset;
	}
	header = layer4_tcp_header(p, &l);
	if (header == 0 || l.end - l.ip <= mtu || header - l.ip >= mtu)
		return open;
	p->header_len = (uint16_t)header;
	p->gso_size = (uint16_t)(mtu - (header - l.ip));
	return open;
}
