/* SPDX-License-Identifier: BSD-3-Clause */
/* DPDK's software devices with somebody behind them: the kernel in a network namespace (net_af_packet, net_af_xdp, net_tap,
 * net_pcap), or a second process (net_memif, net_vhost and net_virtio_user). Frames of every length go there and come
 * back; both ends account for all their packets. Needs root. */
#include "dpdk_role.h"

#include <errno.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <net/if.h>

#include "stack/base/checksum.h"

#define EXPERIMENT 0x88b5       /* the Ethernet type of our frames */
#define SEGMENT 1448u
#define SUPER_PAYLOAD 20000u
#define HEADERS 54u

static char folder[] = "/tmp/light-dpdk-XXXXXX";
static char self[] = "test_dpdk_device";

static void run(const char *command)
{
	if (system(command) != 0)
		fail_msg("failed: %s", command);
}

/* Two ends of a cable in the test's namespace; the kernel adds nothing of its own. */
static int make_veth(void **state)
{
	(void)state;
	run("ip link add lt0 numrxqueues 2 numtxqueues 2 type veth peer name lt1 numrxqueues 2 numtxqueues 2");
	run("ip link set lt0 up && ip link set lt1 up");
	run("ethtool -K lt1 tx off tso off gso off >/dev/null 2>&1 || true");
	return 0;
}

static int remove_veth(void **state)
{
	(void)state;
	return system("ip link del lt0");
}

static int packet_socket(const char *interface, uint16_t type)
{
	struct sockaddr_ll to = { .sll_family = AF_PACKET, .sll_protocol = htons(type) };
	struct timeval patience = { .tv_sec = (time_t)PATIENCE };
	int fd = socket(AF_PACKET, SOCK_RAW, htons(type)), bytes = 1 << 21;

	assert_true(fd >= 0);
	to.sll_ifindex = (int)if_nametoindex(interface);
	assert_true(to.sll_ifindex > 0);
	assert_int_equal(bind(fd, (const struct sockaddr *)&to, sizeof(to)), 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes));
	return fd;
}

/* All lengths by the kernel's end of an interface, through the echo in the child. */
static void sweep(const char *interface, uint32_t most, uint32_t step)
{
	static uint8_t frame[65536];
	int fd = packet_socket(interface, EXPERIMENT);
	uint32_t len, i, n;

	for (len = 14; len <= most; len += n * step) {
		for (n = 0; n < BATCH && len + n * step <= most; n++) {
			make_frame(frame, len + n * step, 3);
			if (send(fd, frame, len + n * step, 0) != (ssize_t)(len + n * step))
				fail_msg("sending %u bytes: %s", len + n * step, strerror(errno));
		}
		for (i = 0; i < n; i++) {
			ssize_t got = recv(fd, frame, sizeof(frame), 0);

			if (got != (ssize_t)(len + i * step) || !is_frame(frame, (uint32_t)got, 3))
				fail_msg("sent %u bytes, %zd came back, or others", len + i * step, got);
		}
	}
	close(fd);
}

/* Arguments of a role: its own, and the EAL's for one device. */
struct arguments {
	char texts[12][256];
	char *list[13];
};

static char **role_arguments(struct arguments *a, const char *role, unsigned mtu, unsigned queues, const char *device)
{
	static unsigned number;
	unsigned i;

	snprintf(a->texts[0], sizeof(a->texts[0]), "%s", self);
	snprintf(a->texts[1], sizeof(a->texts[1]), "%s", role);
	snprintf(a->texts[2], sizeof(a->texts[2]), "%u", mtu);
	snprintf(a->texts[3], sizeof(a->texts[3]), "%u", queues);
	snprintf(a->texts[4], sizeof(a->texts[4]), "--no-pci");
	snprintf(a->texts[5], sizeof(a->texts[5]), "--no-huge");
	snprintf(a->texts[6], sizeof(a->texts[6]), "-m400");
	snprintf(a->texts[7], sizeof(a->texts[7]), "--file-prefix=light-test-%d-%u", getpid(), number++);
	snprintf(a->texts[8], sizeof(a->texts[8]), "--vdev=%s", device);
	for (i = 0; i < 9; i++)
		a->list[i] = a->texts[i];
	a->list[i] = NULL;
	return a->list;
}

