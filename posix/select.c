/* SPDX-License-Identifier: BSD-3-Clause */
/* select and pselect: Light's sockets are looked at here; the kernel gets bitmaps without them, in which our own descriptors
 * find room above the program's. What counts as readable, writable and exceptional is Linux's fs/select.c. Without a Light
 * socket the call is the kernel's. */
#include <errno.h>
#include <string.h>

#include "posix/deadline.h"
#include "posix/waiter.h"

enum { WORD = 64, SETS = 3, NUMBERS = 1 << 20 };
enum { FEW_WORDS = 130, FEW_SOCKETS = 64 };     /* descriptors up to 8,319, our own (which start at 4,096) included */

static const short wakes[SETS] = {
	POLLIN | POLLRDNORM | POLLRDBAND | POLLHUP | POLLERR,
	POLLOUT | POLLWRNORM | POLLWRBAND | POLLERR,
	POLLPRI,
};

struct select_call {
	struct wait_call wait;
	int count;                      /* descriptors the program asks for */
	uint64_t *program[SETS];        /* its own sets; NULL: not given */
	uint64_t *asked[SETS];          /* what of them is the kernel's */
	uint64_t *answered[SETS];       /* what the kernel said */
	unsigned words;                 /* of asked and answered */
	unsigned sockets_most;          /* room in wait.sockets and numbers */
	int *numbers;                   /* of wait.sockets */
	bool epoll;
};

static bool has(const uint64_t *set, int fd)
{
	return set && (set[fd / WORD] >> (fd % WORD) & 1);
}

static void put(uint64_t *set, int fd)
{
	set[fd / WORD] |= UINT64_C(1) << (fd % WORD);
}

static unsigned words_of(int count)
{
	return ((unsigned)count + WORD - 1) / WORD;
}

/* Which of the three sets the descriptor is in, one bit a set. */
static unsigned sets_of(const struct select_call *call, int fd)
{
	return has(call->program[0], fd) | has(call->program[1], fd) << 1 | has(call->program[2], fd) << 2;
}

/* Calls visit for every descriptor in any set; stops at true. */
static bool each(struct select_call *call, bool (*visit)(struct select_call *, int fd))
{
	for (unsigned i = 0; i < words_of(call->count); i++) {
		uint64_t word = 0;

		for (int s = 0; s < SETS; s++)
			word |= call->program[s] ? call->program[s][i] : 0;
		for (; word; word &= word - 1) {
			int fd = (int)(i * WORD) + __builtin_ctzll(word);

			if (fd < call->count && visit(call, fd))
				return true;
		}
	}
	return false;
}

static bool is_ours(struct select_call *call, int fd)
{
	(void)call;
	return fdtable_kind(fd) != DESCRIPTOR_NONE;
}

static bool count_sockets(struct select_call *call, int fd)
{
	call->sockets_most += fdtable_kind(fd) == DESCRIPTOR_SOCKET;
	return false;
}

static bool split(struct select_call *call, int fd)
{
	/* Another thread may open sockets meanwhile; beyond the room counted, their placeholders are asked. */
	struct socket *socket = call->wait.count < call->sockets_most ? fdtable_socket(fd) : NULL;
	unsigned in = sets_of(call, fd);
	short events = 0;

	for (int s = 0; s < SETS; s++)
		if (in >> s & 1) {
			events |= wakes[s];
			if (!socket)
				put(call->asked[s], fd);
		}
	if (socket) {
		call->numbers[call->wait.count] = fd;
		call->wait.sockets[call->wait.count++] = (struct wait_socket){ socket, events, 0 };
		return false;
	}
	call->wait.kernel = true;
	call->epoll |= fdtable_kind(fd) == DESCRIPTOR_EPOLL;
	return false;
}

static bool publish(struct select_call *call, int fd)
{
	(void)call;
	if (fdtable_kind(fd) == DESCRIPTOR_EPOLL)
		epoll_look_from_outside(fd);
	return false;
}

