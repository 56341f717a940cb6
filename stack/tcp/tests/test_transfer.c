/* SPDX-License-Identifier: BSD-3-Clause */
/* Two stacks joined by a wire: handshake, bytes both ways, close; with loss, with super-frames. */
#include "tests/harness.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct pair {
	struct harness_host *a, *b;
	ep_id client, server;
};

static void open_pair(struct pair *p, const struct tcp_settings *settings, uint32_t flags)
{
	struct ep_name to;
	ep_id listener;

	p->a = harness_host_new(1, settings, flags);
	p->b = harness_host_new(2, settings, flags);
	harness_join(p->a, p->b);
	listener = harness_listen(p->b, 80, 4);
	to = (struct ep_name){ p->b->addr, 80 };
	assert_int_equal(ep_open(p->a->stack, EP_STREAM, 1, NULL, &p->client), 0);
	assert_int_equal(ep_connect(p->a->stack, p->client, &to), -EINPROGRESS);
	harness_run(p->a, p->b, p->a->now);
	assert_int_equal(ep_accept(p->b->stack, listener, &p->server, NULL), 0);
	assert_int_equal(harness_state(p->a, p->client), TCP_ESTABLISHED);
	assert_int_equal(harness_state(p->b, p->server), TCP_ESTABLISHED);
	assert_int_equal(ep_close(p->b->stack, listener), 0);
}

static void close_pair(struct pair *p)
{
	harness_host_free(p->a);
	harness_host_free(p->b);
}

static uint8_t pattern(uint32_t i)
{
	return (uint8_t)((i * 2654435761u) >> 24);
}

/* Moves n bytes from one end to the other and compares them; the reader takes at most `chunk` at a time. */
static void move(struct pair *p, uint32_t n, uint32_t chunk, nsec step)
{
	static uint8_t buffer[65536];
	uint32_t written = 0, got = 0;
	nsec give_up = p->a->now + 4000 * NSEC_PER_SEC;

	while (got < n) {
		int64_t r;

		while (written < n) {
			uint32_t k = n - written < sizeof(buffer) ? n - written : (uint32_t)sizeof(buffer);

			for (uint32_t i = 0; i < k; i++)
				buffer[i] = pattern(written + i);
			r = ep_send(p->a->stack, p->client, buffer, k);
			if (r == -EAGAIN)
				break;
			assert_true(r > 0);
			written += (uint32_t)r;
		}
		harness_run(p->a, p->b, p->a->now + step);
		assert_true(p->a->now < give_up);
		while ((r = ep_recv(p->b->stack, p->server, buffer, chunk)) > 0)
			for (int64_t i = 0; i < r; i++, got++)
				assert_int_equal(buffer[i], pattern(got));
		assert_int_equal(r, -EAGAIN);
	}
}

static void both_sides_close_in_turn(void **state)
{
	struct pair p;
	uint8_t byte;
	struct stack_memory m;

	(void)state;
	open_pair(&p, NULL, 0);
	assert_int_equal(ep_send(p.a->stack, p.client, "hello", 5), 5);
	assert_int_equal(ep_shutdown(p.a->stack, p.client, EP_SHUT_WRITE), 0);
	harness_run(p.a, p.b, p.a->now + NSEC_PER_SEC);
	for (unsigned i = 0; i < 5; i++) {
		assert_int_equal(ep_recv(p.b->stack, p.server, &byte, 1), 1);
		assert_int_equal(byte, "hello"[i]);
	}
	assert_int_equal(ep_recv(p.b->stack, p.server, &byte, 1), 0);
	assert_int_equal(harness_state(p.b, p.server), TCP_CLOSE_WAIT);
	assert_int_equal(harness_state(p.a, p.client), TCP_FIN_WAIT_2);
	/* Half-open: the other direction still works. */
	assert_int_equal(ep_send(p.b->stack, p.server, "bye", 3), 3);
	assert_int_equal(ep_close(p.b->stack, p.server), 0);
	harness_run(p.a, p.b, p.a->now + NSEC_PER_SEC);
	assert_int_equal(harness_state(p.a, p.client), TCP_TIME_WAIT);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(ep_recv(p.a->stack, p.client, &byte, 1), 1);
	assert_int_equal(ep_recv(p.a->stack, p.client, &byte, 1), 0);
	assert_int_equal(ep_close(p.a->stack, p.client), 0);
	stack_memory(p.a->stack, &m);
	assert_int_equal(m.time_wait, 1);
	assert_int_equal(m.connections, 0);
	harness_run(p.a, p.b, p.a->now + 61 * NSEC_PER_SEC);
	stack_memory(p.a->stack, &m);
	assert_int_equal(m.time_wait, 0);
	stack_memory(p.b->stack, &m);
	assert_int_equal(m.connections, 0);
	assert_int_equal(m.extents_lent, 0);
	close_pair(&p);
}

