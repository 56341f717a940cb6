/* SPDX-License-Identifier: BSD-3-Clause */
/* Where sockets meet files, streams and other processes: sendfile, splice, stdio, SCM_RIGHTS, calls through syscall(2), and
 * what is left of a connection when its program ends. */
#include "dual.h"

#include <sys/sendfile.h>
#include <sys/syscall.h>

#define FILE_BYTES 300000

static int temporary_file(uint8_t *bytes, size_t n)
{
	char path[] = "/tmp/dual-XXXXXX";
	int fd = mkstemp(path);

	CHECK(fd >= 0);
	unlink(path);
	for (size_t i = 0; i < n; i++)
		bytes[i] = (uint8_t)(i * 7 + i / 251);
	EQUAL(n, write(fd, bytes, n));
	EQUAL(0, lseek(fd, 0, SEEK_SET));
	return fd;
}

static uint8_t sent[FILE_BYTES], got[FILE_BYTES];

/* ---- files ---- */

TEST(sendfile_sends_a_file_and_moves_its_position)
{
	int file = temporary_file(sent, FILE_BYTES), pair[2];
	off_t offset = 1000;
	pid_t child;

	tcp_pair(pair);
	child = dual_fork();
	if (child == 0) {
		size_t left = FILE_BYTES;

		while (left > 0) {
			ssize_t n = sendfile(pair[0], file, NULL, left);

			CHECK(n > 0);
			left -= (size_t)n;
		}
		EQUAL(0, sendfile(pair[0], file, NULL, 10));            /* its end */
		EQUAL(FILE_BYTES, lseek(file, 0, SEEK_CUR));
		EQUAL(500, sendfile(pair[0], file, &offset, 500));
		EQUAL(1500, offset);
		EQUAL(FILE_BYTES, lseek(file, 0, SEEK_CUR));
		_exit(0);
	}
	recv_all(pair[1], got, FILE_BYTES);
	EQUAL(0, memcmp(sent, got, FILE_BYTES));
	recv_all(pair[1], got, 500);
	EQUAL(0, memcmp(sent + 1000, got, 500));
	child_ok(child);
}

TEST(sendfile_stops_where_a_full_socket_does)
{
	int file = temporary_file(sent, FILE_BYTES), pair[2];
	off_t offset;
	ssize_t n;

	tcp_pair(pair);
	set_nonblocking(pair[0]);
	do {
		offset = 0;
		n = sendfile(pair[0], file, &offset, FILE_BYTES);
	} while (n == FILE_BYTES);
	if (n < 0)
		EQUAL(EAGAIN, errno);
	else
		EQUAL(n, offset);
	CHECK(offset < FILE_BYTES);
	EQUAL(0, lseek(file, 0, SEEK_CUR));
}

TEST(splice_moves_bytes_through_a_pipe)
{
	int in[2], out[2], pipe_fds[2];

	tcp_pair(in);
	tcp_pair(out);
	EQUAL(0, pipe(pipe_fds));
	SEND(in[0], "through a pipe");
	READABLE(in[1]);
	EQUAL(14, splice(in[1], NULL, pipe_fds[1], NULL, 65536, 0));
	EQUAL(14, splice(pipe_fds[0], NULL, out[0], NULL, 14, 0));
	expect_text(out[1], "through a pipe");
	set_nonblocking(in[1]);                 /* SPLICE_F_NONBLOCK is of the pipe alone */
	FAILS(EAGAIN, splice(in[1], NULL, pipe_fds[1], NULL, 10, 0));
	FAILS(EINVAL, splice(in[1], &(off64_t){ 0 }, pipe_fds[1], NULL, 10, 0));
	FAILS(ESPIPE, splice(in[1], NULL, pipe_fds[1], &(off64_t){ 0 }, 10, 0));
	FAILS(EINVAL, splice(in[1], NULL, out[0], NULL, 10, 0));
	shutdown(in[0], SHUT_WR);
	READABLE(in[1]);
	EQUAL(0, splice(in[1], NULL, pipe_fds[1], NULL, 10, 0));
}

TEST(a_socket_has_no_position_and_no_pages)
{
	int pair[2];
	char byte;

	tcp_pair(pair);
	FAILS(ESPIPE, lseek(pair[0], 0, SEEK_SET));
	FAILS(ESPIPE, pread(pair[0], &byte, 1, 0));
	FAILS(ESPIPE, pwrite(pair[0], "x", 1, 0));
	FAILS(EINVAL, ftruncate(pair[0], 0));
	FAILS(EINVAL, fsync(pair[0]));
}

/* ---- stdio ---- */

TEST(a_stream_on_a_socket_reads_and_writes)
{
	int pair[2];
	char line[64];
	FILE *in, *out;

	tcp_pair(pair);
	CHECK((in = fdopen(dup(pair[0]), "r")));
	CHECK((out = fdopen(pair[0], "w")));
	EQUAL(pair[0], fileno(out));
	SEND(pair[1], "220 ready\r\nsecond\n");
	CHECK(fgets(line, sizeof(line), in));
	EQUAL(0, strcmp(line, "220 ready\r\n"));
	CHECK(fprintf(out, "USER %s\r\n", "me") > 0);
	EQUAL(0, fflush(out));
	expect_text(pair[1], "USER me\r\n");
	CHECK(fgets(line, sizeof(line), in));
	EQUAL(0, strcmp(line, "second\n"));
	EQUAL(0, fclose(in));
	EQUAL(0, fclose(out));
	READABLE(pair[1]);
	EQUAL(0, recv(pair[1], line, 1, 0));
}

