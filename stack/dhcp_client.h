/* SPDX-License-Identifier: BSD-3-Clause */
/* Inside the stack only: what the layers tell the DHCP client of an interface (interface->dhcp, NULL: none). */
#ifndef LIGHT_DHCP_CLIENT_H
#define LIGHT_DHCP_CLIENT_H

#include "dhcp.h"
#include "layers.h"

/* A datagram to port 68 that came in by its interface: data at the UDP header, length and checksum are right. */
void dhcp_receive(struct stack *, struct dhcp *, struct pkt *);
/* Any ARP packet there. */
void dhcp_arp(struct dhcp *, const uint8_t mac[6], uint32_t sender, uint32_t target, bool is_request);
/* The carrier came or went. */
void dhcp_carrier(struct dhcp *);
/* Without a word to anybody; NULL: nothing. */
void dhcp_free(struct dhcp *);

#endif
