/* SPDX-License-Identifier: BSD-3-Clause */
/* RFC 8985 and 9937 where only a few numbers decide: what a timeout takes for lost, what counts as a duplicate, how much PRR lets go; and
 * numbers that must not fall behind by half of the sequence space while a scoreboard lives on. */
#include "tests/harness.h"

#include <stdio.h>

#include "tcp/flight.h"

#define MSS 1000
#define RTT (100 * NSEC_PER_MSEC)

static uint8_t bytes[65536];

/* What was sent, as numbers of segments from p->ack. */
static const char *sent(struct harness_host *h, const struct harness_peer *p)
{
	static char text[4096];
	struct tcp_segment s;
	char *at = text;

	*at = 0;
	while (harness_sent(h, &s))
		at += snprintf(at, sizeof(text) - (size_t)(at - text), "%s%d", at == text ? "" : " ", (int)(s.seq - p->ack) / MSS);
	return text;
}

/* An accepted connection with SACK, round trips of RTT measured, that has n segments to send. */
static ep_id sending(struct harness_host *h, struct harness_peer *p, unsigned n)
{
	ep_id listener = harness_listen(h, OUR_PORT, 8), child;
	struct tcp_segment s;

	*p = (struct harness_peer){ .seq = 1000, .port = PEER_PORT, .window = 65535 };
	harness_send(h, p, (struct tcp_segment){ .flags = SEG_SYN, .has = SEG_HAS_MSS | SEG_HAS_SACK_OK, .mss = MSS });
	s = harness_expect(h, SEG_SYN | SEG_ACK);
	p->seq = 1001;
	p->ack = s.seq + 1;
	harness_pass(h, RTT);
	harness_send(h, p, (struct tcp_segment){ .flags = SEG_ACK });
	assert_int_equal(ep_accept(h->stack, listener, &child, NULL), 0);
	assert_int_equal(ep_close(h->stack, listener), 0);
	assert_int_equal(ep_send(h->stack, child, bytes, n * MSS), (int)(n * MSS));
	harness_turn(h);
	return child;
}

/* ACK of `acked` segments, and a block [from, to) of segments; of those received twice if it lies below. */
static void sack(struct harness_host *h, const struct harness_peer *p, uint32_t acked, uint32_t from, uint32_t to)
{
	struct tcp_segment s = { .flags = SEG_ACK, .ack = p->ack + acked * MSS };

	if (from != to) {
		s.sack_count = 1;
		s.sack[0] = (struct sack_block){ p->ack + from * MSS, p->ack + to * MSS };
	}
	harness_send(h, p, s);
}

/* RFC 8985 6.3: "the first segment, and all that were sent RACK.rtt + RACK.reo_wnd ago"; what left just now may be under way. */
static void a_timeout_takes_for_lost_what_is_old_and_not_what_has_just_left(void **state)
{
	struct harness_host *h = harness_host_new(1, NULL, 0);
	struct harness_peer p;
	ep_id id = sending(h, &p, 4);
	struct tcp_conn *c = harness_conn(h, id);

	(void)state;
	assert_string_equal(sent(h, &p), "0 1 2 3");
	while (h->stack->counts[COUNT_TCP_LOSS_PROBES] == 0)
		harness_pass(h, NSEC_PER_MSEC);
	assert_string_equal(sent(h, &p), "3");
	harness_pass(h, c->due[DUE_RETRANSMIT] - h->now - 10 * NSEC_PER_MSEC);
	assert_int_equal(ep_send(h->stack, id, bytes, 2 * MSS), 2 * MSS);
	harness_turn(h);
	assert_string_equal(sent(h, &p), "4 5");
	harness_pass(h, 11 * NSEC_PER_MSEC);
	assert_int_equal(c->phase, LOSS_TIMEOUT);
	assert_string_equal(sent(h, &p), "0");
	assert_int_equal(c->flight->lost, 3 * MSS);
	assert_int_equal(c->flight->in_flight, 3 * MSS);
	harness_host_free(h);
}

/* RFC 6675 2: a duplicate carries news of what has arrived. What only says that something came twice is none. */
static void what_arrived_twice_counts_as_no_duplicate(void **state)
{
	struct harness_host *h = harness_host_new(1, NULL, 0);
	struct harness_peer p;
	struct tcp_conn *c = harness_conn(h, sending(h, &p, 10));

	(void)state;
	sent(h, &p);
	harness_pass(h, RTT);
	sack(h, &p, 1, 0, 0);
	sack(h, &p, 1, 2, 3);
	assert_int_equal(c->dupacks, 1);
	for (unsigned i = 0; i < 4; i++)
		sack(h, &p, 1, 0, 1);
	assert_int_equal(c->dupacks, 1);
	assert_int_equal(c->phase, LOSS_OPEN);
	harness_host_free(h);
}

