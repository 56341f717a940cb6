/* SPDX-License-Identifier: BSD-3-Clause */
/* Ethernet II framing (RFC 894, RFC 1122 2.3 and 2.4). */
#include "layers.h"

#include "wire.h"

void eth_receive(struct stack *s, struct interface *i, struct pkt *p)
{
	const struct eth_header *eth = (const struct eth_header *)p->data;
	bool group;
	uint16_t type;

	if (p->len < sizeof(*eth)) {
		pkt_drop(s, p, DROP_ETH_SHORT);
		return;
	}
	group = eth->destination[0] & 1;
	if (!group && memcmp(eth->destination, i->link->mac, 6) != 0) {
		pkt_drop(s, p, DROP_ETH_FOREIGN);
		return;
	}
	type = be16(eth->type);
	p->data += sizeof(*eth);
	p->len -= (uint32_t)sizeof(*eth);
	if (type == ETH_TYPE_IP4)
		ip4_receive(s, i, p, group);
	else if (type == ETH_TYPE_ARP)
		arp_receive(s, i, p);
	else
		pkt_drop(s, p, DROP_ETH_TYPE);
}

void eth_send(struct stack *s, struct interface *i, struct pkt *p, const uint8_t destination[6], uint16_t type)
{
	struct eth_header *eth;

	CHECK(pkt_headroom(p) >= sizeof(*eth));
	p->data -= sizeof(*eth);
	p->len += (uint32_t)sizeof(*eth);
	p->csum_start += (uint16_t)sizeof(*eth);
	p->header_len += (uint16_t)sizeof(*eth);
	eth = (struct eth_header *)p->data;
	memcpy(eth->destination, destination, 6);
	memcpy(eth->source, i->link->mac, 6);
	eth->type = be16(type);
	/* RFC 894: padded with zeros, never with what the memory held before. */
	if (p->len < ETH_FRAME_MIN && pkt_tailroom(p) >= ETH_FRAME_MIN - p->len) {
		memset(p->data + p->len, 0, ETH_FRAME_MIN - p->len);
		p->len = ETH_FRAME_MIN;
	}
	interface_transmit(s, i, p);
}

/* RFC 1112 6.4: the low 23 bits of the group. */
void eth_multicast_mac(uint32_t group, uint8_t mac[6])
{
	uint32_t low = be32(group) & 0x7fffff;

	mac[0] = 0x01;
	mac[1] = 0x00;
	mac[2] = 0x5e;
	mac[3] = (uint8_t)(low >> 16);
	mac[4] = (uint8_t)(low >> 8);
	mac[5] = (uint8_t)low;
}
