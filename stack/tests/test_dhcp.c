/* SPDX-License-Identifier: BSD-3-Clause */
/* The states of the DHCP client: getting, probing, keeping and losing a lease. */
#include "tests/dhcp_script.h"

#include <errno.h>

/* ---- getting a lease ---- */

static void an_address_is_asked_for_probed_and_set_with_its_router(void **state)
{
	struct world *w = *state;
	struct dhcp *d = script_start(w);
	struct dhcp_lease l;
	uint32_t len, xid;
	const uint8_t *m = script_said(w, 0, &len);

	assert_memory_equal(w->sent[0].bytes, everyone_mac, 6);
	assert_int_equal(frame_ip4(&w->sent[0])->source, 0);
	assert_int_equal(frame_ip4(&w->sent[0])->destination, UINT32_MAX);
	assert_memory_equal(script_option(m, len, 12), "box", 3);
	assert_non_null(script_option(m, len, 55));
	assert_null(dhcp_start(w->s, w->interface, &(struct dhcp_config){ 0 }));
	assert_null(dhcp_start(w->s, stack_loopback(w->s), &(struct dhcp_config){ 0 }));
	assert_null(dhcp_start(w->s, 99, &(struct dhcp_config){ 0 }));
	xid = script_expect(w, DHCP_DISCOVER, 0, 0, 0);
	script_give(w, script_full(DHCP_OFFER, xid, 3600));
	assert_int_equal(script_expect(w, DHCP_REQUEST, 0, OFFERED, ROUTER), xid);
	script_give(w, script_full(DHCP_ACK, xid, 3600));
	assert_int_equal(script_lease_of(d).state, DHCP_PROBING);
	assert_false(script_is_ours(w));
	nsec asked = w->now;

	world_run(w, w->now + 3999 * NSEC_PER_MSEC);  /* the least: 0 + 1 + 1 + 2 s */
	assert_false(script_is_ours(w));
	world_run(w, asked + 7001 * NSEC_PER_MSEC);   /* the most: 1 + 2 + 2 + 2 s */
	assert_int_equal(script_probes(w), 3);
	assert_true(script_is_ours(w));
	assert_int_equal(script_next_hop(w, FAR_AWAY), ROUTER);
	assert_int_equal(script_changes, 1);
	l = script_lease_of(d);
	assert_int_equal(l.state, DHCP_BOUND);
	assert_int_equal(ipaddr_ip4(&l.addr), OFFERED);
	assert_int_equal(ipaddr_ip4(&l.router), ROUTER);
	assert_int_equal(ipaddr_ip4(&l.server), ROUTER);
	assert_int_equal(l.prefix, 24);
	assert_int_equal(l.obtained, asked);
	assert_int_equal(l.renew, asked + 1800 * SECONDS);
	assert_int_equal(l.rebind, asked + 3150 * SECONDS);
	assert_int_equal(l.expires, asked + 3600 * SECONDS);
	assert_int_equal(l.discovers + l.requests + l.offers + l.acks, 4);
	assert_memory_equal(&script_told, &l, sizeof(l));
}

static void silence_is_met_by_longer_and_longer_waits(void **state)
{
	struct world *w = *state;
	nsec before = w->now;

	script_start(w);
	for (unsigned i = 0; i < 8; i++) {
		nsec least = (SECONDS * 4 << (i < 4 ? i : 4)) - SECONDS;
		uint32_t len = 0;
		const uint8_t *m = script_said(w, 0, &len);

		assert_int_equal(script_messages(w), 1);
		assert_int_equal(script_host16(m + 8), (w->now - before) / SECONDS);
		world_clear(w);
		world_run(w, w->now + least - 1);
		assert_int_equal(script_messages(w), 0);
		while (script_messages(w) == 0 && stack_deadline(w->s) <= w->now + 2 * SECONDS + 1)
			world_run(w, stack_deadline(w->s));
	}
}

static void a_request_without_answer_is_given_up_after_a_minute(void **state)
{
	struct world *w = *state;
	struct dhcp *d = script_start(w);
	uint32_t xid = script_expect(w, DHCP_DISCOVER, 0, 0, 0);

	script_give(w, script_full(DHCP_OFFER, xid, 3600));
	world_run(w, w->now + 55 * SECONDS);
	assert_int_equal(script_messages(w), 4);
	assert_int_equal(script_lease_of(d).state, DHCP_REQUESTING);
	world_run(w, w->now + 10 * SECONDS);
	assert_int_equal(script_lease_of(d).state, DHCP_SELECTING);
	world_clear(w);
	world_run(w, w->now + 10 * SECONDS);
	assert_int_not_equal(script_expect(w, DHCP_DISCOVER, 0, 0, 0), xid);
}

