/* SPDX-License-Identifier: BSD-3-Clause */
/* The child of a listener: made when its handshake is complete, or with the data of its SYN (Fast Open). */
#ifndef LIGHT_TCP_CHILD_H
#define LIGHT_TCP_CHILD_H

#include "half_open.h"

/* With all that the half-open connection knew and the window of this segment; still in CLOSED and found by nobody.
 * NULL: no memory now, which was counted; *refused: there will be none, or the host does not want it. */
struct tcp_conn *child_new(const struct half_open *, const struct tcp_segment *, bool *refused);
/* Established (RFC 9293 3.10.7.4, fifth), found by its four-tuple, and in the queue of its listener. */
void child_begin(struct tcp_listener *, struct tcp_conn *);

#endif
