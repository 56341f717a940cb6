/* SPDX-License-Identifier: BSD-3-Clause */
/* What happens to a device under way: carrier lost, interface deleted, program removed, process killed. */
#include "afxdp_test.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/if_link.h>
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>

static void put_frame(struct fixture *f, uint8_t frame[60])
{
	memset(frame, 0, 60);
	put_ethernet(f, frame, 0x0800);
	put_ip4(frame + 14, 46, LIGHT_ADDRESS, 1, 2);
}

static bool receives(struct fixture *f, unsigned ms)
{
	uint8_t frame[60];
	struct pkt *p;
	struct link *l = f->link;
	uint64_t end = now_ms() + ms;

	put_frame(f, frame);
	raw_send(f, frame, 60);
	for (unsigned i = 0; now_ms() < end; i++) {
		l = f->device->ops->queue(f->device, i % f->device->queues);
		if (l->ops->receive(l, &p, 1)) {
			l->ops->release(l, &p, 1);
			return true;
		}
	}
	return false;
}

static bool sends(struct fixture *f)
{
	uint8_t got[FRAME_MAX];
	struct pkt *p;

	assert_int_equal(f->link->ops->borrow(f->link, &p, 1), 1);
	put_frame(f, p->data);
	p->len = 60;
	assert_int_equal(f->link->ops->transmit(f->link, &p, 1), 1);
	return raw_receive(f, got, 300) == 60;
}

static uint32_t program_on(const char *interface)
{
	uint32_t id = 0;

	assert_int_equal(bpf_xdp_query_id((int)if_nametoindex(interface), 0, &id), 0);
	return id;
}

/* As an administrator with bpftool would: the link by its number. */
static void remove_program(void)
{
	uint32_t id = 0, bytes, program = program_on("lta");
	struct bpf_link_info info;
	int fd;

	assert_true(program != 0);
	while (bpf_link_get_next_id(id, &id) == 0) {
		fd = bpf_link_get_fd_by_id(id);
		if (fd < 0)
			continue;
		bytes = sizeof(info);
		memset(&info, 0, sizeof(info));
		if (bpf_obj_get_info_by_fd(fd, &info, &bytes) == 0 && info.prog_id == program)
			assert_int_equal(bpf_link_detach(fd), 0);
		close(fd);
	}
	assert_int_equal(program_on("lta"), 0);
}

static int foreign_program(void)
{
	struct bpf_insn pass[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = XDP_PASS },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	int fd = bpf_prog_load(BPF_PROG_TYPE_XDP, "foreign", "BSD", pass, 2, NULL);

	assert_true(fd >= 0);
	return fd;
}

static void the_link_is_down_without_a_carrier_and_up_with_it(void **state)
{
	struct fixture f;

	(void)state;
	set_up(&f, 1500, 1);
	run("ip link set ltb down");
	assert_true(link_turn(&f, 2000, 0, "no carrier"));
	assert_false(sends(&f));
	assert_int_equal(f.link->stats.tx_dropped, 1);
	run("ip link set ltb up");
	assert_true(link_turn(&f, 2000, 1, "the carrier is there"));
	assert_true(sends(&f));
	run("ip link set lta down");
	assert_true(link_turn(&f, 2000, 0, NULL));
	run("ip link set lta up");
	assert_true(link_turn(&f, 2000, 1, NULL));
	assert_true(receives(&f, 1000));
	assert_true(sends(&f));
	tear_down(&f);
}

static void mac_and_mtu_follow_the_interface(void **state)
{
	static const uint8_t mac[] = { 2, 0, 0, 0, 0, 0x77 };
	struct fixture f;

	(void)state;
	set_up(&f, 1500, 1);
	run("ip link set lta mtu 1280 && ip link set lta address 02:00:00:00:00:77 && ip link set ltb mtu 1400");
	link_turn(&f, 400, -1, "never");
	assert_int_equal(f.link->mtu, 1280);
	assert_memory_equal(f.link->mac, mac, 6);
	memcpy(f.mac_a, mac, 6);
	assert_true(receives(&f, 1000));
	run("ip link set lta mtu 1600");
	link_turn(&f, 400, -1, "never");
	assert_int_equal(f.link->mtu, 1600);
	run("ip link set lta mtu 3000");
	assert_true(link_turn(&f, 2000, -1, "the packets were made for 1500"));
	assert_int_equal(f.link->mtu, 1600);
	assert_true(receives(&f, 1000));
	tear_down(&f);
}

