/* SPDX-License-Identifier: BSD-3-Clause */
/* Who may bind to what: the table of Linux. */
#include "tests/fixture.h"

#include <errno.h>

#include "steer.h"

enum { PLAIN = 0, ADDR = 1, PORT = 2 };

static ep_id opened(struct world *w, enum ep_type type, int flags)
{
	ep_id id;

	assert_int_equal(ep_open(w->s, type, 1, NULL, &id), 0);
	assert_int_equal(ep_set(w->s, id, EP_REUSE_ADDR, flags & ADDR), 0);
	assert_int_equal(ep_set(w->s, id, EP_REUSE_PORT, flags & PORT), 0);
	return id;
}

static int bind_to(struct world *w, ep_id id, uint32_t ip4, uint16_t port)
{
	struct ep_name name = name_of(ip4, port);

	return ep_bind(w->s, id, &name);
}

static void a_second_bind_follows_the_table(void **state)
{
	static const struct {
		enum ep_type type;
		uint32_t first_addr, second_addr;
		int first, second;
		bool listens;
		int expected;
	} table[] = {
		{ EP_STREAM, 0, 0, PLAIN, PLAIN, false, -EADDRINUSE },
		{ EP_STREAM, 0, 0, ADDR, ADDR, false, 0 },
		{ EP_STREAM, 0, 0, ADDR, ADDR, true, -EADDRINUSE },
		{ EP_STREAM, 0, 0, ADDR, PLAIN, false, -EADDRINUSE },
		{ EP_STREAM, 0, 0, PORT, PORT, true, 0 },
		{ EP_STREAM, 0, 0, PORT, ADDR, true, -EADDRINUSE },
		{ EP_STREAM, 0x0100000a, 0x0100007f, PLAIN, PLAIN, true, 0 },
		{ EP_STREAM, 0, 0x0100007f, PLAIN, PLAIN, true, -EADDRINUSE },
		{ EP_DATAGRAM, 0, 0, PLAIN, PLAIN, false, -EADDRINUSE },
		{ EP_DATAGRAM, 0, 0, ADDR, ADDR, false, 0 },
		{ EP_DATAGRAM, 0, 0, PORT, PORT, false, 0 },
		{ EP_DATAGRAM, 0, 0, PORT, PLAIN, false, -EADDRINUSE },
		{ EP_DATAGRAM, 0x0100000a, 0x0100007f, PLAIN, PLAIN, false, 0 },
	};
	struct world *w = *state;

	for (unsigned i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		ep_id a = opened(w, table[i].type, table[i].first), b = opened(w, table[i].type, table[i].second);
		int result;

		assert_int_equal(bind_to(w, a, table[i].first_addr, 8000), 0);
		if (table[i].listens)
			assert_int_equal(ep_listen(w->s, a, 5), 0);
		result = bind_to(w, b, table[i].second_addr, 8000);
		if (result != table[i].expected)
			fail_msg("row %u: %d", i, result);
		ep_abort(w->s, a);
		ep_abort(w->s, b);
		assert_null(stack_check(w->s));
	}
}

static void types_have_ports_of_their_own(void **state)
{
	struct world *w = *state;

	assert_int_equal(bind_to(w, opened(w, EP_STREAM, 0), 0, 8000), 0);
	assert_int_equal(bind_to(w, opened(w, EP_DATAGRAM, 0), 0, 8000), 0);
}

static void only_one_of_two_that_share_may_listen(void **state)
{
	struct world *w = *state;
	ep_id a = opened(w, EP_STREAM, ADDR), b = opened(w, EP_STREAM, ADDR);

	assert_int_equal(bind_to(w, a, 0, 8000), 0);
	assert_int_equal(bind_to(w, b, US, 8000), 0);
	assert_int_equal(ep_listen(w->s, a, 5), 0);
	assert_int_equal(ep_listen(w->s, b, 5), -EADDRINUSE);
}

