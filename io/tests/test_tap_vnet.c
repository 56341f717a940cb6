/* SPDX-License-Identifier: BSD-3-Clause */
/* The virtio-net header, field by field, and with random ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "io/layer4.h"
#include "io/tap_vnet.h"
#include "stack/base/checksum.h"
#include "stack/base/rng.h"

static uint8_t buffer[4096];

/* A whole TCP segment of n bytes of payload, its checksum open; UDP instead of it where it says so. */
static struct pkt frame(uint8_t protocol, uint32_t n)
{
	struct pkt p = { .buffer = buffer, .buffer_size = sizeof(buffer) };
	uint32_t header = protocol == LAYER4_TCP ? 20 : 8, total = 20 + header + n;
	uint8_t pseudo[4] = { 0, protocol, (uint8_t)((header + n) >> 8), (uint8_t)(header + n) };
	uint16_t sum;

	pkt_reset(&p);
	memset(p.data, 0, 14 + total);
	memcpy(p.data, "\2\0\0\0\0\1\2\0\0\0\0\2\x08\0\x45\0", 16);
	p.data[16] = (uint8_t)(total >> 8);
	p.data[17] = (uint8_t)total;
	p.data[23] = protocol;
	memcpy(p.data + 26, "\x0a\0\0\1\x0a\0\0\2", 8);
	p.data[34 + 12] = 0x50;
	for (uint32_t i = 0; i < n; i++)
		p.data[34 + header + i] = (uint8_t)(i + 1);
	sum = csum_fold(csum_add(csum_add(0, p.data + 26, 8), pseudo, 4));
	memcpy(p.data + 34 + (protocol == LAYER4_TCP ? 16 : 6), &sum, 2);
	p.len = 14 + total;
	return p;
}

static struct virtio_net_hdr partial(uint16_t start, uint16_t offset)
{
	return (struct virtio_net_hdr){ .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .csum_start = start, .csum_offset = offset };
}

static void an_open_tcp_or_udp_checksum_is_good(void **state)
{
	struct virtio_net_hdr h = partial(34, 16);
	struct pkt p = frame(LAYER4_TCP, 100);

	(void)state;
	assert_int_equal(vnet_read(&h, &p, true), VNET_OK);
	assert_int_equal(p.flags, PKT_CSUM_GOOD);
	assert_int_equal(p.csum_start, 34);
	assert_int_equal(p.csum_offset, 16);
	h = partial(34, 6);
	p = frame(LAYER4_UDP, 5);
	assert_int_equal(vnet_read(&h, &p, true), VNET_OK);
	assert_int_equal(p.flags, PKT_CSUM_GOOD);
}

static void a_checksum_without_offload_or_elsewhere_is_computed(void **state)
{
	struct virtio_net_hdr h = partial(34, 16);
	struct pkt p = frame(LAYER4_TCP, 101);
	struct layer4 l;
	uint16_t field;

	(void)state;
	l = layer4_find(&p);
	assert_true(layer4_open_checksum(&p, &l));
	assert_int_equal(vnet_read(&h, &p, false), VNET_COMPLETED);
	assert_int_equal(p.flags, 0);
	assert_false(layer4_open_checksum(&p, &l));
	p.data[34 + 16] ^= 1;
	assert_false(layer4_mark(&p, 1500));
	/* Some inner header's. */
	h = partial(54, 16);
	p = frame(LAYER4_TCP, 101);
	memset(p.data + 54 + 16, 0, 2);
	assert_int_equal(vnet_read(&h, &p, true), VNET_COMPLETED);
	assert_int_equal(p.flags, 0);
	assert_int_equal(csum_finish(csum_add(0, p.data + 54, 101)), 0);
	/* It comes out as zero, and is stored as what UDP does not take for "none". */
	memset(p.data + 54, 0xff, 2);
	memset(p.data + 56, 0, 99);
	assert_int_equal(vnet_read(&h, &p, true), VNET_COMPLETED);
	memcpy(&field, p.data + 54 + 16, 2);
	assert_int_equal(field, 0xffff);
}

