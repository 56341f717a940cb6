/* SPDX-License-Identifier: BSD-3-Clause */
/* A story: segments relative to the live sequence numbers, other packets, calls of a program, and time. The input is
 * a list of steps, one byte for what, the next for how. */
#include "bench.h"

#include <string.h>

#include "stack/base/check.h"

#define STEPS_MOST 200u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
	const uint8_t *at;
	size_t left;
};

static uint32_t number(struct input *in, unsigned bytes)
{
	uint32_t v = 0;

	while (bytes--) {
		v = v << 8 | (in->left ? *in->at : 0);
		if (in->left) {
			in->at++;
			in->left--;
		}
	}
	return v;
}

static const uint8_t *some(struct input *in, uint32_t *n)
{
	const uint8_t *p = in->at;

	if (*n > in->left)
		*n = (uint32_t)in->left;
	in->at += *n;
	in->left -= *n;
	return p;
}

static uint8_t zeros[65536];

/* Near where it should be, mostly; sometimes far away. */
static int32_t distance(struct input *in)
{
	uint32_t v = number(in, 1);

	if (v < 0xc0)
		return (int8_t)(v << 1) / 2 * (v & 1 ? 1448 : 1);
	return (int32_t)number(in, v < 0xf0 ? 2 : 4);
}

static struct bench_flow *flow(struct bench *b, struct input *in)
{
	return &b->flows[number(in, 1) % BENCH_FLOWS];
}

static ep_id endpoint(struct bench *b, struct input *in)
{
	return b->endpoints[number(in, 1) % BENCH_ENDPOINTS];
}

static uint8_t *put32(uint8_t *p, uint32_t v)
{
	for (unsigned i = 0; i < 4; i++)
		p[i] = (uint8_t)(v >> (24 - 8 * i));
	return p + 4;
}

/* Blocks of what the stack has sent, at the distances that a real receiver's have: bytes or whole segments below what it sends next,
 * one within another, empty, the wrong way round, or below what is acknowledged (RFC 2018 3, RFC 2883 4). */
static uint8_t *sack_blocks(uint8_t *p, const struct bench_flow *f, struct input *in)
{
	uint32_t n = 1 + number(in, 1) % 4;

	*p++ = 5;
	*p++ = (uint8_t)(2 + 8 * n);
	for (uint32_t i = 0; i < n; i++) {
		uint32_t from = number(in, 1), length = number(in, 1);
		uint32_t start = f->theirs - (from & 0x7f) * (from & 0x80 ? 1448 : 1);

		p = put32(p, start);
		p = put32(p, start + (length & 0x7f) * (length & 0x80 ? 1448 : 1));
	}
	return p;
}

/* One option by the grammar of its kind; now and then its length is a lie. */
static uint8_t *option(uint8_t *p, const struct bench_flow *f, struct input *in)
{
	static const uint8_t kinds[] = { 1, 2, 3, 4, 5, 8, 8, 5, 34, 172, 174, 28, 0, 254 };
	uint32_t which = number(in, 1), n;
	uint8_t *begin = p;

	*p++ = kinds[which % sizeof(kinds)];
	if (*begin < 2)
		return p;
	p++;
	switch (*begin) {
	case 2: p[0] = (uint8_t)number(in, 1); p[1] = (uint8_t)number(in, 1); p += 2; break;
	case 3: *p++ = (uint8_t)(number(in, 1) % 20); break;
	case 4: break;
	case 5: p = sack_blocks(begin, f, in); break;
	case 8:
		p = put32(p, 1000 + number(in, 2));
		p = put32(p, f->tsval - number(in, 1) / 2);
		break;
	case 28: *p++ = (uint8_t)number(in, 1); *p++ = (uint8_t)number(in, 1); break;
	default:
		n = number(in, 1) % 19;
		for (uint32_t i = 0; i < n; i++)
			*p++ = (uint8_t)number(in, 1);
	}
	begin[1] = (uint8_t)(which < 240 ? p - begin : number(in, 1));
	return p;
}

static uint32_t options_by_grammar(uint8_t room[128], const struct bench_flow *f, struct input *in)
{
	uint32_t count = number(in, 1) % 6;
	uint8_t *p = room;

	while (count-- > 0 && p - room < 40)
		p = option(p, f, in);
	return p - room < 40 ? (uint32_t)(p - room) : 40;
}

static void segment_step(struct bench *b, struct input *in)
{
	struct bench_flow *f = flow(b, in);
	struct bench_segment s = { .flags = (uint8_t)number(in, 1) };
	uint32_t shape = number(in, 1);
	uint8_t made[128];

	s.seq = shape & 1 ? distance(in) : 0;
	s.ack = shape & 2 ? distance(in) : 0;
	s.window = (uint16_t)(shape & 4 ? number(in, 2) : 512);
	s.urgent = (uint16_t)(shape & 8 ? number(in, 2) : 0);
	if (shape & 16) {
		s.options_len = number(in, 1) % 41;
		s.options = some(in, &s.options_len);
	}
	if (shape & 128) {
		s.options_len = options_by_grammar(made, f, in);
		s.options = made;
	}
	if (shape & 32) {
		s.payload_len = number(in, 2) % 1461;
		s.payload = zeros;
	} else if (shape & 64) {
		s.payload_len = number(in, 1);
		s.payload = some(in, &s.payload_len);
	}
	bench_segment(b, f, &s);
}

