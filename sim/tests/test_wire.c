/* SPDX-License-Identifier: BSD-3-Clause */
/* The wire: who gets a frame, when, in which order, and that no packet is ever lost from the pool. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "sim/wire.h"

#define US NSEC_PER_USEC
#define MS NSEC_PER_MSEC

static struct wire *make(unsigned ports, uint32_t flags)
{
	struct wire_config c = { .ports = ports, .packets = 1024, .flags = flags, .seed = 7 };
	struct wire *w = wire_new(&c);

	assert_non_null(w);
	return w;
}

/* Everything that hosts held must be back. */
static void done(struct wire *w)
{
	assert_null(wire_check(w));
	assert_int_equal(wire_outstanding(w), 0);
	wire_free(w);
}

/* Sends a frame of `len` bytes whose payload begins with `mark` from port `from` to port `to` (or everybody). */
static void send(struct wire *w, unsigned from, int to, uint32_t len, uint8_t mark)
{
	struct link *l = wire_link(w, from);
	struct pkt *p;

	assert_int_equal(l->ops->borrow(l, &p, 1), 1);
	memset(p->data, 0, len);
	if (to < 0)
		memset(p->data, 0xff, 6);
	else
		memcpy(p->data, wire_link(w, (unsigned)to)->mac, 6);
	memcpy(p->data + 6, l->mac, 6);
	p->data[12] = 8;
	p->data[14] = mark;
	p->len = len;
	assert_int_equal(l->ops->transmit(l, &p, 1), 1);
}

/* The mark of the next frame at a port, or -1. */
static int take(struct wire *w, unsigned port)
{
	struct link *l = wire_link(w, port);
	struct pkt *p;
	int mark;

	if (l->ops->receive(l, &p, 1) == 0)
		return -1;
	assert_ptr_equal(p->link, l);
	mark = p->data[14];
	l->ops->release(l, &p, 1);
	return mark;
}

static void impair(struct wire *w, unsigned port, enum wire_direction d, struct wire_impairment set)
{
	wire_impair(w, port, d, &set);
}

static void a_perfect_wire_delivers_at_once_without_copying(void **state)
{
	struct wire *w = make(2, 0);
	struct link *a = wire_link(w, 0), *b = wire_link(w, 1);
	struct pkt *p, *q;

	(void)state;
	assert_int_equal(a->ops->borrow(a, &p, 1), 1);
	assert_true(pkt_headroom(p) >= PKT_HEADROOM);
	memset(p->data, 0xab, 60);
	p->data[0] = 2;
	p->len = 60;
	assert_int_equal(a->ops->transmit(a, &p, 1), 1);
	assert_int_equal(wire_queued(w, 1), 1);
	assert_int_equal(b->ops->receive(b, &q, 1), 1);
	assert_ptr_equal(p, q);
	assert_int_equal(wire_outstanding(w), 1);
	b->ops->release(b, &q, 1);
	done(w);
}

static void a_station_that_was_seen_gets_its_frames_alone(void **state)
{
	struct wire *w = make(4, 0);

	(void)state;
	send(w, 0, 2, 60, 1);                   /* unknown yet: to all */
	assert_int_equal(take(w, 1), 1);
	assert_int_equal(take(w, 2), 1);
	assert_int_equal(take(w, 3), 1);
	assert_int_equal(take(w, 0), -1);
	send(w, 2, 0, 60, 2);                   /* 0 was learned from its frame */
	assert_int_equal(take(w, 0), 2);
	assert_int_equal(take(w, 1), -1);
	send(w, 1, -1, 60, 3);                  /* broadcast */
	assert_int_equal(take(w, 0), 3);
	assert_int_equal(take(w, 2), 3);
	assert_int_equal(take(w, 3), 3);
	assert_int_equal(take(w, 1), -1);
	done(w);
}

static void delay_and_rate_add_up_to_the_arrival_time(void **state)
{
	struct wire *w = make(2, 0);

	(void)state;
	/* 1000 bytes and 24 of overhead at 8.192 Mbit/s take 1 ms. */
	impair(w, 0, WIRE_UP, (struct wire_impairment){ .rate = 8192000, .delay = 5 * MS });
	wire_advance(w, MS);
	send(w, 0, 1, 1000, 1);
	send(w, 0, 1, 1000, 2);
	assert_true(wire_deadline(w) > MS && wire_deadline(w) <= 7 * MS);
	wire_advance(w, 7 * MS - 1);
	assert_int_equal(take(w, 1), -1);
	wire_advance(w, 7 * MS);
	assert_int_equal(take(w, 1), 1);
	assert_int_equal(take(w, 1), -1);
	assert_int_equal(wire_deadline(w), 8 * MS);
	wire_advance(w, 8 * MS);
	assert_int_equal(take(w, 1), 2);
	assert_int_equal(wire_deadline(w), NSEC_NEVER);
	done(w);
}

