/* SPDX-License-Identifier: BSD-3-Clause */
/* RFC 7661 on a connection that is nothing but its numbers: flights that are acknowledged segment by segment. */
#include "tests/harness.h"

#include <string.h>

#include "tcp/validate.h"

#define MSS 1000u
#define MS NSEC_PER_MSEC

struct sender {
	struct stack stack;
	struct tcp_conn c;
	struct validation v;
	struct endpoint ep;
};

/* With a window of so many segments, and numbers that wrap. */
static void begin(struct sender *s, uint32_t window)
{
	memset(s, 0, sizeof(*s));
	s->stack.now = NSEC_PER_SEC;
	s->stack.config.tcp.initial_window = 10;
	s->c = (struct tcp_conn){ .stack = &s->stack, .snd_mss = MSS, .snd_una = 4294960000u, .snd_nxt = 4294960000u,
				  .validation = &s->v, .ep = &s->ep };
	s->c.rtt.srtt = 100 * MS;
	cc_start(&s->c.cc, &cc_newreno, MSS, window * MSS, s->stack.now);
	validate_forget(&s->c);
}

static void ack(struct sender *s, uint32_t bytes)
{
	s->c.snd_una += bytes;
	s->c.bytes_acked += bytes;
	if (seq_geq(s->c.snd_una, s->c.validation->round_end))
		validate_round(&s->c);
}

/* So much leaves, and is acknowledged a round trip later in pieces of `piece` segments. */
static void flight(struct sender *s, uint32_t segments, uint32_t piece)
{
	s->c.snd_nxt += segments * MSS;
	s->stack.now += s->c.rtt.srtt;
	for (uint32_t n = 0; n < segments; n += piece)
		ack(s, (segments - n < piece ? segments - n : piece) * MSS);
}

/* covers: 7661-4.2-pipeack */
static void pipe_ack_is_what_a_round_trip_carries(void **state)
{
	struct sender s;

	(void)state;
	for (uint32_t piece = 1; piece <= 24; piece = piece == 1 ? 2 : piece + 11) {
		begin(&s, 40);
		for (unsigned i = 0; i < 3; i++)
			flight(&s, 24, piece);
		assert_int_equal(s.c.validation->pipe_ack, 24 * MSS);
		assert_false(s.c.unvalidated);
		flight(&s, 10, piece);
		assert_int_equal(s.c.validation->pipe_ack, 24 * MSS);
	}
	/* A window that is always full: each acknowledgment lets as much go. */
	begin(&s, 40);
	s.c.snd_nxt += 40 * MSS;
	for (unsigned n = 0; n < 400; n++) {
		s.stack.now += s.c.rtt.srtt / 40;
		ack(&s, MSS);
		s.c.snd_nxt += MSS;
	}
	assert_in_range(s.c.validation->pipe_ack, 40 * MSS, 41 * MSS);
}

/* covers: 7661-4.2-pipeack */
static void it_counts_for_three_round_trips_and_a_second_at_least(void **state)
{
	static const struct {
		nsec rtt, period;
	} cases[] = { { 10 * MS, 1000 * MS }, { 100 * MS, 1000 * MS }, { 500 * MS, 1500 * MS }, { 2000 * MS, 6000 * MS } };
	struct sender s;

	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		nsec start;

		begin(&s, 40);
		s.c.rtt.srtt = cases[i].rtt;
		flight(&s, 30, 1);
		flight(&s, 30, 1);
		start = s.stack.now;
		while (s.c.validation->pipe_ack == 30 * MSS)
			flight(&s, 2, 1);
		assert_in_range(s.stack.now - start, cases[i].period + 1, cases[i].period * 5 / 4 + 2 * cases[i].rtt);
		assert_int_equal(s.c.validation->pipe_ack, 2 * MSS);
	}
}

/* covers: 7661-4.2-pipeack 7661-4.3-phase */
static void it_is_undefined_at_the_start_and_after_a_recovery(void **state)
{
	struct sender s;

	(void)state;
	begin(&s, 40);
	assert_int_equal(s.c.validation->pipe_ack, 0);
	flight(&s, 2, 2);
	assert_false(s.c.unvalidated);
	flight(&s, 2, 2);
	assert_true(s.c.unvalidated);
	assert_int_equal(s.c.validation->pipe_ack, 2 * MSS);
	/* Frozen while something is recovered, and forgotten. */
	validate_loss(&s.c, 2 * MSS);
	s.c.phase = LOSS_RECOVERY;
	flight(&s, 30, 1);
	flight(&s, 30, 1);
	assert_int_equal(s.c.validation->pipe_ack, 2 * MSS);
	s.c.phase = LOSS_OPEN;
	validate_recovered(&s.c);
	assert_false(s.c.unvalidated);
	assert_int_equal(s.c.validation->pipe_ack, 0);
	assert_int_equal(validate_loss(&s.c, 12345), 12345);
}

/* covers: 7661-4.3-phase */
static void the_phase_begins_below_half_of_the_window(void **state)
{
	struct sender s;

	(void)state;
	for (uint32_t used = 1; used <= 40; used++) {
		begin(&s, 40);
		for (unsigned i = 0; i < 20; i++)
			flight(&s, used, 1);
		assert_int_equal(s.c.unvalidated, used < 20);
		assert_int_equal(s.c.cc.cwnd, 40 * MSS);
	}
	/* And ends there. */
	begin(&s, 40);
	for (unsigned i = 0; i < 20; i++)
		flight(&s, 3, 1);
	flight(&s, 19, 1);
	assert_true(s.c.unvalidated);
	flight(&s, 20, 1);
	assert_false(s.c.unvalidated);
}

