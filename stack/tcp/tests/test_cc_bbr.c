/* SPDX-License-Identifier: BSD-3-Clause */
/* BBR (draft-ietf-ccwg-bbr-06) as struct cc alone, on a path that is a rate, a round trip and a queue: what it does in each of its states, and
 * when it leaves them. Its flows beside others are worlds of the laboratory (sim/). */
#include "tests/harness.h"

#include <string.h>

#include "base/seq.h"
#include "tcp/cc_bbr.h"

#define MSS 1000u
#define MS NSEC_PER_MSEC
#define SEC NSEC_PER_SEC
#define PIECES 65536u            /* segments that may be on their way, and no more than a connection's worth */
#define INITIAL (10 * MSS)

struct piece {
	nsec sent_at, arrives;   /* arrives: its acknowledgment; NSEC_NEVER: it is lost */
	struct rate_mark mark;
};

/* The path, and the sender's side of it: what a connection does around struct cc. */
static struct simple_path {
	struct cc cc;
	struct rate rate;
	uint64_t large[CC_LARGE_BYTES / 8];
	struct piece piece[PIECES];
	uint64_t link;           /* bytes a second */
	nsec rtt, now, free_at, next;
	uint32_t queue;          /* bytes it holds at most */
	uint32_t head, tail;     /* pieces sent, and those that are settled */
	uint32_t in_flight, lose_every, sent, recover;
	uint64_t delivered, waited; /* waited: the sum of round trips, in microseconds */
	bool silent, in_recovery;  /* silent: the program has nothing to say */
} path;

static struct bbr *bbr(void)
{
	return bbr_of(&path.cc);
}

static void begin(uint64_t link, nsec rtt, uint32_t queue)
{
	memset(&path, 0, sizeof(path));
	path.link = link;
	path.rtt = rtt;
	path.queue = queue;
	path.now = path.free_at = SEC;
	path.cc.large = path.large;
	rate_start(&path.rate, path.now);
	cc_start(&path.cc, &cc_bbr, MSS, INITIAL, path.now);
}

static void send_one(void)
{
	struct piece *p = &path.piece[path.head++ % PIECES];
	nsec start = path.free_at > path.now ? path.free_at : path.now;

	rate_sent(&path.rate, &p->mark, path.now, path.in_flight, path.in_flight + MSS);
	p->sent_at = path.now;
	path.in_flight += MSS;
	path.sent++;
	if ((start - path.now) * path.link / SEC > path.queue || (path.lose_every && path.sent % path.lose_every == 0)) {
		p->arrives = NSEC_NEVER;
		return;
	}
	path.free_at = start + MSS * SEC / path.link;
	p->arrives = path.free_at + path.rtt;
}

static void send_what_may(void)
{
	while (!path.silent && path.in_flight + MSS <= path.cc.cwnd && path.now >= path.next && path.head - path.tail < PIECES) {
		send_one();
		path.next = (path.next > path.now ? path.next : path.now) + MSS * SEC / path.cc.pacing_rate;
	}
	if (path.silent)
		rate_app_limited(&path.rate, path.in_flight);
}

/* The next piece that arrives settles all before it: those are lost, and an episode of loss lasts until what was sent by then is settled. */
static void acknowledge(uint32_t n)
{
	struct piece *p = &path.piece[n % PIECES];
	struct cc_ack a = { .now = path.now, .rtt = path.now - p->sent_at, .delivered = MSS, .in_flight = path.in_flight };

	for (; path.tail != n; path.tail++) {
		rate_lost(&path.rate, &path.piece[path.tail % PIECES].mark, path.tail * MSS, (path.tail + 1) * MSS);
		path.in_flight -= MSS;
		a.lost += MSS;
	}
	rate_arrived(&path.rate, &p->mark, path.now, p->sent_at, n * MSS, (n + 1) * MSS);
	path.tail++;
	path.in_flight -= MSS;
	path.delivered += MSS;
	path.waited += a.rtt / NSEC_PER_USEC;
	a.acked = a.delivered + a.lost;
	a.in_flight_after = path.in_flight;
	a.snd_una = path.tail * MSS;
	a.snd_nxt = path.head * MSS;
	a.rate = &path.rate;
	rate_take(&path.rate, path.rtt);
	if (path.in_recovery && seq_geq(path.tail, path.recover)) {
		path.in_recovery = false;
		path.cc.ops->on_recovered(&path.cc, path.now);
	}
	if (a.lost && !path.in_recovery) {
		path.in_recovery = true;
		path.recover = path.head;
		path.cc.ops->on_congestion(&path.cc, path.now, a.in_flight, false);
	}
	path.cc.ops->on_ack(&path.cc, &a);
	rate_clear(&path.rate);
}

