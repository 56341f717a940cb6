/* SPDX-License-Identifier: BSD-3-Clause */
/* RFC 8985. Times are of the last transmission; segments that left together are told apart by their sequence, as
 * RACK_sent_after does. The names of the RFC: RACK.xmit_ts is rack_sent_at, RACK.end_seq rack_end, RACK.rtt rack_rtt. */
#include "rack.h"

#include "recovery.h"
#include "send.h"
#include "timers.h"

#define REORDER_PERSIST 16     /* recoveries without a D-SACK before the window is small again */
#define REORDER_MOST 63
#define MAX_ACK_DELAY (200 * NSEC_PER_MSEC)   /* RFC 8985 7.2 WCDelAckT, as Linux has it */
#define PROBE_WITHOUT_RTT NSEC_PER_SEC
#define PROBE_LEAST (2 * NSEC_PER_MSEC)

/* RFC 6675 4 and 5: three duplicates, three ranges, or more than two full segments. Small segments count as well as large ones. */
static bool three_sacked(const struct tcp_conn *c)
{
	return c->dupacks >= DUPLICATES || c->flight->sacked > (DUPLICATES - 1) * (uint32_t)c->snd_mss;
}

static void count_duplicates(struct tcp_conn *c, const struct flight_news *news)
{
	unsigned n = c->dupacks + 1u > news->ranges ? c->dupacks + 1u : news->ranges;

	if (news->acked > 0)
		c->dupacks = 0;
	else if (news->sacked > 0)
		c->dupacks = (uint8_t)(n < DUPLICATES ? n : DUPLICATES);
}

/* RFC 8985 6.2 step 4: RACK_update_reo_wnd. */
static nsec reorder_window(struct tcp_conn *c)
{
	nsec window;

	if (!c->reordering_seen && (c->phase != LOSS_OPEN || three_sacked(c)))
		return 0;
	window = c->rtt.min == NSEC_NEVER ? 0 : c->rtt.min / 4 * c->reorder_steps;
	return window < c->rtt.srtt ? window : c->rtt.srtt;
}

static void adapt(struct tcp_conn *c, const struct flight_news *news)
{
	if (c->dsack_round_on && seq_geq(c->snd_una, c->dsack_round))
		c->dsack_round_on = false;
	if (!news->dsack || c->dsack_round_on)
		return;
	c->dsack_round_on = true;
	c->dsack_round = c->snd_nxt;
	if (c->reorder_steps < REORDER_MOST)
		c->reorder_steps++;
	c->reorder_persist = REORDER_PERSIST;
}

static bool sent_after(const struct flight *f, const struct record *r)
{
	return f->rack_sent_at > r->sent_at || (f->rack_sent_at == r->sent_at && seq_gt(f->rack_end, r->end));
}

/* RACK_detect_loss. Returns when the next one may be lost; NSEC_NEVER: none that was sent before what has arrived. */
static nsec mark(struct tcp_conn *c, bool *marked)
{
	struct flight *f = c->flight;
	nsec now = c->stack->now, allowed = f->rack_rtt + reorder_window(c);

	list_for_each(node, &f->by_time) {
		struct record *r = container_of(node, struct record, by_time);

		if (!sent_after(f, r))
			return NSEC_NEVER;
		if (r->sent_at + allowed > now)
			return r->sent_at + allowed;
		flight_mark_lost(c, r);
		*marked = true;
	}
	return NSEC_NEVER;
}

bool rack_detect(struct tcp_conn *c, const struct flight_news *news)
{
	bool marked = false;
	nsec due;

	adapt(c, news);
	count_duplicates(c, news);
	if (!c->flight || c->flight->rack_sent_at == 0) {
		if (c->loss_timer == LOSS_TIMER_REORDER)
			timers_loss(c, LOSS_TIMER_NONE, NSEC_NEVER);
		return false;
	}
	due = mark(c, &marked);
	if (due != NSEC_NEVER)
		timers_loss(c, LOSS_TIMER_REORDER, due);
	else if (c->loss_timer == LOSS_TIMER_REORDER)
		timers_loss(c, LOSS_TIMER_NONE, NSEC_NEVER);
	return marked;
}

void rack_recovered(struct tcp_conn *c)
{
	if (c->reorder_persist > 0 && --c->reorder_persist == 0)
		c->reorder_steps = 1;
}

