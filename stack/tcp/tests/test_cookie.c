/* SPDX-License-Identifier: BSD-3-Clause */
/* SYN cookies: what they keep, for how long, from whom, and how hard they are to guess; and listeners that use them. */
#include "tests/harness.h"

#include <string.h>

#include "tcp/cookie.h"

#define MINUTE (60 * NSEC_PER_SEC)

static struct flow_key client(uint32_t i)
{
	return (struct flow_key){ harness_addr(1), harness_addr(9 + i % 200), 80, (uint16_t)(1024 + i) };
}

static struct harness_host *host(uint8_t mode)
{
	struct tcp_settings settings;

	tcp_settings_linux(&settings);
	settings.syn_cookies = mode;
	settings.max_half_open = 64;
	return harness_host_new(1, &settings, 0);
}

static uint64_t counted(const struct harness_host *h, const char *name)
{
	struct stack_counter c;

	for (unsigned i = 0; stack_counter(h->stack, i, &c); i++)
		if (strcmp(c.name, name) == 0)
			return c.value;
	fail_msg("no counter %s", name);
	return 0;
}

static uint32_t half_open(const struct harness_host *h)
{
	struct stack_memory m;

	stack_memory(h->stack, &m);
	return m.half_open;
}

/* covers: 4987-3.6-mss */
static void the_mss_is_the_next_of_the_table_below(void **state)
{
	static const struct {
		uint16_t said, kept;
	} cases[] = { { 8, 8 }, { 63, 8 }, { 64, 64 }, { 535, 256 }, { 536, 536 }, { 1299, 536 }, { 1300, 1300 },
		      { 1439, 1300 }, { 1440, 1440 }, { 1459, 1440 }, { 1460, 1460 }, { 8959, 1460 }, { 8960, 8960 },
		      { 65535, 8960 } };
	struct harness_host *h = host(TCP_COOKIES_ALWAYS);

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct flow_key k = client(i);

		assert_int_equal(cookie_open(h->stack, &k, 77, cookie_make(h->stack, &k, 77, cases[i].said)), cases[i].kept);
	}
	harness_host_free(h);
}

/* covers: 4987-3.6-age */
static void a_cookie_lives_one_to_two_minutes(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 8; i++) {
		struct harness_host *h = host(TCP_COOKIES_ALWAYS);
		struct flow_key k = client(i);
		nsec made, step = MINUTE / 8;
		uint32_t cookie;

		harness_pass(h, i * step + 1);
		made = h->now;
		cookie = cookie_make(h->stack, &k, 5, 1460);
		while (h->now - made < 4 * MINUTE) {
			uint16_t mss = cookie_open(h->stack, &k, 5, cookie);

			if (h->now - made <= MINUTE)
				assert_int_equal(mss, 1460);
			else if (h->now - made >= 2 * MINUTE)
				assert_int_equal(mss, 0);
			harness_pass(h, step);
		}
		harness_host_free(h);
	}
}

/* covers: 4987-3.6-auth */
static void no_altered_cookie_is_believed(void **state)
{
	struct harness_host *h = host(TCP_COOKIES_ALWAYS);

	(void)state;
	for (uint32_t i = 0; i < 2000; i++) {
		struct flow_key k = client(i), other = k;
		uint32_t irs = i * 2654435761u, cookie = cookie_make(h->stack, &k, irs, 1460);

		assert_int_equal(cookie_open(h->stack, &k, irs, cookie), 1460);
		for (unsigned bit = 3; bit < 32; bit++) /* the lowest three only choose among the sizes */
			assert_int_equal(cookie_open(h->stack, &k, irs, cookie ^ (UINT32_C(1) << bit)), 0);
		assert_int_equal(cookie_open(h->stack, &k, irs + 1, cookie), 0);
		other.remote_port ^= 1;
		assert_int_equal(cookie_open(h->stack, &other, irs, cookie), 0);
		other = k;
		other.local_port ^= 1;
		assert_int_equal(cookie_open(h->stack, &other, irs, cookie), 0);
		other = k;
		other.remote = harness_addr(250);
		assert_int_equal(cookie_open(h->stack, &other, irs, cookie), 0);
	}
	harness_host_free(h);
}

/* 8 sizes of 2 minutes of 2^32 numbers: the eight lie together, so that a window of numbers around a good one has these
 * and no others, and of guesses at random fewer than one in ten million is right. */
