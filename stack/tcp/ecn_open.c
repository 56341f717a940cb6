/* SPDX-License-Identifier: BSD-3-Clause */
/* What two hosts agree on with the ECN bits of SYN and SYN-ACK: RFC 3168 6.1.1 and RFC 9768 3.1. */
#include "accecn.h"

#include "output.h"

#define CLASSIC_SYN 3u     /* ECE and CWR */
#define CLASSIC_SYN_ACK 1u /* ECE */

/* SYN-ACKs from this one on come without the option, and then without any ECN bit (RFC 9768 3.2.3.2.2). */
#define SYN_ACK_WITHOUT_OPTION 1
#define SYN_ACK_PLAIN 2

static bool congestion_wants_marks(const struct tcp_conn *c)
{
	return conn_congestion(c)->flags & CC_NEEDS_ECN;
}

/* DCTCP cannot do without marks, so it asks for them by itself (as Linux). */
static enum ecn_mode wanted(const struct tcp_conn *c)
{
	switch ((enum tcp_ecn)settings_of(c)->ecn) {
	case TCP_ECN_REQUEST:
		return ECN_CLASSIC;
	case TCP_ECN_ACCURATE:
		return ECN_ACCURATE;
	default:
		return congestion_wants_marks(c) ? ECN_CLASSIC : ECN_NONE;
	}
}

static bool listener_wants_marks(const struct half_open *h)
{
	const struct tcp_socket *socket = h->child ? &h->child->socket : &h->listener->socket;
	unsigned own = socket->options.congestion;
	const struct cc_ops *ops = own ? cc_number(own) : h->stack->tcp->cc;

	return ops->flags & CC_NEEDS_ECN;
}

static bool accepts_accurate(unsigned setting)
{
	return setting == TCP_ECN_ACCURATE || setting == TCP_ECN_ACCURATE_PASSIVE;
}

/* Table 2 with 3.1.3: what is not known yet is taken for a wish for accurate feedback. */
static enum ecn_mode offer_of(const struct tcp_segment *syn)
{
	uint8_t ace = segment_ace(syn);

	return ace == 0 ? ECN_NONE : ace == CLASSIC_SYN ? ECN_CLASSIC : ECN_ACCURATE;
}

/* 3.1.2 of those who know no accurate feedback: the two bits of RFC 3168 alone. */
static enum ecn_mode agree(const struct half_open *h, const struct tcp_segment *syn)
{
	unsigned setting = h->stack->config.tcp.ecn;

	if (setting == TCP_ECN_OFF && !listener_wants_marks(h))
		return ECN_NONE;
	if (accepts_accurate(setting))
		return offer_of(syn);
	return (segment_ace(syn) & CLASSIC_SYN) == CLASSIC_SYN ? ECN_CLASSIC : ECN_NONE;
}

static struct ecn *begin(struct tcp_conn *c, enum ecn_mode mode)
{
	struct ecn *e = pool_take_or_null(&c->stack->tcp->ecns);

	c->ecn = e;
	if (!e)
		return NULL;
	e->mode = (uint8_t)mode;
	accecn_start(e);
	return e;
}

void ecn_asked(struct half_open *h, const struct tcp_segment *syn)
{
	h->ecn = (uint8_t)agree(h, syn);
	h->ecn_arrived = syn->ecn;
}

bool ecn_asked_again(struct half_open *h, const struct tcp_segment *syn)
{
	enum ecn_mode offer = agree(h, syn);

	if (h->ecn == ECN_NONE || offer == h->ecn)
		return true;
	/* Without any: its sender tries whether that was the trouble. It may get what it asked for first, but no ECT. */
	if (offer == ECN_NONE) {
		h->ecn_plain = true;
		if (h->ecn == ECN_CLASSIC)
			h->ecn = ECN_NONE;
		return true;
	}
	return false;
}

void ecn_restore(const struct half_open *h, const struct tcp_segment *ack, bool classic, struct tcp_segment *syn)
{
	bool accurate = accepts_accurate(h->stack->config.tcp.ecn) && segment_ace(ack) >= accecn_code(ECN_NOT_ECT);

	/* ECE and CWR have nothing to say there in classic ECN; the codes of table 3 begin with 2. */
	segment_set_ace(syn, classic ? CLASSIC_SYN : accurate ? ACCECN_SYN : 0);
}

