/* SPDX-License-Identifier: BSD-3-Clause */
/* The world: order of events, time that jumps, the same bytes for the same seed, and failures that are seen. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "sim/check.h"
#include "sim/pattern.h"
#include "sim/world.h"

static struct world *make(uint64_t seed)
{
	struct world *w = world_new(&(struct world_config){ .hosts = 2, .seed = seed, .check_every = 1,
		.max_endpoints = 256 });

	assert_non_null(w);
	return w;
}

struct diary {
	struct world *world;
	uint64_t entries[8];
	nsec times[8];
	unsigned count;
};

static void write_down(void *context, uint64_t argument)
{
	struct diary *d = context;

	d->entries[d->count] = argument;
	d->times[d->count++] = world_now(d->world);
	if (argument == 3)
		world_at(d->world, world_now(d->world), write_down, d, 4);
}

static void events_come_in_order_of_time_and_of_asking(void **state)
{
	struct world *w = make(1);
	struct diary d = { .world = w };
	static const uint64_t order[] = { 1, 3, 2, 4, 5 };

	(void)state;
	world_at(w, 20, write_down, &d, 3);
	world_at(w, 3600 * NSEC_PER_SEC, write_down, &d, 5);
	world_at(w, 10, write_down, &d, 1);
	world_at(w, 20, write_down, &d, 2);
	assert_true(world_run_until(w, 3600 * NSEC_PER_SEC - 1));
	assert_int_equal(d.count, 4);
	assert_int_equal(world_now(w), 3600 * NSEC_PER_SEC - 1);
	assert_true(world_run_until(w, 3600 * NSEC_PER_SEC));
	assert_int_equal(d.count, 5);
	assert_memory_equal(d.entries, order, sizeof(order));
	assert_int_equal(d.times[0], 10);
	assert_int_equal(d.times[3], 20);
	world_free(w);
}

static void hosts_announce_themselves_and_are_quiet_then(void **state)
{
	struct world *w = make(1);
	uint64_t frames;

	(void)state;
	assert_true(world_run_until(w, 10 * NSEC_PER_SEC));
	frames = world_frames(w);
	assert_in_range(frames, 2, 20);
	assert_true(world_run_until(w, 3600 * NSEC_PER_SEC));
	assert_int_equal(world_frames(w), frames);
	world_free(w);
}

static uint64_t hash_of(uint64_t seed, double loss)
{
	static const struct talk_script script = { .kind = TALK_ECHO, .port = 9, .bytes = 100000 };
	struct world *w = make(seed);
	struct wire_impairment cable = { .rate = 100000000, .delay = NSEC_PER_MSEC, .loss = loss };
	uint64_t hash;

	wire_impair(world_wire(w), 0, WIRE_DOWN, &cable);
	host_serve(world_host(w, 0), &script, 8);
	host_connect(world_host(w, 1), &(struct client_plan){ .server = world_host(w, 0)->addr, .script = &script,
		.connections = 3, .together = 2 });
	assert_true(check_finish(w, 600 * NSEC_PER_SEC));
	hash = world_hash(w);
	world_free(w);
	return hash;
}

static void the_same_seed_gives_the_same_bytes_and_another_seed_others(void **state)
{
	(void)state;
	assert_true(hash_of(1, 0.01) == hash_of(1, 0.01));
	assert_true(hash_of(2, 0.01) == hash_of(2, 0.01));
	assert_true(hash_of(1, 0.01) != hash_of(2, 0.01));
	assert_true(hash_of(1, 0.01) != hash_of(1, 0.2));
}

static void the_first_failure_stops_the_world_and_is_kept(void **state)
{
	struct world *w = make(1);
	struct diary d = { .world = w };

	(void)state;
	world_at(w, 5, write_down, &d, 1);
	assert_null(world_failure(w));
	world_fail(w, "number %d", 1);
	world_fail(w, "number %d", 2);
	assert_non_null(strstr(world_failure(w), "number 1"));
	assert_false(world_run_until(w, 10));
	assert_int_equal(d.count, 0);
	world_free(w);
}

static void a_packet_that_a_host_keeps_is_found(void **state)
{
	struct world *w = make(1);
	struct link *l = wire_link(world_wire(w), 1);
	struct pkt *p;

	(void)state;
	assert_int_equal(l->ops->borrow(l, &p, 1), 1);
	assert_false(check_finish(w, NSEC_PER_SEC));
	assert_non_null(strstr(world_failure(w), "hosts hold 1 packets"));
	l->ops->release(l, &p, 1);
	world_free(w);
}

static void worlds_outside_the_limits_are_refused(void **state)
{
	(void)state;
	assert_null(world_new(&(struct world_config){ .hosts = 0 }));
	assert_null(world_new(&(struct world_config){ .hosts = 65 }));
	assert_null(world_new(&(struct world_config){ .hosts = 2, .mtu = 100 }));
}

static void a_pattern_shows_any_wrong_byte(void **state)
{
	uint8_t bytes[300];
	uint32_t at, n;

	(void)state;
	for (at = 0; at < 20; at++) {
		for (n = 1; n < 40; n++) {
			pattern_fill(7, at, bytes, n);
			assert_int_equal(pattern_differs(7, at, bytes, n), n);
			bytes[n / 2] ^= 1;
			assert_int_equal(pattern_differs(7, at, bytes, n), n / 2);
		}
	}
	pattern_fill(7, 0, bytes, 300);         /* shifted by any distance, it is another one */
	for (at = 1; at < 200; at++)
		assert_int_not_equal(pattern_differs(7, 0, bytes + at, 100), 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(events_come_in_order_of_time_and_of_asking),
		cmocka_unit_test(hosts_announce_themselves_and_are_quiet_then),
		cmocka_unit_test(the_same_seed_gives_the_same_bytes_and_another_seed_others),
		cmocka_unit_test(the_first_failure_stops_the_world_and_is_kept),
		cmocka_unit_test(a_packet_that_a_host_keeps_is_found),
		cmocka_unit_test(worlds_outside_the_limits_are_refused),
		cmocka_unit_test(a_pattern_shows_any_wrong_byte),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
