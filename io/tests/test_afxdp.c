/* SPDX-License-Identifier: BSD-3-Clause */
/* Frames through AF_XDP on a veth pair: both ways, every length, several queues, no packet left, no room left. */
#include "afxdp_test.h"

#include <linux/capability.h>
#include <linux/virtio_net.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

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

static void each_queue_has_its_own_frames(void **state)
{
	struct fixture f;
	uint8_t frame[60], got[FRAME_MAX];
	struct pkt *p[64];
	unsigned count[2] = { 0, 0 };
	uint64_t end;

	(void)state;
	set_up(&f, 1500, 2);
	assert_int_equal(f.device->queues, 2);
	for (uint16_t port = 0; port < 200; port++) {
		put_ethernet(&f, frame, 0x0800);
		put_ip4(frame + 14, 46, LIGHT_ADDRESS, port, 2000);
		raw_send(&f, frame, 60);
	}
	for (end = now_ms() + 2000; count[0] + count[1] < 200 && now_ms() < end;) {
		for (unsigned i = 0; i < 2; i++) {
			struct link *l = f.device->ops->queue(f.device, i);
			unsigned n = l->ops->receive(l, p, 64);

			for (unsigned k = 0; k < n; k++)
				assert_ptr_equal(p[k]->link, l);
			l->ops->release(l, p, n);
			count[i] += n;
		}
	}
	assert_int_equal(count[0] + count[1], 200);
	assert_true(count[0] > 0 && count[1] > 0);
	for (unsigned i = 0; i < 2; i++) {
		struct link *l = f.device->ops->queue(f.device, i);

		assert_int_equal(l->ops->borrow(l, p, 32), 32);
		for (unsigned k = 0; k < 32; k++) {
			memset(p[k]->data, 0xff, 60);
			p[k]->len = 60;
		}
		assert_int_equal(l->ops->transmit(l, p, 32), 32);
		for (unsigned k = 0; k < 32; k++)
			assert_int_equal(raw_receive(&f, got, 1000), 60);
	}
	assert_null(f.device->ops->queue(f.device, 2));
	tear_down(&f);
}

static void a_received_packet_may_be_sent_back(void **state)
{
	struct fixture f;
	uint8_t frame[200], got[FRAME_MAX];
	struct pkt *p;

	(void)state;
	set_up(&f, 1500, 1);
	for (unsigned i = 0; i < 3000; i++) {               /* more than there are packets */
		put_ethernet(&f, frame, 0x0800);
		put_ip4(frame + 14, 186, LIGHT_ADDRESS, (uint16_t)i, 2000);
		pattern(frame + 42, 158, i);
		raw_send(&f, frame, 200);
		assert_int_equal(link_collect(f.link, &p, 1, 1000), 1);
		memcpy(p->data, f.mac_b, 6);
		memcpy(p->data + 6, f.mac_a, 6);
		assert_int_equal(f.link->ops->transmit(f.link, &p, 1), 1);
		assert_int_equal(raw_receive(&f, got, 1000), 200);
		assert_memory_equal(got + 12, frame + 12, 188);
	}
	tear_down(&f);
}

static void a_burst_is_sent_with_one_call(void **state)
{
	struct fixture f;
	uint8_t got[FRAME_MAX];
	struct pkt *p[64];

	(void)state;
	set_up(&f, 1500, 1);
	assert_int_equal(f.link->ops->borrow(f.link, p, 64), 64);
	for (unsigned i = 0; i < 64; i++) {
		memset(p[i]->data, 0xff, 100);
		p[i]->data[20] = (uint8_t)i;
		p[i]->len = 100;
	}
	assert_int_equal(f.link->ops->transmit(f.link, p, 64), 64);
	for (unsigned i = 0; i < 64; i++) {
		assert_int_equal(raw_receive(&f, got, 1000), 100);
		assert_int_equal(got[20], i);
	}
	assert_in_range(counter(f.link, "kicks"), 1, 3);    /* 32 frames a call before Linux 6.17 */
	tear_down(&f);
}

