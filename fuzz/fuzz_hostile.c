/* SPDX-License-Identifier: BSD-3-Clause */
/* A hostile program before the daemon's server: it says what it likes on its socket, puts what it likes into its lanes
 * and writes what it likes wherever its memory is writable. It may lose its own session; the books stay balanced,
 * and a well-behaved program beside it is served as before. The input is a list of steps. */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ipc/client_private.h"
#include "ipc/server.h"
#include "stack/base/check.h"

#define STEPS_MOST 150u
#define LANES 2u
#define LINES 96u               /* that the program plays with */
#define GOOD_PORT 80u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
	const uint8_t *at;
	size_t left;
};

static struct {
	struct server *server;
	struct server_host *host;
	struct stack *stack;
	struct client *good;
	uint32_t listener;          /* good's */
	nsec now;
	/* the hostile program */
	int socket, bell;
	struct region region;
	bool attached, mapped[LANES];
	uint32_t session;
} f;

static void wrong(const char *what)
{
	fprintf(stderr, "fuzz: %s\n", what);
	abort();
}

static uint64_t number(struct input *in, unsigned bytes)
{
	uint64_t v = 0;

	while (bytes--) {
		v = v << 8 | (in->left ? *in->at : 0);
		if (in->left) {
			in->at++;
			in->left--;
		}
	}
	return v;
}

/* Mostly small, or on an edge. */
static uint32_t value(struct input *in)
{
	static const uint32_t edges[] = { 0x7fffffff, 0x80000000, 0xffffffff, 0xfffffffe, 0x10000, 0xffff, 4096, 16384 };
	uint32_t v = (uint32_t)number(in, 1);

	if (v < 0xc0)
		return v % 64;
	return v < 0xe0 ? edges[v % 8] : (uint32_t)number(in, 4);
}

/* ---- the world ---- */

static unsigned turn(void)
{
	unsigned work;

	f.now += 10 * NSEC_PER_USEC;
	work = server_turn(f.server, f.now);
	work += stack_turn(f.stack, f.now);
	return work + server_publish(f.server);
}

static void pump(void *context)
{
	(void)context;
	turn();
}

static void settle_for(unsigned enough)
{
	unsigned quiet = 0, turns = 0;

	while (quiet < enough && turns++ < 20000)
		quiet = turn() ? 0 : quiet + 1;
}

/* New packets on the sockets are looked at every so many turns. */
static void settle(void)
{
	settle_for(40);
}

static void check(void)
{
	const char *broken = server_check(f.server);

	if (!broken)
		broken = stack_check(f.stack);
	if (broken)
		wrong(broken);
}

static void open_world(void)
{
	struct ipaddr address = ipaddr_from_ip4(__builtin_bswap32(0x0a000001));
	const struct client_options options = { .host = "here", .lowest_fd = 100 };
	struct ep_name name = { .addr = address, .port = GOOD_PORT };
	struct server_config config;
	struct stack_config stack;
	int fd;

	server_config_init(&config);
	config.quota.lines = config.quota.lines_per_uid = 1024;
	config.quota.data = config.quota.data_per_uid = 16 << 20;
	config.quota.lanes = config.quota.waitsets = 4;
	config.quota.sessions = 4;
	CHECK(server_new(&config, &f.server) == 0 && server_add_host(f.server, "here", &f.host) == 0);
	stack_config_init(&stack);
	stack.max_endpoints = 1024;
	stack.loopback_packets = 32;
	stack.tcp.max_half_open = stack.tcp.max_time_wait = 64;
	stack.host = server_host_calls(f.host);
	f.now = NSEC_PER_SEC;
	f.stack = stack_new(&stack);
	CHECK(f.stack && stack_add_address(f.stack, stack_loopback(f.stack), &address, 32) == 0);
	server_host_start(f.host, f.stack);
	client_pump = pump;
	CHECK(server_connect(f.server, 0, &fd) == 0 && client_attach_socket(fd, &options, &f.good) == 0);
	CHECK(client_open(f.good, EP_STREAM, &f.listener) == 0 && client_bind(f.good, f.listener, &name) == 0
	      && client_listen(f.good, f.listener, 64) == 0);
}

/* A connection from good to itself and a byte over it. What the hostile program connected is accepted and closed. */
static void good_still_works(void)
{
	struct ep_name name = { .addr = ipaddr_from_ip4(__builtin_bswap32(0x0a000001)), .port = GOOD_PORT };
	uint32_t near, far, tries;
	char byte = 'k';
	struct iovec v = { &byte, 1 };

	if (!client_alive(f.good))
		wrong("the good program lost its daemon");
	while (client_accept(f.good, f.listener, &far) == 0)
		client_close(f.good, far);
	settle();
	if (client_open(f.good, EP_STREAM, &near) != 0 || client_connect(f.good, near, &name) != -EINPROGRESS)
		wrong("the good program cannot connect");
	for (tries = 0; client_accept(f.good, f.listener, &far) != 0; tries++) {
		if (tries == 1000)
			wrong("the good program cannot accept");
		settle();
		f.now += 50 * NSEC_PER_MSEC;
	}
	if (client_send(f.good, near, &v, 1) != 1)
		wrong("the good program cannot send");
	settle();
	byte = 0;
	if (client_recv(f.good, far, &v, 1, 0) != 1 || byte != 'k')
		wrong("the good program cannot receive");
	client_close(f.good, near);
	client_close(f.good, far);
	settle();
}

