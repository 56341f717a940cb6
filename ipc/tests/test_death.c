/* SPDX-License-Identifier: BSD-3-Clause */
/* Programs that are killed at any instant, and the death of the daemon: nobody else is harmed, nothing is left, nobody oversleeps. */
#include "daemon.h"

#include <sys/stat.h>

static int connect_and_wait(void *argument)
{
	struct client *c = join();
	uint32_t id = connect_to(c, 80);

	(void)argument;
	send_text(c, id, "x", 1);
	pause();
	return 0;
}

static void a_killed_programs_connections_are_reset(void **state)
{
	struct client *c = join();
	uint32_t l = listen_at(c, 80, 16), far;
	pid_t pid = start(connect_and_wait, NULL);
	char byte;
	nsec killed;

	(void)state;
	far = accept_from(c, l);
	assert_int_equal(recv_text(c, far, &byte, 1), 1);
	kill(pid, SIGKILL);
	killed = client_now();
	assert_int_equal(recv_text(c, far, &byte, 1), -ECONNRESET);
	assert_true(client_now() - killed < NSEC_PER_SEC);
	outcome(pid);
	all_is_back(1);
	client_detach(c);
	all_is_back(0);
}

static uint32_t chance(uint64_t *seed)
{
	*seed = *seed * UINT64_C(6364136223846793005) + 1442695040888963407;
	return (uint32_t)(*seed >> 33);
}

static void busy_turn(struct client *c, uint64_t *seed, uint32_t l, uint32_t *ids, unsigned n, struct waitset *w)
{
	struct ep_name name = name_of((uint16_t)(2000 + chance(seed) % 4));
	unsigned at = chance(seed) % n;
	static char bytes[40000];
	uint32_t child;

	switch (chance(seed) % 8) {
	case 0:
	case 1:
		if (ids[at] != UINT32_MAX)
			client_close(c, ids[at]);
		ids[at] = UINT32_MAX;
		if (client_open(c, EP_STREAM, &ids[at]) == 0)
			client_connect(c, ids[at], &name);
		break;
	case 2:
		if (client_accept(c, l, &child) == 0) {
			if (ids[at] != UINT32_MAX)
				client_close(c, ids[at]);
			ids[at] = child;
		}
		break;
	case 3:
		if (ids[at] != UINT32_MAX)
			waitset_watch(w, ids[at], EP_READABLE | EP_WRITABLE, chance(seed) & 1, at);
		break;
	case 4:
		waitset_arm(w);
		waitset_sleep(w, client_now() + 100 * NSEC_PER_USEC);
		waitset_disarm(w);
		break;
	default:
		if (ids[at] == UINT32_MAX)
			break;
		send_text(c, ids[at], bytes, 1 + chance(seed) % sizeof(bytes));
		{
			const struct iovec v = { bytes, sizeof(bytes) };

			client_recv(c, ids[at], &v, 1, 0);
		}
		break;
	}
}

/* Until it is killed; sometimes with a child of its own. */
static int busy(void *argument)
{
	uint64_t seed = *(uint64_t *)argument;
	const struct client_options o = { .socket_path = path, .spin_usec = 20, .lowest_fd = 100 };
	struct ep_name name = name_of((uint16_t)(2000 + seed % 4));
	struct client_fork f;
	struct client *c;
	struct waitset *w;
	uint32_t ids[8], l, i;

	if (client_attach(&o, &c) < 0)
		return 1;
	for (i = 0; i < 8; i++)
		ids[i] = UINT32_MAX;
	if (client_open_at(c, EP_STREAM, name.port % client_cores(c), &l) < 0)
		return 2;
	client_bind(c, l, &name);
	client_listen(c, l, 8);
	if (chance(&seed) % 3 == 0 && client_fork_prepare(c, &f) == 0) {
		pid_t parent = getpid(), pid = fork_for_test();

		if (pid == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			if (getppid() != parent)
				_exit(0);   /* it was killed first */
			alarm(20);
			client_fork_child(c, &f);
		} else {
			client_fork_parent(c, &f);
		}
	}
	if (waitset_new(c, &w) < 0 || waitset_eventfd(w) < 0)
		return 3;
	while (client_alive(c))
		busy_turn(c, &seed, l, ids, 8, w);
	return 0;
}

static void programs_killed_at_any_instant_leave_nothing(void **state)
{
	enum { KILLS = 400, AT_ONCE = 3 };
	uint64_t seed = 42, seeds[AT_ONCE];
	pid_t pids[AT_ONCE] = { 0 };
	unsigned i;

	(void)state;
	for (i = 0; i < KILLS; i++) {
		unsigned at = i % AT_ONCE;

		if (pids[at]) {
			kill(pids[at], SIGKILL);
			outcome(pids[at]);
		}
		seeds[at] = seed + i;
		pids[at] = start(busy, &seeds[at]);
		usleep(chance(&seed) % 6000);
		assert_string_equal(report->wrong, "");
	}
	for (i = 0; i < AT_ONCE; i++) {
		kill(pids[i], SIGKILL);
		outcome(pids[i]);
	}
	all_is_back(0);
	assert_int_equal(report->stats.violations, 0);
	assert_true(report->stats.died >= KILLS / 2);
}

