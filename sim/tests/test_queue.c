/* SPDX-License-Identifier: BSD-3-Clause */
/* Queue disciplines and what else a direction does to frames: who is dropped, who is marked, and how late the rest is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "sim/wire.h"
#include "stack/base/checksum.h"

#define MS NSEC_PER_MSEC
#define FRAME 1000u          /* with 24 of overhead: 1 ms at this rate */
#define RATE 8192000u
#define NOT_ECT 0u
#define ECT0 2u
#define CE 3u

struct tally {
	unsigned sent, came, marked;
	nsec last_delay, most_delay;
};

static struct wire *make(struct wire_impairment set)
{
	struct wire *w = wire_new(&(struct wire_config){ .ports = 2, .packets = 4096, .seed = 11 });

	assert_non_null(w);
	wire_impair(w, 0, WIRE_UP, &set);
	return w;
}

static void done(struct wire *w)
{
	assert_null(wire_check(w));
	assert_int_equal(wire_outstanding(w), 0);
	wire_free(w);
}

/* An IP packet with its number and the time of its sending behind the header. */
static void send(struct wire *w, uint32_t number, nsec now, uint32_t len, bool ip4, uint8_t ecn)
{
	struct link *l = wire_link(w, 0);
	struct pkt *p;
	uint16_t sum;

	assert_int_equal(l->ops->borrow(l, &p, 1), 1);
	memset(p->data, 0, len);
	memcpy(p->data, wire_link(w, 1)->mac, 6);
	memcpy(p->data + 6, l->mac, 6);
	if (ip4) {
		memcpy(p->data + 12, "\x08\x00\x45", 3);
		p->data[15] = (uint8_t)(0x20 | ecn);
		p->data[22] = 64;
		sum = (uint16_t)~csum_fold(csum_add(0, p->data + 14, 20));
		memcpy(p->data + 24, &sum, 2);
	} else {
		memcpy(p->data + 12, "\x86\xdd\x60", 3);
		p->data[15] = (uint8_t)(ecn << 4 | 5);
	}
	memcpy(p->data + 60, &number, 4);
	memcpy(p->data + 64, &now, 8);
	p->len = len;
	assert_int_equal(l->ops->transmit(l, &p, 1), 1);
}

/* Takes what has come, looks at it. */
static void take(struct wire *w, nsec now, bool ip4, struct tally *t)
{
	struct link *l = wire_link(w, 1);
	uint32_t number;
	struct pkt *p;
	nsec then;

	while (l->ops->receive(l, &p, 1) == 1) {
		memcpy(&number, p->data + 60, 4);
		memcpy(&then, p->data + 64, 8);
		t->last_delay = now - then;
		if (t->last_delay > t->most_delay)
			t->most_delay = t->last_delay;
		if (ip4) {
			assert_int_equal(csum_fold(csum_add(0, p->data + 14, 20)), 0xffff);
			assert_int_equal(p->data[15] & 0xfc, 0x20);
			t->marked += (p->data[15] & 3) == CE;
		} else {
			assert_int_equal(p->data[15] & 0xcf, 5);
			t->marked += (p->data[15] >> 4 & 3) == CE;
		}
		t->came++;
		l->ops->release(l, &p, 1);
	}
}

/* Sends n frames, one each `gap`, and takes what arrives as it arrives. */
static struct tally run(struct wire *w, unsigned n, nsec gap, uint8_t ecn, bool ip4)
{
	struct tally t = { 0 };
	nsec now = 1, next = 1;

	while (t.sent < n || wire_deadline(w) != NSEC_NEVER) {
		nsec due = wire_deadline(w);

		now = t.sent < n && next < due ? next : due;
		wire_advance(w, now);
		if (t.sent < n && now == next) {
			send(w, t.sent++, now, FRAME, ip4, ecn);
			next += gap;
		}
		take(w, now, ip4, &t);
	}
	return t;
}

static void a_step_marks_exactly_those_that_find_more_waiting(void **state)
{
	unsigned ip4;

	(void)state;
	for (ip4 = 0; ip4 < 2; ip4++) {
		struct wire *w = make((struct wire_impairment){ .rate = RATE, .discipline = WIRE_STEP, .step_packets = 3 });
		/* 10 at once: one is sent, 9 wait; the fifth is the first that finds 3 others waiting. */
		struct tally t = run(w, 10, 0, ECT0, ip4);

		assert_int_equal(t.came, 10);
		assert_int_equal(t.marked, 6);
		assert_int_equal(wire_count(w, WIRE_MARKED), 6);
		assert_int_equal(wire_queue_stats(w, 0, WIRE_UP)->marked, 6);
		assert_int_equal(wire_queue_stats(w, 0, WIRE_UP)->packets_most, 9);
		done(w);
	}
}

