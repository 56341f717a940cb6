/* SPDX-License-Identifier: BSD-3-Clause */
/* The loops. Time stamp cycles are counted in turns that had work, so that idle polling does not count, and not in those in which another
 * process had the core. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <x86intrin.h>

#include "stack/stack.h"
#include "tools/iobench/iobench.h"

enum { BURST = 64, HEADERS = 42, SAMPLES = 1 << 20, CLOCK_TURNS = 64 };
/* A burst takes less than this, however slow the device; the scheduler's slices are longer. */
#define INTERRUPTED 1000000u
/* Of a window nothing came back for so long: what is missing is lost, and sent anew. */
#define PATIENCE (20 * NSEC_PER_MSEC)

struct bench {
	struct work *w;
	struct result *r;
	struct link *link;
	uint8_t frame[FRAME_MAX];
	struct stack *stack;
	ep_id socket;
	unsigned flying;
	nsec now, last, sent_at;
	uint32_t *samples, sampled;
};

static nsec clock_of(clockid_t id)
{
	struct timespec t;

	clock_gettime(id, &t);
	return (nsec)t.tv_sec * NSEC_PER_SEC + (nsec)t.tv_nsec;
}

static _Noreturn void die(const char *what, int error)
{
	fprintf(stderr, "light-iobench: %s: %s\n", what, strerror(-error));
	exit(1);
}

static int must(const char *what, int result)
{
	if (result < 0)
		die(what, result);
	return result;
}

/* ---- frames ---- */

static uint32_t sum(const uint8_t *p, unsigned n, uint32_t s)
{
	for (unsigned i = 0; i + 1 < n; i += 2)
		s += (uint32_t)p[i] << 8 | p[i + 1];
	return n & 1 ? s + ((uint32_t)p[n - 1] << 8) : s;
}

