/* SPDX-License-Identifier: BSD-3-Clause */
/* The harness of dual.h. Prints TAP; DUAL_WORLD ("kernel", "light") goes before each name. Arguments: names of the tests to run
 * (default: all). */
#include "dual.h"

#include <stdarg.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

enum { LIMIT_SECONDS = 20 };

static struct dual_test *first, **last = &first;
volatile sig_atomic_t signals_seen;

void dual_register(struct dual_test *test)
{
	*last = test;
	last = &test->next;
}

void dual_fail(const char *file, int line, const char *format, ...)
{
	const char *base = strrchr(file, '/');
	char text[512];
	va_list ap;
	int n;

	n = snprintf(text, sizeof(text), "# %s:%d: ", base ? base + 1 : file, line);
	va_start(ap, format);
	n += vsnprintf(text + n, sizeof(text) - (size_t)n - 1, format, ap);
	va_end(ap);
	n = n > (int)sizeof(text) - 2 ? (int)sizeof(text) - 2 : n;
	text[n++] = '\n';
	if (write(1, text, (size_t)n) < 0)
		_exit(3);
	_exit(1);
}

/* ---- sockets ---- */

struct sockaddr_in dual_address(uint16_t port)
{
	const char *text = getenv("DUAL_ADDR");
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port) };

	CHECK(inet_pton(AF_INET, text ? text : "127.0.0.1", &a.sin_addr) == 1);
	return a;
}

struct sockaddr_in local_name(int fd)
{
	struct sockaddr_in a = { 0 };
	socklen_t n = sizeof(a);

	EQUAL(0, getsockname(fd, (struct sockaddr *)&a, &n));
	EQUAL(sizeof(a), n);
	return a;
}

int tcp_listen(struct sockaddr_in *name)
{
	struct sockaddr_in a = dual_address(0);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	CHECK(fd >= 0);
	EQUAL(0, bind(fd, (struct sockaddr *)&a, sizeof(a)));
	EQUAL(0, listen(fd, 16));
	if (name)
		*name = local_name(fd);
	return fd;
}

void connect_to(int fd, const struct sockaddr_in *to)
{
	EQUAL(0, connect(fd, (const struct sockaddr *)to, sizeof(*to)));
}

int tcp_connect(const struct sockaddr_in *to)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	CHECK(fd >= 0);
	connect_to(fd, to);
	return fd;
}

void tcp_pair(int pair[2])
{
	struct sockaddr_in name;
	int listener = tcp_listen(&name);

	pair[0] = tcp_connect(&name);
	pair[1] = accept(listener, NULL, NULL);
	CHECK(pair[1] >= 0);
	EQUAL(0, close(listener));
}

int udp_socket(struct sockaddr_in *name)
{
	struct sockaddr_in a = dual_address(0);
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	CHECK(fd >= 0);
	EQUAL(0, bind(fd, (struct sockaddr *)&a, sizeof(a)));
	if (name)
		*name = local_name(fd);
	return fd;
}

struct sockaddr_in closed_port(int type)
{
	struct sockaddr_in a = dual_address(0);
	int fd = socket(AF_INET, type, 0);

	CHECK(fd >= 0);
	EQUAL(0, bind(fd, (struct sockaddr *)&a, sizeof(a)));
	a = local_name(fd);
	EQUAL(0, close(fd));
	return a;
}

void set_nonblocking(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	CHECK(flags >= 0);
	EQUAL(0, fcntl(fd, F_SETFL, flags | O_NONBLOCK));
}

/* ---- bytes ---- */

void send_all(int fd, const void *bytes, size_t n)
{
	const char *at = bytes;

	while (n > 0) {
		ssize_t done = send(fd, at, n, MSG_NOSIGNAL);

		CHECK(done > 0);
		at += done;
		n -= (size_t)done;
	}
}

void recv_all(int fd, void *bytes, size_t n)
{
	char *at = bytes;

	while (n > 0) {
		ssize_t done = recv(fd, at, n, 0);

		CHECK(done > 0);
		at += done;
		n -= (size_t)done;
	}
}

void expect_text(int fd, const char *text)
{
	size_t n = strlen(text);
	char got[256] = "";

	CHECK(n < sizeof(got));
	recv_all(fd, got, n);
	if (memcmp(got, text, n) != 0)
		dual_fail(__FILE__, __LINE__, "got \"%s\", not \"%s\"", got, text);
}

