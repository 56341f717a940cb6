/* SPDX-License-Identifier: BSD-3-Clause */
/* What the packet harnesses share: one stack (10.0.0.1) on a link whose far end is the harness (10.0.0.2), which
 * listens to what the stack sends, so that it always knows the live sequence numbers. Every frame out of the stack
 * must be well formed and every invariant hold, or the process aborts. */
#ifndef LIGHT_FUZZ_BENCH_H
#define LIGHT_FUZZ_BENCH_H

#include <stddef.h>

#include "io/mem.h"
#include "stack/dhcp.h"
#include "stack/stack.h"

#define BENCH_FLOWS 8u
#define BENCH_ENDPOINTS 24u
#define BENCH_PORT 80u          /* a listener */
#define BENCH_UDP_PORT 53u      /* a datagram socket */

/* A TCP connection as its remote end, the harness, sees it. */
struct bench_flow {
	uint16_t local_port, remote_port;  /* local: the stack's; 0: unused */
	uint32_t ours, theirs;             /* the numbers that each side expects to come next from us, from them */
	uint32_t tsval;                    /* of the stack's last timestamp */
};

struct bench {
	struct stack *stack;
	struct mem_pair *pair;
	struct link *near, *far;
	int interface;
	nsec now;
	struct ipaddr local, remote;
	struct bench_flow flows[BENCH_FLOWS];
	unsigned next_flow;                /* the slot that a new flow takes */
	ep_id endpoints[BENCH_ENDPOINTS];  /* [0] the listener, [1] the datagram socket, then children and others */
	uint64_t frames_out;
	struct dhcp *dhcp;
	uint8_t dhcp_xid[4];               /* of the client's last message */
};

/* Of a segment to send; numbers are relative to what the stack expects. */
struct bench_segment {
	uint8_t flags;
	int32_t seq, ack;
	uint16_t window, urgent;
	const uint8_t *options, *payload;
	uint32_t options_len, payload_len; /* options_len: at most 40 */
};

enum {
	BENCH_FIX_IP = 1 << 0,       /* fill in IP's length and checksum */
	BENCH_FIX_LAYER4 = 1 << 1,   /* fill in the checksum of TCP, UDP, ICMP */
	BENCH_CSUM_GOOD = 1 << 2,    /* the link vouches for it */
	BENCH_RELATIVE = 1 << 3,     /* TCP numbers are relative to the first flow's */
	BENCH_DHCP = 1 << 4,         /* with bench_dhcp: a DHCP message answers the client's exchange */
};

/* With a listener, a datagram socket, and one connection to the listener that is accepted. */
void bench_open(struct bench *);
/* A DHCP client on the interface, at its first message. */
void bench_dhcp(struct bench *);
/* Resets everything, lets time pass, and demands that nothing is left. */
void bench_close(struct bench *);

void bench_frame(struct bench *, const uint8_t *bytes, size_t n, unsigned fix);
void bench_segment(struct bench *, const struct bench_flow *, const struct bench_segment *);
/* A SYN from a new port to the listener. */
void bench_syn(struct bench *, uint16_t remote_port, const uint8_t *options, uint32_t options_len);
void bench_udp(struct bench *, uint16_t to, const uint8_t *bytes, uint32_t n);
/* An ICMP error about the flow's next segment. */
void bench_icmp_error(struct bench *, const struct bench_flow *, uint8_t type, uint8_t code, uint16_t mtu);
/* A piece of a datagram to the UDP socket. */
void bench_fragment(struct bench *, uint16_t id, uint32_t offset, bool more, const uint8_t *bytes, uint32_t n);

/* Lets the stack do what is due, listens, checks. */
void bench_turn(struct bench *);
void bench_advance(struct bench *, nsec);
/* Keeps an endpoint that a call made; closes it when there is no room. */
void bench_keep(struct bench *, ep_id);

#endif
