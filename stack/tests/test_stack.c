/* SPDX-License-Identifier: BSD-3-Clause */
/* The instance: links that are down, full or dry, deadlines, loopback, endpoints' handles, events and options. */
#include "tests/fixture.h"

#include <errno.h>

static void a_link_without_carrier_takes_nothing(void **state)
{
	struct world *w = *state;
	ep_id id = udp_socket(w, 0, 0);
	struct ep_name to = name_of(PEER, 7);

	w->link.up = 0;
	ep_send_to(w->s, id, "x", 1, &to);
	world_turn(w);
	assert_int_equal(w->sent_count, 0);
	assert_int_equal(dropped(w, DROP_LINK_DOWN), 1);
}

static void a_full_link_keeps_a_burst_and_lends_no_more(void **state)
{
	struct world *w = *state;
	ep_id id = udp_socket(w, 0, 0);
	struct ep_name to = name_of(PEER, 7);
	struct frame f = arp_frame(ARP_REQUEST, peer_mac, PEER, US);

	w->accepts = 0;
	for (unsigned i = 0; i < STACK_BURST; i++)
		assert_int_equal(ep_send_to(w->s, id, "x", 1, &to), 1);
	assert_int_equal(ep_send_to(w->s, id, "x", 1, &to), -EAGAIN);
	assert_int_equal(dropped(w, DROP_LINK_FULL), 1);
	world_give(w, &f);  /* the reply finds no place */
	assert_int_equal(dropped(w, DROP_LINK_FULL), 2);
	w->accepts = 10;
	world_turn(w);
	assert_int_equal(w->sent_count, 10);
	assert_true(stack_deadline(w->s) > w->now);
	assert_true(stack_deadline(w->s) <= w->now + NSEC_PER_MSEC);
	w->accepts = UINT32_MAX;
	world_run(w, w->now + NSEC_PER_MSEC);
	assert_int_equal(w->sent_count, STACK_BURST);
}

static void a_dry_link_is_counted(void **state)
{
	struct world *w = *state;
	ep_id id = udp_socket(w, 0, 0);
	struct ep_name to = name_of(PEER, 7);

	w->lends = 0;
	assert_int_equal(ep_send_to(w->s, id, "x", 1, &to), -EAGAIN);
	assert_int_equal(dropped(w, DROP_LINK_NO_PACKET), 1);
}

static void when_all_is_quiet_nothing_is_due_nor_held(void **state)
{
	struct world *w = *state;
	struct stack_memory memory;

	assert_int_equal(stack_deadline(w->s), NSEC_NEVER);
	assert_int_equal(stack_turn(w->s, w->now), 0);
	stack_memory(w->s, &memory);
	assert_int_equal(memory.packets_held, 0);
	assert_int_equal(memory.fragments_held, 0);
	assert_int_equal(memory.endpoints, 0);
	assert_int_equal(memory.extents_lent, 0);
}

static void time_never_goes_back(void **state)
{
	struct world *w = *state;

	stack_at(w->s, w->now + 5);
	stack_at(w->s, w->now);
	assert_int_equal(stack_now(w->s), w->now + 5);
}

static void a_host_reaches_itself_without_a_link(void **state)
{
	const uint32_t addresses[] = { LOCALHOST, be32(0x7f000055), US };
	struct world *w = *state;
	ep_id server = udp_socket(w, 0, 5000), client = udp_socket(w, 0, 0);
	static char big[65507], got[65507];

	memset(big, 'b', sizeof(big));
	for (unsigned i = 0; i < 3; i++) {
		struct ep_name to = name_of(addresses[i], 5000), from;

		assert_int_equal(ep_send_to(w->s, client, big, sizeof(big), &to), sizeof(big));
		assert_int_equal(stack_deadline(w->s), w->now);
		world_turn(w);
		world_turn(w);
		assert_int_equal(ep_recv_from(w->s, server, got, sizeof(got), &from), sizeof(big));
		assert_memory_equal(got, big, sizeof(big));
		assert_int_equal(ipaddr_ip4(&from.addr), i == 2 ? US : LOCALHOST);
	}
	assert_int_equal(w->sent_count, 0);
}

static void a_closed_local_port_refuses(void **state)
{
	struct world *w = *state;
	ep_id id = udp_socket(w, 0, 0);
	struct ep_name to = name_of(LOCALHOST, 9999);

	assert_int_equal(ep_connect(w->s, id, &to), 0);
	assert_int_equal(ep_send(w->s, id, "x", 1), 1);
	for (unsigned i = 0; i < 3; i++)
		world_turn(w);
	assert_int_equal(ep_send(w->s, id, "x", 1), -ECONNREFUSED);
}

