/* SPDX-License-Identifier: BSD-3-Clause */
/* Pipes are the kernel's; splice moves bytes between one and a socket of the host, a page at a time. */
#include "tools/packetdrill/plugin.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/syscall.h>

#define PAGE 4096u              /* POSIX: a pipe that polls writable takes PIPE_BUF bytes at once */

static bool ready(int fd, short events)
{
	struct pollfd p = { .fd = fd, .events = events };

	return syscall(SYS_poll, &p, 1, 0) == 1 && (p.revents & events);
}

static ssize_t socket_to_pipe(int in, int out, size_t n, unsigned flags)
{
	uint8_t page[PAGE];
	ssize_t moved = 0;

	while ((size_t)moved < n && ready(out, POLLOUT)) {
		size_t left = n - (size_t)moved;
		ssize_t got = calls_receive(in, page, left < PAGE ? left : PAGE, moved > 0 || flags & SPLICE_F_NONBLOCK ? MSG_DONTWAIT : 0);

		if (got <= 0)
			return moved > 0 ? moved : got;
		if (syscall(SYS_write, out, page, (size_t)got) != got)
			return -EPIPE;
		moved += got;
	}
	return moved > 0 || n == 0 ? moved : -EAGAIN;
}

/* What the socket does not take stays in the pipe: a duplicate of it (tee) is read and sent first. */
static ssize_t pipe_to_socket(int in, int out, size_t n, unsigned flags)
{
	uint8_t page[PAGE];
	ssize_t moved = 0, got, sent = 0;
	int copy[2];

	if (syscall(SYS_pipe2, copy, O_CLOEXEC | O_NONBLOCK) != 0)
		return -errno;
	while ((size_t)moved < n && ready(in, POLLIN)) {
		size_t left = n - (size_t)moved;

		got = syscall(SYS_tee, in, copy[1], left < PAGE ? left : PAGE, SPLICE_F_NONBLOCK);
		if (got > 0)
			got = syscall(SYS_read, copy[0], page, PAGE);
		if (got <= 0)
			break;
		sent = calls_send(out, page, (size_t)got,
				  (moved > 0 || flags & SPLICE_F_NONBLOCK ? MSG_DONTWAIT : 0) |
				  (flags & SPLICE_F_MORE || (size_t)got < left ? MSG_MORE : 0));
		if (sent <= 0 || syscall(SYS_read, in, page, (size_t)sent) != sent)
			break;
		moved += sent;
		if (sent < got)
			break;
	}
	/* The last part ends the cork of those before it. */
	if (moved > 0 && !(flags & SPLICE_F_MORE))
		calls_send(out, page, 0, MSG_DONTWAIT);
	syscall(SYS_close, copy[0]);
	syscall(SYS_close, copy[1]);
	return moved > 0 || n == 0 ? moved : sent < 0 ? sent : -EAGAIN;
}

int pipe_open(void *userdata, int fds[2])
{
	(void)userdata;
	return (int)syscall(SYS_pipe2, fds, 0);
}

/* Both offsets are always given, 0 standing for none. */
int pipe_splice(void *userdata, int in, loff_t *in_offset, int out, loff_t *out_offset, size_t n, unsigned flags)
{
	long result;

	(void)userdata;
	clock_enter();
	if (is_ours(in) && is_ours(out)) {
		result = -EINVAL;
	} else if ((is_ours(in) && in_offset && *in_offset) || (is_ours(out) && out_offset && *out_offset)) {
		result = -ESPIPE;
	} else if (is_ours(in)) {
		result = socket_to_pipe(in, out, n, flags);
	} else if (is_ours(out)) {
		result = pipe_to_socket(in, out, n, flags);
	} else {
		result = syscall(SYS_splice, in, in_offset && *in_offset ? in_offset : NULL, out,
				 out_offset && *out_offset ? out_offset : NULL, n, flags);
		result = result < 0 ? -errno : result;
	}
	return (int)clock_leave(result);
}
