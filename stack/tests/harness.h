/* SPDX-License-Identifier: BSD-3-Clause */
/* For the tests of TCP: stacks on links that are arrays in memory. Either two of them joined by a wire that the test may
 * disturb, or one whose peer is the test itself, which sends and expects segments by template: only the fields that
 * matter are set. All neighbours are known. */
#ifndef LIGHT_TESTS_HARNESS_H
#define LIGHT_TESTS_HARNESS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* after those: */
#include <cmocka.h>

#include "core.h"
#include "tcp/conn.h"
#include "tcp/segment.h"

#define HARNESS_QUEUE 4096
#define PEER_PORT 5000
#define OUR_PORT 80

struct harness_link {
	struct link link;
	struct harness_link *other;             /* NULL: sent packets wait in `sent` for the test */
	struct pkt *received[HARNESS_QUEUE];
	unsigned received_from, received_to;
	struct pkt *sent[HARNESS_QUEUE];
	unsigned sent_from, sent_to;
	unsigned sent_total;
	bool (*lose)(struct harness_link *, const struct pkt *, unsigned nth); /* true: the wire eats it */
	uint32_t buffer_size;
	int alive;                              /* packets that exist */
	bool dry;                               /* borrow gives nothing */
};

struct harness_host {
	struct stack *stack;
	struct harness_link link;
	struct ipaddr addr;
	nsec now;
};

/* Where the peer of a one-stack test is in its sequence spaces. */
struct harness_peer {
	uint32_t seq, ack;
	uint16_t port, window;
	uint32_t tsval;
	bool timestamps;
};

/* A host 10.0.0.n; settings NULL: linux. flags: LINK_TSO and the like. */
struct harness_host *harness_host_new(unsigned n, const struct tcp_settings *, uint32_t flags);
void harness_join(struct harness_host *, struct harness_host *);
/* Frees, having checked that all invariants hold and no packet is lost. */
void harness_host_free(struct harness_host *);
struct ipaddr harness_addr(unsigned n);

/* Turns both until nothing is left to do at this time; `now` moves on to `to` through all deadlines. */
void harness_run(struct harness_host *a, struct harness_host *b, nsec to);
/* One host: turns at its present time, or lets time pass through all deadlines. */
void harness_turn(struct harness_host *);
void harness_pass(struct harness_host *, nsec duration);

/* The peer (10.0.0.9) sends; ports, seq, ack and window come from `p` unless the flags say otherwise in `seg`. */
void harness_send(struct harness_host *, const struct harness_peer *p, struct tcp_segment seg);
void harness_send_raw(struct harness_host *, const struct harness_peer *p, const uint8_t *tcp, uint32_t len);
/* The next segment that the stack sent; false: none. Checks the checksum. The payload stays good until the next call. */
bool harness_sent(struct harness_host *, struct tcp_segment *);
/* The same, failing if there is none; and none left. */
struct tcp_segment harness_expect(struct harness_host *, uint8_t flags);
void harness_expect_none(struct harness_host *);

/* Shorthands: an open connection of each kind, with the peer's numbers in *p. ISN of the peer: 1000. */
ep_id harness_listen(struct harness_host *, uint16_t port, uint32_t backlog);
ep_id harness_accepted(struct harness_host *, struct harness_peer *p, uint16_t mss);
ep_id harness_connected(struct harness_host *, struct harness_peer *p, uint16_t mss);
struct tcp_conn *harness_conn(struct harness_host *, ep_id);
enum tcp_state harness_state(struct harness_host *, ep_id);
uint64_t harness_drops(const struct harness_host *, enum drop);

#endif
