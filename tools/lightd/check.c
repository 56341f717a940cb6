/* SPDX-License-Identifier: BSD-3-Clause */
/* What no single setting can know: names given twice, gateways that no interface reaches, settings of another backend. */
#include "tools/lightd/check.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tools/lightd/backend.h"
#include "tools/lightd/settings.h"

static const struct backend *backend_of(const struct options *o, const struct interface_option *i)
{
	return i->backend != NULL ? i->backend : o->backend;
}

static bool uses(const struct options *o, const char *backend)
{
	for (unsigned i = 0; i < o->interfaces; i++) {
		const struct backend *b = backend_of(o, &o->interface[i]);

		if (b != NULL && strcmp(b->name, backend) == 0)
			return true;
	}
	return false;
}

static void want_backend(const struct interface_option *i, const struct backend *b, bool said, const char *option, const char *backends)
{
	if (said && (b == NULL || strstr(backends, b->name) == NULL))
		complain(&i->place, "%s: only for interfaces of %s", option, backends);
}

static bool same_net(const struct address_option *a, const struct ipaddr *b)
{
	uint32_t mask = a->prefix == 0 ? 0 : UINT32_MAX << (32 - a->prefix);

	return ((__builtin_bswap32(ipaddr_ip4(&a->addr)) ^ __builtin_bswap32(ipaddr_ip4(b))) & mask) == 0;
}

/* ---- interfaces ---- */

static void check_addresses(const struct options *o, const struct address_option *list, unsigned n)
{
	for (unsigned k = 0; k < n; k++) {
		unsigned times = 0;

		for (unsigned i = 0; i < o->interfaces; i++) {
			const struct interface_option *f = &o->interface[i];

			for (unsigned a = 0; a < f->addresses; a++)
				times += ipaddr_equal(&f->address[a].addr, &list[k].addr);
			for (unsigned v = 0; v < f->vlans; v++) {
				for (unsigned a = 0; a < f->vlan[v].addresses; a++)
					times += ipaddr_equal(&f->vlan[v].address[a].addr, &list[k].addr);
			}
		}
		if (times > 1)
			complain(&list[k].place, "an address stands twice: each may be on one interface only");
	}
}

static void check_vlans(const struct options *o, const struct interface_option *i)
{
	char name[32];

	for (unsigned v = 0; v < i->vlans; v++) {
		snprintf(name, sizeof name, "%s.%u", i->name, i->vlan[v].vid);
		if (strlen(name) >= NAME_MAX_BYTES)
			complain(&i->place, "VLAN %u: its interface's name, %s, is longer than 15 bytes", i->vlan[v].vid, name);
		check_addresses(o, i->vlan[v].address, i->vlan[v].addresses);
	}
}

static void check_interface(const struct options *o, struct interface_option *i)
{
	static const uint8_t none[6];
	const struct backend *b = backend_of(o, i);

	if (b == NULL) {
		complain(&i->place, "an interface is for --io=tap, afxdp, pcap or dpdk; sim has --hosts NAME=ADDRESS");
		return;
	}
	if (!b->named && i->port < 0)
		complain(&i->place, "an interface of dpdk needs --port");
	if (!b->named && i->name[0] == '\0')
		snprintf(i->name, sizeof i->name, "port%d", i->port < 0 ? 0 : i->port);
	if (i->name[0] == '\0' && o->read_file != NULL)
		strcpy(i->name, "replay0");
	if (i->name[0] == '\0')
		complain(&i->place, "an interface needs a name: --interface");
	if (i->mtu > 9000)
		complain(&i->place, "--mtu: '%u': at most 9000 on a device", i->mtu);
	want_backend(i, b, i->port >= 0, "--port", "dpdk");
	want_backend(i, b, i->xdp_mode != AFXDP_AUTO, "--xdp-mode", "afxdp");
	want_backend(i, b, i->xdp_skb, "--xdp-skb", "afxdp");
	want_backend(i, b, i->busy_poll, "--busy-poll", "afxdp");
	want_backend(i, b, i->promiscuous, "--promiscuous", "dpdk");
	want_backend(i, b, i->no_offload, "--no-offload", "tap");
	want_backend(i, b, memcmp(i->mac, none, 6) != 0, "--mac", "tap, pcap");
	check_addresses(o, i->address, i->addresses);
	check_vlans(o, i);
}

