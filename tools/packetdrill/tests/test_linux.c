/* SPDX-License-Identifier: BSD-3-Clause */
/* What scripts written for Linux expect of a stack, each as one would write it: opening, sending, the end. Times are seconds of the script. */
#include "tools/packetdrill/tests/script.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

/* ---- opening ---- */

static void options_of_a_syn_ack_are_those_of_the_syn(void **state)
{
	static const char *const cases[][2] = {
		{ "S 0:0(0) win 32792 <mss 1460,sackOK,TS val 7 ecr 0,nop,wscale 7>",
		  "S. 0:0(0) ack 1 win 65535 <mss 1460,sackOK,TS val 100 ecr 7,nop,wscale *>" },
		{ "S 0:0(0) win 32792 <mss 1460,sackOK,nop,nop,nop,wscale 7>",
		  "S. 0:0(0) ack 1 win 65535 <mss 1460,nop,nop,sackOK,nop,wscale *>" },
		{ "S 0:0(0) win 32792 <mss 1460,nop,wscale 7>", "S. 0:0(0) ack 1 win 65535 <mss 1460,nop,wscale *>" },
		{ "S 0:0(0) win 32792 <mss 1460>", "S. 0:0(0) ack 1 win 65535 <mss 1460>" },
		{ "S 0:0(0) win 32792", "S. 0:0(0) ack 1 win 65535 <mss 1460>" },
	};

	(void)state;
	listening();
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		script.names.remote_port = (uint16_t)(40000 + i);
		script.names.isn_known = script.names.ts_known = false;
		inject(0.0, cases[i][0]);
		expect(0.0, cases[i][1]);
		inject(0.0, "R 1:1(0)");
	}
}

static void a_syn_is_sent_again_after_1_2_4_s_and_so_on(void **state)
{
	struct sockaddr_in to = address(REMOTE, 40000);
	int fd = call(socket, AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	static const double times[] = { 0, 1, 3, 7, 15, 31, 63 };

	(void)state;
	script.names.local_port = 0;
	assert_int_equal(call(connect, fd, (struct sockaddr *)&to, sizeof(to)), -1);
	assert_int_equal(errno, EINPROGRESS);
	for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++)
		expect(times[i], "S 0:0(0) win 65535 <mss 1460,sackOK,TS val * ecr 0,nop,wscale *>");
	expect_nothing();
	at(128);
	assert_int_equal(get_int(fd, SOL_SOCKET, SO_ERROR), ETIMEDOUT);
}

