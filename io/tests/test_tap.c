/* SPDX-License-Identifier: BSD-3-Clause */
/* TAP against the kernel's own stack in a network namespace. */
#include "kernel.h"

#include <net/ethernet.h>

#include "io/tap.h"

static char last_line[256];
static unsigned lines;

static void keep_line(void *context, const char *line)
{
	(void)context;
	snprintf(last_line, sizeof(last_line), "%s", line);
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

	if (tap_open(c, &d, why) != 0)
		fail_msg("%s", why);
	kernel_run("sysctl -qw net.ipv6.conf.lt0.disable_ipv6=1 && ip addr add " KERNEL_IP "/24 dev lt0 && ip link set lt0 up");
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bulk_crosses_in_super_frames_both_ways),
		cmocka_unit_test(without_offload_frames_are_whole_and_of_the_mtu),
	};

	if (!kernel_namespace())
		return 77;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
