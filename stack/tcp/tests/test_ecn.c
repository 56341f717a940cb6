/* SPDX-License-Identifier: BSD-3-Clause */
/* RFC 3168 6.1.2 to 6.1.6 as both ends of a connection live by it: what the receiver echoes, by table; what the sender does with the
 * echo, once a window; which of its segments carry ECT and CWR. The handshakes are in test_ecn_open.c. */
#include "tests/harness.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "tcp/ecn.h"

#define MSS 1000
#define RTT (100 * NSEC_PER_MSEC)
#define WINDOW 10 /* segments: the initial window */

static uint8_t bytes[200 * MSS];

static struct harness_host *host_with(enum tcp_ecn setting, uint32_t flags)
{
	struct tcp_settings t;

	tcp_settings_linux(&t);
	t.ecn = setting;
	return harness_host_new(1, &t, flags);
}

/* An accepted connection with classic ECN and SACK, a round trip of RTT measured. */
static ep_id open_marked(struct harness_host *h, struct harness_peer *p, enum ep_congestion congestion)
{
	ep_id listener = harness_listen(h, OUR_PORT, 8), child;
	struct tcp_segment s;

	*p = (struct harness_peer){ .seq = 1000, .port = PEER_PORT, .window = 65535 };
	if (congestion)
		assert_int_equal(ep_set(h->stack, listener, EP_CONGESTION, congestion), 0);
	harness_send(h, p, (struct tcp_segment){ .flags = SEG_SYN | SEG_ECE | SEG_CWR, .has = SEG_HAS_MSS | SEG_HAS_SACK_OK, .mss = MSS });
	s = harness_expect(h, SEG_SYN | SEG_ACK | SEG_ECE);
	p->seq = 1001;
	p->ack = s.seq + 1;
	harness_pass(h, RTT);
	harness_send(h, p, (struct tcp_segment){ .flags = SEG_ACK });
	assert_int_equal(ep_accept(h->stack, listener, &child, NULL), 0);
	assert_int_equal(ep_close(h->stack, listener), 0);
	assert_non_null(harness_conn(h, child)->ecn);
	return child;
}

/* A segment of data in order. */
static void data(struct harness_host *h, struct harness_peer *p, enum ecn_field field, uint8_t flags)
{
	harness_send(h, p, (struct tcp_segment){ .flags = SEG_ACK | flags, .len = MSS, .ecn = (uint8_t)field });
	p->seq += MSS;
}

/* ACK of so many segments from p->ack, with ECE or without. */
static void ack(struct harness_host *h, const struct harness_peer *p, uint32_t segments, uint8_t flags)
{
	harness_send(h, p, (struct tcp_segment){ .flags = SEG_ACK | flags, .ack = p->ack + segments * MSS });
}

/* What was sent since, a word a segment: its number from p->ack, C: CWR, E: ECE, e: ECT(0), !: any other ECN field. */
static const char *sent(struct harness_host *h, const struct harness_peer *p)
{
	static char text[4096];
	struct tcp_segment s;
	char *at = text;

	*at = 0;
	while (harness_sent(h, &s))
		at += snprintf(at, sizeof(text) - (size_t)(at - text), "%s%d%s%s%s", at == text ? "" : " ", (int)(s.seq - p->ack) / MSS,
			s.flags & SEG_CWR ? "C" : "", s.flags & SEG_ECE ? "E" : "", s.ecn == ECN_ECT_0 ? "e" : s.ecn ? "!" : "");
	return text;
}

static void send_segments(struct harness_host *h, ep_id id, unsigned n)
{
	assert_int_equal(ep_send(h->stack, id, bytes, n * MSS), (int)(n * MSS));
	harness_turn(h);
}

/* ---- receiver ---- */

