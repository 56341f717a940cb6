/* SPDX-License-Identifier: BSD-3-Clause */
/* What concerns a whole port beside opening it: its log, its carrier, how it spreads, and its filters. */
#include "dpdk_port.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <net/if.h>

#include <rte_dev.h>
#include <rte_devargs.h>

#include "netif.h"

/* Microsoft's key of the RSS specification, whose hashes everybody can check, and twelve bytes more for the PMDs with longer ones. */
const uint8_t dpdk_rss_key[52] = {
	0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43,
	0xa3, 0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb,
	0x2d, 0xa3, 0x80, 0x30, 0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01,
	0xfa, 0x8b, 0x36, 0xc9, 0x50, 0x1d, 0xe4, 0x72, 0xf6, 0x0b, 0x93, 0x5e, 0xc7,
};

static const struct dpdk_quirk quirks[] = {
	{ .driver = "net_af_packet", .declares_little = true, .has_slots = true },
	{ .driver = "net_memif", .declares_little = true },
	{ .driver = "net_tap", .lends_mac = true, .segments_badly = true },
	{ .driver = "net_vhost", .merges = true },
	{ .driver = "net_af_xdp", .keeps_fill_ring = true },
	{ .driver = "" },
};

const struct dpdk_quirk *dpdk_quirk_of(const char *driver)
{
	unsigned i = 0;

	while (quirks[i].driver[0] && strcmp(quirks[i].driver, driver) != 0)
		i++;
	return &quirks[i];
}

/* By its index where the PMD tells it, else by the argument that names it (net_pcap). */
static bool kernel_name(char name[IF_NAMESIZE], const struct rte_eth_dev_info *info)
{
	const struct rte_devargs *devargs = info->device ? rte_dev_devargs(info->device) : NULL;
	const char *named = devargs && devargs->args ? strstr(devargs->args, "tx_iface=") : NULL;
	size_t n;

	if (info->if_index != 0)
		return if_indextoname(info->if_index, name) != NULL;
	if (!named)
		return false;
	named += strlen("tx_iface=");
	n = strcspn(named, ",");
	if (n == 0 || n >= IF_NAMESIZE)
		return false;
	memcpy(name, named, n);
	name[n] = '\0';
	return true;
}

void dpdk_find_kernel(struct dpdk_port *port, const struct rte_eth_dev_info *info)
{
	port->watch = -1;
	if (!kernel_name(port->kernel_name, info))
		return;
	port->kernel_index = if_nametoindex(port->kernel_name);
	port->watch = netif_watch();
	if (port->kernel_index == 0 || port->watch < 0 || netif_mtu(port->watch, port->kernel_name, &port->kernel_mtu) != 0)
		port->kernel_mtu = 0;
}

/* Several PMDs on interfaces of the kernel say that their link is up whatever happens. One that is deleted and made anew is another. */
static bool kernel_says_up(struct dpdk_port *port)
{
	unsigned flags = 0;

	if (netif_changed(port->watch) || port->carrier_logged == UINT32_MAX)
		port->kernel_up = netif_flags(port->watch, port->kernel_name, &flags) == 0 && flags & IFF_UP &&
			flags & IFF_RUNNING && if_nametoindex(port->kernel_name) == port->kernel_index;
	return port->kernel_up;
}

void dpdk_log(const struct dpdk_port *port, const char *format, ...)
{
	char line[256];
	va_list list;
	int n;

	if (!port->log)
		return;
	n = snprintf(line, sizeof(line), "dpdk %s: ", port->device.name);
	va_start(list, format);
	vsnprintf(line + n, sizeof(line) - (size_t)n, format, list);
	va_end(list);
	port->log(port->log_context, line);
}

int dpdk_fail(char why[DEVICE_WHY], int error, const struct dpdk_port *port, const char *what)
{
	const char *said = dpdk_last_errors();

	snprintf(why, DEVICE_WHY, "DPDK port %u (%s): %s: %s%s%.*s", port->id, port->device.name, what, strerror(-error),
		*said ? ": " : "", 100, said);
	return error;
}

void dpdk_carrier(struct dpdk_port *port)
{
	struct rte_eth_link state = { 0 };
	char speed[32] = "";

	if (rte_eth_link_get_nowait(port->id, &state) != 0)
		return;
	if (port->watch >= 0 && !kernel_says_up(port))
		state.link_status = RTE_ETH_LINK_DOWN;
	atomic_store_explicit(&port->carrier, state.link_status == RTE_ETH_LINK_UP, memory_order_relaxed);
	if (port->carrier_logged == state.link_status)
		return;
	port->carrier_logged = state.link_status;
	if (state.link_status == RTE_ETH_LINK_UP && state.link_speed != RTE_ETH_SPEED_NUM_UNKNOWN &&
	    state.link_speed != RTE_ETH_SPEED_NUM_NONE)
		snprintf(speed, sizeof(speed), ", %u Mbit/s", state.link_speed);
	dpdk_log(port, "the link is %s%s", state.link_status == RTE_ETH_LINK_UP ? "up" : "down", speed);
}

