/* SPDX-License-Identifier: BSD-3-Clause */
/* Pure functions of RFC 9768 on struct ecn and struct tcp_segment; when they are asked is ecn.c's matter. */
#include "accecn.h"

#define COUNTER_MASK UINT32_C(0xffffff)
#define COUNTER_HALF UINT32_C(0x800000)
#define ACE_MASK 7u

/* Marks that may go unreported: two of data, three of what will not be acknowledged anyway (3.2.2.5.1). */
#define UNREPORTED_DATA 2
#define UNREPORTED_ACKS 3

/* Indexed by enum ecn_field. */
static const uint8_t codes[] = { 2, 3, 4, 6 };
static const uint32_t counter_start[ECN_COUNTERS] = { 1, 0, 1 };

uint8_t accecn_code(enum ecn_field field)
{
	return codes[field & 3];
}

bool accecn_field_of(uint8_t ace, enum ecn_field *field)
{
	for (unsigned i = 0; i < sizeof(codes); i++) {
		if (codes[i] == ace) {
			*field = (enum ecn_field)i;
			return true;
		}
	}
	return false;
}

bool accecn_may_become(enum ecn_field sent, enum ecn_field received)
{
	if (sent == received)
		return true;
	return sent != ECN_NOT_ECT && sent != ECN_CE && received != ECN_NOT_ECT;
}

uint32_t accecn_more(uint8_t ace, uint32_t cep, uint32_t packets, int64_t ce_bytes, uint32_t mss)
{
	uint32_t least = (ace - cep) & ACE_MASK, most;

	if (packets <= ACE_MASK)
		return least;
	most = packets - ((packets - least) & ACE_MASK);
	if (most <= least || ce_bytes == 0)
		return least;
	/* A.1: as many marks as the bytes are worth; small packets make more of them, so only far less settles it. */
	if (ce_bytes > 0 && (uint64_t)ce_bytes < (uint64_t)most * mss / 2)
		return least + (uint32_t)(((uint64_t)ce_bytes / mss > least ? (uint64_t)ce_bytes / mss - least : 0) & ~(uint64_t)ACE_MASK);
	return most;
}

void accecn_start(struct ecn *e)
{
	e->cep = e->peer_cep = ACCECN_CEP_START;
	for (unsigned i = 0; i < ECN_COUNTERS; i++)
		e->bytes[i] = e->peer_bytes[i] = counter_start[i];
}

bool accecn_count(struct ecn *e, enum ecn_field field, uint32_t len, uint32_t packets)
{
	bool ce = field == ECN_CE, changed = ce && len > 0 && !e->last_ce;
	unsigned limit = len > 0 ? UNREPORTED_DATA : UNREPORTED_ACKS;

	if (len > 0)
		e->last_ce = ce;
	if (field != ECN_NOT_ECT && len > 0) {
		e->bytes[ce ? ECN_CEB : field == ECN_ECT_0 ? ECN_E0B : ECN_E1B] += len;
		e->option_due = true;
	}
	if (!ce)
		return false;
	e->cep += packets;
	e->received_ce += packets;
	e->unreported = (uint8_t)(packets > 255u - e->unreported ? 255 : e->unreported + packets);
	return changed || e->unreported >= limit;
}

void accecn_write_option(const struct ecn *e, struct tcp_segment *s)
{
	static const uint8_t order[2][ECN_COUNTERS] = { { ECN_E0B, ECN_CEB, ECN_E1B }, { ECN_E1B, ECN_CEB, ECN_E0B } };
	unsigned n = ECN_COUNTERS;

	/* Who sends ECT(1) only needs no more than who sends ECT(0) only. */
	s->accecn_e1_first = e->bytes[ECN_E0B] == counter_start[ECN_E0B] && e->bytes[ECN_E1B] != counter_start[ECN_E1B];
	while (!(s->flags & SEG_SYN) && n > 1) {
		unsigned last = order[s->accecn_e1_first][n - 1];

		if (e->bytes[last] != counter_start[last])
			break;
		n--;
	}
	s->has |= SEG_HAS_ACCECN;
	s->accecn_fields = (uint8_t)n;
	for (unsigned i = 0; i < n; i++)
		s->accecn[i] = e->bytes[order[s->accecn_e1_first][i]] & COUNTER_MASK;
}

/* Numbers of 24 bits; one that seems to go back is of an older ACK. */
static uint32_t forward(uint32_t *counter, uint32_t value)
{
	uint32_t more = (value - *counter) & COUNTER_MASK;

	if (more >= COUNTER_HALF)
		return 0;
	*counter += more;
	return more;
}

int64_t accecn_take_option(struct ecn *e, const struct tcp_segment *s)
{
	unsigned first = ECN_E0B, last = ECN_E1B;
	int64_t more = -1;

	if (e->option_bad || !(s->has & SEG_HAS_ACCECN))
		return -1;
	if (s->accecn_e1_first) {
		first = ECN_E1B;
		last = ECN_E0B;
	}
	/* 3.2.3.2.4: somebody on the way writes zeros. */
	if (!e->option_seen && s->accecn_fields > 0 && s->accecn[0] == 0) {
		e->option_bad = true;
		return -1;
	}
	e->option_seen = true;
	if (s->accecn_fields > 0)
		forward(&e->peer_bytes[first], s->accecn[0]);
	if (s->accecn_fields > 1)
		more = forward(&e->peer_bytes[ECN_CEB], s->accecn[1]);
	else if (e->peer_bytes[ECN_CEB] == counter_start[ECN_CEB])
		more = 0; /* left out, so it never moved */
	if (s->accecn_fields > 2)
		forward(&e->peer_bytes[last], s->accecn[2]);
	return more;
}
