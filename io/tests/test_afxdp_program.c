/* SPDX-License-Identifier: BSD-3-Clause */
/* What the XDP program takes and what it leaves to the kernel, on one interface that both use. */
#include "afxdp_test.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

/* Who gets a frame. */
enum { KERNEL, LIGHT, BOTH };

/* If it comes to Light, it comes whole. */
static int goes_to(struct fixture *f, const uint8_t *frame, size_t n)
{
	uint64_t taken = counter(f->link, "program_taken"), passed = counter(f->link, "program_passed");
	uint64_t copied = counter(f->link, "program_copied"), end = now_ms() + 1000;
	struct pkt *p;
	int to;

	raw_send(f, frame, n);
	while (counter(f->link, "program_taken") + counter(f->link, "program_passed") == taken + passed)
		if (now_ms() > end)
			fail_msg("the program saw no frame");
	to = counter(f->link, "program_taken") > taken ? LIGHT : counter(f->link, "program_copied") > copied ? BOTH : KERNEL;
	if (to == BOTH)
		assert_true(f->link->ops->arm(f->link) >= 0);   /* a look, before the next of its own accord */
	assert_int_equal(link_collect(f->link, &p, 1, to != KERNEL ? 1000 : 2), to != KERNEL);
	if (to != KERNEL) {
		assert_int_equal(p->len, n);
		assert_memory_equal(p->data, frame, n);
		f->link->ops->release(f->link, &p, 1);
	}
	return to;
}

static bool comes(struct fixture *f, const uint8_t *frame, size_t n)
{
	int to = goes_to(f, frame, n);

	assert_int_not_equal(to, BOTH);
	return to == LIGHT;
}

static bool udp_comes(struct fixture *f, const char *to, uint16_t port)
{
	uint8_t frame[100];

	put_ethernet(f, frame, 0x0800);
	put_ip4(frame + 14, 60, to, 1234, port);
	return comes(f, frame, 74);
}

static int udp_goes_to(struct fixture *f, const char *to, uint16_t port)
{
	uint8_t frame[100];

	put_ethernet(f, frame, 0x0800);
	put_ip4(frame + 14, 60, to, 67, port);
	return goes_to(f, frame, 74);
}

static int arp_goes_to(struct fixture *f, uint16_t operation, const char *sender, const char *target)
{
	uint8_t frame[60] = { 0 };

	put_ethernet(f, frame, 0x0806);
	memset(frame, 0xff, 6);
	put_arp(frame + 14, operation, sender, target);
	return goes_to(f, frame, 60);
}

static bool arp_comes(struct fixture *f, uint16_t operation, const char *sender, const char *target)
{
	uint8_t frame[60] = { 0 };

	put_ethernet(f, frame, 0x0806);
	if (operation == 1)
		memset(frame, 0xff, 6);
	put_arp(frame + 14, operation, sender, target);
	return comes(f, frame, 60);
}

static void want(struct fixture *f, struct afxdp_wanted w)
{
	if (w.addresses == 0) {
		w.ip4[0] = inet_addr(LIGHT_ADDRESS);
		w.addresses = 1;
	}
	assert_int_equal(afxdp_want(f->device, &w), 0);
}

static void frames_come_by_their_destination_address(void **state)
{
	struct fixture f;
	struct afxdp_wanted many = { .addresses = 64 };

	(void)state;
	set_up(&f, 1500, 1);
	assert_true(udp_comes(&f, LIGHT_ADDRESS, 7));
	assert_false(udp_comes(&f, KERNEL_ADDRESS, 7));
	assert_false(udp_comes(&f, "255.255.255.255", 7));
	assert_false(udp_comes(&f, "10.55.0.255", 7));
	assert_false(udp_comes(&f, "224.0.0.1", 7));
	for (unsigned i = 0; i < 64; i++)
		many.ip4[i] = htonl(0x0a370100 + i);
	want(&f, many);
	assert_true(udp_comes(&f, "10.55.1.0", 7));
	assert_true(udp_comes(&f, "10.55.1.63", 7));
	assert_false(udp_comes(&f, "10.55.1.64", 7));
	assert_false(udp_comes(&f, LIGHT_ADDRESS, 7));
	for (unsigned i = 0; i < 64; i++)
		many.ip4[i] = htonl(0x0a370180 + i);
	want(&f, many);                         /* all others: the map holds them only if the old ones went */
	assert_true(udp_comes(&f, "10.55.1.191", 7));
	assert_false(udp_comes(&f, "10.55.1.63", 7));
	many.addresses = 65;
	assert_int_equal(afxdp_want(f.device, &many), -E2BIG);
	tear_down(&f);
}