static void a_stale_handle_is_an_error_and_release_is_told_once(void **state)
{
	struct world *w = *state;
	ep_id id = udp_socket(w, 0, 5000), next;
	struct ep_event events[4];
	struct ep_name name;

	assert_int_equal(ep_close(w->s, id), 0);
	assert_int_equal(ep_close(w->s, id), -EBADF);
	assert_int_equal(ep_bind(w->s, id, &(struct ep_name){ .port = 1 }), -EBADF);
	assert_int_equal(ep_local(w->s, id, &name), -EBADF);
	assert_int_equal(ep_ready(w->s, id), EP_ERROR | EP_HANGUP);
	assert_int_equal(stack_events(w->s, events, 4), 1);
	assert_int_equal(events[0].ep, id);
	assert_int_equal(events[0].mask, EP_RELEASED);
	assert_int_equal(stack_events(w->s, events, 4), 0);
	next = udp_socket(w, 0, 5000);  /* the port is free again */
	assert_int_not_equal(next, id);
	assert_int_equal(ep_send(w->s, id, "x", 1), -EBADF);
	assert_int_equal(ep_sent(w->s, 0), -EBADF);
	assert_int_equal(ep_abort(w->s, UINT64_MAX), -EBADF);
}

static void no_event_is_lost_and_none_comes_twice(void **state)
{
	struct world *w = *state;
	ep_id ids[10];
	struct ep_event events[4];
	unsigned seen = 0;

	for (unsigned i = 0; i < 10; i++)
		ids[i] = udp_socket(w, 0, (uint16_t)(5000 + i));
	for (unsigned round = 0; round < 3; round++)
		for (unsigned i = 0; i < 10; i++) {
			struct frame f = udp_frame(PEER, 9, US, (uint16_t)(5000 + i), "x", 1);

			world_give(w, &f);
		}
	for (unsigned n; (n = stack_events(w->s, events, 4)) != 0;)
		for (unsigned i = 0; i < n; i++)
			for (unsigned k = 0; k < 10; k++)
				if (events[i].ep == ids[k]) {
					assert_false(seen & 1u << k);
					seen |= 1u << k;
				}
	assert_int_equal(seen, 0x3ff);
}

static void the_pool_of_endpoints_can_run_dry_and_recovers(void **state)
{
	struct world *w = *state;
	ep_id ids[256], more;
	struct ep_event events[256];

	for (unsigned i = 0; i < 256; i++)
		assert_int_equal(ep_open(w->s, EP_DATAGRAM, 1, NULL, &ids[i]), 0);
	assert_int_equal(ep_open(w->s, EP_DATAGRAM, 1, NULL, &more), -ENFILE);
	for (unsigned i = 0; i < 256; i++)
		ep_close(w->s, ids[i]);
	assert_int_equal(stack_events(w->s, events, 256), 256);
	assert_int_equal(ep_open(w->s, EP_DATAGRAM, 1, NULL, &more), 0);
	assert_int_equal(ep_open(w->s, (enum ep_type)7, 1, NULL, &more), -EINVAL);
}

static void options_keep_their_value_within_bounds(void **state)
{
	static const struct {
		enum ep_option option;
		int64_t value;
		int expected;
		int64_t kept;
	} table[] = {
		{ EP_REUSE_ADDR, 5, 0, 1 }, { EP_REUSE_PORT, 1, 0, 1 }, { EP_BROADCAST, 1, 0, 1 }, { EP_FREEBIND, 1, 0, 1 },
		{ EP_PKTINFO, 1, 0, 1 }, { EP_RECV_ERR, 1, 0, 1 }, { EP_TTL, 7, 0, 7 }, { EP_TTL, 0, -EINVAL, 7 },
		{ EP_TTL, 256, -EINVAL, 7 }, { EP_TTL, -1, 0, 64 }, { EP_TOS, 0xb8, 0, 0xb8 }, { EP_TOS, 256, -EINVAL, 0xb8 },
		{ EP_MTU_DISCOVER, 2, 0, 2 }, { EP_MTU_DISCOVER, 6, -EINVAL, 2 }, { EP_MULTICAST_TTL, 9, 0, 9 },
		{ EP_MULTICAST_TTL, -1, 0, 1 }, { EP_SEND_BUFFER, 1, 0, 2048 }, { EP_RECEIVE_BUFFER, 100000, 0, 100000 },
		{ EP_RECEIVE_BUFFER, -1, -EINVAL, 100000 }, { EP_LINGER, 30, 0, 30 }, { EP_LINGER, -2, -EINVAL, 30 },
		{ EP_RECEIVE_LOW, 0, 0, 1 }, { EP_RECEIVE_LOW, 99, 0, 99 },
	};
	struct world *w = *state;
	ep_id id = udp_socket(w, 0, 0);
	struct ep_name peer = name_of(PEER, 9);
	int64_t value;

	for (unsigned i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		int result = ep_set(w->s, id, table[i].option, table[i].value);

		if (result != table[i].expected || ep_get(w->s, id, table[i].option, &value) != 0 || value != table[i].kept)
			fail_msg("row %u: %d, %d", i, result, (int)value);
	}
	assert_int_equal(ep_set(w->s, id, EP_OPTIONS, 1), -ENOPROTOOPT);
	assert_int_equal(ep_get(w->s, id, EP_OPTIONS, &value), -ENOPROTOOPT);
	assert_int_equal(ep_get(w->s, id, EP_MTU, &value), -ENOTCONN);
	assert_int_equal(ep_connect(w->s, id, &peer), 0);
	assert_int_equal(ep_get(w->s, id, EP_MTU, &value), 0);
	assert_int_equal(value, 1500);
}

