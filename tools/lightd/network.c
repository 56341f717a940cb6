/* SPDX-License-Identifier: BSD-3-Clause */
/* Hosts, their stacks and links, in real time. */
#include "tools/lightd/network.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "tools/lightd/attach.h"
#include "tools/lightd/backend.h"
#include "tools/lightd/bridge.h"
#include "tools/lightd/configure.h"

struct network_host;

/* For the stack of one core that hands a datagram to another. */
struct redirect {
	struct network_host *host;
	unsigned core;
};

struct network_host {
	const char *name;
	struct stack *stack[STEER_CORES];
	struct server_host *served[STEER_CORES];
	unsigned interfaces;
	struct network_interface *interface;
	struct steer *steer;            /* NULL: one core */
	struct redirect redirect[STEER_CORES];
};

struct network {
	unsigned cores, hosts;
	bool busy;
	struct wire *wire;
	struct bridge *bridge;          /* the wire's other ports; NULL: it has none */
	struct network_host *host;
	void (*log)(void *, const char *);
};

static nsec clock_nsec(clockid_t id)
{
	struct timespec t;

	clock_gettime(id, &t);
	return (nsec)t.tv_sec * NSEC_PER_SEC + (nsec)t.tv_nsec;
}

/* ---- links ---- */

static int make_wire(struct network *n, const struct options *o)
{
	struct wire_config config = { .ports = o->hosts + o->taps, .packets = 65536, .mtu = o->mtu != 0 ? o->mtu : 1500, .seed = o->seed };

	if (o->super_frames)
		config.flags = LINK_TSO | LINK_TX_CSUM | LINK_RX_CSUM;
	n->wire = wire_new(&config);
	for (unsigned i = 0; n->wire != NULL && i < o->hosts + o->taps; i++)
		wire_impair(n->wire, i, WIRE_UP, &o->impairment);
	if (n->wire == NULL)
		return -ENOMEM;
	if (o->taps > 0)
		n->bridge = bridge_new(o, n->wire, n->log);
	return o->taps == 0 || n->bridge != NULL ? 0 : -EIO;
}

/* Devices first: how the first one spreads decides how all are. */
static int make_interfaces(struct network *n, const struct options *o, struct network_host *h, unsigned number)
{
	int error = 0;

	h->interface = calloc(n->wire != NULL ? 1 : o->interfaces, sizeof *h->interface);
	if (h->interface == NULL)
		return -ENOMEM;
	if (n->wire != NULL) {
		h->interfaces = 1;
		strcpy(h->interface->name, "sim0");
	}
	for (unsigned i = 0; n->wire == NULL && i < o->interfaces && error == 0; i++) {
		h->interfaces = i + 1;
		error = attach_open(o, &o->interface[i], n->cores, n->log, &h->interface[i]);
	}
	if (error == 0 && n->cores > 1) {
		h->steer = calloc(1, sizeof *h->steer);
		if (h->steer == NULL)
			return -ENOMEM;
		attach_steer(h->steer, n->cores, h->interface);
	}
	for (unsigned i = 0; i < h->interfaces && error == 0; i++)
		error = attach_links(&h->interface[i], n->cores, h->steer, n->wire != NULL ? wire_link(n->wire, number) : NULL);
	return error;
}

/* ---- stacks ---- */

/* Sequence numbers and ports must be hard to guess even where the network's chance is seeded (RFC 6528, 6056), except in a replay, which is
 * to give the same bytes again. */
static int make_secret(const struct options *o, uint8_t secret[16])
{
	if (o->read_file != NULL) {
		memset(secret, 0, 16);
		memcpy(secret, &o->seed, sizeof o->seed);
		return 0;
	}
	return getrandom(secret, 16, 0) == 16 ? 0 : -errno;
}

/* Of the file that is played, or of this machine. */
static nsec first_moment(const struct network_host *h)
{
	nsec first = NSEC_NEVER;

	if (h->interfaces > 0 && h->interface->backend != NULL && h->interface->backend->replay_next != NULL)
		first = h->interface->backend->replay_next(h->interface->device);
	return first != NSEC_NEVER ? first : clock_nsec(CLOCK_MONOTONIC);
}

static bool redirect(void *context, int interface, struct pkt *p, unsigned to)
{
	const struct redirect *from = context;
	struct stack_interface s;

	if (!stack_interface(from->host->stack[from->core], interface, &s))
		return false;
	for (unsigned i = 0; i < from->host->interfaces; i++) {
		struct network_interface *f = &from->host->interface[i];

		if (f->link[from->core] == s.link)
			return spread_redirect(spread_link(f->spread, from->core), p, to);
	}
	return false;
}

