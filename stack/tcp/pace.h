/* SPDX-License-Identifier: BSD-3-Clause */
/* When a connection may send by its rate: the algorithm's (BBR), or SO_MAX_PACING_RATE over what cwnd and SRTT make (Linux's internal pacing). Only
 * connections that are paced or measured have a struct delivery; for all others this costs the look at a NULL. */
#ifndef LIGHT_TCP_PACE_H
#define LIGHT_TCP_PACE_H

#include "conn.h"
#include "rate.h"

struct delivery {
	struct rate rate;
	nsec next;              /* the next burst leaves no earlier */
	uint32_t left;          /* of the burst that began last, in bytes */
	bool waited;            /* for the rate, and for nothing else, before what leaves next */
	alignas(8) uint8_t large[CC_LARGE_BYTES]; /* cc.large */
};

/* Takes or gives back the struct delivery, as this algorithm and the limit have it. One that is new here begins with zeros, before
 * cc_start or cc_switch. */
void pace_attach(struct tcp_conn *, const struct cc_ops *);
void pace_detach(struct tcp_conn *);

/* Bytes a second that hold now; 0: no limit. What ep_info shows: with no delivery, too, as Linux. */
uint64_t pace_rate(const struct tcp_conn *);

/* With delivery only: how many bytes may go now, in whole segments; UINT32_MAX: as many as one likes. */
uint32_t pace_room(const struct tcp_conn *);
void pace_sent(struct tcp_conn *, uint32_t n);
/* Nothing more could go. Arms the deadline if it is for the rate's sake, and marks what is limited by the program or by the peer's window. */
void pace_held(struct tcp_conn *, bool by_window);

#endif
