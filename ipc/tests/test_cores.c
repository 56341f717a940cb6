/* SPDX-License-Identifier: BSD-3-Clause */
/* A daemon on two and three cores, each a real thread: one listener for all of them, lines, lanes and waitsets on each. Runs under TSan
 * too. */
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

static void *run_first(void *argument)
{
	cores_open(&world, &config, path, cores);
	atomic_store(&up, true);
	core_run(&world.core[0]);
	cores_close(&world);
	return argument;
}

static int set_up_n(unsigned n)
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

static int set_up_2(void **state)
{
	(void)state;
	server_config_init(&config);
	return set_up_n(2);
}

static int set_up_3(void **state)
{
	(void)state;
	server_config_init(&config);
	return set_up_n(3);
}

static void sums(struct server_stats *s)
{
	struct stack_memory m;

	cores_sum(&world, s, &m);
}

/* Nothing is left on any core; soon, for what is said between cores takes turns. */
static void all_is_gone(void)
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

static int tear_down(void **state)
{
	(void)state;
	client_detach(c);
	all_is_gone();
	atomic_store(&world.stop, true);
	pthread_join(first, NULL);
	return 0;
}

static uint32_t bind_at(struct client *by, enum ep_type type, uint16_t port, bool share)
{
	struct ep_name name = name_of(port);
	uint32_t id;

	assert_int_equal(client_open_at(by, type, port % client_cores(by), &id), 0);
	if (share)
		assert_int_equal(client_set(by, id, EP_REUSE_PORT, 1), 0);
	assert_int_equal(client_bind(by, id, &name), 0);
	return id;
}

static uint32_t listen_home(struct client *by, uint16_t port, uint32_t backlog, bool share)
{
	uint32_t id = bind_at(by, EP_STREAM, port, share);

	assert_int_equal(client_listen(by, id, backlog), 0);
	return id;
}

static uint32_t connect_on(struct client *by, unsigned core, uint16_t port)
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

static void assert_joined(struct client *by, uint32_t a, uint32_t b)
{
	char byte = 0;

	assert_int_equal(send_text(by, a, "t", 1), 1);
	assert_int_equal(recv_text(by, b, &byte, 1), 1);
	assert_int_equal(byte, 't');
	assert_int_equal(send_text(by, b, "f", 1), 1);
	assert_int_equal(recv_text(by, a, &byte, 1), 1);
	assert_int_equal(byte, 'f');
}

static void one_listener_accepts_what_comes_to_any_core(void **state)
{
	uint32_t l = listen_home(c, 80, 64, false), near, far;
	unsigned core, round;

	(void)state;
	for (round = 0; round < 20; round++)
		for (core = 0; core < cores; core++) {
			near = connect_on(c, core, 80);
			far = accept_from(c, l);
			assert_int_equal(client_core(far), core);
			assert_joined(c, near, far);
			client_close(c, near);
			client_close(c, far);
		}
}

static void a_listener_stands_on_all_cores_when_listen_returns(void **state)
{
	unsigned i;

	(void)state;
	for (i = 0; i < 50; i++) {
		uint16_t port = (uint16_t)(3000 + i);
		uint32_t l = listen_home(c, port, 8, false), near = connect_on(c, (i + 1) % cores, port);

		client_close(c, near);
		client_close(c, l);
	}
}

static void options_reach_the_children_of_every_core(void **state)
{
	uint32_t l = bind_at(c, EP_STREAM, 81, false), far;
	int64_t value;
	unsigned core;

	(void)state;
	assert_int_equal(client_set(c, l, EP_TTL, 33), 0);
	assert_int_equal(client_listen(c, l, 8), 0);
	assert_int_equal(client_set(c, l, EP_TOS, 16), 0);
	for (core = 0; core < cores; core++) {
		/* The second was set while it listened: soon it holds everywhere. */
		nsec until = soon();

		do {
			connect_on(c, core, 81);
			far = accept_from(c, l);
			assert_int_equal(client_get(c, far, EP_TTL, &value), 0);
			assert_int_equal(value, 33);
			assert_int_equal(client_get(c, far, EP_TOS, &value), 0);
		} while (value != 16 && client_now() < until);
		assert_int_equal(value, 16);
	}
}

