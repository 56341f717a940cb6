/* SPDX-License-Identifier: BSD-3-Clause */
/* More receive queues of the device than of Light's: each link serves several, fairly, out of one memory. */
#include "afxdp_test.h"

#include "io/afxdp_queue.h"

static void set_up_shared(struct fixture *f, unsigned mtu, unsigned device_queues, unsigned queues, uint32_t packets)
{
	set_up_config(f, mtu, device_queues, (struct afxdp_config){ .device = { .queues = queues }, .packets = packets });
	assert_int_equal(f->device->queues, queues);
}

/* The port decides the queue. */
static void send_port(struct fixture *f, uint16_t port, size_t bytes)
{
	uint8_t frame[FRAME_MAX];

	pattern(frame, bytes, port);
	put_ethernet(f, frame, 0x0800);
	put_ip4(frame + 14, bytes - 14, LIGHT_ADDRESS, port, 2000);
	raw_send(f, frame, bytes);
}

static unsigned port_of(const struct pkt *p)
{
	return (unsigned)p->data[34] << 8 | p->data[35];
}

/* A port whose frames come by that socket of the link. */
static uint16_t find_port(struct fixture *f, unsigned socket)
{
	struct afxdp_queue *q = (struct afxdp_queue *)(void *)f->link;
	struct pkt *p;

	for (uint16_t port = 1; port < 1000; port++) {
		uint32_t before = *q->socket[socket].rx.producer;

		send_port(f, port, 60);
		assert_int_equal(link_collect(f->link, &p, 1, 1000), 1);
		f->link->ops->release(f->link, &p, 1);
		if (*q->socket[socket].rx.producer != before)
			return port;
	}
	fail_msg("no port leads to socket %u", socket);
	return 0;
}

/* All ports, each once, over whichever link. */
static void all_ports_arrive(struct fixture *f, uint16_t ports, size_t bytes, unsigned count[DEVICE_QUEUES])
{
	static uint8_t seen[65536];
	struct pkt *p[32];
	unsigned total = 0;

	memset(seen, 0, sizeof(seen));
	memset(count, 0, DEVICE_QUEUES * sizeof(*count));
	for (uint16_t port = 0; port < ports; port++)
		send_port(f, port, bytes);
	for (uint64_t end = now_ms() + 3000; total < ports && now_ms() < end;) {
		for (unsigned i = 0; i < f->device->queues; i++) {
			struct link *l = f->device->ops->queue(f->device, i);
			unsigned n = l->ops->receive(l, p, 32);

			for (unsigned k = 0; k < n; k++) {
				assert_ptr_equal(p[k]->link, l);
				assert_int_equal(p[k]->len, bytes);
				assert_int_equal(seen[port_of(p[k])]++, 0);
			}
			l->ops->release(l, p, n);
			total += n;
			count[i] += n;
		}
	}
	if (total != ports)
		fail_msg("%u of %u arrived, %u had no socket: %s", total, ports, (unsigned)counter(f->link, "program_no_socket"), f->log);
	assert_int_equal(counter(f->link, "program_no_socket"), 0);
}

static void one_link_serves_every_queue(void **state)
{
	static const unsigned queues[] = { 2, 4, 7 };
	unsigned count[DEVICE_QUEUES];
	struct fixture f;

	(void)state;
	for (unsigned i = 0; i < sizeof(queues) / sizeof(queues[0]); i++) {
		set_up_shared(&f, 1500, queues[i], 1, 1024);
		assert_int_equal(counter(f.link, "device_queues"), queues[i]);
		all_ports_arrive(&f, 300, 60, count);
		tear_down(&f);
	}
}

static void two_links_share_four_queues(void **state)
{
	unsigned count[DEVICE_QUEUES];
	struct fixture f;

	(void)state;
	set_up_shared(&f, 1500, 4, 2, 1024);
	all_ports_arrive(&f, 400, 100, count);
	assert_true(count[0] > 50 && count[1] > 50);
	tear_down(&f);
}

static void jumbo_frames_come_in_pieces_by_every_queue(void **state)
{
	unsigned count[DEVICE_QUEUES];
	struct fixture f;

	(void)state;
	set_up_shared(&f, 9000, 4, 1, 1024);
	all_ports_arrive(&f, 60, 9014, count);
	assert_int_equal(counter(f.link, "rx_gathered"), 60);
	tear_down(&f);
}

