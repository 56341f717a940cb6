/* SPDX-License-Identifier: BSD-3-Clause */
/* Nothing that the kernel says is believed without a look at the frame: hdr_len is a hint (virtio 1.2, 5.1.6.4.2), and
 * a partial checksum counts as good only where it is that of the outermost TCP or UDP header. */
#include "tap_vnet.h"

#include <string.h>

#include "stack/base/checksum.h"

#define ETH_HEADER 14u
#define VLAN_TAG 4u
#define VLAN_TAGS 2
#define IP4_MIN 20u
#define TCP_MIN 20u
#define TCP_CSUM 16u
#define UDP_CSUM 6u

struct place {
	uint32_t at;        /* of the layer-4 header, from data; 0: not IPv4, or a fragment */
	uint8_t protocol;
};

static uint16_t load16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static struct place find_layer_4(const struct pkt *p)
{
	uint32_t ip = ETH_HEADER, header;

	for (int i = 0; i < VLAN_TAGS && ip + VLAN_TAG <= p->len; i++) {
		uint16_t type = load16(p->data + ip - 2);

		if (type != 0x8100 && type != 0x88a8)
			break;
		ip += VLAN_TAG;
	}
	if (p->len < ip + IP4_MIN || load16(p->data + ip - 2) != 0x0800 || p->data[ip] >> 4 != 4)
		return (struct place){ 0 };
	header = (p->data[ip] & 15u) * 4;
	if (header < IP4_MIN || p->len < ip + header || (load16(p->data + ip + 6) & 0x3fff) != 0)
		return (struct place){ 0 };
	return (struct place){ .at = ip + header, .protocol = p->data[ip + 9] };
}

/* The bytes come from memory, so they are as good as a checksum over them; unless it is some inner header's (a tunnel)
 * or of a protocol whose reader always looks: then it is computed here. */
static enum vnet_verdict read_partial(const struct virtio_net_hdr *h, struct pkt *p, struct place l4, bool offloads)
{
	uint32_t field = (uint32_t)h->csum_start + h->csum_offset;
	uint16_t sum;

	if (h->csum_start < ETH_HEADER || field + 2 > p->len)
		return VNET_BAD_CSUM;
	p->csum_start = h->csum_start;
	p->csum_offset = h->csum_offset;
	if (offloads && l4.at == h->csum_start
	    && ((l4.protocol == 6 && h->csum_offset == TCP_CSUM) || (l4.protocol == 17 && h->csum_offset == UDP_CSUM))) {
		p->flags |= PKT_CSUM_GOOD;
		return VNET_OK;
	}
	if (h->gso_type != VIRTIO_NET_HDR_GSO_NONE)
		return VNET_BAD_GSO;
	sum = csum_finish(csum_add(0, p->data + h->csum_start, p->len - h->csum_start));
	if (sum == 0)
		sum = 0xffff;   /* RFC 768: zero would say that there is none; it is the same number */
	memcpy(p->data + field, &sum, sizeof(sum));
	return VNET_COMPLETED;
}

static enum vnet_verdict read_gso(const struct virtio_net_hdr *h, struct pkt *p, struct place l4, bool offloads)
{
	uint32_t header;

	/* Only TUN_F_TSO4 was offered: no ECN bit, no UDP, no IPv6. */
	if (!offloads || h->gso_type != VIRTIO_NET_HDR_GSO_TCPV4 || h->gso_size == 0 || !(p->flags & PKT_CSUM_GOOD))
		return VNET_BAD_GSO;
	if (l4.at == 0 || l4.protocol != 6 || l4.at + TCP_MIN > p->len)
		return VNET_BAD_GSO;
	header = (p->data[l4.at + 12] >> 4) * 4u;
	if (header < TCP_MIN || l4.at + header > p->len)
		return VNET_BAD_GSO;
	p->header_len = (uint16_t)(l4.at + header);
	p->gso_size = h->gso_size;
	return VNET_OK;
}

enum vnet_verdict vnet_read(const struct virtio_net_hdr *h, struct pkt *p, bool offloads)
{
	enum vnet_verdict v = VNET_OK;
	struct place l4;

	if (!(h->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) && h->gso_type == VIRTIO_NET_HDR_GSO_NONE) {
		if (offloads && h->flags & VIRTIO_NET_HDR_F_DATA_VALID)
			p->flags |= PKT_CSUM_GOOD;
		return VNET_OK;
	}
	l4 = find_layer_4(p);
	if (h->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM)
		v = read_partial(h, p, l4, offloads);
	else if (offloads && h->flags & VIRTIO_NET_HDR_F_DATA_VALID)
		p->flags |= PKT_CSUM_GOOD;
	if (v == VNET_OK && h->gso_type != VIRTIO_NET_HDR_GSO_NONE)
		v = read_gso(h, p, l4, offloads);
	return v;
}

bool vnet_write(const struct pkt *p, struct virtio_net_hdr *h)
{
	memset(h, 0, sizeof(*h));
	if (p->flags & PKT_CSUM_PARTIAL) {
		if ((uint32_t)p->csum_start + p->csum_offset + 2 > p->len)
			return false;
		h->flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
		h->csum_start = p->csum_start;
		h->csum_offset = p->csum_offset;
	}
	if (p->gso_size == 0)
		return true;
	if (!(p->flags & PKT_CSUM_PARTIAL) || p->header_len > p->len || p->header_len < p->csum_start + TCP_MIN)
		return false;
	if (p->len - p->header_len <= p->gso_size)
		return true;    /* one segment: an ordinary frame */
	h->gso_type = VIRTIO_NET_HDR_GSO_TCPV4;
	h->gso_size = p->gso_size;
	h->hdr_len = p->header_len;
	return true;
}
