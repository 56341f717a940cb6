/* SPDX-License-Identifier: BSD-3-Clause */
/* Sockets while their connect is under way, and what select and epoll say of ends: a listener whose queue is full answers no SYN, so
 * that a connect stays where it is until somebody accepts. */
#include "dual.h"

/* A listener that answers nobody any more, until accept. */
static int full_listener(struct sockaddr_in *name)
{
	int l = tcp_listen(name);

	EQUAL(0, listen(l, 0));
	for (int i = 0; i < 8; i++) {
		int s = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

		if (connect(s, (struct sockaddr *)name, sizeof(*name)) < 0)
			EQUAL(EINPROGRESS, errno);
		if (!wait_for_events(s, POLLOUT, 150)) {
			EQUAL(0, close(s));
			return l;
		}
	}
	dual_fail(__FILE__, __LINE__, "eight connections fit into a queue of none");
}

/* covers: sock-connect-intr */
TEST(an_interrupted_connect_goes_on)
{
	struct sockaddr_in name;
	int l = full_listener(&name), s = socket(AF_INET, SOCK_STREAM, 0);

	count_signal(SIGUSR1, 0);
	signal_after(SIGUSR1, 200);
	FAILS(EINTR, connect(s, (struct sockaddr *)&name, sizeof(name)));
	set_nonblocking(l);
	while (accept(l, NULL, NULL) >= 0)
		;
	CHECK(wait_for_events(s, POLLOUT, 8000));
	EQUAL(0, getpeername(s, (struct sockaddr *)&name, &(socklen_t){ sizeof(name) }));
}

/* covers: sock-connect-sndtimeo */
TEST(a_connect_out_of_time_is_in_progress)
{
	struct timeval t = { 0, 150000 };
	struct sockaddr_in name;
	int s = socket(AF_INET, SOCK_STREAM, 0);
	int64_t start;

	full_listener(&name);
	EQUAL(0, setsockopt(s, SOL_SOCKET, SO_SNDTIMEO, &t, sizeof(t)));
	start = now_ms();
	FAILS(EINPROGRESS, connect(s, (struct sockaddr *)&name, sizeof(name)));
	CHECK(now_ms() - start >= 140 && now_ms() - start < 5000);
}

static void *receive_error(void *argument)
{
	char byte;

	return recv(*(int *)argument, &byte, 1, 0) < 0 ? (void *)(intptr_t)errno : NULL;
}

/* covers: sock-send-synsent */
TEST(bytes_wait_for_the_outcome_of_a_connect)
{
	struct sockaddr_in name;
	int l = full_listener(&name), s = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	void *error = NULL;
	pthread_t t;

	FAILS(EINPROGRESS, connect(s, (struct sockaddr *)&name, sizeof(name)));
	FAILS(EAGAIN, send(s, "x", 1, MSG_NOSIGNAL));
	FAILS(EAGAIN, recv(s, (char[1]){ 0 }, 1, 0));
	EQUAL(0, fcntl(s, F_SETFL, O_RDWR));
	EQUAL(0, pthread_create(&t, NULL, receive_error, &s));
	sleep_ms(100);
	EQUAL(0, close(l));     /* the next SYN is refused */
	pthread_join(t, &error);
	EQUAL(ECONNREFUSED, (intptr_t)error);
}

/* covers: sock-select */
TEST(select_knows_connections_and_errors)
{
	struct sockaddr_in name, nobody = closed_port(SOCK_STREAM);
	int l = tcp_listen(&name), s = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), r = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	struct timeval t = { 5, 0 };
	fd_set in, out;

	if (connect(s, (struct sockaddr *)&name, sizeof(name)) < 0)
		EQUAL(EINPROGRESS, errno);
	FD_ZERO(&in);
	FD_ZERO(&out);
	FD_SET(l, &in);
	EQUAL(1, select(l + 1, &in, NULL, NULL, &t));
	FD_SET(s, &out);
	EQUAL(1, select(s + 1, NULL, &out, NULL, &t));
	FAILS(EINPROGRESS, connect(r, (struct sockaddr *)&nobody, sizeof(nobody)));
	CHECK(wait_for_events(r, POLLERR, 5000));
	FD_ZERO(&in);
	FD_ZERO(&out);
	FD_SET(r, &in);
	FD_SET(r, &out);
	EQUAL(2, select(r + 1, &in, &out, NULL, &t));
}

static int epoll_of(int fd, uint32_t events)
{
	int e = epoll_create1(0);
	struct epoll_event event = { .events = events, .data.fd = fd };

	EQUAL(0, epoll_ctl(e, EPOLL_CTL_ADD, fd, &event));
	return e;
}

/* covers: sock-epoll-rdhup */
TEST(an_end_is_told_by_edge_before_anything_is_read)
{
	struct epoll_event event;
	int p[2], e;

	tcp_pair(p);
	e = epoll_of(p[1], EPOLLIN | EPOLLRDHUP | EPOLLET);
	SEND(p[0], "unread");
	EQUAL(1, epoll_wait(e, &event, 1, 5000));
	EQUAL(EPOLLIN, event.events);
	EQUAL(0, shutdown(p[0], SHUT_WR));
	EQUAL(1, epoll_wait(e, &event, 1, 5000));
	EQUAL(EPOLLIN | EPOLLRDHUP, event.events);
	EQUAL(0, epoll_wait(e, &event, 1, SHORT));
}

