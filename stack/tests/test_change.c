/* SPDX-License-Identifier: BSD-3-Clause */
/* Addresses, routes, neighbours and links that change while they are in use (route.c, neighbor.c, stack.c, ip4.c). */
#include "tests/harness.h"

#include "tests/fixture.h"

#include <errno.h>

#define SECOND be32(0x0a000009)      /* in the same net */
#define OTHER be32(0x0b000001)       /* 11.0.0.1/16 */

static int add_address(struct world *w, uint32_t ip4, unsigned prefix)
{
	struct ipaddr a = ipaddr_from_ip4(ip4);

	return stack_add_address(w->s, w->interface, &a, prefix);
}

static int remove_address(struct world *w, uint32_t ip4)
{
	struct ipaddr a = ipaddr_from_ip4(ip4);

	return stack_remove_address(w->s, w->interface, &a);
}

static bool has_route(struct world *w, uint32_t ip4)
{
	struct ipaddr a = ipaddr_from_ip4(ip4);

	return stack_has_route(w->s, &a);
}

static int64_t say(struct world *w, ep_id id, uint32_t to)
{
	struct ep_name name = name_of(to, 7);
	int64_t n = ep_send_to(w->s, id, "x", 1, &name);

	world_turn(w);
	return n;
}

static unsigned arps_of(struct world *w, uint32_t sender, uint32_t target)
{
	unsigned n = 0;

	for (unsigned i = 0; i < w->sent_count; i++) {
		struct arp_packet *arp = (struct arp_packet *)(w->sent[i].bytes + sizeof(struct eth_header));

		n += ((struct eth_header *)w->sent[i].bytes)->type == be16(ETH_TYPE_ARP) && arp->operation == be16(ARP_REQUEST) &&
		     arp->sender_ip == sender && arp->target_ip == target;
	}
	return n;
}

/* ---- addresses and routes ---- */

static void several_addresses_are_listed_answered_and_taken_one_by_one(void **state)
{
	struct world *w = *state;
	struct frame f = arp_frame(ARP_REQUEST, peer_mac, PEER, SECOND);
	struct ipaddr a;
	unsigned prefix;

	assert_int_equal(add_address(w, SECOND, 24), 0);
	assert_int_equal(add_address(w, OTHER, 16), 0);
	assert_true(stack_interface_address(w->s, w->interface, 0, &a, &prefix));
	assert_int_equal(ipaddr_ip4(&a), US);
	assert_true(stack_interface_address(w->s, w->interface, 2, &a, &prefix));
	assert_int_equal(ipaddr_ip4(&a), OTHER);
	assert_int_equal(prefix, 16);
	assert_false(stack_interface_address(w->s, w->interface, 3, &a, &prefix));
	assert_false(stack_interface_address(w->s, 0, 0, &a, &prefix));
	assert_false(stack_interface_address(w->s, 77, 0, &a, &prefix));
	world_run(w, w->now + 3 * NSEC_PER_SEC);
	world_clear(w);
	world_give(w, &f);
	assert_int_equal(w->sent_count, 1);
	/* the net stays with the first as long as the second needs it */
	assert_int_equal(remove_address(w, US), 0);
	assert_true(has_route(w, PEER));
	assert_true(stack_interface_address(w->s, w->interface, 0, &a, &prefix));
	assert_int_equal(ipaddr_ip4(&a), SECOND);
	assert_int_equal(remove_address(w, SECOND), 0);
	f = arp_frame(ARP_REQUEST, peer_mac, PEER, SECOND);
	world_clear(w);
	world_give(w, &f);
	assert_int_equal(w->sent_count, 0);
	for (unsigned i = 1; i < INTERFACE_ADDRESSES; i++)
		assert_int_equal(add_address(w, be32(0x0c000001 + i), 24), 0);
	assert_int_equal(add_address(w, be32(0x0d000001), 24), -ENOBUFS);
}

static void an_interface_without_address_leads_nowhere_until_it_has_one(void **state)
{
	struct world *w = *state;
	ep_id id = udp_socket(w, 0, 0);

	assert_true(has_route(w, FAR_AWAY));
	assert_int_equal(remove_address(w, US), 0);
	assert_false(has_route(w, FAR_AWAY));
	assert_int_equal(say(w, id, FAR_AWAY), -ENETUNREACH);
	assert_int_equal(say(w, id, PEER), -ENETUNREACH);
	assert_int_equal(add_address(w, US, 24), 0);
	assert_int_equal(say(w, id, FAR_AWAY), 1);
}

