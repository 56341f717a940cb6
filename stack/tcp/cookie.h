/* SPDX-License-Identifier: BSD-3-Clause */
/* SYN cookies (RFC 4987 3.6): all that a listener has to remember of a SYN, in the numbers that the client sends back. */
#ifndef LIGHT_TCP_COOKIE_H
#define LIGHT_TCP_COOKIE_H

#include "conn.h"

/* What the timestamp carries, if the SYN had one; all of it is off without. */
struct cookie_options {
	bool scale_on, sack_on, ecn_on;
	uint8_t scale; /* the client's, at most 14 */
};

/* The initial sequence number that keeps the largest MSS of a small table that is not above `mss`. */
uint32_t cookie_make(const struct stack *, const struct flow_key *, uint32_t irs, uint16_t mss);
/* The MSS that it kept; 0: not made for this client and SYN, or more than one to two minutes ago. */
uint16_t cookie_open(const struct stack *, const struct flow_key *, uint32_t irs, uint32_t cookie);

/* The latest timestamp not after `now` that says this, and back. */
uint32_t cookie_stamp(uint32_t now, const struct cookie_options *);
struct cookie_options cookie_unstamp(uint32_t tsecr);

#endif
