/* SPDX-License-Identifier: BSD-3-Clause */
/* The plug-in as packetdrill uses it: the rules of the clock, two threads, descriptors, what goes past the table. The test runs with the
 * library preloaded, as packetdrill would. */
#include "tools/packetdrill/tests/script.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/times.h>
#include <sys/wait.h>

/* ---- a call with an end time: packetdrill's second thread ---- */

static struct blocking {
	pthread_t thread;
	_Atomic int tid;
	_Atomic bool over;
	long (*what)(int fd);
	int fd, error;
	long result;
	double ended;
} blocking;

static void *run(void *unused)
{
	(void)unused;
	atomic_store(&blocking.tid, (int)syscall(SYS_gettid));
	blocking.result = blocking.what(blocking.fd);
	blocking.error = errno;
	blocking.ended = now();
	atomic_store(&blocking.over, true);
	return NULL;
}

static char state_of_thread(int tid)
{
	char path[64], line[256] = "", *behind;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", tid);
	f = fopen(path, "re");
	if (!f)
		return 0;
	if (!fgets(line, sizeof(line), f))
		line[0] = 0;
	fclose(f);
	behind = strrchr(line, ')');
	return behind ? behind[2] : 0;
}

/* Returns, like packetdrill's main thread, once the thread sleeps or its call is over. How long a busy machine takes to run it is not what
 * is tested: there is a minute of real time, and the processor is left to the thread meanwhile. */
static void start(long (*what)(int fd), int fd)
{
	const struct timespec pause = { 0, 50000 };
	struct timespec current, end;

	clock_gettime(CLOCK_MONOTONIC, &end);
	end.tv_sec += 60;
	blocking = (struct blocking){ .what = what, .fd = fd };
	assert_int_equal(pthread_create(&blocking.thread, NULL, run, NULL), 0);
	do {
		int tid = atomic_load(&blocking.tid);

		if (atomic_load(&blocking.over) || (tid && state_of_thread(tid) == 'S'))
			return;
		syscall(SYS_nanosleep, &pause, NULL);
		clock_gettime(CLOCK_MONOTONIC, &current);
	} while (current.tv_sec < end.tv_sec);
	fail_msg("the blocked thread is not asleep: state %c", state_of_thread(atomic_load(&blocking.tid)));
}

static void ended_at(double seconds, long result)
{
	assert_int_equal(pthread_join(blocking.thread, NULL), 0);
	assert_int_equal(blocking.result, result);
	if (blocking.ended < seconds - 0.0001 || blocking.ended > seconds + 0.0001)
		fail_msg("the call ended at %.6f, not at %.6f", blocking.ended, seconds);
}

static long accept_it(int fd)
{
	struct sockaddr_in peer;
	socklen_t length = sizeof(peer);
	int child = call(accept, fd, (struct sockaddr *)&peer, &length);

	if (child < 0 || length != sizeof(peer) || peer.sin_family != AF_INET || ntohs(peer.sin_port) != 40000 ||
	    ntohl(peer.sin_addr.s_addr) != REMOTE)
		return -1;
	return child;
}

static long read_it(int fd)
{
	char bytes[1000];

	return call(read, fd, bytes, sizeof(bytes));
}

static long connect_it(int fd)
{
	struct sockaddr_in a = address(REMOTE, 40000);

	return call(connect, fd, (struct sockaddr *)&a, sizeof(a));
}

static long poll_it(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return call(poll, &p, 1, 5000) * 1000 + p.revents;
}

/* ---- tests ---- */

static void a_blocked_accept_sleeps_and_ends_when_the_handshake_does(void **state)
{
	int fd = listening(), child;

	(void)state;
	at(0.1);
	start(accept_it, fd);
	assert_false(atomic_load(&blocking.over));
	inject(0.2, "S 0:0(0) win 32792 <mss 1460,sackOK,nop,nop,nop,wscale 7>");
	expect(0.2, "S. 0:0(0) ack 1 <mss 1460,nop,nop,sackOK,nop,wscale *>");
	inject(0.3, ". 1:1(0) ack 1 win 257");
	child = (int)blocking.result;
	ended_at(0.3, child);
	assert_true(child > fd);
	assert_int_equal(call(close, child), 0);
	expect(0.3, "F. 1:1(0) ack 1");
}

