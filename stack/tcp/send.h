/* SPDX-License-Identifier: BSD-3-Clause */
/* What may go now: windows, Nagle, silly-window avoidance, probes. */
#ifndef LIGHT_TCP_SEND_H
#define LIGHT_TCP_SEND_H

#include "conn.h"

/* Sends all that may go, at most a burst, then the ACK if one is still owed. The connection stays ready if more is left. */
void send_turn(struct tcp_conn *);
/* The probe timer expired. False: the connection was given up. */
bool send_probe(struct tcp_conn *);

/* Whether the program should write more: a third of the ring is free, and unsent bytes are below its low-water mark. */
bool send_writable(const struct tcp_conn *);
/* Call around whatever frees room: raises EP_WRITABLE when a ring that was seen full no longer is. */
void send_note_room(struct tcp_conn *);

/* A record of the scoreboard again, as one packet: it is no longer than the link takes. False: no packet to be had. */
struct record;
bool send_record(struct tcp_conn *, struct record *);
/* One segment of what was never sent, beyond cwnd if need be (a loss probe). False: there is none that the peer's window takes. */
bool send_one_new(struct tcp_conn *);

#endif
