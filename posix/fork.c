/* SPDX-License-Identifier: BSD-3-Clause */
/* fork: the daemon hears of the child before it exists, so that it holds what its parent holds and its death is seen at any
 * time. By pthread_atfork, because daemon() and forkpty() fork inside libc; vfork is a fork (its child would run close and
 * dup2 in the parent's memory), and clone through syscall() calls the same functions. */
#include <pthread.h>

#include "posix/calls.h"
#include "posix/start.h"

#include <sys/mman.h>
#include <sys/syscall.h>

/* The kernel gives a forked child this page empty, however it was forked. */
static _Atomic uint32_t before_attach = 1;
_Atomic uint32_t *fork_mark = &before_attach;

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
	fdtable_forget_all();
}

void fork_in_child(void)
{
	int error = errno;

	atomic_store(fork_mark, 1);
	start_after_fork_child();
	fdtable_each(unlock, NULL);
	session_process = (pid_t)system_call(SYS_getpid, 0, 0, 0, 0, 0, 0);
	if (light_session && (!announced || client_fork_child(light_session, &child) != 0))
		forget_all();
	epoll_after_fork_child();
	poll_after_fork_child();
	system_call(SYS_rt_sigprocmask, SIG_SETMASK, (long)&mask_before, 0, sizeof(mask_before), 0, 0);
	errno = error;
}

void fork_unannounced(void)
{
	if (atomic_exchange(fork_mark, 1) != 0)
		return;
	forget_all();
	complain("a child made by a system call of the program's own has none of its sockets", "");
}

void fork_watch(void)
{
	void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (page == MAP_FAILED || madvise(page, 4096, MADV_WIPEONFORK) != 0)
		return;         /* a kernel before 4.14: such children go unnoticed */
	atomic_store((_Atomic uint32_t *)page, 1);
	fork_mark = page;
}

void fork_register(void)
{
	pthread_atfork(fork_before, fork_in_parent, fork_in_child);
}
