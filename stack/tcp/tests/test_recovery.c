/* SPDX-License-Identifier: BSD-3-Clause */
/* Loss with SACK as the sender sees it: RFC 8985 (RACK-TLP), RFC 9937 (PRR), RFC 2018, 2883, 3522, 5682. */
#include "tests/harness.h"

#include <stdio.h>
#include <string.h>

#include "tcp/flight.h"

#define MSS 1000
#define RTT (100 * NSEC_PER_MSEC)

static uint8_t bytes[65536];

/* What was sent, as numbers of segments from `base`. */
static const char *sent(struct harness_host *h, uint32_t base)
{
	static char text[4096];
	struct tcp_segment s;
	char *at = text;

	*at = 0;
	while (harness_sent(h, &s))
		at += snprintf(at, sizeof(text) - (size_t)(at - text), "%s%d", at == text ? "" : " ", (int)(s.seq - base) / MSS);
	return text;
}

/* An accepted connection with SACK, one round trip of RTT measured. */
static ep_id open_with_sack(struct harness_host *h, struct harness_peer *p)
{
	ep_id listener = harness_listen(h, OUR_PORT, 8), child;
	struct tcp_segment s;

	*p = (struct harness_peer){ .seq = 1000, .port = PEER_PORT, .window = 65535, .tsval = 100 };
	harness_send(h, p, (struct tcp_segment){ .flags = SEG_SYN, .has = SEG_HAS_MSS | SEG_HAS_SACK_OK, .mss = MSS });
	s = harness_expect(h, SEG_SYN | SEG_ACK);
	p->seq = 1001;
	p->ack = s.seq + 1;
	harness_pass(h, RTT);
	harness_send(h, p, (struct tcp_segment){ .flags = SEG_ACK });
	assert_int_equal(ep_accept(h->stack, listener, &child, NULL), 0);
	assert_int_equal(ep_close(h->stack, listener), 0);
	assert_int_equal(ep_send(h->stack, child, bytes, MSS), MSS);
	harness_turn(h);
	harness_expect(h, SEG_ACK | SEG_PSH);
	harness_pass(h, RTT);
	p->ack += MSS;
	harness_send(h, p, (struct tcp_segment){ .flags = SEG_ACK });
	harness_expect_none(h);
	return child;
}

static ep_id send_segments(struct harness_host *h, struct harness_peer *p, unsigned n)
{
	ep_id id = open_with_sack(h, p);

	assert_int_equal(ep_send(h->stack, id, bytes, n * MSS), n * MSS);
	harness_turn(h);
	return id;
}

/* ACK of `acked` segments and one block of segments [from, to). */
static void sack(struct harness_host *h, const struct harness_peer *p, uint32_t acked, uint32_t from, uint32_t to)
{
	struct tcp_segment s = { .flags = SEG_ACK, .ack = p->ack + acked * MSS };

	if (from != to) {
		s.sack_count = 1;
		s.sack[0] = (struct sack_block){ p->ack + from * MSS, p->ack + to * MSS };
	}
	harness_send(h, p, s);
}

static void three_sacked_segments_find_the_hole(void **state)
{
	struct harness_host *h = harness_host_new(1, NULL, 0);
	struct harness_peer p;
	ep_id id = send_segments(h, &p, 16);
	struct tcp_conn *c = harness_conn(h, id);

	(void)state;
	assert_string_equal(sent(h, p.ack), "0 1 2 3 4 5 6 7 8 9");
	harness_pass(h, RTT);
	sack(h, &p, 0, 1, 2);
	assert_string_equal(sent(h, p.ack), "10");       /* limited transmit */
	sack(h, &p, 0, 1, 3);
	assert_string_equal(sent(h, p.ack), "11");
	assert_int_equal(c->phase, LOSS_OPEN);
	sack(h, &p, 0, 1, 4);
	assert_string_equal(sent(h, p.ack), "0");
	assert_int_equal(c->phase, LOSS_RECOVERY);
	assert_int_equal(c->flight->sacked, 3 * MSS);
	sack(h, &p, 12, 0, 0);
	assert_int_equal(c->phase, LOSS_OPEN);
	assert_int_equal(c->cc.cwnd, c->cc.ssthresh);
	assert_int_equal(c->retransmitted_total, 1);
	harness_host_free(h);
}

