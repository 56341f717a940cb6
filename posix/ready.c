/* SPDX-License-Identifier: BSD-3-Clause */
/* Readiness in poll(2)'s terms (pollmap.h), from the line that the daemon writes. */
#include "posix/calls.h"

#include "posix/pollmap.h"

short socket_poll(struct socket *s)
{
	bool stream = s->type == EP_STREAM, idle;
	uint32_t ready, state;

	if (!is_light(s))
		return stream ? POLLOUT | POLLWRNORM | POLLHUP : POLLOUT | POLLWRNORM;
	ready = client_ready(light_session, s->line);
	if (!stream)
		return pollmap_datagram(ready);
	state = state_of(s);
	idle = !(state & (LINE_LISTENING | LINE_CONNECTING | LINE_CONNECTED)) && !s->connecting;
	return pollmap_stream(ready, idle, (state & LINE_CONNECTED) && (state & LINE_WRITE_CLOSED));
}

uint32_t socket_watch_mask(short events)
{
	uint32_t mask = EP_HANGUP | EP_ERROR | EP_QUEUED;

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
