/* SPDX-License-Identifier: BSD-3-Clause */
/* HyStart++ (RFC 9406): when slow start should end before it loses packets. Part of an algorithm's state in struct cc. A round is
 * what was outstanding when it began: it ends when that is acknowledged. */
#ifndef LIGHT_TCP_HYSTART_H
#define LIGHT_TCP_HYSTART_H

#include "cc.h"

struct hystart {
	uint32_t last_rtt, current_rtt, baseline;  /* microseconds; UINT32_MAX: none */
	uint32_t window_end;                       /* SND.NXT when the round began */
	bool in_round;                             /* there was an acknowledgment */
	uint8_t samples, css_round;                /* css_round: 0: in slow start; n: the n-th round of conservative slow start */
};

void hystart_start(struct hystart *);
/* An acknowledgment in slow start: grows cwnd, or ends slow start by setting ssthresh to cwnd. */
void hystart_on_ack(struct hystart *, struct cc *, const struct cc_ack *);

#endif
