/* SPDX-License-Identifier: BSD-3-Clause */
/* Packetization-layer path MTU discovery (RFC 4821): the size of packets is found by probes, which are segments of the stream that
 * are longer than the others, and needs no ICMP. A connection has a search only once a black hole was suspected, or always, by setting. */
#ifndef LIGHT_TCP_MTU_PROBE_H
#define LIGHT_TCP_MTU_PROBE_H

#include "conn.h"

/* Sizes are bytes of an IP packet. */
struct mtu_search {
	uint16_t size;       /* passes, as far as is known; no packet but a probe is longer: eff_pmtu and search_low */
	uint16_t high;       /* nothing longer need be tried: search_high */
	uint16_t probe;      /* of the probe that is under way; 0: none */
	bool whole;          /* the next probe is search_high itself */
	bool failed;         /* numbers [start, end) were a probe that was lost, and are not all acknowledged yet */
	uint32_t start, end; /* of the last probe */
	nsec next;           /* no probe before this */
};

enum mtu_turn { MTU_NOTHING, MTU_WAIT, MTU_PROBE };

/* The connection is established: the search begins if it is to go on always. */
void mtu_probe_begin(struct tcp_conn *);
void mtu_probe_forget(struct tcp_conn *);
/* The packet size to use on a path of this MTU; c->mtu is not NULL. */
uint32_t mtu_probe_limit(struct tcp_conn *, uint32_t path_mtu);

/* c->mtu is not NULL. MTU_PROBE: a segment of *len bytes is to be sent now; MTU_WAIT: nothing new, until ACKs make room for it. */
enum mtu_turn mtu_probe_turn(struct tcp_conn *, uint32_t *len);
/* It was sent, at snd_nxt - len. */
void mtu_probe_sent(struct tcp_conn *, uint32_t len);
/* snd_una has moved. */
void mtu_probe_acked(struct tcp_conn *);
/* Something is marked lost in an open connection: true if that is the probe and nothing else, which says nothing of congestion. */
bool mtu_probe_explains_loss(struct tcp_conn *);
/* Everything is sent again, in usual sizes: what becomes of a probe will not be known. */
void mtu_probe_inconclusive(struct tcp_conn *);
/* R1 timeouts in a row, or more: perhaps what is long does not get through. Shortens packets if probing is not off. */
void mtu_probe_suspect_black_hole(struct tcp_conn *);

/* NULL: all invariants hold. */
const char *mtu_probe_check(const struct tcp_conn *);

#endif
