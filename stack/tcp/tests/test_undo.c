/* SPDX-License-Identifier: BSD-3-Clause */
/* Which acknowledgment says that a recovery was needless (RFC 3522, 2883 with 3708, 5682), and which only seems to. */
#include "tests/harness.h"

#include <stdio.h>

#include "tcp/flight.h"

#define MSS 1000
#define RTT (100 * NSEC_PER_MSEC)

static uint8_t bytes[65536];

static struct harness_host *host(void)
{
	struct tcp_settings settings;

	tcp_settings_linux(&settings);
	settings.cc = "newreno";
	settings.mtu_probing = 0;
	return harness_host_new(1, &settings, 0);
}

/* An accepted connection with ten segments out of n; *tsval: theirs, if there are timestamps. */
static struct tcp_conn *sending(struct harness_host *h, struct harness_peer *p, uint8_t options, unsigned n, uint32_t *tsval)
{
	ep_id listener = harness_listen(h, OUR_PORT, 8), child;
	uint32_t size = n * (options & SEG_HAS_TS ? MSS - SEGMENT_TS_LEN : MSS);
	struct tcp_segment s;

	*p = (struct harness_peer){ .seq = 1000, .port = PEER_PORT, .window = 65535, .tsval = 100,
				    .timestamps = options & SEG_HAS_TS };
	harness_send(h, p, (struct tcp_segment){ .flags = SEG_SYN, .has = SEG_HAS_MSS | options, .mss = MSS, .tsval = 100 });
	s = harness_expect(h, SEG_SYN | SEG_ACK);
	p->seq = 1001;
	p->ack = s.seq + 1;
	harness_pass(h, RTT);
	harness_send(h, p, (struct tcp_segment){ .flags = SEG_ACK, .tsecr = s.tsval });
	assert_int_equal(ep_accept(h->stack, listener, &child, NULL), 0);
	assert_int_equal(ep_send(h->stack, child, bytes, size), (int)size);
	harness_turn(h);
	while (harness_sent(h, &s))
		*tsval = s.tsval;
	return harness_conn(h, child);
}

static const char *sent(struct harness_host *h, const struct harness_peer *p, uint32_t *tsval)
{
	static char text[4096];
	struct tcp_segment s;
	char *at = text;

	*at = 0;
	while (harness_sent(h, &s)) {
		*tsval = s.tsval;
		at += snprintf(at, sizeof(text) - (size_t)(at - text), "%s%d", at == text ? "" : " ", (int)(s.seq - p->ack) / MSS);
	}
	return text;
}

/* RFC 3522 3.2: the acknowledgment of what was sent again echoes an older timestamp: the original has arrived. That of the
 * retransmission itself says that it was needed. */
static void an_older_echo_undoes_a_fast_retransmit_and_its_own_does_not(void **state)
{
	(void)state;
	for (unsigned late = 0; late < 2; late++) {
		struct harness_host *h = host();
		struct harness_peer p;
		uint32_t first = 0, again = 0, before;
		struct tcp_conn *c = sending(h, &p, SEG_HAS_TS, 10, &first);

		before = c->cc.cwnd;
		harness_pass(h, RTT);
		p.tsval++;
		for (unsigned i = 0; i < 3; i++)
			harness_send(h, &p, (struct tcp_segment){ .flags = SEG_ACK, .tsecr = first });
		assert_string_equal(sent(h, &p, &again), "0");
		assert_int_equal(c->phase, LOSS_RECOVERY);
		assert_true(again != first);
		harness_pass(h, RTT / 10);
		harness_send(h, &p, (struct tcp_segment){ .flags = SEG_ACK, .ack = p.ack + 4 * MSS, .tsecr = late ? first : again });
		assert_int_equal(h->stack->counts[COUNT_TCP_UNDONE], late);
		assert_int_equal(c->phase, late ? LOSS_OPEN : LOSS_RECOVERY);
		assert_true(late ? c->cc.cwnd >= before : c->cc.cwnd < before);
		harness_host_free(h);
	}
}

/* RFC 3708 3.1: only duplicates of what this recovery sent again count, each once, and all of it must have come twice. */
static void duplicates_from_before_the_recovery_undo_nothing(void **state)
{
	static const struct {
		uint32_t start, end; /* of the D-SACK, in segments */
		bool undone;
	} rows[] = { { 0, 1, false }, { 1, 2, false }, { 2, 3, true }, { 2, 4, false } };

	(void)state;
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct harness_host *h = host();
		struct harness_peer p;
		uint32_t ts;
		struct tcp_conn *c = sending(h, &p, SEG_HAS_SACK_OK, 10, &ts);
		struct tcp_segment s = { .flags = SEG_ACK, .ack = p.ack + 2 * MSS, .sack_count = 1 };

		harness_pass(h, RTT);
		s.sack[0] = (struct sack_block){ p.ack + 3 * MSS, p.ack + 7 * MSS };
		harness_send(h, &p, s);
		assert_string_equal(sent(h, &p, &ts), "2");
		assert_int_equal(c->phase, LOSS_RECOVERY);
		harness_pass(h, RTT);
		s.ack = p.ack + 7 * MSS;
		s.sack[0] = (struct sack_block){ p.ack + rows[i].start * MSS, p.ack + rows[i].end * MSS };
		harness_send(h, &p, s);
		assert_int_equal(h->stack->counts[COUNT_TCP_UNDONE], rows[i].undone);
		harness_host_free(h);
	}
}

/* covers: 5682-2.1-step1 */
static void a_timeout_in_a_recovery_from_loss_is_no_question(void **state)
{
	struct harness_host *h = host();
	struct harness_peer p;
	uint32_t ts;
	struct tcp_conn *c = sending(h, &p, 0, 30, &ts);

	(void)state;
	harness_pass(h, c->rtt.rto + NSEC_PER_MSEC);
	assert_string_equal(sent(h, &p, &ts), "0");
	/* A duplicate: the loss is real (step 2a). The next timeout asks no more. */
	harness_send(h, &p, (struct tcp_segment){ .flags = SEG_ACK });
	assert_int_equal(c->flight->frto, FRTO_OFF);
	harness_pass(h, 2 * c->rtt.rto + NSEC_PER_MSEC);
	assert_string_equal(sent(h, &p, &ts), "0");
	harness_send(h, &p, (struct tcp_segment){ .flags = SEG_ACK, .ack = p.ack + MSS });
	assert_string_equal(sent(h, &p, &ts), "1 2");
	harness_host_free(h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_older_echo_undoes_a_fast_retransmit_and_its_own_does_not),
		cmocka_unit_test(duplicates_from_before_the_recovery_undo_nothing),
		cmocka_unit_test(a_timeout_in_a_recovery_from_loss_is_no_question),
	};

	return cmocka_run_group_tests_name("undo", tests, NULL, NULL);
}
