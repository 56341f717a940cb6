/* SPDX-License-Identifier: BSD-3-Clause */
/* The shared line of a socket: what a program's processes and the daemon know of it in common. It lies in the region of a
 * family (a program and what it forked), so parent and child use the same one. Each cache line has one kind of
 * writer. The daemon never believes what it reads here: its own copies are private (stack/bytering.h), and
 * everything a program writes is checked; a wrong value harms only the family that wrote it.
 *
 * Readiness is computed from the line by client_ready(), without asking anybody. */
#ifndef LIGHT_IPC_LINE_H
#define LIGHT_IPC_LINE_H

#include <stdatomic.h>
#include <stdint.h>

#include "stack/addr.h"

enum {
	LINE_OPEN = 1 << 0,         /* the daemon has an endpoint for it */
	LINE_STREAM = 1 << 1,
	LINE_DATAGRAM = 1 << 2,
	LINE_BOUND = 1 << 3,        /* `local` is valid */
	LINE_LISTENING = 1 << 4,    /* the receive ring holds uint32_t numbers of children's lines */
	LINE_CONNECTING = 1 << 5,
	LINE_CONNECTED = 1 << 6,    /* `peer` is valid; stays set after the end */
	LINE_READ_CLOSED = 1 << 7,  /* FIN received (all its bytes are in the ring), or SHUT_RD */
	LINE_WRITE_CLOSED = 1 << 8, /* SHUT_WR, or the connection is over: EPIPE */
	LINE_HANGUP = 1 << 9,       /* both directions over, or connect failed */
	LINE_URGENT = 1 << 10,
	LINE_DAEMON_GONE = 1 << 11, /* set by the library itself when the daemon is gone */
	LINE_GROW_REFUSED = 1 << 12, /* the send ring is as large as it gets */
	LINE_MARK = 1 << 13,         /* `urgent_index` is valid: a read ends there */
	LINE_OOB_INLINE = 1 << 14,   /* ... and goes on with the urgent byte; else it skips it */
	LINE_ERRORS = 1 << 15,       /* the error queue holds something (REQ_TAKE_QUEUED) */
};

/* Where the bytes of a ring lie: extent number epoch & 1 is the newest; it holds the indices from `from` on, the other
 * one those before. The daemon overwrites an entry only when no index in use lies in it. */
struct line_extent {
	uint32_t page;       /* offset in the data area, in 4,096 byte pages */
	uint32_t from;
	uint32_t size;       /* bytes, a power of two; 0: none */
};

struct line_ring {
	_Atomic uint32_t epoch;       /* counts extents; 0: no memory yet */
	struct line_extent extents[2];
};

struct sock_line {
	/* Written by the daemon. */
	_Alignas(64) _Atomic uint32_t state;  /* LINE_* */
	_Atomic uint32_t receive_head;
	_Atomic uint32_t send_tail;
	_Atomic uint32_t send_limit;          /* most bytes that may lie unacknowledged in the send ring now */
	_Atomic uint32_t changes;             /* counts events: edge-triggered readers compare */
	uint32_t generation;                  /* of this use of the line */
	_Atomic uint32_t error_seq;           /* counts errors set */
	_Atomic int32_t error;                /* pending SO_ERROR, positive errno; the reader exchanges it with 0 */
	_Atomic uint32_t urgent_index;        /* of the urgent byte in the receive ring */
	_Atomic uint32_t receive_low;         /* SO_RCVLOWAT of a stream; 0 is 1 */
	_Atomic uint32_t readable_from;       /* the same, but 1 while no more can come: so many bytes make it readable */
	_Atomic uint32_t notsent_low;         /* TCP_NOTSENT_LOWAT; 0: none */
	_Atomic uint32_t send_next;           /* with that: up to where the send ring had been sent when the daemon last looked */
	uint32_t unused_daemon[3];

	/* Written by the program's processes. */
	_Alignas(64) _Atomic uint32_t receive_tail;
	_Atomic uint32_t send_head;
	_Atomic uint32_t send_posted;         /* 1: a REQ_SENT is on its way; the daemon clears it, then reads send_head */
	_Atomic uint32_t receive_posted;      /* the same for REQ_RECEIVED */
	_Atomic uint32_t receive_sleeps;      /* futexes: 1 = somebody sleeps for readable / writable */
	_Atomic uint32_t send_sleeps;
	_Atomic uint32_t receive_lock;        /* session number + 1 of the holder, high bit: contended (futex) */
	_Atomic uint32_t send_lock;
	_Atomic uint32_t owner;               /* accepted child: claimed by session number + 1 (compare-exchange from 0) */
	_Atomic uint32_t grow_posted;         /* 1: a REQ_GROW_SEND is on its way */
	_Atomic uint32_t receive_reported;    /* the receive_tail of the last REQ_RECEIVED */
	_Atomic uint32_t opened;              /* enum ep_type: a session that has the line from its stock uses it now */
	_Atomic uint32_t connect_posted;      /* 1: a REQ_CONNECT is on its way */
	_Atomic uint32_t send_blocked;        /* 1: a sender found no room: EP_WRITABLE is owed even if the stack never saw it full */
	uint32_t unused_program[2];

	/* Written by the daemon, rarely. */
	_Alignas(64) struct line_ring receive;
	struct line_ring send;
	uint32_t unused_rings[2];
	_Alignas(64) struct ipaddr local;
	struct ipaddr peer;
	uint16_t local_port, peer_port;       /* host order */
	uint16_t mss;
	uint16_t unused_names[13];
};

_Static_assert(sizeof(struct sock_line) == 256, "four cache lines a socket");

#endif