static void a_port_is_bound_at_home_only(void **state)
{
	struct ep_name name = name_of(100);
	uint32_t id, other;
	unsigned core;

	(void)state;
	for (core = 0; core < cores; core++) {
		struct request q = { .op = REQ_BIND, .addr = name.addr, .port = name.port };

		assert_int_equal(client_open_at(c, EP_STREAM, core, &id), 0);
		q.line = id;
		assert_int_equal(client_bind(c, id, &name), core == 100 % cores ? 0 : -EXDEV);
		/* The daemon does not rest on the library's word. */
		assert_int_equal(client_call(c, &q, NULL), core == 100 % cores ? -EINVAL : -EXDEV);
	}
	assert_int_equal(client_open_at(c, EP_STREAM, 100 % cores, &other), 0);
	assert_int_equal(client_bind(c, other, &name), -EADDRINUSE);
	assert_int_equal(client_open_at(c, EP_STREAM, cores, &id), -EINVAL);
}

static void a_program_uses_all_cores(void **state)
{
	bool seen[REGION_CORES] = { false };
	uint32_t id;
	unsigned i;

	(void)state;
	for (i = 0; i < 2 * cores; i++) {
		assert_int_equal(client_open(c, EP_STREAM, &id), 0);
		seen[client_core(id)] = true;
	}
	for (i = 0; i < cores; i++)
		assert_true(seen[i]);
}

static void a_closed_listener_ends_its_children_everywhere(void **state)
{
	uint32_t l = listen_home(c, 82, 64, false), near[REGION_CORES], again;
	struct ep_name name = name_of(82);
	char byte;
	unsigned core;

	(void)state;
	for (core = 0; core < cores; core++)
		near[core] = connect_on(c, core, 82);
	client_close(c, l);
	for (core = 0; core < cores; core++)
		assert_int_equal(recv_text(c, near[core], &byte, 1), -ECONNRESET);
	for (core = 0; core < cores; core++) {
		assert_int_equal(client_open_at(c, EP_STREAM, core, &again), 0);
		client_connect(c, again, &name);
		assert_int_equal(client_wait_line(c, again, EP_ERROR | EP_HANGUP, soon()), 0);
		assert_int_equal(client_take_error(c, again), ECONNREFUSED);
	}
	again = listen_home(c, 82, 4, false);
	for (core = 0; core < cores; core++) {
		near[core] = connect_on(c, core, 82);
		assert_joined(c, near[core], accept_from(c, again));
	}
}

static void a_listener_that_is_shut_down_listens_again(void **state)
{
	uint32_t l = listen_home(c, 83, 64, false);
	unsigned core, round;

	(void)state;
	for (round = 0; round < 10; round++) {
		uint32_t lost[REGION_CORES], child;

		for (core = 0; core < cores; core++)
			lost[core] = connect_on(c, core, 83);
		assert_int_equal(client_shutdown(c, l, EP_SHUT_READ), 0);
		assert_int_equal(client_accept(c, l, &child), -EINVAL);
		assert_int_equal(client_listen(c, l, 64), 0);
		for (core = 0; core < cores; core++) {
			uint32_t near = connect_on(c, core, 83), far = accept_from(c, l);

			assert_joined(c, near, far);
			client_close(c, near);
			client_close(c, far);
			client_close(c, lost[core]);
		}
	}
}

static void groups_of_listeners_share_the_connections(void **state)
{
	uint32_t l[3], child;
	unsigned i, k, got[3] = { 0 }, all = 0;
	nsec until;

	(void)state;
	for (i = 0; i < 3; i++)
		l[i] = listen_home(c, 84, 64, true);
	for (i = 0; i < 60; i++)
		connect_on(c, i % cores, 84);
	for (until = soon(); all < 60 && client_now() < until;)
		for (k = 0; k < 3; k++)
			if (client_accept(c, l[k], &child) == 0) {
				got[k]++;
				all++;
			}
	assert_int_equal(all, 60);
	for (k = 0; k < 3; k++)
		assert_true(got[k] > 0);
}

/* ---- waiting ---- */

