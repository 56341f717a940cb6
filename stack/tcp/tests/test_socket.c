/* SPDX-License-Identifier: BSD-3-Clause */
/* The calls and their errno, readiness in each state, options and their inheritance, rings shared with a program. */
#include "tests/harness.h"
#include "tcp/recv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void calls_in_the_wrong_state(void **state)
{
	struct harness_host *h = harness_host_new(1, NULL, 0);
	struct harness_peer p = { 0 };
	struct ep_name peer = { harness_addr(9), PEER_PORT };
	struct ep_event e[8];
	ep_id id, child, l;

	(void)state;
	assert_int_equal(ep_open(h->stack, EP_STREAM, 1, NULL, &id), 0);
	assert_int_equal(ep_shutdown(h->stack, id, EP_SHUT_WRITE), -ENOTCONN);
	assert_int_equal(ep_accept(h->stack, id, &child, NULL), -EINVAL);
	assert_int_equal(ep_ready(h->stack, id), EP_WRITABLE | EP_HANGUP);
	assert_int_equal(ep_close(h->stack, id), 0);
	assert_int_equal(stack_events(h->stack, e, 8), 1);
	assert_true(e[0].mask == EP_RELEASED && e[0].ep == id);
	assert_int_equal(ep_close(h->stack, id), -EBADF);
	l = harness_listen(h, 81, 1);
	assert_int_equal(ep_connect(h->stack, l, &peer), -EISCONN);
	assert_int_equal(ep_listen(h->stack, l, 7), 0);
	id = harness_connected(h, &p, 1460);
	assert_int_equal(ep_connect(h->stack, id, &peer), -EISCONN);
	assert_int_equal(ep_listen(h->stack, id, 1), -EINVAL);
	assert_int_equal(ep_accepted(h->stack, id), -EINVAL);
	assert_int_equal(ep_shutdown(h->stack, id, EP_SHUT_WRITE), 0);
	assert_int_equal(ep_send(h->stack, id, "x", 1), -EPIPE);
	harness_host_free(h);
}

static void readiness_follows_the_connection(void **state)
{
	struct harness_host *h = harness_host_new(1, NULL, 0);
	struct harness_peer p = { 0 };
	ep_id id = harness_connected(h, &p, 1460);
	struct ep_event e[8];

	(void)state;
	assert_int_equal(stack_events(h->stack, e, 8), 1);
	assert_int_equal(e[0].mask, EP_CONNECTED | EP_WRITABLE);
	assert_int_equal(ep_ready(h->stack, id), EP_WRITABLE);
	/* Two segments in one turn are one event. */
	harness_send(h, &p, (struct tcp_segment){ .flags = SEG_ACK, .len = 10 });
	p.seq += 10;
	harness_send(h, &p, (struct tcp_segment){ .flags = SEG_ACK, .len = 10 });
	p.seq += 10;
	assert_int_equal(stack_events(h->stack, e, 8), 1);
	assert_int_equal(e[0].mask, EP_READABLE);
	assert_int_equal(ep_ready(h->stack, id), EP_WRITABLE | EP_READABLE);
	harness_send(h, &p, (struct tcp_segment){ .flags = SEG_ACK | SEG_FIN });
	assert_int_equal(ep_ready(h->stack, id), EP_WRITABLE | EP_READABLE | EP_READ_CLOSED);
	assert_int_equal(ep_shutdown(h->stack, id, EP_SHUT_WRITE), 0);
	assert_true(ep_ready(h->stack, id) & EP_HANGUP);
	harness_host_free(h);
}

static void a_low_water_mark_holds_readiness(void **state)
{
	struct harness_host *h = harness_host_new(1, NULL, 0);
	struct harness_peer p = { 0 };
	ep_id id = harness_accepted(h, &p, 1460);

	(void)state;
	assert_int_equal(ep_set(h->stack, id, EP_RECEIVE_LOW, 100), 0);
	harness_send(h, &p, (struct tcp_segment){ .flags = SEG_ACK, .len = 99 });
	assert_false(ep_ready(h->stack, id) & EP_READABLE);
	p.seq += 99;
	harness_send(h, &p, (struct tcp_segment){ .flags = SEG_ACK, .len = 1 });
	assert_true(ep_ready(h->stack, id) & EP_READABLE);
	harness_host_free(h);
}

