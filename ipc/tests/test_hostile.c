/* SPDX-License-Identifier: BSD-3-Clause */
/* A program that writes what it likes into the memory it may write: it loses its own session, and nobody else notices. */
#include "world.h"

#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>

static struct world world;
static struct client *good, *bad;
static uint32_t listener;   /* good's */

static int set_up_cores(unsigned n)
{
	world_cores = n;
	world_open(&world, NULL, NULL);
	good = world_join(&world, 0);
	bad = world_join(&world, 1000);
	listener = listen_at(good, 80, 64);
	return 0;
}

static int set_up(void **state)
{
	(void)state;
	return set_up_cores(1);
}

static int set_up_two_cores(void **state)
{
	(void)state;
	return set_up_cores(2);
}

static void good_still_works(void)
{
	uint32_t near = connect_to(good, 80), far = accept_from(good, listener);
	char byte = 'k';

	assert_int_equal(send_text(good, near, &byte, 1), 1);
	assert_int_equal(recv_text(good, far, &byte, 1), 1);
	client_close(good, near);
	client_close(good, far);
	assert_null(world_check(&world));
}

static int tear_down(void **state)
{
	struct server_stats stats;

	(void)state;
	client_pump_context = &world;
	good_still_works();
	client_detach(good);
	client_detach(bad);
	world_settle(&world);
	server_stats(world.server, &stats);
	assert_int_equal(stats.sessions, 0);
	world_close(&world);
	return 0;
}

static void post(struct request *q)
{
	lane_post(lane_enter(bad, 0), q);
	lane_leave();
	world_settle(&world);
}

static void assert_ended(void)
{
	struct server_stats stats;
	uint64_t violations = 0;
	unsigned core;

	world_settle(&world);
	server_stats(world.server, &stats);
	assert_int_equal(stats.families, 1);
	for (core = 0; core < world.cores; core++) {
		server_stats(world.servers[core], &stats);
		violations += stats.violations;
	}
	assert_int_equal(violations, 1);
	assert_false(client_alive(bad));
	assert_true(client_alive(good));
}

static void an_unknown_request_ends_the_session(void **state)
{
	struct request q = { .op = REQ_OPS };

	(void)state;
	post(&q);
	assert_ended();
}

static void a_line_beyond_all_ends_the_session(void **state)
{
	struct request q = { .op = REQ_CLOSE, .line = 0x7fffffff };

	(void)state;
	post(&q);
	assert_ended();
}

static void a_line_of_nobodys_is_refused_and_no_more(void **state)
{
	struct request q = { .op = REQ_SET, .line = 3, .a = EP_NODELAY };
	uint32_t id;

	(void)state;
	assert_int_equal(client_open(bad, EP_STREAM, &id), 0);
	q.line = id + 1;   /* granted, not opened */
	assert_int_equal(client_call(bad, &q, NULL), -EBADF);
	q.op = REQ_HOLD;
	assert_int_equal(client_call(bad, &q, NULL), -EBADF);
	q.op = REQ_WATCH;
	q.a = 999;
	q.line = id;
	assert_int_equal(client_call(bad, &q, NULL), -EBADF);
	assert_true(client_alive(bad));
}

static void a_socket_of_no_type_ends_the_session(void **state)
{
	uint32_t id;

	(void)state;
	client_open(bad, (enum ep_type)7, &id);
	assert_ended();
}

static void impossible_lane_indices_end_the_session(void **state)
{
	struct client_lane *l = lane_enter(bad, 0);

	(void)state;
	lane_leave();
	l->requests->prod.tail += 10000;
	doorbell_ring_lane(&bad->region, bad->session, l->index, bad->bells[0]);
	assert_ended();
}

static void replies_that_nobody_takes_end_the_session(void **state)
{
	struct request q = { .op = REQ_PING, .tag = 7 };
	unsigned i;

	(void)state;
	for (i = 0; i < REPLY_SLOTS; i++)
		post(&q);
	assert_ended();
}

static uint32_t connected(void)
{
	uint32_t id = connect_to(bad, 80);

	assert_int_equal(send_text(bad, id, "x", 1), 1);
	world_settle(&world);
	return id;
}