static void packet_step(struct bench *b, struct input *in, uint32_t what)
{
	uint32_t n, a;
	const uint8_t *bytes;

	switch (what % 6) {
	case 0:
		a = number(in, 2);
		n = number(in, 1) % 41;
		bytes = some(in, &n);
		bench_syn(b, (uint16_t)a, bytes, n);
		return;
	case 1:
		n = number(in, 2) % 1473;
		bench_udp(b, number(in, 1) & 1 ? 54 : BENCH_UDP_PORT, zeros, n);
		return;
	case 2: {
		struct bench_flow *f = flow(b, in);

		a = number(in, 1);
		bench_icmp_error(b, f, a & 0x80 ? 11 : 3, a & 15, (uint16_t)number(in, 2));
		return;
	}
	case 3:
		a = number(in, 2);
		n = number(in, 1) * 8;
		bench_fragment(b, (uint16_t)(a >> 14), a & 0x1fff, number(in, 1) & 1, zeros, n + 8);
		return;
	case 4:
		a = number(in, 1);
		n = number(in, 1);
		bytes = some(in, &n);
		bench_frame(b, bytes, n, a);
		return;
	default: {      /* ARP from a neighbour that claims to be somebody */
		uint8_t frame[42] = { [12] = 8, [13] = 6, [15] = 1, [16] = 8, [18] = 6, [19] = 4, [21] = 1 };

		memcpy(frame, b->near->mac, 6);
		memcpy(frame + 6, b->far->mac, 6);
		memcpy(frame + 22, b->far->mac, 6);
		a = number(in, 1);
		frame[21] = (uint8_t)(1 + (a & 1));
		memcpy(frame + 28, (uint8_t[]){ 10, 0, 0, (uint8_t)(a >> 4) }, 4);
		memcpy(frame + 38, (uint8_t[]){ 10, 0, 0, (uint8_t)(a >> 1 & 7) }, 4);
		bench_frame(b, frame, sizeof(frame), 0);
	}
	}
}

static void open_step(struct bench *b, struct input *in)
{
	struct ep_name to = { .addr = b->remote, .port = (uint16_t)(7000 + number(in, 1)) };
	ep_id ep;

	if (number(in, 1) & 1) {
		to.addr = ipaddr_from_ip4(__builtin_bswap32(0x0a000000u | number(in, 1)));
		to.port = BENCH_PORT;
	}
	if (ep_open(b->stack, to.port & 1 ? EP_STREAM : number(in, 1) & 1 ? EP_DATAGRAM : EP_STREAM, 0, NULL, &ep) != 0)
		return;
	ep_connect(b->stack, ep, &to);
	bench_keep(b, ep);
}

static void call_step(struct bench *b, struct input *in, uint32_t what)
{
	static uint8_t buffer[65536];
	ep_id ep = endpoint(b, in);
	struct ep_name name = { .addr = b->remote };
	struct ep_info info;
	int64_t value;
	uint8_t byte;
	ep_id child;

	switch (what % 16) {
	case 0: case 1: ep_send(b->stack, ep, zeros, number(in, 2)); return;
	case 2: case 3: ep_recv(b->stack, ep, buffer, number(in, 2)); return;
	case 4: ep_shutdown(b->stack, ep, 1 + number(in, 1) % 3); return;
	case 5: ep_close(b->stack, ep); return;
	case 6: ep_abort(b->stack, ep); return;
	case 7: {
		enum ep_option o = number(in, 1) % (EP_OPTIONS + 1);

		value = (int32_t)number(in, number(in, 1) & 1 ? 1 : 4);
		ep_set(b->stack, ep, o, value);
		ep_get(b->stack, ep, o, &value);
		return;
	}
	case 8: open_step(b, in); return;
	case 9:
		name.port = (uint16_t)number(in, 1);
		ep_send_to(b->stack, ep, zeros, number(in, 2), &name);
		return;
	case 10: ep_urgent_send(b->stack, ep, 1); return;
	case 11:
		ep_urgent_take(b->stack, ep, &byte);
		ep_at_mark(b->stack, ep);
		return;
	case 12:
		ep_info(b->stack, ep, &info);
		ep_take_error(b->stack, ep);
		ep_ready(b->stack, ep);
		return;
	case 13:
		name.addr = b->local;
		name.port = (uint16_t)number(in, 1);
		if (ep_open(b->stack, EP_STREAM, 0, NULL, &child) != 0)
			return;
		ep_set(b->stack, child, EP_REUSE_ADDR, number(in, 1) & 1);
		ep_bind(b->stack, child, &name);
		ep_listen(b->stack, child, number(in, 1));
		bench_keep(b, child);
		return;
	case 14:
		ep_connect(b->stack, ep, number(in, 1) & 1 ? NULL : &(struct ep_name){ .addr = b->remote, .port = 9 });
		return;
	default:
		if (number(in, 1) & 1)
			stack_remove_address(b->stack, b->interface, &b->local);
		else
			stack_add_address(b->stack, b->interface, &b->local, 24);
	}
}

static void time_step(struct bench *b, struct input *in)
{
	uint32_t v = number(in, 1);

	/* 1 us .. 2 hours. */
	bench_advance(b, (NSEC_PER_USEC << v % 33) + (v >> 5) * NSEC_PER_MSEC);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, size };
	struct bench b;
	unsigned steps;

	bench_open(&b);
	for (steps = 0; in.left && steps < STEPS_MOST; steps++) {
		uint32_t what = number(&in, 1);

		stack_at(b.stack, b.now);
		if (what < 0x70)
			segment_step(&b, &in);
		else if (what < 0xa0)
			packet_step(&b, &in, what);
		else if (what < 0xf0)
			call_step(&b, &in, what);
		else
			time_step(&b, &in);
		/* A step in 16 sees the one before it in the same turn. */
		if (what % 16 != 15)
			bench_turn(&b);
	}
	bench_close(&b);
	return 0;
}