static void check_interfaces(struct options *o)
{
	unsigned all = 0;

	for (unsigned k = 0; k < o->interfaces; k++) {
		struct interface_option *i = &o->interface[k];

		check_interface(o, i);
		all += 1 + i->vlans;
		if (all > INTERFACES_MAX)
			complain(&i->place, "%u interfaces and VLANs: at most %u together", all, INTERFACES_MAX);
		for (unsigned j = 0; j < k; j++) {
			if (i->name[0] != '\0' && strcmp(i->name, o->interface[j].name) == 0)
				complain(&i->place, "two interfaces are called %s", i->name);
			if (i->port >= 0 && i->port == o->interface[j].port)
				complain(&i->place, "two interfaces are port %d", i->port);
		}
	}
	if (o->backend != NULL && o->interfaces == 0)
		complain(setting_place(o, "", "io"), "--io=%s needs an interface: --%s", o->backend->name, o->backend->named ? "interface NAME" : "port NUMBER");
}

/* ---- routes ---- */

/* Whether an interface of this name (any, if empty) has a network with the address in it; an interface that asks DHCP may come to have. */
static bool is_reached(const struct options *o, const char *name, const struct ipaddr *addr)
{
	char vlan[32];

	for (unsigned k = 0; k < o->interfaces; k++) {
		const struct interface_option *i = &o->interface[k];

		if (*name == '\0' || strcmp(name, i->name) == 0) {
			if (i->dhcp)
				return true;
			for (unsigned a = 0; a < i->addresses; a++) {
				if (same_net(&i->address[a], addr))
					return true;
			}
		}
		for (unsigned v = 0; v < i->vlans; v++) {
			snprintf(vlan, sizeof vlan, "%s.%u", i->name, i->vlan[v].vid);
			if (*name != '\0' && strcmp(name, vlan) != 0)
				continue;
			if (i->vlan[v].dhcp)
				return true;
			for (unsigned a = 0; a < i->vlan[v].addresses; a++) {
				if (same_net(&i->vlan[v].address[a], addr))
					return true;
			}
		}
	}
	return false;
}

static bool is_an_interface(const struct options *o, const char *name)
{
	char vlan[32];

	for (unsigned k = 0; k < o->interfaces; k++) {
		if (strcmp(name, o->interface[k].name) == 0)
			return true;
		for (unsigned v = 0; v < o->interface[k].vlans; v++) {
			snprintf(vlan, sizeof vlan, "%s.%u", o->interface[k].name, o->interface[k].vlan[v].vid);
			if (strcmp(name, vlan) == 0)
				return true;
		}
	}
	return false;
}

static void check_routes(const struct options *o)
{
	for (unsigned k = 0; k < o->routes; k++) {
		const struct route_option *r = &o->route[k];

		if (r->interface[0] != '\0' && !is_an_interface(o, r->interface))
			complain(&r->place, "a route's interface, %s, is none of those given", r->interface);
		else if (!ipaddr_is_any(&r->gateway) && !is_reached(o, r->interface, &r->gateway))
			complain(&r->place, "a gateway is in no network of %s", r->interface[0] != '\0' ? r->interface : "any interface");
	}
	for (unsigned k = 0; k < o->neighbours; k++) {
		const struct neighbour_option *n = &o->neighbour[k];

		if (n->interface[0] != '\0' && !is_an_interface(o, n->interface))
			complain(&n->place, "a neighbour's interface, %s, is none of those given", n->interface);
		else if (!is_reached(o, n->interface, &n->addr))
			complain(&n->place, "a neighbour is in no network of %s", n->interface[0] != '\0' ? n->interface : "any interface");
	}
}

/* ---- the rest ---- */

