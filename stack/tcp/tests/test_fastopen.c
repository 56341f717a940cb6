/* SPDX-License-Identifier: BSD-3-Clause */
/* A listener with Fast Open (RFC 7413): what a cookie lets in, how much, and what the handshake that goes on beside the connection still
 * decides. On the wire, and for clients, it is in conformance/tests/test_tcp_fastopen.py. */
#include "tests/harness.h"

#include <errno.h>

#include "tcp/accecn.h"

#define MSS 1000

static ep_id listener;

static struct harness_host *host_with(enum tcp_ecn ecn, unsigned limit)
{
	struct harness_host *h;
	struct tcp_settings t;

	tcp_settings_linux(&t);
	t.ecn = ecn;
	t.fastopen |= TCP_FASTOPEN_SERVER;
	h = harness_host_new(1, &t, 0);
	listener = harness_listen(h, OUR_PORT, 8);
	assert_int_equal(ep_set(h->stack, listener, EP_FASTOPEN, limit), 0);
	return h;
}

/* The cookie that a client gets who asks for one; its attempt is given up. */
static struct fastopen_cookie cookie_of(struct harness_host *h)
{
	struct harness_peer p = { .seq = 1000, .port = PEER_PORT, .window = 65535 };
	struct tcp_segment s;

	harness_send(h, &p, (struct tcp_segment){ .flags = SEG_SYN, .has = SEG_HAS_MSS | SEG_HAS_FASTOPEN, .mss = MSS });
	assert_true(harness_sent(h, &s));
	assert_int_equal(s.has & SEG_HAS_FASTOPEN, SEG_HAS_FASTOPEN);
	assert_int_equal(s.ack, 1001);
	p.seq++;
	harness_send(h, &p, (struct tcp_segment){ .flags = SEG_RST });
	return s.fastopen;
}

/* A SYN with a cookie and ten bytes from another port; returns how many bytes the SYN-ACK acknowledges. */
static uint32_t knock(struct harness_host *h, struct harness_peer *p, uint16_t port, const struct fastopen_cookie *cookie, uint8_t ace)
{
	struct tcp_segment s = { .flags = SEG_SYN, .has = SEG_HAS_MSS | SEG_HAS_FASTOPEN, .mss = MSS, .len = 10, .fastopen = *cookie };

	*p = (struct harness_peer){ .seq = 2000, .port = port, .window = 65535 };
	segment_set_ace(&s, ace);
	harness_send(h, p, s);
	assert_true(harness_sent(h, &s));
	assert_int_equal(s.flags & (SEG_SYN | SEG_ACK), SEG_SYN | SEG_ACK);
	assert_int_equal(segment_ace(&s), ace == ACCECN_SYN ? accecn_code(ECN_NOT_ECT) : 0);
	p->seq = s.ack;
	p->ack = s.seq + 1;
	return s.ack - 2001;
}

static void what_comes_with_a_cookie_is_there_at_once_and_else_not(void **state)
{
	struct harness_host *h = host_with(TCP_ECN_OFF, 8);
	struct fastopen_cookie cookie = cookie_of(h), wrong = cookie;
	struct harness_peer p;
	uint8_t got[32];
	ep_id id;

	(void)state;
	wrong.bytes[3] ^= 1;
	assert_int_equal(knock(h, &p, 5001, &wrong, 0), 0);
	assert_int_equal(ep_accept(h->stack, listener, &id, NULL), -EAGAIN);
	assert_int_equal(knock(h, &p, 5002, &cookie, 0), 10);
	assert_int_equal(ep_accept(h->stack, listener, &id, NULL), 0);
	assert_int_equal(ep_recv(h->stack, id, got, sizeof(got)), 10);
	/* An answer does not wait for the handshake (4.2.2). */
	assert_int_equal(ep_send(h->stack, id, "answer", 6), 6);
	harness_turn(h);
	assert_int_equal(harness_expect(h, SEG_ACK | SEG_PSH).len, 6);
	harness_host_free(h);
}

/* 5.1: PendingFastOpenRequests. One that was reset counts on; one whose handshake is over does not. */
static void so_many_may_be_unconfirmed_at_a_time(void **state)
{
	struct harness_host *h = host_with(TCP_ECN_OFF, 2);
	struct fastopen_cookie cookie = cookie_of(h);
	struct harness_peer first, second, p;

	(void)state;
	assert_int_equal(knock(h, &first, 5001, &cookie, 0), 10);
	assert_int_equal(knock(h, &second, 5002, &cookie, 0), 10);
	assert_int_equal(knock(h, &p, 5003, &cookie, 0), 0);
	harness_send(h, &first, (struct tcp_segment){ .flags = SEG_RST });
	assert_int_equal(knock(h, &p, 5004, &cookie, 0), 0);
	harness_send(h, &second, (struct tcp_segment){ .flags = SEG_ACK });
	assert_int_equal(knock(h, &p, 5005, &cookie, 0), 10);
	assert_int_equal(knock(h, &p, 5006, &cookie, 0), 0);
	harness_host_free(h);
}

/* RFC 9768 3.2.3.2.2: SYN-ACKs that are lost come without the option and then without any ECN bit. The client that answers such a one has no
 * ECN: marks on what we send it would be told to nobody. Its first ACK may carry data, and then its ACE field says nothing (3.2.2.1). */
static void a_child_whose_syn_ack_went_without_ecn_sends_no_ect(void **state)
{
	static const uint8_t bytes[100];

	(void)state;
	for (unsigned lost = 0; lost < 3; lost++) {
		struct harness_host *h = host_with(TCP_ECN_ACCURATE, 8);
		struct fastopen_cookie cookie = cookie_of(h);
		struct tcp_segment s = { 0 };
		struct harness_peer p;
		ep_id id;

		assert_int_equal(knock(h, &p, 5001, &cookie, ACCECN_SYN), 10);
		assert_int_equal(ep_accept(h->stack, listener, &id, NULL), 0);
		for (unsigned i = 0; i < lost; i++) {
			harness_pass(h, (NSEC_PER_SEC << i) + 10 * NSEC_PER_MSEC);
			assert_true(harness_sent(h, &s));
			assert_int_equal(segment_ace(&s), i == 0 ? accecn_code(ECN_NOT_ECT) : 0);
			assert_int_equal(s.has & SEG_HAS_ACCECN, 0);
		}
		s = (struct tcp_segment){ .flags = SEG_ACK, .len = 10, .ecn = ECN_ECT_0 };
		if (lost < 2)
			segment_set_ace(&s, accecn_code(ECN_NOT_ECT));
		harness_send(h, &p, s);
		while (harness_sent(h, &s))
			;
		assert_int_equal(ep_send(h->stack, id, bytes, sizeof(bytes)), sizeof(bytes));
		harness_turn(h);
		assert_true(harness_sent(h, &s));
		assert_int_equal(s.len, sizeof(bytes));
		assert_int_equal(s.ecn, lost < 2 ? ECN_ECT_0 : ECN_NOT_ECT);
		/* Where one without the option was needed there is none later. */
		assert_int_equal(harness_conn(h, id)->ecn->option_off, lost > 0);
		harness_host_free(h);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_comes_with_a_cookie_is_there_at_once_and_else_not),
		cmocka_unit_test(so_many_may_be_unconfirmed_at_a_time),
		cmocka_unit_test(a_child_whose_syn_ack_went_without_ecn_sends_no_ect),
	};

	return cmocka_run_group_tests_name("fastopen", tests, NULL, NULL);
}
