/* SPDX-License-Identifier: BSD-3-Clause */
/* A cookie is a keyed hash of both addresses and the hour; that of the last hour is still good, so that a client finds a
 * valid one for an hour at least (RFC 7413 4.1.2). What clients remember is a small table by addresses, four places
 * for each hash, of which the longest unused gives way (4.1.3). */
#include "fastopen_cookie.h"

#include <stdlib.h>
#include <string.h>

#define COOKIE_LEN 8
#define WAYS 4
#define SETS 256
#define AVOID_FIRST (60 * NSEC_PER_SEC) /* doubled with each failure, as Linux counts them */
#define AVOID_DOUBLINGS 10

struct remembered {
	struct ipaddr local, remote; /* remote any: a free place */
	nsec used, avoid_until;
	uint16_t mss;
	uint8_t failures;
	struct fastopen_cookie cookie; /* len 0: none, only that it failed */
};

struct fastopen_cache {
	struct remembered at[SETS][WAYS];
};

static uint64_t hash(const struct stack *s, const struct flow_key *k, uint64_t generation)
{
	struct {
		struct ipaddr local, remote;
		uint64_t generation;
	} input = { k->local, k->remote, generation };

	return siphash24(&s->tcp->fastopen_key, &input, sizeof(input));
}

static struct remembered *set_of(const struct stack *s, const struct flow_key *k)
{
	return s->tcp->fastopen->at[hash(s, k, UINT64_MAX) % SETS];
}

static struct remembered *find_or_null(const struct stack *s, const struct flow_key *k)
{
	struct remembered *set = set_of(s, k);

	for (unsigned i = 0; i < WAYS; i++)
		if (ipaddr_equal(&set[i].remote, &k->remote) && ipaddr_equal(&set[i].local, &k->local))
			return &set[i];
	return NULL;
}

/* Its place, or the one of the set that was not used for the longest time. */
static struct remembered *place(struct stack *s, const struct flow_key *k)
{
	struct remembered *r = find_or_null(s, k), *set = set_of(s, k);

	if (!r) {
		r = set;
		for (unsigned i = 1; i < WAYS; i++)
			if (ipaddr_is_any(&set[i].remote) || (!ipaddr_is_any(&r->remote) && set[i].used < r->used))
				r = &set[i];
		*r = (struct remembered){ .local = k->local, .remote = k->remote };
	}
	r->used = s->now;
	return r;
}

struct fastopen_cache *fastopen_cache_new(void)
{
	return calloc(1, sizeof(struct fastopen_cache));
}

void fastopen_cache_free(struct fastopen_cache *c)
{
	free(c);
}

void fastopen_cookie_make(const struct stack *s, const struct flow_key *k, struct fastopen_cookie *c)
{
	uint64_t mac = hash(s, k, s->now / FASTOPEN_KEY_LIFE);

	_Static_assert(sizeof(mac) == COOKIE_LEN, "the whole hash is the cookie");
	memcpy(c->bytes, &mac, COOKIE_LEN);
	c->len = COOKIE_LEN;
}

bool fastopen_cookie_valid(const struct stack *s, const struct flow_key *k, const struct fastopen_cookie *c, bool *old)
{
	uint64_t generation = s->now / FASTOPEN_KEY_LIFE, mac;

	if (c->len != COOKIE_LEN)
		return false;
	memcpy(&mac, c->bytes, COOKIE_LEN);
	*old = mac != hash(s, k, generation);
	return !*old || (generation > 0 && mac == hash(s, k, generation - 1));
}

enum fastopen_advice fastopen_recall(const struct stack *s, const struct flow_key *k, struct fastopen_cookie *c, uint16_t *mss)
{
	struct remembered *r = find_or_null(s, k);

	if (r && s->now < r->avoid_until)
		return FASTOPEN_AVOID;
	if (!r || r->cookie.len == 0)
		return FASTOPEN_ASK;
	r->used = s->now;
	*c = r->cookie;
	*mss = r->mss;
	return FASTOPEN_DATA;
}

void fastopen_learn(struct stack *s, const struct flow_key *k, const struct fastopen_cookie *c, uint16_t mss)
{
	struct remembered *r = place(s, k);

	r->cookie = *c;
	r->mss = mss;
}

void fastopen_worked(struct stack *s, const struct flow_key *k)
{
	struct remembered *r = find_or_null(s, k);

	if (r)
		r->failures = 0;
}

void fastopen_failed(struct stack *s, const struct flow_key *k)
{
	struct remembered *r = place(s, k);

	r->avoid_until = s->now + (AVOID_FIRST << r->failures);
	if (r->failures < AVOID_DOUBLINGS)
		r->failures++;
}
