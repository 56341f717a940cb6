/* SPDX-License-Identifier: BSD-3-Clause */
/* Walks the tree that libconfig read and hands each key's text to its setting, with its line for complaints. */
#include "tools/lightd/config.h"

#include <errno.h>
#include <libconfig.h>
#include <stdio.h>
#include <string.h>

#include "tools/lightd/settings.h"

/* Sections that are lists of groups: how one begins. */
struct list {
	const char *key;
	void (*element)(struct options *, config_setting_t *);
};

static config_t tree;   /* the options' texts are in it */

static void here(struct options *o, const config_setting_t *at)
{
	const char *file = config_setting_source_file(at);

	o->place.line = at->line;
	if (file != NULL)
		o->place.file = file;
}

/* A scalar as a command line would say it; false: it is none. */
static bool scalar(const config_setting_t *s, char *text, size_t room, const char **out)
{
	*out = text;
	switch (config_setting_type(s)) {
	case CONFIG_TYPE_INT:
	case CONFIG_TYPE_INT64:
		snprintf(text, room, "%lld", config_setting_get_int64(s));
		return true;
	case CONFIG_TYPE_FLOAT:
		snprintf(text, room, "%.12f", config_setting_get_float(s));
		return true;
	case CONFIG_TYPE_BOOL:
		snprintf(text, room, "%s", config_setting_get_bool(s) ? "true" : "false");
		return true;
	case CONFIG_TYPE_STRING:
		*out = config_setting_get_string(s);
		return true;
	default:
		return false;
	}
}

static void set_one(struct options *o, const struct setting *s, const config_setting_t *value)
{
	const char *text, *allowed;
	char number[400];

	here(o, value);
	if (!scalar(value, number, sizeof number, &text)) {
		complain(&o->place, "%s: a %s is wanted", s->key, s->list ? "value or an array of them" : "value");
		return;
	}
	allowed = setting_set(o, s, text);
	if (allowed != NULL)
		complain(&o->place, "%s: '%s': %s", s->key, text, allowed);
}

static void set(struct options *o, const struct setting *s, config_setting_t *value)
{
	if (!s->list || config_setting_is_scalar(value)) {
		set_one(o, s, value);
		return;
	}
	if (config_setting_is_group(value)) {
		here(o, value);
		complain(&o->place, "%s: an array is wanted, as [\"...\"]", s->key);
		return;
	}
	for (int i = 0; i < config_setting_length(value); i++)
		set_one(o, s, config_setting_get_elem(value, (unsigned)i));
}

/* The keys of a section, for the sentence about an unknown one. */
static void unknown(struct options *o, const char *section, const char *key, const char *also)
{
	char known[1024] = "";
	const struct setting *s;
	size_t length = 0;

	for (unsigned i = 0; (s = setting_at(i)) != NULL; i++) {
		if (s->key != NULL && strcmp(s->section, section) == 0 && length < sizeof known)
			length += (size_t)snprintf(known + length, sizeof known - length, "%s%s", length > 0 ? ", " : "", s->key);
	}
	complain(&o->place, "'%s' is no key here; there are %s%s", key, known, also);
}

static bool is_a_group(struct options *o, config_setting_t *s, const char *what)
{
	here(o, s);
	if (config_setting_is_group(s))
		return true;
	complain(&o->place, "%s: a group is wanted, as { key = value; }", what);
	return false;
}

/* Every element of a list, which must be one of groups. */
static void each(struct options *o, config_setting_t *list, void (*element)(struct options *, config_setting_t *))
{
	here(o, list);
	if (!config_setting_is_list(list) && !(config_setting_is_array(list) && config_setting_length(list) == 0)) {
		complain(&o->place, "%s: a list of groups is wanted, as ( { ... }, { ... } )", config_setting_name(list));
		return;
	}
	for (int i = 0; i < config_setting_length(list); i++)
		element(o, config_setting_get_elem(list, (unsigned)i));
}

/* "TO,via GW,dev IF" from the keys of a group. */
static void composed(struct options *o, config_setting_t *group, const struct setting *s, const char *const keys[][2])
{
	char line[256] = "", number[400];
	const char *text, *allowed;
	size_t length = 0;

	if (config_setting_type(group) == CONFIG_TYPE_STRING) {
		set_one(o, s, group);
		return;
	}
	if (!is_a_group(o, group, s->key))
		return;
	for (int i = 0; keys[i][0] != NULL; i++) {
		const config_setting_t *value = config_setting_get_member(group, keys[i][0]);

		if (value == NULL)
			continue;
		if (!scalar(value, number, sizeof number, &text) || strchr(text, ',') != NULL) {
			here(o, value);
			complain(&o->place, "%s: a value is wanted", keys[i][0]);
			return;
		}
		if (length < sizeof line)
			length += (size_t)snprintf(line + length, sizeof line - length, "%s%s", keys[i][1], text);
	}
	for (int i = 0; i < config_setting_length(group); i++) {
		const config_setting_t *member = config_setting_get_elem(group, (unsigned)i);
		bool known = false;

		for (int k = 0; keys[k][0] != NULL; k++)
			known = known || strcmp(keys[k][0], config_setting_name(member)) == 0;
		here(o, member);
		if (!known) {
			complain(&o->place, "'%s' is no key here; there are %s, %s%s%s", config_setting_name(member), keys[0][0], keys[1][0],
				 keys[2][0] != NULL ? ", " : "", keys[2][0] != NULL ? keys[2][0] : "");
			return;
		}
	}
	here(o, group);
	allowed = setting_set(o, s, line);
	if (allowed != NULL)
		complain(&o->place, "%s: '%s': %s", s->key, line, allowed);
}

