/* SPDX-License-Identifier: BSD-3-Clause */
/* How much: SO_RCVLOWAT, before which nobody is told; SO_SNDBUF and SO_RCVBUF, beyond which nothing goes. */
#include "dual.h"

static int get(int s, int name)
{
	int value = -12345;
	socklen_t n = sizeof(value);

	EQUAL(0, getsockopt(s, SOL_SOCKET, name, &value, &n));
	return value;
}

static void set(int s, int name, int value)
{
	EQUAL(0, setsockopt(s, SOL_SOCKET, name, &value, sizeof(value)));
}

static void timeout_of(int s, int ms)
{
	struct timeval t = { ms / 1000, ms % 1000 * 1000 };

	EQUAL(0, setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t)));
}

static bool is_kernel(void)
{
	const char *world = getenv("DUAL_WORLD");

	return !world || strcmp(world, "kernel") == 0;
}

static const char bytes[200];

static void put(int s, size_t n)
{
	EQUAL(n, send(s, bytes, n, MSG_NOSIGNAL));
}

static void wait_queued(int s, int n)
{
	int queued = 0;

	for (int i = 0; i < 500 && queued < n; i++) {
		EQUAL(0, ioctl(s, FIONREAD, &queued));
		if (queued < n)
			sleep_ms(10);
	}
	CHECK(queued >= n);
}

/* A pair of which the second reads by a low-water mark. */
static void low_pair(int p[2], int low)
{
	tcp_pair(p);
	set(p[1], SO_RCVLOWAT, low);
	EQUAL(low, get(p[1], SO_RCVLOWAT));
}

/* Sends n bytes after so many ms, and m after as many more. */
static void put_later(int s, int ms, size_t n, size_t m)
{
	if (dual_fork() == 0) {
		sleep_ms(ms);
		put(s, n);
		sleep_ms(ms);
		if (m > 0)
			put(s, m);
		_exit(0);
	}
}

static bool select_readable(int s, int ms)
{
	struct timeval t = { 0, ms * 1000 };
	fd_set r;

	FD_ZERO(&r);
	FD_SET(s, &r);
	return select(s + 1, &r, NULL, NULL, &t) == 1;
}

static int watching(int s, uint32_t events)
{
	struct epoll_event e = { .events = events };
	int ep = epoll_create1(0);

	CHECK(ep >= 0);
	EQUAL(0, epoll_ctl(ep, EPOLL_CTL_ADD, s, &e));
	return ep;
}

static uint32_t next_event(int ep, int ms)
{
	struct epoll_event e = { 0 };
	int n = epoll_wait(ep, &e, 1, ms);

	CHECK(n >= 0);
	return n ? e.events : 0;
}

/* covers: sock-rcvlowat */
TEST(readable_only_when_enough_is_queued)
{
	int p[2], ep;

	low_pair(p, 100);
	ep = watching(p[1], EPOLLIN);
	put(p[0], 99);
	wait_queued(p[1], 99);
	CHECK(!wait_for_events(p[1], POLLIN, SHORT));
	CHECK(!select_readable(p[1], SHORT));
	EQUAL(0, next_event(ep, SHORT));
	put(p[0], 1);
	CHECK(wait_for_events(p[1], POLLIN, 5000));
	CHECK(select_readable(p[1], 500));
	EQUAL(EPOLLIN, next_event(ep, 5000));
	EQUAL(1, recv(p[1], (char[1]){ 0 }, 1, MSG_DONTWAIT));
	CHECK(!wait_for_events(p[1], POLLIN, 0));
	CHECK(!select_readable(p[1], 0));
	EQUAL(0, next_event(ep, 0));
}

