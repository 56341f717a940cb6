/* SPDX-License-Identifier: BSD-3-Clause */
/* The scoreboard against a model that is as simple as can be, a bit for each number, and what a hostile peer may make it cost. */
#include "tests/harness.h"

#include <string.h>

#include "base/rng.h"
#include "tcp/flight.h"

#define MSS 1000
#define WINDOW_SCALE 7
#define STEPS_MOST 512         /* sack.c */
#define RECORDS_SPARE 64
#define SMALL 400

static uint8_t bytes[50 * MSS];

/* An accepted connection with SACK and a large window, whose cwnd is `segments`, all of them out. */
static struct tcp_conn *open_and_fill(struct harness_host *h, struct harness_peer *p, uint32_t segments)
{
	ep_id listener = harness_listen(h, OUR_PORT, 8), child;
	uint32_t left = segments * MSS;
	struct tcp_segment s;
	struct tcp_conn *c;

	*p = (struct harness_peer){ .seq = 1000, .port = PEER_PORT, .window = 65535 };
	harness_send(h, p, (struct tcp_segment){ .flags = SEG_SYN, .has = SEG_HAS_MSS | SEG_HAS_SACK_OK | SEG_HAS_SCALE, .mss = MSS,
						 .scale = WINDOW_SCALE });
	s = harness_expect(h, SEG_SYN | SEG_ACK);
	p->seq = 1001;
	p->ack = s.seq + 1;
	harness_send(h, p, (struct tcp_segment){ .flags = SEG_ACK });
	assert_int_equal(ep_accept(h->stack, listener, &child, NULL), 0);
	assert_int_equal(ep_close(h->stack, listener), 0);
	c = harness_conn(h, child);
	c->cc.cwnd = segments * MSS;
	assert_int_equal(ep_set(h->stack, child, EP_SEND_BUFFER, 16 << 20), 0);
	assert_int_equal(ep_grow_send(h->stack, child, 16 << 20), 0);
	while (left > 0) {
		int64_t n = ep_send(h->stack, child, bytes, left < sizeof(bytes) ? left : sizeof(bytes));

		assert_true(n > 0);
		left -= (uint32_t)n;
		harness_pass(h, NSEC_PER_USEC);
		while (harness_sent(h, &s))
			;
	}
	assert_int_equal(c->snd_nxt - c->snd_una, segments * MSS);
	return c;
}

static void drain(struct harness_host *h)
{
	struct tcp_segment s;

	while (harness_sent(h, &s))
		;
}

/* ---- the model ---- */

#define NUMBERS (60u * MSS)

struct model {
	bool sacked[NUMBERS];
	uint32_t base, una;    /* of the numbers; how many are acknowledged */
};

static bool model_is_dsack(const struct model *m, const struct tcp_segment *s)
{
	const struct sack_block *b = s->sack;

	return seq_lt(b[0].start, m->base + m->una) ||
	       (s->sack_count > 1 && seq_geq(b[0].start, b[1].start) && seq_leq(b[0].end, b[1].end));
}

static void model_take(struct model *m, const struct tcp_segment *s)
{
	for (unsigned i = s->sack_count > 0 && model_is_dsack(m, s); i < s->sack_count; i++)
		for (uint32_t n = s->sack[i].start - m->base; n < s->sack[i].end - m->base; n++)
			if (n >= m->una)
				m->sacked[n] = true;
}

static void compare(const struct model *m, const struct tcp_conn *c)
{
	uint32_t sacked = 0;

	for (uint32_t n = m->una; n < NUMBERS; n++)
		sacked += m->sacked[n];
	assert_int_equal(c->snd_una - m->base, m->una);
	if (!c->flight) {
		assert_int_equal(sacked, 0);
		return;
	}
	assert_int_equal(c->flight->sacked, sacked);
	list_for_each(node, &c->flight->by_sequence) {
		const struct record *r = container_of(node, struct record, by_sequence);

		for (uint32_t n = r->start - m->base; n < r->end - m->base; n++)
			assert_int_equal(m->sacked[n], r->state == RECORD_SACKED);
	}
}

/* What a peer may say next: up to four blocks anywhere, in any order, and now and then more that is acknowledged. */
static struct tcp_segment random_ack(struct rng *rng, struct model *m)
{
	struct tcp_segment s = { .flags = SEG_ACK, .sack_count = (uint8_t)rng_below(rng, 5) };

	if (rng_below(rng, 4) == 0)
		m->una += (uint32_t)rng_below(rng, (NUMBERS - m->una) / 8 + 1);
	while (m->una < NUMBERS && m->sacked[m->una])     /* an honest peer's acknowledgment goes as far as it can */
		m->una++;
	s.ack = m->base + m->una;
	for (unsigned i = 0; i < s.sack_count; i++) {
		uint32_t start = m->una + (uint32_t)rng_below(rng, NUMBERS - m->una), most = NUMBERS - start;

		s.sack[i].start = m->base + start;
		s.sack[i].end = s.sack[i].start + 1 + (uint32_t)rng_below(rng, most < 4000 ? most : 4000);
		if (s.sack[i].start == s.ack)     /* it would have been acknowledged */
			s.sack_count = (uint8_t)i;
	}
	return s;
}

