/* SPDX-License-Identifier: BSD-3-Clause */
/* A Light socket passed to another process over a UNIX socket (SCM_RIGHTS): in its place goes one end of a pair, in whose queue lie
 * the number of the line and a session's descriptor that holds it on the way. A receiver of the same family (forked, or
 * exec'ed with the session), or one that has no session yet and so joins the family, takes them and puts a placeholder under the
 * number; to anybody else it is a socket that is ENOTCONN. */
#include <string.h>
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

union rights {
	struct cmsghdr head;
	char bytes[CMSG_SPACE(sizeof(int))];
};

/* What a receiver finds in the queue: `session` travels along. */
static int enqueue(int to, const struct passed *p, int session)
{
	union rights control = { .head = { CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS } };
	struct iovec part = { (void *)(uintptr_t)p, sizeof(*p) };
	struct msghdr m = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control.bytes) };

	memcpy(CMSG_DATA(&control.head), &session, sizeof(session));
	return libc.sendmsg(to, &m, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)sizeof(*p) ? 0 : -ENOBUFS;
}

/* A descriptor to send instead, or -errno. */
static int describe(const struct socket *s)
{
	struct passed p;
	struct client_fork hold;
	int pair[2], error;

	memset(&p, 0, sizeof(p));
	p.magic = PASSED_MAGIC;
	p.line = s->line;
	p.type = s->type;
	p.wants = s->wants;
	memcpy(p.family, family_token, sizeof(p.family));
	p.protocol = s->protocol;
	p.nonblocking = s->nonblocking;
	error = client_fork_prepare(light_session, &hold);
	if (error != 0)
		return error;
	if (libc.socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) {
		client_fork_parent(light_session, &hold);
		return -ENOBUFS;
	}
	error = enqueue(pair[1], &p, hold.child_fd);
	client_fork_parent(light_session, &hold);
	libc.close(pair[1]);
	if (error == 0)
		return pair[0];
	libc.close(pair[0]);
	return error;
}

/* Replaces our descriptors in a control message; the pairs' ends go into made[]. */
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

/* The session that held the line on the way, or -1: a descriptor of another kind. */
static int dequeue(int fd, struct passed *p)
{
	union rights control;
	struct iovec part = { p, sizeof(*p) };
	struct msghdr m = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control.bytes) };
	int type, session;
	socklen_t length = sizeof(type);

	if (libc.getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length) != 0 || type != SOCK_SEQPACKET)
		return -1;
	if (libc.recv(fd, p, sizeof(*p), MSG_PEEK | MSG_DONTWAIT) != (ssize_t)sizeof(*p) || p->magic != PASSED_MAGIC ||
		(p->type != EP_STREAM && p->type != EP_DATAGRAM))
		return -1;
	if (libc.recvmsg(fd, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC) != (ssize_t)sizeof(*p) || m.msg_controllen < CMSG_LEN(sizeof(int)))
		return -1;
	memcpy(&session, CMSG_DATA(&control.head), sizeof(session));
	return session;
}

static void hold(int fd, const struct passed *p)
{
	struct socket *s;

	if (!fdtable_holds(fd) || client_hold(light_session, p->line) != 0)
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

/* The number is the kernel's choice; the placeholder comes to lie over the pair's end. */
static void adopt(int fd, const struct passed *p, int session)
{
	int flags = libc.fcntl(fd, F_GETFD);
	bool cloexec = flags >= 0 && (flags & FD_CLOEXEC);
	int placeholder = fdtable_reserve((enum ep_type)p->type, SOCK_CLOEXEC);

	if (placeholder >= 0) {
		libc.dup3(placeholder, fd, cloexec ? O_CLOEXEC : 0);
		libc.close(placeholder);
	}
	if (!light_session) {
		if (start_join(session, p->family)) {
			hold(fd, p);
			client_resume_done(light_session);
		}
		return;
	}
	if (memcmp(p->family, family_token, sizeof(p->family)) == 0)
		hold(fd, p);
	client_passed(session);
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
	int error = errno, passed, session;

	if (result < 0 || m->msg_controllen == 0 || !m->msg_control)
		return result;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
		for (size_t i = 0; is_rights(c) && CMSG_LEN((i + 1) * sizeof(int)) <= c->cmsg_len; i++) {
			memcpy(&passed, CMSG_DATA(c) + i * sizeof(passed), sizeof(passed));
			session = dequeue(passed, &p);
			if (session >= 0)
				adopt(passed, &p, session);
		}
	}
	errno = error;
	return result;
}
