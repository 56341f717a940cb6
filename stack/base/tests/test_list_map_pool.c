/* SPDX-License-Identifier: BSD-3-Clause */
/* The containers, and the comparison of sequence numbers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/list.h"
#include "base/map.h"
#include "base/pool.h"
#include "base/rng.h"
#include "base/seq.h"

struct item {
	struct list node;
	struct map_node entry;
	unsigned value;
};

static void a_list_keeps_order_and_forgets_removed_nodes(void **state)
{
	struct list head, other;
	struct item items[5] = { 0 };
	unsigned expected = 0;

	(void)state;
	list_init(&head);
	list_init(&other);
	assert_null(list_first_or_null(&head));
	assert_null(list_take_or_null(&head));
	list_remove(&items[0].node);  /* never linked: harmless */
	for (unsigned i = 1; i < 5; i++) {
		items[i].value = i;
		assert_false(list_linked(&items[i].node));
		list_append(i < 3 ? &head : &other, &items[i].node);
		assert_true(list_linked(&items[i].node));
	}
	list_prepend(&head, &items[0].node);
	list_splice(&head, &other);
	assert_true(list_empty(&other));
	list_for_each(node, &head) {
		assert_int_equal(container_of(node, struct item, node)->value, expected++);
		list_remove(node);
		assert_false(list_linked(node));
	}
	assert_int_equal(expected, 5);
	assert_true(list_empty(&head));
}

static void a_map_finds_all_of_one_hash_and_no_other(void **state)
{
	static struct item items[1000];
	struct map map;

	(void)state;
	assert_true(map_init(&map, 100));
	for (unsigned i = 0; i < 1000; i++) {
		items[i].value = i;
		map_insert(&map, &items[i].entry, i % 300);
	}
	for (unsigned i = 0; i < 1000; i += 2)
		map_remove(&map, &items[i].entry);
	assert_int_equal(map.count, 500);
	for (uint32_t hash = 0; hash < 300; hash++) {
		unsigned found = 0, expected = 0;

		for (unsigned i = 1; i < 1000; i += 2)
			expected += i % 300 == hash;
		for (struct map_node *n = map_first(&map, hash); n; n = map_next(n)) {
			assert_int_equal(container_of(n, struct item, entry)->value % 300, hash);
			found++;
		}
		assert_int_equal(found, expected);
	}
	assert_null(map_first(&map, 301));
	map_free(&map);
}

static void a_stale_id_never_finds_the_next_user_of_its_place(void **state)
{
	struct pool pool;
	struct item *a, *b;
	uint64_t id;

	(void)state;
	assert_true(pool_init(&pool, sizeof(struct item), 2));
	a = pool_take_or_null(&pool);
	id = pool_id(&pool, a);
	assert_int_not_equal(id, 0);
	assert_ptr_equal(pool_find_or_null(&pool, id), a);
	a->value = 77;
	pool_put(&pool, a);
	assert_null(pool_find_or_null(&pool, id));
	assert_null(pool_at_or_null(&pool, 0));
	b = pool_take_or_null(&pool);
	assert_ptr_equal(b, a);
	assert_int_equal(b->value, 0);
	assert_null(pool_find_or_null(&pool, id));
	assert_int_not_equal(pool_id(&pool, b), id);
	assert_null(pool_find_or_null(&pool, 0));
	assert_null(pool_find_or_null(&pool, UINT64_MAX));
	assert_non_null(pool_take_or_null(&pool));
	assert_null(pool_take_or_null(&pool));
	assert_int_equal(pool.used, 2);
	pool_free(&pool);
}

static void a_million_unused_objects_cost_nothing(void **state)
{
	struct pool pool;

	(void)state;
	assert_true(pool_init(&pool, 1024, 1000000));
	assert_int_equal(pool_bytes(&pool), 0);
	pool_take_or_null(&pool);
	assert_in_range(pool_bytes(&pool), 1024, 1100);
	pool_free(&pool);
}

static void sequence_numbers_compare_across_zero(void **state)
{
	(void)state;
	assert_true(seq_lt(UINT32_MAX, 0));
	assert_true(seq_gt(5, UINT32_MAX - 5));
	assert_true(seq_leq(7, 7) && seq_geq(7, 7));
	assert_true(seq_lt(0, INT32_MAX));
	assert_true(seq_within(3, UINT32_MAX - 3, 10));
	assert_false(seq_within(3, UINT32_MAX - 3, 7));
	assert_false(seq_within(3, 3, 0));
	assert_int_equal(seq_max(UINT32_MAX, 1), 1);
	assert_int_equal(seq_min(UINT32_MAX, 1), UINT32_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_list_keeps_order_and_forgets_removed_nodes),
		cmocka_unit_test(a_map_finds_all_of_one_hash_and_no_other),
		cmocka_unit_test(a_stale_id_never_finds_the_next_user_of_its_place),
		cmocka_unit_test(a_million_unused_objects_cost_nothing),
		cmocka_unit_test(sequence_numbers_compare_across_zero),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
