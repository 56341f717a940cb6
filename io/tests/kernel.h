/* SPDX-License-Identifier: BSD-3-Clause */
/* For tests whose peer is the kernel: a network namespace of the test's own, its clock, and a stack on a link beside
 * which kernel sockets live. */
#ifndef LIGHT_IO_TESTS_KERNEL_H
#define LIGHT_IO_TESTS_KERNEL_H

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "io/device.h"
#include "stack/stack.h"

#define KERNEL_IP "10.99.0.1"
#define LIGHT_IP "10.99.0.2"
#define ECHO_PORT 7

static inline nsec kernel_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (nsec)t.tv_sec * NSEC_PER_SEC + (nsec)t.tv_nsec;
}

/* false: not allowed, and why is on the output as a TAP comment. */
static inline bool kernel_namespace(void)
{
	if (unshare(CLONE_NEWNET) == 0)
		return true;
	printf("# skipped: no network namespace: %s (root is needed)\n", strerror(errno));
	return false;
}

__attribute__((format(printf, 1, 2))) static inline void kernel_run(const char *format, ...)
{
	char command[512];
	va_list args;

	va_start(args, format);
	vsnprintf(command, sizeof(command), format, args);
	va_end(args);
	if (system(command) != 0)
		fail_msg("failed: %s", command);
}

static inline struct sockaddr_in kernel_address(const char *ip, uint16_t port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port) };

	inet_pton(AF_INET, ip, &a.sin_addr);
	return a;
}

static inline struct ipaddr light_address(const char *ip)
{
	struct in_addr a;

	inet_pton(AF_INET, ip, &a);
	return ipaddr_from_ip4(a.s_addr);
}

struct light_child {
	struct stack *stack;
	ep_id ep;
	uint32_t at, len;
	uint8_t bytes[65536];
};

/* A host on the links of a device: one stack a link, each with the same address, a TCP and a UDP echo. */
struct light_host {
	unsigned n;
	struct stack *stacks[DEVICE_QUEUES];
	ep_id listeners[DEVICE_QUEUES], datagrams[DEVICE_QUEUES];
	struct light_child *children[64];
	unsigned child_count;
	uint64_t echoed;
};

static inline void light_add(struct light_host *h, struct link *link)
{
	struct ipaddr own = light_address(LIGHT_IP);
	struct ep_name echo = { .addr = own, .port = ECHO_PORT };
	struct stack_config c;
	unsigned i = h->n++;
	int interface;

	stack_config_init(&c);
	c.max_endpoints = 256;
	c.secret[0] = (uint8_t)(i + 1);
	h->stacks[i] = stack_new(&c);
	assert_non_null(h->stacks[i]);
	stack_at(h->stacks[i], kernel_now());
	interface = stack_add_link(h->stacks[i], link, "link0");
	assert_true(interface > 0);
	assert_int_equal(stack_add_address(h->stacks[i], interface, &own, 24), 0);
	assert_int_equal(ep_open(h->stacks[i], EP_STREAM, 1, NULL, &h->listeners[i]), 0);
	assert_int_equal(ep_bind(h->stacks[i], h->listeners[i], &echo), 0);
	assert_int_equal(ep_listen(h->stacks[i], h->listeners[i], 32), 0);
	assert_int_equal(ep_open(h->stacks[i], EP_DATAGRAM, 1, NULL, &h->datagrams[i]), 0);
	assert_int_equal(ep_bind(h->stacks[i], h->datagrams[i], &echo), 0);
}

/* false: the connection is over. What the send ring did not take waits in the child. */
static inline bool light_echo_child(struct light_host *h, struct light_child *c)
{
	int64_t n;

	for (;;) {
		if (c->at == c->len) {
			n = ep_recv(c->stack, c->ep, c->bytes, sizeof(c->bytes));
			if (n == -EAGAIN)
				return true;
			if (n <= 0) {
				ep_close(c->stack, c->ep);
				return false;
			}
			c->at = 0;
			c->len = (uint32_t)n;
		}
		n = ep_send(c->stack, c->ep, c->bytes + c->at, c->len - c->at);
		if (n == -EAGAIN || n == 0)
			return true;
		if (n < 0) {
			ep_close(c->stack, c->ep);
			return false;
		}
		c->at += (uint32_t)n;
		h->echoed += (uint64_t)n;
	}
}

static inline void light_turn(struct light_host *h)
{
	static uint8_t bytes[65536];
	struct ep_event events[64];
	struct ep_name from;
	ep_id child;
	int64_t got;

	for (unsigned i = 0; i < h->n; i++) {
		struct stack *s = h->stacks[i];

		stack_turn(s, kernel_now());
		stack_events(s, events, 64);
		while (h->child_count < 64 && ep_accept(s, h->listeners[i], &child, NULL) == 0) {
			h->children[h->child_count] = calloc(1, sizeof(struct light_child));
			assert_non_null(h->children[h->child_count]);
			h->children[h->child_count]->stack = s;
			h->children[h->child_count++]->ep = child;
		}
		while ((got = ep_recv_from(s, h->datagrams[i], bytes, sizeof(bytes), &from)) >= 0)
			ep_send_to(s, h->datagrams[i], bytes, (uint32_t)got, &from);
	}
	for (unsigned i = 0; i < h->child_count; i++) {
		if (light_echo_child(h, h->children[i]))
			continue;
		free(h->children[i]);
		h->children[i--] = h->children[--h->child_count];
	}
}

static inline void light_free(struct light_host *h)
{
	while (h->child_count > 0)
		free(h->children[--h->child_count]);
	for (unsigned i = 0; i < h->n; i++)
		stack_free(h->stacks[i]);
	h->n = 0;
}

#endif
