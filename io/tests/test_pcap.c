/* SPDX-License-Identifier: BSD-3-Clause */
/* libpcap live on one end of a veth pair; the kernel lives on the other, in a namespace of its own. */
#include "kernel.h"

#include <fcntl.h>
#include <net/ethernet.h>
#include <sys/wait.h>

#include "io/pcap.h"

static char last_line[256];
static int own_namespace, peer_namespace;

static void keep_line(void *context, const char *line)
{
	(void)context;
	snprintf(last_line, sizeof(last_line), "%s", line);
}

static void enter(int fd)
{
	assert_int_equal(setns(fd, CLONE_NEWNET), 0);
}

/* lt1 is the kernel's, with the peer's address; lt0 is ours and has none. offload: of the kernel's end. */
static void make_veth(const char *offload)
{
	kernel_run("ip link add lt0 type veth peer name lt1 && echo 1 >/proc/sys/net/ipv6/conf/lt0/disable_ipv6"
		" && ip link set lt0 up && ip link set lt1 netns /proc/%d/fd/%d", getpid(), peer_namespace);
	enter(peer_namespace);
	kernel_run("ethtool -K lt1 tx %s tso %s gro %s >/dev/null && echo 1 >/proc/sys/net/ipv6/conf/lt1/disable_ipv6"
		" && ip addr add " KERNEL_IP "/24 dev lt1 && ip link set lt1 up", offload, offload, offload);
	enter(own_namespace);
}

static struct device *open_or_fail(struct pcap_live_config *c)
{
	char why[DEVICE_WHY] = "";
	struct device *d;

	c->interface = "lt0";
	c->device.queues = 1;
	c->device.log = keep_line;
	last_line[0] = '\0';
	if (pcap_live_open(c, &d, why) != 0)
		fail_msg("%s", why);
	return d;
}

static uint64_t count_of(struct device *d, const char *name)
{
	struct link *l = d->ops->queue(d, 0);
	struct link_counter c;

	for (unsigned i = 0; l->ops->counter(l, i, &c); i++)
		if (strcmp(c.name, name) == 0)
			return c.value;
	fail_msg("no counter %s", name);
	return 0;
}

static void end(struct device *d, struct light_host *h)
{
	if (h)
		light_free(h);
	assert_int_equal(d->ops->outstanding(d), 0);
	d->ops->close(d);
	if (if_nametoindex("lt0"))
		kernel_run("ip link del lt0");
}

/* A kernel socket of the peer sends total bytes through the echo and compares what comes back. */
static void bulk(struct light_host *h, size_t total)
{
	static uint8_t out[1 << 16], in[1 << 16];
	struct sockaddr_in to = kernel_address(LIGHT_IP, ECHO_PORT);
	nsec until = kernel_now() + 20 * NSEC_PER_SEC;
	size_t sent = 0, got = 0;
	int fd;

	for (size_t i = 0; i < sizeof(out); i++)
		out[i] = (uint8_t)(i * 2654435761u >> 13);
	enter(peer_namespace);
	fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	enter(own_namespace);
	assert_true(connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0 || errno == EINPROGRESS);
	while (got < total && kernel_now() < until) {
		size_t n = sizeof(out) - sent % sizeof(out);
		ssize_t r;

		light_turn(h);
		if (n > total - sent)
			n = total - sent;
		r = n ? send(fd, out + sent % sizeof(out), n, 0) : 0;
		sent += r > 0 ? (size_t)r : 0;
		while ((r = recv(fd, in, sizeof(in) - got % sizeof(in), 0)) > 0) {
			assert_memory_equal(in, out + got % sizeof(out), (size_t)r);
			got += (size_t)r;
		}
	}
	assert_int_equal(got, total);
	close(fd);
	for (unsigned i = 0; i < 100; i++)
		light_turn(h);
}

static void the_kernel_talks_to_a_stack_on_pcap(void **state)
{
	struct pcap_live_config c = { .mac = { 2, 0, 0, 0, 0, 9 } };
	struct light_host h = { 0 };
	struct device *d;

	(void)state;
	make_veth("off");
	d = open_or_fail(&c);
	light_add(&h, d->ops->queue(d, 0));
	bulk(&h, 2 << 20);
	assert_int_equal(count_of(d, "rx_open_checksums"), 0);
	assert_int_equal(count_of(d, "rx_own_frames"), 0);
	end(d, &h);
}

static void a_peer_with_offloads_is_understood_and_named(void **state)
{
	struct pcap_live_config c = { .mac = { 0 } };
	struct light_host h = { 0 };
	struct device *d;

	(void)state;
	make_veth("on");
	d = open_or_fail(&c);
	light_add(&h, d->ops->queue(d, 0));
	bulk(&h, 8 << 20);
	assert_true(count_of(d, "rx_open_checksums") > 10);
	assert_true(count_of(d, "rx_super_frames") > 10);
	assert_non_null(strstr(last_line, "ethtool"));
	end(d, &h);
}

