/* SPDX-License-Identifier: BSD-3-Clause */
/* Each state against each kind of segment: the answer, the state that follows, the counter. RFC 9293 3.10.7.4 with
 * RFC 5961, as one table. */
#include "tests/harness.h"

#include <errno.h>
#include <string.h>

/* Offsets are from RCV.NXT and from SND.NXT of the stack. */
enum answer { NOTHING, AN_ACK, A_RESET };

struct row {
	const char *name;
	uint8_t flags;
	int32_t seq, ack;
	uint32_t len;
	enum answer answer;
	enum drop why;      /* 0 (ETH_SHORT): none */
	int after;          /* the state that follows; -1: the same */
};

static const struct row rows[] = {
	{ "reset at RCV.NXT", SEG_RST, 0, 0, 0, NOTHING, 0, TCP_CLOSED },
	{ "reset with payload", SEG_RST, 0, 0, 100, NOTHING, 0, TCP_CLOSED },
	{ "reset in the window", SEG_RST, 1, 0, 0, AN_ACK, DROP_TCP_RESET, -1 },
	{ "reset before the window", SEG_RST, -1, 0, 0, NOTHING, DROP_TCP_SEQUENCE, -1 },
	{ "reset beyond the window", SEG_RST, 1 << 20, 0, 0, NOTHING, DROP_TCP_SEQUENCE, -1 },
	{ "SYN in the window", SEG_SYN, 10, 0, 0, AN_ACK, DROP_TCP_SYN, -1 },
	{ "SYN outside of it", SEG_SYN, -1000, 0, 0, AN_ACK, DROP_TCP_SYN, -1 },
	{ "SYN-ACK again", SEG_SYN | SEG_ACK, -1, 0, 0, AN_ACK, DROP_TCP_SYN, -1 },
	{ "no ACK bit", 0, 0, 0, 10, NOTHING, DROP_TCP_NO_ACK, -1 },
	{ "ACK of the future", SEG_ACK, 0, 1, 0, AN_ACK, DROP_TCP_ACK, -1 },
	{ "ACK of the distant past", SEG_ACK, 0, -70000, 0, AN_ACK, DROP_TCP_ACK, -1 },
	{ "data before the window", SEG_ACK, -200, 0, 100, AN_ACK, DROP_TCP_SEQUENCE, -1 },
	{ "data beyond the window", SEG_ACK, 1 << 20, 0, 100, AN_ACK, DROP_TCP_SEQUENCE, -1 },
	{ "keep-alive", SEG_ACK, -1, 0, 0, AN_ACK, 0, -1 },
	{ "FIN with an ACK of the future", SEG_FIN | SEG_ACK, 0, 1, 0, AN_ACK, DROP_TCP_ACK, -1 },
	{ "FIN from outside of the window", SEG_FIN | SEG_ACK, -500, 0, 0, AN_ACK, DROP_TCP_SEQUENCE, -1 },
};

static const enum tcp_state states[] = {
	TCP_ESTABLISHED, TCP_FIN_WAIT_1, TCP_FIN_WAIT_2, TCP_CLOSE_WAIT, TCP_CLOSING, TCP_LAST_ACK,
};

/* A connection in that state whose program still holds it; the peer's numbers are RCV.NXT and SND.NXT, except that
 * an unacknowledged FIN stays so. */
static ep_id in_state(struct harness_host *h, struct harness_peer *p, enum tcp_state state)
{
	ep_id id = harness_accepted(h, p, 1460);
	bool peer_fin = state == TCP_CLOSE_WAIT || state == TCP_LAST_ACK;

	if (peer_fin) {
		harness_send(h, p, (struct tcp_segment){ .flags = SEG_FIN | SEG_ACK });
		p->seq++;
	}
	if (state != TCP_ESTABLISHED && state != TCP_CLOSE_WAIT)
		assert_int_equal(ep_shutdown(h->stack, id, EP_SHUT_WRITE), 0);
	harness_turn(h);
	if (state == TCP_CLOSING) {
		harness_send(h, p, (struct tcp_segment){ .flags = SEG_FIN | SEG_ACK });
		p->seq++;
	}
	if (state == TCP_FIN_WAIT_2) {
		p->ack++;
		harness_send(h, p, (struct tcp_segment){ .flags = SEG_ACK });
	}
	while (harness_sent(h, &(struct tcp_segment){ 0 }))
		;
	assert_int_equal(harness_state(h, id), state);
	return id;
}

