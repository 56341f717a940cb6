/* SPDX-License-Identifier: BSD-3-Clause */
/* What a port will be, decided before it is touched: what was asked for, compared with what the PMD says it can do. */
#include "dpdk_port.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_dev.h>
#include <rte_devargs.h>

#define PACKETS 8192u
#define PACKETS_MOST (1u << 22)
#define RING 1024u
#define SUPER_TX_RING 512u      /* of 64 KB packets: 32 MB in the ring */
#define SUPER_SPARE 512u        /* beside those in the ring */
#define SUPER_FOR_CHAINS 128u   /* only received ones are large */
#define MTU_LEAST 576u
#define MTU_MOST 9000u
#define SLOT_BYTES 2048u
#define SLOT_TAKEN (66u + RTE_ETHER_HDR_LEN + RTE_VLAN_HLEN)
#define BUFFER_LEAST 2048u      /* behind the headroom; PMDs of NICs want at least this for an ordinary frame */
#define RSS_WANTED (RTE_ETH_RSS_IPV4 | RTE_ETH_RSS_NONFRAG_IPV4_TCP | RTE_ETH_RSS_NONFRAG_IPV4_UDP)

/* The largest MTU that the PMD declares. */
static uint32_t declared_mtu(const struct rte_eth_dev_info *info)
{
	uint32_t most = MTU_MOST, overhead = RTE_ETHER_HDR_LEN + RTE_ETHER_CRC_LEN;

	if (info->max_mtu != UINT16_MAX && info->max_mtu != 0) {
		most = RTE_MIN(most, info->max_mtu);
		if (info->max_rx_pktlen > info->max_mtu)
			overhead = info->max_rx_pktlen - info->max_mtu;
	}
	/* Whole frames are checked too, with an overhead of the PMD's own. */
	return info->max_rx_pktlen > overhead ? RTE_MIN(most, info->max_rx_pktlen - overhead) : most;
}

/* The slots of net_af_packet's ring with the kernel, of which the kernel takes 66 bytes (tpacket(7)); what is longer would vanish
 * without a word. */
static uint32_t slot_bytes(const struct rte_eth_dev_info *info)
{
	const struct rte_devargs *devargs = info->device ? rte_dev_devargs(info->device) : NULL;
	const char *framesz = devargs && devargs->args ? strstr(devargs->args, "framesz=") : NULL;
	unsigned long bytes = framesz ? strtoul(framesz + strlen("framesz="), NULL, 0) : SLOT_BYTES;

	return (uint32_t)RTE_MIN(bytes, DPDK_SUPER_BYTES - RTE_PKTMBUF_HEADROOM);
}

static int choose_mtu(struct dpdk_port *port, struct dpdk_plan *plan, char why[DEVICE_WHY])
{
	const struct rte_eth_dev_info *info = &plan->info;
	uint32_t declared = declared_mtu(info), least = RTE_MAX(MTU_LEAST, info->min_mtu);
	uint32_t most = port->quirk->declares_little ? MTU_MOST : declared;
	uint32_t mtu = plan->config->device.mtu;
	uint16_t present = 0;

	if (port->quirk->has_slots)
		most = RTE_MIN(MTU_MOST, RTE_MAX(slot_bytes(info), SLOT_TAKEN) - SLOT_TAKEN);
	dpdk_find_kernel(port, info);
	if (mtu == 0) {
		rte_eth_dev_get_mtu(port->id, &present);
		mtu = port->kernel_mtu ? port->kernel_mtu : present ? present : RTE_ETHER_MTU;
		mtu = RTE_MAX(RTE_MIN(mtu, most), least);
	}
	plan->mtu = (uint16_t)mtu;
	plan->pmd_mtu = (uint16_t)RTE_MIN(mtu, declared);
	if (mtu >= least && mtu <= most)
		return 0;
	snprintf(why, DEVICE_WHY, "DPDK port %u (%s): an MTU of %u bytes is not possible, %s takes %u to %u%s", port->id,
		port->device.name, mtu, info->driver_name, least, most,
		port->quirk->has_slots ? " with this framesz" : "");
	return -EINVAL;
}

