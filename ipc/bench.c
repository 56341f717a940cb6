/* SPDX-License-Identifier: BSD-3-Clause */
/* Times the lanes (bench.h). The server turns without ever sleeping, as on a core of its own. */
#include "ipc/bench.h"

#include <pthread.h>
#include <stdlib.h>

#include "ipc/client_private.h"
#include "ipc/server.h"

struct bench_daemon {
	pthread_t thread;
	struct server *server;
	struct server_host *host;
	struct stack *stack;
	int fd;
	_Atomic int ready;      /* 1 up, negative: failed */
	_Atomic int stop;
};

static int build(struct bench_daemon *d)
{
	struct server_config config;
	struct stack_config stack;
	int rc;

	server_config_init(&config);
	config.daemon_cores = UINT64_C(1) << 63;   /* polls somewhere else: callers spin */
	rc = server_new(&config, &d->server);
	if (rc == 0)
		rc = server_add_host(d->server, "bench", &d->host);
	if (rc)
		return rc;
	stack_config_init(&stack);
	stack.max_endpoints = 4096;
	stack.host = server_host_calls(d->host);
	d->stack = stack_new(&stack);
	if (!d->stack)
		return -ENOMEM;
	server_host_start(d->host, d->stack);
	return server_connect(d->server, 0, &d->fd);
}

static void *run(void *argument)
{
	struct bench_daemon *d = argument;
	int rc = build(d);

	atomic_store(&d->ready, rc ? rc : 1);
	while (rc == 0 && !atomic_load_explicit(&d->stop, memory_order_relaxed)) {
		nsec now = doorbell_now();

		server_turn(d->server, now);
		stack_turn(d->stack, now);
		server_publish(d->server);
	}
	if (d->server)
		server_stop(d->server);
	if (d->stack)
		stack_free(d->stack);
	if (d->server)
		server_free(d->server);
	return NULL;
}

static int compare(const void *a, const void *b)
{
	const nsec *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

static int time_lane(struct client *c, unsigned rounds, struct ipc_bench *out)
{
	nsec *times = malloc(rounds * sizeof(*times)), before, after;
	struct request q = { .op = REQ_PING };
	unsigned i;

	if (!times)
		return -ENOMEM;
	before = doorbell_now();
	for (i = 0; i < rounds; i++) {
		client_call(c, &q, NULL);
		after = doorbell_now();
		times[i] = after - before;
		before = after;
	}
	qsort(times, rounds, sizeof(*times), compare);
	out->lane_ns = (double)times[rounds / 2];
	out->lane_p99_ns = (double)times[rounds - 1 - rounds / 100];
	free(times);
	return 0;
}

static int time_posts(struct client *c, unsigned rounds, struct ipc_bench *out)
{
	struct request q = { .op = REQ_PING };
	nsec before = doorbell_now();
	uint32_t ids[32];
	unsigned i, k;
	int rc;

	for (i = 0; i < rounds; i++) {
		q.tag = 0;
		client_post(c, &q);
	}
	out->post_ns = (double)(doorbell_now() - before) / rounds;
	before = doorbell_now();
	for (i = 0; i < rounds / 32; i++) {
		for (k = 0; k < 32; k++) {
			rc = client_open(c, EP_STREAM, &ids[k]);
			if (rc)
				return rc;
		}
		for (k = 0; k < 32; k++)
			client_close(c, ids[k]);
	}
	out->open_close_ns = (double)(doorbell_now() - before) / (32 * (rounds / 32));
	return 0;
}

int ipc_bench_run(unsigned rounds, struct ipc_bench *out)
{
	const struct client_options options = { .host = "bench", .spin_usec = 1000 };
	struct bench_daemon d = { .fd = -1 };
	struct client *c;
	int rc;

	if (rounds < 100)
		return -EINVAL;
	rc = -pthread_create(&d.thread, NULL, run, &d);
	if (rc)
		return rc;
	while ((rc = atomic_load(&d.ready)) == 0)
		continue;
	rc = rc > 0 ? client_attach_socket(d.fd, &options, &c) : rc;
	if (rc == 0) {
		time_lane(c, rounds / 10, out);
		rc = time_lane(c, rounds, out);
		rc = rc ? rc : time_posts(c, rounds, out);
		client_detach(c);
	}
	atomic_store(&d.stop, 1);
	pthread_join(d.thread, NULL);
	return rc;
}
