/* SPDX-License-Identifier: BSD-3-Clause */
/* One direction of a cable: queue and rate, delay and jitter, and what goes wrong on the way. All chance is
 * drawn from the direction's own generator, in the order of the frames, so that one direction's luck does
 * not depend on another's traffic. */
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

static nsec time_on_wire(const struct pipe *p, uint32_t bytes)
{
	return (nsec)((__uint128_t)bytes * 8 * NSEC_PER_SEC / p->set.rate);
}

void pipe_drain(struct pipe *p, nsec now)
{
	struct wire_packet *wp;

	while ((wp = p->waiting) && wp->departure <= now) {
		p->waiting = wp->wait_next;
		p->waiting_packets--;
		p->waiting_bytes -= wp->wire_bytes;
	}
	if (!p->waiting)
		p->waiting_last = NULL;
}

static void wait_in_queue(struct pipe *p, struct wire_packet *wp)
{
	wp->wait_next = NULL;
	if (p->waiting_last)
		p->waiting_last->wait_next = wp;
	else
		p->waiting = wp;
	p->waiting_last = wp;
	p->waiting_packets++;
	p->waiting_bytes += wp->wire_bytes;
}

static bool queue_full(const struct pipe *p, uint32_t bytes)
{
	if (p->set.queue_packets && p->waiting_packets >= p->set.queue_packets)
		return true;
	return p->set.queue_bytes && p->waiting_bytes + bytes > p->set.queue_bytes;
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

/* When a frame that leaves the queue at `departure` arrives. */
static nsec arrival(struct wire *w, struct pipe *p, nsec departure)
{
	nsec due = departure + p->set.delay;
	nsec late = p->set.reorder_delay;

	if (p->set.jitter)
		due += rng_below(&p->rng, p->set.jitter + 1);
	if (due < p->last_due)
		due = p->last_due;
	if (happens(p, p->set.reorder)) {
		if (!late)
			late = p->set.delay / 4 > REORDER_DELAY_MIN ? p->set.delay / 4 : REORDER_DELAY_MIN;
		w->counts[WIRE_REORDERED]++;
		return due + late;
	}
	p->last_due = due;
	return due;
}

static void schedule(struct wire *w, struct wire_port *port, enum wire_direction d, struct pkt *pkt)
{
	struct pipe *p = &port->pipes[d];
	struct wire_packet *wp = wire_packet(pkt);

	wp->port = port->number;
	wp->direction = (uint8_t)d;
	wp->departure = w->now;
	wp->wire_bytes = bytes_on_wire(pkt);
	if (p->set.rate) {
		pipe_drain(p, w->now);
		if (queue_full(p, wp->wire_bytes)) {
			w->counts[WIRE_QUEUE_FULL]++;
			wire_give(w, pkt);
			return;
		}
		if (p->busy_until < w->now)
			p->busy_until = w->now;
		p->busy_until += time_on_wire(p, wp->wire_bytes);
		wp->departure = p->busy_until;
		wait_in_queue(p, wp);
	}
	heap_push(&w->due, arrival(w, p, wp->departure), w->order++, pkt);
}

void pipe_enter(struct wire *w, struct wire_port *port, enum wire_direction d, struct pkt *pkt)
{
	struct pipe *p = &port->pipes[d];
	struct pkt *again = NULL;

	if (d == WIRE_UP)
		wire_packet(pkt)->damaged = false;
	if (p->set.mtu && pkt->len > ETH_HEADER + p->set.mtu) {
		w->counts[WIRE_BLACK_HOLE]++;
		wire_give(w, pkt);
		return;
	}
	if (happens(p, p->set.loss)) {
		w->counts[WIRE_LOST]++;
		wire_give(w, pkt);
		return;
	}
	if (happens(p, p->set.corrupt))
		corrupt(w, p, pkt);
	if (happens(p, p->set.duplicate) && (again = wire_copy(w, pkt)))
		w->counts[WIRE_DUPLICATED]++;
	if (again)
		wire_packet(again)->damaged = wire_packet(pkt)->damaged;
	schedule(w, port, d, pkt);
	if (again)
		schedule(w, port, d, again);
}

void pipe_init(struct pipe *p, uint64_t seed)
{
	*p = (struct pipe){ .perfect = true };
	rng_seed_u64(&p->rng, seed);
}

void pipe_set(struct pipe *p, const struct wire_impairment *set)
{
	static const struct wire_impairment none;

	p->set = *set;
	p->perfect = memcmp(set, &none, sizeof(none)) == 0;
	if (!set->rate)
		p->busy_until = 0;
}
