/* SPDX-License-Identifier: BSD-3-Clause */
/* exec: what is not close-on-exec goes on in the new image. The session's socket and a memfd with the table cross the exec as
 * descriptors, LIGHT_HANDOVER names them; the constructor there takes the session up again. A program with nothing to
 * inherit simply ends its session. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "posix/calls.h"
#include "posix/early.h"
#include "posix/start.h"

#define HANDOVER_MAGIC 0x4c474831u

struct handover_head {
	uint32_t magic, count;
	int32_t session_fd;
	uint64_t family[2];
	struct settings settings;
};

/* Followed by `early` options. */
struct handover_entry {
	int32_t fd;
	int32_t first_fd;       /* a duplicate: the number that came before it; -1 */
	uint32_t line, type, place, wants, early;
	int32_t protocol, owner_pid;
	uint8_t nonblocking, bound_any, more, connecting;
	nsec receive_timeout, send_timeout;
};

/* ---- before: writing ---- */

struct writing {
	int memfd;
	uint32_t count;
	bool failed;
};

static void put(struct writing *w, const void *bytes, size_t n)
{
	if (n > 0 && libc.write(w->memfd, bytes, n) != (ssize_t)n)
		w->failed = true;
}

static bool closed_by_exec(int fd)
{
	int flags = libc.fcntl(fd, F_GETFD, 0);

	return flags < 0 || (flags & FD_CLOEXEC);
}

static void count_inherited(int fd, enum descriptor_kind kind, void *object, void *context)
{
	(void)object;
	if (kind == DESCRIPTOR_SOCKET && !closed_by_exec(fd))
		(*(uint32_t *)context)++;
}

/* The lowest number of the same socket that also stays open. */
static int first_kept(const struct socket *s)
{
	for (int fd = 0; fd <= fdtable_highest(); fd++) {
		struct socket *other = fdtable_socket(fd);

		if (!other)
			continue;
		socket_put(other);
		if (other == s && !closed_by_exec(fd))
			return fd;
	}
	return -1;
}

static void write_entry(int fd, enum descriptor_kind kind, void *object, void *context)
{
	struct writing *w = context;
	struct socket *s = object;
	struct handover_entry e;
	int first = -1;

	if (kind != DESCRIPTOR_SOCKET || closed_by_exec(fd))
		return;
	if (atomic_load(&s->descriptors) > 1)
		first = first_kept(s);
	memset(&e, 0, sizeof(e));
	e = (struct handover_entry){
		.fd = fd, .first_fd = first != fd ? first : -1, .line = s->line, .type = s->type, .place = s->place,
		.wants = s->wants, .early = s->early ? s->early->count : 0, .protocol = s->protocol, .owner_pid = s->owner_pid,
		.nonblocking = s->nonblocking, .bound_any = s->bound_any, .more = s->more, .connecting = s->connecting,
		.receive_timeout = s->receive_timeout, .send_timeout = s->send_timeout,
	};
	put(w, &e, sizeof(e));
	if (e.early)
		put(w, s->early->options, e.early * sizeof(s->early->options[0]));
	w->count++;
}

static int write_table(void)
{
	struct handover_head head = { HANDOVER_MAGIC, 0, client_session_fd(light_session), { family_token[0], family_token[1] }, settings };
	struct writing w = { .memfd = (int)system_call(SYS_memfd_create, (long)"light-handover", 0, 0, 0, 0, 0) };
	int high;

	if (w.memfd < 0)
		return -1;
	high = libc.fcntl(w.memfd, F_DUPFD, fdtable_lowest_own());
	if (high >= 0) {
		libc.close(w.memfd);
		w.memfd = high;
	}
	put(&w, &head, sizeof(head));
	fdtable_each(write_entry, &w);
	head.count = w.count;
	if (w.failed || system_call(SYS_pwrite64, w.memfd, (long)&head, sizeof(head), 0, 0, 0) != sizeof(head)) {
		libc.close(w.memfd);
		return -1;
	}
	return w.memfd;
}

/* ---- before: the environment ---- */

static bool is_variable(const char *entry, const char *name)
{
	size_t n = strlen(name);

	return strncmp(entry, name, n) == 0 && entry[n] == '=';
}

