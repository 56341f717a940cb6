/* SPDX-License-Identifier: BSD-3-Clause */
/* lightd: owns the network and serves programs. One thread, one loop; everything (requests, packets, timers, new
 * programs, lightctl) happens inside it, because a second thread would wait for whole scheduler slices. */
#include <errno.h>
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
	if (o->cores == 0)
		return;
	CPU_ZERO(&set);
	for (int i = 0; i < 64; i++) {
		if (o->cores >> i & 1)
			CPU_SET(i, &set);
	}
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
	config.daemon_cores = o->cores;
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
	work += network_turn(d->network, d->now);
	work += server_publish(d->server);
	d->turns++;
	return work;
}

/* Nothing was to do for a while: sleep until a timer is due, a program rings, or a signal. */
static void rest(struct daemon_state *d)
{
	nsec until = network_deadline(d->network), began = now();

	/* A signal may come just before the sleep, where it wakes nobody: then this bounds how late it is seen. */
	if (until > began + LONGEST_SLEEP)
		until = began + LONGEST_SLEEP;
	if (until > began && server_sleep_begin(d->server) && !stopping) {
		server_sleep(d->server, until);
		d->sleeps++;
		d->slept += now() - began;
	}
	server_sleep_end(d->server);
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
		if (d->options->busy)
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
		network_turn(d->network, now());
	while (now() < end && network_deadline(d->network) < end);
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
	d.network = network_new(&o, d.server, log_line);
	if (d.network == NULL) {
		server_free(d.server);
		return 1;
	}
	fprintf(stderr, "lightd: ready on %s, %u host%s\n", o.socket_path, o.hosts, o.hosts == 1 ? "" : "s");
	serve(&d);
	farewell(&d);
	return 0;
}
