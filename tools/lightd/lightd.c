/* SPDX-License-Identifier: BSD-3-Clause */
/* lightd: owns the network and serves programs. The first thread only waits for a signal; core 0's thread makes everything, serves, and
 * takes everything down again (what the kernel tells programs of a daemon's death hangs on that thread: ipc/family.c). */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "ipc/server.h"
#include "tools/lightd/control.h"
#include "tools/lightd/core.h"
#include "tools/lightd/leases.h"
#include "tools/lightd/network.h"
#include "tools/lightd/options.h"
#include "tools/lightd/replay.h"
#include "tools/refuse.h"

/* At the end: how long the last FINs and RSTs get to be delivered. */
#define FAREWELL (20 * NSEC_PER_MSEC)

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

static uint64_t cpu_mask(const struct options *o)
{
	uint64_t mask = 0;

	for (unsigned i = 0; i < o->cpus; i++)
		mask |= UINT64_C(1) << o->cpu[i];
	return mask;
}

/* As many descriptors as may be: programs bring theirs. */
static void raise_limits(void)
{
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
}

static int open_servers(struct daemon *d)
{
	const struct options *o = d->options;
	struct server_config config;

	server_config_init(&config);
	config.socket_path = o->socket_path;
	config.mode = o->socket_mode;
	config.group = o->socket_group;
	config.daemon_cores = cpu_mask(o);
	config.quota = o->quota;
	config.log = o->verbose ? log_line : NULL;
	config.control = control_answer;
	config.control_context = d;
	return server_new_cores(&config, d->cores, d->server);
}

/* A moment for what the stacks still send. */
static void last_turns(struct daemon *d)
{
	nsec end = core_clock() + FAREWELL;
	bool due = true;

	while (due && core_clock() < end) {
		due = false;
		for (unsigned i = 0; i < d->cores; i++) {
			network_turn(d->network, i, core_clock());
			due = due || network_deadline(d->network, i) < end;
		}
	}
}

/* Programs are told first, and their sleepers woken; the last segments go; then the addresses from which they went are given back. */
static void farewell(struct daemon *d)
{
	core_join_others(d);
	for (unsigned i = 0; i < d->cores; i++)
		server_stop(d->server[d->cores - 1 - i]);
	last_turns(d);
	if (leases_end() > 0)
		last_turns(d);
}

static void close_servers(struct daemon *d)
{
	for (unsigned i = d->cores; i-- > 0;)
		server_free(d->server[i]);
}

/* Everything between the first thing made and the last thing freed. */
static int live(struct daemon *d)
{
	const struct options *o = d->options;
	int error = open_servers(d);
	cpu_set_t before;

	if (error < 0)
		refuse(EXIT_REFUSED, "%s: %s", o->socket_path,
		       error == -EADDRINUSE ? "another daemon serves on this socket" : strerror(-error));
	/* DPDK's EAL moves the thread that starts it. */
	sched_getaffinity(0, sizeof before, &before);
	d->network = network_new(o, d->server, log_line);
	sched_setaffinity(0, sizeof before, &before);
	if (d->network == NULL) {
		close_servers(d);
		return 1;
	}
	for (unsigned i = 0; i < d->cores; i++)
		d->core[i].server = d->server[i];
	error = leases_start_all(d);
	if (error == 0)
		error = core_start_others(d);
	if (error == 0) {
		fprintf(stderr, "lightd: ready on %s, %u host%s\n", o->socket_path, network_hosts(d->network),
			network_hosts(d->network) == 1 ? "" : "s");
		core_serve(&d->core[0]);
	} else {
		fprintf(stderr, "lightd: cannot start threads or DHCP clients: %s\n", strerror(-error));
	}
	farewell(d);
	network_free(d->network);
	close_servers(d);
	return error == 0 ? 0 : 1;
}

/* Core 0's thread. */
static void *begin(void *context)
{
	struct daemon *d = context;
	static int status;
	int error = core_enter(&d->core[0]);

	if (error < 0)
		refuse(EXIT_REFUSED, "--cores: this machine does not give these CPUs: %s", strerror(-error));
	status = live(d);
	core_leave(&d->core[0]);
	kill(getpid(), SIGTERM);
	return &status;
}

int main(int argc, char **argv)
{
	static struct options o;
	static struct daemon d = { .options = &o, .log = log_line };
	sigset_t ends;
	void *status = NULL;
	int number, error;

	options_parse(argc, argv, &o);
	if (o.read_file != NULL)
		return replay_run(&o, log_line);
	raise_limits();
	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&ends);
	sigaddset(&ends, SIGTERM);
	sigaddset(&ends, SIGINT);
	pthread_sigmask(SIG_BLOCK, &ends, NULL);
	d.started = core_clock();
	d.cores = o.queues;
	error = core_prepare(&d);
	if (error < 0)
		refuse(EXIT_FAILURE, "cannot start: %s", strerror(-error));
	error = pthread_create(&d.core[0].thread, NULL, begin, &d);
	if (error != 0)
		refuse(EXIT_FAILURE, "no memory for a thread's stack, or no more threads are allowed: %s", strerror(error));
	sigwait(&ends, &number);
	core_stop(&d.core[0]);
	pthread_join(d.core[0].thread, &status);
	core_free(&d);
	return *(int *)status;
}
