/* SPDX-License-Identifier: BSD-3-Clause */
/* epoll on sockets: modes, masks, errors. */
#include "dual.h"

static int epoll_new(void)
{
	int e = epoll_create1(EPOLL_CLOEXEC);

	CHECK(e >= 0);
	return e;
}

static int ctl(int e, int op, int fd, uint32_t events, uint64_t data)
{
	struct epoll_event event = { .events = events, .data.u64 = data };

	return epoll_ctl(e, op, fd, &event);
}

static void add(int e, int fd, uint32_t events)
{
	EQUAL(0, ctl(e, EPOLL_CTL_ADD, fd, events, (uint64_t)fd));
}

static void modify(int e, int fd, uint32_t events)
{
	EQUAL(0, ctl(e, EPOLL_CTL_MOD, fd, events, (uint64_t)fd));
}

/* One event comes, of this descriptor, with this mask. */
static void expect(int e, int fd, uint32_t events)
{
	struct epoll_event event = { 0 };

	EQUAL(1, epoll_wait(e, &event, 1, 5000));
	EQUAL(fd, event.data.u64);
	EQUAL(events, event.events);
}

static void expect_none(int e, int ms)
{
	struct epoll_event event;
	int n = epoll_wait(e, &event, 1, ms);

	if (n != 0)
		dual_fail(__FILE__, __LINE__, "epoll_wait is %d, events 0x%x of %d", n, event.events, event.data.fd);
}

TEST(fresh_stream_is_out_and_hangup)
{
	int e = epoll_new(), s = socket(AF_INET, SOCK_STREAM, 0);

	add(e, s, EPOLLIN | EPOLLOUT);
	expect(e, s, EPOLLOUT | EPOLLHUP);
	expect(e, s, EPOLLOUT | EPOLLHUP);
}

TEST(fresh_datagram_is_out)
{
	int e = epoll_new(), s = socket(AF_INET, SOCK_DGRAM, 0);

	add(e, s, EPOLLIN | EPOLLOUT);
	expect(e, s, EPOLLOUT);
	modify(e, s, EPOLLIN);
	expect_none(e, 0);
}

/* covers: sock-epoll-lt */
TEST(level_repeats_until_read)
{
	int e = epoll_new(), p[2];

	tcp_pair(p);
	add(e, p[1], EPOLLIN);
	expect_none(e, 0);
	SEND(p[0], "abc");
	expect(e, p[1], EPOLLIN);
	expect(e, p[1], EPOLLIN);
	expect_text(p[1], "ab");
	expect(e, p[1], EPOLLIN);
	expect_text(p[1], "c");
	expect_none(e, SHORT);
	SEND(p[0], "d");
	expect(e, p[1], EPOLLIN);
}

TEST(level_writable_at_once)
{
	int e = epoll_new(), p[2];

	tcp_pair(p);
	add(e, p[0], EPOLLIN | EPOLLOUT);
	expect(e, p[0], EPOLLOUT);
	SEND(p[1], "x");
	READABLE(p[0]);
	expect(e, p[0], EPOLLIN | EPOLLOUT);
}

/* covers: sock-epoll-et-in */
TEST(edge_reports_each_arrival_once)
{
	int e = epoll_new(), p[2];

	tcp_pair(p);
	add(e, p[1], EPOLLIN | EPOLLET);
	expect_none(e, SHORT);
	SEND(p[0], "a");
	expect(e, p[1], EPOLLIN);
	expect_none(e, SHORT);
	SEND(p[0], "b");
	expect(e, p[1], EPOLLIN);
	expect_none(e, SHORT);
	expect_text(p[1], "ab");
	SEND(p[0], "c");
	expect(e, p[1], EPOLLIN);
}

/* covers: sock-epoll-et-mod */
TEST(edge_add_and_modify_look_once)
{
	int e = epoll_new(), p[2];

	tcp_pair(p);
	SEND(p[0], "a");
	READABLE(p[1]);
	add(e, p[1], EPOLLIN | EPOLLET);
	expect(e, p[1], EPOLLIN);
	expect_none(e, SHORT);
	modify(e, p[1], EPOLLIN | EPOLLET);
	expect(e, p[1], EPOLLIN);
	expect_none(e, SHORT);
	modify(e, p[1], EPOLLIN | EPOLLOUT | EPOLLET);
	expect(e, p[1], EPOLLIN | EPOLLOUT);
	expect_none(e, SHORT);
}

