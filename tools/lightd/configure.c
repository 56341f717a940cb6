/* SPDX-License-Identifier: BSD-3-Clause */
/* From options to a stack. */
#include "tools/lightd/configure.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

bool configure_is_a_hosts(const struct ipaddr *a, unsigned prefix)
{
	uint32_t addr = ntohl(ipaddr_ip4(a));
	uint32_t rest = prefix < 31 ? UINT32_MAX >> prefix : 0;

	if (prefix == 0 || addr >> 28 >= 14 || addr >> 24 == 127 || addr >> 24 == 0)
		return false;
	return rest == 0 || ((addr & rest) != 0 && (addr & rest) != rest);
}

void configure_vlan_name(char *out, const char *interface, unsigned vid)
{
	char name[NAME_MAX_BYTES + 16];

	snprintf(name, sizeof name, "%s.%u", interface, vid);
	snprintf(out, NAME_MAX_BYTES, "%.15s", name);
}

int configure_interface_named(const struct stack *s, const char *name)
{
	struct stack_interface i;

	for (unsigned k = 1; k <= stack_interfaces(s); k++) {
		if (stack_interface(s, (int)k, &i) && strcmp(i.name, name) == 0)
			return (int)k;
	}
	return 0;
}

int configure_interface_towards(const struct stack *s, const struct ipaddr *addr)
{
	struct ipaddr own;
	unsigned prefix;

	for (unsigned k = 1; k <= stack_interfaces(s); k++) {
		for (unsigned a = 0; (int)k != stack_loopback(s) && stack_interface_address(s, (int)k, a, &own, &prefix); a++) {
			uint32_t differ = __builtin_bswap32(ipaddr_ip4(&own) ^ ipaddr_ip4(addr));

			if (prefix == 0 || differ >> (32 - prefix) == 0)
				return (int)k;
		}
	}
	return 0;
}

static int fail(int error, const char *what, const struct ipaddr *addr)
{
	char text[INET_ADDRSTRLEN];
	uint32_t ip4 = ipaddr_ip4(addr);

	fprintf(stderr, "lightd: %s %s: %s\n", what, inet_ntop(AF_INET, &ip4, text, sizeof text), strerror(-error));
	return error;
}

static int add_addresses(struct stack *s, int interface, const struct address_option *list, unsigned n)
{
	for (unsigned a = 0; a < n; a++) {
		int error = stack_add_address(s, interface, &list[a].addr, list[a].prefix);

		if (error < 0)
			return fail(error, "address", &list[a].addr);
	}
	return 0;
}

static int add_vlan(struct stack *s, const struct interface_option *i, int interface, const struct vlan_option *v)
{
	char name[NAME_MAX_BYTES];
	int number;

	configure_vlan_name(name, i->name, v->vid);
	number = stack_add_vlan(s, interface, v->vid, name);
	if (number < 0) {
		fprintf(stderr, "lightd: VLAN %s: %s\n", name, strerror(-number));
		return number;
	}
	return add_addresses(s, number, v->address, v->addresses);
}

static int number_of(const struct stack *s, const char *name, const struct ipaddr *towards)
{
	return *name != '\0' ? configure_interface_named(s, name) : configure_interface_towards(s, towards);
}

int configure_stack(const struct options *o, struct stack *s)
{
	int error = 0;

	for (unsigned k = 0; k < o->interfaces && error == 0; k++) {
		const struct interface_option *i = &o->interface[k];
		int number = configure_interface_named(s, i->name);

		error = add_addresses(s, number, i->address, i->addresses);
		for (unsigned v = 0; v < i->vlans && error == 0; v++)
			error = add_vlan(s, i, number, &i->vlan[v]);
	}
	for (unsigned k = 0; k < o->routes && error == 0; k++) {
		const struct route_option *r = &o->route[k];
		int number = number_of(s, r->interface, &r->gateway);

		error = number == 0 ? -ENETUNREACH : stack_add_route(s, &r->to, r->prefix, &r->gateway, number);
		if (error < 0)
			fail(error, "route to", &r->to);
	}
	for (unsigned k = 0; k < o->neighbours && error == 0; k++) {
		const struct neighbour_option *n = &o->neighbour[k];
		int number = number_of(s, n->interface, &n->addr);

		error = number == 0 ? -ENETUNREACH : stack_add_neighbour(s, number, &n->addr, n->mac);
		if (error < 0)
			fail(error, "neighbour", &n->addr);
	}
	return error;
}
