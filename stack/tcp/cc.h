/* SPDX-License-Identifier: BSD-3-Clause */
/* Congestion control as a connection sees it: a flat struct that is all the algorithm reads or writes, and a
 * table of what it is told. Undo of a spurious episode is assigning a saved struct cc back. loss.c alone
 * decides when something is a congestion event; the window inflation of fast recovery is its own. */
#ifndef LIGHT_TCP_CC_H
#define LIGHT_TCP_CC_H

#include <stdalign.h>
#include <stdbool.h>
#include <stdint.h>

#include "../base/nsec.h"

#define CC_STATE_BYTES 80
#define CC_SSTHRESH_MAX 0x7fffffffu /* "arbitrarily high" (RFC 5681 3.1) */

struct cc {
	const struct cc_ops *ops;
	uint32_t mss, cwnd, ssthresh; /* bytes */
	uint64_t pacing_rate;         /* bytes a second; 0: derive it */
	alignas(8) uint8_t state[CC_STATE_BYTES];
};

struct cc_ack {
	nsec now;
	nsec rtt;           /* of this acknowledgment; 0: no sample */
	uint32_t acked;     /* bytes newly acknowledged */
	uint32_t in_flight; /* bytes outstanding before it */
	bool limited;       /* the window, not the application or the peer, held the sender back */
	bool after_timeout; /* slow start that follows a timeout (RFC 3465 2.3) */
};

struct cc_ops {
	const char *name;
	void (*start)(struct cc *, nsec now);
	void (*on_ack)(struct cc *, const struct cc_ack *);
	void (*on_congestion)(struct cc *, nsec now, uint32_t in_flight, bool ecn);
	void (*on_recovered)(struct cc *, nsec now);
	void (*on_timeout)(struct cc *, nsec now, uint32_t in_flight);
	void (*on_restart)(struct cc *, nsec now, nsec idle);
};

extern const struct cc_ops cc_newreno, cc_cubic;

/* By name; NULL name: the default. NULL: there is no such control. */
const struct cc_ops *cc_find(const char *name);

/* By enum ep_congestion. NULL: there is none. */
const struct cc_ops *cc_number(unsigned number);
/* Another algorithm goes on with the same window. */
void cc_switch(struct cc *, const struct cc_ops *, nsec now);

/* A connection of this segment size begins; window is the initial one in bytes (RFC 6928). */
void cc_start(struct cc *, const struct cc_ops *, uint32_t mss, uint32_t window, nsec now);

#endif
