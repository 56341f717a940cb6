/* SPDX-License-Identifier: BSD-3-Clause */
/* A hundred thousand connections between two hosts, and a SYN flood: pools, hashes and the wheel at size. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "sim/check.h"
#include "sim/host.h"
#include "stack/base/checksum.h"

#define CONNECTIONS 100000u
#define SERVICES 4u

static bool still_connecting(void *context)
{
	struct world *w = context;

	return world_host(w, 0)->stats.accepted < CONNECTIONS;
}

static void a_hundred_thousand_idle_connections_fit_and_work(void **state)
{
	static struct talk_script scripts[SERVICES];
	struct world *w = world_new(&(struct world_config){ .hosts = 2, .seed = 1, .packets = 16384,
		.max_endpoints = CONNECTIONS + 1024 });
	struct stack_memory m[2];
	unsigned i;

	(void)state;
	assert_non_null(w);
	for (i = 0; i < 2; i++)
		wire_impair(world_wire(w), i, WIRE_UP, &(struct wire_impairment){ .delay = 100 * NSEC_PER_USEC });
	for (i = 0; i < SERVICES; i++) {
		scripts[i] = (struct talk_script){ .kind = TALK_SINK, .port = (uint16_t)(80 + i),
			.hold = 1000 * NSEC_PER_SEC };
		host_serve(world_host(w, 0), &scripts[i], 4096);
		host_connect(world_host(w, 1), &(struct client_plan){ .server = world_host(w, 0)->addr,
			.script = &scripts[i], .connections = CONNECTIONS / SERVICES,
			.together = CONNECTIONS / SERVICES, .stagger = 10 * NSEC_PER_USEC });
	}
	assert_true(world_run_while(w, 60 * NSEC_PER_SEC, still_connecting, w));
	assert_int_equal(world_host(w, 0)->stats.accepted, CONNECTIONS);
	assert_true(world_run_until(w, 500 * NSEC_PER_SEC));
	for (i = 0; i < 2; i++) {
		stack_memory(world_host(w, i)->stack, &m[i]);
		assert_int_equal(m[i].connections, CONNECTIONS);
		print_message("host %u: %u connections, %zu bytes each\n", i, m[i].connections,
			m[i].pools / CONNECTIONS);
		assert_int_equal(m[i].extents_lent, 0);
		assert_true(m[i].pools / CONNECTIONS < 2048);
		assert_null(stack_check(world_host(w, i)->stack));
	}
	if (!check_finish(w, 3600 * NSEC_PER_SEC))
		fail_msg("%s", world_failure(w));
	assert_int_equal(world_host(w, 1)->stats.completed, CONNECTIONS);
	world_free(w);
}

/* ---- the flood ---- */

struct flood {
	struct world *w;
	struct rng rng;
	uint64_t left;
	nsec interval;
};

/* A SYN to 10.0.0.1:80 from a random address behind 10.0.0.200. */
static void fill_syn(uint8_t *d, const struct link *from, const struct link *to, struct rng *rng)
{
	struct ipaddr source = ipaddr_from_ip4((rng_u32(rng) & 0xffffff00u) | 0x0cu), destination;
	uint64_t sum;
	uint16_t field;
	uint32_t ports = rng_u32(rng), seq = rng_u32(rng);

	destination = ipaddr_from_ip4(__builtin_bswap32(0x0a000001));
	memset(d, 0, 60);
	memcpy(d, to->mac, 6);
	memcpy(d + 6, from->mac, 6);
	memcpy(d + 12, "\x08\x00\x45\x00\x00\x28\0\0\x40\0\x40\x06", 12);
	memcpy(d + 26, &source.words[3], 4);
	memcpy(d + 30, &destination.words[3], 4);
	field = csum_finish(csum_add(0, d + 14, 20));
	memcpy(d + 24, &field, 2);
	memcpy(d + 34, &ports, 2);
	d[34] |= 0x80;
	d[37] = 80;
	memcpy(d + 38, &seq, 4);
	d[46] = 0x50;
	d[47] = 0x02;
	d[48] = 0xff;
	sum = csum_pseudo(&source, &destination, 6, 20);
	field = csum_finish(csum_add(sum, d + 34, 20));
	memcpy(d + 50, &field, 2);
}

