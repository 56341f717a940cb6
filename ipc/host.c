/* SPDX-License-Identifier: BSD-3-Clause */
/* The hosts that programs attach to: a name, a stack, and what programs are told of its addresses and routes. */
#include "ipc/server_private.h"

#include <stdlib.h>
#include <string.h>

int server_add_host(struct server *s, const char *name, struct server_host **out)
{
	struct server_host *h, **at;

	if (!name[0] || strlen(name) >= sizeof(h->name))
		return -EINVAL;
	for (at = &s->hosts; *at; at = &(*at)->next)
		if (strcmp((*at)->name, name) == 0)
			return -EEXIST;
	h = calloc(1, sizeof(*h));
	if (!h)
		return -ENOMEM;
	h->server = s;
	memcpy(h->name, name, strlen(name) + 1);
	*at = h;
	*out = h;
	return 0;
}

struct ep_host server_host_calls(struct server_host *h)
{
	return (struct ep_host){ .context = h, .lend = lines_lend, .give_back = lines_give_back, .withdraw = lines_withdraw, .adopt = lines_adopt };
}

static void add_address(struct host_info *info, const struct ipaddr *a)
{
	uint32_t i;

	if (ipaddr_is_any(a) || info->addresses == HOST_ROUTES)
		return;
	for (i = 0; i < info->addresses; i++)
		if (ipaddr_equal(&info->address[i], a))
			return;
	info->address[info->addresses++] = *a;
}

void server_host_changed(struct server_host *h)
{
	struct host_info *info = &h->info;
	struct stack_route route;
	struct ipaddr addr;
	struct family *f;
	uint32_t cursor = 0;
	unsigned i, a, prefix;

	memset(info, 0, sizeof(*info));
	info->cores = h->server->cores_n;
	info->daemon_cores = h->server->config.daemon_cores;
	memcpy(info->name, h->name, sizeof(info->name));
	for (i = 1; i <= stack_interfaces(h->stack); i++)  /* a removed VLAN leaves a hole */
		for (a = 0; stack_interface_address(h->stack, (int)i, a, &addr, &prefix); a++)
			add_address(info, &addr);
	while (info->routes < HOST_ROUTES && stack_walk_routes(h->stack, &cursor, &route)) {
		add_address(info, &route.source);
		info->route[info->routes].to = route.to;
		info->route[info->routes++].prefix = route.prefix;
	}
	/* Programs hear it from core 0, whose addresses are those of all cores. */
	LIST_FOREACH(f, &h->server->families, node)
		if (f->host == h && h->server->core == 0)
			family_tell_host(f);
}

void server_host_start(struct server_host *h, struct stack *stack)
{
	h->stack = stack;
	server_host_changed(h);
}

struct stack *server_host_stack(const struct server_host *h)
{
	return h->stack;
}

const char *server_host_name(const struct server_host *h)
{
	return h->name;
}

struct server_host *server_host_at(struct server *s, unsigned i)
{
	struct server_host *h = s->hosts;

	while (h && i--)
		h = h->next;
	return h;
}
