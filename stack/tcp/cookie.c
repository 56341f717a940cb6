/* SPDX-License-Identifier: BSD-3-Clause */
/* A cookie is a keyed hash of the four-tuple and the client's number, to which are added the low byte of a counter of
 * minutes (bits 31-24) and, hidden by a second hash over that minute, an index of the table of MSS (bits 23-0): the shape
 * that Linux gives it. A guess is right once in 2^28. The options lie in the low six bits of the timestamp, as in Linux. */
#include "cookie.h"

#define PERIOD (60 * NSEC_PER_SEC)
#define AGE_MOST 2 /* counts that are believed: this minute's and the last one's */
#define LOW_BITS 0xffffffu

#define STAMP_BITS 6
#define STAMP_SCALE 0x0fu
#define STAMP_NO_SCALE 0x0fu
#define STAMP_SACK 0x10u
#define STAMP_ECN 0x20u

/* What is usual: the default, behind tunnels, behind PPPoE, Ethernet, jumbo frames; the first ones are for who announces
 * less than every host must take, so that nobody gets more than it said. */
static const uint16_t sizes[] = { 8, 64, 256, TCP_MSS_DEFAULT, 1300, 1440, 1460, 8960 };
#define SIZES (sizeof(sizes) / sizeof(sizes[0]))

static uint32_t minute_of(const struct stack *s)
{
	return (uint32_t)(s->now / PERIOD);
}

/* part 0: for all minutes; 1: for this one. */
static uint32_t hash(const struct stack *s, const struct flow_key *k, uint32_t irs, uint32_t minute, uint32_t part)
{
	struct {
		struct ipaddr local, remote;
		uint16_t ports[2];
		uint32_t irs, minute, part;
	} input = { k->local, k->remote, { k->local_port, k->remote_port }, irs, minute, part };

	_Static_assert(sizeof(input) == 2 * sizeof(struct ipaddr) + 16, "no padding is hashed");
	return (uint32_t)siphash24(&s->tcp->cookie_key, &input, sizeof(input));
}

uint32_t cookie_make(const struct stack *s, const struct flow_key *k, uint32_t irs, uint16_t mss)
{
	uint32_t minute = minute_of(s), index = SIZES - 1;

	while (index > 0 && sizes[index] > mss)
		index--;
	return hash(s, k, irs, 0, 0) + (minute << 24) + ((hash(s, k, irs, minute, 1) + index) & LOW_BITS);
}

uint16_t cookie_open(const struct stack *s, const struct flow_key *k, uint32_t irs, uint32_t cookie)
{
	uint32_t inner = cookie - hash(s, k, irs, 0, 0), minute = minute_of(s);
	uint32_t age = (minute - (inner >> 24)) & 0xff, index;

	if (age >= AGE_MOST)
		return 0;
	index = (inner - hash(s, k, irs, minute - age, 1)) & LOW_BITS;
	return index < SIZES ? sizes[index] : 0;
}

uint32_t cookie_stamp(uint32_t now, const struct cookie_options *o)
{
	uint32_t bits = o->scale_on ? o->scale & STAMP_SCALE : STAMP_NO_SCALE;
	uint32_t stamp;

	bits |= (o->sack_on ? STAMP_SACK : 0) | (o->ecn_on ? STAMP_ECN : 0);
	stamp = (now >> STAMP_BITS << STAMP_BITS) | bits;
	/* Not after now: what we send next must not look older to the client (RFC 7323 5). */
	return (int32_t)(stamp - now) > 0 ? stamp - (1u << STAMP_BITS) : stamp;
}

struct cookie_options cookie_unstamp(uint32_t tsecr)
{
	uint32_t scale = tsecr & STAMP_SCALE;

	return (struct cookie_options){
		.scale_on = scale != STAMP_NO_SCALE,
		.scale = scale != STAMP_NO_SCALE ? (uint8_t)scale : 0,
		.sack_on = tsecr & STAMP_SACK,
		.ecn_on = tsecr & STAMP_ECN,
	};
}
