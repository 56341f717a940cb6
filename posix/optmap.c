/* SPDX-License-Identifier: BSD-3-Clause */
/* The table of socket options with Linux's units, lengths and errors. What is not in it is ENOPROTOOPT: an option is never accepted
 * and then ignored. */
#include "posix/optmap.h"

#include <errno.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/time.h>

#include "posix/infomap.h"

#define BUFFER_MOST 212992     /* net.core.wmem_max and rmem_max; the value read back is twice what was set */
#define SEND_LEAST 4608
#define RECEIVE_LEAST 2304

static const struct optmap options[] = {
	{ SOL_SOCKET, SO_REUSEADDR, OPTMAP_BOOL, EP_REUSE_ADDR },
	{ SOL_SOCKET, SO_REUSEPORT, OPTMAP_BOOL, EP_REUSE_PORT },
	{ SOL_SOCKET, SO_BROADCAST, OPTMAP_BOOL, EP_BROADCAST },
	{ SOL_SOCKET, SO_KEEPALIVE, OPTMAP_BOOL, EP_KEEPALIVE },
	{ SOL_SOCKET, SO_OOBINLINE, OPTMAP_BOOL, EP_OOB_INLINE },
	{ SOL_SOCKET, SO_LINGER, OPTMAP_LINGER, EP_LINGER },
	{ SOL_SOCKET, SO_SNDBUF, OPTMAP_BUFFER, EP_SEND_BUFFER, SEND_LEAST },
	{ SOL_SOCKET, SO_RCVBUF, OPTMAP_BUFFER, EP_RECEIVE_BUFFER, RECEIVE_LEAST },
	{ SOL_SOCKET, SO_SNDBUFFORCE, OPTMAP_BUFFER_FORCE, EP_SEND_BUFFER, SEND_LEAST },
	{ SOL_SOCKET, SO_RCVBUFFORCE, OPTMAP_BUFFER_FORCE, EP_RECEIVE_BUFFER, RECEIVE_LEAST },
	{ SOL_SOCKET, SO_RCVLOWAT, OPTMAP_INT, EP_RECEIVE_LOW, INT32_MIN, INT32_MAX },
	{ SOL_SOCKET, SO_MAX_PACING_RATE, OPTMAP_RATE, EP_MAX_PACING_RATE, .stream_only = true },
	{ SOL_SOCKET, SO_RCVTIMEO, OPTMAP_TIMEOUT },
	{ SOL_SOCKET, SO_SNDTIMEO, OPTMAP_TIMEOUT },
	{ IPPROTO_IP, IP_TOS, OPTMAP_INT, EP_TOS, 0, 255 },
	{ IPPROTO_IP, IP_TTL, OPTMAP_INT, EP_TTL, -1, 255 },
	{ IPPROTO_IP, IP_PKTINFO, OPTMAP_WANT, EP_PKTINFO, .more = WANT_PKTINFO },
	{ IPPROTO_IP, IP_RECVTTL, OPTMAP_WANT, .more = WANT_TTL },
	{ IPPROTO_IP, IP_RECVTOS, OPTMAP_WANT, .more = WANT_TOS },
	{ IPPROTO_IP, IP_RECVERR, OPTMAP_BOOL, EP_RECV_ERR },
	{ IPPROTO_IP, IP_MTU_DISCOVER, OPTMAP_INT, EP_MTU_DISCOVER, IP_PMTUDISC_DONT, IP_PMTUDISC_PROBE },
	{ IPPROTO_IP, IP_FREEBIND, OPTMAP_BOOL, EP_FREEBIND },
	{ IPPROTO_IP, IP_MULTICAST_TTL, OPTMAP_INT, EP_MULTICAST_TTL, -1, 255, .datagram_only = true },
	{ IPPROTO_IP, IP_MULTICAST_LOOP, OPTMAP_BOOL, EP_MULTICAST_LOOP },
	{ IPPROTO_IP, IP_MULTICAST_ALL, OPTMAP_INT, EP_MULTICAST_ALL, 0, 1 },
	{ IPPROTO_IP, IP_MULTICAST_IF, OPTMAP_INTERFACE, EP_MULTICAST_IF, .datagram_only = true },
	{ IPPROTO_IP, IP_ADD_MEMBERSHIP, OPTMAP_MEMBERSHIP, EP_JOIN },
	{ IPPROTO_IP, IP_DROP_MEMBERSHIP, OPTMAP_MEMBERSHIP, EP_LEAVE },
	{ IPPROTO_IP, MCAST_JOIN_GROUP, OPTMAP_MEMBERSHIP_REQUEST, EP_JOIN },
	{ IPPROTO_IP, MCAST_LEAVE_GROUP, OPTMAP_MEMBERSHIP_REQUEST, EP_LEAVE },
	{ IPPROTO_TCP, TCP_NODELAY, OPTMAP_BOOL, EP_NODELAY, .stream_only = true },
	{ IPPROTO_TCP, TCP_CORK, OPTMAP_BOOL, EP_CORK, .stream_only = true },
	{ IPPROTO_TCP, TCP_MAXSEG, OPTMAP_INT, EP_MAXSEG, 88, 32767, .stream_only = true },
	{ IPPROTO_TCP, TCP_QUICKACK, OPTMAP_BOOL, EP_QUICKACK, .stream_only = true },
	{ IPPROTO_TCP, TCP_KEEPIDLE, OPTMAP_INT, EP_KEEP_IDLE, 1, 32767, .stream_only = true },
	{ IPPROTO_TCP, TCP_KEEPINTVL, OPTMAP_INT, EP_KEEP_INTERVAL, 1, 32767, .stream_only = true },
	{ IPPROTO_TCP, TCP_KEEPCNT, OPTMAP_INT, EP_KEEP_COUNT, 1, 127, .stream_only = true },
	{ IPPROTO_TCP, TCP_SYNCNT, OPTMAP_INT, EP_SYN_COUNT, 1, 127, .stream_only = true },
	{ IPPROTO_TCP, TCP_USER_TIMEOUT, OPTMAP_INT, EP_USER_TIMEOUT, 0, INT32_MAX, .stream_only = true },
	{ IPPROTO_TCP, TCP_LINGER2, OPTMAP_INT, EP_LINGER2, INT32_MIN, INT32_MAX, .stream_only = true },
	{ IPPROTO_TCP, TCP_DEFER_ACCEPT, OPTMAP_INT, EP_DEFER_ACCEPT, 0, INT32_MAX, .stream_only = true },
	{ IPPROTO_TCP, TCP_NOTSENT_LOWAT, OPTMAP_INT, EP_NOTSENT_LOWAT, INT32_MIN, INT32_MAX, .stream_only = true },
	{ IPPROTO_TCP, TCP_CONGESTION, OPTMAP_CONGESTION, EP_CONGESTION, .stream_only = true },
	{ IPPROTO_TCP, TCP_FASTOPEN, OPTMAP_INT, EP_FASTOPEN, 0, INT32_MAX, .stream_only = true },
	{ IPPROTO_TCP, TCP_FASTOPEN_CONNECT, OPTMAP_INT, EP_FASTOPEN_CONNECT, 0, 1, .stream_only = true },
	{ IPPROTO_TCP, TCP_WINDOW_CLAMP, OPTMAP_INT, EP_WINDOW_CLAMP, 0, INT32_MAX, .stream_only = true },
};

