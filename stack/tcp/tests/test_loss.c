/* SPDX-License-Identifier: BSD-3-Clause */
/* Loss as the sender sees it: duplicates, partial ACKs, timeouts. RFC 6298 5, RFC 5681 3.2, RFC 6582, RFC 3042. */
#include "tests/harness.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "tcp/flight.h"

#define MSS 1000

static uint8_t bytes[16384];

/* The numbers here are Reno's. */
static struct harness_host *host(void)
{
	struct tcp_settings settings;

	tcp_settings_linux(&settings);
	settings.cc = "newreno";
	settings.mtu_probing = 0; /* segments of one size */
	return harness_host_new(1, &settings, 0);
}

/* What was sent, as offsets from `base` in segments; a negative sign where it was sent before. */
static const char *sent(struct harness_host *h, uint32_t base)
{
	static char text[4096];
	struct tcp_segment s;
	char *at = text;

	*at = 0;
	while (harness_sent(h, &s))
		at += snprintf(at, sizeof(text) - (size_t)(at - text), "%s%d", at == text ? "" : " ",
			(int)(s.seq - base) / MSS);
	return text;
}

static ep_id open_and_send(struct harness_host *h, struct harness_peer *p, uint32_t segments)
{
	ep_id id = harness_accepted(h, p, MSS);

	assert_int_equal(ep_send(h->stack, id, bytes, segments * MSS), segments * MSS);
	harness_turn(h);
	return id;
}

static void ack(struct harness_host *h, const struct harness_peer *p, uint32_t segments)
{
	harness_send(h, p, (struct tcp_segment){ .flags = SEG_ACK, .ack = p->ack + segments * MSS });
}

static void three_duplicates_repair_one_loss(void **state)
{
	struct harness_host *h = host();
	struct harness_peer p = { 0 };
	ep_id id = open_and_send(h, &p, 16);
	struct tcp_conn *c = harness_conn(h, id);

	(void)state;
	assert_string_equal(sent(h, p.ack), "0 1 2 3 4 5 6 7 8 9");
	ack(h, &p, 0);
	assert_string_equal(sent(h, p.ack), "10"); /* limited transmit: new data */
	ack(h, &p, 0);
	assert_string_equal(sent(h, p.ack), "11");
	assert_int_equal(c->cc.cwnd, 10 * MSS);
	ack(h, &p, 0);
	assert_string_equal(sent(h, p.ack), "0");
	/* FlightSize without what limited transmit added. */
	assert_int_equal(c->cc.ssthresh, 5 * MSS);
	assert_int_equal(c->cc.cwnd, 9 * MSS);  /* eight in flight, and the retransmission (RFC 9937) */
	assert_int_equal(c->phase, LOSS_RECOVERY);
	for (unsigned i = 0; i < 4; i++)           /* one for two that have left (RFC 9937) */
		ack(h, &p, 0);
	assert_string_equal(sent(h, p.ack), "12 13");
	ack(h, &p, 14);
	assert_int_equal(c->phase, LOSS_OPEN);
	assert_in_range(c->cc.cwnd, MSS, 5 * MSS);
	assert_int_equal(c->retransmitted_total, 1);
	harness_host_free(h);
}

static void a_partial_ack_repairs_the_next_hole(void **state)
{
	struct harness_host *h = host();
	struct harness_peer p = { 0 };
	ep_id id = open_and_send(h, &p, 10);
	struct tcp_conn *c = harness_conn(h, id);

	(void)state;
	sent(h, p.ack);
	for (unsigned i = 0; i < 3; i++)
		ack(h, &p, 0);
	assert_string_equal(sent(h, p.ack), "0");
	ack(h, &p, 4);
	assert_string_equal(sent(h, p.ack), "4");
	ack(h, &p, 7);
	assert_string_equal(sent(h, p.ack), "7");
	assert_int_equal(c->phase, LOSS_RECOVERY);
	assert_int_equal(c->cc.ssthresh, 5 * MSS); /* one reduction for all losses of a window */
	ack(h, &p, 10);
	assert_int_equal(c->phase, LOSS_OPEN);
	assert_int_equal(h->stack->counts[COUNT_TCP_TIMEOUTS], 0);
	harness_host_free(h);
}