static void two_holes_are_repaired_in_one_round_trip(void **state)
{
	struct harness_host *h = harness_host_new(1, NULL, 0);
	struct harness_peer p;
	ep_id id = send_segments(h, &p, 10);
	struct tcp_segment s = { .flags = SEG_ACK };

	(void)state;
	sent(h, p.ack);
	harness_pass(h, RTT);
	s.ack = p.ack;
	s.sack_count = 2;
	s.sack[0] = (struct sack_block){ p.ack + 6 * MSS, p.ack + 10 * MSS };
	s.sack[1] = (struct sack_block){ p.ack + 1 * MSS, p.ack + 5 * MSS };
	harness_send(h, &p, s);
	assert_string_equal(sent(h, p.ack), "0 5");
	sack(h, &p, 10, 0, 0);
	assert_int_equal(harness_conn(h, id)->phase, LOSS_OPEN);
	assert_int_equal(h->stack->counts[COUNT_TCP_TIMEOUTS], 0);
	harness_host_free(h);
}

static void a_lost_retransmission_is_found_without_a_timeout(void **state)
{
	struct harness_host *h = harness_host_new(1, NULL, 0);
	struct harness_peer p;

	(void)state;
	send_segments(h, &p, 30);
	sent(h, p.ack);
	harness_pass(h, RTT);
	sack(h, &p, 0, 1, 8);
	assert_memory_equal(sent(h, p.ack), "0", 1);
	harness_pass(h, RTT);
	/* What was sent after the retransmission arrives, it does not. */
	sack(h, &p, 0, 1, 12);
	harness_pass(h, RTT);
	assert_memory_equal(sent(h, p.ack), "0", 1);
	assert_int_equal(h->stack->counts[COUNT_TCP_TIMEOUTS], 0);
	harness_host_free(h);
}

/* RFC 9937: as much as was delivered may go, also where more went before because snd_una moved. */
static void an_acknowledgment_in_recovery_lets_go_what_it_delivered(void **state)
{
	struct harness_host *h = harness_host_new(1, NULL, 0);
	struct harness_peer p;
	struct tcp_conn *c = harness_conn(h, send_segments(h, &p, 10));

	(void)state;
	assert_string_equal(sent(h, p.ack), "0 1 2 3 4 5 6 7 8 9");
	harness_pass(h, RTT);
	sack(h, &p, 0, 9, 10);
	harness_pass(h, RTT / 2);
	assert_string_equal(sent(h, p.ack), "0");
	harness_pass(h, RTT);
	sack(h, &p, 1, 0, 0);
	assert_string_equal(sent(h, p.ack), "1 2");
	harness_pass(h, RTT);
	sack(h, &p, 2, 0, 0);
	assert_string_equal(sent(h, p.ack), "3 4");
	sack(h, &p, 3, 0, 0);
	assert_string_equal(sent(h, p.ack), "5 6");
	assert_int_equal(c->phase, LOSS_RECOVERY);
	harness_pass(h, RTT);
	sack(h, &p, 3, 4, 5);
	assert_string_equal(sent(h, p.ack), "3");
	harness_host_free(h);
}

