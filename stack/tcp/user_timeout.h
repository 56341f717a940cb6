/* SPDX-License-Identifier: BSD-3-Clause */
/* The User Timeout Option (RFC 5482): each end tells the other how long it keeps a connection that nobody answers. Off unless
 * tcp_settings.adv_uto is set. */
#ifndef LIGHT_TCP_USER_TIMEOUT_H
#define LIGHT_TCP_USER_TIMEOUT_H

#include "conn.h"

/* Granularity bit and 15 bits, never 0: rounded up, and at most 32,767 minutes (3.3). */
uint16_t user_timeout_encode(nsec);
nsec user_timeout_decode(uint16_t);

/* The lower limit of what is adopted does not exceed the upper one. */
bool user_timeout_settings_good(const struct tcp_settings *);

/* RFC 5482's ENABLED. */
static inline bool user_timeout_on(const struct tcp_conn *c)
{
	return c->remote_uto != 0;
}

/* A connection opens; the peer's option, if it is here already, or 0. */
void user_timeout_begin(struct tcp_conn *, uint16_t remote_uto);
/* The program set its own timeout, or took it back. */
void user_timeout_changed(struct tcp_conn *);
/* The peer's option came, on an acceptable segment. */
void user_timeout_received(struct tcp_conn *, const struct tcp_segment *);
/* A connection with options.user_timeout or the option: the program's, or else what 3.1 makes of both ends'; 0: by number of tries. */
nsec user_timeout_in_force(const struct tcp_conn *);

/* The option of a SYN or SYN-ACK, after all others, if there is room; `tries`: how often it was sent before. */
void user_timeout_fill_syn(const struct tcp_settings *, const struct tcp_options *, unsigned tries, struct tcp_segment *);
/* The option of another segment, with `len` bytes of payload, if there is room; then it is not due any more. */
void user_timeout_fill(struct tcp_conn *, struct tcp_segment *, uint32_t len);
/* The segment did not go out. */
void user_timeout_not_sent(struct tcp_conn *, const struct tcp_segment *);

#endif
