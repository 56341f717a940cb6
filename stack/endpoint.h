/* SPDX-License-Identifier: BSD-3-Clause */
/* What an application may do with a stack: the one interface that the daemon, the simulator, the conformance
 * server and the fuzzers use. Every call happens at the stack's present time (stack_at, stack_turn). Control
 * calls return 0 or a negative errno of Linux's meaning and never block; -EINPROGRESS and -EAGAIN are
 * answers, not failures. A stale or wrong handle is -EBADF. */
#ifndef LIGHT_ENDPOINT_H
#define LIGHT_ENDPOINT_H

#include <stdbool.h>
#include <stdint.h>

#include "addr.h"
#include "base/nsec.h"
#include "bytering.h"

struct stack;

/* Index in the low half, generation in the high half: a handle is never another socket's. 0 is none. */
typedef uint64_t ep_id;

enum ep_type { EP_STREAM = 1, EP_DATAGRAM = 2 };
enum ep_side { EP_RECEIVE = 0, EP_SEND = 1 };
enum ep_how { EP_SHUT_READ = 1, EP_SHUT_WRITE = 2, EP_SHUT_BOTH = 3 };

/* Readiness, level: what holds now (ep_ready) or came to hold (struct ep_event). */
enum {
	EP_READABLE = 1 << 0,    /* bytes, a datagram or the end of the stream to read; a child to accept */
	EP_WRITABLE = 1 << 1,    /* connected, and room to send */
	EP_READ_CLOSED = 1 << 2, /* the peer's FIN was received, or SHUT_READ */
	EP_HANGUP = 1 << 3,      /* both directions are over, or it never came to be connected */
	EP_ERROR = 1 << 4,       /* ep_take_error has something to say */
	EP_URGENT = 1 << 5,      /* urgent data */
	EP_QUEUED = 1 << 8,      /* ep_take_queued_error has something to tell; its event is EP_ERROR */
	EP_CONNECTED = 1 << 6,   /* event only: a handshake is complete */
	EP_RELEASED = 1 << 7,    /* event only: closed by its owner and now really gone (id is stale after this) */
};

struct ep_event {
	ep_id ep;
	uint64_t owner;  /* as ep_open or adopt said */
	uint32_t mask;   /* what changed since the last event of this endpoint */
};

/* The other side's words of the two rings (see bytering.h); all four set, or all NULL for private ones. */
struct ep_sharing {
	_Atomic uint32_t *receive_head, *receive_tail, *send_head, *send_tail;
};

/* What the stack asks of whoever hosts it; given once in stack_config, called from inside stack_turn and ep_*
 * calls; must not call back into the stack. A host that sets none of them gets malloc'ed rings, private
 * indices and owner 0 for children (the simulator). */
struct ep_host {
	void *context;
	/* Memory for a ring: a power of two >= want where possible, smaller if that is all; false: none now.
	 * extent->size says what the ring has: what is no larger must not be lent, for its program might move to it.
	 * `from`: the index at which this extent begins. */
	bool (*lend)(void *context, ep_id, uint64_t owner, enum ep_side, uint32_t want, uint32_t from,
		     struct ring_extent *extent);
	/* An extent comes back (ring settled, endpoint gone). */
	void (*give_back)(void *context, ep_id, uint64_t owner, enum ep_side, struct ring_extent extent);
	/* The extent that was lent last comes back unused (by give_back, after this): `kept` has all indices from `from` on again. May be
	 * NULL, for hosts whose programs do not share rings. */
	void (*withdraw)(void *context, ep_id, uint64_t owner, enum ep_side, struct ring_extent kept, uint32_t from);
	/* A handshake on `listener` is complete: the child's owner and sharing; false refuses the child
	 * (it is reset). Both rings still are without memory. The child counts in the listener's backlog
	 * until ep_accept or ep_accepted. */
	bool (*adopt)(void *context, ep_id listener, uint64_t listener_owner, ep_id child, uint64_t *owner,
		      struct ep_sharing *sharing);
};

struct ep_name {
	struct ipaddr addr;
	uint16_t port;  /* host order */
};

