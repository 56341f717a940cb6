/* SPDX-License-Identifier: BSD-3-Clause */
/* The server as its loop sees it: made, turned, put to sleep, stopped. What it does in a turn is in connection.c, requests.c and
 * publish.c. */
#include "ipc/server_private.h"

#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define LOOK_EVERY 16u  /* turns between two looks at the sockets while there is other work */

void server_log(struct server *s, const char *format, ...)
{
	char line[256];
	va_list a;

	if (!s->config.log)
		return;
	va_start(a, format);
	vsnprintf(line, sizeof(line), format, a);
	va_end(a);
	s->config.log(s->config.log_context, line);
}

void server_config_init(struct server_config *c)
{
	*c = (struct server_config){ .group = (gid_t)-1 };
}

static uint32_t bounded(uint32_t wanted, uint32_t otherwise, uint32_t most)
{
	if (wanted == 0)
		wanted = otherwise;
	return wanted < most ? wanted : most;
}

static void fill_quota(struct server_quota *q)
{
	q->families = bounded(q->families, 1024, 2000);   /* as many robust futexes as the kernel walks */
	q->families_per_uid = bounded(q->families_per_uid, 512, UINT32_MAX);
	q->sessions = bounded(q->sessions, REGION_SESSIONS, REGION_SESSIONS);
	q->lines = bounded(q->lines, 1u << 18, 1u << 20);
	q->lines_per_uid = bounded(q->lines_per_uid, 1u << 20, UINT32_MAX);
	q->lanes = bounded(q->lanes, REGION_LANES, REGION_LANES);
	q->waitsets = bounded(q->waitsets, REGION_WAITSETS, REGION_WAITSETS);
	q->data = q->data ? q->data : UINT64_C(4) << 30;
	q->data_per_uid = q->data_per_uid ? q->data_per_uid : UINT64_C(16) << 30;
	q->data_warm = q->data_warm ? q->data_warm : UINT64_C(16) << 20;
}

/* ---- the path ---- */

/* A daemon that is gone leaves its file behind; one that answers keeps its place. */
static int clear_path(const struct sockaddr_un *a)
{
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0), rc;

	if (fd < 0)
		return -errno;
	rc = connect(fd, (const struct sockaddr *)a, sizeof(*a)) < 0 ? -errno : 0;
	close(fd);
	if (rc == 0 || rc == -EAGAIN)
		return -EADDRINUSE;
	if (rc == -ECONNREFUSED && unlink(a->sun_path) < 0)
		return -errno;
	return rc == -EPROTOTYPE || rc == -ENOTSOCK ? -EADDRINUSE : 0;
}

/* The folder of the socket, if only that is missing: a path in a folder of its own can be lent to a container, and outlives restarts. */
static void make_folder(const struct sockaddr_un *a)
{
	char folder[sizeof(a->sun_path)];
	char *slash;

	memcpy(folder, a->sun_path, sizeof(folder));
	slash = strrchr(folder, '/');
	if (slash && slash != folder) {
		*slash = '\0';
		mkdir(folder, 0755);    /* that it failed, bind says */
	}
}

static int listen_on(struct server *s)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	mode_t mode = s->config.mode ? s->config.mode : 0660;
	int rc;

	if (strlen(s->config.socket_path) >= sizeof(a.sun_path))
		return -ENAMETOOLONG;
	memcpy(a.sun_path, s->config.socket_path, strlen(s->config.socket_path) + 1);
	rc = clear_path(&a);
	if (rc)
		return rc;
	make_folder(&a);
	s->listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	/* The file is born with no more rights than it shall have, whatever the umask. */
	if (s->listener < 0 || fchmod(s->listener, mode) < 0 || bind(s->listener, (struct sockaddr *)&a, sizeof(a)) < 0)
		return -errno;
	memcpy(s->path, a.sun_path, sizeof(s->path));
	if (s->config.group != (gid_t)-1 && chown(s->path, (uid_t)-1, s->config.group) < 0)
		return -errno;
	if (chmod(s->path, mode) < 0 || listen(s->listener, 128) < 0)
		return -errno;
	return 0;
}

