/* SPDX-License-Identifier: BSD-3-Clause */
/* The memory of epoll sets and registrations, their locks, and the table of a set by descriptor number.
 *
 * Pools grow by pages of their own and are never unmapped: a stale cookie, or fdtable's look at a dead set's count, must find memory. */
#include "posix/epoll_set.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "posix/lock.h"

enum { CHUNK = 1024, CHUNKS = 4096 };

static _Atomic uint32_t membership;
static LIST_HEAD(, epoll_set) all_sets = LIST_HEAD_INITIALIZER(all_sets);
static LIST_HEAD(, epoll_set) free_sets = LIST_HEAD_INITIALIZER(free_sets);

static struct epoll_watch *chunks[CHUNKS];
static _Atomic uint32_t chunks_used;
static struct epoll_bucket free_watches = LIST_HEAD_INITIALIZER(free_watches);

/* How many of these locks this thread holds. A signal handler that closes a socket while its thread is in here must not
 * wait for that thread: the closing is left to whoever gives the last lock. */
static _Thread_local volatile uint32_t inside __attribute__((tls_model("initial-exec")));
static _Atomic(struct epoll_watch *) deferred;
static _Atomic(struct epoll_set *) deferred_sets;

static void *pages(size_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

static bool grow_watches(void)
{
	uint32_t chunk = atomic_load_explicit(&chunks_used, memory_order_relaxed);
	struct epoll_watch *w;

	if (chunk == CHUNKS || !(w = pages(CHUNK * sizeof(*w))))
		return false;
	for (uint32_t i = CHUNK; i-- > 0;) {
		w[i].index = chunk * CHUNK + i;
		LIST_INSERT_HEAD(&free_watches, &w[i], in_bucket);
	}
	chunks[chunk] = w;
	atomic_store_explicit(&chunks_used, chunk + 1, memory_order_release);
	return true;
}

static bool grow_sets(void)
{
	enum { MANY = 16 };
	struct epoll_set *s = pages(MANY * sizeof(*s));

	if (!s)
		return false;
	for (int i = MANY; i-- > 0;)
		LIST_INSERT_HEAD(&free_sets, &s[i], in_all);
	return true;
}

static struct epoll_bucket *bucket(const struct epoll_set *s, int fd)
{
	return &s->buckets[(uint32_t)fd & s->buckets_mask];
}

/* Descriptor numbers are dense, so the number itself is a good hash. False: no memory, the old table goes on. */
static bool grow_buckets(struct epoll_set *s)
{
	uint32_t count = (s->buckets_mask + 1) * 4, old_count = s->buckets_mask + 1;
	size_t bytes = count * sizeof(struct epoll_bucket), old_bytes = s->buckets_bytes;
	struct epoll_bucket *old = s->buckets, *fresh = pages(bytes);
	struct epoll_watch *w;

	if (!fresh)
		return false;
	s->buckets = fresh;
	s->buckets_mask = count - 1;
	s->buckets_bytes = bytes;
	for (uint32_t i = 0; i < old_count; i++)
		while ((w = LIST_FIRST(&old[i]))) {
			LIST_REMOVE(w, in_bucket);
			LIST_INSERT_HEAD(bucket(s, w->fd), w, in_bucket);
		}
	if (old_bytes)
		munmap(old, old_bytes);
	return true;
}

static void use_few_buckets(struct epoll_set *s)
{
	if (s->buckets_bytes)
		munmap(s->buckets, s->buckets_bytes);
	s->buckets = s->few;
	s->buckets_mask = EPOLL_BUCKETS - 1;
	s->buckets_bytes = 0;
	memset(s->few, 0, sizeof(s->few));
}

static void run_deferred(void)
{
	struct epoll_watch *w = atomic_exchange(&deferred, NULL);

	while (w) {
		struct epoll_watch *next = w->deferred;
		struct socket *socket = w->socket;

		w->deferred = NULL;
		epoll_socket_gone(socket);
		socket_put(socket);
		w = next;
	}
	for (struct epoll_set *s = atomic_exchange(&deferred_sets, NULL), *next; s; s = next) {
		next = s->deferred;
		epoll_set_free(s);
	}
}

static void enter(_Atomic uint32_t *lock)
{
	inside++;
	atomic_signal_fence(memory_order_seq_cst);
	lock_take(lock);
}

static void leave(_Atomic uint32_t *lock)
{
	lock_give(lock);
	atomic_signal_fence(memory_order_seq_cst);
	if (--inside == 0 && (atomic_load_explicit(&deferred, memory_order_relaxed) ||
			      atomic_load_explicit(&deferred_sets, memory_order_relaxed)))
		run_deferred();
}

void epoll_membership_lock(void)
{
	enter(&membership);
}

void epoll_membership_unlock(void)
{
	leave(&membership);
}

void epoll_lock(struct epoll_set *s)
{
	enter(&s->lock);
}

void epoll_unlock(struct epoll_set *s)
{
	leave(&s->lock);
}

/* True: we are in a signal handler above one of our own critical sections. The socket stays referenced until the
 * interrupted section ends. */
bool epoll_defer_gone(struct socket *socket)
{
	struct epoll_watch *w, *first;

	if (inside == 0)
		return false;
	w = atomic_load(&socket->watches);
	if (!w || w->deferred)
		return true;
	atomic_fetch_add(&socket->references, 1);
	first = atomic_load(&deferred);
	do
		w->deferred = first;
	while (!atomic_compare_exchange_weak(&deferred, &first, w));
	return true;
}

/* The same for a set whose last descriptor goes. */
bool epoll_defer_free(struct epoll_set *s)
{
	struct epoll_set *first = atomic_load(&deferred_sets);

	if (inside == 0)
		return false;
	do
		s->deferred = first;
	while (!atomic_compare_exchange_weak(&deferred_sets, &first, s));
	return true;
}

struct epoll_watch *epoll_watch_new(void)
{
	struct epoll_watch *w = LIST_FIRST(&free_watches);
	uint32_t index, generation;

	if (!w && grow_watches())
		w = LIST_FIRST(&free_watches);
	if (!w)
		return NULL;
	LIST_REMOVE(w, in_bucket);
	index = w->index;
	generation = w->generation + 1;
	memset(w, 0, sizeof(*w));
	w->index = index;
	w->generation = generation;
	w->sibling = w;
	return w;
}

void epoll_watch_release(struct epoll_watch *w)
{
	w->set = NULL;
	LIST_INSERT_HEAD(&free_watches, w, in_bucket);
}

uint64_t epoll_cookie(const struct epoll_watch *w)
{
	return (uint64_t)w->generation << 32 | w->index;
}

struct epoll_watch *epoll_watch_of(uint64_t cookie)
{
	uint32_t index = (uint32_t)cookie;
	struct epoll_watch *w;

	if (index / CHUNK >= atomic_load_explicit(&chunks_used, memory_order_acquire))
		return NULL;
	w = &chunks[index / CHUNK][index % CHUNK];
	return w->set && w->generation == cookie >> 32 ? w : NULL;
}

struct epoll_watch *epoll_find(struct epoll_set *s, int fd, const struct socket *socket)
{
	struct epoll_watch *w;

	LIST_FOREACH(w, bucket(s, fd), in_bucket)
		if (w->fd == fd && w->socket == socket)
			return w;
	return NULL;
}

void epoll_insert(struct epoll_set *s, struct epoll_watch *w)
{
	uint32_t count = atomic_load_explicit(&s->watches, memory_order_relaxed);

	if (count > s->buckets_mask)
		grow_buckets(s);        /* without memory: longer chains */
	LIST_INSERT_HEAD(bucket(s, w->fd), w, in_bucket);
	atomic_store_explicit(&s->watches, count + 1, memory_order_relaxed);
}

struct epoll_set *epoll_set_new(void)
{
	struct epoll_set *s;

	epoll_membership_lock();
	s = LIST_FIRST(&free_sets);
	if (!s && grow_sets())
		s = LIST_FIRST(&free_sets);
	if (s) {
		LIST_REMOVE(s, in_all);
		LIST_INSERT_HEAD(&all_sets, s, in_all);
		s->in_use = true;
		TAILQ_INIT(&s->ready);
		use_few_buckets(s);
		s->bell = -1;
		atomic_store(&s->number, -1);
		atomic_store(&s->head.references, 1);
	}
	epoll_membership_unlock();
	return s;
}

/* All fields go back to zero but the count (fdtable may look at it) and the generation. */
void epoll_set_recycle(struct epoll_set *s)
{
	uint32_t generation = atomic_load(&s->generation);

	LIST_REMOVE(s, in_all);
	use_few_buckets(s);
	memset((char *)s + sizeof(s->head), 0, sizeof(*s) - sizeof(s->head));
	atomic_store(&s->generation, generation + 1);
	LIST_INSERT_HEAD(&free_sets, s, in_all);
}

void epoll_each_set(void (*visit)(struct epoll_set *))
{
	struct epoll_set *s, *next;

	for (s = LIST_FIRST(&all_sets); s; s = next) {
		next = LIST_NEXT(s, in_all);
		visit(s);
	}
}
