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
#define EXTENT_MAX REGION_EXTENT_MOST
#define EXTENT_CLASSES 15u
#define BACKLOG_MAX (EXTENT_MIN / 4u)   /* children's numbers that fit into one small extent */
#define OWNER_ABORTED UINT32_MAX        /* in sock_line.owner: nobody may claim this child any more */

/* What an epoll event is about: a connection, or with this bit its process. NULL is the listener; the bells have their own word. */
#define TAG_PROCESS ((uintptr_t)1)
#define TAG_BELL ((uintptr_t)2)

/* A growing array of 8-byte things. */
struct vector {
	uint64_t *items;
	size_t n, room;
};
bool vector_add(struct vector *, uint64_t);

/* All programs of one user. Core 0 makes and frees it; all cores count in it. */
struct user {
	LIST_ENTRY(user) node;
	uid_t uid;
	uint32_t families;
	_Atomic uint64_t lines, data;
};

/* extents.c: the data area of a family, lent in powers of two. Free ones are kept warm (pages stay) up to a mark. */
struct extents {
	uint8_t *base;
	uint64_t start;                         /* of base in the data area's file */
	uint64_t size, top, lent, warm;
	struct vector free[EXTENT_CLASSES][2];  /* [cold, warm]: byte offsets */
	struct vector dirty;                    /* free, but their pages are still to be given back: offset + class */
	uint32_t cooled;                        /* bytes of the last of them that are done */
};

enum line_use {
	LINE_FREE,
	LINE_GRANTED,   /* in the stock of `session` */
	LINE_USED,      /* has holders */
	LINE_WAITING,   /* an accepted child that nobody claimed yet */
	LINE_LEAVING,   /* nobody holds it; the stack still closes it */
	LINE_SHADOW,    /* stands here for a listener of another core's; nobody holds it */
};

struct watch;
struct shadow;
struct option_list;

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
	uint32_t notsent_low;      /* TCP_NOTSENT_LOWAT; else 0: send_next is published */
	uint32_t receive_low;      /* SO_RCVLOWAT; above 1: publish_line looks whether what came is enough */
	uint32_t backlog_head;     /* listener: children ever announced */
	uint8_t *backlog;          /* listener: an extent of EXTENT_MIN bytes */
	struct shadow *shadow;     /* SHADOW */
	struct option_list *options;  /* what the program set, for shadows to come; only on several cores */
	uint32_t listens;          /* how often it became a listener that has shadows */
	bool shadowed;             /* has shadows on all other cores */
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

/* What a waitset's sleepers in the kernel are rung by; all cores ring it. The last one that lets go closes it. */
struct set_pipe {
	int reader, writer;                  /* the reader stays here too: writing without any is a SIGPIPE */
	_Atomic uint32_t users;
};