/* Both kinds of sleep: on the socket alone, and beside a descriptor of the kernel. */
/* covers: sock-rcvlowat */
TEST(sleepers_are_woken_by_the_last_byte)
{
	int p[2], pipes[2];
	struct pollfd two[2];
	int64_t from = now_ms();

	low_pair(p, 100);
	EQUAL(0, pipe(pipes));
	put_later(p[0], 100, 60, 40);
	CHECK(wait_for_events(p[1], POLLIN, 5000));
	CHECK(now_ms() - from >= 150);
	EQUAL(100, recv(p[1], (char[200]){ 0 }, 200, 0));
	from = now_ms();
	put_later(p[0], 100, 60, 40);
	two[0] = (struct pollfd){ .fd = pipes[0], .events = POLLIN };
	two[1] = (struct pollfd){ .fd = p[1], .events = POLLIN };
	EQUAL(1, poll(two, 2, 5000));
	CHECK(now_ms() - from >= 150);
	EQUAL(POLLIN, two[1].revents);
}

/* covers: sock-rcvlowat */
TEST(an_edge_needs_enough)
{
	int p[2], ep, both;

	low_pair(p, 100);
	ep = watching(p[1], EPOLLIN | EPOLLET);
	both = watching(p[1], EPOLLIN | EPOLLOUT | EPOLLET);
	EQUAL(EPOLLOUT, next_event(both, 5000));
	put(p[0], 60);
	EQUAL(0, next_event(ep, SHORT));
	EQUAL(0, next_event(both, SHORT));
	put(p[0], 40);
	EQUAL(EPOLLIN, next_event(ep, 5000));
	EQUAL(EPOLLIN | EPOLLOUT, next_event(both, 5000));
	EQUAL(0, next_event(ep, SHORT));
	put(p[0], 1);
	EQUAL(EPOLLIN, next_event(ep, 5000));
	EQUAL(101, recv(p[1], (char[200]){ 0 }, 200, 0));
	put(p[0], 99);
	EQUAL(0, next_event(ep, SHORT));
	put_later(p[0], 50, 1, 0);
	EQUAL(EPOLLIN, next_event(ep, 5000));
}

/* covers: sock-rcvlowat */
TEST(a_receiver_waits_for_the_mark)
{
	char into[200];
	int64_t from = now_ms();
	int p[2];

	low_pair(p, 100);
	put_later(p[0], 100, 60, 40);
	EQUAL(100, recv(p[1], into, 200, 0));
	CHECK(now_ms() - from >= 150);
	put(p[0], 60);
	wait_queued(p[1], 60);
	from = now_ms();
	put_later(p[0], 100, 140, 0);
	EQUAL(200, recv(p[1], into, 200, 0));
	CHECK(now_ms() - from >= 80);
}

/* covers: sock-rcvlowat */
TEST(a_receiver_of_less_waits_for_less)
{
	char into[200];
	int p[2];

	low_pair(p, 100);
	put(p[0], 60);
	wait_queued(p[1], 60);
	EQUAL(10, recv(p[1], into, 10, 0));
	EQUAL(50, recv(p[1], into, 50, MSG_WAITALL));
	/* Asleep on an empty socket Linux is woken by the mark only, though less would do. */
	if (!is_kernel()) {
		put_later(p[0], 50, 10, 0);
		EQUAL(10, recv(p[1], into, 10, 0));
	}
	put(p[0], 60);
	wait_queued(p[1], 60);
	EQUAL(60, recv(p[1], into, 200, MSG_DONTWAIT));
	FAILS(EAGAIN, recv(p[1], into, 200, MSG_DONTWAIT));
	put(p[0], 60);
	wait_queued(p[1], 60);
	timeout_of(p[1], 100);
	EQUAL(60, recv(p[1], into, 200, 0));
	FAILS(EAGAIN, recv(p[1], into, 200, 0));
}