/* covers: 3168-6.1.3-echo 3168-6.1.3-cwrstop */
static void a_mark_is_echoed_from_then_on_until_cwr(void **state)
{
	static const struct {
		enum ecn_field field;
		bool cwr, echo;
	} rows[] = {
		{ ECN_ECT_0, false, false },
		{ ECN_ECT_1, false, false },
		{ ECN_CE, false, true },
		{ ECN_ECT_0, false, true },
		{ ECN_NOT_ECT, false, true },
		{ ECN_ECT_0, true, false },
		{ ECN_ECT_0, false, false },
		{ ECN_CE, true, true },      /* "If the data packet with CWR set has itself CE, the echo goes on" */
		{ ECN_CE, false, true },
		{ ECN_ECT_0, false, true },
		{ ECN_CE, true, true },
		{ ECN_NOT_ECT, true, false },
		{ ECN_ECT_0, true, false },
	};
	struct harness_host *h = host_with(TCP_ECN_PASSIVE, 0);
	struct harness_peer p;
	struct tcp_segment s;

	(void)state;
	open_marked(h, &p, 0);
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		data(h, &p, rows[i].field, rows[i].cwr ? SEG_CWR : 0);
		harness_pass(h, NSEC_PER_SEC / 2);
		assert_true(harness_sent(h, &s));
		assert_int_equal(s.flags, SEG_ACK | (rows[i].echo ? SEG_ECE : 0));
		assert_int_equal(s.ecn, ECN_NOT_ECT);
		assert_int_equal(s.ack, p.seq);
		harness_expect_none(h);
	}
	harness_host_free(h);
}

/* covers: 3168-6.1.3-delack */
static void either_of_two_segments_marks_their_ack(void **state)
{
	(void)state;
	for (unsigned marked = 0; marked < 4; marked++) {
		struct harness_host *h = host_with(TCP_ECN_PASSIVE, 0);
		struct harness_peer p;
		struct tcp_segment s;
		bool echo = false;

		open_marked(h, &p, 0);
		data(h, &p, marked & 1 ? ECN_CE : ECN_ECT_0, 0);
		data(h, &p, marked & 2 ? ECN_CE : ECN_ECT_0, 0);
		harness_pass(h, NSEC_PER_SEC / 2);
		while (harness_sent(h, &s))
			echo = s.flags & SEG_ECE;
		assert_int_equal(echo, marked != 0);
		harness_host_free(h);
	}
}

/* covers: 3168-6.1.5-oow */
static void marks_on_what_is_no_new_data_are_not_echoed(void **state)
{
	static const struct {
		int32_t offset;
		uint32_t len;
	} rows[] = {
		{ 0, 0 },            /* 6.1.4: a pure ACK */
		{ -1, 1 },           /* what was had already: a keep-alive of the kind that carries a byte */
		{ -MSS, MSS },
		{ 1 << 24, MSS },    /* beyond the window */
	};
	(void)state;
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct harness_host *h = host_with(TCP_ECN_PASSIVE, 0);
		struct harness_peer p;
		struct tcp_segment s = { .flags = SEG_ACK, .len = rows[i].len, .ecn = ECN_CE };

		open_marked(h, &p, 0);
		data(h, &p, ECN_ECT_0, 0);
		s.seq = p.seq + (uint32_t)rows[i].offset;
		harness_send(h, &p, s);
		data(h, &p, ECN_ECT_0, 0);
		harness_pass(h, NSEC_PER_SEC / 2);
		while (harness_sent(h, &s))
			assert_false(s.flags & SEG_ECE);
		assert_int_equal(s.ack, p.seq);
		harness_host_free(h);
	}
}

/* covers: 3168-6.1.3-echo */
static void our_own_data_carries_the_echo_too(void **state)
{
	struct harness_host *h = host_with(TCP_ECN_PASSIVE, 0);
	struct harness_peer p;
	ep_id id = open_marked(h, &p, 0);

	(void)state;
	data(h, &p, ECN_CE, 0);
	assert_string_equal(sent(h, &p), "0E");
	send_segments(h, id, 2);
	assert_string_equal(sent(h, &p), "0Ee 1Ee");
	p.ack += 2 * MSS;
	data(h, &p, ECN_ECT_0, SEG_CWR);
	sent(h, &p);
	send_segments(h, id, 1);
	assert_string_equal(sent(h, &p), "0e");
	harness_host_free(h);
}