static void what_a_card_found_valid_is_good_where_that_was_asked_for(void **state)
{
	struct virtio_net_hdr h = { .flags = VIRTIO_NET_HDR_F_DATA_VALID };
	struct pkt p = frame(LAYER4_TCP, 1);

	(void)state;
	assert_int_equal(vnet_read(&h, &p, true), VNET_OK);
	assert_int_equal(p.flags, PKT_CSUM_GOOD);
	p = frame(LAYER4_TCP, 1);
	assert_int_equal(vnet_read(&h, &p, false), VNET_OK);
	assert_int_equal(p.flags, 0);
}

static void only_tcp_over_ipv4_comes_in_super_frames(void **state)
{
	static const struct { uint8_t type; uint16_t size; enum vnet_verdict verdict; } table[] = {
		{ VIRTIO_NET_HDR_GSO_TCPV4, 1448, VNET_OK },
		{ VIRTIO_NET_HDR_GSO_TCPV4, 0, VNET_BAD_GSO },
		{ VIRTIO_NET_HDR_GSO_TCPV4 | VIRTIO_NET_HDR_GSO_ECN, 1448, VNET_BAD_GSO },
		{ VIRTIO_NET_HDR_GSO_TCPV6, 1448, VNET_BAD_GSO },
		{ VIRTIO_NET_HDR_GSO_UDP, 1448, VNET_BAD_GSO },
		{ 5 /* UDP_L4, not in every header */, 1448, VNET_BAD_GSO },
		{ 0x7f, 1448, VNET_BAD_GSO },
	};
	struct virtio_net_hdr h;
	struct pkt p;

	(void)state;
	for (unsigned i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		h = partial(34, 16);
		h.gso_type = table[i].type;
		h.gso_size = table[i].size;
		h.hdr_len = 9999;       /* a hint, not looked at */
		p = frame(LAYER4_TCP, 3000);
		assert_int_equal(vnet_read(&h, &p, true), table[i].verdict);
		if (table[i].verdict != VNET_OK)
			continue;
		assert_int_equal(p.gso_size, 1448);
		assert_int_equal(p.header_len, 54);
		p = frame(LAYER4_TCP, 3000);
		assert_int_equal(vnet_read(&h, &p, false), VNET_BAD_GSO);
		p = frame(LAYER4_TCP, 3000);
		p.data[34 + 12] = 0x40;
		assert_int_equal(vnet_read(&h, &p, true), VNET_BAD_GSO);
		p = frame(LAYER4_TCP, 0);
		p.data[34 + 12] = 0xf0;
		assert_int_equal(vnet_read(&h, &p, true), VNET_BAD_GSO);
		h.csum_offset = 6;
		p = frame(LAYER4_UDP, 3000);
		assert_int_equal(vnet_read(&h, &p, true), VNET_BAD_GSO);
	}
}