/* RFC 8985 6.2 step 4: a recovery by timeout counts like a fast one. */
static void reordering_long_past_is_forgotten_after_a_timeout_too(void **state)
{
	struct harness_host *h = harness_host_new(1, NULL, 0);
	struct harness_peer p;
	struct tcp_conn *c = harness_conn(h, send_segments(h, &p, 3));

	(void)state;
	c->reorder_steps = 5;
	c->reorder_persist = 1;
	sent(h, p.ack);
	harness_pass(h, 1500 * NSEC_PER_MSEC);
	assert_int_equal(c->phase, LOSS_TIMEOUT);
	sent(h, p.ack);
	sack(h, &p, 1, 0, 0);
	harness_pass(h, RTT);
	sack(h, &p, 3, 0, 0);
	assert_int_equal(c->phase, LOSS_OPEN);
	assert_int_equal(c->reorder_steps, 1);
	harness_host_free(h);
}

static void reordering_that_was_seen_is_waited_for(void **state)
{
	struct harness_host *h = harness_host_new(1, NULL, 0);
	struct harness_peer p;
	ep_id id = send_segments(h, &p, 10);
	struct tcp_conn *c = harness_conn(h, id);

	(void)state;
	sent(h, p.ack);
	harness_pass(h, RTT);
	sack(h, &p, 0, 1, 2);
	sack(h, &p, 2, 0, 0);              /* the hole filled by itself */
	assert_true(c->reordering_seen);
	sent(h, p.ack);
	sack(h, &p, 2, 3, 7);
	assert_string_equal(sent(h, p.ack), "");
	assert_int_equal(c->phase, LOSS_OPEN);
	harness_pass(h, RTT / 4 + NSEC_PER_MSEC);
	assert_string_equal(sent(h, p.ack), "2");
	assert_int_equal(c->phase, LOSS_RECOVERY);
	harness_host_free(h);
}

static void a_lost_tail_is_probed(void **state)
{
	struct harness_host *h = harness_host_new(1, NULL, 0);
	struct harness_peer p;
	ep_id id = send_segments(h, &p, 4);
	struct tcp_conn *c = harness_conn(h, id);
	uint32_t before = c->cc.cwnd;

	(void)state;
	assert_string_equal(sent(h, p.ack), "0 1 2 3");
	harness_pass(h, RTT);
	sack(h, &p, 2, 0, 0);
	harness_pass(h, 2 * RTT - NSEC_PER_MSEC);
	assert_string_equal(sent(h, p.ack), "");
	harness_pass(h, 10 * NSEC_PER_MSEC);
	assert_string_equal(sent(h, p.ack), "3");
	assert_int_equal(h->stack->counts[COUNT_TCP_LOSS_PROBES], 1);
	/* Its SACK shows the hole before it. */
	harness_pass(h, RTT);
	sack(h, &p, 2, 3, 4);
	harness_pass(h, RTT);
	assert_string_equal(sent(h, p.ack), "2");
	assert_int_equal(h->stack->counts[COUNT_TCP_TIMEOUTS], 0);
	assert_true(c->cc.ssthresh < before);
	harness_host_free(h);
}

/* RFC 8985 7.4.2, of a peer without D-SACK. */
static void a_needless_probe_is_told_by_a_duplicate(void **state)
{
	struct harness_host *h = harness_host_new(1, NULL, 0);
	struct harness_peer p;
	ep_id id = send_segments(h, &p, 4);
	struct tcp_conn *c = harness_conn(h, id);
	uint32_t ssthresh = c->cc.ssthresh;

	(void)state;
	sent(h, p.ack);
	harness_pass(h, 2 * RTT + 10 * NSEC_PER_MSEC);
	assert_string_equal(sent(h, p.ack), "3");
	sack(h, &p, 4, 0, 0);
	sack(h, &p, 4, 0, 0);
	assert_int_equal(ep_send(h->stack, id, bytes, MSS), MSS);
	harness_turn(h);
	sack(h, &p, 5, 0, 0);
	assert_int_equal(c->cc.ssthresh, ssthresh);
	harness_host_free(h);
}

