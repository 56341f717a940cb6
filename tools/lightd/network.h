/* SPDX-License-Identifier: BSD-3-Clause */
/* The hosts of one daemon and the network between them: --io=sim. Every host is a stack with one interface, its
 * link wrapped so that lightctl can capture from it at any time. */
#ifndef LIGHT_TOOLS_LIGHTD_NETWORK_H
#define LIGHT_TOOLS_LIGHTD_NETWORK_H

#include "ipc/server.h"
#include "tools/lightd/options.h"

struct network;

/* Makes wire, stacks and the server's hosts. NULL after saying why on stderr. */
struct network *network_new(const struct options *, struct server *, void (*log)(void *, const char *));
void network_free(struct network *);

unsigned network_hosts(const struct network *);
struct stack *network_stack(const struct network *, unsigned host);
/* The host's link with its capture around. */
struct link *network_capture(const struct network *, unsigned host);
const struct wire *network_wire(const struct network *);

/* A turn of every stack; returns the amount of work. */
unsigned network_turn(struct network *, nsec now);
/* When something is due even if nobody asks. */
nsec network_deadline(const struct network *);

#endif
