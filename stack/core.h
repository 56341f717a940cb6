/* SPDX-License-Identifier: BSD-3-Clause */
/* Inside the stack only: the instance, its interfaces and endpoints, and what the layers ask of each other. */
#ifndef LIGHT_CORE_H
#define LIGHT_CORE_H

#include "addr.h"
#include "base/list.h"
#include "base/rng.h"
#include "base/wheel.h"
#include "bytering.h"
#include "drops.h"
#include "endpoint.h"
#include "link.h"
#include "pkt.h"
#include "stack.h"

struct endpoint;

/* ---- demux: five-tuple -> who gets it ---- */

enum flow_kind { FLOW_CONNECTION, FLOW_HALF_OPEN, FLOW_TIME_WAIT };

struct flow_key {
	struct ipaddr local, remote;
	uint16_t local_port, remote_port;  /* host order */
};

/* Embedded in whatever can be found by a full TCP four-tuple. */
struct flow {
	struct flow_key key;
	uint32_t hash;
	uint8_t kind;                      /* enum flow_kind */
	bool pinned;                       /* holds its local port at its home core (steer.h) while it is in the table */
	struct flow *chain;
};

/* ---- where packets go: ip.c / route.c answer, connections keep the answer ---- */

struct path {
	struct ipaddr source, destination;
	struct ipaddr next_hop;    /* the destination itself, or a gateway */
	uint32_t interface;
	uint32_t generation;       /* stale when it differs from stack->route_generation */
	uint16_t mtu;              /* path MTU: the interface's, or less where ICMP said so */
};

/* Finds the path to `destination` (source: any = choose). 0, -ENETUNREACH, -EADDRNOTAVAIL (source is not ours). */
int route_find(struct stack *, const struct ipaddr *source, const struct ipaddr *destination, struct path *);

/* Broadcast or multicast: no stream goes there (RFC 9293 MUST-46). */
bool route_to_many(const struct stack *, const struct ipaddr *);

/* What a layer above IP says of a packet it sends. */
struct ip_send {
	const struct path *path;
	uint8_t protocol, ttl, tos;
	bool dont_fragment;
};
/* Takes a packet whose data is the layer-4 header and payload, checksum filled in (or PKT_CSUM_PARTIAL with
 * csum_start relative to data as given). The packet is gone whatever happens; loss is counted. 0, or -errno: -EMSGSIZE for
 * too long with dont_fragment, -ENOBUFS ... */
int ip_send(struct stack *, struct pkt *, const struct ip_send *);
/* A packet for a path's interface with headroom for all headers; NULL: none now (a drop counter counted). */
struct pkt *pkt_borrow(struct stack *, const struct path *);
void pkt_drop(struct stack *, struct pkt *, enum drop reason);
/* Releases without counting a drop: the packet did its work. */
void pkt_done(struct stack *, struct pkt *);

/* What IP tells of a received packet; valid while the packet is. */
struct ip_received {
	struct ipaddr source, destination;
	uint32_t interface;
	uint8_t protocol, ttl, tos;
	bool to_broadcast;          /* link or IP broadcast or multicast: TCP never answers (RFC 9293 MUST-57) */
	const uint8_t *header;      /* the IP header as received, for ICMP errors about it */
	uint32_t header_len;
};

/* Layer 4 takes a packet whose data is its own header; each returns having released or dropped it. */
void tcp_receive(struct stack *, struct pkt *, const struct ip_received *);
void udp_receive(struct stack *, struct pkt *, const struct ip_received *);
void icmp_receive(struct stack *, struct pkt *, const struct ip_received *);

/* An ICMP error about a packet we sent: `quoted` is its layer-4 header, at least 8 bytes. error is an errno (positive),
 * hard says whether RFC 1122 4.2.3.9 lets it abort; mtu for "fragmentation needed", else 0. */
struct icmp_error {
	struct flow_key key;   /* local = source of the quoted packet */
	const uint8_t *quoted;
	uint32_t quoted_len;
	int error;
	bool hard;
	uint32_t mtu;
	uint32_t pointer;      /* parameter problem: the byte that is wrong */
	uint8_t type, code;
	struct ipaddr offender;
	uint32_t interface;    /* where the message came from; with which ttl and tos */
	uint8_t ttl, tos;
};
void tcp_icmp_error(struct stack *, const struct icmp_error *);
void udp_icmp_error(struct stack *, const struct icmp_error *);
/* errors.c: queued for the program if it wants that. header_len: of the quoted transport header, which is left out. */
void errors_icmp(struct stack *, struct endpoint *, const struct icmp_error *, uint32_t header_len);
void errors_too_long(struct stack *, struct endpoint *, const struct ipaddr *to, uint32_t mtu);
void errors_purge(struct stack *, struct endpoint *);
/* Emits one (rate limited, never about errors, broadcasts or later fragments: RFC 1122 3.2.2). */
void icmp_send_error(struct stack *, const struct pkt *about, const struct ip_received *, uint8_t type, uint8_t code, uint32_t extra);