/* A packet socket of the peer. */
static int peer_packets(struct sockaddr_ll *to)
{
	int fd;

	enter(peer_namespace);
	fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK, htons(ETH_P_ALL));
	*to = (struct sockaddr_ll){ .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL), .sll_ifindex = (int)if_nametoindex("lt1"),
		.sll_halen = 6 };
	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)to, sizeof(*to)), 0);
	enter(own_namespace);
	return fd;
}

static unsigned receive_until(struct link *l, struct pkt **p, unsigned most)
{
	struct pollfd f = { .fd = l->ops->arm(l), .events = POLLIN };
	unsigned n;

	assert_true(f.fd >= 0);
	for (unsigned i = 0; i < 10; i++)
		if ((n = l->ops->receive(l, p, most)) > 0 || poll(&f, 1, 200) == 0)
			return n;
	return 0;
}

static void frames_of_every_length_and_vlan_tags_arrive_as_they_were_sent(void **state)
{
	struct pcap_live_config c = { .mac = { 2, 0, 0, 0, 0, 9 } };
	static uint8_t frame[1518], seen[2048];
	struct sockaddr_ll to;
	struct device *d;
	struct pkt *p[4];
	struct link *l;
	int fd;

	(void)state;
	make_veth("off");
	d = open_or_fail(&c);
	l = d->ops->queue(d, 0);
	fd = peer_packets(&to);
	for (unsigned i = 0; i < sizeof(frame); i++)
		frame[i] = (uint8_t)(i * 31);
	memcpy(frame, "\2\0\0\0\0\x9\2\0\0\0\0\x8\x81\0\0\x64\x88\xb5", 18);
	while (receive_until(l, p, 1))
		l->ops->release(l, p, 1);
	/* The kernel itself takes no tagged frame of fewer than 20 bytes. */
	for (uint32_t n = 20; n <= sizeof(frame); n += 1 + n / 100) {
		assert_int_equal(sendto(fd, frame, n, 0, (struct sockaddr *)&to, sizeof(to)), n);
		if (receive_until(l, p, 4) != 1)
			fail_msg("a frame of %u bytes did not arrive", n);
		assert_int_equal(p[0]->len, n);
		assert_memory_equal(p[0]->data, frame, n);
		/* And back, untagged: what we send is not received by us. */
		memcpy(p[0]->data + 12, "\x88\xb5", 2);
		memcpy(p[0]->data + 6, l->mac, 6);
		if (n <= 1514) {
			assert_int_equal(l->ops->transmit(l, p, 1), 1);
			assert_int_equal(l->ops->receive(l, p, 4), 0);
			do
				assert_true(recv(fd, seen, sizeof(seen), 0) > 0);
			while (memcmp(seen + 6, l->mac, 6) != 0);
		} else {
			l->ops->release(l, p, 1);
		}
	}
	assert_int_equal(l->stats.tx_dropped, 0);
	close(fd);
	end(d, NULL);
}

static void a_dry_pool_leaves_frames_in_the_ring(void **state)
{
	struct pcap_live_config c = { .packets = 4 };
	uint8_t frame[60] = { 2, 0, 0, 0, 0, 9, 2, 0, 0, 0, 0, 8, 0x88, 0xb5 };
	struct pkt *p[8], *q;
	struct sockaddr_ll to;
	struct device *d;
	struct link *l;
	unsigned got = 0;
	int fd;

	(void)state;
	make_veth("off");
	d = open_or_fail(&c);
	l = d->ops->queue(d, 0);
	fd = peer_packets(&to);
	for (unsigned i = 0; i < 6; i++)
		assert_int_equal(sendto(fd, frame, 60, 0, (struct sockaddr *)&to, sizeof(to)), 60);
	while (got < 4)
		got += receive_until(l, p + got, 8 - got);
	assert_int_equal(got, 4);
	assert_int_equal(l->ops->receive(l, p + 4, 4), 0);
	assert_int_equal(l->ops->borrow(l, &q, 1), 0);
	assert_true(count_of(d, "rx_pool_dry") > 0);
	l->ops->release(l, p, 4);
	assert_int_equal(receive_until(l, p, 8), 2);
	l->ops->release(l, p, 2);
	close(fd);
	end(d, NULL);
}

