/* SPDX-License-Identifier: BSD-3-Clause */
/* Listeners on several cores. A listener's line is on its port's home core; every other core has a shadow of it: an endpoint of the same
 * name and options that nobody holds. What a shadow accepts is a line of its own core, whose number is told to the home, which puts it into
 * the listener's ring: for programs there is one listener. Its uses are told apart, so that what was accepted for an earlier one is never
 * taken for a later one's. */
#include "ipc/server_private.h"

#include <stdlib.h>

struct option_list {
	bool set[EP_OPTIONS];
	int64_t value[EP_OPTIONS];
};

static uint64_t use_of(const struct line_record *l)
{
	return (uint64_t)l->generation << 32 | l->listens;
}

static struct core_message about(const struct family *f, uint32_t line, enum core_word word)
{
	struct core_message m = core_message(f, word);

	m.line = line;
	m.listener = use_of(line_record(f, line));
	return m;
}

uint32_t shadows_backlog(const struct server *s, uint32_t wanted)
{
	uint32_t most = BACKLOG_MAX / s->cores_n - 1;   /* a stack keeps one more; all of them fit into the listener's ring */

	return wanted < most ? wanted : most;
}

/* ---- at home ---- */

void options_free(struct line_record *l)
{
	free(l->options);
	l->options = NULL;
}

static struct core_message option_message(const struct family *f, uint32_t line, enum ep_option option, int64_t value)
{
	struct core_message m = about(f, line, CORE_SHADOW_SET);

	m.a = (uint32_t)option;
	m.value = value;
	return m;
}

/* What the session asked through the lane that is read now. */
static struct round round_for(const struct session *s, uint32_t line, const struct reply *reply)
{
	const struct family *f = s->family;

	return (struct round){
		.family = f->number, .family_serial = f->common->serial, .line = line, .listener = use_of(line_record(f, line)),
		.asker = s->number, .session_serial = s->serial, .lane = s->reading, .tag = reply->tag, .fd = -1,
	};
}

static void answer_asker(struct server *server, const struct round *r, int rc)
{
	struct family *f = family_numbered(server, r->family, r->family_serial);
	struct session *s = f ? f->sessions[r->asker] : NULL;
	const struct reply reply = { .tag = r->tag, .result = rc };

	if (r->tag && s && s->serial == r->session_serial && s->state == SESSION_LIVE && s->lanes[r->lane].open)
		lane_answer(&s->lanes[r->lane], &reply);
}

/* The home's stack took the value: so did the others, or their shadow is about to go. */
static void set_everywhere(struct server *server, struct round *r)
{
	answer_asker(server, r, 0);
}

void shadows_option(struct session *s, uint32_t line, enum ep_option option, int64_t value, struct reply *reply)
{
	struct family *f = s->family;
	struct line_record *l = line_record(f, line);
	struct core_message m;
	struct round r;

	if (l->type != EP_STREAM || l->state & (LINE_CONNECTED | LINE_CONNECTING))
		return;
	if (!l->options)
		l->options = calloc(1, sizeof(*l->options));
	if (l->options) {
		l->options->set[option] = true;
		l->options->value[option] = value;
	}
	if (!l->shadowed)
		return;
	m = option_message(f, line, option, value);
	r = round_for(s, line, reply);
	r.done = set_everywhere;
	reply->tag = 0;
	cores_ask(f->server, &r, &m);
}

static void tell_shadow(struct session *s, uint32_t line)
{
	struct family *f = s->family;
	struct line_record *l = line_record(f, line);
	struct core_message m;
	unsigned i;

	l->listens++;
	l->shadowed = true;
	m = about(f, line, CORE_SHADOW);
	m.a = (uint32_t)s->pid;
	cores_tell(f->server, &m);
	for (i = 0; l->options && i < EP_OPTIONS; i++) {
		if (!l->options->set[i])
			continue;
		m = option_message(f, line, (enum ep_option)i, l->options->value[i]);
		cores_tell(f->server, &m);
	}
}

/* A listener that does not stand everywhere would lose the connections that come to the other cores. */
static void fall(struct family *f, uint32_t line)
{
	line_unlisten(f, line);
	ep_shutdown(f->host->stack, line_record(f, line)->ep, EP_SHUT_READ);
	line_set_state(f, line, 0, LINE_LISTENING);
	line_changed(f, line, EP_READABLE | EP_HANGUP);
}

static void stood(struct server *server, struct round *r)
{
	struct family *f = family_numbered(server, r->family, r->family_serial);
	const struct line_record *l = f && line_is_here(f, r->line) ? line_record(f, r->line) : NULL;

	if (r->rc && l && l->use == LINE_USED && l->shadowed && use_of(l) == r->listener)
		fall(f, r->line);
	answer_asker(server, r, r->rc);
}

