/* SPDX-License-Identifier: BSD-3-Clause */
/* The loop of the conformance server: a line in, a command, a line of JSON out; and the virtual clock, which stands still
 * but for the command that moves it. A bad request is answered with an error and changes nothing. */
#include "server.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LINE_MAX_BYTES (64u << 20)
#define WORDS_MAX 4200u
#define TURNS_MAX 1000000u

struct line_buffer {
	char *bytes;
	size_t len, size;
};

static bool arriving(const struct server *s)
{
	for (unsigned i = 0; i < s->n_wires; i++)
		if (s->wires[i]->arriving_count)
			return true;
	return false;
}

static bool faulty(const struct server *s)
{
	for (unsigned i = 0; i < s->n_wires; i++)
		if (s->wires[i]->borrows_left >= 0 || s->wires[i]->transmits_left >= 0)
			return true;
	return false;
}

void server_settle(struct server *s)
{
	for (unsigned turns = 0; turns < TURNS_MAX; turns++) {
		unsigned work = stack_turn(s->stack, s->now);
		if (!arriving(s) && stack_deadline(s->stack) > s->now)
			return;
		/* A stack that wants to send on a link that takes nothing has a deadline of now. */
		if (work == 0 && faulty(s))
			return;
	}
	s->broken = "the stack does not come to rest: a deadline stays due";
}

void server_run_until(struct server *s, nsec target)
{
	server_settle(s);
	while (!s->broken) {
		nsec deadline = stack_deadline(s->stack);
		if (deadline <= s->now)
			deadline = s->now + NSEC_PER_MSEC;   /* only under a fault */
		if (deadline > target)
			break;
		s->now = deadline;
		server_settle(s);
	}
	s->now = target;
	server_settle(s);
}

void server_reset(struct server *s)
{
	if (s->stack)
		stack_free(s->stack);
	for (unsigned i = 0; i < s->n_wires; i++)
		wire_free(s->wires[i]);
	reply_free(&s->reply);
	*s = (struct server){ .now = 1000 * NSEC_PER_SEC };
}

static int64_t dispatch(struct server *s, const struct request *r)
{
	const struct command *tables[] = { world_commands, endpoint_commands, ring_commands };
	for (unsigned i = 0; i < 3; i++)
		for (const struct command *c = tables[i]; c->name; c++) {
			if (strcmp(c->name, r->word[0]) != 0)
				continue;
			if (r->words - 1 < c->min_words || r->words - 1 > c->max_words)
				return command_refuse(s, "%s takes %u to %u words", c->name, c->min_words,
					c->max_words);
			if (c->needs_stack && !s->stack)
				return command_refuse(s, "no stack yet: new");
			return c->run(s, r);
		}
	return command_refuse(s, "no such command: %.40s", r->word[0]);
}

/* What happened meanwhile goes with every reply: frames sent, events, an invariant that broke. */
static void reply_happenings(struct server *s, struct reply *out)
{
	struct ep_event events[64];
	unsigned n;
	const char *comma = "";
	reply_format(out, ",\"now\":%llu,\"frames\":[", (unsigned long long)s->now);
	for (unsigned i = 0; i < s->n_wires; i++) {
		struct wire_frame *f;
		while ((f = wire_take(s->wires[i]))) {
			reply_format(out, "%s[%llu,%d,%u,", comma, (unsigned long long)f->at,
				s->interfaces[i], f->gso_size);
			reply_hex(out, f->bytes, f->len);
			reply_format(out, "]");
			free(f);
			comma = ",";
		}
	}
	reply_format(out, "],\"events\":[");
	comma = "";
	while ((n = stack_events(s->stack, events, 64)))
		for (unsigned i = 0; i < n; i++) {
			reply_format(out, "%s[%llu,%u]", comma, (unsigned long long)events[i].ep,
				events[i].mask);
			comma = ",";
		}
	reply_format(out, "]");
	if (!s->broken)
		s->broken = stack_check(s->stack);
	if (s->broken) {
		reply_format(out, ",\"broken\":");
		reply_string(out, s->broken);
	}
}

static bool write_all(int fd, const char *bytes, size_t n)
{
	while (n) {
		ssize_t written = write(fd, bytes, n);
		if (written < 0 && errno == EINTR)
			continue;
		if (written <= 0)
			return false;
		bytes += written;
		n -= (size_t)written;
	}
	return true;
}

static bool answer(struct server *s, char *line, int fd)
{
	char *words[WORDS_MAX], *save = NULL;
	struct request r = { .word = words };
	struct reply out = { 0 };
	s->reply.len = 0;
	s->error[0] = 0;
	for (char *w = strtok_r(line, " ", &save); w && r.words < WORDS_MAX; w = strtok_r(NULL, " ", &save))
		words[r.words++] = w;
	int64_t result = r.words ? dispatch(s, &r) : command_refuse(s, "an empty request");
	reply_format(&out, "{");
	if (result == COMMAND_REFUSED) {
		reply_format(&out, "\"error\":");
		reply_string(&out, s->error);
	} else {
		reply_format(&out, "\"result\":%lld", (long long)result);
	}
	if (s->reply.len && result != COMMAND_REFUSED)
		reply_format(&out, "%s", s->reply.text);
	if (s->stack)
		reply_happenings(s, &out);
	reply_format(&out, "}\n");
	bool good = !out.failed && !s->reply.failed && write_all(fd, out.text, out.len);
	reply_free(&out);
	return good;
}

/* Reads more into the buffer. 1, 0 at the end, -errno. */
static int fill(struct line_buffer *b, int fd)
{
	if (b->len == b->size) {
		size_t size = b->size ? b->size * 2 : 65536;
		char *bytes = size > LINE_MAX_BYTES ? NULL : realloc(b->bytes, size);
		if (!bytes)
			return -EMSGSIZE;
		b->bytes = bytes;
		b->size = size;
	}
	ssize_t got = read(fd, b->bytes + b->len, b->size - b->len);
	if (got < 0)
		return errno == EINTR ? 1 : -errno;
	b->len += (size_t)got;
	return got > 0;
}

int server_serve(int fd)
{
	struct server s = { 0 };
	struct line_buffer b = { 0 };
	int result;
	server_reset(&s);
	while ((result = fill(&b, fd)) > 0) {
		size_t done = 0;
		char *end;
		while (result > 0 && (end = memchr(b.bytes + done, '\n', b.len - done))) {
			*end = 0;
			if (!answer(&s, b.bytes + done, fd))
				result = -EIO;
			done = (size_t)(end - b.bytes) + 1;
		}
		if (result < 0)
			break;
		memmove(b.bytes, b.bytes + done, b.len - done);
		b.len -= done;
	}
	free(b.bytes);
	server_reset(&s);
	reply_free(&s.reply);
	return result;
}
