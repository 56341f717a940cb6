/* SPDX-License-Identifier: BSD-3-Clause */
/* Listeners: the handshake from their side, the backlog, floods, what they refuse. */
#include "tests/harness.h"

#include <errno.h>
#include <string.h>

static struct harness_peer peer(uint16_t port)
{
	return (struct harness_peer){ .seq = 1000, .port = port, .window = 65535 };
}

/* SYN and what it draws; the peer knows the numbers then. */
static struct tcp_segment syn(struct harness_host *h, struct harness_peer *p)
{
	struct tcp_segment s;

	harness_send(h, p, (struct tcp_segment){ .flags = SEG_SYN, .has = SEG_HAS_MSS, .mss = 1460 });
	s = harness_expect(h, SEG_SYN | SEG_ACK);
	p->seq = 1001;
	p->ack = s.seq + 1;
	return s;
}

static uint32_t half_open(struct harness_host *h)
{
	struct stack_memory m;

	stack_memory(h->stack, &m);
	return m.half_open;
}

static void a_handshake_makes_a_child(void **state)
{
	struct harness_host *h = harness_host_new(1, NULL, 0);
	struct harness_peer p = peer(5000);
	ep_id l = harness_listen(h, OUR_PORT, 4), child;
	struct ep_name name;
	struct tcp_segment s;

	(void)state;
	s = syn(h, &p);
	assert_true(s.ack == 1001 && s.mss == 1460 && s.has == SEG_HAS_MSS);
	assert_int_equal(half_open(h), 1);
	assert_int_equal(ep_ready(h->stack, l), 0);
	harness_send(h, &p, (struct tcp_segment){ .flags = SEG_ACK });
	assert_int_equal(half_open(h), 0);
	assert_int_equal(ep_ready(h->stack, l), EP_READABLE);
	assert_int_equal(ep_accept(h->stack, l, &child, &name), 0);
	assert_int_equal(name.port, 5000);
	assert_int_equal(ep_accept(h->stack, l, &child, &name), -EAGAIN);
	harness_host_free(h);
}

static void data_with_the_last_ack_is_kept(void **state)
{
	struct harness_host *h = harness_host_new(1, NULL, 0);
	struct harness_peer p = peer(5000);
	ep_id l = harness_listen(h, OUR_PORT, 4), child;
	uint8_t buffer[8];

	(void)state;
	syn(h, &p);
	harness_send(h, &p, (struct tcp_segment){ .flags = SEG_ACK | SEG_FIN, .len = 3 });
	assert_int_equal(ep_accept(h->stack, l, &child, NULL), 0);
	assert_int_equal(ep_recv(h->stack, child, buffer, 8), 3);
	assert_int_equal(ep_recv(h->stack, child, buffer, 8), 0);
	assert_int_equal(harness_state(h, child), TCP_CLOSE_WAIT);
	harness_host_free(h);
}

/* RFC 9293 3.10.7.2 and the first steps of SYN-RECEIVED. */
static void what_a_listener_answers(void **state)
{
	static const struct {
		uint8_t flags, answer;
		enum drop why;
	} cases[] = {
		{ SEG_RST, 0, DROP_TCP_LISTEN_OTHER },
		{ SEG_RST | SEG_ACK, 0, DROP_TCP_LISTEN_OTHER },
		{ SEG_ACK, SEG_RST, DROP_TCP_LISTEN_ACK },
		{ SEG_SYN | SEG_ACK, SEG_RST, DROP_TCP_LISTEN_ACK },
		{ SEG_FIN, 0, DROP_TCP_LISTEN_OTHER },
		{ 0, 0, DROP_TCP_LISTEN_OTHER },
		{ SEG_URG, 0, DROP_TCP_LISTEN_OTHER },
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct harness_host *h = harness_host_new(1, NULL, 0);
		struct harness_peer p = peer(5000);

		harness_listen(h, OUR_PORT, 4);
		harness_send(h, &p, (struct tcp_segment){ .flags = cases[i].flags, .ack = 777 });
		if (cases[i].answer)
			assert_int_equal(harness_expect(h, cases[i].answer).seq, 777);
		harness_expect_none(h);
		assert_int_equal(harness_drops(h, cases[i].why), 1);
		assert_int_equal(half_open(h), 0);
		harness_host_free(h);
	}
}

