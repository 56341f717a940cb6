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
};

/* NULL: memory is short. */
struct spread *spread_new(const struct spread_config *);
/* For the thread of that core alone. Its arm gives a descriptor that wakes for the device and for what other cores hand over (-1 where
 * the device's own does). Its counter has what was handed over and what was lost, then the device's own. */
struct link *spread_link(struct spread *, unsigned core);
/* For stack_config.redirect: the link is spread_link(spread, this core) of the interface; the frame is received by the other core's. The
 * packet, of any link, is copied and released; false: no memory or no room, it is still the caller's. */
bool spread_redirect(struct link *, struct pkt *, unsigned core);
/* All threads have ended; every packet held inside goes back to its queue. */
void spread_free(struct spread *);

#endif