/* One event: something may leave, or an acknowledgment comes. False: nothing will happen. */
static bool step(nsec until)
{
	nsec ack = NSEC_NEVER, send = NSEC_NEVER, next;
	uint32_t n;

	send_what_may();
	for (n = path.tail; n != path.head; n++)
		if (path.piece[n % PIECES].arrives != NSEC_NEVER)
			break;
	if (n != path.head)
		ack = path.piece[n % PIECES].arrives;
	if (!path.silent && path.in_flight + MSS <= path.cc.cwnd)
		send = path.next;
	next = ack < send ? ack : send;
	if (next > until) {
		path.now = until;
		return false;
	}
	path.now = next > path.now ? next : path.now;
	if (ack <= path.now && n != path.head)
		acknowledge(n);
	return true;
}

static void run(nsec duration)
{
	nsec until = path.now + duration;

	while (step(until))
		;
}

/* Until it is in that state, for `most` at the longest. */
static bool reaches(enum bbr_state state, nsec most)
{
	nsec until = path.now + most;

	while (bbr()->state != state)
		if (!step(until))
			return false;
	return true;
}

static void leaves(enum bbr_state state)
{
	nsec until = path.now + 60 * SEC;

	while (bbr()->state == state)
		assert_true(step(until));
}

static double rate_over(nsec duration)
{
	uint64_t before = path.delivered;

	run(duration);
	return (double)(path.delivered - before) * SEC / duration;
}

static uint32_t bdp(void)
{
	return (uint32_t)(path.link * path.rtt / SEC);
}

/* ---- tests ---- */

/* covers: bbr-startup-exit bbr-startup-gain */
static void startup_doubles_each_round_and_ends_when_three_rounds_bring_no_more(void **state)
{
	uint32_t full = 0;

	(void)state;
	begin(12500000, 40 * MS, 1 << 30);
	assert_int_equal(bbr_pacing_gain(bbr()), 277);
	assert_int_equal(bbr_cwnd_gain(bbr()), 200);
	while (bbr()->state == BBR_STARTUP) {
		assert_true(step(path.now + SEC));
		if (full == 0 && bbr_max_bw(bbr()) > path.link * 98 / 100)
			full = bbr()->round_count;
	}
	/* From ten segments to 500 a round: five to six times twice as much. */
	assert_in_range(full, 6, 9);
	assert_in_range(bbr()->round_count - full, 3, 4);
	assert_in_range(bbr_max_bw(bbr()), path.link * 98 / 100, path.link * 102 / 100);
}

/* covers: bbr-startup-loss */
static void startup_ends_by_a_round_of_many_losses(void **state)
{
	(void)state;
	begin(12500000, 40 * MS, 30 * MSS);
	leaves(BBR_STARTUP);
	assert_true(bbr()->full_bw_reached);
	assert_true(bbr()->full_bw_count < 3);
	assert_in_range(bbr()->inflight_longterm, bdp() / 2, 2 * bdp());
}

/* covers: bbr-drain */
static void drain_takes_the_queue_away_at_half_the_rate(void **state)
{
	nsec began;

	(void)state;
	begin(12500000, 40 * MS, 1 << 30);
	assert_true(reaches(BBR_DRAIN, 5 * SEC));
	began = path.now;
	assert_in_range(path.cc.pacing_rate, bbr()->bw / 2 * 98 / 100, bbr()->bw / 2);
	assert_true(path.in_flight > bdp());
	leaves(BBR_DRAIN);
	assert_true(bbr()->state == BBR_DOWN || bbr()->state == BBR_CRUISE);   /* there is nothing left to go down from */
	assert_true(path.in_flight <= bbr_inflight(&path.cc, bbr()->bw, 100));
	assert_true(path.now - began < 4 * 3 * path.rtt);
}

