/* SPDX-License-Identifier: BSD-3-Clause */
/* Each acknowledgment goes through the same steps: was the episode needless (undo.c); is it over; what is lost now; how much may go. In
 * recovery cwnd is what PRR makes of it, and ssthresh at the end. Without SACK the third duplicate takes the front for lost, an acknowledgment of
 * a part the next (RFC 6582), and a duplicate counts as the arrival of a segment of unknown place. */
#include "recovery.h"

#include "ecn.h"
#include "loss.h"
#include "meter.h"
#include "mtu_probe.h"
#include "pace.h"
#include "rack.h"
#include "timers.h"
#include "undo.h"
#include "validate.h"

#define RENEGING_LEAST (10 * NSEC_PER_MSEC)

/* Once is enough in a window of data, be it for marks or for losses (RFC 3168 6.1.2): CWR says so of what was done, not again. */
static void congested(struct tcp_conn *c, uint32_t flight, bool reduced)
{
	if (reduced)
		return;
	c->cc.ops->on_congestion(&c->cc, c->stack->now, flight, false);
	if (c->ecn)
		ecn_reduced(c);
}

/* RFC 9937 5: RecoverFS is what was outstanding and not SACKed before. */
static void enter(struct tcp_conn *c, const struct flight_news *news)
{
	struct flight *f = c->flight;
	/* FlightSize, without what limited transmit added to a full window (RFC 5681 3.2 step 2, RFC 6675 5 step 4.2). */
	uint32_t flight = c->snd_nxt - c->snd_una < c->cc.cwnd ? c->snd_nxt - c->snd_una : c->cc.cwnd;
	bool reduced = c->ecn && ecn_loss(c);

	flight = validate_loss(c, flight);
	count(c->stack, COUNT_TCP_FAST_RETRANSMITS);
	undo_remember(c, false);
	c->recover = c->snd_nxt;
	c->phase = LOSS_RECOVERY;
	c->probe_out = false;   /* RFC 8985 7.1: what the probe may have repaired is no second loss */
	f->prr_delivered = f->prr_out = 0;
	f->prr_from = c->snd_nxt - c->snd_una - f->sacked - f->guessed + news->sacked + news->acked;
	congested(c, flight, reduced);
	timers_restart(c);
}

static void leave(struct tcp_conn *c)
{
	uint32_t flight = flight_pipe(c);

	c->phase = LOSS_OPEN;
	c->dupacks = 0;
	if (!(c->cc.ops->flags & CC_OWN_WINDOW))
		c->cc.cwnd = c->cc.ssthresh;
	/* RFC 6582 3.2 step 3: what was guessed to have arrived may all be acknowledged at once, and must not draw a burst. */
	if (!c->sack_on && c->cc.cwnd > (flight > c->snd_mss ? flight : c->snd_mss) + c->snd_mss)
		c->cc.cwnd = (flight > c->snd_mss ? flight : c->snd_mss) + c->snd_mss;
	validate_recovered(c);
	c->cc.ops->on_recovered(&c->cc, c->stack->now);
}

/* RFC 9937 6. `lost`: something was marked just now; without that an acknowledgment that moved snd_una is safe. */
static void reduce(struct tcp_conn *c, const struct flight_news *news, uint32_t moved, bool lost)
{
	struct flight *f = c->flight;
	uint32_t pipe = flight_pipe(c), delivered = news->acked + news->sacked, may;

	if (c->cc.ops->flags & CC_OWN_WINDOW)
		return;
	/* RFC 9937 6.2: a peer that invents duplicates gets no more for them than was out. */
	if (!c->sack_on && delivered > f->prr_from - f->prr_delivered)
		delivered = f->prr_from - f->prr_delivered;
	f->prr_delivered += delivered;
	if (pipe > c->cc.ssthresh) {
		uint64_t share = ((uint64_t)f->prr_delivered * c->cc.ssthresh + f->prr_from - 1) / (f->prr_from ? f->prr_from : 1);

		/* Rounded up to whole segments, which are what is sent: the second ACK of two would release nothing (RFC 6937 3.1). */
		share = (share + c->snd_mss - 1) / c->snd_mss * c->snd_mss;
		may = share > f->prr_out ? (uint32_t)(share - f->prr_out) : 0;
	} else {
		uint32_t limit = f->prr_delivered > f->prr_out ? f->prr_delivered - f->prr_out : 0;

		/* As much as has left at least, whatever went before. */
		limit = (limit > delivered ? limit : delivered) + (moved > 0 && !lost ? c->snd_mss : 0);
		may = c->cc.ssthresh - pipe < limit ? c->cc.ssthresh - pipe : limit;
	}
	/* The first retransmission goes at once, and NewReno's at each hole (RFC 6582 3.2 step 3). */
	if ((f->prr_out == 0 || (lost && !c->sack_on)) && may < c->snd_mss)
		may = c->snd_mss;
	c->cc.cwnd = pipe + may > c->snd_mss ? pipe + may : c->snd_mss;
}