static void a_waitset_hears_of_lines_of_all_cores(void **state)
{
	uint32_t l = listen_home(c, 85, 64, false), near[REGION_CORES], far[REGION_CORES];
	struct wait_event e[8];
	struct waitset *w;
	unsigned core, round;

	(void)state;
	assert_int_equal(waitset_new(c, &w), 0);
	assert_true(waitset_eventfd(w) >= 0);
	for (core = 0; core < cores; core++) {
		near[core] = connect_on(c, core, 85);
		far[core] = accept_from(c, l);
		waitset_watch(w, far[core], EP_READABLE, false, core);
	}
	for (round = 0; round < 300; round++) {
		unsigned at = round % cores, n = 0, i;
		bool heard = false;
		char byte;

		assert_int_equal(send_text(c, near[at], "e", 1), 1);
		while (!heard) {
			if (round % 2) {
				if (waitset_arm(w))
					assert_int_equal(poll(&(struct pollfd){ .fd = waitset_eventfd(w), .events = POLLIN }, 1, 3000), 1);
				waitset_disarm(w);
			} else {
				assert_int_equal(waitset_sleep(w, soon()), 0);
			}
			n = waitset_take(w, e, 8);
			for (i = 0; i < n; i++)
				heard = heard || e[i].cookie == at;
		}
		assert_int_equal(recv_text(c, far[at], &byte, 1), 1);
	}
	waitset_free(w);
}

struct player {
	uint32_t id;
	bool serves;
	int how;          /* 0: sleeps on the line, 1: on a waitset by futex, 2: on its pipe */
};
#define ROUNDS 400

static bool wait_for(struct player *p, struct waitset *w)
{
	struct wait_event e[4];
	int rc = 0;

	if (p->how == 0)
		return client_wait_line(c, p->id, EP_READABLE, soon()) != -ETIMEDOUT;
	if (p->how == 1)
		rc = waitset_sleep(w, soon());
	else if (waitset_arm(w))
		rc = poll(&(struct pollfd){ .fd = waitset_eventfd(w), .events = POLLIN }, 1, 3000) == 1 ? 0 : -ETIMEDOUT;
	if (p->how == 2)
		waitset_disarm(w);
	waitset_take(w, e, 4);
	return rc != -ETIMEDOUT;
}

static void *play(void *argument)
{
	struct player *p = argument;
	struct waitset *w = NULL;
	unsigned i;
	char byte = 'b';

	if (p->how) {
		waitset_new(c, &w);
		waitset_watch(w, p->id, EP_READABLE, false, 0);
		if (p->how == 2)
			waitset_eventfd(w);
	}
	for (i = 0; i < ROUNDS; i++) {
		struct iovec v = { &byte, 1 };
		ssize_t n;

		if (!p->serves && client_send(c, p->id, &v, 1) != 1)
			break;
		while ((n = client_recv(c, p->id, &v, 1, 0)) == -EAGAIN)
			if (!wait_for(p, w))
				return NULL;
		if (n != 1 || (p->serves && client_send(c, p->id, &v, 1) != 1))
			break;
	}
	if (w)
		waitset_free(w);
	return (void *)(uintptr_t)i;
}

static void pairs_of_threads_on_all_cores_never_oversleep(void **state)
{
	enum { PAIRS = 6 };
	uint32_t l = listen_home(c, 86, 64, false);
	pthread_t threads[2 * PAIRS];
	struct player players[2 * PAIRS];
	unsigned i;

	(void)state;
	for (i = 0; i < PAIRS; i++) {
		uint32_t near = connect_on(c, i % cores, 86), far = accept_from(c, l);

		players[2 * i] = (struct player){ .id = near, .how = (int)(i % 3) };
		players[2 * i + 1] = (struct player){ .id = far, .serves = true, .how = (int)((i + i / 3) % 3) };
		client_set(c, near, EP_NODELAY, 1);
		client_set(c, far, EP_NODELAY, 1);
	}
	for (i = 0; i < 2 * PAIRS; i++)
		pthread_create(&threads[i], NULL, play, &players[i]);
	for (i = 0; i < 2 * PAIRS; i++) {
		void *rounds;

		pthread_join(threads[i], &rounds);
		assert_int_equal((uintptr_t)rounds, ROUNDS);
	}
}

/* Threads that connect on all cores, and threads that accept what comes. */
static uint32_t busy_listener;
static _Atomic unsigned accepted, failed;
#define CONNECTORS 3u
#define EACH 150u

