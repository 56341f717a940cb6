/* SPDX-License-Identifier: BSD-3-Clause */
/* The command line of light-sim. */
#include "sim.h"

#include <argp.h>
#include <stdlib.h>
#include <string.h>

#include "tools/refuse.h"
#include "tools/units.h"

enum {
	KEY_HOSTS = 256, KEY_RATE, KEY_DELAY, KEY_JITTER, KEY_LOSS, KEY_DUPLICATE, KEY_REORDER, KEY_CORRUPT,
	KEY_QUEUE, KEY_QUEUE_BYTES, KEY_MTU, KEY_OFFLOAD, KEY_SEED, KEY_BYTES, KEY_CONNECTIONS, KEY_TOGETHER,
	KEY_KIND, KEY_ASK, KEY_ANSWER, KEY_ROUNDS, KEY_HALF_CLOSE, KEY_CC, KEY_ECN, KEY_STANDARD, KEY_WINDOW, KEY_PINGS,
	KEY_PING_BYTES, KEY_LIMIT, KEY_CHECK, KEY_TRACE, KEY_PCAP, KEY_SEEDS, KEY_NODELAY, KEY_CORES, KEY_BIND,
	KEY_SET, KEY_JSON, KEY_CSV, KEY_DRAW,
};

static const struct argp_option options[] = {
	{ 0, 0, 0, 0, "The network (both directions of every host's cable):", 1 },
	{ "hosts", KEY_HOSTS, "N", 0, "hosts; host 0 serves, the others are its clients (2)", 0 },
	{ "cores", KEY_CORES, "N", 0, "of each host, 1..16: as many stacks behind one port (1)", 0 },
	{ "rate", KEY_RATE, "BITS", 0, "bits a second: 10M, 1G (no limit)", 0 },
	{ "delay", KEY_DELAY, "TIME", 0, "one way: 20ms, 50us (10us)", 0 },
	{ "jitter", KEY_JITTER, "TIME", 0, "more delay, up to this; keeps the order", 0 },
	{ "loss", KEY_LOSS, "P", 0, "probability: 2% or 0.02", 0 },
	{ "duplicate", KEY_DUPLICATE, "P", 0, "", 0 },
	{ "reorder", KEY_REORDER, "P", 0, "frames that come later than those behind them", 0 },
	{ "corrupt", KEY_CORRUPT, "P", 0, "frames with one wrong bit", 0 },
	{ "queue", KEY_QUEUE, "N", 0, "packets that wait for the rate (no limit)", 0 },
	{ "queue-bytes", KEY_QUEUE_BYTES, "N", 0, "bytes that wait for the rate (no limit)", 0 },
	{ "mtu", KEY_MTU, "N", 0, "576..9216 (1500)", 0 },
	{ "offload", KEY_OFFLOAD, "WHAT", 0, "none, csum, or tso: super-frames of 64 KB (none)", 0 },
	{ "seed", KEY_SEED, "N", 0, "of all chance (1)", 0 },
	{ 0, 0, 0, 0, "The applications:", 2 },
	{ "connections", KEY_CONNECTIONS, "N", 0, "of each client, in all (1)", 0 },
	{ "together", KEY_TOGETHER, "N", 0, "of each client, at one time (1)", 0 },
	{ "kind", KEY_KIND, "KIND", 0, "sink (client sends), source (server sends), echo, both, or ask (source)", 0 },
	{ "bytes", KEY_BYTES, "N", 0, "each connection carries (1000000)", 0 },
	{ "ask", KEY_ASK, "N", 0, "bytes of a request (64)", 0 },
	{ "answer", KEY_ANSWER, "N", 0, "bytes of its answer (1024)", 0 },
	{ "rounds", KEY_ROUNDS, "N", 0, "requests a connection (10)", 0 },
	{ "half-close", KEY_HALF_CLOSE, 0, 0, "who is done sending says so at once", 0 },
	{ "bind", KEY_BIND, 0, 0, "clients bind their sockets before they connect", 0 },
	{ "pings", KEY_PINGS, "N", 0, "UDP datagrams from each client, 10 ms apart (0)", 0 },
	{ "ping-bytes", KEY_PING_BYTES, "N", 0, "of each, 16..65507 (64)", 0 },
	{ 0, 0, 0, 0, "TCP:", 3 },
	{ "cc", KEY_CC, "NAME", 0, "congestion control (newreno)", 0 },
	{ "ecn", KEY_ECN, "WHAT", 0, "off, passive, request, accurate-passive, or accurate (passive)", 0 },
	{ "standard", KEY_STANDARD, 0, 0, "timers as the RFCs have them, not as Linux has", 0 },
	{ "initial-window", KEY_WINDOW, "N", 0, "segments (10)", 0 },
	{ "nodelay", KEY_NODELAY, 0, 0, "without Nagle's algorithm", 0 },
	{ 0, 0, 0, 0, "What is seen:", 4 },
	{ "pcap", KEY_PCAP, "HOST:FILE", 0, "writes what passes a host's port (repeatable)", 0 },
	{ "trace", KEY_TRACE, 0, 0, "one line a frame", 0 },
	{ "check", KEY_CHECK, "N", 0, "all invariants after each Nth turn; 0: not until the end (1)", 0 },
	{ "limit", KEY_LIMIT, "TIME", 0, "virtual time after which what goes on has failed (1 hour)", 0 },
	{ 0, 0, 0, 0, "run:", 5 },
	{ "set", KEY_SET, "PATH=VALUE", 0, "in place of what the file says, as hosts.[1].down.rate=1G (repeatable)", 0 },
	{ "json", KEY_JSON, 0, 0, "the summary for programs", 0 },
	{ "csv", KEY_CSV, "DIR", 0, "writes connections.csv, queues.csv and segments.csv there", 0 },
	{ "draw", KEY_DRAW, "FILE", 0, "draws them, as .svg, .png or .pdf; needs --csv", 0 },
	{ 0, 0, 0, 0, "swarm:", 6 },
	{ "seeds", KEY_SEEDS, "A-B", 0, "worlds to run, each twice; with --trace: one, once", 0 },
	{ 0 },
};

