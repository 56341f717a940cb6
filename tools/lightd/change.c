/* SPDX-License-Identifier: BSD-3-Clause */
/* A change is parsed once, tried on core 0, and made on the others; where one of them cannot, it is taken back. */
#include "tools/lightd/change.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "stack/stack.h"
#include "tools/lightd/configure.h"
#include "tools/lightd/leases.h"
#include "tools/units.h"

enum kind { ADDR, ROUTE, NEIGH, VLAN };
static const char *const kinds[] = { [ADDR] = "addr", [ROUTE] = "route", [NEIGH] = "neigh", [VLAN] = "vlan" };

struct change {
	struct daemon *daemon;
	unsigned host;
	enum kind kind;
	bool add;
	struct ipaddr addr, gateway;
	bool gateway_said, mac_said;
	unsigned prefix, vid;
	uint8_t mac[6];
	char interface[NAME_MAX_BYTES];   /* empty: not said */
	int number;                       /* of the interface, the same on every core; 0: not said */
	int error;
	bool undo;
};

/* ---- one stack ---- */

static int vlan_number(const struct change *c, const struct stack *s)
{
	char name[NAME_MAX_BYTES];

	configure_vlan_name(name, c->interface, c->vid);
	return configure_interface_named(s, name);
}

static int add_to(const struct change *c, struct stack *s)
{
	char name[NAME_MAX_BYTES];
	int number;

	switch (c->kind) {
	case ADDR:
		return stack_add_address(s, c->number, &c->addr, c->prefix);
	case ROUTE:
		return stack_add_route(s, &c->addr, c->prefix, &c->gateway, c->number);
	case NEIGH:
		return stack_add_neighbour(s, c->number, &c->addr, c->mac);
	default:
		configure_vlan_name(name, c->interface, c->vid);
		number = stack_add_vlan(s, c->number, c->vid, name);
		return number < 0 ? number : 0;
	}
}

static int remove_from(const struct change *c, struct stack *s)
{
	switch (c->kind) {
	case ADDR:
		return stack_remove_address(s, c->number, &c->addr);
	case ROUTE:
		return stack_remove_route_by(s, &c->addr, c->prefix, c->gateway_said ? &c->gateway : NULL, c->number);
	case NEIGH:
		return stack_remove_neighbour(s, c->number, &c->addr);
	default:
		return vlan_number(c, s) == 0 ? -ENOENT : stack_remove_vlan(s, vlan_number(c, s));
	}
}

static void make(void *context, unsigned core)
{
	struct change *c = context;
	struct stack *s = network_stack(c->daemon->network, c->host, core);

	c->error = c->add != c->undo ? add_to(c, s) : remove_from(c, s);
}

static void tell_programs(void *context, unsigned core)
{
	const struct change *c = context;

	server_host_changed(network_served(c->daemon->network, c->host, core));
}

/* ---- words ---- */

static int say(char why[CHANGE_WHY], const char *sentence)
{
	snprintf(why, CHANGE_WHY, "%s", sentence);
	return -EINVAL;
}

static bool parse_object(struct change *c, const char *word)
{
	uint64_t vid;

	switch (c->kind) {
	case ADDR:
		/* An address goes with or without its prefix; it does not come without. */
		return units_ip4_prefix(word, !c->add, &c->addr, &c->prefix) && (!c->add || configure_is_a_hosts(&c->addr, c->prefix));
	case ROUTE:
		return units_ip4_prefix(strcmp(word, "default") == 0 ? "0.0.0.0/0" : word, true, &c->addr, &c->prefix) &&
		       (c->prefix == 32 || (__builtin_bswap32(ipaddr_ip4(&c->addr)) & UINT32_MAX >> c->prefix) == 0);
	case NEIGH:
		return units_ip4(word, &c->addr) && !ipaddr_is_any(&c->addr);
	default:
		if (!units_whole(word, 1, 4094, &vid))
			return false;
		c->vid = (unsigned)vid;
		return true;
	}
}

/* "dev IF", "via GW", "lladdr MAC". */
static bool parse_pair(struct change *c, const char *key, const char *value)
{
	if (value == NULL)
		return false;
	if (strcmp(key, "dev") == 0 && strlen(value) < sizeof c->interface) {
		strcpy(c->interface, value);
		return true;
	}
	if (strcmp(key, "via") == 0 && c->kind == ROUTE) {
		c->gateway_said = true;
		return units_ip4(value, &c->gateway) && !ipaddr_is_any(&c->gateway);
	}
	if (strcmp(key, "lladdr") == 0 && c->kind == NEIGH && c->add) {
		c->mac_said = true;
		return units_mac(value, c->mac) && (c->mac[0] & 1) == 0;
	}
	return false;
}

static int parse(struct change *c, char *const *words, char why[CHANGE_WHY])
{
	static const char *const usage[] = {
		[ADDR] = "addr add A/P dev IF, or addr del A/P [dev IF]; A is a host's address, P the bits of its network",
		[ROUTE] = "route add|del TO[/P] [via GATEWAY] [dev IF]; TO may be 'default', and has no bits behind its prefix",
		[NEIGH] = "neigh add ADDRESS lladdr MAC [dev IF], or neigh del ADDRESS [dev IF]",
		[VLAN] = "vlan add|del VID dev IF; VID is 1 to 4094",
	};

	if (words[0] == NULL || (strcmp(words[0], "add") != 0 && strcmp(words[0], "del") != 0))
		return say(why, usage[c->kind]);
	c->add = words[0][0] == 'a';
	if (words[1] == NULL || !parse_object(c, words[1]))
		return say(why, usage[c->kind]);
	for (words += 2; words[0] != NULL; words += words[1] != NULL ? 2 : 1) {
		if (!parse_pair(c, words[0], words[1]))
			return say(why, usage[c->kind]);
	}
	if ((c->kind == VLAN || (c->kind == ADDR && c->add)) && c->interface[0] == '\0')
		return say(why, usage[c->kind]);
	if ((c->kind == NEIGH && c->add && !c->mac_said) || (c->kind == ROUTE && c->add && !c->gateway_said && c->interface[0] == '\0'))
		return say(why, usage[c->kind]);
	return 0;
}

