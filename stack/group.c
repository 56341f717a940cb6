/* SPDX-License-Identifier: BSD-3-Clause */
/* Who joined which IPv4 groups (RFC 1112 7.1): a group is on an interface, a membership is one socket's in a group, both from bounded
 * pools, groups found by a hash. Rules and errors of IP_ADD_MEMBERSHIP and its like are Linux's (ip(7)). On a host of several cores each
 * has the groups of its own sockets, and says so in steer.h: what comes for a port is for its home core, as always. */
#include "group.h"

#include <errno.h>
#include <stdlib.h>

#include "steer.h"
#include "wire.h"

#define GROUPS_MAX 1024u
#define MEMBERSHIPS_MAX 16384u
#define MEMBERSHIPS_OF_ONE 20u    /* as Linux's igmp_max_memberships */
#define BUCKETS 256u
#define NUMBER_MOST 0xffffffu     /* of what names an interface: up to here its number, else an address */

struct membership {
	struct group *group;
	uint32_t next;            /* of its socket; as struct endpoint has the first: the place in the pool and one, 0 for none */
};

struct group_table {
	struct pool groups, memberships;
	struct group *buckets[BUCKETS];
};

static struct membership *numbered_or_null(const struct stack *s, uint32_t number)
{
	return number ? pool_at_or_null(&s->groups->memberships, number - 1) : NULL;
}

static uint32_t number_of(const struct stack *s, const struct membership *m)
{
	return (uint32_t)pool_id(&s->groups->memberships, m) + 1;
}

static struct membership *first_or_null(const struct stack *s, const struct endpoint *ep)
{
	return ep && ep->type == EP_DATAGRAM ? numbered_or_null(s, ep->groups) : NULL;
}

static struct membership *next_or_null(const struct stack *s, const struct membership *m)
{
	return numbered_or_null(s, m->next);
}

static uint32_t bucket_of(const struct interface *i, uint32_t address)
{
	return ((be32(address) + i->number) * UINT32_C(0x9e3779b1)) >> 24;
}

static struct group *find(const struct stack *s, const struct interface *i, uint32_t address)
{
	struct group *g = s->groups->buckets[bucket_of(i, address)];

	while (g && (g->address != address || g->interface != i))
		g = g->chain;
	return g;
}

struct group *group_find_or_null(const struct stack *s, const struct interface *i, uint32_t address)
{
	struct group *g = find(s, i, address);

	return g && g->users ? g : NULL;
}

static struct group *new_group(struct stack *s, struct interface *i, uint32_t address)
{
	struct group *g = pool_take_or_null(&s->groups->groups), **bucket = &s->groups->buckets[bucket_of(i, address)];

	if (!g)
		return NULL;
	g->interface = i;
	g->address = address;
	g->chain = *bucket;
	*bucket = g;
	g->next = i->igmp.groups;
	i->igmp.groups = g;
	return g;
}

void group_forget(struct stack *s, struct group *g)
{
	struct group **at = &s->groups->buckets[bucket_of(g->interface, g->address)];

	CHECK(!g->users);
	wheel_cancel(&s->wheel, &g->answer);
	while (*at != g)
		at = &(*at)->chain;
	*at = g->chain;
	at = &g->interface->igmp.groups;
	while (*at != g)
		at = &(*at)->next;
	*at = g->next;
	pool_put(&s->groups->groups, g);
}

bool group_is_answered_here(const struct stack *s, const struct group *g)
{
	uint32_t cores;

	if (!s->config.steer)
		return true;
	cores = steer_members(s->config.steer, g->interface->number, g->address);
	return (cores & (0 - cores)) == UINT32_C(1) << s->config.core;
}

/* ---- a core's first member, and its last ---- */

static int tell_link(const struct group *g, bool wanted)
{
	struct link *link = g->interface->link;

	return link->ops->group ? link->ops->group(link, g->address, wanted) : 0;
}

static int first_member(struct stack *s, struct group *g)
{
	uint32_t others = 0;
	int error = tell_link(g, true);

	if (error)
		return error;
	if (s->config.steer && !steer_join(s->config.steer, s->config.core, g->interface->number, g->address, true, &others)) {
		tell_link(g, false);
		return -ENOBUFS;
	}
	g->users = 1;
	igmp_joined(s, g, !others);
	return 0;
}

static int add_user(struct stack *s, struct group *g)
{
	if (!g->users)
		return first_member(s, g);
	g->users++;
	return 0;
}

