/* SPDX-License-Identifier: BSD-3-Clause */
/* For the tests with several cores: the daemon in threads of this process, a program attached to it, and what both tests say often. */
#ifndef LIGHT_IPC_TESTS_CORES_PROGRAM_H
#define LIGHT_IPC_TESTS_CORES_PROGRAM_H

#include "cores.h"

#include <poll.h>
#include <sys/mman.h>
#include <sys/wait.h>

/* Memory that the daemon lends again was handed over by way of the daemon, whose mapping of it TSan takes for other memory. */
const char *__tsan_default_suppressions(void);
const char *__tsan_default_suppressions(void)
{
	return "race:ring_read\nrace:ring_write\n";
}

static struct cores_world world;
static struct client *c;
static pthread_t first;
static char path[64];
static _Atomic bool up;
static unsigned cores;
static struct server_config config;

static inline void *run_first(void *argument)
{
	cores_open(&world, &config, path, cores);
	atomic_store(&up, true);
	core_run(&world.core[0]);
	cores_close(&world);
	return argument;
}

static inline int set_up_n(unsigned n)
{
	const struct client_options o = { .socket_path = path, .spin_usec = 5, .lowest_fd = 100 };

	client_pump = NULL;
	cores = n;
	atomic_store(&up, false);
	snprintf(path, sizeof(path), "/tmp/light-ipc-cores-%d.sock", (int)getpid());
	pthread_create(&first, NULL, run_first, NULL);
	while (!atomic_load(&up))
		usleep(1000);
	assert_int_equal(client_attach(&o, &c), 0);
	assert_int_equal(client_cores(c), n);
	assert_int_equal(client_host(c)->cores, n);
	return 0;
}

static inline int set_up_2(void **state)
{
	(void)state;
	server_config_init(&config);
	return set_up_n(2);
}

static inline int set_up_3(void **state)
{
	(void)state;
	server_config_init(&config);
	return set_up_n(3);
}

static inline void sums(struct server_stats *s)
{
	struct stack_memory m;

	cores_sum(&world, s, &m);
}

/* Nothing is left on any core; soon, for what is said between cores takes turns. */
static inline void all_is_gone(void)
{
	nsec until = client_now() + 10 * NSEC_PER_SEC;
	struct server_stats s;
	struct stack_memory m;
	unsigned i;

	do {
		usleep(2000);
		cores_sum(&world, &s, &m);
	} while (client_now() < until && (s.families || s.sessions || s.lines || s.data_lent || m.endpoints));
	assert_int_equal(s.families, 0);
	assert_int_equal(s.sessions, 0);
	assert_int_equal(s.lines, 0);
	assert_int_equal(s.lanes, 0);
	assert_int_equal(s.waitsets, 0);
	assert_int_equal(s.watches, 0);
	assert_int_equal(s.data_lent, 0);
	assert_int_equal(m.endpoints, 0);
	for (i = 0; i < world.n; i++)
		assert_string_equal(world.core[i].wrong, "");
}

static inline int tear_down(void **state)
{
	(void)state;
	client_detach(c);
	all_is_gone();
	atomic_store(&world.stop, true);
	pthread_join(first, NULL);
	return 0;
}

static inline uint32_t bind_at(struct client *by, enum ep_type type, uint16_t port, bool share)
{
	struct ep_name name = name_of(port);
	uint32_t id;

	assert_int_equal(client_open_at(by, type, port % client_cores(by), &id), 0);
	if (share)
		assert_int_equal(client_set(by, id, EP_REUSE_PORT, 1), 0);
	assert_int_equal(client_bind(by, id, &name), 0);
	return id;
}

static inline uint32_t listen_home(struct client *by, uint16_t port, uint32_t backlog, bool share)
{
	uint32_t id = bind_at(by, EP_STREAM, port, share);

	assert_int_equal(client_listen(by, id, backlog), 0);
	return id;
}

static inline uint32_t connect_on(struct client *by, unsigned core, uint16_t port)
{
	struct ep_name name = name_of(port);
	uint32_t id;

	assert_int_equal(client_open_at(by, EP_STREAM, core, &id), 0);
	assert_int_equal(client_core(id), core);
	assert_int_equal(client_connect(by, id, &name), -EINPROGRESS);
	assert_int_equal(client_wait_line(by, id, EP_WRITABLE | EP_ERROR | EP_HANGUP, soon()), 0);
	assert_int_equal(client_take_error(by, id), 0);
	return id;
}

static inline void assert_joined(struct client *by, uint32_t a, uint32_t b)
{
	char byte = 0;

	assert_int_equal(send_text(by, a, "t", 1), 1);
	assert_int_equal(recv_text(by, b, &byte, 1), 1);
	assert_int_equal(byte, 't');
	assert_int_equal(send_text(by, b, "f", 1), 1);
	assert_int_equal(recv_text(by, a, &byte, 1), 1);
	assert_int_equal(byte, 'f');
}


#define TEST2(f) cmocka_unit_test_setup_teardown(f, set_up_2, tear_down)
#define TEST3(f) cmocka_unit_test_setup_teardown(f, set_up_3, tear_down)

#endif