void ecn_fill_syn_ack(const struct half_open *h, struct tcp_segment *s)
{
	if (h->ecn == ECN_NONE)
		return;
	s->ecn = listener_wants_marks(h) ? ECN_ECT_0 : ECN_NOT_ECT; /* RFC 8257 3.6 */
	if (h->ecn == ECN_CLASSIC) {
		s->flags |= SEG_ECE;
		return;
	}
	if (h->retries < SYN_ACK_PLAIN)
		segment_set_ace(s, accecn_code((enum ecn_field)h->ecn_arrived));
	if (h->retries < SYN_ACK_WITHOUT_OPTION) {
		struct ecn counters = { 0 };

		accecn_start(&counters);
		accecn_write_option(&counters, s);
		if (segment_header_len(s) > SEGMENT_HEADER_MAX)
			s->has &= (uint8_t)~SEG_HAS_ACCECN;
	}
}

void ecn_settled(struct tcp_conn *c, const struct half_open *h)
{
	struct ecn *e = c->ecn;

	e->mute |= h->ecn_plain || (e->mode == ECN_ACCURATE && h->retries >= SYN_ACK_PLAIN);
	e->option_off |= h->retries >= SYN_ACK_WITHOUT_OPTION;
}

void ecn_inherit(struct tcp_conn *c, const struct half_open *h)
{
	struct ecn *e;

	if (h->ecn == ECN_NONE || !(e = begin(c, (enum ecn_mode)h->ecn)))
		return;
	e->sent_field = listener_wants_marks(h) ? ECN_ECT_0 : ECN_NOT_ECT;
	e->await_ack = h->ecn == ECN_ACCURATE;
	ecn_settled(c, h);
}

/* RFC 3168 6.1.1.1: a SYN that is lost may have been lost for its bits, so the next goes without; of accurate feedback's only
 * the one after it (RFC 9768 3.1.4.1). */
void ecn_fill_syn(struct tcp_conn *c, struct tcp_segment *s)
{
	enum ecn_mode mode = wanted(c);

	if (s->flags & SEG_ACK) {
		c->ecn_offered = ECN_NONE; /* simultaneous open: no ECN */
		return;
	}
	if (mode == ECN_NONE)
		return;
	if (c->retransmits > (mode == ECN_ACCURATE)) {
		c->ecn_plain = true;
		return;
	}
	c->ecn_offered = (uint8_t)mode;
	segment_set_ace(s, mode == ECN_ACCURATE ? ACCECN_SYN : CLASSIC_SYN);
	s->ecn = congestion_wants_marks(c) ? ECN_ECT_0 : ECN_NOT_ECT; /* RFC 8257 3.6 */
}

/* Table 2, second part: what a SYN-ACK makes of what was offered. */
static enum ecn_mode outcome(unsigned offered, uint8_t ace)
{
	if (ace == CLASSIC_SYN_ACK && offered != ECN_NONE)
		return ECN_CLASSIC;
	if (offered != ECN_ACCURATE || ace == 0 || ace == ACCECN_SYN)
		return ECN_NONE;
	return ECN_ACCURATE;
}

void ecn_answered(struct tcp_conn *c, const struct tcp_segment *s)
{
	enum ecn_mode mode = outcome(c->ecn_offered, segment_ace(s));
	enum ecn_field field;
	struct ecn *e;

	/* RFC 3168 6.1.1: no ECT once a SYN without ECN was sent, and classic ECN has nothing else to offer. */
	if (mode == ECN_NONE || (mode == ECN_CLASSIC && c->ecn_plain) || !(e = begin(c, mode)) || mode == ECN_CLASSIC)
		return;
	e->sent_field = congestion_wants_marks(c) ? ECN_ECT_0 : ECN_NOT_ECT;
	e->mute = c->ecn_plain;
	if (accecn_field_of(segment_ace(s), &field))
		e->mute |= !accecn_may_become((enum ecn_field)e->sent_field, field);
	e->handshake_ace = accecn_code((enum ecn_field)s->ecn);
	e->cep += s->ecn == ECN_CE;
	e->seen = s->ecn != ECN_NOT_ECT;
	e->option_due = true;
	accecn_take_option(e, s);
}

bool ecn_contradicts(const struct tcp_conn *c, const struct tcp_segment *s)
{
	uint8_t ace = segment_ace(s);

	if (c->passive || (s->flags & (SEG_SYN | SEG_ACK)) != (SEG_SYN | SEG_ACK) || s->seq != c->irs || s->ack != c->iss + 1 || ace == 0)
		return false;
	return outcome(c->ecn_offered, ace) != (enum ecn_mode)c->ecn->mode;
}

void ecn_forget(struct tcp_conn *c)
{
	if (!c->ecn)
		return;
	pool_put(&c->stack->tcp->ecns, c->ecn);
	c->ecn = NULL;
}