static void down_up_and_deleted_are_states_and_lines(void **state)
{
	struct pcap_live_config c = { .mac = { 2, 0, 0, 0, 0, 9 } };
	struct device *d;
	struct link *l;
	struct pkt *p;
	struct pollfd f;

	(void)state;
	make_veth("off");
	d = open_or_fail(&c);
	l = d->ops->queue(d, 0);
	l->ops->arm(l);
	assert_int_equal(l->up, 1);
	kernel_run("ip link set lt0 down");
	f = (struct pollfd){ .fd = l->ops->arm(l), .events = POLLIN };
	assert_int_equal(l->up, 0);
	for (unsigned i = 0; i < 10; i++)
		assert_int_equal(l->ops->receive(l, &p, 1), 0);
	assert_int_equal(l->ops->borrow(l, &p, 1), 1);
	p->len = 60;
	assert_int_equal(l->ops->transmit(l, &p, 1), 1);
	assert_int_equal(count_of(d, "tx_down"), 1);
	kernel_run("ip link set lt0 up");
	for (unsigned i = 0; i < 100 && !l->up; i++) {
		poll(&f, 1, 100);
		l->ops->arm(l);
	}
	assert_int_equal(l->up, 1);
	assert_non_null(strstr(last_line, "up"));
	/* No carrier: the other end is down. */
	enter(peer_namespace);
	kernel_run("ip link set lt1 down");
	enter(own_namespace);
	for (unsigned i = 0; i < 100 && l->up; i++) {
		poll(&f, 1, 100);
		l->ops->arm(l);
	}
	assert_int_equal(l->up, 0);
	assert_non_null(strstr(last_line, "no carrier"));
	kernel_run("ip link del lt0");
	for (unsigned i = 0; i < 10; i++) {
		assert_int_equal(l->ops->receive(l, &p, 1), 0);
		f.fd = l->ops->arm(l);
	}
	assert_int_equal(l->up, 0);
	assert_int_equal(count_of(d, "interface_gone"), 1);
	assert_non_null(strstr(last_line, "deleted"));
	assert_int_equal(poll(&f, 1, 0), 0);   /* a sleeper sleeps */
	assert_int_equal(l->ops->borrow(l, &p, 1), 1);
	assert_int_equal(l->ops->transmit(l, &p, 1), 1);
	assert_int_equal(l->stats.tx_dropped, 2);
	end(d, NULL);
}

static void an_interface_made_again_is_used_again(void **state)
{
	struct pcap_live_config c = { .mac = { 2, 0, 0, 0, 0, 9 } };
	struct light_host h = { 0 };
	struct device *d;
	struct pkt *p;
	struct link *l;

	(void)state;
	make_veth("off");
	d = open_or_fail(&c);
	l = d->ops->queue(d, 0);
	kernel_run("ip link del lt0");
	for (unsigned i = 0; i < 3; i++) {
		l->ops->receive(l, &p, 1);
		l->ops->arm(l);
	}
	assert_int_equal(count_of(d, "interface_gone"), 1);
	make_veth("off");
	for (unsigned i = 0; i < 3000 && !l->up; i++)
		if (l->ops->receive(l, &p, 1) > 0)
			l->ops->release(l, &p, 1);
	assert_int_equal(l->up, 1);
	assert_int_equal(count_of(d, "interface_back"), 1);
	light_add(&h, l);
	bulk(&h, 1 << 20);
	end(d, &h);
}

static void what_is_no_ethernet_interface_is_refused_with_a_sentence(void **state)
{
	struct pcap_live_config c = { .interface = "nosuch0", .device = { .queues = 1 } };
	char why[DEVICE_WHY] = "";
	struct device *d;

	(void)state;
	assert_int_equal(pcap_live_open(&c, &d, why), -ENODEV);
	assert_non_null(strstr(why, "nosuch0"));
	c.interface = "any";
	assert_int_equal(pcap_live_open(&c, &d, why), -EPROTOTYPE);
	c.interface = "";
	assert_int_equal(pcap_live_open(&c, &d, why), -EINVAL);
	c.interface = "lo";
	kernel_run("ip link set lo up");
	assert_int_equal(pcap_live_open(&c, &d, why), -EINVAL);
	assert_non_null(strstr(why, "MAC"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_kernel_talks_to_a_stack_on_pcap),
		cmocka_unit_test(a_peer_with_offloads_is_understood_and_named),
		cmocka_unit_test(frames_of_every_length_and_vlan_tags_arrive_as_they_were_sent),
		cmocka_unit_test(a_dry_pool_leaves_frames_in_the_ring),
		cmocka_unit_test(down_up_and_deleted_are_states_and_lines),
		cmocka_unit_test(an_interface_made_again_is_used_again),
		cmocka_unit_test(what_is_no_ethernet_interface_is_refused_with_a_sentence),
	};

	if (!kernel_namespace())
		return 77;
	peer_namespace = open("/proc/thread-self/ns/net", O_RDONLY);
	if (!kernel_namespace())
		return 77;
	own_namespace = open("/proc/thread-self/ns/net", O_RDONLY);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
