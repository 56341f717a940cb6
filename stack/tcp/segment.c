/* SPDX-License-Identifier: BSD-3-Clause */
/* The header and options of a segment, in (every length compared before use) and out (in Linux's order, so
 * that we look like what middleboxes know). RFC 9293 3.1-3.2, RFC 7323 2.2 and 3.2, RFC 2018 2 and 3. */
#include "segment.h"

#include <string.h>

#include "../base/check.h"

enum {
	OPTION_END = 0, OPTION_NOP = 1, OPTION_MSS = 2, OPTION_SCALE = 3,
	OPTION_SACK_OK = 4, OPTION_SACK = 5, OPTION_TS = 8, OPTION_UTO = 28, OPTION_FASTOPEN = 34, OPTION_EXPERIMENTAL = 254,
	OPTION_ACCECN_0 = 172, OPTION_ACCECN_1 = 174,
};

#define FASTOPEN_MAGIC 0xf989

/* The option bytes of nearly every segment: NOP NOP TS 10, as one word. */
#define TS_ALIGNED 0x0101080au

static uint16_t get16(const uint8_t *p)
{
	uint16_t v;

	memcpy(&v, p, sizeof(v));
	return __builtin_bswap16(v);
}

static uint32_t get32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return __builtin_bswap32(v);
}

static uint8_t *put8(uint8_t *p, uint8_t v)
{
	*p = v;
	return p + 1;
}

static uint8_t *put16(uint8_t *p, uint16_t v)
{
	v = __builtin_bswap16(v);
	memcpy(p, &v, sizeof(v));
	return p + 2;
}

static uint8_t *put32(uint8_t *p, uint32_t v)
{
	v = __builtin_bswap32(v);
	memcpy(p, &v, sizeof(v));
	return p + 4;
}

/* Up to four blocks; an odd length is a malformed option. */
static bool take_sack(struct tcp_segment *s, const uint8_t *body, uint32_t len)
{
	if (len == 0 || len % 8 != 0)
		return false;
	for (s->sack_count = 0; len >= 8 && s->sack_count < SEGMENT_SACK_MAX; len -= 8, body += 8) {
		s->sack[s->sack_count].start = get32(body);
		s->sack[s->sack_count].end = get32(body + 4);
		s->sack_count++;
	}
	return true;
}

/* RFC 7413 4.1.1: on a SYN, and of a length that it can have; otherwise it is not there. */
static void take_fastopen(struct tcp_segment *s, const uint8_t *cookie, uint32_t len, bool experimental)
{
	if (!(s->flags & SEG_SYN) || (len != 0 && (len < 4 || len > FASTOPEN_COOKIE_MAX || len % 2 != 0)))
		return;
	s->fastopen.len = (uint8_t)len;
	s->fastopen.experimental = experimental;
	memcpy(s->fastopen.bytes, cookie, len);
	s->has |= SEG_HAS_FASTOPEN;
}

/* RFC 9768 3.2.3: as many whole counters as there are, whatever the length. */
static void take_accecn(struct tcp_segment *s, const uint8_t *body, uint32_t len, bool e1_first)
{
	s->has |= SEG_HAS_ACCECN;
	s->accecn_e1_first = e1_first;
	for (s->accecn_fields = 0; len >= 3 && s->accecn_fields < SEGMENT_ACCECN_FIELDS; len -= 3, body += 3)
		s->accecn[s->accecn_fields++] = (uint32_t)body[0] << 16 | (uint32_t)body[1] << 8 | body[2];
}

/* RFC 5482 3.3: zero is reserved, and a wrong length makes it none. */
static void take_uto(struct tcp_segment *s, const uint8_t *body, uint32_t len)
{
	if (len != 2 || (get16(body) & 0x7fff) == 0)
		return;
	s->uto = get16(body);
	s->has |= SEG_HAS_UTO;
}

/* One option with a body of len bytes. A known kind with a wrong length is skipped as if unknown, except
 * where the bytes cannot be what they say; RFC 9293 MUST-6: unknown kinds are skipped. */
