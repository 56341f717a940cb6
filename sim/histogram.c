/* SPDX-License-Identifier: BSD-3-Clause */
/* Buckets whose width grows with the value. */
#include "histogram.h"

#define STEP_BITS 4u   /* log2 of HISTOGRAM_STEPS */

static unsigned bucket_of(uint64_t value)
{
	unsigned top;

	if (value < HISTOGRAM_STEPS)
		return (unsigned)value;
	top = 63u - (unsigned)__builtin_clzll(value) - STEP_BITS;
	return (top + 1) * HISTOGRAM_STEPS + (unsigned)(value >> top & (HISTOGRAM_STEPS - 1));
}

/* The largest value of a bucket. */
static uint64_t edge_of(unsigned bucket)
{
	unsigned top = bucket / HISTOGRAM_STEPS;

	if (top == 0)
		return bucket;
	return ((UINT64_C(1) << STEP_BITS) + bucket % HISTOGRAM_STEPS + 1) * (UINT64_C(1) << (top - 1)) - 1;
}

void histogram_add(struct histogram *h, uint64_t value)
{
	h->buckets[bucket_of(value)]++;
	h->count++;
	h->sum += value;
	if (value > h->most)
		h->most = value;
}

uint64_t histogram_at(const struct histogram *h, double part)
{
	double wanted = part * (double)h->count;
	uint64_t seen = 0, edge;
	unsigned i;

	for (i = 0; i < HISTOGRAM_BUCKETS; i++) {
		seen += h->buckets[i];
		if (h->buckets[i] && (double)seen >= wanted) {
			edge = edge_of(i);
			return edge < h->most ? edge : h->most;
		}
	}
	return h->most;
}
