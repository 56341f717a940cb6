/* SPDX-License-Identifier: BSD-3-Clause */
/* What one data segment costs the receiving stack alone, and the sending stack alone: a turn is timed by itself, and the link between the
 * two is a pointer that changes hands. "Received" is from the frame to bytes in the program's ring, their acknowledgment included; "sent" from
 * bytes in the ring to the frame, with what its acknowledgment asks for. The programs' own calls are counted apart. */
#include "microbench.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <x86intrin.h>

#include "stack/stack.h"

#define PACKETS 1024
#define BUFFER 2048
#define PORT 80

/* One end of a cable; its free packets are used last-in first-out, as drivers do. */
struct plug {
	struct link link;          /* first: a struct link * of ours is one of these */
	struct plug *peer;
	struct pkt *queue[PACKETS]; /* sent by the peer */
	unsigned head, tail;
	struct pkt **free;         /* both ends' */
	unsigned *free_count;
};

struct bench {
	struct plug plugs[2];
	struct pkt packets[PACKETS];
	struct pkt *free[PACKETS];
	unsigned free_count;
	uint8_t *buffers;
	struct stack *host[2];     /* the receiver, the sender */
	ep_id socket[2];
	uint64_t cycles[2], calls[2];
	nsec now;
};

static struct plug *plug_of(struct link *l)
{
	return (struct plug *)(void *)l;
}

static unsigned plug_receive(struct link *l, struct pkt **out, unsigned n)
{
	struct plug *p = plug_of(l);
	unsigned i;

	for (i = 0; i < n && p->tail != p->head; i++)
		out[i] = p->queue[p->tail++ % PACKETS];
	return i;
}

static unsigned plug_borrow(struct link *l, struct pkt **out, unsigned n)
{
	struct plug *p = plug_of(l);
	unsigned i;

	for (i = 0; i < n && *p->free_count > 0; i++) {
		out[i] = p->free[--*p->free_count];
		pkt_reset(out[i]);
		out[i]->link = l;
	}
	return i;
}

static unsigned plug_transmit(struct link *l, struct pkt **packets, unsigned n)
{
	struct plug *peer = plug_of(l)->peer;

	for (unsigned i = 0; i < n; i++) {
		packets[i]->link = &peer->link;
		packets[i]->flags = l->flags & LINK_TX_CSUM ? PKT_CSUM_GOOD : 0;
		peer->queue[peer->head++ % PACKETS] = packets[i];
	}
	return n;
}

static void plug_release(struct link *l, struct pkt **packets, unsigned n)
{
	struct plug *p = plug_of(l);

	for (unsigned i = 0; i < n; i++)
		p->free[(*p->free_count)++] = packets[i];
}

static void plug_close(struct link *l)
{
	l->up = 0;
}

static const struct link_ops plug_ops = {
	.name = "cable", .receive = plug_receive, .borrow = plug_borrow, .transmit = plug_transmit, .release = plug_release, .close = plug_close,
};

static struct ipaddr address(unsigned i)
{
	return ipaddr_from_ip4(__builtin_bswap32(0x0a4d0001u + i));
}

static void make_host(struct bench *b, unsigned i, uint32_t flags)
{
	const struct ipaddr own = address(i);
	struct stack_config config;

	b->plugs[i] = (struct plug){
		.link = { .ops = &plug_ops, .mac = { 2, 0, 0, 0, 0, (uint8_t)(i + 1) }, .mtu = 1500, .flags = flags, .up = 1 },
		.peer = &b->plugs[!i], .free = b->free, .free_count = &b->free_count,
	};
	stack_config_init(&config);
	config.secret[0] = (uint8_t)(i + 1);
	config.max_endpoints = 64;
	b->host[i] = stack_new(&config);
	bench_must("stack_new", b->host[i] ? 0 : -ENOMEM);
	stack_at(b->host[i], b->now);
	bench_must("stack_add_address", stack_add_address(b->host[i], (int)bench_must("stack_add_link", stack_add_link(b->host[i], &b->plugs[i].link, "cable")),
							  &own, 24));
}

/* A turn of one host, and what it cost; its events are taken and thrown away. */
static void turn(struct bench *b, unsigned i)
{
	struct ep_event events[8];
	uint64_t start;

	b->now += 1000;
	start = __rdtsc();
	stack_turn(b->host[i], b->now);
	b->cycles[i] += __rdtsc() - start;
	while (stack_events(b->host[i], events, 8) == 8)
		;
}