/* A stream of answers that all look right makes no stream of requests. */
static void a_storm_is_answered_with_less_than_a_packet_a_second(void **state)
{
	struct world *w = *state;
	nsec begin = w->now;
	unsigned sent = 0;
	uint32_t xid = 0, len;

	script_start(w);
	while (w->now < begin + 200 * SECONDS) {
		static const uint8_t types[] = { DHCP_OFFER, DHCP_NAK, DHCP_OFFER, DHCP_ACK, DHCP_NAK };
		const uint8_t *m;

		for (unsigned i = 0; (m = script_said(w, i, &len)); i++)
			xid = script_host32(m + 4);
		sent += w->sent_count;
		world_clear(w);
		for (unsigned i = 0; i < sizeof(types); i++)
			script_give(w, script_full(types[i], xid, 10));
		sent += w->sent_count;
		for (unsigned i = 0; (m = script_said(w, i, &len)); i++)
			xid = script_host32(m + 4);
		world_clear(w);
		world_run(w, w->now + 100 * NSEC_PER_MSEC);
	}
	assert_true(sent > 5);
	assert_true(sent < 200);
}

/* ---- an address that is in use ---- */

static void conflict_by(struct world *w, struct frame f)
{
	struct dhcp *d = script_start(w);
	uint32_t xid = script_expect(w, DHCP_DISCOVER, 0, 0, 0);

	script_give(w, script_full(DHCP_OFFER, xid, 3600));
	world_clear(w);
	script_give(w, script_full(DHCP_ACK, xid, 3600));
	world_run(w, w->now + 1500 * NSEC_PER_MSEC);
	assert_true(script_probes(w) > 0);
	world_clear(w);
	world_give(w, &f);
	assert_int_equal(script_expect(w, DHCP_DECLINE, 0, OFFERED, ROUTER), xid);
	assert_int_equal(script_lease_of(d).state, DHCP_INIT);
	assert_int_equal(script_lease_of(d).declines, 1);
	world_run(w, w->now + 9999 * NSEC_PER_MSEC);
	assert_int_equal(w->sent_count, 0);
	assert_false(script_is_ours(w));
	world_run(w, w->now + NSEC_PER_MSEC);
	assert_int_not_equal(script_expect(w, DHCP_DISCOVER, 0, 0, 0), xid);
	assert_int_equal(script_changes, 0);
}

static void an_answer_to_a_probe_declines_the_address(void **state)
{
	conflict_by(*state, arp_frame(ARP_REPLY, peer_mac, OFFERED, 0));
}

static void a_host_that_uses_the_address_declines_it(void **state)
{
	conflict_by(*state, arp_frame(ARP_REQUEST, peer_mac, OFFERED, PEER));
}

static void another_probe_for_the_address_declines_it(void **state)
{
	conflict_by(*state, arp_frame(ARP_REQUEST, peer_mac, 0, OFFERED));
}

static void our_own_probe_that_comes_back_is_no_conflict(void **state)
{
	struct world *w = *state;
	struct dhcp *d = script_start(w);
	uint32_t xid = script_expect(w, DHCP_DISCOVER, 0, 0, 0);
	struct frame f = arp_frame(ARP_REQUEST, us_mac, 0, OFFERED);

	script_give(w, script_full(DHCP_OFFER, xid, 3600));
	script_give(w, script_full(DHCP_ACK, xid, 3600));
	world_run(w, w->now + 1500 * NSEC_PER_MSEC);
	world_give(w, &f);
	assert_int_equal(script_lease_of(d).state, DHCP_PROBING);
}

static void an_address_of_another_interface_is_declined(void **state)
{
	struct world *w = *state;
	int vlan = stack_add_vlan(w->s, w->interface, 5, "vlan");
	struct ipaddr a = ipaddr_from_ip4(OFFERED);
	struct dhcp *d;
	uint32_t xid;

	assert_int_equal(stack_add_address(w->s, vlan, &a, 24), 0);
	world_run(w, w->now + 3 * SECONDS);
	world_clear(w);
	d = script_start(w);
	xid = script_expect(w, DHCP_DISCOVER, 0, 0, 0);
	script_give(w, script_full(DHCP_OFFER, xid, 3600));
	world_clear(w);
	script_give(w, script_full(DHCP_ACK, xid, 3600));
	script_expect(w, DHCP_DECLINE, 0, OFFERED, ROUTER);
	assert_int_equal(script_lease_of(d).state, DHCP_INIT);
}

