/* SPDX-License-Identifier: BSD-3-Clause */
/* light-iobench: opens a device of io/ and drops, sends, turns round or echoes frames for a while; one line of JSON. tools/bench io
 * starts one at each end of a device, and DPDK's testpmd in the place of one. */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io/afxdp.h"
#include "io/dpdk.h"
#include "io/pcap.h"
#include "io/tap.h"
#include "tools/iobench/iobench.h"
#include "tools/refuse.h"
#include "tools/units.h"

static const char *const mode_names[MODES] = { "drop", "send", "forward", "echo", "load" };
static const char *const backends[] = { "afxdp", "dpdk", "pcap", "tap" };
enum { AFXDP, DPDK, PCAP, TAP, BACKENDS };

struct settings {
	struct work work;
	unsigned backend;
	const char *interface;
	bool no_offload, skb;
	int cpu;
	char **eal;
	unsigned eal_arguments;
};

static volatile bool stop;

static void on_signal(int number)
{
	(void)number;
	stop = true;
}

static void log_line(void *context, const char *line)
{
	(void)context;
	fprintf(stderr, "%s\n", line);
}

/* ---- options ---- */

static unsigned one_of(const char *option, const char *text, const char *const *names, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		if (strcmp(text, names[i]) == 0)
			return i;
	}
	refuse(EXIT_REFUSED, "%s: '%s' is not known (--help lists them)", option, text);
}

static unsigned whole(const char *option, const char *text, unsigned least, unsigned most)
{
	uint64_t value;

	if (!units_whole(text, least, most, &value))
		refuse(EXIT_REFUSED, "%s: '%s' is no number from %u to %u", option, text, least, most);
	return (unsigned)value;
}

/* ADDRESS or ADDRESS,MAC */
static void set_party(const char *option, struct party *p, char *text)
{
	char *mac = strchr(text, ',');
	struct ipaddr addr;

	if (mac != NULL)
		*mac++ = '\0';
	if (!units_ip4(text, &addr) || (mac != NULL && !units_mac(mac, p->mac)))
		refuse(EXIT_REFUSED, "%s: an IPv4 address, or one and a MAC address (10.0.0.2,02:00:00:00:00:02)", option);
	p->ip4 = ipaddr_ip4(&addr);
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct settings *s = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		refuse_quietly(state);
		return 0;
	case 'b':
		s->backend = one_of("--io", arg, backends, BACKENDS);
		return 0;
	case 'm':
		s->work.mode = one_of("--mode", arg, mode_names, MODES);
		return 0;
	case 'i':
		s->interface = arg;
		return 0;
	case 'a':
		set_party("--address", &s->work.us, arg);
		return 0;
	case 'p':
		set_party("--peer", &s->work.peer, arg);
		return 0;
	case 't':
		s->work.seconds = whole("--milliseconds", arg, 1, 600000) / 1e3;
		return 0;
	case 'n':
		s->work.frame = whole("--frame", arg, 60, FRAME_MAX);
		return 0;
	case 'w':
		s->work.window = whole("--window", arg, 1, WINDOW_MAX);
		return 0;
	case 'c':
		s->cpu = (int)whole("--cpu", arg, 0, 63);
		return 0;
	case 'M':
		s->work.mirror = true;
		return 0;
	case 'O':
		s->no_offload = true;
		return 0;
	case 'S':
		s->skb = true;
		return 0;
	case ARGP_KEY_ARGS:
		s->eal = state->argv + state->next;
		s->eal_arguments = (unsigned)(state->argc - state->next);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static void parse_all(struct settings *s, int argc, char **argv)
{
	static const struct argp_option options[] = {
		{ "io", 'b', "BACKEND", 0, "afxdp, dpdk (EAL arguments behind --), pcap or tap", 0 },
		{ "mode", 'm', "MODE", 0, "drop (receive only), send, forward (turn frames round), echo (through a stack), load (the far end of "
		  "forward and echo)", 0 },
		{ "interface", 'i', "NAME", 0, "The interface (not for dpdk: port 0)", 0 },
		{ "address", 'a', "ADDRESS[,MAC]", 0, "Ours; the MAC is for TAP", 0 },
		{ "peer", 'p', "ADDRESS,MAC", 0, "To whom frames are sent", 0 },
		{ "milliseconds", 't', "N", 0, "How long (default 1000)", 0 },
		{ "frame", 'n', "BYTES", 0, "Bytes of a frame, without the check sequence, 60 to 1514 (default 60)", 0 },
		{ "window", 'w', "N", 0, "load: frames on their way at once, 1 to 1024 (default 64); 1 measures round trips", 0 },
		{ "cpu", 'c', "N", 0, "Run on this CPU", 0 },
		{ "mirror", 'M', 0, 0, "echo: the device gives back what is sent (net_ring)", 0 },
		{ "no-offload", 'O', 0, 0, "tap: without checksum offload and super-frames", 0 },
		{ "skb", 'S', 0, 0, "afxdp: generic XDP even where the driver has its own", 0 },
		{ 0 }
	};
	const struct argp argp = { options, parse, "[-- EAL ARGUMENTS]", "Packets a second and cycles a packet of one device.", 0, 0, 0 };

	refuse_or_parse(&argp, argc, argv, s);
	if (s->backend != DPDK && s->interface == NULL)
		refuse(EXIT_REFUSED, "--interface: %s needs one", backends[s->backend]);
	if (s->backend != DPDK && s->eal_arguments > 0)
		refuse(EXIT_REFUSED, "only --io=dpdk takes EAL arguments");
}

/* ---- the device ---- */

static int open_dpdk(const struct settings *s, const struct device_config *config, struct device **d, char why[DEVICE_WHY])
{
	const struct dpdk_config c = { .device = *config };
	int error = dpdk_start(s->eal_arguments, s->eal, why);

	return error != 0 ? error : dpdk_open(&c, d, why);
}

static int open_afxdp(const struct settings *s, const struct device_config *config, struct device **d, char why[DEVICE_WHY])
{
	const struct afxdp_config c = { .device = *config, .interface = s->interface, .skb = s->skb };
	const struct afxdp_wanted ours = { .ip4 = { s->work.us.ip4 }, .addresses = 1 };
	int error = afxdp_open(&c, d, why);

	return error != 0 ? error : afxdp_want(*d, &ours);
}

static struct device *open_device(const struct settings *s)
{
	const struct device_config config = { .queues = 1, .log = log_line };
	struct pcap_live_config pcap = { .device = config, .interface = s->interface };
	struct tap_config tap = { .device = config, .interface = s->interface, .no_offload = s->no_offload };
	char why[DEVICE_WHY] = "";
	struct device *d = NULL;
	int error;

	memcpy(tap.mac, s->work.us.mac, sizeof(tap.mac));
	switch (s->backend) {
	case DPDK:
		error = open_dpdk(s, &config, &d, why);
		break;
	case AFXDP:
		error = open_afxdp(s, &config, &d, why);
		break;
	case PCAP:
		error = pcap_live_open(&pcap, &d, why);
		break;
	default:
		error = tap_open(&tap, &d, why);
	}
	if (error != 0)
		refuse(1, "%s: %s", backends[s->backend], why);
	return d;
}

static void pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET((unsigned)cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set) != 0)
		refuse(1, "--cpu=%d: %s", cpu, strerror(errno));
}

