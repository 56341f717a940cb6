/* SPDX-License-Identifier: BSD-3-Clause */
/* Interfaces of the local kernel as hosts of the simulated network: each is a TAP device joined to a port of the wire, so that the
 * kernel's stack is the peer of ours, or two kernels are each other's, over a cable with loss, delay, rate and queues. */
#ifndef LIGHT_TOOLS_LIGHTD_BRIDGE_H
#define LIGHT_TOOLS_LIGHTD_BRIDGE_H

#include "tools/lightd/options.h"

struct bridge;

/* Joins options.tap to the wire's last ports. NULL after saying why on stderr. */
struct bridge *bridge_new(const struct options *, struct wire *, void (*log)(void *, const char *));
/* NULL is none. Before the wire is freed. */
void bridge_free(struct bridge *);

/* Frames from the kernel into the wire. Returns how many. */
unsigned bridge_in(struct bridge *);
/* What the wire has for the kernel. */
unsigned bridge_out(struct bridge *);
/* Frames wait in the wire for the kernel. */
bool bridge_due(const struct bridge *);
/* Descriptors that become readable when the kernel has sent something, into fds; how many. */
unsigned bridge_arm(struct bridge *, int *fds, unsigned room);

#endif