static void what_is_no_duplicate_does_not_count(void **state)
{
	struct harness_host *h = host();
	struct harness_peer p = { 0 };
	ep_id id = open_and_send(h, &p, 10);

	(void)state;
	sent(h, p.ack);
	for (unsigned i = 1; i <= 5; i++) { /* the window changes */
		p.window = (uint16_t)(60000 + i);
		ack(h, &p, 0);
	}
	for (unsigned i = 0; i < 5; i++) { /* there is data */
		harness_send(h, &p, (struct tcp_segment){ .flags = SEG_ACK, .len = 10 });
		p.seq += 10;
	}
	assert_int_equal(harness_conn(h, id)->dupacks, 0);
	ack(h, &p, 10);
	for (unsigned i = 0; i < 5; i++) /* nothing is outstanding */
		ack(h, &p, 10);
	assert_int_equal(harness_conn(h, id)->dupacks, 0);
	assert_int_equal(harness_conn(h, id)->retransmitted_total, 0);
	harness_host_free(h);
}

static void a_timeout_sends_the_first_again_and_doubles(void **state)
{
	struct harness_host *h = host();
	struct harness_peer p = { 0 };
	ep_id id = open_and_send(h, &p, 6);
	struct tcp_conn *c = harness_conn(h, id);
	nsec rto = c->rtt.rto;

	(void)state;
	sent(h, p.ack);
	harness_pass(h, rto - NSEC_PER_USEC);
	harness_expect_none(h);
	harness_pass(h, 2 * NSEC_PER_USEC);
	assert_string_equal(sent(h, p.ack), "0");
	assert_int_equal(c->cc.cwnd, MSS);
	assert_int_equal(c->cc.ssthresh, 3 * MSS);
	for (unsigned i = 1; i < 4; i++) {
		harness_pass(h, (rto << i) - 20 * NSEC_PER_MSEC);
		assert_string_equal(sent(h, p.ack), "");
		harness_pass(h, 20 * NSEC_PER_MSEC);
		assert_string_equal(sent(h, p.ack), "0");
		assert_int_equal(c->cc.ssthresh, 3 * MSS); /* the same segment again */
	}
	/* The ACK of what arrived before, and slow start over the rest. */
	ack(h, &p, 1);
	assert_string_equal(sent(h, p.ack), "1 2");
	ack(h, &p, 6);
	harness_pass(h, 100 * NSEC_PER_SEC);
	harness_expect_none(h);
	harness_host_free(h);
}

static void duplicates_after_a_timeout_say_nothing(void **state)
{
	struct harness_host *h = host();
	struct harness_peer p = { 0 };
	ep_id id = open_and_send(h, &p, 10);
	struct tcp_conn *c = harness_conn(h, id);

	(void)state;
	sent(h, p.ack);
	harness_pass(h, c->rtt.rto + NSEC_PER_MSEC);
	assert_string_equal(sent(h, p.ack), "0");
	for (unsigned i = 0; i < 5; i++)
		ack(h, &p, 0);
	assert_string_equal(sent(h, p.ack), "");
	assert_int_equal(h->stack->counts[COUNT_TCP_FAST_RETRANSMITS], 0);
	harness_host_free(h);
}

/* RFC 6298 3: no sample from what was sent twice; the backed-off RTO stays until one sent once is acknowledged. */
static void karn_holds_without_timestamps(void **state)
{
	struct harness_host *h = host();
	struct harness_peer p = { 0 };
	ep_id id = open_and_send(h, &p, 1);
	struct tcp_conn *c = harness_conn(h, id);
	nsec srtt = c->rtt.srtt;

	(void)state;
	sent(h, p.ack);
	harness_pass(h, c->rtt.rto + 50 * NSEC_PER_MSEC);
	assert_string_equal(sent(h, p.ack), "0");
	ack(h, &p, 1);
	assert_int_equal(c->rtt.srtt, srtt);
	assert_int_equal(c->backoff, 1);
	assert_int_equal(ep_send(h->stack, id, bytes, MSS), MSS);
	harness_turn(h);
	harness_pass(h, 30 * NSEC_PER_MSEC);
	ack(h, &p, 2);
	assert_true(c->rtt.srtt > srtt);
	assert_int_equal(c->backoff, 0);
	harness_host_free(h);
}

