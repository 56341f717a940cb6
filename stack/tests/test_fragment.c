/* SPDX-License-Identifier: BSD-3-Clause */
/* Reassembly. A whole UDP datagram to our socket is cut by hand in every way. */
#include "tests/fixture.h"

#include "dgram.h"
#include "layers.h"

#define PORT 5000

static uint8_t whole[65536];
static uint32_t whole_len;

/* A UDP datagram of n bytes in all, from source. */
static void make_whole(uint32_t source, uint32_t n)
{
	struct ipaddr from = ipaddr_from_ip4(source), to = ipaddr_from_ip4(US);
	struct udp_header *udp = (struct udp_header *)whole;

	for (uint32_t i = 0; i < n; i++)
		whole[i] = (uint8_t)(i * 31 + (i >> 8));
	*udp = (struct udp_header){ .source = be16(9), .destination = be16(PORT), .length = be16((uint16_t)n) };
	udp->checksum = csum_finish(csum_add(csum_pseudo(&from, &to, PROTOCOL_UDP, n), whole, n));
	whole_len = n;
}

static struct frame piece(uint32_t source, uint16_t id, uint32_t start, uint32_t end, bool more)
{
	struct frame f = ip4_frame(source, US, PROTOCOL_UDP, whole + start, end - start);

	frame_ip4(&f)->id = be16(id);
	frame_ip4(&f)->fragment = be16((uint16_t)((more ? IP4_MF : 0) | start / 8));
	frame_fix_ip4(&f);
	return f;
}

static void give(struct world *w, uint32_t source, uint16_t id, uint32_t start, uint32_t end)
{
	struct frame f = piece(source, id, start, end, end < whole_len);

	world_give(w, &f);
}

static void expect_datagram(struct world *w, ep_id ep)
{
	static uint8_t got[65536];

	assert_int_equal(ep_recv_from(w->s, ep, got, sizeof(got), NULL), whole_len - 8);
	assert_memory_equal(got, whole + 8, whole_len - 8);
}

static void every_order_of_five_pieces_with_duplicates_makes_it_whole(void **state)
{
	static const uint32_t cut[] = { 0, 64, 72, 800, 1600, 2001 };
	struct world *w = *state;
	ep_id ep = udp_socket(w, 0, PORT);
	char buffer[8];

	make_whole(PEER, 2001);
	for (unsigned code = 0; code < 120; code++) {
		unsigned order[5] = { 0, 1, 2, 3, 4 }, rest = code;

		for (unsigned i = 0; i < 5; i++) {
			unsigned pick = i + rest % (5 - i), n = order[pick];

			rest /= 5 - i;
			order[pick] = order[i];
			order[i] = n;
		}
		for (unsigned i = 0; i < 5; i++) {
			assert_int_equal(ep_recv_from(w->s, ep, buffer, 8, NULL), -11);
			give(w, PEER, (uint16_t)code, cut[order[i]], cut[order[i] + 1]);
			if (i < 4)  /* again: ignored */
				give(w, PEER, (uint16_t)code, cut[order[i]], cut[order[i] + 1]);
		}
		expect_datagram(w, ep);
		assert_int_equal(fragments_held(w->s), 0);
	}
	assert_int_equal(dropped(w, DROP_FRAGMENT_DUPLICATE), 120 * 4);
}

static void the_largest_datagram_is_put_together(void **state)
{
	struct world *w = *state;
	ep_id ep = udp_socket(w, 0, PORT);

	make_whole(PEER, 65515);
	for (uint32_t start = 0; start < whole_len; start += 1480)
		give(w, PEER, 1, start, start + 1480 < whole_len ? start + 1480 : whole_len);
	expect_datagram(w, ep);
}

static void pieces_of_other_datagrams_do_not_mix(void **state)
{
	struct world *w = *state;
	ep_id ep = udp_socket(w, 0, PORT);
	struct frame f;

	make_whole(PEER, 1600);
	give(w, PEER, 1, 0, 800);
	give(w, PEER, 2, 800, 1600);       /* another ID */
	give(w, STRANGER, 1, 800, 1600);   /* another source */
	f = piece(PEER, 1, 800, 1600, false);
	frame_ip4(&f)->protocol = 99;      /* another protocol */
	frame_fix_ip4(&f);
	world_give(w, &f);
	assert_int_equal(fragments_held(w->s), 4);
	give(w, PEER, 1, 800, 1600);
	expect_datagram(w, ep);
	assert_int_equal(fragments_held(w->s), 3);
}

static void impossible_fragments_are_dropped(void **state)
{
	struct world *w = *state;
	struct frame f;

	make_whole(PEER, 1600);
	f = piece(PEER, 1, 0, 100, true);          /* not a multiple of 8 */
	EXPECT_DROP(w, &f, FRAGMENT_MALFORMED);
	f = piece(PEER, 1, 0, 0, true);            /* empty */
	EXPECT_DROP(w, &f, FRAGMENT_MALFORMED);
	f = piece(PEER, 1, 0, 800, false);
	frame_ip4(&f)->fragment = be16(0x1fff);    /* ends beyond 65,535 */
	frame_fix_ip4(&f);
	EXPECT_DROP(w, &f, FRAGMENT_MALFORMED);
	f = piece(PEER, 1, 0, 8, true);
	frame_ip4(&f)->protocol = PROTOCOL_TCP;    /* RFC 1858: half a TCP header */
	frame_fix_ip4(&f);
	EXPECT_DROP(w, &f, FRAGMENT_TINY);
	assert_int_equal(fragments_held(w->s), 0);
}

