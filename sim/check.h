/* SPDX-License-Identifier: BSD-3-Clause */
/* What must hold in a simulated world, whatever the network does: after each turn of a stack, and at the end. */
#ifndef LIGHT_SIM_CHECK_H
#define LIGHT_SIM_CHECK_H

#include "host.h"

/* After a turn of this host: the stack's own invariants, no packet lost or doubled, no turn asked for in vain. A
 * failure goes to world_fail. */
void check_turn(struct world *, struct host *);

/* Now and then: every connection with something to send has a reason to wait and a timer that ends the wait; no
 * stall is longer than its retransmission time-out allows (RFC 6298 5). */
void check_progress(struct world *);

/* Ends a world whose applications are done, or fails it: waits for the talks (until `limit`), closes services and
 * lets TIME-WAIT pass, then demands that no endpoint, connection, packet or extent is left anywhere. */
bool check_finish(struct world *, nsec limit);

#endif
