/* SPDX-License-Identifier: BSD-3-Clause */
/* The active open: connect, SYN-SENT, and the simultaneous open that may come of it. */
#ifndef LIGHT_TCP_ACTIVE_OPEN_H
#define LIGHT_TCP_ACTIVE_OPEN_H

#include "conn.h"

/* -EINPROGRESS; 0: nothing was sent, the SYN waits for data to carry; or why not. The connection is in CLOSED and was never used. */
int active_open(struct tcp_conn *, const struct ep_name *peer);
/* The SYN that waited goes with what is queued now. */
void active_open_with_data(struct tcp_conn *);
/* RFC 9293 3.10.7.3: a segment in SYN-SENT. NEXT: the SYN was taken off it; payload and FIN, if any, go the
 * ordinary way once the connection is synchronised. */
enum verdict active_open_input(struct tcp_conn *, struct tcp_segment *, enum drop *why);
/* The ACK of our SYN in SYN-RECEIVED. */
void active_open_complete(struct tcp_conn *, const struct tcp_segment *);
/* The SYN's timer expired. False: the attempt is over. */
bool active_open_timeout(struct tcp_conn *);

#endif
