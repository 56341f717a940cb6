/* SPDX-License-Identifier: BSD-3-Clause */
/* What leaves, as records: which may stand together, and what they may then say of time. */
#include "tests/harness.h"

#include <string.h>

#include "tcp/flight.h"

#define MSS 1000
#define RECORDS_MOST 4096      /* records.c */
#define RECORDS_FINE 256u      /* flight.c */

static struct cc_ops spy;      /* NewReno that writes down what it is told */
static nsec told_rtt;
static bool told, told_too_many;
static uint32_t told_lost;
static ep_id child;
static uint8_t much[16 * MSS];

static void spy_on_ack(struct cc *cc, const struct cc_ack *a)
{
	told = true;
	told_rtt = a->rtt;
	if (a->rate) {
		told_lost = a->rate->lost;
		told_too_many = a->rate->sample.too_many;
	}
	cc_newreno.on_ack(cc, a);
}

/* Its window and the peer's hold all that follows, and each byte leaves at once. */
static struct tcp_conn *open_with(struct harness_host *h, struct harness_peer *p, bool rates, uint8_t options)
{
	ep_id listener = harness_listen(h, OUR_PORT, 8);
	struct tcp_segment s;
	struct tcp_conn *c;

	*p = (struct harness_peer){ .seq = 1000, .port = PEER_PORT, .window = 65535 };
	harness_send(h, p, (struct tcp_segment){ .flags = SEG_SYN, .has = options, .mss = MSS });
	s = harness_expect(h, SEG_SYN | SEG_ACK);
	p->seq = 1001;
	p->ack = s.seq + 1;
	harness_pass(h, 100 * NSEC_PER_MSEC);     /* the round trip: no probe of a tail comes between */
	harness_send(h, p, (struct tcp_segment){ .flags = SEG_ACK });
	assert_int_equal(ep_accept(h->stack, listener, &child, NULL), 0);
	assert_int_equal(ep_close(h->stack, listener), 0);
	assert_int_equal(ep_set(h->stack, child, EP_NODELAY, 1), 0);
	if (rates)
		assert_int_equal(ep_set(h->stack, child, EP_MAX_PACING_RATE, INT64_C(100000000000)), 0);
	c = harness_conn(h, child);
	c->cc.cwnd = 65535;
	spy = cc_newreno;
	spy.on_ack = spy_on_ack;
	c->cc.ops = &spy;
	told = false;
	return c;
}

static struct tcp_conn *open_wide(struct harness_host *h, struct harness_peer *p, bool rates)
{
	return open_with(h, p, rates, SEG_HAS_MSS | SEG_HAS_SACK_OK);
}

static void send_bytes(struct harness_host *h, unsigned count, nsec apart)
{
	struct tcp_segment s;

	for (unsigned i = 0; i < count; i++) {
		harness_pass(h, apart);
		assert_int_equal(ep_send(h->stack, child, "x", 1), 1);
		harness_pass(h, NSEC_PER_USEC);
		while (harness_sent(h, &s))
			;
	}
}

/* A rate is taken of each record: what left later says nothing of what left before it (draft-ietf-ccwg-bbr 4.1.2.2). */
static void where_rates_are_taken_only_what_left_together_is_one_record(void **state)
{
	struct harness_host *h = harness_host_new(1, NULL, 0);
	struct harness_peer p;
	struct tcp_conn *c = open_wide(h, &p, true);

	(void)state;
	send_bytes(h, 4 * RECORDS_FINE, NSEC_PER_USEC);
	assert_int_equal(c->flight->records, 4 * RECORDS_FINE);
	harness_host_free(h);
}

static void elsewhere_what_is_tiny_beside_the_window_joins_what_left_before(void **state)
{
	struct harness_host *h = harness_host_new(1, NULL, 0);
	struct harness_peer p;
	struct tcp_conn *c = open_wide(h, &p, false);

	(void)state;
	send_bytes(h, 8 * RECORDS_FINE, NSEC_PER_USEC);
	assert_in_range(c->flight->records, RECORDS_FINE, 4 * RECORDS_FINE);
	harness_host_free(h);
}

