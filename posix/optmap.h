/* SPDX-License-Identifier: BSD-3-Clause */
/* Socket options between Linux's form (level, name, bytes) and the stack's (enum ep_option, a number): one table, for the preload
 * library and for the simulated process of sim/ alike. Pure: no socket, no system call. Results are 0 or -errno. */
#ifndef LIGHT_POSIX_OPTMAP_H
#define LIGHT_POSIX_OPTMAP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "stack/endpoint.h"

/* Control messages that a program wants with each datagram. */
enum { WANT_PKTINFO = 1 << 0, WANT_TTL = 1 << 1, WANT_TOS = 1 << 2 };

enum optmap_kind {
	OPTMAP_BOOL, OPTMAP_INT, OPTMAP_LINGER, OPTMAP_BUFFER, OPTMAP_BUFFER_FORCE,
	OPTMAP_TIMEOUT,         /* nanoseconds; 0: none. The caller keeps it */
	OPTMAP_WANT,            /* more: a WANT_* that the caller keeps */
	OPTMAP_RATE,            /* bytes a second, 32 or 64 bits; ~0: none */
	OPTMAP_CONGESTION,      /* enum ep_congestion; a name to the program */
	/* These name an interface of groups (optmap_interface). Set only, but for the first; to the program that one is an address. */
	OPTMAP_INTERFACE, OPTMAP_MEMBERSHIP, OPTMAP_MEMBERSHIP_REQUEST,
};

struct optmap {
	int level, name;
	enum optmap_kind kind;
	int ep;                 /* enum ep_option; 0: the caller keeps it, the stack knows nothing of it */
	int least, most;        /* OPTMAP_INT */
	unsigned more;
	bool stream_only;
	bool datagram_only;     /* a stream's caller says -EINVAL */
};

/* NULL: Light has none of this name for this type of socket. */
const struct optmap *optmap_find_or_null(enum ep_type, int level, int name);
/* Of OPTMAP_INTERFACE and after: the interface as endpoint.h names it (0, a number, an address in host order). */
uint32_t optmap_interface(const struct optmap *, int64_t number);
static inline bool optmap_names_interface(const struct optmap *o)
{
	return o->kind >= OPTMAP_INTERFACE;
}
/* The program's bytes as a number. privileged: may have what needs CAP_NET_ADMIN. -EINVAL, -EDOM, -EPERM, -ENOENT, -ENODEV, -EADDRNOTAVAIL. */
int optmap_read(const struct optmap *, bool privileged, const void *value, socklen_t length, int64_t *number);
/* A number in the program's form, cut to what it has room for; *length says how much was written. */
int optmap_write(const struct optmap *, int64_t number, void *value, socklen_t *length);
int optmap_write_int(int level, int64_t number, void *value, socklen_t *length);
int optmap_write_bytes(const void *from, size_t n, void *value, socklen_t *length);
/* Options that carry no number for the stack: what Linux says to one who sets them here. */
int optmap_set_special(int level, int name, const void *value, socklen_t length);

#endif
