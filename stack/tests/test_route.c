/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/fixture.h"

#include <errno.h>

static int find(struct world *w, uint32_t source, uint32_t destination, struct path *path)
{
	struct ipaddr from = ipaddr_from_ip4(source), to = ipaddr_from_ip4(destination);

	return route_find(w->s, source ? &from : NULL, &to, path);
}

static int add(struct world *w, uint32_t to, unsigned prefix, uint32_t gateway, int interface)
{
	struct ipaddr t = ipaddr_from_ip4(to), g = ipaddr_from_ip4(gateway);

	return stack_add_route(w->s, &t, prefix, &g, interface);
}

static void neighbours_are_on_link_and_the_rest_goes_to_the_router(void **state)
{
	struct world *w = *state;
	struct path path;

	assert_int_equal(find(w, 0, PEER, &path), 0);
	assert_int_equal(ipaddr_ip4(&path.next_hop), PEER);
	assert_int_equal(ipaddr_ip4(&path.source), US);
	assert_int_equal(path.interface, w->interface);
	assert_int_equal(path.mtu, 1500);
	assert_int_equal(find(w, 0, FAR_AWAY, &path), 0);
	assert_int_equal(ipaddr_ip4(&path.next_hop), ROUTER);
	assert_int_equal(ipaddr_ip4(&path.destination), FAR_AWAY);
}

static void the_longest_prefix_wins_in_any_order_of_adding(void **state)
{
	struct world *w = *state;
	struct path path;

	assert_int_equal(add(w, be32(0xc0000200), 24, be32(0x0a000010), 0), 0);
	assert_int_equal(add(w, be32(0xc0000000), 8, be32(0x0a000011), 0), 0);
	assert_int_equal(add(w, be32(0xc0000201), 32, be32(0x0a000012), 0), 0);
	assert_int_equal(add(w, be32(0xc0000201), 32, be32(0x0a000012), 0), -EEXIST);
	assert_int_equal(find(w, 0, be32(0xc0000201), &path), 0);
	assert_int_equal(ipaddr_ip4(&path.next_hop), be32(0x0a000012));
	assert_int_equal(find(w, 0, be32(0xc0000202), &path), 0);
	assert_int_equal(ipaddr_ip4(&path.next_hop), be32(0x0a000010));
	assert_int_equal(find(w, 0, be32(0xc0010202), &path), 0);
	assert_int_equal(ipaddr_ip4(&path.next_hop), be32(0x0a000011));
	struct ipaddr to = ipaddr_from_ip4(be32(0xc0000201));
	uint32_t generation = w->s->route_generation;

	assert_int_equal(stack_remove_route(w->s, &to, 32), 0);
	assert_int_equal(stack_remove_route(w->s, &to, 32), -ESRCH);
	assert_true(generation != w->s->route_generation);
	assert_int_equal(find(w, 0, be32(0xc0000201), &path), 0);
	assert_int_equal(ipaddr_ip4(&path.next_hop), be32(0x0a000010));
}

static void without_a_router_only_neighbours_are_reached(void **state)
{
	struct world *w = *state;
	struct ipaddr any = ipaddr_from_ip4(0), far = ipaddr_from_ip4(FAR_AWAY), peer = ipaddr_from_ip4(PEER);
	struct path path;

	assert_int_equal(stack_remove_route(w->s, &any, 0), 0);
	assert_int_equal(find(w, 0, FAR_AWAY, &path), -ENETUNREACH);
	assert_false(stack_has_route(w->s, &far));
	assert_true(stack_has_route(w->s, &peer));
	assert_int_equal(find(w, 0, PEER, &path), 0);
	assert_int_equal(find(w, 0, 0, &path), -ENETUNREACH);
}

static void a_gateway_must_be_a_neighbour(void **state)
{
	struct world *w = *state;

	assert_int_equal(add(w, be32(0xc0000200), 24, FAR_AWAY, 0), -ENETUNREACH);
	assert_int_equal(add(w, be32(0xc0000200), 24, US, 0), -ENETUNREACH);
	assert_int_equal(add(w, be32(0xc0000200), 33, PEER, 0), -EINVAL);
	assert_int_equal(add(w, be32(0xc0000200), 24, 0, 0), -ENODEV);
	assert_int_equal(add(w, be32(0xc0000200), 24, 0, w->interface), 0);
}