static void addresses_that_are_not_ours_need_freebind(void **state)
{
	struct world *w = *state;
	ep_id id = opened(w, EP_STREAM, 0);

	assert_int_equal(bind_to(w, id, STRANGER, 8000), -EADDRNOTAVAIL);
	assert_int_equal(bind_to(w, id, be32(0x0a0000ff), 8000), -EADDRNOTAVAIL);
	assert_int_equal(ep_set(w->s, id, EP_FREEBIND, 1), 0);
	assert_int_equal(bind_to(w, id, STRANGER, 8000), 0);
	assert_int_equal(bind_to(w, id, STRANGER, 8001), -EINVAL);
	assert_int_equal(bind_to(w, opened(w, EP_DATAGRAM, 0), be32(0x0a0000ff), 8000), 0);
	assert_int_equal(bind_to(w, opened(w, EP_DATAGRAM, 0), LOCALHOST, 8000), 0);
}

static void port_zero_chooses_a_free_one_in_the_range_by_chance(void **state)
{
	struct world *w = *state;
	unsigned ascending = 0;
	uint16_t last = 0;

	for (unsigned i = 0; i < 100; i++) {
		ep_id id = opened(w, EP_DATAGRAM, 0);
		struct ep_name name;

		assert_int_equal(bind_to(w, id, 0, 0), 0);
		assert_int_equal(ep_local(w->s, id, &name), 0);
		assert_in_range(name.port, 32768, 60999);
		ascending += name.port > last;
		last = name.port;
	}
	assert_in_range(ascending, 25, 75);
}

static void source_ports_differ_by_peer_and_rise_for_one(void **state)
{
	struct world *w = *state;
	struct ipaddr us = ipaddr_from_ip4(US);
	struct ep_name peer = name_of(PEER, 80), other = name_of(STRANGER, 80);
	struct flow flow = { .key = { .local = us, .remote = peer.addr, .remote_port = 80 } };
	uint16_t a = port_choose(w->s, EP_STREAM, &us, &peer), b = port_choose(w->s, EP_STREAM, &us, &other);
	uint16_t c = port_choose(w->s, EP_STREAM, &us, &peer);

	assert_in_range(a, 32768, 60999);
	assert_int_not_equal(a, b);
	assert_int_equal((uint16_t)(c - a), 1);
	/* a four-tuple in use is passed over, and so is a port that somebody bound */
	flow.key.local_port = (uint16_t)(c + 1);
	flow_insert(w->s, &flow);
	assert_int_equal(bind_to(w, opened(w, EP_STREAM, 0), 0, (uint16_t)(c + 2)), 0);
	assert_int_equal(port_choose(w->s, EP_STREAM, &us, &peer), c + 3);
	/* and a port with a connection is kept from who binds without reuse */
	assert_int_equal(bind_to(w, opened(w, EP_STREAM, 0), 0, (uint16_t)(c + 1)), -EADDRINUSE);
	assert_int_equal(bind_to(w, opened(w, EP_STREAM, ADDR), 0, (uint16_t)(c + 1)), 0);
	flow_remove(w->s, &flow);
}

static void members_of_a_group_share_by_hash(void **state)
{
	struct world *w = *state;
	unsigned hits[4] = { 0 };
	struct endpoint *members[4];

	for (unsigned i = 0; i < 4; i++) {
		ep_id id = opened(w, EP_DATAGRAM, PORT);

		assert_int_equal(bind_to(w, id, 0, 8000), 0);
		members[i] = ep_find(w->s, id);
	}
	for (uint16_t port = 1; port <= 1000; port++) {
		struct flow_key key = { ipaddr_from_ip4(US), ipaddr_from_ip4(PEER), 8000, port };
		struct endpoint *ep = port_lookup(w->s, EP_DATAGRAM, &key);

		assert_ptr_equal(ep, port_lookup(w->s, EP_DATAGRAM, &key));
		for (unsigned i = 0; i < 4; i++)
			hits[i] += ep == members[i];
	}
	for (unsigned i = 0; i < 4; i++)
		assert_in_range(hits[i], 180, 320);
}

static void the_flow_table_finds_what_was_inserted_and_only_that(void **state)
{
	static struct flow flows[3000];
	struct world *w = *state;

	for (unsigned i = 0; i < 3000; i++) {
		flows[i].key = (struct flow_key){ ipaddr_from_ip4(US), ipaddr_from_ip4(be32(0x0a000100 + i / 10)), 80,
						  (uint16_t)(1000 + i % 10) };
		flow_insert(w->s, &flows[i]);
	}
	assert_null(stack_check(w->s));
	for (unsigned i = 0; i < 3000; i += 2)
		flow_remove(w->s, &flows[i]);
	for (unsigned i = 0; i < 3000; i++)
		assert_ptr_equal(flow_find(w->s, &flows[i].key), i % 2 ? &flows[i] : NULL);
	for (unsigned i = 1; i < 3000; i += 2)
		flow_remove(w->s, &flows[i]);
	assert_int_equal(w->s->flow_count, 0);
}

