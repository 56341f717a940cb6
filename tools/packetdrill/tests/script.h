/* SPDX-License-Identifier: BSD-3-Clause */
/* A test in the place of packetdrill: it loads the plug-in as packetdrill does, goes by its clock, and plays the peer in packetdrill's
 * notation (sim/tests/packet_text.h). Times are seconds from the beginning of the script. */
#ifndef LIGHT_PACKETDRILL_TESTS_SCRIPT_H
#define LIGHT_PACKETDRILL_TESTS_SCRIPT_H

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* after those: */
#include <cmocka.h>

#include "sim/tests/packet_text.h"
#include "tools/packetdrill/interface.h"

#define LOCAL 0xc0a80001u
#define REMOTE 0xc0000201u
#define FLAGS "local=192.168.0.1/16,sysctl=none,unexpected=ignore"

struct script {
	struct packetdrill_interface t;
	struct packet_names names;
	long long start;        /* of the plug-in's clock, microseconds */
	uint8_t packet[PACKET_ROOM];
};
extern struct script script;

/* call(listen, fd, 1): a member of the table. */
#define call(member, ...) script.t.member(script.t.userdata, __VA_ARGS__)

/* Loads the library, which lies beside the test, and has the table filled in. */
void script_begin(const char *flags);
void script_end(void);
double now(void);
/* Lets time pass as packetdrill does: usleep, and gettimeofday for the last moments. */
void at(double seconds);
void inject(double seconds, const char *text);
/* The next packet of the host, which it must have sent at this time, give or take 3 ms. */
void expect(double seconds, const char *text);
/* Nothing is coming any more. */
void expect_nothing(void);
void inject_bytes(const uint8_t *packet, size_t n);
struct sockaddr_in address(uint32_t addr, uint16_t port);

/* A listener on port 8080, and a connection to it whose handshake took `rtt` seconds; without timestamps. */
int listening(void);
int established(double rtt);
/* As many bytes as this; returns what the call returned. */
ssize_t put(int fd, size_t n);
ssize_t take(int fd, size_t n, int flags);
void set_int(int fd, int level, int name, int value);
int get_int(int fd, int level, int name);

#define script_test(f) cmocka_unit_test_setup_teardown(f, script_setup, script_teardown)
int script_setup(void **state);
int script_teardown(void **state);

#endif
