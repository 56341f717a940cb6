/* SPDX-License-Identifier: BSD-3-Clause */
/* Sockets through the whole of ipc/ in one thread: whoever waits turns the daemon and its stack. */
#include "world.h"

#include <poll.h>

static struct world world;
static struct client *c;

static int set_up(void **state)
{
	(void)state;
	world_open(&world, NULL, NULL);
	c = world_join(&world, 0);
	return 0;
}

static int tear_down(void **state)
{
	struct server_stats stats;

	(void)state;
	client_detach(c);
	world_settle(&world);
	server_stats(world.server, &stats);
	assert_int_equal(stats.violations, 0);
	assert_int_equal(stats.sessions, 0);
	assert_int_equal(stats.watches, 0);
	assert_int_equal(stats.waitsets, 0);
	world_close(&world);
	return 0;
}

static void bytes_go_both_ways_and_the_end_is_seen(void **state)
{
	uint32_t listener = listen_at(c, 80, 16), near = connect_to(c, 80), far = accept_from(c, listener);
	char text[16] = "";

	(void)state;
	assert_int_equal(client_accept(c, listener, &(uint32_t){ 0 }), -EAGAIN);
	assert_int_equal(send_text(c, near, "question", 8), 8);
	assert_int_equal(recv_text(c, far, text, sizeof(text)), 8);
	assert_memory_equal(text, "question", 8);
	assert_int_equal(send_text(c, far, "answer", 6), 6);
	assert_int_equal(recv_text(c, near, text, sizeof(text)), 6);
	assert_int_equal(client_shutdown(c, near, EP_SHUT_WRITE), 0);
	assert_int_equal(send_text(c, near, "x", 1), -EPIPE);
	assert_int_equal(recv_text(c, far, text, sizeof(text)), 0);
	assert_true(client_ready(c, far) & EP_READ_CLOSED);
	assert_int_equal(send_text(c, far, "last", 4), 4);
	assert_int_equal(recv_text(c, near, text, sizeof(text)), 4);
	assert_int_equal(client_close(c, far), 0);
	assert_int_equal(recv_text(c, near, text, sizeof(text)), 0);
	client_close(c, near);
	client_close(c, listener);
}

static struct sock_line *sender;

static void pump_until_acknowledged(void *w)
{
	nsec until = soon();

	do
		world_settle(w);
	while (atomic_load(&sender->send_tail) != atomic_load(&sender->send_head) && client_now() < until);
}

/* While a sender waits to ask for memory, memory that was asked for before comes and all that was sent is acknowledged: what it writes
 * now belongs into the new extent. */
static void memory_that_comes_during_a_send_is_used(void **state)
{
	uint32_t listener = listen_at(c, 80, 16), near = connect_to(c, 80), far = accept_from(c, listener);
	struct request grow = { .op = REQ_GROW_SEND, .line = near, .a = 1 << 17 }, ping = { .op = REQ_PING };
	static uint8_t out[1 << 16], in[sizeof(out)];
	struct client_lane *lane = lane_enter(c, 0);
	struct ring_view view;
	size_t got = 0, i;
	ssize_t first, second;

	(void)state;
	lane_leave();
	for (i = 0; i < sizeof(out); i++)
		out[i] = (uint8_t)(i % 251);
	ring_look(&client_line(c, near)->send, &view);
	assert_true(view.newest.size > 0 && view.newest.size <= sizeof(out) / 2);
	client_post(c, &grow);
	first = send_text(c, near, out, view.newest.size);
	assert_int_equal(first, view.newest.size);
	while (!rte_ring_full(lane->requests))
		client_post(c, &ping);
	client_pump = pump_until_acknowledged;
	sender = client_line(c, near);
	second = send_text(c, near, out + first, sizeof(out) - (size_t)first);
	client_pump = world_pump;
	assert_true(second > 0);
	while (got < (size_t)(first + second))
		got += (size_t)recv_text(c, far, in + got, (size_t)(first + second) - got);
	assert_memory_equal(in, out, got);
	client_close(c, near);
	client_close(c, far);
	client_close(c, listener);
}