/* It has another time: if what left before the pause had that too, its arrival would be a short round trip of something sent late, and all that
 * left in between would be taken for lost. */
static void after_a_pause_nothing_joins_what_left_before(void **state)
{
	struct harness_host *h = harness_host_new(1, NULL, 0);
	struct harness_peer p;
	struct tcp_conn *c = open_wide(h, &p, false);
	const struct record *last;
	uint32_t records;
	nsec before;

	(void)state;
	send_bytes(h, 8 * RECORDS_FINE, NSEC_PER_USEC);
	do {
		records = c->flight->records;
		send_bytes(h, 1, NSEC_PER_USEC);
	} while (c->flight->records == records);
	records = c->flight->records;
	last = container_of(c->flight->by_sequence.prev, struct record, by_sequence);
	send_bytes(h, 1, NSEC_PER_USEC);
	assert_int_equal(c->flight->records, records);
	before = last->sent_at;
	send_bytes(h, 1, c->rtt.srtt / 4);
	assert_int_equal(c->flight->records, records + 1);
	assert_int_equal(last->sent_at, before);
	harness_host_free(h);
}

/* Without records to spare the last one takes in what leaves long after what it began with. Its time is that of its end: a round trip from
 * it would be far too short, and a model of the path that believed it would never fill the path again. */
static void what_has_no_record_of_its_own_tells_no_round_trip(void **state)
{
	struct harness_host *h = harness_host_new(1, NULL, 0);
	struct harness_peer p;
	struct tcp_conn *c = open_wide(h, &p, true);

	(void)state;
	send_bytes(h, RECORDS_MOST, NSEC_PER_USEC);
	assert_int_equal(c->flight->records, RECORDS_MOST);
	send_bytes(h, 1, 20 * NSEC_PER_MSEC);     /* in the last record, and so is the byte 20 ms before it */
	assert_int_equal(c->flight->records, RECORDS_MOST);
	harness_pass(h, 10 * NSEC_PER_MSEC);
	harness_send(h, &p, (struct tcp_segment){ .flags = SEG_ACK, .ack = p.ack + RECORDS_MOST });
	assert_true(told);
	assert_true(told_rtt == 0 || told_rtt >= 30 * NSEC_PER_MSEC);
	/* ... and a new record is exact again. */
	send_bytes(h, 1, NSEC_PER_MSEC);
	harness_pass(h, 40 * NSEC_PER_MSEC - NSEC_PER_USEC);
	told = false;
	harness_send(h, &p, (struct tcp_segment){ .flags = SEG_ACK, .ack = p.ack + RECORDS_MOST + 2 });
	assert_true(told);
	assert_int_equal(told_rtt / NSEC_PER_MSEC, 40);
	harness_host_free(h);
}

/* RFC 4821 7.6.2: its loss is no sign of congestion, nor for an algorithm that weighs losses itself; any other's is. */
static void the_loss_of_a_probe_of_the_path_mtu_is_none_of_the_rates(void **state)
{
	static const struct {
		uint32_t from, lost;   /* what the peer lacks is in front of this; numbers that count as lost */
	} cases[] = { { 1000, 0 }, { 1600, 1600 } };
	static const uint8_t bytes[16000];

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct tcp_settings settings;
		struct harness_host *h;
		struct harness_peer p;
		struct tcp_segment s;
		struct tcp_conn *c;

		tcp_settings_linux(&settings);
		settings.mtu_probing = 2;
		settings.mtu_probe_base = 600;
		h = harness_host_new(1, &settings, 0);
		c = open_wide(h, &p, true);
		assert_int_equal(ep_send(h->stack, child, bytes, sizeof(bytes)), sizeof(bytes));
		harness_turn(h);
		assert_true(harness_sent(h, &s));
		assert_int_equal(s.len, MSS);      /* the probe; 600 bytes each after it */
		while (harness_sent(h, &s))
			assert_int_equal(s.len > 600, false);
		harness_pass(h, 100 * NSEC_PER_MSEC);
		harness_send(h, &p, (struct tcp_segment){ .flags = SEG_ACK, .sack_count = 1,
			.sack = { { p.ack + cases[i].from, p.ack + cases[i].from + 3 * 600 } } });
		assert_true(told);
		assert_int_equal(told_lost, cases[i].lost);
		assert_int_equal(told_too_many, cases[i].lost > 0);
		assert_int_equal(c->phase == LOSS_OPEN, cases[i].lost == 0);
		harness_host_free(h);
	}
}

