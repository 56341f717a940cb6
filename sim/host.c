/* SPDX-License-Identifier: BSD-3-Clause */
/* A stack, its turns, and who hears its events. Services and clients live here, what they say in talk.c, UDP in
 * ping.c. An event's owner is the address of the application's struct, which begins with its kind. */
#include "host.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "stack/base/check.h"

#define EVENTS 256u

struct service {
	uint8_t app_kind;    /* first */
	bool listens;
	ep_id ep;
	struct host *host;
	const struct talk_script *script;
	uint32_t backlog;
	struct service *next;
};

struct client {
	struct host *host;
	struct client_plan plan;
	uint64_t started, ended;
	void (*connect)(void *client, uint64_t number);  /* the next connection, when its time has come */
	struct client *next;
};

/* ---- slots for talks ---- */

struct talk *host_talk_take(struct host *h)
{
	struct talk *t = h->free_talks, *all;

	if (t) {
		h->free_talks = t->next;
		all = t->all_next;
		*t = (struct talk){ .all_next = all };
		return t;
	}
	t = calloc(1, sizeof(*t));
	CHECK(t);
	t->all_next = h->all_talks;
	h->all_talks = t;
	return t;
}

void host_talk_put(struct talk *t)
{
	t->next = t->host->free_talks;
	t->host->free_talks = t;
}

/* ---- services ---- */

static void accept_all(struct service *s)
{
	struct stack *stack = s->host->stack;
	struct talk *t;
	ep_id child;
	int r;

	while ((r = ep_accept(stack, s->ep, &child, NULL)) == 0) {
		t = host_talk_take(s->host);
		ep_set_owner(stack, child, (uintptr_t)t, NULL);
		talk_begin(t, s->host, child, s->script, false);
	}
	if (r != -EAGAIN)
		world_fail(s->host->world, "host %u: ep_accept: %d", s->host->number, r);
}

bool host_service_start(struct service *s)
{
	struct ep_name name = { .port = s->script->port };
	struct stack *stack = s->host->stack;

	stack_at(stack, world_now(s->host->world));
	s->host->touched = true;
	CHECK(!s->listens);
	if (s->host->closed)
		return true;            /* too late: nothing is to begin any more */
	if (ep_open(stack, EP_STREAM, (uintptr_t)s, NULL, &s->ep) != 0)
		return false;
	ep_set(stack, s->ep, EP_REUSE_ADDR, 1);
	if (s->script->server.receive_buffer)    /* before the handshake: it decides the window's scale */
		ep_set(stack, s->ep, EP_RECEIVE_BUFFER, s->script->server.receive_buffer);
	if (ep_bind(stack, s->ep, &name) != 0 || ep_listen(stack, s->ep, s->backlog) != 0) {
		ep_abort(stack, s->ep);
		return false;
	}
	s->listens = true;
	return true;
}

void host_service_stop(struct service *s)
{
	stack_at(s->host->stack, world_now(s->host->world));
	s->host->touched = true;
	if (s->listens)
		ep_close(s->host->stack, s->ep);
	s->listens = false;
}

bool host_service_listens(const struct service *s)
{
	return s->listens;
}

struct service *host_serve(struct host *h, const struct talk_script *script, uint32_t backlog)
{
	struct service *s = calloc(1, sizeof(*s));

	CHECK(s);
	*s = (struct service){ .app_kind = APP_SERVICE, .host = h, .script = script, .backlog = backlog,
		.next = h->services };
	h->services = s;
	if (!host_service_start(s))
		world_fail(h->world, "host %u cannot listen on port %u", h->number, script->port);
	return s;
}

/* ---- clients ---- */


static void client_ended(struct client *c)
{
	nsec when = world_now(c->host->world) + c->plan.pause;

	c->ended++;
	if (c->started < c->plan.connections)
		world_at(c->host->world, when, c->connect, c, c->started++);
	else if (c->ended == c->plan.connections)
		c->host->busy--;
}

static void talk_finished(struct talk *t, int error)
{
	(void)error;
	client_ended(t->context);
}

static void connect_one(void *context, uint64_t number)
{
	struct client *c = context;
	struct host *h = c->host;
	struct ep_name to = { .addr = c->plan.server, .port = c->plan.script->port };
	struct talk *t = host_talk_take(h);
	ep_id ep;
	int r;

	(void)number;
	stack_at(h->stack, world_now(h->world));
	h->touched = true;
	r = ep_open(h->stack, EP_STREAM, (uintptr_t)t, NULL, &ep);
	if (r == 0) {
		t->context = c;
		t->finished = talk_finished;
		talk_begin(t, h, ep, c->plan.script, true);
		r = ep_connect(h->stack, ep, &to);
		if (r == -EINPROGRESS)
			return;
		t->finished = NULL;
		talk_abort(t);
	} else {
		t->host = h;
		host_talk_put(t);
	}
	if (!c->plan.script->may_fail)
		world_fail(h->world, "host %u cannot connect to port %u: %s", h->number, to.port, strerror(-r));
	h->stats.failed++;
	h->stats.last_error = -r;
	client_ended(c);
}