/* ---- from the program's bytes to a number ---- */

static int read_int(const struct optmap *o, const void *value, socklen_t length, int64_t *out)
{
	int number;

	if (length >= sizeof(number))
		memcpy(&number, value, sizeof(number));
	else if (o->level == IPPROTO_IP && length >= 1)
		number = *(const uint8_t *)value;
	else if (o->level == IPPROTO_IP && o->ep != EP_TTL && o->ep != EP_MULTICAST_TTL && o->ep != EP_FREEBIND &&
		 o->ep != EP_MULTICAST_LOOP && o->ep != EP_MULTICAST_ALL)
		number = 0;
	else
		return -EINVAL;
	*out = number;
	return 0;
}

static int read_buffer(const struct optmap *o, bool privileged, int64_t *value)
{
	int64_t wanted = *value;

	if (o->kind == OPTMAP_BUFFER_FORCE && !privileged)
		return -EPERM;
	if (o->kind == OPTMAP_BUFFER && (wanted < 0 || wanted > BUFFER_MOST))
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

/* As sock_setsockopt: 64 bits where there is room for just those, else 32; all ones mean no limit. */
static int read_rate(const void *value, socklen_t length, int64_t *out)
{
	uint64_t wide = UINT64_MAX;
	uint32_t narrow;

	if (length < sizeof(narrow))
		return -EINVAL;
	memcpy(&narrow, value, sizeof(narrow));
	if (length == sizeof(wide))
		memcpy(&wide, value, sizeof(wide));
	else if (narrow != UINT32_MAX)
		wide = narrow;
	*out = wide > INT64_MAX ? 0 : (int64_t)wide;
	return 0;
}

/* ---- groups ---- */

#define INDEX_MOST 0xffffff    /* endpoint.h: what is larger is an address */

/* An index is the stack's number of an interface, as IP_PKTINFO tells it. */
static int read_interface(const struct optmap *o, const struct ip_mreqn *m, uint32_t *interface)
{
	uint32_t address = ntohl(m->imr_address.s_addr);
	int none = o->kind == OPTMAP_INTERFACE ? -EADDRNOTAVAIL : -ENODEV;

	if (m->imr_ifindex < 0 || m->imr_ifindex > INDEX_MOST || (!m->imr_ifindex && address && address <= INDEX_MOST))
		return none;
	*interface = m->imr_ifindex ? (uint32_t)m->imr_ifindex : address;
	return 0;
}

/* ip_mreqn, or ip_mreq, which is its beginning; IP_MULTICAST_IF takes an address, too. */
static int read_membership(const struct optmap *o, const void *value, socklen_t length, int64_t *out)
{
	struct ip_mreqn m = { 0 };
	uint32_t interface = 0;
	int error;

	if (o->kind == OPTMAP_INTERFACE && length >= sizeof(struct in_addr) && length < sizeof(struct ip_mreq))
		memcpy(&m.imr_address, value, sizeof(m.imr_address));
	else if (length >= sizeof(struct ip_mreq))
		memcpy(&m, value, length >= sizeof(m) ? sizeof(m) : sizeof(struct ip_mreq));
	else
		return -EINVAL;
	error = read_interface(o, &m, &interface);
	if (error != 0)
		return error;
	if (o->kind == OPTMAP_INTERFACE)
		*out = (int64_t)((uint64_t)m.imr_ifindex << 32 | ntohl(m.imr_address.s_addr));
	else
		*out = (int64_t)((uint64_t)interface << 32 | ntohl(m.imr_multiaddr.s_addr));
	return 0;
}

static int read_request(const void *value, socklen_t length, int64_t *out)
{
	struct group_req request;
	struct sockaddr_in group;

	if (length < sizeof(request))
		return -EINVAL;
	memcpy(&request, value, sizeof(request));
	memcpy(&group, &request.gr_group, sizeof(group));
	if (group.sin_family != AF_INET)
		return -EINVAL;
	if (request.gr_interface > INDEX_MOST)
		return -ENODEV;
	*out = (int64_t)((uint64_t)request.gr_interface << 32 | ntohl(group.sin_addr.s_addr));
	return 0;
}

uint32_t optmap_interface(const struct optmap *o, int64_t number)
{
	uint32_t high = (uint32_t)((uint64_t)number >> 32);

	return o->kind == OPTMAP_INTERFACE && !high ? (uint32_t)number : high;
}

const struct optmap *optmap_find_or_null(enum ep_type type, int level, int name)
{
	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++)
		if (options[i].level == level && options[i].name == name)
			return options[i].stream_only && type != EP_STREAM ? NULL : &options[i];
	return NULL;
}

