/* SPDX-License-Identifier: BSD-3-Clause */
/* What single calls promise of bytes: how much they move, how long they wait, what they leave. */
#include "dual.h"

#include <linux/sockios.h>

#define MANY 300000

/* covers: sock-recv-short */
TEST(a_receive_returns_what_there_is)
{
	char bytes[100];
	int p[2];

	tcp_pair(p);
	SEND(p[0], "abc");
	READABLE(p[1]);
	EQUAL(3, recv(p[1], bytes, sizeof(bytes), 0));
	SEND(p[0], "defgh");
	READABLE(p[1]);
	EQUAL(2, recv(p[1], bytes, 2, 0));
	EQUAL(3, recv(p[1], bytes, sizeof(bytes), 0));
	CHECK(memcmp(bytes, "fgh", 3) == 0);
}

/* covers: sock-recv-rst */
TEST(bytes_before_a_reset_are_read_first)
{
	struct linger now = { .l_onoff = 1 };
	char bytes[8];
	int p[2];

	tcp_pair(p);
	SEND(p[0], "last");
	READABLE(p[1]);
	EQUAL(0, setsockopt(p[0], SOL_SOCKET, SO_LINGER, &now, sizeof(now)));
	EQUAL(0, close(p[0]));
	CHECK(wait_for_events(p[1], POLLERR, 5000));
	EQUAL(2, recv(p[1], bytes, 2, 0));
	EQUAL(2, recv(p[1], bytes, sizeof(bytes), 0));
	CHECK(memcmp(bytes, "st", 2) == 0);
	FAILS(ECONNRESET, recv(p[1], bytes, sizeof(bytes), 0));
	EQUAL(0, recv(p[1], bytes, sizeof(bytes), 0));
}

/* covers: sock-accept-rst */
TEST(a_connection_reset_before_accept_is_accepted_and_tells)
{
	struct linger now = { .l_onoff = 1 };
	struct sockaddr_in name;
	int l = tcp_listen(&name), c = tcp_connect(&name), s;

	READABLE(l);
	EQUAL(0, setsockopt(c, SOL_SOCKET, SO_LINGER, &now, sizeof(now)));
	EQUAL(0, close(c));
	sleep_ms(100);
	s = accept(l, NULL, NULL);
	CHECK(s >= 0);
	FAILS(ECONNRESET, recv(s, (char[1]){ 0 }, 1, 0));
}

/* covers: sock-fionread */
TEST(unread_bytes_are_counted)
{
	struct sockaddr_in name;
	int p[2], n = -1, l = tcp_listen(NULL), u = udp_socket(&name), v = udp_socket(NULL);

	tcp_pair(p);
	SEND(p[0], "12345");
	EQUAL(0, shutdown(p[0], SHUT_WR));
	CHECK(wait_for_events(p[1], POLLRDHUP, 5000));
	EQUAL(0, ioctl(p[1], FIONREAD, &n));
	EQUAL(5, n);
	expect_text(p[1], "12");
	EQUAL(0, ioctl(p[1], FIONREAD, &n));
	EQUAL(3, n);
	FAILS(EINVAL, ioctl(l, FIONREAD, &n));
	EQUAL(3, sendto(v, "abc", 3, 0, (struct sockaddr *)&name, sizeof(name)));
	EQUAL(5, sendto(v, "defgh", 5, 0, (struct sockaddr *)&name, sizeof(name)));
	READABLE(u);
	EQUAL(0, ioctl(u, FIONREAD, &n));
	EQUAL(3, n);
}

/* covers: sock-siocoutq */
TEST(unacknowledged_and_unsent_bytes_are_counted)
{
	static char sink[1 << 16];
	int p[2], queued = -1, unsent = -1;

	tcp_pair(p);
	fill(p[0]);
	EQUAL(0, ioctl(p[0], SIOCOUTQ, &queued));
	EQUAL(0, ioctl(p[0], SIOCOUTQNSD, &unsent));
	CHECK(queued > 0 && unsent > 0 && unsent <= queued);
	for (int i = 0; i < 2000 && (queued > 0 || unsent > 0); i++) {
		while (recv(p[1], sink, sizeof(sink), MSG_DONTWAIT) > 0)
			;
		sleep_ms(2);
		EQUAL(0, ioctl(p[0], SIOCOUTQ, &queued));
		EQUAL(0, ioctl(p[0], SIOCOUTQNSD, &unsent));
	}
	EQUAL(0, queued);
	EQUAL(0, unsent);
}