/* covers: bbr-probebw-cycle bbr-probebw-time bbr-pacing */
static void a_cycle_goes_down_cruises_refills_for_a_round_and_probes(void **state)
{
	static const struct { unsigned pacing, cwnd; enum bbr_state next; } is[] = {
		[BBR_DOWN] = { 90, 200, BBR_CRUISE }, [BBR_CRUISE] = { 100, 200, BBR_REFILL },
		[BBR_REFILL] = { 100, 200, BBR_UP }, [BBR_UP] = { 125, 225, BBR_DOWN },
	};
	unsigned cycles = 0;
	nsec up = 0;

	(void)state;
	begin(12500000, 40 * MS, 1 << 30);
	assert_true(reaches(BBR_UP, 20 * SEC));
	while (cycles < 6) {
		enum bbr_state now = bbr()->state;
		nsec began = path.now;

		assert_int_equal(bbr_pacing_gain(bbr()), is[now].pacing);
		assert_int_equal(bbr_cwnd_gain(bbr()), is[now].cwnd);
		assert_in_range(path.cc.pacing_rate, bbr()->bw * is[now].pacing / 100 * 98 / 100, bbr()->bw * is[now].pacing / 100 * 995 / 1000);
		if (now == BBR_UP) {
			/* 2 to 3 seconds after the last one began to go down, which is soon after it began; then a round of Refill. */
			if (up != 0) {
				assert_in_range(path.now - up, 2 * SEC, 3 * SEC + 600 * MS);
				cycles++;
			}
			up = path.now;
		}
		leaves(now);
		if (now == BBR_REFILL)
			assert_in_range(path.now - began, path.rtt / 2, 2 * path.rtt);
		if (bbr()->state == BBR_PROBE_RTT) {
			leaves(BBR_PROBE_RTT);
			assert_int_equal(bbr()->state, BBR_CRUISE);
			up = 0;
			continue;
		}
		assert_true(bbr()->state == is[now].next || (now == BBR_DOWN && bbr()->state == BBR_REFILL));
	}
}

/* covers: bbr-probertt bbr-probertt-cost */
static void the_round_trip_is_looked_at_every_five_seconds_for_little(void **state)
{
	nsec last = 0;

	(void)state;
	begin(12500000, 40 * MS, 1 << 30);
	assert_true(reaches(BBR_CRUISE, 5 * SEC));
	for (unsigned i = 0; i < 4; i++) {
		nsec began;
		bool low = false;

		assert_true(reaches(BBR_PROBE_RTT, 11 * SEC));
		began = path.now;
		if (last != 0)
			assert_true(began - last >= 5 * SEC);
		last = began;
		while (bbr()->state == BBR_PROBE_RTT) {
			assert_true(step(path.now + SEC));
			low |= path.in_flight <= bdp() / 2 + 4 * MSS;
			if (bbr()->state == BBR_PROBE_RTT)
				assert_true(path.cc.cwnd <= bdp() * 6 / 10);
		}
		assert_true(low);
		assert_in_range(path.now - began, 200 * MS, 400 * MS);
		assert_in_range(bbr()->min_rtt, 40 * MS, 41 * MS);
	}
	assert_true(rate_over(60 * SEC) >= 0.95 * (double)path.link);
}

/* covers: bbr-queue */
static void a_deep_queue_stays_short(void **state)
{
	uint64_t before, waited;

	(void)state;
	begin(6250000, 40 * MS, 10 * 250000);
	run(5 * SEC);
	before = path.delivered;
	waited = path.waited;
	run(30 * SEC);
	assert_true((path.waited - waited) / ((path.delivered - before) / MSS) < 60000);
}

/* covers: bbr-minrtt */
static void a_path_that_becomes_longer_is_known_within_fifteen_seconds(void **state)
{
	(void)state;
	begin(2500000, 20 * MS, 1 << 30);
	run(10 * SEC);
	assert_in_range(bbr()->min_rtt, 20 * MS, 21 * MS);
	path.rtt = 60 * MS;
	run(15 * SEC);
	assert_in_range(bbr()->min_rtt, 60 * MS, 66 * MS);
}

/* covers: bbr-maxbw */
static void half_the_rate_is_known_after_two_cycles(void **state)
{
	(void)state;
	begin(5000000, 40 * MS, 1 << 30);
	run(10 * SEC);
	assert_in_range(bbr_max_bw(bbr()), 4800000, 5300000);
	path.link = 2500000;
	run(10 * SEC);
	assert_in_range(bbr_max_bw(bbr()), 2400000, 2700000);
}

/* covers: bbr-loss-resp */
static void loss_in_cruise_lowers_the_short_term_to_seven_tenths_at_most(void **state)
{
	uint32_t before;

	(void)state;
	begin(5000000, 40 * MS, 1 << 30);
	run(8 * SEC);
	assert_true(reaches(BBR_CRUISE, 10 * SEC));
	assert_true(bbr()->bw_shortterm == BBR_INFINITE_BW);
	before = path.cc.cwnd;
	path.lose_every = 10;
	while (bbr()->bw_shortterm == BBR_INFINITE_BW)
		assert_true(step(path.now + SEC));
	assert_int_equal(bbr()->state, BBR_CRUISE);
	assert_true(bbr()->bw_shortterm >= bbr_max_bw(bbr()) * 69 / 100);
	assert_true(bbr()->inflight_shortterm >= before / 100 * 69);
	assert_true(bbr()->inflight_shortterm < before);
	path.lose_every = 0;
	assert_true(reaches(BBR_REFILL, 5 * SEC));
	assert_true(bbr()->bw_shortterm == BBR_INFINITE_BW);
	assert_int_equal(bbr()->inflight_shortterm, BBR_INFINITE);
}

