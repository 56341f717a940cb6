/* SPDX-License-Identifier: BSD-3-Clause */
/* The ends: FIN both ways in every order, TIME-WAIT, resets for bytes thrown away. RFC 9293 3.6. */
#include "tests/harness.h"

#include <errno.h>
#include <string.h>

static void fin(struct harness_host *h, struct harness_peer *p)
{
	harness_send(h, p, (struct tcp_segment){ .flags = SEG_FIN | SEG_ACK });
	p->seq++;
}

static uint32_t time_waits(struct harness_host *h)
{
	struct stack_memory m;

	stack_memory(h->stack, &m);
	return m.time_wait;
}

static uint32_t endpoints(struct harness_host *h)
{
	struct stack_memory m;
	struct ep_event e[16];

	while (stack_events(h->stack, e, 16))
		;
	stack_memory(h->stack, &m);
	return m.endpoints;
}

static void we_close_first(void **state)
{
	struct harness_host *h = harness_host_new(1, NULL, 0);
	struct harness_peer p = { 0 };
	ep_id id = harness_accepted(h, &p, 1460);

	(void)state;
	assert_int_equal(ep_shutdown(h->stack, id, EP_SHUT_WRITE), 0);
	harness_turn(h);
	harness_expect(h, SEG_FIN | SEG_ACK);
	assert_int_equal(harness_state(h, id), TCP_FIN_WAIT_1);
	p.ack++;
	harness_send(h, &p, (struct tcp_segment){ .flags = SEG_ACK });
	assert_int_equal(harness_state(h, id), TCP_FIN_WAIT_2);
	fin(h, &p);
	assert_int_equal(harness_expect(h, SEG_ACK).ack, p.seq);
	assert_int_equal(harness_state(h, id), TCP_TIME_WAIT);
	assert_int_equal(time_waits(h), 1);
	/* MUST-13: the FIN again is answered, and the time begins again. */
	harness_pass(h, 50 * NSEC_PER_SEC);
	harness_send(h, &p, (struct tcp_segment){ .flags = SEG_FIN | SEG_ACK, .seq = p.seq - 1 });
	harness_expect(h, SEG_ACK);
	harness_pass(h, 59 * NSEC_PER_SEC);
	assert_int_equal(time_waits(h), 1);
	harness_pass(h, 2 * NSEC_PER_SEC);
	assert_int_equal(time_waits(h), 0);
	harness_send(h, &p, (struct tcp_segment){ .flags = SEG_ACK });
	harness_expect(h, SEG_RST);
	assert_int_equal(ep_close(h->stack, id), 0);
	assert_int_equal(endpoints(h), 0);
	harness_host_free(h);
}

static void the_peer_closes_first(void **state)
{
	struct harness_host *h = harness_host_new(1, NULL, 0);
	struct harness_peer p = { 0 };
	ep_id id = harness_accepted(h, &p, 1460);
	uint8_t byte;

	(void)state;
	fin(h, &p);
	harness_expect(h, SEG_ACK);
	assert_int_equal(harness_state(h, id), TCP_CLOSE_WAIT);
	assert_int_equal(ep_ready(h->stack, id), EP_READABLE | EP_READ_CLOSED | EP_WRITABLE);
	assert_int_equal(ep_recv(h->stack, id, &byte, 1), 0);
	assert_int_equal(ep_send(h->stack, id, "late", 4), 4);
	assert_int_equal(ep_close(h->stack, id), 0);
	harness_turn(h);
	assert_int_equal(harness_expect(h, SEG_FIN | SEG_ACK | SEG_PSH).len, 4);
	assert_int_equal(harness_state(h, id), TCP_LAST_ACK);
	p.ack += 5;
	harness_send(h, &p, (struct tcp_segment){ .flags = SEG_ACK });
	assert_int_equal(time_waits(h), 0);
	assert_int_equal(endpoints(h), 0);
	harness_host_free(h);
}