static void route(struct options *o, config_setting_t *group)
{
	static const char *const keys[][2] = { { "to", "" }, { "via", ",via " }, { "dev", ",dev " }, { NULL, NULL } };

	composed(o, group, setting_by_key("", "routes"), keys);
}

static void neighbour(struct options *o, config_setting_t *group)
{
	static const char *const keys[][2] = { { "address", "" }, { "mac", "=" }, { "dev", ",dev " }, { NULL, NULL } };

	composed(o, group, setting_by_key("", "neighbours"), keys);
}

static void vlan(struct options *o, config_setting_t *group)
{
	config_setting_t *id;
	const char *text = "", *allowed;
	char number[400];

	if (!is_a_group(o, group, "vlans"))
		return;
	id = config_setting_get_member(group, "id");
	if (id != NULL && scalar(id, number, sizeof number, &text))
		here(o, id);
	allowed = vlan_begin(o, text);
	if (allowed != NULL) {
		complain(&o->place, "id: '%s': %s", text, allowed);
		return;
	}
	for (int i = 0; i < config_setting_length(group); i++) {
		config_setting_t *member = config_setting_get_elem(group, (unsigned)i);
		const struct setting *s = setting_by_key("vlan", config_setting_name(member));

		here(o, member);
		if (s != NULL)
			set(o, s, member);
		else if (member != id)
			unknown(o, "vlan", config_setting_name(member), ", id");
	}
	o->current_vlan = -1;
}

static void interface(struct options *o, config_setting_t *group)
{
	if (!is_a_group(o, group, "interfaces"))
		return;
	if (interface_begin(o) == NULL) {
		complain(&o->place, "interfaces: at most %u", INTERFACES_MAX);
		return;
	}
	for (int i = 0; i < config_setting_length(group); i++) {
		config_setting_t *member = config_setting_get_elem(group, (unsigned)i);
		const struct setting *s = setting_by_key("interface", config_setting_name(member));

		here(o, member);
		if (s != NULL)
			set(o, s, member);
		else if (strcmp(config_setting_name(member), "vlans") == 0)
			each(o, member, vlan);
		else
			unknown(o, "interface", config_setting_name(member), ", vlans");
	}
}

static bool is_section(const char *name)
{
	static const char *const names[] = { "socket", "quotas", "sim", "pcap", "dpdk" };

	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		if (strcmp(names[i], name) == 0)
			return true;
	}
	return false;
}

static void section(struct options *o, config_setting_t *group)
{
	const char *name = config_setting_name(group);

	if (!is_a_group(o, group, name))
		return;
	for (int i = 0; i < config_setting_length(group); i++) {
		config_setting_t *member = config_setting_get_elem(group, (unsigned)i);
		const struct setting *s = setting_by_key(name, config_setting_name(member));

		here(o, member);
		if (s != NULL)
			set(o, s, member);
		else
			unknown(o, name, config_setting_name(member), "");
	}
}

static void top(struct options *o, config_setting_t *s)
{
	static const struct list lists[] = { { "interfaces", interface }, { "routes", route }, { "neighbours", neighbour } };
	const char *name = config_setting_name(s);
	const struct setting *setting = setting_by_key("", name);

	here(o, s);
	for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
		if (strcmp(lists[i].key, name) == 0) {
			each(o, s, lists[i].element);
			return;
		}
	}
	if (setting != NULL)
		set(o, setting, s);
	else if (is_section(name))
		section(o, s);
	else
		unknown(o, "", name, ", interfaces, socket, quotas, sim, pcap, dpdk");
}

void config_read_into(const char *path, struct options *o)
{
	FILE *file = fopen(path, "r");

	o->place = (struct place){ path, 0 };
	if (file == NULL) {
		o->place.file = NULL;
		complain(&o->place, "--config: %s: %s", path, strerror(errno));
		return;
	}
	config_init(&tree);
	if (config_read(&tree, file) != CONFIG_TRUE) {
		if (config_error_file(&tree) != NULL)
			o->place.file = config_error_file(&tree);
		o->place.line = (unsigned)config_error_line(&tree);
		complain(&o->place, "%s", config_error_text(&tree));
	} else {
		for (int i = 0; i < config_setting_length(config_root_setting(&tree)); i++) {
			o->place.file = path;
			top(o, config_setting_get_elem(config_root_setting(&tree), (unsigned)i));
		}
	}
	fclose(file);
}
