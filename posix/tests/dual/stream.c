/* SPDX-License-Identifier: BSD-3-Clause */
/* Bytes over connections: all ways to send and receive, the end, errors, time limits. */
#include "dual.h"

#include <sys/sendfile.h>

/* covers: sock-recv-zero sock-send-zero */
TEST(every_call_moves_bytes)
{
	struct iovec two[2] = { { .iov_base = (char[]){ "ab" }, .iov_len = 2 }, { .iov_base = (char[]){ "cd" }, .iov_len = 2 } };
	struct msghdr m = { .msg_iov = two, .msg_iovlen = 2 };
	char a[2], b[4];
	struct iovec into[2] = { { a, 2 }, { b, 4 } };
	struct msghdr r = { .msg_iov = into, .msg_iovlen = 2 };
	int p[2];

	tcp_pair(p);
	EQUAL(2, write(p[0], "xy", 2));
	expect_text(p[1], "xy");
	EQUAL(4, writev(p[0], two, 2));
	expect_text(p[1], "abcd");
	EQUAL(4, sendmsg(p[0], &m, 0));
	expect_text(p[1], "abcd");
	EQUAL(3, sendto(p[0], "123", 3, 0, NULL, 0));
	READABLE(p[1]);
	EQUAL(3, recvfrom(p[1], b, 4, 0, NULL, NULL));
	SEND(p[0], "hello");
	READABLE(p[1]);
	EQUAL(5, readv(p[1], into, 2));
	CHECK(memcmp(a, "he", 2) == 0 && memcmp(b, "llo", 3) == 0);
	SEND(p[0], "world");
	READABLE(p[1]);
	EQUAL(5, recvmsg(p[1], &r, 0));
	CHECK(memcmp(a, "wo", 2) == 0 && memcmp(b, "rld", 3) == 0);
	EQUAL(0, r.msg_flags & (MSG_TRUNC | MSG_CTRUNC));
	EQUAL(0, send(p[0], "", 0, 0));
	SEND(p[0], "z");
	READABLE(p[1]);
	EQUAL(0, recv(p[1], b, 0, MSG_DONTWAIT));
	expect_text(p[1], "z");
}

TEST(many_messages_in_one_call)
{
	struct iovec io[3] = { { (char[]){ "one" }, 3 }, { (char[]){ "two" }, 3 }, { (char[]){ "three" }, 5 } };
	struct mmsghdr m[3] = { { .msg_hdr = { .msg_iov = &io[0], .msg_iovlen = 1 } },
		{ .msg_hdr = { .msg_iov = &io[1], .msg_iovlen = 1 } }, { .msg_hdr = { .msg_iov = &io[2], .msg_iovlen = 1 } } };
	int p[2];

	tcp_pair(p);
	EQUAL(3, sendmmsg(p[0], m, 3, 0));
	EQUAL(5, m[2].msg_len);
	expect_text(p[1], "onetwothree");
}

/* covers: sock-recv-dontwait */
TEST(nothing_there_yet)
{
	int p[2];

	tcp_pair(p);
	FAILS(EAGAIN, recv(p[0], (char[1]){ 0 }, 1, MSG_DONTWAIT));
	set_nonblocking(p[0]);
	FAILS(EAGAIN, read(p[0], (char[1]){ 0 }, 1));
	EQUAL(0, fcntl(p[1], F_GETFL) & O_NONBLOCK);
}

TEST(full_is_eagain)
{
	int p[2];

	tcp_pair(p);
	for (int i = 0; i < 100 && (errno = 0, fill(p[0]), send(p[0], "x", 1, MSG_DONTWAIT)) == 1; i++)
		;
	EQUAL(EAGAIN, errno);
	set_nonblocking(p[0]);
	FAILS(EAGAIN, write(p[0], "x", 1));
}

/* covers: sock-recv-peek sock-recv-waitall */
TEST(peek_and_waitall)
{
	char bytes[16] = "";
	int p[2];

	tcp_pair(p);
	SEND(p[0], "abc");
	READABLE(p[1]);
	EQUAL(2, recv(p[1], bytes, 2, MSG_PEEK));
	EQUAL(3, recv(p[1], bytes, sizeof(bytes), MSG_PEEK));
	CHECK(memcmp(bytes, "abc", 3) == 0);
	if (dual_fork() == 0) {
		sleep_ms(50);
		SEND(p[0], "def");
		sleep_ms(50);
		SEND(p[0], "gh");
		shutdown(p[0], SHUT_WR);
		_exit(0);
	}
	EQUAL(6, recv(p[1], bytes, 6, MSG_WAITALL));
	CHECK(memcmp(bytes, "abcdef", 6) == 0);
	EQUAL(2, recv(p[1], bytes, 6, MSG_WAITALL));
	EQUAL(0, recv(p[1], bytes, 6, MSG_WAITALL));
}

TEST(discard_with_trunc)
{
	int p[2];

	tcp_pair(p);
	SEND(p[0], "abcdef");
	READABLE(p[1]);
	EQUAL(4, recv(p[1], NULL, 4, MSG_TRUNC));
	expect_text(p[1], "ef");
}

