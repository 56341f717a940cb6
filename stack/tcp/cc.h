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

#define CC_STATE_BYTES 56
#define CC_RENO_BYTES 16            /* of it at the front, for NewReno, also under algorithms that build on it */
#define CC_LARGE_BYTES 320          /* of cc->large, for algorithms with CC_LARGE */
#define CC_SSTHRESH_MAX 0x7fffffffu /* "arbitrarily high" (RFC 5681 3.1) */

/* What an algorithm is beyond the window of RFC 5681. */
enum cc_flag {
	CC_OWN_WINDOW = 1 << 0, /* sets cwnd in recovery and after idle times, too: no PRR, no restart window, no validation */
	CC_LARGE = 1 << 1,      /* wants cc->large, and a rate sample with each acknowledgment (rate.c) */
	CC_NEEDS_ECN = 1 << 2,  /* asks for ECN whatever the stack's setting is */
};

struct cc {
	const struct cc_ops *ops;
	uint32_t mss, cwnd, ssthresh; /* bytes */
	uint64_t pacing_rate;         /* bytes a second; 0: derive it */
	void *large;                  /* set before the start: CC_LARGE_BYTES, not saved for undo; NULL without CC_LARGE */
	alignas(8) uint8_t state[CC_STATE_BYTES];
};

struct rate;

/* Each acknowledgment that says something new, in recovery too. */
struct cc_ack {
	nsec now;
	nsec rtt;           /* of this acknowledgment; 0: no sample */
	uint32_t acked;     /* bytes newly acknowledged, by snd_una */
	uint32_t delivered; /* bytes of which it is new that they arrived: by snd_una or SACKed; what was SACKed before does not count */
	uint32_t lost;      /* bytes newly taken for lost */
	uint32_t marked;    /* of those delivered, what arrived with CE as far as the peer tells (RFC 8257, RFC 9768) */
	uint32_t in_flight; /* bytes outstanding before it ... */
	uint32_t in_flight_after; /* ... and now, without what is lost */
	uint32_t snd_una, snd_nxt; /* after it: a window of data has passed when snd_una reaches what snd_nxt was */
	bool grow;          /* a window-based algorithm may grow: acked > 0, and not in fast recovery */
	bool limited;       /* the window, not the application or the peer, held the sender back */
	bool after_timeout; /* slow start that follows a timeout (RFC 3465 2.3) */
	struct rate *rate;  /* with its sample (rate.h): with CC_LARGE, else NULL */
};

struct cc_ops {
	const char *name;
	unsigned flags;     /* enum cc_flag */
	void (*start)(struct cc *, nsec now);
	void (*on_ack)(struct cc *, const struct cc_ack *);
	void (*on_congestion)(struct cc *, nsec now, uint32_t in_flight, bool ecn);
	void (*on_recovered)(struct cc *, nsec now);
	void (*on_timeout)(struct cc *, nsec now, uint32_t in_flight);
	void (*on_restart)(struct cc *, nsec now, nsec idle);
};

extern const struct cc_ops cc_newreno, cc_cubic, cc_bbr, cc_dctcp;

/* DCTCP's running average of the share that came marked, of CC_DCTCP_ONE (RFC 8257 3.3). */
#define CC_DCTCP_ONE (UINT32_C(1) << 20)
uint32_t cc_dctcp_alpha(const struct cc *);

/* By name; NULL name: the default. NULL: there is no such control. */
const struct cc_ops *cc_find(const char *name);

/* By enum ep_congestion. NULL: there is none. */
const struct cc_ops *cc_number(unsigned number);
/* Another algorithm goes on with the same window. */
void cc_switch(struct cc *, const struct cc_ops *, nsec now);

/* A connection of this segment size begins; window is the initial one in bytes (RFC 6928). */
void cc_start(struct cc *, const struct cc_ops *, uint32_t mss, uint32_t window, nsec now);

#endif
