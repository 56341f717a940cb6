/* SPDX-License-Identifier: BSD-3-Clause */
/* For the tests with several cores: a server and a stack a core, each in a thread of its own that sleeps at every chance. What a socket of
 * one core connects to is reached over that core's own loopback, so a test chooses by client_open_at where a connection comes in. */
#ifndef LIGHT_IPC_TESTS_CORES_H
#define LIGHT_IPC_TESTS_CORES_H

#include <pthread.h>

#include "world.h"

struct core_thread {
	struct cores_world *world;
	struct world at;
	unsigned core;
	pthread_t thread;
	_Atomic bool held;             /* does not turn */
	_Atomic bool still;            /* and has noticed */
	struct server_stats stats;     /* of the last time it had nothing to do; under the lock */
	struct stack_memory memory;
	char wrong[100], left[400];    /* what the stack still has */
};

struct cores_world {
	unsigned n;
	struct core_thread core[REGION_CORES];
	struct server *servers[REGION_CORES];
	pthread_mutex_t lock;
	_Atomic bool stop;
	_Atomic uint32_t *stopped;            /* another word that ends core 0's thread; NULL: none */
	void (*idle)(struct cores_world *);   /* called by core 0's thread when it has nothing to do */
};

static inline void core_open(struct core_thread *t)
{
	t->at.server = t->world->servers[t->core];
	t->at.stack = world_stack(t->at.server, t->core, &t->at.host);
}

static inline void name_what_is_left(struct core_thread *t)
{
	struct ep_info i;
	size_t n = 0;

	t->left[0] = 0;
	for (uint32_t cursor = 0; n < sizeof(t->left) && ep_walk(t->at.stack, &cursor, &i);)
		n += (size_t)snprintf(t->left + n, sizeof(t->left) - n, " %u>%u state %d,", i.local.port, i.peer.port, (int)i.state);
}

static inline void core_look(struct core_thread *t)
{
	const char *wrong = server_check(t->at.server);

	wrong = wrong ? wrong : stack_check(t->at.stack);
	pthread_mutex_lock(&t->world->lock);
	server_stats(t->at.server, &t->stats);
	stack_memory(t->at.stack, &t->memory);
	if (wrong)
		snprintf(t->wrong, sizeof(t->wrong), "core %u: %s", t->core, wrong);
	name_what_is_left(t);
	pthread_mutex_unlock(&t->world->lock);
}

static inline void core_sleep(struct core_thread *t)
{
	nsec until = stack_deadline(t->at.stack), most = doorbell_now() + 20 * NSEC_PER_MSEC;

	core_look(t);
	if (t->core == 0 && t->world->idle)
		t->world->idle(t->world);
	if (server_sleep_begin(t->at.server))
		server_sleep(t->at.server, until < most ? until : most);
	server_sleep_end(t->at.server);
}

static inline void *core_run(void *argument)
{
	struct core_thread *t = argument;

	while (!atomic_load(&t->world->stop) && !(t->core == 0 && t->world->stopped && atomic_load(t->world->stopped))) {
		if (atomic_load(&t->held)) {
			atomic_store(&t->still, true);
			usleep(200);
		} else if (core_turn(t->at.server, t->at.stack) == 0) {
			core_sleep(t);
		}
	}
	return NULL;
}

/* Core 0 is for the caller's thread, by core_run. */
static inline void cores_open(struct cores_world *w, const struct server_config *given, const char *path, unsigned n)
{
	struct server_config config;
	unsigned i;

	memset(w, 0, sizeof(*w));
	pthread_mutex_init(&w->lock, NULL);
	w->n = n;
	server_config_init(&config);
	if (given)
		config = *given;
	config.socket_path = path;
	assert_int_equal(server_new_cores(&config, n, w->servers), 0);
	for (i = 0; i < n; i++) {
		w->core[i].world = w;
		w->core[i].core = i;
		core_open(&w->core[i]);
	}
	for (i = 1; i < n; i++)
		assert_int_equal(pthread_create(&w->core[i].thread, NULL, core_run, &w->core[i]), 0);
}

static inline void cores_close(struct cores_world *w)
{
	unsigned i;

	atomic_store(&w->stop, true);
	for (i = 1; i < w->n; i++)
		pthread_join(w->core[i].thread, NULL);
	for (i = 0; i < w->n; i++) {
		assert_null(server_check(w->servers[i]));
		assert_null(stack_check(w->core[i].at.stack));
		server_stop(w->servers[i]);
		stack_turn(w->core[i].at.stack, doorbell_now());
	}
	for (i = 0; i < w->n; i++)
		stack_free(w->core[i].at.stack);
	for (i = w->n; i-- > 0;)
		server_free(w->servers[i]);
	pthread_mutex_destroy(&w->lock);
}

/* Families and sessions as core 0 knows them, the rest of all cores together. */
static inline void cores_sum(struct cores_world *w, struct server_stats *s, struct stack_memory *m)
{
	unsigned i;

	pthread_mutex_lock(&w->lock);
	*s = w->core[0].stats;
	*m = w->core[0].memory;
	for (i = 1; i < w->n; i++) {
		const struct server_stats *o = &w->core[i].stats;

		s->families += o->families;
		s->sessions += o->sessions;
		s->lines += o->lines;
		s->lanes += o->lanes;
		s->waitsets += o->waitsets;
		s->watches += o->watches;
		s->data_lent += o->data_lent;
		s->violations += o->violations;
		m->endpoints += w->core[i].memory.endpoints;
		m->extents_lent += w->core[i].memory.extents_lent;
	}
	pthread_mutex_unlock(&w->lock);
}

#endif