static void check_cores(const struct options *o)
{
	long present = sysconf(_SC_NPROCESSORS_CONF);

	for (unsigned i = 0; i < o->cpus; i++) {
		if (o->cpu[i] >= present)
			complain(setting_place(o, "", "cores"), "--cores: this machine has no CPU %u: 0 to %ld", o->cpu[i], present - 1);
	}
	if (o->queues > 1 && o->cpus != 0 && o->cpus != o->queues)
		complain(setting_place(o, "", "cores"), "--cores: %u CPUs for --queues=%u: one for each, in order", o->cpus, o->queues);
}

static void check_replay(const struct options *o)
{
	bool pcap = uses(o, "pcap");

	if ((o->read_file != NULL || o->write_file != NULL) && !pcap)
		complain(setting_place(o, "pcap", o->read_file != NULL ? "read" : "write"), "--read and --write are for --io=pcap");
	if (o->read_file == NULL && o->write_file != NULL)
		complain(setting_place(o, "pcap", "write"), "--write: there are answers to write only with --read");
	if (o->read_file == NULL && o->listeners > 0)
		complain(setting_place(o, "pcap", "listen"), "--listen: only for a replay (--read)");
	if (o->read_file != NULL && (o->interfaces != 1 || o->queues != 1))
		complain(setting_place(o, "pcap", "read"), "--read: a replay has one interface and one queue");
	for (unsigned i = 0; o->read_file != NULL && i < o->interfaces; i++) {
		bool dhcp = o->interface[i].dhcp;

		for (unsigned v = 0; v < o->interface[i].vlans; v++)
			dhcp = dhcp || o->interface[i].vlan[v].dhcp;
		if (dhcp)
			complain(&o->interface[i].place, "--dhcp: in a replay nobody can be asked: give the address that the capture's host had");
	}
	if (o->read_file != NULL && access(o->read_file, R_OK) != 0)
		complain(setting_place(o, "pcap", "read"), "--read: %s cannot be read", o->read_file);
}

static void check_sim(const struct options *o)
{
	const struct setting *setting;

	if (o->backend == NULL && o->name != NULL)
		complain(setting_place(o, "", "name"), "--name: with --io=sim, --hosts names the hosts");
	if (o->backend == NULL && (o->routes > 0 || o->neighbours > 0))
		complain(o->routes > 0 ? &o->route[0].place : &o->neighbour[0].place,
			 "--route, --gateway and --neighbour: not for --io=sim, whose hosts are on one network");
	for (unsigned i = 0; o->backend != NULL && (setting = setting_at(i)) != NULL; i++) {
		if (o->said[i] && strcmp(setting->section, "sim") == 0)
			complain(&o->where[i], "--%s: only for --io=sim", setting->option);
		if (o->said[i] && setting->option != NULL && strcmp(setting->option, "seed") == 0 && o->read_file == NULL)
			complain(&o->where[i], "--seed: only for --io=sim and for a replay (--read): elsewhere chance is not to be known");
	}
	if (o->hosts + o->taps > HOSTS_MAX)
		complain(setting_place(o, "sim", "tap"), "--tap: %u hosts and %u interfaces: at most %u together", o->hosts, o->taps, HOSTS_MAX);
	for (unsigned i = 0; i < o->taps; i++) {
		for (unsigned j = 0; j < i; j++) {
			if (strcmp(o->tap[i].name, o->tap[j].name) == 0 && strcmp(o->tap[i].netns, o->tap[j].netns) == 0)
				complain(setting_place(o, "sim", "tap"), "--tap: two interfaces are called %s", o->tap[i].name);
		}
	}
	if (o->backend != NULL && o->mtu > 9000)
		complain(setting_place(o, "", "mtu"), "--mtu: '%u': at most 9000 on a device", o->mtu);
}

void options_check(struct options *o)
{
	if (o->impairment.rate != 0 && o->impairment.queue_packets == 0)
		o->impairment.queue_packets = 1000;
	check_sim(o);
	check_interfaces(o);
	if (o->backend != NULL)
		check_routes(o);
	check_cores(o);
	check_replay(o);
	if (o->eal_arguments > 0 && !uses(o, "dpdk"))
		complain(setting_place(o, "dpdk", "arguments"), "arguments behind -- are DPDK's: only with --io=dpdk");
}
