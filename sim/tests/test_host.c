/* SPDX-License-Identifier: BSD-3-Clause */
/* Scripted applications over every kind of network: each talk ends, each byte is right, nothing is left over. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "sim/check.h"
#include "sim/host.h"

#define MS NSEC_PER_MSEC
#define OFFLOADS (LINK_TSO | LINK_TX_CSUM | LINK_RX_CSUM)

static const struct wire_impairment networks[] = {
	{ 0 },
	{ .delay = MS },
	{ .rate = 10000000, .delay = 20 * MS, .queue_packets = 32 },
	{ .delay = 10 * MS, .jitter = 10 * MS, .loss = 0.03 },
	{ .delay = 10 * MS, .reorder = 0.05, .duplicate = 0.03, .corrupt = 0.01 },
};

struct run {
	struct world *world;
	struct talk_script script;
	struct client_plan plan;
};

static void begin(struct run *r, const struct talk_script *script, const struct wire_impairment *net,
	uint32_t flags)
{
	unsigned h, d;

	*r = (struct run){ .script = *script };
	r->world = world_new(&(struct world_config){ .hosts = 2, .seed = 3, .check_every = 1, .link_flags = flags,
		.packets = 4096, .max_endpoints = 256 });
	assert_non_null(r->world);
	r->script.port = 80;
	for (h = 0; h < 2; h++) {
		for (d = 0; d < 2; d++)
			wire_impair(world_wire(r->world), h, d, net);
		stack_add_neighbour(world_host(r->world, h)->stack, world_host(r->world, h)->interface,
			&world_host(r->world, !h)->addr, wire_link(world_wire(r->world), !h)->mac);
	}
	host_serve(world_host(r->world, 0), &r->script, 16);
	r->plan = (struct client_plan){ .server = world_host(r->world, 0)->addr, .script = &r->script,
		.connections = 1 };
}

static void finish(struct run *r, uint64_t completed)
{
	uint64_t done = 0;
	unsigned h;

	if (!check_finish(r->world, 3600 * NSEC_PER_SEC))
		fail_msg("%s", world_failure(r->world));
	for (h = 0; h < 2; h++)
		done += world_host(r->world, h)->stats.completed;
	assert_int_equal(done, completed);
	world_free(r->world);
}

static void every_kind_of_talk_ends_well_on_every_network(void **state)
{
	unsigned kind, net, half, flags;

	(void)state;
	for (kind = 0; kind < TALK_KINDS; kind++) {
		for (net = 0; net < sizeof(networks) / sizeof(networks[0]); net++) {
			for (half = 0; half < 2; half++) {
				for (flags = 0; flags < 2; flags++) {
					struct talk_script s = { .kind = kind, .bytes = 100000, .ask = 100,
						.answer = 3000, .rounds = 20, .half_close = half };
					struct run r;

					begin(&r, &s, &networks[net], flags ? OFFLOADS : 0);
					r.plan.connections = 4;
					r.plan.together = 2;
					host_connect(world_host(r.world, 1), &r.plan);
					finish(&r, 8);
				}
			}
		}
	}
}

static void nothing_to_say_is_a_talk_too(void **state)
{
	unsigned kind;

	(void)state;
	for (kind = 0; kind < TALK_KINDS; kind++) {
		struct run r;

		if (kind == TALK_ASK)
			continue;
		begin(&r, &(struct talk_script){ .kind = kind }, &networks[1], 0);
		host_connect(world_host(r.world, 1), &r.plan);
		finish(&r, 2);
	}
}

static void a_host_talks_to_itself(void **state)
{
	unsigned kind;

	(void)state;
	for (kind = 0; kind < TALK_KINDS; kind++) {
		struct talk_script s = { .kind = kind, .bytes = 500000, .ask = 100, .answer = 3000, .rounds = 20 };
		struct run r;

		begin(&r, &s, &networks[0], 0);
		host_connect(world_host(r.world, 0), &r.plan);
		host_echo(world_host(r.world, 0), 7);
		host_ping(world_host(r.world, 0), &(struct ping_plan){ .server = r.plan.server, .port = 7,
			.bytes = 60000, .count = 10, .interval = MS });
		assert_true(world_run_until(r.world, NSEC_PER_SEC));
		assert_int_equal(world_host(r.world, 0)->stats.pings_answered, 10);
		/* Nothing but the announcement of its address goes out. */
		assert_in_range(world_frames(r.world), 0, 8);
		finish(&r, 2);
	}
}

