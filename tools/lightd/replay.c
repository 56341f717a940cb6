/* SPDX-License-Identifier: BSD-3-Clause */
/* No program and no socket: the frames of the file, the stack, and sockets of lightd's own (--listen). The secret follows from the seed, so that two
 * runs write the same bytes. */
#include "tools/lightd/replay.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "tools/lightd/backend.h"
#include "tools/lightd/network.h"

/* Timers run on for this long after the last frame: two retransmissions of a SYN-ACK. */
#define QUIET (10 * NSEC_PER_SEC)
/* Turns at one moment: a stack that always finds work would stay there for ever. */
#define TURNS_MAX 100000u

struct replay {
	const struct options *options;
	struct network *network;
	struct stack *stack;
	struct network_interface *interface;
	ep_id listener[LISTENERS_MAX];
	uint64_t accepted, discarded, echoed;   /* connections, bytes, datagrams */
	nsec first, last;
};

/* ---- sockets of its own ---- */

static int listen_all(struct replay *r)
{
	for (unsigned i = 0; i < r->options->listeners; i++) {
		const struct listener_option *l = &r->options->listener[i];
		const struct ep_name name = { .addr = ipaddr_from_ip4(0), .port = l->port };
		int error = ep_open(r->stack, l->udp ? EP_DATAGRAM : EP_STREAM, 0, NULL, &r->listener[i]);

		if (error == 0)
			error = ep_bind(r->stack, r->listener[i], &name);
		if (error == 0 && !l->udp)
			error = ep_listen(r->stack, r->listener[i], 128);
		if (error < 0) {
			fprintf(stderr, "lightd: --listen: port %u: %s\n", l->port, strerror(-error));
			return error;
		}
	}
	return 0;
}

static void discard(struct replay *r, ep_id child, void *buffer, uint32_t room)
{
	int64_t n;

	while ((n = ep_recv(r->stack, child, buffer, room)) > 0)
		r->discarded += (uint64_t)n;
	if (n != -EAGAIN)
		ep_close(r->stack, child);
}

static void accept_all(struct replay *r, ep_id listener, void *buffer, uint32_t room)
{
	ep_id child;

	while (ep_accept(r->stack, listener, &child, NULL) == 0) {
		r->accepted++;
		discard(r, child, buffer, room);
	}
}

static void echo(struct replay *r, ep_id socket, void *buffer, uint32_t room)
{
	struct ep_name from;
	int64_t n;

	while ((n = ep_recv_from(r->stack, socket, buffer, room, &from)) >= 0) {
		r->echoed++;
		ep_send_to(r->stack, socket, buffer, (uint32_t)n, &from);
	}
}

static void serve(struct replay *r)
{
	static uint8_t buffer[65536];
	struct ep_event events[64];
	unsigned n;

	while ((n = stack_events(r->stack, events, 64)) > 0) {
		for (unsigned i = 0; i < n; i++) {
			unsigned l = 0;

			while (l < r->options->listeners && r->listener[l] != events[i].ep)
				l++;
			if (events[i].mask & EP_RELEASED)
				continue;
			if (l == r->options->listeners)
				discard(r, events[i].ep, buffer, sizeof buffer);
			else if (r->options->listener[l].udp)
				echo(r, events[i].ep, buffer, sizeof buffer);
			else
				accept_all(r, events[i].ep, buffer, sizeof buffer);
		}
	}
}

/* ---- time ---- */

static void play(struct replay *r)
{
	const struct backend *b = r->interface->backend;
	nsec now = r->first, end = NSEC_NEVER;

	while (now <= end) {
		nsec frame = b->replay_next(r->interface->device), timer = network_deadline(r->network, 0);
		nsec due = frame < timer ? frame : timer;

		if (frame == NSEC_NEVER && end == NSEC_NEVER)
			end = now + QUIET;
		if (due == NSEC_NEVER || due > end)
			break;
		now = due > now ? due : now;
		if (frame <= now)
			r->last = now;
		b->replay_clock(r->interface->device, now);
		for (unsigned i = 0; i < TURNS_MAX && network_turn(r->network, 0, now) > 0; i++)
			serve(r);
	}
}

static void summary(const struct replay *r)
{
	const struct link *link = r->interface->link[0];
	struct stack_counter c;

	printf("%s: %.6f s, %" PRIu64 " frames received, %" PRIu64 " sent\n", r->options->read_file,
	       (double)(r->last - r->first) / 1e9, link->stats.rx_packets, link->stats.tx_packets);
	if (r->options->listeners > 0)
		printf("listeners: %" PRIu64 " connections, %" PRIu64 " bytes discarded, %" PRIu64 " datagrams echoed\n", r->accepted,
		       r->discarded, r->echoed);
	for (unsigned i = 0; stack_counter(r->stack, i, &c); i++) {
		if (c.value != 0)
			printf("  %-32s %14" PRIu64 "  %s\n", c.name, c.value, c.sentence);
	}
}

int replay_run(const struct options *o, void (*log)(void *, const char *))
{
	struct replay r = { .options = o };
	int error;

	r.network = network_new(o, NULL, log);
	if (r.network == NULL)
		return 1;
	r.stack = network_stack(r.network, 0, 0);
	r.interface = network_interface(r.network, 0, 0);
	r.first = r.last = stack_now(r.stack);
	error = listen_all(&r);
	if (error == 0) {
		play(&r);
		summary(&r);
	}
	network_free(r.network);
	return error == 0 ? 0 : 1;
}
