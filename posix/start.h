/* SPDX-License-Identifier: BSD-3-Clause */
/* How the library comes to life: settings, the session, and how it goes from one program image to the next. */
#ifndef LIGHT_POSIX_START_H
#define LIGHT_POSIX_START_H

#include "posix/fdtable.h"

/* One line on stderr, without stdio (a program may be anywhere in it). */
void complain(const char *what, const char *detail);
/* Settings of the environment if the constructor has not run yet. */
void start_early(void);
/* Another thread may have been attaching. */
void start_after_fork_child(void);
/* The path of this library, for LD_PRELOAD of programs whose environment forgot it; "" if unknown. */
extern char library_path[4096];

/* The process confines itself to few system calls (seccomp): no other is made from now on. */
void light_confine(void);
/* The process ends now, by itself. */
void light_end(void);
extern pid_t session_process;

/* fork.c: to be registered once; and around a raw fork (vfork, clone by syscall). */
void fork_register(void);
void fork_before(void);
void fork_in_parent(void);
void fork_in_child(void);
void fork_watch(void);  /* from the first session on */

/* rights.c: which processes may pass each other sockets. */
extern uint64_t family_token[2];
void family_begin(void);
bool start_join(int session_fd, const uint64_t family[2]);

/* exec.c */
struct handover;
/* The environment to exec with; *h for handover_undo when the exec failed. No Light socket to inherit: envp itself. */
char **handover_prepare(struct handover *h, char *const *envp);
void handover_undo(struct handover *h);
void handover_take_up(const char *value);
struct handover {
	char **environment;     /* NULL: nothing was prepared */
	size_t bytes;
	int memfd;
};

#endif
