/* SPDX-License-Identifier: BSD-3-Clause */
/* The daemon's own books on families, sessions, lines, lanes and waitsets. Nothing here lies in shared memory, and nothing here is
 * ever set from shared memory without a check. */
#ifndef LIGHT_IPC_SERVER_PRIVATE_H
#define LIGHT_IPC_SERVER_PRIVATE_H

#include <sys/queue.h>

#include "ipc/client.h"  /* struct host_info */
#include "ipc/doorbell.h"
#include "ipc/hello.h"
#include "ipc/lane.h"
#include "ipc/region.h"
#include "ipc/server.h"

#define LINE_NIL UINT32_MAX
#define NOBODY UINT32_MAX
#define HOLDER_WORDS (REGION_SESSIONS / 64)
#define EXTENT_MIN (16u << 10)
#define EXTENT_MAX (4u << 20)
#define EXTENT_CLASSES 9u
#define BACKLOG_MAX (EXTENT_MIN / 4u)   /* children's numbers that fit into one small extent */
#define OWNER_ABORTED UINT32_MAX        /* in sock_line.owner: nobody may claim this child any more */

/* A growing array of 8-byte things. */
struct vector {
	uint64_t *items;
	size_t n, room;
};
bool vector_add(struct vector *, uint64_t);

/* All programs of one user. */
struct user {
	LIST_ENTRY(user) node;
	uid_t uid;
	uint32_t families, lines;
	uint64_t data;
};

/* extents.c: the data area of a family, lent in powers of two. Free ones are kept warm (pages stay) up to a mark. */
struct extents {
	uint8_t *base;
	uint64_t size, top, lent, warm;
	struct vector free[EXTENT_CLASSES][2];  /* [cold, warm]: byte offsets */
};

enum line_use {
	LINE_FREE,
	LINE_GRANTED,   /* in the stock of `session` */
	LINE_USED,      /* has holders */
	LINE_WAITING,   /* an accepted child that nobody claimed yet */
	LINE_LEAVING,   /* nobody holds it; the stack still closes it */
};

struct watch;

struct line_record {
	ep_id ep;
	uint64_t holders[HOLDER_WORDS];
	struct watch *watches;
	uint32_t next, previous;   /* free list; or siblings of a WAITING child */
	uint32_t parent;           /* WAITING: the listener */
	uint32_t children;         /* listener: first WAITING child */
	uint32_t state;            /* what sock_line.state says */
	uint32_t changed;          /* EP_* to publish */
	uint32_t session;          /* GRANTED: whose */
	uint32_t generation;       /* counts uses */
	uint32_t backlog_head;     /* listener: children ever announced */
	uint8_t *backlog;          /* listener: an extent of EXTENT_MIN bytes */
	uint8_t use, type;
	bool queued;               /* in server->changes */
	bool newborn;              /* adopted in this turn: names to publish, listener to tell */
	bool active;               /* it called connect */
};

struct session;

struct lane {
	struct session *session;
	uint32_t index, taken, put;
	bool open, mapped, touched;
};

struct waitset_record {
	struct session *session;
	uint32_t index, put;
	int pipe, pipe_reader;               /* -1: none asked for yet */
	LIST_HEAD(, watch) watches;
	TAILQ_HEAD(, watch) pending;
	bool queued, touched;                /* in server->full / server->rung */
};

struct watch {
	LIST_ENTRY(watch) of_set;
	TAILQ_ENTRY(watch) of_pending;
	struct watch *next;                  /* of the line */
	struct waitset_record *set;
	uint64_t cookie;
	uint64_t asked;                      /* the count in the request that made it so */
	uint32_t line, mask, pending;
	uint32_t put_end, put_mask;          /* the newest event in the ring: its end index, what it said */
	bool exclusive;
};

enum session_state { SESSION_LIVE, SESSION_GHOST, SESSION_ENDING, SESSION_DEAD };

struct connection;

struct session {
	TAILQ_ENTRY(session) node;           /* server->sessions, server->ending or server->dead */
	struct family *family;
	struct connection *connection;       /* NULL: ghost or ended */
	struct session *ghost;               /* after exec: the old image's, until HELLO_RESUMED */
	uint32_t number;
	enum session_state state;
	bool orderly;                        /* ending: close, do not reset */
	pid_t pid;
	uint32_t lines;                      /* held and granted */
	uint32_t cursor;                     /* ending: lines looked at */
	uint64_t again[SESSION_WORDS];       /* lanes with more than a batch */
	uint64_t lanes_open[SESSION_WORDS], waitsets_open[SESSION_WORDS];
	uint32_t stock[REGION_STOCK];        /* number + 1 of what lies in that slot */
	uint64_t requests;
	struct waitset_record *waitsets[REGION_WAITSETS];
	struct lane lanes[REGION_LANES];
};

struct family {
	LIST_ENTRY(family) node;
	struct server *server;
	struct server_host *host;
	struct user *user;
	uint32_t number, sessions_n, session_next;
	struct region region;
	struct region_fds fds;
	int bell;
	struct extents extents;
	struct line_record *lines;
	uint32_t lines_top, lines_free, lines_n;
	struct session *sessions[REGION_SESSIONS];
};

enum connection_kind { CONNECTION_NEW, CONNECTION_PROGRAM, CONNECTION_CONTROL };

/* A socket and what it became. */
struct connection {
	TAILQ_ENTRY(connection) node;
	enum connection_kind kind;
	int fd, pidfd;
	uid_t uid;
	pid_t pid;
	bool dead;
	struct session *session;
	struct server_answer *answer;
};

