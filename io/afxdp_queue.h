/* SPDX-License-Identifier: BSD-3-Clause */
/* A UMEM, the AF_XDP sockets that share it (one for each of the device's queues that this link serves), and the link of them. Packets
 * are the frames of the UMEM: nothing is copied here, except frames that came in several pieces. The memory stays when the sockets go
 * (their interface was deleted) and serves the next ones. Opened and closed by whoever looks after the device (afxdp_watch.c), used
 * by the queue's thread. */
#ifndef LIGHT_IO_AFXDP_QUEUE_H
#define LIGHT_IO_AFXDP_QUEUE_H

#include <stdbool.h>
#include <xdp/xsk.h>

#include "afxdp.h"
#include "stack/link.h"

#define AFXDP_SOCKETS 64u

struct afxdp_socket {
	struct xsk_socket *xsk;
	unsigned number;             /* the device's queue */
	int fd;
	struct xsk_ring_prod fill;
	struct xsk_ring_cons rx, completion;
	uint32_t rx_held;            /* packets with the kernel to receive into */
	struct pkt *gathered;        /* a frame whose last piece has not come */
	bool gathering;              /* its pieces are being read; gathered NULL: and dropped */
};

struct afxdp_queue {
	struct link link;    /* first: a struct link * of ours is one of these */
	struct afxdp *device;
	unsigned number;

	struct afxdp_socket socket[AFXDP_SOCKETS];
	unsigned sockets;            /* 0: closed */
	unsigned first;              /* who is asked first the next time */
	struct xsk_umem *umem;
	struct xsk_ring_prod tx;     /* of the first: it sends for all */
	bool zero_copy, busy_poll;

	/* The UMEM: `small` chunks, each a packet; behind them `big` packets of `span` chunks each for frames in
	 * several pieces. Without such frames big is 0. */
	uint8_t *memory;
	size_t bytes;
	struct pkt *packets;
	uint8_t *owner;              /* of each packet: who has it */
	uint8_t *pieces;             /* descriptors of each packet that the kernel has */
	struct pkt *free_small, *free_big;
	uint32_t free_small_count;
	uint32_t chunk, small, big, span;
	uint32_t ring;               /* descriptors of each ring */
	uint32_t rx_target;          /* packets that wait for frames, of each socket */
	uint32_t tx_small_limit;     /* of the small ones with the kernel to send: the others are left for receiving */
	uint32_t tx_pieces, tx_packets, tx_small, held;  /* with the kernel to send; with the caller */
	uint32_t frame_limit;        /* longest frame that may be sent */

	bool owed;                   /* descriptors that the kernel has been told of in vain */
	bool starved;                /* a socket has no packet to receive into */
	bool copies;                 /* the program may have copies for us */

	/* afxdp.c: watching the interface. */
	int epoll, watch, timer;
	unsigned looks;
	uint64_t looked, retry, backoff;  /* milliseconds, coarse */

	uint64_t kicks, kicks_again, rx_gathered, rx_lost, rx_bad, tx_refused, copies_lost, opened;
	struct xdp_statistics statistics, before;  /* of these sockets; of those before them */
};

struct afxdp_queue_config {
	uint32_t packets;
	uint32_t mtu;        /* of the interface: the longest that may come */
	bool pieces;         /* frames longer than a page */
	enum afxdp_mode mode;
	bool busy_poll;
};

/* Room for Ethernet and two VLAN tags. */
#define AFXDP_FRAME_EXTRA 22u
/* Above, a frame takes several pieces: what drivers leave of a page. */
#define AFXDP_MTU_ONE_PIECE 3072u
#define AFXDP_MTU_MAX 9216u

/* Memory only. -ENOMEM. */
int afxdp_queue_prepare(struct afxdp_queue *, const struct afxdp_queue_config *);
/* Sockets on n queues of the interface, 1..AFXDP_SOCKETS; the first one sends. certain false: those behind the first need not
 * exist. 0, or -errno and a sentence in why. */
int afxdp_queue_open(struct afxdp_queue *, const char *interface, const unsigned *numbers, unsigned n, bool certain,
	const struct afxdp_queue_config *, char why[DEVICE_WHY]);
/* One more. */
int afxdp_queue_add(struct afxdp_queue *, const char *interface, unsigned number, const struct afxdp_queue_config *,
	char why[DEVICE_WHY]);
/* The sockets go; every packet that the kernel had is free again. Packets of the caller stay the caller's. */
void afxdp_queue_shut(struct afxdp_queue *);
void afxdp_queue_discard(struct afxdp_queue *);
/* What the kernel counted, and rx_dropped of the link with it. */
void afxdp_queue_statistics(struct afxdp_queue *);

/* Takes back what has been sent. */
void afxdp_queue_reap(struct afxdp_queue *);
/* Lays packets out for frames to come, of what is free. */
void afxdp_queue_feed(struct afxdp_queue *);
/* Tells the kernel once more of what it has not sent. */
void afxdp_queue_kick(struct afxdp_queue *);
/* A packet that nobody has any more. */
void afxdp_queue_free(struct afxdp_queue *, uint32_t index);
uint64_t afxdp_queue_address(const struct afxdp_queue *, uint32_t index);
/* Who has a packet. */
enum { AFXDP_FREE, AFXDP_FILLING, AFXDP_SENDING, AFXDP_HELD };

unsigned afxdp_queue_receive(struct link *, struct pkt **, unsigned n);
/* A received packet with those bytes; NULL: no packet is free. */
struct pkt *afxdp_queue_copy(struct link *, const uint8_t *bytes, uint32_t n);
unsigned afxdp_queue_borrow(struct link *, struct pkt **, unsigned n);
unsigned afxdp_queue_transmit(struct link *, struct pkt **, unsigned n);
void afxdp_queue_release(struct link *, struct pkt **, unsigned n);

#endif
