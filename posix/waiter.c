/* SPDX-License-Identifier: BSD-3-Clause */
/* See waiter.h. What is remembered is a waiter. It belongs to one thread at a time; when the thread ends it goes to a
 * free list, waitset and registrations and all, and serves the next thread. A signal handler that waits above a wait takes
 * another one. */
#include "posix/waiter.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>

#include "posix/bell.h"
#include "posix/deadline.h"
#include "posix/lock.h"

/* What the waitset knows of a line. A line number is used again after close: `generation` tells its uses apart. */
struct known {
	uint64_t generation;
	uint32_t mask;          /* 0: not watched */
	uint32_t call;          /* the last call that asked for it */
};

struct waiter {
	struct waiter *next;            /* in the free list */
	struct waiter *next_all;
	struct waitset *waitset;
	struct known *known;            /* by line; memory only where touched */
	uint32_t known_count;
	uint32_t call;
	_Atomic bool busy;
	_Atomic bool undecided;         /* sleeps with a socket of which no line tells */
	int bell;                       /* by which waiter_socket_placed wakes us; 0: none so far */
};

static _Atomic uint32_t lock;
static struct waiter *free_list, *all;
static _Atomic bool any_undecided;      /* ever: most programs decide before they wait */
static pthread_key_t key;
static pthread_once_t key_once = PTHREAD_ONCE_INIT;
static bool key_made;
static _Thread_local struct waiter *mine __attribute__((tls_model("initial-exec")));

static _Thread_local struct {
	void *memory;
	size_t size;
	bool taken;
} scratch __attribute__((tls_model("initial-exec")));