/* A signal handler's lane stands for another thread's: its request is made first and read last. */
static void a_watch_outlives_an_unwatch_before_it_that_is_read_later(void **state)
{
	uint32_t listener = listen_at(c, 80, 16), near = connect_to(c, 80), far = accept_from(c, listener);
	struct wait_event events[4];
	struct waitset *w;

	(void)state;
	assert_int_equal(waitset_new(c, &w), 0);
	assert_non_null(lane_enter(c, 0));
	assert_int_equal(waitset_watch(w, far, EP_READABLE, false, 1), 0);
	lane_leave();
	world_settle(&world);
	assert_non_null(lane_enter(c, 0));
	assert_int_equal(waitset_unwatch(w, far), 0);
	lane_leave();
	assert_int_equal(waitset_watch(w, far, EP_READABLE, false, 2), 0);
	world_settle(&world);
	while (waitset_take(w, events, 4))
		continue;
	assert_int_equal(send_text(c, near, "x", 1), 1);
	world_settle(&world);
	assert_int_equal(waitset_take(w, events, 4), 1);
	assert_int_equal(events[0].cookie, 2);
	waitset_free(w);
	client_close(c, near);
	client_close(c, far);
	client_close(c, listener);
}

/* Tags have sixteen bits, and one of them means "no reply". */
static void calls_are_answered_when_their_count_has_come_round(void **state)
{
	int64_t value;
	uint32_t id;

	(void)state;
	assert_int_equal(client_open(c, EP_STREAM, &id), 0);
	for (uint32_t i = 0; i < UINT16_MAX + 10u; i++)
		assert_int_equal(client_get(c, id, EP_NODELAY, &value), 0);
	client_close(c, id);
}

static void names_are_told(void **state)
{
	uint32_t listener = listen_at(c, 80, 16), near = connect_to(c, 80), far = accept_from(c, listener);
	struct ep_name local, peer, local2, peer2;

	(void)state;
	assert_int_equal(client_names(c, near, &local, &peer), 0);
	assert_int_equal(peer.port, 80);
	assert_int_equal(client_names(c, far, &local2, &peer2), 0);
	assert_int_equal(local2.port, 80);
	assert_int_equal(peer2.port, local.port);
	assert_true(ipaddr_equal(&peer2.addr, &local.addr));
	assert_int_equal(client_names(c, listener, &local, &peer), -ENOTCONN);
	assert_int_equal(local.port, 80);
}

static void a_refused_connection_says_so(void **state)
{
	struct ep_name name = name_of(81);
	uint32_t id;

	(void)state;
	assert_int_equal(client_open(c, EP_STREAM, &id), 0);
	assert_int_equal(client_connect(c, id, &name), -EINPROGRESS);
	assert_int_equal(client_connect(c, id, &name), -EALREADY);
	assert_int_equal(client_wait_line(c, id, EP_WRITABLE, soon()), 0);
	assert_true(client_ready(c, id) & EP_ERROR);
	assert_true(client_ready(c, id) & EP_HANGUP);
	assert_int_equal(client_take_error(c, id), ECONNREFUSED);
	assert_int_equal(client_take_error(c, id), 0);
	/* The same socket may try again. */
	listen_at(c, 81, 1);
	assert_int_equal(client_connect(c, id, &name), -EINPROGRESS);
	assert_int_equal(client_wait_line(c, id, EP_WRITABLE, soon()), 0);
	assert_int_equal(client_ready(c, id), EP_WRITABLE);
}

static void errors_of_calls_are_the_stacks(void **state)
{
	struct ep_name name = name_of(80), foreign = { .addr = ipaddr_from_ip4(__builtin_bswap32(0xc0a80001)), .port = 1 };
	uint32_t listener = listen_at(c, 80, 1), id;
	int64_t value;

	(void)state;
	assert_int_equal(client_open(c, EP_STREAM, &id), 0);
	assert_int_equal(client_bind(c, id, &name), -EADDRINUSE);
	assert_int_equal(client_accept(c, id, &listener), -EINVAL);
	assert_int_equal(send_text(c, id, "x", 1), -EPIPE);
	assert_int_equal(client_set(c, id, (enum ep_option)999, 1), -ENOPROTOOPT);
	assert_int_equal(client_set(c, id, EP_NODELAY, 1), 0);
	assert_int_equal(client_get(c, id, EP_NODELAY, &value), 0);
	assert_int_equal(value, 1);
	assert_int_equal(client_connect(c, id, &foreign), -EINPROGRESS);
	assert_int_equal(client_wait_line(c, id, EP_ERROR, soon()), 0);
	assert_int_equal(client_take_error(c, id), ENETUNREACH);
}