static bool take_option(struct tcp_segment *s, uint8_t kind, const uint8_t *body, uint32_t len)
{
	bool syn = s->flags & SEG_SYN;

	switch (kind) {
	case OPTION_MSS:
		/* MUST-65: meaningful on SYN only. */
		if (len != 2)
			return false;
		if (syn) {
			s->mss = get16(body);
			s->has |= SEG_HAS_MSS;
		}
		return true;
	case OPTION_SCALE:
		if (len != 1)
			return false;
		if (syn) {
			/* RFC 7323 2.3: more than 14 is used as 14. */
			s->scale = body[0] > 14 ? 14 : body[0];
			s->has |= SEG_HAS_SCALE;
		}
		return true;
	case OPTION_SACK_OK:
		if (len != 0)
			return false;
		if (syn)
			s->has |= SEG_HAS_SACK_OK;
		return true;
	case OPTION_TS:
		if (len != 8)
			return false;
		s->tsval = get32(body);
		s->tsecr = get32(body + 4);
		s->has |= SEG_HAS_TS;
		return true;
	case OPTION_SACK:
		return take_sack(s, body, len);
	case OPTION_UTO:
		take_uto(s, body, len);
		return true;
	case OPTION_FASTOPEN:
		take_fastopen(s, body, len, false);
		return true;
	case OPTION_EXPERIMENTAL:
		if (len >= 2 && get16(body) == FASTOPEN_MAGIC)
			take_fastopen(s, body + 2, len - 2, true);
		return true;
	case OPTION_ACCECN_0:
	case OPTION_ACCECN_1:
		/* 3.2.3.2.1: none on a SYN means anything. */
		if ((s->flags & (SEG_SYN | SEG_ACK)) != SEG_SYN)
			take_accecn(s, body, len, kind == OPTION_ACCECN_1);
		return true;
	default:
		return true;
	}
}

/* MUST-7: a length below two or beyond the header ends the segment, never the stack. */
RARELY_CALLED bool parse_options(struct tcp_segment *s, const uint8_t *p, uint32_t left)
{
	while (left > 0) {
		uint8_t kind = p[0];

		if (kind == OPTION_END)
			return true;
		if (kind == OPTION_NOP) {
			p++, left--;
			continue;
		}
		if (left < 2 || p[1] < 2 || p[1] > left)
			return false;
		if (!take_option(s, kind, p + 2, p[1] - 2u))
			return false;
		left -= p[1];
		p += p[1];
	}
	return true;
}

/* Kind, length, and the magic if it is experimental. */
static uint32_t fastopen_len(const struct fastopen_cookie *c)
{
	return (c->experimental ? 4u : 2u) + c->len;
}

static uint8_t *write_fastopen(const struct fastopen_cookie *c, uint8_t *p)
{
	uint32_t len = fastopen_len(c);

	p = put8(put8(p, c->experimental ? OPTION_EXPERIMENTAL : OPTION_FASTOPEN), (uint8_t)len);
	if (c->experimental)
		p = put16(p, FASTOPEN_MAGIC);
	memcpy(p, c->bytes, c->len);
	p += c->len;
	for (; len % 4 != 0; len++)
		p = put8(p, OPTION_NOP);
	return p;
}

static uint8_t *write_accecn(const struct tcp_segment *s, uint8_t *p)
{
	uint32_t len = 2 + 3u * s->accecn_fields;

	p = put8(put8(p, s->accecn_e1_first ? OPTION_ACCECN_1 : OPTION_ACCECN_0), (uint8_t)len);
	for (unsigned i = 0; i < s->accecn_fields; i++)
		p = put16(put8(p, (uint8_t)(s->accecn[i] >> 16)), (uint16_t)s->accecn[i]);
	for (; len < segment_accecn_len(s); len++)
		p = put8(p, OPTION_NOP);
	return p;
}

/* What few segments have, behind all else. */
static void write_rare(const struct tcp_segment *s, uint8_t *p)
{
	if (s->has & SEG_HAS_ACCECN)
		p = write_accecn(s, p);
	if (s->has & SEG_HAS_UTO)
		put16(put8(put8(p, OPTION_UTO), SEGMENT_UTO_LEN), s->uto);
}

RARELY_CALLED uint8_t *write_syn_options(const struct tcp_segment *s, uint8_t *p)
{
	if (s->has & SEG_HAS_MSS) {
		p = put8(put8(p, OPTION_MSS), 4);
		p = put16(p, s->mss);
	}
	if (s->has & SEG_HAS_TS) {
		if (s->has & SEG_HAS_SACK_OK)
			p = put8(put8(p, OPTION_SACK_OK), 2);
		else
			p = put8(put8(p, OPTION_NOP), OPTION_NOP);
		p = put8(put8(p, OPTION_TS), 10);
		p = put32(put32(p, s->tsval), s->tsecr);
	}
	if ((s->has & (SEG_HAS_TS | SEG_HAS_SACK_OK)) == SEG_HAS_SACK_OK) {
		p = put8(put8(p, OPTION_NOP), OPTION_NOP);
		p = put8(put8(p, OPTION_SACK_OK), 2);
	}
	if (s->has & SEG_HAS_SCALE) {
		p = put8(p, OPTION_NOP);
		p = put8(put8(put8(p, OPTION_SCALE), 3), s->scale);
	}
	if (s->has & SEG_HAS_FASTOPEN)
		p = write_fastopen(&s->fastopen, p);
	return p;
}

