/* SPDX-License-Identifier: BSD-3-Clause */
/* What lightctl asks, answered inside the poll loop: everything is bounded by what the stacks hold, nothing waits. */
#include "tools/lightd/control.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/capture.h"
#include "tools/lightd/backend.h"

#define QUESTION_MAX 255

static const char *const state_names[] = {
	[TCP_ESTABLISHED] = "ESTAB", [TCP_SYN_SENT] = "SYN-SENT", [TCP_SYN_RECEIVED] = "SYN-RECV",
	[TCP_FIN_WAIT_1] = "FIN-WAIT-1", [TCP_FIN_WAIT_2] = "FIN-WAIT-2", [TCP_TIME_WAIT] = "TIME-WAIT",
	[TCP_CLOSED] = "UNCONN", [TCP_CLOSE_WAIT] = "CLOSE-WAIT", [TCP_LAST_ACK] = "LAST-ACK", [TCP_LISTEN] = "LISTEN",
	[TCP_CLOSING] = "CLOSING",
};

static void put_text(struct json_object *to, const char *key, const char *value)
{
	json_object_object_add(to, key, json_object_new_string(value));
}

static void put_number(struct json_object *to, const char *key, uint64_t value)
{
	json_object_object_add(to, key, json_object_new_uint64(value));
}

static void put_usec(struct json_object *to, const char *key, nsec value)
{
	json_object_object_add(to, key, json_object_new_double((double)value / 1000.0));
}

static void put_bool(struct json_object *to, const char *key, bool value)
{
	json_object_object_add(to, key, json_object_new_boolean(value));
}

static const char *addr_text(const struct ipaddr *a, char text[INET6_ADDRSTRLEN])
{
	uint32_t ip4 = ipaddr_ip4(a);

	if (ipaddr_is_ip4(a) || ipaddr_is_any(a))
		inet_ntop(AF_INET, &ip4, text, INET6_ADDRSTRLEN);
	else
		inet_ntop(AF_INET6, a->bytes, text, INET6_ADDRSTRLEN);
	return text;
}

static void put_addr(struct json_object *to, const char *key, const struct ipaddr *a)
{
	char text[INET6_ADDRSTRLEN];

	put_text(to, key, addr_text(a, text));
}

static void put_name(struct json_object *to, const char *key, const struct ep_name *name)
{
	char text[INET6_ADDRSTRLEN], whole[INET6_ADDRSTRLEN + 8];

	snprintf(whole, sizeof whole, "%s:%u", addr_text(&name->addr, text), name->port);
	put_text(to, key, whole);
}

