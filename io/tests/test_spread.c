/* SPDX-License-Identifier: BSD-3-Clause */
/* Cores in front of the queues of one device, by hand, one after the other: who gets what, whose memory it is, who is woken. */
#include "spread_rig.h"

#include <poll.h>

#define UDP 17
#define TCP 6

static struct rig rig;

static const struct mem_config plain = { .packets = 4096 };

static int tear_down(void **state)
{
	(void)state;
	rig_close_all(&rig);
	return 0;
}

static int three_cores_one_queue(void **state)
{
	(void)state;
	rig_open(&rig, 3, 1, &plain, false);
	for (uint16_t port = 999; port < 1002; port++)
		steer_bind_udp(&rig.steer, port, true);
	return 0;
}

static void give(unsigned queue, uint8_t protocol, uint16_t port, uint32_t number)
{
	uint8_t f[64];

	assert_true(rig_give(&rig, queue, f, rig_frame(f, protocol, port, number, sizeof(f))));
}

/* The core gets exactly this one and lets it go. */
static void expect_one(unsigned core, uint32_t number)
{
	struct pkt *p[8];

	assert_int_equal(rig_take(&rig, core, p, 8), 1);
	assert_int_equal(rig_number(p[0]), number);
	rig_let_go(p[0]);
	assert_int_equal(rig_take(&rig, core, p, 8), 0);
}

static void expect_none(unsigned core)
{
	struct pkt *p[8];

	assert_int_equal(rig_take(&rig, core, p, 8), 0);
}

static bool readable(int fd)
{
	struct pollfd f = { .fd = fd, .events = POLLIN };

	return poll(&f, 1, 0) == 1;
}

static void each_frame_reaches_the_core_it_is_for(void **state)
{
	unsigned hit[3] = { 0 };

	(void)state;
	for (uint16_t port = 999; port < 1002; port++) {
		give(0, UDP, port, port);
		if (port % 3 == 0) {
			expect_one(0, port);
		} else {
			expect_none(0);
			expect_one(port % 3, port);
		}
	}
	for (uint16_t port = 2000; port < 2060; port++) {
		unsigned core = steer_tcp(&rig.steer, __builtin_bswap32(0x0a000002), __builtin_bswap32(0x0a000001), 5000, port);

		hit[core]++;
		give(0, TCP, port, port);
		if (core)
			expect_none(0);
		expect_one(core, port);
	}
	assert_true(hit[0] && hit[1] && hit[2]);
	assert_int_equal(rig_count(&rig, 0, "handed to other cores"), 2 + hit[1] + hit[2]);
	assert_int_equal(rig_count(&rig, 1, "from other cores"), 1 + hit[1]);
}

static void what_the_device_has_spread_stays_where_it_is(void **state)
{
	(void)state;
	rig_open(&rig, 2, 2, &plain, true);
	for (uint16_t port = 2000; port < 2040; port++) {
		give(port % 2, TCP, port, port);
		expect_one(port % 2, port);
	}
	/* but for what the device cannot know */
	steer_pin_tcp(&rig.steer, 2001, true);
	give(0, TCP, 2001, 7);
	expect_none(0);
	expect_one(1, 7);
	steer_bind_udp(&rig.steer, 2002, true);
	give(1, UDP, 2002, 8);
	expect_none(1);
	expect_one(0, 8);
}

static void arp_is_copied_to_all_and_each_copy_is_its_own(void **state)
{
	uint8_t arp[60] = { [12] = 0x08, [13] = 0x06, [56] = 9 };
	struct pkt *p[3];

	(void)state;
	assert_true(rig_give(&rig, 0, arp, sizeof(arp)));
	for (unsigned core = 0; core < 3; core++) {
		assert_int_equal(rig_take(&rig, core, &p[core], 1), 1);
		assert_memory_equal(p[core]->data, arp, sizeof(arp));
		memset(p[core]->data, (int)core, sizeof(arp));
	}
	for (unsigned core = 0; core < 3; core++) {
		assert_int_equal(p[core]->data[20], core);
		rig_let_go(p[core]);
	}
	assert_int_equal(rig_count(&rig, 0, "copied to other cores"), 2);
}

