/* SPDX-License-Identifier: BSD-3-Clause */
/* What is lost, and what follows: RFC 6298 5 (timeout), RFC 5681 3.2 and RFC 6582 (fast retransmit and NewReno
 * recovery), RFC 3042 (limited transmit). The only caller of the congestion control. */
#ifndef LIGHT_TCP_LOSS_H
#define LIGHT_TCP_LOSS_H

#include "conn.h"

/* An acknowledgment of `acked` new numbers; snd_una has moved. in_flight: what was outstanding before it. */
void loss_new_ack(struct tcp_conn *, uint32_t acked, uint32_t in_flight, nsec rtt);
/* A duplicate acknowledgment as RFC 5681 2 defines it. */
void loss_duplicate_ack(struct tcp_conn *);
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

/* The congestion window now, with what recovery and limited transmit add. */
static inline uint32_t loss_window(const struct tcp_conn *c)
{
	int64_t window = (int64_t)c->cc.cwnd + c->inflation;

	return window < (int64_t)c->snd_mss ? c->snd_mss : (uint32_t)window;
}

#endif