static void a_deleted_interface_is_awaited_and_served_again(void **state)
{
	struct fixture f;
	struct pkt *held[3], *all[512], *p;

	(void)state;
	set_up(&f, 1500, 2);
	assert_int_equal(f.link->ops->borrow(f.link, held, 3), 3);
	assert_true(receives(&f, 1000));
	close(f.raw);
	run("ip link del lta");
	assert_true(link_turn(&f, 2000, 0, "lta is gone"));
	assert_int_equal(f.device->ops->queue(f.device, 1)->up, 0);
	assert_int_equal(f.link->ops->borrow(f.link, &p, 1), 1);
	p->len = 60;
	assert_int_equal(f.link->ops->transmit(f.link, &p, 1), 1);      /* taken, and counted as lost */
	assert_int_equal(f.link->stats.tx_dropped, 1);
	assert_null(strstr(strstr(f.log, "lta is gone") + 1, "lta is gone"));
	assert_int_equal(f.device->ops->outstanding(f.device), 3);
	make_pair(2, 1500);
	f.raw = raw_socket("ltb");
	read_mac("lta", f.mac_a);
	assert_true(link_turn(&f, 5000, 1, "queue 1 serves it"));
	assert_memory_equal(f.link->mac, f.mac_a, 6);
	assert_true(sends(&f));
	f.link->ops->release(f.link, held, 3);
	assert_int_equal(counter(f.link, "interface_lost"), 1);
	assert_int_equal(counter(f.link, "sockets_opened"), 2);
	/* Every packet is there: a queue's 1024, less those that wait for frames. */
	for (unsigned n = 0; n < 8; n++)
		link_turn(&f, 2, -1, NULL);
	for (unsigned n = 0; n < 512; n++)
		assert_int_equal(f.link->ops->borrow(f.link, &all[n], 1), 1);
	f.link->ops->release(f.link, all, 512);
	tear_down(&f);
}

static void an_interface_made_again_at_once_is_served_again(void **state)
{
	struct fixture f;

	(void)state;
	set_up(&f, 1500, 1);
	close(f.raw);
	run("ip link del lta");
	make_pair(1, 1500);
	f.raw = raw_socket("ltb");
	assert_true(link_turn(&f, 5000, 1, "is back"));
	read_mac("lta", f.mac_a);
	assert_true(receives(&f, 1000));
	assert_true(sends(&f));
	tear_down(&f);
}

static void an_interface_that_cannot_be_served_is_tried_again(void **state)
{
	struct fixture f;

	(void)state;
	set_up(&f, 1500, 1);
	close(f.raw);
	run("ip link del lta");
	assert_true(link_turn(&f, 2000, 0, "lta is gone"));
	make_pair(1, 4000);
	assert_true(link_turn(&f, 5000, 0, "cannot serve it yet"));
	assert_non_null(strstr(f.log, "MTU of 4000"));
	run("ip link set lta mtu 1500");
	assert_true(link_turn(&f, 5000, 1, "serves it"));
	f.raw = raw_socket("ltb");
	read_mac("lta", f.mac_a);
	assert_true(receives(&f, 1000));
	tear_down(&f);
}

static void a_removed_program_is_noticed_and_attached_again(void **state)
{
	struct fixture f;

	(void)state;
	set_up(&f, 1500, 1);
	/* A program held by a link cannot be taken off by name. */
	assert_int_not_equal(system("ip link set dev lta xdp off 2>/dev/null"), 0);
	assert_true(receives(&f, 1000));
	remove_program();
	assert_false(receives(&f, 20));
	assert_true(link_turn(&f, 3000, 1, "attached again"));
	assert_true(receives(&f, 1000));
	assert_int_equal(counter(f.link, "program_lost"), 1);
	assert_int_equal(counter(f.link, "program_attached"), 2);
	tear_down(&f);
}

static void a_program_in_its_place_is_waited_for(void **state)
{
	struct fixture f;
	int foreign;

	(void)state;
	set_up(&f, 1500, 1);
	foreign = foreign_program();
	remove_program();
	assert_int_equal(bpf_xdp_attach((int)if_nametoindex("lta"), foreign, XDP_FLAGS_DRV_MODE, NULL), 0);
	assert_true(link_turn(&f, 3000, 1, "has an XDP program already"));
	assert_false(receives(&f, 20));
	assert_int_equal(bpf_xdp_detach((int)if_nametoindex("lta"), XDP_FLAGS_DRV_MODE, NULL), 0);
	assert_true(link_turn(&f, 5000, 1, "is attached again"));
	assert_true(receives(&f, 1000));
	assert_int_equal(counter(f.link, "program_lost"), 1);
	close(foreign);
	tear_down(&f);
}