static void both_close_at_once(void **state)
{
	struct harness_host *h = harness_host_new(1, NULL, 0);
	struct harness_peer p = { 0 };
	ep_id id = harness_accepted(h, &p, 1460);

	(void)state;
	assert_int_equal(ep_close(h->stack, id), 0);
	harness_turn(h);
	harness_expect(h, SEG_FIN | SEG_ACK);
	fin(h, &p); /* sent before ours arrived */
	assert_int_equal(harness_expect(h, SEG_ACK).ack, p.seq);
	assert_int_equal(harness_state(h, id), TCP_CLOSING);
	p.ack++;
	harness_send(h, &p, (struct tcp_segment){ .flags = SEG_ACK });
	assert_int_equal(time_waits(h), 1);
	assert_int_equal(endpoints(h), 0);
	harness_host_free(h);
}

static void fin_with_the_ack_of_ours(void **state)
{
	struct harness_host *h = harness_host_new(1, NULL, 0);
	struct harness_peer p = { 0 };
	ep_id id = harness_accepted(h, &p, 1460);

	(void)state;
	assert_int_equal(ep_close(h->stack, id), 0);
	harness_turn(h);
	harness_expect(h, SEG_FIN | SEG_ACK);
	p.ack++;
	fin(h, &p);
	harness_expect(h, SEG_ACK);
	assert_int_equal(time_waits(h), 1);
	harness_host_free(h);
}

static void a_fin_before_a_gap_is_filled_waits(void **state)
{
	struct harness_host *h = harness_host_new(1, NULL, 0);
	struct harness_peer p = { 0 };
	ep_id id = harness_accepted(h, &p, 1460);
	uint8_t buffer[16];

	(void)state;
	harness_send(h, &p, (struct tcp_segment){ .flags = SEG_FIN | SEG_ACK, .seq = p.seq + 5, .len = 5 });
	assert_int_equal(harness_expect(h, SEG_ACK).ack, p.seq);
	assert_int_equal(harness_state(h, id), TCP_ESTABLISHED);
	assert_int_equal(ep_recv(h->stack, id, buffer, 16), -EAGAIN);
	harness_send(h, &p, (struct tcp_segment){ .flags = SEG_ACK, .len = 5 });
	assert_int_equal(harness_expect(h, SEG_ACK).ack, p.seq + 11);
	assert_int_equal(harness_state(h, id), TCP_CLOSE_WAIT);
	assert_int_equal(ep_recv(h->stack, id, buffer, 16), 10);
	assert_int_equal(ep_recv(h->stack, id, buffer, 16), 0);
	harness_host_free(h);
}

static void data_behind_the_fin_is_ignored(void **state)
{
	struct harness_host *h = harness_host_new(1, NULL, 0);
	struct harness_peer p = { 0 };
	ep_id id = harness_accepted(h, &p, 1460);
	uint8_t buffer[16];

	(void)state;
	fin(h, &p);
	harness_send(h, &p, (struct tcp_segment){ .flags = SEG_ACK, .len = 5 });
	assert_int_equal(ep_recv(h->stack, id, buffer, 16), 0);
	assert_int_equal(harness_drops(h, DROP_TCP_SEQUENCE), 1);
	harness_host_free(h);
}

static void unread_bytes_make_a_reset(void **state)
{
	struct harness_host *h = harness_host_new(1, NULL, 0);
	struct harness_peer p = { 0 };
	ep_id id = harness_accepted(h, &p, 1460);

	(void)state;
	harness_send(h, &p, (struct tcp_segment){ .flags = SEG_ACK, .len = 5 });
	while (harness_sent(h, &(struct tcp_segment){ 0 }))
		;
	assert_int_equal(ep_close(h->stack, id), 0);
	harness_turn(h);
	assert_int_equal(harness_expect(h, SEG_RST | SEG_ACK).seq, p.ack);
	assert_int_equal(endpoints(h), 0);
	harness_host_free(h);
}

