/* SPDX-License-Identifier: BSD-3-Clause */
/* The flags of packets and of mbufs, without a device: what is asked of a PMD for a checksum or a super-frame, and what its
 * verdicts mean. */
#include "dpdk_test.h"

#include <stdlib.h>

#include <rte_ip.h>
#include <rte_tcp.h>

#include "stack/base/checksum.h"

struct fixture {
	struct rte_mbuf mbuf;
	struct pkt pkt;
	uint8_t buffer[DPDK_SUPER_BYTES];
};

static struct fixture *f;
static struct dpdk_queue q;

static int set_up(void **state)
{
	(void)state;
	f = aligned_alloc(64, RTE_ALIGN_CEIL(sizeof(*f), 64u));
	memset(f, 0, sizeof(*f));
	memset(&q, 0, sizeof(q));
	f->mbuf.buf_addr = f->buffer;
	f->pkt.buffer = f->buffer;
	f->pkt.buffer_size = sizeof(f->buffer);
	pkt_reset(&f->pkt);
	q.link.flags = LINK_TX_CSUM | LINK_RX_CSUM | LINK_TSO;
	q.ip_sum_for_tso = true;
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	free(f);
	return 0;
}

static uint16_t pseudo_sum(const uint8_t *ip, uint16_t length, uint8_t protocol)
{
	uint8_t pseudo[12];

	memcpy(pseudo, ip + 12, 8);
	pseudo[8] = 0;
	pseudo[9] = protocol;
	pseudo[10] = (uint8_t)(length >> 8);
	pseudo[11] = (uint8_t)length;
	return csum_fold(csum_add(0, pseudo, sizeof(pseudo)));
}

/* A frame as the stack hands it over: the IPv4 sum done, the layer above begun. */
static struct pkt *partial_frame(unsigned tags, uint8_t protocol, uint32_t payload)
{
	struct pkt *p = &f->pkt;
	uint32_t l2 = 14 + 4 * tags, l4 = protocol == 6 ? 20 : 8, i;
	uint8_t *ip = p->data + l2;
	uint16_t sum;

	p->len = l2 + 20 + l4 + payload;
	for (i = 0; i < p->len; i++)
		p->data[i] = (uint8_t)(i * 7);
	for (i = 0; i < tags; i++)
		memcpy(p->data + 12 + 4 * i, (const uint8_t[]){ i + 1 < tags ? 0x88 : 0x81, i + 1 < tags ? 0xa8 : 0, 0, 5 }, 4);
	memcpy(p->data + l2 - 2, "\x08\x00", 2);
	memcpy(ip, (const uint8_t[]){ 0x45, 0, (uint8_t)((20 + l4 + payload) >> 8), (uint8_t)(20 + l4 + payload), 0, 1, 0, 0, 64,
		protocol, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2 }, 20);
	sum = csum_finish(csum_add(0, ip, 20));
	memcpy(ip + 10, &sum, 2);
	if (protocol == 6)
		ip[20 + 12] = 5 << 4;
	sum = pseudo_sum(ip, (uint16_t)(l4 + payload), protocol);
	p->csum_start = (uint16_t)(l2 + 20);
	p->csum_offset = protocol == 6 ? 16 : 6;
	memcpy(p->data + p->csum_start + p->csum_offset, &sum, 2);
	p->flags = PKT_CSUM_PARTIAL;
	return p;
}

static void the_pmd_is_told_where_the_headers_lie(void **state)
{
	static const struct {
		unsigned tags;
		uint8_t protocol;
		uint64_t flag;
	} rows[] = {
		{ 0, 6, RTE_MBUF_F_TX_TCP_CKSUM }, { 0, 17, RTE_MBUF_F_TX_UDP_CKSUM },
		{ 1, 6, RTE_MBUF_F_TX_TCP_CKSUM }, { 2, 17, RTE_MBUF_F_TX_UDP_CKSUM },
	};
	unsigned i;

	(void)state;
	for (i = 0; i < RTE_DIM(rows); i++) {
		struct pkt *p;

		pkt_reset(&f->pkt);
		p = partial_frame(rows[i].tags, rows[i].protocol, 100);
		assert_true(dpdk_offload_sending(&q, p, &f->mbuf));
		assert_int_equal(f->mbuf.ol_flags, RTE_MBUF_F_TX_IPV4 | rows[i].flag);
		assert_int_equal(f->mbuf.l2_len, 14 + 4 * rows[i].tags);
		assert_int_equal(f->mbuf.l3_len, 20);
	}
	assert_int_equal(q.counts.software_sums, 0);
}

static void a_protocol_that_no_pmd_knows_is_summed_here(void **state)
{
	struct pkt *p = partial_frame(0, 17, 101);
	uint64_t whole;

	(void)state;
	p->data[12] = 0x88;         /* no longer IPv4, as far as a PMD can see */
	p->data[13] = 0xb5;
	whole = csum_add(0, p->data + p->csum_start, p->len - p->csum_start);
	f->mbuf.ol_flags = 0;
	assert_true(dpdk_offload_sending(&q, p, &f->mbuf));
	assert_int_equal(f->mbuf.ol_flags, 0);
	assert_false(p->flags & PKT_CSUM_PARTIAL);
	assert_int_equal(q.counts.software_sums, 1);
	assert_memory_equal(p->data + p->csum_start + p->csum_offset, &(uint16_t){ csum_finish(whole) }, 2);
}

