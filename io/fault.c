/* SPDX-License-Identifier: BSD-3-Clause */
/* Two lanes, one a direction: a packet enters, chance decides, it waits until it is due and leaves in order of
 * (due, turn). A reordered packet's turn comes after that of the packet behind it. */
#include "fault.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "stack/base/check.h"
#include "stack/base/rng.h"

#define DEFAULT_HOLD 256u
#define ETH_HEADER 14u
#define BURST 32u

struct held {
	nsec due;
	uint64_t turn;
	struct pkt *packet;
};

struct lane {
	struct fault_rules rules;
	struct rng rng;
	struct held *held;   /* sorted, soonest last */
	uint32_t count;
	uint64_t turn;       /* of the newest packet; each takes two */
};

struct fault {
	struct link link;    /* first: a struct link * of ours is one of these */
	struct link_ops ops;
	struct link *inner;
	struct fault_config config;
	struct fault_counts counts;
	struct lane lanes[2]; /* receive, transmit */
};

static struct fault *fault_of(struct link *l)
{
	return (struct fault *)(void *)l;
}

static nsec now_of(const struct fault *f)
{
	return f->config.clock ? f->config.clock(f->config.clock_context) : 0;
}

static bool happens(struct lane *lane, double probability)
{
	return probability > 0 && (double)(rng_u64(&lane->rng) >> 11) * 0x1p-53 < probability;
}

static bool sooner(const struct held *a, const struct held *b)
{
	return a->due != b->due ? a->due < b->due : a->turn < b->turn;
}

static void hold(struct fault *f, struct lane *lane, struct held h)
{
	uint32_t i = lane->count;

	if (lane->count == lane->rules.hold) {
		f->counts.overflowed++;
		f->inner->ops->release(f->inner, &h.packet, 1);
		return;
	}
	for (; i > 0 && sooner(&lane->held[i - 1], &h); i--)
		lane->held[i] = lane->held[i - 1];
	lane->held[i] = h;
	lane->count++;
}

/* Behind the Ethernet header only, so that the frame still reaches its station. */
static void corrupt(struct fault *f, struct lane *lane, struct pkt *p)
{
	uint32_t header = f->link.flags & LINK_LOOPBACK ? 0 : ETH_HEADER, bit;

	if (p->len <= header)
		return;
	bit = (uint32_t)rng_below(&lane->rng, (p->len - header) * 8u);
	p->data[header + bit / 8] ^= (uint8_t)(1u << bit % 8);
	p->flags &= ~(uint32_t)PKT_CSUM_GOOD;
	f->counts.corrupted++;
}

static struct pkt *copy(struct fault *f, const struct pkt *from)
{
	struct pkt *p;

	if (f->inner->ops->borrow(f->inner, &p, 1) == 0) {
		f->counts.no_packet++;
		return NULL;
	}
	if (from->len > pkt_tailroom(p)) {
		f->inner->ops->release(f->inner, &p, 1);
		f->counts.no_packet++;
		return NULL;
	}
	memcpy(p->data, from->data, from->len);
	p->len = from->len;
	p->flags = from->flags;
	p->csum_start = from->csum_start;
	p->csum_offset = from->csum_offset;
	p->gso_size = from->gso_size;
	p->header_len = from->header_len;
	p->stamp = from->stamp;
	f->counts.duplicated++;
	return p;
}

static void enter(struct fault *f, struct lane *lane, struct pkt *p, nsec now)
{
	const struct fault_rules *r = &lane->rules;
	struct held h = { .due = now + r->delay, .packet = p };
	struct pkt *again = NULL;

	if (happens(lane, r->drop)) {
		f->counts.dropped++;
		f->inner->ops->release(f->inner, &p, 1);
		return;
	}
	if (happens(lane, r->corrupt))
		corrupt(f, lane, p);
	if (happens(lane, r->duplicate))
		again = copy(f, p);
	if (r->jitter)
		h.due += rng_below(&lane->rng, r->jitter + 1);
	h.turn = lane->turn += 2;
	if (happens(lane, r->reorder)) {
		h.turn += 3;
		f->counts.reordered++;
	}
	hold(f, lane, h);
	if (again) {
		h.packet = again;
		hold(f, lane, h);
	}
}

/* idle: nothing entered lately, so that a packet that waits for its successor waits no longer. */
static unsigned leave(struct lane *lane, struct pkt **out, unsigned n, nsec now, bool idle)
{
	unsigned i;

	for (i = 0; i < n && lane->count; i++) {
		const struct held *h = &lane->held[lane->count - 1];

		if (h->due > now || (h->turn > lane->turn && !idle))
			break;
		out[i] = h->packet;
		lane->count--;
	}
	return i;
}

/* A card that takes fewer gets the rest at the next call, before anything else. */
static void flush(struct fault *f, nsec now, bool idle)
{
	struct lane *lane = &f->lanes[1];
	struct pkt *burst[BURST];
	unsigned n, taken, i;

	while ((n = leave(lane, burst, BURST, now, idle)) > 0) {
		taken = f->inner->ops->transmit(f->inner, burst, n);
		for (i = n; i > taken; i--)
			lane->held[lane->count++] = (struct held){ .due = 0, .turn = 0, .packet = burst[i - 1] };
		if (taken < n)
			return;
	}
}

