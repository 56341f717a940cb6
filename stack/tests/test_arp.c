/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/fixture.h"

static struct arp_packet *arp_of(struct frame *f)
{
	assert_int_equal(((struct eth_header *)f->bytes)->type, be16(ETH_TYPE_ARP));
	assert_true(f->len >= sizeof(struct eth_header) + sizeof(struct arp_packet));
	return (struct arp_packet *)(f->bytes + sizeof(struct eth_header));
}

static bool knows(struct world *w, uint32_t ip4, const uint8_t mac[6])
{
	struct stack_neighbour n;
	uint32_t cursor = 0;

	while (stack_walk_neighbours(w->s, &cursor, &n))
		if (ipaddr_ip4(&n.addr) == ip4)
			return !mac || memcmp(n.mac, mac, 6) == 0;
	return false;
}

static void a_request_for_us_is_answered_and_its_sender_learnt(void **state)
{
	struct frame f = arp_frame(ARP_REQUEST, peer_mac, PEER, US);
	struct world *w = *state;
	struct arp_packet *arp;

	world_give(w, &f);
	assert_int_equal(w->sent_count, 1);
	arp = arp_of(&w->sent[0]);
	assert_memory_equal(w->sent[0].bytes, peer_mac, 6);
	assert_int_equal(arp->operation, be16(ARP_REPLY));
	assert_memory_equal(arp->sender_mac, us_mac, 6);
	assert_memory_equal(arp->target_mac, peer_mac, 6);
	assert_int_equal(arp->sender_ip, US);
	assert_int_equal(arp->target_ip, PEER);
	assert_true(knows(w, PEER, peer_mac));
}

static void a_request_for_others_is_not_answered_nor_learnt_but_updates(void **state)
{
	struct frame f = arp_frame(ARP_REQUEST, peer_mac, PEER, STRANGER);
	struct world *w = *state;

	world_give(w, &f);
	assert_int_equal(w->sent_count, 0);
	assert_false(knows(w, PEER, NULL));
	f = arp_frame(ARP_REQUEST, peer_mac, PEER, US);
	world_give(w, &f);
	f = arp_frame(ARP_REQUEST, router_mac, PEER, STRANGER);
	world_run(w, w->now + 999 * NSEC_PER_MSEC);
	world_give(w, &f);
	assert_true(knows(w, PEER, peer_mac));  /* of several who answer the first one stands for a second */
	world_run(w, w->now + 2 * NSEC_PER_MSEC);
	world_give(w, &f);
	assert_true(knows(w, PEER, router_mac));
}

static void a_probe_is_answered_but_zero_is_no_neighbour(void **state)
{
	struct frame f = arp_frame(ARP_REQUEST, peer_mac, 0, US);
	struct world *w = *state;

	world_give(w, &f);
	assert_int_equal(w->sent_count, 1);
	assert_false(knows(w, 0, NULL));
}

static void malformed_packets_change_nothing(void **state)
{
	struct frame good = arp_frame(ARP_REQUEST, peer_mac, PEER, US), f;
	struct world *w = *state;

	static const unsigned fields[] = { 1, 2, 4, 5, 7 };  /* types, lengths, operation */

	for (unsigned i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		f = good;
		f.bytes[14 + fields[i]] ^= 0x40;
		EXPECT_DROP(w, &f, ARP_MALFORMED);
	}
	f = good;
	f.len = 14 + 27;
	EXPECT_DROP(w, &f, ARP_MALFORMED);
	assert_false(knows(w, PEER, NULL));
}

static void senders_that_cannot_be_are_dropped(void **state)
{
	static const uint8_t group[6] = { 3, 0, 0, 0, 0, 2 };
	const uint32_t bad[] = { be32(0xe0000001), be32(0xffffffff), be32(0x7f000001), be32(0x0a0000ff), be32(0x00000001) };
	struct frame f = arp_frame(ARP_REQUEST, group, PEER, US);

	EXPECT_DROP(*state, &f, ARP_SENDER);
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		f = arp_frame(ARP_REQUEST, peer_mac, bad[i], US);
		EXPECT_DROP(*state, &f, ARP_SENDER);
	}
}

static void an_address_is_announced_twice(void **state)
{
	struct world *w = *state;
	struct ipaddr second = ipaddr_from_ip4(be32(0x0a000009));
	nsec start = w->now;

	assert_int_equal(stack_add_address(w->s, w->interface, &second, 24), 0);
	world_run(w, start);
	assert_int_equal(w->sent_count, 1);
	world_run(w, start + 10 * NSEC_PER_SEC);
	assert_int_equal(w->sent_count, 2);
	for (unsigned i = 0; i < 2; i++) {
		struct arp_packet *arp = arp_of(&w->sent[i]);

		assert_memory_equal(w->sent[i].bytes, everyone_mac, 6);
		assert_int_equal(arp->operation, be16(ARP_REQUEST));
		assert_int_equal(arp->sender_ip, be32(0x0a000009));
		assert_int_equal(arp->target_ip, be32(0x0a000009));
	}
}

static void a_conflict_is_logged_and_defended_at_most_once_in_ten_seconds(void **state)
{
	struct frame f = arp_frame(ARP_REQUEST, peer_mac, US, US);
	struct world *w = *state;

	for (unsigned i = 0; i < 5; i++)
		world_give(w, &f);
	assert_int_equal(w->sent_count, 1);
	assert_int_equal(arp_of(&w->sent[0])->sender_ip, US);
	assert_int_equal(dropped(w, DROP_ARP_CONFLICT), 5);
	assert_int_equal(w->log_count, 5);
	assert_non_null(strstr(w->log[0], "10.0.0.1"));
	assert_false(knows(w, US, NULL));
	world_run(w, w->now + 10 * NSEC_PER_SEC);
	world_give(w, &f);
	assert_int_equal(w->sent_count, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		world_test_unknown(a_request_for_us_is_answered_and_its_sender_learnt),
		world_test_unknown(a_request_for_others_is_not_answered_nor_learnt_but_updates),
		world_test_unknown(a_probe_is_answered_but_zero_is_no_neighbour),
		world_test_unknown(malformed_packets_change_nothing),
		world_test_unknown(senders_that_cannot_be_are_dropped),
		world_test_unknown(an_address_is_announced_twice),
		world_test_unknown(a_conflict_is_logged_and_defended_at_most_once_in_ten_seconds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
