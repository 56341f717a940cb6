/* SPDX-License-Identifier: BSD-3-Clause */
/* For the tests of AF_XDP: a network namespace with a veth pair, "lta" for Light and "ltb" for its neighbour, who speaks
 * through a packet socket. Needs root and iproute2. */
#ifndef LIGHT_IO_TESTS_AFXDP_TEST_H
#define LIGHT_IO_TESTS_AFXDP_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "io/afxdp.h"

#define LIGHT_ADDRESS "10.55.0.2"
#define KERNEL_ADDRESS "10.55.0.1"
#define NEIGHBOUR_ADDRESS "10.55.0.3"
#define FRAME_MAX 9300u

struct fixture {
	struct device *device;
	struct link *link;       /* of the first queue */
	int raw;                 /* packet socket on ltb */
	uint8_t mac_a[6], mac_b[6];
	char log[8192];
	char why[DEVICE_WHY];
};

static inline void run(const char *command)
{
	if (system(command) != 0)
		fail_msg("failed: %s", command);
}

static inline void keep_log(void *context, const char *line)
{
	struct fixture *f = context;
	size_t n = strlen(f->log);

	snprintf(f->log + n, sizeof(f->log) - n, "%s\n", line);
}

static inline void read_mac(const char *name, uint8_t mac[6])
{
	char path[64];
	FILE *in;
	unsigned m[6];

	/* /sys shows the namespace of whoever mounted it; ip shows ours. */
	snprintf(path, sizeof(path), "ip -o link show %s | sed 's/.*ether \\([^ ]*\\).*/\\1/'", name);
	in = popen(path, "r");
	assert_non_null(in);
	assert_int_equal(fscanf(in, "%x:%x:%x:%x:%x:%x", m, m + 1, m + 2, m + 3, m + 4, m + 5), 6);
	pclose(in);
	for (unsigned i = 0; i < 6; i++)
		mac[i] = (uint8_t)m[i];
}

static inline void make_pair(unsigned queues, unsigned mtu)
{
	char command[512];

	snprintf(command, sizeof(command), "ip link add dev lta mtu %u numtxqueues %u numrxqueues %u type veth "
		"peer name ltb mtu %u numtxqueues %u numrxqueues %u && ip link set lta addrgenmode none up && "
		"ip link set ltb addrgenmode none up", mtu, queues, queues, mtu, queues, queues);
	run(command);
	run("ethtool -K ltb tx off txvlan off >/dev/null 2>&1");
}

static inline int raw_socket(const char *name)
{
	struct sockaddr_ll a = { .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL) };
	int one = 1, bytes = 8 << 20, fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(ETH_P_ALL));

	assert_true(fd >= 0);
	a.sll_ifindex = (int)if_nametoindex(name);
	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof(one));
	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes));
	return fd;
}

/* The namespace goes with the process's next one, and with it all interfaces. */
static inline bool new_namespace(void)
{
	return geteuid() == 0 && unshare(CLONE_NEWNET) == 0 && system("ip link set lo up 2>/dev/null") == 0
		&& system("command -v ethtool >/dev/null") == 0;
}

static inline void set_up_config(struct fixture *f, unsigned mtu, unsigned queues, struct afxdp_config c)
{
	struct afxdp_wanted w = { .ip4 = { inet_addr(LIGHT_ADDRESS) }, .addresses = 1 };
	int error;

	memset(f, 0, sizeof(*f));
	if (!new_namespace()) {
		print_message("needs root, network namespaces, iproute2 and ethtool\n");
		skip();
	}
	make_pair(queues, mtu);
	read_mac("lta", f->mac_a);
	read_mac("ltb", f->mac_b);
	f->raw = raw_socket("ltb");
	c.interface = "lta";
	c.device.queues = c.device.queues ? c.device.queues : queues;
	c.device.log = keep_log;
	c.device.log_context = f;
	error = afxdp_open(&c, &f->device, f->why);
	if (error)
		fail_msg("afxdp_open: %d %s", error, f->why);
	f->link = f->device->ops->queue(f->device, 0);
	assert_int_equal(afxdp_want(f->device, &w), 0);
}

static inline void set_up(struct fixture *f, unsigned mtu, unsigned queues)
{
	set_up_config(f, mtu, queues, (struct afxdp_config){ .packets = 1024 });
}

static inline void tear_down(struct fixture *f)
{
	assert_int_equal(f->device->ops->outstanding(f->device), 0);
	f->device->ops->close(f->device);
	close(f->raw);
}

static inline uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static inline void pattern(uint8_t *at, size_t n, unsigned seed)
{
	for (size_t i = 0; i < n; i++)
		at[i] = (uint8_t)(i * 7 + seed * 13 + (i >> 8));
}

