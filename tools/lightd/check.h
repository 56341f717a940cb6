/* SPDX-License-Identifier: BSD-3-Clause */
/* Whether the options make sense together. */
#ifndef LIGHT_TOOLS_LIGHTD_CHECK_H
#define LIGHT_TOOLS_LIGHTD_CHECK_H

#include "tools/lightd/options.h"

/* Complains about what does not; fills in names and defaults that depend on others. */
void options_check(struct options *);

#endif
