/* SPDX-License-Identifier: BSD-3-Clause */
/* Draws a world from a seed and runs it. Sizes are bounded by frames, not by time: virtual time is free. All chance
 * comes from one generator in a fixed order, so that a world does not depend on what happens in it. */
#include "swarm.h"

#include <inttypes.h>
#include <string.h>

#include "check.h"
#include "host.h"
#include "stack/base/check.h"

#define MAX_HOSTS 4u
#define MAX_CORES 4u
#define SHORTAGE UINT64_C(0x73686f7274)
#define USER_TIMEOUT UINT64_C(0x75746f)
#define MAX_CLIENTS 6u
#define BYTES_MOST (UINT64_C(768) << 10)   /* of all talks together, about */
#define LIMIT (6 * 3600 * NSEC_PER_SEC)
#define PORT_FIRST 1000u
#define ECHO_PORT 7u

struct swarm;

/* Something that is done to the world at a time. */
struct trouble {
	struct swarm *swarm;
	enum { CARRIER, LISTENER, ADDRESS, TROUBLES } kind;
	unsigned host;
	nsec at, lasts;
};

struct swarm {
	struct rng rng;
	struct world *world;
	FILE *trace;
	struct world_config config;
	struct tcp_settings tcp;
	struct talk_script scripts[MAX_CLIENTS];
	struct service *services[MAX_CLIENTS];
	unsigned service_hosts[MAX_CLIENTS];
	unsigned clients;
	struct trouble troubles[4];
	unsigned trouble_count;
	bool lossy, corrupts, may_fail;
};

/* ---- chance ---- */

static bool one_in(struct swarm *s, uint64_t n)
{
	return rng_below(&s->rng, n) == 0;
}

static uint64_t between(struct swarm *s, uint64_t least, uint64_t most)
{
	return least + rng_below(&s->rng, most - least + 1);
}

/* Each order of magnitude is as likely as the next. */
static uint64_t magnitude(struct swarm *s, unsigned bits)
{
	return rng_below(&s->rng, UINT64_C(1) << rng_below(&s->rng, bits + 1));
}

/* 0..most, in thousandths of most. */
static double fraction(struct swarm *s, double most)
{
	return most * (double)rng_below(&s->rng, 1001) / 1000;
}

/* ---- cables ---- */

static struct wire_impairment draw_lan(struct swarm *s)
{
	return (struct wire_impairment){ .rate = between(s, 100, 10000) * 1000000,
		.delay = between(s, 1, 200) * NSEC_PER_USEC, .queue_packets = (uint32_t)between(s, 16, 256) };
}

static void draw_discipline(struct swarm *s, struct wire_impairment *i)
{
	i->discipline = (enum wire_discipline)rng_below(&s->rng, WIRE_DISCIPLINES);
	i->ecn = one_in(s, 2);
	i->red_min = (uint32_t)between(s, 2, 40);
	i->red_max = i->red_min + (uint32_t)between(s, 1, 80);
	i->target = magnitude(s, 20) * NSEC_PER_MSEC;
	i->interval = 20 * i->target;
	i->step_packets = (uint32_t)between(s, 1, 60);
	if (one_in(s, 2))
		i->step_delay = between(s, 1, 20) * NSEC_PER_MSEC;
}

static struct wire_impairment draw_wan(struct swarm *s)
{
	struct wire_impairment i = { .rate = between(s, 5, 200) * 1000000,
		.delay = between(s, 1, 80) * NSEC_PER_MSEC, .jitter = magnitude(s, 3) * NSEC_PER_MSEC,
		.queue_packets = (uint32_t)between(s, 16, 256),
		.loss = one_in(s, 2) ? fraction(s, 0.02) : 0 };

	if (one_in(s, 3))
		draw_discipline(s, &i);
	if (one_in(s, 5))
		i.hold = between(s, 1, 30) * NSEC_PER_MSEC;
	return i;
}

static struct wire_impairment draw_bad(struct swarm *s)
{
	struct wire_impairment i = { .delay = between(s, 5, 150) * NSEC_PER_MSEC };

