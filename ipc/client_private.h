/* SPDX-License-Identifier: BSD-3-Clause */
/* Inside the program's side of Light. All memory is mapped, all system calls are raw (raw.h); a thread's lanes are found by
 * initial-exec thread-local storage, which needs no allocation. */
#ifndef LIGHT_IPC_CLIENT_PRIVATE_H
#define LIGHT_IPC_CLIENT_PRIVATE_H

#include "ipc/client.h"
#include "ipc/doorbell.h"
#include "ipc/hello.h"
#include "ipc/lane.h"
#include "ipc/region.h"

/* A thread inside the library, and signal handlers that interrupted it there, one upon the other. */
#define CLIENT_DEPTH 4u

struct client_lane {
	struct client *client;
	struct rte_ring *requests, *replies;
	struct lane_words *words;
	uint32_t index, core;
	uint16_t tag;
	_Atomic bool mapped;
};

struct waitset {
	struct client *client;
	struct rte_ring *events[REGION_CORES];
	struct waitset_words *words;
	uint32_t index;
	uint32_t turn;            /* the core whose events are taken first */
	int pipe;                 /* -1: none yet */
	_Atomic uint32_t lock;    /* of arming; process-local */
	uint32_t armed;           /* threads that sleep in the kernel */
	uint32_t rings;           /* bytes read from the pipe */
	_Atomic uint64_t asked;   /* counts REQ_WATCH and REQ_UNWATCH: threads post them through lanes of their own */
};

struct client {
	struct region region;
	uint32_t session;
	uint32_t cores;
	int session_fd, bells[REGION_CORES];
	int lowest_fd;
	uint32_t spin_usec;
	_Atomic uint32_t generation;   /* counts forks: a thread's lanes of before are not its own */
	_Atomic uint32_t socket_lock;  /* one question at a time on the session's socket */
	_Atomic int spin_score;
	_Atomic uint64_t lanes_claimed[SESSION_WORDS], waitsets_claimed[SESSION_WORDS];
	_Atomic uint32_t stock_hint[REGION_CORES];
	_Atomic int lane_tid[REGION_LANES];   /* whose a lane is, on every core; 0: nobody's */
	struct waitset waitsets[REGION_WAITSETS];
	struct client_lane lanes[REGION_CORES][REGION_LANES];
};

/* For tests that run the daemon in the same thread: called instead of every sleep. */
extern void (*client_pump)(void *);
extern void *client_pump_context;

/* Over a socket that is connected already (server_connect); the client owns it. */
int client_attach_socket(int fd, const struct client_options *, struct client **);

static inline struct session_page *client_page(const struct client *c)
{
	return region_session(&c->region, c->session);
}

static inline uint32_t client_seat(const struct client *c, uint32_t core)
{
	return region_seat(core, c->session);
}

static inline struct session_page *client_page_on(const struct client *c, uint32_t core)
{
	return region_session(&c->region, client_seat(c, core));
}

/* ---- client_socket.c ---- */
/* Bytes that can be read: without an urgent byte out of line that comes first. */
uint32_t receive_readable(const struct sock_line *, uint32_t state);

/* ---- client_lane.c ---- */
/* A lane to that core for this thread and this depth; NULL: there is none (all are in use by living threads, or the daemon is gone).
 * Always followed by lane_leave. */
struct client_lane *lane_enter(struct client *, uint32_t core);
void lane_leave(void);
/* Forgets everything of before a fork. */
void lanes_forget(struct client *);
/* Puts a request; waits for room when there is none. 0, -ECONNRESET. */
int lane_post(struct client_lane *, struct request *);
/* Puts a request and waits for its reply: the reply's result, or -ECONNRESET. */
int lane_call(struct client_lane *, struct request *, struct reply *);
/* To the core of the request's line. */
int client_post(struct client *, struct request *);
int client_call(struct client *, struct request *, struct reply *);

/* ---- client_wait.c ---- */
/* Waits while *word == expected, as doorbell_sleep; or runs the pump. */
int client_sleep(_Atomic uint32_t *word, uint32_t expected, nsec until);
/* Spins while it is worth it, until test says true. */
bool client_spin(struct client *, bool (*test)(void *), void *context);
/* Locks of lines (session + 1, high bit: contended). -EINTR: this very thread holds it, beneath a signal handler. -ECONNRESET. */
int line_lock(struct client *, _Atomic uint32_t *);
void line_unlock(_Atomic uint32_t *);
void spin_lock(_Atomic uint32_t *);
void spin_unlock(_Atomic uint32_t *);

/* ---- client.c ---- */
/* A question on the session's socket: signals blocked, one thread at a time. fds as hello_recv. */
int client_ask(struct client *, uint16_t kind, uint32_t a, struct welcome *, int *fds, unsigned *fds_n);
/* Moves a descriptor to lowest_fd or above. */
int client_move_fd(const struct client *, int fd);

/* ---- client_ring.c: the place of bytes ---- */
struct ring_view {
	struct line_extent newest, older;   /* older.size 0: none */
};
void ring_look(const struct line_ring *, struct ring_view *);
/* The memory at an index of the ring, and in *n how many of n bytes are contiguous. */
uint8_t *ring_at(const struct client *, const struct ring_view *, uint32_t index, uint32_t *n);
void ring_write(const struct client *, const struct ring_view *, uint32_t index, const void *, uint32_t n);
void ring_read(const struct client *, const struct ring_view *, uint32_t index, void *, uint32_t n);
/* At most n bytes of the pieces from `skip` on; returns how many were copied. */
uint32_t ring_write_pieces(const struct client *, const struct ring_view *, uint32_t index, const struct iovec *, int count, uint32_t n);
uint32_t ring_read_pieces(const struct client *, const struct ring_view *, uint32_t index, const struct iovec *, int count, uint32_t n);
/* Sender's room for a program, and whether that makes it writable (the stack's own threshold). */
uint32_t send_room(const struct sock_line *, uint32_t capacity);
uint32_t send_room_from(const struct sock_line *, uint32_t tail, uint32_t capacity);
bool send_writable_now(struct client *, uint32_t id);
/* What may be written before more than TCP_NOTSENT_LOWAT waits to be sent. */
uint32_t send_unsent_room(const struct sock_line *);
/* Posts that the ring of a stream is too small; `least` bytes are wanted, or twice what there is. */
void send_ask_for_more(struct client *, uint32_t id, uint32_t least);
/* Asks for a larger send ring; waits for the answer if `wait`. */
int send_grow(struct client *, uint32_t id, uint32_t want, bool wait);
void send_tell(struct client *, uint32_t id);
void receive_tell(struct client *, uint32_t id, uint32_t capacity, uint32_t used_before, uint32_t tail);
size_t iov_bytes(const struct iovec *, int count);

#endif
