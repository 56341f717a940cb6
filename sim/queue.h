/* SPDX-License-Identifier: BSD-3-Clause */
/* What waits for the rate of one direction of a cable, and who of it is dropped or marked: drop tail, RED (Floyd and
 * Jacobson 1993), CoDel (RFC 8289), or a step as DCTCP's switches (RFC 8257 3.1) and the low-latency side of DualPI2
 * (RFC 9332 A.2) have it. Inside the wire only. */
#ifndef LIGHT_SIM_QUEUE_H
#define LIGHT_SIM_QUEUE_H

#include "stack/base/rng.h"
#include "wire.h"

struct wire_packet;

struct queue {
	struct wire_packet *first, *last;
	uint32_t packets, bytes;
	/* RED: the average length in packets, since when the queue is empty, packets since the last mark */
	double average;
	nsec empty_since;
	uint32_t since_mark;
	/* CoDel: RFC 8289 5's variables */
	nsec first_above_time, drop_next;
	uint32_t count, last_count;
	bool dropping;
	struct wire_queue_stats stats;
};

/* What became of a packet. */
enum queue_fate { QUEUE_TAKEN, QUEUE_FULL, QUEUE_DROPPED };

/* A packet arrives while `sending` bytes (0: none) of the one before it are not yet out; it belongs to the queue
 * if it is taken. */
enum queue_fate queue_put(struct queue *, const struct wire_impairment *, struct rng *, struct wire_packet *, nsec now,
			  uint32_t sending);
/* The next to be sent, or NULL. What CoDel drops on the way is put in front of *dropped, linked by wait_next. */
struct wire_packet *queue_get(struct queue *, const struct wire_impairment *, nsec now, struct wire_packet **dropped);

#endif