static void own_and_loopback_destinations_stay_inside(void **state)
{
	struct world *w = *state;
	struct path path;

	assert_int_equal(find(w, 0, US, &path), 0);
	assert_int_equal(path.interface, stack_loopback(w->s));
	assert_int_equal(ipaddr_ip4(&path.source), US);
	assert_int_equal(find(w, 0, be32(0x7f010203), &path), 0);
	assert_int_equal(path.interface, stack_loopback(w->s));
	assert_int_equal(ipaddr_ip4(&path.source), LOCALHOST);
	assert_int_equal(path.mtu, 65535);
	assert_int_equal(find(w, LOCALHOST, PEER, &path), -EINVAL);
	assert_int_equal(find(w, STRANGER, PEER, &path), -EADDRNOTAVAIL);
}

static void the_source_fits_the_next_hop(void **state)
{
	struct world *w = *state;
	struct ipaddr second = ipaddr_from_ip4(be32(0x0b000001));
	struct path path;

	assert_int_equal(stack_add_address(w->s, w->interface, &second, 16), 0);
	assert_int_equal(find(w, 0, be32(0x0b000077), &path), 0);
	assert_int_equal(ipaddr_ip4(&path.source), be32(0x0b000001));
	assert_int_equal(find(w, be32(0x0b000001), PEER, &path), 0);
	assert_int_equal(ipaddr_ip4(&path.source), be32(0x0b000001));
	assert_int_equal(stack_remove_address(w->s, w->interface, &second), 0);
	assert_int_equal(stack_remove_address(w->s, w->interface, &second), -EADDRNOTAVAIL);
	assert_false(stack_is_own(w->s, &second));
	/* its network went with it */
	assert_int_equal(find(w, 0, be32(0x0b000077), &path), 0);
	assert_int_equal(ipaddr_ip4(&path.next_hop), ROUTER);
}

static void impossible_addresses_are_refused(void **state)
{
	const uint32_t bad[] = { 0, be32(0xe0000001), UINT32_MAX, LOCALHOST, be32(0xf0000001) };
	struct world *w = *state;
	struct ipaddr us = ipaddr_from_ip4(US), v6 = { .bytes = { 0x20, 1 } };

	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct ipaddr a = ipaddr_from_ip4(bad[i]);

		assert_int_equal(stack_add_address(w->s, w->interface, &a, 24), -EINVAL);
	}
	assert_int_equal(stack_add_address(w->s, w->interface, &v6, 24), -EINVAL);
	assert_int_equal(stack_add_address(w->s, w->interface, &us, 24), -EEXIST);
	assert_int_equal(stack_add_address(w->s, 77, &us, 24), -ENODEV);
	assert_int_equal(stack_add_address(w->s, -1, &us, 24), -ENODEV);
}

static void routes_and_interfaces_can_be_listed(void **state)
{
	struct world *w = *state;
	struct stack_route r;
	struct stack_interface i;
	uint32_t cursor = 0;

	assert_true(stack_walk_routes(w->s, &cursor, &r));
	assert_int_equal(r.prefix, 24);
	assert_true(ipaddr_is_any(&r.gateway));
	assert_true(stack_walk_routes(w->s, &cursor, &r));
	assert_int_equal(r.prefix, 0);
	assert_int_equal(ipaddr_ip4(&r.gateway), ROUTER);
	assert_int_equal(ipaddr_ip4(&r.source), US);
	assert_false(stack_walk_routes(w->s, &cursor, &r));
	assert_true(stack_interface(w->s, w->interface, &i));
	assert_string_equal(i.name, "eth0");
	assert_int_equal(ipaddr_ip4(&i.addr), US);
	assert_int_equal(i.prefix, 24);
	assert_false(stack_interface(w->s, 0, &i));
	assert_false(stack_interface(w->s, 5, &i));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		world_test(neighbours_are_on_link_and_the_rest_goes_to_the_router),
		world_test(the_longest_prefix_wins_in_any_order_of_adding),
		world_test(without_a_router_only_neighbours_are_reached),
		world_test(a_gateway_must_be_a_neighbour),
		world_test(own_and_loopback_destinations_stay_inside),
		world_test(the_source_fits_the_next_hop),
		world_test(impossible_addresses_are_refused),
		world_test(routes_and_interfaces_can_be_listed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
