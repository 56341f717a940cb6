/* SPDX-License-Identifier: BSD-3-Clause */
/* The stack under fuzzing and the harness at the other end of its wire. */
#include "bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "stack/base/check.h"
#include "stack/base/checksum.h"

#define ETH 14u
#define IP4 20u
#define TCP 6u
#define UDP 17u
#define ICMP 1u
#define TURNS_MOST 20000u
#define FRAME_MOST 1514u

static uint32_t get16(const uint8_t *p)
{
	return (uint32_t)p[0] << 8 | p[1];
}

static uint32_t get32(const uint8_t *p)
{
	return get16(p) << 16 | get16(p + 2);
}

static void put16(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static void put32(uint8_t *p, uint32_t v)
{
	put16(p, v >> 16);
	put16(p + 2, v & 0xffff);
}

static void wrong(const char *what)
{
	fprintf(stderr, "fuzz: %s\n", what);
	abort();
}

/* ---- what the stack sends ---- */

/* The sum of layer 4 with its pseudo-header; 0 if the checksum is right. */
static uint16_t layer4_sum(const uint8_t *ip, uint32_t n)
{
	uint32_t header = (ip[0] & 15u) * 4u;
	uint64_t sum = csum_add(0, ip + 12, 8);

	sum += __builtin_bswap16(ip[9]);
	sum += __builtin_bswap16((uint16_t)(n - header));
	return csum_finish(csum_add(sum, ip + header, n - header));
}

/* The stack's options end where its header ends: they are well formed. */
static void learn_timestamp(struct bench_flow *f, const uint8_t *tcp, uint32_t header)
{
	for (uint32_t at = 20; at + 1 < header && tcp[at] != 0; at += tcp[at] == 1 ? 1u : tcp[at + 1]) {
		if (tcp[at] != 1 && (tcp[at + 1] < 2 || at + tcp[at + 1] > header))
			wrong("a segment went out whose options do not fit");
		if (tcp[at] == 8)
			f->tsval = get32(tcp + at + 2);
	}
}

static void learn(struct bench *b, const uint8_t *tcp, uint32_t n)
{
	uint32_t header = (tcp[12] >> 4) * 4u, i, end;

	if (header < 20 || header > n)
		wrong("a segment went out whose header does not fit");
	end = get32(tcp + 4) + n - header + (tcp[13] & 1u) + (tcp[13] >> 1 & 1u);
	for (i = 0; i < BENCH_FLOWS; i++) {
		struct bench_flow *f = &b->flows[i];

		if (f->local_port != get16(tcp) || f->remote_port != get16(tcp + 2))
			continue;
		if (tcp[13] & 2u || (int32_t)(end - f->theirs) > 0)
			f->theirs = end;
		if (tcp[13] & 16u)
			f->ours = get32(tcp + 8);
		learn_timestamp(f, tcp, header);
		return;
	}
	/* A connection that the stack opened: from now on ours. */
	if ((tcp[13] & 0x12) == 2) {
		b->flows[b->next_flow++ % BENCH_FLOWS] = (struct bench_flow){ .local_port = (uint16_t)get16(tcp),
			.remote_port = (uint16_t)get16(tcp + 2), .theirs = end, .ours = 1000 };
	}
}

static void look_at(struct bench *b, const struct pkt *p)
{
	const uint8_t *ip = p->data + ETH;
	uint32_t n, header;

	if (p->len < ETH || p->len > ETH + b->near->mtu)
		wrong("a frame went out that is too short or too long");
	if (get16(p->data + 12) != 0x0800)
		return;
	header = p->len >= ETH + IP4 ? (ip[0] & 15u) * 4u : 0;
	n = p->len >= ETH + IP4 ? get16(ip + 2) : 0;
	if (header < IP4 || n < header || n > p->len - ETH)
		wrong("an IP packet went out whose lengths disagree");
	if (csum_finish(csum_add(0, ip, header)) != 0)
		wrong("an IP header went out with a wrong checksum");
	if (get16(ip + 6) & 0x3fff)
		return;
	if (ip[9] == ICMP && csum_finish(csum_add(0, ip + header, n - header)) != 0)
		wrong("an ICMP message went out with a wrong checksum");
	if ((ip[9] == TCP || (ip[9] == UDP && get16(ip + header + 6) != 0)) && layer4_sum(ip, n) != 0)
		wrong("a segment or datagram went out with a wrong checksum");
	if (ip[9] == TCP)
		learn(b, ip + header, n - header);
	if (ip[9] == UDP && get16(ip + header) == 68 && n - header >= 8 + 240)
		memcpy(b->dhcp_xid, ip + header + 8 + 4, 4);
}

static void listen_to(struct bench *b)
{
	struct pkt *burst[32];
	unsigned n, i;

	while ((n = b->far->ops->receive(b->far, burst, 32)) > 0) {
		for (i = 0; i < n; i++)
			look_at(b, burst[i]);
		b->frames_out += n;
		b->far->ops->release(b->far, burst, n);
	}
}

/* ---- turns ---- */

void bench_keep(struct bench *b, ep_id ep)
{
	unsigned i;

	for (i = 0; i < BENCH_ENDPOINTS; i++) {
		if (!b->endpoints[i]) {
			b->endpoints[i] = ep;
			return;
		}
	}
	ep_close(b->stack, ep);
}

static void hear(struct bench *b, const struct ep_event *e)
{
	unsigned i;
	ep_id child;

	if (e->mask & EP_RELEASED)
		for (i = 0; i < BENCH_ENDPOINTS; i++)
			if (b->endpoints[i] == e->ep)
				b->endpoints[i] = 0;
	if (e->ep == b->endpoints[0])
		while (ep_accept(b->stack, e->ep, &child, NULL) == 0)
			bench_keep(b, child);
}

static void check(const struct bench *b)
{
	const char *broken = stack_check(b->stack);

	if (broken)
		wrong(broken);
}

static void turn(struct bench *b)
{
	struct ep_event events[32];
	unsigned turns = 0, n, i;

	do {
		stack_turn(b->stack, b->now);
		while ((n = stack_events(b->stack, events, 32)) > 0)
			for (i = 0; i < n; i++)
				hear(b, &events[i]);
		listen_to(b);
		if (++turns > TURNS_MOST)
			wrong("the stack asks for turns without end");
	} while (stack_deadline(b->stack) <= b->now);
}

void bench_turn(struct bench *b)
{
	turn(b);
	check(b);
}

void bench_advance(struct bench *b, nsec by)
{
	nsec until = b->now + by, next;
	unsigned steps = 0;

	/* Timers run at their own times, so that a long wait is as it would be. */
	while ((next = stack_deadline(b->stack)) <= until && ++steps < 2000) {
		b->now = next > b->now ? next : b->now;
		turn(b);
		if (steps % 8 == 0)
			check(b);
	}
	b->now = until;
	bench_turn(b);
}

/* ---- what the harness sends ---- */

static void fix_layer4(uint8_t *ip, uint32_t n)
{
	uint32_t header = (ip[0] & 15u) * 4u, at;
	uint16_t sum;

	if (header < IP4 || header > n)
		return;
	at = ip[9] == TCP ? header + 16 : ip[9] == UDP ? header + 6 : ip[9] == ICMP ? header + 2 : n;
	if (at + 2 > n)
		return;
	put16(ip + at, 0);
	sum = ip[9] == ICMP ? csum_finish(csum_add(0, ip + header, n - header)) : layer4_sum(ip, n);
	memcpy(ip + at, &sum, 2);
}

static void fix_ip(uint8_t *ip, uint32_t n)
{
	uint32_t header = (ip[0] & 15u) * 4u;
	uint16_t sum;

	if (header < IP4 || header > n)
		return;
	put16(ip + 2, n);
	put16(ip + 10, 0);
	sum = csum_finish(csum_add(0, ip, header));
	memcpy(ip + 10, &sum, 2);
}

static void make_relative(const struct bench *b, uint8_t *ip, uint32_t n)
{
	uint32_t header = (ip[0] & 15u) * 4u;
	uint8_t *tcp = ip + header;

	if (header < IP4 || ip[9] != TCP || header + 20 > n)
		return;
	put32(tcp + 4, get32(tcp + 4) + b->flows[0].ours);
	put32(tcp + 8, get32(tcp + 8) + b->flows[0].theirs);
}

/* An answer to what the client asked last: reply, Ethernet, transaction, hardware address, cookie. */
static void make_answer(const struct bench *b, uint8_t *ip, uint32_t n)
{
	uint8_t *message = ip + IP4 + 8;

	if (ip[0] != 0x45 || ip[9] != UDP || n < IP4 + 8 + 240 || get16(ip + IP4 + 2) != 68)
		return;
	memcpy(message, "\2\1\6", 3);
	memcpy(message + 4, b->dhcp_xid, 4);
	memcpy(message + 28, b->near->mac, 6);
	memcpy(message + 236, "\143\202\123\143", 4);
	put16(ip + IP4 + 4, n - IP4);
}

void bench_frame(struct bench *b, const uint8_t *bytes, size_t n, unsigned fix)
{
	struct pkt *p;

	if (n > FRAME_MOST || b->far->ops->borrow(b->far, &p, 1) == 0)
		return;
	memcpy(p->data, bytes, n);
	p->len = (uint32_t)n;
	if (n >= ETH + IP4 && get16(p->data + 12) == 0x0800) {
		uint32_t length = p->len - ETH;

		if (fix & BENCH_RELATIVE)
			make_relative(b, p->data + ETH, length);
		if (fix & BENCH_DHCP)
			make_answer(b, p->data + ETH, length);
		if (fix & BENCH_FIX_LAYER4)
			fix_layer4(p->data + ETH, length);
		if (fix & BENCH_FIX_IP)
			fix_ip(p->data + ETH, length);
	}
	if (fix & BENCH_CSUM_GOOD)
		p->flags |= PKT_CSUM_GOOD;
	b->far->ops->transmit(b->far, &p, 1);
}

/* An Ethernet and IP header from the harness to the stack; returns where layer 4 begins. */
static uint8_t *begin(const struct bench *b, uint8_t *frame, uint8_t protocol)
{
	memset(frame, 0, FRAME_MOST);
	memcpy(frame, b->near->mac, 6);
	memcpy(frame + 6, b->far->mac, 6);
	put16(frame + 12, 0x0800);
	frame[ETH] = 0x45;
	frame[ETH + 8] = 64;
	frame[ETH + 9] = protocol;
	memcpy(frame + ETH + 12, &b->remote.words[3], 4);
	memcpy(frame + ETH + 16, &b->local.words[3], 4);
	return frame + ETH + IP4;
}

static uint32_t at_most(uint32_t n, uint32_t most)
{
	return n < most ? n : most;
}

void bench_segment(struct bench *b, const struct bench_flow *f, const struct bench_segment *s)
{
	uint8_t frame[FRAME_MOST], *tcp = begin(b, frame, TCP);
	uint32_t options = at_most(s->options_len, 40), padded = (options + 3) & ~3u, payload;

	payload = at_most(s->payload_len, FRAME_MOST - ETH - IP4 - 20 - padded);
	put16(tcp, f->remote_port);
	put16(tcp + 2, f->local_port);
	put32(tcp + 4, f->ours + (uint32_t)s->seq);
	put32(tcp + 8, f->theirs + (uint32_t)s->ack);
	tcp[12] = (uint8_t)((5 + padded / 4) << 4);
	tcp[13] = s->flags;
	put16(tcp + 14, s->window);
	put16(tcp + 18, s->urgent);
	if (options)
		memcpy(tcp + 20, s->options, options);
	if (payload)
		memcpy(tcp + 20 + padded, s->payload, payload);
	bench_frame(b, frame, ETH + IP4 + 20 + padded + payload, BENCH_FIX_IP | BENCH_FIX_LAYER4);
}

void bench_syn(struct bench *b, uint16_t remote_port, const uint8_t *options, uint32_t options_len)
{
	struct bench_flow *f = &b->flows[b->next_flow++ % BENCH_FLOWS];

	*f = (struct bench_flow){ .local_port = BENCH_PORT, .remote_port = remote_port, .ours = 5000 };
	bench_segment(b, f, &(struct bench_segment){ .flags = 2, .window = 65535, .options = options,
		.options_len = options_len });
	f->ours++;
}

void bench_udp(struct bench *b, uint16_t to, const uint8_t *bytes, uint32_t n)
{
	uint8_t frame[FRAME_MOST], *udp = begin(b, frame, UDP);

	n = at_most(n, FRAME_MOST - ETH - IP4 - 8);
	put16(udp, 5353);
	put16(udp + 2, to);
	put16(udp + 4, n + 8);
	if (n)
		memcpy(udp + 8, bytes, n);
	bench_frame(b, frame, ETH + IP4 + 8 + n, BENCH_FIX_IP | BENCH_FIX_LAYER4);
}

void bench_icmp_error(struct bench *b, const struct bench_flow *f, uint8_t type, uint8_t code, uint16_t mtu)
{
	uint8_t frame[FRAME_MOST], *icmp = begin(b, frame, ICMP), *ip = icmp + 8;

	icmp[0] = type;
	icmp[1] = code;
	put16(icmp + 6, mtu);
	ip[0] = 0x45;
	ip[8] = 60;
	ip[9] = TCP;
	memcpy(ip + 12, &b->local.words[3], 4);
	memcpy(ip + 16, &b->remote.words[3], 4);
	put16(ip + IP4, f->local_port);
	put16(ip + IP4 + 2, f->remote_port);
	put32(ip + IP4 + 4, f->theirs - 1);
	fix_ip(ip, IP4 + 8);
	bench_frame(b, frame, ETH + IP4 + 8 + IP4 + 8, BENCH_FIX_IP | BENCH_FIX_LAYER4);
}

void bench_fragment(struct bench *b, uint16_t id, uint32_t offset, bool more, const uint8_t *bytes, uint32_t n)
{
	uint8_t frame[FRAME_MOST], *payload = begin(b, frame, UDP);

	n = at_most(n, FRAME_MOST - ETH - IP4);
	put16(frame + ETH + 4, id);
	put16(frame + ETH + 6, (offset & 0x1fff) | (more ? 0x2000 : 0));
	if (n)
		memcpy(payload, bytes, n);
	bench_frame(b, frame, ETH + IP4 + n, BENCH_FIX_IP);
}

/* ---- beginning and end ---- */

static void open_sockets(struct bench *b)
{
	struct ep_name tcp = { .port = BENCH_PORT }, udp = { .port = BENCH_UDP_PORT };

	CHECK(ep_open(b->stack, EP_STREAM, 0, NULL, &b->endpoints[0]) == 0);
	CHECK(ep_bind(b->stack, b->endpoints[0], &tcp) == 0);
	CHECK(ep_listen(b->stack, b->endpoints[0], 4) == 0);
	CHECK(ep_open(b->stack, EP_DATAGRAM, 0, NULL, &b->endpoints[1]) == 0);
	CHECK(ep_bind(b->stack, b->endpoints[1], &udp) == 0);
}

void bench_open(struct bench *b)
{
	static const uint8_t options[] = { 2, 4, 5, 0xb4, 1, 3, 3, 7, 4, 2 };
	struct mem_config pair = { .packets = 128 };
	struct stack_config config;

	*b = (struct bench){ .now = NSEC_PER_SEC, .local = ipaddr_from_ip4(__builtin_bswap32(0x0a000001)),
		.remote = ipaddr_from_ip4(__builtin_bswap32(0x0a000002)) };
	stack_config_init(&config);
	config.max_endpoints = 64;
	config.max_fragments = 65536 * 2;
	config.max_neighbours = 16;
	config.loopback_packets = 16;
	config.tcp.max_half_open = config.tcp.max_time_wait = 32;
	config.tcp.adv_uto = 60 * NSEC_PER_SEC; /* it is off otherwise, and its option would not be looked at */
	b->pair = mem_pair_new(&pair);
	b->stack = stack_new(&config);
	CHECK(b->pair && b->stack);
	b->near = mem_pair_link(b->pair, 0);
	b->far = mem_pair_link(b->pair, 1);
	stack_at(b->stack, b->now);
	b->interface = stack_add_link(b->stack, b->near, "eth0");
	CHECK(b->interface > 0 && stack_add_address(b->stack, b->interface, &b->local, 24) == 0);
	stack_add_neighbour(b->stack, b->interface, &b->remote, b->far->mac);
	open_sockets(b);
	bench_syn(b, 4000, options, sizeof(options));
	bench_turn(b);
	bench_segment(b, &b->flows[0], &(struct bench_segment){ .flags = 16, .window = 512 });
	bench_turn(b);
	CHECK(b->endpoints[2]);
}

void bench_dhcp(struct bench *b)
{
	b->dhcp = dhcp_start(b->stack, b->interface, &(struct dhcp_config){ .host_name = "fuzz" });
	CHECK(b->dhcp);
	bench_turn(b);
}

void bench_close(struct bench *b)
{
	struct stack_memory m;
	unsigned i;

	if (b->dhcp)
		dhcp_stop(b->dhcp);
	for (i = 0; i < BENCH_ENDPOINTS; i++)
		if (b->endpoints[i])
			ep_abort(b->stack, b->endpoints[i]);
	/* TIME-WAIT, half-open connections, orphans, reassembly, neighbours. */
	bench_advance(b, 3600 * NSEC_PER_SEC);
	stack_memory(b->stack, &m);
	if (m.endpoints || m.connections || m.half_open || m.time_wait || m.packets_held || m.fragments_held
	    || m.extents_lent)
		wrong("something is left of connections that are over");
	stack_free(b->stack);
	if (mem_pair_outstanding(b->pair) != 0)
		wrong("a packet was never given back");
	mem_pair_free(b->pair);
}
