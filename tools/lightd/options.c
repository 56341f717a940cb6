/* SPDX-License-Identifier: BSD-3-Clause */
/* The command line of lightd: every setting with an option, the configuration file first. */
#include "tools/lightd/options.h"

#include <argp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "tools/lightd/backend.h"
#include "tools/lightd/check.h"
#include "tools/lightd/config.h"
#include "tools/lightd/settings.h"
#include "tools/refuse.h"

enum { KEY_CONFIG = 256, KEY_CHECK, KEY_SETTING };

static const char *const groups[] = {
	[1] = "Network:",
	[2] = "Its interfaces (tap, afxdp, pcap, dpdk):",
	[3] = "The simulated network (sim):",
	[4] = "Its links, each host's way out (there and back is twice the delay):",
	[5] = "Programs:",
	[6] = "Running:",
	[7] = "What programs may take, all their processes together:",
};
#define GROUPS (sizeof groups / sizeof groups[0])

/* What the command line said, in its order: it is applied after the file. */
struct command_line {
	const char *config;
	bool check;
	unsigned n, room;
	struct {
		const struct setting *setting;
		char *arg;
	} *said;
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct command_line *c = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		refuse_quietly(state);
		return 0;
	case KEY_CONFIG:
		c->config = arg;
		return 0;
	case KEY_CHECK:
		c->check = true;
		return 0;
	case ARGP_KEY_ARG:
		refuse(EXIT_REFUSED, "'%s': lightd takes options only", arg);
		return 0;
	default:
		if (key != 'v' && (key < KEY_SETTING || setting_at((unsigned)(key - KEY_SETTING)) == NULL))
			return ARGP_ERR_UNKNOWN;
		c->said[c->n].setting = key == 'v' ? setting_by_key("", "verbose") : setting_at((unsigned)(key - KEY_SETTING));
		c->said[c->n++].arg = arg;
		return 0;
	}
}

/* argp's table out of the settings'. */
static void make_table(struct argp_option *table)
{
	const struct setting *s;
	unsigned n = 0;

	table[n++] = (struct argp_option){ "config", KEY_CONFIG, "FILE", 0, "Settings from this file; options win over it", 1 };
	table[n++] = (struct argp_option){ "check", KEY_CHECK, 0, 0, "Only say what is wrong with file and options: status 0 or 2", 1 };
	for (unsigned g = 1; g < GROUPS; g++)
		table[n++] = (struct argp_option){ .doc = groups[g], .group = (int)g };
	for (unsigned i = 0; (s = setting_at(i)) != NULL; i++) {
		bool verbose = s->option != NULL && strcmp(s->option, "verbose") == 0;

		if (s->option != NULL && n < SETTINGS_MAX - 1)
			table[n++] = (struct argp_option){ s->option, verbose ? 'v' : KEY_SETTING + (int)i, s->arg, 0, s->help,
							   (int)s->group };
	}
	table[n] = (struct argp_option){ 0 };
}

static void apply(struct options *o, const struct command_line *c)
{
	o->place = (struct place){ 0 };
	for (unsigned i = 0; i < c->n; i++) {
		const struct setting *s = c->said[i].setting;
		const char *text = c->said[i].arg != NULL ? c->said[i].arg : "true";
		const char *allowed = setting_set(o, s, text);

		if (allowed != NULL)
			complain(&o->place, "--%s: '%s': %s", s->option, text, allowed);
	}
}

/* What stands behind "--" is for DPDK; the arguments before it remain. */
static int split(struct options *o, int argc, char **argv)
{
	const struct setting *s = setting_by_key("dpdk", "arguments");

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--") != 0)
			continue;
		for (int j = i + 1; j < argc; j++) {
			const char *allowed = setting_set(o, s, argv[j]);

			if (allowed != NULL)
				refuse(EXIT_REFUSED, "arguments of DPDK behind --: %s", allowed);
		}
		argv[i] = NULL;
		return i;
	}
	return argc;
}

const char *argp_program_version = "lightd " LIGHT_VERSION;

bool options_busy(const struct options *o)
{
	return o->poll == POLL_BUSY || (o->poll == POLL_DEFAULT && o->backend != NULL && o->backend->busy);
}

void options_parse(int argc, char **argv, struct options *o)
{
	struct argp_option table[SETTINGS_MAX];
	const struct argp argp = {
		table, parse, "[-- EAL ARGUMENTS]",
		"The network stack, as a service: programs started by light-run use it through the calls they already make.", 0, 0, 0
	};
	struct command_line c = { .room = (unsigned)argc };
	struct options behind = { 0 };

	*o = (struct options){ .socket_path = LIGHT_SOCKET_PATH, .socket_mode = 0660, .socket_group = (gid_t)-1, .seed = 1,
			       .sockets = 262144, .arp_timeout = 35, .mtu_probing = 1, .max_orphans = 65536, .uto_lower = 100, .uto_upper = 3600,
			       .syn_cookies = TCP_COOKIES_WHEN_FULL, .ecn = TCP_ECN_PASSIVE,
			       .fastopen = TCP_FASTOPEN_CLIENT | TCP_FASTOPEN_SERVER, .queues = 1, .current_vlan = -1 };
	setting_by_key("sim", "hosts")->set(o, "2");
	o->hosts_said = false;
	argc = split(&behind, argc, argv);
	make_table(table);
	c.said = calloc((size_t)argc + 1, sizeof *c.said);
	if (c.said == NULL)
		refuse(EXIT_FAILURE, "memory is short");
	refuse_or_parse(&argp, argc, argv, &c);
	if (c.check)
		complain_on();
	if (c.config != NULL)
		config_read_into(c.config, o);
	apply(o, &c);
	if (behind.eal_arguments > 0) {
		memcpy(o->eal_argument, behind.eal_argument, sizeof o->eal_argument);
		o->eal_arguments = behind.eal_arguments;
	}
	free(c.said);
	options_check(o);
	if (c.check)
		exit(complaints() == 0 ? 0 : EXIT_REFUSED);
}