/* server NULL: nobody is served (a replay). */
static int make_stack(struct network *n, const struct options *o, struct network_host *h, struct server *server, unsigned core,
		      const uint8_t secret[16])
{
	struct stack_config config;
	int error = server != NULL ? server_add_host(server, h->name, &h->served[core]) : 0;

	if (error < 0)
		return error;
	stack_config_init(&config);
	config.name = h->name;
	config.max_endpoints = o->sockets;
	if (server != NULL)
		config.host = server_host_calls(h->served[core]);
	config.log = n->log;
	if (h->steer != NULL) {
		h->redirect[core] = (struct redirect){ h, core };
		config.core = core;
		config.steer = h->steer;
		config.redirect = redirect;
		config.redirect_context = &h->redirect[core];
	}
	if (o->standard_profile)
		tcp_settings_standard(&config.tcp);
	config.tcp.mtu_probing = o->mtu_probing;
	config.tcp.max_orphans = o->max_orphans;
	config.tcp.adv_uto = o->uto * NSEC_PER_SEC;
	config.tcp.uto_lower = o->uto_lower * NSEC_PER_SEC;
	config.tcp.uto_upper = o->uto_upper * NSEC_PER_SEC;
	if (o->tcp_receive_buffer)
		config.tcp.receive_buffer_max = (uint32_t)o->tcp_receive_buffer;
	if (o->tcp_send_buffer)
		config.tcp.send_buffer_max = (uint32_t)o->tcp_send_buffer;
	config.tcp.memory_high = o->tcp_memory;
	config.tcp.memory_pressure = o->tcp_memory / 4 * 3;
	config.tcp.memory_low = o->tcp_memory / 2;
	config.tcp.syn_cookies = o->syn_cookies;
	config.tcp.fastopen = o->fastopen;
	config.neighbour_timeout = o->arp_timeout * NSEC_PER_SEC;
	config.tcp.ecn = (enum tcp_ecn)o->ecn;
	config.tcp.timestamps = config.tcp.timestamps && !o->no_timestamps;
	config.tcp.sack = config.tcp.sack && !o->no_sack;
	config.tcp.window_scaling = config.tcp.window_scaling && !o->no_window_scaling;
	if (o->cc != NULL)
		config.tcp.cc = o->cc;
	memcpy(config.secret, secret, sizeof config.secret);
	h->stack[core] = stack_new(&config);
	if (h->stack[core] == NULL)
		return -ENOMEM;
	stack_at(h->stack[core], first_moment(h));
	for (unsigned i = 0; i < h->interfaces; i++) {
		h->interface[i].number = stack_add_link(h->stack[core], h->interface[i].link[core], h->interface[i].name);
		if (h->interface[i].number < 0)
			return h->interface[i].number;
	}
	return 0;
}

/* One host: its stacks are made by the server's rules for memory, and get interfaces and addresses. 0 or -errno. */
static int make_host(struct network *n, unsigned number, const struct options *o, struct server **servers)
{
	struct network_host *h = &n->host[number];
	uint8_t secret[16];
	int error;

	h->name = n->wire != NULL ? o->host[number].name : o->name != NULL ? o->name : "light";
	error = make_interfaces(n, o, h, number);
	if (error == 0)
		error = make_secret(o, secret);
	for (unsigned core = 0; core < n->cores && error == 0; core++) {
		error = make_stack(n, o, h, servers != NULL ? servers[core] : NULL, core, secret);
		if (error == 0 && n->wire != NULL)
			error = stack_add_address(h->stack[core], h->interface->number, &o->host[number].addr, 24);
		else if (error == 0)
			error = configure_stack(o, h->stack[core]);
		if (error == 0 && servers != NULL)
			server_host_start(h->served[core], h->stack[core]);
	}
	return error == 0 ? network_tell_devices(n, number) : error;
}

/* ---- turns ---- */

unsigned network_turn(struct network *n, unsigned core, nsec now)
{
	unsigned work = 0;

	if (n->bridge != NULL && core == 0)
		work += bridge_in(n->bridge);
	if (n->wire != NULL && core == 0)
		wire_advance(n->wire, now);
	for (unsigned i = 0; i < n->hosts; i++)
		work += stack_turn(n->host[i].stack[core], now);
	if (n->bridge != NULL && core == 0)
		work += bridge_out(n->bridge);
	return work;
}

nsec network_deadline(const struct network *n, unsigned core)
{
	nsec earliest = n->wire != NULL && core == 0 ? wire_deadline(n->wire) : NSEC_NEVER;

	if (n->bridge != NULL && core == 0 && bridge_due(n->bridge))
		return 0;
	for (unsigned i = 0; i < n->hosts; i++) {
		bool queued = n->wire != NULL && core == 0 && wire_queued(n->wire, i) > 0;
		nsec due = queued ? 0 : stack_deadline(n->host[i].stack[core]);

		if (due < earliest)
			earliest = due;
	}
	return earliest;
}

/* The simulated network has no descriptor: it is not waited for, its deadline is. Between cores there is one, and to the kernel. */
static bool is_armed(const struct network *n)
{
	return n->wire == NULL || n->cores > 1;
}

unsigned network_arm(struct network *n, unsigned core, int *fds, unsigned room, bool *polled)
{
	unsigned count = n->bridge != NULL && core == 0 ? bridge_arm(n->bridge, fds, room) : 0;

	*polled = false;
	for (unsigned i = 0; is_armed(n) && i < n->hosts * n->host->interfaces; i++) {
		struct link *link = n->host[i / n->host->interfaces].interface[i % n->host->interfaces].link[core];
		int fd = link->ops->arm != NULL ? link->ops->arm(link) : -1;

		if (fd >= 0 && count < room)
			fds[count++] = fd;
		else
			*polled = true;
	}
	return count;
}