int server_new(const struct server_config *config, struct server **out)
{
	struct epoll_event e = { .events = EPOLLIN, .data.ptr = NULL };
	struct server *s = calloc(1, sizeof(*s));
	int rc = 0;

	if (!s)
		return -ENOMEM;
	s->config = *config;
	fill_quota(&s->config.quota);
	s->listener = -1;
	s->look = true;
	LIST_INIT(&s->families);
	LIST_INIT(&s->users);
	TAILQ_INIT(&s->sessions);
	TAILQ_INIT(&s->ending);
	TAILQ_INIT(&s->dead);
	TAILQ_INIT(&s->leaving);
	TAILQ_INIT(&s->rounds);
	s->cores_n = 1;
	TAILQ_INIT(&s->connections);
	TAILQ_INIT(&s->dead_connections);
	s->numbers = calloc(s->config.quota.families, sizeof(struct family *));
	s->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (!s->numbers || s->epoll < 0)
		rc = -ENOMEM;
	if (rc == 0 && config->socket_path)
		rc = listen_on(s);
	if (rc == 0 && s->listener >= 0 && epoll_ctl(s->epoll, EPOLL_CTL_ADD, s->listener, &e) < 0)
		rc = -errno;
	if (rc) {
		server_free(s);
		return rc;
	}
	*out = s;
	return 0;
}

int server_connect(struct server *s, uid_t uid, int *fd)
{
	struct connection *c;
	int ends[2], yes = 1, rc;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) < 0)
		return -errno;
	setsockopt(ends[0], SOL_SOCKET, SO_PASSCRED, &yes, sizeof(yes));
	rc = connection_new(s, ends[0], uid, 0, &c);
	if (rc) {
		close(ends[0]);
		close(ends[1]);
		return rc;
	}
	*fd = ends[1];
	s->look = true;
	return 0;
}

/* ---- the turn ---- */

static unsigned session_turn(struct session *s)
{
	struct session_page *page = region_session(&s->family->region, s->seat);
	unsigned word, work = 0;

	session_control(s);
	for (word = 0; word < SESSION_WORDS && s->state == SESSION_LIVE; word++) {
		uint64_t lanes = s->again[word];

		if (atomic_load_explicit(&page->doorbell[word], memory_order_relaxed))
			lanes |= atomic_exchange(&page->doorbell[word], 0);
		lanes &= s->lanes_open[word];
		for (; lanes && s->state == SESSION_LIVE; lanes &= lanes - 1)
			work += lane_drain(&s->lanes[64 * word + (uint32_t)__builtin_ctzll(lanes)]);
	}
	return work;
}

/* Of what large buffers leave behind, a slice a turn. */
static unsigned cool_some(struct server *s)
{
	struct family *f;

	if (!s->dirty)
		return 0;
	LIST_FOREACH(f, &s->families, node)
		if (extents_cool(&f->extents, f->fds.data))
			return 1;
	s->dirty = false;
	return 0;
}

unsigned server_turn(struct server *s, nsec now)
{
	struct server_host *host;
	struct session *session, *next;
	unsigned work = 0;

	for (host = s->hosts; host; host = host->next)
		if (host->stack)
			stack_at(host->stack, now);
	if (s->look || s->turn % LOOK_EVERY == 0) {
		s->look = false;
		work += connections_turn(s);
	}
	if (s->cores)
		work += cores_turn(s);
	s->turn++;
	s->stats.turns++;
	/* What programs ask for may be told to other cores: not faster than they listen. */
	for (session = cores_keep_up(s) ? TAILQ_FIRST(&s->sessions) : NULL; session; session = next) {
		next = TAILQ_NEXT(session, node);
		if (session->state == SESSION_LIVE)
			work += session_turn(session);
	}
	return work + cool_some(s) + session_ending_step(s);
}

/* ---- sleep ---- */

static bool session_waits(const struct session *s)
{
	const struct session_page *page = region_session(&s->family->region, s->seat);
	unsigned word;

	if (s->state != SESSION_LIVE)
		return false;
	if (atomic_load_explicit(&page->control, memory_order_relaxed))
		return true;
	for (word = 0; word < SESSION_WORDS; word++)
		if (s->again[word] || atomic_load_explicit(&page->doorbell[word], memory_order_relaxed))
			return true;
	return false;
}

