/* SPDX-License-Identifier: BSD-3-Clause */
/* What lightctl changes: addresses, routes, neighbours and VLANs of a host, on all its cores, told to programs and devices. */
#ifndef LIGHT_TOOLS_LIGHTD_CHANGE_H
#define LIGHT_TOOLS_LIGHTD_CHANGE_H

#include "tools/lightd/core.h"

#define CHANGE_WHY 160u

/* words: "add" or "del" and what follows it; ended by NULL. 0, or -errno and a sentence in why. */
int change_host(struct daemon *, const char *command, unsigned host, char *const *words, char why[CHANGE_WHY]);
/* "start" or "stop", "dev", and an interface. */
int change_dhcp(struct daemon *, unsigned host, char *const *words, char why[CHANGE_WHY]);
/* Is it a command that can change something? */
bool change_is(const char *command);
/* Addresses or routes of a host are others now: programs and devices are told. Core 0's thread. */
void change_tell(struct daemon *, unsigned host);

#endif