static void r2_gives_up(void **state)
{
	struct tcp_settings settings;
	struct harness_host *h;
	struct harness_peer p = { 0 };
	ep_id id;
	nsec began;

	(void)state;
	tcp_settings_linux(&settings);
	h = harness_host_new(1, &settings, 0);
	id = open_and_send(h, &p, 1);
	began = h->now;
	while (harness_state(h, id) != TCP_CLOSED) {
		assert_true(stack_deadline(h->stack) != NSEC_NEVER);
		h->now = stack_deadline(h->stack);
		harness_turn(h);
	}
	assert_in_range(h->now - began, 924 * NSEC_PER_SEC, 1100 * NSEC_PER_SEC);
	assert_int_equal(ep_take_error(h->stack, id), ETIMEDOUT);
	harness_host_free(h);
}

static void the_user_timeout_gives_up_sooner(void **state)
{
	struct harness_host *h = host();
	struct harness_peer p = { 0 };
	ep_id id = harness_accepted(h, &p, MSS);

	(void)state;
	assert_int_equal(ep_set(h->stack, id, EP_USER_TIMEOUT, 5000), 0);
	assert_int_equal(ep_send(h->stack, id, bytes, MSS), MSS);
	harness_pass(h, 4900 * NSEC_PER_MSEC);
	assert_int_equal(harness_state(h, id), TCP_ESTABLISHED);
	harness_pass(h, 200 * NSEC_PER_MSEC);
	assert_int_equal(harness_state(h, id), TCP_CLOSED);
	assert_int_equal(ep_take_error(h->stack, id), ETIMEDOUT);
	harness_host_free(h);
}

static void idleness_shrinks_the_window_again(void **state)
{
	struct harness_host *h = host();
	struct harness_peer p = { 0 };
	ep_id id = open_and_send(h, &p, 10);
	struct tcp_conn *c = harness_conn(h, id);

	(void)state;
	for (unsigned i = 1; i <= 10; i++)
		ack(h, &p, i);
	assert_true(c->cc.cwnd > 10 * MSS);
	harness_pass(h, 2 * c->rtt.rto);
	sent(h, p.ack);
	assert_int_equal(ep_send(h->stack, id, bytes, 16 * MSS), 16 * MSS);
	harness_turn(h);
	assert_int_equal(c->cc.cwnd, 10 * MSS);
	harness_host_free(h);
}

/* A timeout of ten segments with more queued, and what was sent for it. */
static ep_id time_out(struct harness_host *h, struct harness_peer *p, uint32_t segments)
{
	ep_id id = open_and_send(h, p, segments);

	assert_string_equal(sent(h, p->ack), "0 1 2 3 4 5 6 7 8 9");
	harness_pass(h, harness_conn(h, id)->rtt.rto + NSEC_PER_MSEC);
	assert_string_equal(sent(h, p->ack), "0");
	return id;
}

