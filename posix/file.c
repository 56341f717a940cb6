/* SPDX-License-Identifier: BSD-3-Clause */
/* Where sockets meet files: sendfile, splice and stdio. The bytes go through a buffer on the stack of the caller, once. */
#include "posix/calls.h"

#define BOUNCE 65536

/* ---- sendfile ---- */

static ssize_t fail(long error)
{
	errno = (int)-error;
	return -1;
}

static long send_bytes(struct socket *s, int fd, void *bytes, size_t n, int flags)
{
	const struct iovec part = { bytes, n };

	return light_send(s, fd, &part, 1, flags);
}

/* Reads only what the socket is ready to take, so that a non-blocking sendfile leaves the rest in the file. */
static long copy_out(struct socket *s, int out, int in, off64_t *offset, size_t n)
{
	char buffer[BOUNCE];
	long sent = 0;

	while ((size_t)sent < n) {
		size_t want = n - (size_t)sent < BOUNCE ? n - (size_t)sent : BOUNCE;
		ssize_t got = libc.pread(in, buffer, want, *offset);
		long moved;

		if (got <= 0)
			return sent > 0 || got == 0 ? sent : -errno;
		moved = send_bytes(s, out, buffer, (size_t)got, 0);
		if (moved < 0)
			return sent > 0 ? sent : moved;
		sent += moved;
		*offset += moved;
		if (moved < got)
			return sent;
	}
	return sent;
}

ssize_t light_sendfile(int out, int in, off64_t *offset, size_t n)
{
	struct socket *s = fdtable_socket(out);
	off64_t at;
	long sent;

	if (!s) {
		if (fdtable_kind(in) == DESCRIPTOR_SOCKET)
			return fail(-EINVAL);   /* a socket is nothing to map */
		return libc.sendfile(out, in, offset, n);
	}
	at = offset ? *offset : lseek(in, 0, SEEK_CUR);
	if (at < 0) {
		socket_put(s);
		return offset ? fail(-EINVAL) : fail(errno == ESPIPE ? -EINVAL : -errno);
	}
	sent = s->type == EP_STREAM ? copy_out(s, out, in, &at, n) : -EOPNOTSUPP;
	socket_put(s);
	if (sent < 0)
		return fail(sent);
	if (offset)
		*offset = at;
	else
		lseek(in, at, SEEK_SET);
	return sent;
}

/* ---- splice ---- */

static int room_in_pipe(int fd, size_t *room)
{
	int size = libc.fcntl(fd, F_GETPIPE_SZ), used = 0;

	*room = 0;
	if (size < 0)
		return -EINVAL;
	if (libc.ioctl(fd, FIONREAD, &used) != 0)
		return -errno;
	/* A pipe counts in pages: what came in small pieces leaves less room than bytes say. */
	*room = used >= size ? 0 : (size_t)(size - used);
	return 0;
}

/* Writing to a full pipe may wait, so the socket is only peeked until the pipe took the bytes. */
static long socket_to_pipe(struct socket *s, int out, size_t n, unsigned flags)
{
	char buffer[BOUNCE];
	struct iovec part = { buffer, n < BOUNCE ? n : BOUNCE };
	size_t room;
	long got;
	ssize_t put;
	int error = room_in_pipe(out, &room);

	if (error != 0)
		return error;
	if (room == 0 && (flags & SPLICE_F_NONBLOCK))
		return -EAGAIN;
	if (room > 0 && part.iov_len > room)
		part.iov_len = room;
	got = light_recv(s, &part, 1, MSG_PEEK);        /* SPLICE_F_NONBLOCK is of the pipe alone */
	if (got <= 0)
		return got;
	put = libc.write(out, buffer, (size_t)got);
	if (put <= 0)
		return put < 0 ? -errno : 0;
	part.iov_len = (size_t)put;
	got = light_recv(s, &part, 1, MSG_DONTWAIT);
	return got < 0 ? got : put;
}