static void a_killed_process_leaves_no_program(void **state)
{
	struct fixture f;
	struct afxdp_config c = { .device = { .queues = 1 }, .interface = "lta" };
	struct device *d;
	int ready[2], status;
	pid_t child;
	char byte;

	(void)state;
	set_up(&f, 1500, 1);
	tear_down(&f);
	assert_int_equal(program_on("lta"), 0);
	assert_int_equal(pipe(ready), 0);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		byte = afxdp_open(&c, &d, f.why) == 0;
		if (write(ready[1], &byte, 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	assert_int_equal(read(ready[0], &byte, 1), 1);
	assert_int_equal(byte, 1);
	assert_true(program_on("lta") != 0);
	kill(child, SIGKILL);
	assert_int_equal(waitpid(child, &status, 0), child);
	for (unsigned i = 0; i < 100 && program_on("lta") != 0; i++)
		usleep(10000);
	assert_int_equal(program_on("lta"), 0);
	/* And the next one has the queue. */
	assert_int_equal(afxdp_open(&c, &d, f.why), 0);
	d->ops->close(d);
	close(ready[0]);
	close(ready[1]);
}

/* As lightd does: armed, looked, slept. */
static bool sleeps_until_woken(struct link *l, int ms)
{
	struct pollfd p = { .fd = l->ops->arm(l), .events = POLLIN };
	bool woken;

	assert_true(p.fd >= 0);
	woken = poll(&p, 1, ms) > 0;
	if (l->ops->disarm)
		l->ops->disarm(l);
	return woken;
}

static void a_sleeper_is_woken_by_frames_and_by_changes(void **state)
{
	struct fixture f;
	uint8_t frame[60];
	struct pkt *p;
	unsigned wakes = 0;
	uint64_t end;

	(void)state;
	set_up(&f, 1500, 2);
	f.link = f.device->ops->queue(f.device, 1);        /* the first one also looks after the program each second */
	assert_int_equal(f.link->ops->receive(f.link, &p, 1), 0);
	sleeps_until_woken(f.link, 50);
	assert_false(sleeps_until_woken(f.link, 50));
	run("(sleep 0.1; ip link set ltb down) &");
	assert_true(sleeps_until_woken(f.link, 1000));
	for (end = now_ms() + 1000; f.link->up && now_ms() < end; wakes++)
		sleeps_until_woken(f.link, 50);
	assert_int_equal(f.link->up, 0);
	run("ip link set ltb up");
	for (end = now_ms() + 1000; !f.link->up && now_ms() < end; wakes++)
		sleeps_until_woken(f.link, 50);
	assert_int_equal(f.link->up, 1);
	assert_true(wakes < 20);
	f.link = f.device->ops->queue(f.device, 0);
	put_frame(&f, frame);
	sleeps_until_woken(f.link, 10);
	for (uint16_t port = 1; port < 30; port++) {
		put_ip4(frame + 14, 46, LIGHT_ADDRESS, port, 2);
		raw_send(&f, frame, 60);
	}
	assert_true(sleeps_until_woken(f.link, 1000));
	assert_int_equal(f.link->ops->receive(f.link, &p, 1), 1);
	f.link->ops->release(f.link, &p, 1);
	assert_true(sleeps_until_woken(f.link, 0));        /* level: there are more */
	tear_down(&f);
}

static void a_sleeper_notices_a_deleted_interface_and_does_not_spin(void **state)
{
	struct fixture f;
	unsigned wakes = 0;
	uint64_t end;

	(void)state;
	set_up(&f, 1500, 1);
	run("ip link del lta");
	for (end = now_ms() + 1200; now_ms() < end; wakes++)
		sleeps_until_woken(f.link, 400);
	assert_int_equal(f.link->up, 0);
	assert_non_null(strstr(f.log, "lta is gone"));
	assert_true(wakes < 20);
	close(f.raw);
	make_pair(1, 1500);
	for (end = now_ms() + 4000; !f.link->up && now_ms() < end;)
		sleeps_until_woken(f.link, 400);
	assert_int_equal(f.link->up, 1);
	f.raw = raw_socket("ltb");
	tear_down(&f);
}

static void copies_of_an_interface_that_has_gone_wake_once(void **state)
{
	struct fixture f;
	struct pkt *p[32];
	uint8_t frame[60] = { 0 };
	unsigned wakes = 0, got = 0, n;

	(void)state;
	set_up(&f, 1500, 1);
	put_ethernet(&f, frame, 0x0806);
	put_arp(frame + 14, 1, "10.55.0.254", "10.55.0.254");
	for (unsigned i = 0; i < 40; i++)
		raw_send(&f, frame, 60);
	for (uint64_t end = now_ms() + 1000; counter(f.link, "program_passed") < 40 && now_ms() < end;)
		;
	run("ip link del lta");
	for (uint64_t end = now_ms() + 1200; now_ms() < end; wakes++) {
		sleeps_until_woken(f.link, 400);
		n = f.link->ops->receive(f.link, p, 32);
		f.link->ops->release(f.link, p, n);
		got += n;
	}
	assert_int_equal(f.link->up, 0);
	assert_int_equal(got, 40);
	assert_true(wakes < 20);
	tear_down(&f);
}

static void a_device_closes_while_its_interface_is_gone(void **state)
{
	struct fixture f;
	struct pkt *p[100];
	unsigned sent;

	(void)state;
	set_up(&f, 1500, 2);
	assert_int_equal(f.link->ops->borrow(f.link, p, 100), 100);
	for (unsigned i = 0; i < 100; i++) {
		put_frame(&f, p[i]->data);
		p[i]->len = 60;
	}
	run("ip link del lta");
	sent = f.link->ops->transmit(f.link, p, 64);       /* not yet noticed */
	f.link->ops->release(f.link, p + sent, 100 - sent);
	assert_true(link_turn(&f, 2000, 0, "lta is gone"));
	tear_down(&f);
	set_up(&f, 1500, 1);
	run("ip link del lta");
	tear_down(&f);
}

struct turner {
	pthread_t thread;
	struct link *link;
	_Atomic bool up, stop;
	_Atomic unsigned received;
};

static void *turn(void *argument)
{
	struct turner *t = argument;
	struct pkt *p[32];
	unsigned n, sent;

	while (!t->stop) {
		n = t->link->ops->receive(t->link, p, 32);
		t->received += n;
		sent = t->link->ops->transmit(t->link, p, n);   /* back to where they came from, as it were */
		t->link->ops->release(t->link, p + sent, n - sent);
		t->up = t->link->up != 0;
		if (n == 0)
			usleep(10);
	}
	return NULL;
}

static void await(struct turner t[2], bool up)
{
	uint64_t end = now_ms() + 10000;

	while (((t[0].up != up) | (t[1].up != up)) && now_ms() < end)
		usleep(1000);
	assert_int_equal(t[0].up, up);
	assert_int_equal(t[1].up, up);
}

static void queues_in_threads_of_their_own_lose_an_interface_and_get_it_back(void **state)
{
	struct fixture f;
	struct turner t[2] = { 0 };
	struct afxdp_wanted w = { .ip4 = { inet_addr(LIGHT_ADDRESS) }, .addresses = 1 };
	uint8_t frame[60];
	unsigned before;

	(void)state;
	set_up(&f, 1500, 2);
	for (unsigned i = 0; i < 2; i++) {
		t[i].link = f.device->ops->queue(f.device, i);
		assert_int_equal(pthread_create(&t[i].thread, NULL, turn, &t[i]), 0);
	}
	for (unsigned round = 0; round < 2; round++) {
		await(t, true);
		read_mac("lta", f.mac_a);
		before = t[0].received + t[1].received;
		put_frame(&f, frame);
		for (uint16_t port = 1; port <= 500; port++) {
			put_ip4(frame + 14, 46, LIGHT_ADDRESS, port, 2);
			raw_send(&f, frame, 60);
			if (port % 100 == 0) {
				w.dhcp = !w.dhcp;
				assert_int_equal(afxdp_want(f.device, &w), 0);
			}
		}
		for (uint64_t end = now_ms() + 3000; t[0].received + t[1].received < before + 400 && now_ms() < end;)
			usleep(1000);
		assert_true(t[0].received + t[1].received >= before + 400);
		if (round)
			break;
		close(f.raw);
		run("ip link del lta");
		await(t, false);
		make_pair(2, 1500);
		f.raw = raw_socket("ltb");
		read_mac("ltb", f.mac_b);
	}
	for (unsigned i = 0; i < 2; i++) {
		t[i].stop = true;
		pthread_join(t[i].thread, NULL);
	}
	tear_down(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_link_is_down_without_a_carrier_and_up_with_it),
		cmocka_unit_test(mac_and_mtu_follow_the_interface),
		cmocka_unit_test(a_deleted_interface_is_awaited_and_served_again),
		cmocka_unit_test(an_interface_made_again_at_once_is_served_again),
		cmocka_unit_test(an_interface_that_cannot_be_served_is_tried_again),
		cmocka_unit_test(a_removed_program_is_noticed_and_attached_again),
		cmocka_unit_test(a_program_in_its_place_is_waited_for),
		cmocka_unit_test(a_killed_process_leaves_no_program),
		cmocka_unit_test(a_sleeper_is_woken_by_frames_and_by_changes),
		cmocka_unit_test(a_sleeper_notices_a_deleted_interface_and_does_not_spin),
		cmocka_unit_test(copies_of_an_interface_that_has_gone_wake_once),
		cmocka_unit_test(a_device_closes_while_its_interface_is_gone),
		cmocka_unit_test(queues_in_threads_of_their_own_lose_an_interface_and_get_it_back),
	};

	return cmocka_run_group_tests_name("afxdp_watch", tests, NULL, NULL);
}
