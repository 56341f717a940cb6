/* SPDX-License-Identifier: BSD-3-Clause */
/* The daemon's socket and what comes over it (hello.h): new programs, forks, images after exec, deaths, and lightctl's questions.
 * Nothing here waits; who does not read is cut off. */
#include "ipc/server_private.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "ipc/raw.h"

#define ACCEPT_MOST 16u   /* newcomers a look */
#define STRANGERS_MOST 256u
#define WORDS_MOST 8u     /* packets of one socket a look */
#define EVENTS 64

static int epoll_add(struct server *s, int fd, uint32_t events, uintptr_t tag)
{
	struct epoll_event e = { .events = events, .data.ptr = (void *)tag };

	return epoll_ctl(s->epoll, EPOLL_CTL_ADD, fd, &e) < 0 ? -errno : 0;
}

int connection_new(struct server *s, int fd, uid_t uid, pid_t pid, struct connection **out)
{
	struct connection *c = calloc(1, sizeof(*c));
	int rc;

	if (!c)
		return -ENOMEM;
	*c = (struct connection){ .kind = CONNECTION_NEW, .fd = fd, .pidfd = -1, .uid = uid, .pid = pid };
	rc = epoll_add(s, fd, EPOLLIN | EPOLLRDHUP, (uintptr_t)c);
	if (rc) {
		free(c);
		return rc;
	}
	TAILQ_INSERT_TAIL(&s->connections, c, node);
	s->strangers++;
	*out = c;
	return 0;
}

/* Events of this look may still name it, so it is freed at the end of the turn. */
void connection_close(struct server *s, struct connection *c)
{
	if (c->dead)
		return;
	c->dead = true;
	if (c->round)
		c->round->connection = NULL;
	c->round = NULL;
	s->strangers -= c->kind == CONNECTION_NEW;
	/* Closing is not enough where another process has the same open socket. */
	epoll_ctl(s->epoll, EPOLL_CTL_DEL, c->fd, NULL);
	close(c->fd);
	if (c->pidfd >= 0) {
		epoll_ctl(s->epoll, EPOLL_CTL_DEL, c->pidfd, NULL);
		close(c->pidfd);
	}
	TAILQ_REMOVE(&s->connections, c, node);
	TAILQ_INSERT_TAIL(&s->dead_connections, c, node);
}

void connections_bury(struct server *s)
{
	struct connection *c;

	while ((c = TAILQ_FIRST(&s->dead_connections))) {
		TAILQ_REMOVE(&s->dead_connections, c, node);
		if (c->answer)
			free(c->answer->bytes);
		free(c->answer);
		free(c);
	}
}

static void refuse(struct server *s, struct connection *c, int error)
{
	struct welcome w = { .magic = HELLO_MAGIC, .result = error };

	s->stats.refused++;
	hello_send(c->fd, &w, sizeof(w), NULL, 0);
}

/* The death of a process is seen at its socket, unless it gave the socket away: then here. */
static void watch_process(struct server *s, struct connection *c)
{
	if (c->pid <= 0 || c->pidfd >= 0)
		return;
	c->pidfd = (int)raw_call2(SYS_pidfd_open, c->pid, 0);
	if (c->pidfd < 0)
		c->pidfd = -1;
	else if (epoll_add(s, c->pidfd, EPOLLIN, (uintptr_t)c | TAG_PROCESS) < 0) {
		close(c->pidfd);
		c->pidfd = -1;
	}
}

/* ---- programs ---- */

static struct server_host *host_named(struct server *s, const char *name)
{
	struct server_host *h;

	for (h = s->hosts; h; h = h->next)
		if (name[0] == 0 || strcmp(h->name, name) == 0)
			return h->stack ? h : NULL;
	return NULL;
}

static int welcome(struct session *session, int result)
{
	const struct family *f = session->family;
	struct welcome w = { .magic = HELLO_MAGIC, .result = result, .session = session->number, .family = f->number };
	int fds[HELLO_FDS] = { f->fds.constants, f->fds.shared, f->fds.data };
	unsigned i;

	for (i = 0; i < f->region.cores; i++)
		fds[HELLO_REGION_FDS + i] = f->common->bells[i];
	return hello_send(session->connection->fd, &w, sizeof(w), fds, HELLO_REGION_FDS + f->region.cores) < 0 ? -EPIPE : 0;
}