/* RFC 8257 3.2: ECE of an ACK is what the data was that it acknowledges, whatever CWR says; before a change the ACK that is owed. */
static void with_dctcp_each_ack_says_how_its_own_data_came(void **state)
{
	static const struct {
		enum ecn_field field;
		uint8_t flags;
		const char *acks;
	} rows[] = {
		{ ECN_CE, 0, "E" },             /* a change: at once (nothing is owed) */
		{ ECN_ECT_0, 0, "-" },          /* a change again */
		{ ECN_CE, SEG_CWR, "E" },       /* CWR ends nothing here */
		{ ECN_ECT_0, 0, "-" },
	};
	struct harness_host *h = host_with(TCP_ECN_PASSIVE, 0);
	struct harness_peer p;
	struct tcp_segment s;
	ep_id id = open_marked(h, &p, EP_CC_DCTCP);

	(void)state;
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char acks[8] = "", *at = acks;

		data(h, &p, rows[i].field, rows[i].flags);
		while (harness_sent(h, &s) && at < acks + 7)
			*at++ = s.flags & SEG_ECE ? 'E' : '-';
		assert_string_equal(acks, rows[i].acks);
	}
	/* Not marked, its ACK waits; then a mark: the first is acknowledged without ECE before the second with. */
	harness_conn(h, id)->quickacks = 0;
	data(h, &p, ECN_ECT_0, 0);
	harness_expect_none(h);
	data(h, &p, ECN_CE, 0);
	s = harness_expect(h, SEG_ACK);
	assert_int_equal(s.ack, p.seq - MSS);
	s = harness_expect(h, SEG_ACK | SEG_ECE);
	assert_int_equal(s.ack, p.seq);
	harness_expect_none(h);
	harness_host_free(h);
}

/* ---- sender ---- */

/* covers: 3168-6.1.2-ect0 3168-6.1.2-react 3168-6.1.2-once 3168-6.1.2-noinc 3168-6.1.2-cwr */
static void an_echo_reduces_once_what_was_out_and_says_so_on_the_first_new_data(void **state)
{
	struct harness_host *h = host_with(TCP_ECN_PASSIVE, 0);
	struct harness_peer p;
	ep_id id = open_marked(h, &p, EP_CC_NEWRENO);
	struct tcp_conn *c = harness_conn(h, id);
	char all[512] = "";

	(void)state;
	send_segments(h, id, 60);
	assert_string_equal(sent(h, &p), "0e 1e 2e 3e 4e 5e 6e 7e 8e 9e");
	harness_pass(h, RTT);
	for (unsigned n = 1; n <= WINDOW; n++) {
		ack(h, &p, n, SEG_ECE);
		strcat(strcat(all, " "), sent(h, &p));
		assert_int_equal(c->cc.ssthresh, WINDOW / 2 * MSS);
		assert_true(c->cc.cwnd <= WINDOW * MSS);
		assert_int_equal(c->phase, LOSS_OPEN);
	}
	/* Half of the window, one after two acknowledgments (RFC 9937); the ACK of exactly what was out then changes nothing. */
	assert_int_equal(c->cc.cwnd, WINDOW / 2 * MSS);
	assert_int_equal(h->stack->counts[COUNT_TCP_ECN_REDUCED], 1);
	assert_non_null(strstr(all, "10Ce"));
	assert_null(strstr(strstr(all, "10Ce") + 3, "C"));
	/* What was sent since is marked, too. */
	harness_pass(h, RTT);
	ack(h, &p, WINDOW + 1, SEG_ECE);
	assert_int_equal(h->stack->counts[COUNT_TCP_ECN_REDUCED], 2);
	assert_true(c->cc.ssthresh < WINDOW / 2 * MSS);
	assert_int_equal(c->retransmitted_total, 0);
	harness_host_free(h);
}

/* covers: 3168-6.1.2-noinc */
static void an_echo_that_asks_for_nothing_new_still_lets_nothing_grow(void **state)
{
	struct harness_host *h = host_with(TCP_ECN_PASSIVE, 0);
	struct harness_peer p;
	ep_id id = open_marked(h, &p, EP_CC_NEWRENO);
	struct tcp_conn *c = harness_conn(h, id);
	uint32_t before;

	(void)state;
	send_segments(h, id, 60);
	harness_pass(h, RTT);
	for (unsigned n = 1; n < WINDOW; n++)
		ack(h, &p, n, SEG_ECE);
	before = c->cc.cwnd;
	assert_false(c->ecn->reducing);
	ack(h, &p, WINDOW, SEG_ECE);
	assert_int_equal(c->cc.cwnd, before);
	assert_int_equal(h->stack->counts[COUNT_TCP_ECN_REDUCED], 1);
	harness_host_free(h);
}

/* Loss is found in a window that marks have reduced: no second reduction, so nothing that CWR could tell; it would end an echo that
 * nobody has answered. */