static uint64_t whole(const char *name, const char *text, uint64_t least, uint64_t most)
{
	uint64_t value = 0;

	if (!units_whole(text, least, most, &value))
		refuse(EXIT_REFUSED, "--%s: '%s' is not a whole number from %llu to %llu", name, text,
			(unsigned long long)least, (unsigned long long)most);
	return value;
}

static enum tcp_ecn ecn_of(const char *text)
{
	static const char *const names[] = { "off", "passive", "request", "accurate-passive", "accurate" };

	for (unsigned i = 0; i < TCP_ECN_END; i++)
		if (strcmp(text, names[i]) == 0)
			return (enum tcp_ecn)i;
	refuse(EXIT_REFUSED, "--ecn: '%s' is none of off, passive, request, accurate-passive, accurate", text);
}

static nsec duration(const char *name, const char *text)
{
	nsec value = 0;

	if (!units_duration(text, &value))
		refuse(EXIT_REFUSED, "--%s: '%s' is not a time such as 20ms, 50us or 2s", name, text);
	return value;
}

static double probability(const char *name, const char *text)
{
	double value = 0;

	if (!units_probability(text, &value))
		refuse(EXIT_REFUSED, "--%s: '%s' is not a probability such as 2%% or 0.02", name, text);
	return value;
}

static enum talk_kind kind_of(const char *text)
{
	static const char *const names[TALK_KINDS] = {
		[TALK_SINK] = "sink", [TALK_SOURCE] = "source", [TALK_ECHO] = "echo", [TALK_ASK] = "ask",
		[TALK_BOTH] = "both",
	};
	unsigned i;

	for (i = 0; i < TALK_KINDS; i++)
		if (strcmp(names[i], text) == 0)
			return (enum talk_kind)i;
	refuse(EXIT_REFUSED, "--kind: '%s' is none of sink, source, echo, ask, both", text);
}

static uint32_t offload_of(const char *text)
{
	if (strcmp(text, "none") == 0)
		return 0;
	if (strcmp(text, "csum") == 0)
		return LINK_TX_CSUM | LINK_RX_CSUM;
	if (strcmp(text, "tso") != 0)
		refuse(EXIT_REFUSED, "--offload: '%s' is none of none, csum, tso", text);
	return LINK_TSO | LINK_TX_CSUM | LINK_RX_CSUM;
}