static void *connect_much(void *argument)
{
	unsigned i;

	for (i = 0; i < EACH; i++) {
		struct ep_name name = name_of(87);
		struct iovec v = { &(char){ 0 }, 1 };
		uint32_t id;
		ssize_t n;

		if (client_open(c, EP_STREAM, &id) < 0 || client_connect(c, id, &name) != -EINPROGRESS)
			break;
		while ((n = client_recv(c, id, &v, 1, 0)) == -EAGAIN || n == -ENOTCONN)
			if (client_wait_line(c, id, EP_READABLE, soon()) < 0)
				break;
		if (n != 1)
			atomic_fetch_add(&failed, 1);
		client_close(c, id);
	}
	return argument;
}

static void *accept_much(void *argument)
{
	while (atomic_load(&accepted) < CONNECTORS * EACH && !atomic_load(&failed)) {
		uint32_t id;
		int rc = client_accept(c, busy_listener, &id);

		if (rc == -EAGAIN) {
			client_wait_line(c, busy_listener, EP_READABLE, client_now() + 20 * NSEC_PER_MSEC);
			continue;
		}
		if (rc < 0 || send_text(c, id, "y", 1) != 1)
			atomic_fetch_add(&failed, 1);
		client_close(c, id);
		atomic_fetch_add(&accepted, 1);
	}
	return argument;
}

static void many_threads_connect_and_accept_on_many_cores(void **state)
{
	pthread_t threads[CONNECTORS + 2];
	unsigned i;

	(void)state;
	atomic_store(&accepted, 0);
	atomic_store(&failed, 0);
	busy_listener = listen_home(c, 87, 256, false);
	for (i = 0; i < CONNECTORS + 2; i++)
		pthread_create(&threads[i], NULL, i < 2 ? accept_much : connect_much, NULL);
	for (i = 0; i < CONNECTORS + 2; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(atomic_load(&failed), 0);
	assert_int_equal(atomic_load(&accepted), CONNECTORS * EACH);
}

/* ---- quotas, hostile programs, full rings ---- */

static struct client *another(uid_t uid)
{
	const struct client_options o = { .socket_path = path, .spin_usec = 5, .lowest_fd = 100 };
	struct client *d;

	(void)uid;
	assert_int_equal(client_attach(&o, &d), 0);
	return d;
}

static void wait_violations(uint64_t n)
{
	nsec until = soon();
	struct server_stats s;

	do {
		usleep(1000);
		sums(&s);
	} while (s.violations < n && client_now() < until);
	assert_int_equal(s.violations, n);
}

static void requests_that_name_another_cores_lines_end_the_session(void **state)
{
	uint32_t mine = listen_home(c, 88, 4, false), near;
	struct server_stats s;
	unsigned core;

	(void)state;
	for (core = 0; core < cores; core++) {
		struct client *bad = another(0);
		struct client_lane *lane = lane_enter(bad, core);
		struct request q = { .op = REQ_CLOSE };
		uint32_t id;
		nsec until = soon();

		lane_leave();
		assert_int_equal(client_open_at(bad, EP_STREAM, (core + 1) % cores, &id), 0);
		q.line = id;
		lane_post(lane, &q);
		wait_violations(core + 1);
		while (client_alive(bad) && client_now() < until)
			usleep(1000);
		assert_false(client_alive(bad));
		do
			sums(&s);
		while (s.families != cores && client_now() < until);   /* c's, on each core */
		assert_int_equal(s.families, cores);
		assert_true(client_alive(c));
		client_detach(bad);
	}
	near = connect_on(c, cores - 1, 88);
	assert_joined(c, near, accept_from(c, mine));
}

static void programs_may_not_make_shadows(void **state)
{
	uint32_t id;

	(void)state;
	assert_int_equal(client_open_at(c, EP_STREAM, 1, &id), 0);
	assert_int_equal(client_set(c, id, EP_SHADOW, 1), -ENOPROTOOPT);
}

/* A core that does not turn: what it is told waits, in its ring and then at the teller's, and is all done when it turns again. */
static void a_full_ring_between_cores_loses_nothing(void **state)
{
	enum { LISTENERS = 120 };
	uint32_t l[LISTENERS], child;
	struct ep_name name;
	unsigned i, k;

	(void)state;
	for (i = 0; i < LISTENERS; i++) {
		name = name_of((uint16_t)(4000 + cores * i));
		assert_int_equal(client_open_at(c, EP_STREAM, name.port % cores, &l[i]), 0);
		assert_int_equal(client_bind(c, l[i], &name), 0);
		for (k = 0; k < 8; k++)
			assert_int_equal(client_set(c, l[i], EP_TTL + k % 2, 40), 0);
	}
	atomic_store(&world.core[1].held, true);
	while (!atomic_load(&world.core[1].still))
		usleep(200);
	for (i = 0; i < LISTENERS; i++) {
		struct request q = { .op = REQ_LISTEN, .line = l[i], .a = 4 };

		client_post(c, &q);   /* four messages to every other core each */
	}
	usleep(50000);
	atomic_store(&world.core[1].held, false);
	for (i = 0; i < LISTENERS; i++)
		assert_int_equal(client_listen(c, l[i], 4), 0);
	for (i = 0; i < LISTENERS; i += 7) {
		uint32_t near = connect_on(c, 1, (uint16_t)(4000 + cores * i));

		assert_int_equal(client_wait_line(c, l[i], EP_READABLE, soon()), 0);
		assert_int_equal(client_accept(c, l[i], &child), 0);
		assert_joined(c, near, child);
	}
}

static int set_up_quota(void **state)
{
	(void)state;
	server_config_init(&config);
	config.quota.lines = 400;
	config.quota.data = 1u << 20;
	return set_up_n(2);
}

/* The stock that is granted ahead counts as used: 64 on each core. */
static void quotas_hold_over_all_cores_together(void **state)
{
	uint32_t id, n = 0, l, k;
	struct server_stats s;
	int rc;

	(void)state;
	while ((rc = client_open_at(c, EP_STREAM, n % 2, &id)) == 0)
		n++;
	assert_int_equal(rc, -ENFILE);
	assert_true(n >= 400 - 2 * REGION_STOCK && n <= 400);
	for (k = 0; k < 2; k++)
		while (client_open_at(c, EP_STREAM, k, &l) == 0)
			n++;
	/* Two cores that take the last one at once both get one. */
	assert_in_range(n, 400, 401);
	sums(&s);
	assert_true(s.lines <= 402);
}

/* ---- processes ---- */

static int in_child(int (*what)(struct client *, uint32_t), struct client_fork *f, uint32_t id)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		alarm(20);
		_exit(client_fork_child(c, f) ? 99 : what(c, id));
	}
	client_fork_parent(c, f);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* Inherits a listener and serves a connection of each core. */
