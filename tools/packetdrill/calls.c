/* SPDX-License-Identifier: BSD-3-Clause */
/* The table's calls on descriptors: ours go to the host, files and pipes to the kernel. */
#include "tools/packetdrill/plugin.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <sys/syscall.h>

/* A system call in the kernel's form, -errno: libc's own names may be ours (shadow.c). */
static long kernel(long number, long a, long b, long c)
{
	long result = syscall(number, a, b, c);

	return result < 0 ? -errno : result;
}

/* ---- life ---- */

static int call_socket(void *userdata, int domain, int type, int protocol)
{
	(void)userdata;
	clock_enter();
	settings_refresh();
	return (int)clock_leave(embed_socket(plugin.embed, domain, type, protocol));
}

static int call_bind(void *userdata, int fd, const struct sockaddr *a, socklen_t length)
{
	(void)userdata;
	clock_enter();
	return (int)clock_leave(embed_bind(plugin.embed, fd, a, length));
}

static int call_listen(void *userdata, int fd, int backlog)
{
	(void)userdata;
	clock_enter();
	settings_refresh();
	return (int)clock_leave(embed_listen(plugin.embed, fd, backlog));
}

static int call_accept(void *userdata, int fd, struct sockaddr *a, socklen_t *length)
{
	(void)userdata;
	clock_enter();
	return (int)clock_leave(embed_accept(plugin.embed, fd, a, length, 0));
}

static int call_connect(void *userdata, int fd, const struct sockaddr *a, socklen_t length)
{
	(void)userdata;
	clock_enter();
	settings_refresh();
	return (int)clock_leave(embed_connect(plugin.embed, fd, a, length));
}

static int call_shutdown(void *userdata, int fd, int how)
{
	(void)userdata;
	clock_enter();
	return (int)clock_leave(embed_shutdown(plugin.embed, fd, how));
}

int calls_close(int fd)
{
	clock_enter();
	return (int)clock_leave(is_ours(fd) ? embed_close(plugin.embed, fd) : kernel(SYS_close, fd, 0, 0));
}

static int call_close(void *userdata, int fd)
{
	(void)userdata;
	return calls_close(fd);
}

/* ---- in ---- */

ssize_t calls_receive(int fd, void *bytes, size_t n, int flags)
{
	struct iovec iov = { bytes, n };

	return embed_recvmsg(plugin.embed, fd, &(struct msghdr){ .msg_iov = &iov, .msg_iovlen = 1 }, flags);
}

static ssize_t call_recvmsg(void *userdata, int fd, struct msghdr *m, int flags)
{
	(void)userdata;
	clock_enter();
	return clock_leave(embed_recvmsg(plugin.embed, fd, m, flags));
}

static ssize_t call_recvfrom(void *userdata, int fd, void *bytes, size_t n, int flags, struct sockaddr *a, socklen_t *length)
{
	struct iovec iov = { bytes, n };
	struct msghdr m = { .msg_name = a, .msg_namelen = a && length ? *length : 0, .msg_iov = &iov, .msg_iovlen = 1 };
	ssize_t result = call_recvmsg(userdata, fd, &m, flags);

	if (result >= 0 && a && length)
		*length = m.msg_namelen;
	return result;
}

static ssize_t call_recv(void *userdata, int fd, void *bytes, size_t n, int flags)
{
	return call_recvfrom(userdata, fd, bytes, n, flags, NULL, NULL);
}

static ssize_t call_readv(void *userdata, int fd, const struct iovec *iov, int count)
{
	struct msghdr m = { .msg_iov = (struct iovec *)(uintptr_t)iov, .msg_iovlen = count < 0 ? SIZE_MAX : (size_t)count };

	if (clock_is_ours(fd))
		return call_recvmsg(userdata, fd, &m, 0);
	return syscall(SYS_readv, fd, iov, count);
}

static ssize_t call_read(void *userdata, int fd, void *bytes, size_t n)
{
	if (clock_is_ours(fd))
		return call_recv(userdata, fd, bytes, n, 0);
	return syscall(SYS_read, fd, bytes, n);
}

/* ---- out ---- */

ssize_t calls_send(int fd, const void *bytes, size_t n, int flags)
{
	struct iovec iov = { (void *)(uintptr_t)bytes, n };

	return embed_sendmsg(plugin.embed, fd, &(struct msghdr){ .msg_iov = &iov, .msg_iovlen = 1 }, flags);
}

static ssize_t call_sendmsg(void *userdata, int fd, const struct msghdr *m, int flags)
{
	(void)userdata;
	clock_enter();
	return clock_leave(embed_sendmsg(plugin.embed, fd, m, flags));
}

