/* SPDX-License-Identifier: BSD-3-Clause */
/* A program's side of Light: what posix/ is built on. No libc symbol that posix/ interposes may be called through the
 * dynamic linker from here: system calls go through `struct client_libc` (the real functions), so that the preload library
 * never meets itself. Nothing here allocates with malloc (it may be called from inside an allocator).
 *
 * All functions return 0 / a count, or -errno. Thread-safe; each thread has a lane of its own, made at its first need. A signal
 * handler may call in while its thread is inside (a second lane serves it). */
#ifndef LIGHT_IPC_CLIENT_H
#define LIGHT_IPC_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "ipc/line.h"
#include "ipc/message.h"
#include "stack/addr.h"
#include "stack/base/nsec.h"
#include "stack/dgram.h"
#include "stack/endpoint.h"  /* constants and struct ep_info, ep_name only */

struct client;

/* ---- attach, fork, exec ---- */

struct client_options {
	const char *socket_path;
	const char *host;        /* NULL or "": the daemon's first */
	uint32_t spin_usec;      /* the most a waiter spins before it sleeps */
	int lowest_fd;           /* descriptors of the library's own are moved to this number or above */
};
int client_attach(const struct client_options *, struct client **);
/* The session's socket: survives exec when its close-on-exec flag is cleared; client_resume takes it up in the new image. */
int client_session_fd(const struct client *);
int client_resume(int session_fd, const struct client_options *, struct client **);
/* After client_resume, when client_hold was called for every line that the new image keeps: the others are let go. */
int client_resume_done(struct client *);
void client_detach(struct client *);
bool client_alive(const struct client *);   /* false: the daemon is gone; all lines answer ECONNRESET / hang-up */
/* Whether `fd` is one of the library's own descriptors (a program that closes it must be kept from doing so). */
bool client_owns_fd(const struct client *, int fd);

/* How long waiters of this process spin from now on. 0: not at all, and no system call but futex and the doorbell's write is made to
 * wait: for a program that confines itself by seccomp. */
void client_spin_limit(struct client *, uint32_t usec);

/* In this order around fork(2). prepare announces the child, which from that moment on holds all lines its parent
 * holds; a child that dies at once, or a fork that fails, is noticed by its socket. The child gets a session and lanes of its own,
 * over the same region. */
struct client_fork {
	int child_fd;
	uint32_t session;
};
int client_fork_prepare(struct client *, struct client_fork *);
void client_fork_parent(struct client *, struct client_fork *);
int client_fork_child(struct client *, struct client_fork *);
/* To pass a line to a process of the same family: client_fork_prepare's descriptor travels with its number and holds it on the way;
 * the receiver calls client_hold for the line and then this, which lets go of the rest and closes the descriptor. */
void client_passed(int child_fd);

/* What the daemon says of the host this program is on; read-only memory, changes seldom (generation counts). */
#define HOST_ROUTES 64
struct host_info {
	_Atomic uint32_t generation;  /* odd: being written */
	uint32_t cores, addresses, routes;
	struct ipaddr address[HOST_ROUTES];
	struct { struct ipaddr to; uint32_t prefix; uint32_t unused[3]; } route[HOST_ROUTES];
	char name[32];
	uint64_t daemon_cores;        /* bitmask of CPUs the daemon polls on; 0: not pinned */
};
const struct host_info *client_host(const struct client *);
bool client_is_own_address(const struct client *, const struct ipaddr *);
bool client_has_route(const struct client *, const struct ipaddr *);

/* ---- sockets: `id` is the number of a line ---- */

int client_open(struct client *, enum ep_type, uint32_t *id);   /* -ENFILE: quota. Posts only. */
/* On a core of the daemon's: where a port that will be bound is at home (stack/steer.h: port modulo cores). client_bind answers -EXDEV
 * for a socket that is on another core. client_open chooses a core by itself. */
