/* SPDX-License-Identifier: BSD-3-Clause */
/* Readiness of the stack (EP_*) in poll(2)'s terms, as Linux's tcp_poll and datagram_poll answer: a stream that has no connection (yet, or
 * any more) hangs up, and is writable, for a write would not wait but fail. Pure: for the preload library and for the simulated process
 * of sim/ alike. */
#ifndef LIGHT_POSIX_POLLMAP_H
#define LIGHT_POSIX_POLLMAP_H

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>

#include "stack/endpoint.h"

static inline short pollmap_common(uint32_t ready)
{
	return (short)((ready & (EP_ERROR | EP_QUEUED) ? POLLERR : 0) | (ready & EP_URGENT ? POLLPRI : 0));
}

/* idle: neither listening nor connecting nor ever connected; write_closed: connected, and after SHUT_WR a write fails at once. */
static inline short pollmap_stream(uint32_t ready, bool idle, bool write_closed)
{
	short events = pollmap_common(ready);

	if (ready & EP_READABLE)
		events |= POLLIN | POLLRDNORM;
	if (ready & EP_READ_CLOSED)
		events |= POLLIN | POLLRDNORM | POLLRDHUP;
	if (ready & EP_WRITABLE)
		events |= POLLOUT | POLLWRNORM;
	if (ready & EP_HANGUP || idle)
		events |= POLLHUP | POLLOUT | POLLWRNORM;
	if ((ready & EP_HANGUP) && !idle)
		events |= POLLIN | POLLRDNORM | POLLRDHUP;
	if (write_closed)
		events |= POLLOUT | POLLWRNORM;
	return events;
}

static inline short pollmap_datagram(uint32_t ready)
{
	short events = pollmap_common(ready);

	if (ready & (EP_READABLE | EP_READ_CLOSED))
		events |= POLLIN | POLLRDNORM;
	if (ready & EP_READ_CLOSED)
		events |= POLLRDHUP;
	if (ready & EP_WRITABLE)
		events |= POLLOUT | POLLWRNORM;
	if (ready & EP_HANGUP)
		events |= POLLHUP | POLLOUT | POLLWRNORM;
	return events;
}

#endif