/* The path MTU to a destination has been lowered: connections look at it at their next send. */
uint16_t pmtu_get(struct stack *, const struct ipaddr *destination, uint16_t otherwise);
void pmtu_lower(struct stack *, const struct ipaddr *destination, uint16_t mtu);

/* Upper layers confirm that a neighbour answers (forward progress). */
void neighbour_confirm(struct stack *, const struct path *);
/* ... or that nothing seems to get through: it is asked at once whether it still is there (RFC 9293 3.8.3, R1). */
void neighbour_suspect(struct stack *, const struct path *);

/* ---- endpoints ---- */

/* What a kind of endpoint does: tcp/ and udp.c each fill one. All at stack->now. */
struct ep_ops {
	int (*open)(struct stack *, struct endpoint *);
	int (*bound)(struct stack *, struct endpoint *);    /* after bind chose address and port */
	int (*listen)(struct stack *, struct endpoint *, uint32_t backlog);
	int (*accept)(struct stack *, struct endpoint *, struct endpoint **child);
	int (*accepted)(struct stack *, struct endpoint *child);
	int (*connect)(struct stack *, struct endpoint *, const struct ep_name *);  /* NULL: dissolve */
	int (*shutdown)(struct stack *, struct endpoint *, enum ep_how);
	void (*close)(struct stack *, struct endpoint *);
	void (*abort)(struct stack *, struct endpoint *);
	int (*sent)(struct stack *, struct endpoint *);     /* head was synced */
	int (*received)(struct stack *, struct endpoint *); /* tail was synced */
	int (*option_set)(struct stack *, struct endpoint *, enum ep_option, int64_t);   /* -ENOPROTOOPT: not its own */
	int (*option_get)(struct stack *, struct endpoint *, enum ep_option, int64_t *);
	uint32_t (*ready)(const struct stack *, const struct endpoint *);
	void (*info)(const struct stack *, const struct endpoint *, struct ep_info *);
	const char *(*check)(const struct stack *, const struct endpoint *);
};
extern const struct ep_ops tcp_ep_ops, udp_ep_ops;

/* One socket. TCP's own state is behind `tcp` (a connection or a listener, from pools of their own). */
struct endpoint {
	ep_id id;
	const struct ep_ops *ops;
	uint64_t owner;
	struct list event_node;       /* on stack->events while event_mask != 0 */
	struct list waiting_node;     /* on stack->udp_waiting while waiting (udp.c) */
	uint32_t event_mask;
	int error;                    /* pending, positive errno */
	struct ep_name local, peer;   /* port 0: not bound / not connected */
	struct endpoint *port_next;   /* ports.c: chain of all bound to one port */
	struct bytering receive, send;
	struct queued_error *errors;  /* the newest of a ring (errors.c); NULL: none */
	union {
		void *tcp;            /* stream: struct tcp_conn * or struct tcp_listener * */
		struct {              /* datagram */
			uint32_t groups;            /* group.c: what it joined, the newest first; 0: nothing */
			uint32_t multicast_source;  /* network order; 0: the interface's */
		};
	};
	uint32_t receive_max, send_max;  /* the most the rings may grow to */
	uint32_t receive_low;         /* SO_RCVLOWAT */
	uint8_t ttl, tos;             /* ttl 0: the default, 64 */
	uint8_t shut;                 /* enum ep_how bits done by the owner */
	uint8_t mtu_discover;         /* IP_PMTUDISC_* of Linux */
	uint8_t multicast_ttl;
	uint8_t errors_count;
	int16_t linger;               /* -1 off */
	uint8_t type : 2;             /* enum ep_type */
	uint8_t multicast_interface : 5;  /* by its number; 0: as routes say */
	bool multicast_loop : 1, multicast_all : 1;
	bool bound : 1, closed : 1;   /* bound: ports.c has it; closed: the owner let go; no more events but EP_RELEASED */
	bool listening : 1;           /* ep_listen succeeded */
	bool released : 1;            /* over: only EP_RELEASED is still to be taken */
	bool shadow : 1;              /* a listener's double on another core than its port's home: bind lets it */
	bool waiting : 1;             /* udp.c has datagrams that the link could not take yet */
	bool local_chosen : 1;        /* udp.c chose the local address at connect: dissolving forgets it */
	bool receive_fixed : 1;       /* SO_RCVBUF was set: no autotuning */
	bool reuse_addr : 1, reuse_port : 1, broadcast : 1, freebind : 1, pktinfo : 1, recv_err : 1, keepalive : 1, oob_inline : 1;
};

