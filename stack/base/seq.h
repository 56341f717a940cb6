/* SPDX-License-Identifier: BSD-3-Clause */
/* Sequence numbers: comparison modulo 2^32 (RFC 9293 3.4). a < b means that b is less than 2^31 ahead of a. */
#ifndef LIGHT_BASE_SEQ_H
#define LIGHT_BASE_SEQ_H

#include <stdbool.h>
#include <stdint.h>

static inline bool seq_lt(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) < 0;
}

static inline bool seq_leq(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) <= 0;
}

static inline bool seq_gt(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) > 0;
}

static inline bool seq_geq(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) >= 0;
}

/* start <= a < start + length. */
static inline bool seq_within(uint32_t a, uint32_t start, uint32_t length)
{
	return a - start < length;
}

static inline uint32_t seq_max(uint32_t a, uint32_t b)
{
	return seq_gt(a, b) ? a : b;
}

static inline uint32_t seq_min(uint32_t a, uint32_t b)
{
	return seq_lt(a, b) ? a : b;
}

#endif