static bool make_environment(struct handover *h, char *const *envp)
{
	size_t count = 0, preload = 0, text;
	char **to, *strings;
	const char *before = "";

	for (; envp && envp[count]; count++)
		if (is_variable(envp[count], "LD_PRELOAD"))
			before = envp[count] + strlen("LD_PRELOAD=");
	text = strlen(before) + strlen(library_path) + 64;
	h->bytes = (count + 3) * sizeof(char *) + text;
	to = mmap(NULL, h->bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (to == MAP_FAILED)
		return false;
	h->environment = to;
	strings = (char *)(to + count + 3);
	for (size_t i = 0; i < count; i++)
		if (!is_variable(envp[i], "LIGHT_HANDOVER") && !is_variable(envp[i], "LD_PRELOAD"))
			*to++ = envp[i];
	preload = (size_t)snprintf(strings, text, "LD_PRELOAD=%s%s%s", before,
				   strstr(before, library_path) || !*before ? "" : ":",
				   strstr(before, library_path) ? "" : library_path);
	*to++ = strings;
	snprintf(strings + preload + 1, text - preload - 1, "LIGHT_HANDOVER=%d", h->memfd);
	*to++ = strings + preload + 1;
	*to = NULL;
	return true;
}

/* A UNIX socket beyond the standard streams (node's channel, multiprocessing): sockets may come over it, which only a
 * member of the family can take. */
static bool inherits_channel(void)
{
	for (int fd = 3; fd < 32; fd++) {
		int domain, flags = libc.fcntl(fd, F_GETFD, 0);
		socklen_t length = sizeof(domain);

		if (flags >= 0 && !(flags & FD_CLOEXEC) && libc.getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &length) == 0 && domain == AF_UNIX)
			return true;
	}
	return false;
}

char **handover_prepare(struct handover *h, char *const *envp)
{
	uint32_t inherited = 0;

	memset(h, 0, sizeof(*h));
	h->memfd = -1;
	if (!light_session || !client_alive(light_session))
		return (char **)(uintptr_t)envp;
	fdtable_each(count_inherited, &inherited);
	if (inherited == 0 && !inherits_channel())
		return (char **)(uintptr_t)envp;
	h->memfd = write_table();
	if (h->memfd < 0 || !make_environment(h, envp)) {
		complain("sockets are lost at exec: ", "no memory for the table");
		handover_undo(h);
		return (char **)(uintptr_t)envp;
	}
	libc.fcntl(client_session_fd(light_session), F_SETFD, 0);
	return h->environment;
}

void handover_undo(struct handover *h)
{
	int error = errno;

	if (h->memfd >= 0)
		libc.close(h->memfd);
	if (h->environment) {
		libc.fcntl(client_session_fd(light_session), F_SETFD, FD_CLOEXEC);
		munmap(h->environment, h->bytes);
	}
	errno = error;
}

/* ---- after: the new image ---- */

static bool get(int fd, void *to, size_t n)
{
	return n == 0 || libc.read(fd, to, n) == (ssize_t)n;
}

static struct socket *restore(const struct handover_entry *e)
{
	struct socket *s = socket_new_or_null((enum ep_type)e->type, e->protocol, e->nonblocking);

	if (!s)
		return NULL;
	s->line = e->line;
	atomic_store(&s->place, e->place);
	s->wants = (uint8_t)e->wants;
	s->owner_pid = e->owner_pid;
	s->bound_any = e->bound_any;
	s->more = e->more;
	s->connecting = e->connecting;
	s->receive_timeout = e->receive_timeout;
	s->send_timeout = e->send_timeout;
	return s;
}

static bool take_up_entry(int memfd)
{
	struct handover_entry e;
	struct early_option options[EARLY_OPTIONS];
	struct socket *s;

	if (!get(memfd, &e, sizeof(e)) || e.early > EARLY_OPTIONS || !get(memfd, options, e.early * sizeof(options[0])))
		return false;
	if (e.first_fd >= 0 && e.first_fd < e.fd) {
		fdtable_copy(e.first_fd, e.fd);
		return true;
	}
	s = e.place == SOCKET_LIGHT && client_hold(light_session, e.line) != 0 ? NULL : restore(&e);
	if (!s)
		return false;
	if (e.early > 0 && early_or_null(s)) {
		s->early->count = e.early;
		memcpy(s->early->options, options, e.early * sizeof(options[0]));
	}
	fdtable_set_socket(e.fd, s);
	socket_put(s);
	return true;
}

void handover_take_up(const char *value)
{
	struct handover_head head;
	struct client_options options;
	struct client *client = NULL;
	int memfd = atoi(value);
	bool good;

	if (memfd < 3)
		return;
	system_call(SYS_lseek, memfd, 0, SEEK_SET, 0, 0, 0);
	if (!get(memfd, &head, sizeof(head)) || head.magic != HANDOVER_MAGIC)
		return;
	settings = head.settings;
	memcpy(family_token, head.family, sizeof(family_token));
	options = (struct client_options){ .socket_path = settings.socket_path, .host = settings.host[0] ? settings.host : NULL,
					   .spin_usec = settings.spin_usec, .lowest_fd = fdtable_lowest_own() };
	libc.fcntl(head.session_fd, F_SETFD, FD_CLOEXEC);
	good = client_resume(head.session_fd, &options, &client) == 0;
	if (good) {
		fork_watch();
		session_process = getpid();
		light_session = client;
	}
	for (uint32_t i = 0; good && i < head.count; i++)
		good = take_up_entry(memfd);
	if (light_session && client_resume_done(light_session) != 0)
		good = false;
	if (!good)
		complain("the sockets of the program before are lost: ", "no session to take up");
	libc.close(memfd);
	for (int fd = 0; fd <= 2; fd++)
		light_follow_standard(fd);
}
