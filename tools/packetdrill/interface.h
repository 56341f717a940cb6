/* SPDX-License-Identifier: BSD-3-Clause */
/* What packetdrill (--so_filename) asks of a stack outside the kernel: one symbol, which fills a table of functions. Members stand in the
 * order of packetdrill's ABI; each returns what the libc call of its name does, -1 and errno in the calling thread. */
#ifndef LIGHT_PACKETDRILL_INTERFACE_H
#define LIGHT_PACKETDRILL_INTERFACE_H

#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

struct packetdrill_interface {
	void *userdata;         /* the first argument of all */
	void (*free)(void *);
	int (*socket)(void *, int domain, int type, int protocol);
	int (*bind)(void *, int fd, const struct sockaddr *, socklen_t);
	int (*listen)(void *, int fd, int backlog);
	int (*accept)(void *, int fd, struct sockaddr *, socklen_t *);
	int (*connect)(void *, int fd, const struct sockaddr *, socklen_t);
	ssize_t (*read)(void *, int fd, void *, size_t);
	ssize_t (*readv)(void *, int fd, const struct iovec *, int count);
	ssize_t (*recv)(void *, int fd, void *, size_t, int flags);
	ssize_t (*recvfrom)(void *, int fd, void *, size_t, int flags, struct sockaddr *, socklen_t *);
	ssize_t (*recvmsg)(void *, int fd, struct msghdr *, int flags);
	ssize_t (*write)(void *, int fd, const void *, size_t);
	ssize_t (*writev)(void *, int fd, const struct iovec *, int count);
	ssize_t (*send)(void *, int fd, const void *, size_t, int flags);
	ssize_t (*sendto)(void *, int fd, const void *, size_t, int flags, const struct sockaddr *, socklen_t);
	ssize_t (*sendmsg)(void *, int fd, const struct msghdr *, int flags);
	int (*fcntl)(void *, int fd, int command, ...);                 /* an int, or nothing */
	int (*ioctl)(void *, int fd, unsigned long request, ...);       /* an int *, or nothing */
	int (*close)(void *, int fd);
	int (*shutdown)(void *, int fd, int how);
	int (*getsockopt)(void *, int fd, int level, int name, void *, socklen_t *);
	int (*setsockopt)(void *, int fd, int level, int name, const void *, socklen_t);
	int (*poll)(void *, struct pollfd *, nfds_t, int timeout);
	/* A whole IP packet arrives at the stack. */
	int (*netdev_send)(void *, const void *packet, size_t n);
	/* The next one that it emitted; *n: room, then the length; 0: none is coming. */
	int (*netdev_receive)(void *, void *packet, size_t *n, long long *usecs);
	int (*usleep)(void *, useconds_t);
	int (*gettimeofday)(void *, struct timeval *, struct timezone *);
	int (*epoll_create)(void *, int size);
	int (*epoll_ctl)(void *, int epfd, int op, int fd, struct epoll_event *);
	int (*epoll_wait)(void *, int epfd, struct epoll_event *, int max, int timeout);
	int (*pipe)(void *, int fds[2]);
	int (*splice)(void *, int in, loff_t *in_offset, int out, loff_t *out_offset, size_t n, unsigned flags);
};

/* flags: what --so_flags says, or NULL. It cannot fail: what is wrong is said, and the process ends. */
void packetdrill_interface_init(const char *flags, struct packetdrill_interface *);

#endif
