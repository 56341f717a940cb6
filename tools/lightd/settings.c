/* SPDX-License-Identifier: BSD-3-Clause */
/* All settings in a row, complaints about them, and what their functions share. */
#include "tools/lightd/settings.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "stack/base/check.h"
#include "tools/refuse.h"
#include "tools/units.h"

static bool all_wanted;
static unsigned said;

void complain_on(void)
{
	all_wanted = true;
}

unsigned complaints(void)
{
	return said;
}

void complain(const struct place *at, const char *format, ...)
{
	va_list ap;

	if (at->file != NULL)
		fprintf(stderr, "%s:%u: ", at->file, at->line);
	else
		fprintf(stderr, "lightd: ");
	va_start(ap, format);
	vfprintf(stderr, format, ap);
	va_end(ap);
	fputc('\n', stderr);
	said++;
	if (!all_wanted)
		exit(EXIT_REFUSED);
}

const char *set_switch(bool *to, const char *text)
{
	if (strcmp(text, "true") != 0 && strcmp(text, "false") != 0)
		return "true or false";
	*to = text[0] == 't';
	return NULL;
}

const char *set_text(const char **to, const char *text, size_t most)
{
	if (*text == '\0' || strlen(text) > most)
		return "not empty, and not longer than a path may be";
	*to = text;
	return NULL;
}

const char *set_number(uint32_t *to, const char *text, uint32_t least, uint32_t most)
{
	static char allowed[64];
	uint64_t n;

	if (!units_whole(text, least, most, &n)) {
		snprintf(allowed, sizeof allowed, "%u to %u", least, most);
		return allowed;
	}
	*to = (uint32_t)n;
	return NULL;
}

bool list_begins(const struct options *o, bool *already)
{
	bool begins = o->place.file == NULL && !*already;

	if (begins)
		*already = true;
	return begins;
}

struct interface_option *interface_begin(struct options *o)
{
	struct interface_option *i;

	if (list_begins(o, &o->interfaces_said))
		o->interfaces = 0;
	if (o->interfaces == INTERFACES_MAX)
		return NULL;
	o->current = o->interfaces++;
	o->current_vlan = -1;
	i = &o->interface[o->current];
	*i = (struct interface_option){ .port = -1, .place = o->place };
	return i;
}

const char *vlan_begin(struct options *o, const char *text)
{
	struct interface_option *i = &o->interface[o->current];
	uint64_t vid;

	if (!units_whole(text, 1, 4094, &vid))
		return "a number, 1 to 4094";
	for (unsigned v = 0; v < i->vlans; v++) {
		if (i->vlan[v].vid == vid)
			return "each VLAN once";
	}
	if (i->vlans == VLANS_MAX)
		return "at most 14 VLANs of an interface";
	if (i->vlan == NULL && (i->vlan = calloc(VLANS_MAX, sizeof *i->vlan)) == NULL)
		return "more memory than there is";
	o->current_vlan = (int)i->vlans++;
	i->vlan[o->current_vlan].vid = (unsigned)vid;
	return NULL;
}

bool name_is_valid(const char *name, size_t length, size_t room)
{
	if (length == 0 || length >= room)
		return false;
	for (size_t i = 0; i < length; i++) {
		if (!isalnum((unsigned char)name[i]) && strchr("-._", name[i]) == NULL)
			return false;
	}
	return true;
}

const struct setting *setting_at(unsigned i)
{
	static const struct setting *const tables[] = {
		settings_network, settings_interface, settings_sim, settings_daemon, settings_quota
	};

	for (size_t t = 0; t < sizeof tables / sizeof tables[0]; t++) {
		for (const struct setting *s = tables[t]; s->set != NULL; s++) {
			if (i-- == 0)
				return s;
		}
	}
	return NULL;
}

/* Its number; -1: there is none. */
static int number_by_key(const char *section, const char *key)
{
	const struct setting *s;

	for (unsigned i = 0; (s = setting_at(i)) != NULL; i++) {
		if (s->key != NULL && strcmp(s->section, section) == 0 && strcmp(s->key, key) == 0)
			return (int)i;
	}
	return -1;
}

const struct setting *setting_by_key(const char *section, const char *key)
{
	int number = number_by_key(section, key);

	return number >= 0 ? setting_at((unsigned)number) : NULL;
}

const char *setting_set(struct options *o, const struct setting *s, const char *text)
{
	for (unsigned i = 0; i < SETTINGS_MAX && setting_at(i) != NULL; i++) {
		if (setting_at(i) == s) {
			o->where[i] = o->place;
			o->said[i] = true;
		}
	}
	return s->set(o, text);
}

const struct place *setting_place(const struct options *o, const char *section, const char *key)
{
	int number = number_by_key(section, key);

	CHECK(number >= 0 && (unsigned)number < SETTINGS_MAX);
	return &o->where[number];
}
