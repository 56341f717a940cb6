/* SPDX-License-Identifier: BSD-3-Clause */
/* Inside epoll_*.c: an epoll set of ours and its registrations. Every epoll descriptor is a kernel one; the set beside it knows
 * the Light sockets in it, and the set's waitset eventfd is in the kernel's epoll too, so that one kernel call sleeps on both worlds.
 *
 * Locks: `membership` (global; which sockets are in which sets) before a set's own lock. */
#ifndef LIGHT_POSIX_EPOLL_SET_H
#define LIGHT_POSIX_EPOLL_SET_H

#include <sys/queue.h>

#include "posix/posix.h"

enum { EPOLL_INNER = 8, EPOLL_BUCKETS = 16 };

/* One registration: (descriptor number, socket) in a set, as Linux has it. Those of one socket under several numbers
 * form a ring (`sibling`); one of them, the leader, stands for all of them in the waitset. */
struct epoll_watch {
	struct epoll_set *set;              /* NULL: free */
	struct socket *socket;
	struct epoll_watch *sibling;        /* set lock */
	struct epoll_watch *socket_next, *socket_before;  /* from socket->watches on; membership lock */
	LIST_ENTRY(epoll_watch) in_bucket;  /* set lock; in the free list: membership lock */
	TAILQ_ENTRY(epoll_watch) in_ready;  /* set lock */
	struct epoll_watch *deferred;
	uint32_t index, generation;
	int fd;
	uint32_t events;                    /* as the program said */
	uint32_t watched;                   /* leader: the EP_* mask the waitset has; 0: none */
	uint32_t seen;                      /* sock_line.changes at the last report */
	bool leader, exclusive;             /* exclusive: as the waitset has it */
	bool ready;                         /* on the ready list */
	bool fired;                         /* EPOLLONESHOT, reported: silent until MOD */
	bool fresh;                         /* edge-triggered: ADD and MOD look once at the level */
	epoll_data_t data;
};

LIST_HEAD(epoll_bucket, epoll_watch);
TAILQ_HEAD(epoll_ready, epoll_watch);

struct epoll_set {
	struct epoll_set_head head;         /* first: fdtable counts in it */
	_Atomic uint32_t lock;
	_Atomic uint32_t generation;        /* of this use of the slot */
	_Atomic int number;                 /* some descriptor of it, a hint */
	struct waitset *waitset;            /* NULL: no Light socket so far, or forked */
	int bell;                           /* ours, in the kernel's epoll too; -1: not needed so far */
	bool inherited;                     /* across fork: the kernel's epoll is shared, our eventfd stays out of it */
	bool foreign;                       /* ... and the parent's eventfd is in it */
	bool lapsed;                        /* registrations are still to be made again in this process */
	bool armed;                         /* the waitset will ring */
	bool rung;                          /* the bell is readable */
	uint32_t kernel_idle;               /* looks at the kernel's descriptors in a row that found nothing */
	bool kernel_first;                  /* whose turn it is when there is more than fits */
	bool orphan;                        /* the daemon is gone; its descriptor is out of the kernel's epoll */
	_Atomic bool nested;                /* somebody looks at our descriptor: its readability must be true at any time */
	bool spinning;
	uint32_t sleepers;                  /* threads in the kernel's epoll_wait */
	_Atomic uint32_t watches;           /* registrations of Light sockets */
	_Atomic uint32_t kernel_watches;    /* kernel descriptors added less removed: at least as many as there are */
	struct epoll_ready ready;
	struct epoll_bucket *buckets;       /* by descriptor number */
	uint32_t buckets_mask;
	size_t buckets_bytes;               /* 0: few */
	struct epoll_bucket few[EPOLL_BUCKETS];
	struct { struct epoll_set *set; uint32_t generation; } inner[EPOLL_INNER];  /* sets added to this one */
	struct epoll_set *deferred;
	LIST_ENTRY(epoll_set) in_all;       /* membership lock */
	bool in_use;
};

#define EPOLL_MODES (EPOLLET | EPOLLONESHOT | EPOLLEXCLUSIVE | EPOLLWAKEUP)

/* What our own descriptors carry in the kernel's epoll: an address that no program has as its data by chance. */
static inline uint64_t epoll_private(const struct epoll_set *s)
{
	return (uint64_t)(uintptr_t)s;
}

/* ---- epoll_pool.c ---- */
void epoll_membership_lock(void);
void epoll_membership_unlock(void);
void epoll_lock(struct epoll_set *);
void epoll_unlock(struct epoll_set *);
/* True: this thread is inside one of our locks (a signal handler above it); done when the last one is given. */
bool epoll_defer_gone(struct socket *);
bool epoll_defer_free(struct epoll_set *);
struct epoll_set *epoll_set_new(void);              /* references 1; NULL: no memory */
struct epoll_watch *epoll_watch_new(void);          /* membership lock; NULL: no memory */
void epoll_watch_release(struct epoll_watch *);     /* membership lock */
struct epoll_watch *epoll_watch_of(uint64_t cookie);  /* NULL: stale */
uint64_t epoll_cookie(const struct epoll_watch *);
struct epoll_watch *epoll_find(struct epoll_set *, int fd, const struct socket *);
void epoll_insert(struct epoll_set *, struct epoll_watch *);
void epoll_set_recycle(struct epoll_set *);         /* membership lock; no watches left */
void epoll_each_set(void (*visit)(struct epoll_set *));

/* ---- epoll_ready.c: set lock held, unless said otherwise ---- */
uint32_t epoll_level(const struct epoll_watch *);   /* what holds of what it asks for */
void epoll_make_ready(struct epoll_watch *);
void epoll_forget_ready(struct epoll_watch *);
void epoll_take(struct epoll_set *);                /* from the waitset to the ready list */
int epoll_harvest(struct epoll_set *, struct epoll_event *, int max);
/* Before the lock is given: whoever sleeps, or looks from outside, will learn of what is ready, and of what comes. */
void epoll_settle(struct epoll_set *);
void epoll_quiet(struct epoll_set *);               /* awake: nobody rings, nothing of ours is readable */
void epoll_publish(struct epoll_set *);             /* takes the lock: makes the descriptor's readability true */
void epoll_publish_inner(struct epoll_set *);       /* no lock held */

/* ---- epoll_watch.c: set lock held, unless said otherwise ---- */
/* The waitset learns all that the registrations of this socket in this set ask for. 0 or -errno. */
int epoll_register(struct epoll_watch *, int epfd);
void epoll_narrow(struct epoll_watch *leader);      /* ... and no more than that */
/* A waitset of our own, its eventfd in the kernel's epoll (by any descriptor of it). 0 or -errno. */
int epoll_attach(struct epoll_set *, int epfd);
int epoll_add_private(struct epoll_set *, int fd);
int epoll_renew(struct epoll_set *, int epfd);      /* after fork: all registrations again */
void epoll_remove(struct epoll_watch *);            /* membership lock too */
void epoll_link_socket(struct epoll_watch *);       /* membership lock only */
int epoll_number(struct epoll_set *);               /* some descriptor of it, or -1; no lock needed */
void epoll_check_daemon(struct epoll_set *, int epfd);  /* when it is gone, everything is ready: it hangs up */

#endif