/* The kernel may be in them, too. */
static void groups_that_were_joined_come_as_copies(void **state)
{
	int (*group)(struct link *, uint32_t, bool);
	struct fixture f;

	(void)state;
	set_up(&f, 1500, 1);
	group = f.link->ops->group;
	assert_int_equal(udp_goes_to(&f, "239.1.2.3", 7), KERNEL);
	assert_int_equal(group(f.link, inet_addr("239.1.2.3"), true), 0);
	assert_int_equal(group(f.link, inet_addr("239.1.2.3"), true), 0);
	assert_int_equal(udp_goes_to(&f, "239.1.2.3", 7), BOTH);
	assert_int_equal(udp_goes_to(&f, "224.0.0.1", 7), BOTH);    /* routers ask all hosts */
	assert_int_equal(udp_goes_to(&f, "239.1.2.4", 7), KERNEL);
	assert_true(udp_comes(&f, LIGHT_ADDRESS, 7));
	want(&f, (struct afxdp_wanted){ .dhcp = true });            /* what is told of addresses changes nothing */
	assert_int_equal(group(f.link, inet_addr("239.1.2.3"), false), 0);
	assert_int_equal(udp_goes_to(&f, "239.1.2.3", 7), BOTH);
	assert_int_equal(group(f.link, inet_addr("239.1.2.3"), false), 0);
	assert_int_equal(udp_goes_to(&f, "239.1.2.3", 7), KERNEL);
	assert_int_equal(udp_goes_to(&f, "224.0.0.1", 7), KERNEL);
	tear_down(&f);
}

static void arp_comes_when_it_names_our_address(void **state)
{
	struct fixture f;
	uint8_t frame[60] = { 0 };

	(void)state;
	set_up(&f, 1500, 1);
	assert_true(arp_comes(&f, 1, NEIGHBOUR_ADDRESS, LIGHT_ADDRESS));
	assert_true(arp_comes(&f, 2, NEIGHBOUR_ADDRESS, LIGHT_ADDRESS));
	assert_true(arp_comes(&f, 1, "0.0.0.0", LIGHT_ADDRESS));
	assert_true(arp_comes(&f, 1, LIGHT_ADDRESS, LIGHT_ADDRESS));
	assert_true(arp_comes(&f, 2, LIGHT_ADDRESS, "0.0.0.0"));
	assert_false(arp_comes(&f, 1, NEIGHBOUR_ADDRESS, KERNEL_ADDRESS));
	assert_false(arp_comes(&f, 2, NEIGHBOUR_ADDRESS, KERNEL_ADDRESS));
	put_ethernet(&f, frame, 0x0806);
	put_arp(frame + 14, 1, NEIGHBOUR_ADDRESS, LIGHT_ADDRESS);
	frame[15] = 6;                          /* IEEE 802, not Ethernet */
	assert_false(comes(&f, frame, 60));
	frame[15] = 1;
	frame[19] = 16;                         /* addresses of 16 bytes */
	assert_false(comes(&f, frame, 60));
	frame[19] = 4;
	assert_false(comes(&f, frame, 41));     /* a byte short */
	assert_true(comes(&f, frame, 42));
	tear_down(&f);
}

static void every_fragment_and_icmp_come(void **state)
{
	struct fixture f;
	uint8_t frame[114];

	(void)state;
	set_up(&f, 1500, 1);
	put_ethernet(&f, frame, 0x0800);
	put_ip4(frame + 14, 100, LIGHT_ADDRESS, 1, 2);
	frame[20] = 0x20;                       /* the first of several */
	assert_true(comes(&f, frame, 114));
	frame[20] = 0x01;                       /* one behind it */
	assert_true(comes(&f, frame, 114));
	frame[20] = 0;
	frame[23] = 1;
	assert_true(comes(&f, frame, 114));
	assert_false(comes(&f, frame, 33));     /* no whole IPv4 header */
	assert_true(comes(&f, frame, 34));
	assert_false(comes(&f, frame, 14));
	tear_down(&f);
}

