/* SPDX-License-Identifier: BSD-3-Clause */
/* TAP against the kernel's own stack in a network namespace. */
#include "kernel.h"

#include <net/ethernet.h>

#include "io/tap.h"
#include "stack/base/rng.h"

static char all_lines[4096];   /* since the last open_up */
static unsigned lines;

static void keep_line(void *context, const char *line)
{
	(void)context;
	snprintf(all_lines + strlen(all_lines), sizeof(all_lines) - strlen(all_lines), "%s\n", line);
	lines++;
}

static struct tap_config config(unsigned queues)
{
	return (struct tap_config){ .interface = "lt0", .device = { .queues = queues, .log = keep_line } };
}

static struct device *open_up(const struct tap_config *c)
{
	char why[DEVICE_WHY] = "";
	struct device *d;

	all_lines[0] = '\0';
	if (tap_open(c, &d, why) != 0)
		fail_msg("%s", why);
	kernel_run("echo 1 >/proc/sys/net/ipv6/conf/lt0/disable_ipv6 && ip addr add " KERNEL_IP "/24 dev lt0 && ip link set lt0 up");
	for (unsigned i = 0; i < d->queues; i++) {
		struct link *l = d->ops->queue(d, i);

		l->ops->arm(l);
		assert_int_equal(l->up, 1);
	}
	return d;
}

static uint64_t count_of(struct device *d, const char *name)
{
	struct link_counter c;
	uint64_t sum = 0;

	for (unsigned q = 0; q < d->queues; q++) {
		struct link *l = d->ops->queue(d, q);

		for (unsigned i = 0; l->ops->counter(l, i, &c); i++)
			if (strcmp(c.name, name) == 0)
				sum += c.value;
	}
	return sum;
}

static void close_clean(struct device *d, struct light_host *h)
{
	if (h)
		light_free(h);
	assert_int_equal(d->ops->outstanding(d), 0);
	d->ops->close(d);
	assert_int_equal(if_nametoindex("lt0"), 0);
}

/* Kernel sockets send `total` bytes each through the echo and check what comes back. */
static void bulk(struct light_host *h, unsigned connections, size_t total)
{
	static uint8_t out[1 << 18], in[1 << 18];
	struct sockaddr_in to = kernel_address(LIGHT_IP, ECHO_PORT);
	struct { int fd; size_t sent, got; } c[8];
	nsec end = kernel_now() + 20 * NSEC_PER_SEC;
	unsigned done = 0;

	for (size_t i = 0; i < sizeof(out); i++)
		out[i] = (uint8_t)(i * 2654435761u >> 13);
	for (unsigned i = 0; i < connections; i++) {
		c[i].fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
		c[i].sent = c[i].got = 0;
		assert_true(connect(c[i].fd, (struct sockaddr *)&to, sizeof(to)) == 0 || errno == EINPROGRESS);
	}
	while (done < connections && kernel_now() < end) {
		light_turn(h);
		for (unsigned i = 0; i < connections; i++) {
			size_t at = c[i].sent % sizeof(out), n = sizeof(out) - at;
			ssize_t r;

			if (c[i].got == total)
				continue;
			if (n > total - c[i].sent)
				n = total - c[i].sent;
			r = n ? send(c[i].fd, out + at, n, 0) : 0;
			if (r > 0)
				c[i].sent += (size_t)r;
			while ((r = recv(c[i].fd, in, sizeof(in) - c[i].got % sizeof(in), 0)) > 0) {
				assert_memory_equal(in, out + c[i].got % sizeof(out), (size_t)r);
				c[i].got += (size_t)r;
			}
			done += c[i].got == total;
		}
	}
	assert_int_equal(done, connections);
	for (unsigned i = 0; i < connections; i++)
		close(c[i].fd);
	for (unsigned i = 0; i < 100; i++)
		light_turn(h);
}

static void bulk_crosses_in_super_frames_both_ways(void **state)
{
	struct tap_config c = config(1);
	struct device *d = open_up(&c);
	struct light_host h = { 0 };

	(void)state;
	light_add(&h, d->ops->queue(d, 0));
	bulk(&h, 1, 64 << 20);
	assert_true(count_of(d, "rx_super_frames") > 100);
	assert_true(count_of(d, "tx_super_frames") > 100);
	assert_true(d->ops->queue(d, 0)->stats.rx_packets < 64 * 1024 * 1024 / 4000);
	close_clean(d, &h);
}

