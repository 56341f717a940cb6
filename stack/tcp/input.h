/* SPDX-License-Identifier: BSD-3-Clause */
/* Where a segment meets a connection. */
#ifndef LIGHT_TCP_INPUT_H
#define LIGHT_TCP_INPUT_H

#include "conn.h"

/* A segment for this connection, in any state but CLOSED and LISTEN. The connection may be gone afterwards. */
void input_segment(struct tcp_conn *, struct tcp_segment *, const struct ip_received *);

#endif
