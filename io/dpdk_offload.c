/* SPDX-License-Identifier: BSD-3-Clause */
/* Between the flags of a packet and those of an mbuf: checksums and segmentation to send, verdicts and the rarer shapes of what is
 * received. A super-frame is sent from one large mbuf; a chain that a PMD receives becomes one packet here. */
#include "dpdk_port.h"

#include <string.h>

#include <netinet/in.h>
#include <rte_ether.h>
#include <rte_ip.h>
#include <rte_tcp.h>

#include "stack/base/checksum.h"

#define TYPE_OFFSET 12u
#define TAG_BYTES 4u
#define TCP_SUM_OFFSET 16u
#define UDP_SUM_OFFSET 6u

/* Bytes of the Ethernet header with up to two tags, and the type behind it; 0: the frame ends before. */
static uint32_t ethernet_len(const uint8_t *frame, uint32_t len, uint16_t *type)
{
	uint32_t at = TYPE_OFFSET;

	while (at + 2 <= len && at <= TYPE_OFFSET + 2 * TAG_BYTES) {
		*type = (uint16_t)(frame[at] << 8 | frame[at + 1]);
		if (*type != RTE_ETHER_TYPE_VLAN && *type != RTE_ETHER_TYPE_QINQ)
			return at + 2;
		at += TAG_BYTES;
	}
	return 0;
}

/* The sum over the rest of the packet, as the device would have done it. */
static bool complete_here(struct dpdk_queue *q, struct pkt *p)
{
	uint8_t *start = p->data + p->csum_start;
	uint16_t field = csum_finish(csum_add(0, start, p->len - p->csum_start));

	if (p->gso_size)
		return false;
	/* RFC 768: a sum of zero is sent as all ones; for TCP the two mean the same. */
	if (field == 0)
		field = 0xffff;
	memcpy(start + p->csum_offset, &field, sizeof(field));
	p->flags &= ~(uint32_t)PKT_CSUM_PARTIAL;
	q->counts.software_sums++;
	return true;
}

/* A super-frame: the pseudo-header's sum is without the length, since the segments have their own (rte_mbuf.h, TCP_SEG). */
static bool segment(const struct dpdk_queue *q, struct pkt *p, struct rte_mbuf *m, uint16_t type)
{
	uint8_t *ip = p->data + m->l2_len, *sum = p->data + p->csum_start + p->csum_offset;
	uint16_t pseudo;

	if (!(q->link.flags & LINK_TSO) || p->csum_offset != TCP_SUM_OFFSET ||
	    p->header_len < p->csum_start + sizeof(struct rte_tcp_hdr) || p->header_len >= p->len)
		return false;
	m->l4_len = p->header_len - p->csum_start;
	m->tso_segsz = p->gso_size;
	m->ol_flags |= RTE_MBUF_F_TX_TCP_SEG;
	if (type == RTE_ETHER_TYPE_IPV6) {
		pseudo = rte_ipv6_phdr_cksum((const struct rte_ipv6_hdr *)(void *)ip, m->ol_flags);
	} else {
		if (q->ip_sum_for_tso) {
			m->ol_flags |= RTE_MBUF_F_TX_IP_CKSUM;
			memset(ip + offsetof(struct rte_ipv4_hdr, hdr_checksum), 0, 2);
		}
		pseudo = rte_ipv4_phdr_cksum((const struct rte_ipv4_hdr *)(void *)ip, m->ol_flags);
	}
	memcpy(sum, &pseudo, sizeof(pseudo));
	return true;
}

bool dpdk_offload_sending(struct dpdk_queue *q, struct pkt *p, struct rte_mbuf *m)
{
	uint16_t type = 0;
	uint32_t l2 = ethernet_len(p->data, p->len, &type);
	uint32_t l3_least = type == RTE_ETHER_TYPE_IPV4 ? sizeof(struct rte_ipv4_hdr) : sizeof(struct rte_ipv6_hdr);

	if (!(p->flags & PKT_CSUM_PARTIAL) || (uint32_t)p->csum_start + p->csum_offset + 2 > p->len)
		return false;
	if (l2 == 0 || (type != RTE_ETHER_TYPE_IPV4 && type != RTE_ETHER_TYPE_IPV6) || p->csum_start < l2 + l3_least ||
	    (p->csum_offset != TCP_SUM_OFFSET && p->csum_offset != UDP_SUM_OFFSET))
		return complete_here(q, p);
	m->tx_offload = 0;
	m->l2_len = l2;
	m->l3_len = p->csum_start - l2;
	m->ol_flags = type == RTE_ETHER_TYPE_IPV4 ? RTE_MBUF_F_TX_IPV4 : RTE_MBUF_F_TX_IPV6;
	m->ol_flags |= p->csum_offset == TCP_SUM_OFFSET ? RTE_MBUF_F_TX_TCP_CKSUM : RTE_MBUF_F_TX_UDP_CKSUM;
	return p->gso_size == 0 || segment(q, p, m, type);
}

