/* SPDX-License-Identifier: BSD-3-Clause */
/* One instance of the stack: one host (or one core of a host). It makes no system call but malloc in
 * stack_new (and for rings when the host lends none), reads no clock, starts no thread; the same
 * configuration, frames, calls and times give the same bytes. One thread uses an instance. */
#ifndef LIGHT_STACK_H
#define LIGHT_STACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "addr.h"
#include "base/nsec.h"
#include "endpoint.h"
#include "link.h"

struct stack;

/* When a listener answers a SYN with a cookie and keeps no state (RFC 4987 3.6); as net.ipv4.tcp_syncookies. */
enum tcp_cookies { TCP_COOKIES_OFF, TCP_COOKIES_WHEN_FULL, TCP_COOKIES_ALWAYS };

enum { TCP_FASTOPEN_CLIENT = 1 << 0, TCP_FASTOPEN_SERVER = 1 << 1 };

/* Explicit congestion notification: with whom it is agreed on, and of which kind: classic (RFC 3168), or accurate (RFC 9768) with all who
 * know it and classic with the others. Passive: only where the peer asks, as Linux by default. DCTCP asks whatever is set. */
enum tcp_ecn { TCP_ECN_OFF, TCP_ECN_PASSIVE, TCP_ECN_REQUEST, TCP_ECN_ACCURATE_PASSIVE, TCP_ECN_ACCURATE, TCP_ECN_END };

/* The settings of TCP; tcp_settings_linux() is the default profile, tcp_settings_standard() the RFCs'. */
struct tcp_settings {
	nsec rto_initial;        /* 1 s (RFC 6298 2.1) */
	nsec rto_min;            /* linux: 200 ms; standard: 1 s (2.4) */
	nsec rto_max;            /* 120 s; at least 60 s (2.5) */
	nsec clock_granularity;  /* G of RFC 6298 */
	nsec delayed_ack;        /* at most 500 ms (RFC 9293 MUST-40); linux 40 ms, standard 200 ms */
	nsec msl;                /* TIME-WAIT lasts 2 msl; linux: 30 s, standard: 120 s */
	nsec fin_wait_2;         /* after close; 60 s */
	nsec keep_idle, keep_interval;   /* 7200 s, 75 s */
	uint32_t keep_count;             /* 9 */
	uint32_t syn_retries, syn_ack_retries;  /* linux: 6, 5; standard: as long as 3 minutes need */
	uint32_t retries_1, retries_2;   /* R1 3, R2 15 (linux); also the orphan's 8 */
	uint32_t orphan_retries;
	nsec user_timeout;               /* standard: R2 as a time, at least 100 s; 0: by retries_2 */
	/* RFC 5482: what peers are told (ADV_UTO; 0: the option is neither sent nor taken), and the limits between which the larger of theirs
	 * and ours is adopted as user timeout. 100 s, 3600 s; lower <= upper, or -EINVAL. A program's own (EP_USER_TIMEOUT) is told instead and holds. */
	nsec adv_uto, uto_lower, uto_upper;
	uint32_t initial_window;         /* segments: 10 */
	uint32_t receive_buffer_initial, receive_buffer_max;  /* bytes */
	uint32_t send_buffer_initial, send_buffer_max;
	uint32_t mtu_probing;            /* RFC 4821: 0 never; 1 after a black hole was suspected; 2 always */
	uint32_t mtu_probe_base;         /* the MSS that it begins with: 1024 */
	nsec mtu_probe_again;            /* when a search that ended is begun anew: 10 minutes */
	/* Bytes of stream buffers that are lent, of all connections. Beyond `pressure`, until below `low`, windows and rings grow no more and
	 * what comes beyond a gap gets no memory, and what has it may give it back; beyond `high` a ring that has memory gets none, one without the least. high 0: no limit. */
	uint64_t memory_low, memory_pressure, memory_high;
	uint32_t max_orphans;            /* closed by their owner and not finished; one more is reset */
	uint32_t max_half_open;          /* SYN-RECEIVED, all listeners together */
	uint32_t max_time_wait;
	uint32_t syn_cookies;            /* enum tcp_cookies; when full: of max_half_open, or of the listener's backlog */
	uint32_t fastopen;               /* TCP_FASTOPEN_*: what a socket may ask for (RFC 7413); linux: both */
	bool window_scaling, timestamps, sack;
	enum tcp_ecn ecn;                /* TCP_ECN_PASSIVE */
	bool close_unread_resets;        /* RST when closed with unread data (RFC 2525 2.17) */
	/* A soft ICMP error ends an attempt to connect (RFC 5461 4.1, as Linux does); false: it is told when the attempt has failed by itself. */
	bool soft_errors_end_attempts;
	const char *cc;                  /* "newreno", ...; NULL: the default */
};
void tcp_settings_linux(struct tcp_settings *);
void tcp_settings_standard(struct tcp_settings *);