/* Bytes taken out of a pipe cannot go back: first the socket must have room for them. */
static long pipe_to_socket(int in, struct socket *s, int fd, size_t n, unsigned flags)
{
	char buffer[BOUNCE];
	size_t most = n < BOUNCE ? n : BOUNCE;
	long sent = 0;
	ssize_t got;

	if (libc.fcntl(in, F_GETPIPE_SZ) < 0)
		return -EINVAL;
	while (!(client_ready(light_session, s->line) & (EP_WRITABLE | EP_HANGUP | EP_ERROR))) {
		int error = wait_ready(s, EP_WRITABLE, s->nonblocking, deadline(s->send_timeout));

		if (error != 0)
			return error;
	}
	if (flags & SPLICE_F_NONBLOCK) {
		struct pollfd p = { .fd = in, .events = POLLIN };

		if (libc.poll(&p, 1, 0) == 0)
			return -EAGAIN;
	}
	got = libc.read(in, buffer, most);
	if (got <= 0)
		return got < 0 ? -errno : 0;
	while (sent < got) {
		long moved = send_bytes(s, fd, buffer + sent, (size_t)(got - sent), flags & SPLICE_F_MORE ? MSG_MORE : 0);

		if (moved == -EAGAIN)
			moved = wait_ready(s, EP_WRITABLE, false, NSEC_NEVER);
		else if (moved > 0)
			sent += moved;
		if (moved < 0 && moved != -EINTR)
			return sent > 0 ? sent : moved;
	}
	return sent;
}

ssize_t light_splice(int in, off64_t *in_offset, int out, off64_t *out_offset, size_t n, unsigned flags)
{
	struct socket *from = fdtable_socket(in), *to = from ? NULL : fdtable_socket(out);
	struct socket *s = from ? from : to;
	long result;

	if (!s)
		return libc.splice(in, in_offset, out, out_offset, n, flags);
	if (from ? in_offset != NULL : out_offset != NULL)
		result = -EINVAL;
	else if (in_offset || out_offset)
		result = -ESPIPE;
	else if (s->type != EP_STREAM || !is_light(s))
		result = s->type != EP_STREAM ? -EINVAL : -ENOTCONN;
	else if (n == 0)
		result = 0;
	else
		result = from ? socket_to_pipe(s, out, n, flags) : pipe_to_socket(in, s, out, n, flags);
	socket_put(s);
	return result < 0 ? fail(result) : result;
}

/* ---- stdio: its reads and writes happen inside libc, where nobody sees them ---- */

static int cookie_fd(void *cookie)
{
	return (int)(intptr_t)cookie - 1;
}

static ssize_t stream_read(void *cookie, char *to, size_t n)
{
	return read(cookie_fd(cookie), to, n);
}

static ssize_t stream_write(void *cookie, const char *from, size_t n)
{
	ssize_t put = write(cookie_fd(cookie), from, n);

	return put < 0 ? 0 : put;       /* fopencookie(3): a writer says 0, never -1 */
}

static int stream_close(void *cookie)
{
	return light_close(cookie_fd(cookie));
}

/* fileno must keep answering: glibc's FILE has the number in a public member, and a stream with a cookie does not use it. */
FILE *light_fdopen(int fd, const char *mode)
{
	const cookie_io_functions_t calls = { stream_read, stream_write, NULL, stream_close };
	FILE *stream = fopencookie((void *)(intptr_t)(fd + 1), mode, calls);

	if (stream)
		stream->_fileno = fd;
	return stream;
}

/* libc's own streams stay on their numbers for good and read and write inside libc, so once one of these numbers is a Light
 * socket (bash redirects with dup2, inetd's children inherit) ours take their place; what they do on other descriptors is the same. */
void light_follow_standard(int fd)
{
	static bool followed[3];
	FILE *stream;

	if (fd < 0 || fd > 2 || followed[fd] || fdtable_kind(fd) != DESCRIPTOR_SOCKET)
		return;
	if (fd > 0)
		fflush(fd == 1 ? stdout : stderr);
	stream = light_fdopen(fd, fd == 0 ? "r" : "w");
	if (!stream)
		return;
	followed[fd] = true;
	if (fd == 0)
		stdin = stream;
	else if (fd == 1)
		stdout = stream;
	else
		stderr = stream;
	if (fd > 0)
		setvbuf(stream, NULL, fd == 1 ? _IOLBF : _IONBF, 0);
}