static void echo_by_kernel(const char *device, const char *interface, unsigned mtu, uint32_t step)
{
	struct arguments a;
	struct child c = child_start(role_arguments(&a, "echo", mtu, 1, device));
	char command[100];

	snprintf(command, sizeof(command), "ip link set %s mtu %u up", interface, mtu);
	run(command);
	sweep(interface, mtu + 14, step);
	child_end(&c, true);
}

static void af_packet_carries_frames_of_every_length(void **state)
{
	(void)state;
	echo_by_kernel("net_af_packet0,iface=lt0,framesz=16384,blocksz=65536,framecnt=256", "lt1", 9000, 1);
}

static void af_packet_refuses_an_mtu_that_its_slots_do_not_hold(void **state)
{
	char name[64], *list[] = { self, (char []){ "refused" }, (char []){ "1965" }, (char []){ "1" }, (char []){ "--no-pci" },
		(char []){ "--no-huge" }, name, (char []){ "--vdev=net_af_packet0,iface=lt0" }, NULL };
	struct child c;

	(void)state;
	snprintf(name, sizeof(name), "--file-prefix=light-test-%d-x", getpid());
	c = child_start(list);
	child_end(&c, true);
}

static void af_xdp_carries_frames_of_every_length(void **state)
{
	(void)state;
	echo_by_kernel("net_af_xdp0,iface=lt0,start_queue=0,queue_count=1", "lt1", 1500, 1);
}

static void pcap_carries_frames_of_every_length(void **state)
{
	(void)state;
	run("ip link set lt0 mtu 9000");
	echo_by_kernel("net_pcap0,rx_iface_in=lt0,tx_iface=lt0", "lt1", 9000, 7);
}

static void tap_carries_frames_of_every_length(void **state)
{
	(void)state;
	echo_by_kernel("net_tap0,iface=ltt0", "ltt0", 1500, 1);
}

static void an_interface_has_its_mtu_back_after_the_port_is_closed(void **state)
{
	(void)state;
	run("ip link set lt0 mtu 1500; ip link set lt1 mtu 1500");
	echo_by_kernel("net_af_packet0,iface=lt0,framesz=16384,blocksz=65536,framecnt=256", "lt1", 4000, 500);
	run("ip link show lt0 | grep -q 'mtu 1500 '");
}

/* Until the test has enough; then the log must have told of one carrier that went and came back. */
static void role_watch(struct role *r)
{
	struct link *l = r->device->ops->queue(r->device, 0);
	unsigned up = 0, down = 0;
	const char *at;

	while (!role_is_over()) {
		struct pkt *p[32];

		l->ops->release(l, p, l->ops->receive(l, p, 32));
		usleep(100);
	}
	for (at = log_kept.text; (at = strstr(at, "the link is ")); at++) {
		up += strncmp(at + 12, "up", 2) == 0;
		down += strncmp(at + 12, "down", 4) == 0;
	}
	if (down != 1 || up != 2 || !l->up)
		role_fails("%u times up and %u down", up, down);
}

static void a_carrier_that_goes_and_comes_back_is_told_once_each(void **state)
{
	static const struct {
		const char *device, *kernel;
	} rows[] = {
		{ "net_af_packet0,iface=lt0", "lt1" }, { "net_af_xdp0,iface=lt0", "lt1" },
		{ "net_pcap0,rx_iface_in=lt0,tx_iface=lt0", "lt1" }, { "net_tap0,iface=ltt2", "ltt2" },
	};
	char command[100];
	unsigned i;

	(void)state;
	for (i = 0; i < RTE_DIM(rows); i++) {
		struct arguments a;
		struct child c = child_start(role_arguments(&a, "watch", 1500, 1, rows[i].device));

		usleep(300000);
		snprintf(command, sizeof(command), "ip link set %s down", rows[i].kernel);
		run(command);
		usleep(500000);
		snprintf(command, sizeof(command), "ip link set %s up", rows[i].kernel);
		run(command);
		usleep(500000);
		child_end(&c, true);
	}
}