static void check_row(enum tcp_state state, const struct row *row)
{
	struct harness_host *h = harness_host_new(1, NULL, 0);
	struct harness_peer p = { 0 };
	ep_id id = in_state(h, &p, state);
	struct tcp_conn *c = harness_conn(h, id);
	uint32_t rcv_nxt = c->rcv_nxt, snd_una = c->snd_una, snd_max = c->snd_max;
	enum tcp_state after = row->after < 0 ? state : (enum tcp_state)row->after;
	/* "The future" is what was never sent; all else acknowledges what the state leaves open. */
	uint32_t ack = row->ack > 0 ? snd_max + (uint32_t)row->ack : snd_una + (uint32_t)row->ack;
	struct tcp_segment s;

	harness_send(h, &p, (struct tcp_segment){ .flags = row->flags, .seq = rcv_nxt + (uint32_t)row->seq, .ack = ack,
						  .len = row->len });
	if (row->answer == AN_ACK) {
		if (!harness_sent(h, &s) || s.flags != SEG_ACK || s.seq != snd_max || s.ack != rcv_nxt || s.len != 0)
			fail_msg("state %d, %s: no right ACK", state, row->name);
	}
	if (harness_sent(h, &s))
		fail_msg("state %d, %s: answered with flags %02x", state, row->name, s.flags);
	if (harness_state(h, id) != after)
		fail_msg("state %d, %s: went to %d", state, row->name, harness_state(h, id));
	if (row->why && harness_drops(h, row->why) != 1)
		fail_msg("state %d, %s: not counted", state, row->name);
	if (after != TCP_CLOSED && (c->rcv_nxt != rcv_nxt || c->snd_una != snd_una))
		fail_msg("state %d, %s: changed the connection", state, row->name);
	harness_host_free(h);
}

static void each_state_meets_each_segment(void **state)
{
	(void)state;
	for (unsigned i = 0; i < sizeof(states) / sizeof(states[0]); i++)
		for (unsigned r = 0; r < sizeof(rows) / sizeof(rows[0]); r++)
			check_row(states[i], &rows[r]);
}

static void a_reset_is_told_as_the_state_has_it(void **state)
{
	static const int errors[] = { ECONNRESET, ECONNRESET, ECONNRESET, EPIPE, 0, 0 };

	(void)state;
	for (unsigned i = 0; i < 6; i++) {
		struct harness_host *h = harness_host_new(1, NULL, 0);
		struct harness_peer p = { 0 };
		ep_id id = in_state(h, &p, states[i]);

		harness_send(h, &p, (struct tcp_segment){ .flags = SEG_RST, .seq = harness_conn(h, id)->rcv_nxt });
		assert_true(ep_ready(h->stack, id) & EP_HANGUP);
		assert_int_equal(ep_take_error(h->stack, id), errors[i]);
		harness_host_free(h);
	}
}

static void challenges_are_rationed(void **state)
{
	struct harness_host *h = harness_host_new(1, NULL, 0);
	struct harness_peer p = { 0 };
	struct tcp_segment s;
	unsigned answers = 0;

	(void)state;
	harness_accepted(h, &p, 1460);
	for (unsigned i = 0; i < 1000; i++)
		harness_send(h, &p, (struct tcp_segment){ .flags = SEG_RST, .seq = p.seq + 10 });
	while (harness_sent(h, &s))
		answers++;
	assert_int_equal(answers, 10);
	harness_pass(h, 5 * NSEC_PER_SEC);
	harness_send(h, &p, (struct tcp_segment){ .flags = SEG_RST, .seq = p.seq + 10 });
	harness_expect(h, SEG_ACK);
	harness_host_free(h);
}

