/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/fixture.h"

#include <errno.h>

#include "layers.h"

static void an_echo_comes_back_with_all_its_data(void **state)
{
	struct world *w = *state;
	uint8_t data[1472];

	for (unsigned i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 13);
	for (unsigned n = 0; n <= sizeof(data); n += 184) {
		struct frame f = icmp_frame(PEER, US, ICMP_ECHO, 0, 0xbeef0007, data, n);
		struct icmp_header *icmp;

		world_clear(w);
		world_give(w, &f);
		assert_int_equal(w->sent_count, 1);
		frame_verify(&w->sent[0]);
		icmp = frame_l4(&w->sent[0]);
		assert_int_equal(icmp->type, ICMP_ECHO_REPLY);
		assert_int_equal(be32(icmp->rest), 0xbeef0007);
		assert_int_equal(frame_l4_len(&w->sent[0]), 8 + n);
		assert_memory_equal(icmp + 1, data, n);
		assert_int_equal(frame_ip4(&w->sent[0])->source, US);
		assert_int_equal(frame_ip4(&w->sent[0])->destination, PEER);
	}
	assert_int_equal(w->s->counts[COUNT_ICMP_ECHOES], 9);
}

static void an_echo_in_fragments_comes_back_in_fragments(void **state)
{
	struct world *w = *state;
	uint8_t message[4000] = { ICMP_ECHO }, back[4000];
	uint16_t sum;

	for (unsigned i = 4; i < sizeof(message); i++)
		message[i] = (uint8_t)(i * 17);
	sum = csum_finish(csum_add(0, message, sizeof(message)));
	memcpy(message + 2, &sum, 2);
	for (unsigned start = 0; start < sizeof(message); start += 1000) {
		struct frame f = ip4_frame(PEER, US, PROTOCOL_ICMP, message + start, 1000);

		frame_ip4(&f)->fragment = be16((uint16_t)((start < 3000 ? IP4_MF : 0) | start / 8));
		frame_fix_ip4(&f);
		world_give(w, &f);
	}
	assert_int_equal(w->sent_count, 3);
	for (unsigned i = 0; i < 3; i++) {
		frame_verify(&w->sent[i]);
		memcpy(back + (be16(frame_ip4(&w->sent[i])->fragment) & IP4_OFFSET) * 8, frame_l4(&w->sent[i]),
		       frame_l4_len(&w->sent[i]));
	}
	assert_int_equal(back[0], ICMP_ECHO_REPLY);
	assert_int_equal(csum_finish(csum_add(0, back, sizeof(back))), 0);
	assert_memory_equal(back + 4, message + 4, sizeof(back) - 4);
}

static void damaged_and_short_messages_are_dropped(void **state)
{
	struct world *w = *state;
	struct frame f = icmp_frame(PEER, US, ICMP_ECHO, 0, 1, "data", 4);

	f.bytes[14 + 20 + 9] ^= 1;
	EXPECT_DROP(w, &f, ICMP_CHECKSUM);
	f = ip4_frame(PEER, US, PROTOCOL_ICMP, "\x08\0\xf7\xff\0\0\0", 7);
	EXPECT_DROP(w, &f, ICMP_SHORT);
}

static void unknown_types_redirects_and_source_quench_are_ignored(void **state)
{
	struct world *w = *state;
	struct frame quoted = udp_frame(US, 5000, PEER, 7, "abc", 3);
	struct frame f = icmp_frame(PEER, US, 42, 0, 0, "data", 4);

	EXPECT_DROP(w, &f, ICMP_TYPE);
	f = icmp_frame(PEER, US, ICMP_ECHO_REPLY, 0, 0, "data", 4);
	EXPECT_DROP(w, &f, ICMP_TYPE);
	f = icmp_frame(PEER, US, ICMP_ECHO, 1, 0, "data", 4);
	EXPECT_DROP(w, &f, ICMP_TYPE);
	f = icmp_frame(ROUTER, US, ICMP_REDIRECT, 1, 0x0a000003, frame_ip4(&quoted), 28);
	EXPECT_DROP(w, &f, ICMP_REDIRECT);
	f = icmp_frame(ROUTER, US, ICMP_SOURCE_QUENCH, 0, 0, frame_ip4(&quoted), 28);
	EXPECT_DROP(w, &f, ICMP_SOURCE_QUENCH);
}

