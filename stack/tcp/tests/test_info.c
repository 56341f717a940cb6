/* SPDX-License-Identifier: BSD-3-Clause */
/* What TCP_INFO shows: each figure after something that makes it move, and only then. */
#include "tests/harness.h"
#include "tcp/flight.h"

#define MSS 1000u
#define RTT (50 * NSEC_PER_MSEC)

static uint8_t bytes[100 * MSS];

static struct ep_info info_of(struct harness_host *h, ep_id id)
{
	struct ep_info i;

	assert_int_equal(ep_info(h->stack, id, &i), 0);
	return i;
}

static void drain(struct harness_host *h)
{
	struct tcp_segment s;

	while (harness_sent(h, &s))
		;
}

/* An open connection with SACK and a round trip of RTT, whose first n segments are on the wire. */
static ep_id sending(struct harness_host *h, struct harness_peer *p, uint32_t n)
{
	ep_id listener = harness_listen(h, OUR_PORT, 8), id;

	*p = (struct harness_peer){ .seq = 1000, .port = PEER_PORT, .window = 60000 };
	harness_send(h, p, (struct tcp_segment){ .flags = SEG_SYN, .has = SEG_HAS_MSS | SEG_HAS_SACK_OK, .mss = MSS });
	p->ack = harness_expect(h, SEG_SYN | SEG_ACK).seq + 1;
	p->seq++;
	harness_pass(h, RTT);
	harness_send(h, p, (struct tcp_segment){ .flags = SEG_ACK });
	assert_int_equal(ep_accept(h->stack, listener, &id, NULL), 0);
	assert_int_equal(ep_send(h->stack, id, bytes, n * MSS), n * MSS);
	harness_turn(h);
	drain(h);
	return id;
}

static void answer(struct harness_host *h, const struct harness_peer *p, uint32_t acked, struct sack_block block)
{
	struct tcp_segment s = { .flags = SEG_ACK, .ack = p->ack + acked * MSS };

	if (block.start != block.end) {
		s.sack_count = 1;
		s.sack[0] = block;
	}
	harness_send(h, p, s);
	drain(h);
}

static struct sack_block segments(const struct harness_peer *p, uint32_t from, uint32_t to)
{
	return (struct sack_block){ p->ack + from * MSS, p->ack + to * MSS };
}

static const struct sack_block none;

static void delivered_counts_what_arrived_once(void **state)
{
	struct harness_host *h = harness_host_new(1, NULL, 0);
	struct harness_peer p;
	ep_id id = sending(h, &p, 10);

	(void)state;
	assert_int_equal(info_of(h, id).delivered, 1);   /* the SYN */
	harness_pass(h, RTT);
	answer(h, &p, 2, none);
	assert_int_equal(info_of(h, id).delivered, 3);
	answer(h, &p, 2, segments(&p, 3, 7));
	assert_int_equal(info_of(h, id).delivered, 7);
	assert_int_equal(info_of(h, id).retransmitted_total, 1);
	answer(h, &p, 10, none);
	assert_int_equal(info_of(h, id).delivered, 11);
	harness_host_free(h);
}

static void duplicates_are_those_the_peer_reports(void **state)
{
	struct harness_host *h = harness_host_new(1, NULL, 0);
	struct harness_peer p;
	ep_id id = sending(h, &p, 10);

	(void)state;
	harness_pass(h, RTT);
	answer(h, &p, 4, none);
	assert_int_equal(info_of(h, id).duplicates, 0);
	answer(h, &p, 4, segments(&p, 1, 2));
	assert_int_equal(info_of(h, id).duplicates, 1);
	answer(h, &p, 4, segments(&p, 0, 3));
	assert_int_equal(info_of(h, id).duplicates, 4);
	answer(h, &p, 4, (struct sack_block){ p.ack - 200000, p.ack });   /* longer than any window */
	assert_int_equal(info_of(h, id).duplicates, 4);
	harness_host_free(h);
}

