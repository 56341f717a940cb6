/* SPDX-License-Identifier: BSD-3-Clause */
/* TCP_INFO and TCP_CONGESTION: what the stack knows of a connection, in Linux's form. */
#ifndef LIGHT_POSIX_INFO_H
#define LIGHT_POSIX_INFO_H

#include "posix/posix.h"

long info_tcp(struct socket *, void *value, socklen_t *length);
long info_congestion(struct socket *, void *value, socklen_t *length);
/* Whether the socket has this congestion control already: it cannot be changed by the program. */
bool info_is_congestion(struct socket *, const void *value, socklen_t length);

#endif
