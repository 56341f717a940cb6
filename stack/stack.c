/* SPDX-License-Identifier: BSD-3-Clause */
/* An instance: made, turned, asked and freed. A turn takes a burst from each link, fires what is due, sends what may be
 * sent, and hands each link its packets at once; nothing is done between turns that a turn would not see. */
#include "dhcp_client.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "steer.h"
#include "wire.h"

#define RETRY (20 * NSEC_PER_USEC)  /* when a link was full, or had no packet */

static const struct {
	const char *name, *sentence;
} drop_texts[] = {
#define X(name, sentence) { #name, sentence },
#include "drops.def"
#undef X
}, count_texts[] = {
#define X(name, sentence) { #name, sentence },
#include "counts.def"
#undef X
};

/* ---- packets and links, for the layers ---- */

/* A device's, not a VLAN's. */
static void interface_flush(struct stack *s, struct interface *i)
{
	unsigned taken;

	taken = i->link->ops->transmit(i->link, i->out, i->out_count);
	CHECK(taken <= i->out_count);
	s->counts[COUNT_TX_FRAMES] += taken;
	i->out_count -= taken;
	i->out_retry = 0;
	if (i->out_count == 0)
		return;
	memmove(i->out, i->out + taken, i->out_count * sizeof(i->out[0]));
	i->out_retry = s->now + RETRY;
}

struct pkt *pkt_borrow(struct stack *s, const struct path *path)
{
	struct interface *i = stack_interface_or_null(s, path->interface);
	struct pkt *p;

	if (!i)
		return loopback_borrow(s);  /* it has gone, and ip_send will say so: a sender must not wait for a link that never comes */
	i = i->device;
	if (i->out_count == STACK_BURST)
		interface_flush(s, i);
	if (i->out_count == STACK_BURST) {
		drop_count(s, DROP_LINK_FULL);
		return NULL;
	}
	if (i->link->ops->borrow(i->link, &p, 1) == 1)
		return p;
	drop_count(s, DROP_LINK_NO_PACKET);
	return NULL;
}

void pkt_done(struct stack *s, struct pkt *p)
{
	(void)s;
	p->link->ops->release(p->link, &p, 1);
}

void pkt_drop(struct stack *s, struct pkt *p, enum drop reason)
{
	drop_count(s, reason);
	pkt_done(s, p);
}

void interface_transmit(struct stack *s, struct interface *i, struct pkt *p)
{
	if (!i->link->up) {
		pkt_drop(s, p, DROP_LINK_DOWN);
		return;
	}
	i = i->device;
	if (i->out_count == STACK_BURST)
		interface_flush(s, i);
	if (i->out_count == STACK_BURST)
		pkt_drop(s, p, DROP_LINK_FULL);
	else
		i->out[i->out_count++] = p;
}

void stack_log(struct stack *s, const char *format, ...)
{
	char line[256];
	va_list arguments;

	if (!s->config.log)
		return;
	va_start(arguments, format);
	vsnprintf(line, sizeof(line), format, arguments);
	va_end(arguments);
	s->config.log(s->config.log_context, line);
}

/* ---- an instance ---- */

void stack_config_init(struct stack_config *config)
{
	*config = (struct stack_config){ .name = "light", .max_endpoints = 65536 };
	tcp_settings_linux(&config->tcp);
}

static void fill_defaults(struct stack_config *c)
{
	if (!c->max_endpoints)
		c->max_endpoints = 65536;
	if (!c->max_fragments)
		c->max_fragments = 4 << 20;
	if (!c->max_neighbours)
		c->max_neighbours = 1024;
	if (!c->icmp_errors_per_second)
		c->icmp_errors_per_second = 1000;
	if (!c->icmp_errors_burst)
		c->icmp_errors_burst = 50;
	if (!c->icmp_target_interval)
		c->icmp_target_interval = NSEC_PER_SEC;
	if (!c->neighbour_timeout)
		c->neighbour_timeout = 35 * NSEC_PER_SEC;
	if (!c->ttl)
		c->ttl = 64;
	if (!c->steer)
		c->core = 0;
	CHECK(!c->steer || c->core < c->steer->cores);
}

