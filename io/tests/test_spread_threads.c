/* SPDX-License-Identifier: BSD-3-Clause */
/* Three cores as three threads that sleep at every chance: each frame comes back once, in the order of its flow, and a wake-up that is
 * lost is a wait that runs out of time. Runs under TSan too. */
#include "spread_rig.h"

#include <poll.h>
#include <pthread.h>
#include <stdio.h>

#define CORES 3u
#define FRAMES 30000u           /* of each core */
#define WINDOW 256u             /* of each core, under way */
#define UDP 17

static struct rig rig;
static _Atomic unsigned late, wrong;
static _Atomic bool done;
static uint32_t sent[CORES], came[CORES];       /* core 0's thread plays the wire */

/* What is not for the wire is answered in its own packet. True: there was work. */
static bool answer(unsigned core)
{
	struct link *l = spread_link(rig.spread, core);
	static _Thread_local uint32_t next;
	static _Thread_local struct pkt *kept[32];
	static _Thread_local unsigned count;
	unsigned before = count, taken;

	count += l->ops->receive(l, kept + count, 32 - count);
	for (unsigned i = before; i < count; i++)
		if (rig_number(kept[i]) != next++ || (unsigned)(kept[i]->data[36] << 8 | kept[i]->data[37]) != 999 + core)
			wrong++;
	taken = count ? l->ops->transmit(l, kept, count) : 0;
	memmove(kept, kept + taken, (count - taken) * sizeof(*kept));
	count -= taken;
	return taken || count || before != count;
}

/* The wire: gives frames while the window is open, and takes answers. */
static bool wire(void)
{
	struct link *far = rig.far[0];
	struct pkt *p[32];
	bool worked = false;
	uint8_t f[64];
	unsigned n;

	for (unsigned core = 0; core < CORES; core++)
		for (unsigned i = 0; i < 8 && sent[core] < FRAMES && sent[core] - came[core] < WINDOW; i++) {
			if (!rig_give(&rig, 0, f, rig_frame(f, UDP, (uint16_t)(999 + core), sent[core], sizeof(f))))
				break;
			sent[core]++;
			worked = true;
		}
	n = far->ops->receive(far, p, 32);
	for (unsigned i = 0; i < n; i++) {
		unsigned core = (unsigned)(p[i]->data[36] << 8 | p[i]->data[37]) - 999;

		if (core >= CORES || rig_number(p[i]) != came[core]++)
			wrong++;
	}
	far->ops->release(far, p, n);
	return worked || n > 0;
}

/* The look before the sleep; what core 0 sent for the others in it is for the wire. */
static void rest(unsigned core)
{
	struct link *l = spread_link(rig.spread, core);
	struct pollfd f = { .fd = l->ops->arm(l), .events = POLLIN };

	if (f.fd < 0)
		sched_yield();
	else if (!answer(core) && (core || !wire()) && poll(&f, 1, 5000) == 0 && !done)
		late++;
	l->ops->disarm(l);
}

static void *turn(void *argument)
{
	unsigned core = (unsigned)(uintptr_t)argument;

	while (!done)
		if (!answer(core))
			rest(core);
	return NULL;
}

static void frames_cross_threads_in_order_and_nobody_oversleeps(void **state)
{
	static const struct mem_config config = { .packets = 2048 };
	pthread_t threads[CORES];
	uint64_t woken = 0;

	(void)state;
	rig_open(&rig, CORES, 1, &config, false);
	for (unsigned core = 0; core < CORES; core++)
		steer_bind_udp(&rig.steer, (uint16_t)(999 + core), true);
	for (uintptr_t core = 1; core < CORES; core++)
		assert_int_equal(pthread_create(&threads[core], NULL, turn, (void *)core), 0);
	while (came[0] + came[1] + came[2] < CORES * FRAMES && !late && !wrong) {
		bool worked = wire();

		if (!answer(0) && !worked)
			rest(0);
	}
	done = true;
	for (unsigned core = 1; core < CORES; core++) {
		struct link *l = spread_link(rig.spread, 0);
		struct pkt *p;

		/* it may sleep: something to wake for */
		assert_int_equal(l->ops->borrow(l, &p, 1), 1);
		p->len = rig_frame(p->data, UDP, (uint16_t)(999 + core), 0, 64);
		assert_true(spread_redirect(l, p, core));
		pthread_join(threads[core], NULL);
	}
	assert_int_equal(late, 0);
	assert_int_equal(wrong, 0);
	for (unsigned core = 0; core < CORES; core++) {
		assert_int_equal(came[core], FRAMES);
		assert_int_equal(rig_count(&rig, core, "lost: core behind"), 0);
		woken += rig_count(&rig, core, "cores woken");
	}
	assert_true(woken > 0);
	rig_close_all(&rig);
}

/* Ports are bound and pinned from all sides while frames are steered: eight homes share a byte. */
static struct steer shared;

static void *flip(void *argument)
{
	unsigned core = (unsigned)(uintptr_t)argument;

	for (unsigned i = 0; i < 20000; i++) {
		uint16_t port = (uint16_t)(core + 4 * (i % 64));

		steer_pin_tcp(&shared, port, true);
		steer_bind_udp(&shared, port, i % 3 == 0);
		if (!steer_tcp_pinned(&shared, port) || steer_udp_bound(&shared, port) != (i % 3 == 0))
			wrong++;
		steer_pin_tcp(&shared, port, false);
		steer_bind_udp(&shared, port, false);
	}
	return NULL;
}

static void no_core_disturbs_the_bits_of_anothers_ports(void **state)
{
	pthread_t threads[4];

	(void)state;
	steer_init(&shared, 4);
	for (uintptr_t i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, flip, (void *)i), 0);
	for (unsigned i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(wrong, 0);
	for (unsigned port = 0; port < 65536; port++)
		assert_false(steer_tcp_pinned(&shared, (uint16_t)port) || steer_udp_bound(&shared, (uint16_t)port));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(frames_cross_threads_in_order_and_nobody_oversleeps),
		cmocka_unit_test(no_core_disturbs_the_bits_of_anothers_ports),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
