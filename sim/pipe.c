/* SPDX-License-Identifier: BSD-3-Clause */
/* One direction of a cable: what goes wrong before the queue, the queue and its rate, delay and jitter behind it. All
 * chance is drawn from the direction's own generator, in the order of the frames, so that one direction's luck does
 * not depend on another's traffic.
 *
 * What is under way stays in the order of its arrival, so that the wire's heap holds two entries a direction rather
 * than one a frame: a path of 10 Gbit/s and 300 ms has 250,000 frames under way. Only late ones are in it themselves. */
#include "wire_state.h"

#include <string.h>

#include "stack/base/check.h"

#define ETH_OVERHEAD 24u        /* preamble 8, FCS 4, gap 12 */
#define ETH_MIN_FRAME 60u
#define ETH_TYPE_IP4 0x0800u
#define ETH_TYPE_IP6 0x86ddu
#define REORDER_DELAY_MIN NSEC_PER_MSEC

static bool happens(struct pipe *p, double probability)
{
	if (probability <= 0)
		return false;
	return (double)(rng_u64(&p->rng) >> 11) * 0x1p-53 < probability;
}

static uint32_t bytes_on_wire(const struct pkt *p)
{
	return (p->len < ETH_MIN_FRAME ? ETH_MIN_FRAME : p->len) + ETH_OVERHEAD;
}

static void drop(struct wire *w, struct pkt *p, enum wire_count why)
{
	w->counts[why]++;
	wire_give(w, p);
}

/* One bit, and only behind the Ethernet header of an IP packet: a real frame with a wrong address or a wrong ARP
 * packet dies by its FCS, which we do not have; IP's and the upper layers' checksums find any single bit. */
static void corrupt(struct wire *w, struct pipe *p, struct pkt *pkt)
{
	uint32_t bit;
	unsigned type = (unsigned)pkt->data[12] << 8 | pkt->data[13];

	if ((type != ETH_TYPE_IP4 && type != ETH_TYPE_IP6) || pkt->len <= ETH_HEADER)
		return;
	if (pkt->flags & PKT_CSUM_PARTIAL && !frame_complete_checksum(pkt))
		return;
	if (wire_packet(pkt)->damaged)
		return;
	wire_packet(pkt)->damaged = true;
	pkt->flags &= ~(uint32_t)PKT_CSUM_GOOD;
	bit = (uint32_t)rng_below(&p->rng, (pkt->len - ETH_HEADER) * 8u);
	pkt->data[ETH_HEADER + bit / 8] ^= (uint8_t)(1u << bit % 8);
	w->counts[WIRE_CORRUPTED]++;
}

/* Gilbert and Elliott: losses come in bursts while the direction is in its bad state. */
static bool lost(struct pipe *p)
{
	const struct wire_impairment *set = &p->set;

	if (set->burst_enter > 0) {
		p->bad = happens(p, p->bad ? 1 - set->burst_leave : set->burst_enter);
		if (p->bad && happens(p, set->burst_loss))
			return true;
	}
	return happens(p, set->loss);
}

/* ---- under way ---- */

static void arm(struct wire *w, struct wire_due *due, nsec when)
{
	heap_push(&w->due, when, w->order++, due);
}

/* A frame whose last bit left the queue at `departure` is on its way. */
static void launch(struct wire *w, struct pipe *p, struct wire_packet *wp, nsec departure)
{
	const struct wire_impairment *set = &p->set;
	nsec due = departure + set->delay, late = set->reorder_delay;

	if (set->jitter)
		due += rng_below(&p->rng, set->jitter + 1);
	if (set->hold) {        /* what comes within `hold` of the first leaves together */
		if (due > p->held_until)
			p->held_until = due + set->hold;
		due = p->held_until;
	}
	if (due < p->last_due)
		due = p->last_due;
	if (happens(p, set->reorder)) {
		if (!late)
			late = set->delay / 4 > REORDER_DELAY_MIN ? set->delay / 4 : REORDER_DELAY_MIN;
		w->counts[WIRE_REORDERED]++;
		w->late++;
		wp->late = (struct wire_due){ .kind = DUE_LATE, .port = p->arrives.port, .direction = p->arrives.direction };
		arm(w, &wp->late, due + late);
		return;
	}
	p->last_due = due;
	wp->due = due;
	wp->wait_next = NULL;
	if (p->flying_last)
		p->flying_last->wait_next = wp;
	else
		p->flying = wp;
	p->flying_last = wp;
	if (p->flying_count++ == 0)
		arm(w, &p->arrives, due);
}