static void a_head_beyond_the_ring_ends_the_session(void **state)
{
	uint32_t id = connected();
	struct request q = { .op = REQ_SENT, .line = id };

	(void)state;
	atomic_fetch_add(&client_line(bad, id)->send_head, 1u << 30);
	post(&q);
	assert_ended();
}

static void a_tail_beyond_the_head_ends_the_session(void **state)
{
	uint32_t id = connected();
	struct request q = { .op = REQ_RECEIVED, .line = id };

	(void)state;
	atomic_fetch_add(&client_line(bad, id)->receive_tail, 5);
	post(&q);
	assert_ended();
}

static void a_waitset_ring_that_lies_ends_the_session(void **state)
{
	struct waitset *w;
	uint32_t id = connected();

	(void)state;
	assert_int_equal(waitset_new(bad, &w), 0);
	w->events[client_core(id)]->cons.tail += 3;
	w->events[client_core(id)]->prod.head += 900;
	waitset_watch(w, id, EP_WRITABLE, false, 1);
	assert_ended();
}

static void words_in_a_line_that_only_the_daemon_writes_do_not_move_it(void **state)
{
	uint32_t id = connected(), i;
	struct sock_line *line = client_line(bad, id);

	(void)state;
	memset(line, 0xff, 64);
	for (i = 0; i < 2; i++) {
		line->receive.extents[i] = line->send.extents[i] = (struct line_extent){ 0x7fffffff, 77, 0x80000000 };
		atomic_store(&line->receive.epoch, 0xfffffff0);
	}
	client_close(bad, id);
	world_settle(&world);
	good_still_works();
}

static void a_flood_of_words_on_the_socket_is_survived(void **state)
{
	struct hello h = { .magic = HELLO_MAGIC, .version = HELLO_VERSION, .kind = HELLO_PIPE, .a = 5 };
	unsigned i;

	(void)state;
	for (i = 0; i < 3000; i++)
		hello_send(bad->session_fd, &h, sizeof(h), NULL, 0);
	world_settle(&world);   /* it reads no answer: it is cut off */
	good_still_works();
	h.kind = 99;
	hello_send(bad->session_fd, &h, sizeof(h), NULL, 0);
	world_settle(&world);
	assert_false(client_alive(bad));
}

static void garbage_instead_of_hello_is_dropped(void **state)
{
	int fd;

	(void)state;
	assert_int_equal(server_connect(world.server, 1000, &fd), 0);
	assert_int_equal(write(fd, "GET / HTTP/1.0\r\n\r\n", 18), 18);
	world_settle(&world);
	assert_int_equal(read(fd, &(char){ 0 }, 1), 0);
	close(fd);
}

static void strangers_who_say_nothing_keep_nobody_out(void **state)
{
	enum { MANY = 300 };
	char path[64];
	const struct client_options o = { .socket_path = path };
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fds[MANY], i, closed = 0;
	struct world open_world;
	struct client *c;

	(void)state;
	snprintf(path, sizeof(path), "/tmp/light-ipc-strangers-%d.sock", (int)getpid());
	world_open(&open_world, NULL, o.socket_path);
	client_pump_context = &open_world;
	strcpy(a.sun_path, o.socket_path);
	for (i = 0; i < MANY; i++) {
		fds[i] = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0);
		assert_int_equal(connect(fds[i], (struct sockaddr *)&a, sizeof(a)), 0);
		world_settle(&open_world);
	}
	for (i = 0; i < MANY; i++)
		closed += read(fds[i], &(char){ 0 }, 1) == 0;
	assert_int_equal(closed, MANY - 256);
	for (i = 0; i < MANY; i++)
		close(fds[i]);
	world_settle(&open_world);
	assert_int_equal(client_attach(&o, &c), 0);
	client_detach(c);
	world_settle(&open_world);
	world_close(&open_world);
	client_pump = world_pump;
	client_pump_context = &world;
}

static uint32_t chance(uint64_t *seed)
{
	*seed = *seed * UINT64_C(6364136223846793005) + 1442695040888963407;
	return (uint32_t)(*seed >> 33);
}

