/* SPDX-License-Identifier: BSD-3-Clause */
/* One epoll set over sockets, pipes, eventfds, timers and UNIX sockets: sleeping, waking, fairness, signals, threads, fork, nesting. */
#include "dual.h"

static int epoll_new(void)
{
	int e = epoll_create1(0);

	CHECK(e >= 0);
	return e;
}

static void add(int e, int fd, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.fd = fd };

	EQUAL(0, epoll_ctl(e, EPOLL_CTL_ADD, fd, &event));
}

static void expect(int e, int fd, uint32_t events)
{
	struct epoll_event event = { 0 };

	EQUAL(1, epoll_wait(e, &event, 1, 5000));
	EQUAL(fd, event.data.fd);
	EQUAL(events, event.events);
}

static void expect_none(int e, int ms)
{
	struct epoll_event event;
	int n = epoll_wait(e, &event, 1, ms);

	if (n != 0)
		dual_fail(__FILE__, __LINE__, "epoll_wait is %d, events 0x%x of %d", n, event.events, event.data.fd);
}

struct later {
	int fd, ms;
};

static void *write_later(void *argument)
{
	const struct later *l = argument;

	sleep_ms(l->ms);
	CHECK(write(l->fd, "12345678", 8) == 8);
	return NULL;
}

static pthread_t later(struct later *l)
{
	pthread_t t;

	EQUAL(0, pthread_create(&t, NULL, write_later, l));
	return t;
}