static void put_mac(struct json_object *to, const char *key, const uint8_t mac[6])
{
	char text[18];

	snprintf(text, sizeof text, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
	put_text(to, key, text);
}

/* ---- status ---- */

static void put_programs(struct json_object *to, const struct server *server)
{
	struct json_object *programs = json_object_new_array();
	struct server_session_info s;

	for (uint32_t cursor = 0; server_walk_sessions(server, &cursor, &s);) {
		struct json_object *row = json_object_new_object();

		put_number(row, "pid", (uint64_t)s.pid);
		put_number(row, "uid", s.uid);
		put_number(row, "family", s.family);
		put_text(row, "host", s.host);
		put_number(row, "sockets", s.lines);
		put_number(row, "threads", s.lanes);
		put_number(row, "buffer_bytes", s.family_data);
		put_number(row, "requests", s.requests);
		json_object_array_add(programs, row);
	}
	json_object_object_add(to, "programs", programs);
}

static void put_hosts(struct json_object *to, struct daemon *d)
{
	struct json_object *hosts = json_object_new_array();

	for (unsigned i = 0; i < network_hosts(d->network); i++) {
		struct json_object *row = json_object_new_object();
		struct stack_interface interface;
		struct ipaddr none = ipaddr_from_ip4(0);
		struct stack_memory memory;
		struct capture_status capture = capture_status(network_interface(d->network, i, 0)->link[0]);

		stack_memory(network_stack(d->network, i, 0), &memory);
		put_text(row, "name", network_host_name(d->network, i));
		put_addr(row, "address", stack_interface(network_stack(d->network, i, 0), network_interface(d->network, i, 0)->number,
							 &interface) ? &interface.addr : &none);
		put_number(row, "sockets", memory.endpoints);
		put_number(row, "connections", memory.connections);
		put_number(row, "half_open", memory.half_open);
		put_number(row, "time_wait", memory.time_wait);
		put_number(row, "pool_bytes", memory.pools);
		put_bool(row, "capturing", capture.running != 0);
		json_object_array_add(hosts, row);
	}
	json_object_object_add(to, "hosts", hosts);
}

static int answer_status(struct daemon *d, struct json_object *to)
{
	struct server_stats s;

	server_stats(d->server[0], &s);
	put_text(to, "version", LIGHT_VERSION);
	put_number(to, "pid", (uint64_t)getpid());
	put_text(to, "io", d->options->backend != NULL ? d->options->backend->name : "sim");
	put_text(to, "poll", options_busy(d->options) ? "busy" : "adaptive");
	json_object_object_add(to, "uptime_seconds", json_object_new_double((double)(d->core[0].now - d->started) / 1e9));
	json_object_object_add(to, "slept_seconds", json_object_new_double((double)d->core[0].stats.slept / 1e9));
	put_number(to, "turns", d->core[0].stats.turns);
	put_number(to, "idle_turns", d->core[0].stats.idle_turns);
	put_number(to, "sleeps", d->core[0].stats.sleeps);
	put_hosts(to, d);
	put_programs(to, d->server[0]);
	return 0;
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
}

static struct json_object *socket_row(const struct daemon *d, const struct ep_info *i)
{
	struct json_object *row = json_object_new_object();

	put_text(row, "type", i->type == EP_STREAM ? "tcp" : "udp");
	put_text(row, "state", i->state >= TCP_ESTABLISHED && i->state <= TCP_CLOSING ? state_names[i->state] : "?");
	put_number(row, "receive_queue", i->receive_queued);
	put_number(row, "send_queue", i->send_queued);
	put_name(row, "local", &i->local);
	put_name(row, "peer", &i->peer);
	put_number(row, "pid", i->ep != 0 ? (uint64_t)server_owner_pid(d->server[0], i->owner) : 0);
	if (i->type == EP_STREAM && i->state != TCP_LISTEN && i->ep != 0)
		put_stream(row, i);
	return row;
}

static void answer_ss(struct daemon *d, unsigned host, struct json_object *to)
{
	struct json_object *rows = json_object_new_array();
	struct ep_info info;

	for (uint32_t cursor = 0; ep_walk(network_stack(d->network, host, 0), &cursor, &info);)
		json_object_array_add(rows, socket_row(d, &info));
	json_object_object_add(to, "sockets", rows);
}

/* ---- stats, arp, route ---- */

static void answer_stats(struct daemon *d, unsigned host, struct json_object *to)
{
	struct json_object *counters = json_object_new_object(), *sentences = json_object_new_object();
	const struct link *link = network_interface(d->network, host, 0)->link[0];
	struct stack_counter c;

	for (unsigned i = 0; stack_counter(network_stack(d->network, host, 0), i, &c); i++) {
		put_number(counters, c.name, c.value);
		put_text(sentences, c.name, c.sentence);
	}
	put_number(counters, "link_rx_packets", link->stats.rx_packets);
	put_number(counters, "link_rx_bytes", link->stats.rx_bytes);
	put_number(counters, "link_tx_packets", link->stats.tx_packets);
	put_number(counters, "link_tx_bytes", link->stats.tx_bytes);
	put_number(counters, "link_tx_dropped", link->stats.tx_dropped);
	json_object_object_add(to, "counters", counters);
	json_object_object_add(to, "sentences", sentences);
}

static void put_service(struct json_object *to, const struct daemon *d)
{
	struct json_object *service = json_object_new_object(), *wire = json_object_new_object();
	struct server_stats s;

	server_stats(d->server[0], &s);
	put_number(service, "families", s.families);
	put_number(service, "sessions", s.sessions);
	put_number(service, "lines", s.lines);
	put_number(service, "watches", s.watches);
	put_number(service, "data_lent_bytes", s.data_lent);
	put_number(service, "data_warm_bytes", s.data_warm);
	put_number(service, "requests", s.requests);
	put_number(service, "events", s.events);
	put_number(service, "wakes", s.wakes);
	put_number(service, "doorbells", s.rings);
	put_number(service, "attached", s.attached);
	put_number(service, "refused", s.refused);
	put_number(service, "forked", s.forked);
	put_number(service, "died", s.died);
	put_number(service, "violations", s.violations);
	put_number(service, "lend_refused", s.lend_refused);
	put_number(service, "adopt_refused", s.adopt_refused);
	json_object_object_add(to, "service", service);
	for (int i = 0; i < WIRE_COUNTS && network_wire(d->network) != NULL; i++)
		put_number(wire, wire_count_name((enum wire_count)i), wire_count(network_wire(d->network), (enum wire_count)i));
	json_object_object_add(to, "wire", wire);
}

static void answer_arp(struct daemon *d, unsigned host, struct json_object *to)
{
	struct json_object *rows = json_object_new_array();
	struct stack_neighbour n;

	for (uint32_t cursor = 0; stack_walk_neighbours(network_stack(d->network, host, 0), &cursor, &n);) {
		struct json_object *row = json_object_new_object();

		put_addr(row, "address", &n.addr);
		put_mac(row, "mac", n.mac);
		put_number(row, "interface", (uint64_t)n.interface);
		put_text(row, "state", n.state);
		json_object_object_add(row, "age_seconds", json_object_new_double((double)n.age / 1e9));
		json_object_array_add(rows, row);
	}
	json_object_object_add(to, "neighbours", rows);
}

static void answer_route(struct daemon *d, unsigned host, struct json_object *to)
{
	const struct stack *stack = network_stack(d->network, host, 0);
	struct json_object *rows = json_object_new_array();
	struct stack_route r;

	for (uint32_t cursor = 0; stack_walk_routes(stack, &cursor, &r);) {
		struct json_object *row = json_object_new_object();
		struct stack_interface interface;

		put_addr(row, "to", &r.to);
		put_number(row, "prefix", r.prefix);
		put_addr(row, "gateway", &r.gateway);
		put_addr(row, "source", &r.source);
		put_text(row, "interface", stack_interface(stack, r.interface, &interface) ? interface.name : "?");
		json_object_array_add(rows, row);
	}
	json_object_object_add(to, "routes", rows);
}

/* ---- questions ---- */

/* A pipe that nobody empties would stop the daemon. */
static bool fd_is_file(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
}

/* capture_start_fd takes its descriptor whatever it says: it gets one of its own, and the asker's is closed like any other. */
static int start_capture(struct link *link, int fd, uint32_t snap)
{
	int own = fcntl(fd, F_DUPFD_CLOEXEC, 0);

	return own < 0 ? -errno : capture_start_fd(link, own, snap);
}

/* With a descriptor: start writing into it. Without: stop. */
static int answer_capture(struct daemon *d, unsigned host, int fd, uint32_t snap, struct json_object *to)
{
	struct link *link = network_interface(d->network, host, 0)->link[0];
	struct capture_status status;
	int error;

	if (fd >= 0)
		return fd_is_file(fd) ? start_capture(link, fd, snap) : -EINVAL;
	status = capture_status(link);
	error = capture_stop(link);
	put_number(to, "packets", status.packets);
	put_number(to, "bytes", status.bytes);
	put_number(to, "truncated", status.truncated);
	put_number(to, "missed", status.missed);
	return error;
}

/* The number of the host named; "" is the first; -1: none. */
static int host_number(const struct daemon *d, const char *name)
{
	if (*name == '\0')
		return 0;
	for (unsigned i = 0; i < network_hosts(d->network); i++) {
		if (strcmp(network_host_name(d->network, i), name) == 0)
			return (int)i;
	}
	return -1;
}

static int answer_about_host(struct daemon *d, const char *command, unsigned host, struct json_object *to)
{
	put_text(to, "host", network_host_name(d->network, host));
	if (strcmp(command, "ss") == 0) {
		answer_ss(d, host, to);
	} else if (strcmp(command, "stats") == 0) {
		answer_stats(d, host, to);
		put_service(to, d);
	} else if (strcmp(command, "arp") == 0) {
		answer_arp(d, host, to);
	} else if (strcmp(command, "route") == 0) {
		answer_route(d, host, to);
	} else {
		return -EOPNOTSUPP;
	}
	return 0;
}

static int answer(struct daemon *d, const struct server_question *q, char *text, struct json_object *to)
{
	char *save = NULL, *command = strtok_r(text, " \n", &save);
	const char *host_name = strtok_r(NULL, " \n", &save), *number = strtok_r(NULL, " \n", &save);
	int host = host_number(d, host_name != NULL ? host_name : "");
	int error;

	if (command == NULL)
		return -EINVAL;
	if (strcmp(command, "status") == 0)
		return answer_status(d, to);
	if (host < 0)
		return -ENOENT;
	if (strcmp(command, "capture") != 0)
		return answer_about_host(d, command, (unsigned)host, to);
	/* The frames of all programs are in it: only for who may read them anyway. */
	if (q->uid != 0 && q->uid != geteuid())
		return -EPERM;
	error = answer_capture(d, (unsigned)host, q->fd, number != NULL ? (uint32_t)strtoul(number, NULL, 10) : 0, to);
	return error;
}

int control_answer(void *context, const struct server_question *q, struct server_answer *a)
{
	struct json_object *to = json_object_new_object();
	char text[QUESTION_MAX + 1] = "";
	size_t length = q->length < QUESTION_MAX ? q->length : QUESTION_MAX;
	const char *json;
	int error;

	memcpy(text, q->text, length);
	error = answer(context, q, text, to);
	if (q->fd >= 0)
		close(q->fd);
	if (error < 0)
		put_text(to, "error", strerror(-error));
	json = json_object_to_json_string_ext(to, JSON_C_TO_STRING_PLAIN);
	if (server_answer_add(a, json, strlen(json)) < 0)
		error = -ENOMEM;
	json_object_put(to);
	return error;
}
