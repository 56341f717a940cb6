/* SPDX-License-Identifier: BSD-3-Clause */
/* The constants are those of RFC 9406 4.3. L is 8: bursts are as long as what an acknowledgment frees, and it rarely frees more. */
#include "hystart.h"

#include "../base/seq.h"

#define SAMPLES 8
#define THRESHOLD_LEAST 4000u   /* microseconds */
#define THRESHOLD_MOST 16000u
#define DIVISOR 8u
#define CSS_GROWTH 4u   /* at least 2 (4.3) */
#define CSS_ROUNDS 5
#define L 8u
#define NONE UINT32_MAX

_Static_assert(CSS_GROWTH >= 2, "RFC 9406 4.3");

static uint32_t threshold(uint32_t last)
{
	uint32_t t = last / DIVISOR;

	return t < THRESHOLD_LEAST ? THRESHOLD_LEAST : t > THRESHOLD_MOST ? THRESHOLD_MOST : t;
}

static void begin_round(struct hystart *h, uint32_t snd_nxt)
{
	h->last_rtt = h->current_rtt;
	h->current_rtt = NONE;
	h->samples = 0;
	h->window_end = snd_nxt;
	h->in_round = true;
}

/* RFC 9406 4.2: what each sample means. */
static void sample(struct hystart *h, nsec rtt)
{
	uint32_t usec = rtt / 1000 < NONE ? (uint32_t)(rtt / 1000) : NONE - 1;

	if (usec < h->current_rtt)
		h->current_rtt = usec;
	if (h->samples < SAMPLES)
		h->samples++;
	if (h->samples < SAMPLES || h->current_rtt == NONE)
		return;
	if (h->css_round > 0) {
		/* The delay was not the window's: slow start goes on. */
		if (h->current_rtt < h->baseline)
			h->css_round = 0;
	} else if (h->last_rtt != NONE && h->current_rtt >= h->last_rtt + threshold(h->last_rtt)) {
		h->baseline = h->current_rtt;
		h->css_round = 1;
	}
}

void hystart_start(struct hystart *h)
{
	*h = (struct hystart){ .last_rtt = NONE, .current_rtt = NONE, .baseline = NONE };
}

void hystart_on_ack(struct hystart *h, struct cc *cc, const struct cc_ack *a)
{
	uint32_t most = a->after_timeout ? cc->mss : L * cc->mss;
	uint32_t growth = a->acked < most ? a->acked : most;

	if (!h->in_round)
		begin_round(h, a->snd_nxt);
	if (a->rtt)
		sample(h, a->rtt);
	if (a->limited)
		cc->cwnd += h->css_round > 0 ? growth / CSS_GROWTH : growth;
	if (!seq_geq(a->snd_una, h->window_end))
		return;
	begin_round(h, a->snd_nxt);
	if (h->css_round > 0 && h->css_round++ == CSS_ROUNDS) {
		cc->ssthresh = cc->cwnd;
		h->css_round = 0;
	}
}
