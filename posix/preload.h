/* SPDX-License-Identifier: BSD-3-Clause */
/* How an exported symbol finds its way: a Light socket to our body, anything else (and what was just decided for the kernel) to libc. */
#ifndef LIGHT_POSIX_PRELOAD_H
#define LIGHT_POSIX_PRELOAD_H

#include "posix/calls.h"

#define EXPORT __attribute__((visibility("default")))

static inline long fail_with(long error)
{
	errno = (int)-error;
	return -1;
}

#define ROUTE(fd, ours, theirs)                                                                  \
	struct socket *s = fdtable_socket(fd);                                                   \
	long result = PASS;                                                                      \
	if (s) {                                                                                 \
		result = (ours);                                                                 \
		socket_put(s);                                                                   \
	}                                                                                        \
	return (__typeof__(theirs))(result == PASS ? (theirs) : result < 0 ? fail_with(result) : result)

#endif
