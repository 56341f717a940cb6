/* SPDX-License-Identifier: BSD-3-Clause */
/* Options that mean the same for every kind of endpoint. A kind sees each option first, for those of its own and for
 * those on which it must act at once. */
#include "layers.h"

#include <errno.h>

#include "wire.h"

#define BUFFER_MIN 2048
#define BUFFER_MAX (64 << 20)

static int set_byte(uint8_t *byte, int64_t value, int64_t least, int64_t most)
{
	if (value < least || value > most)
		return -EINVAL;
	*byte = (uint8_t)value;
	return 0;
}

static int set_buffer(uint32_t *size, int64_t value)
{
	if (value < 0)
		return -EINVAL;
	*size = (uint32_t)(value < BUFFER_MIN ? BUFFER_MIN : value > BUFFER_MAX ? BUFFER_MAX : value);
	return 0;
}

static int set_common(struct stack *s, struct endpoint *ep, enum ep_option option, int64_t value)
{
	switch (option) {
	case EP_REUSE_ADDR:
		ep->reuse_addr = value != 0;
		return 0;
	case EP_REUSE_PORT:
		ep->reuse_port = value != 0;
		return 0;
	case EP_BROADCAST:
		ep->broadcast = value != 0;
		return 0;
	case EP_KEEPALIVE:
		ep->keepalive = value != 0;
		return 0;
	case EP_FREEBIND:
		ep->freebind = value != 0;
		return 0;
	case EP_PKTINFO:
		ep->pktinfo = value != 0;
		return 0;
	case EP_RECV_ERR:
		if (!value)
			errors_purge(s, ep);   /* as Linux */
		ep->recv_err = value != 0;
		return 0;
	case EP_OOB_INLINE:
		ep->oob_inline = value != 0;
		return 0;
	case EP_SHADOW:
		if (ep->bound)
			return -EINVAL;
		ep->shadow = value != 0;
		return 0;
	case EP_LINGER:
		if (value < -1)
			return -EINVAL;
		ep->linger = (int16_t)(value > INT16_MAX ? INT16_MAX : value);
		return 0;
	case EP_SEND_BUFFER:
		return set_buffer(&ep->send_max, value);
	case EP_RECEIVE_BUFFER:
		ep->receive_fixed = true;
		return set_buffer(&ep->receive_max, value);
	case EP_RECEIVE_LOW:
		ep->receive_low = value < 1 ? 1 : value > INT32_MAX ? INT32_MAX : (uint32_t)value;
		return 0;
	case EP_TTL:
		if (value == -1)
			value = 0;  /* the default again, as Linux */
		else if (value < 1)
			return -EINVAL;
		return set_byte(&ep->ttl, value, 0, 255);
	case EP_TOS:
		return set_byte(&ep->tos, value, 0, 255);
	case EP_MTU_DISCOVER:
		return set_byte(&ep->mtu_discover, value, 0, 3);
	case EP_MULTICAST_TTL:
		return set_byte(&ep->multicast_ttl, value == -1 ? 1 : value, 0, 255);
	case EP_MULTICAST_LOOP:
		ep->multicast_loop = value != 0;
		return 0;
	case EP_MULTICAST_ALL:
		if (value != 0 && value != 1)
			return -EINVAL;
		ep->multicast_all = value == 1;
		return 0;
	case EP_MULTICAST_IF:
		return group_choose_interface(s, ep, value);
	case EP_JOIN:
		return group_join(s, ep, value);
	case EP_LEAVE:
		return group_leave(s, ep, value);
	default:
		return -ENOPROTOOPT;
	}
}

int ep_set(struct stack *s, ep_id id, enum ep_option option, int64_t value)
{
	struct endpoint *ep = ep_find(s, id);
	int error;

	if (!ep || ep->closed)
		return -EBADF;
	error = ep->ops->option_set(s, ep, option, value);
	return error == -ENOPROTOOPT ? set_common(s, ep, option, value) : error;
}

static int path_mtu(struct stack *s, const struct endpoint *ep, int64_t *value)
{
	struct path path;

	if (!ep->peer.port)
		return -ENOTCONN;
	if (route_find(s, &ep->local.addr, &ep->peer.addr, &path) != 0)
		return -ENOTCONN;
	*value = path.mtu;
	return 0;
}

int ep_get(struct stack *s, ep_id id, enum ep_option option, int64_t *value)
{
	struct endpoint *ep = ep_find(s, id);
	int error;

	if (!ep || ep->closed)
		return -EBADF;
	error = ep->ops->option_get(s, ep, option, value);
	if (error != -ENOPROTOOPT)
		return error;
	switch (option) {
	case EP_REUSE_ADDR:
		*value = ep->reuse_addr;
		return 0;
	case EP_REUSE_PORT:
		*value = ep->reuse_port;
		return 0;
	case EP_BROADCAST:
		*value = ep->broadcast;
		return 0;
	case EP_KEEPALIVE:
		*value = ep->keepalive;
		return 0;
	case EP_FREEBIND:
		*value = ep->freebind;
		return 0;
	case EP_PKTINFO:
		*value = ep->pktinfo;
		return 0;
	case EP_RECV_ERR:
		*value = ep->recv_err;
		return 0;
	case EP_SHADOW:
		*value = ep->shadow;
		return 0;
	case EP_OOB_INLINE:
		*value = ep->oob_inline;
		return 0;
	case EP_LINGER:
		*value = ep->linger;
		return 0;
	case EP_SEND_BUFFER:
		*value = ep->send_max;
		return 0;
	case EP_RECEIVE_BUFFER:
		*value = ep->receive_max;
		return 0;
	case EP_RECEIVE_LOW:
		*value = ep->receive_low;
		return 0;
	case EP_TTL:
		*value = ep->ttl ? ep->ttl : s->config.ttl;
		return 0;
	case EP_TOS:
		*value = ep->tos;
		return 0;
	case EP_MTU_DISCOVER:
		*value = ep->mtu_discover;
		return 0;
	case EP_MULTICAST_TTL:
		*value = ep->multicast_ttl;
		return 0;
	case EP_MULTICAST_LOOP:
		*value = ep->multicast_loop;
		return 0;
	case EP_MULTICAST_ALL:
		*value = ep->multicast_all;
		return 0;
	case EP_MULTICAST_IF:
		*value = ep->type != EP_DATAGRAM ? 0 : (int64_t)((uint64_t)ep->multicast_interface << 32 | be32(ep->multicast_source));
		return 0;
	case EP_JOIN:
		return group_nth(s, ep, value);
	case EP_MTU:
		return path_mtu(s, ep, value);
	default:
		return -ENOPROTOOPT;
	}
}
