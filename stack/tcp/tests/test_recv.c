/* SPDX-License-Identifier: BSD-3-Clause */
/* The receiving half: acceptability, order, windows, when an ACK leaves. The peer is the test. */
#include "tests/harness.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "tcp/gaps.h"
#include "tcp/recv.h"

static void acceptability_follows_the_vectors(void **state)
{
	uint32_t nxt, window, seq, len;
	unsigned acceptable, overlaps, rows = 0;
	char line[256];
	FILE *f = fopen(VECTORS "/segment_acceptability.tsv", "r");

	(void)state;
	assert_non_null(f);
	assert_non_null(fgets(line, sizeof(line), f));
	while (fscanf(f, "%u %u %u %u %u %u", &nxt, &window, &seq, &len, &acceptable, &overlaps) == 6) {
		if (recv_acceptable(nxt, window, seq, len) != acceptable)
			fail_msg("nxt %u window %u seq %u len %u", nxt, window, seq, len);
		rows++;
	}
	fclose(f);
	assert_true(rows > 100);
}

static void data(struct harness_host *h, const struct harness_peer *p, uint32_t offset, uint32_t n)
{
	static uint8_t bytes[2000];

	for (uint32_t i = 0; i < n; i++)
		bytes[i] = (uint8_t)(offset + i);
	harness_send(h, p, (struct tcp_segment){ .flags = SEG_ACK, .seq = p->seq + offset, .len = n, .payload = bytes });
}

static void expect_stream(struct harness_host *h, ep_id id, uint32_t from, uint32_t n)
{
	uint8_t byte;

	for (uint32_t i = 0; i < n; i++) {
		assert_int_equal(ep_recv(h->stack, id, &byte, 1), 1);
		assert_int_equal(byte, (uint8_t)(from + i));
	}
	assert_int_equal(ep_recv(h->stack, id, &byte, 1), -EAGAIN);
}

static void pieces_in_any_order_make_the_stream(void **state)
{
	static const unsigned orders[][5] = { { 4, 3, 2, 1, 0 }, { 2, 0, 4, 1, 3 }, { 1, 3, 0, 4, 2 }, { 0, 4, 2, 3, 1 } };

	(void)state;
	for (unsigned o = 0; o < 4; o++) {
		struct harness_host *h = harness_host_new(1, NULL, 0);
		struct harness_peer p = { 0 };
		ep_id id = harness_accepted(h, &p, 1460);
		struct tcp_segment s;

		for (unsigned i = 0; i < 5; i++)
			data(h, &p, orders[o][i] * 100, 100);
		harness_pass(h, NSEC_PER_SEC);
		s.ack = 0;
		while (harness_sent(h, &s))
			;
		assert_int_equal(s.ack, p.seq + 500);
		expect_stream(h, id, 0, 500);
		harness_host_free(h);
	}
}

static void overlaps_count_once(void **state)
{
	struct harness_host *h = harness_host_new(1, NULL, 0);
	struct harness_peer p = { 0 };
	ep_id id = harness_accepted(h, &p, 1460);

	(void)state;
	data(h, &p, 0, 100);
	data(h, &p, 50, 100);
	data(h, &p, 300, 100);
	data(h, &p, 120, 250);
	data(h, &p, 0, 400);
	expect_stream(h, id, 0, 400);
	harness_host_free(h);
}

/* RFC 2018 4: an ACK for each segment beyond a gap, the newest interval first, and one for all when it is filled. */
static void a_gap_is_reported_at_once(void **state)
{
	struct harness_host *h = harness_host_new(1, NULL, 0);
	struct harness_peer p = { 0 };
	struct tcp_segment s;
	ep_id listener = harness_listen(h, OUR_PORT, 8);

	(void)state;
	p = (struct harness_peer){ .seq = 1000, .port = PEER_PORT, .window = 65535 };
	harness_send(h, &p, (struct tcp_segment){ .flags = SEG_SYN, .has = SEG_HAS_MSS | SEG_HAS_SACK_OK, .mss = 1460 });
	s = harness_expect(h, SEG_SYN | SEG_ACK);
	assert_true(s.has & SEG_HAS_SACK_OK);
	p.seq = 1001;
	p.ack = s.seq + 1;
	harness_send(h, &p, (struct tcp_segment){ .flags = SEG_ACK });
	data(h, &p, 100, 100);
	s = harness_expect(h, SEG_ACK);
	assert_true(s.ack == 1001 && s.sack_count == 1 && s.sack[0].start == 1101 && s.sack[0].end == 1201);
	data(h, &p, 300, 100);
	s = harness_expect(h, SEG_ACK);
	assert_true(s.sack_count == 2 && s.sack[0].start == 1301 && s.sack[1].start == 1101);
	data(h, &p, 200, 100);
	s = harness_expect(h, SEG_ACK);
	assert_true(s.sack_count == 1 && s.sack[0].start == 1101 && s.sack[0].end == 1401);
	data(h, &p, 0, 100);
	s = harness_expect(h, SEG_ACK);
	assert_true(s.ack == 1401 && s.sack_count == 0);
	(void)listener;
	harness_host_free(h);
}