/* ---- keeping and losing it ---- */

static void a_lease_is_renewed_by_unicast_at_t1(void **state)
{
	struct world *w = *state;
	struct dhcp *d = script_bound(w, 3600);
	nsec renew = script_lease_of(d).renew;
	struct frame f;
	uint32_t xid;

	world_run(w, renew - 1);
	assert_int_equal(w->sent_count, 0);
	world_run(w, renew);
	assert_int_equal(script_lease_of(d).state, DHCP_RENEWING);
	assert_memory_equal(w->sent[0].bytes, router_mac, 6);
	assert_int_equal(frame_ip4(&w->sent[0])->source, OFFERED);
	assert_int_equal(frame_ip4(&w->sent[0])->destination, ROUTER);
	xid = script_expect(w, DHCP_REQUEST, OFFERED, 0, 0);
	/* the pair of hosts has spoken before: the answer must reach the client on the short way too */
	f = icmp_frame(ROUTER, OFFERED, ICMP_ECHO, 0, 1, "", 0);
	world_give(w, &f);
	world_clear(w);
	script_give(w, script_full(DHCP_ACK, xid, 7200));
	assert_int_equal(w->sent_count, 0);
	assert_int_equal(script_lease_of(d).state, DHCP_BOUND);
	assert_int_equal(script_lease_of(d).expires, renew + 7200 * SECONDS);
	assert_int_equal(script_changes, 2);
	assert_true(script_is_ours(w));
}

static void renewal_is_repeated_then_broadcast_and_the_lease_expires(void **state)
{
	struct world *w = *state;
	struct dhcp *d = script_bound(w, 3600);
	struct dhcp_lease l = script_lease_of(d);
	unsigned unicast;

	world_run(w, l.rebind - 1);
	unicast = script_messages(w);
	/* half of what is left, but not within a minute: 1350 s > 675, 337.5, ... */
	assert_int_equal(unicast, 6);
	world_clear(w);
	world_run(w, l.rebind);
	assert_int_equal(script_lease_of(d).state, DHCP_REBINDING);
	assert_memory_equal(w->sent[0].bytes, everyone_mac, 6);
	assert_int_equal(frame_ip4(&w->sent[0])->source, OFFERED);
	script_expect(w, DHCP_REQUEST, OFFERED, 0, 0);
	world_run(w, l.expires - 1);
	assert_true(script_is_ours(w));
	assert_true(script_messages(w) >= 2 && script_messages(w) <= 4);
	world_clear(w);
	world_run(w, l.expires);
	assert_false(script_is_ours(w));
	assert_false(script_has_route(w, FAR_AWAY));
	assert_int_equal(script_changes, 2);
	assert_true(ipaddr_is_any(&script_told.addr));
	assert_int_equal(script_lease_of(d).state, DHCP_SELECTING);
	script_expect(w, DHCP_DISCOVER, 0, 0, 0);
}

static void any_server_may_answer_a_rebinding_with_another_router(void **state)
{
	struct world *w = *state;
	struct dhcp *d = script_bound(w, 3600);
	uint32_t xid, other = PEER;
	struct reply r;

	world_run(w, script_lease_of(d).rebind - 1);
	world_clear(w);
	world_run(w, w->now + 1);
	xid = script_expect(w, DHCP_REQUEST, OFFERED, 0, 0);
	r = script_full(DHCP_ACK, xid, 3600);
	memcpy(r.bytes + 245, &other, 4);
	memcpy(r.bytes + r.len - 4, &other, 4);
	script_give(w, r);
	assert_int_equal(script_lease_of(d).state, DHCP_BOUND);
	assert_int_equal(script_next_hop(w, FAR_AWAY), PEER);
	assert_int_equal(ipaddr_ip4(&script_told.server), PEER);
}

