/* SPDX-License-Identifier: BSD-3-Clause */
/* One stack on a link made of two arrays: what goes in, and what came out. Every test ends with all packets given back
 * and all invariants held. Our host is 10.0.0.1/24, its peer 10.0.0.2, a router 10.0.0.254. */
#ifndef LIGHT_STACK_TESTS_FIXTURE_H
#define LIGHT_STACK_TESTS_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core.h"
#include "wire.h"

#define US be32(0x0a000001)
#define PEER be32(0x0a000002)
#define STRANGER be32(0x0a000003)
#define ROUTER be32(0x0a0000fe)
#define FAR_AWAY be32(0xc0000201)  /* 192.0.2.1 */
#define LOCALHOST be32(0x7f000001)

#define FRAMES 512
#define FRAME_MAX 2048

extern const uint8_t us_mac[6], peer_mac[6], router_mac[6], everyone_mac[6];

struct frame {
	uint8_t bytes[FRAME_MAX];
	uint32_t len;
};

struct world {
	struct stack *s;
	struct link link;
	int interface;
	nsec now;
	/* the link */
	struct pkt packets[FRAMES];
	struct pkt *free;
	uint32_t lent;              /* packets that the stack has */
	struct pkt *incoming[FRAMES];
	unsigned incoming_count;
	struct frame sent[FRAMES];  /* since world_clear */
	unsigned sent_count;
	unsigned accepts;           /* how many more packets transmit takes */
	unsigned lends;             /* how many more packets borrow gives */
	int groups;                 /* how many the link was asked to let in, less those let go */
	uint32_t group;             /* the last one of them */
	int group_error;            /* what it answers */
	bool tight;                 /* received frames end where their memory ends: the sanitizer sees one byte too far */
	char log[4][256];
	unsigned log_count;
};

/* For cmocka_unit_test_setup_teardown: *state is a struct world, its neighbours unknown / the peer and router known. */
int world_setup(void **state);
int world_setup_known(void **state);
int world_teardown(void **state);
/* The same with a configuration of one's own; NULL: the default. */
struct world *world_new(const struct stack_config *);
void world_config(struct stack_config *);
#define world_test(f) cmocka_unit_test_setup_teardown(f, world_setup_known, world_teardown)
#define world_test_unknown(f) cmocka_unit_test_setup_teardown(f, world_setup, world_teardown)

/* Frames that go in at the next turn; world_give turns at once and checks all invariants. */
void world_queue(struct world *, const void *frame, uint32_t len);
void world_give(struct world *, const struct frame *);
/* Turns at every deadline until `until`. */
void world_run(struct world *, nsec until);
void world_turn(struct world *);
void world_clear(struct world *);

uint64_t dropped(const struct world *, enum drop);
/* Gives the frame and fails unless exactly this counter rose and nothing was sent. */
void expect_drop(struct world *, const struct frame *, enum drop);
#define EXPECT_DROP(w, frame, name) expect_drop(w, frame, DROP_##name)

/* Building. Each returns the frame, lengths and checksums filled in. */
struct frame eth_frame(const uint8_t to[6], const uint8_t from[6], uint16_t type, const void *payload, uint32_t n);
struct frame arp_frame(uint16_t operation, const uint8_t sender_mac[6], uint32_t sender, uint32_t target);
struct frame ip4_frame(uint32_t source, uint32_t destination, uint8_t protocol, const void *payload, uint32_t n);
struct frame udp_frame(uint32_t source, uint16_t from, uint32_t destination, uint16_t to, const void *payload, uint32_t n);
struct frame icmp_frame(uint32_t source, uint32_t destination, uint8_t type, uint8_t code, uint32_t rest,
			const void *payload, uint32_t n);

/* Looking at a frame: headers, and filling the IP checksum again after a change. */
struct ip4_header *frame_ip4(struct frame *);
void *frame_l4(struct frame *);
uint32_t frame_l4_len(struct frame *);
void frame_fix_ip4(struct frame *);
void frame_fix_udp(struct frame *);
/* Fails unless lengths and checksums of an IP frame are right. */
void frame_verify(struct frame *);

struct ep_name name_of(uint32_t ip4, uint16_t port);
/* An opened, bound (port != 0) UDP socket. */
ep_id udp_socket(struct world *, uint32_t ip4, uint16_t port);

#endif