static void a_step_in_time_marks_those_that_waited_longer(void **state)
{
	struct wire *w = make((struct wire_impairment){ .rate = RATE, .discipline = WIRE_STEP, .step_delay = 5 * MS });
	struct tally t = run(w, 10, 0, ECT0, true);   /* they wait 0, 1, ... 9 ms */

	(void)state;
	assert_int_equal(t.marked, 4);
	assert_int_equal(histogram_at(&wire_queue_stats(w, 0, WIRE_UP)->delay, 1), 9 * MS);
	done(w);
}

static void what_is_not_capable_of_ecn_is_never_marked(void **state)
{
	static const enum wire_discipline all[] = { WIRE_RED, WIRE_CODEL, WIRE_STEP };
	unsigned i;

	(void)state;
	for (i = 0; i < 3; i++) {
		struct wire *w = make((struct wire_impairment){ .rate = RATE, .discipline = all[i], .ecn = true,
			.red_min = 5, .red_max = 15, .step_packets = 5, .queue_packets = 400 });
		struct tally t = run(w, 3000, MS * 9 / 10, NOT_ECT, true);

		assert_int_equal(t.marked, 0);
		assert_int_equal(wire_count(w, WIRE_MARKED), 0);
		if (all[i] != WIRE_STEP)
			assert_true(wire_count(w, WIRE_QUEUE_DROPPED) > 20);
		assert_int_equal(t.came + wire_count(w, WIRE_QUEUE_DROPPED) + wire_count(w, WIRE_QUEUE_FULL), 3000);
		done(w);
	}
}

static void disciplines_mark_in_place_of_drops_where_they_may(void **state)
{
	static const enum wire_discipline all[] = { WIRE_RED, WIRE_CODEL };
	unsigned i;

	(void)state;
	for (i = 0; i < 2; i++) {
		struct wire *w = make((struct wire_impairment){ .rate = RATE, .discipline = all[i], .ecn = true,
			.red_min = 5, .red_max = 15 });
		struct tally t = run(w, 1500, MS * 9 / 10, ECT0, true);

		assert_int_equal(t.came, 1500);
		assert_true(t.marked > 10 && t.marked < 1500);
		assert_int_equal(wire_count(w, WIRE_QUEUE_DROPPED), 0);
		assert_int_equal(wire_count(w, WIRE_MARKED), t.marked);
		done(w);
	}
}

/* RFC 8289 3: a standing queue shrinks to the target, a burst that drains within an interval is left alone. */
static void codel_drains_a_standing_queue_and_leaves_bursts(void **state)
{
	struct wire_impairment set = { .rate = RATE, .queue_packets = 1000 };
	struct tally tail, codel, burst;
	struct wire *w;

	(void)state;
	w = make(set);
	tail = run(w, 12000, MS * 98 / 100, NOT_ECT, true);
	done(w);
	assert_true(tail.most_delay > 200 * MS);
	set.discipline = WIRE_CODEL;
	w = make(set);
	codel = run(w, 12000, MS * 98 / 100, NOT_ECT, true);
	assert_true(wire_count(w, WIRE_QUEUE_DROPPED) >= 200);     /* 2 % too many came */
	assert_true(histogram_at(&wire_queue_stats(w, 0, WIRE_UP)->delay, 0.5) < 12 * MS);
	assert_true(codel.most_delay < 80 * MS);
	done(w);
	w = make(set);
	burst = run(w, 90, 0, NOT_ECT, true);   /* 90 ms of queue, gone before the interval is over */
	assert_int_equal(burst.came, 90);
	done(w);
}

/* Below the lower threshold nothing happens, between them it does now and then, far above to all. */
static void red_goes_by_the_average_length(void **state)
{
	struct wire_impairment set = { .rate = RATE, .discipline = WIRE_RED, .ecn = true, .red_min = 20, .red_max = 60 };
	struct tally t;
	struct wire *w;

	(void)state;
	w = make(set);
	t = run(w, 15, 0, ECT0, true);
	assert_int_equal(t.marked, 0);
	done(w);
	w = make(set);
	t = run(w, 2000, MS * 98 / 100, ECT0, true);    /* the queue grows to 40 */
	assert_in_range(t.marked, 3, 100);
	done(w);
	w = make(set);
	t = run(w, 3000, MS / 2, ECT0, true);           /* to 1,500 */
	assert_true(t.marked > 2200);
	done(w);
}

static void red_forgets_while_the_queue_is_empty(void **state)
{
	struct wire *w = make((struct wire_impairment){ .rate = RATE, .discipline = WIRE_RED, .ecn = true, .red_min = 5,
		.red_max = 10 });
	struct tally t = { 0 };
	unsigned i;

	(void)state;
	run(w, 1000, MS / 2, ECT0, true);
	i = (unsigned)wire_count(w, WIRE_MARKED);
	assert_true(i > 300);
	/* After 10 s nothing of the average is left. */
	wire_advance(w, 11 * NSEC_PER_SEC);
	send(w, 0, 0, FRAME, true, ECT0);
	wire_advance(w, 12 * NSEC_PER_SEC);
	take(w, 0, true, &t);
	assert_int_equal(wire_count(w, WIRE_MARKED), i);
	done(w);
}