static void a_timeout_that_was_only_delay_is_undone(void **state)
{
	struct harness_host *h = harness_host_new(1, NULL, 0);
	struct harness_peer p;
	ep_id id = send_segments(h, &p, 10);
	struct tcp_conn *c = harness_conn(h, id);
	uint32_t cwnd = c->cc.cwnd, ssthresh = c->cc.ssthresh;

	(void)state;
	sent(h, p.ack);
	harness_pass(h, 5 * RTT + RTT / 2); /* probe, then timeout */
	assert_true(h->stack->counts[COUNT_TCP_TIMEOUTS] > 0);
	sent(h, p.ack);
	/* The originals' acknowledgments come late: more than what was sent again. */
	sack(h, &p, 5, 0, 0);
	assert_int_equal(h->stack->counts[COUNT_TCP_UNDONE], 1);
	assert_int_equal(c->phase, LOSS_OPEN);
	assert_in_range(c->cc.cwnd, cwnd, 2 * cwnd);
	assert_int_equal(c->cc.ssthresh, ssthresh);
	harness_host_free(h);
}

/* The same, when one acknowledgment covers what was late and what is newer than the timeout. */
static void delay_is_seen_behind_newer_data_too(void **state)
{
	struct harness_host *h = harness_host_new(1, NULL, 0);
	struct harness_peer p;
	ep_id id = send_segments(h, &p, 10);
	struct tcp_conn *c = harness_conn(h, id);

	(void)state;
	harness_pass(h, 5 * RTT + RTT / 2);
	assert_int_equal(c->phase, LOSS_TIMEOUT);
	flight_none_lost(c);               /* as RACK leaves what it cannot call lost */
	c->cc.cwnd = 20 * MSS;
	assert_int_equal(ep_send(h->stack, id, bytes, 2 * MSS), 2 * MSS);
	harness_turn(h);
	assert_non_null(strstr(sent(h, p.ack), "10 11"));
	sack(h, &p, 11, 0, 0);
	assert_int_equal(h->stack->counts[COUNT_TCP_UNDONE], 1);
	harness_host_free(h);
}

static void a_peer_that_reneges_gets_it_all_again(void **state)
{
	struct harness_host *h = harness_host_new(1, NULL, 0);
	struct harness_peer p;
	ep_id id = send_segments(h, &p, 6);
	struct tcp_conn *c = harness_conn(h, id);

	(void)state;
	sent(h, p.ack);
	harness_pass(h, RTT);
	sack(h, &p, 0, 1, 6);
	assert_string_equal(sent(h, p.ack), "0");
	/* It acknowledges the hole alone, and never again what it had SACKed. */
	sack(h, &p, 1, 0, 0);
	assert_int_equal(c->flight->sacked, 5 * MSS);
	harness_pass(h, 20 * RTT);
	assert_memory_equal(sent(h, p.ack), "1", 1);
	assert_int_equal(c->flight->sacked, 0);
	harness_host_free(h);
}

static void needless_retransmissions_are_undone_by_dsack(void **state)
{
	struct harness_host *h = harness_host_new(1, NULL, 0);
	struct harness_peer p;
	ep_id id = send_segments(h, &p, 11);
	struct tcp_conn *c = harness_conn(h, id);
	uint32_t cwnd = c->cc.cwnd;
	struct tcp_segment s = { .flags = SEG_ACK };

	(void)state;
	sent(h, p.ack);
	harness_pass(h, RTT);
	sack(h, &p, 0, 1, 5);
	assert_memory_equal(sent(h, p.ack), "0", 1);
	assert_int_equal(c->phase, LOSS_RECOVERY);
	sack(h, &p, 5, 0, 0);              /* the late original */
	s.ack = p.ack + 5 * MSS;
	s.sack_count = 1;
	s.sack[0] = (struct sack_block){ p.ack, p.ack + MSS };
	harness_send(h, &p, s);            /* ... and the copy of it */
	assert_int_equal(h->stack->counts[COUNT_TCP_UNDONE], 1);
	assert_true(c->cc.cwnd >= cwnd);
	assert_true(c->reordering_seen);   /* so that the next one that is late is given time */
	harness_host_free(h);
}

