/* SPDX-License-Identifier: BSD-3-Clause */
/* The cost of stack/ alone, in one thread and without sockets: two stacks joined by the simulated wire, driven as fast as they go.
 * Cycles are those of the time stamp counter, both ends are in every figure but those of segmentbench.c. Of segments and requests the least of
 * many short rounds counts: what other work on the machine costs is none of the stack's. */
#include "microbench.h"

#include <argp.h>
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>

#include "ipc/client.h"
#include "ipc/server.h"
#include "sim/wire.h"
#include "stack/stack.h"

enum { CONNECTIONS = 100000, ROUNDS = 5, PORT = 80, PROGRAM_CPU = 0, DAEMON_CPU = 1, SPLIT_ROUNDS = 400, SHORT_ROUNDS = 400 };

struct pair {
	struct wire *wire;
	struct stack *host[2];
	struct ipaddr addr[2];
	nsec now;
};

static bool json, first_row = true;
static const char *only;    /* measure only what has this in its name */
static unsigned part_of = 1; /* a hundredth of the work, for a profiler that counts instructions */

static _Noreturn void die(const char *what, int64_t error)
{
	fprintf(stderr, "light-microbench: %s: %s\n", what, error < 0 ? strerror((int)-error) : "failed");
	exit(1);
}

int64_t bench_must(const char *what, int64_t result)
{
	if (result < 0)
		die(what, result);
	return result;
}

void bench_row(const char *name, double value, const char *unit)
{
	if (json)
		printf("%s{\"name\": \"%s\", \"value\": %.6g, \"unit\": \"%s\"}", first_row ? "" : ",\n", name, value, unit);
	else
		printf("%-62s %12.6g %s\n", name, value, unit);
	first_row = false;
}

static int compare_double(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double *values)
{
	qsort(values, ROUNDS, sizeof *values, compare_double);
	return values[ROUNDS / 2];
}

/* ---- two hosts ---- */

static struct stack *make_host(struct pair *p, unsigned i, uint32_t endpoints)
{
	struct stack_config config;
	struct stack *stack;

	stack_config_init(&config);
	config.name = i == 0 ? "server" : "client";
	config.secret[0] = (uint8_t)(i + 1);
	config.max_endpoints = endpoints;
	config.tcp.max_half_open = endpoints;
	stack = stack_new(&config);
	if (stack == NULL)
		die("stack_new", 0);
	stack_at(stack, p->now);
	p->addr[i] = ipaddr_from_ip4(__builtin_bswap32(0x0a4d0001u + i));
	bench_must("stack_add_address", stack_add_address(stack, (int)bench_must("stack_add_link", stack_add_link(stack, wire_link(p->wire, i), "sim0")),
						    &p->addr[i], 24));
	return stack;
}

static void pair_make(struct pair *p, uint32_t flags, uint32_t endpoints)
{
	struct wire_config config = { .ports = 2, .packets = 1 << 17, .flags = flags, .seed = 1 };

	*p = (struct pair){ .now = NSEC_PER_SEC };
	p->wire = wire_new(&config);
	if (p->wire == NULL)
		die("wire_new", 0);
	for (unsigned i = 0; i < 2; i++)
		p->host[i] = make_host(p, i, endpoints);
}

static void pair_free(struct pair *p)
{
	stack_free(p->host[0]);
	stack_free(p->host[1]);
	wire_free(p->wire);
}

/* A turn of one host; events are taken as its owner would, and thrown away. */
static void host_turn(struct pair *p, unsigned i)
{
	struct ep_event events[64];

	wire_advance(p->wire, p->now);
	stack_turn(p->host[i], p->now);
	while (stack_events(p->host[i], events, 64) == 64)
		;
}

static void pair_turn(struct pair *p)
{
	p->now += 1000;
	host_turn(p, 0);
	host_turn(p, 1);
}

static ep_id pair_listen(struct pair *p)
{
	const struct ep_name any = { .port = PORT };
	ep_id listener;

	bench_must("ep_open", ep_open(p->host[0], EP_STREAM, 0, NULL, &listener));
	bench_must("ep_bind", ep_bind(p->host[0], listener, &any));
	bench_must("ep_listen", ep_listen(p->host[0], listener, 65535));
	return listener;
}