static void flood_some(void *context, uint64_t argument)
{
	struct flood *f = context;
	struct link *l = wire_link(world_wire(f->w), 2);
	struct pkt *burst[16], *in[16];
	unsigned n = l->ops->borrow(l, burst, 16), i, got;

	(void)argument;
	for (i = 0; i < n; i++) {
		fill_syn(burst[i]->data, l, wire_link(world_wire(f->w), 0), &f->rng);
		burst[i]->len = 60;
	}
	l->ops->transmit(l, burst, n);
	while ((got = l->ops->receive(l, in, 16)) > 0)     /* the answers */
		l->ops->release(l, in, got);
	f->left -= n < f->left ? n : f->left;
	if (f->left)
		world_at(f->w, world_now(f->w) + f->interval, flood_some, f, 0);
}

static uint64_t counter(const struct stack *s, const char *name)
{
	struct stack_counter c;
	unsigned i;

	for (i = 0; stack_counter(s, i, &c); i++)
		if (strcmp(c.name, name) == 0)
			return c.value;
	fail_msg("no counter %s", name);
	return 0;
}

static void a_listener_serves_its_clients_under_a_syn_flood(void **state)
{
	static const struct talk_script script = { .kind = TALK_ASK, .port = 80, .ask = 100, .answer = 1000,
		.rounds = 2 };
	struct ipaddr attacker = ipaddr_from_ip4(__builtin_bswap32(0x0a0000c8)), any = ipaddr_from_ip4(0);
	struct world *w = world_new(&(struct world_config){ .hosts = 2, .extra_ports = 1, .seed = 4,
		.max_endpoints = 8192 });
	struct host *server = world_host(w, 0);
	struct flood f = { .w = w, .left = 200000, .interval = 100 * NSEC_PER_USEC };  /* 160,000 a second */
	struct stack_memory m;
	unsigned i;

	(void)state;
	rng_seed_u64(&f.rng, 9);
	for (i = 0; i < 2; i++)
		wire_impair(world_wire(w), i, WIRE_UP, &(struct wire_impairment){ .delay = NSEC_PER_MSEC });
	stack_add_neighbour(server->stack, server->interface, &attacker, wire_link(world_wire(w), 2)->mac);
	assert_int_equal(stack_add_route(server->stack, &any, 0, &attacker, server->interface), 0);
	host_serve(server, &script, 128);
	host_connect(world_host(w, 1), &(struct client_plan){ .server = server->addr, .script = &script,
		.connections = 300, .together = 10, .start = 100 * NSEC_PER_MSEC });
	world_at(w, 1, flood_some, &f, 0);
	assert_true(world_run_until(w, 1200 * NSEC_PER_MSEC));
	stack_memory(server->stack, &m);
	print_message("under the flood: %u half open, %llu cookies sent, %llu accepted, %llu talks served\n", m.half_open,
		(unsigned long long)counter(server->stack, "TCP_COOKIES_SENT"),
		(unsigned long long)counter(server->stack, "TCP_COOKIES_ACCEPTED"),
		(unsigned long long)server->stats.completed);
	assert_int_equal(m.half_open, 128);             /* the listener's share; no more is kept */
	assert_int_equal(counter(server->stack, "TCP_HALF_OPEN_EVICTED"), 0);
	assert_true(counter(server->stack, "TCP_COOKIES_SENT") > 100000);
	assert_true(counter(server->stack, "TCP_COOKIES_ACCEPTED") >= 290);  /* but for the first, before the share is full */
	assert_true(f.left > 0);                        /* it is still going on */
	assert_int_equal(server->stats.completed, 300); /* all were served meanwhile */
	if (!check_finish(w, 600 * NSEC_PER_SEC))
		fail_msg("%s", world_failure(w));
	world_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_hundred_thousand_idle_connections_fit_and_work),
		cmocka_unit_test(a_listener_serves_its_clients_under_a_syn_flood),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
