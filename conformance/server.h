/* SPDX-License-Identifier: BSD-3-Clause */
/* The conformance server: one stack in virtual time, driven by lines of text. A request is a line of words; the reply is
 * one line of JSON (README.md has the protocol). Commands are in *_commands.c, one table each. */
#ifndef LIGHT_CONFORMANCE_SERVER_H
#define LIGHT_CONFORMANCE_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "rings.h"
#include "stack/endpoint.h"
#include "stack/stack.h"
#include "wire.h"

#define SERVER_LINKS 4

/* A reply under construction; `failed` when memory ran out. */
struct reply {
	char *text;
	size_t len, size;
	bool failed;
};
void reply_format(struct reply *, const char *format, ...) __attribute__((format(printf, 2, 3)));
void reply_string(struct reply *, const char *);   /* quoted and escaped */
void reply_hex(struct reply *, const uint8_t *, size_t);
void reply_free(struct reply *);

/* The words of a request; word[0] is the command. */
struct request {
	char **word;
	unsigned words;
};

struct server {
	struct stack *stack;                 /* NULL before "new" */
	struct wire *wires[SERVER_LINKS];
	int interfaces[SERVER_LINKS];
	unsigned n_wires;
	struct rings rings;
	nsec now;
	struct reply reply;                  /* extra members of the reply: each begins with a comma */
	const char *broken;                  /* an invariant that does not hold: static text */
	char error[160];                     /* why the request was refused */
};

/* A command's outcome: the result of the call it stands for (0, a count or -errno). A bad request is
 * command_refuse'd instead. */
#define COMMAND_REFUSED INT64_MIN
struct command {
	const char *name;
	unsigned min_words, max_words;       /* besides the name */
	bool needs_stack;
	int64_t (*run)(struct server *, const struct request *);
};
extern const struct command world_commands[], endpoint_commands[], ring_commands[];   /* end: name NULL */

/* Returns COMMAND_REFUSED. */
int64_t command_refuse(struct server *, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* words.c: false when the word is not wholly what it should be. */
bool word_u64(const char *, uint64_t *);
bool word_i64(const char *, int64_t *);
bool word_addr(const char *, struct ipaddr *);      /* IPv4 or IPv6; "-": any */
bool word_prefix(char *, struct ipaddr *, unsigned *prefix);  /* ADDR/BITS */
bool word_mac(const char *, uint8_t mac[6]);
/* Decodes in place: the bytes are at the start of the word afterwards. */
bool word_hex(char *, uint32_t *len);

/* settings.c: "new" with its key=value words; NULL and an error when refused. */
struct stack *settings_new_stack(struct server *, const struct request *);

/* Turns until nothing is left to do at this time. */
void server_settle(struct server *);
/* Runs to `target`, a turn at each deadline exactly. */
void server_run_until(struct server *, nsec target);
void server_reset(struct server *);
/* Serves one client on a connected stream socket until it closes. 0, or -errno. */
int server_serve(int fd);

#endif
