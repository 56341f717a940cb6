/* SPDX-License-Identifier: BSD-3-Clause */
/* Settings of the network as a whole: where packets come from, routes, neighbours, captures to replay, DPDK's own arguments. */
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/lightd/backend.h"
#include "tools/lightd/settings.h"
#include "tools/units.h"

static const char *set_io(struct options *o, const char *text)
{
	static char allowed[64];
	bool known;

	o->backend = backend_find(text, &known);
	if (o->backend != NULL || strcmp(text, "sim") == 0)
		return NULL;
	snprintf(allowed, sizeof allowed, known ? "this lightd was built without %s" : "sim, tap, afxdp, pcap or dpdk", text);
	return allowed;
}

static const char *set_name(struct options *o, const char *text)
{
	if (!name_is_valid(text, strlen(text), sizeof o->host[0].name))
		return "1 to 31 letters, digits, '.', '-', '_'";
	o->name = text;
	return NULL;
}

/* On the command line, behind the name of an interface, it is for that one. */
static const char *set_mtu(struct options *o, const char *text)
{
	bool all = o->place.file != NULL || !o->interfaces_said || o->interface[o->current].name[0] == '\0';
	uint32_t mtu;
	const char *allowed = set_number(&mtu, text, 576, 9216);

	if (allowed == NULL)
		*(all ? &o->mtu : &o->interface[o->current].mtu) = (uint16_t)mtu;
	return allowed;
}

/* "via GW" and "dev IF" behind the first word of a route or neighbour. */
static bool take_word(char *word, struct ipaddr *gateway, char interface[NAME_MAX_BYTES])
{
	word += strspn(word, " ");
	if (gateway != NULL && strncmp(word, "via ", 4) == 0)
		return units_ip4(word + 4, gateway) && !ipaddr_is_any(gateway);
	if (strncmp(word, "dev ", 4) != 0 || !name_is_valid(word + 4, strlen(word + 4), NAME_MAX_BYTES))
		return false;
	strcpy(interface, word + 4);
	return true;
}

static const char *set_route(struct options *o, const char *text)
{
	static const char allowed[] = "a route with a gateway or an interface, as 10.1.0.0/16,via 10.0.0.1 or default,dev eth0";
	struct route_option r = { .place = o->place };
	char copy[128], *save = NULL, *word;

	if (list_begins(o, &o->routes_said))
		o->routes = 0;
	if (o->routes == ROUTES_MAX)
		return "at most 64 routes";
	if (strlen(text) >= sizeof copy)
		return allowed;
	strcpy(copy, text);
	word = strtok_r(copy, ",", &save);
	if (word == NULL || !units_ip4_prefix(strcmp(word, "default") == 0 ? "0.0.0.0/0" : word, true, &r.to, &r.prefix))
		return allowed;
	while ((word = strtok_r(NULL, ",", &save)) != NULL) {
		if (!take_word(word, &r.gateway, r.interface))
			return allowed;
	}
	if (ipaddr_is_any(&r.gateway) && r.interface[0] == '\0')
		return allowed;
	if (r.prefix < 32 && (__builtin_bswap32(ipaddr_ip4(&r.to)) & UINT32_MAX >> r.prefix) != 0)
		return "a network whose bits behind the prefix are zero";
	o->route[o->routes++] = r;
	return NULL;
}

static const char *set_gateway(struct options *o, const char *text)
{
	struct ipaddr gateway;
	char route[64];

	if (!units_ip4(text, &gateway) || ipaddr_is_any(&gateway))
		return "an IPv4 address, as 10.0.0.1";
	snprintf(route, sizeof route, "default,via %s", text);
	return set_route(o, route);
}

static const char *set_neighbour(struct options *o, const char *text)
{
	static const char allowed[] = "an address and a MAC, as 10.0.0.9=02:00:00:00:00:09 or ...,dev eth0";
	struct neighbour_option n = { .place = o->place };
	char copy[128], *save = NULL, *addr, *mac, *word;

	if (list_begins(o, &o->neighbours_said))
		o->neighbours = 0;
	if (o->neighbours == NEIGHBOURS_MAX)
		return "at most 64 neighbours";
	if (strlen(text) >= sizeof copy)
		return allowed;
	strcpy(copy, text);
	addr = strtok_r(copy, "=", &save);
	mac = strtok_r(NULL, ",", &save);
	word = strtok_r(NULL, "", &save);
	if (addr == NULL || mac == NULL || !units_ip4(addr, &n.addr) || ipaddr_is_any(&n.addr) || !units_mac(mac, n.mac) || (n.mac[0] & 1) ||
	    (word != NULL && !take_word(word, NULL, n.interface)))
		return allowed;
	o->neighbour[o->neighbours++] = n;
	return NULL;
}

static const char *set_read(struct options *o, const char *text)
{
	return set_text(&o->read_file, text, 4095);
}

static const char *set_write(struct options *o, const char *text)
{
	return set_text(&o->write_file, text, 4095);
}

static const char *set_listen(struct options *o, const char *text)
{
	struct listener_option l = { .udp = strncmp(text, "udp:", 4) == 0 };
	uint64_t port;

	if (list_begins(o, &o->listeners_said))
		o->listeners = 0;
	if (l.udp || strncmp(text, "tcp:", 4) == 0)
		text += 4;
	if (!units_whole(text, 1, 65535, &port))
		return "a port, 1 to 65535, or udp:PORT";
	if (o->listeners == LISTENERS_MAX)
		return "at most 16";
	l.port = (uint16_t)port;
	o->listener[o->listeners++] = l;
	return NULL;
}

static const char *set_eal_argument(struct options *o, const char *text)
{
	if (o->eal_arguments == EAL_ARGUMENTS_MAX)
		return "at most 64";
	o->eal_argument[o->eal_arguments] = strdup(text);
	if (o->eal_argument[o->eal_arguments] == NULL)
		return "more memory than there is";
	o->eal_arguments++;
	return NULL;
}

static const char *set_seed(struct options *o, const char *text)
{
	return units_whole(text, 0, UINT64_MAX, &o->seed) ? NULL : "a whole number";
}

const struct setting settings_network[] = {
	{ "io", "", "io", "BACKEND", 1, false,
	  "Where packets come from: sim (a network in memory, the default), tap, afxdp, pcap or dpdk (-- EAL ARGUMENTS)", set_io },
	{ "mtu", "", "mtu", "BYTES", 1, false, "576 to 9216, 9000 at most with devices (default 1500, or as the interface has it)", set_mtu },
	{ "name", "", "name", "NAME", 1, false, "Of the host, by which programs ask for it (default light; sim: --hosts)", set_name },
	{ "gateway", "", "gateway", "ADDRESS", 1, false, "The default route", set_gateway },
	{ "route", "", "routes", "TO[/P][,via GW][,dev IF]", 1, true, "A route; TO may be 'default'", set_route },
	{ "neighbour", "", "neighbours", "ADDRESS=MAC[,dev IF]", 1, true, "A neighbour that is not asked for by ARP", set_neighbour },
	{ "seed", "", "seed", "NUMBER", 1, false, "Of all chance in the simulated network, or of a replay (default 1)", set_seed },
	{ "read", "pcap", "read", "FILE", 1, false, "pcap: play this capture, its times as the clock, instead of an interface", set_read },
	{ "write", "pcap", "write", "FILE", 1, false, "pcap: where the answers go", set_write },
	{ "listen", "pcap", "listen", "[udp:]PORT", 1, true, "Replay: accept and discard on this port; udp: echo", set_listen },
	{ NULL, "dpdk", "arguments", NULL, 1, true, NULL, set_eal_argument },
	{ 0 },
};
