/* SPDX-License-Identifier: BSD-3-Clause */
/* --io=tap: a host beside the local kernel. */
#include "io/tap.h"

#include <string.h>

#include "tools/lightd/backend.h"

static int open_tap(const struct options *o, const struct interface_option *i, const struct device_config *config,
		    struct device **device, char why[DEVICE_WHY])
{
	struct tap_config tap = {
		.device = *config, .interface = i->name, .packets = i->packets, .no_offload = i->no_offload
	};

	(void)o;
	memcpy(tap.mac, i->mac, sizeof tap.mac);
	return tap_open(&tap, device, why);
}

const struct backend backend_tap = {
	.name = "tap", .named = true, .start = backend_starts, .open = open_tap, .want = backend_wants,
	.thread_begin = backend_thread_begins, .thread_end = backend_ends, .stop = backend_ends,
};
