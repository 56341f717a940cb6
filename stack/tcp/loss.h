/* SPDX-License-Identifier: BSD-3-Clause */
/* The retransmission timeout of RFC 6298 5, and growth of the window by what is acknowledged (RFC 5681 3.1). */
#ifndef LIGHT_TCP_LOSS_H
#define LIGHT_TCP_LOSS_H

#include "conn.h"

/* The retransmission timer expired. False: the connection was given up and may be gone. */
bool loss_timeout(struct tcp_conn *);

/* What congestion control learns of an acknowledgment: numbers newly acknowledged by snd_una, newly arrived, newly taken for lost, and what
 * was outstanding before it. */
struct loss_told {
	uint32_t acked, delivered, lost, in_flight;
	bool ends;          /* it ends an episode: the window is what that leaves, and does not grow yet */
	nsec rtt;           /* 0: no sample */
};
void loss_tell(struct tcp_conn *, const struct loss_told *);

/* The congestion window now; one segment may always be out. */
static inline uint32_t loss_window(const struct tcp_conn *c)
{
	return c->cc.cwnd < c->snd_mss ? c->snd_mss : c->cc.cwnd;
}

#endif