static void a_refusal_takes_the_address_at_once(void **state)
{
	struct world *w = *state;
	struct dhcp *d = script_bound(w, 3600);
	uint32_t xid;

	world_run(w, script_lease_of(d).renew);
	xid = script_expect(w, DHCP_REQUEST, OFFERED, 0, 0);
	script_give(w, script_bare(DHCP_NAK, xid, 0));
	assert_false(script_is_ours(w));
	assert_int_equal(script_lease_of(d).state, DHCP_INIT);
	assert_int_equal(script_lease_of(d).naks, 1);
	assert_int_equal(w->sent_count, 0);
	world_run(w, w->now + 2 * SECONDS);
	script_expect(w, DHCP_DISCOVER, 0, 0, 0);
}

static void an_endless_lease_is_never_renewed(void **state)
{
	struct world *w = *state;
	struct dhcp *d = script_bound(w, DHCP_ENDLESS);

	assert_true(script_lease_of(d).expires == NSEC_NEVER && script_lease_of(d).renew == NSEC_NEVER);
	world_run(w, w->now + 400000 * SECONDS);
	assert_int_equal(w->sent_count, 0);
}

static void times_of_the_server_are_kept_if_they_are_in_order(void **state)
{
	static const struct {
		uint32_t t1, t2, renew, rebind;
	} table[] = {
		{ 100, 200, 100, 200 }, { 0, 200, 200 / 2 + 1, 200 }, { 200, 100, 100 / 2 + 1, 100 }, { 5000, 6000, 500, 875 }, { 100, 0, 100, 875 },
	};

	for (unsigned i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct world *w;
		struct dhcp *d;
		struct reply r;
		uint32_t xid;

		world_teardown(state);
		script_setup(state);
		w = *state;
		d = script_start(w);
		xid = script_expect(w, DHCP_DISCOVER, 0, 0, 0);
		script_give(w, script_full(DHCP_OFFER, xid, 1000));
		r = script_full(DHCP_ACK, xid, 1000);
		if (table[i].t1)
			script_put32(&r, 58, be32(table[i].t1));
		if (table[i].t2)
			script_put32(&r, 59, be32(table[i].t2));
		script_give(w, r);
		world_run(w, w->now + 8 * SECONDS);
		assert_int_equal((script_lease_of(d).renew - script_lease_of(d).obtained) / SECONDS, table[i].renew);
		assert_int_equal((script_lease_of(d).rebind - script_lease_of(d).obtained) / SECONDS, table[i].rebind);
	}
}

static void a_turn_that_comes_after_the_end_finds_the_lease_over(void **state)
{
	struct world *w = *state;
	struct dhcp *d = script_bound(w, 3600);

	w->now += 5000 * SECONDS;
	world_turn(w);
	world_run(w, w->now + SECONDS);
	assert_false(script_is_ours(w));
	assert_int_equal(script_lease_of(d).state, DHCP_SELECTING);
	script_expect(w, DHCP_DISCOVER, 0, 0, 0);
}

static void stopping_releases_the_lease(void **state)
{
	struct world *w = *state;
	struct dhcp *d = script_bound(w, 3600);
	struct frame f = udp_frame(ROUTER, 67, OFFERED, 68, "x", 1);

	dhcp_stop(d);
	world_turn(w);
	assert_memory_equal(w->sent[0].bytes, router_mac, 6);
	script_expect(w, DHCP_RELEASE, OFFERED, 0, ROUTER);
	assert_false(script_is_ours(w));
	assert_false(script_has_route(w, ROUTER));
	assert_int_equal(script_changes, 1);
	EXPECT_DROP(w, &f, IP_DESTINATION);
	/* before there is a lease there is nothing to release */
	d = script_start(w);
	script_expect(w, DHCP_DISCOVER, 0, 0, 0);
	dhcp_stop(d);
	world_run(w, w->now + 100 * SECONDS);
	assert_int_equal(w->sent_count, 0);
}

/* ---- the carrier ---- */

