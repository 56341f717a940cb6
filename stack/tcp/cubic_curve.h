/* SPDX-License-Identifier: BSD-3-Clause */
/* The polynomial of RFC 9438 4.2, for windows in bytes and times in microseconds: C = 0.4 segments a cubic second. */
#ifndef LIGHT_TCP_CUBIC_CURVE_H
#define LIGHT_TCP_CUBIC_CURVE_H

#include <stdint.h>

/* K: when a window that was reduced by `span` bytes is back, in whole microseconds, rounded down. */
uint64_t cubic_k(uint32_t mss, uint32_t span);
/* C (t - K)^3 + W_max. */
int64_t cubic_w(uint32_t mss, uint32_t w_max, uint64_t k, int64_t usec);

#endif
