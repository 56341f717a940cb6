/* SPDX-License-Identifier: BSD-3-Clause */
/* The configuration file (libconfig's syntax): every setting is a key. */
#ifndef LIGHT_TOOLS_LIGHTD_CONFIG_H
#define LIGHT_TOOLS_LIGHTD_CONFIG_H

#include "tools/lightd/options.h"

/* Texts in the options are the file's own: it stays in memory. Complains about what is wrong. */
void config_read_into(const char *path, struct options *);

#endif
