/* SPDX-License-Identifier: BSD-3-Clause */
/* Descriptor numbers: which of them are ours and what object stands behind. Every Light descriptor is held in the kernel's own
 * table by a duplicate of a placeholder socket, so no number can mean two things. The table is plain zero-initialised
 * memory (usable before any constructor); a look-up is one load, one count and one look again. Objects come
 * from a pool that is never unmapped, so counting on a stale one is harmless. */
#include "posix/fdtable.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "posix/bell.h"

#define FDS (1u << 20)          /* the kernel's default for the hard limit */
#define SLOTS (1u << 20)

/* A pointer with the kind in its low bits; 0: not ours. */
static _Atomic uintptr_t table[FDS];
static _Atomic int highest = -1;          /* no entry lies above */

static struct socket *pool;               /* SLOTS of them, memory only where touched */
static _Atomic uint32_t pool_used = 1;    /* slot 0 is none */
static _Atomic uint64_t pool_free;        /* slot of the first free one, and a count against ABA above it */

static _Atomic int placeholders[2];       /* stream, datagram: descriptor + 1 */
static _Atomic int own_from = INT32_MAX;  /* none of the library's own lies below */

static enum descriptor_kind kind_of(uintptr_t entry)
{
	return (enum descriptor_kind)(entry & 3);
}

static void *object_of(uintptr_t entry)
{
	return (void *)(entry & ~(uintptr_t)3);
}

/* ---- the pool ---- */

static struct socket *pool_or_null(void)
{
	struct socket *made, *expected = NULL;

