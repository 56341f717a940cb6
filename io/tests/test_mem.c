/* SPDX-License-Identifier: BSD-3-Clause */
/* The pair of queues. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "io/mem.h"

static void what_one_end_transmits_the_other_receives_in_order(void **state)
{
	struct mem_pair *pair = mem_pair_new(&(struct mem_config){ .packets = 8 });
	struct link *a = mem_pair_link(pair, 0), *b = mem_pair_link(pair, 1);
	struct pkt *out[8], *in[8];
	unsigned i;

	(void)state;
	assert_int_equal(a->ops->borrow(a, out, 8), 8);
	assert_int_equal(b->ops->borrow(b, in, 1), 0);      /* the pool is dry */
	for (i = 0; i < 8; i++) {
		assert_int_equal(pkt_headroom(out[i]), PKT_HEADROOM);
		assert_true(pkt_tailroom(out[i]) >= 1514);
		out[i]->data[0] = (uint8_t)i;
		out[i]->len = 60 + i;
	}
	assert_int_equal(a->ops->transmit(a, out, 8), 8);
	assert_int_equal(mem_pair_outstanding(pair), 0);
	assert_int_equal(b->ops->receive(b, in, 5), 5);
	assert_int_equal(mem_pair_outstanding(pair), 5);
	assert_int_equal(b->ops->receive(b, in + 5, 5), 3);
	for (i = 0; i < 8; i++) {
		assert_int_equal(in[i]->data[0], i);
		assert_ptr_equal(in[i]->link, b);
	}
	assert_int_equal(a->ops->receive(a, out, 1), 0);
	b->ops->release(b, in, 8);
	assert_int_equal(mem_pair_outstanding(pair), 0);
	assert_int_equal(b->stats.rx_bytes, 8 * 60 + 28);
	mem_pair_free(pair);
}

static void a_checksum_left_to_the_link_arrives_as_good(void **state)
{
	struct mem_pair *pair = mem_pair_new(&(struct mem_config){ .flags = LINK_TX_CSUM | LINK_RX_CSUM });
	struct link *a = mem_pair_link(pair, 0), *b = mem_pair_link(pair, 1);
	struct pkt *p;

	(void)state;
	assert_int_equal(b->ops->borrow(b, &p, 1), 1);
	p->len = 60;
	p->flags = PKT_CSUM_PARTIAL;
	assert_int_equal(b->ops->transmit(b, &p, 1), 1);
	assert_int_equal(a->ops->receive(a, &p, 1), 1);
	assert_int_equal(p->flags, PKT_CSUM_GOOD);
	a->ops->release(a, &p, 1);
	mem_pair_free(pair);
}

static void a_closed_end_loses_what_is_sent_to_it(void **state)
{
	struct mem_pair *pair = mem_pair_new(&(struct mem_config){ 0 });
	struct link *a = mem_pair_link(pair, 0), *b = mem_pair_link(pair, 1);
	struct pkt *p;

	(void)state;
	b->ops->close(b);
	assert_int_equal(a->ops->borrow(a, &p, 1), 1);
	assert_int_equal(a->ops->transmit(a, &p, 1), 1);
	assert_int_equal(a->stats.tx_dropped, 1);
	assert_int_equal(mem_pair_outstanding(pair), 0);
	mem_pair_free(pair);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_one_end_transmits_the_other_receives_in_order),
		cmocka_unit_test(a_checksum_left_to_the_link_arrives_as_good),
		cmocka_unit_test(a_closed_end_loses_what_is_sent_to_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