/* covers: 6675-5-update */
static void the_scoreboard_is_what_a_bit_for_each_number_says(void **state)
{
	static struct model m;

	(void)state;
	for (unsigned seed = 1; seed <= 60; seed++) {
		struct harness_host *h = harness_host_new(1, NULL, 0);
		struct harness_peer p;
		struct tcp_conn *c = open_and_fill(h, &p, NUMBERS / MSS);
		struct rng rng;

		rng_seed_u64(&rng, seed);
		memset(&m, 0, sizeof(m));
		m.base = p.ack;
		for (unsigned i = 0; i < 25 && m.una < NUMBERS; i++) {
			struct tcp_segment s = random_ack(&rng, &m);

			model_take(&m, &s);
			harness_send(h, &p, s);
			compare(&m, c);
			drain(h);
			harness_pass(h, rng_below(&rng, 100) * NSEC_PER_USEC);
			compare(&m, c);
			drain(h);
		}
		harness_host_free(h);
	}
}

/* ---- what it costs ---- */

static void every_other_byte_makes_few_records(void **state)
{
	struct harness_host *h = harness_host_new(1, NULL, 0);
	struct harness_peer p;
	struct tcp_conn *c = open_and_fill(h, &p, 60);

	(void)state;
	for (uint32_t i = 1; i < 20000; i += 2) {
		harness_send(h, &p, (struct tcp_segment){ .flags = SEG_ACK, .ack = p.ack, .sack_count = 1,
							  .sack = { { p.ack + i, p.ack + i + 1 } } });
		drain(h);
		assert_true(c->flight->records <= RECORDS_SPARE + 2 * 60 + 60);   /* and what is sent again is cut, too */
	}
	assert_true(c->flight->sacked > 50);
	harness_host_free(h);
}

/* Every other segment of 2600, four at a time and each far from the others: a walk from one to the next would be thousands of records. */
static void blocks_far_from_each_other_cost_a_bounded_walk(void **state)
{
	enum { SEGMENTS = 2600, QUARTER = SEGMENTS / 4 };
	struct harness_host *h = harness_host_new(1, NULL, 0);
	struct harness_peer p;
	struct tcp_conn *c = open_and_fill(h, &p, SEGMENTS);
	uint32_t steps = 0;

	(void)state;
	for (uint32_t round = 0; round < 2; round++) {
		for (uint32_t i = 1; i < QUARTER; i += 2) {
			struct tcp_segment s = { .flags = SEG_ACK, .ack = p.ack, .sack_count = 4 };

			for (unsigned k = 0; k < 4; k++) {
				uint32_t start = p.ack + (k * QUARTER + (k % 2 ? i : QUARTER - i)) * MSS;

				s.sack[k] = (struct sack_block){ start, start + MSS };
			}
			harness_send(h, &p, s);
			drain(h);
			assert_true(c->flight->steps <= STEPS_MOST + 4);
			if (c->flight->steps > steps)
				steps = c->flight->steps;
		}
	}
	assert_int_equal(steps, STEPS_MOST);          /* it would have been more */
	harness_host_free(h);
}

/* The blocks of an honest peer lie where the last ones did: all are believed, for a few steps each, and of a window of full segments each may
 * have arrived or not. */
static void an_honest_peer_is_believed_for_a_few_steps(void **state)
{
	enum { SEGMENTS = 5000 };
	struct harness_host *h = harness_host_new(1, NULL, 0);
	struct harness_peer p;
	struct tcp_conn *c = open_and_fill(h, &p, SEGMENTS);

	(void)state;
	for (uint32_t i = 1; i < SEGMENTS; i += 2) {
		struct tcp_segment s = { .flags = SEG_ACK, .ack = p.ack };

		for (unsigned k = 0; k < 3 && i > 2 * k; k++) {
			uint32_t start = p.ack + (i - 2 * k) * MSS;

			s.sack[s.sack_count++] = (struct sack_block){ start, start + MSS };
		}
		harness_send(h, &p, s);
		drain(h);
		assert_true(c->flight->steps <= 16);
		assert_int_equal(c->flight->sacked, (i + 1) / 2 * MSS);
	}
	harness_host_free(h);
}

/* What was sent again arrives in the middle, new data at the end, and both in turn. A walk from one to the other is too long to be made, but is
 * made only once. */
