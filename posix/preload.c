/* SPDX-License-Identifier: BSD-3-Clause */
/* The exported symbols, three lines each: sockets and data. Descriptors and processes: preload_fd.c; readiness: preload_wait.c. */
#include <stdlib.h>

#include "posix/preload.h"

/* ---- sockets ---- */

EXPORT int socket(int domain, int type, int protocol)
{
	int fd = domain == AF_INET ? light_socket(type, protocol) : (int)PASS;

	return fd == PASS ? libc.socket(domain, type, protocol) : fd < 0 ? (int)fail_with(fd) : fd;
}

EXPORT int bind(int fd, const struct sockaddr *a, socklen_t n)
{
	ROUTE(fd, light_bind(s, fd, a, n), libc.bind(fd, a, n));
}

EXPORT int listen(int fd, int backlog)
{
	ROUTE(fd, light_listen(s, fd, backlog), libc.listen(fd, backlog));
}

EXPORT int accept(int fd, struct sockaddr *restrict a, socklen_t *restrict n)
{
	ROUTE(fd, light_accept(s, a, n, 0), libc.accept(fd, a, n));
}

EXPORT int accept4(int fd, struct sockaddr *restrict a, socklen_t *restrict n, int flags)
{
	ROUTE(fd, light_accept(s, a, n, flags), libc.accept4(fd, a, n, flags));
}

EXPORT int connect(int fd, const struct sockaddr *a, socklen_t n)
{
	ROUTE(fd, light_connect(s, fd, a, n), libc.connect(fd, a, n));
}

EXPORT int shutdown(int fd, int how)
{
	ROUTE(fd, light_shutdown(s, how), libc.shutdown(fd, how));
}

EXPORT int getsockname(int fd, struct sockaddr *restrict a, socklen_t *restrict n)
{
	ROUTE(fd, light_getsockname(s, a, n), libc.getsockname(fd, a, n));
}

EXPORT int getpeername(int fd, struct sockaddr *restrict a, socklen_t *restrict n)
{
	ROUTE(fd, light_getpeername(s, a, n), libc.getpeername(fd, a, n));
}

EXPORT int setsockopt(int fd, int level, int name, const void *value, socklen_t n)
{
	ROUTE(fd, light_setsockopt(s, fd, level, name, value, n), libc.setsockopt(fd, level, name, value, n));
}

EXPORT int getsockopt(int fd, int level, int name, void *restrict value, socklen_t *restrict n)
{
	ROUTE(fd, light_getsockopt(s, fd, level, name, value, n), libc.getsockopt(fd, level, name, value, n));
}

EXPORT int sockatmark(int fd)
{
	int mark = 0;
	ROUTE(fd, (result = light_ioctl(s, fd, 0x8905 /* SIOCATMARK */, &mark)) < 0 ? result : mark, libc.sockatmark(fd));
}

/* ---- data ---- */

/* Reading nothing from a file of any kind is no call of the protocol (recv is). */
static bool is_nothing(const struct iovec *iov, int count)
{
	if (count < 0 || (count > 0 && !iov))
		return false;
	while (count > 0 && iov[count - 1].iov_len == 0)
		count--;
	return count == 0;
}

EXPORT ssize_t read(int fd, void *to, size_t n)
{
	ROUTE(fd, n == 0 ? 0 : light_recv(s, &(struct iovec){ to, n }, 1, 0), libc.read(fd, to, n));
}

EXPORT ssize_t write(int fd, const void *from, size_t n)
{
	ROUTE(fd, light_send(s, fd, &(struct iovec){ (void *)(uintptr_t)from, n }, 1, 0), libc.write(fd, from, n));
}

EXPORT ssize_t readv(int fd, const struct iovec *iov, int count)
{
	ROUTE(fd, is_nothing(iov, count) ? 0 : light_recv(s, iov, count, 0), libc.readv(fd, iov, count));
}

EXPORT ssize_t writev(int fd, const struct iovec *iov, int count)
{
	ROUTE(fd, light_send(s, fd, iov, count, 0), libc.writev(fd, iov, count));
}

EXPORT ssize_t recv(int fd, void *to, size_t n, int flags)
{
	ROUTE(fd, light_recv(s, &(struct iovec){ to, n }, 1, flags), libc.recv(fd, to, n, flags));
}

EXPORT ssize_t send(int fd, const void *from, size_t n, int flags)
{
	ROUTE(fd, light_send(s, fd, &(struct iovec){ (void *)(uintptr_t)from, n }, 1, flags), libc.send(fd, from, n, flags));
}

static long receive_from(struct socket *s, void *to, size_t n, int flags, struct sockaddr *a, socklen_t *length)
{
	struct iovec part = { to, n };
	struct msghdr m = { .msg_name = a, .msg_namelen = a && length ? *length : 0, .msg_iov = &part, .msg_iovlen = 1 };
	long result;

	if (a && !length)
		return -EFAULT;
	result = light_recvmsg(s, &m, flags);
	if (result >= 0 && a)
		*length = m.msg_namelen;
	return result;
}

