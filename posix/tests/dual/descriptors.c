/* SPDX-License-Identifier: BSD-3-Clause */
/* Descriptor numbers: dup and its kin, flags, fork, exec, passing over UNIX sockets. */
#include "dual.h"

#include <spawn.h>
#include <sys/resource.h>

extern char **environ;

TEST(lowest_free_number)
{
	int a = open("/dev/null", O_RDONLY), s;

	close(a);
	s = socket(AF_INET, SOCK_STREAM, 0);
	EQUAL(a, s);
	EQUAL(s + 1, open("/dev/null", O_RDONLY));
	EQUAL(0, close(s));
	EQUAL(s, socket(AF_INET, SOCK_DGRAM, 0));
}

TEST(close_and_closed)
{
	int p[2];

	tcp_pair(p);
	EQUAL(0, close(p[0]));
	FAILS(EBADF, close(p[0]));
	FAILS(EBADF, send(p[0], "x", 1, 0));
	FAILS(EBADF, recv(p[0], (char[1]){ 0 }, 1, 0));
	FAILS(EBADF, fcntl(p[0], F_GETFL));
	EQUAL(0, recv(p[1], (char[1]){ 0 }, 1, 0));
}

/* covers: sock-close-dup */
TEST(duplicates_are_one_connection)
{
	int p[2], a, b, c, d;

	tcp_pair(p);
	a = dup(p[0]);
	b = fcntl(p[0], F_DUPFD, 50);
	EQUAL(50, b);
	c = dup2(p[0], 60);
	EQUAL(60, c);
	d = dup3(p[0], 61, O_CLOEXEC);
	EQUAL(61, d);
	EQUAL(FD_CLOEXEC, fcntl(d, F_GETFD));
	EQUAL(0, fcntl(c, F_GETFD));
	EQUAL(0, close(p[0]));
	SEND(a, "a");
	SEND(b, "b");
	SEND(c, "c");
	SEND(d, "d");
	expect_text(p[1], "abcd");
	/* O_NONBLOCK belongs to the connection, close-on-exec to the number. */
	set_nonblocking(a);
	FAILS(EAGAIN, recv(b, (char[1]){ 0 }, 1, 0));
	EQUAL(0, close(a));
	EQUAL(0, close(b));
	EQUAL(0, close(c));
	FAILS(EAGAIN, recv(p[1], (char[1]){ 0 }, 1, MSG_DONTWAIT));
	EQUAL(0, close(d));
	EQUAL(0, recv(p[1], (char[1]){ 0 }, 1, 0));
}

TEST(dup2_over_others)
{
	int p[2], q[2], pipes[2];

	tcp_pair(p);
	tcp_pair(q);
	EQUAL(0, pipe(pipes));
	EQUAL(p[0], dup2(p[0], p[0]));
	EQUAL(p[0], dup2(q[0], p[0]));          /* closes the first connection */
	EQUAL(0, recv(p[1], (char[1]){ 0 }, 1, 0));
	SEND(p[0], "via q");
	expect_text(q[1], "via q");
	EQUAL(q[1], dup2(pipes[0], q[1]));
	EQUAL(1, write(pipes[1], "x", 1));
	EQUAL(1, read(q[1], (char[1]){ 0 }, 1));
	EQUAL(pipes[1], dup2(p[0], pipes[1]));
	FAILS(EBADF, dup2(77, 78));
	FAILS(EINVAL, dup3(p[0], p[0], 0));
}

TEST(flags)
{
	int s = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 0;

	EQUAL(FD_CLOEXEC, fcntl(s, F_GETFD));
	EQUAL(O_RDWR | O_NONBLOCK, fcntl(s, F_GETFL));
	EQUAL(0, ioctl(s, FIONBIO, &on));
	EQUAL(O_RDWR, fcntl(s, F_GETFL));
	EQUAL(0, fcntl(s, F_SETFD, 0));
	EQUAL(0, fcntl(s, F_GETFD));
	EQUAL(0, ioctl(s, FIOCLEX));
	EQUAL(FD_CLOEXEC, fcntl(s, F_GETFD));
	EQUAL(FD_CLOEXEC, fcntl(fcntl(s, F_DUPFD_CLOEXEC, 0), F_GETFD));
	EQUAL(0, fcntl(s, F_SETOWN, getpid()));
	EQUAL(getpid(), fcntl(s, F_GETOWN));
}

