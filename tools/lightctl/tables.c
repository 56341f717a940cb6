/* SPDX-License-Identifier: BSD-3-Clause */
/* What lightd says, as people read it. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "tools/lightctl/lightctl.h"

static const char *text(struct json_object *row, const char *key)
{
	struct json_object *value = json_object_object_get(row, key);

	return value != NULL ? json_object_get_string(value) : "-";
}

static uint64_t number(struct json_object *row, const char *key)
{
	return json_object_get_uint64(json_object_object_get(row, key));
}

static double real(struct json_object *row, const char *key)
{
	return json_object_get_double(json_object_object_get(row, key));
}

static struct json_object *row_at(struct json_object *rows, size_t i)
{
	return i < json_object_array_length(rows) ? json_object_array_get_idx(rows, i) : NULL;
}

void show_status(struct json_object *a)
{
	struct json_object *hosts = json_object_object_get(a, "hosts"), *programs = json_object_object_get(a, "programs"), *r;
	double up = real(a, "uptime_seconds");

	printf("lightd %s, pid %" PRIu64 ", --io=%s, --poll=%s, up %.0f s, asleep %.1f %% of it\n", text(a, "version"),
	       number(a, "pid"), text(a, "io"), text(a, "poll"), up, up > 0 ? 100 * real(a, "slept_seconds") / up : 0);
	printf("\n%-16s %-16s %8s %12s %9s %9s\n", "HOST", "ADDRESS", "SOCKETS", "CONNECTIONS", "HALF-OPEN", "TIME-WAIT");
	for (size_t i = 0; (r = row_at(hosts, i)) != NULL; i++)
		printf("%-16s %-16s %8" PRIu64 " %12" PRIu64 " %9" PRIu64 " %9" PRIu64 "%s\n", text(r, "name"), text(r, "address"),
		       number(r, "sockets"), number(r, "connections"), number(r, "half_open"), number(r, "time_wait"),
		       json_object_get_boolean(json_object_object_get(r, "capturing")) ? "  capturing" : "");
	printf("\n%-8s %-6s %-16s %8s %8s %14s %12s\n", "PID", "UID", "HOST", "SOCKETS", "THREADS", "BUFFERS", "REQUESTS");
	for (size_t i = 0; (r = row_at(programs, i)) != NULL; i++)
		printf("%-8" PRIu64 " %-6" PRIu64 " %-16s %8" PRIu64 " %8" PRIu64 " %14" PRIu64 " %12" PRIu64 "\n", number(r, "pid"),
		       number(r, "uid"), text(r, "host"), number(r, "sockets"), number(r, "threads"),
		       number(r, "buffer_bytes"), number(r, "requests"));
}

static void show_stream(struct json_object *r)
{
	printf("\t %s%s%s %s rtt:%.3f/%.3fms rto:%.0fms mss:%" PRIu64 " cwnd:%" PRIu64 " ssthresh:%" PRIu64
	       " bytes_sent:%" PRIu64 " bytes_received:%" PRIu64 " retrans:%" PRIu64 "\n",
	       json_object_get_boolean(json_object_object_get(r, "timestamps")) ? "ts " : "",
	       json_object_get_boolean(json_object_object_get(r, "sack")) ? "sack " : "",
	       json_object_get_boolean(json_object_object_get(r, "window_scaling")) ? "wscale" : "", text(r, "cc"),
	       real(r, "rtt_us") / 1000, real(r, "rttvar_us") / 1000, real(r, "rto_us") / 1000, number(r, "mss"),
	       number(r, "cwnd"), number(r, "ssthresh"), number(r, "bytes_sent"), number(r, "bytes_received"),
	       number(r, "retransmitted"));
}

void show_sockets(struct json_object *a)
{
	struct json_object *rows = json_object_object_get(a, "sockets"), *r;

	printf("%-5s %-11s %8s %8s  %-22s %-22s %s\n", "TYPE", "STATE", "RECV-Q", "SEND-Q", "LOCAL", "PEER", "PID");
	for (size_t i = 0; (r = row_at(rows, i)) != NULL; i++) {
		printf("%-5s %-11s %8" PRIu64 " %8" PRIu64 "  %-22s %-22s %" PRIu64 "\n", text(r, "type"), text(r, "state"),
		       number(r, "receive_queue"), number(r, "send_queue"), text(r, "local"), text(r, "peer"), number(r, "pid"));
		if (json_object_object_get(r, "mss") != NULL)
			show_stream(r);
	}
}

static void show_counters(struct json_object *counters, struct json_object *sentences)
{
	json_object_object_foreach(counters, key, value) {
		struct json_object *sentence = sentences != NULL ? json_object_object_get(sentences, key) : NULL;

		if (json_object_get_uint64(value) != 0)
			printf("  %-32s %14" PRIu64 "  %s\n", key, json_object_get_uint64(value),
			       sentence != NULL ? json_object_get_string(sentence) : "");
	}
}

/* A queue of a device, and what the device itself counts. */
static void show_queue(struct json_object *q)
{
	printf("%s, core %" PRIu64 ": in %" PRIu64 " packets, %" PRIu64 " bytes, %" PRIu64 " dropped; out %" PRIu64 " packets, %" PRIu64
	       " bytes, %" PRIu64 " dropped\n", text(q, "interface"), number(q, "core"), number(q, "rx_packets"), number(q, "rx_bytes"),
	       number(q, "rx_dropped"), number(q, "tx_packets"), number(q, "tx_bytes"), number(q, "tx_dropped"));
	show_counters(json_object_object_get(q, "device"), NULL);
}