/* covers: 5682-2.1-step1 5682-2.1-step2b 5682-2.1-step3b 4015-3.1-resume 4015-3.1-reverse 5682-4-resp */
static void a_delay_is_no_loss_and_costs_one_retransmission(void **state)
{
	struct harness_host *h = host();
	struct harness_peer p = { 0 };
	ep_id id = time_out(h, &p, 16);
	struct tcp_conn *c = harness_conn(h, id);

	(void)state;
	ack(h, &p, 1);
	assert_string_equal(sent(h, p.ack), "10 11");
	ack(h, &p, 2);
	assert_int_equal(h->stack->counts[COUNT_TCP_UNDONE], 1);
	assert_int_equal(c->phase, LOSS_OPEN);
	assert_int_equal(c->cc.cwnd, 10 * MSS);         /* ten in flight and one that arrived, but never more than before */
	assert_int_equal(c->cc.ssthresh, CC_SSTHRESH_MAX);
	ack(h, &p, 3);
	assert_true(c->cc.cwnd > 10 * MSS);             /* and it grows again */
	for (unsigned i = 4; i <= 10; i++)
		ack(h, &p, i);
	assert_string_equal(sent(h, p.ack), "12 13 14 15");
	ack(h, &p, 16);
	assert_int_equal(c->retransmitted_total, 1);
	harness_host_free(h);
}

/* RFC 4015 3.1 steps 1 and 8: SRTT_prev + 2 G and RTTVAR_prev, whatever was made of them since. */
static void a_needless_timeout_leaves_the_measured_round_trip_and_its_variation(void **state)
{
	struct harness_host *h = host();
	struct harness_peer p = { 0 };
	struct tcp_conn *c = harness_conn(h, open_and_send(h, &p, 16));
	nsec srtt;

	(void)state;
	c->rtt.srtt = srtt = 20 * NSEC_PER_MSEC;
	c->rtt.rttvar = 7 * NSEC_PER_MSEC;
	sent(h, p.ack);
	harness_pass(h, c->rtt.rto + NSEC_PER_MSEC);
	assert_int_equal(c->phase, LOSS_TIMEOUT);
	c->rtt.rttvar = 0;
	ack(h, &p, 1);
	ack(h, &p, 2);
	assert_int_equal(h->stack->counts[COUNT_TCP_UNDONE], 1);
	assert_in_range(c->rtt.srtt, srtt + 1, srtt + 2 * NSEC_PER_MSEC);
	assert_int_equal(c->rtt.rttvar, 7 * NSEC_PER_MSEC);
	harness_host_free(h);
}

/* covers: 4015-3.1-reverse */
static void a_stretch_acknowledgment_after_a_delay_draws_no_burst(void **state)
{
	struct harness_host *h = host();
	struct harness_peer p = { 0 };
	ep_id id = time_out(h, &p, 16);
	struct tcp_conn *c = harness_conn(h, id);

	(void)state;
	ack(h, &p, 1);
	assert_string_equal(sent(h, p.ack), "10 11");
	ack(h, &p, 8);
	assert_int_equal(c->cc.cwnd, 10 * MSS);         /* 4 + min(7, 10), and not more than before */
	assert_int_equal(h->stack->counts[COUNT_TCP_UNDONE], 1);
	harness_host_free(h);
}

/* covers: 5682-2.1-step2a */
static void a_duplicate_after_a_timeout_means_loss(void **state)
{
	struct harness_host *h = host();
	struct harness_peer p = { 0 };
	ep_id id = time_out(h, &p, 16);

	(void)state;
	ack(h, &p, 0);
	assert_string_equal(sent(h, p.ack), "");
	ack(h, &p, 1);
	assert_string_equal(sent(h, p.ack), "1 2");
	ack(h, &p, 3);
	assert_string_equal(sent(h, p.ack), "3 4 5");   /* slow start over what is lost */
	assert_int_equal(h->stack->counts[COUNT_TCP_UNDONE], 0);
	assert_int_equal(harness_conn(h, id)->phase, LOSS_TIMEOUT);
	harness_host_free(h);
}

/* covers: 5682-2.1-step2a */
static void half_of_the_retransmission_says_nothing(void **state)
{
	struct harness_host *h = host();
	struct harness_peer p = { 0 };

	(void)state;
	time_out(h, &p, 16);
	harness_send(h, &p, (struct tcp_segment){ .flags = SEG_ACK, .ack = p.ack + MSS / 2 });
	assert_string_equal(sent(h, p.ack), "1");
	assert_int_equal(h->stack->counts[COUNT_TCP_UNDONE], 0);
	harness_host_free(h);
}

