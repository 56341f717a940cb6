/* SPDX-License-Identifier: BSD-3-Clause */
/* One loop on each core: requests, packets, timers, news to programs, and sleep when there is none of these. Everything happens
 * inside it, because a second thread on the same CPU would wait for whole scheduler slices. */
#include "tools/lightd/core.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "tools/lightd/backend.h"
#include "tools/lightd/leases.h"

/* An adaptive daemon that found nothing to do looks on for this long before it sleeps: about what a wake-up costs, so that
 * at worst twice the best is spent. */
#define SPIN_BEFORE_SLEEP (50 * NSEC_PER_USEC)
#define LONGEST_SLEEP NSEC_PER_SEC
/* Where a link wakes nobody: packets wait this long at most, and the looking costs about a hundredth of a CPU. */
#define POLLED_SLEEP (500 * NSEC_PER_USEC)

nsec core_clock(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (nsec)t.tv_sec * NSEC_PER_SEC + (nsec)t.tv_nsec;
}

/* ---- the mailbox ---- */

static bool take_mail(struct core *c)
{
	const struct mail *m = atomic_load_explicit(&c->box, memory_order_acquire);

	if (m == NULL)
		return false;
	m->call(m->context, c->number);
	atomic_store_explicit(&c->box, NULL, memory_order_release);
	return true;
}

static void ring(struct core *c)
{
	/* Both sides write before they read: the core says that it sleeps, then looks; the caller posts, then looks whether it sleeps. */
	atomic_thread_fence(memory_order_seq_cst);
	if (atomic_exchange(&c->asleep, false))
		eventfd_write(c->bell, 1);
}

static void hear(struct core *c)
{
	eventfd_t count;

	atomic_store_explicit(&c->asleep, false, memory_order_relaxed);
	eventfd_read(c->bell, &count);
}

void core_stop(struct core *c)
{
	atomic_store(&c->stopping, true);
	ring(c);
}

void core_call(struct daemon *d, unsigned core, void (*call)(void *context, unsigned core), void *context)
{
	const struct mail mail = { call, context };
	struct core *c = &d->core[core];

	if (core == 0 || !c->started) {
		call(context, core);
		return;
	}
	atomic_store_explicit(&c->box, &mail, memory_order_release);
	ring(c);
	while (atomic_load_explicit(&c->box, memory_order_acquire) != NULL)
		sched_yield();
}

void core_call_all(struct daemon *d, void (*call)(void *context, unsigned core), void *context)
{
	for (unsigned core = 0; core < d->cores; core++)
		core_call(d, core, call, context);
}

/* ---- the loop ---- */

static unsigned turn(struct core *c)
{
	unsigned work;

	c->now = core_clock();
	work = server_turn(c->server, c->now);
	work += network_turn(c->daemon->network, c->number, c->now);
	work += server_publish(c->server);
	work += take_mail(c);
	if (c->number == 0)
		work += leases_turn(c->daemon);
	c->stats.turns++;
	c->stats.work += work;
	return work;
}

static bool must_not_sleep(struct core *c)
{
	atomic_store_explicit(&c->asleep, true, memory_order_relaxed);
	atomic_thread_fence(memory_order_seq_cst);
	return atomic_load(&c->stopping) || atomic_load_explicit(&c->box, memory_order_acquire) != NULL;
}

/* Sleeps on what programs ring, on what the links have, and on the bell, with all of them armed. */
static void sleep_armed(struct core *c, nsec until)
{
	struct pollfd p[2 + NETWORK_FDS] = { { .fd = server_wake_fd(c->server), .events = POLLIN }, { .fd = c->bell, .events = POLLIN } };
	int fds[NETWORK_FDS];
	struct timespec t;
	bool polled;
	unsigned n = network_arm(c->daemon->network, c->number, fds, NETWORK_FDS, &polled);
	nsec began = core_clock();

	for (unsigned i = 0; i < n; i++)
		p[2 + i] = (struct pollfd){ .fd = fds[i], .events = POLLIN };
	if (polled && until > began + POLLED_SLEEP)
		until = began + POLLED_SLEEP;
	/* What came before the links were armed wakes nobody. */
	if (until > began && network_turn(c->daemon->network, c->number, began) == 0 && server_sleep_begin(c->server) &&
	    !must_not_sleep(c)) {
		t = (struct timespec){ .tv_sec = (time_t)((until - began) / NSEC_PER_SEC),
				       .tv_nsec = (long)((until - began) % NSEC_PER_SEC) };
		ppoll(p, 2 + n, &t, NULL);
		c->stats.sleeps++;
		c->stats.slept += core_clock() - began;
	}
	server_sleep_end(c->server);
	hear(c);
	network_disarm(c->daemon->network, c->number);
}