static void add_capture(struct sim_options *o, char *text)
{
	char *colon = strchr(text, ':');
	uint64_t host;

	if (o->capture_count == SIM_CAPTURES)
		refuse(EXIT_REFUSED, "--pcap: at most %u", SIM_CAPTURES);
	if (!colon || !colon[1])
		refuse(EXIT_REFUSED, "--pcap: '%s' is not HOST:FILE", text);
	*colon = '\0';
	host = whole("pcap", text, 0, WIRE_MAX_PORTS - 1);
	o->captures[o->capture_count++] = (struct sim_capture){ .host = (unsigned)host, .path = colon + 1 };
}

static void parse_seeds(struct sim_options *o, char *text)
{
	char *dash = strchr(text, '-');

	if (dash)
		*dash = '\0';
	o->seed_first = o->seed_last = whole("seeds", text, 0, UINT64_MAX - 1);
	if (dash)
		o->seed_last = whole("seeds", dash + 1, o->seed_first, UINT64_MAX - 1);
}

static bool parse_network(int key, char *v, struct sim_options *o)
{
	switch (key) {
	case KEY_HOSTS: o->world.hosts = (unsigned)whole("hosts", v, 1, WIRE_MAX_PORTS); return true;
	case KEY_CORES: memset(o->world.cores, (int)whole("cores", v, 1, STEER_CORES), sizeof(o->world.cores)); return true;
	case KEY_RATE:
		if (!units_rate(v, &o->cable.rate))
			refuse(EXIT_REFUSED, "--rate: '%s' is not bits a second such as 10M or 1G", v);
		return true;
	case KEY_DELAY: o->cable.delay = duration("delay", v); return true;
	case KEY_JITTER: o->cable.jitter = duration("jitter", v); return true;
	case KEY_LOSS: o->cable.loss = probability("loss", v); return true;
	case KEY_DUPLICATE: o->cable.duplicate = probability("duplicate", v); return true;
	case KEY_REORDER: o->cable.reorder = probability("reorder", v); return true;
	case KEY_CORRUPT: o->cable.corrupt = probability("corrupt", v); return true;
	case KEY_QUEUE: o->cable.queue_packets = (uint32_t)whole("queue", v, 0, UINT32_MAX); return true;
	case KEY_QUEUE_BYTES: o->cable.queue_bytes = (uint32_t)whole("queue-bytes", v, 0, UINT32_MAX); return true;
	case KEY_MTU: o->world.mtu = (uint16_t)whole("mtu", v, 576, 9216); return true;
	case KEY_OFFLOAD: o->world.link_flags = offload_of(v); return true;
	case KEY_SEED: o->world.seed = whole("seed", v, 0, UINT64_MAX); return true;
	default: return false;
	}
}

static bool parse_applications(int key, char *v, struct sim_options *o)
{
	switch (key) {
	case KEY_CONNECTIONS: o->connections = whole("connections", v, 0, 100000000); return true;
	case KEY_TOGETHER: o->together = (uint32_t)whole("together", v, 1, 1000000); return true;
	case KEY_KIND: o->script.kind = kind_of(v); return true;
	case KEY_BYTES: o->script.bytes = whole("bytes", v, 0, UINT64_C(1) << 50); return true;
	case KEY_ASK: o->script.ask = (uint32_t)whole("ask", v, 1, 1 << 30); return true;
	case KEY_ANSWER: o->script.answer = (uint32_t)whole("answer", v, 1, 1 << 30); return true;
	case KEY_ROUNDS: o->script.rounds = (uint32_t)whole("rounds", v, 1, 1 << 30); return true;
	case KEY_BIND: o->bind_first = true; return true;
	case KEY_HALF_CLOSE: o->script.half_close = true; return true;
	case KEY_NODELAY: o->script.client.nodelay = o->script.server.nodelay = true; return true;
	case KEY_PINGS: o->pings = whole("pings", v, 0, 100000000); return true;
	case KEY_PING_BYTES: o->ping_bytes = (uint32_t)whole("ping-bytes", v, 16, 65507); return true;
	case KEY_CC: o->tcp.cc = v; return true;
	case KEY_ECN: o->tcp.ecn = ecn_of(v); return true;
	case KEY_WINDOW: o->tcp.initial_window = (uint32_t)whole("initial-window", v, 1, 1000); return true;
	default: return false;
	}
}

