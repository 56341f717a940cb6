/* SPDX-License-Identifier: BSD-3-Clause */
/* The memory of streams where it is short, and where there is much: what programs see of it is what the stack uses. */
#include "world.h"

#include <sys/stat.h>

#include "ipc/server_private.h"

#define STREAMS 3
#define PIECE 40000u

static struct world world;
static struct client *c;

struct stream {
	uint32_t near, far;
	uint32_t sent, got;  /* bytes so far */
};

static uint8_t byte_at(unsigned stream, uint32_t at)
{
	return (uint8_t)(at * 31 + (at >> 8) * 7 + stream * 101);
}

static void begin(uint64_t quota)
{
	struct server_config config;

	server_config_init(&config);
	config.quota.data = quota;
	world_open(&world, &config, NULL);
	c = world_join(&world, 0);
}

static void end(void)
{
	struct server_stats stats;

	client_detach(c);
	world_settle(&world);
	server_stats(world.server, &stats);
	assert_int_equal(stats.violations, 0);
	assert_int_equal(stats.data_lent, 0);
	world_close(&world);
}

/* Sends what fits of a piece. */
static void send_some(struct stream *s, unsigned number, uint32_t n)
{
	static uint8_t out[PIECE];
	ssize_t rc;

	for (uint32_t i = 0; i < n; i++)
		out[i] = byte_at(number, s->sent + i);
	rc = send_text(c, s->near, out, n);
	assert_true(rc > 0 || rc == -EAGAIN);
	s->sent += rc > 0 ? (uint32_t)rc : 0;
}

/* Reads all that is there; every byte is the stream's own. */
static void read_some(struct stream *s, unsigned number)
{
	static uint8_t in[PIECE];
	struct iovec v = { .iov_base = in, .iov_len = sizeof(in) };
	ssize_t rc;

	while ((rc = client_recv(c, s->far, &v, 1, 0)) > 0) {
		for (ssize_t i = 0; i < rc; i++)
			assert_int_equal(in[i], byte_at(number, s->got + (uint32_t)i));
		s->got += (uint32_t)rc;
	}
	assert_int_equal(rc, -EAGAIN);
}

static uint32_t unfinished(const struct stream *streams, uint32_t total)
{
	uint32_t n = 0;

	for (unsigned i = 0; i < STREAMS; i++)
		n += streams[i].got < total;
	return n;
}

static void transfer(struct stream *streams, uint32_t total)
{
	nsec until = client_now() + 20 * NSEC_PER_SEC;

	while (unfinished(streams, total) > 0) {
		assert_true(client_now() < until);
		for (unsigned i = 0; i < STREAMS; i++) {
			uint32_t left = total - streams[i].sent;

			if (left)
				send_some(&streams[i], i, left < PIECE ? left : PIECE);
		}
		world_turn(&world);
		for (unsigned i = 0; i < STREAMS; i++)
			read_some(&streams[i], i);
		world_turn(&world);
	}
}

static void transfer_within(uint64_t quota, uint32_t total)
{
	struct stream streams[STREAMS] = { { 0 } };
	uint32_t listener;

	begin(quota);
	listener = listen_at(c, 80, 16);
	for (unsigned i = 0; i < STREAMS; i++) {
		streams[i].near = connect_to(c, 80);
		streams[i].far = accept_from(c, listener);
	}
	transfer(streams, total);
	for (unsigned i = 0; i < STREAMS; i++) {
		client_close(c, streams[i].near);
		client_close(c, streams[i].far);
	}
	client_close(c, listener);
	end();
}

/* With each quota another ring is the one for which less is left than it asks for: as much as it has, or no more. */
static void a_quota_that_is_nearly_used_up_keeps_streams_apart(void **state)
{
	uint64_t least = (1 + 3 * STREAMS) * (UINT64_C(16) << 10);  /* the listener's, and for each stream what it begins with */

	(void)state;
	for (uint64_t quota = least; quota <= least + (UINT64_C(160) << 10); quota += UINT64_C(16) << 10)
		transfer_within(quota, 120000);
}

