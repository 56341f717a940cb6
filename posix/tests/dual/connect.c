/* SPDX-License-Identifier: BSD-3-Clause */
/* socket, bind, listen, connect, accept and the names of both ends. */
#include "dual.h"

static int connect_error(int fd)
{
	int error = -1;
	socklen_t n = sizeof(error);

	EQUAL(0, getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &n));
	EQUAL(sizeof(error), n);
	return error;
}

/* covers: sock-connect-block */
TEST(blocking_connect_and_accept)
{
	struct sockaddr_in name, peer;
	socklen_t n = sizeof(peer);
	int l = tcp_listen(&name), c = tcp_connect(&name), s = accept(l, (struct sockaddr *)&peer, &n);
	struct sockaddr_in own = local_name(c), got;

	CHECK(s >= 0);
	EQUAL(sizeof(peer), n);
	EQUAL(AF_INET, peer.sin_family);
	EQUAL(own.sin_port, peer.sin_port);
	EQUAL(own.sin_addr.s_addr, peer.sin_addr.s_addr);
	got = local_name(s);
	EQUAL(name.sin_port, got.sin_port);
	EQUAL(name.sin_addr.s_addr, got.sin_addr.s_addr);
	n = sizeof(got);
	EQUAL(0, getpeername(c, (struct sockaddr *)&got, &n));
	EQUAL(name.sin_port, got.sin_port);
	n = sizeof(got);
	EQUAL(0, getpeername(s, (struct sockaddr *)&got, &n));
	EQUAL(own.sin_port, got.sin_port);
}

TEST(names_are_cut_to_the_room)
{
	struct sockaddr_in name;
	char small[4] = { 1, 1, 1, 1 };
	socklen_t n = 2;
	int l = tcp_listen(&name);

	EQUAL(0, getsockname(l, (struct sockaddr *)small, &n));
	EQUAL(sizeof(struct sockaddr_in), n);
	EQUAL(AF_INET, *(unsigned short *)(void *)small);
	EQUAL(1, small[2]);
	n = (socklen_t)-1;
	FAILS(EINVAL, getsockname(l, (struct sockaddr *)small, &n));
	n = sizeof(name);
	FAILS(ENOTCONN, getpeername(l, (struct sockaddr *)&name, &n));
}

/* covers: sock-connect-block */
TEST(refused)
{
	struct sockaddr_in name = closed_port(SOCK_STREAM);
	int s = socket(AF_INET, SOCK_STREAM, 0);

	FAILS(ECONNREFUSED, connect(s, (struct sockaddr *)&name, sizeof(name)));
	EQUAL(0, connect_error(s));
	FAILS(ECONNREFUSED, connect(s, (struct sockaddr *)&name, sizeof(name)));
}

TEST(refused_then_accepted)
{
	struct sockaddr_in name = closed_port(SOCK_STREAM);
	int s = socket(AF_INET, SOCK_STREAM, 0), l = socket(AF_INET, SOCK_STREAM, 0);

	FAILS(ECONNREFUSED, connect(s, (struct sockaddr *)&name, sizeof(name)));
	EQUAL(0, bind(l, (struct sockaddr *)&name, sizeof(name)));
	EQUAL(0, listen(l, 5));
	connect_to(s, &name);
	CHECK(accept(l, NULL, NULL) >= 0);
}

TEST(refused_without_blocking)
{
	struct sockaddr_in name = closed_port(SOCK_STREAM);
	int s = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

	FAILS(EINPROGRESS, connect(s, (struct sockaddr *)&name, sizeof(name)));
	WRITABLE(s);
	EQUAL(ECONNREFUSED, connect_error(s));
	EQUAL(0, connect_error(s));
}

TEST(refused_found_by_connect)
{
	struct sockaddr_in name = closed_port(SOCK_STREAM);
	int s = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

	FAILS(EINPROGRESS, connect(s, (struct sockaddr *)&name, sizeof(name)));
	WRITABLE(s);
	FAILS(ECONNREFUSED, connect(s, (struct sockaddr *)&name, sizeof(name)));
}

TEST(without_blocking)
{
	struct sockaddr_in name;
	int l = tcp_listen(&name), s = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

	FAILS(EINPROGRESS, connect(s, (struct sockaddr *)&name, sizeof(name)));
	WRITABLE(s);
	EQUAL(0, connect_error(s));
	EQUAL(0, connect(s, (struct sockaddr *)&name, sizeof(name)));
	FAILS(EISCONN, connect(s, (struct sockaddr *)&name, sizeof(name)));
	close(l);
}

TEST(connected_twice)
{
	struct sockaddr_in name;
	int l = tcp_listen(&name), s = tcp_connect(&name);

	FAILS(EISCONN, connect(s, (struct sockaddr *)&name, sizeof(name)));
	FAILS(EISCONN, connect(l, (struct sockaddr *)&name, sizeof(name)));
	FAILS(EINVAL, listen(s, 1));
}

