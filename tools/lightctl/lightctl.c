/* SPDX-License-Identifier: BSD-3-Clause */
/* lightctl: looks into a running lightd, and changes what it is connected to. */
#include <argp.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/lightctl/lightctl.h"
#include "tools/refuse.h"
#include "tools/units.h"

#define WORDS_MAX 12

struct command {
	const char *name;
	void (*show)(struct json_object *);
	bool about_host;
	const char *verbs;      /* what may follow; NULL: nothing */
};

static const struct command commands[] = {
	{ "status", show_status, false, NULL }, { "cores", show_cores, false, NULL }, { "ss", show_sockets, true, NULL },
	{ "stats", show_stats, true, NULL }, { "link", show_links, true, NULL }, { "addr", show_addresses, true, "add, del" },
	{ "route", show_routes, true, "add, del" }, { "neigh", show_neighbours, true, "add, del, show" },
	{ "arp", show_neighbours, true, NULL }, { "dhcp", show_leases, true, "start, stop" }, { "vlan", show_vlans, true, "add, del" }, { "capture", NULL, true, "FILE" },
	{ "capture-stop", NULL, true, NULL },
};
#define COMMANDS (sizeof commands / sizeof commands[0])

struct settings {
	struct capture_settings capture;   /* its socket and host are everybody's */
	const struct command *command;
	unsigned words;
	const char *word[WORDS_MAX];       /* behind the command */
};

enum { KEY_SOCKET = 256, KEY_HOST, KEY_JSON, KEY_SNAP, KEY_FOR, KEY_INTERFACE, KEY_CORE };

static const struct argp_option option_table[] = {
	{ "socket", KEY_SOCKET, "PATH", 0, "The daemon's socket (default " LIGHT_SOCKET_PATH ")", 0 },
	{ "host", KEY_HOST, "NAME", 0, "About this host (default the daemon's first)", 0 },
	{ "json", KEY_JSON, 0, 0, "Print what the daemon said, for programs", 0 },
	{ "snap", KEY_SNAP, "BYTES", 0, "capture: keep this much of each frame (default all)", 0 },
	{ "for", KEY_FOR, "TIME", 0, "capture: stop after 10s, 500ms (default at Ctrl-C)", 0 },
	{ "interface", KEY_INTERFACE, "NAME", 0, "capture: on this one (default the first)", 0 },
	{ "core", KEY_CORE, "NUMBER", 0, "capture: on this one (default all; of several each writes FILE.NUMBER)", 0 },
	{ 0 },
};

static const char usage_text[] =
	"Looks into a running lightd, and changes what it is connected to."
	"\v  status        the daemon, its hosts and programs\n"
	"  cores         what each core does\n"
	"  ss            sockets and connections of a host\n"
	"  stats         counters of a host, its queues and devices, the network and the service\n"
	"  link          interfaces of a host\n"
	"  addr          its addresses       addr add A/P dev IF, addr del A/P [dev IF]\n"
	"  route         its routes          route add|del TO[/P] [via GATEWAY] [dev IF]\n"
	"  neigh, arp    its neighbours      neigh add ADDRESS lladdr MAC [dev IF], neigh del ADDRESS [dev IF]\n"
	"  vlan          its VLANs           vlan add|del VID dev IF\n"
	"  dhcp          its leases          dhcp start|stop dev IF\n"
	"  capture FILE  writes a host's frames as pcap until Ctrl-C\n"
	"  capture-stop  ends a capture whose lightctl is gone\n"
	"\nChanges and captures are for root and the daemon's own user.\n";

static const char *command_names(void)
{
	static char names[256];
	size_t n = 0;

	for (size_t k = 0; k < COMMANDS && n < sizeof names; k++)
		n += (size_t)snprintf(names + n, sizeof names - n, "%s%s", k == 0 ? "" : k + 1 < COMMANDS ? ", " : " or ", commands[k].name);
	return names;
}

static void look(const struct settings *s)
{
	struct json_object *answer;
	char question[512];
	size_t n = (size_t)snprintf(question, sizeof question, "%s", s->command->name);

	if (s->command->about_host)
		n += (size_t)snprintf(question + n, sizeof question - n, " %s", s->capture.host);
	for (unsigned i = 0; i < s->words && n < sizeof question; i++)
		n += (size_t)snprintf(question + n, sizeof question - n, " %s", s->word[i]);
	if (n >= sizeof question)
		refuse(EXIT_REFUSED, "%s: too long", s->command->name);
	answer = ask(s->capture.socket_path, question, -1);
	if (s->capture.json)
		show_json(answer);
	else if (s->words == 0)
		s->command->show(answer);
	json_object_put(answer);
}