/* A mark is at most half of the buffer; and a window that is used up makes readable whatever the mark. */
static void a_low_water_mark_never_stands_in_the_way(void **state)
{
	struct harness_host *h = harness_host_new(1, NULL, 0);
	struct harness_peer p = { 0 };
	ep_id id;
	int64_t low;

	(void)state;
	id = harness_accepted(h, &p, 1460);
	assert_int_equal(ep_set(h->stack, id, EP_RECEIVE_BUFFER, 200000), 0);
	assert_int_equal(ep_set(h->stack, id, EP_RECEIVE_LOW, INT32_MAX), 0);
	assert_int_equal(ep_get(h->stack, id, EP_RECEIVE_LOW, &low), 0);
	assert_int_equal(low, 100000);
	assert_int_equal(ep_set(h->stack, id, EP_WINDOW_CLAMP, 3000), 0);
	while (recv_window_open(harness_conn(h, id)) > 1460 + 1400) {
		assert_false(ep_ready(h->stack, id) & EP_READABLE);
		assert_int_equal(ep_readable_from(h->stack, id), 100000);
		harness_send(h, &p, (struct tcp_segment){ .flags = SEG_ACK, .len = 1400 });
		p.seq += 1400;
	}
	harness_send(h, &p, (struct tcp_segment){ .flags = SEG_ACK, .len = 1400 });
	assert_true(ep_ready(h->stack, id) & EP_READABLE);
	assert_int_equal(ep_readable_from(h->stack, id), 1);
	harness_host_free(h);
}

static void a_low_water_mark_widens_the_window(void **state)
{
	struct harness_host *h = harness_host_new(1, NULL, 0);
	struct harness_peer p = { 0 };
	ep_id id = harness_accepted(h, &p, 1460);
	struct tcp_conn *c = harness_conn(h, id);

	(void)state;
	assert_true(c->rcv_limit < 1000000);
	assert_int_equal(ep_set(h->stack, id, EP_RECEIVE_LOW, 1000000), 0);
	assert_int_equal(c->rcv_limit, 2000000);
	harness_host_free(h);
}

/* SO_SNDBUF is about sending: the window still begins small, and grows. */
static void a_send_buffer_leaves_the_receive_buffer_alone(void **state)
{
	struct harness_host *h = harness_host_new(1, NULL, 0);
	struct harness_peer p = { 0 };
	const uint32_t initial = h->stack->config.tcp.receive_buffer_initial;
	ep_id id, l;

	(void)state;
	l = harness_listen(h, OUR_PORT, 4);
	assert_int_equal(ep_set(h->stack, l, EP_SEND_BUFFER, 50000), 0);
	p = (struct harness_peer){ .seq = 1000, .port = 5000, .window = 100 };
	harness_send(h, &p, (struct tcp_segment){ .flags = SEG_SYN, .has = SEG_HAS_MSS, .mss = 1460 });
	p.ack = harness_expect(h, SEG_SYN | SEG_ACK).seq + 1;
	p.seq++;
	harness_send(h, &p, (struct tcp_segment){ .flags = SEG_ACK });
	assert_int_equal(ep_accept(h->stack, l, &id, NULL), 0);
	assert_int_equal(harness_conn(h, id)->rcv_limit, initial);
	assert_false(harness_conn(h, id)->ep->receive_fixed);
	harness_host_free(h);
}

static void options_are_kept_and_inherited(void **state)
{
	static const struct {
		enum ep_option option;
		int64_t value, before, wrong;
	} cases[] = {
		{ EP_NODELAY, 1, 0, 0 },
		{ EP_CORK, 1, 0, 0 },
		{ EP_MAXSEG, 900, 536, 50 },
		{ EP_KEEP_IDLE, 33, 7200, 0 },
		{ EP_KEEP_INTERVAL, 44, 75, 40000 },
		{ EP_KEEP_COUNT, 5, 9, 200 },
		{ EP_SYN_COUNT, 3, 6, 0 },
		{ EP_USER_TIMEOUT, 9999, 0, -1 },
		{ EP_LINGER2, 20, 60, 0 },
		{ EP_NOTSENT_LOWAT, 4096, 0, -1 },
		{ EP_WINDOW_CLAMP, 20000, 0, -1 },
		{ EP_CONGESTION, EP_CC_NEWRENO, EP_CC_CUBIC, 0 },
	};
	struct harness_host *h = harness_host_new(1, NULL, 0);
	struct harness_peer p = { .seq = 1000, .port = 5000, .window = 100 };
	ep_id l = harness_listen(h, OUR_PORT, 1), child;
	int64_t value;

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(ep_get(h->stack, l, cases[i].option, &value), 0);
		assert_int_equal(value, cases[i].before);
		if (cases[i].wrong)
			assert_int_equal(ep_set(h->stack, l, cases[i].option, cases[i].wrong), -EINVAL);
		assert_int_equal(ep_set(h->stack, l, cases[i].option, cases[i].value), 0);
	}
	harness_send(h, &p, (struct tcp_segment){ .flags = SEG_SYN, .has = SEG_HAS_MSS, .mss = 1460 });
	p.ack = harness_expect(h, SEG_SYN | SEG_ACK).seq + 1;
	p.seq++;
	harness_send(h, &p, (struct tcp_segment){ .flags = SEG_ACK });
	assert_int_equal(ep_accept(h->stack, l, &child, NULL), 0);
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(ep_get(h->stack, child, cases[i].option, &value), 0);
		assert_int_equal(value, cases[i].value);
	}
	harness_host_free(h);
}

