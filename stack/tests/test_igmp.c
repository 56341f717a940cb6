/* SPDX-License-Identifier: BSD-3-Clause */
/* IGMP by frames: what is not acted on, and what reports look like where an interface is short of something. When what is said, and to
 * whom, is in conformance/tests/test_igmp.py. */
#include "tests/fixture.h"

#define GROUP UINT32_C(0xef010203)
#define PORT 5000

static struct frame message(const void *bytes, uint32_t n)
{
	uint8_t body[64] = { 0 };
	uint16_t sum;

	memcpy(body, bytes, n);
	sum = csum_finish(csum_add(0, body, n));
	memcpy(body + 2, &sum, 2);
	return ip4_frame(PEER, be32(0xe0000001), PROTOCOL_IGMP, body, n);
}

static void messages_that_are_wrong_are_dropped(void **state)
{
	const uint8_t query[16] = { 0x11, 10 }, sources[16] = { 0x11, 10, 0, 0, 0, 0, 0, 0, 2, 125, 0, 2 }, mtrace[8] = { 0x1f };
	struct frame f = message(query, 12);

	((uint8_t *)frame_l4(&f))[1] ^= 1;
	EXPECT_DROP(*state, &f, IGMP_CHECKSUM);
	for (uint32_t n = 1; n < 12; n++) {
		if (n == 8)
			continue;
		f = message(query, n < 4 ? 4 : n);
		EXPECT_DROP(*state, &f, IGMP_SHORT);
	}
	f = message(sources, 16);
	EXPECT_DROP(*state, &f, IGMP_SHORT);
	f = message(mtrace, 8);
	EXPECT_DROP(*state, &f, IGMP_TYPE);
}

static void an_interface_without_an_address_reports_from_zero(void **state)
{
	struct world *w = *state;
	struct ipaddr us = ipaddr_from_ip4(US);
	ep_id id = udp_socket(w, 0, PORT);

	assert_int_equal(stack_remove_address(w->s, w->interface, &us), 0);
	world_clear(w);
	assert_int_equal(ep_set(w->s, id, EP_JOIN, (int64_t)w->interface << 32 | GROUP), 0);
	world_run(w, w->now + 3 * NSEC_PER_SEC);
	assert_int_equal(w->sent_count, 2);
	frame_verify(&w->sent[0]);
	assert_int_equal(frame_ip4(&w->sent[0])->source, 0);
	assert_int_equal(frame_ip4(&w->sent[0])->destination, be32(0xe0000016));
}

/* 1,500 bytes take 24 of headers, 8 of the report and 183 records. */
static void many_groups_are_reported_in_as_few_packets_as_the_mtu_allows(void **state)
{
	struct world *w = *state;
	const uint8_t query[12] = { 0x11, 100, 0, 0, 0, 0, 0, 0, 2, 125 };
	struct frame f = message(query, 12);
	unsigned records = 0;

	for (unsigned i = 0; i < 10; i++) {
		ep_id id = udp_socket(w, 0, (uint16_t)(PORT + i));

		for (unsigned k = 0; k < 20; k++)
			assert_int_equal(ep_set(w->s, id, EP_JOIN, GROUP + (i << 8) + k), 0);
		world_run(w, w->now + 3 * NSEC_PER_SEC);
		world_clear(w);
	}
	world_give(w, &f);
	world_run(w, w->now + 11 * NSEC_PER_SEC);
	assert_int_equal(w->sent_count, 2);
	for (unsigned i = 0; i < 2; i++) {
		const uint8_t *report = (const uint8_t *)frame_l4(&w->sent[i]);

		frame_verify(&w->sent[i]);
		assert_true(w->sent[i].len <= 1514);
		records += (unsigned)report[6] << 8 | report[7];
	}
	assert_int_equal(records, 200);
}

static void a_report_that_finds_no_packet_is_lost_and_the_next_is_not(void **state)
{
	struct world *w = *state;
	ep_id id = udp_socket(w, 0, PORT);

	w->lends = 0;
	assert_int_equal(ep_set(w->s, id, EP_JOIN, GROUP), 0);
	w->lends = UINT32_MAX;
	world_run(w, w->now + 3 * NSEC_PER_SEC);
	assert_int_equal(w->sent_count, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		world_test(messages_that_are_wrong_are_dropped),
		world_test(an_interface_without_an_address_reports_from_zero),
		world_test(many_groups_are_reported_in_as_few_packets_as_the_mtu_allows),
		world_test(a_report_that_finds_no_packet_is_lost_and_the_next_is_not),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
