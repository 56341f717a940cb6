/* SPDX-License-Identifier: BSD-3-Clause */
/* The flow table: four-tuple -> connection, half-open or TIME-WAIT. Chained, keyed (a peer who could aim at one bucket
 * would make every packet slow), sized once from max_endpoints. It also counts the flows on each local port. */
#include "layers.h"

#include <stdlib.h>

#include "steer.h"

uint32_t flow_hash(const struct stack *s, const struct flow_key *k)
{
	uint64_t ports = (uint64_t)k->local_port << 16 | k->remote_port, addresses;

	if (ipaddr_is_ip4(&k->local) && ipaddr_is_ip4(&k->remote)) {
		addresses = (uint64_t)ipaddr_ip4(&k->local) << 32 | ipaddr_ip4(&k->remote);
	} else {
		addresses = siphash13_words(&s->flow_key, k->local.halves[0], k->local.halves[1], ports);
		addresses = siphash13_words(&s->flow_key, k->remote.halves[0], k->remote.halves[1], addresses);
	}
	return (uint32_t)siphash13_pair(&s->flow_key, addresses, ports);
}

static bool same_key(const struct flow_key *a, const struct flow_key *b)
{
	return a->remote_port == b->remote_port && a->local_port == b->local_port &&
	       ipaddr_equal(&a->remote, &b->remote) && ipaddr_equal(&a->local, &b->local);
}

struct flow *flow_find(const struct stack *s, const struct flow_key *k)
{
	uint32_t hash = flow_hash(s, k);

	for (struct flow *f = s->flows[hash & s->flow_mask]; f; f = f->chain)
		if (f->hash == hash && same_key(&f->key, k))
			return f;
	return NULL;
}

struct flow *flow_find_received(struct stack *s, const struct ip_received *ip, uint16_t local_port, uint16_t remote_port)
{
	struct flow *f = s->recent_flow;
	struct flow_key k;

	if (f && f->key.local_port == local_port && f->key.remote_port == remote_port && ipaddr_equal(&f->key.remote, &ip->source) &&
	    ipaddr_equal(&f->key.local, &ip->destination))
		return f;
	k = (struct flow_key){ .local = ip->destination, .remote = ip->source, .local_port = local_port, .remote_port = remote_port };
	f = flow_find(s, &k);
	if (f)
		s->recent_flow = f;
	return f;
}

void flow_insert(struct stack *s, struct flow *f)
{
	struct flow **bucket;

	CHECK(!flow_find(s, &f->key));
	f->hash = flow_hash(s, &f->key);
	bucket = &s->flows[f->hash & s->flow_mask];
	f->chain = *bucket;
	*bucket = f;
	s->flow_count++;
	s->ports[0][f->key.local_port].flows++;
	if (f->pinned && s->ports[0][f->key.local_port].pins++ == 0)
		steer_pin_tcp(s->config.steer, f->key.local_port, true);
}

static struct flow **place_of(struct stack *s, const struct flow *f)
{
	struct flow **at = &s->flows[f->hash & s->flow_mask];

	while (*at && *at != f)
		at = &(*at)->chain;
	CHECK(*at == f);
	return at;
}

static void forget_recent(struct stack *s, const struct flow *f)
{
	if (s->recent_flow == f)
		s->recent_flow = NULL;
}

void flow_remove(struct stack *s, struct flow *f)
{
	forget_recent(s, f);
	*place_of(s, f) = f->chain;
	f->chain = NULL;
	s->flow_count--;
	s->ports[0][f->key.local_port].flows--;
	if (f->pinned && --s->ports[0][f->key.local_port].pins == 0)
		steer_pin_tcp(s->config.steer, f->key.local_port, false);
}

void flow_replace(struct stack *s, struct flow *f, struct flow *by)
{
	by->key = f->key;
	by->hash = f->hash;
	by->pinned = f->pinned;
	by->chain = f->chain;
	*place_of(s, f) = by;
	forget_recent(s, f);
	f->chain = NULL;
}

bool flows_init(struct stack *s)
{
	uint32_t buckets = 1024;

	while (buckets < s->config.max_endpoints && buckets < UINT32_C(1) << 24)
		buckets *= 2;
	s->flow_mask = buckets - 1;
	s->flows = calloc(buckets, sizeof(struct flow *));
	return s->flows != NULL;
}

void flows_free(struct stack *s)
{
	free(s->flows);
	s->flows = NULL;
}

const char *flows_check(const struct stack *s)
{
	uint32_t flows = 0, pins = 0;
	bool recent = !s->recent_flow;

	for (uint32_t i = 0; i <= s->flow_mask; i++) {
		for (const struct flow *f = s->flows[i]; f; f = f->chain) {
			if ((f->hash & s->flow_mask) != i || f->hash != flow_hash(s, &f->key))
				return "flow table: a flow is in the wrong bucket";
			if (flow_find(s, &f->key) != f)
				return "flow table: two flows have one four-tuple";
			if (s->ports[0][f->key.local_port].flows == 0)
				return "flow table: a flow's port is not counted";
			if (f->pinned && !steer_tcp_pinned(s->config.steer, f->key.local_port))
				return "flow table: a port is not pinned that should be";
			flows++;
			recent |= f == s->recent_flow;
			pins += f->pinned;
		}
	}
	if (!recent)
		return "flow table: the flow found last is not in it";
	for (uint32_t i = 0; s->config.steer && i < 65536; i++)
		pins -= s->ports[0][i].pins;
	if (pins)
		return "flow table: the count of pinned flows is wrong";
	return flows == s->flow_count ? NULL : "flow table: the count of flows is wrong";
}
