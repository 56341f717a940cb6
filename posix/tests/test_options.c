/* SPDX-License-Identifier: BSD-3-Clause */
/* Options of a socket whose place is open: each call is made on such a socket and on a real one of the kernel, which must agree
 * on result, errno and every byte; then the socket is decided for the kernel and all must still be there. */
#include <errno.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/time.h>

#include <cmocka.h>

#include "posix/calls.h"

struct pair {
	struct socket *ours;
	int fd, kernel;
};

static struct pair open_pair(int type)
{
	struct pair p;

	p.ours = socket_new_or_null(type == SOCK_STREAM ? EP_STREAM : EP_DATAGRAM, type == SOCK_STREAM ? IPPROTO_TCP : IPPROTO_UDP, false);
	assert_non_null(p.ours);
	p.fd = fdtable_add_socket(p.ours, 0);
	assert_true(p.fd >= 0);
	p.kernel = libc.socket(AF_INET, type, 0);
	return p;
}

static void close_pair(struct pair *p)
{
	light_close(p->fd);
	socket_put(p->ours);
	libc.close(p->kernel);
}

static void same_set(struct pair *p, int level, int name, const void *value, socklen_t length)
{
	long ours = light_setsockopt(p->ours, p->fd, level, name, value, length);
	int theirs = libc.setsockopt(p->kernel, level, name, value, length);

	if (ours != (theirs == 0 ? 0 : -errno))
		fail_msg("setsockopt(%d, %d, length %u): %ld, Linux: %d", level, name, length, ours, theirs == 0 ? 0 : -errno);
}

static void same_get(struct pair *p, int level, int name, socklen_t room)
{
	uint8_t ours[64] = { 0 }, theirs[64] = { 0 };
	socklen_t n = room, m = room;
	long result = light_getsockopt(p->ours, p->fd, level, name, ours, &n);
	int expected = libc.getsockopt(p->kernel, level, name, theirs, &m);

	if (result != (expected == 0 ? 0 : -errno) || n != m || memcmp(ours, theirs, sizeof(ours)) != 0)
		fail_msg("getsockopt(%d, %d): %ld, %u bytes, first %d; Linux: %d, %u, %d", level, name, result, n, *(int *)(void *)ours,
			 expected == 0 ? 0 : -errno, m, *(int *)(void *)theirs);
}

static const struct { int level, name; } numbers[] = {
	{ SOL_SOCKET, SO_REUSEADDR }, { SOL_SOCKET, SO_REUSEPORT }, { SOL_SOCKET, SO_BROADCAST }, { SOL_SOCKET, SO_KEEPALIVE },
	{ SOL_SOCKET, SO_OOBINLINE },
	{ IPPROTO_IP, IP_TTL }, { IPPROTO_IP, IP_PKTINFO }, { IPPROTO_IP, IP_RECVTTL }, { IPPROTO_IP, IP_RECVTOS }, { IPPROTO_IP, IP_RECVERR },
	{ IPPROTO_IP, IP_MTU_DISCOVER }, { IPPROTO_IP, IP_FREEBIND }, { IPPROTO_IP, IP_MULTICAST_TTL }, { IPPROTO_IP, IP_MULTICAST_LOOP }, { IPPROTO_IP, IP_MULTICAST_ALL },
};

static const int values[] = { 0, 1, 2, 64, 255, 256, 5000, 100000, 2000000000, -1 };

static void numbers_are_taken_and_read_back_as_by_linux(void **state)
{
	(void)state;
	for (int type = SOCK_STREAM; type <= SOCK_DGRAM; type++) {
		struct pair p = open_pair(type);

		for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
			same_get(&p, numbers[i].level, numbers[i].name, sizeof(int));
			for (size_t v = 0; v < sizeof(values) / sizeof(values[0]); v++) {
				same_set(&p, numbers[i].level, numbers[i].name, &values[v], sizeof(int));
				same_get(&p, numbers[i].level, numbers[i].name, sizeof(int));
			}
			same_set(&p, numbers[i].level, numbers[i].name, &values[1], 0);
			same_get(&p, numbers[i].level, numbers[i].name, 2);
		}
		close_pair(&p);
	}
}

/* The most is a setting of the kernel's, and Light's own. */
static void buffer_sizes_are_doubled(void **state)
{
	static const int sizes[] = { 0, 1, 1000, 5000, 100000, 212992 };
	struct pair p = open_pair(SOCK_STREAM);

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		same_set(&p, SOL_SOCKET, SO_SNDBUF, &sizes[i], sizeof(int));
		same_set(&p, SOL_SOCKET, SO_RCVBUF, &sizes[i], sizeof(int));
		same_get(&p, SOL_SOCKET, SO_SNDBUF, sizeof(int));
		same_get(&p, SOL_SOCKET, SO_RCVBUF, sizeof(int));
	}
	close_pair(&p);
}

static const int tcp_numbers[] = {
	TCP_NODELAY, TCP_CORK, TCP_KEEPIDLE, TCP_KEEPINTVL, TCP_KEEPCNT, TCP_SYNCNT, TCP_USER_TIMEOUT,
};

