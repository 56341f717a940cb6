/* SPDX-License-Identifier: BSD-3-Clause */
/* The tables and counters of RFC 9768 on the structs alone, and what a connection makes of them; its handshakes and ACKs on the wire are in
 * conformance/tests/test_tcp_accecn.py. */
#include "tests/harness.h"

#include "tcp/accecn.h"
#include "tcp/segment.h"

static void each_field_has_a_code_and_only_those_say_one(void **state)
{
	static const uint8_t code[] = { [ECN_NOT_ECT] = 2, [ECN_ECT_1] = 3, [ECN_ECT_0] = 4, [ECN_CE] = 6 };

	(void)state;
	for (uint8_t ace = 0; ace < 8; ace++) {
		bool known = false;
		enum ecn_field said = ECN_NOT_ECT;

		for (unsigned f = 0; f < 4; f++)
			known = known || code[f] == ace;
		assert_int_equal(accecn_field_of(ace, &said), known);
		if (known)
			assert_int_equal(accecn_code(said), ace);
	}
}

/* 3.2.2.3: ECT may become CE or the other ECT nobody forbids as a sign of trouble; what was Not-ECT or CE stays. */
static void a_path_marks_what_is_ect_and_touches_nothing_else(void **state)
{
	static const bool may[4][4] = {
		[ECN_NOT_ECT] = { [ECN_NOT_ECT] = true },
		[ECN_ECT_1] = { [ECN_ECT_1] = true, [ECN_ECT_0] = true, [ECN_CE] = true },
		[ECN_ECT_0] = { [ECN_ECT_1] = true, [ECN_ECT_0] = true, [ECN_CE] = true },
		[ECN_CE] = { [ECN_CE] = true },
	};

	(void)state;
	for (unsigned sent = 0; sent < 4; sent++)
		for (unsigned came = 0; came < 4; came++)
			assert_int_equal(accecn_may_become(sent, came), may[sent][came]);
}

static void three_bits_are_the_least_or_where_they_may_have_wrapped_the_most_that_fits(void **state)
{
	static const struct {
		uint8_t ace;
		uint32_t cep, packets;
		int64_t ce_bytes;
		uint32_t more;
	} row[] = {
		{ 5, 5, 1, -1, 0 },                   /* nothing */
		{ 6, 5, 2, -1, 1 },
		{ 0, 5, 3, -1, 3 },                   /* over the end of three bits */
		{ 4, 5, 7, -1, 7 },
		{ 5, 5, 8, -1, 8 },                   /* eight may all have been marked */
		{ 6, 5, 8, -1, 1 },                   /* nine do not fit into eight */
		{ 6, 5, 20, -1, 17 },
		{ 6, 5, 20, 0, 1 },                   /* the option says that nothing was marked: an ACK was */
		{ 6, 5, 20, 17 * 1000, 17 },
		{ 6, 5, 20, 1 * 1000, 1 },
		{ 6, 5, 40, 10 * 1000, 9 },           /* far less than the most: what the bytes are worth, in steps of eight */
		{ 3, UINT32_C(0xfffffffe), 5, -1, 5 },  /* s.cep wraps, too */
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(row) / sizeof(row[0]); i++)
		assert_int_equal(accecn_more(row[i].ace, row[i].cep, row[i].packets, row[i].ce_bytes, 1000), row[i].more);
}

/* covers: 9768-3.2-bytes */
static void counters_start_by_the_table_and_grow_by_payload_of_their_field(void **state)
{
	struct ecn e = { 0 };

	(void)state;
	accecn_start(&e);
	assert_int_equal(e.cep, 5);
	assert_int_equal(e.bytes[ECN_CEB], 0);
	assert_int_equal(e.bytes[ECN_E0B], 1);
	assert_int_equal(e.bytes[ECN_E1B], 1);
	assert_false(accecn_count(&e, ECN_NOT_ECT, 100, 1));
	assert_false(e.option_due);
	assert_false(accecn_count(&e, ECN_ECT_0, 100, 1));
	assert_false(accecn_count(&e, ECN_ECT_1, 70, 1));
	assert_true(accecn_count(&e, ECN_CE, 50, 1));   /* the first mark after none: at once */
	assert_int_equal(e.bytes[ECN_E0B], 101);
	assert_int_equal(e.bytes[ECN_E1B], 71);
	assert_int_equal(e.bytes[ECN_CEB], 50);
	assert_int_equal(e.cep, 6);
	assert_true(e.option_due);
}

/* covers: 9768-3.2.2.5-incr */
static void two_marks_of_data_and_three_of_acknowledgments_do_not_wait(void **state)
{
	struct ecn e = { 0 };

	(void)state;
	accecn_start(&e);
	e.last_ce = true;
	assert_false(accecn_count(&e, ECN_CE, 10, 1));
	assert_true(accecn_count(&e, ECN_CE, 10, 1));
	/* Nor does the first mark after something else; the one behind it does. */
	e.unreported = 0;
	assert_false(accecn_count(&e, ECN_ECT_0, 10, 1));
	assert_true(accecn_count(&e, ECN_CE, 10, 1));
	e.unreported = 0;
	assert_false(accecn_count(&e, ECN_CE, 10, 1));
	e.unreported = 0;
	assert_false(accecn_count(&e, ECN_CE, 0, 1));
	assert_false(accecn_count(&e, ECN_CE, 0, 1));
	assert_true(accecn_count(&e, ECN_CE, 0, 1));
	e.unreported = 250;
	assert_true(accecn_count(&e, ECN_CE, 0, 10));
	assert_int_equal(e.unreported, 255);
}

