/* SPDX-License-Identifier: BSD-3-Clause */
/* DPDK's EAL: started once a process, quiet unless it fails, and then its own words are the error. What it and its drivers report
 * later as warnings goes to stderr. The thread that starts it keeps its affinity. */
#include "dpdk_port.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_lcore.h>
#include <rte_log.h>

#define ARGUMENTS_MOST 128u

static struct {
	pthread_mutex_t lock;      /* of `errors`: drivers report from the EAL's threads too */
	bool starting, started, ended;
	_Atomic bool quiet;
	bool verbose;              /* --log-level was given: everything goes to stderr */
	int stderr_fd;             /* while starting: where stderr led before */
	size_t used;
	char errors[512];
	char last[256];            /* said to stderr */
	size_t last_len;
	unsigned repeated;
	char *arguments[ARGUMENTS_MOST + 4];
} eal = { .lock = PTHREAD_MUTEX_INITIALIZER, .stderr_fd = -1 };

/* Adds one message of the EAL as a part of a sentence: without its line end, its log type and "FATAL:". */
static void remember(const char *text, size_t n)
{
	static const char *const prefixes[] = { "EAL: ", "FATAL: ", "ETHDEV: ", "dpdk: " };
	unsigned i;

	for (i = 0; i < RTE_DIM(prefixes); i++) {
		if (n > strlen(prefixes[i]) && memcmp(text, prefixes[i], strlen(prefixes[i])) == 0) {
			text += strlen(prefixes[i]);
			n -= strlen(prefixes[i]);
		}
	}
	while (n > 0 && strchr("\n\r .", text[n - 1]))
		n--;
	if (n == 0 || memmem(eal.errors, eal.used, text, n))
		return;
	if (eal.used > 0 && eal.used + 2 < sizeof(eal.errors)) {
		memcpy(eal.errors + eal.used, "; ", 2);
		eal.used += 2;
	}
	n = RTE_MIN(n, sizeof(eal.errors) - 1 - eal.used);
	memcpy(eal.errors + eal.used, text, n);
	eal.used += n;
	eal.errors[eal.used] = '\0';
}

/* What is said again and again is said once, and how often when something else comes. */
static void say(const char *text, size_t n)
{
	int fd = eal.stderr_fd >= 0 ? eal.stderr_fd : STDERR_FILENO;

	if (n == eal.last_len && memcmp(text, eal.last, n) == 0) {
		eal.repeated++;
		return;
	}
	if (eal.repeated > 0)
		dprintf(fd, "(%u times more)\n", eal.repeated);
	eal.repeated = 0;
	eal.last_len = n <= sizeof(eal.last) ? n : 0;
	memcpy(eal.last, text, eal.last_len);
	dprintf(fd, "%.*s", (int)n, text);
}

/* DPDK's log comes here, a message at a time. */
static ssize_t take_message(void *context, const char *text, size_t n)
{
	(void)context;
	pthread_mutex_lock(&eal.lock);
	if (rte_log_cur_msg_loglevel() <= (int)RTE_LOG_ERR)
		remember(text, n);
	if ((!eal.starting && !atomic_load(&eal.quiet)) || eal.verbose)
		say(text, n);
	pthread_mutex_unlock(&eal.lock);
	return (ssize_t)n;
}

const char *dpdk_last_errors(void)
{
	static _Thread_local char copy[sizeof(eal.errors)];

	pthread_mutex_lock(&eal.lock);
	memcpy(copy, eal.errors, sizeof(copy));
	eal.used = 0;
	eal.errors[0] = '\0';
	pthread_mutex_unlock(&eal.lock);
	return copy;
}

bool dpdk_is_started(void)
{
	return eal.started;
}

void dpdk_quiet(bool quiet)
{
	atomic_store(&eal.quiet, quiet);
}

static bool is_option(const char *argument, const char *name)
{
	size_t n = strlen(name);

	return strncmp(argument, name, n) == 0 && (name[1] != '-' || argument[n] == '\0' || argument[n] == '=');
}

/* Without a choice of cores the EAL makes a thread for each CPU; Light brings its own threads and needs none. */
static int fill_arguments(unsigned n, char **arguments, char why[DEVICE_WHY], int *count)
{
	static char name[] = "dpdk", lcores[] = "--lcores";
	static char first_cpu[24];
	bool cores = false;
	cpu_set_t set;
	unsigned i, cpu = 0;

	if (n > ARGUMENTS_MOST) {
		snprintf(why, DEVICE_WHY, "%u arguments for the EAL are more than the %u allowed", n, ARGUMENTS_MOST);
		return -E2BIG;
	}
	eal.arguments[0] = name;
	for (i = 0; i < n; i++) {
		const char *a = arguments[i];

		if (strcmp(a, "-h") == 0 || strcmp(a, "--help") == 0) {
			snprintf(why, DEVICE_WHY, "the EAL's arguments are listed by DPDK's own programs (dpdk-testpmd %s), not here", a);
			return -EINVAL;
		}
		cores = cores || is_option(a, "-l") || is_option(a, "-c") || is_option(a, "--lcores");
		eal.verbose = eal.verbose || is_option(a, "--log-level");
		eal.arguments[1 + i] = strdup(a);
		if (!eal.arguments[1 + i]) {
			snprintf(why, DEVICE_WHY, "memory is short");
			return -ENOMEM;
		}
	}
	*count = (int)n + 1;
	if (!cores && pthread_getaffinity_np(pthread_self(), sizeof(set), &set) == 0) {
		while (cpu < CPU_SETSIZE - 1 && !CPU_ISSET(cpu, &set))
			cpu++;
		snprintf(first_cpu, sizeof(first_cpu), "0@%u", cpu);
		eal.arguments[(*count)++] = lcores;
		eal.arguments[(*count)++] = first_cpu;
	}
	return 0;
}