static void a_megabyte_grows_the_rings_and_arrives_whole(void **state)
{
	enum { SIZE = 3 << 20 };
	uint32_t listener = listen_at(c, 80, 16), near = connect_to(c, 80), far = accept_from(c, listener);
	uint8_t *sent = malloc(SIZE), *got = malloc(SIZE);
	size_t in = 0, out = 0, i;
	struct ep_info info;

	(void)state;
	for (i = 0; i < SIZE; i++)
		sent[i] = (uint8_t)(i * 2654435761u >> 13);
	while (out < SIZE) {
		struct iovec v[2] = { { sent + in, (SIZE - in) / 3 }, { sent + in + (SIZE - in) / 3, SIZE - in - (SIZE - in) / 3 } };
		ssize_t n = in < SIZE ? client_send(c, near, v, 2) : -EAGAIN;

		assert_true(n > 0 || n == -EAGAIN);
		in += n > 0 ? (size_t)n : 0;
		if (n == -EAGAIN && in < SIZE && !(client_ready(c, far) & EP_READABLE))
			assert_int_equal(client_wait_line(c, near, EP_WRITABLE, soon()), 0);
		v[0] = (struct iovec){ got + out, SIZE - out };
		n = client_recv(c, far, v, 1, 0);
		assert_true(n > 0 || n == -EAGAIN);
		out += n > 0 ? (size_t)n : 0;
		world_turn(&world);
	}
	assert_memory_equal(sent, got, SIZE);
	assert_int_equal(client_info(c, near, &info), 0);
	assert_true(info.send_buffer > 16384);
	assert_string_equal(info.cc, "cubic");   /* the default */
	free(sent);
	free(got);
}

/* Its writes always fit into what was free when it was woken, so none of them says that there is too little. */
static void who_waits_for_room_before_each_write_gets_a_larger_ring(void **state)
{
	enum { PIECE = 4096, TOTAL = 8 << 20 };
	uint32_t listener = listen_at(c, 80, 16), near = connect_to(c, 80), far = accept_from(c, listener);
	char piece[PIECE] = "";
	struct iovec v = { piece, PIECE };
	struct ep_info info;
	size_t sent = PIECE;

	(void)state;
	assert_int_equal(client_send(c, near, &v, 1), PIECE);
	while (sent < TOTAL) {
		while (client_ready(c, near) & EP_WRITABLE) {
			assert_int_equal(client_send(c, near, &v, 1), PIECE);
			sent += PIECE;
		}
		assert_int_equal(client_wait_line(c, far, EP_READABLE, soon()), 0);
		while (client_recv(c, far, &v, 1, CLIENT_DISCARD) > 0)
			;
	}
	assert_int_equal(client_info(c, near, &info), 0);
	assert_true(info.send_buffer >= 1 << 20);
}

static void peek_leaves_and_discard_skips(void **state)
{
	uint32_t listener = listen_at(c, 80, 16), near = connect_to(c, 80), far = accept_from(c, listener);
	char text[8] = "";
	struct iovec v = { text, 4 };

	(void)state;
	send_text(c, near, "abcdefgh", 8);
	assert_int_equal(client_wait_line(c, far, EP_READABLE, soon()), 0);
	assert_int_equal(client_receive_queued(c, far), 8);
	assert_int_equal(client_recv(c, far, &v, 1, CLIENT_PEEK), 4);
	assert_memory_equal(text, "abcd", 4);
	assert_int_equal(client_recv(c, far, &v, 1, CLIENT_DISCARD), 4);
	assert_int_equal(client_recv(c, far, &v, 1, 0), 4);
	assert_memory_equal(text, "efgh", 4);
	assert_int_equal(client_recv(c, far, &v, 1, 0), -EAGAIN);
}