static void notsent_lowat_holds_writability(void **state)
{
	struct harness_host *h = harness_host_new(1, NULL, 0);
	struct harness_peer p = { .window = 1000 };
	ep_id id = harness_accepted(h, &p, 1000);
	static uint8_t bytes[8000];
	struct ep_event e[4];

	(void)state;
	assert_int_equal(ep_set(h->stack, id, EP_NOTSENT_LOWAT, 2000), 0);
	assert_int_equal(ep_send(h->stack, id, bytes, 6000), 6000);
	harness_turn(h);
	assert_false(ep_ready(h->stack, id) & EP_WRITABLE);
	stack_events(h->stack, e, 4);
	p.ack += 1000;
	p.window = 4000;
	harness_send(h, &p, (struct tcp_segment){ .flags = SEG_ACK });
	assert_int_equal(stack_events(h->stack, e, 4), 1);
	assert_int_equal(e[0].mask, EP_WRITABLE);
	harness_host_free(h);
}

/* A program in another process: indices in words of its own. */
static _Atomic uint32_t words[4];

static bool adopt(void *context, ep_id listener, uint64_t listener_owner, ep_id child, uint64_t *owner,
	struct ep_sharing *sharing)
{
	(void)context, (void)listener, (void)listener_owner, (void)child;
	*owner = 42;
	*sharing = (struct ep_sharing){ &words[0], &words[1], &words[2], &words[3] };
	return true;
}

static void a_shared_ring_is_read_and_written(void **state)
{
	struct harness_host *h = harness_host_new(1, NULL, 0);
	struct harness_peer p = { .seq = 1000, .port = 5000, .window = 60000 };
	ep_id l = harness_listen(h, OUR_PORT, 1);
	struct tcp_segment s;
	struct ep_event e[4];
	struct endpoint *ep;
	ep_id child;

	(void)state;
	h->stack->config.host.adopt = adopt;
	harness_send(h, &p, (struct tcp_segment){ .flags = SEG_SYN, .has = SEG_HAS_MSS, .mss = 1000 });
	p.ack = harness_expect(h, SEG_SYN | SEG_ACK).seq + 1;
	p.seq++;
	harness_send(h, &p, (struct tcp_segment){ .flags = SEG_ACK | SEG_PSH, .len = 7, .payload = (const uint8_t *)"request" });
	assert_int_equal(ep_accept(h->stack, l, &child, NULL), 0);
	ep = ep_find(h->stack, child);
	assert_int_equal(ep->owner, 42);
	assert_int_equal(words[0], 7);
	assert_memory_equal(ep->receive.current.base, "request", 7);
	words[1] = 7;
	assert_int_equal(ep_received(h->stack, child), 0);
	/* The first extent of the send ring is there before anything is sent. */
	assert_true(ep->send.current.size >= 16384);
	memcpy(ep->send.current.base, "answer", 6);
	words[2] = 6;
	assert_int_equal(ep_sent(h->stack, child), 0);
	harness_turn(h);
	s = harness_expect(h, SEG_ACK | SEG_PSH);
	assert_true(s.len == 6 && s.ack == p.seq + 7);
	assert_memory_equal(s.payload, "answer", 6);
	p.seq += 7;
	p.ack += 6;
	harness_send(h, &p, (struct tcp_segment){ .flags = SEG_ACK });
	assert_int_equal(words[3], 6);
	/* An index out of bounds is refused, and changes nothing. */
	words[2] = 6 + 1000000;
	assert_int_equal(ep_sent(h->stack, child), -EPROTO);
	words[1] = 8;
	assert_int_equal(ep_received(h->stack, child), -EPROTO);
	harness_turn(h);
	harness_expect_none(h);
	stack_events(h->stack, e, 4);
	harness_host_free(h);
}

static void dissolving_resets_and_begins_anew(void **state)
{
	struct harness_host *h = harness_host_new(1, NULL, 0);
	struct harness_peer p = { 0 };
	ep_id id = harness_connected(h, &p, 1460);
	struct ep_name peer = { harness_addr(9), 7 };

	(void)state;
	assert_int_equal(ep_connect(h->stack, id, NULL), 0);
	harness_turn(h);
	harness_expect(h, SEG_RST | SEG_ACK);
	assert_int_equal(ep_peer(h->stack, id, &peer), -ENOTCONN);
	peer.port = 7;
	assert_int_equal(ep_connect(h->stack, id, &peer), -EINPROGRESS);
	harness_turn(h);
	harness_expect(h, SEG_SYN);
	harness_host_free(h);
}