static void data_unanswered(struct harness_host *h, const struct harness_peer *p, uint32_t offset, uint32_t n)
{
	struct tcp_segment answer;

	data(h, p, offset, n);
	while (harness_sent(h, &answer))
		;
}

/* As a connection that has a window of 10,000 segments has it. */
static ep_id open_wide(struct harness_host *h, struct harness_peer *p)
{
	ep_id listener = harness_listen(h, OUR_PORT, 8), child;
	struct tcp_segment s;

	assert_int_equal(ep_set(h->stack, listener, EP_RECEIVE_BUFFER, 10000 * 1460 * 2), 0);
	*p = (struct harness_peer){ .port = PEER_PORT, .seq = 1000, .window = 65535 };
	harness_send(h, p, (struct tcp_segment){ .flags = SEG_SYN, .has = SEG_HAS_MSS | SEG_HAS_SACK_OK | SEG_HAS_SCALE, .mss = 1460 });
	s = harness_expect(h, SEG_SYN | SEG_ACK);
	p->seq = 1001;
	p->ack = s.seq + 1;
	harness_send(h, p, (struct tcp_segment){ .flags = SEG_ACK });
	assert_int_equal(ep_accept(h->stack, listener, &child, NULL), 0);
	assert_int_equal(ep_close(h->stack, listener), 0);
	return child;
}

/* What a queue that overflows lets through of a window of a long fat path; the gaps are filled from the front, or as chance has it. */
static void every_other_segment_of_a_large_window_is_kept(void **state)
{
	enum { SEGMENTS = 8400, STEP = 1460, PRIME = 7919 };

	(void)state;
	for (unsigned order = 0; order < 2; order++) {
		struct harness_host *h = harness_host_new(1, NULL, 0);
		struct harness_peer p;
		ep_id id = open_wide(h, &p);
		const struct tcp_conn *c = harness_conn(h, id);

		for (uint32_t i = 0; i < SEGMENTS / 2; i++)
			data_unanswered(h, &p, (2 * (order == 0 ? i : i * PRIME % (SEGMENTS / 2)) + 1) * STEP, STEP);
		assert_true(recv_window_open(c) >= SEGMENTS * STEP);
		assert_int_equal(harness_drops(h, DROP_TCP_REASSEMBLY), 0);
		assert_int_equal(gaps_count(c), SEGMENTS / 2);
		assert_int_equal(h->stack->tcp->gaps.used + h->stack->tcp->many_gaps.used, 0);
		for (uint32_t i = 0; i < SEGMENTS / 2; i++)
			data_unanswered(h, &p, 2 * (order == 0 ? i : (i + 1) * PRIME % (SEGMENTS / 2)) * STEP, STEP);
		assert_int_equal(c->rcv_nxt - p.seq, SEGMENTS * STEP);
		assert_null(c->gaps);
		assert_int_equal(h->stack->tcp->most_gaps.used, 0);
		expect_stream(h, id, 0, SEGMENTS * STEP);
		harness_host_free(h);
	}
}

