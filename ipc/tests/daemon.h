/* SPDX-License-Identifier: BSD-3-Clause */
/* For the tests with real processes: a daemon in one of its own, which reports its counters, and children that end when the test does. */
#ifndef LIGHT_IPC_TESTS_DAEMON_H
#define LIGHT_IPC_TESTS_DAEMON_H

#include "cores.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

/* What the daemon tells the test, in memory they share. */
struct report {
	_Atomic uint32_t stop, up;
	struct server_stats stats;
	struct stack_memory memory;
	char wrong[128];
	char left[1024];   /* what the stack still has, by states */
};

static struct report *report;
static char path[64];
static pid_t daemon_pid;
static unsigned daemon_cores = 1;

/* A failed assertion in the child must end the child, not go on with the next test there. */
static inline pid_t fork_for_test(void)
{
	pid_t pid = fork();

	if (pid == 0)
		setenv("CMOCKA_TEST_ABORT", "1", 1);
	return pid;
}

/* Core 0, when it has nothing to do. */
static inline void tell(struct cores_world *w)
{
	char left[sizeof(report->left)] = "", wrong[sizeof(report->wrong)] = "";
	struct server_stats stats;
	struct stack_memory memory;
	unsigned i;

	cores_sum(w, &stats, &memory);
	pthread_mutex_lock(&w->lock);
	for (i = 0; i < w->n; i++) {
		if (w->core[i].wrong[0])
			snprintf(wrong, sizeof(wrong), "%s", w->core[i].wrong);
		snprintf(left + strlen(left), sizeof(left) - strlen(left), "%s", w->core[i].left);
	}
	pthread_mutex_unlock(&w->lock);
	report->stats = stats;
	report->memory = memory;
	memcpy(report->left, left, sizeof(left));
	memcpy(report->wrong, wrong, sizeof(wrong));
}

static inline void daemon_main(void)
{
	static struct cores_world w;

	alarm(120);   /* whatever goes wrong, it goes */

	cores_open(&w, NULL, path, daemon_cores);
	w.idle = tell;
	w.stopped = &report->stop;
	atomic_store(&report->up, 1);
	core_run(&w.core[0]);
	cores_close(&w);
	_exit(0);
}

static inline int set_up(void **state)
{
	int i;

	(void)state;
	client_pump = NULL;
	report = mmap(NULL, sizeof(*report), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	snprintf(path, sizeof(path), "/tmp/light-ipc-test-%d.sock", (int)getpid());
	daemon_pid = fork_for_test();
	if (daemon_pid == 0)
		daemon_main();
	for (i = 0; i < 500 && !atomic_load(&report->up); i++)
		usleep(10000);
	assert_int_equal(report->up, 1);
	return 0;
}

static inline int set_up_one_core(void **state)
{
	daemon_cores = 1;
	return set_up(state);
}

static inline int set_up_two_cores(void **state)
{
	daemon_cores = 2;
	return set_up(state);
}

static inline void stop_daemon(void)
{
	int status;

	if (daemon_pid == 0)
		return;
	atomic_store(&report->stop, 1);
	assert_int_equal(waitpid(daemon_pid, &status, 0), daemon_pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	daemon_pid = 0;
}

static inline int tear_down(void **state)
{
	(void)state;
	stop_daemon();
	assert_string_equal(report->wrong, "");
	munmap(report, sizeof(*report));
	unlink(path);
	return 0;
}

static inline struct client *join(void)
{
	const struct client_options o = { .socket_path = path, .host = "here", .spin_usec = 20, .lowest_fd = 100 };
	struct client *c;

	assert_int_equal(client_attach(&o, &c), 0);
	return c;
}

/* The child does `what` and exits with its result; CMocka's asserts are not for it. */
static inline pid_t start(int (*what)(void *), void *argument)
{
	pid_t pid = fork_for_test();

	if (pid == 0) {
		alarm(20);
		_exit(what(argument));
	}
	return pid;
}

static inline int outcome(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* The daemon has nothing of the dead any more: within a second, but for what a program had closed before it died and nobody
 * acknowledged (a full backlog drops the last ACK of a handshake): that is sent again at growing intervals, and then reset. */
static inline void all_is_back(uint32_t families)
{
	nsec until = client_now() + 30 * NSEC_PER_SEC;

	families *= daemon_cores;   /* every core knows all */
	while (client_now() < until && (report->stats.families != families || (families == 0 && (report->stats.lines ||
		report->stats.data_lent || report->memory.endpoints || report->stats.sessions))))
		usleep(5000);
	if (report->stats.families != families)
		print_message("# %u families, %u sessions, %u lines, %u lent:%s %s\n", report->stats.families, report->stats.sessions,
			report->stats.lines, report->memory.extents_lent, report->left, report->wrong);
	assert_int_equal(report->stats.families, families);
	if (families)
		return;
	assert_int_equal(report->stats.sessions, 0);
	assert_int_equal(report->stats.lines, 0);
	assert_int_equal(report->stats.lanes, 0);
	assert_int_equal(report->stats.waitsets, 0);
	assert_int_equal(report->stats.watches, 0);
	assert_int_equal(report->stats.data_lent, 0);
	assert_int_equal(report->memory.endpoints, 0);
	assert_int_equal(report->memory.extents_lent, 0);
}

#endif