/* covers: bbr-randomloss */
static void one_segment_of_a_hundred_lost_by_chance_leaves_most_of_the_rate(void **state)
{
	(void)state;
	begin(6250000, 40 * MS, 1 << 30);
	path.lose_every = 100;
	run(5 * SEC);
	assert_true(rate_over(20 * SEC) >= 0.8 * (double)path.link);
}

/* covers: bbr-idle */
static void silence_lowers_nothing_and_what_follows_goes_at_the_rate_known(void **state)
{
	uint64_t bw;
	uint32_t cwnd;

	(void)state;
	begin(5000000, 40 * MS, 1 << 30);
	run(8 * SEC);
	assert_true(reaches(BBR_CRUISE, 10 * SEC));
	bw = bbr_max_bw(bbr());
	path.silent = true;
	run(200 * MS);           /* all is acknowledged */
	assert_int_equal(path.in_flight, 0);
	cwnd = path.cc.cwnd;
	run(6 * SEC);
	path.cc.ops->on_restart(&path.cc, path.now, 6 * SEC);
	assert_int_equal(path.cc.cwnd, cwnd);
	assert_in_range(path.cc.pacing_rate, bw * 98 / 100, bw);
	path.silent = false;
	run(50 * MS);
	assert_true(bbr()->state != BBR_PROBE_RTT);
	assert_true(bbr_max_bw(bbr()) >= bw * 98 / 100);
}

/* covers: bbr-applimited */
static void a_program_that_says_little_does_not_make_the_path_slow(void **state)
{
	uint64_t bw;

	(void)state;
	begin(5000000, 40 * MS, 1 << 30);
	run(8 * SEC);
	bw = bbr_max_bw(bbr());
	path.silent = true;
	run(200 * MS);
	for (unsigned i = 0; i < 150; i++) {     /* 15 seconds: several cycles */
		rate_app_limited(&path.rate, path.in_flight);
		send_one();
		run(100 * MS);
	}
	assert_true(bbr_max_bw(bbr()) >= bw * 98 / 100);
}

/* covers: bbr-probeup-exit */
static void a_probe_ends_when_one_in_fifty_is_lost_and_leaves_room_for_others(void **state)
{
	uint32_t longterm;

	(void)state;
	begin(5000000, 40 * MS, 1 << 30);
	run(8 * SEC);
	assert_true(reaches(BBR_REFILL, 10 * SEC));
	path.queue = 10 * MSS;
	assert_true(reaches(BBR_UP, SEC));
	leaves(BBR_UP);
	assert_int_equal(bbr()->state, BBR_DOWN);
	longterm = bbr()->inflight_longterm;
	assert_in_range(longterm, bdp() * 7 / 10, 2 * bdp());
	assert_true(reaches(BBR_CRUISE, SEC));
	run(200 * MS);
	assert_true(path.cc.cwnd <= longterm / 100 * 86);
}

/* covers: bbr-quantum */
static void a_quantum_is_a_millisecond_but_two_segments_and_64_kilobytes_bound_it(void **state)
{
	static const struct { uint64_t link; uint32_t least, most; } row[] = {
		{ 100000, 2 * MSS, 2 * MSS }, { 12500000, 11000, 16000 }, { 1250000000, 65536, 65536 },
	};

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		begin(row[i].link, 4 * MS, 1 << 30);
		assert_true(reaches(BBR_CRUISE, 60 * SEC));
		assert_in_range(bbr()->send_quantum, row[i].least, row[i].most);
	}
}

/* covers: bbr-cwnd */
static void the_window_is_two_of_what_the_path_holds_and_never_below_four_segments(void **state)
{
	(void)state;
	begin(12500000, 40 * MS, 1 << 30);
	assert_true(reaches(BBR_CRUISE, 5 * SEC));
	for (unsigned i = 0; i < 20000; i++) {
		assert_true(step(path.now + SEC));
		if (bbr()->state != BBR_UP && bbr()->state != BBR_STARTUP)
			assert_true(path.in_flight <= 2 * bdp() + bdp() / 4 + 3 * 65536);
	}
	begin(20000, 1 * MS, 1 << 30);     /* a twentieth of a segment */
	for (unsigned i = 0; i < 500; i++) {
		assert_true(step(path.now + SEC));
		assert_true(path.cc.cwnd >= 4 * MSS);
	}
}

