/* SPDX-License-Identifier: BSD-3-Clause */
/* What DHCP messages bring, and which are not believed, seen through a client. */
#include "tests/dhcp_script.h"

#include "tcp/conn.h"

static void classless_routes_replace_the_router(void **state)
{
	static const uint8_t routes[] = {
		0, 10, 0, 0, 9,                  /* default via 10.0.0.9 */
		16, 172, 16, 0, 0, 0, 0,         /* 172.16/16 on link */
		25, 192, 0, 2, 128, 10, 0, 0, 8, /* 192.0.2.128/25 via 10.0.0.8 */
		24, 198, 51, 100, 172, 16, 0, 1, /* through what is on link only by the second */
	};
	struct world *w = *state;
	struct dhcp *d = script_start(w);
	uint32_t xid = script_expect(w, DHCP_DISCOVER, 0, 0, 0);
	struct reply r;

	script_give(w, script_full(DHCP_OFFER, xid, 3600));
	r = script_full(DHCP_ACK, xid, 3600);
	script_put(&r, 121, routes, sizeof(routes));
	script_give(w, r);
	world_run(w, w->now + 8 * SECONDS);
	assert_int_equal(script_next_hop(w, be32(0x08080808)), be32(0x0a000009));
	assert_int_equal(script_next_hop(w, be32(0xac100101)), be32(0xac100101));
	assert_int_equal(script_next_hop(w, be32(0xc0000281)), be32(0x0a000008));
	assert_int_equal(script_next_hop(w, be32(0xc6336401)), be32(0xac100001));
	assert_int_equal(ipaddr_ip4(&script_told.router), 0);
	dhcp_stop(d);
	assert_false(script_has_route(w, be32(0xac100101)));
	uint32_t cursor = 0;
	struct stack_route route;

	assert_false(stack_walk_routes(w->s, &cursor, &route));
}

static void a_router_beyond_the_prefix_is_reached_on_link(void **state)
{
	struct world *w = *state;
	uint32_t xid;
	struct reply r;

	script_start(w);
	xid = script_expect(w, DHCP_DISCOVER, 0, 0, 0);
	r = script_bare(DHCP_OFFER, xid, OFFERED);
	script_put32(&r, 51, be32(3600));
	script_put32(&r, 1, UINT32_MAX);
	script_put32(&r, 3, be32(0x0a010001));
	script_give(w, r);
	r.bytes[242] = DHCP_ACK;
	script_give(w, r);
	world_run(w, w->now + 8 * SECONDS);
	assert_int_equal(script_next_hop(w, FAR_AWAY), be32(0x0a010001));
	assert_int_equal(script_next_hop(w, be32(0x0a010001)), be32(0x0a010001));
}

static void mtu_names_and_servers_are_taken(void **state)
{
	struct world *w = *state;
	struct dhcp *d = script_start(w);
	uint32_t xid = script_expect(w, DHCP_DISCOVER, 0, 0, 0), dns[4] = { PEER, ROUTER, STRANGER, US };
	struct ipaddr far = ipaddr_from_ip4(FAR_AWAY);
	struct path path;
	struct reply r;

	script_give(w, script_full(DHCP_OFFER, xid, 3600));
	r = script_full(DHCP_ACK, xid, 3600);
	script_put(&r, 26, "\x05\x14", 2);
	script_put(&r, 6, dns, sizeof(dns));
	script_put(&r, 15, "example.org", 12);
	script_give(w, r);
	world_run(w, w->now + 8 * SECONDS);
	assert_int_equal(script_told.mtu, 1300);
	assert_int_equal(script_told.dns_count, 3);
	assert_int_equal(ipaddr_ip4(&script_told.dns[2]), STRANGER);
	assert_string_equal(script_told.domain, "example.org");
	assert_int_equal(route_find(w->s, NULL, &far, &path), 0);
	assert_int_equal(path.mtu, 1300);
	assert_int_equal(conn_mss_option(w->s, &path, 0), 1260);
	dhcp_stop(d);
	assert_int_equal(w->s->interfaces[w->interface]->mtu_limit, 0);
}

static void an_impossible_mtu_or_domain_is_left_out(void **state)
{
	struct world *w = *state;
	uint32_t xid;
	struct reply r;

	script_start(w);
	xid = script_expect(w, DHCP_DISCOVER, 0, 0, 0);
	script_give(w, script_full(DHCP_OFFER, xid, 3600));
	r = script_full(DHCP_ACK, xid, 3600);
	script_put(&r, 26, "\x00\x43", 2);
	script_put(&r, 15, "a;rm -rf", 8);
	script_give(w, r);
	world_run(w, w->now + 8 * SECONDS);
	assert_int_equal(script_told.mtu, 0);
	assert_string_equal(script_told.domain, "");
	assert_int_equal(w->s->interfaces[w->interface]->mtu_limit, 0);
}