static void last_member(struct stack *s, struct group *g)
{
	uint32_t others = 0;

	tell_link(g, false);
	if (s->config.steer)
		steer_join(s->config.steer, s->config.core, g->interface->number, g->address, false, &others);
	/* The interface is in it still while another core is. */
	if (others)
		group_forget(s, g);
	else
		igmp_left(s, g);
}

static void leave(struct stack *s, uint32_t *at)
{
	struct membership *m = numbered_or_null(s, *at);
	struct group *g = m->group;

	*at = m->next;
	pool_put(&s->groups->memberships, m);
	if (--g->users == 0)
		last_member(s, g);
}

/* ---- which interface ---- */

static struct interface *interface_with(const struct stack *s, uint32_t address)
{
	if (ip4_is_loopback(address))
		return s->interfaces[s->loopback_number];
	for (uint32_t n = 1; n <= s->interface_count; n++)
		for (unsigned a = 0; s->interfaces[n] && a < s->interfaces[n]->address_count; a++)
			if (s->interfaces[n]->addresses[a].ip4 == address)
				return s->interfaces[n];
	return NULL;
}

/* By a number or an address, in host order. NULL: there is none. */
static struct interface *named(const struct stack *s, uint32_t name)
{
	return name <= NUMBER_MOST ? stack_interface_or_null(s, name) : interface_with(s, be32(name));
}

static struct interface *named_or_routed(struct stack *s, uint32_t name, uint32_t group)
{
	struct ipaddr to = ipaddr_from_ip4(group);
	struct path path;

	if (name)
		return named(s, name);
	return route_find(s, NULL, &to, &path) == 0 ? stack_interface_or_null(s, path.interface) : NULL;
}

int group_choose_interface(struct stack *s, struct endpoint *ep, int64_t value)
{
	uint32_t number = (uint32_t)((uint64_t)value >> 32), address = (uint32_t)value;
	const struct interface *i = NULL;

	if (ep->type != EP_DATAGRAM)
		return -EINVAL;
	if (number || address) {
		i = number ? stack_interface_or_null(s, number) : interface_with(s, be32(address));
		if (!i)
			return -EADDRNOTAVAIL;
	}
	ep->multicast_interface = i ? (uint8_t)i->number : 0;
	ep->multicast_source = be32(address);
	return 0;
}

int group_path(struct stack *s, const struct endpoint *ep, const struct ipaddr *source, const struct ipaddr *group, struct path *path)
{
	uint32_t from = ipaddr_is_any(source) ? ep->multicast_source : ipaddr_ip4(source);
	struct ipaddr address = ipaddr_from_ip4(from);
	const struct interface *i;

	if (!ep->multicast_interface)
		return route_find(s, from ? &address : NULL, group, path);
	i = stack_interface_or_null(s, ep->multicast_interface);
	if (!i)
		return -ENETUNREACH;
	if (!from)
		from = route_source(i, ipaddr_ip4(group));
	if (!from || !route_is_own(s, from))
		return -EADDRNOTAVAIL;
	if (ip4_is_loopback(from) && !i->loopback)
		return -EINVAL;
	*path = (struct path){
		.source = ipaddr_from_ip4(from), .destination = *group, .next_hop = *group, .interface = i->number,
		.generation = s->route_generation, .mtu = pmtu_get(s, group, interface_mtu(i)),
	};
	return 0;
}

/* ---- for the other files ---- */

bool groups_init(struct stack *s)
{
	s->groups = calloc(1, sizeof(*s->groups));
	return s->groups && pool_init(&s->groups->groups, sizeof(struct group), GROUPS_MAX) &&
	       pool_init(&s->groups->memberships, sizeof(struct membership), MEMBERSHIPS_MAX);
}

/* The host's other cores go on: none of our groups is wanted any more. */
void groups_free(struct stack *s)
{
	uint32_t others;

	if (!s->groups)
		return;
	for (uint32_t n = 0; s->config.steer && n < pool_end(&s->groups->groups); n++) {
		const struct group *g = pool_at_or_null(&s->groups->groups, n);

		if (g && g->users)
			steer_join(s->config.steer, s->config.core, g->interface->number, g->address, false, &others);
	}
	pool_free(&s->groups->groups);
	pool_free(&s->groups->memberships);
	free(s->groups);
	s->groups = NULL;
}

