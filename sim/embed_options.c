/* SPDX-License-Identifier: BSD-3-Clause */
/* setsockopt, getsockopt, fcntl and ioctl of the embedded process. What options there are, and their form, is the preload library's
 * table (posix/optmap.c): what is not in it is ENOPROTOOPT. */
#include "embed_state.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/ioctl.h>

#include "posix/infomap.h"
#include "posix/optmap.h"
#include "stack/dgram.h"

#define SO_MEMINFO_WORDS 9
#define NAME_SO_MEMINFO 55      /* SO_MEMINFO, which some libc headers lack */
#define NAME_TCP_CC_INFO 26     /* TCP_CC_INFO */

/* ---- set ---- */

static void apply_here(struct embed_socket *s, const struct optmap *o, int64_t value)
{
	if (o->kind == OPTMAP_TIMEOUT && o->name == SO_RCVTIMEO)
		s->receive_timeout = (nsec)value;
	else if (o->kind == OPTMAP_TIMEOUT)
		s->send_timeout = (nsec)value;
	else if (o->kind == OPTMAP_WANT)
		s->wants = (uint8_t)(value ? s->wants | o->more : s->wants & ~o->more);
}

/* A socket of IPv6 is always open to mapped addresses here: they are all that there is. */
static int set_ip6(int name, const void *value, socklen_t length)
{
	int number;

	if (name != IPV6_V6ONLY)
		return -ENOPROTOOPT;
	if (length < sizeof(number))
		return -EINVAL;
	memcpy(&number, value, sizeof(number));
	return number ? -EOPNOTSUPP : 0;
}

static int set_option(struct embed *e, struct embed_socket *s, int level, int name, const void *value, socklen_t length)
{
	const struct optmap *o = optmap_find_or_null(s->type, level, name);
	int64_t number = 0;
	int error;

	if ((int)length < 0)
		return -EINVAL;
	if (!value && length > 0)
		return -EFAULT;
	if (level == IPPROTO_IPV6 && s->domain == AF_INET6)
		return set_ip6(name, value, length);
	if (!o)
		return optmap_set_special(level, name, value, length);
	if (o->datagram_only && s->type != EP_DATAGRAM)
		return -EINVAL;
	error = optmap_read(o, true, value, length, &number);
	if (error == 0 && o->ep)
		error = ep_set(e->stack, s->ep, (enum ep_option)o->ep, number);
	if (error == 0)
		apply_here(s, o, number);
	return error;
}

int embed_setsockopt(struct embed *e, int fd, int level, int name, const void *value, socklen_t length)
{
	struct embed_socket *s = embed_socket_get(e, fd);
	int error;

	if (!s)
		return embed_no_socket(e, fd);
	error = set_option(e, s, level, name, value, length);
	embed_settle(e);
	embed_socket_put(s);
	return error;
}

/* ---- get ---- */

static int read_info(struct embed *e, const struct embed_socket *s, struct ep_info *info)
{
	memset(info, 0, sizeof(*info));
	info->state = TCP_CLOSED;
	return ep_info(e->stack, s->ep, info);
}

/* struct sk_meminfo's words, as far as there is something like them here. */
static int get_meminfo(struct embed *e, const struct embed_socket *s, void *value, socklen_t *length)
{
	uint32_t words[SO_MEMINFO_WORDS] = { 0 };
	int64_t receive_most = 0, send_most = 0;
	struct ep_info info;

	read_info(e, s, &info);
	ep_get(e->stack, s->ep, EP_RECEIVE_BUFFER, &receive_most);
	ep_get(e->stack, s->ep, EP_SEND_BUFFER, &send_most);
	words[0] = info.receive_queued;
	words[1] = (uint32_t)receive_most;
	words[2] = info.send_queued;
	words[3] = (uint32_t)send_most;
	words[5] = info.send_queued;
	return optmap_write_bytes(words, sizeof(words), value, length);
}

static int take_error(struct embed *e, struct embed_socket *s)
{
	int error = ep_take_error(e->stack, s->ep);

	if (error != 0)
		s->connecting = false;  /* now the program has heard how its connect ended */
	return error;
}

static int get_socket_level(struct embed *e, struct embed_socket *s, int name, void *value, socklen_t *length)
{
	switch (name) {
	case SO_TYPE: return optmap_write_int(SOL_SOCKET, s->type == EP_STREAM ? SOCK_STREAM : SOCK_DGRAM, value, length);
	case SO_DOMAIN: return optmap_write_int(SOL_SOCKET, s->domain, value, length);
	case SO_PROTOCOL: return optmap_write_int(SOL_SOCKET, s->protocol, value, length);
	case SO_ACCEPTCONN: return optmap_write_int(SOL_SOCKET, s->listening, value, length);
	case SO_ERROR: return optmap_write_int(SOL_SOCKET, take_error(e, s), value, length);
	case SO_DEBUG: return optmap_write_int(SOL_SOCKET, 0, value, length);
	case SO_SNDLOWAT: return optmap_write_int(SOL_SOCKET, 1, value, length);
	case NAME_SO_MEMINFO: return get_meminfo(e, s, value, length);
	default: return -ENOPROTOOPT;
	}
}