TEST(half_closed)
{
	int p[2];

	tcp_pair(p);
	SEND(p[0], "last");
	EQUAL(0, shutdown(p[0], SHUT_WR));
	FAILS(EPIPE, send(p[0], "x", 1, MSG_NOSIGNAL));
	expect_text(p[1], "last");
	EQUAL(0, recv(p[1], (char[1]){ 0 }, 1, 0));
	EQUAL(0, recv(p[1], (char[1]){ 0 }, 1, 0));
	SEND(p[1], "answer");
	expect_text(p[0], "answer");
	EQUAL(0, close(p[1]));
	EQUAL(0, recv(p[0], (char[1]){ 0 }, 1, 0));
}

TEST(shut_read)
{
	int p[2];

	tcp_pair(p);
	EQUAL(0, shutdown(p[0], SHUT_RD));
	EQUAL(0, recv(p[0], (char[1]){ 0 }, 1, 0));
	SEND(p[0], "still");
	expect_text(p[1], "still");
	EQUAL(0, shutdown(p[0], SHUT_RDWR));
	EQUAL(0, recv(p[1], (char[1]){ 0 }, 1, 0));
}

TEST(broken_pipe)
{
	int p[2];

	tcp_pair(p);
	count_signal(SIGPIPE, 0);
	EQUAL(0, close(p[1]));
	EQUAL(0, recv(p[0], (char[1]){ 0 }, 1, 0));
	SEND(p[0], "x");                /* is answered by a reset */
	CHECK(wait_for_events(p[0], POLLHUP, 5000));
	FAILS(EPIPE, send(p[0], "x", 1, MSG_NOSIGNAL));
	EQUAL(0, signals_seen);
	FAILS(EPIPE, write(p[0], "x", 1));
	EQUAL(1, signals_seen);
}

TEST(reset_by_linger)
{
	struct linger now = { .l_onoff = 1, .l_linger = 0 };
	int p[2], error = 0;
	socklen_t n = sizeof(error);

	tcp_pair(p);
	EQUAL(0, setsockopt(p[0], SOL_SOCKET, SO_LINGER, &now, sizeof(now)));
	EQUAL(0, close(p[0]));
	CHECK(wait_for_events(p[1], POLLERR, 5000));
	FAILS(ECONNRESET, recv(p[1], (char[1]){ 0 }, 1, 0));
	EQUAL(0, recv(p[1], (char[1]){ 0 }, 1, 0));
	FAILS(EPIPE, send(p[1], "x", 1, MSG_NOSIGNAL));
	EQUAL(0, getsockopt(p[1], SOL_SOCKET, SO_ERROR, &error, &n));
	EQUAL(0, error);
}

TEST(reset_is_in_so_error)
{
	struct linger now = { .l_onoff = 1, .l_linger = 0 };
	int p[2], error = 0;
	socklen_t n = sizeof(error);

	tcp_pair(p);
	EQUAL(0, setsockopt(p[0], SOL_SOCKET, SO_LINGER, &now, sizeof(now)));
	EQUAL(0, close(p[0]));
	CHECK(wait_for_events(p[1], POLLERR, 5000));
	EQUAL(0, getsockopt(p[1], SOL_SOCKET, SO_ERROR, &error, &n));
	EQUAL(ECONNRESET, error);
	EQUAL(0, recv(p[1], (char[1]){ 0 }, 1, 0));
}

TEST(unread_bytes_reset_the_peer)
{
	int p[2];

	tcp_pair(p);
	SEND(p[0], "never read");
	READABLE(p[1]);
	EQUAL(0, close(p[1]));
	FAILS(ECONNRESET, recv(p[0], (char[1]){ 0 }, 1, 0));
}

TEST(not_connected)
{
	int s = socket(AF_INET, SOCK_STREAM, 0);

	FAILS(ENOTCONN, recv(s, (char[1]){ 0 }, 1, 0));
	FAILS(EPIPE, send(s, "x", 1, MSG_NOSIGNAL));
	FAILS(ENOTCONN, recv(tcp_listen(NULL), (char[1]){ 0 }, 1, 0));
}

/* covers: sock-rcvtimeo */
TEST(receive_timeout)
{
	struct timeval t = { 0, 60000 }, got;
	socklen_t n = sizeof(got);
	int p[2];
	int64_t start, before;

	tcp_pair(p);
	EQUAL(0, setsockopt(p[0], SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t)));
	EQUAL(0, getsockopt(p[0], SOL_SOCKET, SO_RCVTIMEO, &got, &n));
	EQUAL(60000, got.tv_usec);
	start = now_ms();
	before = cpu_ms();
	FAILS(EAGAIN, recv(p[0], (char[1]){ 0 }, 1, 0));
	CHECK(now_ms() - start >= 55);
	CHECK(cpu_ms() - before < 40);
}

