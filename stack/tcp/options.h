/* SPDX-License-Identifier: BSD-3-Clause */
/* Options of a stream socket that are TCP's own. */
#ifndef LIGHT_TCP_OPTIONS_H
#define LIGHT_TCP_OPTIONS_H

#include "conn.h"

/* -ENOPROTOOPT: not TCP's own, or common as well (stack/options.c then does the rest). */
int tcp_option_set(struct stack *, struct endpoint *, enum ep_option, int64_t);
int tcp_option_get(struct stack *, struct endpoint *, enum ep_option, int64_t *);

#endif