static void a_full_queue_drops_the_newest(void **state)
{
	static const struct { uint32_t packets, bytes, pass; } table[] = {
		{ 3, 0, 3 }, { 0, 2048, 2 }, { 5, 2048, 2 }, { 2, 1 << 20, 2 }, { 0, 0, 8 },
	};
	unsigned i, n;

	(void)state;
	for (i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct wire *w = make(2, 0);

		impair(w, 1, WIRE_DOWN, (struct wire_impairment){ .rate = 8192000,
			.queue_packets = table[i].packets, .queue_bytes = table[i].bytes });
		for (n = 0; n < 8; n++)
			send(w, 0, 1, 1000, (uint8_t)n);
		wire_advance(w, 100 * MS);
		for (n = 0; n < table[i].pass; n++)
			assert_int_equal(take(w, 1), n);
		assert_int_equal(take(w, 1), -1);
		assert_int_equal(wire_count(w, WIRE_QUEUE_FULL), 8 - table[i].pass);
		send(w, 0, 1, 1000, 9);         /* there is room again */
		wire_advance(w, 200 * MS);
		assert_int_equal(take(w, 1), 9);
		done(w);
	}
}

/* Sends n marked frames 10 us apart and lets all arrive. Returns how many came, in `order`. */
static unsigned run(struct wire *w, unsigned n, int *order)
{
	unsigned i, got = 0;
	nsec now = 0;
	int mark;

	for (i = 0; i < n; i++) {
		wire_advance(w, now += 10 * US);
		send(w, 0, 1, 200, (uint8_t)i);
		while ((mark = take(w, 1)) >= 0)
			order[got++] = mark;
	}
	while (wire_deadline(w) != NSEC_NEVER) {
		wire_advance(w, wire_deadline(w));
		while ((mark = take(w, 1)) >= 0)
			order[got++] = mark;
	}
	return got;
}

static void chance_is_as_configured_and_the_same_for_the_same_seed(void **state)
{
	static const struct {
		struct wire_impairment set;
		enum wire_count count;
		unsigned least, most, arrive_least, arrive_most;
	} table[] = {
		{ { .loss = 0.2 }, WIRE_LOST, 20, 60, 140, 180 },
		{ { .loss = 1 }, WIRE_LOST, 200, 200, 0, 0 },
		{ { .duplicate = 0.1 }, WIRE_DUPLICATED, 8, 35, 208, 235 },
		{ { .reorder = 0.1, .delay = MS }, WIRE_REORDERED, 8, 35, 200, 200 },
		{ { .corrupt = 0.1 }, WIRE_CORRUPTED, 8, 35, 200, 200 },
	};
	int first[512], second[512];
	unsigned i, n;

	(void)state;
	for (i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct wire *w = make(2, 0), *again = make(2, 0);

		wire_impair(w, 0, WIRE_UP, &table[i].set);
		wire_impair(again, 0, WIRE_UP, &table[i].set);
		n = run(w, 200, first);
		assert_in_range(wire_count(w, table[i].count), table[i].least, table[i].most);
		assert_in_range(n, table[i].arrive_least, table[i].arrive_most);
		assert_int_equal(run(again, 200, second), n);
		assert_memory_equal(first, second, n * sizeof(int));
		done(w);
		done(again);
	}
}

static void jitter_does_not_reorder_but_reordering_does(void **state)
{
	struct wire *w = make(2, 0);
	int order[256];
	unsigned i, n, late = 0;

	(void)state;
	impair(w, 0, WIRE_UP, (struct wire_impairment){ .delay = MS, .jitter = 5 * MS });
	n = run(w, 200, order);
	assert_int_equal(n, 200);
	for (i = 0; i < n; i++)
		assert_int_equal(order[i], i);
	done(w);
	w = make(2, 0);
	impair(w, 0, WIRE_UP, (struct wire_impairment){ .delay = MS, .reorder = 0.1 });
	n = run(w, 200, order);
	for (i = 1; i < n; i++)
		late += order[i] < order[i - 1];
	assert_in_range(late, 3, 40);
	done(w);
}

static void a_black_hole_eats_what_is_longer_than_its_limit_and_nothing_else(void **state)
{
	struct wire *w = make(2, 0);

	(void)state;
	impair(w, 0, WIRE_UP, (struct wire_impairment){ .mtu = 1000 });
	send(w, 0, 1, 14 + 1001, 1);
	send(w, 0, 1, 14 + 1000, 2);
	send(w, 1, 0, 14 + 1001, 3);
	wire_advance(w, MS);
	assert_int_equal(take(w, 1), 2);
	assert_int_equal(take(w, 1), -1);
	assert_int_equal(take(w, 0), 3);
	assert_int_equal(wire_count(w, WIRE_BLACK_HOLE), 1);
	done(w);
}

