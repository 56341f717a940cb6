/* SPDX-License-Identifier: BSD-3-Clause */
/* The simulated network of a daemon, in real time. */
#include "tools/lightd/network.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "io/capture.h"

struct network_host {
	struct stack *stack;
	struct link *link;      /* the capture around the wire's port */
};

struct network {
	struct wire *wire;
	unsigned hosts;
	struct network_host host[HOSTS_MAX];
};

static nsec clock_nsec(clockid_t id)
{
	struct timespec t;

	clock_gettime(id, &t);
	return (nsec)t.tv_sec * NSEC_PER_SEC + (nsec)t.tv_nsec;
}

static nsec capture_clock(void *context)
{
	(void)context;
	return clock_nsec(CLOCK_REALTIME);
}

static struct wire *make_wire(const struct options *o)
{
	struct wire_config config = { .ports = o->hosts, .packets = 65536, .mtu = o->mtu, .seed = o->seed };
	struct wire *w;

	if (o->super_frames)
		config.flags = LINK_TSO | LINK_TX_CSUM | LINK_RX_CSUM;
	w = wire_new(&config);
	for (unsigned i = 0; w != NULL && i < o->hosts; i++)
		wire_impair(w, i, WIRE_UP, &o->impairment);
	return w;
}

/* One host: its stack is made by the server's rules for memory, and gets its interface and address. 0 or -errno. */
static int make_host(struct network *n, unsigned number, const struct options *o, struct server *server,
		     void (*log)(void *, const char *))
{
	const struct host_option *h = &o->host[number];
	const struct capture_config capture = { .clock = capture_clock };
	struct network_host *host = &n->host[number];
	struct stack_config config;
	struct server_host *served;
	int error = server_add_host(server, h->name, &served);

	if (error < 0)
		return error;
	stack_config_init(&config);
	config.name = h->name;
	config.max_endpoints = o->sockets;
	config.host = server_host_calls(served);
	config.log = log;
	if (o->standard_profile)
		tcp_settings_standard(&config.tcp);
	/* Sequence numbers and ports must be hard to guess even where the network's chance is seeded (RFC 6528, 6056). */
	if (getrandom(config.secret, sizeof config.secret, 0) != (ssize_t)sizeof config.secret)
		return -errno;
	host->stack = stack_new(&config);
	host->link = capture_new(wire_link(n->wire, number), &capture);
	if (host->stack == NULL || host->link == NULL)
		return -ENOMEM;
	stack_at(host->stack, clock_nsec(CLOCK_MONOTONIC));
	error = stack_add_link(host->stack, host->link, "sim0");
	if (error > 0)
		error = stack_add_address(host->stack, error, &h->addr, 24);
	if (error < 0)
		return error;
	server_host_start(served, host->stack);
	return 0;
}

unsigned network_turn(struct network *n, nsec now)
{
	unsigned work = 0;

	wire_advance(n->wire, now);
	for (unsigned i = 0; i < n->hosts; i++)
		work += stack_turn(n->host[i].stack, now);
	return work;
}

nsec network_deadline(const struct network *n)
{
	nsec earliest = wire_deadline(n->wire);

	for (unsigned i = 0; i < n->hosts; i++) {
		nsec due = wire_queued(n->wire, i) > 0 ? 0 : stack_deadline(n->host[i].stack);

		if (due < earliest)
			earliest = due;
	}
	return earliest;
}

unsigned network_hosts(const struct network *n)
{
	return n->hosts;
}

struct stack *network_stack(const struct network *n, unsigned host)
{
	return n->host[host].stack;
}

struct link *network_capture(const struct network *n, unsigned host)
{
	return n->host[host].link;
}

const struct wire *network_wire(const struct network *n)
{
	return n->wire;
}

void network_free(struct network *n)
{
	for (unsigned i = 0; i < n->hosts; i++) {
		if (n->host[i].stack != NULL)
			stack_free(n->host[i].stack);
		if (n->host[i].link != NULL)
			capture_free(n->host[i].link);
	}
	if (n->wire != NULL)
		wire_free(n->wire);
	free(n);
}

struct network *network_new(const struct options *o, struct server *server, void (*log)(void *, const char *))
{
	struct network *n = calloc(1, sizeof *n);
	int error = -ENOMEM;

	if (n != NULL)
		n->wire = make_wire(o);
	if (n != NULL && n->wire != NULL) {
		error = 0;
		for (; error == 0 && n->hosts < o->hosts; n->hosts++)
			error = make_host(n, n->hosts, o, server, log);
	}
	if (error == 0)
		return n;
	fprintf(stderr, "lightd: cannot make the network: %s\n", strerror(-error));
	if (n != NULL)
		network_free(n);
	return NULL;
}
