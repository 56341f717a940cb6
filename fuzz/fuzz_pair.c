/* SPDX-License-Identifier: BSD-3-Clause */
/* Two stacks and a wire that is out to harm: the input decides who the two are (algorithms, options, buffers, segment sizes), what their
 * programs do, and what happens to each frame: delivered, lost, twice, late, marked, or its header forged with the checksum
 * mended. In the end the wire is perfect: then both streams must come through whole, or a side must have been told of an error,
 * within the time that retransmission may take; and nothing is left. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/mem.h"
#include "stack/base/check.h"
#include "stack/base/checksum.h"
#include "stack/stack.h"

#define ETH 14u
#define IP4 20u
#define PORT 80u
#define STEPS_MOST 300u
#define HELD_MOST 64u          /* frames on the wire, each way */
#define STREAM_MOST (1u << 20) /* bytes each way */
#define ROUNDS_MOST 60000u     /* of the perfect wire */
#define LONGEST (3 * 3600 * NSEC_PER_SEC)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
	const uint8_t *at;
	size_t left;
};

struct side {
	struct stack *stack;
	struct mem_pair *pair;
	struct link *near, *far;
	struct ipaddr addr;
	ep_id listener, ep;
	uint32_t sent, received;       /* bytes of the streams */
	bool finished, heard_end, failed, aborted;
	struct pkt *held[HELD_MOST];   /* sent by this side, on their way */
	unsigned held_count;
};

struct world {
	struct side side[2];
	nsec now;
	uint32_t link_flags;           /* of both: super-frames cross whole, or there are none */
	bool forged;                   /* a header was changed: what arrives proves nothing any more */
};

static uint8_t buffer[65536];

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

static void wrong(const char *what)
{
	fprintf(stderr, "fuzz: %s\n", what);
	abort();
}

/* ---- the programs ---- */

static uint8_t pattern(unsigned from, uint32_t position)
{
	return (uint8_t)(position * 167u + (position >> 8) * 31u + from);
}

static void note_error(struct side *s)
{
	if (s->ep && ep_take_error(s->stack, s->ep) != 0)
		s->failed = true;
}

static void send_some(struct world *w, unsigned who, uint32_t n)
{
	struct side *s = &w->side[who];
	int64_t taken;

	if (!s->ep || s->finished || s->sent + n > STREAM_MOST)
		return;
	if (n > sizeof(buffer))
		n = sizeof(buffer);
	for (uint32_t i = 0; i < n; i++)
		buffer[i] = pattern(who, s->sent + i);
	taken = ep_send(s->stack, s->ep, buffer, n);
	if (taken > (int64_t)n)
		wrong("more was sent than there was");
	if (taken > 0)
		s->sent += (uint32_t)taken;
	else if (taken != -EAGAIN && taken != -ENOTCONN && n > 0)
		s->failed = true;
}

static void receive_some(struct world *w, unsigned who, uint32_t n)
{
	struct side *s = &w->side[who];
	int64_t got;

	if (!s->ep || s->heard_end || n == 0)
		return;
	got = ep_recv(s->stack, s->ep, buffer, n < sizeof(buffer) ? n : (uint32_t)sizeof(buffer));
	if (got == 0) {
		s->heard_end = true;
	} else if (got < 0) {
		s->failed = s->failed || (got != -EAGAIN && got != -ENOTCONN);
		return;
	}
	for (int64_t i = 0; i < got && !w->forged; i++)
		if (buffer[i] != pattern(!who, s->received + (uint32_t)i))
			wrong("a byte arrived that was not sent there");
	s->received += (uint32_t)got;
}

static void finish(struct side *s)
{
	if (s->ep && !s->finished && ep_shutdown(s->stack, s->ep, EP_SHUT_WRITE) == 0)
		s->finished = true;
}

static void hear(struct side *s, const struct ep_event *e)
{
	ep_id child;

	if (e->mask & EP_RELEASED && e->ep == s->ep) {
		s->ep = 0;
		s->failed = true;
	}
	while (s->listener && e->ep == s->listener && ep_accept(s->stack, s->listener, &child, NULL) == 0) {
		/* A cookie may open again what was aborted, if the reset was lost (RFC 4987 3.6): that one would begin its stream anew. */
		if (s->ep || s->aborted || s->failed)
			ep_abort(s->stack, child);
		else
			s->ep = child;
	}
}

/* ---- turns ---- */

static void check(const struct world *w)
{
	for (unsigned i = 0; i < 2; i++) {
		const char *broken = stack_check(w->side[i].stack);

		if (broken)
			wrong(broken);
	}
}

