/* SPDX-License-Identifier: BSD-3-Clause */
/* Options set while the place of a socket is open: kept as given (for a kernel socket) and as understood (for a line). */
#ifndef LIGHT_POSIX_EARLY_H
#define LIGHT_POSIX_EARLY_H

#include <stdint.h>

#define EARLY_OPTIONS 28

struct early_option {
	int32_t level, name;
	int64_t value;          /* as options.c understood it */
	uint32_t length;
	uint8_t bytes[20];      /* as the program gave it */
};

struct socket_early {
	uint32_t count;
	struct early_option options[EARLY_OPTIONS];
};

struct socket;
struct socket_early *early_or_null(struct socket *);   /* makes it at its first use */

#endif
