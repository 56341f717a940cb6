/* SPDX-License-Identifier: BSD-3-Clause */
/* poll, ppoll, select and pselect over sockets and kernel descriptors. */
#include "dual.h"

static short events_of(int fd, short events, int ms)
{
	struct pollfd p = { .fd = fd, .events = events };
	int n = poll(&p, 1, ms);

	CHECK(n >= 0);
	EQUAL(n, p.revents != 0);
	return p.revents;
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

TEST(poll_masks_of_a_life)
{
	const short all = POLLIN | POLLOUT | POLLRDHUP | POLLPRI;
	int s = socket(AF_INET, SOCK_STREAM, 0), p[2];

	EQUAL(POLLOUT | POLLHUP, events_of(s, all, 0));
	tcp_pair(p);
	EQUAL(POLLOUT, events_of(p[0], all, 0));
	EQUAL(0, events_of(p[0], POLLIN, SHORT));
	SEND(p[1], "x");
	READABLE(p[0]);
	EQUAL(POLLIN | POLLOUT, events_of(p[0], all, 0));
	EQUAL(POLLIN | POLLRDNORM | POLLOUT | POLLWRNORM,
	      events_of(p[0], POLLIN | POLLRDNORM | POLLOUT | POLLWRNORM, 0));
	EQUAL(0, shutdown(p[1], SHUT_WR));
	CHECK(wait_for_events(p[0], POLLRDHUP, 1000));
	EQUAL(POLLIN | POLLOUT | POLLRDHUP, events_of(p[0], all, 0));
	EQUAL(0, shutdown(p[0], SHUT_WR));
	EQUAL(POLLHUP, events_of(p[0], 0, 1000));
}

TEST(poll_after_shut_read)
{
	int p[2];

	tcp_pair(p);
	EQUAL(0, shutdown(p[0], SHUT_RD));
	EQUAL(POLLIN | POLLOUT | POLLRDHUP, events_of(p[0], POLLIN | POLLOUT | POLLRDHUP, 1000));
	EQUAL(0, recv(p[0], (char[1]){ 0 }, 1, 0));
}

TEST(poll_of_a_listener)
{
	struct sockaddr_in name;
	int l = tcp_listen(&name), s;

	EQUAL(0, events_of(l, POLLIN | POLLOUT, SHORT));
	s = tcp_connect(&name);
	EQUAL(POLLIN, events_of(l, POLLIN | POLLOUT, 1000));
	close(s);
}

TEST(poll_full_then_room)
{
	static char sink[1 << 20];
	int p[2];

	tcp_pair(p);
	fill(p[0]);
	EQUAL(0, events_of(p[0], POLLOUT, SHORT));
	set_nonblocking(p[1]);
	for (int i = 0; i < 200 && events_of(p[0], POLLOUT, 10) == 0; i++)
		if (recv(p[1], sink, sizeof(sink), 0) < 0)
			sleep_ms(5);
	EQUAL(POLLOUT, events_of(p[0], POLLOUT, 1000));
}

TEST(poll_mixes_kinds)
{
	int p[2], pipes[2], event = eventfd(0, 0), closed;
	struct pollfd fds[6];

	tcp_pair(p);
	EQUAL(0, pipe(pipes));
	closed = dup(event);
	close(closed);
	for (int round = 0; round < 3; round++) {
		struct later l = { round == 0 ? p[0] : round == 1 ? pipes[1] : event, 50 };
		int hit = round == 0 ? 0 : round == 1 ? 2 : 4;
		char bytes[8];
		pthread_t t;

		memset(fds, 0, sizeof(fds));
		fds[0] = (struct pollfd){ .fd = p[1], .events = POLLIN };
		fds[1] = (struct pollfd){ .fd = -1, .events = POLLIN, .revents = 99 };
		fds[2] = (struct pollfd){ .fd = pipes[0], .events = POLLIN };
		fds[3] = (struct pollfd){ .fd = p[0], .events = POLLIN };
		fds[4] = (struct pollfd){ .fd = event, .events = POLLIN };
		EQUAL(0, poll(fds, 5, 0));
		EQUAL(0, pthread_create(&t, NULL, write_later, &l));
		EQUAL(1, poll(fds, 5, 5000));
		for (int i = 0; i < 5; i++)
			EQUAL(i == hit ? POLLIN : 0, fds[i].revents);
		EQUAL(8, read(fds[hit].fd, bytes, 8));
		pthread_join(t, NULL);
	}
	fds[5] = (struct pollfd){ .fd = closed, .events = POLLIN };
	EQUAL(1, poll(fds, 6, 5000));
	EQUAL(POLLNVAL, fds[5].revents);
}

TEST(poll_of_only_sockets_sleeps)
{
	int p[2], q[2];
	struct later l;
	pthread_t t;
	int64_t before, start;

	tcp_pair(p);
	tcp_pair(q);
	struct pollfd fds[2] = { { .fd = p[1], .events = POLLIN }, { .fd = q[1], .events = POLLIN } };

	for (int i = 0; i < 20; i++) {
		l = (struct later){ i & 1 ? p[0] : q[0], 5 };
		EQUAL(0, pthread_create(&t, NULL, write_later, &l));
		EQUAL(1, poll(fds, 2, 5000));
		CHECK(fds[i & 1 ? 0 : 1].revents == POLLIN);
		expect_text(fds[i & 1 ? 0 : 1].fd, "12345678");
		pthread_join(t, NULL);
	}
	before = cpu_ms();
	start = now_ms();
	EQUAL(0, poll(fds, 2, 400));
	EQUAL(0, poll(fds, 1, 400));
	CHECK(now_ms() - start >= 798);
	CHECK(cpu_ms() - before < 60);
}

TEST(poll_as_a_sleep)
{
	int64_t start = now_ms();

	EQUAL(0, poll(NULL, 0, 50));
	CHECK(now_ms() - start >= 49);
}

/* covers: sock-eintr */
TEST(poll_is_interrupted)
{
	int p[2], pipes[2];
	struct pollfd fds[2];

	tcp_pair(p);
	EQUAL(0, pipe(pipes));
	fds[0] = (struct pollfd){ .fd = p[1], .events = POLLIN };
	fds[1] = (struct pollfd){ .fd = pipes[0], .events = POLLIN };
	count_signal(SIGUSR1, SA_RESTART);
	for (nfds_t n = 1; n <= 2; n++)
		for (int ms = 5000; ms >= -1; ms -= 5001) {
			signal_after(SIGUSR1, 200);
			FAILS(EINTR, poll(fds, n, ms));
		}
	EQUAL(4, signals_seen);
}

TEST(ppoll_mask_is_atomic)
{
	struct timespec long_time = { 5, 0 };
	sigset_t blocked, none;
	struct pollfd fds;
	int p[2];

	tcp_pair(p);
	fds = (struct pollfd){ .fd = p[1], .events = POLLIN };
	count_signal(SIGUSR1, 0);
	sigemptyset(&none);
	sigemptyset(&blocked);
	sigaddset(&blocked, SIGUSR1);
	EQUAL(0, sigprocmask(SIG_BLOCK, &blocked, NULL));
	raise(SIGUSR1);
	EQUAL(0, poll(&fds, 1, SHORT));
	FAILS(EINTR, ppoll(&fds, 1, &long_time, &none));
	EQUAL(1, signals_seen);
	EQUAL(5, long_time.tv_sec);
	FAILS(EINVAL, ppoll(&fds, 1, &(struct timespec){ 0, -1 }, NULL));
	SEND(p[0], "x");
	EQUAL(1, ppoll(&fds, 1, &long_time, &none));
	EQUAL(POLLIN, fds.revents);
}

TEST(many_descriptors)
{
	enum { MANY = 200 };
	static struct pollfd fds[MANY];
	int p[MANY / 2][2];

	for (int i = 0; i < MANY / 2; i++) {
		tcp_pair(p[i]);
		fds[2 * i] = (struct pollfd){ .fd = p[i][0], .events = POLLIN };
		fds[2 * i + 1] = (struct pollfd){ .fd = p[i][1], .events = POLLIN };
	}
	EQUAL(0, poll(fds, MANY, SHORT));
	for (int i = 0; i < MANY; i += 10) {
		struct later l = { p[i / 2][1], 1 };
		pthread_t t;

		EQUAL(0, pthread_create(&t, NULL, write_later, &l));
		EQUAL(1, poll(fds, MANY, 5000));
		EQUAL(POLLIN, fds[i].revents);
		expect_text(p[i / 2][0], "12345678");
		pthread_join(t, NULL);
	}
}

/* covers: sock-select */
TEST(select_kinds)
{
	struct timeval t;
	fd_set r, w, x;
	int p[2], pipes[2], top;

	tcp_pair(p);
	EQUAL(0, pipe(pipes));
	top = pipes[1] + 1;
	FD_ZERO(&r);
	FD_ZERO(&w);
	FD_ZERO(&x);
	FD_SET(p[1], &r);
	FD_SET(pipes[0], &r);
	FD_SET(p[1], &x);
	t = (struct timeval){ 0, 50000 };
	EQUAL(0, select(top, &r, NULL, &x, &t));
	CHECK(!FD_ISSET(p[1], &r) && !FD_ISSET(pipes[0], &r));
	EQUAL(0, t.tv_sec * 1000000 + t.tv_usec);
	SEND(p[0], "x");
	EQUAL(1, write(pipes[1], "x", 1));
	READABLE(p[1]);
	FD_SET(p[1], &r);
	FD_SET(pipes[0], &r);
	FD_SET(p[0], &r);
	FD_SET(p[1], &w);
	FD_SET(p[1], &x);
	t = (struct timeval){ 5, 0 };
	EQUAL(3, select(top, &r, &w, &x, &t));
	CHECK(FD_ISSET(p[1], &r) && FD_ISSET(pipes[0], &r) && FD_ISSET(p[1], &w));
	CHECK(!FD_ISSET(p[0], &r) && !FD_ISSET(p[1], &x));
	CHECK(t.tv_sec == 4);
}

TEST(select_sleeps_and_leaves_the_rest_of_the_time)
{
	struct timeval t = { 5, 0 };
	int p[2];
	struct later l;
	pthread_t thread;
	fd_set r;

	tcp_pair(p);
	l = (struct later){ p[0], 100 };
	EQUAL(0, pthread_create(&thread, NULL, write_later, &l));
	FD_ZERO(&r);
	FD_SET(p[1], &r);
	EQUAL(1, select(p[1] + 1, &r, NULL, NULL, &t));
	CHECK(t.tv_sec == 4 && t.tv_usec < 950000);
	pthread_join(thread, NULL);
}

/* covers: sock-select */
TEST(select_exceptional_is_urgent)
{
	int p[2];
	fd_set x;

	tcp_pair(p);
	EQUAL(1, send(p[0], "!", 1, MSG_OOB));
	FD_ZERO(&x);
	FD_SET(p[1], &x);
	EQUAL(1, select(p[1] + 1, NULL, NULL, &x, &(struct timeval){ 5, 0 }));
	CHECK(FD_ISSET(p[1], &x));
}

/* A hang-up is readable and, without an error, neither writable nor exceptional. */
/* covers: sock-select */
TEST(select_after_the_end)
{
	int p[2];
	fd_set r, x;

	tcp_pair(p);
	EQUAL(0, close(p[0]));
	FD_ZERO(&r);
	FD_SET(p[1], &r);
	x = r;
	EQUAL(1, select(p[1] + 1, &r, NULL, &x, &(struct timeval){ 5, 0 }));
	CHECK(FD_ISSET(p[1], &r) && !FD_ISSET(p[1], &x));
	EQUAL(0, select(p[1] + 1, NULL, NULL, (FD_SET(p[1], &x), &x), &(struct timeval){ 0, SHORT * 1000 }));
}

TEST(select_errors)
{
	int p[2], closed;
	fd_set r;

	tcp_pair(p);
	closed = dup(p[0]);
	close(closed);
	FD_ZERO(&r);
	FD_SET(p[1], &r);
	FD_SET(closed, &r);
	FAILS(EBADF, select(closed + 1, &r, NULL, NULL, NULL));
	FAILS(EINVAL, select(-1, &r, NULL, NULL, NULL));
	FD_CLR(closed, &r);
	FD_SET(p[1], &r);
	FAILS(EINVAL, select(p[1] + 1, &r, NULL, NULL, &(struct timeval){ -1, 0 }));
}

TEST(pselect_mask_and_interruption)
{
	struct timespec t = { 5, 0 };
	sigset_t blocked, none;
	int p[2];
	fd_set r;

	tcp_pair(p);
	FD_ZERO(&r);
	FD_SET(p[1], &r);
	count_signal(SIGUSR1, SA_RESTART);
	signal_after(SIGUSR1, 200);
	FAILS(EINTR, select(p[1] + 1, &r, NULL, NULL, NULL));
	CHECK(FD_ISSET(p[1], &r));
	sigemptyset(&none);
	sigemptyset(&blocked);
	sigaddset(&blocked, SIGUSR1);
	EQUAL(0, sigprocmask(SIG_BLOCK, &blocked, NULL));
	raise(SIGUSR1);
	FAILS(EINTR, pselect(p[1] + 1, &r, NULL, NULL, &t, &none));
	EQUAL(2, signals_seen);
	SEND(p[0], "x");
	EQUAL(1, pselect(p[1] + 1, &r, NULL, NULL, &t, &none));
	EQUAL(5, t.tv_sec);
}

static void *bind_later(void *argument)
{
	struct sockaddr_in any = dual_address(0), name;
	int s = *(int *)argument, from = udp_socket(NULL);

	sleep_ms(100);
	EQUAL(0, bind(s, (struct sockaddr *)&any, sizeof(any)));
	name = local_name(s);
	EQUAL(1, sendto(from, "x", 1, 0, (struct sockaddr *)&name, sizeof(name)));
	return NULL;
}

/* The socket gets its address while another thread sleeps on it. */
TEST(bind_during_poll)
{
	int s = socket(AF_INET, SOCK_DGRAM, 0);
	pthread_t t;

	EQUAL(0, pthread_create(&t, NULL, bind_later, &s));
	EQUAL(POLLIN, events_of(s, POLLIN, 5000));
	pthread_join(t, NULL);
}