/* A carrier may come a little later: a TAP device is set up by someone else, a memif's peer is started. */
static void wait_for_carrier(struct link *l)
{
	struct pkt *p;

	for (unsigned ms = 0; ms < 10000 && !l->up && !stop; ms++) {
		l->ops->release(l, &p, l->ops->receive(l, &p, 1));
		usleep(1000);
	}
	if (!l->up && !stop)
		refuse(1, "no carrier after 10 seconds");
}

static void print(const struct result *r)
{
	printf("{\"packets\": %llu, \"rate\": %.0f, \"cycles\": %.1f, \"lost\": %llu, \"p50_us\": %.2f, \"p99_us\": %.2f}\n",
	       (unsigned long long)r->packets, r->seconds > 0 ? (double)r->packets / r->seconds : 0, r->cycles,
	       (unsigned long long)r->lost, r->p50, r->p99);
}

int main(int argc, char **argv)
{
	struct settings s = { .cpu = -1, .work = { .seconds = 1, .frame = 60, .window = 64 } };
	struct sigaction action = { .sa_handler = on_signal };
	struct device *d;
	struct result r;

	parse_all(&s, argc, argv);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	if (s.cpu >= 0)
		pin(s.cpu);
	d = open_device(&s);
	s.work.link = d->ops->queue(d, 0);
	if (s.backend == DPDK && dpdk_thread() != 0)
		refuse(1, "DPDK refuses this thread");
	memcpy(s.work.us.mac, s.work.link->mac, sizeof(s.work.us.mac));
	fprintf(stderr, "ready\n");
	wait_for_carrier(s.work.link);
	fprintf(stderr, "carrier\n");
	work_run(&s.work, &stop, &r);
	print(&r);
	d->ops->close(d);
	if (s.backend == DPDK) {
		dpdk_thread_end();
		dpdk_stop();
	}
	return 0;
}
