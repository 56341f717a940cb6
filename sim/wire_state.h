/* SPDX-License-Identifier: BSD-3-Clause */
/* Inside the wire only: its pool, its ports and what it knows of each packet. */
#ifndef LIGHT_SIM_WIRE_STATE_H
#define LIGHT_SIM_WIRE_STATE_H

#include "heap.h"
#include "queue.h"
#include "stack/base/rng.h"
#include "wire.h"

#define ETH_HEADER 14u
#define VLAN_TAG 4u

/* Who has a packet: every move is checked, so a double release cannot go unseen. */
enum holder { HELD_BY_POOL, HELD_BY_HOST, HELD_BY_WIRE };

/* What the wire's heap holds: a direction's queue may send, its next frame arrives, or a late frame does. */
struct wire_due {
	enum { DUE_SENDS, DUE_ARRIVES, DUE_LATE } kind;
	uint8_t port, direction;
};

struct wire_packet {
	struct pkt pkt;                /* first: a struct pkt * of ours is one of these */
	struct wire_packet *wait_next; /* behind it in its direction's queue, or under way */
	nsec entered, due;             /* the queue; arrives */
	uint32_t wire_bytes;           /* what it counts in the queue */
	struct wire_due late;
	uint8_t holder;
	bool damaged;                  /* has its one wrong bit: a second could make the checksums right again */
};

/* One direction of a cable. */
struct pipe {
	struct wire_impairment set;
	bool perfect;                  /* nothing is set: packets pass at once */
	struct rng rng;
	bool bad;                      /* Gilbert-Elliott's state */
	bool sends_armed;              /* the heap has `sends` */
	nsec busy_until;               /* the rate is taken up to here, by so many bytes */
	uint32_t sending;
	uint32_t flying_count;         /* under way, in the order of arrival; the heap has `arrives` if there are any */
	struct wire_packet *flying, *flying_last;
	nsec last_due;                 /* jitter keeps the order */
	nsec held_until;               /* what arrives before waits until then */
	struct wire_due sends, arrives;
	struct queue queue;
};

struct wire_port {
	struct link link;              /* first: a struct link * of ours is one of these */
	struct wire *wire;
	struct pkt *received, *received_last;
	uint32_t received_count;
	uint8_t number;
	struct pipe pipes[2];          /* by enum wire_direction */
};

#define WIRE_MACS 256u

struct wire {
	struct wire_config config;
	nsec now;
	struct heap due;               /* struct wire_due */
	uint32_t late;                 /* packets that are in it themselves */
	uint64_t order;
	uint32_t receive_limit;        /* frames that wait in one port for its host */

	struct wire_packet *packets;
	uint8_t *buffers;
	size_t buffer_stride;
	struct pkt *free_list;
	uint32_t fresh;                /* packets from here on were never used */
	uint32_t free_count, host_count, wire_count;

	struct wire_mac { uint8_t mac[6], port, used; } macs[WIRE_MACS]; /* where a station was last seen */
	uint64_t counts[WIRE_COUNTS];
	void (*seen)(void *context, unsigned port, nsec now, const struct pkt *);
	void *seen_context;
	void (*sent)(void *context, unsigned port, nsec now, const struct pkt *);
	void *sent_context;
	struct wire_port ports[WIRE_MAX_PORTS];
};

static inline struct wire_packet *wire_packet(struct pkt *p)
{
	return (struct wire_packet *)(void *)p;
}

/* wire_pool.c: packets of the wire itself (HELD_BY_WIRE). */
int wire_pool_init(struct wire *);
void wire_pool_free(struct wire *);
struct pkt *wire_take(struct wire *);                     /* NULL: dry (counted) */
struct pkt *wire_copy(struct wire *, const struct pkt *); /* NULL: dry (counted) */
void wire_give(struct wire *, struct pkt *);              /* back to the pool */
unsigned wire_pool_borrow(struct wire *, struct pkt **, unsigned n);
void wire_pool_release(struct wire *, struct pkt **, unsigned n);
/* Moves a host's packet into the wire, or the other way. */
void wire_hand(struct wire *, struct pkt *, enum holder from, enum holder to);

/* segment.c */
/* Fills in the checksum of a PKT_CSUM_PARTIAL frame. false: its fields point outside it. */
bool frame_complete_checksum(struct pkt *);
/* Writes the segment that starts at payload offset `at` of a super-frame into `out` (an empty packet with room
 * for gso_size + header_len), PKT_CSUM_PARTIAL again. Returns payload bytes written; 0: the frame makes no sense. */
uint32_t frame_segment(const struct pkt *super, uint32_t at, struct pkt *out);
/* A super-frame's own fields agree with its bytes. */
bool frame_super_valid(const struct pkt *);
/* Sets CE in an IP packet that is capable of ECN (RFC 3168 5), with IPv4's checksum. False: it is not. */
bool frame_mark_ce(struct pkt *);

/* pipe.c */
void pipe_init(struct pipe *, uint64_t seed, unsigned port, enum wire_direction);
void pipe_set(struct pipe *, const struct wire_impairment *);
/* A frame enters a direction that is not perfect: it is lost, or due later (once, or twice). */
void pipe_enter(struct wire *, struct wire_port *, enum wire_direction, struct pkt *);
/* DUE_SENDS: the queue gives the rate what it can take now. */
void pipe_send(struct wire *, struct pipe *);
/* DUE_ARRIVES: the next frame is at the end of the direction. */
struct pkt *pipe_landed(struct wire *, struct pipe *);

#endif