static void a_guess_is_right_once_in_two_to_the_28(void **state)
{
	struct harness_host *h = host(TCP_COOKIES_ALWAYS);
	struct flow_key k = client(1);
	uint32_t good = 0, cookie = cookie_make(h->stack, &k, 9, 1460);
	struct rng rng;

	(void)state;
	for (uint32_t i = 0; i < UINT32_C(1) << 19; i++)
		good += cookie_open(h->stack, &k, 9, cookie - (UINT32_C(1) << 18) + i) != 0;
	assert_int_equal(good, 8);
	rng_seed_u64(&rng, 4);
	for (uint32_t i = 0; i < UINT32_C(1) << 20; i++)
		assert_int_equal(cookie_open(h->stack, &k, 9, rng_u32(&rng)), 0);
	harness_host_free(h);
}

static void options_survive_in_the_timestamp_which_never_runs_ahead(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < 64; i++) {
		struct cookie_options in = { .scale_on = (i & 15) < 15, .sack_on = i & 16, .ecn_on = i & 32,
			.scale = (uint8_t)((i & 15) < 15 ? i & 15 : 0) }, out;

		for (uint32_t now = UINT32_MAX - 200; now != 200; now++) {
			uint32_t stamp = cookie_stamp(now, &in);

			out = cookie_unstamp(stamp);
			assert_true(now - stamp < 64);
			assert_true(out.scale_on == in.scale_on && out.sack_on == in.sack_on && out.ecn_on == in.ecn_on);
			assert_int_equal(out.scale, in.scale);
		}
	}
}

static struct tcp_segment syn(struct harness_host *h, struct harness_peer *p, uint8_t has)
{
	struct tcp_segment s;

	harness_send(h, p, (struct tcp_segment){ .flags = SEG_SYN, .has = has, .mss = 1400, .scale = 3, .tsval = 500 });
	s = harness_expect(h, SEG_SYN | SEG_ACK);
	p->seq++;
	p->ack = s.seq + 1;
	return s;
}

static void nothing_is_kept_between_syn_and_ack(void **state)
{
	struct harness_host *h = host(TCP_COOKIES_ALWAYS);
	struct harness_peer p = { .seq = 1000, .port = 5000, .window = 65535 };
	ep_id l = harness_listen(h, OUR_PORT, 4), child;
	struct tcp_segment s;
	struct ep_info info;
	uint8_t bytes[8];

	(void)state;
	s = syn(h, &p, SEG_HAS_MSS | SEG_HAS_SCALE | SEG_HAS_SACK_OK | SEG_HAS_TS);
	assert_int_equal(s.has, SEG_HAS_MSS | SEG_HAS_SCALE | SEG_HAS_SACK_OK | SEG_HAS_TS);
	assert_int_equal(half_open(h), 0);
	harness_pass(h, 50 * NSEC_PER_SEC);
	harness_expect_none(h);
	harness_send(h, &p, (struct tcp_segment){ .flags = SEG_ACK | SEG_PSH, .len = 4, .has = SEG_HAS_TS, .tsval = 600,
						  .tsecr = s.tsval });
	assert_int_equal(ep_accept(h->stack, l, &child, NULL), 0);
	assert_int_equal(ep_recv(h->stack, child, bytes, sizeof(bytes)), 4);
	assert_int_equal(ep_info(h->stack, child, &info), 0);
	assert_true(info.sack && info.timestamps && info.window_scaling);
	assert_int_equal(info.send_scale, 3);
	assert_int_equal(info.receive_scale, s.scale);
	assert_int_equal(info.mss, 1300 - SEGMENT_TS_LEN);
	assert_int_equal(counted(h, "TCP_COOKIES_SENT"), 1);
	assert_int_equal(counted(h, "TCP_COOKIES_ACCEPTED"), 1);
	harness_host_free(h);
}

static void without_timestamps_there_are_no_options(void **state)
{
	struct harness_host *h = host(TCP_COOKIES_ALWAYS);
	struct harness_peer p = { .seq = 1000, .port = 5000, .window = 65535 };
	ep_id l = harness_listen(h, OUR_PORT, 4), child;
	struct ep_info info;

	(void)state;
	assert_int_equal(syn(h, &p, SEG_HAS_MSS | SEG_HAS_SCALE | SEG_HAS_SACK_OK).has, SEG_HAS_MSS);
	harness_send(h, &p, (struct tcp_segment){ .flags = SEG_ACK });
	assert_int_equal(ep_accept(h->stack, l, &child, NULL), 0);
	assert_int_equal(ep_info(h->stack, child, &info), 0);
	assert_false(info.sack || info.timestamps || info.window_scaling);
	harness_host_free(h);
}

