/* SPDX-License-Identifier: BSD-3-Clause */
/* What poll and select sleep with: a thread's waitset, kept between calls. Registrations stay too, so that waiting again for the
 * same sockets posts nothing; those no longer asked for are withdrawn when an event shows that they still are there. */
#ifndef LIGHT_POSIX_WAITER_H
#define LIGHT_POSIX_WAITER_H

#include "posix/posix.h"

/* One Light socket of a call. */
struct wait_socket {
	struct socket *socket;  /* referenced */
	short events;           /* what would end the wait, POLLERR and POLLHUP only if they would */
	short ready;            /* what does */
};

struct wait_call {
	struct wait_socket *sockets;
	unsigned count;
	bool kernel;            /* descriptors of the kernel take part */
	nsec until;
	const sigset_t *mask;   /* in force during the sleep only; NULL: none */
	/* Looks at the call's kernel descriptors, or sleeps on them and on reading from these two as well (-1: none). Returns how many of the
	 * call's own are ready, or -1 and errno. */
	int (*kernel_wait)(struct wait_call *, int bell, int other, const struct timespec *left, const sigset_t *mask);
};

/* Waits until something is ready or the time is over: how many are ready (Light's, with `ready` filled in, and the
 * kernel's, as kernel_wait left them), or -1 and errno. */
int wait_for(struct wait_call *);

/* Memory of this thread for calls with many descriptors, kept between calls. NULL: none. */
void *wait_scratch_take(size_t bytes);
void wait_scratch_give(void *, size_t bytes);

/* Someone is going to look at this epoll descriptor by poll or select. */
void epoll_look_from_outside(int fd);

/* An undecided socket that someone polls got its place: whoever sleeps looks again. */
void waiter_socket_placed(void);

#endif