/* A flood of ARP while nobody looks: copies are lost and counted, the first core hears all. */
static void copies_run_out_without_harm(void **state)
{
	uint8_t arp[60] = { [12] = 0x08, [13] = 0x06 };
	struct pkt *p[8];
	unsigned heard[3] = { 0 }, got;

	(void)state;
	for (unsigned i = 0; i < 200; i++) {
		assert_true(rig_give(&rig, 0, arp, sizeof(arp)));
		assert_int_equal(rig_take(&rig, 0, p, 1), 1);
		rig_let_go(p[0]);
		heard[0]++;
	}
	for (unsigned core = 1; core < 3; core++)
		while ((got = rig_take(&rig, core, p, 8)) > 0)
			for (unsigned i = 0; i < got; i++, heard[core]++)
				rig_let_go(p[i]);
	assert_int_equal(heard[0], 200);
	assert_int_equal(heard[1] + heard[2], rig_count(&rig, 0, "copied to other cores"));
	assert_int_equal(heard[1] + heard[2] + rig_count(&rig, 0, "lost: no packet for a copy"), 400);
	/* and then they are there again */
	assert_true(rig_give(&rig, 0, arp, sizeof(arp)));
	for (unsigned core = 0; core < 3; core++) {
		assert_int_equal(rig_take(&rig, core, p, 8), 1);
		rig_let_go(p[0]);
	}
}

static void memory_comes_back_in_whatever_order_it_is_let_go(void **state)
{
	struct pkt *held[300];
	unsigned n = 0;

	(void)state;
	for (unsigned i = 0; i < 300; i++)
		give(0, UDP, (uint16_t)(999 + i % 3), i);
	for (unsigned round = 0; round < 20; round++)
		for (unsigned core = 0; core < 3; core++)
			n += rig_take(&rig, core, held + n, 32);
	assert_int_equal(n, 300);
	assert_int_equal(mem_pair_outstanding(rig.pairs[0]), 300);
	for (unsigned i = 0; i < n; i++) {
		struct pkt *p = held[(i * 7 + 3) % 300];
		struct link *l = p->link;

		l->ops->release(l, &p, 1);
	}
	expect_none(0);
	assert_int_equal(mem_pair_outstanding(rig.pairs[0]), 0);
}

static void a_core_that_does_not_look_loses_its_own_packets_only(void **state)
{
	struct pkt *p[32];
	unsigned n, got = 0;

	(void)state;
	for (unsigned i = 0; i < 1500; i++) {
		give(0, UDP, 1000, i);          /* core 1 */
		give(0, UDP, 1001, i);          /* core 2 */
		expect_none(0);
		expect_one(2, i);
	}
	assert_int_equal(rig_count(&rig, 0, "lost: core behind"), 1500 - 1023);
	assert_int_equal(spread_link(rig.spread, 0)->stats.rx_dropped, 1500 - 1023);
	while ((n = rig_take(&rig, 1, p, 32)) > 0)
		for (unsigned i = 0; i < n; i++) {
			assert_int_equal(rig_number(p[i]), got++);
			rig_let_go(p[i]);
		}
	assert_int_equal(got, 1023);
	expect_none(0);
	assert_int_equal(mem_pair_outstanding(rig.pairs[0]), 0);
}

/* The owner has not looked for so long that the ring of its memory is full: nothing is lost. */
static void memory_waits_where_its_ring_is_full(void **state)
{
	struct pkt *held[2048];
	unsigned n = 0;

	(void)state;
	for (unsigned i = 0; i < 2000; i++) {
		give(0, UDP, 1000, i);
		expect_none(0);
		n += rig_take(&rig, 1, held + n, 8);
	}
	assert_int_equal(n, 2000);
	for (unsigned i = 0; i < n; i++)
		rig_let_go(held[i]);
	for (unsigned i = 0; i < 4; i++) {
		expect_none(0);
		expect_none(1);
	}
	assert_int_equal(mem_pair_outstanding(rig.pairs[0]), 0);
}

