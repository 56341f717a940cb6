/* SPDX-License-Identifier: BSD-3-Clause */
/* Delivery-rate samples (draft-ietf-ccwg-bbr 4.1): how fast the network delivered the flight that an acknowledgment ends. Kept only for connections
 * whose algorithm asks for it. Amounts are bytes modulo 2^32: compare them as sequence numbers. C and P in comments are the draft's. */
#ifndef LIGHT_TCP_RATE_H
#define LIGHT_TCP_RATE_H

#include <stdbool.h>
#include <stdint.h>

#include "../base/nsec.h"

/* A piece of data is lost among too many when more than this part of what was in flight with it is (BBR.LossThresh). */
#define RATE_LOSS_DIVISOR 50

/* Of each piece in flight, beside the time it was sent at. */
struct rate_mark {
	uint32_t delivered, lost;              /* P.delivered, P.lost */
	uint32_t in_flight;                    /* P.tx_in_flight; the highest bit: P.is_app_limited */
	uint32_t delivered_ago, first_sent_ago; /* how long before its transmission, in RATE_TICKs */
};

#define RATE_APP_LIMITED 0x80000000u
#define RATE_TICK 64 /* nanoseconds */

struct rate_sample {
	uint64_t rate;            /* bytes a second; 0: none, the interval cannot be trusted */
	nsec interval;
	bool any;                 /* something arrived */
	bool app_limited;
	uint32_t delivered;       /* over the interval */
	uint32_t prior_delivered; /* P.delivered of the newest that arrived */
	uint32_t total;           /* C.delivered */
	uint32_t in_flight, lost; /* with the newest that arrived when it was sent, and lost since */
	/* what was newly taken for lost */
	uint32_t lost_ranges;     /* in so many pieces that do not touch */
	bool too_many;            /* RATE_LOSS_DIVISOR was passed: */
	bool loss_app_limited;
	uint32_t loss_in_flight;  /* and at this much in flight */
};

struct rate {
	uint32_t delivered, lost; /* C.delivered, C.lost */
	nsec delivered_at, first_sent_at;
	uint32_t app_limited_until;
	bool app_limited;
	uint32_t newest_end, lost_end;
	nsec prior_at, send_elapsed;
	uint64_t latest;          /* the last sample that had a rate, for ep_info */
	bool latest_app_limited;
	struct rate_sample sample;
};

void rate_start(struct rate *, nsec now);
/* Something is sent (again): OnPacketSent. */
void rate_sent(struct rate *, struct rate_mark *, nsec now, uint32_t in_flight_before, uint32_t in_flight_after);
/* [start, end) that was sent at sent_at has arrived: UpdateRateSample. */
void rate_arrived(struct rate *, const struct rate_mark *, nsec now, nsec sent_at, uint32_t start, uint32_t end);
/* ... is taken for lost. */
void rate_lost(struct rate *, const struct rate_mark *, uint32_t start, uint32_t end);
/* What was just taken for lost says nothing of the path: `n` bytes, all that this sample knows of. */
void rate_excuse(struct rate *, uint32_t n);
/* GenerateRateSample: valid until rate_clear, which begins the next one. */
const struct rate_sample *rate_take(struct rate *, nsec rtt_min);
void rate_clear(struct rate *);
/* Nothing is left to send though the window has room. */
void rate_app_limited(struct rate *, uint32_t in_flight);

#endif
