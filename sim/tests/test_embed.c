/* SPDX-License-Identifier: BSD-3-Clause */
/* The embedding API: time that passes only where it may, packets with their times, calls of one process. The test is the peer. */
#include "sim/embed.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#include <cmocka.h>

#include "packet_text.h"

#define MS NSEC_PER_MSEC
#define START (5 * NSEC_PER_SEC)

static struct world {
	struct embed *e;
	struct packet_names names;
	uint8_t packet[PACKET_ROOM];
} w;

static int begin_with(void **state, const struct embed_hooks *hooks)
{
	struct embed_config config = { .address = ipaddr_from_ip4(htonl(0xc0a80001)), .prefix = 16, .start = START, .seed = 7 };

	(void)state;
	if (hooks)
		config.hooks = *hooks;
	memset(&w, 0, sizeof(w));
	w.names = (struct packet_names){ .local = 0xc0a80001, .remote = 0xc0000201, .local_port = 8080, .remote_port = 40000,
					 .remote_isn = 77000 };
	return embed_new(&config, &w.e);
}

static int begin(void **state)
{
	return begin_with(state, NULL);
}

static int end(void **state)
{
	const char *wrong = stack_check(embed_stack(w.e));

	(void)state;
	if (wrong)
		fail_msg("%s", wrong);
	embed_free(w.e);
	return 0;
}

static void in(const char *text)
{
	assert_int_equal(embed_packet_in(w.e, w.packet, packet_from_text(&w.names, text, w.packet)), 0);
}

static void out_at(nsec when, const char *expected)
{
	char text[TEXT_ROOM];
	nsec at;
	size_t n = embed_packet_out(w.e, w.packet, sizeof(w.packet), &at);

	if (n == 0)
		fail_msg("nothing was sent; expected: %s", expected);
	packet_to_text(&w.names, w.packet, n, text);
	if (!packet_text_matches(expected, text) || at != START + when)
		fail_msg("sent at %lld us:\n  %s\nexpected at %lld us:\n  %s", (long long)(at - START) / 1000, text,
			 (long long)when / 1000, expected);
}

static void out(const char *expected)
{
	out_at(embed_now(w.e) - START, expected);
}

static void silence(void)
{
	assert_int_equal(embed_packets_waiting(w.e), 0);
}

static struct sockaddr_in name(uint32_t addr, uint16_t port)
{
	return (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr.s_addr = htonl(addr), .sin_port = htons(port) };
}

static ssize_t give(int fd, size_t n, int flags)
{
	static char bytes[100000];
	struct iovec iov = { bytes, n };

	return embed_sendmsg(w.e, fd, &(struct msghdr){ .msg_iov = &iov, .msg_iovlen = 1 }, flags);
}

static ssize_t take(int fd, size_t n, int flags)
{
	static char bytes[100000];
	struct iovec iov = { bytes, n };

	return embed_recvmsg(w.e, fd, &(struct msghdr){ .msg_iov = &iov, .msg_iovlen = 1 }, flags);
}

