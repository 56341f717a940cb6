/* SPDX-License-Identifier: BSD-3-Clause */
/* The memory that a family (a program and all that it forked) shares with the daemon: three sealed memfds.
 *
 *   constants   read-only in programs (F_SEAL_FUTURE_WRITE): struct region_constants, struct host_info, and for each kind of
 *               ring one page that ends with the constants of its rte_ring
 *   shared      written by both: struct family_page, a struct session_page a process, lanes, waitsets, lines. Before the index page
 *               of each ring the file leaves a page free: there each side maps the constants of that kind of ring, read-only, so
 *               that a stock struct rte_ring straddles the two (its size and mask cannot be overwritten)
 *   data        what socket buffers are made of: the daemon lends extents of it
 *
 * All sizes are fixed at birth and sealed. Pages are touched lazily; a huge area costs nothing. */
#ifndef LIGHT_IPC_REGION_H
#define LIGHT_IPC_REGION_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ipc/line.h"
#include "ipc/message.h"

#define REGION_PAGE 4096u
#define REGION_MAGIC 0x4c696768u /* "Ligh" */
#define REGION_VERSION 2u

#define REGION_EXTENT_MOST (256u << 20)  /* bytes of a ring */

enum {
	REGION_CORES = 16,      /* of the daemon's */
	REGION_SESSIONS = 256,  /* processes of a family */
	REGION_LANES = 256,     /* of a session */
	REGION_WAITSETS = 256,  /* of a session */
	REGION_STOCK = 64,      /* lines granted ahead to a session */
	REQUEST_SLOTS = 256,
	REPLY_SLOTS = 32,
	EVENT_SLOTS = 256,
};

/* ---- constants ---- */

enum { CONSTANTS_HEAD, CONSTANTS_HOST, CONSTANTS_REQUESTS, CONSTANTS_REPLIES, CONSTANTS_EVENTS, CONSTANTS_PAGES };

struct region_constants {
	uint32_t magic, version;
	uint32_t lines;        /* how many struct sock_line there are on each core */
	uint32_t data_pages;
	uint32_t lanes, waitsets;  /* a session may have */
	uint32_t cores;
};

/* ---- shared ---- */

/* Page 0 of the shared area. */
struct family_page {
	/* A robust futex that the daemon's thread holds: when it dies, however it dies, the kernel sets FUTEX_OWNER_DIED. */
	_Alignas(64) _Atomic uint32_t alive;
	/* 1: that core of the daemon sleeps or is about to: ring its eventfd after posting. */
	struct { _Alignas(64) _Atomic uint32_t sleeps; } core[REGION_CORES];
};

#define SESSION_WORDS (REGION_LANES / 64)

/* One page a session and core: of its number s on core k the seat is region_seat(k, s). */
struct session_page {
	/* The program sets a lane's bit after it enqueued requests there, `control` after it changed lanes_wanted or waitsets_wanted. The
	 * daemon takes them by exchange. */
	_Alignas(64) _Atomic uint64_t doorbell[SESSION_WORDS];
	_Atomic uint32_t control;
	/* Program: a bit set asks for that lane or waitset, cleared gives it back. */
	_Alignas(64) _Atomic uint64_t lanes_wanted[SESSION_WORDS];
	_Atomic uint64_t waitsets_wanted[SESSION_WORDS];
	/* Daemon: open and empty. `opened` counts changes (a futex). */
	_Alignas(64) _Atomic uint64_t lanes_open[SESSION_WORDS];
	_Atomic uint64_t waitsets_open[SESSION_WORDS];
	_Alignas(64) _Atomic uint32_t opened;
	_Atomic uint32_t opened_sleeps;
	_Atomic uint32_t ended;   /* the daemon has ended this session */
	/* Lines this session may open next: number + 1; 0: taken. The program takes by exchange, the daemon fills. */
	_Alignas(64) _Atomic uint32_t stock[REGION_STOCK];
};

/* Behind the elements of a lane's replies. */
struct lane_words {
	_Alignas(64) _Atomic uint32_t sleeps;  /* 1: its thread sleeps for a reply (futex) */
	_Alignas(64) uint8_t scratch[1024];    /* the daemon's larger answers (REQ_INFO) */
};

/* How its threads sleep, as bits: some on the word itself, some in the kernel on the set's pipe. */
enum { WAITSET_AWAKE = 0, WAITSET_FUTEX = 1, WAITSET_PIPE = 2 };