static unsigned fault_receive(struct link *l, struct pkt **out, unsigned n)
{
	struct fault *f = fault_of(l);
	nsec now = now_of(f);
	unsigned got, i;

	flush(f, now, true);
	got = f->inner->ops->receive(f->inner, out, n);
	for (i = 0; i < got; i++)
		enter(f, &f->lanes[0], out[i], now);
	n = leave(&f->lanes[0], out, n, now, got == 0);
	for (i = 0; i < n; i++) {
		out[i]->link = l;
		l->stats.rx_bytes += out[i]->len;
	}
	l->stats.rx_packets += n;
	l->up = f->inner->up;
	return n;
}

static unsigned fault_borrow(struct link *l, struct pkt **out, unsigned n)
{
	struct fault *f = fault_of(l);
	unsigned got = f->inner->ops->borrow(f->inner, out, n);

	for (unsigned i = 0; i < got; i++)
		out[i]->link = l;
	return got;
}

static unsigned fault_transmit(struct link *l, struct pkt **packets, unsigned n)
{
	struct fault *f = fault_of(l);
	nsec now = now_of(f);
	unsigned i;

	for (i = 0; i < n; i++) {
		l->stats.tx_bytes += packets[i]->len;
		enter(f, &f->lanes[1], packets[i], now);
		if (i % BURST == BURST - 1)
			flush(f, now, false);
	}
	l->stats.tx_packets += n;
	flush(f, now, n == 0);
	return n;
}

static void fault_release(struct link *l, struct pkt **packets, unsigned n)
{
	struct fault *f = fault_of(l);

	f->inner->ops->release(f->inner, packets, n);
}

static int fault_arm(struct link *l)
{
	struct fault *f = fault_of(l);

	return f->inner->ops->arm(f->inner);
}

static void fault_disarm(struct link *l)
{
	struct fault *f = fault_of(l);

	f->inner->ops->disarm(f->inner);
}

static bool fault_counter(struct link *l, unsigned i, struct link_counter *out)
{
	struct fault *f = fault_of(l);

	return f->inner->ops->counter(f->inner, i, out);
}

static int fault_group(struct link *l, uint32_t group, bool wanted)
{
	struct fault *f = fault_of(l);

	return f->inner->ops->group(f->inner, group, wanted);
}

static void fault_close(struct link *l)
{
	struct fault *f = fault_of(l);
	unsigned d;

	for (d = 0; d < 2; d++)
		while (f->lanes[d].count)
			f->inner->ops->release(f->inner, &f->lanes[d].held[--f->lanes[d].count].packet, 1);
	f->inner->ops->close(f->inner);
	l->up = 0;
}

static bool lane_init(struct lane *lane, const struct fault_rules *rules, uint64_t seed)
{
	lane->rules = *rules;
	if (!lane->rules.hold)
		lane->rules.hold = DEFAULT_HOLD;
	rng_seed_u64(&lane->rng, seed);
	/* flush() puts back up to a burst of what it took out. */
	lane->held = calloc(lane->rules.hold + BURST, sizeof(*lane->held));
	return lane->held != NULL;
}

struct link *fault_new(struct link *inner, const struct fault_config *c)
{
	bool timed = c->receive.delay || c->receive.jitter || c->transmit.delay || c->transmit.jitter;
	struct fault *f = timed && !c->clock ? NULL : calloc(1, sizeof(*f));

	if (!f)
		return NULL;
	f->config = *c;
	f->inner = inner;
	f->ops = (struct link_ops){ .name = "fault", .receive = fault_receive, .borrow = fault_borrow,
		.transmit = fault_transmit, .release = fault_release, .close = fault_close,
		.arm = inner->ops->arm ? fault_arm : NULL,
		.disarm = inner->ops->disarm ? fault_disarm : NULL, .counter = inner->ops->counter ? fault_counter : NULL,
		.group = inner->ops->group ? fault_group : NULL };
	f->link = *inner;
	f->link.ops = &f->ops;
	f->link.stats = (struct link_stats){ 0 };
	/* A bit that flips before the card sums the frame would never be noticed. */
	if (c->transmit.corrupt > 0)
		f->link.flags &= ~(uint32_t)(LINK_TSO | LINK_TX_CSUM);
	if (!lane_init(&f->lanes[0], &c->receive, c->seed) || !lane_init(&f->lanes[1], &c->transmit, ~c->seed)) {
		fault_free(&f->link);
		return NULL;
	}
	return &f->link;
}

void fault_free(struct link *l)
{
	struct fault *f = fault_of(l);

	if (!l)
		return;
	free(f->lanes[0].held);
	free(f->lanes[1].held);
	free(f);
}

struct fault_counts fault_counts(const struct link *l)
{
	return ((const struct fault *)(const void *)l)->counts;
}

uint32_t fault_held(const struct link *l)
{
	const struct fault *f = (const struct fault *)(const void *)l;

	return f->lanes[0].count + f->lanes[1].count;
}

nsec fault_deadline(const struct link *l)
{
	const struct fault *f = (const struct fault *)(const void *)l;
	nsec first = NSEC_NEVER;
	unsigned d;

	for (d = 0; d < 2; d++) {
		const struct lane *lane = &f->lanes[d];

		if (lane->count && lane->held[lane->count - 1].due < first)
			first = lane->held[lane->count - 1].due;
	}
	return first;
}

void fault_advance(struct link *l)
{
	struct fault *f = fault_of(l);

	flush(f, now_of(f), true);
}