static void a_core_without_a_queue_sends_through_another(void **state)
{
	struct link *l = spread_link(rig.spread, 2), *far = rig.far[0];
	struct pkt *p[3], *out;

	(void)state;
	assert_int_equal(l->ops->borrow(l, p, 3), 3);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(pkt_headroom(p[i]), PKT_HEADROOM);
		p[i]->len = rig_frame(p[i]->data, UDP, 53, i, 100);
		p[i]->flags = PKT_CSUM_PARTIAL;
		p[i]->csum_start = 34;
		p[i]->csum_offset = 6;
	}
	assert_int_equal(l->ops->transmit(l, p, 3), 3);
	assert_int_equal(l->stats.tx_packets, 3);
	assert_int_equal(l->stats.tx_bytes, 300);
	assert_int_equal(far->ops->receive(far, &out, 1), 0);
	expect_none(0);                          /* its turn */
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(far->ops->receive(far, &out, 1), 1);
		assert_int_equal(rig_number(out), i);
		assert_int_equal(out->len, 100);
		assert_int_equal(out->csum_start, 34);
		assert_int_equal(out->flags, PKT_CSUM_GOOD);    /* mem's way to complete it */
		far->ops->release(far, &out, 1);
	}
	assert_int_equal(rig_count(&rig, 0, "sent for other cores"), 3);
}

static void super_frames_of_a_core_without_a_queue_go_whole(void **state)
{
	static const struct mem_config super = { .packets = 16, .flags = LINK_TSO | LINK_TX_CSUM };
	struct link *l, *far;
	struct pkt *p, *out;

	(void)state;
	rig_open(&rig, 2, 1, &super, false);
	l = spread_link(rig.spread, 1);
	far = rig.far[0];
	assert_true(l->flags & LINK_TSO);
	assert_int_equal(l->ops->borrow(l, &p, 1), 1);
	assert_true(pkt_tailroom(p) >= 65000);
	p->len = rig_frame(p->data, TCP, 80, 5, 64000);
	p->gso_size = 1448;
	p->header_len = 66;
	assert_int_equal(l->ops->transmit(l, &p, 1), 1);
	expect_none(0);
	assert_int_equal(far->ops->receive(far, &out, 1), 1);
	assert_int_equal(out->len, 64000);
	assert_int_equal(out->gso_size, 1448);
	assert_int_equal(out->header_len, 66);
	far->ops->release(far, &out, 1);
}

/* An answer is written into the packet that asked. */
static void a_packet_that_was_handed_over_may_be_sent_back(void **state)
{
	struct pkt *p, *out;

	(void)state;
	rig_open(&rig, 3, 2, &plain, false);
	for (unsigned core = 0; core < 3; core++) {
		struct link *l = spread_link(rig.spread, core), *far = rig.far[core % 2];

		steer_bind_udp(&rig.steer, (uint16_t)(999 + core), true);
		give(0, UDP, (uint16_t)(999 + core), 70 + core);
		if (core)
			expect_none(0);
		assert_int_equal(rig_take(&rig, core, &p, 1), 1);
		assert_int_equal(l->ops->transmit(l, &p, 1), 1);
		expect_none(0);
		expect_none(1);
		assert_int_equal(far->ops->receive(far, &out, 1), 1);
		assert_int_equal(rig_number(out), 70 + core);
		far->ops->release(far, &out, 1);
		expect_none(0);
	}
}

