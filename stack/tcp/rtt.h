/* SPDX-License-Identifier: BSD-3-Clause */
/* Round-trip time and the retransmission timeout that follows from it (RFC 6298). */
#ifndef LIGHT_TCP_RTT_H
#define LIGHT_TCP_RTT_H

#include "../stack.h"

struct rtt {
	nsec srtt;    /* 0: no sample yet */
	nsec rttvar;
	nsec rto;     /* without backoff, within its bounds */
	nsec min;     /* the smallest sample; NSEC_NEVER: none */
};

void rtt_start(struct rtt *, const struct tcp_settings *);

/* A measured round trip: RFC 6298 2.2 (the first), 2.3 (later ones). */
void rtt_sample(struct rtt *, const struct tcp_settings *, nsec sample);

/* ... and the first after a needless timeout of what was sent once, which counts in full where it is more (RFC 4015 3.1 step 8). */
void rtt_resume(struct rtt *, const struct tcp_settings *, nsec sample);

/* The timeout after `backoff` expiries in a row: doubled each time, up to rto_max (2.5, 5.5). */
nsec rtt_backed_off(const struct rtt *, const struct tcp_settings *, unsigned backoff);

#endif
