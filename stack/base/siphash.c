/* SPDX-License-Identifier: BSD-3-Clause */
/* SipHash-2-4 over bytes, as its paper has it (and the test vectors beside it). */
#include "base/siphash.h"

#include <string.h>

static uint64_t load_little(const uint8_t *p)
{
	uint64_t word = 0;

	for (unsigned i = 0; i < 8; i++)
		word |= (uint64_t)p[i] << (8 * i);
	return word;
}

struct siphash_key siphash_key(const uint8_t bytes[16])
{
	return (struct siphash_key){ load_little(bytes), load_little(bytes + 8) };
}

struct siphash_key siphash_key_for(const uint8_t secret[16], uint64_t purpose)
{
	struct siphash_key key = siphash_key(secret);
	uint64_t words[2] = { purpose, 0 };
	struct siphash_key derived;

	derived.k0 = siphash24(&key, words, sizeof(words));
	words[1] = 1;
	derived.k1 = siphash24(&key, words, sizeof(words));
	return derived;
}

uint64_t siphash24(const struct siphash_key *key, const void *bytes, size_t n)
{
	uint64_t v0 = key->k0 ^ UINT64_C(0x736f6d6570736575), v1 = key->k1 ^ UINT64_C(0x646f72616e646f6d);
	uint64_t v2 = key->k0 ^ UINT64_C(0x6c7967656e657261), v3 = key->k1 ^ UINT64_C(0x7465646279746573);
	const uint8_t *p = bytes;
	uint64_t word = (uint64_t)n << 56;
	size_t rest = n % 8;

	for (const uint8_t *end = p + (n - rest); p != end; p += 8) {
		uint64_t m = load_little(p);

		v3 ^= m;
		SIPHASH_ROUND(v0, v1, v2, v3);
		SIPHASH_ROUND(v0, v1, v2, v3);
		v0 ^= m;
	}
	for (size_t i = 0; i < rest; i++)
		word |= (uint64_t)p[i] << (8 * i);
	v3 ^= word;
	SIPHASH_ROUND(v0, v1, v2, v3);
	SIPHASH_ROUND(v0, v1, v2, v3);
	v0 ^= word;
	v2 ^= 0xff;
	for (unsigned i = 0; i < 4; i++)
		SIPHASH_ROUND(v0, v1, v2, v3);
	return v0 ^ v1 ^ v2 ^ v3;
}
