/* SPDX-License-Identifier: BSD-3-Clause */
/* A host that talks to itself by TCP. */
#include "tests/fixture.h"

#include <errno.h>

static void turns(struct world *w, unsigned n)
{
	struct ep_event events[16];

	for (unsigned i = 0; i < n; i++) {
		w->now += 10 * NSEC_PER_USEC;
		stack_turn(w->s, w->now);
		while (stack_events(w->s, events, 16))
			;
	}
}

static ep_id listener_at(struct world *w, uint16_t port)
{
	struct ep_name name = name_of(0, port);
	ep_id id;

	assert_int_equal(ep_open(w->s, EP_STREAM, 1, NULL, &id), 0);
	assert_int_equal(ep_bind(w->s, id, &name), 0);
	assert_int_equal(ep_listen(w->s, id, 16), 0);
	return id;
}

static void connect_pair(struct world *w, ep_id listener, uint32_t to, uint16_t port, ep_id *client, ep_id *server)
{
	struct ep_name name = name_of(to, port);

	assert_int_equal(ep_open(w->s, EP_STREAM, 1, NULL, client), 0);
	assert_int_equal(ep_connect(w->s, *client, &name), -EINPROGRESS);
	turns(w, 4);
	assert_int_equal(ep_accept(w->s, listener, server, NULL), 0);
}

static void a_stream_to_oneself_keeps_every_byte(void **state)
{
	static uint8_t out[1 << 20], in[1 << 20];
	const uint32_t addresses[] = { LOCALHOST, US, be32(0x7f000009) };
	struct world *w = *state;
	ep_id listener = listener_at(w, 80), client, server;
	struct stack_memory memory;

	for (unsigned i = 0; i < sizeof(out); i++)
		out[i] = (uint8_t)(i * 7 + (i >> 9));
	for (unsigned a = 0; a < 3; a++) {
		uint32_t sent = 0, got = 0;

		connect_pair(w, listener, addresses[a], 80, &client, &server);
		for (unsigned step = 0; got < sizeof(in) && step < 20000; step++) {
			int64_t n = ep_send(w->s, client, out + sent, (uint32_t)sizeof(out) - sent);

			sent += n > 0 ? (uint32_t)n : 0;
			turns(w, 1);
			n = ep_recv(w->s, server, in + got, (uint32_t)sizeof(in) - got);
			got += n > 0 ? (uint32_t)n : 0;
		}
		assert_int_equal(got, sizeof(in));
		assert_memory_equal(in, out, sizeof(in));
		assert_int_equal(ep_close(w->s, client), 0);
		assert_int_equal(ep_close(w->s, server), 0);
		turns(w, 20);
	}
	assert_null(stack_check(w->s));
	world_run(w, w->now + 61 * NSEC_PER_SEC);
	stack_memory(w->s, &memory);
	assert_int_equal(memory.time_wait, 0);
	assert_int_equal(memory.connections, 0);
	assert_int_equal(memory.extents_lent, 0);
	assert_int_equal(w->sent_count, 0);  /* nothing of it on the link */
}

/* All 28,232 ports of one peer are in TIME-WAIT before the first is over: from then on the oldest is taken again. */
static void ports_in_time_wait_are_used_again(void **state)
{
	struct world *w = *state;
	ep_id listener = listener_at(w, 80), client, server;
	struct stack_memory memory;

	for (unsigned i = 0; i < 30000; i++) {
		connect_pair(w, listener, LOCALHOST, 80, &client, &server);
		assert_int_equal(ep_close(w->s, client), 0);
		turns(w, 2);
		assert_int_equal(ep_close(w->s, server), 0);
		turns(w, 4);
	}
	stack_memory(w->s, &memory);
	assert_int_equal(memory.time_wait, 28232);
	assert_null(stack_check(w->s));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		world_test(a_stream_to_oneself_keeps_every_byte),
		world_test(ports_in_time_wait_are_used_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
