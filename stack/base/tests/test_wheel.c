/* SPDX-License-Identifier: BSD-3-Clause */
/* The timer wheel against a plain array of due times. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/rng.h"
#include "base/wheel.h"

#define TIMERS 500

struct entry {
	struct timer timer;
	nsec due;       /* the model; NSEC_NEVER: not armed */
	unsigned fired;
};

static struct entry entries[TIMERS];
static struct wheel wheel;
static nsec now;
static struct rng rng;

static void fire(void *context, struct timer *t)
{
	struct entry *e = container_of(t, struct entry, timer);

	assert_ptr_equal(context, &wheel);
	assert_true(e->due <= now);
	e->due = NSEC_NEVER;
	e->fired++;
}

static int setup(void **state)
{
	(void)state;
	now = 1234567;
	rng_seed_u64(&rng, 7);
	wheel_init(&wheel, now);
	for (unsigned i = 0; i < TIMERS; i++)
		entries[i] = (struct entry){ .timer.fire = fire, .due = NSEC_NEVER };
	return 0;
}

static nsec earliest(void)
{
	nsec due = NSEC_NEVER;

	for (unsigned i = 0; i < TIMERS; i++)
		if (entries[i].due < due)
			due = entries[i].due;
	return due;
}

static void advance(nsec to)
{
	unsigned expected = 0;

	now = to;
	for (unsigned i = 0; i < TIMERS; i++)
		expected += entries[i].due <= now;
	assert_int_equal(wheel_advance(&wheel, now, &wheel), expected);
	for (unsigned i = 0; i < TIMERS; i++)
		assert_true(entries[i].due > now);
}

/* Delays of every magnitude, from nanoseconds to years. */
static nsec some_delay(void)
{
	return rng_u64(&rng) >> (8 + rng_below(&rng, 56));
}

static void any_sequence_fires_what_is_due_and_nothing_else(void **state)
{
	(void)state;
	for (unsigned step = 0; step < 60000; step++) {
		struct entry *e = &entries[rng_below(&rng, TIMERS)];

		switch (rng_below(&rng, 6)) {
		case 0:
		case 1:
		case 2:
			e->due = now + some_delay();
			wheel_arm(&wheel, &e->timer, e->due);
			break;
		case 3:
			e->due = NSEC_NEVER;
			wheel_cancel(&wheel, &e->timer);
			break;
		case 4:
			if (earliest() != NSEC_NEVER)
				advance(earliest());
			break;
		case 5:
			advance(now + some_delay() % NSEC_PER_SEC);
			break;
		}
		assert_int_equal(timer_armed(&e->timer), e->due != NSEC_NEVER);
		if (step % 5 == 0)
			assert_int_equal(wheel_next(&wheel), earliest());
		if (step % 16 == 0)
			assert_null(wheel_check(&wheel));
	}
}

static void a_timer_fires_at_its_nanosecond(void **state)
{
	(void)state;
	entries[0].due = now + 40 * NSEC_PER_MSEC + 1;
	wheel_arm(&wheel, &entries[0].timer, entries[0].due);
	advance(entries[0].due - 1);
	assert_int_equal(entries[0].fired, 0);
	advance(entries[0].due);
	assert_int_equal(entries[0].fired, 1);
	assert_int_equal(wheel_next(&wheel), NSEC_NEVER);
}

static void a_due_in_the_past_fires_at_the_next_advance(void **state)
{
	(void)state;
	advance(now + NSEC_PER_SEC);
	entries[0].due = now - NSEC_PER_MSEC;
	wheel_arm(&wheel, &entries[0].timer, entries[0].due);
	assert_int_equal(wheel_next(&wheel), entries[0].due);
	advance(now);
	assert_int_equal(entries[0].fired, 1);
}

static void fire_and_cancel_others(void *context, struct timer *t)
{
	(void)t;
	for (unsigned i = 1; i < TIMERS; i++)
		wheel_cancel(context, &entries[i].timer);
	wheel_arm(context, &entries[0].timer, now);
	entries[0].fired++;
}

static void a_timer_may_cancel_others_that_are_due_and_arm_itself(void **state)
{
	(void)state;
	entries[0].timer.fire = fire_and_cancel_others;
	for (unsigned i = 0; i < 10; i++)
		wheel_arm(&wheel, &entries[i].timer, now + 100);
	now += 100;
	assert_int_equal(wheel_advance(&wheel, now, &wheel), 1);
	assert_int_equal(entries[0].fired, 1);
	assert_int_equal(entries[5].fired, 0);
	assert_null(wheel_check(&wheel));
	/* armed for now, inside the advance: the next one's */
	assert_int_equal(wheel_next(&wheel), now);
	assert_int_equal(wheel_advance(&wheel, now, &wheel), 1);
	assert_int_equal(entries[0].fired, 2);
	wheel_cancel(&wheel, &entries[0].timer);
	assert_int_equal(wheel.armed, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(any_sequence_fires_what_is_due_and_nothing_else, setup),
		cmocka_unit_test_setup(a_timer_fires_at_its_nanosecond, setup),
		cmocka_unit_test_setup(a_due_in_the_past_fires_at_the_next_advance, setup),
		cmocka_unit_test_setup(a_timer_may_cancel_others_that_are_due_and_arm_itself, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