/* Room for many intervals when few are not enough, and beyond that nothing: all is given back when the gaps are filled. */
static void too_many_gaps_are_not_kept(void **state)
{
	struct harness_host *h = harness_host_new(1, NULL, 0);
	struct harness_peer p = { 0 };
	ep_id id = harness_accepted(h, &p, 1460);

	(void)state;
	assert_int_equal(ep_set(h->stack, id, EP_RECEIVE_BUFFER, 1 << 20), 0);
	for (unsigned i = 0; i < TCP_GAPS; i++)
		data_unanswered(h, &p, 10 + i * 4, 2);
	assert_int_equal(h->stack->tcp->gaps.used, 1);
	assert_int_equal(h->stack->tcp->many_gaps.used, 0);
	for (unsigned i = TCP_GAPS; i < TCP_GAPS_MANY + 3; i++)
		data_unanswered(h, &p, 10 + i * 4, 2);
	assert_int_equal(harness_drops(h, DROP_TCP_REASSEMBLY), 3);
	assert_int_equal(h->stack->tcp->gaps.used, 0);
	assert_int_equal(h->stack->tcp->many_gaps.used, 1);
	for (unsigned i = 0; i < 30; i++)
		data_unanswered(h, &p, i * 1000, 1000);
	expect_stream(h, id, 0, 30 * 1000);
	assert_int_equal(h->stack->tcp->many_gaps.used, 0);
	harness_host_free(h);
}

static void a_small_segment_is_acknowledged_later(void **state)
{
	struct harness_host *h = harness_host_new(1, NULL, 0);
	struct harness_peer p = { 0 };
	ep_id id = harness_accepted(h, &p, 1460);

	(void)state;
	harness_conn(h, id)->quickacks = 0;
	data(h, &p, 0, 100);
	harness_expect_none(h);
	harness_pass(h, 39 * NSEC_PER_MSEC);
	harness_expect_none(h);
	harness_pass(h, 2 * NSEC_PER_MSEC);
	assert_int_equal(harness_expect(h, SEG_ACK).ack, p.seq + 100);
	/* Nobody answered: whoever waits for this ACK is not made to wait as long for the next. */
	assert_true(harness_conn(h, id)->quickacks > 0);
	/* Data of our own carries it. */
	harness_conn(h, id)->quickacks = 0;
	data(h, &p, 100, 100);
	assert_int_equal(ep_send(h->stack, id, "x", 1), 1);
	harness_turn(h);
	assert_int_equal(harness_expect(h, SEG_ACK | SEG_PSH).ack, p.seq + 200);
	harness_pass(h, NSEC_PER_SEC / 10);
	harness_expect_none(h);
	harness_host_free(h);
}

static void at_the_start_acks_are_quick(void **state)
{
	struct harness_host *h = harness_host_new(1, NULL, 0);
	struct harness_peer p = { 0 };

	(void)state;
	harness_accepted(h, &p, 1460);
	harness_send(h, &p, (struct tcp_segment){ .flags = SEG_ACK | SEG_PSH, .len = 100 });
	harness_expect_none(h); /* the answer may carry it */
	harness_pass(h, NSEC_PER_MSEC);
	assert_int_equal(harness_expect(h, SEG_ACK).ack, p.seq + 100);
	data(h, &p, 100, 1460);
	assert_int_equal(harness_expect(h, SEG_ACK).ack, p.seq + 1560);
	harness_host_free(h);
}

static void every_second_full_segment_is_acknowledged(void **state)
{
	struct harness_host *h = harness_host_new(1, NULL, 0);
	struct harness_peer p = { 0 };
	ep_id id = harness_accepted(h, &p, 1460);

	(void)state;
	harness_conn(h, id)->quickacks = 0;
	for (unsigned i = 0; i < 6; i++) {
		data(h, &p, i * 1460, 1460);
		if (i % 2 == 0)
			harness_expect_none(h);
		else
			assert_int_equal(harness_expect(h, SEG_ACK).ack, p.seq + (i + 1) * 1460);
	}
	harness_host_free(h);
}

/* Fills the window of a program that does not read; returns how much went in. */
static uint32_t fill(struct harness_host *h, struct harness_peer *p)
{
	struct tcp_segment s = { .ack = p->seq, .window = 0xffff };
	uint32_t sent = 0;

	for (unsigned i = 0; i < 200; i++) {
		data(h, p, sent, 1000);
		harness_pass(h, 50 * NSEC_PER_MSEC);
		while (harness_sent(h, &s))
			;
		sent = s.ack - p->seq;
		if (s.window == 0)
			return sent;
	}
	fail_msg("the window never closed");
	return 0;
}

