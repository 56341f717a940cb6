/* SPDX-License-Identifier: BSD-3-Clause */
/* Values by size: 16 steps to each doubling, so that a percentile is right within 7 % however large the values are,
 * in a fixed room. An all-zero histogram is empty. */
#ifndef LIGHT_SIM_HISTOGRAM_H
#define LIGHT_SIM_HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_STEPS 16u
#define HISTOGRAM_BUCKETS (61u * HISTOGRAM_STEPS)

struct histogram {
	uint64_t count, sum, most;
	uint32_t buckets[HISTOGRAM_BUCKETS];
};

void histogram_add(struct histogram *, uint64_t value);
/* The value that this part (0..1) of all do not exceed; 0 of an empty one. Never above the largest. */
uint64_t histogram_at(const struct histogram *, double part);

static inline double histogram_mean(const struct histogram *h)
{
	return h->count ? (double)h->sum / (double)h->count : 0;
}

#endif
