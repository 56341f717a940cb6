/* SPDX-License-Identifier: BSD-3-Clause */
/* One device, several cores: links in front of the device's queues, one a core, that hand each frame to the core it is for
 * (stack/steer.h). What the device's own RSS has put on the right queue passes through untouched; the rest goes to its core through
 * single-producer single-consumer rings, the packet's memory comes back the same way. A core beyond the device's queues sends through
 * a core that has one. This is also the software RSS for devices with one queue. */
#ifndef LIGHT_IO_SPREAD_H
#define LIGHT_IO_SPREAD_H

#include "stack/link.h"
#include "stack/steer.h"

struct spread;

struct spread_config {
	unsigned cores;             /* 2..STEER_CORES */
	unsigned queues;            /* 1..cores */
	struct link *queue[STEER_CORES];
	struct steer *steer;        /* of the host, outlives the spread */
	bool spread_by_device;      /* the device's RSS uses steer's key and table: TCP frames are where they belong, unless pinned */
	uint32_t packets;           /* of each core without a queue, for sending; 0: 1024 */
	/* Rings core's own doorbell (an eventfd) if it sleeps: see spread_link's arm. */
};

/* NULL: memory is short. */
struct spread *spread_new(const struct spread_config *);
/* For the thread of that core alone. Its arm gives a descriptor that wakes for the device and for what other cores hand over. */
struct link *spread_link(struct spread *, unsigned core);
/* Packets of each kind handed over, lost because a ring was full ...: link->ops->counter of each link. */
/* All threads have ended; every packet held inside goes back to its queue. */
void spread_free(struct spread *);

#endif