TEST(close_range_closes)
{
	int p[2];

	tcp_pair(p);
	EQUAL(p[1], dup2(p[1], p[1]));
	EQUAL(0, close_range((unsigned)p[0], (unsigned)p[0], 0));
	EQUAL(0, recv(p[1], (char[1]){ 0 }, 1, 0));
	EQUAL(0, close_range(3, ~0U, 0));
	FAILS(EBADF, recv(p[1], (char[1]){ 0 }, 1, 0));
	/* What the library keeps for itself must have survived. */
	tcp_pair(p);
	SEND(p[0], "again");
	expect_text(p[1], "again");
}

TEST(as_standard_input)
{
	int p[2];
	char line[16] = "";

	tcp_pair(p);
	EQUAL(0, dup2(p[1], 0));
	EQUAL(0, close(p[1]));
	SEND(p[0], "line\n");
	EQUAL(5, read(0, line, sizeof(line)));
	EQUAL(0, close(p[0]));
	EQUAL(0, read(0, line, sizeof(line)));
}

TEST(fork_shares_a_connection)
{
	int p[2];
	pid_t child;

	tcp_pair(p);
	child = dual_fork();
	if (child == 0) {
		expect_text(p[1], "question");
		SEND(p[1], "answer");
		_exit(0);
	}
	EQUAL(0, close(p[1]));
	SEND(p[0], "question");
	expect_text(p[0], "answer");
	child_ok(child);
	EQUAL(0, recv(p[0], (char[1]){ 0 }, 1, 0));     /* closed with its last process */
}

TEST(fork_both_write)
{
	int p[2], a = 0, b = 0;
	pid_t child;

	tcp_pair(p);
	child = dual_fork();
	for (int i = 0; i < 500; i++)
		EQUAL(1, send(p[0], child ? "a" : "b", 1, 0));
	if (child == 0)
		_exit(0);
	for (int i = 0; i < 1000; i++) {
		char byte;

		EQUAL(1, recv(p[1], &byte, 1, 0));
		a += byte == 'a';
		b += byte == 'b';
	}
	EQUAL(500, a);
	EQUAL(500, b);
	child_ok(child);
}

TEST(killed_child_keeps_the_parents_connection)
{
	int p[2];
	pid_t child;

	tcp_pair(p);
	child = dual_fork();
	if (child == 0)
		for (;;)
			pause();
	EQUAL(0, kill(child, SIGKILL));
	EQUAL(child, waitpid(child, NULL, 0));
	sleep_ms(SHORT);
	SEND(p[0], "alive");
	expect_text(p[1], "alive");
}

TEST(killed_owner_ends_the_connection)
{
	struct sockaddr_in name;
	int l = tcp_listen(&name), s;
	pid_t child = dual_fork();
	int64_t start;

	if (child == 0) {
		int c = tcp_connect(&name);

		SEND(c, "x");
		for (;;)
			pause();
	}
	s = accept(l, NULL, NULL);
	expect_text(s, "x");
	start = now_ms();
	EQUAL(0, kill(child, SIGKILL));
	EQUAL(child, waitpid(child, NULL, 0));
	CHECK(recv(s, (char[1]){ 0 }, 1, 0) <= 0);
	CHECK(now_ms() - start < 1500);
}