static ep_id start_connect(struct pair *p)
{
	const struct ep_name to = { .addr = p->addr[0], .port = PORT };
	ep_id client;
	int error;

	bench_must("ep_open", ep_open(p->host[1], EP_STREAM, 0, NULL, &client));
	/* On a link without delay a ring that grows as far as it may only leaves the processor's cache. */
	bench_must("ep_set", ep_set(p->host[1], client, EP_SEND_BUFFER, 384 * 1024));
	error = ep_connect(p->host[1], client, &to);
	if (error != -EINPROGRESS)
		die("ep_connect", error);
	return client;
}

static ep_id accept_soon(struct pair *p, ep_id listener)
{
	ep_id child;

	for (int i = 0; i < 1000; i++) {
		int error = ep_accept(p->host[0], listener, &child, NULL);

		if (error == 0)
			return child;
		if (error != -EAGAIN)
			die("ep_accept", error);
		pair_turn(p);
	}
	die("no connection came", 0);
}

/* ---- what is measured ---- */

static uint32_t segments_sent(struct pair *p, ep_id ep)
{
	struct ep_info info;

	bench_must("ep_info", ep_info(p->host[1], ep, &info));
	return info.data_segments_sent;
}

/* Client sends, server reads: cycles for a data segment of both stacks, with copies, checksums and ACKs, without the copies of
 * the two applications (a caller's buffer to the ring and back: a memcpy each, counted apart). */
static double bulk_once(struct pair *p, ep_id client, ep_id server, uint64_t bytes, double *gbit)
{
	static uint8_t buffer[65536];
	uint64_t sent = 0, got = 0, start = __rdtsc();
	uint32_t before = segments_sent(p, client);
	struct timespec a, b;

	clock_gettime(CLOCK_MONOTONIC, &a);
	while (got < bytes) {
		int64_t n = sent < bytes ? ep_send(p->host[1], client, buffer, sizeof buffer) : 0;

		if (n > 0)
			sent += (uint64_t)n;
		pair_turn(p);
		while ((n = ep_recv(p->host[0], server, buffer, sizeof buffer)) > 0)
			got += (uint64_t)n;
	}
	clock_gettime(CLOCK_MONOTONIC, &b);
	*gbit = (double)got * 8 / ((double)(b.tv_sec - a.tv_sec) * 1e9 + (double)(b.tv_nsec - a.tv_nsec));
	return (double)(__rdtsc() - start) / (double)(segments_sent(p, client) - before);
}

static void bulk(uint32_t flags, const char *name, const char *name_gbit)
{
	const unsigned rounds = SHORT_ROUNDS / part_of;
	double cycles = 1e12, gbits = 0, gbit;
	struct pair p;
	ep_id listener, client, server;

	pair_make(&p, flags, 1024);
	listener = pair_listen(&p);
	client = start_connect(&p);
	server = accept_soon(&p, listener);
	bulk_once(&p, client, server, (64 << 20) / part_of, &gbit);
	for (unsigned i = 0; i < rounds; i++) {
		double once = bulk_once(&p, client, server, 4 << 20, &gbit);

		cycles = once < cycles ? once : cycles;
		gbits = gbit > gbits ? gbit : gbits;
	}
	bench_row(name, cycles, "cycles");
	bench_row(name_gbit, gbits, "Gbit/s");
	pair_free(&p);
}

static void read_all(struct pair *p, int host, ep_id ep, uint32_t n)
{
	uint8_t buffer[64];

	for (uint32_t got = 0; got < n;) {
		int64_t r = ep_recv(p->host[host], ep, buffer, n - got);

		if (r > 0)
			got += (uint32_t)r;
		else if (r == -EAGAIN)
			pair_turn(p);
		else
			die("ep_recv", r);
	}
}

/* A message from one host to the other: a turn of each, and no more. */
static void pass_message(struct pair *p, unsigned from, ep_id sender, ep_id receiver)
{
	uint8_t message[64] = { 0 };

	bench_must("ep_send", ep_send(p->host[from], sender, message, sizeof message));
	p->now += 1000;
	host_turn(p, from);
	host_turn(p, !from);
	if (bench_must("ep_recv", ep_recv(p->host[!from], receiver, message, sizeof message)) != sizeof message)
		die("ep_recv", 0);
}

static void requests(void)
{
	enum { COUNT = 2500 };
	const unsigned rounds = SHORT_ROUNDS / part_of;
	double cycles = 1e12;
	struct pair p;
	ep_id listener, client, server;

	pair_make(&p, 0, 1024);
	listener = pair_listen(&p);
	client = start_connect(&p);
	server = accept_soon(&p, listener);
	for (unsigned r = 0; r < rounds; r++) {
		uint64_t start = __rdtsc();
		double once;

		for (unsigned i = 0; i < COUNT; i++) {
			pass_message(&p, 1, client, server);
			pass_message(&p, 0, server, client);
		}
		once = (double)(__rdtsc() - start) / COUNT;
		cycles = once < cycles ? once : cycles;
	}
	bench_row("64-byte request and response, both ends", cycles, "cycles");
	pair_free(&p);
}