/* covers: 5682-2.1-step3a */
static void a_duplicate_of_the_new_segments_means_loss(void **state)
{
	struct harness_host *h = host();
	struct harness_peer p = { 0 };
	ep_id id = time_out(h, &p, 16);

	(void)state;
	ack(h, &p, 1);
	assert_string_equal(sent(h, p.ack), "10 11");
	ack(h, &p, 1);
	assert_string_equal(sent(h, p.ack), "1");       /* two new ones are out, and cwnd is three */
	assert_int_equal(harness_conn(h, id)->cc.cwnd, 3 * MSS);
	ack(h, &p, 2);
	assert_string_equal(sent(h, p.ack), "2 3");
	assert_int_equal(h->stack->counts[COUNT_TCP_UNDONE], 0);
	harness_host_free(h);
}

/* covers: 5682-2.1-nonew */
static void without_new_data_a_timeout_is_an_ordinary_one(void **state)
{
	struct harness_host *h = host();
	struct harness_peer p = { 0 };

	(void)state;
	time_out(h, &p, 10);
	ack(h, &p, 1);
	assert_string_equal(sent(h, p.ack), "1 2");
	ack(h, &p, 2);
	assert_int_equal(h->stack->counts[COUNT_TCP_UNDONE], 0);
	harness_host_free(h);
}

/* covers: 5682-2.1-step1 */
static void a_second_timeout_begins_the_test_again(void **state)
{
	struct harness_host *h = host();
	struct harness_peer p = { 0 };
	ep_id id = time_out(h, &p, 16);

	(void)state;
	harness_pass(h, 2 * harness_conn(h, id)->rtt.rto + NSEC_PER_MSEC);
	assert_string_equal(sent(h, p.ack), "0");
	ack(h, &p, 1);
	assert_string_equal(sent(h, p.ack), "10 11");
	ack(h, &p, 2);
	assert_int_equal(h->stack->counts[COUNT_TCP_UNDONE], 1);
	harness_host_free(h);
}

/* RFC 9937 6.2: a peer that invents duplicates. */
static void invented_duplicates_release_no_more_than_was_out(void **state)
{
	struct harness_host *h = host();
	struct harness_peer p = { 0 };
	ep_id id = open_and_send(h, &p, 16);
	struct tcp_conn *c = harness_conn(h, id);

	(void)state;
	for (unsigned i = 0; i < 200; i++)
		ack(h, &p, 0);
	assert_true(c->snd_nxt - c->snd_una <= 16 * MSS);
	assert_true(c->flight->prr_out <= 10 * MSS);
	assert_true(c->cc.cwnd <= 10 * MSS);
	harness_host_free(h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(three_duplicates_repair_one_loss),
		cmocka_unit_test(a_partial_ack_repairs_the_next_hole),
		cmocka_unit_test(what_is_no_duplicate_does_not_count),
		cmocka_unit_test(a_timeout_sends_the_first_again_and_doubles),
		cmocka_unit_test(duplicates_after_a_timeout_say_nothing),
		cmocka_unit_test(karn_holds_without_timestamps),
		cmocka_unit_test(r2_gives_up),
		cmocka_unit_test(the_user_timeout_gives_up_sooner),
		cmocka_unit_test(idleness_shrinks_the_window_again),
		cmocka_unit_test(a_delay_is_no_loss_and_costs_one_retransmission),
		cmocka_unit_test(a_needless_timeout_leaves_the_measured_round_trip_and_its_variation),
		cmocka_unit_test(a_stretch_acknowledgment_after_a_delay_draws_no_burst),
		cmocka_unit_test(a_duplicate_after_a_timeout_means_loss),
		cmocka_unit_test(half_of_the_retransmission_says_nothing),
		cmocka_unit_test(a_duplicate_of_the_new_segments_means_loss),
		cmocka_unit_test(without_new_data_a_timeout_is_an_ordinary_one),
		cmocka_unit_test(a_second_timeout_begins_the_test_again),
		cmocka_unit_test(invented_duplicates_release_no_more_than_was_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
