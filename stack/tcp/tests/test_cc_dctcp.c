/* SPDX-License-Identifier: BSD-3-Clause */
/* RFC 8257 on the flat struct alone, against conformance/vectors/dctcp_alpha.tsv. */
#include "tests/harness.h"

#include <stdio.h>
#include <string.h>

#include "tcp/cc.h"
#include "tcp/ecn.h"

#define MSS 1000u
#define WINDOW (100 * MSS)

static double alpha_of(const struct cc *cc)
{
	return (double)cc_dctcp_alpha(cc) / CC_DCTCP_ONE;
}

static struct cc begin(void)
{
	struct cc cc;

	cc_start(&cc, &cc_dctcp, MSS, WINDOW, 0);
	cc.ssthresh = WINDOW / 2;
	return cc;
}

/* A window of data is acknowledged in two parts, of which the share that is marked came marked. */
static void window(struct cc *cc, uint32_t *una, double marked)
{
	uint32_t first = (uint32_t)(WINDOW * marked);
	uint32_t part[2] = { first, WINDOW - first };

	for (unsigned i = 0; i < 2; i++) {
		struct cc_ack a = { .now = 1, .acked = part[i], .delivered = part[i], .marked = i == 0 ? part[i] : 0, .in_flight = WINDOW };

		*una += part[i];
		a.snd_una = *una;
		a.snd_nxt = *una + WINDOW;
		if (part[i] > 0)
			cc->ops->on_ack(cc, &a);
	}
}

static void near(double got, double expected, double within)
{
	if (got - expected > within || expected - got > within)
		fail_msg("%.9f, expected %.9f", got, expected);
}

/* covers: 8257-3.3-alpha 8257-3.3-cut 8257-3.3-window */
static void alpha_and_the_cut_are_those_of_the_vectors(void **state)
{
	FILE *f = fopen(VECTORS "/dctcp_alpha.tsv", "r");
	char name[32], before[32] = "";
	double marked, alpha, left;
	struct cc cc = begin();
	unsigned n, rows = 0;
	uint32_t una = 0xfffe0000u;

	(void)state;
	assert_non_null(f);
	assert_int_equal(fscanf(f, "%*[^\n]\n"), 0);
	while (fscanf(f, "%31s %u %lf %lf %lf", name, &n, &marked, &alpha, &left) == 5) {
		if (strcmp(name, before) != 0) {
			struct cc_ack first = { .now = 1, .acked = 1, .delivered = 1, .marked = 1 };

			/* The first acknowledgment of all ends a window of its own, all of it marked here: alpha stays 1. */
			cc = begin();
			first.snd_una = una;
			first.snd_nxt = una + WINDOW;
			cc.ops->on_ack(&cc, &first);
			near(alpha_of(&cc), 1.0, 1e-4);
			strcpy(before, name);
		}
		window(&cc, &una, marked);
		near(alpha_of(&cc), alpha, 1e-4);
		struct cc cut = cc;
		cut.cwnd = WINDOW;
		cut.ops->on_congestion(&cut, 1, WINDOW, true);
		near(cut.cwnd / (double)MSS, left, 0.02);
		rows++;
	}
	fclose(f);
	assert_true(rows > 20);
}

/* covers: 8257-4.2-clamp */
static void alpha_stays_in_bounds_and_reaches_zero(void **state)
{
	struct cc cc = begin();
	uint32_t una = 5;

	(void)state;
	for (unsigned i = 0; i < 2000; i++) {
		window(&cc, &una, 1.0);
		assert_true(alpha_of(&cc) >= 0.9999 && alpha_of(&cc) <= 1.0);
	}
	for (unsigned i = 0; i < 400; i++)
		window(&cc, &una, 0);
	assert_true(alpha_of(&cc) == 0);
	cc.cwnd = WINDOW;
	cc.ops->on_congestion(&cc, 1, WINDOW, true);
	assert_int_equal(cc.cwnd, WINDOW);
}

/* covers: 8257-3.3-window */
static void alpha_moves_once_a_window_and_sacked_bytes_do_not_count(void **state)
{
	struct cc cc = begin();
	struct cc_ack a = { .now = 1, .acked = MSS, .delivered = MSS, .snd_una = 100, .snd_nxt = 100 + WINDOW };
	double before;

	(void)state;
	cc.ops->on_ack(&cc, &a);
	before = alpha_of(&cc);
	for (uint32_t done = MSS; done < WINDOW; done += MSS) {
		a.snd_una += MSS;
		cc.ops->on_ack(&cc, &a);
		assert_true(alpha_of(&cc) == before);
		struct cc_ack sacked = a;
		sacked.acked = 0;
		sacked.marked = sacked.delivered = 50 * MSS;
		cc.ops->on_ack(&cc, &sacked);
	}
	a.snd_una += MSS;
	cc.ops->on_ack(&cc, &a);
	near(alpha_of(&cc), before * 15 / 16, 1e-4);  /* nothing in order was marked */
}