static void connect_both(struct bench *b, uint16_t max_segment)
{
	const struct ep_name any = { .port = PORT }, to = { .addr = address(0), .port = PORT };
	ep_id listener;
	int error = -EAGAIN;

	bench_must("ep_open", ep_open(b->host[0], EP_STREAM, 0, NULL, &listener));
	bench_must("ep_bind", ep_bind(b->host[0], listener, &any));
	bench_must("ep_listen", ep_listen(b->host[0], listener, 1));
	bench_must("ep_open", ep_open(b->host[1], EP_STREAM, 0, NULL, &b->socket[1]));
	if (max_segment)
		bench_must("ep_set", ep_set(b->host[1], b->socket[1], EP_MAXSEG, max_segment));
	error = ep_connect(b->host[1], b->socket[1], &to);
	bench_must("ep_connect", error == -EINPROGRESS ? 0 : error);
	for (int i = 0; i < 100 && (error = ep_accept(b->host[0], listener, &b->socket[0], NULL)) == -EAGAIN; i++) {
		turn(b, 1);
		turn(b, 0);
	}
	bench_must("ep_accept", error);
}

static struct bench *bench_new(uint32_t flags, uint16_t max_segment)
{
	struct bench *b = calloc(1, sizeof(*b));
	uint8_t *buffers = aligned_alloc(64, (size_t)PACKETS * BUFFER);

	bench_must("memory", b && buffers ? 0 : -ENOMEM);
	b->buffers = buffers;
	b->now = NSEC_PER_SEC;
	for (unsigned i = 0; i < PACKETS; i++) {
		b->packets[i].buffer = buffers + (size_t)i * BUFFER;
		b->packets[i].buffer_size = BUFFER;
		b->free[b->free_count++] = &b->packets[i];
	}
	make_host(b, 0, flags);
	make_host(b, 1, flags);
	connect_both(b, max_segment);
	return b;
}

static void bench_free(struct bench *b)
{
	stack_free(b->host[0]);
	stack_free(b->host[1]);
	free(b->buffers);
	free(b);
}

static uint32_t segments_sent(const struct bench *b)
{
	struct ep_info info;

	bench_must("ep_info", ep_info(b->host[1], b->socket[1], &info));
	return info.data_segments_sent;
}

/* So many bytes across, 32 segments at a time: a burst. */
static void pass(struct bench *b, uint32_t bytes, uint32_t at_once)
{
	static uint8_t buffer[65536];
	uint32_t sent = 0, got = 0;
	uint64_t start;
	int64_t n;

	while (got < bytes) {
		start = __rdtsc();
		n = sent < bytes ? ep_send(b->host[1], b->socket[1], buffer, at_once) : 0;
		b->calls[1] += __rdtsc() - start;
		sent += n > 0 ? (uint32_t)n : 0;
		turn(b, 1);
		turn(b, 0);
		start = __rdtsc();
		while ((n = ep_recv(b->host[0], b->socket[0], buffer, sizeof(buffer))) > 0)
			got += (uint32_t)n;
		b->calls[0] += __rdtsc() - start;
	}
}

static void least(double *kept, uint64_t cycles, uint32_t segments)
{
	double value = (double)cycles / segments;

	if (value < *kept)
		*kept = value;
}

static void measure(unsigned rounds, uint32_t flags, uint16_t max_segment, const char *received, const char *sent, const char *calls)
{
	/* Timestamps take 12 of what the option says. */
	const uint32_t payload = max_segment ? max_segment - 12u : 1448, at_once = 32 * payload;
	double stacks[2] = { 1e12, 1e12 }, both_calls = 1e12;
	struct bench *b = bench_new(flags, max_segment);

	pass(b, 100 * at_once, at_once);
	for (unsigned r = 0; r < rounds; r++) {
		uint32_t before = segments_sent(b), segments;

		b->cycles[0] = b->cycles[1] = b->calls[0] = b->calls[1] = 0;
		pass(b, 32 * at_once, at_once);
		segments = segments_sent(b) - before;
		for (unsigned i = 0; i < 2; i++)
			least(&stacks[i], b->cycles[i], segments);
		least(&both_calls, b->calls[0] + b->calls[1], segments);
	}
	bench_row(received, stacks[0], "cycles");
	bench_row(sent, stacks[1], "cycles");
	if (calls)
		bench_row(calls, both_calls, "cycles");
	bench_free(b);
}

void bench_segment_split(unsigned rounds)
{
	measure(rounds, 0, 0, "segment of 1448 bytes received, with copy and checksum", "segment of 1448 bytes sent, with copy and checksum",
		"the programs' own copies of 1448 bytes, into and out of the rings");
	measure(rounds, LINK_TX_CSUM | LINK_RX_CSUM, 0, "segment of 1448 bytes received, with copy, link sums",
		"segment of 1448 bytes sent, with copy, link sums", NULL);
	measure(rounds, LINK_TX_CSUM | LINK_RX_CSUM, 88, "segment of 76 bytes received, link sums: the protocol alone",
		"segment of 76 bytes sent, link sums: the protocol alone", NULL);
}