/* What the stack has sent goes onto the wire; what finds no room there is lost. */
static void take_frames(struct side *s)
{
	struct pkt *burst[32];
	unsigned n;

	while ((n = s->far->ops->receive(s->far, burst, 32)) > 0) {
		for (unsigned i = 0; i < n; i++) {
			if (s->held_count < HELD_MOST)
				s->held[s->held_count++] = burst[i];
			else
				s->far->ops->release(s->far, &burst[i], 1);
		}
	}
}

static void turn_one(struct world *w, struct side *s)
{
	struct ep_event events[16];
	unsigned turns = 0, n;

	do {
		stack_turn(s->stack, w->now);
		while ((n = stack_events(s->stack, events, 16)) > 0)
			for (unsigned i = 0; i < n; i++)
				hear(s, &events[i]);
		take_frames(s);
		if (++turns > 5000)
			wrong("a stack asks for turns without end");
	} while (stack_deadline(s->stack) <= w->now);
}

static void turn(struct world *w)
{
	turn_one(w, &w->side[0]);
	turn_one(w, &w->side[1]);
	check(w);
}

static nsec deadline(const struct world *w)
{
	nsec a = stack_deadline(w->side[0].stack), b = stack_deadline(w->side[1].stack);

	return a < b ? a : b;
}

static void advance(struct world *w, nsec by)
{
	nsec until = w->now + by, next;

	for (unsigned steps = 0; (next = deadline(w)) <= until && steps < 500; steps++) {
		w->now = next > w->now ? next : w->now;
		turn(w);
	}
	w->now = until;
	turn(w);
}

/* ---- the wire ---- */

static uint32_t get16(const uint8_t *p)
{
	return (uint32_t)p[0] << 8 | p[1];
}