/* covers: 3168-6.1.2-order 3168-6.1.2-cwr 3168-6.1.5-retx */
static void a_loss_of_what_was_out_when_marks_reduced_it_neither_reduces_nor_says_cwr_again(void **state)
{
	struct harness_host *h = host_with(TCP_ECN_PASSIVE, 0);
	struct harness_peer p;
	ep_id id = open_marked(h, &p, EP_CC_NEWRENO);
	struct tcp_conn *c = harness_conn(h, id);
	struct tcp_segment s = { .flags = SEG_ACK, .sack_count = 1 };

	(void)state;
	send_segments(h, id, 60);
	sent(h, &p);
	harness_pass(h, RTT);
	ack(h, &p, 1, SEG_ECE);
	assert_string_equal(sent(h, &p), "10Ce");
	s.ack = p.ack + MSS;
	s.sack[0] = (struct sack_block){ p.ack + 2 * MSS, p.ack + 9 * MSS };
	harness_send(h, &p, s);
	assert_int_equal(c->phase, LOSS_RECOVERY);
	assert_int_equal(c->cc.ssthresh, WINDOW / 2 * MSS);
	assert_memory_equal(sent(h, &p), "1 11e", 5);
	/* What left after the reduction is of the next window: its marks ask for another one when the recovery is over. */
	harness_pass(h, RTT);
	ack(h, &p, 11, SEG_ECE);
	ack(h, &p, 12, SEG_ECE);
	ack(h, &p, 13, SEG_ECE);
	assert_int_equal(c->phase, LOSS_OPEN);
	assert_int_equal(h->stack->counts[COUNT_TCP_ECN_REDUCED], 2);
	harness_host_free(h);
}

/* RFC 3168 6.1.2: what left after the reduction is of the next window. Its loss is news, although nothing of it was acknowledged yet. */
static void a_loss_of_what_left_after_the_reduction_reduces_again(void **state)
{
	struct harness_host *h = host_with(TCP_ECN_PASSIVE, 0);
	struct harness_peer p;
	ep_id id = open_marked(h, &p, EP_CC_NEWRENO);
	struct tcp_conn *c = harness_conn(h, id);
	struct tcp_segment s = { .flags = SEG_ACK, .sack_count = 1 };

	(void)state;
	send_segments(h, id, 60);
	sent(h, &p);
	harness_pass(h, RTT);
	ack(h, &p, 1, SEG_ECE);
	ack(h, &p, WINDOW, 0);
	assert_int_equal(c->snd_una, c->ecn->until);
	sent(h, &p);
	harness_pass(h, RTT);
	assert_int_equal(c->cc.ssthresh, WINDOW / 2 * MSS);
	s.ack = p.ack + WINDOW * MSS;
	s.sack[0] = (struct sack_block){ s.ack + MSS, s.ack + 4 * MSS };
	harness_send(h, &p, s);
	assert_int_equal(c->phase, LOSS_RECOVERY);
	assert_true(c->cc.ssthresh < WINDOW / 2 * MSS);
	harness_host_free(h);
}

/* covers: 3168-6.1.2-cwrretx 3168-6.1.5-retx 3168-6.1.2-cwr */
static void what_is_sent_again_has_neither_ect_nor_cwr_and_the_next_new_segment_both(void **state)
{
	struct harness_host *h = host_with(TCP_ECN_PASSIVE, 0);
	struct harness_peer p;
	ep_id id = open_marked(h, &p, EP_CC_NEWRENO);
	struct tcp_conn *c = harness_conn(h, id);
	struct tcp_segment s = { .flags = SEG_ACK, .sack_count = 1 };

	(void)state;
	send_segments(h, id, 60);
	sent(h, &p);
	harness_pass(h, RTT);
	s.ack = p.ack;
	s.sack[0] = (struct sack_block){ p.ack + MSS, p.ack + 4 * MSS };
	harness_send(h, &p, s);
	assert_int_equal(c->phase, LOSS_RECOVERY);
	assert_int_equal(c->cc.ssthresh, WINDOW / 2 * MSS);
	assert_string_equal(sent(h, &p), "0 10Ce");
	ack(h, &p, WINDOW, 0);
	assert_memory_equal(sent(h, &p), "11e 12e", 7);
	harness_host_free(h);
}

