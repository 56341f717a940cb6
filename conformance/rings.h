/* SPDX-License-Identifier: BSD-3-Clause */
/* Sockets whose rings are used as a program in another process uses them: shared index words, memory lent by the host,
 * records of stack/dgram.h read and written by hand. What ep_send_to and ep_recv_from cannot say (the local address of a
 * datagram, wrong indices) is tested through these. */
#ifndef LIGHT_CONFORMANCE_RINGS_H
#define LIGHT_CONFORMANCE_RINGS_H

#include <stdbool.h>
#include <stdint.h>

#include "stack/dgram.h"
#include "stack/endpoint.h"

#define RINGS_MAX 16
#define RINGS_OWNER 2    /* of sockets opened here; others get plain memory */

struct ring_side {
	struct ring_extent extents[2];
	uint32_t from[2];            /* the index at which it begins */
	unsigned count;              /* the older first */
};

struct ring_socket {
	ep_id id;                    /* 0: free */
	_Atomic uint32_t receive_head, receive_tail, send_head, send_tail;
	struct ring_side sides[2];   /* by enum ep_side */
};

struct rings {
	struct ring_socket sockets[RINGS_MAX];
	struct ring_socket *opening; /* lends may come before the handle is known */
};

/* Fills config.host. */
void rings_host(struct rings *, struct ep_host *);
int rings_open(struct rings *, struct stack *, enum ep_type, ep_id *);
struct ring_socket *rings_find_or_null(struct rings *, ep_id);
/* Takes the oldest datagram: the header, and up to max bytes. -EAGAIN; -EPROTO if the ring holds no record. */
int64_t rings_receive(struct stack *, struct ring_socket *, struct dgram_header *, uint8_t *bytes, uint32_t max);
int64_t rings_send(struct stack *, struct ring_socket *, const struct dgram_header *, const uint8_t *bytes);

#endif
