/* SPDX-License-Identifier: BSD-3-Clause */
/* Clients, and the copy of what they set. */
#include "tools/lightd/leases.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "tools/lightd/change.h"
#include "tools/lightd/configure.h"

#define CLIENTS_MAX 64u

static struct client {
	struct dhcp *dhcp;      /* NULL: free */
	unsigned host;
	int interface;
	bool changed;
} client[CLIENTS_MAX];
static bool any_changed;

/* Inside a turn of the stack, which also logs it: it is looked at after it. */
static void changed(void *context, const struct dhcp_lease *lease)
{
	struct client *c = context;

	(void)lease;
	c->changed = true;
	any_changed = true;
}

static struct client *find(unsigned host, int interface)
{
	for (unsigned i = 0; i < CLIENTS_MAX; i++) {
		if (client[i].dhcp != NULL && client[i].host == host && client[i].interface == interface)
			return &client[i];
	}
	return NULL;
}

/* ---- the copy ---- */

#define SEEN_MAX 256u
#define SEEN_INTERFACES 64u

/* What core 0's stack has. */
struct copy {
	struct daemon *daemon;
	unsigned host;
	unsigned addresses, routes, interfaces;
	uint16_t mtu_limit[SEEN_INTERFACES];
	struct {
		int interface;
		struct ipaddr addr;
		unsigned prefix;
	} address[SEEN_MAX];
	struct stack_route route[SEEN_MAX];
};

static void see(struct copy *c, const struct stack *s)
{
	struct stack_interface i;

	c->addresses = c->routes = c->interfaces = 0;
	for (unsigned k = 1; k <= stack_interfaces(s); k++) {
		if (k < SEEN_INTERFACES) {
			c->mtu_limit[k] = stack_interface(s, (int)k, &i) ? i.mtu_limit : 0;
			c->interfaces = k;
		}
		for (unsigned a = 0; (int)k != stack_loopback(s) && c->addresses < SEEN_MAX &&
				     stack_interface_address(s, (int)k, a, &c->address[c->addresses].addr, &c->address[c->addresses].prefix); a++)
			c->address[c->addresses++].interface = (int)k;
	}
	for (uint32_t cursor = 0; c->routes < SEEN_MAX && stack_walk_routes(s, &cursor, &c->route[c->routes]);)
		c->routes++;
}

static bool has_address(const struct copy *c, const struct copy *in, unsigned i)
{
	for (unsigned k = 0; k < in->addresses; k++) {
		if (in->address[k].interface == c->address[i].interface && in->address[k].prefix == c->address[i].prefix &&
		    ipaddr_equal(&in->address[k].addr, &c->address[i].addr))
			return true;
	}
	return false;
}

static bool has_route(const struct copy *c, const struct copy *in, unsigned i)
{
	for (unsigned k = 0; k < in->routes; k++) {
		if (in->route[k].interface == c->route[i].interface && in->route[k].prefix == c->route[i].prefix &&
		    ipaddr_equal(&in->route[k].to, &c->route[i].to) && ipaddr_equal(&in->route[k].gateway, &c->route[i].gateway))
			return true;
	}
	return false;
}

/* In another core's thread: what it has too much goes, what it lacks comes. Connected routes come and go with their addresses. */
static void make_alike(void *context, unsigned core)
{
	static struct copy mine;
	const struct copy *c = context;
	struct stack *s = network_stack(c->daemon->network, c->host, core);

	see(&mine, s);
	for (unsigned i = 0; i < mine.addresses; i++) {
		if (!has_address(&mine, c, i))
			stack_remove_address(s, mine.address[i].interface, &mine.address[i].addr);
	}
	for (unsigned i = 0; i < c->addresses; i++) {
		if (!has_address(c, &mine, i))
			stack_add_address(s, c->address[i].interface, &c->address[i].addr, c->address[i].prefix);
	}
	for (unsigned k = 1; k <= c->interfaces; k++)
		stack_limit_mtu(s, (int)k, c->mtu_limit[k]);
	see(&mine, s);
	for (unsigned i = 0; i < mine.routes; i++) {
		if (!has_route(&mine, c, i))
			stack_remove_route_by(s, &mine.route[i].to, mine.route[i].prefix, &mine.route[i].gateway, mine.route[i].interface);
	}
	for (unsigned i = 0; i < c->routes; i++) {
		if (!has_route(c, &mine, i))
			stack_add_route(s, &c->route[i].to, c->route[i].prefix, &c->route[i].gateway, c->route[i].interface);
	}
}

