/* SPDX-License-Identifier: BSD-3-Clause */
/* Who may bind to what: the table of Linux. */
#include "tests/fixture.h"

#include <errno.h>

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

int main(void)
{
	const struct CMUnitTest tests[] = {
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
