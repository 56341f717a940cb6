/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/fixture.h"

#include <errno.h>

#include "dgram.h"
#include "layers.h"

static void expect_text(struct world *w, ep_id id, const char *text)
{
	char got[2000];
	int64_t n = ep_recv_from(w->s, id, got, sizeof(got), NULL);

	assert_int_equal(n, strlen(text));
	assert_memory_equal(got, text, strlen(text));
}

static void expect_nothing(struct world *w, ep_id id)
{
	char got[8];

	assert_int_equal(ep_recv_from(w->s, id, got, sizeof(got), NULL), -EAGAIN);
}

static void give_text(struct world *w, uint32_t from, uint16_t from_port, uint32_t to, uint16_t to_port, const char *text)
{
	struct frame f = udp_frame(from, from_port, to, to_port, text, (uint32_t)strlen(text));

	world_give(w, &f);
}

static void a_datagram_is_one_receive_with_its_sender(void **state)
{
	struct world *w = *state;
	ep_id id = udp_socket(w, 0, 5000);
	struct ep_name from;
	struct ep_event event;
	char got[16];

	give_text(w, PEER, 9, US, 5000, "first");
	give_text(w, PEER, 10, US, 5000, "");
	give_text(w, PEER, 11, US, 5000, "third one");
	assert_int_equal(stack_events(w->s, &event, 1), 1);
	assert_int_equal(event.ep, id);
	assert_true(event.mask & EP_READABLE);
	assert_int_equal(stack_events(w->s, &event, 1), 0);
	assert_int_equal(ep_recv_from(w->s, id, got, 16, &from), 5);
	assert_memory_equal(got, "first", 5);
	assert_int_equal(from.port, 9);
	assert_int_equal(ipaddr_ip4(&from.addr), PEER);
	assert_int_equal(ep_recv_from(w->s, id, got, 16, &from), 0);
	assert_int_equal(from.port, 10);
	assert_int_equal(ep_recv_from(w->s, id, got, 4, &from), 9);  /* cut, full length told */
	assert_memory_equal(got, "thir", 4);
	expect_nothing(w, id);
}

static void a_peek_shows_the_whole_record_and_leaves_it(void **state)
{
	struct world *w = *state;
	ep_id id = udp_socket(w, 0, 5000);
	uint8_t record[sizeof(struct dgram_header) + 16];
	struct dgram_header header;
	char got[16];

	assert_int_equal(ep_peek(w->s, id, record, sizeof(record)), -EAGAIN);
	give_text(w, PEER, 9, US, 5000, "first");
	give_text(w, PEER, 9, US, 5000, "second");
	assert_int_equal(ep_peek(w->s, id, record, sizeof(record)), sizeof(header) + 5);
	memcpy(&header, record, sizeof(header));
	assert_int_equal(header.peer_port, 9);
	assert_int_equal(header.length, 5);
	assert_memory_equal(record + sizeof(header), "first", 5);
	assert_int_equal(ep_recv_from(w->s, id, got, 16, NULL), 5);
	assert_int_equal(ep_recv_from(w->s, id, got, 16, NULL), 6);
}

static void the_record_tells_the_local_address_ttl_and_tos(void **state)
{
	struct world *w = *state;
	ep_id id = udp_socket(w, 0, 5000);
	struct endpoint *ep = ep_find(w->s, id);
	struct frame f = udp_frame(PEER, 9, US, 5000, "x", 1);
	struct dgram_header header;

	frame_ip4(&f)->tos = 0xb8;
	frame_ip4(&f)->ttl = 3;
	frame_fix_ip4(&f);
	world_give(w, &f);
	bytering_read_at(&ep->receive, ep->receive.tail, &header, sizeof(header));
	assert_int_equal(ipaddr_ip4(&header.local), US);
	assert_int_equal(header.local_port, 5000);
	assert_int_equal(header.interface, w->interface);
	assert_int_equal(header.tos, 0xb8);
	assert_int_equal(header.ttl, 3);
}

static void lengths_that_do_not_fit_are_dropped_and_what_follows_is_cut(void **state)
{
	struct world *w = *state;
	ep_id id = udp_socket(w, 0, 5000);
	struct frame f = ip4_frame(PEER, US, PROTOCOL_UDP, "1234567", 7);

	EXPECT_DROP(w, &f, UDP_SHORT);
	f = udp_frame(PEER, 9, US, 5000, "abcd", 4);
	((struct udp_header *)frame_l4(&f))->length = be16(7);
	EXPECT_DROP(w, &f, UDP_SHORT);
	((struct udp_header *)frame_l4(&f))->length = be16(13);
	EXPECT_DROP(w, &f, UDP_SHORT);
	((struct udp_header *)frame_l4(&f))->length = be16(10);
	((struct udp_header *)frame_l4(&f))->checksum = 0;
	world_give(w, &f);
	expect_text(w, id, "ab");
}