	if (one_in(s, 2)) {
		i.rate = between(s, 500, 20000) * 1000;
		i.queue_bytes = (uint32_t)between(s, 10, 200) * 1000;
	}
	if (one_in(s, 2))
		i.jitter = between(s, 1, 40) * NSEC_PER_MSEC;
	if (one_in(s, 2))
		i.loss = fraction(s, 0.06);
	if (one_in(s, 2))
		i.duplicate = fraction(s, 0.05);
	if (one_in(s, 2))
		i.reorder = fraction(s, 0.1);
	if (one_in(s, 2))
		i.corrupt = fraction(s, 0.02);
	if (one_in(s, 4)) {
		i.burst_enter = fraction(s, 0.01);
		i.burst_leave = 0.2 + fraction(s, 0.5);
		i.burst_loss = 1;
	}
	if (i.rate && one_in(s, 3))
		draw_discipline(s, &i);
	return i;
}

/* What no network should be like: a connection may well give up. */
static struct wire_impairment draw_awful(struct swarm *s)
{
	struct wire_impairment i = draw_bad(s);

	s->may_fail = true;
	if (one_in(s, 2)) {
		i.rate = between(s, 30, 500) * 1000;
		i.queue_packets = (uint32_t)between(s, 1, 8);
		i.queue_bytes = 0;
	}
	if (one_in(s, 2))
		i.loss = fraction(s, 0.2);
	if (one_in(s, 3))
		i.jitter = between(s, 100, 2000) * NSEC_PER_MSEC;
	if (one_in(s, 3)) {
		i.reorder = fraction(s, 0.5);
		i.reorder_delay = magnitude(s, 30);
	}
	return i;
}

static void say_impairment(FILE *f, unsigned host, unsigned d, const struct wire_impairment *i)
{
	fprintf(f, "# host %u %s: rate %" PRIu64 " delay %" PRIu64 " jitter %" PRIu64 " queue %u/%u loss %g"
		" duplicate %g reorder %g corrupt %g burst %g discipline %d hold %" PRIu64 "\n", host, d ? "down" : "up",
		i->rate, i->delay, i->jitter, i->queue_packets, i->queue_bytes, i->loss, i->duplicate, i->reorder,
		i->corrupt, i->burst_enter, (int)i->discipline, i->hold);
}

static void draw_cables(struct swarm *s)
{
	uint64_t kind = rng_below(&s->rng, 10);
	unsigned h, d;

	for (h = 0; h < s->config.hosts; h++) {
		for (d = 0; d < 2; d++) {
			struct wire_impairment i = { .delay = 10 * NSEC_PER_USEC };

			if (kind >= 9 && !one_in(s, 3))
				i = draw_awful(s);
			else if (kind >= 7 && !one_in(s, 3))
				i = draw_bad(s);
			else if (kind >= 4)
				i = draw_wan(s);
			else if (kind >= 1)
				i = draw_lan(s);
			if (i.rate || i.loss > 0 || i.burst_enter > 0 || i.corrupt > 0)
				s->lossy = true;
			if (i.corrupt > 0)
				s->corrupts = true;
			wire_impair(world_wire(s->world), h, d, &i);
			if (s->trace)
				say_impairment(s->trace, h, d, &i);
		}
	}
}

static void know(struct host *h, struct ipaddr addr, const uint8_t mac[6])
{
	unsigned core;

	for (core = 0; core < h->core_count; core++)
		stack_add_neighbour(h->cores[core], h->interface, &addr, mac);
}

/* An ARP exchange that is lost a few times over is a failed connection, rightly. So where frames get lost either
 * everybody knows everybody, or connections may fail. */
static void draw_neighbours(struct swarm *s)
{
	unsigned a, b;

	if (!s->lossy)
		return;
	if (one_in(s, 4)) {
		s->may_fail = true;
		return;
	}
	for (a = 0; a < s->config.hosts; a++)
		for (b = 0; b < s->config.hosts; b++)
			if (a != b)
				know(world_host(s->world, a), world_host(s->world, b)->addr,
					wire_link(world_wire(s->world), b)->mac);
}

/* ---- hosts ---- */

/* How windows grow and shrink, and what is negotiated for it. */
static void draw_congestion(struct swarm *s)
{
	static const char *const names[] = { "newreno", "cubic", "bbr", "dctcp" };
	struct tcp_settings *t = &s->tcp;

	if (one_in(s, 2))
		t->cc = names[rng_below(&s->rng, 4)];
	if (one_in(s, 2))
		t->ecn = (enum tcp_ecn)rng_below(&s->rng, TCP_ECN_END);
	if (one_in(s, 4))
		t->mtu_probing = (uint32_t)between(s, 0, 2);
}

