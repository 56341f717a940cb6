/* SPDX-License-Identifier: BSD-3-Clause */
#include "tools/packetdrill/tests/script.h"

#include <dlfcn.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

#define SPIN_USECS 20
#define TOLERANCE 0.003

struct script script;

/* AddressSanitizer cannot live with RTLD_DEEPBIND, which is how packetdrill loads it. */
static int load_flags(void)
{
	int flags = RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE;

	return dlsym(RTLD_DEFAULT, "__asan_init") || dlsym(RTLD_DEFAULT, "__tsan_init") ? flags : flags | RTLD_DEEPBIND;
}

/* It is built beside the test. */
static void library_path(char *file, size_t room)
{
	static const char name[] = "light-packetdrill.so";
	ssize_t n = readlink("/proc/self/exe", file, room - sizeof(name));
	char *slash;

	assert_true(n > 0);
	file[n] = 0;
	slash = strrchr(file, '/');
	assert_non_null(slash);
	memcpy(slash + 1, name, sizeof(name));
}

static long long clock_now(void)
{
	struct timeval tv;

	call(gettimeofday, &tv, NULL);
	return (long long)tv.tv_sec * 1000000 + tv.tv_usec;
}

void script_begin(const char *flags)
{
	char file[512];
	void (*init)(const char *, struct packetdrill_interface *);
	void *library, *symbol;

	library_path(file, sizeof(file));
	library = dlopen(file, load_flags());
	if (!library)
		fail_msg("%s", dlerror());
	symbol = dlsym(library, "packetdrill_interface_init");
	assert_non_null(symbol);
	memcpy(&init, &symbol, sizeof(init));
	memset(&script, 0, sizeof(script));
	init(flags, &script.t);
	script.start = clock_now();
	script.names = (struct packet_names){ .local = LOCAL, .remote = REMOTE, .local_port = 8080, .remote_port = 40000, .remote_isn = 77000 };
}

void script_end(void)
{
	script.t.free(script.t.userdata);
}

int script_setup(void **state)
{
	(void)state;
	script_begin(FLAGS);
	return 0;
}

int script_teardown(void **state)
{
	(void)state;
	script_end();
	return 0;
}

double now(void)
{
	return (double)(clock_now() - script.start) / 1e6;
}

void at(double seconds)
{
	long long when = script.start + (long long)(seconds * 1e6), left;

	while ((left = when - clock_now()) > 0)
		if (left > SPIN_USECS)
			call(usleep, (useconds_t)(left - SPIN_USECS));
}

void inject_bytes(const uint8_t *packet, size_t n)
{
	assert_int_equal(call(netdev_send, packet, n), 0);
}

void inject(double seconds, const char *text)
{
	at(seconds);
	inject_bytes(script.packet, packet_from_text(&script.names, text, script.packet));
}

void expect(double seconds, const char *text)
{
	char sent[TEXT_ROOM];
	size_t n = sizeof(script.packet);
	long long usecs = 0;
	double when;

	assert_int_equal(call(netdev_receive, script.packet, &n, &usecs), 0);
	if (n == 0)
		fail_msg("at %.6f nothing was sent; expected: %s", seconds, text);
	when = (double)(usecs - script.start) / 1e6;
	packet_to_text(&script.names, script.packet, n, sent);
	if (!packet_text_matches(text, sent) || fabs(when - seconds) > TOLERANCE)
		fail_msg("sent at %.6f:\n  %s\nexpected at %.6f:\n  %s", when, sent, seconds, text);
}

void expect_nothing(void)
{
	char sent[TEXT_ROOM];
	size_t n = sizeof(script.packet);
	long long usecs = 0;

	assert_int_equal(call(netdev_receive, script.packet, &n, &usecs), 0);
	if (n == 0)
		return;
	packet_to_text(&script.names, script.packet, n, sent);
	fail_msg("sent at %.6f, where nothing was to come: %s", (double)(usecs - script.start) / 1e6, sent);
}

struct sockaddr_in address(uint32_t addr, uint16_t port)
{
	return (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr.s_addr = htonl(addr), .sin_port = htons(port) };
}

int listening(void)
{
	struct sockaddr_in a = address(LOCAL, 8080);
	int fd = call(socket, AF_INET, SOCK_STREAM, IPPROTO_TCP);

	assert_true(fd >= 0);
	set_int(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	assert_int_equal(call(bind, fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(call(listen, fd, 1), 0);
	return fd;
}

int established(double rtt)
{
	int listener = listening(), fd;
	double begin = now();

	inject(begin, "S 0:0(0) win 32792 <mss 1000,sackOK,nop,nop,nop,wscale 7>");
	expect(begin, "S. 0:0(0) ack 1 <mss 1460,nop,nop,sackOK,nop,wscale *>");
	inject(begin + rtt, ". 1:1(0) ack 1 win 257");
	fd = call(accept, listener, NULL, NULL);
	assert_true(fd >= 0);
	assert_int_equal(call(close, listener), 0);
	return fd;
}

ssize_t put(int fd, size_t n)
{
	static const char bytes[200000];

	assert_true(n <= sizeof(bytes));
	return call(write, fd, bytes, n);
}

ssize_t take(int fd, size_t n, int flags)
{
	static char bytes[200000];

	assert_true(n <= sizeof(bytes));
	return call(recv, fd, bytes, n, flags);
}

void set_int(int fd, int level, int name, int value)
{
	assert_int_equal(call(setsockopt, fd, level, name, &value, sizeof(value)), 0);
}

int get_int(int fd, int level, int name)
{
	socklen_t length = sizeof(int);
	int value = -1;

	assert_int_equal(call(getsockopt, fd, level, name, &value, &length), 0);
	assert_int_equal(length, sizeof(int));
	return value;
}
