/* SPDX-License-Identifier: BSD-3-Clause */
/* Inside the plug-in: one host for the process, the lock around it, and what its parts ask of each other. */
#ifndef LIGHT_PACKETDRILL_PLUGIN_H
#define LIGHT_PACKETDRILL_PLUGIN_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "sim/embed.h"
#include "tools/packetdrill/interface.h"

enum unexpected { UNEXPECTED_REPORT, UNEXPECTED_FATAL, UNEXPECTED_IGNORE };

/* settings.c: --so_flags. */
struct settings {
	struct ipaddr local;
	unsigned prefix;
	uint16_t mtu;
	uint64_t seed;
	bool standard;                  /* profile=standard */
	enum unexpected unexpected;
	char sysctl[256];               /* the folder that has net/ipv4/...; empty: none is read */
};
/* Ends the process with a sentence if the flags make no sense. */
void settings_parse(struct settings *, const char *flags);
/* Reads the files of settings that changed; lock held. */
void settings_refresh(void);

struct plugin {
	_Atomic bool active;            /* init was called, and free was not */
	struct settings settings;
	struct embed *embed;
	long long epoch;                /* microseconds of the day when the clock was 0 */
	int placeholder;                /* an eventfd: each number is a duplicate of it */
	bool over;                      /* the script has ended: what is sent now nobody could expect */
};
extern struct plugin plugin;

__attribute__((format(printf, 1, 2))) void say(const char *format, ...);

/* ---- clock.c ---- */
void clock_begin(void);                 /* the calling thread is packetdrill's main thread */
void clock_enter(void);                 /* into a call: takes the lock */
/* Out of it: whoever waits looks again, and the lock is given. Passes a result on, -errno as -1 and errno. */
long clock_leave(long result);
bool clock_is_ours(int fd);             /* is_ours, of who does not hold the lock */
int clock_sleep(void *context, struct embed *);         /* embed_hooks.sleep */
int clock_usleep(void *, useconds_t);
int clock_gettimeofday(void *, struct timeval *, struct timezone *);
/* Until a packet waits, or nothing is to be expected; lock held. */
void clock_run_to_packet(void);
long long clock_usecs(nsec);

/* ---- calls.c, pipe.c, packets.c: members of the table ---- */
void calls_fill(struct packetdrill_interface *);
int pipe_open(void *, int fds[2]);
int pipe_splice(void *, int in, loff_t *in_offset, int out, loff_t *out_offset, size_t n, unsigned flags);
int packets_in(void *, const void *packet, size_t n);
int packets_out(void *, void *packet, size_t *n, long long *usecs);
/* The script is over: what was sent and nobody asked for. */
void packets_report(void);

/* ---- calls.c ---- */
int calls_close(int fd);
ssize_t calls_send(int fd, const void *, size_t n, int flags);          /* both with the lock held, -errno */
ssize_t calls_receive(int fd, void *, size_t n, int flags);

/* Lock held. */
static inline bool is_ours(int fd)
{
	return atomic_load(&plugin.active) && embed_has(plugin.embed, fd);
}

#endif
