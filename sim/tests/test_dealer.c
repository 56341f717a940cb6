/* SPDX-License-Identifier: BSD-3-Clause */
/* Hosts on several cores: frames find their core, all cores work, and talks, pings, pins and listeners are as on one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "sim/check.h"
#include "sim/host.h"

#define MS NSEC_PER_MSEC
#define CORES 4u

static struct world *world;

static void make(unsigned server_cores, unsigned client_cores, uint32_t flags)
{
	struct world_config c = { .hosts = 2, .extra_ports = 1, .seed = 3, .check_every = 1, .packets = 4096, .max_endpoints = 1024,
		.link_flags = flags, .cores = { (uint8_t)server_cores, (uint8_t)client_cores } };

	world = world_new(&c);
	assert_non_null(world);
}

static uint64_t counted(const struct stack *s, const char *name)
{
	struct stack_counter c;
	unsigned i;

	for (i = 0; stack_counter(s, i, &c); i++)
		if (strcmp(c.name, name) == 0)
			return c.value;
	fail_msg("there is no counter %s", name);
	return 0;
}

static void finish(void)
{
	if (!check_finish(world, 3600 * NSEC_PER_SEC))
		fail_msg("%s", world_failure(world));
	world_free(world);
}

static struct talk_script script = { .kind = TALK_ECHO, .port = 80, .bytes = 30000, .half_close = true };

static void connect_many(uint64_t connections, bool bind_first)
{
	struct client_plan p = { .server = world_host(world, 0)->addr, .script = &script, .connections = connections,
		.together = 8, .bind_first = bind_first };

	host_serve(world_host(world, 0), &script, 64);
	host_connect(world_host(world, 1), &p);
}

static void all_cores_serve_and_connect(void **state)
{
	unsigned core;

	(void)state;
	make(CORES, CORES, 0);
	connect_many(80, false);
	assert_true(world_run_until(world, NSEC_PER_SEC));
	for (core = 0; core < CORES; core++) {
		assert_true(counted(world_host(world, 0)->cores[core], "TCP_PASSIVE_OPENS") > 5);
		assert_int_equal(counted(world_host(world, 1)->cores[core], "TCP_ACTIVE_OPENS"), 20);
		/* no segment came to a core that does not know its connection */
		assert_int_equal(counted(world_host(world, 0)->cores[core], "TCP_RESETS_SENT"), 0);
		assert_int_equal(counted(world_host(world, 1)->cores[core], "TCP_RESETS_SENT"), 0);
	}
	assert_int_equal(world_host(world, 1)->stats.completed, 80);
	finish();
}

static void bound_sockets_that_connect_pin_their_ports(void **state)
{
	unsigned pinned = 0, port;

	(void)state;
	make(3, CORES, 0);
	connect_many(60, true);
	assert_true(world_run_until(world, NSEC_PER_SEC));
	assert_int_equal(world_host(world, 1)->stats.completed, 60);
	/* they are in TIME-WAIT now, and still nobody's but their home's */
	for (port = 0; port < 65536; port++)
		pinned += steer_tcp_pinned(world_host(world, 1)->steer, (uint16_t)port);
	assert_in_range(pinned, 30, 58);
	finish();
}

static void listeners_stop_and_start_on_all_cores(void **state)
{
	struct talk_script refused = script;
	struct service *s;
	struct client_plan p = { .script = &refused, .connections = 8, .together = 8 };

	(void)state;
	make(CORES, CORES, 0);
	refused.may_fail = true;
	p.server = world_host(world, 0)->addr;
	s = host_serve(world_host(world, 0), &refused, 64);
	host_service_stop(s);
	host_connect(world_host(world, 1), &p);
	assert_true(world_run_until(world, NSEC_PER_SEC));
	assert_int_equal(world_host(world, 1)->stats.failed, 8);
	assert_true(host_service_start(s));
	host_connect(world_host(world, 1), &p);
	assert_true(world_run_until(world, 2 * NSEC_PER_SEC));
	assert_int_equal(world_host(world, 1)->stats.completed, 8);
	finish();
}

