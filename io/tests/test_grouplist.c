/* SPDX-License-Identifier: BSD-3-Clause */
/* The groups that a device's links want. */
#include "io/grouplist.h"

#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void a_group_is_wanted_until_all_have_let_it_go(void **state)
{
	struct grouplist *l = calloc(1, sizeof(*l));

	(void)state;
	assert_int_equal(grouplist_add(l, 1), 1);
	assert_int_equal(grouplist_add(l, 2), 1);
	assert_int_equal(grouplist_add(l, 1), 0);
	assert_false(grouplist_drop(l, 1));
	assert_true(grouplist_drop(l, 1));
	assert_false(grouplist_drop(l, 1));
	assert_int_equal(l->count, 1);
	assert_true(grouplist_drop(l, 2));
	assert_int_equal(l->count, 0);
	free(l);
}

static void a_list_that_is_full_says_so(void **state)
{
	struct grouplist *l = calloc(1, sizeof(*l));

	(void)state;
	for (uint32_t i = 0; i < GROUPLIST_MOST; i++)
		assert_int_equal(grouplist_add(l, htonl(0xef000000 + i)), 1);
	assert_int_equal(grouplist_add(l, htonl(0xee000000)), -ENOBUFS);
	assert_int_equal(grouplist_add(l, htonl(0xef000000)), 0);
	assert_true(grouplist_drop(l, htonl(0xef000001)));
	assert_int_equal(grouplist_add(l, htonl(0xee000000)), 1);
	free(l);
}

/* RFC 1112 6.4: the low 23 bits, so that 32 groups share one. */
static void each_address_is_told_once(void **state)
{
	const uint8_t mac[6] = { 0x01, 0, 0x5e, 0x7f, 0x02, 0x03 };
	struct grouplist *l = calloc(1, sizeof(*l));
	uint8_t macs[2][6];

	(void)state;
	grouplist_add(l, htonl(0xefff0203));
	grouplist_add(l, htonl(0xe07f0203));
	assert_int_equal(grouplist_macs(l, macs, 2), 1);
	assert_memory_equal(macs[0], mac, 6);
	grouplist_add(l, htonl(0xe0000001));
	assert_int_equal(grouplist_macs(l, macs, 2), 2);
	grouplist_add(l, htonl(0xe0000002));
	assert_int_equal(grouplist_macs(l, macs, 2), 3);
	free(l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_group_is_wanted_until_all_have_let_it_go),
		cmocka_unit_test(a_list_that_is_full_says_so),
		cmocka_unit_test(each_address_is_told_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
