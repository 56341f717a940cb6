/* SPDX-License-Identifier: BSD-3-Clause */
/* Settings of --io=sim: its hosts and their links. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "tools/lightd/settings.h"
#include "tools/units.h"

/* Hosts without an address of their own count up from here. */
#define FIRST_ADDRESS 0x0a4d0001u /* 10.77.0.1 */

static const char time_allowed[] = "a time of at most an hour, as 20ms, 300us, 1.5s";
static const char part_allowed[] = "a part, as 2% or 0.02, at most 1";

static const char *host_add(struct options *o, const char *name, size_t length, const char *address)
{
	struct host_option *h = &o->host[o->hosts];

	if (o->hosts == HOSTS_MAX)
		return "at most 64 hosts";
	if (!name_is_valid(name, length, sizeof h->name))
		return "names of 1 to 31 letters, digits, '.', '-', '_'";
	memcpy(h->name, name, length);
	h->name[length] = '\0';
	h->addr = ipaddr_from_ip4(__builtin_bswap32(FIRST_ADDRESS + o->hosts));
	if (address != NULL && (!units_ip4(address, &h->addr) || ipaddr_is_any(&h->addr)))
		return "NAME=ADDRESS with an IPv4 address";
	for (unsigned i = 0; i < o->hosts; i++) {
		if (strcmp(o->host[i].name, h->name) == 0 || ipaddr_equal(&o->host[i].addr, &h->addr))
			return "no name and no address of another host";
	}
	o->hosts++;
	return NULL;
}

static const char *hosts_by_number(struct options *o, uint64_t number)
{
	const char *allowed = NULL;
	char name[16];

	if (number == 2) {
		host_add(o, "server", 6, NULL);
		return host_add(o, "client", 6, NULL);
	}
	for (uint64_t i = 1; i <= number && allowed == NULL; i++) {
		snprintf(name, sizeof name, "host%u", (unsigned)i);
		allowed = host_add(o, name, strlen(name), NULL);
	}
	return allowed;
}

/* A number, or one or several NAME[=ADDRESS]; in the file also one an element. */
static const char *set_hosts(struct options *o, const char *text)
{
	const char *allowed = NULL;
	char copy[4096], *save = NULL;
	uint64_t number;

	if (o->place.file == NULL || !o->hosts_said)
		o->hosts = 0;
	o->hosts_said = true;
	if (strlen(text) >= sizeof copy || *text == '\0')
		return "1 to 64, or NAME[=ADDRESS],...";
	if (isdigit((unsigned char)text[0]) && strpbrk(text, ",=") == NULL)
		return units_whole(text, 1, HOSTS_MAX, &number) ? hosts_by_number(o, number) : "1 to 64";
	strcpy(copy, text);
	for (char *item = strtok_r(copy, ",", &save); item != NULL && allowed == NULL; item = strtok_r(NULL, ",", &save)) {
		char *equals = strchr(item, '=');

		allowed = host_add(o, item, equals != NULL ? (size_t)(equals - item) : strlen(item), equals != NULL ? equals + 1 : NULL);
	}
	return allowed == NULL && o->hosts == 0 ? "at least one" : allowed;
}

/* NAME or NAME@NETNS, one or several; in the file also one an element. */
static const char *set_tap(struct options *o, const char *text)
{
	char copy[4096], *save = NULL;

	if (list_begins(o, &o->taps_said))
		o->taps = 0;
	if (strlen(text) >= sizeof copy || *text == '\0')
		return "NAME[@NETNS],...";
	strcpy(copy, text);
	for (char *item = strtok_r(copy, ",", &save); item != NULL; item = strtok_r(NULL, ",", &save)) {
		char *at = strchr(item, '@');
		size_t length = at != NULL ? (size_t)(at - item) : strlen(item);
		struct tap_option *t = &o->tap[o->taps];

		if (o->taps == HOSTS_MAX)
			return "at most 64 of them";
		if (!name_is_valid(item, length, sizeof t->name))
			return "names of 1 to 15 letters, digits, '.', '-', '_'";
		if (at != NULL && (at[1] == '\0' || strlen(at + 1) >= sizeof t->netns))
			return "NAME@NETNS with the name (up to 63 bytes) of a network namespace, or a path";
		memcpy(t->name, item, length);
		t->name[length] = '\0';
		strcpy(t->netns, at != NULL ? at + 1 : "");
		o->taps++;
	}
	return NULL;
}

static const char *set_super_frames(struct options *o, const char *text)
{
	return set_switch(&o->super_frames, text);
}

static const char *set_rate(struct options *o, const char *text)
{
	return units_rate(text, &o->impairment.rate) ? NULL : "bits a second, as 10M or 1G";
}

static const char *set_delay(struct options *o, const char *text)
{
	return units_duration(text, &o->impairment.delay) ? NULL : time_allowed;
}

static const char *set_jitter(struct options *o, const char *text)
{
	return units_duration(text, &o->impairment.jitter) ? NULL : time_allowed;
}

static const char *set_loss(struct options *o, const char *text)
{
	return units_probability(text, &o->impairment.loss) ? NULL : part_allowed;
}

static const char *set_duplicate(struct options *o, const char *text)
{
	return units_probability(text, &o->impairment.duplicate) ? NULL : part_allowed;
}

static const char *set_reorder(struct options *o, const char *text)
{
	return units_probability(text, &o->impairment.reorder) ? NULL : part_allowed;
}

static const char *set_corrupt(struct options *o, const char *text)
{
	return units_probability(text, &o->impairment.corrupt) ? NULL : part_allowed;
}

static const char *set_queue(struct options *o, const char *text)
{
	return set_number(&o->impairment.queue_packets, text, 1, 1000000);
}

const struct setting settings_sim[] = {
	{ "hosts", "sim", "hosts", "N|NAME[=ADDRESS],...", 3, true,
	  "Hosts on the simulated network, /24 (default 2: server=10.77.0.1,client=10.77.0.2; other numbers: host1, host2 ...)", set_hosts },
	{ "tap", "sim", "tap", "NAME[@NETNS],...", 3, true,
	  "Interfaces of the local kernel on the simulated network, made in the network namespace NETNS; addresses are up to you", set_tap },
	{ "super-frames", "sim", "super-frames", NULL, 3, false,
	  "Frames of up to 64 KB and no checksums between hosts, as virtual NICs do it", set_super_frames },
	{ "rate", "sim", "rate", "BITS", 4, false, "Bits a second: 10M, 1G (default no limit)", set_rate },
	{ "delay", "sim", "delay", "TIME", 4, false, "20ms, 300us (default 0)", set_delay },
	{ "jitter", "sim", "jitter", "TIME", 4, false, "More delay, at random up to this", set_jitter },
	{ "loss", "sim", "loss", "PART", 4, false, "2% or 0.02", set_loss },
	{ "duplicate", "sim", "duplicate", "PART", 4, false, "Delivered twice", set_duplicate },
	{ "reorder", "sim", "reorder", "PART", 4, false, "Delivered later than those behind it", set_reorder },
	{ "corrupt", "sim", "corrupt", "PART", 4, false, "Delivered with a wrong bit", set_corrupt },
	{ "queue", "sim", "queue", "PACKETS", 4, false, "Packets that wait for the rate at most (default 1000 with --rate)", set_queue },
	{ 0 },
};