static void corruption_flips_one_bit_behind_the_ethernet_header(void **state)
{
	struct wire *w = make(2, 0);
	struct link *b = wire_link(w, 1);
	unsigned i, n, bits;
	struct pkt *p;

	(void)state;
	impair(w, 0, WIRE_UP, (struct wire_impairment){ .corrupt = 1 });
	for (n = 0; n < 100; n++) {
		send(w, 0, 1, 100, 0);
		wire_advance(w, n);
		assert_int_equal(b->ops->receive(b, &p, 1), 1);
		assert_memory_equal(p->data, b->mac, 6);
		for (i = 14, bits = 0; i < p->len; i++)
			bits += (unsigned)__builtin_popcount(p->data[i]);
		assert_int_equal(bits, 1);
		b->ops->release(b, &p, 1);
	}
	assert_int_equal(wire_count(w, WIRE_CORRUPTED), 100);
	done(w);
}

static void a_port_without_carrier_loses_frames_and_counts_them(void **state)
{
	struct wire *w = make(2, 0);

	(void)state;
	wire_set_up(w, 1, false);
	send(w, 0, 1, 60, 1);
	send(w, 1, 0, 60, 2);
	assert_int_equal(take(w, 0), -1);
	assert_int_equal(take(w, 1), -1);
	assert_int_equal(wire_count(w, WIRE_NO_CARRIER), 2);
	wire_set_up(w, 1, true);
	send(w, 0, 1, 60, 3);
	assert_int_equal(take(w, 1), 3);
	done(w);
}

static void what_nobody_takes_does_not_eat_the_pool(void **state)
{
	struct wire *w = make(2, 0);
	unsigned n;

	(void)state;
	for (n = 0; n < 5000; n++)
		send(w, 0, 1, 60, 0);
	assert_int_equal(wire_queued(w, 1), 256);
	assert_int_equal(wire_count(w, WIRE_HOST_SLOW), 5000 - 256);
	done(w);
}

static void frames_that_cannot_be_are_refused(void **state)
{
	static const struct { uint32_t len, flags; uint16_t gso, start; enum wire_count why; } table[] = {
		{ 13, 0, 0, 0, WIRE_RUNT },
		{ 1600, 0, 0, 0, WIRE_OVERSIZE },
		{ 60, PKT_CSUM_PARTIAL, 0, 59, WIRE_OVERSIZE },
		{ 1000, 0, 100, 0, WIRE_OVERSIZE },
		{ 1000, PKT_CSUM_PARTIAL, 100, 34, WIRE_OVERSIZE },
	};
	struct wire *w = make(2, LINK_TSO | LINK_TX_CSUM);
	struct link *a = wire_link(w, 0);
	unsigned i;

	(void)state;
	for (i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		uint64_t before = wire_count(w, table[i].why);
		struct pkt *p;

		assert_int_equal(a->ops->borrow(a, &p, 1), 1);
		memset(p->data, 0, table[i].len);
		p->len = table[i].len;
		p->flags = table[i].flags;
		p->gso_size = table[i].gso;
		p->header_len = 54;
		p->csum_start = table[i].start;
		p->csum_offset = 16;
		assert_int_equal(a->ops->transmit(a, &p, 1), 1);
		assert_int_equal(wire_count(w, table[i].why), before + 1);
	}
	assert_int_equal(a->stats.tx_dropped, 5);
	done(w);
}

static void a_configuration_outside_the_limits_is_refused(void **state)
{
	static const struct wire_config table[] = {
		{ .ports = 0 }, { .ports = 65 }, { .ports = 2, .mtu = 500 }, { .ports = 2, .mtu = 9217 },
		{ .ports = 2, .flags = LINK_TSO }, { .ports = 2, .packets = 3 }, { .ports = 2, .flags = 1 << 9 },
	};
	unsigned i;

	(void)state;
	for (i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		assert_null(wire_new(&table[i]));
}

static void what_hosts_hold_is_counted(void **state)
{
	struct wire *w = make(2, 0);
	struct link *a = wire_link(w, 0);
	struct pkt *held[8];

	(void)state;
	assert_int_equal(a->ops->borrow(a, held, 8), 8);
	assert_int_equal(wire_outstanding(w), 8);
	a->ops->release(a, held, 8);
	done(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_perfect_wire_delivers_at_once_without_copying),
		cmocka_unit_test(a_station_that_was_seen_gets_its_frames_alone),
		cmocka_unit_test(delay_and_rate_add_up_to_the_arrival_time),
		cmocka_unit_test(a_full_queue_drops_the_newest),
		cmocka_unit_test(chance_is_as_configured_and_the_same_for_the_same_seed),
		cmocka_unit_test(jitter_does_not_reorder_but_reordering_does),
		cmocka_unit_test(a_black_hole_eats_what_is_longer_than_its_limit_and_nothing_else),
		cmocka_unit_test(corruption_flips_one_bit_behind_the_ethernet_header),
		cmocka_unit_test(a_port_without_carrier_loses_frames_and_counts_them),
		cmocka_unit_test(what_nobody_takes_does_not_eat_the_pool),
		cmocka_unit_test(frames_that_cannot_be_are_refused),
		cmocka_unit_test(a_configuration_outside_the_limits_is_refused),
		cmocka_unit_test(what_hosts_hold_is_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
