/* SPDX-License-Identifier: BSD-3-Clause */
/* The scripted DHCP server: what the client said, and what it is told. */
#include "tests/dhcp_script.h"

unsigned script_changes;
struct dhcp_lease script_told;

static void note(void *context, const struct dhcp_lease *lease)
{
	(void)context;
	script_changes++;
	script_told = *lease;
}

int script_setup(void **state)
{
	struct world *w = world_new(NULL);
	struct ipaddr us = ipaddr_from_ip4(US), any = ipaddr_from_ip4(0), router = ipaddr_from_ip4(ROUTER);

	assert_int_equal(stack_remove_route(w->s, &any, 0), 0);
	assert_int_equal(stack_remove_address(w->s, w->interface, &us), 0);
	assert_int_equal(stack_add_neighbour(w->s, w->interface, &router, router_mac), 0);
	script_changes = 0;
	*state = w;
	return 0;
}

struct dhcp *script_start(struct world *w)
{
	struct dhcp *d = dhcp_start(w->s, w->interface, &(struct dhcp_config){ .host_name = "box", .changed = note });

	assert_non_null(d);
	world_turn(w);
	return d;
}

struct dhcp_lease script_lease_of(const struct dhcp *d)
{
	struct dhcp_lease l;

	dhcp_lease(d, &l);
	return l;
}

/* ---- what the client sent ---- */

uint32_t script_host16(const uint8_t *p)
{
	return (uint32_t)p[0] << 8 | p[1];
}

uint32_t script_host32(const uint8_t *p)
{
	return script_host16(p) << 16 | script_host16(p + 2);
}

/* The payload of the n-th DHCP message since world_clear; NULL: there are fewer. Checks its envelope. */
const uint8_t *script_said(struct world *w, unsigned n, uint32_t *len)
{
	for (unsigned i = 0; i < w->sent_count; i++) {
		struct frame *f = &w->sent[i];
		struct udp_header *udp = frame_l4(f);

		if (((struct eth_header *)f->bytes)->type != be16(ETH_TYPE_IP4) || frame_ip4(f)->protocol != PROTOCOL_UDP || n-- > 0)
			continue;
		frame_verify(f);
		assert_int_equal(udp->source, be16(68));
		assert_int_equal(udp->destination, be16(67));
		*len = frame_l4_len(f) - 8;
		assert_true(*len >= 300);
		assert_memory_equal((uint8_t *)(udp + 1) + 28, us_mac, 6);
		assert_int_equal(script_host16((uint8_t *)(udp + 1) + 10), 0);  /* no broadcast flag */
		return (const uint8_t *)(udp + 1);
	}
	return NULL;
}

unsigned script_messages(struct world *w)
{
	unsigned n = 0;
	uint32_t len;

	while (script_said(w, n, &len))
		n++;
	return n;
}

/* An option of a message; NULL: not there. */
const uint8_t *script_option(const uint8_t *m, uint32_t len, uint8_t code)
{
	for (uint32_t i = 240; i < len && m[i] != 255; i += 2u + m[i + 1])
		if (m[i] == code)
			return m + i + 2;
	return NULL;
}

/* The only message since world_clear: its type, with xid, ciaddr and options 50 and 54 looked at. */
uint32_t script_expect(struct world *w, uint8_t type, uint32_t client, uint32_t requested, uint32_t server)
{
	uint32_t len = 0, xid, value;
	const uint8_t *m = script_said(w, 0, &len), *o;

	assert_int_equal(script_messages(w), 1);
	assert_int_equal(m[240 + 2], type);
	memcpy(&value, m + 12, 4);
	assert_int_equal(value, client);
	o = script_option(m, len, 50);
	assert_true((o != NULL) == (requested != 0) && (!o || memcmp(o, &requested, 4) == 0));
	o = script_option(m, len, 54);
	assert_true((o != NULL) == (server != 0) && (!o || memcmp(o, &server, 4) == 0));
	memcpy(&xid, m + 4, 4);
	world_clear(w);
	return be32(xid);
}

