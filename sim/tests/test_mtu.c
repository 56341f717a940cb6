/* SPDX-License-Identifier: BSD-3-Clause */
/* Path MTU discovery without ICMP (RFC 4821, 2923): worlds in which long frames vanish without a word. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "sim/check.h"
#include "sim/host.h"
#include "sim/world.h"

#define LIMIT 1400u
#define IP_AND_TCP 52u   /* headers with timestamps */

static struct talk_script bulk = { .kind = TALK_SINK, .port = 9, .bytes = 20u << 20 };

struct made {
	struct world *world;
	struct tcp_settings tcp;
};

/* Host 1 sends to host 0, over a cable that swallows what is longer than `limit`. */
static void make(struct made *m, uint32_t flags, uint32_t probing, uint32_t limit, double loss)
{
	struct wire_impairment hole = { .rate = 10000000, .delay = 10 * NSEC_PER_MSEC, .queue_packets = 30, .loss = loss, .mtu = limit };

	tcp_settings_linux(&m->tcp);
	m->tcp.mtu_probing = probing;
	m->world = world_new(&(struct world_config){ .hosts = 2, .seed = 5, .check_every = 1, .link_flags = flags, .tcp = &m->tcp,
		.max_endpoints = 64 });
	assert_non_null(m->world);
	wire_impair(world_wire(m->world), 0, WIRE_DOWN, &hole);
	host_serve(world_host(m->world, 0), &bulk, 8);
	host_connect(world_host(m->world, 1), &(struct client_plan){ .server = world_host(m->world, 0)->addr, .script = &bulk,
		.connections = 1 });
}

static uint64_t counted(struct host *h, const char *name)
{
	struct stack_counter c;

	for (unsigned i = 0; host_counter(h, i, &c); i++)
		if (strcmp(c.name, name) == 0)
			return c.value;
	fail_msg("no counter %s", name);
	return 0;
}

/* The connection that host 1 has; false: none any more. */
static bool sender(struct world *w, struct ep_info *info)
{
	uint32_t cursor = 0;

	while (ep_walk(world_host(w, 1)->stack, &cursor, info))
		if (info->type == EP_STREAM && info->state == TCP_ESTABLISHED)
			return true;
	return false;
}

/* The largest segments that were in use at the end, and the sums of what was tried. */
static uint32_t largest_mss(struct world *w, nsec limit)
{
	struct ep_info info;
	uint32_t mss = 0;

	for (nsec t = 50 * NSEC_PER_MSEC; t < limit; t += 50 * NSEC_PER_MSEC) {
		assert_true(world_run_until(w, t));
		if (!sender(w, &info))
			break;
		mss = info.mss;
	}
	return mss;
}

static void a_transfer_survives_a_black_hole_and_finds_what_gets_through(void **state)
{
	static const uint32_t flags[] = { 0, LINK_TSO | LINK_TX_CSUM | LINK_RX_CSUM };

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct made m;
		uint32_t mss;

		make(&m, flags[i], 1, LIMIT, 0);
		mss = largest_mss(m.world, 200 * NSEC_PER_SEC);
		assert_in_range(mss, LIMIT - IP_AND_TCP - 8, LIMIT - IP_AND_TCP);
		assert_true(check_finish(m.world, 300 * NSEC_PER_SEC));
		assert_int_equal(world_host(m.world, 1)->stats.completed, 1);
		assert_int_equal(counted(world_host(m.world, 1), "TCP_BLACK_HOLES"), 1);
		assert_in_range(counted(world_host(m.world, 1), "TCP_MTU_PROBES_PASSED"), 2, 8);
		world_free(m.world);
	}
}

/* What the loss of probes alone costs: nothing but the bytes. */
static void a_lost_probe_is_no_sign_of_congestion(void **state)
{
	struct made m;
	uint64_t lost, known;

	(void)state;
	make(&m, 0, 2, LIMIT, 0);
	largest_mss(m.world, 200 * NSEC_PER_SEC);
	assert_true(check_finish(m.world, 300 * NSEC_PER_SEC));
	lost = wire_count(world_wire(m.world), WIRE_BLACK_HOLE);
	assert_in_range(lost, 2, 8);
	known = lost + counted(world_host(m.world, 1), "TCP_MTU_PROBES_PASSED");
	/* One may have met a full queue. */
	assert_in_range(counted(world_host(m.world, 1), "TCP_MTU_PROBES"), known, known + 1);
	assert_int_equal(counted(world_host(m.world, 1), "TCP_TIMEOUTS"), 0);
	world_free(m.world);
}

static void without_probing_the_connection_dies(void **state)
{
	struct made m;
	struct ep_info info;

	(void)state;
	make(&m, 0, 0, LIMIT, 0);
	assert_true(world_run_until(m.world, 300 * NSEC_PER_SEC));
	assert_true(sender(m.world, &info));
	assert_int_equal(info.bytes_acked, 0);
	world_free(m.world);
}

static void loss_beside_a_black_hole_stops_nobody(void **state)
{
	struct made m;

	(void)state;
	make(&m, LINK_TSO | LINK_TX_CSUM, 1, 900, 0.01);
	assert_true(check_finish(m.world, 3600 * NSEC_PER_SEC));
	assert_int_equal(world_host(m.world, 1)->stats.completed, 1);
	assert_true(counted(world_host(m.world, 1), "TCP_BLACK_HOLES") >= 2);
	world_free(m.world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_transfer_survives_a_black_hole_and_finds_what_gets_through),
		cmocka_unit_test(a_lost_probe_is_no_sign_of_congestion),
		cmocka_unit_test(without_probing_the_connection_dies),
		cmocka_unit_test(loss_beside_a_black_hole_stops_nobody),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
