/* SPDX-License-Identifier: BSD-3-Clause */
/* What the files of the DPDK backend share: a port, its queues, and how a struct pkt and its mbuf find each other.
 *
 *   mbuf (128 bytes) | struct pkt (64 bytes, the mbuf's private area) | buffer: headroom of 128 bytes, frame
 *
 * Inside the stack an mbuf is one segment, with the reference count 1 and next NULL, as the pool holds it. */
#ifndef LIGHT_IO_DPDK_PORT_H
#define LIGHT_IO_DPDK_PORT_H

#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>

#include <rte_ethdev.h>
#include <rte_mbuf.h>

#include "dpdk.h"
#include "grouplist.h"

#define DPDK_BURST 64u
/* Some PMDs receive nothing at all when asked for less than a vector of packets. */
#define DPDK_BURST_MIN 32u
#define DPDK_PRIVATE RTE_ALIGN_CEIL(sizeof(struct pkt), RTE_CACHE_LINE_SIZE)
/* The largest buffer that the 16-bit fields of an mbuf describe, in whole cache lines: a super-frame in one piece. */
#define DPDK_SUPER_BYTES (UINT16_MAX / RTE_CACHE_LINE_SIZE * RTE_CACHE_LINE_SIZE)

_Static_assert(RTE_PKTMBUF_HEADROOM >= PKT_HEADROOM, "DPDK leaves less room before a frame than links promise");
_Static_assert(sizeof(struct pkt) % RTE_MBUF_PRIV_ALIGN == 0, "the private area of an mbuf has an alignment");

struct dpdk_port;

/* Where a PMD does not say what holds for it. Facts of DPDK 22.11. */
struct dpdk_quirk {
	const char *driver;
	bool declares_little;     /* declares frames of 1,518 bytes, and takes what its buffers have room for */
	bool has_slots;           /* whose size is an argument that bounds the MTU */
	bool lends_mac;           /* its MAC is that of the kernel's end: ours must be another */
	bool segments_badly;      /* never takes segments that with all headers are longer than the MTU */
	bool merges;              /* may give 64 KB frames in chains without declaring LRO */
	bool keeps_fill_ring;     /* does not free what the kernel had to fill when it is closed */
};

/* What happened to packets here, beside link.stats; names in dpdk_counters.c. */
struct dpdk_counts {
	uint64_t no_packet;       /* asked for and not lent: the pool was dry */
	uint64_t full;            /* not taken: no room in the transmit ring */
	uint64_t refused;         /* to send, dropped: the PMD or we could not send such a frame */
	uint64_t software_sums;   /* checksums completed here, since the PMD does not know the protocol */
	uint64_t chains;          /* received in several mbufs, copied into one */
	uint64_t chains_dropped;  /* and for want of a large packet not */
	uint64_t strangers;       /* received in an mbuf that is not of a Light pool: dropped */
};

struct dpdk_queue {
	struct link link;          /* first: a struct link * of ours is one of these */
	struct dpdk_port *port;
	uint16_t port_id, queue_id;
	bool rx_sums;              /* the PMD looks at checksums */
	bool ip_sum_for_tso;       /* the PMD fills the IPv4 checksum of a super-frame's segments */
	uint32_t held;             /* packets that users of the link have */
	uint32_t looks;            /* of receive, until the carrier is looked at */
	uint64_t carrier_due;      /* in cycles of the time stamp counter */
	struct rte_mempool *pool;      /* for receiving */
	struct rte_mempool *super;     /* of DPDK_SUPER_BYTES, or NULL */
	struct rte_mempool *send;      /* one of the two: what borrow lends */
	uint32_t frame_most;           /* the longest ordinary frame that we send */
	/* Received and not yet asked for, when the caller asks for few. */
	uint32_t stash_first, stash_count;
	struct rte_mbuf *stash[DPDK_BURST_MIN];
	struct dpdk_counts counts;
	int epoll;                     /* what arm gives; -1: this PMD wakes nobody */
	bool armed, enables;           /* enables: arm has to tell the PMD, and not only to look at its descriptor */
	struct rte_eth_xstat *xstats;      /* snapshot of all, taken when the 0th counter is asked for */
	struct rte_eth_xstat_name *xstat_names;
	unsigned xstat_count;
};