TEST(standard_output_may_become_a_socket)
{
	int pair[2];
	pid_t child;

	tcp_pair(pair);
	child = dual_fork();
	if (child == 0) {
		dup2(pair[0], 1);
		close(pair[0]);
		printf("printed %d\n", 42);
		exit(0);
	}
	close(pair[0]);
	expect_text(pair[1], "printed 42\n");
	child_ok(child);
	READABLE(pair[1]);
	EQUAL(0, recv(pair[1], &(char){ 0 }, 1, 0));
}

/* ---- passing ---- */

static void pass(int channel, int fd)
{
	union {
		struct cmsghdr head;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = { .head = { CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS } };
	char mark = '!';
	struct iovec part = { &mark, 1 };
	struct msghdr m = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control.bytes) };

	memcpy(CMSG_DATA(&control.head), &fd, sizeof(fd));
	EQUAL(1, sendmsg(channel, &m, 0));
}

static int take(int channel)
{
	union {
		struct cmsghdr head;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	char byte;
	struct iovec part = { &byte, 1 };
	struct msghdr m = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control.bytes) };
	int fd;

	EQUAL(1, recvmsg(channel, &m, MSG_CMSG_CLOEXEC));
	CHECK(m.msg_controllen >= CMSG_LEN(sizeof(int)));
	memcpy(&fd, CMSG_DATA(&control.head), sizeof(fd));
	EQUAL(FD_CLOEXEC, fcntl(fd, F_GETFD));
	return fd;
}

TEST(a_connection_passed_to_a_child_outlives_its_sender)
{
	int channel[2], listener, client, accepted;
	struct sockaddr_in name;
	pid_t child;

	EQUAL(0, socketpair(AF_UNIX, SOCK_STREAM, 0, channel));
	child = dual_fork();
	if (child == 0) {
		int fd = take(channel[1]);

		expect_text(fd, "to the child");
		SEND(fd, "from the child");
		_exit(0);
	}
	listener = tcp_listen(&name);
	client = tcp_connect(&name);
	CHECK((accepted = accept(listener, NULL, NULL)) >= 0);
	pass(channel[0], accepted);
	EQUAL(0, close(accepted));
	SEND(client, "to the child");
	expect_text(client, "from the child");
	child_ok(child);
	READABLE(client);
	EQUAL(0, recv(client, &(char){ 0 }, 1, 0));
}

TEST(a_listener_passed_to_a_child_accepts_there)
{
	int channel[2], listener, client;
	struct sockaddr_in name;
	pid_t child;

	EQUAL(0, socketpair(AF_UNIX, SOCK_STREAM, 0, channel));
	listener = tcp_listen(&name);
	child = dual_fork();
	if (child == 0) {
		int fd, connection;

		close(listener);
		fd = take(channel[1]);
		CHECK((connection = accept(fd, NULL, NULL)) >= 0);
		SEND(connection, "here");
		_exit(0);
	}
	pass(channel[0], listener);
	close(listener);
	client = tcp_connect(&name);
	expect_text(client, "here");
	child_ok(child);
}

/* ---- processes ---- */

TEST(what_a_vforked_child_closes_stays_open_here)
{
	int pair[2];
	pid_t child;

	tcp_pair(pair);
	child = vfork();
	CHECK(child >= 0);
	if (child == 0) {
		close(pair[0]);
		close(pair[1]);
		execl("/bin/true", "true", (char *)NULL);
		_exit(1);
	}
	child_ok(child);
	SEND(pair[0], "still here");
	expect_text(pair[1], "still here");
}

TEST(a_child_made_by_clone_has_the_sockets)
{
	int pair[2];
	pid_t child;

	tcp_pair(pair);
	child = (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
	CHECK(child >= 0);
	if (child == 0) {
		SEND(pair[1], "cloned");
		_exit(0);
	}
	expect_text(pair[0], "cloned");
	child_ok(child);
	SEND(pair[1], "and its parent too");
	expect_text(pair[0], "and its parent too");
}

TEST(calls_through_syscall_reach_the_socket)
{
	int pair[2];
	char byte;

	tcp_pair(pair);
	EQUAL(3, syscall(SYS_write, pair[0], "abc", 3));
	READABLE(pair[1]);
	EQUAL(1, syscall(SYS_recvfrom, pair[1], &byte, 1, 0, NULL, NULL));
	EQUAL('a', byte);
	EQUAL(1, syscall(SYS_read, pair[1], &byte, 1));
	EQUAL(0, syscall(SYS_close, pair[0]));
	FAILS(EBADF, send(pair[0], "x", 1, 0));
	expect_text(pair[1], "c");
	READABLE(pair[1]);
	EQUAL(0, recv(pair[1], &byte, 1, 0));
}

static void ends_in_order(void (*end)(int))
{
	int pair[2];
	pid_t child;

	tcp_pair(pair);
	child = dual_fork();
	if (child == 0) {
		SEND(pair[1], "last words");
		end(0);
	}
	close(pair[1]);
	expect_text(pair[0], "last words");
	READABLE(pair[0]);
	EQUAL(0, recv(pair[0], &(char){ 0 }, 1, 0));
	child_ok(child);
}

TEST(exit_closes_connections_in_order)
{
	ends_in_order(exit);
	ends_in_order(_exit);
	ends_in_order(quick_exit);
}
