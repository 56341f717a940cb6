/* SPDX-License-Identifier: BSD-3-Clause */
/* poll and ppoll: Light's sockets are looked at here, all other entries by the kernel, in a copy of the array in which Light's
 * are left out (a negative descriptor is ignored). Without a Light socket the call is the kernel's. */
#include <errno.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "posix/deadline.h"
#include "posix/waiter.h"

enum { FEW = 64 };

struct poll_call {
	struct wait_call wait;
	struct pollfd *fds, *kernel;    /* the program's; the copy, with room for two more */
	nfds_t count;
	bool epoll;                     /* epoll descriptors with sets of ours are among them */
};

static bool concerns_us(const struct pollfd *fds, nfds_t n)
{
	for (nfds_t i = 0; i < n; i++)
		if (fds[i].fd >= 0 && fdtable_kind(fds[i].fd) != DESCRIPTOR_NONE)
			return true;
	return false;
}

/* The kernel allows no more entries than descriptors; Light's must not be the way around. */
static bool too_many(nfds_t n)
{
	struct rlimit limit;

	return n > 256 && system_call(SYS_prlimit64, 0, RLIMIT_NOFILE, 0, (long)&limit, 0, 0) == 0 && n > limit.rlim_cur;
}

static int kernel_wait(struct wait_call *wait, int bell, int other, const struct timespec *left, const sigset_t *mask)
{
	struct poll_call *call = (struct poll_call *)wait;
	struct pollfd *ours = &call->kernel[call->count];
	int ready;

	ours[0] = (struct pollfd){ .fd = bell, .events = POLLIN };
	ours[1] = (struct pollfd){ .fd = other, .events = POLLIN };
	for (nfds_t i = 0; call->epoll && i < call->count; i++)
		if (call->kernel[i].fd >= 0 && fdtable_kind(call->kernel[i].fd) == DESCRIPTOR_EPOLL)
			epoll_look_from_outside(call->kernel[i].fd);
	ready = libc.ppoll(call->kernel, call->count + 2, left, mask);
	if (ready <= 0)
		return ready;
	return ready - (ours[0].revents != 0) - (ours[1].revents != 0);
}

static void split(struct poll_call *call)
{
	for (nfds_t i = 0; i < call->count; i++) {
		struct pollfd *p = &call->fds[i];
		struct socket *s = p->fd < 0 ? NULL : fdtable_socket(p->fd);

		call->kernel[i] = (struct pollfd){ .fd = s ? -1 : p->fd, .events = p->events };
		if (s) {
			call->wait.sockets[call->wait.count++] =
				(struct wait_socket){ s, (short)(p->events | POLLERR | POLLHUP), 0 };
			/* Remembers in the copy that this entry is Light's. */
			call->kernel[i].fd = -2;
		} else if (p->fd >= 0) {
			call->wait.kernel = true;
			call->epoll |= fdtable_kind(p->fd) == DESCRIPTOR_EPOLL;
		}
	}
}

/* Results go to the program, references back. */
static void merge(struct poll_call *call, bool write)
{
	unsigned next = 0;

	for (nfds_t i = 0; i < call->count; i++) {
		short ready = call->kernel[i].revents;

		if (call->kernel[i].fd == -2) {
			ready = call->wait.sockets[next].ready;
			socket_put(call->wait.sockets[next++].socket);
		}
		if (write)
			call->fds[i].revents = ready;
	}
}

int light_poll(struct pollfd *fds, nfds_t n, nsec until, const sigset_t *mask)
{
	struct poll_call call = { .fds = fds, .count = n };
	struct pollfd few_kernel[FEW + 2];
	struct wait_socket few_sockets[FEW];
	const size_t bytes = n * sizeof(*few_sockets) + (n + 2) * sizeof(*few_kernel);
	struct timespec left;
	int result;

	if (!fds || !concerns_us(fds, n))
		return libc.ppoll(fds, n, deadline_left(until, &left), mask);
	if (too_many(n)) {
		errno = EINVAL;
		return -1;
	}
	call.wait.until = until;
	call.wait.mask = mask;
	call.wait.kernel_wait = kernel_wait;
	call.kernel = few_kernel;
	call.wait.sockets = few_sockets;
	if (n > FEW) {
		call.wait.sockets = wait_scratch_take(bytes);
		if (!call.wait.sockets) {
			errno = ENOMEM;
			return -1;
		}
		call.kernel = (struct pollfd *)(call.wait.sockets + n);
	}
	split(&call);
	result = wait_for(&call.wait);
	merge(&call, result >= 0);
	if (n > FEW)
		wait_scratch_give(call.wait.sockets, bytes);
	return result;
}
