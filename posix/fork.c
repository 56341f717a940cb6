/* SPDX-License-Identifier: BSD-3-Clause */
/* fork: the daemon hears of the child before it exists, so that it holds what its parent holds and its death is seen at any
 * time. By pthread_atfork, because daemon() and forkpty() fork inside libc; vfork is a fork (its child would run close and
 * dup2 in the parent's memory), and clone through syscall() calls the same functions. */
#include <pthread.h>

#include "posix/calls.h"
#include "posix/start.h"

#include <sys/syscall.h>

static __thread struct client_fork child;
static __thread uint64_t mask_before;
static __thread bool announced;

/* From here to the end of fork no signal handler may use a lane of the parent in the child. */
void fork_before(void)
{
	uint64_t all = ~UINT64_C(0);

	system_call(SYS_rt_sigprocmask, SIG_SETMASK, (long)&all, (long)&mask_before, sizeof(mask_before), 0, 0);
	epoll_before_fork();
	announced = light_session && client_alive(light_session) && client_fork_prepare(light_session, &child) == 0;
}

void fork_in_parent(void)
{
	int error = errno;

	if (announced)
		client_fork_parent(light_session, &child);
	epoll_after_fork_parent();
	system_call(SYS_rt_sigprocmask, SIG_SETMASK, (long)&mask_before, 0, sizeof(mask_before), 0, 0);
	errno = error;
}

/* Other threads are gone, and what they had locked stays locked. */
static void unlock(int fd, enum descriptor_kind kind, void *object, void *context)
{
	(void)fd;
	(void)context;
	if (kind == DESCRIPTOR_SOCKET)
		atomic_store(&((struct socket *)object)->lock, 0);
}

/* A child that the daemon does not know has no sockets of ours: their numbers stay placeholders, which say ENOTCONN. */
static void forget_all(void)
{
	light_session = NULL;
	for (int fd = 0; fd <= fdtable_highest(); fd++)
		if (fdtable_kind(fd) == DESCRIPTOR_SOCKET)
			fdtable_remove(fd);
}

void fork_in_child(void)
{
	int error = errno;

	fdtable_each(unlock, NULL);
	if (light_session && (!announced || client_fork_child(light_session, &child) != 0))
		forget_all();
	epoll_after_fork_child();
	poll_after_fork_child();
	system_call(SYS_rt_sigprocmask, SIG_SETMASK, (long)&mask_before, 0, sizeof(mask_before), 0, 0);
	errno = error;
}

void fork_register(void)
{
	pthread_atfork(fork_before, fork_in_parent, fork_in_child);
}