static void an_interface_that_is_deleted_leaves_nothing_behind(void **state)
{
	struct arguments a;
	struct child c = child_start(role_arguments(&a, "echo", 1500, 1, "net_af_packet0,iface=lt0"));

	(void)state;
	sweep("lt1", 100, 1);
	run("ip link del lt0");
	usleep(200000);
	child_end(&c, true);        /* which says if a packet is missing */
	make_veth(NULL);
}

/* Two processes: one echoes, the other sends all lengths and compares. */
static void echo_by_process(const char *server, const char *client, unsigned mtu, unsigned queues)
{
	struct arguments a, b;
	struct child echo = child_start(role_arguments(&a, "echo", mtu, queues, server));
	struct child check = child_start(role_arguments(&b, "check", mtu, queues, client));

	child_end(&check, false);
	child_end(&echo, true);
}

static void memif_carries_frames_of_every_length_on_two_queues(void **state)
{
	char server[256], client[256];

	(void)state;
	snprintf(server, sizeof(server), "net_memif0,role=server,socket=%s/memif,socket-abstract=no", folder);
	snprintf(client, sizeof(client), "net_memif0,role=client,socket=%s/memif,socket-abstract=no", folder);
	echo_by_process(server, client, 9000, 2);
}

static void virtio_user_and_vhost_carry_frames_of_every_length(void **state)
{
	char server[256], client[256];

	(void)state;
	snprintf(server, sizeof(server), "net_vhost0,iface=%s/vhost", folder);
	snprintf(client, sizeof(client), "net_virtio_user0,path=%s/vhost,queue_size=1024", folder);
	echo_by_process(server, client, 9000, 1);
}

/* --- checksums and super-frames */

/* A TCP segment with a pattern as payload, its checksum begun as the stack does. */
static void make_segment(struct pkt *p, uint32_t payload, uint16_t gso)
{
	uint32_t i, l4 = 20 + payload;
	uint8_t *ip = p->data + 14;
	uint16_t sum;

	memset(p->data, 0, HEADERS);
	memset(p->data, 0xff, 6);
	p->data[6] = 2;
	p->data[12] = 8;
	memcpy(ip, (const uint8_t[]){ 0x45, 0, (uint8_t)((20 + l4) >> 8), (uint8_t)(20 + l4), 0, 1, 0x40, 0, 64, 6, 0, 0,
		10, 77, 0, 2, 10, 77, 0, 1 }, 20);
	memcpy(ip + 10, &(uint16_t){ csum_finish(csum_add(0, ip, 20)) }, 2);
	memcpy(ip + 20, (const uint8_t[]){ 0x12, 0x34, 0x43, 0x21, 0, 0, 0, 0, 0, 0, 0, 1, 0x50, 0x10, 0x10, 0 }, 16);
	for (i = 0; i < payload; i++)
		p->data[HEADERS + i] = (uint8_t)(i * 31 >> 3);
	sum = csum_fold(csum_add(0, ip + 12, 8) + csum_add(0, (const uint8_t[]){ 0, 6, (uint8_t)(l4 >> 8), (uint8_t)l4 }, 4));
	memcpy(ip + 36, &sum, 2);
	p->len = HEADERS + payload;
	p->flags = PKT_CSUM_PARTIAL;
	p->csum_start = 34;
	p->csum_offset = 16;
	p->gso_size = gso;
	p->header_len = gso ? HEADERS : 0;
}

static bool sums_are_right(const uint8_t *frame, uint32_t len)
{
	const uint8_t *ip = frame + 14;
	uint32_t l4 = len - 34;
	uint64_t pseudo = csum_add(0, ip + 12, 8) + csum_add(0, (const uint8_t[]){ 0, 6, (uint8_t)(l4 >> 8), (uint8_t)l4 }, 4);

	return csum_finish(csum_add(0, ip, 20)) == 0 && csum_finish(csum_add(pseudo, ip + 20, l4)) == 0;
}

