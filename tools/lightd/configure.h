/* SPDX-License-Identifier: BSD-3-Clause */
/* What options say about a stack's interfaces, and how interfaces are found by what people call them. */
#ifndef LIGHT_TOOLS_LIGHTD_CONFIGURE_H
#define LIGHT_TOOLS_LIGHTD_CONFIGURE_H

#include "stack/stack.h"
#include "tools/lightd/options.h"

/* VLANs, addresses, routes, neighbours, of a stack that has its links. 0, or -errno after saying what could not be done. */
int configure_stack(const struct options *, struct stack *);
/* Its number; 0: none is called so. */
int configure_interface_named(const struct stack *, const char *name);
/* The interface whose network has the address; 0: none. */
int configure_interface_towards(const struct stack *, const struct ipaddr *);
/* An address that a host may have (RFC 1122 3.2.1.3): no multicast, loopback, or all of a network's bits alike. */
bool configure_is_a_hosts(const struct ipaddr *, unsigned prefix);
/* "eth0.10", cut to what fits; NAME_MAX_BYTES. */
void configure_vlan_name(char *out, const char *interface, unsigned vid);

#endif
