/* SPDX-License-Identifier: BSD-3-Clause */
/* Round-trip time and the retransmission timeout that follows from it (RFC 6298). */
#ifndef LIGHT_TCP_RTT_H
#define LIGHT_TCP_RTT_H

#include "../stack.h"

struct rtt {
	nsec srtt;    /* 0: no sample yet */
	nsec rttvar;
	nsec rto;     /* without backoff, within its bounds */
	nsec min;     /* the smallest sample of the last minutes; NSEC_NEVER: none */
	uint32_t half_min_us, half_since_s;  /* the smallest since then (UINT32_MAX: none): what `min` will be */
};

void rtt_start(struct rtt *, const struct tcp_settings *);

/* Before a sample: `min` forgets what is older than RTT_MIN_HALF and at most twice that (RFC 8985 6.2 step 1: a windowed minimum, since
 * paths change). */
#define RTT_MIN_HALF (150 * NSEC_PER_SEC)
void rtt_age(struct rtt *, nsec now);

/* A measured round trip: RFC 6298 2.2 (the first), 2.3 (later ones). */
void rtt_sample(struct rtt *, const struct tcp_settings *, nsec sample);

/* ... and the first after a needless timeout of what was sent once, which counts in full where it is more (RFC 4015 3.1 step 8). */
void rtt_resume(struct rtt *, const struct tcp_settings *, nsec sample);

/* The timeout after `backoff` expiries in a row: doubled each time, up to rto_max (2.5, 5.5). */
nsec rtt_backed_off(const struct rtt *, const struct tcp_settings *, unsigned backoff);

#endif