static void a_busy_queue_leaves_every_other_its_turn(void **state)
{
	struct fixture f;
	struct pkt *p[8];
	uint16_t port[2];
	unsigned calls[2] = { 0, 0 };

	(void)state;
	set_up_shared(&f, 1500, 2, 1, 1024);
	port[0] = find_port(&f, 0);
	port[1] = find_port(&f, 1);
	for (unsigned i = 0; i < 100; i++)
		send_port(&f, port[0], 60);
	for (unsigned i = 0; i < 20; i++)
		send_port(&f, port[1], 60);
	for (uint64_t end = now_ms() + 1000; counter(f.link, "program_taken") < 120 && now_ms() < end;)
		;
	for (unsigned i = 0; i < 6; i++) {
		assert_int_equal(f.link->ops->receive(f.link, p, 8), 8);
		calls[port_of(p[0]) == port[1]]++;
		f.link->ops->release(f.link, p, 8);
	}
	assert_int_equal(calls[0], 3);
	assert_int_equal(calls[1], 3);
	while (f.link->ops->receive(f.link, p, 1))
		f.link->ops->release(f.link, p, 1);
	tear_down(&f);
}

static void what_came_by_any_queue_may_be_sent_back(void **state)
{
	struct fixture f;
	uint8_t got[FRAME_MAX];
	struct pkt *p;

	(void)state;
	set_up_shared(&f, 1500, 4, 1, 256);
	for (unsigned i = 0; i < 1000; i++) {                /* more than there are packets */
		send_port(&f, (uint16_t)i, 200);
		assert_int_equal(link_collect(f.link, &p, 1, 1000), 1);
		assert_int_equal(port_of(p), i);
		memcpy(p->data, f.mac_b, 6);
		memcpy(p->data + 6, f.mac_a, 6);
		assert_int_equal(f.link->ops->transmit(f.link, &p, 1), 1);
		assert_int_equal(raw_receive(&f, got, 1000), 200);
		assert_int_equal((unsigned)got[34] << 8 | got[35], i);
	}
	tear_down(&f);
}

static void every_queue_receives_again_after_all_packets_were_taken(void **state)
{
	unsigned n, got;
	struct pkt *p[64], *in[64];
	struct fixture f;

	(void)state;
	set_up_shared(&f, 1500, 4, 1, 64);
	for (unsigned round = 0; round < 3; round++) {
		n = f.link->ops->borrow(f.link, p, 64);
		assert_in_range(n, 32, 48);
		for (uint16_t port = 0; port < 200; port++)
			send_port(&f, port, 60);
		got = link_collect(f.link, in, 64, 50);
		assert_int_equal(n + got, 64);
		assert_int_equal(f.link->ops->arm(f.link), -1);   /* to be polled: no frame will wake anybody */
		/* The last thing before a sleep: nobody calls receive after it. */
		f.link->ops->release(f.link, in, got);
		f.link->ops->release(f.link, p, n);
		assert_true(f.link->ops->arm(f.link) >= 0);
		for (uint16_t port = 0; port < 64; port++) {
			send_port(&f, port, 60);
			assert_int_equal(link_collect(f.link, in, 1, 1000), 1);
			f.link->ops->release(f.link, in, 1);
		}
	}
	assert_int_equal(counter(f.link, "program_no_socket"), 0);
	tear_down(&f);
}

/* Whatever is asked to be sent while the interface sends nothing: there are packets to receive into when it is up again. */
static void packets_that_wait_to_be_sent_never_starve_receiving(void **state)
{
	struct fixture f;
	struct pkt *p[64], *in;
	unsigned n, taken, got = 0;

	(void)state;
	set_up_shared(&f, 1500, 2, 1, 64);
	for (uint16_t port = 0; port < 200; port++)        /* received packets wait to be sent, too */
		send_port(&f, port, 60);
	usleep(10000);
	run("ip link set lta down");
	for (unsigned round = 0; round < 8; round++) {
		n = f.link->ops->receive(f.link, p, 16);
		n += f.link->ops->borrow(f.link, p + n, 16);
		for (unsigned i = 0; i < n; i++)
			p[i]->len = 60;
		taken = f.link->ops->transmit(f.link, p, n);
		f.link->ops->release(f.link, p + taken, n - taken);
	}
	run("ip link set lta up");
	assert_true(link_turn(&f, 2000, 1, NULL));
	/* The neighbour's end begins to send a little after ours is up. */
	for (unsigned i = 0; i < 20 && got < 1; i++) {
		send_port(&f, 1, 60);
		got = link_collect(f.link, &in, 1, 100);
	}
	assert_int_equal(got, 1);
	f.link->ops->release(f.link, &in, 1);
	for (uint16_t port = 0; port < 100; port++) {
		send_port(&f, port, 60);
		if (link_collect(f.link, &in, 1, 1000) != 1)
			fail_msg("port %u: nothing is received", port);
		f.link->ops->release(f.link, &in, 1);
	}
	for (unsigned i = 0; i < 100 && f.device->ops->outstanding(f.device) > 0; i++)
		usleep(1000);
	tear_down(&f);
}