static void draw_tcp(struct swarm *s)
{
	struct tcp_settings *t = &s->tcp;

	if (one_in(s, 4))
		tcp_settings_standard(t);
	else
		tcp_settings_linux(t);
	if (one_in(s, 4))
		t->timestamps = false;
	if (one_in(s, 4))
		t->window_scaling = false;
	if (one_in(s, 4))
		t->sack = false;
	if (one_in(s, 3))
		t->initial_window = (uint32_t)between(s, 1, 10);
	if (one_in(s, 4))
		t->receive_buffer_initial = t->receive_buffer_max = 2048u << rng_below(&s->rng, 8);
	if (one_in(s, 4))
		t->send_buffer_initial = t->send_buffer_max = 4096u << rng_below(&s->rng, 8);
	if (one_in(s, 6))
		t->max_time_wait = (uint32_t)between(s, 1, 16);
	draw_congestion(s);
	if (one_in(s, 4))
		t->syn_cookies = (uint32_t)rng_below(&s->rng, TCP_COOKIES_ALWAYS + 1);
}

/* From chance of its own: what else a seed draws does not change with it. */
static void draw_shortage(struct swarm *s)
{
	struct tcp_settings *t = &s->tcp;
	struct rng rng;

	rng_seed_u64(&rng, s->config.seed ^ SHORTAGE);
	if (rng_below(&rng, 3) == 0) {
		t->memory_high = UINT64_C(16384) << rng_below(&rng, 8);
		t->memory_pressure = t->memory_high / 4 * (1 + rng_below(&rng, 3));
		t->memory_low = t->memory_pressure / 4 * rng_below(&rng, 5);
	}
	if (rng_below(&rng, 6) == 0)
		s->config.packets = 512u << rng_below(&rng, 3);
}

/* So does this: the option of RFC 5482, with timeouts after which nobody gives up who would not anyway. */
static void draw_user_timeout(struct swarm *s)
{
	struct rng rng;

	rng_seed_u64(&rng, s->config.seed ^ USER_TIMEOUT);
	if (rng_below(&rng, 3) != 0)
		return;
	s->tcp.uto_lower = (1000 + rng_below(&rng, 1000)) * NSEC_PER_SEC;
	s->tcp.uto_upper = s->tcp.uto_lower + rng_below(&rng, 3000) * NSEC_PER_SEC;
	s->tcp.adv_uto = 1 + rng_below(&rng, 50000 * NSEC_PER_SEC);
}

static void draw_hosts(struct swarm *s)
{
	static const uint32_t flags[] = { 0, LINK_TX_CSUM | LINK_RX_CSUM, LINK_TX_CSUM,
		LINK_TSO | LINK_TX_CSUM | LINK_RX_CSUM, LINK_TSO | LINK_TX_CSUM };
	static const uint16_t mtus[] = { 1500, 1500, 1500, 576, 9000, 1280 };
	unsigned i;

	s->config.hosts = (unsigned)between(s, 2, MAX_HOSTS);
	s->config.link_flags = flags[rng_below(&s->rng, 5)];
	s->config.mtu = mtus[rng_below(&s->rng, 6)];
	s->config.packets = s->config.link_flags & LINK_TSO ? 4096 : 8192;
	s->config.max_endpoints = 1024;
	s->config.loopback_packets = 64;
	s->config.check_every = 1;
	if (one_in(s, 3))
		for (i = 0; i < s->config.hosts; i++)
			s->config.cores[i] = (uint8_t)between(s, 1, MAX_CORES);
	draw_tcp(s);
	draw_shortage(s);
	draw_user_timeout(s);
}

/* ---- applications ---- */

static struct talk_habits draw_habits(struct swarm *s, uint64_t bytes)
{
	struct talk_habits h = { 0 };

	if (one_in(s, 2))
		h.chunk = (uint32_t)magnitude(s, 16) + 1;
	if (h.chunk && bytes / h.chunk > 4096)
		h.chunk = 0;
	if (one_in(s, 5) && h.chunk)
		h.read_pause = magnitude(s, 26);
	if (one_in(s, 5) && h.chunk)
		h.write_pause = magnitude(s, 26);
	if (one_in(s, 6))
		h.receive_buffer = 2048u << rng_below(&s->rng, 7);
	if (one_in(s, 6))
		h.send_buffer = 4096u << rng_below(&s->rng, 6);
	h.nodelay = one_in(s, 2);
	if (one_in(s, 12) && bytes > 1)
		h.abort_after = 1 + rng_below(&s->rng, bytes);
	return h;
}