static void with_all_packets_taken_frames_are_lost_and_counted_until_they_are_back(void **state)
{
	struct fixture f;
	struct pkt *p[64], *in[128];
	uint8_t frame[60];
	unsigned n, got = 0;

	(void)state;
	set_up_config(&f, 1500, 1, (struct afxdp_config){ .packets = 64 });
	n = f.link->ops->borrow(f.link, p, 64);
	assert_int_equal(n, 32);                            /* the others wait for frames */
	assert_int_equal(f.link->ops->borrow(f.link, in, 1), 0);
	for (unsigned i = 0; i < 100; i++) {
		put_ethernet(&f, frame, 0x0800);
		put_ip4(frame + 14, 46, LIGHT_ADDRESS, 1, 2000);
		raw_send(&f, frame, 60);
	}
	got = link_collect(f.link, in, 100, 100);
	assert_int_equal(got, 32);
	assert_int_equal(counter(f.link, "xdp_rx_dropped"), 68);
	assert_int_equal(f.link->stats.rx_dropped, 68);
	assert_int_equal(f.device->ops->outstanding(f.device), 64);
	f.link->ops->release(f.link, p, n);
	f.link->ops->release(f.link, in, got);
	assert_int_equal(f.link->ops->receive(f.link, in, 1), 0);   /* lays packets out again */
	receive_one(&f, 100);
	send_one(&f, 100);
	tear_down(&f);
}

/* The neighbour's end is taken away without a look at the carrier in between: what the kernel does not send stays. */
static void a_full_ring_takes_no_more_and_loses_nothing(void **state)
{
	struct fixture f;
	struct pkt *p[128];
	uint8_t got[FRAME_MAX];
	unsigned n, taken;

	(void)state;
	set_up_config(&f, 1500, 1, (struct afxdp_config){ .packets = 256 });
	run("ip link set lta down");
	n = f.link->ops->borrow(f.link, p, 128);
	assert_int_equal(n, 128);
	for (unsigned i = 0; i < n; i++) {
		memset(p[i]->data, 0xff, 60);
		p[i]->data[20] = (uint8_t)i;
		p[i]->len = 60;
	}
	taken = f.link->ops->transmit(f.link, p, 100);
	assert_int_equal(taken, 100);
	taken += f.link->ops->transmit(f.link, p + 100, 28);
	assert_int_equal(taken, 128);
	n = f.link->ops->borrow(f.link, p, 128);
	assert_int_equal(n, 0);
	assert_int_equal(f.device->ops->outstanding(f.device), 128);
	assert_true(f.link->ops->arm(f.link) >= 0);         /* down: nothing to poll for */
	assert_int_equal(f.link->up, 0);
	run("ip link set lta up");
	for (uint64_t end = now_ms() + 2000; !f.link->up && now_ms() < end;)
		f.link->ops->arm(f.link);
	assert_int_equal(f.link->up, 1);
	for (unsigned i = 0; i < 128; i++) {
		if (f.link->ops->receive(f.link, p, 1))     /* what the kernel did not take is offered again here */
			f.link->ops->release(f.link, p, 1);
		assert_int_equal(raw_receive(&f, got, 1000), 60);
		assert_int_equal(got[20], i);
	}
	send_one(&f, 100);
	tear_down(&f);
}

/* As a sender's TCP that leaves segmentation to its device, which on a veth with generic XDP nobody does. */
static void send_super_frame(const struct fixture *f, size_t bytes)
{
	static uint8_t frame[sizeof(struct virtio_net_hdr) + 32000];
	struct virtio_net_hdr h = { .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .gso_type = VIRTIO_NET_HDR_GSO_TCPV4, .hdr_len = 54,
		.gso_size = 1400, .csum_start = 34, .csum_offset = 16 };
	int one = 1, fd = raw_socket("ltb");

	assert_int_equal(setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &one, sizeof(one)), 0);
	memcpy(frame, &h, sizeof(h));
	put_ethernet(f, frame + sizeof(h), 0x0800);
	put_ip4(frame + sizeof(h) + 14, bytes - 14, LIGHT_ADDRESS, 1, 2);
	frame[sizeof(h) + 23] = 6;
	frame[sizeof(h) + 46] = 0x50;
	assert_int_equal(send(fd, frame, sizeof(h) + bytes, 0), sizeof(h) + bytes);
	close(fd);
}

static void frames_longer_than_the_mtu_are_lost_and_said_once(void **state)
{
	struct fixture f;

	(void)state;
	set_up_config(&f, 4000, 1, (struct afxdp_config){ .packets = 512, .skb = true });
	run("ethtool -K ltb tx on tso on >/dev/null 2>&1");
	for (unsigned i = 0; i < 3; i++)
		send_super_frame(&f, 20000);
	assert_true(link_turn(&f, 1500, -1, "longer than its MTU"));
	assert_null(strstr(strstr(f.log, "longer than its MTU") + 1, "longer"));
	assert_int_equal(counter(f.link, "rx_lost"), 3);
	assert_int_equal(f.link->stats.rx_dropped, 3);
	assert_int_equal(f.link->stats.rx_packets, 0);
	receive_one(&f, 4014);
	send_one(&f, 4014);
	tear_down(&f);
}