static void a_window_closes_and_opens_by_a_step(void **state)
{
	struct harness_host *h = harness_host_new(1, NULL, 0);
	struct harness_peer p = { 0 };
	ep_id id = harness_accepted(h, &p, 1460);
	uint8_t buffer[2000];
	struct tcp_segment s;
	uint32_t filled = fill(h, &p);

	(void)state;
	assert_int_equal(filled, 65535);
	/* A probe is answered, and its byte not taken (RFC 9293 3.8.6.1). */
	data(h, &p, filled, 1);
	s = harness_expect(h, SEG_ACK);
	assert_true(s.ack == p.seq + filled && s.window == 0);
	/* MUST-39: the edge stays until min(buffer / 2, MSS) is free. */
	for (unsigned i = 0; i < 14; i++) {
		assert_int_equal(ep_recv(h->stack, id, buffer, 100), 100);
		harness_turn(h);
		harness_expect_none(h);
	}
	assert_int_equal(ep_recv(h->stack, id, buffer, 100), 100);
	harness_turn(h);
	s = harness_expect(h, SEG_ACK);
	assert_in_range(s.window, 1460, 1600);
	data(h, &p, filled, 1000);
	harness_pass(h, NSEC_PER_SEC);
	assert_int_equal(harness_expect(h, SEG_ACK).ack, p.seq + filled + 1000);
	harness_host_free(h);
}

static void a_closed_window_still_takes_acks_urgency_and_resets(void **state)
{
	struct harness_host *h = harness_host_new(1, NULL, 0);
	struct harness_peer p = { 0 };
	ep_id id = harness_accepted(h, &p, 1460);
	uint32_t filled = fill(h, &p);

	(void)state;
	p.seq += filled;
	assert_int_equal(ep_send(h->stack, id, "12345", 5), 5);
	harness_turn(h);
	harness_expect(h, SEG_ACK | SEG_PSH);
	harness_send(h, &p, (struct tcp_segment){ .flags = SEG_ACK | SEG_URG, .ack = p.ack + 5, .urgent = 1, .len = 1 });
	assert_int_equal(harness_conn(h, id)->snd_una, p.ack + 5);
	assert_true(ep_ready(h->stack, id) & EP_URGENT);
	harness_send(h, &p, (struct tcp_segment){ .flags = SEG_RST });
	assert_int_equal(harness_state(h, id), TCP_CLOSED);
	harness_host_free(h);
}

/* No host memory: the bytes are dropped with a counter, the peer sends them again. */
static bool refuse;

static bool lend(void *context, ep_id id, uint64_t owner, enum ep_side side, uint32_t want, uint32_t from,
	struct ring_extent *extent)
{
	static uint8_t memory[8][1 << 17];
	static unsigned used;

	(void)context, (void)id, (void)owner, (void)from;
	if (side == EP_RECEIVE && refuse)
		return false;
	assert_true(want <= sizeof(memory[0]) && used < 8);
	*extent = (struct ring_extent){ memory[used++], want };
	return true;
}

static void give_back(void *context, ep_id id, uint64_t owner, enum ep_side side, struct ring_extent extent)
{
	(void)context, (void)id, (void)owner, (void)side, (void)extent;
}

static void bytes_without_memory_are_not_accepted(void **state)
{
	struct harness_host *h = harness_host_new(1, NULL, 0);
	struct harness_peer p = { 0 };
	ep_id id = harness_accepted(h, &p, 1460);

	(void)state;
	refuse = true;
	h->stack->config.host.lend = lend;
	h->stack->config.host.give_back = give_back;
	data(h, &p, 0, 500);
	assert_int_equal(harness_drops(h, DROP_TCP_RECEIVE_MEMORY), 1);
	assert_int_equal(harness_expect(h, SEG_ACK).ack, p.seq);
	refuse = false;
	data(h, &p, 0, 500);
	expect_stream(h, id, 0, 500);
	harness_host_free(h);
}

static void paws_refuses_old_duplicates(void **state)
{
	struct harness_host *h = harness_host_new(1, NULL, 0);
	struct harness_peer p = { .timestamps = true };
	ep_id id = harness_accepted(h, &p, 1460);

	(void)state;
	p.tsval = 200;
	data(h, &p, 0, 10);
	harness_pass(h, NSEC_PER_SEC);
	while (harness_sent(h, &(struct tcp_segment){ 0 }))
		;
	p.tsval = 199;
	data(h, &p, 10, 10);
	assert_int_equal(harness_drops(h, DROP_TCP_PAWS), 1);
	assert_int_equal(harness_expect(h, SEG_ACK).ack, p.seq + 10);
	p.tsval = 200;
	data(h, &p, 10, 10);
	expect_stream(h, id, 0, 20);
	harness_host_free(h);
}

