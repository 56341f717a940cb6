/* SPDX-License-Identifier: BSD-3-Clause */
/* What the descriptor table offers to the parts that make, copy and hand over descriptors; poll and epoll need only
 * posix.h. */
#ifndef LIGHT_POSIX_FDTABLE_H
#define LIGHT_POSIX_FDTABLE_H

#include "posix/posix.h"

/* The session; NULL: none. light_client() attaches. */
extern struct client *light_session;

/* fork.c: 0 in a child that nobody announced (a clone by a system call instruction of the program's own). */
extern _Atomic uint32_t *fork_mark;
void fork_unannounced(void);            /* such a child has no sockets of ours */

/* One reference, the caller's; no descriptor yet. NULL: no memory. */
struct socket *socket_new_or_null(enum ep_type, int protocol, bool nonblocking);
/* Gives back what options.c recorded. */
void early_free(struct socket *);

/* A number held by a placeholder, not yet in the table; -errno. flags: SOCK_CLOEXEC. */
int fdtable_reserve(enum ep_type, int flags);
/* The number (held in the kernel) stands for this socket from now on; takes a reference of its own. Whatever the table had there is
 * let go. */
void fdtable_set_socket(int fd, struct socket *);
/* After the kernel's dup of `from` to `to`: the table follows (also when `from` is not ours). */
void fdtable_copy(int from, int to);
/* Empties the table and touches nothing behind it: that is the parent's. */
void fdtable_forget_all(void);
bool fdtable_holds(int fd);             /* the number is small enough for the table */
int fdtable_highest(void);
/* The library's own descriptors, which a program must neither close nor overwrite. */
bool fdtable_is_own(int fd);
int fdtable_lowest_own(void);            /* where a new one is to be put */
int fdtable_first_own(void);             /* none lies below; INT32_MAX: there are none */
int fdtable_limit(void);                 /* no descriptor can be this or more: the soft limit, the table's size */

#endif
