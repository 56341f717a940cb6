/* SPDX-License-Identifier: BSD-3-Clause */
/* What a network card does for its driver: completes a checksum, and cuts a TCP super-frame into segments of
 * the MTU. Reads IPv4 and IPv6 headers by length fields that are compared before use. */
#include "wire_state.h"

#include <string.h>

#include "stack/base/checksum.h"

#define TCP_PROTOCOL 6u
#define UDP_CSUM_OFFSET 6u
#define TCP_FIN 0x01u
#define TCP_PSH 0x08u
#define TCP_CWR 0x80u
#define IP6_HEADER 40u

static uint16_t get16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static uint32_t get32(const uint8_t *p)
{
	return (uint32_t)get16(p) << 16 | get16(p + 2);
}

static void put16(uint8_t *p, uint32_t value)
{
	p[0] = (uint8_t)(value >> 8);
	p[1] = (uint8_t)value;
}

static void put32(uint8_t *p, uint32_t value)
{
	put16(p, value >> 16);
	put16(p + 2, value & 0xffff);
}

bool frame_complete_checksum(struct pkt *p)
{
	uint32_t field = (uint32_t)p->csum_start + p->csum_offset;
	uint16_t sum;

	if (p->csum_start >= p->len || field + 2 > p->len)
		return false;
	sum = (uint16_t)~csum_fold(csum_add(0, p->data + p->csum_start, p->len - p->csum_start));
	if (sum == 0 && p->csum_offset == UDP_CSUM_OFFSET)
		sum = 0xffff;   /* RFC 768: zero says "no checksum" */
	memcpy(p->data + field, &sum, 2);
	p->flags &= ~(uint32_t)PKT_CSUM_PARTIAL;
	p->csum_start = p->csum_offset = 0;
	return true;
}

/* Where the IP header begins and its EtherType, behind a VLAN tag if there is one. p->len has been looked at. */
static uint32_t network_of(const struct pkt *p, uint32_t *type)
{
	uint32_t at = get16(p->data + 12) == 0x8100 ? ETH_HEADER + VLAN_TAG : ETH_HEADER;

	*type = get16(p->data + at - 2);
	return at;
}

bool frame_super_valid(const struct pkt *p)
{
	uint32_t tcp = p->csum_start, type, ip;

	if (!(p->flags & PKT_CSUM_PARTIAL) || p->len < ETH_HEADER + VLAN_TAG + 20 || p->header_len > p->len)
		return false;
	ip = network_of(p, &type);
	if (type == 0x0800) {
		if (p->data[ip] >> 4 != 4 || tcp != ip + (p->data[ip] & 15u) * 4u || tcp < ip + 20
		    || p->data[ip + 9] != TCP_PROTOCOL)
			return false;
	} else if (type == 0x86dd) {
		if (p->data[ip] >> 4 != 6 || tcp != ip + IP6_HEADER || p->len < tcp
		    || p->data[ip + 6] != TCP_PROTOCOL)
			return false;
	} else {
		return false;
	}
	return tcp + 20 <= p->len && p->csum_offset == 16
	       && p->header_len == tcp + (p->data[tcp + 12] >> 4) * 4u && p->header_len >= tcp + 20;
}

/* RFC 9293 3.1: the pseudo-header's sum, as PKT_CSUM_PARTIAL wants it. */
static uint16_t pseudo_sum(const uint8_t *ip, bool ip4, uint32_t tcp_length)
{
	uint8_t tail[4] = { 0, TCP_PROTOCOL, (uint8_t)(tcp_length >> 8), (uint8_t)tcp_length };
	uint64_t sum = ip4 ? csum_add(0, ip + 12, 8) : csum_add(0, ip + 8, 32);

	return csum_fold(csum_add(sum, tail, sizeof(tail)));
}

static void fix_ip(uint8_t *ip, bool ip4, uint32_t length, uint32_t index)
{
	uint16_t sum;

	if (!ip4) {
		put16(ip + 4, length - IP6_HEADER);
		return;
	}
	put16(ip + 2, length);
	put16(ip + 4, get16(ip + 4) + index);
	put16(ip + 10, 0);
	sum = (uint16_t)~csum_fold(csum_add(0, ip, (ip[0] & 15u) * 4u));
	memcpy(ip + 10, &sum, 2);
}

bool frame_mark_ce(struct pkt *p)
{
	uint32_t type, ip;
	uint8_t *d;

	if (p->len < ETH_HEADER + VLAN_TAG + 2)
		return false;
	ip = network_of(p, &type);
	d = p->data + ip;
	if (type == 0x0800 && p->len >= ip + 20 && d[1] & 3) {
		uint16_t before, after, sum;

		memcpy(&before, d, 2);
		d[1] |= 3;
		memcpy(&after, d, 2);
		memcpy(&sum, d + 10, 2);
		sum = csum_update(sum, before, after);
		memcpy(d + 10, &sum, 2);
		return true;
	}
	if (type == 0x86dd && p->len >= ip + IP6_HEADER && d[1] & 0x30) {   /* the class' two low bits */
		d[1] |= 0x30;
		return true;
	}
	return false;
}

uint32_t frame_segment(const struct pkt *super, uint32_t at, struct pkt *out)
{
	uint32_t payload = super->len - super->header_len, n = payload - at;
	uint32_t type, ip = network_of(super, &type);
	bool ip4 = type == 0x0800, last = true;
	uint8_t *tcp;
	uint16_t pseudo;

	if (at >= payload)
		return 0;
	if (n > super->gso_size) {
		n = super->gso_size;
		last = false;
	}
	if (super->header_len + n > pkt_tailroom(out))
		return 0;
	memcpy(out->data, super->data, super->header_len);
	memcpy(out->data + super->header_len, super->data + super->header_len + at, n);
	out->len = super->header_len + n;
	out->flags = PKT_CSUM_PARTIAL;
	out->csum_start = super->csum_start;
	out->csum_offset = super->csum_offset;
	fix_ip(out->data + ip, ip4, out->len - ip, at / super->gso_size);
	tcp = out->data + out->csum_start;
	put32(tcp + 4, get32(tcp + 4) + at);
	if (!last)
		tcp[13] &= (uint8_t)~(TCP_FIN | TCP_PSH);
	if (at > 0)
		tcp[13] &= (uint8_t)~TCP_CWR;
	pseudo = pseudo_sum(out->data + ip, ip4, out->len - out->csum_start);
	memcpy(tcp + 16, &pseudo, 2);
	return n;
}
