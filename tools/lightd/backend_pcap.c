/* SPDX-License-Identifier: BSD-3-Clause */
/* --io=pcap: an interface live, or a capture that is played through the stack. */
#include "io/pcap.h"

#include <string.h>

#include "tools/lightd/backend.h"

static int open_live(const struct interface_option *i, const struct device_config *config, struct device **device, char why[DEVICE_WHY])
{
	struct pcap_live_config live = { .device = *config, .interface = i->name, .packets = i->packets };

	memcpy(live.mac, i->mac, sizeof live.mac);
	return pcap_live_open(&live, device, why);
}

static int open_pcap(const struct options *o, const struct interface_option *i, const struct device_config *config,
		     struct device **device, char why[DEVICE_WHY])
{
	struct pcap_file_config file = { .device = *config, .input = o->read_file, .output = o->write_file, .packets = i->packets };

	if (o->read_file == NULL)
		return open_live(i, config, device, why);
	memcpy(file.mac, i->mac, sizeof file.mac);
	file.ip4 = i->addresses > 0 ? ipaddr_ip4(&i->address[0].addr) : 0;
	return pcap_file_open(&file, device, why);
}

const struct backend backend_pcap = {
	.name = "pcap", .named = true, .start = backend_starts, .open = open_pcap, .want = backend_wants,
	.thread_begin = backend_thread_begins, .thread_end = backend_ends, .stop = backend_ends,
	.replay_next = pcap_file_next, .replay_clock = pcap_file_clock,
};