struct endpoint *ep_find(struct stack *, ep_id);                  /* NULL: stale */
struct endpoint *ep_new(struct stack *, enum ep_type, uint64_t owner); /* NULL: pool is dry */
void ep_event_raise(struct stack *, struct endpoint *, uint32_t mask);
/* Sets the pending error and raises EP_ERROR (with mask). */
void ep_fail(struct stack *, struct endpoint *, int error, uint32_t mask);
/* The endpoint is over: rings given back, port freed, EP_RELEASED raised if owner closed it, handle stale after the event
 * was taken. */
void ep_release(struct stack *, struct endpoint *);
/* Memory for a ring, from the host; true when room grew. */
bool ep_lend(struct stack *, struct endpoint *, enum ep_side, uint32_t want);
/* While nothing that was published lies in the newest extent of a ring: gives that back. False: it does, or there is but one. */
bool ep_withdraw(struct stack *, struct endpoint *, enum ep_side);
/* Call after the tail of a ring moved: gives a drained extent back. */
void ep_settle(struct stack *, struct endpoint *, enum ep_side);

/* ports.c: who is bound where. Rules of bind(2) with SO_REUSEADDR/SO_REUSEPORT as Linux has them. */
int port_bind(struct stack *, struct endpoint *, const struct ep_name *wanted);
void port_unbind(struct stack *, struct endpoint *);
/* RFC 6056: a source port for this four-tuple that is free; 0: none is. Streams put it into local.port and the flow
 * table, not through port_bind (bound stays false); datagrams bind it. peer NULL: any peer. */
uint16_t port_choose(struct stack *, enum ep_type, const struct ipaddr *local, const struct ep_name *peer);
/* On several cores, a connection from a port that the program chose: says in flow->pinned (key is set) whether its port must be pinned so that
 * the answers come to this core. 0, or -EADDRNOTAVAIL: that would take from other cores what a listener there accepted. */
int port_pin(const struct stack *, const struct endpoint *, struct flow *);
/* The best bound endpoint for a packet: exact address before wildcard, connected before not (UDP); for SO_REUSEPORT
 * groups the four-tuple's hash picks. Listeners only for EP_STREAM. */
struct endpoint *port_lookup(struct stack *, enum ep_type, const struct flow_key *);

/* demux.c */
struct flow *flow_find(const struct stack *, const struct flow_key *);
/* The same for a packet that came: those of one flow come in runs, so the one found last is looked at first. */
struct flow *flow_find_received(struct stack *, const struct ip_received *, uint16_t local_port, uint16_t remote_port);
void flow_insert(struct stack *, struct flow *);   /* key must not be there yet */
void flow_remove(struct stack *, struct flow *);
/* `by` (kind is set) takes the place of one in the table, its key and its pin: nobody sees the port unpinned in between. */
void flow_replace(struct stack *, struct flow *, struct flow *by);
uint32_t flow_hash(const struct stack *, const struct flow_key *);  /* keyed */

/* ---- tcp/ as stack.c sees it ---- */
int tcp_init(struct stack *);
void tcp_free(struct stack *);
/* Sends for the connections on the ready list, at most a burst; returns work done. */
unsigned tcp_output_ready(struct stack *);
/* When it must be called again: now, soon if the links had no packet, NSEC_NEVER if nobody is ready. */
nsec tcp_output_due(const struct stack *);
void tcp_memory(const struct stack *, struct stack_memory *);
bool tcp_walk_extra(struct stack *, uint32_t *cursor, struct ep_info *);  /* TIME-WAIT and half-open */
const char *tcp_check(const struct stack *);
/* This flow's four-tuple may be taken by a new connection at once (a TIME-WAIT that is old enough). */
bool tcp_may_reuse(const struct stack *, struct flow *);
size_t tcp_pool_bytes(const struct stack *);

/* Urgent data (RFC 6093). mark: the last byte before the send ring's synced head is urgent (ep_urgent_send put it
 * there), or the one `ahead` of it, which the program is about to write. take: as ep_urgent_take. index: true while an urgent
 * byte lies in or ahead of the receive ring; *index is its ring index: a read stops before it, and skips it unless
 * EP_OOB_INLINE is set. */
int tcp_urgent_mark(struct stack *, struct endpoint *, uint32_t ahead);
int tcp_urgent_take(struct stack *, struct endpoint *, uint8_t *byte);
bool tcp_urgent_index(const struct endpoint *, uint32_t *index);
/* ep_send_next, ep_readable_from. */
uint32_t tcp_send_next(const struct endpoint *);
uint32_t tcp_readable_from(const struct endpoint *);

/* The rest of this header (struct stack, struct interface) belongs to stack.c's author. */
#include "core_state.h"

#endif
