/* SPDX-License-Identifier: BSD-3-Clause */
/* --io=dpdk: ports of DPDK's poll mode drivers. The EAL starts with the first port and ends with the last. */
#include "io/dpdk.h"

#include "tools/lightd/backend.h"

static bool started;

static int start_dpdk(const struct options *o, char why[DEVICE_WHY])
{
	char *arguments[EAL_ARGUMENTS_MAX];
	int error;

	if (started)
		return 0;
	for (unsigned i = 0; i < o->eal_arguments; i++)
		arguments[i] = o->eal_argument[i];
	error = dpdk_start(o->eal_arguments, arguments, why);
	started = error == 0;
	return error;
}

static int open_dpdk(const struct options *o, const struct interface_option *i, const struct device_config *config,
		     struct device **device, char why[DEVICE_WHY])
{
	const struct dpdk_config dpdk = {
		.device = *config, .port = (unsigned)i->port, .promiscuous = i->promiscuous, .packets = i->packets
	};

	(void)o;
	return dpdk_open(&dpdk, device, why);
}

static void stop_dpdk(void)
{
	if (started)
		dpdk_stop();
	started = false;
}

static int thread_begins(void)
{
	return started ? dpdk_thread() : 0;
}

static void thread_ends(void)
{
	if (started)
		dpdk_thread_end();
}

const struct backend backend_dpdk = {
	.name = "dpdk", .busy = true, .start = start_dpdk, .open = open_dpdk, .want = backend_wants,
	.thread_begin = thread_begins, .thread_end = thread_ends, .stop = stop_dpdk,
};