int client_open_at(struct client *, enum ep_type, unsigned core, uint32_t *id);
unsigned client_cores(const struct client *);
unsigned client_core(uint32_t id);   /* where the socket is */
struct sock_line *client_line(struct client *, uint32_t id);
int client_bind(struct client *, uint32_t id, const struct ep_name *);          /* waits for the answer */
int client_listen(struct client *, uint32_t id, uint32_t backlog);              /* waits */
int client_connect(struct client *, uint32_t id, const struct ep_name *);       /* stream: posts, -EINPROGRESS; datagram: waits. NULL dissolves */
int client_accept(struct client *, uint32_t listener, uint32_t *child);         /* -EAGAIN: none; never waits */
int client_shutdown(struct client *, uint32_t id, enum ep_how);                 /* waits */
int client_close(struct client *, uint32_t id);                                 /* posts */
int client_abort(struct client *, uint32_t id);                                 /* posts */
int client_hold(struct client *, uint32_t id);                                  /* waits */
int client_set(struct client *, uint32_t id, enum ep_option, int64_t);          /* waits */
/* For a value that the caller has checked as the stack would: posts, no error can come. */
int client_set_posted(struct client *, uint32_t id, enum ep_option, int64_t);
/* The n-th group that a datagram socket joined, as EP_JOIN has it; -ENOENT past the last. */
int client_membership(struct client *, uint32_t id, uint32_t n, int64_t *);
int client_get(struct client *, uint32_t id, enum ep_option, int64_t *);        /* waits */
int client_info(struct client *, uint32_t id, struct ep_info *);                /* waits; .cc is invalid, cc_name is copied */
int client_names(struct client *, uint32_t id, struct ep_name *local, struct ep_name *peer);  /* waits only if still opening */
int client_take_error(struct client *, uint32_t id);                            /* positive errno or 0; clears */
/* Of the error queue; waits, if there is something. quote: EP_QUOTE_MOST bytes. -EAGAIN: none. */
int client_take_queued_error(struct client *, uint32_t id, struct ep_queued_error *, uint8_t *quote);
uint32_t client_ready(struct client *, uint32_t id);                            /* EP_* that hold now; by the line only */
/* SO_RCVLOWAT of a stream. */
static inline uint32_t client_receive_low(const struct sock_line *line)
{
	uint32_t low = atomic_load_explicit(&line->receive_low, memory_order_relaxed);

	return low ? low : 1;
}
int client_urgent_send(struct client *, uint32_t id, uint8_t byte);
int client_urgent_take(struct client *, uint32_t id, uint8_t *byte);
int client_at_mark(struct client *, uint32_t id);

/* Never wait; -EAGAIN when nothing can move. Several threads and processes may call at once (locks in the line, robust
 * against the death of a holder). Errors pending on the line are returned (and cleared) as Linux does. */
ssize_t client_send(struct client *, uint32_t id, const struct iovec *, int count);
/* AGAIN: bytes were read before in the same call of the program; an error is left for its next one, and told as the end is: by 0. */
enum { CLIENT_PEEK = 1 << 0, CLIENT_DISCARD = 1 << 1, CLIENT_AGAIN = 1 << 2 };
ssize_t client_recv(struct client *, uint32_t id, const struct iovec *, int count, unsigned flags);  /* 0: end of stream */
/* Datagrams: header.peer any = connected peer; recv returns the full length, header filled in. */
ssize_t client_send_dgram(struct client *, uint32_t id, const struct dgram_header *, const struct iovec *, int count);
ssize_t client_recv_dgram(struct client *, uint32_t id, struct dgram_header *, const struct iovec *, int count, unsigned flags);
uint32_t client_receive_queued(struct client *, uint32_t id);  /* FIONREAD */
uint32_t client_send_queued(struct client *, uint32_t id);     /* SIOCOUTQ */

/* ---- waiting: the one primitive ---- */

/* The time of all waits (CLOCK_MONOTONIC in ns today; a virtual clock one day). */
nsec client_now(void);
/* Sleeps until client_ready(id) & mask, `until` (absolute; NSEC_NEVER), or a signal handler ran (-EINTR; with NSEC_NEVER one
 * without SA_RESTART). -ETIMEDOUT. Spins first, adaptively. */
int client_wait_line(struct client *, uint32_t id, uint32_t mask, nsec until);

/* The same, until n bytes of a stream lie there, or no more will (end, error, an urgent byte before them). force: or no more can,
 * since the window is shut. */
int client_wait_bytes(struct client *, uint32_t id, uint32_t n, bool force, nsec until);

/* A waitset gathers events of many lines; poll, select and epoll are made of it. It belongs to this process (not to a forked child). */
struct waitset;
int waitset_new(struct client *, struct waitset **);
void waitset_free(struct waitset *);
/* Posts; events that hold already are delivered too. EP_HANGUP and EP_ERROR are always watched. */
int waitset_watch(struct waitset *, uint32_t id, uint32_t mask, bool exclusive, uint64_t cookie);
int waitset_unwatch(struct waitset *, uint32_t id);
/* Takes what has arrived; one caller at a time (the caller locks). A stale cookie may still arrive after unwatch. */
unsigned waitset_take(struct waitset *, struct wait_event *, unsigned n);
/* For sleeping in the kernel together with other descriptors: readable when events arrived while armed. */
int waitset_eventfd(struct waitset *);
/* Publishes that we sleep, fences, looks again. true: armed, go to sleep; false: events are there. Afterwards always waitset_disarm
 * (reads the eventfd empty if it was rung). */
bool waitset_arm(struct waitset *);
void waitset_disarm(struct waitset *);
/* Sleeps by futex alone (no kernel descriptor in the set; works under seccomp): 0, -ETIMEDOUT, -EINTR. */
int waitset_sleep(struct waitset *, nsec until);
/* Spins adaptively for events: true when some are there. */
bool waitset_spin(struct waitset *);

#endif