/* sharing may be NULL. */
int ep_open(struct stack *, enum ep_type, uint64_t owner, const struct ep_sharing *sharing, ep_id *out);
/* Port 0 chooses one (RFC 6056). */
int ep_bind(struct stack *, ep_id, const struct ep_name *);
int ep_listen(struct stack *, ep_id, uint32_t backlog);
/* Takes the oldest child off the backlog. peer may be NULL. -EAGAIN: none. */
int ep_accept(struct stack *, ep_id, ep_id *child, struct ep_name *peer);
/* The host handed this (adopted) child to a program by itself: it leaves the backlog. */
int ep_accepted(struct stack *, ep_id child);
/* Stream: -EINPROGRESS, then EP_CONNECTED or EP_ERROR; 0: with EP_FASTOPEN_CONNECT, the first bytes go with the SYN. Datagram: sets the peer. NULL dissolves (AF_UNSPEC). */
int ep_connect(struct stack *, ep_id, const struct ep_name *);
int ep_shutdown(struct stack *, ep_id, enum ep_how);
/* The owner is done: orderly (FIN after what is queued; RST if unread data, RFC 9293 MUST-... / RFC 2525 2.17),
 * or by SO_LINGER. The handle stays valid (for events of the rings) until EP_RELEASED. */
int ep_close(struct stack *, ep_id);
/* RST now; everything is given back at once. */
int ep_abort(struct stack *, ep_id);

/* The other side moved its index in shared memory: send_head (new bytes or records to send), receive_tail (bytes
 * were consumed). -EPROTO when an index is out of bounds: the caller ends that program. */
int ep_sent(struct stack *, ep_id);
int ep_received(struct stack *, ep_id);
/* The program fills its send ring: lend a larger one of at least want bytes (bounded by EP_SEND_BUFFER). Calls
 * host->lend; -EAGAIN while a switch is under way, -ENOBUFS when it is already as large as allowed. */
int ep_grow_send(struct stack *, ep_id, uint32_t want);

/* For owners in the same process, over the same rings: copies, returns bytes or a negative errno
 * (-EAGAIN, -EPIPE, -ENOTCONN, -ECONNRESET ...); 0 from ep_recv is the end of the stream. */
int64_t ep_send(struct stack *, ep_id, const void *, uint32_t n);
int64_t ep_recv(struct stack *, ep_id, void *, uint32_t n);
/* Datagrams; to/from may be NULL. A datagram longer than n is cut; the return value is its full length. */
int64_t ep_send_to(struct stack *, ep_id, const void *, uint32_t n, const struct ep_name *to);
int64_t ep_recv_from(struct stack *, ep_id, void *, uint32_t n, struct ep_name *from);
/* What the next ep_recv or ep_recv_from would return, left where it is; it tells errors, too, without taking them. Of a datagram
 * socket: the next record in the form of dgram.h, cut to n bytes; the return value is the whole record's length without padding. */
int64_t ep_peek(struct stack *, ep_id, void *, uint32_t n);

/* Values are integers in the unit named. -ENOPROTOOPT, -EINVAL as Linux. */
enum ep_option {
	EP_REUSE_ADDR = 1, EP_REUSE_PORT, EP_BROADCAST, EP_KEEPALIVE,
	EP_LINGER,              /* -1 off, else seconds */
	EP_SEND_BUFFER, EP_RECEIVE_BUFFER,  /* bytes, the most a ring may grow to; setting it ends autotuning */
	EP_RECEIVE_LOW, EP_OOB_INLINE,
	EP_TTL, EP_TOS, EP_PKTINFO, EP_RECV_ERR, EP_MTU_DISCOVER, EP_FREEBIND, EP_MULTICAST_TTL,
	EP_NODELAY, EP_CORK, EP_MAXSEG, EP_QUICKACK,
	EP_KEEP_IDLE, EP_KEEP_INTERVAL,     /* seconds */
	EP_KEEP_COUNT, EP_SYN_COUNT,
	EP_USER_TIMEOUT,        /* milliseconds; 0: the default */
	EP_LINGER2,             /* seconds in FIN-WAIT-2 after close */
	EP_DEFER_ACCEPT,        /* seconds */
	EP_NOTSENT_LOWAT, EP_WINDOW_CLAMP,  /* bytes */
	EP_MTU,                 /* get only: path MTU */
	EP_SHADOW,              /* 1, before bind: a listener's double on another core than its port's home (steer.h) may bind there */
	EP_CONGESTION,          /* enum ep_congestion */
	EP_FASTOPEN,            /* listener: connections at a time that may come with data in their SYN (RFC 7413); 0: none */
	EP_FASTOPEN_CONNECT,    /* ep_connect sends nothing if it has a cookie for the peer: the SYN goes with the first bytes */
	EP_MAX_PACING_RATE,     /* bytes a second; 0: none */
	/* IPv4 groups of a datagram socket. An interface is named by a number in host order: 0 the one that routes choose, up to 0xffffff its
	 * number in this stack, else one of its addresses. */
	EP_MULTICAST_LOOP,      /* what it sends to a group also goes to the members of this host */
	EP_MULTICAST_ALL,       /* it also gets what comes for groups that only others joined */
	EP_MULTICAST_IF,        /* it sends to groups by this one: an address, or number << 32 | an address; 0: as routes say */
	EP_JOIN,                /* interface << 32 | group; get: of the membership whose index *value was, -ENOENT past the last */
	EP_LEAVE,               /* the same; interface 0: the first with this group. Set only */
	EP_OPTIONS,             /* how many there are */
};

