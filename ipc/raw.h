/* SPDX-License-Identifier: BSD-3-Clause */
/* System calls without libc: the preload library interposes libc's symbols (syscall(2) among them), so what is linked into
 * it calls the kernel directly. Each returns what the kernel does: a value, or -errno; errno is not touched, so a signal handler may
 * use them. */
#ifndef LIGHT_IPC_RAW_H
#define LIGHT_IPC_RAW_H

#include <errno.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/syscall.h>

static inline long raw_call6(long number, long a, long b, long c, long d, long e, long f)
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

static inline long raw_call3(long number, long a, long b, long c)
{
	return raw_call6(number, a, b, c, 0, 0, 0);
}

static inline long raw_call2(long number, long a, long b)
{
	return raw_call6(number, a, b, 0, 0, 0, 0);
}

static inline int raw_close(int fd)
{
	return fd < 0 ? 0 : (int)raw_call2(SYS_close, fd, 0);
}

#endif
