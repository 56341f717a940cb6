/* SPDX-License-Identifier: BSD-3-Clause */
/* The command line of lightd. */
#include "tools/lightd/options.h"

#include <argp.h>
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "tools/refuse.h"
#include "tools/units.h"

/* Hosts without an address of their own count up from here. */
#define FIRST_ADDRESS 0x0a4d0001u /* 10.77.0.1 */

enum {
	KEY_IO = 256, KEY_HOSTS, KEY_RATE, KEY_DELAY, KEY_JITTER, KEY_LOSS, KEY_DUPLICATE, KEY_REORDER, KEY_CORRUPT,
	KEY_QUEUE, KEY_SEED, KEY_MTU, KEY_SUPER, KEY_SOCKET, KEY_MODE, KEY_GROUP, KEY_POLL, KEY_CORES, KEY_PROFILE, KEY_SOCKETS,
};

static const struct argp_option option_table[] = {
	{ 0, 0, 0, 0, "Network:", 1 },
	{ "io", KEY_IO, "sim", 0, "Where packets come from: sim, a network in memory (the only one in this version)", 1 },
	{ "hosts", KEY_HOSTS, "N|NAME[=ADDRESS],...", 0,
	  "Hosts on the simulated network, /24 (default 2: server=10.77.0.1,client=10.77.0.2; other numbers: host1, host2 ...)", 1 },
	{ "mtu", KEY_MTU, "BYTES", 0, "576 to 9216 (default 1500)", 1 },
	{ "super-frames", KEY_SUPER, 0, 0, "Frames of up to 64 KB and no checksums between hosts, as virtual NICs do it", 1 },
	{ 0, 0, 0, 0, "Its links, each host's way out (there and back is twice the delay):", 2 },
	{ "rate", KEY_RATE, "BITS", 0, "Bits a second: 10M, 1G (default no limit)", 2 },
	{ "delay", KEY_DELAY, "TIME", 0, "20ms, 300us (default 0)", 2 },
	{ "jitter", KEY_JITTER, "TIME", 0, "More delay, at random up to this", 2 },
	{ "loss", KEY_LOSS, "PART", 0, "2% or 0.02", 2 },
	{ "duplicate", KEY_DUPLICATE, "PART", 0, "Delivered twice", 2 },
	{ "reorder", KEY_REORDER, "PART", 0, "Delivered later than those behind it", 2 },
	{ "corrupt", KEY_CORRUPT, "PART", 0, "Delivered with a wrong bit", 2 },
	{ "queue", KEY_QUEUE, "PACKETS", 0, "Packets that wait for the rate at most (default 1000 with --rate)", 2 },
	{ "seed", KEY_SEED, "NUMBER", 0, "Of all chance in the network (default 1)", 2 },
	{ 0, 0, 0, 0, "Programs:", 3 },
	{ "socket", KEY_SOCKET, "PATH", 0, "Where programs find this daemon (default " LIGHT_SOCKET_PATH ")", 3 },
	{ "socket-mode", KEY_MODE, "OCTAL", 0, "Rights of that socket (default 0660)", 3 },
	{ "socket-group", KEY_GROUP, "NAME", 0, "Its group", 3 },
	{ "max-sockets", KEY_SOCKETS, "NUMBER", 0, "Sockets and connections of one host (default 262144)", 3 },
	{ 0, 0, 0, 0, "Running:", 4 },
	{ "poll", KEY_POLL, "busy|adaptive", 0, "Spin always, or sleep when idle (default adaptive)", 4 },
	{ "cores", KEY_CORES, "LIST", 0, "CPUs to run on; keep programs off them (default: where the kernel puts it)", 4 },
	{ "profile", KEY_PROFILE, "linux|standard", 0, "TCP's timers and limits: Linux's or the RFCs' (default linux)", 4 },
	{ "verbose", 'v', 0, 0, "Log what programs do", 4 },
	{ 0 },
};

/* A name for one host: letters, digits, dots and dashes, so that it can stand in a list and in a file's name. */
static bool host_name_is_valid(const char *name, size_t length)
{
	if (length == 0 || length >= sizeof((struct host_option *)0)->name)
		return false;
	for (size_t i = 0; i < length; i++) {
		if (!isalnum((unsigned char)name[i]) && strchr("-._", name[i]) == NULL)
			return false;
	}
	return true;
}