static void two_confused_peers_fall_silent(void **state)
{
	struct harness_host *h = harness_host_new(1, NULL, 0);
	struct harness_peer p = { 0 };
	struct tcp_segment s;
	unsigned answers = 0;

	(void)state;
	harness_accepted(h, &p, 1460);
	for (unsigned i = 0; i < 100; i++)
		harness_send(h, &p, (struct tcp_segment){ .flags = SEG_ACK, .seq = p.seq - 5000 });
	while (harness_sent(h, &s))
		answers++;
	assert_int_equal(answers, 1);
	/* Data is answered each time: its sender may be telling the truth (RFC 9293 3.10.7.4). And after a while so is the other. */
	for (unsigned i = 0; i < 3; i++) {
		harness_send(h, &p, (struct tcp_segment){ .flags = SEG_ACK, .seq = p.seq - 5000, .len = 10 });
		harness_expect(h, SEG_ACK);
	}
	harness_pass(h, NSEC_PER_SEC);
	harness_send(h, &p, (struct tcp_segment){ .flags = SEG_ACK, .seq = p.seq - 5000 });
	harness_expect(h, SEG_ACK);
	harness_host_free(h);
}

static void broken_segments_change_nothing(void **state)
{
	struct harness_host *h = harness_host_new(1, NULL, 0);
	struct harness_peer p = { 0 };
	ep_id id = harness_accepted(h, &p, 1460);
	uint8_t bytes[64];
	struct tcp_segment seg = { .source = p.port, .destination = OUR_PORT, .seq = p.seq, .ack = p.ack, .flags = SEG_ACK,
				   .window = 1000 };

	(void)state;
	segment_write(&seg, bytes);
	harness_send_raw(h, &p, bytes, 20); /* no checksum */
	assert_int_equal(harness_drops(h, DROP_TCP_CHECKSUM), 1);
	harness_send_raw(h, &p, bytes, 19);
	assert_int_equal(harness_drops(h, DROP_TCP_CHECKSUM) + harness_drops(h, DROP_TCP_SHORT), 2);
	harness_expect_none(h);
	assert_int_equal(harness_conn(h, id)->segments_received, 1);
	harness_host_free(h);
}

static void a_port_of_zero_is_refused(void **state)
{
	struct harness_host *h = harness_host_new(1, NULL, 0);
	struct harness_peer p = { .seq = 1, .port = 0, .window = 100 };

	(void)state;
	harness_listen(h, OUR_PORT, 4);
	harness_send(h, &p, (struct tcp_segment){ .flags = SEG_SYN });
	harness_expect_none(h);
	assert_int_equal(harness_drops(h, DROP_TCP_BROADCAST), 1);
	harness_host_free(h);
}

static void nobody_at_a_port_resets(void **state)
{
	static const struct {
		uint8_t flags;
		uint32_t len;
		uint8_t answer;
		uint32_t seq, ack;
	} cases[] = {
		{ SEG_ACK, 0, SEG_RST, 777, 0 },
		{ SEG_SYN, 0, SEG_RST | SEG_ACK, 0, 1001 },
		{ SEG_SYN | SEG_FIN, 5, SEG_RST | SEG_ACK, 0, 1007 },
		{ SEG_RST, 0, 0, 0, 0 },
	};

	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		struct harness_host *h = harness_host_new(1, NULL, 0);
		struct harness_peer p = { .seq = 1000, .port = 5000, .window = 100 };

		harness_send(h, &p, (struct tcp_segment){ .flags = cases[i].flags, .len = cases[i].len, .ack = 777 });
		if (cases[i].answer) {
			struct tcp_segment s = harness_expect(h, cases[i].answer);

			assert_true(s.seq == cases[i].seq && s.ack == cases[i].ack);
		}
		harness_expect_none(h);
		assert_int_equal(harness_drops(h, DROP_TCP_NO_SOCKET), 1);
		harness_host_free(h);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_state_meets_each_segment),
		cmocka_unit_test(a_reset_is_told_as_the_state_has_it),
		cmocka_unit_test(challenges_are_rationed),
		cmocka_unit_test(two_confused_peers_fall_silent),
		cmocka_unit_test(broken_segments_change_nothing),
		cmocka_unit_test(a_port_of_zero_is_refused),
		cmocka_unit_test(nobody_at_a_port_resets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
