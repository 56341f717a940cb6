/* SPDX-License-Identifier: BSD-3-Clause */
/* A DHCP client (RFC 2131, 2132; RFC 5227 before an address is used) for one interface of a stack, with its states of RFC 2131 4.4 figure 5
 * (no INIT-REBOOT). While the carrier is away nothing is sent; when it returns the client begins again at INIT, and a lease that it has is used until
 * it expires or a server gives another or refuses it (3.7).
 * It sets address, prefix, router (option 3), classless routes (RFC 3442, which then replace option 3) and MTU (option 26) itself, and takes them
 * back when the lease ends. Time is the stack's; it is turned by stack_turn as any timer. */
#ifndef LIGHT_DHCP_H
#define LIGHT_DHCP_H

#include "stack.h"

struct dhcp;

enum dhcp_state { DHCP_INIT, DHCP_SELECTING, DHCP_REQUESTING, DHCP_PROBING, DHCP_BOUND, DHCP_RENEWING, DHCP_REBINDING };

struct dhcp_lease {
	enum dhcp_state state;
	struct ipaddr addr, router, server;   /* any: none */
	unsigned prefix;
	uint16_t mtu;                         /* 0: not said; from 576 on it limits that of the interface, less is not believed */
	struct ipaddr dns[3];
	unsigned dns_count;
	char domain[64];
	nsec obtained, renew, rebind, expires;   /* the stack's time; NSEC_NEVER: an endless lease */
	uint32_t discovers, requests, offers, acks, naks, declines;
};

struct dhcp_config {
	const char *host_name;                /* option 12, copied, at most 63 bytes; NULL: not sent */
	/* The lease came, was renewed, changed or went (addr any): called inside stack_turn, and must not stop the client. May be NULL. */
	void (*changed)(void *context, const struct dhcp_lease *);
	void *context;
};

/* Starts at the next turn. NULL: memory is short, there is no such interface but loopback, or it has a client already. */
struct dhcp *dhcp_start(struct stack *, int interface, const struct dhcp_config *);
/* Releases the lease (DHCPRELEASE, which leaves with the next turn) and removes what it set, without calling `changed`.
 * stack_free ends a client too, silently. */
void dhcp_stop(struct dhcp *);
void dhcp_lease(const struct dhcp *, struct dhcp_lease *);

#endif
