/* SPDX-License-Identifier: BSD-3-Clause */
/* The cost of io/spread and of stack/steer, in cycles of the time stamp counter a packet: the measured inputs of io/SCALING.md. The device is a
 * memory link, whose own cost is measured alone and taken off. */
#include <argp.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <x86intrin.h>

#include "io/mem.h"
#include "io/spread.h"

enum { ROUNDS = 9, PACKETS = 20000, CROSSING = 400000, BURST = 32, PORT_OWN = 1000, PORT_OTHER = 1001, UDP = 17, TCP = 6 };

static struct steer steer;
static struct mem_pair *pair;
static struct link *near, *far;
static struct spread *spread;

static _Noreturn void die(const char *what)
{
	fprintf(stderr, "light-spreadbench: %s\n", what);
	exit(1);
}

static void row(const char *name, double cycles)
{
	printf("%-84s %8.1f cycles\n", name, cycles);
}

static void set_up(unsigned queues)
{
	struct spread_config c = { .cores = 2, .queues = queues, .steer = &steer };

	steer_init(&steer, 2);
	steer_bind_udp(&steer, PORT_OWN, true);
	steer_bind_udp(&steer, PORT_OTHER, true);
	pair = mem_pair_new(&(struct mem_config){ .packets = 4096 });
	if (!pair)
		die("memory is short");
	near = mem_pair_link(pair, 0);
	far = mem_pair_link(pair, 1);
	c.queue[0] = near;
	spread = spread_new(&c);
	if (!spread)
		die("memory is short");
}

static void tear_down(void)
{
	spread_free(spread);
	mem_pair_free(pair);
}

/* A frame of IPv4 and TCP or UDP to a port. */
static void fill(uint8_t *f, uint8_t protocol, uint16_t from, uint16_t port, uint32_t len)
{
	static const uint8_t start[34] = { 2, 0, 0, 0, 1, 0, 2, 0, 0, 0, 1, 1, 8, 0, 0x45, 0, 0, 0, 0, 0, 0, 0, 64, 0, 0, 0,
		10, 0, 0, 2, 10, 0, 0, 1 };

	memset(f, 0, len);
	memcpy(f, start, sizeof(start));
	f[16] = (uint8_t)((len - 14) >> 8);
	f[17] = (uint8_t)(len - 14);
	f[23] = protocol;
	f[34] = (uint8_t)(from >> 8);
	f[35] = (uint8_t)from;
	f[36] = (uint8_t)(port >> 8);
	f[37] = (uint8_t)port;
}

/* The wire puts a burst before the device. */
static void give(uint16_t port)
{
	struct pkt *p[BURST];

	if (far->ops->borrow(far, p, BURST) != BURST)
		die("the link has lost packets");
	for (unsigned i = 0; i < BURST; i++) {
		fill(p[i]->data, UDP, (uint16_t)i, port, 64);
		p[i]->len = 64;
	}
	far->ops->transmit(far, p, BURST);
}

/* Receives until a burst is complete, and lets it go; the cycles. */
static uint64_t take(struct link *l, unsigned expected)
{
	struct pkt *p[BURST];
	uint64_t start = __rdtsc();
	unsigned n = 0;

	do {
		unsigned got = l->ops->receive(l, p, BURST);

		l->ops->release(l, p, got);
		n += got;
	} while (n < expected);
	return __rdtsc() - start;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double *values)
{
	qsort(values, ROUNDS, sizeof(*values), compare);
	return values[ROUNDS / 2];
}

/* Cycles a frame of steering alone, over frames that lie in the cache. */
static double steering(uint8_t protocol, uint16_t port, bool spread_by_device)
{
	static uint8_t frames[BURST][64];
	double values[ROUNDS];

	for (unsigned i = 0; i < BURST; i++)
		fill(frames[i], protocol, (uint16_t)(5000 + 7 * i), port, 64);
	for (unsigned r = 0; r < ROUNDS; r++) {
		uint64_t start = __rdtsc();
		unsigned sum = 0;

		for (unsigned i = 0; i < PACKETS; i++)
			sum += spread_by_device ? steer_frame_spread(&steer, frames[i % BURST], 64)
						: steer_frame(&steer, frames[i % BURST], 64);
		__asm__ volatile("" : : "r"(sum));
		values[r] = (double)(__rdtsc() - start) / PACKETS;
	}
	return median(values);
}

/* Receiving from the memory link itself, and through the spread. */
static double receiving(struct link *l)
{
	double values[ROUNDS];

	for (unsigned r = 0; r < ROUNDS; r++) {
		uint64_t cycles = 0;

		for (unsigned i = 0; i < PACKETS; i += BURST) {
			give(PORT_OWN);
			cycles += take(l, BURST);
		}
		values[r] = (double)cycles / PACKETS;
	}
	return median(values);
}

/* Both sides of a hand-over in one thread: nothing has to cross between caches. */
static void handing_over(double *giver, double *receiver)
{
	struct link *from = spread_link(spread, 0), *to = spread_link(spread, 1);
	double gives[ROUNDS], takes[ROUNDS];

	for (unsigned r = 0; r < ROUNDS; r++) {
		uint64_t g = 0, t = 0;

		for (unsigned i = 0; i < PACKETS; i += BURST) {
			give(PORT_OTHER);
			g += take(from, 0);
			t += take(to, BURST);
		}
		gives[r] = (double)g / PACKETS;
		takes[r] = (double)t / PACKETS;
	}
	*giver = median(gives);
	*receiver = median(takes);
}

