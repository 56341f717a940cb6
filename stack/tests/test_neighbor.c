/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/fixture.h"

#include <errno.h>

static int64_t say(struct world *w, ep_id id, uint32_t to, const char *text)
{
	struct ep_name name = name_of(to, 7);
	int64_t n = ep_send_to(w->s, id, text, (uint32_t)strlen(text), &name);

	world_turn(w);
	return n;
}

static unsigned arps(struct world *w, const uint8_t to[6])
{
	unsigned n = 0;

	for (unsigned i = 0; i < w->sent_count; i++)
		n += ((struct eth_header *)w->sent[i].bytes)->type == be16(ETH_TYPE_ARP) &&
		     memcmp(w->sent[i].bytes, to, 6) == 0;
	return n;
}

static const char *state_of(struct world *w, uint32_t ip4)
{
	struct stack_neighbour n;
	uint32_t cursor = 0;

	while (stack_walk_neighbours(w->s, &cursor, &n))
		if (ipaddr_ip4(&n.addr) == ip4)
			return n.state;
	return "";
}

static void packets_wait_for_the_answer_and_go_out_in_order(void **state)
{
	struct frame reply = arp_frame(ARP_REPLY, peer_mac, PEER, US);
	struct world *w = *state;
	ep_id id = udp_socket(w, 0, 0);

	assert_int_equal(say(w, id, PEER, "one"), 3);
	assert_int_equal(say(w, id, PEER, "two"), 3);
	assert_int_equal(w->sent_count, 1);
	assert_int_equal(arps(w, everyone_mac), 1);
	assert_string_equal(state_of(w, PEER), "incomplete");
	assert_int_equal(w->s->packets_held, 2);
	world_give(w, &reply);
	assert_int_equal(w->sent_count, 3);
	for (unsigned i = 1; i < 3; i++) {
		frame_verify(&w->sent[i]);
		assert_memory_equal(w->sent[i].bytes, peer_mac, 6);
		assert_memory_equal((uint8_t *)frame_l4(&w->sent[i]) + 8, i == 1 ? "one" : "two", 3);
	}
	assert_string_equal(state_of(w, PEER), "reachable");
	assert_int_equal(w->s->packets_held, 0);
	assert_int_equal(ep_close(w->s, id), 0);
}

static void one_request_a_second_however_many_packets(void **state)
{
	struct world *w = *state;
	nsec start = w->now;
	ep_id id = udp_socket(w, 0, 0);

	for (unsigned i = 0; i < 250; i++) {
		say(w, id, PEER, "again");
		world_run(w, start + (i + 1) * 10 * NSEC_PER_MSEC);
	}
	assert_int_equal(arps(w, everyone_mac), 3);  /* at 0, 1 and 2 s */
	/* all but the newest were displaced */
	assert_int_equal(dropped(w, DROP_NEIGHBOUR_QUEUE), 250 - 128);
}

static void silence_fails_after_three_requests_and_senders_hear_of_it(void **state)
{
	struct world *w = *state;
	struct ep_name peer = name_of(PEER, 7);
	ep_id id = udp_socket(w, 0, 0);

	assert_int_equal(ep_connect(w->s, id, &peer), 0);
	assert_int_equal(ep_send(w->s, id, "x", 1), 1);
	world_run(w, w->now + 2999 * NSEC_PER_MSEC);
	assert_int_equal(ep_take_error(w->s, id), 0);
	world_run(w, w->now + 10 * NSEC_PER_MSEC);
	assert_int_equal(arps(w, everyone_mac), 3);
	assert_int_equal(dropped(w, DROP_NEIGHBOUR_FAILED), 1);
	assert_true(ep_ready(w->s, id) & EP_ERROR);
	assert_int_equal(ep_take_error(w->s, id), EHOSTUNREACH);
	/* for a second nothing is tried again */
	assert_int_equal(ep_send(w->s, id, "x", 1), -EHOSTUNREACH);
	assert_int_equal(dropped(w, DROP_NEIGHBOUR_FAILED), 2);
	world_run(w, w->now + NSEC_PER_SEC);
	assert_int_equal(ep_send(w->s, id, "x", 1), 1);
	world_turn(w);
	assert_int_equal(arps(w, everyone_mac), 4);
}