/* Whether the IPv4 header's own sum is right: some PMDs (virtio) vouch for the layer above only. */
static bool ip_sum_good(const uint8_t *frame, uint32_t len)
{
	uint16_t type = 0;
	uint32_t l2 = ethernet_len(frame, len, &type), words;

	if (l2 == 0 || type != RTE_ETHER_TYPE_IPV4 || l2 + sizeof(struct rte_ipv4_hdr) > len)
		return false;
	words = frame[l2] & 15;
	if (words < 5 || l2 + 4 * words > len)
		return false;
	return csum_finish(csum_words(frame + l2, words)) == 0;
}

uint32_t dpdk_offload_verdict(const struct pkt *p, uint64_t ol_flags)
{
	uint64_t l4 = ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK, ip = ol_flags & RTE_MBUF_F_RX_IP_CKSUM_MASK;

	/* NONE: the field is not filled in, but the data came through memory and is right. */
	if (l4 != RTE_MBUF_F_RX_L4_CKSUM_GOOD && l4 != RTE_MBUF_F_RX_L4_CKSUM_NONE)
		return 0;
	if (ip == RTE_MBUF_F_RX_IP_CKSUM_GOOD)
		return PKT_CSUM_GOOD;
	return ip == RTE_MBUF_F_RX_IP_CKSUM_UNKNOWN && ip_sum_good(p->data, p->len) ? PKT_CSUM_GOOD : 0;
}

/* A chain becomes one mbuf: in the room behind its first piece, or in a large one. */
static struct rte_mbuf *one_piece(struct dpdk_queue *q, struct rte_mbuf *chain)
{
	const struct rte_mbuf *piece;
	struct rte_mbuf *whole = NULL;
	char *to;

	if (chain->pkt_len - chain->data_len <= rte_pktmbuf_tailroom(chain) && rte_pktmbuf_linearize(chain) == 0) {
		q->counts.chains++;
		return chain;
	}
	if (q->super && chain->pkt_len <= DPDK_SUPER_BYTES - RTE_PKTMBUF_HEADROOM)
		whole = rte_pktmbuf_alloc(q->super);
	if (!whole) {
		q->counts.chains_dropped++;
		q->link.stats.rx_dropped++;
		rte_pktmbuf_free(chain);
		return NULL;
	}
	to = rte_pktmbuf_append(whole, (uint16_t)chain->pkt_len);
	for (piece = chain; piece; piece = piece->next) {
		memcpy(to, rte_pktmbuf_mtod(piece, const char *), piece->data_len);
		to += piece->data_len;
	}
	whole->ol_flags = chain->ol_flags & ~(RTE_MBUF_F_EXTERNAL | RTE_MBUF_F_INDIRECT);
	whole->tso_segsz = chain->tso_segsz;
	rte_pktmbuf_free(chain);
	q->counts.chains++;
	return whole;
}

/* What the PMD (or the peer behind it) merged: the segments' size and the length of the headers, if it is TCP over IPv4 in whole. */
static void describe_super(struct rte_mbuf *m, struct pkt *p)
{
	uint16_t type = 0;
	uint32_t l2 = ethernet_len(p->data, p->len, &type), l3, l4;

	p->gso_size = p->header_len = 0;
	if (!(m->ol_flags & RTE_MBUF_F_RX_LRO) || m->tso_segsz == 0 || l2 == 0 || type != RTE_ETHER_TYPE_IPV4 ||
	    l2 + sizeof(struct rte_ipv4_hdr) > p->len || p->data[l2 + 9] != IPPROTO_TCP)
		return;
	l3 = 4u * (p->data[l2] & 15);
	if (l3 < sizeof(struct rte_ipv4_hdr) || l2 + l3 + sizeof(struct rte_tcp_hdr) > p->len)
		return;
	l4 = (uint32_t)p->data[l2 + l3 + 12] >> 4 << 2;
	if (l4 < sizeof(struct rte_tcp_hdr) || l2 + l3 + l4 + m->tso_segsz >= p->len)
		return;
	p->header_len = (uint16_t)(l2 + l3 + l4);
	p->gso_size = m->tso_segsz;
}

struct rte_mbuf *dpdk_unusual(struct dpdk_queue *q, struct rte_mbuf *m)
{
	struct pkt *p;

	if (m->nb_segs != 1) {
		m = one_piece(q, m);
		if (!m)
			return NULL;
	}
	/* net_ring hands mbufs on as they are; those of another program's pool have no room for our packet. */
	if (rte_pktmbuf_priv_size(m->pool) != DPDK_PRIVATE || !RTE_MBUF_DIRECT(m) || dpdk_pkt(m)->buffer != m->buf_addr) {
		q->counts.strangers++;
		q->link.stats.rx_dropped++;
		rte_pktmbuf_free(m);
		return NULL;
	}
	if (m->ol_flags & RTE_MBUF_F_RX_VLAN_STRIPPED && rte_vlan_insert(&m) != 0) {
		q->link.stats.rx_dropped++;
		rte_pktmbuf_free(m);
		return NULL;
	}
	p = dpdk_pkt(m);
	p->data = rte_pktmbuf_mtod(m, uint8_t *);
	p->len = m->data_len;
	describe_super(m, p);
	return m;
}