/* A probe of the tail (RFC 8985 7.3) sends it again: what has arrived is neither sent nor cut for it. */
static void a_tail_that_has_arrived_is_no_probe(void **state)
{
	struct harness_host *h = harness_host_new(1, NULL, 0);
	struct harness_peer p;
	struct tcp_conn *c = open_wide(h, &p, false);
	uint32_t first;
	struct record *r;

	(void)state;
	send_bytes(h, 20, NSEC_PER_MSEC);
	first = c->snd_una;
	r = flight_last_or_null(c, 1);
	assert_non_null(r);
	assert_int_equal(r->start, first + 19);
	harness_send(h, &p, (struct tcp_segment){ .flags = SEG_ACK, .ack = first, .sack_count = 1, .sack = { { first + 10, first + 20 } } });
	assert_int_equal(c->flight->sacked, 10);
	assert_null(flight_last_or_null(c, 1));
	assert_null(flight_check(c));
	harness_host_free(h);
}

/* RFC 5682 2.1 step 2b lets two new segments go beyond all that is out. BBR's window is its own and far smaller than that after a timeout: with
 * nothing lost and nothing that may go a connection waited for one timeout after the other. */
static void after_a_timeout_bbr_sends_again_what_it_has_out(void **state)
{
	struct harness_host *h = harness_host_new(1, NULL, 0);
	struct harness_peer p;
	struct tcp_conn *c = open_with(h, &p, false, SEG_HAS_MSS);
	struct tcp_segment s;
	uint32_t first;

	(void)state;
	c->cc.ops = &cc_newreno;
	assert_int_equal(ep_set(h->stack, child, EP_CONGESTION, EP_CC_BBR), 0);
	first = c->snd_una;
	assert_true(ep_send(h->stack, child, much, sizeof(much)) > 12 * MSS);
	for (unsigned i = 0; i < 20; i++) {
		c->cc.cwnd = 12 * MSS;
		harness_pass(h, NSEC_PER_MSEC);
		while (harness_sent(h, &s))
			;
	}
	assert_int_equal(c->snd_nxt - first, 12 * MSS);
	while (c->phase == LOSS_OPEN)
		harness_pass(h, 100 * NSEC_PER_MSEC);
	while (harness_sent(h, &s))
		assert_int_equal(s.seq, first);
	harness_send(h, &p, (struct tcp_segment){ .flags = SEG_ACK, .ack = first + MSS });
	harness_pass(h, 50 * NSEC_PER_MSEC);
	assert_true(harness_sent(h, &s));
	assert_int_equal(s.seq, first + MSS);
	harness_host_free(h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(where_rates_are_taken_only_what_left_together_is_one_record),
		cmocka_unit_test(elsewhere_what_is_tiny_beside_the_window_joins_what_left_before),
		cmocka_unit_test(after_a_pause_nothing_joins_what_left_before),
		cmocka_unit_test(what_has_no_record_of_its_own_tells_no_round_trip),
		cmocka_unit_test(a_tail_that_has_arrived_is_no_probe),
		cmocka_unit_test(after_a_timeout_bbr_sends_again_what_it_has_out),
		cmocka_unit_test(the_loss_of_a_probe_of_the_path_mtu_is_none_of_the_rates),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
