/* SPDX-License-Identifier: BSD-3-Clause */
/* For the tests of the DPDK backend: frames that can be told from one another, a log that is kept, and what AddressSanitizer's leak
 * check must not hold against us. */
#ifndef LIGHT_IO_TESTS_DPDK_TEST_H
#define LIGHT_IO_TESTS_DPDK_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <rte_eal.h>

#include "io/dpdk_port.h"

/* The EAL keeps some of its own allocations (parsed arguments, driver lists, what plug-ins registered) until the process ends,
 * after rte_eal_cleanup too. net_af_xdp leaves what libxdp made of its UMEM. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
	return "leak:librte_\nleak:rte_eal_init\nleak:rte_eal_cleanup\nleak:libmlx\nleak:libibverbs\nleak:xsk_umem__create\n";
}

#define TEST_PACKETS 2048u

struct kept_log {
	unsigned lines;
	char text[4096];
};

static inline void keep_line(void *context, const char *line)
{
	struct kept_log *log = context;
	size_t used = strlen(log->text);

	log->lines++;
	snprintf(log->text + used, sizeof(log->text) - used, "%s\n", line);
}

static struct kept_log log_kept;

static inline struct dpdk_config config_of(unsigned port)
{
	return (struct dpdk_config){
		.port = port, .packets = TEST_PACKETS, .rx_ring = 256, .tx_ring = 256,
		.device = { .queues = 1, .log = keep_line, .log_context = &log_kept },
	};
}

static inline struct device *open_port(const struct dpdk_config *c)
{
	char why[DEVICE_WHY] = "";
	struct device *d = NULL;

	if (dpdk_open(c, &d, why) != 0)
		fail_msg("%s", why);
	return d;
}

/* Without huge pages, PCI and privileges, beside others that run at the same time. */
static inline void start_eal(const char *const *devices, unsigned n)
{
	static char copies[16][256];
	char *arguments[16] = { NULL };
	char why[DEVICE_WHY] = "";
	unsigned i;

	snprintf(copies[0], sizeof(copies[0]), "--no-pci");
	snprintf(copies[1], sizeof(copies[1]), "--no-huge");
	snprintf(copies[2], sizeof(copies[2]), "-m512");
	snprintf(copies[3], sizeof(copies[3]), "--file-prefix=light-test-%d", getpid());
	for (i = 0; i < n + 4 && i < 16; i++) {
		if (i >= 4)
			snprintf(copies[i], sizeof(copies[i]), "%s", devices[i - 4]);
		arguments[i] = copies[i];
	}
	if (dpdk_start(i, arguments, why) != 0)
		fail_msg("%s", why);
}

/* The EAL leaves its folder of this prefix behind. */
static inline void stop_eal(void)
{
	char command[300] = "true";

	if (dpdk_is_started())
		snprintf(command, sizeof(command), "rm -rf '%s'", rte_eal_get_runtime_dir());
	dpdk_stop();
	if (system(command) != 0)
		printf("# failed: %s\n", command);
}

/* Bytes that depend on the length and the seed; the Ethernet type is one for experiments (0x88b5). */
static inline void make_frame(uint8_t *frame, uint32_t len, uint32_t seed)
{
	static const uint8_t header[14] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 9, 0x88, 0xb5 };
	uint32_t x = seed * 2654435761u + len, i;

	for (i = 0; i < len; i++) {
		x = x * 1664525u + 1013904223u;
		frame[i] = i < sizeof(header) ? header[i] : (uint8_t)(x >> 24);
	}
}

static inline bool is_frame(const uint8_t *frame, uint32_t len, uint32_t seed)
{
	static uint8_t wanted[65536];

	make_frame(wanted, len, seed);
	return memcmp(frame, wanted, len) == 0;
}

/* Sends one frame of each length in lens; how many were taken. */
static inline unsigned send_frames(struct link *l, const uint32_t *lens, unsigned n, uint32_t seed)
{
	struct pkt *p[64];
	unsigned i, lent = l->ops->borrow(l, p, n < 64 ? n : 64), taken;

	for (i = 0; i < lent; i++) {
		p[i]->len = lens[i];
		make_frame(p[i]->data, lens[i], seed);
	}
	taken = l->ops->transmit(l, p, lent);
	l->ops->release(l, p + taken, lent - taken);
	return taken;
}

/* The counter of that name; fails the test without one. */
static inline uint64_t counter_of(struct link *l, const char *name)
{
	struct link_counter c;
	unsigned i;

	for (i = 0; l->ops->counter(l, i, &c); i++)
		if (strcmp(c.name, name) == 0)
			return c.value;
	fail_msg("no counter %s", name);
	return 0;
}

#endif