static int choose_rings(struct dpdk_port *port, struct dpdk_plan *plan, char why[DEVICE_WHY])
{
	const struct dpdk_config *c = plan->config;
	bool super = port->tx_offloads & RTE_ETH_TX_OFFLOAD_TCP_TSO;
	uint32_t least, room;
	int error;

	plan->rx_ring = c->rx_ring ? c->rx_ring : RING;
	plan->tx_ring = c->tx_ring ? c->tx_ring : super ? SUPER_TX_RING : RING;
	error = rte_eth_dev_adjust_nb_rx_tx_desc(port->id, &plan->rx_ring, &plan->tx_ring);
	if (error)
		return dpdk_fail(why, error, port, "its rings cannot be sized");
	if ((c->rx_ring && c->rx_ring != plan->rx_ring) || (c->tx_ring && c->tx_ring != plan->tx_ring))
		dpdk_log(port, "rings of %u and %u descriptors, as the PMD allows", plan->rx_ring, plan->tx_ring);
	least = plan->rx_ring + (super ? 0 : plan->tx_ring) + 2 * DPDK_CACHE + 2 * DPDK_BURST;
	plan->packets = c->packets ? c->packets : RTE_MAX(PACKETS, least);
	room = RTE_MAX(plan->mtu + DPDK_FRAME_EXTRA + RTE_ETHER_CRC_LEN, BUFFER_LEAST);
	if (port->quirk->has_slots)     /* it wants a whole slot to fit */
		room = RTE_MAX(room, slot_bytes(&plan->info));
	plan->buffer_bytes = RTE_PKTMBUF_HEADROOM + RTE_ALIGN_CEIL(room, RTE_CACHE_LINE_SIZE);
	if (super)
		plan->supers = plan->tx_ring + SUPER_SPARE;
	else if (port->rx_offloads & RTE_ETH_RX_OFFLOAD_SCATTER || port->quirk->merges)
		plan->supers = SUPER_FOR_CHAINS;
	if (plan->packets >= least && plan->packets <= PACKETS_MOST)
		return 0;
	snprintf(why, DEVICE_WHY, "DPDK port %u (%s): %u packets are not possible with these rings, %u to %u are", port->id,
		port->device.name, plan->packets, least, PACKETS_MOST);
	return -EINVAL;
}

static void choose_offloads(struct dpdk_port *port, struct dpdk_plan *plan)
{
	uint64_t rx = plan->info.rx_offload_capa, tx = plan->info.tx_offload_capa;

	if ((rx & DPDK_RX_SUMS) == DPDK_RX_SUMS)
		port->rx_offloads |= rx & (DPDK_RX_SUMS | RTE_ETH_RX_OFFLOAD_IPV4_CKSUM);
	if ((tx & DPDK_TX_SUMS) == DPDK_TX_SUMS)
		port->tx_offloads |= tx & (DPDK_TX_SUMS | RTE_ETH_TX_OFFLOAD_IPV4_CKSUM);
	if (port->tx_offloads && tx & RTE_ETH_TX_OFFLOAD_TCP_TSO && !port->quirk->segments_badly)
		port->tx_offloads |= tx & (RTE_ETH_TX_OFFLOAD_TCP_TSO | RTE_ETH_TX_OFFLOAD_MULTI_SEGS);
	/* Frees without a look at each mbuf: all that is sent must come from one pool, so there must be only one. */
	else if (!(rx & RTE_ETH_RX_OFFLOAD_SCATTER))
		port->tx_offloads |= tx & RTE_ETH_TX_OFFLOAD_MBUF_FAST_FREE;
	/* Merged frames are asked for where the stack may take them: with LINK_TSO, checksums looked at. */
	if (port->tx_offloads & RTE_ETH_TX_OFFLOAD_TCP_TSO && port->rx_offloads && rx & RTE_ETH_RX_OFFLOAD_TCP_LRO)
		port->rx_offloads |= RTE_ETH_RX_OFFLOAD_TCP_LRO;
	port->rx_offloads |= rx & RTE_ETH_RX_OFFLOAD_SCATTER;
}

static void choose_conf(struct dpdk_port *port, struct dpdk_plan *plan)
{
	uint64_t spread = plan->info.flow_type_rss_offloads & RSS_WANTED;
	struct rte_eth_conf *conf = &plan->conf;

	memcpy(plan->rss_key, dpdk_rss_key, sizeof(plan->rss_key));
	conf->rxmode.mtu = plan->pmd_mtu;
	conf->rxmode.offloads = port->rx_offloads;
	conf->txmode.offloads = port->tx_offloads;
	if (port->rx_offloads & RTE_ETH_RX_OFFLOAD_TCP_LRO)
		conf->rxmode.max_lro_pkt_size = plan->info.max_lro_pkt_size;
	if (plan->queues > 1 && spread) {
		conf->rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
		conf->rx_adv_conf.rss_conf.rss_hf = spread;
		if (plan->info.hash_key_size >= 40 && plan->info.hash_key_size <= sizeof(plan->rss_key)) {
			conf->rx_adv_conf.rss_conf.rss_key = plan->rss_key;
			conf->rx_adv_conf.rss_conf.rss_key_len = plan->info.hash_key_size;
		}
	}
	conf->intr_conf.lsc = plan->info.dev_flags && *plan->info.dev_flags & RTE_ETH_DEV_INTR_LSC;
	conf->intr_conf.rxq = plan->config->device.wake;
}

int dpdk_make_plan(struct dpdk_port *port, struct dpdk_plan *plan, char why[DEVICE_WHY])
{
	int error;

	plan->queues = RTE_MIN((uint16_t)plan->config->device.queues, RTE_MIN(plan->info.max_rx_queues, plan->info.max_tx_queues));
	if (plan->queues == 0) {
		snprintf(why, DEVICE_WHY, "DPDK port %u (%s) has no queues", port->id, port->device.name);
		return -EINVAL;
	}
	choose_offloads(port, plan);
	error = choose_mtu(port, plan, why);
	if (!error)
		error = choose_rings(port, plan, why);
	choose_conf(port, plan);
	return error;
}