static void reordering_is_how_far_and_how_often(void **state)
{
	struct harness_host *h = harness_host_new(1, NULL, 0);
	struct harness_peer p;
	ep_id id = sending(h, &p, 10);

	(void)state;
	assert_int_equal(info_of(h, id).reordering, 3);
	harness_pass(h, RTT);
	answer(h, &p, 0, segments(&p, 1, 2));
	assert_int_equal(info_of(h, id).reorderings, 0);
	answer(h, &p, 2, none);
	assert_int_equal(info_of(h, id).reorderings, 1);
	assert_int_equal(info_of(h, id).reordering, 3);    /* no less than duplicates are waited for */
	harness_host_free(h);
	h = harness_host_new(1, NULL, 0);
	id = sending(h, &p, 10);
	harness_conn(h, id)->reordering_seen = true;       /* so that nothing is sent again at once */
	harness_pass(h, RTT);
	answer(h, &p, 0, segments(&p, 5, 7));
	answer(h, &p, 2, segments(&p, 5, 7));
	assert_int_equal(info_of(h, id).reorderings, 1);
	assert_int_equal(info_of(h, id).reordering, 7);
	answer(h, &p, 3, segments(&p, 5, 7));
	assert_int_equal(info_of(h, id).reorderings, 2);
	assert_int_equal(info_of(h, id).reordering, 7);
	harness_host_free(h);
}

static void what_comes_beyond_a_gap_is_counted(void **state)
{
	struct harness_host *h = harness_host_new(1, NULL, 0);
	struct harness_peer p = { .window = 60000 };
	ep_id id = harness_accepted(h, &p, MSS);

	(void)state;
	harness_send(h, &p, (struct tcp_segment){ .flags = SEG_ACK, .seq = p.seq + 200, .len = 100 });
	harness_send(h, &p, (struct tcp_segment){ .flags = SEG_ACK, .seq = p.seq + 400, .len = 100 });
	assert_int_equal(info_of(h, id).received_reordered, 2);
	harness_send(h, &p, (struct tcp_segment){ .flags = SEG_ACK, .len = 100 });
	assert_int_equal(info_of(h, id).received_reordered, 2);
	assert_int_equal(info_of(h, id).reorderings, 0);
	harness_host_free(h);
}

static void the_peers_window_is_told_from_the_network(void **state)
{
	struct harness_host *h = harness_host_new(1, NULL, 0);
	struct harness_peer p = { .window = 2000 };
	ep_id id = harness_accepted(h, &p, MSS);
	struct ep_info i = info_of(h, id);

	(void)state;
	harness_pass(h, RTT);
	assert_int_equal(i.busy, 0);
	assert_int_equal(ep_send(h->stack, id, bytes, 5 * MSS), 5 * MSS);
	harness_turn(h);
	harness_pass(h, RTT);
	i = info_of(h, id);
	assert_int_equal(i.busy, RTT);
	assert_int_equal(i.window_limited, RTT);
	assert_int_equal(i.buffer_limited, 0);
	p.window = 20000;
	answer(h, &p, 2, none);                 /* all may go: from now on it is the network's time */
	harness_pass(h, RTT);
	i = info_of(h, id);
	assert_int_equal(i.busy, 2 * RTT);
	assert_int_equal(i.window_limited, RTT);
	answer(h, &p, 5, none);
	harness_pass(h, RTT);
	assert_int_equal(info_of(h, id).busy, 2 * RTT);
	harness_host_free(h);
}

static void a_small_send_buffer_is_told(void **state)
{
	struct harness_host *h = harness_host_new(1, NULL, 0);
	struct harness_peer p = { .window = 60000 };
	ep_id id = harness_accepted(h, &p, MSS);
	int64_t n;

	(void)state;
	assert_int_equal(ep_set(h->stack, id, EP_SEND_BUFFER, 4096), 0);
	n = ep_send(h->stack, id, bytes, 50 * MSS);
	assert_in_range(n, 2 * MSS, 9 * MSS);   /* less than cwnd */
	harness_turn(h);
	harness_pass(h, RTT);
	assert_int_equal(info_of(h, id).buffer_limited, RTT);
	assert_int_equal(info_of(h, id).busy, RTT);
	assert_int_equal(info_of(h, id).window_limited, 0);
	harness_host_free(h);
}

static void a_rate_is_what_arrived_in_a_round_trip(void **state)
{
	struct harness_host *h = harness_host_new(1, NULL, 0);
	struct harness_peer p;
	ep_id id = sending(h, &p, 5);
	struct ep_info i;

	(void)state;
	assert_int_equal(info_of(h, id).delivery_rate, 0);
	harness_pass(h, RTT);
	answer(h, &p, 5, none);
	i = info_of(h, id);
	assert_int_equal(i.delivery_rate, 5 * MSS * (NSEC_PER_SEC / RTT));
	assert_true(i.delivery_app_limited);
	/* A single segment says less of the path. */
	p.ack += 5 * MSS;
	assert_int_equal(ep_send(h->stack, id, bytes, MSS), MSS);
	harness_turn(h);
	harness_pass(h, RTT);
	answer(h, &p, 1, none);
	assert_int_equal(info_of(h, id).delivery_rate, i.delivery_rate);
	harness_host_free(h);
}