/* Random words over everything that a program may write, and random requests between. */
static void vandalise(struct client *c, uint64_t *seed, const uint32_t *ids, unsigned n)
{
	uint32_t core = chance(seed) % c->cores, seat = client_seat(c, core), *words, i;
	struct request q;

	switch (chance(seed) % 6) {
	case 0:
		words = (uint32_t *)(void *)client_line(c, ids[chance(seed) % n]);
		words[chance(seed) % 64] = chance(seed) % 3 ? chance(seed) % 20000 : chance(seed);
		break;
	case 1:
		words = (uint32_t *)(void *)client_page_on(c, core);
		words[chance(seed) % 256] = chance(seed);
		break;
	case 2:
		words = (uint32_t *)(void *)(c->region.shared + region_lane_at(seat, 0) + REGION_PAGE);
		words[chance(seed) % 512] = chance(seed) % 2 ? chance(seed) % 300 : chance(seed);
		break;
	case 3:
		words = (uint32_t *)(void *)(c->region.shared + region_waitset_at(seat, 0) + REGION_PAGE);
		words[chance(seed) % 1500] = chance(seed) % 2 ? chance(seed) % 300 : chance(seed);
		break;
	default:
		for (i = 0; i < sizeof(q) / 4; i++)
			((uint32_t *)(void *)&q)[i] = chance(seed) % 4 ? chance(seed) % 64 : chance(seed);
		q.op = (uint8_t)(1 + chance(seed) % REQ_OPS);
		q.line = chance(seed) % 50 ? ids[chance(seed) % n] : chance(seed);
		if (chance(seed) % 50)
			seat = client_seat(c, line_core(q.line) % c->cores);
		if (c->lanes[seat / REGION_SESSIONS][0].mapped)
			rte_ring_sp_enqueue_bulk_elem(lane_requests(&c->region, seat, 0), &q, sizeof(q), 1, NULL);
		break;
	}
	doorbell_ring_lane(&c->region, seat, 0, c->bells[seat / REGION_SESSIONS]);
	doorbell_ring_control(&c->region, seat, c->bells[seat / REGION_SESSIONS]);
	world_turn(&world);
}

static void random_vandalism_harms_nobody_else(void **state)
{
	uint64_t seed = 20260101;
	unsigned round, i;

	(void)state;
	for (round = 0; round < 300; round++) {
		struct client *c = world_join(&world, 1000);
		struct waitset *w;
		uint32_t ids[6];

		ids[0] = listen_at(c, (uint16_t)(1000 + round), 4);
		ids[1] = connect_to(c, (uint16_t)(1000 + round));
		ids[2] = accept_from(c, ids[0]);
		ids[3] = connect_to(c, (uint16_t)(1000 + round));   /* not accepted */
		client_open(c, EP_DATAGRAM, &ids[4]);
		ids[5] = connect_to(c, 80);
		assert_int_equal(waitset_new(c, &w), 0);
		waitset_watch(w, ids[1], EP_READABLE | EP_WRITABLE, round & 1, 9);
		send_text(c, ids[1], "hello", 5);
		for (i = 0; i < 120 && client_alive(c); i++)
			vandalise(c, &seed, ids, 6);
		close(c->session_fd);
		for (i = 0; i < c->cores; i++)
			close(c->bells[i]);
		world_settle(&world);
		region_unmap(&c->region);
		munmap(c, sizeof(*c));
		if (world_check(&world))
			fail_msg("round %u: %s", round, world_check(&world));
		{
			uint32_t child;

			while (client_accept(good, listener, &child) == 0)
				client_close(good, child);
		}
	}
}