/* ---- the hostile program's socket ---- */

static void hear(void)
{
	uint8_t bytes[HELLO_PIECE + sizeof(struct welcome)];
	int fds[HELLO_FDS];
	unsigned n, i;
	ssize_t got;

	for (;;) {
		n = HELLO_FDS;
		got = f.socket < 0 ? -1 : hello_recv(f.socket, bytes, sizeof(bytes), fds, &n, NULL);
		if (got <= 0)
			return;
		for (i = 0; i < n; i++)
			close(fds[i]);
	}
}

static void attach(uint16_t kind)
{
	struct hello h = { .magic = HELLO_MAGIC, .version = HELLO_VERSION, .kind = kind };
	int fds[HELLO_FDS];
	unsigned n = HELLO_FDS, i;
	struct welcome w;

	if (f.attached || f.socket < 0 || hello_send(f.socket, &h, sizeof(h), NULL, 0) < 0)
		return;
	settle();
	if (hello_recv(f.socket, &w, sizeof(w), fds, &n, NULL) == sizeof(w) && n == HELLO_REGION_FDS + 1) {
		const struct region_fds r = { fds[0], fds[1], fds[2] };

		f.attached = region_attach(&f.region, &r) == 0;
		f.session = w.session;
		f.bell = dup(fds[3]);
	}
	for (i = 0; i < n; i++)
		close(fds[i]);
}

static void hello_step(struct input *in)
{
	struct hello h = { .magic = HELLO_MAGIC, .version = HELLO_VERSION };
	uint8_t bytes[200];
	size_t n = sizeof(h), i;

	if (f.socket < 0)
		return;
	h.kind = (uint16_t)(number(in, 1) % (HELLO_CONTROL + 2));
	h.a = value(in);
	h.b = value(in);
	memcpy(bytes, &h, sizeof(h));
	if (number(in, 1) & 1) {        /* some other length, some other bytes */
		n = number(in, 1) % sizeof(bytes);
		for (i = sizeof(h); i < n; i++)
			bytes[i] = (uint8_t)number(in, 1);
		if (n)
			bytes[number(in, 1) % n] ^= (uint8_t)number(in, 1);
	}
	hello_send(f.socket, bytes, n, &f.socket, number(in, 1) & 1);
}

/* ---- its lanes ---- */

static bool lane_ready(uint32_t lane)
{
	struct session_page *page = region_session(&f.region, f.session);

	if (!f.mapped[lane]) {
		atomic_fetch_or(&page->lanes_wanted[0], UINT64_C(1) << lane);
		doorbell_ring_control(&f.region, f.session, f.bell);
		settle();
		if (!(atomic_load(&page->lanes_open[0]) >> lane & 1))
			return false;
		f.mapped[lane] = region_map_lane(&f.region, f.session, lane) == 0;
	}
	return f.mapped[lane];
}

static void post(uint32_t lane, const struct request *q)
{
	struct rte_ring *ring = lane_requests(&f.region, f.session, lane);
	struct reply replies[REPLY_SLOTS];

	rte_ring_sp_enqueue_bulk_elem(ring, q, sizeof(*q), 1, NULL);
	doorbell_ring_lane(&f.region, f.session, lane, f.bell);
	rte_ring_sc_dequeue_burst_elem(lane_replies(&f.region, f.session, lane), replies, sizeof(replies[0]), REPLY_SLOTS, NULL);
}

static void request_step(struct input *in)
{
	struct request q = { .op = (uint8_t)(number(in, 1) % (REQ_OPS + 1)) };
	uint32_t lane = (uint32_t)number(in, 1), how = lane >> 1;

	lane %= LANES;
	if (!lane_ready(lane))
		return;
	q.tag = how & 1;
	q.flags = (uint8_t)(how >> 1 & 3);
	q.line = how & 8 ? value(in) : (uint32_t)number(in, 1) % LINES;
	if (q.op == REQ_BIND || q.op == REQ_CONNECT) {
		q.addr = ipaddr_from_ip4(how & 16 ? value(in) : __builtin_bswap32(0x0a000001));
		q.port = (uint16_t)(how & 32 ? value(in) : GOOD_PORT + number(in, 1) % 4);
	} else {
		q.a = value(in);
		q.b = q.op == REQ_OPEN ? region_line(&f.region, q.line % LINES)->generation : value(in);
		q.value = how & 16 ? (int32_t)value(in) : (int64_t)number(in, 1);
	}
	post(lane, &q);
}