static void megabytes_arrive_whole(void **state)
{
	struct pair p;

	(void)state;
	open_pair(&p, NULL, 0);
	move(&p, 5000000, 65536, 0);
	close_pair(&p);
}

static void megabytes_arrive_whole_in_super_frames(void **state)
{
	struct pair p;

	(void)state;
	open_pair(&p, NULL, LINK_TSO | LINK_TX_CSUM);
	move(&p, 20000000, 65536, 0);
	assert_true(p.a->link.sent_total < 20000000 / 1448);
	close_pair(&p);
}

static void a_slow_reader_holds_the_sender(void **state)
{
	struct pair p;

	(void)state;
	open_pair(&p, NULL, 0);
	move(&p, 300000, 700, NSEC_PER_MSEC);
	close_pair(&p);
}

/* What is advertised can be held, also when a reader that was fast becomes slow: nothing is lost on a perfect wire. */
static void a_reader_that_becomes_slow_loses_nothing(void **state)
{
	static uint8_t buffer[65536];
	struct ep_info info;
	struct pair p;

	(void)state;
	open_pair(&p, NULL, 0);
	for (unsigned i = 0; i < 400; i++) {
		while (ep_send(p.a->stack, p.client, buffer, sizeof(buffer)) > 0)
			;
		harness_run(p.a, p.b, p.a->now + NSEC_PER_MSEC);
		if (i < 6)
			while (ep_recv(p.b->stack, p.server, buffer, sizeof(buffer)) > 0)
				;
		else
			ep_recv(p.b->stack, p.server, buffer, 1000);
	}
	assert_int_equal(harness_drops(p.b, DROP_TCP_RECEIVE_MEMORY), 0);
	assert_int_equal(ep_info(p.a->stack, p.client, &info), 0);
	assert_int_equal(info.retransmitted_total, 0);
	close_pair(&p);
}

static unsigned seed;

static bool lose_one_in_twenty(struct harness_link *l, const struct pkt *p, unsigned nth)
{
	(void)l;
	(void)p;
	(void)nth;
	seed = seed * 1103515245 + 12345;
	return (seed >> 16) % 20 == 0;
}

static void loss_is_repaired(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 20; i++) {
		struct pair p;

		open_pair(&p, NULL, 0);
		seed = i;
		p.a->link.lose = p.b->link.lose = lose_one_in_twenty;
		move(&p, 300000, 65536, NSEC_PER_MSEC);
		close_pair(&p);
	}
}

static void loss_is_repaired_under_the_standard_profile(void **state)
{
	struct tcp_settings settings;
	struct pair p;

	(void)state;
	tcp_settings_standard(&settings);
	settings.timestamps = settings.sack = settings.window_scaling = false;
	open_pair(&p, &settings, 0);
	seed = 7;
	p.a->link.lose = p.b->link.lose = lose_one_in_twenty;
	move(&p, 300000, 65536, NSEC_PER_MSEC);
	close_pair(&p);
}

