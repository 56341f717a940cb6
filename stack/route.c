/* SPDX-License-Identifier: BSD-3-Clause */
/* Addresses and routes: which interface, next hop and source a destination gets (RFC 1122 3.3.1). Longest prefix by
 * a list sorted that way: hosts have few routes, and connections keep the answer until route_generation changes. */
#include "layers.h"

#include <errno.h>
#include <stdlib.h>

#include "wire.h"

#define ROUTES_MAX 256

struct route {
	uint32_t to, mask, gateway;  /* network order; gateway 0: on link */
	uint8_t prefix;
	uint32_t interface;
};

struct route_table {
	struct route list[ROUTES_MAX];  /* longest prefix first */
	unsigned count;
};

static uint32_t mask_of(unsigned prefix)
{
	return prefix ? be32(UINT32_MAX << (32 - prefix)) : 0;
}

static const struct route *lookup(const struct stack *s, uint32_t destination)
{
	const struct route_table *t = s->routes;

	/* A way that leaves by an interface without an address has no source to send from: it is none until there is one. */
	for (unsigned i = 0; i < t->count; i++)
		if (((destination ^ t->list[i].to) & t->list[i].mask) == 0 &&
		    s->interfaces[t->list[i].interface]->address_count)
			return &t->list[i];
	return NULL;
}

static int insert(struct stack *s, const struct route *r)
{
	struct route_table *t = s->routes;
	unsigned at = 0;

	while (at < t->count && t->list[at].prefix >= r->prefix) {
		const struct route *o = &t->list[at];

		if (o->to == r->to && o->prefix == r->prefix && o->interface == r->interface && o->gateway == r->gateway)
			return -EEXIST;
		at++;
	}
	if (t->count == ROUTES_MAX)
		return -ENOBUFS;
	memmove(&t->list[at + 1], &t->list[at], (t->count - at) * sizeof(*r));
	t->list[at] = *r;
	t->count++;
	route_changed(s);
	return 0;
}

static void drop_at(struct stack *s, unsigned at)
{
	struct route_table *t = s->routes;

	t->count--;
	memmove(&t->list[at], &t->list[at + 1], (t->count - at) * sizeof(t->list[0]));
	route_changed(s);
}

/* The interface for what has no route of its own, limited broadcasts and multicast: the source's, or the first. */
static struct interface *default_interface(const struct stack *s, uint32_t source)
{
	for (uint32_t n = 1; n <= s->interface_count; n++) {
		struct interface *i = s->interfaces[n];

		if (!i || i->loopback || !i->address_count)
			continue;
		if (source == 0)
			return i;
		for (unsigned a = 0; a < i->address_count; a++)
			if (i->addresses[a].ip4 == source)
				return i;
	}
	return NULL;
}

static void rebuild_own(struct stack *s)
{
	s->own_count = 0;
	for (uint32_t n = 1; n <= s->interface_count; n++)
		for (unsigned a = 0; s->interfaces[n] && a < s->interfaces[n]->address_count; a++)
			s->own_ip4[s->own_count++] = s->interfaces[n]->addresses[a].ip4;
}

/* Fills interface, next_hop and, if it was any, the source. 0 or -errno. */
static int choose(const struct stack *s, uint32_t *source, uint32_t destination, uint32_t *next_hop,
		  struct interface **out)
{
	const struct route *r;
	struct interface *i;

	*next_hop = destination;
	if (route_is_own(s, destination)) {
		*out = s->interfaces[s->loopback_number];
		if (!*source)
			*source = ip4_is_loopback(destination) ? be32(0x7f000001) : destination;
		return 0;
	}
	if (*source && ip4_is_loopback(*source))
		return -EINVAL;  /* RFC 1122 3.2.1.3 (g): it must not appear outside */
	r = lookup(s, destination);
	if (destination == UINT32_MAX || (ip4_is_multicast(destination) && !r)) {
		i = default_interface(s, *source);
	} else {
		i = r ? s->interfaces[r->interface] : NULL;
		/* A group is reached on its link, not through a router (RFC 1112 6.1). */
		if (r && r->gateway && !ip4_is_multicast(destination))
			*next_hop = r->gateway;
	}
	if (!i)
		return -ENETUNREACH;
	if (!*source)
		*source = route_source(i, *next_hop);
	*out = i;
	return *source ? 0 : -EADDRNOTAVAIL;
}

bool routes_init(struct stack *s)
{
	s->routes = calloc(1, sizeof(*s->routes));
	s->route_generation = 1;
	return s->routes != NULL;
}