static void host_add(struct options *o, const char *name, size_t length, const char *address)
{
	struct host_option *h = &o->host[o->hosts];

	if (o->hosts == HOSTS_MAX)
		refuse(EXIT_REFUSED, "--hosts: at most %u", HOSTS_MAX);
	if (!host_name_is_valid(name, length))
		refuse(EXIT_REFUSED, "--hosts: '%.*s' is no name: 1 to 31 letters, digits, '.', '-', '_'", (int)length, name);
	memcpy(h->name, name, length);
	h->name[length] = '\0';
	h->addr = ipaddr_from_ip4(__builtin_bswap32(FIRST_ADDRESS + o->hosts));
	if (address != NULL && (!units_ip4(address, &h->addr) || ipaddr_is_any(&h->addr)))
		refuse(EXIT_REFUSED, "--hosts: '%s' is not an IPv4 address", address);
	for (unsigned i = 0; i < o->hosts; i++) {
		if (strcmp(o->host[i].name, h->name) == 0 || ipaddr_equal(&o->host[i].addr, &h->addr))
			refuse(EXIT_REFUSED, "--hosts: '%s' has the name or the address of another host", h->name);
	}
	o->hosts++;
}

static void hosts_by_number(struct options *o, uint64_t number)
{
	char name[16];

	if (number == 2) {
		host_add(o, "server", 6, NULL);
		host_add(o, "client", 6, NULL);
		return;
	}
	for (uint64_t i = 1; i <= number; i++) {
		snprintf(name, sizeof name, "host%u", (unsigned)i);
		host_add(o, name, strlen(name), NULL);
	}
}

static void hosts_parse(struct options *o, char *arg)
{
	uint64_t number;
	char *save = NULL;

	o->hosts = 0;
	if (isdigit((unsigned char)arg[0]) && strpbrk(arg, ",=") == NULL) {
		if (!units_whole(arg, 1, HOSTS_MAX, &number))
			refuse(EXIT_REFUSED, "--hosts: '%s': 1 to %u", arg, HOSTS_MAX);
		hosts_by_number(o, number);
		return;
	}
	for (char *item = strtok_r(arg, ",", &save); item != NULL; item = strtok_r(NULL, ",", &save)) {
		char *equals = strchr(item, '=');
		size_t length = equals != NULL ? (size_t)(equals - item) : strlen(item);

		host_add(o, item, length, equals != NULL ? equals + 1 : NULL);
	}
	if (o->hosts == 0)
		refuse(EXIT_REFUSED, "--hosts: at least one");
}

static void want(bool ok, const char *option, const char *arg, const char *allowed)
{
	if (!ok)
		refuse(EXIT_REFUSED, "%s: '%s': %s", option, arg, allowed);
}

/* The options of the links. */
static bool parse_link(int key, char *arg, struct options *o)
{
	static const char time_wanted[] = "a time of at most an hour, as 20ms, 300us, 1.5s";
	static const char part_wanted[] = "a part, as 2% or 0.02, at most 1";
	struct wire_impairment *w = &o->impairment;
	uint64_t n;

	switch (key) {
	case KEY_RATE:
		want(units_rate(arg, &w->rate), "--rate", arg, "bits a second, as 10M or 1G");
		return true;
	case KEY_DELAY:
		want(units_duration(arg, &w->delay), "--delay", arg, time_wanted);
		return true;
	case KEY_JITTER:
		want(units_duration(arg, &w->jitter), "--jitter", arg, time_wanted);
		return true;
	case KEY_LOSS:
		want(units_probability(arg, &w->loss), "--loss", arg, part_wanted);
		return true;
	case KEY_DUPLICATE:
		want(units_probability(arg, &w->duplicate), "--duplicate", arg, part_wanted);
		return true;
	case KEY_REORDER:
		want(units_probability(arg, &w->reorder), "--reorder", arg, part_wanted);
		return true;
	case KEY_CORRUPT:
		want(units_probability(arg, &w->corrupt), "--corrupt", arg, part_wanted);
		return true;
	case KEY_QUEUE:
		want(units_whole(arg, 1, 1000000, &n), "--queue", arg, "1 to 1000000 packets");
		w->queue_packets = (uint32_t)n;
		return true;
	case KEY_SEED:
		want(units_whole(arg, 0, UINT64_MAX, &o->seed), "--seed", arg, "a whole number");
		return true;
	default:
		return false;
	}
}