EXPORT ssize_t recvfrom(int fd, void *restrict to, size_t n, int flags, struct sockaddr *restrict a, socklen_t *restrict length)
{
	ROUTE(fd, receive_from(s, to, n, flags, a, length), libc.recvfrom(fd, to, n, flags, a, length));
}

static long send_to(struct socket *s, int fd, const void *from, size_t n, int flags, const struct sockaddr *a, socklen_t length)
{
	struct iovec part = { (void *)(uintptr_t)from, n };
	struct msghdr m = { .msg_name = (void *)(uintptr_t)a, .msg_namelen = a ? length : 0, .msg_iov = &part, .msg_iovlen = 1 };

	return light_sendmsg(s, fd, &m, flags);
}

EXPORT ssize_t sendto(int fd, const void *from, size_t n, int flags, const struct sockaddr *a, socklen_t length)
{
	ROUTE(fd, send_to(s, fd, from, n, flags, a, length), libc.sendto(fd, from, n, flags, a, length));
}

EXPORT ssize_t recvmsg(int fd, struct msghdr *m, int flags)
{
	ROUTE(fd, light_recvmsg(s, m, flags), rights_recvmsg(fd, m, flags));
}

EXPORT ssize_t sendmsg(int fd, const struct msghdr *m, int flags)
{
	ROUTE(fd, light_sendmsg(s, fd, m, flags), rights_sendmsg(fd, m, flags));
}

EXPORT int recvmmsg(int fd, struct mmsghdr *m, unsigned n, int flags, struct timespec *timeout)
{
	ROUTE(fd, light_recvmmsg(s, m, n, flags, timeout), libc.recvmmsg(fd, m, n, flags, timeout));
}

EXPORT int sendmmsg(int fd, struct mmsghdr *m, unsigned n, int flags)
{
	ROUTE(fd, light_sendmmsg(s, fd, m, n, flags), libc.sendmmsg(fd, m, n, flags));
}

/* With an offset it is ESPIPE, which the placeholder says by itself. */
EXPORT ssize_t preadv2(int fd, const struct iovec *iov, int count, off_t offset, int flags)
{
	ROUTE(offset == -1 ? fd : -1, flags ? -EOPNOTSUPP : light_recv(s, iov, count, 0), libc.preadv2(fd, iov, count, offset, flags));
}

EXPORT ssize_t pwritev2(int fd, const struct iovec *iov, int count, off_t offset, int flags)
{
	ROUTE(offset == -1 ? fd : -1, flags ? -EOPNOTSUPP : light_send(s, fd, iov, count, 0), libc.pwritev2(fd, iov, count, offset, flags));
}

EXPORT ssize_t preadv64v2(int fd, const struct iovec *iov, int count, off64_t offset, int flags)
{
	return preadv2(fd, iov, count, offset, flags);
}

EXPORT ssize_t pwritev64v2(int fd, const struct iovec *iov, int count, off64_t offset, int flags)
{
	return pwritev2(fd, iov, count, offset, flags);
}

EXPORT ssize_t sendfile(int out, int in, off_t *offset, size_t n)
{
	return light_sendfile(out, in, offset, n);
}

EXPORT ssize_t sendfile64(int out, int in, off64_t *offset, size_t n)
{
	return light_sendfile(out, in, offset, n);
}

EXPORT ssize_t splice(int in, off64_t *in_offset, int out, off64_t *out_offset, size_t n, unsigned flags)
{
	return light_splice(in, in_offset, out, out_offset, n, flags);
}

/* ---- the names of _FORTIFY_SOURCE: the same calls once the sizes are right ---- */

ssize_t __read_chk(int fd, void *to, size_t n, size_t size);
ssize_t __recv_chk(int fd, void *to, size_t n, size_t size, int flags);
ssize_t __recvfrom_chk(int fd, void *to, size_t n, size_t size, int flags, struct sockaddr *a, socklen_t *length);
extern void __chk_fail(void) __attribute__((noreturn));

EXPORT ssize_t __read_chk(int fd, void *to, size_t n, size_t size)
{
	return n > size ? (__chk_fail(), -1) : read(fd, to, n);
}

EXPORT ssize_t __recv_chk(int fd, void *to, size_t n, size_t size, int flags)
{
	return n > size ? (__chk_fail(), -1) : recv(fd, to, n, flags);
}

EXPORT ssize_t __recvfrom_chk(int fd, void *to, size_t n, size_t size, int flags, struct sockaddr *a, socklen_t *length)
{
	return n > size ? (__chk_fail(), -1) : recvfrom(fd, to, n, flags, a, length);
}