static void send_segment(struct link *l, uint32_t payload, uint16_t gso)
{
	struct pkt *p;

	if (l->ops->borrow(l, &p, 1) != 1)
		role_fails("no packet");
	make_segment(p, payload, gso);
	if (l->ops->transmit(l, &p, 1) != 1)
		role_fails("not taken");
	if (l->stats.tx_dropped)
		role_fails("dropped");
}

static void send_both(struct role *r)
{
	struct link *l = r->device->ops->queue(r->device, 0);

	if ((l->flags & (LINK_TX_CSUM | LINK_TSO)) != (LINK_TX_CSUM | LINK_TSO))
		role_fails("flags %x", l->flags);
	role_waits_for_carrier(r);
	send_segment(l, 999, 0);
	send_segment(l, SUPER_PAYLOAD, SEGMENT);
}

/* Takes two segments and says of each whether it vouches for it; answers with one whose checksum is begun. */
static void role_vouch(struct role *r)
{
	struct link *l = r->device->ops->queue(r->device, 0);
	unsigned vouched = 0, other = 0, i, n;
	double end = seconds() + PATIENCE;
	struct pkt *p[32];

	while (vouched + other < 2 && seconds() < end) {
		n = l->ops->receive(l, p, 32);
		for (i = 0; i < n; i++) {
			if (p[i]->len < 34 || memcmp(p[i]->data + 12, "\x08\x00\x45", 3) != 0 || p[i]->data[23] != 6)
				continue;
			vouched += p[i]->flags & PKT_CSUM_GOOD;
			other += !(p[i]->flags & PKT_CSUM_GOOD);
		}
		l->ops->release(l, p, n);
		usleep(20);
	}
	if (vouched != 1 || other != 1)
		role_fails("vouched for %u, not for %u", vouched, other);
	if ((l->flags & (LINK_TX_CSUM | LINK_RX_CSUM)) != (LINK_TX_CSUM | LINK_RX_CSUM))
		role_fails("flags %x", l->flags);
	send_segment(l, 999, 0);
}

static void role_give(struct role *r)
{
	send_both(r);
	while (!role_is_over())
		usleep(1000);
}

static void tap_completes_checksums_and_vouches_for_right_ones(void **state)
{
	static uint8_t frame[65536], template[2048];
	struct pkt p = { .data = template };
	struct arguments a;
	struct child c;
	ssize_t n;
	int fd;

	(void)state;
	c = child_start(role_arguments(&a, "vouch", 1500, 1, "net_tap0,iface=ltt1"));
	fd = packet_socket("ltt1", 0x0800);
	/* One sum wrong, one right: the port tells them apart. */
	make_segment(&p, 200, 0);
	memcpy(template + 50, "\0\0", 2);
	assert_int_equal(send(fd, template, p.len, 0), p.len);
	make_segment(&p, 200, 0);
	memcpy(template + 50, &(uint16_t){ csum_finish(csum_add(0, template + 34, p.len - 34)) }, 2);
	assert_true(sums_are_right(template, p.len));
	assert_int_equal(send(fd, template, p.len, 0), p.len);
	n = recv(fd, frame, sizeof(frame), 0);
	child_end(&c, false);
	close(fd);
	assert_int_equal(n, HEADERS + 999);
	assert_true(sums_are_right(frame, (uint32_t)n));
}

/* vhost's side: one ordinary segment and one super-frame, whole, vouched for. */
static void role_take_super(struct role *r)
{
	struct link *l = r->device->ops->queue(r->device, 0);
	unsigned ordinary = 0, super = 0, i, n;
	double end = seconds() + PATIENCE;
	struct pkt *p[32];

	while (ordinary + super < 2 && seconds() < end) {
		n = l->ops->receive(l, p, 32);
		for (i = 0; i < n; i++) {
			if (!(p[i]->flags & PKT_CSUM_GOOD))
				role_fails("%u bytes without a good checksum", p[i]->len);
			ordinary += p[i]->len == HEADERS + 999 && p[i]->gso_size == 0;
			super += p[i]->len == HEADERS + SUPER_PAYLOAD && p[i]->gso_size == SEGMENT && p[i]->header_len == HEADERS &&
				p[i]->data[HEADERS + 10000] == (uint8_t)(10000 * 31 >> 3);
		}
		l->ops->release(l, p, n);
		usleep(20);
	}
	if (ordinary != 1 || super != 1)
		role_fails("%u ordinary, %u super", ordinary, super);
}