static void quotas_bound_a_program(void **state)
{
	struct server_config config;
	struct world small;
	struct client *c;
	struct waitset *w;
	uint32_t id, n = 0, sets = 0;

	(void)state;
	server_config_init(&config);
	config.quota = (struct server_quota){ .lines = 100, .waitsets = 3, .data = 64 << 10, .families_per_uid = 2, .sessions = 2 };
	world_open(&small, &config, NULL);
	c = world_join(&small, 1000);
	while (client_open(c, EP_STREAM, &id) == 0)
		n++;
	assert_int_equal(n, 100);
	assert_int_equal(client_open(c, EP_STREAM, &id), -ENFILE);
	client_close(c, 5);
	world_settle(&small);
	assert_int_equal(client_open(c, EP_STREAM, &id), 0);
	while (waitset_new(c, &w) == 0)
		sets++;
	assert_int_equal(sets, 3);
	{
		const struct client_options o = { .host = "here" };
		struct client_fork f, g;
		struct client *d;
		int fd;

		assert_int_equal(client_fork_prepare(c, &f), 0);
		assert_int_equal(client_fork_prepare(c, &g), -EAGAIN);
		client_fork_parent(c, &f);
		world_join(&small, 1000);
		assert_int_equal(server_connect(small.server, 1000, &fd), 0);
		assert_int_equal(client_attach_socket(fd, &o, &d), -EUSERS);
	}
	world_settle(&small);
	world_close(&small);
	client_pump = world_pump;
	client_pump_context = &world;
}

static void what_a_program_may_not_borrow_it_does_not_get(void **state)
{
	struct server_config config;
	struct server_stats stats;
	struct world small;
	struct client *c;
	uint32_t l, ids[40];
	char bytes[4096] = "";
	unsigned i, refused = 0;

	(void)state;
	server_config_init(&config);
	config.quota.data = 256 << 10;
	world_open(&small, &config, NULL);
	c = world_join(&small, 1000);
	l = listen_at(c, 80, 64);
	for (i = 0; i < 40; i++)
		ids[i] = connect_to(c, 80);
	for (i = 0; i < 40; i++)
		refused += send_text(c, ids[i], bytes, sizeof(bytes)) < 0;
	assert_true(refused > 0);
	world_settle(&small);
	server_stats(small.server, &stats);
	assert_true(stats.data_lent <= 256 << 10);
	assert_true(stats.lend_refused > 0);
	client_close(c, l);
	for (i = 0; i < 40; i++)
		client_abort(c, ids[i]);
	world_settle(&small);
	server_stats(small.server, &stats);
	assert_int_equal(stats.data_lent, 0);
	world_close(&small);
	client_pump = world_pump;
	client_pump_context = &world;
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
#define TEST2(f) cmocka_unit_test_setup_teardown(f, set_up_two_cores, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_unknown_request_ends_the_session),
		TEST2(an_unknown_request_ends_the_session),
		TEST(a_line_beyond_all_ends_the_session),
		TEST2(a_line_beyond_all_ends_the_session),
		TEST(a_line_of_nobodys_is_refused_and_no_more),
		TEST2(a_line_of_nobodys_is_refused_and_no_more),
		TEST(a_socket_of_no_type_ends_the_session),
		TEST2(a_socket_of_no_type_ends_the_session),
		TEST(impossible_lane_indices_end_the_session),
		TEST2(impossible_lane_indices_end_the_session),
		TEST(replies_that_nobody_takes_end_the_session),
		TEST2(replies_that_nobody_takes_end_the_session),
		TEST(a_head_beyond_the_ring_ends_the_session),
		TEST2(a_head_beyond_the_ring_ends_the_session),
		TEST(a_tail_beyond_the_head_ends_the_session),
		TEST2(a_tail_beyond_the_head_ends_the_session),
		TEST(a_waitset_ring_that_lies_ends_the_session),
		TEST2(a_waitset_ring_that_lies_ends_the_session),
		TEST(words_in_a_line_that_only_the_daemon_writes_do_not_move_it),
		TEST2(words_in_a_line_that_only_the_daemon_writes_do_not_move_it),
		TEST(a_flood_of_words_on_the_socket_is_survived),
		TEST2(a_flood_of_words_on_the_socket_is_survived),
		TEST(garbage_instead_of_hello_is_dropped),
		TEST2(garbage_instead_of_hello_is_dropped),
		TEST(strangers_who_say_nothing_keep_nobody_out),
		TEST2(strangers_who_say_nothing_keep_nobody_out),
		TEST(random_vandalism_harms_nobody_else),
		TEST2(random_vandalism_harms_nobody_else),
		TEST(quotas_bound_a_program),
		TEST(what_a_program_may_not_borrow_it_does_not_get),
		TEST2(what_a_program_may_not_borrow_it_does_not_get),
	};

	return cmocka_run_group_tests_name("hostile", tests, NULL, NULL);
}
