/* SPDX-License-Identifier: BSD-3-Clause */
/* Queue disciplines. All decide by what a switch sees: lengths and times, never by what flow a packet belongs to. */
#include "queue.h"

#include <math.h>

#include "wire_state.h"

#define RED_WEIGHT (1.0 / 512)             /* Floyd and Jacobson 1993, section 6: w_q */
#define RED_PROBABILITY 0.1
#define RED_PACKET_TIME (100 * NSEC_PER_USEC) /* of an idle queue's ageing where the rate is not known */
#define CODEL_TARGET (5 * NSEC_PER_MSEC)      /* RFC 8289 4.3 */
#define CODEL_INTERVAL (100 * NSEC_PER_MSEC)
#define CODEL_MTU 1538u                       /* a queue of less than a full frame is none (RFC 8289 5.5) */

static bool mark(struct queue *q, struct wire_packet *wp)
{
	if (!frame_mark_ce(&wp->pkt))
		return false;
	q->stats.marked++;
	return true;
}

/* ---- RED ---- */

static void red_average(struct queue *q, const struct wire_impairment *set, nsec now)
{
	nsec packet_time = set->rate ? (nsec)CODEL_MTU * 8 * NSEC_PER_SEC / set->rate : RED_PACKET_TIME;

	if (q->packets > 0) {
		q->average += RED_WEIGHT * (q->packets - q->average);
		return;
	}
	/* As if so many small packets had passed an empty queue. */
	if (now > q->empty_since)
		q->average *= pow(1 - RED_WEIGHT, (double)(now - q->empty_since) / (double)(packet_time ? packet_time : 1));
	q->average -= RED_WEIGHT * q->average;
	q->empty_since = now;
}

/* Whether this one is chosen. Gentle: from the upper threshold to its double the probability goes on to 1. */
static bool red_chooses(struct queue *q, const struct wire_impairment *set, struct rng *rng)
{
	double most = set->red_probability > 0 ? set->red_probability : RED_PROBABILITY;
	double low = set->red_min, high = set->red_max, p;

	if (q->average < low) {
		q->since_mark = 0;
		return false;
	}
	if (q->average < high)
		p = most * (q->average - low) / (high - low);
	else if (q->average < 2 * high)
		p = most + (1 - most) * (q->average - high) / high;
	else
		p = 1;
	/* Even spacing rather than independent chances (section 7). */
	q->since_mark++;
	p = p * q->since_mark < 1 ? p / (1 - p * q->since_mark) : 1;
	if ((double)(rng_u64(rng) >> 11) * 0x1p-53 >= p)
		return false;
	q->since_mark = 0;
	return true;
}

/* ---- CoDel, as RFC 8289 5 has it ---- */

static nsec control_law(const struct queue *q, nsec t, nsec interval)
{
	return t + (nsec)((double)interval / sqrt(q->count));
}

static struct wire_packet *unlink_first(struct queue *q, nsec now)
{
	struct wire_packet *wp = q->first;

	if (!wp)
		return NULL;
	q->first = wp->wait_next;
	if (!q->first) {
		q->last = NULL;
		q->empty_since = now;
	}
	q->packets--;
	q->bytes -= wp->wire_bytes;
	wp->wait_next = NULL;
	return wp;
}

/* dodequeue: the head, and whether it may be dropped. */
static struct wire_packet *codel_next(struct queue *q, nsec target, nsec interval, nsec now, bool *ok_to_drop)
{
	struct wire_packet *wp = unlink_first(q, now);

	*ok_to_drop = false;
	if (!wp || now - wp->entered < target || q->bytes <= CODEL_MTU)
		q->first_above_time = 0;
	else if (q->first_above_time == 0)
		q->first_above_time = now + interval;
	else
		*ok_to_drop = now >= q->first_above_time;
	return wp;
}

static void codel_drop(struct queue *q, struct wire_packet *wp, struct wire_packet **dropped)
{
	wp->wait_next = *dropped;
	*dropped = wp;
	q->stats.dropped++;
}

static struct wire_packet *codel_get(struct queue *q, const struct wire_impairment *set, nsec now,
				     struct wire_packet **dropped)
{
	nsec target = set->target ? set->target : CODEL_TARGET;
	nsec interval = set->interval ? set->interval : CODEL_INTERVAL;
	bool drop;
	struct wire_packet *wp = codel_next(q, target, interval, now, &drop);

	if (q->dropping) {
		if (!drop)
			q->dropping = false;
		while (wp && q->dropping && now >= q->drop_next) {
			q->count++;
			if (set->ecn && mark(q, wp)) {
				q->drop_next = control_law(q, q->drop_next, interval);
				break;
			}
			codel_drop(q, wp, dropped);
			wp = codel_next(q, target, interval, now, &drop);
			if (!drop)
				q->dropping = false;
			else
				q->drop_next = control_law(q, q->drop_next, interval);
		}
	} else if (drop) {
		uint32_t delta = q->count - q->last_count;

		if (!(set->ecn && mark(q, wp))) {
			codel_drop(q, wp, dropped);
			wp = codel_next(q, target, interval, now, &drop);
		}
		q->dropping = true;
		/* Soon after the last time: begin where that ended. */
		q->count = delta > 1 && now - q->drop_next < 16 * interval ? delta : 1;
		q->drop_next = control_law(q, now, interval);
		q->last_count = q->count;
	}
	return wp;
}

/* ---- all ---- */

static bool full(const struct queue *q, const struct wire_impairment *set, uint32_t bytes, uint32_t sending)
{
	if (set->queue_packets && q->packets + (sending > 0) >= set->queue_packets)
		return true;
	return set->queue_bytes && q->bytes + sending + bytes > set->queue_bytes;
}

enum queue_fate queue_put(struct queue *q, const struct wire_impairment *set, struct rng *rng, struct wire_packet *wp,
			  nsec now, uint32_t sending)
{
	if (set->discipline == WIRE_RED) {
		red_average(q, set, now);
		if (red_chooses(q, set, rng) && !(set->ecn && mark(q, wp))) {
			q->stats.dropped++;
			return QUEUE_DROPPED;
		}
	}
	if (full(q, set, wp->wire_bytes, sending)) {
		q->stats.full++;
		return QUEUE_FULL;
	}
	if (set->discipline == WIRE_STEP && set->step_packets && q->packets >= set->step_packets)
		mark(q, wp);
	wp->entered = now;
	wp->wait_next = NULL;
	if (q->last)
		q->last->wait_next = wp;
	else
		q->first = wp;
	q->last = wp;
	q->packets++;
	q->bytes += wp->wire_bytes;
	if (q->packets > q->stats.packets_most)
		q->stats.packets_most = q->packets;
	if (q->bytes > q->stats.bytes_most)
		q->stats.bytes_most = q->bytes;
	return QUEUE_TAKEN;
}

struct wire_packet *queue_get(struct queue *q, const struct wire_impairment *set, nsec now, struct wire_packet **dropped)
{
	struct wire_packet *wp = set->discipline == WIRE_CODEL ? codel_get(q, set, now, dropped) : unlink_first(q, now);

	if (!wp)
		return NULL;
	if (set->discipline == WIRE_STEP && set->step_delay && now - wp->entered > set->step_delay)
		mark(q, wp);
	histogram_add(&q->stats.delay, now - wp->entered);
	q->stats.packets++;
	q->stats.bytes += wp->wire_bytes;
	return wp;
}
