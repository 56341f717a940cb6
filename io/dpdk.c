/* SPDX-License-Identifier: BSD-3-Clause */
/* Opening and closing a DPDK port: what the PMD can do is asked for first, and what it cannot is left out of link->flags and said
 * once. A queue has its own pool of mbufs; where the PMD segments (TSO), a second one of 64 KB packets to send from. */
#include "dpdk_port.h"

#include "netif.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <rte_errno.h>
#include <rte_interrupts.h>

static struct dpdk_port *port_of(struct device *d)
{
	return (struct dpdk_port *)(void *)d;
}

static int find_port(const struct dpdk_config *c, struct rte_eth_dev_info *info, char why[DEVICE_WHY])
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
	if (rte_eth_dev_info_get((uint16_t)c->port, info) != 0) {
		snprintf(why, DEVICE_WHY, "DPDK port %u does not say what it can do", c->port);
		return -EIO;
	}
	return 0;
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
	static unsigned pools_made;     /* a pool that stayed behind keeps its name */
	char name[RTE_MEMPOOL_NAMESIZE];
	struct rte_mempool *pool;

	snprintf(name, sizeof(name), "light_%u_%u_%s_%u", port->id, queue, kind, pools_made++);
	pool = rte_pktmbuf_pool_create(name, n, RTE_MIN(DPDK_CACHE, n / 4), DPDK_PRIVATE, (uint16_t)bytes,
		rte_eth_dev_socket_id(port->id));
	if (pool)
		rte_mempool_obj_iter(pool, fill_packet, NULL);
	return pool;
}