static void bytes_after_close_make_a_reset(void **state)
{
	struct harness_host *h = harness_host_new(1, NULL, 0);
	struct harness_peer p = { 0 };
	ep_id id = harness_accepted(h, &p, 1460);

	(void)state;
	assert_int_equal(ep_close(h->stack, id), 0);
	harness_turn(h);
	harness_expect(h, SEG_FIN | SEG_ACK);
	harness_send(h, &p, (struct tcp_segment){ .flags = SEG_ACK, .len = 5 });
	harness_expect(h, SEG_RST);
	assert_int_equal(harness_drops(h, DROP_TCP_CLOSED), 1);
	assert_int_equal(endpoints(h), 0);
	harness_host_free(h);
}

static void linger_zero_aborts(void **state)
{
	struct harness_host *h = harness_host_new(1, NULL, 0);
	struct harness_peer p = { 0 };
	ep_id id = harness_accepted(h, &p, 1460);

	(void)state;
	assert_int_equal(ep_set(h->stack, id, EP_LINGER, 0), 0);
	assert_int_equal(ep_send(h->stack, id, "x", 1), 1);
	harness_turn(h);
	harness_expect(h, SEG_ACK | SEG_PSH);
	assert_int_equal(ep_close(h->stack, id), 0);
	harness_turn(h);
	assert_int_equal(harness_expect(h, SEG_RST | SEG_ACK).seq, p.ack + 1);
	assert_int_equal(time_waits(h), 0);
	assert_int_equal(endpoints(h), 0);
	harness_host_free(h);
}

static void an_orphan_in_fin_wait_2_is_forgotten(void **state)
{
	struct harness_host *h = harness_host_new(1, NULL, 0);
	struct harness_peer p = { 0 };
	ep_id id = harness_accepted(h, &p, 1460);

	(void)state;
	assert_int_equal(ep_close(h->stack, id), 0);
	harness_turn(h);
	harness_expect(h, SEG_FIN | SEG_ACK);
	p.ack++;
	harness_send(h, &p, (struct tcp_segment){ .flags = SEG_ACK });
	assert_int_equal(harness_state(h, id), TCP_FIN_WAIT_2);
	harness_pass(h, 61 * NSEC_PER_SEC);
	assert_int_equal(endpoints(h), 0);
	harness_host_free(h);
}

static void an_orphan_gives_up_sooner(void **state)
{
	struct harness_host *h = harness_host_new(1, NULL, 0);
	struct harness_peer p = { 0 };
	ep_id id = harness_accepted(h, &p, 1460);

	(void)state;
	assert_int_equal(ep_close(h->stack, id), 0);
	harness_pass(h, 200 * NSEC_PER_SEC);
	assert_int_equal(endpoints(h), 0);
	harness_host_free(h);
}

static void enter_time_wait(struct harness_host *h, struct harness_peer *p)
{
	ep_id id = harness_accepted(h, p, 1460);

	assert_int_equal(ep_close(h->stack, id), 0);
	harness_turn(h);
	harness_expect(h, SEG_FIN | SEG_ACK);
	p->ack++;
	fin(h, p);
	harness_expect(h, SEG_ACK);
	assert_int_equal(time_waits(h), 1);
}

/* RFC 6191 2 and RFC 1122 4.2.2.13. */
static void a_newer_syn_ends_time_wait(void **state)
{
	static const struct {
		bool timestamps, syn_timestamp;
		int32_t tsval, seq;
		bool reopens;
	} cases[] = {
		{ true, true, 1, -100, true },
		{ true, true, 0, 100, true },
		{ true, true, 0, -100, false },
		{ true, true, -1, 100, false },
		{ true, false, 0, 100, true },
		{ true, false, 0, -100, false },
		{ false, true, 0, -100, true },
		{ false, false, 0, 100, true },
		{ false, false, 0, -100, false },
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct harness_host *h = harness_host_new(1, NULL, 0);
		struct harness_peer p = { .timestamps = cases[i].timestamps };
		struct tcp_segment s, in = { .flags = SEG_SYN };

		enter_time_wait(h, &p);
		harness_listen(h, OUR_PORT, 4);
		in.seq = p.seq + (uint32_t)cases[i].seq;
		if (cases[i].syn_timestamp) {
			in.has = SEG_HAS_TS;
			in.tsval = p.tsval + (uint32_t)cases[i].tsval;
		}
		p.timestamps = false;
		harness_send(h, &p, in);
		assert_true(harness_sent(h, &s));
		if (!!(s.flags & SEG_SYN) != cases[i].reopens)
			fail_msg("case %u", i);
		if (cases[i].reopens)
			assert_true(seq_gt(s.seq, p.ack)); /* beyond the old connection's */
		else
			assert_int_equal(time_waits(h), 1);
		harness_host_free(h);
	}
}

