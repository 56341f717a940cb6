/* SPDX-License-Identifier: BSD-3-Clause */
/* UDP: a service that returns what it gets, and a client that sends numbered datagrams and checks each byte of
 * what comes back. A datagram may be lost, come late or twice, but never be another one. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "host.h"
#include "pattern.h"
#include "stack/base/check.h"

#define DATAGRAM_MAX 65507u
#define LAST_ANSWER (2 * NSEC_PER_SEC)  /* so long the last one may take */
#define HEADER 16u      /* number and time sent */

struct ping {
	uint8_t app_kind;   /* first: APP_PING or APP_ECHO */
	bool closed;
	ep_id ep;
	struct host *host;
	struct stack *stack;   /* of its core */
	struct ping_plan plan;
	uint64_t sent, answered;
	struct ping *next;
};

static void answered(struct ping *p, uint8_t *bytes, int64_t n)
{
	struct host *h = p->host;
	nsec took, began;
	uint64_t number;

	memcpy(&number, bytes, 8);
	memcpy(&began, bytes + 8, 8);
	if (n != p->plan.bytes || number >= p->sent
	    || pattern_differs(number, 0, bytes + HEADER, p->plan.bytes - HEADER) != p->plan.bytes - HEADER) {
		if (!p->plan.may_lie)
			world_fail(h->world, "host %u: a datagram of %" PRId64 " bytes came back changed", h->number, n);
		return;
	}
	took = world_now(h->world) - began;
	world_note_done(h->world);
	h->stats.pings_answered++;
	p->answered++;
	h->stats.ping_sum += took;
	if (took > h->stats.ping_max)
		h->stats.ping_max = took;
	if (!h->stats.ping_min || took < h->stats.ping_min)
		h->stats.ping_min = took;
}

/* EP_ERROR: an ICMP error about what was sent; it is taken and forgotten. */
void ping_event(struct host *h, void *app, uint32_t mask)
{
	struct ping *p = app;
	struct ep_name from;
	unsigned empty = 0;
	int64_t n;

	if (p->closed || mask & EP_RELEASED)
		return;
	if (mask & EP_ERROR)
		ep_take_error(p->stack, p->ep);
	while ((n = ep_recv_from(p->stack, p->ep, h->scratch, HOST_SCRATCH, &from)) != -EAGAIN) {
		if (n < 0 && ++empty < 16)
			continue;       /* an error that came meanwhile */
		if (n < 0) {
			world_fail(h->world, "host %u: ep_recv_from: %" PRId64, h->number, n);
			return;
		}
		if (p->app_kind == APP_ECHO)
			ep_send_to(p->stack, p->ep, h->scratch, (uint32_t)n, &from);
		else
			answered(p, h->scratch, n);
	}
	h->touched = true;
}

/* Clients on each core in its turn, a service at its port's home. */
static bool open_at(struct host *h, struct ping *p, uint16_t port)
{
	struct ep_name name = { .port = port };

	host_touch(h);
	p->stack = h->cores[(port ? port : h->pings_opened++) % h->core_count];
	p->host = h;
	p->next = h->pings;
	h->pings = p;
	if (ep_open(p->stack, EP_DATAGRAM, (uintptr_t)p, NULL, &p->ep) == 0
	    && ep_bind(p->stack, p->ep, &name) == 0)
		return true;
	p->closed = true;
	return false;
}

static void ended(void *context, uint64_t argument)
{
	struct ping *p = context;

	(void)argument;
	p->host->busy--;
}

static void send_one(void *context, uint64_t number)
{
	struct ping *p = context;
	struct host *h = p->host;
	struct ep_name to = { .addr = p->plan.server, .port = p->plan.port };
	nsec now = world_now(h->world);

	if (p->closed)
		return;
	host_touch(h);
	memcpy(h->scratch, &number, 8);
	memcpy(h->scratch + 8, &now, 8);
	pattern_fill(number, 0, h->scratch + HEADER, p->plan.bytes - HEADER);
	/* A refusal (a full buffer, no route) is the loss of one datagram. */
	ep_send_to(p->stack, p->ep, h->scratch, p->plan.bytes, &to);
	p->sent++;
	h->stats.pings_sent++;
	if (p->sent < p->plan.count)
		world_at(h->world, now + p->plan.interval, send_one, p, p->sent);
	else
		world_at(h->world, now + LAST_ANSWER, ended, p, 0);
}

void host_ping(struct host *h, const struct ping_plan *plan)
{
	struct ping *p = calloc(1, sizeof(*p));
	nsec start = plan->start > world_now(h->world) ? plan->start : world_now(h->world);

	CHECK(p && plan->bytes >= HEADER && plan->bytes <= DATAGRAM_MAX && plan->count > 0);
	p->app_kind = APP_PING;
	p->plan = *plan;
	if (!open_at(h, p, 0)) {
		world_fail(h->world, "host %u cannot open a UDP socket", h->number);
		return;
	}
	h->busy++;
	world_at(h->world, start, send_one, p, 0);
}

bool host_echo(struct host *h, uint16_t port)
{
	struct ping *p = calloc(1, sizeof(*p));

	CHECK(p);
	p->app_kind = APP_ECHO;
	return open_at(h, p, port);
}

void pings_close(struct host *h)
{
	struct ping *p;

	host_touch(h);
	for (p = h->pings; p; p = p->next) {
		if (!p->closed)
			ep_close(p->stack, p->ep);
		p->closed = true;
	}
}

void pings_free(struct host *h)
{
	struct ping *p;

	while ((p = h->pings)) {
		h->pings = p->next;
		free(p);
	}
}