void show_stats(struct json_object *a)
{
	struct json_object *queues = json_object_object_get(a, "queues"), *r;

	printf("host %s (counters that are not zero)\n", text(a, "host"));
	show_counters(json_object_object_get(a, "counters"), json_object_object_get(a, "sentences"));
	for (size_t i = 0; (r = row_at(queues, i)) != NULL; i++)
		show_queue(r);
	printf("wire\n");
	show_counters(json_object_object_get(a, "wire"), NULL);
	printf("service\n");
	show_counters(json_object_object_get(a, "service"), NULL);
}

void show_neighbours(struct json_object *a)
{
	struct json_object *rows = json_object_object_get(a, "neighbours"), *r;

	printf("%-16s %-18s %-12s %-12s %s\n", "ADDRESS", "MAC", "STATE", "INTERFACE", "CONFIRMED");
	for (size_t i = 0; (r = row_at(rows, i)) != NULL; i++)
		printf("%-16s %-18s %-12s %-12s %.1f s ago\n", text(r, "address"), text(r, "mac"), text(r, "state"), text(r, "interface"),
		       real(r, "age_seconds"));
}

void show_addresses(struct json_object *a)
{
	struct json_object *rows = json_object_object_get(a, "addresses"), *r;

	printf("%-16s %s\n", "INTERFACE", "ADDRESS");
	for (size_t i = 0; (r = row_at(rows, i)) != NULL; i++)
		printf("%-16s %s/%" PRIu64 "\n", text(r, "interface"), text(r, "address"), number(r, "prefix"));
}

void show_links(struct json_object *a)
{
	struct json_object *rows = json_object_object_get(a, "links"), *r;

	printf("%-16s %-5s %-8s %6s %6s %-18s %12s %12s %10s\n", "INTERFACE", "STATE", "BACKEND", "QUEUES", "MTU", "MAC", "RX-PACKETS",
	       "TX-PACKETS", "DROPPED");
	for (size_t i = 0; (r = row_at(rows, i)) != NULL; i++) {
		printf("%-16s %-5s %-8s %6" PRIu64 " %6" PRIu64 " %-18s", text(r, "name"),
		       json_object_get_boolean(json_object_object_get(r, "up")) ? "up" : "down", text(r, "backend"), number(r, "queues"),
		       number(r, "mtu"), text(r, "mac"));
		if (json_object_object_get(r, "vid") != NULL)
			printf(" VLAN %" PRIu64 " on %s\n", number(r, "vid"), text(r, "on"));
		else
			printf(" %12" PRIu64 " %12" PRIu64 " %10" PRIu64 "\n", number(r, "rx_packets"), number(r, "tx_packets"),
			       number(r, "rx_dropped") + number(r, "tx_dropped"));
	}
}