static int make_pools(struct dpdk_port *port, const struct dpdk_plan *plan, char why[DEVICE_WHY])
{
	uint32_t bytes = plan->buffer_bytes;
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
static int configure(struct dpdk_port *port, struct dpdk_plan *plan)
{
	int error = rte_eth_dev_configure(port->id, plan->queues, plan->queues, &plan->conf);

	if (error && (plan->conf.intr_conf.rxq || plan->conf.intr_conf.lsc)) {
		plan->conf.intr_conf.rxq = plan->conf.intr_conf.lsc = 0;
		error = rte_eth_dev_configure(port->id, plan->queues, plan->queues, &plan->conf);
	}
	return error;
}

static int set_queues(struct dpdk_port *port, struct dpdk_plan *plan)
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

/* PMDs without a hand in the interface's MTU take it from the configuration. */
static int set_mtu(struct dpdk_port *port, const struct dpdk_plan *plan)
{
	int error = rte_eth_dev_set_mtu(port->id, plan->pmd_mtu);
	unsigned present = 0;

	if (error && error != -ENOTSUP)
		return error;
	if (port->kernel_mtu == 0 || (netif_mtu(port->watch, port->kernel_name, &present) == 0 && present == plan->mtu))
		return 0;
	return netif_set_mtu(port->watch, port->kernel_name, plan->mtu);
}

static int set_up(struct dpdk_port *port, struct dpdk_plan *plan, char why[DEVICE_WHY])
{
	static const uint8_t all_hosts[1][6] = { { 0x01, 0, 0x5e, 0, 0, 1 } };   /* 224.0.0.1, which every host hears (RFC 1112 7.2) */
	const char *said;
	int error;

	error = configure(port, plan);
	if (error)
		return dpdk_fail(why, error, port, "cannot be configured");
	error = make_pools(port, plan, why);
	if (error)
		return error;
	error = set_queues(port, plan);
	if (error)
		return dpdk_fail(why, error, port, "its queues cannot be made");
	error = set_mtu(port, plan);
	if (error)
		return dpdk_fail(why, error, port, "its MTU cannot be set");
	error = rte_eth_dev_start(port->id);
	if (error)
		return dpdk_fail(why, error, port, "does not start");
	port->started = true;
	said = dpdk_last_errors();      /* net_virtio_user starts even if its peer refuses */
	if (*said)
		dpdk_log(port, "while starting: %s", said);
	error = plan->config->promiscuous ? rte_eth_promiscuous_enable(port->id) : rte_eth_promiscuous_disable(port->id);
	if (error && plan->config->promiscuous)
		dpdk_log(port, "the PMD has no promiscuous mode: %s", strerror(-error));
	(void)dpdk_multicast(&port->device, all_hosts, 1);
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

/* A descriptor for arm, if the PMD has receive interrupts. One that has nothing to enable (net_tap) is woken by its
 * descriptor alone. */
static bool prepare_queue(struct dpdk_queue *q)
{
	int error;

	q->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (q->epoll < 0)
		return false;
	if (rte_eth_dev_rx_intr_ctl_q(q->port_id, q->queue_id, q->epoll, RTE_INTR_EVENT_ADD, NULL) == 0) {
		error = rte_eth_dev_rx_intr_enable(q->port_id, q->queue_id);
		q->enables = error == 0;
		if (!error)
			rte_eth_dev_rx_intr_disable(q->port_id, q->queue_id);
		if (!error || error == -ENOTSUP)
			return true;
		rte_eth_dev_rx_intr_ctl_q(q->port_id, q->queue_id, q->epoll, RTE_INTR_EVENT_DEL, NULL);
	}
	close(q->epoll);
	q->epoll = -1;
	return false;
}

static void prepare_wake(struct dpdk_port *port, const struct dpdk_plan *plan)
{
	unsigned i, able = 0;

	dpdk_quiet(true);
	for (i = 0; i < port->device.queues && plan->conf.intr_conf.rxq; i++)
		able += prepare_queue(&port->queues[i]);
	dpdk_quiet(false);
	if (plan->config->device.wake && able < port->device.queues)
		dpdk_log(port, "the PMD has no receive interrupts: the port has to be polled");
	dpdk_last_errors();
}

static void set_links(struct dpdk_port *port, const struct dpdk_plan *plan)
{
	struct rte_ether_addr mac = { 0 };
	uint32_t flags = 0;
	unsigned i;

	rte_eth_macaddr_get(port->id, &mac);
	if (rte_is_zero_ether_addr(&mac) || port->quirk->lends_mac)     /* net_ring has none */
		rte_eth_random_addr(mac.addr_bytes);
	if ((port->tx_offloads & DPDK_TX_SUMS) == DPDK_TX_SUMS)
		flags |= LINK_TX_CSUM;
	if (port->tx_offloads & RTE_ETH_TX_OFFLOAD_TCP_TSO)
		flags |= LINK_TSO;
	if ((port->rx_offloads & DPDK_RX_SUMS) == DPDK_RX_SUMS)
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
		q->frame_most = plan->mtu + DPDK_FRAME_EXTRA;
	}
}

static void tell_what_is_missing(const struct dpdk_port *port, const struct dpdk_plan *plan)
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
	if (missing == 0 || (port->quirk->keeps_fill_ring && port->started && port->queues[queue].held == 0))
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
	if (port->kernel_mtu)
		netif_set_mtu(port->watch, port->kernel_name, port->kernel_mtu);
	if (port->watch >= 0)
		close(port->watch);
	if (port->started)
		rte_eth_dev_stop(port->id);
	/* A port whose opening failed is left to be tried again. */
	if (port->started)
		rte_eth_dev_close(port->id);
	for (i = 0; i < DEVICE_QUEUES; i++) {
		end_pool(port, port->queues[i].pool, i);
		end_pool(port, port->queues[i].super, i);
	}
	pthread_mutex_destroy(&port->groups_lock);
	free(port);
}

static const struct device_ops device_ops = {
	.queue = device_queue,
	.outstanding = device_outstanding,
	.close = device_close,
};

static struct dpdk_port *new_port(const struct dpdk_config *c, const struct rte_eth_dev_info *info)
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
	port->quirk = dpdk_quirk_of(info->driver_name);
	port->watch = -1;
	pthread_mutex_init(&port->groups_lock, NULL);
	port->log = c->device.log;
	port->log_context = c->device.log_context;
	port->carrier_logged = UINT32_MAX;
	for (i = 0; i < DEVICE_QUEUES; i++)
		port->queues[i].epoll = -1;
	return port;
}

int dpdk_open(const struct dpdk_config *c, struct device **out, char why[DEVICE_WHY])
{
	struct dpdk_plan plan = { .config = c };
	struct dpdk_port *port;
	int error;

	error = find_port(c, &plan.info, why);
	if (error)
		return error;
	if (c->device.queues < 1 || c->device.queues > DEVICE_QUEUES) {
		snprintf(why, DEVICE_WHY, "%u queues are not possible, 1 to %u are", c->device.queues, DEVICE_QUEUES);
		return -EINVAL;
	}
	port = new_port(c, &plan.info);
	if (!port) {
		snprintf(why, DEVICE_WHY, "memory is short");
		return -ENOMEM;
	}
	dpdk_last_errors();
	error = dpdk_make_plan(port, &plan, why);
	port->device.queues = plan.queues;
	if (!error)
		error = set_up(port, &plan, why);
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
