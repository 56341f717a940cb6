/* SPDX-License-Identifier: BSD-3-Clause */
/* Neighbours: IPv4 address -> MAC on one interface. The states are those of RFC 4861 7.3.2, for ARP: an entry is
 * trusted for a while after it was last confirmed (RFC 1122 2.3.2.1), then used on suspicion, then probed by unicast.
 * Requests for one address go out at most once a second, and a few packets wait for the answer (2.3.2.2). */
#include "layers.h"

#include <errno.h>
#include <stdlib.h>

#include "wire.h"

#define DELAY_TIME (5 * NSEC_PER_SEC)       /* for the layers above to confirm before a probe goes out */
#define RETRY_TIME NSEC_PER_SEC
#define LOCK_TIME NSEC_PER_SEC           /* the first of several answers stands: another MAC only after this (as Linux) */
#define TRIES 3
#define QUEUE_MAX 128                       /* packets waiting for one neighbour: as many SYNs as a client starts with */
#define QUEUE_TOTAL 512
#define EVICT_SAMPLES 16

enum state { INCOMPLETE, REACHABLE, STALE, DELAY, PROBE, FAILED, PERMANENT };

static const char *const state_names[] = {
	"incomplete", "reachable", "stale", "stale", "probe", "failed", "permanent",
};

struct neighbour {
	struct map_node node;
	struct timer timer;
	uint32_t ip;
	uint32_t interface;
	enum state state;
	uint8_t mac[6];
	uint8_t tries;               /* requests sent without an answer */
	uint8_t queued;
	struct pkt *first, **last;   /* at layer 3, oldest first */
	nsec confirmed, used;
	nsec changed;                /* when its MAC became known, or another one */
};

struct neighbour_table {
	struct map map;
	struct pool pool;
};

static uint32_t hash_of(const struct stack *s, uint32_t interface, uint32_t ip)
{
	return (uint32_t)((((uint64_t)interface << 32 | ip) ^ s->port_key.k0) * UINT64_C(0x9e3779b97f4a7c15) >> 32);
}

static struct neighbour *find(const struct stack *s, uint32_t interface, uint32_t ip)
{
	uint32_t hash = hash_of(s, interface, ip);

	for (struct map_node *m = map_first(&s->neighbours->map, hash); m; m = map_next(m)) {
		struct neighbour *n = container_of(m, struct neighbour, node);

		if (n->ip == ip && n->interface == interface)
			return n;
	}
	return NULL;
}

static struct pkt *queue_take(struct stack *s, struct neighbour *n)
{
	struct pkt *p = n->first;

	if (!p)
		return NULL;
	n->first = p->next;
	if (!n->first)
		n->last = &n->first;
	p->next = NULL;
	n->queued--;
	s->packets_held--;
	return p;
}

static void queue_put(struct stack *s, struct neighbour *n, struct pkt *p)
{
	if (n->queued == QUEUE_MAX)
		pkt_drop(s, queue_take(s, n), DROP_NEIGHBOUR_QUEUE);
	if (s->packets_held >= QUEUE_TOTAL) {
		pkt_drop(s, p, DROP_NEIGHBOUR_QUEUE);
		return;
	}
	p->next = NULL;
	*n->last = p;
	n->last = &p->next;
	n->queued++;
	s->packets_held++;
}

static void forget(struct stack *s, struct neighbour *n)
{
	struct pkt *p;

	wheel_cancel(&s->wheel, &n->timer);
	if (s->interfaces[n->interface]->recent == n)
		s->interfaces[n->interface]->recent = NULL;
	while ((p = queue_take(s, n)))
		pkt_drop(s, p, DROP_NEIGHBOUR_GONE);
	map_remove(&s->neighbours->map, &n->node);
	pool_put(&s->neighbours->pool, n);
}

/* The table is full: of a few entries taken by chance, the one used longest ago goes. False: all are needed. */
static bool evict(struct stack *s)
{
	const struct pool *pool = &s->neighbours->pool;
	struct neighbour *oldest = NULL;

	for (unsigned i = 0; i < EVICT_SAMPLES; i++) {
		struct neighbour *n = pool_at_or_null(pool, (uint32_t)rng_below(&s->rng, pool_end(pool)));

		if (!n || n->state == PERMANENT || n->state == INCOMPLETE)
			continue;
		if (!oldest || n->used < oldest->used)
			oldest = n;
	}
	if (!oldest)
		return false;
	forget(s, oldest);
	return true;
}

/* Nobody answers: the senders of what waited hear "host unreachable", as from a router (RFC 1122 2.4). */
static void fail(struct stack *s, struct neighbour *n)
{
	struct pkt *p;

	n->state = FAILED;
	wheel_arm(&s->wheel, &n->timer, s->now + RETRY_TIME);
	while ((p = queue_take(s, n))) {
		icmp_report_own(s, p, ICMP_UNREACHABLE, 1);
		pkt_drop(s, p, DROP_NEIGHBOUR_FAILED);
	}
}

