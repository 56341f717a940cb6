/* SPDX-License-Identifier: BSD-3-Clause */
/* Super-frames: cut into right segments where the way is not perfect, whole where it is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "sim/wire.h"
#include "stack/base/checksum.h"

#define IP 14u
#define MSS 1428u
#define OFFLOADS (LINK_TSO | LINK_TX_CSUM | LINK_RX_CSUM)

static uint32_t get32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* A super-frame of `payload` bytes, PSH and FIN set, from port 0 to port 1; 12 bytes of TCP options. */
static void fill(struct wire *w, struct pkt *p, bool ip4, uint32_t payload)
{
	uint32_t header = ip4 ? 20 : 40, tcp = IP + header, i, length = 32 + payload;
	uint8_t *d = p->data;
	uint64_t sum;
	uint16_t field;

	p->header_len = (uint16_t)(tcp + 32);
	p->len = p->header_len + payload;
	memset(d, 0, p->header_len);
	memcpy(d, wire_link(w, 1)->mac, 6);
	memcpy(d + 6, wire_link(w, 0)->mac, 6);
	if (ip4) {
		memcpy(d + 12, "\x08\x00\x45", 3);
		memcpy(d + IP + 4, "\x12\xff", 2);
		d[IP + 8] = 64;
		d[IP + 9] = 6;
		memcpy(d + IP + 12, "\x0a\0\0\1\x0a\0\0\2", 8);
	} else {
		memcpy(d + 12, "\x86\xdd\x60", 3);
		d[IP + 6] = 6;
		d[IP + 23] = 1;
		d[IP + 39] = 2;
	}
	memcpy(d + tcp, "\x12\x34\x00\x50\xff\xff\xff\x00\0\0\0\1\x80\x19\x10\0", 16);
	memset(d + tcp + 20, 1, 12);
	sum = csum_add(0, d + (ip4 ? IP + 12 : IP + 8), ip4 ? 8 : 32);
	field = csum_fold(sum + __builtin_bswap16(6) + __builtin_bswap16((uint16_t)length));
	memcpy(d + tcp + 16, &field, 2);
	for (i = 0; i < payload; i++)
		d[p->header_len + i] = (uint8_t)(i * 7 + i / 256);
	p->flags = PKT_CSUM_PARTIAL;
	p->csum_start = (uint16_t)tcp;
	p->csum_offset = 16;
	p->gso_size = MSS;
}

static struct wire *make(void)
{
	struct wire_config c = { .ports = 2, .packets = 256, .flags = OFFLOADS, .seed = 1 };

	return wire_new(&c);
}

static void transmit_super(struct wire *w, bool ip4, uint32_t payload)
{
	struct link *a = wire_link(w, 0);
	struct pkt *p;

	assert_int_equal(a->ops->borrow(a, &p, 1), 1);
	assert_true(pkt_tailroom(p) >= 65536);
	fill(w, p, ip4, payload);
	assert_int_equal(a->ops->transmit(a, &p, 1), 1);
}

static void check_segment(const struct pkt *p, bool ip4, uint32_t at, uint32_t payload, uint32_t index)
{
	uint32_t tcp = IP + (ip4 ? 20 : 40), n = p->len - tcp - 32, i;
	uint64_t sum = csum_add(0, p->data + (ip4 ? IP + 12 : IP + 8), ip4 ? 8 : 32);
	bool last = at + n == payload;

	assert_int_equal(n, last ? payload - at : MSS);
	assert_int_equal(get32(p->data + tcp + 4), 0xffffff00u + at);
	assert_int_equal(p->data[tcp + 13], last ? 0x19 : 0x10);
	sum = csum_add(sum + __builtin_bswap16(6) + __builtin_bswap16((uint16_t)(32 + n)), p->data + tcp, 32 + n);
	assert_int_equal(csum_finish(sum), 0);
	if (ip4) {
		assert_int_equal(csum_finish(csum_add(0, p->data + IP, 20)), 0);
		assert_int_equal(get32(p->data + IP) & 0xffff, p->len - IP);
		assert_int_equal(get32(p->data + IP + 4) >> 16, (0x12ff + index) & 0xffff);
	} else {
		assert_int_equal(get32(p->data + IP + 4) >> 16, 32 + n);
	}
	for (i = 0; i < n; i++)
		assert_int_equal(p->data[p->len - n + i], (uint8_t)((at + i) * 7 + (at + i) / 256));
}