/* Of memory pages of the family's data area that the machine has had to give. */
static uint64_t pages_held(void)
{
	struct stat s;

	assert_int_equal(fstat(LIST_FIRST(&world.server->families)->fds.data, &s), 0);
	return (uint64_t)s.st_blocks * 512;
}

/* Larger memory is lent for what lies beyond a gap, and withdrawn before anything of it was in order: as the stack does under pressure,
 * done here in its place. The program reads what was sent, whatever it saw of that. */
static void memory_that_is_withdrawn_was_never_used(void **state)
{
	struct ep_host calls;
	struct stream s = { 0 };
	struct line_extent kept;
	struct line_ring *ring;
	struct family *f;
	uint32_t listener;
	uint64_t owner;
	ep_id ep;

	(void)state;
	begin(0);
	calls = server_host_calls(world.host);
	f = LIST_FIRST(&world.server->families);
	listener = listen_at(c, 80, 16);
	s.near = connect_to(c, 80);
	s.far = accept_from(c, listener);
	send_some(&s, 0, 1000);
	world_settle(&world);
	read_some(&s, 0);
	ring = &client_line(c, s.far)->receive;
	kept = ring->extents[ring->epoch & 1];
	ep = line_record(f, s.far)->ep;
	owner = owner_word(f, s.far);
	for (unsigned i = 0; i < 40; i++) {
		struct ring_extent larger = { .size = kept.size }, current = { f->region.data + (uint64_t)kept.page * REGION_PAGE, kept.size };

		assert_true(calls.lend(calls.context, ep, owner, EP_RECEIVE, 4 * kept.size, s.got + kept.size, &larger));
		send_some(&s, 0, 1000 + i * 37);
		while (atomic_load(&client_line(c, s.far)->receive_head) != s.sent)
			world_turn(&world);
		if (i % 2)
			read_some(&s, 0);
		calls.withdraw(calls.context, ep, owner, EP_RECEIVE, current, s.got);
		if (i % 3 == 0)
			read_some(&s, 0);
		calls.give_back(calls.context, ep, owner, EP_RECEIVE, larger);
		read_some(&s, 0);
		assert_int_equal(s.got, s.sent);
		world_settle(&world);
	}
	client_close(c, s.near);
	client_close(c, s.far);
	client_close(c, listener);
	end();
}

#define LARGE (64u << 20)

static void a_ring_may_be_far_larger_than_others_and_its_pages_come_back(void **state)
{
	struct stream s = { 0 };
	struct server_stats stats;
	nsec until = client_now() + 20 * NSEC_PER_SEC;
	uint32_t listener, small;

	(void)state;
	begin(0);
	listener = listen_at(c, 80, 16);
	small = connect_to(c, 80);
	assert_true(pages_held() <= 1 << 20);   /* what a small one has is nothing beside it */
	assert_int_equal(client_set(c, listener, EP_RECEIVE_BUFFER, LARGE), 0);
	s.near = connect_to(c, 80);
	client_close(c, accept_from(c, listener));
	s.far = accept_from(c, listener);
	assert_int_equal(client_set(c, s.near, EP_SEND_BUFFER, LARGE), 0);
	while (s.sent < LARGE + PIECE) {   /* the receiver's ring, and more */
		assert_true(client_now() < until);
		send_some(&s, 0, PIECE);
		world_turn(&world);
	}
	server_stats(world.server, &stats);
	assert_in_range(stats.data_lent, LARGE, 4 * LARGE);
	while (s.got < s.sent) {
		assert_true(client_now() < until);
		read_some(&s, 0);
		world_turn(&world);
	}
	assert_true(pages_held() > LARGE);
	client_close(c, s.near);
	client_close(c, s.far);
	client_close(c, small);
	client_close(c, listener);
	world_settle(&world);
	server_stats(world.server, &stats);
	assert_int_equal(stats.data_lent, 0);
	assert_true(pages_held() <= (16u << 20) + (1u << 20));   /* what is kept warm */
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_quota_that_is_nearly_used_up_keeps_streams_apart),
		cmocka_unit_test(memory_that_is_withdrawn_was_never_used),
		cmocka_unit_test(a_ring_may_be_far_larger_than_others_and_its_pages_come_back),
	};

	return cmocka_run_group_tests_name("memory", tests, NULL, NULL);
}