bool server_sleep_begin(struct server *s)
{
	struct session *session;
	struct family *f;

	s->asleep = true;
	LIST_FOREACH(f, &s->families, node)
		atomic_store_explicit(&region_family(&f->region)->core[s->core].sleeps, 1, memory_order_relaxed);
	if (s->cores)
		cores_sleep(s);
	doorbell_fence();
	if (s->cores && !cores_quiet(s))
		return false;
	if (s->dirty || s->changes.n || s->lanes.n || s->rung.n || !TAILQ_EMPTY(&s->ending) || !TAILQ_EMPTY(&s->dead) || !waitsets_want_room(s))
		return false;
	TAILQ_FOREACH(session, &s->sessions, node)
		if (session_waits(session))
			return false;
	s->stats.sleeps++;
	return true;
}

int server_wake_fd(const struct server *s)
{
	return s->epoll;
}

void server_sleep(struct server *s, nsec until)
{
	struct pollfd p = { .fd = s->epoll, .events = POLLIN };
	nsec now = doorbell_now();
	nsec left = until > now ? until - now : 0;
	struct timespec t = { .tv_sec = (time_t)(left / NSEC_PER_SEC), .tv_nsec = (long)(left % NSEC_PER_SEC) };

	ppoll(&p, 1, until == NSEC_NEVER ? NULL : &t, NULL);
}

void server_sleep_end(struct server *s)
{
	struct family *f;

	LIST_FOREACH(f, &s->families, node)
		atomic_store_explicit(&region_family(&f->region)->core[s->core].sleeps, 0, memory_order_relaxed);
	if (s->cores)
		cores_awake(s);
	s->asleep = false;
	s->look = true;
}

/* ---- the end ---- */

static void stop_lines(struct family *f)
{
	uint32_t i;

	for (i = 0; i < f->lines_top; i++) {
		struct line_record *l = &f->lines[i];
		uint32_t line = line_number(f, i);

		if (l->use != LINE_USED && l->use != LINE_WAITING)
			continue;
		line_set_error(f, line, ECONNRESET);
		line_set_state(f, line, LINE_HANGUP | LINE_READ_CLOSED | LINE_WRITE_CLOSED | LINE_DAEMON_GONE, LINE_CONNECTING);
		line_changed(f, line, EP_ERROR | EP_HANGUP);
	}
}

void server_stop(struct server *s)
{
	struct connection *c;
	struct session *session;
	struct family *f;

	if (s->stopped)
		return;
	s->stopped = true;
	LIST_FOREACH(f, &s->families, node) {
		if (s->core == 0)
			family_end(f);
		stop_lines(f);
	}
	server_publish(s);
	while ((session = TAILQ_FIRST(&s->sessions)))
		session_end(session, false, NULL);
	while (!TAILQ_EMPTY(&s->ending))
		session_ending_step(s);
	/* The other cores' threads have ended: nothing more will be heard of them. */
	TAILQ_FOREACH(session, &s->leaving, node)
		session->elsewhere = 0;
	TAILQ_CONCAT(&s->dead, &s->leaving, node);
	LIST_FOREACH(f, &s->families, node)
		f->elsewhere = 0;
	server_publish(s);
	while ((c = TAILQ_FIRST(&s->connections)))
		connection_close(s, c);
	connections_bury(s);
	if (s->listener >= 0)
		close(s->listener);
	s->listener = -1;
	if (s->path[0])
		unlink(s->path);
	s->path[0] = 0;
}

void server_free(struct server *s)
{
	struct server_host *host;
	struct family *f;

	if (s->numbers)
		server_stop(s);
	while ((f = LIST_FIRST(&s->families)))
		family_free(f);
	while ((host = s->hosts)) {
		s->hosts = host->next;
		free(host);
	}
	cores_free(s);
	free(s->changes.items);
	free(s->lanes.items);
	free(s->full.items);
	free(s->rung.items);
	free(s->numbers);
	if (s->listener >= 0)
		close(s->listener);
	if (s->epoll >= 0)
		close(s->epoll);
	free(s);
}