static void draw_script(struct swarm *s, struct talk_script *t, uint16_t port, uint64_t most)
{
	*t = (struct talk_script){ .port = port, .kind = (enum talk_kind)rng_below(&s->rng, TALK_KINDS) };
	t->bytes = magnitude(s, 20);
	if (t->bytes > most)
		t->bytes = most;
	if (t->kind == TALK_ASK) {
		t->rounds = (uint32_t)between(s, 1, 20);
		t->ask = (uint32_t)magnitude(s, 11) + 1;
		t->answer = (uint32_t)magnitude(s, 14) + 1;
	}
	t->half_close = one_in(s, 2);
	if (one_in(s, 4))
		t->hold = magnitude(s, 34);
	t->client = draw_habits(s, t->bytes);
	t->server = draw_habits(s, t->bytes);
}

static void draw_client(struct swarm *s, unsigned i)
{
	struct talk_script *t = &s->scripts[i];
	unsigned server = (unsigned)rng_below(&s->rng, s->config.hosts);
	unsigned client = (unsigned)rng_below(&s->rng, s->config.hosts);
	struct client_plan p = { .server = world_host(s->world, server)->addr, .script = t };

	p.connections = magnitude(s, 5) + 1;
	p.together = (uint32_t)between(s, 1, 8);
	p.start = magnitude(s, 32);
	p.stagger = magnitude(s, 24);
	p.pause = magnitude(s, 28);
	p.bind_first = one_in(s, 4);
	draw_script(s, t, (uint16_t)(PORT_FIRST + i), BYTES_MOST / s->clients / p.connections);
	s->service_hosts[i] = server;
	s->services[i] = host_serve(world_host(s->world, server), t, (uint32_t)between(s, 8, 128));
	host_connect(world_host(s->world, client), &p);
	if (s->trace)
		fprintf(s->trace, "# host %u -> host %u port %u: kind %d, %" PRIu64 " x %" PRIu64
			" bytes, ask %u answer %u rounds %u, half close %d, together %u, aborts %" PRIu64 "/%"
			PRIu64 ", bound %d\n", client, server, t->port, (int)t->kind, p.connections, t->bytes, t->ask,
			t->answer, t->rounds, t->half_close, p.together, t->client.abort_after,
			t->server.abort_after, p.bind_first);
}

static void draw_pings(struct swarm *s)
{
	unsigned to = (unsigned)rng_below(&s->rng, s->config.hosts);
	struct ping_plan p = { .server = world_host(s->world, to)->addr, .port = ECHO_PORT,
		.bytes = (uint32_t)between(s, 16, 4000), .count = between(s, 1, 50),
		.start = magnitude(s, 30), .interval = magnitude(s, 28), .may_lie = s->corrupts };

	if (one_in(s, 2))
		return;
	if (!one_in(s, 8) && !host_echo(world_host(s->world, to), ECHO_PORT))
		world_fail(s->world, "host %u has no UDP port %u", to, ECHO_PORT);
	host_ping(world_host(s->world, (unsigned)rng_below(&s->rng, s->config.hosts)), &p);
}

/* ---- trouble ---- */

static void trouble_ends(void *context, uint64_t argument)
{
	struct trouble *t = context;
	struct host *h = world_host(t->swarm->world, t->host);
	unsigned i;

	(void)argument;
	host_touch(h);
	if (t->kind == CARRIER)
		wire_set_up(world_wire(h->world), t->host, true);
	for (i = 0; t->kind == ADDRESS && i < h->core_count; i++)
		if (stack_add_address(h->cores[i], h->interface, &h->addr, 24) != 0)
			world_fail(h->world, "host %u: its address does not come back", t->host);
	for (i = 0; t->kind == LISTENER && i < t->swarm->clients; i++)
		if (t->swarm->service_hosts[i] == t->host && !host_service_listens(t->swarm->services[i])
		    && !host_service_start(t->swarm->services[i]))
			world_fail(h->world, "host %u: port %u cannot be listened on again", t->host,
				t->swarm->scripts[i].port);
}