/* covers: sock-rcvlowat sock-recv-peek */
TEST(a_peek_waits_for_the_mark_too)
{
	char into[200];
	int64_t from = now_ms();
	int p[2];

	low_pair(p, 100);
	put_later(p[0], 100, 60, 40);
	EQUAL(100, recv(p[1], into, 200, MSG_PEEK));
	CHECK(now_ms() - from >= 150);
	EQUAL(100, recv(p[1], into, 200, 0));
	put(p[0], 60);
	timeout_of(p[1], 100);
	EQUAL(60, recv(p[1], into, 200, MSG_PEEK));
	EQUAL(60, recv(p[1], into, 61, MSG_PEEK | MSG_WAITALL));
	EQUAL(30, recv(p[1], into, 30, MSG_PEEK));
	EQUAL(60, recv(p[1], into, 200, MSG_DONTWAIT));
	timeout_of(p[1], 0);
	set(p[1], SO_RCVLOWAT, 1);
	put_later(p[0], 100, 60, 40);
	EQUAL(100, recv(p[1], into, 100, MSG_PEEK | MSG_WAITALL));
}

/* covers: sock-rcvlowat */
TEST(the_end_needs_no_mark)
{
	struct linger hard = { 1, 0 };
	char into[200];
	int p[2], ep;

	low_pair(p, 100);
	ep = watching(p[1], EPOLLIN | EPOLLET);
	put(p[0], 60);
	wait_queued(p[1], 60);
	EQUAL(0, shutdown(p[0], SHUT_WR));
	READABLE(p[1]);
	EQUAL(EPOLLIN, next_event(ep, 5000));
	EQUAL(60, recv(p[1], into, 200, 0));
	EQUAL(0, recv(p[1], into, 200, 0));
	low_pair(p, 100);
	put(p[0], 60);
	wait_queued(p[1], 60);
	EQUAL(0, setsockopt(p[0], SOL_SOCKET, SO_LINGER, &hard, sizeof(hard)));
	EQUAL(0, close(p[0]));
	READABLE(p[1]);
	EQUAL(60, recv(p[1], into, 200, 0));
	FAILS(ECONNRESET, recv(p[1], into, 200, 0));
}

static void *lower_later(void *socket)
{
	sleep_ms(100);
	set(*(int *)socket, SO_RCVLOWAT, 60);
	return NULL;
}

/* covers: sock-rcvlowat */
TEST(a_lower_mark_wakes_who_waits)
{
	pthread_t t;
	int p[2], ep;

	low_pair(p, 100);
	put(p[0], 60);
	wait_queued(p[1], 60);
	EQUAL(0, pthread_create(&t, NULL, lower_later, &p[1]));
	CHECK(wait_for_events(p[1], POLLIN, 5000));
	pthread_join(t, NULL);
	set(p[1], SO_RCVLOWAT, 100);
	ep = watching(p[1], EPOLLIN | EPOLLET);
	EQUAL(0, next_event(ep, 0));
	EQUAL(0, pthread_create(&t, NULL, lower_later, &p[1]));
	EQUAL(EPOLLIN, next_event(ep, 5000));
	pthread_join(t, NULL);
}

/* covers: sock-rcvlowat */
TEST(a_mark_is_bounded_by_the_buffer)
{
	static char sink[1 << 16];
	struct sockaddr_in name;
	int l = tcp_listen(&name), s, c, mark;

	set(l, SO_RCVBUF, 8192);
	s = tcp_connect(&name);
	c = accept(l, NULL, NULL);
	set(c, SO_RCVLOWAT, -1);
	mark = get(c, SO_RCVLOWAT);
	CHECK(mark > 1 && mark <= 16384);
	fill(s);
	READABLE(c);
	while (recv(c, sink, sizeof(sink), MSG_DONTWAIT) > 0)
		;
	EQUAL(EAGAIN, errno);
	set(c, SO_RCVLOWAT, 0);
	EQUAL(1, get(c, SO_RCVLOWAT));
}

