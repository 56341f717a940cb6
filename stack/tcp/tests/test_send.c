/* SPDX-License-Identifier: BSD-3-Clause */
/* The sending half: segment sizes, Nagle, silly windows, probes, PSH. The peer is the test. */
#include "tests/harness.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static uint8_t bytes[100000];

static void say(struct harness_host *h, ep_id id, uint32_t n)
{
	assert_int_equal(ep_send(h->stack, id, bytes, n), n);
	harness_turn(h);
}

static void ack(struct harness_host *h, struct harness_peer *p, uint32_t n)
{
	p->ack += n;
	harness_send(h, p, (struct tcp_segment){ .flags = SEG_ACK });
}

/* The lengths of all that was sent, as text; P behind those that push, F behind those with FIN. */
static const char *sent(struct harness_host *h)
{
	static char text[4096];
	struct tcp_segment s;
	char *at = text;

	*at = 0;
	while (harness_sent(h, &s))
		at += snprintf(at, sizeof(text) - (size_t)(at - text), "%s%u%s%s", at == text ? "" : " ", s.len,
			s.flags & SEG_PSH ? "P" : "", s.flags & SEG_FIN ? "F" : "");
	return text;
}

static void writes_become_full_segments(void **state)
{
	struct harness_host *h = harness_host_new(1, NULL, 0);
	struct harness_peer p = { 0 };
	ep_id id = harness_accepted(h, &p, 1000);

	(void)state;
	say(h, id, 3500);
	assert_string_equal(sent(h), "1000 1000 1000 500P");
	ack(h, &p, 3500);
	for (unsigned i = 0; i < 10; i++)
		assert_int_equal(ep_send(h->stack, id, bytes, 250), 250);
	harness_turn(h);
	assert_string_equal(sent(h), "1000 1000 500P");
	harness_host_free(h);
}

static void without_an_mss_option_536_is_the_most(void **state)
{
	struct harness_host *h = harness_host_new(1, NULL, 0);
	struct harness_peer p = { 0 };
	ep_id id = harness_accepted(h, &p, 0);

	(void)state;
	say(h, id, 1100);
	assert_string_equal(sent(h), "536 536 28P");
	harness_host_free(h);
}

static void options_make_segments_smaller(void **state)
{
	struct harness_host *h = harness_host_new(1, NULL, 0);
	struct harness_peer p = { .timestamps = true };
	ep_id id = harness_accepted(h, &p, 1460);

	(void)state;
	say(h, id, 3000);
	assert_string_equal(sent(h), "1448 1448 104P");
	harness_host_free(h);
}

static void small_writes_wait_for_the_first(void **state)
{
	struct harness_host *h = harness_host_new(1, NULL, 0);
	struct harness_peer p = { 0 };
	ep_id id = harness_accepted(h, &p, 1000);

	(void)state;
	say(h, id, 10);
	assert_string_equal(sent(h), "10P");
	say(h, id, 10);
	say(h, id, 10);
	assert_string_equal(sent(h), "");
	ack(h, &p, 10);
	assert_string_equal(sent(h), "20P");
	/* A full segment does not wait. */
	say(h, id, 1000);
	assert_string_equal(sent(h), "1000P");
	harness_host_free(h);
}

static void minshall_lets_the_odd_end_go(void **state)
{
	struct harness_host *h = harness_host_new(1, NULL, 0);
	struct harness_peer p = { 0 };
	ep_id id = harness_accepted(h, &p, 1000);

	(void)state;
	say(h, id, 2500);
	assert_string_equal(sent(h), "1000 1000 500P");
	say(h, id, 100);
	assert_string_equal(sent(h), "");
	harness_host_free(h);
}

static void nodelay_sends_each_write(void **state)
{
	struct harness_host *h = harness_host_new(1, NULL, 0);
	struct harness_peer p = { 0 };
	ep_id id = harness_accepted(h, &p, 1000);

	(void)state;
	assert_int_equal(ep_set(h->stack, id, EP_NODELAY, 1), 0);
	for (unsigned i = 0; i < 5; i++)
		say(h, id, 1);
	assert_string_equal(sent(h), "1P 1P 1P 1P 1P");
	harness_host_free(h);
}