/* ---- the steps ---- */

void recovery_take(struct tcp_conn *c, const struct tcp_segment *s, struct flight_news *news)
{
	*news = (struct flight_news){ 0 };
	flight_take_sack(c, s, news);
	if (seq_gt(s->ack, c->snd_una))
		flight_take_ack(c, s, news);
	c->reordering_seen |= news->reordered;
	if (news->dsack || news->reordered)
		meter_news(c, news);
}

static void end_episode(struct tcp_conn *c)
{
	rack_recovered(c);
	if (c->phase == LOSS_RECOVERY)
		leave(c);
	else
		c->phase = LOSS_OPEN;
}

/* RFC 6582 3.2 step 3, for peers without SACK: an acknowledgment of a part shows the next hole. */
static void next_hole(struct tcp_conn *c, uint32_t moved)
{
	if (moved == 0 || !c->flight)
		return;
	c->dupacks = 0;
	if (c->phase == LOSS_RECOVERY)
		flight_first_lost(c, c->snd_mss);
	else
		c->flight->guessed = 0;    /* it was reordering */
}

static void act(struct tcp_conn *c, const struct flight_news *news, struct loss_told *told)
{
	if (c->phase == LOSS_OPEN && c->flight && c->flight->lost > 0 && c->mtu && mtu_probe_explains_loss(c)) {
		/* RFC 4821 7.6.2: nor is it one for those who weigh losses themselves. */
		if (c->delivery)
			rate_excuse(&c->delivery->rate, told->lost);
		told->lost = 0;
	} else if (c->phase == LOSS_OPEN && c->flight && c->flight->lost > 0) {
		enter(c, news);
		reduce(c, news, 0, told->lost > 0);
	} else if (c->phase == LOSS_RECOVERY && c->flight) {
		reduce(c, news, told->ends ? 0 : told->acked, told->lost > 0);
	}
	loss_tell(c, told);
}

/* How much is taken for lost now. */
static uint32_t detect(struct tcp_conn *c, const struct flight_news *news, uint32_t moved)
{
	uint32_t before = c->flight ? c->flight->lost : 0;

	if (c->sack_on && c->flight && c->flight->frto == FRTO_SECOND)
		return 0;    /* RFC 5682 3.1 step 2b: the next acknowledgment decides */
	if (c->sack_on)
		rack_detect(c, news);
	else
		next_hole(c, moved);
	return c->flight && c->flight->lost > before ? c->flight->lost - before : 0;
}

/* RFC 2018 8: acknowledged up to where SACKed data begins, and not beyond. Unless the next acknowledgment is only late, the peer has
 * thrown it away. As soon as Linux, the timeout comes and forgets what was SACKed. */
static void suspect_reneging(struct tcp_conn *c)
{
	nsec wait = c->rtt.srtt / 16 > RENEGING_LEAST ? c->rtt.srtt / 16 : RENEGING_LEAST;

	if (c->flight && flight_first_is_sacked(c))
		timers_expire_within(c, wait);
}