void routes_free(struct stack *s)
{
	free(s->routes);
	s->routes = NULL;
}

void route_changed(struct stack *s)
{
	s->route_generation++;
}

void route_interface_gone(struct stack *s, struct interface *i)
{
	for (unsigned r = s->routes->count; r-- > 0; )
		if (s->routes->list[r].interface == i->number)
			drop_at(s, r);
	i->address_count = 0;
	rebuild_own(s);
	route_changed(s);
}

bool route_is_own(const struct stack *s, uint32_t a)
{
	for (unsigned i = 0; i < s->own_count; i++)
		if (s->own_ip4[i] == a)
			return true;
	return ip4_is_loopback(a);
}

bool route_is_broadcast(const struct interface *i, uint32_t a)
{
	if (a == UINT32_MAX)
		return true;
	for (unsigned n = 0; n < i->address_count; n++) {
		const struct interface_address *own = &i->addresses[n];

		/* RFC 3021: a /31 has no broadcast address. */
		if (own->prefix <= 30 && (a | own->mask) == UINT32_MAX && ((a ^ own->ip4) & own->mask) == 0)
			return true;
	}
	return false;
}

bool route_is_any_broadcast(const struct stack *s, uint32_t a)
{
	for (uint32_t n = 1; n <= s->interface_count; n++)
		if (s->interfaces[n] && !s->interfaces[n]->loopback && route_is_broadcast(s->interfaces[n], a))
			return true;
	return a == UINT32_MAX;
}

bool route_to_many(const struct stack *s, const struct ipaddr *a)
{
	return ipaddr_is_ip4(a) && (ip4_is_multicast(ipaddr_ip4(a)) || route_is_any_broadcast(s, ipaddr_ip4(a)));
}

uint32_t route_source(const struct interface *i, uint32_t neighbour)
{
	for (unsigned n = 0; n < i->address_count; n++)
		if (((i->addresses[n].ip4 ^ neighbour) & i->addresses[n].mask) == 0)
			return i->addresses[n].ip4;
	return i->address_count ? i->addresses[0].ip4 : 0;
}

int route_find(struct stack *s, const struct ipaddr *source, const struct ipaddr *destination, struct path *path)
{
	uint32_t from = source ? ipaddr_ip4(source) : 0, to = ipaddr_ip4(destination), next_hop;
	struct interface *i;
	int error;

	if (!ipaddr_is_ip4(destination) || to == 0)
		return -ENETUNREACH;
	if (from && !route_is_own(s, from))
		return -EADDRNOTAVAIL;
	error = choose(s, &from, to, &next_hop, &i);
	if (error)
		return error;
	*path = (struct path){
		.source = ipaddr_from_ip4(from), .destination = *destination, .next_hop = ipaddr_from_ip4(next_hop),
		.interface = i->number, .generation = s->route_generation,
		.mtu = pmtu_get(s, destination, interface_mtu(i)),
	};
	return 0;
}

int stack_add_address(struct stack *s, int interface, const struct ipaddr *addr, unsigned prefix)
{
	struct interface *i = interface > 0 ? stack_interface_or_null(s, (uint32_t)interface) : NULL;
	uint32_t ip4 = ipaddr_ip4(addr);
	struct interface_address *a;

	if (!i)
		return -ENODEV;
	if (!ipaddr_is_ip4(addr) || prefix > 32 || ip4_is_this_net(ip4) || ip4_is_multicast(ip4) || ip4_is_reserved(ip4) ||
	    (ip4_is_loopback(ip4) && !i->loopback))
		return -EINVAL;
	for (unsigned n = 0; n < s->own_count; n++)
		if (s->own_ip4[n] == ip4)
			return -EEXIST;
	if (i->address_count == INTERFACE_ADDRESSES)
		return -ENOBUFS;
	if (prefix > 0 && prefix < 32 && !i->loopback) {
		struct route r = { .to = ip4 & mask_of(prefix), .mask = mask_of(prefix), .prefix = (uint8_t)prefix,
				   .interface = i->number };
		int error = insert(s, &r);

		if (error && error != -EEXIST)
			return error;
	}
	a = &i->addresses[i->address_count++];
	*a = (struct interface_address){ .addr = *addr, .prefix = (uint8_t)prefix, .ip4 = ip4, .mask = mask_of(prefix) };
	rebuild_own(s);
	route_changed(s);
	if (!i->loopback)
		arp_announce(s, i, a);
	return 0;
}

