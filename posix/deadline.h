/* SPDX-License-Identifier: BSD-3-Clause */
/* Absolute deadlines (client_now() time; 0: do not wait; NSEC_NEVER) in the kernel's relative terms. */
#ifndef LIGHT_POSIX_DEADLINE_H
#define LIGHT_POSIX_DEADLINE_H

#include <limits.h>
#include <time.h>

#include "ipc/client.h"

/* NULL: no limit. */
static inline struct timespec *deadline_left(nsec until, struct timespec *left)
{
	nsec now, rest;

	if (until == NSEC_NEVER)
		return NULL;
	now = until == 0 ? 0 : client_now();
	rest = until > now ? until - now : 0;
	left->tv_sec = (time_t)(rest / NSEC_PER_SEC);
	left->tv_nsec = (long)(rest % NSEC_PER_SEC);
	return left;
}

/* Rounded up, or a waiter would spin through the last millisecond. */
static inline int deadline_milliseconds(const struct timespec *left)
{
	if (!left)
		return -1;
	if (left->tv_sec > INT_MAX / 1000 - 1)
		return INT_MAX;
	return (int)(left->tv_sec * 1000 + (left->tv_nsec + 999999) / 1000000);
}

static inline bool deadline_passed(nsec until)
{
	return until == 0 || (until != NSEC_NEVER && client_now() >= until);
}

#endif