int optmap_read(const struct optmap *o, bool privileged, const void *value, socklen_t length, int64_t *out)
{
	struct linger linger;
	int error = 0;

	switch (o->kind) {
	case OPTMAP_TIMEOUT:
		return read_timeout(value, length, out);
	case OPTMAP_LINGER:
		if (length < sizeof(linger))
			return -EINVAL;
		memcpy(&linger, value, sizeof(linger));
		*out = linger.l_onoff ? (linger.l_linger < 0 ? INT32_MAX : linger.l_linger) : -1;
		return 0;
	case OPTMAP_BUFFER:
	case OPTMAP_BUFFER_FORCE:
		error = read_int(o, value, length, out);
		return error != 0 ? error : read_buffer(o, privileged, out);
	case OPTMAP_BOOL:
	case OPTMAP_WANT:
		error = read_int(o, value, length, out);
		*out = error == 0 && *out != 0;
		return error;
	case OPTMAP_INT:
		error = read_int(o, value, length, out);
		if (error == 0 && o->ep == EP_TOS)
			*out &= 255;
		if (error == 0 && o->ep == EP_RECEIVE_LOW && *out <= 0)
			*out = *out < 0 ? INT32_MAX : 1;
		if (error == 0 && (*out < o->least || *out > o->most || (o->ep == EP_TTL && *out == 0)))
			error = -EINVAL;
		return error;
	case OPTMAP_RATE:
		return read_rate(value, length, out);
	case OPTMAP_INTERFACE:
	case OPTMAP_MEMBERSHIP:
		return read_membership(o, value, length, out);
	case OPTMAP_MEMBERSHIP_REQUEST:
		return read_request(value, length, out);
	case OPTMAP_CONGESTION:
		*out = infomap_congestion_number(value, length);
		return *out != 0 ? 0 : -ENOENT;
	}
	return -ENOPROTOOPT;
}

