/* SPDX-License-Identifier: BSD-3-Clause */
/* The settings: each is an option of the command line and a key of the configuration file, with one function that takes its
 * text and one sentence that says what is allowed. */
#ifndef LIGHT_TOOLS_LIGHTD_SETTINGS_H
#define LIGHT_TOOLS_LIGHTD_SETTINGS_H

#include "tools/lightd/options.h"

struct setting {
	const char *option;   /* NULL: only in the file */
	const char *section;  /* of the file: the name of a group, "" for the top, "interface" and "vlan" for what stands in their lists */
	const char *key;      /* NULL: only on the command line */
	const char *arg;      /* NULL: a switch; in the file true or false */
	unsigned group;       /* of --help */
	bool list;            /* an array in the file; given several times on the command line */
	const char *help;
	/* NULL, or what would have been allowed. */
	const char *(*set)(struct options *, const char *text);
};

/* The tables, each ended by a row without set. */
extern const struct setting settings_interface[], settings_network[], settings_sim[], settings_daemon[], settings_quota[];

/* The i-th of all settings; NULL past the end. */
const struct setting *setting_at(unsigned i);
const struct setting *setting_by_key(const char *section, const char *key);

/* Calls its function and remembers where it was said. */
const char *setting_set(struct options *, const struct setting *, const char *text);
/* Where that was; the command line where it was not said at all. */
const struct place *setting_place(const struct options *, const char *section, const char *key);

/* Says what is wrong as FILE:LINE: ..., or after the program's name what the command line said; ends the program with status 2 unless
 * all complaints are wanted (--check). */
void complain(const struct place *, const char *format, ...) __attribute__((format(printf, 2, 3)));
void complain_on(void);
unsigned complaints(void);

/* For the tables. */
const char *set_switch(bool *to, const char *text);
const char *set_text(const char **to, const char *text, size_t most);
const char *set_number(uint32_t *to, const char *text, uint32_t least, uint32_t most);
/* Is this said on the command line, and for the first time? Then the file's list gives way. */
bool list_begins(const struct options *, bool *said);
/* The next interface; NULL: there are INTERFACES_MAX. */
struct interface_option *interface_begin(struct options *);
/* The next VLAN of the current interface. NULL, or what would have been allowed. */
const char *vlan_begin(struct options *, const char *vid);
bool name_is_valid(const char *name, size_t length, size_t room);

#endif