static int get_tcp_level(struct embed *e, struct embed_socket *s, int name, void *value, socklen_t *length)
{
	char cc[INFOMAP_NAME_BYTES];
	struct ep_info info;
	int error;

	if (s->type != EP_STREAM)
		return -ENOPROTOOPT;
	error = read_info(e, s, &info);
	if (error != 0)
		return error;
	switch (name) {
	case TCP_INFO:
		infomap_write_tcp(&info, value, length);
		return 0;
	case TCP_CONGESTION:
		infomap_congestion_name(info.cc, cc);
		return optmap_write_bytes(cc, sizeof(cc), value, length);
	case NAME_TCP_CC_INFO:          /* as an algorithm of Linux that tells nothing */
		*length = 0;
		return 0;
	default:
		return -ENOPROTOOPT;
	}
}

static int get_special(struct embed *e, struct embed_socket *s, int level, int name, void *value, socklen_t *length)
{
	int64_t mtu;
	int error;

	if (level == SOL_SOCKET)
		return get_socket_level(e, s, name, value, length);
	if (level == IPPROTO_TCP)
		return get_tcp_level(e, s, name, value, length);
	if (level == IPPROTO_IPV6 && s->domain == AF_INET6 && name == IPV6_V6ONLY)
		return optmap_write_int(level, 0, value, length);
	if (level == IPPROTO_IP && name == IP_MTU) {
		error = ep_get(e->stack, s->ep, EP_MTU, &mtu);
		return error != 0 ? error : optmap_write_int(level, mtu, value, length);
	}
	return -ENOPROTOOPT;
}

static int get_option(struct embed *e, struct embed_socket *s, int level, int name, void *value, socklen_t *length)
{
	const struct optmap *o = optmap_find_or_null(s->type, level, name);
	int64_t number = 0;
	int error = 0;

	if (!length || (!value && *length > 0))
		return -EFAULT;
	if ((int)*length < 0)
		return -EINVAL;
	if (!o || o->kind == OPTMAP_CONGESTION)
		return get_special(e, s, level, name, value, length);
	if (o->kind == OPTMAP_TIMEOUT)
		number = (int64_t)(o->name == SO_RCVTIMEO ? s->receive_timeout : s->send_timeout);
	else if (o->kind == OPTMAP_WANT)
		number = (s->wants & o->more) != 0;
	else
		error = ep_get(e->stack, s->ep, (enum ep_option)o->ep, &number);
	return error != 0 ? error : optmap_write(o, number, value, length);
}

int embed_getsockopt(struct embed *e, int fd, int level, int name, void *value, socklen_t *length)
{
	struct embed_socket *s = embed_socket_get(e, fd);
	int error;

	if (!s)
		return embed_no_socket(e, fd);
	error = get_option(e, s, level, name, value, length);
	embed_socket_put(s);
	return error;
}

/* ---- fcntl, ioctl ---- */

int embed_fcntl(struct embed *e, int fd, int command, int argument)
{
	struct embed_socket *s = embed_socket_get(e, fd);
	int result = 0;

	if (!s && !embed_has(e, fd))
		return -EBADF;
	switch (command) {
	case F_GETFL:
		result = O_RDWR | (s && s->nonblocking ? O_NONBLOCK : 0);
		break;
	case F_SETFL:
		if (s)
			s->nonblocking = (argument & O_NONBLOCK) != 0;
		break;
	case F_GETFD:
	case F_SETFD:
		break;
	default:
		result = -EINVAL;
	}
	if (s)
		embed_socket_put(s);
	return result;
}

static int queue_length(struct embed *e, struct embed_socket *s, unsigned long request, int *out)
{
	uint8_t header[1];
	struct ep_info info;
	int64_t record;

	if (s->listening)
		return -EINVAL;
	if (read_info(e, s, &info) != 0)
		return -EBADF;
	if (request == SIOCOUTQ)
		*out = (int)info.send_queued;
	else if (request == SIOCOUTQNSD)
		*out = (int)info.send_unsent;
	else if (s->type == EP_STREAM)
		*out = (int)info.receive_queued;
	else            /* of the next datagram */
		*out = (record = ep_peek(e->stack, s->ep, header, 0)) > 0 ? (int)(record - (int64_t)sizeof(struct dgram_header)) : 0;
	return 0;
}

int embed_ioctl(struct embed *e, int fd, unsigned long request, int *argument)
{
	struct embed_socket *s = embed_socket_get(e, fd);
	int result = -ENOTTY;

	if (!s)
		return embed_has(e, fd) ? -ENOTTY : -EBADF;
	if (!argument) {
		result = -EFAULT;
	} else if (request == FIONREAD || request == SIOCOUTQ || request == SIOCOUTQNSD) {
		result = queue_length(e, s, request, argument);
	} else if (request == SIOCATMARK && s->type == EP_STREAM) {
		result = ep_at_mark(e->stack, s->ep);
		if (result >= 0) {
			*argument = result;
			result = 0;
		}
	} else if (request == FIONBIO) {
		s->nonblocking = *argument != 0;
		result = 0;
	}
	embed_socket_put(s);
	return result;
}