int stack_remove_address(struct stack *s, int interface, const struct ipaddr *addr)
{
	struct interface *i = interface > 0 ? stack_interface_or_null(s, (uint32_t)interface) : NULL;
	uint32_t ip4 = ipaddr_ip4(addr);
	unsigned n = 0;

	if (!i)
		return -ENODEV;
	while (n < i->address_count && !ipaddr_equal(&i->addresses[n].addr, addr))
		n++;
	if (n == i->address_count)
		return -EADDRNOTAVAIL;
	struct interface_address gone = i->addresses[n];

	i->address_count--;
	memmove(&i->addresses[n], &i->addresses[n + 1], (i->address_count - n) * sizeof(gone));
	rebuild_own(s);
	for (n = 0; n < i->address_count; n++)
		if (i->addresses[n].prefix == gone.prefix && ((i->addresses[n].ip4 ^ ip4) & gone.mask) == 0)
			break;
	for (unsigned r = 0; n == i->address_count && r < s->routes->count; r++) {
		const struct route *o = &s->routes->list[r];

		if (o->interface == i->number && !o->gateway && o->prefix == gone.prefix && o->to == (ip4 & gone.mask)) {
			drop_at(s, r);
			break;
		}
	}
	route_changed(s);
	return 0;
}

int stack_add_route(struct stack *s, const struct ipaddr *to, unsigned prefix, const struct ipaddr *gateway, int interface)
{
	struct interface *i = interface > 0 ? stack_interface_or_null(s, (uint32_t)interface) : NULL;
	uint32_t via = gateway ? ipaddr_ip4(gateway) : 0;
	const struct route *r;

	if (prefix > 32)
		return -EINVAL;
	if (via) {
		r = lookup(s, via);  /* RFC 1122 3.3.1.1: a gateway must be on a connected network */
		if (route_is_own(s, via) || !r || r->gateway)
			return -ENETUNREACH;
		if (interface == 0)
			i = s->interfaces[r->interface];
	}
	if (!i)
		return -ENODEV;
	return insert(s, &(struct route){ .to = ipaddr_ip4(to) & mask_of(prefix), .mask = mask_of(prefix),
					  .gateway = via, .prefix = (uint8_t)prefix, .interface = i->number });
}

int stack_remove_route_by(struct stack *s, const struct ipaddr *to, unsigned prefix, const struct ipaddr *gateway, int interface)
{
	for (unsigned n = 0; n < s->routes->count && prefix <= 32; n++) {
		const struct route *r = &s->routes->list[n];

		if (r->prefix != prefix || r->to != (ipaddr_ip4(to) & mask_of(prefix)) ||
		    (gateway && r->gateway != ipaddr_ip4(gateway)) || (interface && r->interface != (uint32_t)interface))
			continue;
		drop_at(s, n);
		return 0;
	}
	return -ESRCH;
}

int stack_remove_route(struct stack *s, const struct ipaddr *to, unsigned prefix)
{
	return stack_remove_route_by(s, to, prefix, NULL, 0);
}

bool stack_interface_address(const struct stack *s, int interface, unsigned n, struct ipaddr *addr, unsigned *prefix)
{
	const struct interface *i = interface > 0 ? stack_interface_or_null(s, (uint32_t)interface) : NULL;

	if (!i || n >= i->address_count)
		return false;
	*addr = i->addresses[n].addr;
	*prefix = i->addresses[n].prefix;
	return true;
}

bool stack_is_own(const struct stack *s, const struct ipaddr *a)
{
	return ipaddr_is_ip4(a) && route_is_own(s, ipaddr_ip4(a));
}

bool stack_has_route(const struct stack *s, const struct ipaddr *a)
{
	return stack_is_own(s, a) || (ipaddr_is_ip4(a) && lookup(s, ipaddr_ip4(a)));
}

bool stack_walk_routes(const struct stack *s, uint32_t *cursor, struct stack_route *out)
{
	const struct route *r;

	if (*cursor >= s->routes->count)
		return false;
	r = &s->routes->list[(*cursor)++];
	*out = (struct stack_route){
		.to = ipaddr_from_ip4(r->to), .prefix = r->prefix, .interface = (int)r->interface,
		.source = ipaddr_from_ip4(route_source(s->interfaces[r->interface], r->gateway ? r->gateway : r->to)),
	};
	if (r->gateway)
		out->gateway = ipaddr_from_ip4(r->gateway);
	return true;
}
