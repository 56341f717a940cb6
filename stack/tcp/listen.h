/* SPDX-License-Identifier: BSD-3-Clause */
/* Listeners and their queue of unaccepted children. */
#ifndef LIGHT_TCP_LISTEN_H
#define LIGHT_TCP_LISTEN_H

#include "conn.h"

/* The unused connection of an endpoint becomes a listener; a listener takes the new backlog. */
int listen_begin(struct stack *, struct endpoint *, uint32_t backlog);
/* RFC 9293 3.10.4: children that nobody accepted are reset, half-open connections forgotten. */
void listen_end(struct stack *, struct tcp_listener *);
/* The same, but the endpoint stays; if it has a connection already, with that. */
void listen_stop(struct stack *, struct tcp_listener *);
/* A child whose handshake is complete. */
void listen_enqueue(struct tcp_listener *, struct tcp_conn *child);
int listen_accept(struct tcp_listener *, struct endpoint **child);
/* A child leaves the backlog. */
int listen_accepted(struct tcp_conn *child);

/* RFC 9293 3.10.7.2. isn: 0, or the first number to use (a SYN that ended a TIME-WAIT). */
void listen_input(struct stack *, struct endpoint *listener, struct tcp_segment *, const struct ip_received *, uint32_t isn);

#endif