static void a_wrong_checksum_is_dropped_and_none_is_accepted(void **state)
{
	struct world *w = *state;
	ep_id id = udp_socket(w, 0, 5000);
	struct frame f = udp_frame(PEER, 9, US, 5000, "abcd", 4);

	((uint8_t *)frame_l4(&f))[9] ^= 4;
	EXPECT_DROP(w, &f, UDP_CHECKSUM);
	((struct udp_header *)frame_l4(&f))->checksum = 0;
	world_give(w, &f);
	expect_text(w, id, "afcd");
	f = udp_frame(PEER, 9, US, 5001, "abcd", 4);
	assert_int_equal(dropped(w, DROP_UDP_NO_PORT), 0);
	world_give(w, &f);
	assert_int_equal(dropped(w, DROP_UDP_NO_PORT), 1);
}

static void a_sum_of_zero_is_sent_as_ones(void **state)
{
	struct world *w = *state;
	ep_id id = udp_socket(w, US, 5000);
	struct ep_name to = name_of(PEER, 7);
	uint16_t word = 0;
	struct frame *f = &w->sent[0];

	assert_int_equal(ep_send_to(w->s, id, &word, 2, &to), 2);
	world_turn(w);
	word = ((struct udp_header *)frame_l4(f))->checksum;  /* as data, it brings the sum to zero */
	world_clear(w);
	assert_int_equal(ep_send_to(w->s, id, &word, 2, &to), 2);
	world_turn(w);
	frame_verify(f);
	assert_int_equal(((struct udp_header *)frame_l4(f))->checksum, 0xffff);
}

static void the_more_specific_socket_wins(void **state)
{
	struct world *w = *state;
	struct ipaddr second = ipaddr_from_ip4(be32(0x0a000009));
	ep_id wild, exact, peered;
	struct ep_name peer = name_of(PEER, 9), any = name_of(0, 5000), us = name_of(US, 5000);

	assert_int_equal(stack_add_address(w->s, w->interface, &second, 24), 0);
	wild = udp_socket(w, 0, 0);
	exact = udp_socket(w, 0, 0);
	peered = udp_socket(w, 0, 0);
	assert_int_equal(ep_set(w->s, wild, EP_REUSE_ADDR, 1), 0);
	assert_int_equal(ep_set(w->s, exact, EP_REUSE_ADDR, 1), 0);
	assert_int_equal(ep_set(w->s, peered, EP_REUSE_ADDR, 1), 0);
	assert_int_equal(ep_bind(w->s, wild, &any), 0);
	assert_int_equal(ep_bind(w->s, exact, &us), 0);
	assert_int_equal(ep_bind(w->s, peered, &us), 0);
	assert_int_equal(ep_connect(w->s, peered, &peer), 0);
	give_text(w, PEER, 9, US, 5000, "to the connected");
	give_text(w, PEER, 10, US, 5000, "to the exact");
	give_text(w, PEER, 10, be32(0x0a000009), 5000, "to the wildcard");
	expect_text(w, peered, "to the connected");
	expect_text(w, exact, "to the exact");
	expect_text(w, wild, "to the wildcard");
	expect_nothing(w, wild);
	assert_int_equal(ep_connect(w->s, peered, NULL), 0);
	assert_int_equal(ep_peer(w->s, peered, &peer), -ENOTCONN);
}