static void without_offload_frames_are_whole_and_of_the_mtu(void **state)
{
	struct tap_config c = config(1);
	struct light_host h = { 0 };
	struct device *d;

	(void)state;
	c.no_offload = true;
	d = open_up(&c);
	assert_int_equal(d->ops->queue(d, 0)->flags, 0);
	light_add(&h, d->ops->queue(d, 0));
	bulk(&h, 1, 4 << 20);
	assert_int_equal(count_of(d, "rx_super_frames") + count_of(d, "tx_super_frames"), 0);
	assert_int_equal(count_of(d, "rx_partial_checksums") + count_of(d, "tx_partial_checksums"), 0);
	assert_true(d->ops->queue(d, 0)->stats.rx_packets >= (4 << 20) / 1460);
	close_clean(d, &h);
}

/* A kernel datagram socket and the echo, in every length that matters and through the kernel's fragments. */
static void datagrams_cross_in_every_length(void **state)
{
	static const uint16_t lengths[] = { 0, 1, 2, 17, 18, 19, 100, 1471, 1472, 1473, 2000, 8000, 65507 };
	static uint8_t out[65536], in[65536];
	struct sockaddr_in to = kernel_address(LIGHT_IP, ECHO_PORT);
	struct tap_config c = config(1);
	struct device *d = open_up(&c);
	struct light_host h = { 0 };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);

	(void)state;
	for (size_t i = 0; i < sizeof(out); i++)
		out[i] = (uint8_t)(i * 7);
	light_add(&h, d->ops->queue(d, 0));
	assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	for (unsigned i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		nsec until = kernel_now() + 5 * NSEC_PER_SEC;
		ssize_t got = -1;

		assert_int_equal(send(fd, out, lengths[i], 0), lengths[i]);
		while (got < 0 && kernel_now() < until) {
			light_turn(&h);
			got = recv(fd, in, sizeof(in), 0);
		}
		assert_int_equal(got, lengths[i]);
		assert_memory_equal(in, out, lengths[i]);
	}
	close(fd);
	close_clean(d, &h);
}

/* A packet socket on the kernel's end. */
static int packets(struct sockaddr_ll *to)
{
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK, htons(ETH_P_ALL));

	*to = (struct sockaddr_ll){ .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL), .sll_ifindex = (int)if_nametoindex("lt0"),
		.sll_halen = 6 };
	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)to, sizeof(*to)), 0);
	return fd;
}

static void drain(int fd)
{
	uint8_t seen[16];

	while (recv(fd, seen, sizeof(seen), 0) >= 0)
		;
}

static void frames_of_every_length_cross_unchanged(void **state)
{
	static uint8_t frame[2048], seen[2048];
	struct tap_config c = config(1);
	struct device *d = open_up(&c);
	struct link *l = d->ops->queue(d, 0);
	struct sockaddr_ll to;
	struct pkt *p[4];
	int fd = packets(&to);

	(void)state;
	for (unsigned i = 0; i < sizeof(frame); i++)
		frame[i] = (uint8_t)(i * 31);
	memcpy(frame + 12, "\x88\xb5", 2);
	drain(fd);
	for (uint32_t n = 0; n <= 1514; n++) {
		bool possible = n >= 14;

		assert_int_equal(l->ops->borrow(l, p, 1), 1);
		memcpy(p[0]->data, frame, n);
		p[0]->len = n;
		assert_int_equal(l->ops->transmit(l, p, 1), 1);
		assert_int_equal(recv(fd, seen, sizeof(seen), 0), possible ? (int)n : -1);
		if (!possible)
			continue;
		assert_memory_equal(seen, frame, n);
		assert_int_equal(sendto(fd, frame, n, 0, (struct sockaddr *)&to, sizeof(to)), n);
		assert_int_equal(l->ops->receive(l, p, 4), 1);
		assert_int_equal(p[0]->len, n);
		assert_int_equal(p[0]->flags, 0);
		assert_memory_equal(p[0]->data, frame, n);
		l->ops->release(l, p, 1);
		drain(fd);
	}
	assert_int_equal(l->stats.tx_dropped, 14);
	assert_int_equal(count_of(d, "tx_errors"), 14);
	close(fd);
	close_clean(d, NULL);
}