TEST(each_kind_wakes_the_same_set)
{
	int e = epoll_new(), p[2], pipes[2], pair[2], event = eventfd(0, 0), fds[4], writers[4];
	char bytes[8];

	tcp_pair(p);
	EQUAL(0, pipe(pipes));
	EQUAL(0, socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	memcpy(fds, (int[]){ p[1], pipes[0], pair[1], event }, sizeof(fds));
	memcpy(writers, (int[]){ p[0], pipes[1], pair[0], event }, sizeof(writers));
	for (int i = 0; i < 4; i++)
		add(e, fds[i], EPOLLIN);
	expect_none(e, SHORT);
	for (int round = 0; round < 3; round++)
		for (int i = 0; i < 4; i++) {
			struct later l = { writers[i], 30 };
			pthread_t t = later(&l);

			expect(e, fds[i], EPOLLIN);
			EQUAL(8, read(fds[i], bytes, 8));
			pthread_join(t, NULL);
		}
	expect_none(e, SHORT);
}

TEST(all_kinds_at_once)
{
	int e = epoll_new(), p[2], pipes[2], event = eventfd(1, 0), timer = timerfd_create(CLOCK_MONOTONIC, 0), seen = 0;
	struct itimerspec soon = { .it_value.tv_nsec = 1000000 };
	struct epoll_event events[8];

	tcp_pair(p);
	EQUAL(0, pipe(pipes));
	EQUAL(0, timerfd_settime(timer, 0, &soon, NULL));
	add(e, p[1], EPOLLIN);
	add(e, pipes[0], EPOLLIN);
	add(e, event, EPOLLIN);
	add(e, timer, EPOLLIN);
	SEND(p[0], "x");
	EQUAL(1, write(pipes[1], "x", 1));
	READABLE(p[1]);
	READABLE(timer);
	EQUAL(4, epoll_wait(e, events, 8, 1000));
	for (int i = 0; i < 4; i++)
		seen |= 1 << (events[i].data.fd == p[1] ? 0 : events[i].data.fd == pipes[0] ? 1 : events[i].data.fd == event ? 2 : 3);
	EQUAL(15, seen);
}

/* With more ready than is asked for, everybody's turn comes. */
TEST(nobody_starves)
{
	int e = epoll_new(), p[4][2], pipes[3][2], count[1024] = { 0 };
	struct epoll_event event;

	for (int i = 0; i < 4; i++) {
		tcp_pair(p[i]);
		add(e, p[i][1], EPOLLIN);
		SEND(p[i][0], "x");
		READABLE(p[i][1]);
	}
	for (int i = 0; i < 3; i++) {
		EQUAL(0, pipe(pipes[i]));
		add(e, pipes[i][0], EPOLLIN);
		EQUAL(1, write(pipes[i][1], "x", 1));
	}
	for (int i = 0; i < 70; i++) {
		EQUAL(1, epoll_wait(e, &event, 1, 1000));
		count[event.data.fd]++;
	}
	for (int i = 0; i < 4; i++)
		CHECK(count[p[i][1]] >= 5);
	for (int i = 0; i < 3; i++)
		CHECK(count[pipes[i][0]] >= 5);
}

TEST(blocking_costs_nothing)
{
	int e = epoll_new(), p[2], pipes[2];
	int64_t before, start;

	tcp_pair(p);
	EQUAL(0, pipe(pipes));
	add(e, p[1], EPOLLIN);
	add(e, pipes[0], EPOLLIN);
	before = cpu_ms();
	start = now_ms();
	expect_none(e, 500);
	CHECK(now_ms() - start >= 499);
	CHECK(cpu_ms() - before < 50);
}

TEST(timeouts)
{
	struct timespec t = { 0, 30500000 };
	struct epoll_event event;
	int e = epoll_new(), p[2];
	int64_t start;

	tcp_pair(p);
	add(e, p[1], EPOLLIN);
	start = now_ms();
	EQUAL(0, epoll_wait(e, &event, 1, 0));
	CHECK(now_ms() - start < 200);
	EQUAL(0, epoll_wait(e, &event, 1, 40));
	CHECK(now_ms() - start >= 39);
	start = now_ms();
	EQUAL(0, epoll_pwait2(e, &event, 1, &t, NULL));
	CHECK(now_ms() - start >= 29);
	t.tv_nsec = 2000000000;
	FAILS(EINVAL, epoll_pwait2(e, &event, 1, &t, NULL));
}

/* Never restarted, whatever SA_RESTART says. */
TEST(signal_ends_the_wait)
{
	struct epoll_event event;
	int e = epoll_new(), p[2];

	tcp_pair(p);
	add(e, p[1], EPOLLIN);
	for (int i = 0; i < 2; i++) {
		count_signal(SIGUSR1, i ? SA_RESTART : 0);
		signal_after(SIGUSR1, 200);
		FAILS(EINTR, epoll_wait(e, &event, 1, 5000));
		EQUAL(i + 1, signals_seen);
		signal_after(SIGUSR1, 200);
		signals_seen--;
		FAILS(EINTR, epoll_wait(e, &event, 1, -1));
		EQUAL(i + 1, signals_seen);
	}
}

TEST(mask_is_swapped_atomically)
{
	struct epoll_event event;
	int e = epoll_new(), p[2];
	sigset_t blocked, none;

	tcp_pair(p);
	add(e, p[1], EPOLLIN);
	count_signal(SIGUSR1, SA_RESTART);
	sigemptyset(&none);
	sigemptyset(&blocked);
	sigaddset(&blocked, SIGUSR1);
	EQUAL(0, sigprocmask(SIG_BLOCK, &blocked, NULL));
	raise(SIGUSR1);
	EQUAL(0, epoll_wait(e, &event, 1, SHORT));
	EQUAL(0, signals_seen);
	FAILS(EINTR, epoll_pwait(e, &event, 1, 5000, &none));
	EQUAL(1, signals_seen);
	/* What is ready is told, and the signal stays pending. */
	SEND(p[0], "x");
	READABLE(p[1]);
	raise(SIGUSR1);
	EQUAL(1, epoll_pwait(e, &event, 1, 5000, &none));
	EQUAL(1, signals_seen);
	EQUAL(0, sigprocmask(SIG_UNBLOCK, &blocked, NULL));
	EQUAL(2, signals_seen);
}

struct waiter {
	int epfd;
	_Atomic int events;
	_Atomic int waits;
};

static void *wait_and_read(void *argument)
{
	struct waiter *w = argument;
	struct epoll_event event;
	char byte;

	while (epoll_wait(w->epfd, &event, 1, 2000) == 1) {
		w->waits++;
		if (recv(event.data.fd, &byte, 1, MSG_DONTWAIT) == 1) {
			if (byte == 'q')
				break;
			w->events++;
		}
	}
	return NULL;
}

/* Four threads in one set: every byte is found by one of them, none sleeps on it. */
TEST(threads_share_a_set)
{
	enum { THREADS = 4, ROUNDS = 200 };
	int e = epoll_new(), p[2];
	struct waiter w = { .epfd = e };
	pthread_t t[THREADS];
	int64_t until;

	tcp_pair(p);
	add(e, p[1], EPOLLIN);
	for (int i = 0; i < THREADS; i++)
		EQUAL(0, pthread_create(&t[i], NULL, wait_and_read, &w));
	for (int i = 1; i <= ROUNDS; i++) {
		SEND(p[0], "x");
		until = now_ms() + 1500;
		while (w.events < i && now_ms() < until)
			sched_yield();
		EQUAL(i, w.events);
	}
	SEND(p[0], "qqqq");
	for (int i = 0; i < THREADS; i++)
		pthread_join(t[i], NULL);
}

/* A thread sleeps in a set that has no socket yet; another one adds the first, ready already. */
TEST(add_wakes_a_sleeper)
{
	int e = epoll_new(), p[2], pipes[2];
	struct waiter w = { .epfd = e };
	pthread_t t;

	EQUAL(0, pipe(pipes));
	add(e, pipes[0], EPOLLIN);
	tcp_pair(p);
	SEND(p[0], "q");
	READABLE(p[1]);
	EQUAL(0, pthread_create(&t, NULL, wait_and_read, &w));
	sleep_ms(100);
	add(e, p[1], EPOLLIN);
	pthread_join(t, NULL);
	EQUAL(1, w.waits);
}

TEST(modify_wakes_a_sleeper)
{
	struct epoll_event event = { .events = EPOLLIN };
	int e = epoll_new(), p[2];
	struct waiter w = { .epfd = e };
	pthread_t t;

	tcp_pair(p);
	event.data.fd = p[1];
	add(e, p[1], EPOLLRDHUP);
	SEND(p[0], "q");
	READABLE(p[1]);
	EQUAL(0, pthread_create(&t, NULL, wait_and_read, &w));
	sleep_ms(100);
	EQUAL(0, epoll_ctl(e, EPOLL_CTL_MOD, p[1], &event));
	pthread_join(t, NULL);
	EQUAL(1, w.waits);
}

TEST(delete_and_close_during_the_wait)
{
	int e = epoll_new(), p[2], q[2];
	struct waiter w = { .epfd = e };
	pthread_t t;

	tcp_pair(p);
	tcp_pair(q);
	add(e, p[1], EPOLLIN);
	add(e, q[1], EPOLLIN);
	EQUAL(0, pthread_create(&t, NULL, wait_and_read, &w));
	sleep_ms(50);
	EQUAL(0, epoll_ctl(e, EPOLL_CTL_DEL, p[1], NULL));
	SEND(p[0], "x");
	sleep_ms(50);
	EQUAL(0, w.waits);
	EQUAL(0, close(p[1]));
	SEND(q[0], "q");
	pthread_join(t, NULL);
	EQUAL(1, w.waits);
}

TEST(a_set_in_a_set)
{
	int outer = epoll_new(), inner = epoll_new(), p[2];
	struct later l;
	pthread_t t;

	tcp_pair(p);
	add(outer, inner, EPOLLIN);
	add(inner, p[1], EPOLLIN);
	expect_none(outer, SHORT);
	for (int round = 0; round < 3; round++) {
		l = (struct later){ p[0], 50 };
		t = later(&l);
		expect(outer, inner, EPOLLIN);
		expect(outer, inner, EPOLLIN);
		expect(inner, p[1], EPOLLIN);
		expect_text(p[1], "12345678");
		expect_none(outer, SHORT);
		expect_none(inner, 0);
		pthread_join(t, NULL);
	}
	/* Ready before it is nested, and read without asking the inner set. */
	SEND(p[0], "x");
	expect(outer, inner, EPOLLIN);
	expect_text(p[1], "x");
	expect_none(outer, SHORT);
}

TEST(poll_and_select_on_a_set)
{
	int e = epoll_new(), p[2];
	struct later l;
	pthread_t t;
	fd_set r;

	tcp_pair(p);
	add(e, p[1], EPOLLIN);
	CHECK(!wait_for_events(e, POLLIN, SHORT));
	l = (struct later){ p[0], 50 };
	t = later(&l);
	READABLE(e);
	expect(e, p[1], EPOLLIN);
	expect_text(p[1], "12345678");
	CHECK(!wait_for_events(e, POLLIN, SHORT));
	pthread_join(t, NULL);
	t = later(&l);
	FD_ZERO(&r);
	FD_SET(e, &r);
	EQUAL(1, select(e + 1, &r, NULL, NULL, NULL));
	expect_text(p[1], "12345678");
	FD_SET(e, &r);
	EQUAL(0, select(e + 1, &r, NULL, NULL, &(struct timeval){ 0, SHORT * 1000 }));
	pthread_join(t, NULL);
}

TEST(a_forked_child_uses_the_set)
{
	int e = epoll_new(), p[2], pipes[2];
	pid_t child;

	tcp_pair(p);
	EQUAL(0, pipe(pipes));
	add(e, p[1], EPOLLIN);
	add(e, pipes[0], EPOLLIN);
	expect_none(e, 0);
	child = dual_fork();
	if (child == 0) {
		int64_t before = cpu_ms();

		expect(e, p[1], EPOLLIN);
		expect_text(p[1], "x");
		expect(e, pipes[0], EPOLLIN);
		CHECK(read(pipes[0], (char[1]){ 0 }, 1) == 1);
		expect_none(e, 200);
		CHECK(cpu_ms() - before < 100);
		_exit(0);
	}
	sleep_ms(100);
	SEND(p[0], "x");
	sleep_ms(100);
	EQUAL(1, write(pipes[1], "y", 1));
	child_ok(child);
	SEND(p[0], "z");
	expect(e, p[1], EPOLLIN);
}

/* Prefork: every worker has a set of its own over one listener. Each connection is served once. */
TEST(workers_with_sets_over_one_listener)
{
	enum { WORKERS = 3, CLIENTS = 60 };
	struct sockaddr_in name;
	int l = tcp_listen(&name);
	pid_t workers[WORKERS];
	char who;

	set_nonblocking(l);
	for (int i = 0; i < WORKERS; i++) {
		if ((workers[i] = dual_fork()) != 0)
			continue;
		for (int e = epoll_new(), s;;) {
			struct epoll_event event;

			if (i >= 0)
				add(e, l, i % 2 ? EPOLLIN | EPOLLEXCLUSIVE : EPOLLIN);
			i = -1;
			EQUAL(1, epoll_wait(e, &event, 1, -1));
			if ((s = accept(l, NULL, NULL)) < 0)
				continue;
			SEND(s, "w");
			close(s);
		}
	}
	for (int i = 0; i < CLIENTS; i++) {
		int s = tcp_connect(&name);

		EQUAL(1, recv(s, &who, 1, 0));
		EQUAL(0, recv(s, &who, 1, 0));
		close(s);
	}
	for (int i = 0; i < WORKERS; i++) {
		kill(workers[i], SIGKILL);
		waitpid(workers[i], NULL, 0);
	}
}