static void what_a_half_open_connection_answers(void **state)
{
	static const struct {
		uint8_t flags;
		int32_t seq, ack;
		uint8_t answer; /* 0: none */
		enum drop why;
		uint32_t left;  /* half open afterwards */
	} cases[] = {
		{ SEG_SYN, -1, 0, SEG_SYN | SEG_ACK, DROP_TCP_SYN, 1 },      /* the SYN again */
		{ SEG_SYN, 50, 0, SEG_ACK, DROP_TCP_SYN, 1 },                /* another one */
		{ SEG_RST, 0, 0, 0, DROP_TCP_RESET, 0 },
		{ SEG_RST, 5, 0, SEG_ACK, DROP_TCP_RESET, 1 },
		{ SEG_RST, -5, 0, 0, DROP_TCP_RESET, 1 },
		{ SEG_ACK, 0, 1, SEG_RST, DROP_TCP_ACK, 1 },                 /* of nothing that we sent */
		{ SEG_ACK, 0, -1, SEG_RST, DROP_TCP_ACK, 1 },
		{ SEG_ACK, -50, 0, SEG_ACK, DROP_TCP_SEQUENCE, 1 },
		{ SEG_FIN, 0, 0, 0, DROP_TCP_NO_ACK, 1 },
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct harness_host *h = harness_host_new(1, NULL, 0);
		struct harness_peer p = peer(5000);
		uint32_t isn;

		harness_listen(h, OUR_PORT, 4);
		isn = syn(h, &p).seq;
		harness_send(h, &p, (struct tcp_segment){ .flags = cases[i].flags, .seq = 1001 + (uint32_t)cases[i].seq,
							  .ack = p.ack + (uint32_t)cases[i].ack });
		if (cases[i].answer) {
			struct tcp_segment s = harness_expect(h, cases[i].answer);

			if (cases[i].answer & SEG_SYN)
				assert_int_equal(s.seq, isn);
		}
		harness_expect_none(h);
		assert_int_equal(harness_drops(h, cases[i].why), 1);
		assert_int_equal(half_open(h), cases[i].left);
		harness_host_free(h);
	}
}

static void a_full_backlog_takes_no_more(void **state)
{
	struct harness_host *h = harness_host_new(1, NULL, 0);
	ep_id l = harness_listen(h, OUR_PORT, 1), child;

	(void)state;
	for (uint16_t i = 0; i < 2; i++) {
		struct harness_peer p = peer((uint16_t)(6000 + i));

		syn(h, &p);
		harness_send(h, &p, (struct tcp_segment){ .flags = SEG_ACK });
	}
	harness_send(h, &(struct harness_peer){ .seq = 1, .port = 7000 }, (struct tcp_segment){ .flags = SEG_SYN });
	harness_expect_none(h);
	assert_int_equal(harness_drops(h, DROP_TCP_BACKLOG), 1);
	assert_int_equal(ep_accept(h->stack, l, &child, NULL), 0);
	assert_int_equal(ep_close(h->stack, child), 0);
	harness_host_free(h);
}

static void an_ack_beyond_the_backlog_waits(void **state)
{
	struct harness_host *h = harness_host_new(1, NULL, 0);
	struct harness_peer a = peer(6000), b = peer(6001);
	ep_id l = harness_listen(h, OUR_PORT, 0), child;

	(void)state;
	syn(h, &a);
	syn(h, &b);
	harness_send(h, &a, (struct tcp_segment){ .flags = SEG_ACK });
	harness_send(h, &b, (struct tcp_segment){ .flags = SEG_ACK });
	assert_int_equal(harness_drops(h, DROP_TCP_BACKLOG), 1);
	assert_int_equal(half_open(h), 1);
	assert_int_equal(ep_accept(h->stack, l, &child, NULL), 0);
	harness_pass(h, 1100 * NSEC_PER_MSEC);
	harness_expect(h, SEG_SYN | SEG_ACK); /* comes again, and so does its ACK */
	harness_send(h, &b, (struct tcp_segment){ .flags = SEG_ACK });
	assert_int_equal(ep_accept(h->stack, l, &child, NULL), 0);
	harness_host_free(h);
}

static void syn_acks_are_repeated_and_given_up(void **state)
{
	struct harness_host *h = harness_host_new(1, NULL, 0);
	struct harness_peer p = peer(5000);
	nsec began = h->now, due[] = { 1, 3, 7, 15, 31 };

	(void)state;
	harness_listen(h, OUR_PORT, 4);
	syn(h, &p);
	for (unsigned i = 0; i < 5; i++) {
		harness_pass(h, began + due[i] * NSEC_PER_SEC - h->now - 1);
		harness_expect_none(h);
		harness_pass(h, 2);
		harness_expect(h, SEG_SYN | SEG_ACK);
	}
	assert_int_equal(half_open(h), 1);
	harness_pass(h, 40 * NSEC_PER_SEC);
	assert_int_equal(half_open(h), 0);
	harness_host_free(h);
}

/* 50,000 SYNs that nobody will ever confirm, and a client that answers within a hundred of them, where there are no cookies. */
static void a_flood_does_not_keep_a_client_out(void **state)
{
	struct tcp_settings settings;
	struct harness_host *h;
	struct harness_peer live = peer(5000), bogus;
	ep_id l, child;
	struct tcp_segment s;

	(void)state;
	tcp_settings_linux(&settings);
	settings.max_half_open = 128;
	settings.syn_cookies = TCP_COOKIES_OFF;
	h = harness_host_new(1, &settings, 0);
	l = harness_listen(h, OUR_PORT, 16);
	for (unsigned i = 0; i < 50000; i++) {
		bogus = peer((uint16_t)(10000 + i));
		bogus.seq = i;
		if (bogus.port == 5000 || bogus.port == 0)
			continue;
		if (i == 30000)
			syn(h, &live);
		if (i == 30100)
			harness_send(h, &live, (struct tcp_segment){ .flags = SEG_ACK });
		harness_send(h, &bogus, (struct tcp_segment){ .flags = SEG_SYN });
		while (harness_sent(h, &s))
			;
		assert_true(half_open(h) <= 128);
	}
	assert_int_equal(ep_accept(h->stack, l, &child, NULL), 0);
	assert_int_equal(harness_state(h, child), TCP_ESTABLISHED);
	assert_true(h->stack->counts[COUNT_TCP_HALF_OPEN_EVICTED] > 40000);
	harness_host_free(h);
}

