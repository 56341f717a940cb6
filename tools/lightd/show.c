/* SPDX-License-Identifier: BSD-3-Clause */
/* Reads what stacks and servers tell of themselves. A core's numbers are read in its own thread, one core after another. */
#include "tools/lightd/show.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "io/capture.h"
#include "tools/lightd/answer.h"
#include "tools/lightd/backend.h"
#include "tools/lightd/leases.h"

static const char *const state_names[] = {
	[TCP_ESTABLISHED] = "ESTAB", [TCP_SYN_SENT] = "SYN-SENT", [TCP_SYN_RECEIVED] = "SYN-RECV",
	[TCP_FIN_WAIT_1] = "FIN-WAIT-1", [TCP_FIN_WAIT_2] = "FIN-WAIT-2", [TCP_TIME_WAIT] = "TIME-WAIT",
	[TCP_CLOSED] = "UNCONN", [TCP_CLOSE_WAIT] = "CLOSE-WAIT", [TCP_LAST_ACK] = "LAST-ACK", [TCP_LISTEN] = "LISTEN",
	[TCP_CLOSING] = "CLOSING",
};

/* What a question carries to every core. */
struct view {
	struct daemon *daemon;
	unsigned host;
	struct json_object *to;
};

static struct stack *stack_of(const struct view *v, unsigned core)
{
	return network_stack(v->daemon->network, v->host, core);
}

/* ---- status ---- */

static void add_core_to_host(void *context, unsigned core)
{
	const struct view *v = context;
	struct stack_memory memory;
	struct network_interface *i;
	bool capturing = json_object_get_boolean(json_object_object_get(v->to, "capturing"));

	stack_memory(stack_of(v, core), &memory);
	put_sum(v->to, "sockets", memory.endpoints);
	put_sum(v->to, "connections", memory.connections);
	put_sum(v->to, "half_open", memory.half_open);
	put_sum(v->to, "time_wait", memory.time_wait);
	put_sum(v->to, "orphans", memory.orphans);
	put_sum(v->to, "stream_buffer_bytes", memory.stream_buffers);
	put_sum(v->to, "memory_pressure", memory.pressed);
	put_sum(v->to, "pool_bytes", memory.pools);
	for (unsigned k = 0; (i = network_interface(v->daemon->network, v->host, k)) != NULL; k++)
		capturing = capturing || capture_status(i->link[core]).running != 0;
	put_bool(v->to, "capturing", capturing);
}

static void put_hosts(struct daemon *d, struct json_object *to)
{
	const struct ipaddr none = ipaddr_from_ip4(0);

	for (unsigned h = 0; h < network_hosts(d->network); h++) {
		struct view v = { d, h, put_row(to, "hosts") };
		struct stack_interface first;
		bool found = stack_interface(network_stack(d->network, h, 0), network_interface(d->network, h, 0)->number, &first);

		put_text(v.to, "name", network_host_name(d->network, h));
		put_addr(v.to, "address", found ? &first.addr : &none);
		core_call_all(d, add_core_to_host, &v);
	}
}

static void put_programs(const struct server *server, struct json_object *to)
{
	struct server_session_info s;

	json_object_object_add(to, "programs", json_object_new_array());
	for (uint32_t cursor = 0; server_walk_sessions(server, &cursor, &s);) {
		struct json_object *row = put_row(to, "programs");

		put_number(row, "pid", (uint64_t)s.pid);
		put_number(row, "uid", s.uid);
		put_number(row, "family", s.family);
		put_text(row, "host", s.host);
		put_number(row, "sockets", s.lines);
		put_number(row, "threads", s.lanes);
		put_number(row, "buffer_bytes", s.family_data);
		put_number(row, "requests", s.requests);
	}
}

void show_status(struct daemon *d, struct json_object *to)
{
	const struct core_stats *first = &d->core[0].stats;

	put_text(to, "version", LIGHT_VERSION);
	put_number(to, "pid", (uint64_t)getpid());
	put_text(to, "io", d->options->backend != NULL ? d->options->backend->name : "sim");
	put_text(to, "poll", options_busy(d->options) ? "busy" : "adaptive");
	put_number(to, "cores", d->cores);
	put_seconds(to, "uptime_seconds", d->core[0].now - d->started);
	put_seconds(to, "slept_seconds", first->slept);
	put_number(to, "turns", first->turns);
	put_number(to, "idle_turns", first->idle_turns);
	put_number(to, "sleeps", first->sleeps);
	put_hosts(d, to);
	put_programs(d->server[0], to);
}

