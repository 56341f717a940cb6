/* SPDX-License-Identifier: BSD-3-Clause */
/* Real processes: a daemon in one of its own, programs that talk, fork, execute, exit and are killed at any instant; and the death of
 * the daemon. */
#include "world.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

/* What the daemon tells the test, in memory they share. */
struct report {
	_Atomic uint32_t stop, up;
	_Atomic uint64_t turns;
	struct server_stats stats;
	struct stack_memory memory;
	char wrong[128];
};

static struct report *report;
static char path[64];
static pid_t daemon_pid;

/* A failed assertion in the child must end the child, not go on with the next test there. */
static pid_t fork_for_test(void)
{
	pid_t pid = fork();

	if (pid == 0)
		setenv("CMOCKA_TEST_ABORT", "1", 1);
	return pid;
}

static void daemon_main(void)
{
	struct world w;
	const char *wrong;

	alarm(120);   /* whatever goes wrong, it goes */

	world_open(&w, NULL, path);
	atomic_store(&report->up, 1);
	while (!atomic_load(&report->stop)) {
		unsigned work = world_turn(&w);

		if (work == 0) {
			nsec until = stack_deadline(w.stack), most = doorbell_now() + 20 * NSEC_PER_MSEC;

			if (server_sleep_begin(w.server))
				server_sleep(w.server, until < most ? until : most);
			server_sleep_end(w.server);
			server_stats(w.server, &report->stats);
			stack_memory(w.stack, &report->memory);
			wrong = server_check(w.server);
			if (wrong)
				snprintf(report->wrong, sizeof(report->wrong), "%s", wrong);
		}
		atomic_fetch_add(&report->turns, 1);
	}
	world_close(&w);
	_exit(0);
}

