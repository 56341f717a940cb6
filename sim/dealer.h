/* SPDX-License-Identifier: BSD-3-Clause */
/* Several cores behind one port: a link for each core's stack, the frames of the port dealt out by stack/steer.h, as a device with as many
 * queues and its driver do. One thread, no order but that of the calls. */
#ifndef LIGHT_SIM_DEALER_H
#define LIGHT_SIM_DEALER_H

#include "stack/link.h"
#include "stack/steer.h"

struct dealer;

/* steer outlives it; NULL: memory is short. */
struct dealer *dealer_new(struct link *port, const struct steer *);
/* Before the stacks go, since datagrams that they handed to one another lie in their memory. */
void dealer_drain(struct dealer *);
void dealer_free(struct dealer *);

struct link *dealer_link(struct dealer *, unsigned core);
/* For stack_config.redirect; the context is the dealer. */
bool dealer_redirect(void *dealer, int interface, struct pkt *, unsigned core);

/* Packets that wait inside for a core's turn, and how many of them are the port's. */
uint32_t dealer_waiting(const struct dealer *);
uint32_t dealer_held(const struct dealer *);

#endif
