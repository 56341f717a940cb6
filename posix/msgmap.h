/* SPDX-License-Identifier: BSD-3-Clause */
/* Control messages of datagrams, between a program's struct msghdr and the header of a record in the ring. Pure: for the preload library
 * and for the simulated process of sim/ alike. */
#ifndef LIGHT_POSIX_MSGMAP_H
#define LIGHT_POSIX_MSGMAP_H

#include <sys/socket.h>

#include "stack/dgram.h"
#include "stack/endpoint.h"

/* To send: IP_PKTINFO's source address into header->local. -EFAULT, -EINVAL, -EOPNOTSUPP. */
int msgmap_read(const struct msghdr *, struct dgram_header *);
/* Received: what is wanted (WANT_* of optmap.h), as far as there is room; sets msg_controllen and adds MSG_CTRUNC. */
/* An error of the queue: the quote (its length is returned), the destination, and IP_RECVERR behind what else is wanted. */
ssize_t msgmap_write_error(unsigned wants, struct msghdr *, const struct ep_queued_error *, const uint8_t *quote);
void msgmap_write(unsigned wants, struct msghdr *, const struct dgram_header *);

#endif
