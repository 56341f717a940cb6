/* SPDX-License-Identifier: BSD-3-Clause */
/* Path MTUs that ICMP told of (RFC 1191): per destination, never raised by a message, forgotten after ten minutes
 * (6.3). Few destinations have one, so the table is small; the oldest entry makes room. */
#include "layers.h"

#include <stdlib.h>

#define PMTU_ENTRIES 512
#define PMTU_AGE (600 * NSEC_PER_SEC)
#define PMTU_MIN 552            /* as Linux's min_pmtu: below, a forged message could stall a connection */

struct pmtu_entry {
	struct map_node node;
	struct list order;      /* oldest first; all age alike */
	struct ipaddr destination;
	nsec learnt;
	uint16_t mtu;
};

struct pmtu_table {
	struct map map;
	struct pool pool;
	struct list order;
	struct timer expiry;    /* of the oldest */
};

static uint32_t hash_of(const struct stack *s, const struct ipaddr *a)
{
	return (uint32_t)siphash13_words(&s->flow_key, a->halves[0], a->halves[1], 1);
}

static struct pmtu_entry *find(const struct stack *s, const struct ipaddr *a)
{
	for (struct map_node *m = map_first(&s->pmtu->map, hash_of(s, a)); m; m = map_next(m)) {
		struct pmtu_entry *e = container_of(m, struct pmtu_entry, node);

		if (ipaddr_equal(&e->destination, a))
			return e;
	}
	return NULL;
}

static void forget(struct pmtu_table *t, struct pmtu_entry *e)
{
	list_remove(&e->order);
	map_remove(&t->map, &e->node);
	pool_put(&t->pool, e);
}

static void fire_expiry(void *context, struct timer *timer)
{
	struct pmtu_table *t = container_of(timer, struct pmtu_table, expiry);
	struct stack *s = context;

	list_for_each(node, &t->order) {
		struct pmtu_entry *e = container_of(node, struct pmtu_entry, order);

		if (s->now - e->learnt < PMTU_AGE) {
			wheel_arm(&s->wheel, timer, e->learnt + PMTU_AGE);
			break;
		}
		forget(t, e);
		route_changed(s);
	}
}

bool pmtu_init(struct stack *s)
{
	struct pmtu_table *t = s->pmtu = calloc(1, sizeof(*t));

	if (!t)
		return false;
	list_init(&t->order);
	t->expiry.fire = fire_expiry;
	return map_init(&t->map, PMTU_ENTRIES) && pool_init(&t->pool, sizeof(struct pmtu_entry), PMTU_ENTRIES);
}

void pmtu_free(struct stack *s)
{
	if (!s->pmtu)
		return;
	map_free(&s->pmtu->map);
	pool_free(&s->pmtu->pool);
	free(s->pmtu);
	s->pmtu = NULL;
}

uint16_t pmtu_get(struct stack *s, const struct ipaddr *destination, uint16_t otherwise)
{
	const struct pmtu_entry *e = s->pmtu->map.count ? find(s, destination) : NULL;

	return e && e->mtu < otherwise ? e->mtu : otherwise;
}

void pmtu_lower(struct stack *s, const struct ipaddr *destination, uint16_t mtu)
{
	struct pmtu_table *t = s->pmtu;
	struct pmtu_entry *e = find(s, destination);

	if (mtu < PMTU_MIN)
		mtu = PMTU_MIN;
	if (e && e->mtu <= mtu)
		return;
	if (!e) {
		if (t->pool.used == PMTU_ENTRIES)
			forget(t, container_of(t->order.next, struct pmtu_entry, order));
		e = pool_take_or_null(&t->pool);
		CHECK(e);
		e->destination = *destination;
		map_insert(&t->map, &e->node, hash_of(s, destination));
	}
	list_remove(&e->order);
	list_append(&t->order, &e->order);
	e->mtu = mtu;
	e->learnt = s->now;
	if (!timer_armed(&t->expiry))
		wheel_arm(&s->wheel, &t->expiry, s->now + PMTU_AGE);
	route_changed(s);
}