TEST(argument_errors)
{
	struct sockaddr_in a = dual_address(0);
	int s = socket(AF_INET, SOCK_STREAM, 0), pipes[2];

	EQUAL(0, pipe(pipes));
	FAILS(EINVAL, bind(s, (struct sockaddr *)&a, 4));
	FAILS(EINVAL, connect(s, (struct sockaddr *)&a, 4));
	FAILS(EFAULT, bind(s, NULL, sizeof(a)));
	a.sin_family = AF_INET6;
	FAILS(EAFNOSUPPORT, bind(s, (struct sockaddr *)&a, sizeof(a)));
	FAILS(EAFNOSUPPORT, connect(s, (struct sockaddr *)&a, sizeof(a)));
	a.sin_family = AF_INET;
	FAILS(ENOTSOCK, bind(pipes[0], (struct sockaddr *)&a, sizeof(a)));
	FAILS(ENOTSOCK, listen(pipes[0], 1));
	FAILS(ENOTSOCK, accept(pipes[0], NULL, NULL));
	FAILS(ENOTSOCK, shutdown(pipes[0], SHUT_RD));
	FAILS(EBADF, listen(-1, 1));
	FAILS(EINVAL, accept(s, NULL, NULL));
	FAILS(ENOTCONN, shutdown(s, SHUT_RDWR));
	FAILS(EPROTONOSUPPORT, socket(AF_INET, SOCK_STREAM, IPPROTO_UDP));
	FAILS(EINVAL, socket(AF_INET, 77, 0));
	EQUAL(0, bind(s, (struct sockaddr *)&a, sizeof(a)));
	FAILS(EINVAL, bind(s, (struct sockaddr *)&a, sizeof(a)));
	FAILS(EINVAL, shutdown(s, 77));
}

TEST(address_in_use)
{
	struct sockaddr_in name;
	int l = tcp_listen(&name), s = socket(AF_INET, SOCK_STREAM, 0), one = 1;

	FAILS(EADDRINUSE, bind(s, (struct sockaddr *)&name, sizeof(name)));
	EQUAL(0, setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)));
	FAILS(EADDRINUSE, bind(s, (struct sockaddr *)&name, sizeof(name)));
	EQUAL(0, close(l));
	EQUAL(0, bind(s, (struct sockaddr *)&name, sizeof(name)));
}

TEST(address_not_ours)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(0xc0000201) };   /* 192.0.2.1 */
	int s = socket(AF_INET, SOCK_STREAM, 0);

	FAILS(EADDRNOTAVAIL, bind(s, (struct sockaddr *)&a, sizeof(a)));
}

TEST(listener_rebinds_after_connections)
{
	struct sockaddr_in name = dual_address(0);
	int l = socket(AF_INET, SOCK_STREAM, 0), one = 1, c, s;

	EQUAL(0, setsockopt(l, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)));
	EQUAL(0, bind(l, (struct sockaddr *)&name, sizeof(name)));
	EQUAL(0, listen(l, 5));
	name = local_name(l);
	c = tcp_connect(&name);
	s = accept(l, NULL, NULL);
	EQUAL(0, close(l));
	EQUAL(0, close(s));             /* TIME-WAIT stays on this side */
	READABLE(c);
	EQUAL(0, close(c));
	l = socket(AF_INET, SOCK_STREAM, 0);
	EQUAL(0, setsockopt(l, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)));
	EQUAL(0, bind(l, (struct sockaddr *)&name, sizeof(name)));
	EQUAL(0, listen(l, 5));
	CHECK(tcp_connect(&name) >= 0);
}

/* covers: sock-accept4 */
TEST(accept_flags)
{
	struct sockaddr_in name;
	int l = tcp_listen(&name), c, s;

	c = tcp_connect(&name);
	s = accept4(l, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	CHECK(s >= 0);
	CHECK(fcntl(s, F_GETFL) & O_NONBLOCK);
	CHECK(fcntl(s, F_GETFD) & FD_CLOEXEC);
	FAILS(EAGAIN, recv(s, (char[1]){ 0 }, 1, 0));
	close(c);
	set_nonblocking(l);
	c = tcp_connect(&name);
	READABLE(l);
	s = accept(l, NULL, NULL);      /* flags are not inherited on Linux */
	EQUAL(0, fcntl(s, F_GETFL) & O_NONBLOCK);
	EQUAL(0, fcntl(s, F_GETFD) & FD_CLOEXEC);
	EQUAL(O_RDWR, fcntl(s, F_GETFL) & O_ACCMODE);
	FAILS(EAGAIN, accept(l, NULL, NULL));
	FAILS(EINVAL, accept4(l, NULL, NULL, 0x40));
	close(c);
}

/* covers: sock-rcvtimeo */
TEST(accept_with_a_timeout)
{
	struct timeval t = { 0, 50000 };
	int l = tcp_listen(NULL);
	int64_t start = now_ms();

	EQUAL(0, setsockopt(l, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t)));
	FAILS(EAGAIN, accept(l, NULL, NULL));
	CHECK(now_ms() - start >= 45);
}

