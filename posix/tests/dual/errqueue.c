/* SPDX-License-Identifier: BSD-3-Clause */
/* IP_RECVERR and MSG_ERRQUEUE (ip(7)): what ICMP says of a datagram to a port at which nobody listens. */
#include "dual.h"

#include <linux/errqueue.h>

struct told {
	ssize_t n;
	char quote[64];
	int flags;
	struct sockaddr_in to;
	socklen_t to_len;
	bool has;               /* an IP_RECVERR message */
	struct sock_extended_err ee;
	struct sockaddr_in offender;
	int ttl;                /* of an IP_TTL message; -1: none */
	bool pktinfo;
};

static int recv_err_socket(int on)
{
	int s = udp_socket(NULL);

	EQUAL(0, setsockopt(s, IPPROTO_IP, IP_RECVERR, &on, sizeof(on)));
	return s;
}

static void send_to(int s, const struct sockaddr_in *to, const char *text)
{
	EQUAL(strlen(text), sendto(s, text, strlen(text), 0, (const struct sockaddr *)to, sizeof(*to)));
}

static int so_error(int s)
{
	int error = -1;
	socklen_t n = sizeof(error);

	EQUAL(0, getsockopt(s, SOL_SOCKET, SO_ERROR, &error, &n));
	return error;
}

static void read_control(struct told *t, struct msghdr *m)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
		EQUAL(IPPROTO_IP, c->cmsg_level);
		if (c->cmsg_type == IP_RECVERR) {
			EQUAL(CMSG_LEN(sizeof(t->ee) + sizeof(t->offender)), c->cmsg_len);
			memcpy(&t->ee, CMSG_DATA(c), sizeof(t->ee));
			memcpy(&t->offender, CMSG_DATA(c) + sizeof(t->ee), sizeof(t->offender));
			t->has = true;
		} else if (c->cmsg_type == IP_TTL) {
			memcpy(&t->ttl, CMSG_DATA(c), sizeof(t->ttl));
		} else {
			t->pktinfo = c->cmsg_type == IP_PKTINFO;
		}
	}
}

/* What the queue has next, into a buffer of `room` bytes and one of `control` for the messages. */
static struct told take(int s, size_t room, size_t control)
{
	_Alignas(struct cmsghdr) char bytes[256];
	struct told t = { .ttl = -1 };
	struct iovec v = { t.quote, room };
	struct msghdr m = { .msg_name = &t.to, .msg_namelen = sizeof(t.to), .msg_iov = &v, .msg_iovlen = 1, .msg_control = bytes,
		.msg_controllen = control };

	t.n = recvmsg(s, &m, MSG_ERRQUEUE);
	t.flags = m.msg_flags;
	t.to_len = m.msg_namelen;
	if (t.n >= 0)
		read_control(&t, &m);
	return t;
}

static void expect_refused(int s, const struct sockaddr_in *to, const char *text)
{
	struct told t = take(s, sizeof(t.quote), 256);

	EQUAL(strlen(text), t.n);
	CHECK(memcmp(t.quote, text, strlen(text)) == 0);
	EQUAL(MSG_ERRQUEUE, t.flags);
	EQUAL(sizeof(t.to), t.to_len);
	EQUAL(AF_INET, t.to.sin_family);
	EQUAL(to->sin_addr.s_addr, t.to.sin_addr.s_addr);
	EQUAL(to->sin_port, t.to.sin_port);
	CHECK(t.has);
	EQUAL(ECONNREFUSED, t.ee.ee_errno);
	EQUAL(SO_EE_ORIGIN_ICMP, t.ee.ee_origin);
	EQUAL(3, t.ee.ee_type);
	EQUAL(3, t.ee.ee_code);
	EQUAL(0, t.ee.ee_info);
	EQUAL(0, t.ee.ee_data);
	EQUAL(AF_INET, t.offender.sin_family);
	EQUAL(to->sin_addr.s_addr, t.offender.sin_addr.s_addr);
	EQUAL(0, t.offender.sin_port);
}