/* Congestion controls. */
enum ep_congestion { EP_CC_NEWRENO = 1, EP_CC_CUBIC, EP_CC_BBR, EP_CC_DCTCP, EP_CC_END };

/* NULL: there is none of this number. */
static inline const char *ep_congestion_name(int64_t which)
{
	return which == EP_CC_NEWRENO ? "newreno" : which == EP_CC_CUBIC ? "cubic" : which == EP_CC_BBR ? "bbr" : which == EP_CC_DCTCP ? "dctcp" : 0;
}

int ep_set(struct stack *, ep_id, enum ep_option, int64_t value);
int ep_get(struct stack *, ep_id, enum ep_option, int64_t *value);

int ep_local(struct stack *, ep_id, struct ep_name *);
int ep_peer(struct stack *, ep_id, struct ep_name *);      /* -ENOTCONN */
uint32_t ep_ready(struct stack *, ep_id);                  /* EP_* that hold now; EP_ERROR|EP_HANGUP if stale */
/* The index of the send ring up to which a stream has been sent. */
uint32_t ep_send_next(struct stack *, ep_id);
/* EP_RECEIVE_LOW, or 1 while no more can come (the window is shut, no memory): so many bytes make a stream readable. */
uint32_t ep_readable_from(struct stack *, ep_id);
int ep_take_error(struct stack *, ep_id);                  /* the pending error (positive errno), cleared; 0 none */

/* With EP_RECV_ERR (ip(7), IP_RECVERR) each error about what was sent is also queued, up to a bound (drops: ERROR_QUEUE). */
#define EP_QUOTE_MOST 576u
enum ep_error_origin { EP_ORIGIN_LOCAL = 1, EP_ORIGIN_ICMP = 2 };  /* as Linux's SO_EE_ORIGIN_* */
struct ep_queued_error {
	int error;               /* positive errno */
	uint32_t info;           /* the path's MTU, or where the parameter lies that is wrong */
	uint8_t origin, type, code;
	uint8_t ttl, tos;        /* of the ICMP message */
	bool clears;             /* out: the pending error (ep_take_error) is another one now, or none */
	uint32_t interface;
	struct ipaddr offender;  /* who sent the ICMP message; any: local */
	struct ipaddr local;     /* to whom */
	struct ep_name destination;  /* of the packet it is about */
	uint32_t quoted;         /* bytes of that packet's payload (TCP: from its header on) */
};
/* The oldest. 0, -EAGAIN. quote: EP_QUOTE_MOST bytes. */
int ep_take_queued_error(struct stack *, ep_id, struct ep_queued_error *, uint8_t *quote);
int ep_set_owner(struct stack *, ep_id, uint64_t owner, const struct ep_sharing *);
/* MSG_OOB. With shared indices the byte itself is ignored: the next one that the other side writes is the urgent one. */
int ep_urgent_send(struct stack *, ep_id, uint8_t byte);
int ep_urgent_take(struct stack *, ep_id, uint8_t *byte);  /* -EAGAIN not yet, -EINVAL none */
/* Where in the receive ring the urgent byte lies, if a reader has not passed it yet. */
bool ep_urgent_index(struct stack *, ep_id, uint32_t *index);
int ep_at_mark(struct stack *, ep_id);                     /* SIOCATMARK: 1, 0 */