static void welcomed(struct server *s, struct round *r)
{
	(void)s;
	if (!r->connection || !r->session->connection)
		return;
	r->connection->round = NULL;
	if (r->rc)
		refuse(s, r->connection, r->rc);
	if (r->rc || welcome(r->session, 0) < 0)
		session_end(r->session, false, r->rc ? "a core has no room for it" : "it left while it attached");
}

static void attach(struct server *s, struct connection *c, const struct hello *h)
{
	struct server_host *host;
	struct round r = { .done = welcomed, .connection = c };
	struct family *f = NULL;
	struct core_message m;
	char name[sizeof(h->host) + 1] = "";
	int rc;

	memcpy(name, h->host, sizeof(h->host));
	host = host_named(s, name);
	rc = host ? family_new(s, host, c->uid, &f) : -ENXIO;
	if (rc == 0) {
		rc = session_new(f, c, NOBODY, &r.session);
		if (rc)
			family_settle(f);
	}
	if (rc) {
		server_log(s, "process %d (user %u) is refused: %s", (int)c->pid, (unsigned)c->uid, strerror(-rc));
		refuse(s, c, rc);
		return;
	}
	s->stats.attached++;
	watch_process(s, c);
	f->elsewhere = r.session->elsewhere = s->cores_n - 1;
	m = core_message(f, CORE_BORN);
	m.session = (uint16_t)r.session->number;
	m.a = (uint32_t)c->pid;
	m.pointer = f->common;
	cores_ask(s, &r, &m);
}

static void forked(struct server *s, struct round *r)
{
	struct welcome w = { .magic = HELLO_MAGIC, .result = r->rc, .session = r->session ? r->session->number : 0 };
	struct connection *c = r->connection;
	struct session *parent = c ? c->session : NULL;

	(void)s;
	if (c)
		c->round = NULL;
	if (r->rc && r->session)
		session_end(r->session, false, "a core has no room for it");
	if (parent)
		w.family = parent->family->number;
	/* What it had posted may have ended it. */
	if (parent && parent->connection && hello_send(c->fd, &w, sizeof(w), &r->fd, w.result == 0) < 0)
		session_end(parent, false, "it left while it forked");
	raw_close(r->fd);
}

static void fork_child(struct server *s, struct session *parent)
{
	struct round r = { .done = forked, .connection = parent->connection, .fd = -1 };
	struct connection *c = NULL;
	struct core_message m;
	int ends[2], yes = 1;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) < 0) {
		r.rc = -errno;
		forked(s, &r);
		return;
	}
	r.fd = ends[1];
	setsockopt(ends[0], SOL_SOCKET, SO_PASSCRED, &yes, sizeof(yes));
	r.rc = connection_new(s, ends[0], parent->connection->uid, 0, &c);
	if (r.rc)
		close(ends[0]);
	else
		r.rc = session_fork(parent, c, NOBODY, &r.session);
	if (r.rc && c)
		connection_close(s, c);
	if (!parent->connection)
		r.connection = NULL;
	if (r.rc) {
		forked(s, &r);
		return;
	}
	r.session->elsewhere = s->cores_n - 1;
	m = core_message(parent->family, CORE_FORKED);
	m.session = (uint16_t)r.session->number;
	m.other = (uint16_t)parent->number;
	cores_ask(s, &r, &m);
}

static void piped(struct server *s, struct round *r)
{
	struct connection *c = r->connection;
	struct welcome w = { .magic = HELLO_MAGIC, .result = r->rc };

	(void)s;
	if (c)
		c->round = NULL;
	if (c && c->session) {
		w.session = c->session->number;
		if (hello_send(c->fd, &w, sizeof(w), &r->fd, w.result == 0) < 0)
			session_end(c->session, false, "it does not read");
	}
	raw_close(r->fd);
}