static void broadcast_pings_are_not_answered(void **state)
{
	const uint32_t to[] = { UINT32_MAX, be32(0x0a0000ff), be32(0xe0000001) };

	for (unsigned i = 0; i < 3; i++) {
		struct frame f = icmp_frame(PEER, to[i], ICMP_ECHO, 0, 1, "data", 4);

		EXPECT_DROP(*state, &f, ICMP_BROADCAST);
	}
}

static void a_closed_port_is_reported_with_what_fits(void **state)
{
	struct world *w = *state;
	uint8_t data[1000] = { 1, 2, 3 };
	struct frame f = udp_frame(PEER, 9, US, 5000, data, sizeof(data));
	struct icmp_header *icmp;

	world_give(w, &f);
	assert_int_equal(w->sent_count, 1);
	frame_verify(&w->sent[0]);
	icmp = frame_l4(&w->sent[0]);
	assert_int_equal(icmp->type, ICMP_UNREACHABLE);
	assert_int_equal(icmp->code, 3);
	assert_int_equal(icmp->rest, 0);
	assert_int_equal(be16(frame_ip4(&w->sent[0])->total_length), 576);
	assert_memory_equal(icmp + 1, frame_ip4(&f), 548);
}

static void errors_are_not_sent_where_rfc_1122_forbids_them(void **state)
{
	struct world *w = *state;
	uint64_t before;
	struct frame f;

	/* to a broadcast address, and to us in a broadcast frame */
	f = udp_frame(PEER, 9, be32(0x0a0000ff), 5000, "x", 1);
	EXPECT_DROP(w, &f, UDP_NO_PORT);
	f = udp_frame(PEER, 9, US, 5000, "x", 1);
	memset(f.bytes, 0xff, 6);
	EXPECT_DROP(w, &f, IP_LINK_BROADCAST);
	before = dropped(w, DROP_ICMP_FORBIDDEN);
	/* about an ICMP error that has bad options */
	f = icmp_frame(PEER, US, ICMP_UNREACHABLE, 1, 0, "12345678901234567890123456789012345678901234567890", 40);
	memmove(f.bytes + 14 + 24, f.bytes + 14 + 20, 48);
	memcpy(f.bytes + 14 + 20, "\x99\x09\0\0", 4);
	f.len += 4;
	frame_ip4(&f)->version_ihl = 0x46;
	frame_ip4(&f)->total_length = be16(72);
	frame_fix_ip4(&f);
	world_give(w, &f);
	assert_int_equal(w->sent_count, 0);
	assert_int_equal(dropped(w, DROP_ICMP_FORBIDDEN), before + 1);
}

static void errors_are_limited_to_a_burst_and_a_rate_but_echoes_are_not(void **state)
{
	struct world *w = *state;
	struct frame f = udp_frame(PEER, 9, US, 5000, "x", 1), ping = icmp_frame(PEER, US, ICMP_ECHO, 0, 1, "", 0);

	for (unsigned i = 0; i < 200; i++)
		world_give(w, &f);
	assert_int_equal(w->sent_count, 6);
	assert_int_equal(dropped(w, DROP_ICMP_RATE), 194);
	world_give(w, &ping);
	assert_int_equal(w->sent_count, 7);
	world_run(w, w->now + 2 * NSEC_PER_SEC);
	for (unsigned i = 0; i < 100; i++)
		world_give(w, &f);
	assert_int_equal(w->sent_count, 9);
}

/* An error of this type about a datagram of ours from port 5000 to PEER port 7. */
static struct frame error_about(uint32_t source, uint8_t type, uint8_t code, uint32_t rest, uint32_t length)
{
	uint8_t data[64] = { 0 };
	struct frame quoted = udp_frame(source, 5000, PEER, 7, data, sizeof(data));

	return icmp_frame(ROUTER, US, type, code, rest, frame_ip4(&quoted), length);
}

