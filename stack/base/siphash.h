/* SPDX-License-Identifier: BSD-3-Clause */
/* SipHash (Aumasson and Bernstein, 2012): a keyed hash that a peer who does not know the key cannot predict.
 * SipHash-2-4 where an answer goes onto the wire (ISNs, ports, cookies), the shorter 1-3 for hash tables. */
#ifndef LIGHT_BASE_SIPHASH_H
#define LIGHT_BASE_SIPHASH_H

#include <stddef.h>
#include <stdint.h>

struct siphash_key {
	uint64_t k0, k1;
};

/* A key from 16 bytes (little endian), and a key of its own for each purpose from one secret. */
struct siphash_key siphash_key(const uint8_t bytes[16]);
struct siphash_key siphash_key_for(const uint8_t secret[16], uint64_t purpose);

uint64_t siphash24(const struct siphash_key *, const void *bytes, size_t n);

static inline uint64_t siphash_rotate(uint64_t x, unsigned by)
{
	return x << by | x >> (64 - by);
}

#define SIPHASH_ROUND(v0, v1, v2, v3) \
	do { \
		v0 += v1; v1 = siphash_rotate(v1, 13); v1 ^= v0; v0 = siphash_rotate(v0, 32); \
		v2 += v3; v3 = siphash_rotate(v3, 16); v3 ^= v2; \
		v0 += v3; v3 = siphash_rotate(v3, 21); v3 ^= v0; \
		v2 += v1; v1 = siphash_rotate(v1, 17); v1 ^= v2; v2 = siphash_rotate(v2, 32); \
	} while (0)

/* SipHash-1-3 of three whole words (always three, so the length is left out), inline: for hash tables. */
static inline uint64_t siphash13_words(const struct siphash_key *key, uint64_t a, uint64_t b, uint64_t c)
{
	uint64_t v0 = key->k0 ^ UINT64_C(0x736f6d6570736575), v1 = key->k1 ^ UINT64_C(0x646f72616e646f6d);
	uint64_t v2 = key->k0 ^ UINT64_C(0x6c7967656e657261), v3 = key->k1 ^ UINT64_C(0x7465646279746573);
	const uint64_t words[3] = { a, b, c };

	for (unsigned i = 0; i < 3; i++) {
		v3 ^= words[i];
		SIPHASH_ROUND(v0, v1, v2, v3);
		v0 ^= words[i];
	}
	v2 ^= 0xff;
	for (unsigned i = 0; i < 3; i++)
		SIPHASH_ROUND(v0, v1, v2, v3);
	return v0 ^ v1 ^ v2 ^ v3;
}

/* The same of two words: the flow table's, once a packet. */
static inline uint64_t siphash13_pair(const struct siphash_key *key, uint64_t a, uint64_t b)
{
	uint64_t v0 = key->k0 ^ UINT64_C(0x736f6d6570736575), v1 = key->k1 ^ UINT64_C(0x646f72616e646f6d);
	uint64_t v2 = key->k0 ^ UINT64_C(0x6c7967656e657261), v3 = key->k1 ^ UINT64_C(0x7465646279746573);

	v3 ^= a;
	SIPHASH_ROUND(v0, v1, v2, v3);
	v0 ^= a;
	v3 ^= b;
	SIPHASH_ROUND(v0, v1, v2, v3);
	v0 ^= b;
	v2 ^= 0xff;
	SIPHASH_ROUND(v0, v1, v2, v3);
	SIPHASH_ROUND(v0, v1, v2, v3);
	SIPHASH_ROUND(v0, v1, v2, v3);
	return v0 ^ v1 ^ v2 ^ v3;
}

#endif