static bool has_error(int s, int ms)
{
	struct pollfd p = { .fd = s };

	return poll(&p, 1, ms) == 1 && p.revents & POLLERR;
}

/* covers: sock-errqueue */
TEST(a_refused_datagram_is_quoted)
{
	struct sockaddr_in to = closed_port(SOCK_DGRAM);
	int s = recv_err_socket(1), on = 0;
	socklen_t n = sizeof(on);

	EQUAL(0, getsockopt(s, IPPROTO_IP, IP_RECVERR, &on, &n));
	EQUAL(1, on);
	FAILS(EAGAIN, take(s, 64, 256).n);
	CHECK(!has_error(s, 0));
	send_to(s, &to, "hello");
	CHECK(has_error(s, 5000));
	expect_refused(s, &to, "hello");
	FAILS(EAGAIN, take(s, 64, 256).n);
	/* What was told through the queue is told nowhere else. */
	CHECK(!has_error(s, 0));
	EQUAL(0, so_error(s));
}

/* covers: sock-errqueue */
TEST(a_connected_socket_queues_too)
{
	struct sockaddr_in to = closed_port(SOCK_DGRAM);
	int s = recv_err_socket(1);

	connect_to(s, &to);
	EQUAL(3, send(s, "abc", 3, 0));
	CHECK(has_error(s, 5000));
	FAILS(ECONNREFUSED, recv(s, (char[8]){ 0 }, 8, 0));
	FAILS(EAGAIN, recv(s, (char[8]){ 0 }, 8, MSG_DONTWAIT));
	CHECK(has_error(s, 0));
	expect_refused(s, &to, "abc");
	CHECK(!has_error(s, 0));
	EQUAL(3, send(s, "abc", 3, 0));
}

/* covers: sock-errqueue */
TEST(errors_are_queued_in_order)
{
	struct sockaddr_in first = closed_port(SOCK_DGRAM), second = first;
	int s = recv_err_socket(1);

	do
		second = closed_port(SOCK_DGRAM);
	while (second.sin_port == first.sin_port);
	send_to(s, &first, "one");
	CHECK(has_error(s, 5000));
	EQUAL(ECONNREFUSED, so_error(s));
	EQUAL(0, so_error(s));
	CHECK(has_error(s, 0));
	send_to(s, &second, "two");
	for (int i = 0; i < 500 && so_error(s) == 0; i++)
		sleep_ms(10);
	expect_refused(s, &first, "one");
	/* The next one's error is pending now, until it is told. */
	CHECK(has_error(s, 0));
	EQUAL(ECONNREFUSED, so_error(s));
	expect_refused(s, &second, "two");
	CHECK(!has_error(s, 0));
}

/* covers: sock-errqueue */
TEST(nothing_is_queued_for_who_did_not_ask)
{
	struct sockaddr_in to = closed_port(SOCK_DGRAM);
	int s = recv_err_socket(0), asks = recv_err_socket(1);

	send_to(s, &to, "x");
	CHECK(!has_error(s, SHORT));
	FAILS(EAGAIN, take(s, 64, 256).n);
	/* Who no longer asks loses what was queued. */
	send_to(asks, &to, "x");
	CHECK(has_error(asks, 5000));
	EQUAL(ECONNREFUSED, so_error(asks));
	EQUAL(0, setsockopt(asks, IPPROTO_IP, IP_RECVERR, &(int){ 0 }, sizeof(int)));
	CHECK(!has_error(asks, 0));
	FAILS(EAGAIN, take(asks, 64, 256).n);
}