static void an_option_has_the_fields_that_moved_the_most_important_first(void **state)
{
	struct tcp_segment s = { 0 };
	struct ecn e = { 0 };

	(void)state;
	accecn_start(&e);
	accecn_write_option(&e, &s);
	assert_int_equal(s.accecn_fields, 1);
	e.bytes[ECN_CEB] = UINT32_C(0x1000007);      /* 24 bits go out */
	accecn_write_option(&e, &s);
	assert_int_equal(s.accecn_fields, 2);
	assert_int_equal(s.accecn[0], 1);
	assert_int_equal(s.accecn[1], 7);
	e.bytes[ECN_E1B] = 9;
	accecn_write_option(&e, &s);
	assert_true(s.accecn_e1_first);
	assert_int_equal(s.accecn_fields, 2);        /* what was ECT(0) never moved, and comes last here */
	assert_int_equal(s.accecn[0], 9);
	e.bytes[ECN_E0B] = 3;
	accecn_write_option(&e, &s);
	assert_false(s.accecn_e1_first);
	assert_int_equal(s.accecn_fields, 3);
	assert_int_equal(s.accecn[2], 9);
	s.flags = SEG_SYN;
	accecn_start(&e);
	accecn_write_option(&e, &s);
	assert_int_equal(s.accecn_fields, 3);
}

/* A segment without the option has nothing else of it either: not even its order is looked at (it holds anything). */
static void a_segment_without_the_option_says_nothing(void **state)
{
	struct tcp_segment s;
	struct ecn e = { 0 };

	(void)state;
	accecn_start(&e);
	memset(&s, 0x5a, sizeof(s));
	s.has = 0;
	assert_int_equal(accecn_take_option(&e, &s), -1);
	assert_false(e.option_seen);
}

static void an_option_is_taken_over_and_an_older_one_moves_nothing_back(void **state)
{
	struct tcp_segment s = { .has = SEG_HAS_ACCECN, .accecn_fields = 3, .accecn = { 101, 50, 1 } };
	struct ecn e = { 0 };

	(void)state;
	accecn_start(&e);
	assert_int_equal(accecn_take_option(&e, &s), 50);
	assert_int_equal(e.peer_bytes[ECN_E0B], 101);
	s.accecn[1] = 40;
	assert_int_equal(accecn_take_option(&e, &s), 0);
	assert_int_equal(e.peer_bytes[ECN_CEB], 50);
	s.accecn_e1_first = true;
	s.accecn[0] = 7;
	s.accecn[1] = 60;
	s.accecn[2] = 102;
	assert_int_equal(accecn_take_option(&e, &s), 10);
	assert_int_equal(e.peer_bytes[ECN_E1B], 7);
	assert_int_equal(e.peer_bytes[ECN_E0B], 102);
	s.accecn_fields = 1;  /* the marks are left out, though they moved: nothing can be said */
	assert_int_equal(accecn_take_option(&e, &s), -1);
}

static void marks_that_are_left_out_and_never_moved_are_none(void **state)
{
	struct tcp_segment s = { .has = SEG_HAS_ACCECN, .accecn_fields = 1, .accecn = { 101 } };
	struct ecn e = { 0 };

	(void)state;
	accecn_start(&e);
	assert_int_equal(accecn_take_option(&e, &s), 0);
}

/* 3.2.3.2.4 */
static void an_option_that_begins_with_zero_was_written_by_the_path(void **state)
{
	struct tcp_segment s = { .has = SEG_HAS_ACCECN, .accecn_fields = 2, .accecn = { 0, 0 } };
	struct ecn e = { 0 };

	(void)state;
	accecn_start(&e);
	assert_int_equal(accecn_take_option(&e, &s), -1);
	assert_true(e.option_bad);
	s.accecn[0] = 100;
	s.accecn[1] = 100;
	assert_int_equal(accecn_take_option(&e, &s), -1);
}

#define MSS 1000

static uint8_t bytes[20 * MSS];

/* An accepted connection whose handshake ended with this ACE field; ten segments of data are out. */
static struct tcp_conn *open_accurate(struct harness_host **host, struct harness_peer *p, uint8_t options, uint8_t ace)
{
	struct tcp_segment s = { .flags = SEG_SYN, .has = SEG_HAS_MSS | options, .mss = MSS, .tsval = 100 };
	struct tcp_settings t;
	ep_id listener, child;