/* covers: 3168-6.1.2-cwr 3168-6.1.5-retx */
static void after_a_timeout_too_new_data_says_that_the_window_was_reduced(void **state)
{
	struct harness_host *h = host_with(TCP_ECN_PASSIVE, 0);
	struct harness_peer p;
	ep_id id = open_marked(h, &p, EP_CC_NEWRENO);

	(void)state;
	send_segments(h, id, 1);
	assert_string_equal(sent(h, &p), "0e");
	harness_pass(h, NSEC_PER_SEC);
	assert_in_range(h->stack->counts[COUNT_TCP_TIMEOUTS], 1, 2);
	for (const char *all = sent(h, &p); *all; all++)
		assert_true(*all == '0' || *all == ' ');
	ack(h, &p, 1, 0);
	p.ack += MSS;
	send_segments(h, id, 1);
	assert_string_equal(sent(h, &p), "0Ce");
	ack(h, &p, 1, 0);
	p.ack += MSS;
	send_segments(h, id, 1);
	assert_string_equal(sent(h, &p), "0e");
	harness_host_free(h);
}

/* RFC 3168 6.1.2: CWR tells of a reduction. One for a loss that was none is taken back, and marks of that window have no answer yet; one
 * for marks stays. */
static void what_was_needless_takes_back_its_own_cwr_and_no_other(void **state)
{
	(void)state;
	for (unsigned marks = 0; marks < 3; marks++) {
		struct harness_host *h = host_with(TCP_ECN_PASSIVE, 0);
		struct harness_peer p;
		ep_id id = open_marked(h, &p, EP_CC_NEWRENO);
		struct tcp_conn *c = harness_conn(h, id);

		c->cc.cwnd = 4 * MSS;
		send_segments(h, id, 10);
		assert_string_equal(sent(h, &p), "0e 1e 2e 3e");
		harness_pass(h, RTT);
		if (marks) {
			ack(h, &p, 3, SEG_ECE);
			c->ecn->cwr = true;   /* as if nothing new had gone */
			sent(h, &p);
		}
		if (marks != 1)
			ecn_reduced(c);
		ecn_undone(c);
		assert_int_equal(c->ecn->cwr, marks > 0);
		ack(h, &p, 4, SEG_ECE);
		assert_int_equal(h->stack->counts[COUNT_TCP_ECN_REDUCED], 1);
		harness_host_free(h);
	}
}

/* covers: 3168-6.1.6-probe 3168-6.1.4-pureack */
static void probes_of_a_closed_window_and_acknowledgments_are_plain(void **state)
{
	struct harness_host *h = host_with(TCP_ECN_PASSIVE, 0);
	struct harness_peer p;
	struct tcp_segment s;
	ep_id id = open_marked(h, &p, EP_CC_NEWRENO);
	unsigned probes = 0;

	(void)state;
	send_segments(h, id, 2);
	sent(h, &p);
	p.ack += 2 * MSS;
	p.window = 0;
	harness_send(h, &p, (struct tcp_segment){ .flags = SEG_ACK | SEG_ECE });   /* and CWR is due */
	assert_int_equal(ep_send(h->stack, id, bytes, MSS), MSS);
	harness_pass(h, 20 * NSEC_PER_SEC);
	assert_true(harness_conn(h, id)->ecn->cwr);
	while (harness_sent(h, &s)) {
		assert_int_equal(s.ecn, ECN_NOT_ECT);
		assert_false(s.flags & SEG_CWR);
		probes++;
	}
	assert_true(probes > 2);
	harness_host_free(h);
}

/* RFC 3168 6.1.2, and what a device does to CWR that cuts super-frames: the segment with it goes alone. */
static void cwr_goes_alone_where_super_frames_do(void **state)
{
	struct harness_host *h = host_with(TCP_ECN_PASSIVE, LINK_TSO);
	struct harness_peer p;
	struct tcp_segment s;
	ep_id id = open_marked(h, &p, EP_CC_NEWRENO);
	unsigned with = 0, super = 0;

	(void)state;
	send_segments(h, id, 60);
	sent(h, &p);
	harness_pass(h, RTT);
	ack(h, &p, WINDOW, SEG_ECE);
	while (harness_sent(h, &s)) {
		with += (s.flags & SEG_CWR) != 0;
		super += s.len > MSS;
		if (s.flags & SEG_CWR)
			assert_int_equal(s.len, MSS);
	}
	assert_int_equal(with, 1);
	assert_true(super > 0);
	harness_host_free(h);
}

