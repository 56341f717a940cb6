/* SPDX-License-Identifier: BSD-3-Clause */
/* What the kernel knows of an interface, and when that changes: rtnetlink(7) tells that something changed, netdevice(7)
 * tells what holds now, so that a lost message loses nothing. Names are those of the thread's network namespace. */
#ifndef LIGHT_IO_NETIF_H
#define LIGHT_IO_NETIF_H

#include <stdbool.h>
#include <stdint.h>

/* A non-blocking descriptor that becomes readable when any interface changes; also what the functions below ask. -errno. */
int netif_watch(void);
/* Whether anything changed since the last call. */
bool netif_changed(int watch);

/* -errno: -ENODEV when there is no such interface. */
int netif_flags(int watch, const char *name, unsigned *flags);  /* IFF_* of net/if.h */
int netif_mtu(int watch, const char *name, unsigned *mtu);
int netif_set_mtu(int watch, const char *name, unsigned mtu);
int netif_mac(int watch, const char *name, uint8_t mac[6]);     /* -EPROTOTYPE: not Ethernet */

#endif
