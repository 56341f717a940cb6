/* SPDX-License-Identifier: BSD-3-Clause */
/* setsockopt and getsockopt: what is set is what is got, before and after a connection. */
#include "dual.h"

static int get(int s, int level, int name)
{
	int value = -12345;
	socklen_t n = sizeof(value);

	EQUAL(0, getsockopt(s, level, name, &value, &n));
	EQUAL(sizeof(value), n);
	return value;
}

static void set(int s, int level, int name, int value)
{
	EQUAL(0, setsockopt(s, level, name, &value, sizeof(value)));
}

static const struct {
	int level, name, value, got;
} round_trips[] = {
	{ SOL_SOCKET, SO_REUSEADDR, 1, 1 },
	{ SOL_SOCKET, SO_REUSEADDR, 0, 0 },
	{ SOL_SOCKET, SO_REUSEPORT, 1, 1 },
	{ SOL_SOCKET, SO_KEEPALIVE, 1, 1 },
	{ SOL_SOCKET, SO_KEEPALIVE, 77, 1 },
	{ SOL_SOCKET, SO_BROADCAST, 1, 1 },
	{ SOL_SOCKET, SO_OOBINLINE, 1, 1 },
	{ SOL_SOCKET, SO_RCVLOWAT, 5, 5 },
	{ IPPROTO_TCP, TCP_NODELAY, 1, 1 },
	{ IPPROTO_TCP, TCP_NODELAY, 0, 0 },
	{ IPPROTO_TCP, TCP_KEEPIDLE, 77, 77 },
	{ IPPROTO_TCP, TCP_KEEPINTVL, 33, 33 },
	{ IPPROTO_TCP, TCP_KEEPCNT, 4, 4 },
	{ IPPROTO_TCP, TCP_USER_TIMEOUT, 12345, 12345 },
	{ IPPROTO_TCP, TCP_SYNCNT, 3, 3 },
	{ IPPROTO_TCP, TCP_CORK, 1, 1 },
	{ IPPROTO_TCP, TCP_CORK, 0, 0 },
	{ IPPROTO_IP, IP_TTL, 33, 33 },
	{ IPPROTO_IP, IP_TOS, 0x10, 0x10 },
};

static void all_round_trips(int s)
{
	for (size_t i = 0; i < sizeof(round_trips) / sizeof(*round_trips); i++) {
		set(s, round_trips[i].level, round_trips[i].name, round_trips[i].value);
		if (get(s, round_trips[i].level, round_trips[i].name) != round_trips[i].got)
			dual_fail(__FILE__, __LINE__, "option %d of level %d set to %d is %d", round_trips[i].name,
				  round_trips[i].level, round_trips[i].value, get(s, round_trips[i].level, round_trips[i].name));
	}
}

TEST(round_trips_on_a_fresh_socket)
{
	all_round_trips(socket(AF_INET, SOCK_STREAM, 0));
}

TEST(round_trips_on_a_connection)
{
	int p[2];

	tcp_pair(p);
	all_round_trips(p[0]);
	SEND(p[0], "still");
	expect_text(p[1], "still");
}

TEST(kept_over_the_connect)
{
	struct sockaddr_in name;
	int l = tcp_listen(&name), s = socket(AF_INET, SOCK_STREAM, 0);

	set(s, IPPROTO_TCP, TCP_NODELAY, 1);
	set(s, SOL_SOCKET, SO_KEEPALIVE, 1);
	set(s, IPPROTO_TCP, TCP_KEEPIDLE, 55);
	connect_to(s, &name);
	EQUAL(1, get(s, IPPROTO_TCP, TCP_NODELAY));
	EQUAL(1, get(s, SOL_SOCKET, SO_KEEPALIVE));
	EQUAL(55, get(s, IPPROTO_TCP, TCP_KEEPIDLE));
	close(l);
}

TEST(inherited_by_accepted)
{
	struct sockaddr_in name;
	int l = tcp_listen(&name), c, s;

	set(l, IPPROTO_TCP, TCP_NODELAY, 1);
	set(l, SOL_SOCKET, SO_KEEPALIVE, 1);
	c = tcp_connect(&name);
	s = accept(l, NULL, NULL);
	EQUAL(1, get(s, IPPROTO_TCP, TCP_NODELAY));
	EQUAL(1, get(s, SOL_SOCKET, SO_KEEPALIVE));
	EQUAL(0, get(c, IPPROTO_TCP, TCP_NODELAY));
}