/* ---- one core of several ---- */

#define CORES 4u
#define CORE 2u

static struct steer steer;

static int one_core_setup(void **state)
{
	struct ipaddr peer = ipaddr_from_ip4(PEER), router = ipaddr_from_ip4(ROUTER);
	struct stack_config config;
	struct world *w;

	steer_init(&steer, CORES);
	world_config(&config);
	config.core = CORE;
	config.steer = &steer;
	w = *state = world_new(&config);
	assert_int_equal(stack_add_neighbour(w->s, w->interface, &peer, peer_mac), 0);
	assert_int_equal(stack_add_neighbour(w->s, w->interface, &router, router_mac), 0);
	return 0;
}

static void a_port_is_bound_at_home_only_but_by_a_shadow_anywhere(void **state)
{
	static const enum ep_type types[] = { EP_STREAM, EP_DATAGRAM };
	struct world *w = *state;
	int64_t value = 0;

	for (unsigned i = 0; i < 2; i++) {
		ep_id id = opened(w, types[i], 0), other = opened(w, types[i], 0);

		assert_int_equal(bind_to(w, id, 0, 8001), -EXDEV);
		assert_int_equal(bind_to(w, id, 0, 8002), 0);
		assert_int_equal(bind_to(w, other, 0, 8002), -EADDRINUSE);
		assert_int_equal(ep_get(w->s, other, EP_SHADOW, &value), 0);
		assert_int_equal(value, 0);
		assert_int_equal(ep_set(w->s, other, EP_SHADOW, 1), 0);
		assert_int_equal(ep_get(w->s, other, EP_SHADOW, &value), 0);
		assert_int_equal(value, 1);
		assert_int_equal(bind_to(w, other, 0, 8001), 0);
		assert_int_equal(ep_set(w->s, other, EP_SHADOW, 0), -EINVAL);
		assert_false(steer_udp_bound(&steer, 8001));
	}
}

static void datagrams_come_home_while_anybody_is_bound(void **state)
{
	struct world *w = *state;
	ep_id a = opened(w, EP_DATAGRAM, ADDR), b = opened(w, EP_DATAGRAM, ADDR), chosen = opened(w, EP_DATAGRAM, 0);
	struct ep_name peer = name_of(PEER, 53), local;

	assert_int_equal(bind_to(w, a, 0, 8002), 0);
	assert_true(steer_udp_bound(&steer, 8002));
	assert_int_equal(bind_to(w, b, 0, 8002), 0);
	ep_abort(w->s, a);
	assert_true(steer_udp_bound(&steer, 8002));
	ep_abort(w->s, b);
	assert_false(steer_udp_bound(&steer, 8002));
	/* connecting and sending bind, at home */
	assert_int_equal(ep_connect(w->s, chosen, &peer), 0);
	assert_int_equal(ep_local(w->s, chosen, &local), 0);
	assert_int_equal(local.port % CORES, CORE);
	assert_true(steer_udp_bound(&steer, local.port));
}

static void port_zero_is_one_at_home(void **state)
{
	struct world *w = *state;
	struct ipaddr any = ipaddr_from_ip4(0);

	for (unsigned i = 0; i < 100; i++) {
		ep_id id = opened(w, i % 2 ? EP_STREAM : EP_DATAGRAM, 0);
		struct ep_name name;

		assert_int_equal(bind_to(w, id, 0, 0), 0);
		assert_int_equal(ep_local(w->s, id, &name), 0);
		assert_in_range(name.port, 32768, 60999);
		assert_int_equal(name.port % CORES, CORE);
		ep_abort(w->s, id);
	}
	assert_int_equal(port_choose(w->s, EP_DATAGRAM, &any, NULL) % CORES, CORE);
}

