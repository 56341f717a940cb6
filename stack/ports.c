/* SPDX-License-Identifier: BSD-3-Clause */
/* Who is bound to which port: the rules of bind(2) with SO_REUSEADDR and SO_REUSEPORT as Linux has them (socket(7)), the
 * choice of source ports (RFC 6056 3.3.4, double hash), and which socket a packet without a connection is for. On a host of several
 * cores each port has a home (steer.h), where all who bind to it meet. */
#include "layers.h"

#include <errno.h>
#include <stdlib.h>

#include "steer.h"
#include "wire.h"

#define EPHEMERAL_FIRST 32768u  /* as Linux's ip_local_port_range */
#define EPHEMERAL_COUNT 28232u

static struct port *port_of(const struct stack *s, uint8_t type, uint16_t port)
{
	return &s->ports[type == EP_STREAM ? 0 : 1][port];
}

/* The ports that may be chosen here: all, or those at home on this core. */
struct range {
	uint32_t first, count, step;
};

static struct range ephemeral(const struct stack *s)
{
	struct range r = { EPHEMERAL_FIRST, EPHEMERAL_COUNT, 1 };
	uint32_t cores;

	if (s->config.steer) {
		cores = s->config.steer->cores;
		r.first += (s->config.core + cores - EPHEMERAL_FIRST % cores) % cores;
		r.count = (EPHEMERAL_FIRST + EPHEMERAL_COUNT - r.first + cores - 1) / cores;
		r.step = cores;
	}
	return r;
}

static uint16_t nth_port(const struct range *r, uint32_t n)
{
	return (uint16_t)(r->first + n % r->count * r->step);
}

static bool at_home(const struct stack *s, uint16_t port)
{
	return !s->config.steer || steer_home(s->config.steer, port) == s->config.core;
}

/* Do packets of this flow come to this core, whoever pins or unpins its port? What a host sends itself never leaves the core. */
static bool comes_here(const struct stack *s, const struct flow_key *k)
{
	return !s->config.steer || stack_is_own(s, &k->remote) ||
	       steer_by_hash(s->config.steer, ipaddr_ip4(&k->remote), ipaddr_ip4(&k->local), k->remote_port, k->local_port) ==
		       s->config.core;
}

static bool overlap(const struct ipaddr *a, const struct ipaddr *b)
{
	return ipaddr_is_any(a) || ipaddr_is_any(b) || ipaddr_equal(a, b);
}

/* May `ep` share a port with `other`? REUSEADDR shares with whoever also has it and does not listen; REUSEPORT shares
 * with its like; else the addresses must differ. */
static bool conflicts(const struct endpoint *ep, const struct ipaddr *addr, const struct endpoint *other)
{
	if (ep == other || !overlap(addr, &other->local.addr))
		return false;
	if (ep->reuse_port && other->reuse_port)
		return false;
	return !(ep->reuse_addr && other->reuse_addr && !other->listening);
}

static bool may_bind(const struct stack *s, const struct endpoint *ep, const struct ipaddr *addr, uint16_t number)
{
	const struct port *port = port_of(s, ep->type, number);

	/* Connections, TIME-WAIT too, keep their port from whoever does not ask for reuse. */
	if (port->flows && !ep->reuse_addr && !ep->reuse_port)
		return false;
	for (const struct endpoint *o = port->bound; o; o = o->port_next)
		if (conflicts(ep, addr, o))
			return false;
	return true;
}

/* 0: none is free. First a port that nobody uses at all, then one that may be shared. */
static uint16_t choose_to_bind(struct stack *s, const struct endpoint *ep, const struct ipaddr *addr)
{
	struct range range = ephemeral(s);
	uint32_t start = (uint32_t)rng_below(&s->rng, range.count);

	for (unsigned pass = 0; pass < 2; pass++) {
		for (uint32_t i = 0; i < range.count; i++) {
			uint16_t number = nth_port(&range, start + i);
			const struct port *port = port_of(s, ep->type, number);

			if (pass == 0 ? !port->bound && !port->flows : may_bind(s, ep, addr, number))
				return number;
		}
	}
	return 0;
}