/* "swarm", or "run FILE". */
static void parse_command(char *v, unsigned number, struct sim_options *o)
{
	if (number == 0 && strcmp(v, "swarm") == 0)
		o->swarm = true;
	else if (number == 0 && strcmp(v, "run") == 0)
		o->run = true;
	else if (number == 1 && o->run)
		o->scene = v;
	else
		refuse(EXIT_REFUSED, "'%s' is not a command; there are run FILE, and swarm", v);
}

static error_t parse(int key, char *v, struct argp_state *s)
{
	struct sim_options *o = s->input;

	if (parse_network(key, v, o) || parse_applications(key, v, o))
		return 0;
	switch (key) {
	case ARGP_KEY_INIT:     /* one line of getopt's says what is wrong; no second one of argp's */
		s->err_stream = NULL;
		return 0;
	case KEY_STANDARD: {
		struct tcp_settings before = o->tcp;

		tcp_settings_standard(&o->tcp);
		o->tcp.cc = before.cc;
		o->tcp.ecn = before.ecn;
		o->tcp.initial_window = before.initial_window;
		return 0;
	}
	case KEY_PCAP: add_capture(o, v); return 0;
	case KEY_TRACE: o->trace = true; return 0;
	case KEY_CHECK: o->world.check_every = (uint32_t)whole("check", v, 0, UINT32_MAX); return 0;
	case KEY_LIMIT: o->limit = duration("limit", v); return 0;
	case KEY_SET:
		if (o->set_count == SIM_SETS)
			refuse(EXIT_REFUSED, "--set: at most %u", SIM_SETS);
		o->sets[o->set_count++] = v;
		return 0;
	case KEY_JSON: o->json = true; return 0;
	case KEY_CSV: o->csv = v; return 0;
	case KEY_DRAW: o->picture = v; return 0;
	case KEY_SEEDS: parse_seeds(o, v); return 0;
	case ARGP_KEY_ARG:
		parse_command(v, s->arg_num, o);
		return 0;
	default: return ARGP_ERR_UNKNOWN;
	}
}

static void check_together(struct sim_options *o)
{
	unsigned i;

	for (i = 0; i < o->capture_count; i++)
		if (o->captures[i].host >= o->world.hosts)
			refuse(EXIT_REFUSED, "--pcap: there is no host %u", o->captures[i].host);
	if (o->run && !o->scene)
		refuse(EXIT_REFUSED, "run: the file of a world is missing");
	if (!o->run && (o->set_count || o->json || o->csv || o->picture))
		refuse(EXIT_REFUSED, "--set, --json, --csv and --draw belong to run");
	if (o->picture && !o->csv)
		refuse(EXIT_REFUSED, "--draw: needs --csv");
	if (o->world.hosts < 2 && !o->swarm)
		refuse(EXIT_REFUSED, "a server and its clients are at least 2 hosts");
}

static const struct argp argp = {
	.options = options,
	.parser = parse,
	.args_doc = "\nrun FILE [--set PATH=VALUE]... [--json] [--csv DIR [--draw FILE]]\nswarm [--seeds A-B] [--trace]",
	.doc = "Runs hosts of Light on a simulated network under a virtual clock and says what came of it: with the first "
	       "form a world as described, with the second one from a file (sim/worlds/ has examples), with the third random "
	       "worlds, each from a seed and each twice.\v"
	       "The same options and seed give the same bytes at the same times. Exit status: 0, 1 when an invariant "
	       "broke or an application did not get its bytes, 2 for a wrong command line.",
};

void sim_options(int argc, char **argv, struct sim_options *o)
{
	static char name[] = "light-sim";

	*o = (struct sim_options){
		.seed_first = 1, .seed_last = 200, .connections = 1, .together = 1, .ping_bytes = 64,
		.limit = 3600 * NSEC_PER_SEC,
		.world = { .hosts = 2, .seed = 1, .check_every = 1, .mtu = 1500 },
		.cable = { .delay = 10 * NSEC_PER_USEC },
		.script = { .kind = TALK_SOURCE, .port = 80, .bytes = 1000000, .ask = 64, .answer = 1024, .rounds = 10 },
	};
	tcp_settings_linux(&o->tcp);
	argv[0] = name;         /* getopt's messages begin with it */
	argp_program_version = "light-sim " LIGHT_VERSION;
	if (argp_parse(&argp, argc, argv, 0, NULL, o) != 0)
		exit(2);
	check_together(o);
}