/* Sending through another core's queue: the sender's side and that of the core with the queue. */
static void sending(uint32_t len, double *sender, double *server)
{
	struct link *from = spread_link(spread, 1), *with = spread_link(spread, 0);
	double sends[ROUNDS], serves[ROUNDS];
	struct pkt *p[BURST];

	for (unsigned r = 0; r < ROUNDS; r++) {
		uint64_t a = 0, b = 0;

		for (unsigned i = 0; i < PACKETS; i += BURST) {
			uint64_t start = __rdtsc();

			if (from->ops->borrow(from, p, BURST) != BURST)
				die("a core has lost packets");
			for (unsigned k = 0; k < BURST; k++)
				p[k]->len = len;
			from->ops->transmit(from, p, BURST);
			a += __rdtsc() - start;
			b += take(with, 0);
			if (far->ops->receive(far, p, BURST) != BURST)
				die("what was sent has not come");
			far->ops->release(far, p, BURST);
			from->ops->receive(from, p, BURST);
		}
		sends[r] = (double)a / PACKETS;
		serves[r] = (double)b / PACKETS;
	}
	*sender = median(sends);
	*server = median(serves);
}

/* ---- two threads ---- */

static _Atomic unsigned crossed;
static double taken[CROSSING], given_cost[CROSSING / BURST];   /* cycles a packet, one entry a burst */
static unsigned bursts_taken, bursts_given;

static void pin(unsigned cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set) != 0)
		die("cannot pin a thread");
}

static void *receive_all(void *argument)
{
	struct link *l = spread_link(spread, 1);
	struct pkt *p[BURST];
	unsigned n = 0, sum = 0;

	(void)argument;
	pin(1);
	while (n < CROSSING) {
		uint64_t start = __rdtsc();
		unsigned got = l->ops->receive(l, p, BURST);

		for (unsigned i = 0; i < got; i++)
			sum += p[i]->data[40];       /* the headers are read here, as a stack would */
		l->ops->release(l, p, got);
		if (got == 0)
			continue;
		taken[bursts_taken++] = (double)(__rdtsc() - start) / got;
		n += got;
		atomic_store_explicit(&crossed, n, memory_order_relaxed);
	}
	__asm__ volatile("" : : "r"(sum));
	return NULL;
}

static double middle(double *values, unsigned n)
{
	qsort(values, n, sizeof(*values), compare);
	return values[n / 2];
}

/* The median of the bursts of each side while lines move from core to core and back: what else runs here does not touch it much. */
static void crossing(double *giver, double *receiver)
{
	struct link *l = spread_link(spread, 0);
	struct pkt *p[BURST];
	unsigned given = 0;
	pthread_t thread;
	uint64_t start;

	pin(0);
	if (pthread_create(&thread, NULL, receive_all, NULL) != 0)
		die("cannot start a thread");
	while (atomic_load_explicit(&crossed, memory_order_relaxed) < CROSSING) {
		if (given < CROSSING && given - atomic_load_explicit(&crossed, memory_order_relaxed) < 512) {
			give(PORT_OTHER);
			start = __rdtsc();
			l->ops->receive(l, p, BURST);
			given_cost[bursts_given++] = (double)(__rdtsc() - start) / BURST;
			given += BURST;
		} else {
			l->ops->receive(l, p, BURST);
		}
	}
	pthread_join(thread, NULL);
	*giver = middle(given_cost, bursts_given);
	*receiver = middle(taken, bursts_taken);
}

static const struct argp argp = {
	.doc = "What it costs to deal one device's frames out to several cores. Needs two CPUs for the last rows.",
};

int main(int argc, char **argv)
{
	double bare, own, giver, receiver, sender, server;

	argp_parse(&argp, argc, argv, 0, NULL, NULL);
	set_up(1);
	row("steering a TCP frame by hash", steering(TCP, 80, false));
	row("steering a TCP frame that the device has spread", steering(TCP, 80, true));
	row("steering a UDP frame to its port's home", steering(UDP, PORT_OTHER, false));
	bare = receiving(near);
	own = receiving(spread_link(spread, 0));
	row("receiving and releasing through the spread, for this core (the link's own cost taken off)", own - bare);
	handing_over(&giver, &receiver);
	row("handing over: the core that received, its memory coming back (the link's taken off)", giver - bare);
	row("handing over: the core it is for, receiving and giving back", receiver);
	sending(64, &sender, &server);
	row("sending 64 bytes through another core: the sender", sender);
	row("sending 64 bytes through another core: the core with the queue, with its copy", server);
	sending(1514, &sender, &server);
	row("sending 1514 bytes through another core: the core with the queue, with its copy", server);
	crossing(&giver, &receiver);
	row("handing over between two CPUs: the core that received (the link's taken off)", giver - bare);
	row("handing over between two CPUs: the core it is for, reading a byte of the headers", receiver);
	tear_down();
	return 0;
}