static void a_cork_holds_what_is_not_full(void **state)
{
	struct harness_host *h = harness_host_new(1, NULL, 0);
	struct harness_peer p = { 0 };
	ep_id id = harness_accepted(h, &p, 1000);

	(void)state;
	assert_int_equal(ep_set(h->stack, id, EP_CORK, 1), 0);
	say(h, id, 400);
	assert_string_equal(sent(h), "");
	say(h, id, 700);
	assert_string_equal(sent(h), "1000");
	ack(h, &p, 1000);
	assert_int_equal(ep_set(h->stack, id, EP_CORK, 0), 0);
	harness_turn(h);
	assert_string_equal(sent(h), "100P");
	ack(h, &p, 100);
	assert_int_equal(ep_set(h->stack, id, EP_CORK, 1), 0);
	say(h, id, 50);
	harness_pass(h, 199 * NSEC_PER_MSEC);
	assert_string_equal(sent(h), "");
	harness_pass(h, 2 * NSEC_PER_MSEC);
	assert_string_equal(sent(h), "50P"); /* 200 ms at most */
	harness_host_free(h);
}

static void the_end_of_the_stream_rides_on_the_last_byte(void **state)
{
	struct harness_host *h = harness_host_new(1, NULL, 0);
	struct harness_peer p = { 0 };
	ep_id id = harness_accepted(h, &p, 1000);

	(void)state;
	assert_int_equal(ep_send(h->stack, id, bytes, 1200), 1200);
	assert_int_equal(ep_shutdown(h->stack, id, EP_SHUT_WRITE), 0);
	harness_turn(h);
	assert_string_equal(sent(h), "1000 200PF");
	harness_host_free(h);
}

static void the_initial_window_is_ten_segments(void **state)
{
	struct harness_host *h = harness_host_new(1, NULL, 0);
	struct harness_peer p = { 0 };
	ep_id id = harness_accepted(h, &p, 1000);

	(void)state;
	say(h, id, 16384);
	assert_string_equal(sent(h), "1000 1000 1000 1000 1000 1000 1000 1000 1000 1000");
	/* Slow start: two for each acknowledged one. */
	ack(h, &p, 1000);
	assert_string_equal(sent(h), "1000 1000");
	harness_host_free(h);
}

static void the_peers_window_bounds(void **state)
{
	struct harness_host *h = harness_host_new(1, NULL, 0);
	struct harness_peer p = { .window = 2500 };
	ep_id id = harness_accepted(h, &p, 1000);

	(void)state;
	say(h, id, 9000);
	assert_string_equal(sent(h), "1000 1000 500");
	/* It opens by little: nothing until a full segment fits (MUST-38). */
	p.ack += 500;
	p.window = 2400;
	harness_send(h, &p, (struct tcp_segment){ .flags = SEG_ACK });
	assert_string_equal(sent(h), "");
	p.window = 3100;
	harness_send(h, &p, (struct tcp_segment){ .flags = SEG_ACK });
	assert_string_equal(sent(h), "1000");
	harness_host_free(h);
}

static void a_small_window_is_used_after_a_while(void **state)
{
	struct harness_host *h = harness_host_new(1, NULL, 0);
	struct harness_peer p = { .window = 3000 };
	ep_id id = harness_accepted(h, &p, 1000);

	(void)state;
	say(h, id, 3000);
	assert_string_equal(sent(h), "1000 1000 1000P");
	p.window = 300;
	ack(h, &p, 3000);
	say(h, id, 3000);
	assert_string_equal(sent(h), "");
	harness_pass(h, 99 * NSEC_PER_MSEC);
	assert_string_equal(sent(h), "");
	harness_pass(h, 910 * NSEC_PER_MSEC);
	assert_memory_equal(sent(h), "300", 3);
	harness_host_free(h);
}