static void what_a_full_queue_does_not_take_stays_and_goes_later_in_order(void **state)
{
	struct link *l = spread_link(rig.spread, 1), *own = spread_link(rig.spread, 0), *far = rig.far[0];
	struct pkt *p[40], *out;
	unsigned n;

	(void)state;
	rig.queues[0].takes = 5;
	assert_int_equal(l->ops->borrow(l, p, 40), 40);
	for (unsigned i = 0; i < 40; i++)
		p[i]->len = rig_frame(p[i]->data, UDP, 53, i, 64);
	assert_int_equal(l->ops->transmit(l, p, 40), 40);
	expect_none(0);
	assert_int_equal(own->ops->arm(own), -1);       /* it has to come back by itself */
	rig.queues[0].takes = UINT32_MAX;
	expect_none(0);
	for (unsigned i = 0; i < 40; i++) {
		assert_int_equal(far->ops->receive(far, &out, 1), 1);
		assert_int_equal(rig_number(out), i);
		far->ops->release(far, &out, 1);
	}
	/* a core with a queue sees its own link's limit */
	rig.queues[0].takes = 2;
	n = own->ops->borrow(own, p, 3);
	assert_int_equal(n, 3);
	for (unsigned i = 0; i < 3; i++)
		p[i]->len = rig_frame(p[i]->data, UDP, 53, i, 64);
	assert_int_equal(own->ops->transmit(own, p, 3), 2);
	assert_ptr_equal(p[2]->link, own);
	rig_let_go(p[2]);
	while (far->ops->receive(far, &out, 1))
		far->ops->release(far, &out, 1);
}

static void a_sender_whose_own_memory_is_out_gets_it_back(void **state)
{
	struct link *l = spread_link(rig.spread, 1), *far = rig.far[0];
	struct pkt *p[70], *out;

	(void)state;
	for (unsigned round = 0; round < 5; round++) {
		assert_int_equal(l->ops->borrow(l, p, 70), 64);
		for (unsigned i = 0; i < 64; i++)
			p[i]->len = rig_frame(p[i]->data, UDP, 53, i, 64);
		assert_int_equal(l->ops->transmit(l, p, 64), 64);
		assert_int_equal(l->ops->borrow(l, p, 1), 0);
		expect_none(0);
		while (far->ops->receive(far, &out, 1))
			far->ops->release(far, &out, 1);
	}
}

static void a_redirected_datagram_is_copied_whole(void **state)
{
	static const struct mem_config other = { .packets = 4, .flags = LINK_TSO };
	struct mem_pair *elsewhere = mem_pair_new(&other);
	struct link *l = mem_pair_link(elsewhere, 0), *from = spread_link(rig.spread, 0);
	struct pkt *p, *got;

	(void)state;
	assert_int_equal(l->ops->borrow(l, &p, 1), 1);
	p->len = rig_frame(p->data, UDP, 1000, 11, 60000);
	p->flags = PKT_REDIRECTED | PKT_CSUM_GOOD;
	assert_false(spread_redirect(from, p, 0));
	assert_false(spread_redirect(from, p, 3));
	assert_true(spread_redirect(from, p, 1));
	assert_int_equal(mem_pair_outstanding(elsewhere), 0);
	assert_int_equal(rig_take(&rig, 1, &got, 1), 1);
	assert_int_equal(got->len, 60000);
	assert_int_equal(rig_number(got), 11);
	assert_int_equal(got->flags, PKT_REDIRECTED | PKT_CSUM_GOOD);
	rig_let_go(got);
	/* until there is no memory for it */
	for (unsigned i = 0; i < 1000; i++) {
		assert_int_equal(l->ops->borrow(l, &p, 1), 1);
		p->len = 60;
		if (!spread_redirect(from, p, 2))
			break;
		p = NULL;
	}
	assert_non_null(p);
	rig_let_go(p);
	assert_true(rig_count(&rig, 0, "lost: no packet for a copy") > 0);
	mem_pair_free(elsewhere);
}