int optmap_set_special(int level, int name, const void *value, socklen_t length)
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

/* ---- back to the program ---- */

int optmap_write_bytes(const void *from, size_t n, void *value, socklen_t *length)
{
	if (*length < n)
		n = *length;
	memcpy(value, from, n);
	*length = (socklen_t)n;
	return 0;
}

static int write_rate(int64_t number, void *value, socklen_t *length)
{
	uint64_t wide = number ? (uint64_t)number : UINT64_MAX;
	uint32_t narrow = wide < UINT32_MAX ? (uint32_t)wide : UINT32_MAX;

	if (*length >= sizeof(wide))
		return optmap_write_bytes(&wide, sizeof(wide), value, length);
	return optmap_write_bytes(&narrow, sizeof(narrow), value, length);
}

/* Linux answers a small IP option in one byte to who has room for no more. */
int optmap_write_int(int level, int64_t number, void *value, socklen_t *length)
{
	int n = (int)number;
	uint8_t byte = (uint8_t)n;

	if (level == IPPROTO_IP && *length < sizeof(n) && *length > 0 && n >= 0 && n <= 255)
		return optmap_write_bytes(&byte, 1, value, length);
	return optmap_write_bytes(&n, sizeof(n), value, length);
}

int optmap_write(const struct optmap *o, int64_t number, void *value, socklen_t *length)
{
	if (o->kind == OPTMAP_LINGER) {
		struct linger linger = { number >= 0, number >= 0 ? (int)number : 0 };

		return optmap_write_bytes(&linger, sizeof(linger), value, length);
	}
	if (o->kind == OPTMAP_TIMEOUT) {
		struct timeval t = { number / (int64_t)NSEC_PER_SEC, number % (int64_t)NSEC_PER_SEC / (int64_t)NSEC_PER_USEC };

		return optmap_write_bytes(&t, sizeof(t), value, length);
	}
	if (o->kind == OPTMAP_INTERFACE) {
		struct in_addr address = { htonl((uint32_t)number) };

		return optmap_write_bytes(&address, sizeof(address), value, length);
	}
	if (o->kind == OPTMAP_MEMBERSHIP || o->kind == OPTMAP_MEMBERSHIP_REQUEST)
		return -ENOPROTOOPT;
	if (o->kind == OPTMAP_RATE)
		return write_rate(number, value, length);
	if (o->kind == OPTMAP_CONGESTION) {
		char name[INFOMAP_NAME_BYTES] = { 0 };

		infomap_congestion_name(ep_congestion_name(number), name);
		return optmap_write_bytes(name, sizeof(name), value, length);
	}
	return optmap_write_int(o->level, number, value, length);
}
