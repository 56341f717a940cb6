/* SPDX-License-Identifier: BSD-3-Clause */
/* A hash table with intrusive nodes and a fixed number of buckets. The caller hashes (keyed, where a peer chooses the
 * keys) and compares:
 *	for (struct map_node *n = map_first(m, hash); n; n = map_next(n)) ... compare the owner's key ... */
#ifndef LIGHT_BASE_MAP_H
#define LIGHT_BASE_MAP_H

#include <stdbool.h>
#include <stdint.h>

struct map_node {
	struct map_node *next;
	uint32_t hash;
};

struct map {
	struct map_node **buckets;
	uint32_t mask;
	uint32_t count;
};

/* At least `size` buckets. False: memory is short. */
bool map_init(struct map *, uint32_t size);
void map_free(struct map *);
void map_insert(struct map *, struct map_node *, uint32_t hash);
/* The node must be in the map. */
void map_remove(struct map *, struct map_node *);

/* The next node from n on that has this hash. */
static inline struct map_node *map_same(struct map_node *n, uint32_t hash)
{
	while (n && n->hash != hash)
		n = n->next;
	return n;
}

static inline struct map_node *map_first(const struct map *m, uint32_t hash)
{
	return map_same(m->buckets[hash & m->mask], hash);
}

static inline struct map_node *map_next(const struct map_node *n)
{
	return map_same(n->next, n->hash);
}

#endif
