/* SPDX-License-Identifier: BSD-3-Clause */
/* Threads that sleep and wake each other through the daemon, thousands of times; a lost wake-up is a wait that runs out of time. Runs
 * under TSan too. */
#include "world.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>

static struct world world;
static struct client *c;
static pthread_t turner;
static char path[64];
static _Atomic bool stop;
static _Atomic unsigned late;     /* waits that ended by their time limit */

/* Sleeps at every chance: that is what we want to see survive. */
static void *turn(void *argument)
{
	(void)argument;
	world_open(&world, NULL, path);
	atomic_store(&stop, false);
	while (!atomic_load(&stop)) {
		if (world_turn(&world))
			continue;
		if (server_sleep_begin(world.server)) {
			nsec until = stack_deadline(world.stack), most = doorbell_now() + 500 * NSEC_PER_MSEC;

			server_sleep(world.server, until < most ? until : most);
		}
		server_sleep_end(world.server);
	}
	world_close(&world);
	return NULL;
}

static int set_up(void **state)
{
	const struct client_options o = { .socket_path = path, .spin_usec = 5, .lowest_fd = 100 };
	int i, rc = -1;

	(void)state;
	client_pump = NULL;
	atomic_store(&stop, true);
	atomic_store(&late, 0);
	snprintf(path, sizeof(path), "/tmp/light-ipc-threads-%d.sock", (int)getpid());
	pthread_create(&turner, NULL, turn, NULL);
	for (i = 0; i < 500 && rc < 0; i++) {
		usleep(10000);
		rc = client_attach(&o, &c);
	}
	assert_int_equal(rc, 0);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	client_detach(c);
	usleep(20000);
	atomic_store(&stop, true);
	pthread_join(turner, NULL);
	return 0;
}

static nsec limit(void)
{
	return client_now() + 3 * NSEC_PER_SEC;
}

struct player {
	uint32_t id;
	unsigned rounds;
	bool serves;
	int how;          /* 0: sleeps on the line, 1: on a waitset by futex, 2: on its pipe */
};