static char pattern(int position)
{
	return (char)(position * 31 >> 3);
}

static int pieces(struct iovec *v, char *bytes, int n, unsigned *seed)
{
	int count = 0, at = 0;

	while (at < n && count < 12) {
		int size = rand_r(seed) % 5 == 0 ? 0 : rand_r(seed) % 3000;

		size = size < n - at && count < 11 ? size : n - at;
		v[count++] = (struct iovec){ bytes + at, (size_t)size };
		at += size;
	}
	return count;
}

/* covers: sock-readv */
TEST(pieces_are_one_stream)
{
	static char out[20000], in[20000];
	struct iovec v[12];
	unsigned seed = 5;
	int p[2];

	tcp_pair(p);
	for (int i = 0; i < (int)sizeof(out); i++)
		out[i] = pattern(i);
	for (int round = 0; round < 40; round++) {
		int got = 0;

		if (round % 2)
			EQUAL(sizeof(out), writev(p[0], v, pieces(v, out, sizeof(out), &seed)));
		else
			EQUAL(sizeof(out), sendmsg(p[0], &(struct msghdr){ .msg_iov = v,
				.msg_iovlen = (size_t)pieces(v, out, sizeof(out), &seed) }, 0));
		memset(in, 0, sizeof(in));
		while (got < (int)sizeof(in)) {
			int count = pieces(v, in + got, (int)sizeof(in) - got, &seed);
			ssize_t n = round % 3 ? readv(p[1], v, count) :
				    recvmsg(p[1], &(struct msghdr){ .msg_iov = v, .msg_iovlen = (size_t)count }, 0);

			CHECK(n > 0);
			got += (int)n;
		}
		CHECK(memcmp(in, out, sizeof(in)) == 0);
	}
}

static void *read_slowly(void *argument)
{
	static char sink[8192];
	intptr_t n = 0;
	ssize_t got;

	while (n < MANY * 10 && (got = recv(*(int *)argument, sink, sizeof(sink), 0)) > 0) {
		n += got;
		if (n % 200000 < 8192)
			sleep_ms(5);
	}
	return (void *)n;
}

/* covers: sock-send-block */
TEST(a_blocking_send_queues_all_of_it)
{
	static char block[MANY * 10];
	int p[2];
	void *read;
	pthread_t t;

	tcp_pair(p);
	EQUAL(0, pthread_create(&t, NULL, read_slowly, &p[1]));
	EQUAL(sizeof(block), send(p[0], block, sizeof(block), 0));
	pthread_join(t, &read);
	EQUAL(sizeof(block), (intptr_t)read);
}

/* covers: sock-sndtimeo */
TEST(a_send_out_of_time_says_how_far_it_came)
{
	static char block[32 << 20];
	struct timeval t = { 0, 100000 };
	int p[2];
	int64_t start = 0;
	ssize_t n;

	tcp_pair(p);
	EQUAL(0, setsockopt(p[0], SOL_SOCKET, SO_SNDTIMEO, &t, sizeof(t)));
	n = send(p[0], block, sizeof(block), 0);
	CHECK(n > 0 && n < (ssize_t)sizeof(block));
	/* A peer that does not read may still take a little. */
	for (int i = 0; i < 100 && n > 0; i++) {
		start = now_ms();
		n = send(p[0], block, sizeof(block), 0);
	}
	EQUAL(-1, n);
	EQUAL(EAGAIN, errno);
	CHECK(now_ms() - start >= 90);
}

/* covers: sock-send-notconn */
TEST(sending_without_a_peer)
{
	FAILS(EPIPE, send(socket(AF_INET, SOCK_STREAM, 0), "x", 1, MSG_NOSIGNAL));
	FAILS(EDESTADDRREQ, send(socket(AF_INET, SOCK_DGRAM, 0), "x", 1, 0));
}

/* covers: sock-shut-rd */
TEST(what_was_queued_before_shut_rd_is_read)
{
	int p[2], n = -1;

	tcp_pair(p);
	SEND(p[0], "queued");
	READABLE(p[1]);
	EQUAL(0, shutdown(p[1], SHUT_RD));
	expect_text(p[1], "queued");
	EQUAL(0, recv(p[1], (char[1]){ 0 }, 1, 0));
	EQUAL(0, recv(p[0], (char[1]){ 0 }, 1, MSG_DONTWAIT) >= 0);     /* nothing went to the peer */
	EQUAL(EAGAIN, errno);
	SEND(p[0], "more");
	for (int i = 0; i < 1000 && (ioctl(p[0], SIOCOUTQ, &n) != 0 || n != 0); i++)
		sleep_ms(2);
	EQUAL(0, n);            /* and what still comes is acknowledged */
}

