/* SPDX-License-Identifier: BSD-3-Clause */
/* The first thing that an acknowledgment is asked in an episode. A timeout that was needless is answered as RFC 4015 3 has it, a fast
 * retransmit by the congestion control as it was before. */
#include "undo.h"

#include "ecn.h"
#include "meter.h"
#include "timers.h"

#define TICK_MOST NSEC_PER_MSEC    /* of G in RFC 4015: clock_granularity floors the RTO as well, and is not the clock's then */

void undo_remember(struct tcp_conn *c, bool timeout)
{
	struct flight *f = c->flight;

	f->may_undo = true;
	f->timeout_first = timeout;
	f->frto = FRTO_OFF;
	f->before = c->cc;
	/* pipe_prev (RFC 4015 3.1 step 1), without what a probe sent beyond the window. */
	f->flight_before = c->snd_nxt - c->snd_una < c->cc.cwnd ? c->snd_nxt - c->snd_una : c->cc.cwnd;
	f->srtt_before = c->rtt.srtt;
	f->rttvar_before = c->rtt.rttvar;
	f->episode = c->snd_una;
	f->resent = 0;
	f->resent_any = false;
}

/* RFC 4015 3.1 step 5: no more than a flight and what has just arrived goes at once, slow start to where the window was. */
static void resume(struct tcp_conn *c, uint32_t moved)
{
	const struct flight *f = c->flight;
	nsec tick = settings_of(c)->clock_granularity;
	uint32_t first = conn_initial_window(c), window;

	window = flight_pipe(c) + (moved < first ? moved : first);
	c->cc = f->before;
	if (c->cc.cwnd > window)
		c->cc.cwnd = window > c->snd_mss ? window : c->snd_mss;
	if (c->cc.ssthresh < f->flight_before)
		c->cc.ssthresh = f->flight_before;
	/* The RTO was too short: SRTT_prev and RTTVAR_prev, and the next sample counts in full (3.1 step 8). */
	c->rtt.srtt = f->srtt_before + 2 * (tick < TICK_MOST ? tick : TICK_MOST);
	c->rtt.rttvar = f->rttvar_before;
	c->rtt_resume = true;
}

static void undo(struct tcp_conn *c, uint32_t moved)
{
	struct flight *f = c->flight;
	uint32_t cwnd = c->cc.cwnd;

	count(c->stack, COUNT_TCP_UNDONE);
	flight_none_lost(c);
	if (f->timeout_first) {
		resume(c, moved);
		/* Without timestamps RACK may have taken the original's ACK for that of the retransmission, and everything older for lost. */
		f->rack_sent_at = 0;
	} else if (cwnd < f->before.cwnd || c->cc.ops->flags & CC_OWN_WINDOW) {
		c->cc = f->before;
		if (c->cc.cwnd < cwnd)
			c->cc.cwnd = cwnd;
	}
	/* Else it is as large again already, and what it is now holds (RFC 9438 4.9.2). */
	/* Packets may be shorter than they were then (mtu_probe.c). */
	if (c->cc.mss != c->snd_mss)
		conn_update_mss(c);
	f->may_undo = false;
	f->frto = FRTO_OFF;
	if (c->ecn)
		ecn_undone(c);
	/* What was taken for lost came late, and RFC 8985 6.2 step 3 cannot see that once it was sent again: without this, a path that reorders
	 * now and then would have every late segment sent twice for ever. */
	if (c->phase == LOSS_RECOVERY) {
		c->reordering_seen = true;
		meter_reordered(c, moved);
	}
	c->phase = LOSS_OPEN;
	timers_backoff_undone(c);
}

/* RFC 3522: the acknowledgment that first moves snd_una echoes a timestamp older than the first retransmission's. */
static bool eifel(const struct tcp_conn *c, const struct tcp_segment *s)
{
	const struct flight *f = c->flight;

	return c->ts_on && s->has & SEG_HAS_TS && f->resent_any && seq_gt(c->snd_una, f->episode) && seq_lt(s->tsecr, f->resent_tsval);
}

/* RFC 2883 and 3708: everything that was sent again had arrived before. */
static bool all_needless(struct tcp_conn *c, const struct flight_news *news)
{
	struct flight *f = c->flight;
	uint32_t n = news->dsack_end - news->dsack_start;

	if (!news->dsack || !f->resent_any || !seq_lt(news->dsack_start, news->dsack_end) ||
	    seq_lt(news->dsack_start, f->episode) || n > f->resent)
		return false;
	f->resent -= n;
	return f->resent == 0;
}

/* RFC 5682 3.1: after a timeout, something that was sent only once arrives only now: it was late, not lost. Not where a recovery ran
 * already (step 1): that one's loss was real. */
static bool late(const struct tcp_conn *c, const struct flight_news *news)
{
	return c->sack_on && c->phase == LOSS_TIMEOUT && c->flight->timeout_first && news->original;
}

/* New data that the peer's window takes, as this acknowledgment has it. */
static bool has_new(const struct tcp_conn *c, const struct tcp_segment *s)
{
	uint32_t window = (uint32_t)s->window << (c->scale_on ? c->snd_scale : 0);

	return seq_lt(c->snd_nxt, seq_min(conn_send_end(c), c->snd_una + window));
}

/* RFC 5682 2.1, where nothing but the acknowledged number tells, and 3.1 as long as nothing is SACKed: ACKs that come late one by one name
 * only what was sent again, if each draws the next. True: the second acknowledgment after the timeout covers what was sent once (3b). The
 * first one lets two new segments go (2b): only what makes no difference to an ordinary recovery is put off. */
static bool second_advance(struct tcp_conn *c, const struct tcp_segment *s, uint32_t moved)
{
	struct flight *f = c->flight;

	if (c->phase != LOSS_TIMEOUT || f->frto == FRTO_OFF || moved == 0)
		return false;
	if (f->frto == FRTO_SECOND)
		return true;
	f->frto = FRTO_OFF;
	if (seq_lt(c->snd_una, c->recover) && f->sacked == 0 && !flight_first_is_resent(c) && has_new(c, s)) {
		flight_none_lost(c);
		c->cc.cwnd = flight_pipe(c) + 2u * c->snd_mss;
		f->frto = FRTO_SECOND;
	}
	return false;
}

bool undo_check(struct tcp_conn *c, const struct tcp_segment *s, const struct flight_news *news, uint32_t moved)
{
	if (!c->flight || !c->flight->may_undo || c->phase == LOSS_OPEN)
		return false;
	if (!eifel(c, s) && !all_needless(c, news) && !late(c, news) && !second_advance(c, s, moved)) {
		if (c->sack_on && moved == 0 && news->sacked > 0 && c->flight->frto == FRTO_SECOND)
			undo_duplicate(c);   /* RFC 5682 3.1 step 3a */
		return false;
	}
	undo(c, moved);
	return true;
}

void undo_duplicate(struct tcp_conn *c)
{
	struct flight *f = c->flight;

	if (!f || f->frto == FRTO_OFF)
		return;
	if (f->frto == FRTO_SECOND) {
		flight_all_lost(c, c->recover);
		c->cc.cwnd = 3u * c->snd_mss;
		conn_ready(c);
	}
	f->frto = FRTO_OFF;
}