static void a_datagram_socket_of_a_lost_address_cannot_send(void **state)
{
	struct world *w = *state;
	struct frame f = udp_frame(PEER, 7, SECOND, 99, "x", 1);
	ep_id id;

	assert_int_equal(add_address(w, SECOND, 24), 0);
	id = udp_socket(w, SECOND, 99);
	assert_int_equal(say(w, id, PEER), 1);
	assert_int_equal(remove_address(w, SECOND), 0);
	world_run(w, w->now + 3 * NSEC_PER_SEC);
	assert_int_equal(say(w, id, PEER), -EINVAL);
	EXPECT_DROP(w, &f, IP_DESTINATION);
	assert_int_equal(add_address(w, SECOND, 24), 0);
	assert_int_equal(say(w, id, PEER), 1);
}

static void of_routes_to_one_prefix_the_named_one_goes(void **state)
{
	struct world *w = *state;
	struct ipaddr to = ipaddr_from_ip4(be32(0xc6336400)), one = ipaddr_from_ip4(be32(0x0a000010));
	struct ipaddr two = ipaddr_from_ip4(be32(0x0a000011)), link = ipaddr_from_ip4(0), host = ipaddr_from_ip4(be32(0xc6336407));
	struct path path;

	assert_int_equal(stack_add_route(w->s, &to, 24, &one, 0), 0);
	assert_int_equal(stack_add_route(w->s, &to, 24, &two, 0), 0);
	assert_int_equal(stack_add_route(w->s, &to, 24, &link, w->interface), 0);
	assert_int_equal(stack_remove_route_by(w->s, &to, 24, &two, 77), -ESRCH);
	assert_int_equal(stack_remove_route_by(w->s, &to, 25, &two, 0), -ESRCH);
	assert_int_equal(stack_remove_route_by(w->s, &to, 24, &two, w->interface), 0);
	assert_int_equal(stack_remove_route_by(w->s, &to, 24, &two, 0), -ESRCH);
	assert_int_equal(route_find(w->s, NULL, &host, &path), 0);
	assert_int_equal(ipaddr_ip4(&path.next_hop), be32(0x0a000010));
	/* without more said, the one in use */
	assert_int_equal(stack_remove_route(w->s, &to, 24), 0);
	assert_int_equal(route_find(w->s, NULL, &host, &path), 0);
	assert_int_equal(ipaddr_ip4(&path.next_hop), ipaddr_ip4(&host));
	assert_int_equal(stack_remove_route_by(w->s, &to, 24, &one, 0), -ESRCH);
	assert_int_equal(stack_remove_route_by(w->s, &to, 24, &link, 0), 0);
	assert_int_equal(stack_remove_route(w->s, &to, 24), -ESRCH);
	assert_int_equal(stack_remove_route(w->s, &to, 33), -ESRCH);
}

/* ---- connections ---- */

static int of_only_link(struct harness_host *h, bool add)
{
	return add ? stack_add_address(h->stack, 2, &h->addr, 24) : stack_remove_address(h->stack, 2, &h->addr);
}

static void a_connection_whose_address_goes_is_silent_and_times_out(void **state)
{
	struct harness_host *h = harness_host_new(1, NULL, 0);
	struct harness_peer p = { 0 };
	ep_id id = harness_accepted(h, &p, 1460);

	(void)state;
	assert_int_equal(of_only_link(h, false), 0);
	assert_int_equal(ep_send(h->stack, id, "hello", 5), 5);
	harness_pass(h, 60 * NSEC_PER_SEC);
	harness_expect_none(h);
	assert_int_equal(harness_state(h, id), TCP_ESTABLISHED);
	harness_pass(h, 3600 * NSEC_PER_SEC);
	harness_expect_none(h);
	assert_true(ep_ready(h->stack, id) & EP_ERROR);
	assert_int_equal(ep_take_error(h->stack, id), ETIMEDOUT);
	harness_host_free(h);
}

