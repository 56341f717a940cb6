/* SPDX-License-Identifier: BSD-3-Clause */
/* Datagram sockets, connected and not. */
#include "dual.h"

static ssize_t send_to(int s, const char *text, const struct sockaddr_in *to)
{
	return sendto(s, text, strlen(text), 0, (const struct sockaddr *)to, sizeof(*to));
}

TEST(unconnected)
{
	struct sockaddr_in a, b, from;
	socklen_t n = sizeof(from);
	int s = udp_socket(&a), r = udp_socket(&b);
	char bytes[16];

	EQUAL(3, send_to(s, "abc", &b));
	EQUAL(3, recvfrom(r, bytes, sizeof(bytes), 0, (struct sockaddr *)&from, &n));
	EQUAL(sizeof(from), n);
	EQUAL(a.sin_port, from.sin_port);
	EQUAL(a.sin_addr.s_addr, from.sin_addr.s_addr);
	EQUAL(4, send_to(r, "back", &from));
	EQUAL(4, recv(s, bytes, sizeof(bytes), 0));
	FAILS(EDESTADDRREQ, send(s, "x", 1, 0));
	FAILS(EAGAIN, recv(s, bytes, 1, MSG_DONTWAIT));
}

TEST(bound_by_the_first_send)
{
	struct sockaddr_in name, from;
	socklen_t n = sizeof(from);
	int r = udp_socket(&name), s = socket(AF_INET, SOCK_DGRAM, 0);
	char byte;

	EQUAL(0, local_name(s).sin_port);
	EQUAL(1, send_to(s, "x", &name));
	CHECK(local_name(s).sin_port != 0);
	EQUAL(1, recvfrom(r, &byte, 1, 0, (struct sockaddr *)&from, &n));
	EQUAL(local_name(s).sin_port, from.sin_port);
}

TEST(borders_are_kept_and_long_ones_cut)
{
	struct sockaddr_in name;
	char bytes[8] = "", big[4000];
	struct iovec io = { bytes, 3 };
	struct msghdr m = { .msg_iov = &io, .msg_iovlen = 1 };
	int r = udp_socket(&name), s = udp_socket(NULL), n = 0;

	EQUAL(5, send_to(s, "first", &name));
	EQUAL(6, send_to(s, "second", &name));
	EQUAL(0, sendto(s, "", 0, 0, (struct sockaddr *)&name, sizeof(name)));
	READABLE(r);
	EQUAL(0, ioctl(r, FIONREAD, &n));
	EQUAL(5, n);
	EQUAL(2, recv(r, bytes, 2, MSG_PEEK));
	EQUAL(5, recv(r, bytes, 2, MSG_PEEK | MSG_TRUNC));
	EQUAL(2, recv(r, bytes, 2, 0));
	EQUAL(3, recvmsg(r, &m, 0));
	CHECK(m.msg_flags & MSG_TRUNC);
	CHECK(memcmp(bytes, "sec", 3) == 0);
	READABLE(r);
	EQUAL(0, recv(r, bytes, sizeof(bytes), 0));
	memset(big, 'b', sizeof(big));
	EQUAL(sizeof(big), sendto(s, big, sizeof(big), 0, (struct sockaddr *)&name, sizeof(name)));
	memset(big, 0, sizeof(big));
	EQUAL(sizeof(big), recv(r, big, sizeof(big), 0));
	CHECK(big[0] == 'b' && big[3999] == 'b');
	FAILS(EMSGSIZE, sendto(s, big, 70000 > sizeof(big) ? sizeof(big) + 66000 : 0, 0, (struct sockaddr *)&name, sizeof(name)));
}