static void datagrams_keep_their_bounds_and_their_senders(void **state)
{
	struct ep_name name = name_of(53);
	struct dgram_header to = { .peer = ADDRESS, .peer_port = 53 }, from;
	char text[8000], got[9000];
	struct iovec v = { text, 5 }, r = { got, sizeof(got) };
	uint32_t server, client;

	(void)state;
	memset(text, 'z', sizeof(text));
	assert_int_equal(client_open(c, EP_DATAGRAM, &server), 0);
	assert_int_equal(client_bind(c, server, &name), 0);
	assert_int_equal(client_open(c, EP_DATAGRAM, &client), 0);
	assert_int_equal(client_send_dgram(c, client, &(struct dgram_header){ 0 }, &v, 1), -EDESTADDRREQ);
	assert_int_equal(client_send_dgram(c, client, &to, &v, 1), 5);
	v.iov_len = sizeof(text);
	assert_int_equal(client_send_dgram(c, client, &to, &v, 1), sizeof(text));
	assert_int_equal(client_wait_line(c, server, EP_READABLE, soon()), 0);
	assert_int_equal(client_receive_queued(c, server), 5);
	assert_int_equal(client_recv_dgram(c, server, &from, &r, 1, 0), 5);
	r.iov_len = 100;
	assert_int_equal(client_wait_line(c, server, EP_READABLE, soon()), 0);
	assert_int_equal(client_recv_dgram(c, server, &from, &r, 1, 0), sizeof(text));
	assert_int_equal(client_recv_dgram(c, server, &from, &r, 1, 0), -EAGAIN);
	to.peer_port = from.peer_port;
	v.iov_len = 3;
	assert_int_equal(client_send_dgram(c, server, &to, &v, 1), 3);
	assert_int_equal(client_wait_line(c, client, EP_READABLE, soon()), 0);
	assert_int_equal(client_recv_dgram(c, client, &from, &r, 1, 0), 3);
	assert_int_equal(from.peer_port, 53);
	v.iov_len = 65508;
	assert_int_equal(client_send_dgram(c, client, &to, &v, 1), -EMSGSIZE);
}

static unsigned take(struct waitset *w, struct wait_event *e, unsigned n)
{
	world_settle(&world);
	return waitset_take(w, e, n);
}

static void a_waitset_hears_once_of_what_is_unread(void **state)
{
	uint32_t listener = listen_at(c, 80, 16), near = connect_to(c, 80), far;
	struct waitset *w;
	struct wait_event e[8];

	(void)state;
	assert_int_equal(client_set(c, near, EP_NODELAY, 1), 0);
	assert_int_equal(waitset_new(c, &w), 0);
	assert_int_equal(waitset_watch(w, listener, EP_READABLE, false, 1), 0);
	assert_int_equal(take(w, e, 8), 1);   /* it holds already */
	assert_int_equal(e[0].cookie, 1);
	assert_int_equal(e[0].line, listener);
	far = accept_from(c, listener);
	assert_int_equal(waitset_watch(w, far, EP_READABLE, false, 2), 0);
	assert_int_equal(take(w, e, 8), 0);
	send_text(c, near, "a", 1);
	world_settle(&world);
	send_text(c, near, "b", 1);
	assert_int_equal(take(w, e, 8), 1);   /* not taken yet: told once */
	assert_int_equal(e[0].cookie, 2);
	assert_true(e[0].mask & EP_READABLE);
	send_text(c, near, "c", 1);
	assert_int_equal(take(w, e, 8), 1);   /* taken: told again */
	assert_int_equal(waitset_unwatch(w, far), 0);
	send_text(c, near, "d", 1);
	assert_int_equal(take(w, e, 8), 0);
	waitset_free(w);
}

static void a_full_waitset_loses_nothing(void **state)
{
	enum { N = 3 * EVENT_SLOTS };
	struct waitset *w;
	struct wait_event e[64];
	bool seen[N] = { false };
	uint32_t id;
	unsigned i, n, all = 0;

	(void)state;
	assert_int_equal(waitset_new(c, &w), 0);
	for (i = 0; i < N; i++) {
		assert_int_equal(client_open(c, EP_DATAGRAM, &id), 0);
		assert_int_equal(waitset_watch(w, id, EP_WRITABLE, false, i), 0);
	}
	world_settle(&world);
	while ((n = take(w, e, 64))) {
		for (i = 0; i < n; i++) {
			assert_true(e[i].cookie < N);
			assert_false(seen[e[i].cookie]);
			seen[e[i].cookie] = true;
		}
		all += n;
	}
	assert_int_equal(all, N);
	waitset_free(w);
}