static void tcp_numbers_are_taken_and_read_back_as_by_linux(void **state)
{
	struct pair p = open_pair(SOCK_STREAM), udp = open_pair(SOCK_DGRAM);

	(void)state;
	for (size_t i = 0; i < sizeof(tcp_numbers) / sizeof(tcp_numbers[0]); i++) {
		same_get(&p, IPPROTO_TCP, tcp_numbers[i], sizeof(int));
		for (size_t v = 0; v < sizeof(values) / sizeof(values[0]); v++) {
			same_set(&p, IPPROTO_TCP, tcp_numbers[i], &values[v], sizeof(int));
			same_get(&p, IPPROTO_TCP, tcp_numbers[i], sizeof(int));
		}
		same_set(&p, IPPROTO_TCP, tcp_numbers[i], &values[1], 1);
		same_set(&udp, IPPROTO_TCP, tcp_numbers[i], &values[1], sizeof(int));
	}
	close_pair(&p);
	close_pair(&udp);
}

static void structures_are_taken_and_read_back_as_by_linux(void **state)
{
	static const struct linger lingers[] = { { 1, 5 }, { 0, 7 }, { 1, 0 } };
	static const struct timeval times[] = { { 1, 500000 }, { 0, 0 }, { 3, 1000000 }, { 0, -1 }, { 20, 0 } };
	struct pair p = open_pair(SOCK_STREAM);

	(void)state;
	same_get(&p, SOL_SOCKET, SO_LINGER, sizeof(lingers[0]));
	for (size_t i = 0; i < sizeof(lingers) / sizeof(lingers[0]); i++) {
		same_set(&p, SOL_SOCKET, SO_LINGER, &lingers[i], sizeof(lingers[i]));
		if (lingers[i].l_onoff)         /* the seconds of one that is off mean nothing */
			same_get(&p, SOL_SOCKET, SO_LINGER, sizeof(lingers[i]));
	}
	for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
		same_set(&p, SOL_SOCKET, SO_RCVTIMEO, &times[i], sizeof(times[i]));
		same_set(&p, SOL_SOCKET, SO_SNDTIMEO, &times[i], sizeof(times[i]));
	}
	same_set(&p, SOL_SOCKET, SO_RCVTIMEO, &times[0], 8);
	same_set(&p, SOL_SOCKET, SO_LINGER, &lingers[0], 4);
	close_pair(&p);
}

static void what_a_socket_is_cannot_be_set(void **state)
{
	static const int names[] = { SO_TYPE, SO_DOMAIN, SO_PROTOCOL, SO_ERROR, SO_ACCEPTCONN };
	struct pair p = open_pair(SOCK_DGRAM);

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		same_get(&p, SOL_SOCKET, names[i], sizeof(int));
		same_get(&p, SOL_SOCKET, names[i], 1);
		same_set(&p, SOL_SOCKET, names[i], &names[i], sizeof(int));
	}
	same_get(&p, SOL_SOCKET, 9999, sizeof(int));
	same_set(&p, SOL_SOCKET, 9999, &names[0], sizeof(int));
	close_pair(&p);
}

static void what_light_lacks_is_refused_not_swallowed(void **state)
{
	static const struct { int level, name; } lacking[] = {
		{ SOL_SOCKET, SO_TIMESTAMP }, { SOL_SOCKET, SO_ZEROCOPY }, { SOL_SOCKET, SO_ATTACH_FILTER }, { IPPROTO_IP, IP_TRANSPARENT },
		{ IPPROTO_IP, IP_ADD_SOURCE_MEMBERSHIP }, { IPPROTO_IP, MCAST_JOIN_SOURCE_GROUP }, { IPPROTO_IP, IP_BLOCK_SOURCE }, { IPPROTO_TCP, TCP_MD5SIG }, { IPPROTO_TCP, TCP_ULP },
		{ IPPROTO_UDP, 1 /* UDP_CORK */ },
	};
	struct pair p = open_pair(SOCK_STREAM);
	int one = 1;

	(void)state;
	for (size_t i = 0; i < sizeof(lacking) / sizeof(lacking[0]); i++)
		assert_int_equal(light_setsockopt(p.ours, p.fd, lacking[i].level, lacking[i].name, &one, sizeof(one)), -ENOPROTOOPT);
	close_pair(&p);
}

static void options_survive_a_decision_for_the_kernel(void **state)
{
	struct pair p = open_pair(SOCK_STREAM);
	struct timeval t = { 2, 0 };
	int one = 1, size = 30000, idle = 77, fd;

	(void)state;
	fd = libc.socket(AF_INET, SOCK_STREAM, 0);
	same_set(&p, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	same_set(&p, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	same_set(&p, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t));
	same_set(&p, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
	same_set(&p, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	assert_int_equal(options_to_kernel(p.ours, fd), 0);
	for (int i = 0; i < 2; i++) {
		int got[4], *value = got;
		socklen_t n = sizeof(int);
		int at = i == 0 ? fd : p.kernel;

		libc.getsockopt(at, SOL_SOCKET, SO_REUSEADDR, value++, &n);
		libc.getsockopt(at, SOL_SOCKET, SO_RCVBUF, value++, &n);
		libc.getsockopt(at, IPPROTO_TCP, TCP_KEEPIDLE, value++, &n);
		libc.getsockopt(at, IPPROTO_TCP, TCP_NODELAY, value++, &n);
		assert_memory_equal(got, ((int[]){ 1, 60000, 77, 1 }), sizeof(got));
	}
	libc.close(fd);
	close_pair(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers_are_taken_and_read_back_as_by_linux),
		cmocka_unit_test(buffer_sizes_are_doubled),
		cmocka_unit_test(tcp_numbers_are_taken_and_read_back_as_by_linux),
		cmocka_unit_test(structures_are_taken_and_read_back_as_by_linux),
		cmocka_unit_test(what_a_socket_is_cannot_be_set),
		cmocka_unit_test(what_light_lacks_is_refused_not_swallowed),
		cmocka_unit_test(options_survive_a_decision_for_the_kernel),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