static bool wait_for(struct player *p, struct waitset *w)
{
	struct wait_event e[4];
	int rc;

	if (p->how == 0) {
		rc = client_wait_line(c, p->id, EP_READABLE, limit());
	} else if (p->how == 1) {
		rc = waitset_sleep(w, limit());
		waitset_take(w, e, 4);
	} else {
		rc = 0;
		if (waitset_arm(w))
			rc = poll(&(struct pollfd){ .fd = waitset_eventfd(w), .events = POLLIN }, 1, 3000) == 1 ? 0 : -ETIMEDOUT;
		waitset_disarm(w);
		waitset_take(w, e, 4);
	}
	if (rc == -ETIMEDOUT)
		atomic_fetch_add(&late, 1);
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
	for (i = 0; i < p->rounds; i++) {
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

static void pairs_of_threads_never_oversleep(void **state)
{
	enum { PAIRS = 6, ROUNDS = 700 };
	uint32_t l = listen_at(c, 80, 64);
	pthread_t threads[2 * PAIRS];
	struct player players[2 * PAIRS];
	unsigned i;

	(void)state;
	for (i = 0; i < PAIRS; i++) {
		uint32_t near = connect_to(c, 80), far = accept_from(c, l);

		players[2 * i] = (struct player){ .id = near, .rounds = ROUNDS, .how = (int)(i % 3) };
		players[2 * i + 1] = (struct player){ .id = far, .rounds = ROUNDS, .serves = true, .how = (int)((i + i / 3) % 3) };
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
	assert_int_equal(atomic_load(&late), 0);
}

/* Readers and writers of one socket: locks, growth, blocked senders. */
static uint32_t shared_line;
static _Atomic uint64_t written, read_back;
#define PER_WRITER 300000u

static void *write_much(void *argument)
{
	static char bytes[9000];
	uint32_t done = 0;

	while (done < PER_WRITER) {
		uint32_t n = PER_WRITER - done < sizeof(bytes) ? PER_WRITER - done : (uint32_t)sizeof(bytes);
		ssize_t rc = send_text(c, shared_line, bytes, n);

		if (rc > 0) {
			done += (uint32_t)rc;
			atomic_fetch_add(&written, (uint64_t)rc);
		} else if (rc != -EAGAIN || client_wait_line(c, shared_line, EP_WRITABLE, limit()) < 0) {
			atomic_fetch_add(&late, 1);
			break;
		}
	}
	return argument;
}

static void *read_much(void *argument)
{
	uint32_t id = *(uint32_t *)argument;
	char bytes[7000];
	struct iovec v = { bytes, sizeof(bytes) };

	for (;;) {
		ssize_t n = client_recv(c, id, &v, 1, 0);

		if (n > 0)
			atomic_fetch_add(&read_back, (uint64_t)n);
		else if (n != -EAGAIN)
			break;
		else if (client_wait_line(c, id, EP_READABLE, limit()) < 0) {
			atomic_fetch_add(&late, 1);
			break;
		}
	}
	return NULL;
}

static void many_threads_share_one_socket(void **state)
{
	enum { WRITERS = 3, READERS = 2 };
	uint32_t l = listen_at(c, 81, 64), far;
	pthread_t writers[WRITERS], readers[READERS];
	unsigned i;

	(void)state;
	atomic_store(&written, 0);
	atomic_store(&read_back, 0);
	shared_line = connect_to(c, 81);
	far = accept_from(c, l);
	for (i = 0; i < READERS; i++)
		pthread_create(&readers[i], NULL, read_much, &far);
	for (i = 0; i < WRITERS; i++)
		pthread_create(&writers[i], NULL, write_much, NULL);
	for (i = 0; i < WRITERS; i++)
		pthread_join(writers[i], NULL);
	client_shutdown(c, shared_line, EP_SHUT_WRITE);
	for (i = 0; i < READERS; i++)
		pthread_join(readers[i], NULL);
	assert_int_equal(atomic_load(&written), WRITERS * PER_WRITER);
	assert_int_equal(atomic_load(&read_back), WRITERS * PER_WRITER);
	assert_int_equal(atomic_load(&late), 0);
}

static void *open_and_close(void *argument)
{
	uint32_t id;
	int64_t value;

	if (client_open(c, EP_STREAM, &id) < 0 || client_set(c, id, EP_TTL, 9) < 0 || client_get(c, id, EP_TTL, &value) < 0 || value != 9)
		atomic_fetch_add(&late, 1);
	client_close(c, id);
	return argument;
}

/* More threads than there are lanes, one after another: those of the dead are taken over. */
static void lanes_of_dead_threads_are_used_again(void **state)
{
	unsigned i;

	(void)state;
	for (i = 0; i < 2 * REGION_LANES; i++) {
		pthread_t t;

		pthread_create(&t, NULL, open_and_close, NULL);
		pthread_join(t, NULL);
	}
	assert_int_equal(atomic_load(&late), 0);
}

static uint32_t signal_line;
static _Atomic unsigned handled;

static void on_signal(int number)
{
	int64_t value;

	(void)number;
	if (client_get(c, signal_line, EP_TTL, &value) == 0)
		atomic_fetch_add(&handled, 1);
}

static void *pelt(void *argument)
{
	pthread_t target = *(pthread_t *)argument;
	unsigned i;

	for (i = 0; i < 400; i++) {
		pthread_kill(target, SIGUSR1);
		usleep(50 + i % 37);
	}
	return NULL;
}

/* A handler calls in while its thread is anywhere inside the library. */
static void signal_handlers_may_call(void **state)
{
	pthread_t self = pthread_self(), other;
	unsigned i;
	int64_t value;

	(void)state;
	assert_int_equal(client_open(c, EP_STREAM, &signal_line), 0);
	assert_int_equal(client_get(c, signal_line, EP_TTL, &value), 0);
	signal(SIGUSR1, on_signal);
	pthread_create(&other, NULL, pelt, &self);
	for (i = 0; i < 3000; i++)
		assert_int_equal(client_get(c, signal_line, EP_TTL, &value), 0);
	pthread_join(other, NULL);
	signal(SIGUSR1, SIG_IGN);
	assert_true(atomic_load(&handled) > 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(pairs_of_threads_never_oversleep),
		TEST(many_threads_share_one_socket),
		TEST(lanes_of_dead_threads_are_used_again),
		TEST(signal_handlers_may_call),
	};

	alarm(200);
	return cmocka_run_group_tests_name("threads", tests, NULL, NULL);
}