static void answers_to_dhcp_clients_go_to_both_if_asked_for(void **state)
{
	struct fixture f;
	uint8_t frame[100];

	(void)state;
	set_up(&f, 1500, 1);
	assert_false(udp_comes(&f, "255.255.255.255", 68));
	want(&f, (struct afxdp_wanted){ .dhcp = true });
	assert_int_equal(udp_goes_to(&f, "255.255.255.255", 68), BOTH);
	assert_int_equal(udp_goes_to(&f, "10.55.0.77", 68), BOTH);
	assert_int_equal(udp_goes_to(&f, LIGHT_ADDRESS, 68), LIGHT);
	assert_false(udp_comes(&f, "255.255.255.255", 67));
	put_ethernet(&f, frame, 0x0800);
	put_ip4(frame + 14, 86, "255.255.255.255", 67, 68);
	memmove(frame + 14 + 60, frame + 14 + 20, 26);     /* behind 40 bytes of options */
	memset(frame + 34, 1, 40);
	frame[14] = 0x4f;
	assert_int_equal(goes_to(&f, frame, 100), BOTH);
	assert_false(comes(&f, frame, 14 + 60 + 3));       /* the port is cut */
	frame[14] = 0x45;
	assert_false(comes(&f, frame, 100));               /* the options, read as ports */
	put_ip4(frame + 14, 86, "255.255.255.255", 67, 68);
	frame[21] = 3;
	assert_false(comes(&f, frame, 100));               /* a later fragment has no ports */
	frame[21] = 0;
	frame[23] = 6;
	assert_false(comes(&f, frame, 100));               /* TCP */
	want(&f, (struct afxdp_wanted){ .dhcp = false });
	assert_false(udp_comes(&f, "255.255.255.255", 68));
	tear_down(&f);
}

static void announcements_of_others_go_to_both(void **state)
{
	struct fixture f;
	uint8_t frame[64] = { 0 };
	const char *gateway = "10.55.0.254";

	(void)state;
	set_up(&f, 1500, 1);
	assert_int_equal(arp_goes_to(&f, 1, gateway, gateway), BOTH);
	assert_int_equal(arp_goes_to(&f, 2, gateway, gateway), BOTH);
	assert_int_equal(arp_goes_to(&f, 1, LIGHT_ADDRESS, LIGHT_ADDRESS), LIGHT);
	assert_int_equal(arp_goes_to(&f, 1, gateway, KERNEL_ADDRESS), KERNEL);
	assert_int_equal(arp_goes_to(&f, 1, "0.0.0.0", gateway), KERNEL);
	put_ethernet(&f, frame, 0x8100);
	frame[14] = 0;
	frame[15] = 7;
	frame[16] = 8;
	frame[17] = 6;
	put_arp(frame + 18, 1, gateway, gateway);
	assert_int_equal(goes_to(&f, frame, 64), KERNEL);
	want(&f, (struct afxdp_wanted){ .vlans = { 7 }, .vlan_count = 1 });
	assert_int_equal(goes_to(&f, frame, 64), BOTH);    /* with its tag */
	assert_int_equal(counter(f.link, "program_copied"), 3);
	tear_down(&f);
}

/* RFC 2131 2.2: the client probes the address before it is ours; whoever has it answers to nobody. */
static void answers_to_probes_go_to_both_while_dhcp_runs(void **state)
{
	struct fixture f;

	(void)state;
	set_up(&f, 1500, 1);
	assert_int_equal(arp_goes_to(&f, 2, "10.55.0.77", "0.0.0.0"), KERNEL);
	want(&f, (struct afxdp_wanted){ .dhcp = true });
	assert_int_equal(arp_goes_to(&f, 2, "10.55.0.77", "0.0.0.0"), BOTH);
	assert_int_equal(arp_goes_to(&f, 1, "0.0.0.0", "10.55.0.77"), BOTH);
	assert_int_equal(arp_goes_to(&f, 1, NEIGHBOUR_ADDRESS, LIGHT_ADDRESS), LIGHT);
	tear_down(&f);
}

