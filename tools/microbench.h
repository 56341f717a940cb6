/* SPDX-License-Identifier: BSD-3-Clause */
/* What the parts of light-microbench share. */
#ifndef LIGHT_MICROBENCH_H
#define LIGHT_MICROBENCH_H

#include <stdint.h>

/* A line of the result. */
void bench_row(const char *name, double value, const char *unit);
/* The result, or the end with what failed: < 0 is -errno. */
int64_t bench_must(const char *what, int64_t result);

/* segmentbench.c: what one in-order segment costs each end alone. `rounds` are measured, the least of each end counts. */
void bench_segment_split(unsigned rounds);

#endif