static void held_frames_arrive_together(void **state)
{
	struct wire *w = make((struct wire_impairment){ .hold = 10 * MS, .delay = MS });
	struct tally t = { 0 };
	unsigned i;

	(void)state;
	for (i = 0; i < 20; i++) {
		wire_advance(w, i * MS);
		take(w, i * MS, true, &t);
		/* The first arrives at 1 ms and waits until 11 ms; the next batch begins at 12 ms and ends at 22 ms. */
		assert_int_equal(t.came, i < 11 ? 0 : 11);
		send(w, i, i * MS, FRAME, true, NOT_ECT);
	}
	wire_advance(w, 22 * MS - 1);
	take(w, 0, true, &t);
	assert_int_equal(t.came, 11);
	wire_advance(w, 22 * MS);
	take(w, 0, true, &t);
	assert_int_equal(t.came, 20);
	done(w);
}

/* Mean share of the bad state: enter / (enter + leave); mean length of a burst: 1 / leave. */
static void losses_come_in_bursts(void **state)
{
	struct wire *w = make((struct wire_impairment){ .burst_enter = 0.01, .burst_leave = 0.25, .burst_loss = 1 });
	unsigned i, lost, bursts = 0, before = 0;
	bool in_burst = false;
	struct tally t = { 0 };

	(void)state;
	for (i = 0; i < 20000; i++) {
		bool gone;

		send(w, i, i, FRAME, true, NOT_ECT);
		wire_advance(w, i);
		take(w, i, true, &t);
		gone = t.came == before;
		before = t.came;
		bursts += gone && !in_burst;
		in_burst = gone;
	}
	lost = (unsigned)wire_count(w, WIRE_LOST);
	assert_in_range(lost, 20000 * 38 / 1000 * 8 / 10, 20000 * 38 / 1000 * 12 / 10);
	assert_in_range(lost * 100 / bursts, 340, 460);
	done(w);
}

static void a_new_rate_holds_for_those_that_wait(void **state)
{
	struct wire *w = make((struct wire_impairment){ .rate = RATE });
	struct wire_impairment faster = { .rate = 10 * RATE };
	struct tally t = { 0 };
	unsigned i;

	(void)state;
	for (i = 0; i < 11; i++)
		send(w, i, 0, FRAME, true, NOT_ECT);
	assert_int_equal(wire_queue_now(w, 0, WIRE_UP).packets, 10);
	wire_impair(w, 0, WIRE_UP, &faster);
	wire_advance(w, 2 * MS - 1);            /* the first took its millisecond, ten take one together */
	take(w, 0, true, &t);
	assert_int_equal(t.came, 10);
	wire_advance(w, 2 * MS);
	take(w, 0, true, &t);
	assert_int_equal(t.came, 11);
	wire_impair(w, 0, WIRE_UP, &(struct wire_impairment){ .rate = RATE });
	for (i = 0; i < 11; i++)
		send(w, i, 0, FRAME, true, NOT_ECT);
	wire_impair(w, 0, WIRE_UP, &(struct wire_impairment){ .delay = MS });
	wire_advance(w, 4 * MS);                /* without a rate all leave with the first */
	take(w, 0, true, &t);
	assert_int_equal(t.came, 22);
	done(w);
}

static void a_smaller_mtu_of_a_link_is_enforced(void **state)
{
	struct wire *w = make((struct wire_impairment){ 0 });
	struct tally t = { 0 };

	(void)state;
	wire_set_mtu(w, 0, 900);
	assert_int_equal(wire_link(w, 0)->mtu, 900);
	send(w, 0, 0, 14 + 901 + 4, true, NOT_ECT);
	send(w, 1, 0, 14 + 900, true, NOT_ECT);
	take(w, 0, true, &t);
	assert_int_equal(t.came, 1);
	assert_int_equal(wire_count(w, WIRE_OVERSIZE), 1);
	done(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_step_marks_exactly_those_that_find_more_waiting),
		cmocka_unit_test(a_step_in_time_marks_those_that_waited_longer),
		cmocka_unit_test(what_is_not_capable_of_ecn_is_never_marked),
		cmocka_unit_test(disciplines_mark_in_place_of_drops_where_they_may),
		cmocka_unit_test(codel_drains_a_standing_queue_and_leaves_bursts),
		cmocka_unit_test(red_goes_by_the_average_length),
		cmocka_unit_test(red_forgets_while_the_queue_is_empty),
		cmocka_unit_test(held_frames_arrive_together),
		cmocka_unit_test(losses_come_in_bursts),
		cmocka_unit_test(a_new_rate_holds_for_those_that_wait),
		cmocka_unit_test(a_smaller_mtu_of_a_link_is_enforced),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