static void spread_lease(struct daemon *d, unsigned host)
{
	static struct copy copy;

	copy.daemon = d;
	copy.host = host;
	see(&copy, network_stack(d->network, host, 0));
	for (unsigned core = 1; core < d->cores; core++)
		core_call(d, core, make_alike, &copy);
	change_tell(d, host);
}

/* ---- clients ---- */

unsigned leases_turn(struct daemon *d)
{
	unsigned work = 0;

	if (!any_changed)
		return 0;
	any_changed = false;
	for (unsigned i = 0; i < CLIENTS_MAX; i++) {
		if (client[i].dhcp == NULL || !client[i].changed)
			continue;
		client[i].changed = false;
		spread_lease(d, client[i].host);
		work++;
	}
	return work;
}

int leases_start(struct daemon *d, unsigned host, int interface)
{
	struct stack *s = network_stack(d->network, host, 0);
	struct dhcp_config config = { .changed = changed };
	struct stack_interface i;
	char name[64] = "";
	struct client *c = client;

	if (interface == stack_loopback(s) || !stack_interface(s, interface, &i))
		return -ENODEV;
	if (find(host, interface) != NULL)
		return -EEXIST;
	while (c < client + CLIENTS_MAX && c->dhcp != NULL)
		c++;
	if (c == client + CLIENTS_MAX)
		return -ENOMEM;
	*c = (struct client){ .host = host, .interface = interface };
	if (gethostname(name, sizeof name - 1) == 0 && name[0] != '\0')
		config.host_name = name;
	config.context = c;
	network_ask_dhcp(d->network, host, interface, true);
	c->dhcp = dhcp_start(s, interface, &config);
	return c->dhcp != NULL ? 0 : -ENOMEM;
}

int leases_stop(struct daemon *d, unsigned host, int interface)
{
	struct client *c = find(host, interface);

	if (c == NULL)
		return -ENOENT;
	dhcp_stop(c->dhcp);
	c->dhcp = NULL;
	network_ask_dhcp(d->network, host, interface, false);
	spread_lease(d, host);
	return 0;
}

unsigned leases_end(void)
{
	unsigned ended = 0;

	for (unsigned i = 0; i < CLIENTS_MAX; i++) {
		if (client[i].dhcp == NULL)
			continue;
		dhcp_stop(client[i].dhcp);
		client[i].dhcp = NULL;
		ended++;
	}
	return ended;
}

int leases_start_all(struct daemon *d)
{
	const struct options *o = d->options;
	const struct stack *s = network_stack(d->network, 0, 0);
	char name[NAME_MAX_BYTES];
	int error = 0;

	for (unsigned k = 0; k < o->interfaces && error == 0; k++) {
		const struct interface_option *i = &o->interface[k];

		if (i->dhcp)
			error = leases_start(d, 0, configure_interface_named(s, i->name));
		for (unsigned v = 0; v < i->vlans && error == 0; v++) {
			configure_vlan_name(name, i->name, i->vlan[v].vid);
			if (i->vlan[v].dhcp)
				error = leases_start(d, 0, configure_interface_named(s, name));
		}
	}
	return error;
}

bool leases_at(unsigned number, unsigned *host, int *interface, struct dhcp_lease *lease)
{
	for (unsigned i = 0; i < CLIENTS_MAX; i++) {
		if (client[i].dhcp == NULL || number-- > 0)
			continue;
		*host = client[i].host;
		*interface = client[i].interface;
		dhcp_lease(client[i].dhcp, lease);
		return true;
	}
	return false;
}
