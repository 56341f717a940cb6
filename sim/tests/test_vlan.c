/* SPDX-License-Identifier: BSD-3-Clause */
/* Two hosts that share two VLANs on one wire: transfers in super-frames with checksums left to the card, over a cable that cuts them, and VLANs
 * that come and go under connections. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "sim/host.h"

static struct ipaddr addr(unsigned net, unsigned host)
{
	return ipaddr_from_ip4(__builtin_bswap32(0x0a000000u | net << 16 | host));
}

/* VLANs 10 and 20 with 10.10.0.N and 10.20.0.N. */
static struct world *make(uint32_t flags, int vlan[2][2])
{
	struct world *w = world_new(&(struct world_config){ .hosts = 2, .seed = 3, .link_flags = flags, .check_every = 1,
		.max_endpoints = 256, .packets = 2048 });
	struct wire_impairment cable = { .rate = 1000000000, .delay = NSEC_PER_MSEC, .loss = 0.01, .reorder = 0.02 };

	assert_non_null(w);
	for (unsigned n = 0; n < 2; n++) {
		wire_impair(world_wire(w), n, WIRE_DOWN, &cable);
		for (unsigned v = 0; v < 2; v++) {
			struct host *h = world_host(w, n);
			struct ipaddr a = addr(10 * (v + 1), n + 1);

			vlan[n][v] = stack_add_vlan(h->stack, h->interface, 10 * (v + 1), "vlan");
			assert_true(vlan[n][v] > 0);
			assert_int_equal(stack_add_address(h->stack, vlan[n][v], &a, 16), 0);
		}
	}
	return w;
}

static void transfer(uint32_t flags)
{
	const struct talk_script script = { .kind = TALK_SINK, .port = 80, .bytes = 1000000 };
	int vlan[2][2];
	struct world *w = make(flags, vlan);

	host_serve(world_host(w, 0), &script, 16);
	host_echo(world_host(w, 0), 53);
	for (unsigned v = 0; v < 3; v++) {  /* the untagged net too */
		host_connect(world_host(w, 1), &(struct client_plan){ .server = addr(10 * v, 1), .script = &script,
			.connections = 4, .together = 2 });
		host_ping(world_host(w, 1), &(struct ping_plan){ .server = addr(10 * v, 1), .port = 53, .bytes = 5000,
			.count = 5, .interval = NSEC_PER_SEC });
	}
	assert_true(world_run_until(w, 300 * NSEC_PER_SEC));
	assert_int_equal(world_host(w, 1)->stats.completed, 12);
	assert_int_equal(world_host(w, 1)->stats.failed, 0);
	assert_true(world_host(w, 1)->stats.pings_answered > 5);
	assert_int_equal(wire_count(world_wire(w), WIRE_OVERSIZE), 0);
	world_free(w);
}

static void transfers_cross_vlans_in_full_frames(void **state)
{
	(void)state;
	transfer(0);
}

static void checksums_are_left_to_the_card_behind_a_tag_too(void **state)
{
	(void)state;
	transfer(LINK_TX_CSUM);
}

static void super_frames_are_cut_behind_their_tag(void **state)
{
	(void)state;
	transfer(LINK_TX_CSUM | LINK_TSO);
}

static void a_removed_vlan_takes_its_connections_and_a_new_one_serves_again(void **state)
{
	const struct talk_script script = { .kind = TALK_SINK, .port = 80, .bytes = 5000000 };
	int vlan[2][2];
	struct world *w = make(LINK_TX_CSUM | LINK_TSO, vlan);
	struct host *server = world_host(w, 0), *client = world_host(w, 1);
	struct ipaddr a = addr(10, 2);

	(void)state;
	host_serve(server, &script, 16);
	host_connect(client, &(struct client_plan){ .server = addr(10, 1), .script = &script, .connections = 2, .together = 2 });
	assert_true(world_run_until(w, NSEC_PER_SEC / 20));
	assert_true(client->stats.bytes_sent > 0);
	assert_int_equal(stack_remove_vlan(client->stack, vlan[1][0]), 0);
	assert_true(world_run_until(w, 10 * NSEC_PER_SEC));
	assert_int_equal(client->stats.completed, 0);
	assert_int_equal(stack_add_vlan(client->stack, client->interface, 10, "again"), vlan[1][0]);
	assert_int_equal(stack_add_address(client->stack, vlan[1][0], &a, 16), 0);
	/* Retransmission had not given up: both go on to their end. */
	assert_true(world_run_until(w, 600 * NSEC_PER_SEC));
	assert_int_equal(client->stats.completed, 2);
	world_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(transfers_cross_vlans_in_full_frames),
		cmocka_unit_test(checksums_are_left_to_the_card_behind_a_tag_too),
		cmocka_unit_test(super_frames_are_cut_behind_their_tag),
		cmocka_unit_test(a_removed_vlan_takes_its_connections_and_a_new_one_serves_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
