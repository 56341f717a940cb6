/* SPDX-License-Identifier: BSD-3-Clause */
/* TCP_INFO and TCP_CONGESTION of a socket of ours: the daemon is asked, infomap.c translates. */
#ifndef LIGHT_POSIX_INFO_H
#define LIGHT_POSIX_INFO_H

#include "posix/posix.h"

long info_tcp(struct socket *, void *value, socklen_t *length);
long info_congestion(struct socket *, void *value, socklen_t *length);

#endif