/* RFC 1337 */
static void no_reset_ends_time_wait(void **state)
{
	struct harness_host *h = harness_host_new(1, NULL, 0);
	struct harness_peer p = { 0 };

	(void)state;
	enter_time_wait(h, &p);
	harness_send(h, &p, (struct tcp_segment){ .flags = SEG_RST, .seq = p.seq + 1 });
	assert_int_equal(time_waits(h), 1);
	assert_int_equal(harness_drops(h, DROP_TCP_TIME_WAIT), 1);
	harness_send(h, &p, (struct tcp_segment){ .flags = SEG_RST });
	assert_int_equal(time_waits(h), 1);
	assert_int_equal(harness_drops(h, DROP_TCP_TIME_WAIT), 2);
	harness_host_free(h);
}

static void time_wait_is_bounded(void **state)
{
	struct tcp_settings settings;
	struct harness_host *h;
	struct ep_info info;
	uint32_t cursor = 0;
	unsigned walked = 0;

	(void)state;
	tcp_settings_linux(&settings);
	settings.max_time_wait = 5;
	h = harness_host_new(1, &settings, 0);
	for (uint16_t i = 0; i < 12; i++) {
		ep_id l = harness_listen(h, OUR_PORT, 4), id;
		struct harness_peer p = { .seq = 1000, .port = (uint16_t)(6000 + i), .window = 1000 };

		harness_send(h, &p, (struct tcp_segment){ .flags = SEG_SYN });
		p.ack = harness_expect(h, SEG_SYN | SEG_ACK).seq + 1;
		p.seq++;
		harness_send(h, &p, (struct tcp_segment){ .flags = SEG_ACK });
		assert_int_equal(ep_accept(h->stack, l, &id, NULL), 0);
		assert_int_equal(ep_close(h->stack, l), 0);
		assert_int_equal(ep_close(h->stack, id), 0);
		harness_turn(h);
		p.ack++;
		fin(h, &p);
		while (harness_sent(h, &(struct tcp_segment){ 0 }))
			;
	}
	assert_int_equal(time_waits(h), 5);
	assert_int_equal(h->stack->counts[COUNT_TCP_TIME_WAIT_EVICTED], 7);
	assert_int_equal(endpoints(h), 0);
	while (ep_walk(h->stack, &cursor, &info))
		walked += info.state == TCP_TIME_WAIT;
	assert_int_equal(walked, 5);
	harness_host_free(h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(we_close_first),
		cmocka_unit_test(the_peer_closes_first),
		cmocka_unit_test(both_close_at_once),
		cmocka_unit_test(fin_with_the_ack_of_ours),
		cmocka_unit_test(a_fin_before_a_gap_is_filled_waits),
		cmocka_unit_test(data_behind_the_fin_is_ignored),
		cmocka_unit_test(unread_bytes_make_a_reset),
		cmocka_unit_test(bytes_after_close_make_a_reset),
		cmocka_unit_test(linger_zero_aborts),
		cmocka_unit_test(an_orphan_in_fin_wait_2_is_forgotten),
		cmocka_unit_test(an_orphan_gives_up_sooner),
		cmocka_unit_test(a_newer_syn_ends_time_wait),
		cmocka_unit_test(no_reset_ends_time_wait),
		cmocka_unit_test(time_wait_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