/* Answers are the kernel's convention: the three sets hold what is ready. */
static int kernel_wait(struct wait_call *wait, int bell, int other, const struct timespec *left, const sigset_t *mask)
{
	struct select_call *call = (struct select_call *)wait;
	const int ours[2] = { bell, other };
	fd_set *sets[SETS];
	int n = call->count, ready;

	if (call->epoll)
		each(call, publish);
	for (int s = 0; s < SETS; s++) {
		memcpy(call->answered[s], call->asked[s], call->words * sizeof(uint64_t));
		sets[s] = (fd_set *)call->answered[s];
	}
	for (int i = 0; i < 2; i++)
		if (ours[i] >= 0 && (unsigned)ours[i] < call->words * WORD) {
			put(call->answered[0], ours[i]);
			n = ours[i] >= n ? ours[i] + 1 : n;
		}
	ready = libc.pselect(n, sets[0], sets[1], sets[2], left, mask);
	for (int i = 0; ready > 0 && i < 2; i++)
		if (ours[i] >= 0 && (unsigned)ours[i] < call->words * WORD && has(call->answered[0], ours[i])) {
			call->answered[0][ours[i] / WORD] &= ~(UINT64_C(1) << (ours[i] % WORD));
			ready--;
		}
	return ready;
}

/* One descriptor counts once for each set it is reported in. References go back. */
static int merge(struct select_call *call, bool write)
{
	unsigned words = words_of(call->count);
	int total = 0;

	for (unsigned i = 0; i < call->wait.count; i++) {
		unsigned in = sets_of(call, call->numbers[i]);

		for (int s = 0; s < SETS; s++)
			if ((in >> s & 1) && (call->wait.sockets[i].ready & wakes[s]))
				put(call->answered[s], call->numbers[i]);
		socket_put(call->wait.sockets[i].socket);
	}
	for (int s = 0; write && s < SETS; s++)
		for (unsigned i = 0; call->program[s] && i < words; i++) {
			call->program[s][i] = call->answered[s][i];
			total += __builtin_popcountll(call->program[s][i]);
		}
	return total;
}

static int run(struct select_call *call)
{
	int result;

	each(call, split);
	result = wait_for(&call->wait);
	if (result < 0 || !call->wait.kernel)
		for (int s = 0; s < SETS; s++)
			memset(call->answered[s], 0, call->words * sizeof(uint64_t));
	return merge(call, result >= 0) + (result < 0 ? result : 0);
}

/* Bitmaps on the stack for usual numbers, else all in the thread's scratch memory. */
static int run_with_memory(struct select_call *call)
{
	struct wait_socket few_sockets[FEW_SOCKETS];
	int few_numbers[FEW_SOCKETS], result;
	uint64_t few_words[2 * SETS][FEW_WORDS];
	size_t bitmap, bytes;
	char *memory = NULL;

	call->words = words_of(call->count) + 1 > FEW_WORDS ? words_of(call->count) + FEW_WORDS : FEW_WORDS;
	bitmap = call->words * sizeof(uint64_t);
	bytes = 2 * SETS * bitmap + call->sockets_most * (sizeof(*few_sockets) + sizeof(*few_numbers));
	if (call->words > FEW_WORDS || call->sockets_most > FEW_SOCKETS) {
		if (!(memory = wait_scratch_take(bytes))) {
			errno = ENOMEM;
			return -1;
		}
	}
	for (int s = 0; s < SETS; s++) {
		call->asked[s] = memory ? (uint64_t *)(memory + 2 * s * bitmap) : few_words[2 * s];
		call->answered[s] = call->asked[s] + call->words;
		memset(call->asked[s], 0, 2 * bitmap);
	}
	call->wait.sockets = memory ? (struct wait_socket *)(memory + 2 * SETS * bitmap) : few_sockets;
	call->numbers = memory ? (int *)(call->wait.sockets + call->sockets_most) : few_numbers;
	result = run(call);
	if (memory)
		wait_scratch_give(memory, bytes);
	return result;
}

int light_select(int n, fd_set *r, fd_set *w, fd_set *e, nsec until, const sigset_t *mask, nsec *left)
{
	struct select_call call = {
		.wait = { .until = until, .mask = mask, .kernel_wait = kernel_wait },
		.count = n < NUMBERS ? n : NUMBERS,
		.program = { (uint64_t *)r, (uint64_t *)w, (uint64_t *)e },
	};
	struct timespec rest;
	nsec now;
	int result;

	if (n <= 0 || !each(&call, is_ours)) {
		result = libc.pselect(n, r, w, e, deadline_left(until, &rest), mask);
	} else {
		each(&call, count_sockets);
		result = run_with_memory(&call);
	}
	now = until == 0 || until == NSEC_NEVER ? 0 : client_now();
	*left = now == 0 || now >= until ? 0 : until - now;
	return result;
}