static void put16(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static void mend_checksums(uint8_t *ip, uint32_t n)
{
	uint16_t sum;

	put16(ip + 10, 0);
	sum = csum_finish(csum_add(0, ip, IP4));
	memcpy(ip + 10, &sum, 2);
	put16(ip + IP4 + 16, 0);
	sum = csum_finish(csum_add(0, ip + 12, 8) + __builtin_bswap16(6) + __builtin_bswap16((uint16_t)(n - IP4)) +
			  csum_add(0, ip + IP4, n - IP4));
	memcpy(ip + IP4 + 16, &sum, 2);
}

/* A TCP segment without IP options, whole. */
static bool is_segment(const struct pkt *p)
{
	const uint8_t *ip = p->data + ETH;

	return p->len >= ETH + IP4 + 20 && get16(p->data + 12) == 0x0800 && ip[0] == 0x45 && ip[9] == 6 && get16(ip + 2) == p->len - ETH &&
	       p->gso_size == 0;
}

/* Congestion Experienced, where the sender said that it understands (RFC 3168 5). */
static void mark(struct pkt *p)
{
	if (!is_segment(p) || (p->data[ETH + 1] & 3) == 0)
		return;
	p->data[ETH + 1] |= 3;
	mend_checksums(p->data + ETH, p->len - ETH);
}

/* One field of the header, or a byte of the options, becomes another. */
static void forge(struct world *w, struct pkt *p, struct input *in)
{
	uint32_t what = number(in, 1), value = number(in, 2);
	uint8_t *tcp = p->data + ETH + IP4;
	uint32_t options = is_segment(p) ? (tcp[12] >> 4) * 4u - 20u : 0;

	if (!is_segment(p))
		return;
	w->forged = true;
	switch (what % 8) {
	case 0: put16(tcp + 6, get16(tcp + 6) + value); break;    /* sequence number, near */
	case 1: put16(tcp + 10, get16(tcp + 10) + value); break;  /* acknowledgment */
	case 2: put16(tcp + 4, value); break;                      /* far */
	case 3: put16(tcp + 8, value); break;
	case 4: tcp[13] ^= (uint8_t)(1u << value % 8); break;
	case 5: put16(tcp + 14, value); break;
	case 6: put16(tcp + 18, value); break;
	default:
		if (options > 0 && 20 + options <= p->len - ETH - IP4)
			tcp[20 + value % options] ^= (uint8_t)(value >> 8 | 1);
	}
	mend_checksums(p->data + ETH, p->len - ETH);
}

static void put_to(struct side *to, const struct pkt *from)
{
	struct pkt *p;

	if (to->far->ops->borrow(to->far, &p, 1) == 0)
		return;
	if (pkt_tailroom(p) < from->len) {
		to->far->ops->release(to->far, &p, 1);
		return;
	}
	memcpy(p->data, from->data, from->len);
	p->len = from->len;
	p->flags = from->flags;
	p->csum_start = from->csum_start;
	p->csum_offset = from->csum_offset;
	p->gso_size = from->gso_size;
	p->header_len = from->header_len;
	to->far->ops->transmit(to->far, &p, 1);
}

/* The i-th frame that `who` sent leaves the wire. */
static struct pkt *take(struct side *s, unsigned i)
{
	struct pkt *p = s->held[i];

	memmove(s->held + i, s->held + i + 1, (s->held_count - i - 1) * sizeof(s->held[0]));
	s->held_count--;
	return p;
}

static void fate(struct world *w, struct input *in, uint32_t what)
{
	struct side *from = &w->side[what & 1], *to = &w->side[!(what & 1)];
	struct pkt *p;

	if (from->held_count == 0)
		return;
	p = take(from, what & 8 ? number(in, 1) % from->held_count : 0);
	switch (what >> 4 & 7) {
	case 0: break;
	case 1: put_to(to, p); put_to(to, p); break;
	case 2: mark(p); put_to(to, p); break;
	case 3: if (what & 4) forge(w, p, in); put_to(to, p); break;
	default: put_to(to, p);
	}
	from->far->ops->release(from->far, &p, 1);
	if (what & 2)
		turn(w);
}

/* ---- the world ---- */

static void open_side(struct world *w, unsigned who, struct input *in)
{
	static const uint16_t mtus[] = { 1500, 576, 9000, 1280 };
	struct side *s = &w->side[who];
	uint32_t kind = number(in, 1), more = number(in, 1);
	struct mem_config pair = { .packets = 160, .mtu = mtus[kind >> 6], .flags = w->link_flags };
	struct stack_config config;
	int interface;

	stack_config_init(&config);
	if (kind & 1)
		tcp_settings_standard(&config.tcp);
	config.tcp.timestamps = !(kind & 2);
	config.tcp.sack = !(kind & 4);
	config.tcp.window_scaling = !(kind & 8);
	config.tcp.syn_cookies = (uint8_t)(kind >> 4 & 3) % 3;
	config.tcp.cc = ep_congestion_name(1 + more % (EP_CC_END - 1));
	config.tcp.ecn = (enum tcp_ecn)(number(in, 1) % TCP_ECN_END);
	if (more & 8)
		config.tcp.receive_buffer_initial = config.tcp.receive_buffer_max = 4096;
	if (more & 32)
		config.tcp.adv_uto = (more >> 6) * NSEC_PER_SEC + 1; /* up to three seconds: the lower limit holds, or what the peer's program says */
	if (more & 16)
		config.tcp.send_buffer_initial = config.tcp.send_buffer_max = 8192;
	config.max_endpoints = 16;
	config.max_neighbours = 4;
	config.loopback_packets = 4;
	config.tcp.max_half_open = config.tcp.max_time_wait = 8;
	memset(config.secret, (int)number(in, 1), sizeof(config.secret));
	s->pair = mem_pair_new(&pair);
	s->stack = stack_new(&config);
	CHECK(s->pair && s->stack);
	s->near = mem_pair_link(s->pair, 0);
	s->far = mem_pair_link(s->pair, 1);
	s->addr = ipaddr_from_ip4(__builtin_bswap32(0x0a000001 + who));
	stack_at(s->stack, w->now);
	interface = stack_add_link(s->stack, s->near, "eth0");
	CHECK(interface > 0 && stack_add_address(s->stack, interface, &s->addr, 24) == 0);
}

static void open_world(struct world *w, struct input *in)
{
	struct ep_name server = { .port = PORT };
	uint32_t options = number(in, 1);

	*w = (struct world){ .now = NSEC_PER_SEC, .link_flags = options & 64 ? LINK_TX_CSUM | LINK_TSO : 0 };
	open_side(w, 0, in);
	open_side(w, 1, in);
	for (unsigned i = 0; i < 2; i++)
		stack_add_neighbour(w->side[i].stack, 2, &w->side[!i].addr, w->side[!i].near->mac);
	CHECK(ep_open(w->side[0].stack, EP_STREAM, 0, NULL, &w->side[0].listener) == 0);
	CHECK(ep_bind(w->side[0].stack, w->side[0].listener, &server) == 0);
	CHECK(ep_listen(w->side[0].stack, w->side[0].listener, options & 3) == 0);
	CHECK(ep_open(w->side[1].stack, EP_STREAM, 0, NULL, &w->side[1].ep) == 0);
	if (options & 4)
		ep_set(w->side[1].stack, w->side[1].ep, EP_NODELAY, 1);
	if (options & 8)
		ep_set(w->side[0].stack, w->side[0].listener, EP_FASTOPEN, 4);
	if (options & 16)
		ep_set(w->side[1].stack, w->side[1].ep, EP_FASTOPEN_CONNECT, 1);
	if (options & 32)
		ep_set(w->side[1].stack, w->side[1].ep, EP_MAX_PACING_RATE, 1 << 20);
	server.addr = w->side[0].addr;
	ep_connect(w->side[1].stack, w->side[1].ep, &server);
	turn(w);
}

static void call(struct world *w, struct input *in, uint32_t what)
{
	unsigned who = what & 1;
	struct side *s = &w->side[who];
	int64_t value;

	stack_at(s->stack, w->now);
	switch (what >> 1 & 7) {
	case 0: case 1: send_some(w, who, number(in, 2)); break;
	case 2: case 3: receive_some(w, who, number(in, 2)); break;
	case 4:
		value = (int32_t)number(in, 2);
		if (s->ep)
			ep_set(s->stack, s->ep, (enum ep_option)(number(in, 1) % (EP_OPTIONS + 1)), value);
		break;
	case 5: finish(s); break;
	case 6:
		if (s->ep && number(in, 1) % 8 == 0)
			s->aborted = s->aborted || ep_abort(s->stack, s->ep) == 0;
		break;
	default: note_error(s);
	}
	turn(w);
}

/* Whether this side has nothing more to wait for. */
static bool done(const struct side *s, const struct side *other)
{
	return s->failed || s->aborted || !s->ep || (s->heard_end && other->finished && s->received == other->sent);
}

static bool deliver_all(struct world *w)
{
	bool any = false;

	for (unsigned who = 0; who < 2; who++) {
		while (w->side[who].held_count > 0) {
			struct pkt *p = take(&w->side[who], 0);

			put_to(&w->side[!who], p);
			w->side[who].far->ops->release(w->side[who].far, &p, 1);
			any = true;
		}
	}
	return any;
}

/* From here on nothing is lost. Both say all, end their streams, and read to the end. */
static void perfect_end(struct world *w)
{
	nsec limit = w->now + LONGEST;
	bool over = false;

	for (unsigned round = 0; !over; round++) {
		bool heard = false;

		for (unsigned who = 0; who < 2; who++) {
			struct side *s = &w->side[who];
			uint32_t before = s->received;

			stack_at(s->stack, w->now);
			finish(s);
			receive_some(w, who, sizeof(buffer));
			note_error(s);
			heard = heard || s->received != before;
		}
		turn(w);
		over = done(&w->side[0], &w->side[1]) && done(&w->side[1], &w->side[0]);
		if (!over && !deliver_all(w) && !heard) {  /* who heard something may hear the end next */
			nsec next = deadline(w);

			if (next == NSEC_NEVER || next > limit)
				break;
			w->now = next > w->now ? next : w->now + NSEC_PER_USEC;
		}
		turn(w);
		if (round > ROUNDS_MOST)
			break;
	}
	/* One side gone without the other's knowing is no fault of a peer that has nothing to say. */
	if (!over && !w->forged && !w->side[0].failed && !w->side[1].failed && !w->side[0].aborted && !w->side[1].aborted &&
	    w->side[0].ep && w->side[1].ep)
		wrong("both sides live, the wire is perfect, and a stream does not come through");
}

static void close_world(struct world *w)
{
	struct stack_memory m;

	for (unsigned i = 0; i < 2; i++) {
		struct side *s = &w->side[i];

		if (s->ep)
			ep_abort(s->stack, s->ep);
		if (s->listener)
			ep_abort(s->stack, s->listener);
	}
	advance(w, 3600 * NSEC_PER_SEC);
	for (unsigned i = 0; i < 2; i++) {
		struct side *s = &w->side[i];

		while (s->held_count > 0) {
			struct pkt *p = take(s, 0);

			s->far->ops->release(s->far, &p, 1);
		}
		stack_memory(s->stack, &m);
		if (m.endpoints || m.connections || m.half_open || m.time_wait || m.packets_held || m.extents_lent)
			wrong("something is left of connections that are over");
		stack_free(s->stack);
		if (mem_pair_outstanding(s->pair) != 0)
			wrong("a packet was never given back");
		mem_pair_free(s->pair);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, size };
	struct world w;

	open_world(&w, &in);
	for (unsigned steps = 0; in.left && steps < STEPS_MOST; steps++) {
		uint32_t what = number(&in, 1);

		if (what < 0xa0)
			fate(&w, &in, what);
		else if (what < 0xe8)
			call(&w, &in, what);
		else
			advance(&w, (NSEC_PER_USEC << (what & 15) * 2) * (1 + (number(&in, 1) & 7)));
	}
	perfect_end(&w);
	close_world(&w);
	return 0;
}
