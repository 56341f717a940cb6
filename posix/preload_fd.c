/* SPDX-License-Identifier: BSD-3-Clause */
/* The exported symbols of descriptors and processes: close, dup, fcntl, ioctl, stdio, fork, exec. */
#include <alloca.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "posix/preload.h"
#include "posix/start.h"

/* ---- descriptors ---- */

EXPORT int close(int fd)
{
	return light_close(fd);
}

EXPORT int dup(int fd)
{
	return light_dup(fd, 0, 0);
}

EXPORT int dup2(int from, int to)
{
	return light_dup3(from, to, 0, false);
}

EXPORT int dup3(int from, int to, int flags)
{
	return light_dup3(from, to, flags, true);
}

EXPORT int close_range(unsigned first, unsigned last, int flags)
{
	return light_close_range(first, last, flags);
}

EXPORT void closefrom(int first)
{
	light_close_range(first < 0 ? 0 : (unsigned)first, ~0u, 0);
}

static int any_fcntl(int fd, int command, long argument)
{
	if (command == F_DUPFD || command == F_DUPFD_CLOEXEC)
		return light_dup(fd, (int)argument, command == F_DUPFD_CLOEXEC ? O_CLOEXEC : 0);
	if (fd >= 0 && fdtable_is_own(fd))
		return (int)fail_with(-EBADF);
	ROUTE(fd, light_fcntl(s, fd, command, argument), libc.fcntl(fd, command, argument));
}

EXPORT int fcntl(int fd, int command, ...)
{
	va_list ap;
	long argument;

	va_start(ap, command);
	argument = va_arg(ap, long);
	va_end(ap);
	return any_fcntl(fd, command, argument);
}

EXPORT int fcntl64(int fd, int command, ...)
{
	va_list ap;
	long argument;

	va_start(ap, command);
	argument = va_arg(ap, long);
	va_end(ap);
	return any_fcntl(fd, command, argument);
}

EXPORT int ioctl(int fd, unsigned long request, ...)
{
	va_list ap;
	void *argument;

	va_start(ap, request);
	argument = va_arg(ap, void *);
	va_end(ap);
	ROUTE(fd, light_ioctl(s, fd, request, argument), libc.ioctl(fd, request, argument));
}

EXPORT FILE *fdopen(int fd, const char *mode)
{
	return fdtable_kind(fd) == DESCRIPTOR_SOCKET ? light_fdopen(fd, mode) : libc.fdopen(fd, mode);
}

/* ---- processes ---- */

EXPORT pid_t vfork(void)
{
	return libc.fork();     /* fork.c's handlers run in it */
}

/* A filter that does not know us kills at the first call outside its list: waiting comes down to futex. */
EXPORT int prctl(int option, ...)
{
	unsigned long a[4];
	va_list ap;
	long result;

	va_start(ap, option);
	for (int i = 0; i < 4; i++)
		a[i] = va_arg(ap, unsigned long);
	va_end(ap);
	if (option == PR_SET_SECCOMP)
		light_confine();
	result = system_call(SYS_prctl, option, (long)a[0], (long)a[1], (long)a[2], (long)a[3], 0);
	return (int)(result < 0 ? fail_with(result) : result);
}

/* exit ends in the library's destructor; these do not. */
EXPORT void _exit(int status)
{
	light_end();
	for (;;)
		system_call(SYS_exit_group, status, 0, 0, 0, 0, 0);
}

EXPORT void _Exit(int status)
{
	_exit(status);
}

/* What follows an exec that came back. */
static int failed(struct handover *h)
{
	handover_undo(h);
	return -1;
}

EXPORT int execve(const char *path, char *const argv[], char *const envp[])
{
	struct handover h;

	libc.execve(path, argv, handover_prepare(&h, envp));
	return failed(&h);
}

EXPORT int execv(const char *path, char *const argv[])
{
	return execve(path, argv, environ);
}

EXPORT int execvpe(const char *file, char *const argv[], char *const envp[])
{
	struct handover h;

	libc.execvpe(file, argv, handover_prepare(&h, envp));
	return failed(&h);
}

EXPORT int execvp(const char *file, char *const argv[])
{
	return execvpe(file, argv, environ);
}

EXPORT int fexecve(int fd, char *const argv[], char *const envp[])
{
	struct handover h;

	libc.fexecve(fd, argv, handover_prepare(&h, envp));
	return failed(&h);
}

/* The arguments of an execl call as an array on the stack of its caller; `ap` is left behind the NULL. */
static size_t count_arguments(va_list ap)
{
	size_t n = 1;

	while (va_arg(ap, char *))
		n++;
	return n;
}

static void copy_arguments(char **argv, size_t n, const char *first, va_list *ap)
{
	argv[0] = (char *)(uintptr_t)first;
	for (size_t i = 1; i <= n; i++)
		argv[i] = va_arg(*ap, char *);
}

#define ARGUMENTS(first)                                        \
	va_list ap;                                             \
	size_t n;                                               \
	char **argv;                                            \
	va_start(ap, first);                                    \
	n = count_arguments(ap);                                \
	va_end(ap);                                             \
	argv = alloca((n + 1) * sizeof(char *));                \
	va_start(ap, first);                                    \
	copy_arguments(argv, n, first, &ap)

EXPORT int execl(const char *path, const char *first, ...)
{
	ARGUMENTS(first);
	va_end(ap);
	return execve(path, argv, environ);
}

EXPORT int execlp(const char *file, const char *first, ...)
{
	ARGUMENTS(first);
	va_end(ap);
	return execvpe(file, argv, environ);
}

EXPORT int execle(const char *path, const char *first, ...)
{
	char *const *envp;
	ARGUMENTS(first);

	envp = va_arg(ap, char *const *);
	va_end(ap);
	return execve(path, argv, envp);
}