/* Where packets are paced, the rate is that of the samples that pacing takes (draft-ietf-ccwg-bbr 4.1). */
static void a_paced_connection_has_a_rate_too(void **state)
{
	struct harness_host *h = harness_host_new(1, NULL, 0);
	struct harness_peer p;
	ep_id id = sending(h, &p, 1);

	(void)state;
	harness_pass(h, RTT);
	answer(h, &p, 1, none);
	p.ack += MSS;
	assert_int_equal(ep_set(h->stack, id, EP_MAX_PACING_RATE, INT64_C(1000000000)), 0);
	assert_int_equal(ep_send(h->stack, id, bytes, 5 * MSS), 5 * MSS);
	harness_turn(h);
	harness_pass(h, RTT);
	answer(h, &p, 5, none);
	assert_in_range(info_of(h, id).delivery_rate, 4 * MSS * (NSEC_PER_SEC / RTT), 6 * MSS * (NSEC_PER_SEC / RTT));
	harness_host_free(h);
}

/* A super-frame is as many segments as it carries, when it is sent again, too. */
static void segments_are_those_on_the_wire(void **state)
{
	struct harness_host *h = harness_host_new(1, NULL, LINK_TSO | LINK_TX_CSUM);
	struct harness_peer p;
	ep_id id = sending(h, &p, 10);
	uint32_t before = info_of(h, id).segments_sent;

	(void)state;
	assert_int_equal(info_of(h, id).data_segments_sent, 10);
	assert_true(before >= 10);
	harness_pass(h, RTT);
	answer(h, &p, 0, segments(&p, 4, 10));
	assert_int_equal(info_of(h, id).retransmitted_total, 4);
	assert_int_equal(info_of(h, id).bytes_retransmitted, 4 * MSS);
	assert_int_equal(info_of(h, id).data_segments_sent, 14);
	assert_int_equal(info_of(h, id).segments_sent, before + 4);
	harness_host_free(h);
}

/* tcpi_last_data_recv and its like (tcp_get_info of Linux): an ACK is no data. */
static void each_last_time_is_that_of_its_own_kind(void **state)
{
	struct harness_host *h = harness_host_new(1, NULL, 0);
	struct harness_peer p;
	ep_id id = sending(h, &p, 2);
	struct ep_info i;

	(void)state;
	harness_pass(h, RTT / 4);
	harness_send(h, &p, (struct tcp_segment){ .flags = SEG_ACK, .len = 10 });
	p.seq += 10;
	harness_pass(h, RTT / 4);
	answer(h, &p, 1, none);
	i = info_of(h, id);
	assert_int_equal(i.last_ack_received, 0);
	assert_int_equal(i.last_data_received, RTT / 4);
	assert_int_equal(i.last_data_sent, RTT / 2);
	harness_host_free(h);
}

static void limits_and_timers_are_those_in_force(void **state)
{
	struct harness_host *h = harness_host_new(1, NULL, 0);
	struct harness_peer p = { .window = 60000 };
	ep_id id = harness_accepted(h, &p, MSS);

	(void)state;
	assert_int_equal(info_of(h, id).max_pacing_rate, 0);
	assert_int_equal(ep_set(h->stack, id, EP_MAX_PACING_RATE, 123456), 0);
	assert_int_equal(info_of(h, id).max_pacing_rate, 123456);
	assert_int_equal(info_of(h, id).ack_timeout, 0);
	harness_send(h, &p, (struct tcp_segment){ .flags = SEG_ACK, .len = 100 });
	assert_int_equal(info_of(h, id).ack_timeout, h->stack->config.tcp.delayed_ack);
	assert_int_equal(ep_set(h->stack, id, EP_RECEIVE_LOW, 500000), 0);
	assert_int_equal(info_of(h, id).receive_limit, 1000000);
	harness_host_free(h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(delivered_counts_what_arrived_once),
		cmocka_unit_test(duplicates_are_those_the_peer_reports),
		cmocka_unit_test(reordering_is_how_far_and_how_often),
		cmocka_unit_test(what_comes_beyond_a_gap_is_counted),
		cmocka_unit_test(the_peers_window_is_told_from_the_network),
		cmocka_unit_test(a_small_send_buffer_is_told),
		cmocka_unit_test(a_rate_is_what_arrived_in_a_round_trip),
		cmocka_unit_test(a_paced_connection_has_a_rate_too),
		cmocka_unit_test(segments_are_those_on_the_wire),
		cmocka_unit_test(each_last_time_is_that_of_its_own_kind),
		cmocka_unit_test(limits_and_timers_are_those_in_force),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
