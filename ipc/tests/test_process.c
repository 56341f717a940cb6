/* SPDX-License-Identifier: BSD-3-Clause */
/* Real processes: programs that talk, fork, share a listener, and execute another program. */
#include "daemon.h"

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
	assert_int_equal(report->stats.sessions, daemon_cores);
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

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up_one_core, tear_down)
#define TEST2(f) cmocka_unit_test_setup_teardown(f, set_up_two_cores, tear_down)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		TEST(two_programs_talk),
		TEST2(two_programs_talk),
		TEST(a_forked_child_shares_the_sockets),
		TEST2(a_forked_child_shares_the_sockets),
		TEST(a_fork_that_fails_and_a_child_that_dies_at_once_leave_nothing),
		TEST2(a_fork_that_fails_and_a_child_that_dies_at_once_leave_nothing),
		TEST(workers_share_one_listener),
		TEST2(workers_share_one_listener),
		TEST(sockets_survive_exec_and_the_others_are_closed),
		TEST2(sockets_survive_exec_and_the_others_are_closed),
	};

	if (argc == 4 && strcmp(argv[1], "resume") == 0)
		return after_exec(argv);
	if (argc == 2)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests_name("process", tests, NULL, NULL);
}
