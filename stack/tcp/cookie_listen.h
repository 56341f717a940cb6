/* SPDX-License-Identifier: BSD-3-Clause */
/* When a listener uses SYN cookies, and what it does with them (RFC 4987 3.6). */
#ifndef LIGHT_TCP_COOKIE_LISTEN_H
#define LIGHT_TCP_COOKIE_LISTEN_H

#include "half_open.h"

/* The next SYN is answered by a cookie. */
bool cookie_wanted(const struct stack *, const struct tcp_listener *);
/* A SYN-ACK from whose answer all can be known; *h with key, path and the client's number is not needed after this. */
void cookie_answer(struct half_open *h, const struct tcp_segment *syn);
/* An ACK for a listener that may bring a cookie back. False: it does not. */
bool cookie_accept(struct stack *, struct tcp_listener *, struct tcp_segment *, const struct flow_key *,
	const struct ip_received *);

#endif
