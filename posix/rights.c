/* SPDX-License-Identifier: BSD-3-Clause */
/* A Light socket passed to another process over a UNIX socket (SCM_RIGHTS): in its place goes a memfd that names its line; a
 * receiver of the same family (forked, or exec'ed with the session) holds the line and puts a placeholder under the number. The
 * sender must keep its own descriptor until the other side has it, as node and multiprocessing do; anybody else who
 * receives one has a socket that is ENOTCONN. */
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "posix/calls.h"
#include "posix/start.h"

#define PASSED_MAGIC 0x4c475053u
#define CONTROL_MOST 2048
#define PASSED_MOST 64

struct passed {
	uint32_t magic, line, type, wants;
	uint64_t family[2];
	int32_t protocol;
	uint8_t nonblocking;
};

uint64_t family_token[2];

/* ---- out ---- */

static int describe(const struct socket *s)
{
	struct passed p;
	int fd = (int)system_call(SYS_memfd_create, (long)"light-socket", MFD_CLOEXEC | MFD_ALLOW_SEALING, 0, 0, 0, 0);

	if (fd < 0)
		return fd;
	memset(&p, 0, sizeof(p));
	p.magic = PASSED_MAGIC;
	p.line = s->line;
	p.type = s->type;
	p.wants = s->wants;
	memcpy(p.family, family_token, sizeof(p.family));
	p.protocol = s->protocol;
	p.nonblocking = s->nonblocking;
	if (libc.write(fd, &p, sizeof(p)) == (ssize_t)sizeof(p))
		return fd;
	libc.close(fd);
	return -ENOBUFS;
}

/* Replaces our descriptors in a control message; the memfds made go into made[]. */
static int replace(struct cmsghdr *c, int made[PASSED_MOST], int *count)
{
	size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

	for (size_t i = 0; i < n; i++) {
		uint8_t *at = CMSG_DATA(c) + i * sizeof(int);
		struct socket *s;
		int fd, substitute;

		memcpy(&fd, at, sizeof(fd));
		s = fdtable_socket(fd);
		if (!s)
			continue;
		substitute = is_light(s) && *count < PASSED_MOST ? describe(s) : -EOPNOTSUPP;
		socket_put(s);
		if (substitute < 0)
			return substitute;
		made[(*count)++] = substitute;
		memcpy(at, &substitute, sizeof(substitute));
	}
	return 0;
}

static bool is_rights(const struct cmsghdr *c)
{
	return c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS && c->cmsg_len > CMSG_LEN(0);
}

static bool passes_ours(const struct msghdr *m)
{
	if (!m || m->msg_controllen == 0 || !m->msg_control || !light_session)
		return false;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR((struct msghdr *)(uintptr_t)m, c)) {
		if (c->cmsg_len < CMSG_LEN(0))
			return false;   /* the kernel says EINVAL */
		for (size_t i = 0; is_rights(c) && CMSG_LEN((i + 1) * sizeof(int)) <= c->cmsg_len; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(fd), sizeof(fd));
			if (fdtable_kind(fd) == DESCRIPTOR_SOCKET)
				return true;
		}
	}
	return false;
}

static ssize_t send_with_substitutes(int fd, const struct msghdr *m, int flags)
{
	_Alignas(struct cmsghdr) uint8_t control[CONTROL_MOST];
	struct msghdr copy = *m;
	int made[PASSED_MOST], count = 0, error = 0;
	ssize_t result = -1;

	if (m->msg_controllen > sizeof(control)) {
		errno = EOPNOTSUPP;
		return -1;
	}
	memcpy(control, m->msg_control, m->msg_controllen);
	copy.msg_control = control;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&copy); c && error == 0; c = CMSG_NXTHDR(&copy, c))
		if (is_rights(c))
			error = replace(c, made, &count);
	if (error == 0)
		result = libc.sendmsg(fd, &copy, flags);
	error = error != 0 ? -error : errno;
	while (count > 0)
		libc.close(made[--count]);
	errno = error;
	return result;
}

/* ---- in ---- */

static bool read_description(int fd, struct passed *p)
{
	return libc.fcntl(fd, F_GET_SEALS) >= 0 && libc.pread(fd, p, sizeof(*p), 0) == (ssize_t)sizeof(*p) &&
	       p->magic == PASSED_MAGIC && (p->type == EP_STREAM || p->type == EP_DATAGRAM);
}

/* The number is the kernel's choice; the placeholder comes to lie over the memfd. */
static void adopt(int fd, const struct passed *p)
{
	int flags = libc.fcntl(fd, F_GETFD);
	bool cloexec = flags >= 0 && (flags & FD_CLOEXEC);
	int placeholder = fdtable_reserve((enum ep_type)p->type, SOCK_CLOEXEC);
	struct socket *s;

	if (placeholder < 0)
		return;
	libc.dup3(placeholder, fd, cloexec ? O_CLOEXEC : 0);
	libc.close(placeholder);
	if (!light_session || memcmp(p->family, family_token, sizeof(p->family)) != 0 || !fdtable_holds(fd))
		return;
	if (client_hold(light_session, p->line) != 0)
		return;
	s = socket_new_or_null((enum ep_type)p->type, p->protocol, p->nonblocking);
	if (!s) {
		client_close(light_session, p->line);
		return;
	}
	s->line = p->line;
	s->wants = (uint8_t)p->wants;
	atomic_store_explicit(&s->place, SOCKET_LIGHT, memory_order_release);
	fdtable_set_socket(fd, s);
	socket_put(s);
}

/* ---- public ---- */

/* The family begins with its first session and is known to who is forked, or resumes the session. */
void family_begin(void)
{
	system_call(SYS_getrandom, (long)family_token, sizeof(family_token), 0, 0, 0, 0);
}

ssize_t rights_sendmsg(int fd, const struct msghdr *m, int flags)
{
	return passes_ours(m) ? send_with_substitutes(fd, m, flags) : libc.sendmsg(fd, m, flags);
}

ssize_t rights_recvmsg(int fd, struct msghdr *m, int flags)
{
	ssize_t result = libc.recvmsg(fd, m, flags);
	struct passed p;
	int error = errno, passed;

	if (result < 0 || m->msg_controllen == 0 || !m->msg_control)
		return result;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
		for (size_t i = 0; is_rights(c) && CMSG_LEN((i + 1) * sizeof(int)) <= c->cmsg_len; i++) {
			memcpy(&passed, CMSG_DATA(c) + i * sizeof(passed), sizeof(passed));
			if (read_description(passed, &p))
				adopt(passed, &p);
		}
	}
	errno = error;
	return result;
}
