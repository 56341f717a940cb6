/* SPDX-License-Identifier: BSD-3-Clause */
/* From libconfig's tree into structs. Texts live as long as the tree, numbers are read from their texts, so that
 * rate = 10000000 and rate = "10M" are the same. */
#include "tools/sim/conf.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/refuse.h"
#include "tools/units.h"

static const char *the_path = "";

_Noreturn void conf_refuse(const config_setting_t *at, const char *format, ...)
{
	char text[512];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (at->line)
		refuse(EXIT_REFUSED, "%s:%d: %s", config_setting_source_file(at) ? config_setting_source_file(at) : the_path,
			(int)at->line, text);
	refuse(EXIT_REFUSED, "--set: %s", text);
}

const char *conf_text(config_setting_t *s)
{
	static char number[64];

	switch (config_setting_type(s)) {
	case CONFIG_TYPE_INT:
	case CONFIG_TYPE_INT64:
		snprintf(number, sizeof(number), "%lld", config_setting_get_int64(s));
		return number;
	case CONFIG_TYPE_FLOAT:
		snprintf(number, sizeof(number), "%.12g", config_setting_get_float(s));
		return number;
	case CONFIG_TYPE_BOOL:
		return config_setting_get_bool(s) ? "true" : "false";
	case CONFIG_TYPE_STRING:
		return config_setting_get_string(s);
	default:
		conf_refuse(s, "%s: a value is wanted, not a group or a list", config_setting_name(s) ? config_setting_name(s) : "element");
	}
}

static void read_number(config_setting_t *s, const struct conf_field *f, void *to)
{
	const char *text = conf_text(s);
	uint64_t value;

	if (!units_whole(text, f->least, f->most, &value))
		conf_refuse(s, "%s: '%s' is not a whole number from %llu to %llu", f->key, text, (unsigned long long)f->least,
			(unsigned long long)f->most);
	switch (f->type) {
	case CONF_U8: *(uint8_t *)to = (uint8_t)value; break;
	case CONF_U16: *(uint16_t *)to = (uint16_t)value; break;
	case CONF_U32: *(uint32_t *)to = (uint32_t)value; break;
	default: *(uint64_t *)to = value; break;
	}
}

static void read_choice(config_setting_t *s, const struct conf_field *f, unsigned *to)
{
	const char *text = conf_text(s);
	char known[256] = "";
	size_t length = 0;
	unsigned i;

	for (i = 0; f->choices[i]; i++) {
		if (strcmp(f->choices[i], text) == 0) {
			*to = i;
			return;
		}
		if (length < sizeof(known))
			length += (size_t)snprintf(known + length, sizeof(known) - length, "%s%s", i ? ", " : "", f->choices[i]);
	}
	conf_refuse(s, "%s: '%s' is none of %s", f->key, text, known);
}

static const char *read_name(config_setting_t *s, const struct conf_field *f)
{
	const char *text, *c;

	if (config_setting_type(s) != CONFIG_TYPE_STRING)
		conf_refuse(s, "%s: a text in quotes is wanted", f->key);
	text = config_setting_get_string(s);
	for (c = text; *c && (isalnum((unsigned char)*c) || strchr("-_.", *c)); c++)
		;
	if (*c || c == text || c - text > 63)
		conf_refuse(s, "%s: '%s' is not a name (at most 63 letters, digits, '-', '_', '.')", f->key, text);
	return text;
}

static void read_field(config_setting_t *s, const struct conf_field *f, void *to)
{
	const char *text;

	switch (f->type) {
	case CONF_OTHER:
		return;
	case CONF_TIME:
		text = conf_text(s);
		if (!units_duration(text, to))
			conf_refuse(s, "%s: '%s' is not a time such as \"20ms\", \"50us\" or \"2s\"", f->key, text);
		return;
	case CONF_RATE:
		text = conf_text(s);
		if (!units_rate(text, to))
			conf_refuse(s, "%s: '%s' is not bits a second such as \"10M\" or \"1G\"", f->key, text);
		return;
	case CONF_PART:
		text = conf_text(s);
		if (!units_probability(text, to))
			conf_refuse(s, "%s: '%s' is not a probability such as \"2%%\" or 0.02", f->key, text);
		return;
	case CONF_BOOL:
		text = conf_text(s);
		if (strcmp(text, "true") != 0 && strcmp(text, "false") != 0)
			conf_refuse(s, "%s: '%s' is neither true nor false", f->key, text);
		*(bool *)to = text[0] == 't';
		return;
	case CONF_CHOICE:
		read_choice(s, f, to);
		return;
	case CONF_NAME:
		*(const char **)to = read_name(s, f);
		return;
	default:
		read_number(s, f, to);
	}
}