TEST(backlog_holds_connections)
{
	struct sockaddr_in name;
	int l = tcp_listen(&name), c[10];
	char byte = 0;

	for (int i = 0; i < 10; i++) {
		c[i] = tcp_connect(&name);
		SEND(c[i], "a");
	}
	for (int i = 0; i < 10; i++) {
		int s = accept(l, NULL, NULL);

		CHECK(s >= 0);
		recv_all(s, &byte, 1);
		EQUAL('a', byte);
	}
}

TEST(closed_before_accept)
{
	struct sockaddr_in name;
	int l = tcp_listen(&name), c = tcp_connect(&name), s;

	SEND(c, "bye");
	EQUAL(0, close(c));
	s = accept(l, NULL, NULL);
	CHECK(s >= 0);
	expect_text(s, "bye");
	EQUAL(0, recv(s, (char[1]){ 0 }, 1, 0));
}

/* covers: sock-close-listen-q */
TEST(listener_closed_resets_those_waiting)
{
	struct sockaddr_in name;
	int l = tcp_listen(&name), c = tcp_connect(&name);

	READABLE(l);
	EQUAL(0, close(l));
	FAILS(ECONNRESET, recv(c, (char[1]){ 0 }, 1, 0));
}

TEST(implicit_bind_by_listen)
{
	struct sockaddr_in any, to = dual_address(0);
	int l = socket(AF_INET, SOCK_STREAM, 0), c;

	EQUAL(0, listen(l, 5));
	any = local_name(l);
	CHECK(any.sin_port != 0);
	EQUAL(0, any.sin_addr.s_addr);
	to.sin_port = any.sin_port;
	c = tcp_connect(&to);
	CHECK(accept(l, NULL, NULL) >= 0);
	close(c);
}

TEST(bound_client)
{
	struct sockaddr_in name, own = dual_address(0), got;
	socklen_t n = sizeof(got);
	int l = tcp_listen(&name), c = socket(AF_INET, SOCK_STREAM, 0), s;

	EQUAL(0, bind(c, (struct sockaddr *)&own, sizeof(own)));
	own = local_name(c);
	CHECK(own.sin_port != 0);
	connect_to(c, &name);
	s = accept(l, (struct sockaddr *)&got, &n);
	CHECK(s >= 0);
	EQUAL(own.sin_port, got.sin_port);
}

static void *connect_and_send(void *name)
{
	int s = (sleep_ms(400), tcp_connect(name));

	SEND(s, "late");
	return NULL;
}

TEST(accept_sleeps_until_someone_comes)
{
	struct sockaddr_in name;
	int l = tcp_listen(&name), s;
	int64_t before = cpu_ms();
	pthread_t t;

	EQUAL(0, pthread_create(&t, NULL, connect_and_send, &name));
	s = accept(l, NULL, NULL);
	CHECK(s >= 0);
	expect_text(s, "late");
	CHECK(cpu_ms() - before < 60);
	pthread_join(t, NULL);
}

/* covers: sock-eintr */
TEST(accept_is_interrupted)
{
	int l = tcp_listen(NULL);

	count_signal(SIGUSR1, 0);
	signal_after(SIGUSR1, 200);
	FAILS(EINTR, accept(l, NULL, NULL));
	EQUAL(1, signals_seen);
}

TEST(accept_is_restarted)
{
	struct sockaddr_in name;
	int l = tcp_listen(&name);
	pthread_t t;

	count_signal(SIGUSR1, SA_RESTART);
	signal_after(SIGUSR1, 200);
	EQUAL(0, pthread_create(&t, NULL, connect_and_send, &name));
	CHECK(accept(l, NULL, NULL) >= 0);
	EQUAL(1, signals_seen);
	pthread_join(t, NULL);
}

TEST(dissolved_stream)
{
	struct sockaddr_in name;
	struct sockaddr none = { .sa_family = AF_UNSPEC };
	int l = tcp_listen(&name), c = tcp_connect(&name), s = accept(l, NULL, NULL);

	EQUAL(0, connect(c, &none, sizeof(none)));
	FAILS(ECONNRESET, recv(s, (char[1]){ 0 }, 1, 0));
	connect_to(c, &name);
	CHECK(accept(l, NULL, NULL) >= 0);
}
