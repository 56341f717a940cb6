/* SPDX-License-Identifier: BSD-3-Clause */
/* The link that mistreats packets: each rule does what it says, by the seed, and no packet is lost from the pool. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "io/fault.h"
#include "io/mem.h"

#define N 300u

static nsec now;

static nsec the_clock(void *context)
{
	(void)context;
	return now;
}

struct bench {
	struct mem_pair *pair;
	struct link *plain, *faulty;
	int order[2 * N];
	unsigned got;
};

static struct bench make(struct fault_config c)
{
	struct bench b = { .pair = mem_pair_new(&(struct mem_config){ .packets = 2 * N + 8 }) };

	now = 0;
	c.clock = the_clock;
	c.seed = 5;
	b.plain = mem_pair_link(b.pair, 0);
	b.faulty = fault_new(mem_pair_link(b.pair, 1), &c);
	assert_non_null(b.faulty);
	return b;
}

static void send(struct link *l, unsigned number)
{
	struct pkt *p;

	assert_int_equal(l->ops->borrow(l, &p, 1), 1);
	assert_ptr_equal(p->link, l);
	memset(p->data, 0, 100);
	memcpy(p->data, &number, sizeof(number));
	p->len = 100;
	assert_int_equal(l->ops->transmit(l, &p, 1), 1);
}

static void take_all(struct bench *b, struct link *l)
{
	struct pkt *p;

	while (l->ops->receive(l, &p, 1) || l->ops->receive(l, &p, 1)) {
		assert_ptr_equal(p->link, l);
		memcpy(&b->order[b->got++], p->data, sizeof(int));
		l->ops->release(l, &p, 1);
	}
}

/* N packets through one direction of the faulty link, 1 ms apart. */
static void run(struct bench *b, bool transmit)
{
	unsigned i;

	for (i = 0; i < N; i++) {
		now += NSEC_PER_MSEC;
		send(transmit ? b->faulty : b->plain, i);
		take_all(b, transmit ? b->plain : b->faulty);
	}
	now += NSEC_PER_SEC;
	fault_advance(b->faulty);
	take_all(b, transmit ? b->plain : b->faulty);
}

static unsigned inversions(const struct bench *b)
{
	unsigned i, n = 0;

	for (i = 1; i < b->got; i++)
		n += b->order[i] < b->order[i - 1];
	return n;
}

static void finish(struct bench *b)
{
	assert_int_equal(fault_held(b->faulty), 0);
	assert_int_equal(mem_pair_outstanding(b->pair), 0);
	fault_free(b->faulty);
	mem_pair_free(b->pair);
}

static void each_rule_does_what_it_says_in_each_direction(void **state)
{
	static const struct {
		struct fault_rules rules;
		unsigned got_least, got_most, inversions_least, inversions_most;
	} table[] = {
		{ { 0 }, N, N, 0, 0 },
		{ { .drop = 0.1 }, 250, 290, 0, 0 },
		{ { .drop = 1 }, 0, 0, 0, 0 },
		{ { .duplicate = 0.1 }, 310, 350, 0, 0 },
		{ { .delay = 20 * NSEC_PER_MSEC }, N, N, 0, 0 },
		{ { .jitter = 20 * NSEC_PER_MSEC }, N, N, 50, 290 },
		{ { .delay = 20 * NSEC_PER_MSEC, .hold = 10 }, 100, 200, 0, 0 },
		{ { .corrupt = 0.1 }, N, N, 0, 0 },
	};
	unsigned i, d;

	(void)state;
	for (i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		for (d = 0; d < 2; d++) {
			struct fault_config c = { 0 };
			struct bench b;

			*(d ? &c.transmit : &c.receive) = table[i].rules;
			b = make(c);
			run(&b, d);
			assert_in_range(b.got, table[i].got_least, table[i].got_most);
			assert_in_range(inversions(&b), table[i].inversions_least, table[i].inversions_most);
			finish(&b);
		}
	}
}

static void a_reordered_packet_comes_after_the_one_behind_it(void **state)
{
	struct bench b = make((struct fault_config){ .transmit = { .reorder = 0.2 } });
	struct pkt *burst[N];
	unsigned i;

	(void)state;
	assert_int_equal(b.faulty->ops->borrow(b.faulty, burst, N), N);
	for (i = 0; i < N; i++) {
		memcpy(burst[i]->data, &i, sizeof(i));
		burst[i]->len = 100;
	}
	assert_int_equal(b.faulty->ops->transmit(b.faulty, burst, N), N);
	fault_advance(b.faulty);
	take_all(&b, b.plain);
	assert_int_equal(b.got, N);
	assert_in_range(inversions(&b), 30, 90);
	for (i = 0; i < N; i++)
		assert_in_range(abs(b.order[i] - (int)i), 0, 8);
	finish(&b);
}

static void a_corrupted_packet_differs_in_one_bit_behind_the_ethernet_header(void **state)
{
	struct bench b = make((struct fault_config){ .receive = { .corrupt = 1 } });
	unsigned i, bits = 0;
	struct pkt *p;

	(void)state;
	send(b.plain, 0);
	assert_int_equal(b.faulty->ops->receive(b.faulty, &p, 1), 1);
	for (i = 0; i < p->len; i++)
		bits += i < 14 ? p->data[i] * 1000u : (unsigned)__builtin_popcount(p->data[i]);
	assert_int_equal(bits, 1);
	b.faulty->ops->release(b.faulty, &p, 1);
	assert_int_equal(fault_counts(b.faulty).corrupted, 1);
	finish(&b);
}

static void a_link_that_corrupts_does_not_offer_to_sum(void **state)
{
	struct mem_pair *pair = mem_pair_new(&(struct mem_config){ .flags = LINK_TSO | LINK_TX_CSUM | LINK_RX_CSUM });
	struct link *l = fault_new(mem_pair_link(pair, 0), &(struct fault_config){ .transmit = { .corrupt = 0.1 } });

	(void)state;
	assert_int_equal(l->flags, LINK_RX_CSUM);
	fault_free(l);
	mem_pair_free(pair);
}

static void the_same_seed_has_the_same_luck(void **state)
{
	struct fault_config c = { .receive = { .drop = 0.1, .duplicate = 0.1, .jitter = 9 * NSEC_PER_MSEC } };
	struct bench a = make(c), b;

	(void)state;
	run(&a, false);
	b = make(c);
	run(&b, false);
	assert_int_equal(a.got, b.got);
	assert_memory_equal(a.order, b.order, a.got * sizeof(int));
	finish(&a);
	finish(&b);
}

static void a_delay_needs_a_clock_and_shows_in_the_deadline(void **state)
{
	struct fault_config c = { .transmit = { .delay = 7 } };
	struct bench b;

	(void)state;
	b = make(c);
	assert_null(fault_new(b.plain, &c));
	assert_int_equal(fault_deadline(b.faulty), NSEC_NEVER);
	now = 100;
	send(b.faulty, 1);
	assert_int_equal(fault_deadline(b.faulty), 107);
	assert_int_equal(fault_held(b.faulty), 1);
	b.faulty->ops->close(b.faulty);         /* gives back what waits */
	finish(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_rule_does_what_it_says_in_each_direction),
		cmocka_unit_test(a_reordered_packet_comes_after_the_one_behind_it),
		cmocka_unit_test(a_corrupted_packet_differs_in_one_bit_behind_the_ethernet_header),
		cmocka_unit_test(a_link_that_corrupts_does_not_offer_to_sum),
		cmocka_unit_test(the_same_seed_has_the_same_luck),
		cmocka_unit_test(a_delay_needs_a_clock_and_shows_in_the_deadline),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
