/* SPDX-License-Identifier: BSD-3-Clause */
/* The embedding API: one host under a virtual clock, for tools that have a world of their own around it (packetdrill's scripts, a fuzzer, a
 * teaching program). Raw IP packets go in and come out with their times, and one simulated process makes socket calls on the host
 * with Linux's semantics.
 *
 * Time stands still unless embed_run, embed_step, embed_run_until or a call that sleeps lets it pass; every other call takes none, and
 * returns when nothing is left to do at this instant. All that happens is a function of the configuration, packets, calls and times.
 *
 * Results are what the libc call of that name returns, with -errno in the place of -1 and errno. An instance belongs to one thread at a
 * time: with several, the caller locks, and unlocks in its `sleep`. */
#ifndef LIGHT_SIM_EMBED_H
#define LIGHT_SIM_EMBED_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/types.h>

#include "stack/stack.h"

struct embed;

/* Every hook may be NULL; all get `context`. */
struct embed_hooks {
	void *context;
	/* Descriptor numbers, for who has a table of its own: a free one (or -errno), and one that is not used any more. NULL: the lowest free
	 * number from 3 on. */
	int (*take_number)(void *context);
	void (*give_number)(void *context, int number);
	/* A call has to wait. Returns 0 once something may have changed (embed_step was called, by whomever), or -errno, which the
	 * call then returns. NULL: the call lets time pass by itself; -EDEADLK when nothing is ever going to happen. */
	int (*sleep)(void *context, struct embed *);
};

struct embed_config {
	struct ipaddr address;          /* the host's; IPv4 */
	unsigned prefix;                /* bits, 1..32. All else is reached through a router that is always there */
	uint16_t mtu;                   /* of the host's interface, 68..65535; 0: 1500 */
	nsec start;                     /* the clock's first value */
	uint64_t seed;                  /* sequence numbers, ports ... */
	const struct tcp_settings *tcp; /* NULL: tcp_settings_linux() */
	struct embed_hooks hooks;
};
/* -EINVAL, -ENOMEM. */
int embed_new(const struct embed_config *, struct embed **);
/* Whatever state it is in; numbers that are still open are not given back. */
void embed_free(struct embed *);
/* A further address of the host. -EINVAL, -EEXIST ... */
int embed_add_address(struct embed *, const struct ipaddr *, unsigned prefix);

/* ---- time ---- */
nsec embed_now(const struct embed *);
/* When something is due next without anybody's doing; NSEC_NEVER: never. */
nsec embed_deadline(const struct embed *);
/* Goes to the next deadline and does what is due; if that is later than `limit`, goes to `limit` only (NSEC_NEVER: stays) and returns false. */
bool embed_step(struct embed *, nsec limit);
void embed_run(struct embed *, nsec until);
/* Steps until the condition holds, which is looked at before each step. False: it did not until `limit`, or nothing is left to happen. */
bool embed_run_until(struct embed *, bool (*condition)(void *context), void *context, nsec limit);

/* ---- packets ---- */
/* A whole IP packet arrives now, without link header, checksums right. One larger than the MTU counts as a received super-frame of
 * segments that fit. -EMSGSIZE: no IP packet has this size. -ENOMEM. */
int embed_packet_in(struct embed *, const void *packet, size_t n);
/* The oldest packet that the host emitted, and when. Returns its length, of which at most `room` bytes were copied; 0: there is none. */
size_t embed_packet_out(struct embed *, void *packet, size_t room, nsec *emitted);
size_t embed_packets_waiting(const struct embed *);

/* ---- settings ---- */
/* By sysctl name, such as "net.ipv4.tcp_keepalive_time", and value as the file has it. For sockets and connections that begin from now on.
 * -ENOENT: Light has no such setting (which a caller may well ignore). -EINVAL: no value for it; nothing is changed. */
int embed_sysctl(struct embed *, const char *name, const char *value);
/* The i-th name; NULL past the end. */
const char *embed_sysctl_name(unsigned i);

/* The stack itself: counters, invariants, memory. */
struct stack *embed_stack(struct embed *);

/* ---- the process ---- */
/* Domains AF_INET and AF_INET6, the latter for mapped addresses (::ffff:a.b.c.d and ::): the host speaks IPv4 only. */
int embed_socket(struct embed *, int domain, int type, int protocol);
int embed_bind(struct embed *, int fd, const struct sockaddr *, socklen_t);
int embed_listen(struct embed *, int fd, int backlog);
int embed_accept(struct embed *, int fd, struct sockaddr *, socklen_t *, int flags);
int embed_connect(struct embed *, int fd, const struct sockaddr *, socklen_t);
int embed_shutdown(struct embed *, int fd, int how);
/* With SO_LINGER and a time it waits. */
int embed_close(struct embed *, int fd);
int embed_getsockname(struct embed *, int fd, struct sockaddr *, socklen_t *);
int embed_getpeername(struct embed *, int fd, struct sockaddr *, socklen_t *);
ssize_t embed_sendmsg(struct embed *, int fd, const struct msghdr *, int flags);
ssize_t embed_recvmsg(struct embed *, int fd, struct msghdr *, int flags);
int embed_setsockopt(struct embed *, int fd, int level, int name, const void *, socklen_t);
int embed_getsockopt(struct embed *, int fd, int level, int name, void *, socklen_t *);
/* F_GETFL, F_SETFL (O_NONBLOCK), F_GETFD, F_SETFD. */
int embed_fcntl(struct embed *, int fd, int command, int argument);
/* FIONREAD (SIOCINQ), SIOCOUTQ, SIOCOUTQNSD, SIOCATMARK, FIONBIO. */
int embed_ioctl(struct embed *, int fd, unsigned long request, int *argument);
/* timeout: milliseconds; negative: none. */
int embed_poll(struct embed *, struct pollfd *, nfds_t, int timeout);
int embed_epoll_create(struct embed *);
int embed_epoll_ctl(struct embed *, int epfd, int op, int fd, const struct epoll_event *);
int embed_epoll_wait(struct embed *, int epfd, struct epoll_event *, int max, int timeout);
/* Whether a number is one of this process. */
bool embed_has(const struct embed *, int fd);

#endif
