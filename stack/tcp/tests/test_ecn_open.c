/* SPDX-License-Identifier: BSD-3-Clause */
/* What SYN and SYN-ACK make of each other: table 2 of RFC 9768 row by row, on both sides, for every setting. */
#include "tests/harness.h"

#include <errno.h>

#include "tcp/accecn.h"

#define CLASSIC 3u  /* AE 0, CWR 1, ECE 1 */

static struct harness_host *host_with(enum tcp_ecn setting)
{
	struct tcp_settings t;

	tcp_settings_linux(&t);
	t.ecn = setting;
	return harness_host_new(1, &t, 0);
}

/* The ACE field and mode with which a listener answers a SYN. */
static void answers(enum tcp_ecn setting, uint8_t offer, enum ecn_field field, uint8_t reply, bool option, enum ecn_mode mode)
{
	struct harness_host *h = host_with(setting);
	struct harness_peer p = { .seq = 1000, .port = PEER_PORT, .window = 65535 };
	struct tcp_segment syn = { .flags = SEG_SYN, .has = SEG_HAS_MSS, .mss = 1000, .ecn = (uint8_t)field }, s;
	ep_id listener = harness_listen(h, OUR_PORT, 8), child;
	const struct ecn *e;

	segment_set_ace(&syn, offer);
	harness_send(h, &p, syn);
	assert_true(harness_sent(h, &s));
	assert_int_equal(segment_ace(&s), reply);
	assert_int_equal(s.has & SEG_HAS_ACCECN, option ? SEG_HAS_ACCECN : 0);
	assert_int_equal(s.ecn, ECN_NOT_ECT);
	p.seq = 1001;
	p.ack = s.seq + 1;
	syn = (struct tcp_segment){ .flags = SEG_ACK };
	if (mode == ECN_ACCURATE)
		segment_set_ace(&syn, accecn_code(ECN_NOT_ECT));
	harness_send(h, &p, syn);
	assert_int_equal(ep_accept(h->stack, listener, &child, NULL), 0);
	e = harness_conn(h, child)->ecn;
	assert_int_equal(e ? e->mode : ECN_NONE, mode);
	harness_host_free(h);
}

/* covers: 9768-3.1.1-synack 9768-3.1.2-server 9768-3.1.3-fwd */
static void a_listener_with_accurate_feedback_answers_each_row_of_the_table(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		enum tcp_ecn setting = i ? TCP_ECN_ACCURATE : TCP_ECN_ACCURATE_PASSIVE;

		for (enum ecn_field f = ECN_NOT_ECT; f <= ECN_CE; f++)
			answers(setting, 7, f, accecn_code(f), true, ECN_ACCURATE);
		answers(setting, CLASSIC, ECN_NOT_ECT, 1, false, ECN_CLASSIC);
		answers(setting, 0, ECN_NOT_ECT, 0, false, ECN_NONE);
		/* 3.1.3: what means nothing yet is for those who come later, and understand this. */
		for (uint8_t ace = 1; ace < 7; ace++)
			if (ace != CLASSIC)
				answers(setting, ace, ECN_NOT_ECT, accecn_code(ECN_NOT_ECT), true, ECN_ACCURATE);
	}
}

static void a_listener_without_it_sees_two_bits_and_one_without_ecn_none(void **state)
{
	(void)state;
	for (uint8_t ace = 0; ace < 8; ace++) {
		bool both = (ace & CLASSIC) == CLASSIC;

		answers(TCP_ECN_PASSIVE, ace, ECN_NOT_ECT, both ? 1 : 0, false, both ? ECN_CLASSIC : ECN_NONE);
		answers(TCP_ECN_REQUEST, ace, ECN_NOT_ECT, both ? 1 : 0, false, both ? ECN_CLASSIC : ECN_NONE);
		answers(TCP_ECN_OFF, ace, ECN_NOT_ECT, 0, false, ECN_NONE);
	}
}

/* What a client that offers by this setting makes of a SYN-ACK. Returns the mode; *mute: it sets no ECT. */
static enum ecn_mode client(enum tcp_ecn setting, uint8_t offer, uint8_t reply, bool *mute)
{
	struct harness_host *h = host_with(setting);
	struct harness_peer p = { .seq = 1000, .port = PEER_PORT, .window = 65535 };
	struct ep_name peer = { harness_addr(9), PEER_PORT };
	struct tcp_segment s, answer = { .flags = SEG_SYN | SEG_ACK, .has = SEG_HAS_MSS, .mss = 1000 };
	enum ecn_mode mode;
	const struct ecn *e;
	ep_id id;

	assert_int_equal(ep_open(h->stack, EP_STREAM, 1, NULL, &id), 0);
	assert_int_equal(ep_connect(h->stack, id, &peer), -EINPROGRESS);
	harness_turn(h);
	assert_true(harness_sent(h, &s));
	assert_int_equal(segment_ace(&s), offer);
	assert_int_equal(s.ecn, ECN_NOT_ECT);
	p.ack = s.seq + 1;
	segment_set_ace(&answer, reply);
	answer.destination = s.source;
	harness_send(h, &p, answer);
	assert_int_equal(harness_state(h, id), TCP_ESTABLISHED);
	e = harness_conn(h, id)->ecn;
	mode = e ? (enum ecn_mode)e->mode : ECN_NONE;
	*mute = e && e->mute;
	while (harness_sent(h, &s))
		if (mode == ECN_ACCURATE)
			assert_int_equal(segment_ace(&s), accecn_code(ECN_NOT_ECT));   /* table 3: the SYN-ACK came with Not-ECT */
	harness_host_free(h);
	return mode;
}

/* covers: 9768-3.1.2-classic 9768-3.1.1-syn */
static void a_client_reads_each_answer_by_the_table(void **state)
{
	static const enum ecn_mode accurate[8] = { ECN_NONE, ECN_CLASSIC, ECN_ACCURATE, ECN_ACCURATE, ECN_ACCURATE, ECN_ACCURATE,
		ECN_ACCURATE, ECN_NONE };
	/* Our SYN left as Not-ECT: what says that it came otherwise says that the path changes the field (3.2.2.3). */
	static const bool muted[8] = { [3] = true, [4] = true, [6] = true };
	bool mute;

	(void)state;
	for (uint8_t ace = 0; ace < 8; ace++) {
		assert_int_equal(client(TCP_ECN_ACCURATE, 7, ace, &mute), accurate[ace]);
		assert_int_equal(mute, muted[ace]);
		assert_int_equal(client(TCP_ECN_PASSIVE, 0, ace, &mute), ECN_NONE);
		assert_int_equal(client(TCP_ECN_OFF, 0, ace, &mute), ECN_NONE);
	}
}

/* RFC 3168 6.1.1: ECE alone; both bits are those of a host that sends back what it gets. */
static void a_classic_client_wants_ece_alone(void **state)
{
	bool mute;

	(void)state;
	for (uint8_t ace = 0; ace < 4; ace++)
		assert_int_equal(client(TCP_ECN_REQUEST, CLASSIC, ace, &mute), ace == 1 ? ECN_CLASSIC : ECN_NONE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_listener_with_accurate_feedback_answers_each_row_of_the_table),
		cmocka_unit_test(a_listener_without_it_sees_two_bits_and_one_without_ecn_none),
		cmocka_unit_test(a_client_reads_each_answer_by_the_table),
		cmocka_unit_test(a_classic_client_wants_ece_alone),
	};

	return cmocka_run_group_tests_name("ecn_open", tests, NULL, NULL);
}
