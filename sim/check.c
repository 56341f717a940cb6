/* SPDX-License-Identifier: BSD-3-Clause */
/* The invariants of a world. They use what any host could ask of a stack (stack_check, stack_memory, ep_info), so
 * that they hold for every implementation behind these calls. */
#include "check.h"

#include <inttypes.h>

#define IDLE_TURNS_MOST 64u             /* due in a row, each without anything to do */
#define STALL_SLACK (2 * NSEC_PER_SEC)  /* how often we look, and delayed ACKs */
#define QUIET (300 * NSEC_PER_SEC)      /* TIME-WAIT, FIN-WAIT-2, SYN-ACK and orphan retries, reassembly */

static void check_packets(struct world *w)
{
	struct wire *wire = world_wire(w);
	uint32_t held = 0, i;
	const char *wrong;

	for (i = 0; i < world_hosts(w); i++) {
		const struct host *h = world_host(w, i);
		unsigned core;

		for (core = 0; core < h->core_count; core++) {
			struct stack_memory m;

			stack_memory(h->cores[core], &m);
			held += m.packets_held;
		}
		if (h->dealer)
			held += dealer_held(h->dealer);
	}
	if (held != wire_outstanding(wire))
		world_fail(w, "hosts hold %u packets, but admit to %u", wire_outstanding(wire), held);
	if ((wrong = wire_check(wire)))
		world_fail(w, "%s", wrong);
}

void check_turn(struct world *w, struct host *h)
{
	uint32_t every = world_check_every(w);
	const char *wrong;
	unsigned core;

	if (h->idle_turns > IDLE_TURNS_MOST)
		world_fail(w, "host %u asks for turns and has nothing to do in them", h->number);
	if (!every || h->turns % every != 0)
		return;
	for (core = 0; core < h->core_count; core++)
		if ((wrong = stack_check(h->cores[core])))
			world_fail(w, "host %u, core %u: %s", h->number, core, wrong);
	/* wire_check walks whole queues, so it looks only now and then. */
	if (h->turns % 64 == 0)
		check_packets(w);
}

/* A connection that has bytes to send must send something within its time-out, as often as it backed off. An ACK that
 * moves on starts the time-out anew (RFC 6298 5.3). */
static void check_talk(struct world *w, const struct tcp_settings *tcp, struct talk *t)
{
	nsec now = world_now(w), allowed;
	struct ep_info i;
	unsigned shift;

	if (t->state == TALK_FREE || ep_info(t->stack, t->ep, &i) != 0)
		return;
	if (i.send_queued == 0 || i.state == TCP_SYN_SENT || i.segments_sent != t->seen_segments
	    || i.bytes_acked != t->seen_acked) {
		t->seen_segments = i.segments_sent;
		t->seen_acked = i.bytes_acked;
		t->seen_at = now;
		return;
	}
	shift = i.backoff > i.probes ? i.backoff : i.probes;
	allowed = shift > 20 || i.rto << shift > tcp->rto_max ? tcp->rto_max : i.rto << shift;
	if (now - t->seen_at > allowed + STALL_SLACK)
		world_fail(w, "host %u, port %u > %u: %u bytes to send, nothing sent for %.3f s (RTO %.3f s, backed off %u times)",
			t->host->number, i.local.port, i.peer.port, i.send_queued,
			(double)(now - t->seen_at) / 1e9, (double)i.rto / 1e9, shift);
}

void check_progress(struct world *w)
{
	unsigned i;

	if (!world_check_every(w))
		return;
	for (i = 0; i < world_hosts(w); i++) {
		struct host *h = world_host(w, i);
		struct talk *t;

		for (t = h->all_talks; t; t = t->all_next)
			check_talk(w, world_tcp(w), t);
	}
}

static bool unfinished(void *context)
{
	struct world *w = context;
	unsigned i;

	for (i = 0; i < world_hosts(w); i++)
		if (world_host(w, i)->busy || world_host(w, i)->talks)
			return true;
	return false;
}

static void say_unfinished(struct world *w)
{
	unsigned i;

	for (i = 0; i < world_hosts(w); i++) {
		struct host *h = world_host(w, i);
		struct talk *t;

		for (t = h->all_talks; t; t = t->all_next) {
			struct ep_info info = { 0 };

			if (t->state == TALK_FREE)
				continue;
			ep_info(t->stack, t->ep, &info);
			world_fail(w, "host %u is not done: %u clients, %u talks; a %s of port %u, TCP state %d,"
				" sent %" PRIu64 ", received %" PRIu64 ", %u unacknowledged, next %.3f s",
				i, h->busy, h->talks, t->client ? "client" : "server", t->script->port,
				(int)info.state, t->sent, t->received, info.send_queued,
				world_deadline(w) == NSEC_NEVER ? -1.0 : (double)world_deadline(w) / 1e9);
		}
		if (h->busy)
			world_fail(w, "host %u is not done: %u clients", i, h->busy);
	}
}

static void check_core_empty(struct world *w, unsigned i, unsigned core)
{
	const struct host *h = world_host(w, i);
	struct stack_memory m;
	unsigned port;

	stack_memory(h->cores[core], &m);
	if (m.endpoints || m.connections || m.half_open || m.time_wait || m.packets_held || m.fragments_held || m.extents_lent)
		world_fail(w, "host %u, core %u at the end: %u endpoints, %u connections, %u half open, %u in TIME-WAIT,"
			" %u packets, %u bytes of fragments, %u extents", i, core, m.endpoints, m.connections, m.half_open,
			m.time_wait, m.packets_held, m.fragments_held, m.extents_lent);
	for (port = core; h->steer && port < 65536; port += h->core_count)
		if (steer_tcp_pinned(h->steer, (uint16_t)port) || steer_udp_bound(h->steer, (uint16_t)port))
			world_fail(w, "host %u, core %u at the end: port %u is still spoken for", i, core, port);
}

static void check_nothing_left(struct world *w)
{
	unsigned i, core;

	for (i = 0; i < world_hosts(w); i++)
		for (core = 0; core < world_host(w, i)->core_count; core++)
			check_core_empty(w, i, core);
	check_packets(w);
	if (wire_outstanding(world_wire(w)) != 0)
		world_fail(w, "%u packets are still out at the end", wire_outstanding(world_wire(w)));
}

bool check_finish(struct world *w, nsec limit)
{
	unsigned i;

	if (!world_run_while(w, limit, unfinished, w))
		return false;
	if (unfinished(w)) {
		say_unfinished(w);
		return false;
	}
	for (i = 0; i < world_hosts(w); i++)
		host_close(world_host(w, i));
	if (!world_run_until(w, world_now(w) + QUIET))
		return false;
	check_nothing_left(w);
	return world_failure(w) == NULL;
}
