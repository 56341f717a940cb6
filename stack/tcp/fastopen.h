/* SPDX-License-Identifier: BSD-3-Clause */
/* Fast Open as a server (RFC 7413 4.2.2): a child with its SYN, whose handshake goes on beside it. */
#ifndef LIGHT_TCP_FASTOPEN_H
#define LIGHT_TCP_FASTOPEN_H

#include "half_open.h"

/* The SYN of a half-open connection that is in no table yet. True: it brought a valid cookie; there is a child that has
 * its data and the place in the flow table. In any case the SYN-ACK carries the cookie that the client shall have. */
bool fastopen_accept(struct half_open *, const struct tcp_segment *syn);
/* Of a child whose handshake is not complete. The ACK field: false: it acknowledges nothing that we sent. */
bool fastopen_acked(struct tcp_conn *, const struct tcp_segment *);
/* A SYN: true: the one that it came with, again, and answered. */
bool fastopen_syn_again(struct tcp_conn *, const struct tcp_segment *);

#endif