static void a_super_frame_crosses_virtio_whole(void **state)
{
	char server[256], client[256];
	struct arguments a, b;
	struct child take, give;

	(void)state;
	snprintf(server, sizeof(server), "net_vhost0,iface=%s/tso,tso=1", folder);
	snprintf(client, sizeof(client), "net_virtio_user0,path=%s/tso,queue_size=1024", folder);
	take = child_start(role_arguments(&a, "take", 1500, 1, server));
	give = child_start(role_arguments(&b, "give", 1500, 1, client));
	child_end(&take, false);
	child_end(&give, true);
}

static int play(const char *name, int n, char **arguments)
{
	struct role r = { 0 };

	if (strcmp(name, "refused") == 0) {
		char why[DEVICE_WHY] = "";
		struct dpdk_config c = config_of(0);

		c.device.mtu = (uint16_t)atoi(arguments[0]);
		if (dpdk_start((unsigned)n - 2, arguments + 2, why) != 0)
			role_fails("%s", why);
		if (dpdk_open(&c, &r.device, why) == 0 || !strstr(why, "takes 576 to 1964 with this framesz"))
			role_fails("not refused: %s", why);
		printf("ready\n");
		stop_eal();
		return 0;
	}
	role_begins(&r, n, arguments);
	if (strcmp(name, "echo") == 0)
		role_echo(&r);
	else if (strcmp(name, "watch") == 0)
		role_watch(&r);
	else if (strcmp(name, "check") == 0)
		role_check(&r);
	else if (strcmp(name, "vouch") == 0)
		role_vouch(&r);
	else if (strcmp(name, "give") == 0)
		role_give(&r);
	else if (strcmp(name, "take") == 0)
		role_take_super(&r);
	else
		role_fails("no role %s", name);
	role_ends(&r);
	return 1;
}

static int end(void **state)
{
	char command[100];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf %s", folder);
	return system(command);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(af_packet_carries_frames_of_every_length, make_veth, remove_veth),
		cmocka_unit_test_setup_teardown(af_packet_refuses_an_mtu_that_its_slots_do_not_hold, make_veth, remove_veth),
		cmocka_unit_test_setup_teardown(an_interface_has_its_mtu_back_after_the_port_is_closed, make_veth, remove_veth),
		cmocka_unit_test_setup_teardown(af_xdp_carries_frames_of_every_length, make_veth, remove_veth),
		cmocka_unit_test_setup_teardown(pcap_carries_frames_of_every_length, make_veth, remove_veth),
		cmocka_unit_test_setup_teardown(a_carrier_that_goes_and_comes_back_is_told_once_each, make_veth, remove_veth),
		cmocka_unit_test_setup_teardown(an_interface_that_is_deleted_leaves_nothing_behind, make_veth, remove_veth),
		cmocka_unit_test(tap_carries_frames_of_every_length),
		cmocka_unit_test(tap_completes_checksums_and_vouches_for_right_ones),
		cmocka_unit_test(memif_carries_frames_of_every_length_on_two_queues),
		cmocka_unit_test(virtio_user_and_vhost_carry_frames_of_every_length),
		cmocka_unit_test(a_super_frame_crosses_virtio_whole),
	};

	if (argc > 4)
		return play(argv[1], argc - 2, argv + 2);
	if (unshare(CLONE_NEWNET) != 0) {
		printf("1..0 # SKIP no network namespace: %s (root is needed)\n", strerror(errno));
		return 77;
	}
	if (!mkdtemp(folder))
		return 1;
	return cmocka_run_group_tests(tests, NULL, end);
}
