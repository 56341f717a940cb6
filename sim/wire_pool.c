/* SPDX-License-Identifier: BSD-3-Clause */
/* The wire's packets: one block of memory, a free list used last-in first-out (the warmest memory first), and
 * a note on each packet of who has it. Memory is not touched before a packet's first use. Under
 * AddressSanitizer the bytes of a free packet are poisoned. */
#include "wire_state.h"

#include <errno.h>
#include <sanitizer/asan_interface.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "stack/base/check.h"

#define SUPER_BYTES 65536u
#define CACHE_LINE 64u

static uint32_t *holder_count(struct wire *w, enum holder h)
{
	return h == HELD_BY_POOL ? &w->free_count : h == HELD_BY_HOST ? &w->host_count : &w->wire_count;
}

void wire_hand(struct wire *w, struct pkt *p, enum holder from, enum holder to)
{
	struct wire_packet *wp = wire_packet(p);

	CHECK(wp >= w->packets && wp < w->packets + w->config.packets);
	CHECK(wp->holder == from);
	wp->holder = (uint8_t)to;
	--*holder_count(w, from);
	++*holder_count(w, to);
}

static void prepare(struct wire *w, struct wire_packet *wp)
{
	wp->pkt.buffer = w->buffers + (size_t)(wp - w->packets) * w->buffer_stride;
	wp->pkt.buffer_size = (uint32_t)w->buffer_stride;
}

static struct pkt *take(struct wire *w, enum holder to)
{
	struct pkt *p = w->free_list;

	if (p) {
		w->free_list = p->next;
	} else if (w->fresh < w->config.packets) {
		p = &w->packets[w->fresh++].pkt;
		prepare(w, wire_packet(p));
	} else {
		return NULL;
	}
	ASAN_UNPOISON_MEMORY_REGION(p->buffer, p->buffer_size);
	pkt_reset(p);
	wire_hand(w, p, HELD_BY_POOL, to);
	return p;
}

static void give(struct wire *w, struct pkt *p, enum holder from)
{
	wire_hand(w, p, from, HELD_BY_POOL);
	ASAN_POISON_MEMORY_REGION(p->buffer, p->buffer_size);
	p->next = w->free_list;
	w->free_list = p;
}

int wire_pool_init(struct wire *w)
{
	uint32_t bytes = PKT_HEADROOM + ETH_HEADER + 4 + w->config.mtu;
	void *memory;

	if (w->config.flags & LINK_TSO)
		bytes = PKT_HEADROOM + ETH_HEADER + 4 + SUPER_BYTES;
	/* An odd number of cache lines, so that equal offsets of neighbours do not fall into one cache set. */
	w->buffer_stride = (size_t)((bytes + CACHE_LINE - 1) / CACHE_LINE | 1) * CACHE_LINE;
	w->packets = calloc(w->config.packets, sizeof(*w->packets));
	/* Not from malloc, which some settings make touch all that it gives. */
	memory = mmap(NULL, w->buffer_stride * w->config.packets, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	w->buffers = memory == MAP_FAILED ? NULL : memory;
	w->free_count = w->config.packets;
	return w->packets && w->buffers ? 0 : -ENOMEM;
}

void wire_pool_free(struct wire *w)
{
	if (w->buffers) {
		ASAN_UNPOISON_MEMORY_REGION(w->buffers, w->buffer_stride * w->fresh);
		munmap(w->buffers, w->buffer_stride * w->config.packets);
	}
	free(w->packets);
}

struct pkt *wire_take(struct wire *w)
{
	struct pkt *p = take(w, HELD_BY_WIRE);

	if (!p)
		w->counts[WIRE_POOL_DRY]++;
	return p;
}

struct pkt *wire_copy(struct wire *w, const struct pkt *from)
{
	struct pkt *p = wire_take(w);

	if (!p)
		return NULL;
	p->data = p->buffer + pkt_headroom(from);
	memcpy(p->data, from->data, from->len);
	p->len = from->len;
	p->flags = from->flags;
	p->csum_start = from->csum_start;
	p->csum_offset = from->csum_offset;
	p->gso_size = from->gso_size;
	p->header_len = from->header_len;
	return p;
}

void wire_give(struct wire *w, struct pkt *p)
{
	give(w, p, HELD_BY_WIRE);
}

unsigned wire_pool_borrow(struct wire *w, struct pkt **out, unsigned n)
{
	unsigned i;

	for (i = 0; i < n && (out[i] = take(w, HELD_BY_HOST)); i++)
		;
	return i;
}

void wire_pool_release(struct wire *w, struct pkt **packets, unsigned n)
{
	unsigned i;

	for (i = 0; i < n; i++)
		give(w, packets[i], HELD_BY_HOST);
}