static ep_id connected(struct world *w)
{
	ep_id id = udp_socket(w, 0, 5000);
	struct ep_name peer = name_of(PEER, 7);

	assert_int_equal(ep_connect(w->s, id, &peer), 0);
	return id;
}

static void errors_reach_the_socket_they_quote(void **state)
{
	static const struct {
		uint8_t type, code;
		int error;
	} table[] = {
		{ ICMP_UNREACHABLE, 3, ECONNREFUSED }, { ICMP_UNREACHABLE, 1, EHOSTUNREACH },
		{ ICMP_UNREACHABLE, 0, ENETUNREACH }, { ICMP_UNREACHABLE, 2, ENOPROTOOPT },
		{ ICMP_UNREACHABLE, 4, EMSGSIZE }, { ICMP_TIME_EXCEEDED, 0, EHOSTUNREACH }, { ICMP_PARAMETER, 0, EPROTO },
	};
	struct world *w = *state;
	ep_id id = connected(w), other = udp_socket(w, 0, 5001);

	for (unsigned i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct frame f = error_about(US, table[i].type, table[i].code, 0, 28 + 8);

		world_give(w, &f);
		assert_int_equal(ep_take_error(w->s, id), table[i].error);
		assert_int_equal(ep_take_error(w->s, other), 0);
	}
}

static void errors_that_quote_nothing_of_ours_are_dropped(void **state)
{
	struct world *w = *state;
	ep_id id = connected(w);
	struct frame f = error_about(STRANGER, ICMP_UNREACHABLE, 3, 0, 36);

	EXPECT_DROP(w, &f, ICMP_QUOTE);                       /* not sent by us */
	for (uint32_t length = 0; length < 28; length++) {
		f = error_about(US, ICMP_UNREACHABLE, 3, 0, length);
		EXPECT_DROP(w, &f, ICMP_QUOTE);               /* cut off */
	}
	f = error_about(US, ICMP_UNREACHABLE, 16, 0, 36);
	EXPECT_DROP(w, &f, ICMP_QUOTE);                       /* no such code */
	assert_int_equal(ep_take_error(w->s, id), 0);
}

static uint16_t mtu_to_peer(struct world *w)
{
	struct ipaddr peer = ipaddr_from_ip4(PEER);
	struct path path;

	assert_int_equal(route_find(w->s, NULL, &peer, &path), 0);
	return path.mtu;
}

static void fragmentation_needed_lowers_the_path_mtu_within_bounds(void **state)
{
	struct world *w = *state;
	uint32_t generation = w->s->route_generation;
	struct frame f = error_about(US, ICMP_UNREACHABLE, 4, 1400, 36);

	world_give(w, &f);
	assert_int_equal(mtu_to_peer(w), 1500);               /* nobody's socket */
	connected(w);
	world_give(w, &f);
	assert_int_equal(mtu_to_peer(w), 1400);
	assert_true(w->s->route_generation != generation);
	f = error_about(US, ICMP_UNREACHABLE, 4, 1450, 36);
	world_give(w, &f);
	assert_int_equal(mtu_to_peer(w), 1400);               /* never raised */
	f = error_about(US, ICMP_UNREACHABLE, 4, 60, 36);
	world_give(w, &f);
	assert_int_equal(mtu_to_peer(w), 552);                /* nor below what is plausible */
	world_run(w, w->now + 601 * NSEC_PER_SEC);
	assert_int_equal(mtu_to_peer(w), 1500);               /* forgotten after ten minutes */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		world_test(an_echo_comes_back_with_all_its_data),
		world_test(an_echo_in_fragments_comes_back_in_fragments),
		world_test(damaged_and_short_messages_are_dropped),
		world_test(unknown_types_redirects_and_source_quench_are_ignored),
		world_test(broadcast_pings_are_not_answered),
		world_test(a_closed_port_is_reported_with_what_fits),
		world_test(errors_are_not_sent_where_rfc_1122_forbids_them),
		world_test(errors_are_limited_to_a_burst_and_a_rate_but_echoes_are_not),
		world_test(errors_reach_the_socket_they_quote),
		world_test(errors_that_quote_nothing_of_ours_are_dropped),
		world_test(fragmentation_needed_lowers_the_path_mtu_within_bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