static void a_host_reaches_itself(void **state)
{
	struct harness_host *h = harness_host_new(1, NULL, 0);
	ep_id listener = harness_listen(h, 80, 4), client, server;
	struct ep_name to = { h->addr, 80 };
	char buffer[8];

	(void)state;
	assert_int_equal(ep_open(h->stack, EP_STREAM, 1, NULL, &client), 0);
	assert_int_equal(ep_connect(h->stack, client, &to), -EINPROGRESS);
	harness_turn(h);
	assert_int_equal(ep_accept(h->stack, listener, &server, NULL), 0);
	assert_int_equal(ep_send(h->stack, client, "self", 4), 4);
	harness_turn(h);
	assert_int_equal(ep_recv(h->stack, server, buffer, 8), 4);
	harness_host_free(h);
}

static void a_port_without_a_listener_refuses(void **state)
{
	struct harness_host *a = harness_host_new(1, NULL, 0), *b = harness_host_new(2, NULL, 0);
	struct ep_name to = { b->addr, 81 };
	ep_id id;

	(void)state;
	harness_join(a, b);
	assert_int_equal(ep_open(a->stack, EP_STREAM, 1, NULL, &id), 0);
	assert_int_equal(ep_connect(a->stack, id, &to), -EINPROGRESS);
	harness_run(a, b, a->now);
	assert_true(ep_ready(a->stack, id) & EP_ERROR);
	assert_int_equal(ep_take_error(a->stack, id), ECONNREFUSED);
	assert_int_equal(harness_drops(b, DROP_TCP_NO_SOCKET), 1);
	harness_host_free(a);
	harness_host_free(b);
}

static bool lose_the_next(struct harness_link *l, const struct pkt *pkt, unsigned nth)
{
	(void)nth;
	if (pkt->len < 1000)
		return false;
	l->lose = NULL;
	return true;
}

/* Writes and reads, comparing nothing. */
static void pour(struct pair *p, uint64_t bytes)
{
	static uint8_t buffer[1 << 16];

	for (uint64_t got = 0; got < bytes;) {
		int64_t r;

		while (ep_send(p->a->stack, p->client, buffer, sizeof(buffer)) > 0)
			;
		harness_run(p->a, p->b, p->a->now + NSEC_PER_MSEC);
		while ((r = ep_recv(p->b->stack, p->server, buffer, sizeof(buffer))) > 0)
			got += (uint64_t)r;
	}
}

/* covers: 6582-6-wrap */
static void a_loss_after_more_than_half_the_sequence_space_is_recovered_fast(void **state)
{
	struct tcp_settings settings;
	struct pair p;

	(void)state;
	tcp_settings_standard(&settings);
	settings.sack = settings.timestamps = false;
	open_pair(&p, &settings, LINK_TSO | LINK_TX_CSUM);
	pour(&p, (UINT64_C(1) << 31) + (1 << 28));
	assert_int_equal(p.a->stack->counts[COUNT_TCP_RETRANSMITTED], 0);
	p.a->link.lose = lose_the_next;
	pour(&p, 1 << 23);
	assert_int_equal(p.a->stack->counts[COUNT_TCP_FAST_RETRANSMITS], 1);
	assert_int_equal(p.a->stack->counts[COUNT_TCP_TIMEOUTS], 0);
	close_pair(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_sides_close_in_turn),
		cmocka_unit_test(megabytes_arrive_whole),
		cmocka_unit_test(megabytes_arrive_whole_in_super_frames),
		cmocka_unit_test(a_slow_reader_holds_the_sender),
		cmocka_unit_test(a_reader_that_becomes_slow_loses_nothing),
		cmocka_unit_test(loss_is_repaired),
		cmocka_unit_test(loss_is_repaired_under_the_standard_profile),
		cmocka_unit_test(a_loss_after_more_than_half_the_sequence_space_is_recovered_fast),
		cmocka_unit_test(a_host_reaches_itself),
		cmocka_unit_test(a_port_without_a_listener_refuses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
