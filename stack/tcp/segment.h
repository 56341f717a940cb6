/* SPDX-License-Identifier: BSD-3-Clause */
/* A TCP segment as a struct, and its way from and to bytes (RFC 9293 3.1, 3.2; RFC 7323; RFC 2018).
 * The only place that knows the layout of the header and of the options. */
#ifndef LIGHT_TCP_SEGMENT_H
#define LIGHT_TCP_SEGMENT_H

#include <stdbool.h>
#include <stdint.h>

#include "../drops.h"

/* Control bits, as on the wire. */
enum {
	SEG_FIN = 0x01, SEG_SYN = 0x02, SEG_RST = 0x04, SEG_PSH = 0x08,
	SEG_ACK = 0x10, SEG_URG = 0x20, SEG_ECE = 0x40, SEG_CWR = 0x80,
};

/* Options that are there. */
enum {
	SEG_HAS_MSS = 1 << 0, SEG_HAS_SCALE = 1 << 1, SEG_HAS_SACK_OK = 1 << 2, SEG_HAS_TS = 1 << 3,
	SEG_HAS_FASTOPEN = 1 << 7,
	SEG_HAS_ACCECN = 1 << 4, SEG_HAS_UTO = 1 << 5,
};

#define SEGMENT_HEADER_MIN 20
#define SEGMENT_HEADER_MAX 60
#define SEGMENT_SACK_MAX 4
#define SEGMENT_ACCECN_FIELDS 3
#define SEGMENT_TS_LEN 12 /* timestamps with their two NOPs */
#define SEGMENT_UTO_LEN 4

struct sack_block {
	uint32_t start, end; /* end: the number after the last byte */
};

/* RFC 7413 4.1.1. len 0: asks for one, as option; else 4 to 16 and even. */
#define FASTOPEN_COOKIE_MAX 16
struct fastopen_cookie {
	uint8_t len;
	bool experimental; /* option 254 with the magic of its first implementations (RFC 6994) */
	uint8_t bytes[FASTOPEN_COOKIE_MAX];
};

struct tcp_segment {
	uint32_t seq, ack;
	uint32_t len;              /* bytes of payload */
	const uint8_t *payload;
	uint16_t source, destination; /* ports, host order */
	uint16_t window;           /* as on the wire: unscaled */
	uint16_t urgent;
	uint16_t segments;         /* how many packets of the wire it stands for (super-frames) */
	uint16_t mss;
	uint16_t uto;              /* only with SEG_HAS_UTO: granularity bit and 15 bits, which are not 0 (user_timeout.h) */
	uint8_t flags;             /* SEG_* */
	uint8_t has;               /* SEG_HAS_* */
	uint8_t ecn;               /* the ECN field of its IP header (enum ecn_field) */
	bool ae;                   /* the third bit of RFC 9768's ACE field */
	uint8_t scale;
	uint8_t sack_count;
	uint32_t tsval, tsecr;
	struct sack_block sack[SEGMENT_SACK_MAX];
	struct fastopen_cookie fastopen; /* only with SEG_HAS_FASTOPEN */
	/* The option of RFC 9768 3.2.3: its whole counters of 24 bits, in the order of kind 172, or of 174 (e1_first). */
	uint32_t accecn[SEGMENT_ACCECN_FIELDS];
	uint8_t accecn_fields;
	bool accecn_e1_first;
};

/* AE, CWR and ECE as a number (RFC 9768 3.2.2). */
static inline uint8_t segment_ace(const struct tcp_segment *s)
{
	return (uint8_t)((unsigned)s->ae << 2 | s->flags >> 6);
}

static inline void segment_set_ace(struct tcp_segment *s, uint8_t ace)
{
	s->ae = ace & 4;
	s->flags = (uint8_t)((s->flags & 0x3f) | (ace & 3u) << 6);
}

/* What its option takes, padded. */
static inline uint32_t segment_accecn_len(const struct tcp_segment *s)
{
	return (2u + 3u * s->accecn_fields + 3u) & ~3u;
}

/* The length in sequence space: SYN and FIN count (RFC 9293 3.4). */
static inline uint32_t segment_space(const struct tcp_segment *s)
{
	return s->len + ((s->flags & SEG_SYN) != 0) + ((s->flags & SEG_FIN) != 0);
}

/* Reads `len` bytes that begin with a TCP header. False: not a segment, *reason says why; nothing of *s may
 * be used then. The payload points into the bytes. */
bool segment_parse(struct tcp_segment *s, const uint8_t *bytes, uint32_t len, enum drop *reason);

/* Bytes that segment_write makes: header and options, a multiple of four. */
uint32_t segment_header_len(const struct tcp_segment *s);

/* Writes header and options, checksum field zero; returns segment_header_len(). */
uint32_t segment_write(const struct tcp_segment *s, uint8_t *to);

#endif