/* A line from the stock, opened as a good program would, and bound or connected. */
static void open_step(struct input *in)
{
	struct session_page *page = region_session(&f.region, f.session);
	uint32_t slot = (uint32_t)number(in, 1) % REGION_STOCK, line = atomic_exchange(&page->stock[slot], 0);
	struct request q = { .op = REQ_OPEN, .line = line - 1, .a = number(in, 1) & 1 ? EP_DATAGRAM : EP_STREAM };

	if (!line || line > f.region.lines || !lane_ready(0))
		return;
	q.b = region_line(&f.region, q.line)->generation;
	post(0, &q);
	q = (struct request){ .op = number(in, 1) & 1 ? REQ_CONNECT : REQ_BIND, .line = line - 1,
		.addr = ipaddr_from_ip4(__builtin_bswap32(0x0a000001)), .port = (uint16_t)(GOOD_PORT + number(in, 1) % 4) };
	post(0, &q);
	if (q.op == REQ_BIND) {
		q = (struct request){ .op = REQ_LISTEN, .line = line - 1, .a = 8 };
		post(0, &q);
	}
}

/* ---- its memory ---- */

static void poke(void *base, size_t bytes, struct input *in)
{
	size_t at = number(in, 2) * 4 % bytes;
	uint32_t v = value(in), old;

	memcpy(&old, (uint8_t *)base + at, 4);
	v = number(in, 1) & 1 ? old + v : v;
	memcpy((uint8_t *)base + at, &v, 4);
}

static void memory_step(struct input *in, uint32_t where)
{
	uint32_t lane = (uint32_t)number(in, 1) % LANES;

	switch (where % 6) {
	case 0: case 1:
		poke(region_line(&f.region, (uint32_t)number(in, 1) % LINES), sizeof(struct sock_line), in);
		return;
	case 2: poke(region_session(&f.region, f.session), sizeof(struct session_page), in); return;
	case 3: poke(region_family(&f.region), sizeof(struct family_page), in); return;
	case 4:
		if (lane_ready(lane))
			poke(&lane_requests(&f.region, f.session, lane)->prod, LANE_INDEX_BYTES, in);
		return;
	default:
		if (lane_ready(lane))
			poke(&lane_replies(&f.region, f.session, lane)->prod, LANE_INDEX_BYTES, in);
	}
}

/* Bytes into a send ring, published and told. */
static void send_step(struct input *in)
{
	uint32_t id = (uint32_t)number(in, 1) % LINES;
	struct sock_line *line = region_line(&f.region, id);
	struct request grow = { .op = REQ_GROW_SEND, .line = id, .a = value(in) };
	struct request sent = { .op = REQ_SENT, .line = id };

	if (!lane_ready(0))
		return;
	post(0, &grow);
	settle();
	atomic_fetch_add(&line->send_head, value(in));
	atomic_store(&line->send_posted, 1);
	post(0, &sent);
}

static void step(struct input *in)
{
	uint32_t what = (uint32_t)number(in, 1);

	if (what >= 0xf0) {
		f.now += NSEC_PER_MSEC << (what & 15);
		turn();
	} else if (what >= 0xd0 || !f.attached) {
		hello_step(in);
		settle();
		hear();
	} else if (what >= 0x90) {
		memory_step(in, what);
	} else if (what >= 0x80) {
		send_step(in);
	} else if (what >= 0x60) {
		open_step(in);
	} else {
		request_step(in);
	}
	if (what % 4 != 3)
		settle_for(3);
}

static void begin_program(void)
{
	f.attached = false;
	memset(f.mapped, 0, sizeof(f.mapped));
	f.bell = -1;
	CHECK(server_connect(f.server, 1000, &f.socket) == 0);
}

static void end_program(void)
{
	struct server_stats stats;

	hear();
	close(f.socket);
	if (f.bell >= 0)
		close(f.bell);
	settle();
	/* The last of its connections may be in TIME-WAIT or waiting for an answer that never comes. */
	f.now += 600 * NSEC_PER_SEC;
	settle();
	if (f.attached)
		region_unmap(&f.region);
	check();
	server_stats(f.server, &stats);
	if (stats.sessions != 1 || stats.families != 1)
		wrong("a session is left of a program that is gone");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, size };
	unsigned steps;

	/* One daemon for all inputs: whatever a program did, nothing of it may be left. */
	if (!f.server)
		open_world();
	begin_program();
	if (number(&in, 1) & 7)
		attach(HELLO_ATTACH);
	for (steps = 0; in.left && steps < STEPS_MOST; steps++) {
		step(&in);
		if (steps % 8 == 7)
			check();
	}
	end_program();
	good_still_works();
	check();
	return 0;
}