static void frames_too_long_for_a_copy_are_counted(void **state)
{
	struct fixture f;
	uint8_t frame[1600];

	(void)state;
	set_up(&f, 3000, 1);
	want(&f, (struct afxdp_wanted){ .dhcp = true });
	for (size_t n = 1517; n <= 1520; n++) {
		memset(frame, 0, sizeof(frame));
		put_ethernet(&f, frame, 0x0800);
		put_ip4(frame + 14, n - 14, "255.255.255.255", 67, 68);
		assert_int_equal(goes_to(&f, frame, n), n <= 1518 ? BOTH : KERNEL);
	}
	assert_int_equal(counter(f.link, "program_copy_lost"), 2);
	tear_down(&f);
}

/* Nobody reads for a while: what is too much is counted, and no frame that is ours waits behind it. */
static void a_flood_of_announcements_takes_neither_packets_nor_time_from_the_rest(void **state)
{
	struct fixture f;
	struct pkt *p[64];
	uint8_t frame[60] = { 0 };
	unsigned got = 0, calls = 0;

	(void)state;
	set_up(&f, 1500, 1);
	put_ethernet(&f, frame, 0x0806);
	put_arp(frame + 14, 1, "10.55.0.254", "10.55.0.254");
	for (unsigned i = 0; i < 500; i++)
		raw_send(&f, frame, 60);
	put_ethernet(&f, frame, 0x0800);
	put_ip4(frame + 14, 46, LIGHT_ADDRESS, 1, 2);
	raw_send(&f, frame, 60);
	for (uint64_t end = now_ms() + 1000; counter(f.link, "program_taken") == 0 && now_ms() < end;)
		;
	assert_int_equal(counter(f.link, "program_passed"), 500);
	assert_int_equal(counter(f.link, "program_copied") + counter(f.link, "program_copy_lost"), 500);
	assert_in_range(counter(f.link, "program_copied"), 100, 400);
	assert_true(f.link->ops->arm(f.link) >= 0);
	for (unsigned n; (n = f.link->ops->receive(f.link, p, 64)) > 0; calls++, got += n) {
		assert_in_range(n, 1, 17);                 /* few copies at once ... */
		if (calls == 0)
			assert_memory_equal(p[n - 1]->data + 12, "\10\0", 2);   /* ... and ours beside them */
		f.link->ops->release(f.link, p, n);
	}
	assert_int_equal(got, counter(f.link, "program_copied") + 1);
	assert_int_equal(arp_goes_to(&f, 1, "10.55.0.254", "10.55.0.254"), BOTH);
	tear_down(&f);
}

static void frames_of_our_vlans_come_with_their_tag(void **state)
{
	struct fixture f;
	uint8_t frame[100];

	(void)state;
	set_up(&f, 1500, 1);
	put_ethernet(&f, frame, 0x8100);
	frame[14] = 0xe0 | 1;                   /* priority 7, VLAN 256 + 7 */
	frame[15] = 7;
	frame[16] = 8;
	frame[17] = 0;
	put_ip4(frame + 18, 60, LIGHT_ADDRESS, 1, 2);
	assert_false(comes(&f, frame, 78));
	want(&f, (struct afxdp_wanted){ .vlans = { 3, 263 }, .vlan_count = 2 });
	assert_true(comes(&f, frame, 78));
	assert_true(udp_comes(&f, LIGHT_ADDRESS, 7));
	assert_false(comes(&f, frame, 37));
	frame[15] = 8;
	assert_false(comes(&f, frame, 78));
	frame[14] = 0;
	frame[15] = 3;
	assert_true(comes(&f, frame, 78));
	frame[37] = 99;                         /* another destination */
	assert_false(comes(&f, frame, 78));
	want(&f, (struct afxdp_wanted){ .vlans = { 263 }, .vlan_count = 1 });
	put_ip4(frame + 18, 60, LIGHT_ADDRESS, 1, 2);
	assert_false(comes(&f, frame, 78));
	tear_down(&f);
}

/* The answer to a frame that the kernel has to answer, from the interface that Light is on. */
static size_t kernel_answer(struct fixture *f, const uint8_t *frame, size_t n, uint8_t answer[FRAME_MAX])
{
	assert_false(comes(f, frame, n));
	return raw_receive(f, answer, 1000);
}