/* Is it an address that one can bind to? */
static bool bindable(const struct stack *s, const struct endpoint *ep, const struct ipaddr *addr)
{
	uint32_t ip4 = ipaddr_ip4(addr);

	if (ipaddr_is_any(addr) || ep->freebind || stack_is_own(s, addr))
		return true;
	return ep->type == EP_DATAGRAM && ipaddr_is_ip4(addr) && (ip4_is_multicast(ip4) || route_is_any_broadcast(s, ip4));
}

/* Datagrams for a port come to its home while anybody is bound there. */
static void steer_datagrams(struct stack *s, const struct endpoint *ep, bool here)
{
	if (s->config.steer && ep->type == EP_DATAGRAM && at_home(s, ep->local.port))
		steer_bind_udp(s->config.steer, ep->local.port, here);
}

int port_bind(struct stack *s, struct endpoint *ep, const struct ep_name *wanted)
{
	uint16_t number = wanted->port;
	struct port *port;

	if (ep->bound)
		return -EINVAL;
	if (!bindable(s, ep, &wanted->addr))
		return -EADDRNOTAVAIL;
	if (number && !ep->shadow && !at_home(s, number))
		return -EXDEV;
	if (!number)
		number = choose_to_bind(s, ep, &wanted->addr);
	else if (!may_bind(s, ep, &wanted->addr, number))
		return -EADDRINUSE;
	if (!number)
		return -EADDRINUSE;
	port = port_of(s, ep->type, number);
	ep->local = (struct ep_name){ wanted->addr, number };
	if (ipaddr_is_any(&ep->local.addr))
		ep->local.addr = ipaddr_from_ip4(0);
	ep->bound = true;
	ep->port_next = port->bound;
	port->bound = ep;
	if (!ep->port_next)
		steer_datagrams(s, ep, true);
	return 0;
}

void port_unbind(struct stack *s, struct endpoint *ep)
{
	struct endpoint **at;

	if (!ep->bound)
		return;
	at = &port_of(s, ep->type, ep->local.port)->bound;
	while (*at && *at != ep)
		at = &(*at)->port_next;
	CHECK(*at == ep);
	*at = ep->port_next;
	ep->port_next = NULL;
	ep->bound = false;
	if (!port_of(s, ep->type, ep->local.port)->bound)
		steer_datagrams(s, ep, false);
}

int port_may_listen(struct stack *s, const struct endpoint *ep)
{
	for (const struct endpoint *o = port_of(s, ep->type, ep->local.port)->bound; o; o = o->port_next)
		if (o != ep && o->listening && overlap(&ep->local.addr, &o->local.addr) && !(ep->reuse_port && o->reuse_port))
			return -EADDRINUSE;
	return 0;
}

static bool may_choose(const struct stack *s, enum ep_type type, struct flow_key *key)
{
	struct flow *flow;

	if (port_of(s, (uint8_t)type, key->local_port)->bound)
		return false;
	if (type == EP_DATAGRAM)
		return true;
	if (!comes_here(s, key))
		return false;
	/* Ports of one peer are used in turn, so the first in TIME-WAIT that is met is its oldest (tcp_tw_reuse of Linux). */
	flow = flow_find(s, key);
	return !flow || tcp_may_reuse(s, flow);
}

uint16_t port_choose(struct stack *s, enum ep_type type, const struct ipaddr *local, const struct ep_name *peer)
{
	struct flow_key key = { .local = *local };
	struct range range = ephemeral(s);
	uint64_t hash;
	uint32_t offset;
	uint16_t *counter;

	if (!peer || type == EP_DATAGRAM) {
		offset = (uint32_t)rng_below(&s->rng, range.count);
		counter = NULL;
	} else {
		hash = siphash24(&s->port_key, &(struct { struct ipaddr a, b; uint64_t port; }){ *local, peer->addr, peer->port },
				 40);
		offset = (uint32_t)hash % range.count;
		counter = &s->port_counters[hash >> 56];
		offset += *counter;
	}
	if (peer) {
		key.remote = peer->addr;
		key.remote_port = peer->port;
	}
	for (uint32_t i = 0; i < range.count; i++) {
		key.local_port = nth_port(&range, offset + i);
		if (!may_choose(s, type, &key))
			continue;
		if (counter)
			*counter += (uint16_t)(i + 1);
		return key.local_port;
	}
	return 0;
}