/* A peer, or a path, that makes it look as if next to nothing arrived: what leaves at a byte a second is never seen to arrive faster, and where
 * a round trip takes no time there is no sample at all. */
static void however_little_it_believes_in_four_segments_a_second_leave(void **state)
{
	struct cc_ack a = { .acked = MSS, .delivered = MSS, .rate = &path.rate };

	(void)state;
	begin(5000000, 40 * MS, 1 << 30);
	run(8 * SEC);
	path.cc.pacing_rate = bbr()->bw = bbr()->max_bw_filter[0] = bbr()->max_bw_filter[1] = 1;
	a.now = path.now;
	path.cc.ops->on_ack(&path.cc, &a);
	assert_int_equal(bbr()->bw, 1);
	assert_int_equal(path.cc.pacing_rate, 4 * MSS);
	run(120 * SEC);
	assert_true(rate_over(10 * SEC) > 0.5 * (double)path.link);
}

/* HandleSpuriousLossDetection: the saved window comes back, and with it the right to go on where the needless episode ended it. */
static void an_episode_that_was_needless_is_taken_back(void **state)
{
	struct cc before;

	(void)state;
	begin(5000000, 40 * MS, 1 << 30);
	run(8 * SEC);
	assert_true(reaches(BBR_CRUISE, 10 * SEC));
	before = path.cc;
	path.lose_every = 10;
	while (bbr()->bw_shortterm == BBR_INFINITE_BW)
		assert_true(step(path.now + SEC));
	path.lose_every = 0;
	path.cc = before;
	assert_true(step(path.now + SEC));
	while (path.in_recovery)
		assert_true(step(path.now + SEC));
	assert_true(bbr()->bw_shortterm == BBR_INFINITE_BW);
	assert_int_equal(bbr()->inflight_shortterm, BBR_INFINITE);
}

static void a_timeout_leaves_one_segment_and_its_end_brings_the_window_back(void **state)
{
	struct cc_ack a = { .acked = MSS, .delivered = MSS, .rate = &path.rate };
	uint32_t before;

	(void)state;
	begin(5000000, 40 * MS, 1 << 30);
	run(8 * SEC);
	assert_true(reaches(BBR_CRUISE, 10 * SEC));
	before = path.cc.cwnd;
	path.cc.ops->on_timeout(&path.cc, path.now, path.in_flight);
	assert_int_equal(path.cc.cwnd, MSS);
	a.now = path.now;
	a.after_timeout = true;
	path.cc.ops->on_ack(&path.cc, &a);
	assert_true(path.cc.cwnd < before / 2);
	a.after_timeout = false;
	path.cc.ops->on_ack(&path.cc, &a);
	assert_true(path.cc.cwnd >= before * 9 / 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(startup_doubles_each_round_and_ends_when_three_rounds_bring_no_more),
		cmocka_unit_test(startup_ends_by_a_round_of_many_losses),
		cmocka_unit_test(drain_takes_the_queue_away_at_half_the_rate),
		cmocka_unit_test(a_cycle_goes_down_cruises_refills_for_a_round_and_probes),
		cmocka_unit_test(the_round_trip_is_looked_at_every_five_seconds_for_little),
		cmocka_unit_test(a_deep_queue_stays_short),
		cmocka_unit_test(a_path_that_becomes_longer_is_known_within_fifteen_seconds),
		cmocka_unit_test(half_the_rate_is_known_after_two_cycles),
		cmocka_unit_test(loss_in_cruise_lowers_the_short_term_to_seven_tenths_at_most),
		cmocka_unit_test(one_segment_of_a_hundred_lost_by_chance_leaves_most_of_the_rate),
		cmocka_unit_test(silence_lowers_nothing_and_what_follows_goes_at_the_rate_known),
		cmocka_unit_test(a_program_that_says_little_does_not_make_the_path_slow),
		cmocka_unit_test(a_probe_ends_when_one_in_fifty_is_lost_and_leaves_room_for_others),
		cmocka_unit_test(a_quantum_is_a_millisecond_but_two_segments_and_64_kilobytes_bound_it),
		cmocka_unit_test(the_window_is_two_of_what_the_path_holds_and_never_below_four_segments),
		cmocka_unit_test(however_little_it_believes_in_four_segments_a_second_leave),
		cmocka_unit_test(an_episode_that_was_needless_is_taken_back),
		cmocka_unit_test(a_timeout_leaves_one_segment_and_its_end_brings_the_window_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