static void the_kernel_answers_for_its_own_address_on_the_same_interface(void **state)
{
	struct fixture f;
	uint8_t frame[60] = { 0 }, answer[FRAME_MAX];

	(void)state;
	set_up(&f, 1500, 1);
	run("ip addr add " KERNEL_ADDRESS "/24 dev lta && ip neigh add " NEIGHBOUR_ADDRESS " lladdr 02:00:00:00:00:09 dev lta");
	put_ethernet(&f, frame, 0x0806);
	put_arp(frame + 14, 1, NEIGHBOUR_ADDRESS, KERNEL_ADDRESS);
	assert_true(kernel_answer(&f, frame, 60, answer) >= 42);
	assert_int_equal(answer[21], 2);                   /* "is at" */
	assert_memory_equal(answer + 22, f.mac_a, 6);
	put_ethernet(&f, frame, 0x0800);
	put_ip4(frame + 14, 46, KERNEL_ADDRESS, 0, 0);
	frame[23] = 1;                                     /* ICMP in place of UDP: one more in this sum, one less in that */
	memset(frame + 34, 0, 26);
	frame[34] = 8;
	frame[36] = 0xf7;
	frame[37] = 0xff;
	frame[25] = (uint8_t)(frame[25] + 16);
	if (frame[25] < 16)
		frame[24]++;
	assert_true(kernel_answer(&f, frame, 60, answer) >= 60);
	assert_int_equal(answer[23], 1);
	assert_int_equal(answer[34], 0);                   /* echo reply */
	assert_memory_equal(answer + 30, frame + 26, 4);
	assert_true(udp_comes(&f, LIGHT_ADDRESS, 22));
	tear_down(&f);
}

static unsigned word(const uint8_t *at)
{
	return (unsigned)at[0] << 8 | at[1];
}

/* io/README.md in other words: what the program should decide. */
static int should_go_to(const uint8_t *b, size_t n, const struct afxdp_wanted *w)
{
	size_t at = 14, header;
	unsigned type = word(b + 12), i;
	bool ours = false;

	if (type == 0x8100) {
		if (n < 18)
			return KERNEL;
		for (i = 0; i < w->vlan_count && w->vlans[i] != (word(b + 14) & 0xfff); i++)
			;
		if (i == w->vlan_count)
			return KERNEL;
		type = word(b + 16);
		at = 18;
	}
	if (type == 0x0806 && n >= at + 28 && memcmp(b + at, "\0\1\10\0\6\4", 6) == 0) {
		for (i = 0; i < w->addresses; i++)
			ours |= memcmp(b + at + 24, &w->ip4[i], 4) == 0 || memcmp(b + at + 14, &w->ip4[i], 4) == 0;
		if (ours)
			return LIGHT;
		return w->dhcp || memcmp(b + at + 24, b + at + 14, 4) == 0 ? BOTH : KERNEL;
	}
	if (type != 0x0800 || n < at + 20)
		return KERNEL;
	for (i = 0; i < w->addresses; i++)
		ours |= memcmp(b + at + 16, &w->ip4[i], 4) == 0;
	header = (b[at] & 15u) * 4;
	if (ours)
		return LIGHT;
	return w->dhcp && b[at + 9] == 17 && (word(b + at + 6) & 0x1fff) == 0 && n >= at + header + 4
		&& word(b + at + header + 2) == 68 ? BOTH : KERNEL;
}

static bool chance(unsigned percent)
{
	return (unsigned)rand() % 100 < percent;
}

