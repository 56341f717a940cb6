/* SPDX-License-Identifier: BSD-3-Clause */
/* The states of a DHCP client (RFC 2131 4.4). It hears what comes to UDP port 68 of its interface whatever the destination address, so it
 * never asks for broadcasts (4.1), and sends at most one message at a time, each later one not before a timer. What a lease brings is set
 * and taken back here. */
#include "dhcp_client.h"

#include <stdio.h>
#include <stdlib.h>

#include "dhcp_message.h"
#include "wire.h"

#define REQUEST_TRIES 4                      /* RFC 2131 3.1.5: about a minute, then from the beginning */
#define RENEW_LEAST (60 * NSEC_PER_SEC)      /* between two requests (4.4.5) */
#define DECLINED_WAIT (10 * NSEC_PER_SEC)    /* 3.1.5 */
#define REFUSED_WAIT (2 * NSEC_PER_SEC)      /* after the first NAK; doubles with each further one, to 64 s */
#define LEASE_LEAST 10u                      /* seconds; a shorter lease would have to be renewed all the time */
#define MTU_LEAST 576u                       /* less is not believed: no Ethernet has so little */
#define PROBE_WAIT NSEC_PER_SEC              /* RFC 5227 1.1 */
#define PROBES 3
#define PROBE_MIN NSEC_PER_SEC
#define PROBE_MAX (2 * NSEC_PER_SEC)
#define ANNOUNCE_WAIT (2 * NSEC_PER_SEC)

struct dhcp {
	struct stack *stack;
	struct interface *interface;
	struct dhcp_config config;
	char host_name[64];
	enum dhcp_state state;
	struct timer timer;        /* what the state waits for */
	struct timer expiry;       /* of the lease that is in use */
	uint32_t xid;
	nsec began;                /* this attempt */
	nsec sent;                 /* the last message; a lease counts from its request (4.4.1) */
	unsigned tries, probes, refusals;
	struct dhcp_message offer; /* what is asked for, then what is probed */
	bool bound;                /* `used` is set on the interface; it stays while another is asked for after the carrier was away */
	struct dhcp_message used;
	struct dhcp_route routes[DHCP_ROUTES + 2];  /* those that we added */
	unsigned route_count;
	struct dhcp_lease lease;   /* what dhcp_lease tells */
};

/* From the beginning, once there is a carrier. */
static void restart(struct dhcp *d, nsec wait)
{
	d->state = DHCP_INIT;
	if (d->interface->device->carrier)
		wheel_arm(&d->stack->wheel, &d->timer, d->stack->now + wait);
	else
		wheel_cancel(&d->stack->wheel, &d->timer);
}

/* ---- sending ---- */

static bool way_to_server(struct dhcp *d, struct path *path)
{
	struct ipaddr from = ipaddr_from_ip4(d->used.address), to = ipaddr_from_ip4(d->used.server);

	return route_find(d->stack, &from, &to, path) == 0 && path->interface == d->interface->number;
}

static void send_words(struct dhcp *d, struct dhcp_words *w, const struct path *path)
{
	struct stack *s = d->stack;
	struct pkt *p = pkt_borrow(s, path);
	struct udp_header *udp;
	nsec age = (s->now - d->began) / NSEC_PER_SEC;
	uint64_t sum;

	d->sent = s->now;
	if (!p)
		return;  /* as if it were lost on the way */
	if (pkt_tailroom(p) < sizeof(*udp) + DHCP_WRITTEN_MAX) {
		pkt_drop(s, p, DROP_LINK_NO_PACKET);
		return;
	}
	w->xid = d->xid;
	w->seconds = age < UINT16_MAX ? (uint16_t)age : UINT16_MAX;
	w->size_max = interface_mtu(d->interface) > MTU_LEAST ? interface_mtu(d->interface) : MTU_LEAST;
	w->mac = d->interface->link->mac;
	w->host_name = d->host_name;
	udp = (struct udp_header *)p->data;
	p->len = (uint32_t)sizeof(*udp) + dhcp_write((uint8_t *)(udp + 1), w);
	*udp = (struct udp_header){ .source = be16(DHCP_CLIENT_PORT), .destination = be16(DHCP_SERVER_PORT),
				    .length = be16((uint16_t)p->len) };
	sum = csum_add(csum_pseudo(&path->source, &path->destination, PROTOCOL_UDP, p->len), udp, p->len);
	udp->checksum = csum_finish(sum);
	if (!udp->checksum)
		udp->checksum = 0xffff;
	count(s, COUNT_DHCP_SENT);
	ip_send(s, p, &(struct ip_send){ .path = path, .protocol = PROTOCOL_UDP, .ttl = s->config.ttl });
}