/* ---- interfaces ---- */

/* The interface that has the address. 0: none. */
static int interface_with(const struct stack *s, const struct ipaddr *addr)
{
	struct ipaddr own;
	unsigned prefix;

	for (unsigned k = 1; k <= stack_interfaces(s); k++) {
		for (unsigned a = 0; stack_interface_address(s, (int)k, a, &own, &prefix); a++) {
			if (ipaddr_equal(&own, addr))
				return (int)k;
		}
	}
	return 0;
}

static int find_interface(struct change *c, const struct stack *s, char why[CHANGE_WHY])
{
	if (c->interface[0] != '\0') {
		c->number = configure_interface_named(s, c->interface);
		if (c->number != 0 && c->number != stack_loopback(s))
			return 0;
		snprintf(why, CHANGE_WHY, "there is no interface %s; lightctl link shows them", c->interface);
		return -ENODEV;
	}
	if (c->kind == ROUTE && !c->add)
		return 0;       /* whichever */
	c->number = c->kind == ADDR ? interface_with(s, &c->addr) : configure_interface_towards(s, c->kind == ROUTE ? &c->gateway : &c->addr);
	if (c->number != 0 && c->number != stack_loopback(s))
		return 0;
	snprintf(why, CHANGE_WHY, "%s", c->kind == ADDR ? "no interface has this address" : "no interface is on the network of this address");
	return c->kind == ADDR ? -EADDRNOTAVAIL : -ENETUNREACH;
}

static void explain(const struct change *c, char why[CHANGE_WHY])
{
	const char *sentence = strerror(-c->error);

	switch (-c->error) {
	case EEXIST:
		sentence = "it is there already";
		break;
	case ENOENT:
	case ESRCH:
	case EADDRNOTAVAIL:
		sentence = "there is none such";
		break;
	case ENOBUFS:
		sentence = c->kind == VLAN ? "there is no room for another interface: 16 with the loopback" :
			   c->kind == ADDR ? "there is no room for another address: 8 of an interface" : "there is no room for another";
		break;
	case ENETUNREACH:
		sentence = "its gateway is on no network of this interface";
		break;
	case EINVAL:
		sentence = c->kind == VLAN ? "a VLAN is made on a device's interface, once, not on a VLAN" : "no host may have this address";
		break;
	case EBUSY:
		sentence = "a DHCP client runs there";
		break;
	default:
		break;
	}
	snprintf(why, CHANGE_WHY, "%s", sentence);
}

/* ---- all cores ---- */

/* What stays the same after a VLAN has gone cannot be put back: only what was added is taken back. */
static int make_on_all(struct change *c)
{
	int error = 0;
	unsigned core = 0;

	for (; core < c->daemon->cores && error == 0; core++) {
		core_call(c->daemon, core, make, c);
		error = c->error;
	}
	if (error != 0 && c->add) {
		c->undo = true;
		while (core-- > 1)
			core_call(c->daemon, core - 1, make, c);
		c->undo = false;
	}
	return c->error = error;
}

bool change_is(const char *command)
{
	for (unsigned k = 0; k < sizeof kinds / sizeof kinds[0]; k++) {
		if (strcmp(kinds[k], command) == 0)
			return true;
	}
	return false;
}

void change_tell(struct daemon *d, unsigned host)
{
	struct change c = { .daemon = d, .host = host };
	int error;

	core_call_all(d, tell_programs, &c);
	error = network_tell_devices(d->network, host);
	if (error < 0)
		fprintf(stderr, "lightd: a device cannot take the new addresses: %s\n", strerror(-error));
}

int change_dhcp(struct daemon *d, unsigned host, char *const *words, char why[CHANGE_WHY])
{
	bool starts = words[0] != NULL && strcmp(words[0], "start") == 0;
	int number, error;

	if (words[0] == NULL || (!starts && strcmp(words[0], "stop") != 0) || words[1] == NULL || strcmp(words[1], "dev") != 0 ||
	    words[2] == NULL || words[3] != NULL)
		return say(why, "dhcp start|stop dev IF");
	number = configure_interface_named(network_stack(d->network, host, 0), words[2]);
	if (number == 0)
		error = -ENODEV;
	else
		error = starts ? leases_start(d, host, number) : leases_stop(d, host, number);
	if (error < 0)
		snprintf(why, CHANGE_WHY, "%s", error == -ENODEV ? "there is no such interface; lightctl link shows them" :
			 error == -EEXIST ? "a client runs there already" : error == -ENOENT ? "no client runs there" : strerror(-error));
	return error;
}

int change_host(struct daemon *d, const char *command, unsigned host, char *const *words, char why[CHANGE_WHY])
{
	struct change c = { .daemon = d, .host = host, .gateway = ipaddr_from_ip4(0) };
	int error;

	while (strcmp(kinds[c.kind], command) != 0)
		c.kind++;
	error = parse(&c, words, why);
	if (error == 0)
		error = find_interface(&c, network_stack(d->network, host, 0), why);
	if (error < 0)
		return error;
	error = make_on_all(&c);
	if (error < 0)
		explain(&c, why);
	else
		change_tell(d, host);
	return error;
}