static void a_blocked_read_ends_with_its_bytes_and_its_time(void **state)
{
	int fd = established(0.1);

	(void)state;
	start(read_it, fd);
	at(1800.0);
	assert_false(atomic_load(&blocking.over));
	inject(1800.25, "P. 1:101(100) ack 1 win 257");
	ended_at(1800.25, 100);
	expect(1800.25, ". 1:1(0) ack 101");
	start(read_it, fd);
	inject(1900.0, "R. 101:101(0) ack 1 win 257");
	ended_at(1900.0, -1);
	assert_int_equal(blocking.error, ECONNRESET);
}

/* An event of the simulator, not of the test, releases the call while the main thread is in usleep: the clock waits for it. */
static void a_call_that_time_releases_ends_at_its_own_time(void **state)
{
	struct timeval t = { 2, 500000 };
	int fd = established(0.1);

	(void)state;
	assert_int_equal(call(setsockopt, fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t)), 0);
	at(1.0);
	start(read_it, fd);
	at(100.0);
	ended_at(3.5, -1);
	assert_int_equal(blocking.error, EAGAIN);
	start(poll_it, fd);
	at(200.0);
	ended_at(105.0, 0);
}

static void a_blocked_connect_ends_by_answer_or_by_its_last_retransmission(void **state)
{
	int fd = call(socket, AF_INET, SOCK_STREAM, IPPROTO_TCP);

	(void)state;
	script.names.local_port = 0;
	start(connect_it, fd);
	expect(0.0, "S 0:0(0) win 65535 <mss 1460,sackOK,TS val 100 ecr 0,nop,wscale *>");
	inject(0.1, "S. 0:0(0) ack 1 win 5792 <mss 1460,sackOK,TS val 700 ecr 100,nop,wscale 7>");
	ended_at(0.1, 0);
	expect(0.1, ". 1:1(0) ack 1 <nop,nop,TS val 200 ecr 700>");
	fd = call(socket, AF_INET, SOCK_STREAM, IPPROTO_TCP);
	set_int(fd, IPPROTO_TCP, TCP_SYNCNT, 1);
	start(connect_it, fd);
	at(10.0);
	ended_at(3.1, -1);
	assert_int_equal(blocking.error, ETIMEDOUT);
}

/* What packetdrill does without "...": the main thread blocks, and time passes inside the call. */
static void a_blocking_call_of_the_main_thread_lets_time_pass(void **state)
{
	struct linger linger = { 1, 5 };
	int fd = established(0.1);

	(void)state;
	assert_int_equal(put(fd, 10), 10);
	assert_int_equal(call(setsockopt, fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)), 0);
	assert_int_equal(call(close, fd), 0);
	assert_true(now() > 5.09 && now() < 5.11);
	expect(0.1, "P. 1:11(10) ack 1");
	expect(0.1, "F. 11:11(0) ack 1");
}

static void an_hour_of_back_off_takes_no_time(void **state)
{
	struct timespec before, after;
	int fd = established(0.1);
	double due = 0.4, wait = 0.3;

	(void)state;
	clock_gettime(CLOCK_MONOTONIC, &before);
	put(fd, 1000);
	expect(0.1, "P. 1:1001(1000) ack 1");
	expect(due, "P. 1:1001(1000) ack 1");   /* a probe of the tail */
	for (int i = 0; i < 15; i++) {
		due += wait;
		expect(due, "P. 1:1001(1000) ack 1");
		wait = wait * 2 < 120 ? wait * 2 : 120;
	}
	expect_nothing();
	assert_true(now() > 920);
	at(3700);
	clock_gettime(CLOCK_MONOTONIC, &after);
	print_message("an hour took %ld ms\n", (after.tv_sec - before.tv_sec) * 1000 + (after.tv_nsec - before.tv_nsec) / 1000000);
	assert_int_equal(get_int(fd, SOL_SOCKET, SO_ERROR), ETIMEDOUT);
}

static void where_nothing_comes_the_count_is_zero(void **state)
{
	(void)state;
	expect_nothing();
	listening();
	expect_nothing();
}

static void the_clock_moves_only_where_packetdrill_waits(void **state)
{
	int fd = established(0.1);
	struct timeval a, b;
	double begin = now();

	(void)state;
	for (int i = 0; i < 100; i++) {
		put(fd, 1);
		take(fd, 0, MSG_DONTWAIT);
	}
	assert_true(now() - begin < 0.000005);
	call(gettimeofday, &a, NULL);
	call(gettimeofday, &b, NULL);
	assert_int_equal((b.tv_sec - a.tv_sec) * 1000000 + b.tv_usec - a.tv_usec, 1);
	call(usleep, 12345);
	call(gettimeofday, &a, NULL);
	assert_int_equal((a.tv_sec - b.tv_sec) * 1000000 + a.tv_usec - b.tv_usec, 12345);
}