static void an_overlap_with_other_bytes_gives_the_datagram_up(void **state)
{
	struct world *w = *state;
	struct frame f;

	make_whole(PEER, 1600);
	give(w, PEER, 1, 0, 800);
	f = piece(PEER, 1, 400, 1600, false);      /* reaches into what is there */
	EXPECT_DROP(w, &f, FRAGMENT_OVERLAP);
	assert_int_equal(fragments_held(w->s), 0);
	give(w, PEER, 1, 0, 800);
	f = piece(PEER, 1, 8, 24, true);
	f.bytes[14 + 20] ^= 1;                     /* inside, but other bytes */
	EXPECT_DROP(w, &f, FRAGMENT_OVERLAP);
	assert_int_equal(fragments_held(w->s), 0);
}

static void two_different_ends_give_the_datagram_up(void **state)
{
	struct world *w = *state;
	struct frame f;

	make_whole(PEER, 2400);
	f = piece(PEER, 1, 800, 1600, false);
	world_give(w, &f);
	f = piece(PEER, 1, 800, 1500, false);
	EXPECT_DROP(w, &f, FRAGMENT_OVERLAP);
	f = piece(PEER, 1, 800, 1600, false);
	world_give(w, &f);
	f = piece(PEER, 1, 1600, 2400, true);      /* beyond the end */
	EXPECT_DROP(w, &f, FRAGMENT_OVERLAP);
	f = piece(PEER, 1, 1600, 2400, true);
	world_give(w, &f);
	f = piece(PEER, 1, 800, 1600, false);      /* an end before what is there */
	EXPECT_DROP(w, &f, FRAGMENT_OVERLAP);
	assert_int_equal(fragments_held(w->s), 0);
}

static void after_a_minute_the_sender_of_fragment_zero_is_told(void **state)
{
	struct world *w = *state;
	nsec start = w->now;
	struct icmp_header *icmp;

	make_whole(PEER, 1600);
	give(w, PEER, 1, 0, 800);
	give(w, PEER, 2, 800, 1600);               /* no fragment zero: silence */
	world_run(w, start + 59 * NSEC_PER_SEC);
	assert_int_equal(fragments_held(w->s), 2);
	world_run(w, start + 61 * NSEC_PER_SEC);
	assert_int_equal(fragments_held(w->s), 0);
	assert_int_equal(dropped(w, DROP_FRAGMENT_TIMEOUT), 2);
	assert_int_equal(w->sent_count, 1);
	frame_verify(&w->sent[0]);
	icmp = frame_l4(&w->sent[0]);
	assert_int_equal(icmp->type, ICMP_TIME_EXCEEDED);
	assert_int_equal(icmp->code, 1);
	assert_memory_equal((uint8_t *)(icmp + 1) + 20, whole, 100);
	assert_int_equal(be16(frame_ip4(&w->sent[0])->total_length), 576);
}

static void a_flood_of_first_fragments_costs_bounded_memory_and_stops_nobody(void **state)
{
	struct stack_config config;
	struct world *w;
	ep_id ep;

	world_config(&config);
	config.max_fragments = 256 * 1024;
	w = world_new(&config);
	*state = w;
	ep = udp_socket(w, 0, PORT);
	make_whole(STRANGER, 1600);
	for (uint32_t i = 0; i < 3000; i++) {
		struct frame f = piece(STRANGER, (uint16_t)i, 0, 1480, true);

		world_queue(w, f.bytes, f.len);
		stack_turn(w->s, w->now);
	}
	assert_null(stack_check(w->s));
	assert_true(fragments_held(w->s) <= 128);
	assert_true(dropped(w, DROP_FRAGMENT_MEMORY) >= 2800);
	make_whole(PEER, 3000);
	give(w, PEER, 7, 1480, 2960);
	give(w, PEER, 7, 0, 1480);
	give(w, PEER, 7, 2960, 3000);
	expect_datagram(w, ep);
}

static void too_many_holes_give_the_datagram_up(void **state)
{
	struct world *w = *state;

	make_whole(PEER, 8000);
	for (uint32_t i = 0; i < 65; i++)
		give(w, PEER, 1, i * 32 + 8, i * 32 + 16);
	assert_int_equal(dropped(w, DROP_FRAGMENT_MEMORY), 1);
	assert_int_equal(fragments_held(w->s), 0);
}

static void one_mark_of_congestion_marks_the_datagram(void **state)
{
	struct world *w = *state;
	struct endpoint *ep = ep_find(w->s, udp_socket(w, 0, PORT));
	struct dgram_header header;
	struct frame f;

	make_whole(PEER, 1600);
	f = piece(PEER, 1, 800, 1600, false);
	frame_ip4(&f)->tos = 3;
	frame_fix_ip4(&f);
	world_give(w, &f);
	f = piece(PEER, 1, 0, 800, true);
	frame_ip4(&f)->tos = 0x12;
	frame_fix_ip4(&f);
	world_give(w, &f);
	bytering_read_at(&ep->receive, ep->receive.tail, &header, sizeof(header));
	assert_int_equal(header.length, 1592);
	assert_int_equal(header.tos, 0x13);
}

static int no_setup(void **state)
{
	*state = NULL;
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		world_test(every_order_of_five_pieces_with_duplicates_makes_it_whole),
		world_test(the_largest_datagram_is_put_together),
		world_test(pieces_of_other_datagrams_do_not_mix),
		world_test(impossible_fragments_are_dropped),
		world_test(an_overlap_with_other_bytes_gives_the_datagram_up),
		world_test(two_different_ends_give_the_datagram_up),
		world_test(after_a_minute_the_sender_of_fragment_zero_is_told),
		cmocka_unit_test_setup_teardown(a_flood_of_first_fragments_costs_bounded_memory_and_stops_nobody, no_setup,
						world_teardown),
		world_test(too_many_holes_give_the_datagram_up),
		world_test(one_mark_of_congestion_marks_the_datagram),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
