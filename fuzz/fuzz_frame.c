/* SPDX-License-Identifier: BSD-3-Clause */
/* One frame into a stack with a listener, a datagram socket and an established connection. The first byte says
 * what the harness puts right (checksums, live sequence numbers, a DHCP exchange), the rest is the frame. There is a VLAN with the number 5. */
#include "bench.h"

#include <string.h>

#include "stack/base/check.h"

#define DHCP_TYPE_AT (14 + 20 + 8 + 242)  /* of a message whose first option it is */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* An offer comes again as an ACK, and time passes until the lease is in use, renewed and over. */
static void acknowledge(struct bench *b, const uint8_t *data, size_t size)
{
	uint8_t again[1514];

	memcpy(again, data + 1, size - 1);
	if (size - 1 > DHCP_TYPE_AT && again[DHCP_TYPE_AT] == 2)
		again[DHCP_TYPE_AT] = 5;
	bench_frame(b, again, size - 1, data[0]);
	bench_advance(b, 10 * NSEC_PER_SEC);
	bench_advance(b, 600 * NSEC_PER_SEC);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bench b;

	if (size < 2 || size > 1515)
		return 0;
	bench_open(&b);
	CHECK(stack_add_vlan(b.stack, b.interface, 5, "vlan") > 0);
	if (data[0] & BENCH_DHCP)
		bench_dhcp(&b);
	bench_frame(&b, data + 1, size - 1, data[0]);
	bench_turn(&b);
	if (data[0] & BENCH_DHCP)
		acknowledge(&b, data, size);
	bench_advance(&b, 300 * NSEC_PER_MSEC);
	bench_close(&b);
	return 0;
}