void rack_timeout(struct tcp_conn *c)
{
	struct flight *f = c->flight;
	/* What was measured last; of this flight nothing may have arrived yet. */
	nsec rtt = f->rack_sent_at ? f->rack_rtt : c->rtt.srtt, allowed = rtt + reorder_window(c), now = c->stack->now;
	bool first = true;

	list_for_each(node, &f->by_sequence) {
		struct record *r = container_of(node, struct record, by_sequence);

		if (r->state != RECORD_SACKED && r->state != RECORD_LOST && (first || rtt == 0 || r->sent_at + allowed <= now))
			flight_mark_lost(c, r);
		first = false;
	}
	flight_sort_lost(c);
}

/* ---- the tail loss probe ---- */

/* RFC 8985 7.3: new data if there is some and the peer's window takes it, else the last segment again. */
static void send_tail_probe(struct tcp_conn *c)
{
	if (c->probe_out)
		return;
	c->probe_out = send_one_new(c);
	c->probe_again = false;
	if (!c->probe_out) {
		struct record *r = flight_last_or_null(c, c->snd_mss);

		c->probe_out = r && send_record(c, r);
		c->probe_again = c->probe_out;
	}
	c->probe_end = c->snd_nxt;
	if (c->probe_out) {
		c->probe_unmeasured = true;
		count(c->stack, COUNT_TCP_LOSS_PROBES);
	}
	timers_restart(c);
}

void rack_expired(struct tcp_conn *c)
{
	enum loss_timer which = (enum loss_timer)c->loss_timer;

	c->loss_timer = LOSS_TIMER_NONE;
	if (c->snd_una == c->snd_nxt)
		return;
	if (which == LOSS_TIMER_REORDER)
		recovery_reorder_expired(c);
	else if (which == LOSS_TIMER_PROBE && c->phase == LOSS_OPEN && c->snd_wnd > 0)
		send_tail_probe(c);
}

/* RFC 8985 7.2, 7.3: one probe a flight and a measured round trip, only with nothing SACKed and outside of recovery, never later than
 * the timeout. */
void rack_schedule_probe(struct tcp_conn *c)
{
	const struct flight *f = c->flight;
	nsec wait = PROBE_WITHOUT_RTT, due;

	if (!c->sack_on || c->snd_una == c->snd_nxt || c->phase != LOSS_OPEN || (f && (f->sacked > 0 || f->lost > 0)) || c->probe_out ||
	    c->probe_unmeasured || c->loss_timer == LOSS_TIMER_REORDER || c->retransmit_mode != RETRANSMIT_DATA)
		return;
	if (c->rtt.srtt) {
		wait = 2 * c->rtt.srtt;
		if (flight_pipe(c) <= c->snd_mss)
			wait += MAX_ACK_DELAY;
		else if (wait < PROBE_LEAST)
			wait = PROBE_LEAST;
	}
	due = c->stack->now + wait;
	timers_loss(c, LOSS_TIMER_PROBE, due < c->due[DUE_RETRANSMIT] ? due : c->due[DUE_RETRANSMIT]);
}

bool rack_probe_instead(struct tcp_conn *c)
{
	nsec limit = timers_user_timeout(c);

	if (c->loss_timer != LOSS_TIMER_PROBE || c->due[DUE_LOSS] > c->stack->now || c->phase != LOSS_OPEN || c->snd_wnd == 0 ||
	    c->probe_out || (limit && c->stack->now - c->stalled_since >= limit))
		return false;
	rack_expired(c);
	return true;
}

bool rack_probe_repaired(struct tcp_conn *c, const struct tcp_segment *s, const struct flight_news *news)
{
	if (!c->probe_out || seq_lt(s->ack, c->probe_end))
		return false;
	if (!c->probe_again) {
		c->probe_out = false;   /* new data was the probe: nothing was sent twice */
		return false;
	}
	/* A D-SACK for it: the original had arrived, too. */
	if (news->dsack && news->dsack_end == c->probe_end) {
		c->probe_out = false;
		return false;
	}
	if (seq_gt(s->ack, c->probe_end)) {
		c->probe_out = false;
		return true;
	}
	return false;
}

/* RFC 8985 7.4.2: a duplicate without SACK blocks says that both the original and the probe have arrived. */
void rack_nothing_new(struct tcp_conn *c, const struct tcp_segment *s)
{
	if (c->probe_out && c->probe_again && s->ack == c->probe_end && s->len == 0 && s->sack_count == 0)
		c->probe_out = false;
}