static void *pages(size_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

static void recycle(struct waiter *w)
{
	lock_take(&lock);
	w->next = free_list;
	free_list = w;
	lock_give(&lock);
}

static void thread_ends(void *w)
{
	mine = NULL;
	if (scratch.memory)
		munmap(scratch.memory, scratch.size);
	scratch.memory = NULL;
	scratch.size = 0;
	recycle(w);
}

static void make_key(void)
{
	key_made = pthread_key_create(&key, thread_ends) == 0;
}

static struct waiter *new_waiter(void)
{
	struct waiter *w;

	lock_take(&lock);
	w = free_list;
	if (w) {
		free_list = w->next;
	} else if ((w = pages(sizeof(*w)))) {
		w->next_all = all;
		all = w;
	}
	lock_give(&lock);
	return w;
}

static bool know_up_to(struct waiter *w, uint32_t line)
{
	uint32_t count = w->known_count ? w->known_count : 1 << 16;
	struct known *known;

	if (line < w->known_count)
		return true;
	while (count <= line)
		count *= 2;
	if (!w->known)
		known = pages(count * sizeof(*known));
	else
		known = mremap(w->known, w->known_count * sizeof(*known), count * sizeof(*known), MREMAP_MAYMOVE);
	if (!known || known == MAP_FAILED)
		return false;
	w->known = known;
	w->known_count = count;
	return true;
}

static struct waiter *usable(struct waiter *w)
{
	struct client *c;
	int result;

	if (w->waitset)
		return w;
	if (!(c = light_client()))
		return NULL;
	result = waitset_new(c, &w->waitset);
	if (result < 0) {
		errno = -result;
		return NULL;
	}
	return w;
}

static void waiter_give(struct waiter *w)
{
	int saved = errno;

	atomic_store(&w->undecided, false);
	atomic_store(&w->busy, false);
	if (w != mine)
		recycle(w);
	errno = saved;
}

static struct waiter *waiter_take(void)
{
	struct waiter *w = mine;

	if (!w || atomic_exchange(&w->busy, true)) {
		bool spare = w != NULL;

		if (!(w = new_waiter())) {
			errno = ENOMEM;
			return NULL;
		}
		atomic_store(&w->busy, true);
		pthread_once(&key_once, make_key);
		if (!spare && key_made && pthread_setspecific(key, w) == 0)
			mine = w;
	}
	w->call++;
	atomic_store(&w->undecided, false);
	if (usable(w))
		return w;
	waiter_give(w);
	return NULL;
}

static bool on_light(const struct socket *s)
{
	return atomic_load(&s->place) == SOCKET_LIGHT && s->line != LINE_NONE;
}

static uint64_t use_of(const struct socket *s, const struct sock_line *line)
{
	return (uint64_t)atomic_load(&s->generation) << 32 | line->generation;
}

static int watch_one(struct waiter *w, struct client *c, const struct wait_socket *s)
{
	uint32_t line = s->socket->line, mask = socket_watch_mask(s->events) | EP_HANGUP | EP_ERROR;
	uint64_t generation;
	struct known *k;
	int result;

	if (!on_light(s->socket)) {
		if (w->bell <= 0)
			w->bell = bell_new();
		if (w->bell < 0)
			return w->bell;
		atomic_store(&w->undecided, true);
		atomic_store(&any_undecided, true);
		if (!on_light(s->socket))
			return 0;
		line = s->socket->line;
	}
	if (!know_up_to(w, line))
		return -ENOMEM;
	k = &w->known[line];
	generation = use_of(s->socket, client_line(c, line));
	k->call = w->call;
	if (k->generation != generation)
		k->mask = 0;
	if ((mask & ~k->mask) == 0)
		return 0;
	/* Masks only grow: select and poll that alternate between reading and writing post nothing. */
	result = waitset_watch(w->waitset, line, mask | k->mask, false, line);
	if (result < 0)
		return result;
	k->mask |= mask;
	k->generation = generation;
	return 0;
}

/* Events only say "look"; the caller looks at all it asked for. */
static void drain(struct waiter *w)
{
	struct wait_event events[64];
	unsigned n;

	while ((n = waitset_take(w->waitset, events, 64)) > 0)
		for (unsigned i = 0; i < n; i++) {
			uint32_t line = events[i].line;
			struct known *k = line < w->known_count ? &w->known[line] : NULL;

			if (!k || k->call == w->call || k->mask == 0)
				continue;
			waitset_unwatch(w->waitset, line);
			k->mask = 0;
		}
}

static int watch(struct waiter *w, const struct wait_call *call)
{
	struct client *c = light_client_if_attached();
	int result = 0;

	if (!c)
		return -ENETDOWN;
	for (unsigned i = 0; i < call->count && result == 0; i++)
		result = watch_one(w, c, &call->sockets[i]);
	drain(w);
	return result;
}

/* ---- the wait ---- */

static short level(const struct wait_socket *s)
{
	int holds = socket_poll(s->socket);

	if (holds & POLLIN)
		holds |= POLLRDNORM;
	if (holds & POLLOUT)
		holds |= s->socket->type == EP_DATAGRAM ? POLLWRNORM | POLLWRBAND : POLLWRNORM;
	return (short)(holds & s->events);
}

static int look(struct wait_call *call)
{
	int ready = 0;

	for (unsigned i = 0; i < call->count; i++) {
		call->sockets[i].ready = level(&call->sockets[i]);
		ready += call->sockets[i].ready != 0;
	}
	return ready;
}

static int look_at_kernel(struct wait_call *call)
{
	static const struct timespec now;

	return call->kernel ? call->kernel_wait(call, -1, -1, &now, NULL) : 0;
}

/* poll and select are never restarted: any time but NSEC_NEVER says so to the one wait. */
static nsec ends(nsec until)
{
	return until == NSEC_NEVER ? NSEC_NEVER - 1 : until;
}

/* The usual blocking program waits for one socket: its own line is enough (and a futex is all it takes). 0: look again. */
static int wait_for_one(struct wait_call *call)
{
	const struct wait_socket *s = call->sockets;
	struct client *c = light_client_if_attached();

	if (call->count != 1 || call->kernel || call->mask || !c || !on_light(s->socket))
		return -EAGAIN;
	return client_wait_line(c, s->socket->line, socket_watch_mask(s->events) | EP_HANGUP | EP_ERROR, ends(call->until));
}

static bool daemon_lives(void)
{
	struct client *c = light_client_if_attached();

	return c && client_alive(c);
}

/* The waitset's descriptor hangs up when the daemon dies; from then on it says nothing more. */
static int sleep_in_kernel(struct waiter *w, struct wait_call *call)
{
	bool undecided = atomic_load(&w->undecided), lives = daemon_lives();
	/* Made before arming: an event that comes while there is nothing to ring yet would be lost. */
	int bell = lives ? waitset_eventfd(w->waitset) : -1;
	struct timespec left;
	int result = 0, saved;

	/* Without a descriptor to spare nothing could end this sleep: poll(2) and select(2) say so with ENOMEM. */
	if (lives && bell < 0) {
		errno = ENOMEM;
		return -1;
	}
	if (!lives || waitset_arm(w->waitset))
		result = call->kernel_wait(call, bell, undecided ? w->bell : -1, deadline_left(call->until, &left), call->mask);
	saved = errno;
	waitset_disarm(w->waitset);
	if (undecided)
		bell_clear(w->bell);
	drain(w);
	errno = saved;
	return result;
}

/* How many of the kernel's are ready; 0: look again; -1 and errno. */
static int sleep_once(struct waiter *w, struct wait_call *call)
{
	int result;

	if (call->kernel || call->mask || atomic_load(&w->undecided) || !daemon_lives())
		return sleep_in_kernel(w, call);
	result = waitset_sleep(w->waitset, ends(call->until));
	drain(w);
	if (result == 0 || result == -ETIMEDOUT)
		return 0;
	errno = -result;
	return -1;
}

/* Draining discards events, so the level is looked at between it and the sleep. */
static int wait_with(struct waiter *w, struct wait_call *call)
{
	bool spun = false;

	for (;;) {
		int result = watch(w, call), ready, kernel;

		if (result < 0) {
			errno = -result;
			return -1;
		}
		if ((ready = look(call)) > 0 || deadline_passed(call->until)) {
			kernel = look_at_kernel(call);
			return kernel < 0 ? -1 : ready + kernel;
		}
		if (!spun && waitset_spin(w->waitset)) {
			spun = true;
			continue;
		}
		spun = true;
		if ((kernel = sleep_once(w, call)) < 0)
			return -1;
		if (kernel > 0)
			return look(call) + kernel;
	}
}

int wait_for(struct wait_call *call)
{
	int ready = look(call), kernel = look_at_kernel(call), result;
	struct waiter *w;

	if (kernel < 0)
		return -1;
	if (ready + kernel > 0 || deadline_passed(call->until))
		return ready + kernel;
	result = wait_for_one(call);
	if (result == -EINTR) {
		errno = EINTR;
		return -1;
	}
	if (result != -EAGAIN && ((ready = look(call)) > 0 || deadline_passed(call->until)))
		return ready;
	if (!(w = waiter_take()))
		return -1;
	result = wait_with(w, call);
	waiter_give(w);
	return result;
}

/* A signal handler's call above ours gets memory of its own. */
void *wait_scratch_take(size_t bytes)
{
	if (scratch.taken)
		return pages(bytes);
	scratch.taken = true;
	if (bytes > scratch.size) {
		if (scratch.memory)
			munmap(scratch.memory, scratch.size);
		scratch.size = (bytes * 2 + 4095) & ~(size_t)4095;
		scratch.memory = pages(scratch.size);
		if (!scratch.memory) {
			scratch.size = 0;
			scratch.taken = false;
		}
	}
	return scratch.memory;
}

void wait_scratch_give(void *memory, size_t bytes)
{
	if (memory == scratch.memory)
		scratch.taken = false;
	else
		munmap(memory, bytes);
}

void waiter_socket_placed(void)
{
	if (!atomic_load(&any_undecided))
		return;
	lock_take(&lock);
	for (struct waiter *w = all; w; w = w->next_all)
		if (atomic_load(&w->undecided))
			bell_ring(w->bell);
	lock_give(&lock);
}

/* Only the forking thread is left; the waitsets are the parent's. */
void poll_after_fork_child(void)
{
	atomic_store(&lock, 0);
	for (struct waiter *w = all; w; w = w->next_all) {
		w->waitset = NULL;
		bell_free(w->bell > 0 ? w->bell : -1);
		w->bell = 0;
		if (w->known)
			munmap(w->known, w->known_count * sizeof(*w->known));
		w->known = NULL;
		w->known_count = 0;
	}
}
