/* SPDX-License-Identifier: BSD-3-Clause */
/* DPDK's poll mode drivers. The EAL is started once a process (dpdk_start), then ports are opened. struct pkt lies in the private area
 * of an mbuf, so nothing is copied either way. What a PMD lacks (checksums, TSO, RSS) is left out of link->flags or
 * device->rss, and said once in the log. */
#ifndef LIGHT_IO_DPDK_H
#define LIGHT_IO_DPDK_H

#include "device.h"

/* arguments: as after "--" of the command line, without a program's name. Once a process; the EAL cannot start twice. `cores`: CPUs
 * of the threads that will use links, in order; they are registered by dpdk_thread. 0, or -errno and a sentence in why. */
int dpdk_start(unsigned n, char **arguments, char why[DEVICE_WHY]);
void dpdk_stop(void);
/* Every thread that uses a link calls this first (rte_thread_register), and at its end dpdk_thread_end. */
int dpdk_thread(void);
void dpdk_thread_end(void);

struct dpdk_config {
	struct device_config device;
	unsigned port;          /* ethdev number */
	bool promiscuous;
	uint32_t packets;       /* mbufs of each queue; 0: 8192 */
	uint16_t rx_ring, tx_ring;  /* descriptors; 0: 1024 */
};
int dpdk_open(const struct dpdk_config *, struct device **, char why[DEVICE_WHY]);
/* Multicast groups that the port should let through (6 bytes each). 0 or -errno; -ENOTSUP: the port was made all-multicast instead. */
int dpdk_multicast(struct device *, const uint8_t (*macs)[6], unsigned n);

#endif