void network_disarm(struct network *n, unsigned core)
{
	for (unsigned i = 0; is_armed(n) && i < n->hosts * n->host->interfaces; i++) {
		struct link *link = n->host[i / n->host->interfaces].interface[i % n->host->interfaces].link[core];

		if (link->ops->disarm != NULL)
			link->ops->disarm(link);
	}
}

/* ---- looking in ---- */

unsigned network_hosts(const struct network *n)
{
	return n->hosts;
}

unsigned network_cores(const struct network *n)
{
	return n->cores;
}

const char *network_host_name(const struct network *n, unsigned host)
{
	return n->host[host].name;
}

struct stack *network_stack(const struct network *n, unsigned host, unsigned core)
{
	return n->host[host].stack[core];
}

struct server_host *network_served(const struct network *n, unsigned host, unsigned core)
{
	return n->host[host].served[core];
}

struct network_interface *network_interface(const struct network *n, unsigned host, unsigned i)
{
	return i < n->host[host].interfaces ? &n->host[host].interface[i] : NULL;
}

const struct wire *network_wire(const struct network *n)
{
	return n->wire;
}

/* What of an interface of the stack, a VLAN perhaps, its device should let through. */
static void add_wanted(struct afxdp_wanted *w, const struct stack *stack, int number, unsigned vid)
{
	struct ipaddr addr;
	unsigned prefix;

	for (unsigned a = 0; stack_interface_address(stack, number, a, &addr, &prefix); a++) {
		if (ipaddr_is_ip4(&addr) && w->addresses < sizeof w->ip4 / sizeof w->ip4[0])
			w->ip4[w->addresses++] = ipaddr_ip4(&addr);
	}
	if (vid != 0 && w->vlan_count < sizeof w->vlans / sizeof w->vlans[0])
		w->vlans[w->vlan_count++] = (uint16_t)vid;
}

int network_tell_devices(const struct network *n, unsigned host)
{
	const struct network_host *h = &n->host[host];
	int first = 0;

	for (unsigned i = 0; i < h->interfaces; i++) {
		struct afxdp_wanted wanted = { .dhcp = h->interface[i].dhcp > 0 };
		struct stack_interface s;
		int error = 0;

		for (unsigned k = 1; k <= stack_interfaces(h->stack[0]); k++) {
			if (stack_interface(h->stack[0], (int)k, &s) && s.link == h->interface[i].link[0])
				add_wanted(&wanted, h->stack[0], (int)k, s.vid);
		}
		if (h->interface[i].device != NULL)
			error = h->interface[i].backend->want(h->interface[i].device, &wanted);
		first = first != 0 ? first : error;
	}
	return first;
}

void network_ask_dhcp(struct network *n, unsigned host, int interface, bool begins)
{
	struct network_host *h = &n->host[host];
	struct stack_interface s;

	for (unsigned i = 0; i < h->interfaces && stack_interface(h->stack[0], interface, &s); i++) {
		if (h->interface[i].link[0] == s.link)
			h->interface[i].dhcp += begins ? 1 : -1u;
	}
	network_tell_devices(n, host);
}

/* ---- the end ---- */

void network_free(struct network *n)
{
	for (unsigned h = 0; h < n->hosts; h++) {
		for (unsigned core = 0; core < n->cores; core++) {
			if (n->host[h].stack[core] != NULL)
				stack_free(n->host[h].stack[core]);
		}
		for (unsigned i = 0; i < n->host[h].interfaces; i++)
			attach_close(&n->host[h].interface[i], n->cores, n->log);
		free(n->host[h].interface);
		free(n->host[h].steer);
	}
	for (unsigned i = 0; backend_at(i) != NULL; i++)
		backend_at(i)->stop();
	bridge_free(n->bridge);
	if (n->wire != NULL)
		wire_free(n->wire);
	free(n->host);
	free(n);
}

struct network *network_new(const struct options *o, struct server **servers, void (*log)(void *, const char *))
{
	struct network *n = calloc(1, sizeof *n);
	int error = -ENOMEM;

	if (n != NULL) {
		*n = (struct network){ .cores = o->queues, .log = log, .busy = options_busy(o) };
		n->host = calloc(o->backend == NULL ? o->hosts : 1, sizeof *n->host);
	}
	if (n != NULL && n->host != NULL)
		error = o->backend == NULL ? make_wire(n, o) : 0;
	for (unsigned wanted = o->backend == NULL ? o->hosts : 1; error == 0 && n->hosts < wanted;) {
		n->hosts++;
		error = make_host(n, n->hosts - 1, o, servers);
	}
	if (error == 0)
		return n;
	fprintf(stderr, "lightd: cannot make the network: %s\n", strerror(-error));
	if (n != NULL)
		network_free(n);
	return NULL;
}