	if (__atomic_load_n(&pool, __ATOMIC_ACQUIRE))
		return pool;
	made = mmap(NULL, (size_t)SLOTS * sizeof(*pool), PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (made == MAP_FAILED)
		return NULL;
	if (!__atomic_compare_exchange_n(&pool, &expected, made, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
		munmap(made, (size_t)SLOTS * sizeof(*pool));
	return pool;
}

static uint32_t pool_take(void)
{
	uint64_t first = atomic_load(&pool_free);
	uint32_t slot;

	while ((slot = (uint32_t)first) != 0) {
		uint64_t next = ((first >> 32) + 1) << 32 | atomic_load_explicit(&pool[slot].next_free, memory_order_relaxed);

		if (atomic_compare_exchange_weak(&pool_free, &first, next))
			return slot;
	}
	slot = atomic_fetch_add(&pool_used, 1);
	if (slot < SLOTS)
		return slot;
	atomic_fetch_sub(&pool_used, 1);
	return 0;
}

static void pool_give(struct socket *s)
{
	uint32_t slot = (uint32_t)(s - pool);
	uint64_t first = atomic_load(&pool_free), next;

	do {
		atomic_store_explicit(&s->next_free, (uint32_t)first, memory_order_relaxed);
		next = ((first >> 32) + 1) << 32 | slot;
	} while (!atomic_compare_exchange_weak(&pool_free, &first, next));
}

struct socket *socket_new_or_null(enum ep_type type, int protocol, bool nonblocking)
{
	uint32_t slot = pool_or_null() ? pool_take() : 0;
	struct socket *s = &pool[slot];

	if (slot == 0)
		return NULL;
	atomic_fetch_add(&s->generation, 1);
	s->place = SOCKET_UNDECIDED;
	s->line = LINE_NONE;
	s->type = type;
	s->nonblocking = nonblocking;
	s->receive_timeout = s->send_timeout = 0;
	atomic_store(&s->watches, NULL);
	s->early = NULL;
	s->lock = 0;
	s->domain = AF_INET;
	s->protocol = protocol;
	s->bound_any = s->more = s->connecting = s->async = false;
	s->wants = 0;
	s->owner_pid = 0;
	s->descriptors = 0;
	atomic_store_explicit(&s->references, 1, memory_order_release);
	return s;
}

/* ---- references ---- */

/* A count of 0 means free: it must not rise again. */
static bool count_up(_Atomic uint32_t *references)
{
	uint32_t n = atomic_load_explicit(references, memory_order_relaxed);

	while (n != 0)
		if (atomic_compare_exchange_weak_explicit(references, &n, n + 1, memory_order_acquire, memory_order_relaxed))
			return true;
	return false;
}

void socket_put(struct socket *s)
{
	if (atomic_fetch_sub_explicit(&s->references, 1, memory_order_acq_rel) != 1)
		return;
	if (s->line != LINE_NONE && light_session)
		client_close(light_session, s->line);
	early_free(s);
	pool_give(s);
}

void epoll_set_put(struct epoll_set *set)
{
	struct epoll_set_head *head = (struct epoll_set_head *)set;

	if (atomic_fetch_sub_explicit(&head->references, 1, memory_order_acq_rel) == 1)
		epoll_set_free(set);
}

static uintptr_t entry_of(int fd)
{
	return (unsigned)fd < FDS ? atomic_load_explicit(&table[fd], memory_order_acquire) : 0;
}

/* Takes a reference to what is behind fd if it is of this kind. */
static void *acquire(int fd, enum descriptor_kind kind)
{
	uintptr_t entry;

	while (kind_of(entry = entry_of(fd)) == kind) {
		void *object = object_of(entry);

		if (__builtin_expect(atomic_load_explicit(fork_mark, memory_order_relaxed) == 0, 0)) {
			fork_unannounced();
			continue;
		}
		/* Both kinds begin with their count. */
		bool alive = count_up(&((struct epoll_set_head *)object)->references);

		if (alive && entry_of(fd) == entry)
			return object;
		if (alive && kind == DESCRIPTOR_SOCKET)
			socket_put(object);
		else if (alive)
			epoll_set_put(object);
	}
	return NULL;
}

_Static_assert(offsetof(struct socket, references) == offsetof(struct epoll_set_head, references), "one way to count");

static void drop(uintptr_t entry)
{
	void *object = object_of(entry);

	if (kind_of(entry) == DESCRIPTOR_EPOLL) {
		epoll_set_put(object);
	} else if (kind_of(entry) == DESCRIPTOR_SOCKET) {
		struct socket *s = object;

		if (atomic_fetch_sub(&s->descriptors, 1) == 1)
			epoll_socket_gone(s);
		socket_put(s);
	}
}

static void put_entry(int fd, uintptr_t entry)
{
	int top = atomic_load_explicit(&highest, memory_order_relaxed);

	while (fd > top && !atomic_compare_exchange_weak(&highest, &top, fd))
		;
	drop(atomic_exchange(&table[fd], entry));
}

/* ---- placeholders ---- */

int fdtable_limit(void)
{
	struct rlimit limit = { 1024, 1024 };

	system_call(SYS_prlimit64, 0, RLIMIT_NOFILE, 0, (long)&limit, 0, 0);
	return (int)(limit.rlim_cur < FDS ? limit.rlim_cur : FDS);
}

/* Our own numbers lie where programs rarely look: they must stay below the limit, and not so high that the kernel has a
 * large table to copy at each fork. */
int fdtable_lowest_own(void)
{
	int limit = fdtable_limit();
	int lowest = limit >= 8192 ? 4096 : limit - limit / 4;

	if (lowest < atomic_load(&own_from))
		atomic_store(&own_from, lowest);
	return lowest;
}

int fdtable_first_own(void)
{
	return atomic_load_explicit(&own_from, memory_order_relaxed);
}

bool fdtable_is_own(int fd)
{
	return fd >= atomic_load_explicit(&own_from, memory_order_relaxed) && (fd + 1 == placeholders[0] || fd + 1 == placeholders[1] ||
		bell_is_own(fd) || (light_session && client_owns_fd(light_session, fd)));
}

/* Both are made at the first need: later the program may be at its limit of descriptors. */
static int placeholder(enum ep_type type)
{
	_Atomic int *slot = &placeholders[type == EP_DATAGRAM];
	int fd = atomic_load(slot) - 1, made, expected = 0;

	if (fd >= 0)
		return fd;
	made = libc.socket(AF_INET, (type == EP_DATAGRAM ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC, 0);
	if (made < 0)
		return -errno;
	fd = libc.fcntl(made, F_DUPFD_CLOEXEC, fdtable_lowest_own());
	libc.close(made);
	if (fd < 0)
		return -errno;
	if (!atomic_compare_exchange_strong(slot, &expected, fd + 1)) {
		libc.close(fd);
		fd = expected - 1;
	}
	if (type != EP_DATAGRAM)
		placeholder(EP_DATAGRAM);
	return fd;
}

/* LIGHT_FD=high: numbers count down from the soft limit, for programs that tell the two spaces apart by number. */
static int duplicate_high(int from, bool cloexec)
{
	int top = fdtable_limit() - 1;

	for (int wanted = top; wanted > 0; wanted--) {
		int fd;

		if (entry_of(wanted) != 0)
			continue;
		fd = libc.fcntl(from, cloexec ? F_DUPFD_CLOEXEC : F_DUPFD, wanted);
		if (fd == wanted)
			return fd;
		if (fd >= 0)
			libc.close(fd);
	}
	return -EMFILE;
}

int fdtable_reserve(enum ep_type type, int flags)
{
	bool cloexec = flags & SOCK_CLOEXEC;
	int from = placeholder(type), fd;

	if (from < 0)
		return from;
	if (settings.fd_high)
		return duplicate_high(from, cloexec);
	fd = libc.fcntl(from, cloexec ? F_DUPFD_CLOEXEC : F_DUPFD, 0);
	if (fd < 0)
		return -errno;
	if ((unsigned)fd >= FDS) {
		libc.close(fd);
		return -EMFILE;
	}
	return fd;
}

/* ---- public ---- */

void fdtable_set_socket(int fd, struct socket *s)
{
	atomic_fetch_add(&s->references, 1);
	atomic_fetch_add(&s->descriptors, 1);
	put_entry(fd, (uintptr_t)s | DESCRIPTOR_SOCKET);
}

bool fdtable_holds(int fd)
{
	return (unsigned)fd < FDS;
}

int fdtable_add_socket(struct socket *s, int flags)
{
	int fd = fdtable_reserve(s->type, flags);

	if (fd >= 0)
		fdtable_set_socket(fd, s);
	return fd;
}

void fdtable_set_epoll(int fd, struct epoll_set *set)
{
	if ((unsigned)fd < FDS)
		put_entry(fd, (uintptr_t)set | DESCRIPTOR_EPOLL);
}

int fdtable_remove(int fd)
{
	if ((unsigned)fd >= FDS || entry_of(fd) == 0)
		return 0;
	drop(atomic_exchange(&table[fd], 0));
	return 1;
}

int fdtable_highest(void)
{
	return atomic_load(&highest);
}

void fdtable_copy(int from, int to)
{
	struct socket *s;
	struct epoll_set *set;

	if ((s = fdtable_socket(from))) {
		fdtable_set_socket(to, s);
		socket_put(s);
	} else if ((set = fdtable_epoll(from))) {
		fdtable_set_epoll(to, set);  /* keeps the reference just taken */
	} else {
		fdtable_remove(to);
	}
}

void fdtable_forget_all(void)
{
	for (int fd = fdtable_highest(); fd >= 0; fd--)
		atomic_store(&table[fd], 0);
}

void fdtable_each(void (*visit)(int fd, enum descriptor_kind, void *object, void *context), void *context)
{
	int top = fdtable_highest();

	for (int fd = 0; fd <= top; fd++) {
		enum descriptor_kind kind = fdtable_kind(fd);
		void *object = kind == DESCRIPTOR_NONE ? NULL : acquire(fd, kind);

		if (!object)
			continue;
		visit(fd, kind, object, context);
		if (kind == DESCRIPTOR_SOCKET)
			socket_put(object);
		else
			epoll_set_put(object);
	}
}

enum descriptor_kind fdtable_kind(int fd)
{
	return kind_of(entry_of(fd));
}

struct socket *fdtable_socket(int fd)
{
	return acquire(fd, DESCRIPTOR_SOCKET);
}

struct epoll_set *fdtable_epoll(int fd)
{
	return acquire(fd, DESCRIPTOR_EPOLL);
}