static void add_core(void *context, unsigned core)
{
	const struct view *v = context;
	const struct core *c = &v->daemon->core[core];
	struct json_object *row = put_row(v->to, "cores");
	uint64_t in = 0, out = 0;
	struct network_interface *i;
	struct server_stats s;

	for (unsigned h = 0; h < network_hosts(v->daemon->network); h++) {
		for (unsigned k = 0; (i = network_interface(v->daemon->network, h, k)) != NULL; k++) {
			in += i->link[core]->stats.rx_packets;
			out += i->link[core]->stats.tx_packets;
		}
	}
	server_stats(v->daemon->server[core], &s);
	put_number(row, "core", core);
	if (v->daemon->options->cpus > core)
		put_number(row, "cpu", v->daemon->options->cpu[core]);
	put_number(row, "turns", c->stats.turns);
	put_number(row, "idle_turns", c->stats.idle_turns);
	put_number(row, "work", c->stats.work);
	put_number(row, "sleeps", c->stats.sleeps);
	put_seconds(row, "slept_seconds", c->stats.slept);
	put_number(row, "requests", s.requests);
	put_number(row, "rx_packets", in);
	put_number(row, "tx_packets", out);
}

void show_cores(struct daemon *d, struct json_object *to)
{
	struct view v = { d, 0, to };

	put_seconds(to, "uptime_seconds", d->core[0].now - d->started);
	core_call_all(d, add_core, &v);
}

/* ---- ss ---- */

static void put_stream(struct json_object *row, const struct ep_info *i)
{
	put_number(row, "mss", i->mss);
	put_number(row, "cwnd", i->cwnd);
	put_number(row, "ssthresh", i->ssthresh);
	put_number(row, "send_window", i->send_window);
	put_number(row, "receive_window", i->receive_window);
	put_usec(row, "rtt_us", i->srtt);
	put_usec(row, "rttvar_us", i->rttvar);
	put_usec(row, "rto_us", i->rto);
	put_number(row, "bytes_sent", i->bytes_sent);
	put_number(row, "bytes_acked", i->bytes_acked);
	put_number(row, "bytes_received", i->bytes_received);
	put_number(row, "segments_sent", i->segments_sent);
	put_number(row, "segments_received", i->segments_received);
	put_number(row, "retransmitted", i->retransmitted_total);
	put_bool(row, "timestamps", i->timestamps);
	put_bool(row, "sack", i->sack);
	put_bool(row, "window_scaling", i->window_scaling);
	if (i->cc != NULL)
		put_text(row, "cc", i->cc);
	if (i->ecn != EP_ECN_NONE) {
		put_text(row, "ecn", i->ecn == EP_ECN_ACCURATE ? "accurate" : "classic");
		put_number(row, "delivered_ce", i->delivered_ce);
		put_number(row, "received_ce", i->received_ce);
	}
}

static void add_sockets(void *context, unsigned core)
{
	const struct view *v = context;
	struct ep_info i;

	for (uint32_t cursor = 0; ep_walk(stack_of(v, core), &cursor, &i);) {
		struct json_object *row;

		/* A listener stands on every core: it is shown where its port is at home. */
		if (i.state == TCP_LISTEN && i.local.port % v->daemon->cores != core)
			continue;
		row = put_row(v->to, "sockets");
		put_text(row, "type", i.type == EP_STREAM ? "tcp" : "udp");
		put_text(row, "state", i.state >= TCP_ESTABLISHED && i.state <= TCP_CLOSING ? state_names[i.state] : "?");
		put_number(row, "receive_queue", i.receive_queued);
		put_number(row, "send_queue", i.send_queued);
		put_name(row, "local", &i.local);
		put_name(row, "peer", &i.peer);
		put_number(row, "pid", i.ep != 0 ? (uint64_t)server_owner_pid(v->daemon->server[core], i.owner) : 0);
		put_number(row, "core", core);
		if (i.type == EP_STREAM && i.state != TCP_LISTEN && i.ep != 0)
			put_stream(row, &i);
	}
}