static void a_slow_reader_stops_the_sender_and_gets_every_byte(void **state)
{
	struct talk_script s = { .kind = TALK_SOURCE, .bytes = 200000,
		.client = { .chunk = 1000, .read_pause = 20 * MS, .receive_buffer = 8192 } };
	struct run r;

	(void)state;
	begin(&r, &s, &networks[1], 0);
	host_connect(world_host(r.world, 1), &r.plan);
	assert_true(world_run_until(r.world, NSEC_PER_SEC));
	/* 50 reads of 1000 bytes, and what both rings hold: the sender has not been let run on. */
	assert_in_range(world_host(r.world, 0)->stats.bytes_sent, 50000, 199999);
	finish(&r, 2);
}

static void an_abort_reaches_the_other_end(void **state)
{
	unsigned client;

	(void)state;
	for (client = 0; client < 2; client++) {
		struct talk_script s = { .kind = TALK_BOTH, .bytes = 300000 };
		struct run r;

		if (client)
			s.client.abort_after = 50000;
		else
			s.server.abort_after = 50000;
		begin(&r, &s, &networks[1], 0);
		host_connect(world_host(r.world, 1), &r.plan);
		assert_true(world_run_until(r.world, 10 * NSEC_PER_SEC));
		assert_int_equal(world_host(r.world, client)->stats.aborted, 1);
		assert_int_equal(world_host(r.world, !client)->stats.failed, 1);
		assert_int_equal(world_host(r.world, !client)->stats.last_error, 104);  /* ECONNRESET */
		finish(&r, 0);
	}
}

static void a_refused_connection_fails_at_once(void **state)
{
	struct talk_script s = { .kind = TALK_SINK, .may_fail = true };
	struct run r;

	(void)state;
	begin(&r, &s, &networks[1], 0);
	r.script.port = 81;     /* nobody listens there */
	host_connect(world_host(r.world, 1), &r.plan);
	assert_true(world_run_until(r.world, NSEC_PER_SEC));
	assert_int_equal(world_host(r.world, 1)->stats.last_error, 111);   /* ECONNREFUSED */
	finish(&r, 0);
}

/* RFC 9293 3.8.4: the peer vanished while we wait for the rest of its stream after our FIN. */
static void keepalive_finds_a_dead_peer_after_a_half_close(void **state)
{
	struct talk_script s = { .kind = TALK_SOURCE, .bytes = 1000000, .half_close = true, .may_fail = true,
		.server = { .chunk = 100, .write_pause = 100 * MS } };
	struct run r;

	(void)state;
	begin(&r, &s, &networks[1], 0);
	host_connect(world_host(r.world, 1), &r.plan);
	assert_true(world_run_until(r.world, NSEC_PER_SEC));
	assert_int_equal(world_host(r.world, 1)->talks, 1);
	wire_set_up(world_wire(r.world), 0, false);
	assert_true(world_run_until(r.world, 300 * NSEC_PER_SEC));
	assert_int_equal(world_host(r.world, 1)->stats.last_error, 110);   /* ETIMEDOUT */
	finish(&r, 0);
}

static void pings_come_back_whole_or_not_at_all(void **state)
{
	static const uint32_t sizes[] = { 16, 64, 1472, 1473, 9000, 65507 };
	unsigned i, net;

	(void)state;
	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		for (net = 0; net < sizeof(networks) / sizeof(networks[0]); net++) {
			struct talk_script none = { .kind = TALK_SINK };
			struct run r;

			begin(&r, &none, &networks[net], 0);
			assert_true(host_echo(world_host(r.world, 0), 7));
			host_ping(world_host(r.world, 1), &(struct ping_plan){ .server = r.plan.server, .port = 7,
				.bytes = sizes[i], .count = 20, .interval = 200 * MS, .may_lie = true });
			assert_true(world_run_until(r.world, 6 * NSEC_PER_SEC));
			if (net < 2)
				assert_int_equal(world_host(r.world, 1)->stats.pings_answered, 20);
			finish(&r, 0);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_kind_of_talk_ends_well_on_every_network),
		cmocka_unit_test(nothing_to_say_is_a_talk_too),
		cmocka_unit_test(a_host_talks_to_itself),
		cmocka_unit_test(a_slow_reader_stops_the_sender_and_gets_every_byte),
		cmocka_unit_test(an_abort_reaches_the_other_end),
		cmocka_unit_test(a_refused_connection_fails_at_once),
		cmocka_unit_test(keepalive_finds_a_dead_peer_after_a_half_close),
		cmocka_unit_test(pings_come_back_whole_or_not_at_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