static bool parse_network(int key, char *arg, struct options *o)
{
	uint64_t n;

	switch (key) {
	case KEY_IO:
		want(strcmp(arg, "sim") == 0, "--io", arg, "'sim' is the only backend of this version");
		return true;
	case KEY_HOSTS:
		hosts_parse(o, arg);
		return true;
	case KEY_MTU:
		want(units_whole(arg, 576, 9216, &n), "--mtu", arg, "576 to 9216");
		o->mtu = (uint16_t)n;
		return true;
	case KEY_SUPER:
		o->super_frames = true;
		return true;
	default:
		return parse_link(key, arg, o);
	}
}

static void parse_group(struct options *o, const char *arg)
{
	const struct group *g = getgrnam(arg);

	if (g == NULL)
		refuse(EXIT_REFUSED, "--socket-group: there is no group '%s'", arg);
	else
		o->socket_group = g->gr_gid;
}

static void parse_mode(struct options *o, const char *arg)
{
	char *end;
	unsigned long mode = strtoul(arg, &end, 8);

	want(isdigit((unsigned char)arg[0]) && *end == '\0' && mode <= 0777 && mode != 0, "--socket-mode", arg,
	     "octal rights, as 0660");
	o->socket_mode = (unsigned)mode;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct options *o = state->input;
	uint64_t n;

	if (parse_network(key, arg, o))
		return 0;
	switch (key) {
	case ARGP_KEY_INIT:
		refuse_quietly(state);
		return 0;
	case KEY_SOCKET:
		want(*arg != '\0' && strlen(arg) < 108, "--socket", arg, "a path of 1 to 107 bytes");
		o->socket_path = arg;
		return 0;
	case KEY_MODE:
		parse_mode(o, arg);
		return 0;
	case KEY_GROUP:
		parse_group(o, arg);
		return 0;
	case KEY_SOCKETS:
		want(units_whole(arg, 16, 4000000, &n), "--max-sockets", arg, "16 to 4000000");
		o->sockets = (uint32_t)n;
		return 0;
	case KEY_POLL:
		want(strcmp(arg, "busy") == 0 || strcmp(arg, "adaptive") == 0, "--poll", arg, "busy or adaptive");
		o->busy = strcmp(arg, "busy") == 0;
		return 0;
	case KEY_CORES:
		want(units_cpus(arg, &o->cores), "--cores", arg, "a list of CPU numbers below 64, as 1 or 0,2-3");
		return 0;
	case KEY_PROFILE:
		want(strcmp(arg, "linux") == 0 || strcmp(arg, "standard") == 0, "--profile", arg, "linux or standard");
		o->standard_profile = strcmp(arg, "standard") == 0;
		return 0;
	case 'v':
		o->verbose = true;
		return 0;
	case ARGP_KEY_ARG:
		refuse(EXIT_REFUSED, "'%s': lightd takes options only", arg);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

const char *argp_program_version = "lightd " LIGHT_VERSION;

void options_parse(int argc, char **argv, struct options *o)
{
	static const struct argp argp = {
		option_table, parse, NULL,
		"The network stack, as a service: programs started by light-run use it through the calls they already make.", 0, 0, 0
	};
	char two[] = "2";

	*o = (struct options){ .socket_path = LIGHT_SOCKET_PATH, .socket_mode = 0660, .socket_group = (gid_t)-1,
			       .mtu = 1500, .seed = 1, .sockets = 262144 };
	hosts_parse(o, two);
	refuse_or_parse(&argp, argc, argv, o);
	if (o->impairment.rate != 0 && o->impairment.queue_packets == 0)
		o->impairment.queue_packets = 1000;
}
