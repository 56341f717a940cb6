/* SPDX-License-Identifier: BSD-3-Clause */
/* --io=afxdp: an interface shared with the kernel, which keeps all that is not for Light. */
#include "io/afxdp.h"

#include "tools/lightd/backend.h"

static int open_afxdp(const struct options *o, const struct interface_option *i, const struct device_config *config,
		      struct device **device, char why[DEVICE_WHY])
{
	const struct afxdp_config afxdp = {
		.device = *config, .interface = i->name, .mode = i->xdp_mode, .skb = i->xdp_skb, .busy_poll = i->busy_poll,
		.packets = i->packets
	};

	(void)o;
	return afxdp_open(&afxdp, device, why);
}

const struct backend backend_afxdp = {
	.name = "afxdp", .named = true, .start = backend_starts, .open = open_afxdp, .want = afxdp_want,
	.thread_begin = backend_thread_begins, .thread_end = backend_ends, .stop = backend_ends,
};