/* The number of ARP probes for the address since world_clear. */
unsigned script_probes(struct world *w)
{
	unsigned n = 0;

	for (unsigned i = 0; i < w->sent_count; i++) {
		struct arp_packet *arp = (struct arp_packet *)(w->sent[i].bytes + sizeof(struct eth_header));

		n += ((struct eth_header *)w->sent[i].bytes)->type == be16(ETH_TYPE_ARP) && !arp->sender_ip && arp->target_ip == OFFERED;
	}
	return n;
}

/* ---- what the server says ---- */


void script_put(struct reply *r, uint8_t code, const void *value, unsigned n)
{
	r->bytes[r->len++] = code;
	r->bytes[r->len++] = (uint8_t)n;
	memcpy(r->bytes + r->len, value, n);
	r->len += n;
}

void script_put32(struct reply *r, uint8_t code, uint32_t network)
{
	script_put(r, code, &network, 4);
}

/* Type and server; no more. */
struct reply script_bare(uint8_t type, uint32_t xid, uint32_t address)
{
	struct reply r = { .bytes = { 2, 1, 6 }, .len = 240 };

	xid = be32(xid);
	memcpy(r.bytes + 4, &xid, 4);
	memcpy(r.bytes + 16, &address, 4);
	memcpy(r.bytes + 28, us_mac, 6);
	memcpy(r.bytes + 236, "\x63\x82\x53\x63", 4);
	script_put(&r, 53, &type, 1);
	script_put32(&r, 54, ROUTER);
	return r;
}

struct reply script_full(uint8_t type, uint32_t xid, uint32_t seconds)
{
	struct reply r = script_bare(type, xid, OFFERED);

	script_put32(&r, 51, be32(seconds));
	script_put32(&r, 1, be32(0xffffff00));
	script_put32(&r, 3, ROUTER);
	return r;
}

struct frame script_frame_of(const struct reply *r, uint32_t to)
{
	struct frame f = udp_frame(ROUTER, 67, to, 68, r->bytes, r->len);

	if (to == UINT32_MAX)
		memset(f.bytes, 0xff, 6);
	return f;
}

void script_give(struct world *w, struct reply r)
{
	struct frame f;

	r.bytes[r.len++] = 255;
	f = script_frame_of(&r, OFFERED);  /* unicast, before we have the address */
	world_give(w, &f);
}

void script_refuse(struct world *w, struct reply r, enum drop reason)
{
	struct frame f = script_frame_of(&r, UINT32_MAX);

	expect_drop(w, &f, reason);
}

/* From the beginning to BOUND, with this ACK's further options. */
struct dhcp *script_bound(struct world *w, uint32_t seconds)
{
	struct dhcp *d = script_start(w);
	uint32_t xid = script_expect(w, DHCP_DISCOVER, 0, 0, 0);

	script_give(w, script_full(DHCP_OFFER, xid, seconds));
	assert_int_equal(script_expect(w, DHCP_REQUEST, 0, OFFERED, ROUTER), xid);
	script_give(w, script_full(DHCP_ACK, xid, seconds));
	assert_int_equal(script_lease_of(d).state, DHCP_PROBING);
	world_run(w, w->now + 12 * SECONDS);
	assert_int_equal(script_lease_of(d).state, DHCP_BOUND);
	world_clear(w);
	return d;
}

bool script_has_route(struct world *w, uint32_t to)
{
	struct ipaddr a = ipaddr_from_ip4(to);

	return stack_has_route(w->s, &a);
}

uint32_t script_next_hop(struct world *w, uint32_t to)
{
	struct ipaddr a = ipaddr_from_ip4(to);
	struct path path;

	return route_find(w->s, NULL, &a, &path) == 0 ? ipaddr_ip4(&path.next_hop) : 0;
}

bool script_is_ours(struct world *w)
{
	struct ipaddr a = ipaddr_from_ip4(OFFERED);

	return stack_is_own(w->s, &a);
}
