/* SPDX-License-Identifier: BSD-3-Clause */
/* Only the cube needs more than 64 bits. */
#include "cubic_curve.h"

#define K_MOST_USEC (1ull << 36)

__extension__ typedef __int128 int128;

static int128 cubed(uint32_t mss, int128 usec)
{
	return usec * usec * usec * 4 * mss / 10;
}

uint64_t cubic_k(uint32_t mss, uint32_t span)
{
	const int128 wanted = (int128)span * 1000000 * 1000000 * 1000000;
	uint64_t low = 0, high = K_MOST_USEC;

	while (high - low > 1) {
		uint64_t middle = low + (high - low) / 2;

		if (cubed(mss, middle) <= wanted)
			low = middle;
		else
			high = middle;
	}
	return low;
}

int64_t cubic_w(uint32_t mss, uint32_t w_max, uint64_t k, int64_t usec)
{
	return (int64_t)(cubed(mss, (int128)usec - (int64_t)k) / 1000000 / 1000000 / 1000000) + w_max;
}