struct client *host_connect(struct host *h, const struct client_plan *plan)
{
	struct client *c = calloc(1, sizeof(*c));
	nsec start = plan->start > world_now(h->world) ? plan->start : world_now(h->world);
	uint64_t i;

	CHECK(c && plan->connections > 0);
	c->host = h;
	c->plan = *plan;
	c->connect = connect_one;
	if (!c->plan.together)
		c->plan.together = 1;
	c->next = h->clients;
	h->clients = c;
	h->busy++;
	for (i = 0; i < c->plan.together && i < plan->connections; i++)
		world_at(h->world, start + i * plan->stagger, connect_one, c, c->started++);
	return c;
}

/* ---- the host ---- */

static void hear(struct host *h, const struct ep_event *e)
{
	uint8_t *app = (uint8_t *)(uintptr_t)e->owner;

	if (!app)
		return;         /* a child that nobody accepted yet: its state is read then */
	switch (*app) {
	case APP_TALK:
		if (((struct talk *)(void *)app)->ep == e->ep)
			talk_event((struct talk *)(void *)app, e->mask);
		break;
	case APP_SERVICE:
		if (((struct service *)(void *)app)->listens && ((struct service *)(void *)app)->ep == e->ep)
			accept_all((struct service *)(void *)app);
		break;
	default:
		ping_event(h, app, e->mask);
	}
}

bool host_due(const struct host *h, nsec now)
{
	return h->touched || wire_queued(world_wire(h->world), h->number) > 0 || stack_deadline(h->stack) <= now;
}

void host_turn(struct host *h, nsec now)
{
	struct ep_event events[EVENTS];
	unsigned n, i, heard = 0, work;
	bool called = h->touched;   /* then a turn without work is no fault of the stack */

	h->touched = false;
	h->turns++;
	work = stack_turn(h->stack, now);
	while ((n = stack_events(h->stack, events, EVENTS)) > 0) {
		for (i = 0; i < n; i++)
			hear(h, &events[i]);
		heard += n;
		if (heard > 100 * EVENTS + 2 * h->talks * 8) {
			world_fail(h->world, "host %u: a turn raises events without end", h->number);
			return;
		}
	}
	h->idle_turns = called || work || heard || h->touched ? 0 : h->idle_turns + 1;
}

void host_timer(struct host *h, nsec when, void (*what)(void *, uint64_t), void *context, uint64_t argument)
{
	world_at(h->world, when, what, context, argument);
}

void host_close(struct host *h)
{
	struct service *s;

	h->closed = true;
	for (s = h->services; s; s = s->next)
		host_service_stop(s);
	pings_close(h);
}

static void secret_of(const struct world_config *c, unsigned number, uint8_t secret[16])
{
	struct rng r;
	uint64_t words[2];

	rng_seed_u64(&r, c->seed * WIRE_MAX_PORTS + number);
	words[0] = rng_u64(&r);
	words[1] = rng_u64(&r);
	memcpy(secret, words, 16);
}

struct host *host_new(struct world *w, unsigned number, const struct world_config *c, struct link *link)
{
	uint32_t be32 = __builtin_bswap32(0x0a000001u + number);
	struct host *h = calloc(1, sizeof(*h));
	struct stack_config config;

	if (!h)
		return NULL;
	stack_config_init(&config);
	config.name = "sim";
	if (c->max_endpoints)
		config.max_endpoints = c->max_endpoints;
	config.loopback_packets = c->loopback_packets;
	if (c->tcp)
		config.tcp = *c->tcp;
	secret_of(c, number, config.secret);
	h->world = w;
	h->number = number;
	h->link = link;
	h->addr = ipaddr_from_ip4(be32);
	h->touched = true;
	h->scratch = malloc(HOST_SCRATCH);
	h->stack = stack_new(&config);
	if (!h->scratch || !h->stack || (h->interface = stack_add_link(h->stack, link, "eth0")) < 0
	    || stack_add_address(h->stack, h->interface, &h->addr, 24) != 0) {
		host_free(h);
		return NULL;
	}
	return h;
}

void host_free(struct host *h)
{
	struct service *s;
	struct client *c;
	struct talk *t;

	if (!h)
		return;
	if (h->stack)
		stack_free(h->stack);
	while ((s = h->services)) {
		h->services = s->next;
		free(s);
	}
	while ((c = h->clients)) {
		h->clients = c->next;
		free(c);
	}
	while ((t = h->all_talks)) {
		h->all_talks = t->all_next;
		free(t);
	}
	pings_free(h);
	free(h->scratch);
	free(h);
}
