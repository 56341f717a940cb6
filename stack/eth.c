/* SPDX-License-Identifier: BSD-3-Clause */
/* Ethernet II framing (RFC 894, RFC 1122 2.3 and 2.4), and the tags of VLANs (IEEE 802.1Q). */
#include "layers.h"

#include "wire.h"

static void deliver(struct stack *s, struct interface *i, struct pkt *p, uint16_t type, bool group)
{
	if (type == ETH_TYPE_IP4)
		ip4_receive(s, i, p, group);
	else if (type == ETH_TYPE_ARP)
		arp_receive(s, i, p);
	else
		pkt_drop(s, p, DROP_ETH_TYPE);
}

/* Data at the tag's control field. VID 0 only gives a priority: the frame is the untagged interface's (IEEE 802.1Q 6.9.1). */
RARELY_CALLED void vlan_receive(struct stack *s, struct interface *i, struct pkt *p, bool group)
{
	uint16_t control, type, vid;

	if (p->len < sizeof(struct vlan_tag)) {
		pkt_drop(s, p, DROP_ETH_SHORT);
		return;
	}
	memcpy(&control, p->data, sizeof(control));
	memcpy(&type, p->data + sizeof(control), sizeof(type));
	p->data += sizeof(struct vlan_tag);
	p->len -= (uint32_t)sizeof(struct vlan_tag);
	if (type == be16(ETH_TYPE_VLAN) || type == be16(ETH_TYPE_SERVICE_VLAN)) {
		pkt_drop(s, p, DROP_VLAN_NESTED);
		return;
	}
	vid = be16(control) & VLAN_VID;
	if (vid)
		for (i = i->vlans; i && i->vid != vid; )
			i = i->next_vlan;
	if (i)
		deliver(s, i, p, be16(type), group);
	else
		pkt_drop(s, p, DROP_VLAN_UNKNOWN);
}

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
	else if (type == ETH_TYPE_VLAN)
		vlan_receive(s, i, p, group);
	else
		deliver(s, i, p, type, group);
}

/* Between the addresses and the type, before the header proper is written. The priority is IP's precedence (RFC 791 3.1). */
RARELY_CALLED void push_tag(struct pkt *p, uint16_t vid, uint16_t type)
{
	uint16_t tag[2] = { be16(vid), be16(type) };

	CHECK(pkt_headroom(p) >= sizeof(tag));
	if (type == ETH_TYPE_IP4)
		tag[0] |= be16((uint16_t)((p->data[1] & 0xe0) << 8));
	p->data -= sizeof(tag);
	p->len += (uint32_t)sizeof(tag);
	p->csum_start += (uint16_t)sizeof(tag);
	p->header_len += (uint16_t)sizeof(tag);
	memcpy(p->data, tag, sizeof(tag));
}

void eth_push(const struct interface *i, struct pkt *p, const uint8_t destination[6], const uint8_t source[6], uint16_t type)
{
	uint32_t shortest = ETH_FRAME_MIN;
	struct eth_header *eth;

	if (i->vid) {
		push_tag(p, i->vid, type);
		type = ETH_TYPE_VLAN;
		shortest += (uint32_t)sizeof(struct vlan_tag);  /* long enough still where the tag is taken off */
	}
	CHECK(pkt_headroom(p) >= sizeof(*eth));
	p->data -= sizeof(*eth);
	p->len += (uint32_t)sizeof(*eth);
	p->csum_start += (uint16_t)sizeof(*eth);
	p->header_len += (uint16_t)sizeof(*eth);
	eth = (struct eth_header *)p->data;
	memcpy(eth->destination, destination, 6);
	memcpy(eth->source, source, 6);
	eth->type = be16(type);
	/* RFC 894: padded with zeros, never with what the memory held before. */
	if (p->len < shortest && pkt_tailroom(p) >= shortest - p->len) {
		memset(p->data + p->len, 0, shortest - p->len);
		p->len = shortest;
	}
}

void eth_send(struct stack *s, struct interface *i, struct pkt *p, const uint8_t destination[6], uint16_t type)
{
	eth_push(i, p, destination, i->link->mac, type);
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
