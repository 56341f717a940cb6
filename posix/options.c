/* SPDX-License-Identifier: BSD-3-Clause */
/* setsockopt and getsockopt with Linux's units, lengths and errors. What Light has is in one table; anything else is ENOPROTOOPT,
 * also while the place of the socket is open: an option is never accepted and then ignored. */
#include "posix/calls.h"

#include <linux/tcp.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/time.h>

#include "posix/early.h"
#include "posix/info.h"
#include "posix/lock.h"

#define BUFFER_MOST 212992     /* net.core.wmem_max and rmem_max; the value read back is twice what was set */
#define SEND_LEAST 4608
#define RECEIVE_LEAST 2304

enum kind { KIND_BOOL, KIND_INT, KIND_LINGER, KIND_BUFFER, KIND_BUFFER_FORCE, KIND_TIMEOUT, KIND_WANT, KIND_CONGESTION };

struct option {
	int level, name;
	enum kind kind;
	int ep;                 /* enum ep_option; KIND_WANT: WANT_* in more; 0: known here alone */
	int least, most;        /* KIND_INT */
	unsigned more;
	bool stream_only;
};

static const struct option options[] = {
	{ SOL_SOCKET, SO_REUSEADDR, KIND_BOOL, EP_REUSE_ADDR },
	{ SOL_SOCKET, SO_REUSEPORT, KIND_BOOL, EP_REUSE_PORT },
	{ SOL_SOCKET, SO_BROADCAST, KIND_BOOL, EP_BROADCAST },
	{ SOL_SOCKET, SO_KEEPALIVE, KIND_BOOL, EP_KEEPALIVE },
	{ SOL_SOCKET, SO_OOBINLINE, KIND_BOOL, EP_OOB_INLINE },
	{ SOL_SOCKET, SO_LINGER, KIND_LINGER, EP_LINGER },
	{ SOL_SOCKET, SO_SNDBUF, KIND_BUFFER, EP_SEND_BUFFER, SEND_LEAST },
	{ SOL_SOCKET, SO_RCVBUF, KIND_BUFFER, EP_RECEIVE_BUFFER, RECEIVE_LEAST },
	{ SOL_SOCKET, SO_SNDBUFFORCE, KIND_BUFFER_FORCE, EP_SEND_BUFFER, SEND_LEAST },
	{ SOL_SOCKET, SO_RCVBUFFORCE, KIND_BUFFER_FORCE, EP_RECEIVE_BUFFER, RECEIVE_LEAST },
	{ SOL_SOCKET, SO_RCVLOWAT, KIND_INT, EP_RECEIVE_LOW, 0, INT32_MAX },
	{ SOL_SOCKET, SO_RCVTIMEO, KIND_TIMEOUT },
	{ SOL_SOCKET, SO_SNDTIMEO, KIND_TIMEOUT },
	{ IPPROTO_IP, IP_TOS, KIND_INT, EP_TOS, 0, 255 },
	{ IPPROTO_IP, IP_TTL, KIND_INT, EP_TTL, -1, 255 },
	{ IPPROTO_IP, IP_PKTINFO, KIND_WANT, EP_PKTINFO, .more = WANT_PKTINFO },
	{ IPPROTO_IP, IP_RECVTTL, KIND_WANT, .more = WANT_TTL },
	{ IPPROTO_IP, IP_RECVTOS, KIND_WANT, .more = WANT_TOS },
	{ IPPROTO_IP, IP_RECVERR, KIND_BOOL, EP_RECV_ERR },
	{ IPPROTO_IP, IP_MTU_DISCOVER, KIND_INT, EP_MTU_DISCOVER, IP_PMTUDISC_DONT, IP_PMTUDISC_PROBE },
	{ IPPROTO_IP, IP_FREEBIND, KIND_BOOL, EP_FREEBIND },
	{ IPPROTO_IP, IP_MULTICAST_TTL, KIND_INT, EP_MULTICAST_TTL, -1, 255 },
	{ IPPROTO_TCP, TCP_NODELAY, KIND_BOOL, EP_NODELAY, .stream_only = true },
	{ IPPROTO_TCP, TCP_CORK, KIND_BOOL, EP_CORK, .stream_only = true },
	{ IPPROTO_TCP, TCP_MAXSEG, KIND_INT, EP_MAXSEG, 88, 32767, .stream_only = true },
	{ IPPROTO_TCP, TCP_QUICKACK, KIND_BOOL, EP_QUICKACK, .stream_only = true },
	{ IPPROTO_TCP, TCP_KEEPIDLE, KIND_INT, EP_KEEP_IDLE, 1, 32767, .stream_only = true },
	{ IPPROTO_TCP, TCP_KEEPINTVL, KIND_INT, EP_KEEP_INTERVAL, 1, 32767, .stream_only = true },
	{ IPPROTO_TCP, TCP_KEEPCNT, KIND_INT, EP_KEEP_COUNT, 1, 127, .stream_only = true },
	{ IPPROTO_TCP, TCP_SYNCNT, KIND_INT, EP_SYN_COUNT, 1, 127, .stream_only = true },
	{ IPPROTO_TCP, TCP_USER_TIMEOUT, KIND_INT, EP_USER_TIMEOUT, 0, INT32_MAX, .stream_only = true },
	{ IPPROTO_TCP, TCP_LINGER2, KIND_INT, EP_LINGER2, INT32_MIN, INT32_MAX, .stream_only = true },
	{ IPPROTO_TCP, TCP_DEFER_ACCEPT, KIND_INT, EP_DEFER_ACCEPT, 0, INT32_MAX, .stream_only = true },
	{ IPPROTO_TCP, TCP_NOTSENT_LOWAT, KIND_INT, EP_NOTSENT_LOWAT, INT32_MIN, INT32_MAX, .stream_only = true },
	{ IPPROTO_TCP, TCP_CONGESTION, KIND_CONGESTION, EP_CONGESTION, .stream_only = true },
	{ IPPROTO_TCP, TCP_WINDOW_CLAMP, KIND_INT, EP_WINDOW_CLAMP, 0, INT32_MAX, .stream_only = true },
};