static void an_interface_made_again_with_other_queues_is_served_whole(void **state)
{
	static const unsigned made[] = { 4, 1, 3 };
	unsigned count[DEVICE_QUEUES];
	struct fixture f;

	(void)state;
	set_up_shared(&f, 1500, 2, 1, 1024);
	for (unsigned i = 0; i < sizeof(made) / sizeof(made[0]); i++) {
		close(f.raw);
		run("ip link del lta");
		assert_true(link_turn(&f, 2000, 0, "lta is gone"));
		make_pair(made[i], 1500);
		f.raw = raw_socket("ltb");
		read_mac("lta", f.mac_a);
		assert_true(link_turn(&f, 5000, 1, NULL));
		assert_int_equal(counter(f.link, "device_queues"), made[i]);
		all_ports_arrive(&f, 200, 60, count);
	}
	tear_down(&f);
}

static void queues_that_are_added_under_way_are_served(void **state)
{
	unsigned count[DEVICE_QUEUES];
	struct fixture f;

	(void)state;
	memset(&f, 0, sizeof(f));
	set_up_shared(&f, 1500, 4, 2, 1024);
	f.device->ops->close(f.device);
	/* The kernel lets go of closed sockets a little later. */
	run("for i in $(seq 50); do ethtool -L lta rx 2 2>/dev/null && break; sleep 0.02; done; ethtool -L ltb tx 2");
	assert_int_equal(afxdp_open(&(struct afxdp_config){ .device = { .queues = 1, .log = keep_log, .log_context = &f }, .interface = "lta",
		.packets = 1024 }, &f.device, f.why), 0);
	f.link = f.device->ops->queue(f.device, 0);
	assert_int_equal(afxdp_want(f.device, &(struct afxdp_wanted){ .ip4 = { inet_addr(LIGHT_ADDRESS) }, .addresses = 1 }), 0);
	assert_int_equal(counter(f.link, "device_queues"), 2);
	all_ports_arrive(&f, 100, 60, count);
	run("ethtool -L lta rx 4 && ethtool -L ltb tx 4");
	assert_true(link_turn(&f, 3000, -1, "has 4 receive queues now\n"));
	all_ports_arrive(&f, 300, 60, count);
	tear_down(&f);
}

static void too_few_packets_for_so_many_queues_are_refused(void **state)
{
	struct fixture f;
	struct afxdp_config c = { .device = { .queues = 1 }, .interface = "lta", .packets = 64 };
	struct device *d;

	(void)state;
	set_up_shared(&f, 1500, 9, 1, 1024);
	f.device->ops->close(f.device);
	assert_int_equal(afxdp_open(&c, &d, f.why), -E2BIG);
	assert_non_null(strstr(f.why, "9 queues of lta are too many for one of 64 packets"));
	c.packets = 128;
	assert_int_equal(afxdp_open(&c, &f.device, f.why), 0);
	tear_down(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_link_serves_every_queue),
		cmocka_unit_test(two_links_share_four_queues),
		cmocka_unit_test(jumbo_frames_come_in_pieces_by_every_queue),
		cmocka_unit_test(a_busy_queue_leaves_every_other_its_turn),
		cmocka_unit_test(what_came_by_any_queue_may_be_sent_back),
		cmocka_unit_test(every_queue_receives_again_after_all_packets_were_taken),
		cmocka_unit_test(packets_that_wait_to_be_sent_never_starve_receiving),
		cmocka_unit_test(an_interface_made_again_with_other_queues_is_served_whole),
		cmocka_unit_test(queues_that_are_added_under_way_are_served),
		cmocka_unit_test(too_few_packets_for_so_many_queues_are_refused),
	};

	return cmocka_run_group_tests_name("afxdp_queues", tests, NULL, NULL);
}
