/* SPDX-License-Identifier: BSD-3-Clause */
/* The real libc functions: a table that starts as bare system calls and is filled by dlsym in the constructor. */
#include "posix/libc.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <time.h>

#define SIGSET_BYTES 8  /* the kernel's sigset_t */

static long answer(long result)
{
	if (result < 0 && result >= -4095) {
		errno = (int)-result;
		return -1;
	}
	return result;
}

#define WORD(x) ((long)(x))
#define RAW(type, name, parameters, number, a, b, c, d, e, f)                                           \
	static type raw_##name parameters                                                              \
	{                                                                                               \
		return (type)answer(system_call(number, WORD(a), WORD(b), WORD(c), WORD(d), WORD(e), WORD(f))); \
	}

RAW(int, socket, (int x, int y, int z), SYS_socket, x, y, z, 0, 0, 0)
RAW(int, socketpair, (int x, int y, int z, int *p), SYS_socketpair, x, y, z, p, 0, 0)
RAW(int, bind, (int fd, const struct sockaddr *p, socklen_t n), SYS_bind, fd, p, n, 0, 0, 0)
RAW(int, listen, (int fd, int n), SYS_listen, fd, n, 0, 0, 0, 0)
RAW(int, accept, (int fd, struct sockaddr *p, socklen_t *n), SYS_accept, fd, p, n, 0, 0, 0)
RAW(int, accept4, (int fd, struct sockaddr *p, socklen_t *n, int f), SYS_accept4, fd, p, n, f, 0, 0)
RAW(int, connect, (int fd, const struct sockaddr *p, socklen_t n), SYS_connect, fd, p, n, 0, 0, 0)
RAW(int, shutdown, (int fd, int how), SYS_shutdown, fd, how, 0, 0, 0, 0)
RAW(int, close, (int fd), SYS_close, fd, 0, 0, 0, 0, 0)
RAW(int, getsockname, (int fd, struct sockaddr *p, socklen_t *n), SYS_getsockname, fd, p, n, 0, 0, 0)
RAW(int, getpeername, (int fd, struct sockaddr *p, socklen_t *n), SYS_getpeername, fd, p, n, 0, 0, 0)
RAW(int, getsockopt, (int fd, int l, int o, void *p, socklen_t *n), SYS_getsockopt, fd, l, o, p, n, 0)
RAW(int, setsockopt, (int fd, int l, int o, const void *p, socklen_t n), SYS_setsockopt, fd, l, o, p, n, 0)
RAW(ssize_t, read, (int fd, void *p, size_t n), SYS_read, fd, p, n, 0, 0, 0)
RAW(ssize_t, write, (int fd, const void *p, size_t n), SYS_write, fd, p, n, 0, 0, 0)
RAW(ssize_t, readv, (int fd, const struct iovec *p, int n), SYS_readv, fd, p, n, 0, 0, 0)
RAW(ssize_t, writev, (int fd, const struct iovec *p, int n), SYS_writev, fd, p, n, 0, 0, 0)
RAW(ssize_t, recv, (int fd, void *p, size_t n, int f), SYS_recvfrom, fd, p, n, f, 0, 0)
RAW(ssize_t, send, (int fd, const void *p, size_t n, int f), SYS_sendto, fd, p, n, f, 0, 0)
RAW(ssize_t, recvfrom, (int fd, void *p, size_t n, int f, struct sockaddr *a, socklen_t *l), SYS_recvfrom, fd, p, n, f, a, l)
RAW(ssize_t, sendto, (int fd, const void *p, size_t n, int f, const struct sockaddr *a, socklen_t l), SYS_sendto, fd, p, n, f, a, l)
RAW(ssize_t, recvmsg, (int fd, struct msghdr *m, int f), SYS_recvmsg, fd, m, f, 0, 0, 0)
RAW(ssize_t, sendmsg, (int fd, const struct msghdr *m, int f), SYS_sendmsg, fd, m, f, 0, 0, 0)
RAW(int, recvmmsg, (int fd, struct mmsghdr *m, unsigned n, int f, struct timespec *t), SYS_recvmmsg, fd, m, n, f, t, 0)
RAW(int, sendmmsg, (int fd, struct mmsghdr *m, unsigned n, int f), SYS_sendmmsg, fd, m, n, f, 0, 0)
RAW(ssize_t, sendfile, (int out, int in, off_t *o, size_t n), SYS_sendfile, out, in, o, n, 0, 0)
RAW(ssize_t, splice, (int in, off64_t *a, int out, off64_t *b, size_t n, unsigned f), SYS_splice, in, a, out, b, n, f)
RAW(ssize_t, tee, (int in, int out, size_t n, unsigned f), SYS_tee, in, out, n, f, 0, 0)
RAW(ssize_t, vmsplice, (int fd, const struct iovec *p, size_t n, unsigned f), SYS_vmsplice, fd, p, n, f, 0, 0)
RAW(ssize_t, pread, (int fd, void *p, size_t n, off_t o), SYS_pread64, fd, p, n, o, 0, 0)
RAW(ssize_t, preadv2, (int fd, const struct iovec *p, int n, off_t o, int f), SYS_preadv2, fd, p, n, o, 0, f)
RAW(ssize_t, pwritev2, (int fd, const struct iovec *p, int n, off_t o, int f), SYS_pwritev2, fd, p, n, o, 0, f)
RAW(int, poll, (struct pollfd *p, nfds_t n, int t), SYS_poll, p, n, t, 0, 0, 0)
RAW(int, select, (int n, fd_set *r, fd_set *w, fd_set *e, struct timeval *t), SYS_select, n, r, w, e, t, 0)
RAW(int, epoll_create, (int n), SYS_epoll_create, n, 0, 0, 0, 0, 0)
RAW(int, epoll_create1, (int f), SYS_epoll_create1, f, 0, 0, 0, 0, 0)
RAW(int, epoll_ctl, (int e, int op, int fd, struct epoll_event *p), SYS_epoll_ctl, e, op, fd, p, 0, 0)
RAW(int, epoll_wait, (int e, struct epoll_event *p, int n, int t), SYS_epoll_wait, e, p, n, t, 0, 0)
RAW(int, epoll_pwait, (int e, struct epoll_event *p, int n, int t, const sigset_t *m), SYS_epoll_pwait, e, p, n, t, m, SIGSET_BYTES)
RAW(int, epoll_pwait2, (int e, struct epoll_event *p, int n, const struct timespec *t, const sigset_t *m), SYS_epoll_pwait2, e, p, n, t, m, SIGSET_BYTES)
RAW(int, dup, (int fd), SYS_dup, fd, 0, 0, 0, 0, 0)
RAW(int, dup2, (int fd, int to), SYS_dup2, fd, to, 0, 0, 0, 0)
RAW(int, dup3, (int fd, int to, int f), SYS_dup3, fd, to, f, 0, 0, 0)
RAW(int, close_range, (unsigned a, unsigned b, int f), SYS_close_range, a, b, f, 0, 0, 0)
RAW(int, execve, (const char *p, char *const *a, char *const *e), SYS_execve, p, a, e, 0, 0, 0)

