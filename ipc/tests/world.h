/* SPDX-License-Identifier: BSD-3-Clause */
/* For the tests of ipc/: a server over one stack that talks to itself (the loopback of stack_new), turned by whoever waits, by a
 * thread, or in a process of its own. */
#ifndef LIGHT_IPC_TESTS_WORLD_H
#define LIGHT_IPC_TESTS_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "ipc/client_private.h"
#include "ipc/server.h"

#define ADDRESS ipaddr_from_ip4(__builtin_bswap32(0x0a000001))

struct world {
	struct server *server;         /* of core 0 */
	struct server_host *host;
	struct stack *stack;
	char path[64];
	unsigned cores;                /* turned here one after the other */
	struct server *servers[REGION_CORES];
	struct stack *stacks[REGION_CORES];
};

/* How many the next world has. */
static unsigned world_cores = 1;

static inline struct stack *world_stack(struct server *server, unsigned core, struct server_host **host)
{
	struct stack_config config;
	struct ipaddr address = ADDRESS;
	struct stack *stack;

	assert_int_equal(server_add_host(server, "here", host), 0);
	stack_config_init(&config);
	memcpy(config.secret, "not so secret...", 16);
	config.max_endpoints = 4096;
	config.core = core;
	config.host = server_host_calls(*host);
	stack = stack_new(&config);
	assert_non_null(stack);
	assert_int_equal(stack_add_address(stack, stack_loopback(stack), &address, 32), 0);
	server_host_start(*host, stack);
	return stack;
}

static inline void world_open(struct world *w, const struct server_config *given, const char *path)
{
	struct server_config config;
	struct server_host *other;
	unsigned i;

	memset(w, 0, sizeof(*w));
	server_config_init(&config);
	if (given)
		config = *given;
	if (path) {
		snprintf(w->path, sizeof(w->path), "%s", path);
		config.socket_path = w->path;
	}
	w->cores = world_cores;
	assert_int_equal(server_new_cores(&config, w->cores, w->servers), 0);
	w->server = w->servers[0];
	w->stack = w->stacks[0] = world_stack(w->server, 0, &w->host);
	for (i = 1; i < w->cores; i++)
		w->stacks[i] = world_stack(w->servers[i], i, &other);
}

static inline unsigned core_turn(struct server *server, struct stack *stack)
{
	nsec now = doorbell_now();
	unsigned work = server_turn(server, now);

	work += stack_turn(stack, now);
	return work + server_publish(server);
}

static inline unsigned world_turn(struct world *w)
{
	unsigned work = core_turn(w->server, w->stack), i;

	for (i = 1; i < w->cores; i++)
		work += core_turn(w->servers[i], w->stacks[i]);
	return work;
}

/* What is wrong on any core. */
static inline const char *world_check(struct world *w)
{
	const char *wrong = NULL;
	unsigned i;

	for (i = 0; i < w->cores && !wrong; i++) {
		wrong = server_check(w->servers[i]);
		wrong = wrong ? wrong : stack_check(w->stacks[i]);
	}
	return wrong;
}

static inline void world_pump(void *context)
{
	world_turn(context);
}

/* Everything that is under way comes to rest. */
static inline void world_settle(struct world *w)
{
	unsigned quiet = 0, turns = 0;

	while (quiet < 40 && turns++ < 100000)
		quiet = world_turn(w) ? 0 : quiet + 1;
}

static inline void world_close(struct world *w)
{
	unsigned i;

	assert_null(world_check(w));
	for (i = w->cores; i-- > 0;)
		server_stop(w->servers[i]);
	for (i = 0; i < w->cores; i++) {
		stack_turn(w->stacks[i], doorbell_now());
		stack_free(w->stacks[i]);
	}
	for (i = w->cores; i-- > 0;)
		server_free(w->servers[i]);
	client_pump = NULL;
}

/* One thread: who waits turns the world. */
static inline struct client *world_join(struct world *w, uid_t uid)
{
	const struct client_options o = { .host = "here", .lowest_fd = 100 };
	struct client *c;
	int fd;

	client_pump = world_pump;
	client_pump_context = w;
	assert_int_equal(server_connect(w->server, uid, &fd), 0);
	assert_int_equal(client_attach_socket(fd, &o, &c), 0);
	return c;
}

static inline struct ep_name name_of(uint16_t port)
{
	return (struct ep_name){ .addr = ADDRESS, .port = port };
}

static inline uint32_t listen_at(struct client *c, uint16_t port, uint32_t backlog)
{
	struct ep_name name = name_of(port);
	uint32_t id;

	assert_int_equal(client_open_at(c, EP_STREAM, port % client_cores(c), &id), 0);
	assert_int_equal(client_bind(c, id, &name), 0);
	assert_int_equal(client_listen(c, id, backlog), 0);
	return id;
}

static inline nsec soon(void)
{
	return client_now() + 5 * NSEC_PER_SEC;
}

static inline uint32_t connect_to(struct client *c, uint16_t port)
{
	struct ep_name name = name_of(port);
	uint32_t id;

	assert_int_equal(client_open(c, EP_STREAM, &id), 0);
	assert_int_equal(client_connect(c, id, &name), -EINPROGRESS);
	assert_int_equal(client_wait_line(c, id, EP_WRITABLE | EP_ERROR | EP_HANGUP, soon()), 0);
	return id;
}

static inline uint32_t accept_from(struct client *c, uint32_t listener)
{
	uint32_t child = 0;
	int rc;

	while ((rc = client_accept(c, listener, &child)) == -EAGAIN)
		assert_int_equal(client_wait_line(c, listener, EP_READABLE, soon()), 0);
	assert_int_equal(rc, 0);
	return child;
}

static inline ssize_t send_text(struct client *c, uint32_t id, const void *bytes, size_t n)
{
	const struct iovec v = { .iov_base = (void *)(uintptr_t)bytes, .iov_len = n };

	return client_send(c, id, &v, 1);
}

static inline ssize_t recv_text(struct client *c, uint32_t id, void *bytes, size_t n)
{
	const struct iovec v = { .iov_base = bytes, .iov_len = n };
	ssize_t rc;

	while ((rc = client_recv(c, id, &v, 1, 0)) == -EAGAIN)
		assert_int_equal(client_wait_line(c, id, EP_READABLE, soon()), 0);
	return rc;
}

#endif