/* Nothing was to do for a while: sleep until a timer is due, a program rings, or a packet comes. */
static void rest(struct core *c)
{
	nsec until = network_deadline(c->daemon->network, c->number), began = core_clock();

	if (until > began + LONGEST_SLEEP)
		until = began + LONGEST_SLEEP;
	if (until > began)
		sleep_armed(c, until);
}

void core_serve(struct core *c)
{
	bool busy = options_busy(c->daemon->options);
	nsec last_work = core_clock();

	while (!atomic_load_explicit(&c->stopping, memory_order_relaxed)) {
		if (turn(c) > 0) {
			last_work = c->now;
			continue;
		}
		c->stats.idle_turns++;
		/* A busy daemon has its core for itself. An adaptive one may share it with the very program it waits for:
		 * whoever can run there goes first, or each would wait for the other's time slice to end. */
		if (busy)
			__builtin_ia32_pause();
		else if (c->now - last_work <= SPIN_BEFORE_SLEEP)
			sched_yield();
		else
			rest(c);
	}
}

/* ---- threads ---- */

int core_enter(struct core *c)
{
	const struct options *o = c->daemon->options;
	char name[16];
	cpu_set_t set;
	int error = 0;

	snprintf(name, sizeof name, "light/%u", c->number);
	pthread_setname_np(pthread_self(), name);
	CPU_ZERO(&set);
	/* A single thread may use all that were listed. */
	for (unsigned i = 0; i < o->cpus; i++) {
		if (c->daemon->cores == 1 || i == c->number)
			CPU_SET(o->cpu[i], &set);
	}
	if (o->cpus > 0)
		error = -pthread_setaffinity_np(pthread_self(), sizeof set, &set);
	for (unsigned i = 0; error == 0 && backend_at(i) != NULL; i++)
		error = backend_at(i)->thread_begin();
	return error;
}

void core_leave(struct core *c)
{
	(void)c;
	for (unsigned i = 0; backend_at(i) != NULL; i++)
		backend_at(i)->thread_end();
}

static void *run(void *context)
{
	struct core *c = context;

	c->error = core_enter(c);
	core_serve(c);
	core_leave(c);
	return NULL;
}

static void look_at_error(void *context, unsigned core)
{
	struct daemon *d = context;

	if (d->core[core].error != 0)
		fprintf(stderr, "lightd: core %u cannot have its CPU or its devices: %s\n", core, strerror(-d->core[core].error));
}

int core_start_others(struct daemon *d)
{
	int error = 0;

	for (unsigned i = 1; i < d->cores && error == 0; i++) {
		error = -pthread_create(&d->core[i].thread, NULL, run, &d->core[i]);
		d->core[i].started = error == 0;
	}
	for (unsigned i = 1; i < d->cores && error == 0; i++) {
		core_call(d, i, look_at_error, d);
		error = d->core[i].error;
	}
	if (error != 0)
		core_join_others(d);
	return error;
}

void core_join_others(struct daemon *d)
{
	for (unsigned i = 1; i < d->cores; i++) {
		if (!d->core[i].started)
			continue;
		core_stop(&d->core[i]);
		pthread_join(d->core[i].thread, NULL);
		d->core[i].started = false;
	}
}

int core_prepare(struct daemon *d)
{
	for (unsigned i = 0; i < d->cores; i++) {
		d->core[i] = (struct core){ .daemon = d, .number = i, .server = d->server[i] };
		d->core[i].bell = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
		if (d->core[i].bell < 0)
			return -errno;
	}
	return 0;
}

void core_free(struct daemon *d)
{
	for (unsigned i = 0; i < d->cores; i++) {
		if (d->core[i].bell > 0)
			close(d->core[i].bell);
	}
}