static void ask(struct stack *s, struct neighbour *n)
{
	n->tries++;
	arp_request(s, s->interfaces[n->interface], n->ip, n->state == PROBE ? n->mac : NULL);
	wheel_arm(&s->wheel, &n->timer, s->now + RETRY_TIME);
}

static void fire(void *context, struct timer *t)
{
	struct neighbour *n = container_of(t, struct neighbour, timer);
	struct stack *s = context;

	switch (n->state) {
	case DELAY:
		n->state = PROBE;
		n->tries = 0;
		ask(s, n);
		break;
	case INCOMPLETE:
	case PROBE:
		if (n->tries < TRIES)
			ask(s, n);
		else
			fail(s, n);
		break;
	case FAILED:
		forget(s, n);
		break;
	case REACHABLE:
	case STALE:
	case PERMANENT:
		break;
	}
}

static struct neighbour *create(struct stack *s, uint32_t interface, uint32_t ip)
{
	struct neighbour_table *t = s->neighbours;
	struct neighbour *n = pool_take_or_null(&t->pool);

	if (!n && evict(s))
		n = pool_take_or_null(&t->pool);
	if (!n)
		return NULL;
	n->ip = ip;
	n->interface = interface;
	n->last = &n->first;
	n->timer.fire = fire;
	n->confirmed = n->used = s->now;
	map_insert(&t->map, &n->node, hash_of(s, interface, ip));
	return n;
}

/* The MAC is known from now on: what waited goes out. */
static void resolved(struct stack *s, struct neighbour *n, const uint8_t mac[6], bool confirmed)
{
	struct interface *i = s->interfaces[n->interface];
	struct pkt *p;

	if (n->state == INCOMPLETE || memcmp(n->mac, mac, 6) != 0)
		n->changed = s->now;
	memcpy(n->mac, mac, 6);
	n->state = confirmed ? REACHABLE : STALE;
	n->tries = 0;
	if (confirmed)
		n->confirmed = s->now;
	wheel_cancel(&s->wheel, &n->timer);
	while ((p = queue_take(s, n)))
		eth_send(s, i, p, n->mac, ETH_TYPE_IP4);
}

bool neighbours_init(struct stack *s)
{
	struct neighbour_table *t = s->neighbours = calloc(1, sizeof(*t));
	nsec timeout = s->config.neighbour_timeout;

	s->reachable_time = timeout > 2 * DELAY_TIME ? timeout - DELAY_TIME : timeout / 2;
	return t && map_init(&t->map, s->config.max_neighbours * 2) &&
	       pool_init(&t->pool, sizeof(struct neighbour), s->config.max_neighbours);
}

void neighbours_forget(struct stack *s, const struct interface *i)
{
	for (uint32_t n = 0; n < pool_end(&s->neighbours->pool); n++) {
		struct neighbour *neighbour = pool_at_or_null(&s->neighbours->pool, n);

		if (neighbour && neighbour->interface == i->number)
			forget(s, neighbour);
	}
}

void neighbours_doubt(struct stack *s, const struct interface *i)
{
	for (uint32_t k = 0; k < pool_end(&s->neighbours->pool); k++) {
		struct neighbour *n = pool_at_or_null(&s->neighbours->pool, k);

		if (!n || n->interface != i->number || n->state == PERMANENT)
			continue;
		if (n->state == INCOMPLETE)
			n->tries = 0;  /* its requests were not heard; the next is due within a second */
		else
			forget(s, n);
	}
}

void neighbours_free(struct stack *s)
{
	struct neighbour_table *t = s->neighbours;

	if (!t)
		return;
	for (uint32_t i = 0; i < pool_end(&t->pool); i++) {
		struct neighbour *n = pool_at_or_null(&t->pool, i);
		struct pkt *p;

		while (n && (p = queue_take(s, n)))
			pkt_done(s, p);
	}
	map_free(&t->map);
	pool_free(&t->pool);
	free(t);
	s->neighbours = NULL;
}

bool neighbour_send_recent(struct stack *s, struct interface *i, uint32_t next_hop, struct pkt *p)
{
	struct neighbour *n = i->recent;

	if (!n || n->ip != next_hop)
		return false;
	if (n->state != PERMANENT && (n->state != REACHABLE || s->now - n->confirmed > s->reachable_time))
		return false;
	n->used = s->now;
	eth_send(s, i, p, n->mac, ETH_TYPE_IP4);
	return true;
}

/* The layers above get DELAY_TIME to confirm it, but one in use is asked again no later than the timeout after it was last
 * confirmed (RFC 1122 2.3.2.1). */
static void suspect_soon(struct stack *s, struct neighbour *n)
{
	nsec latest = n->confirmed + s->config.neighbour_timeout;

	n->state = DELAY;
	if (latest <= s->now || latest > s->now + DELAY_TIME)
		latest = s->now + DELAY_TIME;
	wheel_arm(&s->wheel, &n->timer, latest);
}

