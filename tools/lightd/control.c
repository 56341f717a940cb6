/* SPDX-License-Identifier: BSD-3-Clause */
/* What lightctl asks, answered inside core 0's loop: everything is bounded by what the stacks hold, nothing waits but for the turn of
 * another core. */
#include "tools/lightd/control.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/capture.h"
#include "tools/lightd/answer.h"
#include "tools/lightd/change.h"
#include "tools/lightd/show.h"
#include "tools/units.h"

#define QUESTION_MAX 1023
#define WORDS_MAX 16

/* ---- captures ---- */

struct capture_question {
	struct link *link;      /* of one interface and core, whose thread is asked */
	int fd;                 /* -1: stop, or only look */
	bool look;
	uint32_t snap;
	int error;
	struct capture_status status;
};

/* A pipe that nobody empties would stop the daemon. */
static bool fd_is_file(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
}

/* capture_start_fd takes its descriptor whatever it says: it gets one of its own, and the asker's is closed like any other. */
static int start_capture(struct link *link, int fd, uint32_t snap)
{
	int own = fcntl(fd, F_DUPFD_CLOEXEC, 0);

	return own < 0 ? -errno : capture_start_fd(link, own, snap);
}

static void capture_here(void *context, unsigned core)
{
	struct capture_question *q = context;

	(void)core;
	q->status = capture_status(q->link);
	if (q->look && q->status.error == 0)
		q->error = q->status.running ? 0 : -ENOENT;
	else
		q->error = q->fd >= 0 ? start_capture(q->link, q->fd, q->snap) : capture_stop(q->link);
}

/* The interface of that name; NULL name or "-": the first. */
static struct network_interface *interface_of(const struct daemon *d, unsigned host, const char *name)
{
	struct network_interface *i;

	for (unsigned k = 0; (i = network_interface(d->network, host, k)) != NULL; k++) {
		if (name == NULL || strcmp(name, "-") == 0 || strcmp(name, i->name) == 0)
			return i;
	}
	return NULL;
}

/* What is missing is told to who asks, and in the log, once: a capture that failed is stopped when that is seen. */
static void tell_failure(struct daemon *d, const char *interface, const struct capture_status *status, int error, struct json_object *to)
{
	char text[160], line[256];

	snprintf(text, sizeof text, "%s: the capture ended after %" PRIu64 " frames, %" PRIu64 " that came later are missing",
		 error == -ENOSPC ? "the disk is full" : strerror(-error), status->packets, status->missed);
	put_text(to, "error", text);
	snprintf(line, sizeof line, "%s: %s", interface, text);
	d->log(NULL, line);
}

/* SNAP INTERFACE CORE. With a descriptor: start writing into it. Without: stop. Or does it still go well? */
static int answer_capture(struct daemon *d, unsigned host, int fd, bool look, char *const *words, struct json_object *to)
{
	struct capture_question q = { .fd = fd, .look = look };
	struct network_interface *i = interface_of(d, host, words[0] != NULL ? words[1] : NULL);
	uint64_t core = 0, snap = 0;

	if (words[0] != NULL && !units_whole(words[0], 0, UINT32_MAX, &snap)) {
		put_text(to, "error", "how much of a frame is kept is a number of bytes; 0: all");
		return -EINVAL;
	}
	if (words[0] != NULL && words[1] != NULL && words[2] != NULL && !units_whole(words[2], 0, d->cores - 1, &core))
		core = d->cores;
	if (i == NULL || core >= d->cores) {
		put_text(to, "error", i == NULL ? "there is no such interface; lightctl link shows them" : "there is no such core");
		return -ENODEV;
	}
	if (fd >= 0 && !fd_is_file(fd)) {
		put_text(to, "error", "a capture is written into a file only");
		return -EINVAL;
	}
	q.link = i->link[core];
	q.snap = (uint32_t)snap;
	core_call(d, (unsigned)core, capture_here, &q);
	if (fd < 0) {
		put_number(to, "packets", q.status.packets);
		put_number(to, "bytes", q.status.bytes);
		put_number(to, "truncated", q.status.truncated);
		put_number(to, "missed", q.status.missed);
	}
	if (q.error == -EBUSY)
		put_text(to, "error", "a capture runs there already; lightctl capture-stop ends it");
	else if (q.error == -ENOENT)
		put_text(to, "error", "no capture runs there");
	else if (q.error < 0 && fd < 0)
		tell_failure(d, i->name, &q.status, q.error, to);
	return q.error;
}

/* ---- questions ---- */

/* The number of the host named; "-" is the first; -1: none. */
static int host_number(const struct daemon *d, const char *name)
{
	if (name == NULL || strcmp(name, "-") == 0)
		return 0;
	for (unsigned i = 0; i < network_hosts(d->network); i++) {
		if (strcmp(network_host_name(d->network, i), name) == 0)
			return (int)i;
	}
	return -1;
}

/* The frames of all programs are in a capture, and all of them need the routes: only for who may do it anyway. */
static bool may_change(const struct server_question *q)
{
	return q->uid == 0 || q->uid == geteuid();
}

static int answer_about_host(struct daemon *d, const struct server_question *q, unsigned host, char **words, struct json_object *to)
{
	bool looks = strcmp(words[0], "capture-status") == 0, captures = looks || strcmp(words[0], "capture") == 0;
	bool dhcp = strcmp(words[0], "dhcp") == 0;
	char why[CHANGE_WHY];
	int error;

	if (!captures && ((!change_is(words[0]) && !dhcp) || words[1] == NULL || words[2] == NULL))
		return show_host(d, words[0], host, to) ? 0 : -EOPNOTSUPP;
	if (!may_change(q))
		return -EPERM;
	if (captures)
		return answer_capture(d, host, looks ? -1 : q->fd, looks, words + 2, to);
	error = dhcp ? change_dhcp(d, host, words + 2, why) : change_host(d, words[0], host, words + 2, why);
	if (error < 0)
		put_text(to, "error", why);
	return error;
}

static int answer(struct daemon *d, const struct server_question *q, char *text, struct json_object *to)
{
	char *words[WORDS_MAX + 1] = { NULL }, *save = NULL, *word = strtok_r(text, " \n", &save);
	int host;

	for (unsigned n = 0; word != NULL; word = strtok_r(NULL, " \n", &save)) {
		if (n == WORDS_MAX)
			return -EINVAL;
		words[n++] = word;
	}
	if (words[0] == NULL)
		return -EINVAL;
	if (strcmp(words[0], "status") == 0) {
		show_status(d, to);
		return 0;
	}
	if (strcmp(words[0], "cores") == 0) {
		show_cores(d, to);
		return 0;
	}
	host = host_number(d, words[1]);
	if (host < 0) {
		put_text(to, "error", "there is no such host; lightctl status shows them");
		return -ENOENT;
	}
	return answer_about_host(d, q, (unsigned)host, words, to);
}

int control_answer(void *context, const struct server_question *q, struct server_answer *a)
{
	struct json_object *to = json_object_new_object();
	char text[QUESTION_MAX + 1] = "";
	const char *json;
	int error = -EINVAL;

	if (q->length <= QUESTION_MAX) {
		memcpy(text, q->text, q->length);
		error = answer(context, q, text, to);
	}
	if (q->fd >= 0)
		close(q->fd);
	if (error < 0 && json_object_object_get(to, "error") == NULL)
		put_text(to, "error", strerror(-error));
	json = json_object_to_json_string_ext(to, JSON_C_TO_STRING_PLAIN);
	if (server_answer_add(a, json, strlen(json)) < 0)
		error = -ENOMEM;
	json_object_put(to);
	return error;
}