struct stack_config {
	const char *name;           /* for logs; copied, at most 31 bytes */
	uint8_t secret[16];         /* keys ISNs, ports and hashes (RFC 6528, 6056); chance is drawn from it too */
	uint32_t max_endpoints;     /* every pool is sized by these, lazily touched; a million is fine */
	uint32_t max_fragments;     /* bytes of fragments held for reassembly; 0: 4 MB */
	uint32_t max_neighbours;    /* 0: 1024 */
	nsec neighbour_timeout;     /* a MAC in use is asked for again this long after it was last confirmed (RFC 1122 2.3.2.1); 0: 35 s */
	uint32_t loopback_packets;  /* of 64 KB, lazily touched, on the host's way to itself; 0: 512 */
	uint32_t icmp_errors_per_second, icmp_errors_burst;  /* ICMP errors sent (RFC 1812 4.3.2.8); 0: 1000, 50 */
	nsec icmp_target_interval;  /* of those, one in this time to the same host, after a burst of 6; 0: 1 s */
	uint8_t ttl;                /* of what we send (RFC 1122 3.2.1.7); 0: 64 */
	struct tcp_settings tcp;
	struct ep_host host;
	/* A host on several cores is one stack a core, all with the same secret and addresses (steer.h). steer NULL: one core. It
	 * outlives the stacks. */
	unsigned core;
	struct steer *steer;
	/* A datagram that is whole only here (reassembled, or from this host to itself) and belongs to another core: a frame that
	 * its link of this interface (the same number on all cores) is to receive there, with its flags, as if it came from outside. Takes the
	 * packet, of up to 64 KB and any link of this stack's, or returns false: then it is dropped and counted. NULL on one core. */
	bool (*redirect)(void *context, int interface, struct pkt *, unsigned core);
	void *redirect_context;
	/* One line of text for the log (a duplicate address seen ...), without newline; may be NULL. */
	void (*log)(void *context, const char *line);
	void *log_context;
};
/* All defaults, the linux profile, and room for 65,536 endpoints. The caller sets `secret`. */
void stack_config_init(struct stack_config *);

/* NULL when memory is short. */
struct stack *stack_new(const struct stack_config *);
/* Resets nobody; releases all packets to their links, all extents to the host, and all memory. Links stay the caller's. */
void stack_free(struct stack *);

/* The settings of TCP in use, and others from now on: what is decided later goes by them, what was decided stays (buffer limits of open
 * sockets, windows offered, timers that run). The sizes of pools (max_half_open, max_time_wait) stay too. -EINVAL: no such cc, or limits
 * that contradict each other. */
const struct tcp_settings *stack_tcp_settings(const struct stack *);
int stack_set_tcp_settings(struct stack *, const struct tcp_settings *);

/* Interfaces are numbered from 1 (0 is "any"; the loopback interface is made by stack_new and has the number
 * returned by stack_loopback). Returns the number or -errno. */
int stack_add_link(struct stack *, struct link *, const char *name);
/* An interface for the frames of one VLAN (IEEE 802.1Q, vid 1..4094) of an interface that has a link of its own. It shares the link, its
 * MAC address and MTU. -EEXIST: it is there already. */
int stack_add_vlan(struct stack *, int interface, unsigned vid, const char *name);
/* With its addresses, routes and neighbours; connections over it find no route. Only VLANs: -EINVAL. -EBUSY: its DHCP client must be
 * stopped first. Its number may be given again. */
int stack_remove_vlan(struct stack *, int interface);
int stack_loopback(const struct stack *);
/* prefix: bits. Announces the address (gratuitous ARP, RFC 5227) and makes the connected route. */
int stack_add_address(struct stack *, int interface, const struct ipaddr *, unsigned prefix);
/* With its connected route, unless another address still needs it. As on Linux, sockets are not told: connections from it send nothing and
 * time out, or go on when it comes back; a datagram socket bound to it gets -EINVAL. Other routes stay, and hold again with the next address. */
