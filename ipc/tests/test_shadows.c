/* SPDX-License-Identifier: BSD-3-Clause */
/* A daemon on two and three cores, each a real thread: one listener for all of them, lines, lanes and waitsets on each. Runs under TSan
 * too. */
#include "cores_program.h"

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
	assert_int_equal(client_set_posted(c, l, EP_NODELAY, 1), 0);
	for (core = 0; core < cores; core++) {
		connect_on(c, core, 81);
		far = accept_from(c, l);
		assert_int_equal(client_get(c, far, EP_TTL, &value), 0);
		assert_int_equal(value, 33);
		assert_int_equal(client_get(c, far, EP_TOS, &value), 0);
		assert_int_equal(value, 16);
		assert_int_equal(client_get(c, far, EP_NODELAY, &value), 0);
		assert_int_equal(value, 1);
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
	};

	alarm(200);
	if (argc == 2)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests_name("shadows", tests, NULL, NULL);
}
