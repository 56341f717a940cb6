/* SPDX-License-Identifier: BSD-3-Clause */
/* lightd: owns the network and serves programs. One thread, one loop; everything (requests, packets, timers, new
 * programs, lightctl) happens inside it, because a second thread would wait for whole scheduler slices. */
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "ipc/server.h"
#include "tools/lightd/control.h"
#include "tools/lightd/network.h"
#include "tools/lightd/options.h"
#include "tools/refuse.h"

/* An adaptive daemon that found nothing to do looks on for this long before it sleeps: about what a wake-up costs, so that
 * at worst twice the best is spent. */
#define SPIN_BEFORE_SLEEP (50 * NSEC_PER_USEC)
#define LONGEST_SLEEP (500 * NSEC_PER_MSEC)
/* Where a link wakes nobody: packets wait this long at most. */
#define POLLED_SLEEP (500 * NSEC_PER_USEC)
/* At the end: how long the last FINs and RSTs get to be delivered. */
#define FAREWELL (20 * NSEC_PER_MSEC)

static volatile sig_atomic_t stopping;

static void on_signal(int number)
{
	(void)number;
	stopping = 1;
}

static nsec now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (nsec)t.tv_sec * NSEC_PER_SEC + (nsec)t.tv_nsec;
}

static void log_line(void *context, const char *line)
{
	struct timespec t;
	struct tm tm;
	char stamp[32];

	(void)context;
	clock_gettime(CLOCK_REALTIME, &t);
	gmtime_r(&t.tv_sec, &tm);
	strftime(stamp, sizeof stamp, "%H:%M:%S", &tm);
	fprintf(stderr, "lightd %s.%03ld %s\n", stamp, t.tv_nsec / 1000000, line);
}

static void catch_signals(void)
{
	struct sigaction stop = { .sa_handler = on_signal };

	sigaction(SIGTERM, &stop, NULL);
	sigaction(SIGINT, &stop, NULL);
	signal(SIGPIPE, SIG_IGN);
}

static uint64_t cpu_mask(const struct options *o)
{
	uint64_t mask = 0;

	for (unsigned i = 0; i < o->cpus; i++)
		mask |= UINT64_C(1) << o->cpu[i];
	return mask;
}

/* The parts of the machine that are worth asking for; none is a reason to stop. */
static void settle_on_machine(const struct options *o)
{
	struct rlimit files;
	cpu_set_t set;

	prctl(PR_SET_NAME, "lightd");
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	if (o->cpus == 0)
		return;
	CPU_ZERO(&set);
	for (unsigned i = 0; i < o->cpus; i++)
		CPU_SET(o->cpu[i], &set);
	if (sched_setaffinity(0, sizeof set, &set) != 0)
		refuse(EXIT_REFUSED, "--cores: this machine does not give these CPUs: %s", strerror(errno));
}

static struct server *open_server(const struct options *o, struct daemon_state *d)
{
	struct server_config config;
	struct server *server;
	int error;

	server_config_init(&config);
	config.socket_path = o->socket_path;
	config.mode = o->socket_mode;
	config.group = o->socket_group;
	config.daemon_cores = cpu_mask(o);
	config.quota = o->quota;
	config.log = o->verbose ? log_line : NULL;
	config.control = control_answer;
	config.control_context = d;
	error = server_new(&config, &server);
	if (error < 0)
		refuse(EXIT_REFUSED, "%s: %s", o->socket_path,
		       error == -EADDRINUSE ? "another daemon serves on this socket" : strerror(-error));
	return server;
}

static unsigned turn(struct daemon_state *d)
{
	unsigned work;

	d->now = now();
	work = server_turn(d->server, d->now);
	work += network_turn(d->network, 0, d->now);
	work += server_publish(d->server);
	d->turns++;
	return work;
}

/* Sleeps on what programs ring and on what the links have, with both armed. */
static void sleep_armed(struct daemon_state *d, nsec until)
{
	struct pollfd p[1 + INTERFACES_MAX] = { { .fd = server_wake_fd(d->server), .events = POLLIN } };
	int fds[INTERFACES_MAX];
	struct timespec t;
	bool polled;
	unsigned n = network_arm(d->network, 0, fds, &polled);
	nsec began = now(), left;

	for (unsigned i = 0; i < n; i++)
		p[1 + i] = (struct pollfd){ .fd = fds[i], .events = POLLIN };
	if (polled && until > began + POLLED_SLEEP)
		until = began + POLLED_SLEEP;
	/* What came before the links were armed wakes nobody. */
	if (until > began && network_turn(d->network, 0, began) == 0 && server_sleep_begin(d->server) && !stopping) {
		left = until - began;
		t = (struct timespec){ .tv_sec = (time_t)(left / NSEC_PER_SEC), .tv_nsec = (long)(left % NSEC_PER_SEC) };
		ppoll(p, 1 + n, &t, NULL);
		d->sleeps++;
		d->slept += now() - began;
	}
	server_sleep_end(d->server);
	network_disarm(d->network, 0);
}

/* Nothing was to do for a while: sleep until a timer is due, a program rings, a packet comes, or a signal. */
static void rest(struct daemon_state *d)
{
	nsec until = network_deadline(d->network, 0), began = now();

	/* A signal may come just before the sleep, where it wakes nobody: then this bounds how late it is seen. */
	if (until > began + LONGEST_SLEEP)
		until = began + LONGEST_SLEEP;
	if (until > began)
		sleep_armed(d, until);
}

static void serve(struct daemon_state *d)
{
	nsec last_work = now();

	while (!stopping) {
		if (turn(d) > 0) {
			last_work = d->now;
			continue;
		}
		d->idle_turns++;
		/* A busy daemon has its core for itself. An adaptive one may share it with the very program it waits for:
		 * whoever can run there goes first, or each would wait for the other's time slice to end. */
		if (options_busy(d->options))
			__builtin_ia32_pause();
		else if (d->now - last_work <= SPIN_BEFORE_SLEEP)
			sched_yield();
		else
			rest(d);
	}
}

/* Programs are told first, and their sleepers woken; then the network gets a moment for the last segments. */
static void farewell(struct daemon_state *d)
{
	nsec end = now() + FAREWELL;

	server_stop(d->server);
	do
		network_turn(d->network, 0, now());
	while (now() < end && network_deadline(d->network, 0) < end);
	network_free(d->network);
	server_free(d->server);
}

int main(int argc, char **argv)
{
	static struct options o;
	struct daemon_state d = { .options = &o };

	options_parse(argc, argv, &o);
	catch_signals();
	settle_on_machine(&o);
	d.started = now();
	d.server = open_server(&o, &d);
	d.network = network_new(&o, &d.server, log_line);
	if (d.network == NULL) {
		server_free(d.server);
		return 1;
	}
	fprintf(stderr, "lightd: ready on %s, %u host%s\n", o.socket_path, network_hosts(d.network),
		network_hosts(d.network) == 1 ? "" : "s");
	serve(&d);
	farewell(&d);
	return 0;
}