static const struct option *find_or_null(const struct socket *s, int level, int name)
{
	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++)
		if (options[i].level == level && options[i].name == name)
			return options[i].stream_only && s->type != EP_STREAM ? NULL : &options[i];
	return NULL;
}

/* ---- from the program's bytes to a number ---- */

static int read_int(const struct option *o, const void *value, socklen_t length, int64_t *out)
{
	int number;

	if (length >= sizeof(number))
		memcpy(&number, value, sizeof(number));
	else if (o->level == IPPROTO_IP && length >= 1)
		number = *(const uint8_t *)value;
	else if (o->level == IPPROTO_IP && o->ep != EP_TTL && o->ep != EP_MULTICAST_TTL && o->ep != EP_FREEBIND)
		number = 0;
	else
		return -EINVAL;
	*out = number;
	return 0;
}

static int read_buffer(const struct option *o, int64_t *value)
{
	int64_t wanted = *value;

	if (o->kind == KIND_BUFFER_FORCE && geteuid() != 0)
		return -EPERM;
	if (o->kind == KIND_BUFFER && (wanted < 0 || wanted > BUFFER_MOST))
		wanted = BUFFER_MOST;
	if (wanted < 0)
		wanted = 0;
	*value = wanted > INT32_MAX / 2 ? INT32_MAX : wanted * 2 < o->least ? o->least : wanted * 2;
	return 0;
}