/* Behind the elements of a waitset's events. Each core has a ring of its own; how a waitset sleeps is said once, at core 0. */
struct waitset_words {
	_Alignas(64) _Atomic uint32_t sleeps;  /* core 0: WAITSET_*; futex */
	_Atomic uint32_t rings;                /* core 0: bytes that the daemon ever wrote into the pipe */
	_Atomic uint32_t wants_room;           /* 1: the ring was full and the daemon's core sleeps: ring it when some are taken */
};

struct region {
	uint8_t *constants, *shared, *data;
	uint8_t *line_base;
	uint64_t shared_size, data_size;
	uint32_t lines, cores;
	bool daemon;
};

/* Where things lie in the shared area: the family's page; for each core its session pages, lanes and waitsets; the lines, those of
 * core k from number k << LINE_CORE_SHIFT on. The room between is address space alone. */
#define LANE_REQUEST_PAGES 3u
#define LANE_REPLY_PAGES 1u
#define LANE_PAGES (1u + LANE_REQUEST_PAGES + 1u + LANE_REPLY_PAGES)
#define WAITSET_PAGES 3u
#define REGION_LANES_AT ((uint64_t)(1 + REGION_SESSIONS) * REGION_PAGE)
#define REGION_WAITSETS_AT (REGION_LANES_AT + (uint64_t)REGION_SESSIONS * REGION_LANES * LANE_PAGES * REGION_PAGE)
#define REGION_CORE_BYTES \
	(REGION_WAITSETS_AT - REGION_PAGE + (uint64_t)REGION_SESSIONS * REGION_WAITSETS * WAITSET_PAGES * REGION_PAGE)
#define LINE_CORE_SHIFT 20u
#define LINE_INDEX ((1u << LINE_CORE_SHIFT) - 1)   /* the bits of a line's number that count those of its core */

static inline uint32_t line_core(uint32_t line)
{
	return line >> LINE_CORE_SHIFT;
}

static inline uint32_t region_seat(uint32_t core, uint32_t session)
{
	return core * REGION_SESSIONS + session;
}

static inline uint64_t region_core_at(uint32_t seat)
{
	return seat / REGION_SESSIONS * REGION_CORE_BYTES;
}

static inline struct region_constants *region_constants(const struct region *r)
{
	return (struct region_constants *)(void *)r->constants;
}

static inline struct family_page *region_family(const struct region *r)
{
	return (struct family_page *)(void *)r->shared;
}

static inline struct session_page *region_session(const struct region *r, uint32_t seat)
{
	return (struct session_page *)(void *)(r->shared + region_core_at(seat) +
		(uint64_t)(1 + seat % REGION_SESSIONS) * REGION_PAGE);
}

static inline bool region_has_line(const struct region *r, uint32_t line)
{
	return (line & LINE_INDEX) < r->lines && line_core(line) < r->cores;
}

/* region_has_line(r, line) */
static inline struct sock_line *region_line(const struct region *r, uint32_t line)
{
	return (struct sock_line *)(void *)(r->line_base + (uint64_t)line * sizeof(struct sock_line));
}

static inline uint64_t region_lane_at(uint32_t seat, uint32_t lane)
{
	return region_core_at(seat) + REGION_LANES_AT +
	       ((uint64_t)(seat % REGION_SESSIONS) * REGION_LANES + lane) * LANE_PAGES * REGION_PAGE;
}

static inline uint64_t region_waitset_at(uint32_t seat, uint32_t waitset)
{
	return region_core_at(seat) + REGION_WAITSETS_AT +
	       ((uint64_t)(seat % REGION_SESSIONS) * REGION_WAITSETS + waitset) * WAITSET_PAGES * REGION_PAGE;
}

/* The descriptors of a region, in the order in which they are passed. */
struct region_fds {
	int constants, shared, data;
};

struct region_sizes {
	uint32_t lines;            /* of a core */
	uint64_t data;             /* bytes, of all cores together */
	uint32_t lanes, waitsets;  /* of a session */
	uint32_t cores;            /* 1..REGION_CORES */
};
/* The daemon's: makes, sizes and seals the three, writes the constants, maps all writable. The page before the shared area is
 * private memory of the daemon's (family.c's robust list). */
int region_create(struct region *, struct region_fds *, const struct region_sizes *);
/* The program's: maps the three; the descriptors may be closed afterwards. -EPROTO: not what the daemon makes. */
int region_attach(struct region *, const struct region_fds *);
void region_unmap(struct region *);

/* Maps the constants of a lane's or waitset's rings before their index pages; needs no descriptor. Once is enough, again
 * does no harm. */
int region_map_lane(const struct region *, uint32_t seat, uint32_t lane);
int region_map_waitset(const struct region *, uint32_t seat, uint32_t waitset);

#endif
