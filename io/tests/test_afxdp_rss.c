/* SPDX-License-Identifier: BSD-3-Clause */
/* What ethtool says of a NIC's RSS, and when it is believed. */
#include "io/afxdp_rss.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>
#include <sys/socket.h>
#include <unistd.h>

#define FOUR (RXH_IP_SRC | RXH_IP_DST | RXH_L4_B_0_1 | RXH_L4_B_2_3)
#define TWO (RXH_IP_SRC | RXH_IP_DST)

/* As a NIC of `rings` queues comes up: entry i names queue i modulo rings. */
static struct device_rss told(unsigned table, unsigned key, unsigned rings, uint64_t tcp, uint64_t udp, uint8_t function, unsigned queues)
{
	static union {
		struct ethtool_rxfh h;
		uint8_t bytes[sizeof(struct ethtool_rxfh) + 4 * 4096 + 64];
	} u;
	const struct afxdp_rss_fields fields = { tcp, udp };
	struct device_rss out;

	memset(&u, 0, sizeof(u));
	u.h.indir_size = table;
	u.h.key_size = key;
	u.h.hfunc = function;
	for (unsigned i = 0; i < table; i++)
		u.h.rss_config[i] = i % rings;
	for (unsigned i = 0; i < key; i++)
		((uint8_t *)(u.h.rss_config + table))[i] = (uint8_t)(i + 1);
	memset(&out, 0xff, sizeof(out));
	afxdp_rss_from(&u.h, &fields, queues, &out);
	return out;
}

static void key_and_table_are_taken_over(void **state)
{
	struct device_rss r = told(128, 40, 4, FOUR, TWO, 1, 4);

	(void)state;
	assert_int_equal(r.key_bytes, 40);
	assert_int_equal(r.key[0], 1);
	assert_int_equal(r.key[39], 40);
	assert_int_equal(r.key[40], 0);
	assert_int_equal(r.table_size, 128);
	assert_int_equal(r.table[5], 1);
	assert_int_equal(r.table[127], 3);
	assert_false(r.udp);
	assert_true(told(128, 40, 4, FOUR, FOUR, 1, 4).udp);
	assert_int_equal(told(512, 52, 16, FOUR, TWO, 1, 16).key_bytes, 52);
}

static void queues_that_share_a_link_are_one(void **state)
{
	struct device_rss r = told(128, 40, 4, FOUR, TWO, 1, 2);

	(void)state;
	for (unsigned i = 0; i < 128; i++)
		assert_int_equal(r.table[i], i % 4 % 2);
}

static void a_long_table_is_believed_if_it_repeats_itself(void **state)
{
	struct device_rss r = told(2048, 52, 8, FOUR, TWO, 1, 8);

	(void)state;
	assert_int_equal(r.table_size, 512);
	assert_int_equal(r.table[511], 7);
	assert_int_equal(r.key_bytes, 52);
	assert_int_equal(told(2048, 52, 6, FOUR, TWO, 1, 6).key_bytes, 0);
}

static void what_cannot_be_said_is_not_said(void **state)
{
	static const struct {
		unsigned table, key;
		uint64_t tcp, udp;
		uint8_t function;
	} bad[] = {
		{ 0, 40, FOUR, TWO, 1 }, { 100, 40, FOUR, TWO, 1 }, { 128, 0, FOUR, TWO, 1 }, { 128, 15, FOUR, TWO, 1 },
		{ 128, 53, FOUR, TWO, 1 }, { 128, 40, TWO, TWO, 1 }, { 128, 40, 0, TWO, 1 }, { 128, 40, FOUR, 0, 1 },
		{ 128, 40, FOUR, TWO | RXH_L4_B_0_1, 1 }, { 128, 40, FOUR | RXH_VLAN, TWO, 1 }, { 128, 40, FOUR, TWO, 2 },
		{ 128, 40, FOUR, TWO, 0 },
	};
	struct ethtool_rxfh symmetric = { .hfunc = 1, .rsvd8 = { 1 } };
	const struct afxdp_rss_fields fields = { FOUR, TWO };
	struct device_rss r;

	(void)state;
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (told(bad[i].table, bad[i].key, 4, bad[i].tcp, bad[i].udp, bad[i].function, 4).key_bytes != 0)
			fail_msg("row %u was believed", i);
	afxdp_rss_from(&symmetric, &fields, 4, &r);
	assert_int_equal(r.key_bytes, 0);
}

static void an_interface_without_rss_has_none(void **state)
{
	struct device_rss r;
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	(void)state;
	assert_true(fd >= 0);
	memset(&r, 0xff, sizeof(r));
	afxdp_rss_read(fd, "lo", 1, &r);
	assert_int_equal(r.key_bytes, 0);
	memset(&r, 0xff, sizeof(r));
	afxdp_rss_read(fd, "no-such-if", 1, &r);
	assert_int_equal(r.key_bytes, 0);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(key_and_table_are_taken_over),
		cmocka_unit_test(queues_that_share_a_link_are_one),
		cmocka_unit_test(a_long_table_is_believed_if_it_repeats_itself),
		cmocka_unit_test(what_cannot_be_said_is_not_said),
		cmocka_unit_test(an_interface_without_rss_has_none),
	};

	return cmocka_run_group_tests_name("afxdp_rss", tests, NULL, NULL);
}