/* As a script's python does it: past the table, by libc. */
static void tcp_info_is_read_by_libc_s_getsockopt(void **state)
{
	uint8_t bytes[280];
	struct tcp_info info;
	socklen_t length = sizeof(bytes);
	int fd = established(0.1);
	uint32_t words[9];

	(void)state;
	put(fd, 2500);
	assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_INFO, bytes, &length), 0);
	assert_int_equal(length, 280);
	memcpy(&info, bytes, sizeof(info));
	assert_int_equal(info.tcpi_state, 1);
	assert_int_equal(info.tcpi_snd_mss, 1000);
	assert_int_equal(info.tcpi_snd_cwnd, 10);
	assert_int_equal(info.tcpi_unacked, 3);
	assert_in_range(info.tcpi_rtt, 99900, 100100);
	assert_int_equal(info.tcpi_options, TCPI_OPT_SACK | TCPI_OPT_WSCALE);
	assert_int_equal(info.tcpi_bytes_sent, 2500);
	length = sizeof(words);
	assert_int_equal(getsockopt(fd, SOL_SOCKET, 55, words, &length), 0);
	assert_int_equal(length, 36);
	assert_int_equal(words[5], 2500);
	length = 64;
	assert_int_equal(getsockopt(fd, IPPROTO_TCP, 26, bytes, &length), 0);
	assert_int_equal(length, 0);
	length = sizeof(bytes);
	assert_int_equal(getsockopt(fd, IPPROTO_TCP, 9999, bytes, &length), -1);
	assert_int_equal(errno, ENOPROTOOPT);
}

static void numbers_are_the_kernel_s_and_close_by_libc_closes(void **state)
{
	int fd = established(0.1), kernel = open("/dev/null", O_RDONLY | O_CLOEXEC);
	struct stat st;

	(void)state;
	assert_true(kernel >= 0 && kernel != fd);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(call(close, kernel), 0);
	assert_int_equal(fstat(kernel, &st), -1);
	assert_int_equal(put(fd, 5), 5);
	expect(0.1, "P. 1:6(5) ack 1");
	assert_int_equal(close(fd), 0);
	assert_int_equal(fstat(fd, &st), -1);
	expect(0.1, "F. 6:6(0) ack 1");
	assert_int_equal(close(fd), -1);
	assert_int_equal(errno, EBADF);
	assert_int_equal(call(read, fd, &st, 1), -1);
	assert_int_equal(errno, EBADF);
}

static void times_changes_with_each_call(void **state)
{
	clock_t first = times(NULL);

	(void)state;
	assert_int_equal(times(NULL), first + 1);
}

static void a_packet_larger_than_the_mtu_is_a_super_frame(void **state)
{
	int fd = established(0.1), n;

	(void)state;
	inject(0.2, "P. 1:50001(50000) ack 1 win 257");
	expect(0.2, ". 1:1(0) ack 50001");
	assert_int_equal(call(ioctl, fd, SIOCINQ, &n), 0);
	assert_int_equal(n, 50000);
	assert_int_equal(take(fd, 100000, 0), 50000);
}