static int listener(void)
{
	struct sockaddr_in a = name(0xc0a80001, 8080);
	int fd = embed_socket(w.e, AF_INET, SOCK_STREAM, IPPROTO_TCP);

	assert_true(fd >= 3);
	assert_int_equal(embed_bind(w.e, fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(embed_listen(w.e, fd, 5), 0);
	return fd;
}

static int accepted(int listening)
{
	struct sockaddr_in peer;
	socklen_t length = sizeof(peer);
	int fd;

	in("S 0:0(0) win 32792 <mss 1460,sackOK,nop,nop,nop,wscale 7>");
	out("S. 0:0(0) ack 1 win 65535 <mss 1460,nop,nop,sackOK,nop,wscale 7>");
	in(". 1:1(0) ack 1 win 257");
	fd = embed_accept(w.e, listening, (struct sockaddr *)&peer, &length, 0);
	assert_true(fd > listening);
	assert_int_equal(length, sizeof(peer));
	assert_int_equal(ntohs(peer.sin_port), 40000);
	assert_int_equal(ntohl(peer.sin_addr.s_addr), 0xc0000201);
	silence();
	return fd;
}

static void packets_leave_at_once_and_nothing_of_links_is_seen(void **state)
{
	int fd = accepted(listener());

	(void)state;
	assert_int_equal(embed_now(w.e), START);
	assert_int_equal(give(fd, 1000, 0), 1000);
	out("P. 1:1001(1000) ack 1");
	in(". 1:1(0) ack 1001 win 257");
	silence();
	assert_int_equal(embed_close(w.e, fd), 0);
	out("F. 1001:1001(0) ack 1");
	assert_int_equal(give(fd, 1, 0), -EBADF);
}

static void time_passes_by_deadlines_and_no_further_than_told(void **state)
{
	int fd = accepted(listener());
	nsec due;

	(void)state;
	assert_int_equal(give(fd, 10, 0), 10);
	out("P. 1:11(10) ack 1");
	due = embed_deadline(w.e);
	assert_true(due > START && due <= START + 201 * MS);
	assert_false(embed_step(w.e, due - 1));
	assert_int_equal(embed_now(w.e), due - 1);
	silence();
	assert_true(embed_step(w.e, due));
	assert_int_equal(embed_now(w.e), due);
	out("P. 1:11(10) ack 1");
	embed_run(w.e, due + 1000);
	assert_int_equal(embed_now(w.e), due + 1000);
}

static bool three_packets(void *context)
{
	(void)context;
	return embed_packets_waiting(w.e) >= 3;
}

/* RFC 6298 5.5: 1, 3 and 7 s after the first. */
static void a_condition_ends_a_run_and_packets_keep_their_times(void **state)
{
	struct sockaddr_in to = name(0xc0000201, 40000);
	int fd = embed_socket(w.e, AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

	(void)state;
	w.names.local_port = 0;
	assert_int_equal(embed_connect(w.e, fd, (struct sockaddr *)&to, sizeof(to)), -EINPROGRESS);
	assert_int_equal(embed_connect(w.e, fd, (struct sockaddr *)&to, sizeof(to)), -EALREADY);
	assert_true(embed_run_until(w.e, three_packets, NULL, NSEC_NEVER));
	assert_int_equal(embed_now(w.e), START + 3000 * MS);
	out_at(0, "S 0:0(0) win 65535 <mss 1460,sackOK,TS val 100 ecr 0,nop,wscale 7>");
	out_at(1000 * MS, "S 0:0(0) win 65535 <mss 1460,sackOK,TS val 1100 ecr 0,nop,wscale 7>");
	out_at(3000 * MS, "S 0:0(0) win 65535 <mss 1460,sackOK,TS val 3100 ecr 0,nop,wscale 7>");
	assert_false(embed_run_until(w.e, three_packets, NULL, START + 6000 * MS));
	assert_int_equal(embed_now(w.e), START + 6000 * MS);
}

/* Without a hook the call lets time pass itself. */
static void a_blocking_call_lets_time_pass_as_far_as_it_must(void **state)
{
	struct sockaddr_in to = name(0xc0000201, 40000);
	int fd = embed_socket(w.e, AF_INET, SOCK_STREAM, 0), value = 2, error;
	socklen_t length = sizeof(error);

	(void)state;
	assert_int_equal(embed_setsockopt(w.e, fd, IPPROTO_TCP, TCP_SYNCNT, &value, sizeof(value)), 0);
	assert_int_equal(embed_connect(w.e, fd, (struct sockaddr *)&to, sizeof(to)), -ETIMEDOUT);
	assert_int_equal(embed_now(w.e), START + 7000 * MS);
	assert_int_equal(embed_packets_waiting(w.e), 3);
	assert_int_equal(embed_getsockopt(w.e, fd, SOL_SOCKET, SO_ERROR, &error, &length), 0);
	assert_int_equal(error, 0);
}

static void timeouts_of_a_socket_are_of_virtual_time(void **state)
{
	struct timeval t = { 3600, 500000 };
	int fd = accepted(listener());
	struct pollfd p = { .fd = fd, .events = POLLIN };

	(void)state;
	assert_int_equal(embed_setsockopt(w.e, fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t)), 0);
	assert_int_equal(take(fd, 10, 0), -EAGAIN);
	assert_int_equal(embed_now(w.e), START + 3600500 * MS);
	assert_int_equal(embed_poll(w.e, &p, 1, 250), 0);
	assert_int_equal(embed_now(w.e), START + 3600750 * MS);
	assert_int_equal(embed_poll(w.e, &p, 1, 0), 0);
	in("P. 1:6(5) ack 1 win 257");
	assert_int_equal(embed_poll(w.e, &p, 1, -1), 1);
	assert_int_equal(p.revents, POLLIN);
}

static void a_wait_for_what_can_never_come_is_an_error(void **state)
{
	int fd = listener();

	(void)state;
	assert_int_equal(embed_accept(w.e, fd, NULL, NULL, 0), -EDEADLK);
}

static unsigned sleeps;

static int peer_answers(void *context, struct embed *e)
{
	(void)context;
	(void)e;
	sleeps++;
	if (sleeps == 1)
		in("P. 1:101(100) ack 1 win 257");
	else
		in("F. 101:101(0) ack 1 win 257");
	return 0;
}

static void a_hook_may_let_things_happen_while_a_call_waits(void **state)
{
	int fd;

	(void)state;
	embed_free(w.e);
	sleeps = 0;
	assert_int_equal(begin_with(state, &(struct embed_hooks){ .sleep = peer_answers }), 0);
	fd = accepted(listener());
	assert_int_equal(take(fd, 1000, MSG_WAITALL), 100);
	assert_int_equal(sleeps, 2);
	assert_int_equal(take(fd, 1000, 0), 0);
}

static void a_super_frame_is_received_as_its_segments(void **state)
{
	int fd = accepted(listener()), n;

	(void)state;
	in("P. 1:29201(29200) ack 1 win 257");
	assert_int_equal(embed_ioctl(w.e, fd, FIONREAD, &n), 0);
	assert_int_equal(n, 29200);
	assert_int_equal(take(fd, 100, MSG_PEEK), 100);
	assert_int_equal(take(fd, 29200, 0), 29200);
	out(". 1:1(0) ack 29201");
	assert_int_equal(embed_packet_in(w.e, w.packet, 12), -EMSGSIZE);
}

static void settings_have_their_linux_names(void **state)
{
	int fd;

	(void)state;
	assert_int_equal(embed_sysctl(w.e, "net.ipv4.tcp_rmem", "4096 540000 15728640\n"), 0);
	assert_int_equal(embed_sysctl(w.e, "net.ipv4.tcp_timestamps", "0"), 0);
	assert_int_equal(embed_sysctl(w.e, "net.ipv4.tcp_congestion_control", "reno"), 0);
	assert_int_equal(embed_sysctl(w.e, "net.ipv4.tcp_no_such_thing", "1"), -ENOENT);
	assert_int_equal(embed_sysctl(w.e, "net.ipv4.tcp_ecn", "3"), 0);
	assert_int_equal(stack_tcp_settings(embed_stack(w.e))->ecn, TCP_ECN_ACCURATE);
	assert_int_equal(embed_sysctl(w.e, "net.ipv4.tcp_ecn", "4"), -EINVAL);
	assert_int_equal(embed_sysctl(w.e, "net.ipv4.tcp_ecn", "6"), -EINVAL);
	assert_int_equal(embed_sysctl(w.e, "net.ipv4.tcp_sack", "maybe"), -EINVAL);
	assert_int_equal(embed_sysctl(w.e, "net.ipv4.tcp_sack", "2"), -EINVAL);
	assert_int_equal(embed_sysctl(w.e, "net.ipv4.tcp_rmem", "1 2"), -EINVAL);
	assert_int_equal(embed_sysctl(w.e, "net.ipv4.tcp_syn_retries", ""), -EINVAL);
	assert_int_equal(embed_sysctl(w.e, "net.ipv4.tcp_congestion_control", "no such"), -EINVAL);
	fd = listener();
	in("S 0:0(0) win 32792 <mss 1460,sackOK,TS val 5 ecr 0,nop,wscale 7>");
	out("S. 0:0(0) ack 1 win 65535 <mss 1460,nop,nop,sackOK,nop,wscale 8>");
	assert_int_equal(embed_close(w.e, fd), 0);
}

/* Each name can be set to what it stands at by default in Linux. */
static void every_setting_that_is_named_takes_linux_s_default(void **state)
{
	static const struct { const char *name, *value; } defaults[] = {
		{ "tcp_rmem", "4096 131072 6291456" }, { "tcp_wmem", "4096 16384 4194304" }, { "tcp_congestion_control", "cubic" },
		{ "tcp_syn_retries", "6" }, { "tcp_keepalive_time", "7200" }, { "tcp_rto_min_us", "200000" }, { "tcp_rto_max_ms", "120000" },
	};
	const char *given;

	(void)state;
	for (unsigned i = 0; (given = embed_sysctl_name(i)) != NULL; i++) {
		const char *value = "1";

		for (size_t k = 0; k < sizeof(defaults) / sizeof(defaults[0]); k++)
			if (strcmp(given + strlen("net.ipv4."), defaults[k].name) == 0)
				value = defaults[k].value;
		if (embed_sysctl(w.e, given, value) != 0)
			fail_msg("%s does not take %s", given, value);
	}
}

static void edges_and_levels_of_a_set(void **state)
{
	int fd = accepted(listener()), set = embed_epoll_create(w.e);
	struct epoll_event e = { .events = EPOLLIN | EPOLLET, .data.u32 = 5 }, got[4];

	(void)state;
	assert_int_equal(embed_epoll_ctl(w.e, set, EPOLL_CTL_ADD, fd, &e), 0);
	assert_int_equal(embed_epoll_ctl(w.e, set, EPOLL_CTL_ADD, fd, &e), -EEXIST);
	assert_int_equal(embed_epoll_ctl(w.e, set, EPOLL_CTL_ADD, set, &e), -EINVAL);
	assert_int_equal(embed_epoll_wait(w.e, set, got, 4, 10), 0);
	in("P. 1:6(5) ack 1 win 257");
	assert_int_equal(embed_epoll_wait(w.e, set, got, 4, -1), 1);
	assert_int_equal(got[0].events, EPOLLIN);
	assert_int_equal(got[0].data.u32, 5);
	assert_int_equal(embed_epoll_wait(w.e, set, got, 4, 0), 0);
	in("P. 6:11(5) ack 1 win 257");
	assert_int_equal(embed_epoll_wait(w.e, set, got, 4, 0), 1);
	e.events = EPOLLIN | EPOLLONESHOT;
	assert_int_equal(embed_epoll_ctl(w.e, set, EPOLL_CTL_MOD, fd, &e), 0);
	assert_int_equal(embed_epoll_wait(w.e, set, got, 4, 0), 1);
	assert_int_equal(embed_epoll_wait(w.e, set, got, 4, 0), 0);
	e.events = EPOLLIN | EPOLLRDHUP;
	assert_int_equal(embed_epoll_ctl(w.e, set, EPOLL_CTL_MOD, fd, &e), 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(embed_epoll_wait(w.e, set, got, 4, 0), 1);
	in("F. 11:11(0) ack 1 win 257");
	assert_int_equal(embed_epoll_wait(w.e, set, got, 4, 0), 1);
	assert_int_equal(got[0].events, EPOLLIN | EPOLLRDHUP);
	assert_int_equal(embed_close(w.e, fd), 0);
	assert_int_equal(embed_epoll_ctl(w.e, set, EPOLL_CTL_DEL, fd, NULL), -EBADF);
	assert_int_equal(embed_epoll_wait(w.e, set, got, 4, 0), 0);
}

static void sockets_of_ip6_take_mapped_addresses_alone(void **state)
{
	struct sockaddr_in6 a = { .sin6_family = AF_INET6, .sin6_port = htons(8080) }, peer;
	int fd = embed_socket(w.e, AF_INET6, SOCK_STREAM, 0), child, one = 1;
	socklen_t length = sizeof(peer);
	char shown[INET6_ADDRSTRLEN];

	(void)state;
	a.sin6_addr.s6_addr[0] = 0xfd;
	assert_int_equal(embed_bind(w.e, fd, (struct sockaddr *)&a, sizeof(a)), -EADDRNOTAVAIL);
	assert_int_equal(embed_connect(w.e, fd, (struct sockaddr *)&a, sizeof(a)), -ENETUNREACH);
	a.sin6_addr = in6addr_any;
	assert_int_equal(embed_setsockopt(w.e, fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one)), -EOPNOTSUPP);
	assert_int_equal(embed_bind(w.e, fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(embed_listen(w.e, fd, 1), 0);
	in("S 0:0(0) win 32792 <mss 1460>");
	out("S. 0:0(0) ack 1 win 65535 <mss 1460>");
	in(". 1:1(0) ack 1 win 257");
	child = embed_accept(w.e, fd, (struct sockaddr *)&peer, &length, SOCK_NONBLOCK);
	assert_true(child > fd);
	assert_int_equal(length, sizeof(peer));
	assert_string_equal(inet_ntop(AF_INET6, &peer.sin6_addr, shown, sizeof(shown)), "::ffff:192.0.2.1");
	assert_int_equal(take(child, 1, 0), -EAGAIN);
}

static void datagrams_go_both_ways_with_their_names(void **state)
{
	static const uint8_t datagram[] = {
		0x45, 0, 0, 31, 0, 0, 0, 0, 64, 17, 0xf7, 0x79, 192, 0, 2, 1, 192, 168, 0, 1, 0x9c, 0x40, 0x1f, 0x90, 0, 11, 0, 0, 'a', 'b', 'c',
	};
	struct sockaddr_in a = name(0xc0a80001, 8080), from;
	int fd = embed_socket(w.e, AF_INET, SOCK_DGRAM, 0), one = 1, n;
	char bytes[2], control[64];
	struct iovec iov = { bytes, sizeof(bytes) };
	struct msghdr m = { .msg_name = &from, .msg_namelen = sizeof(from), .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control,
			    .msg_controllen = sizeof(control) };
	uint8_t copy[sizeof(datagram)];
	uint32_t sum = 0;
	nsec at;

	(void)state;
	memcpy(copy, datagram, sizeof(copy));
	copy[10] = copy[11] = 0;
	for (int i = 0; i < 20; i += 2)
		sum += (uint32_t)copy[i] << 8 | copy[i + 1];
	sum = (sum & 0xffff) + (sum >> 16);
	copy[10] = (uint8_t)(~sum >> 8);
	copy[11] = (uint8_t)~sum;
	assert_int_equal(embed_bind(w.e, fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(embed_setsockopt(w.e, fd, IPPROTO_IP, IP_RECVTTL, &one, sizeof(one)), 0);
	assert_int_equal(embed_packet_in(w.e, copy, sizeof(copy)), 0);
	assert_int_equal(embed_ioctl(w.e, fd, FIONREAD, &n), 0);
	assert_int_equal(n, 3);
	assert_int_equal(embed_recvmsg(w.e, fd, &m, MSG_PEEK | MSG_TRUNC), 3);
	assert_int_equal(embed_recvmsg(w.e, fd, &m, 0), 2);
	assert_int_equal(m.msg_flags, MSG_TRUNC);
	assert_int_equal(ntohs(from.sin_port), 40000);
	assert_int_equal(CMSG_FIRSTHDR(&m)->cmsg_type, IP_TTL);
	assert_int_equal(embed_recvmsg(w.e, fd, &m, MSG_DONTWAIT), -EAGAIN);
	m = (struct msghdr){ .msg_name = &from, .msg_namelen = sizeof(from), .msg_iov = &iov, .msg_iovlen = 1 };
	assert_int_equal(embed_sendmsg(w.e, fd, &m, 0), 2);
	assert_int_equal(embed_packet_out(w.e, w.packet, sizeof(w.packet), &at), 30);
	assert_memory_equal(w.packet + 28, bytes, 2);
}

static void a_configuration_that_makes_no_host_is_refused(void **state)
{
	struct embed_config c = { .address = ipaddr_from_ip4(htonl(0x0a000001)), .prefix = 24 };
	struct embed *e = NULL;

	(void)state;
	c.prefix = 33;
	assert_int_equal(embed_new(&c, &e), -EINVAL);
	c.prefix = 24;
	c.mtu = 60;
	assert_int_equal(embed_new(&c, &e), -EINVAL);
	c.mtu = 1500;
	c.address = (struct ipaddr){ 0 };
	assert_int_equal(embed_new(&c, &e), -EINVAL);
}

#define embed_test(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		embed_test(packets_leave_at_once_and_nothing_of_links_is_seen),
		embed_test(time_passes_by_deadlines_and_no_further_than_told),
		embed_test(a_condition_ends_a_run_and_packets_keep_their_times),
		embed_test(a_blocking_call_lets_time_pass_as_far_as_it_must),
		embed_test(timeouts_of_a_socket_are_of_virtual_time),
		embed_test(a_wait_for_what_can_never_come_is_an_error),
		embed_test(a_hook_may_let_things_happen_while_a_call_waits),
		embed_test(a_super_frame_is_received_as_its_segments),
		embed_test(settings_have_their_linux_names),
		embed_test(every_setting_that_is_named_takes_linux_s_default),
		embed_test(edges_and_levels_of_a_set),
		embed_test(sockets_of_ip6_take_mapped_addresses_alone),
		embed_test(datagrams_go_both_ways_with_their_names),
		cmocka_unit_test(a_configuration_that_makes_no_host_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
