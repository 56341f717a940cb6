/* SPDX-License-Identifier: BSD-3-Clause */
/* Building segments and handing them to IP. Nothing here decides whether something is sent. */
#ifndef LIGHT_TCP_OUTPUT_H
#define LIGHT_TCP_OUTPUT_H

#include "conn.h"

/* What is sent for no connection, or without payload: header only. */
struct output_route {
	const struct path *path;
	uint8_t ttl, tos; /* ttl 0: the default */
	bool dont_fragment;
};
/* False: no packet to be had, or no way there. */
bool output_bare(struct stack *, const struct output_route *, const struct tcp_segment *);

/* `len` bytes of the send ring from sequence number `seq` on with these flags (ACK is added), as one segment, or as a
 * super-frame if longer than the MSS. False: no packet now, nothing was sent. */
bool output_data(struct tcp_conn *, uint32_t seq, uint32_t len, uint8_t flags);
/* ACK of all that came, with the present window; clears what was owed. */
void output_ack(struct tcp_conn *);
/* SYN or SYN-ACK of a connection. */
void output_syn(struct tcp_conn *);
/* A SYN with this cookie and as much of what is queued as one segment holds: how much that is (RFC 7413 4.2.1). */
uint32_t output_syn_data(struct tcp_conn *, const struct fastopen_cookie *, uint32_t mss, uint32_t queued);
/* RFC 9293 3.10.5: <SEQ=SND.NXT><CTL=RST>, as soon as the link has room. */
void output_reset(struct tcp_conn *);
/* SHLD-12: <SEQ=SND.NXT-1><ACK=RCV.NXT><ACK>. */
void output_keepalive(struct tcp_conn *);
/* RFC 9293 3.10.7.1: the reset that answers a segment which belongs nowhere; none answers a reset. */
void output_reset_for(struct stack *, const struct ip_received *, const struct tcp_segment *);
/* RFC 5961 7: an ACK that asks whether the peer meant it, at most ten in five seconds a connection. */
void output_challenge(struct tcp_conn *);

/* Whether the link of this connection takes super-frames. */
bool output_takes_super_frames(const struct tcp_conn *);

#endif