/* RFC 9293 3.8.6.1: probes at one RTO, doubling, for ever while answered; then all at once. */
static void a_closed_window_is_probed(void **state)
{
	struct harness_host *h = harness_host_new(1, NULL, 0);
	struct harness_peer p = { .window = 1000 };
	ep_id id = harness_accepted(h, &p, 1000);
	nsec began, last = 0, gap = 0;
	struct tcp_segment s;

	(void)state;
	say(h, id, 3000);
	assert_string_equal(sent(h), "1000");
	p.ack += 1000;
	p.window = 0;
	harness_send(h, &p, (struct tcp_segment){ .flags = SEG_ACK, .window = 0 });
	assert_int_equal(harness_conn(h, id)->snd_wnd, 0);
	began = h->now;
	for (unsigned i = 0; i < 60; i++) {
		while (!harness_sent(h, &s)) {
			assert_true(stack_deadline(h->stack) != NSEC_NEVER);
			h->now = stack_deadline(h->stack);
			harness_turn(h);
		}
		assert_int_equal(s.len, 1);
		assert_int_equal(s.seq, p.ack);
		if (i == 0)
			assert_in_range(h->now - began, 200 * NSEC_PER_MSEC, 1100 * NSEC_PER_MSEC);
		if (i > 1 && gap < 60 * NSEC_PER_SEC)
			assert_in_range(h->now - last, 2 * gap - 1000, 2 * gap + 1000);
		gap = i > 0 ? h->now - last : 0;
		last = h->now;
		assert_true(gap <= 120 * NSEC_PER_SEC);
		harness_send(h, &p, (struct tcp_segment){ .flags = SEG_ACK, .window = 0 });
	}
	assert_int_equal(harness_state(h, id), TCP_ESTABLISHED);
	p.window = 5000;
	harness_send(h, &p, (struct tcp_segment){ .flags = SEG_ACK });
	assert_string_equal(sent(h), "1000 1000P");
	harness_host_free(h);
}

static void unanswered_probes_end_the_connection(void **state)
{
	struct harness_host *h = harness_host_new(1, NULL, 0);
	struct harness_peer p = { .window = 1000 };
	ep_id id = harness_accepted(h, &p, 1000);

	(void)state;
	say(h, id, 3000);
	p.ack += 1000;
	p.window = 0;
	harness_send(h, &p, (struct tcp_segment){ .flags = SEG_ACK, .window = 0 });
	harness_pass(h, 3000 * NSEC_PER_SEC);
	assert_int_equal(harness_state(h, id), TCP_CLOSED);
	assert_int_equal(ep_take_error(h->stack, id), ETIMEDOUT);
	harness_host_free(h);
}

static void a_window_may_shrink(void **state)
{
	struct harness_host *h = harness_host_new(1, NULL, 0);
	struct harness_peer p = { .window = 5000 };
	ep_id id = harness_accepted(h, &p, 1000);

	(void)state;
	say(h, id, 9000);
	assert_string_equal(sent(h), "1000 1000 1000 1000 1000");
	p.window = 1500;
	ack(h, &p, 1000);
	assert_string_equal(sent(h), ""); /* SHLD-15: 4000 are out, 1500 allowed */
	p.window = 6000;
	harness_send(h, &p, (struct tcp_segment){ .flags = SEG_ACK });
	assert_string_equal(sent(h), "1000 1000");
	harness_host_free(h);
}

static void an_older_segment_does_not_set_the_window(void **state)
{
	struct harness_host *h = harness_host_new(1, NULL, 0);
	struct harness_peer p = { .window = 5000 };
	ep_id id = harness_accepted(h, &p, 1000);

	(void)state;
	harness_send(h, &p, (struct tcp_segment){ .flags = SEG_ACK, .len = 10 });
	p.seq += 10;
	harness_send(h, &p, (struct tcp_segment){ .flags = SEG_ACK, .window = 4000 });
	assert_int_equal(harness_conn(h, id)->snd_wnd, 4000);
	harness_send(h, &p, (struct tcp_segment){ .flags = SEG_ACK, .seq = p.seq - 10, .len = 10, .window = 9000 });
	assert_int_equal(harness_conn(h, id)->snd_wnd, 4000);
	harness_host_free(h);
}