static void a_connection_goes_on_when_its_address_comes_back(void **state)
{
	struct harness_host *h = harness_host_new(1, NULL, 0);
	struct harness_peer p = { 0 };
	ep_id id = harness_accepted(h, &p, 1460);

	(void)state;
	assert_int_equal(of_only_link(h, false), 0);
	assert_int_equal(ep_send(h->stack, id, "hello", 5), 5);
	/* what the peer says meanwhile is for nobody */
	harness_send(h, &p, (struct tcp_segment){ .flags = SEG_ACK, .payload = (const uint8_t *)"x", .len = 1 });
	harness_turn(h);
	assert_int_equal(harness_drops(h, DROP_IP_DESTINATION), 1);
	harness_pass(h, 20 * NSEC_PER_SEC);
	harness_expect_none(h);
	assert_int_equal(of_only_link(h, true), 0);
	harness_pass(h, 60 * NSEC_PER_SEC);
	assert_int_equal(harness_expect(h, SEG_ACK | SEG_PSH).len, 5);
	harness_host_free(h);
}

static void a_connection_without_a_way_does_not_even_acknowledge(void **state)
{
	struct harness_host *a = harness_host_new(1, NULL, 0), *b = harness_host_new(2, NULL, 0);
	struct ep_name to = { harness_addr(1), OUR_PORT };
	ep_id listener = harness_listen(a, OUR_PORT, 4), id, child;
	uint64_t before;

	(void)state;
	harness_join(a, b);
	assert_int_equal(ep_open(b->stack, EP_STREAM, 1, NULL, &id), 0);
	assert_int_equal(ep_connect(b->stack, id, &to), -EINPROGRESS);
	harness_run(a, b, b->now + NSEC_PER_SEC);
	assert_int_equal(ep_accept(a->stack, listener, &child, NULL), 0);
	assert_int_equal(stack_remove_route(a->stack, &(struct ipaddr){ .bytes = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 10 } }, 24), 0);
	before = harness_drops(a, DROP_IP_NO_ROUTE);
	assert_int_equal(ep_send(b->stack, id, "hello", 5), 5);
	harness_run(a, b, b->now + NSEC_PER_SEC);
	assert_true(harness_drops(a, DROP_IP_NO_ROUTE) > before);
	harness_host_free(a);
	harness_host_free(b);
}

/* ---- neighbours ---- */

static void a_removed_neighbour_is_asked_for_again(void **state)
{
	struct world *w = *state;
	struct ipaddr peer = ipaddr_from_ip4(PEER), stranger = ipaddr_from_ip4(STRANGER);
	ep_id id = udp_socket(w, 0, 0);

	assert_int_equal(say(w, id, PEER), 1);
	assert_int_equal(arps_of(w, US, PEER), 0);
	assert_int_equal(stack_remove_neighbour(w->s, w->interface, &peer), 0);
	assert_int_equal(stack_remove_neighbour(w->s, w->interface, &peer), -ENOENT);
	assert_int_equal(stack_remove_neighbour(w->s, w->interface, &stranger), -ENOENT);
	assert_int_equal(stack_remove_neighbour(w->s, 77, &peer), -ENODEV);
	assert_int_equal(say(w, id, PEER), 1);
	assert_int_equal(arps_of(w, US, PEER), 1);
	/* what waits for an answer goes with the entry */
	assert_int_equal(w->s->packets_held, 1);
	assert_int_equal(stack_remove_neighbour(w->s, w->interface, &peer), 0);
	assert_int_equal(w->s->packets_held, 0);
	assert_int_equal(dropped(w, DROP_NEIGHBOUR_GONE), 1);
}

/* ---- links ---- */

static void what_was_queued_is_dropped_when_the_carrier_goes(void **state)
{
	struct world *w = *state;
	ep_id id = udp_socket(w, 0, 0);
	struct stack_memory m;

	w->accepts = 0;
	for (unsigned i = 0; i < 5; i++)
		say(w, id, PEER);
	w->link.up = 0;
	assert_true(stack_deadline(w->s) <= w->now);
	world_turn(w);
	assert_int_equal(dropped(w, DROP_LINK_DOWN), 5);
	stack_memory(w->s, &m);
	assert_int_equal(m.packets_held, 0);
	assert_int_equal(w->lent, 0);
	assert_true(stack_deadline(w->s) > w->now);
	say(w, id, PEER);
	assert_int_equal(dropped(w, DROP_LINK_DOWN), 6);
}

