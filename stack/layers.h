/* SPDX-License-Identifier: BSD-3-Clause */
/* What the files of stack/ below TCP ask of each other; nobody outside this folder includes it. Addresses of type
 * uint32_t are IPv4 in network order. A function that takes a packet has released or sent it when it returns. */
#ifndef LIGHT_LAYERS_H
#define LIGHT_LAYERS_H

#include "core.h"

/* stack.c: out-queues. */
/* Takes the packet: sent with the burst, or dropped when the link has no carrier or takes no more. */
void interface_transmit(struct stack *, struct interface *, struct pkt *);
void stack_log(struct stack *, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* eth.c */
void eth_receive(struct stack *, struct interface *, struct pkt *);
void eth_send(struct stack *, struct interface *, struct pkt *, const uint8_t destination[6], uint16_t type);
/* The header, with the interface's VLAN tag, and padding. */
void eth_push(const struct interface *, struct pkt *, const uint8_t destination[6], const uint8_t source[6], uint16_t type);
void eth_multicast_mac(uint32_t group, uint8_t mac[6]);

/* arp.c */
void arp_receive(struct stack *, struct interface *, struct pkt *);
/* mac NULL: broadcast. */
void arp_request(struct stack *, struct interface *, uint32_t target, const uint8_t *mac);
void arp_announce(struct stack *, struct interface *, struct interface_address *);
/* RFC 5227 2.1.1: whether anybody has an address that we do not use yet. */
void arp_probe(struct stack *, struct interface *, uint32_t target);

/* neighbor.c */
bool neighbours_init(struct stack *);
void neighbours_free(struct stack *);
/* To the neighbour last sent to, if it is this one and nothing is in doubt; false: neighbour_send must look. */
bool neighbour_send_recent(struct stack *, struct interface *, uint32_t next_hop, struct pkt *);
int neighbour_send(struct stack *, struct interface *, uint32_t next_hop, struct pkt *);
/* All of an interface that goes. */
void neighbours_forget(struct stack *, const struct interface *);
/* The carrier has come back: who answers there has to be asked again. */
void neighbours_doubt(struct stack *, const struct interface *);
/* What an ARP packet tells. solicited: a reply to us; create: also when unknown. */
void neighbour_learn(struct stack *, struct interface *, uint32_t ip, const uint8_t mac[6], bool solicited, bool create);
const char *neighbours_check(const struct stack *);

/* route.c */
bool routes_init(struct stack *);
void routes_free(struct stack *);
bool route_is_own(const struct stack *, uint32_t);
/* Limited, or directed to a subnet of this interface. */
bool route_is_broadcast(const struct interface *, uint32_t);
/* Of any interface; for senders. */
bool route_is_any_broadcast(const struct stack *, uint32_t);
/* Our address for talking to a neighbour on an interface; 0: none. */
uint32_t route_source(const struct interface *, uint32_t neighbour);
void route_changed(struct stack *);
/* Takes its addresses and every route that leaves by it. */
void route_interface_gone(struct stack *, struct interface *);

/* pmtu.c */
bool pmtu_init(struct stack *);
void pmtu_free(struct stack *);

/* ip4.c */
/* link_broadcast: the frame was not addressed to us alone. */
void ip4_receive(struct stack *, struct interface *, struct pkt *, bool link_broadcast);
/* A datagram to a group, about to be sent (data at layer 4, its checksum filled in): a copy to the members of this host. */
void ip4_loop(struct stack *, const struct pkt *, const struct ip_send *);
/* Hands a complete datagram (data at layer 4) to its protocol. */
void ip4_deliver(struct stack *, struct pkt *, const struct ip_received *);

/* group.c */
bool groups_init(struct stack *);
void groups_free(struct stack *);
/* EP_JOIN, EP_LEAVE. 0, -EINVAL, -ENODEV, -EADDRINUSE, -EADDRNOTAVAIL, -ENOBUFS, -EPROTO, or what the link said. */
int group_join(struct stack *, struct endpoint *, int64_t value);
int group_leave(struct stack *, struct endpoint *, int64_t value);
/* EP_JOIN of ep_get. */
int group_nth(const struct stack *, const struct endpoint *, int64_t *value);
/* EP_MULTICAST_IF. 0, -EADDRNOTAVAIL. */
int group_choose_interface(struct stack *, struct endpoint *, int64_t value);
/* The path of what a socket sends to a group. As route_find. */
int group_path(struct stack *, const struct endpoint *, const struct ipaddr *source, const struct ipaddr *group, struct path *);
/* Has anybody on any core of this host joined it there? */
bool group_is_wanted(const struct stack *, const struct interface *, uint32_t group);
/* Does a socket get what comes for this group over this interface (IP_MULTICAST_ALL)? */
bool group_reaches(const struct stack *, const struct endpoint *, uint32_t interface, uint32_t group);
void groups_release(struct stack *, struct endpoint *);
void groups_interface_gone(struct stack *, struct interface *);
const char *groups_check(const struct stack *);

/* igmp.c */
void igmp_init(struct interface *);
void igmp_receive(struct stack *, struct pkt *, const struct ip_received *);
/* The interface has a new group (first: no other core has it), or loses one: reports that. A group that is left stays until it was reported as often as it must. */
void igmp_joined(struct stack *, struct group *, bool first);
void igmp_left(struct stack *, struct group *);
/* The carrier has come back: nobody there knows our groups. */
void igmp_carrier(struct stack *, struct interface *);
/* Takes back its timers. */
void igmp_stop(struct stack *, struct interface *);

/* fragment.c */
bool fragments_init(struct stack *);
void fragments_free(struct stack *);
/* data at the fragment's payload, received->header at its IP header. */
void fragment_receive(struct stack *, struct pkt *, const struct ip_received *);
uint32_t fragments_held(const struct stack *);
size_t fragments_bytes(const struct stack *);
const char *fragments_check(const struct stack *);

/* redirect.c */
/* A datagram that is whole only here (data at layer 4, its IP header right before it): true when another core has it now, or it was
 * dropped because that core could not take it; false: it is for this core. */
bool core_took(struct stack *, struct pkt *, const struct ip_received *);

/* icmp.c */
/* The same as a received ICMP error of this type and code, about a packet of ours that never left (data at its IP header). */
void icmp_report_own(struct stack *, const struct pkt *, uint8_t type, uint8_t code);

/* loopback.c */
struct link *loopback_new(struct stack *);
void loopback_free(struct stack *);
bool loopback_pending(const struct stack *);
/* A packet of 64 KB, for building what must be cut into fragments; NULL: none. */
struct pkt *loopback_borrow(struct stack *);

/* ports.c, demux.c */
bool ports_init(struct stack *);
void ports_free(struct stack *);
/* May this bound stream socket begin to listen, given who else listens there? 0 or -EADDRINUSE. */
int port_may_listen(struct stack *, const struct endpoint *);
/* How well a bound endpoint fits a packet; negative: not at all. */
int port_score(const struct endpoint *, const struct flow_key *);
const char *ports_check(const struct stack *);
bool flows_init(struct stack *);
void flows_free(struct stack *);
const char *flows_check(const struct stack *);

/* endpoint.c */
bool errors_init(struct stack *);
void errors_free(struct stack *);
const char *errors_check(const struct endpoint *, uint32_t *count);
bool endpoints_init(struct stack *);
void endpoints_free(struct stack *);
const char *endpoints_check(const struct stack *);

/* udp.c */
/* Tries again what a link could not take. */
unsigned udp_send_waiting(struct stack *);
/* Sends n bytes at once, as ep_send_to does: the length or -errno. */
int64_t udp_send_to(struct stack *, struct endpoint *, const void *, uint32_t n, const struct ep_name *to);

#endif
