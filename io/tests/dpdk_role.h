/* SPDX-License-Identifier: BSD-3-Clause */
/* For tests of DPDK devices between processes, since an EAL starts once a process: the test runs itself again in a role, with
 * arguments ROLE MTU QUEUES EAL-ARGUMENTS. A role says "ready", works until its standard input ends, and fails with a line. */
#ifndef LIGHT_IO_TESTS_DPDK_ROLE_H
#define LIGHT_IO_TESTS_DPDK_ROLE_H

#include "dpdk_test.h"

#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define BATCH 16u
#define PATIENCE 10.0           /* seconds that a frame may take: the machine may be busy */

struct role {
	struct device *device;
	unsigned queues;
	uint16_t mtu;
	double end;
};

struct child {
	pid_t pid;
	int to, from;
};

static inline double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

__attribute__((format(printf, 1, 2))) _Noreturn static inline void role_fails(const char *format, ...)
{
	va_list list;

	va_start(list, format);
	vprintf(format, list);
	va_end(list);
	printf("\n%s\n", log_kept.text);
	fflush(stdout);
	_exit(1);
}

/* Standard input has ended: the test wants no more. */
static inline bool role_is_over(void)
{
	struct pollfd p = { .fd = STDIN_FILENO, .events = POLLIN };
	char byte;

	return poll(&p, 1, 0) > 0 && read(STDIN_FILENO, &byte, 1) <= 0;
}

static inline void role_begins(struct role *r, int n, char **arguments)
{
	struct dpdk_config c = config_of(0);
	char why[DEVICE_WHY] = "";

	signal(SIGPIPE, SIG_IGN);       /* net_virtio_user writes to a peer that has gone */
	r->mtu = (uint16_t)atoi(arguments[0]);
	r->queues = (unsigned)atoi(arguments[1]);
	if (dpdk_start((unsigned)n - 2, arguments + 2, why) != 0)
		role_fails("%s", why);
	c.device.mtu = r->mtu;
	c.device.queues = r->queues;
	c.packets = 4096;
	if (dpdk_open(&c, &r->device, why) != 0)
		role_fails("%s", why);
	if (r->device->queues != r->queues)
		role_fails("%u queues", r->device->queues);
	printf("ready\n");
	fflush(stdout);
}

/* Everything has come back, and nothing was refused or lost for want of packets. */
static inline void role_ends(struct role *r)
{
	uint32_t missing = r->device->ops->outstanding(r->device);

	if (missing)
		role_fails("%u packets outstanding", missing);
	r->device->ops->close(r->device);
	if (strstr(log_kept.text, "not come back"))
		role_fails("a leak");
	stop_eal();
	exit(0);
}

/* Sends everything back on the queue on which it came. */
static inline void role_echo(struct role *r)
{
	unsigned turn = 0, i;

	while (++turn % 64 != 0 || !role_is_over()) {
		unsigned work = 0;

		for (i = 0; i < r->queues; i++) {
			struct link *l = r->device->ops->queue(r->device, i);
			struct pkt *p[32];
			unsigned n = l->ops->receive(l, p, 32), done = 0;
			double end = seconds() + 1;

			work += n;
			while (done < n && seconds() < end)
				done += l->ops->transmit(l, p + done, n - done);
			l->ops->release(l, p + done, n - done);
		}
		if (work == 0)
			usleep(20);
	}
}

static inline void role_waits_for_carrier(struct role *r)
{
	struct link *l = r->device->ops->queue(r->device, 0);
	double end = seconds() + PATIENCE;

	while (!l->up && seconds() < end) {
		struct pkt *p[32];

		l->ops->release(l, p, l->ops->receive(l, p, 32));
		usleep(1);
	}
	if (!l->up)
		role_fails("no carrier");
}

/* A batch of lengths through the echo of another process; the n-th that comes back is the n-th sent. */
static inline void role_sends_and_compares(struct link *l, const uint32_t *lens, unsigned n, uint32_t seed)
{
	double end = seconds() + PATIENCE;
	unsigned sent = 0, back = 0, i;

	while (back < n) {
		struct pkt *p[32];
		unsigned got = l->ops->receive(l, p, 32);

		if (sent < n)
			sent += send_frames(l, lens + sent, n - sent, seed);
		for (i = 0; i < got; i++) {
			/* The kernel says things of its own on its interfaces. */
			if (p[i]->len < 14 || memcmp(p[i]->data + 6, "\2\0\0\0\0\11\x88\xb5", 8) != 0)
				continue;
			if (p[i]->len != lens[back] || !is_frame(p[i]->data, p[i]->len, seed))
				role_fails("sent %u bytes, %u came back, or others", lens[back], p[i]->len);
			back++;
		}
		l->ops->release(l, p, got);
		if (seconds() > end)
			role_fails("of a batch from %u bytes %u of %u came back", lens[0], back, n);
		if (got == 0)
			usleep(20);
	}
}

static inline void role_check(struct role *r)
{
	uint32_t len, lens[BATCH], queue, most = r->mtu + 18u;
	unsigned n;

	role_waits_for_carrier(r);
	for (queue = 0; queue < r->queues; queue++) {
		struct link *l = r->device->ops->queue(r->device, queue);

		for (len = 14; len <= most; len += n) {
			for (n = 0; n < BATCH && len + n <= most; n++)
				lens[n] = len + n;
			role_sends_and_compares(l, lens, n, queue);
		}
		if (l->stats.rx_packets < most - 13 || l->stats.tx_packets != most - 13)
			role_fails("counted %lu in and %lu out", l->stats.rx_packets, l->stats.tx_packets);
	}
}

/* The test's side: runs itself in a role and waits for "ready". */
static inline struct child child_start(char **arguments)
{
	struct child c;
	int to[2], from[2];
	char line[512];
	size_t used = 0;

	fflush(NULL);
	assert_int_equal(pipe(to), 0);
	assert_int_equal(pipe(from), 0);
	c.pid = fork();
	if (c.pid == 0) {
		dup2(to[0], STDIN_FILENO);
		dup2(from[1], STDOUT_FILENO);
		close(to[0]);
		close(to[1]);
		close(from[0]);
		close(from[1]);
		execv("/proc/self/exe", arguments);
		_exit(127);
	}
	close(to[0]);
	close(from[1]);
	c.to = to[1];
	c.from = from[0];
	while (used < sizeof(line) - 1 && (used == 0 || line[used - 1] != '\n') && read(c.from, line + used, 1) == 1)
		used++;
	line[used] = '\0';
	if (strcmp(line, "ready\n") != 0)
		fail_msg("%s: %s", arguments[1], line);
	return c;
}

/* Ends a role, or waits for one that ends by itself, and fails with what it said. */
static inline void child_end(struct child *c, bool stop)
{
	static char said[8192];
	size_t used = 0;
	ssize_t n;
	int status;

	if (stop)
		close(c->to);
	while (used < sizeof(said) - 1 && (n = read(c->from, said + used, sizeof(said) - 1 - used)) > 0)
		used += (size_t)n;
	said[used] = '\0';
	assert_int_equal(waitpid(c->pid, &status, 0), c->pid);
	if (!stop)
		close(c->to);
	close(c->from);
	if (status != 0)
		fail_msg("status %x: %s", (unsigned)status, said);
}

#endif