struct waitset_record {
	struct session *session;
	uint32_t index, put;
	struct set_pipe *pipe;               /* NULL: none asked for yet */
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

/* This core's stand-in for a listener whose home is another one. */
struct shadow {
	LIST_ENTRY(shadow) node;
	uint64_t listener;                   /* which use of the home line */
	uint32_t home, line;                 /* the listener's, ours */
	pid_t pid;
};

enum session_state { SESSION_LIVE, SESSION_GHOST, SESSION_ENDING, SESSION_DEAD };

struct connection;

struct session {
	TAILQ_ENTRY(session) node;           /* server->sessions, server->ending or server->dead */
	struct family *family;
	struct connection *connection;       /* NULL: ghost or ended */
	struct session *ghost;               /* after exec: the old image's, until HELLO_RESUMED */
	uint64_t serial;                     /* never again on this core */
	uint32_t number, seat;
	uint32_t elsewhere;                  /* core 0: other cores that have not buried it yet */
	uint32_t reading;                    /* the lane whose requests are carried out */
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

/* What the family objects of all cores have in common. Core 0's owns it, and is the last to go. */
struct family_common {
	struct user *user;
	uint64_t serial;                     /* never given twice */
	_Atomic uint32_t users;              /* cores that have a family object; the last frees this, core 0 unless the server stops */
	uint32_t number, host;               /* host: server_host_at */
	struct region region;
	struct region_fds fds;
	int bells[REGION_CORES];
	_Atomic uint64_t lines, lent;        /* of all cores; not counted on one core */
};

struct family {
	LIST_ENTRY(family) node;
	struct server *server;
	struct server_host *host;
	struct user *user;
	struct family_common *common;
	uint32_t number, sessions_n, session_next;
	uint32_t elsewhere;                  /* core 0: other cores that have one */
	bool leaving;                        /* no session is left on any core */
	struct region region;
	struct region_fds fds;
	LIST_HEAD(, shadow) shadows;
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
	struct round *round;                 /* what other cores must answer before it is */
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

/* ---- several cores: one server a core ---- */

struct cores;
struct core_message;

/* Something that all other cores were asked; done runs when the last has answered, at once on one core. */
struct round {
	TAILQ_ENTRY(round) node;
	void (*done)(struct server *, struct round *);
	uint64_t token;
	uint32_t left;
	int rc;                              /* the first refusal */
	struct connection *connection;       /* NULL: none waits, or it is gone */
	struct session *session;             /* a newborn one; stays until all cores have buried it */
	int fd;
	/* listen: who asked */
	uint64_t family_serial, session_serial, listener;
	uint32_t family, line, asker, lane;
	uint16_t tag;
};

/* Messages to one other core that its ring had no room for. */
struct core_queue {
	struct core_message *items;
	uint32_t first, n, room;
};

struct server {
	struct server_config config;
	char path[108];
	int listener, epoll;
	struct server_host *hosts;
	LIST_HEAD(, family) families;
	LIST_HEAD(, user) users;
	struct family **numbers;             /* by family number; quota.families of them */
	struct sessions sessions, ending, dead;
	struct sessions leaving;             /* core 0: ended here, not yet on all other cores */
	struct connections connections, dead_connections;
	struct vector changes;               /* owner words */
	struct vector lanes, full, rung;     /* struct lane *, waitsets with pending events, waitsets to wake */
	uint64_t turn;
	uint32_t strangers;                  /* connections that have not said what they are */
	bool look;                           /* sockets are looked at in the next turn */
	bool dirty;                          /* a family may have dirty extents */
	bool asleep, stopped;
	struct server_stats stats;
	unsigned core, cores_n;
	struct cores *cores;                 /* NULL on one core */
	struct core_queue unsent[REGION_CORES];
	uint32_t spoken;                     /* bits of cores that were sent something in this turn */
	bool behind;                         /* a queue of unsent ones is not empty */
	uint64_t serial;                     /* the last of what it counts */
	TAILQ_HEAD(, round) rounds;
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

/* Lines are named by their number in the region, which says their core; a core has books on its own. */
static inline struct line_record *line_record(const struct family *f, uint32_t line)
{
	return &f->lines[line & LINE_INDEX];
}

static inline bool line_is_here(const struct family *f, uint32_t line)
{
	return line_core(line) == f->server->core && (line & LINE_INDEX) < f->lines_top;
}

/* The i-th of this core's. */
static inline uint32_t line_number(const struct family *f, uint32_t i)
{
	return f->server->core << LINE_CORE_SHIFT | i;
}

/* Counts where other cores may count too. */
static inline void count(const struct server *s, _Atomic uint64_t *at, int64_t by)
{
	if (s->cores_n == 1)
		atomic_store_explicit(at, atomic_load_explicit(at, memory_order_relaxed) + (uint64_t)by, memory_order_relaxed);
	else
		atomic_fetch_add_explicit(at, (uint64_t)by, memory_order_relaxed);
}

/* ---- extents.c ---- */
/* quota bounds what may be lent. Gives its size through *got: more than `have`, or nothing is lent. */
uint8_t *extents_lend_or_null(struct extents *, uint32_t want, uint32_t have, uint64_t quota, uint32_t *got);
void extents_give_back(struct extents *, int data_fd, uint8_t *base, uint32_t size, uint64_t warm_most);
/* Gives back a slice of the pages of what is dirty. False: nothing is. */
bool extents_cool(struct extents *, int data_fd);
void extents_free(struct extents *);

/* ---- family.c ---- */
int family_new(struct server *, struct server_host *, uid_t, struct family **);
/* On another core than the first. */
int family_join(struct server *, struct family_common *, struct family **);
/* The one with this serial number; NULL: it is gone. */
struct family *family_numbered(struct server *, uint32_t number, uint64_t serial);
void family_free(struct family *);
/* Frees it when no session and no line is left. */
void family_settle(struct family *);
struct family *family_of(struct server *, uint64_t owner);   /* NULL: none */
void family_tell_host(struct family *);
void family_end(struct family *);                            /* marks the daemon dead for its programs */

/* ---- session.c ---- */
/* number NOBODY: the next free one. The same for the others. */
int session_new(struct family *, struct connection *, uint32_t number, struct session **);
/* The child gets all that the parent holds. */
int session_fork(struct session *parent, struct connection *, uint32_t number, struct session **child);
/* connection's session becomes a ghost, a new one takes its place. */
int session_resume(struct session *, uint32_t number, struct session **fresh);
void session_resumed(struct session *);
/* why NULL: no log line (an ordinary end). */
void session_end(struct session *, bool orderly, const char *why);
/* An orderly end: what lies in its lanes is carried out first. */
void session_goodbye(struct session *);
void session_died(struct session *);
/* Core 0: another core has buried it. */
void session_gone_elsewhere(struct session *);
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
void line_notsent_low(struct family *, uint32_t line);        /* publishes notsent_low */
void line_send_next(struct family *, uint32_t line);          /* ... and with it how far sending has come */
void line_errors(struct family *, uint32_t line);             /* publishes whether the error queue holds something */
void line_low(struct family *, uint32_t line);                /* publishes receive_low */
void line_readable_from(struct family *, uint32_t line);      /* ... and what of it holds now */
void line_limit(struct family *, uint32_t line);              /* publishes send_limit */
void line_names(struct family *, uint32_t line);
void line_released(struct family *, uint32_t line);           /* the stack is done with it */
bool lines_lend(void *host, ep_id, uint64_t owner, enum ep_side, uint32_t want, uint32_t from, struct ring_extent *);
void lines_withdraw(void *host, ep_id, uint64_t owner, enum ep_side, struct ring_extent kept, uint32_t from);
void lines_give_back(void *host, ep_id, uint64_t owner, enum ep_side, struct ring_extent);
void line_unlisten(struct family *, uint32_t line);            /* it listens no more */
/* Where a lent child's number is told to the program: the listener's ring. */
void line_announce(struct family *, uint32_t listener, uint32_t child);
void line_end_endpoint(struct family *, uint32_t line, bool orderly);
bool lines_adopt(void *host, ep_id listener, uint64_t listener_owner, ep_id child, uint64_t *owner, struct ep_sharing *);

/* ---- requests.c ---- */
/* Takes a batch of requests of the lane; returns how many. */
unsigned lane_drain(struct lane *);
void lane_answer(struct lane *, const struct reply *);

/* ---- waitsets.c ---- */
int waitset_open(struct session *, uint32_t index);
void waitset_close(struct session *, uint32_t index);
int waitset_pipe(struct session *, uint32_t index, struct set_pipe **);
/* The pipe that core 0 made, which counts this core as a user already. */
int waitset_take_pipe(struct session *, uint32_t index, struct set_pipe *);
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

/* ---- cores.c: what the cores of a daemon say to each other. All do nothing on one core ---- */
enum core_word {
	CORE_BORN = 1,      /* pointer = struct family_common, session, a = pid. From core 0, answered */
	CORE_FORKED,        /* session, other = the parent. From core 0, answered */
	CORE_RESUMED,       /* session = the new one, other = the old. From core 0, answered */
	CORE_PIPE,          /* session, a = waitset, pointer = struct set_pipe. From core 0, answered */
	CORE_PID,           /* session, a = pid */
	CORE_LET_GO,        /* session: its ghost ends */
	CORE_END,           /* session, a = orderly, b = what it posted is carried out first */
	CORE_FAMILY_END,    /* no session is left */
	CORE_GONE,          /* to core 0: session is buried here */
	CORE_VIOLATION,     /* to core 0: session did what no program may */
	CORE_FAMILY_GONE,   /* to core 0 */
	CORE_ANSWER,        /* token, a = 0 or -errno */
	CORE_SHADOW,        /* line, listener, a = pid: stand for it. From its home, as the next three */
	CORE_SHADOW_SET,    /* line, listener, a = option, value. Answered */
	CORE_SHADOW_LISTEN, /* line, listener, addr, port, a = backlog. Answered */
	CORE_SHADOW_END,    /* line, listener */
	CORE_CHILD,         /* to the home: line, listener, a = the child's line */
};
struct core_message {
	uint8_t word, from;
	uint16_t session, other, port;
	uint32_t family, line;
	uint64_t serial;             /* of the family */
	uint64_t token;              /* of the round; 0: nobody waits */
	uint64_t listener;           /* tells the uses of a line as a listener apart */
	uint32_t a, b;
	union {
		struct ipaddr addr;
		struct {
			int64_t value;
			void *pointer;
		};
	};
};
_Static_assert(sizeof(struct core_message) == 64, "an element of the cores' rings");

struct core_message core_message(const struct family *, enum core_word);
void cores_send(struct server *, unsigned to, const struct core_message *);
/* To all others. */
void cores_tell(struct server *, const struct core_message *);
/* To all others, under the round's token. */
void cores_ask(struct server *, const struct round *, struct core_message *);
unsigned cores_turn(struct server *);
/* false: messages wait for room in a ring; no requests are to be taken that may make more of them. */
static inline bool cores_keep_up(const struct server *s)
{
	return !s->behind;
}
/* Hands over what did not fit, and wakes those who sleep. Returns whether all is handed over. */
bool cores_flush(struct server *);
/* Before sleep, around the fence: false when a message waits. */
void cores_sleep(struct server *);
bool cores_quiet(const struct server *);
void cores_awake(struct server *);
void cores_free(struct server *);

/* ---- shadows.c: listeners on several cores ---- */
/* Remembers an option for shadows; where there are some, the answer waits until they have it. */
void shadows_option(struct session *, uint32_t line, enum ep_option, int64_t, struct reply *);
/* The line listens here; the answer waits until it does on all cores. */
void shadows_stand(struct session *, uint32_t line, uint32_t backlog, struct reply *);
void shadows_end(struct family *, uint32_t line);
void shadows_child(struct family *, uint32_t child);   /* of a shadow: tells its home */
uint32_t shadows_backlog(const struct server *, uint32_t wanted);
/* 0 or what CORE_SHADOW_LISTEN is answered. */
int shadow_hear(struct server *, const struct core_message *);
void options_free(struct line_record *);

#endif
