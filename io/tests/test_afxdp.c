/* SPDX-License-Identifier: BSD-3-Clause */
/* Frames through AF_XDP on a veth pair: both ways, every length, several queues, no packet left, no room left. */
#include "afxdp_test.h"

/* One frame out, seen by the neighbour byte for byte. */
static void send_one(struct fixture *f, size_t length)
{
	uint8_t want[FRAME_MAX], got[FRAME_MAX];
	struct pkt *p;
	size_t n;

	pattern(want, length, (unsigned)length);
	memcpy(want, f->mac_b, 6);
	memcpy(want + 6, f->mac_a, 6);
	want[12] = 0x88;
	want[13] = 0xb5;
	assert_int_equal(f->link->ops->borrow(f->link, &p, 1), 1);
	assert_int_equal(pkt_headroom(p), PKT_HEADROOM);
	assert_true(pkt_tailroom(p) >= length);
	memcpy(p->data, want, length);
	p->len = (uint32_t)length;
	assert_int_equal(f->link->ops->transmit(f->link, &p, 1), 1);
	n = raw_receive(f, got, 1000);
	if (n != length)
		fail_msg("sent %zu bytes, the neighbour saw %zu", length, n);
	assert_memory_equal(got, want, length);
}

static void receive_one(struct fixture *f, size_t length)
{
	uint8_t frame[FRAME_MAX];
	struct pkt *p;

	pattern(frame, length, (unsigned)length + 5);
	put_ethernet(f, frame, 0x0800);
	put_ip4(frame + 14, length - 14, LIGHT_ADDRESS, 1000, 2000);
	raw_send(f, frame, length);
	if (link_collect(f->link, &p, 1, 1000) != 1)
		fail_msg("%zu bytes did not arrive: %s", length, f->log);
	assert_int_equal(p->len, length);
	assert_memory_equal(p->data, frame, length);
	assert_true(pkt_headroom(p) >= PKT_HEADROOM);
	assert_int_equal(p->flags, 0);
	assert_ptr_equal(p->link, f->link);
	f->link->ops->release(f->link, &p, 1);
}

static void frames_of_every_length_cross_both_ways(void **state)
{
	struct fixture f;

	(void)state;
	set_up(&f, 1500, 1);
	assert_int_equal(f.link->mtu, 1500);
	assert_int_equal(f.link->up, 1);
	assert_memory_equal(f.link->mac, f.mac_a, 6);
	for (size_t n = 14; n <= 1514; n++)
		send_one(&f, n);
	for (size_t n = 34; n <= 1514; n++)
		receive_one(&f, n);
	assert_int_equal(f.link->stats.rx_packets, 1514 - 34 + 1);
	assert_int_equal(f.link->stats.tx_packets, 1514 - 14 + 1);
	assert_int_equal(counter(f.link, "program_taken"), 1514 - 34 + 1);
	tear_down(&f);
}

static void frames_of_one_page_cross_both_ways(void **state)
{
	struct fixture f;

	(void)state;
	set_up(&f, 3072, 1);
	for (size_t n = 14; n <= 3086; n += 31)
		send_one(&f, n);
	for (size_t n = 3086; n >= 34; n -= 29)
		receive_one(&f, n);
	assert_int_equal(counter(f.link, "rx_gathered"), 0);
	tear_down(&f);
}

static void jumbo_frames_cross_both_ways_in_pieces(void **state)
{
	struct fixture f;

	(void)state;
	set_up(&f, 9000, 1);
	assert_int_equal(f.link->mtu, 9000);
	for (size_t n = 14; n <= 9014; n += 100)
		send_one(&f, n);
	for (size_t n = 3950; n <= 3990; n++)
		send_one(&f, n);
	for (size_t n = 34; n <= 9014; n += 80)
		receive_one(&f, n);
	receive_one(&f, 9014);
	for (size_t n = 3830; n <= 3850; n++)
		receive_one(&f, n);
	assert_true(counter(f.link, "rx_gathered") > 50);
	assert_int_equal(f.link->stats.rx_dropped, 0);
	tear_down(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(frames_of_every_length_cross_both_ways),
		cmocka_unit_test(frames_of_one_page_cross_both_ways),
		cmocka_unit_test(jumbo_frames_cross_both_ways_in_pieces),
	};

	return cmocka_run_group_tests_name("afxdp", tests, NULL, NULL);
}