void pipe_send(struct wire *w, struct pipe *p)
{
	struct wire_packet *wp, *dropped = NULL;

	p->sends_armed = false;
	while (p->queue.packets > 0 && p->busy_until <= w->now) {
		wp = queue_get(&p->queue, &p->set, w->now, &dropped);
		if (!wp)
			break;
		p->sending = wp->wire_bytes;
		p->busy_until = w->now;
		if (p->set.rate)
			p->busy_until += (nsec)((__uint128_t)wp->wire_bytes * 8 * NSEC_PER_SEC / p->set.rate);
		launch(w, p, wp, p->busy_until);
	}
	while ((wp = dropped)) {
		dropped = wp->wait_next;
		drop(w, &wp->pkt, WIRE_QUEUE_DROPPED);
	}
	if (p->queue.packets > 0) {
		p->sends_armed = true;
		arm(w, &p->sends, p->busy_until);
	}
}

struct pkt *pipe_landed(struct wire *w, struct pipe *p)
{
	struct wire_packet *wp = p->flying;

	CHECK(wp && wp->due <= w->now);
	p->flying = wp->wait_next;
	p->flying_count--;
	if (p->flying)
		arm(w, &p->arrives, p->flying->due);
	else
		p->flying_last = NULL;
	return &wp->pkt;
}

static void schedule(struct wire *w, struct pipe *p, struct pkt *pkt)
{
	struct wire_packet *wp = wire_packet(pkt);
	uint64_t marked = p->queue.stats.marked;

	wp->wire_bytes = bytes_on_wire(pkt);
	if (!p->set.rate && p->queue.packets == 0) {
		launch(w, p, wp, p->busy_until > w->now ? p->busy_until : w->now);
		return;
	}
	switch (queue_put(&p->queue, &p->set, &p->rng, wp, w->now, p->busy_until > w->now ? p->sending : 0)) {
	case QUEUE_FULL: drop(w, pkt, WIRE_QUEUE_FULL); break;
	case QUEUE_DROPPED: drop(w, pkt, WIRE_QUEUE_DROPPED); break;
	case QUEUE_TAKEN: break;
	}
	if (!p->sends_armed)
		pipe_send(w, p);
	w->counts[WIRE_MARKED] += p->queue.stats.marked - marked;
}

void pipe_enter(struct wire *w, struct wire_port *port, enum wire_direction d, struct pkt *pkt)
{
	struct pipe *p = &port->pipes[d];
	struct pkt *again = NULL;

	if (d == WIRE_UP)
		wire_packet(pkt)->damaged = false;
	if (p->set.mtu && pkt->len > ETH_HEADER + p->set.mtu) {
		drop(w, pkt, WIRE_BLACK_HOLE);
		return;
	}
	if (lost(p)) {
		drop(w, pkt, WIRE_LOST);
		return;
	}
	if (happens(p, p->set.corrupt))
		corrupt(w, p, pkt);
	if (happens(p, p->set.duplicate) && (again = wire_copy(w, pkt)))
		w->counts[WIRE_DUPLICATED]++;
	if (again)
		wire_packet(again)->damaged = wire_packet(pkt)->damaged;
	schedule(w, p, pkt);
	if (again)
		schedule(w, p, again);
}

void pipe_init(struct pipe *p, uint64_t seed, unsigned port, enum wire_direction d)
{
	*p = (struct pipe){
		.perfect = true,
		.sends = { .kind = DUE_SENDS, .port = (uint8_t)port, .direction = (uint8_t)d },
		.arrives = { .kind = DUE_ARRIVES, .port = (uint8_t)port, .direction = (uint8_t)d },
	};
	rng_seed_u64(&p->rng, seed);
}

void pipe_set(struct pipe *p, const struct wire_impairment *set)
{
	static const struct wire_impairment none;

	p->set = *set;
	p->perfect = memcmp(set, &none, sizeof(none)) == 0;
	p->bad = false;
}