int port_pin(const struct stack *s, const struct endpoint *ep, struct flow *flow)
{
	flow->pinned = false;
	if (comes_here(s, &flow->key))
		return 0;
	if (!at_home(s, flow->key.local_port))
		return -EADDRNOTAVAIL;
	for (const struct endpoint *o = port_of(s, ep->type, flow->key.local_port)->bound; o; o = o->port_next)
		if (o->listening)
			return -EADDRNOTAVAIL;
	flow->pinned = true;
	return 0;
}

int port_score(const struct endpoint *ep, const struct flow_key *k)
{
	int points = 0;

	if (ep->type == EP_STREAM && !ep->listening)
		return -1;
	if (!ipaddr_is_any(&ep->local.addr)) {
		if (!ipaddr_equal(&ep->local.addr, &k->local))
			return -1;
		points += 1;
	}
	if (ep->peer.port) {
		if (ep->peer.port != k->remote_port || !ipaddr_equal(&ep->peer.addr, &k->remote))
			return -1;
		points += 2;
	}
	return points;
}

struct endpoint *port_lookup(struct stack *s, enum ep_type type, const struct flow_key *k)
{
	struct endpoint *best = NULL;
	uint32_t sharers = 0, pick;
	int best_score = -1;

	for (struct endpoint *o = port_of(s, (uint8_t)type, k->local_port)->bound; o; o = o->port_next) {
		int points = port_score(o, k);

		if (points > best_score) {
			best = o;
			best_score = points;
			sharers = 1;
		} else if (points == best_score && points >= 0) {
			sharers++;
		}
	}
	if (sharers <= 1 || !best->reuse_port)
		return best;
	/* Hash, not turns: all packets of one peer must reach the same member. */
	pick = (uint32_t)(((uint64_t)flow_hash(s, k) * sharers) >> 32);
	for (struct endpoint *o = best; o; o = o->port_next)
		if (port_score(o, k) == best_score && pick-- == 0)
			return o;
	return best;
}

bool ports_init(struct stack *s)
{
	s->ports[0] = calloc(65536, sizeof(struct port));
	s->ports[1] = calloc(65536, sizeof(struct port));
	for (unsigned i = 0; i < 256; i++)
		s->port_counters[i] = (uint16_t)rng_u32(&s->rng);
	return s->ports[0] && s->ports[1];
}

/* The host's other cores go on: none of our ports is spoken for any more. */
static void let_go(struct stack *s)
{
	for (uint32_t n = 0; n < 65536; n++) {
		if (s->ports[0][n].pins)
			steer_pin_tcp(s->config.steer, (uint16_t)n, false);
		if (s->ports[1][n].bound && at_home(s, (uint16_t)n))
			steer_bind_udp(s->config.steer, (uint16_t)n, false);
	}
}

void ports_free(struct stack *s)
{
	if (s->config.steer && s->ports[0] && s->ports[1])
		let_go(s);
	free(s->ports[0]);
	free(s->ports[1]);
	s->ports[0] = s->ports[1] = NULL;
}

const char *ports_check(const struct stack *s)
{
	for (uint32_t i = 0; i < pool_end(&s->endpoints); i++) {
		const struct endpoint *ep = pool_at_or_null(&s->endpoints, i);
		bool found = false;

		if (!ep || !ep->bound)
			continue;
		for (const struct endpoint *o = port_of(s, ep->type, ep->local.port)->bound; o; o = o->port_next) {
			if (!o->bound || o->local.port != ep->local.port || o->type != ep->type || o->released)
				return "ports: an endpoint is in a chain where it does not belong";
			found |= o == ep;
		}
		if (!found)
			return "ports: a bound endpoint is in no chain";
		if (s->config.steer && ep->type == EP_DATAGRAM && at_home(s, ep->local.port) &&
		    !steer_udp_bound(s->config.steer, ep->local.port))
			return "ports: datagrams for a bound port do not come here";
	}
	return NULL;
}