static void several_places_in_turn_cost_a_few_steps_each(void **state)
{
	enum { SEGMENTS = 5000, ROUNDS = 100 };
	static const uint32_t places[] = { 1248, 2500, 3748 };
	struct harness_host *h = harness_host_new(1, NULL, 0);
	struct harness_peer p;
	struct tcp_conn *c = open_and_fill(h, &p, SEGMENTS);

	(void)state;
	for (uint32_t i = 1; i < SEGMENTS + 4 * 3 * ROUNDS; i += 4) {
		/* At first each fourth segment from the front to the end, then one beside those at each place. */
		uint32_t n = i / 4 - SEGMENTS / 4, at = i < SEGMENTS ? i : places[n % 3] + 4 * (n / 3) + 3, before = c->flight ? c->flight->sacked : 0;

		harness_send(h, &p, (struct tcp_segment){ .flags = SEG_ACK, .ack = p.ack, .sack_count = 1,
							  .sack = { { p.ack + at * MSS, p.ack + (at + 1) * MSS } } });
		drain(h);
		if (i > SEGMENTS && n / 3 < 3)
			continue;
		assert_int_equal(c->flight->sacked, before + MSS);
		assert_true(c->flight->steps <= 16);
	}
	harness_host_free(h);
}

/* A block that grows is one record, however much it covers. */
static void what_is_sacked_together_is_one_record(void **state)
{
	struct harness_host *h = harness_host_new(1, NULL, 0);
	struct harness_peer p;
	struct tcp_conn *c = open_and_fill(h, &p, 1000);

	(void)state;
	for (uint32_t i = 2; i <= 1000; i++) {
		harness_send(h, &p, (struct tcp_segment){ .flags = SEG_ACK, .ack = p.ack, .sack_count = 1,
							  .sack = { { p.ack + MSS, p.ack + i * MSS } } });
		drain(h);
		assert_true(c->flight->steps <= 4);
	}
	assert_int_equal(c->flight->records, 2);
	assert_int_equal(c->flight->sacked, 999 * MSS);
	harness_host_free(h);
}

/* A burst of 50 segments, and behind it as many small ones as there may be records, each with a time of its own. */
static struct tcp_conn *open_and_use_all_records(struct harness_host *h, struct harness_peer *p)
{
	struct tcp_conn *c = open_and_fill(h, p, 50);
	uint32_t records;

	c->cc.cwnd = 5000 * MSS;
	assert_int_equal(ep_set(h->stack, c->ep->id, EP_NODELAY, 1), 0);
	assert_int_equal(ep_set(h->stack, c->ep->id, EP_MAX_PACING_RATE, INT64_C(1) << 40), 0);
	do {
		records = c->flight ? c->flight->records : 0;
		assert_int_equal(ep_send(h->stack, c->ep->id, bytes, SMALL), SMALL);
		harness_pass(h, NSEC_PER_USEC);
		drain(h);
	} while (c->flight->records > records);
	assert_true(records > 4000);
	return c;
}

/* Whether the front goes again before so much time is over. */
static bool front_goes_again(struct harness_host *h, const struct tcp_conn *c, nsec most)
{
	struct tcp_segment s;
	nsec end = h->now + most;

	do {
		while (harness_sent(h, &s))
			if (s.seq == c->snd_una && s.len > 0)
				return true;
		harness_pass(h, 10 * NSEC_PER_MSEC);
	} while (h->now < end);
	return false;
}

static void without_a_record_to_spare_what_is_lost_goes_again_after_a_timeout(void **state)
{
	struct harness_host *h = harness_host_new(1, NULL, 0);
	struct harness_peer p;
	struct tcp_conn *c = open_and_use_all_records(h, &p);

	(void)state;
	assert_true(front_goes_again(h, c, 2 * NSEC_PER_SEC));
	drain(h);
	harness_host_free(h);
}

static void without_a_record_to_spare_what_is_lost_goes_again_after_sacks(void **state)
{
	struct harness_host *h = harness_host_new(1, NULL, 0);
	struct harness_peer p;
	struct tcp_conn *c = open_and_use_all_records(h, &p);

	(void)state;
	/* No two that are lost lie side by side. */
	for (uint32_t i = 1; i < 4000; i += 2) {
		uint32_t start = p.ack + 50 * MSS + i * SMALL;

		harness_send(h, &p, (struct tcp_segment){ .flags = SEG_ACK, .ack = p.ack, .sack_count = 1,
							  .sack = { { start, start + SMALL } } });
		if (front_goes_again(h, c, 0))
			break;
	}
	assert_true(c->flight->lost > 0);
	for (uint32_t end = p.ack + 50 * MSS; seq_lt(p.ack, end); p.ack += MSS) {
		harness_send(h, &p, (struct tcp_segment){ .flags = SEG_ACK, .ack = p.ack });
		assert_true(front_goes_again(h, c, 2 * NSEC_PER_SEC));
		assert_null(flight_check(c));
	}
	drain(h);
	harness_host_free(h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_scoreboard_is_what_a_bit_for_each_number_says),
		cmocka_unit_test(every_other_byte_makes_few_records),
		cmocka_unit_test(blocks_far_from_each_other_cost_a_bounded_walk),
		cmocka_unit_test(an_honest_peer_is_believed_for_a_few_steps),
		cmocka_unit_test(several_places_in_turn_cost_a_few_steps_each),
		cmocka_unit_test(what_is_sacked_together_is_one_record),
		cmocka_unit_test(without_a_record_to_spare_what_is_lost_goes_again_after_a_timeout),
		cmocka_unit_test(without_a_record_to_spare_what_is_lost_goes_again_after_sacks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
