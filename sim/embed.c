/* SPDX-License-Identifier: BSD-3-Clause */
/* An embedded host and its clock. A step is one instant: the stack is turned until nothing is left to do in it. */
#include "embed.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "embed_state.h"
#include "stack/base/check.h"
#include "stack/base/rng.h"

#define EVENTS 64u
#define TURNS_MOST 1000000u     /* at one instant: more is a stack that runs in circles */
#define ENDPOINTS 4096u
#define MTU_LEAST 68u

/* An owner is the socket. One that is closed has none any more, so that nobody hears for a slot that is used again. */
static void hear(struct embed *e)
{
	struct ep_event events[EVENTS];
	unsigned n;

	while ((n = stack_events(e->stack, events, EVENTS)) > 0) {
		for (unsigned i = 0; i < n; i++) {
			struct embed_socket *s = (struct embed_socket *)(uintptr_t)events[i].owner;
			uint32_t both = EP_ERROR | EP_HANGUP | EP_CONNECTED;

			if (!s || s->ep != events[i].ep)
				continue;
			s->edges_in += (events[i].mask & (EP_READABLE | EP_READ_CLOSED | EP_URGENT | both)) != 0;
			s->edges_out += (events[i].mask & (EP_WRITABLE | both)) != 0;
		}
	}
}

void embed_settle(struct embed *e)
{
	unsigned turns = 0;

	stack_at(e->stack, e->now);
	do {
		CHECK(turns++ < TURNS_MOST);
		stack_turn(e->stack, e->now);
		hear(e);
	} while (e->link.in.count > 0 || stack_deadline(e->stack) <= e->now);
}

int embed_wait(struct embed *e, nsec until)
{
	struct embed_waiter w = { until, e->waiters }, **at;
	int result;

	if (until <= e->now)
		return -EAGAIN;
	e->waiters = &w;
	if (e->hooks.sleep)
		result = e->hooks.sleep(e->hooks.context, e);
	else
		result = embed_step(e, NSEC_NEVER) ? 0 : -EDEADLK;
	for (at = &e->waiters; *at != &w; )
		at = &(*at)->next;
	*at = w.next;
	return result;
}

nsec embed_until(const struct embed *e, nsec timeout)
{
	return timeout == 0 ? NSEC_NEVER : e->now + timeout;
}

nsec embed_now(const struct embed *e)
{
	return e->now;
}

nsec embed_deadline(const struct embed *e)
{
	nsec due = stack_deadline(e->stack);

	for (const struct embed_waiter *w = e->waiters; w; w = w->next)
		if (w->until > e->now && w->until < due)
			due = w->until;
	return due;
}

bool embed_step(struct embed *e, nsec limit)
{
	nsec due = embed_deadline(e);

	if (due > limit || due == NSEC_NEVER) {
		if (limit != NSEC_NEVER && limit > e->now)
			e->now = limit;
		stack_at(e->stack, e->now);
		return false;
	}
	if (due > e->now)
		e->now = due;
	embed_settle(e);
	return true;
}

void embed_run(struct embed *e, nsec until)
{
	while (embed_step(e, until))
		continue;
}

bool embed_run_until(struct embed *e, bool (*condition)(void *context), void *context, nsec limit)
{
	while (!condition(context))
		if (!embed_step(e, limit))
			return condition(context);
	return true;
}

struct stack *embed_stack(struct embed *e)
{
	return e->stack;
}

int embed_add_address(struct embed *e, const struct ipaddr *address, unsigned prefix)
{
	int error = stack_add_address(e->stack, e->interface, address, prefix);

	embed_settle(e);
	return error;
}

static int configure(struct embed *e, const struct embed_config *c)
{
	static const struct ipaddr everywhere;
	struct stack_config config;
	struct rng rng;
	int error;

	stack_config_init(&config);
	config.name = "embed";
	config.max_endpoints = ENDPOINTS;
	if (c->tcp)
		config.tcp = *c->tcp;
	rng_seed_u64(&rng, c->seed);
	for (unsigned i = 0; i < sizeof(config.secret); i += 4) {
		uint32_t word = rng_u32(&rng);

		memcpy(config.secret + i, &word, sizeof(word));
	}
	e->stack = stack_new(&config);
	if (!e->stack)
		return -ENOMEM;
	stack_at(e->stack, e->now);
	e->interface = stack_add_link(e->stack, &e->link.link, "eth0");
	if (e->interface < 0)
		return e->interface;
	error = stack_add_address(e->stack, e->interface, &c->address, c->prefix);
	if (error == 0)         /* whoever is asked for answers on the link itself */
		error = stack_add_route(e->stack, &everywhere, 0, &everywhere, e->interface);
	return error;
}

int embed_new(const struct embed_config *c, struct embed **out)
{
	uint16_t mtu = c->mtu ? c->mtu : 1500;
	struct embed *e;
	int error;

	if (!ipaddr_is_ip4(&c->address) || ipaddr_is_any(&c->address) || c->prefix < 1 || c->prefix > 32 || mtu < MTU_LEAST)
		return -EINVAL;
	e = calloc(1, sizeof(*e));
	if (!e)
		return -ENOMEM;
	e->hooks = c->hooks;
	e->now = c->start;
	embed_link_open(&e->link, mtu, &e->now);
	error = configure(e, c);
	if (error != 0) {
		embed_free(e);
		return error;
	}
	embed_settle(e);
	*out = e;
	return 0;
}

void embed_free(struct embed *e)
{
	embed_files_free(e);
	stack_free(e->stack);
	embed_link_close(&e->link);
	free(e);
}
