/* SPDX-License-Identifier: BSD-3-Clause */
/* RFC 1071 sums, 64 bytes a step, in GCC's vectors: any machine has them, in hardware or not; and where the processor has
 * AVX2 the same code, compiled for it. What is only summed is read faster in pieces twice as wide; what is copied, too, is not. */
#include "base/checksum.h"

#include <string.h>

#include "base/check.h"

typedef uint64_t lanes __attribute__((vector_size(32)));
typedef uint64_t wide_lanes __attribute__((vector_size(64)));

/* Sums of 64-bit words, lane by lane, which lose their carries: but the sum of the upper halves alone does not (for less than 16 GB), and what
 * it leaves of the other is the sum of the lower halves, which is all there too. One instruction less than to part the halves first. */
struct gathered {
	lanes words, upper;
};

/* to NULL: only summed; so with all below. */
static inline void gather(struct gathered *g, uint8_t *to, const uint8_t *from)
{
	lanes x;

	memcpy(&x, from, sizeof(x));
	if (to)
		memcpy(to, &x, sizeof(x));
	g->words += x;
	g->upper += x >> 32;
}

static inline uint64_t gathered_sum(uint64_t sum, const struct gathered *a, const struct gathered *b)
{
	lanes upper = a->upper + b->upper, halves = a->words + b->words - (upper << 32) + upper;

	/* Each lane is less than 2^63, so that two of them fit. */
	return csum_join(csum_fold(sum), csum_join(halves[0] + halves[1], halves[2] + halves[3]));
}

/* The last 0..31 bytes, each read once; an odd end counts as if a zero byte followed (RFC 1071 1). */
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

ALWAYS_INLINE uint64_t add(uint64_t sum, uint8_t *to, const uint8_t *from, size_t n)
{
	struct gathered a = { 0 }, b = { 0 };
	size_t at = 0;

	if (n >= sizeof(lanes)) {
		for (; n - at >= 2 * sizeof(lanes); at += 2 * sizeof(lanes)) {
			gather(&a, to ? to + at : NULL, from + at);
			gather(&b, to ? to + at + sizeof(lanes) : NULL, from + at + sizeof(lanes));
		}
		if (n - at >= sizeof(lanes)) {
			gather(&a, to ? to + at : NULL, from + at);
			at += sizeof(lanes);
		}
		sum = gathered_sum(sum, &a, &b);
	}
	return at < n ? add_rest(csum_fold(sum), to ? to + at : NULL, from + at, n - at) : sum;
}

static __attribute__((target("avx2"))) uint64_t add_avx2(uint64_t sum, const uint8_t *from, size_t n)
{
	return add(sum, NULL, from, n);
}

/* AVX-512 with VBMI, although nothing here needs that: processors that have it do not lower their clock for wide vectors. */
static __attribute__((target("avx512vbmi"))) uint64_t add_avx512(uint64_t sum, const uint8_t *from, size_t n)
{
	wide_lanes words = { 0 }, upper = { 0 }, halves, x;
	uint64_t total = 0;
	size_t at;

	for (at = 0; n - at >= sizeof(x); at += sizeof(x)) {
		memcpy(&x, from + at, sizeof(x));
		words += x;
		upper += x >> 32;
	}
	halves = words - (upper << 32) + upper;
	for (unsigned i = 0; i < sizeof(halves) / sizeof(total); i++)
		total += halves[i];  /* each is less than 2^60, for less than 8 GB */
	return add(csum_join(csum_fold(sum), total), NULL, from + at, n - at);
}

static __attribute__((target("avx2"))) uint64_t copy_avx2(uint64_t sum, uint8_t *to, const uint8_t *from, size_t n)
{
	return add(sum, to, from, n);
}

uint64_t csum_add_anywhere(uint64_t sum, const void *bytes, size_t n)
{
	return add(sum, NULL, bytes, n);
}

uint64_t csum_copy_anywhere(uint64_t sum, void *to, const void *from, size_t n)
{
	return add(sum, to, from, n);
}

uint64_t csum_add(uint64_t sum, const void *bytes, size_t n)
{
	if (__builtin_cpu_supports("avx512vbmi"))
		return add_avx512(sum, bytes, n);
	return __builtin_cpu_supports("avx2") ? add_avx2(sum, bytes, n) : csum_add_anywhere(sum, bytes, n);
}

uint64_t csum_copy(uint64_t sum, void *to, const void *from, size_t n)
{
	return __builtin_cpu_supports("avx2") ? copy_avx2(sum, to, from, n) : csum_copy_anywhere(sum, to, from, n);
}