TEST(send_timeout)
{
	static char block[1 << 16];
	struct timeval t = { 0, 60000 };
	int p[2], i;

	tcp_pair(p);
	EQUAL(0, setsockopt(p[0], SOL_SOCKET, SO_SNDTIMEO, &t, sizeof(t)));
	for (i = 0; i < 1000 && send(p[0], block, sizeof(block), 0) > 0; i++)
		;
	CHECK(i < 1000);
	EQUAL(EAGAIN, errno);
}

/* covers: sock-eintr */
TEST(receive_is_interrupted_or_restarted)
{
	struct timeval t = { 5, 0 };
	int p[2];

	tcp_pair(p);
	count_signal(SIGUSR1, 0);
	signal_after(SIGUSR1, 200);
	FAILS(EINTR, recv(p[0], (char[1]){ 0 }, 1, 0));
	count_signal(SIGUSR1, SA_RESTART);
	if (dual_fork() == 0) {
		sleep_ms(500);
		SEND(p[1], "x");
		_exit(0);
	}
	signal_after(SIGUSR1, 200);
	EQUAL(1, recv(p[0], (char[1]){ 0 }, 1, 0));
	EQUAL(2, signals_seen);
	/* With a time limit it is never restarted (signal(7)). */
	EQUAL(0, setsockopt(p[0], SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t)));
	signal_after(SIGUSR1, 200);
	FAILS(EINTR, recv(p[0], (char[1]){ 0 }, 1, 0));
}

TEST(urgent_byte)
{
	char byte;
	int p[2], mark = -1, one = 1;

	tcp_pair(p);
	FAILS(EINVAL, recv(p[1], &byte, 1, MSG_OOB));
	SEND(p[0], "ab");
	EQUAL(1, send(p[0], "!", 1, MSG_OOB));
	SEND(p[0], "cd");
	CHECK(wait_for_events(p[1], POLLPRI, 5000));
	EQUAL(1, recv(p[1], &byte, 1, MSG_OOB));
	EQUAL('!', byte);
	expect_text(p[1], "ab");
	EQUAL(0, ioctl(p[1], SIOCATMARK, &mark));
	EQUAL(1, mark);
	expect_text(p[1], "cd");
	EQUAL(0, setsockopt(p[1], SOL_SOCKET, SO_OOBINLINE, &one, sizeof(one)));
	EQUAL(1, send(p[0], "?", 1, MSG_OOB));
	expect_text(p[1], "?");
}

TEST(bytes_queued)
{
	int p[2], n = -1;

	tcp_pair(p);
	EQUAL(0, ioctl(p[1], FIONREAD, &n));
	EQUAL(0, n);
	SEND(p[0], "12345");
	READABLE(p[1]);
	EQUAL(0, ioctl(p[1], FIONREAD, &n));
	EQUAL(5, n);
	for (int i = 0; i < 500 && (ioctl(p[0], TIOCOUTQ, &n) != 0 || n != 0); i++)
		sleep_ms(1);
	EQUAL(0, n);
	fill(p[0]);
	EQUAL(0, ioctl(p[0], TIOCOUTQ, &n));
	CHECK(n > 0);
}

TEST(file_to_socket)
{
	char path[] = "/tmp/dualXXXXXX", got[1000];
	int p[2], file = mkstemp(path), pipes[2];
	off_t at = 100;

	CHECK(file >= 0);
	unlink(path);
	for (int i = 0; i < 1000; i++)
		got[i] = (char)(i * 7);
	EQUAL(1000, write(file, got, 1000));
	tcp_pair(p);
	EQUAL(500, sendfile(p[0], file, &at, 500));
	EQUAL(600, at);
	recv_all(p[1], got, 500);
	for (int i = 0; i < 500; i++)
		EQUAL((char)((i + 100) * 7), got[i]);
	EQUAL(990, lseek(file, 990, SEEK_SET));
	EQUAL(10, sendfile(p[0], file, NULL, 100));
	EQUAL(0, sendfile(p[0], file, NULL, 100));
	recv_all(p[1], got, 10);
	EQUAL((char)(990 * 7), got[0]);
	EQUAL(0, pipe(pipes));
	EQUAL(5, write(pipes[1], "piped", 5));
	EQUAL(5, splice(pipes[0], NULL, p[0], NULL, 5, 0));
	expect_text(p[1], "piped");
	SEND(p[1], "back");
	READABLE(p[0]);
	EQUAL(4, splice(p[0], NULL, pipes[1], NULL, 100, 0));
	EQUAL(4, read(pipes[0], got, 100));
}

TEST(not_seekable)
{
	int p[2];
	struct stat st;

	tcp_pair(p);
	FAILS(ESPIPE, lseek(p[0], 0, SEEK_CUR));
	FAILS(ESPIPE, pread(p[0], (char[1]){ 0 }, 1, 0));
	FAILS(ESPIPE, pwrite(p[0], "x", 1, 0));
	EQUAL(0, fstat(p[0], &st));
	CHECK(S_ISSOCK(st.st_mode));
	EQUAL(0, isatty(p[0]));
}
