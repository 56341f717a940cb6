/* SPDX-License-Identifier: BSD-3-Clause */
/* DPDK's poll mode drivers. The EAL is started once a process (dpdk_start), then ports are opened. struct pkt lies in the private area
 * of an mbuf, so nothing is copied either way. What a PMD lacks (checksums, TSO, RSS) is left out of link->flags or
 * device->rss, and said once in the log. */
#ifndef LIGHT_IO_DPDK_H
#define LIGHT_IO_DPDK_H

#include "device.h"

/* arguments: as after "--" of the command line, without a program's name. Once a process; the EAL cannot start twice, nor after it
 * failed. The calling thread keeps its affinity; without -l, -c or --lcores the EAL makes no threads for packets. stdout and
 * stderr are kept from the EAL meanwhile, so nobody else should write to them. Afterwards warnings of drivers go to stderr (all of
 * their log with --log-level). The process ignores SIGPIPE: net_virtio_user and net_vhost write to peers that may have
 * gone. 0, or -errno and a sentence with the EAL's own words in why. */
int dpdk_start(unsigned n, char **arguments, char why[DEVICE_WHY]);
void dpdk_stop(void);
/* Every thread that uses a link calls this first (rte_thread_register), and at its end dpdk_thread_end. */
int dpdk_thread(void);
void dpdk_thread_end(void);

struct dpdk_config {
	struct device_config device;
	unsigned port;          /* ethdev number */
	bool promiscuous;
	uint32_t packets;       /* mbufs of each queue, beside the large ones to send from where the PMD segments; 0: 8192 */
	uint16_t rx_ring, tx_ring;  /* descriptors; 0: 1024, where the PMD segments 512 to send */
};
/* A port that has been closed is gone for this process. 0, or -errno and a sentence in why. */
int dpdk_open(const struct dpdk_config *, struct device **, char why[DEVICE_WHY]);
/* Multicast groups that the port should let through (6 bytes each), instead of the one of all hosts that it was opened with. 0 or -errno; -ENOTSUP: the port was made all-multicast instead. */
int dpdk_multicast(struct device *, const uint8_t (*macs)[6], unsigned n);

#endif
