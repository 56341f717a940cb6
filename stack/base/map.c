/* SPDX-License-Identifier: BSD-3-Clause */
/* The chained hash table. */
#include "base/map.h"

#include <stdlib.h>

#include "base/check.h"

bool map_init(struct map *m, uint32_t size)
{
	uint32_t buckets = 16;

	while (buckets < size && buckets < UINT32_C(1) << 31)
		buckets *= 2;
	*m = (struct map){ .mask = buckets - 1 };
	m->buckets = calloc(buckets, sizeof(struct map_node *));
	return m->buckets != NULL;
}

void map_free(struct map *m)
{
	free(m->buckets);
	*m = (struct map){ 0 };
}

void map_insert(struct map *m, struct map_node *n, uint32_t hash)
{
	struct map_node **bucket = &m->buckets[hash & m->mask];

	n->hash = hash;
	n->next = *bucket;
	*bucket = n;
	m->count++;
}

void map_remove(struct map *m, struct map_node *n)
{
	struct map_node **at = &m->buckets[n->hash & m->mask];

	while (*at && *at != n)
		at = &(*at)->next;
	CHECK(*at == n);
	*at = n->next;
	n->next = NULL;
	m->count--;
}
