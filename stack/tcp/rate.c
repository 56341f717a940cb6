/* SPDX-License-Identifier: BSD-3-Clause */
/* A rate is what arrived between two acknowledgments, over the longer of the time it took to send and to acknowledge it: so that neither
 * compressed acknowledgments nor a burst make the path look faster than it is. */
#include "rate.h"

#include "../base/seq.h"

static uint32_t ticks(nsec later, nsec earlier)
{
	nsec t = later > earlier ? (later - earlier) / RATE_TICK : 0;

	return t < UINT32_MAX ? (uint32_t)t : UINT32_MAX;
}

/* What was sent last of all that has arrived; together means in the order of sequence. */
static bool is_newest(const struct rate *r, nsec sent_at, uint32_t end)
{
	return sent_at > r->first_sent_at || (sent_at == r->first_sent_at && seq_gt(end, r->newest_end));
}

/* InflightAtLoss: the part of this piece up to which the losses would still have been few enough. */
static uint32_t in_flight_at_loss(uint32_t in_flight, uint32_t lost, uint32_t size)
{
	uint32_t before = in_flight > size ? in_flight - size : 0, lost_before = lost > size ? lost - size : 0;

	if (lost_before >= before / RATE_LOSS_DIVISOR)
		return before;
	return before + (before / RATE_LOSS_DIVISOR - lost_before) * RATE_LOSS_DIVISOR / (RATE_LOSS_DIVISOR - 1);
}

void rate_start(struct rate *r, nsec now)
{
	*r = (struct rate){ .delivered_at = now, .first_sent_at = now };
}

void rate_sent(struct rate *r, struct rate_mark *m, nsec now, uint32_t in_flight_before, uint32_t in_flight_after)
{
	if (in_flight_before == 0)
		r->first_sent_at = r->delivered_at = now;
	m->delivered = r->delivered;
	m->lost = r->lost;
	m->in_flight = in_flight_after | (r->app_limited ? RATE_APP_LIMITED : 0);
	m->delivered_ago = ticks(now, r->delivered_at);
	m->first_sent_ago = ticks(now, r->first_sent_at);
}

void rate_arrived(struct rate *r, const struct rate_mark *m, nsec now, nsec sent_at, uint32_t start, uint32_t end)
{
	struct rate_sample *s = &r->sample;

	r->delivered += end - start;
	r->delivered_at = now;
	if (s->any && !is_newest(r, sent_at, end))
		return;
	s->any = true;
	s->prior_delivered = m->delivered;
	s->app_limited = m->in_flight & RATE_APP_LIMITED;
	s->in_flight = m->in_flight & ~RATE_APP_LIMITED;
	s->lost = m->lost; /* until rate_take */
	r->prior_at = sent_at - (nsec)m->delivered_ago * RATE_TICK;
	r->send_elapsed = (nsec)m->first_sent_ago * RATE_TICK;
	r->first_sent_at = sent_at;
	r->newest_end = end;
}

void rate_lost(struct rate *r, const struct rate_mark *m, uint32_t start, uint32_t end)
{
	struct rate_sample *s = &r->sample;
	uint32_t in_flight = m->in_flight & ~RATE_APP_LIMITED, lost;

	if (s->lost_ranges == 0 || start != r->lost_end)
		s->lost_ranges++;
	r->lost_end = end;
	r->lost += end - start;
	lost = r->lost - m->lost;
	if (s->too_many || lost <= in_flight / RATE_LOSS_DIVISOR)
		return;
	s->too_many = true;
	s->loss_app_limited = m->in_flight & RATE_APP_LIMITED;
	s->loss_in_flight = in_flight_at_loss(in_flight, lost, end - start);
}

void rate_excuse(struct rate *r, uint32_t n)
{
	r->lost -= n;
	r->sample.lost_ranges = 0;
	r->sample.too_many = false;
}

const struct rate_sample *rate_take(struct rate *r, nsec rtt_min)
{
	struct rate_sample *s = &r->sample;
	nsec ack_elapsed = r->delivered_at - r->prior_at;

	s->total = r->delivered;
	if (r->app_limited && seq_gt(r->delivered, r->app_limited_until))
		r->app_limited = false;
	if (!s->any)
		return s;
	s->lost = r->lost - s->lost;
	s->delivered = r->delivered - s->prior_delivered;
	s->interval = ack_elapsed > r->send_elapsed ? ack_elapsed : r->send_elapsed;
	/* What was sent again and acknowledged for its first transmission looks faster than light. */
	if (s->interval == 0 || (rtt_min != NSEC_NEVER && s->interval < rtt_min))
		return s;
	s->rate = (uint64_t)s->delivered * NSEC_PER_SEC / s->interval;
	if (s->rate && (!s->app_limited || s->rate >= r->latest)) {
		r->latest = s->rate;
		r->latest_app_limited = s->app_limited;
	}
	return s;
}

void rate_clear(struct rate *r)
{
	r->sample = (struct rate_sample){ 0 };
}

void rate_app_limited(struct rate *r, uint32_t in_flight)
{
	r->app_limited = true;
	r->app_limited_until = r->delivered + in_flight;
}
