/* SPDX-License-Identifier: BSD-3-Clause */
/* Inside io/spread only: the rings between cores, and what a core has. Rings are DPDK's (inline functions, no library), single-producer
 * single-consumer, of packet pointers. */
#ifndef LIGHT_IO_SPREAD_LANES_H
#define LIGHT_IO_SPREAD_LANES_H

#define RTE_USE_C11_MEM_MODEL 1
#include <rte_ring.h>
#include <rte_ring_elem.h>

#include "pktpool.h"
#include "spread.h"

#define SPREAD_BURST 32u

/* Of the packets of a core that have come back, so many may wait until a core that sleeps is woken for them. */
#define SPREAD_WAKE_BACK 32u

enum spread_count {
	SPREAD_OUT, SPREAD_IN, SPREAD_COPIES, SPREAD_REDIRECTED, SPREAD_SENT_FOR_OTHERS,
	SPREAD_LOST_FULL, SPREAD_LOST_COPY, SPREAD_LOST_SEND, SPREAD_WAKES, SPREAD_COUNTS,
};

struct spread_queue {
	struct pkt *packets[SPREAD_BURST];
	unsigned count;
};

struct spread_core {
	struct link link;               /* first: a struct link * of ours is one of these */
	struct spread *spread;
	struct link *queue;             /* of the device; NULL: it has none and sends through core `through` */
	unsigned number, through;
	struct pktpool own;             /* for sending, without a queue */
	struct pktpool spare;           /* of 64 KB: copies for other cores */
	struct spread_queue staged[STEER_CORES];  /* to be handed over at the end of the burst */
	struct spread_queue sending;    /* of others, that the queue did not take yet; what is this queue's memory comes first */
	struct pkt *late[STEER_CORES];  /* memory of a core whose ring was full, through next */
	unsigned first;                 /* whose ring is looked at first */
	bool armed;
	int event_fd, epoll_fd, device_fd;
	uint64_t counts[SPREAD_COUNTS];
	/* Read by others. */
	_Alignas(64) _Atomic uint32_t sleeps, up;
};

struct spread {
	struct spread_config config;
	struct spread_core *cores;
	struct rte_ring *over[STEER_CORES][STEER_CORES];  /* [from][to]: received, for that core */
	struct rte_ring *back[STEER_CORES][STEER_CORES];  /* [from][to]: memory that is that core's */
	struct rte_ring *send[STEER_CORES];               /* [from]: for the queue of core `through` */
};

/* NULL: memory is short. */
struct rte_ring *lane_new(uint32_t slots);
/* The first of n that fitted. The caller wakes who reads. */
unsigned lane_put(struct rte_ring *, struct pkt **, unsigned n);
unsigned lane_take(struct rte_ring *, struct pkt **, unsigned n);

/* Is this packet memory of the core's queue (not of its pools)? */
bool spread_is_queues(const struct spread_core *, const struct pkt *);
/* Gives packets of any owner back: to the pool or queue, or on the way to their core. */
void spread_give(struct spread_core *, struct pkt **, unsigned n);
/* What others gave back, and what waited for a full ring. */
void spread_collect(struct spread_core *);
/* Bytes, flags and fields of a packet into an empty one. False: there is no room. */
bool spread_copy(struct pkt *to, const struct pkt *from);
/* After something was put for these cores, a bit each. */
void spread_wake(struct spread_core *, uint32_t cores);

/* spread_send.c */
unsigned spread_transmit(struct link *, struct pkt **, unsigned n);
unsigned spread_borrow(struct link *, struct pkt **, unsigned n);
/* Sends what cores without a queue want to be sent through this one. */
void spread_serve(struct spread_core *);

#endif