static void options_may_lie_in_file_and_sname_and_in_pieces(void **state)
{
	struct world *w = *state;
	uint32_t xid;
	struct reply r;

	script_start(w);
	xid = script_expect(w, DHCP_DISCOVER, 0, 0, 0);
	script_give(w, script_full(DHCP_OFFER, xid, 3600));
	r = script_bare(DHCP_ACK, xid, OFFERED);
	script_put32(&r, 51, be32(3600));
	script_put(&r, 52, "\x03", 1);
	script_put(&r, 15, "exam", 4);
	memcpy(r.bytes + 108, "\x0f\x04ple.\0\0\x01\x04\xff\xff\0\0\xff", 15);  /* file: a piece, padding, the mask */
	memcpy(r.bytes + 44, "\x0f\x03net\xff", 6);                             /* sname: the last piece */
	script_give(w, r);
	world_run(w, w->now + 8 * SECONDS);
	assert_string_equal(script_told.domain, "example.net");
	assert_int_equal(script_told.prefix, 16);
}

/* ---- what is not believed ---- */

static void damaged_messages_are_dropped(void **state)
{
	static const struct {
		uint8_t code, len, bytes[8];
	} bad[] = {
		{ 51, 3, { 1, 2, 3 } }, { 51, 5, { 0 } }, { 1, 4, { 255, 0, 255, 0 } }, { 1, 3, { 255, 255, 255 } }, { 3, 0, { 0 } },
		{ 3, 5, { 0 } }, { 6, 7, { 0 } }, { 26, 1, { 5 } }, { 26, 4, { 0 } }, { 52, 1, { 4 } }, { 52, 2, { 1, 1 } }, { 54, 4, { 1 } },
		{ 53, 1, { 2 } }, { 58, 2, { 0 } }, { 59, 8, { 0 } }, { 121, 0, { 0 } }, { 121, 1, { 0 } }, { 121, 5, { 33 } },
		{ 121, 6, { 0, 1, 2, 3, 4, 24 } }, { 121, 7, { 24, 10, 0, 0, 1, 2, 3 } },
	};
	struct world *w = *state;
	struct dhcp *d = script_start(w);
	uint32_t xid = script_expect(w, DHCP_DISCOVER, 0, 0, 0);
	struct reply r;

	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		r = script_bare(DHCP_OFFER, xid, OFFERED);
		if (bad[i].code != 51)
			script_put32(&r, 51, be32(3600));
		script_put(&r, bad[i].code, bad[i].bytes, bad[i].len);
		script_refuse(w, r, DROP_DHCP_MALFORMED);
	}
	/* cut off at every byte: what is cut inside an option, or has no lease yet, is no offer */
	r = script_full(DHCP_OFFER, xid, 3600);
	w->tight = true;
	for (uint32_t len = 0; len < r.len; len++) {
		struct reply cut = r;
		struct frame f;

		cut.len = len;
		f = script_frame_of(&cut, UINT32_MAX);
		world_clear(w);
		world_give(w, &f);
		if (len >= 240 + 3 + 6 + 6 && (len - 240 - 3) % 6 == 0)
			break;  /* whole options, and a lease: an offer */
		assert_int_equal(script_lease_of(d).state, DHCP_SELECTING);
	}
	assert_int_equal(script_lease_of(d).state, DHCP_REQUESTING);
	w->tight = false;
	r = script_full(DHCP_ACK, xid, 3600);
	r.bytes[239]++;
	script_refuse(w, r, DROP_DHCP_MALFORMED);
	r = (struct reply){ .bytes = { 2, 1, 6 }, .len = 240 };
	memcpy(r.bytes, script_full(DHCP_ACK, xid, 3600).bytes, 240);
	script_refuse(w, r, DROP_DHCP_MALFORMED);  /* no type */
}

static void messages_for_others_are_dropped(void **state)
{
	struct world *w = *state;
	uint32_t xid;
	struct reply r;

	script_start(w);
	xid = script_expect(w, DHCP_DISCOVER, 0, 0, 0);
	script_refuse(w, script_full(DHCP_OFFER, xid + 1, 3600), DROP_DHCP_FOREIGN);
	r = script_full(DHCP_OFFER, xid, 3600);
	r.bytes[33]++;  /* chaddr */
	script_refuse(w, r, DROP_DHCP_FOREIGN);
	for (unsigned i = 0; i < 3; i++) {
		r = script_full(DHCP_OFFER, xid, 3600);
		r.bytes[i]++;
		script_refuse(w, r, DROP_DHCP_FOREIGN);
	}
}