/* The EAL prints its usage and what getopt says straight to the standard streams: into a file in memory for that time. */
struct streams {
	int out, err, file;
};

static void streams_away(struct streams *s)
{
	fflush(stdout);
	s->out = s->err = -1;
	s->file = memfd_create("dpdk-start", MFD_CLOEXEC);
	if (s->file < 0)
		return;
	s->out = dup(STDOUT_FILENO);
	s->err = dup(STDERR_FILENO);
	eal.stderr_fd = s->err;
	if (s->out >= 0)
		dup2(s->file, STDOUT_FILENO);
	if (s->err >= 0)
		dup2(s->file, STDERR_FILENO);
}

/* The first line that was printed to stay in `errors`, if the EAL failed without a logged reason. */
static void streams_back(struct streams *s, bool failed)
{
	char line[200];
	ssize_t n;

	fflush(stdout);
	if (s->out >= 0) {
		dup2(s->out, STDOUT_FILENO);
		close(s->out);
	}
	pthread_mutex_lock(&eal.lock);
	if (s->err >= 0) {
		dup2(s->err, STDERR_FILENO);
		close(s->err);
	}
	eal.stderr_fd = -1;
	n = s->file >= 0 ? pread(s->file, line, sizeof(line) - 1, 0) : 0;
	if (n > 0 && failed) {
		line[n] = '\0';
		line[strspn(line, "\n")] == '\0' ? (void)0 : remember(line, strcspn(line, "\n"));
	}
	if (s->file >= 0)
		close(s->file);
	pthread_mutex_unlock(&eal.lock);
}

static void explain(char why[DEVICE_WHY], int error)
{
	const char *said = dpdk_last_errors();
	const char *hint = strstr(said, "hugepage")
		? " (reserve some by vm.nr_hugepages, or pass --no-huge -m 512)" : "";

	snprintf(why, DEVICE_WHY, "the EAL does not start: %.*s%s", (int)(DEVICE_WHY - 90),
		*said ? said : rte_strerror(error), hint);
}

int dpdk_start(unsigned n, char **arguments, char why[DEVICE_WHY])
{
	static const cookie_io_functions_t functions = { .write = take_message };
	struct streams streams;
	cpu_set_t set;
	bool have_set;
	FILE *stream;
	int error, count = 0;

	if (eal.started || eal.ended) {
		snprintf(why, DEVICE_WHY, "the EAL starts once a process, and it has been started");
		return -EALREADY;
	}
	error = fill_arguments(n, arguments, why, &count);
	if (error)
		return error;
	stream = fopencookie(NULL, "w", functions);
	if (!stream) {
		snprintf(why, DEVICE_WHY, "memory is short");
		return -ENOMEM;
	}
	setvbuf(stream, NULL, _IOLBF, 1024);
	rte_openlog_stream(stream);
	have_set = pthread_getaffinity_np(pthread_self(), sizeof(set), &set) == 0;
	eal.starting = true;
	streams_away(&streams);
	error = rte_eal_init(count, eal.arguments) < 0 ? rte_errno : 0;
	streams_back(&streams, error != 0);
	eal.starting = false;
	if (have_set)
		pthread_setaffinity_np(pthread_self(), sizeof(set), &set);
	if (error) {
		eal.ended = true;
		explain(why, error);
		return -error;
	}
	if (!eal.verbose)
		rte_log_set_global_level(RTE_LOG_WARNING);
	eal.started = true;
	return 0;
}

void dpdk_stop(void)
{
	if (!eal.started)
		return;
	eal.started = false;
	eal.ended = true;
	rte_eal_cleanup();
}

int dpdk_thread(void)
{
	if (rte_lcore_id() != LCORE_ID_ANY)
		return 0;       /* the thread that started the EAL */
	return rte_thread_register() == 0 ? 0 : -rte_errno;
}

void dpdk_thread_end(void)
{
	/* The EAL's own are not ours to end. */
	if (rte_lcore_id() != LCORE_ID_ANY && rte_eal_lcore_role(rte_lcore_id()) == ROLE_NON_EAL)
		rte_thread_unregister();
}