TEST(connected)
{
	struct sockaddr_in a, b, got;
	struct sockaddr none = { .sa_family = AF_UNSPEC };
	socklen_t n = sizeof(got);
	int s = socket(AF_INET, SOCK_DGRAM, 0), r = udp_socket(&b), other = udp_socket(NULL);

	a = closed_port(SOCK_DGRAM);                    /* a port of its own choice stays when the peer goes */
	EQUAL(0, bind(s, (struct sockaddr *)&a, sizeof(a)));
	connect_to(s, &b);
	EQUAL(0, getpeername(s, (struct sockaddr *)&got, &n));
	EQUAL(b.sin_port, got.sin_port);
	EQUAL(1, write(s, "x", 1));
	EQUAL(1, recv(r, (char[1]){ 0 }, 1, 0));
	EQUAL(1, send_to(other, "n", &a));              /* not from the peer: never seen */
	EQUAL(1, send_to(r, "y", &a));
	expect_text(s, "y");
	FAILS(EAGAIN, recv(s, (char[1]){ 0 }, 1, MSG_DONTWAIT));
	EQUAL(0, connect(s, &none, sizeof(none)));
	n = sizeof(got);
	FAILS(ENOTCONN, getpeername(s, (struct sockaddr *)&got, &n));
	EQUAL(1, send_to(other, "n", &a));
	expect_text(s, "n");
}

TEST(refused_when_connected)
{
	struct sockaddr_in nobody = closed_port(SOCK_DGRAM);
	int s = socket(AF_INET, SOCK_DGRAM, 0), error = 0;
	socklen_t n = sizeof(error);

	connect_to(s, &nobody);
	EQUAL(1, send(s, "x", 1, 0));
	CHECK(wait_for_events(s, POLLERR, 5000));
	FAILS(ECONNREFUSED, recv(s, (char[1]){ 0 }, 1, MSG_DONTWAIT));
	FAILS(EAGAIN, recv(s, (char[1]){ 0 }, 1, MSG_DONTWAIT));
	EQUAL(1, send(s, "x", 1, 0));
	CHECK(wait_for_events(s, POLLERR, 5000));
	EQUAL(0, getsockopt(s, SOL_SOCKET, SO_ERROR, &error, &n));
	EQUAL(ECONNREFUSED, error);
}

TEST(refused_ends_a_blocking_receive)
{
	struct sockaddr_in nobody = closed_port(SOCK_DGRAM);
	int s = socket(AF_INET, SOCK_DGRAM, 0);

	connect_to(s, &nobody);
	EQUAL(1, send(s, "x", 1, 0));
	FAILS(ECONNREFUSED, recv(s, (char[1]){ 0 }, 1, 0));
}

TEST(unconnected_hears_of_no_refusal)
{
	struct sockaddr_in nobody = closed_port(SOCK_DGRAM), name;
	int s = udp_socket(&name), other = udp_socket(NULL);

	EQUAL(1, send_to(s, "x", &nobody));
	sleep_ms(SHORT);
	EQUAL(1, send_to(other, "y", &name));
	expect_text(s, "y");
}

TEST(many_in_one_call)
{
	enum { MANY = 8 };
	struct sockaddr_in name, from[MANY];
	char out[MANY], in[MANY][4];
	struct iovec io[MANY], into[MANY];
	struct mmsghdr m[MANY], r[MANY];
	struct timespec t = { 5, 0 };
	int d = udp_socket(&name), s = udp_socket(NULL);

	memset(m, 0, sizeof(m));
	memset(r, 0, sizeof(r));
	for (int i = 0; i < MANY; i++) {
		out[i] = (char)('a' + i);
		io[i] = (struct iovec){ &out[i], 1 };
		into[i] = (struct iovec){ in[i], 4 };
		m[i].msg_hdr = (struct msghdr){ .msg_name = &name, .msg_namelen = sizeof(name), .msg_iov = &io[i], .msg_iovlen = 1 };
		r[i].msg_hdr = (struct msghdr){ .msg_name = &from[i], .msg_namelen = sizeof(from[i]), .msg_iov = &into[i], .msg_iovlen = 1 };
	}
	EQUAL(MANY, sendmmsg(s, m, MANY, 0));
	EQUAL(1, m[MANY - 1].msg_len);
	sleep_ms(SHORT);
	EQUAL(3, recvmmsg(d, r, 3, 0, &t));
	EQUAL(MANY - 3, recvmmsg(d, r + 3, MANY - 3, MSG_WAITFORONE, NULL));
	for (int i = 0; i < MANY; i++) {
		EQUAL(1, r[i].msg_len);
		EQUAL('a' + i, in[i][0]);
		EQUAL(local_name(s).sin_port, from[i].sin_port);
	}
	FAILS(EAGAIN, recvmmsg(d, r, MANY, MSG_DONTWAIT, NULL));
}