/* ---- stats ---- */

static void add_queue(struct json_object *to, const struct network_interface *i, unsigned core)
{
	const struct link_stats *s = &i->link[core]->stats;
	struct json_object *row = put_row(to, "queues"), *device = json_object_new_object(), *all = json_object_object_get(to, "counters");
	struct link_counter c;

	put_text(row, "interface", i->name);
	put_number(row, "core", core);
	put_number(row, "rx_packets", s->rx_packets);
	put_number(row, "rx_bytes", s->rx_bytes);
	put_number(row, "rx_dropped", s->rx_dropped);
	put_number(row, "tx_packets", s->tx_packets);
	put_number(row, "tx_bytes", s->tx_bytes);
	put_number(row, "tx_dropped", s->tx_dropped);
	for (unsigned k = 0; i->link[core]->ops->counter != NULL && i->link[core]->ops->counter(i->link[core], k, &c); k++)
		put_number(device, c.name, c.value);
	json_object_object_add(row, "device", device);
	put_sum(all, "link_rx_packets", s->rx_packets);
	put_sum(all, "link_rx_bytes", s->rx_bytes);
	put_sum(all, "link_rx_dropped", s->rx_dropped);
	put_sum(all, "link_tx_packets", s->tx_packets);
	put_sum(all, "link_tx_bytes", s->tx_bytes);
	put_sum(all, "link_tx_dropped", s->tx_dropped);
}

static void add_counters(void *context, unsigned core)
{
	const struct view *v = context;
	struct json_object *counters = json_object_object_get(v->to, "counters"), *sentences = json_object_object_get(v->to, "sentences");
	struct network_interface *i;
	struct stack_counter c;

	for (unsigned k = 0; stack_counter(stack_of(v, core), k, &c); k++) {
		put_sum(counters, c.name, c.value);
		put_text(sentences, c.name, c.sentence);
	}
	for (unsigned k = 0; (i = network_interface(v->daemon->network, v->host, k)) != NULL; k++)
		add_queue(v->to, i, core);
}

static void add_service(void *context, unsigned core)
{
	const struct view *v = context;
	struct json_object *to = json_object_object_get(v->to, "service");
	struct server_stats s;

	server_stats(v->daemon->server[core], &s);
	if (core == 0) {        /* a program is known to all cores, counted by the first */
		put_number(to, "families", s.families);
		put_number(to, "sessions", s.sessions);
		put_number(to, "attached", s.attached);
		put_number(to, "refused", s.refused);
		put_number(to, "forked", s.forked);
		put_number(to, "died", s.died);
	}
	put_sum(to, "lines", s.lines);
	put_sum(to, "watches", s.watches);
	put_sum(to, "data_lent_bytes", s.data_lent);
	put_sum(to, "data_warm_bytes", s.data_warm);
	put_sum(to, "requests", s.requests);
	put_sum(to, "events", s.events);
	put_sum(to, "wakes", s.wakes);
	put_sum(to, "doorbells", s.rings);
	put_sum(to, "violations", s.violations);
	put_sum(to, "lend_refused", s.lend_refused);
	put_sum(to, "adopt_refused", s.adopt_refused);
}

static void put_stats(struct view *v)
{
	const struct wire *network = network_wire(v->daemon->network);
	struct json_object *wire = json_object_new_object();

	json_object_object_add(v->to, "counters", json_object_new_object());
	json_object_object_add(v->to, "sentences", json_object_new_object());
	json_object_object_add(v->to, "service", json_object_new_object());
	core_call_all(v->daemon, add_counters, v);
	core_call_all(v->daemon, add_service, v);
	for (int i = 0; i < WIRE_COUNTS && network != NULL; i++)
		put_number(wire, wire_count_name((enum wire_count)i), wire_count(network, (enum wire_count)i));
	json_object_object_add(v->to, "wire", wire);
}

/* ---- neighbours: each core asks for its own ---- */

struct neighbours {
	const struct view *view;
	struct json_object *rows;   /* by address and interface */
};

