/* SPDX-License-Identifier: BSD-3-Clause */
/* The bytes that scripted applications send: each depends on its position and on the stream's key, so that a
 * byte lost, doubled or moved by any distance is seen at once. */
#ifndef LIGHT_SIM_PATTERN_H
#define LIGHT_SIM_PATTERN_H

#include <stdint.h>
#include <string.h>

static inline uint64_t pattern_word(uint64_t key, uint64_t index)
{
	uint64_t x = (key ^ index * UINT64_C(0x9e3779b97f4a7c15)) * UINT64_C(0xd6e8feb86659fd93);

	return x ^ x >> 32;
}

/* Bytes [at, at + n) of the stream. */
static inline void pattern_fill(uint64_t key, uint64_t at, uint8_t *to, uint32_t n)
{
	uint32_t i, k;

	for (i = 0; i < n; i += k) {
		uint64_t word = pattern_word(key, (at + i) / 8);
		uint32_t skip = (uint32_t)(at + i) % 8;

		k = 8 - skip < n - i ? 8 - skip : n - i;
		memcpy(to + i, (uint8_t *)&word + skip, k);
	}
}

/* The index of the first of n bytes that is wrong; n: none is. */
static inline uint32_t pattern_differs(uint64_t key, uint64_t at, const uint8_t *bytes, uint32_t n)
{
	uint32_t i, k, j;

	for (i = 0; i < n; i += k) {
		uint64_t word = pattern_word(key, (at + i) / 8);
		uint32_t skip = (uint32_t)(at + i) % 8;

		k = 8 - skip < n - i ? 8 - skip : n - i;
		for (j = 0; j < k; j++)
			if (bytes[i + j] != ((uint8_t *)&word)[skip + j])
				return i + j;
	}
	return n;
}

#endif