static void *send_by_and_by(void *name)
{
	int s = udp_socket(NULL);

	for (int i = 0; i < 8; i++) {
		sleep_ms(100);
		EQUAL(1, send_to(s, "x", name));
	}
	return NULL;
}

/* covers: sock-udp-mmsg */
TEST(batches_stop_at_an_error_and_at_their_time)
{
	enum { MANY = 4 };
	static char big[70000];
	struct sockaddr_in name;
	char in[MANY];
	struct iovec io[MANY], into[MANY];
	struct mmsghdr m[MANY], r[MANY];
	struct timespec t = { 0, 50000000 };
	int d = udp_socket(&name), s = udp_socket(NULL), n;
	pthread_t sender;

	memset(m, 0, sizeof(m));
	memset(r, 0, sizeof(r));
	for (int i = 0; i < MANY; i++) {
		io[i] = (struct iovec){ big, i == 2 ? sizeof(big) : 1 };
		into[i] = (struct iovec){ &in[i], 1 };
		m[i].msg_hdr = (struct msghdr){ .msg_name = &name, .msg_namelen = sizeof(name), .msg_iov = &io[i], .msg_iovlen = 1 };
		r[i].msg_hdr = (struct msghdr){ .msg_iov = &into[i], .msg_iovlen = 1 };
	}
	EQUAL(2, sendmmsg(s, m, MANY, 0));              /* the third is too long: those before it went */
	FAILS(EMSGSIZE, sendmmsg(s, m + 2, MANY - 2, 0));
	EQUAL(2, recvmmsg(d, r, 2, 0, NULL));
	FAILS(EAGAIN, recvmmsg(d, r, MANY, MSG_DONTWAIT, NULL));
	EQUAL(0, pthread_create(&sender, NULL, send_by_and_by, &name));
	EQUAL(1, recvmmsg(d, r, MANY, MSG_WAITFORONE, NULL));
	n = recvmmsg(d, r, MANY, 0, &t);                /* Linux looks at the time after a datagram only */
	CHECK(n >= 1 && n < MANY);
	pthread_join(sender, NULL);
}

TEST(receive_timeout)
{
	struct timeval t = { 0, 50000 };
	int s = udp_socket(NULL);
	int64_t start = now_ms();

	EQUAL(0, setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t)));
	FAILS(EAGAIN, recv(s, (char[1]){ 0 }, 1, 0));
	CHECK(now_ms() - start >= 45);
}

TEST(wrong_calls)
{
	struct sockaddr_in name;
	int s = udp_socket(&name), n = 0;
	socklen_t size = sizeof(n);

	FAILS(EOPNOTSUPP, listen(s, 5));
	FAILS(EOPNOTSUPP, accept(s, NULL, NULL));
	FAILS(EINVAL, sendto(s, "x", 1, 0, (struct sockaddr *)&name, 4));
	FAILS(ENOTCONN, shutdown(s, SHUT_RDWR));
	EQUAL(0, getsockopt(s, SOL_SOCKET, SO_TYPE, &n, &size));
	EQUAL(SOCK_DGRAM, n);
	FAILS(EADDRINUSE, bind(socket(AF_INET, SOCK_DGRAM, 0), (struct sockaddr *)&name, sizeof(name)));
}

static void *send_later(void *name)
{
	int s = udp_socket(NULL);

	sleep_ms(100);
	EQUAL(4, send_to(s, "late", name));
	return NULL;
}

TEST(blocking_receive_sleeps)
{
	struct sockaddr_in name;
	int s = udp_socket(&name);
	int64_t before = cpu_ms();
	pthread_t t;

	EQUAL(0, pthread_create(&t, NULL, send_later, &name));
	expect_text(s, "late");
	CHECK(cpu_ms() - before < 60);
	pthread_join(t, NULL);
}
