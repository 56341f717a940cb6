/* SPDX-License-Identifier: BSD-3-Clause */
/* Inside the embedding API: the host, its link, the files of its process. */
#ifndef LIGHT_SIM_EMBED_STATE_H
#define LIGHT_SIM_EMBED_STATE_H

#include "embed.h"
#include "stack/link.h"

/* ---- embed_link.c: an Ethernet link to a router that answers for every address ---- */
struct embed_frame;
struct embed_queue {
	struct embed_frame *first, **last;
	size_t count;
};
struct embed_link {
	struct link link;
	const nsec *clock;
	struct embed_queue in, out;     /* frames for the host; IP packets from it */
};
void embed_link_open(struct embed_link *, uint16_t mtu, const nsec *clock);
void embed_link_close(struct embed_link *);

/* ---- files of the process ---- */
enum embed_kind { EMBED_SOCKET = 1, EMBED_EPOLL };

struct embed_file {
	enum embed_kind kind;
	int number;
	unsigned calls;                 /* that use it; the last of them frees it when it is closed */
	bool closed;
};

struct embed_socket {
	struct embed_file file;         /* first */
	ep_id ep;
	enum ep_type type;
	int domain, protocol;
	bool nonblocking, listening;
	bool connecting;                /* the program has not heard yet how its connect ended */
	bool idle;                      /* a stream that neither listens nor ever was to be connected */
	bool more;                      /* corked by MSG_MORE */
	uint8_t wants;                  /* WANT_* of posix/optmap.h */
	nsec receive_timeout, send_timeout;
	uint32_t edges_in, edges_out;   /* events of the stack, for edge-triggered watches */
};

struct embed_watch {
	int fd;
	struct epoll_event event;
	bool silent;                    /* EPOLLONESHOT, after its event */
	bool fresh;                     /* added or modified since it was last reported */
	uint32_t seen_in, seen_out;
	struct embed_watch *next;       /* in the order of turns: who was reported goes last */
};

struct embed_epoll {
	struct embed_file file;         /* first */
	struct embed_watch *watches;
};

struct embed_waiter {
	nsec until;
	struct embed_waiter *next;
};

struct embed {
	struct stack *stack;
	int interface;
	nsec now;
	struct embed_hooks hooks;
	struct embed_link link;
	struct embed_file **files;      /* by number; NULL: free */
	int file_room;
	struct embed_waiter *waiters;
};

/* Does what is due at this instant. */
void embed_settle(struct embed *);
/* Sleeps until something may have changed. 0: look again; -EAGAIN: `until` has come; -errno. */
int embed_wait(struct embed *, nsec until);
nsec embed_until(const struct embed *, nsec timeout);   /* 0: never */

/* ---- embed_file.c ---- */
/* In the table under a number of its own, which is returned; or -errno. */
int embed_file_add(struct embed *, struct embed_file *);
/* For the time of a call; NULL: no such number, or of another kind. Pair with embed_file_put. */
struct embed_file *embed_file_get(struct embed *, int fd, enum embed_kind);
void embed_file_put(struct embed_file *);
/* Takes it out of the table and every epoll set. The caller still holds it. */
void embed_file_remove(struct embed *, struct embed_file *);
void embed_files_free(struct embed *);

static inline struct embed_socket *embed_socket_get(struct embed *e, int fd)
{
	return (struct embed_socket *)(void *)embed_file_get(e, fd, EMBED_SOCKET);
}

static inline void embed_socket_put(struct embed_socket *s)
{
	embed_file_put(&s->file);
}

/* ---- embed_socket.c ---- */
/* -EBADF, or -ENOTSOCK for another file of ours. */
int embed_no_socket(const struct embed *, int fd);
/* -EAFNOSUPPORT, -EINVAL, -EFAULT; -EADDRNOTAVAIL for an address of IPv6. */
int embed_name_read(const struct embed_socket *, const struct sockaddr *, socklen_t, struct ep_name *);
void embed_name_write(const struct embed_socket *, const struct ep_name *, struct sockaddr *, socklen_t *);
/* MSG_FASTOPEN (RFC 7413). 0: send now; -EINPROGRESS and all that connect says. */
int embed_connect_to_send(struct embed *, struct embed_socket *, const struct sockaddr *, socklen_t, bool nonblocking);
enum tcp_state embed_state(struct embed *, const struct embed_socket *);

/* ---- embed_wait.c ---- */
void embed_unwatch(struct embed *, int fd);
void embed_watches_free(struct embed_epoll *);

#endif
