/* SPDX-License-Identifier: BSD-3-Clause */
/* A daemon on several cores and the life of programs: fork, exec, quotas, requests that no program may make, a core that does not turn.
 * Runs under TSan too. */
#include "cores_program.h"

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

/* What a queue between cores asks for fails while this is set; meson.build has the linker ask here. */
#define QUEUE_BYTES 4096u   /* of 64 messages; it doubles */
static _Atomic bool no_memory;
static _Atomic unsigned refused;

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_malloc(size_t size)
{
	if (atomic_load(&no_memory) && size >= QUEUE_BYTES && size % QUEUE_BYTES == 0) {
		atomic_fetch_add(&refused, 1);
		return NULL;
	}
	return __real_malloc(size);
}

/* A core that does not turn: what it is told waits, in its ring and then at the teller's, and is all done when it turns again. */
static void a_full_ring_between_cores_loses_nothing(void **state)
{
	enum { LISTENERS = 200 };
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

		client_post(c, &q);   /* four messages to the other core each: more than its ring has room for */
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

static void without_memory_a_core_waits_for_room_in_the_ring(void **state)
{
	atomic_store(&refused, 0);
	atomic_store(&no_memory, true);
	a_full_ring_between_cores_loses_nothing(state);
	atomic_store(&no_memory, false);
	assert_true(atomic_load(&refused) > 0);
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

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		TEST3(requests_that_name_another_cores_lines_end_the_session),
		TEST2(programs_may_not_make_shadows),
		TEST2(a_full_ring_between_cores_loses_nothing),
		TEST2(without_memory_a_core_waits_for_room_in_the_ring),
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