static void a_broadcast_reaches_everyone_who_listens(void **state)
{
	struct world *w = *state;
	ep_id a = udp_socket(w, 0, 0), b = udp_socket(w, 0, 0), c = udp_socket(w, US, 5001);
	struct ep_name any = name_of(0, 5000), all = name_of(be32(0x0a0000ff), 5000);
	struct ep_name limited = name_of(UINT32_MAX, 5000);

	ep_set(w->s, a, EP_REUSE_ADDR, 1);
	ep_set(w->s, b, EP_REUSE_ADDR, 1);
	assert_int_equal(ep_bind(w->s, a, &any), 0);
	assert_int_equal(ep_bind(w->s, b, &any), 0);
	give_text(w, PEER, 9, be32(0x0a0000ff), 5000, "all");
	give_text(w, PEER, 9, UINT32_MAX, 5000, "all");
	for (unsigned i = 0; i < 2; i++) {
		expect_text(w, a, "all");
		expect_text(w, b, "all");
	}
	/* sending needs the right, and goes to the link's broadcast address */
	assert_int_equal(ep_send_to(w->s, c, "x", 1, &all), -EACCES);
	assert_int_equal(ep_connect(w->s, c, &all), -EACCES);
	ep_set(w->s, c, EP_BROADCAST, 1);
	assert_int_equal(ep_send_to(w->s, c, "x", 1, &all), 1);
	assert_int_equal(ep_send_to(w->s, c, "x", 1, &limited), 1);
	world_turn(w);
	assert_int_equal(w->sent_count, 2);
	for (unsigned i = 0; i < 2; i++) {
		frame_verify(&w->sent[i]);
		assert_memory_equal(w->sent[i].bytes, everyone_mac, 6);
		assert_int_equal(frame_ip4(&w->sent[i])->source, US);
	}
}

static void multicast_leaves_to_its_group_with_a_ttl_of_one(void **state)
{
	static const uint8_t mac[6] = { 1, 0, 0x5e, 1, 2, 3 };
	struct world *w = *state;
	ep_id id = udp_socket(w, 0, 0);
	struct ep_name group = name_of(be32(0xef010203), 5000);

	assert_int_equal(ep_send_to(w->s, id, "x", 1, &group), 1);
	world_turn(w);
	frame_verify(&w->sent[0]);
	assert_memory_equal(w->sent[0].bytes, mac, 6);
	assert_int_equal(frame_ip4(&w->sent[0])->ttl, 1);
}

static void a_full_buffer_drops_the_newest_and_reading_makes_room(void **state)
{
	struct world *w = *state;
	ep_id id = udp_socket(w, 0, 5000);
	char big[1400];
	unsigned delivered;

	ep_set(w->s, id, EP_RECEIVE_BUFFER, 16384);
	memset(big, 'a', sizeof(big));
	for (unsigned i = 0; i < 20; i++) {
		struct frame f = udp_frame(PEER, 9, US, 5000, big, sizeof(big));

		world_give(w, &f);
	}
	delivered = (unsigned)w->s->counts[COUNT_UDP_RECEIVED];
	assert_int_equal(delivered, 16384 / dgram_record_size(sizeof(big)));
	assert_int_equal(dropped(w, DROP_UDP_BUFFER), 20 - delivered);
	assert_int_equal(ep_recv_from(w->s, id, big, sizeof(big), NULL), 1400);
	give_text(w, PEER, 9, US, 5000, "fits again");
	assert_int_equal(w->s->counts[COUNT_UDP_RECEIVED], delivered + 1);
}

static void one_datagram_fits_however_small_the_buffer(void **state)
{
	static uint8_t big[60000];
	struct world *w = *state;
	ep_id server = udp_socket(w, 0, 5000), client = udp_socket(w, 0, 0);
	struct ep_name to = name_of(LOCALHOST, 5000);

	ep_set(w->s, server, EP_RECEIVE_BUFFER, 2048);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(ep_send_to(w->s, client, big, sizeof(big), &to), sizeof(big));
		world_turn(w);
		world_turn(w);
		assert_int_equal(ep_recv_from(w->s, server, big, sizeof(big), NULL), sizeof(big));
	}
	expect_nothing(w, server);
}

static void a_socket_that_was_shut_receives_no_more(void **state)
{
	struct world *w = *state;
	ep_id id = udp_socket(w, 0, 5000);
	struct ep_name peer = name_of(PEER, 9);
	char got[8];

	assert_int_equal(ep_shutdown(w->s, id, EP_SHUT_READ), -ENOTCONN);
	assert_int_equal(ep_connect(w->s, id, &peer), 0);
	assert_int_equal(ep_shutdown(w->s, id, EP_SHUT_BOTH), 0);
	give_text(w, PEER, 9, US, 5000, "late");
	assert_int_equal(dropped(w, DROP_UDP_SHUT), 1);
	assert_int_equal(ep_recv_from(w->s, id, got, 8, NULL), 0);
	assert_int_equal(ep_send(w->s, id, "x", 1), -EPIPE);
	assert_int_equal(ep_ready(w->s, id) & (EP_READ_CLOSED | EP_HANGUP), EP_READ_CLOSED | EP_HANGUP);
}