static void blocks_that_lie_are_not_believed(void **state)
{
	struct harness_host *h = harness_host_new(1, NULL, 0);
	struct harness_peer p;
	ep_id id = send_segments(h, &p, 5);
	struct tcp_conn *c = harness_conn(h, id);

	(void)state;
	sent(h, p.ack);
	sack(h, &p, 0, 3, 2);
	sack(h, &p, 0, 4, 9);              /* beyond what was sent */
	sack(h, &p, 0, 0x7fffff, 0x800000);
	assert_null(c->flight);            /* nothing was believed: what is outstanding left together */
	for (unsigned i = 1; i < 5000; i += 2) {   /* every other byte */
		struct tcp_segment s = { .flags = SEG_ACK, .ack = p.ack, .sack_count = 1 };

		s.sack[0] = (struct sack_block){ p.ack + i, p.ack + i + 1 };
		harness_send(h, &p, s);
	}
	assert_null(tcp_conn_check(c));
	sack(h, &p, 5, 0, 0);
	assert_null(c->flight);
	assert_int_equal(h->stack->tcp->records.used, 0);
	harness_host_free(h);
}

static void what_is_received_twice_is_reported(void **state)
{
	struct harness_host *h = harness_host_new(1, NULL, 0);
	struct harness_peer p;
	struct tcp_segment s;

	(void)state;
	open_with_sack(h, &p);
	harness_send(h, &p, (struct tcp_segment){ .flags = SEG_ACK, .len = 100 });
	harness_pass(h, 50 * NSEC_PER_MSEC);
	harness_expect(h, SEG_ACK);
	harness_send(h, &p, (struct tcp_segment){ .flags = SEG_ACK, .len = 100 });
	s = harness_expect(h, SEG_ACK);
	assert_int_equal(s.sack_count, 1);
	assert_int_equal(s.sack[0].start, p.seq);
	assert_int_equal(s.sack[0].end, p.seq + 100);
	/* Beyond a gap, and again: the duplicate first, then the interval that holds it (RFC 2883 4). */
	harness_send(h, &p, (struct tcp_segment){ .flags = SEG_ACK, .seq = p.seq + 200, .len = 100 });
	harness_expect(h, SEG_ACK);
	harness_send(h, &p, (struct tcp_segment){ .flags = SEG_ACK, .seq = p.seq + 200, .len = 100 });
	s = harness_expect(h, SEG_ACK);
	assert_int_equal(s.sack_count, 2);
	assert_int_equal(s.sack[0].start, p.seq + 200);
	assert_int_equal(s.sack[0].end, p.seq + 300);
	assert_int_equal(s.sack[1].start, p.seq + 200);
	harness_host_free(h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(three_sacked_segments_find_the_hole),
		cmocka_unit_test(two_holes_are_repaired_in_one_round_trip),
		cmocka_unit_test(a_lost_retransmission_is_found_without_a_timeout),
		cmocka_unit_test(an_acknowledgment_in_recovery_lets_go_what_it_delivered),
		cmocka_unit_test(reordering_long_past_is_forgotten_after_a_timeout_too),
		cmocka_unit_test(reordering_that_was_seen_is_waited_for),
		cmocka_unit_test(a_lost_tail_is_probed),
		cmocka_unit_test(a_needless_probe_is_told_by_a_duplicate),
		cmocka_unit_test(a_timeout_that_was_only_delay_is_undone),
		cmocka_unit_test(delay_is_seen_behind_newer_data_too),
		cmocka_unit_test(a_peer_that_reneges_gets_it_all_again),
		cmocka_unit_test(needless_retransmissions_are_undone_by_dsack),
		cmocka_unit_test(blocks_that_lie_are_not_believed),
		cmocka_unit_test(what_is_received_twice_is_reported),
	};

	return cmocka_run_group_tests_name("recovery", tests, NULL, NULL);
}
