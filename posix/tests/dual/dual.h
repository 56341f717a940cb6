/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests that run twice with the same assertions: on the kernel's stack and, unchanged, on Light (run.sh). They are ordinary programs: what
 * Linux does is the oracle. Each test is a process of its own with a time limit, so that one that hangs or is killed is
 * one failure. Nothing here assumes that a peer's action is visible at once: it is waited for. */
#ifndef DUAL_H
#define DUAL_H

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct dual_test {
	const char *name;
	void (*run)(void);
	struct dual_test *next;
};
void dual_register(struct dual_test *);

/* TEST(name) { ... } defines a test; those of a file run in the order of the file. */
#define TEST(test_name) \
	static void test_name(void); \
	static struct dual_test test_name##_entry = { #test_name, test_name, NULL }; \
	__attribute__((constructor)) static void test_name##_register(void) { dual_register(&test_name##_entry); } \
	static void test_name(void)

__attribute__((noreturn, format(printf, 3, 4)))
void dual_fail(const char *file, int line, const char *format, ...);

#define CHECK(condition) \
	do { \
		if (!(condition)) \
			dual_fail(__FILE__, __LINE__, "%s (errno: %s)", #condition, strerror(errno)); \
	} while (0)
#define EQUAL(wanted, got) \
	do { \
		long long wanted_ = (long long)(wanted), got_ = (long long)(got); \
		if (wanted_ != got_) \
			dual_fail(__FILE__, __LINE__, "%s is %lld, not %s = %lld (errno: %s)", #got, got_, #wanted, wanted_, \
				  strerror(errno)); \
	} while (0)
/* The call returns -1 with this errno. */
#define FAILS(error, call) \
	do { \
		long long got_; \
		errno = 0; \
		got_ = (long long)(call); \
		if (got_ != -1 || errno != (error)) \
			dual_fail(__FILE__, __LINE__, "%s is %lld, errno %s, not %s", #call, got_, strerror(errno), \
				  strerror(error)); \
	} while (0)

/* ---- addresses and sockets; all fail the test when they cannot ---- */

struct sockaddr_in dual_address(uint16_t port);         /* DUAL_ADDR, default 127.0.0.1 */
struct sockaddr_in local_name(int fd);
int tcp_listen(struct sockaddr_in *name);               /* on a free port */
int tcp_connect(const struct sockaddr_in *to);          /* blocking */
void tcp_pair(int pair[2]);                             /* [0] connected, [1] accepted */
int udp_socket(struct sockaddr_in *name);               /* bound to a free port */
struct sockaddr_in closed_port(int type);               /* an address at which nobody listens */
void set_nonblocking(int fd);
void connect_to(int fd, const struct sockaddr_in *to);

/* ---- bytes ---- */
void send_all(int fd, const void *bytes, size_t n);
void recv_all(int fd, void *bytes, size_t n);
#define SEND(fd, text) send_all(fd, text, sizeof(text) - 1)
void expect_text(int fd, const char *text);             /* exactly these bytes come next */
void fill(int fd);                                      /* sends until EAGAIN */

/* ---- time ---- */
int64_t now_ms(void);
int64_t cpu_ms(void);                                   /* of this process so far */
void sleep_ms(int ms);
bool wait_for_events(int fd, short events, int ms);     /* by poll */
#define READABLE(fd) CHECK(wait_for_events(fd, POLLIN, 5000))
#define WRITABLE(fd) CHECK(wait_for_events(fd, POLLOUT, 5000))
#define SHORT 60        /* ms in which nothing is to happen */

/* ---- signals, processes ---- */
extern volatile sig_atomic_t signals_seen;
void count_signal(int number, int flags);               /* installs a handler that counts */
void signal_after(int number, int ms);                  /* raised at this thread by a process of ours */
void child_ok(pid_t);                                   /* waits; its exit status must be 0 */
pid_t dual_fork(void);                                  /* the child is killed by the time limit too */

#endif