/* Fragments meet on core 0, and go on from there. */
static void datagrams_of_every_size_reach_the_home_of_their_port(void **state)
{
	uint32_t bytes;
	uint16_t port;

	(void)state;
	for (port = 7; port < 7 + CORES; port++)
		for (bytes = 16; bytes < 70000; bytes += 30000) {
			make(CORES, CORES, 0);
			assert_true(host_echo(world_host(world, 0), port));
			for (unsigned i = 0; i < CORES; i++)
				host_ping(world_host(world, 1), &(struct ping_plan){ .server = world_host(world, 0)->addr, .port = port,
					.bytes = bytes, .count = 5, .interval = MS });
			assert_true(world_run_until(world, NSEC_PER_SEC));
			assert_int_equal(world_host(world, 1)->stats.pings_answered, 5 * CORES);
			if (bytes > 1500 && port % CORES)
				assert_true(counted(world_host(world, 0)->cores[0], "IP_REDIRECTED") > 0);
			finish();
		}
}

static void a_host_of_several_cores_talks_to_itself(void **state)
{
	struct client_plan p = { .script = &script, .connections = 16, .together = 4 };
	struct host *h;

	(void)state;
	make(CORES, 1, 0);
	h = world_host(world, 0);
	p.server = h->addr;
	host_serve(h, &script, 64);
	host_connect(h, &p);
	assert_true(host_echo(h, 7));
	for (unsigned i = 0; i < CORES; i++)
		host_ping(h, &(struct ping_plan){ .server = h->addr, .port = 7, .bytes = 60000, .count = 5, .interval = MS });
	assert_true(world_run_until(world, NSEC_PER_SEC));
	assert_int_equal(h->stats.completed, 32);
	assert_int_equal(h->stats.pings_answered, 5 * CORES);
	finish();
}

/* The asker hears it, on whichever core. */
static void a_port_without_a_socket_is_refused_to_the_core_that_asked(void **state)
{
	struct ep_name to;
	unsigned core;

	(void)state;
	make(3, CORES, 0);
	to = (struct ep_name){ world_host(world, 0)->addr, 4321 };
	host_touch(world_host(world, 1));
	for (core = 0; core < CORES; core++) {
		struct stack *s = world_host(world, 1)->cores[core];
		ep_id ep;

		assert_int_equal(ep_open(s, EP_DATAGRAM, 0, NULL, &ep), 0);
		assert_int_equal(ep_connect(s, ep, &to), 0);
		assert_int_equal(ep_send(s, ep, "x", 1), 1);
		host_touch(world_host(world, 1));
		assert_true(world_run_until(world, world_now(world) + 100 * MS));
		assert_int_equal(ep_take_error(s, ep), 111 /* ECONNREFUSED */);
		host_touch(world_host(world, 1));
		ep_close(s, ep);
	}
	finish();
}

static void give(const void *frame, uint32_t len)
{
	struct link *l = wire_link(world_wire(world), 2);
	struct pkt *p;

	assert_int_equal(l->ops->borrow(l, &p, 1), 1);
	memcpy(p->data, frame, len);
	p->len = len;
	assert_int_equal(l->ops->transmit(l, &p, 1), 1);
}

static unsigned answers(void)
{
	struct link *l = wire_link(world_wire(world), 2);
	struct pkt *p;
	unsigned n = 0;

	while (l->ops->receive(l, &p, 1) == 1) {
		/* the frames of this test are answered to its own address */
		n += p->data[5] == 3;
		l->ops->release(l, &p, 1);
	}
	return n;
}