/* Handshake, one byte, orderly close from the server; one at a time and in batches of 64 the costs hardly differ. */
static void connections_a_second(void)
{
	enum { COUNT = 50000 };
	double rates[ROUNDS];
	struct pair p;
	ep_id listener;

	pair_make(&p, 0, 1 << 20);
	listener = pair_listen(&p);
	for (int r = 0; r < ROUNDS; r++) {
		struct timespec a, b;

		clock_gettime(CLOCK_MONOTONIC, &a);
		for (int i = 0; i < COUNT; i++) {
			ep_id client = start_connect(&p), server = accept_soon(&p, listener);

			bench_must("ep_send", ep_send(p.host[0], server, "x", 1));
			bench_must("ep_close", ep_close(p.host[0], server));
			read_all(&p, 1, client, 1);
			bench_must("ep_close", ep_close(p.host[1], client));
			pair_turn(&p);
		}
		clock_gettime(CLOCK_MONOTONIC, &b);
		rates[r] = COUNT / ((double)(b.tv_sec - a.tv_sec) + (double)(b.tv_nsec - a.tv_nsec) / 1e9);
		/* TIME-WAITs of this round end before the next, which may use the same ports. */
		p.now += 300 * NSEC_PER_SEC;
		pair_turn(&p);
	}
	bench_row("connections with one byte, both ends", median(rates), "per second");
	pair_free(&p);
}

static size_t resident_bytes(void)
{
	unsigned long size, resident;
	FILE *f = fopen("/proc/self/statm", "r");

	if (f == NULL || fscanf(f, "%lu %lu", &size, &resident) != 2)
		die("/proc/self/statm", 0);
	fclose(f);
	return resident * (size_t)sysconf(_SC_PAGESIZE);
}

/* Resident memory of the process, before and after: nothing is left out. A port range of one address pair holds 28,000
 * connections, so the server listens on four ports. */
static void idle_memory(void)
{
	ep_id listener[8];
	struct pair p;
	size_t before;
	int made = 0;

	pair_make(&p, 0, 1 << 18);
	for (int i = 0; i < 8; i++) {
		const struct ep_name any = { .port = (uint16_t)(PORT + i) };

		bench_must("ep_open", ep_open(p.host[0], EP_STREAM, 0, NULL, &listener[i]));
		bench_must("ep_bind", ep_bind(p.host[0], listener[i], &any));
		bench_must("ep_listen", ep_listen(p.host[0], listener[i], 65535));
	}
	before = resident_bytes();
	for (int i = 0; i < CONNECTIONS; i++) {
		const struct ep_name to = { .addr = p.addr[0], .port = (uint16_t)(PORT + i % 8) };
		ep_id client;

		bench_must("ep_open", ep_open(p.host[1], EP_STREAM, 0, NULL, &client));
		if (ep_connect(p.host[1], client, &to) != -EINPROGRESS)
			die("ep_connect", 0);
		pair_turn(&p);
		accept_soon(&p, listener[i % 8]);
		made++;
	}
	bench_row("memory of an idle connection, one end, at 100,000", (double)(resident_bytes() - before) / made / 2, "bytes");
	pair_free(&p);
}

/* ---- the lane: a daemon's loop in a thread, a program's call in this one ---- */

struct daemon {
	struct server *server;
	struct stack *stack;
	_Atomic bool stop;
};

static nsec clock_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (nsec)t.tv_sec * NSEC_PER_SEC + (nsec)t.tv_nsec;
}

/* A core for the daemon and one for the program, as production has it: what is measured is memory, not the scheduler. */
static void run_on(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (pthread_setaffinity_np(pthread_self(), sizeof set, &set) != 0)
		die("pinning to a CPU of its own", -EINVAL);
}

static void *daemon_loop(void *context)
{
	struct daemon *d = context;

	run_on(DAEMON_CPU);
	while (!atomic_load_explicit(&d->stop, memory_order_relaxed)) {
		nsec t = clock_now();

		server_turn(d->server, t);
		stack_turn(d->stack, t);
		server_publish(d->server);
	}
	return NULL;
}

