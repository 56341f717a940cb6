/* SPDX-License-Identifier: BSD-3-Clause */
/* A list of what came back, and behind it what never was taken: memory is touched only when the list is empty. */
#include "pktpool.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "stack/base/check.h"

/* Buffers begin on different cache lines modulo a page: headers of a burst would fight for the same sets otherwise. */
#define LINE 64u
#define PAGE_LINES 64u
#define STAGGER 5u

static uint32_t buffer_size_for(uint32_t frame)
{
	uint32_t lines = (PKT_HEADROOM + frame + LINE - 1) / LINE;

	while (lines % PAGE_LINES != STAGGER)
		lines++;
	return lines * LINE;
}

int pktpool_open(struct pktpool *pool, uint32_t count, uint32_t frame)
{
	*pool = (struct pktpool){ .count = count, .buffer_size = buffer_size_for(frame) };
	pool->memory_bytes = (size_t)pool->buffer_size * count;
	pool->packets = calloc(count, sizeof(*pool->packets));
	if (!pool->packets)
		return -ENOMEM;
	pool->memory = mmap(NULL, pool->memory_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (pool->memory == MAP_FAILED) {
		pool->memory = NULL;
		pktpool_close(pool);
		return -ENOMEM;
	}
	/* Copies of 64 KB walk over 16 small pages; the few packets in use share a large one. It is advice only. */
	madvise(pool->memory, pool->memory_bytes, MADV_HUGEPAGE);
	return 0;
}

void pktpool_close(struct pktpool *pool)
{
	if (pool->memory)
		munmap(pool->memory, pool->memory_bytes);
	free(pool->packets);
	*pool = (struct pktpool){ 0 };
}

unsigned pktpool_take(struct pktpool *pool, struct link *link, struct pkt **out, unsigned n)
{
	unsigned i;

	for (i = 0; i < n; i++) {
		struct pkt *p = pool->free_list;

		if (p) {
			pool->free_list = p->next;
		} else if (pool->fresh < pool->count) {
			p = &pool->packets[pool->fresh];
			p->buffer = pool->memory + (size_t)pool->buffer_size * pool->fresh++;
			p->buffer_size = pool->buffer_size;
		} else {
			break;
		}
		pkt_reset(p);
		p->link = link;
		out[i] = p;
	}
	pool->outstanding += i;
	return i;
}

void pktpool_give(struct pktpool *pool, struct pkt **packets, unsigned n)
{
	CHECK(pool->outstanding >= n);
	pool->outstanding -= n;
	for (unsigned i = 0; i < n; i++) {
		packets[i]->next = pool->free_list;
		pool->free_list = packets[i];
	}
}
