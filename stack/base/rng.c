/* SPDX-License-Identifier: BSD-3-Clause */
/* xoshiro256**. The seed goes through SipHash, so that neighbouring seeds give unrelated sequences. */
#include "base/rng.h"

#include <string.h>

#include "base/siphash.h"

void rng_seed(struct rng *r, const uint8_t seed[16])
{
	struct siphash_key key = siphash_key(seed);

	for (uint64_t i = 0; i < 4; i++)
		r->state[i] = siphash24(&key, &i, sizeof(i));
	r->state[0] |= 1;  /* all zero is the one state it never leaves */
}

void rng_seed_u64(struct rng *r, uint64_t seed)
{
	uint8_t bytes[16] = { 0 };

	memcpy(bytes, &seed, sizeof(seed));
	rng_seed(r, bytes);
}

uint64_t rng_u64(struct rng *r)
{
	uint64_t *s = r->state;
	uint64_t result = siphash_rotate(s[1] * 5, 7) * 9, t = s[1] << 17;

	s[2] ^= s[0];
	s[3] ^= s[1];
	s[1] ^= s[2];
	s[0] ^= s[3];
	s[2] ^= t;
	s[3] = siphash_rotate(s[3], 45);
	return result;
}
