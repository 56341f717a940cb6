/* SPDX-License-Identifier: BSD-3-Clause */
/* The counters of one queue: ours, then the PMD's extended statistics. Those with a queue's number are given by that queue's link,
 * those of the whole port by the link of queue 0. */
#include "dpdk_port.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
	char name[24];
	size_t at;
} own[] = {
	{ "no_packet", offsetof(struct dpdk_counts, no_packet) },
	{ "tx_ring_full", offsetof(struct dpdk_counts, full) },
	{ "tx_refused", offsetof(struct dpdk_counts, refused) },
	{ "tx_software_sums", offsetof(struct dpdk_counts, software_sums) },
	{ "rx_chains", offsetof(struct dpdk_counts, chains) },
	{ "rx_chains_dropped", offsetof(struct dpdk_counts, chains_dropped) },
	{ "rx_strangers", offsetof(struct dpdk_counts, strangers) },
};

/* The names do not change while a port runs. */
static bool know_names(struct dpdk_queue *q)
{
	int n;

	if (q->xstats)
		return true;
	n = rte_eth_xstats_get_names(q->port_id, NULL, 0);
	if (n <= 0)
		return false;
	q->xstat_names = calloc((size_t)n, sizeof(*q->xstat_names));
	q->xstats = calloc((size_t)n, sizeof(*q->xstats));
	if (!q->xstat_names || !q->xstats || rte_eth_xstats_get_names(q->port_id, q->xstat_names, (unsigned)n) != n) {
		free(q->xstat_names);
		free(q->xstats);
		q->xstat_names = NULL;
		q->xstats = NULL;
		return false;
	}
	q->xstat_count = (unsigned)n;
	return true;
}

/* One question to the PMD for a whole round of the caller's. */
static void snapshot(struct dpdk_queue *q)
{
	if (!know_names(q))
		return;
	if (rte_eth_xstats_get(q->port_id, q->xstats, q->xstat_count) != (int)q->xstat_count)
		memset(q->xstats, 0, q->xstat_count * sizeof(*q->xstats));
}

/* "rx_q3_packets", "tx_q3_errors" are queue 3's. */
static bool is_of(const struct dpdk_queue *q, const char *name)
{
	unsigned number;

	if (sscanf(name, "%*cx_q%u", &number) == 1)
		return number == q->queue_id;
	return q->queue_id == 0;
}

bool dpdk_counter(struct link *l, unsigned i, struct link_counter *c)
{
	struct dpdk_queue *q = (struct dpdk_queue *)(void *)l;
	unsigned k;

	if (i == 0)
		snapshot(q);
	if (i < RTE_DIM(own)) {
		snprintf(c->name, sizeof(c->name), "%s", own[i].name);
		memcpy(&c->value, (const char *)&q->counts + own[i].at, sizeof(c->value));
		return true;
	}
	if (i == RTE_DIM(own)) {
		snprintf(c->name, sizeof(c->name), "packets_free");
		c->value = rte_mempool_avail_count(q->pool) + (q->super ? rte_mempool_avail_count(q->super) : 0);
		return true;
	}
	i -= (unsigned)RTE_DIM(own) + 1;
	for (k = 0; k < q->xstat_count; k++) {
		if (!is_of(q, q->xstat_names[k].name) || i-- > 0)
			continue;
		snprintf(c->name, sizeof(c->name), "%.63s", q->xstat_names[k].name);
		/* The id is the index of the name (rte_ethdev.h). */
		c->value = q->xstats[k].value;
		return true;
	}
	return false;
}
