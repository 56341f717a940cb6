/* SPDX-License-Identifier: BSD-3-Clause */
/* Captures: the file is opened here, with this user's rights, and its descriptor handed over. On several cores each writes a file of its
 * own, since none waits for another. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tools/lightctl/lightctl.h"
#include "tools/refuse.h"

static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
	(void)number;
	interrupted = 1;
}

static int cores_of(const struct capture_settings *s)
{
	struct json_object *answer = ask(s->socket_path, "status", -1);
	int cores = json_object_get_int(json_object_object_get(answer, "cores"));

	json_object_put(answer);
	return cores;
}

static void question(const struct capture_settings *s, const char *command, int core, char *text, size_t room)
{
	snprintf(text, room, "%s %s %" PRIu64 " %s %d", command, s->host, s->snap, s->interface, core);
}

static void start_one(const struct capture_settings *s, int core, bool alone)
{
	char name[4096], text[256];
	int fd;

	if (alone)
		snprintf(name, sizeof name, "%s", s->file);
	else
		snprintf(name, sizeof name, "%s.%d", s->file, core);
	fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (fd < 0)
		refuse(EXIT_REFUSED, "%s: %s", name, strerror(errno));
	question(s, "capture", core, text, sizeof text);
	json_object_put(ask(s->socket_path, text, fd));
}

static uint64_t count(struct json_object *answer, const char *key)
{
	return json_object_get_uint64(json_object_object_get(answer, key));
}

static void stop_one(const struct capture_settings *s, int core)
{
	struct json_object *answer;
	char text[256];

	question(s, "capture", core, text, sizeof text);
	answer = ask(s->socket_path, text, -1);
	if (s->json)
		show_json(answer);
	else
		printf("%" PRIu64 " frames, %" PRIu64 " bytes, %" PRIu64 " cut, %" PRIu64 " missed\n", count(answer, "packets"),
		       count(answer, "bytes"), count(answer, "truncated"), count(answer, "missed"));
	json_object_put(answer);
}

/* Sleeps until a signal or the end of the time asked for, and looks every second whether the captures still go well. */
static void wait_for_end(const struct capture_settings *s, int first, int last)
{
	struct timespec slice = { .tv_nsec = 50 * 1000000 };
	char text[256];
	nsec waited = 0;

	while (!interrupted && (s->duration == 0 || waited < s->duration)) {
		nanosleep(&slice, NULL);
		waited += (nsec)slice.tv_nsec;
		for (int core = first; core <= last && waited % NSEC_PER_SEC == 0; core++) {
			question(s, "capture-status", core, text, sizeof text);
			json_object_put(ask(s->socket_path, text, -1));
		}
	}
}

int capture_end(const struct capture_settings *s)
{
	int first = s->core < 0 ? 0 : s->core, last = s->core < 0 ? cores_of(s) - 1 : s->core;

	for (int core = first; core <= last; core++)
		stop_one(s, core);
	return 0;
}

int capture_run(const struct capture_settings *s)
{
	int first = s->core < 0 ? 0 : s->core, last = s->core < 0 ? cores_of(s) - 1 : s->core;

	/* A signal between two questions must not leave a capture behind. */
	signal(SIGINT, on_signal);
	signal(SIGTERM, on_signal);
	for (int core = first; core <= last; core++)
		start_one(s, core, first == last);
	wait_for_end(s, first, last);
	return capture_end(s);
}