static uint8_t *write_options(const struct tcp_segment *s, uint8_t *p)
{
	if (s->has & SEG_HAS_TS) {
		p = put32(p, TS_ALIGNED);
		p = put32(put32(p, s->tsval), s->tsecr);
	}
	if (s->sack_count > 0) {
		p = put8(put8(p, OPTION_NOP), OPTION_NOP);
		p = put8(put8(p, OPTION_SACK), (uint8_t)(2 + 8 * s->sack_count));
		for (unsigned i = 0; i < s->sack_count; i++)
			p = put32(put32(p, s->sack[i].start), s->sack[i].end);
	}
	return p;
}

bool segment_parse(struct tcp_segment *s, const uint8_t *bytes, uint32_t len, enum drop *reason)
{
	uint32_t header;

	*reason = DROP_TCP_SHORT;
	if (len < SEGMENT_HEADER_MIN)
		return false;
	header = (bytes[12] >> 4) * 4u;
	if (header < SEGMENT_HEADER_MIN || header > len)
		return false;
	s->source = get16(bytes);
	s->destination = get16(bytes + 2);
	s->seq = get32(bytes + 4);
	s->ack = get32(bytes + 8);
	s->flags = bytes[13];
	s->ae = bytes[12] & 1;
	s->ecn = 0;
	s->window = get16(bytes + 14);
	s->urgent = get16(bytes + 18);
	s->payload = bytes + header;
	s->len = len - header;
	s->segments = 1;
	s->has = 0;
	s->sack_count = 0;
	s->mss = 0;
	s->scale = 0;
	if (header == SEGMENT_HEADER_MIN)
		return true;
	if (header == SEGMENT_HEADER_MIN + SEGMENT_TS_LEN && get32(bytes + 20) == TS_ALIGNED) {
		s->tsval = get32(bytes + 24);
		s->tsecr = get32(bytes + 28);
		s->has = SEG_HAS_TS;
		return true;
	}
	*reason = DROP_TCP_OPTION;
	return parse_options(s, bytes + SEGMENT_HEADER_MIN, header - SEGMENT_HEADER_MIN);
}

uint32_t segment_header_len(const struct tcp_segment *s)
{
	uint32_t n = SEGMENT_HEADER_MIN;

	if (s->has & SEG_HAS_TS)
		n += SEGMENT_TS_LEN;
	if (s->flags & SEG_SYN) {
		n += s->has & SEG_HAS_MSS ? 4 : 0;
		n += s->has & SEG_HAS_SCALE ? 4 : 0;
		n += (s->has & (SEG_HAS_TS | SEG_HAS_SACK_OK)) == SEG_HAS_SACK_OK ? 4 : 0;
		n += s->has & SEG_HAS_FASTOPEN ? (fastopen_len(&s->fastopen) + 3) / 4 * 4 : 0;
	} else if (s->sack_count > 0) {
		n += 4 + 8u * s->sack_count;
	}
	if (s->has & (SEG_HAS_ACCECN | SEG_HAS_UTO))
		n += (s->has & SEG_HAS_ACCECN ? segment_accecn_len(s) : 0) + (s->has & SEG_HAS_UTO ? SEGMENT_UTO_LEN : 0);
	return n;
}

uint32_t segment_write(const struct tcp_segment *s, uint8_t *to)
{
	uint32_t header = segment_header_len(s);
	uint8_t *p = to;

	/* In words: the checksum reads them in a moment, and would wait for what was written in smaller pieces. */
	p = put32(p, (uint32_t)s->source << 16 | s->destination);
	p = put32(put32(p, s->seq), s->flags & SEG_ACK ? s->ack : 0);
	p = put32(p, (header / 4 << 4 | s->ae) << 24 | (uint32_t)s->flags << 16 | s->window);
	p = put32(p, s->flags & SEG_URG ? s->urgent : 0);
	p = s->flags & SEG_SYN ? write_syn_options(s, p) : write_options(s, p);
	if (s->has & (SEG_HAS_ACCECN | SEG_HAS_UTO))
		write_rare(s, p);
	return header;
}