/* What one core still has to ask for another may know: the one that is reachable is shown. */
static void add_neighbours(void *context, unsigned core)
{
	const struct neighbours *all = context;
	const struct stack *stack = stack_of(all->view, core);
	struct stack_interface interface;
	struct stack_neighbour n;

	for (uint32_t cursor = 0; stack_walk_neighbours(stack, &cursor, &n);) {
		struct json_object *row;
		uint64_t half[2];
		char key[64];

		memcpy(half, n.addr.bytes, sizeof half);
		snprintf(key, sizeof key, "%d %" PRIx64 " %" PRIx64, n.interface, half[0], half[1]);
		if (!json_object_object_get_ex(all->rows, key, &row)) {
			row = put_row(all->view->to, "neighbours");
			json_object_object_add(all->rows, key, json_object_get(row));
			put_addr(row, "address", &n.addr);
			put_text(row, "interface", stack_interface(stack, n.interface, &interface) ? interface.name : "?");
		} else if (strcmp(n.state, "reachable") != 0) {
			continue;
		}
		put_mac(row, "mac", n.mac);
		put_text(row, "state", n.state);
		put_seconds(row, "age_seconds", n.age);
	}
}

static void put_neighbours(const struct view *v)
{
	struct neighbours all = { v, json_object_new_object() };

	json_object_object_add(v->to, "neighbours", json_object_new_array());
	core_call_all(v->daemon, add_neighbours, &all);
	json_object_put(all.rows);
}

/* ---- what all cores hold alike: read from the first ---- */

static void put_routes(const struct view *v)
{
	const struct stack *stack = stack_of(v, 0);
	struct stack_interface interface;
	struct stack_route r;

	json_object_object_add(v->to, "routes", json_object_new_array());
	for (uint32_t cursor = 0; stack_walk_routes(stack, &cursor, &r);) {
		struct json_object *row = put_row(v->to, "routes");

		put_addr(row, "to", &r.to);
		put_number(row, "prefix", r.prefix);
		put_addr(row, "gateway", &r.gateway);
		put_addr(row, "source", &r.source);
		put_text(row, "interface", stack_interface(stack, r.interface, &interface) ? interface.name : "?");
	}
}

static void put_addresses(const struct view *v)
{
	const struct stack *stack = stack_of(v, 0);
	struct stack_interface i;
	struct ipaddr addr;
	unsigned prefix;

	json_object_object_add(v->to, "addresses", json_object_new_array());
	for (unsigned k = 1; k <= stack_interfaces(stack); k++) {
		for (unsigned a = 0; stack_interface(stack, (int)k, &i) && stack_interface_address(stack, (int)k, a, &addr, &prefix); a++) {
			struct json_object *row = put_row(v->to, "addresses");

			put_text(row, "interface", i.name);
			put_addr(row, "address", &addr);
			put_number(row, "prefix", prefix);
		}
	}
}

/* The interface that has the link; NULL: the loopback interface. */
static struct network_interface *device_of(const struct view *v, const struct link *link)
{
	struct network_interface *i;

	for (unsigned k = 0; (i = network_interface(v->daemon->network, v->host, k)) != NULL; k++) {
		if (i->link[0] == link)
			return i;
	}
	return NULL;
}

static void put_links(const struct view *v, bool vlans)
{
	const struct stack *stack = stack_of(v, 0);
	const char *key = vlans ? "vlans" : "links";
	struct stack_interface s;

	json_object_object_add(v->to, key, json_object_new_array());
	for (unsigned k = 1; k <= stack_interfaces(stack); k++) {
		struct network_interface *i = stack_interface(stack, (int)k, &s) ? device_of(v, s.link) : NULL;
		struct json_object *row;

		if (i == NULL || (vlans && s.vid == 0))
			continue;
		row = put_row(v->to, key);
		put_text(row, "name", s.name);
		if (s.vid != 0) {
			put_number(row, "vid", s.vid);
			put_text(row, "on", i->name);
		}
		put_bool(row, "up", s.link->up != 0);
		put_number(row, "mtu", s.link->mtu);
		put_mac(row, "mac", s.link->mac);
		put_text(row, "backend", i->backend != NULL ? i->backend->name : "sim");
		put_number(row, "queues", i->device != NULL ? i->device->queues : 1);
		put_bool(row, "super_frames", (s.link->flags & LINK_TSO) != 0);
		put_bool(row, "tx_checksums", (s.link->flags & LINK_TX_CSUM) != 0);
		put_bool(row, "rx_checksums", (s.link->flags & LINK_RX_CSUM) != 0);
	}
}