/* covers: 8257-3.4-grow 8257-3.5-loss */
static void without_marks_and_after_losses_it_is_newreno(void **state)
{
	struct cc cc, reno;
	struct cc_ack a = { .now = 1, .acked = MSS, .delivered = MSS, .in_flight = WINDOW, .grow = true, .limited = true };

	(void)state;
	cc_start(&cc, &cc_dctcp, MSS, 10 * MSS, 0);
	cc_start(&reno, &cc_newreno, MSS, 10 * MSS, 0);
	for (unsigned i = 0; i < 3000; i++) {
		a.snd_una += MSS;
		a.snd_nxt = a.snd_una + WINDOW;
		cc.ops->on_ack(&cc, &a);
		reno.ops->on_ack(&reno, &a);
		if (i == 100 || i == 2000) {
			cc.ops->on_congestion(&cc, 1, cc.cwnd, false);
			reno.ops->on_congestion(&reno, 1, reno.cwnd, false);
		}
		if (i == 1000) {
			cc.ops->on_timeout(&cc, 1, cc.cwnd);
			reno.ops->on_timeout(&reno, 1, reno.cwnd);
			assert_int_equal(cc.cwnd, MSS);
		}
		assert_int_equal(cc.cwnd, reno.cwnd);
		assert_int_equal(cc.ssthresh, reno.ssthresh);
	}
}

/* RFC 8257 3.3: cwnd * (1 - alpha / 2), not the half that a loss costs, when ECE comes on a connection. */
static void an_echo_costs_a_connection_half_of_alpha(void **state)
{
	struct tcp_segment s = { .flags = SEG_SYN | SEG_ECE | SEG_CWR, .has = SEG_HAS_MSS, .mss = MSS };
	struct harness_host *h = harness_host_new(1, NULL, 0);
	struct harness_peer p = { .seq = 1000, .port = PEER_PORT, .window = 65535 };
	ep_id listener = harness_listen(h, OUR_PORT, 8), child;
	static uint8_t bytes[10 * MSS];
	struct tcp_conn *c;
	uint32_t before;

	(void)state;
	assert_int_equal(ep_set(h->stack, listener, EP_CONGESTION, EP_CC_DCTCP), 0);
	harness_send(h, &p, s);
	assert_true(harness_sent(h, &s));
	p.seq = 1001;
	p.ack = s.seq + 1;
	harness_send(h, &p, (struct tcp_segment){ .flags = SEG_ACK });
	assert_int_equal(ep_accept(h->stack, listener, &child, NULL), 0);
	c = harness_conn(h, child);
	for (unsigned i = 0; i < 40; i++) {
		assert_int_equal(ep_send(h->stack, child, bytes, sizeof(bytes)), sizeof(bytes));
		harness_turn(h);
		harness_pass(h, 10 * NSEC_PER_MSEC);
		p.ack += sizeof(bytes);
		harness_send(h, &p, (struct tcp_segment){ .flags = SEG_ACK });
	}
	while (harness_sent(h, &s))
		;
	assert_true(alpha_of(&c->cc) < 0.2);
	assert_int_equal(ep_send(h->stack, child, bytes, sizeof(bytes)), sizeof(bytes));
	harness_turn(h);
	before = c->cc.cwnd;
	harness_send(h, &p, (struct tcp_segment){ .flags = SEG_ACK | SEG_ECE, .ack = p.ack + MSS });
	assert_int_equal(h->stack->counts[COUNT_TCP_ECN_REDUCED], 1);
	assert_in_range(c->ecn->target, before * 8 / 10, before - 1);
	harness_host_free(h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(alpha_and_the_cut_are_those_of_the_vectors),
		cmocka_unit_test(alpha_stays_in_bounds_and_reaches_zero),
		cmocka_unit_test(alpha_moves_once_a_window_and_sacked_bytes_do_not_count),
		cmocka_unit_test(an_echo_costs_a_connection_half_of_alpha),
		cmocka_unit_test(without_marks_and_after_losses_it_is_newreno),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
