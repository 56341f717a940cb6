/* SPDX-License-Identifier: BSD-3-Clause */
/* Chance, from a seed: xoshiro256** (Blackman and Vigna, 2018), seeded through SipHash. Not for secrets: what a peer
 * must not guess is a SipHash of a secret. */
#ifndef LIGHT_BASE_RNG_H
#define LIGHT_BASE_RNG_H

#include <stdint.h>

struct rng {
	uint64_t state[4];
};

void rng_seed(struct rng *, const uint8_t seed[16]);
void rng_seed_u64(struct rng *, uint64_t seed);
uint64_t rng_u64(struct rng *);

static inline uint32_t rng_u32(struct rng *r)
{
	return (uint32_t)(rng_u64(r) >> 32);
}

/* Uniform in [0, n); n > 0. (Multiply and shift: a bias below n / 2^64.) */
static inline uint64_t rng_below(struct rng *r, uint64_t n)
{
	return (uint64_t)(((unsigned __int128)rng_u64(r) * n) >> 64);
}

#endif