static void put16(uint8_t *p, unsigned v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static unsigned finish(uint32_t s)
{
	s = (s & 0xffff) + (s >> 16);
	return (uint16_t)~(s + (s >> 16));
}

/* UDP from us to the peer's echo, with whole checksums. */
static void write_frame(uint8_t *f, const struct work *w)
{
	unsigned ip = w->frame - 14, udp = ip - 20;

	memset(f, 0x5a, w->frame);
	memcpy(f, w->peer.mac, 6);
	memcpy(f + 6, w->us.mac, 6);
	memcpy(f + 12, (const uint8_t[]){ 8, 0, 0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, 17, 0, 0 }, 14);
	put16(f + 16, ip);
	memcpy(f + 26, &w->us.ip4, 4);
	memcpy(f + 30, &w->peer.ip4, 4);
	put16(f + 24, finish(sum(f + 14, 20, 0)));
	put16(f + 34, LOAD_PORT);
	put16(f + 36, ECHO_PORT);
	put16(f + 38, udp);
	put16(f + 40, 0);
	put16(f + 40, finish(sum(f + 34, udp, sum(f + 26, 8, 17 + udp))));
}

static void swap(uint8_t *a, uint8_t *b, unsigned n)
{
	uint8_t t[6];

	memcpy(t, a, n);
	memcpy(a, b, n);
	memcpy(b, t, n);
}

/* Both addresses and the ports change places (testpmd's 5tswap); checksums stay right. */
static void turn_round(struct pkt *p)
{
	if (p->len < HEADERS)
		return;
	swap(p->data, p->data + 6, 6);
	swap(p->data + 26, p->data + 30, 4);
	swap(p->data + 34, p->data + 36, 2);
}

/* ---- turns: packets that were worked on ---- */

static void send_all(struct bench *b, struct pkt **p, unsigned n)
{
	unsigned k = b->link->ops->transmit(b->link, p, n);

	b->r->lost += n - k;
	b->link->ops->release(b->link, p + k, n - k);
}

static unsigned turn_drop(struct bench *b)
{
	struct pkt *p[BURST];
	unsigned n = b->link->ops->receive(b->link, p, BURST);

	b->link->ops->release(b->link, p, n);
	return n;
}

static unsigned turn_forward(struct bench *b)
{
	struct pkt *p[BURST];
	unsigned n = b->link->ops->receive(b->link, p, BURST);

	for (unsigned i = 0; i < n; i++)
		turn_round(p[i]);
	if (n)
		send_all(b, p, n);
	return n;
}

static unsigned send_frames(struct bench *b, unsigned want)
{
	struct pkt *p[BURST];
	unsigned n = b->link->ops->borrow(b->link, p, want < BURST ? want : BURST), k;

	for (unsigned i = 0; i < n; i++) {
		memcpy(p[i]->data, b->frame, b->w->frame);
		p[i]->len = b->w->frame;
	}
	if (n == 0)
		return 0;
	k = b->link->ops->transmit(b->link, p, n);
	b->link->ops->release(b->link, p + k, n - k);
	return k;
}

static unsigned turn_send(struct bench *b)
{
	struct pkt *p[BURST];
	unsigned sent = send_frames(b, BURST), n = b->link->ops->receive(b->link, p, BURST);

	b->link->ops->release(b->link, p, n);
	return sent;
}

static void sample(struct bench *b)
{
	if (b->w->window == 1 && b->sampled < SAMPLES)
		b->samples[b->sampled++] = (uint32_t)(clock_of(CLOCK_MONOTONIC) - b->sent_at);
}

/* Keeps the window full: what came back is sent anew. */
static unsigned turn_load(struct bench *b)
{
	struct pkt *p[BURST];
	unsigned n = b->link->ops->receive(b->link, p, BURST), back = 0;

	for (unsigned i = 0; i < n; i++)
		back += p[i]->len == b->w->frame && memcmp(p[i]->data + 36, (const uint8_t[]){ LOAD_PORT >> 8, LOAD_PORT & 0xff }, 2) == 0;
	b->link->ops->release(b->link, p, n);
	if (back) {
		b->last = b->now;
		sample(b);
	}
	b->flying -= back < b->flying ? back : b->flying;
	if (b->flying && b->now - b->last > PATIENCE) {
		b->r->lost += b->flying;
		b->flying = 0;
	}
	if (b->flying < b->w->window) {
		if (b->w->window == 1)
			b->sent_at = clock_of(CLOCK_MONOTONIC);
		if (b->flying == 0)
			b->last = b->now;
		b->flying += send_frames(b, b->w->window - b->flying);
	}
	return back;
}

static unsigned turn_echo(struct bench *b)
{
	uint8_t buffer[FRAME_MAX];
	struct ep_event events[8];
	struct ep_name from;
	unsigned count = 0;
	int64_t n;

	stack_turn(b->stack, b->now);
	if (stack_events(b->stack, events, 8) == 0)
		return 0;
	while ((n = ep_recv_from(b->stack, b->socket, buffer, sizeof(buffer), &from)) >= 0) {
		if (ep_send_to(b->stack, b->socket, buffer, (uint32_t)n, &from) != n)
			b->r->lost++;
		count++;
	}
	if (count)
		stack_turn(b->stack, b->now);
	return count;
}

/* ---- a device that gives back what is sent ---- */

struct mirror {
	struct link link;
	struct link *inner;
};

static struct link *inner_of(struct link *l)
{
	return ((struct mirror *)(void *)l)->inner;
}

static unsigned mirror_receive(struct link *l, struct pkt **p, unsigned n)
{
	struct link *inner = inner_of(l);
	unsigned got = inner->ops->receive(inner, p, n);

	for (unsigned i = 0; i < got; i++)
		turn_round(p[i]);
	return got;
}

static unsigned mirror_borrow(struct link *l, struct pkt **p, unsigned n)
{
	return inner_of(l)->ops->borrow(inner_of(l), p, n);
}

static unsigned mirror_transmit(struct link *l, struct pkt **p, unsigned n)
{
	return inner_of(l)->ops->transmit(inner_of(l), p, n);
}

static void mirror_release(struct link *l, struct pkt **p, unsigned n)
{
	inner_of(l)->ops->release(inner_of(l), p, n);
}

static void mirror_close(struct link *l)
{
	inner_of(l)->ops->close(inner_of(l));
}

static const struct link_ops mirror_ops = {
	.name = "mirror", .receive = mirror_receive, .borrow = mirror_borrow, .transmit = mirror_transmit, .release = mirror_release,
	.close = mirror_close,
};

static struct mirror mirror;

/* ---- the echo's stack ---- */

static void make_stack(struct bench *b)
{
	const struct ipaddr us = ipaddr_from_ip4(b->w->us.ip4), peer = ipaddr_from_ip4(b->w->peer.ip4);
	const struct ep_name port = { .port = ECHO_PORT };
	struct link *link = b->link;
	struct stack_config c;
	int interface;

	if (b->w->mirror) {
		mirror = (struct mirror){ *link, link };
		mirror.link.ops = &mirror_ops;
		link = &mirror.link;
	}
	stack_config_init(&c);
	c.name = "iobench";
	c.max_endpoints = 16;
	b->stack = stack_new(&c);
	if (b->stack == NULL)
		die("a stack", -ENOMEM);
	stack_at(b->stack, b->now);
	interface = must("adding the link", stack_add_link(b->stack, link, "bench0"));
	must("the address", stack_add_address(b->stack, interface, &us, 24));
	must("the neighbour", stack_add_neighbour(b->stack, interface, &peer, b->w->peer.mac));
	must("a socket", ep_open(b->stack, EP_DATAGRAM, 0, NULL, &b->socket));
	must("its buffer", ep_set(b->stack, b->socket, EP_RECEIVE_BUFFER, 1 << 20));
	must("its buffer", ep_set(b->stack, b->socket, EP_SEND_BUFFER, 1 << 20));
	must("its port", ep_bind(b->stack, b->socket, &port));
}

/* On a device that gives back, the first frames are the stack's own. */
static void start_mirror(struct bench *b)
{
	struct ep_name to = { .addr = ipaddr_from_ip4(b->w->peer.ip4), .port = ECHO_PORT };

	for (unsigned i = 0; i < b->w->window; i++)
		ep_send_to(b->stack, b->socket, b->frame, b->w->frame - HEADERS, &to);
	stack_turn(b->stack, b->now);
}

/* ---- */

static int compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static void percentiles(struct bench *b)
{
	if (b->sampled == 0)
		return;
	qsort(b->samples, b->sampled, sizeof(*b->samples), compare);
	b->r->p50 = b->samples[b->sampled / 2] / 1e3;
	b->r->p99 = b->samples[(uint64_t)b->sampled * 99 / 100] / 1e3;
}

static void loop(struct bench *b, unsigned (*turn)(struct bench *), const volatile bool *stop)
{
	nsec end = b->now + (nsec)(b->w->seconds * 1e9), first = 0, latest = 0;
	uint64_t at = __rdtsc(), worked = 0, counted = 0;

	for (unsigned i = 0; b->now < end && !*stop; i++) {
		unsigned n = turn(b);
		uint64_t t = __rdtsc();

		if (n && t - at < INTERRUPTED) {
			worked += t - at;
			counted += n;
		}
		b->r->packets += n;
		if (n || i % CLOCK_TURNS == 0)
			b->now = clock_of(CLOCK_MONOTONIC);
		if (n) {
			latest = b->now;
			first = first ? first : latest;
		}
		at = __rdtsc();
	}
	/* The other end begins later and may end before. */
	b->r->seconds = (double)(latest - first) / 1e9;
	b->r->cycles = counted ? (double)worked / (double)counted : 0;
}

void work_run(struct work *w, const volatile bool *stop, struct result *r)
{
	static unsigned (*const turns[MODES])(struct bench *) = {
		[MODE_DROP] = turn_drop, [MODE_SEND] = turn_send, [MODE_FORWARD] = turn_forward, [MODE_ECHO] = turn_echo,
		[MODE_LOAD] = turn_load,
	};
	struct bench b = { .w = w, .r = r, .link = w->link, .now = clock_of(CLOCK_MONOTONIC) };

	*r = (struct result){ 0 };
	b.samples = malloc(SAMPLES * sizeof(*b.samples));
	if (b.samples == NULL)
		die("samples", -ENOMEM);
	b.last = b.now;
	write_frame(b.frame, w);
	if (w->mode == MODE_ECHO)
		make_stack(&b);
	if (w->mode == MODE_ECHO && w->mirror)
		start_mirror(&b);
	loop(&b, turns[w->mode], stop);
	percentiles(&b);
	if (b.stack)
		stack_free(b.stack);
	free(b.samples);
}