static void super_frames_hold_whole_segments(void **state)
{
	struct harness_host *h = harness_host_new(1, NULL, LINK_TSO | LINK_TX_CSUM);
	struct harness_peer p = { 0 };
	ep_id id = harness_accepted(h, &p, 1000);

	(void)state;
	say(h, id, 9500);
	assert_string_equal(sent(h), "9500P");
	harness_host_free(h);
}

static void a_link_without_packets_is_asked_again_soon(void **state)
{
	struct harness_host *h = harness_host_new(1, NULL, 0);
	struct harness_peer p = { 0 };
	ep_id id = harness_accepted(h, &p, 1000);

	(void)state;
	h->link.dry = true;
	say(h, id, 2000);
	assert_string_equal(sent(h), "");
	/* Time has to pass: nobody spins at one instant. */
	assert_in_range(stack_deadline(h->stack), h->now + 1, h->now + 100 * NSEC_PER_USEC);
	harness_pass(h, 50 * NSEC_PER_USEC);
	h->link.dry = false;
	harness_pass(h, 50 * NSEC_PER_USEC);
	assert_string_equal(sent(h), "1000 1000P");
	harness_host_free(h);
}

static void urgent_bytes_are_marked(void **state)
{
	struct harness_host *h = harness_host_new(1, NULL, 0);
	struct harness_peer p = { 0 };
	ep_id id = harness_accepted(h, &p, 1000);
	struct tcp_segment s;

	(void)state;
	say(h, id, 10);
	assert_int_equal(harness_expect(h, SEG_ACK | SEG_PSH).len, 10);
	assert_int_equal(ep_urgent_send(h->stack, id, '!'), 0);
	harness_turn(h);
	s = harness_expect(h, SEG_ACK | SEG_PSH | SEG_URG);
	assert_true(s.len == 1 && s.urgent == 1); /* Nagle does not hold it */
	ack(h, &p, 11);
	say(h, id, 5);
	harness_expect(h, SEG_ACK | SEG_PSH);
	harness_host_free(h);
}

static void room_is_told_once(void **state)
{
	struct harness_host *h = harness_host_new(1, NULL, 0);
	struct harness_peer p = { 0 };
	ep_id id = harness_accepted(h, &p, 1000);
	struct ep_event e[8];

	(void)state;
	assert_int_equal(ep_set(h->stack, id, EP_SEND_BUFFER, 16384), 0);
	while (ep_send(h->stack, id, bytes, 5000) > 0)
		;
	harness_turn(h);
	stack_events(h->stack, e, 8);
	ack(h, &p, 1000);
	assert_int_equal(stack_events(h->stack, e, 8), 0);
	ack(h, &p, 9000);
	assert_int_equal(stack_events(h->stack, e, 8), 1);
	assert_true(e[0].ep == id && e[0].mask == EP_WRITABLE);
	harness_host_free(h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(writes_become_full_segments),
		cmocka_unit_test(without_an_mss_option_536_is_the_most),
		cmocka_unit_test(options_make_segments_smaller),
		cmocka_unit_test(small_writes_wait_for_the_first),
		cmocka_unit_test(minshall_lets_the_odd_end_go),
		cmocka_unit_test(nodelay_sends_each_write),
		cmocka_unit_test(a_cork_holds_what_is_not_full),
		cmocka_unit_test(the_end_of_the_stream_rides_on_the_last_byte),
		cmocka_unit_test(the_initial_window_is_ten_segments),
		cmocka_unit_test(the_peers_window_bounds),
		cmocka_unit_test(a_small_window_is_used_after_a_while),
		cmocka_unit_test(a_closed_window_is_probed),
		cmocka_unit_test(unanswered_probes_end_the_connection),
		cmocka_unit_test(a_window_may_shrink),
		cmocka_unit_test(an_older_segment_does_not_set_the_window),
		cmocka_unit_test(super_frames_hold_whole_segments),
		cmocka_unit_test(a_link_without_packets_is_asked_again_soon),
		cmocka_unit_test(urgent_bytes_are_marked),
		cmocka_unit_test(room_is_told_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
