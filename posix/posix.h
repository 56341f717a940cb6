/* SPDX-License-Identifier: BSD-3-Clause */
/* Inside the preload library: the descriptor table, the objects behind it, and what its parts ask of each other.
 *
 * The library exports libc symbols and nothing else (everything here is hidden). Process-local objects live in mmap'ed
 * pools, never in malloc memory: calls come from inside allocators, before main and after fork. */
#ifndef LIGHT_POSIX_H
#define LIGHT_POSIX_H

#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "ipc/client.h"
#include "posix/libc.h"  /* struct libc libc: the real functions, by dlsym/dlvsym or raw system call */

/* Where a socket lives. KERNEL: decided for the kernel, calls pass through (such a descriptor leaves the table). */
enum socket_place { SOCKET_UNDECIDED, SOCKET_LIGHT };

#define LINE_NONE UINT32_MAX

/* One open file description of ours: dup and fork'ed copies of the number refer to the same one (in this process). */
struct socket {
	_Atomic uint32_t references;      /* descriptors + calls in progress; 0: in the pool, free */
	_Atomic uint32_t descriptors;     /* numbers that stand for it in this process */
	_Atomic uint32_t place;           /* enum socket_place */
	uint32_t line;                    /* LINE_NONE while undecided */
	enum ep_type type;
	_Atomic bool nonblocking;
	nsec receive_timeout, send_timeout;  /* 0: none (SO_RCVTIMEO, SO_SNDTIMEO) */
	_Atomic(struct epoll_watch *) watches;  /* epoll.c: every set this socket is in */
	_Atomic uint32_t generation;      /* counts the uses of this slot */
	struct socket_early *early;       /* options set before the place was known (options.c); NULL: none */
	_Atomic uint32_t lock;            /* futex (lock.h): placing, options */
	_Atomic uint32_t next_free;       /* while in the pool's free list */
	int domain, protocol;
	bool bound_any;                   /* bind(0.0.0.0, port 0) while undecided: done when the place is known */
	bool more;                        /* corked by MSG_MORE */
	uint8_t wants;                    /* WANT_* of optmap.h: control messages wanted with each datagram */
	_Atomic bool connecting;          /* the program has not yet heard how its connect ended */
	bool fastopen_connect;            /* TCP_FASTOPEN_CONNECT: connect need not wait if there is a cookie for the peer */
	bool async;
	int32_t linger;                   /* seconds that close waits for what is unacknowledged (SO_LINGER); 0, or < 0: none */
	int owner_pid;
};

/* epoll.c's; lives in a pool of its own that is never unmapped (fdtable looks at a stale one's count). Its first member
 * counts descriptors + calls in progress; epoll_set_free is called when it comes to 0. */
struct epoll_set;
struct epoll_set_head {
	_Atomic uint32_t references;
};
void epoll_set_free(struct epoll_set *);

enum descriptor_kind { DESCRIPTOR_NONE, DESCRIPTOR_SOCKET, DESCRIPTOR_EPOLL };

/* ---- settings: read once in the constructor (nginx workers lose their environment) ---- */
struct settings {
	char socket_path[108], host[32];
	bool require_daemon;        /* LIGHT_FALLBACK=error: no daemon is an error (ENETDOWN); default: the kernel's stack */
	bool loopback_light;        /* LIGHT_LOOPBACK=light: 127.0.0.0/8 is served by Light */
	bool fd_high;               /* LIGHT_FD=high */
	uint32_t spin_usec;         /* LIGHT_SPIN */
};
extern struct settings settings;

/* The session with the daemon; attached at the first socket that needs it. NULL: none (and errno says why). */
struct client *light_client(void);
struct client *light_client_if_attached(void);

/* ---- fdtable.c ---- */
enum descriptor_kind fdtable_kind(int fd);              /* wait-free; the first question of every call */
struct socket *fdtable_socket(int fd);                  /* takes a reference; NULL: not ours. Pair with socket_put */
void socket_put(struct socket *);
struct epoll_set *fdtable_epoll(int fd);                /* takes a reference; NULL: not ours */
void epoll_set_put(struct epoll_set *);
int fdtable_add_socket(struct socket *, int flags);     /* lowest free number by a placeholder; SOCK_CLOEXEC; -errno */
void fdtable_set_epoll(int fd, struct epoll_set *);     /* a real kernel epoll descriptor gets a set of ours (references: 1) */
int fdtable_remove(int fd);                             /* before the kernel's close(fd) */
void fdtable_each(void (*visit)(int fd, enum descriptor_kind, void *object, void *context), void *context);

/* ---- socket.c / transfer.c ---- */
/* Level readiness in poll(2)'s terms: POLLIN POLLOUT POLLRDHUP POLLHUP POLLERR POLLPRI (an undecided socket: as Linux answers
 * for an unconnected one: stream POLLOUT|POLLHUP, datagram POLLOUT). */
short socket_poll(struct socket *);
/* EP_* mask to watch for the given poll(2) events. */
uint32_t socket_watch_mask(short events);
/* A socket that was undecided got its line (bind, connect, first send): poll.c/epoll.c register it now. Called with the line set. */
void epoll_socket_placed(struct socket *);
/* It was decided for the kernel: registrations move to the real epoll descriptors. Called after fd is a kernel socket. */
void epoll_socket_to_kernel(struct socket *, int fd);
/* The last descriptor of the socket in this process is gone: forget its registrations. Called before the line is closed; calls on
 * it may still be in progress. Also called for a socket that never was in a set. */
void epoll_socket_gone(struct socket *);

/* ---- fork.c, and who must act around fork ---- */
void epoll_before_fork(void);        /* takes epoll.c's locks, so that the child finds its lists whole */
void epoll_after_fork_parent(void);
void epoll_after_fork_child(void);   /* the parent's waitsets are not ours: make own ones at next use, register again */
void poll_after_fork_child(void);

/* ---- poll.c, epoll.c: bodies of the exported calls; return -1 and errno ---- */
int light_poll(struct pollfd *, nfds_t, nsec until, const sigset_t *mask);    /* until: absolute client_now() time, 0 = do not wait */
int light_select(int n, fd_set *r, fd_set *w, fd_set *e, nsec until, const sigset_t *mask, nsec *left);
int light_epoll_create(int flags);
int light_epoll_ctl(int epfd, int op, int fd, struct epoll_event *);
int light_epoll_wait(int epfd, struct epoll_event *, int max, nsec until, const sigset_t *mask);

#endif
