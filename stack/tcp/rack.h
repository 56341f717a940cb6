/* SPDX-License-Identifier: BSD-3-Clause */
/* When something in flight is taken for lost (RFC 8985): RACK by the time of transmission, with a window for reordering that adapts;
 * TLP, a probe of the tail after two round trips of silence. For connections with SACK. */
#ifndef LIGHT_TCP_RACK_H
#define LIGHT_TCP_RACK_H

#include "flight.h"

/* An acknowledgment was taken into the scoreboard: marks records lost, and arms the reordering timer for those that may be soon.
 * True: something was marked. */
bool rack_detect(struct tcp_conn *, const struct flight_news *);
/* Recovery ended (RFC 8985 6.2 step 4: the reordering window shrinks again after 16 of them). */
void rack_recovered(struct tcp_conn *);
/* RFC 8985 6.3: at a timeout, what else is taken for lost than the first record. */
void rack_timeout(struct tcp_conn *);
/* The deadline for loss (reordering or probe) came. */
void rack_expired(struct tcp_conn *);

/* Arms the loss probe if the rules of RFC 8985 7.2 allow one. */
void rack_schedule_probe(struct tcp_conn *);
/* The timeout came, and so did a probe: it takes the timeout's place (7.2), which is counted from now. False: there is none. */
bool rack_probe_instead(struct tcp_conn *);
/* RFC 8985 7.4: what an acknowledgment says of the probe. True: the probe repaired a loss, which is congestion. */
bool rack_probe_repaired(struct tcp_conn *, const struct tcp_segment *, const struct flight_news *);
/* An acknowledgment that tells nothing new, for a peer without D-SACK. */
void rack_nothing_new(struct tcp_conn *, const struct tcp_segment *);

#endif
