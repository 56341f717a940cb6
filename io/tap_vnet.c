/* SPDX-License-Identifier: BSD-3-Clause */
/* Nothing that the kernel says is believed without a look at the frame: hdr_len is a hint (virtio 1.2, 5.1.6.4.2), and
 * a partial checksum counts as good only where it is that of the outermost TCP or UDP header. */
#include "tap_vnet.h"

#include <string.h>

#include "layer4.h"
#include "stack/base/checksum.h"

#define ETH_HEADER 14u
#define TCP_MIN 20u

/* The bytes come from memory, so they are as good as a checksum over them; unless it is some inner header's (a tunnel)
 * or of a protocol whose reader always looks: then it is computed here. */
static enum vnet_verdict read_partial(const struct virtio_net_hdr *h, struct pkt *p, const struct layer4 *l4, bool offloads)
{
	uint32_t field = (uint32_t)h->csum_start + h->csum_offset;
	uint16_t sum;

	if (h->csum_start < ETH_HEADER || field + 2 > p->len)
		return VNET_BAD_CSUM;
	p->csum_start = h->csum_start;
	p->csum_offset = h->csum_offset;
	if (offloads && l4->csum_offset != 0 && l4->at == h->csum_start && l4->csum_offset == h->csum_offset) {
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

static enum vnet_verdict read_gso(const struct virtio_net_hdr *h, struct pkt *p, const struct layer4 *l4, bool offloads)
{
	uint32_t header;

	/* Only TUN_F_TSO4 was offered: no ECN bit, no UDP, no IPv6. */
	if (!offloads || h->gso_type != VIRTIO_NET_HDR_GSO_TCPV4 || h->gso_size == 0 || !(p->flags & PKT_CSUM_GOOD))
		return VNET_BAD_GSO;
	header = layer4_tcp_header(p, l4);
	if (header == 0)
		return VNET_BAD_GSO;
	p->header_len = (uint16_t)header;
	p->gso_size = h->gso_size;
	return VNET_OK;
}

enum vnet_verdict vnet_read(const struct virtio_net_hdr *h, struct pkt *p, bool offloads)
{
	enum vnet_verdict v = VNET_OK;
	struct layer4 l4;

	if (!(h->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) && h->gso_type == VIRTIO_NET_HDR_GSO_NONE) {
		if (offloads && h->flags & VIRTIO_NET_HDR_F_DATA_VALID)
			p->flags |= PKT_CSUM_GOOD;
		return VNET_OK;
	}
	l4 = layer4_find(p);
	if (h->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM)
		v = read_partial(h, p, &l4, offloads);
	else if (offloads && h->flags & VIRTIO_NET_HDR_F_DATA_VALID)
		p->flags |= PKT_CSUM_GOOD;
	if (v == VNET_OK && h->gso_type != VIRTIO_NET_HDR_GSO_NONE)
		v = read_gso(h, p, &l4, offloads);
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