static bool init_chance(struct stack *s)
{
	uint8_t seed[16];

	/* Keys are one for all cores of a host (ISNs go on where a flow's last core left them), chance is each one's own. */
	memcpy(seed, s->config.secret, sizeof(seed));
	seed[0] ^= (uint8_t)s->config.core;
	rng_seed(&s->rng, seed);
	s->ip_id_step = 1;
	while (s->config.steer && s->ip_id_step < s->config.steer->cores)
		s->ip_id_step *= 2;
	s->flow_key = siphash_key_for(s->config.secret, 1);
	s->port_key = siphash_key_for(s->config.secret, 2);
	for (unsigned i = 0; i < sizeof(s->ip_ids) / sizeof(s->ip_ids[0]); i++)
		s->ip_ids[i] = (uint16_t)((rng_u32(&s->rng) & ~(s->ip_id_step - 1u)) | s->config.core);
	s->icmp_tokens = (int64_t)(NSEC_PER_SEC / s->config.icmp_errors_per_second) * s->config.icmp_errors_burst;
	return true;
}

static bool init_loopback(struct stack *s)
{
	struct link *link = loopback_new(s);
	struct ipaddr localhost = ipaddr_from_ip4(be32(0x7f000001));
	int number;

	if (!link)
		return false;
	number = stack_add_link(s, link, "lo");
	if (number < 0)
		return false;
	s->loopback_number = (uint32_t)number;
	return stack_add_address(s, number, &localhost, 8) == 0;
}

struct stack *stack_new(const struct stack_config *config)
{
	struct stack *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->config = *config;
	fill_defaults(&s->config);
	snprintf(s->name, sizeof(s->name), "%s", config->name ? config->name : "light");
	s->config.name = s->name;
	wheel_init(&s->wheel, 0);
	if (init_chance(s) && endpoints_init(s) && routes_init(s) && pmtu_init(s) && neighbours_init(s) &&
	    fragments_init(s) && groups_init(s) && ports_init(s) && flows_init(s) && init_loopback(s) && tcp_init(s) == 0)
		return s;
	stack_free(s);
	return NULL;
}

void stack_free(struct stack *s)
{
	if (!s)
		return;
	if (s->tcp)
		tcp_free(s);
	if (s->endpoints.memory)
		endpoints_free(s);
	neighbours_free(s);
	groups_free(s);
	for (uint32_t n = 1; n <= s->interface_count; n++) {
		struct interface *i = s->interfaces[n];

		if (i && i->out_count)
			i->link->ops->release(i->link, i->out, i->out_count);
		if (i)
			dhcp_free(i->dhcp);
		free(i);
	}
	fragments_free(s);
	pmtu_free(s);
	routes_free(s);
	ports_free(s);
	flows_free(s);
	loopback_free(s);
	free(s);
}

/* With the lowest number that is free. 0 or -errno. */
static int add_interface(struct stack *s, struct link *link, const char *name, struct interface **out)
{
	uint32_t number = 1;
	struct interface *i;

	while (number <= STACK_INTERFACES && s->interfaces[number])
		number++;
	if (number > STACK_INTERFACES)
		return -ENOBUFS;
	i = calloc(1, sizeof(*i));
	if (!i)
		return -ENOMEM;
	i->stack = s;
	i->number = number;
	snprintf(i->name, sizeof(i->name), "%s", name ? name : "");
	i->link = link;
	i->device = i;
	i->carrier = link->up;
	i->loopback = link->flags & LINK_LOOPBACK;
	igmp_init(i);
	s->interfaces[number] = i;
	if (number > s->interface_count)
		s->interface_count = number;
	*out = i;
	return 0;
}

int stack_add_link(struct stack *s, struct link *link, const char *name)
{
	struct interface *i;
	int error = add_interface(s, link, name, &i);

	return error ? error : (int)i->number;
}

int stack_add_vlan(struct stack *s, int interface, unsigned vid, const char *name)
{
	struct interface *device = interface > 0 ? stack_interface_or_null(s, (uint32_t)interface) : NULL, *i;
	int error;

	if (!device)
		return -ENODEV;
	if (device->loopback || device->vid || vid < 1 || vid > VLAN_VID_MAX)
		return -EINVAL;
	for (i = device->vlans; i; i = i->next_vlan)
		if (i->vid == vid)
			return -EEXIST;
	error = add_interface(s, device->link, name, &i);
	if (error)
		return error;
	i->device = device;
	i->vid = (uint16_t)vid;
	i->next_vlan = device->vlans;
	device->vlans = i;
	return (int)i->number;
}

