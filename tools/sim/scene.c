/* SPDX-License-Identifier: BSD-3-Clause */
/* light-sim run: makes the world of a scene, runs it to its end, says what came of it. */
#include "tools/sim/scene.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "sim.h"
#include "sim/check.h"
#include "sim/probe.h"
#include "tools/refuse.h"

static void happen(void *context, uint64_t argument)
{
	struct scene_event *e = context;
	struct wire *wire = world_wire(e->scene->world);
	unsigned d;

	(void)argument;
	switch (e->change) {
	case CHANGE_LINK: wire_set_up(wire, e->host, e->up); return;
	case CHANGE_MTU: wire_set_mtu(wire, e->host, e->mtu); return;
	case CHANGE_CABLES:
		for (d = 0; d < 2; d++)
			if (e->has[d])
				wire_impair(wire, e->host, d, &e->cables[d]);
	}
}

static bool make(struct scene *s, const struct sim_options *o)
{
	static const uint32_t flags[] = { 0, LINK_TX_CSUM | LINK_RX_CSUM, LINK_TSO | LINK_TX_CSUM | LINK_RX_CSUM };
	struct world_config c = { .hosts = s->host_count, .seed = s->seed, .packets = s->packets, .mtu = s->mtu,
		.link_flags = flags[s->offload], .tcp = &s->tcp, .check_every = s->check, .wrap = sim_wrap,
		.wrap_context = (void *)(uintptr_t)o, .trace = o->trace ? stdout : NULL };
	unsigned i, d;

	for (i = 0; i < s->host_count; i++)
		c.cores[i] = s->hosts[i].cores;
	s->world = sim_world_made(&c);
	if (!s->world)
		return false;
	for (i = 0; i < s->host_count; i++)
		for (d = 0; d < 2; d++)
			wire_impair(world_wire(s->world), i, d, &s->hosts[i].cables[d]);
	for (i = 0; i < s->flow_count; i++) {
		if (!flow_start(&s->flows[i], s->world, &s->plans[i]))
			return false;
		flow_measure(&s->flows[i], s->measure > s->plans[i].start ? s->measure : s->plans[i].start,
			s->duration ? s->duration : NSEC_NEVER);
	}
	for (i = 0; i < s->event_count; i++)
		world_at(s->world, s->events[i].at, happen, &s->events[i], 0);
	return true;
}

static FILE *csv(const char *directory, const char *name)
{
	char path[PATH_MAX];
	FILE *f;

	if (snprintf(path, sizeof(path), "%s/%s", directory, name) >= (int)sizeof(path))
		refuse(EXIT_REFUSED, "--csv: the path is too long");
	f = fopen(path, "w");
	if (!f)
		refuse(EXIT_REFUSED, "%s: %s", path, strerror(errno));
	return f;
}

static void write_down(struct probe_plan *p, const char *directory)
{
	if (!directory)
		return;
	if (mkdir(directory, 0777) != 0 && errno != EEXIST)
		refuse(EXIT_REFUSED, "%s: %s", directory, strerror(errno));
	p->connections = csv(directory, "connections.csv");
	p->queues = csv(directory, "queues.csv");
	p->segments = csv(directory, "segments.csv");
}

static bool finish_one(FILE *f)
{
	bool good = !f || !ferror(f);

	return (!f || fclose(f) == 0) && good;
}

static bool finish_writing(const struct probe_plan *p)
{
	bool good = finish_one(p->connections);

	good = finish_one(p->queues) && good;
	return finish_one(p->segments) && good;
}

/* The script beside this program, or in the PATH. */
static int draw(const char *directory, const char *picture)
{
	char self[PATH_MAX], *slash;
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 32);
	int status;
	pid_t child;

	self[n > 0 ? n : 0] = '\0';
	slash = strrchr(self, '/');
	strcpy(slash ? slash + 1 : self, "light-sim-draw");
	child = fork();
	if (child == 0) {
		execl(self, "light-sim-draw", directory, picture, (char *)NULL);
		execlp("light-sim-draw", "light-sim-draw", directory, picture, (char *)NULL);
		fprintf(stderr, "light-sim: light-sim-draw: %s\n", strerror(errno));
		_exit(127);
	}
	return child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : 1;
}

/* What was sent arrived, also where nobody knew before how much it would be. */
static void check_bytes(struct scene *s)
{
	unsigned i;

	for (i = 0; i < s->flow_count; i++) {
		const struct flow *f = &s->flows[i];

		if (!f->failed && f->script.kind != TALK_ECHO && f->bytes_sent != f->bytes_received)
			world_fail(s->world, "flow %s: %" PRIu64 " bytes were sent and %" PRIu64 " received", f->plan.name,
				f->bytes_sent, f->bytes_received);
	}
}

int sim_scene(struct sim_options *o)
{
	static struct scene scene;
	struct scene *s = &scene;
	struct probe_plan plan = { .flows = s->flows };
	struct timespec began, ended;
	struct probe *probe;
	double seconds;
	int status = 0;

	scene_read(s, o->scene, o->sets, o->set_count);
	clock_gettime(CLOCK_MONOTONIC, &began);
	if (!make(s, o))
		refuse(EXIT_REFUSED, "%s: cannot make this world: %s", o->scene,
			s->world && world_failure(s->world) ? world_failure(s->world) : "memory is short");
	plan.every = s->sample;
	plan.flow_count = s->flow_count;
	write_down(&plan, o->csv);
	probe = probe_new(s->world, &plan);
	check_finish(s->world, s->limit);
	check_bytes(s);
	clock_gettime(CLOCK_MONOTONIC, &ended);
	seconds = (double)(ended.tv_sec - began.tv_sec) + (double)(ended.tv_nsec - began.tv_nsec) / 1e9;
	if (o->json)
		scene_print_json(s, seconds);
	else
		scene_print(s, seconds);
	if (world_failure(s->world)) {
		fprintf(stderr, "light-sim: %s: FAILED: %s\n", o->scene, world_failure(s->world));
		status = 1;
	} else if (scene_check(s) > 0) {
		status = 1;
	}
	if (!finish_writing(&plan)) {
		fprintf(stderr, "light-sim: %s: not all could be written\n", o->csv);
		status = 1;
	}
	if (o->picture && draw(o->csv, o->picture) != 0)
		status = 1;
	probe_free(probe);
	sim_world_gone();
	return sim_stop_captures(o) ? 1 : status;
}
