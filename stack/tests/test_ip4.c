/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/fixture.h"

#include <errno.h>

#include "layers.h"

/* An echo request is what shows that a packet was accepted. */
static struct frame ping(uint32_t from, uint32_t to)
{
	return icmp_frame(from, to, ICMP_ECHO, 0, 0x00010002, "data", 4);
}

static void expect_answer(struct world *w, struct frame *f)
{
	world_clear(w);
	world_give(w, f);
	assert_int_equal(w->sent_count, 1);
	frame_verify(&w->sent[0]);
}

static void a_good_packet_is_accepted_at_any_ttl(void **state)
{
	for (unsigned ttl = 0; ttl < 3; ttl++) {
		struct frame f = ping(PEER, US);

		frame_ip4(&f)->ttl = (uint8_t)ttl;
		frame_fix_ip4(&f);
		expect_answer(*state, &f);
		assert_int_equal(frame_ip4(&((struct world *)*state)->sent[0])->ttl, 64);
	}
}

static void another_version_is_dropped(void **state)
{
	for (unsigned version = 0; version < 16; version++) {
		struct frame f = ping(PEER, US);

		if (version == 4)
			continue;
		frame_ip4(&f)->version_ihl = (uint8_t)(version << 4 | 5);
		frame_fix_ip4(&f);
		EXPECT_DROP(*state, &f, IP_VERSION);
	}
}

static void any_flipped_header_bit_is_noticed(void **state)
{
	struct world *w = *state;

	for (unsigned bit = 0; bit < 160; bit++) {
		struct frame f = ping(PEER, US);
		uint64_t accepted = w->s->counts[COUNT_IP_DELIVERED];

		f.bytes[14 + bit / 8] ^= (uint8_t)(1 << bit % 8);
		world_clear(w);
		world_give(w, &f);
		assert_int_equal(w->sent_count, 0);
		assert_int_equal(w->s->counts[COUNT_IP_DELIVERED], accepted);
	}
	assert_true(dropped(w, DROP_IP_CHECKSUM) > 120);
}

static void lengths_that_do_not_fit_are_dropped(void **state)
{
	struct world *w = *state;
	struct frame f = ping(PEER, US);

	f.len = 14 + 19;
	EXPECT_DROP(w, &f, IP_SHORT);
	f = ping(PEER, US);
	frame_ip4(&f)->version_ihl = 0x44;
	frame_fix_ip4(&f);
	EXPECT_DROP(w, &f, IP_LENGTH);
	f = ping(PEER, US);
	frame_ip4(&f)->version_ihl = 0x4f;  /* 60 bytes of header in a packet of 32 */
	EXPECT_DROP(w, &f, IP_LENGTH);
	f = ping(PEER, US);
	frame_ip4(&f)->total_length = be16(33);
	frame_fix_ip4(&f);
	EXPECT_DROP(w, &f, IP_LENGTH);
	f = ping(PEER, US);
	frame_ip4(&f)->total_length = be16(19);
	frame_fix_ip4(&f);
	EXPECT_DROP(w, &f, IP_LENGTH);
}

static void bytes_behind_the_total_length_are_ignored(void **state)
{
	struct world *w = *state;
	struct frame f = ping(PEER, US);

	memset(f.bytes + f.len, 0x77, 30);
	f.len += 30;
	expect_answer(w, &f);
	assert_int_equal(be16(frame_ip4(&w->sent[0])->total_length), 32);
}

static void packets_for_others_are_dropped(void **state)
{
	const uint32_t others[] = { STRANGER, FAR_AWAY, be32(0xe0000005), be32(0xc00002ff), 0 };

	for (unsigned i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		struct frame f = ping(PEER, others[i]);

		EXPECT_DROP(*state, &f, IP_DESTINATION);
	}
}