struct dpdk_port {
	struct device device;      /* first: a struct device * of ours is one of these */
	uint16_t id;
	bool started;
	bool lsc;                  /* the PMD tells when the carrier changes */
	_Atomic uint32_t carrier;
	uint32_t carrier_logged;
	const struct dpdk_quirk *quirk;
	/* The kernel's interface below, as it was before; watch -1: there is none. */
	int watch;
	char kernel_name[16];
	unsigned kernel_index, kernel_mtu;
	bool kernel_up;
	uint64_t rx_offloads, tx_offloads;
	void (*log)(void *context, const char *line);
	void *log_context;
	pthread_mutex_t groups_lock;
	struct grouplist groups;   /* under the lock */
	struct dpdk_queue queues[DEVICE_QUEUES];
};

#define DPDK_CACHE 256u              /* mbufs in hand of the thread of a queue */
#define DPDK_FRAME_EXTRA (RTE_ETHER_HDR_LEN + 2 * RTE_VLAN_HLEN)
#define DPDK_TX_SUMS (RTE_ETH_TX_OFFLOAD_TCP_CKSUM | RTE_ETH_TX_OFFLOAD_UDP_CKSUM)
#define DPDK_RX_SUMS (RTE_ETH_RX_OFFLOAD_TCP_CKSUM | RTE_ETH_RX_OFFLOAD_UDP_CKSUM)

/* What is decided before the port is touched. */
struct dpdk_plan {
	const struct dpdk_config *config;
	struct rte_eth_dev_info info;
	struct rte_eth_conf conf;
	uint16_t queues, rx_ring, tx_ring;
	uint16_t mtu, pmd_mtu;         /* pmd_mtu: what the PMD is told; less where it declares little */
	uint32_t packets, supers, buffer_bytes;
	uint8_t rss_key[52];
};

static inline struct pkt *dpdk_pkt(struct rte_mbuf *m)
{
	return (struct pkt *)(void *)(m + 1);
}

static inline struct rte_mbuf *dpdk_mbuf(struct pkt *p)
{
	return (struct rte_mbuf *)(void *)p - 1;
}

/* dpdk_port.c: a link's `group`. */
int dpdk_group(struct link *, uint32_t group, bool wanted);

/* dpdk_eal.c: the errors that the EAL and its drivers have reported since the last call, one sentence; "" without any. */
const char *dpdk_last_errors(void);
bool dpdk_is_started(void);
/* While something is tried that may fail: nothing of it to stderr. */
void dpdk_quiet(bool);

/* dpdk_link.c */
extern const struct link_ops dpdk_link_ops;
/* What is inside goes back to the pools; no thread uses the queue any more, and the port runs. */
void dpdk_queue_drain(struct dpdk_queue *);

/* dpdk_offload.c: fills the mbuf's offload fields from the packet. False: such a packet cannot be sent. */
bool dpdk_offload_sending(struct dpdk_queue *, struct pkt *, struct rte_mbuf *);
/* PKT_CSUM_GOOD or 0, from the PMD's verdict on a frame in p. */
uint32_t dpdk_offload_verdict(const struct pkt *, uint64_t ol_flags);
/* The rare kinds of received mbuf: chains, frames merged by the PMD, tags taken out, mbufs of other pools. The mbuf that
 * holds the whole frame, or NULL: dropped and counted. */
struct rte_mbuf *dpdk_unusual(struct dpdk_queue *, struct rte_mbuf *);

/* dpdk_plan.c: fills everything behind `config` and `info`, and the port's offloads. 0, or -errno and a sentence. */
int dpdk_make_plan(struct dpdk_port *, struct dpdk_plan *, char why[DEVICE_WHY]);

/* dpdk_port.c */
/* A sentence into why, with the PMD's own words if it said some; returns the error. */
int dpdk_fail(char why[DEVICE_WHY], int error, const struct dpdk_port *, const char *what);
void dpdk_log(const struct dpdk_port *, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The carrier as the PMD and the kernel have it, into port->carrier, and a line in the log if it changed (by queue 0's thread). */
void dpdk_carrier(struct dpdk_port *);
/* Reads back how the port spreads; key_bytes stays 0 where that is not known. */
void dpdk_read_rss(struct dpdk_port *, const struct rte_eth_dev_info *);
/* The key that we ask for, at least 52 bytes. */
extern const uint8_t dpdk_rss_key[52];
/* Never NULL. */
const struct dpdk_quirk *dpdk_quirk_of(const char *driver);
/* Finds the kernel's interface that the PMD sits on, if any. */
void dpdk_find_kernel(struct dpdk_port *, const struct rte_eth_dev_info *);

/* dpdk_counters.c */
bool dpdk_counter(struct link *, unsigned i, struct link_counter *);

#endif