static void a_carrier_that_returns_begins_anew_and_keeps_the_lease_meanwhile(void **state)
{
	struct world *w = *state;
	struct dhcp *d = script_bound(w, 3600);
	uint32_t xid;

	w->link.up = 0;
	world_run(w, w->now + 30 * SECONDS);
	assert_int_equal(w->sent_count, 0);
	assert_int_equal(script_lease_of(d).state, DHCP_INIT);
	w->link.up = 1;
	world_run(w, w->now);
	assert_true(script_is_ours(w));
	xid = script_expect(w, DHCP_DISCOVER, 0, OFFERED, 0);
	script_give(w, script_full(DHCP_OFFER, xid, 3600));
	script_expect(w, DHCP_REQUEST, 0, OFFERED, ROUTER);
	script_give(w, script_full(DHCP_ACK, xid, 3600));
	assert_int_equal(script_lease_of(d).state, DHCP_BOUND);  /* no probes: it is ours */
	/* and another network */
	w->link.up = 0;
	world_turn(w);
	w->link.up = 1;
	world_clear(w);
	world_run(w, w->now + SECONDS);
	xid = script_expect(w, DHCP_DISCOVER, 0, OFFERED, 0);
	struct reply r = script_full(DHCP_OFFER, xid, 3600);
	uint32_t other = be32(0x0b000005);

	memcpy(r.bytes + 16, &other, 4);
	script_give(w, r);
	script_expect(w, DHCP_REQUEST, 0, other, ROUTER);
	r.bytes[242] = DHCP_ACK;
	script_give(w, r);
	assert_true(script_is_ours(w));
	world_run(w, w->now + 8 * SECONDS);
	assert_false(script_is_ours(w));
	assert_int_equal(ipaddr_ip4(&script_told.addr), other);
}

static void without_carrier_nothing_is_sent_and_a_lease_still_expires(void **state)
{
	struct world *w = *state;
	struct dhcp *d = script_bound(w, 3600);

	w->link.up = 0;
	world_run(w, w->now + 4000 * SECONDS);
	assert_int_equal(w->sent_count, 0);
	assert_false(script_is_ours(w));
	assert_int_equal(script_lease_of(d).state, DHCP_INIT);
	dhcp_stop(d);
	d = dhcp_start(w->s, w->interface, &(struct dhcp_config){ 0 });
	world_run(w, w->now + 100 * SECONDS);
	assert_int_equal(w->sent_count, 0);
	w->link.up = 1;
	world_run(w, w->now);
	script_expect(w, DHCP_DISCOVER, 0, 0, 0);
	/* a carrier that flaps is followed once a second at most */
	for (unsigned i = 0; i < 100; i++) {
		w->link.up = i % 2;
		world_run(w, w->now + 100 * NSEC_PER_MSEC);
	}
	assert_true(script_messages(w) <= 10);
}

static void a_vlan_has_a_client_of_its_own(void **state)
{
	struct world *w = *state;
	int vlan = stack_add_vlan(w->s, w->interface, 5, "vlan");
	struct dhcp *d = dhcp_start(w->s, vlan, &(struct dhcp_config){ 0 });

	assert_non_null(d);
	world_turn(w);
	assert_int_equal(w->sent_count, 1);
	assert_int_equal(((struct eth_header *)w->sent[0].bytes)->type, be16(ETH_TYPE_VLAN));
	assert_int_equal(stack_remove_vlan(w->s, vlan), -EBUSY);
	dhcp_stop(d);
	assert_int_equal(stack_remove_vlan(w->s, vlan), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		script_test(an_address_is_asked_for_probed_and_set_with_its_router),
		script_test(silence_is_met_by_longer_and_longer_waits),
		script_test(a_request_without_answer_is_given_up_after_a_minute),
		script_test(a_storm_is_answered_with_less_than_a_packet_a_second),
		script_test(an_answer_to_a_probe_declines_the_address),
		script_test(a_host_that_uses_the_address_declines_it),
		script_test(another_probe_for_the_address_declines_it),
		script_test(our_own_probe_that_comes_back_is_no_conflict),
		script_test(an_address_of_another_interface_is_declined),
		script_test(a_lease_is_renewed_by_unicast_at_t1),
		script_test(renewal_is_repeated_then_broadcast_and_the_lease_expires),
		script_test(any_server_may_answer_a_rebinding_with_another_router),
		script_test(a_refusal_takes_the_address_at_once),
		script_test(an_endless_lease_is_never_renewed),
		script_test(times_of_the_server_are_kept_if_they_are_in_order),
		script_test(a_turn_that_comes_after_the_end_finds_the_lease_over),
		script_test(stopping_releases_the_lease),
		script_test(a_carrier_that_returns_begins_anew_and_keeps_the_lease_meanwhile),
		script_test(without_carrier_nothing_is_sent_and_a_lease_still_expires),
		script_test(a_vlan_has_a_client_of_its_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
