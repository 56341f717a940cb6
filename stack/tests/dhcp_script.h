/* SPDX-License-Identifier: BSD-3-Clause */
/* A DHCP server that says what the test tells it to, and a client that gets 10.0.0.77 from 10.0.0.254. */
#ifndef LIGHT_STACK_TESTS_DHCP_SCRIPT_H
#define LIGHT_STACK_TESTS_DHCP_SCRIPT_H

#include "tests/fixture.h"

#include "dhcp.h"
#include "dhcp_message.h"

#define OFFERED be32(0x0a00004d)
#define SECONDS NSEC_PER_SEC

struct reply {
	uint8_t bytes[1400];
	uint32_t len;
};

/* What config.changed was called with. */
extern unsigned script_changes;
extern struct dhcp_lease script_told;

/* For cmocka: a world whose interface has no address, and knows its router. */
int script_setup(void **state);
/* A client at its DISCOVER. */
struct dhcp *script_start(struct world *w);
struct dhcp_lease script_lease_of(const struct dhcp *d);
uint32_t script_host16(const uint8_t *p);
uint32_t script_host32(const uint8_t *p);
/* The payload of the n-th DHCP message since world_clear; NULL: there are fewer. Checks its envelope. */
const uint8_t *script_said(struct world *w, unsigned n, uint32_t *len);
unsigned script_messages(struct world *w);
/* An option of a message; NULL: not there. */
const uint8_t *script_option(const uint8_t *m, uint32_t len, uint8_t code);
/* The only message since world_clear, with its ciaddr and options 50 and 54; returns its xid, and clears. */
uint32_t script_expect(struct world *w, uint8_t type, uint32_t client, uint32_t requested, uint32_t server);
/* The number of ARP probes for the address since world_clear. */
unsigned script_probes(struct world *w);
void script_put(struct reply *r, uint8_t code, const void *value, unsigned n);
void script_put32(struct reply *r, uint8_t code, uint32_t network);
/* Type and server; no more. */
struct reply script_bare(uint8_t type, uint32_t xid, uint32_t address);
struct reply script_full(uint8_t type, uint32_t xid, uint32_t seconds);
struct frame script_frame_of(const struct reply *r, uint32_t to);
/* By unicast, before we have the address. */
void script_give(struct world *w, struct reply r);
void script_refuse(struct world *w, struct reply r, enum drop reason);
/* From the beginning to BOUND. */
struct dhcp *script_bound(struct world *w, uint32_t seconds);
bool script_has_route(struct world *w, uint32_t to);
uint32_t script_next_hop(struct world *w, uint32_t to);
bool script_is_ours(struct world *w);

#define script_test(f) cmocka_unit_test_setup_teardown(f, script_setup, world_teardown)

#endif