int stack_remove_address(struct stack *, int interface, const struct ipaddr *);
/* gateway any: on link. A route to a prefix of 0 is the default route. */
int stack_add_route(struct stack *, const struct ipaddr *, unsigned prefix, const struct ipaddr *gateway, int interface);
/* Of several to the same prefix the one that was added first, which is the one in use. -ESRCH. */
int stack_remove_route(struct stack *, const struct ipaddr *, unsigned prefix);
/* The one through this gateway (any: on link; NULL: whichever) and interface (0: whichever). */
int stack_remove_route_by(struct stack *, const struct ipaddr *, unsigned prefix, const struct ipaddr *gateway, int interface);
int stack_add_neighbour(struct stack *, int interface, const struct ipaddr *, const uint8_t mac[6]);  /* permanent */
/* Forgets it, whatever its state; what waits for it is dropped. -ENODEV, -ENOENT. */
int stack_remove_neighbour(struct stack *, int interface, const struct ipaddr *);

/* Whether a destination is one of our own addresses / has a route at all. */
bool stack_is_own(const struct stack *, const struct ipaddr *);
bool stack_has_route(const struct stack *, const struct ipaddr *);

/* Sets the present time (never back) for ep_* calls outside a turn. */
void stack_at(struct stack *, nsec now);
nsec stack_now(const struct stack *);
/* One turn: a burst in from every link, due timers, what may be sent. Returns the amount of work (packets and
 * timers); 0: nothing was to do. */
unsigned stack_turn(struct stack *, nsec now);
/* The next turn is due no later than this even if no packet comes; NSEC_NEVER: never. Exact, not a tick. */
nsec stack_deadline(const struct stack *);
/* Endpoints whose readiness changed, each once, with all its changes since. */
unsigned stack_events(struct stack *, struct ep_event *, unsigned n);

/* Counters: drops by reason (drops.def), and totals. Names and sentences are static strings. */
struct stack_counter {
	const char *name, *sentence;
	uint64_t value;
};
/* The i-th counter; false past the end. */
bool stack_counter(const struct stack *, unsigned i, struct stack_counter *);

struct stack_neighbour {
	struct ipaddr addr;
	uint8_t mac[6];
	int interface;
	const char *state;  /* "incomplete", "reachable", "stale", "probe", "failed", "permanent" */
	nsec age;           /* since it was last confirmed */
};
bool stack_walk_neighbours(const struct stack *, uint32_t *cursor, struct stack_neighbour *);

struct stack_route {
	struct ipaddr to, gateway, source;
	unsigned prefix;
	int interface;
};
bool stack_walk_routes(const struct stack *, uint32_t *cursor, struct stack_route *);

struct stack_interface {
	char name[16];
	struct link *link;
	unsigned vid;        /* of a VLAN; 0: none */
	struct ipaddr addr;  /* the first; any: none */
	unsigned prefix;
	uint16_t mtu_limit;  /* stack_limit_mtu; 0: the link's own */
};
/* The highest number of an interface; below it a number may be free where a VLAN was removed. */
unsigned stack_interfaces(const struct stack *);
/* By number; false when there is none. */
bool stack_interface(const struct stack *, int interface, struct stack_interface *);
/* Bytes of an IP packet where less than the link's MTU was asked for, as a DHCP server may; 0: the link's. */
void stack_limit_mtu(struct stack *, int interface, uint16_t mtu);

/* The i-th address of an interface; false past the end. */
bool stack_interface_address(const struct stack *, int interface, unsigned i, struct ipaddr *, unsigned *prefix);

/* Bytes of memory in use by pools (touched), packets held (reassembly, ARP queues), for leak checks: packets must be 0
 * when all is quiet. */
struct stack_memory {
	size_t pools;
	uint32_t endpoints, connections, half_open, time_wait, orphans, packets_held, fragments_held, extents_lent;
	uint64_t stream_buffers;  /* bytes lent to streams */
	bool pressed;             /* tcp_settings.memory_pressure was passed */
};
void stack_memory(const struct stack *, struct stack_memory *);

/* All invariants of the instance (slow; simulation and fuzzing call it after each event). NULL: they hold;
 * else a sentence that says which one does not. */
const char *stack_check(const struct stack *);

#endif