static void frames_that_no_interface_could_send_are_refused_and_counted(void **state)
{
	static const uint32_t lengths[] = { 0, 1, 13, 1523, 1900 };
	struct fixture f;
	uint8_t got[FRAME_MAX];
	struct pkt *p;

	(void)state;
	set_up(&f, 1500, 1);
	for (unsigned i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		assert_int_equal(f.link->ops->borrow(f.link, &p, 1), 1);
		p->len = lengths[i];
		assert_int_equal(f.link->ops->transmit(f.link, &p, 1), 1);
	}
	assert_int_equal(f.link->stats.tx_dropped, 5);
	assert_int_equal(counter(f.link, "tx_refused"), 5);
	assert_int_equal(raw_receive(&f, got, 20), 0);
	send_one(&f, 60);
	tear_down(&f);
}

static void generic_xdp_and_busy_polling_carry_the_same_frames(void **state)
{
	struct fixture f;

	(void)state;
	set_up_config(&f, 1500, 1, (struct afxdp_config){ .packets = 512, .skb = true, .mode = AFXDP_COPY });
	assert_non_null(strstr(f.log, "XDP generic, copy mode"));
	assert_int_equal(counter(f.link, "driver_xdp"), 0);
	for (size_t n = 34; n <= 1514; n += 37) {
		receive_one(&f, n);
		send_one(&f, n);
	}
	tear_down(&f);
	set_up_config(&f, 1500, 1, (struct afxdp_config){ .packets = 512, .busy_poll = true });
	for (size_t n = 34; n <= 1514; n += 37) {
		receive_one(&f, n);
		send_one(&f, n);
	}
	tear_down(&f);
	set_up_config(&f, 9000, 1, (struct afxdp_config){ .packets = 512, .skb = true });
	for (size_t n = 34; n <= 9014; n += 449) {
		receive_one(&f, n);
		send_one(&f, n);
	}
	tear_down(&f);
}

static void counters_have_names_of_their_own_and_an_end(void **state)
{
	struct fixture f;
	struct link_counter a, b;
	unsigned n = 0;

	(void)state;
	set_up(&f, 1500, 2);
	for (; f.link->ops->counter(f.link, n, &a); n++)
		for (unsigned i = 0; i < n; i++) {
			assert_true(f.link->ops->counter(f.link, i, &b));
			assert_string_not_equal(a.name, b.name);
		}
	assert_in_range(n, 15, 40);
	f.link = f.device->ops->queue(f.device, 1);
	assert_false(f.link->ops->counter(f.link, n - 1, &a));   /* the device's are the first queue's */
	tear_down(&f);
}

static void refused(struct afxdp_config c, int error, const char *sentence)
{
	struct device *d = NULL;
	char why[DEVICE_WHY] = "";

	assert_int_equal(afxdp_open(&c, &d, why), error);
	assert_null(d);
	if (!strstr(why, sentence))
		fail_msg("\"%s\" does not say \"%s\"", why, sentence);
}

static void what_cannot_be_opened_is_refused_with_a_sentence(void **state)
{
	struct afxdp_config c = { .device = { .queues = 1 }, .interface = "lta" };
	struct fixture f;

	(void)state;
	set_up(&f, 1500, 1);
	refused(c, -EBUSY, "lta has an XDP program already (id ");
	tear_down(&f);
	c.mode = AFXDP_ZERO_COPY;
	refused(c, -EOPNOTSUPP, "no zero-copy");
	c.mode = AFXDP_AUTO;
	c.device.mtu = 1600;
	refused(c, -EMSGSIZE, "lta has an MTU of 1500, 1600 is wanted");
	c.device.mtu = 0;
	run("ip link set lta mtu 9217");
	refused(c, -EMSGSIZE, "lta has an MTU of 9217, more than frames here can have: at most 9216");
	run("ip link set lta mtu 1500");
	c.device.queues = 0;
	refused(c, -EINVAL, "0 queues: 1 to 16 are possible");
	c.device.queues = 17;
	refused(c, -EINVAL, "17 queues");
	c.device.queues = 1;
	c.packets = 63;
	refused(c, -EINVAL, "63 packets: 64 to 1048576 are possible");
	c.packets = 0;
	c.interface = "lo";
	refused(c, -EPROTOTYPE, "lo is no Ethernet interface");
	c.interface = "ltnone";
	refused(c, -ENODEV, "there is no interface ltnone");
	c.interface = "sixteencharacter";
	refused(c, -EINVAL, "an interface's name has 1 to 15 characters");
	c.interface = "";
	refused(c, -EINVAL, "an interface's name has");
}

