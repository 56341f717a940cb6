/* SPDX-License-Identifier: BSD-3-Clause */
/* What ss and TCP_INFO show. */
#ifndef LIGHT_TCP_INFO_H
#define LIGHT_TCP_INFO_H

#include "conn.h"

void info_conn(const struct tcp_conn *, struct ep_info *);
void info_listener(const struct tcp_listener *, struct ep_info *);

#endif