static int read_timeout(const void *value, socklen_t length, int64_t *out)
{
	struct timeval t;

	if (length < sizeof(t))
		return -EINVAL;
	memcpy(&t, value, sizeof(t));
	if (t.tv_usec < 0 || t.tv_usec >= 1000000)
		return -EDOM;
	/* A negative time is "do not wait" to Linux: the shortest one here. */
	if (t.tv_sec < 0)
		*out = 1;
	else if (t.tv_sec > INT64_MAX / 2 / (int64_t)NSEC_PER_SEC)
		*out = 0;
	else
		*out = t.tv_sec * (int64_t)NSEC_PER_SEC + t.tv_usec * (int64_t)NSEC_PER_USEC;
	return 0;
}

static int understand(const struct option *o, const void *value, socklen_t length, int64_t *out)
{
	struct linger linger;
	int error = 0;

	switch (o->kind) {
	case KIND_TIMEOUT:
		return read_timeout(value, length, out);
	case KIND_LINGER:
		if (length < sizeof(linger))
			return -EINVAL;
		memcpy(&linger, value, sizeof(linger));
		*out = linger.l_onoff ? (linger.l_linger < 0 ? INT32_MAX : linger.l_linger) : -1;
		return 0;
	case KIND_BUFFER:
	case KIND_BUFFER_FORCE:
		error = read_int(o, value, length, out);
		return error != 0 ? error : read_buffer(o, out);
	case KIND_BOOL:
	case KIND_WANT:
		error = read_int(o, value, length, out);
		*out = error == 0 && *out != 0;
		return error;
	case KIND_INT:
		error = read_int(o, value, length, out);
		if (error == 0 && o->ep == EP_TOS)
			*out &= 255;
		if (error == 0 && (*out < o->least || *out > o->most || (o->ep == EP_TTL && *out == 0)))
			error = -EINVAL;
		return error;
	case KIND_CONGESTION:
		*out = info_congestion_number(value, length);
		return *out != 0 ? 0 : -ENOENT;
	}
	return -ENOPROTOOPT;
}

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

static int set_on_line(const struct socket *s, const struct option *o, int64_t value)
{
	enum ep_option ep = (enum ep_option)o->ep;

	return is_sure(ep) ? client_set_posted(light_session, s->line, ep, value) : client_set(light_session, s->line, ep, value);
}

static void apply_here(struct socket *s, const struct option *o, int64_t value)
{
	if (o->kind == KIND_TIMEOUT) {
		if (o->name == SO_RCVTIMEO)
			s->receive_timeout = (nsec)value;
		else
			s->send_timeout = (nsec)value;
	} else if (o->kind == KIND_WANT) {
		s->wants = (uint8_t)(value ? s->wants | o->more : s->wants & ~o->more);
	}
}

static struct early_option *recorded_or_null(const struct socket *s, int level, int name)
{
	for (uint32_t i = 0; s->early && i < s->early->count; i++)
		if (s->early->options[i].level == level && s->early->options[i].name == name)
			return &s->early->options[i];
	return NULL;
}

static int record(struct socket *s, const struct option *o, int64_t number, const void *value, socklen_t length)
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
		const struct option *o = find_or_null(s, e->level, e->name);
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

/* Options that carry no number. */
static int set_special(int level, int name, const void *value, socklen_t length)
{
	int number = 0;

	if (length >= sizeof(number))
		memcpy(&number, value, sizeof(number));
	if (level == SOL_SOCKET && name == SO_DEBUG)
		return number ? -EACCES : 0;
	if (level == SOL_SOCKET && (name == SO_TYPE || name == SO_DOMAIN || name == SO_PROTOCOL || name == SO_ERROR || name == SO_ACCEPTCONN))
		return -ENOPROTOOPT;
	if (level == SOL_SOCKET && name == SO_MARK)
		return -EPERM;
	if (level == SOL_SOCKET && name == SO_BINDTODEVICE)
		return -ENODEV;
	if (level == IPPROTO_IP && name == IP_OPTIONS && length == 0)
		return 0;
	return -ENOPROTOOPT;
}

