/* SPDX-License-Identifier: BSD-3-Clause */
/* Several threads on the same sockets, and large transfers in both directions with a hash. */
#include "dual.h"

enum { BIG = 24 << 20 };

static uint64_t mix(uint64_t hash, const unsigned char *bytes, size_t n)
{
	for (size_t i = 0; i < n; i++)
		hash = (hash ^ bytes[i]) * UINT64_C(0x100000001b3);
	return hash;
}

struct stream {
	int fd;
	size_t bytes;
	uint64_t seed, hash;
};

static void *produce(void *argument)
{
	struct stream *s = argument;
	unsigned char block[40000];
	uint64_t x = s->seed;

	for (size_t done = 0; done < s->bytes;) {
		size_t n = 1 + x % sizeof(block);

		n = n < s->bytes - done ? n : s->bytes - done;
		for (size_t i = 0; i < n; i++) {
			x ^= x << 13;
			x ^= x >> 7;
			x ^= x << 17;
			block[i] = (unsigned char)x;
		}
		send_all(s->fd, block, n);
		s->hash = mix(s->hash, block, n);
		done += n;
	}
	EQUAL(0, shutdown(s->fd, SHUT_WR));
	return NULL;
}

static void *consume(void *argument)
{
	struct stream *s = argument;
	static _Thread_local unsigned char block[100000];
	ssize_t n;

	while ((n = recv(s->fd, block, sizeof(block), 0)) > 0) {
		s->hash = mix(s->hash, block, (size_t)n);
		s->bytes += (size_t)n;
	}
	EQUAL(0, n);
	return NULL;
}

TEST(large_transfer_in_both_directions)
{
	int p[2];
	pthread_t t[4];

	tcp_pair(p);
	struct stream out[2] = { { p[0], BIG, 11, 7 }, { p[1], BIG, 22, 7 } }, in[2] = { { p[1], 0, 0, 7 }, { p[0], 0, 0, 7 } };

	for (int i = 0; i < 2; i++) {
		EQUAL(0, pthread_create(&t[i], NULL, produce, &out[i]));
		EQUAL(0, pthread_create(&t[2 + i], NULL, consume, &in[i]));
	}
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	for (int i = 0; i < 2; i++) {
		EQUAL(BIG, in[i].bytes);
		CHECK(in[i].hash == out[i].hash);
	}
}

/* One thread, edge-triggered, as an event-driven server does it. */
TEST(large_transfer_by_edges)
{
	static unsigned char block[1 << 16];
	struct epoll_event event;
	int e = epoll_create1(0), p[2];
	size_t sent = 0, got = 0;

	tcp_pair(p);
	for (int i = 0; i < 2; i++) {
		set_nonblocking(p[i]);
		event = (struct epoll_event){ .events = (i ? EPOLLIN : EPOLLOUT) | EPOLLET, .data.u32 = (uint32_t)i };
		EQUAL(0, epoll_ctl(e, EPOLL_CTL_ADD, p[i], &event));
	}
	while (got < BIG) {
		ssize_t n;

		EQUAL(1, epoll_wait(e, &event, 1, 5000));
		if (event.data.u32 == 1) {
			while ((n = recv(p[1], block, sizeof(block), 0)) > 0)
				got += (size_t)n;
			continue;
		}
		while (sent < BIG && (n = send(p[0], block, sizeof(block), 0)) > 0)
			sent += (size_t)n;
	}
	CHECK(got >= BIG && got == sent);
}

struct accepted {
	int fd;
	_Atomic int state;
};

static void *serve(void *argument)
{
	int fd = *(int *)argument;
	char byte;

	while (recv(fd, &byte, 1, 0) == 1)
		EQUAL(1, send(fd, &byte, 1, 0));
	close(fd);
	return NULL;
}

TEST(one_accepts_another_serves)
{
	enum { MANY = 8 };
	struct sockaddr_in name;
	int l = tcp_listen(&name), c[MANY], s[MANY];
	pthread_t t[MANY];

	for (int i = 0; i < MANY; i++) {
		c[i] = tcp_connect(&name);
		s[i] = accept(l, NULL, NULL);
		CHECK(s[i] >= 0);
		EQUAL(0, pthread_create(&t[i], NULL, serve, &s[i]));
	}
	for (int round = 0; round < 20; round++)
		for (int i = 0; i < MANY; i++) {
			char byte = (char)(round + i), got;

			EQUAL(1, send(c[i], &byte, 1, 0));
			EQUAL(1, recv(c[i], &got, 1, 0));
			EQUAL(byte, got);
		}
	for (int i = 0; i < MANY; i++) {
		EQUAL(0, shutdown(c[i], SHUT_WR));
		EQUAL(0, recv(c[i], (char[1]){ 0 }, 1, 0));
		pthread_join(t[i], NULL);
	}
}