static int serve_each(struct client *by, uint32_t l)
{
	unsigned i, n = client_cores(by);

	for (i = 0; i < n; i++) {
		uint32_t child;
		char byte;
		const struct iovec v = { &byte, 1 };
		ssize_t got;

		while (client_accept(by, l, &child) == -EAGAIN)
			if (client_wait_line(by, l, EP_READABLE, soon()) < 0)
				return 1;
		while ((got = client_recv(by, child, &v, 1, 0)) == -EAGAIN)
			if (client_wait_line(by, child, EP_READABLE, soon()) < 0)
				return 2;
		if (got != 1 || client_send(by, child, &v, 1) != 1)
			return 3;
		client_close(by, child);
	}
	client_detach(by);
	return 0;
}

static void a_forked_child_holds_lines_of_all_cores(void **state)
{
	uint32_t l = listen_home(c, 89, 16, false), near[REGION_CORES];
	struct client_fork f;
	unsigned core;
	char byte;

	(void)state;
	for (core = 0; core < cores; core++) {
		near[core] = connect_on(c, core, 89);
		assert_int_equal(send_text(c, near[core], "q", 1), 1);
	}
	assert_int_equal(client_fork_prepare(c, &f), 0);
	assert_int_equal(in_child(serve_each, &f, l), 0);
	for (core = 0; core < cores; core++)
		assert_int_equal(recv_text(c, near[core], &byte, 1), 1);
}

