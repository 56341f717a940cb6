/* SPDX-License-Identifier: BSD-3-Clause */
/* Each acknowledgment goes through the same steps: was the episode needless; is it over; what is lost now; how much may go. In recovery
 * cwnd is what PRR makes of it, and ssthresh at the end. */
#include "recovery.h"

#include "loss.h"
#include "rack.h"
#include "timers.h"

#define RENEGING_LEAST (10 * NSEC_PER_MSEC)

static void remember(struct tcp_conn *c)
{
	struct flight *f = c->flight;

	f->may_undo = true;
	f->timeout_first = false;
	f->before = c->cc;
	f->episode = c->snd_una;
	f->resent = 0;
	f->resent_any = false;
}

/* RFC 9937 5: RecoverFS is what was outstanding and not SACKed before. */
static void enter(struct tcp_conn *c, const struct flight_news *news)
{
	struct flight *f = c->flight;

	count(c->stack, COUNT_TCP_FAST_RETRANSMITS);
	remember(c);
	c->recover = c->snd_nxt;
	c->phase = LOSS_RECOVERY;
	c->probe_out = false;   /* RFC 8985 7.1: what the probe may have repaired is no second loss */
	f->prr_delivered = f->prr_out = 0;
	f->prr_from = c->snd_nxt - c->snd_una - f->sacked + news->sacked + news->acked;
	c->cc.ops->on_congestion(&c->cc, c->stack->now, news->in_flight, false);
	timers_restart(c);
}

static void leave(struct tcp_conn *c)
{
	c->phase = LOSS_OPEN;
	if (!(c->cc.ops->flags & CC_OWN_WINDOW))
		c->cc.cwnd = c->cc.ssthresh;
	c->cc.ops->on_recovered(&c->cc, c->stack->now);
}

/* RFC 9937 6. safe: the acknowledgment moved snd_una and nothing more was lost. */
static void reduce(struct tcp_conn *c, const struct flight_news *news, bool safe)
{
	struct flight *f = c->flight;
	uint32_t pipe = f->in_flight, delivered = news->acked + news->sacked, may;

	if (c->cc.ops->flags & CC_OWN_WINDOW)
		return;
	f->prr_delivered += delivered;
	if (pipe > c->cc.ssthresh) {
		uint64_t share = ((uint64_t)f->prr_delivered * c->cc.ssthresh + f->prr_from - 1) / (f->prr_from ? f->prr_from : 1);

		/* Rounded up to whole segments, which are what is sent: the second ACK of two would release nothing (RFC 6937 3.1). */
		share = (share + c->snd_mss - 1) / c->snd_mss * c->snd_mss;
		may = share > f->prr_out ? (uint32_t)(share - f->prr_out) : 0;
	} else {
		uint32_t limit = f->prr_delivered > f->prr_out ? f->prr_delivered - f->prr_out : 0;

		/* As much as has left at least, whatever went before. */
		limit = (limit > delivered ? limit : delivered) + (safe ? c->snd_mss : 0);
		may = c->cc.ssthresh - pipe < limit ? c->cc.ssthresh - pipe : limit;
	}
	/* The first retransmission goes at once. */
	if (f->prr_out == 0 && may < c->snd_mss)
		may = c->snd_mss;
	c->cc.cwnd = pipe + may > c->snd_mss ? pipe + may : c->snd_mss;
}

/* ---- needless episodes ---- */

static void undo(struct tcp_conn *c)
{
	struct flight *f = c->flight;
	uint32_t cwnd = c->cc.cwnd;

	count(c->stack, COUNT_TCP_UNDONE);
	c->cc = f->before;
	if (c->cc.cwnd < cwnd)
		c->cc.cwnd = cwnd;
	f->may_undo = false;
	flight_none_lost(c);
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
	return c->phase == LOSS_TIMEOUT && c->flight->timeout_first && news->original;
}

static bool needless(struct tcp_conn *c, const struct tcp_segment *s, const struct flight_news *news)
{
	if (!c->flight || !c->flight->may_undo || c->phase == LOSS_OPEN)
		return false;
	return eifel(c, s) || all_needless(c, news) || late(c, news);
}

/* ---- the steps ---- */

void recovery_take(struct tcp_conn *c, const struct tcp_segment *s, struct flight_news *news)
{
	*news = (struct flight_news){ 0 };
	flight_take_sack(c, s, news);
	if (seq_gt(s->ack, c->snd_una))
		flight_take_ack(c, s, news);
}

static void end_episode(struct tcp_conn *c)
{
	rack_recovered(c);
	if (c->phase == LOSS_RECOVERY)
		leave(c);
	else
		c->phase = LOSS_OPEN;
}

static void act(struct tcp_conn *c, const struct flight_news *news, const struct loss_told *told)
{
	if (c->phase == LOSS_OPEN && c->flight && c->flight->lost > 0) {
		enter(c, news);
		reduce(c, news, false);
	} else if (c->phase == LOSS_RECOVERY && c->flight) {
		reduce(c, news, told->acked > 0 && !told->ends && told->lost == 0);
	}
	loss_tell(c, told);
}

/* How much RACK takes for lost now. */
static uint32_t detect(struct tcp_conn *c, const struct flight_news *news)
{
	uint32_t before = c->flight ? c->flight->lost : 0;

	return rack_detect(c, news) ? c->flight->lost - before : 0;
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

	if (!c->flight && c->phase == LOSS_OPEN && !c->probe_out && !news->dsack) {
		/* What arrived had left together, and nothing was amiss: nearly always. */
		c->dupacks = 0;
		loss_tell(c, &told);
		rack_schedule_probe(c);
		return;
	}
	if (needless(c, s, news))
		undo(c);
	told.ends = c->phase != LOSS_OPEN && seq_geq(c->snd_una, c->recover);
	if (told.ends)
		end_episode(c);
	told.lost = detect(c, news);
	if (rack_probe_repaired(c, s, news) && c->phase == LOSS_OPEN) {
		c->cc.ops->on_congestion(&c->cc, c->stack->now, news->in_flight, false);
		c->cc.ops->on_recovered(&c->cc, c->stack->now);
	}
	act(c, news, &told);
	rack_schedule_probe(c);
	suspect_reneging(c);
	conn_ready(c);
}

void recovery_reorder_expired(struct tcp_conn *c)
{
	const struct flight_news news = { .in_flight = flight_pipe(c) };
	struct loss_told told = { .in_flight = news.in_flight };

	told.lost = detect(c, &news);
	if (told.lost > 0)
		act(c, &news, &told);
	conn_ready(c);
}

void recovery_before_timeout(struct tcp_conn *c)
{
	if (c->phase == LOSS_OPEN) {
		remember(c);
		c->flight->timeout_first = true;
	}
}

void recovery_timeout(struct tcp_conn *c)
{
	if (flight_first_is_sacked(c)) {
		flight_renege(c);
		flight_all_lost(c);
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