/* Asks for a table that deals the queues round; the port may keep its own. */
static void deal_table(const struct dpdk_port *port, uint16_t size)
{
	struct rte_eth_rss_reta_entry64 groups[RTE_ETH_RSS_RETA_SIZE_512 / RTE_ETH_RETA_GROUP_SIZE] = { 0 };
	unsigned i;

	for (i = 0; i < size; i++) {
		groups[i / RTE_ETH_RETA_GROUP_SIZE].mask |= UINT64_C(1) << i % RTE_ETH_RETA_GROUP_SIZE;
		groups[i / RTE_ETH_RETA_GROUP_SIZE].reta[i % RTE_ETH_RETA_GROUP_SIZE] = (uint16_t)(i % port->device.queues);
	}
	rte_eth_dev_rss_reta_update(port->id, groups, size);
}

static bool read_table(struct dpdk_port *port, uint16_t size)
{
	struct rte_eth_rss_reta_entry64 groups[RTE_ETH_RSS_RETA_SIZE_512 / RTE_ETH_RETA_GROUP_SIZE] = { 0 };
	unsigned i;

	for (i = 0; i < RTE_DIM(groups); i++)
		groups[i].mask = UINT64_MAX;
	if (rte_eth_dev_rss_reta_query(port->id, groups, size) != 0)
		return false;
	for (i = 0; i < size; i++) {
		uint16_t queue = groups[i / RTE_ETH_RETA_GROUP_SIZE].reta[i % RTE_ETH_RETA_GROUP_SIZE];

		if (queue >= port->device.queues)
			return false;
		port->device.rss.table[i] = (uint8_t)queue;
	}
	port->device.rss.table_size = size;
	return true;
}

void dpdk_read_rss(struct dpdk_port *port, const struct rte_eth_dev_info *info)
{
	struct device_rss *rss = &port->device.rss;
	struct rte_eth_rss_conf conf = { .rss_key = rss->key, .rss_key_len = info->hash_key_size };
	uint16_t size = info->reta_size;

	if (port->device.queues < 2 || size == 0 || size > RTE_DIM(rss->table) || (size & (size - 1)) != 0 ||
	    info->hash_key_size < 40 || info->hash_key_size > sizeof(rss->key))
		return;
	deal_table(port, size);
	if (rte_eth_dev_rss_hash_conf_get(port->id, &conf) != 0 ||
	    !(conf.rss_hf & RTE_ETH_RSS_NONFRAG_IPV4_TCP) || !read_table(port, size)) {
		memset(rss, 0, sizeof(*rss));
		return;
	}
	rss->udp = conf.rss_hf & RTE_ETH_RSS_NONFRAG_IPV4_UDP;
	rss->key_bytes = info->hash_key_size;
}

int dpdk_multicast(struct device *d, const uint8_t (*macs)[6], unsigned n)
{
	struct dpdk_port *port = (struct dpdk_port *)(void *)d;
	struct rte_ether_addr groups[64];
	int error = n <= RTE_DIM(groups) ? 0 : -ENOTSUP;
	unsigned i;

	for (i = 0; i < n; i++)
		if (!(macs[i][0] & 1))
			return -EINVAL;
	for (i = 0; i < n && !error; i++)
		memcpy(groups[i].addr_bytes, macs[i], 6);
	if (!error)
		error = rte_eth_dev_set_mc_addr_list(port->id, groups, n);
	if (!error)
		return 0;
	/* No filter, a full one, or one that the PMD will not set: everything then, where that can be chosen at all. */
	error = rte_eth_allmulticast_enable(port->id);
	if (error == 0 || error == -ENOTSUP)
		return -ENOTSUP;
	dpdk_log(port, "multicast groups cannot be received: %s", strerror(-error));
	return error;
}

#define FILTER_MOST 64u

/* What its links want, and all hosts. A PMD that neither filters nor can be made to let everything in has nothing that keeps groups out. */
static int let_in(struct dpdk_port *port)
{
	uint8_t macs[FILTER_MOST + 1][6] = { { 0x01, 0, 0x5e, 0, 0, 1 } };
	unsigned n = grouplist_macs(&port->groups, macs + 1, FILTER_MOST - 1);
	int error;

	/* More than fit: told in a list that is too long, which makes it all-multicast. */
	memcpy(macs[FILTER_MOST], macs[0], 6);
	error = dpdk_multicast(&port->device, (const uint8_t (*)[6])macs, n + 1);
	return error == -ENOTSUP ? 0 : error;
}

int dpdk_group(struct link *l, uint32_t group, bool wanted)
{
	struct dpdk_port *port = ((struct dpdk_queue *)(void *)l)->port;
	int error = 0;

	pthread_mutex_lock(&port->groups_lock);
	if (!wanted) {
		if (grouplist_drop(&port->groups, group))
			let_in(port);
	} else {
		error = grouplist_add(&port->groups, group);
		if (error == 1) {
			error = let_in(port);
			if (error)
				grouplist_drop(&port->groups, group);
		}
	}
	pthread_mutex_unlock(&port->groups_lock);
	return error;
}