/* To everybody on the link, from an address in use or none. */
static void send_broadcast(struct dhcp *d, struct dhcp_words *w)
{
	struct ipaddr all = ipaddr_from_ip4(UINT32_MAX);
	struct path path = {
		.source = ipaddr_from_ip4(w->client), .destination = all, .next_hop = all, .interface = d->interface->number,
		.generation = d->stack->route_generation, .mtu = interface_mtu(d->interface),
	};

	send_words(d, w, &path);
}

/* 4.1: 4, 8, 16, 32, then 64 seconds, each one second more or less by chance. */
static void arm_again(struct dhcp *d)
{
	nsec wait = (4 * NSEC_PER_SEC) << (d->tries < 4 ? d->tries : 4);

	d->tries++;
	wheel_arm(&d->stack->wheel, &d->timer,
		  d->stack->now + wait - NSEC_PER_SEC + rng_below(&d->stack->rng, 2 * NSEC_PER_SEC + 1));
}

static void discover(struct dhcp *d)
{
	struct dhcp_words w = { .type = DHCP_DISCOVER, .requested = d->bound ? d->used.address : 0 };

	d->lease.discovers++;
	send_broadcast(d, &w);
	arm_again(d);
}

/* The request that answers an offer. */
static void request(struct dhcp *d)
{
	struct dhcp_words w = { .type = DHCP_REQUEST, .requested = d->offer.address, .server = d->offer.server };

	d->lease.requests++;
	send_broadcast(d, &w);
	arm_again(d);
}

/* 4.4.5: to the server at first, to all servers later; again after half of the time that is left. */
static void renew(struct dhcp *d)
{
	struct dhcp_words w = { .type = DHCP_REQUEST, .client = d->used.address };
	nsec until = d->state == DHCP_RENEWING ? d->lease.rebind : d->lease.expires, now = d->stack->now;
	nsec wait = (until - now) / 2;
	struct path path;

	d->lease.requests++;
	if (d->state == DHCP_REBINDING)
		send_broadcast(d, &w);
	else if (way_to_server(d, &path))
		send_words(d, &w, &path);
	if (wait < RENEW_LEAST)
		wait = RENEW_LEAST;
	wheel_arm(&d->stack->wheel, &d->timer, wait < until - now ? now + wait : until);
}

/* ---- what a lease brings ---- */

static void add_route(struct dhcp *d, uint32_t to, uint8_t prefix, uint32_t via)
{
	struct ipaddr net = ipaddr_from_ip4(to), gateway = ipaddr_from_ip4(via);

	if (d->route_count < DHCP_ROUTES + 2 &&
	    stack_add_route(d->stack, &net, prefix, &gateway, (int)d->interface->number) == 0)
		d->routes[d->route_count++] = (struct dhcp_route){ .to = to, .gateway = via, .prefix = prefix };
}

static bool on_link(const struct dhcp *d, uint32_t ip4)
{
	uint32_t mask = d->used.prefix ? be32(UINT32_MAX << (32 - d->used.prefix)) : 0;

	return ((d->used.address ^ ip4) & mask) == 0;
}

static void add_routes(struct dhcp *d)
{
	const struct dhcp_message *m = &d->used;

	/* First the ways on link, which the gateways of others need. */
	for (unsigned pass = 0; pass < 2; pass++)
		for (unsigned i = 0; i < m->route_count; i++)
			if ((m->routes[i].gateway != 0) == (pass == 1))
				add_route(d, m->routes[i].to, m->routes[i].prefix, m->routes[i].gateway);
	if (m->classless || !m->router)
		return;
	if (!on_link(d, m->router))
		add_route(d, m->router, 32, 0);
	add_route(d, 0, 0, m->router);
}

static void take_back(struct dhcp *d)
{
	struct ipaddr addr = ipaddr_from_ip4(d->used.address);

	while (d->route_count > 0) {
		const struct dhcp_route *r = &d->routes[--d->route_count];
		struct ipaddr to = ipaddr_from_ip4(r->to), gateway = ipaddr_from_ip4(r->gateway);

		stack_remove_route_by(d->stack, &to, r->prefix, &gateway, (int)d->interface->number);
	}
	stack_remove_address(d->stack, (int)d->interface->number, &addr);
	d->interface->mtu_limit = 0;
	d->bound = false;
	wheel_cancel(&d->stack->wheel, &d->expiry);
}