/* RFC 9937 5: RecoverFS is all that was out when the acknowledgment came that showed the loss, with what it acknowledged and SACKed. */
static void what_prr_shares_out_is_the_flight_before_the_loss_was_seen(void **state)
{
	static const struct {
		uint32_t before, acked, from, to;
	} rows[] = { { 0, 0, 1, 5 }, { 0, 2, 3, 7 }, { 3, 5, 6, 10 } };

	(void)state;
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct harness_host *h = harness_host_new(1, NULL, 0);
		struct harness_peer p;
		struct tcp_conn *c = harness_conn(h, sending(h, &p, 60));
		uint32_t flight;

		sent(h, &p);
		harness_pass(h, RTT / 2);
		if (rows[i].before)
			sack(h, &p, rows[i].before, 0, 0);
		sent(h, &p);
		flight = c->snd_nxt - c->snd_una;
		assert_true(flight >= 10 * MSS);
		harness_pass(h, RTT / 2);
		sack(h, &p, rows[i].acked, rows[i].from, rows[i].to);
		assert_int_equal(c->phase, LOSS_RECOVERY);
		assert_int_equal(c->flight->prr_from, flight);
		harness_host_free(h);
	}
}

/* RFC 9937 6, SafeACK: one segment more than was delivered goes only for an acknowledgment that moves on. */
static void below_ssthresh_a_duplicate_lets_go_what_it_delivered_and_no_more(void **state)
{
	struct harness_host *h = harness_host_new(1, NULL, 0);
	struct harness_peer p;
	struct tcp_conn *c = harness_conn(h, sending(h, &p, 30));

	(void)state;
	assert_string_equal(sent(h, &p), "0 1 2 3 4 5 6 7 8 9");
	harness_pass(h, RTT);
	sack(h, &p, 0, 6, 9);
	assert_int_equal(c->phase, LOSS_RECOVERY);
	assert_string_equal(sent(h, &p), "0 1 2");
	assert_true(flight_pipe(c) < c->cc.ssthresh);
	sack(h, &p, 0, 6, 10);
	assert_string_equal(sent(h, &p), "3");
	harness_pass(h, RTT);
	sack(h, &p, 1, 6, 10);
	assert_string_equal(sent(h, &p), "4 5");
	harness_host_free(h);
}

/* RFC 8985 6.2 step 3: RACK.fack is the highest number SACKed or acknowledged. One that stays where the last SACK was lies ahead of
 * everything once 2^31 bytes have followed, and each segment seems reordered then. */
static void what_arrived_last_moves_on_with_acknowledgments(void **state)
{
	struct harness_host *h = harness_host_new(1, NULL, 0);
	struct harness_peer p;
	ep_id id = sending(h, &p, 60);
	struct tcp_conn *c = harness_conn(h, id);

	(void)state;
	sent(h, &p);
	harness_pass(h, RTT);
	sack(h, &p, 0, 1, 5);
	sent(h, &p);
	harness_pass(h, RTT);
	for (uint32_t n = 5; n < 20; n++) {
		sack(h, &p, n, 0, 0);
		assert_non_null(c->flight);
		assert_true(seq_geq(c->flight->highest_sacked, c->snd_una));
	}
	/* And so after a very long time in which it never emptied. */
	c->flight->highest_sacked = c->snd_una - UINT32_C(0x80000000) + 20 * MSS;
	sack(h, &p, 20, 0, 0);
	c->reordering_seen = false;
	sack(h, &p, 21, 0, 0);
	assert_false(c->reordering_seen);
	harness_host_free(h);
}