int stack_remove_vlan(struct stack *s, int interface)
{
	struct interface *i = interface > 0 ? stack_interface_or_null(s, (uint32_t)interface) : NULL, **at;

	if (!i)
		return -ENODEV;
	if (!i->vid)
		return -EINVAL;
	if (i->dhcp)
		return -EBUSY;
	wheel_cancel(&s->wheel, &i->announce);
	neighbours_forget(s, i);
	groups_interface_gone(s, i);
	route_interface_gone(s, i);
	for (at = &i->device->vlans; *at != i; )
		at = &(*at)->next_vlan;
	*at = i->next_vlan;
	s->interfaces[i->number] = NULL;
	while (!s->interfaces[s->interface_count])
		s->interface_count--;
	free(i);
	return 0;
}

unsigned stack_interfaces(const struct stack *s)
{
	return s->interface_count;
}

int stack_loopback(const struct stack *s)
{
	return (int)s->loopback_number;
}

bool stack_interface(const struct stack *s, int number, struct stack_interface *out)
{
	const struct interface *i = number > 0 ? stack_interface_or_null(s, (uint32_t)number) : NULL;

	if (!i)
		return false;
	*out = (struct stack_interface){ .link = i->link, .vid = i->vid, .mtu_limit = i->mtu_limit };
	memcpy(out->name, i->name, sizeof(out->name));
	if (i->address_count) {
		out->addr = i->addresses[0].addr;
		out->prefix = i->addresses[0].prefix;
	}
	return true;
}

void stack_limit_mtu(struct stack *s, int number, uint16_t mtu)
{
	struct interface *i = number > 0 ? stack_interface_or_null(s, (uint32_t)number) : NULL;

	if (!i || i->mtu_limit == mtu)
		return;
	i->mtu_limit = mtu;
	route_changed(s);  /* paths look at the MTU again */
}

/* ---- turning ---- */

void stack_at(struct stack *s, nsec now)
{
	if (now > s->now)
		s->now = now;
}

nsec stack_now(const struct stack *s)
{
	return s->now;
}

static unsigned receive_burst(struct stack *s, struct interface *i)
{
	struct pkt *burst[STACK_BURST];
	unsigned n = i->link->ops->receive(i->link, burst, STACK_BURST);

	if (n == 0)
		return 0;
	s->counts[COUNT_RX_FRAMES] += n;
	for (unsigned k = 0; k < n; k++) {
		if (k + 1 < n)
			__builtin_prefetch(burst[k + 1]->data);
		if (i->loopback)
			ip4_receive(s, i, burst[k], false);
		else
			eth_receive(s, i, burst[k]);
	}
	return n;
}

/* A number may be free, and a VLAN's frames come through the link of another interface. */
static bool is_device(const struct interface *i)
{
	return i && i->device == i;
}

/* What a host does when its cable is pulled or plugged in: nothing of what waited for the link is of use then, and everything it knew of
 * the hosts on the link is asked again. */
RARELY_CALLED void carrier_changed(struct stack *s, struct interface *device)
{
	device->carrier = device->link->up;
	if (!device->carrier) {
		s->drops[DROP_LINK_DOWN] += device->out_count;
		if (device->out_count)
			device->link->ops->release(device->link, device->out, device->out_count);
		device->out_count = 0;
	}
	for (uint32_t n = 1; n <= s->interface_count; n++) {
		struct interface *i = s->interfaces[n];

		if (!i || i->device != device)
			continue;
		if (i->dhcp)
			dhcp_carrier(i->dhcp);
		if (!device->carrier)
			continue;
		neighbours_doubt(s, i);
		for (unsigned a = 0; a < i->address_count; a++)
			arp_announce(s, i, &i->addresses[a]);
		igmp_carrier(s, i);
	}
}

