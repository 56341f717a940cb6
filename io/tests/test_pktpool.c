/* SPDX-License-Identifier: BSD-3-Clause */
/* The pool of packets that backends share. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "io/pktpool.h"

static long resident_pages(void)
{
	long size, resident;
	FILE *f = fopen("/proc/self/statm", "r");

	assert_non_null(f);
	assert_int_equal(fscanf(f, "%ld %ld", &size, &resident), 2);
	fclose(f);
	return resident;
}

static void every_packet_has_room_and_nobody_else_s_bytes(void **state)
{
	struct pktpool pool;
	struct link link = { 0 };
	struct pkt *p[16];

	(void)state;
	assert_int_equal(pktpool_open(&pool, 16, 9018), 0);
	assert_int_equal(pktpool_take(&pool, &link, p, 16), 16);
	assert_int_equal(pool.outstanding, 16);
	for (unsigned i = 0; i < 16; i++) {
		assert_int_equal(pkt_headroom(p[i]), PKT_HEADROOM);
		assert_true(pkt_tailroom(p[i]) >= 9018);
		assert_ptr_equal(p[i]->link, &link);
		memset(p[i]->data, (int)i, 9018);
	}
	for (unsigned i = 0; i < 16; i++)
		assert_true(p[i]->data[0] == i && p[i]->data[9017] == i);
	assert_int_equal(pktpool_take(&pool, &link, p, 1), 0);
	pktpool_give(&pool, p, 16);
	assert_int_equal(pool.outstanding, 0);
	pktpool_close(&pool);
}

static void the_last_one_back_is_the_first_taken(void **state)
{
	struct pktpool pool;
	struct link link = { 0 };
	struct pkt *p[4], *q;

	(void)state;
	assert_int_equal(pktpool_open(&pool, 100, 65557), 0);
	assert_int_equal(pktpool_take(&pool, &link, p, 4), 4);
	p[2]->flags = PKT_CSUM_GOOD;
	p[2]->len = 77;
	pktpool_give(&pool, p, 3);
	assert_int_equal(pktpool_take(&pool, &link, &q, 1), 1);
	assert_ptr_equal(q, p[2]);
	assert_int_equal(q->flags, 0);
	assert_int_equal(q->len, 0);
	pktpool_give(&pool, &q, 1);
	pktpool_give(&pool, p + 3, 1);
	pktpool_close(&pool);
}

static void memory_is_touched_only_when_it_is_used(void **state)
{
	long before = resident_pages(), after;
	struct link link = { 0 };
	struct pktpool pool;
	struct pkt *p;

	(void)state;
	assert_int_equal(pktpool_open(&pool, 16384, 65557), 0);    /* 1 GB */
	for (unsigned i = 0; i < 100000; i++) {
		assert_int_equal(pktpool_take(&pool, &link, &p, 1), 1);
		p->data[0] = 1;
		pktpool_give(&pool, &p, 1);
	}
	after = resident_pages();
	assert_true((after - before) * sysconf(_SC_PAGESIZE) < 16 << 20);
	pktpool_close(&pool);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_packet_has_room_and_nobody_else_s_bytes),
		cmocka_unit_test(the_last_one_back_is_the_first_taken),
		cmocka_unit_test(memory_is_touched_only_when_it_is_used),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