/* RFC 8985 6.2 step 4: one D-SACK a round trip widens the window; a round that is over is, also after 2^31 bytes. */
static void a_round_trip_with_a_duplicate_ends(void **state)
{
	struct harness_host *h = harness_host_new(1, NULL, 0);
	struct harness_peer p;
	ep_id id = sending(h, &p, 10);
	struct tcp_conn *c = harness_conn(h, id);
	uint8_t steps = c->reorder_steps;

	(void)state;
	sent(h, &p);
	harness_pass(h, RTT);
	sack(h, &p, 2, 0, 1);
	assert_int_equal(c->reorder_steps, steps + 1);
	sack(h, &p, 3, 1, 2);
	assert_int_equal(c->reorder_steps, steps + 1);
	sack(h, &p, 9, 0, 0);
	assert_true(c->dsack_round_on);
	sack(h, &p, 10, 0, 0);
	assert_false(c->dsack_round_on);
	harness_host_free(h);
}

/* RFC 8985 7.4.2: only a D-SACK of what the probe sent again says that the original had arrived; else the probe repaired a loss. */
static void only_a_duplicate_of_the_probe_says_that_it_was_needless(void **state)
{
	(void)state;
	for (uint32_t twice = 2; twice <= 3; twice++) {
		struct harness_host *h = harness_host_new(1, NULL, 0);
		struct harness_peer p;
		ep_id id = sending(h, &p, 4);
		struct tcp_conn *c = harness_conn(h, id);
		uint32_t before = c->cc.ssthresh;

		sent(h, &p);
		while (h->stack->counts[COUNT_TCP_LOSS_PROBES] == 0)
			harness_pass(h, NSEC_PER_MSEC);
		assert_string_equal(sent(h, &p), "3");
		assert_int_equal(ep_send(h->stack, id, bytes, MSS), MSS);
		harness_turn(h);
		assert_string_equal(sent(h, &p), "4");
		sack(h, &p, 5, twice, twice + 1);
		assert_true(twice == 3 ? c->cc.ssthresh == before : c->cc.ssthresh < before);
		assert_false(c->probe_out);
		harness_host_free(h);
	}
}

/* RFC 9293 3.8.6.1 has its own probes for a closed window. */
static void no_tail_is_probed_into_a_closed_window(void **state)
{
	struct harness_host *h = harness_host_new(1, NULL, 0);
	struct harness_peer p;
	struct tcp_conn *c = harness_conn(h, sending(h, &p, 2));

	(void)state;
	sent(h, &p);
	assert_int_equal(c->loss_timer, LOSS_TIMER_PROBE);
	p.window = 0;
	harness_send(h, &p, (struct tcp_segment){ .flags = SEG_ACK });
	harness_pass(h, 10 * RTT);
	assert_int_equal(h->stack->counts[COUNT_TCP_LOSS_PROBES], 0);
	harness_host_free(h);
}

/* RFC 9937 5: prr_delivered and prr_out begin with nothing, in the second recovery, too. */
static void each_recovery_counts_for_itself(void **state)
{
	struct harness_host *h = harness_host_new(1, NULL, 0);
	struct harness_peer p;
	struct tcp_conn *c = harness_conn(h, sending(h, &p, 60));

	(void)state;
	sent(h, &p);
	harness_pass(h, RTT / 2);
	sack(h, &p, 0, 1, 8);
	assert_int_equal(c->phase, LOSS_RECOVERY);
	assert_int_equal(c->flight->prr_delivered, 7 * MSS);
	harness_pass(h, RTT / 2);
	sack(h, &p, 10, 0, 0);
	assert_int_equal(c->phase, LOSS_OPEN);
	assert_non_null(c->flight);
	sent(h, &p);
	harness_pass(h, RTT / 2);
	sack(h, &p, 10, 11, 14);
	assert_int_equal(c->phase, LOSS_RECOVERY);
	assert_int_equal(c->flight->prr_delivered, 3 * MSS);
	harness_host_free(h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_timeout_takes_for_lost_what_is_old_and_not_what_has_just_left),
		cmocka_unit_test(what_arrived_twice_counts_as_no_duplicate),
		cmocka_unit_test(what_prr_shares_out_is_the_flight_before_the_loss_was_seen),
		cmocka_unit_test(below_ssthresh_a_duplicate_lets_go_what_it_delivered_and_no_more),
		cmocka_unit_test(what_arrived_last_moves_on_with_acknowledgments),
		cmocka_unit_test(only_a_duplicate_of_the_probe_says_that_it_was_needless),
		cmocka_unit_test(no_tail_is_probed_into_a_closed_window),
		cmocka_unit_test(each_recovery_counts_for_itself),
		cmocka_unit_test(a_round_trip_with_a_duplicate_ends),
	};

	return cmocka_run_group_tests_name("rack", tests, NULL, NULL);
}
