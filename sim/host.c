/* SPDX-License-Identifier: BSD-3-Clause */
/* A host's stacks, their turns, and who hears its events. Services and clients live here, what they say in talk.c, UDP in
 * ping.c. An event's owner is the address of the application's struct, which begins with its kind. */
#include "host.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "stack/base/check.h"

#define EVENTS 256u

struct service {
	uint8_t app_kind;    /* first */
	bool listens;
	ep_id ep[STEER_CORES];
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

static void accept_all(struct service *s, unsigned core)
{
	struct stack *stack = s->host->cores[core];
	struct talk *t;
	ep_id child;
	int r;

	while ((r = ep_accept(stack, s->ep[core], &child, NULL)) == 0) {
		t = host_talk_take(s->host);
		ep_set_owner(stack, child, (uintptr_t)t, NULL);
		talk_begin(t, s->host, stack, child, s->script, false);
	}
	if (r != -EAGAIN)
		world_fail(s->host->world, "host %u: ep_accept: %d", s->host->number, r);
}

/* At the port's home the socket itself, on the other cores its doubles, as the daemon has them. */
static bool listen_on(struct service *s, unsigned core)
{
	struct ep_name name = { .port = s->script->port };
	struct stack *stack = s->host->cores[core];
	ep_id *ep = &s->ep[core];

	if (ep_open(stack, EP_STREAM, (uintptr_t)s, NULL, ep) != 0)
		return false;
	ep_set(stack, *ep, EP_REUSE_ADDR, 1);
	if (core != name.port % s->host->core_count)
		ep_set(stack, *ep, EP_SHADOW, 1);
	if (s->script->server.receive_buffer)    /* before the handshake: it decides the window's scale */
		ep_set(stack, *ep, EP_RECEIVE_BUFFER, s->script->server.receive_buffer);
	if (s->script->server.congestion)
		ep_set(stack, *ep, EP_CONGESTION, s->script->server.congestion);
	if (ep_bind(stack, *ep, &name) == 0 && ep_listen(stack, *ep, s->backlog) == 0)
		return true;
	ep_abort(stack, *ep);
	return false;
}

bool host_service_start(struct service *s)
{
	unsigned core;

	host_touch(s->host);
	CHECK(!s->listens);
	if (s->host->closed)
		return true;            /* too late: nothing is to begin any more */
	for (core = 0; core < s->host->core_count; core++) {
		if (listen_on(s, core))
			continue;
		while (core-- > 0)
			ep_abort(s->host->cores[core], s->ep[core]);
		return false;
	}
	s->listens = true;
	return true;
}

void host_service_stop(struct service *s)
{
	unsigned core;

	host_touch(s->host);
	for (core = 0; s->listens && core < s->host->core_count; core++)
		ep_close(s->host->cores[core], s->ep[core]);
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
	if (c->started < c->plan.connections && !c->plan.every)
		world_at(c->host->world, when, c->connect, c, c->started++);
	else if (c->ended == c->plan.connections)
		c->host->busy--;
}

static void talk_finished(struct talk *t, int error)
{
	(void)error;
	client_ended(t->context);
}

/* Gaps between arrivals are exponential: users do not know of each other. */
static void plan_next_arrival(struct client *c)
{
	double gap, u = (double)((rng_u64(world_rng(c->host->world)) >> 11) + 1) * 0x1p-53;

	if (!c->plan.every || c->started == c->plan.connections)
		return;
	gap = -log(u) * (double)c->plan.every;
	world_at(c->host->world, world_now(c->host->world) + (nsec)gap, c->connect, c, c->started++);
}

static void connect_one(void *context, uint64_t number)
{
	struct client *c = context;
	struct host *h = c->host;
	struct ep_name to = { .addr = c->plan.server, .port = c->plan.script->port }, any = { .port = 0 };
	struct stack *stack = h->cores[number % h->core_count];
	struct talk *t = host_talk_take(h);
	ep_id ep;
	int r;

	host_touch(h);
	plan_next_arrival(c);
	r = ep_open(stack, EP_STREAM, (uintptr_t)t, NULL, &ep);
	if (r == 0) {
		t->context = c;
		t->finished = talk_finished;
		talk_begin(t, h, stack, ep, c->plan.script, true);
		if (c->plan.bind_first)
			r = ep_bind(stack, ep, &any);
		if (r == 0)
			r = ep_connect(stack, ep, &to);
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
	if (!c->plan.together || c->plan.every)
		c->plan.together = 1;
	c->next = h->clients;
	h->clients = c;
	h->busy++;
	for (i = 0; i < c->plan.together && i < plan->connections; i++)
		world_at(h->world, start + i * plan->stagger, connect_one, c, c->started++);
	return c;
}

/* ---- the host ---- */

/* A slot is used again, and handles of two stacks may be equal: an old event must not reach who has it now. */
static void hear(struct host *h, unsigned core, const struct ep_event *e)
{
	uint8_t *app = (uint8_t *)(uintptr_t)e->owner;
	struct service *service = (struct service *)(void *)app;
	struct talk *talk = (struct talk *)(void *)app;

	if (!app)
		return;         /* a child that nobody accepted yet: its state is read then */
	switch (*app) {
	case APP_TALK:
		if (talk->ep == e->ep && talk->stack == h->cores[core])
			talk_event(talk, e->mask);
		break;
	case APP_SERVICE:
		if (service->listens && service->ep[core] == e->ep)
			accept_all(service, core);
		break;
	default:
		ping_event(h, app, e->mask);
	}
}

void host_touch(struct host *h)
{
	unsigned core;

	for (core = 0; core < h->core_count; core++)
		stack_at(h->cores[core], world_now(h->world));
	h->touched = true;
}

nsec host_deadline(const struct host *h)
{
	nsec first = NSEC_NEVER, due;
	unsigned core;

	for (core = 0; core < h->core_count; core++) {
		due = stack_deadline(h->cores[core]);
		first = due < first ? due : first;
	}
	return first;
}

bool host_due(const struct host *h, nsec now)
{
	return h->touched || wire_queued(world_wire(h->world), h->number) > 0 || host_deadline(h) <= now
	       || (h->dealer && dealer_waiting(h->dealer) > 0);
}

/* What the core's applications hear after its turn; how much that was. */
static unsigned hear_all(struct host *h, unsigned core)
{
	struct ep_event events[EVENTS];
	unsigned n, i, heard = 0;

	while ((n = stack_events(h->cores[core], events, EVENTS)) > 0) {
		for (i = 0; i < n; i++)
			hear(h, core, &events[i]);
		heard += n;
		if (heard > 100 * EVENTS + 2 * h->talks * 8) {
			world_fail(h->world, "host %u: a turn raises events without end", h->number);
			break;
		}
	}
	return heard;
}

void host_turn(struct host *h, nsec now)
{
	bool called = h->touched;   /* then a turn without work is no fault of the stack */
	unsigned core, work = 0;

	h->touched = false;
	h->turns++;
	for (core = 0; core < h->core_count; core++) {
		work += stack_turn(h->cores[core], now);
		work += hear_all(h, core);
	}
	h->idle_turns = called || work || h->touched ? 0 : h->idle_turns + 1;
}

bool host_counter(const struct host *h, unsigned i, struct stack_counter *sum)
{
	struct stack_counter one;
	unsigned core;

	if (!stack_counter(h->stack, i, sum))
		return false;
	for (core = 1; core < h->core_count; core++)
		if (stack_counter(h->cores[core], i, &one))
			sum->value += one.value;
	return true;
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

/* The steering and the links of a host on several cores. */
static bool add_cores(struct host *h, struct link *link, unsigned cores)
{
	h->core_count = cores;
	if (cores == 1)
		return true;
	h->steer = malloc(sizeof(*h->steer));
	if (!h->steer)
		return false;
	steer_init(h->steer, cores);
	h->dealer = dealer_new(link, h->steer);
	return h->dealer != NULL;
}

static bool add_stack(struct host *h, struct stack_config *config, unsigned core)
{
	struct link *link = h->dealer ? dealer_link(h->dealer, core) : h->link;
	struct stack *s;

	config->core = core;
	config->steer = h->steer;
	config->redirect = h->dealer ? dealer_redirect : NULL;
	config->redirect_context = h->dealer;
	s = h->cores[core] = stack_new(config);
	if (!s || (h->interface = stack_add_link(s, link, "eth0")) < 0)
		return false;
	return stack_add_address(s, h->interface, &h->addr, 24) == 0;
}

struct host *host_new(struct world *w, unsigned number, const struct world_config *c, struct link *link)
{
	uint32_t be32 = __builtin_bswap32(0x0a000001u + number);
	struct host *h = calloc(1, sizeof(*h));
	struct stack_config config;
	bool good;
	unsigned i;

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
	good = h->scratch && add_cores(h, link, c->cores[number] ? c->cores[number] : 1);
	for (i = 0; good && i < h->core_count; i++)
		good = add_stack(h, &config, i);
	if (!good) {
		host_free(h);
		return NULL;
	}
	h->stack = h->cores[0];
	return h;
}

void host_free(struct host *h)
{
	struct service *s;
	struct client *c;
	struct talk *t;
	unsigned i;

	if (!h)
		return;
	if (h->dealer)
		dealer_drain(h->dealer);
	for (i = 0; i < h->core_count; i++)
		stack_free(h->cores[i]);
	dealer_free(h->dealer);
	free(h->steer);
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