static void give_pipe(struct server *s, struct session *session, uint32_t waitset)
{
	struct core_message m = core_message(session->family, CORE_PIPE);
	struct round r = { .done = piped, .connection = session->connection, .fd = -1 };
	struct set_pipe *pipe;

	r.rc = waitset_pipe(session, waitset, &pipe);
	if (r.rc) {
		piped(s, &r);
		return;
	}
	/* The answer may come after the set is closed. */
	r.fd = (int)raw_call3(SYS_fcntl, pipe->reader, F_DUPFD_CLOEXEC, 0);
	if (r.fd < 0)
		r.rc = r.fd;
	m.session = (uint16_t)session->number;
	m.a = waitset;
	m.pointer = pipe;
	cores_ask(s, &r, &m);
}

static void resume(struct server *s, struct session *session)
{
	struct round r = { .done = welcomed, .connection = session->connection };
	struct welcome w = { .magic = HELLO_MAGIC };
	struct core_message m;

	w.result = session_resume(session, NOBODY, &r.session);
	if (w.result) {
		if (session->connection && hello_send(session->connection->fd, &w, sizeof(w), NULL, 0) != sizeof(w))
			session_end(session, false, "it left while it executed another program");
		return;
	}
	r.session->elsewhere = s->cores_n - 1;
	m = core_message(session->family, CORE_RESUMED);
	m.session = (uint16_t)r.session->number;
	m.other = (uint16_t)session->number;
	cores_ask(s, &r, &m);
}

static void child_speaks(struct server *s, struct connection *c)
{
	struct core_message m = core_message(c->session->family, CORE_PID);

	c->session->pid = c->pid;
	m.session = (uint16_t)c->session->number;
	m.a = (uint32_t)c->pid;
	cores_tell(s, &m);
	watch_process(s, c);
}

static void from_program(struct server *s, struct connection *c, const struct hello *h)
{
	switch ((enum hello_kind)h->kind) {
	case HELLO_RESUME:
		resume(s, c->session);
		return;
	case HELLO_RESUMED:
		session_resumed(c->session);
		return;
	case HELLO_FORK:
		fork_child(s, c->session);
		return;
	case HELLO_CHILD:
		child_speaks(s, c);
		return;
	case HELLO_PIPE:
		give_pipe(s, c->session, h->a);
		return;
	case HELLO_GOODBYE:
		session_goodbye(c->session);
		return;
	case HELLO_ATTACH:
	case HELLO_CONTROL:
		break;
	}
	session_violation(c->session, "an impossible word on its socket");
}

/* ---- lightctl ---- */

int server_answer_add(struct server_answer *a, const void *bytes, size_t n)
{
	if (n > a->room - a->n) {
		size_t room = 2 * (a->n + n) + 4096;
		uint8_t *more = realloc(a->bytes, room);

		if (!more)
			return -ENOMEM;
		a->bytes = more;
		a->room = room;
	}
	memcpy(a->bytes + a->n, bytes, n);
	a->n += n;
	return 0;
}

static void watch_writable(struct server *s, struct connection *c, bool yes)
{
	struct epoll_event e = { .events = EPOLLIN | EPOLLRDHUP | (yes ? EPOLLOUT : 0), .data.ptr = c };

	epoll_ctl(s->epoll, EPOLL_CTL_MOD, c->fd, &e);
}

/* As much of the answer as the asker has room for. */
static void send_answer(struct server *s, struct connection *c)
{
	struct server_answer *a = c->answer;
	struct { struct welcome head; uint8_t bytes[HELLO_PIECE]; } piece;
	ssize_t rc = 0;
	size_t n;

	do {
		n = a->n - a->sent < HELLO_PIECE ? a->n - a->sent : HELLO_PIECE;
		piece.head = (struct welcome){ .magic = HELLO_MAGIC, .result = a->sent + n < a->n ? 1 : a->result, .a = (uint32_t)n };
		memcpy(piece.bytes, a->bytes + a->sent, n);
		rc = hello_send(c->fd, &piece, sizeof(piece.head) + n, NULL, 0);
		if (rc < 0)
			break;
		a->sent += n;
	} while (a->sent < a->n);
	if (rc == -EAGAIN) {
		watch_writable(s, c, true);
		return;
	}
	free(a->bytes);
	free(a);
	c->answer = NULL;
	if (rc < 0)
		connection_close(s, c);
	else
		watch_writable(s, c, false);
}