static void a_returned_carrier_announces_every_address_and_asks_for_neighbours_anew(void **state)
{
	struct world *w = *state;
	struct frame f = arp_frame(ARP_REQUEST, peer_mac, PEER, US);
	struct ipaddr there = ipaddr_from_ip4(be32(0x0a640001));
	ep_id id = udp_socket(w, 0, 0);
	int vlan = stack_add_vlan(w->s, w->interface, 100, "vlan");

	assert_int_equal(stack_add_address(w->s, vlan, &there, 24), 0);
	assert_int_equal(add_address(w, SECOND, 24), 0);
	world_give(w, &f);  /* the peer is known */
	world_run(w, w->now + 3 * NSEC_PER_SEC);
	w->link.up = 0;
	world_turn(w);
	world_run(w, w->now + NSEC_PER_SEC);
	world_clear(w);
	w->link.up = 1;
	world_run(w, w->now + NSEC_PER_SEC);
	assert_int_equal(arps_of(w, US, US), 1);
	assert_int_equal(arps_of(w, SECOND, SECOND), 1);
	assert_int_equal(w->sent_count, 3);  /* and the VLAN's, with its tag */
	world_run(w, w->now + 2 * NSEC_PER_SEC);
	assert_int_equal(arps_of(w, US, US), 2);
	assert_int_equal(w->sent_count, 6);
	world_clear(w);
	say(w, id, PEER);
	assert_int_equal(arps_of(w, US, PEER), 1);
	assert_int_equal(w->sent_count, 1);
}

static void who_waited_for_an_answer_when_the_carrier_went_gets_it_afterwards(void **state)
{
	struct world *w = *state;
	struct frame reply = arp_frame(ARP_REPLY, peer_mac, PEER, US);
	ep_id id = udp_socket(w, 0, 0);

	say(w, id, PEER);
	w->link.up = 0;
	world_run(w, w->now + 2500 * NSEC_PER_MSEC);
	w->link.up = 1;
	world_clear(w);
	world_run(w, w->now + NSEC_PER_SEC);
	assert_int_equal(arps_of(w, US, PEER), 1);
	world_clear(w);
	world_give(w, &reply);
	assert_int_equal(w->sent_count, 1);
	frame_verify(&w->sent[0]);
}

static void permanent_neighbours_outlive_the_carrier(void **state)
{
	struct world *w = *state;
	ep_id id = udp_socket(w, 0, 0);

	w->link.up = 0;
	world_turn(w);
	w->link.up = 1;
	world_run(w, w->now + 3 * NSEC_PER_SEC);
	world_clear(w);
	say(w, id, PEER);
	assert_int_equal(w->sent_count, 1);
	frame_verify(&w->sent[0]);
}

static void a_limited_mtu_holds_for_paths_that_are_kept_and_new_ones(void **state)
{
	struct world *w = *state;
	struct ipaddr there = ipaddr_from_ip4(PEER);
	struct stack_interface i;
	struct path path;
	uint32_t generation;

	assert_int_equal(route_find(w->s, NULL, &there, &path), 0);
	assert_int_equal(path.mtu, 1500);
	generation = w->s->route_generation;
	stack_limit_mtu(w->s, w->interface, 1400);
	assert_int_not_equal(w->s->route_generation, generation);
	assert_int_equal(route_find(w->s, NULL, &there, &path), 0);
	assert_int_equal(path.mtu, 1400);
	assert_true(stack_interface(w->s, w->interface, &i));
	assert_int_equal(i.mtu_limit, 1400);
	stack_limit_mtu(w->s, w->interface, 0);
	assert_int_equal(route_find(w->s, NULL, &there, &path), 0);
	assert_int_equal(path.mtu, 1500);
	stack_limit_mtu(w->s, 15, 1400);    /* there is none */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		world_test(several_addresses_are_listed_answered_and_taken_one_by_one),
		world_test(an_interface_without_address_leads_nowhere_until_it_has_one),
		world_test(a_datagram_socket_of_a_lost_address_cannot_send),
		world_test(of_routes_to_one_prefix_the_named_one_goes),
		cmocka_unit_test(a_connection_whose_address_goes_is_silent_and_times_out),
		cmocka_unit_test(a_connection_goes_on_when_its_address_comes_back),
		cmocka_unit_test(a_connection_without_a_way_does_not_even_acknowledge),
		world_test(a_removed_neighbour_is_asked_for_again),
		world_test(what_was_queued_is_dropped_when_the_carrier_goes),
		world_test_unknown(a_returned_carrier_announces_every_address_and_asks_for_neighbours_anew),
		world_test_unknown(who_waited_for_an_answer_when_the_carrier_went_gets_it_afterwards),
		world_test(permanent_neighbours_outlive_the_carrier),
		world_test(a_limited_mtu_holds_for_paths_that_are_kept_and_new_ones),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