void fill(int fd)
{
	static char block[65536];
	int quiet = 0;

	/* What is on its way to the peer makes room again for a while. */
	while (quiet < 3) {
		ssize_t n = send(fd, block, sizeof(block), MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n > 0) {
			quiet = 0;
			continue;
		}
		EQUAL(EAGAIN, errno);
		quiet++;
		sleep_ms(20);
	}
}

/* ---- time ---- */

static int64_t clock_ms(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

int64_t now_ms(void)
{
	return clock_ms(CLOCK_MONOTONIC);
}

int64_t cpu_ms(void)
{
	return clock_ms(CLOCK_PROCESS_CPUTIME_ID);
}

void sleep_ms(int ms)
{
	struct timespec t = { ms / 1000, ms % 1000 * 1000000L };

	while (nanosleep(&t, &t) < 0 && errno == EINTR)
		;
}

bool wait_for_events(int fd, short events, int ms)
{
	struct pollfd p = { .fd = fd, .events = events };

	return poll(&p, 1, ms) == 1 && (p.revents & events);
}

/* ---- signals, processes ---- */

static void handler(int number)
{
	(void)number;
	signals_seen++;
}

void count_signal(int number, int flags)
{
	struct sigaction action = { .sa_handler = handler, .sa_flags = flags };

	EQUAL(0, sigaction(number, &action, NULL));
}

pid_t dual_fork(void)
{
	pid_t pid = fork();

	CHECK(pid >= 0);
	if (pid == 0)
		prctl(PR_SET_PDEATHSIG, SIGKILL);
	return pid;
}

void signal_after(int number, int ms)
{
	pid_t process = getpid(), thread = (pid_t)syscall(SYS_gettid);

	if (dual_fork() == 0) {
		sleep_ms(ms);
		syscall(SYS_tgkill, process, thread, number);
		_exit(0);
	}
}

void child_ok(pid_t pid)
{
	int status = -1;
	pid_t got;

	do
		got = waitpid(pid, &status, 0);
	while (got < 0 && errno == EINTR);
	EQUAL(pid, got);
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		dual_fail(__FILE__, __LINE__, "a child ended with status 0x%x", (unsigned)status);
}

/* ---- the run ---- */

/* The test's process leads a group of its own, so that whatever it forked ends with it. */
static const char *run(const struct dual_test *test)
{
	static char why[64];
	int64_t until = now_ms() + LIMIT_SECONDS * 1000;
	pid_t pid = fork();
	int status = 0;

	if (pid == 0) {
		setpgid(0, 0);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		test->run();
		_exit(0);
	}
	while (pid > 0 && waitpid(pid, &status, WNOHANG) == 0) {
		if (now_ms() > until) {
			kill(-pid, SIGKILL);
			waitpid(pid, &status, 0);
			return "timed out";
		}
		sleep_ms(2);
	}
	kill(-pid, SIGKILL);
	if (pid < 0)
		return "cannot fork";
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return NULL;
	if (WIFSIGNALED(status))
		snprintf(why, sizeof(why), "killed by signal %d", WTERMSIG(status));
	else
		snprintf(why, sizeof(why), "exit status %d", WEXITSTATUS(status));
	return why;
}

static bool chosen(const char *name, char **names)
{
	if (!*names)
		return true;
	for (; *names; names++)
		if (strcmp(*names, name) == 0)
			return true;
	return false;
}

int main(int argc, char **argv)
{
	const char *world = getenv("DUAL_WORLD"), *program = strrchr(argv[0], '/');
	int number = 0, failed = 0;

	(void)argc;
	setvbuf(stdout, NULL, _IOLBF, 0);
	for (struct dual_test *test = first; test; test = test->next) {
		const char *why;

		if (!chosen(test->name, argv + 1))
			continue;
		why = run(test);
		printf("%s %d - %s: %s: %s\n", why ? "not ok" : "ok", ++number, world ? world : "kernel",
			program ? program + 1 : argv[0], test->name);
		if (why)
			printf("# %s\n", why);
		failed += why != NULL;
	}
	printf("1..%d\n", number);
	return failed ? 1 : 0;
}