/* Light must know where a socket lives before it knows its port; the port may want it elsewhere. */
TEST(kept_when_a_port_is_bound_after_they_were_asked)
{
	struct sockaddr_in name;
	int l, port, last;

	l = tcp_listen(&name);
	port = ntohs(name.sin_port);
	close(l);
	for (last = port + 6; port < last; port++) {
		struct epoll_event e = { .events = EPOLLIN, .data.u32 = 7 };
		int s = socket(AF_INET, SOCK_STREAM, 0), ep = epoll_create1(0);
		char cc[16];
		socklen_t n = sizeof(cc);

		EQUAL(0, getsockopt(s, IPPROTO_TCP, TCP_CONGESTION, cc, &n));
		set(s, SOL_SOCKET, SO_REUSEADDR, 1);
		set(s, IPPROTO_IP, IP_TTL, 41);
		EQUAL(0, epoll_ctl(ep, EPOLL_CTL_ADD, s, &e));
		name.sin_port = htons((uint16_t)port);
		if (bind(s, (struct sockaddr *)&name, sizeof(name)) < 0) {
			EQUAL(EADDRINUSE, errno);   /* somebody else's */
			close(s);
			close(ep);
			last++;
			continue;
		}
		EQUAL(0, listen(s, 4));
		EQUAL(1, get(s, SOL_SOCKET, SO_REUSEADDR));
		EQUAL(41, get(s, IPPROTO_IP, IP_TTL));
		tcp_connect(&name);
		do
			EQUAL(1, epoll_wait(ep, &e, 1, 5000));
		while (!(e.events & EPOLLIN));   /* a socket that was not connected yet hung up */
		EQUAL(7, e.data.u32);
		EQUAL(EPOLLIN, e.events);
		CHECK(accept(s, NULL, NULL) >= 0);
	}
}

/* covers: sock-so-type sock-acceptconn */
TEST(what_a_socket_is)
{
	struct sockaddr_in name;
	int l = tcp_listen(&name), s = tcp_connect(&name);

	EQUAL(SOCK_STREAM, get(s, SOL_SOCKET, SO_TYPE));
	EQUAL(AF_INET, get(s, SOL_SOCKET, SO_DOMAIN));
	EQUAL(IPPROTO_TCP, get(s, SOL_SOCKET, SO_PROTOCOL));
	EQUAL(0, get(s, SOL_SOCKET, SO_ACCEPTCONN));
	EQUAL(1, get(l, SOL_SOCKET, SO_ACCEPTCONN));
	EQUAL(0, get(s, SOL_SOCKET, SO_ERROR));
	CHECK(get(s, IPPROTO_TCP, TCP_MAXSEG) >= 500);
}

TEST(linger)
{
	struct linger l = { 1, 7 }, got = { 0, 0 };
	socklen_t n = sizeof(got);
	int s = socket(AF_INET, SOCK_STREAM, 0);

	EQUAL(0, getsockopt(s, SOL_SOCKET, SO_LINGER, &got, &n));
	EQUAL(0, got.l_onoff);
	EQUAL(0, setsockopt(s, SOL_SOCKET, SO_LINGER, &l, sizeof(l)));
	EQUAL(0, getsockopt(s, SOL_SOCKET, SO_LINGER, &got, &n));
	EQUAL(1, got.l_onoff);
	EQUAL(7, got.l_linger);
}

/* Linux doubles what is asked for, to have room for its own headers. */
TEST(buffer_sizes)
{
	int s = socket(AF_INET, SOCK_STREAM, 0);

	set(s, SOL_SOCKET, SO_RCVBUF, 30000);
	EQUAL(60000, get(s, SOL_SOCKET, SO_RCVBUF));
	set(s, SOL_SOCKET, SO_SNDBUF, 40000);
	EQUAL(80000, get(s, SOL_SOCKET, SO_SNDBUF));
}

TEST(small_buffers_still_move_everything)
{
	static char out[200000], in[200000];
	struct sockaddr_in name;
	int l = tcp_listen(&name), s = socket(AF_INET, SOCK_STREAM, 0), c;

	set(l, SOL_SOCKET, SO_RCVBUF, 8192);
	set(s, SOL_SOCKET, SO_SNDBUF, 8192);
	connect_to(s, &name);
	c = accept(l, NULL, NULL);
	for (size_t i = 0; i < sizeof(out); i++)
		out[i] = (char)(i * 31 >> 3);
	if (dual_fork() == 0) {
		send_all(s, out, sizeof(out));
		_exit(0);
	}
	recv_all(c, in, sizeof(in));
	CHECK(memcmp(in, out, sizeof(in)) == 0);
}

