/* SPDX-License-Identifier: BSD-3-Clause */
/* Intervals beyond a gap against a model that has a bit for each number, and what SACK says first (RFC 2018 4). */
#include "tests/harness.h"

#include <string.h>

#include "base/rng.h"
#include "tcp/gaps.h"

#define SPACE 400u

struct model {
	bool here[SPACE];
	uint32_t next; /* rcv_nxt, as an index */
};

static struct harness_host *host;
static struct tcp_conn *conn;
static uint32_t base;   /* the number of index 0 */

/* A connection whose ring could hold all of it. */
static void begin(uint32_t start)
{
	struct harness_peer p = { 0 };
	ep_id id;

	host = harness_host_new(1, NULL, 0);
	id = harness_accepted(host, &p, 1460);
	conn = harness_conn(host, id);
	conn->rcv_nxt = conn->receive_base = base = start;
	assert_true(ep_lend(host->stack, conn->ep, EP_RECEIVE, 4096));
}

static void end(void)
{
	gaps_forget(conn);
	conn->receive_base = conn->rcv_nxt;   /* nothing was written */
	harness_host_free(host);
}

static void insert(uint32_t from, uint32_t to)
{
	assert_true(gaps_insert(conn, base + from, base + to));
}

static void compare(const struct model *m)
{
	uint32_t n = 0, i = m->next;

	assert_int_equal(conn->rcv_nxt - base, m->next);
	assert_null(gaps_check(conn));
	while (i < SPACE) {
		uint32_t start;

		while (i < SPACE && !m->here[i])
			i++;
		for (start = i; i < SPACE && m->here[i]; i++)
			;
		if (start == i)
			break;
		assert_true(n < gaps_count(conn));
		assert_int_equal(conn->gaps->at[conn->gaps->first + n].start - base, start);
		assert_int_equal(conn->gaps->at[conn->gaps->first + n].end - base, i);
		n++;
	}
	assert_int_equal(gaps_count(conn), n);
}

/* Every report is of an interval that there is, each once. */
static void check_recent(void)
{
	struct gap_interval recent[GAPS_RECENT];
	unsigned n = gaps_recent(conn, recent, GAPS_RECENT);

	assert_true(n <= gaps_count(conn));
	for (unsigned i = 0; i < n; i++) {
		bool found = false;

		for (uint32_t k = 0; k < gaps_count(conn); k++)
			found = found || memcmp(&conn->gaps->at[conn->gaps->first + k], &recent[i], sizeof(recent[i])) == 0;
		assert_true(found);
		for (unsigned k = 0; k < i; k++)
			assert_true(recent[k].start != recent[i].start);
	}
}

static void arrive(struct model *m, uint32_t from, uint32_t to)
{
	for (uint32_t i = from; i < to; i++)
		m->here[i] = true;
	if (from > m->next) {
		insert(from, to);
		return;
	}
	m->next = to > m->next ? to : m->next;
	conn->rcv_nxt = base + m->next;
	gaps_join(conn);
	while (m->next < SPACE && m->here[m->next])
		m->next++;
}

/* RFC 9293 MUST-59, RFC 2018 8: pieces of any length in any order, across the wrap; now and then all beyond a number is given up. */
static void intervals_are_what_a_bit_for_each_number_says(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 60; seed++) {
		struct model m = { 0 };
		struct rng rng;

		rng_seed_u64(&rng, seed);
		begin(UINT32_C(0) - 200);
		while (m.next < SPACE) {
			uint32_t from = (uint32_t)rng_below(&rng, SPACE), len = 1 + (uint32_t)rng_below(&rng, 12);

			if (rng_below(&rng, 40) == 0)
				from = m.next;
			if (rng_below(&rng, 10) == 0 && from > m.next) {
				gaps_cut(conn, base + from);
				memset(&m.here[from], 0, SPACE - from);
			} else {
				arrive(&m, from, from + len < SPACE ? from + len : SPACE);
			}
			compare(&m);
			check_recent();
		}
		assert_null(conn->gaps);
		end();
	}
}

static void a_cut_at_the_edge_of_an_interval_leaves_no_empty_one(void **state)
{
	(void)state;
	begin(1000);
	insert(10, 20);
	insert(30, 40);
	gaps_cut(conn, base + 30);
	assert_int_equal(gaps_count(conn), 1);
	assert_int_equal(gaps_end(conn), base + 20);
	gaps_cut(conn, base + 15);
	assert_int_equal(gaps_end(conn), base + 15);
	gaps_cut(conn, base + 10);
	assert_null(conn->gaps);
	end();
}

/* covers: 2018-4-first */
static void the_interval_that_changed_last_is_first_and_stays_so_when_an_earlier_one_is_reached(void **state)
{
	struct gap_interval recent[GAPS_RECENT];

	(void)state;
	begin(UINT32_C(0) - 25);
	insert(10, 20);
	insert(50, 60);
	insert(30, 40);
	assert_int_equal(gaps_recent(conn, recent, GAPS_RECENT), 3);
	assert_int_equal(recent[0].start - base, 30);
	assert_int_equal(recent[1].start - base, 50);
	assert_int_equal(recent[2].start - base, 10);
	conn->rcv_nxt = base + 10;
	gaps_join(conn);
	assert_int_equal(conn->rcv_nxt, base + 20);
	assert_int_equal(gaps_recent(conn, recent, GAPS_RECENT), 2);
	assert_int_equal(recent[0].start - base, 30);
	assert_int_equal(recent[1].start - base, 50);
	insert(60, 61);
	assert_int_equal(gaps_recent(conn, recent, 1), 1);
	assert_int_equal(recent[0].start - base, 50);
	assert_int_equal(recent[0].end - base, 61);
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(intervals_are_what_a_bit_for_each_number_says),
		cmocka_unit_test(a_cut_at_the_edge_of_an_interval_leaves_no_empty_one),
		cmocka_unit_test(the_interval_that_changed_last_is_first_and_stays_so_when_an_earlier_one_is_reached),
	};

	return cmocka_run_group_tests_name("gaps", tests, NULL, NULL);
}
