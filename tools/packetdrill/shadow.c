/* SPDX-License-Identifier: BSD-3-Clause */
/* What packetdrill and its scripts' checks ask of libc and not of the table, when the plug-in is preloaded as well: getsockopt (TCP_INFO and
 * its kin), the last close of every socket, sendfile. times is what packetdrill waits on before a script begins: it changes with every
 * call. In a process that has no host of ours each is the system call alone. */
#include "tools/packetdrill/plugin.h"

#include <errno.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/syscall.h>
#include <sys/times.h>

#define EXPORT __attribute__((visibility("default")))
#define CHUNK 65536u

/* Not in a header: the name of the calls for files of any size. */
EXPORT ssize_t sendfile64(int out, int in, off64_t *offset, size_t n);

static bool in_packetdrill;     /* by its command line, before init says so */

/* Bare system calls: this runs in every process that is started with the library. */
__attribute__((constructor)) static void look_at_command_line(void)
{
	static const char option[] = "--so_filename";
	int fd = (int)syscall(SYS_open, "/proc/self/cmdline", 0, 0);
	char line[4096];
	long n = fd < 0 ? 0 : syscall(SYS_read, fd, line, sizeof(line) - 1);

	for (long i = 0; i + (long)sizeof(option) - 1 <= n; i++)
		in_packetdrill |= (i == 0 || line[i - 1] == 0) && memcmp(line + i, option, sizeof(option) - 1) == 0;
	if (fd >= 0)
		syscall(SYS_close, fd);
}

EXPORT clock_t times(struct tms *t)
{
	static _Atomic long ticks;

	if (!in_packetdrill && !atomic_load(&plugin.active))
		return (clock_t)syscall(SYS_times, t);
	if (t)
		memset(t, 0, sizeof(*t));
	return (clock_t)atomic_fetch_add(&ticks, 1) + 1;
}

/* The table's close is the script's; this one is packetdrill's own, after the script's last line. */
EXPORT int close(int fd)
{
	if (!clock_is_ours(fd))
		return (int)syscall(SYS_close, fd);
	clock_enter();
	packets_report();
	clock_leave(0);
	return calls_close(fd);
}

EXPORT int getsockopt(int fd, int level, int name, void *value, socklen_t *length)
{
	if (!clock_is_ours(fd))
		return (int)syscall(SYS_getsockopt, fd, level, name, value, length);
	clock_enter();
	return (int)clock_leave(embed_getsockopt(plugin.embed, fd, level, name, value, length));
}

/* From the file's place (offset NULL) or an offset of the caller's, which moves on by what was sent. */
static ssize_t send_file(int out, int in, off64_t *offset, size_t n)
{
	off64_t at = offset ? *offset : (off64_t)syscall(SYS_lseek, in, 0L, SEEK_CUR);
	static uint8_t chunk[CHUNK];    /* the lock is held */
	ssize_t sent = 0;

	if (at < 0)
		return offset ? -EINVAL : -errno;
	while ((size_t)sent < n) {
		size_t left = n - (size_t)sent;
		long got = syscall(SYS_pread64, in, chunk, left < CHUNK ? left : CHUNK, at + sent), moved;

		if (got <= 0) {
			sent = got < 0 && sent == 0 ? -errno : sent;
			break;
		}
		moved = calls_send(out, chunk, (size_t)got, (size_t)got < left ? MSG_MORE : 0);
		if (moved < 0 && sent == 0)
			return moved;
		sent += moved > 0 ? moved : 0;
		if (moved < got)
			break;
	}
	if (sent > 0 && offset)
		*offset = at + sent;
	else if (sent > 0)
		syscall(SYS_lseek, in, at + sent, SEEK_SET);
	return sent;
}

EXPORT ssize_t sendfile64(int out, int in, off64_t *offset, size_t n)
{
	if (!clock_is_ours(out))
		return syscall(SYS_sendfile, out, in, offset, n);
	clock_enter();
	return clock_leave(send_file(out, in, offset, n));
}

EXPORT ssize_t sendfile(int out, int in, off_t *offset, size_t n)
{
	return sendfile64(out, in, offset, n);
}