static void *accept_one(void *argument)
{
	int s = accept(*(int *)argument, NULL, NULL);

	CHECK(s >= 0);
	SEND(s, "t");
	close(s);
	return NULL;
}

/* covers: sock-thread-wake */
TEST(several_threads_accept)
{
	enum { MANY = 6 };
	struct sockaddr_in name;
	int l = tcp_listen(&name);
	pthread_t t[MANY];

	for (int i = 0; i < MANY; i++)
		EQUAL(0, pthread_create(&t[i], NULL, accept_one, &l));
	for (int i = 0; i < MANY; i++)
		expect_text(tcp_connect(&name), "t");
	for (int i = 0; i < MANY; i++)
		pthread_join(t[i], NULL);
}

static void *receive_one(void *argument)
{
	char byte;

	return (void *)(intptr_t)recv(*(int *)argument, &byte, 1, 0);
}

/* The sleeping call goes on: closing a number does not end what sleeps on the connection. */
TEST(close_while_another_thread_receives)
{
	int p[2], copy;
	void *result;
	pthread_t t;

	tcp_pair(p);
	copy = p[1];
	EQUAL(0, pthread_create(&t, NULL, receive_one, &copy));
	sleep_ms(100);
	EQUAL(0, close(p[1]));
	sleep_ms(SHORT);
	SEND(p[0], "x");
	pthread_join(t, &result);
	EQUAL(1, (intptr_t)result);
}

TEST(shutdown_wakes_another_threads_receive)
{
	int p[2];
	void *result;
	pthread_t t;

	tcp_pair(p);
	EQUAL(0, pthread_create(&t, NULL, receive_one, &p[1]));
	sleep_ms(100);
	EQUAL(0, shutdown(p[1], SHUT_RD));
	pthread_join(t, &result);
	EQUAL(0, (intptr_t)result);
}

static void *accept_error(void *argument)
{
	FAILS(EINVAL, accept(*(int *)argument, NULL, NULL));
	return NULL;
}

/* The listener is one no more; those who waited in it are reset. */
/* covers: sock-listen-shutdown */
TEST(shutdown_wakes_another_threads_accept)
{
	struct sockaddr_in name;
	int l = tcp_listen(&name), m = tcp_listen(NULL), c;
	pthread_t t;

	EQUAL(0, pthread_create(&t, NULL, accept_error, &m));
	sleep_ms(100);
	EQUAL(0, shutdown(m, SHUT_RDWR));
	pthread_join(t, NULL);
	c = tcp_connect(&name);
	READABLE(l);
	EQUAL(0, shutdown(l, SHUT_WR));         /* means nothing to a listener */
	EQUAL(0, shutdown(l, SHUT_RD));
	FAILS(EINVAL, accept(l, NULL, NULL));
	FAILS(ECONNRESET, recv(c, (char[1]){ 0 }, 1, 0));
	FAILS(ECONNREFUSED, connect(socket(AF_INET, SOCK_STREAM, 0), (struct sockaddr *)&name, sizeof(name)));
	EQUAL(0, listen(l, 5));                 /* perhaps on another port */
	name = local_name(l);
	CHECK(tcp_connect(&name) >= 0);
	CHECK(accept(l, NULL, NULL) >= 0);
}

static void *ping(void *argument)
{
	int fd = *(int *)argument;
	char byte = 'p';

	for (int i = 0; i < 300; i++) {
		EQUAL(1, send(fd, &byte, 1, 0));
		EQUAL(1, recv(fd, &byte, 1, 0));
	}
	shutdown(fd, SHUT_WR);
	return NULL;
}

TEST(ping_pong_between_threads)
{
	enum { PAIRS = 4 };
	int p[PAIRS][2];
	pthread_t t[PAIRS][2];

	for (int i = 0; i < PAIRS; i++) {
		tcp_pair(p[i]);
		EQUAL(0, pthread_create(&t[i][0], NULL, ping, &p[i][0]));
		EQUAL(0, pthread_create(&t[i][1], NULL, serve, &p[i][1]));
	}
	for (int i = 0; i < PAIRS; i++) {
		pthread_join(t[i][0], NULL);
		pthread_join(t[i][1], NULL);
	}
}