static void tell_loss(struct dhcp *d)
{
	struct dhcp_lease empty = {
		.state = DHCP_INIT, .discovers = d->lease.discovers, .requests = d->lease.requests, .offers = d->lease.offers,
		.acks = d->lease.acks, .naks = d->lease.naks, .declines = d->lease.declines,
	};

	d->lease = empty;
	stack_log(d->stack, "%s: DHCP: the lease is over", d->interface->name);
	if (d->config.changed)
		d->config.changed(d->config.context, &d->lease);
}

/* The address must not be used any longer. */
static void lose(struct dhcp *d)
{
	if (!d->bound)
		return;
	take_back(d);
	tell_loss(d);
}

/* 0 or -errno: another interface has the address, or there is no room. */
static int set_up(struct dhcp *d)
{
	struct ipaddr addr = ipaddr_from_ip4(d->offer.address);
	int error;

	if (d->bound)
		take_back(d);
	error = stack_add_address(d->stack, (int)d->interface->number, &addr, d->offer.prefix);
	if (error)
		return error;
	d->used = d->offer;
	d->bound = true;
	if (d->used.mtu >= MTU_LEAST)
		d->interface->mtu_limit = d->used.mtu;
	add_routes(d);
	route_changed(d->stack);  /* paths look at the MTU again */
	return 0;
}

static bool same_settings(const struct dhcp_message *a, const struct dhcp_message *b)
{
	return a->address == b->address && a->prefix == b->prefix && a->router == b->router && a->mtu == b->mtu &&
	       a->classless == b->classless && a->route_count == b->route_count &&
	       memcmp(a->routes, b->routes, a->route_count * sizeof(a->routes[0])) == 0;
}

static void tell(struct dhcp *d)
{
	const struct dhcp_message *m = &d->used;
	struct dhcp_lease *l = &d->lease;
	const uint8_t *ip;

	l->state = d->state;
	l->addr = ipaddr_from_ip4(m->address);
	l->router = m->router && !m->classless ? ipaddr_from_ip4(m->router) : (struct ipaddr){ 0 };
	l->server = ipaddr_from_ip4(m->server);
	l->prefix = m->prefix;
	l->mtu = m->mtu;
	l->dns_count = m->dns_count;
	for (unsigned i = 0; i < m->dns_count; i++)
		l->dns[i] = ipaddr_from_ip4(m->dns[i]);
	memcpy(l->domain, m->domain, sizeof(l->domain));
	ip = &l->addr.bytes[12];
	stack_log(d->stack, "%s: DHCP: %u.%u.%u.%u/%u for %u s", d->interface->name, ip[0], ip[1], ip[2], ip[3], l->prefix,
		  m->lease);
	if (d->config.changed)
		d->config.changed(d->config.context, l);
}

/* 4.4.5: T1 and T2 as the server has them if they are in order, else a half and seven eighths of the lease. */
static void bind_lease(struct dhcp *d)
{
	uint32_t lease = d->offer.lease, rebind = d->offer.rebind, renewal = d->offer.renew;
	struct dhcp_lease *l = &d->lease;
	bool had = d->bound;

	if (!(had && same_settings(&d->used, &d->offer)) && set_up(d) != 0) {
		stack_log(d->stack, "%s: DHCP: the address that was offered cannot be used", d->interface->name);
		restart(d, DECLINED_WAIT);
		if (had)
			tell_loss(d);
		return;
	}
	d->used = d->offer;
	d->refusals = 0;
	d->state = DHCP_BOUND;
	if (!rebind || rebind >= lease)
		rebind = lease - lease / 8;
	if (!renewal || renewal >= rebind)
		renewal = lease / 2 < rebind ? lease / 2 : rebind / 2 + 1;
	l->obtained = d->sent;
	l->renew = l->rebind = l->expires = NSEC_NEVER;
	if (lease != DHCP_ENDLESS) {
		l->renew = d->sent + renewal * NSEC_PER_SEC;
		l->rebind = d->sent + rebind * NSEC_PER_SEC;
		l->expires = d->sent + lease * NSEC_PER_SEC;
	}
	wheel_arm(&d->stack->wheel, &d->timer, l->renew);
	wheel_arm(&d->stack->wheel, &d->expiry, l->expires);
	tell(d);
}

/* ---- states ---- */

