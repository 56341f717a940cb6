/* SPDX-License-Identifier: BSD-3-Clause */
/* A network in memory: a switch with one port a host. Each port is a struct link for one stack; its cable
 * has two directions, each with rate, delay, jitter, queue, loss, duplication, reordering and corruption
 * of its own, drawn from a seed. Where a direction has none of these, a packet goes from transmit to the
 * other port's receive queue at once and is not copied. The wire owns all packets.
 *
 * Time comes from wire_advance: the world calls it with virtual time, lightd --io=sim with real time. */
#ifndef LIGHT_SIM_WIRE_H
#define LIGHT_SIM_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "histogram.h"
#include "stack/base/nsec.h"
#include "stack/link.h"

struct wire;

#define WIRE_MAX_PORTS 64u

struct wire_config {
	unsigned ports;      /* 1..WIRE_MAX_PORTS */
	uint32_t packets;    /* size of the pool, lazily touched; 0: 16,384 */
	uint16_t mtu;        /* bytes of an IP packet, 576..9216; 0: 1500 */
	uint32_t flags;      /* LINK_TSO | LINK_TX_CSUM | LINK_RX_CSUM of every port; TSO needs TX_CSUM */
	uint64_t seed;
};

/* Who of those that wait for the rate is dropped, or marked CE if it is capable of ECN (RFC 3168 5). */
enum wire_discipline {
	WIRE_DROP_TAIL,  /* the newest, when the queue is full; the others do that, too */
	WIRE_RED,        /* by chance, from the average length */
	WIRE_CODEL,      /* by the time waited (RFC 8289) */
	WIRE_STEP,       /* marks all beyond a threshold (RFC 8257 3.1, the L queue of RFC 9332); drops only when full */
	WIRE_DISCIPLINES,
};

/* One direction of a port's cable. All zero: perfect. Probabilities are 0..1 a frame (a super-frame is cut
 * into its segments before any of this touches it). */
struct wire_impairment {
	uint64_t rate;           /* bits a second, of whole frames with preamble, FCS and gap; 0: no limit */
	nsec delay;
	nsec jitter;             /* more delay, even in 0..jitter; does not reorder by itself */
	uint32_t queue_packets;  /* waiting for the rate, with the one being sent; 0: no limit */
	uint32_t queue_bytes;
	enum wire_discipline discipline;
	bool ecn;                /* RED, CoDel: marks rather than drops what is capable of it */
	uint32_t red_min, red_max;  /* packets on average: nothing below, everything from the double of red_max on */
	double red_probability;  /* at red_max; 0: 0.1 */
	nsec target, interval;   /* CoDel's; 0: 5 ms, 100 ms */
	nsec step_delay;         /* WIRE_STEP: who waited longer is marked; 0: nobody */
	uint32_t step_packets;   /* WIRE_STEP: who finds so many waiting is marked; 0: nobody */
	double loss, duplicate, reorder, corrupt;
	double burst_enter, burst_leave, burst_loss;  /* Gilbert-Elliott, a frame: into the bad state, out of it, loss in it */
	nsec hold;               /* frames gather so long and arrive together, as ACKs behind a modem do; 0: none */
	uint32_t mtu;            /* longer IP packets are lost without a word: a path MTU black hole; 0: no limit */
	nsec reorder_delay;      /* how much later a reordered frame comes; 0: a quarter of delay, at least 1 ms */
};

enum wire_direction { WIRE_UP, WIRE_DOWN };  /* host to switch, switch to host */

enum wire_count {
	WIRE_DELIVERED,   /* frames put into a receive queue */
	WIRE_LOST,
	WIRE_QUEUE_FULL,
	WIRE_QUEUE_DROPPED, /* by RED or CoDel */
	WIRE_MARKED,      /* CE by a queue */
	WIRE_DUPLICATED,
	WIRE_REORDERED,
	WIRE_CORRUPTED,
	WIRE_BLACK_HOLE,  /* longer than the direction's silent limit */
	WIRE_OVERSIZE,    /* longer than the MTU, or a super-frame that makes no sense */
	WIRE_RUNT,        /* shorter than an Ethernet header */
	WIRE_NO_CARRIER,  /* a port was down */
	WIRE_NO_PORT,     /* nobody there */
	WIRE_HOST_SLOW,   /* a receive queue was full: nobody, or too slow a host, takes frames there */
	WIRE_POOL_DRY,    /* no packet for a copy or a segment */
	WIRE_COUNTS,
};

/* NULL: memory is short or the configuration is outside the limits above. */
struct wire *wire_new(const struct wire_config *);
void wire_free(struct wire *);

/* The link of port 0 <= port < ports. Its MAC is 02:00:00:00:00:PP (port + 1) and may be changed before use. */
struct link *wire_link(struct wire *, unsigned port);

/* From now on; frames that have left their queue keep their times. */
void wire_impair(struct wire *, unsigned port, enum wire_direction, const struct wire_impairment *);
/* What became of the packets of one direction that has a rate, from its beginning. */
struct wire_queue_stats {
	uint64_t packets, bytes;        /* that left it, bytes as on the wire */
	uint64_t full, dropped, marked; /* refused by a full queue; by its discipline; marked CE */
	uint32_t packets_most, bytes_most;  /* that ever waited */
	struct histogram delay;         /* nanoseconds that each waited */
};
const struct wire_queue_stats *wire_queue_stats(const struct wire *, unsigned port, enum wire_direction);
/* What waits now, and since when its first packet does (0: nothing). */
struct wire_queue_now {
	uint32_t packets, bytes;
	nsec delay;
};
struct wire_queue_now wire_queue_now(const struct wire *, unsigned port, enum wire_direction);

/* Another MTU for a host's link, at most that of the configuration. Frames under way stay. */
void wire_set_mtu(struct wire *, unsigned port, uint16_t mtu);
/* Carrier: what passes a port that is down is lost. */
void wire_set_up(struct wire *, unsigned port, bool up);

/* Sets the time (never back) and puts what is due by then into the receive queues. */
void wire_advance(struct wire *, nsec now);
/* When something happens next to what is under way; NSEC_NEVER: nothing is. Frames in receive queues do not count. */
nsec wire_deadline(const struct wire *);
/* Frames in a port's receive queue. */
uint32_t wire_queued(const struct wire *, unsigned port);

/* Packets that hosts hold (borrowed or received), which must be as many as they admit to. */
uint32_t wire_outstanding(const struct wire *);
/* Packets inside: on their way or in a receive queue. outstanding + inside + free = pool, always. */
uint32_t wire_inside(const struct wire *);
/* Looks the pool over: NULL, or a sentence that says what is wrong. Slow (walks every queue). */
const char *wire_check(const struct wire *);

uint64_t wire_count(const struct wire *, enum wire_count);
const char *wire_count_name(enum wire_count);

/* Sees every frame that is put into a receive queue, before its host does. */
void wire_observe(struct wire *, void (*seen)(void *context, unsigned port, nsec now, const struct pkt *),
		  void *context);
/* Sees every frame that a host sends, before anything happens to it; a super-frame whole. */
void wire_observe_sent(struct wire *, void (*sent)(void *context, unsigned port, nsec now, const struct pkt *),
		       void *context);

#endif
