/* SPDX-License-Identifier: BSD-3-Clause */
/* posix_spawn. glibc's makes its child and runs the file actions inside itself, unseen; that is right as long as no Light socket
 * can reach the new program. Otherwise: fork, the actions by our own symbols, exec with the hand-over. */
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "posix/preload.h"

/* glibc's list of actions, behind posix_spawn_file_actions_t.__actions (posix/spawn_int.h of glibc; the same since 2.29). */
enum action_tag { ACTION_CLOSE, ACTION_DUP2, ACTION_OPEN, ACTION_CHDIR, ACTION_FCHDIR, ACTION_CLOSEFROM, ACTION_TCSETPGRP };

struct __spawn_action {
	enum action_tag tag;
	union {
		struct { int fd; } close;
		struct { int fd, to; } dup2;
		struct { int fd; char *path; int flags; mode_t mode; } open;
		struct { char *path; } chdir;
	};
};

/* ---- the child ---- */

static int act_open(const struct __spawn_action *a)
{
	int fd;

	close(a->open.fd);
	fd = open(a->open.path, a->open.flags, a->open.mode);
	if (fd < 0 || fd == a->open.fd)
		return fd;
	if (dup2(fd, a->open.fd) < 0)
		return -1;
	return close(fd);
}

/* dup2 of a number to itself makes it survive the exec. */
static int act_dup2(const struct __spawn_action *a)
{
	if (a->dup2.fd != a->dup2.to)
		return dup2(a->dup2.fd, a->dup2.to);
	return fcntl(a->dup2.fd, F_SETFD, 0);
}

static int act(const struct __spawn_action *a)
{
	switch (a->tag) {
	case ACTION_CLOSE: close(a->close.fd); return 0;        /* one that is closed already is no error */
	case ACTION_DUP2: return act_dup2(a);
	case ACTION_OPEN: return act_open(a);
	case ACTION_CHDIR: return chdir(a->chdir.path);
	case ACTION_FCHDIR: return fchdir(a->close.fd);
	case ACTION_CLOSEFROM: return light_close_range((unsigned)a->close.fd, ~0u, 0);
	case ACTION_TCSETPGRP: return tcsetpgrp(a->close.fd, getpgrp());
	}
	errno = EINVAL;
	return -1;
}

static int set_signals(const posix_spawnattr_t *attributes, short flags)
{
	struct sigaction action = { .sa_handler = SIG_DFL };
	sigset_t set;

	if (flags & POSIX_SPAWN_SETSIGDEF) {
		posix_spawnattr_getsigdefault(attributes, &set);
		for (int signal = 1; signal < NSIG; signal++)
			if (sigismember(&set, signal) == 1)
				sigaction(signal, &action, NULL);
	}
	if (!(flags & POSIX_SPAWN_SETSIGMASK))
		return 0;
	posix_spawnattr_getsigmask(attributes, &set);
	return sigprocmask(SIG_SETMASK, &set, NULL);
}

static int set_scheduling(const posix_spawnattr_t *attributes, short flags)
{
	struct sched_param parameters;
	int policy;

	posix_spawnattr_getschedparam(attributes, &parameters);
	posix_spawnattr_getschedpolicy(attributes, &policy);
	if (flags & POSIX_SPAWN_SETSCHEDULER)
		return sched_setscheduler(0, policy, &parameters);
	return flags & POSIX_SPAWN_SETSCHEDPARAM ? sched_setparam(0, &parameters) : 0;
}

static int prepare(const posix_spawn_file_actions_t *actions, const posix_spawnattr_t *attributes)
{
	short flags = 0;
	pid_t group = 0;

	if (attributes) {
		posix_spawnattr_getflags(attributes, &flags);
		posix_spawnattr_getpgroup(attributes, &group);
		if (set_signals(attributes, flags) != 0 || set_scheduling(attributes, flags) != 0)
			return -1;
	}
	if ((flags & POSIX_SPAWN_SETSID) && setsid() < 0)
		return -1;
	if ((flags & POSIX_SPAWN_SETPGROUP) && setpgid(0, group) != 0)
		return -1;
	if ((flags & POSIX_SPAWN_RESETIDS) && (setegid(getgid()) != 0 || seteuid(getuid()) != 0))
		return -1;
	for (int i = 0; actions && i < actions->__used; i++)
		if (act(&actions->__actions[i]) < 0)
			return -1;
	return 0;
}

/* ---- the parent ---- */

struct spawn {
	const char *path;
	bool search;
	const posix_spawn_file_actions_t *actions;
	const posix_spawnattr_t *attributes;
	char *const *argv, *const *envp;
};

static __attribute__((noreturn)) void child(const struct spawn *s, int report)
{
	if (prepare(s->actions, s->attributes) == 0) {
		if (s->search)
			execvpe(s->path, s->argv, s->envp);
		else
			execve(s->path, s->argv, s->envp);
	}
	libc.write(report, &errno, sizeof(errno));
	_exit(127);
}

static int spawn_by_fork(pid_t *pid, const struct spawn *s)
{
	int pipe_fds[2], high, error = 0;
	pid_t made;

	if (pipe2(pipe_fds, O_CLOEXEC) != 0)
		return errno;
	/* Away from the numbers that the actions write over. */
	high = libc.fcntl(pipe_fds[1], F_DUPFD_CLOEXEC, fdtable_lowest_own());
	libc.close(pipe_fds[1]);
	made = high < 0 ? -1 : libc.fork();
	if (made == 0)
		child(s, high);
	if (made < 0)
		error = errno;
	if (high >= 0)
		libc.close(high);
	if (made > 0 && libc.read(pipe_fds[0], &error, sizeof(error)) == (ssize_t)sizeof(error))
		waitpid(made, NULL, 0);
	libc.close(pipe_fds[0]);
	if (error == 0 && pid)
		*pid = made;
	return error;
}

static void look_for_sockets(int fd, enum descriptor_kind kind, void *object, void *context)
{
	bool *reaches = context;

	(void)object;
	if (kind == DESCRIPTOR_SOCKET && !(libc.fcntl(fd, F_GETFD, 0) & FD_CLOEXEC))
		*reaches = true;
}

/* A socket reaches the new program when it stays open by itself, or when an action copies it. */
static bool sockets_reach(const posix_spawn_file_actions_t *actions)
{
	bool reaches = false;

	if (!light_session)
		return false;
	for (int i = 0; actions && i < actions->__used; i++)
		if (actions->__actions[i].tag == ACTION_DUP2 && fdtable_kind(actions->__actions[i].dup2.fd) == DESCRIPTOR_SOCKET)
			return true;
	fdtable_each(look_for_sockets, &reaches);
	return reaches;
}

EXPORT int posix_spawn(pid_t *restrict pid, const char *restrict path, const posix_spawn_file_actions_t *restrict actions,
		       const posix_spawnattr_t *restrict attributes, char *const argv[restrict], char *const envp[restrict])
{
	if (!sockets_reach(actions))
		return libc.posix_spawn(pid, path, actions, attributes, argv, envp);
	return spawn_by_fork(pid, &(struct spawn){ path, false, actions, attributes, argv, envp });
}

EXPORT int posix_spawnp(pid_t *restrict pid, const char *restrict file, const posix_spawn_file_actions_t *restrict actions,
			const posix_spawnattr_t *restrict attributes, char *const argv[restrict], char *const envp[restrict])
{
	if (!sockets_reach(actions))
		return libc.posix_spawnp(pid, file, actions, attributes, argv, envp);
	return spawn_by_fork(pid, &(struct spawn){ file, true, actions, attributes, argv, envp });
}