unsigned stack_turn(struct stack *s, nsec now)
{
	struct interface **first = &s->interfaces[1], **last = &s->interfaces[s->interface_count];
	unsigned work = 0;

	stack_at(s, now);
	/* Packets before timers: an ACK that is already here must be seen before its retransmission timer. */
	for (struct interface **i = first; i <= last; i++) {
		if (!is_device(*i) || ((*i)->loopback && !loopback_pending(s)))
			continue;
		if ((*i)->carrier != (bool)(*i)->link->up)
			carrier_changed(s, *i);
		work += receive_burst(s, *i);
	}
	work += wheel_advance(&s->wheel, s->now, s);
	work += tcp_output_ready(s);
	if (!list_empty(&s->udp_waiting))
		work += udp_send_waiting(s);
	for (struct interface **i = first; i <= last; i++)
		if (*i && (*i)->out_count)
			interface_flush(s, *i);
	return work;
}

nsec stack_deadline(const struct stack *s)
{
	/* Only the kept answer changes in there: whoever asks has the instance to itself. */
	nsec due = wheel_next(&((struct stack *)(uintptr_t)s)->wheel);

	if (loopback_pending(s))
		return s->now;
	if (tcp_output_due(s) < due)
		due = tcp_output_due(s);
	for (uint32_t n = 1; n <= s->interface_count; n++) {
		const struct interface *i = s->interfaces[n];

		if (i && i->out_count && i->out_retry < due)
			due = i->out_retry;
		if (is_device(i) && i->carrier != (bool)i->link->up)
			return s->now;
	}
	if (!list_empty(&s->udp_waiting) && s->now + RETRY < due)
		due = s->now + RETRY;
	return due < s->now ? s->now : due;
}

/* ---- looking inside ---- */

bool stack_counter(const struct stack *s, unsigned i, struct stack_counter *out)
{
	if (i < DROP_REASONS) {
		*out = (struct stack_counter){ drop_texts[i].name, drop_texts[i].sentence, s->drops[i] };
		return true;
	}
	i -= DROP_REASONS;
	if (i >= COUNT_TOTALS)
		return false;
	*out = (struct stack_counter){ count_texts[i].name, count_texts[i].sentence, s->counts[i] };
	return true;
}

void stack_memory(const struct stack *s, struct stack_memory *out)
{
	*out = (struct stack_memory){
		.pools = pool_bytes(&s->endpoints) + fragments_bytes(s) + tcp_pool_bytes(s),
		.endpoints = s->endpoints.used, .packets_held = s->packets_held,
		.fragments_held = fragments_held(s), .extents_lent = s->extents_lent,
	};
	/* The loopback link's packets are our own: only what was borrowed from a host's link counts. */
	for (uint32_t n = 1; n <= s->interface_count; n++)
		if (s->interfaces[n] && !s->interfaces[n]->loopback)
			out->packets_held += s->interfaces[n]->out_count;
	tcp_memory(s, out);
}

static const char *interfaces_check(const struct stack *s)
{
	unsigned vlans = 0, chained = 0;

	for (uint32_t n = 1; n <= s->interface_count; n++) {
		const struct interface *i = s->interfaces[n];

		if (!i)
			continue;
		if (i->number != n || i->out_count > STACK_BURST)
			return "interface: its number or its queue is wrong";
		if (i->vid ? i->device == i || i->link != i->device->link || i->out_count || i->vlans : i->device != i)
			return "interface: a VLAN has something of its own that is its device's";
		vlans += i->vid != 0;
		for (const struct interface *v = i->vlans; v; v = v->next_vlan, chained++)
			if (v->device != i || s->interfaces[v->number] != v)
				return "interface: a VLAN in the chain is not this device's";
	}
	return vlans == chained ? NULL : "interface: a VLAN is missing in its device's chain";
}

const char *stack_check(const struct stack *s)
{
	const char *(*const checks[])(const struct stack *) = {
		interfaces_check,
		neighbours_check, fragments_check, groups_check, ports_check, flows_check, endpoints_check, tcp_check,
	};
	const char *wrong = wheel_check(&s->wheel);

	for (unsigned i = 0; !wrong && i < sizeof(checks) / sizeof(checks[0]); i++)
		wrong = checks[i](s);
	return wrong;
}