static void sources_that_cannot_be_are_dropped(void **state)
{
	const uint32_t bad[] = { be32(0xe0000001), be32(0xffffffff), be32(0xf0000001), be32(0x0a0000ff), be32(0x00000007), 0 };

	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct frame f = ping(bad[i], US);

		EXPECT_DROP(*state, &f, IP_SOURCE);
	}
}

static void loopback_and_own_addresses_do_not_come_from_a_link(void **state)
{
	struct frame f = ping(LOCALHOST, US);

	EXPECT_DROP(*state, &f, IP_MARTIAN);
	f = ping(US, US);
	EXPECT_DROP(*state, &f, IP_MARTIAN);
	f = ping(PEER, LOCALHOST);
	EXPECT_DROP(*state, &f, IP_MARTIAN);
}

static struct frame with_options(const uint8_t *options, uint32_t n)
{
	uint8_t payload[64] = { 0 };
	struct icmp_header echo = { .type = ICMP_ECHO };
	struct frame f;

	echo.checksum = csum_finish(csum_add(0, &echo, sizeof(echo)));
	memcpy(payload, options, n);
	memcpy(payload + n, &echo, sizeof(echo));
	f = ip4_frame(PEER, US, PROTOCOL_ICMP, payload, n + 8);
	frame_ip4(&f)->version_ihl = (uint8_t)(0x40 | (5 + n / 4));
	frame_fix_ip4(&f);
	return f;
}

static void unknown_options_are_skipped(void **state)
{
	static const uint8_t fine[][8] = {
		{ 0x99, 4, 1, 2, 1, 1, 1, 0 }, { 1, 1, 1, 0x99, 5, 1, 2, 3 }, { 0, 0x99, 0xff, 0, 0, 0, 0, 0 },
		{ 7, 7, 4, 0, 0, 0, 0, 0 },
	};

	for (unsigned i = 0; i < sizeof(fine) / sizeof(fine[0]); i++) {
		struct frame f = with_options(fine[i], 8);

		expect_answer(*state, &f);
	}
}

static void options_that_overrun_the_header_are_dropped_with_a_pointer(void **state)
{
	static const uint8_t bad[][8] = {
		{ 0x99, 9, 0, 0, 0, 0, 0, 0 }, { 0x99, 1, 0, 0, 0, 0, 0, 0 }, { 1, 1, 1, 1, 1, 1, 1, 0x99 },
		{ 0x99, 0, 0, 0, 0, 0, 0, 0 },
	};
	struct world *w = *state;

	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct frame f = with_options(bad[i], 8);
		struct icmp_header *icmp;

		expect_answer(w, &f);
		icmp = frame_l4(&w->sent[0]);
		assert_int_equal(icmp->type, ICMP_PARAMETER);
		assert_int_equal(be32(icmp->rest) >> 24, i == 2 ? 27 : 20);
		assert_int_equal(dropped(w, DROP_IP_OPTIONS), i + 1);
	}
}

static void an_unknown_protocol_is_reported(void **state)
{
	struct world *w = *state;
	struct frame f = ip4_frame(PEER, US, 99, "12345678", 8);
	struct icmp_header *icmp;

	expect_answer(w, &f);
	icmp = frame_l4(&w->sent[0]);
	assert_int_equal(icmp->type, ICMP_UNREACHABLE);
	assert_int_equal(icmp->code, 2);
	assert_memory_equal(icmp + 1, frame_ip4(&f), 28);
	assert_int_equal(dropped(w, DROP_IP_PROTOCOL), 1);
}

