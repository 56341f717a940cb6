/* SPDX-License-Identifier: BSD-3-Clause */
/* The receiver's echo and the sender's answer to it; the handshake is in ecn_open.c. A reduction is that of a loss without the
 * loss: congestion control says how much, RFC 9937 how fast, nothing is sent again, and the rest of the connection goes on as
 * if all were well (LOSS_OPEN). */
#include "accecn.h"

#include "flight.h"
#include "gaps.h"
#include "output.h"
#include "timers.h"

#define OPTION_ROOM 40u /* of options in a header */
#define QUICKACKS_AFTER_MARK 2

/* ---- receiver ---- */

/* RFC 8257 3.2: what came before is acknowledged with what is true of it before the state changes. */
static void echo_each(struct tcp_conn *c, bool ce)
{
	struct ecn *e = c->ecn;

	if (ce == e->echo)
		return;
	if (c->rcv_nxt != c->last_ack_sent)
		output_ack(c);
	e->echo = ce;
	c->ack_now = true;
	conn_ready(c);
}

/* RFC 3168 6.1.3: CWR ends the echo, a mark on the same segment begins it anew. As Linux both are acknowledged at once: a sender
 * that has just reduced its window may have no other segment to draw an ACK with. */
static void echo_until_cwr(struct tcp_conn *c, const struct tcp_segment *s, bool ce)
{
	struct ecn *e = c->ecn;

	if (s->flags & SEG_CWR) {
		e->echo = false;
		c->ack_now = true;
	}
	if (ce && !e->echo) {
		e->echo = true;
		c->ack_now = true;
		if (c->quickacks < QUICKACKS_AFTER_MARK)
			c->quickacks = QUICKACKS_AFTER_MARK;
	}
	if (c->ack_now)
		conn_ready(c);
}

void ecn_arrived(struct tcp_conn *c, const struct tcp_segment *s, uint32_t len)
{
	struct ecn *e = c->ecn;
	bool ce = s->ecn == ECN_CE;

	e->seen |= s->ecn != ECN_NOT_ECT;
	if (e->mode == ECN_ACCURATE) {
		if (accecn_count(e, (enum ecn_field)s->ecn, len, s->segments))
			c->ack_now = true;
		return;
	}
	if (s->len == 0)
		return; /* only data carries marks that count: 6.1.4 */
	e->received_ce += ce ? s->segments : 0;
	/* With DCTCP ECE says how the data of this ACK came. */
	if (conn_congestion(c)->flags & CC_NEEDS_ECN)
		echo_each(c, ce);
	else
		echo_until_cwr(c, s, ce);
}

void ecn_arrived_all(struct tcp_conn *c)
{
	if (c->ack_now && c->ecn->unreported > 0)
		output_ack(c);
}

/* ---- sender: what is reported ---- */

static uint32_t segments_of(const struct tcp_conn *c, uint32_t bytes)
{
	return (bytes + c->snd_mss - 1) / c->snd_mss;
}

static void take_handshake_ack(struct tcp_conn *c, uint8_t ace)
{
	struct ecn *e = c->ecn;
	enum ecn_field field;

	if (ace == 0) {
		e->mute = e->deaf = true; /* 3.2.2.1: somebody clears the bits */
	} else if (accecn_field_of(ace, &field)) {
		e->mute |= !accecn_may_become((enum ecn_field)e->sent_field, field);
		e->peer_cep += field == ECN_CE;
	}
}

static void take_accurate(struct tcp_conn *c, const struct tcp_segment *s, uint32_t delivered)
{
	struct ecn *e = c->ecn;
	bool pure = s->len == 0 && s->sack_count == 0 && !(s->flags & (SEG_FIN | SEG_SYN));
	int64_t ce_bytes;
	uint32_t more;

	if (e->await_ack) {
		e->await_ack = false;
		if (pure)
			take_handshake_ack(c, segment_ace(s));
		return;
	}
	/* An ACK that brings nothing new may be an old one, with an old count. */
	if (e->deaf || (delivered == 0 && !(c->ts_on && s->has & SEG_HAS_TS && s->tsval != c->ts_recent)))
		return;
	ce_bytes = accecn_take_option(e, s);
	more = accecn_more(segment_ace(s), e->peer_cep, segments_of(c, delivered), ce_bytes, c->snd_mss);
	e->peer_cep += more;
	e->delivered_ce += more;
	e->heard = more > 0;
	e->marked = ce_bytes >= 0 ? (uint32_t)ce_bytes : more * c->snd_mss;
}

void ecn_take_feedback(struct tcp_conn *c, const struct tcp_segment *s, uint32_t delivered)
{
	struct ecn *e = c->ecn;

	e->heard = false;
	e->marked = 0;
	e->delivered = delivered;
	if (e->mode == ECN_ACCURATE) {
		take_accurate(c, s, delivered);
	} else if (s->flags & SEG_ECE) {
		e->heard = true;
		e->marked = delivered;
		e->delivered_ce += segments_of(c, delivered);
	}
	if (e->marked > delivered)
		e->marked = delivered;
}

/* ---- sender: what follows ---- */

static uint32_t pipe_of(const struct tcp_conn *c)
{
	return flight_pipe(c);
}

static void reach(struct tcp_conn *c)
{
	c->ecn->reducing = false;
	c->cc.cwnd = c->ecn->target > c->snd_mss ? c->ecn->target : c->snd_mss;
	c->cc.ops->on_recovered(&c->cc, c->stack->now);
}