/* The listener's share: its backlog, sixteen at least. What is there already is served as ever. */
static void cookies_begin_where_the_backlog_ends(void **state)
{
	struct harness_host *h = host(TCP_COOKIES_WHEN_FULL);
	ep_id l = harness_listen(h, OUR_PORT, 4), child;
	struct harness_peer first = { .seq = 1000, .port = 5000, .window = 65535 }, late = first;

	(void)state;
	syn(h, &first, SEG_HAS_MSS);
	for (uint16_t i = 1; i < 16; i++)
		syn(h, &(struct harness_peer){ .seq = 1000, .port = (uint16_t)(5000 + i) }, SEG_HAS_MSS);
	assert_int_equal(half_open(h), 16);
	assert_int_equal(counted(h, "TCP_COOKIES_SENT"), 0);
	late.port = 6000;
	syn(h, &late, SEG_HAS_MSS);
	assert_int_equal(half_open(h), 16);
	assert_int_equal(counted(h, "TCP_COOKIES_SENT"), 1);
	harness_send(h, &late, (struct tcp_segment){ .flags = SEG_ACK });
	assert_int_equal(ep_accept(h->stack, l, &child, NULL), 0);
	harness_send(h, &first, (struct tcp_segment){ .flags = SEG_ACK });
	assert_int_equal(ep_accept(h->stack, l, &child, NULL), 0);
	assert_int_equal(half_open(h), 15);
	assert_int_equal(counted(h, "TCP_HALF_OPEN_EVICTED"), 0);
	harness_host_free(h);
}

/* covers: 4987-3.4-recycle */
static void without_cookies_the_oldest_gives_way(void **state)
{
	struct harness_host *h = host(TCP_COOKIES_OFF);
	struct harness_peer first = { .seq = 1000, .port = 4000, .window = 65535 }, p;
	ep_id l = harness_listen(h, OUR_PORT, 4), child;

	(void)state;
	syn(h, &first, SEG_HAS_MSS);
	harness_send(h, &first, (struct tcp_segment){ .flags = SEG_ACK });
	for (uint16_t i = 0; i < 65; i++) {
		p = (struct harness_peer){ .seq = 1000, .port = (uint16_t)(5000 + i), .window = 65535 };
		syn(h, &p, SEG_HAS_MSS);
	}
	assert_int_equal(half_open(h), 64);
	assert_int_equal(counted(h, "TCP_HALF_OPEN_EVICTED"), 1);
	assert_int_equal(counted(h, "TCP_COOKIES_SENT"), 0);
	assert_int_equal(ep_accept(h->stack, l, &child, NULL), 0);
	assert_int_equal(harness_state(h, child), TCP_ESTABLISHED);
	harness_send(h, &p, (struct tcp_segment){ .flags = SEG_ACK });
	assert_int_equal(ep_accept(h->stack, l, &child, NULL), 0);
	harness_host_free(h);
}

static void a_wrong_cookie_draws_a_reset(void **state)
{
	struct harness_host *h = host(TCP_COOKIES_ALWAYS);
	struct harness_peer p = { .seq = 1000, .port = 5000, .window = 65535 };
	ep_id l = harness_listen(h, OUR_PORT, 4);

	(void)state;
	syn(h, &p, SEG_HAS_MSS);
	harness_send(h, &p, (struct tcp_segment){ .flags = SEG_ACK, .ack = p.ack ^ 0x40000 });
	assert_int_equal(harness_expect(h, SEG_RST).seq, p.ack ^ 0x40000);
	harness_pass(h, 121 * NSEC_PER_SEC);
	harness_send(h, &p, (struct tcp_segment){ .flags = SEG_ACK });
	assert_int_equal(harness_expect(h, SEG_RST).seq, p.ack);
	assert_int_equal(ep_ready(h->stack, l), 0);
	assert_int_equal(counted(h, "TCP_COOKIES_FAILED"), 1);  /* the second is beyond looking: none went out for two minutes */
	harness_host_free(h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_mss_is_the_next_of_the_table_below),
		cmocka_unit_test(a_cookie_lives_one_to_two_minutes),
		cmocka_unit_test(no_altered_cookie_is_believed),
		cmocka_unit_test(a_guess_is_right_once_in_two_to_the_28),
		cmocka_unit_test(options_survive_in_the_timestamp_which_never_runs_ahead),
		cmocka_unit_test(nothing_is_kept_between_syn_and_ack),
		cmocka_unit_test(without_timestamps_there_are_no_options),
		cmocka_unit_test(cookies_begin_where_the_backlog_ends),
		cmocka_unit_test(without_cookies_the_oldest_gives_way),
		cmocka_unit_test(a_wrong_cookie_draws_a_reset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
