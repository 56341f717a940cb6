/* SPDX-License-Identifier: BSD-3-Clause */
/* The resets of connections that were aborted (RFC 9293 3.10.5), kept while the link has no room for them. */
#ifndef LIGHT_TCP_RESETS_H
#define LIGHT_TCP_RESETS_H

#include "conn.h"

struct resets;

/* NULL: memory is short. */
struct resets *resets_new(uint32_t size);
void resets_free(struct resets *);
/* <SEQ=seq><CTL=RST> of this connection, now or as soon as the link takes it. */
void resets_send(struct tcp_conn *, uint32_t seq);
/* Sends what waited; returns how many. Stops at a link that has no room. */
unsigned resets_flush(struct stack *);
bool resets_wait(const struct stack *);

#endif