long light_setsockopt(struct socket *s, int level, int name, const void *value, socklen_t length)
{
	const struct option *o = find_or_null(s, level, name);
	int64_t number = 0;
	int error;

	if ((int)length < 0)
		return -EINVAL;
	if (!value && length > 0)
		return -EFAULT;
	if (!o)
		return set_special(level, name, value, length);
	error = understand(o, value, length, &number);
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

static long put_bytes(const void *from, size_t n, void *value, socklen_t *length)
{
	if (*length < n)
		n = *length;
	memcpy(value, from, n);
	*length = (socklen_t)n;
	return 0;
}

/* Linux answers a small IP option in one byte to who has room for no more. */
static long put_int(int level, int64_t number, void *value, socklen_t *length)
{
	int n = (int)number;
	uint8_t byte = (uint8_t)n;

	if (level == IPPROTO_IP && *length < sizeof(n) && *length > 0 && n >= 0 && n <= 255)
		return put_bytes(&byte, 1, value, length);
	return put_bytes(&n, sizeof(n), value, length);
}

static long put_number(const struct option *o, int64_t number, void *value, socklen_t *length)
{
	if (o->kind == KIND_LINGER) {
		struct linger linger = { number >= 0, number >= 0 ? (int)number : 0 };

		return put_bytes(&linger, sizeof(linger), value, length);
	}
	if (o->kind == KIND_TIMEOUT) {
		struct timeval t = { number / (int64_t)NSEC_PER_SEC, number % (int64_t)NSEC_PER_SEC / (int64_t)NSEC_PER_USEC };

		return put_bytes(&t, sizeof(t), value, length);
	}
	return put_int(o->level, number, value, length);
}

static int get_number(struct socket *s, const struct option *o, int64_t *number)
{
	if (o->kind == KIND_TIMEOUT)
		*number = (int64_t)(o->name == SO_RCVTIMEO ? s->receive_timeout : s->send_timeout);
	else if (o->kind == KIND_WANT)
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
		case SO_TYPE: return put_int(level, stream ? SOCK_STREAM : SOCK_DGRAM, value, length);
		case SO_DOMAIN: return put_int(level, AF_INET, value, length);
		case SO_PROTOCOL: return put_int(level, s->protocol, value, length);
		case SO_DEBUG: return put_int(level, 0, value, length);
		case SO_SNDLOWAT: return put_int(level, 1, value, length);
		case SO_ACCEPTCONN: return put_int(level, is_light(s) && (state_of(s) & LINE_LISTENING), value, length);
		case SO_ERROR: return put_int(level, is_light(s) ? client_take_error(light_session, s->line) : 0, value, length);
		}
	} else if (level == IPPROTO_IP && name == IP_OPTIONS) {
		*length = 0;
		return 0;
	} else if (level == IPPROTO_IP && name == IP_MTU) {
		int64_t mtu;
		int error = is_light(s) && (state_of(s) & LINE_CONNECTED) ? client_get(light_session, s->line, EP_MTU, &mtu) : -ENOTCONN;

		return error != 0 ? error : put_int(level, mtu, value, length);
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
	const struct option *o = find_or_null(s, level, name);
	const struct early_option *e;
	int64_t number;
	int error;

	if (!length || (!value && *length > 0))
		return -EFAULT;
	if ((int)*length < 0)
		return -EINVAL;
	if (is_never_set(level, name))
		return libc.getsockopt(fd, level, name, value, length) == 0 ? 0 : -errno;
	if (!o || o->kind == KIND_CONGESTION)
		return get_special(s, level, name, value, length);
	if (is_light(s) || !o->ep) {
		error = get_number(s, o, &number);
		return error != 0 ? error : put_number(o, number, value, length);
	}
	/* -1 asks for the default again. */
	e = recorded_or_null(s, level, name);
	if (e && !(e->value < 0 && (o->ep == EP_TTL || o->ep == EP_MULTICAST_TTL)))
		return put_number(o, e->value, value, length);
	return libc.getsockopt(fd, level, name, value, length) == 0 ? 0 : -errno;
}