int group_join(struct stack *s, struct endpoint *ep, int64_t value)
{
	uint32_t address = be32((uint32_t)value), count = 0;
	struct interface *i;
	struct membership *m;
	struct group *g;
	int error;

	if (ep->type != EP_DATAGRAM)
		return -EPROTO;
	if (!ip4_is_multicast(address))
		return -EINVAL;
	i = named_or_routed(s, (uint32_t)((uint64_t)value >> 32), address);
	if (!i)
		return -ENODEV;
	for (m = first_or_null(s, ep); m; m = next_or_null(s, m), count++)
		if (m->group->address == address && m->group->interface == i)
			return -EADDRINUSE;
	m = count < MEMBERSHIPS_OF_ONE ? pool_take_or_null(&s->groups->memberships) : NULL;
	if (!m)
		return -ENOBUFS;
	g = find(s, i, address);
	if (!g)
		g = new_group(s, i, address);
	error = g ? add_user(s, g) : -ENOBUFS;
	if (error) {
		if (g && !g->users && !g->repeats)
			group_forget(s, g);
		pool_put(&s->groups->memberships, m);
		return error;
	}
	m->group = g;
	m->next = ep->groups;
	ep->groups = number_of(s, m);
	return 0;
}

int group_leave(struct stack *s, struct endpoint *ep, int64_t value)
{
	uint32_t address = be32((uint32_t)value), name = (uint32_t)((uint64_t)value >> 32);
	const struct interface *i = name ? named(s, name) : NULL;

	if (ep->type != EP_DATAGRAM)
		return -EPROTO;
	for (uint32_t *at = &ep->groups; *at; at = &numbered_or_null(s, *at)->next) {
		const struct group *g = numbered_or_null(s, *at)->group;

		if (g->address == address && (!name || g->interface == i)) {
			leave(s, at);
			return 0;
		}
	}
	/* Linux says so of a group that no route leads to. */
	return name || named_or_routed(s, 0, address) ? -EADDRNOTAVAIL : -ENODEV;
}

int group_nth(const struct stack *s, const struct endpoint *ep, int64_t *value)
{
	const struct membership *m = first_or_null(s, ep);

	for (int64_t n = 0; m && n < *value; n++)
		m = next_or_null(s, m);
	if (!m || *value < 0)
		return -ENOENT;
	*value = (int64_t)((uint64_t)m->group->interface->number << 32 | be32(m->group->address));
	return 0;
}

bool group_is_wanted(const struct stack *s, const struct interface *i, uint32_t address)
{
	if (group_find_or_null(s, i, address))
		return true;
	return s->config.steer && steer_members(s->config.steer, i->number, address);
}

bool group_reaches(const struct stack *s, const struct endpoint *ep, uint32_t interface, uint32_t address)
{
	if (ep->multicast_all)
		return true;
	for (const struct membership *m = first_or_null(s, ep); m; m = next_or_null(s, m))
		if (m->group->address == address && m->group->interface->number == interface)
			return true;
	return false;
}

void groups_release(struct stack *s, struct endpoint *ep)
{
	while (ep->groups)
		leave(s, &ep->groups);
}

void groups_interface_gone(struct stack *s, struct interface *i)
{
	for (uint32_t n = 0; i->igmp.groups && n < pool_end(&s->endpoints); n++) {
		struct endpoint *ep = pool_at_or_null(&s->endpoints, n);

		for (uint32_t *at = first_or_null(s, ep) ? &ep->groups : NULL; at && *at;) {
			if (numbered_or_null(s, *at)->group->interface == i)
				leave(s, at);
			else
				at = &numbered_or_null(s, *at)->next;
		}
	}
	while (i->igmp.groups)
		group_forget(s, i->igmp.groups);
	igmp_stop(s, i);
}

const char *groups_check(const struct stack *s)
{
	const struct group_table *t = s->groups;
	uint32_t groups = 0, users = 0, memberships = 0;

	for (uint32_t b = 0; b < BUCKETS; b++)
		for (const struct group *g = t->buckets[b]; g; g = g->chain, groups++) {
			users += g->users;
			if (bucket_of(g->interface, g->address) != b || find(s, g->interface, g->address) != g)
				return "groups: one is in the wrong bucket, or there twice";
			if (!g->users && !g->repeats)
				return "groups: one without members has nothing to report";
			if (s->config.steer && g->users &&
			    !(steer_members(s->config.steer, g->interface->number, g->address) >> s->config.core & 1))
				return "groups: the other cores do not know of a member";
		}
	for (uint32_t n = 0; n < pool_end(&s->endpoints); n++) {
		const struct endpoint *ep = pool_at_or_null(&s->endpoints, n);

		for (const struct membership *m = first_or_null(s, ep); m; m = next_or_null(s, m))
			memberships++;
	}
	if (groups != t->groups.used || memberships != t->memberships.used)
		return "groups: a group or a membership is lost";
	return users == memberships ? NULL : "groups: the counts of members are wrong";
}
