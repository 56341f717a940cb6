/* SPDX-License-Identifier: BSD-3-Clause */
/* Readiness in poll(2)'s terms, as Linux's tcp_poll and datagram_poll answer: a stream that has no connection (yet, or any more)
 * hangs up, and is writable, for a write would not wait but fail. */
#include "posix/calls.h"

static short poll_stream(struct socket *s, uint32_t ready, uint32_t state)
{
	bool idle = !(state & (LINE_LISTENING | LINE_CONNECTING | LINE_CONNECTED)) && !s->connecting;
	short events = 0;

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
	/* After SHUT_WR a write fails at once. */
	if ((state & LINE_CONNECTED) && (state & LINE_WRITE_CLOSED))
		events |= POLLOUT | POLLWRNORM;
	return events;
}

static short poll_datagram(uint32_t ready)
{
	short events = 0;

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

short socket_poll(struct socket *s)
{
	bool stream = s->type == EP_STREAM;
	uint32_t ready;
	short events;

	if (!is_light(s))
		return stream ? POLLOUT | POLLWRNORM | POLLHUP : POLLOUT | POLLWRNORM;
	ready = client_ready(light_session, s->line);
	events = stream ? poll_stream(s, ready, state_of(s)) : poll_datagram(ready);
	if (ready & EP_ERROR)
		events |= POLLERR;
	if (ready & EP_URGENT)
		events |= POLLPRI;
	return events;
}

uint32_t socket_watch_mask(short events)
{
	uint32_t mask = EP_HANGUP | EP_ERROR;

	if (events & (POLLIN | POLLRDNORM))
		mask |= EP_READABLE | EP_READ_CLOSED;
	if (events & (POLLOUT | POLLWRNORM))
		mask |= EP_WRITABLE;
	if (events & POLLRDHUP)
		mask |= EP_READ_CLOSED;
	if (events & POLLPRI)
		mask |= EP_URGENT;
	return mask;
}