static void ttl_and_tos_reach_the_wire(void **state)
{
	struct stack_config config;
	struct world *w;
	struct ipaddr peer = ipaddr_from_ip4(PEER);
	struct ep_name to = name_of(PEER, 7);
	ep_id id;

	world_config(&config);
	config.ttl = 33;
	w = world_new(&config);
	*state = w;
	assert_int_equal(stack_add_neighbour(w->s, w->interface, &peer, peer_mac), 0);
	id = udp_socket(w, 0, 0);
	ep_send_to(w->s, id, "x", 1, &to);
	ep_set(w->s, id, EP_TTL, 5);
	ep_set(w->s, id, EP_TOS, 0x10);
	ep_send_to(w->s, id, "x", 1, &to);
	world_turn(w);
	assert_int_equal(frame_ip4(&w->sent[0])->ttl, 33);
	assert_int_equal(frame_ip4(&w->sent[1])->ttl, 5);
	assert_int_equal(frame_ip4(&w->sent[1])->tos, 0x10);
}

static void every_counter_has_a_name_and_a_sentence(void **state)
{
	struct world *w = *state;
	struct stack_counter counter;
	unsigned n = 0;

	while (stack_counter(w->s, n, &counter)) {
		assert_true(strlen(counter.name) > 3);
		assert_true(strlen(counter.sentence) > 8);
		n++;
	}
	assert_int_equal(n, DROP_REASONS + COUNT_TOTALS);
}

static void two_runs_with_one_seed_give_the_same_bytes(void **state)
{
	struct world *runs[2] = { *state, NULL };
	void *second = NULL;

	assert_int_equal(world_setup_known(&second), 0);
	runs[1] = second;
	for (unsigned i = 0; i < 2; i++) {
		for (unsigned k = 0; k < 20; k++) {
			ep_id id = udp_socket(runs[i], 0, 0);
			struct ep_name to = name_of(PEER, (uint16_t)(7 + k));

			ep_set(runs[i]->s, id, EP_MTU_DISCOVER, 0);
			ep_send_to(runs[i]->s, id, "hello", 5, &to);
		}
		world_turn(runs[i]);
	}
	assert_int_equal(runs[0]->sent_count, 20);
	assert_memory_equal(runs[0]->sent, runs[1]->sent, sizeof(runs[0]->sent));
	world_teardown(&second);
}

static int no_setup(void **state)
{
	*state = NULL;
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		world_test(a_link_without_carrier_takes_nothing),
		world_test(a_full_link_keeps_a_burst_and_lends_no_more),
		world_test(a_dry_link_is_counted),
		world_test(when_all_is_quiet_nothing_is_due_nor_held),
		world_test(time_never_goes_back),
		world_test(a_host_reaches_itself_without_a_link),
		world_test(a_closed_local_port_refuses),
		world_test(a_stale_handle_is_an_error_and_release_is_told_once),
		world_test(no_event_is_lost_and_none_comes_twice),
		world_test(the_pool_of_endpoints_can_run_dry_and_recovers),
		world_test(options_keep_their_value_within_bounds),
		cmocka_unit_test_setup_teardown(ttl_and_tos_reach_the_wire, no_setup, world_teardown),
		world_test(every_counter_has_a_name_and_a_sentence),
		world_test(two_runs_with_one_seed_give_the_same_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
