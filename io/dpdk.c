/* SPDX-License-Identifier: BSD-3-Clause */
/* Opening and closing a DPDK port: what the PMD can do is asked for first, and what it cannot is left out of link->flags and said
 * once. A queue has its own pool of mbufs; where the PMD segments (TSO), a second one of 64 KB packets to send from. */
#include "dpdk_port.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <rte_errno.h>
#include <rte_interrupts.h>

#define PACKETS 8192u
#define PACKETS_MOST (1u << 22)
#define CACHE 256u              /* mbufs in hand of the thread of a queue */
#define RING 1024u
#define SUPER_TX_RING 512u      /* of 64 KB packets: 32 MB in the ring */
#define SUPER_SPARE 512u        /* beside those in the ring */
#define SUPER_FOR_CHAINS 256u   /* only received ones are large */
#define MTU_LEAST 576u
#define MTU_MOST 9000u
#define FRAME_EXTRA (RTE_ETHER_HDR_LEN + 2 * RTE_VLAN_HLEN)
#define BUFFER_LEAST 2048u      /* behind the headroom; PMDs of NICs want at least this for an ordinary frame */
#define TX_SUMS (RTE_ETH_TX_OFFLOAD_TCP_CKSUM | RTE_ETH_TX_OFFLOAD_UDP_CKSUM)
#define RX_SUMS (RTE_ETH_RX_OFFLOAD_TCP_CKSUM | RTE_ETH_RX_OFFLOAD_UDP_CKSUM)
#define RSS_WANTED (RTE_ETH_RSS_IPV4 | RTE_ETH_RSS_NONFRAG_IPV4_TCP | RTE_ETH_RSS_NONFRAG_IPV4_UDP)

/* What is decided before the port is touched. */
struct plan {
	const struct dpdk_config *config;
	struct rte_eth_dev_info info;
	struct rte_eth_conf conf;
	uint16_t queues, mtu, rx_ring, tx_ring;
	uint32_t packets, supers;
	uint8_t rss_key[52];
};

static struct dpdk_port *port_of(struct device *d)
{
	return (struct dpdk_port *)(void *)d;
}

/* A sentence and the PMD's own words, if it said some. */
static int fail(char why[DEVICE_WHY], int error, const struct dpdk_port *port, const char *what)
{
	const char *said = dpdk_last_errors();

	snprintf(why, DEVICE_WHY, "DPDK port %u (%s): %s: %s%s%.*s", port->id, port->device.name, what, strerror(-error),
		*said ? ": " : "", 100, said);
	return error;
}

static int find_port(const struct dpdk_config *c, struct plan *plan, char why[DEVICE_WHY])
{
	const char *said;

	if (!dpdk_is_started()) {
		snprintf(why, DEVICE_WHY, "the EAL has not been started");
		return -EINVAL;
	}
	if (c->port >= RTE_MAX_ETHPORTS || !rte_eth_dev_is_valid_port((uint16_t)c->port)) {
		said = dpdk_last_errors();
		snprintf(why, DEVICE_WHY, "there is no DPDK port %u: the EAL's arguments made %u%s%.*s", c->port,
			rte_eth_dev_count_avail(), *said ? ": " : " (--vdev=net_..., or a NIC bound to vfio-pci)", 80, said);
		return -ENODEV;
	}
	if (rte_eth_dev_info_get((uint16_t)c->port, &plan->info) != 0) {
		snprintf(why, DEVICE_WHY, "DPDK port %u does not say what it can do", c->port);
		return -EIO;
	}
	return 0;
}

static int choose_mtu(struct dpdk_port *port, struct plan *plan, char why[DEVICE_WHY])
{
	const struct rte_eth_dev_info *info = &plan->info;
	uint32_t least = RTE_MAX(MTU_LEAST, info->min_mtu), most = MTU_MOST, overhead = RTE_ETHER_HDR_LEN + RTE_ETHER_CRC_LEN;
	uint16_t present = 0;

	if (info->max_mtu != UINT16_MAX && info->max_mtu != 0) {
		most = RTE_MIN(most, info->max_mtu);
		if (info->max_rx_pktlen > info->max_mtu)
			overhead = info->max_rx_pktlen - info->max_mtu;
	}
	/* The PMD checks whole frames too, with an overhead of its own. */
	if (info->max_rx_pktlen > overhead)
		most = RTE_MIN(most, info->max_rx_pktlen - overhead);
	plan->mtu = plan->config->device.mtu;
	if (plan->mtu == 0) {
		rte_eth_dev_get_mtu(port->id, &present);
		plan->mtu = (uint16_t)RTE_MIN(present ? present : RTE_ETHER_MTU, most);
	}
	if (plan->mtu >= least && plan->mtu <= most)
		return 0;
	snprintf(why, DEVICE_WHY, "DPDK port %u (%s): an MTU of %u bytes is not possible, %s takes %u to %u", port->id,
		port->device.name, plan->mtu, info->driver_name, least, most);
	return -EINVAL;
}

