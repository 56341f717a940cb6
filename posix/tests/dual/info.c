/* SPDX-License-Identifier: BSD-3-Clause */
/* TCP_INFO as ss and iperf3 read it: figures that move by what the program does, at the places where Linux has them. */
#include "dual.h"

#include "posix/infomap.h"

static struct infomap_tcp info_of(int s)
{
	struct infomap_tcp t = { 0 };
	socklen_t n = sizeof(t);

	EQUAL(0, getsockopt(s, IPPROTO_TCP, TCP_INFO, &t, &n));
	CHECK(n >= 232);        /* up to rcv_ooopack and snd_wnd, as since Linux 5.4 */
	return t;
}

static void wait_acked(int s)
{
	for (int i = 0; i < 500 && info_of(s).unacked > 0; i++)
		sleep_ms(10);
	EQUAL(0, info_of(s).unacked);
}

/* The SYN is one. */
TEST(delivered_segments_are_counted)
{
	int p[2];

	tcp_pair(p);
	EQUAL(1, info_of(p[0]).delivered);
	for (int i = 0; i < 3; i++) {
		SEND(p[0], "x");
		expect_text(p[1], "x");
		wait_acked(p[0]);
	}
	EQUAL(4, info_of(p[0]).delivered);
	EQUAL(3, info_of(p[0]).data_segs_out);
	EQUAL(3, info_of(p[1]).data_segs_in);
	EQUAL(3, info_of(p[0]).bytes_sent);
	EQUAL(0, info_of(p[0]).dsack_dups);
	EQUAL(0, info_of(p[0]).reord_seen);
	EQUAL(0, info_of(p[1]).rcv_ooopack);
	EQUAL(3, info_of(p[0]).reordering);
	CHECK(info_of(p[0]).delivery_rate > 0);
	CHECK(info_of(p[0]).flags & 1);          /* limited by the program */
}

TEST(time_without_work_is_not_busy)
{
	uint64_t before;
	int p[2];

	tcp_pair(p);
	SEND(p[0], "x");
	expect_text(p[1], "x");
	wait_acked(p[0]);
	before = info_of(p[0]).busy_time;
	sleep_ms(200);
	EQUAL(before, info_of(p[0]).busy_time);
	EQUAL(0, info_of(p[0]).rwnd_limited);
	EQUAL(0, info_of(p[0]).sndbuf_limited);
}

/* Nobody reads: the peer's window is what holds. */
TEST(a_reader_that_sleeps_is_seen_as_a_window)
{
	struct infomap_tcp t;
	int p[2];

	tcp_pair(p);
	fill(p[0]);
	sleep_ms(300);
	t = info_of(p[0]);
	CHECK(t.rwnd_limited >= 200000);
	CHECK(t.busy_time >= t.rwnd_limited + t.sndbuf_limited);
	CHECK(t.notsent_bytes > 0);
}

TEST(a_limit_of_the_rate_is_told)
{
	uint32_t rate = 5000000;
	int p[2];

	tcp_pair(p);
	CHECK(info_of(p[0]).max_pacing_rate == UINT64_MAX);
	EQUAL(0, setsockopt(p[0], SOL_SOCKET, SO_MAX_PACING_RATE, &rate, sizeof(rate)));
	EQUAL(rate, info_of(p[0]).max_pacing_rate);
	SEND(p[1], "x");
	expect_text(p[0], "x");
	CHECK(info_of(p[0]).ato > 0);
	CHECK(info_of(p[0]).rcv_ssthresh > 0);
}