static void a_tagged_frame_keeps_its_tag(void **state)
{
	uint8_t frame[100] = "\xff\xff\xff\xff\xff\xff\2\0\0\0\0\1\x81\0\0\x64\x88\xb5";
	struct tap_config c = config(1);
	struct device *d = open_up(&c);
	struct link *l = d->ops->queue(d, 0);
	struct sockaddr_ll to;
	struct pkt *p;
	int fd = packets(&to);

	(void)state;
	assert_int_equal(sendto(fd, frame, sizeof(frame), 0, (struct sockaddr *)&to, sizeof(to)), sizeof(frame));
	assert_int_equal(l->ops->receive(l, &p, 1), 1);
	assert_int_equal(p->len, sizeof(frame));
	assert_memory_equal(p->data, frame, sizeof(frame));
	l->ops->release(l, &p, 1);
	close(fd);
	close_clean(d, NULL);
}

static void two_queues_share_the_flows(void **state)
{
	struct tap_config c = config(2);
	struct device *d = open_up(&c);
	struct link *a = d->ops->queue(d, 0), *b = d->ops->queue(d, 1);
	struct pkt *p[64];
	struct sockaddr_in to = kernel_address("10.99.0.3", 9);
	unsigned on_a = 0, on_b = 0;
	int fd;

	(void)state;
	assert_int_equal(d->queues, 2);
	assert_int_equal(d->rss.key_bytes, 0);
	assert_memory_equal(a->mac, b->mac, 6);
	kernel_run("ip neigh add 10.99.0.3 lladdr 02:00:00:00:00:77 dev lt0");
	/* Many flows: the kernel spreads them over both. */
	for (unsigned i = 0; i < 64; i++) {
		fd = socket(AF_INET, SOCK_DGRAM, 0);
		to.sin_port = htons((uint16_t)(1000 + i));
		assert_int_equal(sendto(fd, "x", 1, 0, (struct sockaddr *)&to, sizeof(to)), 1);
		close(fd);
		for (unsigned n; (n = a->ops->receive(a, p, 64)) > 0; on_a += n)
			a->ops->release(a, p, n);
		for (unsigned n; (n = b->ops->receive(b, p, 64)) > 0; on_b += n)
			b->ops->release(b, p, n);
	}
	assert_int_equal(on_a + on_b, 64);
	assert_true(on_a > 5 && on_b > 5);
	close_clean(d, NULL);
}

static void a_dry_pool_leaves_frames_with_the_kernel(void **state)
{
	struct tap_config c = config(1);
	uint8_t frame[60] = { 2, 0, 0, 0, 0, 9, 2, 0, 0, 0, 0, 8, 0x88, 0xb5 };
	struct sockaddr_ll to;
	struct pkt *p[8], *q;
	struct device *d;
	struct link *l;
	int fd;

	(void)state;
	c.packets = 4;
	d = open_up(&c);
	l = d->ops->queue(d, 0);
	fd = packets(&to);
	for (unsigned i = 0; i < 6; i++)
		assert_int_equal(sendto(fd, frame, 60, 0, (struct sockaddr *)&to, sizeof(to)), 60);
	assert_int_equal(l->ops->receive(l, p, 8), 4);
	assert_int_equal(l->ops->receive(l, p + 4, 4), 0);
	assert_int_equal(l->ops->borrow(l, &q, 1), 0);
	assert_int_equal(d->ops->outstanding(d), 4);
	assert_true(count_of(d, "rx_pool_dry") > 0);
	l->ops->release(l, p, 4);
	assert_int_equal(l->ops->receive(l, p, 8), 2);
	l->ops->release(l, p, 2);
	close(fd);
	close_clean(d, NULL);
}