TEST(two_workers_accept_from_one_listener)
{
	struct sockaddr_in name;
	int l = tcp_listen(&name), count[2] = { 0, 0 };
	pid_t worker[2];

	for (int i = 0; i < 2; i++)
		if ((worker[i] = dual_fork()) == 0)
			for (;;) {
				int s = accept(l, NULL, NULL);

				CHECK(s >= 0);
				EQUAL(1, send(s, i ? "1" : "0", 1, 0));
				sleep_ms(2);
				close(s);
			}
	EQUAL(0, close(l));
	for (int i = 0; i < 40; i++) {
		int c = tcp_connect(&name);
		char byte;

		EQUAL(1, recv(c, &byte, 1, 0));
		count[byte == '1']++;
		EQUAL(0, recv(c, &byte, 1, 0));
		close(c);
	}
	CHECK(count[0] > 0 && count[1] > 0);
	for (int i = 0; i < 2; i++) {
		kill(worker[i], SIGKILL);
		waitpid(worker[i], NULL, 0);
	}
}

/* cat, with connections as its standard input and output. */
TEST(exec_inherits)
{
	int p[2];
	pid_t child;

	tcp_pair(p);
	child = dual_fork();
	if (child == 0) {
		dup2(p[1], 0);
		dup2(p[1], 1);
		execlp("cat", "cat", (char *)NULL);
		_exit(9);
	}
	EQUAL(0, close(p[1]));
	SEND(p[0], "to and fro");
	EQUAL(0, shutdown(p[0], SHUT_WR));
	expect_text(p[0], "to and fro");
	EQUAL(0, recv(p[0], (char[1]){ 0 }, 1, 0));
	child_ok(child);
}

TEST(close_on_exec_closes)
{
	int p[2];
	pid_t child;

	tcp_pair(p);
	EQUAL(0, fcntl(p[1], F_SETFD, FD_CLOEXEC));
	child = dual_fork();
	if (child == 0) {
		execlp("sleep", "sleep", "5", (char *)NULL);
		_exit(9);
	}
	sleep_ms(100);
	EQUAL(0, close(p[1]));
	CHECK(wait_for_events(p[0], POLLIN, 2000));
	EQUAL(0, recv(p[0], (char[1]){ 0 }, 1, 0));
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
}

TEST(spawn_gives_a_connection)
{
	char *const arguments[] = { (char[]){ "cat" }, NULL };
	posix_spawn_file_actions_t actions;
	int p[2];
	pid_t child;

	tcp_pair(p);
	EQUAL(0, posix_spawn_file_actions_init(&actions));
	EQUAL(0, posix_spawn_file_actions_adddup2(&actions, p[1], 0));
	EQUAL(0, posix_spawn_file_actions_adddup2(&actions, p[1], 1));
	EQUAL(0, posix_spawnp(&child, "cat", &actions, NULL, arguments, environ));
	EQUAL(0, close(p[1]));
	SEND(p[0], "spawned");
	EQUAL(0, shutdown(p[0], SHUT_WR));
	expect_text(p[0], "spawned");
	child_ok(child);
}

TEST(other_families_are_untouched)
{
	int pair[2], s6 = socket(AF_UNIX, SOCK_STREAM, 0), n = 0;
	socklen_t size = sizeof(n);

	EQUAL(0, socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	SEND(pair[0], "unix");
	expect_text(pair[1], "unix");
	EQUAL(0, getsockopt(s6, SOL_SOCKET, SO_DOMAIN, &n, &size));
	EQUAL(AF_UNIX, n);
	FAILS(EOPNOTSUPP, socketpair(AF_INET, SOCK_STREAM, 0, pair));
}

TEST(limit_of_descriptors)
{
	struct rlimit r = { 40, 40 };
	int last = -1, s;

	s = socket(AF_INET, SOCK_STREAM, 0);    /* whatever the library needs, it has now */
	CHECK(s >= 0);
	EQUAL(0, setrlimit(RLIMIT_NOFILE, &r));
	while ((s = socket(AF_INET, SOCK_STREAM, 0)) >= 0)
		last = s;
	EQUAL(EMFILE, errno);
	EQUAL(39, last);
	EQUAL(0, close(20));
	EQUAL(20, socket(AF_INET, SOCK_DGRAM, 0));
}