static int choose_rings(struct dpdk_port *port, struct plan *plan, char why[DEVICE_WHY])
{
	const struct dpdk_config *c = plan->config;
	bool super = port->tx_offloads & RTE_ETH_TX_OFFLOAD_TCP_TSO;
	uint32_t least;
	int error;

	plan->rx_ring = c->rx_ring ? c->rx_ring : RING;
	plan->tx_ring = c->tx_ring ? c->tx_ring : super ? SUPER_TX_RING : RING;
	error = rte_eth_dev_adjust_nb_rx_tx_desc(port->id, &plan->rx_ring, &plan->tx_ring);
	if (error)
		return fail(why, error, port, "its rings cannot be sized");
	if ((c->rx_ring && c->rx_ring != plan->rx_ring) || (c->tx_ring && c->tx_ring != plan->tx_ring))
		dpdk_log(port, "rings of %u and %u descriptors, as the PMD allows", plan->rx_ring, plan->tx_ring);
	least = plan->rx_ring + (super ? 0 : plan->tx_ring) + 2 * CACHE + 2 * DPDK_BURST;
	plan->packets = c->packets ? c->packets : RTE_MAX(PACKETS, least);
	if (super)
		plan->supers = plan->tx_ring + SUPER_SPARE;
	else if (port->rx_offloads & RTE_ETH_RX_OFFLOAD_SCATTER)
		plan->supers = SUPER_FOR_CHAINS;
	if (plan->packets >= least && plan->packets <= PACKETS_MOST)
		return 0;
	snprintf(why, DEVICE_WHY, "DPDK port %u (%s): %u packets are not possible with these rings, %u to %u are", port->id,
		port->device.name, plan->packets, least, PACKETS_MOST);
	return -EINVAL;
}

/* Room of a received frame in one mbuf; with chains where the PMD fills no buffer of that size. */
static uint32_t buffer_bytes(const struct plan *plan)
{
	uint32_t frame = plan->mtu + FRAME_EXTRA + RTE_ETHER_CRC_LEN;

	return RTE_ALIGN_CEIL(RTE_MAX(frame, BUFFER_LEAST), RTE_CACHE_LINE_SIZE) + RTE_PKTMBUF_HEADROOM;
}

static void choose_offloads(struct dpdk_port *port, struct plan *plan)
{
	uint64_t rx = plan->info.rx_offload_capa, tx = plan->info.tx_offload_capa;

	if ((rx & RX_SUMS) == RX_SUMS)
		port->rx_offloads |= rx & (RX_SUMS | RTE_ETH_RX_OFFLOAD_IPV4_CKSUM);
	if ((tx & TX_SUMS) == TX_SUMS)
		port->tx_offloads |= tx & (TX_SUMS | RTE_ETH_TX_OFFLOAD_IPV4_CKSUM);
	if (port->tx_offloads && tx & RTE_ETH_TX_OFFLOAD_TCP_TSO)
		port->tx_offloads |= tx & (RTE_ETH_TX_OFFLOAD_TCP_TSO | RTE_ETH_TX_OFFLOAD_MULTI_SEGS);
	/* Frees without a look at each mbuf: all that is sent must come from one pool, so there must be only one. */
	else if (!(rx & RTE_ETH_RX_OFFLOAD_SCATTER))
		port->tx_offloads |= tx & RTE_ETH_TX_OFFLOAD_MBUF_FAST_FREE;
	/* Merged frames are asked for where the stack may take them: with LINK_TSO, checksums looked at. */
	if (port->tx_offloads & RTE_ETH_TX_OFFLOAD_TCP_TSO && port->rx_offloads && rx & RTE_ETH_RX_OFFLOAD_TCP_LRO)
		port->rx_offloads |= RTE_ETH_RX_OFFLOAD_TCP_LRO;
	port->rx_offloads |= rx & RTE_ETH_RX_OFFLOAD_SCATTER;
}