static void a_window_that_doubles_is_in_use(void **state)
{
	struct sender s;

	(void)state;
	begin(&s, 10);
	s.c.snd_nxt += 10 * MSS;
	for (unsigned n = 0; n < 1000; n++) {
		ack(&s, MSS);
		s.c.cc.cwnd += MSS;
		s.c.snd_nxt += 2 * MSS;
		assert_false(s.c.unvalidated);
	}
}

/* covers: 7661-4.4.1-loss */
static void what_was_sent_again_is_taken_off(void **state)
{
	static const struct {
		uint32_t used, flight, resent, after;
	} cases[] = { { 8, 5, 1, 3500 }, { 4, 12, 2, 5000 }, { 4, 5, 4, 1000 }, { 4, 4, 9, 1000 }, { 30, 35, 1, 17500 } };
	struct sender s;

	(void)state;
	for (unsigned i = 0; i < 5; i++) {
		uint32_t basis = cases[i].used > cases[i].flight ? cases[i].used : cases[i].flight;
		bool unused = cases[i].used < 20;

		begin(&s, 40);
		for (unsigned n = 0; n < 20; n++)
			flight(&s, cases[i].used, 1);
		assert_int_equal(s.c.unvalidated, unused);
		s.c.cc.ops->on_congestion(&s.c.cc, 0, validate_loss(&s.c, cases[i].flight * MSS), false);
		assert_int_equal(s.c.cc.ssthresh, basis * MSS / 2);
		s.c.bytes_retransmitted += cases[i].resent * MSS;
		s.c.cc.cwnd = s.c.cc.ssthresh;
		validate_recovered(&s.c);
		assert_int_equal(s.c.cc.cwnd, cases[i].after);
		assert_int_equal(s.c.cc.ssthresh, cases[i].after);
	}
}

/* covers: 7661-4.4.3-nvp */
static void five_minutes_halve_it(void **state)
{
	struct sender s;
	nsec since;

	(void)state;
	begin(&s, 100);
	flight(&s, 2, 1);
	flight(&s, 2, 1);
	assert_true(s.c.unvalidated);
	since = s.stack.now;
	for (uint32_t window = 100 * MSS; window > 10 * MSS;) {
		nsec passed;

		s.c.cc.ssthresh = 20 * MSS;
		while (s.c.cc.cwnd == window)
			flight(&s, 2, 1);
		passed = s.stack.now - since;
		assert_in_range(passed, 300000 * MS, 301000 * MS);
		since = s.stack.now;
		assert_int_equal(s.c.cc.ssthresh, window / 4 * 3 > 20 * MSS ? window / 4 * 3 : 20 * MSS);
		window = window / 2 > 10 * MSS ? window / 2 : 10 * MSS;
		assert_int_equal(s.c.cc.cwnd, window);
	}
}

/* So much waits behind what was sent. */
static void queue(struct sender *s, uint32_t bytes)
{
	s->c.send_base = s->c.snd_nxt + bytes - s->ep.send.head;
}

/* covers: 7661-4.4.2-burst */
static void a_burst_waits_for_an_acknowledgment(void **state)
{
	struct sender s;

	(void)state;
	for (uint32_t used = 2; used < 20; used += 10) {
		uint32_t most = used > 10 ? used : 10;

		begin(&s, 40);
		for (unsigned i = 0; i < 20; i++)
			flight(&s, used, 1);
		queue(&s, 0);
		validate_acked(&s.c, used * MSS);
		assert_int_equal(validate_room(&s.c), most * MSS);
		s.c.snd_nxt += 7 * MSS;
		assert_int_equal(validate_room(&s.c), (most - 7) * MSS);
		s.c.snd_nxt += 20 * MSS;
		assert_int_equal(validate_room(&s.c), 0);
		queue(&s, 0);
		validate_acked(&s.c, used * MSS);
		assert_int_equal(validate_room(&s.c), most * MSS);
	}
}

/* A receiver, or a super-frame, may answer a whole flight at once: the burst alone would never let it be larger than the last. */
static void one_with_more_to_send_fills_its_window_even_if_one_acknowledgment_covers_a_flight(void **state)
{
	struct sender s;

	(void)state;
	begin(&s, 100);
	for (unsigned i = 0; i < 20; i++)
		flight(&s, 12, 1);
	assert_true(s.c.unvalidated);
	queue(&s, 1000 * MSS);
	validate_acked(&s.c, 12 * MSS);
	for (unsigned i = 0; i < 5 && s.c.unvalidated; i++) {
		uint32_t n = validate_room(&s.c);

		assert_in_range(n, 12 * MSS, 2 * s.c.validation->pipe_ack);
		flight(&s, n / MSS, n / MSS);
		queue(&s, 1000 * MSS);
		if (s.c.unvalidated)
			validate_acked(&s.c, n);
	}
	assert_false(s.c.unvalidated);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(pipe_ack_is_what_a_round_trip_carries),
		cmocka_unit_test(it_counts_for_three_round_trips_and_a_second_at_least),
		cmocka_unit_test(it_is_undefined_at_the_start_and_after_a_recovery),
		cmocka_unit_test(the_phase_begins_below_half_of_the_window),
		cmocka_unit_test(a_window_that_doubles_is_in_use),
		cmocka_unit_test(what_was_sent_again_is_taken_off),
		cmocka_unit_test(five_minutes_halve_it),
		cmocka_unit_test(a_burst_waits_for_an_acknowledgment),
		cmocka_unit_test(one_with_more_to_send_fills_its_window_even_if_one_acknowledgment_covers_a_flight),
	};

	return cmocka_run_group_tests_name("validate", tests, NULL, NULL);
}
