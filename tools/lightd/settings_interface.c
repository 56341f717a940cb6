/* SPDX-License-Identifier: BSD-3-Clause */
/* Settings of one interface, and of the VLANs on it. On the command line they are for the interface that was named last, or for the first
 * one where none was named yet. */
#include <stdio.h>
#include <string.h>

#include "tools/lightd/backend.h"
#include "tools/lightd/configure.h"
#include "tools/lightd/settings.h"
#include "tools/units.h"

static const char too_many[] = "at most 15 interfaces";
static const char address_allowed[] = "a host's IPv4 address with its prefix, as 10.0.0.2/24";

/* The interface that this is for. NULL: there is no room. */
static struct interface_option *here(struct options *o)
{
	if (o->place.file == NULL && !o->interfaces_said)
		return interface_begin(o);
	return &o->interface[o->current];
}

static const char *set_interface(struct options *o, const char *text)
{
	struct interface_option *i = here(o);

	if (!name_is_valid(text, strlen(text), NAME_MAX_BYTES))
		return "a name of 1 to 15 letters, digits, '.', '-', '_'";
	if (i != NULL && i->name[0] != '\0' && o->place.file == NULL)
		i = interface_begin(o);
	if (i == NULL)
		return too_many;
	memcpy(i->name, text, strlen(text) + 1);
	return NULL;
}

static const char *set_port(struct options *o, const char *text)
{
	struct interface_option *i = here(o);
	uint32_t port;
	const char *allowed = set_number(&port, text, 0, 31);

	if (allowed != NULL)
		return allowed;
	if (i != NULL && i->port >= 0 && o->place.file == NULL)
		i = interface_begin(o);
	if (i == NULL)
		return too_many;
	i->port = (int)port;
	return NULL;
}

static const char *set_backend(struct options *o, const char *text)
{
	static char allowed[64];
	bool known;

	o->interface[o->current].backend = backend_find(text, &known);
	if (o->interface[o->current].backend != NULL)
		return NULL;
	snprintf(allowed, sizeof allowed, known ? "this lightd was built without %s" : "tap, afxdp, pcap or dpdk", text);
	return allowed;
}

static const char *set_address(struct options *o, const char *text)
{
	struct interface_option *i = here(o);
	struct address_option a = { .place = o->place }, *list;
	unsigned *n;

	if (i == NULL)
		return too_many;
	list = i->address;
	n = &i->addresses;
	if (o->current_vlan >= 0) {
		list = i->vlan[o->current_vlan].address;
		n = &i->vlan[o->current_vlan].addresses;
	}
	if (!units_ip4_prefix(text, false, &a.addr, &a.prefix) || !configure_is_a_hosts(&a.addr, a.prefix))
		return address_allowed;
	if (*n == ADDRESSES_MAX)
		return "at most 8 addresses of an interface";
	list[(*n)++] = a;
	return NULL;
}

static const char *set_interface_address(struct options *o, const char *text)
{
	o->current_vlan = -1;
	return set_address(o, text);
}

static const char *set_dhcp(struct options *o, const char *text)
{
	struct interface_option *i = here(o);

	if (i == NULL)
		return too_many;
	return set_switch(o->current_vlan >= 0 ? &i->vlan[o->current_vlan].dhcp : &i->dhcp, text);
}

static const char *set_interface_dhcp(struct options *o, const char *text)
{
	o->current_vlan = -1;
	return set_dhcp(o, text);
}

static const char *set_mac(struct options *o, const char *text)
{
	static const uint8_t none[6];
	struct interface_option *i = here(o);

	if (i == NULL)
		return too_many;
	if (!units_mac(text, i->mac) || (i->mac[0] & 1) != 0 || memcmp(i->mac, none, 6) == 0)
		return "the MAC address of one station, as 02:00:00:00:00:01";
	return NULL;
}

static const char *set_packets(struct options *o, const char *text)
{
	struct interface_option *i = here(o);

	return i == NULL ? too_many : set_number(&i->packets, text, 64, 1u << 20);
}

static const char *set_mtu(struct options *o, const char *text)
{
	uint32_t mtu;
	const char *allowed = set_number(&mtu, text, 576, 9216);

	if (allowed == NULL)
		o->interface[o->current].mtu = (uint16_t)mtu;
	return allowed;
}