static void trouble_begins(void *context, uint64_t argument)
{
	struct trouble *t = context;
	struct host *h = world_host(t->swarm->world, t->host);
	unsigned i;

	(void)argument;
	host_touch(h);
	if (t->kind == CARRIER)
		wire_set_up(world_wire(h->world), t->host, false);
	for (i = 0; t->kind == ADDRESS && i < h->core_count; i++)
		if (stack_remove_address(h->cores[i], h->interface, &h->addr) != 0)
			world_fail(h->world, "host %u: its address cannot be removed", t->host);
	for (i = 0; t->kind == LISTENER && i < t->swarm->clients; i++)
		if (t->swarm->service_hosts[i] == t->host)
			host_service_stop(t->swarm->services[i]);
	world_at(h->world, world_now(h->world) + t->lasts, trouble_ends, t, 0);
}

/* One trouble a host, so that none ends what another began. */
static void draw_trouble(struct swarm *s)
{
	unsigned i;

	if (!one_in(s, 3))
		return;
	s->may_fail = true;
	s->trouble_count = (unsigned)between(s, 1, s->config.hosts);
	for (i = 0; i < s->trouble_count; i++) {
		struct trouble *t = &s->troubles[i];

		*t = (struct trouble){ .swarm = s, .host = i, .at = magnitude(s, 33), .lasts = magnitude(s, 34) };
		t->kind = rng_below(&s->rng, TROUBLES);
		world_at(s->world, t->at, trouble_begins, t, 0);
		if (s->trace)
			fprintf(s->trace, "# host %u: trouble %d at %.6f s for %.6f s\n", i, (int)t->kind,
				(double)t->at / 1e9, (double)t->lasts / 1e9);
	}
}

/* ---- public ---- */

static void collect(struct swarm *s, struct swarm_result *r)
{
	unsigned i;

	r->hash = world_hash(s->world);
	r->frames = world_frames(s->world);
	r->turns = world_turns(s->world);
	r->time = world_now(s->world);
	for (i = 0; i < s->config.hosts; i++) {
		const struct host_stats *h = &world_host(s->world, i)->stats;

		r->completed += h->completed;
		r->failed += h->failed;
		r->aborted += h->aborted;
		r->bytes += h->bytes_received;
		r->pings += h->pings_answered;
	}
	if (world_failure(s->world))
		snprintf(r->failure, sizeof(r->failure), "%s", world_failure(s->world));
}

bool swarm_run(uint64_t seed, FILE *trace, struct swarm_result *result)
{
	struct swarm s = { .trace = trace };
	unsigned i;

	memset(result, 0, sizeof(*result));
	rng_seed_u64(&s.rng, seed);
	s.config = (struct world_config){ .seed = seed, .trace = trace, .tcp = &s.tcp };
	draw_hosts(&s);
	s.world = world_new(&s.config);
	CHECK(s.world);
	if (trace)
		fprintf(trace, "# seed %" PRIu64 ": %u hosts, %u packets, %" PRIu64 " bytes of buffers, mtu %u, link flags %u, cores %u %u %u %u\n", seed,
			s.config.hosts, s.config.packets, s.tcp.memory_high, s.config.mtu, s.config.link_flags, s.config.cores[0], s.config.cores[1],
			s.config.cores[2], s.config.cores[3]);
	draw_cables(&s);
	draw_neighbours(&s);
	draw_trouble(&s);
	s.clients = (unsigned)between(&s, 1, MAX_CLIENTS);
	for (i = 0; i < s.clients; i++)
		draw_client(&s, i);
	for (i = 0; i < s.clients; i++)
		s.scripts[i].may_fail = s.may_fail;
	draw_pings(&s);
	check_finish(s.world, LIMIT);
	collect(&s, result);
	world_free(s.world);
	return !result->failure[0];
}

bool swarm_run_twice(uint64_t seed, struct swarm_result *result)
{
	struct swarm_result again;

	if (!swarm_run(seed, NULL, result))
		return false;
	swarm_run(seed, NULL, &again);
	if (again.hash == result->hash && again.frames == result->frames && again.time == result->time)
		return true;
	snprintf(result->failure, sizeof(result->failure), "the same seed gave other bytes: hash %016" PRIx64
		" after %" PRIu64 " frames, then %016" PRIx64 " after %" PRIu64, result->hash, result->frames,
		again.hash, again.frames);
	return false;
}
