/* SPDX-License-Identifier: BSD-3-Clause */
/* What goes through a lane. A lane is one program thread x one stack core: a ring of requests to the daemon and a ring
 * of replies back, both single-producer single-consumer rte_rings of 32-byte elements. Requests with tag 0 get no reply. The daemon
 * copies a request, then checks it, then uses the copy; an impossible one ends the session of its sender. */
#ifndef LIGHT_IPC_MESSAGE_H
#define LIGHT_IPC_MESSAGE_H

#include <stdint.h>

#include "stack/addr.h"

enum request_op {
	REQ_PING = 1,       /* answered: a barrier */
	REQ_OPEN,           /* line from the stock; a = enum ep_type, b = its generation */
	REQ_BIND,           /* addr, port */
	REQ_LISTEN,         /* a = backlog */
	REQ_CONNECT,        /* addr, port; port 0 and flags & REQ_DISSOLVE: AF_UNSPEC */
	REQ_ACCEPTED,       /* line = child that this session claimed */
	REQ_SENT,           /* send_head moved */
	REQ_RECEIVED,       /* receive_tail moved */
	REQ_GROW_SEND,      /* a = bytes wanted */
	REQ_SHUTDOWN,       /* a = enum ep_how */
	REQ_CLOSE,          /* this session lets go of the line; the last one closes the endpoint */
	REQ_ABORT,
	REQ_SET,            /* a = enum ep_option, value */
	REQ_GET,            /* a = enum ep_option; reply: value */
	REQ_INFO,           /* reply: struct ep_info in the lane's scratch area */
	REQ_TAKE_QUEUED,    /* the oldest of the error queue; reply: struct ep_queued_error and its quote in the scratch area */
	REQ_URGENT_SEND,    /* the byte that is written next is urgent */
	REQ_URGENT_TAKE,    /* reply: value = byte */
	REQ_AT_MARK,        /* reply: value */
	REQ_HOLD,           /* this session too holds the line (received by exec or descriptor passing) */
	REQ_WATCH,          /* a = waitset, b = EP_* mask, flags REQ_EXCLUSIVE, value = cookie; again: changes it. An event for
			     * what is ready already follows at once. */
	REQ_UNWATCH,        /* a = waitset. In this and REQ_WATCH more counts what is asked of a waitset: the newest counts, not
			     * the one read last, for threads have lanes of their own. */
	REQ_WAITSET_FREE,   /* a = waitset */
	REQ_OPS,
};

enum { REQ_DISSOLVE = 1 << 0, REQ_EXCLUSIVE = 1 << 1 };

struct request {
	uint8_t op, flags;
	uint16_t tag;       /* 0: no reply wanted */
	uint32_t line;
	union {
		struct {
			struct ipaddr addr;
			uint16_t port;
			uint16_t unused[3];
		};
		struct {
			uint32_t a, b;
			int64_t value;
			uint64_t more;
		};
	};
};

struct reply {
	uint16_t tag;
	uint16_t unused;
	int32_t result;     /* 0 or -errno */
	uint64_t value;
	uint64_t more[2];
};

/* In the ring of a waitset. */
struct wait_event {
	uint32_t line;
	uint32_t mask;      /* EP_*: what came to hold */
	uint64_t cookie;    /* as REQ_WATCH said */
};

_Static_assert(sizeof(struct request) == 32 && sizeof(struct reply) == 32 && sizeof(struct wait_event) == 16, "ring elements");

#endif