static void the_largest_datagram_is_sent_and_one_more_byte_is_not(void **state)
{
	static uint8_t bytes[65508];
	struct world *w = *state;
	ep_id id = udp_socket(w, 0, 0);
	struct ep_name to = name_of(PEER, 7);

	assert_int_equal(ep_send_to(w->s, id, bytes, 65508, &to), -EMSGSIZE);
	assert_int_equal(ep_send_to(w->s, id, bytes, 65507, &to), 65507);
	world_turn(w);
	assert_int_equal(w->sent_count, 45);
	ep_set(w->s, id, EP_MTU_DISCOVER, 2);
	assert_int_equal(ep_send_to(w->s, id, bytes, 1473, &to), -EMSGSIZE);
	assert_int_equal(ep_send_to(w->s, id, bytes, 1472, &to), 1472);
	world_turn(w);
	assert_int_equal(frame_ip4(&w->sent[45])->fragment, be16(IP4_DF));
}

static void destinations_that_cannot_be_are_refused(void **state)
{
	struct world *w = *state;
	ep_id id = udp_socket(w, 0, 0);
	struct ep_name to = name_of(PEER, 0);
	struct ipaddr any = ipaddr_from_ip4(0);

	assert_int_equal(ep_send(w->s, id, "x", 1), -EDESTADDRREQ);
	assert_int_equal(ep_send_to(w->s, id, "x", 1, &to), -EINVAL);
	to = name_of(FAR_AWAY, 7);
	assert_int_equal(stack_remove_route(w->s, &any, 0), 0);
	assert_int_equal(ep_send_to(w->s, id, "x", 1, &to), -ENETUNREACH);
	to = (struct ep_name){ .addr.bytes = { 0x20, 1 }, .port = 7 };
	assert_int_equal(ep_send_to(w->s, id, "x", 1, &to), -EAFNOSUPPORT);
}

/* ---- through shared rings, as a program in another process does ---- */

struct shared {
	_Atomic uint32_t receive_head, receive_tail, send_head, send_tail;
};

static ep_id shared_socket(struct world *w, struct shared *words)
{
	struct ep_sharing sharing = { &words->receive_head, &words->receive_tail, &words->send_head, &words->send_tail };
	struct ep_name name = name_of(0, 5000);
	ep_id id;

	assert_int_equal(ep_open(w->s, EP_DATAGRAM, 1, &sharing, &id), 0);
	assert_int_equal(ep_bind(w->s, id, &name), 0);
	assert_int_equal(ep_grow_send(w->s, id, 16384), 0);
	return id;
}

static void put(struct world *w, ep_id id, struct shared *words, struct dgram_header *header, const void *bytes)
{
	struct endpoint *ep = ep_find(w->s, id);
	uint32_t head = words->send_head;

	bytering_write_at(&ep->send, head, header, sizeof(*header));
	bytering_write_at(&ep->send, head + (uint32_t)sizeof(*header), bytes, header->length < 64 ? header->length : 64);
	words->send_head = head + dgram_record_size(header->length < 64 ? header->length : 64);
}

static void records_of_a_program_are_sent_and_released(void **state)
{
	struct world *w = *state;
	struct shared words = { 0 };
	ep_id id = shared_socket(w, &words);
	struct dgram_header header = { .peer = ipaddr_from_ip4(PEER), .peer_port = 7, .length = 5 };

	put(w, id, &words, &header, "hello");
	header.length = 0;
	put(w, id, &words, &header, "");
	assert_int_equal(ep_sent(w->s, id), 0);
	assert_int_equal(words.send_tail, words.send_head);
	world_turn(w);
	assert_int_equal(w->sent_count, 2);
	frame_verify(&w->sent[0]);
	assert_memory_equal((uint8_t *)frame_l4(&w->sent[0]) + 8, "hello", 5);
	/* one that cannot be sent: the program hears of it, the rest goes on */
	header = (struct dgram_header){ .peer = ipaddr_from_ip4(be32(0x0a0000ff)), .peer_port = 7, .length = 1 };
	put(w, id, &words, &header, "x");
	assert_int_equal(ep_sent(w->s, id), 0);
	assert_int_equal(dropped(w, DROP_UDP_SEND), 1);
	assert_int_equal(ep_take_error(w->s, id), EACCES);
	assert_int_equal(words.send_tail, words.send_head);
}