static void ask(struct server *s, struct connection *c, const char *text, size_t length, int fd)
{
	struct server_question q = { .text = text, .length = length, .fd = fd, .pid = c->pid, .uid = c->uid };

	s->strangers -= c->kind == CONNECTION_NEW;
	c->kind = CONNECTION_CONTROL;
	if (c->answer || !s->config.control) {
		raw_close(fd);
		refuse(s, c, c->answer ? -EBUSY : -ENOSYS);
		return;
	}
	c->answer = calloc(1, sizeof(*c->answer));
	if (!c->answer) {
		raw_close(fd);
		return;
	}
	c->answer->bytes = malloc(4096);
	c->answer->room = c->answer->bytes ? 4096 : 0;
	c->answer->result = s->config.control(s->config.control_context, &q, c->answer);
	send_answer(s, c);
}

/* ---- all ---- */

static void gone(struct server *s, struct connection *c)
{
	if (c->session)
		session_died(c->session);
	else
		connection_close(s, c);
}

static void words(struct server *s, struct connection *c)
{
	union { struct hello hello; char bytes[sizeof(struct hello) + HELLO_TEXT + 1]; } m;
	unsigned i;

	/* Who waits for an answer has nothing to say. */
	for (i = 0; i < WORDS_MOST && !c->dead && !c->round; i++) {
		int fd = -1;
		unsigned fds = 1;
		ssize_t n = hello_recv(c->fd, &m, sizeof(m) - 1, &fd, &fds, &c->pid);

		if (n == -EAGAIN || n == -EINTR)
			return;
		if (n < (ssize_t)sizeof(m.hello) || m.hello.magic != HELLO_MAGIC || m.hello.version != HELLO_VERSION) {
			if (n >= (ssize_t)sizeof(m.hello) && m.hello.magic == HELLO_MAGIC)
				refuse(s, c, -EPROTONOSUPPORT);
			raw_close(fds ? fd : -1);
			gone(s, c);
			return;
		}
		if (m.hello.kind == HELLO_CONTROL && c->kind != CONNECTION_PROGRAM) {
			m.bytes[n] = 0;
			ask(s, c, m.bytes + sizeof(m.hello), (size_t)n - sizeof(m.hello), fds ? fd : -1);
			continue;
		}
		raw_close(fds ? fd : -1);
		if (c->kind == CONNECTION_PROGRAM)
			from_program(s, c, &m.hello);
		else if (c->kind == CONNECTION_NEW && m.hello.kind == HELLO_ATTACH)
			attach(s, c, &m.hello);
		else
			gone(s, c);
	}
}

static void newcomers(struct server *s)
{
	unsigned i;

	for (i = 0; i < ACCEPT_MOST; i++) {
		int fd = accept4(s->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		struct ucred who = { .uid = (uid_t)-1 };
		socklen_t n = sizeof(who);
		struct connection *c;

		if (fd < 0)
			return;
		/* Who comes and says nothing must not use up our descriptors. */
		if (s->strangers >= STRANGERS_MOST || getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &n) < 0 ||
			connection_new(s, fd, who.uid, who.pid, &c) < 0)
			close(fd);
	}
}

unsigned connections_turn(struct server *s)
{
	struct epoll_event events[EVENTS];
	int n = epoll_wait(s->epoll, events, EVENTS, 0), i;
	unsigned work = 0;

	for (i = 0; i < n; i++) {
		uintptr_t tag = (uintptr_t)events[i].data.ptr;
		struct connection *c = (struct connection *)(tag & ~(TAG_PROCESS | TAG_BELL));

		if (tag == TAG_BELL) {
			s->stats.rings++;   /* that it woke us is all; the words in memory say why */
			continue;
		}
		work++;
		if (tag == 0) {
			newcomers(s);
		} else if (c->dead) {
			continue;
		} else if (tag & TAG_PROCESS) {
			gone(s, c);
		} else {
			if (events[i].events & EPOLLIN)
				words(s, c);
			if (!c->dead && c->answer && events[i].events & EPOLLOUT)
				send_answer(s, c);
			if (!c->dead && events[i].events & (EPOLLHUP | EPOLLERR | EPOLLRDHUP) && !(events[i].events & EPOLLIN))
				gone(s, c);
		}
	}
	return work;
}