static void a_sleeper_is_woken_by_what_is_handed_over_and_only_then(void **state)
{
	struct link *l = spread_link(rig.spread, 1);
	int fd = l->ops->arm(l);

	(void)state;
	assert_true(fd >= 0);
	expect_none(1);
	assert_false(readable(fd));
	give(0, UDP, 1001, 1);          /* for core 2 */
	expect_none(0);
	assert_false(readable(fd));
	give(0, UDP, 1000, 2);
	expect_none(0);
	assert_true(readable(fd));
	assert_int_equal(rig_count(&rig, 0, "cores woken"), 1);
	give(0, UDP, 1000, 3);          /* it is rung once */
	expect_none(0);
	assert_int_equal(rig_count(&rig, 0, "cores woken"), 1);
	l->ops->disarm(l);
	assert_false(readable(fd));
	/* awake nobody rings */
	give(0, UDP, 1000, 4);
	expect_none(0);
	assert_int_equal(rig_count(&rig, 0, "cores woken"), 1);
}

static void a_core_with_a_queue_is_woken_by_the_device_too(void **state)
{
	struct link *l = spread_link(rig.spread, 0), *other = spread_link(rig.spread, 1);
	uint64_t one = 1;
	struct pkt *p;
	int fd;

	(void)state;
	for (unsigned round = 0; round < 3; round++) {
		fd = l->ops->arm(l);
		assert_true(fd >= 0);
		assert_int_equal(rig.queues[0].armed, 1);
		assert_false(readable(fd));
		if (round == 1) {
			assert_int_equal(other->ops->borrow(other, &p, 1), 1);
			p->len = rig_frame(p->data, UDP, 53, 0, 64);
			assert_int_equal(other->ops->transmit(other, &p, 1), 1);
		} else {
			assert_int_equal(write(rig.queues[0].bell, &one, 8), 8);
		}
		assert_true(readable(fd));
		l->ops->disarm(l);
		assert_int_equal(rig.queues[0].armed, 0);
		while (read(rig.queues[0].bell, &one, 8) == 8)
			;
		assert_false(readable(fd));
	}
	/* another descriptor of the device takes the place of the one before */
	close(rig.queues[0].bell);
	rig.queues[0].bell = eventfd(1, EFD_NONBLOCK);
	fd = l->ops->arm(l);
	assert_true(readable(fd));
	l->ops->disarm(l);
}

static void where_the_device_wakes_nobody_its_cores_must_poll(void **state)
{
	struct link *with = spread_link(rig.spread, 0), *without = spread_link(rig.spread, 1);

	(void)state;
	rig.queues[0].silent = true;
	assert_int_equal(with->ops->arm(with), -1);
	with->ops->disarm(with);
	assert_true(without->ops->arm(without) >= 0);
	without->ops->disarm(without);
	rig.queues[0].armed = 0;
}

/* The device's queue must not run dry because its core sleeps while others give its memory back. */
static void a_sleeping_owner_is_woken_for_its_memory(void **state)
{
	struct link *l = spread_link(rig.spread, 0);
	struct pkt *held[40];
	int fd;

	(void)state;
	for (unsigned i = 0; i < 40; i++) {
		give(0, UDP, 1000, i);
		expect_none(0);
		assert_int_equal(rig_take(&rig, 1, &held[i], 1), 1);
	}
	fd = l->ops->arm(l);
	expect_none(0);
	for (unsigned i = 0; i < 31; i++)
		rig_let_go(held[i]);
	assert_false(readable(fd));
	rig_let_go(held[31]);
	assert_true(readable(fd));
	l->ops->disarm(l);
	for (unsigned i = 32; i < 40; i++)
		rig_let_go(held[i]);
}

static void the_devices_counters_follow_the_spreads(void **state)
{
	struct link *l = spread_link(rig.spread, 0);
	struct link_counter c;
	unsigned n = 0;

	(void)state;
	assert_int_equal(rig_count(&rig, 0, "the device's own"), 42);
	while (l->ops->counter(l, n, &c))
		n++;
	l = spread_link(rig.spread, 2);
	assert_false(l->ops->counter(l, n - 1, &c));
	assert_true(l->ops->counter(l, n - 2, &c));
}

