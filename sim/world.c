/* SPDX-License-Identifier: BSD-3-Clause */
/* The clock and the queue of what is due. At each instant: frames first, then the applications' timers, then
 * turns of the stacks in the order of the hosts, until nothing more is due at that instant. */
#include "world.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "heap.h"
#include "host.h"
#include "stack/base/check.h"
#include "trace.h"

#define TURNS_AT_ONCE 4000000u  /* at one instant of time: more is an endless loop */
#define PROGRESS_INTERVAL NSEC_PER_SEC

struct event {
	void (*what)(void *context, uint64_t argument);
	void *context;
	uint64_t argument;
	struct event *next;
};

struct world {
	struct world_config config;
	struct tcp_settings tcp;
	nsec now;
	struct wire *wire;
	struct host *hosts[WIRE_MAX_PORTS];
	struct heap due;
	uint64_t order;
	struct event *free_events;
	struct rng rng;
	uint64_t hash, frames, turns;
	nsec progress_at, done;
	void (*came)(void *context, unsigned host, nsec now, const struct pkt *);
	void *came_context;
	char *failure;
};

/* Words of eight bytes, as fast as they are read; not for secrets. */
static uint64_t mix(uint64_t hash, uint64_t word)
{
	hash = (hash ^ word) * UINT64_C(0x9fb21c651e98df25);
	return hash ^ hash >> 29;
}

static void frame_seen(void *context, unsigned port, nsec now, const struct pkt *p)
{
	struct world *w = context;
	uint64_t hash = mix(mix(w->hash, now), (uint64_t)port << 32 | p->len), word;
	uint32_t i;

	for (i = 0; i + 8 <= p->len; i += 8) {
		memcpy(&word, p->data + i, 8);
		hash = mix(hash, word);
	}
	for (word = 0; i < p->len; i++)
		word = word << 8 | p->data[i];
	w->hash = mix(hash, word);
	w->frames++;
	if (w->came)
		w->came(w->came_context, port, now, p);
	if (w->config.trace)
		trace_frame(w->config.trace, now, port, p);
}

void world_at(struct world *w, nsec when, void (*what)(void *, uint64_t), void *context, uint64_t argument)
{
	struct event *e = w->free_events;

	CHECK(when >= w->now);
	if (e)
		w->free_events = e->next;
	else
		CHECK((e = malloc(sizeof(*e))));
	*e = (struct event){ .what = what, .context = context, .argument = argument };
	heap_push(&w->due, when, w->order++, e);
}

void world_fail(struct world *w, const char *format, ...)
{
	char text[512];
	va_list args;
	int n;

	if (w->failure)
		return;
	n = snprintf(text, sizeof(text), "%.9f s: ", (double)w->now / (double)NSEC_PER_SEC);
	va_start(args, format);
	vsnprintf(text + n, sizeof(text) - (size_t)n, format, args);
	va_end(args);
	w->failure = strdup(text);
	CHECK(w->failure);
	if (w->config.trace)
		fprintf(w->config.trace, "FAILURE %s\n", text);
}

static void run_events(struct world *w)
{
	while (heap_first(&w->due) <= w->now && !w->failure) {
		struct event *e = heap_pop(&w->due).item, copy = *e;

		e->next = w->free_events;
		w->free_events = e;
		copy.what(copy.context, copy.argument);
	}
}

/* One turn of each host that has something to do; false: none had. */
static bool turn_hosts(struct world *w)
{
	bool worked = false;
	unsigned i;

	for (i = 0; i < w->config.hosts && !w->failure; i++) {
		if (!host_due(w->hosts[i], w->now))
			continue;
		worked = true;
		w->turns++;
		host_turn(w->hosts[i], w->now);
		check_turn(w, w->hosts[i]);
	}
	return worked;
}

/* All that is due at w->now. */
static void instant(struct world *w)
{
	uint64_t most = w->turns + TURNS_AT_ONCE;

	do {
		wire_advance(w->wire, w->now);
		run_events(w);
		if (w->turns > most)
			world_fail(w, "the world turns and turns without time passing");
	} while (!w->failure && (turn_hosts(w) || heap_first(&w->due) <= w->now));
	if (!w->failure && w->now >= w->progress_at) {
		check_progress(w);
		w->progress_at = w->now + PROGRESS_INTERVAL;
	}
}