/* covers: sock-epoll-et-out */
TEST(edge_writable_after_full)
{
	static char sink[1 << 20];
	int e = epoll_new(), p[2];

	tcp_pair(p);
	set_nonblocking(p[0]);
	set_nonblocking(p[1]);
	add(e, p[0], EPOLLOUT | EPOLLET);
	expect(e, p[0], EPOLLOUT);
	fill(p[0]);
	epoll_wait(e, &(struct epoll_event){ 0 }, 1, 0);        /* room that came and went while filling */
	expect_none(e, SHORT);
	for (int i = 0; i < 200 && !wait_for_events(p[0], POLLOUT, 0); i++)
		if (recv(p[1], sink, sizeof(sink), 0) < 0)
			sleep_ms(5);
	expect(e, p[0], EPOLLOUT);
}

/* covers: sock-epoll-oneshot */
TEST(oneshot_is_silent_until_modified)
{
	int e = epoll_new(), p[2];

	tcp_pair(p);
	add(e, p[1], EPOLLIN | EPOLLONESHOT);
	SEND(p[0], "a");
	expect(e, p[1], EPOLLIN);
	expect_none(e, 0);
	SEND(p[0], "b");
	expect_none(e, SHORT);
	modify(e, p[1], EPOLLIN | EPOLLONESHOT);
	expect(e, p[1], EPOLLIN);
	expect_none(e, SHORT);
	EQUAL(0, close(p[0]));
	expect_none(e, SHORT);
	modify(e, p[1], EPOLLONESHOT);
	EQUAL(2, recv(p[1], (char[8]){ 0 }, 8, 0));
}

/* covers: sock-epoll-rdhup */
TEST(read_hangup_and_hangup)
{
	int e = epoll_new(), p[2];

	tcp_pair(p);
	add(e, p[1], EPOLLIN | EPOLLRDHUP);
	EQUAL(0, shutdown(p[0], SHUT_WR));
	expect(e, p[1], EPOLLIN | EPOLLRDHUP);
	modify(e, p[1], EPOLLRDHUP);
	expect(e, p[1], EPOLLRDHUP);
	modify(e, p[1], 0);
	expect_none(e, SHORT);
	EQUAL(0, shutdown(p[1], SHUT_WR));
	expect(e, p[1], EPOLLHUP);
}

/* covers: sock-epoll-hup-err */
TEST(reset_is_error_and_hangup)
{
	struct linger now = { .l_onoff = 1 };
	int e = epoll_new(), p[2];

	tcp_pair(p);
	add(e, p[1], 0);
	EQUAL(0, setsockopt(p[0], SOL_SOCKET, SO_LINGER, &now, sizeof(now)));
	EQUAL(0, close(p[0]));
	expect(e, p[1], EPOLLERR | EPOLLHUP);
	modify(e, p[1], EPOLLIN | EPOLLOUT | EPOLLRDHUP);
	expect(e, p[1], EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLERR | EPOLLHUP);
}

/* covers: sock-epoll-et-out */
TEST(connect_ends_in_out)
{
	struct sockaddr_in name;
	int e = epoll_new(), l = tcp_listen(&name), s = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

	if (connect(s, (struct sockaddr *)&name, sizeof(name)) < 0)
		EQUAL(EINPROGRESS, errno);
	add(e, s, EPOLLOUT | EPOLLIN | EPOLLET);
	expect(e, s, EPOLLOUT);
	expect_none(e, SHORT);
	close(l);
}

TEST(connect_after_add)
{
	struct sockaddr_in name;
	int e = epoll_new(), l = tcp_listen(&name), s = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), c;

	add(e, s, EPOLLIN);
	expect(e, s, EPOLLHUP);
	if (connect(s, (struct sockaddr *)&name, sizeof(name)) < 0)
		EQUAL(EINPROGRESS, errno);
	WRITABLE(s);
	expect_none(e, SHORT);
	c = accept(l, NULL, NULL);
	SEND(c, "x");
	expect(e, s, EPOLLIN);
}

