/* SPDX-License-Identifier: BSD-3-Clause */
/* connect(): SYN-SENT and what it hears, simultaneous open, giving up, ICMP. */
#include "tests/harness.h"

#include <errno.h>
#include <string.h>

static ep_id start(struct harness_host *h, struct harness_peer *p)
{
	struct ep_name peer = { harness_addr(9), PEER_PORT }, local = { h->addr, OUR_PORT };
	ep_id id;

	*p = (struct harness_peer){ .seq = 1000, .port = PEER_PORT, .window = 60000 };
	assert_int_equal(ep_open(h->stack, EP_STREAM, 1, NULL, &id), 0);
	assert_int_equal(ep_bind(h->stack, id, &local), 0);
	assert_int_equal(ep_connect(h->stack, id, &peer), -EINPROGRESS);
	assert_int_equal(ep_connect(h->stack, id, &peer), -EALREADY);
	harness_turn(h);
	p->ack = harness_expect(h, SEG_SYN).seq + 1;
	return id;
}

static void a_syn_carries_what_linux_has(void **state)
{
	struct harness_host *h = harness_host_new(1, NULL, 0);
	struct ep_name peer = { harness_addr(9), PEER_PORT };
	struct tcp_segment s;
	ep_id id;

	(void)state;
	assert_int_equal(ep_open(h->stack, EP_STREAM, 1, NULL, &id), 0);
	assert_int_equal(ep_connect(h->stack, id, &peer), -EINPROGRESS);
	harness_turn(h);
	s = harness_expect(h, SEG_SYN);
	assert_int_equal(s.has, SEG_HAS_MSS | SEG_HAS_SACK_OK | SEG_HAS_TS | SEG_HAS_SCALE);
	assert_true(s.mss == 1460 && s.tsecr == 0 && s.scale <= 14 && s.window >= 14600);
	harness_host_free(h);
}

static void what_is_heard_in_syn_sent(void **state)
{
	static const struct {
		uint8_t flags;
		int32_t ack;
		uint8_t answer;
		enum tcp_state after;
	} cases[] = {
		{ SEG_SYN | SEG_ACK, 0, SEG_ACK, TCP_ESTABLISHED },
		{ SEG_SYN | SEG_ACK, 1, SEG_RST, TCP_SYN_SENT },
		{ SEG_SYN | SEG_ACK, -1, SEG_RST, TCP_SYN_SENT },
		{ SEG_ACK, 1, SEG_RST, TCP_SYN_SENT },
		{ SEG_ACK, 0, 0, TCP_SYN_SENT },
		{ SEG_RST | SEG_ACK, 0, 0, TCP_CLOSED },
		{ SEG_RST | SEG_ACK, 5, 0, TCP_SYN_SENT },
		{ SEG_RST, 0, 0, TCP_SYN_SENT },
		{ SEG_FIN, 0, 0, TCP_SYN_SENT },
		{ SEG_SYN, 0, SEG_SYN | SEG_ACK, TCP_SYN_RECEIVED },
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct harness_host *h = harness_host_new(1, NULL, 0);
		struct harness_peer p = { 0 };
		ep_id id = start(h, &p);

		harness_send(h, &p, (struct tcp_segment){ .flags = cases[i].flags, .ack = p.ack + (uint32_t)cases[i].ack });
		if (cases[i].answer)
			harness_expect(h, cases[i].answer);
		harness_expect_none(h);
		if (harness_state(h, id) != cases[i].after)
			fail_msg("case %u", i);
		if (cases[i].after == TCP_CLOSED)
			assert_int_equal(ep_take_error(h->stack, id), ECONNREFUSED);
		if (cases[i].after == TCP_SYN_SENT)
			assert_int_equal(harness_drops(h, DROP_TCP_SYN_SENT), 1);
		harness_host_free(h);
	}
}

