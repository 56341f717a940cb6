/* SPDX-License-Identifier: BSD-3-Clause */
/* A program comes to the daemon and leaves it: attach, fork, exec, goodbye; and what is said on the session's socket. */
#include "ipc/client_private.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/un.h>

#include "ipc/raw.h"

#define PATIENCE_MSEC 5000

/* ---- the session's socket ---- */

static int wait_readable(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	struct timespec t = { .tv_sec = PATIENCE_MSEC / 1000 };
	long rc;

	if (client_pump) {
		client_pump(client_pump_context);
		return 0;
	}
	do
		rc = raw_call6(SYS_ppoll, (long)&p, 1, (long)&t, 0, 0, 0);
	while (rc == -EINTR);
	return rc == 0 ? -ETIMEDOUT : rc < 0 ? (int)rc : 0;
}

/* A welcome and at least so many descriptors; they are closed when it says no. */
static int recv_welcome(int fd, struct welcome *w, int *fds, unsigned *fds_n, unsigned least)
{
	unsigned room = fds_n ? *fds_n : 0, n;
	ssize_t got;
	int rc = 0;

	for (;;) {
		n = room;
		got = hello_recv(fd, w, sizeof(*w), fds, &n, NULL);
		if (got != -EAGAIN && got != -EINTR)
			break;
		rc = wait_readable(fd);
		if (rc < 0)
			return rc;
	}
	if (got == sizeof(*w) && w->magic == HELLO_MAGIC && w->result == 0 && n >= least) {
		if (fds_n)
			*fds_n = n;
		return 0;
	}
	while (n)
		raw_close(fds[--n]);
	if (got == 0)
		return -ECONNRESET;
	return got < 0 ? (int)got : got != sizeof(*w) || w->magic != HELLO_MAGIC ? -EPROTO : w->result < 0 ? w->result : -EPROTO;
}

static int send_hello(int fd, uint16_t kind, uint32_t a, const char *host)
{
	struct hello h = { .magic = HELLO_MAGIC, .version = HELLO_VERSION, .kind = kind, .a = a };
	ssize_t rc;

	if (host && strlen(host) >= sizeof(h.host))
		return -ENAMETOOLONG;
	if (host)
		memcpy(h.host, host, strlen(host));
	rc = hello_send(fd, &h, sizeof(h), NULL, 0);
	return rc < 0 ? (int)rc : 0;
}

int client_ask(struct client *c, uint16_t kind, uint32_t a, struct welcome *w, int *fds, unsigned *fds_n)
{
	const uint64_t all = ~UINT64_C(0);
	uint64_t before;
	int rc;

	raw_call6(SYS_rt_sigprocmask, SIG_BLOCK, (long)&all, (long)&before, sizeof(before), 0, 0);
	spin_lock(&c->socket_lock);
	rc = send_hello(c->session_fd, kind, a, NULL);
	if (rc == 0 && w)
		rc = recv_welcome(c->session_fd, w, fds, fds_n, fds_n ? *fds_n : 0);
	spin_unlock(&c->socket_lock);
	raw_call6(SYS_rt_sigprocmask, SIG_SETMASK, (long)&before, 0, sizeof(before), 0, 0);
	return rc;
}

int client_move_fd(const struct client *c, int fd)
{
	long moved;

	if (fd < 0 || fd >= c->lowest_fd)
		return fd;
	moved = raw_call3(SYS_fcntl, fd, F_DUPFD_CLOEXEC, c->lowest_fd);
	if (moved < 0)
		return fd;   /* beyond the limit of descriptors: better low than none */
	raw_close(fd);
	return (int)moved;
}

/* ---- attach ---- */

