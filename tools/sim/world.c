/* SPDX-License-Identifier: BSD-3-Clause */
/* One world as the command line describes it, and what came of it. */
#include "sim.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "io/capture.h"
#include "sim/check.h"

static struct world *the_world;   /* the captures' clock; NULL while it is being made */

static nsec virtual_clock(void *context)
{
	(void)context;
	return the_world ? world_now(the_world) : 0;
}

struct link *sim_wrap(void *context, unsigned host, struct link *inner)
{
	const struct capture_config config = { .clock = virtual_clock };
	struct sim_options *o = context;
	struct link *link = inner;
	unsigned i;
	int r;

	for (i = 0; i < o->capture_count; i++) {
		struct sim_capture *c = &o->captures[i];

		if (c->host != host)
			continue;
		link = c->link = capture_new(link, &config);
		if (!link)
			return NULL;
		r = capture_start(link, c->path, 0);
		if (r != 0) {
			fprintf(stderr, "light-sim: %s: %s\n", c->path, strerror(-r));
			exit(2);
		}
	}
	return link;
}

int sim_stop_captures(struct sim_options *o)
{
	int status = 0, r;
	unsigned i;

	/* The last was made around the one before. */
	for (i = o->capture_count; i-- > 0;) {
		r = capture_stop(o->captures[i].link);
		if (r != 0) {
			fprintf(stderr, "light-sim: %s: %s\n", o->captures[i].path, strerror(-r));
			status = 1;
		}
		capture_free(o->captures[i].link);
	}
	return status;
}

static void populate(struct sim_options *o, struct world *w)
{
	struct client_plan plan = { .script = &o->script, .connections = o->connections, .together = o->together,
		.bind_first = o->bind_first };
	struct ping_plan ping = { .port = 7, .bytes = o->ping_bytes, .count = o->pings,
		.interval = 10 * NSEC_PER_MSEC, .may_lie = o->cable.corrupt > 0 };
	struct host *server = world_host(w, 0);
	unsigned i, d;

	for (i = 0; i < world_hosts(w); i++)
		for (d = 0; d < 2; d++)
			wire_impair(world_wire(w), i, d, &o->cable);
	plan.server = ping.server = server->addr;
	host_serve(server, &o->script, 4096);
	if (o->pings && !host_echo(server, ping.port))
		world_fail(w, "host 0 has no UDP port %u", ping.port);
	for (i = 1; i < world_hosts(w); i++) {
		if (o->connections)
			host_connect(world_host(w, i), &plan);
		if (o->pings)
			host_ping(world_host(w, i), &ping);
	}
}

static double milliseconds(nsec t)
{
	return (double)t / 1e6;
}

static void print_host(const struct host *h)
{
	const struct host_stats *s = &h->stats;
	struct stack_counter c;
	unsigned i;

	printf("host %u: %" PRIu64 " talks complete, %" PRIu64 " failed, %" PRIu64 " aborted; sent %" PRIu64
	       " bytes, received %" PRIu64 "\n", h->number, s->completed, s->failed, s->aborted, s->bytes_sent,
	       s->bytes_received);
	if (s->data_segments)
		printf("  %" PRIu64 " data segments, %" PRIu64 " sent again (%.2f %%)\n", s->data_segments,
		       s->retransmitted, 100.0 * (double)s->retransmitted / (double)s->data_segments);
	if (s->rtt_count)
		printf("  round trip %.3f / %.3f / %.3f ms (least, mean, most)\n", milliseconds(s->rtt_min),
		       milliseconds(s->rtt_sum / s->rtt_count), milliseconds(s->rtt_max));
	if (s->pings_sent)
		printf("  %" PRIu64 " of %" PRIu64 " datagrams came back, %.3f / %.3f / %.3f ms\n",
		       s->pings_answered, s->pings_sent, milliseconds(s->ping_min),
		       milliseconds(s->pings_answered ? s->ping_sum / s->pings_answered : 0),
		       milliseconds(s->ping_max));
	for (i = 0; host_counter(h, i, &c); i++)
		if (c.value)
			printf("  %10" PRIu64 "  %s\n", c.value, c.sentence);
}

static void print_wire(const struct wire *wire)
{
	unsigned i;

	printf("wire:");
	for (i = 0; i < WIRE_COUNTS; i++)
		if (wire_count(wire, i))
			printf(" %" PRIu64 " %s", wire_count(wire, i), wire_count_name(i));
	printf("\n");
}

struct world *sim_world_made(const struct world_config *c)
{
	the_world = world_new(c);
	return the_world;
}

void sim_world_gone(void)
{
	world_free(the_world);
	the_world = NULL;
}

static double seconds_of(const struct timespec *a, const struct timespec *b)
{
	return (double)(b->tv_sec - a->tv_sec) + (double)(b->tv_nsec - a->tv_nsec) / 1e9;
}

int sim_world(struct sim_options *o)
{
	struct timespec began, ended;
	uint64_t bytes = 0;
	int status = 0;
	unsigned i;

	o->world.tcp = &o->tcp;
	o->world.wrap = sim_wrap;
	o->world.wrap_context = o;
	o->world.trace = o->trace ? stdout : NULL;
	clock_gettime(CLOCK_MONOTONIC, &began);
	if (!sim_world_made(&o->world)) {
		fprintf(stderr, "light-sim: cannot make this world (congestion control '%s'?)\n",
			o->tcp.cc ? o->tcp.cc : "default");
		return 2;
	}
	populate(o, the_world);
	check_finish(the_world, o->limit);
	clock_gettime(CLOCK_MONOTONIC, &ended);
	for (i = 0; i < world_hosts(the_world); i++) {
		print_host(world_host(the_world, i));
		bytes += world_host(the_world, i)->stats.bytes_received;
	}
	print_wire(world_wire(the_world));
	printf("%" PRIu64 " bytes in %.6f s of virtual time: %.3f Mbit/s; %" PRIu64 " frames, %" PRIu64
	       " turns in %.2f s; hash %016" PRIx64 "\n", bytes, (double)world_done(the_world) / 1e9,
	       world_done(the_world) ? (double)bytes * 8e3 / (double)world_done(the_world) : 0.0,
	       world_frames(the_world), world_turns(the_world), seconds_of(&began, &ended),
	       world_hash(the_world));
	if (world_failure(the_world)) {
		printf("FAILED: %s\n", world_failure(the_world));
		status = 1;
	}
	sim_world_gone();
	return sim_stop_captures(o) ? 1 : status;
}