TEST(refused_connect)
{
	struct sockaddr_in name = closed_port(SOCK_STREAM);
	int e = epoll_new(), s = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), error = 0;
	socklen_t n = sizeof(error);

	FAILS(EINPROGRESS, connect(s, (struct sockaddr *)&name, sizeof(name)));
	add(e, s, EPOLLOUT);
	expect(e, s, EPOLLOUT | EPOLLERR | EPOLLHUP);
	EQUAL(0, getsockopt(s, SOL_SOCKET, SO_ERROR, &error, &n));
	EQUAL(ECONNREFUSED, error);
	expect(e, s, EPOLLOUT | EPOLLHUP);
}

TEST(listener_is_readable)
{
	struct sockaddr_in name;
	int e = epoll_new(), l = tcp_listen(&name), s;

	add(e, l, EPOLLIN | EPOLLOUT);
	expect_none(e, SHORT);
	s = tcp_connect(&name);
	expect(e, l, EPOLLIN);
	CHECK(accept(l, NULL, NULL) >= 0);
	expect_none(e, SHORT);
	close(s);
}

TEST(urgent_is_pri)
{
	int e = epoll_new(), p[2];

	tcp_pair(p);
	add(e, p[1], EPOLLPRI);
	EQUAL(1, send(p[0], "!", 1, MSG_OOB));
	expect(e, p[1], EPOLLPRI);
	EQUAL(1, recv(p[1], (char[1]){ 0 }, 1, MSG_OOB));
	expect_none(e, SHORT);
}

/* covers: sock-epoll-errs */
TEST(errors_of_ctl)
{
	struct epoll_event event = { .events = EPOLLIN };
	int e = epoll_new(), p[2], file = open("/proc/self/exe", O_RDONLY), closed = dup(file);

	tcp_pair(p);
	close(closed);
	FAILS(ENOENT, epoll_ctl(e, EPOLL_CTL_MOD, p[0], &event));
	FAILS(ENOENT, epoll_ctl(e, EPOLL_CTL_DEL, p[0], NULL));
	EQUAL(0, epoll_ctl(e, EPOLL_CTL_ADD, p[0], &event));
	FAILS(EEXIST, epoll_ctl(e, EPOLL_CTL_ADD, p[0], &event));
	FAILS(EINVAL, epoll_ctl(e, 77, p[0], &event));
	FAILS(EBADF, epoll_ctl(e, EPOLL_CTL_ADD, closed, &event));
	FAILS(EBADF, epoll_ctl(closed, EPOLL_CTL_ADD, p[0], &event));
	FAILS(EINVAL, epoll_ctl(p[1], EPOLL_CTL_ADD, p[0], &event));
	FAILS(EINVAL, epoll_ctl(file, EPOLL_CTL_ADD, p[0], &event));
	FAILS(EINVAL, epoll_ctl(e, EPOLL_CTL_ADD, e, &event));
	FAILS(EPERM, epoll_ctl(e, EPOLL_CTL_ADD, file, &event));
	FAILS(EFAULT, epoll_ctl(e, EPOLL_CTL_ADD, p[1], NULL));
	EQUAL(0, epoll_ctl(e, EPOLL_CTL_DEL, p[0], NULL));
	FAILS(ENOENT, epoll_ctl(e, EPOLL_CTL_DEL, p[0], NULL));
	event.events = EPOLLIN | EPOLLEXCLUSIVE;
	EQUAL(0, epoll_ctl(e, EPOLL_CTL_ADD, p[0], &event));
	FAILS(EINVAL, epoll_ctl(e, EPOLL_CTL_MOD, p[0], &event));
	event.events = EPOLLIN;
	FAILS(EINVAL, epoll_ctl(e, EPOLL_CTL_MOD, p[0], &event));
	event.events = EPOLLIN | EPOLLRDHUP | EPOLLEXCLUSIVE;
	FAILS(EINVAL, epoll_ctl(e, EPOLL_CTL_ADD, p[1], &event));
	event.events = EPOLLIN | EPOLLONESHOT | EPOLLEXCLUSIVE;
	FAILS(EINVAL, epoll_ctl(e, EPOLL_CTL_ADD, p[1], &event));
}

