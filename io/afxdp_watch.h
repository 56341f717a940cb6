/* SPDX-License-Identifier: BSD-3-Clause */
/* A device while it runs: each queue looks now and then, in its own thread, after its interface (carrier, MTU, MAC, deleted, back
 * again) and the first queue after the XDP program. What several queues share is under the device's lock. */
#ifndef LIGHT_IO_AFXDP_WATCH_H
#define LIGHT_IO_AFXDP_WATCH_H

#include <net/if.h>
#include <pthread.h>

#include "afxdp_program.h"
#include "afxdp_queue.h"
#include "grouplist.h"

struct afxdp {
	struct device device;        /* first: a struct device * of ours is one of these */
	struct device_config config;
	char interface[IF_NAMESIZE];
	bool skb;
	struct afxdp_queue_config wanted;
	pthread_mutex_t lock;
	struct afxdp_program *program;
	struct afxdp_queue *queue[DEVICE_QUEUES];

	/* Under the lock while the device runs. */
	unsigned channels;           /* receive queues that the interface has; 0: it does not say */
	unsigned ifindex;            /* where the program was attached last; 0: the interface is gone */
	bool generic, carrier, too_long;   /* too_long: has been said */
	struct afxdp_wanted told;
	struct grouplist groups;
	int members;                 /* a packet socket that holds their MAC addresses */
	uint64_t checked, retry, backoff;  /* milliseconds: of the program */
	uint64_t program_lost, program_attached, interface_lost;
};

uint64_t afxdp_now(void);            /* milliseconds, coarse */
__attribute__((format(printf, 2, 3))) void afxdp_log(struct afxdp *, const char *format, ...);

/* Receive queues of the interface; 0: it does not say. */
unsigned afxdp_channels(const struct afxdp *, int fd);
/* One attempt, of the device's thread or under its lock: the interface as it is now, the program, the socket. */
int afxdp_start(struct afxdp_queue *, char why[DEVICE_WHY]);
void afxdp_stop(struct afxdp_queue *);
/* What has to be seen to now. */
void afxdp_look(struct afxdp_queue *);

/* afxdp_group.c */
int afxdp_groups_open(struct afxdp *);
void afxdp_groups_close(struct afxdp *);
/* Under the lock, when the program was attached to another interface: it knows nothing of what was let in. */
void afxdp_groups_again(struct afxdp *);
int afxdp_group(struct link *, uint32_t group, bool wanted);

#endif