static void what_must_not_be_fragmented_is_refused(void **state)
{
	struct world *w = *state;
	struct ipaddr peer = ipaddr_from_ip4(PEER);
	struct path path;
	struct pkt *p;

	assert_int_equal(route_find(w->s, NULL, &peer, &path), 0);
	p = loopback_borrow(w->s);
	p->len = 1481;
	assert_int_equal(ip_send(w->s, p, &(struct ip_send){ .path = &path, .protocol = 99, .dont_fragment = true }), -EMSGSIZE);
	assert_int_equal(dropped(w, DROP_IP_TOO_LONG), 1);
	/* and what nobody could take in one piece or more */
	p = loopback_borrow(w->s);
	p->len = 65516;
	assert_int_equal(ip_send(w->s, p, &(struct ip_send){ .path = &path, .protocol = 99 }), -EMSGSIZE);
	path.interface = 9;
	p = loopback_borrow(w->s);
	p->len = 1;
	assert_int_equal(ip_send(w->s, p, &(struct ip_send){ .path = &path, .protocol = 99 }), -ENETUNREACH);
	assert_int_equal(dropped(w, DROP_IP_NO_ROUTE), 1);
}

static void a_long_packet_leaves_in_aligned_fragments(void **state)
{
	struct world *w = *state;
	struct ipaddr peer = ipaddr_from_ip4(PEER);
	uint8_t together[5000] = { 0 };
	struct path path;
	struct pkt *p;
	unsigned end = 0;

	assert_int_equal(route_find(w->s, NULL, &peer, &path), 0);
	p = loopback_borrow(w->s);
	p->len = 5000;
	for (unsigned i = 0; i < 5000; i++)
		p->data[i] = (uint8_t)(i * 7 >> 3);
	assert_int_equal(ip_send(w->s, p, &(struct ip_send){ .path = &path, .protocol = 99, .ttl = 64 }), 0);
	world_turn(w);
	assert_int_equal(w->sent_count, 4);
	for (unsigned i = 0; i < 4; i++) {
		struct ip4_header *ip = frame_ip4(&w->sent[i]);
		unsigned offset = (be16(ip->fragment) & IP4_OFFSET) * 8u;

		frame_verify(&w->sent[i]);
		assert_int_equal(offset, end);
		assert_int_equal(ip->id, frame_ip4(&w->sent[0])->id);
		assert_int_equal(!(ip->fragment & be16(IP4_MF)), i == 3);
		assert_true(be16(ip->total_length) <= 1500);
		memcpy(together + offset, ip + 1, frame_l4_len(&w->sent[i]));
		end += frame_l4_len(&w->sent[i]);
	}
	assert_int_equal(end, 5000);
	for (unsigned i = 0; i < 5000; i++)
		assert_int_equal(together[i], (uint8_t)(i * 7 >> 3));
}

static void ids_of_packets_without_df_do_not_repeat_soon(void **state)
{
	static uint8_t seen[65536];
	struct world *w = *state;
	ep_id id = udp_socket(w, 0, 0);
	struct ep_name to = name_of(PEER, 9);

	memset(seen, 0, sizeof(seen));
	assert_int_equal(ep_set(w->s, id, EP_MTU_DISCOVER, 0), 0);
	for (unsigned i = 0; i < 5000; i++) {
		struct ip4_header *ip;

		world_clear(w);
		assert_int_equal(ep_send_to(w->s, id, "x", 1, &to), 1);
		stack_turn(w->s, w->now);
		ip = frame_ip4(&w->sent[0]);
		assert_int_equal(ip->fragment, 0);
		assert_int_equal(seen[be16(ip->id)]++, 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		world_test(a_good_packet_is_accepted_at_any_ttl),
		world_test(another_version_is_dropped),
		world_test(any_flipped_header_bit_is_noticed),
		world_test(lengths_that_do_not_fit_are_dropped),
		world_test(bytes_behind_the_total_length_are_ignored),
		world_test(packets_for_others_are_dropped),
		world_test(sources_that_cannot_be_are_dropped),
		world_test(loopback_and_own_addresses_do_not_come_from_a_link),
		world_test(unknown_options_are_skipped),
		world_test(options_that_overrun_the_header_are_dropped_with_a_pointer),
		world_test(an_unknown_protocol_is_reported),
		world_test(what_must_not_be_fragmented_is_refused),
		world_test(a_long_packet_leaves_in_aligned_fragments),
		world_test(ids_of_packets_without_df_do_not_repeat_soon),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