static void cut_frames_are_right(bool ip4, uint32_t payload, struct wire_impairment set)
{
	struct wire *w = make();
	struct link *b = wire_link(w, 1);
	uint32_t at = 0, index = 0;
	struct pkt *p;

	b->flags = 0;   /* this host wants to see checksums */
	wire_impair(w, 0, WIRE_UP, &set);
	transmit_super(w, ip4, payload);
	wire_advance(w, NSEC_PER_SEC);
	while (b->ops->receive(b, &p, 1)) {
		assert_int_equal(p->flags, 0);
		assert_int_equal(p->gso_size, 0);
		check_segment(p, ip4, at, payload, index++);
		at += p->len - (IP + (ip4 ? 20u : 40u) + 32);
		b->ops->release(b, &p, 1);
	}
	assert_int_equal(at, payload);
	assert_null(wire_check(w));
	assert_int_equal(wire_outstanding(w), 0);
	wire_free(w);
}

static void a_super_frame_is_cut_for_a_link_with_a_rate(void **state)
{
	static const uint32_t payloads[] = { 1, MSS - 1, MSS, MSS + 1, 3 * MSS, 64000 };
	unsigned i;

	(void)state;
	for (i = 0; i < sizeof(payloads) / sizeof(payloads[0]); i++) {
		cut_frames_are_right(true, payloads[i], (struct wire_impairment){ .rate = 1000000000 });
		cut_frames_are_right(false, payloads[i], (struct wire_impairment){ .rate = 1000000000 });
	}
}

static void a_super_frame_is_cut_for_a_host_that_cannot_take_it(void **state)
{
	(void)state;
	cut_frames_are_right(true, 10000, (struct wire_impairment){ 0 });
	cut_frames_are_right(false, 10000, (struct wire_impairment){ 0 });
}

static void a_super_frame_stays_whole_on_a_perfect_wire(void **state)
{
	struct wire *w = make();
	struct link *b = wire_link(w, 1);
	struct pkt *p;

	(void)state;
	transmit_super(w, true, 64000);
	assert_int_equal(b->ops->receive(b, &p, 1), 1);
	assert_int_equal(p->len, 64000 + IP + 52);
	assert_int_equal(p->gso_size, MSS);
	assert_int_equal(p->flags, PKT_CSUM_GOOD);
	b->ops->release(b, &p, 1);
	assert_int_equal(wire_outstanding(w), 0);
	wire_free(w);
}

static void a_corrupted_segment_is_not_vouched_for(void **state)
{
	struct wire *w = make();
	struct link *b = wire_link(w, 1);
	unsigned seen = 0;
	struct pkt *p;

	(void)state;
	wire_impair(w, 0, WIRE_UP, &(struct wire_impairment){ .corrupt = 1 });
	transmit_super(w, true, 20000);
	wire_advance(w, 1);
	while (b->ops->receive(b, &p, 1)) {
		uint64_t ip = csum_add(0, p->data + IP, 20);
		uint64_t sum = csum_add(0, p->data + IP + 12, 8);

		assert_int_equal(p->flags & PKT_CSUM_GOOD, 0);
		sum = csum_add(sum + __builtin_bswap16(6) + __builtin_bswap16((uint16_t)(p->len - 34)),
			p->data + 34, p->len - 34);
		assert_true(csum_finish(ip) != 0 || csum_finish(sum) != 0);
		b->ops->release(b, &p, 1);
		seen++;
	}
	assert_int_equal(seen, (20000 + MSS - 1) / MSS);
	wire_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_super_frame_is_cut_for_a_link_with_a_rate),
		cmocka_unit_test(a_super_frame_is_cut_for_a_host_that_cannot_take_it),
		cmocka_unit_test(a_super_frame_stays_whole_on_a_perfect_wire),
		cmocka_unit_test(a_corrupted_segment_is_not_vouched_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
