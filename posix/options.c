/* SPDX-License-Identifier: BSD-3-Clause */
/* setsockopt and getsockopt with Linux's units, lengths and errors. What Light has is in the table of optmap.c; anything else is
 * ENOPROTOOPT, also while the place of the socket is open: an option is never accepted and then ignored. */
#include "posix/calls.h"

#include <linux/tcp.h>
#include <netinet/in.h>
#include <string.h>

#include "posix/early.h"
#include "posix/info.h"
#include "posix/lock.h"
#include "posix/optmap.h"

/* ---- keeping and applying ---- */

/* What programs set on every connection: all that the stack would check has been checked here, so nobody waits for an answer. */
static bool is_sure(int ep)
{
	switch (ep) {
	case EP_REUSE_ADDR:
	case EP_KEEPALIVE:
	case EP_KEEP_IDLE:
	case EP_KEEP_INTERVAL:
	case EP_KEEP_COUNT:
	case EP_LINGER:
	case EP_NODELAY:
	case EP_CORK:
	case EP_QUICKACK:
	case EP_BROADCAST:
	case EP_OOB_INLINE:
	case EP_TOS:
		return true;
	default:
		return false;
	}
}

static int set_on_line(const struct socket *s, const struct optmap *o, int64_t value)
{
	enum ep_option ep = (enum ep_option)o->ep;

	return is_sure(ep) ? client_set_posted(light_session, s->line, ep, value) : client_set(light_session, s->line, ep, value);
}

static void apply_here(struct socket *s, const struct optmap *o, int64_t value)
{
	if (o->kind == OPTMAP_TIMEOUT) {
		if (o->name == SO_RCVTIMEO)
			s->receive_timeout = (nsec)value;
		else
			s->send_timeout = (nsec)value;
	} else if (o->kind == OPTMAP_WANT) {
		s->wants = (uint8_t)(value ? s->wants | o->more : s->wants & ~o->more);
	} else if (o->ep == EP_LINGER) {
		s->linger = (int32_t)value;
	} else if (o->ep == EP_FASTOPEN_CONNECT) {
		s->fastopen_connect = value != 0;
	}
}

static struct early_option *recorded_or_null(const struct socket *s, int level, int name)
{
	for (uint32_t i = 0; s->early && i < s->early->count; i++)
		if (s->early->options[i].level == level && s->early->options[i].name == name)
			return &s->early->options[i];
	return NULL;
}

static int record(struct socket *s, const struct optmap *o, int64_t number, const void *value, socklen_t length)
{
	struct early_option *e = recorded_or_null(s, o->level, o->name);
	struct socket_early *early = early_or_null(s);

	if (!early || (!e && early->count == EARLY_OPTIONS))
		return -ENOBUFS;
	if (!e)
		e = &early->options[early->count];
	*e = (struct early_option){ .level = o->level, .name = o->name, .value = number };
	e->length = length < sizeof(e->bytes) ? length : sizeof(e->bytes);
	memcpy(e->bytes, value, e->length);
	if (e == &early->options[early->count])
		early->count++;
	return 0;
}

int options_to_light(struct socket *s)
{
	for (uint32_t i = 0; s->early && i < s->early->count; i++) {
		const struct early_option *e = &s->early->options[i];
		const struct optmap *o = optmap_find_or_null(s->type, e->level, e->name);
		int error = o && o->ep ? set_on_line(s, o, e->value) : 0;

		if (error != 0)
			return error;
	}
	return 0;
}

int options_to_kernel(struct socket *s, int fd)
{
	for (uint32_t i = 0; s->early && i < s->early->count; i++) {
		const struct early_option *e = &s->early->options[i];

		if (libc.setsockopt(fd, e->level, e->name, e->bytes, e->length) != 0)
			return -errno;
	}
	return 0;
}

/* ---- set ---- */

/* Who names an interface of groups says whose stack is meant. 0, PASS, -errno. */
static int place_for_groups(struct socket *s, int fd, const struct optmap *o, int64_t number)
{
	uint32_t interface = optmap_interface(o, number);

	if (s->type == EP_STREAM)
		return -EPROTO;
	if (is_light(s) || (o->kind == OPTMAP_INTERFACE && interface == 0))
		return 0;
	return place_for_interface(s, fd, interface);
}

