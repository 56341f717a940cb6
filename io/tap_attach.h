/* SPDX-License-Identifier: BSD-3-Clause */
/* Attaching to a TAP interface: one descriptor a queue, made, configured and checked. Source: linux/if_tun.h and the
 * kernel's Documentation/networking/tuntap.rst. */
#ifndef LIGHT_IO_TAP_ATTACH_H
#define LIGHT_IO_TAP_ATTACH_H

#include "tap.h"

struct tap_attached {
	int fds[DEVICE_QUEUES], watch;  /* one descriptor a queue; netif_watch, while attaching */
	unsigned queues;
	char name[32];
	uint16_t mtu;
	uint8_t mac[6];                 /* ours */
};

/* 0, or -errno with a sentence in why and nothing left open. */
int tap_attach(const struct tap_config *, struct tap_attached *, char why[DEVICE_WHY]);
/* An interface that stays goes back to whole, plain frames. */
void tap_detach(struct tap_attached *);
/* One queue again, of an interface of the same name that was made after ours was deleted (ip tuntap add): the queue's own
 * thread calls it. 0, or -errno: the descriptor is as it was. */
int tap_reattach(struct tap_attached *, unsigned queue, bool offloads);
/* Up, and its MTU, as the kernel has them now; false: the interface is gone. */
bool tap_state(int fd, int watch, bool *up, unsigned *mtu);

#endif