static void replies_to_chosen_source_ports_come_to_this_core_after_few_tries(void **state)
{
	struct world *w = *state;
	struct ipaddr us = ipaddr_from_ip4(US);
	struct ep_name peer = name_of(PEER, 80), local = name_of(US, 80);
	unsigned ascending = 0, n = 400;
	uint16_t last = 0;

	for (unsigned i = 0; i < n; i++) {
		uint16_t port;

		peer = name_of(be32(0x0a000002 + i / 20), 80);
		port = port_choose(w->s, EP_STREAM, &us, &peer);
		assert_in_range(port, 32768, 60999);
		assert_int_equal(port % CORES, CORE);
		assert_int_equal(steer_tcp(&steer, ipaddr_ip4(&peer.addr), US, 80, port), CORE);
		/* the next of one peer is not far: 4 ports apart, one of 4 fits */
		if (i % 20)
			assert_true((uint16_t)(port - last) < 4 * 4 * 16 || port < last);
		ascending += port > last;
		last = port;
	}
	assert_true(ascending > n / 2);
	/* a host's way to itself is on one core */
	assert_int_equal(port_choose(w->s, EP_STREAM, &us, &local) % CORES, CORE);
}

static void connect_chooses_a_port_that_brings_the_reply_here(void **state)
{
	struct world *w = *state;

	for (unsigned i = 0; i < 20; i++) {
		ep_id id = opened(w, EP_STREAM, 0);
		struct ep_name peer = name_of(PEER, 80), local;

		assert_int_equal(ep_connect(w->s, id, &peer), -EINPROGRESS);
		assert_int_equal(ep_local(w->s, id, &local), 0);
		assert_int_equal(steer_tcp(&steer, PEER, US, 80, local.port), CORE);
		assert_false(steer_tcp_pinned(&steer, local.port));
	}
}

/* A port at home from which a connection to the peer's `to` would be answered elsewhere, or here. */
static uint16_t port_whose_reply_comes(uint16_t to, bool here)
{
	uint16_t port = 9002;

	while ((steer_tcp(&steer, PEER, US, to, port) == CORE) != here)
		port += CORES;
	return port;
}

static void a_bound_stream_that_connects_pins_its_port_while_it_lives(void **state)
{
	struct world *w = *state;
	uint16_t port = port_whose_reply_comes(80, false), other = 81;
	ep_id a = opened(w, EP_STREAM, ADDR), b = opened(w, EP_STREAM, ADDR);
	struct ep_name peer = name_of(PEER, 80), second;

	while (steer_tcp(&steer, PEER, US, other, port) == CORE)
		other++;
	second = name_of(PEER, other);
	assert_int_equal(bind_to(w, a, 0, port), 0);
	assert_int_equal(bind_to(w, b, 0, port), 0);
	assert_false(steer_tcp_pinned(&steer, port));
	assert_int_equal(ep_connect(w->s, a, &peer), -EINPROGRESS);
	assert_true(steer_tcp_pinned(&steer, port));
	assert_int_equal(ep_connect(w->s, b, &second), -EINPROGRESS);
	assert_null(stack_check(w->s));
	ep_abort(w->s, a);
	assert_true(steer_tcp_pinned(&steer, port));
	ep_abort(w->s, b);
	assert_false(steer_tcp_pinned(&steer, port));
	assert_null(stack_check(w->s));
}

static void a_bound_stream_whose_reply_comes_here_anyway_pins_nothing(void **state)
{
	struct world *w = *state;
	uint16_t port = port_whose_reply_comes(80, true);
	ep_id a = opened(w, EP_STREAM, 0);
	struct ep_name peer = name_of(PEER, 80);

	assert_int_equal(bind_to(w, a, 0, port), 0);
	assert_int_equal(ep_connect(w->s, a, &peer), -EINPROGRESS);
	assert_false(steer_tcp_pinned(&steer, port));
}

static void no_pin_takes_what_a_listener_accepted_on_other_cores(void **state)
{
	struct world *w = *state;
	uint16_t port = port_whose_reply_comes(80, false);
	ep_id listener = opened(w, EP_STREAM, PORT), a = opened(w, EP_STREAM, PORT);
	struct ep_name peer = name_of(PEER, 80);

	assert_int_equal(bind_to(w, listener, 0, port), 0);
	assert_int_equal(ep_listen(w->s, listener, 5), 0);
	assert_int_equal(bind_to(w, a, 0, port), 0);
	assert_int_equal(ep_connect(w->s, a, &peer), -EADDRNOTAVAIL);
	assert_false(steer_tcp_pinned(&steer, port));
}