/* A mark beyond what the window began with: the window opens for it. */
/* covers: sock-rcvlowat */
TEST(a_large_mark_makes_the_buffer_grow)
{
	static char block[1 << 20], into[1 << 20];
	int p[2], queued = 0;

	low_pair(p, sizeof(block));
	for (size_t i = 0; i < sizeof(block); i++)
		block[i] = (char)(i * 7 >> 4);
	if (dual_fork() == 0) {
		send_all(p[0], block, sizeof(block));
		_exit(0);
	}
	CHECK(wait_for_events(p[1], POLLIN, 10000));
	EQUAL(0, ioctl(p[1], FIONREAD, &queued));
	EQUAL(sizeof(block), queued);
	EQUAL(sizeof(into), recv(p[1], into, sizeof(into), 0));
	CHECK(memcmp(into, block, sizeof(into)) == 0);
}

/* covers: sock-rcvlowat */
TEST(datagrams_know_no_mark)
{
	struct sockaddr_in name;
	int s = udp_socket(&name), from = udp_socket(NULL);

	set(s, SO_RCVLOWAT, 100);
	EQUAL(100, get(s, SO_RCVLOWAT));
	EQUAL(1, sendto(from, "x", 1, 0, (struct sockaddr *)&name, sizeof(name)));
	READABLE(s);
	EQUAL(1, recv(s, (char[200]){ 0 }, 200, 0));
}

/* covers: sock-rcvlowat */
TEST(a_mark_is_inherited_and_no_listener_has_one)
{
	struct sockaddr_in name;
	int l = tcp_listen(&name), s, c;

	set(l, SO_RCVLOWAT, 100);
	s = tcp_connect(&name);
	READABLE(l);
	c = accept(l, NULL, NULL);
	EQUAL(100, get(c, SO_RCVLOWAT));
	put(s, 99);
	wait_queued(c, 99);
	CHECK(!wait_for_events(c, POLLIN, SHORT));
	put(s, 1);
	READABLE(c);
}

/* ---- buffers ---- */

/* What a sender gets rid of while nobody reads. */
static long capacity(int from)
{
	static char block[16384];
	long all = 0;
	int quiet = 0;

	while (quiet < 3) {
		ssize_t n = send(from, block, sizeof(block), MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n > 0)
			all += n;
		quiet = n > 0 ? 0 : quiet + 1;
		if (n <= 0)
			sleep_ms(20);
	}
	return all;
}

static void drain(int s, long n)
{
	static char sink[65536];

	while (n > 0) {
		ssize_t got = recv(s, sink, n < (long)sizeof(sink) ? (size_t)n : sizeof(sink), 0);

		CHECK(got > 0);
		n -= got;
	}
}

/* The most that may be set: the kernel's has a setting, Light's is Linux's default. */
static int most(const char *setting)
{
	int value = 212992;
	FILE *f;

	if (is_kernel()) {
		f = fopen(setting, "r");
		CHECK(f && fscanf(f, "%d", &value) == 1);
		fclose(f);
	}
	return value;
}

/* covers: sock-sndbuf */
TEST(buffers_read_twice_what_was_set_within_bounds)
{
	const int types[2] = { SOCK_STREAM, SOCK_DGRAM };

	for (int i = 0; i < 2; i++) {
		int s = socket(AF_INET, types[i], 0);

		for (int placed = 0; placed < 2; placed++) {
			set(s, SO_SNDBUF, 30000);
			set(s, SO_RCVBUF, 40000);
			EQUAL(60000, get(s, SO_SNDBUF));
			EQUAL(80000, get(s, SO_RCVBUF));
			set(s, SO_SNDBUF, 1);
			set(s, SO_RCVBUF, 1);
			EQUAL(4608, get(s, SO_SNDBUF));
			EQUAL(2304, get(s, SO_RCVBUF));
			set(s, SO_SNDBUF, 1 << 30);
			set(s, SO_RCVBUF, 1 << 30);
			EQUAL(2 * most("/proc/sys/net/core/wmem_max"), get(s, SO_SNDBUF));
			EQUAL(2 * most("/proc/sys/net/core/rmem_max"), get(s, SO_RCVBUF));
			if (!placed) {
				struct sockaddr_in name = dual_address(0);

				EQUAL(0, bind(s, (struct sockaddr *)&name, sizeof(name)));
			}
		}
		close(s);
	}
}