/* RFC 9937 6.1 with nothing lost. What went out since is beyond `until`. */
static void reduce(struct tcp_conn *c)
{
	struct ecn *e = c->ecn;
	uint32_t pipe = pipe_of(c), out = c->snd_max - e->until;
	uint64_t share;

	e->prr_delivered += e->delivered;
	if (pipe <= e->target || seq_geq(c->snd_una, e->until)) {
		reach(c);
		return;
	}
	share = ((uint64_t)e->prr_delivered * e->target + e->prr_from - 1) / e->prr_from;
	share = (share + c->snd_mss - 1) / c->snd_mss * c->snd_mss;
	c->cc.cwnd = pipe + (share > out ? (uint32_t)share - out : 0);
}

static void begin(struct tcp_conn *c)
{
	struct ecn *e = c->ecn;
	uint32_t before = c->cc.cwnd;

	count(c->stack, COUNT_TCP_ECN_REDUCED);
	if (before <= c->snd_mss && c->snd_una == c->snd_max) {
		e->held_until = c->stack->now + c->rtt.rto;
		timers_held(c, c->rtt.rto);
	}
	c->cc.ops->on_congestion(&c->cc, c->stack->now, pipe_of(c) + e->delivered, true);
	ecn_reduced(c);
	e->undoable = false;
	if (c->cc.ops->flags & CC_OWN_WINDOW)
		return;
	e->target = c->cc.cwnd < before ? c->cc.cwnd : before; /* the least of an algorithm may be more than there was */
	e->reducing = true;
	e->prr_delivered = 0;
	e->prr_from = pipe_of(c) + e->delivered;
	reduce(c);
}

void ecn_respond(struct tcp_conn *c)
{
	struct ecn *e = c->ecn;

	/* An ACK of exactly what was out when the window was reduced was made before CWR came there. */
	if (e->quiet && seq_gt(c->snd_una, e->until))
		e->quiet = false;
	if (c->phase == LOSS_OPEN && e->reducing)
		reduce(c);
	else if (c->phase == LOSS_OPEN && e->heard && !e->quiet)
		begin(c);
	e->heard = false;
	e->delivered = e->marked = 0;
}

bool ecn_loss(struct tcp_conn *c)
{
	struct ecn *e = c->ecn;

	if (e->reducing)
		reach(c);
	/* DCTCP's answer to a mark is less than what a loss asks for (RFC 8257 3.5). */
	return !(c->cc.ops->flags & CC_NEEDS_ECN) && e->quiet && seq_lt(c->snd_una, e->until);
}

void ecn_reduced(struct tcp_conn *c)
{
	struct ecn *e = c->ecn;

	/* An answer to marks that is still in force stays, whatever becomes of this. */
	e->undoable = !e->quiet || e->undoable;
	e->reducing = false;
	e->cwr = e->mode == ECN_CLASSIC;
	e->quiet = true;
	e->until = c->snd_max;
}

/* Then nothing answers the marks on what was out: the next echo does. */
void ecn_undone(struct tcp_conn *c)
{
	if (c->ecn->undoable)
		c->ecn->cwr = c->ecn->quiet = false;
}

bool ecn_forbids_growth(const struct tcp_conn *c)
{
	/* After a timeout the echo of what was sent before lasts until CWR comes there with new data: it says nothing new. */
	return c->phase == LOSS_OPEN && (c->ecn->heard || c->ecn->reducing);
}

/* ---- segments ---- */

void ecn_fill(const struct tcp_conn *c, struct tcp_segment *s)
{
	const struct ecn *e = c->ecn;

	if (e->mode == ECN_ACCURATE)
		segment_set_ace(s, (uint8_t)(e->cep & 7));
	else if (e->echo)
		s->flags |= SEG_ECE;
}

unsigned ecn_fill_ack(struct tcp_conn *c, struct tcp_segment *s, unsigned sacks)
{
	struct ecn *e = c->ecn;
	uint32_t room = OPTION_ROOM - (s->has & SEG_HAS_TS ? SEGMENT_TS_LEN : 0u), least = sacks < 2 ? sacks : 2;

	if (e->handshake_ace && sacks == 0)
		segment_set_ace(s, e->handshake_ace);
	if (e->mode == ECN_ACCURATE && e->option_due && !e->option_off) {
		uint32_t len;

		accecn_write_option(e, s);
		len = segment_accecn_len(s);
		/* RFC 9768 3.2.3.3: two blocks of SACK come first. */
		if (len + (least ? 4 + 8 * least : 0) <= room)
			room -= len;
		else
			s->has &= (uint8_t)~SEG_HAS_ACCECN;
	}
	return room < 12 ? 0 : (room - 4) / 8;
}

void ecn_fill_data(struct tcp_conn *c, struct tcp_segment *s, uint32_t len)
{
	struct ecn *e = c->ecn;

	/* RFC 3168 6.1.5, 6.1.6: not what was sent before, no probe, and nothing that has no data. */
	if (len > 0 && !seq_lt(s->seq, c->snd_max) && c->snd_wnd > 0) {
		s->ecn = e->mute ? ECN_NOT_ECT : ECN_ECT_0;
		if (e->cwr)
			s->flags |= SEG_CWR;
	}
	if (e->mode == ECN_ACCURATE && e->option_due && !e->option_off && s->sack_count == 0) {
		accecn_write_option(e, s);
		if (len + segment_accecn_len(s) > c->snd_mss)
			s->has &= (uint8_t)~SEG_HAS_ACCECN;
	}
}

void ecn_sent(struct tcp_conn *c, const struct tcp_segment *s)
{
	struct ecn *e = c->ecn;

	if (e->mode == ECN_CLASSIC) {
		if (s->flags & SEG_CWR)
			e->cwr = false;
		return;
	}
	e->unreported = 0;
	if (s->has & SEG_HAS_ACCECN)
		e->option_due = false;
	e->handshake_ace = 0;
}
