/* SPDX-License-Identifier: BSD-3-Clause */
/* DHCP: a client on core 0's stack for each interface that asks; what its lease brings is copied to the stacks of the other cores, and told to
 * programs and devices. All by core 0's thread. */
#ifndef LIGHT_TOOLS_LIGHTD_LEASES_H
#define LIGHT_TOOLS_LIGHTD_LEASES_H

#include "stack/dhcp.h"
#include "tools/lightd/core.h"

/* 0; -EEXIST: it runs; -ENODEV; -ENOMEM. */
int leases_start(struct daemon *, unsigned host, int interface);
/* Gives the lease back. 0; -ENOENT: none runs. */
int leases_stop(struct daemon *, unsigned host, int interface);
/* As the options say. 0 or -errno. */
int leases_start_all(struct daemon *);
/* At the daemon's end: all leases are given back (RFC 2131 4.4.6), in a last turn of core 0's stacks. Returns how many clients there were. */
unsigned leases_end(void);
/* What came or went since the last call is made known. Returns the amount of work. */
unsigned leases_turn(struct daemon *);
/* The i-th client of all hosts; false past the end. */
bool leases_at(unsigned i, unsigned *host, int *interface, struct dhcp_lease *);

#endif