static void leases_that_cannot_be_used_are_not_taken(void **state)
{
	const uint32_t bad[] = { 0, be32(0x7f000001), be32(0xe0000001), UINT32_MAX, be32(0x0a0000ff), be32(0x0a000000), be32(0xf0000001) };
	struct world *w = *state;
	uint32_t xid;
	struct reply r;

	script_start(w);
	xid = script_expect(w, DHCP_DISCOVER, 0, 0, 0);
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		r = script_full(DHCP_OFFER, xid, 3600);
		memcpy(r.bytes + 16, &bad[i], 4);
		script_refuse(w, r, DROP_DHCP_UNUSABLE);
	}
	script_refuse(w, script_full(DHCP_OFFER, xid, 9), DROP_DHCP_UNUSABLE);
	script_refuse(w, script_bare(DHCP_OFFER, xid, OFFERED), DROP_DHCP_UNUSABLE);
	r = script_full(DHCP_OFFER, xid, 3600);
	memset(r.bytes + 240 + 3 + 2, 0, 4);  /* no server */
	script_refuse(w, r, DROP_DHCP_UNUSABLE);
}

static void messages_out_of_turn_or_from_another_server_are_dropped(void **state)
{
	struct world *w = *state;
	struct dhcp *d = script_start(w);
	uint32_t xid = script_expect(w, DHCP_DISCOVER, 0, 0, 0), other = PEER;
	struct reply r;

	script_refuse(w, script_full(DHCP_ACK, xid, 3600), DROP_DHCP_UNEXPECTED);
	script_refuse(w, script_bare(DHCP_NAK, xid, 0), DROP_DHCP_UNEXPECTED);
	script_refuse(w, script_full(DHCP_DISCOVER, xid, 3600), DROP_DHCP_UNEXPECTED);
	script_give(w, script_full(DHCP_OFFER, xid, 3600));
	script_refuse(w, script_full(DHCP_OFFER, xid, 3600), DROP_DHCP_UNEXPECTED);
	r = script_full(DHCP_ACK, xid, 3600);
	memcpy(r.bytes + 245, &other, 4);
	script_refuse(w, r, DROP_DHCP_UNEXPECTED);
	r.bytes[242] = DHCP_NAK;
	script_refuse(w, r, DROP_DHCP_UNEXPECTED);
	r = script_full(DHCP_ACK, xid, 3600);
	memcpy(r.bytes + 16, &other, 4);
	script_refuse(w, r, DROP_DHCP_UNEXPECTED);
	assert_int_equal(script_lease_of(d).state, DHCP_REQUESTING);
}

static void port_68_is_the_clients_alone(void **state)
{
	struct world *w = *state;
	struct frame f = udp_frame(ROUTER, 67, OFFERED, 68, "x", 1);
	ep_id id;

	/* without a client it is a port as any other, and the address is not ours */
	EXPECT_DROP(w, &f, IP_DESTINATION);
	id = udp_socket(w, 0, 68);
	script_bound(w, 3600);
	EXPECT_DROP(w, &f, DHCP_MALFORMED);
	assert_false(ep_ready(w->s, id) & EP_READABLE);
	/* nor does the way in for DHCP let anything else in */
	f = udp_frame(ROUTER, 67, be32(0x0a00004e), 69, "x", 1);
	EXPECT_DROP(w, &f, IP_DESTINATION);
	f = udp_frame(ROUTER, 67, OFFERED, 68, "x", 1);
	frame_ip4(&f)->fragment = be16(IP4_MF);
	frame_ip4(&f)->destination = be32(0x0a00004e);
	frame_fix_ip4(&f);
	EXPECT_DROP(w, &f, IP_DESTINATION);
	f = udp_frame(ROUTER, 67, be32(0x0a00004e), 68, "x", 1);
	f.bytes[f.len - 1] ^= 1;
	EXPECT_DROP(w, &f, UDP_CHECKSUM);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		script_test(classless_routes_replace_the_router),
		script_test(a_router_beyond_the_prefix_is_reached_on_link),
		script_test(mtu_names_and_servers_are_taken),
		script_test(an_impossible_mtu_or_domain_is_left_out),
		script_test(options_may_lie_in_file_and_sname_and_in_pieces),
		script_test(damaged_messages_are_dropped),
		script_test(messages_for_others_are_dropped),
		script_test(leases_that_cannot_be_used_are_not_taken),
		script_test(messages_out_of_turn_or_from_another_server_are_dropped),
		script_test(port_68_is_the_clients_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
