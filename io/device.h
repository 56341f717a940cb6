/* SPDX-License-Identifier: BSD-3-Clause */
/* A device: one network interface as a backend opened it, with one link (queue pair) a core. Backends differ in how they
 * are opened (dpdk.h, afxdp.h, pcap.h, tap.h); from then on whoever drives them sees this.
 *
 * Each link is used by one thread; open, close, and all functions of the device by the thread that opened it while no other
 * thread uses a link. Everything that goes wrong later (a carrier lost, an interface deleted) is a counter, link->up and one line
 * of the log: no function of a link fails. */
#ifndef LIGHT_IO_DEVICE_H
#define LIGHT_IO_DEVICE_H

#include "stack/link.h"

#define DEVICE_QUEUES 16u
#define DEVICE_WHY 200u

/* How the device itself spreads what it receives over its queues (Toeplitz hash over IPv4 addresses and TCP/UDP ports,
 * Microsoft RSS). key_bytes 0: in a way we do not know, or not at all. */
struct device_rss {
	uint8_t key[52];
	uint8_t key_bytes;
	bool udp;               /* ports of UDP count too; else addresses only */
	uint16_t table_size;    /* a power of two, at most 512 */
	uint8_t table[512];     /* hash modulo table_size -> queue */
};

struct device_config {
	unsigned queues;        /* wanted, 1..DEVICE_QUEUES; a device may have fewer: look at device->queues */
	uint16_t mtu;           /* wanted, 576..9000; 0: as the interface has it */
	bool wake;              /* links will sleep (--poll=adaptive): prepare interrupts where they have to be asked for */
	void (*log)(void *context, const char *line);  /* one line without newline; may be NULL */
	void *log_context;
};

struct device;
struct device_ops {
	/* i < device->queues. The device's, gone with it. */
	struct link *(*queue)(struct device *, unsigned i);
	/* Packets that are not back in their pools: 0 when all is quiet and nothing was lost. */
	uint32_t (*outstanding)(struct device *);
	/* Gives everything back to the system. All packets must have come back; those that have not are counted in the log. */
	void (*close)(struct device *);
};

struct device {
	const struct device_ops *ops;
	char name[32];          /* the interface's, for logs and lightctl */
	const char *backend;    /* "tap", "pcap", "afxdp", "dpdk" */
	unsigned queues;
	struct device_rss rss;
};

#endif
