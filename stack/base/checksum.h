/* SPDX-License-Identifier: BSD-3-Clause */
/* The Internet checksum (RFC 1071). Sums are kept unfolded in 64 bits and in memory order, so that the folded result
 * is stored as it is, on any machine (RFC 1071 2 (B)). Any piece but the last must have an even length. */
#ifndef LIGHT_BASE_CHECKSUM_H
#define LIGHT_BASE_CHECKSUM_H

#include <stddef.h>
#include <stdint.h>

#include "../addr.h"

/* sum + the sum of n bytes. */
uint64_t csum_add(uint64_t sum, const void *bytes, size_t n);
/* Copies n bytes and returns sum + the sum of what was copied (each source byte is read once). */
uint64_t csum_copy(uint64_t sum, void *to, const void *from, size_t n);
/* The same on a processor without AVX2; for the test. */
uint64_t csum_add_anywhere(uint64_t sum, const void *bytes, size_t n);
uint64_t csum_copy_anywhere(uint64_t sum, void *to, const void *from, size_t n);

/* The sum of `words` 32-bit words, inline: for headers, which are short. */
static inline uint64_t csum_words(const void *bytes, unsigned words)
{
	const uint8_t *p = bytes;
	uint64_t sum = 0;

	for (unsigned i = 0; i < words; i++) {
		uint32_t word;

		memcpy(&word, p + 4 * i, sizeof(word));
		sum += word;
	}
	return sum;
}

/* The 16-bit ones'-complement sum, in memory order. */
static inline uint16_t csum_fold(uint64_t sum)
{
	uint32_t upper;

	/* Both halves added to both: the carry of the lower ends up in the upper one, where it belongs. */
	sum += sum << 32 | sum >> 32;
	upper = (uint32_t)(sum >> 32);
	upper += upper << 16 | upper >> 16;
	return (uint16_t)(upper >> 16);
}

/* The field to store (memory order). A sum over data that includes a right checksum gives 0. */
static inline uint16_t csum_finish(uint64_t sum)
{
	return (uint16_t)~csum_fold(sum);
}

/* a + b, when both may be near 2^64. */
static inline uint64_t csum_join(uint64_t a, uint64_t b)
{
	uint64_t sum = a + b;

	return sum + (sum < a);
}

/* The sum of a piece that begins at an odd offset of the whole. */
static inline uint64_t csum_swap(uint64_t sum)
{
	return __builtin_bswap16(csum_fold(sum));
}

/* The field after one 16-bit word covered by it changed (RFC 1624 3, equation 3); all in memory order. */
static inline uint16_t csum_update(uint16_t field, uint16_t before, uint16_t after)
{
	return csum_finish((uint64_t)(uint16_t)~field + (uint16_t)~before + after);
}

/* The pseudo-header (RFC 9293 3.1, RFC 768; RFC 8200 8.1). The mapped form's ffff is a zero of ones' complement, so
 * one formula serves both versions of IP. length: bytes of layer 4, its header included. */
static inline uint64_t csum_pseudo(const struct ipaddr *source, const struct ipaddr *destination,
				   uint8_t protocol, uint32_t length)
{
	uint64_t sum = csum_join(csum_join(source->halves[0], source->halves[1]), csum_join(destination->halves[0], destination->halves[1]));

	return (uint32_t)sum + (sum >> 32) + __builtin_bswap32(length) + __builtin_bswap32((uint32_t)protocol);
}

#endif