static int set_up(void **state)
{
	int i;

	(void)state;
	client_pump = NULL;
	report = mmap(NULL, sizeof(*report), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	snprintf(path, sizeof(path), "/tmp/light-ipc-test-%d.sock", (int)getpid());
	daemon_pid = fork_for_test();
	if (daemon_pid == 0)
		daemon_main();
	for (i = 0; i < 500 && !atomic_load(&report->up); i++)
		usleep(10000);
	assert_int_equal(report->up, 1);
	return 0;
}

static void stop_daemon(void)
{
	int status;

	if (daemon_pid == 0)
		return;
	atomic_store(&report->stop, 1);
	assert_int_equal(waitpid(daemon_pid, &status, 0), daemon_pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	daemon_pid = 0;
}

static int tear_down(void **state)
{
	(void)state;
	stop_daemon();
	assert_string_equal(report->wrong, "");
	munmap(report, sizeof(*report));
	unlink(path);
	return 0;
}

static struct client *join(void)
{
	const struct client_options o = { .socket_path = path, .host = "here", .spin_usec = 20, .lowest_fd = 100 };
	struct client *c;

	assert_int_equal(client_attach(&o, &c), 0);
	return c;
}

/* The child does `what` and exits with its result; CMocka's asserts are not for it. */
static pid_t start(int (*what)(void *), void *argument)
{
	pid_t pid = fork_for_test();

	if (pid == 0) {
		alarm(20);
		_exit(what(argument));
	}
	return pid;
}

static int outcome(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* Within a second the daemon has nothing of the dead any more. */
static void all_is_back(uint32_t families)
{
	nsec until = client_now() + 3 * NSEC_PER_SEC;

	while (client_now() < until && (report->stats.families != families || (families == 0 && (report->stats.lines ||
		report->stats.data_lent || report->memory.endpoints || report->stats.sessions))))
		usleep(5000);
	if (report->stats.families != families)
		print_message("# %u families, %u sessions, %u lines, %u endpoints, %u lent, %s\n", report->stats.families,
			report->stats.sessions, report->stats.lines, report->memory.endpoints, report->memory.extents_lent, report->wrong);
	assert_int_equal(report->stats.families, families);
	if (families)
		return;
	assert_int_equal(report->stats.sessions, 0);
	assert_int_equal(report->stats.lines, 0);
	assert_int_equal(report->stats.lanes, 0);
	assert_int_equal(report->stats.waitsets, 0);
	assert_int_equal(report->stats.watches, 0);
	assert_int_equal(report->stats.data_lent, 0);
	assert_int_equal(report->memory.endpoints, 0);
	assert_int_equal(report->memory.extents_lent, 0);
}

/* ---- two programs ---- */

static int echo_server(void *argument)
{
	struct client *c = join();
	uint32_t l = listen_at(c, 80, 16), id;
	char bytes[65536];
	ssize_t n, sent;

	(void)argument;
	id = accept_from(c, l);
	while ((n = recv_text(c, id, bytes, sizeof(bytes))) > 0)
		for (sent = 0; sent < n;) {
			ssize_t k = send_text(c, id, bytes + sent, (size_t)(n - sent));

			if (k > 0)
				sent += k;
			else if (k != -EAGAIN || client_wait_line(c, id, EP_WRITABLE, soon()) < 0)
				return 2;
		}
	client_detach(c);
	return n == 0 ? 0 : 3;
}

static void two_programs_talk(void **state)
{
	pid_t server = start(echo_server, NULL);
	struct client *c = join();
	struct ep_name name = name_of(80);
	uint8_t out[5000], in[5000];
	uint32_t id = 0;
	int i, rc = -1;
	size_t got;

	(void)state;
	for (i = 0; i < 200 && rc != 0; i++) {
		usleep(5000);
		assert_int_equal(client_open(c, EP_STREAM, &id), 0);
		client_connect(c, id, &name);
		assert_int_equal(client_wait_line(c, id, EP_WRITABLE | EP_ERROR, soon()), 0);
		rc = client_take_error(c, id);
		if (rc)
			client_close(c, id);
	}
	assert_int_equal(rc, 0);
	for (i = 0; i < 300; i++) {
		memset(out, i, sizeof(out));
		assert_int_equal(send_text(c, id, out, sizeof(out)), sizeof(out));
		for (got = 0; got < sizeof(in);)
			got += (size_t)recv_text(c, id, in + got, sizeof(in) - got);
		assert_memory_equal(in, out, sizeof(in));
	}
	client_shutdown(c, id, EP_SHUT_WRITE);
	assert_int_equal(recv_text(c, id, in, 1), 0);
	assert_int_equal(outcome(server), 0);
	client_detach(c);
	all_is_back(0);
}

/* ---- fork ---- */

static int child_speaks(struct client *c, struct client_fork *f, uint32_t id)
{
	if (client_fork_child(c, f) < 0)
		return 2;
	if (send_text(c, id, "child", 5) != 5)
		return 3;
	client_detach(c);
	return 0;
}

static void a_forked_child_shares_the_sockets(void **state)
{
	struct client *c = join();
	uint32_t l = listen_at(c, 80, 16), near = connect_to(c, 80), far = accept_from(c, l);
	struct client_fork f;
	char text[16];
	pid_t pid;

	(void)state;
	assert_int_equal(client_fork_prepare(c, &f), 0);
	pid = fork_for_test();
	if (pid == 0)
		_exit(child_speaks(c, &f, near));
	client_fork_parent(c, &f);
	client_close(c, near);        /* the child still has it */
	assert_int_equal(recv_text(c, far, text, sizeof(text)), 5);
	assert_memory_equal(text, "child", 5);
	assert_int_equal(outcome(pid), 0);
	assert_int_equal(recv_text(c, far, text, sizeof(text)), 0);   /* closed by the last holder, in order */
	assert_true(send_text(c, far, "x", 1) == 1);
	client_detach(c);
	all_is_back(0);
}

static void a_fork_that_fails_and_a_child_that_dies_at_once_leave_nothing(void **state)
{
	struct client *c = join();
	uint32_t l = listen_at(c, 80, 16);
	struct client_fork f;
	int i;

	(void)state;
	for (i = 0; i < 50; i++) {
		pid_t pid;

		assert_int_equal(client_fork_prepare(c, &f), 0);
		if (i & 1) {
			client_fork_parent(c, &f);
			continue;
		}
		pid = fork_for_test();
		if (pid == 0)
			raise(SIGKILL);
		client_fork_parent(c, &f);
		assert_int_equal(outcome(pid), 128 + SIGKILL);
	}
	usleep(100000);
	assert_int_equal(report->stats.sessions, 1);
	connect_to(c, 80);
	accept_from(c, l);
	client_detach(c);
	all_is_back(0);
}

static int accepting_worker(struct client *c, struct client_fork *f, uint32_t l, unsigned most)
{
	struct waitset *w;
	struct wait_event e[4];
	unsigned n = 0;

	if (client_fork_child(c, f) < 0 || waitset_new(c, &w) < 0)
		return 200;
	waitset_watch(w, l, EP_READABLE, true, 0);
	while (n < most) {
		uint32_t id;
		char byte;

		if (waitset_sleep(w, client_now() + NSEC_PER_SEC) == -ETIMEDOUT)
			break;
		waitset_take(w, e, 4);
		while (n < most && client_accept(c, l, &id) == 0) {
			if (recv_text(c, id, &byte, 1) != 1 || send_text(c, id, &byte, 1) != 1)
				return 201;
			client_close(c, id);
			n++;
		}
	}
	client_detach(c);
	return (int)n;
}

static void workers_share_one_listener(void **state)
{
	enum { WORKERS = 3, CONNECTIONS = 90 };
	struct client *c = join();
	uint32_t l = listen_at(c, 80, 64);
	pid_t pids[WORKERS];
	int i, sum = 0;

	(void)state;
	for (i = 0; i < WORKERS; i++) {
		struct client_fork f;

		assert_int_equal(client_fork_prepare(c, &f), 0);
		pids[i] = fork_for_test();
		if (pids[i] == 0)
			_exit(accepting_worker(c, &f, l, CONNECTIONS));
		client_fork_parent(c, &f);
	}
	for (i = 0; i < CONNECTIONS; i++) {
		uint32_t id = connect_to(c, 80);
		char byte = (char)i, back = 0;

		assert_int_equal(send_text(c, id, &byte, 1), 1);
		assert_int_equal(recv_text(c, id, &back, 1), 1);
		assert_int_equal(back, byte);
		client_close(c, id);
	}
	for (i = 0; i < WORKERS; i++)
		sum += outcome(pids[i]);
	assert_int_equal(sum, CONNECTIONS);
	client_detach(c);
	all_is_back(0);
}

/* ---- exec ---- */

static int after_exec(char **argv)
{
	const struct client_options o = { .host = "here", .lowest_fd = 100 };
	uint32_t id = (uint32_t)atoi(argv[3]);
	struct client *c;

	if (client_resume(atoi(argv[2]), &o, &c) < 0)
		return 2;
	if (client_hold(c, id) != 0 || client_resume_done(c) != 0)
		return 3;
	if (send_text(c, id, "new image", 9) != 9)
		return 4;
	client_detach(c);
	return 0;
}

static void sockets_survive_exec_and_the_others_are_closed(void **state)
{
	struct client *c = join();
	uint32_t l = listen_at(c, 80, 16), kept = connect_to(c, 80), dropped, far, far_dropped;
	struct client_fork f;
	char text[16];
	pid_t pid;

	(void)state;
	far = accept_from(c, l);
	dropped = connect_to(c, 80);
	far_dropped = accept_from(c, l);
	assert_int_equal(client_fork_prepare(c, &f), 0);
	pid = fork_for_test();
	if (pid == 0) {
		char fd[16], id[16];

		client_fork_child(c, &f);
		fcntl(client_session_fd(c), F_SETFD, 0);
		snprintf(fd, sizeof(fd), "%d", client_session_fd(c));
		snprintf(id, sizeof(id), "%u", kept);
		execl("/proc/self/exe", "test_process", "resume", fd, id, (char *)NULL);
		_exit(99);
	}
	client_fork_parent(c, &f);
	client_close(c, kept);
	client_close(c, dropped);
	assert_int_equal(recv_text(c, far_dropped, text, sizeof(text)), 0);
	assert_int_equal(recv_text(c, far, text, sizeof(text)), 9);
	assert_memory_equal(text, "new image", 9);
	assert_int_equal(outcome(pid), 0);
	assert_int_equal(recv_text(c, far, text, sizeof(text)), 0);
	assert_int_equal(report->stats.resumed, 1);
	client_detach(c);
	all_is_back(0);
}

/* ---- death ---- */

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
	if (client_open(c, EP_STREAM, &l) < 0)
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

static void a_host_that_is_not_there_is_refused(void **state)
{
	const struct client_options o = { .socket_path = path, .host = "elsewhere" };
	const struct client_options nowhere = { .socket_path = "/nonexistent.sock" };
	struct client *c;

	(void)state;
	assert_int_equal(client_attach(&o, &c), -ENXIO);
	assert_int_equal(client_attach(&nowhere, &c), -ENOENT);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		TEST(two_programs_talk),
		TEST(a_forked_child_shares_the_sockets),
		TEST(a_fork_that_fails_and_a_child_that_dies_at_once_leave_nothing),
		TEST(workers_share_one_listener),
		TEST(sockets_survive_exec_and_the_others_are_closed),
		TEST(a_killed_programs_connections_are_reset),
		TEST(programs_killed_at_any_instant_leave_nothing),
		TEST(sleepers_wake_when_the_daemon_is_killed),
		TEST(a_daemon_that_stops_says_so),
		TEST(a_path_in_use_is_refused_and_a_stale_one_taken),
		TEST(a_host_that_is_not_there_is_refused),
	};

	if (argc == 4 && strcmp(argv[1], "resume") == 0)
		return after_exec(argv);
	if (argc == 2)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests_name("process", tests, NULL, NULL);
}