/* covers: sock-errqueue */
TEST(what_does_not_fit_is_cut)
{
	struct sockaddr_in to = closed_port(SOCK_DGRAM);
	int s = recv_err_socket(1);
	struct told t;
	char two[2];

	send_to(s, &to, "hello");
	CHECK(has_error(s, 5000));
	t = take(s, 2, 8);
	EQUAL(2, t.n);
	EQUAL(MSG_ERRQUEUE | MSG_TRUNC | MSG_CTRUNC, t.flags);
	send_to(s, &to, "hello");
	CHECK(has_error(s, 5000));
	EQUAL(2, recv(s, two, 2, MSG_ERRQUEUE));
	CHECK(memcmp(two, "he", 2) == 0);
	FAILS(EAGAIN, recv(s, two, 2, MSG_ERRQUEUE));
}

/* traceroute asks whose ttl the message had. */
/* covers: sock-errqueue */
TEST(other_messages_tell_of_the_icmp_packet)
{
	struct sockaddr_in to = closed_port(SOCK_DGRAM);
	int s = recv_err_socket(1);
	struct told t;

	EQUAL(0, setsockopt(s, IPPROTO_IP, IP_RECVTTL, &(int){ 1 }, sizeof(int)));
	EQUAL(0, setsockopt(s, IPPROTO_IP, IP_PKTINFO, &(int){ 1 }, sizeof(int)));
	send_to(s, &to, "hello");
	CHECK(has_error(s, 5000));
	t = take(s, 64, 256);
	CHECK(t.has);
	CHECK(t.pktinfo);
	EQUAL(64, t.ttl);
}

/* covers: sock-errqueue */
TEST(a_queued_error_wakes_every_kind_of_wait)
{
	struct sockaddr_in to = closed_port(SOCK_DGRAM);
	int s = recv_err_socket(1), ep = epoll_create1(0), edge = epoll_create1(0);
	struct epoll_event e = { .events = 0 };

	EQUAL(0, epoll_ctl(ep, EPOLL_CTL_ADD, s, &e));
	e.events = EPOLLET;
	EQUAL(0, epoll_ctl(edge, EPOLL_CTL_ADD, s, &e));
	for (int i = 0; i < 2; i++) {
		if (dual_fork() == 0) {
			sleep_ms(50);
			send_to(s, &to, "hello");
			_exit(0);
		}
		if (i == 0) {
			EQUAL(1, epoll_wait(ep, &e, 1, 5000));
			EQUAL(EPOLLERR, e.events);
		} else {
			CHECK(has_error(s, 5000));
		}
		EQUAL(1, epoll_wait(edge, &e, 1, 5000));
		EQUAL(EPOLLERR, e.events);
		EQUAL(0, epoll_wait(edge, &e, 1, SHORT));
		EQUAL(1, epoll_wait(ep, &e, 1, 0));
		expect_refused(s, &to, "hello");
		EQUAL(0, epoll_wait(ep, &e, 1, 0));
	}
}

/* covers: sock-errqueue */
TEST(the_queue_is_the_sockets_not_the_process)
{
	struct sockaddr_in to = closed_port(SOCK_DGRAM);
	int s = recv_err_socket(1), copy = dup(s);
	pid_t child;

	send_to(s, &to, "one");
	CHECK(has_error(s, 5000));
	child = dual_fork();
	if (child == 0) {
		expect_refused(s, &to, "one");
		send_to(s, &to, "two");
		_exit(0);
	}
	child_ok(child);
	CHECK(has_error(copy, 5000));
	expect_refused(copy, &to, "two");
	FAILS(EAGAIN, take(s, 64, 256).n);
}

/* covers: sock-errqueue */
TEST(a_streams_queue_is_empty)
{
	int p[2];

	tcp_pair(p);
	EQUAL(0, setsockopt(p[0], IPPROTO_IP, IP_RECVERR, &(int){ 1 }, sizeof(int)));
	SEND(p[1], "data");
	READABLE(p[0]);
	FAILS(EAGAIN, take(p[0], 64, 256).n);
	expect_text(p[0], "data");
}