static void daemon_make(struct daemon *d, const char *path)
{
	struct server_config config;
	struct stack_config stack;
	struct server_host *host;

	server_config_init(&config);
	config.socket_path = path;
	config.daemon_cores = UINT64_C(1) << DAEMON_CPU;
	bench_must("server_new", server_new(&config, &d->server));
	bench_must("server_add_host", server_add_host(d->server, "host", &host));
	stack_config_init(&stack);
	stack.max_endpoints = 1024;
	stack.host = server_host_calls(host);
	d->stack = stack_new(&stack);
	if (d->stack == NULL)
		die("stack_new", 0);
	stack_at(d->stack, clock_now());
	server_host_start(host, d->stack);
}

/* A request that is answered by the daemon at once, over and over: two lane hops and the daemon's turn. */
static void lane(void)
{
	enum { COUNT = 20000 };
	char path[] = "/tmp/light-microbench-XXXXXX";
	struct client_options options = { .socket_path = path, .spin_usec = 1000000, .lowest_fd = 100 };
	struct daemon d = { 0 };
	struct client *client;
	double rounds[ROUNDS];
	pthread_t thread;
	uint32_t id;
	int64_t value;

	if (sysconf(_SC_NPROCESSORS_ONLN) < 2)
		return;
	close(mkstemp(path));
	unlink(path);
	daemon_make(&d, path);
	if (pthread_create(&thread, NULL, daemon_loop, &d) != 0)
		die("pthread_create", 0);
	run_on(PROGRAM_CPU);
	bench_must("client_attach", client_attach(&options, &client));
	bench_must("client_open", client_open(client, EP_STREAM, &id));
	for (int r = 0; r < ROUNDS; r++) {
		nsec start = clock_now();

		for (int i = 0; i < COUNT; i++)
			bench_must("client_get", client_get(client, id, EP_NODELAY, &value));
		rounds[r] = (double)(clock_now() - start) / COUNT;
	}
	bench_row("lane round trip program-daemon-program, two threads", median(rounds), "ns");
	client_detach(client);
	atomic_store(&d.stop, true);
	pthread_join(thread, NULL);
	server_stop(d.server);
	stack_free(d.stack);
	server_free(d.server);
}

static void segments(void)
{
	bulk(0, "data segment of 1448 bytes, both ends, with checksums", "bulk in one thread, MTU frames");
}

static void super_frames(void)
{
	bulk(LINK_TSO | LINK_TX_CSUM | LINK_RX_CSUM, "data segment of 1448 bytes, both ends, super-frames", "bulk in one thread, super-frames");
}

static void split(void)
{
	bench_segment_split(part_of > 1 ? 1 : SPLIT_ROUNDS);
}

static const struct {
	const char *name;
	void (*measure)(void);
} parts[] = {
	{ "segment", segments }, { "split", split }, { "super-frame", super_frames }, { "request", requests },
	{ "connection", connections_a_second }, { "memory", idle_memory }, { "lane", lane },
};

enum { PARTS = sizeof(parts) / sizeof(parts[0]) };

static error_t parse(int key, char *arg, struct argp_state *state)
{
	if (key == 'j') {
		json = true;
		return 0;
	}
	if (key == 's') {
		part_of = 100;
		return 0;
	}
	if (key != 'o')
		return ARGP_ERR_UNKNOWN;
	for (unsigned i = 0; i < PARTS; i++)
		if (strcmp(parts[i].name, arg) == 0)
			only = arg;
	if (!only)
		argp_error(state, "--only %s: allowed are segment, split, super-frame, request, connection, memory and lane", arg);
	return 0;
}

int main(int argc, char **argv)
{
	static const struct argp_option options[] = {
		{ "json", 'j', 0, 0, "Print JSON", 0 },
		{ "short", 's', 0, 0, "A hundredth of the segments and requests, for a profiler that counts instructions", 0 },
		{ "only", 'o', "PART", 0, "Measure only segment, split, super-frame, request, connection, memory or lane (for a profiler)", 0 },
		{ 0 },
	};
	const struct argp argp = { options, parse, NULL, "The cost of the stack alone, in one thread.", 0, 0, 0 };

	setvbuf(stdout, NULL, _IOLBF, 0);
	argp_err_exit_status = 2;
	argp_parse(&argp, argc, argv, 0, NULL, NULL);
	if (json)
		printf("[");
	for (unsigned i = 0; i < PARTS; i++)
		if (!only || strcmp(only, parts[i].name) == 0)
			parts[i].measure();
	if (json)
		printf("]\n");
	return 0;
}
