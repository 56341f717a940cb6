/* SPDX-License-Identifier: BSD-3-Clause */
/* The receiving half: the window, the bytes and their place in the ring, and when to acknowledge. */
#ifndef LIGHT_TCP_RECV_H
#define LIGHT_TCP_RECV_H

#include "conn.h"

/* RFC 9293 3.10.7.4, first: whether a segment that takes `space` numbers from seq on is acceptable. */
bool recv_acceptable(uint32_t rcv_nxt, uint32_t rcv_wnd, uint32_t seq, uint32_t space);

/* What the peer may still send: up to the highest edge ever advertised. */
static inline uint32_t recv_window_open(const struct tcp_conn *c)
{
	return seq_gt(c->rcv_adv, c->rcv_nxt) ? c->rcv_adv - c->rcv_nxt : 0;
}

/* The most that may lie unread in a connection that begins now. */
uint32_t recv_limit_first(const struct tcp_conn *);

/* How many bytes make it readable: SO_RCVLOWAT, but what lies there, however little, when no more can come. */
uint32_t recv_low(const struct tcp_conn *);

/* SO_RCVLOWAT was set: the window must have room for what the program waits for. */
void recv_low_set(struct tcp_conn *);

/* The window to put into a segment that leaves now, in bytes; moves the advertised edge. */
uint32_t recv_window(struct tcp_conn *);

/* The payload of an acceptable segment, already cut to the window. */
void recv_data(struct tcp_conn *, const struct tcp_segment *);

/* The program took bytes out of the ring (tail moved): tells the peer when that matters. */
void recv_consumed(struct tcp_conn *);

/* [start, end) was received before: with SACK the next ACK says so, and goes at once (RFC 2883). */
void recv_duplicate(struct tcp_conn *, uint32_t start, uint32_t end);

#endif