static inline void put_ethernet(const struct fixture *f, uint8_t *frame, uint16_t type)
{
	memcpy(frame, f->mac_a, 6);
	memcpy(frame + 6, f->mac_b, 6);
	frame[12] = (uint8_t)(type >> 8);
	frame[13] = (uint8_t)type;
}

static inline void put_address(uint8_t *at, const char *address)
{
	uint32_t a = inet_addr(address);

	memcpy(at, &a, 4);
}

/* From the neighbour, UDP (with no checksum), behind an Ethernet header of `at` bytes already written. */
static inline void put_ip4(uint8_t *ip, size_t bytes, const char *to, uint16_t from_port, uint16_t port)
{
	uint32_t sum = 0;

	memset(ip, 0, 20);
	ip[0] = 0x45;
	ip[2] = (uint8_t)(bytes >> 8);
	ip[3] = (uint8_t)bytes;
	ip[8] = 64;
	ip[9] = 17;
	put_address(ip + 12, NEIGHBOUR_ADDRESS);
	put_address(ip + 16, to);
	for (unsigned i = 0; i < 20; i += 2)
		sum += (uint32_t)ip[i] << 8 | ip[i + 1];
	sum = (sum & 0xffff) + (sum >> 16);
	sum = ~((sum & 0xffff) + (sum >> 16));
	ip[10] = (uint8_t)(sum >> 8);
	ip[11] = (uint8_t)sum;
	if (bytes >= 28) {
		ip[20] = (uint8_t)(from_port >> 8);
		ip[21] = (uint8_t)from_port;
		ip[22] = (uint8_t)(port >> 8);
		ip[23] = (uint8_t)port;
		ip[24] = (uint8_t)((bytes - 20) >> 8);
		ip[25] = (uint8_t)(bytes - 20);
		ip[26] = ip[27] = 0;
	}
}

static inline void put_arp(uint8_t *arp, uint16_t operation, const char *sender, const char *target)
{
	static const uint8_t fixed[] = { 0, 1, 8, 0, 6, 4, 0 };

	memset(arp, 0, 28);
	memcpy(arp, fixed, sizeof(fixed));
	arp[7] = (uint8_t)operation;
	arp[8] = 2;
	put_address(arp + 14, sender);
	put_address(arp + 24, target);
}

static inline void raw_send(const struct fixture *f, const uint8_t *frame, size_t n)
{
	ssize_t sent = -1;

	for (unsigned i = 0; i < 1000 && sent < 0; i++) {
		sent = send(f->raw, frame, n, 0);
		if (sent < 0)
			usleep(100);                    /* the interface just came up, or its queue is full */
	}
	assert_int_equal(sent, n);
}

/* The next frame at the neighbour; 0 after ms without. */
static inline size_t raw_receive(const struct fixture *f, uint8_t frame[FRAME_MAX], int ms)
{
	struct pollfd p = { f->raw, POLLIN, 0 };
	ssize_t n;

	if (poll(&p, 1, ms) <= 0)
		return 0;
	n = recv(f->raw, frame, FRAME_MAX, 0);
	if (n < 0 && errno == ENETDOWN)         /* said once after the interface went down */
		return raw_receive(f, frame, ms);
	assert_true(n > 0);
	return (size_t)n;
}

/* Up to n packets within ms. */
static inline unsigned link_collect(struct link *l, struct pkt **out, unsigned n, unsigned ms)
{
	uint64_t end = now_ms() + ms;
	unsigned got = 0;

	do {
		got += l->ops->receive(l, out + got, n - got);
	} while (got < n && now_ms() < end);
	return got;
}

/* Turns the link for so long, or until it is up or down, or until the log has the text. */
static inline bool link_turn(struct fixture *f, unsigned ms, int up, const char *text)
{
	uint64_t end = now_ms() + ms;
	struct pkt *p;

	do {
		for (unsigned i = 0; i < f->device->queues; i++) {
			struct link *l = f->device->ops->queue(f->device, i);

			if (l->ops->receive(l, &p, 1))
				l->ops->release(l, &p, 1);
		}
		if (up >= 0 && (f->link->up != 0) == (up != 0) && (!text || strstr(f->log, text)))
			return true;
		if (up < 0 && text && strstr(f->log, text))
			return true;
	} while (now_ms() < end);
	return false;
}

static inline uint64_t counter(struct link *l, const char *name)
{
	struct link_counter c;

	for (unsigned i = 0; l->ops->counter(l, i, &c); i++)
		if (strcmp(c.name, name) == 0)
			return c.value;
	fail_msg("no counter %s", name);
	return 0;
}

#endif