void conf_read(config_setting_t *group, const struct conf_field *fields, unsigned n, void *into)
{
	int i, count = config_setting_length(group);

	for (i = 0; i < count; i++) {
		config_setting_t *s = config_setting_get_elem(group, (unsigned)i);
		const char *key = config_setting_name(s);
		char known[1024] = "";
		size_t length = 0;
		unsigned k;

		for (k = 0; k < n && strcmp(fields[k].key, key) != 0; k++)
			if (length < sizeof(known))
				length += (size_t)snprintf(known + length, sizeof(known) - length, "%s%s", k ? ", " : "", fields[k].key);
		if (k == n)
			conf_refuse(s, "'%s' is no key here; there are %s", key, known);
		read_field(s, &fields[k], (uint8_t *)into + fields[k].at);
	}
}

config_setting_t *conf_list(config_setting_t *group, const char *key)
{
	config_setting_t *list = config_setting_get_member(group, key);
	int i;

	if (!list)
		return NULL;
	if (!config_setting_is_list(list))
		conf_refuse(list, "%s: a list of groups is wanted, as ( { ... }, { ... } )", key);
	for (i = 0; i < config_setting_length(list); i++)
		if (!config_setting_is_group(config_setting_get_elem(list, (unsigned)i)))
			conf_refuse(list, "%s: a list of groups is wanted, as ( { ... }, { ... } )", key);
	return list;
}

config_setting_t *conf_group(config_setting_t *group, const char *key)
{
	config_setting_t *member = config_setting_get_member(group, key);

	if (member && !config_setting_is_group(member))
		conf_refuse(member, "%s: a group is wanted, as { key = value; }", key);
	return member;
}

/* "hosts.[1].down.rate=10M": the text becomes the setting's, whatever it was; groups on the way must be there, or are made. */
static void set_one(config_t *tree, char *text)
{
	char *equals = strchr(text, '='), *dot, *key;
	config_setting_t *parent = config_root_setting(tree), *s;

	if (!equals || equals == text)
		refuse(EXIT_REFUSED, "--set: '%s' is not PATH=VALUE", text);
	*equals = '\0';
	for (key = text; (dot = strchr(key, '.')); key = dot + 1) {
		*dot = '\0';
		if (key[0] == '[')
			s = config_setting_get_elem(parent, (unsigned)strtoul(key + 1, NULL, 10));
		else if (!(s = config_setting_get_member(parent, key)))
			s = config_setting_add(parent, key, CONFIG_TYPE_GROUP);
		if (!s || config_setting_is_scalar(s))
			refuse(EXIT_REFUSED, "--set: there is no '%s' that has members", key);
		parent = s;
	}
	if (config_setting_is_group(parent) && config_setting_get_member(parent, key))
		config_setting_remove(parent, key);
	s = config_setting_is_group(parent) ? config_setting_add(parent, key, CONFIG_TYPE_STRING) : NULL;
	if (!s || !config_setting_set_string(s, equals + 1))
		refuse(EXIT_REFUSED, "--set: '%s' is no key that can be set", key);
}

void conf_open(config_t *tree, const char *path, char **sets, unsigned set_count)
{
	unsigned i;

	the_path = path;
	config_init(tree);
	if (!config_read_file(tree, path)) {
		if (config_error_type(tree) == CONFIG_ERR_FILE_IO)
			refuse(EXIT_REFUSED, "%s: cannot be read", path);
		refuse(EXIT_REFUSED, "%s:%d: %s", config_error_file(tree) ? config_error_file(tree) : path,
			config_error_line(tree), config_error_text(tree));
	}
	for (i = 0; i < set_count; i++)
		set_one(tree, sets[i]);
}