TEST(tcp_info_knows_the_state)
{
	struct tcp_info info;
	socklen_t n = sizeof(info);
	int p[2];

	tcp_pair(p);
	EQUAL(0, getsockopt(p[0], IPPROTO_TCP, TCP_INFO, &info, &n));
	EQUAL(TCP_ESTABLISHED, info.tcpi_state);
	CHECK(info.tcpi_snd_mss >= 500);
	EQUAL(0, close(p[1]));
	READABLE(p[0]);
	n = sizeof(info);
	EQUAL(0, getsockopt(p[0], IPPROTO_TCP, TCP_INFO, &info, &n));
	EQUAL(TCP_CLOSE_WAIT, info.tcpi_state);
}

static void is_congestion(int s, const char *wanted)
{
	char name[16] = "";
	socklen_t n = sizeof(name);

	EQUAL(0, getsockopt(s, IPPROTO_TCP, TCP_CONGESTION, name, &n));
	/* Linux calls by "reno" what RFC 6582 calls NewReno, and so may a program here. */
	CHECK(strcmp(name, wanted) == 0 || (strcmp(wanted, "reno") == 0 && strcmp(name, "newreno") == 0));
}

/* covers: sock-tcp-congestion */
TEST(congestion_control_is_chosen_for_each_socket)
{
	int s = socket(AF_INET, SOCK_STREAM, 0), p[2];

	EQUAL(0, setsockopt(s, IPPROTO_TCP, TCP_CONGESTION, "reno", 4));
	is_congestion(s, "reno");
	FAILS(ENOENT, setsockopt(s, IPPROTO_TCP, TCP_CONGESTION, "nosuch", 6));
	is_congestion(s, "reno");
	tcp_pair(p);
	EQUAL(0, setsockopt(p[0], IPPROTO_TCP, TCP_CONGESTION, "cubic", 5));
	is_congestion(p[0], "cubic");
	SEND(p[0], "goes on");
	expect_text(p[1], "goes on");
	EQUAL(0, setsockopt(p[0], IPPROTO_TCP, TCP_CONGESTION, "reno", 4));
	is_congestion(p[0], "reno");
}

TEST(a_pacing_rate_has_32_bits_or_64)
{
	int s = socket(AF_INET, SOCK_STREAM, 0), p[2];
	uint64_t wide = 12345678901234;
	uint32_t narrow = 1250000;
	socklen_t n = sizeof(wide);

	EQUAL(-1, get(s, SOL_SOCKET, SO_MAX_PACING_RATE));
	tcp_pair(p);
	for (int i = 0; i < 2; i++) {
		int of = i == 0 ? s : p[0];

		EQUAL(0, setsockopt(of, SOL_SOCKET, SO_MAX_PACING_RATE, &narrow, sizeof(narrow)));
		EQUAL(1250000, get(of, SOL_SOCKET, SO_MAX_PACING_RATE));
		wide = 12345678901234;
		EQUAL(0, setsockopt(of, SOL_SOCKET, SO_MAX_PACING_RATE, &wide, sizeof(wide)));
		wide = 0;
		n = sizeof(wide);
		EQUAL(0, getsockopt(of, SOL_SOCKET, SO_MAX_PACING_RATE, &wide, &n));
		CHECK(n == sizeof(wide) && wide == 12345678901234);
		EQUAL(-1, get(of, SOL_SOCKET, SO_MAX_PACING_RATE));
		set(of, SOL_SOCKET, SO_MAX_PACING_RATE, -1);
		n = sizeof(wide);
		EQUAL(0, getsockopt(of, SOL_SOCKET, SO_MAX_PACING_RATE, &wide, &n));
		CHECK(wide == UINT64_MAX);
		FAILS(EINVAL, setsockopt(of, SOL_SOCKET, SO_MAX_PACING_RATE, &narrow, 2));
	}
}

/* covers: sock-opt-errors */
TEST(errors)
{
	int s = socket(AF_INET, SOCK_STREAM, 0), value = 1;
	socklen_t n = sizeof(value);

	FAILS(ENOPROTOOPT, setsockopt(s, SOL_SOCKET, 9999, &value, sizeof(value)));
	FAILS(ENOPROTOOPT, getsockopt(s, IPPROTO_TCP, 9999, &value, &n));
	FAILS(EINVAL, setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &value, 1));
	FAILS(EINVAL, setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &value, 2));
	FAILS(ENOPROTOOPT, setsockopt(s, SOL_SOCKET, SO_TYPE, &value, sizeof(value)));
	value = 0;
	FAILS(EINVAL, setsockopt(s, IPPROTO_TCP, TCP_KEEPIDLE, &value, sizeof(value)));
	FAILS(EFAULT, setsockopt(s, SOL_SOCKET, SO_KEEPALIVE, NULL, sizeof(value)));
	n = 2;
	value = 0x7f7f7f7f;
	EQUAL(0, getsockopt(s, SOL_SOCKET, SO_TYPE, &value, &n));
	EQUAL(2, n);
	EQUAL(0x7f7f0001, value);
}