/* What would make both sides grow: a reader that keeps up with a writer that never waits. */
static void keep_up(int writer, int reader, long left_over)
{
	const long much = 8 << 20;
	pid_t child = dual_fork();

	if (child == 0) {
		static char block[65536];

		for (long sent = 0; sent < much; sent += (long)sizeof(block))
			send_all(writer, block, sizeof(block));
		_exit(0);
	}
	drain(reader, left_over + much);
	child_ok(child);
}

/* covers: sock-sndbuf */
TEST(a_set_buffer_is_not_tuned)
{
	struct sockaddr_in name;
	int l = tcp_listen(&name), s = socket(AF_INET, SOCK_STREAM, 0), c;
	int send_size, receive_size;
	long held;

	set(l, SO_RCVBUF, 16384);
	set(s, SO_SNDBUF, 16384);
	connect_to(s, &name);
	c = accept(l, NULL, NULL);
	send_size = get(s, SO_SNDBUF);
	receive_size = get(c, SO_RCVBUF);
	EQUAL(32768, send_size);
	EQUAL(32768, receive_size);
	held = capacity(s);
	CHECK(held > 0 && held <= send_size + receive_size);
	keep_up(s, c, held);
	EQUAL(send_size, get(s, SO_SNDBUF));
	EQUAL(receive_size, get(c, SO_RCVBUF));
	held = capacity(s);
	CHECK(held > 0 && held <= send_size + receive_size);
}

/* covers: sock-sndbuf */
TEST(buffers_that_were_not_set_grow)
{
	int p[2];

	tcp_pair(p);
	keep_up(p[0], p[1], 0);
	CHECK(capacity(p[0]) > 4 * (32768 + 32768));
}

/* ---- unsent ---- */

static int unsent(int s)
{
	int n = -1;

	EQUAL(0, ioctl(s, 0x894B /* SIOCOUTQNSD */, &n));
	return n;
}

static void read_all(int from, int to)
{
	static char sink[65536];

	for (int i = 0; i < 500 && unsent(from) > 0; i++)
		if (recv(to, sink, sizeof(sink), MSG_DONTWAIT) < 0)
			sleep_ms(5);
	EQUAL(0, unsent(from));
}

/* Little waits to be sent, however large the buffer, and room is told when it has gone. */
/* covers: sock-notsent-lowat */
TEST(unsent_bytes_are_bounded)
{
	static char some[1000];
	int p[2], low = 16384, ep;

	tcp_pair(p);
	keep_up(p[0], p[1], 0);
	fill(p[0]);
	CHECK(unsent(p[0]) > low + 2 * 65536);
	read_all(p[0], p[1]);
	EQUAL(0, setsockopt(p[0], IPPROTO_TCP, TCP_NOTSENT_LOWAT, &low, sizeof(low)));
	ep = watching(p[0], EPOLLOUT | EPOLLET);
	EQUAL(EPOLLOUT, next_event(ep, 1000));
	fill(p[0]);
	CHECK(unsent(p[0]) >= low && unsent(p[0]) <= low + 2 * 65536);
	EQUAL(0, wait_for_events(p[0], POLLOUT, SHORT));
	while (next_event(ep, 0))
		;
	read_all(p[0], p[1]);
	EQUAL(EPOLLOUT, next_event(ep, 5000));
	WRITABLE(p[0]);
	/* Of a peer that reads, nothing is noticed. */
	set_nonblocking(p[1]);
	for (int i = 0; i < 2000; i++) {
		char sink[4096];

		WRITABLE(p[0]);
		EQUAL(sizeof(some), send(p[0], some, sizeof(some), MSG_DONTWAIT));
		while (recv(p[1], sink, sizeof(sink), 0) > 0)
			;
	}
}
