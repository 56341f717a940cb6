/* SPDX-License-Identifier: BSD-3-Clause */
/* The estimator of RFC 6298 in integers of nanoseconds. clock_granularity is its G: the standard profile has a
 * millisecond and a floor of one second; Linux floors the variance term instead, which is G = 200 ms. */
#include "rtt.h"

static nsec clamp(nsec value, nsec low, nsec high)
{
	return value < low ? low : value > high ? high : value;
}

void rtt_start(struct rtt *r, const struct tcp_settings *settings)
{
	r->srtt = 0;
	r->rttvar = 0;
	r->rto = settings->rto_initial;
	r->min = NSEC_NEVER;
	r->half_min_us = UINT32_MAX;
	r->half_since_s = 0;
}

void rtt_age(struct rtt *r, nsec now)
{
	uint32_t now_s = (uint32_t)(now / NSEC_PER_SEC);

	if (now_s - r->half_since_s < RTT_MIN_HALF / NSEC_PER_SEC)
		return;
	/* The first sample begins the first half. */
	if (r->half_since_s != 0)
		r->min = r->half_min_us == UINT32_MAX ? NSEC_NEVER : r->half_min_us * NSEC_PER_USEC;
	r->half_min_us = UINT32_MAX;
	r->half_since_s = now_s;
}

static void take_min(struct rtt *r, nsec sample)
{
	nsec us = (sample + NSEC_PER_USEC - 1) / NSEC_PER_USEC;

	if (sample < r->min)
		r->min = sample;
	if (us < r->half_min_us)
		r->half_min_us = (uint32_t)us;
}

static void set_rto(struct rtt *r, const struct tcp_settings *settings)
{
	nsec term = 4 * r->rttvar;

	if (term < settings->clock_granularity)
		term = settings->clock_granularity;
	r->rto = clamp(r->srtt + term, settings->rto_min, settings->rto_max);
}

void rtt_sample(struct rtt *r, const struct tcp_settings *settings, nsec sample)
{
	if (sample == 0)
		sample = 1;
	take_min(r, sample);
	if (r->srtt == 0) {
		r->srtt = sample;
		r->rttvar = sample / 2;
	} else {
		/* 2.3: RTTVAR first, with the old SRTT. */
		nsec error = r->srtt > sample ? r->srtt - sample : sample - r->srtt;

		r->rttvar = r->rttvar - r->rttvar / 4 + error / 4;
		r->srtt = r->srtt - r->srtt / 8 + sample / 8;
	}
	set_rto(r, settings);
}

void rtt_resume(struct rtt *r, const struct tcp_settings *settings, nsec sample)
{
	take_min(r, sample);
	if (r->srtt < sample)
		r->srtt = sample;
	if (r->rttvar < sample / 2)
		r->rttvar = sample / 2;
	set_rto(r, settings);
}

nsec rtt_backed_off(const struct rtt *r, const struct tcp_settings *settings, unsigned backoff)
{
	nsec rto = r->rto;

	while (backoff-- > 0 && rto < settings->rto_max)
		rto *= 2;
	return clamp(rto, 0, settings->rto_max);
}