static void a_mapped_socket_of_ip6_gets_mapped_names(void **state)
{
	struct sockaddr_in6 a = { .sin6_family = AF_INET6, .sin6_port = htons(8080), .sin6_addr = in6addr_any }, peer;
	int fd = call(socket, AF_INET6, SOCK_STREAM, IPPROTO_TCP), child;
	socklen_t length = sizeof(peer);
	char shown[INET6_ADDRSTRLEN];

	(void)state;
	assert_int_equal(call(bind, fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(call(listen, fd, 1), 0);
	inject(0.0, "S 0:0(0) win 32792 <mss 1460>");
	expect(0.0, "S. 0:0(0) ack 1 <mss 1460>");
	inject(0.1, ". 1:1(0) ack 1 win 32792");
	child = call(accept, fd, (struct sockaddr *)&peer, &length);
	assert_true(child >= 0);
	assert_int_equal(length, sizeof(peer));
	assert_string_equal(inet_ntop(AF_INET6, &peer.sin6_addr, shown, sizeof(shown)), "::ffff:192.0.2.1");
	a.sin6_addr = in6addr_loopback;
	fd = call(socket, AF_INET6, SOCK_STREAM, IPPROTO_TCP);
	assert_int_equal(call(connect, fd, (struct sockaddr *)&a, sizeof(a)), -1);
	assert_int_equal(errno, ENETUNREACH);
}

static void sysctl_files_are_read_when_a_socket_begins(void **state)
{
	char folder[] = "/tmp/lt-pdrill.XXXXXX", path[128], flags[128];
	FILE *f;

	(void)state;
	script_end();
	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "mkdir -p %s/net/ipv4 && echo '4096 540000 15728640' > %s/net/ipv4/tcp_rmem", folder, folder);
	assert_int_equal(system(path), 0);
	snprintf(flags, sizeof(flags), "local=192.168.0.1/16,sysctl=%s", folder);
	script_begin(flags);
	inject(0.0, ". 5:5(0) ack 1 win 257");
	expect(0.0, "R 1:1(0)");
	script.names.isn_known = false;
	established(0.1);
	assert_int_equal(script.packet[20 + 32 - 1], 8);        /* the shift, the last byte of the SYN-ACK */
	snprintf(path, sizeof(path), "%s/net/ipv4/tcp_rmem", folder);
	f = fopen(path, "we");
	assert_non_null(f);
	fputs("4096 540000 33554432\n", f);
	fclose(f);
	script.names.remote_port = 40001;
	script.names.isn_known = false;
	established(0.1);
	assert_int_equal(script.packet[20 + 32 - 1], 10);
	snprintf(path, sizeof(path), "rm -rf %s", folder);
	assert_int_equal(system(path), 0);
}

static void splice_goes_both_ways_and_loses_nothing(void **state)
{
	int fd = established(0.1), p[2];
	loff_t none = 0, nowhere = 0;
	char bytes[64];

	(void)state;
	assert_int_equal(call(pipe, p), 0);
	assert_int_equal(call(write, p[1], "to the socket", 13), 13);
	assert_int_equal(call(splice, p[0], &none, fd, &nowhere, 13, 0), 13);
	expect(0.1, "P. 1:14(13) ack 1");
	inject(0.2, "P. 1:21(20) ack 14 win 257");
	assert_int_equal(call(splice, fd, &none, p[1], &nowhere, 100, SPLICE_F_NONBLOCK), 20);
	assert_int_equal(call(read, p[0], bytes, sizeof(bytes)), 20);
	for (uint32_t i = 0; i < 20; i++)
		assert_int_equal((uint8_t)bytes[i], packet_pattern(1 + i));
	assert_int_equal(call(splice, fd, &none, p[1], &nowhere, 100, SPLICE_F_NONBLOCK), -1);
	assert_int_equal(errno, EAGAIN);
	close(p[0]);
	close(p[1]);
}

static void a_file_is_sent_by_libc_s_sendfile(void **state)
{
	int fd = established(0.1), file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	off_t offset = 100;

	(void)state;
	assert_int_equal(sendfile(fd, file, &offset, 700), 700);
	assert_int_equal(offset, 800);
	expect(0.1, "P. 1:701(700) ack 1");
	assert_int_equal(close(file), 0);
}

static void epoll_tells_of_sockets_by_virtual_time(void **state)
{
	int fd = established(0.1), set = call(epoll_create, 1);
	struct epoll_event e = { .events = EPOLLIN | EPOLLET, .data.fd = fd }, got[2];

	(void)state;
	assert_int_equal(call(epoll_ctl, set, EPOLL_CTL_ADD, fd, &e), 0);
	assert_int_equal(call(epoll_wait, set, got, 2, 500), 0);
	assert_true(now() > 0.599 && now() < 0.601);
	inject(0.7, "P. 1:11(10) ack 1 win 257");
	assert_int_equal(call(epoll_wait, set, got, 2, 0), 1);
	assert_int_equal(got[0].events, EPOLLIN);
	assert_int_equal(got[0].data.fd, fd);
	assert_int_equal(call(epoll_wait, set, got, 2, 0), 0);
	assert_int_equal(call(fcntl, fd, F_GETFL), O_RDWR);
	assert_int_equal(call(fcntl, fd, F_SETFL, O_RDWR | O_NONBLOCK), 0);
	assert_int_equal(call(fcntl, fd, F_GETFL), O_RDWR | O_NONBLOCK);
	assert_int_equal(take(fd, 10, 0), 10);
	assert_int_equal(take(fd, 10, 0), -1);
	assert_int_equal(errno, EAGAIN);
}

/* In a process of its own: what ends one. */
static int status_of(void (*what)(void), char said[512])
{
	int p[2], status;
	ssize_t n, sum = 0;
	pid_t pid;

	assert_int_equal(pipe(p), 0);
	script_end();
	pid = fork();
	if (pid == 0) {
		dup2(p[1], STDERR_FILENO);
		close(p[0]);
		close(p[1]);
		what();
		_exit(77);
	}
	close(p[1]);
	while ((n = read(p[0], said + sum, 511 - (size_t)sum)) > 0)
		sum += n;
	said[sum] = 0;
	close(p[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	script_begin(FLAGS);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static const char *wrong_flags;

static void begin_wrong(void)
{
	script_begin(wrong_flags);
}

static void flags_that_make_no_sense_end_it_with_a_sentence(void **state)
{
	static const char *const cases[][2] = {
		{ "", "local=ADDRESS/PREFIX is missing" }, { "local=192.168.0.1", "the prefix is missing" },
		{ "local=fe80::1/64", "no address of IPv4" }, { "local=10.0.0.1/33", "a number from 1 to 32" },
		{ "local=10.0.0.1/8,mtu=10", "a number from 68" }, { "local=10.0.0.1/8,mtu=1500x", "a number from 68" },
		{ "local=10.0.0.1/8,colour=red", "there is no flag \"colour\"" }, { "local=10.0.0.1/8,seed", "\"seed\" has no value" },
		{ "local=10.0.0.1/8,profile=bsd", "linux or standard" }, { "local=10.0.0.1/8,sysctl=x", "from / on" },
		{ "local=10.0.0.1/8,unexpected=no", "report, fatal or ignore" },
	};
	char said[512];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		wrong_flags = cases[i][0];
		assert_int_equal(status_of(begin_wrong, said), 2);
		if (!strstr(said, cases[i][1]))
			fail_msg("of \"%s\" it says: %s", cases[i][0], said);
	}
}

static void leave_a_packet(void)
{
	script_begin(wrong_flags);
	put(established(0.1), 10);
	script_end();
}

static void packets_that_nobody_expected_are_reported(void **state)
{
	char said[512];

	(void)state;
	wrong_flags = FLAGS ",unexpected=report";
	assert_int_equal(status_of(leave_a_packet, said), 77);
	assert_non_null(strstr(said, "nobody expected it: "));
	assert_non_null(strstr(said, "192.168.0.1:8080 > 192.0.2.1:40000 P. "));
	assert_non_null(strstr(said, "10 bytes of data"));
	wrong_flags = FLAGS ",unexpected=fatal";
	assert_int_equal(status_of(leave_a_packet, said), 1);
	wrong_flags = FLAGS ",unexpected=ignore";
	assert_int_equal(status_of(leave_a_packet, said), 77);
	assert_string_equal(said, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		script_test(a_blocked_accept_sleeps_and_ends_when_the_handshake_does),
		script_test(a_blocked_read_ends_with_its_bytes_and_its_time),
		script_test(a_call_that_time_releases_ends_at_its_own_time),
		script_test(a_blocked_connect_ends_by_answer_or_by_its_last_retransmission),
		script_test(a_blocking_call_of_the_main_thread_lets_time_pass),
		script_test(an_hour_of_back_off_takes_no_time),
		script_test(where_nothing_comes_the_count_is_zero),
		script_test(the_clock_moves_only_where_packetdrill_waits),
		script_test(tcp_info_is_read_by_libc_s_getsockopt),
		script_test(numbers_are_the_kernel_s_and_close_by_libc_closes),
		script_test(times_changes_with_each_call),
		script_test(a_packet_larger_than_the_mtu_is_a_super_frame),
		script_test(a_mapped_socket_of_ip6_gets_mapped_names),
		script_test(sysctl_files_are_read_when_a_socket_begins),
		script_test(splice_goes_both_ways_and_loses_nothing),
		script_test(a_file_is_sent_by_libc_s_sendfile),
		script_test(epoll_tells_of_sockets_by_virtual_time),
		script_test(flags_that_make_no_sense_end_it_with_a_sentence),
		script_test(packets_that_nobody_expected_are_reported),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