static void a_neighbour_that_moved_is_found_again(void **state)
{
	static const uint8_t new_mac[6] = { 2, 0, 0, 0, 0, 0x77 };
	struct frame reply = arp_frame(ARP_REPLY, peer_mac, PEER, US);
	struct world *w = *state;
	ep_id id = udp_socket(w, 0, 0);
	nsec start = w->now;
	bool found = false;

	say(w, id, PEER, "x");
	world_give(w, &reply);
	world_clear(w);
	/* from now on only the new MAC answers */
	reply = arp_frame(ARP_REPLY, new_mac, PEER, US);
	while (!found && w->now - start < 120 * NSEC_PER_SEC) {
		world_run(w, w->now + NSEC_PER_SEC);
		say(w, id, PEER, "x");
		if (arps(w, everyone_mac))
			world_give(w, &reply);
		for (unsigned i = 0; i < w->sent_count; i++)
			found |= memcmp(w->sent[i].bytes, new_mac, 6) == 0;
		if (!arps(w, everyone_mac) && w->sent_count > 400)
			world_clear(w);
	}
	assert_true(found);
	assert_in_range(w->now - start, 30 * NSEC_PER_SEC, 60 * NSEC_PER_SEC);
	assert_true(arps(w, peer_mac) >= 1);  /* it was asked by unicast first */
}

static void an_answered_probe_confirms_without_broadcast(void **state)
{
	struct frame reply = arp_frame(ARP_REPLY, peer_mac, PEER, US);
	struct world *w = *state;
	ep_id id = udp_socket(w, 0, 0);

	say(w, id, PEER, "x");
	world_give(w, &reply);
	world_run(w, w->now + 31 * NSEC_PER_SEC);
	assert_string_equal(state_of(w, PEER), "stale");
	world_clear(w);
	say(w, id, PEER, "x");
	assert_int_equal(w->sent_count, 1);
	world_run(w, w->now + 4500 * NSEC_PER_MSEC);
	assert_int_equal(arps(w, peer_mac), 1);
	assert_string_equal(state_of(w, PEER), "probe");
	world_give(w, &reply);
	assert_string_equal(state_of(w, PEER), "reachable");
	world_run(w, w->now + 20 * NSEC_PER_SEC);
	assert_int_equal(arps(w, everyone_mac), 0);
}

static void progress_above_spares_the_probe(void **state)
{
	struct frame reply = arp_frame(ARP_REPLY, peer_mac, PEER, US);
	struct world *w = *state;
	ep_id id = udp_socket(w, 0, 0);
	struct ipaddr peer = ipaddr_from_ip4(PEER);
	struct path path;

	say(w, id, PEER, "x");
	world_give(w, &reply);
	world_run(w, w->now + 31 * NSEC_PER_SEC);
	say(w, id, PEER, "x");
	assert_int_equal(route_find(w->s, NULL, &peer, &path), 0);
	neighbour_confirm(w->s, &path);
	assert_string_equal(state_of(w, PEER), "reachable");
	world_clear(w);
	world_run(w, w->now + 20 * NSEC_PER_SEC);
	assert_int_equal(w->sent_count, 0);
}

static void the_table_is_bounded_and_evicts_what_is_not_used(void **state)
{
	struct stack_config config;
	struct world *w;
	ep_id id;

	world_config(&config);
	config.max_neighbours = 16;
	w = world_new(&config);
	*state = w;
	for (uint32_t i = 0; i < 200; i++) {
		struct frame f = arp_frame(ARP_REQUEST, peer_mac, be32(0x0a000010 + i % 200), US);

		world_give(w, &f);
		world_clear(w);
	}
	/* all in use: then there is no room */
	id = udp_socket(w, 0, 0);
	for (uint32_t i = 0; i < 40; i++)
		say(w, id, be32(0x0a000010 + i), "x");
	assert_true(dropped(w, DROP_NEIGHBOUR_TABLE) > 0);
	assert_int_equal(say(w, id, be32(0x0a0000f0), "x"), -ENOBUFS);
}

static int no_setup(void **state)
{
	*state = NULL;
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		world_test_unknown(packets_wait_for_the_answer_and_go_out_in_order),
		world_test_unknown(one_request_a_second_however_many_packets),
		world_test_unknown(silence_fails_after_three_requests_and_senders_hear_of_it),
		world_test_unknown(a_neighbour_that_moved_is_found_again),
		world_test_unknown(an_answered_probe_confirms_without_broadcast),
		world_test_unknown(progress_above_spares_the_probe),
		cmocka_unit_test_setup_teardown(the_table_is_bounded_and_evicts_what_is_not_used, no_setup, world_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