static void a_shadow_connects_only_where_the_reply_comes_to_it(void **state)
{
	struct world *w = *state;
	uint16_t here = 9001, elsewhere = 9001;
	ep_id a = opened(w, EP_STREAM, 0), b = opened(w, EP_STREAM, 0);
	struct ep_name peer = name_of(PEER, 80);

	while (steer_tcp(&steer, PEER, US, 80, here) != CORE)
		here += CORES;
	while (steer_tcp(&steer, PEER, US, 80, elsewhere) == CORE)
		elsewhere += CORES;
	assert_int_equal(ep_set(w->s, a, EP_SHADOW, 1), 0);
	assert_int_equal(ep_set(w->s, b, EP_SHADOW, 1), 0);
	assert_int_equal(bind_to(w, a, 0, elsewhere), 0);
	assert_int_equal(bind_to(w, b, 0, here), 0);
	assert_int_equal(ep_connect(w->s, a, &peer), -EADDRNOTAVAIL);
	assert_int_equal(ep_connect(w->s, b, &peer), -EINPROGRESS);
	assert_false(steer_tcp_pinned(&steer, here));
}

static void a_flow_keeps_its_pin_when_another_takes_its_place(void **state)
{
	struct world *w = *state;
	struct flow first = { .key = { ipaddr_from_ip4(US), ipaddr_from_ip4(PEER), 9002, 80 }, .pinned = true }, second = { 0 };

	flow_insert(w->s, &first);
	flow_replace(w->s, &first, &second);
	assert_true(steer_tcp_pinned(&steer, 9002));
	assert_ptr_equal(flow_find(w->s, &first.key), &second);
	assert_null(stack_check(w->s));
	flow_remove(w->s, &second);
	assert_false(steer_tcp_pinned(&steer, 9002));
	assert_int_equal(w->s->flow_count, 0);
}

static void a_stack_that_goes_leaves_no_port_behind(void **state)
{
	struct world *w = *state;
	uint16_t port = port_whose_reply_comes(80, false);
	ep_id a = opened(w, EP_STREAM, 0);
	struct ep_name peer = name_of(PEER, 80);

	assert_int_equal(bind_to(w, a, 0, port), 0);
	assert_int_equal(ep_connect(w->s, a, &peer), -EINPROGRESS);
	assert_int_equal(bind_to(w, opened(w, EP_DATAGRAM, 0), 0, 8002), 0);
	assert_true(steer_tcp_pinned(&steer, port) && steer_udp_bound(&steer, 8002));
	world_teardown(state);
	assert_false(steer_tcp_pinned(&steer, port) || steer_udp_bound(&steer, 8002));
	*state = world_new(NULL);
}

int main(void)
{
#define core_test(f) cmocka_unit_test_setup_teardown(f, one_core_setup, world_teardown)
	const struct CMUnitTest tests[] = {
		core_test(a_port_is_bound_at_home_only_but_by_a_shadow_anywhere),
		core_test(datagrams_come_home_while_anybody_is_bound),
		core_test(port_zero_is_one_at_home),
		core_test(replies_to_chosen_source_ports_come_to_this_core_after_few_tries),
		core_test(connect_chooses_a_port_that_brings_the_reply_here),
		core_test(a_bound_stream_that_connects_pins_its_port_while_it_lives),
		core_test(a_bound_stream_whose_reply_comes_here_anyway_pins_nothing),
		core_test(no_pin_takes_what_a_listener_accepted_on_other_cores),
		core_test(a_shadow_connects_only_where_the_reply_comes_to_it),
		core_test(a_flow_keeps_its_pin_when_another_takes_its_place),
		core_test(a_stack_that_goes_leaves_no_port_behind),
		world_test(a_second_bind_follows_the_table),
		world_test(types_have_ports_of_their_own),
		world_test(only_one_of_two_that_share_may_listen),
		world_test(addresses_that_are_not_ours_need_freebind),
		world_test(port_zero_chooses_a_free_one_in_the_range_by_chance),
		world_test(source_ports_differ_by_peer_and_rise_for_one),
		world_test(members_of_a_group_share_by_hash),
		world_test(the_flow_table_finds_what_was_inserted_and_only_that),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
