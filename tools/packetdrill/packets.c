/* SPDX-License-Identifier: BSD-3-Clause */
/* Packets in and out. Every packet that the stack emits is looked over: packetdrill itself reads the checksum of the IP header only. */
#include "tools/packetdrill/plugin.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define IP_LEAST 20u

static uint32_t get16(const uint8_t *p)
{
	return (uint32_t)p[0] << 8 | p[1];
}

static uint32_t get32(const uint8_t *p)
{
	return get16(p) << 16 | get16(p + 2);
}

/* The sum of RFC 1071, folded; right if all that it covers, the field included, comes to 0xffff. */
static uint32_t sum(const uint8_t *p, size_t n, uint64_t from)
{
	for (size_t i = 0; i < n; i++)
		from += i % 2 ? p[i] : (uint64_t)p[i] << 8;
	while (from >> 16)
		from = (from & 0xffff) + (from >> 16);
	return (uint32_t)from;
}

/* NULL: well formed, and every checksum is right. */
static const char *fault_of(const uint8_t *ip, size_t n)
{
	uint32_t header = (ip[0] & 15u) * 4, pseudo;

	if (n < IP_LEAST || ip[0] >> 4 != 4 || header < IP_LEAST || header > n || get16(ip + 2) != n)
		return "its IP header or length is wrong";
	if (sum(ip, header, 0) != 0xffff)
		return "the checksum of its IP header is wrong";
	if (get16(ip + 6) & 0x3fff)
		return NULL;    /* a fragment: its checksum covers the whole */
	pseudo = sum(ip + 12, 8, ip[9] + (n - header));
	if (ip[9] == IPPROTO_TCP && (n - header < 20 || sum(ip + header, n - header, pseudo) != 0xffff))
		return "its TCP checksum is wrong";
	if (ip[9] == IPPROTO_UDP && (n - header < 8 || (get16(ip + header + 6) && sum(ip + header, n - header, pseudo) != 0xffff)))
		return "its UDP checksum is wrong";
	if (ip[9] == IPPROTO_ICMP && sum(ip + header, n - header, 0) != 0xffff)
		return "its ICMP checksum is wrong";
	return NULL;
}

static void describe(const uint8_t *ip, size_t n, long long usecs, char *line, size_t room)
{
	const uint8_t *l4 = ip + (ip[0] & 15u) * 4;
	char from[INET_ADDRSTRLEN], to[INET_ADDRSTRLEN];

	inet_ntop(AF_INET, ip + 12, from, sizeof(from));
	inet_ntop(AF_INET, ip + 16, to, sizeof(to));
	if (ip[9] != IPPROTO_TCP) {
		snprintf(line, room, "%.6f s: %s > %s protocol %u, %zu bytes", (double)usecs / 1e6, from, to, ip[9], n);
		return;
	}
	snprintf(line, room, "%.6f s: %s:%u > %s:%u %s%s%s%s%s seq %u ack %u, %u bytes of data", (double)usecs / 1e6, from, get16(l4), to,
		 get16(l4 + 2), l4[13] & 2 ? "S" : "", l4[13] & 1 ? "F" : "", l4[13] & 4 ? "R" : "", l4[13] & 8 ? "P" : "",
		 l4[13] & 16 ? "." : "", get32(l4 + 4), get32(l4 + 8), (unsigned)(n - (size_t)(l4 - ip) - (l4[12] >> 4) * 4u));
}

/* The next packet, verified. 0: none. A wrong one ends the test: nothing that follows would mean anything. */
static size_t next_packet(uint8_t *packet, size_t room, long long *usecs)
{
	nsec emitted;
	size_t n = embed_packet_out(plugin.embed, packet, room, &emitted);
	const char *fault = n > 0 && n <= room ? fault_of(packet, n) : NULL;

	if (n > room)
		fault = "it is longer than packetdrill takes";
	if (fault) {
		say("the stack emitted a packet of %zu bytes, and %s", n, fault);
		exit(1);
	}
	if (n > 0)
		*usecs = clock_usecs(emitted);
	return n;
}

int packets_in(void *userdata, const void *packet, size_t n)
{
	(void)userdata;
	clock_enter();
	return (int)clock_leave(embed_packet_in(plugin.embed, packet, n));
}

int packets_out(void *userdata, void *packet, size_t *n, long long *usecs)
{
	(void)userdata;
	clock_enter();
	clock_run_to_packet();
	*n = next_packet(packet, *n, usecs);
	return (int)clock_leave(0);
}

void packets_report(void)
{
	static uint8_t packet[65536];
	unsigned count = 0;
	long long usecs;
	char line[200];
	size_t n;

	if (plugin.over)
		return;
	plugin.over = true;
	while ((n = next_packet(packet, sizeof(packet), &usecs)) > 0 && plugin.settings.unexpected != UNEXPECTED_IGNORE) {
		describe(packet, n, usecs - clock_usecs(0), line, sizeof(line));
		say("sent, and nobody expected it: %s", line);
		count++;
	}
	if (count > 0 && plugin.settings.unexpected == UNEXPECTED_FATAL) {
		say("unexpected=fatal: %u of them", count);
		fflush(NULL);
		_exit(1);
	}
}