static void info_tells_the_truth(void **state)
{
	struct harness_host *h = harness_host_new(1, NULL, 0);
	struct harness_peer p = { .timestamps = true };
	ep_id id = harness_accepted(h, &p, 1460);
	static uint8_t bytes[5000];
	struct ep_info i;

	(void)state;
	assert_int_equal(ep_send(h->stack, id, bytes, 5000), 5000);
	harness_turn(h);
	assert_int_equal(ep_info(h->stack, id, &i), 0);
	assert_true(i.state == TCP_ESTABLISHED && i.mss == 1448 && i.cwnd == 14480 && i.timestamps && !i.sack);
	assert_true(i.send_queued == 5000 && i.send_unsent == 0 && i.in_flight_segments == 4 && i.bytes_sent == 5000);
	assert_string_equal(i.cc, "cubic");
	assert_true(i.local.port == OUR_PORT && i.peer.port == PEER_PORT);
	p.ack += 5000;
	harness_send(h, &p, (struct tcp_segment){ .flags = SEG_ACK, .len = 20 });
	assert_int_equal(ep_info(h->stack, id, &i), 0);
	assert_true(i.bytes_acked == 5000 && i.send_queued == 0 && i.bytes_received == 20 && i.receive_queued == 20);
	harness_host_free(h);
}

static void a_peek_leaves_what_it_shows(void **state)
{
	struct harness_host *h = harness_host_new(1, NULL, 0);
	struct harness_peer p = { 0 };
	ep_id id = harness_connected(h, &p, 1460);
	char seen[64], got[64];

	(void)state;
	assert_int_equal(ep_peek(h->stack, id, seen, sizeof(seen)), -EAGAIN);
	harness_send(h, &p, (struct tcp_segment){ .flags = SEG_ACK, .len = 30 });
	p.seq += 30;
	assert_int_equal(ep_peek(h->stack, id, seen, 10), 10);
	assert_int_equal(ep_peek(h->stack, id, seen, sizeof(seen)), 30);
	assert_int_equal(ep_recv(h->stack, id, got, sizeof(got)), 30);
	assert_memory_equal(seen, got, 30);
	harness_send(h, &p, (struct tcp_segment){ .flags = SEG_ACK | SEG_RST });
	assert_int_equal(ep_peek(h->stack, id, seen, 10), -ECONNRESET);
	assert_int_equal(ep_peek(h->stack, id, seen, 10), -ECONNRESET);
	assert_int_equal(ep_recv(h->stack, id, got, 10), -ECONNRESET);
	assert_int_equal(ep_peek(h->stack, id, seen, 10), 0);
	harness_host_free(h);
}

static void settings_may_change_between_connections(void **state)
{
	struct harness_host *h = harness_host_new(1, NULL, 0);
	struct tcp_settings t = *stack_tcp_settings(h->stack);
	struct ep_name peer = { harness_addr(9), PEER_PORT };
	struct tcp_segment syn;
	ep_id id;

	(void)state;
	t.timestamps = false;
	t.receive_buffer_max = 15 << 20;
	t.cc = "no such";
	assert_int_equal(stack_set_tcp_settings(h->stack, &t), -EINVAL);
	assert_true(stack_tcp_settings(h->stack)->timestamps);
	t.cc = "newreno";
	assert_int_equal(stack_set_tcp_settings(h->stack, &t), 0);
	assert_int_equal(ep_open(h->stack, EP_STREAM, 1, NULL, &id), 0);
	assert_int_equal(ep_connect(h->stack, id, &peer), -EINPROGRESS);
	harness_turn(h);
	syn = harness_expect(h, SEG_SYN);
	assert_int_equal(syn.has, SEG_HAS_MSS | SEG_HAS_SACK_OK | SEG_HAS_SCALE);
	assert_int_equal(syn.scale, 8);
	assert_int_equal(ep_abort(h->stack, id), 0);
	harness_host_free(h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(calls_in_the_wrong_state),
		cmocka_unit_test(readiness_follows_the_connection),
		cmocka_unit_test(a_low_water_mark_holds_readiness),
		cmocka_unit_test(a_low_water_mark_never_stands_in_the_way),
		cmocka_unit_test(a_low_water_mark_widens_the_window),
		cmocka_unit_test(a_send_buffer_leaves_the_receive_buffer_alone),
		cmocka_unit_test(options_are_kept_and_inherited),
		cmocka_unit_test(notsent_lowat_holds_writability),
		cmocka_unit_test(a_shared_ring_is_read_and_written),
		cmocka_unit_test(dissolving_resets_and_begins_anew),
		cmocka_unit_test(info_tells_the_truth),
		cmocka_unit_test(a_peek_leaves_what_it_shows),
		cmocka_unit_test(settings_may_change_between_connections),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