static struct client *map_client(void)
{
	long p = raw_call6(SYS_mmap, 0, sizeof(struct client), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return p < 0 && p > -4096 ? NULL : (struct client *)p;
}

static void forget_waitsets(struct client *c, bool close_pipes)
{
	uint32_t i;

	for (i = 0; i < REGION_WAITSETS; i++) {
		if (close_pipes && c->waitsets[i].client)
			raw_close(c->waitsets[i].pipe);
		c->waitsets[i] = (struct waitset){ .pipe = -1 };
	}
	for (i = 0; i < SESSION_WORDS; i++)
		atomic_store(&c->waitsets_claimed[i], 0);
}

/* The region's three descriptors are used up, the bells kept. */
static int take_region(struct client *c, int *fds, unsigned n)
{
	const struct region_fds region = { fds[0], fds[1], fds[2] };
	int rc = region_attach(&c->region, &region);
	unsigned i;

	if (rc == 0 && n != HELLO_REGION_FDS + c->region.cores) {
		region_unmap(&c->region);
		rc = -EPROTO;
	}
	for (i = 0; i < n; i++) {
		if (i < HELLO_REGION_FDS || rc < 0)
			raw_close(fds[i]);
		else
			c->bells[i - HELLO_REGION_FDS] = client_move_fd(c, fds[i]);
	}
	c->cores = c->region.cores;
	return rc;
}

/* fd is the client's from here on, whatever happens. */
static int begin(int fd, uint16_t kind, const struct client_options *o, struct client **out)
{
	struct client *c = map_client();
	struct welcome w;
	int fds[HELLO_FDS], rc = c ? send_hello(fd, kind, 0, o->host ? o->host : "") : -ENOMEM;
	unsigned n = HELLO_FDS;

	if (rc == 0)
		rc = recv_welcome(fd, &w, fds, &n, HELLO_REGION_FDS + 1);
	if (rc == 0) {
		c->lowest_fd = o->lowest_fd;
		rc = take_region(c, fds, n);
	}
	if (rc < 0) {
		raw_close(fd);
		if (c)
			raw_call2(SYS_munmap, (long)c, sizeof(*c));
		return rc;
	}
	c->session = w.session;
	c->spin_usec = o->spin_usec;
	c->session_fd = client_move_fd(c, fd);
	forget_waitsets(c, false);
	*out = c;
	return 0;
}

int client_attach_socket(int fd, const struct client_options *o, struct client **out)
{
	return begin(fd, HELLO_ATTACH, o, out);
}

int client_attach(const struct client_options *o, struct client **out)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	long fd, rc;

