/* SPDX-License-Identifier: BSD-3-Clause */
/* One frame into a stack with a listener, a datagram socket and an established connection. The first byte says
 * what the harness puts right (checksums, live sequence numbers), the rest is the frame. */
#include "bench.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bench b;

	if (size < 2)
		return 0;
	bench_open(&b);
	bench_frame(&b, data + 1, size - 1, data[0]);
	bench_turn(&b);
	bench_advance(&b, 300 * NSEC_PER_MSEC);
	bench_close(&b);
	return 0;
}