static void a_reset_refuses_a_connect(void **state)
{
	struct sockaddr_in to = address(REMOTE, 40000);
	int fd = call(socket, AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	struct pollfd p = { .fd = fd, .events = POLLOUT | POLLIN };

	(void)state;
	script.names.local_port = 0;
	assert_int_equal(call(connect, fd, (struct sockaddr *)&to, sizeof(to)), -1);
	expect(0.0, "S 0:0(0)");
	inject(0.1, "R. 0:0(0) ack 1 win 0");
	assert_int_equal(call(poll, &p, 1, 0), 1);
	assert_int_equal(p.revents, POLLOUT | POLLIN | POLLERR | POLLHUP);
	assert_int_equal(get_int(fd, SOL_SOCKET, SO_ERROR), ECONNREFUSED);
	assert_int_equal(get_int(fd, SOL_SOCKET, SO_ERROR), 0);
}

static void icmp_ends_an_attempt_and_not_a_connection(void **state)
{
	struct sockaddr_in to = address(REMOTE, 40000);
	int fd = call(socket, AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

	(void)state;
	script.names.local_port = 0;
	assert_int_equal(call(connect, fd, (struct sockaddr *)&to, sizeof(to)), -1);
	expect(0.0, "S 0:0(0)");
	at(0.1);
	inject_bytes(script.packet, packet_icmp(&script.names, 3, 1, 0, 0, script.packet));
	assert_int_equal(get_int(fd, SOL_SOCKET, SO_ERROR), EHOSTUNREACH);
	script.names.isn_known = false;
	script.names.local_port = 8080;
	fd = established(0.1);
	assert_int_equal(put(fd, 1000), 1000);
	expect(now(), "P. 1:1001(1000) ack 1");
	inject_bytes(script.packet, packet_icmp(&script.names, 3, 1, 0, 1, script.packet));
	inject(now(), ". 1:1(0) ack 1001 win 257");
	assert_int_equal(put(fd, 1000), 1000);
	expect(now(), "P. 1001:2001(1000) ack 1");
}

static void a_smaller_mtu_on_the_way_makes_smaller_segments(void **state)
{
	int fd = established(0.1);

	(void)state;
	assert_int_equal(put(fd, 2000), 2000);
	expect(0.1, ". 1:1001(1000) ack 1");
	expect(0.1, "P. 1001:2001(1000) ack 1");
	at(0.2);
	inject_bytes(script.packet, packet_icmp(&script.names, 3, 4, 640, 1, script.packet));
	expect(0.2, ". 1:601(600) ack 1");
	expect(0.2, ". 601:1201(600) ack 1");
	expect(0.2, ". 1201:1801(600) ack 1");
	expect(0.2, "P. 1801:2001(200) ack 1");
	assert_int_equal(get_int(fd, IPPROTO_IP, 14 /* IP_MTU */), 640);
}

/* RFC 7413, as a client: asked for a cookie first, and with it the bytes go with the SYN. */
static void a_client_s_first_bytes_go_with_its_second_syn(void **state)
{
	struct sockaddr_in to = address(REMOTE, 40000);
	int fd = call(socket, AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

	(void)state;
	script.names.local_port = 0;
	assert_int_equal(call(sendto, fd, "GET", 3, MSG_FASTOPEN, (struct sockaddr *)&to, sizeof(to)), -1);
	assert_int_equal(errno, EINPROGRESS);
	expect(0.0, "S 0:0(0) win 65535 <mss 1460,sackOK,TS val 100 ecr 0,nop,wscale *,FO ,nop,nop>");
	inject(0.1, "S. 0:0(0) ack 1 win 5792 <mss 1040,sackOK,TS val 700 ecr 100,nop,wscale 6,FO abcd1234,nop,nop>");
	expect(0.1, ". 1:1(0) ack 1");
	assert_int_equal(put(fd, 3), 3);
	expect(0.1, "P. 1:4(3) ack 1");
	assert_int_equal(call(close, fd), 0);
	expect(0.1, "F. 4:4(0) ack 1");
	inject(0.2, "R. 1:1(0) ack 5 win 0 <nop,nop,TS val 800 ecr 200>");
	fd = call(socket, AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	script.names.isn_known = false;
	script.names.local_port = 0;
	assert_int_equal(call(sendto, fd, "GETS", 4, MSG_FASTOPEN, (struct sockaddr *)&to, sizeof(to)), 4);
	expect(0.2, "S 0:4(4) win 65535 <mss 1460,sackOK,TS val * ecr 0,nop,wscale *,FO abcd1234,nop,nop>");
	inject(0.3, "S. 0:0(0) ack 5 win 5792 <mss 1040,sackOK,TS val 900 ecr 300,nop,wscale 6>");
	expect(0.3, ". 5:5(0) ack 1");
	assert_int_equal(get_int(fd, SOL_SOCKET, SO_ERROR), 0);
}

/* ---- sending ---- */

static void the_first_window_is_ten_segments_and_slow_start_doubles_it(void **state)
{
	int fd = established(0.1), n;
	char text[64];

	(void)state;
	assert_int_equal(put(fd, 30000), 30000);
	for (int i = 0; i < 10; i++) {
		snprintf(text, sizeof(text), ". %d:%d(1000) ack 1", 1 + 1000 * i, 1001 + 1000 * i);
		expect(0.1, text);
	}
	assert_int_equal(call(ioctl, fd, SIOCOUTQ, &n), 0);
	assert_int_equal(n, 30000);
	assert_int_equal(call(ioctl, fd, SIOCOUTQNSD, &n), 0);
	assert_int_equal(n, 20000);
	inject(0.2, ". 1:1(0) ack 2001 win 257");
	for (int i = 10; i < 14; i++) {
		snprintf(text, sizeof(text), ". %d:%d(1000) ack 1", 1 + 1000 * i, 1001 + 1000 * i);
		expect(0.2, text);
	}
}

static void each_write_ends_with_a_push(void **state)
{
	int fd = established(0.1);

	(void)state;
	for (int i = 0; i < 3; i++)
		assert_int_equal(put(fd, 1000), 1000);
	assert_int_equal(put(fd, 2500), 2500);
	expect(0.1, "P. 1:1001(1000) ack 1");
	expect(0.1, "P. 1001:2001(1000) ack 1");
	expect(0.1, "P. 2001:3001(1000) ack 1");
	expect(0.1, ". 3001:4001(1000) ack 1");
	expect(0.1, ". 4001:5001(1000) ack 1");
	expect(0.1, "P. 5001:5501(500) ack 1");
}

/* RTT 100 ms: 100 + the floor of the variance term. Where the tail would be probed later than that, it is probed then, and the time-out begins
 * anew. */
static void the_first_time_out_is_300_ms_and_then_doubles(void **state)
{
	int fd = established(0.1);

	(void)state;
	assert_int_equal(put(fd, 1000), 1000);
	expect(0.1, "P. 1:1001(1000) ack 1");
	expect(0.4, "P. 1:1001(1000) ack 1");
	expect(0.7, "P. 1:1001(1000) ack 1");
	expect(1.3, "P. 1:1001(1000) ack 1");
	expect(2.5, "P. 1:1001(1000) ack 1");
	inject(2.6, ". 1:1(0) ack 1001 win 257");
	assert_int_equal(put(fd, 10), 10);
	expect(2.6, "P. 1001:1011(10) ack 1");
}

static void a_lost_tail_is_probed_after_two_round_trips(void **state)
{
	int fd = established(0.1);

	(void)state;
	assert_int_equal(put(fd, 3000), 3000);
	expect(0.1, ". 1:1001(1000) ack 1");
	expect(0.1, ". 1001:2001(1000) ack 1");
	expect(0.1, "P. 2001:3001(1000) ack 1");
	inject(0.2, ". 1:1(0) ack 2001 win 257");
	expect(0.5, "P. 2001:3001(1000) ack 1");
	inject(0.6, ". 1:1(0) ack 3001 win 257 <nop,nop,sack 2001:3001>");
	assert_int_equal(get_int(fd, SOL_SOCKET, SO_ERROR), 0);
}

static void three_sacked_segments_bring_the_lost_one_again(void **state)
{
	int fd = established(0.1);
	char text[64];

	(void)state;
	assert_int_equal(put(fd, 10000), 10000);
	for (int i = 0; i < 10; i++) {
		snprintf(text, sizeof(text), "%s. %d:%d(1000) ack 1", i == 9 ? "P" : "", 1 + 1000 * i, 1001 + 1000 * i);
		expect(0.1, text);
	}
	inject(0.2, ". 1:1(0) ack 1 win 257 <nop,nop,sack 1001:2001>");
	inject(0.2, ". 1:1(0) ack 1 win 257 <nop,nop,sack 1001:3001>");
	inject(0.2, ". 1:1(0) ack 1 win 257 <nop,nop,sack 1001:4001>");
	expect(0.2, ". 1:1001(1000) ack 1");
	inject(0.3, ". 1:1(0) ack 10001 win 257");
	assert_int_equal(put(fd, 10), 10);
	expect(0.3, "P. 10001:10011(10) ack 1");
}

static void small_writes_wait_for_the_one_before_unless_told_otherwise(void **state)
{
	int fd = established(0.1);

	(void)state;
	assert_int_equal(put(fd, 10), 10);
	assert_int_equal(put(fd, 20), 20);
	assert_int_equal(put(fd, 30), 30);
	expect(0.1, "P. 1:11(10) ack 1");
	inject(0.2, ". 1:1(0) ack 11 win 257");
	expect(0.2, "P. 11:61(50) ack 1");
	set_int(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	assert_int_equal(put(fd, 40), 40);
	expect(0.2, "P. 61:101(40) ack 1");
}

static void a_cork_holds_what_fills_no_segment_for_200_ms(void **state)
{
	int fd = established(0.1);

	(void)state;
	set_int(fd, IPPROTO_TCP, TCP_CORK, 1);
	assert_int_equal(put(fd, 1500), 1500);
	expect(0.1, ". 1:1001(1000) ack 1");
	inject(0.2, ". 1:1(0) ack 1001 win 257");
	assert_int_equal(put(fd, 100), 100);
	at(0.25);
	set_int(fd, IPPROTO_TCP, TCP_CORK, 0);
	expect(0.25, "P. 1001:1601(600) ack 1");
	inject(0.3, ". 1:1(0) ack 1601 win 257");
	assert_int_equal(call(send, fd, "abc", 3, MSG_MORE), 3);
	at(0.31);
	assert_int_equal(put(fd, 7), 7);
	expect(0.31, "P. 1601:1611(10) ack 1");
}

static void a_closed_window_is_probed_with_back_off(void **state)
{
	int fd = established(0.1);

	(void)state;
	inject(0.2, ". 1:1(0) ack 1 win 0");
	assert_int_equal(put(fd, 1000), 1000);
	expect(0.5, ". 1:2(1) ack 1");
	inject(0.5, ". 1:1(0) ack 1 win 0");
	expect(1.1, ". 1:2(1) ack 1");
	inject(1.1, ". 1:1(0) ack 1 win 0");
	expect(2.3, ". 1:2(1) ack 1");
	inject(2.4, ". 1:1(0) ack 1 win 257");
	expect(2.4, "P. 1:1001(1000) ack 1");
}

/* ---- receiving ---- */

static void bytes_and_their_flags(void **state)
{
	struct iovec iov[2];
	uint8_t a[3], b[200];
	struct msghdr m = { .msg_iov = iov, .msg_iovlen = 2, .msg_flags = -1 };
	int fd = established(0.1), n;

	(void)state;
	iov[0] = (struct iovec){ a, sizeof(a) };
	iov[1] = (struct iovec){ b, sizeof(b) };
	inject(0.2, "P. 1:101(100) ack 1 win 257");
	assert_int_equal(take(fd, 10, MSG_PEEK), 10);
	assert_int_equal(call(ioctl, fd, SIOCINQ, &n), 0);
	assert_int_equal(n, 100);
	assert_int_equal(take(fd, 40, MSG_TRUNC), 40);
	assert_int_equal(call(recvmsg, fd, &m, 0), 60);
	assert_int_equal(m.msg_flags, 0);
	for (uint32_t i = 0; i < 60; i++)
		assert_int_equal(i < 3 ? a[i] : b[i - 3], packet_pattern(41 + i));
	iov[0] = (struct iovec){ (char[]){ "he" }, 2 };
	iov[1] = (struct iovec){ (char[]){ "llo" }, 3 };
	assert_int_equal(call(sendmsg, fd, &m, 0), 5);
	expect(0.2, "P. 1:6(5) ack 101");
	assert_int_equal(take(fd, 10, MSG_DONTWAIT), -1);
	assert_int_equal(errno, EAGAIN);
}

static void acknowledgments_are_quick_first_and_then_delayed_by_40_ms(void **state)
{
	int fd = established(0.1);
	double t = 0.2;
	char text[64];
	uint32_t seq = 1;

	(void)state;
	set_int(fd, IPPROTO_TCP, TCP_QUICKACK, 1);
	inject(t, ". 1:1461(1460) ack 1 win 257");
	expect(t, ". 1:1(0) ack 1461");
	set_int(fd, IPPROTO_TCP, TCP_QUICKACK, 0);
	seq = 1461;
	for (int i = 0; i < 3; i++) {
		t += 0.2;
		snprintf(text, sizeof(text), "P. %u:%u(1000) ack 1 win 257", seq, seq + 1000);
		inject(t, text);
		seq += 1000;
		assert_int_equal(take(fd, 5000, 0), i == 0 ? 2460 : 1000);
		snprintf(text, sizeof(text), ". 1:1(0) ack %u", seq);
		if (i == 0)
			expect(t + 0.04, text);
		else
			expect(t, text);
	}
}

static void a_gap_is_answered_at_once_with_sack(void **state)
{
	established(0.1);
	(void)state;
	inject(0.2, ". 1001:2001(1000) ack 1 win 257");
	expect(0.2, ". 1:1(0) ack 1 <nop,nop,sack 1001:2001>");
	inject(0.2, ". 3001:4001(1000) ack 1 win 257");
	expect(0.2, ". 1:1(0) ack 1 <nop,nop,sack 3001:4001 1001:2001>");
	inject(0.3, ". 1:1001(1000) ack 1 win 257");
	expect(0.3, ". 1:1(0) ack 2001 <nop,nop,sack 3001:4001>");
	inject(0.3, ". 1:1001(1000) ack 1 win 257");
	expect(0.3, ". 1:1(0) ack 2001 <nop,nop,sack 1:1001 3001:4001>");
}

static void ce_on_a_connection_without_ecn_is_not_echoed(void **state)
{
	established(0.1);
	(void)state;
	inject(0.2, "[ce] P. 1:1001(1000) ack 1 win 257");
	expect(0.2, ". 1:1(0) ack 1001");
	inject(0.3, "[ect0] . 1001:2001(1000) ack 1 win 257");
	expect(0.3, ". 1:1(0) ack 2001");
}

/* ---- the end ---- */

static void the_side_that_closes_first_waits_60_s(void **state)
{
	int fd = established(0.1);

	(void)state;
	assert_int_equal(call(close, fd), 0);
	expect(0.1, "F. 1:1(0) ack 1");
	inject(0.2, ". 1:1(0) ack 2 win 257");
	inject(0.3, "F. 1:1(0) ack 2 win 257");
	expect(0.3, ". 2:2(0) ack 2");
	inject(0.9, "F. 1:1(0) ack 2 win 257");
	expect(0.9, ". 2:2(0) ack 2");
	inject(60.0, ". 1:1(0) ack 2 win 257");
	expect(60.0, ". 2:2(0) ack 2");
	inject(61.5, ". 1:1(0) ack 2 win 257");
	expect(61.5, "R 2:2(0)");
}

static void the_other_side_closes_first(void **state)
{
	int fd = established(0.1);
	struct pollfd p = { .fd = fd, .events = POLLIN | POLLOUT | POLLRDHUP };

	(void)state;
	inject(0.2, "F. 1:1(0) ack 1 win 257");
	expect(0.2, ". 1:1(0) ack 2");
	assert_int_equal(call(poll, &p, 1, 0), 1);
	assert_int_equal(p.revents, POLLIN | POLLOUT | POLLRDHUP);
	assert_int_equal(take(fd, 10, 0), 0);
	assert_int_equal(put(fd, 500), 500);
	expect(0.2, "P. 1:501(500) ack 2");
	assert_int_equal(call(close, fd), 0);
	expect(0.2, "F. 501:501(0) ack 2");
	inject(0.3, ". 2:2(0) ack 502 win 257");
	inject(0.4, ". 2:2(0) ack 502 win 257");
	expect(0.4, "R 502:502(0)");
}

static void both_close_at_once(void **state)
{
	int fd = established(0.1);

	(void)state;
	assert_int_equal(call(close, fd), 0);
	expect(0.1, "F. 1:1(0) ack 1");
	inject(0.15, "F. 1:1(0) ack 1 win 257");
	expect(0.15, ". 2:2(0) ack 2");
	inject(0.2, ". 2:2(0) ack 2 win 257");
	inject(0.3, "F. 1:1(0) ack 2 win 257");
	expect(0.3, ". 2:2(0) ack 2");
}

/* covers: sock-shut-wr */
static void a_shutdown_sends_what_is_queued_and_its_fin_and_reads_on(void **state)
{
	int fd = established(0.1);

	(void)state;
	assert_int_equal(put(fd, 12000), 12000);
	assert_int_equal(call(shutdown, fd, SHUT_WR), 0);
	assert_int_equal(call(shutdown, fd, SHUT_WR), 0);
	assert_int_equal(put(fd, 1), -1);
	assert_int_equal(errno, EPIPE);
	for (int i = 0; i < 10; i++)
		expect(0.1, ". *:*(1000) ack 1");
	inject(0.2, ". 1:1(0) ack 10001 win 257");
	expect(0.2, ". 10001:11001(1000) ack 1");
	expect(0.2, "FP. 11001:12001(1000) ack 1");
	inject(0.3, "P. 1:101(100) ack 12002 win 257");
	assert_int_equal(take(fd, 1000, 0), 100);
	inject(0.4, "F. 101:101(0) ack 12002 win 257");
	assert_int_equal(take(fd, 1000, 0), 0);
}

/* covers: sock-close-unread */
static void a_close_with_unread_bytes_resets(void **state)
{
	int fd = established(0.1);

	(void)state;
	assert_int_equal(put(fd, 12000), 12000);
	for (int i = 0; i < 10; i++)
		expect(0.1, ". *:*(1000) ack 1");
	inject(0.2, "P. 1:101(100) ack 1 win 257");
	at(0.2);
	assert_int_equal(call(close, fd), 0);
	expect(0.2, "R. 10001:10001(0) ack 101");
	expect_nothing();
}

/* covers: sock-linger-zero */
static void a_linger_of_no_time_resets(void **state)
{
	struct linger linger = { 1, 0 };
	int fd = established(0.1);

	(void)state;
	assert_int_equal(call(setsockopt, fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)), 0);
	assert_int_equal(call(close, fd), 0);
	expect(0.1, "R. 1:1(0) ack 1");
	inject(0.2, ". 1:1(0) ack 1 win 257");
	expect(0.2, "R 1:1(0)");
}

/* covers: sock-orphan-fw2 */
static void an_orphan_in_fin_wait_2_is_forgotten_after_60_s(void **state)
{
	int fd = established(0.1);

	(void)state;
	assert_int_equal(call(close, fd), 0);
	expect(0.1, "F. 1:1(0) ack 1");
	inject(0.2, ". 1:1(0) ack 2 win 257");
	inject(60.1, ". 1:1(0) ack 2 win 257");
	inject(60.3, ". 1:1(0) ack 2 win 257");
	expect(60.3, "R 2:2(0)");
	script.names.isn_known = false;
	script.names.remote_port = 40001;
	fd = established(0.1);
	assert_int_equal(call(close, fd), 0);
	expect(now(), "F. 1:1(0) ack 1");
	inject(now(), ". 1:1(0) ack 2 win 257");
	inject(now(), "P. 1:11(10) ack 2 win 257");
	expect(now(), "R 2:2(0)");
}

static void a_reset_is_reported_once(void **state)
{
	int fd = established(0.1);
	struct pollfd p = { .fd = fd, .events = POLLIN };

	(void)state;
	inject(0.2, "R 1:1(0)");
	assert_int_equal(call(poll, &p, 1, 0), 1);
	assert_int_equal(p.revents, POLLIN | POLLERR | POLLHUP);
	assert_int_equal(take(fd, 10, 0), -1);
	assert_int_equal(errno, ECONNRESET);
	assert_int_equal(take(fd, 10, 0), 0);
	assert_int_equal(put(fd, 10), -1);
	assert_int_equal(errno, EPIPE);
}

static void a_reset_beside_the_exact_number_is_challenged(void **state)
{
	int fd = established(0.1);

	(void)state;
	inject(0.2, "R 100:100(0)");
	expect(0.2, ". 1:1(0) ack 1");
	inject(0.9, "S 1:1(0) win 1000 <mss 1000>");
	expect(0.9, ". 1:1(0) ack 1");
	assert_int_equal(get_int(fd, SOL_SOCKET, SO_ERROR), 0);
}

/* covers: sock-keepalive-opts */
static void a_dead_peer_is_found_by_its_silence(void **state)
{
	int fd = established(0.1);

	(void)state;
	set_int(fd, IPPROTO_TCP, TCP_KEEPIDLE, 10);
	set_int(fd, IPPROTO_TCP, TCP_KEEPINTVL, 2);
	set_int(fd, IPPROTO_TCP, TCP_KEEPCNT, 3);
	set_int(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
	assert_int_equal(call(setsockopt, fd, IPPROTO_TCP, TCP_KEEPIDLE, &(int){ 0 }, sizeof(int)), -1);
	assert_int_equal(errno, EINVAL);
	assert_int_equal(call(setsockopt, fd, IPPROTO_TCP, TCP_KEEPINTVL, &(int){ 32768 }, sizeof(int)), -1);
	assert_int_equal(call(setsockopt, fd, IPPROTO_TCP, TCP_KEEPCNT, &(int){ 128 }, sizeof(int)), -1);
	expect(10.1, ". 0:0(0) ack 1");
	expect(12.1, ". 0:0(0) ack 1");
	expect(14.1, ". 0:0(0) ack 1");
	expect(16.1, "R. 1:1(0) ack 1");
	assert_int_equal(get_int(fd, SOL_SOCKET, SO_ERROR), ETIMEDOUT);
}

/* covers: sock-user-timeout */
static void a_user_timeout_ends_what_is_not_acknowledged(void **state)
{
	int fd = established(0.1);

	(void)state;
	set_int(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, 2000);
	assert_int_equal(put(fd, 1000), 1000);
	expect(0.1, "P. 1:1001(1000) ack 1");
	expect(0.4, "P. 1:1001(1000) ack 1");
	expect(0.7, "P. 1:1001(1000) ack 1");
	expect(1.3, "P. 1:1001(1000) ack 1");
	at(2.05);
	assert_int_equal(get_int(fd, SOL_SOCKET, SO_ERROR), 0);
	at(2.15);
	assert_int_equal(get_int(fd, SOL_SOCKET, SO_ERROR), ETIMEDOUT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		script_test(options_of_a_syn_ack_are_those_of_the_syn),
		script_test(a_syn_is_sent_again_after_1_2_4_s_and_so_on),
		script_test(a_reset_refuses_a_connect),
		script_test(icmp_ends_an_attempt_and_not_a_connection),
		script_test(a_smaller_mtu_on_the_way_makes_smaller_segments),
		script_test(a_client_s_first_bytes_go_with_its_second_syn),
		script_test(the_first_window_is_ten_segments_and_slow_start_doubles_it),
		script_test(each_write_ends_with_a_push),
		script_test(the_first_time_out_is_300_ms_and_then_doubles),
		script_test(a_lost_tail_is_probed_after_two_round_trips),
		script_test(three_sacked_segments_bring_the_lost_one_again),
		script_test(small_writes_wait_for_the_one_before_unless_told_otherwise),
		script_test(a_cork_holds_what_fills_no_segment_for_200_ms),
		script_test(a_closed_window_is_probed_with_back_off),
		script_test(bytes_and_their_flags),
		script_test(acknowledgments_are_quick_first_and_then_delayed_by_40_ms),
		script_test(a_gap_is_answered_at_once_with_sack),
		script_test(ce_on_a_connection_without_ecn_is_not_echoed),
		script_test(the_side_that_closes_first_waits_60_s),
		script_test(the_other_side_closes_first),
		script_test(both_close_at_once),
		script_test(a_shutdown_sends_what_is_queued_and_its_fin_and_reads_on),
		script_test(a_close_with_unread_bytes_resets),
		script_test(a_linger_of_no_time_resets),
		script_test(an_orphan_in_fin_wait_2_is_forgotten_after_60_s),
		script_test(a_reset_is_reported_once),
		script_test(a_reset_beside_the_exact_number_is_challenged),
		script_test(a_dead_peer_is_found_by_its_silence),
		script_test(a_user_timeout_ends_what_is_not_acknowledged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
