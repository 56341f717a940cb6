/* SPDX-License-Identifier: BSD-3-Clause */
/* The load that tools/bench puts on a network stack where no well-known program does it: a connection for
 * one byte, bulk transfer, ping-pong over TCP and UDP. Plain POSIX calls: it knows nothing of Light, and runs the same on
 * the kernel's stack. A client prints one line of JSON. */
#include <argp.h>
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { SAMPLES_MAX = 1 << 20, CHUNK = 256 * 1024, CONNECTIONS_MAX = 1024 };

enum mode { ONE_BYTE, BULK, PING_TCP, PING_UDP, MODES };
static const char *const mode_names[MODES] = { "one-byte", "bulk", "ping-tcp", "ping-udp" };

struct load {
	bool serve;
	enum mode mode;
	struct sockaddr_in addr;
	double seconds;
	int connections;
	size_t size;
};

/* How long single operations took, for the percentiles; beyond SAMPLES_MAX a random one is replaced, so that the
 * sample stays a fair one of a run of any length. */
struct samples {
	uint32_t *nsec;
	uint64_t seen;
};

static char chunk[CHUNK];

static _Noreturn void die(const char *what)
{
	fprintf(stderr, "netload: %s: %s\n", what, strerror(errno));
	exit(1);
}

static uint64_t now_nsec(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void sample_add(struct samples *s, uint64_t nsec)
{
	uint64_t at = s->seen++;

	if (at >= SAMPLES_MAX)
		at = (uint64_t)random() % s->seen;
	if (at < SAMPLES_MAX)
		s->nsec[at] = nsec > UINT32_MAX ? UINT32_MAX : (uint32_t)nsec;
}

static int compare_u32(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static double sample_percentile(const struct samples *s, double part)
{
	uint64_t n = s->seen < SAMPLES_MAX ? s->seen : SAMPLES_MAX;

	return n == 0 ? 0.0 : s->nsec[(uint64_t)((double)(n - 1) * part)] / 1000.0;
}

static void report(const struct load *l, struct samples *s, uint64_t units, uint64_t took)
{
	uint64_t n = s->seen < SAMPLES_MAX ? s->seen : SAMPLES_MAX;

	qsort(s->nsec, n, sizeof *s->nsec, compare_u32);
	printf("{\"mode\": \"%s\", \"units\": %llu, \"seconds\": %.6f, \"rate\": %.1f, \"p50_us\": %.2f, \"p99_us\": %.2f}\n",
	       mode_names[l->mode], (unsigned long long)units, (double)took / 1e9, (double)units * 1e9 / (double)took,
	       sample_percentile(s, 0.5), sample_percentile(s, 0.99));
}

static int open_socket(const struct load *l)
{
	int one = 1, fd = socket(AF_INET, l->mode == PING_UDP ? SOCK_DGRAM : SOCK_STREAM, 0);

	if (fd < 0)
		die("socket");
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	return fd;
}

static int connect_to(const struct load *l)
{
	const struct timeval patience = { .tv_sec = 5 };
	int one = 1, fd = open_socket(l);

	/* A server that went away must end the run with an error, not hang it. */
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
	if (connect(fd, (const struct sockaddr *)&l->addr, sizeof l->addr) != 0)
		die("connect");
	if (l->mode == PING_TCP)
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	return fd;
}

/* One epoll loop serves any number of connections: echo or discard what comes, or one byte and good-bye. */
static void serve_connection(const struct load *l, int fd)
{
	ssize_t n = recv(fd, chunk, sizeof chunk, MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n > 0 && l->mode == PING_TCP) {
		if (send(fd, chunk, (size_t)n, MSG_NOSIGNAL) != n)
			close(fd);
	} else if (n <= 0) {
		close(fd);
	}
}

static void accept_one(const struct load *l, int listener, int set)
{
	int one = 1, fd = accept(listener, NULL, NULL);
	struct epoll_event e = { .events = EPOLLIN, .data.fd = fd };

	if (fd < 0)
		return;
	if (l->mode == ONE_BYTE) {
		if (send(fd, "x", 1, MSG_NOSIGNAL) != 1)
			fprintf(stderr, "netload: send: %s\n", strerror(errno));
		close(fd);
		return;
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	if (epoll_ctl(set, EPOLL_CTL_ADD, fd, &e) != 0)
		die("epoll_ctl");
}

static void serve_stream(const struct load *l)
{
	int listener = open_socket(l), set = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event e = { .events = EPOLLIN, .data.fd = listener }, ready[64];

	if (bind(listener, (const struct sockaddr *)&l->addr, sizeof l->addr) != 0)
		die("bind");
	if (listen(listener, 4096) != 0 || set < 0 || epoll_ctl(set, EPOLL_CTL_ADD, listener, &e) != 0)
		die("listen");
	for (;;) {
		int n = epoll_wait(set, ready, 64, -1);

		for (int i = 0; i < n; i++) {
			if (ready[i].data.fd == listener)
				accept_one(l, listener, set);
			else
				serve_connection(l, ready[i].data.fd);
		}
	}
}

static void serve_udp(const struct load *l)
{
	int fd = open_socket(l);

	if (bind(fd, (const struct sockaddr *)&l->addr, sizeof l->addr) != 0)
		die("bind");
	for (;;) {
		struct sockaddr_in from;
		socklen_t length = sizeof from;
		ssize_t n = recvfrom(fd, chunk, sizeof chunk, 0, (struct sockaddr *)&from, &length);

		if (n >= 0 && sendto(fd, chunk, (size_t)n, 0, (struct sockaddr *)&from, length) != n)
			fprintf(stderr, "netload: sendto: %s\n", strerror(errno));
	}
}

static uint64_t run_one_byte(const struct load *l, struct samples *s, uint64_t until)
{
	uint64_t count = 0;

	for (uint64_t start = now_nsec(), end; start < until; start = end, count++) {
		int fd = connect_to(l);

		if (recv(fd, chunk, 1, 0) != 1)
			die("recv");
		close(fd);
		end = now_nsec();
		sample_add(s, end - start);
	}
	return count;
}

static uint64_t run_bulk(const struct load *l, struct samples *s, uint64_t until)
{
	int fd = connect_to(l);
	uint64_t bytes = 0;

	for (uint64_t start = now_nsec(), end; start < until; start = end) {
		ssize_t n = send(fd, chunk, l->size, MSG_NOSIGNAL);

		if (n < 0)
			die("send");
		bytes += (uint64_t)n;
		end = now_nsec();
		sample_add(s, end - start);
	}
	/* The rate counts what arrived: the peer's FIN says that it has read everything. */
	shutdown(fd, SHUT_WR);
	if (recv(fd, chunk, 1, 0) != 0)
		die("recv");
	close(fd);
	return bytes;
}

static uint64_t run_ping(const struct load *l, struct samples *s, uint64_t until)
{
	static int fds[CONNECTIONS_MAX];
	uint64_t count = 0;

	for (int i = 0; i < l->connections; i++)
		fds[i] = connect_to(l);
	for (uint64_t start = now_nsec(), end; start < until; start = end, count++) {
		int fd = fds[count % (uint64_t)l->connections];

		if (send(fd, chunk, l->size, MSG_NOSIGNAL) != (ssize_t)l->size)
			die("send");
		for (size_t got = 0; got < l->size;) {
			ssize_t n = recv(fd, chunk, l->size - got, 0);

			if (n <= 0)
				die("recv");
			got += (size_t)n;
		}
		end = now_nsec();
		sample_add(s, end - start);
	}
	for (int i = 0; i < l->connections; i++)
		close(fds[i]);
	return count;
}

static void run_client(const struct load *l)
{
	struct samples s = { .nsec = calloc(SAMPLES_MAX, sizeof *s.nsec) };
	uint64_t start = now_nsec(), until = start + (uint64_t)(l->seconds * 1e9), units;

	if (s.nsec == NULL)
		die("memory");
	if (l->mode == ONE_BYTE)
		units = run_one_byte(l, &s, until);
	else if (l->mode == BULK)
		units = run_bulk(l, &s, until);
	else
		units = run_ping(l, &s, until);
	report(l, &s, units, now_nsec() - start);
	free(s.nsec);
}

static const struct argp_option options[] = {
	{ "serve", 's', 0, 0, "Be the server (default: be the client)", 0 },
	{ "seconds", 't', "S", 0, "How long the client runs (default 2)", 0 },
	{ "connections", 'c', "N", 0, "Connections the client takes turns on (default 1)", 0 },
	{ "size", 'n', "BYTES", 0, "Bytes of one send (default 64)", 0 },
	{ 0 },
};

static void parse_address(struct load *l, const char *arg, struct argp_state *state)
{
	l->addr.sin_family = AF_INET;
	if (inet_pton(AF_INET, arg, &l->addr.sin_addr) != 1)
		argp_error(state, "'%s' is not an IPv4 address", arg);
}

static void parse_argument(struct load *l, const char *arg, struct argp_state *state)
{
	int m;

	switch (state->arg_num) {
	case 0:
		for (m = 0; m < MODES && strcmp(arg, mode_names[m]) != 0; m++)
			;
		if (m == MODES)
			argp_error(state, "'%s' is no mode: one-byte, bulk, ping-tcp or ping-udp", arg);
		l->mode = (enum mode)m;
		break;
	case 1:
		parse_address(l, arg, state);
		break;
	case 2:
		m = atoi(arg);
		if (m < 1 || m > 65535)
			argp_error(state, "'%s' is no port: 1 to 65535", arg);
		l->addr.sin_port = htons((uint16_t)m);
		break;
	default:
		argp_usage(state);
	}
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct load *l = state->input;

	switch (key) {
	case 's':
		l->serve = true;
		return 0;
	case 't':
		l->seconds = atof(arg);
		if (l->seconds <= 0 || l->seconds > 3600)
			argp_error(state, "--seconds is more than 0, at most 3600");
		return 0;
	case 'c':
		l->connections = atoi(arg);
		if (l->connections < 1 || l->connections > CONNECTIONS_MAX)
			argp_error(state, "--connections is 1 to %d", CONNECTIONS_MAX);
		return 0;
	case 'n':
		l->size = (size_t)atol(arg);
		if (l->size < 1 || l->size > sizeof chunk)
			argp_error(state, "--size is 1 to %zu", sizeof chunk);
		return 0;
	case ARGP_KEY_ARG:
		parse_argument(l, arg, state);
		return 0;
	case ARGP_KEY_END:
		if (state->arg_num != 3)
			argp_error(state, "MODE, ADDRESS and PORT are wanted");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

int main(int argc, char **argv)
{
	struct load l = { .seconds = 2, .connections = 1, .size = 64 };
	const struct argp argp = { options, parse, "one-byte|bulk|ping-tcp|ping-udp ADDRESS PORT",
				   "A load of plain socket calls, and the server to it.", 0, 0, 0 };

	argp_err_exit_status = 2;
	argp_parse(&argp, argc, argv, 0, NULL, &l);
	signal(SIGPIPE, SIG_IGN);
	if (!l.serve)
		run_client(&l);
	else if (l.mode == PING_UDP)
		serve_udp(&l);
	else
		serve_stream(&l);
	return 0;
}
