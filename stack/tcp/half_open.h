/* SPDX-License-Identifier: BSD-3-Clause */
/* Half-open connections of listeners: from the SYN to the last ACK of the handshake. */
#ifndef LIGHT_TCP_HALF_OPEN_H
#define LIGHT_TCP_HALF_OPEN_H

#include "conn.h"

/* What is known between the SYN and the last ACK of the handshake. */
struct half_open {
	struct flow flow;
	struct stack *stack;
	struct tcp_listener *listener; /* NULL: it has gone; only with a child */
	struct tcp_conn *child;        /* came with the SYN (RFC 7413); NULL: none yet */
	struct timer timer;
	struct list age_node, listener_node;
	struct path path;
	nsec created, sent_at, answered;
	uint32_t iss, irs, ts_recent, ts_offset, window;
	uint16_t mss, window_field;
	uint16_t remote_uto; /* of the SYN; 0: none */
	uint8_t snd_scale, rcv_scale, retries;
	bool ts_on, sack_on, scale_on;
	uint8_t ecn;         /* enum ecn_mode */
	uint8_t ecn_arrived; /* enum ecn_field of the SYN */
	bool ecn_plain;      /* its SYN came again without ECN */
	bool acked : 1;  /* its ACK came, but the listener waits for data */
	bool fast : 1;   /* not in the flow table: the child is or was */
	bool fastopen_answer : 1; /* the SYN-ACK carries this cookie */
	struct fastopen_cookie fastopen;
	bool cookie; /* it is in no table: what is known of it is in the numbers that it was sent */
};

/* RFC 9293 3.10.7.2, third: a SYN for a listener. isn: 0, or the first number to use (it ended a TIME-WAIT). */
void half_open_new(struct stack *, struct tcp_listener *, const struct tcp_segment *, const struct flow_key *, uint32_t isn);
/* A segment for a half-open connection. */
void half_open_input(struct stack *, struct flow *, struct tcp_segment *, const struct ip_received *);
/* What the SYN offers and we have too; what is announced. */
void half_open_negotiate(struct half_open *, const struct tcp_segment *syn);
/* The SYN-ACK, now. */
void half_open_answer(struct half_open *);
/* Of a child that came with its SYN: the handshake is complete, or the connection at its end; both forget *h. */
void half_open_acked(struct half_open *);
/* The peer reset it: it counts as pending for a while, or resets would be a way around the limit (RFC 7413 5.1). */
void half_open_reset(struct half_open *);
void half_open_forget_all(struct tcp_listener *);

size_t half_open_size(void);
/* For ep_walk: the i-th; false: not in use. */
bool half_open_info(const struct stack *, uint32_t i, struct ep_info *);

#endif
