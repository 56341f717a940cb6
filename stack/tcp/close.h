/* SPDX-License-Identifier: BSD-3-Clause */
/* The end of a connection: FIN both ways, and TIME-WAIT in a small pool of its own. */
#ifndef LIGHT_TCP_CLOSE_H
#define LIGHT_TCP_CLOSE_H

#include "conn.h"

/* RFC 9293 3.10.4: no more to send. */
void close_send_side(struct tcp_conn *);
/* The owner let go (ep->closed is set): orderly, or by reset where bytes would be lost unread. */
void close_by_owner(struct tcp_conn *);
/* Our FIN was acknowledged in FIN-WAIT-1. */
void close_fin_wait_2(struct tcp_conn *);
/* The peer's FIN is in order. */
enum verdict close_fin_received(struct tcp_conn *);
/* The connection is over but for the peer's last FIN: its four-tuple moves to the small pool. Frees *c if the program
 * had closed. */
void close_time_wait(struct tcp_conn *);

struct time_wait;
/* A segment for a four-tuple in TIME-WAIT. Returns true if it is a SYN that may begin a new connection at once
 * (RFC 6191; RFC 1122 4.2.2.13): the TIME-WAIT is gone then and *isn is a number beyond the old connection's. */
bool close_time_wait_input(struct stack *, struct flow *, const struct tcp_segment *, const struct ip_received *,
	uint32_t *isn);
/* connect() may take this four-tuple from its TIME-WAIT (tcp_tw_reuse of Linux): gone then, with *isn set. */
bool close_time_wait_reusable(struct stack *, const struct flow_key *, uint32_t *isn);

size_t close_time_wait_size(void);
/* For ep_walk: the i-th; false: not in use. */
bool close_time_wait_info(const struct stack *, uint32_t i, struct ep_info *);

#endif