static void take_argument(struct settings *s, const char *arg, struct argp_state *state)
{
	if (state->arg_num == 0) {
		for (size_t i = 0; i < COMMANDS; i++) {
			if (strcmp(commands[i].name, arg) == 0)
				s->command = &commands[i];
		}
		if (s->command == NULL)
			refuse(EXIT_REFUSED, "'%s' is no command: %s", arg, command_names());
	} else if (s->command->verbs == NULL || s->words == WORDS_MAX || (s->command->show == NULL && s->words == 1)) {
		refuse(EXIT_REFUSED, "'%s' is one word too many", arg);
	} else if (s->command->show != NULL && (*arg == '\0' || strpbrk(arg, " \n\t") != NULL)) {
		refuse(EXIT_REFUSED, "'%s' is no word", arg);
	} else {
		s->word[s->words++] = arg;
	}
}

/* Is it a word of a list with commas? */
static bool is_one_of(const char *word, const char *list)
{
	size_t length = strlen(word);

	for (const char *at = list; (at = strstr(at, word)) != NULL; at++) {
		if ((at == list || at[-1] == ' ') && (at[length] == '\0' || at[length] == ','))
			return true;
	}
	return false;
}

static void check(struct settings *s)
{
	if (s->command == NULL)
		refuse(EXIT_REFUSED, "a command is wanted: %s", command_names());
	if (strcmp(s->command->name, "capture") == 0) {
		if (s->words == 0)
			refuse(EXIT_REFUSED, "capture: a file is wanted");
		s->capture.file = s->word[0];
	} else if (s->words == 1 && strcmp(s->command->name, "neigh") == 0 && strcmp(s->word[0], "show") == 0) {
		s->words = 0;
	} else if (s->words > 0 && !is_one_of(s->word[0], s->command->verbs)) {
		refuse(EXIT_REFUSED, "%s: '%s': %s", s->command->name, s->word[0], s->command->verbs);
	}
}

static bool name_is_a_word(const char *name)
{
	return *name != '\0' && strlen(name) <= 31 && strpbrk(name, " \n\t") == NULL;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct settings *s = state->input;
	uint64_t n;

	switch (key) {
	case ARGP_KEY_INIT:
		refuse_quietly(state);
		return 0;
	case KEY_SOCKET:
		s->capture.socket_path = arg;
		return 0;
	case KEY_HOST:
		if (!name_is_a_word(arg))
			refuse(EXIT_REFUSED, "--host: '%s' is no host's name", arg);
		s->capture.host = arg;
		return 0;
	case KEY_JSON:
		s->capture.json = true;
		return 0;
	case KEY_SNAP:
		if (!units_whole(arg, 14, 262144, &s->capture.snap))
			refuse(EXIT_REFUSED, "--snap: '%s': 14 to 262144 bytes", arg);
		return 0;
	case KEY_FOR:
		if (!units_duration(arg, &s->capture.duration) || s->capture.duration == 0)
			refuse(EXIT_REFUSED, "--for: '%s': a time, as 10s or 500ms", arg);
		return 0;
	case KEY_INTERFACE:
		if (!name_is_a_word(arg))
			refuse(EXIT_REFUSED, "--interface: '%s' is no interface's name", arg);
		s->capture.interface = arg;
		return 0;
	case KEY_CORE:
		if (!units_whole(arg, 0, 15, &n))
			refuse(EXIT_REFUSED, "--core: '%s': 0 to 15", arg);
		s->capture.core = (int)n;
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
	const struct argp argp = { option_table, parse, "COMMAND [WORD...]", usage_text, 0, 0, 0 };
	struct settings s = { .capture = { .socket_path = LIGHT_SOCKET_PATH, .host = "-", .interface = "-", .core = -1 } };

	refuse_or_parse(&argp, argc, argv, &s);
	if (strcmp(s.command->name, "capture") == 0)
		return capture_run(&s.capture);
	if (strcmp(s.command->name, "capture-stop") == 0)
		return capture_end(&s.capture);
	look(&s);
	return 0;
}
