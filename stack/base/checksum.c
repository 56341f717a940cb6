/* SPDX-License-Identifier: BSD-3-Clause */
/* RFC 1071 sums, 32 bytes a step: each vector lane gathers 32-bit words in 64 bits, which cannot overflow for less
 * than 16 GB, so there are no carries to look after. (GCC's vectors; any machine has them, in hardware or not.) */
#include "base/checksum.h"

#include <string.h>

typedef uint64_t lanes __attribute__((vector_size(16)));

#define LANES_MASK ((lanes){ 0xffffffffu, 0xffffffffu })

/* The last 0..31 bytes, each read once; an odd end counts as if a zero byte followed (RFC 1071 1). to NULL: only summed. */
static inline uint64_t add_rest(uint64_t sum, uint8_t *to, const uint8_t *p, size_t n)
{
	for (; n >= 4; p += 4, n -= 4) {
		uint32_t word;

		memcpy(&word, p, sizeof(word));
		sum += word;
		if (to) {
			memcpy(to, &word, sizeof(word));
			to += 4;
		}
	}
	if (n) {
		uint32_t word = 0;
		uint8_t *bytes = (uint8_t *)&word;

		for (size_t i = 0; i < n; i++)
			bytes[i] = p[i];
		sum += word;
		for (size_t i = 0; to && i < n; i++)
			to[i] = bytes[i];
	}
	return sum;
}

uint64_t csum_add(uint64_t sum, const void *bytes, size_t n)
{
	const uint8_t *p = bytes;
	lanes a = { 0 }, b = { 0 };

	if (n < 32)
		return add_rest(csum_fold(sum), NULL, p, n);
	for (; n >= 32; p += 32, n -= 32) {
		lanes x, y;

		memcpy(&x, p, sizeof(x));
		memcpy(&y, p + 16, sizeof(y));
		a += (x & LANES_MASK) + (x >> 32);
		b += (y & LANES_MASK) + (y >> 32);
	}
	a += b;
	sum = csum_join(csum_fold(sum), a[0] + a[1]);
	return n ? add_rest(sum, NULL, p, n) : sum;
}

uint64_t csum_copy(uint64_t sum, void *to, const void *from, size_t n)
{
	const uint8_t *p = from;
	uint8_t *q = to;
	lanes a = { 0 }, b = { 0 };

	if (n < 32)
		return add_rest(csum_fold(sum), q, p, n);
	for (; n >= 32; p += 32, q += 32, n -= 32) {
		lanes x, y;

		memcpy(&x, p, sizeof(x));
		memcpy(&y, p + 16, sizeof(y));
		memcpy(q, &x, sizeof(x));
		memcpy(q + 16, &y, sizeof(y));
		a += (x & LANES_MASK) + (x >> 32);
		b += (y & LANES_MASK) + (y >> 32);
	}
	a += b;
	sum = csum_join(csum_fold(sum), a[0] + a[1]);
	return n ? add_rest(sum, q, p, n) : sum;
}