/* As Linux's tcp states (include/net/tcp_states.h): what ss and TCP_INFO show. */
enum tcp_state {
	TCP_ESTABLISHED = 1, TCP_SYN_SENT, TCP_SYN_RECEIVED, TCP_FIN_WAIT_1, TCP_FIN_WAIT_2, TCP_TIME_WAIT,
	TCP_CLOSED, TCP_CLOSE_WAIT, TCP_LAST_ACK, TCP_LISTEN, TCP_CLOSING,
};

/* What a sender is about; Linux's tcpi_ca_state. */
enum ep_recovery { EP_OPEN, EP_DISORDER, EP_REDUCED, EP_RECOVERY, EP_LOSS };
enum ep_ecn { EP_ECN_NONE, EP_ECN_CLASSIC, EP_ECN_ACCURATE };  /* RFC 3168, RFC 9768 */

struct ep_info {
	ep_id ep;
	uint64_t owner;
	enum ep_type type;
	enum tcp_state state;    /* datagram: TCP_CLOSED, or TCP_ESTABLISHED when connected */
	struct ep_name local, peer;
	uint32_t receive_queued, send_queued, send_unsent;  /* bytes; listener: children waiting, backlog, 0 */
	uint32_t receive_buffer, send_buffer;               /* capacity now */
	/* streams */
	uint32_t mss, receive_mss, cwnd, ssthresh, send_window, receive_window;  /* bytes */
	uint8_t send_scale, receive_scale, backoff, probes, retransmits;
	bool timestamps, sack, window_scaling;
	bool syn_data;           /* data in the SYN was acknowledged (RFC 7413), by either side */
	nsec srtt, rttvar, rto, rtt_min;
	nsec last_data_sent, last_data_received, last_ack_received;  /* ago */
	uint64_t bytes_acked, bytes_received, bytes_sent, bytes_retransmitted;
	uint32_t segments_sent, segments_received, data_segments_sent, data_segments_received;
	/* Segments: outstanding in all, and of those SACKed, taken for lost and not sent again yet, sent again and in flight. */
	uint32_t in_flight_segments, sacked, lost, sent_again;
	enum ep_recovery recovery;
	uint32_t retransmitted_total, path_mtu;  /* segments */
	/* Segments: sent ones that arrived, once each, and the SYN; that the peer reported to have twice. How often sent ones arrived late and
	 * by how many segments at most (3 at least); how many received ones came beyond a gap. */
	uint32_t delivered, duplicates, reorderings, reordering, received_reordered;
	nsec busy, window_limited, buffer_limited;  /* with something to send in all; of that: for want of window, of buffer */
	nsec ack_timeout, receive_rtt;        /* 0: nothing received yet, or measured */
	uint32_t receive_limit;               /* what may lie unread */
	uint64_t max_pacing_rate;             /* 0: none */
	uint64_t pacing_rate, delivery_rate;  /* bytes a second; 0: not known */
	bool delivery_app_limited;
	const char *cc;          /* congestion control's name */
	/* Explicit congestion notification */
	enum ep_ecn ecn;
	bool ecn_seen, ecn_mute;             /* the peer sets it; negotiated, but we do not set it */
	uint32_t delivered_ce, received_ce;  /* packets that came marked, ours and the peer's */
	uint32_t delivered_e0_bytes, delivered_ce_bytes, delivered_e1_bytes;  /* accurate: as the peer reports */
	uint32_t received_e0_bytes, received_ce_bytes, received_e1_bytes;     /* ... and as we do */
};
int ep_info(struct stack *, ep_id, struct ep_info *);
/* Walks all endpoints (TIME-WAIT and half-open ones too, with ep 0): *cursor starts at 0; false at the end. */
bool ep_walk(struct stack *, uint32_t *cursor, struct ep_info *);

#endif
