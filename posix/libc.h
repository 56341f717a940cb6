/* SPDX-License-Identifier: BSD-3-Clause */
/* The real functions behind the symbols that this library exports. Everything inside the library calls these,
 * never the plain names, or it would meet itself. Until libc_init has run (constructors of other libraries, jemalloc
 * inside the first malloc) they are bare system calls; afterwards glibc's own, which are cancellation points.
 * All return as libc does: -1 and errno. */
#ifndef LIGHT_POSIX_LIBC_H
#define LIGHT_POSIX_LIBC_H

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define LIBC_CALLS(CALL) \
	CALL(socket) CALL(socketpair) CALL(bind) CALL(listen) CALL(accept) CALL(accept4) CALL(connect) \
	CALL(shutdown) CALL(close) CALL(getsockname) CALL(getpeername) CALL(getsockopt) CALL(setsockopt) \
	CALL(sockatmark) CALL(read) CALL(write) CALL(readv) CALL(writev) CALL(recv) CALL(send) CALL(recvfrom) \
	CALL(sendto) CALL(recvmsg) CALL(sendmsg) CALL(recvmmsg) CALL(sendmmsg) CALL(sendfile) CALL(splice) \
	CALL(tee) CALL(vmsplice) CALL(pread) CALL(preadv2) CALL(pwritev2) CALL(poll) CALL(ppoll) CALL(select) \
	CALL(pselect) CALL(epoll_create) CALL(epoll_create1) CALL(epoll_ctl) CALL(epoll_wait) \
	CALL(epoll_pwait) CALL(epoll_pwait2) CALL(fcntl) CALL(ioctl) CALL(dup) CALL(dup2) CALL(dup3) \
	CALL(close_range) CALL(execve) CALL(execvpe) CALL(fexecve) CALL(fork) CALL(posix_spawn) CALL(posix_spawnp) CALL(fdopen)

struct libc {
#define LIBC_MEMBER(name) __typeof__(name) *name;
	LIBC_CALLS(LIBC_MEMBER)
#undef LIBC_MEMBER
};
extern struct libc libc;

/* Idempotent; the constructor and whatever has no system call of its own (fork, fdopen, posix_spawn). Must not be called
 * from inside an allocator: the dynamic linker may take its lock. */
void libc_init(void);

/* A system call with nothing of libc's around it: result or -errno. */
static inline long system_call(long number, long a, long b, long c, long d, long e, long f)
{
	long result;
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = f;

	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return result;
}

#endif