static void hostile_records_and_indices_are_refused(void **state)
{
	struct world *w = *state;
	struct shared words = { 0 };
	ep_id id = shared_socket(w, &words);
	struct dgram_header header = { .peer = ipaddr_from_ip4(PEER), .peer_port = 7, .length = UINT32_MAX };

	words.send_head = 16385;
	assert_int_equal(ep_sent(w->s, id), -EPROTO);
	words.send_head = 0;
	words.receive_tail = 1;
	assert_int_equal(ep_received(w->s, id), -EPROTO);
	words.receive_tail = 0;
	put(w, id, &words, &header, "0123456789012345678901234567890123456789012345678901234567890123");
	assert_int_equal(ep_sent(w->s, id), -EPROTO);
	world_turn(w);
	assert_int_equal(w->sent_count, 0);
}

static void a_full_link_makes_datagrams_wait(void **state)
{
	struct world *w = *state;
	struct shared words = { 0 };
	ep_id id = shared_socket(w, &words);
	struct dgram_header header = { .peer = ipaddr_from_ip4(PEER), .peer_port = 7, .length = 5 };
	struct ep_event events[4];
	nsec start = w->now;

	w->accepts = 0;
	for (unsigned i = 0; i < 40; i++)
		put(w, id, &words, &header, "hello");
	assert_int_equal(ep_sent(w->s, id), 0);
	assert_true(words.send_tail != words.send_head);
	assert_false(ep_ready(w->s, id) & EP_WRITABLE);
	world_turn(w);
	assert_int_equal(w->sent_count, 0);
	assert_true(dropped(w, DROP_LINK_FULL) > 0);
	stack_events(w->s, events, 4);
	w->accepts = UINT32_MAX;
	assert_in_range(stack_deadline(w->s), start, start + NSEC_PER_MSEC);
	world_run(w, start + NSEC_PER_MSEC);
	assert_int_equal(w->sent_count, 40);
	assert_int_equal(words.send_tail, words.send_head);
	assert_int_equal(stack_events(w->s, events, 4), 1);
	assert_true(events[0].mask & EP_WRITABLE);
}

static bool lend_nothing(void *context, ep_id id, uint64_t owner, enum ep_side side, uint32_t want, uint32_t from,
			 struct ring_extent *extent)
{
	(void)context, (void)id, (void)owner, (void)side, (void)want, (void)from, (void)extent;
	return false;
}

static void give_back_nothing(void *context, ep_id id, uint64_t owner, enum ep_side side, struct ring_extent extent)
{
	(void)context, (void)id, (void)owner, (void)side, (void)extent;
	fail_msg("nothing was lent");
}

static void without_memory_datagrams_are_dropped(void **state)
{
	struct stack_config config;
	struct world *w;

	world_config(&config);
	config.host.lend = lend_nothing;
	config.host.give_back = give_back_nothing;
	w = world_new(&config);
	*state = w;
	udp_socket(w, 0, 5000);
	give_text(w, PEER, 9, US, 5000, "x");
	assert_int_equal(dropped(w, DROP_UDP_NO_MEMORY), 1);
}

static int no_setup(void **state)
{
	*state = NULL;
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		world_test(a_datagram_is_one_receive_with_its_sender),
		world_test(a_peek_shows_the_whole_record_and_leaves_it),
		world_test(the_record_tells_the_local_address_ttl_and_tos),
		world_test(lengths_that_do_not_fit_are_dropped_and_what_follows_is_cut),
		world_test(a_wrong_checksum_is_dropped_and_none_is_accepted),
		world_test(a_sum_of_zero_is_sent_as_ones),
		world_test(the_more_specific_socket_wins),
		world_test(a_broadcast_reaches_everyone_who_listens),
		world_test(multicast_leaves_to_its_group_with_a_ttl_of_one),
		world_test(a_full_buffer_drops_the_newest_and_reading_makes_room),
		world_test(one_datagram_fits_however_small_the_buffer),
		world_test(a_socket_that_was_shut_receives_no_more),
		world_test(the_largest_datagram_is_sent_and_one_more_byte_is_not),
		world_test(destinations_that_cannot_be_are_refused),
		world_test(records_of_a_program_are_sent_and_released),
		world_test(hostile_records_and_indices_are_refused),
		world_test(a_full_link_makes_datagrams_wait),
		cmocka_unit_test_setup_teardown(without_memory_datagrams_are_dropped, no_setup, world_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