	tcp_settings_linux(&t);
	t.ecn = TCP_ECN_ACCURATE;
	*host = harness_host_new(1, &t, 0);
	listener = harness_listen(*host, OUR_PORT, 8);
	*p = (struct harness_peer){ .seq = 1000, .port = PEER_PORT, .window = 65535, .tsval = 100, .timestamps = options & SEG_HAS_TS };
	segment_set_ace(&s, ACCECN_SYN);
	harness_send(*host, p, s);
	assert_true(harness_sent(*host, &s));
	p->seq = 1001;
	p->ack = s.seq + 1;
	s = (struct tcp_segment){ .flags = SEG_ACK };
	segment_set_ace(&s, ace);
	harness_send(*host, p, s);
	assert_int_equal(ep_accept((*host)->stack, listener, &child, NULL), 0);
	assert_int_equal(ep_send((*host)->stack, child, bytes, sizeof(bytes)), sizeof(bytes));
	harness_turn(*host);
	while (harness_sent(*host, &s))
		;
	return harness_conn(*host, child);
}

/* covers: 9768-3.2.2.1-srv */
/* 3.2.2.1, table 4: what the ACK of the SYN-ACK says of how that arrived, which left as Not-ECT. */
static void the_ack_of_the_handshake_says_whether_the_path_can_be_trusted(void **state)
{
	static const struct {
		uint8_t ace;
		bool mute, deaf;
		uint32_t cep;
	} rows[] = { { 2, false, false, 5 }, { 3, true, false, 5 }, { 4, true, false, 5 }, { 6, true, false, 6 }, { 0, true, true, 5 } };

	(void)state;
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct harness_host *h;
		struct harness_peer p;
		const struct ecn *e = open_accurate(&h, &p, 0, rows[i].ace)->ecn;

		assert_int_equal(e->mute, rows[i].mute);
		assert_int_equal(e->deaf, rows[i].deaf);
		assert_int_equal(e->peer_cep, rows[i].cep);
		harness_host_free(h);
	}
}

/* 3.2.2.2, and RFC 3168 6.1.2: more marks than were known reduce the window, the same number again does not. */
static void a_count_that_grew_reduces_the_window_once(void **state)
{
	struct harness_host *h;
	struct harness_peer p;
	struct tcp_conn *c = open_accurate(&h, &p, 0, 2);
	struct tcp_segment s = { .flags = SEG_ACK, .ack = p.ack + MSS };

	(void)state;
	segment_set_ace(&s, 5);
	harness_send(h, &p, s);
	assert_int_equal(h->stack->counts[COUNT_TCP_ECN_REDUCED], 0);
	for (unsigned i = 2; i < 4; i++) {
		s.ack = p.ack + i * MSS;
		segment_set_ace(&s, 7);
		harness_send(h, &p, s);
		assert_int_equal(h->stack->counts[COUNT_TCP_ECN_REDUCED], 1);
		assert_int_equal(c->ecn->delivered_ce, 2);
	}
	harness_host_free(h);
}

/* covers: 9768-3.2.3.3-sack */
static void two_blocks_of_sack_come_before_an_option_that_leaves_them_no_room(void **state)
{
	(void)state;
	for (unsigned many = 0; many < 2; many++) {
		struct harness_host *h;
		struct harness_peer p;
		struct tcp_conn *c = open_accurate(&h, &p, SEG_HAS_SACK_OK | SEG_HAS_TS, 2);
		struct tcp_segment s;

		if (many)
			c->ecn->bytes[ECN_E1B]++;      /* all three counters have moved */
		for (unsigned i = 1; i <= 3; i++) {
			c->ecn->option_due = true;
			harness_send(h, &p, (struct tcp_segment){ .flags = SEG_ACK, .seq = p.seq + 2 * i * MSS, .len = MSS, .ecn = ECN_ECT_0 });
			assert_true(harness_sent(h, &s));
		}
		/* 40 less 12: either a short option and two blocks, or three blocks. */
		assert_int_equal(s.has & SEG_HAS_ACCECN, many ? 0 : SEG_HAS_ACCECN);
		assert_int_equal(s.sack_count, many ? 3 : 2);
		harness_host_free(h);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_field_has_a_code_and_only_those_say_one),
		cmocka_unit_test(a_path_marks_what_is_ect_and_touches_nothing_else),
		cmocka_unit_test(three_bits_are_the_least_or_where_they_may_have_wrapped_the_most_that_fits),
		cmocka_unit_test(counters_start_by_the_table_and_grow_by_payload_of_their_field),
		cmocka_unit_test(two_marks_of_data_and_three_of_acknowledgments_do_not_wait),
		cmocka_unit_test(an_option_has_the_fields_that_moved_the_most_important_first),
		cmocka_unit_test(a_segment_without_the_option_says_nothing),
		cmocka_unit_test(an_option_is_taken_over_and_an_older_one_moves_nothing_back),
		cmocka_unit_test(marks_that_are_left_out_and_never_moved_are_none),
		cmocka_unit_test(an_option_that_begins_with_zero_was_written_by_the_path),
		cmocka_unit_test(the_ack_of_the_handshake_says_whether_the_path_can_be_trusted),
		cmocka_unit_test(a_count_that_grew_reduces_the_window_once),
		cmocka_unit_test(two_blocks_of_sack_come_before_an_option_that_leaves_them_no_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