static void the_window_grows_for_a_reader_that_keeps_up(void **state)
{
	struct harness_host *h = harness_host_new(1, NULL, 0);
	struct harness_peer p = { 0 };
	ep_id id = harness_accepted(h, &p, 1460);
	uint8_t buffer[2000];
	uint32_t before = harness_conn(h, id)->rcv_limit;

	(void)state;
	for (unsigned i = 0; i < 200; i++) {
		data(h, &p, i * 1460, 1460);
		assert_int_equal(ep_recv(h->stack, id, buffer, sizeof(buffer)), 1460);
	}
	assert_true(harness_conn(h, id)->rcv_limit >= 2 * before);
	harness_host_free(h);
}

/* In slow start the next round trip brings twice as much, and one that loses something twice that, all behind a gap. */
static void a_round_trip_that_fills_half_of_the_window_makes_it_four_times_as_large(void **state)
{
	static const struct {
		nsec took;
		unsigned times;
	} cases[] = { { 40 * NSEC_PER_MSEC, 4 }, { 150 * NSEC_PER_MSEC, 2 }, { 250 * NSEC_PER_MSEC, 1 } };
	uint8_t buffer[65536];
	unsigned i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct harness_host *h = harness_host_new(1, NULL, 0);
		struct harness_peer p = { 0 };
		ep_id id = harness_accepted(h, &p, 1460);
		struct tcp_conn *c = harness_conn(h, id);
		uint32_t before = c->rcv_limit, from = 0;

		c->rtt.srtt = 100 * NSEC_PER_MSEC;
		c->rcv_rtt = 100000;
		while (from < before / 2) {
			if (from + 1460 >= before / 2)
				h->now += cases[i].took;
			data(h, &p, from, 1460);
			from += 1460;
			ep_recv(h->stack, id, buffer, sizeof(buffer));
			assert_true(c->rcv_limit == before || from >= before / 2);
		}
		assert_int_equal(c->rcv_limit, cases[i].times * before);
		harness_host_free(h);
	}
}

static void urgent_data_has_a_mark(void **state)
{
	struct harness_host *h = harness_host_new(1, NULL, 0);
	struct harness_peer p = { 0 };
	ep_id id = harness_accepted(h, &p, 1460);
	uint8_t buffer[16], byte;

	(void)state;
	assert_int_equal(ep_urgent_take(h->stack, id, &byte), -EINVAL);
	harness_send(h, &p, (struct tcp_segment){ .flags = SEG_ACK | SEG_URG, .urgent = 4 });
	assert_true(ep_ready(h->stack, id) & EP_URGENT);
	assert_int_equal(ep_urgent_take(h->stack, id, &byte), -EAGAIN);
	harness_send(h, &p, (struct tcp_segment){ .flags = SEG_ACK | SEG_URG, .urgent = 4, .len = 6,
						  .payload = (const uint8_t *)"abcDef" });
	assert_int_equal(ep_recv(h->stack, id, buffer, sizeof(buffer)), 3);
	assert_int_equal(ep_at_mark(h->stack, id), 1);
	assert_int_equal(ep_urgent_take(h->stack, id, &byte), 0);
	assert_int_equal(byte, 'D');
	assert_int_equal(ep_recv(h->stack, id, buffer, sizeof(buffer)), 2);
	assert_memory_equal(buffer, "ef", 2);
	assert_int_equal(ep_at_mark(h->stack, id), 0);
	harness_host_free(h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(acceptability_follows_the_vectors),
		cmocka_unit_test(pieces_in_any_order_make_the_stream),
		cmocka_unit_test(overlaps_count_once),
		cmocka_unit_test(a_gap_is_reported_at_once),
		cmocka_unit_test(too_many_gaps_are_not_kept),
		cmocka_unit_test(every_other_segment_of_a_large_window_is_kept),
		cmocka_unit_test(a_small_segment_is_acknowledged_later),
		cmocka_unit_test(at_the_start_acks_are_quick),
		cmocka_unit_test(every_second_full_segment_is_acknowledged),
		cmocka_unit_test(a_window_closes_and_opens_by_a_step),
		cmocka_unit_test(a_closed_window_still_takes_acks_urgency_and_resets),
		cmocka_unit_test(bytes_without_memory_are_not_accepted),
		cmocka_unit_test(paws_refuses_old_duplicates),
		cmocka_unit_test(the_window_grows_for_a_reader_that_keeps_up),
		cmocka_unit_test(a_round_trip_that_fills_half_of_the_window_makes_it_four_times_as_large),
		cmocka_unit_test(urgent_data_has_a_mark),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