static void select_offer(struct dhcp *d)
{
	d->state = DHCP_SELECTING;
	d->xid = rng_u32(&d->stack->rng);
	d->began = d->stack->now;
	d->tries = 0;
	discover(d);
}

static void decline(struct dhcp *d)
{
	struct dhcp_words w = { .type = DHCP_DECLINE, .requested = d->offer.address, .server = d->offer.server };

	stack_log(d->stack, "%s: DHCP: the address that was offered is in use", d->interface->name);
	d->lease.declines++;
	send_broadcast(d, &w);
	restart(d, DECLINED_WAIT);
}

/* RFC 5227 2.1.1: three questions at intervals by chance, and a wait for answers to the last. */
static void probe(struct dhcp *d)
{
	nsec now = d->stack->now;

	if (d->probes == PROBES) {
		bind_lease(d);
		return;
	}
	d->probes++;
	arp_probe(d->stack, d->interface, d->offer.address);
	wheel_arm(&d->stack->wheel, &d->timer, now + (d->probes == PROBES ? ANNOUNCE_WAIT :
		  PROBE_MIN + rng_below(&d->stack->rng, PROBE_MAX - PROBE_MIN + 1)));
}

static void begin_probing(struct dhcp *d)
{
	if (d->bound && d->used.address == d->offer.address) {
		bind_lease(d);  /* it is ours, and defended */
		return;
	}
	d->state = DHCP_PROBING;
	d->probes = 0;
	if (route_is_own(d->stack, d->offer.address))
		decline(d);  /* of another interface */
	else
		wheel_arm(&d->stack->wheel, &d->timer, d->stack->now + rng_below(&d->stack->rng, PROBE_WAIT));
}

static void fire(void *context, struct timer *t)
{
	struct dhcp *d = container_of(t, struct dhcp, timer);

	(void)context;
	switch (d->state) {
	case DHCP_INIT:
		select_offer(d);
		break;
	case DHCP_SELECTING:
		discover(d);
		break;
	case DHCP_REQUESTING:
		if (d->tries < REQUEST_TRIES)
			request(d);
		else
			select_offer(d);
		break;
	case DHCP_PROBING:
		probe(d);
		break;
	case DHCP_BOUND:
	case DHCP_RENEWING:
	case DHCP_REBINDING:
		if (d->state == DHCP_BOUND) {
			d->xid = rng_u32(&d->stack->rng);
			d->began = d->stack->now;
		}
		/* Turns may come late: every time is looked at. */
		d->state = d->stack->now < d->lease.rebind ? DHCP_RENEWING : DHCP_REBINDING;
		if (d->stack->now < d->lease.expires)
			renew(d);
		break;
	}
}

static void expire(void *context, struct timer *t)
{
	struct dhcp *d = container_of(t, struct dhcp, expiry);

	(void)context;
	lose(d);
	if (d->state == DHCP_BOUND || d->state == DHCP_RENEWING || d->state == DHCP_REBINDING)
		restart(d, 0);  /* else another lease is asked for already, or there is no carrier */
}

/* ---- messages ---- */

static uint8_t natural_prefix(uint32_t ip4)
{
	uint32_t first = be32(ip4) >> 24;

	return first < 128 ? 8 : first < 192 ? 16 : 24;
}

/* An address that a host can have, from a server that has one, for long enough. Fills in a mask that was not said. */
static bool usable(struct dhcp_message *m)
{
	uint32_t a = m->address, host;

	if (!m->prefix)
		m->prefix = natural_prefix(a);
	host = be32(a) & (m->prefix < 32 ? UINT32_MAX >> m->prefix : 0);
	if (ip4_is_this_net(a) || ip4_is_loopback(a) || ip4_is_multicast(a) || ip4_is_reserved(a) || !m->server ||
	    m->lease < LEASE_LEAST)
		return false;
	return m->prefix > 30 || (host != 0 && host != UINT32_MAX >> m->prefix);
}

static enum drop take_offer(struct dhcp *d, struct dhcp_message *m)
{
	if (d->state != DHCP_SELECTING)
		return DROP_DHCP_UNEXPECTED;
	if (!usable(m))
		return DROP_DHCP_UNUSABLE;
	d->lease.offers++;
	d->offer = *m;
	d->state = DHCP_REQUESTING;
	d->tries = 0;
	request(d);
	return DROP_REASONS;
}

