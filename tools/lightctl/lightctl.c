/* SPDX-License-Identifier: BSD-3-Clause */
/* lightctl: looks into a running lightd. */
#include <argp.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tools/lightctl/lightctl.h"
#include "tools/refuse.h"
#include "tools/units.h"

struct command {
	const char *name;
	void (*show)(struct json_object *);
	bool about_host;
};

static const struct command commands[] = {
	{ "status", show_status, false }, { "ss", show_sockets, true }, { "stats", show_stats, true },
	{ "arp", show_neighbours, true }, { "route", show_routes, true }, { "capture", NULL, true }, { "capture-stop", NULL, true },
};

struct settings {
	const char *socket_path, *host, *file;
	const struct command *command;
	bool json;
	uint64_t snap;
	nsec duration;          /* of a capture; 0: until a signal */
};

enum { KEY_SOCKET = 256, KEY_HOST, KEY_JSON, KEY_SNAP, KEY_FOR };

static const struct argp_option option_table[] = {
	{ "socket", KEY_SOCKET, "PATH", 0, "The daemon's socket (default " LIGHT_SOCKET_PATH ")", 0 },
	{ "host", KEY_HOST, "NAME", 0, "About this host (default the daemon's first)", 0 },
	{ "json", KEY_JSON, 0, 0, "Print what the daemon said, for programs", 0 },
	{ "snap", KEY_SNAP, "BYTES", 0, "capture: keep this much of each frame (default all)", 0 },
	{ "for", KEY_FOR, "TIME", 0, "capture: stop after 10s, 500ms (default at Ctrl-C)", 0 },
	{ 0 },
};

static const char usage_text[] =
	"Looks into a running lightd."
	"\v  status        the daemon, its hosts and programs\n"
	"  ss            sockets and connections of a host\n"
	"  stats         counters of a host, its network and the service\n"
	"  arp, route    neighbours and routes of a host\n"
	"  capture FILE  writes the host's frames as pcap until Ctrl-C\n"
	"  capture-stop  ends a capture whose lightctl is gone\n";

static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
	(void)number;
	interrupted = 1;
}

static void print_json(struct json_object *answer)
{
	puts(json_object_to_json_string_ext(answer, JSON_C_TO_STRING_PRETTY));
}

/* Sleeps until a signal or the end of the time asked for. */
static void wait_for_end(nsec duration)
{
	struct timespec slice = { .tv_nsec = 50 * 1000000 };
	nsec waited = 0;

	signal(SIGINT, on_signal);
	signal(SIGTERM, on_signal);
	while (!interrupted && (duration == 0 || waited < duration)) {
		nanosleep(&slice, NULL);
		waited += (nsec)slice.tv_nsec;
	}
}

static void stop_capture(const struct settings *s)
{
	struct json_object *answer;
	char question[128];

	snprintf(question, sizeof question, "capture %s", s->host);
	answer = ask(s->socket_path, question, -1);
	if (s->json)
		print_json(answer);
	else
		printf("%" PRIu64 " frames, %" PRIu64 " bytes, %" PRIu64 " cut, %" PRIu64 " missed\n",
		       json_object_get_uint64(json_object_object_get(answer, "packets")),
		       json_object_get_uint64(json_object_object_get(answer, "bytes")),
		       json_object_get_uint64(json_object_object_get(answer, "truncated")),
		       json_object_get_uint64(json_object_object_get(answer, "missed")));
	json_object_put(answer);
}

/* The file is opened here, with this user's rights, and its descriptor handed over. */
static void capture(const struct settings *s)
{
	int fd = open(s->file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	char question[128];

	if (fd < 0)
		refuse(EXIT_REFUSED, "%s: %s", s->file, strerror(errno));
	snprintf(question, sizeof question, "capture %s %" PRIu64, s->host, s->snap);
	json_object_put(ask(s->socket_path, question, fd));
	wait_for_end(s->duration);
	stop_capture(s);
}

/* The name of the daemon's first host, where none was named: "capture" needs the word. */
static const char *first_host(const struct settings *s)
{
	struct json_object *answer = ask(s->socket_path, "status", -1);
	struct json_object *hosts = json_object_object_get(answer, "hosts");
	struct json_object *first = hosts != NULL ? json_object_array_get_idx(hosts, 0) : NULL;
	const char *name = first != NULL ? json_object_get_string(json_object_object_get(first, "name")) : "";
	char *copy = strdup(name);

	json_object_put(answer);
	return copy != NULL ? copy : "";
}

static void look(const struct settings *s)
{
	struct json_object *answer;
	char question[128];

	snprintf(question, sizeof question, "%s %s", s->command->name, s->command->about_host ? s->host : "");
	answer = ask(s->socket_path, question, -1);
	if (s->json)
		print_json(answer);
	else
		s->command->show(answer);
	json_object_put(answer);
}

static void take_argument(struct settings *s, const char *arg, struct argp_state *state)
{
	if (state->arg_num == 0) {
		for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
			if (strcmp(commands[i].name, arg) == 0)
				s->command = &commands[i];
		}
		if (s->command == NULL)
			refuse(EXIT_REFUSED, "'%s' is no command: status, ss, stats, arp, route, capture or capture-stop", arg);
	} else if (state->arg_num == 1 && strcmp(s->command->name, "capture") == 0) {
		s->file = arg;
	} else {
		refuse(EXIT_REFUSED, "'%s' is one word too many", arg);
	}
}

static void check(const struct settings *s)
{
	if (s->command == NULL)
		refuse(EXIT_REFUSED, "a command is wanted: status, ss, stats, arp, route, capture or capture-stop");
	else if (strcmp(s->command->name, "capture") == 0 && s->file == NULL)
		refuse(EXIT_REFUSED, "capture: a file is wanted");
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct settings *s = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		refuse_quietly(state);
		return 0;
	case KEY_SOCKET:
		s->socket_path = arg;
		return 0;
	case KEY_HOST:
		if (strlen(arg) > 31 || strpbrk(arg, " \n") != NULL)
			refuse(EXIT_REFUSED, "--host: '%s' is no host's name", arg);
		s->host = arg;
		return 0;
	case KEY_JSON:
		s->json = true;
		return 0;
	case KEY_SNAP:
		if (!units_whole(arg, 14, 262144, &s->snap))
			refuse(EXIT_REFUSED, "--snap: '%s': 14 to 262144 bytes", arg);
		return 0;
	case KEY_FOR:
		if (!units_duration(arg, &s->duration) || s->duration == 0)
			refuse(EXIT_REFUSED, "--for: '%s': a time, as 10s or 500ms", arg);
		return 0;
	case ARGP_KEY_ARG:
		take_argument(s, arg, state);
		return 0;
	case ARGP_KEY_END:
		check(s);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

const char *argp_program_version = "lightctl " LIGHT_VERSION;

int main(int argc, char **argv)
{
	const struct argp argp = { option_table, parse, "COMMAND", usage_text, 0, 0, 0 };
	struct settings s = { .socket_path = LIGHT_SOCKET_PATH, .host = "" };

	refuse_or_parse(&argp, argc, argv, &s);
	if (s.command->show != NULL) {
		look(&s);
		return 0;
	}
	if (*s.host == '\0')
		s.host = first_host(&s);
	if (strcmp(s.command->name, "capture") == 0)
		capture(&s);
	else
		stop_capture(&s);
	return 0;
}
