/* SPDX-License-Identifier: BSD-3-Clause */
/* syscall(2): libuv closes and sends through it, vsftpd forks with clone, jemalloc reads files before any constructor. Numbers that
 * take a descriptor go to the symbol of the same name; io_uring would do I/O behind our back and is not there. */
#include <linux/sched.h>
#include <sched.h>
#include <stdarg.h>
#include <sys/syscall.h>

#include "posix/preload.h"
#include "posix/start.h"

static long answer(long result)
{
	return result < 0 && result >= -4095 ? fail_with(result) : result;
}

/* A process, not a thread: the same as around fork. */
static long fork_by(long number, const long a[6])
{
	long result;

	fork_before();
	result = system_call(number, a[0], a[1], a[2], a[3], a[4], a[5]);
	if (result == 0)
		fork_in_child();
	else
		fork_in_parent();
	return answer(result);
}

static bool makes_process(long number, const long a[6])
{
	switch (number) {
	case SYS_fork: return true;
	case SYS_clone: return !(a[0] & CLONE_VM);
	case SYS_clone3: return a[0] && !(((const struct clone_args *)a[0])->flags & CLONE_VM);
	default: return false;
	}
}

#define P(i) ((void *)a[i])
#define I(i) ((int)a[i])
#define U(i) ((unsigned)a[i])

/* Those of sockets. *done: it was one of them. */
static long route_socket(long number, const long a[6], bool *done)
{
	switch (number) {
	case SYS_socket: return socket(I(0), I(1), I(2));
	case SYS_bind: return bind(I(0), P(1), U(2));
	case SYS_listen: return listen(I(0), I(1));
	case SYS_accept: return accept(I(0), P(1), P(2));
	case SYS_accept4: return accept4(I(0), P(1), P(2), I(3));
	case SYS_connect: return connect(I(0), P(1), U(2));
	case SYS_shutdown: return shutdown(I(0), I(1));
	case SYS_getsockname: return getsockname(I(0), P(1), P(2));
	case SYS_getpeername: return getpeername(I(0), P(1), P(2));
	case SYS_setsockopt: return setsockopt(I(0), I(1), I(2), P(3), U(4));
	case SYS_getsockopt: return getsockopt(I(0), I(1), I(2), P(3), P(4));
	case SYS_sendto: return sendto(I(0), P(1), (size_t)a[2], I(3), P(4), U(5));
	case SYS_recvfrom: return recvfrom(I(0), P(1), (size_t)a[2], I(3), P(4), P(5));
	case SYS_sendmsg: return sendmsg(I(0), P(1), I(2));
	case SYS_recvmsg: return recvmsg(I(0), P(1), I(2));
	case SYS_sendmmsg: return sendmmsg(I(0), P(1), U(2), I(3));
	case SYS_recvmmsg: return recvmmsg(I(0), P(1), U(2), I(3), P(4));
	default: *done = false; return 0;
	}
}

static long route_file(long number, const long a[6], bool *done)
{
	switch (number) {
	case SYS_read: return read(I(0), P(1), (size_t)a[2]);
	case SYS_write: return write(I(0), P(1), (size_t)a[2]);
	case SYS_readv: return readv(I(0), P(1), I(2));
	case SYS_writev: return writev(I(0), P(1), I(2));
	case SYS_preadv2: return preadv2(I(0), P(1), I(2), a[3], I(5));
	case SYS_pwritev2: return pwritev2(I(0), P(1), I(2), a[3], I(5));
	case SYS_sendfile: return sendfile(I(0), I(1), P(2), (size_t)a[3]);
	case SYS_splice: return splice(I(0), P(1), I(2), P(3), (size_t)a[4], U(5));
	case SYS_close: return close(I(0));
	case SYS_close_range: return close_range(U(0), U(1), I(2));
	case SYS_dup: return dup(I(0));
	case SYS_dup2: return dup2(I(0), I(1));
	case SYS_dup3: return dup3(I(0), I(1), I(2));
	case SYS_fcntl: return fcntl(I(0), I(1), a[2]);
	case SYS_ioctl: return ioctl(I(0), (unsigned long)a[1], a[2]);
	case SYS_execve: return execve(P(0), P(1), P(2));
	default: *done = false; return 0;
	}
}

static long route_wait(long number, const long a[6], bool *done)
{
	const struct { const sigset_t *mask; size_t bytes; } *six = P(5);

	switch (number) {
	case SYS_poll: return poll(P(0), (nfds_t)a[1], I(2));
	case SYS_ppoll: return ppoll(P(0), (nfds_t)a[1], P(2), P(3));
	case SYS_select: return select(I(0), P(1), P(2), P(3), P(4));
	case SYS_pselect6: return pselect(I(0), P(1), P(2), P(3), P(4), six ? six->mask : NULL);
	case SYS_epoll_create: return epoll_create(I(0));
	case SYS_epoll_create1: return epoll_create1(I(0));
	case SYS_epoll_ctl: return epoll_ctl(I(0), I(1), I(2), P(3));
	case SYS_epoll_wait: return epoll_wait(I(0), P(1), I(2), I(3));
	case SYS_epoll_pwait: return epoll_pwait(I(0), P(1), I(2), I(3), P(4));
	case SYS_epoll_pwait2: return epoll_pwait2(I(0), P(1), I(2), P(3), P(4));
	default: *done = false; return 0;
	}
}

EXPORT long syscall(long number, ...)
{
	static long (*const routes[])(long, const long[6], bool *) = { route_socket, route_file, route_wait };
	long a[6];
	va_list ap;

	va_start(ap, number);
	for (int i = 0; i < 6; i++)
		a[i] = va_arg(ap, long);
	va_end(ap);
	if (number == SYS_exit_group)
		light_end();
	if (number == SYS_seccomp)
		light_confine();
	if (number == SYS_io_uring_setup)
		return fail_with(-ENOSYS);
	if (makes_process(number, a))
		return fork_by(number, a);
	for (unsigned i = 0; i < sizeof(routes) / sizeof(routes[0]); i++) {
		bool done = true;
		long result = routes[i](number, a, &done);

		if (done)
			return result;
	}
	return answer(system_call(number, a[0], a[1], a[2], a[3], a[4], a[5]));
}