static void a_deferred_accept_waits_for_data(void **state)
{
	struct harness_host *h = harness_host_new(1, NULL, 0);
	struct harness_peer p = peer(5000);
	ep_id l = harness_listen(h, OUR_PORT, 4), child;

	(void)state;
	assert_int_equal(ep_set(h->stack, l, EP_DEFER_ACCEPT, 10), 0);
	syn(h, &p);
	harness_send(h, &p, (struct tcp_segment){ .flags = SEG_ACK });
	assert_int_equal(ep_accept(h->stack, l, &child, NULL), -EAGAIN);
	assert_int_equal(harness_drops(h, DROP_TCP_DEFERRED), 1);
	harness_send(h, &p, (struct tcp_segment){ .flags = SEG_ACK, .len = 1 });
	assert_int_equal(ep_accept(h->stack, l, &child, NULL), 0);
	harness_host_free(h);
}

static void closing_a_listener_resets_its_children(void **state)
{
	struct harness_host *h = harness_host_new(1, NULL, 0);
	struct harness_peer a = peer(6000), b = peer(6001);
	ep_id l = harness_listen(h, OUR_PORT, 4);
	struct stack_memory m;
	struct ep_event e[4];

	(void)state;
	syn(h, &a);
	harness_send(h, &a, (struct tcp_segment){ .flags = SEG_ACK });
	syn(h, &b);
	assert_int_equal(ep_close(h->stack, l), 0);
	harness_turn(h);
	assert_int_equal(harness_expect(h, SEG_RST | SEG_ACK).seq, a.ack);
	harness_expect_none(h);
	stack_events(h->stack, e, 4);
	stack_memory(h->stack, &m);
	assert_true(m.half_open == 0 && m.connections == 0 && m.endpoints == 0);
	harness_host_free(h);
}

static bool refuse_child(void *context, ep_id listener, uint64_t listener_owner, ep_id child, uint64_t *owner,
	struct ep_sharing *sharing)
{
	(void)context, (void)listener, (void)listener_owner, (void)child, (void)owner, (void)sharing;
	return false;
}

static void a_host_may_refuse_a_child(void **state)
{
	struct harness_host *h = harness_host_new(1, NULL, 0);
	struct harness_peer p = peer(5000);
	struct stack_memory m;

	(void)state;
	h->stack->config.host.adopt = refuse_child;
	harness_listen(h, OUR_PORT, 4);
	syn(h, &p);
	harness_send(h, &p, (struct tcp_segment){ .flags = SEG_ACK });
	harness_expect(h, SEG_RST);
	assert_int_equal(harness_drops(h, DROP_TCP_NO_MEMORY), 1);
	stack_memory(h->stack, &m);
	assert_true(m.half_open == 0 && m.endpoints == 1);
	harness_host_free(h);
}

static void an_isn_follows_clock_and_key(void **state)
{
	struct harness_host *h = harness_host_new(1, NULL, 0), *other = harness_host_new(2, NULL, 0);
	struct flow_key k = { .local = harness_addr(1), .remote = harness_addr(9), .local_port = 80, .remote_port = 5000 };
	uint32_t isn = conn_isn(h->stack, &k);

	(void)state;
	assert_int_equal(conn_isn(h->stack, &k), isn);
	assert_int_not_equal(conn_isn(other->stack, &k), isn);
	harness_pass(h, 10 * NSEC_PER_MSEC);
	assert_int_equal(conn_isn(h->stack, &k), isn + 2500); /* a step in 4 us */
	k.remote_port++;
	assert_int_not_equal(conn_isn(h->stack, &k) - isn, 2501);
	harness_host_free(h);
	harness_host_free(other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_handshake_makes_a_child),
		cmocka_unit_test(data_with_the_last_ack_is_kept),
		cmocka_unit_test(what_a_listener_answers),
		cmocka_unit_test(what_a_half_open_connection_answers),
		cmocka_unit_test(a_full_backlog_takes_no_more),
		cmocka_unit_test(an_ack_beyond_the_backlog_waits),
		cmocka_unit_test(syn_acks_are_repeated_and_given_up),
		cmocka_unit_test(a_flood_does_not_keep_a_client_out),
		cmocka_unit_test(a_deferred_accept_waits_for_data),
		cmocka_unit_test(closing_a_listener_resets_its_children),
		cmocka_unit_test(a_host_may_refuse_a_child),
		cmocka_unit_test(an_isn_follows_clock_and_key),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
