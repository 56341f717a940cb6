/* SPDX-License-Identifier: BSD-3-Clause */
/* TCP_INFO and TCP_CONGESTION: what the stack knows of a connection, in Linux's form. */
#ifndef LIGHT_POSIX_INFO_H
#define LIGHT_POSIX_INFO_H

#include "posix/posix.h"

long info_tcp(struct socket *, void *value, socklen_t *length);
long info_congestion(struct socket *, void *value, socklen_t *length);
/* enum ep_congestion of a name as a program gives it; 0: there is none of that name. */
int64_t info_congestion_number(const void *value, socklen_t length);

#endif