static void a_super_frame_has_a_pseudo_sum_without_its_length(void **state)
{
	struct pkt *p = partial_frame(1, 6, 60000);
	uint8_t *ip = p->data + 18;
	uint16_t without = pseudo_sum(ip, 0, 6);
	unsigned again;

	(void)state;
	p->gso_size = 1448;
	p->header_len = 18 + 40;
	for (again = 0; again < 2; again++) {       /* the transmit ring was full the first time */
		assert_true(dpdk_offload_sending(&q, p, &f->mbuf));
		assert_int_equal(f->mbuf.ol_flags, RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_TCP_CKSUM | RTE_MBUF_F_TX_TCP_SEG |
			RTE_MBUF_F_TX_IP_CKSUM);
		assert_int_equal(f->mbuf.tso_segsz, 1448);
		assert_int_equal(f->mbuf.l4_len, 20);
		assert_memory_equal(p->data + p->csum_start + 16, &without, 2);
		assert_memory_equal(ip + 10, "\0\0", 2);
	}
}

static void a_pmd_without_ipv4_sums_gets_a_super_frame_with_its_own(void **state)
{
	struct pkt *p = partial_frame(0, 6, 30000);

	(void)state;
	q.ip_sum_for_tso = false;
	p->gso_size = 1448;
	p->header_len = 14 + 40;
	assert_true(dpdk_offload_sending(&q, p, &f->mbuf));
	assert_false(f->mbuf.ol_flags & RTE_MBUF_F_TX_IP_CKSUM);
	assert_int_equal(csum_finish(csum_add(0, p->data + 14, 20)), 0);
}

static void what_cannot_be_segmented_or_lies_outside_the_frame_is_refused(void **state)
{
	struct pkt *p = partial_frame(0, 17, 3000);

	(void)state;
	p->gso_size = 1000;         /* UDP */
	p->header_len = 42;
	assert_false(dpdk_offload_sending(&q, p, &f->mbuf));
	pkt_reset(p);
	p = partial_frame(0, 6, 3000);
	p->gso_size = 1000;
	p->header_len = (uint16_t)p->len;       /* nothing behind the headers */
	assert_false(dpdk_offload_sending(&q, p, &f->mbuf));
	p->header_len = 14 + 30;                /* a TCP header of ten bytes */
	assert_false(dpdk_offload_sending(&q, p, &f->mbuf));
	p->gso_size = 0;
	p->csum_start = (uint16_t)p->len;
	assert_false(dpdk_offload_sending(&q, p, &f->mbuf));
	pkt_reset(p);
	p = partial_frame(0, 6, 3000);
	p->gso_size = 1000;
	p->header_len = 54;
	p->flags = 0;                           /* a super-frame whose checksum is not left to the PMD */
	assert_false(dpdk_offload_sending(&q, p, &f->mbuf));
	p->flags = PKT_CSUM_PARTIAL;
	q.link.flags = LINK_TX_CSUM;
	assert_false(dpdk_offload_sending(&q, p, &f->mbuf));
}

static void a_checksum_is_good_only_if_all_layers_are(void **state)
{
	static const struct {
		uint64_t flags;
		bool ip_broken;
		uint32_t verdict;
	} rows[] = {
		{ RTE_MBUF_F_RX_IP_CKSUM_GOOD | RTE_MBUF_F_RX_L4_CKSUM_GOOD, false, PKT_CSUM_GOOD },
		{ RTE_MBUF_F_RX_IP_CKSUM_GOOD | RTE_MBUF_F_RX_L4_CKSUM_BAD, false, 0 },
		{ RTE_MBUF_F_RX_IP_CKSUM_BAD | RTE_MBUF_F_RX_L4_CKSUM_GOOD, false, 0 },
		{ RTE_MBUF_F_RX_IP_CKSUM_GOOD, false, 0 },
		{ 0, false, 0 },
		/* virtio and vhost do not look at the IPv4 header: we do */
		{ RTE_MBUF_F_RX_L4_CKSUM_GOOD, false, PKT_CSUM_GOOD },
		{ RTE_MBUF_F_RX_L4_CKSUM_NONE, false, PKT_CSUM_GOOD },
		{ RTE_MBUF_F_RX_L4_CKSUM_GOOD, true, 0 },
		{ RTE_MBUF_F_RX_L4_CKSUM_NONE, true, 0 },
		{ RTE_MBUF_F_RX_IP_CKSUM_NONE | RTE_MBUF_F_RX_L4_CKSUM_NONE, false, 0 },
	};
	unsigned i;

	(void)state;
	for (i = 0; i < RTE_DIM(rows); i++) {
		struct pkt *p;

		pkt_reset(&f->pkt);
		p = partial_frame(0, 6, 10);
		p->data[14 + 8] ^= rows[i].ip_broken;
		assert_int_equal(dpdk_offload_verdict(p, rows[i].flags), rows[i].verdict);
	}
}

static void a_verdict_on_a_frame_that_ends_early_is_not_believed(void **state)
{
	struct pkt *p = partial_frame(1, 6, 10);
	uint32_t len;

	(void)state;
	for (len = 0; len < 14 + 4 + 20; len++) {
		p->len = len;
		assert_int_equal(dpdk_offload_verdict(p, RTE_MBUF_F_RX_L4_CKSUM_GOOD), 0);
	}
	p->len = len;
	assert_int_equal(dpdk_offload_verdict(p, RTE_MBUF_F_RX_L4_CKSUM_GOOD), PKT_CSUM_GOOD);
	p->data[18] = 0x4f;         /* options beyond the end */
	assert_int_equal(dpdk_offload_verdict(p, RTE_MBUF_F_RX_L4_CKSUM_GOOD), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_pmd_is_told_where_the_headers_lie, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_protocol_that_no_pmd_knows_is_summed_here, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_super_frame_has_a_pseudo_sum_without_its_length, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_pmd_without_ipv4_sums_gets_a_super_frame_with_its_own, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_cannot_be_segmented_or_lies_outside_the_frame_is_refused, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_checksum_is_good_only_if_all_layers_are, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_verdict_on_a_frame_that_ends_early_is_not_believed, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