nsec world_deadline(const struct world *w)
{
	nsec first = heap_first(&w->due), d = wire_deadline(w->wire);
	unsigned i;

	first = d < first ? d : first;
	for (i = 0; i < w->config.hosts; i++) {
		d = host_due(w->hosts[i], w->now) ? w->now : host_deadline(w->hosts[i]);
		first = d < first ? d : first;
	}
	return first < w->now ? w->now : first;
}

bool world_run_while(struct world *w, nsec limit, bool (*more)(void *), void *context)
{
	while (!w->failure && (!more || more(context))) {
		nsec next = world_deadline(w);

		if (next == NSEC_NEVER || next > limit)
			break;
		w->now = next;
		instant(w);
	}
	return !w->failure;
}

bool world_run_until(struct world *w, nsec until)
{
	if (!world_run_while(w, until, NULL, NULL))
		return false;
	w->now = until > w->now ? until : w->now;
	wire_advance(w->wire, w->now);
	return true;
}

static bool add_host(struct world *w, unsigned number)
{
	struct link *link = wire_link(w->wire, number);

	if (w->config.wrap)
		link = w->config.wrap(w->config.wrap_context, number, link);
	w->hosts[number] = link ? host_new(w, number, &w->config, link) : NULL;
	return w->hosts[number] != NULL;
}

struct world *world_new(const struct world_config *c)
{
	struct wire_config wire = { .ports = c->hosts + c->extra_ports, .packets = c->packets, .mtu = c->mtu,
		.flags = c->link_flags, .seed = c->seed };
	struct world *w = calloc(1, sizeof(*w));
	unsigned i;

	if (!w)
		return NULL;
	w->config = *c;
	tcp_settings_linux(&w->tcp);
	if (c->tcp)
		w->tcp = *c->tcp;
	w->config.tcp = &w->tcp;
	rng_seed_u64(&w->rng, c->seed);
	w->progress_at = PROGRESS_INTERVAL;
	for (i = 0; i < WIRE_MAX_PORTS && c->cores[i] <= STEER_CORES; i++)
		;
	w->wire = c->hosts && i == WIRE_MAX_PORTS ? wire_new(&wire) : NULL;
	if (!w->wire) {
		free(w);
		return NULL;
	}
	wire_observe(w->wire, frame_seen, w);
	for (i = 0; i < c->hosts; i++) {
		if (!add_host(w, i)) {
			world_free(w);
			return NULL;
		}
	}
	return w;
}

void world_free(struct world *w)
{
	struct event *e;
	unsigned i;

	if (!w)
		return;
	for (i = 0; i < w->config.hosts; i++)
		host_free(w->hosts[i]);
	while (w->due.count) {
		e = heap_pop(&w->due).item;
		free(e);
	}
	while ((e = w->free_events)) {
		w->free_events = e->next;
		free(e);
	}
	heap_free(&w->due);
	wire_free(w->wire);
	free(w->failure);
	free(w);
}

nsec world_now(const struct world *w)
{
	return w->now;
}

struct wire *world_wire(struct world *w)
{
	return w->wire;
}

struct host *world_host(struct world *w, unsigned number)
{
	CHECK(number < w->config.hosts);
	return w->hosts[number];
}

unsigned world_hosts(const struct world *w)
{
	return w->config.hosts;
}

struct rng *world_rng(struct world *w)
{
	return &w->rng;
}

uint32_t world_check_every(const struct world *w)
{
	return w->config.check_every;
}

const struct tcp_settings *world_tcp(const struct world *w)
{
	return &w->tcp;
}

const char *world_failure(const struct world *w)
{
	return w->failure;
}

uint64_t world_hash(const struct world *w)
{
	return w->hash;
}

nsec world_done(const struct world *w)
{
	return w->done;
}

void world_note_done(struct world *w)
{
	w->done = w->now;
}

uint64_t world_turns(const struct world *w)
{
	return w->turns;
}

uint64_t world_frames(const struct world *w)
{
	return w->frames;
}

void world_watch(struct world *w, void (*came)(void *, unsigned, nsec, const struct pkt *), void *context)
{
	w->came = came;
	w->came_context = context;
}
