/* SPDX-License-Identifier: BSD-3-Clause */
/* Percentiles from buckets: right within a step, for small values exactly. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sim/histogram.h"

static void small_values_are_exact(void **state)
{
	struct histogram h = { 0 };
	unsigned i;

	(void)state;
	assert_int_equal(histogram_at(&h, 0.5), 0);
	for (i = 1; i <= 10; i++)
		histogram_add(&h, i);
	assert_int_equal(histogram_at(&h, 0.1), 1);
	assert_int_equal(histogram_at(&h, 0.5), 5);
	assert_int_equal(histogram_at(&h, 1), 10);
	assert_int_equal(h.sum, 55);
}

static void percentiles_are_right_within_a_sixteenth_however_large(void **state)
{
	static const double parts[] = { 0.01, 0.5, 0.95, 0.99 };
	uint64_t scale;
	unsigned i;

	(void)state;
	for (scale = 1; scale < UINT64_C(1) << 50; scale *= 37) {
		struct histogram h = { 0 };

		for (i = 1; i <= 1000; i++)
			histogram_add(&h, i * scale);
		for (i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
			uint64_t exact = (uint64_t)(parts[i] * 1000) * scale, got = histogram_at(&h, parts[i]);

			assert_in_range(got, exact, exact + exact / 16 + 1);
		}
		assert_int_equal(histogram_at(&h, 1), 1000 * scale);
	}
}

static void the_largest_number_has_a_bucket(void **state)
{
	struct histogram h = { 0 };

	(void)state;
	histogram_add(&h, UINT64_MAX);
	histogram_add(&h, 0);
	assert_int_equal(histogram_at(&h, 0.5), 0);
	assert_int_equal(histogram_at(&h, 1), UINT64_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(small_values_are_exact),
		cmocka_unit_test(percentiles_are_right_within_a_sixteenth_however_large),
		cmocka_unit_test(the_largest_number_has_a_bucket),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
