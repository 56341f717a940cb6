/* SPDX-License-Identifier: BSD-3-Clause */
/* One pass over the capture each. ARP (RFC 826) is believed before the source addresses of IPv4, which a router lends its
 * own MAC address to. */
#include "pcap_scan.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ETH_HEADER 14u
#define ARP_BYTES 28u
#define SLOTS 65536u        /* a power of two */
#define ENTRIES_MAX 49152u  /* addresses beyond these are answered for as unknown ones */

enum trust { UNKNOWN, ASKED_FOR, SENT_IP, SENT_ARP };

struct neighbour {
	uint32_t ip4;
	uint8_t mac[6];
	uint8_t trust;      /* enum trust; UNKNOWN: a free slot */
};

struct scan {
	struct neighbour slots[SLOTS];
	uint32_t count;
	uint8_t any[6];     /* of the first frame that is not ours */
	bool has_any;
};

static bool is_arp(const struct source_frame *f)
{
	return f->len >= ETH_HEADER + ARP_BYTES && f->bytes[12] == 0x08 && f->bytes[13] == 0x06;
}

static bool is_ip4(const struct source_frame *f)
{
	return f->len >= ETH_HEADER + 20 && f->bytes[12] == 0x08 && f->bytes[13] == 0x00;
}

static uint32_t slot_of(const struct scan *n, uint32_t ip4)
{
	uint32_t i = (ip4 * 2654435761u) >> 16;

	while (n->slots[i].trust != UNKNOWN && n->slots[i].ip4 != ip4)
		i = (i + 1) % SLOTS;
	return i;
}

static void learn(struct scan *n, uint32_t ip4, enum trust trust, const uint8_t mac[6])
{
	struct neighbour *e = &n->slots[slot_of(n, ip4)];

	if (ip4 == 0 || e->trust >= trust || (e->trust == UNKNOWN && n->count == ENTRIES_MAX))
		return;
	n->count += e->trust == UNKNOWN;
	e->ip4 = ip4;
	e->trust = (uint8_t)trust;
	memcpy(e->mac, mac, 6);
}

static void learn_from(struct scan *n, const struct source_frame *f, const uint8_t own_mac[6])
{
	bool own = f->outgoing || (f->len >= ETH_HEADER && memcmp(f->bytes + 6, own_mac, 6) == 0);
	uint32_t ip4;

	if (f->len < ETH_HEADER || f->bytes[6] & 1)
		return;
	if (!own && !n->has_any) {
		n->has_any = true;
		memcpy(n->any, f->bytes + 6, 6);
	}
	if (is_arp(f)) {
		memcpy(&ip4, f->bytes + (own ? 38 : 28), 4);
		learn(n, ip4, own ? ASKED_FOR : SENT_ARP, f->bytes + 22);
	} else if (is_ip4(f) && !own) {
		memcpy(&ip4, f->bytes + 26, 4);
		learn(n, ip4, SENT_IP, f->bytes + 6);
	}
}

static bool find(const struct scan *n, uint32_t ip4, uint8_t mac[6])
{
	const struct neighbour *e = &n->slots[slot_of(n, ip4)];

	if (e->trust == ASKED_FOR || (e->trust == UNKNOWN && !n->has_any))
		return false;
	memcpy(mac, e->trust == UNKNOWN ? n->any : e->mac, 6);
	return true;
}

/* As the source of ARP or IPv4, or as the unicast destination of IPv4. */
static bool shows_mac(const struct source_frame *f, uint32_t ip4, uint8_t mac[6])
{
	const uint8_t *b = f->bytes;

	if (is_arp(f) && memcmp(b + 28, &ip4, 4) == 0)
		memcpy(mac, b + 22, 6);
	else if (is_ip4(f) && memcmp(b + 26, &ip4, 4) == 0)
		memcpy(mac, b + 6, 6);
	else if (is_ip4(f) && memcmp(b + 30, &ip4, 4) == 0)
		memcpy(mac, b, 6);
	else
		return false;
	return !(mac[0] & 1);
}

int scan_own_mac(const char *path, uint32_t ip4, uint8_t mac[6], char why[DEVICE_WHY])
{
	static const uint8_t made[6] = { 2, 0, 0, 0, 0, 2 };
	enum source_what what = SOURCE_END;
	struct source_frame f;
	struct source *s;
	int error = source_open(path, made, &s, why);
	bool found = false;

	if (error)
		return error;
	memcpy(mac, made, 6);
	found = !source_is_ethernet(s);
	while (!found && (what = source_next(s, &f)) < SOURCE_END)
		found = what == SOURCE_FRAME && shows_mac(&f, ip4, mac);
	if (!found) {
		snprintf(why, DEVICE_WHY, "%.50s: no whole frame to or from our address shows our MAC address%s%.50s", path,
			what == SOURCE_BROKEN ? "; it is broken: " : "", source_error(s));
		error = -ENOENT;
	}
	source_close(s);
	return error;
}

struct scan *scan_new(const char *path, const uint8_t own_mac[6])
{
	struct scan *n = calloc(1, sizeof(*n));
	char why[DEVICE_WHY];
	struct source_frame f;
	enum source_what what;
	struct source *s;

	if (!n || source_open(path, own_mac, &s, why) != 0) {
		free(n);
		return NULL;
	}
	while ((what = source_next(s, &f)) < SOURCE_END)
		if (what == SOURCE_FRAME)
			learn_from(n, &f, own_mac);
	source_close(s);
	return n;
}

void scan_free(struct scan *n)
{
	free(n);
}

/* RFC 826: who asked in the capture asked at other times, or before it began. Neither announcements nor probes (RFC 5227) are
 * questions to others. */
bool scan_answer(const struct scan *n, const uint8_t *q, uint32_t len, uint8_t a[SCAN_ARP_FRAME])
{
	static const uint8_t request[10] = { 0x08, 0x06, 0, 1, 8, 0, 6, 4, 0, 1 };
	uint32_t target, sender;
	uint8_t mac[6];

	if (len < ETH_HEADER + ARP_BYTES || memcmp(q + 12, request, sizeof(request)) != 0)
		return false;
	memcpy(&sender, q + 28, 4);
	memcpy(&target, q + 38, 4);
	if (sender == target || sender == 0 || !find(n, target, mac))
		return false;
	memset(a, 0, SCAN_ARP_FRAME);
	memcpy(a, q + 6, 6);
	memcpy(a + 6, mac, 6);
	memcpy(a + 12, request, sizeof(request));
	a[21] = 2;
	memcpy(a + 22, mac, 6);
	memcpy(a + 28, &target, 4);
	memcpy(a + 32, q + 22, 10);
	return true;
}
