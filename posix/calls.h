/* SPDX-License-Identifier: BSD-3-Clause */
/* The bodies of the exported calls for a descriptor that is ours. They return a result, -errno, or PASS: the socket has just
 * been decided for the kernel (its number is a kernel socket now), so the caller makes the real call. */
#ifndef LIGHT_POSIX_CALLS_H
#define LIGHT_POSIX_CALLS_H

#include <errno.h>
#include <time.h>

#include "posix/fdtable.h"

#define PASS (-65536L)

/* ---- place.c ---- */
/* Decide (once) where the socket lives. 0: Light; PASS: the kernel, done; -errno. */
int place_for_peer(struct socket *, int fd, const struct ipaddr *to);
int place_for_address(struct socket *, int fd, const struct ep_name *local);
/* interface: as endpoint.h names one of groups; an address may be the kernel's. */
int place_for_interface(struct socket *, int fd, uint32_t interface);
int place_light(struct socket *);

/* ---- socket.c ---- */
int light_socket(int type, int protocol);        /* PASS: not for us */
long light_bind(struct socket *, int fd, const struct sockaddr *, socklen_t);
long light_listen(struct socket *, int fd, int backlog);
long light_accept(struct socket *, struct sockaddr *, socklen_t *, int flags);
long light_connect(struct socket *, int fd, const struct sockaddr *, socklen_t);
/* MSG_FASTOPEN (tcp(7)): 0: bytes may be sent, as the first with the SYN if there is a cookie for the peer. */
long light_connect_to_send(struct socket *, int fd, const struct sockaddr *, socklen_t, bool nonblocking);
long light_shutdown(struct socket *, int how);
long light_getsockname(struct socket *, struct sockaddr *, socklen_t *);
long light_getpeername(struct socket *, struct sockaddr *, socklen_t *);
int name_from_sockaddr(const struct sockaddr *, socklen_t, struct ep_name *);   /* -EINVAL, -EAFNOSUPPORT */
/* Cut to what the caller has room for, as Linux does. */
void sockaddr_put(const struct ipaddr *, uint16_t port, struct sockaddr *, socklen_t *length);

/* ---- options.c ---- */
long light_setsockopt(struct socket *, int fd, int level, int name, const void *value, socklen_t);
long light_getsockopt(struct socket *, int fd, int level, int name, void *value, socklen_t *);
/* What was set while the place was open: to the line, or to a kernel socket. -errno. */
int options_to_light(struct socket *);
int options_to_kernel(struct socket *, int fd);

/* ---- control.c ---- */
long light_ioctl(struct socket *, int fd, unsigned long request, void *argument);
long light_fcntl(struct socket *, int fd, int command, long argument);
int light_close(int fd);                          /* any descriptor; -1 and errno */
int light_dup(int fd, int lowest, int flags);     /* F_DUPFD; any descriptor */
int light_dup3(int from, int to, int flags, bool same_is_error);
int light_close_range(unsigned first, unsigned last, int flags);

/* ---- transfer.c ---- */
long light_send(struct socket *, int fd, const struct iovec *, int count, int flags);
long light_recv(struct socket *, const struct iovec *, int count, int flags);
/* Of one kind for all: name and control may be absent. */
long light_sendmsg(struct socket *, int fd, const struct msghdr *, int flags);
long light_recvmsg(struct socket *, struct msghdr *, int flags);
long light_recvmmsg(struct socket *, struct mmsghdr *, unsigned count, int flags, struct timespec *timeout);
long light_sendmmsg(struct socket *, int fd, struct mmsghdr *, unsigned count, int flags);
/* Sleeps for readiness as the socket's mode says: 0: look again, -EAGAIN, -EINTR. */
int wait_ready(struct socket *, uint32_t mask, bool nonblocking, nsec until);
nsec deadline(nsec timeout);                      /* of SO_RCVTIMEO, SO_SNDTIMEO; 0: never */

/* ---- rights.c: a kernel socket's sendmsg and recvmsg, which may pass our sockets; -1 and errno ---- */
ssize_t rights_sendmsg(int fd, const struct msghdr *, int flags);
ssize_t rights_recvmsg(int fd, struct msghdr *, int flags);

/* ---- file.c ---- */
ssize_t light_sendfile(int out, int in, off64_t *offset, size_t n);                /* any descriptors; -1 and errno */
ssize_t light_splice(int in, off64_t *in_offset, int out, off64_t *out_offset, size_t n, unsigned flags);
FILE *light_fdopen(int fd, const char *mode);
void light_follow_standard(int fd);                                                /* 0, 1 or 2 may have become ours */

static inline struct sock_line *line_of(const struct socket *s)
{
	return client_line(light_session, s->line);
}

static inline uint32_t state_of(const struct socket *s)
{
	return atomic_load_explicit(&line_of(s)->state, memory_order_acquire);
}

static inline bool is_light(struct socket *s)
{
	return atomic_load_explicit(&s->place, memory_order_acquire) == SOCKET_LIGHT;
}

#endif