static void a_lost_carrier_is_seen_by_all(void **state)
{
	(void)state;
	rig.queues[0].link.up = 0;
	expect_none(0);
	expect_none(1);
	assert_int_equal(spread_link(rig.spread, 0)->up, 0);
	assert_int_equal(spread_link(rig.spread, 1)->up, 0);
	rig.queues[0].link.up = 1;
	expect_none(0);
	expect_none(1);
	assert_int_equal(spread_link(rig.spread, 1)->up, 1);
}

/* The accounting at the end (tear_down) is the test: packets lie in every ring there is. */
static void all_that_lies_inside_goes_back_at_the_end(void **state)
{
	struct link *l = spread_link(rig.spread, 2);
	uint8_t arp[60] = { [12] = 0x08, [13] = 0x06 };
	struct pkt *p[8];

	(void)state;
	rig.queues[0].takes = 1;
	assert_int_equal(l->ops->borrow(l, p, 8), 8);
	for (unsigned i = 0; i < 8; i++)
		p[i]->len = rig_frame(p[i]->data, UDP, 53, i, 64);
	assert_int_equal(l->ops->transmit(l, p, 4), 4);
	for (unsigned i = 0; i < 50; i++)
		give(0, UDP, 1000, i);
	assert_true(rig_give(&rig, 0, arp, sizeof(arp)));
	for (unsigned i = 0; i < 51; i++)
		if (rig_take(&rig, 0, p, 1) == 1)
			rig_let_go(p[0]);
	assert_int_equal(rig_take(&rig, 1, p, 1), 1);
	rig_let_go(p[0]);
	assert_true(mem_pair_outstanding(rig.pairs[0]) > 40);
	/* what the far end never took is the link's */
	while (rig.far[0]->ops->receive(rig.far[0], p, 1))
		rig.far[0]->ops->release(rig.far[0], p, 1);
}

static int nothing(void **state)
{
	(void)state;
	return 0;
}

int main(void)
{
#define rig_test(f) cmocka_unit_test_setup_teardown(f, three_cores_one_queue, tear_down)
#define bare_test(f) cmocka_unit_test_setup_teardown(f, nothing, tear_down)
	const struct CMUnitTest tests[] = {
		rig_test(each_frame_reaches_the_core_it_is_for),
		bare_test(what_the_device_has_spread_stays_where_it_is),
		rig_test(arp_is_copied_to_all_and_each_copy_is_its_own),
		rig_test(copies_run_out_without_harm),
		rig_test(memory_comes_back_in_whatever_order_it_is_let_go),
		rig_test(a_core_that_does_not_look_loses_its_own_packets_only),
		rig_test(memory_waits_where_its_ring_is_full),
		rig_test(a_core_without_a_queue_sends_through_another),
		bare_test(super_frames_of_a_core_without_a_queue_go_whole),
		bare_test(a_packet_that_was_handed_over_may_be_sent_back),
		rig_test(what_a_full_queue_does_not_take_stays_and_goes_later_in_order),
		rig_test(a_sender_whose_own_memory_is_out_gets_it_back),
		rig_test(a_redirected_datagram_is_copied_whole),
		rig_test(a_sleeper_is_woken_by_what_is_handed_over_and_only_then),
		rig_test(a_core_with_a_queue_is_woken_by_the_device_too),
		rig_test(where_the_device_wakes_nobody_its_cores_must_poll),
		rig_test(a_sleeping_owner_is_woken_for_its_memory),
		rig_test(the_devices_counters_follow_the_spreads),
		rig_test(a_lost_carrier_is_seen_by_all),
		rig_test(all_that_lies_inside_goes_back_at_the_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