long light_setsockopt(struct socket *s, int fd, int level, int name, const void *value, socklen_t length)
{
	const struct optmap *o = optmap_find_or_null(s->type, level, name);
	int64_t number = 0;
	int error;

	if ((int)length < 0)
		return -EINVAL;
	if (!value && length > 0)
		return -EFAULT;
	if (!o)
		return optmap_set_special(level, name, value, length);
	if (o->datagram_only && s->type != EP_DATAGRAM)
		return -EINVAL;
	error = optmap_read(o, geteuid() == 0, value, length, &number);
	if (error == 0 && optmap_names_interface(o))
		error = place_for_groups(s, fd, o, number);
	if (error != 0)
		return error;
	lock_take(&s->lock);
	if (!is_light(s))
		error = record(s, o, number, value, length);
	else if (o->ep)
		error = set_on_line(s, o, number);
	if (error == 0)
		apply_here(s, o, number);
	lock_give(&s->lock);
	return error;
}

/* ---- get ---- */

static int get_number(struct socket *s, const struct optmap *o, int64_t *number)
{
	if (o->kind == OPTMAP_TIMEOUT)
		*number = (int64_t)(o->name == SO_RCVTIMEO ? s->receive_timeout : s->send_timeout);
	else if (o->kind == OPTMAP_WANT)
		*number = (s->wants & o->more) != 0;
	else
		return client_get(light_session, s->line, (enum ep_option)o->ep, number);
	return 0;
}

/* What cannot be set has the value that the placeholder has, too: none. */
static bool is_never_set(int level, int name)
{
	return level == SOL_SOCKET && (name == SO_BINDTODEVICE || name == SO_PRIORITY || name == SO_MARK || name == SO_DONTROUTE ||
				       name == SO_TIMESTAMP || name == SO_BUSY_POLL);
}

/* -ENOPROTOOPT: none of these. */
static long get_special(struct socket *s, int level, int name, void *value, socklen_t *length)
{
	bool stream = s->type == EP_STREAM;

	if (level == SOL_SOCKET) {
		switch (name) {
		case SO_TYPE: return optmap_write_int(level, stream ? SOCK_STREAM : SOCK_DGRAM, value, length);
		case SO_DOMAIN: return optmap_write_int(level, AF_INET, value, length);
		case SO_PROTOCOL: return optmap_write_int(level, s->protocol, value, length);
		case SO_DEBUG: return optmap_write_int(level, 0, value, length);
		case SO_SNDLOWAT: return optmap_write_int(level, 1, value, length);
		case SO_ACCEPTCONN: return optmap_write_int(level, is_light(s) && (state_of(s) & LINE_LISTENING), value, length);
		case SO_ERROR: return optmap_write_int(level, is_light(s) ? client_take_error(light_session, s->line) : 0, value, length);
		}
	} else if (level == IPPROTO_IP && name == IP_OPTIONS) {
		*length = 0;
		return 0;
	} else if (level == IPPROTO_IP && name == IP_MTU) {
		int64_t mtu;
		int error = is_light(s) && (state_of(s) & LINE_CONNECTED) ? client_get(light_session, s->line, EP_MTU, &mtu) : -ENOTCONN;

		return error != 0 ? error : optmap_write_int(level, mtu, value, length);
	} else if (level == IPPROTO_TCP && stream && name == TCP_INFO) {
		return info_tcp(s, value, length);
	} else if (level == IPPROTO_TCP && stream && name == TCP_CONGESTION) {
		return info_congestion(s, value, length);
	}
	return -ENOPROTOOPT;
}

/* The placeholder is a kernel's socket with nothing set: it knows Linux's defaults. */
long light_getsockopt(struct socket *s, int fd, int level, int name, void *value, socklen_t *length)
{
	const struct optmap *o = optmap_find_or_null(s->type, level, name);
	const struct early_option *e;
	int64_t number;
	int error;

	if (!length || (!value && *length > 0))
		return -EFAULT;
	if ((int)*length < 0)
		return -EINVAL;
	if (is_never_set(level, name))
		return libc.getsockopt(fd, level, name, value, length) == 0 ? 0 : -errno;
	if (o && (o->kind == OPTMAP_MEMBERSHIP || o->kind == OPTMAP_MEMBERSHIP_REQUEST))
		return -ENOPROTOOPT;
	if (!o || o->kind == OPTMAP_CONGESTION)
		return get_special(s, level, name, value, length);
	if (is_light(s) || !o->ep) {
		error = get_number(s, o, &number);
		return error != 0 ? error : optmap_write(o, number, value, length);
	}
	/* -1 asks for the default again. */
	e = recorded_or_null(s, level, name);
	if (e && !(e->value < 0 && (o->ep == EP_TTL || o->ep == EP_MULTICAST_TTL)))
		return optmap_write(o, e->value, value, length);
	return libc.getsockopt(fd, level, name, value, length) == 0 ? 0 : -errno;
}