/* Random bytes behind plausible headers, random offloads asked of the kernel: nothing but counts, and the host works on. */
static void random_frames_with_random_offloads_harm_nothing(void **state)
{
	static uint8_t bytes[10 + 9018];
	struct tap_config c = config(1);
	struct device *d = open_up(&c);
	struct link *l = d->ops->queue(d, 0);
	struct light_host h = { 0 };
	struct sockaddr_ll to;
	unsigned sent = 0;
	struct rng rng;
	int fd = packets(&to), one = 1;

	(void)state;
	assert_int_equal(setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &one, sizeof(one)), 0);
	kernel_run("ip link set lt0 mtu 9000");
	light_add(&h, l);
	rng_seed_u64(&rng, 11);
	for (unsigned i = 0; i < 20000; i++) {
		uint32_t n = (uint32_t)rng_below(&rng, rng_below(&rng, 4) ? 200 : 9015);
		uint64_t r = rng_u64(&rng);

		for (unsigned k = 0; k + 8 <= sizeof(bytes) && k < n + 10; k += 8) {
			uint64_t x = rng_u64(&rng);

			memcpy(bytes + k, &x, 8);
		}
		memset(bytes, 0, 10);
		if (r & 1)
			memcpy(bytes, (uint8_t[]){ 1, r >> 1 & 1, 54, 0, 0x64, (uint8_t)(r >> 8 & 3), 34, 0, 16, 0 }, 10);
		else if (r & 2)
			memcpy(bytes, (uint8_t[]){ 1, 0, 0, 0, 0, 0, (uint8_t)(r >> 16), 0, (uint8_t)(r >> 24 & 31), 0 }, 10);
		memcpy(bytes + 10, l->mac, 6);
		memcpy(bytes + 22, r & 4 ? "\x08\0\x45" : r & 8 ? "\x81\0\0" : "\x08\x06\0", 3);
		if (r & 16)
			memcpy(bytes + 24, (uint8_t[]){ 0x45, 0, (uint8_t)((n - 14) >> 8), (uint8_t)(n - 14), 0, 0, 0x40, 0, 64, 6, 0, 0 }, 12);
		sent += sendto(fd, bytes, 10 + n, 0, (struct sockaddr *)&to, sizeof(to)) > 0;
		if (i % 8 == 0)
			light_turn(&h);
	}
	assert_true(sent > 10000);
	close(fd);
	for (unsigned i = 0; i < 100; i++)
		light_turn(&h);
	assert_true(count_of(d, "rx_partial_checksums") > 100);
	assert_true(count_of(d, "rx_checksums_completed") > 10);
	bulk(&h, 1, 1 << 20);
	close_clean(d, &h);
}

static void a_sleeper_wakes_for_frames_and_for_the_interface(void **state)
{
	struct tap_config c = config(1);
	struct device *d = open_up(&c);
	struct link *l = d->ops->queue(d, 0);
	struct pollfd f = { .events = POLLIN };
	uint8_t frame[60] = { 2, 0, 0, 0, 0, 9, 2, 0, 0, 0, 0, 8, 0x88, 0xb5 };
	struct sockaddr_ll to;
	struct pkt *p[4];
	unsigned n;
	int fd = packets(&to);

	(void)state;
	f.fd = l->ops->arm(l);
	while ((n = l->ops->receive(l, p, 4)) > 0)
		l->ops->release(l, p, n);
	l->ops->arm(l);
	assert_int_equal(poll(&f, 1, 0), 0);
	assert_int_equal(sendto(fd, frame, 60, 0, (struct sockaddr *)&to, sizeof(to)), 60);
	assert_int_equal(poll(&f, 1, 1000), 1);
	assert_int_equal(poll(&f, 1, 0), 1);     /* level */
	assert_int_equal(l->ops->receive(l, p, 4), 1);
	l->ops->release(l, p, 1);
	assert_int_equal(poll(&f, 1, 0), 0);
	kernel_run("ip link set lt0 down");
	assert_int_equal(poll(&f, 1, 1000), 1);
	f.fd = l->ops->arm(l);
	assert_int_equal(l->up, 0);
	assert_non_null(strstr(all_lines, "down"));
	assert_int_equal(poll(&f, 1, 0), 0);
	assert_int_equal(l->ops->borrow(l, p, 1), 1);
	p[0]->len = 60;
	assert_int_equal(l->ops->transmit(l, p, 1), 1);
	assert_int_equal(count_of(d, "tx_down"), 1);
	kernel_run("ip link set lt0 mtu 1400 up");
	l->ops->arm(l);
	assert_int_equal(l->up, 1);
	assert_int_equal(l->mtu, 1400);
	close(fd);
	close_clean(d, NULL);
}

