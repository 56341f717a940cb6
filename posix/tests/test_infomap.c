/* SPDX-License-Identifier: BSD-3-Clause */
/* TCP_INFO's layout is the kernel's own: what a program reads from Light it reads at the same places. */
#include <linux/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "posix/infomap.h"
#include "stack/endpoint.h"

static const struct ep_info sample = {
	.type = EP_STREAM, .state = TCP_CLOSE_WAIT, .mss = 1448, .receive_mss = 1460, .cwnd = 14480, .ssthresh = 7240,
	.send_window = 70000, .send_scale = 7, .receive_scale = 9, .backoff = 2, .recovery = EP_LOSS, .ecn = EP_ECN_CLASSIC, .delivered_ce = 8, .pacing_rate = 9, .delivery_rate = 10, .timestamps = true, .sack = true,
	.srtt = 5 * NSEC_PER_MSEC, .rttvar = 2 * NSEC_PER_MSEC, .rto = 205 * NSEC_PER_MSEC, .rtt_min = 4 * NSEC_PER_MSEC,
	.last_data_sent = 3 * NSEC_PER_SEC, .bytes_acked = 1, .bytes_received = 2, .bytes_sent = 3, .segments_sent = 4,
	.in_flight_segments = 5, .send_unsent = 6, .retransmitted_total = 7, .path_mtu = 1500,
	.delivered = 11, .duplicates = 12, .reorderings = 13, .reordering = 14, .received_reordered = 15, .busy = 16 * NSEC_PER_USEC,
	.window_limited = 17 * NSEC_PER_USEC, .buffer_limited = 18 * NSEC_PER_USEC, .ack_timeout = 40 * NSEC_PER_MSEC,
	.receive_rtt = 19 * NSEC_PER_USEC, .receive_limit = 20, .delivery_app_limited = true,
};

static void fields_lie_where_the_system_header_has_them(void **state)
{
	struct tcp_info t;
	socklen_t length = sizeof(t);

	(void)state;
	memset(&t, 0xff, sizeof(t));
	infomap_write_tcp(&sample, &t, &length);
	assert_int_equal(length, sizeof(t));
	assert_int_equal(t.tcpi_state, TCP_CLOSE_WAIT);
	assert_int_equal(t.tcpi_ca_state, TCP_CA_Loss);
	assert_int_equal(t.tcpi_options, TCPI_OPT_TIMESTAMPS | TCPI_OPT_SACK | TCPI_OPT_ECN);
	assert_int_equal(t.tcpi_snd_wscale, 7);
	assert_int_equal(t.tcpi_rcv_wscale, 9);
	assert_int_equal(t.tcpi_rto, 205000);
	assert_int_equal(t.tcpi_rtt, 5000);
	assert_int_equal(t.tcpi_rttvar, 2000);
	assert_int_equal(t.tcpi_min_rtt, 4000);
	assert_int_equal(t.tcpi_snd_cwnd, 10);
	assert_int_equal(t.tcpi_snd_ssthresh, 5);
	assert_int_equal(t.tcpi_unacked, 5);
	assert_int_equal(t.tcpi_last_data_sent, 3000);
	assert_int_equal(t.tcpi_pmtu, 1500);
	assert_int_equal(t.tcpi_bytes_acked, 1);
	assert_int_equal(t.tcpi_bytes_received, 2);
	assert_int_equal(t.tcpi_bytes_sent, 3);
	assert_int_equal(t.tcpi_segs_out, 4);
	assert_int_equal(t.tcpi_notsent_bytes, 6);
	assert_int_equal(t.tcpi_total_retrans, 7);
	assert_int_equal(t.tcpi_snd_wnd, 70000);
	assert_int_equal(t.tcpi_delivered_ce, 8);
	assert_int_equal(t.tcpi_pacing_rate, 9);
	assert_int_equal(t.tcpi_delivery_rate, 10);
	assert_int_equal(t.tcpi_delivery_rate_app_limited, 1);
	assert_int_equal(t.tcpi_delivered, 11);
	assert_int_equal(t.tcpi_dsack_dups, 12);
	assert_int_equal(t.tcpi_reord_seen, 13);
	assert_int_equal(t.tcpi_reordering, 14);
	assert_int_equal(t.tcpi_rcv_ooopack, 15);
	assert_int_equal(t.tcpi_busy_time, 16);
	assert_int_equal(t.tcpi_rwnd_limited, 17);
	assert_int_equal(t.tcpi_sndbuf_limited, 18);
	assert_int_equal(t.tcpi_ato, 40000);
	assert_int_equal(t.tcpi_rcv_rtt, 19);
	assert_int_equal(t.tcpi_rcv_ssthresh, 20);
	assert_true(t.tcpi_max_pacing_rate == UINT64_MAX);
}

static void a_short_buffer_gets_the_beginning(void **state)
{
	uint8_t bytes[104];
	socklen_t length = 100;

	(void)state;
	memset(bytes, 0xaa, sizeof(bytes));
	infomap_write_tcp(&sample, bytes, &length);
	assert_int_equal(length, 100);
	assert_int_equal(bytes[100], 0xaa);
	length = 1000;
	infomap_write_tcp(&sample, (uint8_t[1000]){ 0 }, &length);
	assert_int_equal(length, 280);
}

static void names_of_congestion_controls_go_both_ways(void **state)
{
	char name[INFOMAP_NAME_BYTES];

	(void)state;
	for (int64_t i = 1; ep_congestion_name(i); i++) {
		infomap_congestion_name(ep_congestion_name(i), name);
		assert_int_equal(infomap_congestion_number(name, sizeof(name)), i);
	}
	assert_int_equal(infomap_congestion_number("reno", 4), EP_CC_NEWRENO);
	assert_int_equal(infomap_congestion_number("nosuch", 6), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fields_lie_where_the_system_header_has_them),
		cmocka_unit_test(a_short_buffer_gets_the_beginning),
		cmocka_unit_test(names_of_congestion_controls_go_both_ways),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