/* covers: sock-linger-on */
TEST(close_lingers_until_all_is_acknowledged_or_time_is_up)
{
	const struct linger one_second = { 1, 1 };
	int p[2], q[2];
	int64_t start;

	tcp_pair(p);
	EQUAL(0, setsockopt(p[0], SOL_SOCKET, SO_LINGER, &one_second, sizeof(one_second)));
	SEND(p[0], "small");
	start = now_ms();
	EQUAL(0, close(p[0]));
	CHECK(now_ms() - start < 900);
	expect_text(p[1], "small");
	tcp_pair(q);
	EQUAL(0, setsockopt(q[0], SOL_SOCKET, SO_LINGER, &one_second, sizeof(one_second)));
	fill(q[0]);
	start = now_ms();
	EQUAL(0, close(q[0]));
	CHECK(now_ms() - start >= 900);
}

/* covers: sock-nonblock */
TEST(blocking_is_chosen_anew_for_each_call)
{
	struct timeval soon = { 0, 30000 };
	int p[2], on = 1, off = 0, s = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	struct sockaddr_in name;
	int64_t start;

	tcp_pair(p);
	EQUAL(0, setsockopt(p[0], SOL_SOCKET, SO_RCVTIMEO, &soon, sizeof(soon)));
	for (int i = 0; i < 2; i++) {
		if (i == 0)
			EQUAL(0, fcntl(p[0], F_SETFL, fcntl(p[0], F_GETFL) | O_NONBLOCK));
		else
			EQUAL(0, ioctl(p[0], FIONBIO, &on));
		start = now_ms();
		for (int k = 0; k < 10; k++)
			FAILS(EAGAIN, recv(p[0], (char[1]){ 0 }, 1, 0));
		CHECK(now_ms() - start < 250);
		if (i == 0)
			EQUAL(0, fcntl(p[0], F_SETFL, fcntl(p[0], F_GETFL) & ~O_NONBLOCK));
		else
			EQUAL(0, ioctl(p[0], FIONBIO, &off));
		start = now_ms();
		FAILS(EAGAIN, recv(p[0], (char[1]){ 0 }, 1, 0));
		CHECK(now_ms() - start >= 25);
	}
	tcp_listen(&name);
	if (connect(s, (struct sockaddr *)&name, sizeof(name)) < 0)
		EQUAL(EINPROGRESS, errno);
	WRITABLE(s);
	FAILS(EAGAIN, recv(s, (char[1]){ 0 }, 1, 0));
}

/* covers: sock-poll-nval */
TEST(poll_of_closed_and_negative_numbers)
{
	struct pollfd p[3] = { { .fd = -1, .events = POLLIN, .revents = 77 }, { .events = POLLIN }, { .events = POLLIN } };
	int q[2];
	int64_t start = now_ms();

	tcp_pair(q);
	p[1].fd = dup(q[0]);
	close(p[1].fd);
	p[2].fd = q[0];
	EQUAL(1, poll(p, 3, -1));
	EQUAL(0, p[0].revents);
	EQUAL(POLLNVAL, p[1].revents);
	EQUAL(0, p[2].revents);
	EQUAL(0, poll(&p[2], 1, 0));
	EQUAL(0, poll(&p[2], 1, 80));
	CHECK(now_ms() - start >= 75);
}

static void *receive_a_byte(void *argument)
{
	char byte = 0;

	EQUAL(1, recv(*(int *)argument, &byte, 1, 0));
	return NULL;
}

/* covers: sock-thread-wake */
TEST(each_arrival_wakes_one_that_makes_progress)
{
	pthread_t t[2];
	int p[2];

	tcp_pair(p);
	for (int i = 0; i < 2; i++)
		EQUAL(0, pthread_create(&t[i], NULL, receive_a_byte, &p[1]));
	sleep_ms(50);
	SEND(p[0], "a");
	sleep_ms(20);
	SEND(p[0], "b");
	for (int i = 0; i < 2; i++)
		pthread_join(t[i], NULL);
	for (int i = 0; i < 2; i++)
		EQUAL(0, pthread_create(&t[i], NULL, receive_a_byte, &p[1]));
	sleep_ms(50);
	SEND(p[0], "cd");       /* both bytes at once: neither may sleep on while one is there */
	for (int i = 0; i < 2; i++)
		pthread_join(t[i], NULL);
}