static void a_busy_poller_sees_the_interface_go_down(void **state)
{
	struct tap_config c = config(1);
	struct device *d = open_up(&c);
	struct link *l = d->ops->queue(d, 0);
	struct pkt *p;

	(void)state;
	kernel_run("ip link set lt0 down");
	for (unsigned i = 0; i < 3000; i++)
		if (l->ops->receive(l, &p, 1))
			l->ops->release(l, &p, 1);
	assert_int_equal(l->up, 0);
	assert_int_equal(count_of(d, "state_changes"), 2);
	close_clean(d, NULL);
}

static void a_deleted_interface_is_a_state_and_one_line(void **state)
{
	struct tap_config c = config(2);
	struct device *d = open_up(&c);
	struct link *l = d->ops->queue(d, 0), *other = d->ops->queue(d, 1);
	struct pollfd f = { .events = POLLIN };
	struct pkt *p;
	unsigned before;

	(void)state;
	before = lines;
	kernel_run("ip link del lt0");
	for (unsigned i = 0; i < 10; i++) {
		assert_int_equal(l->ops->receive(l, &p, 1), 0);
		assert_int_equal(other->ops->borrow(other, &p, 1), 1);
		p->len = 60;
		assert_int_equal(other->ops->transmit(other, &p, 1), 1);
		f.fd = l->ops->arm(l);
	}
	assert_int_equal(l->up, 0);
	assert_int_equal(other->up, 0);
	assert_int_equal(other->stats.tx_dropped, 10);
	assert_int_equal(count_of(d, "interface_gone"), 2);
	assert_non_null(strstr(all_lines, "deleted"));
	assert_int_equal(lines, before + 1);
	assert_int_equal(poll(&f, 1, 0), 0);     /* a sleeper sleeps */
	close_clean(d, NULL);
}

static void an_interface_made_again_is_used_again(void **state)
{
	struct tap_config c = config(2);
	struct device *d = open_up(&c);
	struct light_host h = { 0 };
	struct pkt *p[4];
	struct pollfd f = { .events = POLLIN };

	(void)state;
	kernel_run("ip link del lt0");
	for (unsigned i = 0; i < d->queues; i++) {
		struct link *l = d->ops->queue(d, i);

		assert_int_equal(l->ops->receive(l, p, 4), 0);
		l->ops->arm(l);
	}
	assert_int_equal(count_of(d, "interface_gone"), 2);
	/* Something else of that name is left alone. */
	kernel_run("ip link add lt0 type veth peer name lt9");
	f.fd = d->ops->queue(d, 0)->ops->arm(d->ops->queue(d, 0));
	assert_int_equal(count_of(d, "interface_back"), 0);
	kernel_run("ip link del lt0 && ip tuntap add lt0 mode tap multi_queue");
	assert_int_equal(poll(&f, 1, 1000), 1);
	kernel_run("echo 1 >/proc/sys/net/ipv6/conf/lt0/disable_ipv6 && ip addr add " KERNEL_IP "/24 dev lt0 && ip link set lt0 up");
	for (unsigned i = 0; i < d->queues; i++) {
		struct link *l = d->ops->queue(d, i);

		for (unsigned k = 0; k < 2000; k++)
			if (l->ops->receive(l, p, 1) > 0)
				l->ops->release(l, p, 1);
		assert_int_equal(l->up, 1);
	}
	assert_int_equal(count_of(d, "interface_back"), 2);
	d->ops->close(d);
	/* It was not ours. */
	kernel_run("ip link del lt0 && ip tuntap add lt0 mode tap");
	c = config(1);
	d = open_up(&c);
	kernel_run("ip link del lt0");
	light_add(&h, d->ops->queue(d, 0));
	light_turn(&h);
	kernel_run("ip tuntap add lt0 mode tap && echo 1 >/proc/sys/net/ipv6/conf/lt0/disable_ipv6 && ip addr add " KERNEL_IP
		"/24 dev lt0 && ip link set lt0 up");
	for (unsigned i = 0; i < 3000; i++)
		light_turn(&h);
	bulk(&h, 1, 4 << 20);
	assert_true(count_of(d, "rx_super_frames") > 10);
	light_free(&h);
	assert_int_equal(d->ops->outstanding(d), 0);
	d->ops->close(d);
	kernel_run("ip link del lt0");
}

