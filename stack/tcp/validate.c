/* SPDX-License-Identifier: BSD-3-Clause */
/* pipeACK (RFC 7661 4.2) is the maximum of samples over max(3 RTT, 1 s), kept in as many parts as there are bins less one. A sample is what
 * was acknowledged in a round. The first acknowledgment in it finds all in flight that the one before let go: the round is over with that.
 * The window never grows unless it is full, in any phase (loss.c: limited); here it is given up by halves (4.4.3). */
#include "validate.h"

#define PERIOD_LEAST NSEC_PER_SEC
#define PERIOD_ROUNDS 3
#define NON_VALIDATED_PERIOD (300 * NSEC_PER_SEC)   /* NVP: "five minutes" (4.4) */

static void begin(struct tcp_conn *c)
{
	*c->validation = (struct validation){ .round_end = c->snd_una, .open = true, .from = (uint32_t)c->bytes_acked };
}

/* One that only waits, or only receives, has none. */
static struct validation *validation_of(struct tcp_conn *c)
{
	if (!c->validation) {
		c->validation = pool_take_or_null(&c->stack->tcp->validations);
		CHECK(c->validation);   /* as many as connections */
		begin(c);
	}
	return c->validation;
}

static uint32_t greater(uint32_t a, uint32_t b)
{
	return a > b ? a : b;
}

/* A burst is no more than what a round trip has carried, or an initial window. */
static void set_pipe_ack(struct tcp_conn *c, uint32_t most)
{
	c->validation->pipe_ack = most;
	c->validation->burst = greater(conn_initial_window(c), most);
}

/* Time has come to forget the oldest bin, or more of them. */
static void turn_bins(struct tcp_conn *c)
{
	struct validation *v = c->validation;
	uint32_t most = 0;
	nsec now = c->stack->now, rounds = PERIOD_ROUNDS * c->rtt.srtt, period = rounds > PERIOD_LEAST ? rounds : PERIOD_LEAST;
	nsec bin = period / (VALIDATION_BINS - 1), passed = 1 + (now - v->bin_end) / bin;

	v->bin_end += passed * bin;
	for (unsigned i = VALIDATION_BINS; i-- > 0;)
		v->most[i] = i >= passed ? v->most[i - passed] : 0;
	for (unsigned i = 0; i < VALIDATION_BINS; i++)
		most = greater(most, v->most[i]);
	set_pipe_ack(c, most);
}

/* 4.4.3. CUBIC begins at the new window anew, unless it is in its first slow start. */
static void give_up_half(struct tcp_conn *c)
{
	uint32_t least = conn_initial_window(c), kept = c->cc.cwnd - c->cc.cwnd / 4;
	bool avoidance = c->cc.ssthresh < CC_SSTHRESH_MAX;

	c->cc.ssthresh = greater(c->cc.ssthresh, kept);
	if (c->cc.cwnd > least)
		c->cc.cwnd = greater(c->cc.cwnd / 2, least);
	if (avoidance)
		c->cc.ops->on_recovered(&c->cc, c->stack->now);
}

/* `window`: the largest that what was acknowledged can have had. What has grown since is no larger than what was acknowledged. */
static void classify(struct tcp_conn *c, uint32_t window)
{
	struct validation *v = c->validation;
	nsec now = c->stack->now;

	if (v->pipe_ack >= window / 2) {
		c->unvalidated = false;
	} else if (!c->unvalidated) {
		c->unvalidated = true;
		v->unvalidated_since = now;
		validate_acked(c, 0);
	} else if (now - v->unvalidated_since >= NON_VALIDATED_PERIOD) {
		give_up_half(c);
		v->unvalidated_since = now;
	}
}

void validate_round(struct tcp_conn *c)
{
	struct validation *v = validation_of(c);
	uint32_t volume = (uint32_t)c->bytes_acked - v->from, window = v->window < c->cc.cwnd ? v->window : c->cc.cwnd;

	if (v->open && c->snd_una != c->snd_nxt) {
		v->open = false;
		v->round_end = c->snd_nxt;
		return;
	}
	v->open = true;
	v->round_end = c->snd_una;
	v->from = (uint32_t)c->bytes_acked;
	v->window = c->cc.cwnd;
	/* Requests and responses: nothing is new before a bin turns. */
	if (c->unvalidated && volume <= v->most[0] && c->stack->now < v->bin_end)
		return;
	if (c->cc.ops->flags & CC_OWN_WINDOW)
		return;
	/* 4.2: not while something is recovered; after that it is undefined until there is a measurement. */
	if (!v->begun || c->phase != LOSS_OPEN) {
		v->begun = c->phase == LOSS_OPEN;
		return;
	}
	if (c->stack->now >= v->bin_end)
		turn_bins(c);
	if (volume > v->most[0]) {
		v->most[0] = volume;
		set_pipe_ack(c, greater(v->pipe_ack, volume));
	}
	classify(c, window);
}

void validate_forget(struct tcp_conn *c)
{
	c->unvalidated = false;
	if (c->validation)
		begin(c);
}

void validate_detach(struct tcp_conn *c)
{
	if (!c->validation)
		return;
	pool_put(&c->stack->tcp->validations, c->validation);
	c->validation = NULL;
	c->unvalidated = false;
}

uint32_t validate_loss(struct tcp_conn *c, uint32_t flight)
{
	struct validation *v = validation_of(c);

	v->in_loss = c->unvalidated;
	v->resent_from = (uint32_t)c->bytes_retransmitted;
	return c->unvalidated ? greater(flight, v->pipe_ack) : flight;
}

void validate_recovered(struct tcp_conn *c)
{
	struct validation *v = validation_of(c);

	if (v->in_loss) {
		uint32_t half = ((uint32_t)c->bytes_retransmitted - v->resent_from) / 2, least = c->snd_mss;

		/* (max(pipeACK, LossFlightSize) - R) / 2, and no slow start from there: what was lost shows that it is too much. */
		c->cc.ssthresh = c->cc.ssthresh > half + least ? c->cc.ssthresh - half : least;
		if (c->cc.cwnd > c->cc.ssthresh)
			c->cc.cwnd = c->cc.ssthresh;
	}
	validate_forget(c);
}