static const char *const dhcp_states[] = {
	[DHCP_INIT] = "init", [DHCP_SELECTING] = "selecting", [DHCP_REQUESTING] = "requesting", [DHCP_PROBING] = "probing",
	[DHCP_BOUND] = "bound", [DHCP_RENEWING] = "renewing", [DHCP_REBINDING] = "rebinding",
};

static void put_lease(struct json_object *row, const struct dhcp_lease *l, nsec now)
{
	put_text(row, "state", dhcp_states[l->state]);
	put_addr(row, "address", &l->addr);
	put_number(row, "prefix", l->prefix);
	put_addr(row, "router", &l->router);
	put_addr(row, "server", &l->server);
	put_number(row, "mtu", l->mtu);
	put_text(row, "domain", l->domain);
	if (!ipaddr_is_any(&l->addr)) {
		put_seconds(row, "age_seconds", now - l->obtained);
		if (l->expires != NSEC_NEVER)
			put_seconds(row, "expires_seconds", l->expires > now ? l->expires - now : 0);
	}
	json_object_object_add(row, "dns", json_object_new_array());
	for (unsigned i = 0; i < l->dns_count; i++)
		put_addr(put_row(row, "dns"), "address", &l->dns[i]);
	put_number(row, "discovers", l->discovers);
	put_number(row, "requests", l->requests);
	put_number(row, "offers", l->offers);
	put_number(row, "acks", l->acks);
	put_number(row, "naks", l->naks);
	put_number(row, "declines", l->declines);
}

static void put_leases(const struct view *v)
{
	const struct stack *stack = stack_of(v, 0);
	struct dhcp_lease lease;
	struct stack_interface s;
	unsigned host;
	int interface;

	json_object_object_add(v->to, "leases", json_object_new_array());
	for (unsigned i = 0; leases_at(i, &host, &interface, &lease); i++) {
		struct json_object *row;

		if (host != v->host)
			continue;
		row = put_row(v->to, "leases");
		put_text(row, "interface", stack_interface(stack, interface, &s) ? s.name : "?");
		put_lease(row, &lease, stack_now(stack));
	}
}

static void add_link_counts(void *context, unsigned core)
{
	const struct view *v = context;
	struct json_object *rows = json_object_object_get(v->to, "links");

	for (size_t k = 0; k < json_object_array_length(rows); k++) {
		struct json_object *row = json_object_array_get_idx(rows, k);
		struct network_interface *i;

		for (unsigned n = 0; (i = network_interface(v->daemon->network, v->host, n)) != NULL; n++) {
			if (strcmp(i->name, json_object_get_string(json_object_object_get(row, "name"))) != 0)
				continue;
			put_sum(row, "rx_packets", i->link[core]->stats.rx_packets);
			put_sum(row, "rx_bytes", i->link[core]->stats.rx_bytes);
			put_sum(row, "rx_dropped", i->link[core]->stats.rx_dropped);
			put_sum(row, "tx_packets", i->link[core]->stats.tx_packets);
			put_sum(row, "tx_bytes", i->link[core]->stats.tx_bytes);
			put_sum(row, "tx_dropped", i->link[core]->stats.tx_dropped);
		}
	}
}

bool show_host(struct daemon *d, const char *command, unsigned host, struct json_object *to)
{
	struct view v = { d, host, to };

	put_text(to, "host", network_host_name(d->network, host));
	if (strcmp(command, "ss") == 0) {
		json_object_object_add(to, "sockets", json_object_new_array());
		core_call_all(d, add_sockets, &v);
	} else if (strcmp(command, "stats") == 0) {
		put_stats(&v);
	} else if (strcmp(command, "neigh") == 0 || strcmp(command, "arp") == 0) {
		put_neighbours(&v);
	} else if (strcmp(command, "route") == 0) {
		put_routes(&v);
	} else if (strcmp(command, "dhcp") == 0) {
		put_leases(&v);
	} else if (strcmp(command, "addr") == 0) {
		put_addresses(&v);
	} else if (strcmp(command, "link") == 0 || strcmp(command, "vlan") == 0) {
		put_links(&v, command[0] == 'v');
		if (command[0] == 'l')
			core_call_all(d, add_link_counts, &v);
	} else {
		return false;
	}
	return true;
}