void recovery_ack(struct tcp_conn *c, const struct tcp_segment *s, const struct flight_news *news, uint32_t moved, nsec rtt)
{
	struct loss_told told = {
		.acked = moved,
		.delivered = news->acked + news->sacked,
		.in_flight = news->in_flight,
		.rtt = news->rtt ? news->rtt : rtt,
	};
	bool undone;

	if (c->mtu && moved > 0)
		mtu_probe_acked(c);
	if (!c->flight && c->phase == LOSS_OPEN && !c->probe_out && !news->dsack) {
		/* What arrived had left together, and nothing was amiss: nearly always. */
		c->dupacks = 0;
		loss_tell(c, &told);
		if (c->snd_una != c->snd_nxt)
			rack_schedule_probe(c);
		return;
	}
	undone = undo_check(c, s, news, moved);
	told.ends = c->phase != LOSS_OPEN && seq_geq(c->snd_una, c->recover);
	if (told.ends)
		end_episode(c);
	told.lost = detect(c, news, moved);
	/* Nor does it grow while two segments try whether a timeout was needless. */
	told.ends |= undone || (c->flight && c->flight->frto == FRTO_SECOND);
	if (rack_probe_repaired(c, s, news) && c->phase == LOSS_OPEN) {
		congested(c, validate_loss(c, news->in_flight), c->ecn && ecn_loss(c));
		validate_recovered(c);
		c->cc.ops->on_recovered(&c->cc, c->stack->now);
	}
	act(c, news, &told);
	flight_settle(c);
	rack_schedule_probe(c);
	suspect_reneging(c);
	conn_ready(c);
}

void recovery_duplicate(struct tcp_conn *c)
{
	struct flight_news news = { .in_flight = flight_pipe(c) };
	struct loss_told told = { .in_flight = news.in_flight };

	if (c->phase == LOSS_TIMEOUT) {
		undo_duplicate(c);
		return;
	}
	/* RFC 6582 3.2: duplicates that a timeout's own retransmissions provoke say nothing. */
	if (c->phase == LOSS_OPEN && !seq_gt(c->snd_una - 1, c->recover))
		return;
	/* RFC 5681 3.2 step 4: no more can have left than was out. Who divides its ACKs gets nothing for the others. */
	if (c->phase == LOSS_RECOVERY && c->flight && c->flight->prr_delivered >= c->flight->prr_from)
		return;
	/* A segment has left, which is all that is known: that is limited transmit (RFC 3042), and PRR's measure. */
	told.delivered = news.sacked = flight_guess(c, c->snd_mss);
	if (c->phase == LOSS_OPEN && ++c->dupacks >= DUPLICATES) {
		flight_first_lost(c, c->snd_mss);
		told.lost = c->flight->lost;
	}
	act(c, &news, &told);
	conn_ready(c);
}

void recovery_reorder_expired(struct tcp_conn *c)
{
	const struct flight_news news = { .in_flight = flight_pipe(c) };
	struct loss_told told = { .in_flight = news.in_flight };

	told.lost = detect(c, &news, 0);
	if (told.lost > 0)
		act(c, &news, &told);
	conn_ready(c);
}

void recovery_before_timeout(struct tcp_conn *c)
{
	bool frto = c->phase == LOSS_OPEN || (c->phase == LOSS_TIMEOUT && c->flight->frto != FRTO_OFF);

	/* Step 2b wants room for two new segments beyond all that is out; an algorithm that sets its window itself has none to give. */
	frto = frto && !(c->cc.ops->flags & CC_OWN_WINDOW);
	if (c->phase == LOSS_OPEN)
		undo_remember(c, true);
	c->flight->frto = frto ? FRTO_FIRST : FRTO_OFF;
}

void recovery_timeout(struct tcp_conn *c)
{
	if (!c->sack_on) {
		flight_all_lost(c, c->snd_nxt);
	} else if (flight_first_is_sacked(c)) {
		flight_renege(c);
		flight_all_lost(c, c->snd_nxt);
	} else {
		rack_timeout(c);
	}
	timers_loss(c, LOSS_TIMER_NONE, NSEC_NEVER);
	c->probe_out = false;
	/* One segment, beside what may still be under way (RFC 8985 6.3). */
	c->cc.cwnd = flight_pipe(c) + c->snd_mss;
}

void recovery_sent(struct tcp_conn *c, uint32_t n)
{
	if (c->phase == LOSS_RECOVERY && c->flight)
		c->flight->prr_out += n;
}
