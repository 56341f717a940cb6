/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/fixture.h"

#include "layers.h"

static void a_runt_is_dropped(void **state)
{
	struct frame f = udp_frame(PEER, 1, US, 2, "x", 1);

	f.len = 13;
	EXPECT_DROP(*state, &f, ETH_SHORT);
	f.len = 0;
	EXPECT_DROP(*state, &f, ETH_SHORT);
}

static void a_frame_for_another_mac_is_dropped_even_with_our_address(void **state)
{
	struct frame f = udp_frame(PEER, 1, US, 2, "x", 1);

	f.bytes[5] = 9;
	EXPECT_DROP(*state, &f, ETH_FOREIGN);
}

static void an_unknown_type_is_dropped(void **state)
{
	struct frame f = eth_frame(us_mac, peer_mac, 0x88cc, "12345678901234567890", 20);

	EXPECT_DROP(*state, &f, ETH_TYPE);
	f = eth_frame(everyone_mac, peer_mac, 0x86dd, "12345678901234567890", 20);
	EXPECT_DROP(*state, &f, ETH_TYPE);
}

static void short_packets_leave_padded_with_zeros(void **state)
{
	struct world *w = *state;
	struct frame f = icmp_frame(PEER, US, ICMP_ECHO, 0, 1, "", 0);

	world_give(w, &f);
	assert_int_equal(w->sent_count, 1);
	assert_int_equal(w->sent[0].len, ETH_FRAME_MIN);
	frame_verify(&w->sent[0]);
	assert_memory_equal(w->sent[0].bytes, peer_mac, 6);
	assert_memory_equal(w->sent[0].bytes + 6, us_mac, 6);
}

static void groups_map_to_their_low_23_bits(void **state)
{
	static const struct {
		uint32_t group;
		uint8_t mac[6];
	} table[] = {
		{ 0xe0000001, { 0x01, 0x00, 0x5e, 0x00, 0x00, 0x01 } },
		{ 0xe0800001, { 0x01, 0x00, 0x5e, 0x00, 0x00, 0x01 } },
		{ 0xefffffff, { 0x01, 0x00, 0x5e, 0x7f, 0xff, 0xff } },
		{ 0xeac0de7b, { 0x01, 0x00, 0x5e, 0x40, 0xde, 0x7b } },
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		uint8_t mac[6];

		eth_multicast_mac(be32(table[i].group), mac);
		assert_memory_equal(mac, table[i].mac, 6);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		world_test(a_runt_is_dropped),
		world_test(a_frame_for_another_mac_is_dropped_even_with_our_address),
		world_test(an_unknown_type_is_dropped),
		world_test(short_packets_leave_padded_with_zeros),
		cmocka_unit_test(groups_map_to_their_low_23_bits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