static void a_persistent_interface_is_used_and_kept(void **state)
{
	struct tap_config c = config(2);
	char why[DEVICE_WHY] = "";
	struct light_host h = { 0 };
	struct device *d, *again;

	(void)state;
	kernel_run("ip tuntap add lt0 mode tap");
	d = open_up(&c);
	assert_int_equal(d->queues, 1);
	assert_non_null(strstr(all_lines, "multi_queue"));
	assert_int_equal(tap_open(&c, &again, why), -EBUSY);
	assert_non_null(strstr(why, "in use"));
	light_add(&h, d->ops->queue(d, 0));
	bulk(&h, 1, 1 << 20);
	light_free(&h);
	d->ops->close(d);
	assert_int_not_equal(if_nametoindex("lt0"), 0);
	kernel_run("ip link del lt0 && ip tuntap add lt0 mode tap multi_queue");
	c = config(1);
	d = open_up(&c);
	d->ops->close(d);
	assert_int_not_equal(if_nametoindex("lt0"), 0);
	kernel_run("ip link del lt0");
}

static void another_s_interface_is_refused(void **state)
{
	struct tap_config c = config(2);
	char why[DEVICE_WHY] = "";
	struct device *d = open_up(&c), *e;

	(void)state;
	assert_int_equal(tap_open(&c, &e, why), -EBUSY);
	d->ops->close(d);
	kernel_run("ip link add lt0 type veth peer name lt9");
	assert_int_equal(tap_open(&c, &e, why), -EINVAL);
	assert_non_null(strstr(why, "no TAP"));
	kernel_run("ip link del lt0");
	c.interface = "a-name-too-long-for-it";
	assert_int_equal(tap_open(&c, &e, why), -EINVAL);
	c.interface = "lt0";
	c.device.mtu = 100;
	assert_int_equal(tap_open(&c, &e, why), -EINVAL);
	c.device.mtu = 0;
	c.mac[0] = 1;
	assert_int_equal(tap_open(&c, &e, why), -EINVAL);
	assert_int_equal(if_nametoindex("lt0"), 0);
}

static void the_mtu_is_set_on_the_kernel_s_end_and_kept_to(void **state)
{
	struct tap_config c = config(1);
	struct light_host h = { 0 };
	struct device *d;

	(void)state;
	c.device.mtu = 9000;
	d = open_up(&c);
	assert_int_equal(d->ops->queue(d, 0)->mtu, 9000);
	kernel_run("ip link show lt0 | grep -q 'mtu 9000'");
	light_add(&h, d->ops->queue(d, 0));
	bulk(&h, 4, 4 << 20);
	close_clean(d, &h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bulk_crosses_in_super_frames_both_ways),
		cmocka_unit_test(without_offload_frames_are_whole_and_of_the_mtu),
		cmocka_unit_test(datagrams_cross_in_every_length),
		cmocka_unit_test(frames_of_every_length_cross_unchanged),
		cmocka_unit_test(a_tagged_frame_keeps_its_tag),
		cmocka_unit_test(two_queues_share_the_flows),
		cmocka_unit_test(a_dry_pool_leaves_frames_with_the_kernel),
		cmocka_unit_test(random_frames_with_random_offloads_harm_nothing),
		cmocka_unit_test(a_sleeper_wakes_for_frames_and_for_the_interface),
		cmocka_unit_test(a_busy_poller_sees_the_interface_go_down),
		cmocka_unit_test(a_deleted_interface_is_a_state_and_one_line),
		cmocka_unit_test(an_interface_made_again_is_used_again),
		cmocka_unit_test(a_persistent_interface_is_used_and_kept),
		cmocka_unit_test(another_s_interface_is_refused),
		cmocka_unit_test(the_mtu_is_set_on_the_kernel_s_end_and_kept_to),
	};

	if (!kernel_namespace())
		return 77;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