/* covers: sock-eintr */
TEST(an_interrupted_send_says_how_far_it_came)
{
	static char block[32 << 20];
	int p[2];
	ssize_t n;

	tcp_pair(p);
	count_signal(SIGUSR1, 0);
	signal_after(SIGUSR1, 300);
	n = send(p[0], block, sizeof(block), 0);
	CHECK(n > 0 && n < (ssize_t)sizeof(block));
	EQUAL(1, signals_seen);
	fill(p[0]);
	signal_after(SIGUSR1, 300);
	FAILS(EINTR, send(p[0], block, sizeof(block), 0));
}

/* covers: sock-opt-errors */
TEST(options_of_what_is_no_socket)
{
	int value = 1, pipes[2];

	EQUAL(0, pipe(pipes));
	FAILS(ENOTSOCK, setsockopt(pipes[0], SOL_SOCKET, SO_KEEPALIVE, &value, sizeof(value)));
	FAILS(EBADF, setsockopt(-1, SOL_SOCKET, SO_KEEPALIVE, &value, sizeof(value)));
}

/* covers: sock-reuseport-all */
TEST(all_must_share_a_port)
{
	struct sockaddr_in name = dual_address(0);
	int a = socket(AF_INET, SOCK_STREAM, 0), b = socket(AF_INET, SOCK_STREAM, 0), on = 1;

	EQUAL(0, bind(a, (struct sockaddr *)&name, sizeof(name)));
	EQUAL(0, listen(a, 4));
	name = local_name(a);
	EQUAL(0, setsockopt(b, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)));
	FAILS(EADDRINUSE, bind(b, (struct sockaddr *)&name, sizeof(name)));
}

static int64_t arrival(int fd, int64_t start)
{
	READABLE(fd);
	return now_ms() - start;
}

/* covers: sock-send-more */
TEST(more_holds_a_part_of_a_segment_back)
{
	static char large[20000], in[20001];
	int p[2];
	int64_t start;

	tcp_pair(p);
	EQUAL(3, send(p[0], "abc", 3, MSG_MORE));
	CHECK(!wait_for_events(p[1], POLLIN, SHORT));
	EQUAL(1, send(p[0], "d", 1, 0));
	expect_text(p[1], "abcd");
	start = now_ms();
	EQUAL(3, send(p[0], "efg", 3, MSG_MORE));
	CHECK(arrival(p[1], start) >= 100);     /* 200 ms, or the RTO */
	expect_text(p[1], "efg");
	EQUAL(sizeof(large), send(p[0], large, sizeof(large), MSG_MORE));
	READABLE(p[1]);                          /* full segments go */
	SEND(p[0], "!");
	recv_all(p[1], in, sizeof(in));
}

/* covers: sock-tcp-maxseg */
TEST(a_segment_size_is_announced_and_used)
{
	struct sockaddr_in name;
	int l = tcp_listen(&name), c = socket(AF_INET, SOCK_STREAM, 0), s, size = 600, got = 0;
	socklen_t n = sizeof(got);

	EQUAL(0, setsockopt(c, IPPROTO_TCP, TCP_MAXSEG, &size, sizeof(size)));
	connect_to(c, &name);
	s = accept(l, NULL, NULL);
	EQUAL(0, getsockopt(s, IPPROTO_TCP, TCP_MAXSEG, &got, &n));
	CHECK(got <= 600 && got >= 560);
	EQUAL(0, getsockopt(c, IPPROTO_TCP, TCP_MAXSEG, &got, &n));
	CHECK(got <= 600 && got >= 560);
}

/* covers: sock-pollout */
TEST(a_little_room_is_not_writable)
{
	static char sink[1 << 16];
	int p[2];

	tcp_pair(p);
	fill(p[0]);
	CHECK(!wait_for_events(p[0], POLLOUT, SHORT));
	EQUAL(1000, recv(p[1], sink, 1000, MSG_WAITALL));
	CHECK(!wait_for_events(p[0], POLLOUT, SHORT));
	for (int i = 0; i < 4000 && !wait_for_events(p[0], POLLOUT, 0); i++)
		if (recv(p[1], sink, sizeof(sink), MSG_DONTWAIT) < 0)
			sleep_ms(2);
	WRITABLE(p[0]);
}