/* The kernel writes the time left into its copy; the caller's stays as it is. */
static int raw_ppoll(struct pollfd *p, nfds_t n, const struct timespec *t, const sigset_t *m)
{
	struct timespec left = t ? *t : (struct timespec){ 0 };

	return (int)answer(system_call(SYS_ppoll, WORD(p), WORD(n), t ? WORD(&left) : 0, WORD(m), SIGSET_BYTES, 0));
}

static int raw_pselect(int n, fd_set *r, fd_set *w, fd_set *e, const struct timespec *t, const sigset_t *m)
{
	struct timespec left = t ? *t : (struct timespec){ 0 };
	const struct { const sigset_t *mask; size_t bytes; } mask = { m, SIGSET_BYTES };

	return (int)answer(system_call(SYS_pselect6, n, WORD(r), WORD(w), WORD(e), t ? WORD(&left) : 0, WORD(&mask)));
}

static int raw_fcntl(int fd, int command, ...)
{
	va_list ap;
	long argument;

	va_start(ap, command);
	argument = va_arg(ap, long);
	va_end(ap);
	return (int)answer(system_call(SYS_fcntl, fd, command, argument, 0, 0, 0));
}

static int raw_ioctl(int fd, unsigned long request, ...)
{
	va_list ap;
	long argument;

	va_start(ap, request);
	argument = va_arg(ap, long);
	va_end(ap);
	return (int)answer(system_call(SYS_ioctl, fd, (long)request, argument, 0, 0, 0));
}

static int raw_sockatmark(int fd)
{
	int mark = 0;

	return raw_ioctl(fd, 0x8905 /* SIOCATMARK */, &mark) < 0 ? -1 : mark;
}

/* These have no system call of their own: whoever calls them is past the start of the program. */
static pid_t raw_fork(void)
{
	libc_init();
	return libc.fork();
}

static int raw_posix_spawn(pid_t *restrict pid, const char *restrict path, const posix_spawn_file_actions_t *restrict actions,
			   const posix_spawnattr_t *restrict attributes, char *const argv[restrict], char *const envp[restrict])
{
	libc_init();
	return libc.posix_spawn(pid, path, actions, attributes, argv, envp);
}

static int raw_posix_spawnp(pid_t *restrict pid, const char *restrict path, const posix_spawn_file_actions_t *restrict actions,
			    const posix_spawnattr_t *restrict attributes, char *const argv[restrict], char *const envp[restrict])
{
	libc_init();
	return libc.posix_spawnp(pid, path, actions, attributes, argv, envp);
}

static int raw_execvpe(const char *file, char *const argv[], char *const envp[])
{
	libc_init();
	return libc.execvpe(file, argv, envp);
}

static int raw_fexecve(int fd, char *const argv[], char *const envp[])
{
	return (int)answer(system_call(SYS_execveat, fd, WORD(""), WORD(argv), WORD(envp), AT_EMPTY_PATH, 0));
}

static FILE *raw_fdopen(int fd, const char *mode)
{
	libc_init();
	return libc.fdopen(fd, mode);
}

#define LIBC_RAW(name) .name = raw_##name,
struct libc libc = { LIBC_CALLS(LIBC_RAW) };

/* posix_spawn has an old version too (2.2.5: runs a shell for a file without a header), which dlsym might give. */
static void *find(const char *name)
{
	void *found = NULL;

	if (name[0] == 'p' && name[1] == 'o' && name[2] == 's')
		found = dlvsym(RTLD_NEXT, name, "GLIBC_2.15");
	return found ? found : dlsym(RTLD_NEXT, name);
}

void libc_init(void)
{
	static _Atomic int done;

	if (__atomic_load_n(&done, __ATOMIC_ACQUIRE))
		return;
#define LIBC_FIND(name)                                                                        \
	do {                                                                                   \
		void *found = find(#name);                                                     \
		if (found)                                                                     \
			__atomic_store_n((void **)&libc.name, found, __ATOMIC_RELAXED);        \
	} while (0);
	LIBC_CALLS(LIBC_FIND)
	__atomic_store_n(&done, 1, __ATOMIC_RELEASE);
}