TEST(errors_of_wait)
{
	struct epoll_event event;
	int e = epoll_new(), p[2], closed = dup(e);
	volatile int negative = -1;

	tcp_pair(p);
	close(closed);
	add(e, p[0], EPOLLIN);
	FAILS(EINVAL, epoll_wait(e, &event, 0, 0));
	FAILS(EINVAL, epoll_wait(e, &event, negative, 0));
	FAILS(EINVAL, epoll_wait(p[0], &event, 1, 0));
	FAILS(EBADF, epoll_wait(closed, &event, 1, 0));
	FAILS(EINVAL, epoll_create(0));
	FAILS(EINVAL, epoll_create1(12345));
}

/* covers: sock-epoll-close */
TEST(dup_keeps_a_closed_number_alive)
{
	int e = epoll_new(), p[2], copy, number;

	tcp_pair(p);
	add(e, p[1], EPOLLIN);
	number = p[1];
	copy = dup(p[1]);
	EQUAL(0, close(p[1]));
	SEND(p[0], "x");
	expect(e, number, EPOLLIN);
	EQUAL(0, close(copy));
	expect_none(e, SHORT);
}

TEST(two_numbers_of_one_socket)
{
	struct epoll_event events[4];
	int e = epoll_new(), p[2], copy;

	tcp_pair(p);
	copy = dup(p[1]);
	add(e, p[1], EPOLLIN);
	add(e, copy, EPOLLIN);
	SEND(p[0], "x");
	READABLE(copy);
	EQUAL(2, epoll_wait(e, events, 4, 1000));
	CHECK(events[0].data.fd != events[1].data.fd);
	EQUAL(0, epoll_ctl(e, EPOLL_CTL_DEL, p[1], NULL));
	expect(e, copy, EPOLLIN);
	expect_text(copy, "x");
	expect_none(e, SHORT);
	SEND(p[0], "y");
	expect(e, copy, EPOLLIN);
}

/* covers: sock-epoll-close */
TEST(number_used_again)
{
	int e = epoll_new(), p[2], q[2];

	tcp_pair(p);
	tcp_pair(q);
	add(e, p[1], EPOLLIN);
	EQUAL(p[1], dup2(q[1], p[1]));
	EQUAL(0, ctl(e, EPOLL_CTL_ADD, p[1], EPOLLIN, 77));
	SEND(q[0], "x");
	expect(e, 77, EPOLLIN);
	EQUAL(0, close(p[1]));
	EQUAL(0, close(q[1]));
	expect_none(e, SHORT);
}

TEST(two_sets_of_one_socket)
{
	int e = epoll_new(), f = epoll_new(), p[2];

	tcp_pair(p);
	add(e, p[1], EPOLLIN);
	add(f, p[1], EPOLLIN | EPOLLET);
	SEND(p[0], "x");
	expect(e, p[1], EPOLLIN);
	expect(f, p[1], EPOLLIN);
	expect(e, p[1], EPOLLIN);
	expect_none(f, SHORT);
	EQUAL(0, close(e));
	SEND(p[0], "y");
	expect(f, p[1], EPOLLIN);
}

/* covers: sock-epoll-max */
TEST(many_sockets_all_come_in_turn)
{
	enum { MANY = 100 };
	int e = epoll_new(), p[MANY][2], seen[1024] = { 0 };

	for (int i = 0; i < MANY; i++) {
		tcp_pair(p[i]);
		add(e, p[i][1], EPOLLIN);
		SEND(p[i][0], "x");
	}
	for (int i = 0; i < MANY; i++)
		READABLE(p[i][1]);
	for (int i = 0; i < MANY / 10; i++) {
		struct epoll_event events[10];

		EQUAL(10, epoll_wait(e, events, 10, 1000));
		for (int j = 0; j < 10; j++)
			EQUAL(1, ++seen[events[j].data.fd]);
	}
}

TEST(datagrams)
{
	struct sockaddr_in name;
	int e = epoll_new(), r = udp_socket(&name), s = udp_socket(NULL);

	add(e, r, EPOLLIN);
	expect_none(e, SHORT);
	EQUAL(3, sendto(s, "abc", 3, 0, (struct sockaddr *)&name, sizeof(name)));
	expect(e, r, EPOLLIN);
	EQUAL(3, recv(r, (char[8]){ 0 }, 8, 0));
	expect_none(e, SHORT);
}