/* RFC 9293 figure 8, and the ways it may end. */
static void a_simultaneous_open_connects(void **state)
{
	(void)state;
	for (unsigned variant = 0; variant < 2; variant++) {
		struct harness_host *h = harness_host_new(1, NULL, 0);
		struct harness_peer p = { 0 };
		ep_id id = start(h, &p);
		struct tcp_segment s;
		uint8_t buffer[4];

		harness_send(h, &p, (struct tcp_segment){ .flags = SEG_SYN, .has = SEG_HAS_MSS, .mss = 1460, .ack = 1 });
		s = harness_expect(h, SEG_SYN | SEG_ACK);
		assert_true(s.seq == p.ack - 1 && s.ack == 1001);
		if (variant == 0) { /* the peer's SYN-ACK */
			harness_send(h, &p, (struct tcp_segment){ .flags = SEG_SYN | SEG_ACK });
			assert_int_equal(harness_expect(h, SEG_ACK).ack, 1001);
		}
		p.seq = 1001;
		if (variant == 1)
			harness_send(h, &p, (struct tcp_segment){ .flags = SEG_ACK });
		assert_int_equal(harness_state(h, id), TCP_ESTABLISHED);
		harness_send(h, &p, (struct tcp_segment){ .flags = SEG_ACK, .len = 4 });
		assert_int_equal(ep_recv(h->stack, id, buffer, 4), 4);
		harness_host_free(h);
	}
}

static void a_reset_during_it_refuses(void **state)
{
	struct harness_host *h = harness_host_new(1, NULL, 0);
	struct harness_peer p = { 0 };
	ep_id id = start(h, &p);

	(void)state;
	harness_send(h, &p, (struct tcp_segment){ .flags = SEG_SYN, .ack = 1 });
	harness_expect(h, SEG_SYN | SEG_ACK);
	harness_send(h, &p, (struct tcp_segment){ .flags = SEG_RST, .seq = 1001 });
	assert_int_equal(ep_take_error(h->stack, id), ECONNREFUSED);
	harness_host_free(h);
}

static void data_on_a_syn_ack_arrives(void **state)
{
	struct harness_host *h = harness_host_new(1, NULL, 0);
	struct harness_peer p = { 0 };
	ep_id id = start(h, &p);
	uint8_t buffer[8];

	(void)state;
	harness_send(h, &p, (struct tcp_segment){ .flags = SEG_SYN | SEG_ACK, .len = 5 });
	assert_int_equal(harness_expect(h, SEG_ACK).ack, 1006);
	assert_int_equal(ep_recv(h->stack, id, buffer, 8), 5);
	harness_host_free(h);
}

static void an_unanswered_syn_is_repeated_then_given_up(void **state)
{
	struct harness_host *h = harness_host_new(1, NULL, 0);
	struct harness_peer p = { 0 };
	ep_id id = start(h, &p);
	nsec began = h->now, due[] = { 1, 3, 7, 15, 31, 63 };

	(void)state;
	for (unsigned i = 0; i < 6; i++) {
		harness_pass(h, began + due[i] * NSEC_PER_SEC - h->now - 1);
		harness_expect_none(h);
		harness_pass(h, 2);
		harness_expect(h, SEG_SYN);
	}
	harness_pass(h, began + 127 * NSEC_PER_SEC - h->now - 1);
	assert_int_equal(harness_state(h, id), TCP_SYN_SENT);
	harness_pass(h, 2);
	assert_int_equal(harness_state(h, id), TCP_CLOSED);
	assert_int_equal(ep_take_error(h->stack, id), ETIMEDOUT);
	harness_host_free(h);
}

static void the_standard_profile_tries_three_minutes(void **state)
{
	struct tcp_settings settings;
	struct harness_host *h;
	struct harness_peer p = { 0 };
	ep_id id;

	(void)state;
	tcp_settings_standard(&settings);
	h = harness_host_new(1, &settings, 0);
	id = start(h, &p);
	harness_pass(h, 180 * NSEC_PER_SEC);
	assert_int_equal(harness_state(h, id), TCP_SYN_SENT);
	harness_pass(h, 300 * NSEC_PER_SEC);
	assert_int_equal(harness_state(h, id), TCP_CLOSED);
	harness_host_free(h);
}

