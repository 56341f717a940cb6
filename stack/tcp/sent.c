/* SPDX-License-Identifier: BSD-3-Clause */
/* One segment a round trip is timed (RFC 6298 3); a retransmission of anything ends the measurement, which is
 * Karn's rule. While retransmitting, timestamps still give samples (RFC 7323 4). */
#include "sent.h"

#include "flight.h"
#include "meter.h"
#include "timers.h"
#include "validate.h"

#define TS_SAMPLE_MOST (UINT32_C(3600) * 1000) /* a TSecr from another life is no sample */

static nsec sample(struct tcp_conn *c, const struct tcp_segment *s)
{
	uint32_t elapsed;

	if (c->timed) {
		if (seq_lt(s->ack, c->timed_seq))
			return 0;
		c->timed = false;
		meter_arrived(c, s->ack);
		return c->stack->now > c->timed_at ? c->stack->now - c->timed_at : 1;
	}
	if (!c->ts_on || !(s->has & SEG_HAS_TS) || (c->phase == LOSS_OPEN && c->backoff == 0))
		return 0;
	elapsed = conn_ts_now(c->stack, c->ts_offset) - s->tsecr;
	if (elapsed > TS_SAMPLE_MOST)
		return 0;
	return elapsed ? elapsed * NSEC_PER_MSEC : NSEC_PER_MSEC;
}

/* Numbers that are only compared with newer ones must not fall 2^31 behind. */
static void pull_along(struct tcp_conn *c)
{
	if (seq_lt(c->snd_up, c->snd_una))
		c->snd_up = c->snd_una;
	if (seq_lt(c->snd_small, c->snd_una))
		c->snd_small = c->snd_una;
	if (c->dsack_round_on && seq_geq(c->snd_una, c->dsack_round))
		c->dsack_round_on = false;
	/* One number less than what lets fast retransmit begin (RFC 6582 6). */
	if (c->phase == LOSS_OPEN && seq_lt(c->recover, c->snd_una - 2))
		c->recover = c->snd_una - 2;
}

RARELY_CALLED void count_again(struct tcp_conn *c, uint32_t numbers)
{
	uint32_t segments = numbers <= c->snd_mss ? 1 : (numbers + c->snd_mss - 1) / c->snd_mss;

	c->bytes_retransmitted += numbers;
	c->retransmitted_total += segments;
	c->timed = false;
	count_more(c->stack, COUNT_TCP_RETRANSMITTED, segments);
}

void sent_segment(struct tcp_conn *c, uint32_t seq, uint32_t end)
{
	bool resent = seq_lt(seq, c->snd_max);

	if (resent) {
		count_again(c, seq_lt(end, c->snd_max) ? end - seq : c->snd_max - seq);
	} else if (!c->timed) {
		c->timed = true;
		c->timed_seq = end;
		c->timed_at = c->stack->now;
		meter_begin(c);
	}
	c->snd_max = seq_max(c->snd_max, end);
	if (seq == c->snd_nxt && c->snd_wnd > 0)
		flight_sent(c, seq, end, resent);
}

void sent_again(struct tcp_conn *c, struct record *r)
{
	struct flight *f = c->flight;

	count_again(c, r->end - r->start);
	if (!f->resent_any) {
		f->resent_any = true;
		f->resent_tsval = conn_ts_now(c->stack, c->ts_offset);
	}
	flight_resent(c, r);
}

nsec sent_acked(struct tcp_conn *c, const struct tcp_segment *s)
{
	bool timed = c->timed;
	nsec rtt = sample(c, s);
	uint32_t bytes_end = seq_min(s->ack, conn_send_end(c));

	if (rtt) {
		rtt_age(&c->rtt, c->stack->now);
		if (c->rtt_resume && timed) {
			rtt_resume(&c->rtt, settings_of(c), rtt);
			c->rtt_resume = false;
		} else {
			rtt_sample(&c->rtt, settings_of(c), rtt);
		}
		c->backoff = 0;
		c->probe_unmeasured = false;
	}
	c->bytes_acked += bytes_end - (c->send_base + c->ep->send.tail);
	bytering_release(&c->ep->send, bytes_end - c->send_base);
	if (c->ep->send.next.size != 0)
		ep_settle(c->stack, c->ep, EP_SEND);
	c->snd_una = s->ack;
	c->snd_nxt = seq_max(c->snd_nxt, s->ack);
	if (!c->validation || seq_geq(c->snd_una, c->validation->round_end))
		validate_round(c);
	if (c->snd_una == c->snd_max && !timed)
		meter_arrived(c, s->ack);
	c->retransmits = 0;
	c->stalled_since = c->stack->now;
	pull_along(c);
	return rtt;
}