/* Whatever the fields and the frame's length, what comes out lies within the frame. */
static void random_headers_stay_within_the_frame(void **state)
{
	struct rng rng;
	unsigned verdicts[4] = { 0 };

	(void)state;
	rng_seed_u64(&rng, 3);
	for (unsigned i = 0; i < 200000; i++) {
		struct pkt p = frame(rng_below(&rng, 2) ? LAYER4_TCP : LAYER4_UDP, (uint32_t)rng_below(&rng, 200));
		uint64_t r = rng_u64(&rng);
		struct virtio_net_hdr h = { .flags = (uint8_t)(r & 3), .gso_type = r >> 8 & 1 ? (uint8_t)(r >> 16 & 7) : 0,
			.gso_size = (uint16_t)(r >> 24), .csum_start = r >> 9 & 1 ? 34 : (uint16_t)(r >> 40 & 255),
			.csum_offset = r >> 10 & 1 ? 16 : (uint16_t)(r >> 48 & 255) };
		enum vnet_verdict v;
		uint8_t *exact;

		for (unsigned k = 0; k < (r >> 56) % 4; k++)
			p.data[12 + rng_below(&rng, 40)] = (uint8_t)rng_u64(&rng);
		p.len = (uint32_t)rng_below(&rng, p.len + 1);
		/* In memory of just that size, so that a sanitizer sees a byte too far. */
		exact = malloc(p.len ? p.len : 1);
		assert_non_null(exact);
		memcpy(exact, p.data, p.len);
		p.data = p.buffer = exact;
		v = vnet_read(&h, &p, rng_below(&rng, 4) > 0);
		verdicts[v]++;
		if (v <= VNET_COMPLETED) {
			assert_true(p.csum_start == 0 || (uint32_t)p.csum_start + p.csum_offset + 2 <= p.len);
			assert_true(p.header_len <= p.len && (p.gso_size == 0) == (p.header_len == 0));
		}
		layer4_mark(&p, 100);
		assert_true(p.header_len <= p.len);
		free(exact);
	}
	for (unsigned i = 0; i < 4; i++)
		assert_true(verdicts[i] > 100);
}

static void what_is_sent_says_its_checksum_and_its_segments(void **state)
{
	struct pkt p = frame(LAYER4_TCP, 3000);
	struct virtio_net_hdr h;

	(void)state;
	assert_true(vnet_write(&p, &h));
	assert_int_equal(h.flags | h.gso_type, 0);
	p.flags = PKT_CSUM_PARTIAL;
	p.csum_start = 34;
	p.csum_offset = 16;
	assert_true(vnet_write(&p, &h));
	assert_int_equal(h.flags, VIRTIO_NET_HDR_F_NEEDS_CSUM);
	assert_int_equal(h.csum_start, 34);
	assert_int_equal(h.csum_offset, 16);
	assert_int_equal(h.gso_type, VIRTIO_NET_HDR_GSO_NONE);
	p.gso_size = 1448;
	p.header_len = 54;
	assert_true(vnet_write(&p, &h));
	assert_int_equal(h.gso_type, VIRTIO_NET_HDR_GSO_TCPV4);
	assert_int_equal(h.gso_size, 1448);
	assert_int_equal(h.hdr_len, 54);
	p.gso_size = 3000;              /* one segment */
	assert_true(vnet_write(&p, &h));
	assert_int_equal(h.gso_type, VIRTIO_NET_HDR_GSO_NONE);
}

static void what_contradicts_itself_is_not_sent(void **state)
{
	struct pkt good = frame(LAYER4_TCP, 3000), p;
	struct virtio_net_hdr h;

	(void)state;
	good.flags = PKT_CSUM_PARTIAL;
	good.csum_start = 34;
	good.csum_offset = 16;
	good.gso_size = 1448;
	good.header_len = 54;
	p = good;
	p.csum_start = (uint16_t)p.len;
	assert_false(vnet_write(&p, &h));
	p = good;
	p.flags = 0;
	assert_false(vnet_write(&p, &h));
	p = good;
	p.header_len = (uint16_t)(p.len + 1);
	assert_false(vnet_write(&p, &h));
	p = good;
	p.header_len = 40;
	assert_false(vnet_write(&p, &h));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_open_tcp_or_udp_checksum_is_good),
		cmocka_unit_test(a_checksum_without_offload_or_elsewhere_is_computed),
		cmocka_unit_test(what_a_card_found_valid_is_good_where_that_was_asked_for),
		cmocka_unit_test(only_tcp_over_ipv4_comes_in_super_frames),
		cmocka_unit_test(random_headers_stay_within_the_frame),
		cmocka_unit_test(what_is_sent_says_its_checksum_and_its_segments),
		cmocka_unit_test(what_contradicts_itself_is_not_sent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