static void one_arp_request_gets_one_answer_and_every_echo_one_from_any_core(void **state)
{
	uint8_t arp[60] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 3, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1,
		2, 0, 0, 0, 0, 3, 10, 0, 0, 3, 0, 0, 0, 0, 0, 0, 10, 0, 0, 1 };
	uint8_t echo[60] = { 2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 3, 8, 0, 0x45, 0, 0, 28, 0, 0, 0, 0, 64, 1, 0x66, 0xde,
		10, 0, 0, 3, 10, 0, 0, 1, 8, 0, 0xf7, 0xff };
	uint64_t echoes = 0;
	unsigned core;

	(void)state;
	make(CORES, 1, 0);
	assert_true(world_run_until(world, 5 * NSEC_PER_SEC));
	answers();
	give(arp, sizeof(arp));
	assert_true(world_run_until(world, world_now(world) + 100 * MS));
	assert_int_equal(answers(), 1);
	for (unsigned i = 0; i < 8; i++) {
		give(echo, sizeof(echo));
		assert_true(world_run_until(world, world_now(world) + 100 * MS));
		assert_int_equal(answers(), 1);
	}
	for (core = 0; core < CORES; core++) {
		assert_int_equal(counted(world_host(world, 0)->cores[core], "ICMP_ECHOES"), 2);
		echoes += counted(world_host(world, 0)->cores[core], "ICMP_ECHOES");
	}
	assert_int_equal(echoes, 8);
	finish();
}

static void address_announcements_are_not_multiplied(void **state)
{
	(void)state;
	make(CORES, CORES, 0);
	assert_true(world_run_until(world, 10 * NSEC_PER_SEC));
	for (unsigned i = 0; i < 2; i++)
		for (unsigned core = 0; core < CORES; core++)
			assert_int_equal(counted(world_host(world, i)->cores[core], "ARP_REQUESTS_SENT"), core == 0 ? 2 : 0);
	answers();
	finish();
}

static uint64_t hash_of_a_world(unsigned cores, uint32_t flags)
{
	const struct wire_impairment bad = { .delay = 5 * MS, .loss = 0.02, .reorder = 0.05, .duplicate = 0.02 };
	uint64_t hash;
	unsigned h, d, core;

	make(cores, cores, flags);
	for (h = 0; h < 2; h++) {
		for (d = 0; d < 2; d++)
			wire_impair(world_wire(world), h, d, &bad);
		for (core = 0; core < cores; core++)
			stack_add_neighbour(world_host(world, h)->cores[core], world_host(world, h)->interface,
				&world_host(world, !h)->addr, wire_link(world_wire(world), !h)->mac);
	}
	connect_many(40, true);
	assert_true(world_run_until(world, 600 * NSEC_PER_SEC));
	answers();
	assert_int_equal(world_host(world, 1)->stats.completed, 40);
	hash = world_hash(world);
	finish();
	return hash;
}

static void the_same_cores_give_the_same_bytes(void **state)
{
	(void)state;
	for (unsigned cores = 1; cores <= 5; cores += 2)
		for (unsigned offload = 0; offload < 2; offload++) {
			uint32_t flags = offload ? LINK_TSO | LINK_TX_CSUM | LINK_RX_CSUM : 0;

			assert_true(hash_of_a_world(cores, flags) == hash_of_a_world(cores, flags));
		}
	assert_true(hash_of_a_world(2, 0) != hash_of_a_world(3, 0));
}

static void more_cores_than_can_be_are_refused(void **state)
{
	struct world_config c = { .hosts = 1, .cores = { STEER_CORES + 1 } };

	(void)state;
	assert_null(world_new(&c));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_cores_serve_and_connect),
		cmocka_unit_test(bound_sockets_that_connect_pin_their_ports),
		cmocka_unit_test(listeners_stop_and_start_on_all_cores),
		cmocka_unit_test(datagrams_of_every_size_reach_the_home_of_their_port),
		cmocka_unit_test(a_host_of_several_cores_talks_to_itself),
		cmocka_unit_test(a_port_without_a_socket_is_refused_to_the_core_that_asked),
		cmocka_unit_test(one_arp_request_gets_one_answer_and_every_echo_one_from_any_core),
		cmocka_unit_test(address_announcements_are_not_multiplied),
		cmocka_unit_test(the_same_cores_give_the_same_bytes),
		cmocka_unit_test(more_cores_than_can_be_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