/* Random bytes, with enough of what the program looks for that every branch is taken. */
static size_t random_frame(uint8_t *b, const struct afxdp_wanted *w)
{
	static const uint16_t types[] = { 0x0800, 0x0806, 0x86dd, 0x88a8 };
	size_t n = 14 + (chance(70) ? (size_t)rand() % 80 : (size_t)rand() % 1400), at = 14;
	unsigned type = types[rand() % 4];
	uint32_t address = w->ip4[(unsigned)rand() % w->addresses];

	for (size_t i = 0; i < 200; i++)
		b[i] = (uint8_t)rand();
	if (chance(40)) {
		b[12] = 0x81;
		b[13] = 0;
		if (chance(70)) {
			b[14] = (uint8_t)((b[14] & 0xf0) | w->vlans[0] >> 8);
			b[15] = (uint8_t)w->vlans[0];
		}
		at = 18;
	}
	b[at - 2] = (uint8_t)(type >> 8);
	b[at - 1] = (uint8_t)type;
	if (type == 0x0806 && chance(90))
		memcpy(b + at, "\0\1\10\0\6\4", 6);
	if (chance(40))
		memcpy(b + at + (type == 0x0800 ? 16 : chance(50) ? 14 : 24), &address, 4);
	else if (type == 0x0806 && chance(50))
		memcpy(b + at + 24, b + at + 14, 4);
	if (type == 0x0800 && chance(70)) {
		b[at + 9] = 17;
		b[at + 6] = b[at + 7] = 0;
		if (chance(30))
			b[at + 7] = 1;
		if (chance(80)) {
			b[at + (b[at] & 15u) * 4 + 2] = 0;
			b[at + (b[at] & 15u) * 4 + 3] = chance(90) ? 68 : 67;
		}
	}
	return n;
}

static void random_frames_go_where_the_description_says(void **state)
{
	struct afxdp_wanted w = { .ip4 = { inet_addr(LIGHT_ADDRESS), inet_addr("192.0.2.9") }, .addresses = 2,
		.vlans = { 0x123, 9 }, .vlan_count = 2 };
	uint8_t frame[1600], out[2048];
	unsigned went[3] = { 0, 0, 0 };
	uint64_t copied = 0;
	struct fixture f;
	struct pkt *p;
	uint32_t id = 0;
	int fd;

	(void)state;
	set_up(&f, 1500, 1);
	assert_int_equal(bpf_xdp_query_id((int)if_nametoindex("lta"), 0, &id), 0);
	fd = bpf_prog_get_fd_by_id(id);
	assert_true(fd >= 0);
	srand(1);
	for (unsigned i = 0; i < 60000; i++) {
		size_t n = random_frame(frame, &w);
		LIBBPF_OPTS(bpf_test_run_opts, t, .data_in = frame, .data_size_in = (uint32_t)n, .data_out = out,
			.data_size_out = sizeof(out), .repeat = 1);
		int to;

		if (i % 1000 == 0) {
			w.dhcp = !w.dhcp;
			want(&f, w);
		}
		to = should_go_to(frame, n, &w);
		assert_int_equal(bpf_prog_test_run_opts(fd, &t), 0);
		copied += to == BOTH;
		if (t.retval != (to == LIGHT ? XDP_REDIRECT : XDP_PASS) || counter(f.link, "program_copied") != copied)
			fail_msg("frame %u of %zu bytes: the program says %u, %d is right", i, n, t.retval, to);
		went[to]++;
		if (to != BOTH)
			continue;
		f.link->ops->arm(f.link);
		assert_int_equal(f.link->ops->receive(f.link, &p, 1), 1);
		assert_int_equal(p->len, n);
		assert_memory_equal(p->data, frame, n);
		f.link->ops->release(f.link, &p, 1);
	}
	assert_in_range(went[LIGHT], 3000, 50000);
	assert_in_range(went[BOTH], 3000, 50000);
	assert_int_equal(counter(f.link, "program_copy_lost"), 0);
	close(fd);
	tear_down(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(frames_come_by_their_destination_address),
		cmocka_unit_test(groups_that_were_joined_come_as_copies),
		cmocka_unit_test(arp_comes_when_it_names_our_address),
		cmocka_unit_test(every_fragment_and_icmp_come),
		cmocka_unit_test(answers_to_dhcp_clients_go_to_both_if_asked_for),
		cmocka_unit_test(announcements_of_others_go_to_both),
		cmocka_unit_test(answers_to_probes_go_to_both_while_dhcp_runs),
		cmocka_unit_test(frames_too_long_for_a_copy_are_counted),
		cmocka_unit_test(a_flood_of_announcements_takes_neither_packets_nor_time_from_the_rest),
		cmocka_unit_test(frames_of_our_vlans_come_with_their_tag),
		cmocka_unit_test(the_kernel_answers_for_its_own_address_on_the_same_interface),
		cmocka_unit_test(random_frames_go_where_the_description_says),
	};

	return cmocka_run_group_tests_name("afxdp_program", tests, NULL, NULL);
}
