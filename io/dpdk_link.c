/* SPDX-License-Identifier: BSD-3-Clause */
/* The link of one DPDK queue pair: bursts in and out without a copy. Used by one thread, which has called dpdk_thread. */
#include "dpdk_port.h"

#include <errno.h>
#include <string.h>

#include <rte_cycles.h>
#include <rte_interrupts.h>
#include <rte_prefetch.h>

#include "stack/base/check.h"

#define AHEAD 4u              /* packets whose headers are fetched before their turn */
#define CARRIER_LOOKS 256u    /* receives between two looks at the clock */
#define CARRIER_PER_SECOND 10u
#define FRAME_LEAST 14u

static struct dpdk_queue *queue_of(struct link *l)
{
	return (struct dpdk_queue *)(void *)l;
}

/* Gives mbufs back that are as the pool wants them, in runs of one pool. */
static void put_back(struct rte_mbuf **mbufs, unsigned n)
{
	unsigned i, first = 0;

	for (i = 1; i <= n; i++) {
		if (i < n && mbufs[i]->pool == mbufs[first]->pool)
			continue;
		rte_mempool_put_bulk(mbufs[first]->pool, (void **)&mbufs[first], i - first);
		first = i;
	}
}

/* Queue 0's thread asks PMD and kernel now and then, or where the PMD tells by itself, after it has; each link follows. */
static void follow_carrier(struct dpdk_queue *q)
{
	struct dpdk_port *port = q->port;
	uint64_t now = rte_rdtsc();

	q->looks = CARRIER_LOOKS;
	if (q->queue_id == 0 && now >= q->carrier_due) {
		q->carrier_due = now + rte_get_tsc_hz() / CARRIER_PER_SECOND;
		if (!port->lsc || port->watch >= 0 || atomic_load_explicit(&port->carrier, memory_order_relaxed) != port->carrier_logged)
			dpdk_carrier(port);
	}
	q->link.up = atomic_load_explicit(&port->carrier, memory_order_relaxed);
}

static unsigned burst_in(struct dpdk_queue *q, struct rte_mbuf **mbufs, unsigned n)
{
	unsigned i;

	if (q->stash_count == 0) {
		if (n >= DPDK_BURST_MIN)
			return rte_eth_rx_burst(q->port_id, q->queue_id, mbufs, (uint16_t)n);
		q->stash_first = 0;
		q->stash_count = rte_eth_rx_burst(q->port_id, q->queue_id, q->stash, DPDK_BURST_MIN);
	}
	for (i = 0; i < n && q->stash_count > 0; i++, q->stash_count--)
		mbufs[i] = q->stash[q->stash_first++];
	return i;
}

static unsigned dpdk_receive(struct link *l, struct pkt **out, unsigned n)
{
	struct dpdk_queue *q = queue_of(l);
	struct rte_mbuf *mbufs[DPDK_BURST];
	unsigned i, kept = 0, got;
	uint64_t bytes = 0;

	if (q->looks-- == 0)
		follow_carrier(q);
	got = burst_in(q, mbufs, RTE_MIN(n, DPDK_BURST));
	for (i = 0; i < got && i < AHEAD; i++)
		rte_prefetch0(rte_pktmbuf_mtod(mbufs[i], void *));
	for (i = 0; i < got; i++) {
		struct rte_mbuf *m = mbufs[i];
		struct pkt *p = dpdk_pkt(m);

		if (i + AHEAD < got)
			rte_prefetch0(rte_pktmbuf_mtod(mbufs[i + AHEAD], void *));
		p->gso_size = p->header_len = 0;
		if (unlikely(m->nb_segs != 1 || m->pool != q->pool ||
			m->ol_flags & (RTE_MBUF_F_RX_VLAN_STRIPPED | RTE_MBUF_F_RX_LRO))) {
			m = dpdk_unusual(q, m);
			if (!m)
				continue;
			p = dpdk_pkt(m);
		}
		p->data = rte_pktmbuf_mtod(m, uint8_t *);
		p->len = m->data_len;
		p->flags = q->rx_sums ? dpdk_offload_verdict(p, m->ol_flags) : 0;
		p->csum_start = p->csum_offset = 0;
		p->stamp = 0;
		p->link = l;
		p->next = NULL;
		bytes += p->len;
		out[kept++] = p;
	}
	l->stats.rx_packets += kept;
	l->stats.rx_bytes += bytes;
	q->held += kept;
	return kept;
}

static unsigned dpdk_borrow(struct link *l, struct pkt **out, unsigned n)
{
	struct dpdk_queue *q = queue_of(l);
	struct rte_mbuf *mbufs[DPDK_BURST];
	unsigned lent = 0, i;

	while (lent < n) {
		unsigned want = RTE_MIN(n - lent, DPDK_BURST);

		/* All or none; near the pool's end one by one. */
		while (want > 1 && rte_mempool_get_bulk(q->send, (void **)mbufs, want) != 0)
			want = 1;
		if (want == 1 && rte_mempool_get(q->send, (void **)mbufs) != 0)
			break;
		for (i = 0; i < want; i++) {
			struct pkt *p = dpdk_pkt(mbufs[i]);

			pkt_reset(p);
			p->link = l;
			out[lent++] = p;
		}
	}
	q->held += lent;
	q->counts.no_packet += n - lent;
	return lent;
}