int neighbour_send(struct stack *s, struct interface *i, uint32_t next_hop, struct pkt *p)
{
	struct neighbour *n = find(s, i->number, next_hop);

	if (!n) {
		n = create(s, i->number, next_hop);
		if (!n) {
			pkt_drop(s, p, DROP_NEIGHBOUR_TABLE);
			return -ENOBUFS;
		}
		n->state = INCOMPLETE;
		ask(s, n);
	}
	n->used = s->now;
	i->recent = n;
	if (n->state == REACHABLE && s->now - n->confirmed > s->reachable_time)
		n->state = STALE;
	if (n->state == STALE)
		suspect_soon(s, n);
	if (n->state == FAILED) {
		pkt_drop(s, p, DROP_NEIGHBOUR_FAILED);
		return -EHOSTUNREACH;
	}
	if (n->state == INCOMPLETE)
		queue_put(s, n, p);
	else
		eth_send(s, i, p, n->mac, ETH_TYPE_IP4);
	return 0;
}

void neighbour_learn(struct stack *s, struct interface *i, uint32_t ip, const uint8_t mac[6], bool solicited, bool may_create)
{
	struct neighbour *n = find(s, i->number, ip);

	if (!n && may_create)
		n = create(s, i->number, ip);
	else if (!n || n->state == PERMANENT)
		return;
	if (!n)
		return;  /* full: it will be asked for when it is needed */
	if (!solicited && n->state != INCOMPLETE && n->state != FAILED && memcmp(n->mac, mac, 6) == 0)
		return;  /* nothing new, and no proof that it hears us */
	if (n->state >= REACHABLE && n->state <= DELAY && s->now - n->changed < LOCK_TIME && memcmp(n->mac, mac, 6) != 0)
		return;
	resolved(s, n, mac, solicited);
}

void neighbour_confirm(struct stack *s, const struct path *path)
{
	struct neighbour *n = find(s, path->interface, ipaddr_ip4(&path->next_hop));

	if (!n || n->state == INCOMPLETE || n->state == FAILED || n->state == PERMANENT)
		return;
	n->confirmed = s->now;
	if (n->state == REACHABLE)
		return;
	n->state = REACHABLE;
	wheel_cancel(&s->wheel, &n->timer);
}

void neighbour_suspect(struct stack *s, const struct path *path)
{
	struct neighbour *n = find(s, path->interface, ipaddr_ip4(&path->next_hop));

	if (!n || (n->state != REACHABLE && n->state != STALE && n->state != DELAY))
		return;
	n->state = PROBE;
	n->tries = 0;
	ask(s, n);
}

int stack_add_neighbour(struct stack *s, int interface, const struct ipaddr *addr, const uint8_t mac[6])
{
	struct interface *i = interface > 0 ? stack_interface_or_null(s, (uint32_t)interface) : NULL;
	struct neighbour *n;

	if (!i)
		return -ENODEV;
	if (!ipaddr_is_ip4(addr) || (mac[0] & 1))
		return -EINVAL;
	n = find(s, i->number, ipaddr_ip4(addr));
	if (!n)
		n = create(s, i->number, ipaddr_ip4(addr));
	if (!n)
		return -ENOBUFS;
	resolved(s, n, mac, true);
	n->state = PERMANENT;
	return 0;
}

int stack_remove_neighbour(struct stack *s, int interface, const struct ipaddr *addr)
{
	struct interface *i = interface > 0 ? stack_interface_or_null(s, (uint32_t)interface) : NULL;
	struct neighbour *n = i && ipaddr_is_ip4(addr) ? find(s, i->number, ipaddr_ip4(addr)) : NULL;

	if (!i)
		return -ENODEV;
	if (!n)
		return -ENOENT;
	forget(s, n);
	return 0;
}

bool stack_walk_neighbours(const struct stack *s, uint32_t *cursor, struct stack_neighbour *out)
{
	const struct pool *pool = &s->neighbours->pool;

	while (*cursor < pool_end(pool)) {
		const struct neighbour *n = pool_at_or_null(pool, (*cursor)++);
		enum state state;

		if (!n)
			continue;
		state = n->state;
		if (state == REACHABLE && s->now - n->confirmed > s->reachable_time)
			state = STALE;
		*out = (struct stack_neighbour){
			.addr = ipaddr_from_ip4(n->ip), .interface = (int)n->interface, .state = state_names[state],
			.age = s->now - n->confirmed,
		};
		memcpy(out->mac, n->mac, 6);
		return true;
	}
	return false;
}

const char *neighbours_check(const struct stack *s)
{
	const struct pool *pool = &s->neighbours->pool;
	uint32_t held = 0;

	for (uint32_t i = 0; i < pool_end(pool); i++) {
		const struct neighbour *n = pool_at_or_null(pool, i);
		uint32_t queued = 0;

		if (!n)
			continue;
		for (const struct pkt *p = n->first; p; p = p->next)
			queued++;
		if (queued != n->queued || (queued && n->state != INCOMPLETE))
			return "neighbour: packets wait where they should not";
		if (timer_armed(&n->timer) != (n->state == INCOMPLETE || n->state == DELAY || n->state == PROBE || n->state == FAILED))
			return "neighbour: its timer and its state disagree";
		held += queued;
	}
	if (held != s->packets_held)
		return "neighbour: the count of waiting packets is wrong";
	return pool->used == s->neighbours->map.count ? NULL : "neighbour: an entry is not in the table";
}