static void sleepers_wake_when_the_daemon_is_killed(void **state)
{
	struct client *c = join();
	uint32_t l = listen_at(c, 80, 16);
	struct waitset *w;
	pid_t pid;
	nsec before;
	char text[4];

	(void)state;
	connect_to(c, 80);
	l = accept_from(c, l);
	assert_int_equal(waitset_new(c, &w), 0);
	assert_true(waitset_eventfd(w) >= 0);
	pid = fork_for_test();
	if (pid == 0) {
		usleep(50000);
		kill(daemon_pid, SIGKILL);
		_exit(0);
	}
	before = client_now();
	assert_int_equal(client_wait_line(c, l, EP_READABLE, before + 5 * NSEC_PER_SEC), 0);
	assert_true(client_now() - before < NSEC_PER_SEC);
	assert_false(client_alive(c));
	assert_true(client_ready(c, l) & EP_HANGUP);
	assert_int_equal(recv_text(c, l, text, 4), -ECONNRESET);
	assert_int_equal(recv_text(c, l, text, 4), 0);
	assert_int_equal(send_text(c, l, text, 4), -EPIPE);
	assert_int_equal(client_open(c, EP_STREAM, &l), -ECONNRESET);
	assert_false(waitset_arm(w));
	waitset_disarm(w);
	assert_int_equal(poll(&(struct pollfd){ .fd = waitset_eventfd(w), .events = POLLIN }, 1, 1000), 1);
	assert_int_equal(waitset_sleep(w, client_now() + 5 * NSEC_PER_SEC), 0);
	waitpid(daemon_pid, &(int){ 0 }, 0);
	daemon_pid = 0;
	waitpid(pid, &(int){ 0 }, 0);
	client_detach(c);
}

static void a_daemon_that_stops_says_so(void **state)
{
	struct client *c = join();
	uint32_t l = listen_at(c, 80, 16), near = connect_to(c, 80);
	char text[4];

	(void)state;
	accept_from(c, l);
	stop_daemon();
	assert_int_equal(recv_text(c, near, text, 4), -ECONNRESET);
	assert_int_equal(recv_text(c, near, text, 4), 0);
	assert_true(client_ready(c, near) & EP_HANGUP);
	client_detach(c);
}

static void a_path_in_use_is_refused_and_a_stale_one_taken(void **state)
{
	struct server_config config;
	struct server *s;

	(void)state;
	server_config_init(&config);
	config.socket_path = path;
	assert_int_equal(server_new(&config, &s), -EADDRINUSE);
	kill(daemon_pid, SIGKILL);
	waitpid(daemon_pid, &(int){ 0 }, 0);
	daemon_pid = 0;
	assert_int_equal(server_new(&config, &s), 0);
	server_free(s);
	assert_int_equal(access(path, F_OK), -1);
	config.socket_path = "/nonexistent/folder/sock";
	assert_int_equal(server_new(&config, &s), -ENOENT);
}

static void a_folder_that_is_missing_is_made_for_the_socket(void **state)
{
	char folder[64], file[80];
	struct server_config config;
	struct server *s;
	struct stat st;

	(void)state;
	snprintf(folder, sizeof(folder), "/tmp/light-ipc-folder-%d", (int)getpid());
	snprintf(file, sizeof(file), "%s/sock", folder);
	server_config_init(&config);
	config.socket_path = file;
	assert_int_equal(server_new(&config, &s), 0);
	assert_int_equal(stat(file, &st), 0);
	assert_true(S_ISSOCK(st.st_mode));
	assert_int_equal(stat(folder, &st), 0);
	assert_int_equal(st.st_mode & 0022, 0);
	server_free(s);
	assert_int_equal(rmdir(folder), 0);     /* it stays, for who is lent it, and holds nothing */
}

static void a_host_that_is_not_there_is_refused(void **state)
{
	const struct client_options o = { .socket_path = path, .host = "elsewhere" };
	const struct client_options nowhere = { .socket_path = "/nonexistent.sock" };
	struct client *c;

	(void)state;
	assert_int_equal(client_attach(&o, &c), -ENXIO);
	assert_int_equal(client_attach(&nowhere, &c), -ENOENT);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up_one_core, tear_down)
#define TEST2(f) cmocka_unit_test_setup_teardown(f, set_up_two_cores, tear_down)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		TEST(a_killed_programs_connections_are_reset),
		TEST2(a_killed_programs_connections_are_reset),
		TEST(programs_killed_at_any_instant_leave_nothing),
		TEST2(programs_killed_at_any_instant_leave_nothing),
		TEST(sleepers_wake_when_the_daemon_is_killed),
		TEST2(sleepers_wake_when_the_daemon_is_killed),
		TEST(a_daemon_that_stops_says_so),
		TEST2(a_daemon_that_stops_says_so),
		TEST(a_path_in_use_is_refused_and_a_stale_one_taken),
		TEST(a_folder_that_is_missing_is_made_for_the_socket),
		TEST(a_host_that_is_not_there_is_refused),
	};

	if (argc == 2)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests_name("death", tests, NULL, NULL);
}