/* VID[=A/P,...|=dhcp] */
static const char *set_vlan(struct options *o, const char *text)
{
	const char *equals = strchr(text, '=');
	char vid[16], list[256], *save = NULL;
	size_t length = equals != NULL ? (size_t)(equals - text) : strlen(text);
	const char *allowed = here(o) == NULL ? too_many : NULL;

	if (length >= sizeof vid || strlen(text) >= sizeof list)
		return "VID or VID=A/P,... or VID=dhcp";
	memcpy(vid, text, length);
	vid[length] = '\0';
	strcpy(list, equals != NULL ? equals + 1 : "");
	if (allowed == NULL)
		allowed = vlan_begin(o, vid);
	for (char *item = strtok_r(list, ",", &save); allowed == NULL && item != NULL; item = strtok_r(NULL, ",", &save))
		allowed = strcmp(item, "dhcp") == 0 ? set_dhcp(o, "true") : set_address(o, item);
	o->current_vlan = -1;
	return allowed;
}

static const char *set_xdp_mode(struct options *o, const char *text)
{
	static const char *const names[] = { [AFXDP_AUTO] = "auto", [AFXDP_COPY] = "copy", [AFXDP_ZERO_COPY] = "zero-copy" };
	struct interface_option *i = here(o);

	for (unsigned m = 0; i != NULL && m < 3; m++) {
		if (strcmp(names[m], text) == 0) {
			i->xdp_mode = (enum afxdp_mode)m;
			return NULL;
		}
	}
	return i == NULL ? too_many : "auto, copy or zero-copy";
}

static const char *set_xdp_skb(struct options *o, const char *text)
{
	struct interface_option *i = here(o);

	return i == NULL ? too_many : set_switch(&i->xdp_skb, text);
}

static const char *set_busy_poll(struct options *o, const char *text)
{
	struct interface_option *i = here(o);

	return i == NULL ? too_many : set_switch(&i->busy_poll, text);
}

static const char *set_promiscuous(struct options *o, const char *text)
{
	struct interface_option *i = here(o);

	return i == NULL ? too_many : set_switch(&i->promiscuous, text);
}

static const char *set_no_offload(struct options *o, const char *text)
{
	struct interface_option *i = here(o);

	return i == NULL ? too_many : set_switch(&i->no_offload, text);
}

const struct setting settings_interface[] = {
	{ "interface", "interface", "name", "NAME", 2, false, "The interface; each begins a new one, which the options below are then for",
	  set_interface },
	{ "port", "interface", "port", "NUMBER", 2, false, "dpdk: number of the port; each begins a new interface", set_port },
	{ NULL, "interface", "backend", NULL, 2, false, NULL, set_backend },
	{ "address", "interface", "addresses", "A/P", 2, true, "An address and its prefix, as 10.0.0.2/24", set_interface_address },
	{ "dhcp", "interface", "dhcp", NULL, 2, false, "Ask for an address (RFC 2131)", set_interface_dhcp },
	{ "vlan", "interface", NULL, "VID[=A/P,...]", 2, true, "A VLAN of the interface (802.1Q) and its addresses, or VID=dhcp", set_vlan },
	{ "mac", "interface", "mac", "MAC", 2, false, "Address of its own (tap, pcap)", set_mac },
	{ NULL, "interface", "mtu", NULL, 2, false, NULL, set_mtu },
	{ "packets", "interface", "packets", "NUMBER", 2, false, "Packets of each queue's pool", set_packets },
	{ "xdp-mode", "interface", "xdp-mode", "MODE", 2, false, "afxdp: auto, copy or zero-copy (default auto)", set_xdp_mode },
	{ "xdp-skb", "interface", "xdp-skb", NULL, 2, false, "afxdp: generic XDP even where the driver has its own", set_xdp_skb },
	{ "busy-poll", "interface", "busy-poll", NULL, 2, false, "afxdp: SO_PREFER_BUSY_POLL", set_busy_poll },
	{ "promiscuous", "interface", "promiscuous", NULL, 2, false, "dpdk: receive what is for others too", set_promiscuous },
	{ "no-offload", "interface", "no-offload", NULL, 2, false, "tap: MTU-sized frames with whole checksums only", set_no_offload },
	{ NULL, "vlan", "addresses", NULL, 2, true, NULL, set_address },
	{ NULL, "vlan", "dhcp", NULL, 2, false, NULL, set_dhcp },
	{ 0 },
};
