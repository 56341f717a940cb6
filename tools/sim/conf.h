/* SPDX-License-Identifier: BSD-3-Clause */
/* Reads groups of a libconfig file into structs by tables of their fields. What is wrong ends the program with one line
 * that names the file and the line, what was found and what is allowed. */
#ifndef LIGHT_TOOLS_SIM_CONF_H
#define LIGHT_TOOLS_SIM_CONF_H

#include <libconfig.h>
#include <stddef.h>
#include <stdint.h>

enum conf_type {
	CONF_TIME,      /* nsec: "20ms" */
	CONF_RATE,      /* uint64_t, bits a second: "10M" */
	CONF_PART,      /* double, a probability: "2%" or 0.02 */
	CONF_U8, CONF_U16, CONF_U32, CONF_U64,
	CONF_BOOL,
	CONF_CHOICE,    /* unsigned: index in choices */
	CONF_NAME,      /* const char *: letters, digits, '-', '_', '.' */
	CONF_OTHER,     /* a key that is allowed and read by somebody else */
};

struct conf_field {
	const char *key;
	enum conf_type type;
	size_t at;                    /* offsetof */
	uint64_t least, most;         /* of numbers */
	const char *const *choices;   /* NULL behind the last */
};

/* Opens a file; ends the program where it cannot be read. `sets`: PATH=VALUE, put into the tree in place of what is there. */
void conf_open(config_t *, const char *path, char **sets, unsigned set_count);
/* Reads all keys of the group that the table names; a key that it does not name is an error. Fields whose key is not there stay. */
void conf_read(config_setting_t *group, const struct conf_field *, unsigned n, void *into);
/* The list of groups under this key, NULL if it is not there. */
config_setting_t *conf_list(config_setting_t *group, const char *key);
/* The group under this key, NULL if it is not there. */
config_setting_t *conf_group(config_setting_t *group, const char *key);
/* The text of a scalar, as a command line would have it. */
const char *conf_text(config_setting_t *);
_Noreturn void conf_refuse(const config_setting_t *, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