void show_vlans(struct json_object *a)
{
	struct json_object *rows = json_object_object_get(a, "vlans"), *r;

	printf("%-16s %5s %s\n", "INTERFACE", "VID", "ON");
	for (size_t i = 0; (r = row_at(rows, i)) != NULL; i++)
		printf("%-16s %5" PRIu64 " %s\n", text(r, "name"), number(r, "vid"), text(r, "on"));
}

void show_leases(struct json_object *a)
{
	struct json_object *rows = json_object_object_get(a, "leases"), *r;
	char addr[64];

	printf("%-16s %-11s %-20s %-16s %-16s %10s\n", "INTERFACE", "STATE", "ADDRESS", "ROUTER", "SERVER", "EXPIRES");
	for (size_t i = 0; (r = row_at(rows, i)) != NULL; i++) {
		snprintf(addr, sizeof addr, "%s/%" PRIu64, text(r, "address"), number(r, "prefix"));
		printf("%-16s %-11s %-20s %-16s %-16s ", text(r, "interface"), text(r, "state"), addr, text(r, "router"), text(r, "server"));
		if (json_object_object_get(r, "expires_seconds") != NULL)
			printf("%8.0f s\n", real(r, "expires_seconds"));
		else
			printf("%10s\n", json_object_object_get(r, "age_seconds") != NULL ? "never" : "-");
	}
}

void show_cores(struct json_object *a)
{
	struct json_object *rows = json_object_object_get(a, "cores"), *r;
	double up = real(a, "uptime_seconds");

	printf("%-5s %-4s %14s %14s %12s %10s %8s %12s %14s %14s\n", "CORE", "CPU", "TURNS", "IDLE-TURNS", "WORK", "SLEEPS", "ASLEEP",
	       "REQUESTS", "RX-PACKETS", "TX-PACKETS");
	for (size_t i = 0; (r = row_at(rows, i)) != NULL; i++)
		printf("%-5" PRIu64 " %-4s %14" PRIu64 " %14" PRIu64 " %12" PRIu64 " %10" PRIu64 " %7.1f%% %12" PRIu64 " %14" PRIu64 " %14" PRIu64
		       "\n", number(r, "core"), text(r, "cpu"), number(r, "turns"), number(r, "idle_turns"), number(r, "work"),
		       number(r, "sleeps"), up > 0 ? 100 * real(r, "slept_seconds") / up : 0, number(r, "requests"),
		       number(r, "rx_packets"), number(r, "tx_packets"));
}

void show_json(struct json_object *a)
{
	puts(json_object_to_json_string_ext(a, JSON_C_TO_STRING_PRETTY));
}

void show_routes(struct json_object *a)
{
	struct json_object *rows = json_object_object_get(a, "routes"), *r;
	char to[64];

	printf("%-20s %-16s %-16s %s\n", "TO", "GATEWAY", "SOURCE", "INTERFACE");
	for (size_t i = 0; (r = row_at(rows, i)) != NULL; i++) {
		snprintf(to, sizeof to, "%s/%" PRIu64, text(r, "to"), number(r, "prefix"));
		printf("%-20s %-16s %-16s %s\n", to, strcmp(text(r, "gateway"), "0.0.0.0") == 0 ? "-" : text(r, "gateway"),
		       text(r, "source"), text(r, "interface"));
	}
}
