/* SPDX-License-Identifier: BSD-3-Clause */
/* Inside the stack only, included by core.h: the instance itself. Who owns what: interfaces and out-queues eth.c and
 * stack.c; addresses and routes route.c; neighbours neighbor.c; endpoints and events endpoint.c; ports ports.c; flows
 * demux.c; struct tcp_stack tcp/. */
#ifndef LIGHT_CORE_STATE_H
#define LIGHT_CORE_STATE_H

#include "base/check.h"
#include "base/checksum.h"
#include "base/list.h"
#include "base/map.h"
#include "base/pool.h"
#include "base/rng.h"
#include "base/siphash.h"
#include "base/wheel.h"
#include "drops.h"

#define STACK_BURST 32            /* packets taken from a link, or handed to it, at once */
#define STACK_INTERFACES 16       /* the loopback interface included */
#define INTERFACE_ADDRESSES 8

struct tcp_stack;                 /* tcp/ */
struct loopback;                  /* loopback.c */
struct route_table;               /* route.c */
struct pmtu_table;                /* pmtu.c */
struct neighbour_table;           /* neighbor.c */
struct reassembly;                /* fragment.c */
struct dhcp;                      /* dhcp.c */
struct group;                     /* group.h */
struct group_table;               /* group.c */

struct interface_address {
	struct ipaddr addr;
	uint8_t prefix;
	uint8_t announcements;    /* gratuitous ARPs still to send (RFC 5227 2.3) */
	nsec defended;            /* when a conflict was last answered (RFC 5227 2.4); 0: never */
	uint32_t ip4, mask;       /* network order */
};

/* What a host keeps of an interface's multicast routers (RFC 3376 8). */
struct igmp {
	struct group *groups;     /* chain through next */
	struct timer answer;      /* a general query is answered then (version 3) */
	struct timer change;      /* changes are reported again then (version 3) */
	nsec v1_until, v2_until;  /* an older querier is on the link until then (RFC 3376 7.2.1) */
	nsec query_interval;
	uint8_t robustness, version;
};

struct interface {
	struct stack *stack;
	uint32_t number;          /* from 1 */
	char name[16];
	struct link *link;
	/* Whose link and out-queue these are: its own, or of the interface that a VLAN (vid != 0) lies on. */
	struct interface *device;
	struct interface *vlans;  /* of a device: chain through next_vlan */
	struct interface *next_vlan;
	uint16_t vid;
	uint16_t mtu_limit;       /* bytes of an IP packet, where less than the link's was asked for; 0: the link's */
	bool loopback;
	bool carrier;             /* of a device: link->up when it was last looked at */
	struct interface_address addresses[INTERFACE_ADDRESSES];
	unsigned address_count;
	struct timer announce;    /* the next gratuitous ARP of any address */
	struct dhcp *dhcp;        /* its DHCP client; NULL: none */
	struct igmp igmp;         /* igmp.c */
	struct neighbour *recent; /* neighbor.c: the last one sent to, while it can be sent to */
	/* ip4.c: the last source and destination that were accepted, and under which addresses. */
	uint32_t accepted_source, accepted_destination, accepted_generation;
	/* Of a device: what is to be handed to the link at the end of the turn, or when full. */
	struct pkt *out[STACK_BURST];
	unsigned out_count;
	nsec out_retry;           /* the link was full: not before this; 0: at once */
};

/* All users of one port number of one type. */
struct port {
	struct endpoint *bound;   /* chain through port_next */
	uint32_t flows;           /* TCP: four-tuples in the flow table with this local port */
	uint32_t pins;            /* ... of these, how many pin it */
};

struct stack {
	char name[32];
	nsec now;
	struct stack_config config;    /* defaults filled in */
	struct wheel wheel;
	struct rng rng;
	uint64_t drops[DROP_REASONS];
	uint64_t counts[COUNT_TOTALS];

	struct interface *interfaces[STACK_INTERFACES + 1];  /* by number; NULL: none */
	uint32_t interface_count;                            /* highest number; VLANs that were removed leave holes */
	uint32_t loopback_number;
	struct loopback *loopback;
	uint32_t own_ip4[STACK_INTERFACES * INTERFACE_ADDRESSES];  /* all our addresses, network order */
	unsigned own_count;

	uint32_t route_generation;     /* paths found under another one are stale */
	struct route_table *routes;
	struct pmtu_table *pmtu;
	struct neighbour_table *neighbours;
	nsec reachable_time;           /* an entry is trusted for that long; the rest of the timeout is for the layers above to confirm it */
	struct reassembly *reassembly;
	struct group_table *groups;
	uint16_t ip_ids[1024];         /* counters by hash of source, destination, protocol (RFC 6864 4.3) */
	uint16_t ip_id_step;           /* what they count by, so that no two cores of a host give the same; a power of two */
	int64_t icmp_tokens;           /* errors that may be sent, in nanoseconds' worth (icmp.c) */
	nsec icmp_refilled;
	nsec icmp_targets[256];        /* until when errors to hosts of this hash are spoken for (icmp.c) */

	struct pool endpoints;         /* of struct endpoint */
	struct pool queued_errors;     /* errors.c */
	struct list events;            /* endpoints with an event not yet taken */
	struct list udp_waiting;       /* sockets whose datagrams the link could not take yet */
	uint32_t extents_lent;
	uint64_t stream_bytes_lent;    /* of them, in bytes, those of streams */
	bool memory_pressed;           /* tcp_settings.memory_pressure was passed, and memory_low not reached since */
	uint32_t packets_held;         /* waiting for a neighbour */

	struct siphash_key flow_key;   /* keys the flow table (1-3) */
	struct siphash_key port_key;   /* keys the choice of ports (RFC 6056) and IP IDs */
	struct flow **flows;
	uint32_t flow_mask, flow_count;
	struct flow *recent_flow;      /* the one found last for a packet, while it is in the table; or NULL */
	struct port *ports[2];         /* [0] streams, [1] datagrams; 65,536 each, touched when used */
	uint16_t port_counters[256];   /* RFC 6056 3.3.4 */

	struct tcp_stack *tcp;         /* tcp_init and tcp_free own it */
};

static inline void drop_count(struct stack *s, enum drop reason)
{
	s->drops[reason]++;
}

static inline void count_more(struct stack *s, enum count which, uint32_t n)
{
	s->counts[which] += n;
}

static inline void count(struct stack *s, enum count which)
{
	s->counts[which]++;
}

/* NULL: there is none of this number. */
static inline struct interface *stack_interface_or_null(const struct stack *s, uint32_t number)
{
	return number <= STACK_INTERFACES ? s->interfaces[number] : NULL;
}

static inline uint16_t interface_mtu(const struct interface *i)
{
	return i->mtu_limit && i->mtu_limit < i->link->mtu ? i->mtu_limit : i->link->mtu;
}

/* The link a path leaves by; NULL: it has gone. Its flags say whether super-frames and partial checksums may be made. */
static inline struct link *stack_link_or_null(const struct stack *s, uint32_t interface)
{
	const struct interface *i = stack_interface_or_null(s, interface);

	return i ? i->link : NULL;
}

#endif