static void dpdk_release(struct link *l, struct pkt **packets, unsigned n)
{
	struct dpdk_queue *q = queue_of(l);
	struct rte_mbuf *mbufs[DPDK_BURST];
	unsigned i, k;

	CHECK(q->held >= n);
	q->held -= n;
	while (n > 0) {
		k = RTE_MIN(n, DPDK_BURST);
		for (i = 0; i < k; i++)
			mbufs[i] = dpdk_mbuf(packets[i]);
		put_back(mbufs, k);
		packets += k;
		n -= k;
	}
}

/* The mbuf's fields from the packet's. False: it cannot be sent. */
static inline bool prepare(struct dpdk_queue *q, struct pkt *p, struct rte_mbuf *m)
{
	m->data_off = (uint16_t)(p->data - (uint8_t *)m->buf_addr);
	m->data_len = (uint16_t)p->len;
	m->pkt_len = p->len;
	m->ol_flags = 0;
	if (p->len < FRAME_LEAST || (p->len > q->frame_most && p->gso_size == 0))
		return false;
	return (!(p->flags & PKT_CSUM_PARTIAL) && p->gso_size == 0) || dpdk_offload_sending(q, p, m);
}

/* One that neither we nor the PMD can send is dropped here, so that it holds up nothing. */
static void refuse(struct dpdk_queue *q, struct rte_mbuf *m)
{
	q->counts.refused++;
	q->link.stats.tx_dropped++;
	put_back(&m, 1);
}

/* How many of n were taken. With `offloads` the PMD has a look at each first (and may complete it). */
static unsigned burst_out(struct dpdk_queue *q, struct rte_mbuf **mbufs, unsigned n, bool offloads)
{
	unsigned done = 0;

	while (done < n) {
		unsigned ready = n - done, sent;

		if (offloads)
			ready = rte_eth_tx_prepare(q->port_id, q->queue_id, mbufs + done, (uint16_t)ready);
		sent = rte_eth_tx_burst(q->port_id, q->queue_id, mbufs + done, (uint16_t)ready);
		done += sent;
		if (sent < ready || done == n)
			return done;
		refuse(q, mbufs[done]);
		mbufs[done++] = NULL;
	}
	return done;
}

/* Counts what was sent of one burst. bytes were noted before: the PMD may have freed the packets. */
static void count_sent(struct dpdk_queue *q, struct rte_mbuf **mbufs, const uint32_t *bytes, unsigned n)
{
	unsigned i;

	for (i = 0; i < n; i++) {
		if (!mbufs[i])
			continue;
		q->link.stats.tx_packets++;
		q->link.stats.tx_bytes += bytes[i];
	}
}

static unsigned dpdk_transmit(struct link *l, struct pkt **packets, unsigned n)
{
	struct dpdk_queue *q = queue_of(l);
	struct rte_mbuf *mbufs[DPDK_BURST];
	uint32_t bytes[DPDK_BURST];
	unsigned taken = 0, k, sent;

	while (taken < n) {
		bool offloads = false, bad = false;

		for (k = 0; k < DPDK_BURST && taken + k < n; k++) {
			mbufs[k] = dpdk_mbuf(packets[taken + k]);
			bytes[k] = packets[taken + k]->len;
			bad = !prepare(q, packets[taken + k], mbufs[k]);
			if (bad)
				break;
			offloads = offloads || mbufs[k]->ol_flags != 0;
		}
		sent = burst_out(q, mbufs, k, offloads);
		count_sent(q, mbufs, bytes, sent);
		taken += sent;
		if (sent < k) {
			q->counts.full += n - taken;
			break;
		}
		if (bad)
			refuse(q, dpdk_mbuf(packets[taken++]));
	}
	CHECK(q->held >= taken);
	q->held -= taken;
	return taken;
}

static int dpdk_arm(struct link *l)
{
	struct dpdk_queue *q = queue_of(l);

	if (q->epoll < 0 || (q->enables && rte_eth_dev_rx_intr_enable(q->port_id, q->queue_id) != 0))
		return -1;
	q->armed = true;
	return q->epoll;
}

static void dpdk_disarm(struct link *l)
{
	struct dpdk_queue *q = queue_of(l);
	struct rte_epoll_event event;

	if (!q->armed)
		return;
	q->armed = false;
	if (q->enables)
		rte_eth_dev_rx_intr_disable(q->port_id, q->queue_id);
	/* Takes what woke us off the PMD's own descriptor, in the way it wants. */
	while (rte_epoll_wait(q->epoll, &event, 1, 0) > 0)
		;
	q->looks = 0;
}

static void dpdk_link_close(struct link *l)
{
	l->up = 0;      /* the device goes as a whole, by its close */
}

void dpdk_queue_drain(struct dpdk_queue *q)
{
	struct rte_mbuf *mbufs[DPDK_BURST];
	unsigned i, n, bursts = 4 * UINT16_MAX / DPDK_BURST;

	rte_pktmbuf_free_bulk(q->stash + q->stash_first, q->stash_count);
	q->stash_count = 0;
	for (i = 0; i < bursts; i++) {
		n = rte_eth_rx_burst(q->port_id, q->queue_id, mbufs, DPDK_BURST);
		if (n == 0)
			break;
		rte_pktmbuf_free_bulk(mbufs, n);
	}
	rte_eth_tx_done_cleanup(q->port_id, q->queue_id, 0);
}

const struct link_ops dpdk_link_ops = {
	.name = "dpdk",
	.receive = dpdk_receive,
	.borrow = dpdk_borrow,
	.transmit = dpdk_transmit,
	.release = dpdk_release,
	.arm = dpdk_arm,
	.disarm = dpdk_disarm,
	.counter = dpdk_counter,
	.group = dpdk_group,
	.close = dpdk_link_close,
};