static void choose_conf(struct dpdk_port *port, struct plan *plan)
{
	uint64_t spread = plan->info.flow_type_rss_offloads & RSS_WANTED;
	struct rte_eth_conf *conf = &plan->conf;

	memcpy(plan->rss_key, dpdk_rss_key, sizeof(plan->rss_key));
	conf->rxmode.mtu = plan->mtu;
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

static void fill_packet(struct rte_mempool *pool, void *context, void *object, unsigned i)
{
	struct rte_mbuf *m = object;
	struct pkt *p = dpdk_pkt(m);

	(void)pool;
	(void)context;
	(void)i;
	memset(p, 0, sizeof(*p));
	p->buffer = m->buf_addr;
	p->buffer_size = m->buf_len;
	p->data = p->buffer + RTE_PKTMBUF_HEADROOM;
}

static struct rte_mempool *make_pool(const struct dpdk_port *port, unsigned queue, const char *kind, uint32_t n,
	uint32_t bytes)
{
	char name[RTE_MEMPOOL_NAMESIZE];
	struct rte_mempool *pool;

	snprintf(name, sizeof(name), "light_%u_%u_%s", port->id, queue, kind);
	pool = rte_pktmbuf_pool_create(name, n, RTE_MIN(CACHE, n / 4), DPDK_PRIVATE, (uint16_t)bytes,
		rte_eth_dev_socket_id(port->id));
	if (pool)
		rte_mempool_obj_iter(pool, fill_packet, NULL);
	return pool;
}

static int make_pools(struct dpdk_port *port, const struct plan *plan, char why[DEVICE_WHY])
{
	uint32_t bytes = buffer_bytes(plan);
	unsigned i;

	for (i = 0; i < plan->queues; i++) {
		struct dpdk_queue *q = &port->queues[i];

		q->pool = make_pool(port, i, "rx", plan->packets, bytes);
		if (q->pool && plan->supers)
			q->super = make_pool(port, i, "big", plan->supers, DPDK_SUPER_BYTES);
		if (!q->pool || (plan->supers && !q->super)) {
			snprintf(why, DEVICE_WHY, "DPDK port %u (%s): no memory for %u packets of %u bytes and %u of %u for queue %u: "
				"give the EAL more (-m), or ask for fewer", port->id, port->device.name, plan->packets, bytes,
				plan->supers, DPDK_SUPER_BYTES, i);
			dpdk_last_errors();
			return -ENOMEM;
		}
		q->send = port->tx_offloads & RTE_ETH_TX_OFFLOAD_TCP_TSO ? q->super : q->pool;
	}
	return 0;
}

/* Some PMDs refuse interrupts only here; then without. */
static int configure(struct dpdk_port *port, struct plan *plan)
{
	int error = rte_eth_dev_configure(port->id, plan->queues, plan->queues, &plan->conf);

	if (error && (plan->conf.intr_conf.rxq || plan->conf.intr_conf.lsc)) {
		plan->conf.intr_conf.rxq = plan->conf.intr_conf.lsc = 0;
		error = rte_eth_dev_configure(port->id, plan->queues, plan->queues, &plan->conf);
	}
	return error;
}

static int set_queues(struct dpdk_port *port, struct plan *plan)
{
	struct rte_eth_rxconf rx = plan->info.default_rxconf;
	struct rte_eth_txconf tx = plan->info.default_txconf;
	int socket = rte_eth_dev_socket_id(port->id), error = 0;
	uint16_t i;

	rx.offloads = plan->conf.rxmode.offloads;
	tx.offloads = plan->conf.txmode.offloads;
	for (i = 0; i < plan->queues && !error; i++) {
		error = rte_eth_rx_queue_setup(port->id, i, plan->rx_ring, (unsigned)socket, &rx, port->queues[i].pool);
		if (!error)
			error = rte_eth_tx_queue_setup(port->id, i, plan->tx_ring, (unsigned)socket, &tx);
	}
	return error;
}

static int set_up(struct dpdk_port *port, struct plan *plan, char why[DEVICE_WHY])
{
	uint16_t present = 0;
	int error;

	error = configure(port, plan);
	if (error)
		return fail(why, error, port, "cannot be configured");
	error = choose_rings(port, plan, why);
	if (!error)
		error = make_pools(port, plan, why);
	if (error)
		return error;
	error = set_queues(port, plan);
	if (error)
		return fail(why, error, port, "its queues cannot be made");
	/* PMDs without a hand in the interface's MTU take it from the configuration. */
	rte_eth_dev_get_mtu(port->id, &present);
	error = rte_eth_dev_set_mtu(port->id, plan->mtu);
	if (error && (error != -ENOTSUP || (present != 0 && present < plan->mtu)))
		return fail(why, error, port, "its MTU cannot be set");
	error = rte_eth_dev_start(port->id);
	if (error)
		return fail(why, error, port, "does not start");
	port->started = true;
	error = plan->config->promiscuous ? rte_eth_promiscuous_enable(port->id) : rte_eth_promiscuous_disable(port->id);
	if (error && plan->config->promiscuous)
		dpdk_log(port, "the PMD has no promiscuous mode: %s", strerror(-error));
	return 0;
}

/* From the EAL's interrupt thread: only the atomic; queue 0's thread logs. */
static int carrier_changed(uint16_t id, enum rte_eth_event_type type, void *context, void *result)
{
	struct dpdk_port *port = context;
	struct rte_eth_link state;

	(void)type;
	(void)result;
	if (rte_eth_link_get_nowait(id, &state) == 0)
		atomic_store_explicit(&port->carrier, state.link_status == RTE_ETH_LINK_UP, memory_order_relaxed);
	return 0;
}

/* A descriptor for arm, of the queues whose PMD has receive interrupts. */
static void prepare_wake(struct dpdk_port *port, const struct plan *plan)
{
	unsigned i, able = 0;

	for (i = 0; i < port->device.queues && plan->conf.intr_conf.rxq; i++) {
		struct dpdk_queue *q = &port->queues[i];

		q->epoll = epoll_create1(EPOLL_CLOEXEC);
		if (q->epoll >= 0 && rte_eth_dev_rx_intr_ctl_q(port->id, (uint16_t)i, q->epoll, RTE_INTR_EVENT_ADD, NULL) == 0 &&
		    rte_eth_dev_rx_intr_enable(port->id, (uint16_t)i) == 0) {
			rte_eth_dev_rx_intr_disable(port->id, (uint16_t)i);
			able++;
			continue;
		}
		if (q->epoll >= 0)
			close(q->epoll);
		q->epoll = -1;
	}
	if (plan->config->device.wake && able < port->device.queues)
		dpdk_log(port, "the PMD has no receive interrupts: the port has to be polled");
	dpdk_last_errors();
}

static void set_links(struct dpdk_port *port, const struct plan *plan)
{
	struct rte_ether_addr mac = { 0 };
	uint32_t flags = 0;
	unsigned i;

	rte_eth_macaddr_get(port->id, &mac);
	if (rte_is_zero_ether_addr(&mac)) {     /* net_ring has none */
		rte_eth_random_addr(mac.addr_bytes);
		rte_eth_dev_default_mac_addr_set(port->id, &mac);
	}
	if ((port->tx_offloads & TX_SUMS) == TX_SUMS)
		flags |= LINK_TX_CSUM;
	if (port->tx_offloads & RTE_ETH_TX_OFFLOAD_TCP_TSO)
		flags |= LINK_TSO;
	if ((port->rx_offloads & RX_SUMS) == RX_SUMS)
		flags |= LINK_RX_CSUM;
	for (i = 0; i < port->device.queues; i++) {
		struct dpdk_queue *q = &port->queues[i];

		q->link.ops = &dpdk_link_ops;
		q->link.flags = flags;
		q->link.mtu = plan->mtu;
		q->link.up = atomic_load_explicit(&port->carrier, memory_order_relaxed);
		memcpy(q->link.mac, mac.addr_bytes, sizeof(q->link.mac));
		q->port = port;
		q->port_id = port->id;
		q->queue_id = (uint16_t)i;
		q->rx_sums = flags & LINK_RX_CSUM;
		q->ip_sum_for_tso = port->tx_offloads & RTE_ETH_TX_OFFLOAD_IPV4_CKSUM;
		q->frame_most = plan->mtu + FRAME_EXTRA;
	}
}

static void tell_what_is_missing(const struct dpdk_port *port, const struct plan *plan)
{
	uint32_t flags = port->queues[0].link.flags;

	dpdk_log(port, "%s, %u queue%s, MTU %u, %u packets each%s", plan->info.driver_name, port->device.queues,
		port->device.queues == 1 ? "" : "s", plan->mtu, plan->packets,
		plan->supers && flags & LINK_TSO ? ", sends from 64 KB packets" : "");
	if (plan->queues < plan->config->device.queues)
		dpdk_log(port, "the PMD has %u of the %u queues asked for", plan->queues, plan->config->device.queues);
	if (flags != (LINK_TSO | LINK_TX_CSUM | LINK_RX_CSUM) || (port->device.queues > 1 && !port->device.rss.key_bytes))
		dpdk_log(port, "done in software, since the PMD does not:%s%s%s%s", flags & LINK_TX_CSUM ? "" : " checksums to send,",
			flags & LINK_RX_CSUM ? "" : " checksums received,", flags & LINK_TSO ? "" : " segmentation,",
			port->device.queues < 2 || port->device.rss.key_bytes ? "" : " spreading by a known key,");
}

static struct link *device_queue(struct device *d, unsigned i)
{
	return i < d->queues ? &port_of(d)->queues[i].link : NULL;
}

static uint32_t device_outstanding(struct device *d)
{
	uint32_t sum = 0;
	unsigned i;

	for (i = 0; i < d->queues; i++)
		sum += port_of(d)->queues[i].held;
	return sum;
}

/* A pool from which packets are missing stays: someone may still write to them. */
static void end_pool(const struct dpdk_port *port, struct rte_mempool *pool, unsigned queue)
{
	unsigned missing;

	if (!pool)
		return;
	missing = pool->size - rte_mempool_avail_count(pool);
	if (missing == 0)
		rte_mempool_free(pool);
	else
		dpdk_log(port, "%u packets of queue %u have not come back", missing, queue);
}

static void device_close(struct device *d)
{
	struct dpdk_port *port = port_of(d);
	unsigned i;

	if (port->lsc)
		rte_eth_dev_callback_unregister(port->id, RTE_ETH_EVENT_INTR_LSC, carrier_changed, port);
	for (i = 0; i < d->queues && port->started; i++) {
		struct dpdk_queue *q = &port->queues[i];

		dpdk_queue_drain(q);
		if (q->epoll >= 0) {
			rte_eth_dev_rx_intr_ctl_q(port->id, (uint16_t)i, q->epoll, RTE_INTR_EVENT_DEL, NULL);
			close(q->epoll);
		}
		free(q->xstats);
		free(q->xstat_names);
	}
	if (port->started)
		rte_eth_dev_stop(port->id);
	/* A port whose opening failed is left to be tried again. */
	if (port->started)
		rte_eth_dev_close(port->id);
	for (i = 0; i < DEVICE_QUEUES; i++) {
		end_pool(port, port->queues[i].pool, i);
		end_pool(port, port->queues[i].super, i);
	}
	free(port);
}

static const struct device_ops device_ops = {
	.queue = device_queue,
	.outstanding = device_outstanding,
	.close = device_close,
};

static struct dpdk_port *new_port(const struct dpdk_config *c)
{
	struct dpdk_port *port = aligned_alloc(RTE_CACHE_LINE_SIZE, RTE_ALIGN_CEIL(sizeof(*port), RTE_CACHE_LINE_SIZE));
	char name[RTE_ETH_NAME_MAX_LEN] = "";
	unsigned i;

	if (!port)
		return NULL;
	memset(port, 0, sizeof(*port));
	rte_eth_dev_get_name_by_port((uint16_t)c->port, name);
	snprintf(port->device.name, sizeof(port->device.name), "%.31s", name);
	port->device.ops = &device_ops;
	port->device.backend = "dpdk";
	port->id = (uint16_t)c->port;
	port->wake = c->device.wake;
	port->log = c->device.log;
	port->log_context = c->device.log_context;
	port->carrier_logged = UINT32_MAX;
	for (i = 0; i < DEVICE_QUEUES; i++)
		port->queues[i].epoll = -1;
	return port;
}

int dpdk_open(const struct dpdk_config *c, struct device **out, char why[DEVICE_WHY])
{
	struct plan plan = { .config = c };
	struct dpdk_port *port;
	int error;

	error = find_port(c, &plan, why);
	if (error)
		return error;
	if (c->device.queues < 1 || c->device.queues > DEVICE_QUEUES) {
		snprintf(why, DEVICE_WHY, "%u queues are not possible, 1 to %u are", c->device.queues, DEVICE_QUEUES);
		return -EINVAL;
	}
	port = new_port(c);
	if (!port) {
		snprintf(why, DEVICE_WHY, "memory is short");
		return -ENOMEM;
	}
	dpdk_last_errors();
	plan.queues = (uint16_t)RTE_MIN(c->device.queues, RTE_MIN(plan.info.max_rx_queues, plan.info.max_tx_queues));
	port->device.queues = plan.queues;
	choose_offloads(port, &plan);
	error = choose_mtu(port, &plan, why);
	if (!error) {
		choose_conf(port, &plan);
		error = set_up(port, &plan, why);
	}
	if (error) {
		device_close(&port->device);
		return error;
	}
	port->lsc = plan.conf.intr_conf.lsc &&
		rte_eth_dev_callback_register(port->id, RTE_ETH_EVENT_INTR_LSC, carrier_changed, port) == 0;
	dpdk_carrier(port);
	dpdk_read_rss(port, &plan.info);
	set_links(port, &plan);
	tell_what_is_missing(port, &plan);
	prepare_wake(port, &plan);
	*out = &port->device;
	return 0;
}