/* covers: 3168-6.1.2-one */
static void with_one_segment_the_next_waits_for_the_timer(void **state)
{
	struct harness_host *h = host_with(TCP_ECN_PASSIVE, 0);
	struct harness_peer p;
	ep_id id = open_marked(h, &p, EP_CC_NEWRENO);
	struct tcp_conn *c = harness_conn(h, id);
	nsec rto;

	(void)state;
	c->cc.cwnd = MSS;
	send_segments(h, id, 3);
	assert_string_equal(sent(h, &p), "0e");
	harness_pass(h, RTT);
	ack(h, &p, 1, SEG_ECE);
	rto = c->rtt.rto;
	assert_true(rto > 10 * NSEC_PER_MSEC);
	harness_pass(h, rto - NSEC_PER_MSEC);
	assert_string_equal(sent(h, &p), "");
	harness_pass(h, 2 * NSEC_PER_MSEC);
	assert_string_equal(sent(h, &p), "1Ce");
	assert_int_equal(h->stack->counts[COUNT_TCP_TIMEOUTS], 0);
	harness_host_free(h);
}

/* ---- a SYN that was lost ---- */

/* covers: 3168-6.1.1-fallback 3168-6.1.1-noect */
static void after_a_lost_syn_there_is_no_ecn_whatever_the_answer_says(void **state)
{
	(void)state;
	for (unsigned answer = 0; answer < 2; answer++) {
		struct harness_host *h = host_with(TCP_ECN_REQUEST, 0);
		struct harness_peer p = { .seq = 1000, .port = PEER_PORT, .window = 65535 };
		struct ep_name peer = { harness_addr(9), PEER_PORT };
		struct tcp_segment s;
		ep_id id;

		assert_int_equal(ep_open(h->stack, EP_STREAM, 1, NULL, &id), 0);
		assert_int_equal(ep_connect(h->stack, id, &peer), -EINPROGRESS);
		harness_turn(h);
		harness_expect(h, SEG_SYN | SEG_ECE | SEG_CWR);
		harness_pass(h, NSEC_PER_SEC);
		s = harness_expect(h, SEG_SYN);
		p.ack = s.seq + 1;
		harness_send(h, &p, (struct tcp_segment){ .destination = s.source, .flags = SEG_SYN | SEG_ACK | (answer ? SEG_ECE : 0) });
		harness_expect(h, SEG_ACK);
		assert_null(harness_conn(h, id)->ecn);
		assert_int_equal(ep_send(h->stack, id, bytes, 100), 100);
		harness_turn(h);
		s = harness_expect(h, SEG_ACK | SEG_PSH);
		assert_int_equal(s.ecn, ECN_NOT_ECT);
		harness_host_free(h);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_mark_is_echoed_from_then_on_until_cwr),
		cmocka_unit_test(either_of_two_segments_marks_their_ack),
		cmocka_unit_test(marks_on_what_is_no_new_data_are_not_echoed),
		cmocka_unit_test(our_own_data_carries_the_echo_too),
		cmocka_unit_test(with_dctcp_each_ack_says_how_its_own_data_came),
		cmocka_unit_test(an_echo_reduces_once_what_was_out_and_says_so_on_the_first_new_data),
		cmocka_unit_test(an_echo_that_asks_for_nothing_new_still_lets_nothing_grow),
		cmocka_unit_test(a_loss_of_what_was_out_when_marks_reduced_it_neither_reduces_nor_says_cwr_again),
		cmocka_unit_test(a_loss_of_what_left_after_the_reduction_reduces_again),
		cmocka_unit_test(what_is_sent_again_has_neither_ect_nor_cwr_and_the_next_new_segment_both),
		cmocka_unit_test(after_a_timeout_too_new_data_says_that_the_window_was_reduced),
		cmocka_unit_test(what_was_needless_takes_back_its_own_cwr_and_no_other),
		cmocka_unit_test(probes_of_a_closed_window_and_acknowledgments_are_plain),
		cmocka_unit_test(cwr_goes_alone_where_super_frames_do),
		cmocka_unit_test(with_one_segment_the_next_waits_for_the_timer),
		cmocka_unit_test(after_a_lost_syn_there_is_no_ecn_whatever_the_answer_says),
	};

	return cmocka_run_group_tests_name("ecn", tests, NULL, NULL);
}