/* Whether an ACK or NAK answers what was asked. */
static bool answers(const struct dhcp *d, const struct dhcp_message *m)
{
	bool ack = m->type == DHCP_ACK;

	if (d->state == DHCP_REQUESTING)
		return m->server == d->offer.server && (!ack || m->address == d->offer.address);
	if (d->state != DHCP_RENEWING && d->state != DHCP_REBINDING)
		return false;
	if (d->state == DHCP_RENEWING && m->server != d->used.server)
		return false;
	return !ack || m->address == d->used.address;
}

static enum drop take_ack(struct dhcp *d, struct dhcp_message *m)
{
	if (!answers(d, m))
		return DROP_DHCP_UNEXPECTED;
	if (!usable(m))
		return DROP_DHCP_UNUSABLE;
	d->lease.acks++;
	d->offer = *m;
	if (d->state == DHCP_REQUESTING)
		begin_probing(d);
	else
		bind_lease(d);
	return DROP_REASONS;
}

static enum drop take_nak(struct dhcp *d, const struct dhcp_message *m)
{
	if (!answers(d, m))
		return DROP_DHCP_UNEXPECTED;
	d->lease.naks++;
	lose(d);
	restart(d, REFUSED_WAIT << (d->refusals < 5 ? d->refusals : 5));
	d->refusals++;
	return DROP_REASONS;
}

void dhcp_receive(struct stack *s, struct dhcp *d, struct pkt *p)
{
	struct dhcp_message m;
	enum drop reason = dhcp_read(p->data + sizeof(struct udp_header), p->len - (uint32_t)sizeof(struct udp_header),
				     d->interface->link->mac, d->xid, &m);

	if (reason == DROP_REASONS) {
		switch (m.type) {
		case DHCP_OFFER:
			reason = take_offer(d, &m);
			break;
		case DHCP_ACK:
			reason = take_ack(d, &m);
			break;
		case DHCP_NAK:
			reason = take_nak(d, &m);
			break;
		default:
			reason = DROP_DHCP_UNEXPECTED;
		}
	}
	if (reason != DROP_REASONS) {
		pkt_drop(s, p, reason);
		return;
	}
	count(s, COUNT_DHCP_RECEIVED);
	pkt_done(s, p);
}

/* RFC 5227 2.1.1: who has the address, or probes for it at the same time. */
void dhcp_arp(struct dhcp *d, const uint8_t mac[6], uint32_t sender, uint32_t target, bool is_request)
{
	uint32_t address = d->offer.address;

	if (d->state == DHCP_PROBING && memcmp(mac, d->interface->link->mac, 6) != 0 &&
	    (sender == address || (is_request && !sender && target == address)))
		decline(d);
}

void dhcp_carrier(struct dhcp *d)
{
	nsec due = d->sent ? d->sent + NSEC_PER_SEC : 0, now = d->stack->now;

	/* RFC 2131 3.7: perhaps to another network. A lease that has not expired is used until that is known. */
	restart(d, due > now ? due - now : 0);
}

void dhcp_free(struct dhcp *d)
{
	if (!d)
		return;
	wheel_cancel(&d->stack->wheel, &d->timer);
	wheel_cancel(&d->stack->wheel, &d->expiry);
	d->interface->dhcp = NULL;
	free(d);
}

struct dhcp *dhcp_start(struct stack *s, int interface, const struct dhcp_config *config)
{
	struct interface *i = interface > 0 ? stack_interface_or_null(s, (uint32_t)interface) : NULL;
	struct dhcp *d;

	if (!i || i->loopback || i->dhcp)
		return NULL;
	d = calloc(1, sizeof(*d));
	if (!d)
		return NULL;
	d->stack = s;
	d->interface = i;
	d->config = *config;
	d->timer.fire = fire;
	d->expiry.fire = expire;
	snprintf(d->host_name, sizeof(d->host_name), "%s", config->host_name ? config->host_name : "");
	i->dhcp = d;
	restart(d, 0);
	return d;
}

void dhcp_stop(struct dhcp *d)
{
	struct dhcp_words w = { .type = DHCP_RELEASE, .client = d->used.address, .server = d->used.server };
	struct path path;

	if (d->bound) {
		d->xid = rng_u32(&d->stack->rng);
		if (way_to_server(d, &path))
			send_words(d, &w, &path);
		d->config.changed = NULL;
		lose(d);
	}
	dhcp_free(d);
}

void dhcp_lease(const struct dhcp *d, struct dhcp_lease *out)
{
	*out = d->lease;
	out->state = d->state;
}