	if (strlen(o->socket_path) >= sizeof(a.sun_path))
		return -ENAMETOOLONG;
	memcpy(a.sun_path, o->socket_path, strlen(o->socket_path));
	fd = raw_call3(SYS_socket, AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return (int)fd;
	do
		rc = raw_call3(SYS_connect, fd, (long)&a, sizeof(a));
	while (rc == -EINTR);
	if (rc < 0) {
		raw_close((int)fd);
		return (int)rc;
	}
	return begin((int)fd, HELLO_ATTACH, o, out);
}

int client_session_fd(const struct client *c)
{
	return c->session_fd;
}

int client_resume(int fd, const struct client_options *o, struct client **out)
{
	raw_call3(SYS_fcntl, fd, F_SETFD, FD_CLOEXEC);
	return begin(fd, HELLO_RESUME, o, out);
}

int client_resume_done(struct client *c)
{
	struct request q = { .op = REQ_PING };
	uint32_t core;
	int rc = 0;

	/* What was held again must be there before the rest is let go. */
	for (core = 0; core < c->cores && rc == 0; core++) {
		q.line = core << LINE_CORE_SHIFT;
		rc = client_call(c, &q, NULL);
	}
	return rc ? rc : client_ask(c, HELLO_RESUMED, 0, NULL, NULL, NULL);
}

/* The region stays mapped: other threads may still be inside; the process is about to end. */
void client_detach(struct client *c)
{
	uint32_t core;

	client_ask(c, HELLO_GOODBYE, 0, NULL, NULL, NULL);
	raw_close(c->session_fd);
	c->session_fd = -1;
	for (core = 0; core < c->cores; core++) {
		raw_close(c->bells[core]);
		c->bells[core] = -1;
	}
	forget_waitsets(c, true);
}

bool client_owns_fd(const struct client *c, int fd)
{
	uint32_t i;

	if (fd < 0)
		return false;
	if (fd == c->session_fd)
		return true;
	for (i = 0; i < c->cores; i++)
		if (fd == c->bells[i])
			return true;
	for (i = 0; i < REGION_WAITSETS; i++)
		if (atomic_load_explicit(&c->waitsets_claimed[i / 64], memory_order_relaxed) >> (i % 64) & 1 &&
			c->waitsets[i].pipe == fd)
			return true;
	return false;
}

/* ---- fork ---- */

int client_fork_prepare(struct client *c, struct client_fork *f)
{
	struct welcome w;
	unsigned n = 1;
	int rc;

	f->child_fd = -1;
	rc = client_ask(c, HELLO_FORK, 0, &w, &f->child_fd, &n);
	if (rc < 0)
		return rc;
	f->child_fd = client_move_fd(c, f->child_fd);
	f->session = w.session;
	return 0;
}

void client_fork_parent(struct client *c, struct client_fork *f)
{
	(void)c;
	raw_close(f->child_fd);
	f->child_fd = -1;
}

int client_fork_child(struct client *c, struct client_fork *f)
{
	uint32_t i;

	lanes_forget(c);
	forget_waitsets(c, true);
	raw_close(c->session_fd);
	c->session_fd = f->child_fd;
	c->session = f->session;
	atomic_store(&c->socket_lock, 0);
	for (i = 0; i < c->cores; i++)
		atomic_store(&c->stock_hint[i], 0);
	return client_ask(c, HELLO_CHILD, 0, NULL, NULL, NULL);
}

void client_passed(int child_fd)
{
	send_hello(child_fd, HELLO_GOODBYE, 0, NULL);
	raw_close(child_fd);
}

/* ---- the host ---- */

const struct host_info *client_host(const struct client *c)
{
	return (const struct host_info *)(const void *)(c->region.constants + CONSTANTS_HOST * REGION_PAGE);
}

_Static_assert(sizeof(struct host_info) <= REGION_PAGE, "what is told of a host fits its page");

static bool prefix_equal(const struct ipaddr *a, const struct ipaddr *b, uint32_t prefix)
{
	uint32_t bits = ipaddr_is_ip4(b) && prefix <= 32 ? prefix + 96 : prefix, bytes = bits / 8, rest = bits % 8;

	if (bits > 128 || memcmp(a->bytes, b->bytes, bytes))
		return false;
	return rest == 0 || (a->bytes[bytes] ^ b->bytes[bytes]) >> (8 - rest) == 0;
}

static bool find_address(const struct host_info *h, const struct ipaddr *a)
{
	uint32_t i;

	for (i = 0; i < h->addresses && i < HOST_ROUTES; i++)
		if (ipaddr_equal(&h->address[i], a))
			return true;
	return false;
}

static bool find_route(const struct host_info *h, const struct ipaddr *a)
{
	uint32_t i;

	for (i = 0; i < h->routes && i < HOST_ROUTES; i++)
		if (prefix_equal(a, &h->route[i].to, h->route[i].prefix))
			return true;
	return false;
}

/* Reads until the daemon was not writing meanwhile. */
static bool look_up(const struct client *c, bool (*find)(const struct host_info *, const struct ipaddr *), const struct ipaddr *a)
{
	const struct host_info *h = client_host(c);
	uint32_t generation;
	bool found;

	do {
		generation = atomic_load_explicit(&h->generation, memory_order_acquire);
		found = find(h, a);
		atomic_thread_fence(memory_order_acquire);
	} while ((generation & 1 || atomic_load_explicit(&h->generation, memory_order_relaxed) != generation) && client_alive(c));
	return found;
}

bool client_is_own_address(const struct client *c, const struct ipaddr *a)
{
	return look_up(c, find_address, a);
}

bool client_has_route(const struct client *c, const struct ipaddr *a)
{
	return look_up(c, find_route, a) || look_up(c, find_address, a);
}
