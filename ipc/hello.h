/* SPDX-License-Identifier: BSD-3-Clause */
/* What is said on a session's socket (UNIX, SOCK_SEQPACKET): seldom things, each one packet. A program asks (struct
 * hello), the daemon answers (struct welcome), with descriptors where noted. The socket's end is the session's end. */
#ifndef LIGHT_IPC_HELLO_H
#define LIGHT_IPC_HELLO_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define HELLO_MAGIC 0x4867694cu
#define HELLO_VERSION 2u

enum hello_kind {
	HELLO_ATTACH = 1,   /* a new family on `host`. Answer: fds = constants, shared, data, a doorbell for each core */
	HELLO_RESUME,       /* after exec: the same; a new session over the same family that holds nothing, while
			     * the old one's holds stay until HELLO_RESUMED */
	HELLO_RESUMED,      /* what was not held again is let go */
	HELLO_FORK,         /* Answer: session = the child's number, fd = the child's socket */
	HELLO_CHILD,        /* the first word of a forked child: its pid comes along as a credential */
	HELLO_PIPE,         /* a = waitset. Answer: fd = what becomes readable when it rings */
	HELLO_GOODBYE,      /* an orderly end: connections are closed, not reset. No answer */
	HELLO_CONTROL,      /* lightctl: the text follows the struct; may bring a descriptor. Answers: struct welcome with a =
			     * bytes that follow it in this packet; result 1: more packets come, else the last */
};

struct hello {
	uint32_t magic;
	uint16_t version, kind;
	uint32_t a, b;
	char host[32];
};

struct welcome {
	uint32_t magic;
	int32_t result;     /* 0, -errno */
	uint32_t session, family;
	uint32_t a, b;
};

_Static_assert(sizeof(struct hello) == 48 && sizeof(struct welcome) == 24, "one form on both sides");

#define HELLO_REGION_FDS 3u
#define HELLO_FDS (3 + 16)           /* the region's, and a doorbell for each core (REGION_CORES) */
#define HELLO_TEXT 4096              /* the longest question */
#define HELLO_PIECE 32768            /* the longest piece of an answer, after the struct */

/* Both take and give at most HELLO_FDS descriptors; never block (MSG_DONTWAIT), never signal. send: bytes or -errno. recv: bytes,
 * 0 at the end, or -errno; *fds_n in: room, out: how many came (close-on-exec; what does not fit is closed). pid: the sender's
 * where the socket passes credentials, else unchanged; may be NULL. */
ssize_t hello_send(int socket, const void *bytes, size_t n, const int *fds, unsigned fds_n);
ssize_t hello_recv(int socket, void *bytes, size_t n, int *fds, unsigned *fds_n, pid_t *pid);

#endif