/* The answer waits until all cores listen: who is told of the port may connect at once, and come to any of them. */
void shadows_stand(struct session *s, uint32_t line, uint32_t backlog, struct reply *reply)
{
	struct family *f = s->family;
	struct line_record *l = line_record(f, line);
	struct core_message m;
	struct ep_name name;
	struct round r;

	if (!l->shadowed)
		tell_shadow(s, line);
	r = round_for(s, line, reply);
	r.done = stood;
	m = about(f, line, CORE_SHADOW_LISTEN);
	m.a = backlog;
	if (ep_local(f->host->stack, l->ep, &name) == 0) {
		m.addr = name.addr;
		m.port = name.port;
	}
	reply->tag = 0;
	cores_ask(f->server, &r, &m);
}

void shadows_end(struct family *f, uint32_t line)
{
	struct core_message m = about(f, line, CORE_SHADOW_END);

	line_record(f, line)->shadowed = false;
	cores_tell(f->server, &m);
}

static void hear_child(struct server *s, const struct core_message *m)
{
	struct family *f = family_numbered(s, m->family, m->serial);
	const struct line_record *l = f && line_is_here(f, m->line) ? line_record(f, m->line) : NULL;

	/* Else the shadow hears soon that it ended, and ends its children. */
	if (l && l->use == LINE_USED && l->shadowed && use_of(l) == m->listener)
		line_announce(f, m->line, m->a);
}

/* ---- on the other cores ---- */

static struct shadow *shadow_of(struct family *f, const struct core_message *m)
{
	struct shadow *shadow;

	LIST_FOREACH(shadow, &f->shadows, node)
		if (shadow->home == m->line && shadow->listener == m->listener)
			return shadow;
	return NULL;
}

static void stand(struct family *f, const struct core_message *m)
{
	struct shadow *shadow = malloc(sizeof(*shadow));
	uint32_t line = shadow ? line_allocate(f) : LINE_NIL;
	struct line_record *l = line_record(f, line == LINE_NIL ? 0 : line);

	if (line == LINE_NIL || ep_open(f->host->stack, EP_STREAM, owner_word(f, line), NULL, &l->ep)) {
		if (line != LINE_NIL)
			line_free(f, line);
		free(shadow);
		return;   /* said when it shall listen */
	}
	*shadow = (struct shadow){ .listener = m->listener, .home = m->line, .line = line, .pid = (pid_t)m->a };
	l->use = LINE_SHADOW;
	l->type = EP_STREAM;
	l->shadow = shadow;
	LIST_INSERT_HEAD(&f->shadows, shadow, node);
	ep_set(f->host->stack, l->ep, EP_SHADOW, 1);
}

/* Whether the name may be had was decided at home: connections that an earlier listener left here do not count. */
static int bind_shadow(struct stack *stack, struct line_record *l, const struct core_message *m)
{
	const struct ep_name name = { .addr = m->addr, .port = m->port };
	int64_t reuse = 0;
	int rc;

	if (l->state & LINE_BOUND)
		return 0;
	ep_get(stack, l->ep, EP_REUSE_ADDR, &reuse);
	ep_set(stack, l->ep, EP_REUSE_ADDR, 1);
	rc = ep_bind(stack, l->ep, &name);
	ep_set(stack, l->ep, EP_REUSE_ADDR, reuse);
	l->state |= rc ? 0 : LINE_BOUND;
	return rc;
}

static int stand_listening(struct family *f, struct shadow *shadow, const struct core_message *m)
{
	struct line_record *l = line_record(f, shadow->line);
	int rc = bind_shadow(f->host->stack, l, m);

	return rc ? rc : ep_listen(f->host->stack, l->ep, m->a);
}

static void fade(struct family *f, struct shadow *shadow)
{
	uint32_t line = shadow->line;

	LIST_REMOVE(shadow, node);
	line_record(f, line)->shadow = NULL;
	free(shadow);
	line_end_children(f, line);
	line_end_endpoint(f, line, true);
}

int shadow_hear(struct server *s, const struct core_message *m)
{
	struct family *f = family_numbered(s, m->family, m->serial);
	struct shadow *shadow = f ? shadow_of(f, m) : NULL;

	if (m->word == CORE_CHILD) {
		hear_child(s, m);
	} else if (m->word == CORE_SHADOW) {
		if (f && !f->leaving)
			stand(f, m);
	} else if (!shadow) {
		return -ENOBUFS;
	} else if (m->word == CORE_SHADOW_SET) {
		return ep_set(f->host->stack, line_record(f, shadow->line)->ep, (enum ep_option)m->a, m->value);
	} else if (m->word == CORE_SHADOW_LISTEN) {
		return stand_listening(f, shadow, m);
	} else {
		fade(f, shadow);
	}
	return 0;
}

void shadows_child(struct family *f, uint32_t child)
{
	const struct shadow *shadow = line_record(f, line_record(f, child)->parent)->shadow;
	struct core_message m = core_message(f, CORE_CHILD);

	m.line = shadow->home;
	m.listener = shadow->listener;
	m.a = child;
	cores_send(f->server, line_core(shadow->home), &m);
}