/* covers: sock-epoll-max */
TEST(one_event_at_a_time_comes_round_to_all)
{
	struct epoll_event event;
	int p[5][2], e = epoll_create1(0), seen[5] = { 0 };

	for (unsigned i = 0; i < 5; i++) {
		tcp_pair(p[i]);
		event = (struct epoll_event){ .events = EPOLLIN, .data.u32 = i };
		EQUAL(0, epoll_ctl(e, EPOLL_CTL_ADD, p[i][1], &event));
		SEND(p[i][0], "x");
	}
	for (int i = 0; i < 5; i++)
		READABLE(p[i][1]);
	for (int i = 0; i < 10; i++) {
		EQUAL(1, epoll_wait(e, &event, 1, 1000));
		seen[event.data.u32]++;
	}
	for (int i = 0; i < 5; i++)
		EQUAL(2, seen[i]);
	FAILS(EINVAL, epoll_wait(e, &event, 0, 0));
}

/* covers: sock-epoll-errs */
TEST(sets_that_hold_each_other_are_a_loop)
{
	struct epoll_event event = { .events = EPOLLIN };
	int p[2], inner, outer = epoll_create1(0);

	tcp_pair(p);
	inner = epoll_of(p[0], EPOLLIN);
	EQUAL(0, epoll_ctl(outer, EPOLL_CTL_ADD, inner, &event));
	FAILS(ELOOP, epoll_ctl(inner, EPOLL_CTL_ADD, outer, &event));
	FAILS(EEXIST, epoll_ctl(outer, EPOLL_CTL_ADD, inner, &event));
}

/* Light's servers need the option alone, the kernel's leave of the administrator as well. */
static bool servers_may_open_fast(void)
{
	char text[16] = "";
	int fd = open("/proc/sys/net/ipv4/tcp_fastopen", O_RDONLY);

	if (getenv("LIGHT_SOCKET"))
		return true;
	CHECK(fd >= 0 && read(fd, text, sizeof(text) - 1) > 0);
	EQUAL(0, close(fd));
	return strtol(text, NULL, 0) & 2;
}

static bool syn_data_acked(int s)
{
	struct tcp_info i = { 0 };

	EQUAL(0, getsockopt(s, IPPROTO_TCP, TCP_INFO, &i, &(socklen_t){ sizeof(i) }));
	return i.tcpi_options & 32; /* TCPI_OPT_SYN_DATA */
}

/* Connects and sends, and is answered. True: the data came with the SYN, as both ends say. */
static bool open_fast(int l, struct sockaddr_in *name, bool with_sendto)
{
	int s = socket(AF_INET, SOCK_STREAM, 0), child;
	char bytes[8];
	bool fast;

	if (with_sendto) {
		EQUAL(5, sendto(s, "hello", 5, MSG_FASTOPEN, (struct sockaddr *)name, sizeof(*name)));
		FAILS(EISCONN, sendto(s, "again", 5, MSG_FASTOPEN, (struct sockaddr *)name, sizeof(*name)));
	} else {
		EQUAL(0, setsockopt(s, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, &(int){ 1 }, sizeof(int)));
		EQUAL(0, connect(s, (struct sockaddr *)name, sizeof(*name)));
		EQUAL(5, send(s, "hello", 5, 0));
	}
	child = accept(l, NULL, NULL);
	CHECK(child >= 0);
	EQUAL(5, recv(child, bytes, sizeof(bytes), 0));
	EQUAL(0, memcmp(bytes, "hello", 5));
	EQUAL(3, send(child, "yes", 3, 0));
	EQUAL(3, recv(s, bytes, sizeof(bytes), 0));
	fast = syn_data_acked(s);
	EQUAL(fast, syn_data_acked(child));
	EQUAL(0, close(s));
	EQUAL(0, close(child));
	return fast;
}

/* covers: 7413-linux-api */
TEST(data_goes_with_the_syn_to_a_known_server)
{
	struct sockaddr_in name;
	int l = tcp_listen(&name), queue = 0, fast[2] = { 0, 0 };

	EQUAL(0, setsockopt(l, IPPROTO_TCP, TCP_FASTOPEN, &(int){ 16 }, sizeof(int)));
	EQUAL(0, getsockopt(l, IPPROTO_TCP, TCP_FASTOPEN, &queue, &(socklen_t){ sizeof(queue) }));
	EQUAL(16, queue);
	open_fast(l, &name, true);        /* brings the cookie, if there is none yet */
	for (int i = 0; i < 16; i++)       /* on several cores: with one on each of them */
		fast[i % 2] += open_fast(l, &name, i % 2);
	for (int i = 0; i < 2; i++)
		CHECK((fast[i] > 0) == servers_may_open_fast());
}