/* Closes what it inherited: the parent's connections stay. */
static int close_it(struct client *by, uint32_t id)
{
	client_close(by, id);
	client_close(by, id + 1);
	return client_wait_line(by, id, EP_HANGUP, client_now() + 20 * NSEC_PER_MSEC) == -ETIMEDOUT ? 0 : 1;
}

static void connections_outlive_a_child_that_dies(void **state)
{
	uint32_t l = listen_home(c, 90, 16, false), near[REGION_CORES], far[REGION_CORES];
	struct client_fork f;
	unsigned core;

	(void)state;
	for (core = 0; core < cores; core++) {
		near[core] = connect_on(c, core, 90);
		far[core] = accept_from(c, l);
	}
	for (core = 0; core < cores; core++) {
		assert_int_equal(client_fork_prepare(c, &f), 0);
		assert_int_equal(in_child(close_it, &f, near[core]), 0);
	}
	for (core = 0; core < cores; core++)
		assert_joined(c, near[core], far[core]);
}

/* As exec does it: a new image takes the session over, names what it keeps, the rest is closed. */
static void a_new_image_keeps_what_it_names_on_all_cores(void **state)
{
	const struct client_options o = { .lowest_fd = 100, .spin_usec = 5 };
	uint32_t l, near[REGION_CORES], far[REGION_CORES], lost, lost_far;
	struct client *old = another(0), *fresh;
	unsigned core;
	char byte;

	(void)state;
	l = listen_home(old, 91, 16, false);
	for (core = 0; core < cores; core++) {
		near[core] = connect_on(c, core, 91);
		far[core] = accept_from(old, l);
	}
	lost = connect_on(c, cores - 1, 91);
	lost_far = accept_from(old, l);
	assert_int_equal(client_core(lost_far), cores - 1);
	assert_int_equal(client_resume(dup(client_session_fd(old)), &o, &fresh), 0);
	for (core = 0; core < cores; core++)
		assert_int_equal(client_hold(fresh, far[core]), 0);
	assert_int_equal(client_hold(fresh, l), 0);
	assert_int_equal(client_resume_done(fresh), 0);
	assert_int_equal(recv_text(c, lost, &byte, 1), 0);
	for (core = 0; core < cores; core++) {
		assert_int_equal(send_text(c, near[core], "x", 1), 1);
		assert_int_equal(recv_text(fresh, far[core], &byte, 1), 1);
	}
	near[0] = connect_on(c, cores - 1, 91);
	assert_int_equal(client_core(accept_from(fresh, l)), cores - 1);
	client_detach(fresh);
	close(client_session_fd(old));
}

#define TEST2(f) cmocka_unit_test_setup_teardown(f, set_up_2, tear_down)
#define TEST3(f) cmocka_unit_test_setup_teardown(f, set_up_3, tear_down)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		TEST2(one_listener_accepts_what_comes_to_any_core),
		TEST3(one_listener_accepts_what_comes_to_any_core),
		TEST3(a_listener_stands_on_all_cores_when_listen_returns),
		TEST2(options_reach_the_children_of_every_core),
		TEST3(a_port_is_bound_at_home_only),
		TEST3(a_program_uses_all_cores),
		TEST3(a_closed_listener_ends_its_children_everywhere),
		TEST2(a_listener_that_is_shut_down_listens_again),
		TEST3(groups_of_listeners_share_the_connections),
		TEST3(a_waitset_hears_of_lines_of_all_cores),
		TEST2(pairs_of_threads_on_all_cores_never_oversleep),
		TEST3(pairs_of_threads_on_all_cores_never_oversleep),
		TEST2(many_threads_connect_and_accept_on_many_cores),
		TEST3(many_threads_connect_and_accept_on_many_cores),
		TEST3(requests_that_name_another_cores_lines_end_the_session),
		TEST2(programs_may_not_make_shadows),
		TEST2(a_full_ring_between_cores_loses_nothing),
		cmocka_unit_test_setup_teardown(quotas_hold_over_all_cores_together, set_up_quota, tear_down),
		TEST3(a_forked_child_holds_lines_of_all_cores),
		TEST2(connections_outlive_a_child_that_dies),
		TEST3(a_new_image_keeps_what_it_names_on_all_cores),
	};

	alarm(200);
	if (argc == 2)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests_name("cores", tests, NULL, NULL);
}