/* RFC 6298 5.7: a SYN that had to be repeated and gave no sample. */
static void a_repeated_syn_leaves_three_seconds(void **state)
{
	struct harness_host *h = harness_host_new(1, NULL, 0);
	struct harness_peer p = { 0 };
	ep_id id = start(h, &p);

	(void)state;
	harness_pass(h, 1500 * NSEC_PER_MSEC);
	harness_expect(h, SEG_SYN);
	harness_send(h, &p, (struct tcp_segment){ .flags = SEG_SYN | SEG_ACK });
	assert_int_equal(harness_conn(h, id)->rtt.rto, 3 * NSEC_PER_SEC);
	assert_int_equal(harness_conn(h, id)->backoff, 0);
	harness_host_free(h);
}

static struct icmp_error about(struct harness_host *h, const uint8_t *quoted, uint8_t code, bool hard)
{
	return (struct icmp_error){
		.key = { .local = h->addr, .remote = harness_addr(9), .local_port = OUR_PORT, .remote_port = PEER_PORT },
		.quoted = quoted, .quoted_len = 8, .error = hard ? ECONNREFUSED : EHOSTUNREACH, .hard = hard, .type = 3,
		.code = code,
	};
}

static void put_seq(uint8_t quoted[8], uint32_t seq)
{
	seq = __builtin_bswap32(seq);
	memset(quoted, 0, 8);
	memcpy(quoted + 4, &seq, 4);
}

static void a_hard_error_ends_only_what_is_not_open(void **state)
{
	struct harness_host *h = harness_host_new(1, NULL, 0);
	struct harness_peer p = { 0 };
	ep_id id = start(h, &p);
	uint8_t quoted[8];
	struct icmp_error e = about(h, quoted, 3, true);

	(void)state;
	put_seq(quoted, p.ack + 5); /* not in flight */
	tcp_icmp_error(h->stack, &e);
	assert_int_equal(harness_state(h, id), TCP_SYN_SENT);
	assert_int_equal(harness_drops(h, DROP_TCP_ICMP), 1);
	put_seq(quoted, p.ack - 1);
	tcp_icmp_error(h->stack, &e);
	assert_int_equal(harness_state(h, id), TCP_CLOSED);
	assert_int_equal(ep_take_error(h->stack, id), ECONNREFUSED);
	assert_int_equal(ep_close(h->stack, id), 0);

	id = harness_connected(h, &p, 1460);
	assert_int_equal(ep_send(h->stack, id, "x", 1), 1);
	harness_turn(h);
	put_seq(quoted, p.ack);
	tcp_icmp_error(h->stack, &e);
	assert_int_equal(harness_state(h, id), TCP_ESTABLISHED); /* RFC 5927 5.2 */
	harness_host_free(h);
}

/* RFC 5461: the linux profile does not go on with an attempt that somebody on the way says is in vain. */
static void a_soft_error_ends_an_attempt_or_names_its_timeout(void **state)
{
	struct tcp_settings patient;

	(void)state;
	tcp_settings_linux(&patient);
	patient.soft_errors_end_attempts = false;
	for (unsigned i = 0; i < 2; i++) {
		struct harness_host *h = harness_host_new(1, i ? &patient : NULL, 0);
		struct harness_peer p = { 0 };
		ep_id id = start(h, &p);
		uint8_t quoted[8];
		struct icmp_error e = about(h, quoted, 1, false);

		put_seq(quoted, p.ack - 1);
		tcp_icmp_error(h->stack, &e);
		assert_int_equal(harness_state(h, id), i ? TCP_SYN_SENT : TCP_CLOSED);
		if (i)
			harness_pass(h, 200 * NSEC_PER_SEC);
		assert_int_equal(ep_take_error(h->stack, id), EHOSTUNREACH);
		harness_host_free(h);
	}
}