/* What a child may do that keeps only these of root's capabilities. */
static int open_with(const unsigned *kept, unsigned n, uint32_t packets, char why[DEVICE_WHY])
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = { 0 };
	struct afxdp_config c = { .device = { .queues = 1 }, .interface = "lta", .packets = packets };
	struct rlimit limit = { 1 << 20, 1 << 20 };
	struct device *d;
	int ends[2], error, status;

	assert_int_equal(pipe(ends), 0);
	if (fork() == 0) {
		for (unsigned i = 0; i < n; i++)
			data[kept[i] / 32].effective |= 1u << kept[i] % 32;
		data[0].permitted = data[0].effective;
		data[1].permitted = data[1].effective;
		if (setrlimit(RLIMIT_MEMLOCK, &limit) != 0 || syscall(SYS_capset, &header, data) != 0)
			_exit(99);
		memset(why, 0, DEVICE_WHY);
		error = afxdp_open(&c, &d, why);
		if (!error)
			d->ops->close(d);
		if (write(ends[1], why, DEVICE_WHY) != DEVICE_WHY)
			_exit(98);
		_exit(-error);
	}
	assert_int_equal(read(ends[0], why, DEVICE_WHY), DEVICE_WHY);
	close(ends[0]);
	close(ends[1]);
	assert_true(wait(&status) > 0);
	return -WEXITSTATUS(status);
}

static void three_capabilities_suffice_and_a_missing_one_is_named(void **state)
{
	static const unsigned all[] = { CAP_NET_RAW, CAP_NET_ADMIN, CAP_BPF, CAP_IPC_LOCK };
	static const unsigned no_raw[] = { CAP_NET_ADMIN, CAP_BPF };
	char why[DEVICE_WHY];
	struct fixture f;

	(void)state;
	set_up(&f, 1500, 1);
	tear_down(&f);
	assert_int_equal(open_with(all, 3, 256, why), 0);
	assert_int_equal(open_with(all, 2, 256, why), -EPERM);
	assert_non_null(strstr(why, "CAP_BPF"));
	assert_int_equal(open_with(all + 1, 2, 256, why), -EPERM);
	assert_non_null(strstr(why, "CAP_NET_RAW"));
	assert_int_equal(open_with(no_raw, 1, 256, why), -EPERM);
	assert_non_null(strstr(why, "CAP_NET_ADMIN"));
	assert_int_equal(open_with(all, 3, 1024, why), -ENOBUFS);
	assert_non_null(strstr(why, "2 MB for packets cannot be locked"));
	assert_non_null(strstr(why, "RLIMIT_MEMLOCK"));
	assert_int_equal(open_with(all, 4, 1024, why), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(frames_of_every_length_cross_both_ways),
		cmocka_unit_test(frames_of_one_page_cross_both_ways),
		cmocka_unit_test(jumbo_frames_cross_both_ways_in_pieces),
		cmocka_unit_test(each_queue_has_its_own_frames),
		cmocka_unit_test(a_received_packet_may_be_sent_back),
		cmocka_unit_test(a_burst_is_sent_with_one_call),
		cmocka_unit_test(with_all_packets_taken_frames_are_lost_and_counted_until_they_are_back),
		cmocka_unit_test(a_full_ring_takes_no_more_and_loses_nothing),
		cmocka_unit_test(frames_longer_than_the_mtu_are_lost_and_said_once),
		cmocka_unit_test(frames_that_no_interface_could_send_are_refused_and_counted),
		cmocka_unit_test(generic_xdp_and_busy_polling_carry_the_same_frames),
		cmocka_unit_test(counters_have_names_of_their_own_and_an_end),
		cmocka_unit_test(what_cannot_be_opened_is_refused_with_a_sentence),
		cmocka_unit_test(three_capabilities_suffice_and_a_missing_one_is_named),
	};

	return cmocka_run_group_tests_name("afxdp", tests, NULL, NULL);
}