struct server_answer {
	uint8_t *bytes;
	size_t n, room, sent;
	int result;
};

struct server_host {
	struct server *server;
	struct server_host *next;
	struct stack *stack;
	struct host_info info;
	char name[32];
};

TAILQ_HEAD(sessions, session);
TAILQ_HEAD(connections, connection);

struct server {
	struct server_config config;
	char path[108];
	int listener, epoll;
	struct server_host *hosts;
	LIST_HEAD(, family) families;
	LIST_HEAD(, user) users;
	struct family **numbers;             /* by family number; quota.families of them */
	struct sessions sessions, ending, dead;
	struct connections connections, dead_connections;
	struct vector changes;               /* owner words */
	struct vector lanes, full, rung;     /* struct lane *, waitsets with pending events, waitsets to wake */
	uint64_t turn;
	uint32_t strangers;                  /* connections that have not said what they are */
	bool look;                           /* sockets are looked at in the next turn */
	bool asleep, stopped;
	struct server_stats stats;
};

void server_log(struct server *, const char *format, ...) __attribute__((format(printf, 2, 3)));

static inline uint64_t owner_word(const struct family *f, uint32_t line)
{
	return (uint64_t)(f->number + 1) << 32 | line;
}

static inline bool holds(const struct line_record *l, uint32_t session)
{
	return l->holders[session / 64] >> (session % 64) & 1;
}

/* ---- extents.c ---- */
/* quota bounds what may be lent; 0 bytes: none. Gives its size through *got. */
uint8_t *extents_lend_or_null(struct extents *, uint32_t want, uint64_t quota, uint32_t *got);
void extents_give_back(struct extents *, int data_fd, uint8_t *base, uint32_t size, uint64_t warm_most);
void extents_free(struct extents *);

/* ---- family.c ---- */
int family_new(struct server *, struct server_host *, uid_t, struct family **);
void family_free(struct family *);
/* Frees it when no session and no line is left. */
void family_settle(struct family *);
struct family *family_of(struct server *, uint64_t owner);   /* NULL: none */
void family_tell_host(struct family *);
void family_end(struct family *);                            /* marks the daemon dead for its programs */

/* ---- session.c ---- */
int session_new(struct family *, struct connection *, struct session **);
/* The child gets all that the parent holds. */
int session_fork(struct session *parent, struct connection *, struct session **child);
/* connection's session becomes a ghost, a new one takes its place. */
int session_resume(struct session *, struct session **fresh);
void session_resumed(struct session *);
/* why NULL: no log line (an ordinary end). */
void session_end(struct session *, bool orderly, const char *why);
/* An orderly end: what lies in its lanes is carried out first. */
void session_goodbye(struct session *);
void session_died(struct session *);
void session_violation(struct session *, const char *what);
/* Opens and closes what the program's words ask for. */
void session_control(struct session *);
void session_fill_stock(struct session *);
/* Goes on ending sessions; returns the work done. */
unsigned session_ending_step(struct server *);
/* Frees what is in server->dead. */
void session_bury(struct server *);

/* ---- lines.c ---- */
uint32_t line_allocate(struct family *);        /* LINE_NIL: quota */
void line_free(struct family *, uint32_t line);
int line_open(struct session *, uint32_t line, enum ep_type);
void line_claim(struct session *, uint32_t line);             /* a WAITING child becomes the session's */
void line_hold(struct session *, uint32_t line);
/* The session lets go; the last one closes (orderly) or resets the endpoint. */
void line_let_go(struct session *, uint32_t line, bool orderly);
void line_end_children(struct family *, uint32_t line);        /* those nobody accepted yet */
void line_changed(struct family *, uint32_t line, uint32_t mask);
void line_set_state(struct family *, uint32_t line, uint32_t set, uint32_t clear);
void line_set_error(struct family *, uint32_t line, int error);
int line_listen(struct family *, uint32_t line);              /* makes the ring of children */
void line_limit(struct family *, uint32_t line);              /* publishes send_limit */
void line_names(struct family *, uint32_t line);
void line_released(struct family *, uint32_t line);           /* the stack is done with it */
bool lines_lend(void *host, ep_id, uint64_t owner, enum ep_side, uint32_t want, uint32_t from, struct ring_extent *);
void lines_give_back(void *host, ep_id, uint64_t owner, enum ep_side, struct ring_extent);
bool lines_adopt(void *host, ep_id listener, uint64_t listener_owner, ep_id child, uint64_t *owner, struct ep_sharing *);

/* ---- requests.c ---- */
/* Takes a batch of requests of the lane; returns how many. */
unsigned lane_drain(struct lane *);

/* ---- waitsets.c ---- */
int waitset_open(struct session *, uint32_t index);
void waitset_close(struct session *, uint32_t index);
int waitset_pipe(struct session *, uint32_t index, int *read_end);
int waitset_add(struct session *, const struct request *);
void waitset_remove(struct session *, uint32_t line, uint32_t index, uint64_t asked);
void waitsets_forget_session(struct session *, uint32_t line);   /* its watches of one line */
void waitsets_forget_line(struct family *, uint32_t line);
void waitsets_tell(struct family *, uint32_t line, uint32_t mask);
unsigned waitsets_flush(struct server *);
void waitsets_wake(struct server *);
bool waitsets_want_room(struct server *);   /* before sleep: false when a full ring has room again */

/* ---- connection.c ---- */
int connection_new(struct server *, int fd, uid_t, pid_t, struct connection **);
void connection_close(struct server *, struct connection *);
unsigned connections_turn(struct server *);
void connections_bury(struct server *);

#endif