static void an_armed_waitset_is_rung_and_an_awake_one_is_not(void **state)
{
	uint32_t listener = listen_at(c, 80, 16), near = connect_to(c, 80), far = accept_from(c, listener);
	struct server_stats before, after;
	struct waitset *w;
	struct wait_event e[8];
	char byte;
	int fd;

	(void)state;
	assert_int_equal(client_set(c, near, EP_NODELAY, 1), 0);
	assert_int_equal(waitset_new(c, &w), 0);
	fd = waitset_eventfd(w);
	assert_true(fd >= 100);
	assert_true(client_owns_fd(c, fd));
	waitset_watch(w, far, EP_READABLE, false, 2);
	assert_int_equal(take(w, e, 8), 0);
	server_stats(world.server, &before);
	send_text(c, near, "a", 1);
	world_settle(&world);
	server_stats(world.server, &after);
	assert_int_equal(before.wakes, after.wakes);
	assert_int_equal(read(fd, &byte, 1), -1);
	assert_false(waitset_arm(w));          /* an event lies there */
	waitset_disarm(w);
	assert_int_equal(waitset_take(w, e, 8), 1);
	assert_true(waitset_arm(w));
	send_text(c, near, "b", 1);
	world_settle(&world);
	assert_int_equal(poll(&(struct pollfd){ .fd = fd, .events = POLLIN }, 1, 0), 1);
	assert_int_equal(waitset_take(w, e, 8), 1);
	waitset_disarm(w);
	assert_int_equal(read(fd, &byte, 1), -1);      /* disarm has read it empty */
	waitset_free(w);
}

/* As in poll(2): the descriptor to sleep on is asked for only after arming. */
static void an_event_before_the_pipe_is_asked_for_is_heard(void **state)
{
	uint32_t listener = listen_at(c, 80, 16), near = connect_to(c, 80), far = accept_from(c, listener);
	struct waitset *w;
	struct wait_event e[8];

	(void)state;
	assert_int_equal(client_set(c, near, EP_NODELAY, 1), 0);
	assert_int_equal(waitset_new(c, &w), 0);
	waitset_watch(w, far, EP_READABLE, false, 2);
	assert_int_equal(take(w, e, 8), 0);
	assert_true(waitset_arm(w));
	send_text(c, near, "a", 1);
	world_settle(&world);
	assert_int_equal(poll(&(struct pollfd){ .fd = waitset_eventfd(w), .events = POLLIN }, 1, 0), 1);
	waitset_disarm(w);
	assert_int_equal(waitset_take(w, e, 8), 1);
	waitset_free(w);
}

static void exclusive_watchers_share_and_the_dead_pass_on(void **state)
{
	uint32_t listener = listen_at(c, 80, 16);
	struct waitset *a, *b;
	struct wait_event e[8];

	(void)state;
	assert_int_equal(waitset_new(c, &a), 0);
	assert_int_equal(waitset_new(c, &b), 0);
	waitset_eventfd(a);
	waitset_eventfd(b);
	waitset_watch(a, listener, EP_READABLE, true, 1);
	waitset_watch(b, listener, EP_READABLE, true, 2);
	world_settle(&world);
	assert_true(waitset_arm(a));
	assert_true(waitset_arm(b));
	connect_to(c, 80);
	world_settle(&world);
	if (waitset_take(a, e, 8) == 1) {
		assert_int_equal(waitset_take(b, e, 8), 0);
		waitset_disarm(a);
		waitset_free(a);     /* died with the news */
		world_settle(&world);
		assert_int_equal(waitset_take(b, e, 8), 1);
		waitset_disarm(b);
		waitset_free(b);
	} else {
		assert_int_equal(waitset_take(b, e, 8), 1);
		waitset_disarm(b);
		waitset_free(b);
		world_settle(&world);
		assert_int_equal(waitset_take(a, e, 8), 1);
		waitset_disarm(a);
		waitset_free(a);
	}
}

static void closing_a_listener_resets_who_waits_in_it(void **state)
{
	uint32_t listener = listen_at(c, 80, 16), near = connect_to(c, 80);
	char byte;

	(void)state;
	world_settle(&world);
	client_close(c, listener);
	assert_int_equal(client_wait_line(c, near, EP_HANGUP, soon()), 0);
	assert_int_equal(recv_text(c, near, &byte, 1), -ECONNRESET);
	assert_int_equal(recv_text(c, near, &byte, 1), 0);
}