/* AF_UNSPEC is no destination. */
static ssize_t call_sendto(void *userdata, int fd, const void *bytes, size_t n, int flags, const struct sockaddr *a, socklen_t length)
{
	struct iovec iov = { (void *)(uintptr_t)bytes, n };
	struct msghdr m = { .msg_name = (void *)(uintptr_t)a, .msg_namelen = a ? length : 0, .msg_iov = &iov, .msg_iovlen = 1 };

	return call_sendmsg(userdata, fd, &m, flags);
}

static ssize_t call_send(void *userdata, int fd, const void *bytes, size_t n, int flags)
{
	return call_sendto(userdata, fd, bytes, n, flags, NULL, 0);
}

static ssize_t call_writev(void *userdata, int fd, const struct iovec *iov, int count)
{
	struct msghdr m = { .msg_iov = (struct iovec *)(uintptr_t)iov, .msg_iovlen = count < 0 ? SIZE_MAX : (size_t)count };

	if (clock_is_ours(fd))
		return call_sendmsg(userdata, fd, &m, 0);
	return syscall(SYS_writev, fd, iov, count);
}

static ssize_t call_write(void *userdata, int fd, const void *bytes, size_t n)
{
	if (clock_is_ours(fd))
		return call_send(userdata, fd, bytes, n, 0);
	return syscall(SYS_write, fd, bytes, n);
}

/* ---- options and waiting ---- */

static int call_fcntl(void *userdata, int fd, int command, ...)
{
	int argument = 0;
	va_list arguments;

	(void)userdata;
	if (command == F_SETFL || command == F_SETFD) {
		va_start(arguments, command);
		argument = va_arg(arguments, int);
		va_end(arguments);
	}
	clock_enter();
	return (int)clock_leave(is_ours(fd) ? embed_fcntl(plugin.embed, fd, command, argument) : kernel(SYS_fcntl, fd, command, argument));
}

static int call_ioctl(void *userdata, int fd, unsigned long request, ...)
{
	va_list arguments;
	int *argument;

	(void)userdata;
	va_start(arguments, request);
	argument = va_arg(arguments, int *);
	va_end(arguments);
	clock_enter();
	return (int)clock_leave(is_ours(fd) ? embed_ioctl(plugin.embed, fd, request, argument)
					    : kernel(SYS_ioctl, fd, (long)request, (long)argument));
}

static int call_getsockopt(void *userdata, int fd, int level, int name, void *value, socklen_t *length)
{
	(void)userdata;
	clock_enter();
	return (int)clock_leave(embed_getsockopt(plugin.embed, fd, level, name, value, length));
}

static int call_setsockopt(void *userdata, int fd, int level, int name, const void *value, socklen_t length)
{
	(void)userdata;
	clock_enter();
	return (int)clock_leave(embed_setsockopt(plugin.embed, fd, level, name, value, length));
}

static int call_poll(void *userdata, struct pollfd *fds, nfds_t n, int timeout)
{
	(void)userdata;
	clock_enter();
	return (int)clock_leave(embed_poll(plugin.embed, fds, n, timeout));
}

static int call_epoll_create(void *userdata, int size)
{
	(void)userdata;
	clock_enter();
	return (int)clock_leave(size > 0 ? embed_epoll_create(plugin.embed) : -EINVAL);
}

static int call_epoll_ctl(void *userdata, int epfd, int op, int fd, struct epoll_event *event)
{
	(void)userdata;
	clock_enter();
	return (int)clock_leave(embed_epoll_ctl(plugin.embed, epfd, op, fd, event));
}

static int call_epoll_wait(void *userdata, int epfd, struct epoll_event *events, int max, int timeout)
{
	(void)userdata;
	clock_enter();
	return (int)clock_leave(embed_epoll_wait(plugin.embed, epfd, events, max, timeout));
}

void calls_fill(struct packetdrill_interface *t)
{
	t->socket = call_socket;
	t->bind = call_bind;
	t->listen = call_listen;
	t->accept = call_accept;
	t->connect = call_connect;
	t->read = call_read;
	t->readv = call_readv;
	t->recv = call_recv;
	t->recvfrom = call_recvfrom;
	t->recvmsg = call_recvmsg;
	t->write = call_write;
	t->writev = call_writev;
	t->send = call_send;
	t->sendto = call_sendto;
	t->sendmsg = call_sendmsg;
	t->fcntl = call_fcntl;
	t->ioctl = call_ioctl;
	t->close = call_close;
	t->shutdown = call_shutdown;
	t->getsockopt = call_getsockopt;
	t->setsockopt = call_setsockopt;
	t->poll = call_poll;
	t->epoll_create = call_epoll_create;
	t->epoll_ctl = call_epoll_ctl;
	t->epoll_wait = call_epoll_wait;
}
