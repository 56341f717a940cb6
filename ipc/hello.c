/* SPDX-License-Identifier: BSD-3-Clause */
/* One packet on a session's socket with its descriptors and credentials (hello.h); sendmsg(2), unix(7). */
#include "ipc/hello.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "ipc/raw.h"

union control {
	struct cmsghdr header;
	uint8_t bytes[CMSG_SPACE(HELLO_FDS * sizeof(int)) + CMSG_SPACE(sizeof(struct ucred))];
};

ssize_t hello_send(int socket, const void *bytes, size_t n, const int *fds, unsigned fds_n)
{
	struct iovec v = { .iov_base = (void *)(uintptr_t)bytes, .iov_len = n };
	union control control = { .bytes = { 0 } };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1 };

	if (fds_n > HELLO_FDS)
		return -EINVAL;
	if (fds_n) {
		struct cmsghdr *c = &control.header;

		m.msg_control = &control;
		m.msg_controllen = CMSG_SPACE(fds_n * sizeof(int));
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(fds_n * sizeof(int));
		memcpy(CMSG_DATA(c), fds, fds_n * sizeof(int));
	}
	return raw_call3(SYS_sendmsg, socket, (long)&m, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void take_fds(const struct cmsghdr *c, int *fds, unsigned room, unsigned *taken)
{
	size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int), i;

	for (i = 0; i < n; i++) {
		int fd;

		memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
		if (*taken < room)
			fds[(*taken)++] = fd;
		else
			raw_close(fd);
	}
}

ssize_t hello_recv(int socket, void *bytes, size_t n, int *fds, unsigned *fds_n, pid_t *pid)
{
	struct iovec v = { .iov_base = bytes, .iov_len = n };
	union control control;
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control) };
	unsigned room = fds_n ? *fds_n : 0, taken = 0;
	struct cmsghdr *c;
	ssize_t got = raw_call3(SYS_recvmsg, socket, (long)&m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	if (fds_n)
		*fds_n = 0;
	if (got < 0)
		return got;
	for (c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
		if (c->cmsg_level != SOL_SOCKET)
			continue;
		if (c->cmsg_type == SCM_RIGHTS)
			take_fds(c, fds, room, &taken);
		if (c->cmsg_type == SCM_CREDENTIALS && pid) {
			struct ucred who;

			memcpy(&who, CMSG_DATA(c), sizeof(who));
			*pid = who.pid;
		}
	}
	if (fds_n)
		*fds_n = taken;
	if (m.msg_flags & (MSG_TRUNC | MSG_CTRUNC))
		got = -EMSGSIZE;
	return got;
}
