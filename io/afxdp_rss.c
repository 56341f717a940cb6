/* SPDX-License-Identifier: BSD-3-Clause */
/* ETHTOOL_GRSSH and ETHTOOL_GRXFH (linux/ethtool.h). Only what is exactly the Toeplitz hash over addresses and ports counts: a wrong
 * guess would send each flow to a core that does not know it. */
#include "afxdp_rss.h"

#include <linux/sockios.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#define HASH_TOEPLITZ 1u     /* ETH_RSS_HASH_TOP of the kernel */
#define ADDRESSES (RXH_IP_SRC | RXH_IP_DST)
#define PORTS (RXH_L4_B_0_1 | RXH_L4_B_2_3)
#define TABLE_MAX 65536u
#define KEY_MIN 16u          /* 12 bytes are hashed, with a window of 32 bits */

static bool table_from(const uint32_t *table, unsigned size, unsigned queues, struct device_rss *out)
{
	unsigned most = sizeof(out->table), used = size < most ? size : most;

	if (size == 0 || (size & (size - 1)) != 0)
		return false;
	for (unsigned i = 0; i < size; i++) {
		/* A longer one that repeats itself says no more than its beginning. */
		if (i >= used && table[i] % queues != out->table[i % used])
			return false;
		if (i < used)
			out->table[i] = (uint8_t)(table[i] % queues);
	}
	out->table_size = (uint16_t)used;
	return true;
}

void afxdp_rss_from(const struct ethtool_rxfh *h, const struct afxdp_rss_fields *fields, unsigned queues, struct device_rss *out)
{
	const uint8_t *key = (const uint8_t *)(h->rss_config + h->indir_size);
	bool symmetric = h->rsvd8[0] != 0;      /* input_xfrm, since Linux 6.8 */

	memset(out, 0, sizeof(*out));
	if (h->hfunc != HASH_TOEPLITZ || symmetric || fields->tcp != (ADDRESSES | PORTS)
	    || (fields->udp != ADDRESSES && fields->udp != (ADDRESSES | PORTS)))
		return;
	if (h->key_size < KEY_MIN || h->key_size > sizeof(out->key) || !table_from(h->rss_config, h->indir_size, queues, out))
		return;
	memcpy(out->key, key, h->key_size);
	out->key_bytes = (uint8_t)h->key_size;
	out->udp = fields->udp & PORTS;
}

static bool ask(int fd, const char *interface, void *question)
{
	struct ifreq r = { .ifr_data = question };

	snprintf(r.ifr_name, sizeof(r.ifr_name), "%s", interface);
	return ioctl(fd, SIOCETHTOOL, &r) == 0;
}

static uint64_t fields_of(int fd, const char *interface, uint32_t flow)
{
	struct ethtool_rxnfc c = { .cmd = ETHTOOL_GRXFH, .flow_type = flow };

	return ask(fd, interface, &c) ? c.data : 0;
}

void afxdp_rss_read(int fd, const char *interface, unsigned queues, struct device_rss *out)
{
	struct ethtool_rxfh sizes = { .cmd = ETHTOOL_GRSSH }, *all;
	const struct afxdp_rss_fields fields = { fields_of(fd, interface, TCP_V4_FLOW), fields_of(fd, interface, UDP_V4_FLOW) };

	memset(out, 0, sizeof(*out));
	if (!ask(fd, interface, &sizes) || sizes.indir_size > TABLE_MAX || sizes.key_size > TABLE_MAX)
		return;
	all = calloc(1, sizeof(*all) + sizes.indir_size * sizeof(uint32_t) + sizes.key_size);
	if (!all)
		return;
	all->cmd = ETHTOOL_GRSSH;
	all->indir_size = sizes.indir_size;
	all->key_size = sizes.key_size;
	if (ask(fd, interface, all) && all->indir_size == sizes.indir_size && all->key_size == sizes.key_size)
		afxdp_rss_from(all, &fields, queues, out);
	free(all);
}