static void thousands_of_sockets_one_after_another_leak_nothing(void **state)
{
	uint32_t listener = listen_at(c, 80, 64);
	struct server_stats stats;
	unsigned i;

	(void)state;
	for (i = 0; i < 3000; i++) {
		uint32_t near = connect_to(c, 80), far = accept_from(c, listener);
		char byte = 'x';

		assert_int_equal(send_text(c, near, &byte, 1), 1);
		assert_int_equal(recv_text(c, far, &byte, 1), 1);
		client_abort(c, i & 1 ? near : far);
		assert_int_equal(client_wait_line(c, i & 1 ? far : near, EP_HANGUP, soon()), 0);
		client_close(c, i & 1 ? far : near);
	}
	world_settle(&world);
	server_stats(world.server, &stats);
	assert_int_equal(stats.lines, 1 + REGION_STOCK);
	assert_null(server_check(world.server));
}

static void a_reader_is_woken_when_another_thread_shuts_down(void **state)
{
	uint32_t listener = listen_at(c, 80, 16), near = connect_to(c, 80);
	char byte;

	(void)state;
	accept_from(c, listener);
	assert_int_equal(client_shutdown(c, near, EP_SHUT_READ), 0);
	assert_int_equal(client_wait_line(c, near, EP_READABLE, client_now() + NSEC_PER_SEC), 0);
	assert_int_equal(recv_text(c, near, &byte, 1), 0);
}

static void waits_end_in_time(void **state)
{
	uint32_t listener = listen_at(c, 80, 16);
	nsec before = client_now();
	struct waitset *w;

	(void)state;
	assert_int_equal(client_wait_line(c, listener, EP_READABLE, before + 20 * NSEC_PER_MSEC), -ETIMEDOUT);
	assert_true(client_now() - before >= 20 * NSEC_PER_MSEC);
	assert_int_equal(waitset_new(c, &w), 0);
	assert_int_equal(waitset_sleep(w, client_now() + 5 * NSEC_PER_MSEC), -ETIMEDOUT);
	waitset_free(w);
}

static void the_host_is_told(void **state)
{
	struct ipaddr own = ipaddr_from_ip4(__builtin_bswap32(0x7f000001)), other = ipaddr_from_ip4(__builtin_bswap32(0x0b000000));
	struct ipaddr foreign = ipaddr_from_ip4(__builtin_bswap32(0x0c000000));

	(void)state;
	assert_string_equal(client_host(c)->name, "here");
	assert_true(client_is_own_address(c, &own));
	assert_false(client_is_own_address(c, &other));
	assert_true(client_has_route(c, &own));
	assert_false(client_has_route(c, &other));
	assert_int_equal(stack_add_route(world.stack, &other, 8, &(struct ipaddr){ 0 }, stack_loopback(world.stack)), 0);
	assert_false(client_has_route(c, &other));
	server_host_changed(world.host);
	assert_true(client_has_route(c, &other));
	assert_false(client_has_route(c, &foreign));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(bytes_go_both_ways_and_the_end_is_seen),
		TEST(memory_that_comes_during_a_send_is_used),
		TEST(a_watch_outlives_an_unwatch_before_it_that_is_read_later),
		TEST(calls_are_answered_when_their_count_has_come_round),
		TEST(names_are_told),
		TEST(a_refused_connection_says_so),
		TEST(errors_of_calls_are_the_stacks),
		TEST(a_megabyte_grows_the_rings_and_arrives_whole),
		TEST(who_waits_for_room_before_each_write_gets_a_larger_ring),
		TEST(peek_leaves_and_discard_skips),
		TEST(datagrams_keep_their_bounds_and_their_senders),
		TEST(a_waitset_hears_once_of_what_is_unread),
		TEST(a_full_waitset_loses_nothing),
		TEST(an_armed_waitset_is_rung_and_an_awake_one_is_not),
		TEST(an_event_before_the_pipe_is_asked_for_is_heard),
		TEST(exclusive_watchers_share_and_the_dead_pass_on),
		TEST(closing_a_listener_resets_who_waits_in_it),
		TEST(thousands_of_sockets_one_after_another_leak_nothing),
		TEST(a_reader_is_woken_when_another_thread_shuts_down),
		TEST(waits_end_in_time),
		TEST(the_host_is_told),
	};

	return cmocka_run_group_tests_name("socket", tests, NULL, NULL);
}