static void a_smaller_path_mtu_makes_smaller_segments(void **state)
{
	struct harness_host *h = harness_host_new(1, NULL, 0);
	struct harness_peer p = { 0 };
	ep_id id = harness_connected(h, &p, 1460);
	static uint8_t bytes[3000];
	uint8_t quoted[8];
	struct icmp_error e = about(h, quoted, 4, false);
	struct tcp_segment s;

	(void)state;
	assert_int_equal(ep_send(h->stack, id, bytes, 2920), 2920);
	harness_turn(h);
	assert_int_equal(harness_expect(h, SEG_ACK).len, 1460);
	assert_int_equal(harness_expect(h, SEG_ACK | SEG_PSH).len, 1460);
	put_seq(quoted, p.ack);
	e.mtu = 1600; /* no decrease */
	tcp_icmp_error(h->stack, &e);
	harness_turn(h);
	harness_expect_none(h);
	e.mtu = 1000;
	tcp_icmp_error(h->stack, &e);
	harness_turn(h);
	s = harness_expect(h, SEG_ACK);
	assert_true(s.seq == p.ack && s.len == 960);
	assert_int_equal(harness_conn(h, id)->cc.cwnd, 10 * 960); /* as many segments */
	harness_host_free(h);
}

static void broadcasts_are_no_peers(void **state)
{
	struct harness_host *h = harness_host_new(1, NULL, 0);
	static const uint32_t to[] = { 0xffffffff, 0x0a0000ff, 0xe0000001 };
	ep_id id;

	(void)state;
	assert_int_equal(ep_open(h->stack, EP_STREAM, 1, NULL, &id), 0);
	for (unsigned i = 0; i < 3; i++) {
		struct ep_name peer = { ipaddr_from_ip4(__builtin_bswap32(to[i])), 80 };

		assert_int_equal(ep_connect(h->stack, id, &peer), -ENETUNREACH);
	}
	harness_turn(h);
	harness_expect_none(h);
	harness_host_free(h);
}

static void closing_an_attempt_forgets_it(void **state)
{
	struct harness_host *h = harness_host_new(1, NULL, 0);
	struct harness_peer p = { 0 };
	ep_id id = start(h, &p);

	(void)state;
	assert_int_equal(ep_close(h->stack, id), 0);
	harness_turn(h);
	harness_expect_none(h);
	harness_send(h, &p, (struct tcp_segment){ .flags = SEG_SYN | SEG_ACK });
	harness_expect(h, SEG_RST);
	harness_host_free(h);
}

static void a_failed_socket_may_try_again(void **state)
{
	struct harness_host *h = harness_host_new(1, NULL, 0);
	struct harness_peer p = { 0 };
	ep_id id = start(h, &p);
	struct ep_name peer = { harness_addr(9), PEER_PORT };

	(void)state;
	harness_send(h, &p, (struct tcp_segment){ .flags = SEG_RST | SEG_ACK });
	assert_int_equal(ep_take_error(h->stack, id), ECONNREFUSED);
	assert_int_equal(ep_connect(h->stack, id, &peer), -EINPROGRESS);
	harness_turn(h);
	harness_expect(h, SEG_SYN);
	harness_host_free(h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_syn_carries_what_linux_has),
		cmocka_unit_test(what_is_heard_in_syn_sent),
		cmocka_unit_test(a_simultaneous_open_connects),
		cmocka_unit_test(a_reset_during_it_refuses),
		cmocka_unit_test(data_on_a_syn_ack_arrives),
		cmocka_unit_test(an_unanswered_syn_is_repeated_then_given_up),
		cmocka_unit_test(the_standard_profile_tries_three_minutes),
		cmocka_unit_test(a_repeated_syn_leaves_three_seconds),
		cmocka_unit_test(a_hard_error_ends_only_what_is_not_open),
		cmocka_unit_test(a_soft_error_ends_an_attempt_or_names_its_timeout),
		cmocka_unit_test(a_smaller_path_mtu_makes_smaller_segments),
		cmocka_unit_test(broadcasts_are_no_peers),
		cmocka_unit_test(closing_an_attempt_forgets_it),
		cmocka_unit_test(a_failed_socket_may_try_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
